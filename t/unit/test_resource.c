/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources: creating, changing and deleting them, on each engine.  After
 * each change the whole store is compared with a model of it (store_model.h),
 * so a test here says only what that cannot know.
 *
 * The random tests print their SEED, and take it and N from the environment.
 */
#include <pthread.h>

#include "scim/filter.h"

#include "store_model.h"

/* Members as steps, as PATCH and PUT hand them to the store */

#define MAX_STEPS 8

typedef struct steps {
    scim_member_op at[MAX_STEPS];
    int count;
} steps;

static const scim_error *draft_steps(scim_draft *draft, const json_t *existing, void *baton,
                                     apr_pool_t *result_pool)
{
    const steps *s = baton;
    int i;

    *draft = (scim_draft){.type = type_of("Group"),
                          .json = scim_json_adopt(json_deep_copy(existing), result_pool),
                          .members = apr_array_make(result_pool, 4, sizeof(scim_member_op))};
    for (i = 0; i < s->count; i++) {
        APR_ARRAY_PUSH(draft->members, scim_member_op) = s->at[i];
    }
    return NULL;
}

static const scim_error *take_steps(scim_change *out, const scim_id *group, const steps *s)
{
    return scim_resource_change(out, fix.store, &fix.tenant, type_of("Group"), group, NULL,
                                draft_steps, (void *)s, false, tick(), fix.pool);
}

static scim_change must_take(const scim_id *group, steps s)
{
    scim_change change;

    assert_no_error(take_steps(&change, group, &s));
    invariants();
    return change;
}

#define ADD(id)                                       \
    {                                                 \
        .kind = SCIM_MEMBER_ADD, .value = text_of(id) \
    }
#define ADD_AS(id, shown)                                               \
    {                                                                   \
        .kind = SCIM_MEMBER_ADD, .value = text_of(id), .display = shown \
    }
#define REMOVE(id)                                       \
    {                                                    \
        .kind = SCIM_MEMBER_REMOVE, .value = text_of(id) \
    }
#define CLEAR                     \
    {                             \
        .kind = SCIM_MEMBER_CLEAR \
    }
#define REMOVE_WHERE(text)                                               \
    {                                                                    \
        .kind = SCIM_MEMBER_REMOVE_WHERE, .filter = element_filter(text) \
    }
#define SET_WHERE(text, shown)                                                          \
    {                                                                                   \
        .kind = SCIM_MEMBER_SET_WHERE, .filter = element_filter(text), .display = shown \
    }

static const scim_filter *element_filter(const char *text)
{
    const scim_filter *filter;
    const char *whole = apr_pstrcat(fix.pool, "members[", quoted(text, fix.pool), "]", NULL);

    assert_no_error(scim_filter_parse(&filter, whole, type_of("Group"), false, fix.pool));
    assert_int_equal(filter->kind, SCIM_FILTER_ELEMENT);
    return filter->left;
}

/* Whether the members are these and no others; ends with NULL. */
static void assert_members(const scim_id *group, ...)
{
    apr_array_header_t *members = members_of(group);
    const scim_id *id;
    va_list ids;
    int i, count = 0;

    va_start(ids, group);
    while ((id = va_arg(ids, const scim_id *))) {
        for (i = 0; i < members->nelts &&
                    scim_id_compare(&APR_ARRAY_IDX(members, i, scim_edge).id, id);
             i++) {
        }
        assert_true(i < members->nelts);
        count++;
    }
    va_end(ids);
    assert_int_equal(members->nelts, count);
}

static const char *display_in(const scim_id *group, const scim_id *member)
{
    apr_array_header_t *members = members_of(group);
    int i;

    for (i = 0; i < members->nelts; i++) {
        const scim_edge *edge = &APR_ARRAY_IDX(members, i, scim_edge);

        if (!scim_id_compare(&edge->id, member)) {
            return edge->display ? edge->display : "";
        }
    }
    return NULL;
}

static scim_record record_of(const char *type, const scim_id *id)
{
    getting g;

    assert_no_error(get(&g, type, id));
    return g.record;
}

static const char *string_at(const char *type, const scim_id *id, const char *name)
{
    return scim_json_string(json_at(type, id), name);
}

static bool names_have(const scim_change *change, const char *name)
{
    int i;

    for (i = 0; i < change->names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(change->names, i, const char *), name)) {
            return true;
        }
    }
    return false;
}

/* Creating and reading */

static void expect_key(apr_array_header_t *rows, const bytes *key, apr_size_t value_len)
{
    scim_slice wanted = {key->at, key->len};
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        if (same_slice(r->key, wanted)) {
            assert_int_equal(r->value.len, value_len);
            return;
        }
    }
    fail_msg("there is no %s", shown(wanted, fix.pool));
}

/* FORMAT to the letter, for one user. */
static void test_format(void **state)
{
    scim_id id = must_post("User", "{'userName':'\xc3\x84nna','externalId':'X1',"
                                   "'emails':[{'value':'A@b.de'},{'value':'a@B.de'}]}");
    apr_array_header_t *rows = dump(fix.pool);
    bytes key = {.len = 0};
    int i, of_user = 0;

    add_bytes(&key, "i\0\0\0\1\xc3\xa4nna\0\0\1", 13);
    expect_key(rows, &key, 8 + 16);
    key.len = 0;
    add_bytes(&key, "i\0\0\0\1X1\0\0\2", 10);
    add_bytes(&key, id.bytes, 16);
    expect_key(rows, &key, 0);
    key.len = 0;
    add_bytes(&key,
              "i\0\0\0\1"
              "a@b.de\0\0\3",
              14);
    add_bytes(&key, id.bytes, 16);
    expect_key(rows, &key, 0);
    key.len = 0;
    add_bytes(&key, "r\0\0\0\1\0", 6);
    key.at[6] = 1;
    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        of_user += strchr("imofr", *(const char *)r->key.data) != NULL;
    }
    assert_int_equal(of_user, 4);
}

static void test_create(void **state)
{
    scim_change change;
    scim_record found;

    assert_no_error(post(&change, "User",
                         "{'userName':'anna','displayName':'Anna A','active':true,"
                         "'id':'" NOBODY "','meta':{'created':'2001-01-01T00:00:00Z'},"
                         "'groups':[{'value':'" NOBODY "'}],'password':'x'}"));
    invariants();
    assert_true(change.changed);
    assert_int_equal(change.record.version, 1);
    assert_int_equal(change.record.created, fix.now);
    assert_int_equal(change.record.modified, fix.now);
    assert_ptr_equal(change.record.type, type_of("User"));
    assert_string_not_equal(text_of(&change.record.id), NOBODY);
    assert_memory_equal(change.record.display, "Anna A", change.record.display_len);
    assert_true(names_have(&change, "userName") && names_have(&change, "active"));
    assert_false(names_have(&change, "members") || names_have(&change, "password"));
    found = record_of("User", &change.record.id);
    assert_int_equal(found.version, 1);
    assert_int_equal(found.created, fix.now);
    assert_int_equal(found.json_len, change.record.json_len);
    assert_int_equal(found.display_len, 6);
}

static void test_get_unknown(void **state)
{
    scim_id id = new_user("anna"), nobody;
    getting g;

    assert_true(scim_id_parse(&nobody, NOBODY));
    assert_code(get(&g, "User", &nobody), SCIM_E_NOT_FOUND, NOBODY);
    assert_code(get(&g, "Group", &id), SCIM_E_NOT_FOUND, text_of(&id));
}

static void test_order(void **state)
{
    static const apr_time_t moments[] = {1800000000, 1900000000, 1, 1900000000, 0, 1800000000};
    scim_id last = {{0}}, id;
    int i;

    for (i = 0; i < 6; i++) {
        scim_change change;

        assert_no_error(post_as(&change, &fix.tenant, "User", fmt("{'userName':'u%d'}", i),
                                apr_time_from_sec(moments[i]), fix.pool));
        id = change.record.id;
        assert_true(scim_id_compare(&id, &last) > 0);
        last = id;
    }
    invariants();
}

static void test_display(void **state)
{
    char *longest = apr_palloc(fix.pool, 65537);
    scim_id id, group = new_group("staff", "");

    memset(longest, 'n', 65536);
    longest[65536] = '\0';
    id = must_post("User", fmt("{'userName':'a','displayName':'%s'}", longest));
    assert_int_equal(record_of("User", &id).display_len, 0);
    must_put("User", &id, fmt("{'userName':'a','displayName':'%s'}", longest + 1));
    assert_int_equal(record_of("User", &id).display_len, 65535);
    must_put("User", &id, "{'userName':'a'}");
    assert_memory_equal(record_of("User", &id).display, "a", 1);
    assert_int_equal(record_of("Group", &group).display_len, 5);
}

static void test_too_large(void **state)
{
    apr_size_t len = 1024 * 1024 + 1;
    char *text = apr_palloc(fix.pool, len + 1);
    scim_id id = new_user("anna"), group = new_group("staff", "");
    json_t *json = scim_json_adopt(
        json_pack("{s:[s],s:s}", "schemas", SCIM_URN_USER, "userName", "big"), fix.pool);
    scim_draft draft = {.type = type_of("User"), .json = json};
    steps s = {{ADD_AS(&id, text)}, 1};
    scim_change change;

    memset(text, 'x', len);
    text[len] = '\0';
    json_object_set_new(json, "title", json_string(text));
    MUST_FAIL(
        scim_resource_create(&change, fix.store, &fix.tenant, &draft, false, tick(), fix.pool),
        SCIM_E_TOO_LARGE, "1048576");
    MUST_FAIL(take_steps(&change, &group, &s), SCIM_E_TOO_LARGE, "display");
    text[len - 100000] = '\0';
    json_object_set_new(json, "title", json_string(text));
    assert_no_error(
        scim_resource_create(&change, fix.store, &fix.tenant, &draft, false, tick(), fix.pool));
    assert_no_error(take_steps(&change, &group, &s));
}

/* Uniqueness */

