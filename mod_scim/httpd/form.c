/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forms of pages: reading what a browser sends, and making sure that it is what
 * a page of ours was asked for by the one who sends it.
 *
 * Each form carries a seal, which is bound to who asked for the page and to what
 * it is about, and serves once: whoever loads the answer to a form again sends the
 * form again.  Where a browser says which site a form comes from, that must be
 * ours (Fetch Metadata, RFC 6454 section 7).
 */
#include "form.h"

#include <string.h>

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include "scim/seal.h"
#include "scim/text.h"

APLOG_USE_MODULE(scim);

#define SEAL "seal" /* the field */
#define LIFE apr_time_from_sec(8 * 3600)
#define BODY_MAX 65536
#define TYPE "application/x-www-form-urlencoded"

/* The number goes up whenever it comes to look otherwise. */
#define RETAINED "mod_scim form key 1"

typedef struct retained {
    bool made;
    unsigned char bytes[SCIM_SEAL_KEY];
} retained;

/* One for all processes; a restart, graceful or not, finds it where the last one left it. */
static const retained *key; /* NULL: there is none, and no form is taken */

int mod_scim_make_form_key(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                           server_rec *s)
{
    retained *found = ap_retained_data_get(RETAINED);

    if (!found) {
        found = ap_retained_data_create(RETAINED, sizeof(*found));
    }
    if (!found->made) {
        found->made = scim_seal_key(found->bytes);
    }
    key = found->made ? found : NULL;
    return OK;
}

/* Nothing but the end can have a line end in it. */
static const char *bound_to(const request_rec *r, const char *what)
{
    return apr_pstrcat(r->pool, what, "\n", mod_scim_server(r->server)->store_url, "\n",
                       r->user ? r->user : "", NULL);
}

void mod_scim_form_begin(mod_scim_page *page, request_rec *r, const char *what)
{
    const char *seal =
        key ? scim_seal_make(key->bytes, bound_to(r, what), r->request_time, r->pool) : NULL;

    /* A query alone: whatever path a proxy in front gives the page, it is the same one. */
    mod_scim_page_put(page, "<form method=\"post\" action=\"?\">\n");
    mod_scim_page_putf(page, "<input type=\"hidden\" name=\"" SEAL "\" value=\"%s\">\n",
                       seal ? seal : "");
}

/* Fields */

static const scim_error *malformed(const request_rec *r)
{
    return scim_error_make(r->pool, SCIM_E_BAD_REQUEST,
                           "What was sent is no form of this page; nothing was done");
}

static bool is_known(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (!strcmp(name, *names)) {
            return true;
        }
    }
    return !strcmp(name, SEAL);
}

/* Takes pair apart, in place. */
static bool take_pair(apr_table_t *fields, char *pair, const char *const *names)
{
    char *value = strchr(pair, '=');

    if (!value) {
        return false;
    }
    *value++ = '\0';
    if (ap_unescape_urlencoded(pair) != OK || ap_unescape_urlencoded(value) != OK ||
        scim_text_has_control(value, strlen(value)) || !is_known(pair, names) ||
        apr_table_get(fields, pair)) {
        return false;
    }
    apr_table_setn(fields, pair, value);
    return true;
}

static const scim_error *take_pairs(apr_table_t **out, const request_rec *r, char *text,
                                    const char *const *names)
{
    char *last, *pair;

    *out = apr_table_make(r->pool, 8);
    for (pair = apr_strtok(text, "&", &last); pair; pair = apr_strtok(NULL, "&", &last)) {
        if (!take_pair(*out, pair, names)) {
            return malformed(r);
        }
    }
    return NULL;
}

const scim_error *mod_scim_form_query(apr_table_t **out, request_rec *r,
                                      const char *const *names)
{
    return take_pairs(out, r, apr_pstrdup(r->pool, r->args ? r->args : ""), names);
}

/* The body */

static bool is_form(const request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t len = sizeof(TYPE) - 1;

    return type && !ap_cstr_casecmpn(type, TYPE, len) && strchr("; \t", type[len]);
}

