/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a tree to its text, byte for byte as json_dumps() makes it with JSON_COMPACT,
 * but in one pass and with no call for each character.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "json_bytes.h"
#include "scim/heap.h"
#include "scim/json.h"

#define MIN_DIGITS 15 /* a decimal of so many digits survives a double */
#define MAX_DIGITS 17 /* any double survives so many digits */
#define NUMBER_MAX 40 /* characters of a number, and to spare */
#define PIECE 512     /* of a string, escaped in one go */
#define ESCAPED_MAX 6

/* Text that grows.  Most is done before it outgrows the stack; behind that the
 * memory is malloc's, since a pool would keep each size it went through. */
typedef struct output {
    char *bytes;
    apr_size_t len;
    apr_size_t size;
    int digits; /* of numbers with a fraction */
    char small[4096];
} output;

static void grow(output *out, apr_size_t more)
{
    char *small = out->bytes == out->small ? out->small : NULL;

    while (out->size < out->len + more) {
        out->size *= 2;
    }
    out->bytes = scim_heap_checked(realloc(small ? NULL : out->bytes, out->size));
    if (small) {
        memcpy(out->bytes, small, out->len);
    }
}

/* Where more bytes, none of which are counted yet, may be put. */
static char *room(output *out, apr_size_t more)
{
    if (out->size - out->len < more) {
        grow(out, more);
    }
    return out->bytes + out->len;
}

static void put(output *out, const char *bytes, apr_size_t len)
{
    memcpy(room(out, len), bytes, len);
    out->len += len;
}

static char *escape_byte(char *at, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char shorts[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

    *at++ = '\\';
    if (c >= 0x20 || shorts[c]) {
        *at++ = c >= 0x20 ? (char)c : shorts[c];
        return at;
    }
    memcpy(at, "u00", 3);
    at[3] = hex[c >> 4];
    at[4] = hex[c & 15];
    return at + 5;
}

/* Eight bytes at a time as long as they stand for themselves. */
static char *escape(char *at, const char *bytes, apr_size_t len)
{
    apr_uint64_t eight;

    while (len) {
        for (; len >= sizeof(eight); len -= sizeof(eight)) {
            memcpy(&eight, bytes, sizeof(eight));
            if (json_bytes_escaped(eight)) {
                break;
            }
            memcpy(at, &eight, sizeof(eight));
            at += sizeof(eight);
            bytes += sizeof(eight);
        }
        for (; len && !json_byte_escaped((unsigned char)*bytes); len--) {
            *at++ = *bytes++;
        }
        if (len) {
            at = escape_byte(at, (unsigned char)*bytes++);
            len--;
        }
    }
    return at;
}

static void put_string(output *out, const char *bytes, apr_size_t len)
{
    put(out, "\"", 1);
    while (len) {
        apr_size_t piece = len < PIECE ? len : PIECE;
        char *at = room(out, ESCAPED_MAX * piece);

        out->len += (apr_size_t)(escape(at, bytes, piece) - at);
        bytes += piece;
        len -= piece;
    }
    put(out, "\"", 1);
}

static bool survives(double real, int digits)
{
    char text[40];

    snprintf(text, sizeof(text), "%.*g", digits, real);
    return strtod(text, NULL) == real;
}

/* The text of a double in at, as Jansson up to 2.14 has it: with a dot, whatever
 * the locale, or an exponent, and that without "+" and leading zeros.  Later ones
 * keep memory for it that all threads share, and no lock. */
static apr_size_t real_text(char *at, double real, int digits)
{
    int len = snprintf(at, NUMBER_MAX, "%.*g", digits, real);
    char *point = at + strspn(at, "-0123456789");
    char *exponent = strchr(point, 'e');
    const char *value;

    if (!*point) {
        memcpy(point, ".0", 3);
        return (apr_size_t)len + 2;
    }
    if (point != exponent) {
        *point = '.';
    }
    if (!exponent) {
        return (apr_size_t)len;
    }
    exponent += exponent[1] == '-' ? 2 : 1;
    value = exponent + strspn(exponent, "+0");
    len -= (int)(value - exponent);
    memmove(exponent, value, strlen(value) + 1);
    return (apr_size_t)len;
}

/* 1.1 is to be written so, not 1.1000000000000001.  False where the digits that
 * all have are too few for this one: then all are to be written anew. */
static bool put_real(output *out, double real)
{
    int digits = out->digits;

    while (digits < MAX_DIGITS && !survives(real, digits)) {
        digits++;
    }
    if (digits > out->digits) {
        out->digits = digits;
        return false;
    }
    out->len += real_text(room(out, NUMBER_MAX), real, digits);
    return true;
}

static void put_integer(output *out, const json_t *integer)
{
    out->len += (apr_size_t)snprintf(room(out, NUMBER_MAX), NUMBER_MAX, "%" JSON_INTEGER_FORMAT,
                                     json_integer_value(integer));
}

static bool put_value(output *out, const json_t *value);

static bool put_object(output *out, json_t *object)
{
    void *iter = json_object_iter(object);
    char before = '{';

    if (!iter) {
        put(out, "{}", 2);
        return true;
    }
    for (; iter; iter = json_object_iter_next(object, iter)) {
        put(out, &before, 1);
        put_string(out, json_object_iter_key(iter), json_object_iter_key_len(iter));
        put(out, ":", 1);
        if (!put_value(out, json_object_iter_value(iter))) {
            return false;
        }
        before = ',';
    }
    put(out, "}", 1);
    return true;
}

static bool put_array(output *out, const json_t *array)
{
    const json_t *value;
    size_t i;

    put(out, "[", 1);
    json_array_foreach (array, i, value) {
        if (i) {
            put(out, ",", 1);
        }
        if (!put_value(out, value)) {
            return false;
        }
    }
    put(out, "]", 1);
    return true;
}

static bool put_value(output *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(out, (json_t *)value); /* Jansson's iterators take no const */
    case JSON_ARRAY:
        return put_array(out, value);
    case JSON_STRING:
        put_string(out, json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        put_integer(out, value);
        return true;
    case JSON_REAL:
        return put_real(out, json_real_value(value));
    case JSON_TRUE:
        put(out, "true", 4);
        return true;
    case JSON_FALSE:
        put(out, "false", 5);
        return true;
    default:
        put(out, "null", 4);
        return true;
    }
}

char *scim_json_write(const json_t *json, apr_size_t *len, apr_pool_t *result_pool)
{
    output out;
    char *text;

    out.bytes = out.small;
    out.size = sizeof(out.small);
    out.digits = MIN_DIGITS;
    do {
        out.len = 0;
    } while (!put_value(&out, json));
    text = apr_pstrmemdup(result_pool, out.bytes, out.len);
    *len = out.len;
    if (out.bytes != out.small) {
        free(out.bytes);
    }
    return text;
}
