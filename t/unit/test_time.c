/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dateTime values, read and written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "scim/time.h"

static const char *canonical(const char *text)
{
    static char buf[SCIM_TIME_LEN + 1];
    apr_time_t when;

    if (!scim_time_parse(text, &when)) {
        fail_msg("refused: %s", text);
    }
    assert_ptr_equal(scim_time_format(when, buf), buf);
    assert_int_equal(strlen(buf), SCIM_TIME_LEN);
    return buf;
}

static void test_canonical(void **state)
{
    static const char *const pairs[][2] = {
        {"2026-11-21T22:37:00Z", "2026-11-21T22:37:00.000000Z"},
        {"2026-11-21T22:37:00", "2026-11-21T22:37:00.000000Z"},
        {"2026-11-21T22:37:00.1Z", "2026-11-21T22:37:00.100000Z"},
        {"2026-11-21T22:37:00.000001", "2026-11-21T22:37:00.000001Z"},
        {"2026-11-21T22:37:00.9999999999999999999999Z", "2026-11-21T22:37:00.999999Z"},
        {"2026-11-21T22:37:00+01:00", "2026-11-21T21:37:00.000000Z"},
        {"2026-11-21T22:37:00.25-05:30", "2026-11-22T04:07:00.250000Z"},
        {"2026-01-01T00:00:00+14:00", "2025-12-31T10:00:00.000000Z"},
        {"2026-12-31T23:00:00-14:00", "2027-01-01T13:00:00.000000Z"},
        {"2026-11-21T22:37:00-00:00", "2026-11-21T22:37:00.000000Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"},
        {"2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000Z"},
        {"2026-02-28T24:00:00Z", "2026-03-01T00:00:00.000000Z"},
        {"2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z"},
        {"2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000000Z"},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
        {"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
        {"1601-01-01T00:00:00Z", "1601-01-01T00:00:00.000000Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"},
        {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
    };
    size_t i;

    for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        assert_string_equal(canonical(pairs[i][0]), pairs[i][1]);
        assert_string_equal(canonical(pairs[i][1]), pairs[i][1]);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "Z",
        "2026",
        "2026-01-01",
        "2026-01-01Z",
        "2026-01-01T",
        "2026-01-01T10",
        "2026-01-01T10:00",
        "2026-01-01T10:00Z",
        "2026-01-01T10:00:0Z",
        "2026-01-01 10:00:00Z",
        "2026-01-01t10:00:00Z",
        "2026-01-01T10:00:00z",
        "2026-01-01T10:00:00.Z",
        "2026-01-01T10:00:00,5Z",
        "2026-01-01T10:00:00Z ",
        " 2026-01-01T10:00:00Z",
        "2026-01-01T10:00:00ZZ",
        "2026-01-01T10:00:00+1:00",
        "2026-01-01T10:00:00+0100",
        "2026-01-01T10:00:00+01",
        "2026-01-01T10:00:00+01:60",
        "2026-01-01T10:00:00+14:01",
        "2026-01-01T10:00:00+15:00",
        "2026-01-01T10:00:00+-1:00",
        "2026-01-01T10:00:00 +01:00",
        "2026-00-01T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-01-00T10:00:00Z",
        "2026-01-32T10:00:00Z",
        "2026-04-31T10:00:00Z",
        "2026-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2100-02-29T10:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T24:01:00Z",
        "2026-01-01T24:00:00.000001Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T10:60:00Z",
        "2026-01-01T10:00:61Z",
        "0000-01-01T00:00:00Z",
        "-2026-01-01T10:00:00Z",
        "+2026-01-01T10:00:00Z",
        "02026-01-01T10:00:00Z",
        "26-01-01T10:00:00Z",
        "2026-1-1T10:00:00Z",
        "20260101T100000Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
        "1735689600",
        "Thu, 01 Jan 2026 10:00:00 GMT",
        "2026-01-01T1\xd9\xa0:00:00Z",
    };
    apr_time_t when;
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (scim_time_parse(texts[i], &when)) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

static void test_offsets_compare(void **state)
{
    apr_time_t a, b, c;

    assert_true(scim_time_parse("2026-06-01T12:00:00+02:00", &a));
    assert_true(scim_time_parse("2026-06-01T10:00:00.000Z", &b));
    assert_true(scim_time_parse("2026-06-01T05:00:00.000001-05:00", &c));
    assert_int_equal(a, b);
    assert_int_equal(c - b, 1);
}

static void check_day(apr_int64_t day)
{
    time_t seconds = (time_t)(day * 86400 + 3723);
    apr_time_t when = apr_time_from_sec((apr_int64_t)seconds) + 45, back;
    char buf[SCIM_TIME_LEN + 1], expected[96];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(expected, sizeof(expected), "%04d-%02d-%02dT01:02:03.000045Z", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday);
    scim_time_format(when, buf);
    if (strcmp(buf, expected) || !scim_time_parse(buf, &back) || back != when) {
        fail_msg("%s is written %s", expected, buf);
    }
}

/* Against the C library: every day of one cycle of the calendar, and one in
 * 29 of all that have four digits. */
static void test_calendar(void **state)
{
    apr_int64_t day;

    for (day = -62091; day < 84006; day++) { /* 1800 to 2199 */
        check_day(day);
    }
    for (day = -719162; day <= 2932896; day += 29) {
        check_day(day);
    }
    check_day(2932896);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-042 offsets, fractions, second 60: one canonical form", test_canonical, NULL, NULL,
         NULL},
        {"C-042 no dateTime: date only, no seconds, no such day", test_refused, NULL, NULL,
         NULL},
        {"C-042 C-081 one instant under several offsets", test_offsets_compare, NULL, NULL,
         NULL},
        {"C-042 the calendar of the years 1 to 9999", test_calendar, NULL, NULL, NULL},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
