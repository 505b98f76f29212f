/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: GET and POST .search, of one resource type or of all (RFC 7644
 * sections 3.4.2 and 3.4.3); paging by index, or by cursor (RFC 9865).
 */
#include <apr_strings.h>

#include "scim/cursor.h"
#include "scim/filter.h"
#include "scim/json.h"
#include "scim/params.h"

#include "handler.h"

/* What a page grows to, but for its last resource. */
#define PAGE_BYTES (16 * 1024 * 1024)

typedef struct list_baton {
    const scim_call *call;
    scim_params params;
    scim_query query;
    scim_query_part *parts;
    scim_render *how;       /* of each part */
    scim_buffer *resources; /* the elements of "Resources" */
    apr_int64_t shown;
    scim_page page;
    apr_pool_t *scratch_pool; /* of one record */
} list_baton;

static const scim_render *how_of(const list_baton *list, const scim_resource_type *type)
{
    int i = 0;

    while (list->parts[i].type != type) {
        i++;
    }
    return &list->how[i];
}

static const scim_error *show_record(scim_view *view, const scim_record *record, void *baton)
{
    list_baton *list = baton;

    /* A page of huge resources ends early; clients go on behind the last, but
     * a cursor would go on behind those that are left out. */
    if (list->resources->len >= PAGE_BYTES) {
        return list->query.by_cursor
                   ? scim_error_make(view->pool, SCIM_E_TOO_MANY,
                                     "A page of so many resources would have more than %d "
                                     "bytes: begin again with a smaller count",
                                     PAGE_BYTES)
                   : NULL;
    }
    if (list->shown++) {
        scim_buffer_puts(list->resources, ",");
    }
    apr_pool_clear(list->scratch_pool);
    return scim_render_record(list->resources, how_of(list, record->type), view, record,
                              list->scratch_pool);
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
    if (!list->query.by_cursor || !list->page.more) {
        return NULL;
    }
    return scim_cursor_seal(out, list->call->store, &scope, &list->page.last,
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

static const scim_error *frame(scim_reply *reply, const list_baton *list, apr_pool_t *pool)
{
    scim_buffer *body = scim_buffer_make(list->resources->len + 512, pool);
    const char *cursor;

    SCIM_ERR(next_cursor(&cursor, list, pool));
    scim_buffer_puts(body, "{\"schemas\":[\"" SCIM_URN_LIST "\"]");
    put_paging(body, list, cursor, pool);
    scim_buffer_puts(body, ",\"Resources\":[");
    scim_buffer_add(body, list->resources->data, list->resources->len);
    scim_buffer_puts(body, "]}");
    reply->status = 200;
    reply->body = body->data;
    reply->body_len = body->len;
    reply->count = list->shown;
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
    list->resources = scim_buffer_make(1024, pool);
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