/* Forms of one name, by PRECIS UsernameCaseMapped. */
static const char *const forms[] = {
    "stra\303\237e-\303\244",                 /* as it is first */
    "STRASSE-\xc3\x84",                       /* in capitals */
    "strasse-a\xcc\x88",                      /* decomposed */
    "\xef\xbd\x93trasse\xef\xbc\x8d\xc3\xa4", /* of full width */
};
#define FORMS ((int)(sizeof(forms) / sizeof(forms[0])))

static void test_unique_user(void **state)
{
    scim_id first = new_user(forms[0]), other = new_user("other");
    scim_change change;
    int i;

    for (i = 0; i < FORMS; i++) {
        const char *user = fmt("{'userName':'%s'}", forms[i]);

        MUST_FAIL(post(&change, "User", user), SCIM_E_UNIQUENESS,
                  fmt("userName \"%s\" is already used by another User", forms[i]));
        MUST_FAIL(put(&change, "User", &other, user), SCIM_E_UNIQUENESS, forms[i]);
    }
    for (i = 0; i < FORMS; i++) {
        must_put("User", &first, fmt("{'userName':'%s'}", forms[i]));
        assert_string_equal(string_at("User", &first, "userName"), forms[i]);
    }
    must_put("User", &first, "{'userName':'elsewhere'}");
    must_put("User", &other, fmt("{'userName':'%s'}", forms[1]));
    must_delete("User", &other);
    new_user(forms[2]);
    /* what is caseExact, or need not be unique, may be there twice */
    must_post("User", "{'userName':'a','externalId':'1','emails':[{'value':'a@b.de'}]}");
    must_post("User", "{'userName':'b','externalId':'1','emails':[{'value':'A@B.DE'}]}");
}

static void set_policy(bool unique_group_names, bool dangling)
{
    scim_policy policy = {.unique_group_names = unique_group_names,
                          .dangling_references = dangling};
    apr_array_header_t *changed;

    assert_no_error(set_policy_of(&changed, "acme", &policy));
    fix.tenant.policy = policy;
    fix.dangling = fix.dangling || dangling;
    fix.shared_names = fix.shared_names || !unique_group_names;
}

static void test_unique_group(void **state)
{
    scim_id first = new_group(forms[0], ""), twin, third;
    scim_change change;
    int i;

    for (i = 0; i < FORMS; i++) {
        MUST_FAIL(post(&change, "Group", fmt("{'displayName':'%s'}", forms[i])),
                  SCIM_E_UNIQUENESS, "displayName");
    }
    new_user(forms[0]);
    must_put("Group", &first, fmt("{'displayName':'%s'}", forms[1]));
    set_policy(false, false);
    twin = new_group(forms[2], "");
    third = new_group("third", "");
    set_policy(true, false);
    /* twins that are there may be changed; no more come */
    must_put("Group", &twin, fmt("{'displayName':'%s','externalId':'1'}", forms[3]));
    must_patch("Group", &twin, "{'op':'replace','path':'displayName','value':'twin'}");
    MUST_FAIL(put(&change, "Group", &twin, fmt("{'displayName':'%s'}", forms[0])),
              SCIM_E_UNIQUENESS, forms[0]);
    MUST_FAIL(
        patch(&change, "Group", &third, "{'op':'replace','path':'displayName','value':'TWIN'}"),
        SCIM_E_UNIQUENESS, "TWIN");
    must_delete("Group", &twin);
    must_put("Group", &third, "{'displayName':'TWIN'}");
}

static void test_long_values(void **state)
{
    static const apr_size_t lengths[] = {367, 368, 369, 399, 400, 401, 402, 1000, 70000};
    scim_id ids[9], id;
    scim_change change;
    int i;

    for (i = 0; i < 9; i++) {
        const char *name = filled(lengths[i], 'n');

        ids[i] = must_post("User", fmt("{'userName':'%s','externalId':'%s',"
                                       "'emails':[{'value':'%s'},{'value':'%sx'}]}",
                                       name, name, name, name));
        new_group(name, "");
    }
    for (i = 0; i < 9; i++) {
        MUST_FAIL(post(&change, "User", fmt("{'userName':'%s'}", filled(lengths[i], 'N'))),
                  SCIM_E_UNIQUENESS, "userName");
        MUST_FAIL(post(&change, "Group", fmt("{'displayName':'%s'}", filled(lengths[i], 'N'))),
                  SCIM_E_UNIQUENESS, "displayName");
    }
    /* what is folded may grow beyond the limit: 300 times sharp s */
    id = new_user(replaced(filled(300, '!'), "!", "\xc3\x9f", fix.pool));
    MUST_FAIL(post(&change, "User", fmt("{'userName':'%s'}", filled(600, 'S'))),
              SCIM_E_UNIQUENESS, NULL);
    must_put("User", &id, "{'userName':'short'}");
    for (i = 0; i < 9; i++) {
        must_put("User", &ids[i], fmt("{'userName':'%s-'}", filled(lengths[i], 'n')));
        must_delete("User", &ids[i]);
    }
}

static void test_overlapping_keys(void **state)
{
    const char *longer = find_overlap(), *shorter = filled(368, 'n');
    scim_change change;

    new_group(longer, "");
    new_user(longer);
    new_group(shorter, "");
    new_user(shorter);
    MUST_FAIL(post(&change, "Group", fmt("{'displayName':'%s'}", shorter)), SCIM_E_UNIQUENESS,
              NULL);
    MUST_FAIL(post(&change, "Group", fmt("{'displayName':'%s'}", longer)), SCIM_E_UNIQUENESS,
              NULL);
    MUST_FAIL(post(&change, "User", fmt("{'userName':'%s'}", shorter)), SCIM_E_UNIQUENESS,
              NULL);
}

/* Changing */

static void test_change(void **state)
{
    scim_id id = must_post("User", "{'userName':'a','externalId':'1','title':'x',"
                                   "'emails':[{'value':'a@x'},{'value':'b@x'}]}");
    apr_time_t created = fix.now;
    scim_change change = must_put("User", &id,
                                  "{'userName':'A','externalId':'2',"
                                  "'emails':[{'value':'B@X'},{'value':'c@x'}]}");

    assert_true(change.changed);
    assert_int_equal(change.record.version, 2);
    assert_int_equal(change.record.created, created);
    assert_int_equal(change.record.modified, fix.now);
    assert_true(names_have(&change, "externalId") && names_have(&change, "title"));
    assert_true(names_have(&change, "userName") && names_have(&change, "emails"));
    assert_int_equal(change.names->nelts, 4);
    assert_null(string_at("User", &id, "title"));
    change = must_patch("User", &id, "{'op':'remove','path':'emails'}");
    assert_int_equal(change.record.version, 3);
    assert_int_equal(change.names->nelts, 1);
    assert_int_equal(record_of("User", &id).version, 3);
    assert_int_equal(record_of("User", &id).modified, fix.now);
}

static void test_change_unknown(void **state)
{
    scim_id id = new_user("anna"), nobody;
    scim_change change;

    assert_true(scim_id_parse(&nobody, NOBODY));
    MUST_FAIL(put(&change, "User", &nobody, "{'userName':'b'}"), SCIM_E_NOT_FOUND, NOBODY);
    MUST_FAIL(put(&change, "Group", &id, "{'displayName':'b'}"), SCIM_E_NOT_FOUND,
              text_of(&id));
    MUST_FAIL(del("Group", &id), SCIM_E_NOT_FOUND, text_of(&id));
    MUST_FAIL(del("User", &nobody), SCIM_E_NOT_FOUND, NOBODY);
    MUST_FAIL(put(&change, "User", &id, "{'title':'x'}"), SCIM_E_INVALID_VALUE, "userName");
    MUST_FAIL(patch(&change, "User", &id, "{'op':'remove','path':'userName'}"),
              SCIM_E_MUTABILITY, NULL);
}

static void assert_unchanged(const scim_change *change, const scim_record *before)
{
    assert_false(change->changed);
    assert_int_equal(change->names->nelts, 0);
    assert_int_equal(change->record.version, before->version);
    assert_int_equal(change->record.modified, before->modified);
    assert_int_equal(change->record.created, before->created);
    assert_int_equal(change->record.json_len, before->json_len);
}

static void test_no_change(void **state)
{
    static const char user[] = "{'userName':'a','emails':[{'value':'a@x','type':'work'}]}";
    scim_id id = must_post("User", user), group;
    scim_record before = record_of("User", &id);
    apr_array_header_t *rows;
    scim_change change;

    group = new_group("staff", fmt("{'value':'%s','display':'A'}", text_of(&id)));
    rows = dump(fix.pool);
    change = must_put("User", &id, user);
    assert_unchanged(&change, &before);
    change = must_patch("User", &id,
                        "{'op':'add','path':'emails','value':"
                        "[{'type':'work','value':'a@x'}]}");
    assert_unchanged(&change, &before);
    before = record_of("Group", &group);
    change = must_put("Group", &group,
                      fmt("{'displayName':'staff','members':"
                          "[{'value':'%s','display':'A','type':'User'}]}",
                          text_of(&id)));
    assert_unchanged(&change, &before);
    change = must_patch("Group", &group,
                        fmt("{'op':'add','path':'members','value':"
                            "[{'value':'%s'}]}",
                            text_of(&id)));
    assert_unchanged(&change, &before);
    change = must_patch("Group", &group,
                        "{'op':'remove','path':'members[value eq \\'" NOBODY "\\']'}");
    assert_unchanged(&change, &before);
    assert_true(same_dump(rows, dump(fix.pool)));
}

static void test_names_of_changes(void **state)
{
    scim_id user = new_user("a"),
            group = new_group("staff", fmt("{'value':'%s'}", text_of(&user)));
    scim_change change =
        must_put("Group", &group,
                 fmt("{'displayName':'other','members':[{'value':'%s'}]}", text_of(&user)));

    assert_int_equal(change.names->nelts, 1);
    assert_true(names_have(&change, "displayName"));
    change = must_put("Group", &group, "{'displayName':'other'}");
    assert_int_equal(change.names->nelts, 1);
    assert_true(names_have(&change, "members"));
    assert_members(&group, NULL);
}

/* Members */

