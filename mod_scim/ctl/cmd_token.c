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
#define DEFAULT_SCOPES (SCIM_SCOPE_READ | SCIM_SCOPE_WRITE)
/* Beyond what anyone means; keeps the sum of times within its type. */
#define LONGEST_LIFE (apr_time_from_sec((apr_time_t)100 * 366 * 86400))

static const char *show_scopes(unsigned int scopes)
{
    switch (scopes) {
    case SCIM_SCOPE_READ:
        return "read";
    case SCIM_SCOPE_WRITE:
        return "write";
    default:
        return "read,write";
    }
}

/* "read", "write", or both with a comma in either order. */
static bool parse_scopes(unsigned int *out, const char *text)
{
    *out = 0;
    for (;;) {
        size_t len = strcspn(text, ",");

        if (len == 4 && !strncmp(text, "read", len)) {
            *out |= SCIM_SCOPE_READ;
        } else if (len == 5 && !strncmp(text, "write", len)) {
            *out |= SCIM_SCOPE_WRITE;
        } else {
            return false;
        }
        if (!text[len]) {
            return true;
        }
        text += len + 1;
    }
}

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
} request;

/* The JSON text in out; its length, or 0 where it does not fit. */
static size_t json_text(char *out, size_t room, const char *token, const request *asked)
{
    json_t *secret = json_string(token);
    json_t *json =
        json_pack("{s:O, s:s, s:s, s:s, s:o, s:o, s:s}", "token", secret, "tenant",
                  asked->tenant, "connection", asked->connection, "scope",
                  show_scopes(asked->scopes), "created", ctl_json_time(asked->created),
                  "expires", ctl_json_time(asked->expires), "hint", token + SCIM_TOKEN_LEN - 4);
    size_t len = json_dumpb(json, out, room - 1, JSON_INDENT(2));

    OPENSSL_cleanse((char *)json_string_value(secret), json_string_length(secret));
    json_decref(secret);
    json_decref(json);
    if (len == 0 || len >= room - 1) {
        return 0;
    }
    out[len] = '\n';
    return len + 1;
}

/* Past stdio, whose buffer would keep a copy. */
static bool show_token(const ctl *c, const char *token, const request *asked)
{
    char text[1024];
    size_t len;
    bool shown;

    if (c->json) {
        len = json_text(text, sizeof(text), token, asked);
    } else {
        len = (size_t)apr_snprintf(text, sizeof(text), LABEL "%s\n", token);
    }
    shown = len && write_all(text, len);
    OPENSSL_cleanse(text, sizeof(text));
    return shown;
}

static ctl_exit read_request(request *out, const ctl *c)
{
    const char *scope = c->options[CTL_SCOPE], *expires = c->options[CTL_EXPIRES];
    apr_interval_time_t life = SCIM_TOKEN_LIFETIME;
    const char *wrong = expires ? parse_life(&life, expires) : NULL;

    out->tenant = c->options[CTL_TENANT];
    out->connection = c->options[CTL_CONNECTION];
    out->scopes = DEFAULT_SCOPES;
    if (!out->tenant || !out->connection) {
        ctl_complain("token create needs --tenant and --connection");
        return CTL_USAGE;
    }
    if (scope && !parse_scopes(&out->scopes, scope)) {
        ctl_complain("--scope %s: write read, write or read,write", scope);
        return CTL_USAGE;
    }
    if (wrong) {
        ctl_complain("--expires %s %s", expires, wrong);
        return CTL_USAGE;
    }
    out->created = apr_time_now();
    out->expires = life ? out->created + life : 0;
    return CTL_OK;
}

/* On stderr, so that stdout is the token alone. */
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
}

/* A token that nobody has seen serves nobody: it goes again. */
static ctl_exit take_back(ctl *c, const char *token)
{
    int err = errno, revoked;

    if (scim_token_revoke_token(&revoked, c->store, token, c->pool)) {
        ctl_complain("cannot write the token to stdout: %s; it could not be taken back: "
                     "revoke it by its connection",
                     strerror(err));
    } else {
        ctl_complain("cannot write the token to stdout: %s; it was taken back", strerror(err));
    }
    return CTL_FAILED;
}

ctl_exit ctl_token_create(ctl *c)
{
    char token[SCIM_TOKEN_LEN + 1];
    const scim_error *err;
    request asked;
    ctl_exit code = read_request(&asked, c);

    if (code != CTL_OK) {
        return code;
    }
    err = scim_token_create(token, c->store, asked.tenant, asked.connection, asked.scopes,
                            asked.created, asked.expires, c->pool);
    if (err) {
        code = ctl_failed(err);
    } else if (!show_token(c, token, &asked)) {
        code = take_back(c, token);
    } else {
        tell_created(c, &asked);
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

        ctl_add_row(cells, 6, token->connection, token->hint, show_scopes(token->scopes),
                    state_of(token, now), ctl_show_time(token->created, c->pool),
                    ctl_show_time(token->expires, c->pool));
    }
    ctl_print_table(cells, 6);
}

static json_t *json_of(const scim_identity *token, apr_time_t now)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "connection", token->connection, "hint",
                     token->hint, "scope", show_scopes(token->scopes), "state",
                     state_of(token, now), "created", ctl_json_time(token->created), "expires",
                     ctl_json_time(token->expires));
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
    out = json_array();
    for (i = 0; i < all.tokens->nelts; i++) {
        json_array_append_new(out, json_of(&APR_ARRAY_IDX(all.tokens, i, scim_identity), now));
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

/* Reads a token into out (room bytes).  The line as "token create" prints it
 * will do, so that one can be piped into the other. */
static bool read_token(char *out, size_t room)
{
    ssize_t len;
    char *start = out;

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
    if (!strncmp(out, LABEL, strlen(LABEL))) {
        start += strlen(LABEL);
    }
    memmove(out, start, strlen(start) + 1);
    return true;
}

static ctl_exit with_token(ctl *c, ctl_exit (*use)(ctl *c, const char *token))
{
    char token[256];
    ctl_exit code;

    if (read_token(token, sizeof(token))) {
        code = use(c, token);
    } else {
        ctl_complain("cannot read a token from stdin: %s", strerror(errno));
        code = CTL_FAILED;
    }
    OPENSSL_cleanse(token, sizeof(token));
    return code;
}

static ctl_exit check(ctl *c, const char *token)
{
    bool good = scim_token_well_formed(token);

    if (c->json) {
        ctl_print_json(json_pack("{s:b}", "wellFormed", good));
    } else if (good) {
        printf("The token has the right form and checksum. "
               "Whether a store knows it was not asked.\n");
    }
    if (!good) {
        ctl_complain("this is no token of mod_scim: it is mistyped, cut short or of another "
                     "kind (mscim_ and 49 letters and digits)");
    }
    return good ? CTL_OK : CTL_REFUSED;
}

ctl_exit ctl_token_check(ctl *c)
{
    return with_token(c, check);
}

/* Revoking */

static ctl_exit tell_revoked(const ctl *c, int revoked)
{
    if (c->json) {
        ctl_print_json(json_pack("{s:i}", "revoked", revoked));
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
    if (!revoked) {
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
    if (!revoked) {
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
