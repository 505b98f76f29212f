/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subjects: whom a text stands for, whether that is somebody who may come in,
 * and which groups and roles it has.
 */
#include "scim/role.h"
#include "scim/subject.h"
#include "scim/sweep.h"
#include "scim/text.h"

#include "../../mod_scim/store/internal.h"
#include "store_fixture.h"

#define ROLES_MAX 8

typedef struct looking {
    scim_subject subject;
    scim_subject_by by;
    const char *text;
    const char *tenant_name;
} looking;

/* As a request does it: the tenant is read in the same view. */
static const scim_error *look_in_view(scim_view *view, void *baton)
{
    looking *l = baton;
    scim_tenant tenant;

    SCIM_ERR(scim_tenant_find(&tenant, view, l->tenant_name));
    return scim_subject_find(&l->subject, view, &tenant, l->by, l->text);
}

/* As those see it who have kept it.  The block is malloc's, so that a tool sees
 * what is written or read beyond it. */
static scim_subject repacked(const scim_subject *subject)
{
    apr_size_t size = scim_subject_pack(subject, NULL, 0);
    char *bytes = malloc(size);
    scim_subject out;

    memset(bytes, 0x5a, size);
    assert_int_equal(scim_subject_pack(subject, bytes, size - 1), size);
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(scim_subject_pack(subject, bytes, size), size);
    scim_subject_unpack(&out, bytes, fix.pool);
    free(bytes);
    return out;
}

static void assert_same(const scim_subject *a, const scim_subject *b)
{
    int i;

    assert_int_equal(a->state, b->state);
    assert_memory_equal(&a->id, &b->id, sizeof(a->id));
    assert_int_equal(a->groups ? a->groups->nelts : 0, b->groups->nelts);
    assert_int_equal(a->roles ? a->roles->nelts : 0, b->roles->nelts);
    for (i = 0; i < b->groups->nelts; i++) {
        const scim_subject_group *x = &APR_ARRAY_IDX(a->groups, i, scim_subject_group);
        const scim_subject_group *y = &APR_ARRAY_IDX(b->groups, i, scim_subject_group);

        assert_memory_equal(&x->id, &y->id, sizeof(x->id));
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->prepared, y->prepared);
        assert_int_equal(x->prepared_len, y->prepared_len);
        assert_int_equal(x->role, y->role);
        assert_int_equal(x->direct, y->direct);
    }
    for (i = 0; i < b->roles->nelts; i++) {
        assert_string_equal(APR_ARRAY_IDX(a->roles, i, const char *),
                            APR_ARRAY_IDX(b->roles, i, const char *));
    }
}

/* All that is asserted here of a subject holds for one that was kept. */
static scim_subject look_in(const char *tenant_name, scim_subject_by by, const char *text)
{
    looking l = {.by = by, .text = text, .tenant_name = tenant_name};
    scim_subject subject;

    assert_no_error(scim_store_view(fix.store, look_in_view, &l, fix.pool));
    subject = repacked(&l.subject);
    assert_same(&l.subject, &subject);
    return subject;
}

static scim_subject look(scim_subject_by by, const char *text)
{
    return look_in("acme", by, text);
}

static scim_subject look_for(const char *user_name)
{
    return look(SCIM_BY_USER_NAME, user_name);
}

static void assert_state(scim_subject subject, scim_subject_state state)
{
    assert_int_equal(subject.state, state);
    assert_non_null(subject.groups);
    assert_non_null(subject.roles);
    if (state != SCIM_SUBJECT_ACTIVE) {
        assert_int_equal(subject.groups->nelts, 0);
        assert_int_equal(subject.roles->nelts, 0);
    }
}

static void assert_is(scim_subject subject, const scim_id *id)
{
    assert_state(subject, SCIM_SUBJECT_ACTIVE);
    assert_memory_equal(subject.id.bytes, id->bytes, sizeof(id->bytes));
}

static void assert_nobody(scim_subject_by by, const char *text)
{
    assert_state(look(by, text), SCIM_SUBJECT_UNKNOWN);
}

static scim_id make(const char *type, const char *text)
{
    scim_change change;

    assert_no_error(post(&change, type, text));
    return change.record.id;
}

