/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting (RFC 7644 section 3.4.2.3): what a resource is sorted by, as bytes
 * that memcmp orders.
 */
#ifndef SCIM_SORT_H
#define SCIM_SORT_H

#include <stdbool.h>

#include <apr_pools.h>
#include <jansson.h>

#include "scim/error.h"
#include "scim/path.h"
#include "scim/schema.h"

/* Of a longer value only so many prepared bytes count; the rest is a tie. */
#define SCIM_SORT_MAX 256

typedef struct scim_sort {
    scim_path path; /* ends at a simple attribute */
    bool descending;
} scim_sort;

typedef struct scim_sort_key {
    const unsigned char *bytes;
    apr_size_t len; /* at most SCIM_SORT_MAX + 1 */
} scim_sort_key;

/* Reads "sortBy" and "sortOrder".  *out is NULL where there is no sortBy, or
 * an empty one.  400 invalidValue for an attribute that the type does not
 * have, that is never returned or holds no single value to sort by, and for
 * an order that is neither ascending nor descending. */
const scim_error *scim_sort_parse(const scim_sort **out, const char *sort_by,
                                  const char *sort_order, const scim_resource_type *type,
                                  apr_pool_t *result_pool);

/* The same for one of several types: where this type lacks the attribute, its
 * resources have no value (an empty path); NULL only without sortBy. *known
 * says whether the type has it. */
const scim_error *scim_sort_parse_any(const scim_sort **out, bool *known, const char *sort_by,
                                      const char *sort_order, const scim_resource_type *type,
                                      apr_pool_t *result_pool);

/* The key of a resource (canonical names, id and meta in place).  Of a
 * multi-valued attribute the primary value counts, else the first; resources
 * without a value come last, or first where the order is descending. */
scim_sort_key scim_sort_key_of(const scim_sort *sort, const json_t *resource,
                               apr_pool_t *result_pool);

/* Three-valued, in the order of the sort (descending: reversed). */
int scim_sort_compare(const scim_sort *sort, const scim_sort_key *a, const scim_sort_key *b);

#endif
