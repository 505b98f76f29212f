/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two requests at once, in every order in which their transactions can come: each
 * stops before every view and every update until it is its turn.  Whatever the
 * order, answers and directory are what one request after the other would have
 * made, and all rows of the store agree.
 *
 * On PostgreSQL, where updates are not one after the other, each stops within its update,
 * too, before what it writes is committed.  That this finds something is shown on an engine
 * that is made weaker for it.
 */
#include <pthread.h>
#include <stdio.h>

#include "store_service.h"

/* Turns */

typedef enum actor_state { RUNNING, WAITING, DONE } actor_state;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    actor_state states[2];
    int turn;     /* whose it is; -1: nobody's */
    bool overlap; /* stops are around the functions of updates, and before no views */
    bool weak;    /* what comes of an order may be anything */
    scim_kv_engine engine;
    const scim_kv_engine *real;
} stage = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static __thread int actor = -1; /* -1: a thread that waits for nobody */
static __thread int depth;      /* transactions within each other */

/* Within a transaction nobody waits: he holds what the other needs. */
static void wait_for_turn(void)
{
    if (actor < 0 || depth) {
        return;
    }
    pthread_mutex_lock(&stage.lock);
    stage.states[actor] = WAITING;
    pthread_cond_broadcast(&stage.moved);
    while (stage.turn != actor) {
        pthread_cond_wait(&stage.moved, &stage.lock);
    }
    stage.turn = -1;
    pthread_mutex_unlock(&stage.lock);
}

static scim_kv_rc staged_view(scim_kv *kv, scim_kv_fn fn, void *baton)
{
    scim_kv_rc rc;

    if (!stage.overlap) {
        wait_for_turn();
    }
    depth++;
    rc = stage.real->view(kv, fn, baton);
    depth--;
    return rc;
}

typedef struct staged_job {
    const scim_kv_job *job;
    int runs;
} staged_job;

/* Whoever has to run it again may have all others wait: then he waits for nobody. */
static scim_kv_rc run_and_wait(scim_kv_txn *txn, void *baton)
{
    staged_job *s = baton;
    scim_kv_rc rc = s->job->fn(txn, s->job->baton);

    if (!s->runs++) {
        depth--;
        wait_for_turn();
        depth++;
    }
    return rc;
}

static scim_kv_rc overlapping_update(scim_kv *kv, scim_kv_job *job)
{
    staged_job staged = {.job = job};
    scim_kv_job with_stop = {.fn = run_and_wait, .baton = &staged};
    scim_kv_rc rc;

    depth++;
    rc = stage.real->update_all(kv, &with_stop, 1);
    depth--;
    job->rc = with_stop.rc;
    return rc;
}

static scim_kv_rc staged_update_all(scim_kv *kv, scim_kv_job *jobs, int count)
{
    scim_kv_rc rc = SCIM_KV_OK;

    wait_for_turn();
    for (int i = 0; i < count && stage.overlap && rc == SCIM_KV_OK; i++) {
        rc = overlapping_update(kv, &jobs[i]);
    }
    if (!stage.overlap) {
        depth++;
        rc = stage.real->update_all(kv, jobs, count);
        depth--;
    }
    return rc;
}

static scim_kv_rc staged_update_exclusive(scim_kv *kv, scim_kv_fn fn, void *baton)
{
    scim_kv_rc rc;

    wait_for_turn();
    depth++;
    rc = stage.real->update_exclusive(kv, fn, baton);
    depth--;
    return rc;
}

static void set_stage(void)
{
    scim_kv *kv = scim_store_kv(fix.store);

    stage.real = kv->engine;
    stage.engine = *kv->engine;
    stage.engine.view = staged_view;
    stage.engine.update_all = staged_update_all;
    stage.engine.update_exclusive = staged_update_exclusive;
    kv->engine = &stage.engine;
}

/* Orders: at each place where both wait, who goes on.  All of them are gone
 * through by taking the last place where the first one went, and letting the
 * second go there. */

#define PLACES 64

typedef struct order {
    int choices[PLACES];
    int set;   /* so many of them are given; behind them, rest */
    int taken; /* so many there were */
    int rest;
} order;

static bool next_order(order *o)
{
    int i = o->taken - 1;

    while (i >= 0 && o->choices[i]) {
        i--;
    }
    if (i < 0) {
        return false;
    }
    o->choices[i] = 1;
    o->set = i + 1;
    return true;
}

