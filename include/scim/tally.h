/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was asked of a server and what became of it, counted in memory that its processes
 * share: for each connection, for each object that fails, for those who were refused
 * before anybody knew them, and how long answers took.
 *
 * All zeros is an empty tally.  Its size is fixed; memory that was never written to costs
 * nothing, so that a server with three connections has some 20 KB of it.  Counters are
 * atomic.  The texts of a slot have a lock of their own, which nobody waits for: who does
 * not get it leaves the text as it is, and a lock that was left by one who died is taken
 * after two seconds.  So no process that ends keeps another from anything.
 *
 * Nothing that was written by another process is believed: texts are cut, and what is read
 * is a copy.
 */
#ifndef SCIM_TALLY_H
#define SCIM_TALLY_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#define SCIM_TALLY_CONNECTIONS 1024
#define SCIM_TALLY_OBJECTS 32768

/* Bytes of texts, with their NUL. */
#define SCIM_TALLY_NAME 65
#define SCIM_TALLY_OP 32
#define SCIM_TALLY_TYPE 24
#define SCIM_TALLY_ID 40
#define SCIM_TALLY_DETAIL 200
#define SCIM_TALLY_ADDRESS 46

typedef struct scim_tally scim_tally;

/* How long an answer took, by what was asked. */
typedef enum scim_tally_class {
    SCIM_TALLY_READ,
    SCIM_TALLY_LIST,
    SCIM_TALLY_WRITE,
    SCIM_TALLY_CLASSES
} scim_tally_class;

/* The upper bounds of a histogram's buckets, in microseconds; the last has none. */
#define SCIM_TALLY_BUCKETS 21
extern const apr_int64_t scim_tally_bounds[SCIM_TALLY_BUCKETS - 1];

/* Why somebody was refused whom nobody knows. */
#define SCIM_TALLY_REASON_TABLE(X)                                       \
    X(NO_TOKEN, "no_token", "no token came")                             \
    X(MALFORMED, "malformed", "no whole token: a part of one, or more")  \
    X(UNKNOWN, "unknown", "unknown here: revoked, or of another tenant") \
    X(EXPIRED, "expired", "expired")                                     \
    X(PLAIN, "plain_http", "over plain HTTP")                            \
    X(OTHER, "other", "for another reason")

typedef enum scim_tally_reason {
    SCIM_TALLY_KNOWN, /* not refused so */
#define SCIM_TALLY_ENUM(name, word, text) SCIM_TALLY_##name,
    SCIM_TALLY_REASON_TABLE(SCIM_TALLY_ENUM)
#undef SCIM_TALLY_ENUM
        SCIM_TALLY_REASONS
} scim_tally_reason;

/* "no_token", and "no token came". */
const char *scim_tally_reason_word(scim_tally_reason reason);
const char *scim_tally_reason_text(scim_tally_reason reason);

/* What sends requests, by its User-Agent. */
typedef enum scim_tally_agent {
    SCIM_AGENT_UNKNOWN,
    SCIM_AGENT_ENTRA,
    SCIM_AGENT_OKTA,
    SCIM_AGENT_JUMPCLOUD,
    SCIM_AGENT_ONELOGIN,
    SCIM_AGENT_PING,
    SCIM_AGENT_AUTHENTIK,
    SCIM_AGENT_KEYCLOAK,
    SCIM_AGENTS
} scim_tally_agent;

/* user_agent may be NULL. */
scim_tally_agent scim_tally_agent_of(const char *user_agent);
const char *scim_tally_agent_name(scim_tally_agent agent); /* "Microsoft Entra ID" */

