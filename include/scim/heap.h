/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is no pool's: malloc's, Jansson's, OpenSSL's.  Where there is none left
 * the process ends, as httpd ends where a pool finds none: what goes on with half of
 * its data could acknowledge what it does not keep.
 */
#ifndef SCIM_HEAP_H
#define SCIM_HEAP_H

/* Says in httpd's words, on stderr and without memory, that there is none left, and
 * aborts. */
void scim_heap_exhausted(void) __attribute__((noreturn));

/* The same as what a pool calls (apr_abortfunc_t). */
int scim_heap_abort(int retcode);

/* What malloc() and its kin return: ptr, which is never NULL behind this. */
static inline void *scim_heap_checked(void *ptr)
{
    if (!ptr) {
        scim_heap_exhausted();
    }
    return ptr;
}

#endif
