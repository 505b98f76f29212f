/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attribute paths (RFC 7644 figures 1 and 7, section 3.10): one parser for
 * filter, PATCH, projection, sort and index definitions.
 *
 *   [URN ":"] attribute ["." sub-attribute]        attribute path
 *   attribute path "[" filter "]" ["." sub]        value path (PATCH)
 *   URN                                            a whole extension (PATCH, projection)
 *
 * URNs have dots and colons in them: the longest schema URN of the resource
 * type that the text begins with, in any case, is tried first.  An attribute
 * that exactly one extension has may stand without its URN, as Entra sends
 * "manager"; only a filter that is not lenient refuses that.
 */
#ifndef SCIM_PATH_H
#define SCIM_PATH_H

#include <stdbool.h>

#include <apr_pools.h>

#include "scim/error.h"
#include "scim/schema.h"

struct scim_filter;

typedef struct scim_path {
    const scim_schema
        *extension; /* where the attribute, or the whole path, is an extension's */
    const scim_attribute *attribute; /* NULL: the path is a whole extension */
    const scim_attribute *sub;       /* or NULL */
    const struct scim_filter
        *filter; /* of a value path, over the attribute's elements; or NULL */
} scim_path;

typedef enum scim_path_status {
    SCIM_PATH_OK,
    SCIM_PATH_MALFORMED, /* no path at all */
    SCIM_PATH_UNKNOWN    /* well formed, names nothing of the type */
} scim_path_status;

/* Reads an attribute path (or a whole URN) at *cursor, not beyond end, and
 * moves *cursor behind it.  A sub-attribute is read where the path has one;
 * "[" is left to the caller.  Allocates nothing. */
scim_path_status scim_path_scan(scim_path *out, const char **cursor, const char *end,
                                const scim_resource_type *type);

/* Reads a whole attribute path for projection, sort and indexes: a value
 * filter, as some clients send it in "attributes", is skipped over. */
scim_path_status scim_path_attribute(scim_path *out, const char *text,
                                     const scim_resource_type *type);

/* Reads the whole of text as the path of a PATCH operation. 400 invalidPath,
 * naming the path and the fault, where it is malformed, names no attribute
 * of the type, or has a filter on an attribute that is not multi-valued. */
const scim_error *scim_path_parse(scim_path *out, const char *text,
                                  const scim_resource_type *type, apr_pool_t *result_pool);

/* The end of the attribute name (a letter or "$", then letters, digits, "-",
 * "_" and "$") that text begins with; text itself where it begins with none. */
const char *scim_path_name_end(const char *text, const char *end);

/* The attribute that the path ends at: its sub-attribute, else its attribute;
 * NULL for a whole extension. */
const scim_attribute *scim_path_leaf(const scim_path *path);

#endif
