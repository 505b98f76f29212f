/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: what the planner finds is what a look at every record finds, and a
 * page of it is that page.
 *
 * The random test prints its SEED, and takes it and N from the environment.
 */
#include "scim/filter.h"
#include "scim/time.h"

#include "../../mod_scim/store/internal.h"
#include "store_model.h"

#define BASE "https://scim.example.org/v2"
#define ALL APR_UINT64_MAX

typedef struct finding {
    const scim_tenant *tenant;
    scim_query_part part;
    scim_query query; /* its parts are set when it runs */
    scim_page page;
    apr_int64_t total;
    apr_array_header_t *ids; /* of scim_id */
    const scim_error *stop;  /* what the caller says to the first record */
} finding;

static const scim_error *found(scim_view *view, const scim_record *record, void *baton)
{
    finding *f = baton;
    getting g = {.tenant = f->tenant, .type = f->part.type, .id = &record->id};

    SCIM_ERR(f->stop);
    APR_ARRAY_PUSH(f->ids, scim_id) = record->id;
    assert_no_error(scim_resource_get(&g.record, view, g.tenant, g.type, g.id));
    assert_int_equal(record->version, g.record.version);
    assert_int_equal(record->modified, g.record.modified);
    assert_int_equal(record->display_len, g.record.display_len);
    assert_int_equal(record->json_len, g.record.json_len);
    assert_memory_equal(record->json, g.record.json, record->json_len);
    assert_ptr_equal(record->type, f->part.type);
    return NULL;
}

static const scim_error *find_in_view(scim_view *view, void *baton)
{
    finding *f = baton;

    const scim_error *err;

    f->query.parts = &f->part;
    f->query.parts_count = 1;
    err = scim_resource_query(&f->page, view, f->tenant, &f->query, found, f);
    f->total = f->page.total;
    return err;
}

static const scim_filter *filter_of(const char *type, const char *text)
{
    const scim_filter *filter;
    const scim_error *err;

    text = replaced(quoted(text, fix.pool), "@EU", SCIM_URN_ENTERPRISE, fix.pool);
    err = scim_filter_parse(&filter, text, type_of(type), true, fix.pool);
    if (err) {
        fail_msg("%s: %s", text, err->detail);
    }
    return filter;
}

static const scim_error *find(finding *out, const char *type, const char *filter,
                              apr_uint64_t start, apr_uint64_t count)
{
    *out = (finding){.tenant = &fix.tenant,
                     .part = {.type = type_of(type)},
                     .query = {.start = start, .count = count, .base_url = BASE},
                     .ids = apr_array_make(fix.pool, 8, sizeof(scim_id))};
    if (filter) {
        out->part.filter = filter_of(type, filter);
    }
    return scim_store_view(fix.store, find_in_view, out, fix.pool);
}

/* Whether a filter finds these and no others, in this order; ends with NULL. */
static void assert_finds(const char *type, const char *filter, ...)
{
    const scim_id *id;
    va_list ids;
    finding f;
    int i = 0;

    assert_no_error(find(&f, type, filter, 1, ALL));
    va_start(ids, filter);
    while ((id = va_arg(ids, const scim_id *))) {
        if (i >= f.ids->nelts || scim_id_compare(&APR_ARRAY_IDX(f.ids, i, scim_id), id)) {
            fail_msg("%s: not %s at %d", filter, text_of(id), i);
        }
        i++;
    }
    va_end(ids);
    assert_int_equal(f.ids->nelts, i);
    assert_int_equal(f.total, i);
}

/* Pages */

static void assert_page(const char *filter, const scim_id *all, apr_uint64_t total,
                        apr_uint64_t start, apr_uint64_t count)
{
    apr_uint64_t skipped = start ? start - 1 : 0, left = total > skipped ? total - skipped : 0;
    finding f;
    int i;

    assert_no_error(find(&f, "User", filter, start, count));
    assert_int_equal(f.total, total);
    assert_int_equal(f.ids->nelts, left < count ? left : count);
    for (i = 0; i < f.ids->nelts; i++) {
        assert_memory_equal(APR_ARRAY_IDX(f.ids, i, scim_id).bytes,
                            all[skipped + (apr_uint64_t)i].bytes, 16);
    }
}

