/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sort keys: what resources are ordered by, as bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <apr_general.h>

#include "scim/json.h"
#include "scim/sort.h"

#define EMPLOYEE SCIM_URN_ENTERPRISE ":employeeNumber"

static apr_pool_t *pool;
static const scim_registry *registry;

static const scim_resource_type *user_type(void)
{
    return scim_registry_type(registry, "User");
}

static const scim_sort *sort_of(const char *by, const char *order)
{
    const scim_sort *sort = NULL;
    const scim_error *err = scim_sort_parse(&sort, by, order, user_type(), pool);

    assert_null(err);
    return sort;
}

static scim_sort_key key_of(const scim_sort *sort, const char *text)
{
    json_t *json = scim_json_read_own(text, strlen(text), pool);

    assert_non_null(json);
    return scim_sort_key_of(sort, json, pool);
}

static int compare(const char *by, const char *order, const char *a, const char *b)
{
    const scim_sort *sort = sort_of(by, order);
    scim_sort_key left = key_of(sort, a), right = key_of(sort, b);
    int result = scim_sort_compare(sort, &left, &right);

    return (result > 0) - (result < 0);
}

static void assert_refused(const char *by, const char *order, const char *words)
{
    const scim_sort *sort;
    const scim_error *err = scim_sort_parse(&sort, by, order, user_type(), pool);

    assert_non_null(err);
    assert_int_equal(err->code, SCIM_E_INVALID_VALUE);
    assert_non_null(strstr(err->detail, words));
}

static void test_strings(void **state)
{
    assert_int_equal(
        compare("userName", NULL, "{\"userName\":\"Anna\"}", "{\"userName\":\"bert\"}"), -1);
    assert_int_equal(
        compare("USERNAME", NULL, "{\"userName\":\"ANNA\"}", "{\"userName\":\"anna\"}"), 0);
    assert_int_equal(
        compare("externalId", NULL, "{\"externalId\":\"a\"}", "{\"externalId\":\"B\"}"), 1);
    assert_int_equal(
        compare("userName", NULL, "{\"userName\":\"ann\"}", "{\"userName\":\"anna\"}"), -1);
    assert_int_equal(
        compare("userName", NULL, "{\"userName\":\"zoe\"}", "{\"userName\":\"\\u00e9mile\"}"),
        -1);
}

static void test_paths(void **state)
{
    assert_int_equal(compare("name.givenName", NULL, "{\"name\":{\"givenName\":\"A\"}}",
                             "{\"name\":{\"givenName\":\"b\"}}"),
                     -1);
    assert_int_equal(compare(EMPLOYEE, NULL,
                             "{\"" SCIM_URN_ENTERPRISE "\":{\"employeeNumber\":\"2\"}}",
                             "{\"" SCIM_URN_ENTERPRISE "\":{\"employeeNumber\":\"10\"}}"),
                     1);
    assert_int_equal(compare("meta.created", NULL,
                             "{\"meta\":{\"created\":\"2026-01-01T12:00:00Z\"}}",
                             "{\"meta\":{\"created\":\"2026-01-01T12:00:00+02:00\"}}"),
                     1);
    assert_int_equal(compare("active", NULL, "{\"active\":false}", "{\"active\":true}"), -1);
}

static void test_primary(void **state)
{
    const char *two = "{\"emails\":[{\"value\":\"z\"},{\"value\":\"a\",\"primary\":true}]}";

    assert_int_equal(compare("emails", NULL, two, "{\"emails\":[{\"value\":\"b\"}]}"), -1);
    assert_int_equal(compare("emails.value", NULL, "{\"emails\":[{\"value\":\"z\"}]}", two), 1);
    assert_int_equal(
        compare("emails.type", NULL, two, "{\"emails\":[{\"value\":\"b\",\"type\":\"work\"}]}"),
        1);
}

static void test_missing(void **state)
{
    assert_int_equal(compare("title", NULL, "{}", "{\"title\":\"z\"}"), 1);
    assert_int_equal(compare("title", "ascending", "{\"title\":\"z\"}", "{}"), -1);
    assert_int_equal(compare("title", "descending", "{}", "{\"title\":\"z\"}"), -1);
    assert_int_equal(compare("title", "Descending", "{\"title\":\"a\"}", "{\"title\":\"z\"}"),
                     1);
    assert_int_equal(compare("title", NULL, "{}", "{}"), 0);
}

static void test_long(void **state)
{
    json_t *json = scim_json_adopt(json_object(), pool);
    char text[4000];
    scim_sort_key key;

    memset(text, 'x', sizeof(text));
    json_object_set_new(json, "title", json_stringn(text, sizeof(text)));
    key = scim_sort_key_of(sort_of("title", NULL), json, pool);
    assert_int_equal(key.len, SCIM_SORT_MAX + 1);
}

static void test_refused(void **state)
{
    assert_refused("nickname2", NULL, "nickname2");
    assert_refused("name", NULL, "sub-attributes");
    assert_refused("password", NULL, "password");
    assert_refused("groups", NULL, "groups");
    assert_refused("userName", "up", "up");
    assert_refused(NULL, "up", "up");
}

static void test_absent(void **state)
{
    assert_null(sort_of(NULL, "descending"));
    assert_null(sort_of("", NULL));
}

static void test_other_type(void **state)
{
    const scim_sort *sort = NULL;
    bool known = true;
    scim_sort_key key;

    assert_null(scim_sort_parse_any(&sort, &known, "userName", NULL,
                                    scim_registry_type(registry, "Group"), pool));
    assert_false(known);
    key = key_of(sort, "{\"userName\":\"a\"}");
    assert_int_equal(key.len, 1);
    assert_int_equal(key.bytes[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-119 strings are ordered by their prepared form", test_strings, NULL, NULL, NULL},
        {"C-120 sub-attributes, extensions, dates and booleans", test_paths, NULL, NULL, NULL},
        {"C-120 of several values the primary one counts, else the first", test_primary, NULL,
         NULL, NULL},
        {"C-121 no value: last ascending, first descending", test_missing, NULL, NULL, NULL},
        {"a key is of bounded length", test_long, NULL, NULL, NULL},
        {"C-117 C-122 C-317 what cannot be sorted by is named", test_refused, NULL, NULL, NULL},
        {"C-118 without sortBy there is no sort", test_absent, NULL, NULL, NULL},
        {"C-125 a type without the attribute has no values", test_other_type, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
