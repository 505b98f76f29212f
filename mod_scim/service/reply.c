/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handlers put into a reply: a resource with the headers that belong to
 * it, and the words for the audit.
 */
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

const scim_error *scim_reply_record(scim_reply *reply, const scim_call *call,
                                    const scim_render *how, scim_view *view,
                                    const scim_record *record, apr_pool_t *pool)
{
    scim_buffer *body = scim_buffer_make(record->json_len + 1024, pool);

    SCIM_ERR(scim_render_record(body, how, view, record, pool));
    reply->body = body->data;
    reply->body_len = body->len;
    reply->etag = scim_etag_make(record->version, pool);
    reply->location = scim_render_location(call->base_url, record->type, &record->id, pool);
    reply->content_location = reply->location;
    note_id(reply, &record->id, pool);
    return NULL;
}

typedef struct change_view {
    scim_reply *reply;
    const scim_call *call;
    const scim_render *how;
    const scim_record *record;
} change_view;

static const scim_error *show_in_view(scim_view *view, void *baton)
{
    const change_view *show = baton;
    scim_record now;
    const scim_error *err = scim_resource_get(&now, view, &show->call->identity->tenant,
                                              show->record->type, &show->record->id);

    if (err && err->code == SCIM_E_NOT_FOUND) {
        /* Deleted since; what was written is still what is to be told. */
        return scim_reply_record(show->reply, show->call, show->how, NULL, show->record,
                                 view->pool);
    }
    SCIM_ERR(err);
    return scim_reply_record(show->reply, show->call, show->how, view, &now, view->pool);
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
