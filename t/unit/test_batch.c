/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: several mutations in one transaction, each whole or not at all, and
 * ids that are promised before their resources are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/member.h"
#include "scim/resource.h"
#include "scim/validate.h"

static const scim_registry *registry;

/* Renewed for each test. */
static apr_pool_t *pool;
static scim_store *store;
static scim_tenant tenant;
static apr_time_t now;

static scim_store *open_store(const char *url, scim_kv_options kv)
{
    scim_store_options options = {.kv = kv, .registry = registry};
    scim_store *opened;

    assert_null(scim_store_open(&opened, url, &options, pool));
    return opened;
}

static int begin(void **state)
{
    apr_pool_create(&pool, NULL);
    store = open_store("memory:", (scim_kv_options){.create = true});
    assert_null(scim_tenant_create(&tenant, store, "acme", 0, pool));
    now = apr_time_from_sec(1700000000);
    return 0;
}

static int end(void **state)
{
    apr_pool_destroy(pool);
    return 0;
}

/* Words */

static const scim_resource_type *type_of(const char *name)
{
    return scim_registry_type(registry, name);
}

static scim_draft draft_of(const char *type, json_t *json)
{
    scim_draft draft;

    scim_json_adopt(json, pool);
    assert_non_null(json);
    assert_null(scim_interop_resource(&json, json, type_of(type), true, pool));
    assert_null(scim_validate_resource(&draft, json, NULL, type_of(type), true, pool));
    return draft;
}

static scim_draft user_draft(const char *name, const char *manager)
{
    json_t *json = json_pack("{s:[s],s:s}", "schemas", SCIM_URN_USER, "userName", name);

    if (manager) {
        json_object_set_new(json, SCIM_URN_ENTERPRISE,
                            json_pack("{s:{s:s}}", "manager", "value", manager));
    }
    return draft_of("User", json);
}

static scim_draft group_draft(const char *name, const char *member)
{
    json_t *json = json_pack("{s:[s],s:s}", "schemas", SCIM_URN_GROUP, "displayName", name);

    if (member) {
        json_object_set_new(json, "members", json_pack("[{s:s}]", "value", member));
    }
    return draft_of("Group", json);
}

static const char *text_of(const scim_id *id)
{
    return scim_id_format(id, apr_palloc(pool, SCIM_ID_TEXT + 1));
}

static scim_id promise(scim_batch *batch, const char *type)
{
    scim_id id;

    assert_null(scim_batch_promise(&id, batch, &tenant, type_of(type), apr_time_now()));
    return id;
}

static const scim_error *create(scim_change *out, scim_batch *batch, scim_draft draft,
                                const scim_id *promised)
{
    return scim_batch_create(out, batch, &tenant, &draft, promised, true, now, pool);
}

static scim_id created(scim_batch *batch, scim_draft draft, const scim_id *promised)
{
    scim_change change;

    assert_null(create(&change, batch, draft, promised));
    return change.record.id;
}

static const scim_error *delete (scim_batch *batch, const char *type, const scim_id *id,
                                 const char *if_match)
{
    scim_precondition precondition = {.if_match = if_match};
    scim_deletion deletion;

    return scim_batch_delete(&deletion, batch, &tenant, type_of(type), id, &precondition, now,
                             pool);
}

static void assert_code(const scim_error *err, scim_error_code code)
{
    assert_non_null(err);
    assert_int_equal(err->code, code);
}

static const scim_error *run(scim_batch_fn fn, void *baton)
{
    return scim_store_batch(store, fn, baton, pool);
}

static scim_kv_stat statistics(void)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_statistics(scim_store_kv(store), &stat), SCIM_KV_OK);
    return stat;
}

/* Whether a resource is there, and how it is. */
typedef struct looking {
    const char *type;
    scim_id id;
    scim_record record;
    const scim_error *error;
} looking;

static const scim_error *look(scim_view *view, void *baton)
{
    looking *l = baton;

    l->error = scim_resource_get(&l->record, view, &tenant, type_of(l->type), &l->id);
    if (!l->error) {
        l->record.json = apr_pstrmemdup(pool, l->record.json, l->record.json_len);
    }
    return NULL;
}