static scim_id make_user(const char *user_name)
{
    return make("User", fmt("{'userName':'%s'}", user_name));
}

static scim_id make_group(const char *name, const scim_id *member)
{
    return make("Group", member ? fmt("{'displayName':'%s','members':[{'value':'%s'}]}", name,
                                      text_of(member))
                                : fmt("{'displayName':'%s'}", name));
}

static void join(const scim_id *group, const scim_id *member)
{
    scim_change change;

    assert_no_error(
        patch(&change, "Group", group,
              fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(member))));
}

static void set_active(const scim_id *user, const char *active)
{
    scim_change change;

    assert_no_error(patch(&change, "User", user,
                          fmt("{'op':'replace','path':'active','value':%s}", active)));
}

static void must_del(const char *type, const scim_id *id)
{
    assert_no_error(del(type, id));
}

/* role, pattern, role, pattern ..., ended by NULL */
static void set_policy(scim_custom_groups custom_groups, scim_on_group_delete on_group_delete,
                       const char *const *roles)
{
    scim_role_pattern patterns[ROLES_MAX];
    scim_policy policy = scim_policy_default();
    apr_array_header_t *changed;

    policy.custom_groups = custom_groups;
    policy.on_group_delete = on_group_delete;
    policy.roles = patterns;
    for (; roles && roles[0]; roles += 2) {
        assert_true(policy.roles_count < ROLES_MAX);
        assert_true(scim_role_pattern_make(&patterns[policy.roles_count++], roles[0], roles[1],
                                           fix.pool));
    }
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    fix.tenant.policy = policy;
    fix.tenant.policy.roles =
        apr_pmemdup(fix.pool, patterns, sizeof(patterns[0]) * (apr_size_t)policy.roles_count);
}

static const char *const organisation[] = {
    "admin", "Administrators*", "member", "Team*", "guest", "Guests*", "member", "Staff", NULL};

static bool in_group(scim_subject subject, const char *name)
{
    apr_size_t len;
    const char *prepared = scim_text_prepare(name, strlen(name), false, &len, fix.pool);

    return scim_subject_in_group(&subject, prepared, len);
}

static const char *names_of(scim_subject subject)
{
    const char *out = "";
    int i;

    for (i = 0; i < subject.groups->nelts; i++) {
        const scim_subject_group *group = &APR_ARRAY_IDX(subject.groups, i, scim_subject_group);

        out = fmt("%s%s%s%s", out, i ? " " : "", group->name, group->direct ? "" : "+");
    }
    return out;
}

static const char *roles_of(scim_subject subject)
{
    return apr_array_pstrcat(fix.pool, subject.roles, ' ');
}

/* Whom a text stands for */

static void test_user_names(void **state)
{
    scim_id babs = make_user("BJensen"), strasse = make_user("Stra\xc3\x9f"
                                                             "e");

    make_user("bjensen2");
    make_group("bjensen3", NULL);
    assert_is(look_for("BJensen"), &babs);
    assert_is(look_for("bjensen"), &babs);
    assert_is(look_for("BJENSEN"), &babs);
    assert_is(look_for("\xef\xbd\x82jensen"), &babs); /* a wide b */
    assert_is(look_for("STRASSE"), &strasse);
    assert_is(look_for("stra\xc3\x9f"
                       "e"),
              &strasse);
    assert_nobody(SCIM_BY_USER_NAME, "bjense");
    assert_nobody(SCIM_BY_USER_NAME, "bjensen1");
    assert_nobody(SCIM_BY_USER_NAME, "bjensen ");
    assert_nobody(SCIM_BY_USER_NAME, "bjensen3");
    assert_nobody(SCIM_BY_USER_NAME, "");
    assert_nobody(SCIM_BY_USER_NAME, "bjensen\xff");
    assert_nobody(SCIM_BY_USER_NAME, text_of(&babs));
}

