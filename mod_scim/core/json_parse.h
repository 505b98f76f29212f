/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parser for JSON.
 */
#ifndef SCIM_CORE_JSON_PARSE_H
#define SCIM_CORE_JSON_PARSE_H

#include <apr.h>
#include <jansson.h>

/* Bytes that this project wrote: no limits but Jansson's depth, and of two members
 * with one name the later stands. */
#define JSON_PARSE_OWN 1u

/* Integers that a json_int_t has no room for become decimals. */
#define JSON_PARSE_WIDE 2u

/* The new tree of a value of any type, the same as json_loadb() makes of it with
 * JSON_DECODE_ANY and JSON_REJECT_DUPLICATES.  NULL for whatever is no JSON or over a
 * limit of scim/json.h, and for nothing else: without memory the process ends
 * (json_loadb() may then take half of a number for the whole). */
json_t *json_parse(const char *bytes, apr_size_t len, unsigned flags);

#endif