static void test_pages(void **state)
{
    static const char *const filters[] = {NULL, "userName pr", "title eq 'x'", "externalId pr",
                                          "title pr and externalId eq '1'"};
    static const apr_uint64_t numbers[] = {1, 2, 7, 8, 9, 10, 100, ALL - 1, ALL};
    scim_id all[8];
    size_t i, j, k;

    for (k = 0; k < sizeof(filters) / sizeof(filters[0]); k++) {
        assert_page(filters[k], all, 0, 1, ALL);
    }
    for (i = 0; i < 8; i++) {
        all[i] =
            must_post("User", fmt("{'userName':'u%d','title':'x','externalId':'1'}", (int)i));
        must_post("Group", fmt("{'displayName':'g%d','externalId':'1'}", (int)i));
    }
    for (k = 0; k < sizeof(filters) / sizeof(filters[0]); k++) {
        for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            assert_page(filters[k], all, 8, numbers[i], 0);
            for (j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++) {
                assert_page(filters[k], all, 8, numbers[i], numbers[j]);
            }
        }
        assert_page(filters[k], all, 8, 0, 3);
    }
}

/* Particular filters */

enum { MANY = 2600 };

static scim_id *make_many(void)
{
    scim_id *all = apr_palloc(fix.pool, MANY * sizeof(*all));
    int i;

    for (i = 0; i < MANY; i++) {
        scim_change change;

        assert_no_error(post(&change, "User", fmt("{'userName':'u%d'}", i)));
        all[i] = change.record.id;
    }
    return all;
}

/* Deletes those that which() names, keeps the others in front, and returns how
 * many they are. */
static int thin_out(scim_id *all, int count, bool (*which)(int place))
{
    int i, kept = 0;

    for (i = 0; i < count; i++) {
        if (which(i)) {
            assert_no_error(del("User", &all[i]));
        } else {
            all[kept++] = all[i];
        }
    }
    return kept;
}

static bool in_the_middle(int place)
{
    return place >= 900 && place < 2100;
}

static bool every_third(int place)
{
    return place % 3 == 1;
}

static bool whatever_is_there(int place)
{
    return true;
}

static void assert_deep_pages(const scim_id *all, int count)
{
    int start;

    for (start = 1; start <= count + 40; start += 37) {
        assert_page(NULL, all, (apr_uint64_t)count, (apr_uint64_t)start, 3);
    }
    invariants();
}

/* Far enough for the runs that resources are counted in. */
static void test_deep_pages(void **state)
{
    scim_id *all = make_many();
    int count = MANY;

    assert_deep_pages(all, count);
    count = thin_out(all, count, in_the_middle);
    assert_deep_pages(all, count);
    count = thin_out(all, count, every_third);
    assert_deep_pages(all, count);
    count = thin_out(all, count, whatever_is_there);
    assert_int_equal(count, 0);
    assert_deep_pages(all, count);
    must_post("User", "{'userName':'u1'}");
}

static void test_ids(void **state)
{
    scim_id a = new_user("a"), b = new_user("b"), group = new_group("staff", "");

    assert_finds("User", fmt("id eq '%s'", text_of(&a)), &a, NULL);
    assert_finds("User", fmt("ID Eq '%s' and userName eq 'A'", text_of(&a)), &a, NULL);
    assert_finds("User", fmt("id eq '%s' and userName eq 'b'", text_of(&a)), NULL);
    assert_finds("User", fmt("id eq '%s' or id eq '%s'", text_of(&b), text_of(&a)), &a, &b,
                 NULL);
    assert_finds("User", fmt("not (id eq '%s')", text_of(&a)), &b, NULL);
    assert_finds("User", fmt("id sw '%.8s'", text_of(&a)), &a, &b, NULL);
    assert_finds("User", fmt("id eq '%s'", text_of(&group)), NULL);
    assert_finds("User", "id eq '" NOBODY "'", NULL);
    assert_finds("User", "id eq 'bob'", NULL);
    assert_finds("User", "id eq '0197A1B2-C3D4-7E5F-8A6B-0123456789AB'", NULL);
    assert_finds("User", fmt("id eq '%s '", text_of(&a)), NULL);
}

