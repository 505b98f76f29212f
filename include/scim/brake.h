/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The brake on mass deletion (SCIMDeleteLimit): so many users of a tenant may
 * be deleted or deactivated in an hour; one more, and all such changes are
 * refused until an administrator releases the brake.  The count is kept in the
 * store, in the transactions that it counts.
 */
#ifndef SCIM_BRAKE_H
#define SCIM_BRAKE_H

#include <stdbool.h>

#include <apr_time.h>

#include "scim/store.h"
#include "scim/tenant.h"

typedef struct scim_brake {
    apr_time_t since;   /* when the hour began that is counted; 0: nothing was */
    apr_uint32_t count; /* users deleted or deactivated in it */
    bool on;            /* the limit was passed: refusing */
} scim_brake;

const scim_error *scim_brake_read(scim_brake *out, scim_view *view, const scim_tenant *tenant);

/* Lets go, and counts from zero again; *was: whether it was on.  404 for an
 * unknown tenant. */
const scim_error *scim_brake_release(bool *was, scim_store *store, const char *tenant,
                                     apr_pool_t *result_pool);

#endif
