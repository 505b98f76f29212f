/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query strings, as identity providers send them and as they should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>

#include "scim/params.h"

static apr_pool_t *pool;
static const scim_wire wire = {.default_page = 100, .max_page = 1000};

static scim_params read_ok(const char *query)
{
    scim_params params;

    assert_null(scim_params_read(&params, query, pool));
    return params;
}

static void assert_refused(const char *query, const char *name)
{
    scim_params params;
    const scim_error *err = scim_params_read(&params, query, pool);

    assert_non_null(err);
    assert_int_equal(err->code, SCIM_E_INVALID_VALUE);
    assert_non_null(strstr(err->detail, name));
}

static void test_nothing(void **state)
{
    static const char *const queries[] = {NULL, "", "&", "&&", "=", "&=&"};
    apr_size_t i;

    for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        scim_params params = read_ok(queries[i]);

        assert_null(params.filter);
        assert_null(params.attributes);
        assert_null(params.excluded_attributes);
        assert_null(params.start_index);
        assert_null(params.count);
    }
}

static void test_decoding(void **state)
{
    const char *expected = "userName eq \"a+b@x.org\"";

    assert_string_equal(read_ok("filter=userName+eq+%22a%2Bb%40x.org%22").filter, expected);
    assert_string_equal(read_ok("filter=userName%20eq%20%22a%2bb@x.org%22").filter, expected);
    assert_string_equal(read_ok("filter=a=b").filter, "a=b");
    assert_string_equal(read_ok("filter=%C3%A9").filter, "\xc3\xa9");
    assert_string_equal(read_ok("filter=").filter, "");
}

static void test_all_names(void **state)
{
    scim_params params = read_ok("startIndex=1&count=2&attributes=a,b&excludedAttributes=c&"
                                 "FILTER=f&");

    assert_string_equal(params.start_index, "1");
    assert_string_equal(params.count, "2");
    assert_string_equal(params.attributes, "a,b");
    assert_string_equal(params.excluded_attributes, "c");
    assert_string_equal(params.filter, "f");
}

static void test_unknown_ignored(void **state)
{
    scim_params params = read_ok("aadOptscim062020&foo=bar&foo=%zz&filter&x=%00&count=5");

    assert_null(params.filter);
    assert_string_equal(params.count, "5");
}

static void test_refused(void **state)
{
    assert_refused("count=1&count=2", "count");
    assert_refused("filter=a&startIndex=1&FILTER=a", "filter");
    assert_refused("filter=%zz", "filter");
    assert_refused("filter=%4", "filter");
    assert_refused("filter=%", "filter");
    assert_refused("attributes=%00", "attributes");
    assert_refused("excludedAttributes=%ff", "excludedAttributes");
}

static void assert_page(const char *query, apr_int64_t start, apr_int64_t count)
{
    scim_params params = read_ok(query);
    apr_int64_t got_start, got_count;

    assert_null(scim_params_page(&got_start, &got_count, &params, &wire, pool));
    assert_int_equal(got_start, start);
    assert_int_equal(got_count, count);
}

static void test_page(void **state)
{
    assert_page(NULL, 1, 100);
    assert_page("startIndex=11&count=5", 11, 5);
    assert_page("startIndex=0", 1, 100);
    assert_page("startIndex=-5", 1, 100);
    assert_page("count=-1", 1, 0);
    assert_page("count=0", 1, 0);
    assert_page("count=1001", 1, 1000);
    assert_page("count=99999999999999999999999", 1, 1000);
    assert_page("startIndex=-99999999999999999999999", 1, 100);
}

static void test_default_page_is_capped(void **state)
{
    static const scim_wire small = {.default_page = 100, .max_page = 10};
    scim_params params = read_ok("");
    apr_int64_t start, count;

    assert_null(scim_params_page(&start, &count, &params, &small, pool));
    assert_int_equal(count, 10);
}

static void test_page_refused(void **state)
{
    static const char *const queries[] = {
        "count=abc",  "startIndex=1.5", "count=",   "count=-",       "count=1e3",
        "count=%201", "count=+1",       "count=1x", "startIndex=--1"};
    apr_size_t i;

    for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        scim_params params = read_ok(queries[i]);
        apr_int64_t start, count;
        const scim_error *err = scim_params_page(&start, &count, &params, &wire, pool);

        assert_non_null(err);
        assert_string_equal(err->scim_type, "invalidValue");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"an empty query string", test_nothing, NULL, NULL, NULL},
        {"plus, percent and UTF-8", test_decoding, NULL, NULL, NULL},
        {"every parameter", test_all_names, NULL, NULL, NULL},
        {"C-022 unknown and valueless parameters", test_unknown_ignored, NULL, NULL, NULL},
        {"C-023 repeated or undecodable parameters", test_refused, NULL, NULL, NULL},
        {"C-110 C-111 C-116 pages", test_page, NULL, NULL, NULL},
        {"C-124 the largest page holds without count", test_default_page_is_capped, NULL, NULL,
         NULL},
        {"C-023 pages that are no integers", test_page_refused, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
