/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on tokens.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>

#include "scim/token.h"

#include "ctl.h"

#define LABEL "Secret Token: "
#define URL_LABEL "Tenant URL: "
#define DEFAULT_SCOPES (SCIM_SCOPE_READ | SCIM_SCOPE_WRITE)
/* Beyond what anyone means; keeps the sum of times within its type. */
#define LONGEST_LIFE (apr_time_from_sec((apr_time_t)100 * 366 * 86400))

/* "365d", "12h", "30min", "90s" or "never" (0).  Returns what is wrong. */
static const char *parse_life(apr_interval_time_t *out, const char *text)
{
    static const struct {
        const char *name;
        apr_int64_t seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    static const char *const no_time =
        "is no time: write never, or a number and d, h, min or s";
    apr_int64_t number;
    char *end;
    size_t i;

    *out = 0;
    if (!strcmp(text, "never")) {
        return NULL;
    }
    /* A number beyond its type becomes the largest of it: too long as well. */
    number = apr_strtoi64(text, &end, 10);
    if (!apr_isdigit(*text) || number <= 0) {
        return no_time;
    }
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!strcmp(end, units[i].name)) {
            if (number > apr_time_sec(LONGEST_LIFE) / units[i].seconds) {
                return "is too long: write never, or at most 36600d";
            }
            *out = apr_time_from_sec(number * units[i].seconds);
            return NULL;
        }
    }
    return no_time;
}

