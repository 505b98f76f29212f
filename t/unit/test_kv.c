/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value engines.  The first part is one suite that every engine must
 * pass; then what only LMDB can show: several processes, files, and a system
 * that refuses.  The system is made to refuse by functions of the C library
 * that this program puts in front of the real ones.  What only PostgreSQL can show
 * is in test_pgsql.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "pgsql_fixture.h"

#define OK SCIM_KV_OK
#define NOTFOUND SCIM_KV_NOTFOUND

/*
 * Faults of the system
 */

#define IN_FRONT_OF(name) __asm__(name) __attribute__((visibility("default")))

ssize_t faulty_pwrite(int, const void *, size_t, off_t) IN_FRONT_OF("pwrite");
ssize_t faulty_writev(int, const struct iovec *, int) IN_FRONT_OF("writev");
int faulty_fdatasync(int) IN_FRONT_OF("fdatasync");
int faulty_statvfs(const char *, struct statvfs *) IN_FRONT_OF("statvfs");
int faulty_statfs(const char *, struct statfs *) IN_FRONT_OF("statfs");

/* Numbers of calls that shall fail; LMDB writes less than a page only for the
 * meta page, which names the valid root. */
static struct {
    atomic_int data, meta, sync;
    atomic_bool disk_full;
    unsigned int magic;
} faults;

static bool due(atomic_int *fault)
{
    return atomic_load(fault) > 0 && atomic_fetch_sub(fault, 1) > 0;
}

ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (due(size < 4096 ? &faults.meta : &faults.data)) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t faulty_writev(int fd, const struct iovec *parts, int count)
{
    if (due(&faults.data)) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_writev, fd, parts, count);
}

int faulty_fdatasync(int fd)
{
    if (due(&faults.sync)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int faulty_statvfs(const char *path, struct statvfs *out)
{
    memset(out, 0, sizeof(*out));
    out->f_frsize = 4096;
    out->f_bavail = faults.disk_full ? 3 : 1000 * 1000;
    return 0;
}

int faulty_statfs(const char *path, struct statfs *out)
{
    int rc = (int)syscall(SYS_statfs, path, out);

    out->f_type = faults.magic ? faults.magic : out->f_type;
    return rc;
}

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void) __attribute__((visibility("default")));

/* Its detector of deadlocks gives up where one thread holds a lock 64 times. */
const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}
#endif

/*
 * A store for each test
 */

typedef struct fixture {
    apr_pool_t *pool;
    const char *engine;
    char *directory;
    const char *url;
    scim_kv_options options;
    const char *why;
    scim_kv *kv;
} fixture;

static fixture *current;

static scim_kv *open_store(void)
{
    scim_kv *kv;
    scim_kv_rc rc =
        scim_kv_open(&kv, current->url, &current->options, &current->why, current->pool);

    if (rc != OK) {
        print_error("%s\n", current->why);
        return NULL;
    }
    return kv;
}

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));

    fix->engine = *state;
    apr_pool_create(&fix->pool, NULL);
    fix->directory = apr_pstrdup(fix->pool, "/tmp/scim-test-kv-XXXXXX");
    if (!mkdtemp(fix->directory)) {
        return -1;
    }
    fix->url = !strcmp(fix->engine, "pgsql") ? pgsql_make(fix->pool)
               : !strcmp(fix->engine, "lmdb")
                   ? apr_pstrcat(fix->pool, "lmdb:", fix->directory, NULL)
                   : "memory:";
    fix->options.create = true;
    fix->options.size = 64 * 1024 * 1024;
    *state = current = fix;
    fix->kv = open_store();
    return fix->kv ? 0 : -1;
}

static char *in_directory(const char *name)
{
    return apr_pstrcat(current->pool, current->directory, "/", name, NULL);
}

static int teardown(void **state)
{
    const char *names[] = {"data.mdb", "lock.mdb", "copy/data.mdb", "copy/lock.mdb"};

    memset(&faults, 0, sizeof(faults));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(in_directory(names[i]));
    }
    rmdir(in_directory("copy"));
    rmdir(current->directory);
    apr_pool_destroy(current->pool);
    pgsql_drop();
    free(current);
    current = NULL;
    return 0;
}

/* Closes and opens, maybe with other options. */
static void reopen(void)
{
    scim_kv_close(current->kv);
    current->kv = open_store();
    assert_non_null(current->kv);
}

static scim_slice S(const char *text)
{
    return (scim_slice){text, strlen(text)};
}

static void assert_slice(scim_slice slice, const char *expected)
{
    assert_int_equal(slice.len, strlen(expected));
    assert_memory_equal(slice.data, expected, slice.len);
}

static void assert_value(scim_kv_txn *txn, const char *key, const char *expected)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, S(key), &value);

    if (!expected) {
        assert_int_equal(rc, NOTFOUND);
        return;
    }
    assert_int_equal(rc, OK);
    assert_slice(value, expected);
}

static scim_kv_rc must_put(scim_kv_txn *txn, const char *key, const char *value)
{
    return scim_kv_put(txn, S(key), S(value), false);
}

typedef struct pair {
    const char *key;
    const char *value; /* NULL: delete; or: is not there */
} pair;

static scim_kv_rc put_pair(scim_kv_txn *txn, void *baton)
{
    const pair *p = baton;

    return p->value ? must_put(txn, p->key, p->value) : scim_kv_del(txn, S(p->key));
}

static scim_kv_rc put(scim_kv *kv, const char *key, const char *value)
{
    return scim_kv_update(kv, put_pair, &(pair){key, value});
}

static scim_kv_rc check_pair(scim_kv_txn *txn, void *baton)
{
    const pair *p = baton;

    assert_value(txn, p->key, p->value);
    return OK;
}

static void expect(scim_kv *kv, const char *key, const char *value)
{
    assert_int_equal(scim_kv_view(kv, check_pair, &(pair){key, value}), OK);
}

static scim_kv_rc add_one(scim_kv_txn *txn, void *baton)
{
    return scim_kv_add(txn, S(baton), 1, NULL);
}

static scim_kv_rc read_counter(scim_kv_txn *txn, void *baton)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, S("counter"), &value);

    *(apr_int64_t *)baton = rc == OK ? scim_kv_counter(value) : 0;
    return OK;
}

static apr_int64_t counter(scim_kv *kv)
{
    apr_int64_t number = -1;

    assert_int_equal(scim_kv_view(kv, read_counter, &number), OK);
    return number;
}

/* Puts each word of the list, as key and as value. */
static scim_kv_rc put_words(scim_kv_txn *txn, void *baton)
{
    char *words = strdup(baton);
    char *rest = words;
    char *word;
    scim_kv_rc rc = OK;

    while (rc == OK && (word = strsep(&rest, " "))) {
        rc = must_put(txn, word, word);
    }
    free(words);
    return rc;
}

static void fill(const char *words)
{
    assert_int_equal(scim_kv_update(current->kv, put_words, (void *)words), OK);
}

static void assert_move(scim_kv_rc rc, scim_slice key, const char *expected)
{
    if (!expected) {
        assert_int_equal(rc, NOTFOUND);
        return;
    }
    assert_int_equal(rc, OK);
    assert_slice(key, expected);
}

static void assert_seek(scim_kv_cursor *cursor, const char *at, const char *expected)
{
    scim_slice key;

    assert_move(scim_kv_seek(cursor, S(at), &key, NULL), key, expected);
}

static void assert_next(scim_kv_cursor *cursor, const char *expected)
{
    scim_slice key;

    assert_move(scim_kv_next(cursor, &key, NULL), key, expected);
}

static void assert_prev(scim_kv_cursor *cursor, const char *expected)
{
    scim_slice key;

    assert_move(scim_kv_prev(cursor, &key, NULL), key, expected);
}

/*
 * Every engine: keys and values
 */

static scim_kv_rc get_put_del(scim_kv_txn *txn, void *baton)
{
    scim_slice value;

    assert_int_equal(scim_kv_get(txn, S("a"), &value), NOTFOUND);
    assert_int_equal(scim_kv_put(txn, S("a"), S("one"), false), OK);
    assert_value(txn, "a", "one");
    assert_int_equal(scim_kv_put(txn, S("a"), S("two, longer"), false), OK);
    assert_value(txn, "a", "two, longer");
    assert_int_equal(scim_kv_put(txn, S("a"), S("three"), true), SCIM_KV_EXISTS);
    assert_value(txn, "a", "two, longer");
    assert_int_equal(scim_kv_put(txn, S("b"), S(""), true), OK);
    assert_value(txn, "b", "");
    assert_int_equal(scim_kv_del(txn, S("c")), NOTFOUND);
    assert_int_equal(scim_kv_del(txn, S("a")), OK);
    assert_int_equal(scim_kv_del(txn, S("a")), NOTFOUND);
    assert_value(txn, "a", NULL);
    return OK;
}

static void test_get_put_del(void **state)
{
    assert_int_equal(scim_kv_update(current->kv, get_put_del, NULL), OK);
    expect(current->kv, "a", NULL);
    expect(current->kv, "b", "");
}

/* In memcmp order, then by length. */
static const scim_slice ordered[] = {
    {"\0", 1},   {"\0\0", 2},   {"\0\1", 2},     {"\1", 1},           {"A", 1},
    {"B", 1},    {"a", 1},      {"a\0", 2},      {"a\0\xff", 3},      {"aa", 2},
    {"ab", 2},   {"b", 1},      {"\x7f", 1},     {"\x80", 1},         {"\xc3\xa4", 2},
    {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2}, {"\xff\xff\xff", 3},
};
#define ORDERED (sizeof(ordered) / sizeof(ordered[0]))

static scim_kv_rc put_shuffled(scim_kv_txn *txn, void *baton)
{
    for (size_t i = 0; i < ORDERED; i++) {
        size_t n = (i * 7 + 3) % ORDERED;

        assert_int_equal(scim_kv_put(txn, ordered[n], ordered[n], true), OK);
    }
    return OK;
}

static void assert_ordered(size_t n, scim_slice key, scim_slice value)
{
    assert_int_equal(key.len, ordered[n].len);
    assert_memory_equal(key.data, ordered[n].data, key.len);
    assert_int_equal(value.len, ordered[n].len);
    assert_memory_equal(value.data, ordered[n].data, value.len);
}

static scim_kv_rc walk_ordered(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;

    for (size_t i = 0; i < ORDERED; i++) {
        assert_int_equal(scim_kv_next(cursor, &key, &value), OK);
        assert_ordered(i, key, value);
    }
    assert_int_equal(scim_kv_next(cursor, &key, &value), NOTFOUND);
    for (size_t i = ORDERED - 1; i-- > 0;) {
        assert_int_equal(scim_kv_prev(cursor, &key, &value), OK);
        assert_ordered(i, key, value);
    }
    assert_int_equal(scim_kv_prev(cursor, &key, &value), NOTFOUND);
    for (size_t i = 0; i < ORDERED; i++) {
        assert_int_equal(scim_kv_seek(cursor, ordered[i], &key, &value), OK);
        assert_ordered(i, key, value);
    }
    return OK;
}

static void test_order(void **state)
{
    assert_int_equal(scim_kv_update(current->kv, put_shuffled, NULL), OK);
    assert_int_equal(scim_kv_view(current->kv, walk_ordered, NULL), OK);
}

static scim_kv_rc try_keys(scim_kv_txn *txn, void *baton)
{
    char *bytes = scim_kv_scratch(txn, SCIM_KV_MAX_KEY + 1);
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice found;

    memset(bytes, 'k', SCIM_KV_MAX_KEY + 1);
    for (apr_size_t len = 0; len <= SCIM_KV_MAX_KEY + 1; len++) {
        scim_slice key = {bytes, len};
        bool fits = len >= 1 && len <= SCIM_KV_MAX_KEY;

        assert_int_equal(scim_kv_get(txn, key, &found), fits ? NOTFOUND : SCIM_KV_INVALID);
        assert_int_equal(scim_kv_put(txn, key, S("v"), true), fits ? OK : SCIM_KV_INVALID);
        assert_int_equal(scim_kv_get(txn, key, &found), fits ? OK : SCIM_KV_INVALID);
        if (len == 1) {
            assert_int_equal(scim_kv_del(txn, (scim_slice){bytes, 0}), SCIM_KV_INVALID);
        }
    }
    assert_int_equal(scim_kv_del(txn, (scim_slice){bytes, 501}), SCIM_KV_INVALID);
    assert_int_equal(scim_kv_add(txn, (scim_slice){bytes, 501}, 1, NULL), SCIM_KV_INVALID);
    assert_int_equal(scim_kv_seek(cursor, (scim_slice){bytes, 501}, NULL, NULL),
                     SCIM_KV_INVALID);
    assert_int_equal(scim_kv_seek(cursor, (scim_slice){bytes, 500}, &found, NULL), OK);
    assert_int_equal(found.len, 500);
    return OK;
}