static void test_other_attributes(void **state)
{
    scim_id babs = make("User", "{'userName':'bjensen','externalId':'Ext-1','emails':"
                                "[{'value':'Babs@Example.COM'},{'value':'b@example.net'}]}");
    scim_id group = make_group("Tour Guides", NULL);

    assert_is(look(SCIM_BY_EXTERNAL_ID, "Ext-1"), &babs);
    assert_nobody(SCIM_BY_EXTERNAL_ID, "ext-1");
    assert_nobody(SCIM_BY_EXTERNAL_ID, "Ext");
    assert_is(look(SCIM_BY_EMAIL, "babs@example.com"), &babs);
    assert_is(look(SCIM_BY_EMAIL, "B@EXAMPLE.NET"), &babs);
    assert_nobody(SCIM_BY_EMAIL, "example.com");
    assert_nobody(SCIM_BY_EMAIL, "");
    assert_is(look(SCIM_BY_ID, text_of(&babs)), &babs);
    assert_nobody(SCIM_BY_ID, NOBODY);
    assert_nobody(SCIM_BY_ID, text_of(&group));
    assert_nobody(SCIM_BY_ID, "bjensen");
    assert_nobody(SCIM_BY_ID, "");
}

/* A key has room for 400 bytes: the first 368 of these are the same. */
static void test_long_values(void **state)
{
    static const int lengths[] = {368, 400, 401, 500};
    scim_id ids[4];
    const char *text[4];
    int i;

    for (i = 0; i < 4; i++) {
        text[i] = apr_psprintf(fix.pool, "%0*d", lengths[i], 0);
        ids[i] = make("User", fmt("{'userName':'%s','externalId':'%s'}", text[i], text[i]));
    }
    for (i = 0; i < 4; i++) {
        assert_is(look_for(text[i]), &ids[i]);
        assert_is(look(SCIM_BY_EXTERNAL_ID, text[i]), &ids[i]);
    }
    assert_nobody(SCIM_BY_USER_NAME, fmt("%s0", text[3]));
    assert_nobody(SCIM_BY_EXTERNAL_ID, fmt("%s0", text[3]));
}

static void test_ambiguous(void **state)
{
    scim_id a = make("User", "{'userName':'a','externalId':'x','emails':"
                             "[{'value':'Shared@example.com','type':'work'},"
                             "{'value':'shared@example.com','type':'home'}]}");
    scim_id b;

    assert_is(look(SCIM_BY_EMAIL, "shared@example.com"), &a);
    b = make("User", "{'userName':'b','externalId':'x','active':false,"
                     "'emails':[{'value':'SHARED@example.com'}]}");
    assert_state(look(SCIM_BY_EMAIL, "shared@example.com"), SCIM_SUBJECT_AMBIGUOUS);
    assert_state(look(SCIM_BY_EXTERNAL_ID, "x"), SCIM_SUBJECT_AMBIGUOUS);
    assert_is(look_for("a"), &a);
    must_del("User", &b);
    assert_is(look(SCIM_BY_EMAIL, "shared@example.com"), &a);
    assert_is(look(SCIM_BY_EXTERNAL_ID, "x"), &a);
}

static void test_tenants_apart(void **state)
{
    scim_tenant other;
    scim_change change;
    scim_id ours = make_user("bjensen");

    assert_no_error(scim_tenant_create(&other, fix.store, "other", tick(), fix.pool));
    assert_state(look_in("other", SCIM_BY_USER_NAME, "bjensen"), SCIM_SUBJECT_UNKNOWN);
    assert_state(look_in("other", SCIM_BY_ID, text_of(&ours)), SCIM_SUBJECT_UNKNOWN);
    assert_no_error(
        post_as(&change, &other, "User", "{'userName':'bjensen'}", tick(), fix.pool));
    assert_is(look_for("bjensen"), &ours);
    assert_is(look_in("other", SCIM_BY_USER_NAME, "bjensen"), &change.record.id);
}

static void test_active(void **state)
{
    scim_id babs = make("User", "{'userName':'babs','externalId':'x','active':true}");
    scim_id group = make_group("Team", &babs);
    scim_subject subject;

    make("User", "{'userName':'born','active':false}");
    assert_state(look_for("born"), SCIM_SUBJECT_INACTIVE);
    set_active(&babs, "false");
    subject = look_for("babs");
    assert_state(subject, SCIM_SUBJECT_INACTIVE);
    assert_memory_equal(subject.id.bytes, babs.bytes, sizeof(babs.bytes));
    assert_false(scim_subject_in_group_id(&subject, &group));
    assert_state(look(SCIM_BY_EXTERNAL_ID, "x"), SCIM_SUBJECT_INACTIVE);
    assert_state(look(SCIM_BY_ID, text_of(&babs)), SCIM_SUBJECT_INACTIVE);
    set_active(&babs, "true");
    assert_is(look_for("babs"), &babs);
    assert_true(in_group(look_for("babs"), "team"));
    must_del("User", &babs);
    assert_nobody(SCIM_BY_USER_NAME, "babs");
    assert_nobody(SCIM_BY_EXTERNAL_ID, "x");
    assert_nobody(SCIM_BY_ID, text_of(&babs));
}

