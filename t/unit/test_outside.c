/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store seen from outside: what is told of it is right, whoever writes to it meanwhile
 * and whatever its file holds, and nothing of it is touched.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "../../mod_scim/store/internal.h"
#include "store_fixture.h"

#define TENANTS 100

static const char *in_directory(const char *name)
{
    return apr_pstrcat(fix.pool, fix.directory, "/", name, NULL);
}

static const char *tenant_name(int i)
{
    return apr_psprintf(fix.pool, "tenant-%03d-with-a-name-that-takes-some-room", i);
}

/* So many that their rows take more than a page, and so do the others'. */
static void fill(void)
{
    scim_tenant tenant;
    scim_change change;
    int i;

    for (i = 0; i < TENANTS; i++) {
        assert_no_error(
            scim_tenant_create(&tenant, fix.store, tenant_name(i), tick(), fix.pool));
    }
    for (i = 0; i < 40; i++) {
        const char *text =
            apr_psprintf(fix.pool, "{'userName':'u%d','title':'%0*d'}", i, i * 300 + 1, 0);

        assert_no_error(post(&change, "User", text));
    }
}

/* "acme", then those of fill. */
static void assert_tenants(const apr_array_header_t *names, int count)
{
    int i;

    assert_int_equal(names->nelts, count + 1);
    assert_string_equal(APR_ARRAY_IDX(names, 0, const char *), "acme");
    for (i = 0; i < count; i++) {
        assert_string_equal(APR_ARRAY_IDX(names, i + 1, const char *), tenant_name(i));
    }
}

static void test_tenants(void **state)
{
    apr_array_header_t *names;

    assert_true(scim_tenant_peek(&names, fix.url, fix.pool));
    assert_tenants(names, 0);
    fill();
    assert_true(scim_tenant_peek(&names, fix.url, fix.pool));
    assert_tenants(names, TENANTS);
}

static atomic_bool stop;

static void *write_on(void *baton)
{
    apr_pool_t *pool = make_pool();
    bool off = false;
    bool changed;

    while (!atomic_load(&stop)) {
        off = !off;
        scim_tenant_suspend(&changed, fix.store, "acme", off, pool);
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return NULL;
}

/* All of it or nothing. */
static void test_beside_writers(void **state)
{
    apr_pool_t *pool = make_pool();
    apr_array_header_t *names;
    int tries, told = 0;
    pthread_t writer;

    fill();
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    for (tries = 0; tries < 3000 && told < 200; tries++) {
        if (scim_tenant_peek(&names, fix.url, pool)) {
            told++;
            assert_tenants(names, TENANTS);
        }
        apr_pool_clear(pool);
    }
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    apr_pool_destroy(pool);
    assert_int_equal(told, 200);
}

/* Commits that come in between, after the first row. */
static scim_kv_rc commit_once(scim_slice key, scim_slice value, void *baton)
{
    int *commits = baton;
    bool changed;

    for (; *commits > 0; (*commits)--) {
        assert_no_error(
            scim_tenant_suspend(&changed, fix.store, "acme", *commits % 2 == 1, fix.pool));
        assert_true(changed);
    }
    return SCIM_KV_OK;
}

/* After two commits pages of the state that is read may be others'. */
static void test_stale(void **state)
{
    const scim_slice tenants = {"t", 1};
    int commits = 1;
    const scim_kv_examiner to = {.row = commit_once, .baton = &commits};

    fill();
    assert_int_equal(scim_kv_peek(fix.url, tenants, &to), SCIM_KV_OK);
    commits = 2;
    assert_int_equal(scim_kv_peek(fix.url, tenants, &to), SCIM_KV_STALE);
    assert_int_equal(scim_kv_peek(fix.url, tenants, &to), SCIM_KV_OK);
}

static struct stat state_of(const char *name)
{
    struct stat info;

    assert_int_equal(stat(in_directory(name), &info), 0);
    return info;
}

static void assert_untouched(const char *name, const struct stat *before)
{
    struct stat now = state_of(name);

    assert_int_equal(now.st_ino, before->st_ino);
    assert_memory_equal(&now.st_atim, &before->st_atim, sizeof(now.st_atim));
    assert_memory_equal(&now.st_mtim, &before->st_mtim, sizeof(now.st_mtim));
    assert_memory_equal(&now.st_ctim, &before->st_ctim, sizeof(now.st_ctim));
}

/* Nor is the file of locks made where it is not. */
static void test_untouched(void **state)
{
    const struct timespec past[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1100000000}};
    struct stat data, directory;
    apr_array_header_t *names;
    bool made;

    scim_store_close(fix.store);
    assert_int_equal(unlink(in_directory("lock.mdb")), 0);
    assert_int_equal(utimensat(AT_FDCWD, in_directory("data.mdb"), past, 0), 0);
    data = state_of("data.mdb");
    directory = state_of(".");
    assert_true(scim_tenant_peek(&names, fix.url, fix.pool));
    assert_null(scim_kv_outlook(&made, fix.url, false, fix.pool));
    assert_true(made);
    assert_untouched("data.mdb", &data);
    assert_untouched(".", &directory);
    assert_int_not_equal(access(in_directory("lock.mdb"), F_OK), 0);
    open_store();
}

