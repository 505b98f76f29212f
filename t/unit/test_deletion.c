/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting a tenant: from the mark on it is there for nobody, whatever was begun before,
 * and in the end nothing of it is left, however often that was broken off.
 */
#include "scim/sweep.h"
#include "scim/verify.h"

#include "store_fixture.h"

/* What is looked for */

static const scim_error *find_in_view(scim_view *view, void *baton)
{
    return scim_tenant_find(baton, view, ((scim_tenant *)baton)->name);
}

static const scim_error *find_tenant(scim_tenant *out, const char *name)
{
    *out = (scim_tenant){.name = name};
    return scim_store_view(fix.store, find_in_view, out, fix.pool);
}

typedef struct listing {
    apr_array_header_t *living;
    apr_array_header_t *deleting;
} listing;

static const scim_error *list_in_view(scim_view *view, void *baton)
{
    listing *all = baton;

    SCIM_ERR(scim_tenant_list(&all->living, view));
    return scim_tenant_list_deleting(&all->deleting, view);
}

static const char *names_of(const apr_array_header_t *tenants)
{
    const char *names = "";
    int i;

    for (i = 0; i < tenants->nelts; i++) {
        names = fmt("%s%s%s", names, i ? " " : "", APR_ARRAY_IDX(tenants, i, scim_tenant).name);
    }
    return names;
}

/* "acme, deleting beta" */
static const char *tenants(void)
{
    listing all;

    assert_no_error(scim_store_view(fix.store, list_in_view, &all, fix.pool));
    return fmt("%s%s%s", names_of(all.living), all.deleting->nelts ? ", deleting " : "",
               names_of(all.deleting));
}

static void count_finding(const scim_finding *finding, void *baton)
{
    print_error("%s: %s\n", finding->table, finding->what);
}

static scim_verification verified(const char *tenant)
{
    scim_verify_watcher watcher = {count_finding, NULL, NULL};
    scim_verification sum;

    assert_no_error(scim_verify(&sum, fix.store, tenant, &watcher, fix.pool));
    assert_int_equal(sum.findings, 0);
    return sum;
}

/* Rows of the tables that belong to tenants, and what a tenant has in them. */
static int rows_of(apr_uint32_t number)
{
    apr_array_header_t *rows = dump(fix.pool);
    unsigned char wanted[4] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                               (unsigned char)(number >> 8), (unsigned char)number};
    int i, count = 0;

    for (i = 0; i < rows->nelts; i++) {
        scim_slice key = APR_ARRAY_IDX(rows, i, row).key;
        const char *at = key.data;

        count += !strchr("stk", *at) && key.len > 5 && !memcmp(at + 1, wanted, 4);
    }
    return count;
}

static void fill(const scim_tenant *tenant, int users)
{
    const char *members = "";
    scim_change change;
    int i;

    for (i = 0; i < users; i++) {
        assert_no_error(post_as(&change, tenant, "User",
                                fmt("{'userName':'u%d','externalId':'e%d'}", i, i), tick(),
                                fix.pool));
        members = fmt("%s%s{'value':'%s'}", members, i ? "," : "", text_of(&change.record.id));
    }
    assert_no_error(post_as(&change, tenant, "Group",
                            fmt("{'displayName':'all','members':[%s]}", members), tick(),
                            fix.pool));
}

static char token[SCIM_TOKEN_LEN + 1];

static void make_token(const char *tenant)
{
    assert_no_error(scim_token_create(token, fix.store, tenant, "entra",
                                      SCIM_SCOPE_READ | SCIM_SCOPE_WRITE, fix.now, 0,
                                      fix.pool));
}

typedef struct asking {
    scim_token_state state;
    scim_identity identity;
} asking;

static const scim_error *ask_in_view(scim_view *view, void *baton)
{
    asking *a = baton;

    return scim_token_find(&a->state, &a->identity, view, token, fix.now);
}

static scim_token_state token_state(void)
{
    asking a;

    assert_no_error(scim_store_view(fix.store, ask_in_view, &a, fix.pool));
    return a.state;
}