static bool write_all(const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

typedef struct request {
    const char *tenant;
    const char *connection;
    unsigned int scopes;
    apr_time_t created;
    apr_time_t expires;
    apr_array_header_t *urls; /* of const char *: where the token is used */
} request;

/* The JSON text in pool, which is to be wiped; *len its length. */
static char *json_text(size_t *len, const char *token, const request *asked, apr_pool_t *pool)
{
    json_t *secret = scim_json_text(token), *urls = scim_json_array(), *json;
    char *out;
    int i;

    for (i = 0; i < asked->urls->nelts; i++) {
        scim_json_append(urls, scim_json_text(APR_ARRAY_IDX(asked->urls, i, const char *)));
    }
    json = scim_json_pack("{s:O, s:O?, s:o, s:s, s:s, s:s, s:o, s:o, s:s}", "token", secret,
                          "tenantUrl", json_array_get(urls, 0), "tenantUrls", urls, "tenant",
                          asked->tenant, "connection", asked->connection, "scope",
                          scim_scopes_text(asked->scopes), "created",
                          ctl_json_time(asked->created), "expires",
                          ctl_json_time(asked->expires), "hint", token + SCIM_TOKEN_LEN - 4);
    *len = scim_json_dumpb(json, NULL, 0, JSON_INDENT(2)) + 1;
    out = apr_palloc(pool, *len);
    scim_json_dumpb(json, out, *len, JSON_INDENT(2));
    out[*len - 1] = '\n';
    OPENSSL_cleanse((char *)json_string_value(secret), json_string_length(secret));
    json_decref(secret);
    json_decref(json);
    return out;
}

static char *plain_text(size_t *len, const char *token, const request *asked, apr_pool_t *pool)
{
    const char *lines = "";
    char *out;
    int i;

    for (i = 0; i < asked->urls->nelts; i++) {
        lines = apr_pstrcat(pool, lines, URL_LABEL, APR_ARRAY_IDX(asked->urls, i, const char *),
                            "\n", NULL);
    }
    out = apr_pstrcat(pool, lines, LABEL, token, "\n", NULL);
    *len = strlen(out);
    return out;
}

/* Past stdio, whose buffer would keep a copy. */
static bool show_token(const ctl *c, const char *token, const request *asked)
{
    size_t len;
    char *text = c->json ? json_text(&len, token, asked, c->pool)
                         : plain_text(&len, token, asked, c->pool);
    bool shown = write_all(text, len);

    OPENSSL_cleanse(text, len);
    return shown;
}

/* What "create" and "rotate" have in common. */
static ctl_exit read_request(request *out, ctl *c)
{
    const char *expires = c->options[CTL_EXPIRES], *provider = c->options[CTL_FOR];
    apr_interval_time_t life = SCIM_TOKEN_LIFETIME;
    const char *wrong = expires ? parse_life(&life, expires) : NULL;

    out->tenant = c->options[CTL_TENANT];
    out->connection = c->options[CTL_CONNECTION];
    if (!out->tenant || !out->connection) {
        ctl_complain("token %s needs --tenant and --connection", c->command->sub);
        return CTL_USAGE;
    }
    if (wrong) {
        ctl_complain("--expires %s %s", expires, wrong);
        return CTL_USAGE;
    }
    if (provider && !ctl_knows_provider(provider)) {
        ctl_complain("--for %s: write entra, jumpcloud or okta", provider);
        return CTL_USAGE;
    }
    out->created = apr_time_now();
    out->expires = life ? out->created + life : 0;
    out->urls = ctl_tenant_urls(c, out->tenant);
    return CTL_OK;
}

/* On stderr, so that stdout is the URL and the token alone. */
static void tell_created(const ctl *c, const request *asked)
{
    fprintf(stderr,
            "This is the only time that the token is shown: the store keeps its hash.\n");
    if (asked->expires) {
        fprintf(stderr, "It expires %s%s.\n", ctl_show_time(asked->expires, c->pool),
                c->options[CTL_EXPIRES] ? "" : " (--expires never: not at all)");
    } else {
        fprintf(stderr, "It does not expire.\n");
    }
    ctl_tell_steps(c->options[CTL_FOR], asked->urls);
}

/* A token that nobody has seen serves nobody: it goes again. */
static ctl_exit tell_taken_back(const scim_error *err, int system_error)
{
    ctl_complain("cannot write the token to stdout: %s; it %s", strerror(system_error),
                 err ? "could not be taken back: revoke it by its hint (scimctl token list)"
                     : "was taken back");
    return CTL_FAILED;
}

static ctl_exit take_back(ctl *c, const char *token)
{
    int err = errno, revoked;

    return tell_taken_back(scim_token_revoke_token(&revoked, c->store, token, c->pool), err);
}

static const char *hint_of(const char *token)
{
    return token + SCIM_TOKEN_LEN - 4;
}

ctl_exit ctl_token_create(ctl *c)
{
    const char *scope = c->options[CTL_SCOPE];
    char token[SCIM_TOKEN_LEN + 1];
    const scim_error *err;
    request asked;
    ctl_exit code = read_request(&asked, c);

    if (code != CTL_OK) {
        return code;
    }
    asked.scopes = DEFAULT_SCOPES;
    if (scope && !scim_scopes_parse(&asked.scopes, scope)) {
        ctl_complain("--scope %s: write read, write or read,write", scope);
        return CTL_USAGE;
    }
    err = scim_token_create(token, c->store, asked.tenant, asked.connection, asked.scopes,
                            asked.created, asked.expires, c->pool);
    if (err) {
        code = ctl_failed(err);
    } else if (!show_token(c, token, &asked)) {
        code = take_back(c, token);
    } else {
        ctl_audit(c, "token.create", asked.tenant, asked.connection, hint_of(token));
        tell_created(c, &asked);
    }
    OPENSSL_cleanse(token, sizeof(token));
    return code;
}

/* Rotating */

/* When the older tokens are to end; 0: as they would have. */
static ctl_exit read_grace(apr_time_t *until, const ctl *c, apr_time_t now)
{
    const char *grace = c->options[CTL_GRACE];
    apr_interval_time_t life = 0;
    const char *wrong = grace ? parse_life(&life, grace) : NULL;

    if (wrong) {
        ctl_complain("--grace %s %s", grace, wrong);
        return CTL_USAGE;
    }
    *until = life ? now + life : 0;
    return CTL_OK;
}

static void tell_older(const ctl *c, const request *asked, const scim_rotation *rotation)
{
    int i;

    for (i = 0; i < rotation->older->nelts; i++) {
        const scim_identity *older =
            &APR_ARRAY_IDX(rotation->older, i, scim_older_token).identity;

        fprintf(stderr, "The older token that ends in %s is good ", older->hint);
        if (older->expires) {
            fprintf(stderr, "until %s, or until\n", ctl_show_time(older->expires, c->pool));
        } else {
            fprintf(stderr, "until\n");
        }
        fprintf(stderr, "    scimctl token revoke --tenant %s --connection %s --hint %s\n",
                asked->tenant, asked->connection, older->hint);
    }
}

static ctl_exit no_token(const request *asked)
{
    ctl_complain(
        "connection %s of tenant %s has no token yet: scimctl token create --tenant %s "
        "--connection %s",
        asked->connection, asked->tenant, asked->tenant, asked->connection);
    return CTL_NOT_FOUND;
}

ctl_exit ctl_token_rotate(ctl *c)
{
    char token[SCIM_TOKEN_LEN + 1];
    scim_rotation rotation;
    const scim_error *err;
    apr_time_t until;
    request asked;
    bool made;
    ctl_exit code = read_request(&asked, c);

    if (code == CTL_OK) {
        code = read_grace(&until, c, asked.created);
    }
    if (code != CTL_OK) {
        return code;
    }
    err = scim_token_rotate(&made, token, &rotation, c->store, asked.tenant, asked.connection,
                            asked.created, asked.expires, until, c->pool);
    if (err || !made) {
        return err ? ctl_failed(err) : no_token(&asked);
    }
    asked.scopes = rotation.scopes;
    if (show_token(c, token, &asked)) {
        ctl_audit(c, "token.rotate", asked.tenant, asked.connection, hint_of(token));
        tell_created(c, &asked);
        tell_older(c, &asked, &rotation);
    } else {
        int failed = errno;

        code =
            tell_taken_back(scim_token_unrotate(c->store, token, &rotation, c->pool), failed);
    }
    OPENSSL_cleanse(token, sizeof(token));
    return code;
}

/* Listing */

typedef struct listing {
    const char *tenant;
    apr_array_header_t *tokens; /* of scim_identity */
} listing;

static int by_connection(const void *a, const void *b)
{
    const scim_identity *one = a, *other = b;
    int order = strcmp(one->connection, other->connection);

    return order ? order : (one->created > other->created) - (one->created < other->created);
}

/* The store has them in the order of their hashes. */
static const scim_error *list(scim_view *view, void *baton)
{
    listing *all = baton;

    SCIM_ERR(scim_token_list(&all->tokens, view, all->tenant));
    qsort(all->tokens->elts, (size_t)all->tokens->nelts, sizeof(scim_identity), by_connection);
    return NULL;
}

static const char *state_of(const scim_identity *token, apr_time_t now)
{
    return token->expires && token->expires <= now ? "expired" : "valid";
}

static void print_tokens(const ctl *c, const listing *all, apr_time_t now)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 16, sizeof(const char *));
    int i;

    if (!all->tokens->nelts) {
        printf("Tenant %s has no token yet: "
               "scimctl token create --tenant %s --connection NAME\n",
               all->tenant, all->tenant);
        return;
    }
    ctl_add_row(cells, 6, "CONNECTION", "HINT", "SCOPE", "STATE", "CREATED", "EXPIRES");
    for (i = 0; i < all->tokens->nelts; i++) {
        const scim_identity *token = &APR_ARRAY_IDX(all->tokens, i, scim_identity);

        ctl_add_row(cells, 6, token->connection, token->hint, scim_scopes_text(token->scopes),
                    state_of(token, now), ctl_show_time(token->created, c->pool),
                    ctl_show_time(token->expires, c->pool));
    }
    ctl_print_table(cells, 6);
}

