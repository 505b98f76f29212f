/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DELETE of one resource (RFC 7644 section 3.6).
 */
#include "handler.h"

const scim_error *scim_handle_delete(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_precondition precondition = scim_call_precondition(call);
    scim_id id;

    SCIM_ERR(scim_call_id(&id, call, pool));
    SCIM_ERR(scim_call_check_if_match(call, call->if_match, pool));
    SCIM_ERR(scim_resource_delete(call->store, &call->identity->tenant, call->target.type, &id,
                                  &precondition, call->now, pool));
    reply->status = 204;
    return NULL;
}
