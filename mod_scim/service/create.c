/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST to a resource type's endpoint (RFC 7644 section 3.3).
 */
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/validate.h"

#include "handler.h"

/* What a client calls the resource by, most lasting first. */
static const char *subject_of(const json_t *body)
{
    static const char *const names[] = {"externalId", "userName", "displayName"};
    const char *subject = NULL;
    int i;

    for (i = 0; i < 3 && !subject; i++) {
        subject = scim_json_string(body, names[i]);
    }
    return subject;
}

const scim_error *scim_handle_create(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    const scim_resource_type *type = call->target.type;
    bool lenient = call->wire->lenient;
    scim_render how;
    scim_draft draft;
    scim_change change;
    json_t *body;

    SCIM_ERR(scim_call_render(&how, call, pool));
    SCIM_ERR(scim_call_body(&body, call, pool));
    reply->subject = subject_of(body);
    SCIM_ERR(scim_interop_resource(&body, body, type, lenient, pool));
    SCIM_ERR(scim_validate_resource(&draft, body, NULL, type, lenient, pool));
    SCIM_ERR(scim_resource_create(&change, call->store, how.tenant, &draft, lenient, call->now,
                                  pool));
    scim_reply_committed(reply, SCIM_EVENT_CREATE, call->target.op, &change, pool);
    reply->status = 201;
    how.projection = scim_reply_projection(how.projection, body, NULL, type, pool);
    /* It is in no group yet; members it has only if they were sent. */
    return scim_reply_change(reply, call, &how, &change, draft.members != NULL, pool);
}
