/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the deletion of a group means for its members, at once and in steps;
 * names of groups that a tenant refuses; and the brake on mass deletion.
 */
#include "store_model.h"

#include "scim/brake.h"
#include "scim/role.h"
#include "scim/subject.h"
#include "scim/sweep.h"

#define MANY (2 * SCIM_SWEEP_STEP + 50) /* members: more than two steps take */

/* The policy of a tenant with three roles, for what is done to it by name too. */
static void set_policy_for(scim_tenant *tenant, scim_on_group_delete then,
                           scim_custom_groups custom, apr_uint32_t limit)
{
    scim_role_pattern *roles = apr_palloc(fix.pool, 3 * sizeof(*roles));
    apr_array_header_t *changed;

    assert_true(scim_role_pattern_make(&roles[0], "admin", "Root*", fix.pool));
    assert_true(scim_role_pattern_make(&roles[1], "member", "Staff*", fix.pool));
    assert_true(scim_role_pattern_make(&roles[2], "guest", "Guests", fix.pool));
    tenant->policy = (scim_policy){.unique_group_names = true,
                                   .on_group_delete = then,
                                   .custom_groups = custom,
                                   .delete_limit = limit,
                                   .roles = roles,
                                   .roles_count = 3};
    assert_no_error(set_policy_of(&changed, tenant->name, &tenant->policy));
}

static void set_policy(scim_on_group_delete then)
{
    set_policy_for(&fix.tenant, then, SCIM_CUSTOM_ACCEPT, 0);
}

static void set_limit(apr_uint32_t limit)
{
    set_policy_for(&fix.tenant, SCIM_ON_DELETE_DELETE, SCIM_CUSTOM_ACCEPT, limit);
}

/* A group of these, ended by NULL. */
static scim_id group_of(const char *name, const scim_id *member, ...)
{
    const char *list = "";
    va_list args;

    va_start(args, member);
    for (; member; member = va_arg(args, const scim_id *)) {
        list = fmt("%s%s{'value':'%s'}", list, *list ? "," : "", text_of(member));
    }
    va_end(args);
    return new_group(name, list);
}

static scim_id crowd_in(const scim_tenant *tenant, const char *name, const scim_id *users,
                        int count)
{
    apr_array_header_t *list = apr_array_make(fix.pool, count, sizeof(const char *));
    scim_change change;
    int i;

    for (i = 0; i < count; i++) {
        APR_ARRAY_PUSH(list, const char *) = fmt("{'value':'%s'}", text_of(&users[i]));
    }
    assert_no_error(post_as(&change, tenant, "Group",
                            fmt("{'displayName':'%s','members':[%s]}", name,
                                apr_array_pstrcat(fix.pool, list, ',')),
                            tick(), fix.pool));
    return change.record.id;
}

/* Users NAME0, NAME1 ... and a group of them. */
static scim_id crowd_of(const scim_tenant *tenant, const char *name, scim_id *users, int count)
{
    scim_change change;
    int i;

    for (i = 0; i < count; i++) {
        assert_no_error(post_as(&change, tenant, "User", fmt("{'userName':'%s%d'}", name, i),
                                tick(), fix.pool));
        users[i] = change.record.id;
    }
    return crowd_in(tenant, name, users, count);
}

static scim_deletion must_delete_group(const scim_tenant *tenant, const scim_id *group)
{
    scim_deletion out;
    getting g;

    assert_no_error(scim_resource_delete(&out, fix.store, tenant, type_of("Group"), group, NULL,
                                         tick(), fix.pool));
    invariants();
    assert_code(get(&g, "Group", group), SCIM_E_NOT_FOUND, NULL);
    return out;
}

static bool is_there(const scim_id *user)
{
    getting g;

    return !get(&g, "User", user);
}

static bool is_active(const scim_id *user)
{
    return !json_is_false(json_object_get(json_at("User", user), "active"));
}

static apr_uint64_t version_of(const scim_id *user)
{
    getting g;

    assert_no_error(get(&g, "User", user));
    return g.record.version;
}

/* The one consequence for a user; NULL where there is none. */
static const scim_consequence *consequence_for(const apr_array_header_t *consequences,
                                               const scim_id *user)
{
    const scim_consequence *found = NULL;
    int i;

    for (i = 0; i < consequences->nelts; i++) {
        const scim_consequence *one = &APR_ARRAY_IDX(consequences, i, scim_consequence);

        if (!scim_id_compare(&one->id, user)) {
            assert_null(found);
            found = one;
        }
    }
    return found;
}

static void assert_consequence(const scim_deletion *deletion, const scim_id *user, bool deleted,
                               apr_uint64_t version, const scim_id *group)
{
    const scim_consequence *of = consequence_for(deletion->consequences, user);

    assert_non_null(of);
    assert_ptr_equal(of->type, type_of("User"));
    assert_int_equal(of->deleted, deleted);
    assert_int_equal(of->version, version);
    assert_int_equal(scim_id_compare(&of->group, group), 0);
    assert_string_equal(of->tenant, "acme");
}

/* One step; whether more is pending. */
static bool step(apr_array_header_t *consequences)
{
    bool more;

    assert_no_error(scim_sweep(&more, consequences, fix.store, tick(), fix.pool));
    invariants();
    return more;
}

static apr_array_header_t *some_consequences(void)
{
    return apr_array_make(fix.pool, 4, sizeof(scim_consequence));
}

static const scim_error *list_in_view(scim_view *view, void *baton)
{
    return scim_sweep_list(baton, view);
}

static apr_array_header_t *pending(void)
{
    apr_array_header_t *out;

    assert_no_error(scim_store_view(fix.store, list_in_view, &out, fix.pool));
    return out;
}

typedef struct having {
    apr_uint32_t tenant;
    const scim_id *group;
    bool out;
} having;

static const scim_error *has_in_view(scim_view *view, void *baton)
{
    having *h = baton;
    const scim_tenant tenant = {.number = h->tenant};

    return scim_sweep_has(&h->out, view, &tenant, h->group);
}

