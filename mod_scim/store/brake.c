/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The brake on mass deletion: a row that counts, kept up to date by the
 * transactions that it counts.
 *
 * A provider that has lost its users by mistake sends a deletion or a
 * deactivation for each of them.  What the limit lets through in its hour is
 * done; then nothing more, for as long as nobody has had a look.
 */
#include "scim/brake.h"

#include <string.h>

#include <apr_strings.h>

#include "internal.h"

#define ROW_LEN (8 + 4 + 1)
#define WINDOW apr_time_from_sec(3600)

static void brake_key(scim_key *key, const scim_tenant *tenant)
{
    scim_key_begin(key, SCIM_TABLE_COUNTER);
    scim_key_u32(key, tenant->number);
    scim_key_bytes(key, "D", 1);
}

/* All zero where nothing was counted. */
static scim_kv_rc get(scim_brake *out, scim_kv_txn *txn, const scim_tenant *tenant)
{
    const unsigned char *at;
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;

    *out = (scim_brake){.since = 0};
    brake_key(&key, tenant);
    rc = store_get(txn, &key, ROW_LEN, &rest);
    if (rc != SCIM_KV_OK) {
        return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    at = rest.data;
    out->since = (apr_time_t)store_get_u64(at);
    out->count = store_get_u32(at + 8);
    out->on = at[12] != 0;
    return SCIM_KV_OK;
}

static scim_kv_rc put(const scim_brake *brake, scim_kv_txn *txn, const scim_tenant *tenant)
{
    unsigned char value[STORE_SEAL + ROW_LEN];
    scim_key key;

    brake_key(&key, tenant);
    store_put_u64(value + STORE_SEAL, (apr_uint64_t)brake->since);
    store_put_u32(value + STORE_SEAL + 8, brake->count);
    value[STORE_SEAL + 12] = brake->on;
    store_seal(scim_key_slice(&key), value, sizeof(value));
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, sizeof(value)}, false);
}

scim_kv_rc brake_check(scim_brake *out, scim_kv_txn *txn, const scim_tenant *tenant,
                       apr_uint32_t n, apr_time_t now)
{
    scim_kv_rc rc = get(out, txn, tenant);

    if (rc != SCIM_KV_OK || out->on) {
        return rc == SCIM_KV_OK ? SCIM_KV_REFUSED : rc;
    }
    if (out->since > now) {
        /* The clock went back: an hour from now on, not from then. */
        out->since = now;
    }
    if (now - out->since >= WINDOW) {
        out->since = now;
        out->count = 0;
    }
    return (apr_uint64_t)out->count + n > tenant->policy.delete_limit ? SCIM_KV_REFUSED
                                                                      : SCIM_KV_OK;
}

scim_kv_rc brake_count(const scim_brake *brake, scim_kv_txn *txn, const scim_tenant *tenant,
                       apr_uint32_t n)
{
    scim_brake counted = *brake;

    counted.count += n;
    return put(&counted, txn, tenant);
}

scim_kv_rc brake_hold(const scim_brake *brake, scim_kv_txn *txn, const scim_tenant *tenant)
{
    scim_brake held = *brake;

    if (held.on) {
        return SCIM_KV_OK;
    }
    held.on = true;
    return put(&held, txn, tenant);
}

typedef struct tripping {
    const scim_tenant *tenant;
    apr_uint32_t n;
    apr_time_t now;
} tripping;

static scim_kv_rc trip(scim_kv_txn *txn, void *baton)
{
    const tripping *t = baton;
    scim_brake brake;
    scim_kv_rc rc = store_check_format(txn);

    if (rc == SCIM_KV_OK) {
        rc = tenant_check(txn, t->tenant);
    }
    if (rc == SCIM_KV_OK) {
        rc = brake_check(&brake, txn, t->tenant, t->n, t->now);
    }
    return rc == SCIM_KV_REFUSED ? brake_hold(&brake, txn, t->tenant) : rc;
}

void brake_trip(scim_store *store, const scim_tenant *tenant, apr_uint32_t n, apr_time_t now)
{
    tripping t = {tenant, n, now};

    scim_kv_update(store->kv, trip, &t);
}

/* A group with more members than may go in an hour is refused, however often
 * the brake is released. */
const scim_error *brake_refusal(const scim_tenant *tenant, apr_uint32_t n,
                                apr_pool_t *result_pool)
{
    apr_uint32_t limit = tenant->policy.delete_limit;

    return scim_error_make(
        result_pool, SCIM_E_TOO_MANY_REQUESTS,
        "The brake on mass deletion is on (SCIMDeleteLimit): more than %u users of this "
        "directory would have been deleted or deactivated in an hour. Nobody more is, until "
        "the administrator of the server has released it: scimctl tenant release %s%s",
        limit, tenant->name,
        n > limit ? apr_psprintf(result_pool,
                                 "; and this group, which has %u members, cannot be deleted "
                                 "before SCIMDeleteLimit allows as many, or members are "
                                 "taken out of it",
                                 n)
                  : "");
}

const scim_error *scim_brake_read(scim_brake *out, scim_view *view, const scim_tenant *tenant)
{
    return scim_store_error(view->pool, get(out, view->txn, tenant), "reading the brake");
}

typedef struct releasing {
    scim_store *store;
    const char *name;
    bool was;
    const scim_error *error;
    apr_pool_t *pool;
} releasing;

static scim_kv_rc release(scim_kv_txn *txn, void *baton)
{
    releasing *r = baton;
    scim_view view = {.store = r->store, .txn = txn, .pool = r->pool};
    scim_kv_rc rc = store_check_format(txn);
    scim_tenant tenant;
    scim_brake brake;
    scim_key key;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    r->error = scim_tenant_find(&tenant, &view, r->name);
    if (r->error) {
        return SCIM_KV_REFUSED;
    }
    rc = get(&brake, txn, &tenant);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    r->was = brake.on;
    brake_key(&key, &tenant);
    rc = scim_kv_del(txn, scim_key_slice(&key));
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

const scim_error *scim_brake_release(bool *was, scim_store *store, const char *tenant,
                                     apr_pool_t *result_pool)
{
    releasing r = {.store = store, .name = tenant, .pool = result_pool};
    scim_kv_rc rc = scim_kv_update_exclusive(store->kv, release, &r);

    *was = r.was;
    return rc == SCIM_KV_REFUSED ? r.error
                                 : scim_store_error(result_pool, rc, "releasing the brake");
}
