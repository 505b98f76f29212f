/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with a PostgreSQL server.
 *
 * All of it is in pipeline mode: statements are queued, sent together, and answered
 * together, so that what is sent at once costs one round trip.  No wait is without an
 * end: libpq is never left to block on a socket but while it connects, for which it has
 * connect_timeout.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "pgsql.h"

/* What was added to a counter is looked for where the value can be one. */
#define ROW                                                                                    \
    "SELECT t.k, t.v, d.n, d.c FROM scim_kv t LEFT JOIN LATERAL (SELECT sum(n)::bigint AS n, " \
    "count(*) AS c FROM scim_delta WHERE k = t.k AND octet_length(t.v) = 8) d ON true "

static const char *const statements[PG_STATEMENTS] = {
    [PG_BEGIN_VIEW] = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    [PG_BEGIN_UPDATE] = "BEGIN ISOLATION LEVEL SERIALIZABLE",
    [PG_BEGIN_WEAK] = "BEGIN ISOLATION LEVEL REPEATABLE READ",
    [PG_LOCK] = "LOCK TABLE scim_epoch IN SHARE ROW EXCLUSIVE MODE",
    [PG_JOIN] = "LOCK TABLE scim_epoch IN ROW EXCLUSIVE MODE",
    [PG_EPOCH] = "SELECT n FROM scim_epoch WHERE id = 1",
    [PG_NEXT_EPOCH] = "UPDATE scim_epoch SET n = n + 1 WHERE id = 1",
    [PG_GET] = ROW "WHERE t.k = $1::bytea",
    [PG_FROM] = ROW "WHERE t.k >= $1::bytea AND t.k < $3::bytea ORDER BY t.k LIMIT $2::bigint",
    [PG_AFTER] = ROW "WHERE t.k > $1::bytea AND t.k < $3::bytea ORDER BY t.k LIMIT $2::bigint",
    [PG_BEFORE] = ROW "WHERE t.k < $1::bytea AND t.k >= $3::bytea "
                      "ORDER BY t.k DESC LIMIT $2::bigint",
    [PG_PUT] = "INSERT INTO scim_kv (k, v) VALUES ($1::bytea, $2::bytea) "
               "ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    [PG_INSERT] = "INSERT INTO scim_kv (k, v) VALUES ($1::bytea, $2::bytea)",
    [PG_DELETE] = "DELETE FROM scim_kv WHERE k = $1::bytea",
    [PG_ZERO] = "INSERT INTO scim_kv (k, v) VALUES ($1::bytea, '\\x0000000000000000') "
                "ON CONFLICT (k) DO NOTHING",
    [PG_ADD] = "INSERT INTO scim_delta (k, n, mark) VALUES ($1::bytea, $2::bigint, $3::bytea)",
    [PG_CLEAR] = "DELETE FROM scim_delta WHERE k = $1::bytea",
    [PG_MARK] = "INSERT INTO scim_commit (mark, done) VALUES ($1::bytea, true)",
    [PG_VOID] = "INSERT INTO scim_commit (mark, done) VALUES ($1::bytea, false)",
    [PG_MARKED] = "SELECT done::int::bigint FROM scim_commit WHERE mark = $1::bytea",
    [PG_PURGE] = "DELETE FROM scim_commit WHERE at < now() - interval '1 hour'",
    [PG_PARTS] = "SELECT k FROM scim_delta GROUP BY k HAVING count(*) >= 32 LIMIT 100",
    [PG_ENTRIES] = "SELECT count(*) FROM scim_kv",
    [PG_ESTIMATE] = "SELECT reltuples::bigint, pg_total_relation_size(oid) FROM pg_class "
                    "WHERE oid = 'scim_kv'::regclass",
    [PG_PATIENT] = "SELECT set_config('idle_in_transaction_session_timeout', '0', true)",
    [PG_COMMIT] = "COMMIT",
    [PG_ROLLBACK] = "ROLLBACK",
    [PG_STATE] = "SELECT pg_current_snapshot()::text",
};

/* A row that is changed stays in its page, where there is room, and no index with it: who reads
 * near it is not in the way.  Kept in the schema that the connection string names, or the first
 * of its user.  mark: of the transaction in which something was added; done: it was committed,
 * else it can never be. */
