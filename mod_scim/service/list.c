/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: GET and POST .search, of one resource type or of all (RFC 7644
 * sections 3.4.2 and 3.4.3); paging by index, or by cursor (RFC 9865).
 *
 * A page is put together in memory, but for the members of large groups: where
 * they belong is noted, and they are read when the answer is sent.
 */
#include <apr_strings.h>

#include "scim/cursor.h"
#include "scim/filter.h"
#include "scim/json.h"
#include "scim/member.h"
#include "scim/params.h"

#include "handler.h"

/* What a page grows to, but for its last resource. */
#define PAGE_BYTES (16 * 1024 * 1024)

/* Room for one of the usual size. */
#define RESOURCE_BYTES 3000

/* About what one member is told in. */
#define MEMBER_BYTES 150

/* A group in the page whose members are not there yet, nor its end. */
typedef struct gap {
    apr_size_t at; /* in the text of the page */
    scim_stream *members;
} gap;

typedef struct list_baton {
    const scim_call *call;
    scim_params params;
    scim_query query;
    scim_query_part *parts;
    scim_render *how;         /* of each part */
    scim_buffer *resources;   /* the elements of "Resources" */
    apr_array_header_t *gaps; /* of gap, in resources */
    apr_uint64_t missing;     /* bytes that will stand in the gaps, about */
    apr_int64_t shown;
    scim_page page;
    scim_position last;       /* that is shown */
    bool full;                /* there are more, which are left to the next page */
    apr_pool_t *scratch_pool; /* of one record */
} list_baton;

static int part_of(const list_baton *list, const scim_resource_type *type)
{
    int i = 0;

    while (list->parts[i].type != type) {
        i++;
    }
    return i;
}

/* Between types, a position without a sort says in which it is. */
static void note_position(list_baton *list, const scim_record *record, apr_pool_t *pool)
{
    list->last = list->page.last;
    if (!list->parts[0].sort && list->query.parts_count > 1) {
        unsigned char *part = apr_palloc(pool, 1);

        *part = (unsigned char)part_of(list, record->type);
        list->last.key = (scim_sort_key){part, 1};
    }
}

static const scim_error *show(list_baton *list, scim_view *view, const scim_record *record)
{
    const scim_render *how = &list->how[part_of(list, record->type)];
    apr_uint64_t count;
    scim_stream *members;

    apr_pool_clear(list->scratch_pool);
    SCIM_ERR(scim_stream_members(&members, list->call, how, view, record, view->pool));
    SCIM_ERR(scim_render_record(list->resources, how, members ? NULL : view, record,
                                list->scratch_pool));
    if (members) {
        /* They go in front of the bracket that ends the group. */
        list->resources->len--;
        APR_ARRAY_PUSH(list->gaps, gap) = (gap){list->resources->len, members};
        SCIM_ERR(scim_member_count(&count, view, how->tenant, &record->id));
        list->missing += count * MEMBER_BYTES;
    }
    return NULL;
}

/* A page of huge resources ends early; clients go on behind its last. */
static const scim_error *show_record(scim_view *view, const scim_record *record, void *baton)
{
    list_baton *list = baton;

    list->full = list->full || list->resources->len + list->missing >= PAGE_BYTES;
    if (list->full) {
        return NULL;
    }
    if (list->shown++) {
        scim_buffer_puts(list->resources, ",");
    }
    note_position(list, record, view->pool);
    return show(list, view, record);
}

static const scim_error *list_in_view(scim_view *view, void *baton)
{
    list_baton *list = baton;

    return scim_resource_query(&list->page, view, &list->call->identity->tenant, &list->query,
                               show_record, list);
}

/* Cursors */

/* What a cursor is bound to, besides the tenant: everything that decides which
 * resources come, in which order, and how they look. */