static void test_key_limits(void **state)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_update(current->kv, try_keys, NULL), OK);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.entries, SCIM_KV_MAX_KEY);
}

static scim_kv_rc try_values(scim_kv_txn *txn, void *baton)
{
    scim_slice value = {baton, SCIM_KV_MAX_VALUE + 1};

    assert_int_equal(scim_kv_put(txn, S("big"), value, false), SCIM_KV_INVALID);
    value.len--;
    assert_int_equal(scim_kv_put(txn, S("big"), value, false), OK);
    return OK;
}

static scim_kv_rc check_big(scim_kv_txn *txn, void *baton)
{
    scim_slice value;

    assert_int_equal(scim_kv_get(txn, S("big"), &value), OK);
    assert_int_equal(value.len, SCIM_KV_MAX_VALUE);
    assert_memory_equal(value.data, baton, value.len);
    return OK;
}

static void test_value_limits(void **state)
{
    char *bytes = malloc(SCIM_KV_MAX_VALUE + 1);

    for (size_t i = 0; i <= SCIM_KV_MAX_VALUE; i++) {
        bytes[i] = (char)(i * 131 >> 7);
    }
    assert_int_equal(scim_kv_update(current->kv, try_values, bytes), OK);
    assert_int_equal(scim_kv_view(current->kv, check_big, bytes), OK);
    free(bytes);
}

static scim_kv_rc try_add(scim_kv_txn *txn, void *baton)
{
    scim_slice value;
    apr_int64_t sum;

    assert_int_equal(scim_kv_add(txn, S("n"), 5, &sum), OK);
    assert_int_equal(sum, 5);
    assert_int_equal(scim_kv_add(txn, S("n"), -7, &sum), OK);
    assert_int_equal(sum, -2);
    assert_int_equal(scim_kv_get(txn, S("n"), &value), OK);
    assert_int_equal(value.len, 8);
    assert_memory_equal(value.data, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
    assert_int_equal(scim_kv_counter(value), -2);
    assert_int_equal(scim_kv_add(txn, S("n"), 260, NULL), OK);
    assert_int_equal(scim_kv_get(txn, S("n"), &value), OK);
    assert_memory_equal(value.data, "\0\0\0\0\0\0\1\2", 8);

    assert_int_equal(scim_kv_add(txn, S("max"), INT64_MAX, &sum), OK);
    assert_int_equal(scim_kv_add(txn, S("max"), 1, &sum), SCIM_KV_INVALID);
    assert_int_equal(scim_kv_add(txn, S("max"), INT64_MIN, &sum), OK);
    assert_int_equal(sum, -1);
    assert_int_equal(must_put(txn, "text", "1234567"), OK);
    assert_int_equal(scim_kv_add(txn, S("text"), 1, &sum), SCIM_KV_CORRUPT);
    assert_int_equal(scim_kv_counter(S("1234567")), 0);
    return OK;
}

static void test_add(void **state)
{
    assert_int_equal(scim_kv_update(current->kv, try_add, NULL), OK);
}

/*
 * Every engine: cursors
 */

static scim_kv_rc move_around(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;

    assert_seek(cursor, "d", "d"); /* there */
    assert_next(cursor, "f");
    assert_prev(cursor, "d");
    assert_prev(cursor, "b");
    assert_seek(cursor, "c", "d"); /* between */
    assert_prev(cursor, "b");
    assert_seek(cursor, "a", "b"); /* before the first */
    assert_prev(cursor, NULL);
    assert_prev(cursor, NULL);
    assert_next(cursor, "d");       /* it was on b all the time */
    assert_seek(cursor, "g", NULL); /* after the last */
    assert_next(cursor, NULL);
    assert_prev(cursor, "f");
    assert_next(cursor, NULL);
    assert_next(cursor, NULL);
    assert_prev(cursor, "d");
    assert_seek(cursor, "", "b");
    assert_prev(cursor, NULL);

    assert_int_equal(scim_kv_seek(cursor, S("d"), NULL, &value), OK);
    assert_slice(value, "d");
    assert_int_equal(scim_kv_next(cursor, NULL, NULL), OK);
    assert_int_equal(scim_kv_prev(cursor, &key, &value), OK);
    assert_slice(key, "d");
    assert_slice(value, "d");

    assert_next(scim_kv_cursor_open(txn), "b"); /* never placed */
    assert_prev(scim_kv_cursor_open(txn), "f");
    return OK;
}

static scim_kv_rc move_in_nothing(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);

    assert_next(cursor, NULL);
    assert_prev(cursor, NULL);
    assert_seek(cursor, "", NULL);
    assert_seek(cursor, "a", NULL);
    assert_prev(cursor, NULL);
    assert_next(cursor, NULL);
    return OK;
}

static void test_cursor(void **state)
{
    assert_int_equal(scim_kv_view(current->kv, move_in_nothing, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, move_in_nothing, NULL), OK);
    fill("f b d");
    assert_int_equal(scim_kv_view(current->kv, move_around, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, move_around, NULL), OK);
}

static scim_kv_rc move_and_write(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_kv_cursor *other = scim_kv_cursor_open(txn);
    scim_slice key;

    assert_seek(cursor, "d", "d");
    assert_int_equal(scim_kv_del(txn, S("d")), OK); /* under the cursor */
    assert_next(cursor, "f");
    assert_prev(cursor, "b");
    assert_int_equal(must_put(txn, "c", "c"), OK); /* in front of it */
    assert_next(cursor, "c");
    assert_int_equal(must_put(txn, "bb", "bb"), OK); /* behind it */
    assert_prev(cursor, "bb");
    assert_int_equal(must_put(txn, "bb", "another value"), OK); /* at it */
    assert_next(cursor, "c");

    assert_seek(other, "x", NULL); /* a place between keys */
    assert_int_equal(must_put(txn, "w", "w"), OK);
    assert_int_equal(must_put(txn, "x", "x"), OK);
    assert_int_equal(must_put(txn, "y", "y"), OK);
    assert_next(other, "x");
    assert_int_equal(scim_kv_del(txn, S("x")), OK);
    assert_next(other, "y");
    assert_prev(other, "w");
    assert_int_equal(scim_kv_del(txn, S("y")), OK);
    assert_next(other, NULL);
    assert_int_equal(must_put(txn, "z", "z"), OK);
    assert_next(other, "z");
    assert_next(cursor, "f"); /* each has its own place */

    assert_prev(cursor, "c"); /* b bb c f w z, and nothing else */
    assert_prev(cursor, "bb");
    assert_prev(cursor, "b");
    assert_prev(cursor, NULL);
    assert_seek(cursor, "", "b");
    while (scim_kv_seek(cursor, S(""), &key, NULL) == OK) {
        assert_int_equal(scim_kv_del(txn, key), OK); /* with the cursor's own slice */
    }
    assert_next(cursor, NULL);
    assert_prev(other, NULL);
    return OK;
}

static void test_cursor_and_writes(void **state)
{
    scim_kv_stat stat;

    fill("f b d");
    assert_int_equal(scim_kv_update(current->kv, move_and_write, NULL), OK);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.entries, 0);
}

enum { MANY = 3000 };

static const char *number_key(scim_kv_txn *txn, int n)
{
    char *key = scim_kv_scratch(txn, 16);

    snprintf(key, 16, "key%06d", n);
    return key;
}

static scim_kv_rc put_many(scim_kv_txn *txn, void *baton)
{
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(must_put(txn, number_key(txn, i), "a value of some bytes"), OK);
    }
    return OK;
}

/* Rewrites with slices of the store itself, and deletes, while it walks. */
static scim_kv_rc walk_and_rewrite(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    int seen = 0;

    for (; scim_kv_next(cursor, &key, &value) == OK; seen++) {
        assert_slice(key, number_key(txn, seen));
        if (seen % 3 == 0) {
            assert_int_equal(scim_kv_del(txn, key), OK);
        } else if (seen % 3 == 1) {
            value.len -= 3;
            assert_int_equal(scim_kv_put(txn, key, value, false), OK);
        } else {
            assert_int_equal(scim_kv_put(txn, key, key, false), OK);
        }
    }
    assert_int_equal(seen, MANY);
    return OK;
}

static scim_kv_rc check_rewritten(scim_kv_txn *txn, void *baton)
{
    for (int i = 0; i < MANY; i++) {
        const char *key = number_key(txn, i);

        assert_value(txn, key, i % 3 == 0 ? NULL : i % 3 == 1 ? "a value of some by" : key);
    }
    return OK;
}

static void test_rewrite_while_walking(void **state)
{
    assert_int_equal(scim_kv_update(current->kv, put_many, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, walk_and_rewrite, NULL), OK);
    assert_int_equal(scim_kv_view(current->kv, check_rewritten, NULL), OK);
}

/* More than any engine fetches at a time. */
#define DELETED 1200

static scim_slice row_name(char *room, int i)
{
    snprintf(room, 16, "i%05d", i);
    return S(room);
}

static scim_kv_rc put_rows(scim_kv_txn *txn, void *baton)
{
    char name[16];

    for (int i = 0; i < DELETED; i++) {
        assert_int_equal(scim_kv_put(txn, row_name(name, i), S("v"), false), OK);
    }
    assert_int_equal(scim_kv_put(txn, S("a"), S("a"), false), OK);
    return scim_kv_put(txn, S("z"), S("z"), false);
}

/* The place of a cursor is in front of, or behind, all that its transaction has deleted. */
static scim_kv_rc delete_rows_and_seek(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    char name[16];
    scim_slice key;

    for (int i = 0; i < DELETED; i++) {
        assert_int_equal(scim_kv_del(txn, row_name(name, i)), OK);
    }
    assert_int_equal(scim_kv_seek(cursor, S("b"), &key, NULL), OK);
    assert_slice(key, "z");
    assert_int_equal(scim_kv_prev(cursor, &key, NULL), OK);
    assert_slice(key, "a");
    assert_int_equal(scim_kv_next(cursor, &key, NULL), OK);
    assert_slice(key, "z");
    scim_kv_expect(txn, (scim_kv_wish[]){{S("i"), 1}}, 1);
    scim_kv_within(cursor, S("i"));
    if (scim_kv_seek(cursor, S("i"), &key, NULL) == OK) {
        assert_slice(key, "z");
    }
    return OK;
}

static void test_many_deleted(void **state)
{
    assert_int_equal(scim_kv_update(current->kv, put_rows, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, delete_rows_and_seek, NULL), OK);
}

static scim_kv_rc add_ten(scim_kv_txn *txn, void *baton)
{
    return scim_kv_add(txn, S("c1"), 10, NULL);
}

/* Whatever a cursor that keeps within a prefix comes across beyond it. */
static scim_kv_rc add_beyond(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    apr_int64_t sum;

    assert_int_equal(scim_kv_add(txn, S("c1"), 1, NULL), OK);
    scim_kv_within(cursor, S("a"));
    scim_kv_seek(cursor, S("a"), NULL, NULL);
    assert_int_equal(scim_kv_add(txn, S("c1"), 1, &sum), OK);
    assert_int_equal(sum, 12);
    return OK;
}

static void test_add_beyond(void **state)
{
    assert_int_equal(scim_kv_update(current->kv, add_ten, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, add_beyond, NULL), OK);
}

static scim_kv_rc walk_within(scim_kv_txn *txn, const char *prefix, const char *const *keys)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc;

    scim_kv_within(cursor, S(prefix));
    for (rc = scim_kv_seek(cursor, S(prefix), &key, &value); *keys; keys++) {
        assert_int_equal(rc, OK);
        assert_slice(key, *keys);
        assert_slice(value, *keys);
        rc = scim_kv_next(cursor, &key, &value);
    }
    /* What is beyond may be told, or not. */
    if (rc == OK) {
        assert_int_not_equal(memcmp(key.data, prefix, strlen(prefix)), 0);
    } else {
        assert_int_equal(rc, NOTFOUND);
    }
    scim_kv_cursor_close(cursor);
    return OK;
}

