/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgreSQL engine: one table in the order of its keys, which any number of
 * machines share.
 *
 *   - A view is a transaction that reads one state (REPEATABLE READ, READ ONLY): it is in
 *     nobody's way, and cannot fail for what others do.
 *   - An update is SERIALIZABLE.  What it writes stays with it until its function has
 *     returned, and is sent with COMMIT, in one round trip, in the order of the keys, so
 *     that no two wait for each other in a circle.  Where it cannot be put in a line with
 *     what others did meanwhile, its function runs again; from the third time on nobody
 *     else may write.  So it is for scim_kv_update_exclusive, whose function runs once.
 *   - With all that it writes goes a mark.  When the answer to COMMIT does not come, the
 *     mark is written once more, by another session: either it is there already, and all
 *     is done, or now it never will be done, and the function may run again.
 *   - What is added to a counter is a row of its own, which is in nobody's way, until
 *     somebody adds them up.
 *   - A key that was asked for is not asked for again.  A transaction begins with its first
 *     question, in the same round trip, and nobody waits for the end of one that has
 *     nothing to commit.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <apr_reslist.h>
#include <apr_strings.h>
#include <xxhash.h>

#include "scim/heap.h"

#include "pgsql.h"

#define DEFAULT_SESSIONS 16
#define IDLE_TIME apr_time_from_sec(60)

#define MAX_TRIES 8
#define FREE_TRIES 2 /* before others are kept away */
#define BACKOFF_LEAST apr_time_from_msec(5)
#define BACKOFF_MOST apr_time_from_msec(200)

/* While the server is away: so often somebody looks. */
#define AWAY apr_time_from_msec(500)

/* Rows that a cursor fetches: at first few, since most look at one or two. */
#define FETCH_FIRST 4
#define FETCH_GROWTH 8
#define FETCH_MOST 512
#define FETCH_AHEAD 32

/* So many amounts are added up when somebody comes across them. */
#define FOLD 64
#define HOUSE_INTERVAL apr_time_from_sec(60)

/* Fewer than so many rows are counted, not estimated. */
#define EXACT_ENTRIES 100000

/* Longer than the server itself waits, so that it is the server who says why. */
#define LATER apr_time_from_sec(1)

#define MARK 16
#define EXISTS_STATE "23505" /* unique_violation */

typedef struct pgsql_kv {
    scim_kv base;
    pg_target target;
    apr_pool_t *sessions_pool;
    apr_reslist_t *sessions; /* of pg_session */
    atomic_int taken;        /* of those */
    int max_sessions;
    pid_t pid; /* of the process that opened it */
    apr_interval_time_t timeout;
    bool read_only;
    pthread_mutex_t writer; /* of those whom others were in the way of */
    atomic_ullong updates, commits;
    atomic_uint views;
    atomic_llong kept;      /* house, when */
    atomic_bool many_parts; /* somebody has come across a counter of many */
    atomic_bool folding, weak;
    pthread_mutex_t lock; /* guards the rest */
    struct habit *habits;
    char *seen; /* the last state */
    apr_uint64_t state;
    apr_time_t away; /* since when; 0: it is not */
    char fault[512];
} pgsql_kv;

typedef enum work_kind {
    WORK_VIEW,
    WORK_UPDATE,
    WORK_ALONE,    /* an update besides which nobody else writes */
    WORK_EXCLUSIVE /* likewise, by its own wish */
} work_kind;

/* A transaction of the server. */
typedef struct work {
    pgsql_kv *kv;
    work_kind kind;
    pg_session *session; /* NULL: nothing was asked so far */
    bool begun;
    apr_uint64_t state, epoch;
    apr_time_t until;
    pg_failure failure; /* the first */
} work;

typedef struct pgsql_cursor {
    scim_kv_cursor base;
    struct pgsql_cursor *next;
    enum { UNPLACED, AT_KEY, BEFORE_KEY } place;
    scim_slice key;
    scim_slice within; /* a prefix */
    scim_slice passed; /* by the move under way: a row that this transaction has deleted */
    PGresult *fetched; /* rows of the store behind key, or before it */
    int at;            /* the next one of them */
    bool lent;         /* by what was fetched ahead */
    bool backward;
    bool all; /* there are none behind them */
    int size; /* to be fetched next */
} pgsql_cursor;

/* What a cursor will fetch, fetched before. */
typedef struct ahead {
    struct ahead *next;
    scim_slice key;
    apr_size_t prefix;
    PGresult *fetched;
    int size;
} ahead;

typedef struct pgsql_txn {
    scim_kv_txn base;
    struct pgsql_txn *outer; /* of this thread */
    work *work;              /* that of outer, where it is of the same store */
    pg_rows rows;
    pgsql_cursor *cursors;
    ahead *ahead;
    bool at_end;       /* what it wrote last is behind all that the store has */
    scim_kv_rc failed; /* the first write that did */
    int asked;         /* rows, one by one */
    scim_slice first;  /* of those */
} pgsql_txn;

static _Thread_local pgsql_txn *current;

/* What a view that begins with a key asked for next, when that was last seen: as a rule the
 * tenant of a token. */
#define HABITS 256
#define HABIT_KEY 64

typedef struct habit {
    apr_size_t first_len, next_len;
    unsigned char first[HABIT_KEY], next[HABIT_KEY];
} habit;

static pgsql_kv *store_of(scim_kv *kv)
{
    return (pgsql_kv *)kv;
}

static pgsql_txn *txn_of(scim_kv_txn *txn)
{
    return (pgsql_txn *)txn;
}

/*
 * Sessions
 */

static void note_fault(pgsql_kv *kv, const char *text, bool away)
{
    pthread_mutex_lock(&kv->lock);
    apr_snprintf(kv->fault, sizeof(kv->fault), "%s: %s", kv->target.name, text);
    if (away) {
        kv->away = scim_time_steady();
    }
    pthread_mutex_unlock(&kv->lock);
}

/* Whether somebody has just found that the server is away: who comes meanwhile does not
 * wait for the same answer. */
static bool just_away(pgsql_kv *kv)
{
    apr_time_t now = scim_time_steady();
    bool away;

    pthread_mutex_lock(&kv->lock);
    away = kv->away && kv->away <= now && now - kv->away < AWAY;
    pthread_mutex_unlock(&kv->lock);
    return away;
}

/* What is behind another session may be another server: its states are other ones. */
static void note_connected(pgsql_kv *kv)
{
    pthread_mutex_lock(&kv->lock);
    kv->away = 0;
    kv->fault[0] = '\0';
    free(kv->seen);
    kv->seen = NULL;
    pthread_mutex_unlock(&kv->lock);
}

static bool connect_session(pgsql_kv *kv, pg_session *session, bool create, pg_failure *failure)
{
    if (!create && just_away(kv)) {
        *failure = (pg_failure){.rc = SCIM_KV_BUSY, .lost = true};
        apr_cpystrn(failure->text, "the server was not to be reached just now",
                    sizeof(failure->text));
        return false;
    }
    if (!pg_connect(session, &kv->target, create, failure)) {
        note_fault(kv, failure->text, true);
        return false;
    }
    note_connected(kv);
    return true;
}

/* Only a place for one: connecting takes its time, and others wait while the list makes
 * one. */
static apr_status_t make_session(void **out, void *params, apr_pool_t *pool)
{
    *out = scim_heap_checked(calloc(1, sizeof(pg_session)));
    return APR_SUCCESS;
}

static apr_status_t drop_session(void *data, void *params, apr_pool_t *pool)
{
    pg_session *session = data;
    const pgsql_kv *kv = params;

    /* To end it would end that of the process which this one was forked from. */
    if (session->conn && kv->pid == getpid()) {
        pg_disconnect(session);
    }
    free(session);
    return APR_SUCCESS;
}

/* A child of prefork ends amid a request, and its sessions with it: the list would have it
 * abort for that. */
static void end_sessions(pgsql_kv *kv)
{
    if (!atomic_load(&kv->taken)) {
        apr_pool_destroy(kv->sessions_pool);
    }
}

