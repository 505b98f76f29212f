/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups with many members, told while they are read: the group first, then its
 * members a slice at a time, each in a view of its own, so that neither the
 * memory nor the store's oldest pages are held for a client that reads slowly.
 * What changes meanwhile may be told or not; the version is that of the
 * beginning.
 */
#include <string.h>

#include "scim/member.h"

#include "handler.h"

/* Members of a slice: some 64 KiB of text. */
#define SLICE 400

/* Up to so many a body is made whole. */
#define WHOLE 1000

typedef struct member_stream {
    scim_stream base;
    const scim_call *call;
    scim_render how;
    const scim_resource_type *type;
    scim_id group;
    scim_member_slice slice;
    scim_buffer *out;
    apr_pool_t *scratch;
} member_stream;

static const scim_error *read_slice(scim_view *view, void *baton)
{
    member_stream *s = baton;

    SCIM_ERR(scim_tenant_check(view, s->how.tenant));
    return scim_render_members(s->out, &s->how, view, s->type, &s->group, &s->slice, SLICE,
                               s->scratch);
}

static const scim_error *next_slice(scim_stream *base, scim_buffer *out, bool *end,
                                    apr_pool_t *scratch_pool)
{
    member_stream *s = (member_stream *)base;

    s->out = out;
    s->scratch = scratch_pool;
    SCIM_ERR(scim_store_view(s->call->store, read_slice, s, scratch_pool));
    *end = !s->slice.more;
    if (*end) {
        scim_buffer_puts(out, "}");
    }
    return NULL;
}

const scim_error *scim_stream_members(scim_stream **out, const scim_call *call,
                                      const scim_render *how, scim_view *view,
                                      const scim_record *record, apr_pool_t *pool)
{
    const scim_attribute *members = record->type->members;
    apr_uint64_t count = 0;
    member_stream *s;

    *out = NULL;
    if (view && members && scim_projection_wants(how->projection, members)) {
        SCIM_ERR(scim_member_count(&count, view, how->tenant, &record->id));
    }
    if (count <= WHOLE) {
        return NULL;
    }
    s = apr_pcalloc(pool, sizeof(*s));
    s->base.next = next_slice;
    s->call = call;
    s->how = *how;
    s->type = record->type;
    s->group = record->id;
    *out = &s->base;
    return NULL;
}