static looking look_for(const char *type, scim_id id)
{
    looking l = {.type = type, .id = id};

    assert_null(scim_store_view(store, look, &l, pool));
    return l;
}

static bool is_there(const char *type, scim_id id)
{
    return !look_for(type, id).error;
}

typedef struct edge_question {
    scim_id group, member;
    bool answer;
} edge_question;

static const scim_error *ask_edge(scim_view *view, void *baton)
{
    edge_question *q = baton;

    q->answer = scim_member_has(view, &tenant, &q->group, &q->member);
    return NULL;
}

static bool has_member(scim_id group, scim_id member)
{
    edge_question q = {group, member, false};

    assert_null(scim_store_view(store, ask_edge, &q, pool));
    return q.answer;
}

/* Promises */

typedef struct ids {
    scim_id id[4];
} ids;

static const scim_error *keep_promises(scim_batch *batch, void *baton)
{
    ids *out = baton;
    scim_id early = created(batch, user_draft("early", NULL), NULL);
    scim_id made;
    int i;

    for (i = 0; i < 4; i++) {
        out->id[i] = promise(batch, i % 2 ? "Group" : "User");
        assert_true(scim_id_compare(&out->id[i], i ? &out->id[i - 1] : &early) > 0);
    }
    made = created(batch, user_draft("a", NULL), &out->id[0]);
    assert_int_equal(scim_id_compare(&made, &out->id[0]), 0);
    made = created(batch, group_draft("g", NULL), &out->id[1]);
    assert_int_equal(scim_id_compare(&made, &out->id[1]), 0);
    return NULL;
}

static void test_promises(void **state)
{
    ids made;

    assert_null(run(keep_promises, &made));
    assert_true(is_there("User", made.id[0]));
    assert_true(is_there("Group", made.id[1]));
    assert_false(is_there("User", made.id[2]));
    assert_false(is_there("Group", made.id[3]));
}

static const scim_error *refer_ahead(scim_batch *batch, void *baton)
{
    ids *out = baton;
    scim_id *a = &out->id[0], *b = &out->id[1], *g = &out->id[2], *h = &out->id[3];

    *a = promise(batch, "User");
    *b = promise(batch, "User");
    *g = promise(batch, "Group");
    *h = promise(batch, "Group");
    created(batch, user_draft("a", text_of(b)), a);
    created(batch, user_draft("b", text_of(a)), b);
    created(batch, group_draft("g", text_of(h)), g);
    created(batch, group_draft("h", text_of(g)), h);
    return NULL;
}

static void test_circles(void **state)
{
    looking l;
    ids made;

    assert_null(run(refer_ahead, &made));
    assert_true(has_member(made.id[2], made.id[3]));
    assert_true(has_member(made.id[3], made.id[2]));
    l = look_for("User", made.id[0]);
    assert_null(l.error);
    /* the $ref of a manager is that of what is there */
    assert_non_null(
        strstr(l.record.json, apr_pstrcat(pool, "Users/", text_of(&made.id[1]), NULL)));
}

/* The first user goes again: both references to it are cleared. */
static const scim_error *refer_and_delete(scim_batch *batch, void *baton)
{
    ids *out = baton;

    SCIM_ERR(refer_ahead(batch, out));
    SCIM_ERR(delete (batch, "User", &out->id[0], NULL));
    return delete (batch, "Group", &out->id[2], NULL);
}

static void test_circle_is_cut(void **state)
{
    looking l;
    ids made;

    assert_null(run(refer_and_delete, &made));
    assert_false(is_there("User", made.id[0]));
    assert_false(is_there("Group", made.id[2]));
    assert_false(has_member(made.id[3], made.id[2]));
    l = look_for("User", made.id[1]);
    assert_null(l.error);
    assert_null(strstr(l.record.json, "manager"));
}

