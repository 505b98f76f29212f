/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service tells of a deleted group's members, and how what the deletion
 * of a large group left is done behind the answers of those who write.
 */
#include "service_fixture.h"

#include "scim/role.h"
#include "scim/sweep.h"

#define LARGE (2 * SCIM_SWEEP_STEP + 50)

static scim_policy say_policy(const char *name, void *baton, apr_pool_t *result_pool)
{
    return *(const scim_policy *)baton;
}

/* For every tenant; "Staff" is what gives a role. */
static void set_policy(scim_on_group_delete then, apr_uint32_t limit)
{
    scim_role_pattern *role = apr_palloc(pool, sizeof(*role));
    apr_array_header_t *changed;

    assert_true(scim_role_pattern_make(role, "member", "Staff", pool));
    identity.tenant.policy = (scim_policy){.unique_group_names = true,
                                           .on_group_delete = then,
                                           .delete_limit = limit,
                                           .roles = role,
                                           .roles_count = 1};
    assert_null(
        scim_tenant_set_policies(&changed, store, say_policy, &identity.tenant.policy, pool));
}

/* A group "Staff" of so many users u0, u1 ... */
static const char *create_crowd(const char **users, int count)
{
    apr_array_header_t *members = apr_array_make(pool, count, sizeof(const char *));
    int i;

    for (i = 0; i < count; i++) {
        users[i] = create_user(apr_psprintf(pool, "u%d", i));
        APR_ARRAY_PUSH(members, const char *) = member(users[i]);
    }
    return create_group("Staff", apr_array_pstrcat(pool, members, ','));
}

static const scim_event *event_at(const scim_reply *reply, int i)
{
    assert_true(reply->events && i < reply->events->nelts);
    return &APR_ARRAY_IDX(reply->events, i, scim_event);
}

/* A job that deletes one group: it leaves all members, where DELETE goes on. */
static scim_reply delete_in_bulk(const char *group)
{
    return assert_status(
        submit(SCIM_POST, "/Bulk",
               text_of("{'schemas':['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],"
                       "'Operations':[{'method':'DELETE','path':'/Groups/%s'}]}",
                       group)),
        200);
}

static void test_consequences(void **state)
{
    const char *users[2], *group;
    scim_reply reply;

    set_policy(SCIM_ON_DELETE_DEACTIVATE, 0);
    group = create_crowd(users, 2);
    reply = assert_status(submit(SCIM_DELETE, group_url(group), NULL), 204);
    assert_string_equal(events_of(reply),
                        text_of("groups.delete %s -\nusers.patch %s active for %s\n"
                                "users.patch %s active for %s\n",
                                group, users[0], group, users[1], group));
    assert_int_equal(event_at(&reply, 1)->version, 2);
    assert_string_equal(event_at(&reply, 1)->tenant, "acme");
    assert_int_equal(reply.count, 2);
    assert_string_equal(reply.id, group);
    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_group("Staff", member(users[0]));
    reply = assert_status(submit(SCIM_DELETE, group_url(group), NULL), 204);
    assert_string_equal(
        events_of(reply),
        text_of("groups.delete %s -\nusers.delete %s - for %s\n", group, users[0], group));
    assert_int_equal(reply.count, 1);
    /* of a user there is nothing of that kind to count */
    reply = assert_status(submit(SCIM_DELETE, user_url(users[1]), NULL), 204);
    assert_int_equal(reply.count, -1);
}

/* A step behind an answer that is sent, of a call by that method. */
static scim_reply go_on(scim_reply reply, scim_method method, const char *url)
{
    scim_call call = call_of(method, url, NULL);

    assert_true(reply.unfinished);
    scim_service_go_on(&reply, &call, pool);
    return reply;
}

