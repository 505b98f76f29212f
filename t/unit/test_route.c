/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table: paths, methods, names of operations.
 *
 * "test_route.t --table" tests nothing, but prints the table for tests that do
 * something to every route: method, pattern, scope, anonymous, person, offline
 * (1 or 0) and operation, a line for each row, separated by tabs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../mod_scim/service/handler.h"

static apr_pool_t *pool;
static const scim_registry *registry;

static scim_target find(unsigned int method, const char *path)
{
    return scim_route_find(method, path, registry, pool);
}

static void assert_op(unsigned int method, const char *path, const char *op, const char *id)
{
    scim_target target = find(method, path);

    assert_non_null(target.route);
    assert_string_equal(target.op, op);
    if (id) {
        assert_string_equal(target.id, id);
    } else {
        assert_null(target.id);
    }
}

static void test_resources(void **state)
{
    assert_op(SCIM_GET, "/Users", "users.list", NULL);
    assert_op(SCIM_POST, "/Users", "users.create", NULL);
    assert_op(SCIM_GET, "/Users/0", "users.get", "0");
    assert_op(SCIM_PUT, "/Groups/a-b", "groups.replace", "a-b");
    assert_op(SCIM_PATCH, "/Groups/x", "groups.patch", "x");
    assert_op(SCIM_DELETE, "/Users/x", "users.delete", "x");
    assert_string_equal(find(SCIM_GET, "/Groups/x").type->id, "Group");
    assert_null(find(SCIM_GET, "/Schemas/x").type);
}

static void test_discovery(void **state)
{
    assert_op(SCIM_GET, "/ServiceProviderConfig", "config.get", NULL);
    assert_op(SCIM_GET, "/ResourceTypes", "resourcetypes.list", NULL);
    assert_op(SCIM_GET, "/ResourceTypes/User", "resourcetypes.get", "User");
    assert_op(SCIM_GET, "/Schemas", "schemas.list", NULL);
    assert_op(SCIM_GET, "/Schemas/" SCIM_URN_USER, "schemas.get", SCIM_URN_USER);
}

static void test_one_anonymous(void **state)
{
    static const char *const paths[] = {"",         "/ResourceTypes", "/ResourceTypes/User",
                                        "/Schemas", "/Schemas/x",     "/Users",
                                        "/Users/x", "/Groups",        "/Me"};
    apr_size_t i;

    assert_true(find(SCIM_GET, "/ServiceProviderConfig").route->anonymous);
    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_false(find(SCIM_GET, paths[i]).route->anonymous);
    }
}

static void test_persons(void **state)
{
    static const unsigned int methods[] = {SCIM_GET, SCIM_POST, SCIM_PUT, SCIM_PATCH,
                                           SCIM_DELETE};
    static const char *const others[] = {"",        "/.search",       "/Bulk",
                                         "/Users",  "/Users/.search", "/Users/x",
                                         "/Groups", "/Schemas",       "/ResourceTypes"};
    apr_size_t i, k;

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        assert_true(find(methods[i], "/Me").route->person);
        for (k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            const scim_route *route = find(methods[i], others[k]).route;

            assert_false(route && route->person);
        }
    }
    assert_op(SCIM_GET, "/Me", "me.get", NULL);
    assert_op(SCIM_PATCH, "/Me", "me.patch", NULL);
}

static void test_offline(void **state)
{
    assert_true(find(SCIM_GET, "/ServiceProviderConfig").route->offline);
    assert_true(find(SCIM_GET, "/ResourceTypes").route->offline);
    assert_true(find(SCIM_GET, "/ResourceTypes/User").route->offline);
    assert_true(find(SCIM_GET, "/Schemas").route->offline);
    assert_true(find(SCIM_GET, "/Schemas/x").route->offline);
    assert_false(find(SCIM_GET, "").route->offline);
    assert_false(find(SCIM_GET, "/Users").route->offline);
    assert_false(find(SCIM_GET, "/Me").route->offline);
    assert_false(find(SCIM_POST, "/Bulk").route->offline);
}

static void test_suffix(void **state)
{
    assert_op(SCIM_GET, "/Users/0197.scim", "users.get", "0197");
    assert_op(SCIM_PUT, "/Groups/x.scim", "groups.replace", "x");
    assert_op(SCIM_GET, "/Users/x.json", "users.get", "x.json");
    assert_op(SCIM_GET, "/Users/x.SCIM", "users.get", "x.SCIM");
    assert_op(SCIM_GET, "/Users/.scim", "users.get", ".scim");
    assert_op(SCIM_GET, "/Schemas/x.scim", "schemas.get", "x.scim");
    assert_int_equal(find(SCIM_GET, "/Users.scim").allow, 0);
}

static void test_scopes(void **state)
{
    assert_int_equal(find(SCIM_GET, "/Users").route->scope, SCIM_SCOPE_READ);
    assert_int_equal(find(SCIM_POST, "/Users").route->scope, SCIM_SCOPE_WRITE);
    assert_int_equal(find(SCIM_PUT, "/Users/x").route->scope, SCIM_SCOPE_WRITE);
    assert_int_equal(find(SCIM_PATCH, "/Users/x").route->scope, SCIM_SCOPE_WRITE);
    assert_int_equal(find(SCIM_DELETE, "/Users/x").route->scope, SCIM_SCOPE_WRITE);
    assert_int_equal(find(SCIM_POST, "/Bulk").route->scope, SCIM_SCOPE_WRITE);
    /* a query, whatever its method is */
    assert_int_equal(find(SCIM_POST, "/Users/.search").route->scope, SCIM_SCOPE_READ);
}

