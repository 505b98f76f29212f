/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query string of a request (RFC 7644 sections 3.4.2 and 3.9).
 */
#ifndef SCIM_PARAMS_H
#define SCIM_PARAMS_H

#include <stdbool.h>

#include <apr_pools.h>

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
} scim_params;

/* Reads a query string, NULL included.  Names are compared without case;
 * unknown ones are ignored, whatever they hold.  400 invalidValue where a
 * known one is repeated or its value is no percent-encoded UTF-8 text. */
const scim_error *scim_params_read(scim_params *out, const char *query,
                                   apr_pool_t *result_pool);

/* The page that the parameters ask for: *start from 1, *count from 0 to the
 * endpoint's largest page.  400 invalidValue for what is no integer. */
const scim_error *scim_params_page(apr_int64_t *start, apr_int64_t *count,
                                   const scim_params *params, const scim_wire *wire,
                                   apr_pool_t *result_pool);

#endif
