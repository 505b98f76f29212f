/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that jumps by a day, back and forth, and trembles by seconds: versions
 * and ids go on, lists stay in their order, nobody sleeps for what he thinks was a
 * day, and what expires does so by the clock that there is.
 *
 * SEED sets the random numbers; LONG=1 makes more of everything.
 */
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "scim/brake.h"
#include "scim/sweep.h"
#include "store_service.h"

#define DAY apr_time_from_sec(86400)
#define NOON (apr_time_from_sec(1800000000))

/* The clock of the program, which the C library's would be: APR asks this one. */

static apr_time_t ahead;       /* of the real time */
static apr_time_t ahead_again; /* more with each look at it */

__attribute__((visibility("default"))) int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec real;
    apr_time_t time;

    clock_gettime(CLOCK_REALTIME, &real);
    ahead += ahead_again;
    time = apr_time_from_sec(real.tv_sec) + real.tv_nsec / 1000 + ahead;
    now->tv_sec = apr_time_sec(time);
    now->tv_usec = apr_time_usec(time);
    return 0;
}

static unsigned int seed;

static int roll(int sides)
{
    return rand_r(&seed) / 7 % sides;
}

/* The time that a request has: around noon, or a day off. */
static apr_time_t jumping(void)
{
    static const apr_time_t jumps[] = {0, 0, 0, -DAY, DAY};

    ahead = jumps[roll(5)] + apr_time_from_sec(roll(11) - 5);
    return NOON + ahead;
}

static int begin_clock(void **state)
{
    ahead = ahead_again = 0;
    return begin(state);
}

static scim_reply ask(scim_method method, const char *url, const char *body, apr_time_t now)
{
    return request_at(method, url, NULL, body, now, fix.pool);
}

static const json_t *json_of(const scim_reply *reply)
{
    return scim_json_read_own(reply->body, reply->body_len, fix.pool);
}

static const char *meta_of(const scim_reply *reply, const char *name)
{
    return scim_json_string(json_object_get(json_of(reply), "meta"), name);
}

static scim_reply must(scim_reply reply, int status)
{
    if (reply.status != status) {
        fail_msg("%d is not %d: %s", reply.status, status, reply.body ? reply.body : "");
    }
    return reply;
}

static const char *make_user(const char *name, apr_time_t now)
{
    return must(ask(SCIM_POST, "/Users", fmt("{" USER_SCHEMAS ",\"userName\":\"%s\"}", name),
                    now),
                201)
        .id;
}

/* Versions */

/* Each change has the next version, and none goes back in time. */
static void test_versions(void **state)
{
    int i, rounds = sized(100, 5000);
    const char *user, *group, *etag = "", *modified = "";

    seed = seed_and_rounds(&rounds);
    service_begin();
    user = make_user("u", jumping());
    group =
        must(ask(SCIM_POST, "/Groups", "{" GROUP_SCHEMAS ",\"displayName\":\"g\"}", jumping()),
             201)
            .id;
    for (i = 0; i < rounds; i++) {
        const char *to = i % 2 ? "remove" : "add";
        scim_reply reply = must(
            ask(SCIM_PATCH, fmt("/Users/%s", user),
                fmt(PATCH_OP("{\"op\":\"replace\",\"path\":\"title\",\"value\":\"t%d\"}"), i),
                jumping()),
            200);
        scim_reply shown = must(ask(SCIM_GET, fmt("/Users/%s", user), NULL, jumping()), 200);

        assert_string_equal(reply.etag, scim_etag_make((apr_uint64_t)i + 2, fix.pool));
        assert_string_equal(shown.etag, reply.etag);
        assert_true(strcmp(meta_of(&reply, "lastModified"), modified) >= 0);
        modified = meta_of(&reply, "lastModified");
        assert_true(strcmp(meta_of(&reply, "created"), modified) <= 0);
        reply = must(ask(SCIM_PATCH, fmt("/Groups/%s", group),
                         fmt(PATCH_OP("{\"op\":\"%s\",\"path\":\"members\",\"value\":"
                                      "[{\"value\":\"%s\"}]}"),
                             to, user),
                         jumping()),
                     204);
        assert_string_not_equal(reply.etag, etag);
        assert_string_equal(reply.etag, scim_etag_make((apr_uint64_t)i + 2, fix.pool));
        etag = reply.etag;
    }
    invariants();
}

/* Ids */

static const char *bulk_users(int first, int count)
{
    const char *text = "";
    int i;

    for (i = first; i < first + count; i++) {
        text = fmt("%s%s{\"method\":\"POST\",\"path\":\"/Users\",\"bulkId\":\"b%d\",\"data\":"
                   "{" USER_SCHEMAS ",\"userName\":\"user%d\"}}",
                   text, i == first ? "" : ",", i, i);
    }
    return fmt("{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:BulkRequest\"],"
               "\"Operations\":[%s]}",
               text);
}

