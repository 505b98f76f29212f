/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUT and PATCH of one resource (RFC 7644 sections 3.5.1 and 3.5.2).
 *
 * The store calls for the draft once it has found the resource and judged
 * If-Match, and only then is the body read: 404 and 412 come before any fault
 * of it.
 */
#include "scim/etag.h"
#include "scim/interop.h"
#include "scim/validate.h"

#include "handler.h"

/* The body, parsed and normalised once, whatever the number of attempts. */
static const scim_error *read_body(scim_change_body *body)
{
    json_t *message = body->message;

    if (!message) {
        SCIM_ERR(scim_call_body(&message, body->call, body->pool));
    }
    if (!body->patch_body) {
        return scim_interop_resource(&body->resource, message, body->type, body->lenient,
                                     body->pool);
    }
    SCIM_ERR(scim_interop_patch(&message, message, body->type, body->lenient, body->pool));
    return scim_patch_parse(&body->patch, message, body->type, body->lenient, body->pool);
}

const scim_error *scim_change_draft(scim_draft *draft, const json_t *existing, void *baton,
                                    apr_pool_t *result_pool)
{
    scim_change_body *body = baton;

    if (!body->resource && !body->patch) {
        SCIM_ERR(read_body(body));
    }
    return body->patch_body ? scim_patch_apply(draft, body->patch, existing, result_pool)
                            : scim_validate_resource(draft, body->resource, existing,
                                                     body->type, body->lenient, result_pool);
}

/* body is filled with what was read. */
static const scim_error *change_resource(scim_change *out, scim_change_body *body,
                                         scim_reply *reply, const scim_call *call,
                                         bool patch_body, apr_pool_t *pool)
{
    scim_precondition precondition = scim_call_precondition(call);
    scim_id id;

    *body = (scim_change_body){.type = call->target.type,
                               .lenient = call->wire->lenient,
                               .patch_body = patch_body,
                               .call = call,
                               .pool = pool};
    SCIM_ERR(scim_call_id(&id, call, pool));
    SCIM_ERR(scim_call_check_if_match(call, call->if_match, pool));
    SCIM_ERR(scim_resource_change(out, call->store, &call->identity->tenant, call->target.type,
                                  &id, &precondition, scim_change_draft, body,
                                  call->wire->lenient, call->now, pool));
    scim_reply_committed(reply, SCIM_EVENT_CHANGE, call->target.op, out, pool);
    return NULL;
}

static const scim_error *reply_changed(scim_reply *reply, const scim_call *call,
                                       scim_render *how, const scim_change_body *body,
                                       const scim_change *change, apr_pool_t *pool)
{
    reply->status = 200;
    how->projection =
        scim_reply_projection(how->projection, body->resource, body->patch, body->type, pool);
    return scim_reply_change(reply, call, how, change, true, pool);
}

const scim_error *scim_handle_replace(scim_reply *reply, const scim_call *call,
                                      apr_pool_t *pool)
{
    scim_change_body body;
    scim_render how;
    scim_change change;

    SCIM_ERR(scim_call_render(&how, call, pool));
    SCIM_ERR(change_resource(&change, &body, reply, call, false, pool));
    return reply_changed(reply, call, &how, &body, &change, pool);
}

const scim_error *scim_handle_patch(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_change_body body;
    scim_render how;
    scim_change change;

    SCIM_ERR(scim_call_render(&how, call, pool));
    SCIM_ERR(change_resource(&change, &body, reply, call, true, pool));
    /* Who may not read is not shown what a change that changes nothing would
     * answer with. */
    if (!(call->identity->scopes & SCIM_SCOPE_READ) ||
        (call->target.type->members && !how.projection && !call->wire->group_representation)) {
        /* Showing a group means reading all its members, which the clients
         * that patch groups do not want. */
        reply->status = 204;
        reply->etag = scim_etag_make(change.record.version, pool);
        scim_reply_note(reply, &change, pool);
        return NULL;
    }
    return reply_changed(reply, call, &how, &body, &change, pool);
}