static int choose(order *o)
{
    int i = o->taken++;

    assert_true(i < PLACES);
    if (i >= o->set) {
        o->choices[i] = o->rest;
    }
    return o->choices[i];
}

/* Gives turns until both are done. */
static void direct(order *o)
{
    o->taken = 0;
    pthread_mutex_lock(&stage.lock);
    for (;;) {
        while (stage.states[0] == RUNNING || stage.states[1] == RUNNING) {
            pthread_cond_wait(&stage.moved, &stage.lock);
        }
        if (stage.states[0] == DONE && stage.states[1] == DONE) {
            break;
        }
        stage.turn = stage.states[0] == DONE ? 1 : stage.states[1] == DONE ? 0 : choose(o);
        stage.states[stage.turn] = RUNNING;
        pthread_cond_broadcast(&stage.moved);
    }
    pthread_mutex_unlock(&stage.lock);
}

/* Requests: {u}, {v}, {g} and {h} stand for the ids of two users and two groups
 * that are there before; v is a member of g. */

typedef struct request {
    scim_method method;
    const char *url;
    const char *if_match;
    const char *body;
} request;

typedef struct pair {
    const char *name;
    request requests[2];
    const char *answers; /* of the first before the second, and behind it: "201 409, 409 201" */
} pair;

typedef struct acting {
    int number;
    const request *request;
    int status;
    const char *type;
    apr_pool_t *pool;
} acting;

static const char *ids[4];

static const char *with_ids(const char *text, apr_pool_t *pool)
{
    static const char *const names[] = {"{u}", "{v}", "{g}", "{h}"};
    int i;

    for (i = 0; text && i < 4; i++) {
        text = replaced(text, names[i], ids[i], pool);
    }
    return text;
}

static void *act(void *baton)
{
    acting *a = baton;
    const request *r = a->request;
    scim_reply reply;

    actor = a->number;
    reply = request_at(r->method, with_ids(r->url, a->pool), r->if_match,
                       with_ids(r->body, a->pool), fix.now + 1, a->pool);
    a->status = reply.status;
    a->type = reply.error ? reply.error->scim_type : NULL;
    pthread_mutex_lock(&stage.lock);
    stage.states[actor] = DONE;
    pthread_cond_broadcast(&stage.moved);
    pthread_mutex_unlock(&stage.lock);
    return NULL;
}

static void act_both(acting *both, order *o)
{
    pthread_t threads[2];
    int i;

    stage.turn = -1;
    for (i = 0; i < 2; i++) {
        stage.states[i] = RUNNING;
        both[i].pool = make_pool();
        assert_int_equal(pthread_create(&threads[i], NULL, act, &both[i]), 0);
    }
    direct(o);
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* The directory in words: names for ids, "?" for one that is nobody's */

static const json_t *list_of(const char *url, apr_pool_t *pool)
{
    scim_reply reply = request_at(SCIM_GET, url, NULL, NULL, fix.now, pool);

    assert_int_equal(reply.status, 200);
    return json_object_get(scim_json_read_own(reply.body, reply.body_len, pool), "Resources");
}

static const char *name_in(const json_t *list, const char *id)
{
    const json_t *resource;
    size_t i;

    json_array_foreach (list, i, resource) {
        const char *name = scim_json_string(resource, "userName");

        if (!strcmp(scim_json_string(resource, "id"), id)) {
            return name ? name : scim_json_string(resource, "displayName");
        }
    }
    return NULL;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *names_in(const json_t *elements, const json_t *users, const json_t *groups,
                            apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    const json_t *element;
    size_t i;

    json_array_foreach (elements, i, element) {
        const char *id = scim_json_string(element, "value");
        const char *name = name_in(users, id);

        name = name ? name : name_in(groups, id);
        APR_ARRAY_PUSH(names, const char *) = name ? name : "?";
    }
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *), compare_texts);
    return apr_array_pstrcat(pool, names, '+');
}

