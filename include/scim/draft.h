/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A draft: what a create, a replace or a patch wants stored, as validation
 * leaves it and the store takes it.
 */
#ifndef SCIM_DRAFT_H
#define SCIM_DRAFT_H

#include <stdbool.h>

#include <apr_tables.h>
#include <jansson.h>

#include "scim/schema.h"

struct scim_filter;

/* One step of a membership change.  Steps apply in order; none of them reads
 * members that it does not name, but those with a filter and CLEAR. */
typedef enum scim_member_kind {
    SCIM_MEMBER_ADD,          /* value; type, ref and display where they were sent */
    SCIM_MEMBER_REMOVE,       /* value */
    SCIM_MEMBER_CLEAR,        /* all that are there */
    SCIM_MEMBER_REMOVE_WHERE, /* those whose element matches filter */
    SCIM_MEMBER_SET_WHERE     /* display of those that match filter; NULL: unassigned */
} scim_member_kind;

typedef struct scim_member_op {
    scim_member_kind kind;
    const char *value;   /* the member's id, as sent */
    const char *type;    /* "User", "Group", or NULL */
    const char *ref;     /* $ref as sent, or NULL */
    const char *display; /* or NULL */
    const struct scim_filter *filter;
    const char *where; /* "members[2]", "Operations[0].value[2]": for details */
} scim_member_op;

typedef struct scim_draft {
    const scim_resource_type *type;
    /* The resource in canonical names and values, without id, meta, groups,
     * members and password; "schemas" first, listing the core URN and those of
     * the extensions that have data. */
    json_t *json;
    apr_array_header_t *members; /* of scim_member_op; NULL: membership is not touched */
    const char *password; /* as sent, or NULL; never logged.  It stands in the JSON that was
                             sent, and nowhere else, so that it goes with that. */
    bool password_cleared;
} scim_draft;

#endif