/* DELETE finishes a large group by itself, in time. */
static void test_large(void **state)
{
    static const char *users[LARGE];
    const char *group;
    scim_reply reply;

    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    reply = assert_status(submit(SCIM_DELETE, group_url(group), NULL), 204);
    assert_int_equal(reply.events->nelts, 1 + LARGE);
    assert_int_equal(reply.count, LARGE);
    assert_int_equal(total_of("/Users"), 0);
    assert_false(reply.unfinished);
    assert_null(reply.warning);
}

static void test_behind_the_answer(void **state)
{
    static const char *users[LARGE];
    const char *group;
    scim_reply reply, other;

    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    reply = delete_in_bulk(group);
    assert_int_equal(reply.events->nelts, 1);
    assert_int_equal(total_of("/Users"), LARGE);
    /* who writes while it is being done has nothing to do with it */
    other = assert_status(submit(SCIM_PUT, user_url(users[LARGE - 1]), user_body("last")), 200);
    assert_false(other.unfinished);
    assert_int_equal(other.events->nelts, 1);
    reply = go_on(reply, SCIM_POST, "/Bulk");
    assert_int_equal(reply.events->nelts, SCIM_SWEEP_STEP);
    assert_string_equal(event_at(&reply, 0)->op, "users.delete");
    assert_int_equal(total_of("/Users"), LARGE - SCIM_SWEEP_STEP);
    reply = go_on(reply, SCIM_POST, "/Bulk");
    assert_int_equal(reply.events->nelts, SCIM_SWEEP_STEP);
    reply = go_on(reply, SCIM_POST, "/Bulk");
    assert_int_equal(reply.events->nelts, LARGE - 2 * SCIM_SWEEP_STEP);
    assert_false(reply.unfinished);
    assert_int_equal(reply.count, 1); /* of operations */
    assert_int_equal(total_of("/Users"), 0);
    reply = assert_status(submit(SCIM_POST, "/Users", user_body("new")), 201);
    assert_false(reply.unfinished);
    assert_int_equal(reply.events->nelts, 1);
}

/* What a process left that ended meanwhile: whoever it is that writes, the events
 * say whose they are. */
static void test_next_writers(void **state)
{
    static const char *users[LARGE];
    scim_tenant other;
    const char *group;
    scim_reply reply;
    scim_call call = call_of(SCIM_POST, "/Users", NULL);

    open_tenant(&other, "other");
    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    reply = delete_in_bulk(group);
    scim_service_leave(&reply, &call);
    assert_false(reply.unfinished);
    /* who only reads, or changes nothing, leaves it as it is */
    assert_false(assert_status(get(user_url(users[LARGE - 1])), 200).unfinished);
    reply = submit(SCIM_POST, "/Users", "{}");
    assert_error(reply, 400, "invalidSyntax");
    assert_false(reply.unfinished);
    assert_false(submit(SCIM_DELETE, user_url(NOBODY), NULL).unfinished);
    identity.tenant = other;
    reply = assert_status(submit(SCIM_POST, "/Users", user_body("stranger")), 201);
    assert_int_equal(reply.events->nelts, 1);
    assert_null(event_at(&reply, 0)->tenant);
    reply = go_on(reply, SCIM_POST, "/Users");
    assert_int_equal(reply.events->nelts, SCIM_SWEEP_STEP);
    assert_string_equal(event_at(&reply, 0)->tenant, "acme");
    scim_service_leave(&reply, &call);
    reply = assert_status(submit(SCIM_POST, "/Users", user_body("friend")), 201);
    while (reply.unfinished) {
        reply = go_on(reply, SCIM_POST, "/Users");
    }
    assert_int_equal(total_of("/Users"), 2);
}

