/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making anew what follows from records and memberships: rows of indexes and
 * references, the other side of each membership, and what is counted.
 *
 * The store is walked in steps of bounded size, while others write.  A step is looked
 * at in a view, and taken in a transaction of its own only where something is wrong in
 * it; so all that is right stays as it is, at every moment, and what is broken off is
 * begun again without harm.
 */
#ifndef SCIM_REINDEX_H
#define SCIM_REINDEX_H

#include "scim/store.h"
#include "scim/verify.h"

typedef struct scim_reindexed {
    apr_uint64_t rows;      /* that were looked at */
    apr_uint64_t added;     /* rows that were missing, or had another value */
    apr_uint64_t removed;   /* rows that stood for nothing */
    apr_uint64_t counters;  /* that were set right */
    apr_uint64_t findings;  /* that nothing can be made of here: a record that was altered */
    apr_uint64_t unchecked; /* as in scim_verification: these are left as they are */
} scim_reindexed;

/* Who is told; progress may be NULL. */
typedef struct scim_reindex_watcher {
    void (*found)(const scim_finding *finding, void *baton);
    void (*progress)(const scim_reindexed *so_far, void *baton);
    void *baton;
} scim_reindex_watcher;

/* All tenants, or (404) the one of that name; those that are being deleted are passed
 * over.  Memberships and records themselves are not changed: of these scim_verify tells.
 * Must not be called in a view. */
const scim_error *scim_reindex(scim_reindexed *out, scim_store *store, const char *tenant,
                               const scim_reindex_watcher *watcher, apr_pool_t *result_pool);

#endif
