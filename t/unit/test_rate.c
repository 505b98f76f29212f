/* SPDX-License-Identifier: Apache-2.0 */
/* Rate limits: what is admitted, when, and to whom the table has no room left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "scim/rate.h"

#define S APR_USEC_PER_SEC
#define BUCKETS (SCIM_RATE_SLOTS / 8)

static scim_rate_table *table;
static const scim_rate ten_a_second = {S / 10, 5};

/* Shared with processes that a test makes. */
static int make_table(void **state)
{
    table =
        mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return table == MAP_FAILED ? -1 : 0;
}

static int drop_table(void **state)
{
    return munmap(table, sizeof(*table));
}

/* How many of n requests at that moment are within the rate. */
static int admitted(apr_uint64_t key, const scim_rate *rate, int n, apr_time_t now)
{
    int i, count = 0;

    for (i = 0; i < n; i++) {
        count += scim_rate_take(table, key, rate, now) == 0;
    }
    return count;
}

static void a_burst_then_the_rate(void **state)
{
    apr_time_t now = 1000 * S;
    int i;

    assert_int_equal(admitted(7, &ten_a_second, 20, now), 5);
    assert_int_equal(scim_rate_take(table, 7, &ten_a_second, now), S / 10);
    assert_int_equal(scim_rate_take(table, 7, &ten_a_second, now + S / 10 - 1), 1);
    for (i = 1; i <= 50; i++) {
        assert_int_equal(admitted(7, &ten_a_second, 3, now + i * S / 10), 1);
    }
    assert_int_equal(admitted(7, &ten_a_second, 20, now + 5 * S + 2 * S / 10), 2);
    assert_int_equal(admitted(7, &ten_a_second, 20, now + 3600 * S), 5);
}

/* A refusal costs nothing: who keeps asking is admitted when the others are. */
static void asking_in_vain_costs_nothing(void **state)
{
    apr_time_t now = 1000 * S;

    admitted(7, &ten_a_second, 5, now);
    assert_int_equal(admitted(7, &ten_a_second, 1000, now + S / 20), 0);
    assert_int_equal(admitted(7, &ten_a_second, 10, now + S / 10), 1);
}

static void a_burst_of_one(void **state)
{
    static const scim_rate rate = {60 * S, 1};

    assert_int_equal(scim_rate_take(table, 9, &rate, 1000 * S), 0);
    assert_int_equal(scim_rate_take(table, 9, &rate, 1001 * S), 59 * S);
    assert_int_equal(scim_rate_take(table, 9, &rate, 1060 * S), 0);
}

static void each_key_has_its_own(void **state)
{
    apr_uint64_t key;

    /* 0 marks a free slot, and is a hash like others. */
    for (key = 0; key < 4000; key += 40) {
        assert_int_equal(admitted(key, &ten_a_second, 20, 1000 * S), 5);
    }
    for (key = 0; key < 4000; key += 40) {
        assert_int_equal(admitted(key, &ten_a_second, 20, 1000 * S), 0);
    }
}

static void a_clock_that_is_set_forward_or_back(void **state)
{
    apr_time_t now = 100000 * S;

    assert_int_equal(admitted(7, &ten_a_second, 20, now), 5);
    assert_int_equal(admitted(7, &ten_a_second, 20, now + 86400 * S), 5);
    /* back by a day: what is left to wait is no more than the burst's time */
    assert_in_range(scim_rate_take(table, 7, &ten_a_second, now), 1, S / 10);
    assert_int_equal(admitted(7, &ten_a_second, 20, now + S / 10), 1);
    assert_int_equal(admitted(7, &ten_a_second, 20, now + 6 * S / 10), 5);
}

/* Clocks of threads differ by what lies between reading one and using it. */
static void a_reading_that_is_late_admits_no_more(void **state)
{
    apr_time_t now = 1000 * S;

    assert_int_equal(admitted(7, &ten_a_second, 5, now), 5);
    assert_int_equal(admitted(7, &ten_a_second, 5, now - S / 2), 0);
    assert_int_equal(admitted(7, &ten_a_second, 5, now), 0);
}