static json_t *json_of(const scim_identity *token, apr_time_t now)
{
    return scim_json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o}", "connection", token->connection, "hint", token->hint,
        "scope", scim_scopes_text(token->scopes), "state", state_of(token, now), "created",
        ctl_json_time(token->created), "expires", ctl_json_time(token->expires));
}

ctl_exit ctl_token_list(ctl *c)
{
    listing all = {c->options[CTL_TENANT], NULL};
    apr_time_t now = apr_time_now();
    const scim_error *err;
    json_t *out;
    int i;

    if (!all.tenant) {
        ctl_complain("token list needs --tenant; scimctl tenant list shows the tenants");
        return CTL_USAGE;
    }
    err = scim_store_view(c->store, list, &all, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (!c->json) {
        print_tokens(c, &all, now);
        return CTL_OK;
    }
    out = scim_json_array();
    for (i = 0; i < all.tokens->nelts; i++) {
        scim_json_append(out, json_of(&APR_ARRAY_IDX(all.tokens, i, scim_identity), now));
    }
    ctl_print_json(out);
    return CTL_OK;
}

/* Tokens from stdin */

/* All of stdin, as far as it fits; the number of bytes, or -1. */
static ssize_t read_stdin(char *out, size_t room)
{
    size_t len = 0;

    while (len < room) {
        ssize_t n = read(STDIN_FILENO, out + len, room - len);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            return n < 0 ? -1 : (ssize_t)len;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

/* The lines as "token create" prints them will do, so that one can be piped into
 * the other. */
bool ctl_read_token(char *out, size_t room)
{
    ssize_t len;
    char *start;

    if (isatty(STDIN_FILENO)) {
        apr_size_t typed = room;

        return apr_password_get("Secret Token: ", out, &typed) == APR_SUCCESS;
    }
    len = read_stdin(out, room - 1);
    if (len < 0) {
        return false;
    }
    while (len && apr_isspace(out[len - 1])) {
        len--;
    }
    out[len] = '\0';
    start = strstr(out, LABEL);
    if (start) {
        start += strlen(LABEL);
        memmove(out, start, strlen(start) + 1);
    }
    return true;
}

static ctl_exit with_token(ctl *c, ctl_exit (*use)(ctl *c, const char *token))
{
    char token[4096];
    ctl_exit code;

    if (ctl_read_token(token, sizeof(token))) {
        code = use(c, token);
    } else {
        ctl_complain("cannot read a token from stdin: %s", strerror(errno));
        code = CTL_FAILED;
    }
    OPENSSL_cleanse(token, sizeof(token));
    return code;
}

/* Checking */

static ctl_exit malformed(const ctl *c)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:b, s:b}", "wellFormed", false, "accepted", false));
    }
    ctl_complain("this is no token of mod_scim: it is mistyped, cut short or of another kind "
                 "(mscim_ and 49 letters and digits)");
    return CTL_REFUSED;
}