/* Groups */

static void test_nested(void **state)
{
    scim_id babs = make_user("babs"), other = make_user("other");
    scim_id inner = make_group("Inner", &babs);
    scim_id middle = make_group("Middle", &inner), outer = make_group("Outer", &middle);
    scim_subject subject;

    make_group("Second", &babs);
    join(&outer, &babs);
    assert_string_equal(names_of(look_for("babs")), "Inner Outer Second Middle+");
    assert_string_equal(names_of(look_for("other")), "");
    /* Round in circles. */
    join(&inner, &outer);
    join(&middle, &outer);
    subject = look_for("babs");
    assert_string_equal(names_of(subject), "Inner Outer Second Middle+");
    assert_true(scim_subject_in_group_id(&subject, &middle));
    assert_false(scim_subject_in_group_id(&subject, &other));
    must_del("Group", &outer);
    assert_string_equal(names_of(look_for("babs")), "Inner Second Middle+");
    must_del("Group", &inner);
    assert_string_equal(names_of(look_for("babs")), "Second");
}

static void test_group_names(void **state)
{
    scim_id babs = make_user("babs");
    scim_subject subject;

    make_group("Tour Guides", &babs);
    make_group("Stra\xc3\x9f"
               "enbau",
               &babs);
    make_group("Caf\x65\xcc\x81", &babs);
    subject = look_for("babs");
    assert_true(in_group(subject, "TOUR guides"));
    assert_true(in_group(subject, "STRASSENBAU"));
    assert_true(in_group(subject, "CAF\xc3\x89"));
    assert_false(in_group(subject, "Tour"));
    assert_false(in_group(subject, "Tour Guides 2"));
    assert_false(in_group(subject, "Cafe"));
    assert_false(in_group(subject, ""));
}

/* One that is longer than what a record shows of it. */
static void test_nameless_group(void **state)
{
    scim_id babs = make_user("babs");
    scim_id group = make("Group", fmt("{'displayName':'%070000d','members':[{'value':'%s'}]}",
                                      7, text_of(&babs)));
    scim_subject subject = look_for("babs");

    assert_int_equal(subject.groups->nelts, 1);
    assert_true(scim_subject_in_group_id(&subject, &group));
    assert_false(scim_subject_in_group(&subject, "", 0));
}

static void test_thousand_groups(void **state)
{
    scim_id babs = make_user("babs"), last = babs;
    scim_subject subject;
    int i;

    /* Each in the one before, and babs in every second one. */
    for (i = 0; i < 1000; i++) {
        last = make("Group",
                    fmt("{'displayName':'Group %d','members':[{'value':'%s'}%s]}", i,
                        text_of(&last), i % 2 ? fmt(",{'value':'%s'}", text_of(&babs)) : ""));
    }
    subject = look_for("babs");
    assert_int_equal(subject.groups->nelts, 1000);
    for (i = 0; i < 1000; i++) {
        assert_true(in_group(subject, fmt("gROUP %d", i)));
        assert_int_equal(APR_ARRAY_IDX(subject.groups, i, scim_subject_group).direct, i < 501);
    }
}

/* Roles */

