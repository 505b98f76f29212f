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
#include "scim/patch.h"
#include "scim/validate.h"

#include "handler.h"

typedef struct change_baton {
    const scim_call *call;
    json_t *body;            /* normalised; NULL: not read yet */
    const scim_patch *patch; /* likewise */
    apr_pool_t *pool;        /* the request's: what was read is kept for another attempt */
} change_baton;

static const scim_error *draft_replace(scim_draft *draft, const json_t *existing, void *baton,
                                       apr_pool_t *result_pool)
{
    change_baton *change = baton;
    const scim_resource_type *type = change->call->target.type;
    bool lenient = change->call->wire->lenient;

    if (!change->body) {
        json_t *body;

        SCIM_ERR(scim_call_body(&body, change->call, change->pool));
        SCIM_ERR(scim_interop_resource(&change->body, body, type, lenient, change->pool));
    }
    return scim_validate_resource(draft, change->body, existing, type, lenient, result_pool);
}

static const scim_error *draft_patch(scim_draft *draft, const json_t *existing, void *baton,
                                     apr_pool_t *result_pool)
{
    change_baton *change = baton;
    const scim_resource_type *type = change->call->target.type;
    bool lenient = change->call->wire->lenient;

    if (!change->patch) {
        json_t *body;

        SCIM_ERR(scim_call_body(&body, change->call, change->pool));
        SCIM_ERR(scim_interop_patch(&body, body, type, lenient, change->pool));
        SCIM_ERR(scim_patch_parse(&change->patch, body, type, lenient, change->pool));
    }
    return scim_patch_apply(draft, change->patch, existing, result_pool);
}

static const scim_error *change_resource(scim_change *out, const scim_call *call,
                                         scim_draft_fn draft_fn, apr_pool_t *pool)
{
    scim_precondition precondition = {call->if_match};
    change_baton change = {call, NULL, NULL, pool};
    scim_id id;

    SCIM_ERR(scim_call_id(&id, call, pool));
    return scim_resource_change(out, call->store, &call->identity->tenant, call->target.type,
                                &id, &precondition, draft_fn, &change, call->wire->lenient,
                                call->now, pool);
}

const scim_error *scim_handle_replace(scim_reply *reply, const scim_call *call,
                                      apr_pool_t *pool)
{
    scim_render how;
    scim_change change;

    SCIM_ERR(scim_call_render(&how, call, pool));
    SCIM_ERR(change_resource(&change, call, draft_replace, pool));
    reply->status = 200;
    return scim_reply_change(reply, call, &how, &change, true, pool);
}

const scim_error *scim_handle_patch(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_render how;
    scim_change change;

    SCIM_ERR(scim_call_render(&how, call, pool));
    SCIM_ERR(change_resource(&change, call, draft_patch, pool));
    if (call->target.type->members && !how.projection && !call->wire->group_representation) {
        /* Showing a group means reading all its members, which the clients
         * that patch groups do not want. */
        reply->status = 204;
        reply->etag = scim_etag_make(change.record.version, pool);
        scim_reply_note(reply, &change, pool);
        return NULL;
    }
    reply->status = 200;
    return scim_reply_change(reply, call, &how, &change, true, pool);
}
