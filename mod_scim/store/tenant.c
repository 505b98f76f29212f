/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants and their policy.
 */
#include <string.h>

#include <apr_strings.h>

#include "internal.h"

#define TENANT_HEAD (4 + 1 + 8)

/* The byte behind the number. */
enum { STATE_ACTIVE = 0, STATE_SUSPENDED = 1, STATE_DELETING = 2 };

bool scim_tenant_name_valid(const char *name)
{
    const char *at = name;

    while (store_is_alnum(*at) || *at == '.' || *at == '_' || *at == '-') {
        at++;
    }
    return !*at && at > name && at - name <= SCIM_TENANT_NAME_MAX;
}

scim_policy scim_policy_default(void)
{
    return (scim_policy){.unique_group_names = true};
}

/* The policy as it is stored: one form for one policy, so that two are equal
 * when their bytes are, and no JSON, since every request reads it. */

#define POLICY_VERSION 1
#define POLICY_HEAD (1 + 1 + 1 + 1 + 4 + 2)
#define POLICY_UNIQUE_NAMES 1
#define POLICY_DANGLING 2
#define POLICY_PASSWORDS 4

static apr_size_t policy_size(const scim_policy *policy)
{
    apr_size_t size = POLICY_HEAD;
    int i;

    for (i = 0; i < policy->roles_count; i++) {
        const scim_role_pattern *role = &policy->roles[i];

        size += 1 + 2 + 2 + strlen(role->role) + strlen(role->pattern) + role->prepared_len + 3;
    }
    return size;
}

static unsigned char *put_text(unsigned char *at, const char *text, apr_size_t len)
{
    memcpy(at, text, len);
    at[len] = '\0';
    return at + len + 1;
}

/* Ended by NULs, so that readers point into it. */
static unsigned char *put_role(unsigned char *at, const scim_role_pattern *role)
{
    at[0] = role->prefix;
    store_put_u16(at + 1, (apr_uint16_t)strlen(role->pattern));
    store_put_u16(at + 3, (apr_uint16_t)role->prepared_len);
    at = put_text(at + 5, role->role, strlen(role->role));
    at = put_text(at, role->pattern, strlen(role->pattern));
    return put_text(at, role->prepared, role->prepared_len);
}

static scim_slice write_policy(const scim_policy *policy, apr_pool_t *pool)
{
    apr_size_t size = policy_size(policy);
    unsigned char *bytes = apr_palloc(pool, size), *at = bytes;
    int i;

    at[0] = POLICY_VERSION;
    at[1] = (unsigned char)((policy->unique_group_names ? POLICY_UNIQUE_NAMES : 0) |
                            (policy->dangling_references ? POLICY_DANGLING : 0) |
                            (policy->password_sync ? POLICY_PASSWORDS : 0));
    at[2] = (unsigned char)policy->custom_groups;
    at[3] = (unsigned char)policy->on_group_delete;
    store_put_u32(at + 4, policy->delete_limit);
    store_put_u16(at + 8, (apr_uint16_t)policy->roles_count);
    at += POLICY_HEAD;
    for (i = 0; i < policy->roles_count; i++) {
        at = put_role(at, &policy->roles[i]);
    }
    return (scim_slice){bytes, size};
}

/* NULL where the bytes end too early. */
static const unsigned char *read_role(scim_role_pattern *out, const unsigned char *at,
                                      const unsigned char *end)
{
    apr_size_t pattern_len;
    const unsigned char *role_end;

    if (end - at < 5) {
        return NULL;
    }
    out->prefix = at[0] != 0;
    pattern_len = store_get_u16(at + 1);
    out->prepared_len = store_get_u16(at + 3);
    at += 5;
    role_end = memchr(at, '\0', (apr_size_t)(end - at));
    if (!role_end || (apr_size_t)(end - role_end) < pattern_len + out->prepared_len + 3) {
        return NULL;
    }
    out->role = (const char *)at;
    out->pattern = (const char *)role_end + 1;
    out->prepared = out->pattern + pattern_len + 1;
    return (const unsigned char *)out->prepared + out->prepared_len + 1;
}

