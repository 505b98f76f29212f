/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deletion of a tenant with all that belongs to it.
 *
 * A step remembers nothing: it takes what it finds first, table by table, so that a
 * deletion that was broken off goes on wherever it was.  Passwords go before the rest,
 * and the record that says what all this is goes last.
 */
#include <string.h>

#include "internal.h"

/* Keys that one transaction deletes. */
#define STEP_KEYS 1000

static const scim_table tables[] = {
    SCIM_TABLE_PENDING, SCIM_TABLE_SECRET,   SCIM_TABLE_INDEX,
    SCIM_TABLE_REFERS,  SCIM_TABLE_MEMBER,   SCIM_TABLE_MEMBER_OF,
    SCIM_TABLE_ANCHOR,  SCIM_TABLE_RESOURCE, SCIM_TABLE_COUNTER};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

typedef struct deletion {
    const char *name;
    bool begun;
    int tokens;
    apr_uint64_t rows;
    bool more;
    apr_time_t locked; /* when the step got the lock of all writers */
    const scim_error *error;
    apr_pool_t *pool;
} deletion;

static void table_prefix(scim_key *key, scim_table table, const scim_tenant *tenant)
{
    scim_key_begin(key, table);
    scim_key_u32(key, tenant->number);
}

/* Marking */

/* Exclusive, as are the steps. */
static scim_kv_rc mark(scim_kv_txn *txn, void *baton)
{
    deletion *d = baton;
    scim_view view = {.txn = txn, .pool = d->pool};
    scim_kv_rc rc = store_check_format(txn);
    scim_tenant tenant;

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    d->error = tenant_read(&tenant, &view, d->name);
    if (d->error) {
        return SCIM_KV_REFUSED;
    }
    d->begun = !tenant.deleting;
    rc = token_drop_all(&d->tokens, txn, &tenant, d->pool);
    return rc == SCIM_KV_OK && d->begun ? tenant_mark(txn, &tenant, d->pool) : rc;
}

const scim_error *scim_tenant_mark(bool *begun, int *tokens, scim_store *store,
                                   const char *name, apr_pool_t *result_pool)
{
    deletion d = {.name = name, .pool = result_pool};
    scim_kv_rc rc = scim_kv_update_exclusive(store->kv, mark, &d);

    *begun = d.begun;
    *tokens = d.tokens;
    return rc == SCIM_KV_REFUSED ? d.error
                                 : scim_store_error(result_pool, rc, "deleting a tenant");
}

/* The tenant, which must be marked. */
static const scim_error *find_marked(scim_tenant *out, scim_view *view, const char *name)
{
    SCIM_ERR(tenant_read(out, view, name));
    if (!out->deleting) {
        return scim_error_make(
            view->pool, SCIM_E_NOT_FOUND,
            "The tenant \"%s\" is not being deleted: another one of this name "
            "was made meanwhile",
            name);
    }
    return NULL;
}

/* Counting */

typedef struct counting {
    const char *name;
    apr_uint64_t rows;
} counting;

static scim_kv_rc count_table(counting *c, scim_kv_txn *txn, scim_table table,
                              const scim_tenant *tenant)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_key prefix;
    scim_kv_rc rc;

    table_prefix(&prefix, table, tenant);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&prefix), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL);
         rc = scim_kv_next(cursor, &key, NULL)) {
        c->rows++;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static const scim_error *count_in_view(scim_view *view, void *baton)
{
    counting *c = baton;
    scim_kv_rc rc = SCIM_KV_OK;
    scim_tenant tenant;
    apr_size_t i;

    SCIM_ERR(find_marked(&tenant, view, c->name));
    for (i = 0; i < TABLES && rc == SCIM_KV_OK; i++) {
        rc = count_table(c, view->txn, tables[i], &tenant);
    }
    return scim_store_error(view->pool, rc, "counting the rows of a tenant");
}

const scim_error *scim_tenant_rows(apr_uint64_t *out, scim_store *store, const char *name,
                                   apr_pool_t *result_pool)
{
    counting c = {name, 0};
    const scim_error *err = scim_store_view(store, count_in_view, &c, result_pool);

    *out = c.rows;
    return err;
}

/* A step */

static scim_kv_rc delete_table(deletion *d, scim_kv_txn *txn, scim_table table,
                               const scim_tenant *tenant)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_key prefix, copy;
    scim_kv_rc rc;

    table_prefix(&prefix, table, tenant);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&prefix), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL);
         rc = scim_kv_next(cursor, &key, NULL)) {
        if (d->rows == STEP_KEYS) {
            d->more = true;
            break;
        }
        copy.len = 0;
        scim_key_bytes(&copy, key.data, key.len);
        rc = scim_kv_del(txn, scim_key_slice(&copy));
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        d->rows++;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc delete_some(scim_kv_txn *txn, void *baton)
{
    deletion *d = baton;
    scim_view view = {.txn = txn, .pool = d->pool};
    scim_kv_rc rc = store_check_format(txn);
    scim_tenant tenant;
    apr_size_t i;

    d->locked = apr_time_now();
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    d->error = find_marked(&tenant, &view, d->name);
    if (d->error) {
        return SCIM_KV_REFUSED;
    }
    for (i = 0; i < TABLES && rc == SCIM_KV_OK && !d->more; i++) {
        rc = delete_table(d, txn, tables[i], &tenant);
    }
    return rc == SCIM_KV_OK && !d->more ? tenant_drop(txn, d->name) : rc;
}

const scim_error *scim_tenant_delete_some(bool *more, apr_uint64_t *rows, scim_store *store,
                                          const char *name, apr_pool_t *result_pool)
{
    deletion d = {.name = name, .pool = result_pool};
    scim_kv_rc rc = scim_kv_update_exclusive(store->kv, delete_some, &d);

    *more = d.more;
    *rows = rc == SCIM_KV_OK ? d.rows : 0;
    if (rc == SCIM_KV_REFUSED) {
        return d.error;
    }
    SCIM_ERR(scim_store_error(result_pool, rc, "deleting a tenant"));
    if (d.more) {
        sweep_pause(d.locked);
    }
    return NULL;
}
