/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring a store.
 */
#include "scim/gauge.h"

#include <string.h>

#include "internal.h"

const scim_error *scim_gauge_count(apr_int64_t *out, scim_view *view, const scim_tenant *tenant,
                                   const scim_resource_type *type)
{
    const type_def *def = store_type(view->store, type);
    scim_key key;

    *out = 0;
    if (!def) {
        return NULL;
    }
    counter_key_type(&key, tenant, def);
    return scim_store_error(view->pool, counter_read(out, view->txn, &key),
                            "counting resources");
}

static scim_kv_rc count_inactive(apr_int64_t *inactive, apr_int64_t *looked, scim_kv_txn *txn,
                                 const scim_key *prefix)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    apr_int64_t most = *looked;
    scim_slice key, value;
    record_head head;
    scim_kv_rc rc;

    *looked = 0;
    for (rc = scim_kv_seek(cursor, scim_key_slice(prefix), &key, &value);
         rc == SCIM_KV_OK && *looked < most && scim_key_has_prefix(key, prefix, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        if (!record_decode(&head, key, value)) {
            rc = SCIM_KV_CORRUPT;
            break;
        }
        ++*looked;
        *inactive += head.inactive;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

const scim_error *scim_gauge_inactive(apr_int64_t *inactive, apr_int64_t *looked,
                                      scim_view *view, const scim_tenant *tenant,
                                      const scim_resource_type *type)
{
    const type_def *def = store_type(view->store, type);
    scim_key prefix;

    *inactive = 0;
    if (!def) {
        *looked = 0;
        return NULL;
    }
    record_prefix(&prefix, tenant, def);
    return scim_store_error(view->pool, count_inactive(inactive, looked, view->txn, &prefix),
                            "counting inactive resources");
}

/* The number of the store, which never changes. */
static scim_kv_rc write_again(scim_kv_txn *txn, void *baton)
{
    scim_slice value;
    scim_key key;
    scim_kv_rc rc = store_check_format(txn);
    void *copy;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    store_system_key(&key, "instance");
    rc = scim_kv_get(txn, scim_key_slice(&key), &value);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    copy = memcpy(scim_kv_scratch(txn, value.len), value.data, value.len);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){copy, value.len}, false);
}

const scim_error *scim_gauge_try(scim_store *store, apr_pool_t *result_pool)
{
    return scim_store_error(result_pool, scim_kv_update(store->kv, write_again, NULL),
                            "trying whether the store can be written to");
}