/* The users, in the order of their ids, are those that came one after the other. */
static void check_order(int count)
{
    const json_t *one;
    char last[SCIM_ID_TEXT + 1] = "";
    int seen = 0;
    size_t i;

    while (seen < count) {
        scim_reply page = must(
            ask(SCIM_GET, fmt("/Users?startIndex=%d&count=100", seen + 1), NULL, jumping()),
            200);
        const json_t *list = json_object_get(json_of(&page), "Resources");

        assert_true(json_array_size(list) > 0);
        json_array_foreach (list, i, one) {
            const char *id = scim_json_string(one, "id");

            assert_string_equal(scim_json_string(one, "userName"), fmt("user%d", seen++));
            assert_true(strcmp(id, last) > 0);
            strcpy(last, id);
        }
    }
    assert_int_equal(seen, count);
}

/* Alone and in jobs. */
static void test_order(void **state)
{
    int rounds = sized(100, 3000), made = 0;

    seed = seed_and_rounds(&rounds);
    service_begin();
    while (made < rounds) {
        if (roll(5)) {
            make_user(fmt("user%d", made++), jumping());
        } else {
            must(ask(SCIM_POST, "/Bulk", bulk_users(made, 3), jumping()), 200);
            made += 3;
        }
    }
    check_order(made);
    invariants();
}

/* As many as anybody asks for in one millisecond, and a clock that goes back. */
static void test_burst(void **state)
{
    int count = sized(100000, 1000000), i;
    scim_id last = {{0}}, id;

    seed = seed_and_rounds(&count);
    for (i = 0; i < count; i++) {
        apr_time_t now = NOON + roll(1000) - (roll(1000) ? 0 : DAY);

        assert_true(scim_id_mint(&id, &last, now));
        assert_true(scim_id_compare(&id, &last) > 0);
        last = id;
    }
}

/* Processes, each with a clock of its own, on one store */

#define PROCESSES 4

static int make_users(int process, int count)
{
    static const apr_time_t clocks[PROCESSES] = {0, -DAY, DAY, 1};
    char last[SCIM_ID_TEXT + 1] = "";
    apr_pool_t *pool;
    int i;

    fix.pool = make_pool();
    if (scim_store_open(&fix.store, fix.url, &fix.options, fix.pool)) {
        return 1;
    }
    service_begin();
    for (i = 0; i < count; i++) {
        scim_reply reply;

        pool = make_pool();
        reply = request_at(
            SCIM_POST, "/Users", NULL,
            apr_psprintf(pool, "{" USER_SCHEMAS ",\"userName\":\"p%d-%06d\"}", process, i),
            NOON + clocks[process] + (process == 3 ? apr_time_from_sec(i % 11 - 5) : 0), pool);
        if (reply.status != 201 || strcmp(reply.id, last) <= 0) {
            return 2;
        }
        strcpy(last, reply.id);
        apr_pool_destroy(pool);
    }
    scim_store_close(fix.store);
    return 0;
}

/* All are there once, and those of each process in the order in which it made them. */
static void check_processes(int count)
{
    int next[PROCESSES] = {0}, seen = 0;
    char last[SCIM_ID_TEXT + 1] = "";
    const json_t *one;
    size_t i;

    while (seen < PROCESSES * count) {
        scim_reply page = must(
            ask(SCIM_GET, fmt("/Users?startIndex=%d&count=100", seen + 1), NULL, NOON), 200);
        const json_t *list = json_object_get(json_of(&page), "Resources");

        assert_true(json_array_size(list) > 0);
        json_array_foreach (list, i, one) {
            const char *name = scim_json_string(one, "userName");
            int process = name[1] - '0';

            assert_int_equal(atoi(name + 3), next[process]++);
            assert_true(strcmp(scim_json_string(one, "id"), last) > 0);
            strcpy(last, scim_json_string(one, "id"));
            seen++;
        }
    }
}