static void test_members(void **state)
{
    scim_id a = new_user("a"), b = new_user("b"), c = new_user("c");
    scim_id inner = new_group("inner", ""), group = new_group("staff", "");
    scim_change change;

    change = must_take(&group, (steps){{ADD_AS(&a, "Anna"), ADD(&b), ADD(&inner)}, 3});
    assert_true(change.changed);
    assert_members(&group, &a, &b, &inner, NULL);
    assert_string_equal(display_in(&group, &a), "Anna");
    assert_string_equal(display_in(&group, &b), "");
    assert_ptr_equal(APR_ARRAY_IDX(members_of(&group), 0, scim_edge).type, type_of("User"));
    assert_ptr_equal(APR_ARRAY_IDX(members_of(&group), 2, scim_edge).type, type_of("Group"));
    must_take(&group, (steps){{REMOVE(&b), REMOVE(&c)}, 2});
    assert_members(&group, &a, &inner, NULL);
    must_take(&group, (steps){{ADD(&b), REMOVE(&b), REMOVE(&a), ADD(&a), ADD(&c)}, 5});
    assert_members(&group, &a, &c, &inner, NULL);
    must_take(&group, (steps){{CLEAR, ADD(&b), ADD(&a), REMOVE(&b)}, 4});
    assert_members(&group, &a, NULL);
    must_take(&group, (steps){{CLEAR}, 1});
    assert_members(&group, NULL);
    must_take(&group, (steps){{ADD(&a), CLEAR}, 2});
    assert_members(&group, NULL);
}

static void test_member_display(void **state)
{
    scim_id a = new_user("a"), group = new_group("staff", "");
    apr_uint64_t version;

    must_take(&group, (steps){{ADD_AS(&a, "Anna")}, 1});
    version = record_of("Group", &group).version;
    must_take(&group, (steps){{ADD(&a)}, 1});
    assert_string_equal(display_in(&group, &a), "Anna");
    assert_int_equal(record_of("Group", &group).version, version);
    must_take(&group, (steps){{ADD_AS(&a, "Anna B")}, 1});
    assert_string_equal(display_in(&group, &a), "Anna B");
    assert_int_equal(record_of("Group", &group).version, version + 1);
    /* a replacement says all there is to say */
    must_take(&group, (steps){{CLEAR, ADD(&a)}, 2});
    assert_string_equal(display_in(&group, &a), "");
    must_take(&group, (steps){{ADD_AS(&a, "Anna"), REMOVE(&a), ADD(&a)}, 3});
    assert_string_equal(display_in(&group, &a), "");
}

static void test_members_where(void **state)
{
    scim_id a = new_user("a"), b = new_user("b"), c = new_user("c");
    scim_id inner = new_group("inner", ""), group = new_group("staff", "");
    steps all = {{CLEAR, ADD_AS(&a, "Anna"), ADD_AS(&b, "Ben"), ADD(&c), ADD(&inner)}, 5};

    must_take(&group, all);
    must_take(&group, (steps){{REMOVE_WHERE("type eq 'User'")}, 1});
    assert_members(&group, &inner, NULL);
    must_take(&group, all);
    must_take(&group, (steps){{REMOVE_WHERE("display sw 'A' or not (display pr)")}, 1});
    assert_members(&group, &b, NULL);
    must_take(&group, all);
    must_take(&group,
              (steps){{REMOVE_WHERE(fmt("value eq '%s' and type eq 'User'", text_of(&a)))}, 1});
    assert_members(&group, &b, &c, &inner, NULL);
    must_take(&group, (steps){{SET_WHERE("type eq 'User'", "all")}, 1});
    assert_string_equal(display_in(&group, &b), "all");
    assert_string_equal(display_in(&group, &c), "all");
    assert_string_equal(display_in(&group, &inner), "");
    must_take(&group, (steps){{SET_WHERE("display eq 'all'", NULL)}, 1});
    assert_string_equal(display_in(&group, &b), "");
    assert_members(&group, &b, &c, &inner, NULL);
}

/* A filter sees what the steps before it did, and of what they did not say
 * what is stored. */
static void test_members_where_in_order(void **state)
{
    scim_id a = new_user("a"), b = new_user("b"), group = new_group("staff", "");

    must_take(&group,
              (steps){{ADD_AS(&a, "Anna"), REMOVE_WHERE("display eq 'Anna'"), ADD(&b)}, 3});
    assert_members(&group, &b, NULL);
    must_take(&group, (steps){{REMOVE(&b), REMOVE_WHERE("type eq 'User'"), ADD(&a)}, 3});
    assert_members(&group, &a, NULL);
    must_take(&group, (steps){{ADD(&b), REMOVE_WHERE("type eq 'User'")}, 2});
    assert_members(&group, NULL);
    must_take(&group, (steps){{ADD_AS(&a, "Anna"), ADD(&b)}, 2});
    must_take(&group, (steps){{ADD(&a), REMOVE_WHERE("display eq 'Anna'")}, 2});
    assert_members(&group, &b, NULL);
    must_take(&group, (steps){{ADD_AS(&a, "Anna")}, 1});
    must_take(&group, (steps){{CLEAR, ADD(&a), REMOVE_WHERE("display eq 'Anna'")}, 3});
    assert_members(&group, &a, NULL);
    must_take(&group,
              (steps){{SET_WHERE("type eq 'User'", "x"), REMOVE_WHERE("display eq 'x'")}, 2});
    assert_members(&group, NULL);
}

static void test_bad_members(void **state)
{
    scim_id a = new_user("a"), group = new_group("staff", ""), inner = new_group("inner", "");
    scim_id thing = must_post("Thing", "{'name':'t'}");
    steps unknown = {{{.kind = SCIM_MEMBER_ADD, .value = NOBODY, .where = "members[3]"}}, 1};
    steps malformed = {{{.kind = SCIM_MEMBER_ADD, .value = "bob"}}, 1};
    steps upper = {{{.kind = SCIM_MEMBER_ADD, .value = "0197A1B2-C3D4-7E5F-8A6B-0123456789AB"}},
                   1};
    steps self = {{ADD(&group)}, 1}, other = {{ADD(&thing)}, 1};
    steps wrong = {{{.kind = SCIM_MEMBER_ADD, .value = text_of(&a), .type = "Group"}}, 1};
    steps half = {{ADD(&a), {.kind = SCIM_MEMBER_ADD, .value = NOBODY}}, 2};
    scim_change change;

    MUST_FAIL(take_steps(&change, &group, &unknown), SCIM_E_INVALID_VALUE, "members[3]: ");
    MUST_FAIL(take_steps(&change, &group, &malformed), SCIM_E_INVALID_VALUE, "\"bob\"");
    MUST_FAIL(take_steps(&change, &group, &upper), SCIM_E_INVALID_VALUE, "0197A1B2");
    MUST_FAIL(take_steps(&change, &group, &self), SCIM_E_INVALID_VALUE, "its own member");
    MUST_FAIL(take_steps(&change, &group, &wrong), SCIM_E_INVALID_VALUE, "is User, not Group");
    MUST_FAIL(take_steps(&change, &group, &half), SCIM_E_INVALID_VALUE, NOBODY);
    MUST_FAIL(
        post(&change, "Group", fmt("{'displayName':'x','members':[{'value':'%s'}]}", NOBODY)),
        SCIM_E_INVALID_VALUE, NOBODY);
    MUST_FAIL(take_steps(&change, &group, &other), SCIM_E_INVALID_VALUE, text_of(&thing));
    must_take(&group, (steps){{ADD(&a), ADD(&inner)}, 2});
    MUST_FAIL(take_steps(&change, &group, &wrong), SCIM_E_MUTABILITY, "is User, not Group");
    must_take(&group, (steps){{{.kind = SCIM_MEMBER_ADD, .value = text_of(&a), .type = "USER"},
                               {.kind = SCIM_MEMBER_REMOVE, .value = "bob"}},
                              2});
    assert_members(&group, &a, &inner, NULL);
}

/* Of a $ref only what names a resource counts. */
static void test_member_ref(void **state)
{
    static const struct {
        const char *ref; /* @: the member's id */
        bool good;
    } refs[] = {
        {"https://x/scim/v2/Users/@", true},
        {"http://other:8080/Users/@", true},
        {"Users/@", true},
        {"/Users/@", true},
        {"@", true},
        {"https://x/people", true},
        {"https://x/people/" NOBODY, true},
        {"Groups/@", false},
        {"https://x/Groups/@", false},
        {"/Groups/@", false},
        {"https://x/Users/" NOBODY, false},
        {"Users/" NOBODY, false},
        {NOBODY, false},
    };
    scim_id a = new_user("a"), group = new_group("staff", "");
    size_t i;
    int there;

    for (there = 0; there < 2; there++) {
        for (i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
            steps s = {{ADD(&a)}, 1};
            scim_change change;

            s.at[0].ref = replaced(refs[i].ref, "@", text_of(&a), fix.pool);
            if (refs[i].good) {
                must_take(&group, s);
                assert_members(&group, &a, NULL);
                must_take(&group, (steps){{REMOVE(&a)}, there ? 0 : 1});
            } else {
                MUST_FAIL(take_steps(&change, &group, &s),
                          there ? SCIM_E_MUTABILITY : SCIM_E_INVALID_VALUE, "$ref");
            }
        }
        must_take(&group, (steps){{ADD(&a)}, 1});
    }
}

static void test_group_versions(void **state)
{
    scim_id a = new_user("a"), b = new_user("b"), group = new_group("staff", "");
    apr_time_t created = fix.now, changed;
    scim_record user = record_of("User", &a), record = record_of("Group", &group);
    scim_change change;

    assert_int_equal(record.version, 1);
    change = must_take(&group, (steps){{ADD(&a), ADD(&b)}, 2});
    changed = fix.now;
    assert_int_equal(change.record.version, 2);
    assert_int_equal(change.record.modified, changed);
    assert_int_equal(change.record.created, created);
    record = record_of("Group", &group);
    assert_int_equal(record.version, 2);
    assert_int_equal(record.modified, changed);
    change = must_patch("Group", &group, "{'op':'replace','path':'displayName','value':'x'}");
    assert_int_equal(change.record.version, 3);
    assert_int_equal(change.record.modified, fix.now);
    change = must_put("Group", &group,
                      fmt("{'displayName':'y','members':[{'value':'%s'}]}", text_of(&b)));
    assert_int_equal(change.record.version, 5);
    assert_int_equal(record_of("Group", &group).version, 5);
    assert_int_equal(record_of("Group", &group).modified, fix.now);
    assert_int_equal(record_of("User", &a).version, user.version);
    assert_int_equal(record_of("User", &a).modified, user.modified);
    /* times do not go back with the clock */
    must_take(&group, (steps){{ADD(&a)}, 1});
    assert_no_error(change_as(&change, &fix.tenant, "Group", &group, NULL, draft_patch,
                              "{'op':'remove','path':'members'}", 5, fix.pool));
    assert_int_equal(change.record.modified, fix.now);
    assert_int_equal(record_of("Group", &group).modified, fix.now);
}

