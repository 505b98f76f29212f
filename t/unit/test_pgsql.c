/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the PostgreSQL engine has to show: a server that goes, is silent or never
 * says what became of a COMMIT; others who write at the same time; and how often
 * somebody waits for it.  What every engine must do is in test_kv.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <apr_general.h>
#include <cmocka.h>

#include "pgsql_fixture.h"
#include "pgsql_proxy.h"

#define OK SCIM_KV_OK

/*
 * A store for each test, behind a proxy
 */

static apr_pool_t *pool;
static proxy wire;
static const char *straight, *url; /* of the same store: the second by the proxy */
static scim_kv_options options;
static scim_kv *kv;

static scim_kv *open_at(const char *where)
{
    const char *why = "";
    scim_kv *opened;

    if (scim_kv_open(&opened, where, &options, &why, pool) != OK) {
        fail_msg("%s", why);
    }
    return opened;
}

static void make_urls(void)
{
    static int count;
    const char *port;

    straight = apr_psprintf(pool, "%s application_name=scim_test_%ld_%d", pgsql_make(pool),
                            (long)getpid(), ++count);
    port = PQport(pgsql_admin);
    proxy_start(&wire, apr_psprintf(pool, "%s/.s.PGSQL.%s", PQhost(pgsql_admin), port), port);
    url = apr_psprintf(pool, "%s host=%s", straight, wire.directory);
}

static int setup(void **state)
{
    apr_pool_create(&pool, NULL);
    make_urls();
    options = (scim_kv_options){.create = true};
    kv = open_at(url);
    options.create = false;
    return 0;
}

static int teardown(void **state)
{
    apr_pool_destroy(pool);
    proxy_stop(&wire);
    pgsql_drop();
    return 0;
}

/* With other options. */
static void reopen(void)
{
    scim_kv_close(kv);
    kv = open_at(url);
}

static scim_slice S(const char *text)
{
    return (scim_slice){text, strlen(text)};
}

typedef struct row {
    const char *key;
    const char *value;
} row;

static scim_kv_rc put_row(scim_kv_txn *txn, void *baton)
{
    const row *r = baton;

    return scim_kv_put(txn, S(r->key), S(r->value), false);
}

static scim_kv_rc put(const char *key, const char *value)
{
    return scim_kv_update(kv, put_row, &(row){key, value});
}

static scim_kv_rc get_row(scim_kv_txn *txn, void *baton)
{
    row *r = baton;
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, S(r->key), &value);

    r->value = rc == OK ? apr_pstrmemdup(pool, value.data, value.len) : NULL;
    return rc == SCIM_KV_NOTFOUND ? OK : rc;
}

static scim_kv_rc get(const char *key, const char **value)
{
    row r = {key, NULL};
    scim_kv_rc rc = scim_kv_view(kv, get_row, &r);

    *value = r.value;
    return rc;
}

static void expect(const char *key, const char *value)
{
    const char *found;

    assert_int_equal(get(key, &found), OK);
    if (!value) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, value);
}

static scim_kv_rc add_one(scim_kv_txn *txn, void *key)
{
    return scim_kv_add(txn, S(key), 1, NULL);
}

static scim_kv_rc read_counter(scim_kv_txn *txn, void *sum)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, S("counter"), &value);

    *(apr_int64_t *)sum = rc == OK ? scim_kv_counter(value) : 0;
    return rc == SCIM_KV_NOTFOUND ? OK : rc;
}

static apr_int64_t counter(scim_kv *of)
{
    apr_int64_t sum = -1;

    assert_int_equal(scim_kv_view(of, read_counter, &sum), OK);
    return sum;
}

static long rows_of(const char *table)
{
    const char *name = pgsql_schema(straight);

    return pgsql_number(apr_pstrcat(pool, "SELECT count(*) FROM ",
                                    apr_pstrmemdup(pool, name, strcspn(name, " ")), ".", table,
                                    NULL));
}

static const char *with_application(const char *sql)
{
    return apr_pstrcat(pool, sql, " FROM pg_stat_activity WHERE application_name = '",
                       strstr(straight, "scim_test_"), "'", NULL);
}

static long sessions(void)
{
    return pgsql_number(with_application("SELECT count(*)"));
}

/* Ends the connections of the store, and returns when they are gone. */
static void terminate(void)
{
    pgsql_run(with_application("SELECT pg_terminate_backend(pid, 10000)"));
}