static bool group_pends(apr_uint32_t tenant, const scim_id *group)
{
    having h = {tenant, group, false};

    assert_no_error(scim_store_view(fix.store, has_in_view, &h, fix.pool));
    return h.out;
}

static apr_uint64_t updates(void)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_statistics(scim_store_kv(fix.store), &stat), SCIM_KV_OK);
    return stat.updates;
}

/* Few members: all in the transaction of the deletion */

static void test_keep(void **state)
{
    scim_id anna = new_user("anna"), group = group_of("Staff", &anna, NULL);
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_KEEP);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 0);
    assert_false(deletion.pending);
    assert_int_equal(version_of(&anna), 1);
    assert_int_equal(groups_of(&anna)->nelts, 0);
}

static void test_deactivate(void **state)
{
    scim_id anna = new_user("anna"), ben = new_user("ben");
    scim_id carl = must_post("User", "{'userName':'carl','active':false,'externalId':'c'}");
    scim_id group = group_of("Staff Berlin", &anna, &ben, &carl, NULL);
    scim_id other = group_of("plain", &anna, NULL);
    scim_deletion deletion;

    must_put("User", &ben, "{'userName':'ben','active':true,'externalId':'b'}");
    set_policy(SCIM_ON_DELETE_DEACTIVATE);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 2);
    assert_consequence(&deletion, &anna, false, 2, &group);
    assert_consequence(&deletion, &ben, false, 3, &group);
    assert_false(deletion.pending);
    assert_false(is_active(&anna));
    assert_false(is_active(&ben));
    assert_int_equal(version_of(&anna), 2);
    assert_int_equal(version_of(&ben), 3);
    /* who was not active stays as it is, and who is keeps its other groups */
    assert_int_equal(version_of(&carl), 1);
    assert_int_equal(groups_of(&anna)->nelts, 1);
    assert_int_equal(members_of(&other)->nelts, 1);
    assert_int_equal(pending()->nelts, 0);
    must_patch("User", &anna, "{'op':'replace','path':'active','value':true}");
    assert_true(is_active(&anna));
}

static void test_delete(void **state)
{
    scim_id anna = new_user("anna"), ben = new_user("ben"), out = new_user("out");
    scim_id group = group_of("Staff", &anna, &ben, NULL);
    scim_id other = group_of("plain", &anna, &out, NULL);
    scim_id report = must_post(
        "User", fmt("{'userName':'report','@EU':{'manager':{'value':'%s'}}}", text_of(&anna)));
    scim_deletion deletion;

    /* who is deleted refers to another who is */
    must_put("User", &ben,
             fmt("{'userName':'ben','@EU':{'manager':{'value':'%s'}}}", text_of(&anna)));
    set_policy(SCIM_ON_DELETE_DELETE);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 2);
    assert_consequence(&deletion, &anna, true, 0, &group);
    assert_consequence(&deletion, &ben, true, 0, &group);
    assert_false(is_there(&anna));
    assert_false(is_there(&ben));
    assert_int_equal(members_of(&other)->nelts, 1);
    assert_null(json_object_get(json_at("User", &report), SCIM_URN_ENTERPRISE));
    assert_int_equal(version_of(&report), 2);
    new_user("ANNA");
}

/* Only groups that give a role are looked at. */
static void test_no_role(void **state)
{
    scim_id anna = new_user("anna"), group = group_of("plain", &anna, NULL);
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_DELETE);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 0);
    assert_int_equal(version_of(&anna), 1);
}

static void test_other_role(void **state)
{
    scim_id lost = new_user("lost"), both = new_user("both"), deep = new_user("deep");
    scim_id named = new_user("named");
    scim_id group = group_of("Staff", &lost, &both, &deep, &named, NULL);
    /* a role through a group around a group that gives none */
    scim_id inner = group_of("inner", &deep, NULL), plain = group_of("plain", &lost, NULL);
    scim_deletion deletion;

    group_of("Guests", &both, NULL);
    group_of("Root here", &inner, NULL);
    /* another group of the same role is one more group */
    group_of("staff two", &named, NULL);
    set_policy(SCIM_ON_DELETE_DELETE);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 1);
    assert_consequence(&deletion, &lost, true, 0, &group);
    assert_int_equal(version_of(&both), 1);
    assert_int_equal(version_of(&deep), 1);
    assert_int_equal(version_of(&named), 1);
    assert_int_equal(members_of(&plain)->nelts, 0);
}

/* A member that is a group is not looked into: who is in it only loses a role. */
static void test_nested_members(void **state)
{
    scim_id anna = new_user("anna"), inner = group_of("inner", &anna, NULL);
    scim_id group = group_of("Staff", &inner, NULL);
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_DELETE);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 0);
    assert_int_equal(version_of(&anna), 1);
    assert_int_equal(members_of(&inner)->nelts, 1);
}

/* Under SCIMCustomGroups ignore a group that no role knows saves nobody, and
 * hands on no role of what is around it. */
static void test_inert_groups(void **state)
{
    scim_id anna = new_user("anna"), ben = new_user("ben");
    scim_id group = group_of("Staff", &anna, &ben, NULL),
            inner = group_of("inner", &anna, NULL);
    scim_deletion deletion;

    group_of("Root", &inner, NULL);
    group_of("plain", &ben, NULL);
    set_policy_for(&fix.tenant, SCIM_ON_DELETE_DEACTIVATE, SCIM_CUSTOM_IGNORE, 0);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 2);
    assert_false(is_active(&anna));
    assert_false(is_active(&ben));
    /* and its own deletion does nothing to anybody */
    must_patch("User", &anna, "{'op':'replace','path':'active','value':true}");
    deletion = must_delete_group(&fix.tenant, &inner);
    assert_int_equal(deletion.consequences->nelts, 0);
    assert_true(is_active(&anna));
}

