/* SPDX-License-Identifier: Apache-2.0 */
/* The tally: what is counted, what fails and is mended, and what becomes of it where there is
 * no room, or where a process left it in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>
#include <pthread.h>

#include "../../mod_scim/core/tally_slots.h"

#define STORE 7
#define SEED 0x1234
#define S APR_USEC_PER_SEC

static apr_pool_t *pool;
static scim_tally *tally;

/* Shared with processes that a test makes. */
static int make_tally(void **state)
{
    apr_pool_create(&pool, NULL);
    tally = mmap(NULL, scim_tally_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    return tally == MAP_FAILED ? -1 : 0;
}

static int drop_tally(void **state)
{
    apr_pool_destroy(pool);
    return munmap(tally, scim_tally_size());
}

static scim_tally_event event_of(const char *op, int status)
{
    return (scim_tally_event){
        .store = STORE,
        .tenant = "acme",
        .connection = "entra",
        .op = op,
        .what = strstr(op, ".get")    ? SCIM_TALLY_READ
                : strstr(op, ".list") ? SCIM_TALLY_LIST
                                      : SCIM_TALLY_WRITE,
        .status = status,
        .now = apr_time_now(),
        .took = -1,
        .detail = status >= 400 ? "it is wrong" : NULL,
    };
}

static void note(scim_tally_event event)
{
    scim_tally_note(tally, &event, SEED);
}

static const scim_tally_connection *only_connection(void)
{
    apr_array_header_t *all = scim_tally_connections(tally, STORE, pool);

    assert_int_equal(all->nelts, 1);
    return &APR_ARRAY_IDX(all, 0, scim_tally_connection);
}

static apr_uint64_t requests(const scim_tally_connection *one, const char *op, int status)
{
    int i;

    for (i = 0; i < one->counts->nelts; i++) {
        const scim_tally_count *count = &APR_ARRAY_IDX(one->counts, i, scim_tally_count);

        if (!strcmp(count->op, op) && count->status == status) {
            return count->requests;
        }
    }
    return 0;
}

/* Connections */

static void counts_by_operation_and_status(void **state)
{
    static const struct {
        const char *op, *counted;
        int status, as;
    } rows[] = {
        {"users.list", "users.list", 200, 200},
        {"groups.patch", "groups.patch", 204, 204},
        {"devices.get", "others.get", 200, 200},
        {"uniforms.create", "others.create", 201, 201},
        {"gadgets.list", "others.list", 200, 200},
        {"menus.delete", "others.delete", 204, 204},
        {"root.search", "root.search", 200, 200},
        {"bulk", "bulk", 200, 200},
        {"me.get", "me", 404, 404},
        {"config.get", "discovery", 200, 200},
        {"schemas.list", "discovery", 200, 200},
        {"resourcetypes.get", "discovery", 200, 200},
        {"unknown", "unknown", 404, 404},
        {"users.replace", "users.replace", 418, 0},
    };
    const scim_tally_connection *one;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        note(event_of(rows[i].op, rows[i].status));
        note(event_of(rows[i].op, rows[i].status));
    }
    one = only_connection();
    assert_string_equal(one->tenant, "acme");
    assert_string_equal(one->connection, "entra");
    assert_int_equal(one->requests, 2 * sizeof(rows) / sizeof(rows[0]));
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apr_uint64_t n = requests(one, rows[i].counted, rows[i].as);

        assert_int_equal(n, strcmp(rows[i].counted, "discovery") ? 2 : 6);
    }
    assert_int_equal(scim_tally_connections(tally, STORE + 1, pool)->nelts, 0);
}

static void keeps_times_and_the_last_error(void **state)
{
    scim_tally_event good = event_of("users.create", 201), bad = event_of("users.patch", 400);
    const scim_tally_connection *one;

    good.now = bad.now = 1000 * S;
    good.expires = 5000 * S;
    note(good);
    bad.now += S;
    bad.scim_type = "invalidPath";
    bad.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
    bad.user_agent = "Okta SCIM Client 1.0.0";
    note(bad);
    one = only_connection();
    assert_int_equal(one->first, 1000 * S);
    assert_int_equal(one->last, 1001 * S);
    assert_int_equal(one->success, 1000 * S);
    assert_int_equal(one->expires, 0);
    assert_int_equal(one->agent, SCIM_AGENT_OKTA);
    assert_int_equal(one->failures, 1);
    assert_int_equal(one->error.time, 1001 * S);
    assert_int_equal(one->error.status, 400);
    assert_string_equal(one->error.op, "users.patch");
    assert_string_equal(one->error.scim_type, "invalidPath");
    assert_string_equal(one->error.id, bad.id);
    assert_string_equal(one->error.detail, "it is wrong");
}