/* A deletion that finds the sweep taken leaves its members to whoever has it. */
static void test_two_groups(void **state)
{
    static const char *users[LARGE], *more[LARGE];
    const char *group, *second, *list = "";
    scim_reply reply, other;
    int i;

    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    reply = delete_in_bulk(group);
    for (i = 0; i < LARGE; i++) {
        more[i] = create_user(text_of("m%d", i));
        list = apr_pstrcat(pool, list, i ? "," : "", member(more[i]), NULL);
    }
    second = create_group("Staff", list);
    other = assert_status(submit(SCIM_DELETE, group_url(second), NULL), 204);
    assert_false(other.unfinished);
    assert_int_equal(other.events->nelts, 1);
    assert_int_equal(other.count, 0);
    assert_int_equal(total_of("/Users"), 2 * LARGE);
    while (reply.unfinished) {
        reply = go_on(reply, SCIM_POST, "/Bulk");
    }
    assert_int_equal(total_of("/Users"), 0);
}

/* Of a DELETE that was sent before all was done, those count that came after. */
static void test_count_goes_on(void **state)
{
    static const char *users[LARGE];
    const char *group;
    scim_reply reply;
    scim_call call = call_of(SCIM_POST, "/Bulk", NULL);

    set_policy(SCIM_ON_DELETE_DEACTIVATE, 0);
    group = create_crowd(users, LARGE);
    reply = delete_in_bulk(group);
    scim_service_leave(&reply, &call);
    reply = (scim_reply){.count = 7, .id = group, .unfinished = scim_sweep_take(store)};
    while (reply.unfinished) {
        reply = go_on(reply, SCIM_DELETE, group_url(group));
    }
    assert_int_equal(reply.count, 7 + LARGE);
}

/* A step that fails spoils no answer, and is for the error log. */
static void test_sweep_fails(void **state)
{
    static const char *users[LARGE];
    const char *group;
    scim_reply reply;

    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    reply = delete_in_bulk(group);
    assert_null(reply.warning);
    scim_kv_memory_fail(scim_store_kv(store), 5);
    reply = go_on(reply, SCIM_POST, "/Bulk");
    assert_false(reply.unfinished);
    assert_non_null(reply.warning);
    assert_non_null(strstr(reply.warning, "deleted group"));
    assert_null(reply.events);
    assert_int_equal(total_of("/Users"), LARGE);
    /* the next one finds it as it was */
    reply = assert_status(submit(SCIM_POST, "/Users", user_body("new")), 201);
    reply = go_on(reply, SCIM_POST, "/Users");
    assert_null(reply.warning);
    assert_int_equal(total_of("/Users"), LARGE - SCIM_SWEEP_STEP + 1);
}

static void test_brake(void **state)
{
    const char *users[3], *group, *detail;
    scim_reply reply;

    set_policy(SCIM_ON_DELETE_DELETE, 2);
    group = create_crowd(users, 3);
    reply = submit(SCIM_DELETE, group_url(group), NULL);
    assert_error(reply, 429, NULL);
    assert_int_equal(reply.retry_after, 0);
    assert_null(reply.events);
    detail = text_at(reply, "detail");
    assert_non_null(strstr(detail, "scimctl tenant release acme"));
    assert_error(submit(SCIM_PATCH, user_url(users[0]),
                        text_of("{'schemas':['@PO'],'Operations':[{'op':'replace','path':"
                                "'active','value':'False'}]}")),
                 429, NULL);
    assert_status(submit(SCIM_PATCH, user_url(users[0]),
                         text_of("{'schemas':['@PO'],'Operations':[{'op':'replace','path':"
                                 "'active','value':true}]}")),
                  200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"events of what a deleted group did to its members", test_consequences, begin, end,
         NULL},
        {"a large group is finished by its DELETE", test_large, begin_in_memory, end, NULL},
        {"what a deletion left is done behind its answer", test_behind_the_answer, begin, end,
         NULL},
        {"what a process left is done by those who write next", test_next_writers, begin, end,
         NULL},
        {"two large groups, one sweep", test_two_groups, begin, end, NULL},
        {"users that were treated behind the answer count", test_count_goes_on, begin, end,
         NULL},
        {"a sweep that fails spoils no answer", test_sweep_fails, begin_in_memory, end, NULL},
        {"SCIMDeleteLimit answers 429", test_brake, begin, end, NULL},
    };

    make_registry(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