/* Members that are nothing any more are nobody to treat. */
static void test_dangling_member(void **state)
{
    scim_id anna = new_user("anna"), group;
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_DELETE);
    fix.tenant.policy.dangling_references = fix.dangling = true;
    group = new_group("Staff", fmt("{'value':'%s'},{'value':'%s'}", NOBODY, text_of(&anna)));
    deletion = must_delete_group(&fix.tenant, &group);
    assert_int_equal(deletion.consequences->nelts, 1);
    assert_false(is_there(&anna));
}

/* A write that fails takes all of the deletion back. */
static void test_atomic(void **state)
{
    scim_id anna = new_user("anna"), ben = new_user("ben");
    scim_id group = group_of("Staff", &anna, &ben, NULL);
    int n;

    set_policy_for(&fix.tenant, SCIM_ON_DELETE_DELETE, SCIM_CUSTOM_ACCEPT, 9);
    for (n = 1;; n++) {
        apr_array_header_t *before = dump(fix.pool);
        const scim_error *err;

        scim_kv_memory_fail(scim_store_kv(fix.store), n);
        err = del("Group", &group);
        scim_kv_memory_fail(scim_store_kv(fix.store), 0);
        if (!err) {
            break;
        }
        assert_code(err, SCIM_E_INTERNAL, NULL);
        assert_true(same_dump(before, dump(fix.pool)));
        assert_true(n < 50);
    }
    assert_true(n > 10);
    assert_false(is_there(&ben));
    invariants();
}

static void add_member(int turn, void *baton)
{
    const scim_id *ids = baton;

    assert_no_error(
        patch(&(scim_change){.changed = false}, "Group", &ids[0],
              fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(&ids[1]))));
}

/* A member that comes while an empty group is deleted is treated like others. */
static void test_member_comes(void **state)
{
    scim_id ids[2] = {group_of("Staff", NULL), new_user("anna")};
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_DEACTIVATE);
    let_others(add_member, ids, 1);
    deletion = must_delete_group(&fix.tenant, &ids[0]);
    assert_int_equal(others.turn, 1);
    assert_consequence(&deletion, &ids[1], false, 2, &ids[0]);
    assert_false(is_active(&ids[1]));
}

/* Many members: the sweep */

static void assert_pending(const scim_id *group, scim_on_group_delete then,
                           apr_uint64_t members)
{
    const apr_array_header_t *all = pending();
    const scim_pending *one = &APR_ARRAY_IDX(all, 0, scim_pending);

    assert_int_equal(all->nelts, 1);
    assert_int_equal(one->tenant, fix.tenant.number);
    assert_int_equal(scim_id_compare(&one->group, group), 0);
    assert_int_equal(one->then, then);
    assert_int_equal(one->members, members);
    assert_true(one->since > 0 && one->since <= fix.now);
    assert_true(group_pends(fix.tenant.number, group));
    assert_false(group_pends(fix.tenant.number + 1, group));
}

static int count_users(const scim_id *users, int count, bool (*is)(const scim_id *user))
{
    int i, found = 0;

    for (i = 0; i < count; i++) {
        found += is(&users[i]);
    }
    return found;
}

/* Up to a step is small, and one more is not. */
static void test_step_is_small(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    scim_id group;
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_DELETE);
    group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_false(deletion.pending);
    assert_int_equal(deletion.consequences->nelts, SCIM_SWEEP_STEP);
    group = crowd_of(&fix.tenant, "Root", users, SCIM_SWEEP_STEP + 1);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_true(deletion.pending);
    assert_int_equal(deletion.consequences->nelts, 0);
    assert_true(is_there(&users[0]));
    assert_true(step(NULL));
    assert_false(step(NULL));
    assert_int_equal(count_users(users, SCIM_SWEEP_STEP + 1, is_there), 0);
}

/* What a member costs grows with its groups, and a step has a bound. */
static void test_members_of_many(void **state)
{
    enum { MEMBERS = 10, GROUPS = 100 };
    apr_array_header_t *consequences = some_consequences();
    scim_id users[MEMBERS], group, other;
    int i;

    set_policy(SCIM_ON_DELETE_DELETE);
    group = crowd_of(&fix.tenant, "Staff", users, MEMBERS);
    for (i = 0; i < GROUPS; i++) {
        other = crowd_in(&fix.tenant, fmt("plain %d", i), users, MEMBERS);
    }
    assert_true(must_delete_group(&fix.tenant, &group).pending);
    assert_pending(&group, SCIM_ON_DELETE_DELETE, MEMBERS);
    assert_true(step(consequences));
    assert_int_equal(consequences->nelts, 4);
    assert_true(step(consequences));
    assert_int_equal(consequences->nelts, 8);
    assert_false(step(consequences));
    assert_int_equal(count_users(users, MEMBERS, is_there), 0);
    assert_int_equal(members_of(&other)->nelts, 0);
}

/* Who only loses a group costs the same whatever else it is in. */
static void test_keep_of_many(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    scim_id group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    int i;

    for (i = 0; i < 6; i++) {
        crowd_in(&fix.tenant, fmt("plain %d", i), users, SCIM_SWEEP_STEP + 1);
    }
    must_delete_group(&fix.tenant, &group);
    assert_true(step(NULL));
    assert_pending(&group, SCIM_ON_DELETE_KEEP, 1);
    assert_false(step(NULL));
}