/* What is asked for is the same whether it was expected or not. */
static scim_kv_rc expect_and_read(scim_kv_txn *txn, void *baton)
{
    static const char *const a[] = {"a1", "a2", "a3", NULL}, *const b[] = {"b1", "b2", NULL},
                             *const changed[] = {"a0", "a2", "a25", "a3", NULL},
                             *const none[] = {NULL};
    const scim_kv_wish wishes[] = {{S("a2"), 0}, {S("x"), 0}, {S("a"), 1},
                                   {S("b1"), 1}, {S("q"), 1}, {S("c"), 0}};

    scim_kv_expect(txn, wishes, 6);
    assert_value(txn, "a2", "a2");
    assert_value(txn, "x", NULL);
    walk_within(txn, "a", a);
    walk_within(txn, "b", b);
    walk_within(txn, "q", none);
    assert_value(txn, "c", "c");
    if (!scim_kv_writable(txn)) {
        return OK;
    }
    scim_kv_expect(txn, wishes, 6);
    assert_int_equal(must_put(txn, "a25", "a25"), OK);
    assert_int_equal(must_put(txn, "a0", "a0"), OK);
    assert_int_equal(scim_kv_del(txn, S("a1")), OK);
    assert_int_equal(scim_kv_del(txn, S("x")), NOTFOUND);
    assert_int_equal(must_put(txn, "x", "x"), OK);
    walk_within(txn, "a", changed);
    scim_kv_expect(txn, wishes, 6);
    walk_within(txn, "a", changed);
    walk_within(txn, "b", b);
    assert_value(txn, "x", "x");
    return SCIM_KV_REFUSED;
}

static void test_expect(void **state)
{
    fill("a1 a2 a3 b1 b2 c");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(scim_kv_view(current->kv, expect_and_read, NULL), OK);
        assert_int_equal(scim_kv_update(current->kv, expect_and_read, NULL), SCIM_KV_REFUSED);
    }
}

/*
 * Every engine: against a model
 */

enum { MODEL_KEYS = 64, MODEL_OPS = 400, MODEL_UPDATES = 30 };

typedef struct model {
    apr_uint32_t seed;
    bool there[MODEL_KEYS]; /* key n is the byte 2 n + 1 */
    unsigned char value[MODEL_KEYS];
    int place; /* twice the number of a key, plus one; even: between keys */
    bool placed;
    bool doomed; /* a row was put that is there: that will show when it is committed */
} model;

static apr_uint32_t dice(model *m, apr_uint32_t sides)
{
    m->seed = m->seed * 1664525 + 1013904223;
    return (m->seed >> 16) % sides;
}

static int model_find(const model *m, int from, int step)
{
    for (int i = from; i >= 0 && i < 2 * MODEL_KEYS; i += step) {
        if (i % 2 && m->there[i / 2]) {
            return i;
        }
    }
    return -1;
}

static void model_arrive(model *m, int expected, scim_kv_rc rc, scim_slice key,
                         scim_slice value)
{
    assert_int_equal(rc, expected < 0 ? NOTFOUND : OK);
    if (expected >= 0) {
        assert_int_equal(key.len, 1);
        assert_int_equal(*(const unsigned char *)key.data, expected);
        assert_int_equal(*(const unsigned char *)value.data, m->value[expected / 2]);
        m->place = expected;
        m->placed = true;
    }
}

static void model_move(model *m, scim_kv_cursor *cursor)
{
    scim_slice key = {0}, value = {0};
    unsigned char at;
    scim_kv_rc rc;
    int expected;

    switch (dice(m, 3)) {
    case 0:
        at = (unsigned char)dice(m, 2 * MODEL_KEYS);
        rc = scim_kv_seek(cursor, (scim_slice){&at, 1}, &key, &value);
        m->place = at;
        m->placed = true;
        expected = model_find(m, at, 1);
        if (expected < 0 && at % 2) {
            m->place = at - 1; /* before a key that is not there */
        }
        break;
    case 1:
        rc = scim_kv_next(cursor, &key, &value);
        expected = model_find(m, m->placed ? m->place + 1 : 0, 1);
        break;
    default:
        rc = scim_kv_prev(cursor, &key, &value);
        expected = model_find(m, m->placed ? m->place - 1 : 2 * MODEL_KEYS - 1, -1);
        if (m->placed && m->place % 2 == 0) {
            expected = model_find(m, m->place, -1);
        }
        break;
    }
    model_arrive(m, expected, rc, key, value);
}

static void model_write(model *m, scim_kv_txn *txn)
{
    int n = (int)dice(m, MODEL_KEYS);
    unsigned char byte = (unsigned char)(2 * n + 1);
    unsigned char value = (unsigned char)dice(m, 256);
    scim_slice key = {&byte, 1};

    if (dice(m, 2)) {
        assert_int_equal(scim_kv_del(txn, key), m->there[n] ? OK : NOTFOUND);
        m->there[n] = false;
    } else if (dice(m, 2)) {
        scim_kv_rc rc = scim_kv_put(txn, key, (scim_slice){&value, 1}, true);

        m->doomed = rc == OK && m->there[n] && scim_kv_bold(txn);
        assert_int_equal(rc, m->there[n] && !m->doomed ? SCIM_KV_EXISTS : OK);
        m->value[n] = m->there[n] ? m->value[n] : value;
        m->there[n] = true;
    } else {
        assert_int_equal(scim_kv_put(txn, key, (scim_slice){&value, 1}, false), OK);
        m->value[n] = value;
        m->there[n] = true;
    }
}

static void model_get(model *m, scim_kv_txn *txn)
{
    int n = (int)dice(m, MODEL_KEYS);
    unsigned char byte = (unsigned char)(2 * n + 1);
    scim_slice value;

    assert_int_equal(scim_kv_get(txn, (scim_slice){&byte, 1}, &value),
                     m->there[n] ? OK : NOTFOUND);
    if (m->there[n]) {
        assert_int_equal(*(const unsigned char *)value.data, m->value[n]);
    }
}

static void model_expect(model *m, scim_kv_txn *txn)
{
    unsigned char bytes[4];
    scim_kv_wish wishes[4];

    for (int i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)dice(m, 2 * MODEL_KEYS);
        wishes[i] = (scim_kv_wish){{&bytes[i], 1}, dice(m, 2)};
    }
    scim_kv_expect(txn, wishes, (int)dice(m, 5));
}

static scim_kv_cursor *model_cursor(model *m, scim_kv_txn *txn)
{
    m->placed = false;
    return scim_kv_cursor_open(txn);
}

typedef struct model_run {
    model before, after;
} model_run;

static scim_kv_rc model_update(scim_kv_txn *txn, void *baton)
{
    model *m = &((model_run *)baton)->after;
    scim_kv_cursor *cursor;

    *m = ((model_run *)baton)->before;
    m->doomed = false;
    cursor = model_cursor(m, txn);
    for (int i = 0; i < MODEL_OPS && !m->doomed; i++) {
        if (dice(m, 16) == 0) {
            scim_kv_cursor_close(cursor);
            cursor = model_cursor(m, txn);
        }
        if (dice(m, 8) == 0) {
            model_expect(m, txn);
        }
        model_get(m, txn);
        if (dice(m, 4) || !scim_kv_writable(txn)) {
            model_move(m, cursor);
        } else {
            model_write(m, txn);
        }
    }
    return scim_kv_writable(txn) && !m->doomed && dice(m, 4) == 0 ? SCIM_KV_REFUSED : OK;
}

static void test_model(void **state)
{
    model_run run = {.before = {.seed = 20240401}};

    for (int i = 0; i < MODEL_UPDATES; i++) {
        scim_kv_rc rc = scim_kv_update(current->kv, model_update, &run);

        assert_false(run.after.doomed);
        if (rc == OK) {
            run.before = run.after;
        } else {
            assert_int_equal(rc, SCIM_KV_REFUSED);
            run.before.seed = run.after.seed;
        }
        /* one state, seen more than once */
        for (int views = (int)dice(&run.before, 4); views >= 0; views--) {
            assert_int_equal(scim_kv_view(current->kv, model_update, &run), OK);
            run.before.seed = run.after.seed;
        }
    }
}

/*
 * Every engine: transactions
 */

static scim_kv_rc put_and_refuse(scim_kv_txn *txn, void *baton)
{
    assert_int_equal(must_put(txn, "a", "changed"), OK);
    assert_int_equal(must_put(txn, "new", "new"), OK);
    assert_int_equal(scim_kv_del(txn, S("b")), OK);
    assert_value(txn, "a", "changed");
    return SCIM_KV_REFUSED;
}

static void test_failed_update(void **state)
{
    fill("a b");
    assert_int_equal(scim_kv_update(current->kv, put_and_refuse, NULL), SCIM_KV_REFUSED);
    assert_int_equal(scim_kv_update_exclusive(current->kv, put_and_refuse, NULL),
                     SCIM_KV_REFUSED);
    expect(current->kv, "a", "a");
    expect(current->kv, "b", "b");
    expect(current->kv, "new", NULL);
    fill("a"); /* and the lock is free */
}

static scim_kv_rc count_and_put(scim_kv_txn *txn, void *baton)
{
    ++*(int *)baton;
    return must_put(txn, "exclusive", "yes");
}

static void test_exclusive(void **state)
{
    int runs = 0;

    scim_kv_memory_rehearse(current->kv, true);
    assert_int_equal(scim_kv_update_exclusive(current->kv, count_and_put, &runs), OK);
    assert_int_equal(runs, 1);
    expect(current->kv, "exclusive", "yes");
}

typedef struct job_baton {
    const char *key;
    scim_kv_rc answer;
    bool write;
    int runs;
    apr_int64_t sum; /* what the run that counted made of it */
} job_baton;

static scim_kv_rc run_job(scim_kv_txn *txn, void *baton)
{
    job_baton *job = baton;
    scim_slice value;
    scim_kv_rc rc = OK;

    job->runs++;
    job->sum = scim_kv_get(txn, S(job->key), &value) == OK ? scim_kv_counter(value) : 0;
    if (job->write) {
        rc = scim_kv_add(txn, S(job->key), 10, &job->sum);
    }
    return rc == OK ? job->answer : rc;
}

static void assert_jobs(scim_kv_job *jobs, const job_baton *batons, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(jobs[i].rc, batons[i].answer);
    }
}

static void test_update_all(void **state)
{
    job_baton batons[] = {
        {.key = "counter", .write = true}, {.key = "x", .answer = SCIM_KV_REFUSED},
        {.key = "counter", .write = true}, {.key = "counter", .answer = SCIM_KV_STALE},
        {.key = "y", .write = true},
    };
    scim_kv_job jobs[5];

    for (int i = 0; i < 5; i++) {
        jobs[i] = (scim_kv_job){run_job, &batons[i], SCIM_KV_IO};
    }
    assert_int_equal(scim_kv_update_all(current->kv, jobs, 5), OK);
    assert_jobs(jobs, batons, 5);
    assert_int_equal(batons[0].sum, 10);
    assert_int_equal(batons[2].sum, 20); /* a later job sees the earlier ones */
    assert_int_equal(batons[3].sum, 20);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(batons[i].runs, 1);
    }
    assert_int_equal(counter(current->kv), 20);
    assert_int_equal(scim_kv_update_all(current->kv, jobs, 0), OK);
}

/* One job breaks the contract and fails after it has written: it alone leaves
 * nothing, the others are run again, and their batons say what came of that. */
static void test_run_again(void **state)
{
    job_baton batons[] = {
        {.key = "counter", .write = true},
        {.key = "counter", .write = true, .answer = SCIM_KV_REFUSED},
        {.key = "counter", .write = true},
    };
    scim_kv_job jobs[3];

    scim_kv_memory_rehearse(current->kv, true);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (scim_kv_job){run_job, &batons[i], SCIM_KV_IO};
    }
    assert_int_equal(scim_kv_update_all(current->kv, jobs, 3), OK);
    assert_jobs(jobs, batons, 3);
    assert_int_equal(batons[0].runs, strcmp(current->engine, "pgsql") ? 2 : 1);
    assert_int_equal(batons[0].sum, 10);
    assert_int_equal(batons[2].sum, 20);
    assert_int_equal(counter(current->kv), 20);
}

