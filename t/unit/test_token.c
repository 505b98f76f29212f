/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotation of tokens: the next one, and what becomes of those before it; and
 * the endpoints that they are used at.
 *
 * "test_token.t --early STORE TENANT" tests nothing, but makes and prints a token
 * that will be valid tomorrow, which no command of scimctl does.
 */
#include <stdio.h>

#include "scim/endpoints.h"
#include "scim/provider.h"

#include "store_model.h"

typedef struct made_token {
    char text[SCIM_TOKEN_LEN + 1];
} made_token;

static made_token make_token(const char *connection, unsigned int scopes, apr_time_t expires)
{
    made_token token;

    assert_no_error(scim_token_create(token.text, fix.store, "acme", connection, scopes, tick(),
                                      expires, fix.pool));
    return token;
}

typedef struct finding {
    const char *token;
    scim_token_state state;
    scim_identity identity;
} finding;

static const scim_error *find_in_view(scim_view *view, void *baton)
{
    finding *f = baton;

    return scim_token_find(&f->state, &f->identity, view, f->token, fix.now);
}

static finding find_token(const made_token *token)
{
    finding f = {.token = token->text};

    assert_no_error(scim_store_view(fix.store, find_in_view, &f, fix.pool));
    return f;
}

static made_token rotate(scim_rotation *out, apr_time_t expires, apr_time_t until)
{
    made_token token;
    bool made;

    assert_no_error(scim_token_rotate(&made, token.text, out, fix.store, "acme", "entra",
                                      tick(), expires, until, fix.pool));
    assert_true(made);
    invariants();
    return token;
}

static const scim_identity *older(const scim_rotation *rotation, int i)
{
    return &APR_ARRAY_IDX(rotation->older, i, scim_older_token).identity;
}

static void test_rotate(void **state)
{
    made_token first = make_token("entra", SCIM_SCOPE_READ, 0);
    made_token okta = make_token("okta", SCIM_SCOPE_WRITE, 0);
    scim_rotation rotation;
    apr_time_t expires = fix.now + apr_time_from_sec(1000);
    made_token next = rotate(&rotation, expires, 0);
    finding f = find_token(&next);

    assert_int_equal(f.state, SCIM_TOKEN_VALID);
    assert_string_equal(f.identity.connection, "entra");
    assert_string_equal(f.identity.tenant.name, "acme");
    assert_int_equal(f.identity.scopes, SCIM_SCOPE_READ);
    assert_int_equal(f.identity.expires, expires);
    assert_int_equal(f.identity.created, fix.now);
    assert_int_equal(rotation.scopes, SCIM_SCOPE_READ);
    assert_int_equal(rotation.older->nelts, 1);
    assert_string_equal(older(&rotation, 0)->hint, first.text + SCIM_TOKEN_LEN - 4);
    assert_int_equal(older(&rotation, 0)->expires, 0);
    f = find_token(&first);
    assert_int_equal(f.state, SCIM_TOKEN_VALID);
    assert_int_equal(f.identity.expires, 0);
    assert_int_equal(find_token(&okta).identity.scopes, SCIM_SCOPE_WRITE);
}

/* The scopes are those of the newest that lives, whatever came after it. */
static void test_scopes(void **state)
{
    scim_rotation rotation;

    make_token("entra", SCIM_SCOPE_READ, 0);
    make_token("entra", SCIM_SCOPE_READ | SCIM_SCOPE_WRITE, 0);
    make_token("entra", SCIM_SCOPE_WRITE, fix.now + apr_time_from_sec(2));
    tick();
    tick();
    tick();
    rotate(&rotation, 0, 0);
    assert_int_equal(rotation.scopes, SCIM_SCOPE_READ | SCIM_SCOPE_WRITE);
    assert_int_equal(rotation.older->nelts, 2);
    assert_int_equal(older(&rotation, 0)->scopes, SCIM_SCOPE_READ | SCIM_SCOPE_WRITE);
    assert_int_equal(older(&rotation, 1)->scopes, SCIM_SCOPE_READ);
}

static void test_all_expired(void **state)
{
    scim_rotation rotation;
    made_token next;

    make_token("entra", SCIM_SCOPE_READ, fix.now + apr_time_from_sec(2));
    make_token("entra", SCIM_SCOPE_WRITE, fix.now + apr_time_from_sec(2));
    tick();
    tick();
    next = rotate(&rotation, 0, 0);
    assert_int_equal(rotation.scopes, SCIM_SCOPE_WRITE);
    assert_int_equal(rotation.older->nelts, 0);
    assert_int_equal(find_token(&next).state, SCIM_TOKEN_VALID);
}

