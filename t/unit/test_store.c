/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store but for its resources: opening and refusing, numbers, tenants and
 * their policy, tokens.
 */
#include <pthread.h>

#include "store_model.h"

/* Changing what stands in the store behind its back */

typedef struct poking {
    scim_slice key;
    const void *data; /* NULL: delete */
    apr_size_t len;
    bool seal;
} poking;

static scim_kv_rc poke_in_update(scim_kv_txn *txn, void *baton)
{
    const poking *p = baton;
    unsigned char value[500];

    if (!p->data) {
        return scim_kv_del(txn, p->key);
    }
    if (!p->seal) {
        return scim_kv_put(txn, p->key, (scim_slice){p->data, p->len}, false);
    }
    memcpy(value + 8, p->data, p->len);
    put_big_endian(value, seal_for(p->key, p->data, p->len), 8);
    return scim_kv_put(txn, p->key, (scim_slice){value, 8 + p->len}, false);
}

static void poke(const char *key, const void *data, apr_size_t len, bool seal)
{
    poking p = {{key, strlen(key)}, data, len, seal};

    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), poke_in_update, &p), SCIM_KV_OK);
}

/* The value of a key, seal and all; data NULL where there is none. */
static scim_slice peek(const char *key)
{
    apr_array_header_t *rows = dump(fix.pool);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        if (r->key.len == strlen(key) && !memcmp(r->key.data, key, r->key.len)) {
            return r->value;
        }
    }
    return (scim_slice){NULL, 0};
}

static apr_uint16_t number_of(const char *key)
{
    scim_slice value = peek(key);

    assert_int_equal(value.len, 10);
    return (apr_uint16_t)big_endian((const char *)value.data + 8, 2);
}

/* Opening */

static void test_create(void **state)
{
    assert_int_equal(peek("sformat").len, 8 + 4);
    assert_int_equal(big_endian((const char *)peek("sformat").data + 8, 4), SCIM_STORE_FORMAT);
    assert_int_equal(peek("sinstance").len, 8 + 16);
    assert_memory_equal((const char *)peek("sunicode").data + 8, scim_text_unicode_version(),
                        strlen(scim_text_unicode_version()));
    assert_ptr_equal(scim_store_registry(fix.store), registry);
    invariants();
}

/* By the order of the registry and of the table in the code: a store that was
 * made by this version must be read by the next. */
static void test_numbers(void **state)
{
    apr_uint16_t user = number_of("stype/User");

    assert_int_not_equal(user, number_of("stype/Group"));
    assert_int_not_equal(user, number_of("stype/Thing"));
    assert_int_equal(number_of("sindex/u/User/userName"), 1);
    assert_int_equal(number_of("sindex/i/User/externalId"), 2);
    assert_int_equal(number_of("sindex/i/User/emails.value"), 3);
    assert_int_equal(number_of("sindex/i/Group/displayName"), 4);
    assert_int_equal(number_of("sindex/i/Group/externalId"), 5);
    assert_true(number_of("sindex/f/User/" SCIM_URN_ENTERPRISE ":manager") > 5);
}

static void reopen(void)
{
    scim_store_close(fix.store);
    fix.options.kv.create = false;
    open_store();
}

static void test_reopen(void **state)
{
    scim_id id = new_user("anna");
    apr_array_header_t *before = dump(fix.pool);

    reopen();
    assert_true(same_dump(before, dump(fix.pool)));
    assert_string_equal(scim_json_string(json_at("User", &id), "userName"), "anna");
    new_user("ben");
}

/* A registry with more types and indexes finds its numbers added, and those
 * that were there as they were. */
static void test_more_types(void **state)
{
    const scim_registry *builtin;
    apr_array_header_t *rows;
    scim_store *store;
    const char *url = other_place("more");
    apr_uint16_t user, highest;

    assert_no_error(scim_registry_make(&builtin, fix.pool));
    fix.options.registry = builtin;
    assert_no_error(scim_store_open(&store, url, &fix.options, fix.pool));
    scim_store_close(fix.store);
    fix.store = store;
    user = number_of("stype/User");
    highest = number_of("sindex/f/User/" SCIM_URN_ENTERPRISE ":manager");
    rows = dump(fix.pool);
    scim_store_close(store);

    fix.options.registry = registry;
    fix.options.kv.create = false;
    assert_code(scim_store_open(&store, url, &fix.options, fix.pool), SCIM_E_UNAVAILABLE, NULL);
    fix.options.kv.create = true;
    assert_no_error(scim_store_open(&fix.store, url, &fix.options, fix.pool));
    assert_true(dump(fix.pool)->nelts > rows->nelts);
    assert_int_equal(number_of("stype/User"), user);
    assert_int_equal(number_of("sindex/f/Thing/owner"), highest + 1);
    assert_int_equal(number_of("stype/Thing"), 3);
    scim_store_close(fix.store);
    fix.options.registry = builtin;
    assert_no_error(scim_store_open(&fix.store, url, &fix.options, fix.pool));
    assert_int_equal(number_of("stype/User"), user);
    scim_store_close(fix.store);
    remove_place("more");
}