static void test_large_keep(void **state)
{
    static scim_id users[MANY];
    scim_id group = crowd_of(&fix.tenant, "Staff", users, MANY);
    scim_id outer = group_of("Outer", &group, NULL), plain;
    scim_deletion deletion;

    set_policy(SCIM_ON_DELETE_KEEP);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_true(deletion.pending);
    assert_pending(&group, SCIM_ON_DELETE_KEEP, MANY);
    /* nobody is in it, and it is in nothing */
    assert_int_equal(groups_of(&users[0])->nelts, 0);
    assert_int_equal(members_of(&outer)->nelts, 0);
    assert_true(step(NULL));
    assert_pending(&group, SCIM_ON_DELETE_KEEP, MANY - SCIM_SWEEP_STEP);
    assert_true(step(NULL));
    assert_false(step(NULL));
    assert_int_equal(pending()->nelts, 0);
    assert_false(group_pends(fix.tenant.number, &group));
    assert_int_equal(count_users(users, MANY, is_active), MANY);
    assert_int_equal(version_of(&users[MANY - 1]), 1);
    /* of a group that gave no role the members are kept, whatever the policy */
    plain = crowd_of(&fix.tenant, "plain", users, MANY);
    set_policy(SCIM_ON_DELETE_DELETE);
    must_delete_group(&fix.tenant, &plain);
    assert_pending(&plain, SCIM_ON_DELETE_KEEP, MANY);
    while (step(NULL)) {
    }
    assert_int_equal(count_users(users, MANY, is_active), MANY);
}

static void test_large_deactivate(void **state)
{
    static scim_id users[MANY];
    apr_array_header_t *consequences = some_consequences();
    scim_id group, inner;

    set_policy(SCIM_ON_DELETE_DEACTIVATE);
    group = crowd_of(&fix.tenant, "Staff", users, MANY);
    group_of("Guests", &users[0], NULL);
    inner = group_of("inner", &users[MANY - 1], NULL);
    must_delete_group(&fix.tenant, &group);
    assert_pending(&group, SCIM_ON_DELETE_DEACTIVATE, MANY);
    assert_int_equal(count_users(users, MANY, is_active), MANY);
    assert_true(step(consequences));
    assert_int_equal(consequences->nelts, SCIM_SWEEP_STEP - 1);
    /* what roles there are counts when the step comes */
    group_of("Root", &inner, NULL);
    assert_true(step(consequences));
    assert_false(step(consequences));
    assert_int_equal(consequences->nelts, MANY - 2);
    assert_null(consequence_for(consequences, &users[0]));
    assert_non_null(consequence_for(consequences, &users[1]));
    assert_int_equal(count_users(users, MANY, is_active), 2);
    assert_true(is_active(&users[0]));
    assert_true(is_active(&users[MANY - 1]));
    assert_int_equal(pending()->nelts, 0);
}

/* Everybody may go on writing between the steps. */
static void test_large_delete(void **state)
{
    static scim_id users[MANY];
    apr_array_header_t *consequences = some_consequences();
    scim_id group, again;
    scim_change change;

    set_policy(SCIM_ON_DELETE_DELETE);
    group = crowd_of(&fix.tenant, "Staff", users, MANY);
    must_delete_group(&fix.tenant, &group);
    /* the name is free, and who is in the new group is safe */
    again = group_of("Staff", &users[1], &users[MANY - 1], NULL);
    must_delete("User", &users[0]);
    assert_pending(&group, SCIM_ON_DELETE_DELETE, MANY - 1);
    MUST_FAIL(
        patch(&change, "Group", &group,
              fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(&again))),
        SCIM_E_NOT_FOUND, NULL);
    assert_true(step(consequences));
    must_patch("User", &users[MANY - 2], "{'op':'replace','path':'title','value':'x'}");
    must_delete("User", &users[MANY - 3]);
    assert_true(step(consequences));
    assert_false(step(consequences));
    assert_int_equal(consequences->nelts, MANY - 4);
    assert_int_equal(count_users(users, MANY, is_there), 2);
    assert_true(is_there(&users[1]));
    assert_true(is_there(&users[MANY - 1]));
    assert_int_equal(members_of(&again)->nelts, 2);
}

typedef struct looking {
    scim_subject subject;
    const scim_id *user;
} looking;

static const scim_error *look_in_view(scim_view *view, void *baton)
{
    looking *l = baton;

    return scim_subject_find(&l->subject, view, &fix.tenant, SCIM_BY_ID, text_of(l->user));
}

static bool may_come_in(const scim_id *user)
{
    looking l = {.user = user};

    assert_no_error(scim_store_view(fix.store, look_in_view, &l, fix.pool));
    return l.subject.state == SCIM_SUBJECT_ACTIVE;
}

/* Every third is in a group that saves it, directly or through another; one is in
 * a group that saves nobody, and one was not active before. */
static scim_id mixed_crowd(const char *name, scim_id *users)
{
    scim_id group = crowd_of(&fix.tenant, name, users, MANY), inner;
    const char *guests = "", *inside = "";
    int i;

    for (i = 0; i < MANY; i += 3) {
        const char **list = i % 2 ? &guests : &inside;

        *list = fmt("%s%s{'value':'%s'}", *list, **list ? "," : "", text_of(&users[i]));
    }
    new_group(fmt("Root of %s", name), guests);
    inner = new_group(fmt("inner %s", name), inside);
    group_of(fmt("Staff around %s", name), &inner, NULL);
    group_of(fmt("plain %s", name), &users[1], NULL);
    must_patch("User", &users[2], "{'op':'replace','path':'active','value':false}");
    return group;
}

/* A decision made before the sweep is the one that is made after it. */
static void test_decisions(void **state)
{
    static scim_id users[MANY];
    static bool before[MANY];
    scim_on_group_delete then;
    int i, in;

    for (then = SCIM_ON_DELETE_KEEP; then <= SCIM_ON_DELETE_DELETE; then++) {
        scim_id group;

        set_policy(then);
        group = mixed_crowd(fmt("Staff %d", then), users);
        must_delete_group(&fix.tenant, &group);
        for (i = in = 0; i < MANY; i++) {
            in += before[i] = may_come_in(&users[i]);
        }
        assert_int_equal(in, then == SCIM_ON_DELETE_KEEP ? MANY - 1 : (MANY + 2) / 3);
        while (step(NULL)) {
            for (i = 0; i < MANY; i++) {
                assert_int_equal(may_come_in(&users[i]), before[i]);
            }
        }
        for (i = 0; i < MANY; i++) {
            assert_int_equal(may_come_in(&users[i]), before[i]);
        }
    }
}