static scim_cursor_scope scope_of(const list_baton *list, apr_pool_t *pool)
{
    const scim_params *params = &list->params;
    const char *const words[] = {params->filter, params->sort_by, params->sort_order,
                                 params->attributes, params->excluded_attributes};
    const char *query = "";
    int i;

    for (i = 0; i < list->query.parts_count; i++) {
        query = apr_pstrcat(pool, query, list->parts[i].type->endpoint, NULL);
    }
    for (i = 0; i < (int)(sizeof(words) / sizeof(words[0])); i++) {
        query = apr_pstrcat(pool, query, "\x1f", words[i] ? words[i] : "", NULL);
    }
    return (scim_cursor_scope){&list->call->identity->tenant, query, list->query.count};
}

static const scim_error *read_cursor(list_baton *list, apr_pool_t *pool)
{
    const char *cursor = list->params.cursor;
    scim_cursor_scope scope = scope_of(list, pool);
    scim_position *after;

    /* A page of none has no end to go on from: it is asked for the total. */
    list->query.by_cursor = cursor && list->query.count;
    if (!cursor || !*cursor) {
        return NULL;
    }
    after = apr_pcalloc(pool, sizeof(*after));
    list->query.after = after;
    return scim_cursor_open(after, list->call->store, &scope, cursor, list->call->now, pool);
}

static const scim_error *next_cursor(const char **out, const list_baton *list, apr_pool_t *pool)
{
    scim_cursor_scope scope = scope_of(list, pool);

    *out = NULL;
    if (!list->query.by_cursor || !(list->page.more || list->full)) {
        return NULL;
    }
    return scim_cursor_seal(out, list->call->store, &scope, &list->last,
                            list->call->now + list->call->wire->cursor_timeout, pool);
}

/* What is asked */

static const scim_error *read_filter(const scim_filter **out, const list_baton *list,
                                     const scim_resource_type *type, apr_pool_t *pool)
{
    const scim_call *call = list->call;
    const char *text = list->params.filter;

    *out = NULL;
    if (!text) {
        return NULL;
    }
    return call->target.type ? scim_filter_parse(out, text, type, call->wire->lenient, pool)
                             : scim_filter_parse_any(out, text, type, call->registry,
                                                     call->wire->lenient, pool);
}

static const scim_error *read_part(list_baton *list, int i, const scim_resource_type *type,
                                   bool *known, apr_pool_t *pool)
{
    const scim_params *params = &list->params;

    list->parts[i].type = type;
    SCIM_ERR(read_filter(&list->parts[i].filter, list, type, pool));
    list->how[i].base_url = list->call->base_url;
    list->how[i].registry = list->call->registry;
    list->how[i].tenant = &list->call->identity->tenant;
    SCIM_ERR(scim_sort_parse_any(&list->parts[i].sort, known, params->sort_by,
                                 params->sort_order, type, pool));
    return scim_projection_parse(&list->how[i].projection, params->attributes,
                                 params->excluded_attributes, type, pool);
}

/* One part for a type's endpoint, one for each type at the root. */
static const scim_error *read_parts(list_baton *list, apr_pool_t *pool)
{
    const scim_resource_type *type = list->call->target.type;
    const scim_registry *registry = list->call->registry;
    int i, count = type ? 1 : registry->types_count;
    bool known = false;

    list->parts = apr_pcalloc(pool, sizeof(*list->parts) * (apr_size_t)count);
    list->how = apr_pcalloc(pool, sizeof(*list->how) * (apr_size_t)count);
    for (i = 0; i < count; i++) {
        bool here;

        SCIM_ERR(read_part(list, i, type ? type : &registry->types[i], &here, pool));
        known = known || here;
    }
    if (!known) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE,
                               "sortBy: there is no attribute \"%s\" here",
                               scim_call_shown(list->params.sort_by, pool));
    }
    list->query.parts = list->parts;
    list->query.parts_count = count;
    list->query.base_url = list->call->base_url;
    return NULL;
}

/* The answer */

static void put_paging(scim_buffer *body, const list_baton *list, const char *cursor,
                       apr_pool_t *pool)
{
    if (list->page.total >= 0) {
        scim_buffer_puts(
            body, apr_psprintf(pool, ",\"totalResults\":%" APR_INT64_T_FMT, list->page.total));
    }
    if (!list->params.cursor) {
        scim_buffer_puts(
            body, apr_psprintf(pool, ",\"startIndex\":%" APR_UINT64_T_FMT, list->query.start));
    }
    scim_buffer_puts(body,
                     apr_psprintf(pool, ",\"itemsPerPage\":%" APR_INT64_T_FMT, list->shown));
    if (cursor) {
        scim_buffer_puts(body, apr_pstrcat(pool, ",\"nextCursor\":\"", cursor, "\"", NULL));
    }
}

