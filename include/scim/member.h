/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership: edges between a group and its members, kept as rows of their
 * own in both directions, so that one member costs the same in a group of ten
 * and in a group of a million.
 */
#ifndef SCIM_MEMBER_H
#define SCIM_MEMBER_H

#include <stdbool.h>

#include <apr_tables.h>

#include "scim/id.h"
#include "scim/store.h"
#include "scim/tenant.h"

typedef struct scim_edge {
    scim_id id;                     /* the member, or the group */
    const scim_resource_type *type; /* of id; NULL where no such resource is there (dangling) */
    const char *text; /* of a dangling one that was named by no id: what named it, not
                         NUL-terminated; id is made of it; else NULL */
    apr_size_t text_len;
    const char *display; /* as sent for a member, the group's own for a group; not
                            NUL-terminated; NULL where there is none */
    apr_size_t display_len;
    bool direct; /* of a group: member_of itself, not through another group */
} scim_edge;

typedef const scim_error *(*scim_edge_fn)(const scim_edge *edge, void *baton);

/* Hands out the members of a group in the order of their ids. */
const scim_error *scim_member_each(scim_view *view, const scim_tenant *tenant,
                                   const scim_id *group, scim_edge_fn fn, void *baton);

/* Hands out at most count of them, those behind an id (NULL: from the first);
 * *last is the one that was handed out last, *more whether there are others. */
const scim_error *scim_member_some(scim_view *view, const scim_tenant *tenant,
                                   const scim_id *group, const scim_id *behind,
                                   apr_uint64_t count, scim_id *last, bool *more,
                                   scim_edge_fn fn, void *baton);

bool scim_member_has(scim_view *view, const scim_tenant *tenant, const scim_id *group,
                     const scim_id *member);

/* How many members a group has. */
const scim_error *scim_member_count(apr_uint64_t *out, scim_view *view,
                                    const scim_tenant *tenant, const scim_id *group);

/* The groups that a resource is in: direct ones first, then those around
 * them, each once, cycles or not; an array of scim_edge in view->pool. */
const scim_error *scim_member_groups(apr_array_header_t **out, scim_view *view,
                                     const scim_tenant *tenant, const scim_id *member);

#endif
