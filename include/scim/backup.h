/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a store, and what is made of them: a copy of one state as a stream
 * of bytes that no engine's version matters to; a store that is filled from one,
 * or from another store; and what is whole in a store that is damaged.
 *
 * The stream is described in mod_scim/store/FORMAT.  All that is in it stands
 * under one SHA-256 at its end, so that one that was altered or cut short is
 * found out before anything is done with it.  It holds what the store holds:
 * users, the hashes of tokens and passwords, the key of cursors.  It is as secret.
 */
#ifndef SCIM_BACKUP_H
#define SCIM_BACKUP_H

#include "scim/making.h"
#include "scim/store.h"
#include "scim/verify.h"

#define SCIM_BACKUP_VERSION 1

/* The other end of a stream.  Each returns an errno, 0 for success. */
typedef struct scim_backup_sink {
    int (*write)(const void *data, apr_size_t len, void *baton);
    void *baton;
} scim_backup_sink;

typedef struct scim_backup_source {
    /* *len: how much there is room for, then how much was read; 0 at the end. */
    int (*read)(void *data, apr_size_t *len, void *baton);
    void *baton;
} scim_backup_source;

#define SCIM_BACKUP_SUM 16

typedef struct scim_backup {
    apr_uint64_t rows;
    apr_uint64_t bytes;                 /* of the stream, or of the rows */
    unsigned char sum[SCIM_BACKUP_SUM]; /* of copies and sums: two are the same where all rows
                                           and their order are */
    apr_uint64_t grown;                 /* bytes that the store grew by while it was read */
    apr_time_t made;
    char instance[33]; /* of the store, in hexadecimal; "" where it has none */
} scim_backup;

/* May be NULL, and so may progress: rows so far, or of a stream that is read its
 * bytes. */
typedef struct scim_backup_watcher {
    void (*progress)(apr_uint64_t done, void *baton);
    void *baton;
} scim_backup_watcher;

/* Writes one state of the store, while others write to it.  A store with any
 * damage is none to keep a backup of: the error says so, and what was written is
 * worth nothing, as after every error.  What is changed meanwhile cannot take the
 * place of what it was; where the store has grown by more than limit bytes so
 * (0: its own size, and 1 GiB at least) the backup is given up. */
const scim_error *scim_backup_write(scim_backup *out, scim_store *store,
                                    const scim_backup_sink *sink, apr_uint64_t limit,
                                    const scim_backup_watcher *watcher,
                                    apr_pool_t *result_pool);

/* Fills an empty engine from a stream: all of it is there, and as it was, where
 * this returns success.  making: what scim_making_begin gave; NULL where nobody else can come
 * to the engine before it is full.  The errors are for who typed the command. */
const scim_error *scim_backup_read(scim_backup *out, scim_kv *into, const scim_making *making,
                                   const scim_backup_source *source,
                                   const scim_backup_watcher *watcher, apr_pool_t *result_pool);

/* Fills an empty engine with the rows of one state of another; making as above.  It is given
 * up where the other has grown too much meanwhile, see scim_backup_write. */
const scim_error *scim_backup_copy(scim_backup *out, scim_kv *into, const scim_making *making,
                                   scim_kv *from, const scim_backup_watcher *watcher,
                                   apr_pool_t *result_pool);

/* Reads all rows of one state, and adds them up; what makes a store of a place that is being
 * filled is left out, and so is what says that it is. */
const scim_error *scim_backup_sum(scim_backup *out, scim_kv *kv,
                                  const scim_backup_watcher *watcher, apr_pool_t *result_pool);

/* What a salvage came to. */
typedef struct scim_salvage {
    apr_uint64_t rows; /* kept as they were */
    apr_uint64_t made; /* made anew from those: indexes, counts */
    apr_uint64_t lost; /* things told of */
} scim_salvage;

/* The first half of a salvage, from a damaged data file of the lmdb engine, which
 * nobody writes to: what a store knows of itself and of its tenants goes to an
 * empty engine, so that it can be opened as a store.  What is damaged is told, and
 * what could only be guessed.  400 where nothing of a store can be found. */
const scim_error *scim_salvage_begin(scim_salvage *out, scim_kv *into, int fd,
                                     const scim_registry *registry,
                                     const scim_verify_watcher *watcher, apr_time_t now,
                                     apr_pool_t *result_pool);

/* The second half: every other row of the file whose seal holds goes to that
 * store, and all that follows from these is made anew; what leads to something
 * that is lost is dropped, and told. */
const scim_error *scim_salvage_end(scim_salvage *out, scim_store *store, int fd,
                                   const scim_verify_watcher *watcher, apr_time_t now,
                                   apr_pool_t *result_pool);

#endif
