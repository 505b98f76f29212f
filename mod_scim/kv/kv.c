/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front of the key-value engines: finds the engine of a url, keeps the
 * limits that all engines share, and hands each call on.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "engine.h"

#define ENGINES 8

static const scim_kv_engine *engines[ENGINES] = {&scim_kv_lmdb, &scim_kv_memory};

static const scim_kv_options defaults;

bool scim_kv_register(const scim_kv_engine *engine)
{
    int i;

    if (engine->version != SCIM_KV_VERSION) {
        return false;
    }
    for (i = 0; i < ENGINES && engines[i]; i++) {
        if (!strcmp(engines[i]->name, engine->name)) {
            break;
        }
    }
    if (i == ENGINES) {
        return false;
    }
    engines[i] = engine;
    return true;
}

void scim_kv_unregister(const scim_kv_engine *engine)
{
    int i, last = ENGINES - 1;

    while (last > 0 && !engines[last]) {
        last--;
    }
    for (i = 0; i <= last; i++) {
        if (engines[i] == engine) {
            engines[i] = engines[last];
            engines[last] = NULL;
            return;
        }
    }
}

const scim_kv_engine *scim_kv_find_engine(const char *url, const char **where)
{
    for (int i = 0; i < ENGINES && engines[i]; i++) {
        size_t len = strlen(engines[i]->name);

        if (!strncmp(url, engines[i]->name, len) && url[len] == ':') {
            *where = url + len + 1;
            return engines[i];
        }
    }
    return NULL;
}

bool scim_kv_networked(const char *url)
{
    const char *where;
    const scim_kv_engine *engine = scim_kv_find_engine(url, &where);

    return engine && engine->networked;
}

/* How often this process was forked since its program began: a system call less
 * for every transaction than its number. */
static unsigned int generation;