/* The keys of one bucket, whose number is given, are this far apart. */
static apr_uint64_t in_bucket(int i)
{
    return 5 + (apr_uint64_t)(i + 1) * BUCKETS;
}

static void who_was_quiet_makes_room(void **state)
{
    apr_time_t now = 1000 * S;
    int i;

    for (i = 0; i < 8; i++) {
        assert_int_equal(admitted(in_bucket(i), &ten_a_second, 20, now + i), 5);
    }
    /* The others' time is used up: nobody loses by a newcomer, who has a whole
     * burst. */
    now += S;
    assert_int_equal(admitted(in_bucket(8), &ten_a_second, 20, now), 5);
    assert_int_equal(admitted(in_bucket(8), &ten_a_second, 20, now), 0);
}

static void the_stalest_makes_room(void **state)
{
    apr_time_t now = 1000 * S;
    int i;

    for (i = 0; i < 8; i++) {
        assert_int_equal(admitted(in_bucket(i), &ten_a_second, 20, now + i), 5);
    }
    now += 10;
    assert_int_equal(admitted(in_bucket(8), &ten_a_second, 20, now), 5);
    for (i = 1; i < 9; i++) {
        assert_int_equal(admitted(in_bucket(i), &ten_a_second, 20, now), 0);
    }
    assert_int_equal(admitted(in_bucket(0), &ten_a_second, 20, now), 5);
}

#define THREADS 4
#define EACH 20000

typedef struct worker {
    pthread_t thread;
    int first; /* of the keys that it takes in turn */
    int keys;
    int admitted;
} worker;

static void *work(void *baton)
{
    static const scim_rate rate = {S, 1000};
    worker *w = baton;
    int i;

    for (i = 0; i < EACH; i++) {
        w->admitted +=
            scim_rate_take(table, in_bucket(w->first + i % w->keys), &rate, 1000 * S) == 0;
    }
    return NULL;
}

static int admitted_to_threads(int keys)
{
    worker workers[THREADS] = {{0}};
    int i, sum = 0;

    for (i = 0; i < THREADS; i++) {
        workers[i].keys = keys;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        sum += workers[i].admitted;
    }
    return sum;
}

static void threads_share_a_burst(void **state)
{
    assert_int_equal(admitted_to_threads(1), 1000);
}

static void threads_share_a_full_bucket(void **state)
{
    assert_int_equal(admitted_to_threads(8), 8000);
}

static void processes_share_a_burst(void **state)
{
    int i, status, sum = 0;

    for (i = 0; i < 3; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            static const scim_rate rate = {S, 100};

            _exit(admitted(7, &rate, EACH, 1000 * S));
        }
        assert_true(pid > 0);
    }
    for (i = 0; i < 3; i++) {
        assert_true(wait(&status) > 0 && WIFEXITED(status));
        sum += WEXITSTATUS(status);
    }
    assert_int_equal(sum, 100);
}

/* Keys come and go in one bucket under everybody's hands: nobody waits for
 * anybody, and each key that is put out has a whole burst at most. */
static void a_crowded_bucket_ends(void **state)
{
    int sum = admitted_to_threads(12);

    assert_in_range(sum, 8 * 1000, THREADS * EACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_table, drop_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_burst_then_the_rate),
        TEST(asking_in_vain_costs_nothing),
        TEST(a_burst_of_one),
        TEST(each_key_has_its_own),
        TEST(a_clock_that_is_set_forward_or_back),
        TEST(a_reading_that_is_late_admits_no_more),
        TEST(who_was_quiet_makes_room),
        TEST(the_stalest_makes_room),
        TEST(threads_share_a_burst),
        TEST(threads_share_a_full_bucket),
        TEST(processes_share_a_burst),
        TEST(a_crowded_bucket_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