static void test_edges(void **state)
{
    scim_id a = new_user("a"), b = new_user("b");
    scim_id one = new_group(
        "one", fmt("{'value':'%s','display':'Anna'},{'value':'%s'}", text_of(&a), text_of(&b)));
    scim_id two = new_group("two", fmt("{'value':'%s'}", text_of(&one)));
    scim_id none = new_group("none", "");
    const char *ida = text_of(&a), *id1 = text_of(&one);

    assert_finds("Group", fmt("members eq '%s'", ida), &one, NULL);
    assert_finds("Group", fmt("members.value eq '%s'", id1), &two, NULL);
    assert_finds("Group", fmt("members[value eq '%s']", ida), &one, NULL);
    assert_finds("Group", fmt("members[value eq '%s' and display eq 'anna']", ida), &one, NULL);
    assert_finds("Group", fmt("members[value eq '%s' and display eq 'ben']", ida), NULL);
    assert_finds("Group", fmt("members eq '%s' and displayName eq 'two'", ida), NULL);
    assert_finds("Group", fmt("not (members eq '%s')", ida), &two, &none, NULL);
    assert_finds("Group", "members eq 'bob'", NULL);
    assert_finds("Group", "members eq 'bob' or displayName eq 'one'", &one, NULL);
    assert_finds("Group", "members.type eq 'Group'", &two, NULL);
    assert_finds("Group", "members[type eq 'User' and display pr]", &one, NULL);
    assert_finds("Group", "members pr", &one, &two, NULL);
    assert_finds("Group", fmt("members.$ref eq '" BASE "/Users/%s'", ida), &one, NULL);
    assert_finds("User", fmt("groups eq '%s'", id1), &a, &b, NULL);
    assert_finds("User", fmt("groups.value eq '%s'", text_of(&two)), &a, &b, NULL);
    assert_finds("User", "groups.display eq 'TWO'", &a, &b, NULL);
    assert_finds("User", "groups[type eq 'direct' and display eq 'two']", NULL);
    assert_finds("User", "groups[type eq 'indirect' and display eq 'two']", &a, &b, NULL);
    assert_finds("User", fmt("groups.$ref eq '" BASE "/Groups/%s'", id1), &a, &b, NULL);
    assert_finds("User", fmt("groups eq '%s'", text_of(&none)), NULL);
    assert_finds("User", "groups eq 'bob'", NULL);
}

static void test_meta(void **state)
{
    scim_id a = new_user("a"), b;
    char when[SCIM_TIME_LEN + 1];
    finding f;

    b = new_user("b");
    scim_time_format(fix.now, when);
    assert_finds("User", fmt("meta.created ge '%s'", when), &b, NULL);
    assert_finds("User", fmt("meta.lastModified lt '%s'", when), &a, NULL);
    assert_finds("User", "meta.version eq 'W/\\\"1\\\"'", &a, &b, NULL);
    assert_finds("User", "meta.resourceType eq 'User'", &a, &b, NULL);
    assert_finds("User", "meta.resourceType eq 'Group'", NULL);
    assert_finds("User", fmt("meta.location eq '" BASE "/Users/%s'", text_of(&a)), &a, NULL);
    assert_finds("User", fmt("meta.location ew 'Users/%s'", text_of(&a)), &a, NULL);
    assert_no_error(find(&f, "User", NULL, 1, ALL));
    f.query.base_url = NULL;
    f.part.filter = filter_of("User", fmt("meta.location eq 'Users/%s'", text_of(&a)));
    f.ids->nelts = 0;
    assert_no_error(scim_store_view(fix.store, find_in_view, &f, fix.pool));
    assert_int_equal(f.total, 1);
}

static void test_long_values(void **state)
{
    const char *longer = find_overlap(), *shorter = filled(368, 'n');
    const char *other = fmt("%s%040d", shorter, 999999999);
    scim_id l = must_post("User", fmt("{'userName':'%s','externalId':'%s'}", longer, longer));
    scim_id s = must_post("User", fmt("{'userName':'%s','externalId':'%s'}", shorter, shorter));
    scim_id gl = new_group(longer, ""), gs = new_group(shorter, ""), go = new_group(other, "");
    scim_id o = must_post("User", fmt("{'userName':'%s','externalId':'%s'}", other, longer));

    assert_finds("User", fmt("userName eq '%s'", longer), &l, NULL);
    assert_finds("User", fmt("userName eq '%s'", shorter), &s, NULL);
    assert_finds("User", fmt("userName eq '%s'", other), &o, NULL);
    assert_finds("User", fmt("externalId eq '%s'", longer), &l, &o, NULL);
    assert_finds("User", fmt("externalId eq '%s'", shorter), &s, NULL);
    assert_finds("Group", fmt("displayName eq '%s'", shorter), &gs, NULL);
    assert_finds("Group", fmt("displayName eq '%s'", longer), &gl, NULL);
    assert_finds("Group", fmt("displayName sw '%s'", shorter), &gl, &gs, &go, NULL);
    assert_finds("User", fmt("userName eq '%s'", filled(367, 'n')), NULL);
}

/* An index on a sub-attribute knows nothing of elements without it. */
static void test_partial_elements(void **state)
{
    scim_id with = must_post("User", "{'userName':'a','emails':[{'value':'a@x'}]}");
    scim_id without = must_post("User", "{'userName':'b','emails':[{'type':'work'}]}");

    new_user("c");
    assert_finds("User", "emails pr", &with, &without, NULL);
    assert_finds("User", "emails.value pr", &with, NULL);
    assert_finds("User", "emails[type pr]", &without, NULL);
}

/* The scan limit shows which index a filter goes through. */

static void assert_too_many(const char *type, const char *filter)
{
    finding f;

    assert_code(find(&f, type, filter, 1, 10), SCIM_E_TOO_MANY, "has an index");
}

