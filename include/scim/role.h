/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles: which group names give which role, by the patterns of a tenant's
 * policy.  Nothing of it is stored with users: a role is what a user's groups
 * say at the moment of asking.
 */
#ifndef SCIM_ROLE_H
#define SCIM_ROLE_H

#include <stdbool.h>

#include <apr_pools.h>

#include "scim/error.h"
#include "scim/tenant.h"

/* Role names follow the rule of tenants' names. */
bool scim_role_name_valid(const char *name);

/* A pattern as SCIMRole has it, prepared; false for one that is empty or a
 * lone "*".  Copies into result_pool. */
bool scim_role_pattern_make(scim_role_pattern *out, const char *role, const char *pattern,
                            apr_pool_t *result_pool);

/* The pattern that a group's name, prepared, falls under: without case, a
 * trailing * for a prefix, the longest wins, a whole name wins over a prefix
 * of the same length, the earlier of equals.  -1 where there is none; else an
 * index into policy->roles. */
int scim_role_match(const scim_policy *policy, const char *prepared, apr_size_t len);

/* The same for a name as it stands in a group. */
int scim_role_of_group(const scim_policy *policy, const char *name, apr_size_t len,
                       apr_pool_t *scratch_pool);

/* 400 invalidValue for the name of a group that the policy refuses; its detail
 * lists what is accepted. */
const scim_error *scim_role_check_group(const scim_policy *policy, const char *name,
                                        apr_size_t len, apr_pool_t *result_pool);

/* "pipefy-guests*, pipefy-members*": the patterns, for people. */
const char *scim_role_patterns(const scim_policy *policy, apr_pool_t *result_pool);

#endif
