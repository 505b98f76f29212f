/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured of a store while it is used: cheap, whatever its size.
 */
#ifndef SCIM_GAUGE_H
#define SCIM_GAUGE_H

#include "scim/store.h"
#include "scim/tenant.h"

/* The number of resources of a type that a tenant has: one read. */
const scim_error *scim_gauge_count(apr_int64_t *out, scim_view *view, const scim_tenant *tenant,
                                   const scim_resource_type *type);

/* Looks at a type's resources, the oldest ones first, at most *looked of them; *looked: at
 * how many it did, *inactive: how many of these have "active": false. */
const scim_error *scim_gauge_inactive(apr_int64_t *inactive, apr_int64_t *looked,
                                      scim_view *view, const scim_tenant *tenant,
                                      const scim_resource_type *type);

/* Whether changes can be made: writes anew what is there already, durably.  The error says
 * why not.  For where the last change failed (scim_store_fault): nobody else may come to
 * find out that it would not any more. */
const scim_error *scim_gauge_try(scim_store *store, apr_pool_t *result_pool);

#endif