/* Milliseconds that a call took. */
static int64_t since(int64_t start)
{
    return proxy_now() - start;
}

/*
 * The answer to a COMMIT that never comes
 */

/* Who does this twice finds that it was done. */
static scim_kv_rc add_once(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc rc = scim_kv_put(txn, S(baton), S("once"), true);

    return rc == OK ? scim_kv_add(txn, S("counter"), 1, NULL) : rc;
}

static int rounds(int few, int many)
{
    const char *asked = getenv("LONG");

    return asked && *asked ? many : few;
}

static void test_lost_answer(void **state)
{
    static const struct {
        proxy_cut cut;
        int few, many;
    } cuts[] = {{CUT_BEFORE, 10, 300}, {CUT_WITHIN, 10, 300}, {CUT_AT_ONCE, 30, 300},
                {CUT_AFTER, 10, 300},  {CUT_LATE, 3, 50},     {CUT_HALF, 3, 50}};
    scim_kv *other = open_at(straight);
    int done = 0;

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        for (int n = rounds(cuts[i].few, cuts[i].many); n > 0; n--) {
            char key[16];

            apr_snprintf(key, sizeof(key), "once%d", done++);
            atomic_store(&wire.cut, cuts[i].cut);
            assert_int_equal(scim_kv_update(kv, add_once, key), OK);
            assert_int_equal(wire.cuts, done);
            assert_int_equal(counter(other), done);
        }
    }
    /* What was late is through by now, too. */
    usleep(2 * PROXY_LATE * 1000);
    assert_int_equal(counter(other), done);
}

/* Until the server is found again. */
static void recover(void)
{
    const char *value;
    int64_t start = proxy_now();

    while (get("any", &value) != OK) {
        assert_true(since(start) < 10000);
        usleep(20 * 1000);
    }
}

/* Whom nobody can tell what became of it is not told that it was done, and does it no
 * second time. */
static void test_lost_for_good(void **state)
{
    scim_kv *other = open_at(straight);
    int64_t start;

    options.timeout = apr_time_from_msec(500);
    reopen();
    for (int i = 0; i < 3; i++) {
        char key[16];

        apr_snprintf(key, sizeof(key), "once%d", i);
        atomic_store(&wire.cut, i == 1 ? CUT_BEFORE : CUT_AFTER);
        atomic_store(&wire.refuses, true);
        start = proxy_now();
        assert_int_equal(scim_kv_update(kv, add_once, key), SCIM_KV_BUSY);
        assert_true(since(start) < 5000);
        assert_int_equal(wire.cuts, i + 1);
        atomic_store(&wire.refuses, false);
        recover();
        assert_int_equal(counter(other), i + (i < 1));
    }
}

/*
 * A server that goes, or is silent
 */

/* What lies idle is connected anew: nobody sees that it was gone. */
static void test_terminated(void **state)
{
    assert_int_equal(put("a", "1"), OK);
    for (int i = 0; i < 3; i++) {
        terminate();
        expect("a", "1");
        terminate();
        assert_int_equal(put("a", "1"), OK);
    }
    assert_true(sessions() > 0);
}

static scim_kv_rc terminate_once(scim_kv_txn *txn, void *baton)
{
    int *runs = baton;
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, S("a"), &value);

    if (rc == OK && !(*runs)++) {
        terminate();
    }
    return rc == OK ? scim_kv_add(txn, S("counter"), 1, NULL) : rc;
}

/* Before anything of it was written an update is begun anew; after the first tries there
 * is an end to it. */
static void test_terminated_inside(void **state)
{
    int runs = 0;

    assert_int_equal(put("a", "1"), OK);
    assert_int_equal(scim_kv_update(kv, terminate_once, &runs), OK);
    assert_int_equal(runs, 2);
    assert_int_equal(counter(kv), 1);
}

static scim_kv_rc terminate_view(scim_kv_txn *txn, void *baton)
{
    scim_slice value;

    assert_int_equal(scim_kv_get(txn, S("a"), &value), OK);
    terminate();
    return scim_kv_get(txn, S("b"), &value);
}

/* What a view has read cannot be read again: it ends. */
static void test_terminated_view(void **state)
{
    assert_int_equal(put("a", "1"), OK);
    assert_int_equal(scim_kv_view(kv, terminate_view, NULL), SCIM_KV_BUSY);
    expect("a", "1");
}

