/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From text to Jansson's trees, strings as a whole instead of by characters, and
 * counted on the way.  Every function answers NULL, or false, for a fault in the text.
 */
#include "json_parse.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json_bytes.h"
#include "scim/heap.h"
#include "scim/json.h"
#include "scim/text.h"

#define OWN_MAX_DEPTH 2048 /* Jansson's, and what the stack has room for */
#define DIGITS_MAX 18      /* that any json_int_t has room for */
#define INTEGER_MAX 20     /* characters of a json_int_t */

typedef struct parser {
    const char *at;
    const char *end;
    unsigned flags;
    int depth;
    apr_size_t values;
} parser;

/* A string as it stands between its quotes. */
typedef struct quoted {
    const char *bytes;
    apr_size_t len;
    bool escapes;
} quoted;

static bool is_own(const parser *p)
{
    return (p->flags & JSON_PARSE_OWN) != 0;
}

/* The next byte that is no white space, NUL at the end. */
static char peek(parser *p)
{
    while (p->at < p->end &&
           (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')) {
        p->at++;
    }
    return p->at < p->end ? *p->at : '\0';
}

static bool take(parser *p, char c)
{
    if (peek(p) != c) {
        return false;
    }
    p->at++;
    return true;
}

/* Steps over plain text; true where some is not ASCII. */
static bool skip_plain(parser *p)
{
    bool foreign = false;
    apr_uint64_t eight;

    while ((apr_size_t)(p->end - p->at) >= sizeof(eight)) {
        memcpy(&eight, p->at, sizeof(eight));
        if (json_bytes_escaped(eight)) {
            break;
        }
        foreign = foreign || json_bytes_not_ascii(eight);
        p->at += sizeof(eight);
    }
    while (p->at < p->end && !json_byte_escaped((unsigned char)*p->at)) {
        foreign = foreign || (unsigned char)*p->at >= 0x80;
        p->at++;
    }
    return foreign;
}

static bool read_quoted(quoted *out, parser *p)
{
    bool foreign = false;

    if (!take(p, '"')) {
        return false;
    }
    out->bytes = p->at;
    out->escapes = false;
    for (;;) {
        foreign = skip_plain(p) || foreign;
        if (p->at == p->end) {
            return false;
        }
        if (*p->at != '\\') {
            break;
        }
        if (p->end - p->at < 2) {
            return false;
        }
        out->escapes = true;
        p->at += 2;
    }
    if (*p->at != '"') {
        return false;
    }
    out->len = (apr_size_t)(p->at++ - out->bytes);
    return !foreign || scim_text_is_utf8(out->bytes, out->len);
}

/* The number in the four digits of an escape, -1 where they are none. */
static int hex(const char *digits)
{
    int value = 0, i;

    for (i = 0; i < 4; i++) {
        char c = digits[i];

        value <<= 4;
        if (c >= '0' && c <= '9') {
            value += c - '0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            value += (c | 0x20) - 'a' + 10;
        } else {
            return -1;
        }
    }
    return value;
}

/* The character behind "\u" at *from, which it moves on: 0 for none, and for U+0000,
 * which is not allowed. */
static int read_escaped(const char **from, const char *end)
{
    int high = end - *from < 4 ? 0 : hex(*from);
    int low;

    *from += 4;
    if (high < 0xD800 || high > 0xDFFF) {
        return high < 0 ? 0 : high;
    }
    if (high > 0xDBFF || end - *from < 6 || memcmp(*from, "\\u", 2)) {
        return 0;
    }
    low = hex(*from + 2);
    *from += 6;
    if (low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static char *put_utf8(char *at, int c)
{
    if (c < 0x80) {
        *at++ = (char)c;
    } else if (c < 0x800) {
        *at++ = (char)(0xC0 | c >> 6);
        *at++ = (char)(0x80 | (c & 0x3F));
    } else {
        if (c < 0x10000) {
            *at++ = (char)(0xE0 | c >> 12);
        } else {
            *at++ = (char)(0xF0 | c >> 18);
            *at++ = (char)(0x80 | (c >> 12 & 0x3F));
        }
        *at++ = (char)(0x80 | (c >> 6 & 0x3F));
        *at++ = (char)(0x80 | (c & 0x3F));
    }
    return at;
}

/* Replaces escapes where they stand, since what they stand for is never longer.
 * The length that is left; 0 for an escape that is none. */
static apr_size_t unescape(char *bytes, apr_size_t len)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *from = bytes, *end = bytes + len, *name;
    char *at = bytes;

    while (from < end) {
        if (*from != '\\') {
            *at++ = *from++;
            continue;
        }
        from += 2;
        name = from[-1] ? strchr(names, from[-1]) : NULL;
        if (name) {
            *at++ = meant[name - names];
        } else {
            int c = from[-1] == 'u' ? read_escaped(&from, end) : 0;

            if (!c) {
                return 0;
            }
            at = put_utf8(at, c);
        }
    }
    return (apr_size_t)(at - bytes);
}

static json_t *make_unescaped(const quoted *text)
{
    json_t *string = scim_json_utf8(text->bytes, text->len);
    char *bytes = (char *)json_string_value(string);
    apr_size_t len = unescape(bytes, text->len);

    if (!len) {
        json_decref(string);
        return NULL;
    }
    scim_json_rewrite(string, bytes, len);
    return string;
}

static json_t *read_string(parser *p)
{
    quoted text;

    if (!read_quoted(&text, p)) {
        return NULL;
    }
    return text.escapes ? make_unescaped(&text) : scim_json_utf8(text.bytes, text.len);
}

/* How many digits there are, which it steps over. */
static apr_size_t skip_digits(parser *p)
{
    const char *start = p->at;

    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
        p->at++;
    }
    return (apr_size_t)(p->at - start);
}

/* Whatever the locale has for a point.  len bytes of text are a number. */
static json_t *make_real(const char *text, apr_size_t len)
{
    char few[64], *copy = len < sizeof(few) ? few : scim_heap_checked(malloc(len + 1));
    locale_t c = scim_heap_checked(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    double value;

    memcpy(copy, text, len);
    copy[len] = '\0';
    value = strtod_l(copy, NULL, c);
    freelocale(c);
    if (copy != few) {
        free(copy);
    }
    return isfinite(value) ? scim_json_real(value) : NULL;
}

/* What stands behind the digits of a number that begins at start, which are not those
 * of an integer. */
static json_t *read_real(parser *p, const char *start)
{
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!skip_digits(p)) {
            return NULL;
        }
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-')) {
            p->at++;
        }
        if (!skip_digits(p)) {
            return NULL;
        }
    }
    return make_real(start, (apr_size_t)(p->at - start));
}

