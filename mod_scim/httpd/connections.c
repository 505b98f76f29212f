/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SetHandler scim-connections: an organisation's own administrators see its
 * connections, and make, rotate and revoke their tokens.
 *
 * Which organisation, SCIMTenant says; who may, Require does, of those whom any
 * authentication of httpd's knows.  Where the configuration has forgotten either,
 * nobody may.
 */
#include "connections.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <openssl/crypto.h>

#include "scim/endpoints.h"
#include "scim/provider.h"

APLOG_USE_MODULE(scim);

/* Tokens of all tenants are walked through for a list of those of one; nobody who
 * administers only one is to make that slow for all. */
#define TOKENS_MAX 200

#define DAYS(n) apr_time_from_sec((apr_time_t)(n)*86400)

const scim_choice mod_scim_scopes[] = {{"read,write", "read and write", 0},
                                       {"read", "read only", 0},
                                       {"write", "write only", 0},
                                       {.value = NULL}};
const scim_choice mod_scim_lives[] = {{"30d", "30 days", DAYS(30)},
                                      {"90d", "90 days", DAYS(90)},
                                      {"180d", "180 days", DAYS(180)},
                                      {"365d", "a year", SCIM_TOKEN_LIFETIME},
                                      {"730d", "two years", DAYS(730)},
                                      {"never", "never", 0},
                                      {.value = NULL}};
const scim_choice mod_scim_graces[] = {{"never", "as long as they would have been", 0},
                                       {"1d", "for a day", DAYS(1)},
                                       {"7d", "for 7 days", DAYS(7)},
                                       {"30d", "for 30 days", DAYS(30)},
                                       {.value = NULL}};

static const scim_wish offered = {"", "entra", "read,write", "365d", "never"};

/* Who may */

static void log_unprotected(request_rec *r, const char *what)
{
    /* Whoever asks makes this line. */
    if (mod_scim_seldom(
            apr_pstrcat(r->pool, "SCIM1801 ", r->server->server_hostname, what, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCIMLOG(1801) "SetHandler scim-connections: %s, so nobody may see %s: "
                                    "its section needs an AuthType, and a Require that says "
                                    "who may, such as \"Require scim-role super-admin\"",
                      what, r->uri);
    }
}

static const scim_error *unprotected(request_rec *r, const char *what)
{
    log_unprotected(r, what);
    return scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                           "This page is not set up to know who may see it; the server's error "
                           "log says what is missing");
}

/* Whom an endpoint has let in may have been redirected here within httpd. */
static bool came_by_token(const request_rec *r)
{
    for (; r; r = r->prev ? r->prev : r->main) {
        const scim_state *state = mod_scim_state(r);

        if (state && state->identity) {
            return true;
        }
    }
    return false;
}

/* Whether those whom nobody knows would be let in, too: then it was not Require that said
 * who may.  (ap_some_authn_required would have mod_ssl name somebody again.) */
static bool lets_anybody_in(request_rec *r)
{
    char *user = r->user, *type = r->ap_auth_type;
    int rc;

    r->user = NULL;
    r->ap_auth_type = NULL;
    rc = ap_run_access_checker_ex(r);
    r->user = user;
    r->ap_auth_type = type;
    return rc == OK;
}

static const scim_error *check_user(request_rec *r)
{
    if (came_by_token(r)) {
        return scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                               "A Secret Token does not open this page: it is for people who "
                               "are logged in");
    }
    if (!r->user || !*r->user) {
        return unprotected(r, "nobody was asked to log in");
    }
    return lets_anybody_in(r) ? unprotected(r, "Require lets in whoever asks") : NULL;
}

static const scim_error *check_transport(request_rec *r)
{
    scim_dir_config conf = mod_scim_endpoint(r);

    return mod_scim_transport_allowed(r, &conf)
               ? NULL
               : scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                                 "This page is shown over HTTPS only: use an https:// address "
                                 "(behind a proxy that ends TLS, the server's administrator "
                                 "sets SCIMRequireTLS)");
}

static const scim_error *check_method(request_rec *r)
{
    if (r->method_number == M_GET || r->method_number == M_POST) {
        return NULL;
    }
    apr_table_setn(r->headers_out, "Allow", "GET, HEAD, POST");
    return scim_error_make(r->pool, SCIM_E_METHOD_NOT_ALLOWED,
                           "This page takes GET, HEAD and POST");
}

/* Before the handler is */

/* httpd takes what SetHandler says for an expression, and reads it when all this is over. */
bool mod_scim_is_connections(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *err = NULL, *name;

    if (!core->expr_handler || !mod_scim_server(r->server)->store_url) {
        return false;
    }
    name = ap_expr_str_exec(r, core->expr_handler, &err);
    return !err && !strcmp(name, SCIM_CONNECTIONS_HANDLER);
}