static void set_limit(apr_uint64_t limit)
{
    scim_store_close(fix.store);
    fix.options.scan_limit = limit;
    open_store();
}

static void test_scan_limit(void **state)
{
    scim_id u[5], group;
    int i;

    for (i = 0; i < 5; i++) {
        u[i] = must_post("User", fmt("{'userName':'u%d','title':'x','externalId':'e%d',"
                                     "'emails':[{'value':'all@x','type':'work'},"
                                     "{'value':'u%d@x','type':'work'}]}",
                                     i, i, i));
    }
    group = new_group("staff", fmt("{'value':'%s'}", text_of(&u[0])));
    for (i = 0; i < 4; i++) {
        new_group(fmt("g%d", i), fmt("{'value':'%s'}", text_of(&u[1])));
    }
    set_limit(5);
    assert_finds("User", "title eq 'x'", &u[0], &u[1], &u[2], &u[3], &u[4], NULL);
    assert_finds("User", "userName pr", &u[0], &u[1], &u[2], &u[3], &u[4], NULL);
    set_limit(4);
    assert_too_many("User", "title eq 'x'");
    assert_too_many("User", "title eq 'nobody'");
    assert_too_many("User", "userName pr");
    assert_too_many("User", "emails.value eq 'all@x'");
    assert_too_many("User", "userName eq 'u1' or title eq 'x'");
    assert_too_many("User", "not (userName eq 'u1')");
    assert_too_many("Group", "members pr");
    /* a page of all is no filter */
    assert_finds("User", NULL, &u[0], &u[1], &u[2], &u[3], &u[4], NULL);
    set_limit(1);
    assert_finds("User", "userName eq 'U3'", &u[3], NULL);
    assert_finds("User", "title eq 'x' and userName eq 'u3'", &u[3], NULL);
    assert_finds("User", "userName pr and title eq 'x' and (externalId eq 'e2' and title pr)",
                 &u[2], NULL);
    assert_finds("User", "emails.value eq 'all@x' and emails eq 'u4@x'", &u[4], NULL);
    assert_finds("User", "emails[type eq 'work' and value eq 'u1@x']", &u[1], NULL);
    assert_finds("User", "emails[type eq 'work'].value eq 'u1@x'", &u[1], NULL);
    assert_finds("User", "emails[type eq 'home' and value eq 'u1@x']", NULL);
    assert_finds("User", fmt("id eq '%s' and title eq 'x'", text_of(&u[1])), &u[1], NULL);
    assert_finds("User", "id eq 'bob' and title eq 'x'", NULL);
    assert_finds("User", "title eq 'x' and userName eq 'nobody'", NULL);
    assert_finds("Group", fmt("members eq '%s' and members pr", text_of(&u[0])), &group, NULL);
    assert_finds("Group", fmt("members eq '%s'", text_of(&u[0])), &group, NULL);
    assert_too_many("Group", fmt("members eq '%s'", text_of(&u[1])));
    assert_finds("Group", fmt("members eq '%s' and displayName eq 'STAFF'", text_of(&u[0])),
                 &group, NULL);
    assert_finds("Group", fmt("members eq '%s' and displayName eq 'staff'", text_of(&u[1])),
                 NULL);
}

/* Ten records of 100 KiB are as much to read as many small ones. */
static void test_scan_limit_of_large(void **state)
{
    char *title = apr_palloc(fix.pool, 100 * 1024 + 1);
    int i;

    memset(title, 'x', 100 * 1024);
    title[100 * 1024] = '\0';
    for (i = 0; i < 10; i++) {
        must_post("User", fmt("{'userName':'large%d','title':'%s'}", i, title));
    }
    must_post("User", "{'userName':'small','title':'y'}");
    set_limit(300);
    assert_finds("User", "title eq 'nobody'", NULL);
    assert_finds("User", "title co 'z' or title ew 'w'", NULL);
    set_limit(250);
    assert_too_many("User", "title eq 'nobody'");
    assert_too_many("User", "title co 'z' or title ew 'w'");
    assert_finds("User", "userName eq 'large3' and title eq 'nobody'", NULL);
}

/* Faults */

static void test_stop(void **state)
{
    static const char *const filters[] = {NULL, "title pr", "userName eq 'a'"};
    size_t i;

    must_post("User", "{'userName':'a','title':'x'}");
    for (i = 0; i < 3; i++) {
        finding f;

        assert_no_error(find(&f, "User", filters[i], 1, ALL));
        f.stop = scim_error_make(fix.pool, SCIM_E_NO_TARGET, "stop");
        assert_ptr_equal(scim_store_view(fix.store, find_in_view, &f, fix.pool), f.stop);
        f.query.count = 0;
        assert_no_error(scim_store_view(fix.store, find_in_view, &f, fix.pool));
    }
}

