/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCIMConnection: whom httpd knows by other means than a token of ours, as one
 * of a tenant's connections.
 *
 * Where another AuthType authenticates, its user is mapped by the handler, and
 * who logged in as nobody is nobody.  Where none does, or Bearer without a
 * token, a client certificate or what stands for it speaks for itself: then
 * this is the authentication, in its phase.
 */
#include "mod_scim.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_ssl.h>

APLOG_USE_MODULE(scim);

typedef enum certificate {
    CERTIFICATE_NONE,
    CERTIFICATE_VERIFIED,
    CERTIFICATE_UNVERIFIED /* SSLVerifyClient optional_no_ca: anybody can write one */
} certificate;

static certificate certificate_of(request_rec *r)
{
    const char *state =
        ap_ssl_var_lookup(r->pool, r->server, r->connection, r, "SSL_CLIENT_VERIFY");

    if (!state || !*state || !strcmp(state, "NONE")) {
        return CERTIFICATE_NONE;
    }
    return strcmp(state, "SUCCESS") ? CERTIFICATE_UNVERIFIED : CERTIFICATE_VERIFIED;
}

/* What the expression makes of the request; "" is nobody. */
static const char *name_of(request_rec *r, const scim_state *state)
{
    certificate shown = certificate_of(r);
    const char *err = NULL, *name;

    if (shown == CERTIFICATE_UNVERIFIED) {
        return "";
    }
    /* A name that is the same for all, and nobody who was asked for anything:
     * whoever wrote that did not mean the whole world. */
    if (state->conf.connection_fixed && shown == CERTIFICATE_NONE && !r->user) {
        return "";
    }
    name = ap_expr_str_exec(r, state->conf.connection, &err);
    if (err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, SCIMLOG(1104) "SCIMConnection: %s", err);
        return "";
    }
    return name;
}

typedef struct tenant_search {
    const char *name;
    scim_tenant *tenant;
} tenant_search;

static const scim_error *find_tenant(scim_view *view, void *baton)
{
    tenant_search *search = baton;

    return scim_tenant_find(search->tenant, view, search->name);
}

static const scim_error *tenant_of(scim_tenant *out, request_rec *r)
{
    scim_store *store = mod_scim_store(r->server);
    tenant_search search = {mod_scim_tenant(r), out};
    const scim_error *err;

    if (!store) {
        return mod_scim_no_store(r);
    }
    err = scim_store_view(store, find_tenant, &search, r->pool);
    if (err && err->code == SCIM_E_NOT_FOUND) {
        return scim_error_make(
            r->pool, SCIM_E_FORBIDDEN,
            "There is no tenant \"%.64s\" that this address could lead to: "
            "its administrator names another by SCIMTenant, or makes it with "
            "\"scimctl tenant create\"",
            search.name);
    }
    return err;
}

static const scim_error *identify(request_rec *r, scim_state *state, const char *name)
{
    scim_identity *identity = apr_pcalloc(r->pool, sizeof(*identity));
    const char *who;

    if (!scim_tenant_name_valid(name)) {
        return scim_error_make(
            r->pool, SCIM_E_FORBIDDEN,
            "SCIMConnection makes \"%.64s\" of this request, and the name of "
            "a connection is 1 to %d of A-Z a-z 0-9 . _ -: its administrator "
            "writes an expression that gives one",
            name, SCIM_TENANT_NAME_MAX);
    }
    SCIM_ERR(tenant_of(&identity->tenant, r));
    identity->connection = apr_pstrdup(r->pool, name);
    identity->scopes = (unsigned int)state->conf.connection_scopes;
    identity->hint = "";
    /* Two stores may have tenants of one name. */
    who = apr_pstrcat(r->pool, mod_scim_server(r->server)->store_url, "\n",
                      identity->tenant.name, "\n", name, NULL);
    return mod_scim_admit(r, state, identity, who);
}

int mod_scim_map_request(request_rec *r, scim_state *state)
{
    const char *name = state->conf.connection ? name_of(r, state) : "";
    const scim_error *err = *name ? identify(r, state, name) : NULL;

    if (!*name) {
        return DECLINED;
    }
    if (err) {
        return mod_scim_refuse(r, err);
    }
    /* httpd lets nobody by who was authenticated and has no name. */
    if (!r->user) {
        r->user = apr_pstrdup(r->pool, name);
    }
    return OK;
}

bool mod_scim_asks_otherwise(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && ap_cstr_casecmp(type, "Bearer") && ap_cstr_casecmp(type, "None");
}

const scim_error *mod_scim_map_user(request_rec *r, scim_state *state)
{
    const scim_route *route = state->target.route;
    const char *name;

    if (!state->conf.connection || state->identity || !r->user || !mod_scim_asks_otherwise(r)) {
        return NULL;
    }
    name = name_of(r, state);
    if (*name) {
        return identify(r, state, name);
    }
    if (route && (route->person || route->anonymous)) {
        return NULL;
    }
    return scim_error_make(
        r->pool, SCIM_E_FORBIDDEN,
        "The login \"%.64s\" is mapped to no connection: SCIMConnection says "
        "whose is",
        r->user);
}
