/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants: one organisation's directory each.  A tenant's number prefixes the
 * key of everything it owns, so that no query can reach into another.
 *
 * What belongs to a tenant and not to a URL is its policy: httpd writes it into
 * the tenant's record, where the endpoint, authorization and scimctl read it.
 */
#ifndef SCIM_TENANT_H
#define SCIM_TENANT_H

#include <stdbool.h>

#include <apr_tables.h>
#include <apr_time.h>

#include "scim/store.h"

#define SCIM_TENANT_NAME_MAX 64

/* What becomes of a group whose name no role has a pattern for. */
typedef enum scim_custom_groups {
    SCIM_CUSTOM_ACCEPT = 0, /* it is a group like others, that gives no role */
    SCIM_CUSTOM_IGNORE = 1, /* it is stored, and without any effect */
    SCIM_CUSTOM_REFUSE = 2  /* it cannot be created */
} scim_custom_groups;

/* What becomes of the members of a deleted group that gave a role, where they
 * hold no other. */
typedef enum scim_on_group_delete {
    SCIM_ON_DELETE_KEEP = 0,
    SCIM_ON_DELETE_DEACTIVATE = 1,
    SCIM_ON_DELETE_DELETE = 2
} scim_on_group_delete;

/* SCIMRole NAME PATTERN: groups of such a name give their members that role. */
typedef struct scim_role_pattern {
    const char *role;     /* "admin" */
    const char *pattern;  /* as written, a trailing * included */
    const char *prepared; /* as scim_text_prepare has it, without the * */
    apr_size_t prepared_len;
    bool prefix; /* there was a trailing * */
} scim_role_pattern;

typedef struct scim_policy {
    bool unique_group_names;  /* two groups may not share a displayName; on by default */
    bool dangling_references; /* unknown ids in members and manager are stored; off */
    bool password_sync;       /* passwords are kept, hashed; off */
    scim_custom_groups custom_groups;
    scim_on_group_delete on_group_delete;
    apr_uint32_t delete_limit;      /* users deleted or deactivated an hour; 0: no limit */
    const scim_role_pattern *roles; /* in the order of the directives */
    int roles_count;
} scim_policy;

typedef struct scim_tenant {
    apr_uint32_t number;
    const char *name;
    bool suspended; /* its identity providers are refused; authorization goes on */
    bool deleting;  /* it is there for nobody any more: see scim_tenant_list_deleting */
    apr_time_t created;
    scim_policy policy;
} scim_tenant;

/* 1 to 64 of A-Z a-z 0-9 . _ - */
bool scim_tenant_name_valid(const char *name);

/* What a policy is where nobody said anything. */
scim_policy scim_policy_default(void);

/* Whether two policies say the same, in the same order. */
bool scim_policy_equal(const scim_policy *a, const scim_policy *b, apr_pool_t *scratch_pool);

/* The tenant of that name; 404 where there is none, or where it is being deleted.
 * Strings in view->pool. */
const scim_error *scim_tenant_find(scim_tenant *out, scim_view *view, const char *name);

/* 404 where a tenant that was found is there no more, or is being deleted: for who
 * reads of it in another view. */
const scim_error *scim_tenant_check(scim_view *view, const scim_tenant *tenant);

/* All tenants, an array of scim_tenant in the order of their names. */
const scim_error *scim_tenant_list(apr_array_header_t **out, scim_view *view);
/* Likewise those that are being deleted, which are not among them. */
const scim_error *scim_tenant_list_deleting(apr_array_header_t **out, scim_view *view);

/* The names (const char *) of the tenants of a store that is not opened, and stays untouched;
 * false where they cannot be told, as there is no store, or it is changed too fast. */
bool scim_tenant_peek(apr_array_header_t **out, const char *url, apr_pool_t *result_pool);

/* The policy of tenants to come. Strings in view->pool. */
const scim_error *scim_tenant_default_policy(scim_policy *out, scim_view *view);

/* A tenant begins with the store's default policy.  400 for an impossible
 * name, 409 where it exists. */
const scim_error *scim_tenant_create(scim_tenant *out, scim_store *store, const char *name,
                                     apr_time_t now, apr_pool_t *result_pool);

/* Suspends or resumes; *changed: whether it was otherwise before.  404. */
const scim_error *scim_tenant_suspend(bool *changed, scim_store *store, const char *name,
                                      bool suspended, apr_pool_t *result_pool);

/*
 * Deleting a tenant.  It is marked first: from then on it is found by nobody, and no
 * change of it begins.  All that belongs to it goes in steps, each a transaction of
 * its own, and its record at last: where that was broken off, marking it once more
 * and going on does the rest.
 */

/* Marks it, and takes its tokens away with the same commit.  *begun: false where it
 * was marked before; *tokens: how many there were.  404. */
const scim_error *scim_tenant_mark(bool *begun, int *tokens, scim_store *store,
                                   const char *name, apr_pool_t *result_pool);

/* The number of rows that belong to a marked tenant, to tell how far its deletion is. */
const scim_error *scim_tenant_rows(apr_uint64_t *out, scim_store *store, const char *name,
                                   apr_pool_t *result_pool);

/* The next step: *rows is the number of those that it deleted; *more is false when it was
 * the last and the name is free.  It returns after a pause as long as the step, in which
 * others write.  404 where no tenant of that name is being deleted. */
const scim_error *scim_tenant_delete_some(bool *more, apr_uint64_t *rows, scim_store *store,
                                          const char *name, apr_pool_t *result_pool);

/* The policy that a tenant is to have, by its name; NULL is the name of the
 * tenants to come. */
typedef scim_policy (*scim_policy_fn)(const char *name, void *baton, apr_pool_t *pool);

/* Gives every tenant, and those to come, the policy that fn says, in one
 * transaction, and none where nothing differs.  *changed: the names of those
 * whose policy was another (const char *), the default not among them. */
const scim_error *scim_tenant_set_policies(apr_array_header_t **changed, scim_store *store,
                                           scim_policy_fn fn, void *baton,
                                           apr_pool_t *result_pool);

#endif