static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS scim_kv (k bytea PRIMARY KEY, v bytea NOT NULL) "
    "WITH (fillfactor = 85)",
    "CREATE TABLE IF NOT EXISTS scim_delta (k bytea NOT NULL, n bigint NOT NULL, "
    "mark bytea NOT NULL, PRIMARY KEY (k, mark))",
    "CREATE TABLE IF NOT EXISTS scim_commit (mark bytea PRIMARY KEY, "
    "done boolean NOT NULL, at timestamptz NOT NULL DEFAULT now())",
    "CREATE INDEX IF NOT EXISTS scim_commit_at ON scim_commit (at)",
    "CREATE TABLE IF NOT EXISTS scim_epoch (id int PRIMARY KEY, n bigint NOT NULL)",
    "INSERT INTO scim_epoch (id, n) VALUES (1, 1) ON CONFLICT (id) DO NOTHING",
};

/* A table that is read from end to end is locked from end to end: any two updates would
 * be in each other's way.  What the server takes for done is to be on its disk.  $1: after
 * so long it gives up a statement, or a transaction of whose client it hears nothing. */
static const char settings[] =
    "SELECT set_config('enable_seqscan', 'off', false), "
    "set_config('enable_bitmapscan', 'off', false), "
    "set_config('plan_cache_mode', 'force_generic_plan', false), "
    "set_config('jit', 'off', false), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
    "WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false), "
    "set_config('statement_timeout', $1, false), "
    "set_config('idle_in_transaction_session_timeout', $1, false)";

/* Tries to connect end by themselves; a server that is gone is noticed. */
static const struct {
    const char *keyword, *value;
} defaults[] = {
    {"connect_timeout", "3"},         {"tcp_user_timeout", "10000"},
    {"keepalives_idle", "10"},        {"keepalives_interval", "3"},
    {"keepalives_count", "3"},        {"target_session_attrs", "read-write"},
    {"application_name", "mod_scim"},
};

/*
 * The connection string
 */

static bool has(const PQconninfoOption *option)
{
    return option->val && *option->val;
}

static const char *default_of(const char *keyword)
{
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (!strcmp(defaults[i].keyword, keyword)) {
            return defaults[i].value;
        }
    }
    return NULL;
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++) {
        if (!strcmp(options->keyword, keyword)) {
            return has(options) ? options->val : NULL;
        }
    }
    return NULL;
}

/* Only what concerns who and where: the rest is of no use to a reader of logs. */
static const char *name_target(const PQconninfoOption *options, apr_pool_t *pool)
{
    const char *host = value_of(options, "host"), *name = value_of(options, "dbname");

    host = host ? host : value_of(options, "hostaddr");
    host = host ? host : value_of(options, "service");
    return apr_psprintf(pool, "the database %s of %s", name ? name : "of its user",
                        host ? host : "this machine");
}

static void fill_target(pg_target *out, const PQconninfoOption *options, apr_pool_t *pool)
{
    int count = 0, used = 0;

    while (options[count].keyword) {
        count++;
    }
    out->keywords = apr_pcalloc(pool, (apr_size_t)(count + 1) * sizeof(*out->keywords));
    out->values = apr_pcalloc(pool, (apr_size_t)(count + 1) * sizeof(*out->values));
    for (int i = 0; i < count; i++) {
        const char *value = has(&options[i]) ? options[i].val : default_of(options[i].keyword);

        if (value) {
            out->keywords[used] = apr_pstrdup(pool, options[i].keyword);
            out->values[used++] = apr_pstrdup(pool, value);
        }
    }
}

/* One line, without what libpq puts between and behind. */
static void tell(pg_failure *failure, const char *text)
{
    apr_size_t used = 0;

    for (; *text && used < sizeof(failure->text) - 1; text++) {
        char c = *text == '\n' || *text == '\t' ? ' ' : *text;

        if (c != ' ' || (used && failure->text[used - 1] != ' ')) {
            failure->text[used++] = c;
        }
    }
    while (used && failure->text[used - 1] == ' ') {
        used--;
    }
    failure->text[used] = '\0';
}

/* libpq quotes the word that it did not understand, which may be a part of a secret. */
static scim_kv_rc refuse(const char **why, const char *fault)
{
    *why = fault;
    return SCIM_KV_INVALID;
}

