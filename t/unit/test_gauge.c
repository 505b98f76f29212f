/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured of a store: counts, who is inactive, whether it takes changes; and the
 * tokens of all tenants. */
#include "store_fixture.h"

#include "scim/gauge.h"

typedef struct measured {
    const char *type;
    apr_int64_t count, inactive, looked;
} measured;

static const scim_error *measure_in_view(scim_view *view, void *baton)
{
    measured *m = baton;

    SCIM_ERR(scim_gauge_count(&m->count, view, &fix.tenant, type_of(m->type)));
    return scim_gauge_inactive(&m->inactive, &m->looked, view, &fix.tenant, type_of(m->type));
}

static measured measure(const char *type, apr_int64_t at_most)
{
    measured m = {.type = type, .looked = at_most};

    assert_no_error(scim_store_view(fix.store, measure_in_view, &m, fix.pool));
    return m;
}

static void make_user(int i, bool active)
{
    scim_change change;

    assert_no_error(post(&change, "User",
                         fmt("{'userName':'u%d','active':%s}", i, active ? "true" : "false")));
}

static void test_counts(void **state)
{
    scim_change change;
    scim_tenant other;
    measured m = measure("User", 100);
    int i;

    assert_int_equal(m.count, 0);
    assert_int_equal(m.looked, 0);
    assert_int_equal(m.inactive, 0);
    for (i = 0; i < 30; i++) {
        make_user(i, i % 3);
    }
    assert_no_error(post(&change, "Group", "{'displayName':'g'}"));
    assert_no_error(scim_tenant_create(&other, fix.store, "other", tick(), fix.pool));
    assert_no_error(
        post_as(&change, &other, "User", "{'userName':'x','active':false}", tick(), fix.pool));
    m = measure("User", 100);
    assert_int_equal(m.count, 30);
    assert_int_equal(m.looked, 30);
    assert_int_equal(m.inactive, 10);
    assert_int_equal(measure("Group", 100).count, 1);
    assert_int_equal(measure("Group", 100).inactive, 0);
}

static void test_bound(void **state)
{
    measured m;
    int i;

    for (i = 0; i < 30; i++) {
        make_user(i, i >= 10);
    }
    m = measure("User", 12);
    assert_int_equal(m.count, 30);
    assert_int_equal(m.looked, 12);
    assert_int_equal(m.inactive, 10);
    m = measure("User", 0);
    assert_int_equal(m.looked, 0);
    assert_int_equal(m.inactive, 0);
    m = measure("User", 30);
    assert_int_equal(m.looked, 30);
}

static void test_damage(void **state)
{
    measured m = {.type = "User", .looked = 10};

    make_user(1, false);
    damage("r");
    assert_code(scim_store_view(fix.store, measure_in_view, &m, fix.pool), SCIM_E_INTERNAL,
                NULL);
}

static void test_try(void **state)
{
    apr_array_header_t *before = dump(fix.pool), *after;

    assert_no_error(scim_gauge_try(fix.store, fix.pool));
    after = dump(fix.pool);
    assert_true(same_dump(before, after));
}

static void test_try_fails(void **state)
{
    scim_kv_memory_fail(scim_store_kv(fix.store), 1);
    assert_non_null(scim_gauge_try(fix.store, fix.pool));
    assert_no_error(scim_gauge_try(fix.store, fix.pool));
}

static const scim_error *list_all(scim_view *view, void *baton)
{
    return scim_token_list_all(baton, view);
}

static void test_tokens(void **state)
{
    static const char *const tenants[] = {"a", "b", "b"};
    char token[SCIM_TOKEN_LEN + 1];
    apr_array_header_t *all;
    scim_tenant tenant;
    int i, of_b = 0;

    assert_no_error(scim_tenant_create(&tenant, fix.store, "a", tick(), fix.pool));
    assert_no_error(scim_tenant_create(&tenant, fix.store, "b", tick(), fix.pool));
    for (i = 0; i < 3; i++) {
        assert_no_error(scim_token_create(token, fix.store, tenants[i], "entra",
                                          SCIM_SCOPE_READ, fix.now, fix.now + i, fix.pool));
    }
    assert_no_error(scim_store_view(fix.store, list_all, &all, fix.pool));
    assert_int_equal(all->nelts, 3);
    for (i = 0; i < 3; i++) {
        const scim_identity *one = &APR_ARRAY_IDX(all, i, scim_identity);

        assert_string_equal(one->connection, "entra");
        assert_int_equal(strlen(one->hint), 4);
        if (!strcmp(one->tenant.name, "b")) {
            of_b++;
            assert_int_equal(one->tenant.number, tenant.number);
        }
    }
    assert_int_equal(of_b, 2);
}

int main(void)
{
    static const store_test table[] = {
        {"resources and inactive ones are counted by tenant and type", test_counts, EACH},
        {"no more are looked at than asked", test_bound, EACH},
        {"what is damaged is not counted", test_damage, MEMORY},
        {"trying to write leaves all as it is", test_try, EACH},
        {"trying to write says that it fails", test_try_fails, MEMORY},
        {"the tokens of all tenants", test_tokens, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