static const scim_error *too_large(request_rec *r)
{
    /* The rest of the body is not read: the connection ends with the answer. */
    r->connection->keepalive = AP_CONN_CLOSE;
    return scim_error_make(r->pool, SCIM_E_TOO_LARGE,
                           "What was sent is larger than any form of this page; nothing was "
                           "done");
}

static const scim_error *not_read(request_rec *r, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);

    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return too_large(r);
    }
    r->connection->keepalive = AP_CONN_CLOSE;
    return malformed(r);
}

static const scim_error *read_body(char **out, request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_bucket_brigade *part = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_off_t len = 0;
    apr_size_t size;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS &&
           (APR_BRIGADE_EMPTY(bb) || !APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb)))) {
        rv = ap_get_brigade(r->input_filters, part, AP_MODE_READBYTES, APR_BLOCK_READ,
                            HUGE_STRING_LEN);
        if (rv == APR_SUCCESS) {
            rv = ap_save_brigade(NULL, &bb, &part, r->pool);
        }
        if (rv == APR_SUCCESS) {
            rv = apr_brigade_length(bb, 1, &len);
        }
        if (rv == APR_SUCCESS && len > BODY_MAX) {
            return too_large(r);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = apr_brigade_pflatten(bb, out, &size, r->pool);
    }
    if (rv != APR_SUCCESS) {
        return not_read(r, rv);
    }
    *out = apr_pstrmemdup(r->pool, *out ? *out : "", size);
    return strlen(*out) == size ? NULL : malformed(r);
}

/* Whose it is */

static const char *host_of(const char *origin)
{
    const char *host = strstr(origin, "://");

    return host ? host + 3 : "";
}

/* As the client has called us, or as we call ourselves, which a proxy in front may not
 * have told it.  The scheme is the proxy's, too. */
static bool is_our_host(const request_rec *r, const char *host)
{
    const char *asked = apr_table_get(r->headers_in, "Host");
    const char *scheme = ap_http_scheme(r);
    apr_port_t port = r->server->port;
    const char *own = mod_scim_origin(scheme, r->server->server_hostname,
                                      port == ap_run_default_port(r) ? 0 : port, r->pool);

    return (asked && !ap_cstr_casecmp(host, asked)) || !ap_cstr_casecmp(host, host_of(own));
}

/* What a browser says of a request, no page can make it say otherwise.  One that says
 * nothing has only the seal to show. */
static bool is_from_here(const request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (site) {
        return !strcmp(site, "same-origin") || !strcmp(site, "none");
    }
    return !origin || is_our_host(r, host_of(origin));
}

static const scim_error *check_seal(const request_rec *r, const char *what, const char *seal)
{
    scim_seal_state state = key && seal ? scim_seal_check(key->bytes, bound_to(r, what), seal,
                                                          r->request_time, LIFE)
                                        : SCIM_SEAL_WRONG;

    if (state == SCIM_SEAL_EXPIRED) {
        return scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                               "This form has been open for too long, and nothing was done: go "
                               "back to the page, and fill it in again");
    }
    if (state == SCIM_SEAL_WRONG) {
        return scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                               "This form is not one that you were given here, or the server "
                               "was started anew since; nothing was done: go back to the page, "
                               "and fill it in again");
    }
    if (!mod_scim_once(seal, LIFE)) {
        return scim_error_make(r->pool, SCIM_E_UNIQUENESS,
                               "This form was sent already, and is not carried out again: see "
                               "on the page what has come of it.  A token is shown only once");
    }
    return NULL;
}

const scim_error *mod_scim_form_read(apr_table_t **out, request_rec *r, const char *what,
                                     const char *const *names)
{
    char *body = NULL;

    if (!is_from_here(r)) {
        return scim_error_make(r->pool, SCIM_E_FORBIDDEN,
                               "This form comes from another site; nothing was done");
    }
    if (!is_form(r)) {
        return scim_error_make(r->pool, SCIM_E_MEDIA_TYPE,
                               "Forms of this page are sent as " TYPE "; nothing was done");
    }
    SCIM_ERR(read_body(&body, r));
    SCIM_ERR(take_pairs(out, r, body, names));
    return check_seal(r, what, apr_table_get(*out, SEAL));
}
