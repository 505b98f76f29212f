/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a server, read once (status_read.c) and shown as a page for people
 * (status_html.c), as JSON (status_json.c) and as text for machines (status_text.c).
 *
 * All of it is in r->pool.  What it costs does not grow with the number of users.
 */
#ifndef MOD_SCIM_STATUS_H
#define MOD_SCIM_STATUS_H

#include <apr_strings.h>

#include "scim/brake.h"
#include "scim/token.h"
#include "watch.h"

/* Failing objects on a page. */
#define STATUS_PAGE 100

/* Two cycles of Microsoft Entra ID, which has the longest. */
#define STATUS_SILENCE apr_time_from_sec(80 * 60)

typedef enum status_level { STATUS_GOOD, STATUS_QUIET, STATUS_WARN, STATUS_BAD } status_level;

/* "good", "warn": a class of the style sheet, and JSON's word. */
const char *mod_scim_level_word(status_level level);

typedef struct status_tenant {
    scim_tenant tenant;
    scim_brake brake;
    apr_int64_t users, groups, others; /* others: of types of one's own */
    apr_int64_t looked, inactive;      /* of so many users so many are inactive */
    int pending_groups;                /* deleted, of whose members some are to be treated */
    apr_uint64_t pending_members;
} status_tenant;

typedef struct status_token {
    const scim_identity *identity;
    int nears_end; /* as mod_scim_token_nears_end */
    bool used;     /* by the last request of its connection, as far as its end tells */
} status_token;

/* A connection that asked, or that has a token. */
typedef struct status_connection {
    const char *tenant;                /* "" for others, which had no room of their own */
    const char *connection;            /* never NULL */
    const scim_tally_connection *seen; /* NULL: it did not ask since counting began */
    apr_array_header_t *tokens;        /* of status_token */
    status_level level;
    const char *health; /* "works", "fails", ... */
} status_connection;

/* What somebody is to do something about. */
typedef struct status_problem {
    status_level level;
    const char *what;
    const char *remedy;
} status_problem;

typedef struct scim_status {
    request_rec *r;
    const char *store_url; /* NULL: none is configured */
    bool read_only;
    apr_time_t now;
    apr_time_t since; /* when counting began; 0: nothing is counted */

    const char *down;  /* why nothing can be read; NULL: all below is there */
    const char *fault; /* why the last change could not be stored; NULL: it could */
    bool full;         /* only deletions are taken */
    scim_kv_stat store;
    apr_array_header_t *tenants; /* of status_tenant */

    apr_array_header_t *connections;     /* of status_connection */
    const scim_tally_connection *nobody; /* requests that belong to none; or NULL */
    apr_array_header_t *objects;         /* of scim_tally_object: one page of them */
    apr_size_t failing, page, pages;     /* how many there are; pages from 1 */
    scim_tally_refused refused[SCIM_TALLY_REASONS];
    scim_tally_histogram latency[SCIM_TALLY_CLASSES];
    apr_array_header_t *problems; /* of status_problem, the worst first */
} scim_status;

/* page: of the failing objects, from 1; beyond the last it is the last. */
scim_status *mod_scim_status_read(request_rec *r, apr_size_t page);

/* The store alone: NULL, or why requests are not answered as they should.  Tries to write
 * where the last change failed. */
const char *mod_scim_status_unready(request_rec *r);

/* status_advice.c */
void mod_scim_status_judge(scim_status *status);
/* What is to be done about an error; "" where its detail says all. */
const char *mod_scim_status_remedy(const scim_tally_error *error);

/* "read", "list", "write". */
const char *mod_scim_class_word(scim_tally_class what);

/* "3 minutes", of a time that is not negative. */
const char *mod_scim_status_span(apr_interval_time_t span, apr_pool_t *pool);

/* Each sends it and returns OK.  refresh: seconds, 0: never. */
int mod_scim_status_html(const scim_status *status, int refresh);
int mod_scim_status_json(const scim_status *status);
int mod_scim_status_prometheus(const scim_status *status);

/* status.c */
void mod_scim_register_status(void);

#endif
