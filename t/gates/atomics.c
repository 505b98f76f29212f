/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The atomic operations of APR, built with ThreadSanitizer and loaded into an
 * httpd before libapr: httpd hands a pool from thread to thread by a
 * compare-and-swap, and in Debian's libapr the sanitizer cannot see it.  Without
 * these, memory that one request was given after another would seem to be shared.
 * They do what those of libapr do and hide nothing: an order that httpd does not
 * establish is not there with them either.
 */
#include <apr_atomic.h>

apr_status_t apr_atomic_init(apr_pool_t *pool)
{
    return APR_SUCCESS;
}

/* The same for both sizes. */
#define OPERATIONS(bits)                                                                       \
    apr_uint##bits##_t apr_atomic_read##bits(volatile apr_uint##bits##_t *at)                  \
    {                                                                                          \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                          \
    }                                                                                          \
    void apr_atomic_set##bits(volatile apr_uint##bits##_t *at, apr_uint##bits##_t value)       \
    {                                                                                          \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                         \
    }                                                                                          \
    apr_uint##bits##_t apr_atomic_add##bits(volatile apr_uint##bits##_t *at,                   \
                                            apr_uint##bits##_t value)                          \
    {                                                                                          \
        return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                \
    }                                                                                          \
    void apr_atomic_sub##bits(volatile apr_uint##bits##_t *at, apr_uint##bits##_t value)       \
    {                                                                                          \
        __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                                       \
    }                                                                                          \
    apr_uint##bits##_t apr_atomic_inc##bits(volatile apr_uint##bits##_t *at)                   \
    {                                                                                          \
        return __atomic_fetch_add(at, 1, __ATOMIC_SEQ_CST);                                    \
    }                                                                                          \
    int apr_atomic_dec##bits(volatile apr_uint##bits##_t *at)                                  \
    {                                                                                          \
        return __atomic_sub_fetch(at, 1, __ATOMIC_SEQ_CST) != 0;                               \
    }                                                                                          \
    apr_uint##bits##_t apr_atomic_cas##bits(                                                   \
        volatile apr_uint##bits##_t *at, apr_uint##bits##_t with, apr_uint##bits##_t expected) \
    {                                                                                          \
        __atomic_compare_exchange_n(at, &expected, with, 0, __ATOMIC_SEQ_CST,                  \
                                    __ATOMIC_SEQ_CST);                                         \
        return expected;                                                                       \
    }                                                                                          \
    apr_uint##bits##_t apr_atomic_xchg##bits(volatile apr_uint##bits##_t *at,                  \
                                             apr_uint##bits##_t value)                         \
    {                                                                                          \
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                               \
    }

OPERATIONS(32)
OPERATIONS(64)

void *apr_atomic_casptr(volatile void **at, void *with, const void *expected)
{
    void *found = (void *)expected;

    __atomic_compare_exchange_n((void *volatile *)at, &found, with, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return found;
}

void *apr_atomic_xchgptr(volatile void **at, void *with)
{
    return __atomic_exchange_n((void *volatile *)at, with, __ATOMIC_SEQ_CST);
}
