/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query strings and search requests, as identity providers send them and as
 * they should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/json.h"
#include "scim/params.h"

#define URN_SEARCH "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
#define SEARCH(more) "{\"schemas\":[\"" URN_SEARCH "\"]" more "}"

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
        assert_null(params.sort_by);
        assert_null(params.sort_order);
        assert_null(params.cursor);
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
                                 "FILTER=f&sortBy=name.givenName&SORTORDER=descending&"
                                 "cursor=a-b_c");

    assert_string_equal(params.start_index, "1");
    assert_string_equal(params.count, "2");
    assert_string_equal(params.attributes, "a,b");
    assert_string_equal(params.excluded_attributes, "c");
    assert_string_equal(params.filter, "f");
    assert_string_equal(params.sort_by, "name.givenName");
    assert_string_equal(params.sort_order, "descending");
    assert_string_equal(params.cursor, "a-b_c");
}

static void test_cursor(void **state)
{
    assert_string_equal(read_ok("cursor").cursor, "");
    assert_string_equal(read_ok("filter=f&CURSOR&count=10").cursor, "");
    assert_string_equal(read_ok("cursor=&count=10").cursor, "");
    assert_null(read_ok("cursors&curso&xcursor").cursor);
    assert_refused("cursor&cursor=x", "cursor");
    assert_refused("cursor=x&cursor=y", "cursor");
}

static void test_unknown_ignored(void **state)
{
    scim_params params = read_ok("aadOptscim062020&foo=bar&foo=%zz&filter&x=%00&count=5");

    assert_null(params.filter);
    assert_string_equal(params.count, "5");
    assert_null(read_ok("sortBy&sortOrder").sort_by);
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
    assert_refused("sortBy=a&sortBy=b", "sortBy");
    assert_refused("sortOrder=%ff", "sortOrder");
}

static const scim_error *search(scim_params *out, const char *text)
{
    json_t *message = scim_json_read_own(text, strlen(text), pool);

    assert_non_null(message);
    return scim_params_search(out, message, pool);
}

static void test_search(void **state)
{
    scim_params params;

    assert_null(search(&params, SEARCH(",\"attributes\":[\"a\",\"b.c\"],\"filter\":\"f\","
                                       "\"sortBy\":\"s\",\"sortOrder\":\"descending\","
                                       "\"startIndex\":3,\"count\":-7,\"cursor\":\"\"")));
    assert_string_equal(params.attributes, "a,b.c");
    assert_null(params.excluded_attributes);
    assert_string_equal(params.filter, "f");
    assert_string_equal(params.sort_by, "s");
    assert_string_equal(params.sort_order, "descending");
    assert_string_equal(params.start_index, "3");
    assert_string_equal(params.count, "-7");
    assert_string_equal(params.cursor, "");

    assert_null(search(&params, "{\"SCHEMAS\":[\"urn:x\",\"URN:ietf:params:scim:api:messages:"
                                "2.0:searchrequest\"],\"EXCLUDEDATTRIBUTES\":[\"a\"],"
                                "\"attributes\":[],\"foo\":7}"));
    assert_string_equal(params.excluded_attributes, "a");
    assert_null(params.attributes);
    assert_null(params.count);

    assert_null(search(&params, SEARCH(",\"filter\":null,\"count\":null,\"cursor\":null,"
                                       "\"attributes\":null")));
    assert_null(params.filter);
    assert_null(params.count);
    assert_null(params.cursor);
    assert_null(params.attributes);
}