static const scim_error *refer_to_nothing(scim_batch *batch, void *baton)
{
    scim_id kept = promise(batch, "User"), gone = promise(batch, "User");
    scim_change change;

    scim_batch_take_back(batch, &gone);
    assert_code(create(&change, batch, group_draft("g", text_of(&gone)), NULL),
                SCIM_E_INVALID_VALUE);
    /* a promise that was kept, and whose resource was deleted, is none */
    created(batch, user_draft("a", NULL), &kept);
    assert_null(delete (batch, "User", &kept, NULL));
    assert_code(create(&change, batch, group_draft("g", text_of(&kept)), NULL),
                SCIM_E_INVALID_VALUE);
    /* nor is it of another type than its own */
    kept = promise(batch, "Group");
    assert_code(delete (batch, "Group", &kept, NULL), SCIM_E_NOT_FOUND);
    assert_code(delete (batch, "User", &kept, NULL), SCIM_E_NOT_FOUND);
    return NULL;
}

static void test_no_promise(void **state)
{
    assert_null(run(refer_to_nothing, NULL));
}

static const scim_error *be_own_member(scim_batch *batch, void *baton)
{
    scim_id id = promise(batch, "Group");
    scim_change change;

    assert_code(create(&change, batch, group_draft("g", text_of(&id)), &id),
                SCIM_E_INVALID_VALUE);
    return NULL;
}

static void test_own_member(void **state)
{
    assert_null(run(be_own_member, NULL));
}

/* Wholeness */

static const scim_error *create_many(scim_batch *batch, void *baton)
{
    int i, count = *(int *)baton;

    for (i = 0; i < count; i++) {
        created(batch, user_draft(apr_psprintf(pool, "u%d", i), NULL), NULL);
    }
    return NULL;
}

static void test_one_commit(void **state)
{
    scim_kv_stat before = statistics();
    int count = 500;

    assert_null(run(create_many, &count));
    assert_int_equal(statistics().updates, before.updates + 1);
    assert_true(statistics().entries >= before.entries + 1000);
}

static const scim_error *sees_itself(scim_batch *batch, void *baton)
{
    scim_id id = created(batch, user_draft("a", NULL), NULL);
    scim_change change;

    assert_code(create(&change, batch, user_draft("A", NULL), NULL), SCIM_E_UNIQUENESS);
    assert_code(delete (batch, "User", &id, "W/\"0\""), SCIM_E_PRECONDITION_FAILED);
    assert_null(delete (batch, "User", &id, "*"));
    assert_code(delete (batch, "User", &id, NULL), SCIM_E_NOT_FOUND);
    created(batch, user_draft("A", NULL), NULL);
    return NULL;
}

static void test_sees_itself(void **state)
{
    assert_null(run(sees_itself, NULL));
}

/* What others see while a batch writes. */
static const scim_error *is_hidden(scim_batch *batch, void *baton)
{
    scim_id *id = baton;

    *id = created(batch, user_draft("a", NULL), NULL);
    assert_false(is_there("User", *id));
    return NULL;
}

static void test_hidden_until_done(void **state)
{
    scim_id id;

    assert_null(run(is_hidden, &id));
    assert_true(is_there("User", id));
}

static const scim_error *give_up(scim_batch *batch, void *baton)
{
    ids *out = baton;

    SCIM_ERR(refer_ahead(batch, out));
    return scim_error_make(pool, SCIM_E_INVALID_VALUE, "no");
}

static void test_given_up(void **state)
{
    scim_kv_stat before = statistics();
    ids made, again;

    assert_code(run(give_up, &made), SCIM_E_INVALID_VALUE);
    assert_int_equal(statistics().entries, before.entries);
    assert_int_equal(statistics().used, before.used);
    assert_int_equal(statistics().updates, before.updates);
    assert_false(is_there("User", made.id[0]));
    /* and once more, as a job that is run again */
    assert_null(run(refer_ahead, &again));
    assert_true(is_there("User", again.id[0]));
}

static const scim_error *fail_between(scim_batch *batch, void *baton)
{
    scim_change change;

    created(batch, user_draft("a", NULL), NULL);
    assert_code(create(&change, batch, group_draft("g", "no id"), NULL), SCIM_E_INVALID_VALUE);
    assert_code(create(&change, batch, user_draft("a", NULL), NULL), SCIM_E_UNIQUENESS);
    *(scim_id *)baton = created(batch, user_draft("b", NULL), NULL);
    return NULL;
}

static void test_failures_undo_nothing(void **state)
{
    scim_id id;

    assert_null(run(fail_between, &id));
    assert_true(is_there("User", id));
}

