/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: what is sealed comes out again, for those who may have it and for
 * as long as they may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "scim/cursor.h"

#define EXPIRES 2000

static const scim_registry *registry;

/* Renewed for each test. */
static apr_pool_t *pool;
static scim_store *store;
static scim_tenant tenant, other_tenant;
static scim_cursor_scope scope;

static scim_store *open_store(void)
{
    scim_store_options options = {.kv = {.create = true}, .registry = registry};
    scim_store *opened;

    assert_null(scim_store_open(&opened, "memory:", &options, pool));
    return opened;
}

static int begin(void **state)
{
    apr_pool_create(&pool, NULL);
    store = open_store();
    assert_null(scim_tenant_create(&tenant, store, "acme", 0, pool));
    assert_null(scim_tenant_create(&other_tenant, store, "globex", 0, pool));
    scope = (scim_cursor_scope){&tenant, "/Users\x1fuserName pr", 10};
    return 0;
}

static int end(void **state)
{
    apr_pool_destroy(pool);
    return 0;
}

/* A position whose key has so many bytes, no two alike next to each other. */
static scim_position position_of(apr_size_t key_len)
{
    scim_position position = {.key = {apr_palloc(pool, key_len + 1), key_len}};
    apr_size_t i;

    for (i = 0; i < sizeof(position.id.bytes); i++) {
        position.id.bytes[i] = (unsigned char)(i * 17);
    }
    for (i = 0; i < key_len; i++) {
        ((unsigned char *)position.key.bytes)[i] = (unsigned char)(i * 31);
    }
    return position;
}

static const char *seal(apr_size_t key_len)
{
    scim_position position = position_of(key_len);
    const char *cursor;

    assert_null(scim_cursor_seal(&cursor, store, &scope, &position, EXPIRES, pool));
    return cursor;
}

static const scim_error *open_at(const scim_cursor_scope *where, const char *cursor,
                                 apr_time_t now)
{
    scim_position position;

    return scim_cursor_open(&position, store, where, cursor, now, pool);
}

/* Whatever is wrong with it, the words are the same. */
static void assert_invalid(const scim_cursor_scope *where, const char *cursor)
{
    const scim_error *err = open_at(where, cursor, 1);

    assert_non_null(err);
    assert_int_equal(err->code, SCIM_E_INVALID_CURSOR);
    assert_string_equal(err->detail, open_at(&scope, "x", 1)->detail);
}

static void test_round_trip(void **state)
{
    static const apr_size_t lengths[] = {0, 1, 2, 3, 8, 100, SCIM_SORT_MAX, SCIM_SORT_MAX + 1};
    apr_size_t i;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        scim_position in = position_of(lengths[i]), out;

        assert_null(scim_cursor_open(&out, store, &scope, seal(lengths[i]), 1, pool));
        assert_int_equal(scim_id_compare(&out.id, &in.id), 0);
        assert_int_equal(out.key.len, in.key.len);
        assert_memory_equal(out.key.bytes, in.key.bytes, in.key.len);
    }
}

static void test_alphabet(void **state)
{
    int i;

    for (i = 0; i < 200; i++) {
        const char *at;

        for (at = seal((apr_size_t)i); *at; at++) {
            assert_true(apr_isalnum(*at) || strchr("-._~", *at));
        }
    }
}

/* Nobody learns from a cursor where the walk stands, nor whether two are of
 * one place. */
static void test_opaque(void **state)
{
    assert_string_not_equal(seal(20), seal(20));
    assert_int_equal(strlen(seal(20)), strlen(seal(20)));
}

static void test_every_change_is_seen(void **state)
{
    static const char alphabet[] = "Aa0_-";
    const char *cursor = seal(11);
    apr_size_t len = strlen(cursor), i, k;

    for (i = 0; i < len; i++) {
        for (k = 0; k < sizeof(alphabet) - 1; k++) {
            char *changed = apr_pstrdup(pool, cursor);

            changed[i] = alphabet[k];
            if (strcmp(changed, cursor)) {
                assert_invalid(&scope, changed);
            }
        }
        assert_invalid(&scope, apr_pstrndup(pool, cursor, i));
    }
    assert_null(open_at(&scope, cursor, 1));
}