/* A membership change costs what it changes: it rewrites no record. */
static void test_record_untouched(void **state)
{
    scim_id a = new_user("a"), b = new_user("b");
    scim_id group = new_group("staff", fmt("{'value':'%s'}", text_of(&a)));
    apr_array_header_t *before = dump(fix.pool), *after;
    int i, j = 0, added = 0;

    must_take(&group, (steps){{ADD(&b)}, 1});
    after = dump(fix.pool);
    for (i = 0; i < after->nelts; i++) {
        const row *is = &APR_ARRAY_IDX(after, i, row), *was = &APR_ARRAY_IDX(before, j, row);

        if (!same_slice(is->key, was->key)) {
            added++;
        } else {
            assert_true(same_slice(is->value, was->value) ||
                        *(const char *)is->key.data == 'c');
            j++;
        }
    }
    assert_int_equal(added, 2);
}

static void test_groups(void **state)
{
    scim_id user = new_user("a");
    scim_id one = new_group("one", fmt("{'value':'%s'}", text_of(&user)));
    scim_id two =
        new_group("two", fmt("{'value':'%s'},{'value':'%s'}", text_of(&one), text_of(&user)));
    scim_id three = new_group("three", fmt("{'value':'%s'}", text_of(&one)));
    apr_array_header_t *groups;

    must_take(&one, (steps){{ADD(&three)}, 1}); /* a circle */
    groups = groups_of(&user);
    assert_int_equal(groups->nelts, 3);
    assert_memory_equal(APR_ARRAY_IDX(groups, 0, scim_edge).id.bytes, one.bytes, 16);
    assert_memory_equal(APR_ARRAY_IDX(groups, 1, scim_edge).id.bytes, two.bytes, 16);
    assert_memory_equal(APR_ARRAY_IDX(groups, 2, scim_edge).id.bytes, three.bytes, 16);
    assert_true(APR_ARRAY_IDX(groups, 0, scim_edge).direct);
    assert_true(APR_ARRAY_IDX(groups, 1, scim_edge).direct);
    assert_false(APR_ARRAY_IDX(groups, 2, scim_edge).direct);
    assert_string_equal(APR_ARRAY_IDX(groups, 2, scim_edge).display, "three");
    assert_ptr_equal(APR_ARRAY_IDX(groups, 2, scim_edge).type, type_of("Group"));
    must_delete("Group", &one);
    groups = groups_of(&user);
    assert_int_equal(groups->nelts, 1);
    assert_memory_equal(APR_ARRAY_IDX(groups, 0, scim_edge).id.bytes, two.bytes, 16);
}

/* References */

static const char *managed(const char *name, const char *manager)
{
    return fmt("{'userName':'%s','@EU':{'manager':{'value':'%s'}}}", name, manager);
}

static const json_t *manager_of(const scim_id *id)
{
    return json_object_get(json_object_get(json_at("User", id), SCIM_URN_ENTERPRISE),
                           "manager");
}

static void test_reference(void **state)
{
    scim_id boss = new_user("boss"), group = new_group("staff", "");
    scim_id id = must_post("User", managed("a", text_of(&boss)));
    scim_change change;

    assert_string_equal(scim_json_string(manager_of(&id), "$ref"),
                        fmt("Users/%s", text_of(&boss)));
    MUST_FAIL(post(&change, "User", managed("b", NOBODY)), SCIM_E_INVALID_VALUE,
              "manager.value: there is no User with the id \"" NOBODY "\"");
    MUST_FAIL(post(&change, "User", managed("b", "bob")), SCIM_E_INVALID_VALUE, "\"bob\"");
    MUST_FAIL(put(&change, "User", &id, managed("a", NOBODY)), SCIM_E_INVALID_VALUE, NOBODY);
    MUST_FAIL(put(&change, "User", &id, managed("a", "bob")), SCIM_E_INVALID_VALUE, "bob");
    MUST_FAIL(post(&change, "User", managed("b", text_of(&group))), SCIM_E_INVALID_VALUE,
              "there is no User");
    must_put("User", &id, managed("a", text_of(&id)));
    must_put("User", &id, "{'userName':'a'}");
    assert_null(manager_of(&id));
}

static void test_lenient_reference(void **state)
{
    scim_id boss = new_user("boss"), group = new_group("staff", ""), id, other;
    scim_change change;

    fix.lenient = fix.dangling = true;
    id = must_post("User", "{'userName':'a','@EU':{'manager':{'value':'" NOBODY
                           "','$ref':'https://x/Users/" NOBODY "'}}}");
    assert_string_equal(scim_json_string(manager_of(&id), "value"), NOBODY);
    assert_null(scim_json_string(manager_of(&id), "$ref"));
    other = must_post("User", managed("b", "bob"));
    must_post("User", managed("c", text_of(&group)));
    fix.lenient = false;
    /* what is there already may stay */
    change = must_put("User", &id, managed("a", NOBODY));
    assert_false(change.changed);
    must_put("User", &other, managed("b2", "bob"));
    MUST_FAIL(put(&change, "User", &id, managed("a", "bob")), SCIM_E_INVALID_VALUE, "bob");
    must_put("User", &id, managed("a", text_of(&boss)));
    assert_non_null(scim_json_string(manager_of(&id), "$ref"));
    must_delete("Group", &group);
    must_delete("User", &other);
}

static void test_dangling_policy(void **state)
{
    scim_id a = new_user("a"), id, group, nobody;
    steps unknown = {
        {{.kind = SCIM_MEMBER_ADD, .value = "0197a1b2-c3d4-7e5f-8a6b-000000000000"}}, 1};
    scim_change change;

    assert_true(scim_id_parse(&nobody, NOBODY));
    set_policy(true, true);
    id = must_post("User", managed("b", NOBODY));
    assert_null(scim_json_string(manager_of(&id), "$ref"));
    group = new_group(
        "staff", fmt("{'value':'%s'},{'value':'%s','display':'who'}", NOBODY, text_of(&a)));
    assert_members(&group, &nobody, &a, NULL);
    assert_null(APR_ARRAY_IDX(members_of(&group), 0, scim_edge).type);
    must_delete("User", &a);
    assert_members(&group, &nobody, NULL);
    set_policy(true, false);
    must_put("Group", &group,
             fmt("{'displayName':'x','members':[{'value':'%s',"
                 "'display':'d'}]}",
                 NOBODY));
    assert_string_equal(display_in(&group, &nobody), "d");
    MUST_FAIL(take_steps(&change, &group, &unknown), SCIM_E_INVALID_VALUE, "000000000000");
    must_take(&group, (steps){{REMOVE(&nobody)}, 1});
    assert_members(&group, NULL);
    must_delete("User", &id);
}

/* The texts by which the members of a group are named, where they are no ids. */
static const char *texts_of(const scim_id *group)
{
    apr_array_header_t *members = members_of(group);
    const char *texts = "";
    int i;

    for (i = 0; i < members->nelts; i++) {
        const scim_edge *edge = &APR_ARRAY_IDX(members, i, scim_edge);

        if (edge->text) {
            texts = fmt("%s(%.*s)%.*s", texts, (int)edge->text_len, edge->text,
                        (int)edge->display_len, edge->display ? edge->display : "");
        }
    }
    return texts;
}

