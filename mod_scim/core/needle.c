/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching the bytes of a resource.
 *
 * The JSON of the store escapes nothing but quotes, backslashes and control
 * characters, so a run of other ASCII characters stands in it as it is, but for
 * its case.  Sixteen places are looked at in one step: the first and the last
 * character of the needle must stand there at their distance, and only then is
 * the rest compared.
 */
#include "scim/needle.h"

#include <stdint.h>
#include <string.h>

#include "scim/text.h"

#define STEP 16

typedef unsigned char lane __attribute__((vector_size(STEP), aligned(1), may_alias));

/* Choosing */

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The longest run of plain characters that is longer than what there is. */
static void consider_text(scim_needle *best, const char *text, apr_size_t len)
{
    apr_size_t first = 0, i;

    for (i = 0; i <= len; i++) {
        if (i < len && is_plain(text[i])) {
            continue;
        }
        if (i - first > best->len) {
            best->text = text + first;
            best->len = i - first;
        }
        first = i + 1;
    }
}

/* Whether the values of an attribute stand in the stored JSON as strings that
 * are compared as text. */
static bool is_stored(const scim_attribute *attribute)
{
    switch (attribute->role) {
    case SCIM_ROLE_ID:
    case SCIM_ROLE_META:
    case SCIM_ROLE_GROUPS:
    case SCIM_ROLE_MEMBERS:
    case SCIM_ROLE_PASSWORD:
        return false;
    default:
        return true;
    }
}

static bool is_stored_text(const scim_filter *term)
{
    return is_stored(term->path.attribute) &&
           scim_path_leaf(&term->path)->type == SCIM_TYPE_STRING;
}

static bool asks_for_text(const scim_filter *term)
{
    switch (term->op) {
    case SCIM_OP_EQ:
    case SCIM_OP_CO:
    case SCIM_OP_SW:
    case SCIM_OP_EW:
        return term->value.kind == SCIM_LITERAL_STRING && is_stored_text(term);
    default:
        return false;
    }
}

static void consider(scim_needle *best, const scim_filter *filter)
{
    switch (filter->kind) {
    case SCIM_FILTER_AND:
        consider(best, filter->left);
        consider(best, filter->right);
        break;
    case SCIM_FILTER_COMPARE:
        if (asks_for_text(filter)) {
            consider_text(best, filter->value.prepared, filter->value.prepared_len);
        }
        break;
    case SCIM_FILTER_ELEMENT:
        if (is_stored(filter->path.attribute)) {
            consider(best, filter->left);
        }
        break;
    default:
        break;
    }
}

bool scim_needle_find(scim_needle *out, const scim_filter *filter)
{
    *out = (scim_needle){NULL, 0};
    consider(out, filter);
    return out->len > 0;
}

/* Searching */

static lane spread(char c)
{
    return (lane){0} + (unsigned char)c;
}

static bool any(lane bits)
{
    uint64_t halves[2];

    memcpy(halves, &bits, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_text(const char *text, const char *wanted, apr_size_t len, bool exact)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (exact ? text[i] != wanted[i] : lower(text[i]) != lower(wanted[i])) {
            return false;
        }
    }
    return true;
}

static bool stands_within(const scim_needle *needle, const char *at, apr_size_t places)
{
    apr_size_t i;

    for (i = 0; i < places; i++) {
        if (same_text(at + i, needle->text, needle->len, false)) {
            return true;
        }
    }
    return false;
}

/* Setting the bit that lower case has makes of some characters others, too:
 * what is found so is compared once more. */
static bool holds(const scim_needle *needle, const char *text, apr_size_t len)
{
    const lane bit = spread(0x20);
    const lane first = spread((char)(needle->text[0] | 0x20));
    const lane last = spread((char)(needle->text[needle->len - 1] | 0x20));
    apr_size_t places = len - needle->len + 1, at;

    for (at = 0; at + STEP <= places; at += STEP) {
        lane head = *(const lane *)(text + at) | bit;
        lane tail = *(const lane *)(text + at + needle->len - 1) | bit;

        if (any((lane)((head == first) & (tail == last))) &&
            stands_within(needle, text + at, STEP)) {
            return true;
        }
    }
    return stands_within(needle, text + at, places - at);
}