static apr_status_t make_sessions(pgsql_kv *kv)
{
    apr_status_t status =
        apr_pool_create_unmanaged_ex(&kv->sessions_pool, scim_heap_abort, NULL);

    if (status == APR_SUCCESS) {
        status = apr_reslist_create(&kv->sessions, 0, 1, kv->max_sessions, IDLE_TIME,
                                    make_session, drop_session, kv, kv->sessions_pool);
    }
    if (status == APR_SUCCESS) {
        apr_reslist_timeout_set(kv->sessions, kv->timeout);
    }
    return status;
}

static bool take_place(pgsql_kv *kv, pg_session **out)
{
    void *taken;

    if (apr_reslist_acquire(kv->sessions, &taken) != APR_SUCCESS) {
        return false;
    }
    atomic_fetch_add(&kv->taken, 1);
    *out = taken;
    return true;
}

static void give_place(pgsql_kv *kv, pg_session *session)
{
    apr_reslist_release(kv->sessions, session);
    atomic_fetch_sub(&kv->taken, 1);
}

static scim_kv_rc fail_work(work *w, const pg_failure *failure)
{
    if (w->failure.rc == SCIM_KV_OK) {
        w->failure = *failure;
        if (failure->rc != SCIM_KV_CONFLICT && failure->text[0]) {
            note_fault(w->kv, failure->text, false);
        }
    }
    return failure->rc;
}

static scim_kv_rc take_session(work *w)
{
    pg_failure failure = {.rc = SCIM_KV_BUSY, .text = "all sessions are in use"};

    if (w->session) {
        return SCIM_KV_OK;
    }
    if (!take_place(w->kv, &w->session)) {
        return fail_work(w, &failure);
    }
    w->session->fresh = false;
    if (!w->session->conn && !connect_session(w->kv, w->session, false, &failure)) {
        give_place(w->kv, w->session);
        w->session = NULL;
        return fail_work(w, &failure);
    }
    return SCIM_KV_OK;
}

static void give_back_session(work *w)
{
    if (w->session) {
        if (w->session->lost) {
            pg_disconnect(w->session);
        }
        give_place(w->kv, w->session);
        w->session = NULL;
    }
}

/*
 * Transactions of the server
 */

static int send_begin(work *w)
{
    bool view = w->kind == WORK_VIEW;
    bool weak = atomic_load(&w->kv->weak);

    pg_send(w->session, view ? PG_BEGIN_VIEW : weak ? PG_BEGIN_WEAK : PG_BEGIN_UPDATE, 0, NULL);
    if (w->kind >= WORK_ALONE) {
        pg_send(w->session, PG_LOCK, 0, NULL);
    } else if (view && w->session->states) {
        pg_send(w->session, PG_STATE, 0, NULL);
    } else {
        pg_send(w->session, PG_EPOCH, 0, NULL);
        return 2;
    }
    pg_send(w->session, PG_EPOCH, 0, NULL);
    return 3;
}

/* The same number as long as the same is seen. */
static apr_uint64_t number_state(pgsql_kv *kv, scim_slice text)
{
    apr_uint64_t number;

    pthread_mutex_lock(&kv->lock);
    if (!kv->seen || strlen(kv->seen) != text.len || memcmp(kv->seen, text.data, text.len)) {
        free(kv->seen);
        kv->seen = scim_heap_checked(strndup(text.data, text.len));
        kv->state++;
    }
    number = kv->state;
    pthread_mutex_unlock(&kv->lock);
    return number;
}

static apr_uint64_t state_of_its_own(pgsql_kv *kv)
{
    apr_uint64_t number;

    pthread_mutex_lock(&kv->lock);
    free(kv->seen);
    kv->seen = NULL;
    number = ++kv->state;
    pthread_mutex_unlock(&kv->lock);
    return number;
}

/* The answers to what send_begin has sent. */
static bool read_begin(work *w, int count, pg_failure *failure)
{
    PGresult *result;

    for (int i = 0; i < count; i++) {
        result = pg_result(w->session, w->until, failure);
        if (!result) {
            return false;
        }
        /* From here on there is something to be ended. */
        w->begun = true;
        if (i == count - 1 && PQntuples(result)) {
            w->epoch = (apr_uint64_t)pg_number(result, 0, 0);
        } else if (i && w->kind == WORK_VIEW) {
            w->state = number_state(w->kv, pg_bytes(result, 0, 0));
        }
        PQclear(result);
    }
    return true;
}

typedef struct question {
    pg_statement statement;
    int count;
    const scim_slice *params;
    PGresult *answer; /* the caller's, where all were answered */
} question;

static void clear_answers(question *questions, int count)
{
    for (int i = 0; i < count; i++) {
        PQclear(questions[i].answer);
        questions[i].answer = NULL;
    }
}

/* All in one round trip, and the begin of the transaction, where there was none. */
static bool exchange(work *w, question *questions, int count, pg_failure *failure)
{
    int begins = w->begun ? 0 : send_begin(w);
    pg_failure other;
    bool done;

    w->until = scim_time_steady() + w->kv->timeout + LATER;

    for (int i = 0; i < count; i++) {
        pg_send(w->session, questions[i].statement, questions[i].count, questions[i].params);
        questions[i].answer = NULL;
    }
    pg_sync(w->session);
    done = read_begin(w, begins, failure);
    for (int i = 0; done && i < count; i++) {
        questions[i].answer = pg_result(w->session, w->until, failure);
        done = questions[i].answer;
    }
    if (done) {
        done = pg_finish(w->session, w->until, failure);
    } else if (!w->session->lost) {
        pg_finish(w->session, w->until, &other);
    }
    if (!done) {
        clear_answers(questions, count);
    }
    return done;
}

/* A session that died while nobody used it is replaced: nothing is lost with it. */
static scim_kv_rc ask_all(work *w, question *questions, int count)
{
    pg_failure failure;
    bool begun = w->begun;

    for (int tries = 0;; tries++) {
        if (w->failure.rc != SCIM_KV_OK || take_session(w) != SCIM_KV_OK || !w->session) {
            return w->failure.rc;
        }
        if (exchange(w, questions, count, &failure)) {
            return SCIM_KV_OK;
        }
        if (begun || !w->session->lost || w->session->fresh || failure.silent || tries) {
            return fail_work(w, &failure);
        }
        w->begun = false;
        pg_disconnect(w->session);
        if (!connect_session(w->kv, w->session, false, &failure)) {
            return fail_work(w, &failure);
        }
    }
}

static scim_kv_rc ask_for(work *w, pg_statement statement, int count, const scim_slice *params,
                          PGresult **out)
{
    question asked = {.statement = statement, .count = count, .params = params};
    scim_kv_rc rc = ask_all(w, &asked, 1);

    *out = asked.answer;
    return rc;
}

static scim_kv_rc begin_now(work *w)
{
    return w->begun ? SCIM_KV_OK : ask_all(w, NULL, 0);
}

/* Without a commit. */
static void end_work(work *w)
{
    if (w->session && w->begun && !w->session->lost) {
        pg_send(w->session, PG_ROLLBACK, 0, NULL);
        pg_forget(w->session);
    }
    give_back_session(w);
}

/*
 * Opening
 */

static const char *explain(pgsql_kv *kv, const pg_failure *failure, apr_pool_t *pool)
{
    if (failure->rc == SCIM_KV_NOTFOUND) {
        return apr_psprintf(pool,
                            "%s has no mod_scim store in the schema that its user uses: run "
                            "\"scimctl init\" for it (%s)",
                            kv->target.name, failure->text);
    }
    return apr_psprintf(pool, "%s: %s", kv->target.name, failure->text);
}

static scim_kv_rc try_to_connect(pgsql_kv *kv, bool create, const char **why, apr_pool_t *pool)
{
    pg_session *session;
    pg_failure failure;
    scim_kv_rc rc = SCIM_KV_OK;

    if (!take_place(kv, &session)) {
        return SCIM_KV_BUSY;
    }
    /* Where the tables are there already, the right to make any is not asked for. */
    if (!connect_session(kv, session, false, &failure) &&
        (!create || failure.rc != SCIM_KV_NOTFOUND ||
         !connect_session(kv, session, true, &failure))) {
        *why = explain(kv, &failure, pool);
        rc = failure.rc;
    }
    give_place(kv, session);
    return rc;
}

