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

const scim_route *scim_route_table(apr_size_t *count)
{
    *count = ROUTES_COUNT;
    return routes;
}

typedef struct segment {
    const char *text;
    apr_size_t len;
} segment;

/* Cuts a path into its segments and counts them.  Empty ones do not count:
 * clients send "//Users" and "/Users/".  -1 where there are too many. */
static int cut(segment *segments, const char *path)
{
    int count = 0;

    for (;;) {
        const char *end;

        while (*path == '/') {
            path++;
        }
        if (!*path) {
            return count;
        }
        if (count == SEGMENTS_MAX) {
            return -1;
        }
        end = strchr(path, '/');
        segments[count] = (segment){path, end ? (apr_size_t)(end - path) : strlen(path)};
        path += segments[count++].len;
    }
}

static bool is(segment s, const char *name)
{
    return !strncmp(name, s.text, s.len) && !name[s.len];
}

static const scim_resource_type *type_of(segment s, const scim_registry *registry)
{
    int i;

    for (i = 0; i < registry->types_count; i++) {
        if (is(s, registry->types[i].endpoint + 1)) {
            return &registry->types[i];
        }
    }
    return NULL;
}

/* Whether the segments are those of a pattern.  type is that of the first, which
 * alone may have to be an endpoint; NULL where it is none. */
static bool match(const char *pattern, const segment *segments, int count,
                  const scim_resource_type *type)
{
    int i;

    for (i = 0; i < count; i++) {
        const segment *s = &segments[i];

        if (*pattern++ != '/') {
            return false;
        }
        if (*pattern == '{') {
            if (pattern[1] == 't' && !type) {
                return false;
            }
            pattern = strchr(pattern, '}') + 1;
        } else if (!strncmp(pattern, s->text, s->len)) {
            pattern += s->len;
        } else {
            return false;
        }
    }
    return !*pattern;
}

/* An id may be asked for as "id.scim" (RFC 7644 section 3.8). */
static segment without_suffix(segment s)
{
    if (s.len > 5 && !memcmp(s.text + s.len - 5, ".scim", 5)) {
        s.len -= 5;
    }
    return s;
}

/* What of the path the pattern that it matched names. */
static void name_parts(scim_target *target, const char *pattern, segment last,
                       const scim_resource_type *type, apr_pool_t *pool)
{
    const char *placeholder = strrchr(pattern, '{');

    target->type = pattern[0] && pattern[1] == '{' ? type : NULL;
    if (placeholder && placeholder[1] == 'i') {
        last = without_suffix(last);
    }
    if (placeholder && placeholder[1] != 't') {
        target->id = apr_pstrmemdup(pool, last.text, last.len);
    }
}

const char *scim_route_operation(const scim_resource_type *type, const char *op,
                                 apr_pool_t *result_pool)
{
    char *name, *to;
    const char *at;

    if (!type) {
        return op;
    }
    name = to = apr_palloc(result_pool, strlen(type->endpoint) + 1 + strlen(op));
    for (at = type->endpoint + 1; *at; at++) {
        *to++ = (char)apr_tolower(*at);
    }
    *to++ = '.';
    memcpy(to, op, strlen(op) + 1);
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
    const scim_resource_type *type;
    segment segments[SEGMENTS_MAX] = {{NULL, 0}};
    int count = cut(segments, path);
    apr_size_t row;

    type = count > 0 ? type_of(segments[0], registry) : NULL;
    for (row = 0; row < ROUTES_COUNT && count >= 0; row++) {
        if (match(routes[row].pattern, segments, count, type)) {
            name_parts(&target, routes[row].pattern, segments[count ? count - 1 : 0], type,
                       result_pool);
            choose(&target, row, method, result_pool);
            break;
        }
    }
    return target;
}

const char *scim_route_allow(unsigned int methods, apr_pool_t *result_pool)
{
    return apr_pstrcat(result_pool, methods & SCIM_GET ? "GET, HEAD, " : "",
                       methods & SCIM_POST ? "POST, " : "", methods & SCIM_PUT ? "PUT, " : "",
                       methods & SCIM_PATCH ? "PATCH, " : "",
                       methods & SCIM_DELETE ? "DELETE, " : "", "OPTIONS", NULL);
}
