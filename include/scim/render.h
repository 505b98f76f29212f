/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of a stored resource.  A full read copies the stored bytes
 * and puts id, members or groups, and meta around them; only a projection
 * parses them.
 */
#ifndef SCIM_RENDER_H
#define SCIM_RENDER_H

#include <apr_pools.h>

#include "scim/buffer.h"
#include "scim/error.h"
#include "scim/project.h"
#include "scim/resource.h"
#include "scim/store.h"
#include "scim/tenant.h"

typedef struct scim_render {
    const char *base_url;              /* without a slash at its end */
    const scim_registry *registry;     /* whose endpoints references lead to */
    const scim_tenant *tenant;         /* whose members and groups are read */
    const scim_projection *projection; /* NULL: the default set */
} scim_render;

/* Adds a record to out.  members and groups are read in view where they are
 * wanted; without a view (NULL) they are left out. */
const scim_error *scim_render_record(scim_buffer *out, const scim_render *how, scim_view *view,
                                     const scim_record *record, apr_pool_t *scratch_pool);

/* Whether a rendered resource of this type shows members or groups, so that
 * a view is needed. */
bool scim_render_wants_edges(const scim_render *how, const scim_resource_type *type);

/* Where the members of a group, told a slice at a time, stand. */
typedef struct scim_member_slice {
    scim_id last; /* that was read */
    bool begun;   /* there is a last */
    bool open;    /* the array is begun */
    bool more;    /* there are others */
} scim_member_slice;

/* Adds ,"members":[ and at most count elements, then, called with the same
 * slice, the next; behind the last the bracket is closed.  Nothing for a group
 * without members.  Each call may have a view of its own. */
const scim_error *scim_render_members(scim_buffer *out, const scim_render *how, scim_view *view,
                                      const scim_resource_type *type, const scim_id *group,
                                      scim_member_slice *slice, apr_uint64_t count,
                                      apr_pool_t *scratch_pool);

/* meta.location of a resource. */
const char *scim_render_location(const char *base_url, const scim_resource_type *type,
                                 const scim_id *id, apr_pool_t *result_pool);

#endif
