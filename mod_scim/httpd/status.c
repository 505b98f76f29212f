/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SetHandler scim-status: who may see it and in which form; and mod_status's page, which
 * has a section of ours.
 *
 * Where a Location has the handler, no file is ever looked for: the rules of directories,
 * which are made for files and let everybody in, do not apply.  Without a Require of its own
 * only this machine may see it.
 */
#include "status.h"

#include <apr_lib.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_status.h>

APLOG_USE_MODULE(scim);

#define HANDLER "scim-status"

/* In place of a file's name. */
#define NO_FILE HANDLER ":"

#define REFRESH 30

static APR_OPTIONAL_FN_TYPE(authz_some_auth_required) * has_require;

/* httpd takes what SetHandler says for an expression, and reads it when all this is over. */
static bool is_status_location(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *err = NULL, *name = core->handler;

    if (core->expr_handler) {
        name = ap_expr_str_exec(r, core->expr_handler, &err);
    }
    return !err && name && !strcmp(name, HANDLER);
}

/* So far the request has what Locations say, and nothing else. */
static int take_url(request_rec *r)
{
    if (!is_status_location(r)) {
        return DECLINED;
    }
    r->filename = apr_pstrcat(r->pool, NO_FILE, r->uri, NULL);
    return OK;
}

static bool has_no_file(const request_rec *r)
{
    return r->filename && !strncmp(r->filename, NO_FILE, strlen(NO_FILE));
}

static int skip_files(request_rec *r)
{
    return has_no_file(r) ? OK : DECLINED;
}

static bool is_ours(const request_rec *r, const apr_sockaddr_t *peer)
{
    return mod_scim_is_loopback(peer) || apr_sockaddr_equal(r->connection->local_addr, peer);
}

/* What "Require local" says, of the socket's own peer, too: mod_remoteip may have believed
 * one elsewhere that it speaks for us.  And whoever a proxy here speaks for is not here. */
static bool is_local(const request_rec *r)
{
    return is_ours(r, r->connection->client_addr) && is_ours(r, r->useragent_addr) &&
           !mod_scim_by_proxy(r);
}

static bool may_see(request_rec *r)
{
    if (has_no_file(r) && has_require && has_require(r)) {
        return true;
    }
    if (is_local(r)) {
        return true;
    }
    ap_log_rerror(
        APLOG_MARK, APLOG_INFO, 0, r,
        SCIMLOG(1703) "the status is shown to this machine alone: who else may see it "
                      "is said by Require in the <Location> with SetHandler %s",
        HANDLER);
    return false;
}

/* The query: words and numbers between "&" */

static bool asks_for(const request_rec *r, const char *word)
{
    const char *at = r->args;
    apr_size_t len = strlen(word);

    while (at) {
        if (!strncmp(at, word, len) && (!at[len] || at[len] == '&' || at[len] == '=')) {
            return true;
        }
        at = strchr(at, '&');
        at = at ? at + 1 : NULL;
    }
    return false;
}

/* "page=3"; otherwise where it is not there. */
static apr_int64_t number_of(const request_rec *r, const char *name, apr_int64_t otherwise)
{
    const char *at = r->args;
    apr_size_t len = strlen(name);

    while (at) {
        if (!strncmp(at, name, len) && at[len] == '=' && apr_isdigit(at[len + 1])) {
            apr_int64_t number = apr_atoi64(at + len + 1);

            return number < APR_INT32_MAX ? number : APR_INT32_MAX;
        }
        at = strchr(at, '&');
        at = at ? at + 1 : NULL;
    }
    return otherwise;
}

