/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration comes to at an endpoint, told without a request: for warnings and
 * for "httpd -t -D DUMP_SCIM".  The sections are merged as httpd merges them for a request.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_fnmatch.h>
#include <apr_optional.h>
#include <apr_strings.h>
#include <ap_listen.h>
#include <http_core.h>
#include <http_request.h>
#include <util_cfgtree.h>

/* Whether a section of <Location> holds at a path; NULL is the path of a <LocationMatch>,
 * of which only those are known that hold everywhere. */
static bool holds_at(const core_dir_config *section, const char *path)
{
    const char *of = section->d;
    apr_size_t len = of ? strlen(of) : 0;

    if (!of || !strcmp(of, "/")) {
        return of && !section->r;
    }
    if (!path || section->r) {
        return path && !ap_regexec(section->r, path, 0, NULL, 0);
    }
    if (section->d_is_fnmatch) {
        return apr_fnmatch(of, path, APR_FNM_PATHNAME) == APR_SUCCESS;
    }
    return !strncmp(of, path, len) && (!path[len] || path[len] == '/' || of[len - 1] == '/');
}

/* As ap_location_walk, for the users of the endpoint, whose own section it is in any case. */
static ap_conf_vector_t *merge_sections(const server_rec *s, const scim_endpoint *endpoint,
                                        apr_pool_t *pool)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const char *path =
        endpoint->base ? apr_pstrcat(pool, endpoint->base, "/Users", NULL) : NULL;
    ap_conf_vector_t *merged = s->lookup_defaults;
    int i;

    for (i = 0; i < core->sec_url->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *);

        if (ap_get_module_config(section, &scim_module) == endpoint->conf ||
            holds_at(ap_get_core_module_config(section), path)) {
            merged = ap_merge_per_dir_configs(pool, merged, section);
        }
    }
    return merged;
}

/* As much of a request as those need who look at its configuration. */
static request_rec *request_with(ap_conf_vector_t *config, const server_rec *s,
                                 apr_pool_t *pool)
{
    request_rec *r = apr_pcalloc(pool, sizeof(*r));

    r->pool = pool;
    r->server = (server_rec *)s;
    r->per_dir_config = config;
    r->method = "GET";
    r->method_number = M_GET;
    r->headers_in = apr_table_make(pool, 1);
    r->headers_out = apr_table_make(pool, 1);
    r->err_headers_out = apr_table_make(pool, 1);
    r->subprocess_env = apr_table_make(pool, 1);
    r->notes = apr_table_make(pool, 1);
    return r;
}

scim_effective mod_scim_effective(const server_rec *s, const scim_endpoint *endpoint,
                                  apr_pool_t *pool)
{
    APR_OPTIONAL_FN_TYPE(authn_ap_auth_type) *auth_type =
        APR_RETRIEVE_OPTIONAL_FN(authn_ap_auth_type);
    APR_OPTIONAL_FN_TYPE(authz_some_auth_required) *required =
        APR_RETRIEVE_OPTIONAL_FN(authz_some_auth_required);
    request_rec *r = request_with(merge_sections(s, endpoint, pool), s, pool);

    return (scim_effective){
        .set = mod_scim_section(r),
        .conf = mod_scim_endpoint(r),
        .auth_type = auth_type ? auth_type(r) : NULL,
        .required = required && required(r),
        .body_limit = ap_get_limit_req_body(r),
    };
}

/* TLS */

/* What a section of the configuration says of "SSLEngine": mod_ssl, which knows, is asked
 * by nobody before there is a connection.  -1: nothing. */
static int ssl_engine_in(const ap_directive_t *line)
{
    int on = -1;

    for (; line; line = line->next) {
        if (!ap_cstr_casecmp(line->directive, "SSLEngine")) {
            on = !ap_cstr_casecmp(line->args, "on");
        }
    }
    return on;
}

static bool is_section_of(const ap_directive_t *line, const server_rec *s)
{
    return !ap_cstr_casecmp(line->directive, "<VirtualHost") && line->filename &&
           s->defn_name && !strcmp(line->filename, s->defn_name) &&
           line->line_num == (int)s->defn_line_number;
}

bool mod_scim_speaks_tls(const server_rec *s)
{
    const ap_directive_t *line = s->is_virtual ? ap_conftree : NULL;
    int on = -1;

    while (line && !is_section_of(line, s)) {
        line = line->next;
    }
    if (line) {
        on = ssl_engine_in(line->first_child);
    }
    return (on >= 0 ? on : ssl_engine_in(ap_conftree)) == 1;
}

/* Addresses */

/* Whether connections that a listener takes may be the server's, which is not to be had by
 * any but this machine where that is so. */
static bool leads_from_elsewhere(const ap_listen_rec *listener, const server_addr_rec *address)
{
    const apr_sockaddr_t *at = listener->bind_addr;

    if (address && address->host_port && address->host_port != at->port) {
        return false;
    }
    return !mod_scim_is_loopback(at) && !(address && mod_scim_is_loopback(address->host_addr));
}

bool mod_scim_serves_others(const server_rec *s)
{
    const ap_listen_rec *listener;

    for (listener = ap_listeners; listener; listener = listener->next) {
        const server_addr_rec *address = s->is_virtual ? s->addrs : NULL;

        do {
            if (listener->bind_addr && leads_from_elsewhere(listener, address)) {
                return true;
            }
            address = address ? address->next : NULL;
        } while (address);
    }
    return false;
}