/* All members went by other ways: the row goes with the next step. */
static void test_nothing_left(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    scim_id group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    int i;

    must_delete_group(&fix.tenant, &group);
    for (i = 0; i <= SCIM_SWEEP_STEP; i++) {
        assert_no_error(del("User", &users[i]));
    }
    invariants();
    assert_pending(&group, SCIM_ON_DELETE_KEEP, 0);
    assert_false(step(NULL));
    assert_int_equal(pending()->nelts, 0);
}

static void test_nothing_pending(void **state)
{
    apr_uint64_t before = updates();

    assert_false(step(NULL));
    assert_int_equal(updates(), before);
}

static void test_reopened(void **state)
{
    static scim_id users[MANY];
    scim_id group;

    set_policy(SCIM_ON_DELETE_DELETE);
    group = crowd_of(&fix.tenant, "Staff", users, MANY);
    must_delete_group(&fix.tenant, &group);
    assert_true(step(NULL));
    scim_store_close(fix.store);
    open_store();
    assert_pending(&group, SCIM_ON_DELETE_DELETE, MANY - SCIM_SWEEP_STEP);
    assert_true(step(NULL));
    scim_store_close(fix.store);
    open_store();
    assert_false(step(NULL));
    assert_int_equal(count_users(users, MANY, is_there), 0);
}

/* What the policy was when the group went holds; whose turn it is, time says. */
static void test_two_tenants(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1], theirs[SCIM_SWEEP_STEP + 1];
    apr_array_header_t *consequences = some_consequences();
    scim_tenant other;
    scim_id first, second;

    assert_no_error(scim_tenant_create(&other, fix.store, "other", tick(), fix.pool));
    set_policy(SCIM_ON_DELETE_DEACTIVATE);
    set_policy_for(&other, SCIM_ON_DELETE_DELETE, SCIM_CUSTOM_ACCEPT, 0);
    second = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    first = crowd_of(&other, "Staff", theirs, SCIM_SWEEP_STEP + 1);
    must_delete_group(&other, &first);
    must_delete_group(&fix.tenant, &second);
    set_policy(SCIM_ON_DELETE_KEEP);
    assert_int_equal(pending()->nelts, 2);
    assert_true(step(consequences));
    assert_string_equal(APR_ARRAY_IDX(consequences, 0, scim_consequence).tenant, "other");
    assert_true(step(consequences));
    assert_int_equal(consequences->nelts, SCIM_SWEEP_STEP + 1);
    assert_pending(&second, SCIM_ON_DELETE_DEACTIVATE, SCIM_SWEEP_STEP + 1);
    assert_true(step(consequences));
    assert_string_equal(
        APR_ARRAY_IDX(consequences, SCIM_SWEEP_STEP + 1, scim_consequence).tenant, "acme");
    assert_false(step(consequences));
    assert_int_equal(count_users(users, SCIM_SWEEP_STEP + 1, is_active), 0);
}

/* A step that fails is undone, and told of to nobody. */
static void test_step_fails(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    apr_array_header_t *consequences = some_consequences(), *before;
    static const int at[] = {1, 3, 100, 300, 500};
    scim_id group;
    bool more;
    size_t i;

    set_policy(SCIM_ON_DELETE_DELETE);
    group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    must_delete_group(&fix.tenant, &group);
    before = dump(fix.pool);
    for (i = 0; i < COUNT(at); i++) {
        scim_kv_memory_fail(scim_store_kv(fix.store), at[i]);
        assert_code(scim_sweep(&more, consequences, fix.store, tick(), fix.pool),
                    SCIM_E_INTERNAL, NULL);
        scim_kv_memory_fail(scim_store_kv(fix.store), 0);
        assert_true(same_dump(before, dump(fix.pool)));
        assert_int_equal(consequences->nelts, 0);
    }
    assert_true(step(consequences));
    assert_int_equal(consequences->nelts, SCIM_SWEEP_STEP);
}

typedef struct asking {
    scim_query_part part;
    scim_query query;
    scim_page page;
} asking;

static const scim_error *ignore(scim_view *view, const scim_record *record, void *baton)
{
    return NULL;
}

static const scim_error *ask_in_view(scim_view *view, void *baton)
{
    asking *a = baton;

    return scim_resource_query(&a->page, view, &fix.tenant, &a->query, ignore, NULL);
}

static apr_int64_t matches(const char *type, const char *filter)
{
    asking a = {.part = {.type = type_of(type)},
                .query = {.parts_count = 1, .start = 1, .count = 1000}};

    assert_no_error(scim_filter_parse(&a.part.filter, quoted(filter, fix.pool), type_of(type),
                                      false, fix.pool));
    a.query.parts = &a.part;
    assert_no_error(scim_store_view(fix.store, ask_in_view, &a, fix.pool));
    return a.page.total;
}

/* An edge to a group that is not there counts for nothing. */
static void test_pending_in_queries(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    scim_id group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    const char *by_member = fmt("members eq '%s'", text_of(&users[0]));
    const char *by_group = fmt("groups.value eq '%s'", text_of(&group));

    assert_int_equal(matches("Group", by_member), 1);
    assert_int_equal(matches("User", by_group), SCIM_SWEEP_STEP + 1);
    must_delete_group(&fix.tenant, &group);
    assert_int_equal(matches("Group", by_member), 0);
    assert_int_equal(matches("Group", fmt("members.value eq '%s'", text_of(&users[0]))), 0);
    assert_int_equal(matches("User", by_group), 0);
    assert_int_equal(matches("User", "groups pr"), 0);
    assert_int_equal(matches("User", "not (groups.display eq 'Staff')"), SCIM_SWEEP_STEP + 1);
}

static void test_damaged_row(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    scim_id group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    apr_array_header_t *out;
    bool more;

    must_delete_group(&fix.tenant, &group);
    damage("q");
    assert_code(scim_sweep(&more, NULL, fix.store, tick(), fix.pool), SCIM_E_INTERNAL, NULL);
    assert_code(scim_store_view(fix.store, list_in_view, &out, fix.pool), SCIM_E_INTERNAL,
                NULL);
}

