/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LMDB alone can do: raw STORE USERS SECONDS.
 *
 * Writes into a copy of a filled store what a POST of a user leaves there, the
 * same rows of the same sizes at the same places, in a transaction each, one
 * thread, synced, and prints how many there were a second.  Nothing is read,
 * checked or computed for it, and no seal is valid: the store is spoiled.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "rows.h"

typedef struct writer {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned char prefix[RECORD_PREFIX];
    unsigned user_name, external_id, email;
    unsigned char id[ID];     /* of the last user */
    unsigned char anchor[ID]; /* of the last run of users */
    int64_t count;
    void *record; /* as any user's */
    size_t record_len;
} writer;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put(writer *w, const void *key, size_t key_len, const void *value, size_t len)
{
    MDB_val k = {key_len, (void *)key}, v = {len, (void *)value};

    must(mdb_put(w->txn, w->dbi, &k, &v, 0), "mdb_put");
}

/* A row of an index: the id is its value where that is unique, else the end of
 * its key. */
static void put_index(writer *w, bool unique, unsigned index, const char *text)
{
    unsigned char key[128] = {'i'}, value[SEAL + ID] = {0};
    size_t len = 5 + strlen(text) + 1;

    memcpy(key + 1, w->prefix + 1, 4);
    memcpy(key + 5, text, len - 5);
    key[len++] = (unsigned char)(index >> 8);
    key[len++] = (unsigned char)index;
    if (unique) {
        memcpy(value + SEAL, w->id, ID);
        put(w, key, len, value, sizeof(value));
    } else {
        memcpy(key + len, w->id, ID);
        put(w, key, len + ID, "", 0);
    }
}

static void put_counter(writer *w, const unsigned char *key, size_t len, int64_t count)
{
    unsigned char value[8];
    int i;

    for (i = 0; i < 8; i++) {
        value[i] = (unsigned char)((uint64_t)count >> (56 - 8 * i));
    }
    put(w, key, len, value, sizeof(value));
}

static void next_id(writer *w)
{
    int i;

    /* The 48 bits of a UUIDv7's time, some microseconds on. */
    for (i = 5; i >= 0 && ++w->id[i] == 0; i--) {
    }
}

static void put_record(writer *w)
{
    unsigned char key[RECORD_PREFIX + ID];

    memcpy(key, w->prefix, RECORD_PREFIX);
    memcpy(key + RECORD_PREFIX, w->id, ID);
    put(w, key, sizeof(key), w->record, w->record_len);
}

static void put_counters(writer *w)
{
    unsigned char key[RECORD_PREFIX + ID];

    memcpy(key, w->prefix, RECORD_PREFIX);
    key[0] = 'a';
    if (++w->count % 1024 == 0) {
        memcpy(w->anchor, w->id, ID);
    }
    memcpy(key + RECORD_PREFIX, w->anchor, ID);
    put_counter(w, key, sizeof(key), w->count % 1024 + 1);
    memcpy(key, "c", 1);
    memmove(key + 6, w->prefix + 5, 2);
    key[5] = 'T';
    put_counter(w, key, 8, w->count);
}

static void create(writer *w, long users)
{
    char text[100];
    long n = random() % users;

    must(mdb_txn_begin(w->env, NULL, 0, &w->txn), "mdb_txn_begin");
    next_id(w);
    put_record(w);
    snprintf(text, sizeof(text), "u%ld.raw%lld@example.com", n, (long long)w->count);
    put_index(w, true, w->user_name, text);
    snprintf(text, sizeof(text), "u%ld.raw%lld", n, (long long)w->count);
    put_index(w, false, w->external_id, text);
    snprintf(text, sizeof(text), "u%ld.raw%lld@mail.example.com", n, (long long)w->count);
    put_index(w, false, w->email, text);
    put_counters(w);
    must(mdb_txn_commit(w->txn), "mdb_txn_commit");
}

/* The last row of the table in which the prefix stands. */
static void last_row(writer *w, MDB_cursor *cursor, char table, MDB_val *key, MDB_val *value)
{
    unsigned char behind[RECORD_PREFIX + ID];

    memset(behind, 0xff, sizeof(behind));
    memcpy(behind, w->prefix, RECORD_PREFIX);
    behind[0] = (unsigned char)table;
    *key = (MDB_val){sizeof(behind), behind};
    if (mdb_cursor_get(cursor, key, value, MDB_SET_RANGE)) {
        must(mdb_cursor_get(cursor, key, value, MDB_LAST), "the last row");
    } else {
        must(mdb_cursor_get(cursor, key, value, MDB_PREV), "the last row");
    }
    if (key->mv_size != sizeof(behind) || memcmp(key->mv_data, behind, RECORD_PREFIX)) {
        must(MDB_NOTFOUND, "a user");
    }
}

static void look_around(writer *w)
{
    MDB_val key, value;
    MDB_cursor *cursor;

    must(mdb_txn_begin(w->env, NULL, MDB_RDONLY, &w->txn), "mdb_txn_begin");
    must(mdb_cursor_open(w->txn, w->dbi, &cursor), "mdb_cursor_open");
    user_prefix(w->prefix, w->txn, w->dbi);
    w->user_name = read_number(w->txn, w->dbi, "sindex/u/User/userName");
    w->external_id = read_number(w->txn, w->dbi, "sindex/i/User/externalId");
    w->email = read_number(w->txn, w->dbi, "sindex/i/User/emails.value");
    last_row(w, cursor, 'a', &key, &value);
    memcpy(w->anchor, (char *)key.mv_data + RECORD_PREFIX, ID);
    last_row(w, cursor, 'r', &key, &value);
    memcpy(w->id, (char *)key.mv_data + RECORD_PREFIX, ID);
    w->record_len = value.mv_size;
    w->record = malloc(value.mv_size);
    memcpy(w->record, value.mv_data, value.mv_size);
    mdb_cursor_close(cursor);
    mdb_txn_abort(w->txn);
}

int main(int argc, char **argv)
{
    writer w = {0};
    long done = 0;
    double start, seconds;

    if (argc != 4) {
        fprintf(stderr, "usage: raw STORE USERS SECONDS\n");
        return 2;
    }
    seconds = atof(argv[3]);
    w.env = open_store(argv[1], 0, &w.dbi);
    look_around(&w);
    w.count = time(NULL) % 100000 * 20000; /* no name is that of an earlier run */
    srandom((unsigned)w.count);
    for (start = now(); now() - start < seconds; done++) {
        create(&w, atol(argv[2]));
    }
    printf("%.1f\n", (double)done / (now() - start));
    free(w.record);
    mdb_env_close(w.env);
    return 0;
}