bool scim_needle_test(const scim_needle *needle, const char *json, apr_size_t len)
{
    return (len >= needle->len && holds(needle, json, len)) || !scim_text_is_ascii(json, len);
}

/* Judging */

static bool is_one_comparison(const scim_filter *filter)
{
    const scim_attribute *attribute = filter->path.attribute;

    return filter->kind == SCIM_FILTER_COMPARE && asks_for_text(filter) && !filter->path.sub &&
           !filter->path.extension && !attribute->parent && !attribute->multi_valued &&
           attribute->role != SCIM_ROLE_SCHEMAS &&
           scim_text_is_ascii(filter->value.prepared, filter->value.prepared_len);
}

/* Behind the string that begins at at, its quote; NULL where it does not end.
 * *plain: it has no escape in it. */
static const char *behind_string(const char *at, const char *end, bool *plain)
{
    *plain = true;
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            *plain = false;
            at++;
        }
    }
    return at < end ? at + 1 : NULL;
}

/* The value of a member of the object itself, not of one within it; NULL where
 * it has none.  The text is the store's own: no white space, no doubt. */
static const char *find_member(const char *json, const char *end, const char *name)
{
    apr_size_t name_len = strlen(name);
    int depth = 0;

    while (json < end) {
        const char *start = json;
        bool plain;

        if (*json != '"') {
            depth += (*json == '{' || *json == '[') - (*json == '}' || *json == ']');
            json++;
            continue;
        }
        json = behind_string(start, end, &plain);
        if (!json || (depth == 1 && json < end && *json == ':' &&
                      (apr_size_t)(json - start) == name_len + 2 &&
                      !memcmp(start + 1, name, name_len))) {
            return json ? json + 1 : NULL;
        }
    }
    return NULL;
}

static bool holds_text(const char *text, apr_size_t len, const char *wanted,
                       apr_size_t wanted_len, bool exact)
{
    apr_size_t i;

    for (i = 0; i + wanted_len <= len; i++) {
        if (same_text(text + i, wanted, wanted_len, exact)) {
            return true;
        }
    }
    return false;
}

static bool satisfies(const scim_filter *filter, const char *text, apr_size_t len)
{
    bool exact = filter->path.attribute->case_exact;
    const char *wanted = filter->value.prepared;
    apr_size_t wanted_len = filter->value.prepared_len;

    switch (filter->op) {
    case SCIM_OP_CO:
        return holds_text(text, len, wanted, wanted_len, exact);
    case SCIM_OP_SW:
        return len >= wanted_len && same_text(text, wanted, wanted_len, exact);
    case SCIM_OP_EW:
        return len >= wanted_len &&
               same_text(text + len - wanted_len, wanted, wanted_len, exact);
    default:
        return len == wanted_len && same_text(text, wanted, wanted_len, exact);
    }
}

scim_needle_verdict scim_needle_judge(const scim_filter *filter, const char *json,
                                      apr_size_t len)
{
    const char *end = json + len, *value, *behind;
    bool plain;

    if (!is_one_comparison(filter)) {
        return SCIM_NEEDLE_UNSURE;
    }
    value = find_member(json, end, filter->path.attribute->name);
    if (!value) {
        return SCIM_NEEDLE_NO;
    }
    behind = *value == '"' ? behind_string(value, end, &plain) : NULL;
    if (!behind || !plain || !scim_text_is_ascii(value, (apr_size_t)(behind - value))) {
        return SCIM_NEEDLE_UNSURE;
    }
    return satisfies(filter, value + 1, (apr_size_t)(behind - value) - 2) ? SCIM_NEEDLE_YES
                                                                          : SCIM_NEEDLE_NO;
}
