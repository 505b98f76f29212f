/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and trees: what is written and parsed here is what Jansson's own functions
 * make of it, for trees and texts that nobody would think of.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "../../mod_scim/core/json_parse.h"
#include "scim/json.h"

static apr_pool_t *pool; /* cleared after each tree */
static uint64_t seed;

static uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static unsigned int below(unsigned int limit)
{
    return (unsigned int)(random_bits() >> 20) % limit;
}

/* Trees */

typedef struct kind {
    bool nul;     /* U+0000 in strings */
    bool numbers; /* with fractions, and with more than 18 digits */
    bool names;   /* that need escapes */
} kind;

static const kind any = {true, true, true};
static const kind plain = {false, false, false};

static const char *random_character(const kind *of, char *out)
{
    static const char *const foreign[] = {
        "\x7f",
        "\xc2\x80",
        "\xc3\xa9",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xe2\x80\xa8",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf0\x9f\x98\x80",
        "\xf0\xaf\xa0\x80",
        "\xf4\x8f\xbf\xbf",
    };
    unsigned int choice = below(24);

    out[1] = '\0';
    if (choice < 3) {
        return foreign[below(sizeof(foreign) / sizeof(foreign[0]))];
    }
    out[0] = choice == 3   ? (char)below(0x20)
             : choice == 4 ? "\"\\/"[below(3)]
                           : (char)(0x20 + below(0x5f));
    if (!out[0] && !of->nul) {
        out[0] = '\n';
    }
    return out;
}

/* Most are short, some longer than whatever is done in one go. */
static json_t *random_string(const kind *of)
{
    apr_size_t max = below(50) ? below(30) : below(1500), len = 0;
    char *text = apr_palloc(pool, max + 5), one[2];

    while (len < max) {
        const char *c = random_character(of, one);
        apr_size_t size = *c ? strlen(c) : 1;

        memcpy(text + len, c, size);
        len += size;
    }
    return json_stringn(text, len);
}

static json_t *random_real(void)
{
    static const double some[] = {0.0,  -0.0,   1.0,   1.1,    0.1,       -2.5,    0.3,
                                  1e15, 1e16,   1e17,  1e300,  1e-4,      1e-5,    1e-7,
                                  1e22, 5e-324, 1e100, 1.5e-9, 123456.75, 1.0 / 3, 100.0};
    uint64_t bits = random_bits();
    double real;

    if (below(3)) {
        return json_real(some[below(sizeof(some) / sizeof(some[0]))]);
    }
    memcpy(&real, &bits, sizeof(real));
    return json_real(isfinite(real) ? real : 0.5);
}

static json_t *random_integer(const kind *of)
{
    static const json_int_t ends[] = {INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1,
                                      1000000000000000000};

    if (of->numbers && !below(4)) {
        return json_integer(ends[below(sizeof(ends) / sizeof(ends[0]))]);
    }
    return json_integer(below(2) ? (json_int_t)below(30) - 15
                                 : (json_int_t)(random_bits() % 1000000000000000000));
}

static json_t *random_tree(const kind *of, int depth);

static void fill_object(json_t *object, const kind *of, int depth)
{
    unsigned int count = below(8), i;

    for (i = 0; i < count; i++) {
        json_t *odd = random_string(&(kind){false, false, false});
        const char *name = of->names && below(2) ? json_string_value(odd)
                                                 : apr_psprintf(pool, "name%u", below(40));

        json_object_set_new(object, name, random_tree(of, depth - 1));
        json_decref(odd);
    }
}

static json_t *random_tree(const kind *of, int depth)
{
    unsigned int count, choice = below(depth > 0 ? 12 : 6);
    json_t *json;

    switch (choice) {
    case 0:
        return random_integer(of);
    case 1:
        return of->numbers ? random_real() : json_null();
    case 2:
        return json_boolean(below(2));
    case 3:
    case 4:
    case 5:
        return random_string(of);
    case 6:
    case 7:
        json = json_array();
        for (count = below(6); count; count--) {
            json_array_append_new(json, random_tree(of, depth - 1));
        }
        return json;
    default:
        json = json_object();
        fill_object(json, of, depth);
        return json;
    }
}

static json_t *random_object(const kind *of)
{
    json_t *object = json_object();

    fill_object(object, of, 4);
    return scim_json_adopt(object, pool);
}

/* Writing */