/* Names that are refused */

static void test_refused_names(void **state)
{
    scim_id old, staff;
    scim_change change;

    set_policy(SCIM_ON_DELETE_KEEP);
    old = new_group("Custom", "");
    set_policy_for(&fix.tenant, SCIM_ON_DELETE_KEEP, SCIM_CUSTOM_REFUSE, 0);
    MUST_FAIL(post(&change, "Group", "{'displayName':'Other'}"), SCIM_E_INVALID_VALUE,
              "Guests");
    MUST_FAIL(post(&change, "Group", "{'displayName':'Guests 2'}"), SCIM_E_INVALID_VALUE, NULL);
    staff = new_group("STAFF of Berlin", "");
    must_put("Group", &staff, "{'displayName':'Root of Berlin','externalId':'1'}");
    MUST_FAIL(put(&change, "Group", &staff, "{'displayName':'Berlin'}"), SCIM_E_INVALID_VALUE,
              "Staff*");
    MUST_FAIL(patch(&change, "Group", &staff,
                    "{'op':'replace','path':'displayName','value':'Berlin'}"),
              SCIM_E_INVALID_VALUE, "displayName");
    /* what is called so may stay so, and become something else in all other ways */
    must_put("Group", &old, "{'displayName':'Custom','externalId':'2'}");
    must_patch("Group", &old, "{'op':'replace','path':'externalId','value':'3'}");
    must_put("Group", &old, "{'displayName':'guests'}");
    /* it is about groups */
    must_post("User", "{'userName':'u','displayName':'Custom'}");
    must_post("Thing", "{'name':'t'}");
}

static void test_refuse_all_names(void **state)
{
    scim_change change;

    fix.tenant.policy = scim_policy_default();
    fix.tenant.policy.custom_groups = SCIM_CUSTOM_REFUSE;
    MUST_FAIL(post(&change, "Group", "{'displayName':'Other'}"), SCIM_E_INVALID_VALUE, "none");
}

/* The brake */

static const scim_error *brake_in_view(scim_view *view, void *baton)
{
    return scim_brake_read(baton, view, &fix.tenant);
}

static scim_brake brake(void)
{
    scim_brake out;

    assert_no_error(scim_store_view(fix.store, brake_in_view, &out, fix.pool));
    return out;
}

static void assert_brake(apr_uint32_t count, bool on)
{
    scim_brake b = brake();

    assert_int_equal(b.count, count);
    assert_int_equal(b.on, on);
    invariants();
}

#define ASSERT_BRAKED(call) assert_code(call, SCIM_E_TOO_MANY_REQUESTS, "tenant release acme")

static scim_id *some_users(int count)
{
    scim_id *users = apr_palloc(fix.pool, sizeof(scim_id) * (apr_size_t)count);
    int i;

    for (i = 0; i < count; i++) {
        users[i] = new_user(fmt("u%d", i));
    }
    return users;
}

static const scim_error *set_active(const scim_id *user, bool active)
{
    scim_change change;

    return patch(&change, "User", user,
                 fmt("{'op':'replace','path':'active','value':%s}", active ? "true" : "false"));
}

static void test_no_limit(void **state)
{
    scim_id *users = some_users(3);
    apr_array_header_t *before;

    set_limit(0);
    must_delete("User", &users[0]);
    assert_no_error(set_active(&users[1], false));
    before = dump(fix.pool);
    assert_brake(0, false);
    assert_int_equal(brake().since, 0);
    assert_true(same_dump(before, dump(fix.pool)));
}

/* What counts, and what does not. */
static void test_counting(void **state)
{
    scim_id *users = some_users(4), thing = must_post("Thing", "{'name':'t'}"), gone;
    scim_id group = group_of("plain", &users[0], NULL);

    set_limit(10);
    must_delete("User", &users[0]);
    assert_brake(1, false);
    assert_int_equal(brake().since, fix.now);
    assert_no_error(set_active(&users[1], true));
    assert_brake(1, false);
    assert_no_error(set_active(&users[1], false));
    assert_brake(2, false);
    /* it was not active before */
    must_put("User", &users[1], "{'userName':'x','active':false}");
    assert_brake(2, false);
    must_put("User", &users[2], "{'userName':'y','active':false}");
    assert_brake(3, false);
    gone = must_post("User", "{'userName':'born','active':false}");
    assert_brake(3, false);
    must_delete("User", &gone);
    assert_brake(4, false);
    must_delete("Thing", &thing);
    must_delete("Group", &group);
    assert_brake(4, false);
    /* what fails is not counted */
    assert_code(del("User", &gone), SCIM_E_NOT_FOUND, NULL);
    assert_code(del_as(&fix.tenant, "User", &users[3],
                       &(scim_precondition){.if_match = "W/\"9\""}, tick(), fix.pool),
                SCIM_E_PRECONDITION_FAILED, NULL);
    assert_brake(4, false);
}

static void test_brake_holds(void **state)
{
    scim_id *users = some_users(6);
    scim_change change;
    bool was;

    set_limit(2);
    must_delete("User", &users[0]);
    assert_no_error(set_active(&users[1], false));
    assert_brake(2, false);
    ASSERT_BRAKED(del("User", &users[2]));
    assert_null(strstr(del("User", &users[2])->detail, "members"));
    assert_brake(2, true);
    assert_true(is_there(&users[2]));
    MUST_FAIL(del("User", &users[2]), SCIM_E_TOO_MANY_REQUESTS, "SCIMDeleteLimit");
    MUST_FAIL(set_active(&users[2], false), SCIM_E_TOO_MANY_REQUESTS, NULL);
    MUST_FAIL(put(&change, "User", &users[2], "{'userName':'u2','active':false}"),
              SCIM_E_TOO_MANY_REQUESTS, NULL);
    /* all else goes on, and so it does in other tenants */
    assert_no_error(set_active(&users[1], true));
    new_user("new");
    must_put("User", &users[2], "{'userName':'u2','title':'x'}");
    /* time changes nothing, nor a restart */
    fix.now += apr_time_from_sec(100 * 24 * 3600);
    ASSERT_BRAKED(del("User", &users[2]));
    if (!on("memory")) {
        scim_store_close(fix.store);
        open_store();
        ASSERT_BRAKED(del("User", &users[2]));
    }
    assert_no_error(scim_brake_release(&was, fix.store, "acme", fix.pool));
    assert_true(was);
    assert_brake(0, false);
    assert_no_error(scim_brake_release(&was, fix.store, "acme", fix.pool));
    assert_false(was);
    assert_code(scim_brake_release(&was, fix.store, "nobody", fix.pool), SCIM_E_NOT_FOUND,
                "nobody");
    must_delete("User", &users[2]);
    must_delete("User", &users[3]);
    ASSERT_BRAKED(del("User", &users[4]));
}

