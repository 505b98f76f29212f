/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation: from what a client sent, already normalised by scim/interop.h,
 * to canonical values of a schema (RFC 7643 sections 2 and 3.3; RFC 7644
 * sections 3.3 and 3.5.1).
 *
 * Canonical: attribute names in their schema's case, dateTimes in UTC,
 * unassigned attributes absent, extension objects under their full URN,
 * readOnly attributes dropped, elements that are equal in all stored once, at
 * most one primary.  Errors name the attribute by its path and what stands
 * there ("emails[1].primary must be a boolean, is a number").
 */
#ifndef SCIM_VALIDATE_H
#define SCIM_VALIDATE_H

#include <stdbool.h>

#include <apr_pools.h>
#include <jansson.h>

#include "scim/draft.h"
#include "scim/error.h"
#include "scim/schema.h"

/* Makes the draft of a POST (existing NULL) or of a PUT over existing (the
 * stored JSON).  A PUT clears what it leaves out, keeps immutable values that
 * it leaves out, and refuses to change them (400 mutability).  Members become
 * CLEAR (PUT only) and ADD steps.
 *
 * lenient (SCIMProfile interop): unknown attributes are ignored, not refused;
 * of two primaries the last keeps it. */
const scim_error *scim_validate_resource(scim_draft *out, const json_t *body,
                                         const json_t *existing, const scim_resource_type *type,
                                         bool lenient, apr_pool_t *result_pool);

/* The canonical form of one value of an attribute (element: one element of a
 * multi-valued one), in *out, adopted by result_pool; NULL where it is
 * unassigned.  where is its place for details. */
const scim_error *scim_validate_value(json_t **out, const json_t *value,
                                      const scim_attribute *attribute, bool element,
                                      const char *where, bool lenient, apr_pool_t *result_pool);

/* 400 invalidValue for a text that can be no password: one of more than
 * SCIM_PASSWORD_MAX bytes, or with characters that RFC 8265 section 4.2 and
 * HTTP Basic authentication (RFC 7617 section 2) have no place for. */
#define SCIM_PASSWORD_MAX 1024
const scim_error *scim_validate_password(const char *text, apr_pool_t *result_pool);

/* Turns one element of members, canonical or not, into an ADD step. 400
 * invalidValue where it has no usable value. */
const scim_error *scim_validate_member(scim_member_op *out, const json_t *element,
                                       const char *where, apr_pool_t *result_pool);

/* Checks a resource as a whole after it was patched: required attributes,
 * userName's characters, required extensions; drops extensions and complex
 * attributes that became empty, and renews "schemas".  Changes json in place. */
const scim_error *scim_validate_whole(json_t *json, const scim_resource_type *type,
                                      apr_pool_t *result_pool);

/* Adds the names of the attributes in which two resources differ ("emails",
 * "name") to names (an array of const char *): the audit's words.  Either
 * side may be NULL. */
void scim_validate_changes(apr_array_header_t *names, const json_t *before,
                           const json_t *after);

#endif