static void test_processes(void **state)
{
    int count = sized(25, 5000), i, status;
    pid_t children[PROCESSES];

    scim_store_close(fix.store);
    for (i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (!children[i]) {
            _exit(make_users(i, count));
        }
    }
    for (i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    open_store();
    service_begin();
    check_processes(count);
    invariants();
}

/* Pages */

/* Whoever walks sees those who were there when he began, once each and in order,
 * although others come meanwhile, from another day. */
static void test_pages(void **state)
{
    int i, seen = 0, count = 40;
    const char *cursor = "", *walks[2];
    scim_reply page;
    size_t n;

    seed = seed_and_rounds(&count);
    service_begin();
    for (i = 0; i < count; i++) {
        make_user(fmt("user%d", i), jumping());
    }
    while (cursor) {
        const json_t *list, *one;

        walks[0] = fmt("/Users?startIndex=%d&count=7", seen + 1);
        walks[1] = fmt("/Users?cursor=%s&count=7", cursor);
        for (i = 0; i < 2; i++) {
            page = must(ask(SCIM_GET, walks[i], NULL, NOON), 200);
            list = json_object_get(json_of(&page), "Resources");
            json_array_foreach (list, n, one) {
                assert_string_equal(scim_json_string(one, "userName"),
                                    fmt("user%d", seen + (int)n));
            }
        }
        seen += (int)json_array_size(list);
        cursor = scim_json_string(json_of(&page), "nextCursor");
        if (cursor && count < 60) {
            make_user(fmt("user%d", count++), jumping());
        }
    }
    assert_int_equal(seen, count);
}

static void test_cursor(void **state)
{
    const char *cursor;
    scim_reply page;

    service_begin();
    make_user("a", NOON);
    make_user("b", NOON);
    page = must(ask(SCIM_GET, "/Users?cursor&count=1", NULL, NOON), 200);
    cursor = fmt("/Users?cursor=%s&count=1", scim_json_string(json_of(&page), "nextCursor"));
    must(ask(SCIM_GET, cursor, NULL, NOON - DAY), 200);
    page = must(ask(SCIM_GET, cursor, NULL, NOON + DAY), 400);
    assert_string_equal(page.error->scim_type, "expiredCursor");
    must(ask(SCIM_GET, cursor, NULL, NOON), 200);
}

/* Tokens */

typedef struct looking {
    const char *token;
    apr_time_t now;
    scim_token_state state;
} looking;

static const scim_error *look(scim_view *view, void *baton)
{
    looking *l = baton;
    scim_identity found;

    return scim_token_find(&l->state, &found, view, l->token, l->now);
}

static scim_token_state state_at(const char *token, apr_time_t now)
{
    looking l = {token, now, SCIM_TOKEN_UNKNOWN};

    assert_no_error(scim_store_view(fix.store, look, &l, fix.pool));
    return l.state;
}

/* By the clock: one that goes back brings a token back that had expired.  Before it
 * was made a token is none. */
static void test_tokens(void **state)
{
    char token[SCIM_TOKEN_LEN + 1], forever[SCIM_TOKEN_LEN + 1];
    int i;

    assert_no_error(scim_token_create(token, fix.store, "acme", "entra", SCIM_SCOPE_READ, NOON,
                                      NOON + apr_time_from_sec(3600), fix.pool));
    assert_no_error(scim_token_create(forever, fix.store, "acme", "entra", SCIM_SCOPE_READ,
                                      NOON, 0, fix.pool));
    for (i = 0; i < 2; i++) {
        assert_int_equal(state_at(token, NOON), SCIM_TOKEN_VALID);
        assert_int_equal(state_at(token, NOON + DAY), SCIM_TOKEN_EXPIRED);
        assert_int_equal(state_at(token, NOON - DAY), SCIM_TOKEN_UNKNOWN);
        assert_int_equal(state_at(token, NOON + 1), SCIM_TOKEN_VALID);
        assert_int_equal(state_at(forever, NOON + 4000 * DAY), SCIM_TOKEN_VALID);
    }
    assert_int_equal(state_at(token, NOON + apr_time_from_sec(3600)), SCIM_TOKEN_EXPIRED);
    assert_int_equal(state_at(token, NOON + apr_time_from_sec(3600) - 1), SCIM_TOKEN_VALID);
}

/* Sleeping */

static double real_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *many_members(int count)
{
    const char *text = "";
    int i;

    for (i = 0; i < count; i++) {
        text = fmt("%s%s{\"value\":\"0197a1b2-c3d4-7e5f-8a6b-%012d\"}", text, i ? "," : "", i);
    }
    return text;
}

/* A sweep pauses for as long as it took, and not for as long as the clock says. */
static void test_pauses(void **state)
{
    static const apr_time_t jumps[] = {apr_time_from_sec(30), -DAY};
    scim_policy policy = scim_policy_default();
    apr_array_header_t *changed;
    size_t i;

    policy.dangling_references = fix.dangling = true;
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    fix.tenant.policy = policy;
    service_begin();
    for (i = 0; i < COUNT(jumps); i++) {
        scim_reply made =
            must(ask(SCIM_POST, "/Groups",
                     fmt("{" GROUP_SCHEMAS ",\"displayName\":\"g\",\"members\":[%s]}",
                         many_members(SCIM_SWEEP_STEP + 1)),
                     NOON),
                 201);
        double begun = real_seconds();

        ahead_again = jumps[i];
        must(ask(SCIM_DELETE, fmt("/Groups/%s", made.id), NULL, NOON), 204);
        ahead = ahead_again = 0;
        assert_true(real_seconds() - begun < 20);
        must(ask(SCIM_GET, fmt("/Groups/%s", made.id), NULL, NOON), 404);
        invariants();
    }
}

int main(void)
{
    static const store_test table[] = {
        {"versions go on whatever the clock says", test_versions, EACH},
        {"C-031 C-123 ids and lists are in the order of creation", test_order, EACH},
        {"a million ids of one millisecond are in order", test_burst, MEMORY},
        {"ids of processes with clocks of their own are in order", test_processes, KEPT},
        {"pages stay what they were", test_pages, EACH},
        {"cursors expire by the clock", test_cursor, EACH},
        {"tokens expire by the clock", test_tokens, EACH},
        {"no pause is as long as a jump of the clock", test_pauses, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];
    size_t i;

    stores_in_memory();
    make_registry();
    on_engines(tests, table, COUNT(table));
    for (i = 0; i < COUNT(tests); i++) {
        tests[i].setup_func = tests[i].name ? begin_clock : NULL;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
