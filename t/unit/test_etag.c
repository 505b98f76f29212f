/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entity tags and the headers that name them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "scim/etag.h"

static apr_pool_t *pool;

static void test_make(void **state)
{
    assert_string_equal(scim_etag_make(3, pool), "W/\"3\"");
    assert_string_equal(scim_etag_make(0, pool), "W/\"0\"");
    assert_string_equal(scim_etag_make(UINT64_MAX, pool), "W/\"18446744073709551615\"");
}

static void test_own(void **state)
{
    static const apr_uint64_t versions[] = {0, 1, 42, UINT64_MAX};
    size_t i;

    for (i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        const char *tag = scim_etag_make(versions[i], pool);

        assert_true(scim_etag_match(tag, versions[i]));
        assert_false(scim_etag_match(tag, versions[i] + 1));
    }
}

static void assert_matches(const char *const *headers, size_t count, bool expected)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (scim_etag_match(headers[i], 42) != expected) {
            fail_msg("%s: %s", expected ? "no match" : "match", headers[i]);
        }
    }
}

static void test_match(void **state)
{
    static const char *const headers[] = {"*",
                                          " * ",
                                          "W/\"42\"",
                                          "\"42\"",
                                          " \t\"42\"\t ",
                                          "W/\"1\", W/\"42\"",
                                          "\"1\",\"2\",\"42\"",
                                          "\"1\" , W/\"42\" , \"3\"",
                                          ",\"42\"",
                                          ", ,\t,W/\"42\",,",
                                          "\"a,b\", W/\"42\"",
                                          "W/\"\", \"42\"",
                                          "\"\xc3\xa9\", \"42\"",
                                          "\"*\", \"42\""};

    assert_matches(headers, sizeof(headers) / sizeof(*headers), true);
}

static void test_no_match(void **state)
{
    static const char *const headers[] = {
        "W/\"41\"", "\"4\"",    "\"421\"", "\"142\"",          "\"042\"",
        "\"\"",     "\"42 \"",  "\" 42\"", "W/\"1\", W/\"2\"", "\"*\"",
        "\"W/42\"", "\"0x2a\"", "\"+42\"", "\"42,42\""};

    assert_matches(headers, sizeof(headers) / sizeof(*headers), false);
    assert_false(scim_etag_match(NULL, 42));
}

static void test_malformed(void **state)
{
    static const char *const headers[] = {"",
                                          " ",
                                          ",",
                                          "42",
                                          "W/42",
                                          "W/",
                                          "W",
                                          "\"",
                                          "\"42",
                                          "W/\"42",
                                          "42\"",
                                          "'42'",
                                          "w/\"42\"",
                                          "W/ \"42\"",
                                          "W/W/\"42\"",
                                          "**",
                                          "*, \"42\"",
                                          "\"1\", *",
                                          "\"1\" \"42\"",
                                          "\"1\"; \"42\"",
                                          "\"1\"x, \"42\"",
                                          "1, \"42\"",
                                          "\"1, \"42\"",
                                          "\"1\x7f\", \"42\"",
                                          "\"1\n\", \"42\"",
                                          "W/\"1\" W/\"42\"",
                                          "\xff"};

    assert_matches(headers, sizeof(headers) / sizeof(*headers), false);
    /* only from the fault on */
    assert_true(scim_etag_match("\"42\", oops", 42));
    assert_true(scim_etag_match("\"42\" \"1\"", 42));
}

static void test_filter_suffix(void **state)
{
    static const char *const with[] = {"W/\"42-gzip\"", "\"42-br\"", "\"42-deflate\"",
                                       "\"1-gzip\", W/\"42-gzip\""};
    static const char *const without[] = {"\"41-gzip\"", "\"42-\"",           "\"42gzip\"",
                                          "\"42-7\"",    "\"42-gzip-x\"",     "\"-gzip\"",
                                          "\"4-2\"",     "\"1\"-gzip, \"42\""};

    assert_matches(with, sizeof(with) / sizeof(*with), true);
    assert_matches(without, sizeof(without) / sizeof(*without), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-220 a tag is W/ and the version in quotes", test_make, NULL, NULL, NULL},
        {"C-220 S-39 what is made is what matches", test_own, NULL, NULL, NULL},
        {"C-221 C-223 current, in a list, weak or strong, *", test_match, NULL, NULL, NULL},
        {"C-222 another version does not match", test_no_match, NULL, NULL, NULL},
        {"C-227 a malformed list matches nothing from the fault on", test_malformed, NULL, NULL,
         NULL},
        {"C-221 C-223 a compressing filter's suffix", test_filter_suffix, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
