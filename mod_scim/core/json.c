/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON over Jansson.  What a client sent is read by our own parser, and where that
 * finds a fault in it looked at twice more, to tell which: by a scan of the bytes
 * that finds what would cost too much to parse, and by Jansson's parser.  A walk
 * over the result finds names that SCIM holds to be the same.
 */
#include "scim/json.h"

#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "json_parse.h"
#include "scim/heap.h"
#include "scim/text.h"

#define BOM "\xef\xbb\xbf"

static const char too_deep[] =
    "arrays and objects are nested more than " APR_STRINGIFY(SCIM_JSON_MAX_DEPTH) " deep";
static const char too_many_members[] =
    "an object has more than " APR_STRINGIFY(SCIM_JSON_MAX_KEYS) " members";
static const char too_many_values[] =
    "there are more than " APR_STRINGIFY(SCIM_JSON_MAX_ELEMENTS) " values";

static apr_status_t drop_reference(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

json_t *scim_json_adopt(json_t *json, apr_pool_t *pool)
{
    if (json) {
        apr_pool_cleanup_register(pool, json, drop_reference, apr_pool_cleanup_null);
    }
    return json;
}

/* Overwrites the strings of what nobody else holds. */
static void wipe(json_t *json)
{
    const char *key;
    json_t *part;
    size_t i;

    if (!json || json->refcount != 1) {
        return;
    }
    if (json_is_string(json)) {
        explicit_bzero((char *)json_string_value(json), json_string_length(json));
    }
    json_object_foreach (json, key, part) {
        wipe(part);
    }
    json_array_foreach (json, i, part) {
        wipe(part);
    }
}

static apr_status_t wipe_and_drop(void *json)
{
    wipe(json);
    json_decref(json);
    return APR_SUCCESS;
}

json_t *scim_json_adopt_secret(json_t *json, apr_pool_t *pool)
{
    if (json) {
        apr_pool_cleanup_register(pool, json, wipe_and_drop, apr_pool_cleanup_null);
    }
    return json;
}

/* The index behind the string that opens at bytes[i]. */
static apr_size_t skip_string(const char *bytes, apr_size_t len, apr_size_t i)
{
    for (i++; i < len && bytes[i] != '"'; i++) {
        if (bytes[i] == '\\') {
            i++;
        }
    }
    return i + 1;
}

/* The index behind the number or literal at bytes[i]. */
static apr_size_t skip_word(const char *bytes, apr_size_t len, apr_size_t i)
{
    do {
        i++;
    } while (i < len && !strchr("\",:[]{} \t\r\n", bytes[i]));
    return i;
}

/*
 * The limits, held against the bytes: a parser would by then have recursed or
 * allocated.  Says what is too much, *at being the place; NULL where nothing
 * is.  What is no JSON at all is left to Jansson, which stops at the first
 * fault; up to there the numbers counted here are right.
 */
static const char *exceeded_limit(const char *bytes, apr_size_t len, apr_size_t *at)
{
    apr_size_t keys[SCIM_JSON_MAX_DEPTH + 1] = {0}; /* of the object open at each depth */
    apr_int64_t values = 0;                         /* a name counts until its colon */
    apr_size_t i = 0;
    int depth = 0;

    while (i < len) {
        *at = i;
        switch (bytes[i]) {
        case '"':
            values++;
            i = skip_string(bytes, len, i);
            continue;
        case '{':
        case '[':
            if (++depth > SCIM_JSON_MAX_DEPTH) {
                return too_deep;
            }
            keys[depth] = 0;
            values++;
            break;
        case ':':
            if (++keys[depth] > SCIM_JSON_MAX_KEYS) {
                return too_many_members;
            }
            values--;
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            /* fall through */
        case ',':
            if (values > SCIM_JSON_MAX_ELEMENTS) {
                return too_many_values;
            }
            break;
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            values++;
            i = skip_word(bytes, len, i);
            continue;
        }
        i++;
    }
    return NULL;
}

/* As Jansson counts: lines from 1, columns in characters. */
static const scim_error *fault_at(const char *bytes, apr_size_t at, const char *what,
                                  apr_pool_t *result_pool)
{
    int line = 1, column = 1;
    apr_size_t i;

    for (i = 0; i < at; i++) {
        if (bytes[i] == '\n') {
            line++;
            column = 1;
        } else if ((bytes[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    return scim_error_make(result_pool, SCIM_E_INVALID_SYNTAX,
                           "Invalid JSON at line %d, column %d: %s", line, column, what);
}

/* Jansson's own message quotes the text near the fault, which may be a
 * password on its way into a log. */
static const char *fault_text(enum json_error_code code)
{
    switch (code) {
    case json_error_invalid_utf8:
        return "the text is not UTF-8";
    case json_error_premature_end_of_input:
        return "the text ends within a string, an array or an object";
    case json_error_end_of_input_expected:
        return "something follows the end of the object";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "the character \\u0000 is not allowed";
    case json_error_duplicate_key:
        return "the same name stands twice in one object";
    case json_error_numeric_overflow:
        return "a number is too large";
    default:
        return "unexpected text";
    }
}

static const scim_error *parse_fault(const json_error_t *fault, apr_pool_t *result_pool)
{
    if (json_error_code(fault) == json_error_out_of_memory) {
        scim_heap_exhausted();
    }
    return scim_error_make(result_pool, SCIM_E_INVALID_SYNTAX,
                           "Invalid JSON at line %d, column %d: %s", fault->line, fault->column,
                           fault_text(json_error_code(fault)));
}

typedef struct member_name {
    const char *text;
    apr_size_t len;
} member_name;

static int compare_names(const void *a, const void *b)
{
    return scim_text_casecmp(((const member_name *)a)->text, ((const member_name *)b)->text);
}

static const scim_error *check_pair(const member_name *one, const member_name *other,
                                    apr_pool_t *result_pool)
{
    if (one->len != other->len || scim_text_casecmp(one->text, other->text)) {
        return NULL;
    }
    return scim_error_make(result_pool, SCIM_E_INVALID_SYNTAX,
                           "The names \"%.128s\" and \"%.128s\" in one object differ "
                           "only in case; attribute names have no case",
                           one->text, other->text);
}

#define FEW_NAMES 16

/* Few names are compared each with each.  Many are sorted, since otherwise one body
 * of full objects would cost a second. */
static const scim_error *check_members(json_t *object, member_name *names,
                                       apr_pool_t *result_pool)
{
    const char *text;
    json_t *value;
    size_t count = 0, len, i, j;

    json_object_keylen_foreach(object, text, len, value)
    {
        names[count++] = (member_name){text, len};
    }
    if (count > FEW_NAMES) {
        qsort(names, count, sizeof(*names), compare_names);
    }
    for (i = 1; i < count; i++) {
        for (j = count > FEW_NAMES ? i - 1 : 0; j < i; j++) {
            SCIM_ERR(check_pair(&names[j], &names[i], result_pool));
        }
    }
    return NULL;
}

/* names is room for those of the largest object. */
static const scim_error *check_names(json_t *json, member_name *names, apr_pool_t *result_pool)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(json)) {
        SCIM_ERR(check_members(json, names, result_pool));
        json_object_foreach (json, key, value) {
            SCIM_ERR(check_names(value, names, result_pool));
        }
    } else {
        json_array_foreach (json, i, value) {
            SCIM_ERR(check_names(value, names, result_pool));
        }
    }
    return NULL;
}

/* Jansson passes over some NULs, and over what it has no memory for.  Drops json. */
static const scim_error *missed_fault(json_t *json, const char *bytes, apr_size_t len,
                                      apr_pool_t *result_pool)
{
    const char *nul = memchr(bytes, '\0', len);

    json_decref(json);
    return nul ? fault_at(bytes, (apr_size_t)(nul - bytes),
                          fault_text(json_error_null_character), result_pool)
               : fault_at(bytes, 0, fault_text(json_error_unknown), result_pool);
}

/* Where the string that begins behind at ends: its closing quote, or the end of all. */
static apr_size_t end_of_string(const char *bytes, apr_size_t at, apr_size_t len)
{
    while (at < len && bytes[at] != '"') {
        at += bytes[at] == '\\' && at + 1 < len ? 2 : 1;
    }
    return at;
}

static bool is_name_before(const char *bytes, apr_size_t at, apr_size_t len)
{
    while (at < len && strchr(" \t\r\n", bytes[at]) && bytes[at]) {
        at++;
    }
    return at < len && bytes[at] == ':';
}

/* A value is as faulty without what it says: escapes stay, and what is not ASCII. */
static void mask(char *bytes, apr_size_t from, apr_size_t to)
{
    for (; from < to; from++) {
        if (bytes[from] == '\\') {
            from += from + 1 < to && bytes[from + 1] == 'u' ? 5 : 1;
        } else if (apr_isalnum(bytes[from])) {
            bytes[from] = 'x';
        }
    }
}

/* A copy in which no string says anything but names, on the heap: Jansson does not wipe
 * what it gives back, and there may be a password in it. */
static char *masked_copy(const char *bytes, apr_size_t len)
{
    char *copy = scim_heap_checked(malloc(len));
    apr_size_t at, end;

    memcpy(copy, bytes, len);
    for (at = 0; at < len; at++) {
        if (bytes[at] == '"') {
            end = end_of_string(bytes, at + 1, len);
            if (!is_name_before(bytes, end + 1, len)) {
                mask(copy, at + 1, end);
            }
            at = end;
        }
    }
    return copy;
}

/* Which fault there is in what our own parser does not take. */
static const scim_error *find_fault(const char *bytes, apr_size_t len, apr_pool_t *result_pool)
{
    const char *what;
    char *copy;
    json_error_t fault;
    json_t *json;
    apr_size_t at;

    if (!len) {
        return scim_error_make(result_pool, SCIM_E_INVALID_SYNTAX,
                               "There is no JSON: the body is empty");
    }
    if (len >= strlen(BOM) && !memcmp(bytes, BOM, strlen(BOM))) {
        return fault_at(bytes, 0, "the text begins with a byte order mark", result_pool);
    }
    if ((what = exceeded_limit(bytes, len, &at))) {
        return fault_at(bytes, at, what, result_pool);
    }
    copy = masked_copy(bytes, len);
    json = json_loadb(copy, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    free(copy);
    return json ? missed_fault(json, bytes, len, result_pool)
                : parse_fault(&fault, result_pool);
}

const scim_error *scim_json_read(json_t **out, const char *bytes, apr_size_t len,
                                 apr_pool_t *result_pool)
{
    member_name names[SCIM_JSON_MAX_KEYS];
    json_t *json = json_parse(bytes, len, 0);

    *out = NULL;
    if (!json) {
        return find_fault(bytes, len, result_pool);
    }
    scim_json_adopt_secret(json, result_pool);
    if (!json_is_object(json)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_SYNTAX,
                               "A JSON object is expected at line 1, column 1, not %s",
                               scim_json_kind(json));
    }
    SCIM_ERR(check_names(json, names, result_pool));
    *out = json;
    return NULL;
}

static json_t *read_own(const char *bytes, apr_size_t len, json_type type,
                        apr_pool_t *result_pool)
{
    json_t *json = json_parse(bytes, len, JSON_PARSE_OWN);

    if (json && json_typeof(json) != type) {
        json_decref(json);
        return NULL;
    }
    return scim_json_adopt(json, result_pool);
}

json_t *scim_json_read_own(const char *bytes, apr_size_t len, apr_pool_t *result_pool)
{
    return read_own(bytes, len, JSON_OBJECT, result_pool);
}

json_t *scim_json_read_own_array(const char *bytes, apr_size_t len, apr_pool_t *result_pool)
{
    return read_own(bytes, len, JSON_ARRAY, result_pool);
}

json_t *scim_json_get(const json_t *object, const char *name, const char **key)
{
    json_t *json = (json_t *)object; /* Jansson's iterators take no const */
    void *iter = json_object_iter_at(json, name);
    apr_size_t len = strlen(name);

    if (!iter) {
        iter = json_object_iter(json);
        while (iter && (json_object_iter_key_len(iter) != len ||
                        scim_text_casecmp(json_object_iter_key(iter), name))) {
            iter = json_object_iter_next(json, iter);
        }
    }
    if (key) {
        *key = iter ? json_object_iter_key(iter) : NULL;
    }
    return iter ? json_object_iter_value(iter) : NULL;
}

const char *scim_json_string(const json_t *object, const char *name)
{
    return json_string_value(scim_json_get(object, name, NULL));
}

json_t *scim_json_log_text(const char *text, apr_size_t max, apr_pool_t *scratch_pool)
{
    apr_size_t len = text ? strlen(text) : 0, i;
    json_t *json;
    char *ascii;

    if (!text) {
        return json_null();
    }
    if (len > max) {
        /* No character has more than three bytes behind its first. */
        for (len = max; len && len + 3 > max && ((unsigned char)text[len] & 0xc0) == 0x80;
             len--) {
        }
    }
    json = scim_json_textn(text, len);
    if (json) {
        return json;
    }
    ascii = apr_pstrmemdup(scratch_pool, text, len);
    for (i = 0; i < len; i++) {
        ascii[i] = (unsigned char)ascii[i] < 0x80 ? ascii[i] : '?';
    }
    return scim_json_textn(ascii, len);
}

bool scim_json_unassigned(const json_t *value)
{
    const char *name;
    json_t *inner;
    size_t i;

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_NULL:
        return true;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_ARRAY:
        json_array_foreach (value, i, inner) {
            if (!scim_json_unassigned(inner)) {
                return false;
            }
        }
        return true;
    case JSON_OBJECT:
        json_object_foreach ((json_t *)value, name, inner) {
            if (!scim_json_unassigned(inner)) {
                return false;
            }
        }
        return true;
    default:
        return false;
    }
}

const char *scim_json_kind(const json_t *value)
{
    if (!value) {
        return "nothing";
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a decimal number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}