static scim_kv_rc try_to_write(scim_kv_txn *txn, void *baton)
{
    assert_false(scim_kv_writable(txn));
    assert_int_equal(must_put(txn, "a", "b"), SCIM_KV_READONLY);
    assert_int_equal(scim_kv_del(txn, S("a")), SCIM_KV_READONLY);
    assert_int_equal(scim_kv_add(txn, S("n"), 1, NULL), SCIM_KV_READONLY);
    return SCIM_KV_STALE;
}

static scim_kv_rc is_writable(scim_kv_txn *txn, void *baton)
{
    assert_true(scim_kv_writable(txn));
    return OK;
}

static void test_view_does_not_write(void **state)
{
    fill("a");
    assert_int_equal(scim_kv_view(current->kv, try_to_write, NULL), SCIM_KV_STALE);
    expect(current->kv, "a", "a");
    assert_int_equal(scim_kv_update(current->kv, is_writable, NULL), OK);
}

static void test_read_only(void **state)
{
    scim_kv_job job = {add_one, (void *)"counter", OK};

    current->options.read_only = true;
    reopen();
    assert_int_equal(put(current->kv, "a", "b"), SCIM_KV_READONLY);
    assert_int_equal(scim_kv_update_all(current->kv, &job, 1), SCIM_KV_READONLY);
    assert_int_equal(job.rc, SCIM_KV_READONLY);
    assert_int_equal(scim_kv_update_exclusive(current->kv, add_one, (void *)"counter"),
                     SCIM_KV_READONLY);
    expect(current->kv, "a", NULL);
}

static void *update_in_thread(void *result)
{
    *(scim_kv_rc *)result = put(current->kv, "a", "after");
    return NULL;
}

static scim_kv_rc see_before(scim_kv_txn *txn, void *baton)
{
    assert_value(txn, "a", "before");
    return OK;
}

static scim_kv_rc see_after(scim_kv_txn *txn, void *baton)
{
    assert_value(txn, "a", "after");
    return OK;
}

static scim_kv_rc keep_state(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice held, key, value;
    scim_kv_rc updated = SCIM_KV_IO;
    pthread_t thread;

    assert_int_equal(scim_kv_get(txn, S("a"), &held), OK);
    assert_int_equal(scim_kv_seek(cursor, S("a"), &key, &value), OK);
    assert_int_equal(pthread_create(&thread, NULL, update_in_thread, &updated), 0);
    pthread_join(thread, NULL);
    assert_int_equal(updated, OK);

    assert_slice(held, "before");
    assert_slice(value, "before");
    see_before(txn, NULL);
    assert_int_equal(scim_kv_next(cursor, &key, &value), NOTFOUND);
    /* A view within: of PostgreSQL it is in the same transaction. */
    assert_int_equal(scim_kv_view(current->kv,
                                  strcmp(current->engine, "pgsql") ? see_after : see_before,
                                  NULL),
                     OK);
    return see_before(txn, NULL);
}

static void test_view_keeps_state(void **state)
{
    assert_int_equal(put(current->kv, "a", "before"), OK);
    assert_int_equal(scim_kv_view(current->kv, keep_state, NULL), OK);
    assert_int_equal(scim_kv_view(current->kv, see_after, NULL), OK);
}

static scim_kv_rc read_state(scim_kv_txn *txn, void *baton)
{
    *(apr_uint64_t *)baton = scim_kv_state(txn);
    return SCIM_KV_OK;
}

static apr_uint64_t state_of(scim_kv *kv)
{
    apr_uint64_t number = 0;

    assert_int_equal(scim_kv_view(kv, read_state, &number), OK);
    return number;
}

static scim_kv_rc state_stays(scim_kv_txn *txn, void *baton)
{
    apr_uint64_t before = scim_kv_state(txn);

    assert_int_equal(scim_kv_view(current->kv, read_state, baton), OK);
    assert_int_equal(scim_kv_state(txn), before);
    assert_int_equal(*(apr_uint64_t *)baton, before);
    return SCIM_KV_OK;
}

static void test_state(void **state)
{
    enum { CHANGES = 20 };
    apr_uint64_t seen[CHANGES], number = 0;

    for (int i = 0; i < CHANGES; i++) {
        assert_int_equal(put(current->kv, "a", i % 2 ? "one" : "another"), OK);
        seen[i] = state_of(current->kv);
        if (strcmp(current->engine, "pgsql")) { /* where others are with the server, too */
            assert_int_equal(state_of(current->kv), seen[i]);
        }
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(seen[j], seen[i]);
        }
    }
    if (strcmp(current->engine, "pgsql")) {
        assert_int_equal(scim_kv_view(current->kv, state_stays, &number), OK);
        assert_int_equal(number, seen[CHANGES - 1]);
    }
}

static scim_kv_rc view_inside(scim_kv_txn *txn, void *baton)
{
    assert_int_equal(must_put(txn, "a", "after"), OK);
    assert_int_equal(scim_kv_view(current->kv, see_before, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, is_writable, NULL), SCIM_KV_INVALID);
    return see_after(txn, NULL);
}

static void test_view_in_update(void **state)
{
    assert_int_equal(put(current->kv, "a", "before"), OK);
    assert_int_equal(scim_kv_update(current->kv, view_inside, NULL), OK);
    assert_int_equal(scim_kv_view(current->kv, see_after, NULL), OK);
}

static scim_kv_rc use_scratch(scim_kv_txn *txn, void *baton)
{
    enum { PIECES = 300 };
    unsigned char *pieces[PIECES];

    for (int i = 0; i < PIECES; i++) {
        pieces[i] = scim_kv_scratch(txn, (apr_size_t)(i * i));
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], i, (apr_size_t)(i * i));
    }
    for (int i = 1; i < PIECES; i++) {
        assert_int_equal(pieces[i][0], i % 256);
        assert_int_equal(pieces[i][i * i - 1], i % 256);
    }
    return OK;
}

static void test_scratch(void **state)
{
    assert_int_equal(scim_kv_view(current->kv, use_scratch, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, use_scratch, NULL), OK);
}

enum { THREADS = 8, ADDS = 40 };

static void *add_in_thread(void *failed)
{
    for (int i = 0; i < ADDS; i++) {
        if (scim_kv_update(current->kv, add_one, (void *)"counter") != OK) {
            atomic_fetch_add((atomic_int *)failed, 1);
        }
    }
    return NULL;
}

static void *read_in_thread(void *failed)
{
    apr_int64_t last = 0, number = 0;

    while (number < THREADS * ADDS && atomic_load((atomic_int *)failed) == 0) {
        if (scim_kv_view(current->kv, read_counter, &number) != OK || number < last) {
            atomic_fetch_add((atomic_int *)failed, 1);
        }
        last = number;
        usleep(100);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS + 2];
    atomic_int failed = 0;
    scim_kv_stat stat;

    for (int i = 0; i < THREADS + 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < THREADS ? add_in_thread : read_in_thread, &failed),
                         0);
    }
    for (int i = 0; i < THREADS + 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(failed, 0);
    assert_int_equal(counter(current->kv), THREADS * ADDS);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.updates, THREADS * ADDS);
}

static scim_kv_rc hold_update(scim_kv_txn *txn, void *baton)
{
    int *pipes = baton;
    char byte;

    return write(pipes[1], "", 1) == 1 && read(pipes[2], &byte, 1) == 0 ? OK : SCIM_KV_IO;
}

static void *hold_in_thread(void *pipes)
{
    scim_kv_update(current->kv, hold_update, pipes);
    return NULL;
}

static void test_busy(void **state)
{
    int pipes[4];
    pthread_t thread;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(pipe(pipes + 2), 0);
    current->options.timeout = apr_time_from_msec(50);
    reopen();
    assert_int_equal(pthread_create(&thread, NULL, hold_in_thread, pipes), 0);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(put(current->kv, "a", "b"), SCIM_KV_BUSY);
    expect(current->kv, "a", NULL); /* views go on */
    close(pipes[3]);
    pthread_join(thread, NULL);
    assert_int_equal(put(current->kv, "a", "b"), OK);
    close(pipes[0]);
    close(pipes[1]);
    close(pipes[2]);
}

enum { WAITING = 30 };

typedef struct waiter {
    pthread_t thread;
    job_baton job;
    scim_kv_rc rc;
} waiter;

static void *update_and_wait(void *baton)
{
    waiter *w = baton;

    w->rc = scim_kv_update(current->kv, run_job, &w->job);
    return NULL;
}

/* Starts threads that queue behind an update under way, some of them first, the
 * others when those have waited; ends it, and waits. */
static void run_waiters(waiter *waiters, int first, int count)
{
    int pipes[4];
    pthread_t holder;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(pipe(pipes + 2), 0);
    assert_int_equal(pthread_create(&holder, NULL, hold_in_thread, pipes), 0);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    for (int i = 0; i < count; i++) {
        if (i == first) {
            usleep(300 * 1000);
        }
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, update_and_wait, &waiters[i]),
                         0);
    }
    usleep(200 * 1000);
    close(pipes[3]);
    for (int i = 0; i < count; i++) {
        pthread_join(waiters[i].thread, NULL);
    }
    pthread_join(holder, NULL);
    for (int i = 0; i < 3; i++) {
        close(pipes[i]);
    }
}

/* The one in their midst that fails after it has written takes none with it. */
static void test_lmdb_shared_commit(void **state)
{
    waiter waiters[WAITING] = {0};
    scim_kv_stat before, after;
    int again = 0;

    assert_int_equal(scim_kv_statistics(current->kv, &before), OK);
    for (int i = 0; i < WAITING; i++) {
        waiters[i].job = (job_baton){.key = "counter", .write = true};
    }
    run_waiters(waiters, WAITING, WAITING);
    for (int i = 0; i < WAITING; i++) {
        assert_int_equal(waiters[i].rc, OK);
        assert_int_equal(waiters[i].job.runs, 1);
    }
    assert_int_equal(counter(current->kv), 10 * WAITING);
    assert_int_equal(scim_kv_statistics(current->kv, &after), OK);
    assert_int_equal(after.updates - before.updates, WAITING + 1);
    assert_in_range(after.commits - before.commits, 2, 4);

    for (int i = 0; i < WAITING; i++) {
        waiters[i].job = (job_baton){
            .key = "counter", .write = true, .answer = i == 7 ? SCIM_KV_REFUSED : OK};
    }
    run_waiters(waiters, WAITING, WAITING);
    for (int i = 0; i < WAITING; i++) {
        assert_int_equal(waiters[i].rc, i == 7 ? SCIM_KV_REFUSED : OK);
        again += waiters[i].job.runs > 1;
    }
    assert_true(again > 0);
    assert_int_equal(counter(current->kv), 10 * (2 * WAITING - 1));
}

static void test_lmdb_full_queue(void **state)
{
    waiter waiters[WAITING] = {0};
    int busy = 0;

    current->options.max_queue = 5;
    current->options.timeout = apr_time_from_sec(2);
    reopen();
    for (int i = 0; i < WAITING; i++) {
        waiters[i].job = (job_baton){.key = "counter", .write = true};
    }
    run_waiters(waiters, 8, WAITING);
    for (int i = 0; i < WAITING; i++) {
        assert_true(waiters[i].rc == OK || waiters[i].rc == SCIM_KV_BUSY);
        busy += waiters[i].rc == SCIM_KV_BUSY;
        assert_int_equal(waiters[i].job.runs, waiters[i].rc == OK);
    }
    assert_int_equal(busy, WAITING - 8);
    assert_int_equal(counter(current->kv), 10 * 8);
}

static scim_kv_rc count_readers(scim_kv_txn *txn, void *baton)
{
    return scim_kv_statistics(current->kv, baton);
}

static scim_kv_rc append_words(scim_kv_txn *txn, void *baton)
{
    assert_int_equal(scim_kv_append(txn, S("m"), S("m")), OK);
    assert_int_equal(scim_kv_append(txn, S("m"), S("n")), SCIM_KV_INVALID);
    assert_int_equal(scim_kv_append(txn, S("l"), S("l")), SCIM_KV_INVALID);
    assert_int_equal(scim_kv_append(txn, S("ma"), S("")), OK);
    assert_int_equal(scim_kv_append(txn, S(""), S("")), SCIM_KV_INVALID);
    assert_value(txn, "m", "m");
    return scim_kv_append(txn, S("z"), S("z"));
}

static scim_kv_rc append_in_view(scim_kv_txn *txn, void *baton)
{
    return scim_kv_append(txn, S("zz"), S("zz"));
}