static void test_members_by_text(void **state)
{
    char *longest = apr_palloc(fix.pool, 1026);
    scim_id a = new_user("a"), group;
    scim_change change;

    memset(longest, 'x', 1025);
    longest[1025] = '\0';
    set_policy(true, true);
    group = new_group(
        "staff", fmt("{'value':'string id 1','display':'one'},{'value':'%s'}", text_of(&a)));
    assert_string_equal(texts_of(&group), "(string id 1)one");
    assert_int_equal(members_of(&group)->nelts, 2);
    change = must_patch("Group", &group,
                        "{'op':'add','path':'members','value':[{'value':'string id 1'}]}");
    assert_false(change.changed);
    must_patch("Group", &group,
               "{'op':'replace','path':'members[value eq \\'string id 1\\'].display',"
               "'value':'uno'}");
    assert_string_equal(texts_of(&group), "(string id 1)uno");
    must_patch("Group", &group, "{'op':'add','path':'members','value':[{'value':'2'}]}");
    must_patch("Group", &group, "{'op':'remove','path':'members[value eq \\'string id 1\\']'}");
    assert_string_equal(texts_of(&group), "(2)");
    MUST_FAIL(patch(&change, "Group", &group,
                    fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", longest)),
              SCIM_E_INVALID_VALUE, "Operations[0].value[0]");
    MUST_FAIL(
        patch(&change, "Group", &group, "{'op':'add','path':'members','value':[{'value':''}]}"),
        SCIM_E_INVALID_VALUE, "");
    set_policy(true, false);
    MUST_FAIL(patch(&change, "Group", &group,
                    "{'op':'add','path':'members','value':[{'value':'3'}]}"),
              SCIM_E_INVALID_VALUE, "3");
    must_patch("Group", &group, "{'op':'remove','path':'members','value':[{'value':'2'}]}");
    assert_members(&group, &a, NULL);
}

/* Deleting */

static void test_delete(void **state)
{
    scim_id boss = must_post("User", "{'userName':'boss','externalId':'1',"
                                     "'emails':[{'value':'a@x'}]}");
    scim_id a = must_post("User", managed("a", text_of(&boss)));
    scim_id b = must_post("User", fmt("{'userName':'b','@EU':{'department':'d','manager':"
                                      "{'value':'%s'}}}",
                                      text_of(&boss)));
    scim_id one =
        new_group("one", fmt("{'value':'%s'},{'value':'%s'}", text_of(&boss), text_of(&a)));
    scim_id two = new_group("two", fmt("{'value':'%s'}", text_of(&boss)));
    scim_id three = new_group("three", fmt("{'value':'%s'}", text_of(&a)));
    scim_record was_a = record_of("User", &a), was_one = record_of("Group", &one);
    scim_record was_three = record_of("Group", &three);

    must_put("User", &boss,
             fmt("{'userName':'boss','@EU':{'manager':{'value':'%s'}}}", text_of(&boss)));
    must_delete("User", &boss);
    assert_null(manager_of(&a));
    assert_null(json_object_get(json_at("User", &a), SCIM_URN_ENTERPRISE));
    assert_int_equal(json_array_size(json_object_get(json_at("User", &a), "schemas")), 1);
    assert_null(manager_of(&b));
    assert_int_equal(json_array_size(json_object_get(json_at("User", &b), "schemas")), 2);
    assert_int_equal(record_of("User", &a).version, was_a.version + 1);
    assert_int_equal(record_of("User", &a).modified, fix.now);
    assert_members(&one, &a, NULL);
    assert_members(&two, NULL);
    assert_int_equal(record_of("Group", &one).version, was_one.version + 1);
    assert_int_equal(record_of("Group", &one).modified, fix.now);
    assert_int_equal(record_of("Group", &three).version, was_three.version);
    assert_int_equal(record_of("Group", &three).modified, was_three.modified);
    assert_int_equal(groups_of(&boss)->nelts, 0);
    new_user("BOSS");
    must_delete("User", &a);
    must_delete("User", &b);
}

static void test_delete_group(void **state)
{
    scim_id a = new_user("a"), b = new_user("b");
    scim_id inner =
        new_group("inner", fmt("{'value':'%s'},{'value':'%s'}", text_of(&a), text_of(&b)));
    scim_id outer =
        new_group("outer", fmt("{'value':'%s'},{'value':'%s'}", text_of(&inner), text_of(&a)));

    must_take(&inner, (steps){{ADD(&outer)}, 1});
    assert_int_equal(groups_of(&b)->nelts, 2);
    must_delete("Group", &inner);
    assert_members(&outer, &a, NULL);
    assert_int_equal(groups_of(&b)->nelts, 0);
    assert_int_equal(groups_of(&a)->nelts, 1);
    record_of("User", &a);
    must_delete("Group", &outer);
    new_group("inner", "");
}

/* Who refers through several attributes, or several times through one, is
 * rewritten once. */
static void test_delete_many_references(void **state)
{
    scim_id user = new_user("u"), other = new_user("o");
    const char *u = text_of(&user), *o = text_of(&other);
    scim_id thing = must_post("Thing", fmt("{'name':'t','owner':{'value':'%s'},'sponsor':"
                                           "{'value':'%s'},'helpers':[{'value':'%s'},"
                                           "{'value':'%s'}],'urn:x:more:1.0':{'keeper':"
                                           "{'value':'%s'}}}",
                                           u, u, o, u, u));
    scim_id second = must_post("Thing", fmt("{'name':'s','helpers':[{'value':'%s'}],'owner':"
                                            "{'value':'%s'}}",
                                            u, o));
    scim_id self = must_post("Thing", "{'name':'self'}");
    const json_t *json;

    must_put(
        "Thing", &self,
        fmt("{'name':'self','helpers':[{'value':'%s'},{'value':'%s'}]}", text_of(&self), u));
    assert_int_equal(json_array_size(json_object_get(json_at("Thing", &thing), "schemas")), 2);
    must_delete("User", &user);
    json = json_at("Thing", &thing);
    assert_null(json_object_get(json, "owner"));
    assert_null(json_object_get(json, "sponsor"));
    assert_null(json_object_get(json, "urn:x:more:1.0"));
    assert_int_equal(json_array_size(json_object_get(json, "schemas")), 1);
    assert_int_equal(json_array_size(json_object_get(json, "helpers")), 1);
    assert_int_equal(record_of("Thing", &thing).version, 2);
    json = json_at("Thing", &second);
    assert_null(json_object_get(json, "helpers"));
    assert_non_null(json_object_get(json, "owner"));
    must_delete("Thing", &self);
    must_delete("User", &other);
    must_delete("Thing", &thing);
}

/* A reference attribute that the registry has no more: its rows stay, and do
 * not stand in the way. */
static void test_delete_forgotten_reference(void **state)
{
    scim_id user = new_user("u");
    const scim_registry *builtin;
    scim_deletion deletion;

    must_post("Thing", fmt("{'name':'t','owner':{'value':'%s'}}", text_of(&user)));
    scim_store_close(fix.store);
    assert_no_error(scim_registry_make(&builtin, fix.pool));
    fix.options.registry = builtin;
    open_store();
    assert_no_error(scim_resource_delete(&deletion, fix.store, &fix.tenant, &builtin->types[0],
                                         &user, NULL, tick(), fix.pool));
}

/* Conditions */

static void test_if_match(void **state)
{
    scim_id a = new_user("a"), b = new_user("b"), nobody;
    scim_id group = new_group("staff", fmt("{'value':'%s'}", text_of(&a)));
    const scim_precondition stale = {.if_match = "W/\"1\""}, any = {.if_match = "*"};
    const char *was = scim_etag_make(record_of("Group", &group).version, fix.pool);
    const scim_tenant *t = &fix.tenant;
    apr_pool_t *p = fix.pool;
    scim_change change;

    assert_true(scim_id_parse(&nobody, NOBODY));
    must_take(&group, (steps){{ADD(&b)}, 1});
    MUST_FAIL(change_as(&change, t, "Group", &group, was, draft_put, "{'displayName':'x'}",
                        tick(), p),
              SCIM_E_PRECONDITION_FAILED, "W/\"3\"");
    MUST_FAIL(change_as(&change, t, "Group", &group, was, draft_patch,
                        "{'op':'remove','path':'members'}", tick(), p),
              SCIM_E_PRECONDITION_FAILED, NULL);
    MUST_FAIL(del_as(t, "Group", &group, &stale, tick(), p), SCIM_E_PRECONDITION_FAILED, NULL);
    /* 412 is no word on the body */
    MUST_FAIL(change_as(&change, t, "Group", &group, was, draft_put, "{}", tick(), p),
              SCIM_E_PRECONDITION_FAILED, NULL);
    assert_code(change_as(&change, t, "Group", &nobody, was, draft_put, "{}", tick(), p),
                SCIM_E_NOT_FOUND, NULL);
    assert_no_error(change_as(&change, t, "Group", &group, "W/\"9\", W/\"3\"", draft_put,
                              "{'displayName':'x'}", tick(), p));
    assert_no_error(
        change_as(&change, t, "User", &a, "*", draft_put, "{'userName':'x'}", tick(), p));
    invariants();
    assert_no_error(del_as(t, "Group", &group, &any, tick(), p));
    invariants();
}

/* Changes between preparing and applying */

typedef struct interloper {
    scim_draft_fn fn;
    void *baton;
    int calls; /* of the draft's function */
    int times; /* in how many of them somebody else is faster */
    const char *type;
    const scim_id *id;
    const char *text; /* a PATCH operation; NULL: a deletion */
    const scim_error *error;
    apr_pool_t *pool;
} interloper;

static void *interlope(void *baton)
{
    interloper *i = baton;
    scim_change change;

    if (i->text) {
        const char *text = replaced(i->text, "#", apr_itoa(i->pool, i->calls), i->pool);

        i->error = change_as(&change, &fix.tenant, i->type, i->id, NULL, draft_patch, text,
                             fix.now, i->pool);
    } else {
        i->error = del_as(&fix.tenant, i->type, i->id, NULL, fix.now, i->pool);
    }
    return NULL;
}

/* No update within a view: another thread is the other. */
static const scim_error *draft_interrupted(scim_draft *draft, const json_t *existing,
                                           void *baton, apr_pool_t *result_pool)
{
    interloper *i = baton;

    if (i->calls++ < i->times) {
        pthread_t thread;

        i->pool = make_pool();
        pthread_create(&thread, NULL, interlope, i);
        pthread_join(thread, NULL);
        assert_no_error(i->error);
        apr_pool_destroy(i->pool);
    }
    return i->fn(draft, existing, i->baton, result_pool);
}

static const scim_error *change_interrupted(scim_change *out, const char *type,
                                            const scim_id *id, const char *if_match,
                                            interloper *i)
{
    scim_precondition precondition = {.if_match = if_match};

    return scim_resource_change(out, fix.store, &fix.tenant, type_of(type), id, &precondition,
                                draft_interrupted, i, fix.lenient, tick(), fix.pool);
}

static void test_stale(void **state)
{
    drafting mine = {"User", "{'op':'replace','path':'title','value':'mine'}"};
    int times;

    for (times = 0; times <= 3; times++) {
        scim_id id = new_user(fmt("u%d", times));
        interloper i = {.fn = draft_patch,
                        .baton = &mine,
                        .times = times,
                        .type = "User",
                        .id = &id,
                        .text = "{'op':'add','path':'emails','value':[{'value':'#@x'}]}"};
        scim_change change;

        assert_no_error(change_interrupted(&change, "User", &id, NULL, &i));
        invariants();
        assert_int_equal(i.calls, times + 1);
        assert_string_equal(string_at("User", &id, "title"), "mine");
        assert_int_equal(json_array_size(json_object_get(json_at("User", &id), "emails")),
                         times);
        assert_int_equal(change.record.version, 2 + times);
        assert_int_equal(record_of("User", &id).version, 2 + times);
        assert_true(names_have(&change, "title"));
        assert_int_equal(change.names->nelts, 1);
    }
}

/* The fourth try runs under the lock, and its errors are as those of others. */
static void test_stale_conflict(void **state)
{
    drafting mine = {"User", "{'op':'replace','path':'userName','value':'taken'}"};
    drafting unknown = {"User",
                        "{'op':'replace','path':'@EU:manager.value','value':'" NOBODY "'}"};
    scim_id id = new_user("u");
    interloper i = {.fn = draft_patch,
                    .baton = &mine,
                    .times = 3,
                    .type = "User",
                    .id = &id,
                    .text = "{'op':'replace','path':'title','value':'t#'}"};
    scim_change change;

    new_user("taken");
    assert_code(change_interrupted(&change, "User", &id, NULL, &i), SCIM_E_UNIQUENESS, "taken");
    assert_int_equal(i.calls, 4);
    i.calls = 0;
    i.baton = &unknown;
    i.text = "{'op':'replace','path':'title','value':'s#'}";
    assert_code(change_interrupted(&change, "User", &id, NULL, &i), SCIM_E_INVALID_VALUE,
                NOBODY);
    assert_int_equal(i.calls, 1 + 0);
    invariants();
    assert_string_equal(string_at("User", &id, "title"), "s1");
    assert_string_equal(string_at("User", &id, "userName"), "u");
}

static void test_stale_if_match(void **state)
{
    steps add = {.count = 1};
    scim_id a = new_user("a"), b = new_user("b"), group = new_group("staff", "");
    interloper i = {
        .fn = draft_steps, .baton = &add, .times = 1, .type = "Group", .id = &group};
    scim_change change;

    add.at[0] = (scim_member_op)ADD(&a);
    i.text = fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(&b));
    assert_code(change_interrupted(&change, "Group", &group, "W/\"1\"", &i),
                SCIM_E_PRECONDITION_FAILED, NULL);
    assert_members(&group, &b, NULL);
    /* without a condition both are there, and nothing is prepared twice */
    i = (interloper){.fn = draft_steps,
                     .baton = &add,
                     .times = 1,
                     .type = "Group",
                     .id = &group,
                     .text = "{'op':'remove','path':'members'}"};
    assert_no_error(change_interrupted(&change, "Group", &group, NULL, &i));
    assert_members(&group, &a, NULL);
    assert_int_equal(i.calls, 1);
    assert_int_equal(change.record.version, record_of("Group", &group).version);
    invariants();
}

