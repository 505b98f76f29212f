/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: which user names are the same, and what no user name may hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <cmocka.h>
#include <utf8proc.h>

#include "scim/text.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static apr_pool_t *pool;

/* A row of t/data/names.tsv (below $SCIM_DATA, else t/data). */
typedef struct pair {
    const char *verdict, *one, *other, *prepared_one, *prepared_other, *what;
} pair;

static apr_array_header_t *pairs;

/* Turns \uXXXX and \UXXXXXXXX into what they stand for. */
static const char *unescaped(const char *text)
{
    char *out = apr_palloc(pool, strlen(text) + 1), *at = out;

    while (*text) {
        apr_size_t digits = strncmp(text, "\\u", 2) ? 8 : 4;

        if (*text != '\\') {
            *at++ = *text++;
            continue;
        }
        at += utf8proc_encode_char(
            (utf8proc_int32_t)apr_strtoi64(apr_pstrndup(pool, text + 2, digits), NULL, 16),
            (utf8proc_uint8_t *)at);
        text += 2 + digits;
    }
    *at = '\0';
    return out;
}

static void add_pair(char *line)
{
    const char *fields[6];
    pair *row;
    int i;

    for (i = 0; i < 6; i++) {
        char *end = line ? strchr(line, '\t') : NULL;

        assert_non_null(line);
        if (end) {
            *end++ = '\0';
        }
        fields[i] = unescaped(line);
        line = end;
    }
    assert_null(line);
    row = apr_array_push(pairs);
    *row = (pair){fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]};
}

static int read_pairs(void **state)
{
    const char *root = getenv("SCIM_DATA");
    FILE *file = fopen(apr_pstrcat(pool, root ? root : "t/data", "/names.tsv", NULL), "r");
    char line[1024];

    if (!file) {
        return -1;
    }
    pairs = apr_array_make(pool, 100, sizeof(pair));
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line != '#') {
            add_pair(line);
        }
    }
    return fclose(file);
}

static const char *prepare_in(apr_pool_t *result_pool, const char *text)
{
    apr_size_t len;
    const char *out = scim_text_prepare(text, strlen(text), false, &len, result_pool);

    assert_int_equal(len, strlen(out));
    return out;
}

static const char *prepared(const char *text)
{
    return prepare_in(pool, text);
}

static void check_prepared(const pair *row, const char *text, const char *expected)
{
    const char *out = prepared(text);

    if (strcmp(out, expected)) {
        fail_msg("%s: \"%s\" is prepared as \"%s\", not \"%s\"", row->what, text, out,
                 expected);
    }
}

/* The rows of one verdict, of which there are at least so many. */
static void check_pairs(const char *verdict, int least)
{
    bool same = !strcmp(verdict, "same");
    int seen = 0, i;

    for (i = 0; i < pairs->nelts; i++) {
        const pair *row = &APR_ARRAY_IDX(pairs, i, pair);

        if (strcmp(row->verdict, verdict)) {
            continue;
        }
        seen++;
        check_prepared(row, row->one, row->prepared_one);
        check_prepared(row, row->other, row->prepared_other);
        if (!strcmp(row->prepared_one, row->prepared_other) != same) {
            fail_msg("%s: the row is not \"%s\"", row->what, verdict);
        }
    }
    assert_true(seen >= least);
}

static void test_same(void **state)
{
    check_pairs("same", 40);
}

static void test_different(void **state)
{
    check_pairs("different", 30);
}

/* Whether c, with something behind it, is prepared alike in each of its
 * canonically equivalent forms, and is not changed by more preparation. */