static void test_append(void **state)
{
    fill("a b");
    assert_int_equal(scim_kv_update_exclusive(current->kv, append_words, NULL), OK);
    expect(current->kv, "m", "m");
    expect(current->kv, "l", NULL);
    expect(current->kv, "ma", "");
    expect(current->kv, "z", "z");
    assert_int_equal(scim_kv_view(current->kv, append_in_view, NULL), SCIM_KV_READONLY);
}

typedef struct met {
    char keys[100];
    apr_size_t largest;
    int left; /* rows that are taken */
    int damage;
} met;

static scim_kv_rc meet(scim_slice key, scim_slice value, void *baton)
{
    met *m = baton;

    strncat(m->keys, key.data, key.len);
    m->largest = value.len > m->largest ? value.len : m->largest;
    for (apr_size_t i = 1; i < value.len && value.len > 100; i++) {
        assert_int_equal(((const char *)value.data)[i], 'v');
    }
    return --m->left ? OK : SCIM_KV_REFUSED;
}

static void count_damage(const char *what, void *baton)
{
    ((met *)baton)->damage++;
    print_error("%s\n", what);
}

static void test_examine(void **state)
{
    const apr_size_t large = 3 * 4096;
    char *value = apr_palloc(current->pool, large + 1);
    met m = {.left = 0};
    scim_kv_examiner to = {.row = meet, .damage = count_damage, .baton = &m};

    assert_int_equal(scim_kv_examine(current->kv, &to), OK);
    assert_string_equal(m.keys, "");
    memset(value, 'v', large);
    value[large] = '\0';
    fill("d b a c e");
    assert_int_equal(put(current->kv, "bb", value), OK);
    value[large / 2] = '\0'; /* shorter, in the same place */
    assert_int_equal(put(current->kv, "bb", value), OK);
    assert_int_equal(put(current->kv, "c", NULL), OK);
    m.left = 0;
    assert_int_equal(scim_kv_examine(current->kv, &to), OK);
    assert_string_equal(m.keys, "abbbde");
    assert_int_equal(m.largest, large / 2);
    m = (met){.left = 2};
    assert_int_equal(scim_kv_examine(current->kv, &to), SCIM_KV_REFUSED);
    assert_string_equal(m.keys, "ab");
    assert_int_equal(m.damage, 0);
    to = (scim_kv_examiner){0};
    assert_int_equal(scim_kv_examine(current->kv, &to), OK);
}

static void test_statistics(void **state)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.entries, 0);
    assert_int_equal(stat.updates, 0);
    assert_int_equal(stat.readers, 0);
    assert_int_equal(stat.size, 64 * 1024 * 1024);
    fill("a b c");
    assert_int_equal(put(current->kv, "a", NULL), OK);
    assert_int_equal(put(current->kv, "a", NULL), NOTFOUND);
    assert_int_equal(scim_kv_view(current->kv, count_readers, &stat), OK);
    assert_int_equal(stat.entries, 2);
    assert_int_equal(stat.updates, 2);
    assert_int_equal(stat.readers, 1);
    assert_true(stat.max_readers >= 8192);
    assert_true(stat.used >= 4 && stat.used < 1024 * 1024);
}

typedef struct numbered {
    int n;
    scim_slice value;
} numbered;

static scim_kv_rc put_numbered(scim_kv_txn *txn, void *baton)
{
    const numbered *item = baton;

    return scim_kv_put(txn, S(number_key(txn, item->n)), item->value, true);
}

static scim_kv_rc overwrite_numbered(scim_kv_txn *txn, void *baton)
{
    const numbered *item = baton;

    return scim_kv_put(txn, S(number_key(txn, item->n)), item->value, false);
}

static scim_kv_rc put_and_ignore(scim_kv_txn *txn, void *baton)
{
    assert_int_equal(must_put(txn, "ignored", "x"), OK);
    assert_int_equal(put_numbered(txn, baton), SCIM_KV_FULL);
    return OK;
}

static scim_kv_rc del_numbered(scim_kv_txn *txn, void *baton)
{
    return scim_kv_del(txn, S(number_key(txn, *(int *)baton)));
}

/* Puts pieces, the first under number n, until the store is full; the number
 * of the one that was too much. */
static int fill_up(int n, scim_slice value)
{
    numbered item = {n, value};
    scim_kv_rc rc;

    while ((rc = scim_kv_update(current->kv, put_numbered, &item)) == OK) {
        item.n++;
    }
    assert_int_equal(rc, SCIM_KV_FULL);
    return item.n;
}

static void test_full(void **state)
{
    static const char bytes[5000 * 1000];
    scim_kv_stat stat;
    int n, left;

    current->options.size = 4 * 1024 * 1024;
    if (!strcmp(current->engine, "lmdb")) {
        unlink(in_directory("data.mdb"));
    }
    reopen();
    n = fill_up(0, (scim_slice){bytes, 40000});
    assert_in_range(n, 90, 110);
    assert_int_equal(fill_up(n, (scim_slice){bytes, sizeof(bytes)}), n);
    assert_int_equal(fill_up(n, (scim_slice){bytes, 40000}), n);
    n = fill_up(n, (scim_slice){bytes, 1000}); /* to the brim */
    assert_int_equal(
        scim_kv_update(current->kv, put_and_ignore, &(numbered){n, {bytes, sizeof(bytes)}}),
        SCIM_KV_FULL);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.entries, n); /* FULL left nothing behind */

    for (left = n; left > 50; left--) { /* a deletion is always possible */
        assert_int_equal(scim_kv_update(current->kv, del_numbered, &(int){left - 1}), OK);
    }
    assert_int_equal(
        scim_kv_update(current->kv, put_numbered, &(numbered){left, {bytes, 40000}}), OK);
}

static void run_child(void (*child)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        child();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In a child no assertion of cmocka is of use: it ends with the line. */
#define MUST(condition) ((condition) ? (void)0 : _exit(fail_line(__LINE__)))

static int fail_line(int line)
{
    fprintf(stderr, "# child: line %d\n", line);
    return 1;
}

static void use_parents_store(void)
{
    scim_kv_stat stat;
    int freed;

    MUST(put(current->kv, "a", "b") == SCIM_KV_INVALID);
    MUST(scim_kv_update_exclusive(current->kv, is_writable, NULL) == SCIM_KV_INVALID);
    MUST(scim_kv_view(current->kv, read_counter, NULL) == SCIM_KV_INVALID);
    MUST(scim_kv_statistics(current->kv, &stat) == SCIM_KV_INVALID);
    MUST(scim_kv_check(current->kv, &freed) == SCIM_KV_INVALID);
    MUST(scim_kv_examine(current->kv, &(scim_kv_examiner){0}) == SCIM_KV_INVALID);
    scim_kv_close(current->kv); /* does nothing to the parent */
}

static void test_not_after_fork(void **state)
{
    fill("a");
    run_child(use_parents_store);
    expect(current->kv, "a", "a");
    assert_int_equal(put(current->kv, "b", "b"), OK);
}

static void test_urls(void **state)
{
    const char *bad[] = {
        "", "lmdb", "nosuch:/tmp", "lmdb:", "lmdb:tmp", "memory:name", "lmdbx:/"};
    scim_kv *kv = current->kv;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        current->why = NULL;
        assert_int_equal(scim_kv_open(&kv, bad[i], NULL, &current->why, current->pool),
                         SCIM_KV_INVALID);
        assert_null(kv);
        assert_non_null(strstr(current->why, bad[i]));
    }
    for (scim_kv_rc rc = SCIM_KV_OK; rc <= SCIM_KV_IO; rc++) {
        assert_string_not_equal(scim_kv_strerror(rc), "unknown result");
        assert_true(rc == 0 || strcmp(scim_kv_strerror(rc), scim_kv_strerror(rc - 1)));
    }
}

/*
 * memory
 */

static void test_memory_is_new(void **state)
{
    scim_kv *other = open_store();
    scim_kv_claim *claim;

    fill("a");
    expect(other, "a", NULL);
    scim_kv_close(other);
    assert_int_equal(scim_kv_claim_store(&claim, current->url, &current->why, current->pool),
                     SCIM_KV_INVALID);
    assert_non_null(strstr(current->why, "memory:"));
}

static scim_kv_rc several_writes(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc rc = must_put(txn, "a", "changed");

    if (rc == OK) {
        rc = scim_kv_add(txn, S("n"), 1, NULL);
    }
    if (rc == OK) {
        rc = scim_kv_del(txn, S("b"));
    }
    return baton ? OK : rc; /* with a baton it does not care */
}

static void test_memory_fails(void **state)
{
    fill("a b");
    for (int n = 1; n <= 4; n++) { /* three writes and the commit */
        scim_kv_memory_fail(current->kv, n);
        assert_int_equal(scim_kv_update(current->kv, several_writes, NULL), SCIM_KV_IO);
        scim_kv_memory_fail(current->kv, n);
        assert_int_equal(scim_kv_update(current->kv, several_writes, &n), SCIM_KV_IO);
        expect(current->kv, "a", "a");
        expect(current->kv, "b", "b");
        expect(current->kv, "n", NULL);
    }
    scim_kv_memory_fail(current->kv, 5);
    assert_int_equal(scim_kv_update(current->kv, several_writes, NULL), OK);
    expect(current->kv, "a", "changed");
    scim_kv_memory_fail(current->kv, 0);
    assert_int_equal(put(current->kv, "a", "a"), OK);
}

/*
 * lmdb: files
 */

static scim_kv_rc try_open(const char *url, bool create)
{
    scim_kv_options options = {.create = create, .size = 1024 * 1024};
    scim_kv *kv;
    scim_kv_rc rc;

    current->why = "";
    rc = scim_kv_open(&kv, url, &options, &current->why, current->pool);
    if (rc == OK) {
        scim_kv_close(kv);
    }
    return rc;
}

static void assert_why(const char *text)
{
    if (!strstr(current->why, text)) {
        fail_msg("\"%s\" is not in: %s", text, current->why);
    }
}

static void test_lmdb_files(void **state)
{
    const char *names[] = {"data.mdb", "lock.mdb"};
    struct stat info;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(stat(in_directory(names[i]), &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
    }
    assert_in_range(info.st_size / 64, 8192, 8200); /* the table of readers */
}

static void test_lmdb_missing(void **state)
{
    char uid[32];

    snprintf(uid, sizeof(uid), "(uid %u)", geteuid());
    assert_int_equal(try_open(apr_pstrcat(current->pool, current->url, "/no", NULL), true),
                     NOTFOUND);
    assert_why(in_directory("no"));
    assert_why(uid);
    assert_why("create it");
    assert_int_not_equal(access(in_directory("no"), F_OK), 0);

    assert_int_equal(mkdir(in_directory("copy"), 0700), 0);
    assert_int_equal(try_open(apr_pstrcat(current->pool, current->url, "/copy", NULL), false),
                     NOTFOUND);
    assert_why("scimctl init");
    assert_int_equal(rmdir(in_directory("copy")), 0); /* nothing was made */

    assert_int_equal(
        try_open(apr_pstrcat(current->pool, current->url, "/data.mdb", NULL), true), NOTFOUND);
    assert_why("not a directory");
}

static void test_lmdb_network(void **state)
{
    const struct {
        unsigned int magic;
        const char *name;
    } remote[] = {
        {0x6969, "NFS"}, {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x1021997, "9p"}};

    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        faults.magic = remote[i].magic;
        assert_int_equal(try_open(current->url, true), SCIM_KV_IO);
        assert_why(remote[i].name);
        assert_why(current->directory);
        assert_why("local disk");
    }
}

