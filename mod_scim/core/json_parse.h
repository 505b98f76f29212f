/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parser for the JSON that there mostly is: right, and within limits.
 */
#ifndef SCIM_CORE_JSON_PARSE_H
#define SCIM_CORE_JSON_PARSE_H

#include <apr.h>
#include <jansson.h>

/* The new tree of an object, the same as json_loadb() makes of it with
 * JSON_REJECT_DUPLICATES.  NULL for whatever is not right, is over a limit of
 * scim/json.h, or is rare: numbers with a fraction, an exponent or many digits, and
 * escapes in names.  What it is, Jansson's parser finds out, and says. */
json_t *json_parse(const char *bytes, apr_size_t len);

#endif
