/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants: one organisation's directory each.  A tenant's number prefixes the
 * key of everything it owns, so that no query can reach into another.
 */
#ifndef SCIM_TENANT_H
#define SCIM_TENANT_H

#include <stdbool.h>

#include <apr_tables.h>
#include <apr_time.h>

#include "scim/store.h"

#define SCIM_TENANT_NAME_MAX 64

/* What belongs to a tenant and not to a URL. */
typedef struct scim_policy {
    bool unique_group_names;  /* two groups may not share a displayName; on by default */
    bool dangling_references; /* unknown ids in members and manager are stored; off */
} scim_policy;

typedef struct scim_tenant {
    apr_uint32_t number;
    const char *name;
    bool suspended;
    apr_time_t created;
    scim_policy policy;
} scim_tenant;

/* 1 to 64 of A-Z a-z 0-9 . _ - */
bool scim_tenant_name_valid(const char *name);

/* What a policy is where nobody said anything. */
scim_policy scim_policy_default(void);

/* The tenant of that name; 404 where there is none. Strings in view->pool. */
const scim_error *scim_tenant_find(scim_tenant *out, scim_view *view, const char *name);

/* All tenants, an array of scim_tenant in the order of their names. */
const scim_error *scim_tenant_list(apr_array_header_t **out, scim_view *view);

/* A tenant begins with the store's default policy.  400 for an impossible
 * name, 409 where it exists. */
const scim_error *scim_tenant_create(scim_tenant *out, scim_store *store, const char *name,
                                     apr_time_t now, apr_pool_t *result_pool);

/* Writes the policy where it differs from the one that is there; *changed
 * says whether it did. */
const scim_error *scim_tenant_set_policy(bool *changed, scim_store *store, const char *name,
                                         const scim_policy *policy, apr_pool_t *result_pool);

/* The same for the policy that tenants made later begin with. */
const scim_error *scim_tenant_set_default_policy(bool *changed, scim_store *store,
                                                 const scim_policy *policy,
                                                 apr_pool_t *result_pool);

#endif