/* Opens a second time, which must fail and write nothing. */
static void assert_refused(const char *part)
{
    apr_array_header_t *before = dump(fix.pool);
    const scim_error *err;
    scim_store *store;

    fix.options.kv.create = true;
    err = scim_store_open(&store, fix.url, &fix.options, fix.pool);
    assert_code(err, SCIM_E_UNAVAILABLE, "The directory is not available");
    assert_null(strstr(err->detail, fix.directory));
    assert_non_null(err->cause);
    if (!strstr(err->cause, part)) {
        fail_msg("%s: no \"%s\"", err->cause, part);
    }
    assert_true(same_dump(before, dump(fix.pool)));
}

static void test_refuse_format(void **state)
{
    poke("sformat", "\0\0\0\4", 4, true);
    assert_refused("has store format 4, this mod_scim reads format 3");
    poke("sformat", "\0\0\0\2", 4, true);
    assert_refused("has store format 2");
    poke("sformat", "\0\0\0\0", 4, true);
    assert_refused("has store format 0");
}

static void test_refuse_unicode(void **state)
{
    poke("sunicode", "9.9.9", 5, true);
    assert_refused("tables of Unicode 9.9.9");
    /* before the numbers that this version would add */
    poke("sindex/i/Group/externalId", NULL, 0, false);
    assert_refused("tables of Unicode 9.9.9");
}

static void test_refuse_damaged(void **state)
{
    poke("sformat", "\1\2\3\4\5\6\7\10\0\0\0\1", 12, false);
    assert_refused("is damaged");
}

static void test_refuse_foreign(void **state)
{
    poke("sformat", NULL, 0, false);
    assert_refused("is no mod_scim store");
}

static void test_refuse_bad_numbers(void **state)
{
    poke("sindex/i/Group/externalId", NULL, 0, false);
    poke("sindex/x", "\xff\xff", 2, true);
    assert_refused("full");
    poke("sindex/x", "\1\2\3", 3, false);
    assert_refused("is damaged");
}

static void test_no_store(void **state)
{
    const scim_error *err;
    scim_store *store;

    fix.options.kv.create = false;
    err = scim_store_open(&store, "memory:", &fix.options, fix.pool);
    assert_code(err, SCIM_E_UNAVAILABLE, NULL);
    assert_non_null(strstr(err->cause, "scimctl --store memory: init"));
    fix.options.kv.create = true;
    fix.options.kv.read_only = true;
    assert_code(scim_store_open(&store, "memory:", &fix.options, fix.pool), SCIM_E_UNAVAILABLE,
                NULL);
    err = scim_store_open(&store, "lmdb:/nonexistent/path", &fix.options, fix.pool);
    assert_code(err, SCIM_E_UNAVAILABLE, NULL);
    assert_non_null(strstr(err->cause, "/nonexistent/path"));
    assert_null(strstr(err->detail, "/nonexistent/path"));
}

static void test_read_only(void **state)
{
    scim_id id = new_user("anna");
    scim_change change;

    scim_store_close(fix.store);
    fix.options.kv.read_only = true;
    open_store();
    assert_string_equal(scim_json_string(json_at("User", &id), "userName"), "anna");
    assert_code(post(&change, "User", "{'userName':'ben'}"), SCIM_E_UNAVAILABLE, NULL);
    assert_code(del("User", &id), SCIM_E_UNAVAILABLE, NULL);
}

