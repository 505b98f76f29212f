/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What parsing makes of a PatchOp message and applying takes: private to the
 * files patch*.c.
 *
 * An operation comes down to changes.  A change has one target: an operation
 * whose value is an object of attributes, or of the sub-attributes of a
 * single-valued complex attribute, becomes one change for each of them.  That
 * is how values merge, and how a null among them clears what it names.
 */
#ifndef SCIM_PATCH_CHANGE_H
#define SCIM_PATCH_CHANGE_H

#include <apr_tables.h>
#include <jansson.h>

#include "scim/patch.h"
#include "scim/path.h"

typedef enum patch_kind { PATCH_ADD, PATCH_REMOVE, PATCH_REPLACE } patch_kind;

typedef struct patch_change {
    patch_kind kind;
    scim_path path;
    /* Canonical.  ADD, REPLACE: never NULL.  REMOVE: the elements to remove,
     * NULL for all that the path names. */
    const json_t *value;
    const json_t *template; /* scim_filter_template() of the path's filter, or NULL */
    const char *where;      /* "Operations[2]: " */
} patch_change;

struct scim_patch {
    const scim_resource_type *type;
    bool lenient;
    apr_array_header_t *changes; /* of patch_change */
    apr_array_header_t *members; /* of scim_member_op; NULL: no operation names members */
    const char *password;
    bool password_cleared;
};

/* One operation while it is read. */
typedef struct patch_reader {
    scim_patch *patch;
    apr_pool_t *pool;
    patch_kind kind;
    const char *at;    /* "Operations[2]" */
    const char *where; /* "Operations[2]: " */
    const char *place; /* where its value stands: "Operations[2].value" */
} patch_reader;

/* Whether a value is empty by itself.  An object of nulls is not: it clears
 * what its names say, not the whole. */
static inline bool scim_patch_empty(const json_t *value)
{
    return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* Turns an operation on members, or on a part of them, into steps.  value is
 * NULL where the operation has none. */
const scim_error *scim_patch_read_members(patch_reader *reader, const scim_path *path,
                                          const json_t *value);

/* Turns an operation on "schemas" into changes of extensions. */
const scim_error *scim_patch_read_schemas(patch_reader *reader, const scim_path *path,
                                          const json_t *value);

#endif