static char *dumped(const json_t *json, size_t flags, apr_size_t *len)
{
    char *text;

    *len = json_dumpb(json, NULL, 0, flags | JSON_ENCODE_ANY);
    text = apr_palloc(pool, *len + 1);
    json_dumpb(json, text, *len, flags | JSON_ENCODE_ANY);
    text[*len] = '\0';
    return text;
}

/* With the fewest digits that are enough for all of its numbers. */
static char *expected_text(const json_t *json, apr_size_t *len)
{
    char *text = NULL;
    bool same = false;
    size_t digits;

    for (digits = 15; digits <= 17 && !same; digits++) {
        json_t *back;

        text = dumped(json, JSON_COMPACT | JSON_REAL_PRECISION(digits), len);
        back = json_loadb(text, *len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        same = json_equal(back, json);
        json_decref(back);
    }
    assert_true(same);
    return text;
}

static void check_written(const json_t *json)
{
    apr_size_t len, expected_len;
    const char *text = scim_json_write(json, &len, pool);
    const char *expected = expected_text(json, &expected_len);

    assert_int_equal(len, expected_len);
    assert_memory_equal(text, expected, len + 1);
}

static void test_write_trees(void **state)
{
    int round;

    for (round = 0; round < 6000; round++) {
        seed = (uint64_t)round * 2654435761u + 1;
        check_written(scim_json_adopt(random_tree(&any, 5), pool));
        apr_pool_clear(pool);
    }
}

/* Each byte at each place in a word, with another that needs an escape or none. */
static void test_write_bytes(void **state)
{
    int c, before, behind;

    for (c = 0; c < 0x80; c++) {
        for (before = 0; before < 18; before++) {
            char text[40];

            memset(text, 'x', sizeof(text));
            text[before] = (char)c;
            for (behind = 0; behind < 10; behind++) {
                json_t *json = json_stringn(text, (size_t)(before + 1 + behind));

                check_written(scim_json_adopt(json, pool));
            }
            text[before + 1] = '"';
            check_written(scim_json_adopt(json_stringn(text, 20), pool));
        }
        apr_pool_clear(pool);
    }
}

/* Whatever is done in pieces or outgrows something. */
static void test_write_lengths(void **state)
{
    static const char *const units[] = {"a", "\x01", "\xf0\x9f\x98\x80", "\""};
    apr_size_t u, len;

    for (u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
        apr_size_t size = strlen(units[u]);
        char *text = apr_palloc(pool, 20000 * size);

        for (len = 0; len < 20000; len++) {
            memcpy(text + len * size, units[u], size);
        }
        for (len = 0; len < 20000; len += len < 1100 || (len > 4080 && len < 4110) ? 1 : 131) {
            json_t *json = json_stringn(text, len * size);

            check_written(json);
            json_decref(json);
        }
        apr_pool_clear(pool);
    }
}

static void test_write_numbers(void **state)
{
    static const struct {
        double real;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1e15, "1e15"},
        {100000.0, "100000.0"},
        {1e-5, "1e-5"},
        {1e300, "1e300"},
        {1e-300, "1e-300"},
        {-1.5e-9, "-1.5e-9"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
    };
    apr_size_t i, len;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *json = scim_json_adopt(json_real(cases[i].real), pool);

        assert_string_equal(scim_json_write(json, &len, pool), cases[i].text);
        assert_int_equal(len, strlen(cases[i].text));
    }
    apr_pool_clear(pool);
}

/* Parsing */

/* In memory of just that size: reading past it is for the sanitizers to see. */
static json_t *parsed(const char *text, apr_size_t len)
{
    char *exact = malloc(len ? len : 1);
    json_t *json;

    memcpy(exact, text, len);
    json = json_parse(exact, len, 0);
    free(exact);
    return scim_json_adopt(json, pool);
}

static void assert_same(const json_t *json, const json_t *expected)
{
    apr_size_t len, expected_len;
    const char *text = dumped(json, JSON_COMPACT, &len);
    const char *expected_bytes = dumped(expected, JSON_COMPACT, &expected_len);

    assert_int_equal(len, expected_len);
    assert_memory_equal(text, expected_bytes, len);
}

/* Whether it is JSON, of which Jansson thinks the same; but it passes over some NULs. */
static bool check_parsed(const char *text, apr_size_t len)
{
    json_t *json = parsed(text, len);
    json_t *expected = scim_json_adopt(
        json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL), pool);

    if (!json != !expected && (json || !memchr(text, '\0', len))) {
        fail_msg("%s: %.*s", json ? "taken" : "refused", (int)len, text);
    }
    if (json) {
        assert_same(json, expected);
    }
    return json != NULL;
}