static void what_is_not_there_is_no_failure_to_look_for(void **state)
{
    note(event_of("users.get", 404));
    note(event_of("users.list", 404));
    note(event_of("users.delete", 404));
    assert_int_equal(only_connection()->failures, 0);
    assert_int_equal(only_connection()->error.time, 0);
    note(event_of("users.patch", 404));
    assert_int_equal(only_connection()->failures, 1);
}

static void cuts_texts_between_characters(void **state)
{
    scim_tally_event event = event_of("users.create", 400);
    char detail[400] = "x";
    const char *kept;
    int i;

    for (i = 1; i + 2 < 400; i += 2) {
        memcpy(detail + i, "\xc3\xa4", 3);
    }
    event.detail = detail;
    event.scim_type = "aScimTypeThatNobodyEverThoughtOf";
    note(event);
    kept = only_connection()->error.detail;
    assert_int_equal(strlen(kept), SCIM_TALLY_DETAIL - 2);
    assert_memory_equal(kept, detail, SCIM_TALLY_DETAIL - 5);
    assert_string_equal(kept + SCIM_TALLY_DETAIL - 5, "...");
    event.detail = detail + 1;
    note(event);
    assert_int_equal(strlen(only_connection()->error.detail), SCIM_TALLY_DETAIL - 1);
    detail[SCIM_TALLY_DETAIL - 1] = '\0';
    note(event);
    assert_string_equal(only_connection()->error.detail, detail + 1);
    assert_int_equal(strlen(only_connection()->error.scim_type), SCIM_TALLY_TYPE - 1);
}

static void those_who_have_no_room_are_counted_together(void **state)
{
    apr_array_header_t *all;
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < 2 * SCIM_TALLY_CONNECTIONS; i++) {
        scim_tally_event event = event_of("users.get", 200);

        event.connection = apr_psprintf(pool, "c%d", i);
        note(event);
    }
    all = scim_tally_connections(tally, STORE, pool);
    assert_in_range(all->nelts, SCIM_TALLY_CONNECTIONS / 2, SCIM_TALLY_CONNECTIONS + 1);
    for (i = 0; i < all->nelts; i++) {
        sum += APR_ARRAY_IDX(all, i, scim_tally_connection).requests;
    }
    assert_int_equal(sum, 2 * SCIM_TALLY_CONNECTIONS);
    assert_string_equal(APR_ARRAY_IDX(all, all->nelts - 1, scim_tally_connection).connection,
                        "(others)");
}

static void who_is_quiet_for_a_day_makes_room(void **state)
{
    scim_tally_event event = event_of("users.patch", 400);
    const scim_tally_connection *one = NULL;
    apr_array_header_t *all;
    int i;

    for (i = 0; i < 2 * SCIM_TALLY_CONNECTIONS; i++) {
        event.connection = apr_psprintf(pool, "c%d", i);
        note(event);
    }
    event = event_of("users.get", 200);
    event.connection = "new";
    event.now += 25 * 3600 * S;
    note(event);
    all = scim_tally_connections(tally, STORE, pool);
    for (i = 0; i < all->nelts && !one; i++) {
        if (!strcmp(APR_ARRAY_IDX(all, i, scim_tally_connection).connection, "new")) {
            one = &APR_ARRAY_IDX(all, i, scim_tally_connection);
        }
    }
    assert_non_null(one);
    assert_int_equal(one->requests, 1);
    assert_int_equal(one->failures, 0);
    assert_int_equal(one->error.time, 0);
    assert_int_equal(one->first, event.now);
}

static void nobody_is_somebody(void **state)
{
    scim_tally_event event = event_of("users.list", 401);
    scim_tally_refused refused[SCIM_TALLY_REASONS];

    event.tenant = event.connection = NULL;
    event.refused = SCIM_TALLY_UNKNOWN;
    event.address = "192.0.2.1";
    note(event);
    note(event);
    assert_string_equal(only_connection()->connection, "");
    assert_int_equal(only_connection()->requests, 2);
    scim_tally_refusals(refused, tally);
    assert_int_equal(refused[SCIM_TALLY_UNKNOWN].requests, 2);
    assert_int_equal(refused[SCIM_TALLY_UNKNOWN].last, event.now);
    assert_string_equal(refused[SCIM_TALLY_UNKNOWN].address, "192.0.2.1");
    assert_int_equal(refused[SCIM_TALLY_EXPIRED].requests, 0);
    assert_string_equal(scim_tally_reason_word(SCIM_TALLY_UNKNOWN), "unknown");
}