static void test_garbage(void **state)
{
    static const char *const texts[] = {"x", "=", "....", "AAAA", "%00", "a b", "\xc3\xa9"};
    const char *cursor = seal(3);
    char *longest = apr_pcalloc(pool, 100001);
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_invalid(&scope, texts[i]);
    }
    for (i = 1; i < 1000; i++) {
        memset(longest, 'A', i);
        assert_invalid(&scope, longest);
    }
    memset(longest, 'A', 100000);
    assert_invalid(&scope, longest);
    assert_invalid(&scope, apr_pstrcat(pool, cursor, "A", NULL));
    assert_invalid(&scope, apr_pstrcat(pool, cursor, "=", NULL));
    assert_invalid(&scope, apr_pstrcat(pool, cursor, cursor, NULL));
}

/* For every length that base64 ends in differently. */
static void test_spare_bits(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    apr_size_t length, k;

    for (length = 0; length < 3; length++) {
        const char *cursor = seal(length);
        char *changed = apr_pstrdup(pool, cursor);

        for (k = 0; k < 64; k++) {
            changed[strlen(cursor) - 1] = alphabet[k];
            if (strcmp(changed, cursor)) {
                assert_invalid(&scope, changed);
            }
        }
    }
}

static void test_bound(void **state)
{
    const char *cursor = seal(5);
    scim_cursor_scope elsewhere = scope;

    elsewhere.tenant = &other_tenant;
    assert_invalid(&elsewhere, cursor);
    elsewhere = scope;
    elsewhere.query = "/Users\x1fuserName pr ";
    assert_invalid(&elsewhere, cursor);
    elsewhere.query = "";
    assert_invalid(&elsewhere, cursor);
    store = open_store();
    assert_invalid(&scope, cursor);
}

static void test_expiry(void **state)
{
    const char *cursor = seal(5);
    scim_cursor_scope elsewhere = scope;
    const scim_error *err;

    assert_null(open_at(&scope, cursor, EXPIRES - 1));
    err = open_at(&scope, cursor, EXPIRES);
    assert_non_null(err);
    assert_string_equal(err->scim_type, "expiredCursor");
    assert_string_equal(open_at(&scope, cursor, EXPIRES + 1)->scim_type, "expiredCursor");
    /* of another tenant it does not even tell that */
    elsewhere.tenant = &other_tenant;
    assert_string_equal(open_at(&elsewhere, cursor, EXPIRES)->scim_type, "invalidCursor");
}

static void test_count(void **state)
{
    const char *cursor = seal(5);
    scim_cursor_scope larger = scope;
    const scim_error *err;

    larger.count = 11;
    err = open_at(&larger, cursor, 1);
    assert_non_null(err);
    assert_string_equal(err->scim_type, "invalidCount");
    assert_non_null(strstr(err->detail, "10"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-131 C-142 what is sealed comes out again", test_round_trip, begin, end, NULL},
        {"C-132 of unreserved characters alone", test_alphabet, begin, end, NULL},
        {"a cursor tells nothing", test_opaque, begin, end, NULL},
        {"C-133 every change of a cursor is seen", test_every_change_is_seen, begin, end, NULL},
        {"C-133 what was never a cursor", test_garbage, begin, end, NULL},
        {"C-133 bits that base64 does not need", test_spare_bits, begin, end, NULL},
        {"C-136 C-137 bound to tenant, query and store, in the same words", test_bound, begin,
         end, NULL},
        {"C-134 C-137 an expired cursor", test_expiry, begin, end, NULL},
        {"C-135 another count", test_count, begin, end, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