/* Who says what all members are says it of those that are there. */
static void test_stale_members(void **state)
{
    steps all = {{CLEAR}, 1}, where = {{REMOVE_WHERE("type eq 'User'")}, 1};
    scim_id a = new_user("a"), group = new_group("staff", "");
    interloper i = {
        .fn = draft_steps, .baton = &all, .times = 3, .type = "Group", .id = &group};
    scim_id more[3] = {new_user("b"), new_user("c"), new_user("d")};
    scim_change change;
    int n;

    for (n = 0; n < 2; n++) {
        must_take(&group, (steps){{CLEAR, ADD(&a)}, 2});
        i.baton = n ? &where : &all;
        i.calls = 0;
        i.times = 1;
        i.text =
            fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(&more[n]));
        assert_no_error(change_interrupted(&change, "Group", &group, NULL, &i));
        assert_int_equal(i.calls, 2);
        invariants();
        assert_members(&group, NULL);
    }
}

static void test_stale_target(void **state)
{
    scim_id boss = new_user("boss"), a = new_user("a"), group = new_group("staff", "");
    drafting mine = {"User", managed("a", text_of(&boss))};
    steps add = {{ADD(&boss)}, 1};
    interloper i = {.fn = draft_put, .baton = &mine, .times = 1, .type = "User", .id = &boss};
    scim_change change;

    assert_code(change_interrupted(&change, "User", &a, NULL, &i), SCIM_E_INVALID_VALUE,
                text_of(&boss));
    invariants();
    boss = new_user("boss");
    add.at[0].value = text_of(&boss);
    i = (interloper){.fn = draft_steps, .baton = &add, .times = 1, .type = "User", .id = &boss};
    assert_code(change_interrupted(&change, "Group", &group, NULL, &i), SCIM_E_INVALID_VALUE,
                text_of(&boss));
    invariants();
    /* where that is allowed, what is stored does not pretend to lead anywhere */
    fix.lenient = fix.dangling = true;
    boss = new_user("boss");
    mine.text = managed("a", text_of(&boss));
    i = (interloper){.fn = draft_put, .baton = &mine, .times = 1, .type = "User", .id = &boss};
    assert_no_error(change_interrupted(&change, "User", &a, NULL, &i));
    assert_int_equal(i.calls, 2);
    invariants();
    assert_null(scim_json_string(manager_of(&a), "$ref"));
    fix.lenient = false;
    set_policy(true, true);
    boss = new_user("boss");
    add.at[0].value = text_of(&boss);
    i = (interloper){.fn = draft_steps, .baton = &add, .times = 1, .type = "User", .id = &boss};
    assert_no_error(change_interrupted(&change, "Group", &group, NULL, &i));
    invariants();
    assert_null(APR_ARRAY_IDX(members_of(&group), 0, scim_edge).type);
}

static void test_stale_gone(void **state)
{
    scim_id id = new_user("a");
    drafting mine = {"User", "{'userName':'b'}"};
    interloper i = {.fn = draft_put, .baton = &mine, .times = 1, .type = "User", .id = &id};
    scim_change change;

    assert_code(change_interrupted(&change, "User", &id, NULL, &i), SCIM_E_NOT_FOUND,
                text_of(&id));
    assert_int_equal(i.calls, 1);
    invariants();
}

/* The same from outside: between the last look and the update */

typedef struct overtaken {
    scim_id boss, a, b, group;
} overtaken;

static void be_managed(const scim_id *who, const char *name, const char *manager)
{
    scim_change change;

    assert_no_error(put(&change, "User", who,
                        manager ? managed(name, manager) : fmt("{'userName':'%s'}", name)));
}

static void retitle(int turn, void *baton)
{
    const overtaken *o = baton;
    scim_change change;

    assert_no_error(patch(&change, "User", &o->a,
                          fmt("{'op':'replace','path':'title','value':'t%d'}", turn)));
}

static void refer_more(int turn, void *baton)
{
    const overtaken *o = baton;

    be_managed(&o->b, "b", text_of(&o->boss));
}

static void refer_less(int turn, void *baton)
{
    const overtaken *o = baton;

    be_managed(&o->a, "a", NULL);
}

/* As many referrers, but others. */
static void refer_otherwise(int turn, void *baton)
{
    refer_less(turn, baton);
    refer_more(turn, baton);
}

static void remove_boss(int turn, void *baton)
{
    const overtaken *o = baton;

    assert_no_error(del("User", &o->boss));
}

static void leave_group(int turn, void *baton)
{
    const overtaken *o = baton;
    scim_change change;

    assert_no_error(patch(&change, "Group", &o->group, "{'op':'remove','path':'members'}"));
}

static overtaken set_overtaken(void)
{
    overtaken o;

    o.boss = new_user("boss");
    o.a = must_post("User", managed("a", text_of(&o.boss)));
    o.b = new_user("b");
    o.group = new_group("staff", fmt("{'value':'%s'}", text_of(&o.boss)));
    return o;
}

static void test_delete_overtaken(void **state)
{
    static void (*const acts[])(int, void *) = {retitle, refer_more, refer_less,
                                                refer_otherwise, leave_group};
    size_t i;
    int turns;

    for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        for (turns = 1; turns <= 10; turns += 9) {
            overtaken o = set_overtaken();

            let_others(acts[i], &o, turns);
            must_delete("User", &o.boss);
            others.turns = 0;
            assert_int_equal(string_at("User", &o.a, "title") != NULL, acts[i] == retitle);
            assert_null(manager_of(&o.a));
            assert_null(manager_of(&o.b));
            assert_members(&o.group, NULL);
            assert_true(others.turn >= 1 && others.turn <= 3);
            must_delete("User", &o.a);
            must_delete("User", &o.b);
            must_delete("Group", &o.group);
        }
    }
}

static void test_delete_twice(void **state)
{
    overtaken o = set_overtaken();

    let_others(remove_boss, &o, 1);
    assert_code(del("User", &o.boss), SCIM_E_NOT_FOUND, text_of(&o.boss));
    invariants();
}

/* However many are faster, the fourth try is alone. */
static void test_overtaken_always(void **state)
{
    overtaken o = set_overtaken();
    scim_change change;

    let_others(retitle, &o, 10);
    assert_no_error(
        patch(&change, "User", &o.a, "{'op':'add','path':'emails','value':[{'value':'a@x'}]}"));
    assert_int_equal(others.turn, 3);
    others.turns = 0;
    invariants();
    assert_string_equal(string_at("User", &o.a, "title"), "t2");
    assert_int_equal(json_array_size(json_object_get(json_at("User", &o.a), "emails")), 1);
}

static void test_create_overtaken(void **state)
{
    overtaken o = set_overtaken();
    scim_change change;

    let_others(remove_boss, &o, 1);
    assert_code(post(&change, "User", managed("c", text_of(&o.boss))), SCIM_E_INVALID_VALUE,
                text_of(&o.boss));
    o.boss = new_user("boss");
    let_others(remove_boss, &o, 1);
    assert_code(post(&change, "Group",
                     fmt("{'displayName':'g','members':[{'value':'%s'}]}", text_of(&o.boss))),
                SCIM_E_INVALID_VALUE, text_of(&o.boss));
    invariants();
}

/* A member whose resource is gone may stay, not come again. */
static void test_dangling_overtaken(void **state)
{
    steps s = {{{.kind = SCIM_MEMBER_ADD, .value = NOBODY, .display = "x"}}, 1};
    overtaken o = set_overtaken();
    scim_change change;

    set_policy(true, true);
    must_take(&o.group, s);
    set_policy(true, false);
    s.at[0].display = "y";
    let_others(leave_group, &o, 1);
    assert_code(take_steps(&change, &o.group, &s), SCIM_E_INVALID_VALUE, NOBODY);
    assert_members(&o.group, NULL);
    invariants();
}

