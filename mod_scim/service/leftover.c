/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the deletion of a large group left to do.  The DELETE itself goes on with
 * it for a while; the rest is done behind an answer that is sent already: its
 * own, or that of whoever writes next where a process ended in between.
 */
#include "scim/sweep.h"

#include "handler.h"

/* BUSY is nothing to report: others write, and sweep. */
static void note_failure(scim_reply *reply, const scim_error *err)
{
    if (err->code != SCIM_E_UNAVAILABLE) {
        reply->warning = err->cause ? err->cause : err->detail;
    }
}

/* Of the sweep that this call has taken.  Whether it still has it. */
static bool step(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    apr_array_header_t *consequences = apr_array_make(pool, 1, sizeof(scim_consequence));
    bool more = false;
    const scim_error *err = scim_sweep(&more, consequences, call->store, apr_time_now(), pool);

    scim_reply_consequences(reply, consequences, pool);
    if (err) {
        note_failure(reply, err);
    } else if (more) {
        return true;
    }
    scim_sweep_leave(call->store);
    return !err && scim_sweep_take(call->store);
}

void scim_reply_sweep(scim_reply *reply, const scim_call *call, apr_interval_time_t time,
                      apr_pool_t *pool)
{
    apr_time_t end = apr_time_now() + time;
    bool more = scim_sweep_take(call->store);

    while (more && apr_time_now() < end) {
        more = step(reply, call, pool);
    }
    reply->unfinished = more;
}

apr_int64_t scim_reply_taken(const scim_reply *reply, const scim_id *group)
{
    apr_int64_t count = 0;
    int i;

    for (i = 0; reply->events && i < reply->events->nelts; i++) {
        const scim_id *cause = APR_ARRAY_IDX(reply->events, i, scim_event).cause;

        count += cause && !scim_id_compare(cause, group);
    }
    return count;
}

void scim_service_go_on(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_id group;

    reply->events = NULL;
    reply->unfinished = step(reply, call, pool);
    if (call->method == SCIM_DELETE && call->target.type->members &&
        scim_id_parse(&group, reply->id)) {
        reply->count += scim_reply_taken(reply, &group);
    }
}

void scim_service_leave(scim_reply *reply, const scim_call *call)
{
    scim_sweep_leave(call->store);
    reply->unfinished = false;
}
