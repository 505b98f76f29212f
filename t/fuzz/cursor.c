/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: texts that are none, and positions that nobody was ever given.  The
 * input is a text, and what is sealed: eight bytes of times, an id, a sort key.
 */
#include "scim/cursor.h"

#include "fuzz.h"

static scim_store *store;
static scim_tenant tenant;

static void open_store(void)
{
    scim_store_options options = {.kv = {.create = true}, .registry = fuzz_registry()};
    apr_pool_t *pool;
    int i;

    if (store) {
        return;
    }
    apr_pool_create(&pool, NULL);
    assert_null(scim_store_open(&store, "memory:", &options, pool));
    assert_null(scim_tenant_create(&tenant, store, "acme", 1, pool));
    for (i = 0; i < 5; i++) {
        scim_draft draft = {.type = scim_registry_type(fuzz_registry(), "User"),
                            .json = json_pack("{s:[s],s:o}", "schemas", SCIM_URN_USER,
                                              "userName", json_sprintf("user%d", i))};
        scim_change change;

        assert_null(scim_resource_create(&change, store, &tenant, &draft, true, 1, pool));
        json_decref(draft.json);
    }
}

static const scim_error *count_record(scim_view *view, const scim_record *record, void *baton)
{
    ++*(int *)baton;
    return NULL;
}

typedef struct walk {
    const scim_sort *sort;
    const scim_position *after;
} walk;

/* From anywhere, a walk goes on to what is behind it. */
static const scim_error *go_on(scim_view *view, void *baton)
{
    const walk *w = baton;
    scim_query_part part = {.type = scim_registry_type(fuzz_registry(), "User"),
                            .sort = w->sort};
    scim_query query = {
        .parts = &part, .parts_count = 1, .count = 3, .by_cursor = true, .after = w->after};
    scim_page page;
    int found = 0;

    SCIM_ERR(scim_resource_query(&page, view, &tenant, &query, count_record, &found));
    assert_in_range(found, 0, 3);
    return NULL;
}

static void check_walks(const scim_position *position, apr_pool_t *pool)
{
    static const char *const orders[] = {"", "userName", "meta.created", "active"};
    size_t i;

    for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        walk w = {.after = position};

        assert_null(scim_sort_parse(&w.sort, orders[i], i % 2 ? "descending" : NULL,
                                    scim_registry_type(fuzz_registry(), "User"), pool));
        assert_null(scim_store_view(store, go_on, &w, pool));
    }
}

static void check_sealed(const scim_cursor_scope *scope, const scim_position *position,
                         apr_time_t expires, apr_time_t now, apr_pool_t *pool)
{
    scim_position opened;
    const char *cursor;
    const scim_error *err;

    assert_null(scim_cursor_seal(&cursor, store, scope, position, expires, pool));
    err = scim_cursor_open(&opened, store, scope, cursor, now, pool);
    if (expires <= now) {
        assert_int_equal(err->code, SCIM_E_EXPIRED_CURSOR);
        return;
    }
    assert_null(err);
    assert_memory_equal(&opened.id, &position->id, sizeof(opened.id));
    assert_int_equal(opened.key.len, position->key.len);
    assert_memory_equal(opened.key.bytes, position->key.bytes, opened.key.len);
    check_walks(&opened, pool);
}

FUZZ_TARGET(cursor)
{
    scim_cursor_scope scope = {&tenant, "/Users", 3};
    const char *bytes = fuzz_bytes(data, len, scratch);
    scim_position position = {.key = {(const unsigned char *)"", 0}};
    const scim_error *err;

    open_store();
    err = scim_cursor_open(&position, store, &scope, fuzz_text(data, len, scratch), 1, scratch);
    assert_int_equal(err->code, SCIM_E_INVALID_CURSOR);
    if (len >= 2 + sizeof(position.id)) {
        memcpy(&position.id, bytes + 2, sizeof(position.id));
        position.key.bytes = (const unsigned char *)bytes + 2 + sizeof(position.id);
        position.key.len = len - 2 - sizeof(position.id);
        if (position.key.len <= SCIM_SORT_MAX + 1) {
            check_sealed(&scope, &position, (unsigned char)bytes[0], (unsigned char)bytes[1],
                         scratch);
        }
    }
}