/* False where the bytes are none of a policy. */
static bool read_policy(scim_policy *out, scim_slice bytes, apr_pool_t *pool)
{
    const unsigned char *at = bytes.data, *end;
    scim_role_pattern *roles;
    int i, count;

    if (bytes.len < POLICY_HEAD || at[0] != POLICY_VERSION || at[2] > SCIM_CUSTOM_REFUSE ||
        at[3] > SCIM_ON_DELETE_DELETE) {
        return false;
    }
    out->unique_group_names = at[1] & POLICY_UNIQUE_NAMES;
    out->dangling_references = at[1] & POLICY_DANGLING;
    out->password_sync = at[1] & POLICY_PASSWORDS;
    out->custom_groups = at[2];
    out->on_group_delete = at[3];
    out->delete_limit = store_get_u32(at + 4);
    out->roles_count = count = store_get_u16(at + 8);
    out->roles = NULL;
    if (!count) {
        return true;
    }
    at = apr_pmemdup(pool, bytes.data, bytes.len);
    end = at + bytes.len;
    at += POLICY_HEAD;
    roles = apr_palloc(pool, (apr_size_t)count * sizeof(*roles));
    for (i = 0; i < count && at; i++) {
        at = read_role(&roles[i], at, end);
    }
    out->roles = roles;
    return at == end;
}

bool scim_policy_equal(const scim_policy *a, const scim_policy *b, apr_pool_t *scratch_pool)
{
    scim_slice left = write_policy(a, scratch_pool), right = write_policy(b, scratch_pool);

    return left.len == right.len && !memcmp(left.data, right.data, left.len);
}

static void tenant_key(scim_key *key, const char *name)
{
    scim_key_begin(key, SCIM_TABLE_TENANT);
    scim_key_bytes(key, name, strlen(name));
}

static bool decode(scim_tenant *out, const char *name, apr_size_t name_len, scim_slice rest,
                   apr_pool_t *pool)
{
    const unsigned char *at = rest.data;

    if (rest.len < TENANT_HEAD) {
        return false;
    }
    out->number = store_get_u32(at);
    out->suspended = at[4] != STATE_ACTIVE;
    out->deleting = at[4] == STATE_DELETING;
    out->created = (apr_time_t)store_get_u64(at + 5);
    out->name = apr_pstrmemdup(pool, name, name_len);
    return read_policy(&out->policy, (scim_slice){at + TENANT_HEAD, rest.len - TENANT_HEAD},
                       pool);
}

static const scim_error *unknown(const char *name, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_FOUND, "There is no tenant \"%s\"", name);
}

const scim_error *tenant_read(scim_tenant *out, scim_view *view, const char *name)
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
    if (rc == SCIM_KV_OK && !decode(out, name, strlen(name), rest, view->pool)) {
        rc = SCIM_KV_CORRUPT;
    }
    return rc == SCIM_KV_OK ? NULL
                            : scim_store_error(view->pool, rc,
                                               apr_pstrcat(view->pool, "tenant ", name, NULL));
}

static const scim_error *being_deleted(scim_error_code code, const char *name, apr_pool_t *pool)
{
    return scim_error_make(
        pool, code,
        "The tenant \"%s\" is being deleted (scimctl tenant delete %s brings "
        "that to its end)",
        name, name);
}

const scim_error *scim_tenant_find(scim_tenant *out, scim_view *view, const char *name)
{
    SCIM_ERR(tenant_read(out, view, name));
    /* It was read.  NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch) */
    return out->deleting ? being_deleted(SCIM_E_NOT_FOUND, name, view->pool) : NULL;
}

/* Its record is read without any pool: while applying, too. */
scim_kv_rc tenant_check(scim_kv_txn *txn, const scim_tenant *tenant)
{
    const unsigned char *at;
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;

    tenant_key(&key, tenant->name);
    rc = store_get(txn, &key, TENANT_HEAD, &rest);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    at = rest.data;
    return store_get_u32(at) == tenant->number && at[4] != STATE_DELETING ? SCIM_KV_OK
                                                                          : SCIM_KV_NOTFOUND;
}