static void check_forms(utf8proc_int32_t c, const char *tail, apr_pool_t *scratch_pool)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t size = utf8proc_encode_char(c, bytes);
    const char *text =
        apr_pstrcat(scratch_pool, apr_pstrmemdup(scratch_pool, (char *)bytes, (apr_size_t)size),
                    tail, NULL);
    char *nfd = (char *)utf8proc_NFD((const utf8proc_uint8_t *)text);
    char *nfc = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
    const char *out = prepare_in(scratch_pool, text);

    if (strcmp(out, prepare_in(scratch_pool, out)) ||
        strcmp(out, prepare_in(scratch_pool, nfd)) ||
        strcmp(out, prepare_in(scratch_pool, nfc))) {
        fail_msg("U+%04X is not stable", (unsigned)c);
    }
    free(nfd);
    free(nfc);
}

/* Every character that preparation can change. */
static void test_stable(void **state)
{
    apr_pool_t *scratch_pool;
    utf8proc_int32_t c;
    int seen = 0;

    apr_pool_create(&scratch_pool, pool);
    for (c = 0x80; c <= 0x10FFFF; c++) {
        const utf8proc_property_t *property = utf8proc_get_property(c);

        if (property->decomp_seqindex == UINT16_MAX &&
            property->casefold_seqindex == UINT16_MAX && !property->combining_class) {
            continue;
        }
        check_forms(c, "", scratch_pool);
        check_forms(c, "\u0301\u0345\u0323", scratch_pool);
        apr_pool_clear(scratch_pool);
        seen++;
    }
    apr_pool_destroy(scratch_pool);
    assert_true(seen > 5000);
}

/* The ranges with a layout of their own: ASCII once more, and the Hangul
 * letters, whose standard-width forms have mappings that are not followed. */
static void test_width(void **state)
{
    utf8proc_int32_t c;
    int seen = 0;

    for (c = 0xFF01; c <= 0xFF5E; c++) {
        utf8proc_uint8_t bytes[5] = {0};
        char ascii[2] = {(char)(c - 0xFF01 + '!'), '\0'};

        utf8proc_encode_char(c, bytes);
        assert_string_equal(prepared((const char *)bytes), prepared(ascii));
        seen++;
    }
    assert_int_equal(seen, 94);
    assert_string_equal(prepared("\uffbe\uffc2\uffc7"), "\u314e\u314f\u3154");
    assert_string_equal(prepared("\uffca\uffcf\uffd2\uffd7\uffda\uffdc"),
                        "\u3155\u315a\u315b\u3160\u3161\u3163");
}

static void test_ascii(void **state)
{
    char every[128], lower[128];
    apr_size_t len;
    int i;

    for (i = 0; i < 128; i++) {
        every[i] = (char)i;
        lower[i] = (char)(i >= 'A' && i <= 'Z' ? i + 32 : i);
    }
    assert_memory_equal(scim_text_prepare(every, sizeof(every), false, &len, pool), lower,
                        sizeof(lower));
    assert_int_equal(len, sizeof(every));
    assert_string_equal(scim_text_prepare("", 0, false, &len, pool), "");
    assert_int_equal(len, 0);
    /* only the bytes asked for */
    assert_string_equal(scim_text_prepare("ABCdef", 3, false, &len, pool), "abc");
}

static void test_case_exact(void **state)
{
    const char *text = "Stra\u00dfe\uff21e\u0301";
    apr_size_t len;
    const char *out = scim_text_prepare(text, strlen(text), true, &len, pool);

    assert_string_equal(out, text);
    assert_ptr_not_equal(out, text);
    assert_int_equal(len, strlen(text));
    assert_string_equal(scim_text_prepare("ABC", 2, true, &len, pool), "AB");
}

static void test_not_utf8(void **state)
{
    static const char *const texts[] = {
        "A\xff", "\xc3", "A\xc0\xaf", "\xed\xa0\x80", "\u00c9\xf4\x90\x80\x80", "\u00c9\x80"};
    size_t i;

    for (i = 0; i < COUNT(texts); i++) {
        assert_string_equal(prepared(texts[i]), texts[i]);
        assert_false(scim_text_is_utf8(texts[i], strlen(texts[i])));
    }
    assert_true(scim_text_is_utf8("A\u00c9\U0001f600\n", 8));
    assert_false(scim_text_is_utf8("A\u00c9", 2));
    assert_true(scim_text_is_utf8("", 0));
}