static const char *shown_user(const json_t *user, const json_t *users, const json_t *groups,
                              apr_pool_t *pool)
{
    const json_t *manager =
        json_object_get(json_object_get(user, SCIM_URN_ENTERPRISE), "manager");
    const char *id = scim_json_string(manager, "value"), *name = id ? name_in(users, id) : NULL;
    const char *title = scim_json_string(user, "title");

    return apr_pstrcat(pool, title ? " " : "", title ? title : "",
                       json_is_false(json_object_get(user, "active")) ? " inactive" : "",
                       id ? " under " : "", id ? (name ? name : "?") : "", " in ",
                       names_in(json_object_get(user, "groups"), users, groups, pool), NULL);
}

static int compare_shown(const void *a, const void *b)
{
    return compare_texts(a, b);
}

static const char *shown_directory(apr_pool_t *pool)
{
    const json_t *users = list_of("/Users", pool), *groups = list_of("/Groups", pool), *one;
    apr_array_header_t *shown_ones = apr_array_make(pool, 8, sizeof(const char *));
    size_t i;

    json_array_foreach (users, i, one) {
        APR_ARRAY_PUSH(shown_ones, const char *) =
            apr_pstrcat(pool, scim_json_string(one, "userName"), " ",
                        scim_json_string(json_object_get(one, "meta"), "version"),
                        shown_user(one, users, groups, pool), NULL);
    }
    json_array_foreach (groups, i, one) {
        APR_ARRAY_PUSH(shown_ones, const char *) =
            apr_pstrcat(pool, scim_json_string(one, "displayName"), " ",
                        scim_json_string(json_object_get(one, "meta"), "version"), " of ",
                        names_in(json_object_get(one, "members"), users, groups, pool), NULL);
    }
    qsort(shown_ones->elts, (size_t)shown_ones->nelts, sizeof(const char *), compare_shown);
    return apr_array_pstrcat(pool, shown_ones, ';');
}

/* One run */

static const char *make(const char *url, const char *body, apr_pool_t *pool)
{
    scim_reply reply = request_at(SCIM_POST, url, NULL, body, tick(), pool);

    assert_int_equal(reply.status, 201);
    return apr_pstrdup(fix.pool, reply.id);
}

static void make_all(apr_pool_t *pool)
{
    ids[0] = make("/Users", "{" USER_SCHEMAS ",\"userName\":\"u\"}", pool);
    ids[1] = make("/Users", "{" USER_SCHEMAS ",\"userName\":\"v\"}", pool);
    ids[2] = make("/Groups",
                  apr_pstrcat(pool,
                              "{" GROUP_SCHEMAS ",\"displayName\":\"g\",\"members\":["
                              "{\"value\":\"",
                              ids[1], "\"}]}", NULL),
                  pool);
    ids[3] = make("/Groups", "{" GROUP_SCHEMAS ",\"displayName\":\"h\"}", pool);
}

static void delete_all(const char *endpoint, apr_pool_t *pool)
{
    const json_t *list = list_of(endpoint, pool), *one;
    size_t i;

    json_array_foreach (list, i, one) {
        const char *url = apr_pstrcat(pool, endpoint, "/", scim_json_string(one, "id"), NULL);

        int status = request_at(SCIM_DELETE, url, NULL, NULL, tick(), pool).status;

        assert_true(status == 204 || stage.weak);
    }
}

static const char *typed(const acting *a, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%d%s%s", a->status, a->type ? " " : "", a->type ? a->type : "");
}

/* "201, 409 uniqueness" in *answers; all that came of it is the result, in
 * fix.pool. */
static const char *run(const pair *p, order *o, const char **answers)
{
    acting both[2] = {{0, &p->requests[0], 0, NULL, NULL}, {1, &p->requests[1], 0, NULL, NULL}};
    apr_pool_t *pool = make_pool();
    const char *outcome;
    int i;

    make_all(pool);
    act_both(both, o);
    if (!stage.weak) {
        invariants();
    }
    *answers = apr_pstrcat(fix.pool, typed(&both[0], pool), ", ", typed(&both[1], pool), NULL);
    outcome = apr_pstrcat(fix.pool, *answers, ": ", shown_directory(pool), NULL);
    delete_all("/Groups", pool);
    delete_all("/Users", pool);
    for (i = 0; i < 2; i++) {
        apr_pool_destroy(both[i].pool);
    }
    apr_pool_destroy(pool);
    return outcome;
}

/* The order as "0110", for the one who looks for a fault. */
static const char *shown_order(const order *o)
{
    char *text = apr_pcalloc(fix.pool, PLACES + 1);
    int i;

    for (i = 0; i < o->taken; i++) {
        text[i] = (char)('0' + o->choices[i]);
    }
    return text;
}

