/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits of many at once, in memory that processes share: GCRA (ITU-T
 * I.371 annex A), which needs one word for each, the theoretical arrival time.
 *
 * There is no lock, so nobody who dies leaves one.  The table is a cache: it
 * has room for 8,192; where eight meet in one bucket and none of them has been
 * quiet for its whole burst, a ninth takes the place of the one that asked the
 * longest time ago, which is then as one that never asked.
 */
#ifndef SCIM_RATE_H
#define SCIM_RATE_H

#include <apr_time.h>

#define SCIM_RATE_SLOTS 8192

typedef struct scim_rate {
    apr_interval_time_t interval; /* microseconds for each request, at least 1 */
    apr_int64_t burst;            /* requests at once, at least 1; times interval: below 2^62 */
} scim_rate;

/* All zeros is an empty table. */
typedef struct scim_rate_table {
    struct scim_rate_slot {
        apr_uint64_t key; /* 0: free */
        apr_time_t arrival;
    } slots[SCIM_RATE_SLOTS];
} scim_rate_table;

/* Counts a request of the one that key, a good hash, stands for.  0: it is
 * within the rate; else it was not counted, and one will be within it after so
 * many microseconds.  Threads and processes may call it at once.  A clock that
 * is set back keeps nobody out for longer than a used-up burst does. */
apr_interval_time_t scim_rate_take(scim_rate_table *table, apr_uint64_t key,
                                   const scim_rate *rate, apr_time_t now);

#endif