static void test_silent(void **state)
{
    const char *value;
    int64_t start;

    options.timeout = apr_time_from_msec(300);
    reopen();
    assert_int_equal(put("a", "1"), OK);
    atomic_store(&wire.silent, true);
    start = proxy_now();
    assert_int_equal(get("a", &value), SCIM_KV_BUSY);
    assert_int_equal(put("a", "2"), SCIM_KV_BUSY);
    /* Connecting has a limit of its own. */
    assert_in_range(since(start), 300, 15000);
    assert_non_null(scim_kv_fault(kv, pool));
    atomic_store(&wire.silent, false);
    recover();
    assert_int_equal(put("a", "3"), OK);
    expect("a", "3");
}

/*
 * Others at the same time
 */

typedef struct racer racer;
struct racer {
    scim_kv *kv;
    scim_kv_fn fn;
    const char *own;
    racer *other;
    atomic_int runs;
    atomic_bool there;
    scim_kv_rc rc;
};

/* In the first run each waits until the other has read what it reads. */
static void meet(racer *r)
{
    int64_t start = proxy_now();

    atomic_store(&r->there, true);
    while (atomic_fetch_add(&r->runs, 0) == 1 && !atomic_load(&r->other->there) &&
           since(start) < 5000) {
        usleep(200);
    }
}

static void *race(void *baton)
{
    racer *r = baton;

    r->rc = scim_kv_update(r->kv, r->fn, r);
    return NULL;
}

/* Two updates at once, by two handles; how often they ran, both together. */
static int race_both(scim_kv_fn fn, scim_kv *other, const char *one, const char *two)
{
    racer racers[2] = {{.kv = kv, .fn = fn, .own = one}, {.kv = other, .fn = fn, .own = two}};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        racers[i].other = &racers[1 - i];
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(racers[0].rc, OK);
    assert_int_equal(racers[1].rc, OK);
    return racers[0].runs + racers[1].runs;
}

static bool is(scim_kv_txn *txn, const char *key, const char *value)
{
    scim_slice found;

    return scim_kv_get(txn, S(key), &found) == OK && found.len == strlen(value) &&
           !memcmp(found.data, value, found.len);
}

/* Somebody has to stay on duty: whoever leaves looks whether the other is there. */
static scim_kv_rc leave_duty(scim_kv_txn *txn, void *baton)
{
    racer *r = baton;
    bool both;

    atomic_fetch_add(&r->runs, 1);
    both = is(txn, "one", "on") && is(txn, "two", "on");
    meet(r);
    return both ? scim_kv_put(txn, S(r->own), S("off"), false) : OK;
}

/* There may be one row that begins so: whoever makes it looks whether there is none. */
static scim_kv_rc take_place(scim_kv_txn *txn, void *baton)
{
    racer *r = baton;
    scim_slice key = {"", 0};
    bool taken;

    atomic_fetch_add(&r->runs, 1);
    taken = scim_kv_seek(scim_kv_cursor_open(txn), S("place/"), &key, NULL) == OK &&
            !memcmp(key.data, "place/", 6);
    meet(r);
    return taken ? OK : scim_kv_put(txn, S(r->own), S("taken"), false);
}

static scim_kv_rc count_places(scim_kv_txn *txn, void *count)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_kv_rc rc;

    *(int *)count = 0;
    for (rc = scim_kv_seek(cursor, S("place/"), &key, NULL);
         rc == OK && key.len > 6 && !memcmp(key.data, "place/", 6);
         rc = scim_kv_next(cursor, &key, NULL)) {
        ++*(int *)count;
    }
    return rc == SCIM_KV_NOTFOUND ? OK : rc;
}

static scim_kv_rc clear_places(scim_kv_txn *txn, void *baton)
{
    scim_kv_del(txn, S("place/one"));
    scim_kv_del(txn, S("place/two"));
    return OK;
}

/* How many of so many races came to what no order of the two could. */
static int broken_duties(scim_kv *other, int count)
{
    int broken = 0;

    while (count-- > 0) {
        const char *one, *two;

        assert_int_equal(put("one", "on"), OK);
        assert_int_equal(put("two", "on"), OK);
        race_both(leave_duty, other, "one", "two");
        assert_int_equal(get("one", &one), OK);
        assert_int_equal(get("two", &two), OK);
        broken += strcmp(one, "on") && strcmp(two, "on");
    }
    return broken;
}

