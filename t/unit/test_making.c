/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is filled where others can come to it: whatever happens, it is none before all
 * of it is there, and one that was broken off can be begun anew.
 */
#include "scim/backup.h"
#include "scim/key.h"

#include "store_model.h"

static scim_kv *place;
static const char *place_url;

static void open_place(void)
{
    scim_kv_options options = {.create = true, .size = fix.options.kv.size};

    place_url = other_place("place");
    assert_int_equal(scim_kv_open(&place, place_url, &options, NULL, fix.pool), SCIM_KV_OK);
}

static apr_array_header_t *rows_in(scim_kv *kv)
{
    dumping d = {apr_array_make(fix.pool, 100, sizeof(row)), fix.pool};

    assert_int_equal(scim_kv_view(kv, dump_in_view, &d), SCIM_KV_OK);
    return d.rows;
}

static void make_world(void)
{
    int i;

    for (i = 0; i < 5; i++) {
        new_user(fmt("user%d", i));
    }
}

static scim_making *begun(void)
{
    scim_making *making;

    assert_no_error(scim_making_begin(&making, place, fix.pool));
    return making;
}

static const scim_error *copy(scim_backup *sum, const scim_making *making)
{
    return scim_backup_copy(sum, place, making, scim_store_kv(fix.store), NULL, fix.pool);
}

/* Opens what is at the place as a store. */
static const scim_error *open_as_store(scim_store **out, bool create, bool making)
{
    scim_store_options options = {.kv = {.create = create, .size = fix.options.kv.size},
                                  .registry = registry,
                                  .making = making};

    return scim_store_open(out, place_url, &options, fix.pool);
}

static void assert_marked(void)
{
    const row *first = &APR_ARRAY_IDX(rows_in(place), 0, row);

    assert_int_equal(first->key.len, 1);
    assert_int_equal(*(const char *)first->key.data, SCIM_TABLE_MAKING);
}

static void assert_no_store(void)
{
    scim_store *store;
    const scim_error *err;
    int create;

    assert_marked();
    if (on("memory")) {
        return; /* another process has another one */
    }
    for (create = 0; create < 2; create++) {
        err = open_as_store(&store, create, false);
        assert_non_null(err);
        assert_non_null(strstr(err->cause, "is being filled by scimctl"));
    }
}

static void assert_verifies(void)
{
    scim_verify_watcher watcher = {fail_finding, NULL, NULL};
    scim_verification sum;
    scim_store *store;

    assert_no_error(open_as_store(&store, false, true));
    assert_no_error(scim_verify(&sum, store, NULL, &watcher, fix.pool));
    assert_true(sum.resources >= 5);
    scim_store_close(store);
}

static void test_becomes_a_store(void **state)
{
    apr_array_header_t *before;
    scim_making *making;
    scim_backup sum, again;
    scim_store *store;

    make_world();
    before = dump(fix.pool);
    open_place();
    making = begun();
    assert_no_store();
    assert_no_error(copy(&sum, making));
    assert_int_equal(sum.rows, before->nelts);
    assert_no_store();
    assert_verifies();
    assert_no_error(scim_backup_sum(&again, place, NULL, fix.pool));
    assert_memory_equal(again.sum, sum.sum, SCIM_BACKUP_SUM);
    assert_no_error(scim_making_end(making, fix.pool));
    assert_true(same_dump(before, rows_in(place)));
    assert_no_error(open_as_store(&store, false, false));
    scim_store_close(store);
}

static scim_kv_rc put_one(scim_kv_txn *txn, void *baton)
{
    return scim_kv_put(txn, (scim_slice){baton, strlen(baton)}, (scim_slice){"", 0}, false);
}

static void test_not_empty(void **state)
{
    scim_making *making;
    apr_array_header_t *before;

    open_place();
    assert_int_equal(scim_kv_update(place, put_one, (void *)"zebra"), SCIM_KV_OK);
    before = rows_in(place);
    assert_code(scim_making_begin(&making, place, fix.pool), SCIM_E_UNIQUENESS, "not empty");
    assert_true(same_dump(before, rows_in(place)));
    before = dump(fix.pool);
    assert_code(scim_making_begin(&making, scim_store_kv(fix.store), fix.pool),
                SCIM_E_UNIQUENESS, "not empty");
    assert_true(same_dump(before, dump(fix.pool)));
}

/* What one that was killed leaves: more than goes in one transaction. */
#define LEFT 12000

static scim_kv_rc leave_rows(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc rc = SCIM_KV_OK;
    unsigned char key[5] = {'a'};
    int i;

    for (i = 0; i < LEFT && rc == SCIM_KV_OK; i++) {
        put_big_endian(key + 1, (apr_uint64_t)i, 4);
        rc = scim_kv_append(txn, (scim_slice){key, sizeof(key)}, (scim_slice){key, 5});
    }
    return rc;
}

