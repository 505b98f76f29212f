/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a call to its reply: who may, in which order a request is judged, and
 * how an answer is labelled.  Nothing of a request is looked at more closely
 * than its right to be there allows (RFC 7644 section 3.12).
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/text.h"

#include "handler.h"

#define JSON_MEDIA_TYPE "application/json"

/* For an identity provider that finds the store down or busy: soon enough for
 * a hiccup, and no storm of retries in a longer outage. */
#define RETRY_AFTER 5

static bool is_range(const char *text, apr_size_t len, const char *range)
{
    return len == strlen(range) && !scim_text_ncasecmp(text, range, len);
}

/* Whether a media range says of itself ";q=0" (RFC 9110 section 12.4.2). */
static bool is_refused(const char *range, apr_size_t len)
{
    const char *end = range + len;

    while ((range = memchr(range, ';', (apr_size_t)(end - range)))) {
        range += 1 + strspn(range + 1, " \t");
        if (!scim_text_ncasecmp(range, "q=", 2)) {
            return strspn(range + 2, "0.") == strcspn(range + 2, ",; \t");
        }
    }
    return false;
}

/* Plain application/json is for those who ask for it and for nothing that
 * SCIM's own type would satisfy; everybody else gets that. */
static const char *answer_type(const char *accept)
{
    bool json = false;

    while (accept && *accept) {
        apr_size_t len, whole;

        accept += strspn(accept, ", \t");
        whole = strcspn(accept, ",");
        len = strcspn(accept, ",; \t");
        if (!is_refused(accept, whole)) {
            json = json || is_range(accept, len, JSON_MEDIA_TYPE);
            if (is_range(accept, len, SCIM_MEDIA_TYPE) || is_range(accept, len, "*/*") ||
                is_range(accept, len, "application/*")) {
                return SCIM_MEDIA_TYPE;
            }
        }
        accept += whole;
    }
    return json ? JSON_MEDIA_TYPE : SCIM_MEDIA_TYPE;
}

static void reply_clear(scim_reply *reply)
{
    memset(reply, 0, sizeof(*reply));
    reply->count = -1;
}

void scim_service_error(scim_reply *reply, const scim_error *error, const char *accept,
                        apr_pool_t *pool)
{
    reply_clear(reply);
    reply->status = error->status;
    reply->error = error;
    reply->body = scim_error_body(error, &reply->body_len, pool);
    reply->content_type = answer_type(accept);
    reply->retry_after = error->retry_after;
    if (!reply->retry_after && error->code == SCIM_E_UNAVAILABLE) {
        reply->retry_after = RETRY_AFTER;
    }
}

static const scim_error *no_such_path(const scim_call *call, apr_pool_t *pool)
{
    const char *endpoints = "";
    int i;

    for (i = 0; i < call->registry->types_count; i++) {
        endpoints = apr_pstrcat(pool, endpoints, call->registry->types[i].endpoint, ", ", NULL);
    }
    return scim_error_make(
        pool, SCIM_E_NOT_FOUND,
        "There is no such SCIM endpoint; below %s there are %s"
        "/ServiceProviderConfig, /ResourceTypes and /Schemas (upper and lower "
        "case matter)",
        call->base_url, endpoints);
}

/* Nobody without a token learns which paths there are. */
static const scim_error *judge_identity(const scim_call *call, apr_pool_t *pool)
{
    const scim_identity *who = call->identity;
    const scim_route *route = call->target.route;

    if (route && (route->anonymous || (route->person && call->person))) {
        return NULL;
    }
    if (!who) {
        return scim_error_make(pool, SCIM_E_UNAUTHORIZED,
                               "A token is needed: send the connection's Secret Token as "
                               "Authorization: Bearer <token>");
    }
    return scim_call_check_tenant(&who->tenant, pool);
}

static const scim_error *judge_route(const scim_call *call, apr_pool_t *pool)
{
    const scim_target *target = &call->target;

    if (!target->allow) {
        return no_such_path(call, pool);
    }
    if (!target->route && call->method != SCIM_OPTIONS) {
        return scim_error_make(pool, SCIM_E_METHOD_NOT_ALLOWED,
                               "This address does not take that method; it takes %s",
                               scim_route_allow(target->allow, pool));
    }
    return NULL;
}

static const scim_error *judge_scope(const scim_call *call, apr_pool_t *pool)
{
    const scim_route *route = call->target.route;
    const scim_identity *who = call->identity;

    if (!route->anonymous && who && !(who->scopes & route->scope)) {
        return scim_error_make(pool, SCIM_E_FORBIDDEN,
                               "The connection %s may not %s this directory", who->connection,
                               route->scope == SCIM_SCOPE_WRITE ? "change" : "read");
    }
    return NULL;
}

static const scim_error *judge_request(const scim_call *call, apr_pool_t *pool)
{
    if (call->method & (SCIM_POST | SCIM_PUT | SCIM_PATCH)) {
        SCIM_ERR(scim_call_check_type(call, pool));
    }
    if (!call->target.route->offline && !call->store) {
        return scim_error_make(pool, SCIM_E_UNAVAILABLE,
                               "The directory is not available at the moment; try again later");
    }
    return NULL;
}

static const scim_error *answer(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    SCIM_ERR(judge_identity(call, pool));
    SCIM_ERR(judge_route(call, pool));
    if (!call->target.route) {
        reply->status = 204;
        reply->allow = scim_route_allow(call->target.allow, pool);
        return NULL;
    }
    SCIM_ERR(judge_scope(call, pool));
    SCIM_ERR(judge_request(call, pool));
    return call->target.route->handler(reply, call, pool);
}

static bool changes_the_directory(const scim_call *call)
{
    const scim_route *route = call->target.route;

    return route && route->scope == SCIM_SCOPE_WRITE && call->store;
}

/* The id that the path names, for the audit: only what can be one. */
static const char *named_id(const scim_call *call)
{
    scim_id id;

    return call->target.type && call->target.id && scim_id_parse(&id, call->target.id)
               ? call->target.id
               : NULL;
}

void scim_service_answer(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    const scim_error *err;

    reply_clear(reply);
    err = answer(reply, call, pool);
    if (err) {
        /* What was committed before it failed stays so, and is told. */
        apr_array_header_t *events = reply->events;
        const char *subject = reply->subject;

        scim_service_error(reply, err, call->accept, pool);
        reply->events = events;
        reply->subject = subject;
        if (err->code == SCIM_E_METHOD_NOT_ALLOWED) {
            reply->allow = scim_route_allow(call->target.allow, pool);
        }
    } else if (reply->body) {
        reply->content_type = answer_type(call->accept);
    }
    if (!err && changes_the_directory(call) && !reply->unfinished && !reply->warning) {
        scim_reply_sweep(reply, call, 0, pool);
    }
    if (!reply->id) {
        reply->id = named_id(call);
    }
}