void wish_tenant(wishes *w, const scim_tenant *tenant)
{
    scim_key key;

    tenant_key(&key, tenant->name);
    wish_key(w, &key);
}

const scim_error *tenant_gone(apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_FOUND, "This directory has been deleted");
}

const scim_error *scim_tenant_check(scim_view *view, const scim_tenant *tenant)
{
    scim_kv_rc rc = tenant_check(view->txn, tenant);

    return rc == SCIM_KV_NOTFOUND ? tenant_gone(view->pool)
                                  : scim_store_error(view->pool, rc, "reading the tenant");
}

static const scim_error *list(apr_array_header_t **out, scim_view *view, bool deleting)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(view->txn);
    scim_key from;
    scim_slice key, value, name;
    scim_tenant tenant;
    scim_kv_rc rc;

    *out = apr_array_make(view->pool, 8, sizeof(scim_tenant));
    scim_key_begin(&from, SCIM_TABLE_TENANT);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &name);
         rc = scim_kv_next(cursor, &key, &value)) {
        scim_slice rest = {(const char *)value.data + STORE_SEAL, value.len - STORE_SEAL};

        if (!store_sealed(key, value) ||
            !decode(&tenant, name.data, name.len, rest, view->pool)) {
            return scim_store_error(view->pool, SCIM_KV_CORRUPT, "listing tenants");
        }
        if (tenant.deleting == deleting) {
            APR_ARRAY_PUSH(*out, scim_tenant) = tenant;
        }
    }
    return rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND
               ? NULL
               : scim_store_error(view->pool, rc, "listing tenants");
}

const scim_error *scim_tenant_list(apr_array_header_t **out, scim_view *view)
{
    return list(out, view, false);
}

const scim_error *scim_tenant_list_deleting(apr_array_header_t **out, scim_view *view)
{
    return list(out, view, true);
}

static scim_kv_rc take_name(scim_slice key, scim_slice value, void *baton)
{
    apr_array_header_t *names = baton;
    scim_slice rest = {(const char *)value.data + STORE_SEAL, value.len - STORE_SEAL};
    scim_tenant tenant;

    /* Whoever asks has not opened the store, and need not trust who writes to it. */
    if (!store_sealed(key, value) ||
        !decode(&tenant, (const char *)key.data + 1, key.len - 1, rest, names->pool) ||
        !scim_tenant_name_valid(tenant.name)) {
        return SCIM_KV_CORRUPT;
    }
    if (!tenant.deleting) {
        APR_ARRAY_PUSH(names, const char *) = tenant.name;
    }
    return SCIM_KV_OK;
}

bool scim_tenant_peek(apr_array_header_t **out, const char *url, apr_pool_t *result_pool)
{
    scim_kv_rc rc = SCIM_KV_STALE;
    scim_key table;
    int tries;

    scim_key_begin(&table, SCIM_TABLE_TENANT);
    for (tries = 0; tries < 5 && rc == SCIM_KV_STALE; tries++) {
        scim_kv_examiner to = {.row = take_name};

        to.baton = *out = apr_array_make(result_pool, 8, sizeof(const char *));
        rc = scim_kv_peek(url, scim_key_slice(&table), &to);
    }
    return rc == SCIM_KV_OK;
}

/* A tenant's value, unsealed, in pool. */
static scim_slice encode(const scim_tenant *tenant, apr_pool_t *pool)
{
    scim_slice policy = write_policy(&tenant->policy, pool);
    unsigned char *value = apr_palloc(pool, STORE_SEAL + TENANT_HEAD + policy.len);
    unsigned char *at = value + STORE_SEAL;

    store_put_u32(at, tenant->number);
    at[4] = tenant->deleting    ? STATE_DELETING
            : tenant->suspended ? STATE_SUSPENDED
                                : STATE_ACTIVE;
    store_put_u64(at + 5, (apr_uint64_t)tenant->created);
    memcpy(at + TENANT_HEAD, policy.data, policy.len);
    return (scim_slice){value, STORE_SEAL + TENANT_HEAD + policy.len};
}

typedef struct tenant_write {
    scim_tenant tenant;
    const scim_error *error; /* REFUSED: why */
    apr_pool_t *pool;
} tenant_write;