/* Objects */

static apr_size_t failing(void)
{
    return scim_tally_failing(tally, STORE);
}

static void an_object_fails_until_it_succeeds(void **state)
{
    scim_tally_event bad = event_of("users.patch", 400), good = event_of("users.replace", 200);
    apr_array_header_t *all;
    apr_size_t total;
    const scim_tally_object *one;

    bad.id = good.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
    note(bad);
    bad.now += S;
    bad.detail = "it is still wrong";
    note(bad);
    all = scim_tally_objects(&total, tally, STORE, 0, 10, pool);
    assert_int_equal(total, 1);
    assert_int_equal(all->nelts, 1);
    one = &APR_ARRAY_IDX(all, 0, scim_tally_object);
    assert_string_equal(one->connection, "entra");
    assert_int_equal(one->tries, 2);
    assert_int_equal(one->first, bad.now - S);
    assert_int_equal(one->error.time, bad.now);
    assert_string_equal(one->error.detail, "it is still wrong");

    good.connection = "okta"; /* another one's success is not this one's */
    note(good);
    assert_int_equal(failing(), 1);
    good.connection = "entra";
    note(good);
    assert_int_equal(failing(), 0);
    note(bad);
    scim_tally_objects(&total, tally, STORE, 0, 10, pool);
    assert_int_equal(total, 1);
    assert_int_equal(APR_ARRAY_IDX(scim_tally_objects(&total, tally, STORE, 0, 10, pool), 0,
                                   scim_tally_object)
                         .tries,
                     1);
}

static void a_creation_is_known_by_its_subject(void **state)
{
    scim_tally_event bad = event_of("users.create", 409), other = bad;

    bad.subject = 11;
    other.subject = 12;
    note(bad);
    note(bad);
    note(other);
    assert_int_equal(failing(), 2);
    bad.status = 201;
    bad.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
    note(bad);
    assert_int_equal(failing(), 1);
    other = event_of("users.create", 400); /* nothing is known of it but what is wrong */
    note(other);
    note(other);
    assert_int_equal(failing(), 2);
}

static void what_concerns_everybody_is_of_no_object(void **state)
{
    static const int statuses[] = {401, 403, 405, 415, 429, 501, 503, 507};
    size_t i;

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        scim_tally_event event = event_of("users.patch", statuses[i]);

        event.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
        note(event);
    }
    note(event_of("users.list", 400));
    note(event_of("bulk", 400));
    note(event_of("users.delete", 404));
    assert_int_equal(failing(), 0);
}

static void a_deleted_object_fails_no_more(void **state)
{
    scim_tally_event event = event_of("groups.patch", 400);

    event.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
    note(event);
    event = event_of("groups.delete", 404);
    event.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
    note(event);
    assert_int_equal(failing(), 0);
}

static void what_was_not_tried_for_a_week_is_forgotten(void **state)
{
    scim_tally_event event = event_of("users.patch", 400);

    event.id = "01a20074-7ce9-7293-97be-1285721f7a9c";
    event.now -= 7 * 86400 * S + S;
    note(event);
    assert_int_equal(failing(), 0);
}

static void fail_objects(int n)
{
    int i;

    for (i = 0; i < n; i++) {
        scim_tally_event event = event_of("users.patch", 400);

        event.id = apr_psprintf(pool, "id %d", i);
        event.now = apr_time_now();
        note(event);
    }
}

static void ten_thousand_fail_at_once(void **state)
{
    apr_array_header_t *all;
    apr_size_t total, seen = 0, skip;
    apr_time_t last = APR_INT64_MAX;
    int i;

    fail_objects(10000);
    for (skip = 0; skip < 10000; skip += 300) {
        all = scim_tally_objects(&total, tally, STORE, skip, 300, pool);
        assert_int_equal(total, 10000);
        for (i = 0; i < all->nelts; i++, seen++) {
            apr_time_t time = APR_ARRAY_IDX(all, i, scim_tally_object).error.time;

            assert_true(time <= last);
            last = time;
        }
    }
    assert_int_equal(seen, 10000);
    assert_int_equal(scim_tally_objects(&total, tally, STORE, 10000, 300, pool)->nelts, 0);
}

