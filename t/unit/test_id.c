/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifiers: shape, order, text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <cmocka.h>

#include "scim/id.h"

#define NOW apr_time_from_sec(INT64_C(1795300620))

static const scim_id none;

static void assert_version_7(const scim_id *id)
{
    assert_int_equal(id->bytes[6] >> 4, 7);
    assert_int_equal(id->bytes[8] >> 6, 2);
}

static apr_uint64_t millis_of(const scim_id *id)
{
    apr_uint64_t millis = 0;
    int i;

    for (i = 0; i < 6; i++) {
        millis = millis << 8 | id->bytes[i];
    }
    return millis;
}

static void test_layout(void **state)
{
    scim_id id;

    assert_true(scim_id_mint(&id, &none, NOW + 1500));
    assert_version_7(&id);
    assert_int_equal(millis_of(&id), NOW / 1000 + 1);
    assert_int_equal((id.bytes[6] & 0xF) << 8 | id.bytes[7], 2048); /* half a millisecond */

    assert_true(scim_id_mint(&id, &none, NOW + 999));
    assert_int_equal(millis_of(&id), NOW / 1000);
    assert_int_equal((id.bytes[6] & 0xF) << 8 | id.bytes[7], 4091);
}

static void test_text_of_layout(void **state)
{
    scim_id id;
    char buf[SCIM_ID_TEXT + 1];

    assert_true(scim_id_mint(&id, &none, NOW));
    scim_id_format(&id, buf);
    assert_int_equal(strlen(buf), SCIM_ID_TEXT);
    assert_int_equal(strspn(buf, "0123456789abcdef-"), SCIM_ID_TEXT);
    assert_null(strstr(buf, "bulkId"));
    assert_memory_equal(buf, "01a20041-76e0-7000-", 19);
}

static void mint_many(apr_time_t start, apr_time_t step, int count)
{
    scim_id last = none;
    int i;

    for (i = 0; i < count; i++) {
        scim_id id;

        assert_true(scim_id_mint(&id, &last, start + i * step));
        assert_true(scim_id_compare(&id, &last) > 0);
        assert_version_7(&id);
        last = id;
    }
}

static void test_order(void **state)
{
    mint_many(NOW, 1, 5000);
    mint_many(NOW, 0, 5000);
    mint_many(NOW, -1, 5000);
    mint_many(NOW, -APR_USEC_PER_SEC, 5000);
}

static void test_clock_back(void **state)
{
    scim_id first, next, later;

    assert_true(scim_id_mint(&first, &none, NOW));
    assert_true(scim_id_mint(&next, &first, NOW - apr_time_from_sec(86400)));
    assert_true(scim_id_compare(&next, &first) > 0);
    assert_int_equal(millis_of(&next), millis_of(&first));

    assert_true(scim_id_mint(&later, &next, NOW + 1000));
    assert_int_equal(millis_of(&later), NOW / 1000 + 1);
}

static void test_before_1970(void **state)
{
    scim_id id, next;

    assert_true(scim_id_mint(&id, &none, -NOW));
    assert_int_equal(millis_of(&id), 0);
    assert_version_7(&id);
    assert_true(scim_id_mint(&next, &id, -NOW));
    assert_true(scim_id_compare(&next, &id) > 0);
}

/* The step behind the last one runs over from field to field, around the
 * version and the variant. */
static void test_carry(void **state)
{
    scim_id last, id;

    assert_true(scim_id_parse(&last, "01a20056-14e0-7abc-bfff-ffffffffffff"));
    assert_true(scim_id_mint(&id, &last, 0));
    assert_version_7(&id);
    assert_true(scim_id_compare(&id, &last) > 0);
    assert_int_equal((id.bytes[6] & 0xF) << 8 | id.bytes[7], 0xabd);
    assert_int_equal(millis_of(&id), millis_of(&last));

    assert_true(scim_id_parse(&last, "01a20056-14ff-7fff-bfff-ffffffffffff"));
    assert_true(scim_id_mint(&id, &last, 0));
    assert_version_7(&id);
    assert_int_equal(millis_of(&id), millis_of(&last) + 1);
    assert_int_equal((id.bytes[6] & 0xF) << 8 | id.bytes[7], 0);
}

static void test_last_of_all(void **state)
{
    scim_id last, id;

    assert_true(scim_id_parse(&last, "ffffffff-ffff-7fff-bfff-ffffffffffff"));
    assert_false(scim_id_mint(&id, &last, NOW));
}

static void test_in_place(void **state)
{
    scim_id id = none, before;
    int i;

    for (i = 0; i < 100; i++) {
        before = id;
        assert_true(scim_id_mint(&id, &id, NOW));
        assert_true(scim_id_compare(&id, &before) > 0);
    }
}

