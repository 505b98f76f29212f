/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: TLS, the bearer token, and the one route that needs none.  Whom
 * another authentication knows is connection.c's.
 *
 * Authentication is httpd's: AuthType Bearer and a Require line in the
 * endpoint's Location bring the request here.  Whatever they say, io.c
 * answers nobody without a SCIM identity (but on the anonymous route).
 */
#include "mod_scim.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>

APLOG_USE_MODULE(scim);

static int is_no_proxys(void *rec, const char *name, const char *value)
{
    return ap_cstr_casecmpn(name, "X-Forwarded", 11) && ap_cstr_casecmp(name, "Forwarded") &&
           ap_cstr_casecmp(name, "X-Real-IP") && ap_cstr_casecmp(name, "Via");
}

bool mod_scim_is_loopback(const apr_sockaddr_t *peer)
{
#if APR_HAVE_IPV6
    if (peer->family == AF_INET6) {
        const struct in6_addr *address = &peer->sa.sin6.sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(address)) {
            return address->s6_addr[12] == 127;
        }
        return IN6_IS_ADDR_LOOPBACK(address);
    }
#endif
    return peer->family == AF_INET && ntohl(peer->sa.sin.sin_addr.s_addr) >> 24 == 127;
}

bool mod_scim_by_proxy(const request_rec *r)
{
    return !apr_table_do(is_no_proxys, NULL, r->headers_in, NULL);
}

/* The socket's own peer, and whom mod_remoteip found behind it: that takes the
 * header away that it believed. */
static bool from_this_machine(const request_rec *r)
{
    return mod_scim_is_loopback(r->connection->client_addr) &&
           mod_scim_is_loopback(r->useragent_addr) && !mod_scim_by_proxy(r);
}

bool mod_scim_transport_allowed(request_rec *r, const scim_dir_config *conf)
{
    const char *err = NULL;
    int rc;

    switch (conf->require_tls) {
    case SCIM_TLS_OFF:
        return true;
    case SCIM_TLS_EXPR:
        rc = ap_expr_exec(r, conf->require_tls_expr, &err);
        if (rc < 0) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, SCIMLOG(1101) "SCIMRequireTLS: %s", err);
        }
        /* The expression says whether TLS is required. */
        if (rc == 0) {
            return true;
        }
        break;
    }
    return ap_ssl_conn_is_ssl(r->connection) || from_this_machine(r);
}

int mod_scim_check_transport(request_rec *r)
{
    scim_state *state = mod_scim_state(r);

    if (state) {
        /* <If> sections were not read yet when the URL was. */
        state->conf = mod_scim_endpoint(r);
    }
    if (!state) {
        return mod_scim_is_connections(r) ? mod_scim_connections_transport(r) : DECLINED;
    }
    if (mod_scim_transport_allowed(r, &state->conf)) {
        return DECLINED;
    }
    state->refused = SCIM_TALLY_PLAIN;
    return mod_scim_refuse(r, scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                                              "SCIM is spoken over HTTPS only: use an https:// "
                                              "Tenant URL (behind a proxy that ends TLS, its "
                                              "administrator sets SCIMRequireTLS)"));
}

static bool is_anonymous(const request_rec *r, const scim_state *state)
{
    return state->target.route && state->target.route->anonymous &&
           !apr_table_get(r->headers_in, "Authorization");
}

int mod_scim_access_checker_ex(request_rec *r)
{
    const scim_state *state = mod_scim_state(r);

    return state && is_anonymous(r, state) ? OK : DECLINED;
}

/* "Require all granted" is no reason not to look at the token. */
int mod_scim_force_authn(request_rec *r)
{
    const scim_state *state = mod_scim_state(r);

    return state && !is_anonymous(r, state) ? OK : DECLINED;
}

