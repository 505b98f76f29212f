/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What raw.c and parse.c know of a store's format (mod_scim/store/FORMAT): they
 * read and write it with nothing but LMDB.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEAL 8
#define ID 16
#define MAP_SIZE ((size_t)64 << 30)

/* r tenant(4) type(2) */
#define RECORD_PREFIX 7

/* Before the JSON of a record: revision, created, modified, flags, and the
 * length of display. */
#define RECORD_HEAD (SEAL + 8 + 8 + 8 + 2)

static inline void must(int err, const char *what)
{
    if (err) {
        fprintf(stderr, "%s: %s\n", what, mdb_strerror(err));
        exit(1);
    }
}

static inline unsigned read_u16(const void *at)
{
    const unsigned char *bytes = at;

    return (unsigned)bytes[0] << 8 | bytes[1];
}

static inline MDB_env *open_store(const char *path, unsigned flags, MDB_dbi *dbi)
{
    MDB_env *env;
    MDB_txn *txn;

    must(mdb_env_create(&env), "mdb_env_create");
    must(mdb_env_set_mapsize(env, MAP_SIZE), "mdb_env_set_mapsize");
    must(mdb_env_open(env, path, MDB_NORDAHEAD | flags, 0600), path);
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    must(mdb_dbi_open(txn, NULL, 0, dbi), "mdb_dbi_open");
    mdb_txn_abort(txn);
    return env;
}

/* The number of a resource type or an index. */
static inline unsigned read_number(MDB_txn *txn, MDB_dbi dbi, const char *name)
{
    MDB_val key = {strlen(name), (void *)name}, value;

    must(mdb_get(txn, dbi, &key, &value), name);
    return read_u16((char *)value.mv_data + SEAL);
}

/* The prefix of the users of the one tenant that is there. */
static inline void user_prefix(unsigned char *prefix, MDB_txn *txn, MDB_dbi dbi)
{
    MDB_val key = {6, (void *)"tbench"}, value;
    unsigned type = read_number(txn, dbi, "stype/User");

    must(mdb_get(txn, dbi, &key, &value), "tenant bench");
    prefix[0] = 'r';
    memcpy(prefix + 1, (char *)value.mv_data + SEAL, 4);
    prefix[5] = (unsigned char)(type >> 8);
    prefix[6] = (unsigned char)type;
}

#endif
