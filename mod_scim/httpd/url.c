/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the URL to the route: an endpoint's paths are parsed once, and never
 * mapped to files.
 *
 * httpd walks the Locations twice, first by the URL as it was sent, then
 * decoded.  The first walk is what makes a URL that httpd will not decode
 * (%2F, %00) ours: the error that httpd raises is then told as SCIM.
 */
#include "mod_scim.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>

APLOG_USE_MODULE(scim);

scim_state *mod_scim_state(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &scim_module);
}

static scim_method method_of(const request_rec *r)
{
    switch (r->method_number) {
    case M_GET:
        return SCIM_GET;
    case M_POST:
        return SCIM_POST;
    case M_PUT:
        return SCIM_PUT;
    case M_PATCH:
        return SCIM_PATCH;
    case M_DELETE:
        return SCIM_DELETE;
    case M_OPTIONS:
        return SCIM_OPTIONS;
    default:
        return SCIM_OTHER;
    }
}

/* The endpoint's path for this request; NULL where SCIMBasePath fails. */
static const char *base_of(request_rec *r, const scim_dir_config *conf)
{
    const char *err = NULL, *base;
    apr_size_t len;

    if (!conf->base_path) {
        return conf->base;
    }
    base = ap_expr_str_exec(r, conf->base_path, &err);
    if (err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, SCIMLOG(1001) "SCIMBasePath: %s", err);
        return NULL;
    }
    len = strlen(base);
    while (len && base[len - 1] == '/') {
        len--;
    }
    return apr_pstrmemdup(r->pool, base, len);
}

/* What of the URL stands behind the base; NULL where it does not begin with
 * it. */
static const char *below(const char *uri, const char *base)
{
    apr_size_t len = strlen(base);

    if (strncmp(uri, base, len) || (uri[len] && uri[len] != '/')) {
        return NULL;
    }
    return uri + len;
}

static bool is_of(const char *path, const scim_endpoint *endpoint)
{
    return endpoint->base ? below(path, endpoint->base) != NULL
                          : !ap_regexec(endpoint->pattern, path, 0, NULL, 0);
}

bool mod_scim_names_endpoint(const server_rec *s, const char *path)
{
    const apr_array_header_t *endpoints = mod_scim_server(s)->endpoints;
    int i;

    for (i = 0; i < endpoints->nelts; i++) {
        const scim_endpoint *endpoint = &APR_ARRAY_IDX(endpoints, i, scim_endpoint);

        if (endpoint->conf->engine == 1 && is_of(path, endpoint)) {
            return true;
        }
    }
    return false;
}

static scim_state *make_state(request_rec *r)
{
    scim_state *state;

    if (mod_scim_section(r)->engine != 1) {
        return NULL;
    }
    state = apr_pcalloc(r->pool, sizeof(*state));
    state->conf = mod_scim_endpoint(r);
    state->method = method_of(r);
    state->target.op = "unknown";
    ap_set_module_config(r->request_config, &scim_module, state);
    return state;
}

int mod_scim_pre_translate_name(request_rec *r)
{
    make_state(r);
    return DECLINED;
}

static void note_op(request_rec *r, const scim_state *state)
{
    apr_table_setn(r->notes, "scim-op", state->target.op);
}

static scim_state *make_state_with_base(request_rec *r)
{
    scim_state *state;

    ap_set_module_config(r->request_config, &scim_module, NULL);
    state = make_state(r);
    if (state) {
        state->base = base_of(r, &state->conf);
    }
    return state;
}

/* Whether the URL was rewritten since httpd looked for its Location, into an
 * endpoint or out of one. */
static bool moved(const request_rec *r, const scim_state *state)
{
    return state ? state->base && !below(r->uri, state->base)
                 : mod_scim_names_endpoint(r->server, r->uri);
}

/* Parses what of the URL stands behind the base; without a route where it does
 * not begin with it. */
static void find_route(request_rec *r, scim_state *state)
{
    const scim_registry *registry = mod_scim_server(r->server)->registry;
    const char *path = state->base ? below(r->uri, state->base) : NULL;

    if (!path) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCIMLOG(1002) "%s does not begin with the base path %s of its endpoint: "
                                    "see SCIMBasePath",
                      r->uri, state->base ? state->base : "(none)");
        state->base = "";
    } else {
        state->target = scim_route_find(state->method, path, registry, r->pool);
    }
    note_op(r, state);
}

int mod_scim_translate_name(request_rec *r)
{
    scim_state *state = make_state_with_base(r);

    if (moved(r, state)) {
        r->per_dir_config = r->server->lookup_defaults;
        ap_location_walk(r);
        state = make_state_with_base(r);
    }
    if (!state) {
        return DECLINED;
    }
    mod_scim_wipe_body(r);
    find_route(r, state);
    if (r->method_number == M_TRACE) {
        /* httpd would echo the request, its token included. */
        apr_table_setn(r->headers_out, "Allow", scim_route_allow(state->target.allow, r->pool));
        return mod_scim_refuse(r, scim_error_make(r->pool, SCIM_E_METHOD_NOT_ALLOWED,
                                                  "TRACE is not allowed here"));
    }
    r->filename = apr_pstrcat(r->pool, "scim:", r->uri, NULL);
    return OK;
}

int mod_scim_map_to_storage(request_rec *r)
{
    scim_state *state = mod_scim_state(r);

    if (state && !state->base) {
        /* Another module named a file, as RewriteRule does without [PT]: the
         * URL is still the endpoint's. */
        state->base = base_of(r, &state->conf);
        find_route(r, state);
    }
    return state ? OK : DECLINED;
}

int mod_scim_type_checker(request_rec *r)
{
    if (!mod_scim_state(r)) {
        return DECLINED;
    }
    r->handler = SCIM_HANDLER;
    return OK;
}

const char *mod_scim_origin(const char *scheme, const char *host, apr_port_t port,
                            apr_pool_t *pool)
{
    bool address = strchr(host, ':') && *host != '['; /* of IPv6 */

    return apr_pstrcat(pool, scheme, address ? "://[" : "://", host, address ? "]" : "",
                       port ? ":" : "", port ? apr_itoa(pool, port) : "", NULL);
}

const char *mod_scim_base_url(const request_rec *r, const scim_state *state)
{
    const char *origin;
    apr_port_t port = r->server->port;

    if (state->conf.base_url) {
        return state->conf.base_url;
    }
    if (!port && r->connection->local_addr) {
        port = r->connection->local_addr->port;
    }
    origin = mod_scim_origin(ap_http_scheme(r), r->server->server_hostname,
                             port == ap_default_port(r) ? 0 : port, r->pool);
    /* Of a LocationMatch the base holds what the client sent, decoded. */
    return apr_pstrcat(r->pool, origin, ap_os_escape_path(r->pool, state->base, 1), NULL);
}