static void of_more_than_there_is_room_for_the_latest_stay(void **state)
{
    apr_array_header_t *all;
    apr_size_t total;

    fail_objects(2 * SCIM_TALLY_OBJECTS);
    all = scim_tally_objects(&total, tally, STORE, 0, 1, pool);
    assert_in_range(total, SCIM_TALLY_OBJECTS * 9 / 10, SCIM_TALLY_OBJECTS);
    assert_string_equal(APR_ARRAY_IDX(all, 0, scim_tally_object).error.id,
                        apr_psprintf(pool, "id %d", 2 * SCIM_TALLY_OBJECTS - 1));
}

/* Latency */

static void latencies_fall_into_buckets(void **state)
{
    static const apr_interval_time_t took[] = {0, 5, 6, 1000, 10000000, 10000001};
    scim_tally_histogram h;
    size_t i;

    for (i = 0; i < sizeof(took) / sizeof(took[0]); i++) {
        scim_tally_event event = event_of("users.list", 200);

        event.took = took[i];
        note(event);
    }
    note(event_of("users.list", 200));
    scim_tally_latency(&h, tally, SCIM_TALLY_LIST);
    assert_int_equal(h.count, 6);
    assert_int_equal(h.sum, 5 + 6 + 1000 + 10000000 + 10000001);
    assert_int_equal(h.buckets[0], 2);
    assert_int_equal(h.buckets[1], 1);
    assert_int_equal(h.buckets[7], 1);
    assert_int_equal(h.buckets[SCIM_TALLY_BUCKETS - 2], 1);
    assert_int_equal(h.buckets[SCIM_TALLY_BUCKETS - 1], 1);
    scim_tally_latency(&h, tally, SCIM_TALLY_WRITE);
    assert_int_equal(h.count, 0);
}

/* Others */

static void a_lock_that_was_left_is_taken_later(void **state)
{
    scim_tally_event bad = event_of("users.patch", 400);
    int i;

    bad.now = apr_time_now();
    note(bad);
    for (i = 0; i < SCIM_TALLY_CONNECTIONS; i++) {
        tally->connections[i].lock = bad.now;
    }
    bad.detail = "later";
    bad.now += S;
    note(bad); /* returns, with the lock as it is */
    for (i = 0; i < SCIM_TALLY_CONNECTIONS; i++) {
        assert_int_equal(tally->connections[i].lock, bad.now - S);
    }
    bad.now += 2 * S;
    note(bad);
    assert_string_equal(only_connection()->error.detail, "later");
    assert_int_equal(only_connection()->failures, 3);
    /* Of a clock that was set back, too. */
    for (i = 0; i < SCIM_TALLY_CONNECTIONS; i++) {
        tally->connections[i].lock = bad.now + 3600 * S;
    }
    bad.detail = "earlier";
    note(bad);
    assert_string_equal(only_connection()->error.detail, "earlier");
}

static void a_slot_that_was_left_without_its_names_gets_them(void **state)
{
    int i;

    note(event_of("users.get", 200));
    for (i = 0; i < SCIM_TALLY_CONNECTIONS; i++) {
        tally->connections[i].named = 0;
        memset(tally->connections[i].tenant, 0, SCIM_TALLY_NAME);
        memset(tally->connections[i].connection, 0, SCIM_TALLY_NAME);
    }
    assert_int_equal(scim_tally_connections(tally, STORE, pool)->nelts, 0);
    note(event_of("users.get", 200));
    assert_int_equal(only_connection()->requests, 2);
    assert_string_equal(only_connection()->connection, "entra");
}

/* Whatever stands in it, whoever reads and writes it stays within it. */
static void any_bytes_are_read_and_written(void **state)
{
    unsigned char *bytes = (unsigned char *)tally;
    scim_tally_refused refused[SCIM_TALLY_REASONS];
    scim_tally_event event = event_of("users.patch", 400);
    scim_tally_histogram h;
    apr_array_header_t *all;
    apr_size_t i, total;

    memset(tally, 0xff, scim_tally_size());
    srand(1);
    for (i = 0; i < sizeof(tally->latency) + sizeof(tally->refused) +
                        4 * sizeof(tally->connections[0]);
         i++) {
        bytes[i] = (unsigned char)rand();
    }
    all = scim_tally_connections(tally, ~(apr_uint64_t)0, pool);
    for (i = 0; i < (apr_size_t)all->nelts; i++) {
        const scim_tally_connection *one = &APR_ARRAY_IDX(all, i, scim_tally_connection);

        assert_true(strlen(one->tenant) < SCIM_TALLY_NAME);
        assert_true(strlen(one->error.detail) < SCIM_TALLY_DETAIL);
        assert_non_null(scim_tally_agent_name(one->agent));
    }
    scim_tally_objects(&total, tally, ~(apr_uint64_t)0, 0, 100, pool);
    scim_tally_refusals(refused, tally);
    scim_tally_latency(&h, tally, SCIM_TALLY_READ);
    event.id = "id";
    note(event);
    event.connection = NULL;
    event.refused = SCIM_TALLY_EXPIRED;
    event.took = 5;
    note(event);
}