/* A tree in one of the ways to write it. */
static char *random_text(const json_t *json, bool escapes, apr_size_t *len)
{
    size_t flags = below(2) ? JSON_COMPACT : below(2) ? JSON_INDENT(2) : 0;

    if (escapes && below(2)) {
        flags |= JSON_ENSURE_ASCII;
    }
    return dumped(json, flags | (below(2) ? JSON_ESCAPE_SLASH : 0), len);
}

static void test_parse_trees(void **state)
{
    int round, taken = 0;

    for (round = 0; round < 4000; round++) {
        apr_size_t len;
        char *text;

        seed = (uint64_t)round * 2654435761u + 3;
        text = random_text(random_object(&plain), true, &len);
        assert_true(check_parsed(text, len));
        text = random_text(random_object(&any), true, &len);
        taken += check_parsed(text, len); /* those without a NUL */
        apr_pool_clear(pool);
    }
    assert_in_range(taken, 100, 3900);
}

/* One byte another, one more, one less, or the end too early. */
static char *spoilt(char *text, apr_size_t *len)
{
    static const char bytes[] = "\"\"\\\\{}[]:,,  \n\t\r0019-+.eEtfnu/dD8cCab\0\x01\x1f\x7f"
                                "\x80\xbf\xc0\xc3\xe0\xed\xf0\xf4\xf5\xff";
    char byte = bytes[below(sizeof(bytes) - 1)];
    apr_size_t at = below((unsigned int)*len);

    switch (below(4)) {
    case 0:
        memmove(text + at + 1, text + at, *len - at);
        ++*len;
        text[at] = byte;
        break;
    case 1:
        memmove(text + at, text + at + 1, *len - at - 1);
        --*len;
        break;
    case 2:
        *len = below(8) ? *len : at;
        break;
    default:
        text[at] = byte;
    }
    return text;
}

static void test_parse_spoilt(void **state)
{
    int round, taken = 0, refused = 0;

    for (round = 0; round < 40000; round++) {
        kind of = {below(2), below(2), !below(4)};
        apr_size_t len;
        char *text;
        int faults;

        seed = (uint64_t)round * 2654435761u + 5;
        text = random_text(random_object(&of), true, &len);
        text = apr_pstrcat(pool, text, "    ", NULL);
        for (faults = 1 + (int)below(3); faults && len; faults--) {
            spoilt(text, &len);
        }
        if (check_parsed(text, len)) {
            taken++;
        } else {
            refused++;
        }
        apr_pool_clear(pool);
    }
    assert_true(taken > 1000);
    assert_true(refused > 1000);
}

/* Strings of escapes: those that are, and those that are nearly. */
static void test_parse_escapes(void **state)
{
    static const char *const parts[] = {
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0041",
        "\\u00e9",
        "\\u20AC",
        "\\uD83D",
        "\\uDE00",
        "\\ud83d\\ude00",
        "\\u0000",
        "\\u12",
        "\\x",
        "\\u12G4",
        "\\",
        "a",
        "\xc3\xa9",
        "\xc3",
        "\xff",
        "\\u0001",
        "\\uFFFF",
        "\\uDBFF\\uDFFF",
        "\\uD800\\uD800",
        "\\\xc3\xa9",
    };
    int round, taken = 0;

    for (round = 0; round < 30000; round++) {
        const char *text = "{\"a\":\"";
        int count;

        seed = (uint64_t)round * 2654435761u + 7;
        for (count = (int)below(4); count >= 0; count--) {
            text =
                apr_pstrcat(pool, text, parts[below(sizeof(parts) / sizeof(parts[0]))], NULL);
        }
        text = apr_pstrcat(pool, text, "\"}", NULL);
        taken += check_parsed(text, strlen(text));
        apr_pool_clear(pool);
    }
    assert_true(taken > 1000);
}

/* The name of an object's member, or its value, made of parts at random. */
static void test_parse_names(void **state)
{
    static const char *const parts[] = {"a",       "A",       "\\u0061",  "\\u0041", "\\\"",
                                        "\\u0000", "\\ud83d", "\xc3\xa9", "\\u00e9", "\\"};
    int round, taken = 0;

    for (round = 0; round < 20000; round++) {
        const char *text = "{\"";
        int count;

        seed = (uint64_t)round * 2654435761u + 11;
        for (count = (int)below(5); count >= 0; count--) {
            text = apr_pstrcat(pool, text, parts[below(sizeof(parts) / sizeof(parts[0]))],
                               below(2) ? "\":1,\"" : "", NULL);
        }
        text = apr_pstrcat(pool, text, "\":2}", NULL);
        taken += check_parsed(text, strlen(text));
        apr_pool_clear(pool);
    }
    assert_in_range(taken, 1000, 19000);
}

