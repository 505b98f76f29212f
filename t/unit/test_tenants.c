/* SPDX-License-Identifier: Apache-2.0 */
/* Thousands of tenants in one store. */
#include "store_fixture.h"

#define MANY 2000
#define NAME "organisation-%04d"

static char tokens[MANY][SCIM_TOKEN_LEN + 1];

static void make_many(void)
{
    apr_pool_t *pool = make_pool();
    scim_tenant tenant;
    int i;

    for (i = 0; i < MANY; i++) {
        const char *name = apr_psprintf(pool, NAME, i);

        assert_no_error(scim_tenant_create(&tenant, fix.store, name, tick(), pool));
        assert_no_error(scim_token_create(tokens[i], fix.store, name, "entra", SCIM_SCOPE_READ,
                                          fix.now, 0, pool));
    }
    apr_pool_destroy(pool);
}

typedef struct question {
    const char *token;
    scim_token_state state;
    scim_identity identity;
} question;

static const scim_error *find_token(scim_view *view, void *baton)
{
    question *q = baton;

    return scim_token_find(&q->state, &q->identity, view, q->token, fix.now);
}

static void test_tokens(void **state)
{
    int i;

    make_many();
    for (i = 0; i < MANY; i++) {
        apr_pool_t *pool = make_pool();
        question q = {.token = tokens[i]};

        assert_no_error(scim_store_view(fix.store, find_token, &q, pool));
        assert_int_equal(q.state, SCIM_TOKEN_VALID);
        assert_string_equal(q.identity.tenant.name, apr_psprintf(pool, NAME, i));
        assert_int_equal(q.identity.tenant.number, fix.tenant.number + 1 + (apr_uint32_t)i);
        apr_pool_destroy(pool);
    }
}

static const scim_error *list_tenants(scim_view *view, void *baton)
{
    return scim_tenant_list(baton, view);
}

static void test_list(void **state)
{
    apr_array_header_t *all;
    int i;

    make_many();
    assert_no_error(scim_store_view(fix.store, list_tenants, &all, fix.pool));
    assert_int_equal(all->nelts, MANY + 1);
    for (i = 0; i < MANY; i++) {
        assert_string_equal(APR_ARRAY_IDX(all, i + 1, scim_tenant).name,
                            apr_psprintf(fix.pool, NAME, i));
    }
}

/* All but one are to let groups share a name. */
static scim_policy all_but_one(const char *name, void *baton, apr_pool_t *pool)
{
    scim_policy policy = scim_policy_default();

    policy.unique_group_names = name && !strcmp(name, baton);
    return policy;
}

static void test_policies(void **state)
{
    apr_array_header_t *changed, *all;
    int i;

    make_many();
    assert_no_error(scim_tenant_set_policies(&changed, fix.store, all_but_one,
                                             (void *)"organisation-1234", fix.pool));
    assert_int_equal(changed->nelts, MANY);
    assert_no_error(scim_store_view(fix.store, list_tenants, &all, fix.pool));
    for (i = 0; i <= MANY; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(all, i, scim_tenant);

        assert_int_equal(tenant->policy.unique_group_names,
                         !strcmp(tenant->name, "organisation-1234"));
    }
    assert_no_error(scim_tenant_set_policies(&changed, fix.store, all_but_one,
                                             (void *)"organisation-1234", fix.pool));
    assert_int_equal(changed->nelts, 0);
}

int main(void)
{
    static const store_test table[] = {
        {"C-313 each token finds its own tenant", test_tokens, MEMORY},
        {"they are listed by name", test_list, MEMORY},
        {"their policies are written where they differ", test_policies, MEMORY},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