static scim_kv_rc put_tenant(scim_kv_txn *txn, const scim_tenant *tenant, bool no_overwrite,
                             apr_pool_t *pool)
{
    scim_slice value = encode(tenant, pool);
    scim_key key;

    tenant_key(&key, tenant->name);
    store_seal(scim_key_slice(&key), (unsigned char *)value.data, value.len);
    return scim_kv_put(txn, scim_key_slice(&key), value, no_overwrite);
}

scim_kv_rc tenant_put(scim_kv_txn *txn, const scim_tenant *tenant, apr_pool_t *pool)
{
    return put_tenant(txn, tenant, true, pool);
}

scim_kv_rc tenant_mark(scim_kv_txn *txn, const scim_tenant *tenant, apr_pool_t *pool)
{
    scim_tenant marked = *tenant;

    marked.deleting = true;
    return put_tenant(txn, &marked, false, pool);
}

scim_kv_rc tenant_drop(scim_kv_txn *txn, const char *name)
{
    scim_key key;

    tenant_key(&key, name);
    return scim_kv_del(txn, scim_key_slice(&key));
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
    if (rc == SCIM_KV_OK && !read_policy(out, rest, pool)) {
        rc = SCIM_KV_CORRUPT;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

const scim_error *scim_tenant_default_policy(scim_policy *out, scim_view *view)
{
    return scim_store_error(view->pool, read_default_policy(out, view->txn, view->pool),
                            "the default policy");
}

static scim_kv_rc put_default_policy(scim_kv_txn *txn, const scim_policy *policy,
                                     apr_pool_t *pool)
{
    scim_slice bytes = write_policy(policy, pool);
    unsigned char *value = apr_palloc(pool, STORE_SEAL + bytes.len);
    scim_key key;

    memcpy(value + STORE_SEAL, bytes.data, bytes.len);
    default_policy_key(&key);
    store_seal(scim_key_slice(&key), value, STORE_SEAL + bytes.len);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, STORE_SEAL + bytes.len},
                       false);
}

/* NULL: it is free. */
static const scim_error *why_taken(scim_kv_txn *txn, const char *name, apr_pool_t *pool)
{
    scim_view view = {.txn = txn, .pool = pool};
    scim_tenant other = {.deleting = false};
    const scim_error *err = tenant_read(&other, &view, name);

    if (err) {
        return err->code == SCIM_E_NOT_FOUND ? NULL : err;
    }
    return other.deleting ? being_deleted(SCIM_E_UNIQUENESS, name, pool)
                          : scim_error_make(pool, SCIM_E_UNIQUENESS,
                                            "There is a tenant \"%s\" already", name);
}

/* Exclusive: tenants are few, and their number comes from the store. */
static scim_kv_rc create(scim_kv_txn *txn, void *baton)
{
    tenant_write *w = baton;
    scim_kv_rc rc = store_check_format(txn);
    apr_int64_t number;
    scim_key key;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    w->error = why_taken(txn, w->tenant.name, w->pool);
    if (w->error) {
        return SCIM_KV_REFUSED;
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
    return rc == SCIM_KV_OK ? put_tenant(txn, &w->tenant, true, w->pool) : rc;
}

const scim_error *scim_tenant_create(scim_tenant *out, scim_store *store, const char *name,
                                     apr_time_t now, apr_pool_t *result_pool)
{
    tenant_write w = {.tenant = {.name = name, .created = now, .policy = scim_policy_default()},
                      .pool = result_pool};
    scim_kv_rc rc;

    if (!scim_tenant_name_valid(name)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "A tenant's name is 1 to %d of A-Z a-z 0-9 . _ -; \"%s\" is not",
                               SCIM_TENANT_NAME_MAX, name);
    }
    rc = scim_kv_update_exclusive(store->kv, create, &w);
    if (rc == SCIM_KV_REFUSED) {
        return w.error;
    }
    if (rc != SCIM_KV_OK) {
        return scim_store_error(result_pool, rc, "creating a tenant");
    }
    *out = w.tenant;
    out->name = apr_pstrdup(result_pool, name);
    return NULL;
}

/* Suspending */