static int refuse_now(request_rec *r, const scim_error *err)
{
    if (r->main) {
        return err->status;
    }
    if (ap_request_has_body(r)) {
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    ap_run_insert_error_filter(r);
    mod_scim_show_problem(r, err, false);
    return DONE;
}

int mod_scim_connections_transport(request_rec *r)
{
    const scim_error *err = check_transport(r);

    return err ? refuse_now(r, err) : DECLINED;
}

int mod_scim_connections_nobody(request_rec *r)
{
    return refuse_now(r, unprotected(r, "nobody can log in"));
}

/* What there is */

static int by_connection(const void *a, const void *b)
{
    const scim_identity *one = a, *other = b;
    int order = strcmp(one->connection, other->connection);

    return order ? order : (one->created > other->created) - (one->created < other->created);
}

typedef struct reading {
    scim_connections *c;
    const char *tenant;
} reading;

static const scim_error *read_all(scim_view *view, void *baton)
{
    reading *all = baton;
    scim_connections *c = all->c;

    SCIM_ERR(scim_tenant_find(&c->tenant, view, all->tenant));
    SCIM_ERR(scim_token_list(&c->tokens, view, all->tenant));
    qsort(c->tokens->elts, (size_t)c->tokens->nelts, sizeof(scim_identity), by_connection);
    return scim_endpoints_urls(&c->urls, view, all->tenant);
}

static const scim_error *no_tenant(request_rec *r, const char *name)
{
    if (mod_scim_seldom(apr_pstrcat(r->pool, "SCIM1802 ", name, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCIMLOG(1802) "SetHandler scim-connections: there is no tenant \"%s\", "
                                    "which SCIMTenant names for %s: \"scimctl tenant create\" "
                                    "makes one",
                      name, r->uri);
    }
    return scim_error_make(r->pool, SCIM_E_NOT_FOUND,
                           "There is no organisation of this name in the directory; the "
                           "server's error log says more");
}

static const scim_error *not_pinned(request_rec *r)
{
    if (mod_scim_seldom("SCIM1803")) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCIMLOG(1803) "SetHandler scim-connections: no SCIMTenant says whose "
                                    "connections are shown at %s: add one to its section",
                      r->uri);
    }
    return scim_error_make(r->pool, SCIM_E_INTERNAL,
                           "This page is not set up: it does not know whose connections to "
                           "show; the server's error log says what is missing");
}

/* One that cannot be opened was told of when that was tried. */
static const scim_error *no_store(request_rec *r)
{
    if (!mod_scim_server(r->server)->store_url && mod_scim_seldom("SCIM1806")) {
        ap_log_rerror(
            APLOG_MARK, APLOG_ERR, 0, r,
            SCIMLOG(1806) "SetHandler scim-connections: there is no SCIMStore for %s: "
                          "add \"SCIMStore lmdb:/var/lib/apache2/scim\" outside of "
                          "any section",
            r->uri);
    }
    return mod_scim_no_store(r);
}

static const scim_error *find_all(scim_connections *c)
{
    const char *tenant = mod_scim_pinned_tenant(c->r);
    reading all = {c, tenant};
    const scim_error *err;

    c->tokens = apr_array_make(c->r->pool, 1, sizeof(scim_identity));
    c->urls = apr_array_make(c->r->pool, 1, sizeof(const char *));
    if (!tenant) {
        return not_pinned(c->r);
    }
    if (!c->store) {
        return no_store(c->r);
    }
    err = scim_store_view(c->store, read_all, &all, c->r->pool);
    if (err && err->code == SCIM_E_NOT_FOUND) {
        return no_tenant(c->r, tenant);
    }
    if (!err) {
        apr_table_setn(c->r->notes, "scim-tenant", c->tenant.name);
    }
    return err;
}

static const scim_identity *first_of(const scim_connections *c, const char *connection,
                                     const char *hint)
{
    int i;

    for (i = 0; i < c->tokens->nelts; i++) {
        const scim_identity *token = &APR_ARRAY_IDX(c->tokens, i, scim_identity);

        if (!strcmp(token->connection, connection) && (!hint || !strcmp(token->hint, hint))) {
            return token;
        }
    }
    return NULL;
}

static const scim_error *not_there(const scim_connections *c)
{
    return scim_error_make(c->r->pool, SCIM_E_NOT_FOUND,
                           "There is no such token; it may have been revoked meanwhile");
}

/* Problems */