static void test_roles(void **state)
{
    static const char *const closer[] = {"member",      "team*",           "lead",
                                         "Team Leads*", "MEMBER",          "Staff",
                                         "keeper",      "Team Leads of *", NULL};
    scim_id babs = make_user("babs"), team = make_group("Team North", &babs);
    scim_id admins = make_group("administrators", NULL);
    scim_subject subject;

    assert_string_equal(roles_of(look_for("babs")), "");
    set_policy(SCIM_CUSTOM_ACCEPT, SCIM_ON_DELETE_KEEP, organisation);
    assert_string_equal(roles_of(look_for("babs")), "member");
    make_group("TEAM South", &babs);
    make_group("staff", &babs);
    make_group("Staff 2", &babs);
    assert_string_equal(roles_of(look_for("babs")), "member");
    /* By way of another group, and in the order of the patterns. */
    join(&admins, &team);
    subject = look_for("babs");
    assert_string_equal(roles_of(subject), "admin member");
    assert_true(scim_subject_has_role(&subject, "Admin"));
    assert_false(scim_subject_has_role(&subject, "guest"));
    assert_false(scim_subject_has_role(&subject, "adm"));
    assert_false(scim_subject_has_role(&subject, ""));
    set_active(&babs, "false");
    subject = look_for("babs");
    assert_false(scim_subject_has_role(&subject, "admin"));
    set_active(&babs, "true");
    /* The longest wins, and one role written in two ways is one. */
    make_group("Team Leads", &babs);
    set_policy(SCIM_CUSTOM_ACCEPT, SCIM_ON_DELETE_KEEP, closer);
    assert_string_equal(roles_of(look_for("babs")), "member lead");
}

static void test_inert(void **state)
{
    scim_id babs = make_user("babs"), custom = make_group("JumpCloud Test", &babs);
    scim_id admins = make_group("Administrators", &custom), team = make_group("Team", &babs);
    scim_subject subject;

    make_group("Around", &team);
    set_policy(SCIM_CUSTOM_ACCEPT, SCIM_ON_DELETE_KEEP, organisation);
    assert_string_equal(names_of(look_for("babs")),
                        "JumpCloud Test Team Administrators+ Around+");
    assert_string_equal(roles_of(look_for("babs")), "admin member");
    set_policy(SCIM_CUSTOM_IGNORE, SCIM_ON_DELETE_KEEP, organisation);
    subject = look_for("babs");
    assert_string_equal(names_of(subject), "Team");
    assert_string_equal(roles_of(subject), "member");
    assert_false(scim_subject_in_group_id(&subject, &custom));
    assert_false(scim_subject_in_group_id(&subject, &admins));
    /* There is another way to it. */
    join(&admins, &team);
    assert_string_equal(names_of(look_for("babs")), "Team Administrators+");
    set_policy(SCIM_CUSTOM_REFUSE, SCIM_ON_DELETE_KEEP, organisation);
    assert_true(in_group(look_for("babs"), "jumpcloud test"));
}

/* A group that is gone while its members wait */

static scim_kv_rc lose_record(scim_kv_txn *txn, void *baton)
{
    const scim_id *group = baton;
    scim_key key;

    record_key(&key, &fix.tenant, store_type(fix.store, type_of("Group")), group);
    return scim_kv_del(txn, scim_key_slice(&key));
}

typedef struct pending {
    const scim_id *group;
    scim_on_group_delete then;
} pending;

static scim_kv_rc put_pending(scim_kv_txn *txn, void *baton)
{
    const pending *p = baton;
    unsigned char *value = scim_kv_scratch(txn, STORE_SEAL + 9);
    scim_key key;

    scim_key_begin(&key, SCIM_TABLE_PENDING);
    scim_key_u32(&key, fix.tenant.number);
    scim_key_id(&key, p->group);
    value[STORE_SEAL] = (unsigned char)p->then;
    store_put_u64(value + STORE_SEAL + 1, (apr_uint64_t)fix.now);
    store_seal(scim_key_slice(&key), value, STORE_SEAL + 9);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, STORE_SEAL + 9}, false);
}

static void update(scim_kv_fn fn, const void *baton)
{
    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), fn, (void *)baton), SCIM_KV_OK);
}

static void defer(const scim_id *group, scim_on_group_delete then)
{
    pending p = {group, then};

    update(put_pending, &p);
}