/* An integer of as many digits as may be too many. */
static json_t *make_long_integer(const parser *p, const char *text, apr_size_t len)
{
    char copy[INTEGER_MAX + 1];
    json_int_t value;

    if (len <= INTEGER_MAX) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        errno = 0;
        value = strtoll(copy, NULL, 10);
        if (!errno) {
            return scim_json_integer(value);
        }
    }
    return p->flags & JSON_PARSE_WIDE ? make_real(text, len) : NULL;
}

static json_t *read_number(parser *p)
{
    const char *start = p->at, *digits;
    bool negative = *start == '-';
    json_int_t value = 0;
    apr_size_t len, i;

    p->at += negative;
    digits = p->at;
    len = skip_digits(p);
    if (!len || (*digits == '0' && len > 1)) {
        return NULL;
    }
    if (p->at < p->end && memchr(".eE", *p->at, 3)) {
        return read_real(p, start);
    }
    if (len > DIGITS_MAX) {
        return make_long_integer(p, start, (apr_size_t)(p->at - start));
    }
    for (i = 0; i < len; i++) {
        value = 10 * value + (digits[i] - '0');
    }
    return scim_json_integer(negative ? -value : value);
}

static json_t *read_word(parser *p, const char *word, json_t *meant)
{
    apr_size_t len = strlen(word);

    if ((apr_size_t)(p->end - p->at) < len || memcmp(p->at, word, len)) {
        return NULL;
    }
    p->at += len;
    return meant;
}

static json_t *read_value(parser *p);

static bool read_elements(json_t *array, parser *p)
{
    if (take(p, ']')) {
        return true;
    }
    do {
        json_t *value = read_value(p);

        if (!value) {
            return false;
        }
        scim_json_append(array, value);
    } while (take(p, ','));
    return take(p, ']');
}

static bool put_unescaped(json_t *object, const quoted *name, json_t *value)
{
    json_t *string = make_unescaped(name);

    if (!string) {
        json_decref(value);
        return false;
    }
    scim_json_setn(object, json_string_value(string), json_string_length(string), value);
    json_decref(string);
    return true;
}

/* An object that has not grown had the name before. */
static bool read_member(json_t *object, parser *p)
{
    apr_size_t before = json_object_size(object);
    quoted name;
    json_t *value;

    if ((before == SCIM_JSON_MAX_KEYS && !is_own(p)) || !read_quoted(&name, p) ||
        !take(p, ':') || !(value = read_value(p))) {
        return false;
    }
    if (!name.escapes) {
        scim_json_setn(object, name.bytes, name.len, value);
    } else if (!put_unescaped(object, &name, value)) {
        return false;
    }
    return json_object_size(object) > before || is_own(p);
}

static bool read_members(json_t *object, parser *p)
{
    if (take(p, '}')) {
        return true;
    }
    do {
        if (!read_member(object, p)) {
            return false;
        }
    } while (take(p, ','));
    return take(p, '}');
}

static json_t *read_container(parser *p, json_t *made, bool fill(json_t *, parser *))
{
    p->at++;
    if (p->depth == (is_own(p) ? OWN_MAX_DEPTH : SCIM_JSON_MAX_DEPTH)) {
        json_decref(made);
        return NULL;
    }
    p->depth++;
    if (!fill(made, p)) {
        json_decref(made);
        return NULL;
    }
    p->depth--;
    return made;
}

static json_t *read_value(parser *p)
{
    char first = peek(p);

    if (p->values++ == SCIM_JSON_MAX_ELEMENTS && !is_own(p)) {
        return NULL;
    }
    switch (first) {
    case '{':
        return read_container(p, scim_json_object(), read_members);
    case '[':
        return read_container(p, scim_json_array(), read_elements);
    case '"':
        return read_string(p);
    case 't':
        return read_word(p, "true", json_true());
    case 'f':
        return read_word(p, "false", json_false());
    case 'n':
        return read_word(p, "null", json_null());
    default:
        return first == '-' || (first >= '0' && first <= '9') ? read_number(p) : NULL;
    }
}

json_t *json_parse(const char *bytes, apr_size_t len, unsigned flags)
{
    parser p = {bytes, bytes + len, flags, 0, 0};
    json_t *json = read_value(&p);

    peek(&p);
    if (p.at < p.end) {
        json_decref(json);
        return NULL;
    }
    return json;
}
