/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DELETE of one resource (RFC 7644 section 3.6).
 */
#include "handler.h"

/* A provider waits for so long, and finds the members of all but very large groups
 * as they will be. */
#define SWEEP_TIME apr_time_from_msec(500)

static void note_deletion(scim_reply *reply, const scim_call *call, const scim_id *id,
                          const scim_deletion *deletion, apr_pool_t *pool)
{
    scim_event event = {
        .kind = SCIM_EVENT_DELETE, .op = call->target.op, .type = call->target.type, .id = *id};

    scim_reply_event(reply, &event, pool);
    scim_reply_consequences(reply, deletion->consequences, pool);
    if (deletion->pending) {
        scim_reply_sweep(reply, call, SWEEP_TIME, pool);
    }
    if (call->target.type->members) {
        reply->count = scim_reply_taken(reply, id);
    }
}

const scim_error *scim_handle_delete(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_precondition precondition = scim_call_precondition(call);
    scim_deletion deletion;
    scim_id id;

    SCIM_ERR(scim_call_id(&id, call, pool));
    SCIM_ERR(scim_call_check_if_match(call, call->if_match, pool));
    SCIM_ERR(scim_resource_delete(&deletion, call->store, &call->identity->tenant,
                                  call->target.type, &id, &precondition, call->now, pool));
    note_deletion(reply, call, &id, &deletion, pool);
    reply->status = 204;
    return NULL;
}