/* Whatever a byte is, what is told is true, or nothing is. */
static void test_damage(void **state)
{
    apr_pool_t *pool = make_pool();
    apr_array_header_t *names;
    struct stat info;
    int fd, told = 0;
    off_t at;

    fill();
    scim_store_close(fix.store);
    info = state_of("data.mdb");
    fd = open(in_directory("data.mdb"), O_RDWR);
    assert_true(fd >= 0);
    for (at = 0; at < info.st_size; at += 97) {
        unsigned char byte, other;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        other = (unsigned char)(byte ^ 0x41);
        assert_int_equal(pwrite(fd, &other, 1, at), 1);
        if (scim_tenant_peek(&names, fix.url, pool) && names->nelts == TENANTS + 1) {
            told++;
            assert_tenants(names, TENANTS);
        }
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        apr_pool_clear(pool);
    }
    assert_true(told > 0);
    assert_int_equal(ftruncate(fd, 5000), 0);
    assert_false(scim_tenant_peek(&names, fix.url, pool));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_false(scim_tenant_peek(&names, fix.url, pool));
    close(fd);
    assert_int_equal(unlink(in_directory("data.mdb")), 0);
    assert_false(scim_tenant_peek(&names, fix.url, pool));
    assert_int_equal(mkfifo(in_directory("data.mdb"), 0600), 0);
    assert_false(scim_tenant_peek(&names, fix.url, pool));
    assert_int_equal(unlink(in_directory("data.mdb")), 0);
    apr_pool_destroy(pool);
    open_store();
}

static void assert_against(const char *path, const char *part)
{
    bool made;
    const char *why =
        scim_kv_outlook(&made, apr_pstrcat(fix.pool, "lmdb:", path, NULL), false, fix.pool);

    assert_non_null(why);
    if (!strstr(why, part)) {
        fail_msg("%s", why);
    }
}

static void test_outlook(void **state)
{
    const char *inner = in_directory("inner");
    apr_uint64_t room, size;
    bool made;

    assert_null(scim_kv_outlook(&made, fix.url, false, fix.pool));
    assert_null(
        scim_kv_outlook(&made, apr_pstrcat(fix.pool, "lmdb:", inner, NULL), false, fix.pool));
    assert_false(made);
    assert_int_not_equal(access(inner, F_OK), 0);
    assert_against(in_directory("no/where"), "there is no directory");
    assert_against(in_directory("data.mdb"), "is not a directory");
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(chmod(inner, 0770), 0);
    assert_against(inner, "others may write to");
    assert_int_equal(rmdir(inner), 0);
    assert_null(scim_kv_outlook(&made, "memory:", false, fix.pool));
    assert_true(scim_kv_room(&room, &size, fix.url));
    assert_true(room <= size && size > 0);
    assert_false(scim_kv_room(&room, &size, "memory:"));
}

/* The row of "acme" under a name that nobody can give a tenant. */
static scim_kv_rc add_forged(scim_kv_txn *txn, void *baton)
{
    static const char name[] = "a\n!forged";
    scim_slice value;
    scim_key key;
    scim_kv_rc rc;

    scim_key_begin(&key, SCIM_TABLE_TENANT);
    scim_key_bytes(&key, "acme", 4);
    rc = store_get(txn, &key, 0, &value);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    value.data = memcpy(scim_kv_scratch(txn, value.len), value.data, value.len);
    scim_key_begin(&key, SCIM_TABLE_TENANT);
    scim_key_bytes(&key, name, sizeof(name) - 1);
    return store_put_new(txn, &key, value.data, value.len);
}

static void test_forged(void **state)
{
    apr_array_header_t *names;

    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), add_forged, NULL), SCIM_KV_OK);
    assert_false(scim_tenant_peek(&names, fix.url, fix.pool));
}

int main(void)
{
    static const store_test table[] = {
        {"the tenants of a store that is not opened", test_tenants, LMDB},
        {"while others write", test_beside_writers, LMDB},
        {"what became of no one state", test_stale, LMDB},
        {"it is not touched", test_untouched, LMDB},
        {"a damaged file", test_damage, LMDB},
        {"a name that is none", test_forged, LMDB},
        {"what speaks against using a store", test_outlook, LMDB},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