static void test_random(void **state)
{
    scim_id a, b, c, d;

    assert_true(scim_id_mint(&a, &none, NOW));
    assert_true(scim_id_mint(&b, &none, NOW));
    assert_memory_equal(a.bytes, b.bytes, 8); /* the same instant */
    assert_memory_not_equal(a.bytes + 8, b.bytes + 8, 8);

    assert_true(scim_id_mint(&c, &a, 0));
    assert_true(scim_id_mint(&d, &a, 0));
    assert_int_not_equal(scim_id_compare(&c, &d), 0); /* the step is random too */
}

static void test_round_trip(void **state)
{
    static const char *const texts[] = {
        "01a20056-14e0-7abc-8def-0123456789ab", "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff", "fedcba98-7654-3210-0123-456789abcdef"};
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        scim_id id;
        char buf[SCIM_ID_TEXT + 1];

        assert_true(scim_id_parse(&id, texts[i]));
        assert_ptr_equal(scim_id_format(&id, buf), buf);
        assert_string_equal(buf, texts[i]);
    }
}

static void test_bytes_of_text(void **state)
{
    static const unsigned char bytes[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                          0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
    scim_id id;

    assert_true(scim_id_parse(&id, "01234567-89ab-cdef-fedc-ba9876543210"));
    assert_memory_equal(id.bytes, bytes, sizeof(bytes));
}

static void test_no_id(void **state)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "01a20056-14e0-7abc-8def-0123456789a",
                                        "01a20056-14e0-7abc-8def-0123456789abc",
                                        "01a20056-14e0-7abc-8def-0123456789ab ",
                                        "01A20056-14E0-7ABC-8DEF-0123456789AB",
                                        "01a20056-14e0-7abc-8def-0123456789aB",
                                        "01a2005614e07abc8def0123456789ab",
                                        "01a200561-4e0-7abc-8def-0123456789ab",
                                        "{01a20056-14e0-7abc-8def-0123456789a}",
                                        "01a20056-14e0-7abc-8def_0123456789ab",
                                        "g1a20056-14e0-7abc-8def-0123456789ab",
                                        "01a20056-14e0-7abc-8def-01234567 9ab",
                                        "----08-13------18----23-------------",
                                        "01a20056-14e0-7abc-8def-0123456789\xc3\xa9"};
    scim_id id = {{7}};
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_false(scim_id_parse(&id, texts[i]));
    }
    assert_int_equal(id.bytes[0], 7); /* untouched */
}

/* Every character in every place. */
static void test_characters(void **state)
{
    static const char right[] = "01a20056-14e0-7abc-8def-0123456789ab";
    char text[SCIM_ID_TEXT + 1], back[SCIM_ID_TEXT + 1];
    scim_id id;
    int at, c;

    for (at = 0; at < SCIM_ID_TEXT; at++) {
        for (c = 1; c < 256; c++) {
            const char *allowed = right[at] == '-' ? "-" : "0123456789abcdef";

            memcpy(text, right, sizeof(text));
            text[at] = (char)c;
            if (strchr(allowed, (char)c)) {
                assert_true(scim_id_parse(&id, text));
                assert_string_equal(scim_id_format(&id, back), text);
            } else {
                assert_false(scim_id_parse(&id, text));
            }
        }
    }
}

static void test_compare(void **state)
{
    scim_id a, b;

    scim_id_parse(&a, "01a20056-14e0-7abc-8def-0123456789ab");
    scim_id_parse(&b, "80a20056-14e0-7abc-8def-0123456789ab");
    assert_true(scim_id_compare(&a, &b) < 0);
    assert_true(scim_id_compare(&b, &a) > 0);
    assert_int_equal(scim_id_compare(&a, &a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-315 version 7: milliseconds, fraction, variant", test_layout, NULL, NULL, NULL},
        {"C-031 the text is an id for the wire", test_text_of_layout, NULL, NULL, NULL},
        {"C-031 later than the last under any clock", test_order, NULL, NULL, NULL},
        {"C-031 a clock set back keeps the last one's time", test_clock_back, NULL, NULL, NULL},
        {"C-031 a clock before 1970", test_before_1970, NULL, NULL, NULL},
        {"C-031 the step carries around version and variant", test_carry, NULL, NULL, NULL},
        {"C-031 nothing is behind the last id of all", test_last_of_all, NULL, NULL, NULL},
        {"minting over the last one", test_in_place, NULL, NULL, NULL},
        {"C-315 ids of one instant cannot be guessed from each other", test_random, NULL, NULL,
         NULL},
        {"text and bytes and back", test_round_trip, NULL, NULL, NULL},
        {"the bytes stand in the order of the text", test_bytes_of_text, NULL, NULL, NULL},
        {"C-061 other case, other length, other signs are no id", test_no_id, NULL, NULL, NULL},
        {"C-031 digits and dashes, each in its place", test_characters, NULL, NULL, NULL},
        {"ids compare as bytes", test_compare, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