static void set_role(bool role)
{
    scim_policy policy = scim_policy_default();
    scim_role_pattern *pattern = apr_pcalloc(fix.pool, sizeof(*pattern));
    apr_array_header_t *changed;

    if (role) {
        *pattern = (scim_role_pattern){"admin", "g", "g", 1, false};
        policy.roles = pattern;
        policy.roles_count = 1;
        policy.on_group_delete = SCIM_ON_DELETE_DEACTIVATE;
    }
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    fix.tenant.policy = policy;
    service_begin();
}

/* The number of orders; -1: one of them came to what is none. */
static int run_pair(const pair *p, bool overlap)
{
    order first = {.rest = 0}, second = {.rest = 1}, any = {.rest = 0};
    const char *answers[2], *outcome, *other;
    const char *outcomes[2] = {run(p, &first, &answers[0]), run(p, &second, &answers[1])};
    int count = 0;

    assert_string_equal(apr_pstrcat(fix.pool, answers[0], " | ", answers[1], NULL), p->answers);
    do {
        stage.overlap = overlap;
        outcome = run(p, &any, &other);
        stage.overlap = false;
        count++;
        if (strcmp(outcome, outcomes[0]) && strcmp(outcome, outcomes[1])) {
            if (stage.weak) {
                return -1;
            }
            fail_msg("%s, in the order %s\n  came to %s\n  one after the other to %s\n  or %s",
                     p->name, shown_order(&any), outcome, outcomes[0], outcomes[1]);
        }
    } while (next_order(&any));
    /* Each has a view and an update at least; or a stop before its update and one in it,
     * and one of the two may be refused before. */
    assert_true(count >= (overlap ? 3 : 6));
    return count;
}

#define NEW_USER(name) "{" USER_SCHEMAS ",\"userName\":\"" name "\"}"
#define NEW_GROUP(name, members) \
    "{" GROUP_SCHEMAS ",\"displayName\":\"" name "\",\"members\":[" members "]}"
#define ONE(id) "{\"value\":\"" id "\"}"
#define SET(path, value) \
    PATCH_OP("{\"op\":\"replace\",\"path\":\"" path "\",\"value\":" value "}")
#define ADD(id) PATCH_OP("{\"op\":\"add\",\"path\":\"members\",\"value\":[" ONE(id) "]}")
#define MANAGED_BY(id) SET(SCIM_URN_ENTERPRISE ":manager", ONE(id))
#define BULK(operation)                                                     \
    "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:BulkRequest\"]," \
    "\"Operations\":[" operation "]}"
#define V1 "W/\"1\""