static bool mark(const char *name)
{
    bool begun;
    int count;

    assert_no_error(scim_tenant_mark(&begun, &count, fix.store, name, fix.pool));
    return begun;
}

static bool step(const char *name)
{
    apr_uint64_t rows;
    bool more;

    assert_no_error(scim_tenant_delete_some(&more, &rows, fix.store, name, fix.pool));
    assert_true(rows <= 1000);
    return more;
}

/* Tests */

static void test_mark(void **state)
{
    scim_tenant found, beta;
    scim_change change;
    bool begun, changed;
    int count;

    assert_no_error(scim_tenant_create(&beta, fix.store, "beta", tick(), fix.pool));
    fill(&beta, 3);
    fill(&fix.tenant, 2);
    make_token("beta");
    assert_int_equal(token_state(), SCIM_TOKEN_VALID);
    assert_no_error(scim_tenant_mark(&begun, &count, fix.store, "beta", fix.pool));
    assert_true(begun);
    assert_int_equal(count, 1);
    assert_string_equal(tenants(), "acme, deleting beta");
    assert_int_equal(token_state(), SCIM_TOKEN_UNKNOWN);
    assert_code(find_tenant(&found, "beta"), SCIM_E_NOT_FOUND, "is being deleted");
    assert_code(scim_token_create(token, fix.store, "beta", "entra", SCIM_SCOPE_READ, fix.now,
                                  0, fix.pool),
                SCIM_E_NOT_FOUND, "is being deleted");
    assert_code(scim_tenant_suspend(&changed, fix.store, "beta", true, fix.pool),
                SCIM_E_NOT_FOUND, "is being deleted");
    assert_code(scim_tenant_create(&found, fix.store, "beta", tick(), fix.pool),
                SCIM_E_UNIQUENESS, "is being deleted");
    assert_code(post_as(&change, &beta, "User", "{'userName':'new'}", tick(), fix.pool),
                SCIM_E_NOT_FOUND, "has been deleted");
    assert_no_error(post(&change, "User", "{'userName':'new'}"));
    assert_false(mark("beta"));
    assert_int_equal(verified(NULL).deleting, rows_of(beta.number));
    assert_int_equal(verified("beta").deleting, rows_of(beta.number));
    assert_int_equal(verified("acme").deleting, 0);
}

static void test_deleted(void **state)
{
    apr_array_header_t *before;
    scim_tenant beta, again;
    apr_uint64_t rows;
    bool more;

    fill(&fix.tenant, 2);
    before = dump(fix.pool);
    assert_no_error(scim_tenant_create(&beta, fix.store, "beta", tick(), fix.pool));
    fill(&beta, 3);
    make_token("beta");
    assert_code(scim_tenant_delete_some(&more, &rows, fix.store, "beta", fix.pool),
                SCIM_E_NOT_FOUND, "is not being deleted");
    mark("beta");
    assert_no_error(scim_tenant_rows(&rows, fix.store, "beta", fix.pool));
    assert_int_equal(rows, rows_of(beta.number));
    assert_false(step("beta"));
    assert_string_equal(tenants(), "acme");
    /* The number that was given out is all that is left. */
    assert_int_equal(dump(fix.pool)->nelts, before->nelts);
    assert_int_equal(verified(NULL).deleting, 0);
    assert_code(find_tenant(&again, "beta"), SCIM_E_NOT_FOUND, "There is no tenant");
    assert_code(scim_tenant_delete_some(&more, &rows, fix.store, "beta", fix.pool),
                SCIM_E_NOT_FOUND, "There is no tenant");
    assert_no_error(scim_tenant_create(&again, fix.store, "beta", tick(), fix.pool));
    assert_int_equal(again.number, beta.number + 1);
}

/* The process ends between two steps. */
static void test_broken_off(void **state)
{
    int steps = 0;

    fill(&fix.tenant, 220);
    mark("acme");
    while (step("acme")) {
        steps++;
        assert_true(verified(NULL).deleting > 0);
        if (!on("memory")) {
            scim_store_close(fix.store);
            open_store();
        }
        assert_false(mark("acme"));
    }
    assert_true(steps >= 1);
    assert_string_equal(tenants(), "");
    assert_int_equal(rows_of(fix.tenant.number), 0);
    verified(NULL);
}