static void test_pending(void **state)
{
    scim_id babs = make_user("babs"), carl = make_user("carl"), dora = make_user("dora");
    scim_id team = make_group("Team", &babs), around = make_group("Administrators", &team);
    scim_id inner = make_group("Inner", &dora);

    set_policy(SCIM_CUSTOM_ACCEPT, SCIM_ON_DELETE_DELETE, organisation);
    join(&team, &carl);
    join(&team, &inner);
    make_group("Guests", &carl);
    make_group("Custom", &babs);
    assert_string_equal(roles_of(look_for("babs")), "admin member");
    update(lose_record, &team);
    /* An edge to nothing is none. */
    assert_string_equal(roles_of(look_for("babs")), "");
    assert_string_equal(names_of(look_for("babs")), "Custom");
    defer(&team, SCIM_ON_DELETE_KEEP);
    assert_string_equal(names_of(look_for("babs")), "Custom");
    defer(&team, SCIM_ON_DELETE_DEACTIVATE);
    assert_state(look_for("babs"), SCIM_SUBJECT_INACTIVE);
    assert_state(look(SCIM_BY_ID, text_of(&babs)), SCIM_SUBJECT_INACTIVE);
    assert_string_equal(roles_of(look_for("carl")), "guest");
    assert_string_equal(names_of(look_for("dora")), "Inner");
    defer(&team, SCIM_ON_DELETE_DELETE);
    assert_state(look_for("babs"), SCIM_SUBJECT_INACTIVE);
    assert_is(look_for("carl"), &carl);
    assert_is(look_for("dora"), &dora);
    /* Who is given another role meanwhile has it. */
    join(&around, &babs);
    assert_string_equal(roles_of(look_for("babs")), "admin");
}

/* The same as a deletion leaves it, before any sweep. */
static void test_large_deletion(void **state)
{
    scim_id team = make_group("Team", NULL), guests = make_group("Guests", NULL);
    scim_id user;
    int i;

    set_policy(SCIM_CUSTOM_IGNORE, SCIM_ON_DELETE_DEACTIVATE, organisation);
    for (i = 0; i <= SCIM_SWEEP_STEP; i++) {
        user = make_user(fmt("u%d", i));
        join(&team, &user);
        if (i % 2) {
            join(&guests, &user);
        }
    }
    must_del("Group", &team);
    for (i = 0; i <= SCIM_SWEEP_STEP; i++) {
        scim_subject subject = look_for(fmt("u%d", i));

        assert_state(subject, i % 2 ? SCIM_SUBJECT_ACTIVE : SCIM_SUBJECT_INACTIVE);
        assert_string_equal(roles_of(subject), i % 2 ? "guest" : "");
    }
}

/* What is read */

typedef struct reading {
    scim_subject_details details;
    scim_id id;
} reading;

static const scim_error *read_in_view(scim_view *view, void *baton)
{
    reading *r = baton;

    return scim_subject_read(&r->details, view, &fix.tenant, &r->id);
}

static const scim_error *read_details(reading *out, scim_id id)
{
    memset(out, 0, sizeof(*out));
    out->id = id;
    return scim_store_view(fix.store, read_in_view, out, fix.pool);
}

static void test_details(void **state)
{
    scim_id babs =
        make("User", "{'userName':'Babs','displayName':'Babs J','externalId':'x','emails':"
                     "[{'value':'a@example.com'},{'value':'b@example.com','primary':true}]}");
    scim_id carl = make("User", "{'userName':'carl','emails':[{'type':'home'},"
                                "{'value':'c@example.com','primary':false},"
                                "{'value':'d@example.com'}]}");
    scim_id dora = make_user("dora");
    reading r;

    assert_no_error(read_details(&r, babs));
    assert_string_equal(r.details.user_name, "Babs");
    assert_string_equal(r.details.display_name, "Babs J");
    assert_string_equal(r.details.email, "b@example.com");
    assert_string_equal(r.details.external_id, "x");
    assert_no_error(read_details(&r, carl));
    assert_string_equal(r.details.email, "c@example.com");
    assert_null(r.details.display_name);
    assert_no_error(read_details(&r, dora));
    assert_string_equal(r.details.user_name, "dora");
    assert_null(r.details.email);
    assert_null(r.details.external_id);
    assert_code(read_details(&r, make_group("Team", NULL)), SCIM_E_NOT_FOUND, NULL);
    must_del("User", &dora);
    assert_code(read_details(&r, dora), SCIM_E_NOT_FOUND, NULL);
}

