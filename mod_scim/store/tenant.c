/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants and their policy.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"

#include "internal.h"

#define TENANT_HEAD (4 + 1 + 8)

bool scim_tenant_name_valid(const char *name)
{
    apr_size_t len = strlen(name);

    return len > 0 && len <= SCIM_TENANT_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789._-") == len;
}

scim_policy scim_policy_default(void)
{
    return (scim_policy){.unique_group_names = true, .dangling_references = false};
}

static bool policy_equal(const scim_policy *a, const scim_policy *b)
{
    return a->unique_group_names == b->unique_group_names &&
           a->dangling_references == b->dangling_references;
}

static void tenant_key(scim_key *key, const char *name)
{
    scim_key_begin(key, SCIM_TABLE_TENANT);
    scim_key_bytes(key, name, strlen(name));
}

static bool read_flag(const json_t *policy, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(policy, name);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static scim_policy read_policy(const char *bytes, apr_size_t len, apr_pool_t *pool)
{
    scim_policy policy = scim_policy_default();
    const json_t *json = scim_json_read_own(bytes, len, pool);

    if (json) {
        policy.unique_group_names =
            read_flag(json, "uniqueGroupNames", policy.unique_group_names);
        policy.dangling_references =
            read_flag(json, "danglingReferences", policy.dangling_references);
    }
    return policy;
}

static void decode(scim_tenant *out, const char *name, apr_size_t name_len, scim_slice rest,
                   apr_pool_t *pool)
{
    const unsigned char *at = rest.data;

    out->number = store_get_u32(at);
    out->suspended = at[4] != 0;
    out->created = (apr_time_t)store_get_u64(at + 5);
    out->name = apr_pstrmemdup(pool, name, name_len);
    out->policy = read_policy((const char *)at + TENANT_HEAD, rest.len - TENANT_HEAD, pool);
}

static const scim_error *unknown(const char *name, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_FOUND, "There is no tenant \"%s\"", name);
}

const scim_error *scim_tenant_find(scim_tenant *out, scim_view *view, const char *name)
{
    scim_key key;
    scim_slice rest;
    scim_kv_rc rc;

    if (!scim_tenant_name_valid(name)) {
        return unknown(name, view->pool);
    }
    tenant_key(&key, name);
    rc = store_get(view->txn, &key, TENANT_HEAD, &rest);
    if (rc == SCIM_KV_NOTFOUND) {
        return unknown(name, view->pool);
    }
    if (rc != SCIM_KV_OK) {
        return scim_store_error(view->pool, rc, apr_pstrcat(view->pool, "tenant ", name, NULL));
    }
    decode(out, name, strlen(name), rest, view->pool);
    return NULL;
}

const scim_error *scim_tenant_list(apr_array_header_t **out, scim_view *view)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(view->txn);
    scim_key from;
    scim_slice key, value, name;
    scim_kv_rc rc;

    *out = apr_array_make(view->pool, 8, sizeof(scim_tenant));
    scim_key_begin(&from, SCIM_TABLE_TENANT);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &name);
         rc = scim_kv_next(cursor, &key, &value)) {
        scim_slice rest = {(const char *)value.data + STORE_SEAL, value.len - STORE_SEAL};

        if (value.len < STORE_SEAL + TENANT_HEAD || !store_sealed(key, value)) {
            return scim_store_error(view->pool, SCIM_KV_CORRUPT, "listing tenants");
        }
        decode(apr_array_push(*out), name.data, name.len, rest, view->pool);
    }
    return rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND
               ? NULL
               : scim_store_error(view->pool, rc, "listing tenants");
}

static const char *write_policy(const scim_policy *policy, apr_size_t *len, apr_pool_t *pool)
{
    json_t *json = json_pack("{s:b, s:b}", "uniqueGroupNames", policy->unique_group_names,
                             "danglingReferences", policy->dangling_references);

    return scim_json_write(scim_json_adopt(json, pool), len, pool);
}

/* A tenant's value, unsealed, in pool. */
static scim_slice encode(const scim_tenant *tenant, apr_pool_t *pool)
{
    apr_size_t len;
    const char *text = write_policy(&tenant->policy, &len, pool);
    unsigned char *value = apr_palloc(pool, STORE_SEAL + TENANT_HEAD + len);
    unsigned char *at = value + STORE_SEAL;

    store_put_u32(at, tenant->number);
    at[4] = tenant->suspended ? 1 : 0;
    store_put_u64(at + 5, (apr_uint64_t)tenant->created);
    memcpy(at + TENANT_HEAD, text, len);
    return (scim_slice){value, STORE_SEAL + TENANT_HEAD + len};
}

typedef struct tenant_write {
    scim_tenant tenant;
    apr_pool_t *pool;
    bool changed;
} tenant_write;

static scim_kv_rc put_tenant(scim_kv_txn *txn, tenant_write *w, bool no_overwrite)
{
    scim_slice value = encode(&w->tenant, w->pool);
    scim_key key;

    tenant_key(&key, w->tenant.name);
    store_seal(scim_key_slice(&key), (unsigned char *)value.data, value.len);
    return scim_kv_put(txn, scim_key_slice(&key), value, no_overwrite);
}

/* The policy of tenants to come stands in the system table. */
static void default_policy_key(scim_key *key)
{
    scim_key_begin(key, SCIM_TABLE_SYSTEM);
    scim_key_bytes(key, "policy", 6);
}

