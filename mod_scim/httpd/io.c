/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the request, sending the reply, and telling httpd's own errors in
 * SCIM's words.
 */
#include "mod_scim.h"

#include <ap_mpm.h>
#include <apr_date.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

APLOG_USE_MODULE(scim);

#define ERROR_FILTER "SCIM_ERROR"

/* A little more than what a stream makes at a time. */
#define STREAM_PIECE (80 * 1024)

/* Replies */

static void note(request_rec *r, const char *name, const char *value)
{
    if (value) {
        apr_table_setn(r->notes, name, value);
    }
}

static void note_count(request_rec *r, const scim_reply *reply)
{
    if (reply->count >= 0) {
        note(r, "scim-count", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, reply->count));
    }
}

static void note_reply(request_rec *r, const scim_reply *reply)
{
    note(r, "scim-id", reply->id);
    note(r, "scim-changes", reply->changes);
    note_count(r, reply);
    if (reply->error) {
        note(r, "scim-error", reply->error->scim_type);
        note(r, "scim-detail", reply->error->detail);
    }
}

/* Whether SCIMReadOnly refused it, as the administrator wants. */
static bool is_wanted(const request_rec *r, const scim_state *state, const scim_error *error)
{
    return mod_scim_server(r->server)->read_only == 1 &&
           error->status == HTTP_SERVICE_UNAVAILABLE && state->target.route &&
           state->target.route->scope == SCIM_SCOPE_WRITE;
}

/* What the administrator is to do about it, beside what it is, or NULL. */
static const char *remedy_for(request_rec *r, const scim_error *error)
{
    const scim_server_config *conf = mod_scim_server(r->server);
    scim_store *store = mod_scim_store(r->server);
    const char *fault = store ? scim_store_fault(store, r->pool) : NULL;

    if (!fault && error->code == SCIM_E_STORAGE_FULL) {
        return apr_psprintf(r->pool, "raise SCIMStoreSize of %s", conf->store_url);
    }
    return fault;
}

/* A store that is full or cannot be written to fails every change: of that a
 * line a minute is enough. */
static bool is_news(request_rec *r, const scim_error *error, const char *remedy)
{
    return !remedy ||
           mod_scim_seldom(apr_psprintf(
               r->pool, "%s %s", error->code == SCIM_E_INTERNAL ? error->cause : "", remedy));
}

/* A fault that is the administrator's to see, once, where it surfaces. */
static void log_cause(request_rec *r, const scim_state *state, const scim_error *error)
{
    const char *remedy;

    if (!error || !error->cause || is_wanted(r, state, error)) {
        return;
    }
    remedy = remedy_for(r, error);
    if (is_news(r, error, remedy)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, error->rv, r, SCIMLOG(1201) "%s%s%s", error->cause,
                      remedy ? "; " : "", remedy ? remedy : "");
    }
}

static void set_header(request_rec *r, const char *name, const char *value)
{
    if (value) {
        apr_table_setn(r->headers_out, name, value);
    }
}

/* Sends what is in bb, then the stream a piece at a time: each is on its way
 * before the next is made.  A body that cannot be ended ends the connection, so
 * that nobody takes what was sent for the whole. */
static apr_status_t send_stream(request_rec *r, apr_bucket_brigade *bb, scim_stream *stream)
{
    apr_status_t rv = ap_pass_brigade(r->output_filters, bb);
    bool end = false;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, r->pool);
    while (!end && rv == APR_SUCCESS) {
        scim_buffer *piece = scim_buffer_make(STREAM_PIECE, scratch);
        const scim_error *err = stream->next(stream, piece, &end, scratch);
        apr_size_t len;

        apr_brigade_cleanup(bb);
        if (err) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, err->rv, r,
                          SCIMLOG(1205) "a body broke off: %s",
                          err->cause ? err->cause : err->detail);
            r->connection->aborted = 1;
            rv = APR_ECONNABORTED;
            break;
        }
        len = piece->len;
        APR_BRIGADE_INSERT_TAIL(
            bb, apr_bucket_heap_create(scim_buffer_detach(piece), len, free, bb->bucket_alloc));
        rv = ap_pass_brigade(r->output_filters, bb);
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    apr_brigade_cleanup(bb);
    return rv;
}

