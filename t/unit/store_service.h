/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the service over the store of store_fixture.h, on any engine.
 */
#ifndef STORE_SERVICE_H
#define STORE_SERVICE_H

#include "scim/service.h"

#include "store_model.h"

#define BASE "https://scim.example.org/scim/v2"
#define USER_SCHEMAS "\"schemas\":[\"" SCIM_URN_USER "\"]"
#define GROUP_SCHEMAS "\"schemas\":[\"" SCIM_URN_GROUP "\"]"
#define PATCH_OP(operations) \
    "{\"schemas\":[\"" SCIM_URN_PATCH "\"],\"Operations\":[" operations "]}"

static scim_wire wire;
static scim_identity identity;

/* Behind begin() and whenever the tenant's policy has changed. */
static inline void service_begin(void)
{
    wire = (scim_wire){.lenient = fix.lenient,
                       .default_page = 100,
                       .max_page = 1000,
                       .cursor_timeout = apr_time_from_sec(3600),
                       .bulk_operations = 100,
                       .bulk_bytes = 1 << 20};
    identity = (scim_identity){.tenant = fix.tenant,
                               .connection = "entra",
                               .scopes = SCIM_SCOPE_READ | SCIM_SCOPE_WRITE};
}

/* As a call of httpd's: any thread may make one. */
static inline scim_reply request_at(scim_method method, const char *url, const char *if_match,
                                    const char *body, apr_time_t now, apr_pool_t *pool)
{
    const char *query = strchr(url, '?');
    const char *path = query ? apr_pstrmemdup(pool, url, (apr_size_t)(query - url)) : url;
    scim_call call = {.target = scim_route_find(method, path, registry, pool),
                      .method = method,
                      .query = query ? query + 1 : NULL,
                      .if_match = if_match,
                      .body = body,
                      .body_len = body ? strlen(body) : 0,
                      .base_url = BASE,
                      .identity = &identity,
                      .wire = &wire,
                      .store = fix.store,
                      .registry = registry,
                      .now = now};
    scim_reply reply;

    scim_service_answer(&reply, &call, pool);
    while (reply.unfinished) {
        scim_service_go_on(&reply, &call, pool);
    }
    return reply;
}

/* lmdb's files go to memory where that can be: what is tested is no disk. */
static inline void stores_in_memory(void)
{
    if (!getenv("SCIM_TMP") && !access("/dev/shm", W_OK)) {
        setenv("SCIM_TMP", "/dev/shm", 1);
    }
}

/* The whole size is asked for by LONG=1. */
static inline int sized(int usual, int whole)
{
    const char *asked = getenv("LONG");

    return asked && *asked && strcmp(asked, "0") ? whole : usual;
}

#endif
