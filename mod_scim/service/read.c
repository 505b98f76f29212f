/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET of one resource (RFC 7644 section 3.4.1).
 */
#include "scim/etag.h"

#include "handler.h"

typedef struct read_baton {
    scim_reply *reply;
    const scim_call *call;
    const scim_render *how;
    scim_id id;
} read_baton;

static const scim_error *not_modified(scim_reply *reply, const scim_call *call,
                                      const scim_record *record, apr_pool_t *pool)
{
    reply->status = 304;
    reply->etag = scim_etag_make(record->version, pool);
    reply->content_location =
        scim_render_location(call->base_url, record->type, &record->id, pool);
    return NULL;
}

/* Times of headers are whole seconds. */
static bool is_unmodified(const scim_call *call, const scim_record *record)
{
    if (call->if_none_match) {
        return scim_etag_match(call->if_none_match, record->version);
    }
    return call->if_modified_since &&
           apr_time_sec(record->modified) <= apr_time_sec(call->if_modified_since);
}

/* The order of the conditions is that of RFC 9110 section 13.2.2. */
const scim_error *scim_read_record(scim_reply *reply, const scim_call *call,
                                   const scim_render *how, scim_view *view,
                                   const scim_record *record)
{
    scim_precondition precondition = {call->if_match, call->if_unmodified_since, NULL};

    if (!scim_precondition_holds(&precondition, record)) {
        return scim_precondition_failed(record, view->pool);
    }
    if (is_unmodified(call, record)) {
        return not_modified(reply, call, record, view->pool);
    }
    reply->status = 200;
    return scim_reply_record(reply, call, how, view, record, view->pool);
}

static const scim_error *read_in_view(scim_view *view, void *baton)
{
    const read_baton *read = baton;
    const scim_call *call = read->call;
    scim_record record;

    SCIM_ERR(scim_resource_get(&record, view, read->how->tenant, call->target.type, &read->id));
    return scim_read_record(read->reply, call, read->how, view, &record);
}

const scim_error *scim_handle_read(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_render how;
    read_baton read = {reply, call, &how, {{0}}};

    SCIM_ERR(scim_call_id(&read.id, call, pool));
    SCIM_ERR(scim_call_render(&how, call, pool));
    return scim_store_view(call->store, read_in_view, &read, pool);
}
