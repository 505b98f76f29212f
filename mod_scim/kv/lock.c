/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that the writers of one process queue on.  Engines have locks of
 * their own between processes; those cannot be waited for with a limit, this
 * one can.
 */
#include <errno.h>

#include "engine.h"

void scim_kv_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

scim_kv_rc scim_kv_lock(pthread_mutex_t *lock, apr_interval_time_t timeout)
{
    apr_time_t end = apr_time_now() + timeout;
    struct timespec until = {.tv_sec = apr_time_sec(end), .tv_nsec = apr_time_usec(end) * 1000};

    switch (pthread_mutex_timedlock(lock, &until)) {
    case 0:
        return SCIM_KV_OK;
    case ETIMEDOUT:
        return SCIM_KV_BUSY;
    case EDEADLK:
        return SCIM_KV_INVALID;
    default:
        return SCIM_KV_IO;
    }
}