const char *mod_scim_challenge(request_rec *r, const char *error)
{
    const char *realm = ap_auth_name(r);

    return apr_pstrcat(r->pool, "Bearer realm=\"",
                       ap_escape_quotes(r->pool, realm ? realm : "SCIM"), "\"",
                       error ? ", error=\"" : "", error ? error : "", error ? "\"" : "", NULL);
}

static int unauthorized(request_rec *r, scim_tally_reason reason, const char *error,
                        const char *detail)
{
    mod_scim_state(r)->refused = reason;
    apr_table_setn(r->err_headers_out, "WWW-Authenticate", mod_scim_challenge(r, error));
    return mod_scim_refuse(r, scim_error_make(r->pool, SCIM_E_UNAUTHORIZED, "%s", detail));
}

/* The token of the one Authorization header, or NULL. */
static const char *bearer_token(const request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Authorization");

    if (!header || ap_cstr_casecmpn(header, "Bearer ", 7)) {
        return NULL;
    }
    for (header += 7; *header == ' '; header++) {
    }
    return *header ? header : NULL;
}

typedef struct token_check {
    const char *token;
    scim_token_state state;
    scim_identity *identity;
    apr_time_t now;
} token_check;

static const scim_error *check_token(scim_view *view, void *baton)
{
    token_check *check = baton;

    return scim_token_find(&check->state, check->identity, view, check->token, check->now);
}

/* What a SCIMTenant comes to for this request: what has nothing in it that an
 * expression takes for more than itself, is the name. */
static const char *tenant_of(request_rec *r, ap_expr_info_t *expr, const char *text)
{
    const char *err = NULL, *name;

    if (!strpbrk(text, "%$\\")) {
        return text;
    }
    name = ap_expr_str_exec(r, expr, &err);
    if (err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, SCIMLOG(1102) "SCIMTenant: %s", err);
        return "";
    }
    return name;
}

/* The tenant that the configuration names; NULL: none. "" where the expression
 * fails, which is the name of no tenant. */
const char *mod_scim_pinned_tenant(request_rec *r)
{
    const scim_dir_config *here = mod_scim_section(r);
    const scim_server_config *server = mod_scim_server(r->server);

    if (here->tenant) {
        return tenant_of(r, here->tenant, here->tenant_text);
    }
    return server->tenant ? tenant_of(r, server->tenant, server->tenant_text) : NULL;
}

const char *mod_scim_tenant(request_rec *r)
{
    const char *name = mod_scim_pinned_tenant(r);

    return name ? name : "default";
}

static bool other_tenant(request_rec *r, const scim_identity *identity)
{
    const char *name = mod_scim_pinned_tenant(r);

    return name && strcmp(name, identity->tenant.name) != 0;
}

const scim_error *mod_scim_no_store(const request_rec *r)
{
    return scim_error_make(r->pool, SCIM_E_UNAVAILABLE,
                           "The directory is not available; try again later");
}

const scim_error *mod_scim_admit(request_rec *r, scim_state *state,
                                 const scim_identity *identity, const char *who)
{
    apr_table_setn(r->notes, "scim-tenant", identity->tenant.name);
    apr_table_setn(r->notes, "scim-connection", identity->connection);
    if (identity->tenant.suspended) {
        return scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                               "Provisioning is not enabled for this organisation; ask its "
                               "administrator");
    }
    SCIM_ERR(mod_scim_count(r, state, who));
    state->identity = identity;
    return NULL;
}

static int accept_token(request_rec *r, scim_state *state, const token_check *check)
{
    const scim_error *err = mod_scim_admit(r, state, check->identity, check->token);

    if (err) {
        return mod_scim_refuse(r, err);
    }
    r->user = apr_pstrdup(r->pool, check->identity->connection);
    r->ap_auth_type = (char *)"Bearer";
    return OK;
}

static int unknown_token(request_rec *r, const char *token)
{
    bool whole = scim_token_well_formed(token);

    return unauthorized(r, whole ? SCIM_TALLY_UNKNOWN : SCIM_TALLY_MALFORMED, "invalid_token",
                        whole
                            ? "The bearer token is not known here: check the Secret Token; it "
                              "may have been replaced or revoked"
                            : "This is no whole token: copy the Secret Token again, all of it "
                              "(mscim_ and 49 letters and digits), without quotes and without "
                              "\"Bearer\"");
}