static void assert_damaged(const char *type, const char *filter)
{
    finding f;

    assert_code(find(&f, type, filter, 1, ALL), SCIM_E_INTERNAL, "could not be read");
}

static void test_damaged(void **state)
{
    scim_id a = new_user("a");
    scim_id group = new_group("staff", fmt("{'value':'%s','display':'x'}", text_of(&a)));

    damage("m");
    assert_damaged("Group", "members.display eq 'x'");
    assert_damaged("Group", "not (members.display eq 'x') or displayName pr");
    assert_damaged("Group", "members.display eq 'x' and members.value eq 'bob' or id pr");
    assert_finds("Group", "displayName pr", &group, NULL);
    damage("i");
    assert_damaged("User", "userName eq 'a'");
    assert_finds("User", "title pr or id pr", &a, NULL);
    damage("r");
    assert_damaged("User", NULL);
    assert_damaged("User", "title pr");
    assert_damaged("User", fmt("id eq '%s'", text_of(&a)));
}

static void test_tenants_apart(void **state)
{
    scim_tenant other;
    scim_change change;
    scim_id a = must_post("User", "{'userName':'a','externalId':'1'}");
    finding f;

    new_group("staff", fmt("{'value':'%s'}", text_of(&a)));
    assert_no_error(scim_tenant_create(&other, fix.store, "other", tick(), fix.pool));
    assert_no_error(post_as(&change, &other, "User", "{'userName':'a','externalId':'1'}",
                            tick(), fix.pool));
    fix.tenant = other;
    assert_finds("User", NULL, &change.record.id, NULL);
    assert_finds("User", "externalId pr", &change.record.id, NULL);
    assert_finds("User", "userName eq 'a'", &change.record.id, NULL);
    assert_finds("User", "title pr or id pr", &change.record.id, NULL);
    assert_finds("User", fmt("id eq '%s'", text_of(&a)), NULL);
    assert_finds("Group", fmt("members eq '%s'", text_of(&a)), NULL);
    assert_no_error(find(&f, "Group", NULL, 1, ALL));
    assert_int_equal(f.total, 0);
}

/* The property: a look at every record finds the same. */

#define USERS 40
#define GROUPS 12

static unsigned int seed;
static scim_id users[USERS], groups[GROUPS];

static int roll(int sides)
{
    return rand_r(&seed) / 7 % sides;
}

static const char *word(void)
{
    static const char *const words[] = {
        "a",       "A",      "ab",     "b", "Ba", "\xc3\xa4", "A\xcc\x88", "stra\303\237e",
        "STRASSE", "a@x.de", "B@X.de", "1", "2",  "x y",      "%",         "\\\\"};
    int which = roll(20);

    if (which < 16) {
        return words[which];
    }
    /* around the length that keys have room for */
    return filled((apr_size_t)(398 + roll(6)), "nN"[roll(2)]);
}

static const char *some_id(void)
{
    static const char *const odd[] = {NOBODY, "bob", ""};

    switch (roll(8)) {
    case 0:
        return odd[roll(3)];
    case 1:
    case 2:
    case 3:
        return text_of(&groups[roll(GROUPS)]);
    default:
        return text_of(&users[roll(USERS)]);
    }
}

static const char *maybe(int one_in, const char *text)
{
    return roll(one_in) ? "" : text;
}

static const char *random_emails(void)
{
    static const char *const types[] = {"work", "home", "other"};
    const char *out = "";
    int i, count = roll(4);

    for (i = 0; i < count; i++) {
        out = fmt("%s%s{%s'type':'%s'}", out, i ? "," : "",
                  roll(5) ? fmt("'value':'%s',", word()) : "", types[roll(3)]);
    }
    return fmt("[%s]", out);
}

static void populate(void)
{
    scim_change change;
    int i;

    for (i = 0; i < USERS; i++) {
        const char *text =
            fmt("{'userName':'%s%d','emails':%s%s%s%s%s,'@EU':{'department':'%s'%s}}", word(),
                i, random_emails(), maybe(2, fmt(",'externalId':'%s'", word())),
                maybe(2, fmt(",'title':'%s'", word())),
                maybe(2, fmt(",'active':%s", roll(2) ? "true" : "false")),
                maybe(2, fmt(",'name':{'givenName':'%s'}", word())), word(),
                i ? maybe(2, fmt(",'manager':{'value':'%s'}", text_of(&users[roll(i)]))) : "");

        assert_no_error(post(&change, "User", text));
        users[i] = change.record.id;
    }
    for (i = 0; i < GROUPS; i++) {
        const char *members = "";
        int k, count = roll(6);

        for (k = 0; k < count; k++) {
            const scim_id *member = i && !roll(3) ? &groups[roll(i)] : &users[roll(USERS)];

            members = fmt("%s%s{'value':'%s'%s}", members, k ? "," : "", text_of(member),
                          maybe(2, fmt(",'display':'%s'", word())));
        }
        assert_no_error(post(&change, "Group",
                             fmt("{'displayName':'%s%d','members':[%s]%s}", word(), i, members,
                                 maybe(2, fmt(",'externalId':'%s'", word())))));
        groups[i] = change.record.id;
    }
    for (i = 0; i < 5; i++) {
        assert_no_error(del("User", &users[roll(5) * 5 + i]));
    }
    assert_no_error(del("Group", &groups[roll(GROUPS)]));
    invariants();
}

