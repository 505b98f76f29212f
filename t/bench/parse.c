/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a filter would cost that parsed every record: parse STORE [warm].
 *
 * Walks over all users of a store, parses each with Jansson, and prints how
 * many there are a second.  With "warm" it parses nothing: it only touches each
 * page of the store, one at a time, so that they come into memory as requests
 * would have brought them in.
 */
#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#include "rows.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void parse_record(const MDB_val *value)
{
    const char *record = value->mv_data;
    size_t head = RECORD_HEAD + 2 + read_u16(record + RECORD_HEAD);
    json_error_t error;
    json_t *json = json_loadb(record + head, value->mv_size - head, 0, &error);

    if (!json) {
        fprintf(stderr, "parse: %s\n", error.text);
        exit(1);
    }
    json_decref(json);
}

static long walk(MDB_cursor *cursor, const unsigned char *prefix, size_t len, bool parse)
{
    MDB_val key = {len, (void *)prefix}, value;
    long count = 0;
    int err;

    for (err = mdb_cursor_get(cursor, &key, &value, len ? MDB_SET_RANGE : MDB_FIRST);
         !err && key.mv_size >= len && !memcmp(key.mv_data, prefix, len);
         err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        if (parse) {
            parse_record(&value);
        } else if (value.mv_size) {
            /* Reads what no compiler may leave out. */
            (void)*(volatile char *)((char *)value.mv_data + value.mv_size - 1);
        }
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    bool parse = argc == 2;
    unsigned char prefix[RECORD_PREFIX];
    MDB_cursor *cursor;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    double start;
    long count;

    if (argc < 2) {
        fprintf(stderr, "usage: parse STORE [warm]\n");
        return 2;
    }
    env = open_store(argv[1], MDB_RDONLY, &dbi);
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    must(mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
    user_prefix(prefix, txn, dbi);
    start = now();
    count = walk(cursor, prefix, parse ? sizeof(prefix) : 0, parse);
    printf("%.1f\n", (double)count / (now() - start));
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}