static int broken_places(scim_kv *other, int count)
{
    int broken = 0;

    while (count-- > 0) {
        int places;

        assert_int_equal(scim_kv_update(kv, clear_places, NULL), OK);
        race_both(take_place, other, "place/one", "place/two");
        assert_int_equal(scim_kv_view(kv, count_places, &places), OK);
        assert_true(places > 0);
        broken += places > 1;
    }
    return broken;
}

static void test_skew(void **state)
{
    scim_kv *other = open_at(straight);

    assert_int_equal(put("a", "a row before"), OK);
    assert_int_equal(put("z", "a row behind"), OK);
    assert_int_equal(broken_duties(other, rounds(30, 1000)), 0);
    assert_int_equal(broken_places(other, rounds(30, 1000)), 0);
}

/* The test finds what an engine does that only keeps what each has read. */
static void test_skew_of_weak(void **state)
{
    scim_kv *other = open_at(straight);

    scim_kv_pgsql_weaken(kv, true);
    scim_kv_pgsql_weaken(other, true);
    assert_true(broken_duties(other, 5) > 0);
    assert_true(broken_places(other, 5) > 0);
    scim_kv_pgsql_weaken(kv, false);
    scim_kv_pgsql_weaken(other, false);
    assert_int_equal(broken_duties(other, 5), 0);
}

static scim_kv_rc add_and_meet(scim_kv_txn *txn, void *baton)
{
    racer *r = baton;
    scim_kv_rc rc = is(txn, "a", "1") ? OK : SCIM_KV_CORRUPT; /* begins */

    atomic_fetch_add(&r->runs, 1);
    meet(r);
    return rc == OK ? scim_kv_add(txn, S("counter"), 1, NULL) : rc;
}

/* Counters are in nobody's way. */
static void test_counters(void **state)
{
    scim_kv *other = open_at(straight);
    int count = 10, runs = 0;

    assert_int_equal(put("a", "1"), OK);
    assert_int_equal(scim_kv_update(kv, add_one, (void *)"counter"), OK);
    for (int i = 0; i < count; i++) {
        runs += race_both(add_and_meet, other, "", "");
    }
    assert_int_equal(counter(kv), 1 + 2 * count);
    assert_int_equal(counter(other), 1 + 2 * count);
    assert_int_equal(runs, 2 * count);
}

enum { CROWD = 8, TURNS = 15 };

/* Reads and writes the same row, and so is in everybody's way. */
static scim_kv_rc count_by_hand(scim_kv_txn *txn, void *baton)
{
    apr_int64_t number = 0;
    scim_kv_rc rc = scim_kv_add(txn, S("counter"), 1, &number);

    return rc;
}

static void *crowd(void *failed)
{
    for (int i = 0; i < TURNS; i++) {
        if (scim_kv_update(kv, count_by_hand, NULL) != OK) {
            atomic_fetch_add((atomic_int *)failed, 1);
        }
    }
    return NULL;
}

static scim_kv_rc count_alone(scim_kv_txn *txn, void *runs)
{
    ++*(int *)runs;
    return count_by_hand(txn, NULL);
}

/* All come to their turn, few sessions or many; and who is alone runs once. */
static void run_crowd(unsigned int connections)
{
    pthread_t threads[CROWD];
    atomic_int failed = 0;
    apr_int64_t before;
    long most = 0;

    options.connections = connections;
    reopen();
    before = counter(kv);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd, &failed), 0);
    }
    for (int i = 0; i < TURNS; i++) {
        int runs = 0;
        long now = sessions();

        assert_int_equal(scim_kv_update_exclusive(kv, count_alone, &runs), OK);
        assert_int_equal(runs, 1);
        most = now > most ? now : most;
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(failed, 0);
    assert_int_equal(counter(kv) - before, (CROWD + 1) * TURNS);
    assert_in_range(most, 1, connections);
}

static void test_crowd(void **state)
{
    run_crowd(2);
    run_crowd(CROWD + 1);
}

/*
 * Keeping house
 */