/* Order by order of code points of the folded text, for gt and sorting. */
static void test_order(void **state)
{
    static const char *const ascending[] = {
        "", "A", "ab", "B", "z", "\u00c9", "\u0394", "\u0436", "\uff71", "\U0001f600"};
    size_t i;

    for (i = 1; i < COUNT(ascending); i++) {
        assert_true(strcmp(prepared(ascending[i - 1]), prepared(ascending[i])) < 0);
    }
}

/* utf8proc's own ordering would take minutes for the second text. */
static void test_many_marks(void **state)
{
    enum { MARKS = 400000 };
    char *text = apr_palloc(pool, 4 * MARKS + 2), *at = stpcpy(text, "A");
    const char *out;
    int i;

    for (i = 0; i < MARKS; i++) {
        at = stpcpy(at, i % 2 ? "\u0323" : "\u0302"); /* classes 220 and 230 */
    }
    out = prepared(text);
    /* the first of each composes with the letter */
    assert_memory_equal(out, "\u1ead\u0323\u0323", 7);
    assert_int_equal(strlen(out), 3 + 2 * (MARKS - 2));
    assert_string_equal(out + strlen(out) - 4, "\u0302\u0302");
    assert_string_equal(prepared(out), out);
}

static void test_control(void **state)
{
    static const char *const with[] = {
        "\x01",     "a\tb",      "a\nb",   "a\rb",   "\x1f",   "\x7f",   "\xc2\x80",
        "\xc2\x9f", "a\xc2\x85", "\u202a", "\u202b", "\u202c", "\u202d", "a\u202ecba",
        "\u2066",   "\u2067",    "\u2068", "\u2069", "\xff",   "a\xc3",  "\xed\xa0\x80"};
    static const char *const without[] = {
        "",       "bjensen@example.com", "a b",    "\u00a0",     "O'Malley", "\u05d0\u05d1",
        "\u0627", "so\u00adft",          "\uff21", "\U0001f600", "\u200d",   "\ue000"};
    size_t i;

    for (i = 0; i < COUNT(with); i++) {
        assert_true(scim_text_has_control(with[i], strlen(with[i])));
    }
    for (i = 0; i < COUNT(without); i++) {
        assert_false(scim_text_has_control(without[i], strlen(without[i])));
    }
    assert_true(scim_text_has_control("a\0b", 3));
    assert_false(scim_text_has_control("a\n", 1));
}

static void test_casecmp(void **state)
{
    assert_int_equal(scim_text_casecmp("userName", "USERNAME"), 0);
    assert_true(scim_text_casecmp("a", "B") < 0);
    assert_true(scim_text_casecmp("b", "A") > 0);
    assert_true(scim_text_casecmp("name", "nameX") < 0);
    assert_true(scim_text_casecmp("_", "A") < 0); /* as lower case */
    assert_int_not_equal(scim_text_casecmp("\u00e9", "\u00c9"), 0);
    assert_int_not_equal(scim_text_casecmp("k", "\u212a"), 0);
    assert_int_equal(scim_text_ncasecmp("URN:x", "urn:y", 4), 0);
    assert_true(scim_text_ncasecmp("URN:x", "urn:Y", 5) < 0);
    assert_int_not_equal(scim_text_ncasecmp("ur", "urn", 3), 0);
    assert_int_equal(scim_text_ncasecmp("ur", "UR", 9), 0);
}