static scim_kv_rc read_default_policy(scim_policy *out, scim_kv_txn *txn, apr_pool_t *pool)
{
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;

    *out = scim_policy_default();
    default_policy_key(&key);
    rc = store_get(txn, &key, 0, &rest);
    if (rc == SCIM_KV_OK) {
        *out = read_policy(rest.data, rest.len, pool);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Exclusive: tenants are few, and their number comes from the store. */
static scim_kv_rc create(scim_kv_txn *txn, void *baton)
{
    tenant_write *w = baton;
    scim_kv_rc rc = store_check_format(txn);
    apr_int64_t number;
    scim_slice value;
    scim_key key;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    tenant_key(&key, w->tenant.name);
    rc = scim_kv_get(txn, scim_key_slice(&key), &value);
    if (rc != SCIM_KV_NOTFOUND) {
        return rc == SCIM_KV_OK ? SCIM_KV_EXISTS : rc;
    }
    scim_key_begin(&key, SCIM_TABLE_SYSTEM);
    scim_key_bytes(&key, "tenants", 7);
    rc = scim_kv_add(txn, scim_key_slice(&key), 1, &number);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (number > APR_UINT32_MAX) {
        return SCIM_KV_FULL;
    }
    w->tenant.number = (apr_uint32_t)number;
    rc = read_default_policy(&w->tenant.policy, txn, w->pool);
    return rc == SCIM_KV_OK ? put_tenant(txn, w, true) : rc;
}

const scim_error *scim_tenant_create(scim_tenant *out, scim_store *store, const char *name,
                                     apr_time_t now, apr_pool_t *result_pool)
{
    tenant_write w = {{0, name, false, now, scim_policy_default()}, result_pool, true};
    scim_kv_rc rc;

    if (!scim_tenant_name_valid(name)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "A tenant's name is 1 to %d of A-Z a-z 0-9 . _ -; \"%s\" is not",
                               SCIM_TENANT_NAME_MAX, name);
    }
    rc = scim_kv_update_exclusive(store->kv, create, &w);
    if (rc == SCIM_KV_EXISTS) {
        return scim_error_make(result_pool, SCIM_E_UNIQUENESS,
                               "There is a tenant \"%s\" already", name);
    }
    if (rc != SCIM_KV_OK) {
        return scim_store_error(result_pool, rc, "creating a tenant");
    }
    *out = w.tenant;
    out->name = apr_pstrdup(result_pool, name);
    return NULL;
}

static scim_kv_rc set_policy(scim_kv_txn *txn, void *baton)
{
    tenant_write *w = baton;
    scim_policy wanted = w->tenant.policy;
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    tenant_key(&key, w->tenant.name);
    rc = store_get(txn, &key, TENANT_HEAD, &rest);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    decode(&w->tenant, w->tenant.name, strlen(w->tenant.name), rest, w->pool);
    w->tenant.policy = wanted;
    return put_tenant(txn, w, false);
}

typedef struct finding {
    const char *name;
    scim_tenant tenant;
} finding;

static const scim_error *find(scim_view *view, void *baton)
{
    finding *f = baton;

    return scim_tenant_find(&f->tenant, view, f->name);
}

const scim_error *scim_tenant_set_policy(bool *changed, scim_store *store, const char *name,
                                         const scim_policy *policy, apr_pool_t *result_pool)
{
    tenant_write w = {{0, name, false, 0, *policy}, result_pool, false};
    finding f = {name, {0}};
    scim_kv_rc rc;

    /* Every start of a server comes here: what is there already takes no
     * write lock. */
    SCIM_ERR(scim_store_view(store, find, &f, result_pool));
    *changed = !policy_equal(&f.tenant.policy, policy);
    if (!*changed) {
        return NULL;
    }
    rc = scim_kv_update_exclusive(store->kv, set_policy, &w);
    return rc == SCIM_KV_NOTFOUND ? unknown(name, result_pool)
                                  : scim_store_error(result_pool, rc, "writing a policy");
}

typedef struct default_write {
    scim_policy policy;
    apr_pool_t *pool;
} default_write;

static const scim_error *read_default(scim_view *view, void *baton)
{
    return scim_store_error(view->pool, read_default_policy(baton, view->txn, view->pool),
                            "reading the default policy");
}

static scim_kv_rc set_default(scim_kv_txn *txn, void *baton)
{
    default_write *w = baton;
    apr_size_t len;
    const char *text = write_policy(&w->policy, &len, w->pool);
    unsigned char *value = apr_palloc(w->pool, STORE_SEAL + len);
    scim_kv_rc rc = store_check_format(txn);
    scim_key key;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    memcpy(value + STORE_SEAL, text, len);
    default_policy_key(&key);
    store_seal(scim_key_slice(&key), value, STORE_SEAL + len);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, STORE_SEAL + len}, false);
}

const scim_error *scim_tenant_set_default_policy(bool *changed, scim_store *store,
                                                 const scim_policy *policy,
                                                 apr_pool_t *result_pool)
{
    default_write w = {*policy, result_pool};
    scim_policy present;

    SCIM_ERR(scim_store_view(store, read_default, &present, result_pool));
    *changed = !policy_equal(&present, policy);
    return *changed ? scim_store_error(result_pool,
                                       scim_kv_update_exclusive(store->kv, set_default, &w),
                                       "writing the default policy")
                    : NULL;
}
