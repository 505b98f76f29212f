/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where tolerance for identity providers lives: from what they
 * send to what the RFCs say.  Everything behind it is strict.
 *
 * Every profile: null and "" are unassigned; core attributes nested under
 * their own URN are flattened; op in any case; an extension whose URN is not
 * in "schemas"; dotted, value-path and URN keys in the value of a path-less
 * operation; remove of members by a value array.
 *
 * SCIMProfile interop besides: booleans as strings ("True"); manager as a
 * string or an array; a multi-valued attribute sent as one value; its
 * elements as plain strings; displayName in an element for display; a member
 * or manager with $ref and no value; an attribute of one extension without
 * its URN ("manager"); dotted and URN keys in a resource; unknown schema URNs
 * ignored; PatchOp without "schemas", or without any operation; add
 * members[value eq "x"] without value.
 *
 * Unknown attributes are handed on in both profiles: to ignore or to refuse
 * them is the work of scim/validate.h and scim/patch.h.
 */
#ifndef SCIM_INTEROP_H
#define SCIM_INTEROP_H

#include <stdbool.h>

#include <apr_pools.h>
#include <jansson.h>

#include "scim/error.h"
#include "scim/schema.h"

/* Normalises the body of a POST or PUT into *out (a new object adopted by
 * result_pool; body is not changed).  Checks "schemas": 400 invalidSyntax
 * where it is missing or no list of strings, invalidValue where a URN stands
 * twice, where the core schema's does not (lenient: and none that is unknown,
 * either), or where one (lenient off) is unknown.  Two values for one
 * attribute, under different names, are 400 invalidSyntax. */
const scim_error *scim_interop_resource(json_t **out, const json_t *body,
                                        const scim_resource_type *type, bool lenient,
                                        apr_pool_t *result_pool);

/* Normalises a PatchOp message: each operation comes out as {"op","path"?,
 * "value"?} with op in lower case and path a string.  Order is kept.
 *
 * The value of a path-less add or replace comes out nested: dotted names and
 * names behind a URN stand where they belong ({"name":{"givenName":...}},
 * {URN:{"department":...}}), and a key that picks elements
 * (emails[type eq "work"].value) becomes an operation of its own with that
 * path.  A path that is the core schema's URN is none.
 *
 * A remove keeps its value: members that it lists are to be removed, and no
 * others, none where the list is empty; a value of null is as none.  Ids so
 * never pass through the text of a path.
 *
 * 400 invalidSyntax for the frame: "schemas" (lenient: where it is there),
 * "Operations" missing, no array or (lenient off) empty, an operation that is
 * no object, an op or path that is none. */
const scim_error *scim_interop_patch(json_t **out, const json_t *body,
                                     const scim_resource_type *type, bool lenient,
                                     apr_pool_t *result_pool);

/* Whether text is "true" or "false" in any case; *out which. */
bool scim_interop_boolean(const char *text, bool *out);

#endif