/* Another generation of the module changed the format while this one runs. */
static void test_format_changes(void **state)
{
    char token[SCIM_TOKEN_LEN + 1];
    scim_id id = new_user("anna");
    scim_policy policy = {.unique_group_names = false};
    scim_change change;
    scim_tenant tenant;
    apr_array_header_t *changed;
    int revoked;

    poke("sformat", "\0\0\0\4", 4, true);
    MUST_FAIL(post(&change, "User", "{'userName':'ben'}"), SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(del("User", &id), SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(put(&change, "User", &id, "{'userName':'ben'}"), SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(scim_tenant_create(&tenant, fix.store, "new", tick(), fix.pool),
              SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(set_policy_of(&changed, "acme", &policy), SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(set_policy_of(&changed, NULL, &policy), SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(scim_token_create(token, fix.store, "acme", "entra", 3, fix.now, 0, fix.pool),
              SCIM_E_UNAVAILABLE, NULL);
    MUST_FAIL(scim_token_revoke(&revoked, fix.store, "acme", "entra", NULL, fix.pool),
              SCIM_E_UNAVAILABLE, NULL);
    assert_string_equal(scim_json_string(json_at("User", &id), "userName"), "anna");
}

typedef struct opener {
    pthread_t thread;
    const char *url;
    bool opened;
} opener;

static void *open_in_thread(void *baton)
{
    opener *o = baton;
    apr_pool_t *pool = make_pool();
    scim_store *store;

    o->opened = !scim_store_open(&store, o->url, &fix.options, pool);
    apr_pool_destroy(pool);
    return NULL;
}

/* Several find no store, and make one. */
static void test_create_together(void **state)
{
    const char *url = other_place("new");
    opener openers[8];
    int i;

    for (i = 0; i < 8; i++) {
        openers[i].url = url;
        pthread_create(&openers[i].thread, NULL, open_in_thread, &openers[i]);
    }
    for (i = 0; i < 8; i++) {
        pthread_join(openers[i].thread, NULL);
        assert_true(openers[i].opened);
    }
    remove_place("new");
}

static void test_errors(void **state)
{
    static const struct {
        scim_kv_rc rc;
        scim_error_code code;
    } table[] = {
        {SCIM_KV_BUSY, SCIM_E_UNAVAILABLE},  {SCIM_KV_CONFLICT, SCIM_E_UNAVAILABLE},
        {SCIM_KV_STALE, SCIM_E_UNAVAILABLE}, {SCIM_KV_READONLY, SCIM_E_UNAVAILABLE},
        {SCIM_KV_FULL, SCIM_E_STORAGE_FULL}, {SCIM_KV_DISK_FULL, SCIM_E_STORAGE_FULL},
        {SCIM_KV_CORRUPT, SCIM_E_INTERNAL},  {SCIM_KV_IO, SCIM_E_INTERNAL},
        {SCIM_KV_INVALID, SCIM_E_INTERNAL},
    };
    size_t i;

    assert_null(scim_store_error(fix.pool, SCIM_KV_OK, "trying"));
    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const scim_error *err = scim_store_error(fix.pool, table[i].rc, "trying");

        assert_code(err, table[i].code, "The directory");
        assert_string_equal(err->cause, fmt("trying: %s", scim_kv_strerror(table[i].rc)));
    }
}

static const scim_error *nested_in_view(scim_view *view, void *baton)
{
    int *depth = baton;

    assert_ptr_equal(view->store, fix.store);
    if (++*depth < 3) {
        return scim_store_view(fix.store, nested_in_view, baton, view->pool);
    }
    return scim_error_make(view->pool, SCIM_E_NO_TARGET, "depth %d", *depth);
}

static void test_views_nest(void **state)
{
    int depth = 0;

    assert_code(scim_store_view(fix.store, nested_in_view, &depth, fix.pool), SCIM_E_NO_TARGET,
                "depth 3");
}

/* Tenants */

typedef struct finding {
    const char *name;
    scim_tenant tenant;
    apr_array_header_t *all;
} finding;

static const scim_error *find_in_view(scim_view *view, void *baton)
{
    finding *f = baton;

    return scim_tenant_find(&f->tenant, view, f->name);
}

static const scim_error *find_tenant(scim_tenant *out, const char *name)
{
    finding f = {.name = name};

    SCIM_ERR(scim_store_view(fix.store, find_in_view, &f, fix.pool));
    *out = f.tenant;
    return NULL;
}

static const scim_error *list_in_view(scim_view *view, void *baton)
{
    finding *f = baton;

    return scim_tenant_list(&f->all, view);
}

static apr_array_header_t *list_tenants(void)
{
    finding f = {.name = NULL};

    assert_no_error(scim_store_view(fix.store, list_in_view, &f, fix.pool));
    return f.all;
}

static void test_tenants(void **state)
{
    scim_tenant made, found;
    apr_array_header_t *all;

    assert_no_error(scim_tenant_create(&made, fix.store, "Zoo", 1234567, fix.pool));
    assert_int_equal(made.number, fix.tenant.number + 1);
    assert_no_error(scim_tenant_create(&made, fix.store, "Zoo.2", 7, fix.pool));
    assert_int_equal(made.number, fix.tenant.number + 2);
    assert_no_error(find_tenant(&found, "Zoo"));
    assert_string_equal(found.name, "Zoo");
    assert_int_equal(found.number, fix.tenant.number + 1);
    assert_int_equal(found.created, 1234567);
    assert_false(found.suspended);
    assert_true(found.policy.unique_group_names);
    assert_false(found.policy.dangling_references);
    all = list_tenants();
    assert_int_equal(all->nelts, 3);
    assert_string_equal(APR_ARRAY_IDX(all, 0, scim_tenant).name, "Zoo");
    assert_string_equal(APR_ARRAY_IDX(all, 1, scim_tenant).name, "Zoo.2");
    assert_string_equal(APR_ARRAY_IDX(all, 2, scim_tenant).name, "acme");
    MUST_FAIL(scim_tenant_create(&made, fix.store, "acme", tick(), fix.pool), SCIM_E_UNIQUENESS,
              "\"acme\"");
    assert_code(find_tenant(&found, "zoo"), SCIM_E_NOT_FOUND, "\"zoo\"");
    assert_code(find_tenant(&found, "Zo"), SCIM_E_NOT_FOUND, "\"Zo\"");
    invariants();
}

static void test_tenant_names(void **state)
{
    static const char *const bad[] = {"", "a b", "a/b", "\xc3\xa4", "a:b", "..\n"};
    char longest[SCIM_TENANT_NAME_MAX + 2];
    scim_tenant tenant;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(scim_tenant_name_valid(bad[i]));
        MUST_FAIL(scim_tenant_create(&tenant, fix.store, bad[i], tick(), fix.pool),
                  SCIM_E_INVALID_VALUE, "1 to 64");
        assert_code(find_tenant(&tenant, bad[i]), SCIM_E_NOT_FOUND, NULL);
    }
    memset(longest, 'x', sizeof(longest));
    longest[SCIM_TENANT_NAME_MAX + 1] = '\0';
    assert_false(scim_tenant_name_valid(longest));
    assert_code(find_tenant(&tenant, longest), SCIM_E_NOT_FOUND, NULL);
    longest[SCIM_TENANT_NAME_MAX] = '\0';
    assert_no_error(scim_tenant_create(&tenant, fix.store, longest, tick(), fix.pool));
    assert_no_error(find_tenant(&tenant, longest));
}

static apr_uint64_t updates(void)
{
    scim_kv_stat stat;

    assert_int_equal(scim_kv_statistics(scim_store_kv(fix.store), &stat), SCIM_KV_OK);
    return stat.updates;
}

static void test_policy(void **state)
{
    scim_policy policy = {.unique_group_names = false, .dangling_references = true};
    scim_tenant found;
    apr_array_header_t *changed;
    apr_uint64_t before;

    assert_no_error(set_policy_of(&changed, "acme", &policy));
    assert_int_equal(changed->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(changed, 0, const char *), "acme");
    assert_no_error(find_tenant(&found, "acme"));
    assert_false(found.policy.unique_group_names);
    assert_true(found.policy.dangling_references);
    assert_int_equal(found.number, fix.tenant.number);
    assert_int_equal(found.created, fix.tenant.created);
    before = updates();
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    assert_int_equal(changed->nelts, 0);
    assert_no_error(set_policy_of(&changed, "nobody", &policy));
    assert_int_equal(updates(), before);
    invariants();
}

static void test_default_policy(void **state)
{
    scim_policy policy = {.unique_group_names = false, .dangling_references = true};
    scim_tenant made, found;
    apr_array_header_t *changed;
    apr_uint64_t before = updates();

    assert_no_error(set_policy_of(&changed, NULL, &policy));
    assert_int_equal(changed->nelts, 0);
    assert_int_equal(updates(), before + 1);
    assert_no_error(set_policy_of(&changed, NULL, &policy));
    assert_int_equal(updates(), before + 1);
    assert_no_error(scim_tenant_create(&made, fix.store, "later", tick(), fix.pool));
    assert_false(made.policy.unique_group_names);
    assert_no_error(find_tenant(&found, "later"));
    assert_true(found.policy.dangling_references);
    assert_no_error(find_tenant(&found, "acme"));
    assert_false(found.policy.dangling_references);
    policy = scim_policy_default();
    assert_no_error(set_policy_of(&changed, NULL, &policy));
    assert_int_equal(updates(), before + 3);
    invariants();
}

/* The row as FORMAT says it is, and what is none. */
static void test_tenant_row(void **state)
{
    static const char value[] = "\0\0\0\7\1\0\0\0\0\0\0\0\5"
                                "\1\3\1\2\0\0\0\11\0\1"
                                "\1\0\5\0\4admin\0Root*\0root";
    char damaged[sizeof(value)];
    scim_tenant found;

    poke("tother", value, sizeof(value), true);
    assert_no_error(find_tenant(&found, "other"));
    assert_int_equal(found.number, 7);
    assert_true(found.suspended);
    assert_int_equal(found.created, 5);
    assert_true(found.policy.unique_group_names);
    assert_true(found.policy.dangling_references);
    assert_false(found.policy.password_sync);
    assert_int_equal(found.policy.custom_groups, SCIM_CUSTOM_IGNORE);
    assert_int_equal(found.policy.on_group_delete, SCIM_ON_DELETE_DELETE);
    assert_int_equal(found.policy.delete_limit, 9);
    assert_int_equal(found.policy.roles_count, 1);
    assert_string_equal(found.policy.roles[0].role, "admin");
    assert_string_equal(found.policy.roles[0].pattern, "Root*");
    assert_string_equal(found.policy.roles[0].prepared, "root");
    assert_int_equal(found.policy.roles[0].prepared_len, 4);
    assert_true(found.policy.roles[0].prefix);
    poke("tother", value, sizeof(value), false);
    assert_code(find_tenant(&found, "other"), SCIM_E_INTERNAL, NULL);
    poke("tother", value, sizeof(value) - 1, true);
    assert_code(find_tenant(&found, "other"), SCIM_E_INTERNAL, NULL);
    memcpy(damaged, value, sizeof(value));
    damaged[13] = 2; /* a version that nobody knows */
    poke("tother", damaged, sizeof(damaged), true);
    assert_code(find_tenant(&found, "other"), SCIM_E_INTERNAL, NULL);
    poke("tother", "short", 5, true);
    assert_code(find_tenant(&found, "other"), SCIM_E_INTERNAL, NULL);
}

static void test_tenant_numbers_end(void **state)
{
    scim_tenant tenant;

    poke("stenants", "\0\0\0\0\xff\xff\xff\xff", 8, false);
    MUST_FAIL(scim_tenant_create(&tenant, fix.store, "last", tick(), fix.pool),
              SCIM_E_STORAGE_FULL, NULL);
}

static void test_tenants_apart(void **state)
{
    scim_tenant other;
    scim_change change;
    scim_id id = new_user("anna"), group = new_group("staff", "");
    apr_pool_t *pool = fix.pool;
    getting g = {.tenant = &other, .type = type_of("User"), .id = &id};

    assert_no_error(scim_tenant_create(&other, fix.store, "other", tick(), pool));
    assert_no_error(
        post_as(&change, &other, "User", "{'userName':'anna','externalId':'1'}", tick(), pool));
    assert_no_error(post_as(&change, &other, "Group", "{'displayName':'staff'}", tick(), pool));
    invariants();
    assert_code(scim_store_view(fix.store, get_in_view, &g, pool), SCIM_E_NOT_FOUND, NULL);
    assert_code(del_as(&other, "User", &id, NULL, tick(), pool), SCIM_E_NOT_FOUND, NULL);
    assert_code(change_as(&change, &other, "User", &id, NULL, draft_put, "{'userName':'x'}",
                          tick(), pool),
                SCIM_E_NOT_FOUND, NULL);
    MUST_FAIL(post_as(&change, &other, "Group",
                      fmt("{'displayName':'b','members':[{'value':'%s'}]}", text_of(&id)),
                      tick(), pool),
              SCIM_E_INVALID_VALUE, "members[0]");
    assert_code(change_as(&change, &other, "Group", &group, NULL, draft_put,
                          "{'displayName':'x'}", tick(), pool),
                SCIM_E_NOT_FOUND, NULL);
    invariants();
}

/* Tokens */

static apr_uint32_t crc32_of(const char *text, apr_size_t len)
{
    apr_uint32_t crc = 0xffffffff;
    int bit;

    while (len--) {
        crc ^= (unsigned char)*text++;
        for (bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
    }
    return ~crc;
}

static void new_token(char *token, const char *connection)
{
    assert_no_error(scim_token_create(token, fix.store, "acme", connection,
                                      SCIM_SCOPE_READ | SCIM_SCOPE_WRITE, fix.now,
                                      fix.now + SCIM_TOKEN_LIFETIME, fix.pool));
}

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* A text with the form and the checksum of a token that begins so. */
static const char *summed(const char *start)
{
    char *token = apr_psprintf(fix.pool, "mscim_%s%0*d", start, 43 - (int)strlen(start), 0);
    apr_uint32_t crc = crc32_of(token, 49);
    int i;

    for (i = 54; i >= 49; i--, crc /= 62) {
        token[i] = base62[crc % 62];
    }
    return token;
}

static void test_token_form(void **state)
{
    char token[SCIM_TOKEN_LEN + 1], other[SCIM_TOKEN_LEN + 1];
    apr_uint32_t crc;
    int i;

    new_token(token, "entra");
    assert_int_equal(strlen(token), 6 + 43 + 6);
    assert_memory_equal(token, "mscim_", 6);
    assert_int_equal(strspn(token + 6, base62), 49);
    crc = crc32_of(token, 49);
    for (i = 54; i >= 49; i--, crc /= 62) {
        assert_int_equal(token[i], base62[crc % 62]);
    }
    assert_true(scim_token_well_formed(token));
    for (i = 0; i < SCIM_TOKEN_LEN; i++) {
        strcpy(other, token);
        other[i] = other[i] == 'x' ? 'y' : 'x';
        assert_false(scim_token_well_formed(other));
        other[i] = '\0';
        assert_false(scim_token_well_formed(other));
    }
    assert_false(scim_token_well_formed(apr_pstrcat(fix.pool, token, "0", NULL)));
    /* with a checksum that is right, as anyone can make it */
    assert_true(scim_token_well_formed(summed("0000")));
    assert_false(scim_token_well_formed(summed("00-0")));
    assert_false(scim_token_well_formed(summed("0[00")));
    assert_false(scim_token_well_formed(summed("@000")));
    assert_false(scim_token_well_formed(summed("000\xc3")));
    new_token(other, "entra");
    assert_string_not_equal(token, other);
}

typedef struct asking {
    const char *token;
    apr_time_t now;
    scim_token_state state;
    scim_identity identity;
} asking;

static const scim_error *ask_in_view(scim_view *view, void *baton)
{
    asking *a = baton;

    return scim_token_find(&a->state, &a->identity, view, a->token, a->now);
}

static asking ask(const char *token, apr_time_t now)
{
    asking a = {token, now, SCIM_TOKEN_VALID, {.connection = NULL}};

    assert_no_error(scim_store_view(fix.store, ask_in_view, &a, fix.pool));
    return a;
}

static void assert_state(const char *token, apr_time_t now, scim_token_state expected)
{
    assert_int_equal(ask(token, now).state, expected);
}

static void test_token_find(void **state)
{
    char token[SCIM_TOKEN_LEN + 1];
    asking a;

    assert_no_error(scim_token_create(token, fix.store, "acme", "entra", SCIM_SCOPE_READ, 1000,
                                      2000, fix.pool));
    a = ask(token, 1000);
    assert_int_equal(a.state, SCIM_TOKEN_VALID);
    assert_string_equal(a.identity.tenant.name, "acme");
    assert_int_equal(a.identity.tenant.number, fix.tenant.number);
    assert_true(a.identity.tenant.policy.unique_group_names);
    assert_string_equal(a.identity.connection, "entra");
    assert_int_equal(a.identity.scopes, SCIM_SCOPE_READ);
    assert_int_equal(a.identity.created, 1000);
    assert_int_equal(a.identity.expires, 2000);
    assert_string_equal(a.identity.hint, token + SCIM_TOKEN_LEN - 4);
    assert_state(token, 1999, SCIM_TOKEN_VALID);
    a = ask(token, 2000);
    assert_int_equal(a.state, SCIM_TOKEN_EXPIRED);
    assert_string_equal(a.identity.connection, "entra");
    assert_state(token, 999, SCIM_TOKEN_UNKNOWN);
    assert_state("", 1000, SCIM_TOKEN_UNKNOWN);
    assert_state("mscim_", 1000, SCIM_TOKEN_UNKNOWN);
    token[20] ^= 1;
    assert_state(token, 1000, SCIM_TOKEN_UNKNOWN);
    assert_no_error(scim_token_create(token, fix.store, "acme", "entra", SCIM_SCOPE_READ, 1000,
                                      0, fix.pool));
    assert_state(token, APR_INT64_MAX, SCIM_TOKEN_VALID);
    invariants();
}

static void test_token_refused(void **state)
{
    char token[SCIM_TOKEN_LEN + 1];
    int revoked = 7;

    MUST_FAIL(scim_token_create(token, fix.store, "nobody", "entra", 3, fix.now, 0, fix.pool),
              SCIM_E_NOT_FOUND, "\"nobody\"");
    MUST_FAIL(scim_token_create(token, fix.store, "acme", "a b", 3, fix.now, 0, fix.pool),
              SCIM_E_INVALID_VALUE, "\"a b\"");
    MUST_FAIL(scim_token_revoke(&revoked, fix.store, "nobody", "entra", NULL, fix.pool),
              SCIM_E_NOT_FOUND, "\"nobody\"");
    assert_int_equal(revoked, 0);
    MUST_FAIL(scim_token_revoke_token(&revoked, fix.store, "mscim_x", fix.pool),
              SCIM_E_INVALID_VALUE, "no token");
}

static apr_array_header_t *tokens_of(const char *tenant);

static void test_token_revoke(void **state)
{
    char entra[3][SCIM_TOKEN_LEN + 1], okta[SCIM_TOKEN_LEN + 1];
    const char *hint;
    int i, revoked;

    for (i = 0; i < 3; i++) {
        new_token(entra[i], "entra");
    }
    new_token(okta, "okta");
    hint = entra[1] + SCIM_TOKEN_LEN - 4;
    assert_no_error(scim_token_revoke(&revoked, fix.store, "acme", "okta", hint, fix.pool));
    assert_int_equal(revoked, 0);
    assert_no_error(scim_token_revoke(&revoked, fix.store, "acme", "entra", hint, fix.pool));
    assert_int_equal(revoked, 1);
    assert_state(entra[1], fix.now, SCIM_TOKEN_UNKNOWN);
    assert_state(entra[0], fix.now, SCIM_TOKEN_VALID);
    assert_int_equal(tokens_of("acme")->nelts, 3);
    assert_no_error(scim_token_revoke_token(&revoked, fix.store, entra[0], fix.pool));
    assert_int_equal(revoked, 1);
    assert_no_error(scim_token_revoke_token(&revoked, fix.store, entra[0], fix.pool));
    assert_int_equal(revoked, 0);
    new_token(entra[0], "entra");
    assert_no_error(scim_token_revoke(&revoked, fix.store, "acme", "entra", NULL, fix.pool));
    assert_int_equal(revoked, 2);
    assert_state(entra[0], fix.now, SCIM_TOKEN_UNKNOWN);
    assert_state(entra[2], fix.now, SCIM_TOKEN_UNKNOWN);
    assert_state(okta, fix.now, SCIM_TOKEN_VALID);
    invariants();
}

typedef struct token_listing {
    const char *tenant;
    apr_array_header_t *tokens;
} token_listing;

static const scim_error *tokens_in_view(scim_view *view, void *baton)
{
    token_listing *l = baton;

    return scim_token_list(&l->tokens, view, l->tenant);
}

static apr_array_header_t *tokens_of(const char *tenant)
{
    token_listing l = {tenant, NULL};

    assert_no_error(scim_store_view(fix.store, tokens_in_view, &l, fix.pool));
    return l.tokens;
}

static void test_token_list(void **state)
{
    token_listing nobody = {"nobody", NULL};
    char token[SCIM_TOKEN_LEN + 1], other[SCIM_TOKEN_LEN + 1];
    scim_tenant tenant;
    const scim_identity *identity;
    int revoked;

    assert_int_equal(tokens_of("acme")->nelts, 0);
    new_token(token, "entra");
    assert_no_error(scim_tenant_create(&tenant, fix.store, "other", tick(), fix.pool));
    assert_no_error(scim_token_create(other, fix.store, "other", "entra", SCIM_SCOPE_WRITE,
                                      fix.now, 0, fix.pool));
    assert_int_equal(tokens_of("acme")->nelts, 1);
    identity = &APR_ARRAY_IDX(tokens_of("other"), 0, scim_identity);
    assert_string_equal(identity->tenant.name, "other");
    assert_string_equal(identity->connection, "entra");
    assert_string_equal(identity->hint, other + SCIM_TOKEN_LEN - 4);
    assert_int_equal(identity->scopes, SCIM_SCOPE_WRITE);
    assert_no_error(scim_token_revoke(&revoked, fix.store, "other", "entra", NULL, fix.pool));
    assert_int_equal(revoked, 1);
    assert_state(token, fix.now, SCIM_TOKEN_VALID);
    assert_code(scim_store_view(fix.store, tokens_in_view, &nobody, fix.pool), SCIM_E_NOT_FOUND,
                "\"nobody\"");
}

/* The tenant that a token was made for is gone, or another has its name now:
 * who has the token learns nothing of that. */
static void test_token_tenant_mismatch(void **state)
{
    static const char value[] = "\0\0\0\77\0\0\0\0\0\0\0\0\5"
                                "\1\0\0\0\0\0\0\0\0\0";
    char token[SCIM_TOKEN_LEN + 1];

    new_token(token, "entra");
    poke("tacme", value, sizeof(value) - 1, true);
    assert_state(token, fix.now, SCIM_TOKEN_UNKNOWN);
    assert_int_equal(tokens_of("acme")->nelts, 0);
    poke("tacme", NULL, 0, false);
    assert_state(token, fix.now, SCIM_TOKEN_UNKNOWN);
}

static scim_kv_rc damage_token(scim_kv_txn *txn, void *baton)
{
    scim_slice key, value;
    unsigned char copy[200];
    scim_kv_rc rc = scim_kv_seek(scim_kv_cursor_open(txn), (scim_slice){"k", 1}, &key, &value);

    if (rc == SCIM_KV_OK) {
        memcpy(copy, value.data, value.len);
        copy[8 + 28] ^= 2; /* its scopes */
        rc = scim_kv_put(txn, key, (scim_slice){copy, value.len}, false);
    }
    return rc;
}

static void test_token_damaged(void **state)
{
    char token[SCIM_TOKEN_LEN + 1];
    asking a = {token, fix.now, SCIM_TOKEN_VALID, {.connection = NULL}};

    assert_no_error(scim_token_create(token, fix.store, "acme", "entra", SCIM_SCOPE_READ,
                                      fix.now, 0, fix.pool));
    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), damage_token, NULL), SCIM_KV_OK);
    assert_code(scim_store_view(fix.store, ask_in_view, &a, fix.pool), SCIM_E_INTERNAL, NULL);
    assert_int_not_equal(a.state, SCIM_TOKEN_VALID);
}

/* Secrets */

static bool holds(const void *data, apr_size_t len, const char *text, apr_size_t text_len)
{
    return memmem(data, len, text, text_len) != NULL;
}

static bool store_holds(const char *text, apr_size_t len)
{
    apr_array_header_t *rows = dump(fix.pool);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        if (holds(r->key.data, r->key.len, text, len) ||
            holds(r->value.data, r->value.len, text, len)) {
            return true;
        }
    }
    return false;
}

/* What is written is in the file too, pages that are free again included. */
static bool file_holds(const char *text, apr_size_t len)
{
    FILE *file = fopen(apr_pstrcat(fix.pool, fix.directory, "/data.mdb", NULL), "rb");
    char *content = apr_palloc(fix.pool, 16 * 1024 * 1024);
    apr_size_t size;

    if (!file) {
        return false;
    }
    size = fread(content, 1, 16 * 1024 * 1024, file);
    fclose(file);
    return holds(content, size, text, len);
}

static void test_no_secrets(void **state)
{
    static const char secret[] = "correct-horse-battery";
    char token[SCIM_TOKEN_LEN + 1];
    scim_change change;
    int i;

    new_token(token, "entra");
    assert_no_error(
        post(&change, "User", "{'userName':'anna','password':'correct-horse-battery'}"));
    assert_no_error(put(&change, "User", &change.record.id,
                        "{'userName':'anna2','password':'correct-horse-battery'}"));
    assert_no_error(
        patch(&change, "User", &change.record.id,
              "{'op':'replace','path':'password','value':'correct-horse-battery'}"));
    assert_true(store_holds("anna2", 5));
    assert_int_equal(file_holds("anna2", 5), on("lmdb"));
    assert_false(store_holds(secret, strlen(secret)) || file_holds(secret, strlen(secret)));
    for (i = 0; i + 8 <= SCIM_TOKEN_LEN; i++) {
        assert_false(store_holds(token + i, 8));
    }
    assert_false(file_holds(token + 6, 43));
    invariants();
}

/* An update in which a write fails leaves nothing behind. */

static const scim_error *make_tenant(int n)
{
    scim_tenant tenant;

    return scim_tenant_create(&tenant, fix.store, fmt("t%d", n), fix.now, fix.pool);
}

static const scim_error *make_token(int n)
{
    char token[SCIM_TOKEN_LEN + 1];

    return scim_token_create(token, fix.store, "acme", "entra", 3, fix.now, 0, fix.pool);
}

static const scim_error *change_policy(int n)
{
    scim_policy policy = {.unique_group_names = false};
    apr_array_header_t *changed;

    return set_policy_of(&changed, "acme", &policy);
}

static const scim_error *change_default(int n)
{
    scim_policy policy = {.unique_group_names = false};
    apr_array_header_t *changed;

    return set_policy_of(&changed, NULL, &policy);
}

static const scim_error *revoke_tokens(int n)
{
    int revoked;

    return scim_token_revoke(&revoked, fix.store, "acme", "entra", NULL, fix.pool);
}

static void test_atomic(void **state)
{
    static const scim_error *(*const acts[])(int) = {
        make_tenant, make_token, make_token, change_policy, change_default, revoke_tokens};
    size_t act;
    int n;

    for (act = 0; act < sizeof(acts) / sizeof(acts[0]); act++) {
        for (n = 1;; n++) {
            apr_array_header_t *before = dump(fix.pool);
            const scim_error *err;

            scim_kv_memory_fail(scim_store_kv(fix.store), n);
            err = acts[act](n);
            scim_kv_memory_fail(scim_store_kv(fix.store), 0);
            invariants();
            if (!err) {
                break;
            }
            assert_code(err, SCIM_E_INTERNAL, NULL);
            assert_true(same_dump(before, dump(fix.pool)));
            assert_true(n < 20);
        }
        assert_true(n > 1);
    }
    assert_int_equal(tokens_of("acme")->nelts, 0);
}

int main(void)
{
    static const store_test table[] = {
        {"a new store has format, Unicode version and an instance", test_create, EACH},
        {"numbers of types and indexes are those of format 1", test_numbers, EACH},
        {"a store is found again as it was left", test_reopen, KEPT},
        {"new types and indexes get new numbers", test_more_types, KEPT},
        {"another format is refused", test_refuse_format, KEPT},
        {"another version of Unicode is refused before anything is written",
         test_refuse_unicode, KEPT},
        {"a damaged format is refused", test_refuse_damaged, KEPT},
        {"what is no store of ours is refused", test_refuse_foreign, KEPT},
        {"numbers that have come to their end are refused", test_refuse_bad_numbers, KEPT},
        {"no store is no store", test_no_store, LMDB},
        {"a store that is only read answers and takes nothing", test_read_only, KEPT},
        {"every update looks at the format", test_format_changes, EACH},
        {"several may make one store", test_create_together, KEPT},
        {"results of the engine as errors", test_errors, MEMORY},
        {"views nest", test_views_nest, EACH},
        {"tenants are made, found and listed", test_tenants, EACH},
        {"names of tenants", test_tenant_names, EACH},
        {"a policy is written where it differs", test_policy, EACH},
        {"C-056 C-058 tenants begin with the default policy", test_default_policy, EACH},
        {"a tenant's row as another version may write it", test_tenant_row, EACH},
        {"numbers of tenants are never given twice", test_tenant_numbers_end, EACH},
        {"C-312 C-061 C-318 tenants are apart", test_tenants_apart, EACH},
        {"C-314 the form of a token", test_token_form, EACH},
        {"C-314 C-015 a token is found until it expires", test_token_find, EACH},
        {"tokens that cannot be made or revoked", test_token_refused, EACH},
        {"C-314 tokens are revoked by connection, hint and themselves", test_token_revoke,
         EACH},
        {"tokens are listed by tenant", test_token_list, EACH},
        {"C-313 a token of a tenant that is no more is unknown", test_token_tenant_mismatch,
         EACH},
        {"an altered token is an error", test_token_damaged, EACH},
        {"C-050 C-311 C-314 no password and no token in the store", test_no_secrets, EACH},
        {"an administrator's act is whole or not at all", test_atomic, MEMORY},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