/* What was prepared before the mark is not applied behind it. */
static void mark_acme(int turn, void *baton)
{
    mark("acme");
}

static void test_overtaken(void **state)
{
    scim_change change;
    scim_id user;
    int rows;

    assert_no_error(post(&change, "User", "{'userName':'u'}"));
    user = change.record.id;
    rows = rows_of(fix.tenant.number);
    let_others(mark_acme, NULL, 1);
    assert_code(post(&change, "User", "{'userName':'v'}"), SCIM_E_NOT_FOUND,
                "has been deleted");
    assert_code(patch(&change, "User", &user, "{'op':'add','path':'title','value':'x'}"),
                SCIM_E_NOT_FOUND, "has been deleted");
    assert_code(del("User", &user), SCIM_E_NOT_FOUND, "has been deleted");
    assert_int_equal(rows_of(fix.tenant.number), rows);
    assert_false(step("acme"));
    assert_int_equal(rows_of(fix.tenant.number), 0);
}

/* What was read before goes on in no other view. */
static const scim_error *query_in_view(scim_view *view, void *baton)
{
    scim_query_part part = {.type = type_of("User")};
    scim_query query = {.parts = &part, .parts_count = 1, .start = 1, .count = 10};
    scim_page page;

    return scim_resource_query(&page, view, &fix.tenant, &query, NULL, NULL);
}

static void test_reading(void **state)
{
    scim_change change;
    getting g;

    assert_no_error(post(&change, "User", "{'userName':'u'}"));
    mark("acme");
    assert_code(get(&g, "User", &change.record.id), SCIM_E_NOT_FOUND, "has been deleted");
    assert_code(scim_store_view(fix.store, query_in_view, NULL, fix.pool), SCIM_E_NOT_FOUND,
                "has been deleted");
    assert_code(
        scim_tenant_delete_some(&(bool){false}, &(apr_uint64_t){0}, fix.store, "nix", fix.pool),
        SCIM_E_NOT_FOUND, "There is no tenant");
}

static scim_id first_group(void)
{
    apr_array_header_t *rows = dump(fix.pool);
    scim_id group = {{0}};
    int i;

    for (i = 0; i < rows->nelts; i++) {
        scim_slice key = APR_ARRAY_IDX(rows, i, row).key;

        if (*(const char *)key.data == 'm') {
            memcpy(group.bytes, (const char *)key.data + 5, 16);
        }
    }
    return group;
}

/* The members of a deleted group are to follow it when their tenant goes. */
static void test_pending(void **state)
{
    scim_policy policy = scim_policy_default();
    scim_role_pattern all = {"member", "all", "all", 3, false};
    apr_array_header_t *changed, *done = apr_array_make(fix.pool, 4, sizeof(scim_consequence));
    scim_id group;
    bool more;

    policy.roles = &all;
    policy.roles_count = 1;
    policy.on_group_delete = SCIM_ON_DELETE_DELETE;
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    assert_no_error(find_tenant(&fix.tenant, "acme"));
    fill(&fix.tenant, 250);
    group = first_group();
    assert_no_error(del("Group", &group));
    assert_int_equal(verified(NULL).pending, 1);
    mark("acme");
    assert_no_error(scim_sweep(&more, done, fix.store, tick(), fix.pool));
    assert_int_equal(done->nelts, 0);
    while (step("acme")) {
    }
    assert_no_error(scim_sweep(&more, done, fix.store, tick(), fix.pool));
    assert_false(more);
    assert_int_equal(rows_of(fix.tenant.number), 0);
    verified(NULL);
}

int main(void)
{
    static const store_test table[] = {
        {"a tenant that is marked is there for nobody", test_mark, EACH},
        {"nothing of it is left", test_deleted, EACH},
        {"broken off between two steps", test_broken_off, EACH},
        {"a change that was prepared before", test_overtaken, EACH},
        {"reading on", test_reading, EACH},
        {"members that are to follow their group", test_pending, MEMORY},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
