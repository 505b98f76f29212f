/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dateTime values (RFC 7643 section 2.3.5; xsd:dateTime): microseconds since
 * 1970-01-01T00:00:00Z, as apr_time_t.
 */
#ifndef SCIM_TIME_H
#define SCIM_TIME_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_time.h>

/* Microseconds of a clock that nobody sets: for deadlines and pauses. */
apr_time_t scim_time_steady(void);

#define SCIM_TIME_LEN 27 /* "2026-11-21T22:37:00.000000Z" */

/* Reads a dateTime with date, time and zone (Z or an offset); the year has
 * four digits, the fraction any number (cut to six), second 60 is the next
 * minute.  A zone may be absent: it is then UTC.  False for anything else,
 * dates of no calendar included. */
bool scim_time_parse(const char *text, apr_time_t *out);

/* The canonical form: UTC, six digits of fraction. buf has SCIM_TIME_LEN + 1
 * bytes. Returns buf. */
char *scim_time_format(apr_time_t when, char *buf);

#endif
