/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left to do after the deletion of a group with many members.
 *
 * The deletion itself commits at once: the group, its name, and a row of table
 * "pending" that says what the tenant's policy wants of the members.  Their
 * edges, deactivations and deletions follow in steps of bounded size.  Until
 * then an edge to a group that is not there counts for nothing, and who asks
 * about a member of a pending group is told what the sweep will leave it as.
 *
 * Who sweeps takes the store for it first, so that one thread of a process
 * does and all others write on; several processes sweep beside each other.
 */
#ifndef SCIM_SWEEP_H
#define SCIM_SWEEP_H

#include <stdbool.h>

#include <apr_tables.h>
#include <apr_time.h>

#include "scim/id.h"
#include "scim/resource.h"
#include "scim/store.h"
#include "scim/tenant.h"

/* Members that one transaction takes: up to so many, a deletion does all itself.
 * Each costs some 50 us of the time of all writers. */
#define SCIM_SWEEP_STEP 100

typedef struct scim_pending {
    apr_uint32_t tenant; /* number */
    scim_id group;
    scim_on_group_delete then;
    apr_time_t since;
    apr_uint64_t members; /* still to come */
} scim_pending;

/* What is pending, in all tenants: an array of scim_pending in view->pool. */
const scim_error *scim_sweep_list(apr_array_header_t **out, scim_view *view);

/* Whether a group of that id is: one look, where the list counts all members. */
const scim_error *scim_sweep_has(bool *out, scim_view *view, const scim_tenant *tenant,
                                 const scim_id *group);

/* True where something is pending and no other thread of this process sweeps:
 * then the caller does, until it calls scim_sweep_leave.  Takes no lock. */
bool scim_sweep_take(scim_store *store);

/* Whoever leaves because nothing was pending any more takes once again: a
 * deletion that came meanwhile has found the store taken. */
void scim_sweep_leave(scim_store *store);

/* One step for what has been pending longest, a transaction of its own; where
 * nothing is pending it takes no write lock.  What it did to users is added to
 * consequences (of scim_consequence, in result_pool; NULL: nobody asks).
 * *more: whether anything is still pending; then it returns only after a pause
 * as long as the step, in which others write.  Must not be called in a view. */
const scim_error *scim_sweep(bool *more, apr_array_header_t *consequences, scim_store *store,
                             apr_time_t now, apr_pool_t *result_pool);

#endif