/* A name that one of the resources may have. */
static const char *numbered(int count)
{
    return fmt("%s%d", word(), roll(count));
}

static const char *operation(void)
{
    static const char *const operations[] = {"co", "sw", "ew", "ne", "gt", "le"};
    int which = roll(12);

    return which < 6 ? operations[which] : "eq";
}

static const char *in_element(void)
{
    static const char *const elements[] = {"type eq 'work'", "not (type eq 'work')", "type pr",
                                           "value pr", "type eq 'home'"};
    int which = roll(8);

    if (which < 5) {
        return elements[which];
    }
    return fmt("value %s '%s'", operation(), word());
}

static const char *joined(const char *(*atom)(void), int depth);

static const char *user_atom(void)
{
    switch (roll(20)) {
    case 0:
    case 1:
        return fmt("userName %s '%s'", operation(), numbered(USERS));
    case 2:
    case 3:
        return fmt("externalId %s '%s'", operation(), word());
    case 4:
        return roll(2) ? "externalId pr" : "userName pr";
    case 5:
        return fmt("emails.value %s '%s'", operation(), word());
    case 6:
        return fmt("emails %s '%s'", operation(), word());
    case 7:
        return roll(2) ? "emails pr" : "emails.value pr";
    case 8:
    case 9:
        return fmt("emails[%s]", joined(in_element, 2));
    case 10:
        return fmt("emails[%s].value eq '%s'", in_element(), word());
    case 11:
        return roll(2) ? "active eq true" : "active eq false";
    case 12:
        return fmt("title %s '%s'", operation(), word());
    case 13:
        return fmt("name.givenName %s '%s'", operation(), word());
    case 14:
        return fmt("id eq '%s'", some_id());
    case 15:
        return fmt("groups%s eq '%s'", roll(2) ? ".value" : "", some_id());
    case 16:
        return roll(2) ? "groups[type eq 'indirect']" : fmt("groups.display sw '%s'", word());
    case 17:
        return fmt("@EU:manager.value eq '%s'", some_id());
    case 18:
        return fmt("@EU:department %s '%s'", operation(), word());
    default:
        return fmt("meta.location eq '" BASE "/Users/%s'", some_id());
    }
}

static const char *group_atom(void)
{
    switch (roll(11)) {
    case 0:
    case 1:
        return fmt("displayName %s '%s'", operation(), numbered(GROUPS));
    case 2:
        return fmt("externalId %s '%s'", operation(), word());
    case 3:
    case 4:
        return fmt("members%s eq '%s'", roll(2) ? ".value" : "", some_id());
    case 5:
        return fmt("members[value eq '%s']", some_id());
    case 6:
        return fmt("members[value eq '%s' and type eq '%s']", some_id(),
                   roll(2) ? "User" : "Group");
    case 7:
        return roll(2) ? "members pr" : "members.type eq 'Group'";
    case 8:
        return fmt("members.display %s '%s'", operation(), word());
    case 9:
        return fmt("id eq '%s'", some_id());
    default:
        return roll(2) ? "externalId pr" : "displayName pr";
    }
}

static const char *comparison(void)
{
    static const char *const comparisons[] = {"ne", "gt", "ge", "lt", "le"};
    int which = roll(12);

    return which < 5 ? comparisons[which] : "eq";
}

static const char *number(void)
{
    static const char *const numbers[] = {
        "0", "-1", "1", "7", "256", "-9223372036854775808", "9223372036854775807"};

    return numbers[roll(7)];
}

static const char *fraction(void)
{
    return roll(2) ? number() : fmt("%d.5", roll(3) - 1);
}

static const char *moment(void)
{
    static const char *const moments[] = {
        "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",        "1970-01-01T01:00:00+01:00",
        "2026-11-21T22:37:00Z", "2026-11-21T22:37:00.000001Z", "2026-11-21T23:37:00+01:00"};

    return moments[roll(6)];
}

static const char *binary(void)
{
    static const char *const seals[] = {"YWJj", "yWJj", "AAAA", "YWJjZA=="};

    return seals[roll(4)];
}

