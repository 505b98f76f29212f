/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query string: what clients really send has "+" for spaces, empty
 * parameters ("...&", "?") and flags of their own ("?aadOptscim062020").
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "scim/json.h"
#include "scim/params.h"
#include "scim/text.h"

#include "handler.h"

#define URN_SEARCH "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

static int hex_digit(char c)
{
    if (apr_isdigit(c)) {
        return c - '0';
    }
    return apr_isxdigit(c) ? apr_tolower(c) - 'a' + 10 : -1;
}

/* Form decoding; NULL for a bad escape, a NUL, or what is not UTF-8. */
static const char *decode(const char *text, apr_size_t len, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, len + 1), *to = out;
    const char *end = text + len;

    while (text < end) {
        char c = *text++;

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = text < end ? hex_digit(text[0]) : -1;
            int low = text + 1 < end ? hex_digit(text[1]) : -1;

            if (high < 0 || low < 0 || !(high | low)) {
                return NULL;
            }
            c = (char)(high << 4 | low);
            text += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return scim_text_is_utf8(out, (apr_size_t)(to - out)) ? out : NULL;
}

/* Where the value of a parameter goes, and *canonical its name; NULL for one
 * that is not known. */
static const char **slot(scim_params *params, const char *name, const char **canonical)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = {
        {"attributes", &params->attributes},
        {"excludedAttributes", &params->excluded_attributes},
        {"filter", &params->filter},
        {"startIndex", &params->start_index},
        {"count", &params->count},
        {"sortBy", &params->sort_by},
        {"sortOrder", &params->sort_order},
        {"cursor", &params->cursor},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!scim_text_casecmp(name, known[i].name)) {
            *canonical = known[i].name;
            return known[i].value;
        }
    }
    return NULL;
}

/* One "name=value". */
static const scim_error *read_one(scim_params *out, const char *text, apr_size_t len,
                                  apr_pool_t *pool)
{
    const char *equals = memchr(text, '=', len);
    const char *canonical = NULL, *name, **value;

    if (!equals) {
        /* "?cursor" asks for a first page; no other parameter means anything
         * without a value. */
        if (len == 6 && !scim_text_ncasecmp(text, "cursor", 6) && !out->cursor) {
            out->cursor = "";
        }
        return NULL;
    }
    name = decode(text, (apr_size_t)(equals - text), pool);
    value = name ? slot(out, name, &canonical) : NULL;
    if (!value) {
        return NULL;
    }
    if (*value) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE,
                               "The query parameter %s is given more than once", canonical);
    }
    *value = decode(equals + 1, len - (apr_size_t)(equals + 1 - text), pool);
    if (!*value) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE,
                               "The query parameter %s is not percent-encoded UTF-8 text",
                               canonical);
    }
    return NULL;
}

const scim_error *scim_params_read(scim_params *out, const char *query, apr_pool_t *result_pool)
{
    memset(out, 0, sizeof(*out));
    while (query && *query) {
        apr_size_t len = strcspn(query, "&");

        SCIM_ERR(read_one(out, query, len, result_pool));
        query += len;
        query += *query == '&';
    }
    return NULL;
}

/* An integer of any size: beyond 64 bits it is the nearest one. */
static const scim_error *read_integer(apr_int64_t *out, const char *name, const char *text,
                                      apr_pool_t *pool)
{
    const char *digits = *text == '-' ? text + 1 : text;

    if (!*digits || digits[strspn(digits, "0123456789")]) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE, "%s must be an integer", name);
    }
    *out = strtoll(text, NULL, 10);
    return NULL;
}

static const scim_error *wrong_member(const char *name, const char *wanted, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_INVALID_VALUE, "%s of the search request must be %s",
                           name, wanted);
}

/* An array of names as the query string has them: joined by commas. */
static const scim_error *search_names(const char **out, const json_t *message, const char *name,
                                      apr_pool_t *pool)
{
    const json_t *list = scim_json_get(message, name, NULL), *element;
    size_t i;

    if (!list || json_is_null(list)) {
        return NULL;
    }
    if (!json_is_array(list)) {
        return wrong_member(name, "an array of attribute names", pool);
    }
    json_array_foreach (list, i, element) {
        if (!json_is_string(element)) {
            return wrong_member(name, "an array of attribute names", pool);
        }
        *out = *out ? apr_pstrcat(pool, *out, ",", json_string_value(element), NULL)
                    : json_string_value(element);
    }
    return NULL;
}

static const scim_error *search_string(const char **out, const json_t *message,
                                       const char *name, apr_pool_t *pool)
{
    const json_t *value = scim_json_get(message, name, NULL);

    if (value && !json_is_null(value) && !json_is_string(value)) {
        return wrong_member(name, "a string", pool);
    }
    *out = json_string_value(value);
    return NULL;
}

static const scim_error *search_integer(const char **out, const json_t *message,
                                        const char *name, apr_pool_t *pool)
{
    const json_t *value = scim_json_get(message, name, NULL);

    if (value && !json_is_null(value)) {
        if (!json_is_integer(value)) {
            return wrong_member(name, "an integer", pool);
        }
        *out = apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    }
    return NULL;
}

const scim_error *scim_params_search(scim_params *out, const json_t *message,
                                     apr_pool_t *result_pool)
{
    memset(out, 0, sizeof(*out));
    if (!scim_call_is_message(message, URN_SEARCH)) {
        return scim_error_make(
            result_pool, SCIM_E_INVALID_SYNTAX,
            "The body must be a search request: its schemas must hold " URN_SEARCH);
    }
    SCIM_ERR(search_names(&out->attributes, message, "attributes", result_pool));
    SCIM_ERR(
        search_names(&out->excluded_attributes, message, "excludedAttributes", result_pool));
    SCIM_ERR(search_string(&out->filter, message, "filter", result_pool));
    SCIM_ERR(search_integer(&out->start_index, message, "startIndex", result_pool));
    SCIM_ERR(search_integer(&out->count, message, "count", result_pool));
    SCIM_ERR(search_string(&out->sort_by, message, "sortBy", result_pool));
    SCIM_ERR(search_string(&out->sort_order, message, "sortOrder", result_pool));
    return search_string(&out->cursor, message, "cursor", result_pool);
}

const scim_error *scim_params_page(apr_int64_t *start, apr_int64_t *count,
                                   const scim_params *params, const scim_wire *wire,
                                   apr_pool_t *result_pool)
{
    *start = 1;
    *count = wire->default_page;
    if (params->start_index) {
        SCIM_ERR(read_integer(start, "startIndex", params->start_index, result_pool));
    }
    if (params->count) {
        SCIM_ERR(read_integer(count, "count", params->count, result_pool));
    }
    if (params->cursor && params->start_index) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "startIndex and cursor exclude each other");
    }
    if (*start < 1) {
        *start = 1;
    }
    if (*count < 0) {
        *count = 0;
    }
    if (params->cursor && params->count && *count > wire->max_page) {
        return scim_error_make(result_pool, SCIM_E_INVALID_COUNT,
                               "count is at most %" APR_INT64_T_FMT " here", wire->max_page);
    }
    if (*count > wire->max_page) {
        *count = wire->max_page;
    }
    return NULL;
}