typedef struct suspending {
    const char *name;
    bool suspended;
    bool changed;
    const scim_error *error;
    apr_pool_t *pool;
} suspending;

static scim_kv_rc suspend(scim_kv_txn *txn, void *baton)
{
    suspending *s = baton;
    scim_view view = {.txn = txn, .pool = s->pool};
    scim_kv_rc rc = store_check_format(txn);
    scim_tenant tenant;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    s->error = scim_tenant_find(&tenant, &view, s->name);
    if (s->error) {
        return SCIM_KV_REFUSED;
    }
    /* It was found.  NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
    s->changed = tenant.suspended != s->suspended;
    tenant.suspended = s->suspended;
    return s->changed ? put_tenant(txn, &tenant, false, s->pool) : SCIM_KV_OK;
}

const scim_error *scim_tenant_suspend(bool *changed, scim_store *store, const char *name,
                                      bool suspended, apr_pool_t *result_pool)
{
    suspending s = {name, suspended, .pool = result_pool};
    scim_kv_rc rc = scim_kv_update_exclusive(store->kv, suspend, &s);

    *changed = s.changed;
    return rc == SCIM_KV_REFUSED ? s.error
                                 : scim_store_error(result_pool, rc, "suspending a tenant");
}

/* Policies */

typedef struct policy_setting {
    scim_policy_fn fn;
    void *baton;
    apr_array_header_t *changed; /* of const char * */
    bool default_changed;
    const scim_error *error;
    apr_pool_t *pool;
} policy_setting;

/* Looks what differs; writes it where the transaction may. */
static const scim_error *set_policies(scim_view *view, void *baton)
{
    policy_setting *s = baton;
    scim_policy present, wanted = s->fn(NULL, s->baton, s->pool);
    apr_array_header_t *tenants;
    scim_kv_rc rc = read_default_policy(&present, view->txn, s->pool);
    int i;

    apr_array_clear(s->changed);
    s->default_changed = rc == SCIM_KV_OK && !scim_policy_equal(&present, &wanted, s->pool);
    if (s->default_changed && scim_kv_writable(view->txn)) {
        rc = put_default_policy(view->txn, &wanted, s->pool);
    }
    SCIM_ERR(scim_store_error(s->pool, rc, "the default policy"));
    SCIM_ERR(scim_tenant_list(&tenants, view));
    for (i = 0; i < tenants->nelts && rc == SCIM_KV_OK; i++) {
        scim_tenant *tenant = &APR_ARRAY_IDX(tenants, i, scim_tenant);

        wanted = s->fn(tenant->name, s->baton, s->pool);
        if (scim_policy_equal(&tenant->policy, &wanted, s->pool)) {
            continue;
        }
        APR_ARRAY_PUSH(s->changed, const char *) = tenant->name;
        tenant->policy = wanted;
        if (scim_kv_writable(view->txn)) {
            rc = put_tenant(view->txn, tenant, false, s->pool);
        }
    }
    return scim_store_error(s->pool, rc, "writing policies");
}

static scim_kv_rc update_policies(scim_kv_txn *txn, void *baton)
{
    policy_setting *s = baton;
    scim_view view = {.txn = txn, .pool = s->pool};
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    s->error = set_policies(&view, s);
    return s->error ? SCIM_KV_REFUSED : SCIM_KV_OK;
}

const scim_error *scim_tenant_set_policies(apr_array_header_t **changed, scim_store *store,
                                           scim_policy_fn fn, void *baton,
                                           apr_pool_t *result_pool)
{
    policy_setting s = {.fn = fn, .baton = baton, .pool = result_pool};
    scim_kv_rc rc;

    s.changed = *changed = apr_array_make(result_pool, 4, sizeof(const char *));
    /* Every start of a server comes here: what is there already takes no
     * write lock. */
    SCIM_ERR(scim_store_view(store, set_policies, &s, result_pool));
    if (!s.default_changed && !s.changed->nelts) {
        return NULL;
    }
    rc = scim_kv_update_exclusive(store->kv, update_policies, &s);
    return rc == SCIM_KV_REFUSED && s.error
               ? s.error
               : scim_store_error(result_pool, rc, "writing policies");
}
