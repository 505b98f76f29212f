/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparison of text, on utf8proc's tables.
 *
 * The prepared form is NFC(fold(NFD(width(text)))).  Decomposing before the
 * folding makes canonically equivalent texts equal even where a mark folds to
 * a letter (U+0345); composing after it makes the form stable when it is
 * prepared again.  utf8proc decomposes and composes; marks are put in order
 * here, since utf8proc takes quadratic time for that and a client chooses how
 * many there are.
 */
#include "scim/text.h"

#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>
#include <utf8proc.h>

#define DECOMPOSED_MAX 32 /* the longest decomposition known to Unicode has 18 */
#define RUNE_BITS 21

typedef struct runes {
    utf8proc_int32_t *at;
    apr_size_t len;
    apr_size_t room;
    apr_pool_t *pool;
} runes;

static void append(runes *text, const utf8proc_int32_t *more, apr_size_t count)
{
    if (text->len + count >= text->room) {
        apr_size_t room = 2 * (text->len + count);
        utf8proc_int32_t *at = apr_palloc(text->pool, room * sizeof(*at));

        if (text->len) {
            memcpy(at, text->at, text->len * sizeof(*at));
        }
        text->at = at;
        text->room = room;
    }
    memcpy(text->at + text->len, more, count * sizeof(*more));
    text->len += count;
}

/* Wide and narrow characters whose mapping has a compatibility mapping of its
 * own: utf8proc would follow that too. */
static const struct {
    utf8proc_int32_t first, last, mapped;
} width_steps[] = {
    {0xFFA0, 0xFFA0, 0x3164}, {0xFFA1, 0xFFBE, 0x3131}, {0xFFC2, 0xFFC7, 0x314F},
    {0xFFCA, 0xFFCF, 0x3155}, {0xFFD2, 0xFFD7, 0x315B}, {0xFFDA, 0xFFDC, 0x3161},
    {0xFFE3, 0xFFE3, 0x00AF},
};

static utf8proc_int32_t width_mapped(utf8proc_int32_t c)
{
    utf8proc_propval_t type = utf8proc_get_property(c)->decomp_type;
    utf8proc_int32_t part[DECOMPOSED_MAX];
    int boundary = 0;
    size_t i;

    if (type != UTF8PROC_DECOMP_TYPE_WIDE && type != UTF8PROC_DECOMP_TYPE_NARROW) {
        return c;
    }
    for (i = 0; i < sizeof(width_steps) / sizeof(*width_steps); i++) {
        if (c >= width_steps[i].first && c <= width_steps[i].last) {
            return width_steps[i].mapped + (c - width_steps[i].first);
        }
    }
    utf8proc_decompose_char(c, part, DECOMPOSED_MAX, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
                            &boundary);
    return part[0];
}

static void append_decomposed(runes *text, utf8proc_int32_t c, int options)
{
    utf8proc_int32_t part[DECOMPOSED_MAX];
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(
        c, part, DECOMPOSED_MAX, (utf8proc_option_t)(UTF8PROC_DECOMPOSE | options), &boundary);

    append(text, part, (apr_size_t)count);
}