static void test_folding(void **state)
{
    const int adds = 300;

    for (int i = 0; i < adds; i++) {
        assert_int_equal(scim_kv_update(kv, add_one, (void *)"counter"), OK);
        if (i % 50 == 49) {
            assert_int_equal(counter(kv), i + 1);
        }
    }
    /* Who reads the sum in an update finds that they are many. */
    assert_int_equal(scim_kv_update(kv, count_by_hand, NULL), OK);
    assert_int_equal(counter(kv), adds + 1);
    assert_in_range(rows_of("scim_delta"), 0, 80);
}

static void test_marks(void **state)
{
    int freed;

    for (int i = 0; i < 5; i++) {
        assert_int_equal(put("a", "1"), OK);
    }
    assert_true(rows_of("scim_commit") >= 5);
    assert_int_equal(scim_kv_check(kv, &freed), OK);
    assert_true(rows_of("scim_commit") >= 5);
    pgsql_run(apr_pstrcat(
        pool, "UPDATE ",
        apr_pstrmemdup(pool, pgsql_schema(straight), strcspn(pgsql_schema(straight), " ")),
        ".scim_commit SET at = at - interval '2 hours'", NULL));
    assert_int_equal(scim_kv_check(kv, &freed), OK);
    assert_int_equal(rows_of("scim_commit"), 0);
}

/*
 * How often somebody waits for the server
 */

static scim_kv_rc get_two(scim_kv_txn *txn, void *baton)
{
    return is(txn, "a", "1") && is(txn, "b", "2") ? OK : SCIM_KV_CORRUPT;
}

static scim_kv_rc expect_two(scim_kv_txn *txn, void *baton)
{
    static const scim_kv_wish wishes[] = {{{"a", 1}, 0}, {{"b", 1}, 0}};

    scim_kv_expect(txn, wishes, 2);
    return get_two(txn, NULL);
}

static scim_kv_rc get_twice(scim_kv_txn *txn, void *baton)
{
    return is(txn, "a", "1") && is(txn, "a", "1") ? OK : SCIM_KV_CORRUPT;
}

static scim_kv_rc put_three(scim_kv_txn *txn, void *baton)
{
    put_row(txn, &(row){"c", "1"});
    put_row(txn, &(row){"d", "2"});
    return scim_kv_add(txn, S("counter"), 1, NULL);
}

static scim_kv_rc get_and_put(scim_kv_txn *txn, void *baton)
{
    return is(txn, "a", "1") ? put_row(txn, &(row){"a", "1"}) : SCIM_KV_CORRUPT;
}

/* That it is there already shows when it is committed. */
static scim_kv_rc put_new(scim_kv_txn *txn, void *baton)
{
    static int count;
    row r = {apr_psprintf(pool, "new%d", count++), "1"};

    return scim_kv_put(txn, S(r.key), S(r.value), scim_kv_bold(txn));
}

static scim_kv_rc walk(scim_kv_txn *txn, void *steps)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_kv_rc rc = OK;

    for (int i = *(int *)steps; i > 0 && rc == OK; i--) {
        rc = scim_kv_next(cursor, NULL, NULL);
    }
    return rc;
}

static scim_kv_rc put_many(scim_kv_txn *txn, void *baton)
{
    for (int i = 0; i < 400; i++) {
        row r = {apr_psprintf(pool, "many%03d", i), "x"};

        put_row(txn, &r);
    }
    return OK;
}

typedef scim_kv_rc (*transaction)(scim_kv *, scim_kv_fn, void *);

/* The least of several times: who is held up by others on this machine looks as if it
 * waited once more. */
static int trips(transaction run, scim_kv_fn fn, void *baton)
{
    int least = INT32_MAX;

    for (int i = 0; i < 5; i++) {
        int taken;

        proxy_count(&wire);
        assert_int_equal(run(kv, fn, baton), OK);
        taken = atomic_load(&wire.trips);
        least = taken < least ? taken : least;
    }
    atomic_store(&wire.counts, false);
    return least;
}

