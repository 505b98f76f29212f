/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The URLs of the endpoints that a store is served at, for scimctl to tell what
 * an identity provider's Tenant URL is.  They are made of the configuration
 * alone, before there is any request, so an expression is known only where it
 * is the tenant's name.
 */
#include "mod_scim.h"

#include <apr_strings.h>
#include <ap_listen.h>

#include "scim/endpoints.h"
#include "scim/json.h"

static apr_port_t port_of(const server_rec *s)
{
    if (s->port) {
        return s->port;
    }
    if (s->is_virtual && s->addrs && s->addrs->host_port) {
        return s->addrs->host_port;
    }
    return ap_listeners && ap_listeners->bind_addr ? ap_listeners->bind_addr->port : 0;
}

/* As mod_scim_base_url makes it of a request. */
static const char *origin_of(const server_rec *s, apr_pool_t *pool)
{
    const char *host = s->server_hostname;
    apr_port_t port = port_of(s);
    bool tls = s->server_scheme ? !strcmp(s->server_scheme, "https")
                                : port == 443 || mod_scim_speaks_tls(s);

    return host ? mod_scim_origin(tls ? "https" : "http", host,
                                  port == (tls ? 443 : 80) ? 0 : port, pool)
                : NULL;
}

static bool is_constant(const char *text)
{
    return !strstr(text, "%{");
}

/* The base path, {tenant} in place of the expression that SCIMTenant is; NULL
 * where another expression is in it. */
static const char *path_of(const scim_endpoint *endpoint, const char *tenant, apr_pool_t *pool)
{
    const char *path = endpoint->conf->base_path_text;
    apr_size_t len;

    if (!path) {
        return endpoint->base ? ap_os_escape_path(pool, endpoint->base, 1) : NULL;
    }
    if (tenant && !is_constant(tenant)) {
        path = scim_endpoints_replace(path, tenant, SCIM_ENDPOINTS_TENANT, pool);
    }
    len = strlen(path);
    while (len && path[len - 1] == '/') {
        len--;
    }
    return is_constant(path) ? apr_pstrmemdup(pool, path, len) : NULL;
}

/* The tenants that an endpoint takes, as they stand in the configuration. */
static const char *tenant_of(const server_rec *s, const scim_endpoint *endpoint)
{
    return endpoint->conf->tenant_text ? endpoint->conf->tenant_text
                                       : mod_scim_server(s)->tenant_text;
}

typedef struct served {
    const char *path; /* NULL: SCIMBaseURL says all */
    const char *url;
    const char *tenant; /* NULL: any */
    bool plain;         /* http, and not because SCIMBaseURL says so */
} served;

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* url is NULL where it is not to be told. */
static served served_at(const server_rec *s, const scim_endpoint *endpoint, apr_pool_t *pool)
{
    const char *tenant = tenant_of(s, endpoint), *origin = origin_of(s, pool);
    served one = {.tenant = tenant && is_constant(tenant) ? tenant : NULL};

    if (endpoint->conf->base_url) {
        one.url = endpoint->conf->base_url;
        return one;
    }
    one.path = path_of(endpoint, tenant, pool);
    if (one.path && origin) {
        one.url = apr_pstrcat(pool, origin, one.path, NULL);
        one.plain = !strncmp(origin, "http:", 5);
    }
    return one;
}

const char *mod_scim_tenant_url(const server_rec *s, const scim_endpoint *endpoint,
                                apr_pool_t *pool)
{
    return served_at(s, endpoint, pool).url;
}

static void add_endpoint(apr_array_header_t *out, const server_rec *s,
                         const scim_endpoint *endpoint, apr_pool_t *pool)
{
    served one = served_at(s, endpoint, pool);
    int i;

    if (!one.url) {
        return;
    }
    for (i = 0; i < out->nelts; i++) {
        const served *other = &APR_ARRAY_IDX(out, i, served);

        if (!strcmp(other->url, one.url) && same_text(other->tenant, one.tenant)) {
            return;
        }
    }
    APR_ARRAY_PUSH(out, served) = one;
}

/* Identity providers speak HTTPS: plain HTTP is told only where there is
 * nothing else. */
static bool is_superseded(const apr_array_header_t *all, const served *one)
{
    int i;

    for (i = 0; one->plain && i < all->nelts; i++) {
        const served *other = &APR_ARRAY_IDX(all, i, served);

        if (!other->plain && other->path && !strcmp(other->path, one->path)) {
            return true;
        }
    }
    return false;
}

const char *mod_scim_endpoints(const server_rec *s, const char *store_url, apr_pool_t *pool)
{
    apr_array_header_t *all = apr_array_make(pool, 4, sizeof(served));
    json_t *list = scim_json_adopt(scim_json_array(), pool);
    apr_size_t len;
    int i;

    for (; s; s = s->next) {
        const scim_server_config *conf = mod_scim_server(s);

        for (i = 0; i < conf->endpoints->nelts && same_text(conf->store_url, store_url); i++) {
            const scim_endpoint *endpoint = &APR_ARRAY_IDX(conf->endpoints, i, scim_endpoint);

            if (endpoint->conf->engine == 1) {
                add_endpoint(all, s, endpoint, pool);
            }
        }
    }
    for (i = 0; i < all->nelts; i++) {
        const served *one = &APR_ARRAY_IDX(all, i, served);

        if (!is_superseded(all, one)) {
            scim_json_append(
                list, scim_json_pack("{s:s, s:s?, s:b}", "url", one->url, "tenant", one->tenant,
                                     "template",
                                     one->path && strstr(one->path, SCIM_ENDPOINTS_TENANT)));
        }
    }
    return scim_json_write(list, &len, pool);
}
