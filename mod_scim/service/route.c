/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table: every path and method that the service answers.
 *
 * The first pattern that a path matches is the path's; the methods of all
 * rows with that pattern are the methods of the path.
 */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "handler.h"

#define READ SCIM_SCOPE_READ
#define WRITE SCIM_SCOPE_WRITE

static const scim_route routes[] = {
    {SCIM_GET, "/ServiceProviderConfig", READ, true, false, true, "config.get",
     scim_handle_config},
    /* Microsoft's Postman collection asks for it under this name. */
    {SCIM_GET, "/serviceConfiguration", READ, false, false, true, "config.get",
     scim_handle_config},
    {SCIM_GET, "/ResourceTypes", READ, false, false, true, "resourcetypes.list",
     scim_handle_types},
    {SCIM_GET, "/ResourceTypes/{name}", READ, false, false, true, "resourcetypes.get",
     scim_handle_type},
    {SCIM_GET, "/Schemas", READ, false, false, true, "schemas.list", scim_handle_schemas},
    {SCIM_GET, "/Schemas/{name}", READ, false, false, true, "schemas.get", scim_handle_schema},

    {SCIM_GET, "", READ, false, false, false, "root.list", scim_handle_list},
    {SCIM_POST, "/.search", READ, false, false, false, "root.search", scim_handle_search},
    {SCIM_POST, "/Bulk", WRITE, false, false, false, "bulk", scim_handle_bulk},
    {SCIM_GET, "/Me", READ, false, true, false, "me.get", scim_handle_me},
    {SCIM_POST, "/Me", WRITE, false, true, false, "me.create", scim_handle_change_me},
    {SCIM_PUT, "/Me", WRITE, false, true, false, "me.replace", scim_handle_change_me},
    {SCIM_PATCH, "/Me", WRITE, false, true, false, "me.patch", scim_handle_change_me},
    {SCIM_DELETE, "/Me", WRITE, false, true, false, "me.delete", scim_handle_change_me},

    {SCIM_GET, "/{type}", READ, false, false, false, "list", scim_handle_list},
    {SCIM_POST, "/{type}", WRITE, false, false, false, "create", scim_handle_create},
    {SCIM_POST, "/{type}/.search", READ, false, false, false, "search", scim_handle_search},
    {SCIM_GET, "/{type}/{id}", READ, false, false, false, "get", scim_handle_read},
    {SCIM_PUT, "/{type}/{id}", WRITE, false, false, false, "replace", scim_handle_replace},
    {SCIM_PATCH, "/{type}/{id}", WRITE, false, false, false, "patch", scim_handle_patch},
    {SCIM_DELETE, "/{type}/{id}", WRITE, false, false, false, "delete", scim_handle_delete},
};

#define ROUTES_COUNT (sizeof(routes) / sizeof(routes[0]))
#define SEGMENTS_MAX 2

/* Cuts a path into its segments, ended by NULL.  Empty ones do not count:
 * clients send "//Users" and "/Users/".  False where there are too many. */
static bool cut(const char **segments, const char *path, apr_pool_t *pool)
{
    int count = 0;

    for (;;) {
        apr_size_t len;

        path += strspn(path, "/");
        if (!*path) {
            segments[count] = NULL;
            return true;
        }
        if (count == SEGMENTS_MAX) {
            return false;
        }
        len = strcspn(path, "/");
        segments[count++] = apr_pstrndup(pool, path, len);
        path += len;
    }
}

static bool is(const char *pattern, apr_size_t len, const char *text)
{
    return strlen(text) == len && !memcmp(pattern, text, len);
}

/* An id may be asked for as "id.scim" (RFC 7644 section 3.8). */
static const char *without_suffix(const char *segment, apr_pool_t *pool)
{
    apr_size_t len = strlen(segment);

    return len > 5 && !strcmp(segment + len - 5, ".scim") ? apr_pstrndup(pool, segment, len - 5)
                                                          : segment;
}

static bool match_segment(scim_target *target, const char *pattern, apr_size_t len,
                          const char *segment, const scim_registry *registry, apr_pool_t *pool)
{
    if (is(pattern, len, "{type}")) {
        target->type = scim_registry_endpoint(registry, apr_pstrcat(pool, "/", segment, NULL));
        return target->type != NULL;
    }
    if (is(pattern, len, "{name}")) {
        target->id = segment;
        return true;
    }
    if (is(pattern, len, "{id}")) {
        target->id = without_suffix(segment, pool);
        return true;
    }
    return is(pattern, len, segment);
}

static bool match(scim_target *target, const char *pattern, const char *const *segments,
                  const scim_registry *registry, apr_pool_t *pool)
{
    target->type = NULL;
    target->id = NULL;
    while (*pattern) {
        apr_size_t len = strcspn(++pattern, "/");

        if (!*segments || !match_segment(target, pattern, len, *segments, registry, pool)) {
            return false;
        }
        pattern += len;
        segments++;
    }
    return !*segments;
}

const char *scim_route_operation(const scim_resource_type *type, const char *op,
                                 apr_pool_t *result_pool)
{
    char *name, *at;

    if (!type) {
        return op;
    }
    name = apr_pstrcat(result_pool, type->endpoint + 1, ".", op, NULL);
    for (at = name; *at; at++) {
        *at = (char)apr_tolower(*at);
    }
    return name;
}

/* Chooses among the rows of the pattern that row is the first of. */
static void choose(scim_target *target, apr_size_t row, unsigned int method, apr_pool_t *pool)
{
    const char *pattern = routes[row].pattern;

    for (; row < ROUTES_COUNT && !strcmp(routes[row].pattern, pattern); row++) {
        target->allow |= routes[row].method;
        if (routes[row].method == method) {
            target->route = &routes[row];
            target->op = scim_route_operation(target->type, target->route->op, pool);
        }
    }
}

scim_target scim_route_find(unsigned int method, const char *path,
                            const scim_registry *registry, apr_pool_t *result_pool)
{
    scim_target target = {.op = "unknown"};
    const char *segments[SEGMENTS_MAX + 1];
    apr_size_t row;

    if (!cut(segments, path, result_pool)) {
        return target;
    }
    for (row = 0; row < ROUTES_COUNT; row++) {
        if (match(&target, routes[row].pattern, segments, registry, result_pool)) {
            choose(&target, row, method, result_pool);
            return target;
        }
    }
    target.type = NULL;
    target.id = NULL;
    return target;
}

const char *scim_route_allow(unsigned int methods, apr_pool_t *result_pool)
{
    return apr_pstrcat(result_pool, methods & SCIM_GET ? "GET, HEAD, " : "",
                       methods & SCIM_POST ? "POST, " : "", methods & SCIM_PUT ? "PUT, " : "",
                       methods & SCIM_PATCH ? "PATCH, " : "",
                       methods & SCIM_DELETE ? "DELETE, " : "", "OPTIONS", NULL);
}
