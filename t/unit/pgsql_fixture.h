/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores in PostgreSQL for tests: each a schema of its own in the database that
 * SCIM_TEST_PGSQL names (t/lib/pgsql starts a server for that).  Without it there
 * are none, and what needs one is left out.
 */
#ifndef PGSQL_FIXTURE_H
#define PGSQL_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <libpq-fe.h>

#include "scim/kv.h"

#define PGSQL_SCHEMA "options=-csearch_path="

static PGconn *pgsql_admin; /* of this process, for what no store does */
static pid_t pgsql_owner;
static int pgsql_made, pgsql_dropped; /* schemas */

/* NULL: there is no server. */
static inline const char *pgsql_server(void)
{
    const char *server = getenv("SCIM_TEST_PGSQL");

    return server && *server ? server : NULL;
}

/* Makes the engine known.  Call it first. */
static inline void pgsql_begin(void)
{
    if (!scim_kv_register(&scim_kv_pgsql)) {
        abort();
    }
}

static inline void pgsql_quit(void)
{
    if (pgsql_owner == getpid()) {
        PQfinish(pgsql_admin);
        pgsql_admin = NULL;
    }
}

static inline void pgsql_no_notice(void *arg, const PGresult *result)
{
}

static inline PGresult *pgsql_query(const char *sql)
{
    PGresult *result;
    ExecStatusType status;

    if (!pgsql_admin || pgsql_owner != getpid()) {
        pgsql_admin = PQconnectdb(pgsql_server());
        pgsql_owner = getpid();
        PQsetNoticeReceiver(pgsql_admin, pgsql_no_notice, NULL);
        atexit(pgsql_quit);
    }
    result = PQexec(pgsql_admin, sql);
    status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "# %s: %s", sql, PQerrorMessage(pgsql_admin));
        abort();
    }
    return result;
}

static inline void pgsql_run(const char *sql)
{
    PQclear(pgsql_query(sql));
}

/* The number that a query comes to. */
static inline long pgsql_number(const char *sql)
{
    PGresult *result = pgsql_query(sql);
    long number = atol(PQgetvalue(result, 0, 0));

    PQclear(result);
    return number;
}

/* The url of a new schema, in pool. */
static inline const char *pgsql_make(apr_pool_t *pool)
{
    const char *name = apr_psprintf(pool, "scim_%ld_%d", (long)getpid(), ++pgsql_made);

    pgsql_run(apr_pstrcat(pool, "CREATE SCHEMA ", name, NULL));
    return apr_pstrcat(pool, "pgsql:", pgsql_server(), " " PGSQL_SCHEMA, name, NULL);
}

/* The schema of a url that pgsql_make made. */
static inline const char *pgsql_schema(const char *url)
{
    return strstr(url, PGSQL_SCHEMA) + strlen(PGSQL_SCHEMA);
}

/* Removes all that pgsql_make has made.  Nothing may have one open. */
static inline void pgsql_drop(void)
{
    char sql[200];

    for (; pgsql_dropped < pgsql_made; pgsql_dropped++) {
        apr_snprintf(sql, sizeof(sql), "DROP SCHEMA IF EXISTS scim_%ld_%d CASCADE",
                     (long)getpid(), pgsql_dropped + 1);
        pgsql_run(sql);
    }
}

#endif