static int send_reply(request_rec *r, scim_state *state, const scim_reply *reply)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;

    state->answered = true;
    state->took = apr_time_now() - state->began;
    state->subject = reply->subject;
    note_reply(r, reply);
    log_cause(r, state, reply->error);
    r->status = reply->status;
    r->status_line = NULL;
    set_header(r, "Location", reply->location);
    set_header(r, "Content-Location", reply->content_location);
    set_header(r, "ETag", reply->etag);
    set_header(r, "Allow", reply->allow);
    if (reply->retry_after) {
        set_header(r, "Retry-After", apr_itoa(r->pool, reply->retry_after));
    }
    /* A slice of a JSON text is no answer. */
    apr_table_unset(r->headers_in, "Range");
    if (reply->content_type) {
        ap_set_content_type(r, reply->content_type);
        if (!reply->stream) {
            ap_set_content_length(r, (apr_off_t)reply->body_len);
        }
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(reply->body, reply->body_len,
                                                           r->pool, bb->bucket_alloc));
    }
    if (reply->stream && !r->header_only) {
        rv = send_stream(r, bb, reply->stream);
    }
    if (rv == APR_SUCCESS) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
        rv = ap_pass_brigade(r->output_filters, bb);
    }
    /* A client that went away is no error of ours. */
    if (rv != APR_SUCCESS && !r->connection->aborted) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, rv, r, SCIMLOG(1202) "sending the reply");
    }
    return OK;
}

static int send_error(request_rec *r, const scim_error *error)
{
    scim_reply reply;

    scim_service_error(&reply, error, apr_table_get(r->headers_in, "Accept"), r->pool);
    send_reply(r, mod_scim_state(r), &reply);
    return DONE;
}

/* What of a body has come already is read, so that it is wiped; not where the
 * client waits to be asked for it, which that would do. */
static void read_arrived(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    if (!r->expecting_100 && apr_table_get(r->headers_in, "Content-Length")) {
        ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                       HUGE_STRING_LEN);
    }
    apr_brigade_destroy(bb);
}

/* Nobody waits for the body of a request that is refused. */
static void drop_body(request_rec *r)
{
    if (ap_request_has_body(r)) {
        r->connection->keepalive = AP_CONN_CLOSE;
        read_arrived(r);
    }
}

int mod_scim_refuse(request_rec *r, const scim_error *error)
{
    /* A subrequest only asks what would become of a request: an answer to it
     * would go out in front of that to the request itself. */
    if (r->main) {
        return error->status;
    }
    mod_scim_state(r)->answered = true;
    drop_body(r);
    /* mod_headers and others have something to say to every error. */
    ap_run_insert_error_filter(r);
    return send_error(r, error);
}

/* Bodies */

static bool is_bulk(const scim_state *state)
{
    return !strcmp(state->target.op, "bulk") && state->conf.bulk_operations > 0;
}

static int body_too_large(request_rec *r, const scim_state *state, apr_int64_t limit)
{
    /* The rest of the body is not read: the connection ends with the answer. */
    r->connection->keepalive = AP_CONN_CLOSE;
    return send_error(r, scim_error_make(r->pool, SCIM_E_TOO_LARGE,
                                         "The body is larger than the %" APR_INT64_T_FMT
                                         " bytes that this endpoint accepts (%s)",
                                         limit,
                                         is_bulk(state)
                                             ? "maxPayloadSize; SCIMBulk, LimitRequestBody"
                                             : "SCIMMaxBody, LimitRequestBody"));
}

/* LimitRequestBody holds, too. */
static apr_int64_t within_httpd(const request_rec *r, apr_int64_t limit)
{
    apr_off_t httpd_limit = ap_get_limit_req_body(r);

    return httpd_limit > 0 && httpd_limit < limit ? httpd_limit : limit;
}

static apr_int64_t body_limit(const request_rec *r, const scim_state *state)
{
    return within_httpd(r, is_bulk(state) ? state->conf.bulk_bytes : state->conf.max_body);
}