/* RFC 8265 section 4.3, table 4, and more. */
static void test_opaque(void **state)
{
    static const struct {
        const char *text;
        const char *prepared; /* NULL: refused */
    } rows[] = {
        {"correct horse battery staple", "correct horse battery staple"},
        {"Correct Horse Battery Staple", "Correct Horse Battery Staple"},
        {"\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"},
        {"Jack of \u2666s", "Jack of \u2666s"},
        {"foo\u1680bar", "foo bar"},
        {"", NULL},
        {"my cat is a \tby", NULL},
        {"\u3000\u00a0\u2003x", "   x"},
        {"A\u030a", "\u00c5"},
        {"\u212b", "\u00c5"},
        {"\uff21", "\uff21"},
        {"\ufb01", "\ufb01"},
        {"q\u0307\u0323", "q\u0323\u0307"},
        {"\u1f82", "\u1f82"},
        {"\U0001d160", "\U0001d158\U0001d165\U0001d16e"},
        {"\uac01", "\uac01"},
        {"a\u202eb", NULL},
        {"a\x7f", NULL},
        {"caf\xe9", NULL},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        apr_size_t len;
        const char *prepared =
            scim_text_prepare_opaque(rows[i].text, strlen(rows[i].text), &len, pool);

        if (!rows[i].prepared) {
            assert_null(prepared);
            continue;
        }
        assert_non_null(prepared);
        assert_string_equal(prepared, rows[i].prepared);
        assert_int_equal(len, strlen(prepared));
    }
}

static void test_version(void **state)
{
    int major, minor, update;

    assert_int_equal(sscanf(scim_text_unicode_version(), "%d.%d.%d", &major, &minor, &update),
                     3);
    assert_true(major >= 15);
}

static void assert_nearest(const char *word, const char *expected)
{
    static const char *const words[] = {"keep", "deactivate", "delete", "On", "Off"};
    const char *nearest = scim_text_nearest(word, words, COUNT(words));

    if (expected) {
        assert_non_null(nearest);
        assert_string_equal(nearest, expected);
    } else {
        assert_null(nearest);
    }
}

/* A letter missing, too much, other, exchanged; none of what is another word. */
static void test_nearest(void **state)
{
    static const char *const other[] = {"", "o", "x", "yes", "disable", "keeping", "kp"};
    char longest[66];

    assert_nearest("kep", "keep");
    assert_nearest("keeep", "keep");
    assert_nearest("KEEB", "keep");
    assert_nearest("ekep", "keep");
    assert_nearest("deactive", "deactivate");
    assert_nearest("Dealete", "delete");
    assert_nearest("deleted", "delete");
    assert_nearest("0ff", "Off");
    for (size_t i = 0; i < COUNT(other); i++) {
        assert_nearest(other[i], NULL);
    }
    memset(longest, 'k', sizeof(longest));
    longest[65] = '\0';
    assert_nearest(longest, NULL);
    longest[64] = '\0';
    assert_nearest(longest, NULL);
    assert_null(scim_text_nearest("keep", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-033 C-310 S-30 names that are one", test_same, NULL, NULL, NULL},
        {"C-033 C-310 names that are two", test_different, NULL, NULL, NULL},
        {"C-033 C-310 canonical equivalence, and stability", test_stable, NULL, NULL, NULL},
        {"C-033 C-310 every fullwidth ASCII and halfwidth Hangul", test_width, NULL, NULL,
         NULL},
        {"C-033 ASCII", test_ascii, NULL, NULL, NULL},
        {"C-053 C-100 caseExact is left as it is", test_case_exact, NULL, NULL, NULL},
        {"bytes that are not UTF-8 are left as they are", test_not_utf8, NULL, NULL, NULL},
        {"C-080 order of the folded text", test_order, NULL, NULL, NULL},
        {"marks without number are put in order", test_many_marks, NULL, NULL, NULL},
        {"C-310 control characters and overrides", test_control, NULL, NULL, NULL},
        {"C-025 C-085 names compare without ASCII case only", test_casecmp, NULL, NULL, NULL},
        {"C-310 passwords are prepared as opaque strings", test_opaque, NULL, NULL, NULL},
        {"what a mistyped word may have meant", test_nearest, NULL, NULL, NULL},
        {"the Unicode version is known", test_version, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, read_pairs, NULL);
}