static const char *thing_atom(void)
{
    static const char *const names[] = {"name", "tags", "size", "weight",
                                        "born", "hot",  "seal"};

    switch (roll(12)) {
    case 0:
        return fmt("%s pr", names[roll(7)]);
    case 1:
        return fmt("tags[value %s '%s']", operation(), word());
    case 2:
    case 3:
        return fmt("tags %s '%s'", operation(), word());
    case 4:
        return fmt("name %s '%s'", operation(), word());
    case 5:
    case 6:
        return fmt("size %s %s", comparison(), number());
    case 7:
        return fmt("weight %s %s", comparison(), fraction());
    case 8:
    case 9:
        return fmt("born %s '%s'", comparison(), moment());
    case 10:
        return fmt("hot %s %s", roll(3) ? "eq" : "ne", roll(2) ? "true" : "false");
    default:
        return fmt("seal %s '%s'", roll(3) ? "eq" : "ne", binary());
    }
}

static const char *joined(const char *(*atom)(void), int depth)
{
    const char *left, *right;

    if (!depth || !roll(3)) {
        return atom();
    }
    left = joined(atom, depth - 1);
    switch (roll(5)) {
    case 0:
        return fmt("not (%s)", left);
    case 1:
        right = joined(atom, depth - 1);
        return fmt("(%s or %s)", left, right);
    default:
        right = joined(atom, depth - 1);
        return roll(2) ? fmt("%s and %s", left, right) : fmt("(%s) and (%s)", left, right);
    }
}

static json_t *edge_json(const scim_edge *edge, const char *type)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s}", "value", text_of(&edge->id), "type", type, "$ref",
                  fmt(BASE "%s/%s", edge->type->endpoint, text_of(&edge->id)));

    if (edge->display) {
        json_object_set_new(json, "display", json_stringn(edge->display, edge->display_len));
    }
    return json;
}

/* The resource as it is shown, all of it. */
static json_t *whole(const char *type, const scim_id *id)
{
    char created[SCIM_TIME_LEN + 1], modified[SCIM_TIME_LEN + 1];
    bool group = !strcmp(type, "Group");
    apr_array_header_t *edges = group ? members_of(id) : groups_of(id);
    json_t *list = json_array();
    getting g;
    int i;

    assert_no_error(get(&g, type, id));
    for (i = 0; i < edges->nelts; i++) {
        const scim_edge *edge = &APR_ARRAY_IDX(edges, i, scim_edge);

        json_array_append_new(list, edge_json(edge, group          ? edge->type->name
                                                    : edge->direct ? "direct"
                                                                   : "indirect"));
    }
    json_object_set_new(g.json, group ? "members" : "groups", list);
    json_object_set_new(g.json, "id", json_string(text_of(id)));
    json_object_set_new(g.json, "meta",
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "resourceType", type, "created",
                                  scim_time_format(g.record.created, created), "lastModified",
                                  scim_time_format(g.record.modified, modified), "location",
                                  fmt(BASE "%s/%s", type_of(type)->endpoint, text_of(id)),
                                  "version", scim_etag_make(g.record.version, fix.pool)));
    return g.json;
}

typedef struct population {
    const char *type;
    int count;
    scim_id ids[USERS + GROUPS];
    json_t *json[USERS + GROUPS];
} population;

static void read_population(population *p, const char *type)
{
    finding f;
    int i;

    p->type = type;
    assert_no_error(find(&f, type, NULL, 1, ALL));
    assert_int_equal(f.total, f.ids->nelts);
    p->count = f.ids->nelts;
    for (i = 0; i < p->count; i++) {
        p->ids[i] = APR_ARRAY_IDX(f.ids, i, scim_id);
        p->json[i] = whole(type, &p->ids[i]);
    }
}

static void check_filter(const population *p, const char *text)
{
    const scim_filter *filter = filter_of(p->type, text);
    apr_uint64_t start = (apr_uint64_t)(1 + roll(roll(2) ? 3 : p->count + 2)), total = 0;
    apr_uint64_t count = roll(3) ? ALL : (apr_uint64_t)roll(p->count + 2);
    int i, shown_count = 0;
    finding f;

    assert_no_error(find(&f, p->type, text, start, count));
    for (i = 0; i < p->count; i++) {
        scim_candidate subject = {.type = type_of(p->type), .resource = p->json[i]};

        if (!scim_filter_match(filter, &subject, fix.pool)) {
            continue;
        }
        total++;
        if (total < start || total - start >= count) {
            continue;
        }
        if (shown_count >= f.ids->nelts ||
            scim_id_compare(&APR_ARRAY_IDX(f.ids, shown_count, scim_id), &p->ids[i])) {
            fail_msg("%s, page %d+%d: %s is not at %d", text, (int)start, (int)count,
                     text_of(&p->ids[i]), shown_count);
        }
        shown_count++;
    }
    if ((apr_int64_t)total != f.total || shown_count != f.ids->nelts) {
        fail_msg("%s, page %d+%d: %d of %d, should be %d of %d", text, (int)start, (int)count,
                 f.ids->nelts, (int)f.total, shown_count, (int)total);
    }
}