static void write_file(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(in_directory(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void test_lmdb_no_store(void **state)
{
    static const char bytes[10000] = "something else";

    scim_kv_close(current->kv);
    write_file("data.mdb", bytes, sizeof(bytes));
    assert_int_equal(try_open(current->url, true), SCIM_KV_CORRUPT);
    assert_why(current->directory);
    assert_why("backup");
    unlink(in_directory("data.mdb"));
    assert_int_equal(try_open(current->url, false), NOTFOUND);
    assert_int_equal(try_open(current->url, true), OK);
}

/* The meta page that counts, of two: the numbers in it, by where they stand. */
static apr_uint64_t number_in_meta(int fd, int at)
{
    apr_uint64_t numbers[2], txns[2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pread(fd, &numbers[i], 8, i * 4096 + at), 8);
        assert_int_equal(pread(fd, &txns[i], 8, i * 4096 + 144), 8);
    }
    return numbers[txns[1] > txns[0]];
}

enum { FREE_ROOT = 80, ROWS_ROOT = 128, LAST_PAGE = 136 };

static scim_kv_rc put_and_delete(scim_kv_txn *txn, void *baton)
{
    static const char bytes[100 * 1000];

    assert_int_equal(must_put(txn, "small", "x"), OK);
    assert_int_equal(scim_kv_put(txn, S("large"), (scim_slice){bytes, sizeof(bytes)}, true),
                     OK);
    return scim_kv_del(txn, S("large"));
}

/* What is told where that page is zero; then it is again what it was. */
static void assert_refused(int fd, apr_uint64_t zero_page)
{
    static const char zeros[4096];
    char page[4096];

    assert_int_equal(pread(fd, page, sizeof(page), (off_t)zero_page * 4096), sizeof(page));
    assert_int_equal(pwrite(fd, zeros, sizeof(zeros), (off_t)zero_page * 4096), sizeof(page));
    assert_int_equal(try_open(current->url, false), SCIM_KV_CORRUPT);
    assert_why("is damaged");
    assert_why("scimctl restore");
    assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)zero_page * 4096), sizeof(page));
}

/* Reading such a file ends the process. */
static void test_lmdb_damaged(void **state)
{
    struct stat info;
    off_t size;
    int fd;

    for (int i = 0; i < 200; i++) {
        assert_int_equal(put(current->kv, apr_psprintf(current->pool, "%d", i), "value"), OK);
    }
    assert_int_equal(scim_kv_update(current->kv, put_and_delete, NULL), OK);
    scim_kv_close(current->kv);
    fd = open(in_directory("data.mdb"), O_RDWR);
    assert_int_equal(fstat(fd, &info), 0);
    size = info.st_size;

    /* Pages that nobody needs are not there, and nothing is wrong with that. */
    assert_true(number_in_meta(fd, LAST_PAGE) >= (apr_uint64_t)size / 4096);
    assert_int_equal(try_open(current->url, false), OK);

    assert_refused(fd, number_in_meta(fd, ROWS_ROOT));
    assert_refused(fd, number_in_meta(fd, FREE_ROOT));
    assert_int_equal(try_open(current->url, false), OK);
    assert_int_equal(ftruncate(fd, 2 * 4096), 0);
    assert_int_equal(try_open(current->url, false), SCIM_KV_CORRUPT);
    assert_why("cut short");
    close(fd);
}

static void test_lmdb_cut(void **state)
{
    apr_uint64_t pages;
    int fd;

    /* Pages of their own at the end, which are in use. */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(put(current->kv, apr_psprintf(current->pool, "%d", i),
                             apr_psprintf(current->pool, "%*d", 10000 * i, i)),
                         OK);
    }
    scim_kv_close(current->kv);
    fd = open(in_directory("data.mdb"), O_RDWR);
    pages = number_in_meta(fd, LAST_PAGE) + 1;
    assert_int_equal(try_open(current->url, false), OK);
    assert_int_equal(ftruncate(fd, (off_t)(pages - 1) * 4096), 0);
    assert_int_equal(try_open(current->url, false), SCIM_KV_CORRUPT);
    assert_why("cut short");
    assert_why(in_directory("data.mdb"));
    close(fd);
}

/* Permissions do not stop root. */
static void drop_root(void)
{
    MUST(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
}

static void open_unreachable(void)
{
    char uid[32];

    drop_root();
    snprintf(uid, sizeof(uid), "(uid %u)", geteuid());
    MUST(try_open(current->url, true) == SCIM_KV_IO);
    MUST(strstr(current->why, uid) && strstr(current->why, current->directory));
    MUST(strstr(current->why, "Permission denied") &&
         strstr(current->why, "belong to that user"));
    MUST(geteuid() != 65534 || strstr(current->why, "user nobody "));
}

static void open_unwritable(void)
{
    scim_kv_options options = {.read_only = true};
    scim_kv *kv;

    drop_root();
    MUST(try_open(current->url, true) == SCIM_KV_READONLY);
    MUST(strstr(current->why, "belong to that user"));
    MUST(geteuid() != 65534 || strstr(current->why, "belongs to user root (uid 0)"));
    MUST(scim_kv_open(&kv, current->url, &options, NULL, current->pool) == OK);
    expect(kv, "a", "a");
    MUST(put(kv, "b", "b") == SCIM_KV_READONLY);
    MUST(try_open(current->url, true) == SCIM_KV_READONLY); /* beside the open one */
}

static void test_lmdb_permissions(void **state)
{
    fill("a");
    scim_kv_close(current->kv);
    assert_int_equal(chmod(current->directory, 0), 0);
    run_child(open_unreachable);
    assert_int_equal(chmod(current->directory, 0755), 0);
    assert_int_equal(chmod(in_directory("data.mdb"), 0444), 0);
    assert_int_equal(chmod(in_directory("lock.mdb"), 0666), 0);
    run_child(open_unwritable);
}

static void test_lmdb_one_store(void **state)
{
    char *alias = in_directory("copy");
    scim_kv *other;

    assert_int_equal(symlink(current->directory, alias), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(scim_kv_open(&other, apr_pstrcat(current->pool, "lmdb:", alias, NULL),
                                      NULL, &current->why, current->pool),
                         OK);
        assert_int_equal(put(other, "a", i % 2 ? "odd" : "even"), OK);
        expect(current->kv, "a", i % 2 ? "odd" : "even");
        scim_kv_close(i % 2 ? other : current->kv);
        if (i % 2 == 0) {
            current->kv = other;
        }
    }
    unlink(alias);
}

static void test_lmdb_pool_closes(void **state)
{
    apr_pool_t *pool;
    scim_kv *kv;

    scim_kv_close(current->kv);
    for (int i = 0; i < 10; i++) {
        apr_pool_create(&pool, current->pool);
        assert_int_equal(
            scim_kv_open(&kv, current->url, &current->options, &current->why, pool), OK);
        assert_int_equal(scim_kv_update(kv, add_one, (void *)"counter"), OK);
        apr_pool_destroy(pool);
    }
    current->kv = open_store();
    assert_int_equal(counter(current->kv), 10);
}

/* A program that httpd runs, for another user perhaps, inherits no file of the
 * store. */
static void test_lmdb_descriptors(void **state)
{
    size_t len = strlen(current->directory);
    int fd, found = 0;

    for (fd = 0; fd < 1024; fd++) {
        char *name = apr_psprintf(current->pool, "/proc/self/fd/%d", fd);
        char target[4096];
        ssize_t n = readlink(name, target, sizeof(target));

        if (n > (ssize_t)len && !memcmp(target, current->directory, len)) {
            assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            found++;
        }
    }
    assert_true(found >= 2); /* the data and the lock */
}

static scim_kv_rc close_inside(scim_kv_txn *txn, void *baton)
{
    scim_kv_close(current->kv);
    assert_value(txn, "a", "a");
    return OK;
}

/* As a child does that prefork ends by a signal. */
static void test_lmdb_close_inside_view(void **state)
{
    fill("a");
    assert_int_equal(scim_kv_view(current->kv, close_inside, NULL), OK);
    current->kv = open_store();
    assert_non_null(current->kv);
    expect(current->kv, "a", "a");
    assert_int_equal(put(current->kv, "b", "b"), OK);
}

/* Rows that come in the order of their keys, or in none. */
static scim_kv_rc fill_rows(scim_kv_txn *txn, void *in_order)
{
    static const char bytes[300];
    scim_slice value = {bytes, sizeof(bytes)};
    scim_kv_rc rc = OK;

    for (int i = 0; i < 3000 && rc == OK; i++) {
        char key[16];

        apr_snprintf(key, sizeof(key), "row%06d", in_order ? i : i * 7919 % 3000);
        rc = in_order ? scim_kv_append(txn, S(key), value)
                      : scim_kv_put(txn, S(key), value, true);
    }
    return rc;
}

static apr_uint64_t bytes_of(const scim_kv *kv)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_statistics((scim_kv *)kv, &stat), OK);
    assert_true(stat.used <= stat.extent);
    return stat.used;
}

static void test_lmdb_append_is_dense(void **state)
{
    const char *url = apr_pstrcat(current->pool, current->url, "/copy", NULL);
    scim_kv *kv;

    assert_int_equal(scim_kv_update(current->kv, fill_rows, NULL), OK);
    assert_int_equal(mkdir(in_directory("copy"), 0700), 0);
    assert_int_equal(scim_kv_open(&kv, url, &current->options, NULL, current->pool), OK);
    assert_int_equal(scim_kv_update(kv, fill_rows, (void *)""), OK);
    assert_true(bytes_of(kv) < bytes_of(current->kv) * 3 / 4);
    scim_kv_close(kv);
}

static scim_kv_rc add_both(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc rc = scim_kv_add(txn, S("counter"), 1, NULL);

    return rc == OK ? scim_kv_add(txn, S("key999999"), 1, NULL) : rc;
}

/* Both counters, as one examination met them. */
typedef struct both {
    apr_int64_t first;
    apr_int64_t second;
    int rows;
} both;

static scim_kv_rc note_both(scim_slice key, scim_slice value, void *baton)
{
    both *b = baton;

    b->rows++;
    if (key.len == 7 && !memcmp(key.data, "counter", 7)) {
        b->first = scim_kv_counter(value);
    } else if (key.len == 9 && !memcmp(key.data, "key999999", 9)) {
        b->second = scim_kv_counter(value);
    }
    return OK;
}

static atomic_bool written;

static void *examine_in_thread(void *result)
{
    int *examined = result;

    while (*examined >= 0 && (*examined < 3 || !atomic_load(&written))) {
        both b = {0};
        scim_kv_examiner to = {.row = note_both, .baton = &b};

        *examined = scim_kv_examine(current->kv, &to) == OK && b.first == b.second && b.first &&
                            b.rows == 3002
                        ? *examined + 1
                        : -1;
    }
    return NULL;
}

static void test_lmdb_examine_amid_writes(void **state)
{
    int examined = 0;
    pthread_t thread;

    assert_int_equal(scim_kv_update(current->kv, put_many, NULL), OK);
    assert_int_equal(scim_kv_update(current->kv, add_both, NULL), OK);
    atomic_store(&written, false);
    assert_int_equal(pthread_create(&thread, NULL, examine_in_thread, &examined), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(scim_kv_update(current->kv, add_both, NULL), OK);
    }
    atomic_store(&written, true);
    pthread_join(thread, NULL);
    assert_true(examined >= 3);
}

/*
 * lmdb: claims
 */

static scim_kv_rc claim(scim_kv_claim **out)
{
    return scim_kv_claim_store(out, current->url, &current->why, current->pool);
}

static scim_kv *open_place(scim_kv_claim *of, const char **url)
{
    scim_kv_options options = current->options;
    scim_kv *kv = NULL;

    assert_int_equal(scim_kv_claim_place(of, url, &current->why), OK);
    options.claim = of;
    assert_int_equal(scim_kv_open(&kv, *url, &options, &current->why, current->pool), OK);
    return kv;
}

static bool there_is(const char *name)
{
    return access(in_directory(name), F_OK) == 0;
}

static void hold_open(int ready, int over)
{
    scim_kv *kv = open_store();
    char byte = 0;

    MUST(kv && write(ready, &byte, 1) == 1 && read(over, &byte, 1) >= 0);
}

