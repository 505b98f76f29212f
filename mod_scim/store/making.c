/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row that says of a store that it is being made: the first of all, since it is put
 * before those that are appended.
 */
#include "scim/making.h"

#include <string.h>

#include <apr_general.h>

#include "scim/store.h"

#include "internal.h"

#define OURS_LEN 16
#define MARK_LEN (4 + OURS_LEN)

#define ROWS_AT_ONCE 5000

struct scim_making {
    scim_kv *kv;
    unsigned char ours[OURS_LEN]; /* random: no other making has it */
};

static void mark_key(scim_key *key)
{
    scim_key_begin(key, SCIM_TABLE_MAKING);
}

bool store_is_making(scim_slice key)
{
    return key.len == 1 && *(const char *)key.data == SCIM_TABLE_MAKING;
}

static scim_kv_rc read_mark(scim_slice *out, scim_kv_txn *txn)
{
    scim_key key;

    mark_key(&key);
    return store_get(txn, &key, MARK_LEN, out);
}

scim_kv_rc store_making_format(scim_kv_txn *txn, apr_uint32_t *format)
{
    scim_slice mark;
    scim_kv_rc rc = read_mark(&mark, txn);

    if (rc == SCIM_KV_OK) {
        *format = store_get_u32(mark.data);
    }
    return rc;
}

scim_kv_rc store_making_check(scim_kv_txn *txn, const scim_making *making)
{
    scim_slice mark;
    scim_kv_rc rc = read_mark(&mark, txn);

    if (rc == SCIM_KV_NOTFOUND) {
        return SCIM_KV_REFUSED;
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    return memcmp((const char *)mark.data + 4, making->ours, OURS_LEN) ? SCIM_KV_REFUSED
                                                                       : SCIM_KV_OK;
}

static scim_kv_rc drop_mark(scim_kv_txn *txn)
{
    scim_key key;
    scim_kv_rc rc;

    mark_key(&key);
    rc = scim_kv_del(txn, scim_key_slice(&key));
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc put_mark(scim_kv_txn *txn, const scim_making *making)
{
    unsigned char mark[MARK_LEN];
    scim_kv_rc rc = drop_mark(txn);
    scim_key key;

    store_put_u32(mark, SCIM_STORE_FORMAT);
    memcpy(mark + 4, making->ours, OURS_LEN);
    mark_key(&key);
    return rc == SCIM_KV_OK ? store_put_new(txn, &key, mark, sizeof(mark)) : rc;
}

/* Takes the place: EXISTS where something is there that nobody left half made. */
static scim_kv_rc take_place(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_kv_rc rc = scim_kv_seek(cursor, (scim_slice){"", 0}, &key, NULL);

    if (rc == SCIM_KV_OK && !store_is_making(key)) {
        return SCIM_KV_EXISTS;
    }
    return rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND ? put_mark(txn, baton) : rc;
}

typedef struct clearing {
    const scim_making *making;
    bool more;
} clearing;

static scim_kv_rc clear_some(scim_kv_txn *txn, void *baton)
{
    clearing *c = baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_kv_rc rc = store_making_check(txn, c->making);
    scim_slice at, key;
    scim_key mark;
    int rows = 0;

    mark_key(&mark);
    at = scim_key_slice(&mark);
    if (rc == SCIM_KV_OK) {
        rc = scim_kv_seek(cursor, at, &key, NULL);
    }
    while (rc == SCIM_KV_OK && rows < ROWS_AT_ONCE) {
        rc = scim_kv_next(cursor, &key, NULL);
        if (rc == SCIM_KV_OK) {
            rc = scim_kv_del(txn, key);
            rows++;
        }
    }
    c->more = rc == SCIM_KV_OK;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static const scim_error *clear(scim_making *making, apr_pool_t *pool)
{
    clearing c = {.making = making, .more = true};

    while (c.more) {
        scim_kv_rc rc = scim_kv_update_exclusive(making->kv, clear_some, &c);

        if (rc != SCIM_KV_OK) {
            return store_load_error(pool, rc);
        }
    }
    return NULL;
}

const scim_error *scim_making_begin(scim_making **out, scim_kv *kv, apr_pool_t *pool)
{
    scim_making *making = apr_pcalloc(pool, sizeof(*making));
    scim_kv_rc rc;

    making->kv = kv;
    if (apr_generate_random_bytes(making->ours, OURS_LEN) != APR_SUCCESS) {
        return scim_store_error(pool, SCIM_KV_IO, "asking the system for random bytes");
    }
    rc = scim_kv_update_exclusive(kv, take_place, making);
    if (rc == SCIM_KV_EXISTS) {
        return scim_error_make(pool, SCIM_E_UNIQUENESS, "it is not empty");
    }
    if (rc != SCIM_KV_OK) {
        return store_load_error(pool, rc);
    }
    *out = making;
    return clear(making, pool);
}

static scim_kv_rc finish(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc rc = store_making_check(txn, baton);

    if (rc == SCIM_KV_OK) {
        rc = store_put_format(txn);
    }
    return rc == SCIM_KV_OK ? drop_mark(txn) : rc;
}

const scim_error *scim_making_end(scim_making *making, apr_pool_t *result_pool)
{
    scim_kv_rc rc = scim_kv_update_exclusive(making->kv, finish, making);

    return rc == SCIM_KV_OK ? NULL : store_load_error(result_pool, rc);
}
