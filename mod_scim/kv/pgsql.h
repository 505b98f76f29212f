/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the PostgreSQL engine share: a session with the server
 * (pgsql_session.c), and the rows that a transaction knows or has written
 * (pgsql_rows.c).
 */
#ifndef SCIM_KV_PGSQL_H
#define SCIM_KV_PGSQL_H

#include <libpq-fe.h>

#include "scim/time.h"

#include "engine.h"

/*
 * Sessions
 */

/* The statements, prepared in every session. */
typedef enum pg_statement {
    PG_BEGIN_VIEW,
    PG_BEGIN_UPDATE,
    PG_BEGIN_WEAK, /* for tests */
    PG_JOIN,       /* waits for whoever has PG_LOCK; comes before all that is written, so that
                      no two wait for each other */
    PG_LOCK,       /* until the transaction ends nobody else writes */
    PG_EPOCH,      /* the number of the last update that was alone by its own wish */
    PG_NEXT_EPOCH,
    PG_STATE,  /* text that two transactions share only if they see the same */
    PG_GET,    /* key: value, sum and number of what was added to it */
    PG_FROM,   /* key, limit, end: as above with the key first, those >= key and < end */
    PG_AFTER,  /* likewise > key */
    PG_BEFORE, /* likewise < key and >= end, the last one first */
    PG_PUT,    /* key, value */
    PG_INSERT, /* key, value: fails where it is there */
    PG_DELETE, /* key */
    PG_ZERO,   /* key: a counter where there is no row */
    PG_ADD,    /* key, amount, mark */
    PG_CLEAR,  /* key: what was added to it */
    PG_MARK,   /* mark: its transaction is done when this is */
    PG_VOID,   /* mark: it never will be */
    PG_MARKED, /* mark: whether it is done; nothing where neither is known */
    PG_PURGE,
    PG_PARTS, /* keys of counters that have many */
    PG_ENTRIES,
    PG_ESTIMATE,
    PG_PATIENT, /* nobody minds how long this transaction is silent */
    PG_COMMIT,
    PG_ROLLBACK,
    PG_STATEMENTS
} pg_statement;

/* What a session failed of. */
typedef struct pg_failure {
    scim_kv_rc rc;
    bool lost;      /* the session is of no use any more */
    bool silent;    /* it was waited for, in vain */
    bool again;     /* nothing was done; another try may do it */
    char state[6];  /* SQLSTATE; "": none */
    char text[512]; /* one line */
} pg_failure;

typedef struct pg_session {
    PGconn *conn;      /* in pipeline mode; NULL: not connected */
    bool fresh;        /* connected for who has it now */
    bool lost;         /* not to be used again */
    bool states;       /* PG_STATE is there */
    bool warned;       /* the server has warned since the last pg_sync */
    unsigned int owed; /* answers up to so many synchronisations are still to come, and
                          nobody wants them */
} pg_session;

/* A connection string in parts, with what it leaves open filled in, in pool.
 * INVALID where it is none, or carries a password. */
typedef struct pg_target {
    const char **keywords;
    const char **values;
    const char *name; /* host and dbname: for texts */
    apr_interval_time_t timeout;
} pg_target;
scim_kv_rc pg_target_parse(pg_target *out, const char *where, apr_interval_time_t timeout,
                           const char **why, apr_pool_t *pool);

/* Connects, and prepares the statements; create: makes the tables where they are not there.
 * False: *failure says why, and the session is as before. */
bool pg_connect(pg_session *session, const pg_target *target, bool create, pg_failure *failure);
void pg_disconnect(pg_session *session);

/* Queues a statement.  What goes wrong here shows when its result is read. */
void pg_send(pg_session *session, pg_statement statement, int count, const scim_slice *params);
/* The end of what is to be sent at once. */
void pg_sync(pg_session *session);
/* The result of the next statement, which the caller clears; NULL: *failure says why.
 * until: the time at which the server is given up. */
PGresult *pg_result(pg_session *session, apr_time_t until, pg_failure *failure);
/* Reads up to the end of what pg_sync closed.  False: the session is lost. */
bool pg_finish(pg_session *session, apr_time_t until, pg_failure *failure);
/* Sends without waiting for an answer, which the next reader of a result skips. */
void pg_forget(pg_session *session);

scim_slice pg_bytes(const PGresult *result, int row, int column);
apr_int64_t pg_number(const PGresult *result, int row, int column);

/*
 * Rows: in the order of their keys, in the memory of their transaction.
 */

typedef enum pg_write { PG_ROW_READ, PG_ROW_PUT, PG_ROW_DELETE, PG_ROW_ADD } pg_write;

typedef struct pg_row {
    scim_slice key;
    pg_write write;
    bool known; /* what the store has: present, value, added */
    bool present;
    bool added;         /* the store has amounts that were added to it */
    bool clear;         /* those are to go */
    bool fresh;         /* of PG_ROW_PUT: it must not be there */
    scim_slice stored;  /* with what was added to it */
    scim_slice put;     /* of PG_ROW_PUT */
    apr_int64_t amount; /* of PG_ROW_ADD */
} pg_row;

typedef struct pg_rows {
    pg_row **rows;
    int count;
    int room;
    int writes; /* of those */
} pg_rows;

/* The place of a key, or of the first row behind it. */
int pg_rows_place(const pg_rows *rows, scim_slice key);
/* NULL: it is not there. */
pg_row *pg_rows_find(const pg_rows *rows, scim_slice key);
/* One that nothing is known of where it was not there; of the key a copy is kept. */
pg_row *pg_rows_make(pg_rows *rows, scim_kv_txn *txn, scim_slice key);
void pg_rows_write(pg_rows *rows, pg_row *row, pg_write write);

scim_slice pg_copy(scim_kv_txn *txn, scim_slice bytes);

#endif
