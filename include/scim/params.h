/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a query asks for, from the query string (RFC 7644 sections 3.4.2 and
 * 3.9) or from a SearchRequest (section 3.4.3): the same, judged alike.
 */
#ifndef SCIM_PARAMS_H
#define SCIM_PARAMS_H

#include <stdbool.h>

#include <apr_pools.h>
#include <jansson.h>

#include "scim/error.h"
#include "scim/service.h"

/* Decoded values of the parameters that are known; NULL where one is absent
 * or stands without "=". */
typedef struct scim_params {
    const char *attributes;
    const char *excluded_attributes;
    const char *filter;
    const char *start_index;
    const char *count;
    const char *sort_by;
    const char *sort_order;
    const char *cursor; /* "": the first page, also where it stands without "=" */
} scim_params;

/* Reads a query string, NULL included.  Names are compared without case;
 * unknown ones are ignored, whatever they hold.  400 invalidValue where a
 * known one is repeated or its value is no percent-encoded UTF-8 text. */
const scim_error *scim_params_read(scim_params *out, const char *query,
                                   apr_pool_t *result_pool);

/* Reads a SearchRequest message: 400 invalidSyntax where its schemas are not
 * that message's, invalidValue for a member of the wrong type. */
const scim_error *scim_params_search(scim_params *out, const json_t *message,
                                     apr_pool_t *result_pool);

/* The page that the parameters ask for: *start from 1, *count from 0 to the
 * endpoint's largest page; with a cursor, a larger count is 400 invalidCount.
 * 400 invalidValue for what is no integer, and for startIndex with a cursor. */
const scim_error *scim_params_page(apr_int64_t *start, apr_int64_t *count,
                                   const scim_params *params, const scim_wire *wire,
                                   apr_pool_t *result_pool);

#endif