/* Another process has it open. */
static void test_lmdb_claim_in_use(void **state)
{
    int ready[2], over[2], status;
    scim_kv_claim *mine;
    char byte;
    pid_t pid;

    fill("a");
    assert_int_equal(claim(&mine), SCIM_KV_BUSY); /* so has this one */
    expect(current->kv, "a", "a");
    scim_kv_close(current->kv);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(over), 0);
    pid = fork();
    if (pid == 0) {
        close(over[1]);
        hold_open(ready[1], over[0]);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(claim(&mine), SCIM_KV_BUSY);
    assert_why(apr_itoa(current->pool, (int)pid));
    close(over[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(claim(&mine), OK);
    scim_kv_claim_end(mine);
    current->kv = open_store();
    expect(current->kv, "a", "a");
}

static void open_and_see_new(void)
{
    scim_kv *kv = open_store();

    MUST(kv && scim_kv_view(kv, see_after, NULL) == OK);
    scim_kv_close(kv);
}

/* Who opens it meanwhile waits, and has the new one. */
static void test_lmdb_replace(void **state)
{
    const char *url, *kept = NULL;
    scim_kv_claim *mine;
    struct stat info;
    scim_kv *kv;
    int status;
    pid_t pid;

    assert_int_equal(put(current->kv, "a", "before"), OK);
    scim_kv_close(current->kv);
    assert_int_equal(claim(&mine), OK);
    pid = fork();
    if (pid == 0) {
        open_and_see_new();
        _exit(0);
    }
    kv = open_place(mine, &url);
    assert_int_equal(put(kv, "a", "after"), OK);
    scim_kv_close(kv);
    usleep(50 * 1000);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(scim_kv_claim_replace(mine, &kept, &current->why), OK);
    scim_kv_claim_end(mine);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(kept, in_directory("data.mdb.old"));
    assert_int_equal(stat(in_directory("data.mdb"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    current->kv = open_store();
    expect(current->kv, "a", "after");
    assert_int_equal(put(current->kv, "b", "b"), OK);
    assert_int_equal(rename(kept, in_directory("copy")), 0);
    assert_int_equal(unlink(in_directory("copy")), 0);
}

/* What was not put in its place is gone, and what a dead one left is no hindrance. */
static void test_lmdb_claim_ends(void **state)
{
    scim_kv_claim *mine;
    const char *url;
    scim_kv *kv;

    assert_int_equal(put(current->kv, "a", "before"), OK);
    scim_kv_close(current->kv);
    assert_int_equal(mkdir(in_directory(SCIM_KV_PLACE), 0700), 0);
    assert_int_equal(close(open(in_directory(SCIM_KV_PLACE "/data.mdb"), O_CREAT, 0600)), 0);
    assert_int_equal(claim(&mine), OK);
    kv = open_place(mine, &url);
    assert_int_equal(put(kv, "a", "after"), OK);
    scim_kv_close(kv);
    assert_true(there_is(SCIM_KV_PLACE));
    scim_kv_claim_end(mine);
    assert_false(there_is(SCIM_KV_PLACE));
    current->kv = open_store();
    expect(current->kv, "a", "before");
}

static void die_with_claim(void)
{
    scim_kv_claim *mine;
    const char *url;

    MUST(claim(&mine) == OK);
    MUST(open_place(mine, &url));
    _exit(0);
}

static void test_lmdb_claim_of_the_dead(void **state)
{
    scim_kv_claim *mine;

    assert_int_equal(put(current->kv, "a", "before"), OK);
    scim_kv_close(current->kv);
    run_child(die_with_claim);
    assert_int_equal(claim(&mine), OK);
    scim_kv_claim_end(mine);
    current->kv = open_store();
    expect(current->kv, "a", "before");
    unlink(in_directory(SCIM_KV_PLACE "/data.mdb"));
    unlink(in_directory(SCIM_KV_PLACE "/lock.mdb"));
    rmdir(in_directory(SCIM_KV_PLACE));
}

/*
 * lmdb: processes
 */

enum { PROCESSES = 4, PROCESS_ADDS = 25 };

static void add_in_child(void)
{
    scim_kv *kv = open_store();

    MUST(kv);
    for (int i = 0; i < PROCESS_ADDS; i++) {
        MUST(scim_kv_update(kv, add_one, (void *)"counter") == OK);
    }
    scim_kv_close(kv);
}

/* The parent keeps its own store open all the time. */
static void test_lmdb_processes(void **state)
{
    pid_t pids[PROCESSES];
    int status;

    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            add_in_child();
            _exit(0);
        }
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < PROCESS_ADDS; i++) {
        assert_int_equal(scim_kv_update(current->kv, add_one, (void *)"counter"), OK);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(counter(current->kv), (PROCESSES + 1) * PROCESS_ADDS);
}

static void change_in_child(void)
{
    scim_kv *kv = open_store();

    MUST(kv && put(kv, "b", "theirs") == OK && put(kv, "d", NULL) == OK);
    MUST(put(kv, "ba", "ba") == OK);
    scim_kv_close(kv);
}

/* Every key that is there, and what comes behind it. */
static scim_kv_rc look_around(scim_kv_txn *txn, void *baton)
{
    const pair *p = baton;

    for (; p->key; p++) {
        scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
        const char *behind = p[1].key;

        assert_value(txn, p->key, p->value);
        assert_seek(cursor, p->key, p->key);
        assert_next(cursor, behind);
        if (behind) {
            assert_prev(cursor, p->key);
        }
        scim_kv_cursor_close(cursor);
    }
    return OK;
}

static void look_often(const pair *pairs)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(scim_kv_view(current->kv, look_around, (void *)pairs), OK);
    }
}

/* Whatever views found, and may have kept, is of the state that they saw. */
static void test_lmdb_views_see_commits(void **state)
{
    const pair before[] = {{"a", "a"}, {"b", "b"}, {"c", "c"}, {"d", "d"}, {NULL, NULL}};
    const pair ours[] = {{"a", "ours"}, {"b", "b"}, {"d", "d"}, {NULL, NULL}};
    const pair theirs[] = {{"a", "ours"}, {"b", "theirs"}, {"ba", "ba"}, {NULL, NULL}};

    fill("a b c d");
    look_often(before);
    assert_int_equal(put(current->kv, "a", "ours"), OK);
    assert_int_equal(put(current->kv, "c", NULL), OK);
    look_often(ours);
    run_child(change_in_child);
    look_often(theirs);
    reopen();
    look_often(theirs);
}

static void put_and_exit(void)
{
    scim_kv *kv = open_store();

    MUST(kv && put(kv, "a", "kept") == OK);
    _exit(0); /* nothing is closed */
}

static void test_lmdb_durable(void **state)
{
    run_child(put_and_exit);
    expect(current->kv, "a", "kept");
    reopen();
    expect(current->kv, "a", "kept");
}

/* Tells the parent that it is inside, and stays. */
static scim_kv_rc stay(scim_kv_txn *txn, void *baton)
{
    MUST(!scim_kv_writable(txn) || put_words(txn, (void *)"lost also-lost") == OK);
    MUST(write(*(int *)baton, "", 1) == 1);
    for (;;) {
        pause();
    }
}

/* A child that runs fn in a store of its own until fn writes to the pipe. */
static pid_t start_child(scim_kv_rc (*call)(scim_kv *, scim_kv_fn, void *), scim_kv_fn fn)
{
    int pipes[2];
    pid_t pid;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        alarm(120); /* should nobody end it */
        current->kv = open_store();
        MUST(current->kv);
        call(current->kv, fn, &pipes[1]);
        _exit(1);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    return pid;
}

static void kill_child(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void kill_inside(scim_kv_rc (*call)(scim_kv *, scim_kv_fn, void *))
{
    kill_child(start_child(call, stay));
}

static void test_lmdb_killed_in_update(void **state)
{
    apr_time_t start;

    fill("a");
    kill_inside(scim_kv_update);
    start = apr_time_now();
    assert_int_equal(put(current->kv, "b", "b"), OK);
    assert_true(apr_time_now() - start < apr_time_from_sec(5));
    expect(current->kv, "a", "a");
    expect(current->kv, "lost", NULL);
    expect(current->kv, "also-lost", NULL);
}

static void test_lmdb_killed_in_view(void **state)
{
    scim_kv_stat stat;
    int freed = -1;

    fill("a");
    assert_int_equal(scim_kv_check(current->kv, &freed), OK);
    assert_int_equal(freed, 0);
    kill_inside(scim_kv_view);
    kill_inside(scim_kv_view);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    /* the second child, when it opened, cleared up after the first */
    assert_int_equal(stat.readers, 1);
    assert_int_equal(scim_kv_check(current->kv, &freed), OK);
    assert_int_equal(freed, 1);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.readers, 0);
}

static void start_small(void)
{
    unlink(in_directory("data.mdb"));
    current->options.size = 1024 * 1024;
    current->options.timeout = apr_time_from_msec(50);
    reopen();
    fill("a");
}

/* The pages that a dead reader holds fill the map, until an update finds it. */
static void test_lmdb_dead_reader_fills_map(void **state)
{
    static char bytes[40000];

    start_small();
    kill_inside(scim_kv_view);
    for (int i = 0; i < 60; i++) {
        numbered item = {0, {bytes, sizeof(bytes)}};

        bytes[0] = (char)i;
        assert_int_equal(scim_kv_update(current->kv, overwrite_numbered, &item), OK);
    }
}

/* As deep as it gets, then stays. */
static scim_kv_rc nest_and_stay(scim_kv_txn *txn, void *pipe_end)
{
    MUST(scim_kv_view(current->kv, nest_and_stay, pipe_end) == SCIM_KV_BUSY);
    return stay(txn, pipe_end);
}

static scim_kv_rc view_expecting(scim_kv_txn *txn, void *rc)
{
    assert_int_equal(scim_kv_view(current->kv, see_before, NULL), *(scim_kv_rc *)rc);
    return OK;
}

/* To any but the one that this thread is on, where there is one; *before gets the
 * set that it may run on. */
static void change_processor(cpu_set_t *before)
{
    size_t here = (size_t)sched_getcpu(), cpu = 0;
    cpu_set_t other;

    assert_int_equal(sched_getaffinity(0, sizeof(*before), before), 0);
    while (cpu < CPU_SETSIZE && (cpu == here || !CPU_ISSET(cpu, before))) {
        cpu++;
    }
    if (cpu < CPU_SETSIZE) {
        CPU_ZERO(&other);
        CPU_SET(cpu, &other);
        assert_int_equal(sched_setaffinity(0, sizeof(other), &other), 0);
    }
}

/* Two processes take every slot for readers but the one that this one has. */
static void test_lmdb_readers_full(void **state)
{
    cpu_set_t processors;
    scim_kv_rc inner = SCIM_KV_BUSY;
    pid_t pids[2];

    assert_int_equal(put(current->kv, "a", "before"), OK);
    expect(current->kv, "a", "before");
    pids[0] = start_child(scim_kv_view, nest_and_stay);
    pids[1] = start_child(scim_kv_view, nest_and_stay);
    change_processor(&processors);
    assert_int_equal(scim_kv_view(current->kv, view_expecting, &inner), OK);
    assert_int_equal(sched_setaffinity(0, sizeof(processors), &processors), 0);
    kill_child(pids[0]);
    kill_child(pids[1]);
    inner = OK;
    assert_int_equal(scim_kv_view(current->kv, view_expecting, &inner), OK);
}

static void acknowledge_adds(int fd)
{
    scim_kv *kv = open_store();

    MUST(kv);
    while (scim_kv_update(kv, add_one, (void *)"counter") == OK) {
        MUST(write(fd, "", 1) == 1);
    }
    _exit(1);
}

static apr_int64_t read_all(int fd)
{
    apr_int64_t total = 0;
    char bytes[256];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
        total += n;
    }
    return total;
}

static void test_lmdb_killed_amid_updates(void **state)
{
    apr_int64_t acknowledged = 0;
    int status;

    for (int round = 0; round < 6; round++) {
        int pipes[2];
        pid_t pid;

        assert_int_equal(pipe(pipes), 0);
        pid = fork();
        if (pid == 0) {
            acknowledge_adds(pipes[1]);
        }
        close(pipes[1]);
        usleep((useconds_t)(40000 + round * 3700));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        acknowledged += read_all(pipes[0]);
        close(pipes[0]);
        assert_in_range(counter(current->kv), acknowledged, acknowledged + round + 1);
        reopen();
    }
    assert_true(acknowledged > 0);
}

static void grow_in_child(void)
{
    static const char bytes[8 * 1024 * 1024];
    scim_kv *kv;

    current->options.size = 64 * 1024 * 1024;
    kv = open_store();
    MUST(kv && scim_kv_update(kv, put_numbered, &(numbered){1, {bytes, sizeof(bytes)}}) == OK);
    MUST(put(kv, "a", "grown") == OK);
    scim_kv_close(kv);
}

static scim_kv_rc grow_under_view(scim_kv_txn *txn, void *baton)
{
    run_child(grow_in_child);
    assert_value(txn, "a", "a");
    /* the map cannot be moved under the outer view */
    assert_int_equal(scim_kv_view(current->kv, see_after, NULL), SCIM_KV_BUSY);
    return OK;
}

static void test_lmdb_map_grown(void **state)
{
    start_small();
    run_child(grow_in_child);
    expect(current->kv, "a", "grown");
    assert_int_equal(put(current->kv, "b", "b"), OK);
}

/* What views found before the map was moved lies elsewhere now. */
static void test_lmdb_map_grown_after_views(void **state)
{
    start_small();
    assert_int_equal(put(current->kv, "c", "kept"), OK);
    for (int i = 0; i < 3; i++) {
        expect(current->kv, "a", "a");
        expect(current->kv, "c", "kept");
    }
    run_child(grow_in_child);
    expect(current->kv, "a", "grown");
    expect(current->kv, "c", "kept");
    expect(current->kv, "c", "kept");
}

static void test_lmdb_map_grown_for_update(void **state)
{
    start_small();
    run_child(grow_in_child);
    assert_int_equal(put(current->kv, "b", "b"), OK);
    expect(current->kv, "a", "grown");
}

static void test_lmdb_map_grown_under_view(void **state)
{
    start_small();
    assert_int_equal(scim_kv_view(current->kv, grow_under_view, NULL), OK);
    expect(current->kv, "a", "grown");
}

/* By the tool that this program runs under. */
static bool address_space_is_taken(void)
{
    const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#endif
    return preload && strstr(preload, "vgpreload");
}

static void open_with_little_space(void)
{
    struct rlimit limit = {5 * 1024ull * 1024 * 1024, 5 * 1024ull * 1024 * 1024};
    scim_kv_stat stat;
    scim_kv *kv;

    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    current->options.size = 0;
    kv = open_store();
    MUST(kv && scim_kv_statistics(kv, &stat) == OK);
    MUST(stat.size == 4 * 1024ull * 1024 * 1024);
    MUST(put(kv, "a", "b") == OK);
    scim_kv_close(kv);
    limit.rlim_cur = limit.rlim_max = 900 * 1024 * 1024;
    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    MUST(scim_kv_open(&kv, current->url, &current->options, &current->why, current->pool) ==
         SCIM_KV_IO);
    MUST(strstr(current->why, "ulimit -v") && strstr(current->why, current->directory));
}

static void test_lmdb_little_space(void **state)
{
    const apr_uint64_t gib = 1024 * 1024 * 1024;
    scim_kv_stat stat;

    scim_kv_close(current->kv);
    if (!address_space_is_taken()) {
        run_child(open_with_little_space);
    }
    current->options.size = 0;
    current->kv = open_store();
    assert_non_null(current->kv);
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_in_range(stat.size, address_space_is_taken() ? gib : 64 * gib, 64 * gib);
}

static scim_kv_rc nest(scim_kv_txn *txn, void *depth)
{
    ++*(int *)depth;
    return scim_kv_view(current->kv, nest, depth);
}

static void test_lmdb_too_many_views(void **state)
{
    scim_kv_stat stat;
    int depth = 0;

    assert_int_equal(scim_kv_view(current->kv, nest, &depth), SCIM_KV_BUSY);
    assert_in_range(depth, 4000, 4096);
    fill("a");
    expect(current->kv, "a", "a");
    assert_int_equal(scim_kv_statistics(current->kv, &stat), OK);
    assert_int_equal(stat.readers, 0);
}

/*
 * lmdb: a system that refuses
 */

static void test_lmdb_disk_full(void **state)
{
    fill("a");
    faults.disk_full = true;
    faults.data = 1;
    assert_int_equal(put(current->kv, "b", "b"), SCIM_KV_DISK_FULL);
    faults.meta = 1;
    assert_int_equal(put(current->kv, "b", "b"), SCIM_KV_DISK_FULL);
    expect(current->kv, "b", NULL);
    assert_int_equal(put(current->kv, "c", "c"), OK); /* there is room again */
    expect(current->kv, "a", "a");
}

static void test_lmdb_write_errors(void **state)
{
    atomic_int *const each[] = {&faults.data, &faults.sync, &faults.meta};

    fill("a");
    for (int i = 0; i < 3; i++) {
        atomic_store(each[i], 1);
        assert_int_equal(put(current->kv, "b", "b"), SCIM_KV_IO);
        expect(current->kv, "b", NULL); /* reads go on, from what is on the disk */
        assert_int_equal(put(current->kv, "c", "c"), OK);
        expect(current->kv, "a", "a");
    }
}

static void test_lmdb_batch_without_space(void **state)
{
    job_baton batons[] = {
        {.key = "counter", .write = true},
        {.key = "counter", .write = true},
    };
    scim_kv_job jobs[] = {{run_job, &batons[0], OK}, {run_job, &batons[1], OK}};

    faults.disk_full = true;
    faults.data = 2; /* the commit of both, then the first one's own */
    assert_int_equal(scim_kv_update_all(current->kv, jobs, 2), SCIM_KV_DISK_FULL);
    assert_int_equal(jobs[0].rc, SCIM_KV_DISK_FULL);
    assert_int_equal(jobs[1].rc, OK);
    assert_int_equal(counter(current->kv), 10);
}

static scim_kv_rc fail_under_view(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc updated = SCIM_KV_IO;
    pthread_t thread;

    faults.meta = 1;
    assert_int_equal(pthread_create(&thread, NULL, update_in_thread, &updated), 0);
    pthread_join(thread, NULL);
    assert_int_equal(updated, SCIM_KV_IO);
    assert_int_equal(scim_kv_view(current->kv, see_before, NULL), SCIM_KV_BUSY);
    return see_before(txn, NULL); /* this one reads on */
}

static void test_lmdb_error_under_view(void **state)
{
    current->options.timeout = apr_time_from_msec(50);
    reopen();
    assert_int_equal(put(current->kv, "a", "before"), OK);
    assert_int_equal(scim_kv_view(current->kv, fail_under_view, NULL), OK);
    expect(current->kv, "a", "before");
    assert_int_equal(put(current->kv, "a", "after"), OK);
}

/* An environment that is opened again never makes an empty store of one that
 * was taken away, and goes on when it is back. */
static void test_lmdb_taken_away(void **state)
{
    char *data = in_directory("data.mdb");
    char *aside = in_directory("copy");

    fill("a");
    faults.meta = 1;
    assert_int_equal(put(current->kv, "b", "b"), SCIM_KV_IO);
    assert_int_equal(rename(data, aside), 0);
    assert_int_equal(put(current->kv, "b", "b"), SCIM_KV_IO);
    assert_int_equal(scim_kv_view(current->kv, see_after, NULL), SCIM_KV_IO);
    assert_int_not_equal(access(data, F_OK), 0);
    assert_int_equal(rename(aside, data), 0);
    expect(current->kv, "a", "a");
    assert_int_equal(put(current->kv, "b", "b"), OK);
}

#define LOCAL(text, test)                                        \
    {"lmdb: " text, test, setup, teardown, (void *)"lmdb"},      \
    {                                                            \
        "memory: " text, test, setup, teardown, (void *)"memory" \
    }
#define EACH(text, test)                                       \
    LOCAL(text, test),                                         \
    {                                                          \
        "pgsql: " text, test, setup, teardown, (void *)"pgsql" \
    }
#define LMDB(text, test)                                     \
    {                                                        \
        "lmdb: " text, test, setup, teardown, (void *)"lmdb" \
    }
#define MEMORY(text, test)                                       \
    {                                                            \
        "memory: " text, test, setup, teardown, (void *)"memory" \
    }

/* Without a server those that need one stay empty, and cmocka passes over them. */
static void leave_out(struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(tests[i].initial_state, "pgsql") && !pgsql_server()) {
            tests[i] = (struct CMUnitTest){0};
        }
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        EACH("get, put, no-overwrite, del", test_get_put_del),
        EACH("keys are ordered by bytes, then length", test_order),
        EACH("a key has 1 to 500 bytes", test_key_limits),
        EACH("a value has up to 16 MiB", test_value_limits),
        EACH("counters", test_add),
        EACH("seek, next, prev, at the ends and beyond", test_cursor),
        EACH("a cursor keeps its place while its transaction writes", test_cursor_and_writes),
        EACH("what a walk returned may be written back", test_rewrite_while_walking),
        EACH("a seek passes what was deleted, however much", test_many_deleted),
        EACH("a cursor knows nothing of what is beyond its prefix", test_add_beyond),
        EACH("what is expected is what is there", test_expect),
        EACH("random operations agree with a model", test_model),
        EACH("an update that fails leaves nothing", test_failed_update),
        EACH("an exclusive update runs once", test_exclusive),
        EACH("update_all keeps what succeeded", test_update_all),
        EACH("functions are run again after one failed late", test_run_again),
        EACH("a view does not write", test_view_does_not_write),
        EACH("a read-only store takes no update", test_read_only),
        EACH("a view keeps its state while others commit", test_view_keeps_state),
        EACH("each state has a number of its own", test_state),
        EACH("a view inside an update, no update inside one", test_view_in_update),
        EACH("scratch memory", test_scratch),
        EACH("threads", test_threads),
        LOCAL("BUSY when the writer lock is not free in time", test_busy),
        EACH("rows are appended in order", test_append),
        EACH("an examination hands out all rows", test_examine),
        LOCAL("statistics", test_statistics),
        LOCAL("a full store can delete", test_full),
        EACH("no store is used after fork", test_not_after_fork),
        EACH("urls that name no store", test_urls),
        MEMORY("each open is a new store", test_memory_is_new),
        MEMORY("the n-th write fails and nothing is kept", test_memory_fails),
        LMDB("updates that wait share a commit, and none its failure", test_lmdb_shared_commit),
        LMDB("a queue has its fill", test_lmdb_full_queue),
        LMDB("files are private, with room for 8192 readers", test_lmdb_files),
        LMDB("what is missing is named", test_lmdb_missing),
        LMDB("network file systems are refused", test_lmdb_network),
        LMDB("a file that is no store", test_lmdb_no_store),
        LMDB("a file whose first pages are damaged", test_lmdb_damaged),
        LMDB("a file that is cut", test_lmdb_cut),
        LMDB("permissions", test_lmdb_permissions),
        LMDB("one directory is one store", test_lmdb_one_store),
        LMDB("the pool closes", test_lmdb_pool_closes),
        LMDB("no program inherits its files", test_lmdb_descriptors),
        LMDB("a close inside a view does no harm", test_lmdb_close_inside_view),
        LMDB("what is appended takes less room", test_lmdb_append_is_dense),
        LMDB("each examination amid writes is of one state", test_lmdb_examine_amid_writes),
        LMDB("a store that is open cannot be claimed", test_lmdb_claim_in_use),
        LMDB("a new store takes the place of the old one", test_lmdb_replace),
        LMDB("what is not put in its place is gone", test_lmdb_claim_ends),
        LMDB("a claim ends with its process", test_lmdb_claim_of_the_dead),
        LMDB("views see what each process committed", test_lmdb_views_see_commits),
        LMDB("processes", test_lmdb_processes),
        LMDB("durable without a close", test_lmdb_durable),
        LMDB("a process killed inside an update", test_lmdb_killed_in_update),
        LMDB("a process killed inside a view", test_lmdb_killed_in_view),
        LMDB("dead readers do not fill the map", test_lmdb_dead_reader_fills_map),
        LMDB("BUSY when every reader slot is taken", test_lmdb_readers_full),
        LMDB("processes killed amid updates lose nothing", test_lmdb_killed_amid_updates),
        LMDB("another process lets the map grow", test_lmdb_map_grown),
        LMDB("another process lets the map grow after views", test_lmdb_map_grown_after_views),
        LMDB("another process lets the map grow, then an update",
             test_lmdb_map_grown_for_update),
        LMDB("the map grows under a view", test_lmdb_map_grown_under_view),
        LMDB("a smaller map where address space is short", test_lmdb_little_space),
        LMDB("BUSY beyond 4096 views", test_lmdb_too_many_views),
        LMDB("a full disk", test_lmdb_disk_full),
        LMDB("write errors leave nothing and heal", test_lmdb_write_errors),
        LMDB("a batch without space is run one by one", test_lmdb_batch_without_space),
        LMDB("a write error under a view heals after it", test_lmdb_error_under_view),
        LMDB("a store that was taken away is not made anew", test_lmdb_taken_away),
    };

    apr_initialize();
    atexit(apr_terminate);
    pgsql_begin();
    leave_out(tests, sizeof(tests) / sizeof(tests[0]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
