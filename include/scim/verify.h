/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification: whether everything in a store is whole and agrees with
 * everything else, while others write.
 *
 * The store is walked in views of bounded size.  What is said of a row was read
 * in one view, with all that the row has to agree with; sums that reach over
 * several views are made again in one before they are told.  So what changes
 * meanwhile is no finding.
 */
#ifndef SCIM_VERIFY_H
#define SCIM_VERIFY_H

#include "scim/store.h"

/* One thing that is wrong.  Its strings end with the call that hands it out. */
typedef struct scim_finding {
    const char *table;     /* as in mod_scim/store/FORMAT: "resource" */
    const char *what;      /* "the value was altered: its seal does not hold" */
    const char *tenant;    /* its name, "number 7" where no tenant has it; or NULL */
    const char *type;      /* of the resource that is concerned, or NULL */
    const char *id;        /* of it; of other rows what names them, such as a tenant; or NULL */
    const char *attribute; /* of a row of an index, or NULL */
} scim_finding;

typedef struct scim_verification {
    apr_uint64_t rows;
    apr_uint64_t resources;
    apr_uint64_t memberships;
    apr_uint64_t findings;
    apr_uint64_t unchecked; /* resources and rows of types and attributes that the store's
                               registry does not know: checked by themselves only */
    apr_uint64_t pending;   /* deleted groups whose members are still to follow */
    apr_uint64_t deleting;  /* rows of tenants that are being deleted: not checked at all */
} scim_verification;

/* Who is told.  progress may be NULL; it is called after each view. */
typedef struct scim_verify_watcher {
    void (*found)(const scim_finding *finding, void *baton);
    void (*progress)(const scim_verification *so_far, void *baton);
    void *baton;
} scim_verify_watcher;

/* Checks the whole store; with a tenant's name what belongs to that one, 404
 * where there is none.  Findings are no error; one is only that the store cannot
 * be read. */
const scim_error *scim_verify(scim_verification *out, scim_store *store, const char *tenant,
                              const scim_verify_watcher *watcher, apr_pool_t *result_pool);

#endif