static void test_brake_hour(void **state)
{
    static const struct {
        apr_interval_time_t later; /* than the first */
        bool refused;
    } cases[] = {{0, true},
                 {3600 * APR_USEC_PER_SEC - 1, true},
                 {3600 * APR_USEC_PER_SEC, false},
                 {-APR_USEC_PER_SEC, true},
                 {-100000 * APR_USEC_PER_SEC, true}};
    scim_id *users = some_users(2 * COUNT(cases));
    size_t i;
    bool was;

    set_limit(1);
    for (i = 0; i < COUNT(cases); i++) {
        apr_time_t first = tick();
        const scim_error *err;

        assert_no_error(del_as(&fix.tenant, "User", &users[2 * i], NULL, first, fix.pool));
        err = del_as(&fix.tenant, "User", &users[2 * i + 1], NULL, first + cases[i].later,
                     fix.pool);
        assert_int_equal(err != NULL, cases[i].refused);
        assert_brake(1, cases[i].refused);
        if (!cases[i].refused) {
            assert_int_equal(brake().since, first + cases[i].later);
        }
        assert_no_error(scim_brake_release(&was, fix.store, "acme", fix.pool));
    }
}

/* A clock that went back: the hour begins then, and ends an hour later. */
static void test_brake_clock(void **state)
{
    scim_id *users = some_users(3);
    apr_time_t was = tick() + apr_time_from_sec(1000000);

    set_limit(2);
    assert_no_error(del_as(&fix.tenant, "User", &users[0], NULL, was, fix.pool));
    must_delete("User", &users[1]);
    assert_brake(2, false);
    assert_int_equal(brake().since, fix.now);
    fix.now += apr_time_from_sec(3600);
    must_delete("User", &users[2]);
    assert_brake(1, false);
}

/* A limit that became lower than the count. */
static void test_brake_lower(void **state)
{
    scim_id *users = some_users(4);

    set_limit(5);
    must_delete("User", &users[0]);
    must_delete("User", &users[1]);
    set_limit(1);
    ASSERT_BRAKED(del("User", &users[2]));
    assert_brake(2, true);
    /* without a limit there is no brake; the row waits for one */
    set_limit(0);
    must_delete("User", &users[2]);
    set_limit(5);
    ASSERT_BRAKED(del("User", &users[3]));
}

static void test_brake_group(void **state)
{
    scim_id *users = some_users(6), thing_group, group, plain;
    bool was;

    group = group_of("Staff", &users[0], &users[1], &users[2], NULL);
    plain = group_of("plain", &users[3], &users[4], NULL);
    thing_group = group_of("Root", &users[3], &users[4], NULL);
    set_limit(2);
    /* three at once are more than two, and none of them goes */
    ASSERT_BRAKED(del("Group", &group));
    assert_brake(0, true);
    /* to release the brake would not help */
    assert_code(del("Group", &group), SCIM_E_TOO_MANY_REQUESTS, "has 3 members, cannot");
    assert_int_equal(members_of(&group)->nelts, 3);
    assert_int_equal(version_of(&users[0]), 1);
    /* a group that acts on nobody can be deleted while the brake is on */
    must_delete("Group", &plain);
    assert_no_error(scim_brake_release(&was, fix.store, "acme", fix.pool));
    must_delete("Group", &thing_group);
    assert_brake(2, false);
    assert_false(is_there(&users[3]));
    set_limit(5);
    must_delete("Group", &group);
    assert_brake(5, false);
    ASSERT_BRAKED(del("User", &users[5]));
}

/* The members of a large group are counted when it goes, not when they do. */
static void test_brake_sweep(void **state)
{
    static scim_id users[SCIM_SWEEP_STEP + 1];
    scim_id group;
    scim_deletion deletion;

    set_limit(SCIM_SWEEP_STEP);
    group = crowd_of(&fix.tenant, "Staff", users, SCIM_SWEEP_STEP + 1);
    ASSERT_BRAKED(del("Group", &group));
    assert_int_equal(pending()->nelts, 0);
    assert_no_error(scim_brake_release(&(bool){false}, fix.store, "acme", fix.pool));
    set_limit(SCIM_SWEEP_STEP + 1);
    deletion = must_delete_group(&fix.tenant, &group);
    assert_true(deletion.pending);
    assert_brake(SCIM_SWEEP_STEP + 1, false);
    ASSERT_BRAKED(del("User", &users[0]));
    while (step(NULL)) {
    }
    assert_brake(SCIM_SWEEP_STEP + 1, true);
    assert_int_equal(count_users(users, SCIM_SWEEP_STEP + 1, is_there), 0);
}

static void delete_one(int turn, void *baton)
{
    assert_no_error(del("User", baton));
}

/* Two are judged at once: what is counted is what was there when it was. */
static void test_brake_race(void **state)
{
    scim_id *users = some_users(2);

    set_limit(1);
    let_others(delete_one, &users[0], 1);
    ASSERT_BRAKED(del("User", &users[1]));
    assert_brake(1, true);
}