/* Nothing is left to do: the answer is what others left. */
static void test_no_change_overtaken(void **state)
{
    overtaken o = set_overtaken();
    steps s = {{REMOVE(&o.boss)}, 1};
    scim_change change;

    let_others(leave_group, &o, 1);
    assert_no_error(take_steps(&change, &o.group, &s));
    assert_false(change.changed);
    assert_int_equal(change.record.version, record_of("Group", &o.group).version);
    assert_int_equal(change.record.modified, record_of("Group", &o.group).modified);
    assert_int_equal(change.names->nelts, 0);
}

/* Damage */

static void test_damaged(void **state)
{
    scim_id user = must_post("User", "{'userName':'a'}");
    scim_id group = new_group("staff", fmt("{'value':'%s','display':'abc'}", text_of(&user)));
    getting g = {.tenant = &fix.tenant, .id = &group};
    steps where = {{REMOVE_WHERE("display eq 'abc'")}, 1};
    scim_change change;

    damage("r");
    damage("m");
    assert_code(get(&g, "User", &user), SCIM_E_INTERNAL, "could not be read");
    MUST_FAIL(put(&change, "User", &user, "{'userName':'b'}"), SCIM_E_INTERNAL, NULL);
    MUST_FAIL(del("User", &user), SCIM_E_INTERNAL, NULL);
    g = (getting){.tenant = &fix.tenant, .id = &group};
    assert_code(scim_store_view(fix.store, members_in_view, &g, fix.pool), SCIM_E_INTERNAL,
                NULL);
    MUST_FAIL(take_steps(&change, &group, &where), SCIM_E_INTERNAL, NULL);
    /* what it says is not taken for the truth either, to be sealed anew */
    MUST_FAIL(patch(&change, "Group", &group,
                    fmt("{'op':'add','path':'members','value':[{'value':'%s','display':'x'}]}",
                        text_of(&user))),
              SCIM_E_INTERNAL, NULL);
}

/* Failing writes */

typedef struct scene {
    scim_id boss, a, group, inner;
} scene;

static scene set_scene(void)
{
    scene s;

    s.boss = new_user("boss");
    s.a = must_post("User", fmt("{'userName':'a','externalId':'1','emails':[{'value':'a@x'}],"
                                "'@EU':{'manager':{'value':'%s'}}}",
                                text_of(&s.boss)));
    s.inner = new_group("inner",
                        fmt("{'value':'%s'},{'value':'%s'}", text_of(&s.a), text_of(&s.boss)));
    s.group = new_group(
        "staff", fmt("{'value':'%s'},{'value':'%s'}", text_of(&s.inner), text_of(&s.boss)));
    return s;
}

static const scim_error *act(int which, const scene *s)
{
    scim_change change;

    switch (which) {
    case 0:
        return post(&change, "User", managed("new", text_of(&s->boss)));
    case 1:
        return post(&change, "Group",
                    fmt("{'displayName':'new','members':[{'value':'%s'},"
                        "{'value':'%s'}]}",
                        text_of(&s->a), text_of(&s->group)));
    case 2:
        return put(&change, "User", &s->a, "{'userName':'A2','emails':[{'value':'b@x'}]}");
    case 3:
        return put(&change, "Group", &s->group,
                   fmt("{'displayName':'x','members':[{'value':"
                       "'%s','display':'A'}]}",
                       text_of(&s->a)));
    case 4:
        return patch(
            &change, "Group", &s->inner,
            fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(&s->group)));
    case 5:
        return del("User", &s->boss);
    default:
        return del("Group", &s->inner);
    }
}

static void test_atomic(void **state)
{
    scene s = set_scene();
    int which, n;

    for (which = 0; which < 7; which++) {
        for (n = 1;; n++) {
            apr_array_header_t *before = dump(fix.pool);
            const scim_error *err;

            scim_kv_memory_fail(scim_store_kv(fix.store), n);
            err = act(which, &s);
            scim_kv_memory_fail(scim_store_kv(fix.store), 0);
            invariants();
            if (!err) {
                break;
            }
            assert_code(err, SCIM_E_INTERNAL, "could not be read or written");
            assert_true(same_dump(before, dump(fix.pool)));
            assert_true(n < 100);
        }
        assert_true(n > 4);
    }
}

/* 507, and a way out of it. */
static void test_full(void **state)
{
    char *text = filled(100000, 'x');
    const scim_error *err = NULL;
    scim_change change;
    scim_id first = {{0}};
    int i;

    scim_store_close(fix.store);
    fix.options.kv.size = 2 * 1024 * 1024;
    open_store();
    if (!strcmp(fix.engine, "memory")) {
        assert_no_error(scim_tenant_create(&fix.tenant, fix.store, "acme", tick(), fix.pool));
    }
    for (i = 0; i < 100 && !err; i++) {
        apr_array_header_t *before = dump(fix.pool);

        err = post(&change, "User", fmt("{'userName':'%d','title':'%s'}", i, text));
        if (err) {
            assert_true(same_dump(before, dump(fix.pool)));
        } else if (!i) {
            first = change.record.id;
        }
    }
    assert_code(err, SCIM_E_STORAGE_FULL, "no space");
    assert_true(i > 5);
    invariants();
    must_delete("User", &first);
    for (i = 0; i < 3; i++) {
        err = post(&change, "User", "{'userName':'again'}");
        if (!err) {
            break;
        }
    }
    assert_no_error(err);
}

/* Many at once */

#define MAX_THREADS 64

typedef struct worker {
    pthread_t thread;
    int number;
    const scim_error *error;
    scim_error_code code; /* of it */
    const scim_id *group;
    scim_id user;
    const char *body;
    unsigned int seed;
    int rounds;
    char fault[400];
} worker;

static worker workers[MAX_THREADS];

static void run_workers(int count, void *(*fn)(void *))
{
    int i;

    for (i = 0; i < count; i++) {
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, fn, &workers[i]), 0);
    }
    for (i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
    }
}

static void *add_in_thread(void *baton)
{
    worker *w = baton;
    apr_pool_t *pool = make_pool();
    char id[SCIM_ID_TEXT + 1];
    scim_change change;

    w->error =
        change_as(&change, &fix.tenant, "Group", w->group, NULL, draft_patch,
                  apr_psprintf(pool, "{'op':'add','path':'members','value':[{'value':'%s'}]}",
                               scim_id_format(&w->user, id)),
                  fix.now, pool);
    apr_pool_destroy(pool);
    return NULL;
}

static void test_parallel_adds(void **state)
{
    scim_id group = new_group("staff", "");
    int i;

    memset(workers, 0, sizeof(workers));
    for (i = 0; i < 64; i++) {
        scim_change change;

        assert_no_error(post(&change, "User", fmt("{'userName':'u%d'}", i)));
        workers[i].user = change.record.id;
        workers[i].group = &group;
    }
    run_workers(64, add_in_thread);
    invariants();
    for (i = 0; i < 64; i++) {
        assert_null(workers[i].error);
    }
    assert_int_equal(members_of(&group)->nelts, 64);
    assert_int_equal(record_of("Group", &group).version, 65);
}

static void *post_in_thread(void *baton)
{
    worker *w = baton;
    apr_pool_t *pool = make_pool();
    scim_change change;

    w->error = post_as(&change, &fix.tenant, strstr(w->body, "userName") ? "User" : "Group",
                       w->body, fix.now, pool);
    w->code = w->error ? w->error->code : SCIM_E_COUNT;
    apr_pool_destroy(pool);
    return NULL;
}

static void one_wins(const char *const *bodies)
{
    int i, won = 0;

    memset(workers, 0, sizeof(workers));
    for (i = 0; i < 32; i++) {
        workers[i].body = bodies[i % 2];
    }
    run_workers(32, post_in_thread);
    invariants();
    for (i = 0; i < 32; i++) {
        if (workers[i].code == SCIM_E_COUNT) {
            won++;
        } else {
            assert_int_equal(workers[i].code, SCIM_E_UNIQUENESS);
        }
    }
    assert_int_equal(won, 1);
}

static void test_parallel_posts(void **state)
{
    static const char *const users[] = {"{'userName':'anna'}", "{'userName':'ANNA'}"};
    static const char *const groups[] = {"{'displayName':'anna'}", "{'displayName':'ANNA'}"};

    one_wins(users);
    one_wins(groups);
}

/* Everybody does everything to a few resources. */

#define SLOTS 12

