/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests that make the system fail share: plans of faults, and how many
 * rounds a test goes.
 */
#ifndef FAULT_FIXTURE_H
#define FAULT_FIXTURE_H

#include <errno.h>
#include <stdlib.h>

#include "../fault/shim.h"

/* What a disk, a file system or a system that is out of descriptors says. */
static const int fault_errors[] = {EIO, ENOSPC, EDQUOT, EINTR, EMFILE};
#define FAULT_ERRORS (int)(sizeof(fault_errors) / sizeof(fault_errors[0]))

static inline const char *fault_name(int call)
{
    static const char *const names[] = {"open", "pages", "meta",   "sync", "truncate",
                                        "map",  "msync", "rename", "read"};

    return names[call];
}

/* From now on the n-th call (0: the next) and the times - 1 that follow it. */
static inline void arm(int call, int n, int times, int err, int act)
{
    fault_plan *plan = fault_current;

    atomic_store(&plan->calls, 0);
    atomic_store(&plan->after, n);
    atomic_store(&plan->times, times);
    atomic_store(&plan->err, err);
    atomic_store(&plan->act, act);
    atomic_store(&plan->met, 0);
    atomic_store(&plan->calls, 1 << call);
}

/* All goes well again; how many calls did not. */
static inline int disarm(void)
{
    atomic_store(&fault_current->calls, 0);
    return atomic_load(&fault_current->met);
}

static inline int seen(int call)
{
    return atomic_load(&fault_current->seen[call]);
}

/* LONG=1 asks for the whole size. */
static inline int rounds(int few, int many)
{
    return getenv("LONG") ? many : few;
}

#endif