/* Whoever asks in the words of a pattern must come to its row: then what a test
 * finds out about the row holds of the request. */
static void test_every_row(void **state)
{
    apr_size_t count, i;
    const scim_route *table = scim_route_table(&count);

    assert_true(count > 20);
    for (i = 0; i < count; i++) {
        const char *path = table[i].pattern, *type = strstr(path, "{type}");
        scim_target target;

        if (type) {
            path = apr_pstrcat(pool, "/Users", type + strlen("{type}"), NULL);
        }
        target = find(table[i].method, path);
        assert_ptr_equal(target.route, &table[i]);
        assert_true(target.allow & table[i].method);
    }
}

static void test_odd_slashes(void **state)
{
    assert_op(SCIM_GET, "//Users", "users.list", NULL);
    assert_op(SCIM_GET, "/Users/", "users.list", NULL);
    assert_op(SCIM_GET, "/Users//x/", "users.get", "x");
    assert_op(SCIM_GET, "", "root.list", NULL);
    assert_op(SCIM_GET, "/", "root.list", NULL);
}

static void test_no_such_path(void **state)
{
    static const char *const paths[] = {"/Foo",         "/users",
                                        "/Users/a/b",   "/Usersx",
                                        "/User",        "/S",
                                        "/Schema",      "/Bul",
                                        "/M",           "/Users/.search/x",
                                        "/.search/x",   "/ServiceProviderConfig/x",
                                        "/Schemas/a/b", "/Bulk/x",
                                        "/Me/x",        "/v2/Users",
                                        "/{type}",      "/{type}/x"};
    apr_size_t i;

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        scim_target target = find(SCIM_GET, paths[i]);

        assert_null(target.route);
        assert_int_equal(target.allow, 0);
        assert_null(target.type);
        assert_null(target.id);
        assert_string_equal(target.op, "unknown");
    }
}

static void assert_allow(const char *path, const char *allow)
{
    scim_target target = find(SCIM_OTHER, path);

    assert_null(target.route);
    assert_string_equal(scim_route_allow(target.allow, pool), allow);
}

static void test_allow(void **state)
{
    assert_allow("/Users", "GET, HEAD, POST, OPTIONS");
    assert_allow("/Users/x", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    assert_allow("/ServiceProviderConfig", "GET, HEAD, OPTIONS");
    assert_allow("/Schemas", "GET, HEAD, OPTIONS");
    assert_allow("/Schemas/x", "GET, HEAD, OPTIONS");
    assert_allow("/ResourceTypes", "GET, HEAD, OPTIONS");
    assert_allow("/ResourceTypes/x", "GET, HEAD, OPTIONS");
    assert_allow("/Bulk", "POST, OPTIONS");
    assert_allow("/Me", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    assert_allow("", "GET, HEAD, OPTIONS");
}

static void test_search_is_post(void **state)
{
    assert_allow("/Users/.search", "POST, OPTIONS");
    assert_null(find(SCIM_GET, "/Users/.search").route);
    assert_op(SCIM_POST, "/Groups/.search", "groups.search", NULL);
    assert_op(SCIM_POST, "/.search", "root.search", NULL);
}

static void test_wrong_method(void **state)
{
    assert_null(find(SCIM_DELETE, "/Users").route);
    assert_null(find(SCIM_PUT, "/Users").route);
    assert_null(find(SCIM_PATCH, "/Users").route);
    assert_null(find(SCIM_POST, "/Users/x").route);
    assert_null(find(SCIM_POST, "/Schemas").route);
    assert_null(find(SCIM_OPTIONS, "/Users").route);
    /* the resource type is known all the same */
    assert_string_equal(find(SCIM_DELETE, "/Users").type->id, "User");
}

static const char *method_name(unsigned int method)
{
    switch (method) {
    case SCIM_GET:
        return "GET";
    case SCIM_POST:
        return "POST";
    case SCIM_PUT:
        return "PUT";
    case SCIM_PATCH:
        return "PATCH";
    default:
        return "DELETE";
    }
}

static void print_table(void)
{
    apr_size_t count, i;
    const scim_route *table = scim_route_table(&count);

    for (i = 0; i < count; i++) {
        const scim_route *route = &table[i];

        printf("%s\t%s\t%s\t%d\t%d\t%d\t%s\n", method_name(route->method), route->pattern,
               route->scope == SCIM_SCOPE_WRITE ? "write" : "read", route->anonymous,
               route->person, route->offline, route->op);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        {"resource endpoints", test_resources, NULL, NULL, NULL},
        {"discovery endpoints", test_discovery, NULL, NULL, NULL},
        {"C-271 one route is anonymous", test_one_anonymous, NULL, NULL, NULL},
        {"C-265 a person may ask for /Me and nothing else", test_persons, NULL, NULL, NULL},
        {"discovery needs no store", test_offline, NULL, NULL, NULL},
        {"C-007 an id may end in .scim", test_suffix, NULL, NULL, NULL},
        {"C-016 scopes of routes", test_scopes, NULL, NULL, NULL},
        {"every row is found by its own pattern", test_every_row, NULL, NULL, NULL},
        {"empty segments do not count", test_odd_slashes, NULL, NULL, NULL},
        {"C-011 C-019 no such path", test_no_such_path, NULL, NULL, NULL},
        {"C-012 C-027 Allow", test_allow, NULL, NULL, NULL},
        {"C-264 .search takes POST only", test_search_is_post, NULL, NULL, NULL},
        {"C-012 wrong method", test_wrong_method, NULL, NULL, NULL},
    };

    if (argc > 1 && !strcmp(argv[1], "--table")) {
        print_table();
        return 0;
    }
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