#define THREADS 4
#define EACH 5000

static void *ask(void *baton)
{
    int i;

    for (i = 0; i < EACH; i++) {
        scim_tally_event event = event_of("users.get", 200);
        char name[16], id[16];

        snprintf(name, sizeof(name), "c%d", i % 7);
        event.connection = name;
        event.took = i;
        scim_tally_note(tally, &event, SEED);
        event = event_of("users.patch", i % 2 ? 400 : 204);
        snprintf(id, sizeof(id), "id %d", i % 50);
        event.id = id;
        scim_tally_note(tally, &event, SEED);
    }
    return NULL;
}

static void *look(void *baton)
{
    apr_pool_t *own;
    apr_size_t total;
    int i, j;

    apr_pool_create(&own, NULL);
    for (i = 0; i < 20; i++) {
        apr_array_header_t *all = scim_tally_connections(tally, STORE, own);

        for (j = 0; j < all->nelts; j++) {
            if (strcmp(APR_ARRAY_IDX(all, j, scim_tally_connection).tenant, "acme")) {
                return (void *)"a name that nobody has";
            }
        }
        scim_tally_objects(&total, tally, STORE, 0, 10, own);
        apr_pool_clear(own);
    }
    apr_pool_destroy(own);
    return NULL;
}

static void nothing_is_lost_between_threads_and_processes(void **state)
{
    pthread_t threads[THREADS + 1];
    scim_tally_histogram h;
    apr_array_header_t *all;
    apr_uint64_t sum = 0;
    void *said;
    int i, status;
    pid_t pid = fork();

    if (pid == 0) {
        ask(NULL);
        _exit(0);
    }
    assert_int_equal(pthread_create(&threads[THREADS], NULL, look, NULL), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
    }
    for (i = 0; i <= THREADS; i++) {
        pthread_join(threads[i], &said);
        assert_null(said);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    all = scim_tally_connections(tally, STORE, pool);
    assert_int_equal(all->nelts, 8);
    for (i = 0; i < all->nelts; i++) {
        sum += APR_ARRAY_IDX(all, i, scim_tally_connection).requests;
    }
    assert_int_equal(sum, 2 * EACH * (THREADS + 1));
    scim_tally_latency(&h, tally, SCIM_TALLY_READ);
    assert_int_equal(h.count, EACH * (THREADS + 1));
}

static void clients_are_known_by_their_name(void **state)
{
    static const struct {
        const char *user_agent;
        scim_tally_agent agent;
    } rows[] = {{"Okta SCIM Client 1.0.0", SCIM_AGENT_OKTA},
                {"OKTA SCIM Integration", SCIM_AGENT_OKTA},
                {"JumpCloud SCIM", SCIM_AGENT_JUMPCLOUD},
                {"Mozilla/5.0 (compatible; Microsoft-Azure-AD)", SCIM_AGENT_ENTRA},
                {"PingFederate 12", SCIM_AGENT_PING},
                {"curl/7.88", SCIM_AGENT_UNKNOWN},
                {"", SCIM_AGENT_UNKNOWN},
                {NULL, SCIM_AGENT_UNKNOWN}};
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(scim_tally_agent_of(rows[i].user_agent), rows[i].agent);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tally, drop_tally)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_by_operation_and_status),
        TEST(keeps_times_and_the_last_error),
        TEST(what_is_not_there_is_no_failure_to_look_for),
        TEST(cuts_texts_between_characters),
        TEST(those_who_have_no_room_are_counted_together),
        TEST(who_is_quiet_for_a_day_makes_room),
        TEST(nobody_is_somebody),
        TEST(an_object_fails_until_it_succeeds),
        TEST(a_creation_is_known_by_its_subject),
        TEST(what_concerns_everybody_is_of_no_object),
        TEST(a_deleted_object_fails_no_more),
        TEST(what_was_not_tried_for_a_week_is_forgotten),
        TEST(ten_thousand_fail_at_once),
        TEST(of_more_than_there_is_room_for_the_latest_stay),
        TEST(latencies_fall_into_buckets),
        TEST(a_lock_that_was_left_is_taken_later),
        TEST(a_slot_that_was_left_without_its_names_gets_them),
        TEST(any_bytes_are_read_and_written),
        TEST(nothing_is_lost_between_threads_and_processes),
        TEST(clients_are_known_by_their_name),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
