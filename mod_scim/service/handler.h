/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the service share: the handlers of the route table, and
 * what they all need from a call and put into a reply.
 */
#ifndef SCIM_SERVICE_HANDLER_H
#define SCIM_SERVICE_HANDLER_H

#include <jansson.h>

#include "scim/buffer.h"
#include "scim/id.h"
#include "scim/patch.h"
#include "scim/project.h"
#include "scim/render.h"
#include "scim/resource.h"
#include "scim/service.h"

/* route.c: the whole table, for what is to hold of every route. */
const scim_route *scim_route_table(apr_size_t *count);

/* A resource type's endpoint: create.c, read.c, list.c, change.c, delete.c. */
const scim_error *scim_handle_create(scim_reply *reply, const scim_call *call,
                                     apr_pool_t *pool);
const scim_error *scim_handle_read(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_list(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_search(scim_reply *reply, const scim_call *call,
                                     apr_pool_t *pool);
const scim_error *scim_handle_replace(scim_reply *reply, const scim_call *call,
                                      apr_pool_t *pool);
const scim_error *scim_handle_patch(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_delete(scim_reply *reply, const scim_call *call,
                                     apr_pool_t *pool);

/* read.c: shows a record as GET does, on the conditions of the call. */
const scim_error *scim_read_record(scim_reply *reply, const scim_call *call,
                                   const scim_render *how, scim_view *view,
                                   const scim_record *record);

/* discovery.c */
const scim_error *scim_handle_config(scim_reply *reply, const scim_call *call,
                                     apr_pool_t *pool);
const scim_error *scim_handle_types(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_type(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_schemas(scim_reply *reply, const scim_call *call,
                                      apr_pool_t *pool);
const scim_error *scim_handle_schema(scim_reply *reply, const scim_call *call,
                                     apr_pool_t *pool);

/* bulk.c, me.c */
const scim_error *scim_handle_bulk(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_me(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
const scim_error *scim_handle_change_me(scim_reply *reply, const scim_call *call,
                                        apr_pool_t *pool);

/* change.c: the body of a PUT or PATCH, and the scim_draft_fn that reads it. */
typedef struct scim_change_body {
    const scim_resource_type *type;
    bool lenient;
    bool patch_body;       /* a PatchOp, not a resource */
    const scim_call *call; /* whose body is read; not looked at where message is given */
    json_t *message;
    apr_pool_t *pool; /* the request's: what was read is kept for another attempt */
    /* what was read */
    json_t *resource;
    const scim_patch *patch;
} scim_change_body;

const scim_error *scim_change_draft(scim_draft *draft, const json_t *existing, void *baton,
                                    apr_pool_t *result_pool);

/* call.c */

/* 428 where the endpoint wants an If-Match and there is none (RFC 6585). */
const scim_error *scim_call_check_if_match(const scim_call *call, const char *if_match,
                                           apr_pool_t *result_pool);

/* The conditions of a change. */
scim_precondition scim_call_precondition(const scim_call *call);

/* 403 where the tenant is suspended. */
const scim_error *scim_call_check_tenant(const scim_tenant *tenant, apr_pool_t *result_pool);

/* Text of a client as a detail may show it: at most 64 bytes, and "?" for
 * each that is not printable ASCII. */
const char *scim_call_shown(const char *text, apr_pool_t *result_pool);

/* The id of the resource in the path; 404 where it cannot be one. */
const scim_error *scim_call_id(scim_id *out, const scim_call *call, apr_pool_t *result_pool);

/* Likewise of any text that stands for the id of a resource. */
const scim_error *scim_call_parse_id(scim_id *out, const scim_resource_type *type,
                                     const char *text, apr_pool_t *result_pool);

/* How the resources in the answer are to look; how->projection is NULL where
 * the query string asks for nothing. */
const scim_error *scim_call_render(scim_render *out, const scim_call *call,
                                   apr_pool_t *result_pool);

/* What attributes and excludedAttributes of the query string ask for. */
const scim_error *scim_call_projection(const scim_projection **out, const scim_call *call,
                                       apr_pool_t *result_pool);

/* 415 for a body of a type that is not JSON. */
const scim_error *scim_call_check_type(const scim_call *call, apr_pool_t *result_pool);

/* The JSON object in the body. */
const scim_error *scim_call_body(json_t **out, const scim_call *call, apr_pool_t *result_pool);

/* Whether the "schemas" of a message name the URN. */
bool scim_call_is_message(const json_t *message, const char *urn);

/* stream.c */

/* The members of a group that has too many for one piece of memory; NULL for any
 * other record, and where they are not wanted or there is no view. */
const scim_error *scim_stream_members(scim_stream **out, const scim_call *call,
                                      const scim_render *how, scim_view *view,
                                      const scim_record *record, apr_pool_t *pool);

/* reply.c */

/* Shows a record: body, and the headers that repeat its meta.  view is needed
 * where scim_render_wants_edges says so. */
const scim_error *scim_reply_record(scim_reply *reply, const scim_call *call,
                                    const scim_render *how, scim_view *view,
                                    const scim_record *record, apr_pool_t *pool);

/* Shows what a mutation left.  Edges are read in a view of their own, together
 * with the record as it is by then, so that body and version belong together
 * whatever others wrote meanwhile; with_edges false says that there are none. */
const scim_error *scim_reply_change(scim_reply *reply, const scim_call *call,
                                    const scim_render *how, const scim_change *change,
                                    bool with_edges, apr_pool_t *pool);

/* What the answer to a change shows: what was asked (or NULL) and what was
 * written, in a resource or a patch, of the attributes that are returned on
 * request. */
const scim_projection *scim_reply_projection(const scim_projection *asked,
                                             const json_t *resource, const scim_patch *patch,
                                             const scim_resource_type *type, apr_pool_t *pool);

/* The audit's words on a mutation: id and names of the changed attributes. */
void scim_reply_note(scim_reply *reply, const scim_change *change, apr_pool_t *pool);

/* Adds what was committed to the events of the call; all of the event is
 * copied. */
void scim_reply_event(scim_reply *reply, const scim_event *event, apr_pool_t *pool);

/* Likewise a creation or a change by the operation op ("users.patch"), where it
 * changed anything. */
void scim_reply_committed(scim_reply *reply, scim_event_kind kind, const char *op,
                          const scim_change *change, apr_pool_t *pool);

/* Likewise what the deletion of a group did to its members. */
void scim_reply_consequences(scim_reply *reply, const apr_array_header_t *consequences,
                             apr_pool_t *pool);

/* A body of our own JSON. */
void scim_reply_json(scim_reply *reply, const json_t *json, apr_pool_t *pool);

/* leftover.c */

/* Takes what deletions of large groups have left, unless another thread does;
 * goes on with it as long as steps begin within that time, and notes what they
 * did.  The change that the call is about is done: nothing that fails here is
 * its error.  reply->unfinished says whether it is still to be gone on with. */
void scim_reply_sweep(scim_reply *reply, const scim_call *call, apr_interval_time_t time,
                      apr_pool_t *pool);

/* How many events of the reply follow from the deletion of a group. */
apr_int64_t scim_reply_taken(const scim_reply *reply, const scim_id *group);

/* route.c */

/* "users.create" for the operation "create" of the endpoint "/Users"; op itself
 * without a type. */
const char *scim_route_operation(const scim_resource_type *type, const char *op,
                                 apr_pool_t *result_pool);

#endif
