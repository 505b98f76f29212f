/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Needles: what the bytes of a stored resource say about a filter, so that a
 * scan need not parse most of what it reads.  Where the bytes leave a doubt, the
 * resource is parsed and judged by scim_filter_match (scim/filter.h), which says
 * the same of those that are not.
 */
#ifndef SCIM_NEEDLE_H
#define SCIM_NEEDLE_H

#include <stdbool.h>

#include "scim/filter.h"

typedef struct scim_needle {
    const char *text; /* ASCII; not NUL-terminated */
    apr_size_t len;
} scim_needle;

/* Text that a resource must have somewhere in its JSON, in whatever case, to
 * match the filter: the longest that any comparison joined by "and" asks for.
 * False where there is none.  *out points into the filter. */
bool scim_needle_find(scim_needle *out, const scim_filter *filter);

/* Whether a resource with this JSON can match.  Text that is not ASCII can fold
 * to any other: where there is some, it can. */
bool scim_needle_test(const scim_needle *needle, const char *json, apr_size_t len);

/* Whether a resource matches, where that can be told from its JSON without
 * parsing it: a filter that is one comparison of one simple string attribute,
 * whose value there is plain ASCII.  UNSURE everywhere else. */
typedef enum scim_needle_verdict {
    SCIM_NEEDLE_NO,
    SCIM_NEEDLE_YES,
    SCIM_NEEDLE_UNSURE
} scim_needle_verdict;

scim_needle_verdict scim_needle_judge(const scim_filter *filter, const char *json,
                                      apr_size_t len);

#endif