/* Nothing that is a bearer token came. */
static int no_token(request_rec *r, scim_state *state)
{
    int rc = apr_table_get(r->headers_in, "Authorization") ? DECLINED
                                                           : mod_scim_map_request(r, state);

    return rc != DECLINED
               ? rc
               : unauthorized(r, SCIM_TALLY_NO_TOKEN, NULL,
                              "This endpoint asks for a bearer token: send the Secret Token as "
                              "\"Authorization: Bearer ...\"");
}

/* More than one Authorization header arrives joined by a comma, which no
 * token has in it. */
int mod_scim_check_authn(request_rec *r)
{
    scim_state *state = mod_scim_state(r);
    scim_store *store = mod_scim_store(r->server);
    const char *type = ap_auth_type(r);
    token_check check = {.state = SCIM_TOKEN_UNKNOWN, .now = r->request_time};
    const scim_error *err;

    if (!state || !type || ap_cstr_casecmp(type, "Bearer")) {
        return DECLINED;
    }
    check.token = bearer_token(r);
    if (!check.token) {
        return no_token(r, state);
    }
    check.identity = apr_pcalloc(r->pool, sizeof(*check.identity));
    if (!store) {
        return mod_scim_refuse(r, mod_scim_no_store(r));
    }
    err = scim_store_view(store, check_token, &check, r->pool);
    if (err) {
        return mod_scim_refuse(r, err);
    }
    if (check.state != SCIM_TOKEN_UNKNOWN && other_tenant(r, check.identity)) {
        check.state = SCIM_TOKEN_UNKNOWN;
    }
    switch (check.state) {
    case SCIM_TOKEN_VALID:
        return accept_token(r, state, &check);
    case SCIM_TOKEN_EXPIRED:
        apr_table_setn(r->notes, "scim-tenant", check.identity->tenant.name);
        apr_table_setn(r->notes, "scim-connection", check.identity->connection);
        return unauthorized(r, SCIM_TALLY_EXPIRED, "invalid_token",
                            "The bearer token has expired: have a new one made and put it in "
                            "place of the Secret Token");
    default:
        return unknown_token(r, check.token);
    }
}

/* Where SCIMConnection is to tell who asks, it does.  Else httpd's own line would
 * tell the administrator neither which endpoint it is nor what is missing. */
int mod_scim_nobody_asks(request_rec *r)
{
    scim_state *state = mod_scim_state(r);

    if (!state) {
        return mod_scim_is_connections(r) ? mod_scim_connections_nobody(r) : DECLINED;
    }
    if (state->conf.connection && !mod_scim_asks_otherwise(r)) {
        int rc = mod_scim_map_request(r, state);

        return rc != DECLINED ? rc
                              : unauthorized(r, SCIM_TALLY_OTHER, NULL,
                                             "Nobody is mapped to a connection here: this "
                                             "endpoint knows its clients by a certificate, or "
                                             "by what else its SCIMConnection names");
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  SCIMLOG(1103) "the endpoint %s has no AuthType Bearer: add AuthType Bearer, "
                                "AuthName SCIM and Require valid-user",
                  *state->base ? state->base : "/");
    return mod_scim_refuse(r, scim_error_make(r->pool, SCIM_E_INTERNAL,
                                              "This endpoint is not set up to ask for a bearer "
                                              "token; the server's error log says what is "
                                              "missing"));
}

int mod_scim_note_auth_failure(request_rec *r, const char *auth_type)
{
    if (ap_cstr_casecmp(auth_type, "Bearer") || !mod_scim_state(r)) {
        return DECLINED;
    }
    apr_table_setn(r->err_headers_out, "WWW-Authenticate", mod_scim_challenge(r, NULL));
    return OK;
}
