/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of an organisation's connections: what it looks like.  It works without
 * a script, by the keyboard alone, and on a phone; nothing is said by a colour only.
 */
#include "connections.h"

#include <string.h>

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>

#include "scim/provider.h"
#include "scim/time.h"

#define SOON apr_time_from_sec(30 * 86400)

/* Parts */

static mod_scim_page *begin(request_rec *r, const char *title)
{
    mod_scim_page *page = mod_scim_page_begin(r, title, 0);

    /* With "no-referrer" a browser hides from us, too, where a form comes from. */
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    return page;
}

static void put_back(mod_scim_page *page)
{
    mod_scim_page_put(page, "<p><a href=\"?\">Back to the connections</a></p>\n");
}

static void put_time(mod_scim_page *page, apr_time_t when)
{
    char text[SCIM_TIME_LEN + 1];

    scim_time_format(when, text);
    mod_scim_page_putf(page, "<time datetime=\"%.16sZ\">%.10s %.5s</time>", text, text,
                       text + 11);
}

static void put_end(mod_scim_page *page, apr_time_t when)
{
    if (when) {
        put_time(page, when);
    } else {
        mod_scim_page_put(page, "never");
    }
}

static void put_wrong(mod_scim_page *page, const scim_error *wrong)
{
    if (wrong) {
        mod_scim_page_put(page, "<div class=\"box\" role=\"alert\"><strong class=\"bad\">Not "
                                "done:</strong> ");
        mod_scim_page_text(page, wrong->detail);
        mod_scim_page_put(page, ".</div>\n");
    }
}

static void put_notices(mod_scim_page *page, const scim_connections *c)
{
    if (c->tenant.suspended) {
        mod_scim_page_put(
            page, "<div class=\"box\"><strong class=\"warn\">Suspended.</strong> Provisioning "
                  "is turned off for this organisation: its identity providers are refused, "
                  "whatever their token, until the service's administrator turns it on again. "
                  "Nothing is lost, and its users come in as before.</div>\n");
    }
    if (c->read_only) {
        mod_scim_page_put(page,
                          "<div class=\"box\"><strong class=\"warn\">Read-only.</strong> The "
                          "directory takes no changes at the moment; tokens can be seen, and "
                          "not made, rotated or revoked.</div>\n");
    }
}

static void put_urls(mod_scim_page *page, const apr_array_header_t *urls)
{
    int i;

    mod_scim_page_put(page, "<dt>Tenant URL</dt>");
    for (i = 0; i < urls->nelts; i++) {
        mod_scim_page_put(page, "<dd><code class=\"whole\">");
        mod_scim_page_text(page, APR_ARRAY_IDX(urls, i, const char *));
        mod_scim_page_put(page, "</code></dd>");
    }
    if (!urls->nelts) {
        mod_scim_page_put(page, "<dd>not known; the service's administrator can tell it</dd>");
    }
    mod_scim_page_put(page, "\n");
}

static void put_urls_note(mod_scim_page *page, const apr_array_header_t *urls)
{
    if (urls->nelts > 1) {
        mod_scim_page_put(page, "<p>Any of the Tenant URLs will do; take the one that the "
                                "identity provider reaches.</p>\n");
    }
}

/* Forms */

static void put_select(mod_scim_page *page, const char *name, const char *label,
                       const scim_choice *choices, const char *chosen)
{
    mod_scim_page_putf(page, "<label>%s<br>\n<select name=\"%s\">\n", label, name);
    for (; choices->value; choices++) {
        mod_scim_page_putf(page, "<option value=\"%s\"%s>%s</option>\n", choices->value,
                           strcmp(choices->value, chosen) ? "" : " selected", choices->label);
    }
    mod_scim_page_put(page, "</select></label>\n");
}

static void put_providers(mod_scim_page *page, const char *chosen)
{
    const scim_provider *provider;

    mod_scim_page_put(page, "<label>Identity provider<br>\n<select name=\"provider\" "
                            "aria-describedby=\"about-provider\">\n");
    for (provider = scim_providers; provider->name; provider++) {
        mod_scim_page_putf(page, "<option value=\"%s\"%s>%s</option>\n", provider->name,
                           strcmp(provider->name, chosen) ? "" : " selected", provider->title);
    }
    mod_scim_page_putf(page, "<option value=\"\"%s>another</option>\n</select></label>\n",
                       *chosen ? "" : " selected");
    mod_scim_page_put(page, "<p class=\"quiet\" id=\"about-provider\">The next page says where "
                            "it wants the token typed in.</p>\n");
}