static void count_fork(void)
{
    generation++;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

/* A child made by fork inherits the pool with its cleanups, but the store is
 * its parent's. */
static apr_status_t close_store(void *data)
{
    scim_kv *kv = data;

    if (kv->generation == generation) {
        kv->engine->close(kv);
    }
    return APR_SUCCESS;
}

scim_kv_rc scim_kv_open(scim_kv **out, const char *url, const scim_kv_options *options,
                        const char **why, apr_pool_t *pool)
{
    const scim_kv_engine *engine;
    const char *where;
    const char *ignored;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    scim_kv_rc rc;

    *out = NULL;
    pthread_once(&once, watch_forks);
    engine = scim_kv_find_engine(url, &where);
    why = why ? why : &ignored;
    if (!engine || scim_kv_has_secret(url, pool)) {
        *why = scim_kv_no_engine(url, pool);
        return SCIM_KV_INVALID;
    }
    rc = engine->open(out, where, options ? options : &defaults, why, pool);
    if (rc == SCIM_KV_OK) {
        (*out)->engine = engine;
        (*out)->pool = pool;
        (*out)->generation = generation;
        apr_pool_cleanup_register(pool, *out, close_store, apr_pool_cleanup_null);
    }
    return rc;
}

void scim_kv_close(scim_kv *kv)
{
    apr_pool_cleanup_run(kv->pool, kv, close_store);
}

/* A store used after fork seems to work, and corrupts the book-keeping between
 * processes: refused rather than left to be found out. */
static bool foreign(const scim_kv *kv)
{
    return kv->generation != generation;
}

scim_kv_rc scim_kv_view(scim_kv *kv, scim_kv_fn fn, void *baton)
{
    return foreign(kv) ? SCIM_KV_INVALID : kv->engine->view(kv, fn, baton);
}

scim_kv_rc scim_kv_update(scim_kv *kv, scim_kv_fn fn, void *baton)
{
    scim_kv_job job = {.fn = fn, .baton = baton, .rc = SCIM_KV_IO};

    scim_kv_update_all(kv, &job, 1);
    return job.rc;
}

scim_kv_rc scim_kv_update_exclusive(scim_kv *kv, scim_kv_fn fn, void *baton)
{
    return foreign(kv) ? SCIM_KV_INVALID : kv->engine->update_exclusive(kv, fn, baton);
}

scim_kv_rc scim_kv_update_all(scim_kv *kv, scim_kv_job *jobs, int count)
{
    if (foreign(kv)) {
        for (int i = 0; i < count; i++) {
            jobs[i].rc = SCIM_KV_INVALID;
        }
        return SCIM_KV_INVALID;
    }
    return count > 0 ? kv->engine->update_all(kv, jobs, count) : SCIM_KV_OK;
}

static bool key_fits(scim_slice key)
{
    return key.len > 0 && key.len <= SCIM_KV_MAX_KEY;
}

scim_kv_rc scim_kv_get(scim_kv_txn *txn, scim_slice key, scim_slice *value)
{
    return key_fits(key) ? txn->kv->engine->get(txn, key, value) : SCIM_KV_INVALID;
}

scim_kv_rc scim_kv_put(scim_kv_txn *txn, scim_slice key, scim_slice value, bool no_overwrite)
{
    if (!key_fits(key) || value.len > SCIM_KV_MAX_VALUE) {
        return SCIM_KV_INVALID;
    }
    return txn->writable ? txn->kv->engine->put(txn, key, value, no_overwrite)
                         : SCIM_KV_READONLY;
}

scim_kv_rc scim_kv_append(scim_kv_txn *txn, scim_slice key, scim_slice value)
{
    if (!key_fits(key) || value.len > SCIM_KV_MAX_VALUE) {
        return SCIM_KV_INVALID;
    }
    return txn->writable ? txn->kv->engine->append(txn, key, value) : SCIM_KV_READONLY;
}

scim_kv_rc scim_kv_del(scim_kv_txn *txn, scim_slice key)
{
    if (!key_fits(key)) {
        return SCIM_KV_INVALID;
    }
    return txn->writable ? txn->kv->engine->del(txn, key) : SCIM_KV_READONLY;
}

scim_kv_rc scim_kv_add(scim_kv_txn *txn, scim_slice key, apr_int64_t amount, apr_int64_t *sum)
{
    unsigned char bytes[SCIM_KV_COUNTER];
    apr_int64_t number = 0;
    scim_slice value;
    scim_kv_rc rc;

    if (txn->kv->engine->add) {
        return !key_fits(key)   ? SCIM_KV_INVALID
               : txn->writable ? txn->kv->engine->add(txn, key, amount, sum)
                               : SCIM_KV_READONLY;
    }
    rc = scim_kv_get(txn, key, &value);
    if (rc == SCIM_KV_OK) {
        if (value.len != SCIM_KV_COUNTER) {
            return SCIM_KV_CORRUPT;
        }
        number = scim_kv_counter(value);
    } else if (rc != SCIM_KV_NOTFOUND) {
        return rc;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        return SCIM_KV_INVALID;
    }
    scim_kv_encode_counter(bytes, number);
    rc = scim_kv_put(txn, key, (scim_slice){bytes, SCIM_KV_COUNTER}, false);
    if (rc == SCIM_KV_OK && sum) {
        *sum = number;
    }
    return rc;
}

scim_kv_cursor *scim_kv_cursor_open(scim_kv_txn *txn)
{
    return txn->kv->engine->cursor_open(txn);
}

void scim_kv_cursor_close(scim_kv_cursor *cursor)
{
    if (cursor->txn->kv->engine->cursor_close) {
        cursor->txn->kv->engine->cursor_close(cursor);
    }
}

void scim_kv_within(scim_kv_cursor *cursor, scim_slice prefix)
{
    if (cursor->txn->kv->engine->within && prefix.len <= SCIM_KV_MAX_KEY) {
        cursor->txn->kv->engine->within(cursor, prefix);
    }
}

/* Engines fill both slices; a caller wants either. */
static scim_slice *wanted(scim_slice *slice, scim_slice *ignored)
{
    return slice ? slice : ignored;
}

scim_kv_rc scim_kv_seek(scim_kv_cursor *cursor, scim_slice at, scim_slice *key,
                        scim_slice *value)
{
    scim_slice ignored;

    if (at.len > SCIM_KV_MAX_KEY) {
        return SCIM_KV_INVALID;
    }
    return cursor->txn->kv->engine->seek(cursor, at, wanted(key, &ignored),
                                         wanted(value, &ignored));
}

scim_kv_rc scim_kv_next(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value)
{
    scim_slice ignored;

    return cursor->txn->kv->engine->next(cursor, wanted(key, &ignored),
                                         wanted(value, &ignored));
}

scim_kv_rc scim_kv_prev(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value)
{
    scim_slice ignored;

    return cursor->txn->kv->engine->prev(cursor, wanted(key, &ignored),
                                         wanted(value, &ignored));
}

bool scim_kv_far(const scim_kv_txn *txn)
{
    return txn->kv->engine->expect != NULL;
}

apr_uint64_t scim_kv_epoch(scim_kv_txn *txn)
{
    return txn->kv->engine->epoch ? txn->kv->engine->epoch(txn) : 0;
}

bool scim_kv_bold(const scim_kv_txn *txn)
{
    return txn->bold;
}

void scim_kv_expect(scim_kv_txn *txn, const scim_kv_wish *wishes, int count)
{
    while (scim_kv_far(txn) && count > 0) {
        int some = count < SCIM_KV_MAX_WISHES ? count : SCIM_KV_MAX_WISHES;

        txn->kv->engine->expect(txn, wishes, some);
        wishes += some;
        count -= some;
    }
}

bool scim_kv_writable(const scim_kv_txn *txn)
{
    return txn->writable;
}

apr_uint64_t scim_kv_state(scim_kv_txn *txn)
{
    return txn->kv->engine->state(txn);
}

scim_kv_rc scim_kv_check(scim_kv *kv, int *freed)
{
    int ignored;

    freed = freed ? freed : &ignored;
    *freed = 0;
    return foreign(kv) ? SCIM_KV_INVALID : kv->engine->check(kv, freed);
}

scim_kv_rc scim_kv_statistics(scim_kv *kv, scim_kv_stat *out)
{
    memset(out, 0, sizeof(*out));
    return foreign(kv) ? SCIM_KV_INVALID : kv->engine->statistics(kv, out);
}

const char *scim_kv_fault(scim_kv *kv, apr_pool_t *pool)
{
    return foreign(kv) || !kv->engine->fault ? NULL : kv->engine->fault(kv, pool);
}

scim_kv_rc scim_kv_examine(scim_kv *kv, const scim_kv_examiner *to)
{
    return foreign(kv) ? SCIM_KV_INVALID : kv->engine->examine(kv, to);
}

static apr_status_t end_claim(void *data)
{
    scim_kv_claim *claim = data;

    claim->engine->unclaim(claim);
    return APR_SUCCESS;
}

bool scim_kv_claimable(const char *url)
{
    const char *where;
    const scim_kv_engine *engine = scim_kv_find_engine(url, &where);

    return engine && engine->claim;
}

scim_kv_rc scim_kv_claim_store(scim_kv_claim **out, const char *url, const char **why,
                               apr_pool_t *pool)
{
    const char *where = NULL;
    const scim_kv_engine *engine = scim_kv_find_engine(url, &where);
    scim_kv_rc rc;

    if (!engine || !engine->claim) {
        *why = engine ? apr_psprintf(pool,
                                     "%s is no store that can be replaced: only one in a "
                                     "directory (lmdb:) can",
                                     url)
                      : scim_kv_no_engine(url, pool);
        return SCIM_KV_INVALID;
    }
    rc = engine->claim(out, where, why, pool);
    if (rc == SCIM_KV_OK) {
        (*out)->engine = engine;
        (*out)->pool = pool;
        (*out)->where = apr_pstrdup(pool, where);
        apr_pool_cleanup_register(pool, *out, end_claim, apr_pool_cleanup_null);
    }
    return rc;
}

scim_kv_rc scim_kv_claim_place(scim_kv_claim *claim, const char **url, const char **why)
{
    return claim->engine->place(claim, url, why);
}

scim_kv_rc scim_kv_claim_replace(scim_kv_claim *claim, const char **kept, const char **why)
{
    return claim->engine->replace(claim, kept, why);
}

void scim_kv_claim_end(scim_kv_claim *claim)
{
    apr_pool_cleanup_run(claim->pool, claim, end_claim);
}

const char *scim_kv_strerror(scim_kv_rc rc)
{
    switch (rc) {
    case SCIM_KV_OK:
        return "success";
    case SCIM_KV_NOTFOUND:
        return "not found in the store";
    case SCIM_KV_EXISTS:
        return "exists already in the store";
    case SCIM_KV_STALE:
        return "what was prepared is out of date";
    case SCIM_KV_CONFLICT:
        return "gave up after too many conflicts with other writers";
    case SCIM_KV_FULL:
        return "the store is full: it has grown to the size that it may have";
    case SCIM_KV_DISK_FULL:
        return "the store's disk is full";
    case SCIM_KV_READONLY:
        return "the store takes no writes";
    case SCIM_KV_BUSY:
        return "the store is busy";
    case SCIM_KV_CORRUPT:
        return "the store is damaged";
    case SCIM_KV_INVALID:
        return "the call is not valid: a key, a value or the process is not acceptable";
    case SCIM_KV_REFUSED:
        return "refused";
    case SCIM_KV_IO:
        return "the system reports an error";
    }
    return "unknown result";
}