scim_kv_rc pg_target_parse(pg_target *out, const char *where, apr_interval_time_t timeout,
                           const char **why, apr_pool_t *pool)
{
    char *ignored = NULL;
    PQconninfoOption *options = PQconninfoParse(where, &ignored);
    scim_kv_rc rc = SCIM_KV_OK;

    PQfreemem(ignored);
    if (!options) {
        return refuse(why, "what follows pgsql: is no connection string of PostgreSQL; write "
                           "for instance \"pgsql:host=db.example.com dbname=scim user=scim\"");
    }
    if (value_of(options, "password") || value_of(options, "sslpassword")) {
        rc = refuse(why, "a password does not belong into the name of a store, which logs "
                         "and lists of processes show: put it into a file and name that "
                         "with passfile=, or use a certificate (sslcert=) or peer "
                         "authentication");
    } else {
        fill_target(out, options, pool);
        out->name = name_target(options, pool);
        out->timeout = timeout;
    }
    PQconninfoFree(options);
    return rc;
}

/*
 * Failures
 */

static const struct {
    const char *state; /* or how it begins */
    scim_kv_rc rc;
    bool lost, again;
} states[] = {
    {"40001", SCIM_KV_CONFLICT, false, true}, /* serialization_failure */
    {"40P01", SCIM_KV_CONFLICT, false, true}, /* deadlock_detected */
    {"23505", SCIM_KV_CONFLICT, false, true}, /* unique_violation: another was first */
    {"25006", SCIM_KV_READONLY, true, true},  /* of a server that is a standby by now */
    {"0A000", SCIM_KV_READONLY, true, true},  /* likewise: a standby has no SERIALIZABLE */
    {"25P03", SCIM_KV_BUSY, true, true},      /* was silent for too long */
    {"53100", SCIM_KV_DISK_FULL, false, false},
    {"53", SCIM_KV_BUSY, true, false},
    {"57P05", SCIM_KV_BUSY, true, true}, /* idle_session_timeout */
    {"57P", SCIM_KV_BUSY, true, true},   /* it is being stopped or started */
    {"57014", SCIM_KV_BUSY, false, false},
    {"55P03", SCIM_KV_BUSY, false, false},
    {"08", SCIM_KV_BUSY, true, true},
    {"26000", SCIM_KV_BUSY, true, true}, /* a pooler has given us another session */
    {"42P01", SCIM_KV_NOTFOUND, true, false},
    {"3F000", SCIM_KV_NOTFOUND, true, false},
    {"22003", SCIM_KV_CORRUPT, false, false}, /* counters that add up to too much */
    {"XX001", SCIM_KV_CORRUPT, false, false},
    {"XX002", SCIM_KV_CORRUPT, false, false},
};

static void classify(pg_failure *failure)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (!strncmp(failure->state, states[i].state, strlen(states[i].state))) {
            failure->rc = states[i].rc;
            failure->lost = states[i].lost;
            failure->again = states[i].again;
            return;
        }
    }
    failure->rc = SCIM_KV_IO;
    failure->lost = failure->again = false;
}

static void fail_lost(pg_session *session, pg_failure *failure, const char *text)
{
    session->lost = true;
    *failure = (pg_failure){.rc = SCIM_KV_BUSY, .lost = true, .again = true};
    tell(failure, text && *text ? text : "the server has ended the connection");
}

static void fail_result(pg_session *session, const PGresult *result, pg_failure *failure)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (!state && PQstatus(session->conn) == CONNECTION_BAD) {
        fail_lost(session, failure, PQresultErrorMessage(result));
        return;
    }
    *failure = (pg_failure){.rc = SCIM_KV_IO};
    apr_cpystrn(failure->state, state ? state : "", sizeof(failure->state));
    tell(failure, PQresultErrorMessage(result));
    classify(failure);
    session->lost = session->lost || failure->lost;
}

/*
 * Sending and reading
 */

static bool wait_for(PGconn *conn, bool writable, apr_time_t until)
{
    struct pollfd fd = {.fd = PQsocket(conn),
                        .events = (short)(POLLIN | (writable ? POLLOUT : 0))};
    apr_interval_time_t left = until - scim_time_steady();

    return left > 0 && fd.fd >= 0 &&
           (poll(&fd, 1, (int)(left / 1000) + 1) >= 0 || errno == EINTR);
}