static void test_random(void **state)
{
    int i, rounds = 2000;
    population u, g;
    apr_pool_t *pool = fix.pool;

    seed = seed_and_rounds(&rounds);
    populate();
    read_population(&u, "User");
    read_population(&g, "Group");
    for (i = 0; i < rounds; i++) {
        apr_pool_create(&fix.pool, pool);
        if (roll(3)) {
            check_filter(&u, joined(user_atom, 3));
        } else {
            check_filter(&g, joined(group_atom, 3));
        }
        apr_pool_destroy(fix.pool);
        fix.pool = pool;
    }
}

/* Values of every type, under indexes that a later directive may ask for */

static void add_index(const char *type, const char *attribute)
{
    scim_store *store = fix.store;
    apr_size_t size = sizeof(index_def) * (apr_size_t)store->indexes_count;
    index_def *all = apr_palloc(fix.pool, size + sizeof(index_def));
    index_def *added = all + store->indexes_count;

    memcpy(all, store->indexes, size);
    memset(added, 0, sizeof(*added));
    added->type = type_of(type);
    added->kind = INDEX_ORDERED;
    added->name = attribute;
    added->number = (apr_uint16_t)(200 + store->indexes_count);
    assert_int_equal(scim_path_attribute(&added->path, attribute, added->type), SCIM_PATH_OK);
    store->indexes = all;
    store->indexes_count++;
}

static int count_added(void)
{
    apr_array_header_t *rows = dump(fix.pool);
    int i, count = 0;

    for (i = 0; i < rows->nelts; i++) {
        count += is_added(&APR_ARRAY_IDX(rows, i, row));
    }
    return count;
}

static const char *random_thing(void)
{
    return fmt("{'name':'%s'%s%s%s%s%s%s}", word(), maybe(2, fmt(",'size':%s", number())),
               maybe(2, fmt(",'weight':%s", fraction())),
               maybe(2, fmt(",'born':'%s'", moment())),
               maybe(2, fmt(",'hot':%s", roll(2) ? "true" : "false")),
               maybe(2, fmt(",'seal':'%s'", binary())),
               maybe(2, fmt(",'tags':['%s','%s']", word(), word())));
}

static void test_random_types(void **state)
{
    static const char *const attributes[] = {"name", "tags", "size", "weight",
                                             "born", "hot",  "seal"};
    int i, rounds = 2000;
    apr_pool_t *pool = fix.pool;
    scim_id things[30];
    population p;

    seed = seed_and_rounds(&rounds);
    for (i = 0; i < 7; i++) {
        add_index("Thing", attributes[i]);
    }
    for (i = 0; i < 30; i++) {
        things[i] = must_post("Thing", random_thing());
        must_put("Thing", &things[roll(i + 1)], random_thing());
    }
    read_population(&p, "Thing");
    for (i = 0; i < rounds; i++) {
        apr_pool_create(&fix.pool, pool);
        check_filter(&p, joined(thing_atom, 3));
        apr_pool_destroy(fix.pool);
        fix.pool = pool;
    }
    assert_true(count_added() > 30);
    for (i = 0; i < 30; i++) {
        must_delete("Thing", &things[i]);
    }
    assert_int_equal(count_added(), 0);
}

int main(void)
{
    static const store_test table[] = {
        {"C-110 C-111 C-112 C-114 C-115 pages of all and of some", test_pages, EACH},
        {"C-110 C-113 pages far behind", test_deep_pages, EACH},
        {"C-100 C-101 filters on id", test_ids, EACH},
        {"C-107 C-214 filters on members and groups", test_edges, EACH},
        {"C-100 filters on meta", test_meta, EACH},
        {"C-080 values longer than a key has room for", test_long_values, EACH},
        {"C-088 elements that have not all of their attributes", test_partial_elements, EACH},
        {"C-106 what reads too much is refused, and the narrowest index is read",
         test_scan_limit, KEPT},
        {"C-106 a large record counts as several", test_scan_limit_of_large, KEPT},
        {"an error of the reader ends a query", test_stop, EACH},
        {"altered bytes are no answer, nor no match", test_damaged, EACH},
        {"C-061 C-318 a query sees one tenant", test_tenants_apart, EACH},
        {"C-086 C-088 C-089 C-090 C-091 C-092 C-093 C-114 an index finds what a look at "
         "every record finds",
         test_random, EACH},
        {"C-081 C-082 an index on values of any type finds what a look finds",
         test_random_types, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