static void test_trips(void **state)
{
    assert_int_equal(put("a", "1"), OK);
    assert_int_equal(put("b", "2"), OK);
    assert_int_equal(scim_kv_update(kv, put_many, NULL), OK);
    assert_int_equal(trips(scim_kv_view, get_twice, NULL), 1);
    assert_in_range(trips(scim_kv_view, get_two, NULL), 1, 2);
    assert_int_equal(trips(scim_kv_view, expect_two, NULL), 1);
    assert_in_range(trips(scim_kv_update, put_three, NULL), 1, 2);
    assert_int_equal(trips(scim_kv_update, get_and_put, NULL), 2);
    assert_in_range(trips(scim_kv_update, put_new, NULL), 1, 2);
    assert_int_equal(trips(scim_kv_view, walk, &(int){4}), 1);
    assert_int_equal(trips(scim_kv_view, walk, &(int){30}), 2);
    assert_int_equal(trips(scim_kv_view, walk, &(int){300}), 4);
}

/*
 * Opening
 */

static const char *refused(scim_kv_rc expected, const char *where)
{
    const char *why = NULL;
    scim_kv *opened;

    assert_int_equal(scim_kv_open(&opened, where, &options, &why, pool), expected);
    assert_null(opened);
    assert_non_null(why);
    return why;
}

static void assert_tells(const char *why, const char *part)
{
    if (!strstr(why, part)) {
        fail_msg("%s: no \"%s\"", why, part);
    }
}

static void test_refused(void **state)
{
    static const char *const secret[] = {
        "pgsql:host=h dbname=d password=geheim", "pgsql:host=h sslpassword=geheim",
        "pgsql:postgresql://u:geheim@h/d", "pgsql:postgresql://h/d?password=geheim"};

    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        const char *why = refused(SCIM_KV_INVALID, secret[i]);

        assert_tells(why, "passfile=");
        assert_null(strstr(why, "geheim"));
    }
    assert_tells(refused(SCIM_KV_INVALID, "pgsql:this is none"), "connection string");
    assert_tells(refused(SCIM_KV_BUSY, "pgsql:host=/nonexistent dbname=d"), "/nonexistent");
    assert_tells(refused(SCIM_KV_NOTFOUND, apr_pstrcat(pool, pgsql_make(pool), NULL)),
                 "scimctl init");
}

static void test_read_only(void **state)
{
    const char *name = pgsql_schema(straight);

    assert_int_equal(put("a", "1"), OK);
    scim_kv_close(kv);
    /* As where an administrator has said so, or a standby. */
    kv = open_at(apr_psprintf(pool,
                              "%s target_session_attrs=any "
                              "options='-csearch_path=%s -cdefault_transaction_read_only=on'",
                              url, apr_pstrmemdup(pool, name, strcspn(name, " "))));
    expect("a", "1");
    assert_int_equal(put("a", "2"), SCIM_KV_READONLY);
    expect("a", "1");
}

static void test_statistics(void **state)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_statistics(kv, &stat), OK);
    assert_int_equal(stat.entries, 0);
    assert_int_equal(stat.updates, 0);
    assert_int_equal(put("a", "1"), OK);
    assert_int_equal(put("b", "1"), OK);
    assert_int_equal(scim_kv_update(kv, get_twice, NULL), OK);
    assert_int_equal(scim_kv_statistics(kv, &stat), OK);
    assert_int_equal(stat.entries, 2);
    assert_int_equal(stat.updates, 3);
    assert_int_equal(stat.commits, 2);
    assert_true(stat.used > 0);
}

#define TEST(text, test)                  \
    {                                     \
        text, test, setup, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("what is committed is applied once, whether its answer comes or not",
             test_lost_answer),
        TEST("what nobody can find out is not acknowledged", test_lost_for_good),
        TEST("sessions that the server ended are replaced", test_terminated),
        TEST("an update whose session ends is run again", test_terminated_inside),
        TEST("a view whose session ends is over", test_terminated_view),
        TEST("a server that is silent is given up", test_silent),
        TEST("two updates come to one after the other", test_skew),
        TEST("which a weaker isolation does not", test_skew_of_weak),
        TEST("counters are in nobody's way", test_counters),
        TEST("many who write the same row", test_crowd),
        TEST("what was added is added up", test_folding),
        TEST("marks are forgotten", test_marks),
        TEST("round trips", test_trips),
        TEST("what cannot be opened", test_refused),
        TEST("a server that takes no writes", test_read_only),
        TEST("statistics", test_statistics),
    };

    if (!pgsql_server()) {
        puts("1..0 # SKIP no PostgreSQL: make check ENGINE=pgsql");
        return 0;
    }
    apr_initialize();
    atexit(apr_terminate);
    pgsql_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
