/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a tally lies in shared memory: for tally.c, which writes it, and tally_read.c.
 *
 * What is called atomic here is read and written by __atomic functions alone; all else of a
 * slot only by who has its lock.  Whoever changes the layout changes the name under which
 * mod_scim/httpd/watch.c keeps it over restarts.
 */
#ifndef SCIM_TALLY_SLOTS_H
#define SCIM_TALLY_SLOTS_H

#include "scim/tally.h"

#define TALLY_VERBS 7
#define TALLY_KINDS 3 /* users, groups, others */

typedef enum tally_verb {
    VERB_LIST,
    VERB_SEARCH,
    VERB_GET,
    VERB_CREATE,
    VERB_REPLACE,
    VERB_PATCH,
    VERB_DELETE
} tally_verb;

/* Behind the verbs of each kind. */
typedef enum tally_op {
    OP_ROOT_LIST = TALLY_VERBS * TALLY_KINDS,
    OP_ROOT_SEARCH,
    OP_BULK,
    OP_ME,
    OP_DISCOVERY,
    OP_UNKNOWN,
    TALLY_OPS
} tally_op;

extern const char *const tally_op_names[TALLY_OPS];

#define TALLY_STATUSES 20
extern const int tally_statuses[TALLY_STATUSES]; /* the last, 0, stands for all others */

/* 0: free; else since when it is taken. */
typedef apr_time_t tally_lock;

/* False where somebody else has it: then leave alone what it guards. */
bool tally_take(tally_lock *lock, apr_time_t now);
void tally_give_back(tally_lock *lock);

typedef struct connection_slot {
    apr_uint64_t key;                               /* atomic; 0: free */
    tally_lock lock;                                /* atomic */
    apr_uint64_t store;                             /* atomic */
    apr_uint32_t named;                             /* atomic: the names below are written */
    apr_uint32_t agent;                             /* atomic */
    apr_uint64_t user_agent;                        /* atomic: a hash of that it was made of */
    apr_time_t first, last, success, expires;       /* atomic */
    apr_uint64_t failures;                          /* atomic */
    apr_uint64_t counts[TALLY_OPS][TALLY_STATUSES]; /* atomic */
    char tenant[SCIM_TALLY_NAME];
    char connection[SCIM_TALLY_NAME];
    scim_tally_error error;
} connection_slot;

typedef struct object_slot {
    tally_lock lock; /* atomic, as the next four */
    apr_uint64_t store;
    apr_time_t first, last;
    apr_uint64_t tries;
    char tenant[SCIM_TALLY_NAME];
    char connection[SCIM_TALLY_NAME];
    scim_tally_error error;
} object_slot;

/* A bucket's keys stand together: whoever looks for one reads two lines of the cache. */
#define OBJECT_WAYS 16
#define OBJECT_BUCKETS (SCIM_TALLY_OBJECTS / OBJECT_WAYS)

typedef struct refused_slot {
    tally_lock lock; /* atomic, as the next two */
    apr_uint64_t requests;
    apr_time_t last;
    char address[SCIM_TALLY_ADDRESS];
} refused_slot;

struct scim_tally {
    scim_tally_histogram latency[SCIM_TALLY_CLASSES]; /* atomic */
    refused_slot refused[SCIM_TALLY_REASONS];
    connection_slot nobody, others;
    connection_slot connections[SCIM_TALLY_CONNECTIONS];
    apr_uint64_t keys[OBJECT_BUCKETS][OBJECT_WAYS]; /* atomic; 0: free */
    object_slot objects[OBJECT_BUCKETS][OBJECT_WAYS];
};

/* An object that was not tried again for so long fails no more. */
#define OBJECT_FORGOTTEN apr_time_from_sec(7 * 86400)

#define TALLY_LOAD(at) __atomic_load_n(&(at), __ATOMIC_ACQUIRE)
#define TALLY_STORE(at, value) __atomic_store_n(&(at), (value), __ATOMIC_RELEASE)
#define TALLY_ADD(at, n) __atomic_fetch_add(&(at), (n), __ATOMIC_RELAXED)

#endif