static ctl_exit check_form(ctl *c, const char *token)
{
    if (!scim_token_well_formed(token)) {
        return malformed(c);
    }
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:b}", "wellFormed", true));
    } else {
        printf("The token has the right form and checksum.  Whether a store knows it was not "
               "asked.\n");
    }
    return CTL_OK;
}

typedef struct checking {
    const char *token;
    apr_time_t now;
    scim_token_state state;
    scim_identity identity;
} checking;

static const scim_error *find_token(scim_view *view, void *baton)
{
    checking *k = baton;

    return scim_token_find(&k->state, &k->identity, view, k->token, k->now);
}

static ctl_exit unknown(const ctl *c)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:b, s:s, s:b}", "wellFormed", true, "state", "unknown",
                                      "accepted", false));
    }
    ctl_complain("the store does not know this token: it was revoked, or is another store's");
    return CTL_NOT_FOUND;
}

static void print_checked(const ctl *c, const checking *k)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 12, sizeof(const char *));
    const scim_identity *token = &k->identity;

    ctl_add_row(cells, 2, "State:", state_of(token, k->now));
    ctl_add_row(cells, 2, "Tenant:",
                apr_pstrcat(c->pool, token->tenant.name,
                            token->tenant.suspended ? " (suspended)" : "", NULL));
    ctl_add_row(cells, 2, "Connection:", token->connection);
    ctl_add_row(cells, 2, "Scope:", scim_scopes_text(token->scopes));
    ctl_add_row(cells, 2, "Created:", ctl_show_time(token->created, c->pool));
    ctl_add_row(cells, 2, "Expires:", ctl_show_time(token->expires, c->pool));
    ctl_print_table(cells, 2);
}