static scim_kv_rc pgsql_open(scim_kv **out, const char *where, const scim_kv_options *options,
                             const char **why, apr_pool_t *pool)
{
    pgsql_kv *kv = apr_pcalloc(pool, sizeof(*kv));
    scim_kv_rc rc;

    kv->timeout = options->timeout ? options->timeout : SCIM_KV_DEFAULT_TIMEOUT;
    kv->read_only = options->read_only;
    kv->pid = getpid();
    kv->habits = apr_pcalloc(pool, HABITS * sizeof(*kv->habits));
    kv->max_sessions = options->connections ? (int)options->connections : DEFAULT_SESSIONS;
    rc = pg_target_parse(&kv->target, where, kv->timeout, why, pool);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (make_sessions(kv) != APR_SUCCESS) {
        return SCIM_KV_IO;
    }
    scim_kv_lock_init(&kv->writer);
    pthread_mutex_init(&kv->lock, NULL);
    rc = try_to_connect(kv, options->create && !kv->read_only, why, pool);
    if (rc != SCIM_KV_OK) {
        end_sessions(kv);
        return rc;
    }
    *out = &kv->base;
    return SCIM_KV_OK;
}

static void pgsql_close(scim_kv *base)
{
    pgsql_kv *kv = store_of(base);

    end_sessions(kv);
    free(kv->seen);
    kv->seen = NULL;
    pthread_mutex_destroy(&kv->lock);
    pthread_mutex_destroy(&kv->writer);
}

/*
 * Reading
 */

static void pgsql_expect(scim_kv_txn *base, const scim_kv_wish *wishes, int count);

static scim_slice number_slice(scim_kv_txn *txn, apr_int64_t number)
{
    unsigned char *bytes = scim_kv_scratch(txn, SCIM_KV_COUNTER);

    scim_kv_encode_counter(bytes, number);
    return (scim_slice){bytes, SCIM_KV_COUNTER};
}

/* Columns: the value, the sum of what was added to it, how many. */
static scim_kv_rc note_stored(pgsql_txn *txn, pg_row *row, const PGresult *result, int at,
                              int column)
{
    scim_slice value = pg_bytes(result, at, column);
    apr_int64_t parts = pg_number(result, at, column + 2);
    apr_int64_t sum;

    row->known = row->present = true;
    row->added = parts > 0;
    if (!parts) {
        row->stored = pg_copy(&txn->base, value);
        return SCIM_KV_OK;
    }
    if (parts >= FOLD) {
        atomic_store(&txn->work->kv->many_parts, true);
    }
    if (__builtin_add_overflow(scim_kv_counter(value), pg_number(result, at, column + 1),
                               &sum)) {
        return SCIM_KV_CORRUPT;
    }
    row->stored = number_slice(&txn->base, sum);
    return SCIM_KV_OK;
}

static habit *habit_of(pgsql_kv *kv, scim_slice key)
{
    return &kv->habits[XXH3_64bits(key.data, key.len) % HABITS];
}

static bool has_habit(const habit *h, scim_slice key)
{
    return h->first_len == key.len && !memcmp(h->first, key.data, key.len);
}

/* A view's first row: that which is asked for next, as a rule, comes with it. */
static void recall_habit(pgsql_txn *txn, scim_slice key)
{
    pgsql_kv *kv = txn->work->kv;
    unsigned char next[HABIT_KEY];
    scim_kv_wish wishes[2] = {{.key = key}, {.key = {next, 0}}};

    pthread_mutex_lock(&kv->lock);
    if (has_habit(habit_of(kv, key), key)) {
        wishes[1].key.len = habit_of(kv, key)->next_len;
        memcpy(next, habit_of(kv, key)->next, HABIT_KEY);
    }
    pthread_mutex_unlock(&kv->lock);
    if (wishes[1].key.len) {
        pgsql_expect(&txn->base, wishes, 2);
    }
}

static void note_habit(pgsql_txn *txn, scim_slice next)
{
    pgsql_kv *kv = txn->work->kv;
    habit *h;

    if (txn->first.len > HABIT_KEY || next.len > HABIT_KEY) {
        return;
    }
    pthread_mutex_lock(&kv->lock);
    h = habit_of(kv, txn->first);
    h->first_len = txn->first.len;
    h->next_len = next.len;
    memcpy(h->first, txn->first.data, txn->first.len);
    memcpy(h->next, next.data, next.len);
    pthread_mutex_unlock(&kv->lock);
}

static void watch_habits(pgsql_txn *txn, const pg_row *row)
{
    if (txn->asked == 0 && !txn->work->begun && txn->work->kind == WORK_VIEW) {
        txn->first = row->key;
        recall_habit(txn, row->key);
    } else if (txn->asked == 1 && txn->first.len) {
        note_habit(txn, row->key);
    }
    txn->asked++;
}

static scim_kv_rc know(pgsql_txn *txn, pg_row *row)
{
    PGresult *result;
    scim_kv_rc rc = SCIM_KV_OK;

    if (!row->known) {
        watch_habits(txn, row);
    }
    if (row->known) {
        return SCIM_KV_OK;
    }
    rc = ask_for(txn->work, PG_GET, 1, &row->key, &result);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    row->known = true;
    if (PQntuples(result)) {
        rc = note_stored(txn, row, result, 0, 1);
    }
    PQclear(result);
    return rc;
}

/* What the transaction sees of a row that is known, or was put or deleted. */
static scim_kv_rc show(pgsql_txn *txn, const pg_row *row, scim_slice *value)
{
    apr_int64_t number;

    switch (row->write) {
    case PG_ROW_PUT:
        *value = row->put;
        return SCIM_KV_OK;
    case PG_ROW_DELETE:
        return SCIM_KV_NOTFOUND;
    case PG_ROW_ADD:
        number = row->present ? scim_kv_counter(row->stored) : 0;
        if ((row->present && row->stored.len != SCIM_KV_COUNTER) ||
            __builtin_add_overflow(number, row->amount, &number)) {
            return SCIM_KV_CORRUPT;
        }
        *value = number_slice(&txn->base, number);
        return SCIM_KV_OK;
    case PG_ROW_READ:
        break;
    }
    *value = row->stored;
    return row->present ? SCIM_KV_OK : SCIM_KV_NOTFOUND;
}

static scim_kv_rc pgsql_get(scim_kv_txn *base, scim_slice key, scim_slice *value)
{
    pgsql_txn *txn = txn_of(base);
    pg_row *row = pg_rows_make(&txn->rows, base, key);
    scim_kv_rc rc = SCIM_KV_OK;

    if (row->write == PG_ROW_READ || row->write == PG_ROW_ADD) {
        rc = know(txn, row);
    }
    return rc == SCIM_KV_OK ? show(txn, row, value) : rc;
}

static apr_uint64_t pgsql_state(scim_kv_txn *base)
{
    work *w = txn_of(base)->work;

    if (w->kind == WORK_VIEW && !w->state) {
        begin_now(w);
    }
    if (!w->state) {
        w->state = state_of_its_own(w->kv);
    }
    return w->state;
}

static apr_uint64_t pgsql_epoch(scim_kv_txn *base)
{
    work *w = txn_of(base)->work;

    begin_now(w);
    return w->epoch;
}

/*
 * Writing: nothing leaves before the end
 */

static scim_kv_rc write_failed(pgsql_txn *txn, scim_kv_rc rc)
{
    if (txn->failed == SCIM_KV_OK) {
        txn->failed = rc;
    }
    return rc;
}

static scim_kv_rc pgsql_put(scim_kv_txn *base, scim_slice key, scim_slice value,
                            bool no_overwrite)
{
    pgsql_txn *txn = txn_of(base);
    pg_row *row = pg_rows_make(&txn->rows, base, key);
    bool bold = no_overwrite && base->bold && !row->known && row->write == PG_ROW_READ;
    scim_slice there;
    scim_kv_rc rc;

    if (no_overwrite && !bold) {
        rc = pgsql_get(base, key, &there);
        if (rc != SCIM_KV_NOTFOUND) {
            return rc == SCIM_KV_OK ? SCIM_KV_EXISTS : write_failed(txn, rc);
        }
    }
    row->put = pg_copy(base, value);
    row->fresh = bold || (row->fresh && row->write == PG_ROW_PUT);
    row->clear = row->known ? row->added : value.len == SCIM_KV_COUNTER && !row->fresh;
    pg_rows_write(&txn->rows, row, PG_ROW_PUT);
    return SCIM_KV_OK;
}