/* One request that was answered.  Texts are copied, shortened where they are longer. */
typedef struct scim_tally_event {
    apr_uint64_t store;     /* a number of its store: one tenant's name may be in two */
    const char *tenant;     /* NULL, as the next: nobody's */
    const char *connection; /* "entra" */
    apr_time_t expires;     /* of the token that was used; 0: never, or there was none */
    const char *op;         /* "users.create" */
    scim_tally_class what;
    int status; /* HTTP */
    apr_time_t now;
    apr_interval_time_t took;  /* -1: not measured */
    const char *user_agent;    /* as it was sent, or NULL */
    scim_tally_reason refused; /* but for KNOWN, only the next is looked at beside it */
    const char *address;       /* of the client */
    /* of an error */
    const char *scim_type;
    const char *detail;
    /* of a change */
    const char *id;       /* of the resource, or NULL */
    apr_uint64_t subject; /* of a creation: a hash by which a repetition is known; or 0 */
} scim_tally_event;

/* Some 100 ns for a request that succeeds.  seed is secret: nobody who sends requests can
 * choose whose slot it has. */
void scim_tally_note(scim_tally *tally, const scim_tally_event *event, apr_uint64_t seed);

apr_size_t scim_tally_size(void);

/* Reading.  What is returned are copies in pool. */

typedef struct scim_tally_error {
    apr_time_t time; /* 0: there was none */
    int status;
    char op[SCIM_TALLY_OP];
    char scim_type[SCIM_TALLY_TYPE]; /* "" where there is none, as the next */
    char id[SCIM_TALLY_ID];
    char detail[SCIM_TALLY_DETAIL];
} scim_tally_error;

/* Requests of an operation that had one status. */
typedef struct scim_tally_count {
    const char *op; /* "users.create", "others.list": a type of one's own is among the others */
    int status;     /* 0: one that SCIM does not use */
    apr_uint64_t requests;
} scim_tally_count;

typedef struct scim_tally_connection {
    char tenant[SCIM_TALLY_NAME];     /* "" where it is nobody's */
    char connection[SCIM_TALLY_NAME]; /* "" likewise; "(others)" for those that had no room */
    scim_tally_agent agent;           /* of the last request */
    apr_time_t first, last;           /* requests */
    apr_time_t success;               /* the last; 0: never */
    apr_time_t expires; /* of the token that was used last; 0: never, or unknown */
    apr_uint64_t requests;
    apr_uint64_t failures;      /* with a status of 400 and more, but for what was not found */
    scim_tally_error error;     /* the last */
    apr_array_header_t *counts; /* of scim_tally_count */
} scim_tally_connection;

/* Those of a store, by tenant and connection; last those that belong to nobody. */
apr_array_header_t *scim_tally_connections(scim_tally *tally, apr_uint64_t store,
                                           apr_pool_t *pool);

/* An object that could not be changed as its connection wanted, and has not been since. */
typedef struct scim_tally_object {
    char tenant[SCIM_TALLY_NAME];
    char connection[SCIM_TALLY_NAME];
    apr_time_t first; /* failure */
    apr_uint64_t tries;
    scim_tally_error error; /* the last */
} scim_tally_object;

/* From the one that failed last, so many behind the first skip; *total: all there are. */
apr_array_header_t *scim_tally_objects(apr_size_t *total, scim_tally *tally, apr_uint64_t store,
                                       apr_size_t skip, apr_size_t count, apr_pool_t *pool);
apr_size_t scim_tally_failing(scim_tally *tally, apr_uint64_t store);

typedef struct scim_tally_refused {
    apr_uint64_t requests;
    apr_time_t last;
    char address[SCIM_TALLY_ADDRESS]; /* of the last */
} scim_tally_refused;

void scim_tally_refusals(scim_tally_refused out[SCIM_TALLY_REASONS], scim_tally *tally);

typedef struct scim_tally_histogram {
    apr_uint64_t buckets[SCIM_TALLY_BUCKETS]; /* each by itself */
    apr_uint64_t count;
    apr_uint64_t sum; /* microseconds */
} scim_tally_histogram;

void scim_tally_latency(scim_tally_histogram *out, const scim_tally *tally,
                        scim_tally_class what);

#endif