static void test_search_refused(void **state)
{
    static const struct {
        const char *message;
        scim_error_code code;
        const char *name;
    } cases[] = {
        {"{}", SCIM_E_INVALID_SYNTAX, "schemas"},
        {"{\"filter\":\"f\"}", SCIM_E_INVALID_SYNTAX, URN_SEARCH},
        {"{\"schemas\":\"" URN_SEARCH "\"}", SCIM_E_INVALID_SYNTAX, "schemas"},
        {"{\"schemas\":[]}", SCIM_E_INVALID_SYNTAX, "schemas"},
        {"{\"schemas\":[7,null]}", SCIM_E_INVALID_SYNTAX, "schemas"},
        {"{\"schemas\":[\"" SCIM_URN_PATCH "\"]}", SCIM_E_INVALID_SYNTAX, "schemas"},
        {SEARCH(",\"attributes\":\"userName,id\""), SCIM_E_INVALID_VALUE, "attributes"},
        {SEARCH(",\"attributes\":[\"a\",7]"), SCIM_E_INVALID_VALUE, "attributes"},
        {SEARCH(",\"excludedAttributes\":{}"), SCIM_E_INVALID_VALUE, "excludedAttributes"},
        {SEARCH(",\"filter\":7"), SCIM_E_INVALID_VALUE, "filter"},
        {SEARCH(",\"sortBy\":[\"a\"]"), SCIM_E_INVALID_VALUE, "sortBy"},
        {SEARCH(",\"sortOrder\":true"), SCIM_E_INVALID_VALUE, "sortOrder"},
        {SEARCH(",\"cursor\":1"), SCIM_E_INVALID_VALUE, "cursor"},
        {SEARCH(",\"count\":\"10\""), SCIM_E_INVALID_VALUE, "count"},
        {SEARCH(",\"count\":1.5"), SCIM_E_INVALID_VALUE, "count"},
        {SEARCH(",\"startIndex\":true"), SCIM_E_INVALID_VALUE, "startIndex"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_params params;
        const scim_error *err = search(&params, cases[i].message);

        assert_non_null(err);
        assert_int_equal(err->code, cases[i].code);
        assert_non_null(strstr(err->detail, cases[i].name));
    }
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

/* Numbers at and beyond the ends of the types that hold them. */
static void test_page_at_the_ends(void **state)
{
    static const char *const ends[] = {"2147483647",          "2147483648",
                                       "4294967295",          "4294967296",
                                       "9223372036854775806", "9223372036854775807"};
    static const char *const beyond[] = {"9223372036854775808", "18446744073709551615",
                                         "18446744073709551616",
                                         "170141183460469231731687303715884105728"};
    size_t i;

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        assert_page(apr_pstrcat(pool, "startIndex=", ends[i], NULL), apr_atoi64(ends[i]), 100);
        assert_page(apr_pstrcat(pool, "startIndex=-", ends[i], NULL), 1, 100);
        assert_page(apr_pstrcat(pool, "count=", ends[i], NULL), 1, 1000);
        assert_page(apr_pstrcat(pool, "count=-", ends[i], NULL), 1, 0);
        assert_page(apr_pstrcat(pool, "startIndex=", ends[i], "&count=", ends[i], NULL),
                    apr_atoi64(ends[i]), 1000);
    }
    for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        assert_page(apr_pstrcat(pool, "startIndex=", beyond[i], NULL), APR_INT64_MAX, 100);
        assert_page(apr_pstrcat(pool, "startIndex=-", beyond[i], NULL), 1, 100);
        assert_page(apr_pstrcat(pool, "count=", beyond[i], NULL), 1, 1000);
        assert_page(apr_pstrcat(pool, "count=-", beyond[i], NULL), 1, 0);
    }
    assert_page("startIndex=000000000000000000000000000007&count=-0", 7, 0);
}

static void test_default_page_is_capped(void **state)
{
    static const scim_wire small = {.default_page = 100, .max_page = 10};
    scim_params params = read_ok("");
    apr_int64_t start, count;

    assert_null(scim_params_page(&start, &count, &params, &small, pool));
    assert_int_equal(count, 10);
}

static void assert_page_refused(const char *query, const scim_wire *limits, const char *type)
{
    scim_params params = read_ok(query);
    apr_int64_t start, count;
    const scim_error *err = scim_params_page(&start, &count, &params, limits, pool);

    assert_non_null(err);
    assert_string_equal(err->scim_type, type);
}

static void test_page_by_cursor(void **state)
{
    static const scim_wire small = {.default_page = 100, .max_page = 10};
    scim_params params = read_ok("cursor");
    apr_int64_t start, count;

    assert_page("cursor&count=1000", 1, 1000);
    assert_page("cursor&count=-1", 1, 0);
    assert_null(scim_params_page(&start, &count, &params, &small, pool));
    assert_int_equal(count, 10);
    assert_page_refused("cursor&count=1001", &wire, "invalidCount");
    assert_page_refused("cursor=x&count=1001", &wire, "invalidCount");
    assert_page_refused("cursor&startIndex=1", &wire, "invalidValue");
    assert_page_refused("cursor=x&startIndex=2", &wire, "invalidValue");
}

static void test_page_refused(void **state)
{
    static const char *const queries[] = {
        "count=abc",      "startIndex=1.5",  "count=",           "count=-",
        "count=1e3",      "count=%201",      "count=+1",         "count=1x",
        "startIndex=--1", "startIndex=",     "startIndex=-",     "startIndex=0x1",
        "count=1,000",    "count=1_000",     "count=NaN",        "count=Infinity",
        "count=null",     "count=true",      "startIndex=1%201", "startIndex=1%0A",
        "count=%D9%A1",   "count=%EF%BC%91", "count=%31%2E%30",  "startIndex=%2D%2D1",
        "count=%2B1"};
    apr_size_t i;

    for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        assert_page_refused(queries[i], &wire, "invalidValue");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"an empty query string", test_nothing, NULL, NULL, NULL},
        {"plus, percent and UTF-8", test_decoding, NULL, NULL, NULL},
        {"every parameter", test_all_names, NULL, NULL, NULL},
        {"C-022 unknown and valueless parameters", test_unknown_ignored, NULL, NULL, NULL},
        {"C-130 cursor with and without a value", test_cursor, NULL, NULL, NULL},
        {"C-023 repeated or undecodable parameters", test_refused, NULL, NULL, NULL},
        {"C-141 C-260 C-262 a search request", test_search, NULL, NULL, NULL},
        {"C-261 C-262 search requests refused", test_search_refused, NULL, NULL, NULL},
        {"C-110 C-111 C-116 pages", test_page, NULL, NULL, NULL},
        {"C-110 C-111 C-116 pages at the ends of numbers", test_page_at_the_ends, NULL, NULL,
         NULL},
        {"C-124 the largest page holds without count", test_default_page_is_capped, NULL, NULL,
         NULL},
        {"C-135 C-140 pages by cursor", test_page_by_cursor, NULL, NULL, NULL},
        {"C-023 pages that are no integers", test_page_refused, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