static int answer_ready(request_rec *r)
{
    const char *why = mod_scim_status_unready(r);

    ap_set_content_type(r, "text/plain; charset=utf-8");
    if (why) {
        r->status = HTTP_SERVICE_UNAVAILABLE;
        apr_table_setn(r->headers_out, "Retry-After", "5");
    }
    /* A load balancer's log is no place for paths and users. */
    ap_rputs(why ? "not ready\n" : "ready\n", r);
    if (why && mod_scim_seldom(apr_pstrcat(r->pool, "not ready: ", why, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, SCIMLOG(1704) "not ready: %s", why);
    }
    return OK;
}

static int answer(request_rec *r)
{
    const scim_status *status;

    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    if (asks_for(r, "ready")) {
        return answer_ready(r);
    }
    status = mod_scim_status_read(r, (apr_size_t)number_of(r, "page", 1));
    if (asks_for(r, "json")) {
        return mod_scim_status_json(status);
    }
    if (asks_for(r, "prometheus")) {
        return mod_scim_status_prometheus(status);
    }
    return mod_scim_status_html(status, (int)number_of(r, "refresh", REFRESH));
}

static int status_handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, HANDLER)) {
        return DECLINED;
    }
    r->allowed |= AP_METHOD_BIT << M_GET;
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    return may_see(r) ? answer(r) : HTTP_FORBIDDEN;
}

/* mod_status */

static void sum_up(const scim_status *status, apr_uint64_t *requests, apr_uint64_t *failures)
{
    int i;

    *requests = status->nobody ? status->nobody->requests : 0;
    *failures = status->nobody ? status->nobody->failures : 0;
    for (i = 0; i < status->connections->nelts; i++) {
        const scim_tally_connection *seen =
            APR_ARRAY_IDX(status->connections, i, status_connection).seen;

        *requests += seen ? seen->requests : 0;
        *failures += seen ? seen->failures : 0;
    }
}

typedef struct figure {
    const char *name; /* of a line of ?auto */
    const char *text; /* for people */
    apr_uint64_t value;
} figure;

static int put_figures(request_rec *r, int flags, const figure *figures, int count)
{
    int i;

    if (flags & AP_STATUS_SHORT) {
        for (i = 0; i < count; i++) {
            ap_rprintf(r, "%s: %" APR_UINT64_T_FMT "\n", figures[i].name, figures[i].value);
        }
        return OK;
    }
    ap_rputs("<hr />\n<h2>SCIM</h2>\n<dl>\n", r);
    for (i = 0; i < count; i++) {
        ap_rprintf(r, "<dt>%s: %" APR_UINT64_T_FMT "</dt>\n", figures[i].text,
                   figures[i].value);
    }
    ap_rputs("</dl>\n", r);
    return OK;
}

/* Of a virtual host without a store there is nothing to tell. */
static int status_section(request_rec *r, int flags)
{
    apr_uint64_t requests, failures;
    const scim_status *status;

    if (!mod_scim_server(r->server)->store_url) {
        return DECLINED;
    }
    status = mod_scim_status_read(r, 1);
    sum_up(status, &requests, &failures);
    return put_figures(
        r, flags,
        (const figure[]){
            {"SCIMRequests", "Requests", requests},
            {"SCIMFailures", "Of these, refused or failed", failures},
            {"SCIMConnections", "Connections", (apr_uint64_t)status->connections->nelts},
            {"SCIMObjectsFailing", "Objects that fail", status->failing},
            {"SCIMProblems", "Problems", (apr_uint64_t)status->problems->nelts},
            {"SCIMStoreUp", "The store can be read (1) or not (0)", !status->down},
            {"SCIMStoreUsed", "Bytes used in the store", status->store.used},
            {"SCIMStoreSize", "Bytes it may grow to", status->store.size}},
        8);
}

static void find_functions(void)
{
    has_require = APR_RETRIEVE_OPTIONAL_FN(authz_some_auth_required);
}

void mod_scim_register_status(void)
{
    static const char *const mappers[] = {"mod_alias.c", "mod_userdir.c", "mod_vhost_alias.c",
                                          NULL};

    ap_hook_optional_fn_retrieve(find_functions, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(take_url, NULL, mappers, APR_HOOK_MIDDLE);
    ap_hook_map_to_storage(skip_files, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, status_section, NULL, NULL, APR_HOOK_MIDDLE);
}