static unsigned mark_class(utf8proc_int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

static int compare_keys(const void *a, const void *b)
{
    apr_uint64_t left = *(const apr_uint64_t *)a, right = *(const apr_uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* By combining class; marks of one class stay as they stand, hence the index
 * in the key. */
static void sort_marks(utf8proc_int32_t *marks, apr_size_t count, apr_pool_t *scratch_pool)
{
    apr_uint64_t *keys = apr_palloc(scratch_pool, count * sizeof(*keys));
    apr_size_t i;

    for (i = 0; i < count; i++) {
        keys[i] = (apr_uint64_t)mark_class(marks[i]) << 56 | (apr_uint64_t)i << RUNE_BITS |
                  (apr_uint64_t)marks[i];
    }
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (i = 0; i < count; i++) {
        marks[i] = (utf8proc_int32_t)(keys[i] & ((1u << RUNE_BITS) - 1));
    }
}

/* The canonical ordering algorithm (Unicode, section 3.11). */
static void order_marks(runes *text)
{
    apr_size_t first = 0, i;
    unsigned before = 0;
    bool ordered = true;

    for (i = 0; i <= text->len; i++) {
        unsigned class = i < text->len ? mark_class(text->at[i]) : 0;

        if (class) {
            ordered = ordered && before <= class;
        } else {
            if (!ordered) {
                sort_marks(text->at + first, i - first, text->pool);
            }
            first = i + 1;
            ordered = true;
        }
        before = class;
    }
}

/* False where the bytes are not UTF-8. */
static bool decompose(runes *out, const char *text, apr_size_t len,
                      utf8proc_int32_t (*mapped)(utf8proc_int32_t))
{
    while (len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t taken =
            utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &c);

        if (taken <= 0) {
            return false;
        }
        append_decomposed(out, mapped(c), 0);
        text += taken;
        len -= (apr_size_t)taken;
    }
    order_marks(out);
    return true;
}

static void fold(runes *out, const runes *text)
{
    apr_size_t i;

    for (i = 0; i < text->len; i++) {
        append_decomposed(out, text->at[i], UTF8PROC_CASEFOLD);
    }
    order_marks(out);
}

/* NFC of what is decomposed and in order.  utf8proc up to 2.8 takes U+11A7 for
 * a Hangul final that is not there and drops it; it composes with nothing, so
 * the text is composed in the pieces between. */
static void compose(runes *text)
{
    apr_size_t out = 0, first = 0, i;

    for (i = 0; i <= text->len; i++) {
        if (i < text->len && text->at[i] != 0x11A7) {
            continue;
        }
        memmove(text->at + out, text->at + first, (i - first) * sizeof(*text->at));
        out += (apr_size_t)utf8proc_normalize_utf32(
            text->at + out, (utf8proc_ssize_t)(i - first), UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        if (i < text->len) {
            text->at[out++] = text->at[i];
        }
        first = i + 1;
    }
    text->len = out;
}

/* The text of what is decomposed and in order; NULL where that is none. */
static const char *composed(runes *text, apr_size_t *out_len, apr_pool_t *result_pool)
{
    utf8proc_ssize_t size;

    compose(text);
    /* Writes UTF-8 over the code points; append() always leaves one free for
     * the NUL. */
    size = utf8proc_reencode(text->at, (utf8proc_ssize_t)text->len, UTF8PROC_STABLE);
    if (size < 0) {
        return NULL;
    }
    *out_len = (apr_size_t)size;
    return apr_pstrmemdup(result_pool, (const char *)text->at, *out_len);
}

/* NULL where the bytes are not UTF-8. */
static const char *prepare_unicode(const char *text, apr_size_t len, apr_size_t *out_len,
                                   apr_pool_t *result_pool, apr_pool_t *scratch_pool)
{
    runes plain = {.pool = scratch_pool}, folded = {.pool = scratch_pool};

    if (!decompose(&plain, text, len, width_mapped)) {
        return NULL;
    }
    fold(&folded, &plain);
    return composed(&folded, out_len, result_pool);
}

/* Sixteen bytes at a time: what is not ASCII has its highest bit set. */
bool scim_text_is_ascii(const char *text, apr_size_t len)
{
    typedef unsigned char lane __attribute__((vector_size(16), aligned(1), may_alias));
    lane all = {0};
    apr_uint64_t halves[2];
    unsigned char rest = 0;
    apr_size_t i;

    for (i = 0; i + sizeof(lane) <= len; i += sizeof(lane)) {
        all |= *(const lane *)(text + i);
    }
    for (; i < len; i++) {
        rest |= (unsigned char)text[i];
    }
    memcpy(halves, &all, sizeof(halves));
    return !((halves[0] | halves[1]) & APR_UINT64_C(0x8080808080808080)) && rest < 0x80;
}

static const char *prepare_ascii(const char *text, apr_size_t len, apr_pool_t *result_pool)
{
    char *out = apr_pstrmemdup(result_pool, text, len);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (out[i] >= 'A' && out[i] <= 'Z') {
            out[i] |= 0x20;
        }
    }
    return out;
}

const char *scim_text_prepare(const char *text, apr_size_t len, bool case_exact,
                              apr_size_t *out_len, apr_pool_t *result_pool)
{
    const char *out = NULL;
    apr_pool_t *scratch_pool;

    *out_len = len;
    if (case_exact) {
        return apr_pstrmemdup(result_pool, text, len);
    }
    if (scim_text_is_ascii(text, len)) {
        return prepare_ascii(text, len, result_pool);
    }
    if (apr_pool_create(&scratch_pool, result_pool) == APR_SUCCESS) {
        out = prepare_unicode(text, len, out_len, result_pool, scratch_pool);
        apr_pool_destroy(scratch_pool);
    }
    return out ? out : apr_pstrmemdup(result_pool, text, len);
}

static bool is_control(utf8proc_int32_t c)
{
    const utf8proc_property_t *property = utf8proc_get_property(c);

    switch (property->bidi_class) {
    case UTF8PROC_BIDI_CLASS_LRE:
    case UTF8PROC_BIDI_CLASS_LRO:
    case UTF8PROC_BIDI_CLASS_RLE:
    case UTF8PROC_BIDI_CLASS_RLO:
    case UTF8PROC_BIDI_CLASS_PDF:
    case UTF8PROC_BIDI_CLASS_LRI:
    case UTF8PROC_BIDI_CLASS_RLI:
    case UTF8PROC_BIDI_CLASS_FSI:
    case UTF8PROC_BIDI_CLASS_PDI:
        return true;
    default:
        return property->category == UTF8PROC_CATEGORY_CC;
    }
}

bool scim_text_is_utf8(const char *text, apr_size_t len)
{
    while (len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t taken =
            utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &c);

        if (taken <= 0) {
            return false;
        }
        text += taken;
        len -= (apr_size_t)taken;
    }
    return true;
}

bool scim_text_has_control(const char *text, apr_size_t len)
{
    while (len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t taken =
            utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &c);

        if (taken <= 0 || is_control(c)) {
            return true;
        }
        text += taken;
        len -= (apr_size_t)taken;
    }
    return false;
}

