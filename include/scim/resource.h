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
#include "scim/sort.h"
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

/* Conditions of RFC 7644 section 3.14 and RFC 9110 section 13.2.2, judged
 * inside the transaction; the headers' values or NULL. */
typedef struct scim_precondition {
    const char *if_match;
    apr_time_t if_unmodified_since; /* 0: none; not looked at beside if_match */
    const char *if_none_match;
} scim_precondition;

/* Whether a resource as it is satisfies all conditions. */
bool scim_precondition_holds(const scim_precondition *precondition, const scim_record *record);
/* 412, for one that does not. */
const scim_error *scim_precondition_failed(const scim_record *record, apr_pool_t *result_pool);

/* Makes the draft of a change from the stored JSON.  Called once or several
 * times, each time with what is stored at that moment. */
typedef const scim_error *(*scim_draft_fn)(scim_draft *draft, const json_t *existing,
                                           void *baton, apr_pool_t *result_pool);

/* 404 where the tenant has no such resource of that type. */
const scim_error *scim_resource_get(scim_record *out, scim_view *view,
                                    const scim_tenant *tenant, const scim_resource_type *type,
                                    const scim_id *id);

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

/* What the deletion of a group did to one of its members, by the tenant's
 * SCIMOnGroupDelete. */
typedef struct scim_consequence {
    scim_id id;
    const scim_resource_type *type;
    bool deleted;         /* else deactivated */
    apr_uint64_t version; /* of a deactivated one */
    scim_id group;        /* whose deletion it was */
    const char *tenant;   /* whose directory; a sweep takes whatever is pending */
} scim_consequence;

typedef struct scim_deletion {
    apr_array_header_t *consequences; /* of scim_consequence */
    bool pending;                     /* more are to come: scim/sweep.h */
} scim_deletion;

/* Removes a resource, its memberships on either side, and the references to
 * it (RFC 7644 section 3.6); its unique values are free again.  Of a group
 * that gave a role, the members are treated as the tenant's policy says. 404,
 * 412; 429 where the tenant's brake on mass deletion is on (scim/brake.h). */
const scim_error *scim_resource_delete(scim_deletion *out, scim_store *store,
                                       const scim_tenant *tenant,
                                       const scim_resource_type *type, const scim_id *id,
                                       const scim_precondition *precondition, apr_time_t now,
                                       apr_pool_t *result_pool);

/*
 * Batches: several mutations in one transaction, each whole or not at all.
 * The store takes no other write meanwhile.
 */
typedef struct scim_batch {
    scim_view view;              /* sees what the batch has written so far */
    scim_id last;                /* that was promised */
    apr_size_t bytes;            /* of the resources that it has changed so far */
    int treated;                 /* members of deleted groups, by SCIMOnGroupDelete */
    struct secret_memo *secrets; /* for the mutations only, as is what follows */
    bool hash_now;
    int hashed; /* passwords, under the lock */
} scim_batch;

typedef const scim_error *(*scim_batch_fn)(scim_batch *batch, void *baton);

/* Runs fn; what its mutations wrote is durable when this returns success.  Where
 * passwords are to be hashed, for which nobody may hold the lock, all is undone
 * after a first run, and fn is run again: it keeps nothing from one to the next.  An
 * error that fn returns undoes all of it, and so does a write that the engine
 * refuses.  Any other error of a mutation undoes nothing: that mutation had not
 * begun to write. */
const scim_error *scim_store_batch(scim_store *store, scim_batch_fn fn, void *baton,
                                   apr_pool_t *result_pool);

/* Mints the id of a resource that the batch will create, so that others may
 * refer to it before it is there; a promise that is not kept is taken back. */
const scim_error *scim_batch_promise(scim_id *out, scim_batch *batch, const scim_tenant *tenant,
                                     const scim_resource_type *type, apr_time_t now);
void scim_batch_take_back(scim_batch *batch, const scim_id *id);

/* As the functions above, within a batch; promised is from
 * scim_batch_promise. */
const scim_error *scim_batch_create(scim_change *out, scim_batch *batch,
                                    const scim_tenant *tenant, const scim_draft *draft,
                                    const scim_id *promised, bool lenient, apr_time_t now,
                                    apr_pool_t *result_pool);
const scim_error *scim_batch_change(scim_change *out, scim_batch *batch,
                                    const scim_tenant *tenant, const scim_resource_type *type,
                                    const scim_id *id, const scim_precondition *precondition,
                                    scim_draft_fn draft_fn, void *baton, bool lenient,
                                    apr_time_t now, apr_pool_t *result_pool);
const scim_error *scim_batch_delete(scim_deletion *out, scim_batch *batch,
                                    const scim_tenant *tenant, const scim_resource_type *type,
                                    const scim_id *id, const scim_precondition *precondition,
                                    apr_time_t now, apr_pool_t *result_pool);

/*
 * Queries
 */

/* What is asked of one resource type. */
typedef struct scim_query_part {
    const scim_resource_type *type;
    const scim_filter *filter; /* or NULL */
    const scim_sort *sort;     /* or NULL: the order of creation; a type that lacks the
                                  attribute has an empty path in it */
} scim_query_part;

/* Where a walk stands: the record that was handed out last. */
typedef struct scim_position {
    scim_id id;
    scim_sort_key key; /* empty without a sort */
} scim_position;

typedef struct scim_query {
    const scim_query_part *parts; /* in the order in which types are walked */
    int parts_count;
    const char *base_url;       /* for filters on meta.location; or NULL */
    apr_uint64_t start;         /* from 1; not looked at where after is given */
    apr_uint64_t count;         /* at most so many are handed out */
    bool by_cursor;             /* stops behind the page: total may stay unknown */
    const scim_position *after; /* or NULL */
} scim_query;

typedef struct scim_page {
    apr_int64_t total; /* all that match; -1: not known */
    bool more;         /* by_cursor: there are matches behind the page */
    scim_position last;
} scim_page;

typedef const scim_error *(*scim_record_fn)(scim_view *view, const scim_record *record,
                                            void *baton);

/* Hands out the records of a page in the order of the sort, ties and all else
 * in the order of creation.  400 tooMany where more records would have to be
 * read than the store's scan limit.  What *out holds lives in view->pool. */
const scim_error *scim_resource_query(scim_page *out, scim_view *view,
                                      const scim_tenant *tenant, const scim_query *query,
                                      scim_record_fn found, void *baton);

#endif
