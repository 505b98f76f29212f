/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An example of a module that uses mod_scim by include/mod_scim.h alone:
 *
 *     apxs -c -i mod_scim_example.c
 *
 *     LoadModule scim_example_module modules/mod_scim_example.so
 *     <Location "/whoami">
 *         AuthType Basic
 *         ...
 *         Require valid-user
 *         SetHandler scim-example
 *     </Location>
 *
 * GET /whoami?Tour%20Guides says who REMOTE_USER is in the directory, whether
 * it is in that group, and which roles it has.  Changes of the directory are
 * told in the error log.
 *
 * "AuthType Example" believes the header X-Remote-User.  It stands for modules
 * that authenticate in their own way, and is no way to protect anything.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#include "mod_scim.h"

/* NULL where mod_scim is not loaded. */
static APR_OPTIONAL_FN_TYPE(scim_lookup) * lookup;
static APR_OPTIONAL_FN_TYPE(scim_is_member) * is_member;
static APR_OPTIONAL_FN_TYPE(scim_roles) * roles_of;

/* Once all modules are loaded, whatever their order. */
static int get_functions(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    lookup = APR_RETRIEVE_OPTIONAL_FN(scim_lookup);
    is_member = APR_RETRIEVE_OPTIONAL_FN(scim_is_member);
    roles_of = APR_RETRIEVE_OPTIONAL_FN(scim_roles);
    return OK;
}

/* Strings of a scim_user may be NULL, and ap_rprintf is given none of these. */
static void print_field(request_rec *r, const char *name, const char *value)
{
    if (value) {
        ap_rprintf(r, "%s: %s\n", name, value);
    }
}

static void print_user(request_rec *r, const scim_user *user)
{
    print_field(r, "id", user->id);
    print_field(r, "userName", user->user_name);
    print_field(r, "displayName", user->display_name);
    print_field(r, "email", user->email);
    print_field(r, "externalId", user->external_id);
    print_field(r, "active", user->active ? "yes" : "no");
}

/* The query, decoded, is the name of a group, or "id:" and its id. */
static void print_membership(request_rec *r, const char *name)
{
    char *group;

    if (!r->args) {
        return;
    }
    group = apr_pstrdup(r->pool, r->args);
    if (ap_unescape_urlencoded(group) == OK) {
        ap_rprintf(r, "member of %s: %d\n", group, is_member(r, name, group));
    }
}

static void print_roles(request_rec *r, const char *name)
{
    const apr_array_header_t *roles = roles_of(r, name);

    print_field(r, "roles", roles ? apr_array_pstrcat(r->pool, roles, ' ') : "unknown");
}

static int say_who(request_rec *r)
{
    scim_user user;
    int rc;

    if (!r->handler || strcmp(r->handler, "scim-example")) {
        return DECLINED;
    }
    if (!lookup || !is_member || !roles_of || !r->user) {
        return HTTP_NOT_FOUND;
    }
    rc = lookup(r, r->user, &user);
    if (rc != OK && rc != DECLINED) {
        return rc;
    }
    ap_set_content_type(r, "text/plain; charset=utf-8");
    if (rc == OK) {
        print_user(r, &user);
    } else {
        print_field(r, "nobody", r->user);
    }
    print_membership(r, r->user);
    print_roles(r, r->user);
    return OK;
}

/* In the thread of the request that made the change, once it is durable. */
static int on_committed(request_rec *r, const scim_committed *change)
{
    const char *names =
        change->names ? apr_array_pstrcat(r->pool, change->names, ',') : "nothing told";

    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "example: %s %s", change->operation,
                  change->id);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "example: %s of tenant %s, version %" APR_UINT64_T_FMT
                  ", by %s, names %s, because of %s",
                  change->resource_type, change->tenant, change->version,
                  change->connection ? change->connection : "nobody who is named", names,
                  change->cause ? change->cause : "nothing else");
    return OK;
}

static int believe_header(request_rec *r)
{
    const char *type = ap_auth_type(r), *user;

    if (!type || ap_cstr_casecmp(type, "Example")) {
        return DECLINED;
    }
    user = apr_table_get(r->headers_in, "X-Remote-User");
    if (!user) {
        return HTTP_UNAUTHORIZED;
    }
    r->user = apr_pstrdup(r->pool, user);
    r->ap_auth_type = (char *)"Example";
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    ap_hook_post_config(get_functions, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(say_who, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_authn(believe_header, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    APR_OPTIONAL_HOOK(scim, scim_committed, on_committed, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(scim_example) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL,
                                   register_hooks,          0};