/* A buffer in the request's pool, as large as the client says that its body is, within
 * reason.  Beyond, it grows, doubled, so that a body of any size costs at most three
 * times itself.  Wiped when it has served: there may be a password in it. */
#define ROOM_MAX (1 << 20)

typedef struct body_buffer {
    char *bytes;
    apr_size_t len;
    apr_size_t room;
} body_buffer;

static void append(body_buffer *body, const char *data, apr_size_t len, apr_pool_t *pool)
{
    if (!body->bytes || body->len + len + 1 > body->room) {
        char *bytes;

        while (body->len + len + 1 > body->room) {
            body->room = body->room ? body->room * 2 : 4096;
        }
        bytes = apr_palloc(pool, body->room);
        if (body->len) {
            memcpy(bytes, body->bytes, body->len);
            explicit_bzero(body->bytes, body->len);
        }
        body->bytes = bytes;
    }
    memcpy(body->bytes + body->len, data, len);
    body->len += len;
}

/* Adds what a brigade has, which stays as it is; false where that is beyond the
 * limit. */
static bool take_brigade(body_buffer *body, apr_bucket_brigade *bb, apr_int64_t limit,
                         bool *end, apr_status_t *rv, apr_pool_t *pool)
{
    apr_bucket *b;

    *rv = APR_SUCCESS;
    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_EOS(b)) {
            *end = true;
            break;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        *rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (*rv != APR_SUCCESS) {
            return true;
        }
        if ((apr_int64_t)(body->len + len) > limit) {
            return false;
        }
        append(body, data, len, pool);
    }
    return true;
}

/* OK, DONE where it was refused, or an HTTP status that httpd is to send. */
static int read_whole(body_buffer *body, request_rec *r, const scim_state *state,
                      apr_int64_t limit)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    bool end = false, fits = true;

    while (!end) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES,
                                         APR_BLOCK_READ, HUGE_STRING_LEN);

        if (rv == APR_SUCCESS) {
            fits = take_brigade(body, bb, limit, &end, &rv, r->pool);
            apr_brigade_cleanup(bb);
        }
        if (!fits) {
            return body_too_large(r, state, limit);
        }
        if (rv != APR_SUCCESS) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
    }
    append(body, "", 1, r->pool);
    return OK;
}

/* Reads the body into call; as read_whole. */
static int read_body(request_rec *r, const scim_state *state, scim_call *call)
{
    apr_int64_t limit = body_limit(r, state);
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_int64_t says = length ? apr_atoi64(length) : 0;
    body_buffer body = {NULL, 0, 0};
    int rc;

    if (says > limit) {
        return body_too_large(r, state, limit);
    }
    if (says > 0) {
        body.room = (apr_size_t)(says < ROOM_MAX ? says : ROOM_MAX) + 2;
        body.bytes = apr_palloc(r->pool, body.room);
    }
    rc = read_whole(&body, r, state, limit);
    if (rc != OK) {
        if (body.len) {
            explicit_bzero(body.bytes, body.len);
        }
        return rc;
    }
    call->body = body.bytes;
    call->body_len = body.len - 1;
    return OK;
}

/* The handler */

static bool wants_body(const scim_call *call)
{
    return call->target.route && call->identity &&
           (call->identity->scopes & call->target.route->scope) &&
           (call->method & (SCIM_POST | SCIM_PUT | SCIM_PATCH));
}

/* A date that is none counts as not sent (RFC 9110 section 13.1.3). */
static apr_time_t header_time(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_in, name);

    return value ? apr_date_parse_http(value) : 0;
}