/* What was put in the belief that there is nothing: to be deleted it must be so. */
static scim_kv_rc make_sure(pgsql_txn *txn, pg_row *row)
{
    const pg_failure found = {.rc = SCIM_KV_CONFLICT, .again = true, .state = EXISTS_STATE};
    scim_kv_rc rc = know(txn, row);

    row->fresh = false;
    return rc == SCIM_KV_OK && row->present ? fail_work(txn->work, &found) : rc;
}

static scim_kv_rc pgsql_del(scim_kv_txn *base, scim_slice key)
{
    pgsql_txn *txn = txn_of(base);
    pg_row *row = pg_rows_find(&txn->rows, key);
    scim_kv_rc rc = row && row->fresh ? make_sure(txn, row) : SCIM_KV_OK;
    scim_slice there;

    if (rc == SCIM_KV_OK) {
        rc = pgsql_get(base, key, &there);
    }

    if (rc != SCIM_KV_OK) {
        return rc == SCIM_KV_NOTFOUND ? rc : write_failed(txn, rc);
    }
    row = pg_rows_find(&txn->rows, key);
    row->clear = row->clear || row->added;
    pg_rows_write(&txn->rows, row, PG_ROW_DELETE);
    return SCIM_KV_OK;
}

/* A counter that this transaction has put, or deleted. */
static scim_kv_rc add_here(pgsql_txn *txn, pg_row *row, apr_int64_t amount, apr_int64_t *sum)
{
    bool there = row->write == PG_ROW_PUT;
    apr_int64_t number = there ? scim_kv_counter(row->put) : 0;

    if (there && row->put.len != SCIM_KV_COUNTER) {
        return SCIM_KV_CORRUPT;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        return SCIM_KV_INVALID;
    }
    row->put = number_slice(&txn->base, number);
    pg_rows_write(&txn->rows, row, PG_ROW_PUT);
    *sum = number;
    return SCIM_KV_OK;
}

static scim_kv_rc add_to_stored(pgsql_txn *txn, pg_row *row, apr_int64_t amount,
                                apr_int64_t *sum)
{
    apr_int64_t total = row->write == PG_ROW_ADD ? row->amount : 0;
    apr_int64_t stored = row->known && row->present ? scim_kv_counter(row->stored) : 0;

    if (row->known && row->present && row->stored.len != SCIM_KV_COUNTER) {
        return SCIM_KV_CORRUPT;
    }
    if (__builtin_add_overflow(total, amount, &total) ||
        __builtin_add_overflow(stored, total, &stored)) {
        return SCIM_KV_INVALID;
    }
    row->amount = total;
    pg_rows_write(&txn->rows, row, PG_ROW_ADD);
    *sum = stored;
    return SCIM_KV_OK;
}

/* Whom the sum does not interest is in nobody's way, and so learns neither of a sum that
 * does not fit nor of a value that is no counter: who reads it does. */
static scim_kv_rc pgsql_add(scim_kv_txn *base, scim_slice key, apr_int64_t amount,
                            apr_int64_t *sum)
{
    pgsql_txn *txn = txn_of(base);
    pg_row *row = pg_rows_make(&txn->rows, base, key);
    apr_int64_t ignored;
    scim_kv_rc rc;

    if (row->write == PG_ROW_PUT || row->write == PG_ROW_DELETE) {
        return add_here(txn, row, amount, sum ? sum : &ignored);
    }
    rc = sum ? know(txn, row) : SCIM_KV_OK;
    if (rc != SCIM_KV_OK) {
        return write_failed(txn, rc);
    }
    return add_to_stored(txn, row, amount, sum ? sum : &ignored);
}

/*
 * Cursors: what the store has, fetched some rows at a time, and what the transaction has
 * written, in one order
 */

static scim_kv_cursor *pgsql_cursor_open(scim_kv_txn *base)
{
    pgsql_txn *txn = txn_of(base);
    pgsql_cursor *cursor = scim_kv_scratch(base, sizeof(*cursor));

    *cursor = (pgsql_cursor){
        .base = {.txn = base}, .next = txn->cursors, .place = UNPLACED, .size = FETCH_FIRST};
    txn->cursors = cursor;
    return &cursor->base;
}

static void pgsql_within(scim_kv_cursor *base, scim_slice prefix)
{
    ((pgsql_cursor *)base)->within = pg_copy(base->txn, prefix);
}

static void forget_fetched(pgsql_cursor *cursor)
{
    if (!cursor->lent) {
        PQclear(cursor->fetched);
    }
    cursor->fetched = NULL;
    cursor->lent = cursor->all = false;
    cursor->at = 0;
}

static void pgsql_cursor_close(scim_kv_cursor *base)
{
    forget_fetched((pgsql_cursor *)base);
}

static void close_cursors(pgsql_txn *txn)
{
    for (pgsql_cursor *cursor = txn->cursors; cursor; cursor = cursor->next) {
        forget_fetched(cursor);
    }
    txn->cursors = NULL;
    for (ahead *one = txn->ahead; one; one = one->next) {
        PQclear(one->fetched);
    }
    txn->ahead = NULL;
}

static scim_slice fetched_key(const pgsql_cursor *cursor)
{
    return pg_bytes(cursor->fetched, cursor->at, 0);
}

/* What the cursor has come past in what it has written itself. */
static void skip_passed(pgsql_cursor *cursor)
{
    while (cursor->at < PQntuples(cursor->fetched)) {
        int order = scim_kv_compare(fetched_key(cursor), cursor->key);

        if (cursor->place == UNPLACED || (cursor->backward ? order < 0 : order > 0) ||
            (order == 0 && !cursor->backward && cursor->place == BEFORE_KEY)) {
            break;
        }
        cursor->at++;
    }
}

static const ahead *find_ahead(const pgsql_txn *txn, scim_slice key, apr_size_t prefix)
{
    const ahead *one = txn->ahead;

    while (one && (one->prefix != prefix || scim_kv_compare(one->key, key))) {
        one = one->next;
    }
    return one;
}

/* Whether somebody has said that the cursor would come here. */
static bool borrow_ahead(pgsql_cursor *cursor)
{
    const ahead *one =
        cursor->place == BEFORE_KEY && !cursor->backward && !cursor->passed.len
            ? find_ahead(txn_of(cursor->base.txn), cursor->key, cursor->within.len)
            : NULL;

    if (one) {
        cursor->fetched = one->fetched;
        cursor->lent = true;
        cursor->size = one->size * FETCH_GROWTH;
        cursor->all = PQntuples(one->fetched) < one->size;
    }
    return one;
}

/* What is behind all keys. */
static const unsigned char no_end[SCIM_KV_MAX_KEY + 1] = {[0 ... SCIM_KV_MAX_KEY] = 0xff};

/* The end of all keys with a prefix. */
static scim_slice end_of(scim_kv_txn *txn, scim_slice prefix)
{
    unsigned char *end = scim_kv_scratch(txn, prefix.len + 1);
    apr_size_t len = prefix.len;

    memcpy(end, prefix.len ? prefix.data : "", prefix.len);
    while (len && end[len - 1] == 0xff) {
        len--;
    }
    if (!len) {
        return (scim_slice){no_end, sizeof(no_end)};
    }
    end[len - 1]++;
    return (scim_slice){end, len};
}

static scim_kv_rc fetch(pgsql_cursor *cursor)
{
    scim_kv_txn *txn = cursor->base.txn;
    unsigned char limit[SCIM_KV_COUNTER];
    bool nowhere = cursor->place == UNPLACED;
    scim_slice params[3] = {cursor->key, {limit, sizeof(limit)}, cursor->within};
    pg_statement statement = cursor->backward          ? PG_BEFORE
                             : cursor->place == AT_KEY ? PG_AFTER
                                                       : PG_FROM;
    scim_kv_rc rc;

    forget_fetched(cursor);
    if (borrow_ahead(cursor)) {
        return SCIM_KV_OK;
    }
    scim_kv_encode_counter(limit, cursor->size);
    if (cursor->passed.len) {
        statement = cursor->backward ? PG_BEFORE : PG_AFTER;
        params[0] = cursor->passed;
        params[2] = cursor->backward ? cursor->within : end_of(txn, cursor->within);
    } else if (!cursor->backward) {
        params[0] = nowhere ? cursor->within : cursor->key;
        params[2] = end_of(txn, cursor->within);
    } else if (nowhere) {
        params[0] = end_of(txn, cursor->within);
    }
    rc = ask_for(txn_of(txn)->work, statement, 3, params, &cursor->fetched);
    if (rc != SCIM_KV_OK) {
        cursor->fetched = NULL;
        return rc;
    }
    cursor->all = PQntuples(cursor->fetched) < cursor->size;
    cursor->size =
        cursor->size * FETCH_GROWTH < FETCH_MOST ? cursor->size * FETCH_GROWTH : FETCH_MOST;
    return SCIM_KV_OK;
}

