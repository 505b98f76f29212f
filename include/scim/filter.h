/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters (RFC 7644 section 3.4.2.2, errata 4670 and 7319): parsed once to a
 * tree, evaluated by one function whatever index found the candidate.
 *
 * Beyond the ABNF, since identity providers send them: a value path followed
 * by a sub-attribute (emails[type eq "work"].value eq "x"), and a complex
 * multi-valued attribute compared as its "value" (emails co "x").
 *
 * A tree has fewer forms than the language: "ne" is parsed as NOT of EQ,
 * "eq null" as NOT of PRESENT, "ne null" as PRESENT; a complex attribute that
 * is compared has its "value" as sub-attribute; and emails[f].sub eq "x" is an
 * ELEMENT over f AND sub eq "x".  So SCIM_OP_NE stands in no tree, and
 * SCIM_LITERAL_NULL only where nothing can match ("gt null").
 */
#ifndef SCIM_FILTER_H
#define SCIM_FILTER_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_time.h>
#include <jansson.h>

#include "scim/error.h"
#include "scim/path.h"
#include "scim/schema.h"

#define SCIM_FILTER_MAX_LENGTH 8192
#define SCIM_FILTER_MAX_DEPTH 32
#define SCIM_FILTER_MAX_TERMS 200

typedef enum scim_filter_kind {
    SCIM_FILTER_AND,     /* left, right */
    SCIM_FILTER_OR,      /* left, right */
    SCIM_FILTER_NOT,     /* left */
    SCIM_FILTER_COMPARE, /* path, op, value */
    SCIM_FILTER_PRESENT, /* path */
    SCIM_FILTER_ELEMENT, /* path names the attribute; left is over one of its elements */
    SCIM_FILTER_NEVER    /* matches nothing: of an attribute that only other types have */
} scim_filter_kind;

typedef enum scim_filter_op {
    SCIM_OP_EQ,
    SCIM_OP_NE,
    SCIM_OP_CO,
    SCIM_OP_SW,
    SCIM_OP_EW,
    SCIM_OP_GT,
    SCIM_OP_GE,
    SCIM_OP_LT,
    SCIM_OP_LE
} scim_filter_op;

typedef enum scim_filter_literal {
    SCIM_LITERAL_NULL,
    SCIM_LITERAL_STRING,
    SCIM_LITERAL_BOOLEAN,
    SCIM_LITERAL_NUMBER,
    SCIM_LITERAL_TIME
} scim_filter_literal;

typedef struct scim_filter_value {
    scim_filter_literal kind;
    const char *text; /* STRING, TIME: as sent, decoded, NUL-terminated */
    apr_size_t text_len;
    const char *prepared; /* STRING: as scim_text_prepare makes it for the attribute */
    apr_size_t prepared_len;
    bool boolean;
    bool is_integer; /* NUMBER: integer holds it exactly; real always holds it */
    json_int_t integer;
    double real;
    apr_time_t time;
} scim_filter_value;

typedef struct scim_filter {
    scim_filter_kind kind;
    scim_filter_op op;
    /* COMPARE, PRESENT: attribute and sub-attribute.  Inside an ELEMENT's
     * filter, attribute is the sub-attribute of the element and sub NULL; for
     * a simple multi-valued attribute it is that attribute itself ("value"). */
    scim_path path;
    scim_filter_value value;
    const struct scim_filter *left;
    const struct scim_filter *right;
} scim_filter;

/* Parses text for resources of a type.  400 invalidFilter whose detail names
 * the token and its position (from 1) for all that the grammar or the schema
 * does not allow: unknown attribute, operator or value that the attribute's
 * type does not take, the limits above.  lenient: booleans as strings
 * ("True"), unquoted literals (see scim/interop.h).  403 sensitive for an
 * attribute that is never returned. */
const scim_error *scim_filter_parse(const scim_filter **out, const char *text,
                                    const scim_resource_type *type, bool lenient,
                                    apr_pool_t *result_pool);

/* The same for one of several types that are asked at once (RFC 7644 section
 * 3.4.2.1): an attribute that this type does not have, but another does, is
 * one without a value; one that no type has is 400 invalidFilter. */
const scim_error *scim_filter_parse_any(const scim_filter **out, const char *text,
                                        const scim_resource_type *type,
                                        const scim_registry *registry, bool lenient,
                                        apr_pool_t *result_pool);

/* Parses the filter between the brackets of a value path over attribute, for
 * scim/path.h: *cursor stands behind "[" and is moved behind "]". */
const scim_error *scim_filter_parse_element(const scim_filter **out, const char **cursor,
                                            const char *end, const char *whole,
                                            const scim_attribute *attribute, bool lenient,
                                            apr_pool_t *result_pool);

/* What is evaluated: a resource as its reader would see it, but for members
 * and groups, which are edges in the store and asked for only when a filter
 * names them. */
typedef struct scim_candidate scim_candidate;
struct scim_candidate {
    const scim_resource_type *type;
    const json_t *resource; /* canonical names; has schemas, id, meta */
    /* The elements of members or groups as a JSON array, borrowed; NULL: none. */
    const json_t *(*edges)(scim_candidate *subject, const scim_attribute *attribute);
    /* Whether an element of members or groups has this value: one look-up. */
    bool (*has_edge)(scim_candidate *subject, const scim_attribute *attribute,
                     const char *value);
    void *baton;
};

/* Whether the subject matches.  Temporaries go to scratch_pool. */
bool scim_filter_match(const scim_filter *filter, scim_candidate *subject,
                       apr_pool_t *scratch_pool);

/* Whether one element of a multi-valued attribute matches a value path's
 * filter. */
bool scim_filter_match_element(const scim_filter *filter, const json_t *element,
                               apr_pool_t *scratch_pool) __attribute__((nonnull(1, 2)));

/* The JSON object that the eq-terms of a value path's filter describe
 * ({"type":"work"}), where the filter is nothing but eq-terms joined by and;
 * NULL elsewhere.  Adopted by result_pool. */
json_t *scim_filter_template(const scim_filter *filter, apr_pool_t *result_pool);

/* How many comparisons it makes of one resource or element; 1 for NULL. */
int scim_filter_terms(const scim_filter *filter);

/* Whether the filter names an attribute of this role anywhere. */
bool scim_filter_mentions(const scim_filter *filter, scim_role role);

#endif
