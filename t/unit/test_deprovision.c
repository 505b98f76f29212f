/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service tells of a deleted group's members, and how those who write
 * next finish what the deletion of a large group left.
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

/* A job that deletes one group: it sweeps a step, where DELETE goes on. */
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
    assert_null(reply.warning);
}

static void test_next_writers(void **state)
{
    static const char *users[LARGE];
    scim_tenant acme, other;
    const char *group;
    scim_reply reply;

    open_tenant(&other, "other");
    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    reply = delete_in_bulk(group);
    assert_int_equal(reply.events->nelts, 1 + SCIM_SWEEP_STEP);
    assert_int_equal(total_of("/Users"), LARGE - SCIM_SWEEP_STEP);
    /* who only reads, or changes nothing, leaves it as it is */
    assert_status(get(user_url(users[LARGE - 1])), 200);
    assert_error(submit(SCIM_POST, "/Users", "{}"), 400, "invalidSyntax");
    assert_error(submit(SCIM_DELETE, user_url(NOBODY), NULL), 404, NULL);
    assert_int_equal(total_of("/Users"), LARGE - SCIM_SWEEP_STEP);
    /* whoever it is that writes, the events say whose they are */
    acme = identity.tenant;
    identity.tenant = other;
    reply = assert_status(submit(SCIM_POST, "/Users", user_body("stranger")), 201);
    assert_int_equal(reply.events->nelts, 1 + SCIM_SWEEP_STEP);
    assert_null(event_at(&reply, 0)->tenant);
    assert_string_equal(event_at(&reply, 1)->tenant, "acme");
    assert_string_equal(event_at(&reply, 1)->op, "users.delete");
    identity.tenant = acme;
    assert_int_equal(total_of("/Users"), LARGE - 2 * SCIM_SWEEP_STEP);
    reply = assert_status(submit(SCIM_PUT, user_url(users[LARGE - 1]), user_body("last")), 200);
    assert_int_equal(reply.events->nelts, 1 + LARGE - 2 * SCIM_SWEEP_STEP);
    assert_int_equal(total_of("/Users"), 0);
    reply = assert_status(submit(SCIM_POST, "/Users", user_body("new")), 201);
    assert_int_equal(reply.events->nelts, 1);
}

/* A step that fails spoils no answer, and is for the error log. */
static void test_sweep_fails(void **state)
{
    static const char *users[LARGE];
    const char *group;
    scim_reply reply;
    int n = 0;

    set_policy(SCIM_ON_DELETE_DELETE, 0);
    group = create_crowd(users, LARGE);
    delete_in_bulk(group);
    do {
        scim_kv_memory_fail(scim_store_kv(store), ++n);
        reply = submit(SCIM_POST, "/Users", user_body("new"));
        scim_kv_memory_fail(scim_store_kv(store), 0);
        assert_true(reply.status == 500 || reply.status == 201);
        assert_true(reply.status == 201 || !reply.warning);
    } while (reply.status == 500);
    assert_non_null(reply.warning);
    assert_non_null(strstr(reply.warning, "deleted group"));
    assert_int_equal(reply.events->nelts, 1);
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
        {"a large group is finished by its DELETE", test_large, begin, end, NULL},
        {"what a deletion left is done by those who write next", test_next_writers, begin, end,
         NULL},
        {"a sweep that fails spoils no answer", test_sweep_fails, begin, end, NULL},
        {"SCIMDeleteLimit answers 429", test_brake, begin, end, NULL},
    };

    make_registry(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