/* The text of a page, and what fills its gaps while it is sent. */
typedef struct page_stream {
    scim_stream base;
    const scim_buffer *text;
    const apr_array_header_t *gaps;
    int filled; /* of these */
} page_stream;

/* Up to the next gap, or to the end of the page. */
static void add_text(scim_buffer *out, const page_stream *s)
{
    apr_size_t from = APR_ARRAY_IDX(s->gaps, s->filled - 1, gap).at;
    apr_size_t to =
        s->filled < s->gaps->nelts ? APR_ARRAY_IDX(s->gaps, s->filled, gap).at : s->text->len;

    scim_buffer_add(out, s->text->data + from, to - from);
}

static const scim_error *next_piece(scim_stream *base, scim_buffer *out, bool *end,
                                    apr_pool_t *scratch_pool)
{
    page_stream *s = (page_stream *)base;
    scim_stream *members = APR_ARRAY_IDX(s->gaps, s->filled, gap).members;
    bool whole;

    SCIM_ERR(members->next(members, out, &whole, scratch_pool));
    if (whole) {
        s->filled++;
        add_text(out, s);
    }
    *end = s->filled == s->gaps->nelts;
    return NULL;
}

static void put_resources(scim_buffer *body, const list_baton *list)
{
    int i;

    for (i = 0; i < list->gaps->nelts; i++) {
        APR_ARRAY_IDX(list->gaps, i, gap).at += body->len;
    }
    scim_buffer_add(body, list->resources->data, list->resources->len);
}

static const scim_error *frame(scim_reply *reply, const list_baton *list, apr_pool_t *pool)
{
    scim_buffer *body = scim_buffer_make(list->resources->len + 512, pool);
    const char *cursor;

    SCIM_ERR(next_cursor(&cursor, list, pool));
    scim_buffer_puts(body, "{\"schemas\":[\"" SCIM_URN_LIST "\"]");
    put_paging(body, list, cursor, pool);
    scim_buffer_puts(body, ",\"Resources\":[");
    put_resources(body, list);
    scim_buffer_puts(body, "]}");
    reply->status = 200;
    reply->body = body->data;
    reply->body_len = body->len;
    reply->count = list->shown;
    if (list->gaps->nelts) {
        page_stream *stream = apr_pcalloc(pool, sizeof(*stream));

        *stream = (page_stream){{next_piece}, body, list->gaps, 0};
        reply->stream = &stream->base;
        reply->body_len = APR_ARRAY_IDX(list->gaps, 0, gap).at;
    }
    return NULL;
}

static const scim_error *run(scim_reply *reply, list_baton *list, apr_pool_t *pool)
{
    apr_int64_t start, count;

    SCIM_ERR(scim_params_page(&start, &count, &list->params, list->call->wire, pool));
    list->query.start = (apr_uint64_t)start;
    list->query.count = (apr_uint64_t)count;
    SCIM_ERR(read_parts(list, pool));
    SCIM_ERR(read_cursor(list, pool));
    list->resources = scim_buffer_make(RESOURCE_BYTES, pool);
    list->gaps = apr_array_make(pool, 1, sizeof(gap));
    apr_pool_create(&list->scratch_pool, pool);
    SCIM_ERR(scim_store_view(list->call->store, list_in_view, list, pool));
    return frame(reply, list, pool);
}

const scim_error *scim_handle_list(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    list_baton list = {.call = call};

    SCIM_ERR(scim_params_read(&list.params, call->query, pool));
    return run(reply, &list, pool);
}

const scim_error *scim_handle_search(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    list_baton list = {.call = call};
    json_t *message;

    SCIM_ERR(scim_call_body(&message, call, pool));
    SCIM_ERR(scim_params_search(&list.params, message, pool));
    return run(reply, &list, pool);
}