static void test_brake_damaged(void **state)
{
    scim_id *users = some_users(2);

    set_limit(5);
    must_delete("User", &users[0]);
    damage("c");
    MUST_FAIL(del("User", &users[1]), SCIM_E_INTERNAL, NULL);
}

/* In a batch */

typedef struct acting {
    const scim_error *(*act)(scim_batch *batch, void *baton);
    void *baton;
} acting;

static const scim_error *batch_delete(scim_deletion *out, scim_batch *batch, const char *type,
                                      const scim_id *id)
{
    return scim_batch_delete(out, batch, &fix.tenant, type_of(type), id, NULL, fix.now,
                             fix.pool);
}

/* Groups of half a step each: the third is too much for one transaction. */
static const scim_error *delete_groups(scim_batch *batch, void *baton)
{
    const scim_id *groups = baton;
    scim_deletion deletion;
    int i;

    for (i = 0; i < 3; i++) {
        assert_no_error(batch_delete(&deletion, batch, "Group", &groups[i]));
        assert_int_equal(deletion.pending, i == 2);
        assert_int_equal(deletion.consequences->nelts, i == 2 ? 0 : SCIM_SWEEP_STEP / 2);
    }
    return NULL;
}

static void test_batch(void **state)
{
    static scim_id users[3][SCIM_SWEEP_STEP / 2];
    scim_id groups[3];
    int i;

    set_policy(SCIM_ON_DELETE_DELETE);
    for (i = 0; i < 3; i++) {
        groups[i] =
            crowd_of(&fix.tenant, fmt("Staff%c", 'a' + i), users[i], SCIM_SWEEP_STEP / 2);
    }
    tick();
    assert_no_error(scim_store_batch(fix.store, delete_groups, groups, fix.pool));
    invariants();
    assert_false(is_there(&users[1][0]));
    assert_true(is_there(&users[2][0]));
    assert_pending(&groups[2], SCIM_ON_DELETE_DELETE, SCIM_SWEEP_STEP / 2);
    assert_false(step(NULL));
    assert_false(is_there(&users[2][0]));
}

/* The one that is refused holds the brake, and the others of the job stand. */
static const scim_error *delete_users(scim_batch *batch, void *baton)
{
    const scim_id *users = baton;
    scim_deletion deletion;

    assert_no_error(batch_delete(&deletion, batch, "User", &users[0]));
    assert_no_error(batch_delete(&deletion, batch, "User", &users[1]));
    ASSERT_BRAKED(batch_delete(&deletion, batch, "User", &users[2]));
    ASSERT_BRAKED(batch_delete(&deletion, batch, "User", &users[3]));
    return NULL;
}

static void test_brake_batch(void **state)
{
    scim_id *users = some_users(4);

    set_limit(2);
    tick();
    assert_no_error(scim_store_batch(fix.store, delete_users, users, fix.pool));
    assert_brake(2, true);
    assert_false(is_there(&users[1]));
    assert_true(is_there(&users[2]));
}

static const store_test tests_of[] = {
    {"SCIMOnGroupDelete keep leaves members as they are", test_keep, EACH},
    {"SCIMOnGroupDelete deactivate", test_deactivate, EACH},
    {"SCIMOnGroupDelete delete", test_delete, EACH},
    {"a group that gave no role takes nobody along", test_no_role, EACH},
    {"who holds another role is kept", test_other_role, EACH},
    {"users in a nested group are kept", test_nested_members, EACH},
    {"groups without effect save nobody", test_inert_groups, EACH},
    {"a member that is nothing", test_dangling_member, EACH},
    {"a deletion with its consequences is whole or not at all", test_atomic, MEMORY},
    {"a member that comes while its group goes", test_member_comes, EACH},
    {"one step's members are few", test_step_is_small, EACH},
    {"a step is small where members are in many groups", test_members_of_many, EACH},
    {"but where they only lose one", test_keep_of_many, MEMORY},
    {"a large group, members kept", test_large_keep, EACH},
    {"a large group, members deactivated", test_large_deactivate, EACH},
    {"a large group, members deleted, and writes between the steps", test_large_delete, EACH},
    {"what is decided before the sweep is what it leaves", test_decisions, EACH},
    {"a large group whose members are all gone", test_nothing_left, EACH},
    {"nothing pending takes no write lock", test_nothing_pending, EACH},
    {"a sweep goes on in a store that was reopened", test_reopened, KEPT},
    {"what waited longest is swept first, of any tenant", test_two_tenants, EACH},
    {"a step is whole or not at all", test_step_fails, MEMORY},
    {"C-107 edges to a deleted group match no filter", test_pending_in_queries, EACH},
    {"a damaged pending row is an error", test_damaged_row, EACH},
    {"SCIMCustomGroups refuse", test_refused_names, EACH},
    {"SCIMCustomGroups refuse, and no role", test_refuse_all_names, EACH},
    {"no SCIMDeleteLimit, no row", test_no_limit, EACH},
    {"SCIMDeleteLimit counts deletions and deactivations", test_counting, EACH},
    {"SCIMDeleteLimit holds until it is released", test_brake_holds, EACH},
    {"SCIMDeleteLimit counts an hour", test_brake_hour, EACH},
    {"SCIMDeleteLimit and a clock that went back", test_brake_clock, EACH},
    {"SCIMDeleteLimit that became lower", test_brake_lower, EACH},
    {"SCIMDeleteLimit counts all members of a group", test_brake_group, EACH},
    {"SCIMDeleteLimit does not count the sweep", test_brake_sweep, EACH},
    {"SCIMDeleteLimit and two at once", test_brake_race, EACH},
    {"a damaged brake is an error", test_brake_damaged, EACH},
    {"a batch leaves to the sweep what is too much", test_batch, EACH},
    {"SCIMDeleteLimit in a batch", test_brake_batch, EACH},
};

int main(void)
{
    static struct CMUnitTest tests[ENGINES * COUNT(tests_of)];

    make_registry();
    on_engines(tests, tests_of, COUNT(tests_of));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