/* A write that fails spoils the whole batch, whichever it is. */
static const scim_error *create_two(scim_batch *batch, void *baton)
{
    scim_draft first = user_draft("a", NULL), second = user_draft("b", NULL);
    scim_change change;

    create(&change, batch, first, NULL);
    create(&change, batch, second, NULL);
    return NULL;
}

static void test_faults(void **state)
{
    scim_kv_stat before = statistics();
    const scim_error *err;
    int n = 0;

    do {
        scim_kv_memory_fail(scim_store_kv(store), ++n);
        err = run(create_two, NULL);
        if (err) {
            assert_int_equal(err->code, SCIM_E_INTERNAL);
            assert_non_null(err->cause);
            assert_int_equal(statistics().used, before.used);
        }
    } while (err);
    scim_kv_memory_fail(scim_store_kv(store), 0);
    assert_true(n > 6);
    assert_int_equal(statistics().updates, before.updates + 1);
}

static const scim_error *nothing(scim_batch *batch, void *baton)
{
    *(int *)baton += 1;
    return NULL;
}

static const scim_error *create_too_many(scim_batch *batch, void *baton)
{
    const scim_error *err = NULL;
    scim_change change;
    int i;

    for (i = 0; i < 500 && !err; i++) {
        err = create(&change, batch, user_draft(apr_psprintf(pool, "u%d", i), NULL), NULL);
    }
    assert_code(err, SCIM_E_STORAGE_FULL);
    return NULL;
}

static void test_no_room(void **state)
{
    scim_kv_options kv = {.create = true, .size = statistics().used + 4000};
    scim_kv_stat before;

    store = open_store("memory:", kv);
    assert_null(scim_tenant_create(&tenant, store, "acme", 0, pool));
    before = statistics();
    assert_code(run(create_too_many, NULL), SCIM_E_STORAGE_FULL);
    assert_int_equal(statistics().used, before.used);
}

/* On disk: what a batch wrote is there after a restart. */
static void test_durable(void **state)
{
    char directory[] = "/tmp/scim-batch-XXXXXX";
    scim_kv_options kv = {.create = true};
    const char *url;
    int runs = 0;
    ids made;

    assert_non_null(mkdtemp(directory));
    url = apr_pstrcat(pool, "lmdb:", directory, NULL);
    store = open_store(url, kv);
    assert_null(scim_tenant_create(&tenant, store, "acme", 0, pool));
    assert_null(run(refer_ahead, &made));
    scim_store_close(store);

    kv = (scim_kv_options){.read_only = true};
    store = open_store(url, kv);
    assert_true(is_there("User", made.id[0]));
    assert_true(has_member(made.id[2], made.id[3]));
    assert_code(run(nothing, &runs), SCIM_E_UNAVAILABLE);
    assert_int_equal(runs, 0);
    scim_store_close(store);
    apr_file_remove(apr_pstrcat(pool, directory, "/data.mdb", NULL), pool);
    apr_file_remove(apr_pstrcat(pool, directory, "/lock.mdb", NULL), pool);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-031 promised ids are those of what is created", test_promises, begin, end, NULL},
        {"C-238 C-239 references to what is only promised, in circles", test_circles, begin,
         end, NULL},
        {"C-212 C-239 a circle whose part is deleted", test_circle_is_cut, begin, end, NULL},
        {"C-056 C-240 what was taken back, or deleted, is no target", test_no_promise, begin,
         end, NULL},
        {"C-215 a group is not its own member by a promise", test_own_member, begin, end, NULL},
        {"C-244 500 creates are one commit", test_one_commit, begin, end, NULL},
        {"C-244 a mutation sees those before it", test_sees_itself, begin, end, NULL},
        {"C-244 nobody else sees it before it is done", test_hidden_until_done, begin, end,
         NULL},
        {"C-244 what is given up leaves nothing, and can be run again", test_given_up, begin,
         end, NULL},
        {"C-244 a mutation that fails undoes nothing", test_failures_undo_nothing, begin, end,
         NULL},
        {"C-244 a write that fails undoes all", test_faults, begin, end, NULL},
        {"C-244 a full store takes all or nothing", test_no_room, begin, end, NULL},
        {"C-244 on disk it is durable, and a read-only store takes none", test_durable, begin,
         end, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