static struct {
    pthread_mutex_t lock;
    scim_id users[SLOTS];
    scim_id groups[SLOTS];
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int roll(worker *w, int sides)
{
    return rand_r(&w->seed) / 7 % sides;
}

static scim_id pick(worker *w, scim_id *slots)
{
    scim_id id;

    pthread_mutex_lock(&crowd.lock);
    id = slots[roll(w, SLOTS)];
    pthread_mutex_unlock(&crowd.lock);
    return id;
}

static void place(worker *w, scim_id *slots, const scim_id *id)
{
    pthread_mutex_lock(&crowd.lock);
    slots[roll(w, SLOTS)] = *id;
    pthread_mutex_unlock(&crowd.lock);
}

static const char *picked(worker *w, scim_id *slots, apr_pool_t *pool)
{
    scim_id id = pick(w, slots);

    return scim_id_format(&id, apr_palloc(pool, SCIM_ID_TEXT + 1));
}

static const char *random_user(worker *w, apr_pool_t *pool)
{
    return apr_psprintf(pool,
                        "{'userName':'n%d','externalId':'%d','@EU':{'manager':{'value':"
                        "'%s'}}}",
                        roll(w, 20), roll(w, 3), picked(w, crowd.users, pool));
}

static const char *random_group(worker *w, apr_pool_t *pool)
{
    return apr_psprintf(pool, "{'displayName':'g%d','members':[{'value':'%s'},{'value':'%s'}]}",
                        roll(w, 20), picked(w, crowd.users, pool),
                        picked(w, roll(w, 2) ? crowd.users : crowd.groups, pool));
}

static const scim_error *random_change(worker *w, apr_pool_t *pool)
{
    const scim_tenant *t = &fix.tenant;
    scim_id user = pick(w, crowd.users), group = pick(w, crowd.groups);
    scim_change change = {.changed = false};
    const char *text;

    switch (roll(w, 10)) {
    case 0:
        SCIM_ERR(post_as(&change, t, "User", random_user(w, pool), fix.now, pool));
        place(w, crowd.users, &change.record.id);
        return NULL;
    case 1:
        SCIM_ERR(post_as(&change, t, "Group", random_group(w, pool), fix.now, pool));
        place(w, crowd.groups, &change.record.id);
        return NULL;
    case 2:
        return del_as(t, "User", &user, NULL, fix.now, pool);
    case 3:
        return del_as(t, "Group", &group, NULL, fix.now, pool);
    case 4:
    case 5:
        return change_as(&change, t, "User", &user, NULL, draft_put, random_user(w, pool),
                         fix.now, pool);
    case 6:
        return change_as(&change, t, "Group", &group, roll(w, 2) ? NULL : "W/\"1\"", draft_put,
                         random_group(w, pool), fix.now, pool);
    case 7:
        return change_as(&change, t, "Group", &group, NULL, draft_patch,
                         "{'op':'remove','path':'members'}", fix.now, pool);
    default:
        text = roll(w, 2) ? "{'op':'add','path':'members','value':[{'value':'%s'}]}"
                          : "{'op':'remove','path':'members','value':[{'value':'%s'}]}";
        text = replaced(text, "%s", picked(w, crowd.users, pool), pool);
        return change_as(&change, t, "Group", &group, NULL, draft_patch, text, fix.now, pool);
    }
}

static bool is_expected(const scim_error *err)
{
    switch (err->code) {
    case SCIM_E_NOT_FOUND:
    case SCIM_E_UNIQUENESS:
    case SCIM_E_INVALID_VALUE:
    case SCIM_E_PRECONDITION_FAILED:
        return true;
    default:
        return false;
    }
}

static void *jostle(void *baton)
{
    worker *w = baton;
    int i;

    for (i = 0; i < w->rounds; i++) {
        apr_pool_t *pool = make_pool();
        const scim_error *err = random_change(w, pool);

        if (err && !is_expected(err)) {
            apr_snprintf(w->fault, sizeof(w->fault), "%d %s (%s)", err->status, err->detail,
                         err->cause ? err->cause : "");
        }
        apr_pool_destroy(pool);
    }
    return NULL;
}

static void test_crowd(void **state)
{
    int i, rounds = 100;
    unsigned int seed = seed_and_rounds(&rounds);

    memset(workers, 0, sizeof(workers));
    for (i = 0; i < SLOTS; i++) {
        scim_change change;

        assert_no_error(post(&change, "User", fmt("{'userName':'n%d'}", i)));
        crowd.users[i] = change.record.id;
        assert_no_error(post(&change, "Group", fmt("{'displayName':'g%d'}", i)));
        crowd.groups[i] = change.record.id;
    }
    for (i = 0; i < 8; i++) {
        workers[i].seed = seed + (unsigned int)i;
        workers[i].rounds = rounds;
    }
    run_workers(8, jostle);
    invariants();
    for (i = 0; i < 8; i++) {
        if (*workers[i].fault) {
            fail_msg("%s", workers[i].fault);
        }
    }
}

/* Random steps against a list */

#define PEOPLE 8

typedef struct naive_member {
    bool present;
    const char *display;
} naive_member;

typedef struct naive {
    naive_member at[PEOPLE];
} naive;

static const char *const shown_names[] = {NULL, "x", "y"};

static void naive_where(naive *n, const char *shown_name, bool set, const char *to)
{
    int i;

    for (i = 0; i < PEOPLE; i++) {
        const char *display = n->at[i].display;

        if (n->at[i].present && display && !strcmp(display, shown_name)) {
            n->at[i].present = set;
            n->at[i].display = set ? to : NULL;
        }
    }
}

static void naive_add(naive *n, int who, const char *display)
{
    n->at[who].present = true;
    if (display) {
        n->at[who].display = display;
    }
}

static scim_member_op random_step(worker *w, naive *n, const scim_id *people)
{
    int who = roll(w, PEOPLE), name = 1 + roll(w, 2), to = roll(w, 3);
    const char *filter = fmt("display eq '%s'", shown_names[name]);

    switch (roll(w, 9)) {
    case 0:
        memset(n, 0, sizeof(*n));
        return (scim_member_op)CLEAR;
    case 1:
    case 2:
        n->at[who] = (naive_member){false, NULL};
        return (scim_member_op)REMOVE(&people[who]);
    case 3:
        naive_where(n, shown_names[name], false, NULL);
        return (scim_member_op)REMOVE_WHERE(filter);
    case 4:
        naive_where(n, shown_names[name], true, shown_names[to]);
        return (scim_member_op)SET_WHERE(filter, shown_names[to]);
    default:
        naive_add(n, who, shown_names[to]);
        return (scim_member_op)ADD_AS(&people[who], shown_names[to]);
    }
}

static void test_random_steps(void **state)
{
    scim_id people[PEOPLE], group = new_group("staff", "");
    int i, k, rounds = 150;
    worker w = {.seed = seed_and_rounds(&rounds)};
    naive n = {{{false, NULL}}};

    for (i = 0; i < PEOPLE; i++) {
        people[i] = new_user(fmt("p%d", i));
    }
    for (i = 0; i < rounds; i++) {
        apr_uint64_t version = record_of("Group", &group).version;
        naive before = n;
        steps s = {.count = 1 + roll(&w, MAX_STEPS)};
        scim_change change;
        bool same = true;

        for (k = 0; k < s.count; k++) {
            s.at[k] = random_step(&w, &n, people);
        }
        change = must_take(&group, s);
        for (k = 0; k < PEOPLE; k++) {
            const char *shown_name = display_in(&group, &people[k]);
            const char *expected = n.at[k].display ? n.at[k].display : "";

            same = same && before.at[k].present == n.at[k].present &&
                   before.at[k].display == n.at[k].display;
            assert_int_equal(shown_name != NULL, n.at[k].present);
            if (shown_name) {
                assert_string_equal(shown_name, expected);
            }
        }
        assert_int_equal(change.changed, !same);
        assert_int_equal(record_of("Group", &group).version, version + !same);
        assert_int_equal(change.record.version, version + !same);
    }
}

int main(void)
{
    static const store_test table[] = {
        {"the rows of a user are those of FORMAT", test_format, EACH},
        {"C-030 C-031 C-032 C-050 a resource is made", test_create, EACH},
        {"C-061 what is not there is not found", test_get_unknown, EACH},
        {"C-031 C-123 ids are in the order of creation, whatever the clock says", test_order,
         EACH},
        {"the display of a resource is cut off where it is too long", test_display, EACH},
        {"C-020 what is too large for the store is refused", test_too_large, MEMORY},
        {"C-033 C-156 C-211 C-310 a userName is unique in every form", test_unique_user, EACH},
        {"C-058 a group's name is unique in every form, by policy", test_unique_group, EACH},
        {"C-033 values of any length are told apart", test_long_values, EACH},
        {"C-033 C-058 keys that begin with others", test_overlapping_keys, EACH},
        {"C-150 C-157 a change counts, and says what changed", test_change, EACH},
        {"C-151 C-204 C-210 what is not there is not changed", test_change_unknown, EACH},
        {"C-158 C-176 C-184 C-187 no change leaves version and time alone", test_no_change,
         EACH},
        {"members are named among the changes when they changed", test_names_of_changes, EACH},
        {"C-174 C-182 members are added, removed and cleared", test_members, EACH},
        {"C-216 the display of a member is what was sent last", test_member_display, EACH},
        {"C-182 C-188 members by a filter", test_members_where, EACH},
        {"C-174 a filter sees the steps before it", test_members_where_in_order, EACH},
        {"C-056 C-160 C-173 C-215 members that cannot be", test_bad_members, EACH},
        {"C-160 a member's $ref leads to it", test_member_ref, EACH},
        {"C-228 a group's version counts its membership, a user's does not",
         test_group_versions, EACH},
        {"C-176 a membership change rewrites no record", test_record_untouched, EACH},
        {"C-213 C-214 groups of a user, direct and indirect", test_groups, EACH},
        {"C-056 a reference leads to a user", test_reference, EACH},
        {"C-056 a lenient reference may lead nowhere", test_lenient_reference, EACH},
        {"C-056 references to nothing by policy", test_dangling_policy, EACH},
        {"C-056 members who are named by no id, by policy", test_members_by_text, EACH},
        {"C-210 C-211 C-212 a deletion clears references and memberships", test_delete, EACH},
        {"C-213 C-215 the deletion of a group leaves its members", test_delete_group, EACH},
        {"C-212 references through several attributes", test_delete_many_references, EACH},
        {"C-212 a reference of an attribute that is no more", test_delete_forgotten_reference,
         KEPT},
        {"C-222 C-223 C-224 If-Match guards record and membership", test_if_match, EACH},
        {"a change that others overtake loses nothing", test_stale, EACH},
        {"C-201 C-056 errors of a change that was overtaken", test_stale_conflict, EACH},
        {"C-222 If-Match is judged again when others were faster", test_stale_if_match, EACH},
        {"C-182 all members are those at the end", test_stale_members, EACH},
        {"C-056 C-212 a target that goes meanwhile", test_stale_target, EACH},
        {"C-210 a resource that goes meanwhile", test_stale_gone, EACH},
        {"C-212 a deletion that others overtake", test_delete_overtaken, EACH},
        {"C-210 two deletions at once", test_delete_twice, EACH},
        {"the fourth try is alone", test_overtaken_always, EACH},
        {"C-056 what a new resource refers to goes meanwhile", test_create_overtaken, EACH},
        {"C-056 a member that is nothing does not come again", test_dangling_overtaken, EACH},
        {"C-184 nothing left to do is no change", test_no_change_overtaken, EACH},
        {"altered bytes are never served", test_damaged, EACH},
        {"C-173 a write that fails leaves nothing", test_atomic, MEMORY},
        {"a full store says so, and lets go of what is deleted", test_full, LOCAL},
        {"64 members added at once are 64 members", test_parallel_adds, EACH},
        {"C-059 of 32 that want one name one gets it", test_parallel_posts, EACH},
        {"a crowd leaves a whole store", test_crowd, EACH},
        {"random steps of membership come to what a list comes to", test_random_steps, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
