/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the deletion of a large group left to do is done by those who write
 * after it, a step each.
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

void scim_reply_sweep(scim_reply *reply, const scim_call *call, apr_interval_time_t time,
                      apr_pool_t *pool)
{
    apr_array_header_t *consequences = apr_array_make(pool, 1, sizeof(scim_consequence));
    apr_time_t now = apr_time_now(), end = now + time;
    const scim_error *err;
    bool more;

    do {
        err = scim_sweep(&more, consequences, call->store, now, pool);
        now = apr_time_now();
    } while (!err && more && now < end);
    if (err) {
        note_failure(reply, err);
    }
    scim_reply_consequences(reply, consequences, pool);
}
