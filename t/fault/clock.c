/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that is wrong: loaded before a program (LD_PRELOAD), it adds the seconds of
 * SCIM_CLOCK, which may be negative, to the time of day.  Clocks that measure how long
 * something takes are left as they are.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static time_t shift(void)
{
    const char *seconds = getenv("SCIM_CLOCK");

    return seconds ? (time_t)atoll(seconds) : 0;
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);

    if (rc == 0 && clock == CLOCK_REALTIME) {
        out->tv_sec += shift();
    }
    return rc;
}

EXPORTED int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);

    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return rc;
}

EXPORTED time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