static const pair pairs[] = {
    {"two creates of one name",
     {{SCIM_POST, "/Users", NULL, NEW_USER("new")},
      {SCIM_POST, "/Users", NULL, NEW_USER("NEW")}},
     "201, 409 uniqueness | 409 uniqueness, 201"},
    {"two groups of one name",
     {{SCIM_POST, "/Groups", NULL, NEW_GROUP("new", ONE("{u}"))},
      {SCIM_POST, "/Groups", NULL, NEW_GROUP("New", "")}},
     "201, 409 uniqueness | 409 uniqueness, 201"},
    {"a create and a rename to its name",
     {{SCIM_POST, "/Users", NULL, NEW_USER("new")},
      {SCIM_PATCH, "/Users/{u}", NULL, SET("userName", "\"new\"")}},
     "201, 409 uniqueness | 409 uniqueness, 200"},
    {"two renames to one name",
     {{SCIM_PATCH, "/Users/{u}", NULL, SET("userName", "\"new\"")},
      {SCIM_PUT, "/Users/{v}", NULL, NEW_USER("new")}},
     "200, 409 uniqueness | 409 uniqueness, 200"},
    {"a rename of a group and a group of that name",
     {{SCIM_PATCH, "/Groups/{g}", NULL, SET("displayName", "\"new\"")},
      {SCIM_POST, "/Groups", NULL, NEW_GROUP("new", "")}},
     "204, 409 uniqueness | 409 uniqueness, 201"},
    {"a name that is given up and taken",
     {{SCIM_PATCH, "/Users/{v}", NULL, SET("userName", "\"w\"")},
      {SCIM_PATCH, "/Users/{u}", NULL, SET("userName", "\"v\"")}},
     "200, 200 | 200, 409 uniqueness"},
    {"a deletion and a create of its name",
     {{SCIM_DELETE, "/Users/{u}", NULL, NULL}, {SCIM_POST, "/Users", NULL, NEW_USER("u")}},
     "204, 201 | 204, 409 uniqueness"},
    {"the deletion of a user who becomes a member",
     {{SCIM_DELETE, "/Users/{u}", NULL, NULL}, {SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")}},
     "204, 400 invalidValue | 204, 204"},
    {"the deletion of a user whom a new group has",
     {{SCIM_DELETE, "/Users/{u}", NULL, NULL},
      {SCIM_POST, "/Groups", NULL, NEW_GROUP("new", ONE("{u}"))}},
     "204, 400 invalidValue | 204, 201"},
    {"the deletion of a group that gets a member",
     {{SCIM_DELETE, "/Groups/{g}", NULL, NULL}, {SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")}},
     "204, 404 | 204, 204"},
    {"the deletion of a group that becomes a member",
     {{SCIM_DELETE, "/Groups/{h}", NULL, NULL}, {SCIM_PATCH, "/Groups/{g}", NULL, ADD("{h}")}},
     "204, 400 invalidValue | 204, 204"},
    {"the deletions of a group and of its member",
     {{SCIM_DELETE, "/Groups/{g}", NULL, NULL}, {SCIM_DELETE, "/Users/{v}", NULL, NULL}},
     "204, 204 | 204, 204"},
    {"the deletion of a user who becomes a manager",
     {{SCIM_DELETE, "/Users/{v}", NULL, NULL},
      {SCIM_PATCH, "/Users/{u}", NULL, MANAGED_BY("{v}")}},
     "204, 400 invalidValue | 204, 200"},
    {"two who become each other's manager",
     {{SCIM_PATCH, "/Users/{u}", NULL, MANAGED_BY("{v}")},
      {SCIM_PATCH, "/Users/{v}", NULL, MANAGED_BY("{u}")}},
     "200, 200 | 200, 200"},
    {"two patches with one ETag",
     {{SCIM_PATCH, "/Users/{u}", V1, SET("title", "\"a\"")},
      {SCIM_PATCH, "/Users/{u}", V1, SET("title", "\"b\"")}},
     "200, 412 | 412, 200"},
    {"two replaces with one ETag",
     {{SCIM_PUT, "/Users/{u}", V1, NEW_USER("a")}, {SCIM_PUT, "/Users/{u}", V1, NEW_USER("b")}},
     "200, 412 | 412, 200"},
    {"two members with one ETag",
     {{SCIM_PATCH, "/Groups/{h}", V1, ADD("{u}")}, {SCIM_PATCH, "/Groups/{h}", V1, ADD("{v}")}},
     "204, 412 | 412, 204"},
    {"a name and a member with one ETag",
     {{SCIM_PATCH, "/Groups/{h}", V1, SET("displayName", "\"new\"")},
      {SCIM_PATCH, "/Groups/{h}", V1, ADD("{v}")}},
     "204, 412 | 412, 204"},
    {"a deletion and a patch with one ETag",
     {{SCIM_DELETE, "/Users/{u}", V1, NULL},
      {SCIM_PATCH, "/Users/{u}", V1, SET("title", "\"a\"")}},
     "204, 404 | 412, 200"},
    {"a deactivation and a patch",
     {{SCIM_PATCH, "/Users/{u}", NULL, SET("active", "false")},
      {SCIM_PATCH, "/Users/{u}", NULL, SET("title", "\"a\"")}},
     "200, 200 | 200, 200"},
    {"two replaces",
     {{SCIM_PUT, "/Users/{u}", NULL, NEW_USER("a")},
      {SCIM_PUT, "/Users/{u}", NULL, NEW_USER("b")}},
     "200, 200 | 200, 200"},
    {"a replace and a patch",
     {{SCIM_PUT, "/Users/{u}", NULL, NEW_USER("a")},
      {SCIM_PATCH, "/Users/{u}", NULL, SET("title", "\"t\"")}},
     "200, 200 | 200, 200"},
    {"two deletions",
     {{SCIM_DELETE, "/Users/{v}", NULL, NULL}, {SCIM_DELETE, "/Users/{v}", NULL, NULL}},
     "204, 404 | 404, 204"},
    {"two members",
     {{SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")},
      {SCIM_PATCH, "/Groups/{g}", NULL, ADD("{h}")}},
     "204, 204 | 204, 204"},
    {"one member twice",
     {{SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")},
      {SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")}},
     "204, 204 | 204, 204"},
    {"a member, and all that there are go",
     {{SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")},
      {SCIM_PATCH, "/Groups/{g}", NULL, PATCH_OP("{\"op\":\"remove\",\"path\":\"members\"}")}},
     "204, 204 | 204, 204"},
    {"a member, and all of them are said",
     {{SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")},
      {SCIM_PUT, "/Groups/{g}", NULL, NEW_GROUP("new", ONE("{h}"))}},
     "204, 200 | 204, 200"},
    {"two groups that have each other",
     {{SCIM_PATCH, "/Groups/{g}", NULL, ADD("{h}")},
      {SCIM_PATCH, "/Groups/{h}", NULL, ADD("{g}")}},
     "204, 204 | 204, 204"},
    {"a job and a create of one name",
     {{SCIM_POST, "/Bulk", NULL,
       BULK("{\"method\":\"POST\",\"path\":\"/Users\",\"bulkId\":\"x\",\"data\":" NEW_USER(
           "new") "},{\"method\":\"POST\",\"path\":\"/"
                  "Groups\",\"bulkId\":\"y\",\"data\":" NEW_GROUP("new", ONE("bulkId:x")) "}")},
      {SCIM_POST, "/Users", NULL, NEW_USER("new")}},
     "200, 409 uniqueness | 200, 201"},
    {"a job that adds a member, and the deletion of that",
     {{SCIM_POST, "/Bulk", NULL,
       BULK("{\"method\":\"PATCH\",\"path\":\"/Groups/{g}\",\"data\":" ADD("{u}") "}")},
      {SCIM_DELETE, "/Users/{u}", NULL, NULL}},
     "200, 204 | 200, 204"},
};

/* g gives a role, and whoever has it loses more with it. */
static const pair role_pairs[] = {
    {"the deletion of a group that takes its members along, and a patch of one",
     {{SCIM_DELETE, "/Groups/{g}", NULL, NULL},
      {SCIM_PATCH, "/Users/{v}", NULL, SET("title", "\"t\"")}},
     "204, 200 | 204, 200"},
    {"the deletion of a group that takes its members along, and a member",
     {{SCIM_DELETE, "/Groups/{g}", NULL, NULL}, {SCIM_PATCH, "/Groups/{g}", NULL, ADD("{u}")}},
     "204, 404 | 204, 204"},
    {"the deletion of a group that takes its members along, and of one of them",
     {{SCIM_DELETE, "/Groups/{g}", NULL, NULL}, {SCIM_DELETE, "/Users/{v}", NULL, NULL}},
     "204, 204 | 204, 204"},
};

static int run_pairs(const pair *table, size_t count, bool role, bool overlap)
{
    size_t i;
    int orders = 0;

    set_role(role);
    for (i = 0; i < count; i++) {
        orders += run_pair(&table[i], overlap);
    }
    return orders;
}

static void run_all(bool overlap)
{
    int orders;

    set_stage();
    orders = run_pairs(pairs, COUNT(pairs), false, overlap);
    orders += run_pairs(role_pairs, COUNT(role_pairs), true, overlap);
    print_message("# %d pairs, %d orders\n", (int)(COUNT(pairs) + COUNT(role_pairs)), orders);
}

static void test_pairs(void **state)
{
    run_all(false);
}

static void test_overlap(void **state)
{
    run_all(true);
}

static void test_weak(void **state)
{
    size_t i;
    int found = 0;

    scim_kv_pgsql_weaken(scim_store_kv(fix.store), true);
    set_stage();
    set_role(false);
    stage.weak = true;
    for (i = 0; i < COUNT(pairs) && !found; i++) {
        found = run_pair(&pairs[i], true) < 0;
    }
    stage.weak = false;
    assert_true(found);
}

int main(void)
{
    static const store_test table[] = {
        {"C-059 C-222 two requests at once come to one after the other", test_pairs, EACH},
        {"nor do their updates where they overlap", test_overlap, PGSQL},
        {"which a weaker isolation does not keep apart", test_weak, PGSQL},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    stores_in_memory();
    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