/* Sends what is queued, until there is something to be read. */
static bool pump(pg_session *session, apr_time_t until)
{
    PGconn *conn = session->conn;

    for (;;) {
        int unsent = PQflush(conn);

        if (unsent < 0) {
            return false;
        }
        if (!PQisBusy(conn)) {
            return true;
        }
        if (!wait_for(conn, unsent > 0, until) || !PQconsumeInput(conn)) {
            return false;
        }
    }
}

/* NULL: the end of the results of a statement, or *failure. */
static PGresult *next_result(pg_session *session, apr_time_t until, pg_failure *failure)
{
    failure->rc = SCIM_KV_OK;
    if (session->lost) {
        fail_lost(session, failure, NULL);
        return NULL;
    }
    if (!pump(session, until)) {
        if (PQstatus(session->conn) == CONNECTION_BAD) {
            fail_lost(session, failure, PQerrorMessage(session->conn));
        } else {
            fail_lost(session, failure, "the server does not answer");
            failure->silent = true;
        }
        return NULL;
    }
    return PQgetResult(session->conn);
}

/* Up to the next synchronisation. */
static bool skip(pg_session *session, apr_time_t until, pg_failure *failure)
{
    pg_failure failed = {.rc = SCIM_KV_OK};
    int nothing = 0;

    for (;;) {
        PGresult *result = next_result(session, until, failure);
        ExecStatusType status;

        if (!result) {
            if (failure->rc != SCIM_KV_OK) {
                return false;
            }
            /* Between two statements there is one. */
            if (++nothing > 1) {
                fail_lost(session, failure, NULL);
                return false;
            }
            continue;
        }
        nothing = 0;
        status = PQresultStatus(result);
        /* A statement by itself is committed after its result has come. */
        if (status == PGRES_FATAL_ERROR) {
            fail_result(session, result, failure);
            failed = *failure;
        }
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC) {
            *failure = failed;
            return failed.rc == SCIM_KV_OK;
        }
    }
}

static bool settle_debts(pg_session *session, apr_time_t until, pg_failure *failure)
{
    while (session->owed) {
        if (!skip(session, until, failure) && session->lost) {
            return false;
        }
        session->owed--;
    }
    return true;
}

PGresult *pg_result(pg_session *session, apr_time_t until, pg_failure *failure)
{
    PGresult *result;
    ExecStatusType status;

    if (!settle_debts(session, until, failure)) {
        return NULL;
    }
    result = next_result(session, until, failure);
    if (!result && failure->rc == SCIM_KV_OK) {
        result = next_result(session, until, failure);
    }
    if (!result) {
        if (failure->rc == SCIM_KV_OK) {
            fail_lost(session, failure, NULL);
        }
        return NULL;
    }
    status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        return result;
    }
    fail_result(session, result, failure);
    PQclear(result);
    return NULL;
}

bool pg_finish(pg_session *session, apr_time_t until, pg_failure *failure)
{
    return settle_debts(session, until, failure) && skip(session, until, failure);
}

void pg_send(pg_session *session, pg_statement statement, int count, const scim_slice *params)
{
    const char *values[3];
    int lengths[3], formats[3];
    char name[8];

    for (int i = 0; i < count; i++) {
        values[i] = params[i].len ? params[i].data : "";
        lengths[i] = (int)params[i].len;
        formats[i] = 1;
    }
    apr_snprintf(name, sizeof(name), "s%d", (int)statement);
    if (!session->lost &&
        !PQsendQueryPrepared(session->conn, name, count, values, lengths, formats, 1)) {
        session->lost = true;
    }
}

void pg_sync(pg_session *session)
{
    session->warned = false;
    if (!session->lost && !PQpipelineSync(session->conn)) {
        session->lost = true;
    }
}

void pg_forget(pg_session *session)
{
    pg_sync(session);
    session->owed++;
    if (!session->lost && PQflush(session->conn) < 0) {
        session->lost = true;
    }
}

scim_slice pg_bytes(const PGresult *result, int row, int column)
{
    return (scim_slice){PQgetvalue(result, row, column),
                        (apr_size_t)PQgetlength(result, row, column)};
}

apr_int64_t pg_number(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? 0
                                            : scim_kv_counter(pg_bytes(result, row, column));
}