static void fill_call(scim_call *call, request_rec *r, scim_state *state, scim_wire *wire)
{
    const scim_server_config *server = mod_scim_server(r->server);

    memset(call, 0, sizeof(*call));
    wire->lenient = state->conf.lenient;
    wire->group_representation = state->conf.group_representation;
    wire->max_page = state->conf.max_page;
    wire->default_page = state->conf.default_page < state->conf.max_page
                             ? state->conf.default_page
                             : state->conf.max_page;
    wire->cursor_timeout = state->conf.cursor_timeout;
    wire->bulk_operations = state->conf.bulk_operations;
    /* What clients are told that they may send is what they may. */
    wire->bulk_bytes = within_httpd(r, state->conf.bulk_bytes);
    wire->require_if_match = state->conf.require_if_match;
    call->target = state->target;
    call->method = state->method;
    call->query = r->args;
    call->content_type = apr_table_get(r->headers_in, "Content-Type");
    call->accept = apr_table_get(r->headers_in, "Accept");
    call->if_match = apr_table_get(r->headers_in, "If-Match");
    call->if_none_match = apr_table_get(r->headers_in, "If-None-Match");
    call->if_modified_since = header_time(r, "If-Modified-Since");
    call->if_unmodified_since = header_time(r, "If-Unmodified-Since");
    call->base_url = mod_scim_base_url(r, state);
    call->identity = state->identity;
    /* Behind an internal redirect, r->user may be the connection of a token. */
    if (!state->identity && r->user && r->ap_auth_type &&
        ap_cstr_casecmp(r->ap_auth_type, "Bearer")) {
        call->person = r->user;
        call->person_tenant = mod_scim_tenant(r);
        call->person_by = (scim_subject_by)state->conf.user_attribute;
    }
    call->wire = wire;
    call->store = mod_scim_store(r->server);
    call->registry = server->registry;
    call->now = r->request_time;
}

/* RFC 6750 section 3.1: what a token does not allow is said in the challenge
 * too. */
static void note_scope(request_rec *r, const scim_call *call, const scim_reply *reply)
{
    if (reply->status == HTTP_FORBIDDEN && call->identity && call->target.route &&
        !mod_scim_asks_otherwise(r) && !(call->identity->scopes & call->target.route->scope)) {
        apr_table_setn(r->headers_out, "WWW-Authenticate",
                       mod_scim_challenge(r, "insufficient_scope"));
    }
    if (reply->status == HTTP_UNAUTHORIZED) {
        apr_table_setn(r->headers_out, "WWW-Authenticate", mod_scim_challenge(r, NULL));
    }
}

static void log_warning(request_rec *r, const scim_reply *reply)
{
    if (reply->warning) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      SCIMLOG(1204) "members of a deleted group are still to be treated, and "
                                    "could not be now: %s",
                      reply->warning);
    }
}

static bool is_stopping(void)
{
    int state;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

/* Behind the answer, which goes out whole before. */
static void go_on(request_rec *r, const scim_state *state, const scim_call *call,
                  scim_reply *reply)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_pool_t *step;

    ap_fflush(r->connection->output_filters, bb);
    apr_pool_create(&step, r->pool);
    while (reply->unfinished && !is_stopping()) {
        apr_pool_clear(step);
        scim_service_go_on(reply, call, step);
        log_warning(r, reply);
        mod_scim_audit(r, state, reply, step);
    }
    if (reply->unfinished) {
        scim_service_leave(reply, call);
    }
    apr_pool_destroy(step);
    note_count(r, reply);
}

int mod_scim_handler(request_rec *r)
{
    scim_state *state = mod_scim_state(r);
    const scim_error *err;
    scim_call call;
    scim_reply reply;
    scim_wire wire;
    int rc;

    if (!state || !r->handler || strcmp(r->handler, SCIM_HANDLER)) {
        return DECLINED;
    }
    err = mod_scim_map_user(r, state);
    if (err) {
        drop_body(r);
        send_error(r, err);
        return OK;
    }
    fill_call(&call, r, state, &wire);
    if (wants_body(&call)) {
        rc = read_body(r, state, &call);
        if (rc != OK) {
            return rc == DONE ? OK : rc;
        }
    }
    if (!call.identity && !(call.target.route && call.target.route->anonymous)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      SCIMLOG(1203) "no SCIM identity: the endpoint's Location needs "
                                    "\"AuthType Bearer\" and \"Require valid-user\"");
    }
    state->began = apr_time_now();
    scim_service_answer(&reply, &call, r->pool);
    log_warning(r, &reply);
    if (call.body) {
        explicit_bzero((char *)call.body, call.body_len);
    }
    note_scope(r, &call, &reply);
    mod_scim_audit(r, state, &reply, r->pool);
    if (reply.unfinished) {
        /* The client's next request must not wait for what is done behind this one. */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    rc = send_reply(r, state, &reply);
    if (reply.unfinished) {
        go_on(r, state, &call, &reply);
    }
    return rc;
}

