/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UUID version 7 as RFC 9562 section 6.2 lays it out by its third method: the
 * milliseconds are followed by twelve bits of their fraction, then by 62
 * random bits.
 */
#include "scim/id.h"

#include <string.h>

#include <apr_general.h>

#define FRACTION_BITS 12
#define TAIL_MASK ((UINT64_C(1) << 62) - 1)

/* An id without its version and variant, as two numbers. */
typedef struct parts {
    apr_uint64_t when; /* 60 bits: milliseconds and fraction */
    apr_uint64_t tail; /* 62 bits */
} parts;

static apr_uint64_t load(const unsigned char *bytes)
{
    apr_uint64_t number = 0;
    int i;

    for (i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static void store(unsigned char *bytes, apr_uint64_t number)
{
    int i;

    for (i = 7; i >= 0; i--, number >>= 8) {
        bytes[i] = (unsigned char)number;
    }
}

static parts take_apart(const scim_id *id)
{
    apr_uint64_t high = load(id->bytes);

    return (parts){.when = high >> 16 << FRACTION_BITS | (high & 0xFFF),
                   .tail = load(id->bytes + 8) & TAIL_MASK};
}

static void put_together(scim_id *id, parts p)
{
    store(id->bytes, p.when >> FRACTION_BITS << 16 | UINT64_C(0x7000) | (p.when & 0xFFF));
    store(id->bytes + 8, UINT64_C(0x8000000000000000) | p.tail);
}

static parts of_clock(apr_time_t now, apr_uint64_t random)
{
    apr_uint64_t micros = now > 0 ? (apr_uint64_t)now : 0;

    return (parts){.when =
                       micros / 1000 << FRACTION_BITS | (micros % 1000 << FRACTION_BITS) / 1000,
                   .tail = random & TAIL_MASK};
}

/* The step is random as well, so that a neighbour's id is no help to guess
 * this one. */
static parts behind(parts last, apr_uint64_t random)
{
    apr_uint64_t tail = last.tail + 1 + (random & UINT32_MAX);

    return (parts){.when = last.when + (tail > TAIL_MASK), .tail = tail & TAIL_MASK};
}

bool scim_id_mint(scim_id *out, const scim_id *last, apr_time_t now)
{
    const scim_id before = *last; /* out may be last */
    apr_uint64_t random;

    if (apr_generate_random_bytes((unsigned char *)&random, sizeof(random)) != APR_SUCCESS) {
        return false;
    }
    put_together(out, of_clock(now, random));
    if (scim_id_compare(out, &before) <= 0) {
        put_together(out, behind(take_apart(&before), random));
    }
    /* Only behind the very last id of all is there none. */
    return scim_id_compare(out, &before) > 0;
}

/* How many bytes stand between the dashes. */
static const int groups[] = {4, 2, 2, 2, 6};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/* One more than what a digit stands for, 0 for any other character: nobody foresees
 * which digits of an id are letters, so there is no branch. */
static const unsigned char digits_of[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
    ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
    ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static inline unsigned int value_of(char c)
{
    return digits_of[(unsigned char)c] - 1u;
}

bool scim_id_parse(scim_id *out, const char *text)
{
    unsigned char *to;
    unsigned int all = 0;
    scim_id id;
    apr_size_t g;
    int i;

    if (strnlen(text, SCIM_ID_TEXT + 1) != SCIM_ID_TEXT) {
        return false;
    }
    for (g = 0, to = id.bytes; g < GROUPS; g++, text++) {
        for (i = 0; i < groups[g]; i++, text += 2) {
            unsigned int high = value_of(text[0]), low = value_of(text[1]);

            all |= high | low;
            *to++ = (unsigned char)(high << 4 | low);
        }
        all |= g + 1 < GROUPS && *text != '-' ? 16 : 0;
    }
    if (all > 15) {
        return false;
    }
    *out = id;
    return true;
}

char *scim_id_format(const scim_id *id, char *buf)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = id->bytes;
    char *at = buf;
    apr_size_t g;
    int i;

    for (g = 0; g < GROUPS; g++) {
        for (i = 0; i < groups[g]; i++, from++) {
            *at++ = digits[*from >> 4];
            *at++ = digits[*from & 0xF];
        }
        *at++ = '-';
    }
    at[-1] = '\0';
    return buf;
}

int scim_id_compare(const scim_id *a, const scim_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}
