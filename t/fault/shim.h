/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the system, on demand: functions in front of those of the C library
 * that fail, or end the process, at the n-th call that concerns a file below
 * one directory.
 *
 * A program of t/unit has them linked in.  Into a server they come as a library
 * (LD_PRELOAD); then the plan is a file, named by SCIM_FAULT_PLAN, which all its
 * processes and the test have mapped, and SCIM_FAULT_DIR names the directory.
 * t/lib/Scim/Fault.pm knows the layout, eight 32-bit words and then the counts.
 */
#ifndef SCIM_FAULT_SHIM_H
#define SCIM_FAULT_SHIM_H

#include <stdatomic.h>

enum {
    FAULT_OPEN,
    FAULT_PAGES, /* writing pages of data */
    FAULT_META,  /* writing a page that names the root: less than 4096 bytes */
    FAULT_SYNC,  /* fdatasync, fsync */
    FAULT_TRUNCATE,
    FAULT_MAP,
    FAULT_MSYNC,
    FAULT_RENAME, /* or link */
    FAULT_READ,
    FAULT_CALLS
};

enum {
    FAULT_FAIL,           /* the call is not made and fails */
    FAULT_FAIL_LATE,      /* it is made and fails all the same */
    FAULT_FAIL_ONCE_LATE, /* so does the first; those after it are not made */
    FAULT_FAIL_WRITING,   /* not made and fails where it opens for writing */
    FAULT_SHORT,          /* a write writes half of its bytes */
    FAULT_KILL,           /* the process ends before the call */
    FAULT_KILL_LATE,      /* and after it */
    FAULT_STOP,           /* the process is stopped before the call */
};

typedef struct fault_plan {
    atomic_int calls; /* those it is about: 1 << FAULT_... | ... */
    atomic_int after; /* so many of these calls go well */
    atomic_int times; /* then so many do not */
    atomic_int err;   /* errno */
    atomic_int act;
    atomic_int met; /* calls that did not go well */
    atomic_int reserved[2];
    atomic_int seen[FAULT_CALLS]; /* calls below the directory, whatever became of them */
} fault_plan;

extern fault_plan *fault_current;

/* Files below it are concerned; NULL: none are. */
void fault_directory(const char *path);

#endif