/* Errors that httpd raises itself */

static const char *detail_of(const request_rec *r)
{
    switch (r->status) {
    case HTTP_BAD_REQUEST:
        return "The request is malformed";
    case HTTP_UNAUTHORIZED:
        return "This address asks for credentials, and those sent are none of its";
    case HTTP_FORBIDDEN:
        return "The server's configuration refuses this request";
    case HTTP_NOT_FOUND:
        return "There is nothing at this path; a path has no encoded slash and no NUL in it";
    case HTTP_METHOD_NOT_ALLOWED:
        return "This method is not allowed here";
    case HTTP_REQUEST_TIME_OUT:
        return "The request did not arrive in time";
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "The body is larger than this server accepts (LimitRequestBody)";
    case HTTP_REQUEST_URI_TOO_LARGE:
        return "The URL is longer than this server accepts (LimitRequestLine)";
    case HTTP_NOT_IMPLEMENTED:
        return "The server does not support this";
    case HTTP_SERVICE_UNAVAILABLE:
        return "The server cannot answer at the moment; try again later";
    default:
        return r->status >= 500 ? "The server met an error; its error log says which"
                                : "The server refuses this request";
    }
}

/* The page that httpd made goes; ours takes its place, once. */
static apr_status_t error_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    apr_bucket_brigade *out;
    scim_error error;
    scim_reply reply;
    apr_bucket *b, *next;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = next) {
        next = APR_BUCKET_NEXT(b);
        if (!APR_BUCKET_IS_METADATA(b)) {
            apr_bucket_delete(b);
        }
    }
    if (f->ctx) {
        return ap_pass_brigade(f->next, bb);
    }
    f->ctx = f;
    error = *scim_error_make(r->pool, scim_error_of_status(r->status), "%s", detail_of(r));
    /* httpd and its modules know more statuses than SCIM has kinds of errors. */
    error.status = r->status;
    scim_service_error(&reply, &error, apr_table_get(r->headers_in, "Accept"), r->pool);
    note_reply(r, &reply);
    if (!apr_table_get(r->notes, "scim-op")) {
        note(r, "scim-op", "unknown");
    }
    ap_set_content_type(r, reply.content_type);
    ap_set_content_length(r, (apr_off_t)reply.body_len);
    apr_table_unset(r->headers_out, "Content-Encoding");
    apr_table_unset(r->headers_out, "Content-Language");
    out = apr_brigade_create(r->pool, f->c->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(
        out, apr_bucket_pool_create(reply.body, reply.body_len, r->pool, f->c->bucket_alloc));
    APR_BRIGADE_CONCAT(out, bb);
    return ap_pass_brigade(f->next, out);
}

void mod_scim_register_filter(void)
{
    ap_register_output_filter(ERROR_FILTER, error_filter, NULL, AP_FTYPE_CONTENT_SET);
}

/* A request that was refused before any Location was looked for: the path of
 * its request line tells whose it is. */
static bool names_endpoint(const request_rec *r)
{
    const char *line = r->the_request ? strchr(r->the_request, ' ') : NULL;

    return line && mod_scim_names_endpoint(
                       r->server, apr_pstrndup(r->pool, line + 1, strcspn(line + 1, " ?")));
}

void mod_scim_insert_error_filter(request_rec *r)
{
    const scim_state *state = mod_scim_state(r);

    /* A redirection comes this way, too, and is no error. */
    if (r->status >= 400 && (state ? !state->answered : names_endpoint(r))) {
        ap_add_output_filter(ERROR_FILTER, NULL, r, r->connection);
    }
}