/* A fault that is the administrator's to see, with what to do about it. */
static void log_cause(request_rec *r, const scim_store *store, const scim_error *err)
{
    const char *fault = store ? scim_store_fault((scim_store *)store, r->pool) : NULL;

    if (mod_scim_seldom(apr_pstrcat(r->pool, "SCIM1804 ", err->cause, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, err->rv, r,
                      SCIMLOG(1804) "SetHandler scim-connections: %s%s%s", err->cause,
                      fault ? "; " : "", fault ? fault : "");
    }
}

static int problem(const scim_connections *c, const scim_error *err, bool back)
{
    if (err->cause && !(c->read_only && err->status == HTTP_SERVICE_UNAVAILABLE)) {
        log_cause(c->r, c->store, err);
    }
    return mod_scim_show_problem(c->r, err, back);
}

/* What was typed in */

static const scim_choice *choice_of(const scim_choice *choices, const char *value)
{
    for (; choices->value; choices++) {
        if (!strcmp(choices->value, value)) {
            return choices;
        }
    }
    return NULL;
}

static const char *field(const apr_table_t *fields, const char *name)
{
    const char *value = apr_table_get(fields, name);

    return value ? value : "";
}

static scim_wish wish_of(const apr_table_t *fields)
{
    return (scim_wish){field(fields, "connection"), field(fields, "provider"),
                       field(fields, "scope"), field(fields, "expires"),
                       field(fields, "grace")};
}

/* What no page of ours lets anybody choose. */
static bool is_possible(const scim_wish *wish, bool rotates)
{
    return choice_of(mod_scim_lives, wish->expires) &&
           (!*wish->provider || scim_provider_find(wish->provider)) &&
           choice_of(rotates ? mod_scim_graces : mod_scim_scopes,
                     rotates ? wish->grace : wish->scope);
}

static const scim_error *impossible(const scim_connections *c)
{
    return scim_error_make(c->r->pool, SCIM_E_BAD_REQUEST,
                           "What was sent is none of what can be chosen; nothing was done");
}

static const scim_error *too_many(const scim_connections *c)
{
    return c->tokens->nelts < TOKENS_MAX
               ? NULL
               : scim_error_make(c->r->pool, SCIM_E_UNIQUENESS,
                                 "There are %d tokens already: revoke those that nobody needs",
                                 c->tokens->nelts);
}

static const scim_error *check_new(const scim_connections *c, const scim_wish *wish)
{
    if (!scim_tenant_name_valid(wish->connection)) {
        return scim_error_make(c->r->pool, SCIM_E_BAD_REQUEST,
                               "A connection's name is 1 to %d letters, digits, dots, "
                               "underscores and hyphens, without spaces",
                               SCIM_TENANT_NAME_MAX);
    }
    if (first_of(c, wish->connection, NULL)) {
        return scim_error_make(c->r->pool, SCIM_E_UNIQUENESS,
                               "There is a connection of this name already: choose another "
                               "name, or rotate its token");
    }
    return too_many(c);
}

/* Acts */

static const char *note_act(const scim_connections *c, const char *op, const char *connection)
{
    apr_table_setn(c->r->notes, "scim-op", op);
    if (scim_tenant_name_valid(connection)) {
        apr_table_set(c->r->notes, "scim-connection", connection);
    }
    return connection;
}

static const char *hint_of(const char *token)
{
    return token + SCIM_TOKEN_LEN - 4;
}

static int tell_made(const scim_connections *c, const char *op, const scim_wish *wish,
                     const scim_made *made)
{
    mod_scim_audit_act(c->r, op, c->tenant.name, wish->connection, hint_of(made->token));
    return mod_scim_show_made(c, wish, made);
}

static apr_time_t end_of(const scim_choice *choice, apr_time_t now)
{
    return choice->time ? now + choice->time : 0;
}

/* For a token, which is wiped with the request. */
static char *room_for_token(const scim_connections *c)
{
    char *token = apr_palloc(c->r->pool, SCIM_TOKEN_LEN + 1);

    memset(token, '-', SCIM_TOKEN_LEN);
    token[SCIM_TOKEN_LEN] = '\0';
    mod_scim_wipe_later(token, c->r->pool);
    return token;
}

static int create_token(const scim_connections *c, const scim_wish *wish)
{
    scim_made made = {.token = NULL};
    const scim_error *err = check_new(c, wish);
    char *token = room_for_token(c);
    unsigned int scopes;

    if (err) {
        return mod_scim_show_connections(c, wish, err);
    }
    if (!is_possible(wish, false) || !scim_scopes_parse(&scopes, wish->scope)) {
        return problem(c, impossible(c), true);
    }
    made.token = token;
    made.expires = end_of(choice_of(mod_scim_lives, wish->expires), c->now);
    err = scim_token_create(token, c->store, c->tenant.name, wish->connection, scopes, c->now,
                            made.expires, c->r->pool);
    return err ? problem(c, err, true) : tell_made(c, "token.create", wish, &made);
}

static int rotate_token(const scim_connections *c, const scim_wish *wish)
{
    scim_made made = {.token = NULL};
    scim_rotation rotation;
    const scim_error *err = too_many(c);
    char *token = room_for_token(c);
    bool done;

    if (!first_of(c, wish->connection, NULL)) {
        return problem(c, not_there(c), true);
    }
    if (err) {
        return mod_scim_show_rotation(c, wish, err);
    }
    if (!is_possible(wish, true)) {
        return problem(c, impossible(c), true);
    }
    made.token = token;
    made.expires = end_of(choice_of(mod_scim_lives, wish->expires), c->now);
    err = scim_token_rotate(
        &done, token, &rotation, c->store, c->tenant.name, wish->connection, c->now,
        made.expires, end_of(choice_of(mod_scim_graces, wish->grace), c->now), c->r->pool);
    if (err || !done) {
        return problem(c, err ? err : not_there(c), true);
    }
    made.older = rotation.older;
    return tell_made(c, "token.rotate", wish, &made);
}

static int revoke_tokens(const scim_connections *c, const char *connection, const char *hint)
{
    const scim_error *err;
    int revoked;

    err = scim_token_revoke(&revoked, c->store, c->tenant.name, connection, hint, c->r->pool);
    if (err || !revoked) {
        return problem(c, err ? err : not_there(c), true);
    }
    mod_scim_audit_act(c->r, "token.revoke", c->tenant.name, connection, hint);
    return mod_scim_show_revoked(c, connection, hint);
}

static int act(const scim_connections *c)
{
    static const char *const names[] = {"act",     "connection", "provider", "scope",
                                        "expires", "grace",      "hint",     NULL};
    apr_table_t *fields;
    const scim_error *err = mod_scim_form_read(&fields, c->r, c->tenant.name, names);
    const char *what, *hint;
    scim_wish wish;

    if (err) {
        return problem(c, err, true);
    }
    what = field(fields, "act");
    hint = apr_table_get(fields, "hint");
    wish = wish_of(fields);
    if (!strcmp(what, "create")) {
        note_act(c, "token.create", wish.connection);
        return create_token(c, &wish);
    }
    if (!strcmp(what, "rotate")) {
        note_act(c, "token.rotate", wish.connection);
        return rotate_token(c, &wish);
    }
    if (!strcmp(what, "revoke")) {
        note_act(c, "token.revoke", wish.connection);
        return revoke_tokens(c, wish.connection, hint);
    }
    return problem(c, impossible(c), true);
}

/* Looking */

static int look(const scim_connections *c)
{
    static const char *const names[] = {"rotate", "revoke", "revoked", "hint", NULL};
    apr_table_t *fields;
    const scim_error *err = mod_scim_form_query(&fields, c->r, names);
    const char *rotated, *revoked, *gone, *hint;
    scim_wish wish = offered;

    if (err) {
        return problem(c, err, true);
    }
    rotated = apr_table_get(fields, "rotate");
    revoked = apr_table_get(fields, "revoke");
    gone = apr_table_get(fields, "revoked");
    hint = apr_table_get(fields, "hint");
    if (gone) {
        return mod_scim_show_gone(c, gone, hint);
    }
    if (!rotated && !revoked) {
        return mod_scim_show_connections(c, &offered, NULL);
    }
    if (!first_of(c, rotated ? rotated : revoked, rotated ? NULL : hint)) {
        return problem(c, not_there(c), true);
    }
    if (revoked) {
        return mod_scim_show_revocation(c, revoked, hint);
    }
    wish.connection = rotated;
    return mod_scim_show_rotation(c, &wish, NULL);
}

int mod_scim_connections_handler(request_rec *r)
{
    const scim_server_config *server = mod_scim_server(r->server);
    scim_connections c = {.r = r,
                          .store = mod_scim_store(r->server),
                          .now = r->request_time,
                          .read_only = server->read_only == 1};
    const scim_error *err;

    if (!r->handler || strcmp(r->handler, SCIM_CONNECTIONS_HANDLER)) {
        return DECLINED;
    }
    apr_table_setn(r->notes, "scim-op", r->method_number == M_POST ? "token" : "token.list");
    err = check_transport(r);
    if (!err) {
        err = check_user(r);
    }
    if (err) {
        return mod_scim_show_problem(r, err, false);
    }
    err = check_method(r);
    if (!err) {
        err = find_all(&c);
    }
    if (err) {
        return problem(&c, err, false);
    }
    return r->method_number == M_POST ? act(&c) : look(&c);
}