static ctl_exit tell_checked(const ctl *c, const checking *k)
{
    const scim_tenant *tenant = &k->identity.tenant;
    bool expired = k->state == SCIM_TOKEN_EXPIRED;
    bool accepted = !expired && !tenant->suspended;
    json_t *json, *token;

    if (c->json) {
        json = scim_json_pack("{s:b, s:b, s:s, s:s}", "wellFormed", true, "accepted", accepted,
                              "tenant", tenant->name, "tenantState",
                              tenant->suspended ? "suspended" : "active");
        token = json_of(&k->identity, k->now);
        scim_json_update(json, token);
        json_decref(token);
        ctl_print_json(json);
    } else {
        print_checked(c, k);
    }
    if (expired) {
        ctl_complain("the token has expired: scimctl token rotate --tenant %s --connection %s "
                     "makes another",
                     tenant->name, k->identity.connection);
    } else if (!accepted) {
        ctl_complain("the token is answered 403 while its tenant is suspended: scimctl tenant "
                     "resume %s",
                     tenant->name);
    }
    return accepted ? CTL_OK : CTL_REFUSED;
}

static ctl_exit check(ctl *c, const char *token)
{
    checking k = {.token = token, .now = apr_time_now()};
    const scim_error *err;

    if (!scim_token_well_formed(token)) {
        return malformed(c);
    }
    err = scim_store_view(c->store, find_token, &k, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    return k.state == SCIM_TOKEN_UNKNOWN ? unknown(c) : tell_checked(c, &k);
}

ctl_exit ctl_token_check(ctl *c)
{
    return with_token(c, c->options[CTL_FORM] ? check_form : check);
}

/* Revoking */

static ctl_exit tell_revoked(const ctl *c, int revoked)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:i}", "revoked", revoked));
    } else if (revoked) {
        printf("%d token%s revoked; no process accepts %s any more.\n", revoked,
               revoked == 1 ? " is" : "s are", revoked == 1 ? "it" : "them");
    }
    return revoked ? CTL_OK : CTL_NOT_FOUND;
}

static ctl_exit revoke_shown(ctl *c, const char *token)
{
    int revoked;
    const scim_error *err = scim_token_revoke_token(&revoked, c->store, token, c->pool);

    if (err) {
        return ctl_failed(err);
    }
    if (revoked) {
        ctl_audit(c, "token.revoke", NULL, NULL, hint_of(token));
    } else {
        ctl_complain("the store does not know this token; it may have been revoked before");
    }
    return tell_revoked(c, revoked);
}

static ctl_exit revoke_named(ctl *c)
{
    const char *tenant = c->options[CTL_TENANT], *connection = c->options[CTL_CONNECTION];
    const char *hint = c->options[CTL_HINT];
    const scim_error *err;
    int revoked;

    if (!tenant || !connection) {
        ctl_complain("token revoke needs --tenant and --connection, or -i and the token on "
                     "stdin");
        return CTL_USAGE;
    }
    err = scim_token_revoke(&revoked, c->store, tenant, connection, hint, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (revoked) {
        ctl_audit(c, "token.revoke", tenant, connection, hint);
    } else {
        ctl_complain("connection %s of tenant %s has no token%s%s; scimctl token list "
                     "--tenant %s shows what there is",
                     connection, tenant, hint ? " that ends in " : "", hint ? hint : "",
                     tenant);
    }
    return tell_revoked(c, revoked);
}

ctl_exit ctl_token_revoke(ctl *c)
{
    if (!c->options[CTL_STDIN]) {
        return revoke_named(c);
    }
    if (c->options[CTL_TENANT] || c->options[CTL_CONNECTION] || c->options[CTL_HINT]) {
        ctl_complain("token revoke takes either -i or --tenant and --connection");
        return CTL_USAGE;
    }
    return with_token(c, revoke_shown);
}