/*
 * Connecting
 */

/* Such as a commit that did not wait for the standby. */
static void note_warning(void *arg, const PGresult *notice)
{
    pg_session *session = arg;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

    session->warned = session->warned || (severity && !strcmp(severity, "WARNING"));
}

static bool clear_one(pg_session *session, apr_time_t until, pg_failure *failure)
{
    PGresult *result = pg_result(session, until, failure);

    PQclear(result);
    return result;
}

/* The answers to count statements, and the end of them; of several failures the first. */
static bool answers(pg_session *session, int count, apr_time_t until, pg_failure *failure)
{
    pg_failure other;

    while (count-- > 0) {
        if (!clear_one(session, until, failure)) {
            if (!session->lost) {
                pg_finish(session, until, &other);
            }
            return false;
        }
    }
    return pg_finish(session, until, failure);
}

static bool send_text(pg_session *session, const char *text, const char *param)
{
    return PQsendQueryParams(session->conn, text, param ? 1 : 0, NULL, &param, NULL, NULL, 1);
}

/* Two who do so at once may both find no table: the second is refused, and finds it when
 * it tries again. */
static bool make_tables(pg_session *session, apr_time_t until, pg_failure *failure)
{
    int count = (int)(sizeof(tables) / sizeof(tables[0]));

    for (int tries = 0; tries < 3; tries++) {
        for (int i = 0; i < count; i++) {
            if (!send_text(session, tables[i], NULL)) {
                fail_lost(session, failure, PQerrorMessage(session->conn));
                return false;
            }
        }
        pg_sync(session);
        if (answers(session, count, until, failure)) {
            return true;
        }
        if (session->lost || !failure->again) {
            break;
        }
    }
    return false;
}

static bool prepare(pg_session *session, pg_statement from, pg_statement to, apr_time_t until,
                    pg_failure *failure)
{
    char name[8];

    for (int i = (int)from; i < (int)to; i++) {
        apr_snprintf(name, sizeof(name), "s%d", i);
        if (!PQsendPrepare(session->conn, name, statements[i], 0, NULL)) {
            fail_lost(session, failure, PQerrorMessage(session->conn));
            return false;
        }
    }
    pg_sync(session);
    return answers(session, (int)(to - from), until, failure);
}

static bool set_up(pg_session *session, const pg_target *target, bool create,
                   pg_failure *failure)
{
    apr_time_t until = scim_time_steady() + target->timeout;
    char limit[24];

    if (!PQenterPipelineMode(session->conn) || PQsetnonblocking(session->conn, 1)) {
        fail_lost(session, failure, PQerrorMessage(session->conn));
        return false;
    }
    PQsetNoticeReceiver(session->conn, note_warning, session);
    apr_snprintf(limit, sizeof(limit), "%" APR_TIME_T_FMT, target->timeout / 1000);
    if (!send_text(session, settings, limit)) {
        fail_lost(session, failure, PQerrorMessage(session->conn));
        return false;
    }
    pg_sync(session);
    if (!answers(session, 1, until, failure) ||
        (create && !make_tables(session, until, failure)) ||
        !prepare(session, 0, PG_STATE, until, failure) ||
        !prepare(session, PG_STATE + 1, PG_STATEMENTS, until, failure)) {
        return false;
    }
    /* Servers that only speak PostgreSQL's protocol may lack it. */
    session->states = prepare(session, PG_STATE, PG_STATE + 1, until, failure);
    return !session->lost;
}

bool pg_connect(pg_session *session, const pg_target *target, bool create, pg_failure *failure)
{
    pg_session made = {.fresh = true};

    made.conn = PQconnectdbParams(target->keywords, target->values, 0);
    if (PQstatus(made.conn) != CONNECTION_OK) {
        *failure = (pg_failure){.rc = SCIM_KV_BUSY, .lost = true};
        tell(failure, PQerrorMessage(made.conn));
        PQfinish(made.conn);
        return false;
    }
    if (!set_up(&made, target, create, failure)) {
        PQfinish(made.conn);
        return false;
    }
    *session = made;
    PQsetNoticeReceiver(session->conn, note_warning, session);
    return true;
}

void pg_disconnect(pg_session *session)
{
    PQfinish(session->conn);
    *session = (pg_session){.conn = NULL};
}
