/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engines of this directory share: the memory of a transaction, the
 * lock that writers of one process queue on, and the judgement of a directory.
 */
#ifndef SCIM_KV_ENGINE_H
#define SCIM_KV_ENGINE_H

#include <pthread.h>
#include <sys/stat.h>

#include "scim/kv.h"

#define SCIM_KV_DEFAULT_TIMEOUT apr_time_from_sec(10)

/* Gives back all that scim_kv_scratch handed out.  For the end of every run of
 * every function, success or not. */
void scim_kv_arena_clear(scim_kv_txn *txn);

/* Ends the process where ptr is NULL, as a pool does; else returns it. */
void *scim_kv_allocated(void *ptr);

/* BUSY when timeout passes first; INVALID when this thread holds the lock: an
 * update inside an update. */
void scim_kv_lock_init(pthread_mutex_t *lock);
scim_kv_rc scim_kv_lock(pthread_mutex_t *lock, apr_interval_time_t timeout);

/* Whether path is a directory that a store can live in: it exists and is on a
 * local file system.  *info is its stat. */
scim_kv_rc scim_kv_directory(const char *path, struct stat *info, const char **why,
                             apr_pool_t *pool);

/* "www-data (uid 33)": whom the system asks about permissions. */
const char *scim_kv_user(apr_pool_t *pool);

#endif
