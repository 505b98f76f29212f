/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table: paths, methods, names of operations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>

#include "scim/service.h"

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
    static const char *const paths[] = {"/Foo",
                                        "/users",
                                        "/Users/a/b",
                                        "/Usersx",
                                        "/User",
                                        "/.search/x",
                                        "/ServiceProviderConfig/x",
                                        "/Schemas/a/b",
                                        "/Bulk/x",
                                        "/Me/x",
                                        "/v2/Users",
                                        "/{type}",
                                        "/{type}/x"};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"resource endpoints", test_resources, NULL, NULL, NULL},
        {"discovery endpoints", test_discovery, NULL, NULL, NULL},
        {"C-271 one route is anonymous", test_one_anonymous, NULL, NULL, NULL},
        {"C-265 a person may ask for /Me and nothing else", test_persons, NULL, NULL, NULL},
        {"discovery needs no store", test_offline, NULL, NULL, NULL},
        {"C-007 an id may end in .scim", test_suffix, NULL, NULL, NULL},
        {"C-016 scopes of routes", test_scopes, NULL, NULL, NULL},
        {"empty segments do not count", test_odd_slashes, NULL, NULL, NULL},
        {"C-011 C-019 no such path", test_no_such_path, NULL, NULL, NULL},
        {"C-012 C-027 Allow", test_allow, NULL, NULL, NULL},
        {"C-264 .search takes POST only", test_search_is_post, NULL, NULL, NULL},
        {"C-012 wrong method", test_wrong_method, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
