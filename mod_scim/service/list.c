/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET of a resource type's endpoint: filter and index paging (RFC 7644
 * sections 3.4.2, 3.4.2.2 and 3.4.2.4).
 */
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/params.h"

#include "handler.h"

typedef struct list_baton {
    scim_query query;
    scim_render how;
    scim_buffer *resources; /* the elements of "Resources" */
    apr_int64_t shown;
    apr_uint64_t total;
    apr_pool_t *scratch_pool; /* of one record */
} list_baton;

static const scim_error *show_record(scim_view *view, const scim_record *record, void *baton)
{
    list_baton *list = baton;

    if (list->shown++) {
        scim_buffer_puts(list->resources, ",");
    }
    apr_pool_clear(list->scratch_pool);
    return scim_render_record(list->resources, &list->how, view, record, list->scratch_pool);
}

static const scim_error *list_in_view(scim_view *view, void *baton)
{
    list_baton *list = baton;

    return scim_resource_query(&list->total, view, list->how.tenant, &list->query, show_record,
                               list);
}

static void frame(scim_reply *reply, const list_baton *list, apr_pool_t *pool)
{
    scim_buffer *body = scim_buffer_make(list->resources->len + 256, pool);

    scim_buffer_puts(body,
                     apr_psprintf(pool,
                                  "{\"schemas\":[\"" SCIM_URN_LIST "\"],"
                                  "\"totalResults\":%" APR_UINT64_T_FMT
                                  ",\"startIndex\":%" APR_UINT64_T_FMT
                                  ",\"itemsPerPage\":%" APR_INT64_T_FMT ",\"Resources\":[",
                                  list->total, list->query.start, list->shown));
    scim_buffer_add(body, list->resources->data, list->resources->len);
    scim_buffer_puts(body, "]}");
    reply->status = 200;
    reply->body = body->data;
    reply->body_len = body->len;
    reply->count = list->shown;
}

const scim_error *scim_handle_list(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    list_baton list = {.resources = scim_buffer_make(1024, pool)};
    apr_int64_t start, count;
    scim_params params;

    SCIM_ERR(scim_params_read(&params, call->query, pool));
    SCIM_ERR(scim_params_page(&start, &count, &params, call->wire, pool));
    SCIM_ERR(scim_call_render(&list.how, call, pool));
    list.query.type = call->target.type;
    list.query.start = (apr_uint64_t)start;
    list.query.count = (apr_uint64_t)count;
    if (params.filter) {
        SCIM_ERR(scim_filter_parse(&list.query.filter, params.filter, call->target.type,
                                   call->wire->lenient, pool));
    }
    apr_pool_create(&list.scratch_pool, pool);
    SCIM_ERR(scim_store_view(call->store, list_in_view, &list, pool));
    frame(reply, &list, pool);
    return NULL;
}