/* A grace shortens lives, and makes none longer. */
static void test_grace(void **state)
{
    made_token endless = make_token("entra", SCIM_SCOPE_READ, 0);
    made_token brief = make_token("entra", SCIM_SCOPE_READ, fix.now + apr_time_from_sec(20));
    made_token okta = make_token("okta", SCIM_SCOPE_READ, 0);
    apr_time_t until = fix.now + apr_time_from_sec(100);
    apr_time_t soon = find_token(&brief).identity.expires;
    scim_rotation rotation;
    made_token next = rotate(&rotation, 0, until);

    assert_int_equal(find_token(&endless).identity.expires, until);
    assert_int_equal(find_token(&brief).identity.expires, soon);
    assert_int_equal(find_token(&okta).identity.expires, 0);
    assert_int_equal(find_token(&next).identity.expires, 0);
    assert_int_equal(older(&rotation, 0)->expires, soon);
    assert_int_equal(older(&rotation, 1)->expires, until);
    fix.now = until;
    assert_int_equal(find_token(&endless).state, SCIM_TOKEN_EXPIRED);
    assert_int_equal(find_token(&next).state, SCIM_TOKEN_VALID);
}

static void test_unrotate(void **state)
{
    made_token endless = make_token("entra", SCIM_SCOPE_READ, 0);
    scim_rotation rotation;
    apr_array_header_t *before;
    made_token next;

    make_token("entra", SCIM_SCOPE_READ, fix.now + apr_time_from_sec(1000));
    before = dump(fix.pool);
    next = rotate(&rotation, 0, fix.now + apr_time_from_sec(100));
    assert_no_error(scim_token_unrotate(fix.store, next.text, &rotation, fix.pool));
    assert_true(same_dump(before, dump(fix.pool)));
    assert_int_equal(find_token(&next).state, SCIM_TOKEN_UNKNOWN);
    /* once more, of one that was revoked meanwhile */
    next = rotate(&rotation, 0, fix.now + apr_time_from_sec(100));
    assert_no_error(scim_token_unrotate(fix.store, next.text, &rotation, fix.pool));
    assert_no_error(scim_token_unrotate(fix.store, next.text, &rotation, fix.pool));
    assert_true(same_dump(before, dump(fix.pool)));
    assert_int_equal(find_token(&endless).state, SCIM_TOKEN_VALID);
}

static void test_refused(void **state)
{
    char token[SCIM_TOKEN_LEN + 1];
    scim_rotation rotation;
    bool made = true;

    make_token("okta", SCIM_SCOPE_READ, 0);
    MUST_FAIL(scim_token_rotate(&made, token, &rotation, fix.store, "nix", "okta", tick(), 0, 0,
                                fix.pool),
              SCIM_E_NOT_FOUND, "nix");
    assert_false(made);
    assert_no_error(scim_token_rotate(&made, token, &rotation, fix.store, "acme", "entra",
                                      tick(), 0, 0, fix.pool));
    assert_false(made);
}

/* All of it or nothing, whichever write fails. */
static void test_atomic(void **state)
{
    char token[SCIM_TOKEN_LEN + 1];
    scim_rotation rotation;
    const scim_error *err;
    bool made;
    int n = 0;

    make_token("entra", SCIM_SCOPE_READ, 0);
    make_token("entra", SCIM_SCOPE_READ, 0);
    do {
        apr_array_header_t *before = dump(fix.pool);

        scim_kv_memory_fail(scim_store_kv(fix.store), ++n);
        err = scim_token_rotate(&made, token, &rotation, fix.store, "acme", "entra", tick(), 0,
                                fix.now + 1000, fix.pool);
        scim_kv_memory_fail(scim_store_kv(fix.store), 0);
        assert_true(!err == made);
        assert_true(!err == !same_dump(before, dump(fix.pool)));
        assert_true(n < 20);
    } while (err);
    /* two older ones, the new one, and the commit */
    assert_int_equal(n, 5);
}

/* Endpoints */

static const scim_error *read_endpoints(scim_view *view, void *baton)
{
    return scim_endpoints_read(baton, view);
}

static const char *endpoints(void)
{
    const char *out;

    assert_no_error(scim_store_view(fix.store, read_endpoints, &out, fix.pool));
    return out;
}

static scim_kv_rc cut_endpoints(scim_kv_txn *txn, void *baton)
{
    return scim_kv_put(txn, (scim_slice){"sendpoints", 10}, (scim_slice){"12345678[]", 10},
                       false);
}

static void test_endpoints(void **state)
{
    apr_array_header_t *before;
    const char *out;
    bool changed;

    assert_null(endpoints());
    assert_no_error(scim_endpoints_write(&changed, fix.store, "[]", fix.pool));
    assert_true(changed);
    assert_string_equal(endpoints(), "[]");
    before = dump(fix.pool);
    assert_no_error(scim_endpoints_write(&changed, fix.store, "[]", fix.pool));
    assert_false(changed);
    assert_true(same_dump(before, dump(fix.pool)));
    assert_no_error(scim_endpoints_write(&changed, fix.store, "[{\"url\":\"x\"}]", fix.pool));
    assert_true(changed);
    assert_string_equal(endpoints(), "[{\"url\":\"x\"}]");
    invariants();
    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), cut_endpoints, NULL), SCIM_KV_OK);
    assert_code(scim_store_view(fix.store, read_endpoints, &out, fix.pool), SCIM_E_INTERNAL,
                NULL);
}