/* The next row of the store; NOTFOUND: there is none. */
static scim_kv_rc peek_stored(pgsql_cursor *cursor, bool backward)
{
    scim_kv_rc rc = SCIM_KV_OK;

    if (cursor->fetched && cursor->backward != backward) {
        forget_fetched(cursor);
    }
    cursor->backward = backward;
    if (cursor->fetched) {
        skip_passed(cursor);
    }
    if (!cursor->fetched || (cursor->at == PQntuples(cursor->fetched) && !cursor->all)) {
        rc = fetch(cursor);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    return cursor->at < PQntuples(cursor->fetched) ? SCIM_KV_OK : SCIM_KV_NOTFOUND;
}

/* Those that were only read, and those that were deleted, make no row. */
static bool makes_row(const pg_row *row)
{
    return row->write == PG_ROW_PUT || row->write == PG_ROW_ADD;
}

/* Of a row beyond that the store has not been asked. */
static bool is_within(const pgsql_cursor *cursor, scim_slice key)
{
    scim_slice prefix = cursor->within;

    return !prefix.len || (key.len >= prefix.len && !memcmp(key.data, prefix.data, prefix.len));
}

/* The next row that the transaction has written. */
static const pg_row *peek_written(const pgsql_cursor *cursor, bool backward)
{
    const pg_rows *rows = &txn_of(cursor->base.txn)->rows;
    int at;

    if (!rows->writes) {
        return NULL;
    }
    if (cursor->place == UNPLACED) {
        scim_slice from = cursor->within;

        at = backward ? pg_rows_place(rows, end_of(cursor->base.txn, from)) - 1
                      : pg_rows_place(rows, from);
    } else {
        at = pg_rows_place(rows, cursor->key);
        if (backward) {
            at--;
        } else if (cursor->place == AT_KEY && at < rows->count &&
                   !scim_kv_compare(rows->rows[at]->key, cursor->key)) {
            at++;
        }
    }
    while (at >= 0 && at < rows->count && !makes_row(rows->rows[at])) {
        at += backward ? -1 : 1;
    }
    return at >= 0 && at < rows->count && is_within(cursor, rows->rows[at]->key)
               ? rows->rows[at]
               : NULL;
}

static void move_to(pgsql_cursor *cursor, scim_slice key)
{
    cursor->place = AT_KEY;
    cursor->key = key;
}

static scim_kv_rc arrive(pgsql_cursor *cursor, pg_row *row, scim_slice *key, scim_slice *value)
{
    scim_kv_rc rc = show(txn_of(cursor->base.txn), row, value);

    if (rc == SCIM_KV_OK) {
        move_to(cursor, row->key);
        *key = row->key;
    } else if (rc == SCIM_KV_NOTFOUND) {
        cursor->passed = row->key;
    }
    return rc;
}

/* A row of the store, as the transaction sees it.  Who may write will often do so to what
 * it comes across: that is not asked for again. */
static scim_kv_rc arrive_stored(pgsql_cursor *cursor, scim_slice *key, scim_slice *value)
{
    pgsql_txn *txn = txn_of(cursor->base.txn);
    pg_row alone = {.known = false};
    pg_row *row = &alone;
    scim_kv_rc rc = SCIM_KV_OK;

    if (fetched_key(cursor).len > SCIM_KV_MAX_KEY) {
        return SCIM_KV_CORRUPT;
    }

    if (txn->base.writable) {
        row = pg_rows_make(&txn->rows, &txn->base, fetched_key(cursor));
    } else {
        alone.key = pg_copy(&txn->base, fetched_key(cursor));
    }
    if (!row->known) {
        rc = note_stored(txn, row, cursor->fetched, cursor->at, 1);
    }
    cursor->at++;
    return rc == SCIM_KV_OK ? arrive(cursor, row, key, value) : rc;
}

static scim_kv_rc move(pgsql_cursor *cursor, bool backward, scim_slice *key, scim_slice *value)
{
    cursor->passed.len = 0;
    for (;;) {
        pg_row *written = (pg_row *)peek_written(cursor, backward);
        scim_kv_rc rc = peek_stored(cursor, backward);
        int order;

        if (rc == SCIM_KV_NOTFOUND) {
            if (!written) {
                return rc;
            }
            /* The store has no row for it. */
            written->known = true;
            return arrive(cursor, written, key, value);
        }
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        order = written ? scim_kv_compare(written->key, fetched_key(cursor)) : 0;
        if (written && (backward ? order > 0 : order < 0)) {
            written->known = true;
            return arrive(cursor, written, key, value);
        }
        rc = arrive_stored(cursor, key, value);
        if (rc != SCIM_KV_NOTFOUND) {
            return rc;
        }
        /* It was deleted by this transaction: peek_stored has gone past it. */
    }
}

static scim_kv_rc pgsql_seek(scim_kv_cursor *base, scim_slice at, scim_slice *key,
                             scim_slice *value)
{
    pgsql_cursor *cursor = (pgsql_cursor *)base;

    forget_fetched(cursor);
    cursor->size = FETCH_FIRST;
    cursor->place = BEFORE_KEY;
    cursor->key = pg_copy(base->txn, at);
    return move(cursor, false, key, value);
}

static scim_kv_rc pgsql_next(scim_kv_cursor *base, scim_slice *key, scim_slice *value)
{
    return move((pgsql_cursor *)base, false, key, value);
}

static scim_kv_rc pgsql_prev(scim_kv_cursor *base, scim_slice *key, scim_slice *value)
{
    return move((pgsql_cursor *)base, true, key, value);
}

/*
 * What is said to come
 */

typedef struct wished {
    question questions[SCIM_KV_MAX_WISHES];
    pg_row *rows[SCIM_KV_MAX_WISHES]; /* NULL: a range */
    scim_slice params[SCIM_KV_MAX_WISHES][3];
    apr_size_t prefixes[SCIM_KV_MAX_WISHES];
    int count;
} wished;

static void wish_row(wished *w, pgsql_txn *txn, scim_slice key)
{
    pg_row *row = pg_rows_make(&txn->rows, &txn->base, key);

    for (int i = 0; i < w->count; i++) {
        if (w->rows[i] == row) {
            return;
        }
    }
    if (!row->known && row->write != PG_ROW_PUT && row->write != PG_ROW_DELETE) {
        w->rows[w->count] = row;
        w->questions[w->count++] =
            (question){.statement = PG_GET, .count = 1, .params = &row->key};
    }
}

static void wish_range(wished *w, pgsql_txn *txn, const scim_kv_wish *wish, scim_slice limit)
{
    scim_slice *params = w->params[w->count];

    if (find_ahead(txn, wish->key, wish->prefix)) {
        return;
    }
    params[0] = pg_copy(&txn->base, wish->key);
    params[1] = limit;
    params[2] = end_of(&txn->base, (scim_slice){wish->key.data, wish->prefix});
    w->prefixes[w->count] = wish->prefix;
    w->rows[w->count] = NULL;
    w->questions[w->count++] = (question){.statement = PG_FROM, .count = 3, .params = params};
}

static void take_wished(pgsql_txn *txn, const question *asked, pg_row *row, apr_size_t prefix)
{
    ahead *one;

    if (row) {
        row->known = true;
        if (PQntuples(asked->answer) && note_stored(txn, row, asked->answer, 0, 1)) {
            row->known = false;
        }
        PQclear(asked->answer);
        return;
    }
    one = scim_kv_scratch(&txn->base, sizeof(*one));
    *one = (ahead){.next = txn->ahead,
                   .key = asked->params[0],
                   .prefix = prefix,
                   .fetched = asked->answer,
                   .size = FETCH_AHEAD};
    txn->ahead = one;
}

static void pgsql_expect(scim_kv_txn *base, const scim_kv_wish *wishes, int count)
{
    pgsql_txn *txn = txn_of(base);
    unsigned char limit[SCIM_KV_COUNTER];
    wished w = {.count = 0};

    scim_kv_encode_counter(limit, FETCH_AHEAD);
    for (int i = 0; i < count; i++) {
        if (wishes[i].prefix) {
            wish_range(&w, txn, &wishes[i], (scim_slice){limit, sizeof(limit)});
        } else {
            wish_row(&w, txn, wishes[i].key);
        }
    }
    if (!w.count || ask_all(txn->work, w.questions, w.count) != SCIM_KV_OK) {
        return;
    }
    for (int i = 0; i < w.count; i++) {
        take_wished(txn, &w.questions[i], w.rows[i], w.prefixes[i]);
    }
}

static scim_kv_rc pgsql_append(scim_kv_txn *base, scim_slice key, scim_slice value)
{
    pgsql_txn *txn = txn_of(base);
    pgsql_cursor *cursor;
    scim_slice ignored;
    scim_kv_rc rc;

    /* What it appended itself is the last of all. */
    if (!txn->at_end || !txn->rows.count ||
        scim_kv_compare(txn->rows.rows[txn->rows.count - 1]->key, key) >= 0 ||
        txn->rows.rows[txn->rows.count - 1]->write != PG_ROW_PUT) {
        cursor = (pgsql_cursor *)pgsql_cursor_open(base);
        rc = pgsql_seek(&cursor->base, key, &ignored, &ignored);
        pgsql_cursor_close(&cursor->base);
        if (rc != SCIM_KV_NOTFOUND) {
            return rc == SCIM_KV_OK ? SCIM_KV_INVALID : write_failed(txn, rc);
        }
        txn->at_end = true;
    }
    return pgsql_put(base, key, value, false);
}

/*
 * Views
 */

static void enter(pgsql_txn *txn)
{
    txn->outer = current;
    current = txn;
}

static void leave(pgsql_txn *txn)
{
    close_cursors(txn);
    current = txn->outer;
}

/* Of this thread, and of this store. */
static pgsql_txn *around(const pgsql_kv *kv)
{
    pgsql_txn *txn = current;

    while (txn && txn->work->kv != kv) {
        txn = txn->outer;
    }
    return txn;
}

static scim_kv_rc view_inside(pgsql_kv *kv, work *w, scim_kv_fn fn, void *baton)
{
    pgsql_txn txn = {.base = {.kv = &kv->base}, .work = w};
    scim_kv_rc rc;

    enter(&txn);
    rc = fn(&txn.base, baton);
    leave(&txn);
    scim_kv_arena_clear(&txn.base);
    return rc;
}

static scim_kv_rc pgsql_view(scim_kv *base, scim_kv_fn fn, void *baton)
{
    pgsql_kv *kv = store_of(base);
    work w = {.kv = kv, .kind = WORK_VIEW};
    pgsql_txn *outer = around(kv);
    scim_kv_rc rc;

    /* What it reads is what was there before: writes wait in the transaction outside. */
    if (outer) {
        return view_inside(kv, outer->work, fn, baton);
    }
    atomic_fetch_add(&kv->views, 1);
    rc = view_inside(kv, &w, fn, baton);
    atomic_fetch_sub(&kv->views, 1);
    end_work(&w);
    return rc;
}

/*
 * Updates
 */

static int send_row(const work *w, const pg_row *row, scim_slice mark)
{
    unsigned char amount[SCIM_KV_COUNTER];
    scim_slice put[2] = {row->key, row->put};
    scim_slice add[3] = {row->key, {amount, sizeof(amount)}, mark};
    bool zero = row->write == PG_ROW_ADD && !(row->known && row->present);
    bool clear = row->clear && row->write != PG_ROW_ADD;

    if (row->write == PG_ROW_READ) {
        return 0;
    }
    if (clear) {
        pg_send(w->session, PG_CLEAR, 1, &row->key);
    }
    switch (row->write) {
    case PG_ROW_PUT:
        pg_send(w->session, row->fresh ? PG_INSERT : PG_PUT, 2, put);
        break;
    case PG_ROW_DELETE:
        pg_send(w->session, PG_DELETE, 1, &row->key);
        break;
    default:
        if (zero) {
            pg_send(w->session, PG_ZERO, 1, &row->key);
        }
        scim_kv_encode_counter(amount, row->amount);
        pg_send(w->session, PG_ADD, 3, add);
    }
    return 1 + zero + clear;
}

/* How many statements. */
static int send_all(work *w, const pg_rows *rows, scim_slice mark)
{
    int count = 0;

    if (w->kind < WORK_ALONE) {
        pg_send(w->session, PG_JOIN, 0, NULL);
        count++;
    }
    for (int i = 0; i < rows->count; i++) {
        count += send_row(w, rows->rows[i], mark);
    }
    if (w->kind == WORK_EXCLUSIVE) {
        pg_send(w->session, PG_NEXT_EPOCH, 0, NULL);
        count++;
    }
    pg_send(w->session, PG_MARK, 1, &mark);
    pg_send(w->session, PG_COMMIT, 0, NULL);
    pg_sync(w->session);
    return count + 1;
}

/* A transaction that has failed is ended by COMMIT, too, and then says so. */
static bool committed(const PGresult *result)
{
    return !strcmp(PQcmdStatus((PGresult *)result), "COMMIT");
}

/* UNSURE: whether it was committed.  UNSAFE: it was, but the server says that a standby has
 * not confirmed it, and so a failure of that server could undo it. */
typedef enum commit_end { COMMIT_DONE, COMMIT_FAILED, COMMIT_UNSURE, COMMIT_UNSAFE } commit_end;

/* Before COMMIT: what the server itself says is the end of the transaction. */
static commit_end fail_statement(work *w, const pg_failure *failure)
{
    pg_failure other;

    if (!w->session->lost) {
        pg_finish(w->session, w->until, &other);
        return COMMIT_FAILED;
    }
    return failure->state[0] ? COMMIT_FAILED : COMMIT_UNSURE;
}

static commit_end read_commit(work *w, int count, pg_failure *failure)
{
    PGresult *result;
    pg_failure other;
    bool done;

    while (count-- > 0) {
        result = pg_result(w->session, w->until, failure);
        if (!result) {
            return fail_statement(w, failure);
        }
        PQclear(result);
    }
    result = pg_result(w->session, w->until, failure);
    if (!result) {
        if (w->session->lost) {
            return COMMIT_UNSURE;
        }
        pg_finish(w->session, w->until, &other);
        return COMMIT_FAILED;
    }
    done = committed(result);
    PQclear(result);
    pg_finish(w->session, w->until, &other);
    if (!done) {
        *failure =
            (pg_failure){.rc = SCIM_KV_IO, .text = "the server has undone a transaction"};
        return COMMIT_FAILED;
    }
    return w->session->warned ? COMMIT_UNSAFE : COMMIT_DONE;
}

/* One statement about a mark, in a transaction of its own. */
static PGresult *ask_mark(pg_session *session, pg_statement statement, scim_slice mark,
                          apr_time_t until, pg_failure *failure)
{
    PGresult *result;
    pg_failure other;

    pg_send(session, statement, 1, &mark);
    pg_sync(session);
    result = pg_result(session, until, failure);
    if (!result) {
        if (!session->lost) {
            pg_finish(session, until, &other);
        }
        return NULL;
    }
    if (!pg_finish(session, until, failure)) {
        PQclear(result);
        return NULL;
    }
    return result;
}

static bool make_mark(unsigned char bytes[MARK])
{
    return getrandom(bytes, MARK, 0) == MARK;
}

/* That a row is there says nothing of standbys: the server shows what it has committed by
 * itself when it comes back from a crash.  Whatever is confirmed now lies behind it. */
static bool confirm_past(pg_session *session, apr_time_t until, pg_failure *failure)
{
    unsigned char bytes[MARK];
    PGresult *result;

    if (!make_mark(bytes)) {
        return false;
    }
    result = ask_mark(session, PG_VOID, (scim_slice){bytes, MARK}, until, failure);
    PQclear(result);
    return result && !session->warned;
}

typedef enum fate { FATE_UNKNOWN, FATE_DONE, FATE_VOID } fate;

/* Somebody was first: the transaction itself, or a try like this one whose answer was lost. */
static fate read_fate(pg_session *session, scim_slice mark, apr_time_t until,
                      pg_failure *failure)
{
    PGresult *result = ask_mark(session, PG_MARKED, mark, until, failure);
    fate found = FATE_UNKNOWN;

    if (result && PQntuples(result)) {
        found = pg_number(result, 0, 0) ? FATE_DONE : FATE_VOID;
    }
    PQclear(result);
    return found != FATE_UNKNOWN && confirm_past(session, until, failure) ? found
                                                                          : FATE_UNKNOWN;
}

/* Puts the mark there in the name of nobody: then the transaction that has it can never be
 * committed any more.  Where the server still has that under way, this waits for its end. */
static fate decide_fate(pgsql_kv *kv, scim_slice mark, apr_time_t until, pg_failure *failure)
{
    pg_session session = {.conn = NULL};
    fate found = FATE_UNKNOWN;
    PGresult *result;

    if (!pg_connect(&session, &kv->target, false, failure)) {
        return FATE_UNKNOWN;
    }
    result = ask_mark(&session, PG_VOID, mark, until, failure);
    if (result) {
        found = session.warned ? FATE_UNKNOWN : FATE_VOID;
    } else if (!strcmp(failure->state, EXISTS_STATE)) {
        found = read_fate(&session, mark, until, failure);
    }
    PQclear(result);
    pg_disconnect(&session);
    return found;
}

static void wait_a_little(int tries)
{
    apr_interval_time_t most = BACKOFF_LEAST << (tries < 6 ? tries : 6);
    apr_uint32_t random = 0;

    if (getrandom(&random, sizeof(random), 0) < 0) {
        random = APR_UINT32_MAX / 2;
    }
    most = most < BACKOFF_MOST ? most : BACKOFF_MOST;
    apr_sleep((apr_interval_time_t)((double)random / APR_UINT32_MAX * (double)most));
}

/* What became of a commit: OK, or a failure that says whether it may be tried again. */
static scim_kv_rc resolve(pgsql_kv *kv, scim_slice mark, pg_failure *failure)
{
    apr_time_t until = scim_time_steady() + kv->timeout;
    pg_failure other = {.rc = SCIM_KV_BUSY};

    for (int tries = 0; scim_time_steady() < until; tries++) {
        switch (decide_fate(kv, mark, until, &other)) {
        case FATE_DONE:
            return SCIM_KV_OK;
        case FATE_VOID:
            failure->again = true;
            return failure->rc;
        case FATE_UNKNOWN:
            wait_a_little(tries);
        }
    }
    *failure = other;
    failure->rc = SCIM_KV_BUSY;
    failure->again = false;
    return failure->rc;
}

static scim_kv_rc commit(pgsql_txn *txn, pg_failure *failure)
{
    work *w = txn->work;
    unsigned char bytes[MARK];
    scim_slice mark = {bytes, MARK};

    if (!make_mark(bytes)) {
        return SCIM_KV_IO;
    }
    if (begin_now(w) != SCIM_KV_OK) {
        *failure = w->failure;
        return failure->rc;
    }
    w->until = scim_time_steady() + w->kv->timeout + LATER;
    switch (read_commit(w, send_all(w, &txn->rows, mark), failure)) {
    case COMMIT_DONE:
        w->begun = false;
        return SCIM_KV_OK;
    case COMMIT_UNSURE:
        return resolve(w->kv, mark, failure);
    case COMMIT_UNSAFE:
        w->begun = false;
        *failure = (pg_failure){.rc = SCIM_KV_BUSY,
                                .text = "a change is in the store, but no standby has "
                                        "confirmed it: it was not acknowledged"};
        return SCIM_KV_BUSY;
    case COMMIT_FAILED:
        break;
    }
    return failure->rc;
}

typedef struct attempt {
    scim_kv_rc rc;
    bool again;
    bool written;
    bool exists; /* a row that was not to be there */
} attempt;

static scim_kv_rc keep(pgsql_txn *txn, attempt *out)
{
    pg_failure failure = {.rc = SCIM_KV_OK};
    scim_kv_rc rc;

    if (!txn->rows.writes) {
        return SCIM_KV_OK;
    }
    rc = commit(txn, &failure);
    out->written = rc == SCIM_KV_OK;
    if (rc != SCIM_KV_OK) {
        fail_work(txn->work, &failure);
    }
    return rc;
}

static attempt try_update(pgsql_kv *kv, work_kind kind, bool bold, const scim_kv_job *job)
{
    work w = {.kv = kv, .kind = kind};
    pgsql_txn txn = {.base = {.kv = &kv->base, .writable = true, .bold = bold}, .work = &w};
    attempt out = {.rc = SCIM_KV_OK};

    /* Others are kept away before its function runs, which may do so but once. */
    if (kind >= WORK_ALONE) {
        out.rc = begin_now(&w);
    }
    if (out.rc == SCIM_KV_OK) {
        enter(&txn);
        out.rc = job->fn(&txn.base, job->baton);
        leave(&txn);
        out.rc = out.rc == SCIM_KV_OK ? txn.failed : out.rc;
    }
    if (w.failure.rc == SCIM_KV_OK && out.rc == SCIM_KV_OK) {
        out.rc = keep(&txn, &out);
    }
    if (w.failure.rc != SCIM_KV_OK) {
        out.rc = w.failure.rc;
        out.again = w.failure.again;
        out.exists = !strcmp(w.failure.state, EXISTS_STATE);
    }
    scim_kv_arena_clear(&txn.base);
    end_work(&w);
    return out;
}

static scim_kv_rc count_update(pgsql_kv *kv, const attempt *tried)
{
    if (tried->rc == SCIM_KV_OK) {
        atomic_fetch_add(&kv->updates, 1);
        atomic_fetch_add(&kv->commits, tried->written);
    }
    return tried->rc;
}

/* The first tries are free; who still finds others in the way has them wait. */
static scim_kv_rc run_job(pgsql_kv *kv, const scim_kv_job *job)
{
    apr_time_t until = scim_time_steady() + kv->timeout;
    attempt tried;
    bool bold = true;
    int tries = 0;

    for (;;) {
        bool alone = tries >= FREE_TRIES;
        scim_kv_rc rc = alone ? scim_kv_lock(&kv->writer, kv->timeout) : SCIM_KV_OK;

        if (rc != SCIM_KV_OK) {
            return rc;
        }
        tried = try_update(kv, alone ? WORK_ALONE : WORK_UPDATE, bold, job);
        bold = bold && !tried.exists;
        if (alone) {
            pthread_mutex_unlock(&kv->writer);
        }
        if (!tried.again || ++tries >= MAX_TRIES || scim_time_steady() >= until) {
            break;
        }
        wait_a_little(tries);
    }
    return count_update(kv, &tried);
}

static void keep_house(pgsql_kv *kv);

static scim_kv_rc pgsql_update_all(scim_kv *base, scim_kv_job *jobs, int count)
{
    pgsql_kv *kv = store_of(base);
    scim_kv_rc refused = kv->read_only ? SCIM_KV_READONLY
                         : around(kv)  ? SCIM_KV_INVALID
                                       : SCIM_KV_OK;
    scim_kv_rc rc = refused;

    for (int i = 0; i < count; i++) {
        jobs[i].rc = refused == SCIM_KV_OK ? run_job(kv, &jobs[i]) : refused;
    }
    if (refused == SCIM_KV_OK) {
        keep_house(kv);
    }
    return rc;
}

static scim_kv_rc pgsql_update_exclusive(scim_kv *base, scim_kv_fn fn, void *baton)
{
    pgsql_kv *kv = store_of(base);
    scim_kv_job job = {.fn = fn, .baton = baton};
    attempt tried;
    scim_kv_rc rc;

    if (kv->read_only || around(kv)) {
        return kv->read_only ? SCIM_KV_READONLY : SCIM_KV_INVALID;
    }
    rc = scim_kv_lock(&kv->writer, kv->timeout);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    tried = try_update(kv, WORK_EXCLUSIVE, false, &job);
    pthread_mutex_unlock(&kv->writer);
    if (count_update(kv, &tried) == SCIM_KV_OK) {
        keep_house(kv);
    }
    return tried.rc;
}

/*
 * Housekeeping
 */

/* One statement by itself, without a transaction around it. */
static scim_kv_rc ask_alone(pgsql_kv *kv, pg_statement statement, PGresult **out)
{
    work w = {.kv = kv, .kind = WORK_UPDATE, .begun = true};
    scim_kv_rc rc = ask_for(&w, statement, 0, NULL, out);

    w.begun = false;
    end_work(&w);
    return rc;
}

static scim_kv_rc purge(pgsql_kv *kv)
{
    PGresult *result;
    scim_kv_rc rc = ask_alone(kv, PG_PURGE, &result);

    PQclear(result);
    return rc;
}

static scim_kv_rc add_up(scim_kv_txn *txn, void *baton)
{
    const scim_slice *key = baton;
    scim_slice value;
    scim_kv_rc rc = pgsql_get(txn, *key, &value);

    return rc == SCIM_KV_OK ? pgsql_put(txn, *key, value, false) : SCIM_KV_OK;
}

/* Counters of many parts get one of their sum, each by itself, so as to be in few others'
 * way. */
static void fold(pgsql_kv *kv)
{
    PGresult *parts;

    if (ask_alone(kv, PG_PARTS, &parts) != SCIM_KV_OK) {
        return;
    }
    for (int i = 0; i < PQntuples(parts); i++) {
        scim_slice key = pg_bytes(parts, i, 0);
        const scim_kv_job job = {.fn = add_up, .baton = &key};

        try_update(kv, WORK_UPDATE, false, &job);
    }
    PQclear(parts);
}

/* What fails here is done another time, by whoever comes across it. */
static void keep_house(pgsql_kv *kv)
{
    long long last = atomic_load(&kv->kept), now = scim_time_steady();
    bool due = last > now || now - last >= HOUSE_INTERVAL;

    if (due && atomic_compare_exchange_strong(&kv->kept, &last, now)) {
        purge(kv);
        atomic_store(&kv->many_parts, true);
    }
    if (atomic_load(&kv->many_parts) && !atomic_exchange(&kv->folding, true)) {
        atomic_store(&kv->many_parts, false);
        fold(kv);
        atomic_store(&kv->folding, false);
    }
}

static scim_kv_rc pgsql_check(scim_kv *base, int *freed)
{
    pgsql_kv *kv = store_of(base);

    *freed = 0; /* the server itself sees to what the dead leave */
    return kv->read_only ? SCIM_KV_OK : purge(kv);
}

/*
 * Looking at all of it
 */

static scim_kv_rc read_number(work *w, pg_statement statement, apr_int64_t *first,
                              apr_int64_t *second)
{
    PGresult *result;
    scim_kv_rc rc = ask_for(w, statement, 0, NULL, &result);

    if (rc == SCIM_KV_OK) {
        *first = pg_number(result, 0, 0);
        *second = PQnfields(result) > 1 ? pg_number(result, 0, 1) : 0;
        PQclear(result);
    }
    return rc;
}

/* Rows are counted where they are few; else the server's own estimate will do. */
static scim_kv_rc pgsql_statistics(scim_kv *base, scim_kv_stat *out)
{
    pgsql_kv *kv = store_of(base);
    work w = {.kv = kv, .kind = WORK_VIEW};
    apr_int64_t entries, size, ignored;
    scim_kv_rc rc = read_number(&w, PG_ESTIMATE, &entries, &size);

    if (rc == SCIM_KV_OK && entries < EXACT_ENTRIES) {
        rc = read_number(&w, PG_ENTRIES, &entries, &ignored);
    }
    end_work(&w);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    out->entries = (apr_uint64_t)entries;
    out->used = out->extent = (apr_uint64_t)size;
    out->updates = atomic_load(&kv->updates);
    out->commits = atomic_load(&kv->commits);
    out->readers = atomic_load(&kv->views);
    out->max_readers = (apr_uint32_t)kv->max_sessions;
    return SCIM_KV_OK;
}

static const char *pgsql_fault(scim_kv *base, apr_pool_t *pool)
{
    pgsql_kv *kv = store_of(base);
    const char *fault;

    pthread_mutex_lock(&kv->lock);
    fault = kv->fault[0] ? apr_pstrdup(pool, kv->fault) : NULL;
    pthread_mutex_unlock(&kv->lock);
    return fault;
}

/* Some rows at a time, whose memory is given back before the next. */
static scim_kv_rc hand_some(work *w, const scim_kv_examiner *to, scim_slice *behind,
                            unsigned char *room, bool *more)
{
    pgsql_txn txn = {.base = {.kv = &w->kv->base}, .work = w};
    pgsql_cursor *cursor = (pgsql_cursor *)pgsql_cursor_open(&txn.base);
    scim_slice key = {room, 0}, value;
    scim_kv_rc rc = SCIM_KV_OK, found;

    cursor->size = FETCH_MOST;
    if (behind->len) {
        cursor->place = AT_KEY;
        cursor->key = *behind;
    }
    for (int i = 0; i < FETCH_MOST && rc == SCIM_KV_OK; i++) {
        found = move(cursor, false, &key, &value);
        *more = found == SCIM_KV_OK;
        if (!*more) {
            rc = found == SCIM_KV_NOTFOUND ? SCIM_KV_OK : found;
            break;
        }
        rc = to->row ? to->row(key, value, to->baton) : SCIM_KV_OK;
    }
    if (key.len) {
        memcpy(room, key.data, key.len);
        *behind = (scim_slice){room, key.len};
    }
    close_cursors(&txn);
    scim_kv_arena_clear(&txn.base);
    return rc;
}

static scim_kv_rc pgsql_examine(scim_kv *base, const scim_kv_examiner *to)
{
    pgsql_kv *kv = store_of(base);
    work w = {.kv = kv, .kind = WORK_VIEW};
    unsigned char room[SCIM_KV_MAX_KEY];
    scim_slice behind = {room, 0};
    apr_int64_t total = 0, ignored;
    apr_uint64_t done = 0;
    scim_kv_rc rc;
    bool more = true;

    rc = read_number(&w, PG_PATIENT, &ignored, &ignored);
    if (rc == SCIM_KV_OK) {
        rc = read_number(&w, PG_ESTIMATE, &total, &ignored);
    }
    total = total > 0 ? total : 0;
    while (rc == SCIM_KV_OK && more) {
        rc = hand_some(&w, to, &behind, room, &more);
        done += FETCH_MOST;
        if (to->progress && rc == SCIM_KV_OK) {
            to->progress(done < (apr_uint64_t)total ? done : (apr_uint64_t)total,
                         (apr_uint64_t)total, to->baton);
        }
    }
    end_work(&w);
    return rc;
}

static const char *pgsql_outlook(const char *where, apr_pool_t *pool)
{
    const char *why = NULL;
    pg_target target;

    return pg_target_parse(&target, where, 0, &why, pool) == SCIM_KV_OK ? NULL : why;
}

const scim_kv_engine scim_kv_pgsql = {
    .version = SCIM_KV_VERSION,
    .name = "pgsql",
    .open = pgsql_open,
    .close = pgsql_close,
    .view = pgsql_view,
    .update_all = pgsql_update_all,
    .update_exclusive = pgsql_update_exclusive,
    .get = pgsql_get,
    .put = pgsql_put,
    .del = pgsql_del,
    .add = pgsql_add,
    .cursor_open = pgsql_cursor_open,
    .cursor_close = pgsql_cursor_close,
    .seek = pgsql_seek,
    .next = pgsql_next,
    .prev = pgsql_prev,
    .state = pgsql_state,
    .check = pgsql_check,
    .statistics = pgsql_statistics,
    .fault = pgsql_fault,
    .append = pgsql_append,
    .expect = pgsql_expect,
    .epoch = pgsql_epoch,
    .within = pgsql_within,
    .examine = pgsql_examine,
    .networked = true,
    .outlook = pgsql_outlook,
};

void scim_kv_pgsql_weaken(scim_kv *kv, bool on)
{
    if (kv->engine == &scim_kv_pgsql) {
        atomic_store(&store_of(kv)->weak, on);
    }
}
