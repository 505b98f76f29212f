/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long it takes to find that a token is not known, for one that differs from a
 * good one in its first letter, one that does in its last, and one that has nothing
 * of it: the times must not tell them apart (Welch's t, without the slowest tenth,
 * which the machine makes).
 *
 * LONG in the environment: a million of each kind, and t is asserted; without it a
 * few, of which only the answers are.
 */
#include <stdio.h>
#include <time.h>

#include <zlib.h>

#include "store_model.h"

#define GOOD_MAX 400 /* tokens in the store */
#define LIMIT 4.5    /* of t: with 1e6 samples, one chance in 100,000 */
#define DISCARD 0.1  /* of the samples, the slowest */

enum { FIRST, LAST, OTHER, KINDS };
static const char *const kinds[KINDS] = {"wrong in the first letter", "wrong in the last",
                                         "unknown"};
static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static char good[GOOD_MAX][SCIM_TOKEN_LEN + 1];
static int good_count;
static apr_pool_t *scratch;

static char letter(void)
{
    return letters[random() % 62];
}

static void change(char *at)
{
    char before = *at;

    while (*at == before) {
        *at = letter();
    }
}

/* The checksum that belongs to a token: without it none is looked up. */
static void seal_token(char *token)
{
    unsigned long crc = crc32(0, (const Bytef *)token, SCIM_TOKEN_LEN - 6);
    int i;

    for (i = 1; i <= 6; i++) {
        token[SCIM_TOKEN_LEN - i] = letters[crc % 62];
        crc /= 62;
    }
}

static void make_wrong(char *out, int kind)
{
    int i;

    memcpy(out, good[random() % good_count], SCIM_TOKEN_LEN + 1);
    if (kind == FIRST) {
        change(out + 6);
    } else if (kind == LAST) {
        change(out + SCIM_TOKEN_LEN - 7);
    } else {
        for (i = 6; i < SCIM_TOKEN_LEN - 6; i++) {
            out[i] = letter();
        }
    }
    seal_token(out);
}

typedef struct attempt {
    const char *token;
    scim_token_state state;
    double took; /* ns */
} attempt;

static const scim_error *find(scim_view *view, void *baton)
{
    attempt *a = baton;
    struct timespec from, to;
    scim_identity identity;
    const scim_error *err;

    clock_gettime(CLOCK_MONOTONIC, &from);
    err = scim_token_find(&a->state, &identity, view, a->token, fix.now);
    clock_gettime(CLOCK_MONOTONIC, &to);
    a->took = 1e9 * (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec);
    return err;
}

static attempt try_token(const char *token)
{
    attempt a = {.token = token};

    assert_no_error(scim_store_view(fix.store, find, &a, scratch));
    apr_pool_clear(scratch);
    return a;
}

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) -
           (*(const double *)a < *(const double *)b);
}

typedef struct summary {
    double mean;
    double error; /* variance of the mean */
} summary;

static summary summarize(double *samples, long n)
{
    summary s = {0, 0};
    long i;

    qsort(samples, (size_t)n, sizeof(*samples), by_value);
    n = (long)((double)n * (1 - DISCARD));
    for (i = 0; i < n; i++) {
        s.mean += samples[i] / (double)n;
    }
    for (i = 0; i < n; i++) {
        s.error += (samples[i] - s.mean) * (samples[i] - s.mean);
    }
    s.error /= (double)(n - 1) * (double)n;
    return s;
}

/* Newton's method: no library for this alone. */
static double root_of(double x)
{
    double guess = x > 1 ? x : 1;
    int i;

    for (i = 0; i < 100; i++) {
        guess = (guess + x / guess) / 2;
    }
    return guess;
}

/* Tokens of all kinds in a random order, made before any is tried: what was done
 * last must say nothing of what comes next. */
#define BATCH 1000

static void try_batch(double **samples, long *taken, long n)
{
    static char tokens[BATCH][SCIM_TOKEN_LEN + 1];
    int kind[BATCH], i;

    for (i = 0; i < BATCH; i++) {
        kind[i] = (int)(random() % KINDS);
        make_wrong(tokens[i], kind[i]);
    }
    for (i = 0; i < BATCH; i++) {
        attempt one = try_token(tokens[i]);

        assert_int_equal(one.state, SCIM_TOKEN_UNKNOWN);
        if (taken[kind[i]] < n) {
            samples[kind[i]][taken[kind[i]]++] = one.took;
        }
    }
}

/* The largest t of two kinds. */
static double measure(double **samples, long n)
{
    long taken[KINDS] = {0};
    double largest = 0;
    summary of[KINDS];
    int a, b;

    while (taken[FIRST] < n || taken[LAST] < n || taken[OTHER] < n) {
        try_batch(samples, taken, n);
    }
    for (a = 0; a < KINDS; a++) {
        of[a] = summarize(samples[a], n);
    }
    for (a = 0; a < KINDS; a++) {
        for (b = a + 1; b < KINDS; b++) {
            double t = (of[a].mean - of[b].mean) / root_of(of[a].error + of[b].error);

            print_message("%s %.1f ns, %s %.1f ns: t = %.2f\n", kinds[a], of[a].mean, kinds[b],
                          of[b].mean, t);
            t = t < 0 ? -t : t;
            largest = t > largest ? t : largest;
        }
    }
    return largest;
}

static void test_time(void **state)
{
    bool whole = getenv("LONG") != NULL;
    long n = whole ? 1000000 : 2000;
    double *samples[KINDS], t = LIMIT;
    int i;

    apr_pool_create(&scratch, fix.pool);
    for (i = 0; i < (whole ? GOOD_MAX : 20); i++, good_count++) {
        assert_no_error(scim_token_create(good[i], fix.store, "acme", "entra", SCIM_SCOPE_READ,
                                          fix.now, 0, fix.pool));
        assert_int_equal(try_token(good[i]).state, SCIM_TOKEN_VALID);
    }
    for (i = 0; i < KINDS; i++) {
        samples[i] = malloc((size_t)n * sizeof(double));
    }
    /* What else the machine does may make one run look as if it told. */
    for (i = 0; i < (whole ? 3 : 1) && t >= LIMIT; i++) {
        t = measure(samples, n);
    }
    assert_true(!whole || t < LIMIT);
    for (i = 0; i < KINDS; i++) {
        free(samples[i]);
    }
}

int main(void)
{
    static const store_test table[] = {
        {"C-314 the time to refuse a token tells nothing of those that are good", test_time,
         LMDB},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