static int print_early(const char *url, const char *tenant)
{
    scim_store_options options = {.kv = {.create = false}};
    apr_time_t tomorrow = apr_time_now() + apr_time_from_sec(24 * 60 * 60);
    char token[SCIM_TOKEN_LEN + 1];
    apr_pool_t *pool = make_pool();
    scim_store *store;

    if (scim_registry_make(&options.registry, pool) ||
        scim_store_open(&store, url, &options, pool) ||
        scim_token_create(token, store, tenant, "early", SCIM_SCOPE_READ | SCIM_SCOPE_WRITE,
                          tomorrow, 0, pool)) {
        return 1;
    }
    puts(token);
    apr_pool_destroy(pool);
    return 0;
}

static apr_array_header_t *urls;

static const scim_error *read_urls(scim_view *view, void *baton)
{
    return scim_endpoints_urls(&urls, view, baton);
}

/* The URLs of a tenant, with a space behind each. */
static const char *urls_of(const char *tenant)
{
    assert_no_error(scim_store_view(fix.store, read_urls, (void *)tenant, fix.pool));
    return apr_pstrcat(fix.pool, apr_array_pstrcat(fix.pool, urls, ' '), " ", NULL);
}

static void test_urls(void **state)
{
    static const char list[] = "[{\"url\":\"https://a/x\",\"tenant\":null,\"template\":false},"
                               "{\"url\":\"https://a/y\",\"tenant\":\"acme\"},"
                               "{\"url\":\"https://a/{tenant}/{tenant}\",\"template\":true},"
                               "{\"url\":\"https://a/acme/acme\"},{\"url\":1},"
                               "{\"url\":\"https://a/\\u001b[31m\"}]";
    bool changed;

    assert_string_equal(urls_of("acme"), " ");
    assert_no_error(scim_endpoints_write(&changed, fix.store, list, fix.pool));
    assert_string_equal(urls_of("acme"), "https://a/x https://a/y https://a/acme/acme ");
    assert_string_equal(urls_of("b"), "https://a/x https://a/b/b https://a/acme/acme ");
}

static void test_scope_words(void **state)
{
    static const char *const wrong[] = {"", ",", "read,", "Read", "reads", "read write", "all"};
    unsigned int scopes;
    size_t i;

    for (scopes = SCIM_SCOPE_READ; scopes <= (SCIM_SCOPE_READ | SCIM_SCOPE_WRITE); scopes++) {
        unsigned int parsed;

        assert_true(scim_scopes_parse(&parsed, scim_scopes_text(scopes)));
        assert_int_equal(parsed, scopes);
    }
    assert_true(scim_scopes_parse(&scopes, "write,read"));
    assert_int_equal(scopes, SCIM_SCOPE_READ | SCIM_SCOPE_WRITE);
    for (i = 0; i < COUNT(wrong); i++) {
        assert_false(scim_scopes_parse(&scopes, wrong[i]));
    }
}

static void test_providers(void **state)
{
    const scim_provider *provider;

    assert_null(scim_provider_find("Entra"));
    for (provider = scim_providers; provider->name; provider++) {
        const scim_provider_step *last = &provider->steps[COUNT(provider->steps) - 1];

        assert_ptr_equal(scim_provider_find(provider->name), provider);
        assert_non_null(provider->steps[0].text);
        assert_null(last->text);
    }
    assert_true(provider - scim_providers >= 3);
}

int main(int argc, char **argv)
{
    static const store_test table[] = {
        {"C-314 a rotation makes the next token and leaves the others", test_rotate, EACH},
        {"the next token may what the newest may", test_scopes, EACH},
        {"the next token of a connection whose tokens have expired", test_all_expired, EACH},
        {"C-314 older tokens end with the grace", test_grace, EACH},
        {"a rotation that nobody saw is taken back", test_unrotate, EACH},
        {"rotations that cannot be", test_refused, EACH},
        {"a rotation is whole or not at all", test_atomic, MEMORY},
        {"endpoints are written where they differ", test_endpoints, EACH},
        {"a tenant's URLs are those that take its tokens", test_urls, EACH},
        {"scopes as words", test_scope_words, MEMORY},
        {"identity providers by name", test_providers, MEMORY},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    if (argc == 4 && !strcmp(argv[1], "--early")) {
        return print_early(argv[2], argv[3]);
    }
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
