/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handlers put into a reply: a resource with the headers that belong to
 * it, and the words for the audit.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/json.h"

#include "handler.h"

static void note_id(scim_reply *reply, const scim_id *id, apr_pool_t *pool)
{
    reply->id = scim_id_format(id, apr_palloc(pool, SCIM_ID_TEXT + 1));
}

void scim_reply_note(scim_reply *reply, const scim_change *change, apr_pool_t *pool)
{
    note_id(reply, &change->record.id, pool);
    if (change->names && change->names->nelts) {
        reply->changes = apr_array_pstrcat(pool, change->names, ',');
    }
}

static apr_array_header_t *copy_names(const apr_array_header_t *names, apr_pool_t *pool)
{
    apr_array_header_t *copy = apr_array_make(pool, names->nelts, sizeof(const char *));
    int i;

    for (i = 0; i < names->nelts; i++) {
        APR_ARRAY_PUSH(copy, const char *) =
            apr_pstrdup(pool, APR_ARRAY_IDX(names, i, const char *));
    }
    return copy;
}

void scim_reply_event(scim_reply *reply, const scim_event *event, apr_pool_t *pool)
{
    scim_event *copy;

    if (!reply->events) {
        reply->events = apr_array_make(pool, 1, sizeof(scim_event));
    }
    copy = apr_array_push(reply->events);
    *copy = *event;
    copy->op = apr_pstrdup(pool, event->op);
    if (event->names) {
        copy->names = copy_names(event->names, pool);
    }
    if (event->cause) {
        copy->cause = apr_pmemdup(pool, event->cause, sizeof(*event->cause));
    }
    copy->tenant = apr_pstrdup(pool, event->tenant);
}

void scim_reply_committed(scim_reply *reply, scim_event_kind kind, const char *op,
                          const scim_change *change, apr_pool_t *pool)
{
    scim_event event = {.kind = kind,
                        .op = op,
                        .type = change->record.type,
                        .id = change->record.id,
                        .version = change->record.version,
                        .names = change->names};

    if (kind == SCIM_EVENT_CREATE || change->changed) {
        scim_reply_event(reply, &event, pool);
    }
}

void scim_reply_consequences(scim_reply *reply, const apr_array_header_t *consequences,
                             apr_pool_t *pool)
{
    apr_array_header_t *active = apr_array_make(pool, 1, sizeof(const char *));
    int i;

    APR_ARRAY_PUSH(active, const char *) = "active";
    for (i = 0; i < consequences->nelts; i++) {
        const scim_consequence *of = &APR_ARRAY_IDX(consequences, i, scim_consequence);
        scim_event event = {
            .kind = of->deleted ? SCIM_EVENT_DELETE : SCIM_EVENT_CHANGE,
            .op = scim_route_operation(of->type, of->deleted ? "delete" : "patch", pool),
            .type = of->type,
            .id = of->id,
            .version = of->version,
            .names = of->deleted ? NULL : active,
            .cause = &of->group,
            .tenant = of->tenant};

        scim_reply_event(reply, &event, pool);
    }
}

const scim_error *scim_reply_record(scim_reply *reply, const scim_call *call,
                                    const scim_render *how, scim_view *view,
                                    const scim_record *record, apr_pool_t *pool)
{
    scim_buffer *body = scim_buffer_make(record->json_len + 1024, pool);

    SCIM_ERR(scim_stream_members(&reply->stream, call, how, view, record, pool));
    SCIM_ERR(scim_render_record(body, how, reply->stream ? NULL : view, record, pool));
    reply->body = body->data;
    /* The members go in front of the bracket that ends the resource. */
    reply->body_len = reply->stream ? body->len - 1 : body->len;
    reply->etag = scim_etag_make(record->version, pool);
    reply->location = scim_render_location(call->base_url, record->type, &record->id, pool);
    reply->content_location = reply->location;
    reply->id = reply->location + strlen(reply->location) - SCIM_ID_TEXT;
    return NULL;
}

typedef struct change_view {
    scim_reply *reply;
    const scim_call *call;
    const scim_render *how;
    const scim_record *record;
} change_view;

/* What this change wrote is told with the version that it made, whoever has written
 * since: with a later one its client would overwrite what it never saw.  Of edges
 * there is only the present state: where it is a later one, the version is the older,
 * and the client's next condition fails. */
static const scim_error *show_in_view(scim_view *view, void *baton)
{
    const change_view *show = baton;

    return scim_reply_record(show->reply, show->call, show->how, view, show->record,
                             view->pool);
}

const scim_error *scim_reply_change(scim_reply *reply, const scim_call *call,
                                    const scim_render *how, const scim_change *change,
                                    bool with_edges, apr_pool_t *pool)
{
    scim_reply_note(reply, change, pool);
    if (with_edges && scim_render_wants_edges(how, change->record.type)) {
        change_view show = {reply, call, how, &change->record};

        return scim_store_view(call->store, show_in_view, &show, pool);
    }
    return scim_reply_record(reply, call, how, NULL, &change->record, pool);
}

const scim_projection *scim_reply_projection(const scim_projection *asked,
                                             const json_t *resource, const scim_patch *patch,
                                             const scim_resource_type *type, apr_pool_t *pool)
{
    apr_array_header_t *written = apr_array_make(pool, 2, sizeof(const scim_attribute *));

    if (patch) {
        scim_patch_wrote(patch, written);
    } else {
        scim_projection_wrote_resource(written, resource, type);
    }
    return scim_projection_answer(asked, written, type, pool);
}

void scim_reply_json(scim_reply *reply, const json_t *json, apr_pool_t *pool)
{
    reply->status = 200;
    reply->body = scim_json_write(json, &reply->body_len, pool);
}
