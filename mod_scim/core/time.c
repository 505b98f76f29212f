/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dateTime values.  The calendar is computed here: APR refuses times before
 * 1970, and the C library's functions take the lock of the time zone.
 */
#include "scim/time.h"

#include <time.h>

#include <apr_lib.h>

#define DAY_SECONDS INT64_C(86400)
#define FIRST_SECOND INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define LAST_SECOND INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */

/* Days since 1970-01-01.  The year is taken to begin in March, so that the
 * leap day is its last; 400 of them are 146097 days.  Years are positive. */
static apr_int64_t days_of_date(int year, int month, int day)
{
    apr_int64_t y = month > 2 ? year : year - 1;
    int m = month > 2 ? month - 3 : month + 9;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static void date_of_days(apr_int64_t days, int *year, int *month, int *day)
{
    apr_int64_t since = days + 719468; /* since 0000-03-01 */
    apr_int64_t era = (since >= 0 ? since : since - 146096) / 146097;
    int d = (int)(since - era * 146097);
    int y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int m;

    d -= 365 * y + y / 4 - y / 100;
    m = (5 * d + 2) / 153;
    *day = d - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = (int)(era * 400) + y + (*month <= 2);
}

static int days_in_month(int year, int month)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* Reads that many digits and steps over them. */
static bool read_digits(const char **text, int width, int *out)
{
    *out = 0;
    for (; width > 0; width--, (*text)++) {
        if (!apr_isdigit(**text)) {
            return false;
        }
        *out = *out * 10 + (**text - '0');
    }
    return true;
}

static bool read_char(const char **text, char wanted)
{
    if (**text != wanted) {
        return false;
    }
    (*text)++;
    return true;
}

static bool read_date(const char **text, apr_int64_t *days)
{
    int year, month, day;

    if (!read_digits(text, 4, &year) || !read_char(text, '-') ||
        !read_digits(text, 2, &month) || !read_char(text, '-') || !read_digits(text, 2, &day)) {
        return false;
    }
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    *days = days_of_date(year, month, day);
    return true;
}

static bool read_fraction(const char **text, apr_int64_t *micros)
{
    apr_int64_t unit = APR_USEC_PER_SEC / 10;

    *micros = 0;
    if (!read_char(text, '.')) {
        return true;
    }
    if (!apr_isdigit(**text)) {
        return false;
    }
    for (; apr_isdigit(**text); (*text)++, unit /= 10) {
        *micros += unit * (**text - '0');
    }
    return true;
}

/* Microseconds since midnight; 24:00:00 is the midnight after. */
static bool read_clock(const char **text, apr_int64_t *micros)
{
    int hour, minute, second;
    apr_int64_t fraction;

    if (!read_digits(text, 2, &hour) || !read_char(text, ':') ||
        !read_digits(text, 2, &minute) || !read_char(text, ':') ||
        !read_digits(text, 2, &second) || !read_fraction(text, &fraction)) {
        return false;
    }
    if (hour > 24 || minute > 59 || second > 60 ||
        (hour == 24 && (minute || second || fraction))) {
        return false;
    }
    *micros = apr_time_from_sec(hour * 3600 + minute * 60 + second) + fraction;
    return true;
}

/* Seconds east of UTC, at most 14 hours either way (xsd:dateTime). */
static bool read_zone(const char **text, int *seconds)
{
    int sign = **text == '-' ? -1 : 1;
    int hours, minutes;

    *seconds = 0;
    if (!**text || read_char(text, 'Z')) {
        return true;
    }
    if ((!read_char(text, '+') && !read_char(text, '-')) || !read_digits(text, 2, &hours) ||
        !read_char(text, ':') || !read_digits(text, 2, &minutes)) {
        return false;
    }
    *seconds = sign * (hours * 3600 + minutes * 60);
    return minutes <= 59 && hours * 60 + minutes <= 14 * 60;
}

bool scim_time_parse(const char *text, apr_time_t *out)
{
    apr_int64_t days, micros;
    int zone;

    if (!read_date(&text, &days) || !read_char(&text, 'T') || !read_clock(&text, &micros) ||
        !read_zone(&text, &zone) || *text) {
        return false;
    }
    *out = apr_time_from_sec(days * DAY_SECONDS - zone) + micros;
    /* A zone or a last second 60 can lead out of the years that have four
     * digits, which could not be written again. */
    return *out >= apr_time_from_sec(FIRST_SECOND) && *out < apr_time_from_sec(LAST_SECOND + 1);
}

static char *put_digits(char *at, int width, int number, char after)
{
    int i;

    for (i = width - 1; i >= 0; i--, number /= 10) {
        at[i] = (char)('0' + number % 10);
    }
    at[width] = after;
    return at + width + 1;
}

char *scim_time_format(apr_time_t when, char *buf)
{
    /* Rounded down, before 1970 too. */
    apr_int64_t micros = when % APR_USEC_PER_SEC;
    apr_int64_t seconds = when / APR_USEC_PER_SEC - (micros < 0);
    apr_int64_t clock = seconds % DAY_SECONDS;
    apr_int64_t days = seconds / DAY_SECONDS - (clock < 0);
    int year, month, day;
    char *at = buf;

    micros += micros < 0 ? APR_USEC_PER_SEC : 0;
    clock += clock < 0 ? DAY_SECONDS : 0;
    date_of_days(days, &year, &month, &day);
    at = put_digits(at, 4, year, '-');
    at = put_digits(at, 2, month, '-');
    at = put_digits(at, 2, day, 'T');
    at = put_digits(at, 2, (int)(clock / 3600), ':');
    at = put_digits(at, 2, (int)(clock / 60 % 60), ':');
    at = put_digits(at, 2, (int)(clock % 60), '.');
    at = put_digits(at, 6, (int)micros, 'Z');
    *at = '\0';
    return buf;
}

apr_time_t scim_time_steady(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_make(now.tv_sec, now.tv_nsec / 1000);
}
