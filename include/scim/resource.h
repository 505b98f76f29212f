/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources in the store: reading one, finding many, and the three mutations.
 *
 * The stored JSON of a resource (a record's json) has neither id, meta,
 * groups, members nor password: a reader puts the first four around it.
 */
#ifndef SCIM_RESOURCE_H
#define SCIM_RESOURCE_H

#include <stdbool.h>

#include <apr_tables.h>
#include <apr_time.h>

#include "scim/draft.h"
#include "scim/filter.h"
#include "scim/id.h"
#include "scim/store.h"
#include "scim/tenant.h"

typedef struct scim_record {
    scim_id id;
    const scim_resource_type *type;
    apr_uint64_t version; /* of the ETag: a group's counts changes of membership too */
    apr_time_t created;
    apr_time_t modified; /* likewise */
    const char *display; /* displayName, else userName; not NUL-terminated */
    apr_size_t display_len;
    const char *json; /* not NUL-terminated */
    apr_size_t json_len;
} scim_record;

/* What a mutation left: the record as it now is, its strings in the
 * mutation's result_pool. */
typedef struct scim_change {
    scim_record record;
    bool changed;              /* false: nothing was to do, version and modified stand */
    apr_array_header_t *names; /* of const char *: the attributes that changed */
} scim_change;

/* Conditions of RFC 7644 section 3.14, judged inside the transaction; the
 * headers' values or NULL. */
typedef struct scim_precondition {
    const char *if_match;
} scim_precondition;

/* Makes the draft of a change from the stored JSON.  Called once or several
 * times, each time with what is stored at that moment. */
typedef const scim_error *(*scim_draft_fn)(scim_draft *draft, const json_t *existing,
                                           void *baton, apr_pool_t *result_pool);

/* 404 where the tenant has no such resource of that type. */
const scim_error *scim_resource_get(scim_record *out, scim_view *view,
                                    const scim_tenant *tenant,
                                    const scim_resource_type *type, const scim_id *id);

/* 409 uniqueness for a value that must be unique and is taken (the detail
 * names attribute and value); 400 invalidValue for a reference to nothing,
 * unless the tenant allows it.  lenient: an unknown manager is stored. */
const scim_error *scim_resource_create(scim_change *out, scim_store *store,
                                       const scim_tenant *tenant, const scim_draft *draft,
                                       bool lenient, apr_time_t now, apr_pool_t *result_pool);

/* PUT and PATCH: 404, 412, then what draft_fn says, then as create.  A draft
 * that equals what is stored changes nothing. */
const scim_error *scim_resource_change(scim_change *out, scim_store *store,
                                       const scim_tenant *tenant,
                                       const scim_resource_type *type, const scim_id *id,
                                       const scim_precondition *precondition,
                                       scim_draft_fn draft_fn, void *baton, bool lenient,
                                       apr_time_t now, apr_pool_t *result_pool);

/* Removes a resource, its memberships on either side, and the references to
 * it (RFC 7644 section 3.6); its unique values are free again. 404, 412. */
const scim_error *scim_resource_delete(scim_store *store, const scim_tenant *tenant,
                                       const scim_resource_type *type, const scim_id *id,
                                       const scim_precondition *precondition,
                                       apr_time_t now, apr_pool_t *result_pool);

typedef struct scim_query {
    const scim_resource_type *type;
    const scim_filter *filter; /* or NULL */
    apr_uint64_t start;        /* from 1 */
    apr_uint64_t count;        /* at most so many are handed out */
    const char *base_url;      /* what meta.location and $ref begin with for the filter;
                                  NULL: they are relative to it */
} scim_query;

typedef const scim_error *(*scim_record_fn)(scim_view *view, const scim_record *record,
                                            void *baton);

/* Hands out the records of a page, in the order of creation, and counts all
 * that match in *total.  400 tooMany where more records would have to be read
 * than the store's scan limit. */
const scim_error *scim_resource_query(apr_uint64_t *total, scim_view *view,
                                      const scim_tenant *tenant, const scim_query *query,
                                      scim_record_fn found, void *baton);

#endif