/* What was found is still what it was when all of it is gone from the store. */
static void test_outlives_view(void **state)
{
    scim_id babs = make("User", "{'userName':'babs','displayName':'Babs Jensen'}");
    scim_id team = make_group("Team North", &babs);
    scim_subject subject;
    reading r;
    int i;

    set_policy(SCIM_CUSTOM_ACCEPT, SCIM_ON_DELETE_KEEP, organisation);
    subject = look_for("babs");
    assert_no_error(read_details(&r, babs));
    must_del("Group", &team);
    must_del("User", &babs);
    set_policy(SCIM_CUSTOM_ACCEPT, SCIM_ON_DELETE_KEEP, NULL);
    for (i = 0; i < 20; i++) {
        make_user(fmt("another%d", i));
    }
    assert_string_equal(names_of(subject), "Team North");
    assert_string_equal(roles_of(subject), "member");
    assert_true(in_group(subject, "team north"));
    assert_string_equal(r.details.display_name, "Babs Jensen");
}

/* A record whose JSON is none, sealed as if it were. */
static scim_kv_rc spoil_json(scim_kv_txn *txn, void *baton)
{
    const type_def *type = store_type(fix.store, type_of("User"));
    unsigned char *value;
    record_head head;
    scim_key key;

    record_key(&key, &fix.tenant, type, baton);
    assert_int_equal(record_read(&head, txn, &key), SCIM_KV_OK);
    head.json = "{{{";
    head.json_len = 3;
    value = scim_kv_scratch(txn, record_size(&head));
    record_write(scim_key_slice(&key), &head, value);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, record_size(&head)},
                       false);
}

static void test_no_json(void **state)
{
    scim_id babs = make_user("babs");
    reading r;

    make_group("Team", &babs);
    update(spoil_json, &babs);
    assert_string_equal(names_of(look_for("babs")), "Team");
    assert_code(read_details(&r, babs), SCIM_E_INTERNAL, NULL);
}

static const scim_error *try_look(const char *user_name)
{
    looking l = {.by = SCIM_BY_USER_NAME, .text = user_name, .tenant_name = "acme"};

    return scim_store_view(fix.store, look_in_view, &l, fix.pool);
}

static scim_kv_rc lose_user(scim_kv_txn *txn, void *baton)
{
    scim_key key;

    record_key(&key, &fix.tenant, store_type(fix.store, type_of("User")), baton);
    return scim_kv_del(txn, scim_key_slice(&key));
}

/* Nobody is let in, nor refused, by what cannot be read. */
static void test_damaged(void **state)
{
    static const char *const tables[] = {"r", "i", "q", "t"};
    scim_id babs = make_user("babs"), team = make_group("Team", &babs);
    size_t i;

    update(lose_record, &team);
    defer(&team, SCIM_ON_DELETE_DELETE);
    assert_no_error(try_look("babs"));
    for (i = 0; i < COUNT(tables); i++) {
        damage(tables[i]);
        assert_code(try_look("babs"), SCIM_E_INTERNAL, NULL);
        damage(tables[i]); /* and back again */
        assert_no_error(try_look("babs"));
    }
    update(lose_user, &babs);
    assert_code(try_look("babs"), SCIM_E_INTERNAL, NULL);
    assert_nobody(SCIM_BY_ID, text_of(&babs));
}

int main(void)
{
    static const store_test table[] = {
        {"by userName, without case", test_user_names, EACH},
        {"by externalId, address and id", test_other_attributes, EACH},
        {"by values longer than a key has room for", test_long_values, EACH},
        {"more than one user", test_ambiguous, EACH},
        {"tenants know nothing of each other", test_tenants_apart, EACH},
        {"inactive, active again, deleted", test_active, EACH},
        {"groups in groups, and in circles", test_nested, EACH},
        {"names of groups, without case", test_group_names, EACH},
        {"a group whose name is too long has none", test_nameless_group, EACH},
        {"a thousand groups", test_thousand_groups, EACH},
        {"roles, each once, in the order of the policy", test_roles, EACH},
        {"groups that are ignored lead nowhere", test_inert, EACH},
        {"members of a group that is gone", test_pending, EACH},
        {"members of a large group that is gone", test_large_deletion, EACH},
        {"details", test_details, EACH},
        {"what was found outlives the view", test_outlives_view, EACH},
        {"no JSON is read to decide", test_no_json, EACH},
        {"what is damaged is told", test_damaged, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