static utf8proc_int32_t space_mapped(utf8proc_int32_t c)
{
    return utf8proc_get_property(c)->category == UTF8PROC_CATEGORY_ZS ? ' ' : c;
}

/* No code point of Unicode has a canonical decomposition with more code points
 * than twice its bytes: the one copy, to be wiped, has room for all from the
 * beginning. */
static const char *opaque_unicode(const char *text, apr_size_t len, apr_size_t *out_len,
                                  apr_pool_t *result_pool)
{
    apr_pool_t *scratch_pool;
    runes plain = {.room = 2 * len + 2};
    const char *out = NULL;

    if (apr_pool_create(&scratch_pool, result_pool) != APR_SUCCESS) {
        return NULL;
    }
    plain.pool = scratch_pool;
    plain.at = apr_palloc(scratch_pool, plain.room * sizeof(*plain.at));
    if (decompose(&plain, text, len, space_mapped)) {
        out = composed(&plain, out_len, result_pool);
    }
    explicit_bzero(plain.at, plain.room * sizeof(*plain.at));
    apr_pool_destroy(scratch_pool);
    return out;
}

const char *scim_text_prepare_opaque(const char *text, apr_size_t len, apr_size_t *out_len,
                                     apr_pool_t *result_pool)
{
    *out_len = len;
    if (!len || scim_text_has_control(text, len)) {
        return NULL;
    }
    return scim_text_is_ascii(text, len) ? apr_pstrmemdup(result_pool, text, len)
                                         : opaque_unicode(text, len, out_len, result_pool);
}

int scim_text_casecmp(const char *a, const char *b)
{
    return apr_cstr_casecmp(a, b);
}

int scim_text_ncasecmp(const char *a, const char *b, apr_size_t n)
{
    return apr_cstr_casecmpn(a, b, n);
}

const char *scim_text_unicode_version(void)
{
    return utf8proc_unicode_version();
}
