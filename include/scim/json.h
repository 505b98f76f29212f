/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON for SCIM over Jansson: reading within limits, names without case,
 * ownership by pools.
 *
 * A json_t that a request made is adopted by the request's pool once, at its
 * root; everything below the root is borrowed.  Functions that return a
 * "new" json_t that is not adopted say so.  Jansson's allocator is never
 * replaced: other modules of the same process use it.
 */
#ifndef SCIM_JSON_H
#define SCIM_JSON_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <apr_pools.h>
#include <jansson.h>

#include "scim/error.h"
#include "scim/heap.h"

#define SCIM_JSON_MAX_DEPTH 32        /* arrays and objects within each other */
#define SCIM_JSON_MAX_KEYS 1000       /* members of one object */
#define SCIM_JSON_MAX_ELEMENTS 200000 /* values in all */

/* Reads one JSON object.  400 invalidSyntax, with line and column, for
 * anything that is not one: malformed or truncated text, a BOM, NUL, invalid
 * UTF-8, a lone surrogate, another type at the top, trailing bytes, a limit
 * above, and two names in one object that are equal without regard to ASCII
 * case (RFC 7643 section 2.1).  *out is adopted by result_pool, as a secret. */
const scim_error *scim_json_read(json_t **out, const char *bytes, apr_size_t len,
                                 apr_pool_t *result_pool);

/* Reads bytes that this project wrote itself (store, built-in schemas):
 * no limits, no check of names.  NULL where they are no JSON object. */
json_t *scim_json_read_own(const char *bytes, apr_size_t len, apr_pool_t *result_pool);

/* The same of an array. */
json_t *scim_json_read_own_array(const char *bytes, apr_size_t len, apr_pool_t *result_pool);

/* Gives the caller's reference to pool, which drops it when it is cleared.
 * Returns json, for chaining; NULL is passed through. */
json_t *scim_json_adopt(json_t *json, apr_pool_t *pool);

/* The same for JSON that a client sent, or made of it: when it goes its strings
 * are overwritten, since one of them may be a password. */
json_t *scim_json_adopt_secret(json_t *json, apr_pool_t *pool);

/* The compact text of json in result_pool, NUL-terminated; *len its length.
 * Numbers have the digits that they were sent with, where 15 are enough for
 * all of them. */
char *scim_json_write(const json_t *json, apr_size_t *len, apr_pool_t *result_pool);

/* The member of object whose name equals name without ASCII case; NULL where
 * there is none.  *key, where not NULL, is the name as it stands. Borrowed. */
json_t *scim_json_get(const json_t *object, const char *name, const char **key);

/* The string member of that name, or NULL where it is absent or no string. */
const char *scim_json_string(const json_t *object, const char *name);

/* A new string, not adopted, of text that may be any bytes, as logs need it: at
 * most max bytes of it, cut between characters; where they are not UTF-8, a
 * "?" for each that is not ASCII.  null for NULL. */
json_t *scim_json_log_text(const char *text, apr_size_t max, apr_pool_t *scratch_pool);

/* RFC 7643 section 2.5: null, "" and [] (and an array of nothing but these,
 * and an object whose members are all unassigned) are "no value". */
bool scim_json_unassigned(const json_t *value);

/* "a string", "a boolean", "an array" ...: for details. */
const char *scim_json_kind(const json_t *value);

/*
 * Making trees.  These stand for Jansson's functions of the same names, whose failures
 * look all alike: without memory they end the process (scim/heap.h), so that no tree
 * ever lacks a part in silence.  What they return is new and not adopted.  A value that
 * is put into an object or an array is taken over; NULL for it, as for a text that is
 * no UTF-8, puts nothing there.  Names and what is called UTF-8 are not looked at.
 */
json_t *scim_json_object(void);
json_t *scim_json_array(void);
json_t *scim_json_integer(json_int_t value);
json_t *scim_json_real(double value); /* NULL for what is not finite */

static inline json_t *scim_json_utf8(const char *text, apr_size_t len)
{
    return scim_heap_checked(json_stringn_nocheck(text, len));
}

/* NULL where text is NULL or not UTF-8. */
json_t *scim_json_textn(const char *text, apr_size_t len);

static inline json_t *scim_json_text(const char *text)
{
    return text ? scim_json_textn(text, strlen(text)) : NULL;
}

/* Another text, UTF-8, in place of a string's. */
void scim_json_rewrite(json_t *string, const char *text, apr_size_t len);

/* Ends the process where what Jansson refused was meant. */
void scim_json_refused(bool meant);

static inline void scim_json_setn(json_t *object, const char *name, apr_size_t len,
                                  json_t *value)
{
    if (json_object_setn_new_nocheck(object, name, len, value)) {
        scim_json_refused(value && json_is_object(object));
    }
}

static inline void scim_json_set(json_t *object, const char *name, json_t *value)
{
    scim_json_setn(object, name, strlen(name), value);
}

static inline void scim_json_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value)) {
        scim_json_refused(value && json_is_array(array));
    }
}

void scim_json_insert(json_t *array, apr_size_t i, json_t *value);

/* NULL for NULL.  The parts of the first are those of json. */
json_t *scim_json_copy(const json_t *json);
json_t *scim_json_deep_copy(const json_t *json);

/* Puts the members of other into object: all, or those whose names are missing. */
void scim_json_update(json_t *object, const json_t *other);
void scim_json_update_missing(json_t *object, const json_t *other);

/* Of a format without "*", which takes want of memory for want of a value, and with no
 * NULL for "o" and "O".  NULL where a text is not UTF-8. */
json_t *scim_json_pack(const char *format, ...);

/* Of an object or an array. */
apr_size_t scim_json_dumpb(const json_t *json, char *buffer, apr_size_t size, size_t flags);
char *scim_json_dumps(const json_t *json, size_t flags); /* for free() */
void scim_json_print(const json_t *json, FILE *file, size_t flags);

#endif