static void test_again(void **state)
{
    scim_making *making;
    scim_backup sum;

    make_world();
    open_place();
    begun();
    assert_int_equal(scim_kv_update_exclusive(place, leave_rows, NULL), SCIM_KV_OK);
    assert_int_equal(rows_in(place)->nelts, LEFT + 1);
    making = begun();
    assert_int_equal(rows_in(place)->nelts, 1);
    assert_no_error(copy(&sum, making));
    assert_no_error(scim_making_end(making, fix.pool));
    assert_true(same_dump(dump(fix.pool), rows_in(place)));
}

/* Who comes later has it. */
static void test_two(void **state)
{
    scim_making *first, *second;
    scim_backup sum;

    make_world();
    open_place();
    first = begun();
    second = begun();
    assert_code(copy(&sum, first), SCIM_E_UNIQUENESS, "somebody else");
    assert_int_equal(rows_in(place)->nelts, 1);
    assert_no_error(copy(&sum, second));
    assert_code(scim_making_end(first, fix.pool), SCIM_E_UNIQUENESS, "somebody else");
    assert_no_store();
    assert_no_error(scim_making_end(second, fix.pool));
    assert_code(scim_making_end(first, fix.pool), SCIM_E_UNIQUENESS, "somebody else");
    assert_true(same_dump(dump(fix.pool), rows_in(place)));
}

/* Each write that there is fails once. */
static void test_failures(void **state)
{
    apr_array_header_t *before;
    const scim_error *err;
    scim_making *making;
    scim_backup sum;
    int n = 0;

    make_world();
    before = dump(fix.pool);
    open_place();
    do {
        scim_kv_memory_fail(place, ++n);
        err = scim_making_begin(&making, place, fix.pool);
        err = err ? err : copy(&sum, making);
        err = err ? err : scim_making_end(making, fix.pool);
        if (err && rows_in(place)->nelts) {
            assert_marked();
        }
    } while (err && n < 3 * before->nelts);
    assert_no_error(err);
    assert_true(n > before->nelts);
    assert_true(same_dump(before, rows_in(place)));
}

/* What a copy may have lost or got wrong on its way: the sum is another one. */

static scim_kv_rc alter_one(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc = scim_kv_seek(cursor, (scim_slice){"c", 1}, &key, &value);
    char other[8];

    if (rc != SCIM_KV_OK || value.len != sizeof(other)) {
        return SCIM_KV_INVALID;
    }
    memcpy(other, value.data, sizeof(other));
    other[7] ^= 1;
    return scim_kv_put(txn, key, (scim_slice){other, sizeof(other)}, false);
}

static scim_kv_rc drop_one(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_kv_rc rc = scim_kv_seek(cursor, (scim_slice){"i", 1}, &key, NULL);

    return rc == SCIM_KV_OK ? scim_kv_del(txn, key) : rc;
}

/* A counter has no seal: this is a whole row. */
static scim_kv_rc add_one(scim_kv_txn *txn, void *baton)
{
    return scim_kv_put(txn, (scim_slice){"cold", 4}, (scim_slice){"\0\0\0\0\0\0\0\1", 8}, true);
}

static void test_sums(void **state)
{
    static const scim_kv_fn changes[] = {alter_one, drop_one, add_one};
    scim_backup before, after;
    size_t i;

    make_world();
    assert_no_error(scim_backup_sum(&before, scim_store_kv(fix.store), NULL, fix.pool));
    for (i = 0; i < COUNT(changes); i++) {
        assert_int_equal(scim_kv_update(scim_store_kv(fix.store), changes[i], NULL),
                         SCIM_KV_OK);
        assert_no_error(scim_backup_sum(&after, scim_store_kv(fix.store), NULL, fix.pool));
        assert_memory_not_equal(before.sum, after.sum, SCIM_BACKUP_SUM);
        before = after;
    }
}

static void test_damaged(void **state)
{
    scim_making *making;
    scim_backup sum;

    make_world();
    damage("t");
    open_place();
    making = begun();
    assert_code(copy(&sum, making), SCIM_E_INTERNAL, "damaged");
    assert_no_store();
}

static int end_both(void **state)
{
    remove_place("place");
    return end(state);
}

int main(void)
{
    static const store_test table[] = {
        {"a place that is filled is no store before its end", test_becomes_a_store, KEPT},
        {"what is not empty is left alone", test_not_empty, EACH},
        {"what one that was broken off left goes", test_again, EACH},
        {"of two in one place the first is refused", test_two, EACH},
        {"where a write fails there is no store", test_failures, MEMORY},
        {"what is not the same has another sum", test_sums, EACH},
        {"a damaged store does not become another", test_damaged, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];
    size_t i;

    make_registry();
    on_engines(tests, table, COUNT(table));
    for (i = 0; i < COUNT(tests); i++) {
        tests[i].teardown_func = tests[i].test_func ? end_both : NULL;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