static void test_parse_numbers(void **state)
{
    static const char *const parts[] = {"0",
                                        "1",
                                        "9",
                                        "00000000000",
                                        "9223372036854775807",
                                        ".",
                                        "e",
                                        "E",
                                        "+",
                                        "-",
                                        "308",
                                        "4",
                                        "1234567890123456789012345678901234567890"};
    int round, taken = 0;

    for (round = 0; round < 60000; round++) {
        const char *text = below(4) ? "" : "-";
        int count;

        seed = (uint64_t)round * 2654435761u + 13;
        for (count = (int)below(5); count >= 0; count--) {
            text =
                apr_pstrcat(pool, text, parts[below(sizeof(parts) / sizeof(parts[0]))], NULL);
        }
        text = below(2) ? text : apr_pstrcat(pool, "[", text, "]", NULL);
        taken += check_parsed(text, strlen(text));
        apr_pool_clear(pool);
    }
    assert_in_range(taken, 1000, 59000);
}

static void test_parse_others(void **state)
{
    static const char *const refused[] = {
        "",
        " ",
        "\"",
        "\"\\",
        "\"a",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{}x",
        "{\"a\":01}",
        "{\"a\":9223372036854775808}",
        "{\"a\":-9223372036854775809}",
        "{\"a\":1e999}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":-}",
        "{\"a\":tru}",
        "{\"a\":nul",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":[}",
        "{\"a\"}",
    };
    static const char *const taken[] = {
        "{}",
        " {\r\n\t} ",
        "[]",
        "\"\"",
        "\"a\"",
        " true ",
        "null",
        "-1",
        "{\"\":\"\"}",
        "{\"\\u0061\":1}",
        "{\"a\":[[],{},[{}]]}",
        "{\"a\":-0,\"b\":9223372036854775807,\"c\":-9223372036854775808,\"A\":null}",
        "{\"a\":1.5,\"b\":1e1,\"c\":-0.0,\"d\":1E-999,\"e\":0.1e+1,\"f\":0e0}",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (check_parsed(refused[i], strlen(refused[i]))) {
            fail_msg("taken: %s", refused[i]);
        }
    }
    for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (!check_parsed(taken[i], strlen(taken[i]))) {
            fail_msg("refused: %s", taken[i]);
        }
    }
    apr_pool_clear(pool);
}

static json_t *parsed_as(const char *text, unsigned flags)
{
    return scim_json_adopt(json_parse(text, strlen(text), flags), pool);
}

static void test_parse_flags(void **state)
{
    static const char *const wide = "12345678901234567890123";
    json_t *json = parsed_as("{\"a\":1,\"b\":2,\"a\":3}", JSON_PARSE_OWN);

    assert_int_equal(json_object_size(json), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "a")), 3);
    assert_null(parsed_as(wide, 0));
    assert_true(json_is_real(parsed_as(wide, JSON_PARSE_WIDE)));
    assert_true(json_real_value(parsed_as(wide, JSON_PARSE_WIDE)) == 12345678901234567890123.0);
    assert_true(json_is_integer(parsed_as("12", JSON_PARSE_WIDE)));
    assert_null(parsed_as("1e999", JSON_PARSE_WIDE));
    apr_pool_clear(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"trees are written as Jansson writes them", test_write_trees, NULL, NULL, NULL},
        {"each byte of ASCII, wherever it stands", test_write_bytes, NULL, NULL, NULL},
        {"strings of any length", test_write_lengths, NULL, NULL, NULL},
        {"numbers with a fraction", test_write_numbers, NULL, NULL, NULL},
        {"trees come back as they were", test_parse_trees, NULL, NULL, NULL},
        {"nothing is taken that Jansson refuses, nor refused that it takes", test_parse_spoilt,
         NULL, NULL, NULL},
        {"escapes", test_parse_escapes, NULL, NULL, NULL},
        {"names", test_parse_names, NULL, NULL, NULL},
        {"numbers", test_parse_numbers, NULL, NULL, NULL},
        {"what is JSON, and what is not", test_parse_others, NULL, NULL, NULL},
        {"own text, and wide numbers", test_parse_flags, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