static void put_hidden(mod_scim_page *page, const char *name, const char *value)
{
    mod_scim_page_putf(page, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    mod_scim_page_text(page, value);
    mod_scim_page_put(page, "\">\n");
}

static void put_button(mod_scim_page *page, const scim_connections *c, const char *text)
{
    mod_scim_page_putf(page, "<p><button%s>%s</button></p>\n</form>\n",
                       c->read_only ? " disabled" : "", text);
}

static void put_creation(mod_scim_page *page, const scim_connections *c, const scim_wish *wish,
                         bool wrong)
{
    mod_scim_page_put(page, "<h2 id=\"new\">A new connection</h2>\n");
    mod_scim_form_begin(page, c->r, c->tenant.name);
    put_hidden(page, "act", "create");
    mod_scim_page_putf(
        page,
        "<label>Name<br>\n<input name=\"connection\" required maxlength=\"%d\" "
        "pattern=\"[A-Za-z0-9._\\-]+\" autocomplete=\"off\" autocapitalize=\"none\" "
        "spellcheck=\"false\" aria-describedby=\"about-name\"%s value=\"",
        SCIM_TENANT_NAME_MAX, wrong ? " aria-invalid=\"true\" autofocus" : "");
    mod_scim_page_text(page, wish->connection);
    mod_scim_page_put(page,
                      "\"></label>\n<p class=\"quiet\" id=\"about-name\">Letters, digits, "
                      "dots, underscores and hyphens, such as entra; logs show it.</p>\n");
    put_providers(page, wish->provider);
    put_select(page, "scope", "It may", mod_scim_scopes, wish->scope);
    put_select(page, "expires", "Its token expires after", mod_scim_lives, wish->expires);
    put_button(page, c, "Make its token");
}

/* The list */

static void put_state(mod_scim_page *page, const scim_identity *token, apr_time_t now)
{
    apr_time_t left = token->expires - now;

    if (!token->expires || left > SOON) {
        mod_scim_page_put(page, "<span class=\"good\">valid</span>");
    } else if (left <= 0) {
        mod_scim_page_put(page, "<span class=\"bad\">expired</span>");
    } else {
        mod_scim_page_putf(
            page, "<span class=\"warn\">valid, for %d more %s</span>",
            (int)(apr_time_sec(left) / (left < 172800 * APR_USEC_PER_SEC ? 3600 : 86400)),
            left < 172800 * APR_USEC_PER_SEC ? "hours" : "days");
    }
}

/* In a link, which says of what it is also to those who hear it alone. */
static void put_link(mod_scim_page *page, const char *act, const char *word,
                     const scim_identity *token, bool all)
{
    mod_scim_page_putf(page, "<a href=\"?%s=", act);
    mod_scim_page_text(page, token->connection); /* a name needs no other escapes */
    if (!all) {
        mod_scim_page_put(page, "&amp;hint=");
        mod_scim_page_text(page, token->hint);
    }
    mod_scim_page_putf(page, "\" aria-label=\"%s ", word);
    mod_scim_page_text(page, token->connection);
    if (!all) {
        mod_scim_page_put(page, ", the token that ends in ");
        mod_scim_page_text(page, token->hint);
    }
    mod_scim_page_putf(page, "\">%s</a>\n", word);
}

static void put_cell(mod_scim_page *page, const char *label, const char *text)
{
    mod_scim_page_putf(page, "<td data-label=\"%s\">", label);
    mod_scim_page_text(page, text);
    mod_scim_page_put(page, "</td>");
}

static const char *label_of(const scim_choice *choices, const char *value)
{
    for (; choices->value; choices++) {
        if (!strcmp(choices->value, value)) {
            return choices->label;
        }
    }
    return value;
}

static bool same_connection(const scim_connections *c, int one, int other)
{
    return other >= 0 && other < c->tokens->nelts &&
           !strcmp(APR_ARRAY_IDX(c->tokens, one, scim_identity).connection,
                   APR_ARRAY_IDX(c->tokens, other, scim_identity).connection);
}

static void put_token(mod_scim_page *page, const scim_connections *c, int at)
{
    const scim_identity *token = &APR_ARRAY_IDX(c->tokens, at, scim_identity);
    bool first = !same_connection(c, at, at - 1), more = same_connection(c, at, at + 1);

    mod_scim_page_put(page, "<tr><th scope=\"row\">");
    mod_scim_page_text(page, token->connection);
    mod_scim_page_put(page, "</th><td data-label=\"Token ends in\"><code>");
    mod_scim_page_text(page, token->hint);
    mod_scim_page_put(page, "</code></td>");
    put_cell(page, "May", label_of(mod_scim_scopes, scim_scopes_text(token->scopes)));
    mod_scim_page_put(page, "<td data-label=\"Made\">");
    put_time(page, token->created);
    mod_scim_page_put(page, "</td><td data-label=\"Expires\">");
    put_end(page, token->expires);
    mod_scim_page_put(page, "</td><td data-label=\"State\">");
    put_state(page, token, c->now);
    mod_scim_page_put(page, "</td><td class=\"acts\">");
    put_link(page, "revoke", "Revoke", token, false);
    if (first) {
        put_link(page, "rotate", "Rotate", token, true);
    }
    if (first && more) {
        put_link(page, "revoke", "Revoke all", token, true);
    }
    mod_scim_page_put(page, "</td></tr>\n");
}

static void put_tokens(mod_scim_page *page, const scim_connections *c)
{
    int i;

    if (!c->tokens->nelts) {
        mod_scim_page_put(page, "<p>There is no connection yet.</p>\n");
        return;
    }
    mod_scim_page_put(
        page, "<table class=\"wide tokens\">\n<caption>Each connection's tokens.  Times are "
              "UTC.</caption>\n<thead><tr><th scope=\"col\">Connection</th>"
              "<th scope=\"col\">Token ends in</th><th scope=\"col\">May</th>"
              "<th scope=\"col\">Made</th><th scope=\"col\">Expires</th>"
              "<th scope=\"col\">State</th><th scope=\"col\">Change</th></tr></thead>\n"
              "<tbody>\n");
    for (i = 0; i < c->tokens->nelts; i++) {
        put_token(page, c, i);
    }
    mod_scim_page_put(page, "</tbody>\n</table>\n");
}

static void put_list(mod_scim_page *page, const scim_connections *c)
{
    put_notices(page, c);
    mod_scim_page_put(page, "<p class=\"quiet\">You are logged in as ");
    mod_scim_page_text(page, c->r->user);
    mod_scim_page_put(page, ".</p>\n<dl>\n");
    put_urls(page, c->urls);
    mod_scim_page_put(page, "</dl>\n<h2>Tokens</h2>\n");
    put_tokens(page, c);
}

static mod_scim_page *begin_list(const scim_connections *c)
{
    return begin(c->r, apr_pstrcat(c->r->pool, "Connections of ", c->tenant.name, NULL));
}

static void set_status(request_rec *r, int status)
{
    r->status = status;
    r->status_line = NULL;
}

int mod_scim_show_connections(const scim_connections *c, const scim_wish *wish,
                              const scim_error *wrong)
{
    mod_scim_page *page = begin_list(c);

    if (wrong) {
        set_status(c->r, wrong->status);
        apr_table_set(c->r->notes, "scim-detail", wrong->detail);
        put_wrong(page, wrong);
    }
    put_list(page, c);
    put_creation(page, c, wish, wrong != NULL);
    return mod_scim_page_end(page);
}

/* What is said is looked up, whoever made the link. */
static bool is_there(const scim_connections *c, const char *connection, const char *hint)
{
    int i;

    for (i = 0; i < c->tokens->nelts; i++) {
        const scim_identity *token = &APR_ARRAY_IDX(c->tokens, i, scim_identity);

        if (!strcmp(token->connection, connection) && (!hint || !strcmp(token->hint, hint))) {
            return true;
        }
    }
    return false;
}

static void put_gone(mod_scim_page *page, const char *connection, const char *hint)
{
    mod_scim_page_put(page, "<div class=\"box\" role=\"status\">Connection ");
    mod_scim_page_text(page, connection);
    if (hint) {
        mod_scim_page_put(page, " has no token that ends in <code>");
        mod_scim_page_text(page, hint);
        mod_scim_page_put(page, "</code> any more.</div>\n");
    } else {
        mod_scim_page_put(page, " has no token any more.</div>\n");
    }
}

int mod_scim_show_gone(const scim_connections *c, const char *connection, const char *hint)
{
    static const scim_wish nothing = {"", "entra", "read,write", "365d", "never"};
    mod_scim_page *page = begin_list(c);

    if (scim_tenant_name_valid(connection) && (!hint || scim_tenant_name_valid(hint)) &&
        !is_there(c, connection, hint)) {
        put_gone(page, connection, hint);
    }
    put_list(page, c);
    put_creation(page, c, &nothing, false);
    return mod_scim_page_end(page);
}

/* Rotating */

int mod_scim_show_rotation(const scim_connections *c, const scim_wish *wish,
                           const scim_error *wrong)
{
    mod_scim_page *page =
        begin(c->r, apr_pstrcat(c->r->pool, "Another token for ", wish->connection, NULL));

    if (wrong) {
        set_status(c->r, wrong->status);
        apr_table_set(c->r->notes, "scim-detail", wrong->detail);
        put_wrong(page, wrong);
    }
    put_notices(page, c);
    mod_scim_page_put(page, "<p>The new token may what the present one may, and both are good "
                            "meanwhile: put the new one into the identity provider, test the "
                            "connection there, then revoke the old one here.</p>\n");
    mod_scim_form_begin(page, c->r, c->tenant.name);
    put_hidden(page, "act", "rotate");
    put_hidden(page, "connection", wish->connection);
    put_providers(page, wish->provider);
    put_select(page, "expires", "The new token expires after", mod_scim_lives, wish->expires);
    put_select(page, "grace", "Older tokens stay good", mod_scim_graces, wish->grace);
    put_button(page, c, "Make another token");
    put_back(page);
    return mod_scim_page_end(page);
}

/* Revoking */

int mod_scim_show_revocation(const scim_connections *c, const char *connection,
                             const char *hint)
{
    mod_scim_page *page = begin(
        c->r, apr_pstrcat(c->r->pool, "Revoke ", connection, hint ? "" : ", all of it", NULL));

    put_notices(page, c);
    mod_scim_page_put(page, "<p>");
    if (hint) {
        mod_scim_page_put(page, "The token of this connection that ends in <code>");
        mod_scim_page_text(page, hint);
        mod_scim_page_put(page, "</code>");
    } else {
        mod_scim_page_put(page, "Each token of this connection");
    }
    mod_scim_page_put(page,
                      " is refused from the next request on, and cannot be had back.  An "
                      "identity provider that still uses it changes nothing here any more; "
                      "users and groups stay as they are.</p>\n");
    mod_scim_form_begin(page, c->r, c->tenant.name);
    put_hidden(page, "act", "revoke");
    put_hidden(page, "connection", connection);
    if (hint) {
        put_hidden(page, "hint", hint);
    }
    put_button(page, c, hint ? "Revoke this token" : "Revoke all its tokens");
    put_back(page);
    return mod_scim_page_end(page);
}

int mod_scim_show_revoked(const scim_connections *c, const char *connection, const char *hint)
{
    mod_scim_page *page;

    set_status(c->r, HTTP_SEE_OTHER);
    page = begin(c->r, "Revoked");
    /* Both have been found: they have nothing in them that a URL has not. */
    apr_table_setn(c->r->headers_out, "Location",
                   apr_pstrcat(c->r->pool, "?revoked=", connection, hint ? "&hint=" : "",
                               hint ? hint : "", NULL));
    put_back(page);
    return mod_scim_page_end(page);
}

/* A token */

static void put_provider(mod_scim_page *page, const scim_provider *provider)
{
    const scim_provider_step *step;
    const scim_provider_field *field;

    mod_scim_page_put(page, "<h2>Where to type them in</h2>\n<p>");
    mod_scim_page_text(page, provider->place);
    mod_scim_page_put(page, ":</p>\n<ol>\n");
    for (step = provider->steps; step->text; step++) {
        mod_scim_page_put(page, "<li>");
        mod_scim_page_text(page, step->text);
        if (step->fields[0].label) {
            mod_scim_page_put(page, "\n<dl>\n");
        }
        for (field = step->fields; field->label; field++) {
            mod_scim_page_put(page, "<dt>");
            mod_scim_page_text(page, field->label);
            mod_scim_page_put(page, "</dt><dd>");
            mod_scim_page_text(page, field->value);
            mod_scim_page_put(page, "</dd>\n");
        }
        mod_scim_page_put(page, step->fields[0].label ? "</dl></li>\n" : "</li>\n");
    }
    mod_scim_page_put(page, "</ol>\n");
    if (provider->note) {
        mod_scim_page_put(page, "<p>");
        mod_scim_page_text(page, provider->note);
        mod_scim_page_put(page, "</p>\n");
    }
}

static void put_older(mod_scim_page *page, const apr_array_header_t *older)
{
    int i;

    if (!older || !older->nelts) {
        return;
    }
    mod_scim_page_put(page, "<h2>Older tokens</h2>\n<ul>\n");
    for (i = 0; i < older->nelts; i++) {
        const scim_identity *token = &APR_ARRAY_IDX(older, i, scim_older_token).identity;

        mod_scim_page_put(page, "<li>The one that ends in <code>");
        mod_scim_page_text(page, token->hint);
        mod_scim_page_put(page, "</code> is good until ");
        if (token->expires) {
            put_time(page, token->expires);
            mod_scim_page_put(page, " UTC, or until ");
        }
        mod_scim_page_put(page, "you revoke it: ");
        put_link(page, "revoke", "Revoke", token, false);
        mod_scim_page_put(page, "</li>\n");
    }
    mod_scim_page_put(page, "</ul>\n");
}

int mod_scim_show_made(const scim_connections *c, const scim_wish *wish, const scim_made *made)
{
    const scim_provider *provider = scim_provider_find(wish->provider);
    mod_scim_page *page =
        begin(c->r, apr_pstrcat(c->r->pool, "The token of ", wish->connection, NULL));

    put_notices(page, c);
    mod_scim_page_put(page,
                      "<div class=\"box\">\n<p><strong>Copy the Secret Token now: this is "
                      "the only time that it is shown.</strong></p>\n<dl>\n");
    put_urls(page, c->urls);
    mod_scim_page_put(page, "<dt>Secret Token</dt><dd><code class=\"whole\" id=\"token\">");
    mod_scim_page_secret(page, made->token);
    mod_scim_page_put(page, "</code></dd>\n<dt>Expires</dt><dd>");
    put_end(page, made->expires);
    mod_scim_page_put(page,
                      made->expires ? " UTC</dd>\n</dl>\n</div>\n" : "</dd>\n</dl>\n</div>\n");
    put_urls_note(page, c->urls);
    if (provider) {
        put_provider(page, provider);
    }
    put_older(page, made->older);
    put_back(page);
    return mod_scim_page_end(page);
}

/* Problems */

static const char *title_of(int status)
{
    switch (status) {
    case HTTP_FORBIDDEN:
        return "Refused";
    case HTTP_NOT_FOUND:
        return "Not found";
    case HTTP_SERVICE_UNAVAILABLE:
        return "Not possible at the moment";
    default:
        return status >= 500 ? "Something is wrong with this server" : "Not done";
    }
}

int mod_scim_show_problem(request_rec *r, const scim_error *err, bool back)
{
    mod_scim_page *page;

    set_status(r, err->status);
    apr_table_set(r->notes, "scim-detail", err->detail);
    if (err->status == HTTP_SERVICE_UNAVAILABLE) {
        apr_table_setn(r->headers_out, "Retry-After", "30");
    }
    page = begin(r, title_of(err->status));
    mod_scim_page_put(page, "<p role=\"alert\">");
    mod_scim_page_text(page, err->detail);
    mod_scim_page_put(page, ".</p>\n");
    if (back) {
        put_back(page);
    }
    return mod_scim_page_end(page);
}
