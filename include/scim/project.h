/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projection: "attributes" and "excludedAttributes" (RFC 7644 section 3.9)
 * over the "returned" characteristic (RFC 7643 section 7).
 */
#ifndef SCIM_PROJECT_H
#define SCIM_PROJECT_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>

#include "scim/error.h"
#include "scim/schema.h"

typedef struct scim_projection scim_projection;

/* Parses the two comma-separated lists, either of which may be NULL or empty
 * (as if absent).  *out is NULL where nothing is asked: the default set.
 * Unknown names are ignored; both lists together are 400 invalidValue. */
const scim_error *scim_projection_parse(const scim_projection **out, const char *attributes,
                                        const char *excluded, const scim_resource_type *type,
                                        apr_pool_t *result_pool);

/* What a client writes of the attributes that are returned on request comes
 * back in the answer (RFC 7643 section 7).  These note it in an array of
 * const scim_attribute *: of the value of one attribute (of elements too), and
 * of a resource as scim/interop.h leaves it. */
void scim_projection_wrote(apr_array_header_t *written, const scim_attribute *attribute,
                           const json_t *value);
void scim_projection_wrote_resource(apr_array_header_t *written, const json_t *resource,
                                    const scim_resource_type *type);

/* The projection asked (or NULL), for an answer in which what was written is
 * returned by default; asked itself where that makes no difference. */
const scim_projection *scim_projection_answer(const scim_projection *asked,
                                              const apr_array_header_t *written,
                                              const scim_resource_type *type,
                                              apr_pool_t *result_pool);

/* Whether a top-level attribute, or anything below it, is to be returned:
 * asked before members or groups are read at all.  projection may be NULL. */
bool scim_projection_wants(const scim_projection *projection, const scim_attribute *attribute);

/* The projection of a resource (canonical names, id and meta in place) as a
 * new object adopted by result_pool, its values shared with resource.  id and
 * schemas always stay; never-returned attributes never do. */
json_t *scim_projection_apply(const scim_projection *projection, const json_t *resource,
                              const scim_resource_type *type, apr_pool_t *result_pool);

#endif
