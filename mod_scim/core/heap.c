/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the process for want of memory.
 */
#include "scim/heap.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* httpd's, whose error log is what stderr is: so that one search finds all. */
static const char last_words[] = "[crit] Memory allocation failed, aborting process.\n";

void scim_heap_exhausted(void)
{
    const char *at = last_words;
    size_t left = sizeof(last_words) - 1;

    while (left) {
        ssize_t n = write(STDERR_FILENO, at, left);

        if (n < 0 && errno != EINTR) {
            break;
        }
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
    abort();
}

int scim_heap_abort(int retcode)
{
    scim_heap_exhausted();
    return retcode;
}
