/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engines of this directory share: the memory of a transaction, the
 * lock that writers of one process queue on, and the judgement of a directory.
 */
#ifndef SCIM_KV_ENGINE_H
#define SCIM_KV_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "scim/kv.h"

#define SCIM_KV_DEFAULT_TIMEOUT apr_time_from_sec(10)

/* Gives back all that scim_kv_scratch handed out.  For the end of every run of
 * every function, success or not. */
void scim_kv_arena_clear(scim_kv_txn *txn);

/* BUSY when timeout passes first; INVALID when this thread holds the lock: an
 * update inside an update. */
void scim_kv_lock_init(pthread_mutex_t *lock);
scim_kv_rc scim_kv_lock(pthread_mutex_t *lock, apr_interval_time_t timeout);

/* What every transaction of a process passes, and few things close. */
#define SCIM_KV_GATE_LINES 64

typedef struct scim_kv_gate {
    struct {
        _Alignas(64) atomic_uint inside;
    } lines[SCIM_KV_GATE_LINES];
    atomic_bool closed;
    pthread_mutex_t lock; /* of those who wait for it to open */
    pthread_cond_t opened;
} scim_kv_gate;

void scim_kv_gate_init(scim_kv_gate *gate);
void scim_kv_gate_destroy(scim_kv_gate *gate);

/* Waits while it is closed, but not where this thread is inside already.  Who
 * enters by a line leaves by it. */
void scim_kv_gate_enter(scim_kv_gate *gate, unsigned int line);
void scim_kv_gate_leave(scim_kv_gate *gate, unsigned int line);

/* Closes it, and returns when nobody is inside; false where that takes too
 * long, or this thread is inside. */
bool scim_kv_gate_close(scim_kv_gate *gate, apr_time_t until);
void scim_kv_gate_open(scim_kv_gate *gate);

/* Whether nobody is inside at this moment. */
bool scim_kv_gate_empty(scim_kv_gate *gate);

/* Whether path is a directory that a store can live in: it exists, is on a local
 * file system and for nobody else to write to, and what it has of the store's files
 * are files of its own, no links.  *info is its stat. */
scim_kv_rc scim_kv_directory(const char *path, struct stat *info, const char **why,
                             apr_pool_t *pool);

/* pages.c: the state of a data file of LMDB that transaction txn left; ~0: the
 * last one.  STALE where others have committed twice since txn. */
scim_kv_rc scim_kv_pages_state(int fd, apr_uint64_t txn, const scim_kv_examiner *to);

/* pages.c: the rows of the last state whose keys begin with a prefix, read without any
 * lock.  STALE where so much was committed meanwhile that what was read may be of no one
 * state. */
scim_kv_rc scim_kv_pages_rows(int fd, scim_slice prefix, const scim_kv_examiner *to);

/* pages.c: whether a data file of LMDB may be used in the state that txn left, by what
 * is soon looked at: its length, the list of its free pages, and the root.  CORRUPT
 * where that would end a process; *cut: since the file ends too early.  STALE as
 * above. */
scim_kv_rc scim_kv_pages_open(bool *cut, int fd, apr_uint64_t txn);

/* The order of keys. */
static inline int scim_kv_compare(scim_slice a, scim_slice b)
{
    apr_size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* counter.c: the bytes of a counter, which scim_kv_counter reads. */
#define SCIM_KV_COUNTER 8
void scim_kv_encode_counter(unsigned char *bytes, apr_int64_t number);

/* kv.c: the engine that a url names, and what stands behind its colon; NULL where it is not
 * known. */
const scim_kv_engine *scim_kv_find_engine(const char *url, const char **where);

/* url.c: why a url names nothing that can be opened; in pool. */
const char *scim_kv_no_engine(const char *url, apr_pool_t *pool);

/* "www-data (uid 33)": whom the system asks about permissions. */
const char *scim_kv_user(apr_pool_t *pool);

#endif
