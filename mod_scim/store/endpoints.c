/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoints of a store, a row of the system table.
 */
#include "scim/endpoints.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"
#include "scim/text.h"

#include "internal.h"

#define NAME "endpoints"

static void endpoints_key(scim_key *key)
{
    scim_key_begin(key, SCIM_TABLE_SYSTEM);
    scim_key_bytes(key, NAME, strlen(NAME));
}

const char *scim_endpoints_replace(const char *text, const char *what, const char *with,
                                   apr_pool_t *result_pool)
{
    const char *at = strstr(text, what);

    return at ? apr_pstrcat(result_pool,
                            apr_pstrmemdup(result_pool, text, (apr_size_t)(at - text)), with,
                            scim_endpoints_replace(at + strlen(what), what, with, result_pool),
                            NULL)
              : text;
}

const scim_error *scim_endpoints_read(const char **out, scim_view *view)
{
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;

    *out = NULL;
    endpoints_key(&key);
    rc = store_get(view->txn, &key, 0, &rest);
    if (rc == SCIM_KV_OK) {
        *out = apr_pstrmemdup(view->pool, rest.data, rest.len);
    }
    return scim_store_error(view->pool, rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc,
                            "reading the endpoints");
}

static bool has_text(const apr_array_header_t *texts, const char *text)
{
    int i;

    for (i = 0; i < texts->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(texts, i, const char *), text)) {
            return true;
        }
    }
    return false;
}

static void take_endpoint(apr_array_header_t *urls, const json_t *endpoint, const char *tenant,
                          apr_pool_t *pool)
{
    const char *url = scim_json_string(endpoint, "url");
    const char *only = scim_json_string(endpoint, "tenant");

    /* What a worker wrote is shown to root, on a terminal and as lines. */
    if (!url || scim_text_has_control(url, strlen(url)) || (only && strcmp(only, tenant))) {
        return;
    }
    url = apr_pstrdup(pool, url);
    if (json_is_true(json_object_get(endpoint, "template"))) {
        url = scim_endpoints_replace(url, SCIM_ENDPOINTS_TENANT, tenant, pool);
    }
    if (!has_text(urls, url)) {
        APR_ARRAY_PUSH(urls, const char *) = url;
    }
}

const scim_error *scim_endpoints_urls(apr_array_header_t **out, scim_view *view,
                                      const char *tenant)
{
    const json_t *list, *endpoint;
    const char *text;
    size_t i;

    *out = apr_array_make(view->pool, 2, sizeof(const char *));
    SCIM_ERR(scim_endpoints_read(&text, view));
    list = text ? scim_json_read_own_array(text, strlen(text), view->pool) : NULL;
    json_array_foreach (list, i, endpoint) {
        take_endpoint(*out, endpoint, tenant, view->pool);
    }
    return NULL;
}

static const scim_error *read_in_view(scim_view *view, void *baton)
{
    return scim_endpoints_read(baton, view);
}

typedef struct endpoints_write {
    const char *json;
    apr_pool_t *pool;
} endpoints_write;

/* Exclusive: there is no bound to their number. */
static scim_kv_rc write_row(scim_kv_txn *txn, void *baton)
{
    const endpoints_write *w = baton;
    apr_size_t len = strlen(w->json);
    unsigned char *value = apr_palloc(w->pool, STORE_SEAL + len);
    scim_key key;
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    endpoints_key(&key);
    memcpy(value + STORE_SEAL, w->json, len);
    store_seal(scim_key_slice(&key), value, STORE_SEAL + len);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, STORE_SEAL + len}, false);
}

const scim_error *scim_endpoints_write(bool *changed, scim_store *store, const char *json,
                                       apr_pool_t *result_pool)
{
    endpoints_write w = {json, result_pool};
    const char *present;

    SCIM_ERR(scim_store_view(store, read_in_view, &present, result_pool));
    *changed = !present || strcmp(present, json) != 0;
    return *changed ? scim_store_error(result_pool,
                                       scim_kv_update_exclusive(store->kv, write_row, &w),
                                       "writing the endpoints")
                    : NULL;
}
