/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the store share: a new store for each test, on each engine
 * that it is for, and short words for what is done to it.
 *
 * In memory every function that is given to an update is run once for nothing
 * before it is run in earnest, as group commit may do.  JSON is written with '
 * for ", and @EU stands for the URN of the enterprise extension.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <apr_allocator.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "pgsql_fixture.h"
#include "scim/etag.h"
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/member.h"
#include "scim/patch.h"
#include "scim/resource.h"
#include "scim/store.h"
#include "scim/tenant.h"
#include "scim/token.h"
#include "scim/validate.h"

#define NOBODY "0197a1b2-c3d4-7e5f-8a6b-0123456789ab"

/* A vendor's type with attributes of every type, that refers to others in every
 * way that a schema allows. */
#define REFERENCE(name, many, types)                                               \
    "{'name':'" name "','type':'complex','multiValued':" many ",'subAttributes':[" \
    "{'name':'value','type':'string','multiValued':false,'caseExact':true},"       \
    "{'name':'$ref','type':'reference','multiValued':false,'referenceTypes':[" types "]}]}"

static const char thing_schema[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:Schema'],'id':'urn:x:thing',"
    "'name':'Thing','attributes':["
    "{'name':'name','type':'string','multiValued':false,'required':true},"
    "{'name':'tags','type':'string','multiValued':true},"
    "{'name':'size','type':'integer','multiValued':false},"
    "{'name':'weight','type':'decimal','multiValued':false},"
    "{'name':'born','type':'dateTime','multiValued':false},"
    "{'name':'hot','type':'boolean','multiValued':false},"
    "{'name':'seal','type':'binary','multiValued':false}," REFERENCE(
        "owner", "false",
        "'User'") "," REFERENCE("sponsor", "false",
                                "'User'") "," REFERENCE("helpers", "true",
                                                        "'User','Thing'") "]}";

static const char more_schema[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:Schema'],'id':'urn:x:more:1.0',"
    "'name':'More','attributes':[" REFERENCE("keeper", "false", "'User'") "]}";

static const char thing_type[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],'id':'Thing',"
    "'name':'Thing','endpoint':'/Things','schema':'urn:x:thing',"
    "'schemaExtensions':[{'schema':'urn:x:more:1.0','required':false}]}";

typedef struct fixture {
    apr_pool_t *pool;
    const char *engine;
    char *directory;
    const char *url;
    scim_store_options options;
    scim_store *store;
    scim_tenant tenant;
    apr_time_t now;
    bool lenient;      /* how drafts are made and stored */
    bool dangling;     /* references to nothing are no fault of the store */
    bool shared_names; /* nor are two groups of one name */
} fixture;

static fixture fix;
static apr_pool_t *root_pool; /* of what all tests share */
static const scim_registry *registry;

/* In the way of the pools of httpd, but what is freed is free at once, so that
 * a sanitizer sees who uses it then. */
static inline apr_pool_t *make_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    apr_allocator_create(&allocator);
    apr_allocator_max_free_set(allocator, 1);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    return pool;
}

static inline char *quoted(const char *text, apr_pool_t *pool)
{
    char *out = apr_pstrdup(pool, text), *at;

    for (at = out; *at; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return out;
}

static inline void make_registry(void)
{
    static const char *const sources[] = {thing_schema, more_schema, thing_type};
    scim_document documents[3];
    int i;

    apr_initialize();
    atexit(apr_terminate);
    pgsql_begin();
    apr_pool_create(&root_pool, NULL);
    for (i = 0; i < 3; i++) {
        documents[i].name = apr_psprintf(root_pool, "document %d", i);
        documents[i].resource_type = i == 2;
        documents[i].bytes = quoted(sources[i], root_pool);
        documents[i].len = strlen(documents[i].bytes);
    }
    if (scim_registry_build(&registry, documents, 3, root_pool)) {
        abort();
    }
}

static inline const scim_resource_type *type_of(const char *name)
{
    const scim_resource_type *type = scim_registry_type(registry, name);

    assert_non_null(type);
    return type;
}

static inline void assert_no_error(const scim_error *err)
{
    if (err) {
        fail_msg("%d %s: %s (%s)", err->status, err->scim_type ? err->scim_type : "",
                 err->detail, err->cause ? err->cause : "");
    }
}

static inline void assert_code(const scim_error *err, scim_error_code code, const char *part)
{
    assert_non_null(err);
    if (err->code != code || (part && !strstr(err->detail, part))) {
        fail_msg("%d %s: %s (%s)", err->status, err->scim_type ? err->scim_type : "",
                 err->detail, err->cause ? err->cause : "");
    }
}

static inline void open_store(void)
{
    assert_no_error(scim_store_open(&fix.store, fix.url, &fix.options, fix.pool));
    scim_kv_memory_rehearse(scim_store_kv(fix.store), true);
}

static inline apr_time_t tick(void)
{
    return fix.now += apr_time_from_sec(1);
}

static inline bool on(const char *engine)
{
    return !strcmp(fix.engine, engine);
}

/* A place for a store of the fixture's engine; where that has files, the directory. */
static inline const char *new_url(const char *directory)
{
    return on("pgsql")  ? pgsql_make(fix.pool)
           : on("lmdb") ? apr_pstrcat(fix.pool, "lmdb:", directory, NULL)
                        : "memory:";
}

/* Another one, and its end. */
static inline const char *other_place(const char *name)
{
    const char *directory = apr_pstrcat(fix.pool, fix.directory, "/", name, NULL);

    if (on("lmdb") && mkdir(directory, 0700)) {
        abort();
    }
    return new_url(directory);
}

static inline void remove_place(const char *name)
{
    const char *directory = apr_pstrcat(fix.pool, fix.directory, "/", name, NULL);

    unlink(apr_pstrcat(fix.pool, directory, "/data.mdb", NULL));
    unlink(apr_pstrcat(fix.pool, directory, "/lock.mdb", NULL));
    rmdir(directory);
}

static inline int begin(void **state)
{
    memset(&fix, 0, sizeof(fix));
    fix.engine = *state;
    fix.pool = make_pool();
    fix.directory = apr_pstrcat(fix.pool, getenv("SCIM_TMP") ? getenv("SCIM_TMP") : "/tmp",
                                "/scim-test-store-XXXXXX", NULL);
    if (!mkdtemp(fix.directory)) {
        return -1;
    }
    fix.url = new_url(fix.directory);
    fix.options.kv.create = true;
    fix.options.kv.size = 256 * 1024 * 1024;
    fix.options.registry = registry;
    fix.now = apr_time_from_sec(1800000000);
    open_store();
    assert_no_error(scim_tenant_create(&fix.tenant, fix.store, "acme", tick(), fix.pool));
    return 0;
}

static inline int end(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char *directory = strdup(fix.directory);
    int i;

    apr_pool_destroy(fix.pool);
    for (i = 0; i < 2; i++) {
        char path[200];

        apr_snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
    free(directory);
    pgsql_drop();
    return 0;
}

/* A test, and the engines that it is for. */
typedef struct store_test {
    const char *name;
    CMUnitTestFunction fn;
    enum {
        MEMORY = 1,
        LMDB = 2,
        PGSQL = 4,
        KEPT = LMDB | PGSQL,   /* what is there after a close */
        LOCAL = MEMORY | LMDB, /* what has a size */
        EACH = MEMORY | KEPT
    } on;
} store_test;

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static inline struct CMUnitTest on_engine(const store_test *test, const char *engine)
{
    const char *name = apr_psprintf(root_pool, "%s (%s)", test->name, engine);

    return (struct CMUnitTest){name, test->fn, begin, end, (void *)engine};
}

#define ENGINES 3

/* Fills tests, which has one of each engine for each of table; those not wanted stay
 * empty, and cmocka passes over them. */
static inline void on_engines(struct CMUnitTest *tests, const store_test *table, size_t count)
{
    static const char *const engines[] = {"memory", "lmdb", "pgsql"};
    size_t i;

    memset(tests, 0, sizeof(*tests) * ENGINES * count);
    for (i = 0; i < ENGINES * count; i++) {
        const store_test *test = &table[i / ENGINES];
        unsigned int engine = 1U << i % ENGINES;

        if ((unsigned int)test->on & engine && (engine != PGSQL || pgsql_server())) {
            tests[i] = on_engine(test, engines[i % ENGINES]);
        }
    }
}

/* Making */

static inline const char *replaced(const char *text, const char *what, const char *with,
                                   apr_pool_t *pool)
{
    const char *at = strstr(text, what);

    return at ? apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)), with,
                            replaced(at + strlen(what), what, with, pool), NULL)
              : text;
}

static inline json_t *parse(const char *text, apr_pool_t *pool)
{
    const char *json = replaced(quoted(text, pool), "@EU", SCIM_URN_ENTERPRISE, pool);
    json_t *out;
    const scim_error *err = scim_json_read(&out, json, strlen(json), pool);

    if (err) {
        print_error("%s: %s\n", json, err->detail);
        abort();
    }
    return out;
}

static inline const scim_error *make_draft(scim_draft *draft, const char *type,
                                           const char *text, const json_t *existing,
                                           apr_pool_t *pool)
{
    json_t *body = parse(text, pool);

    if (!json_object_get(body, "schemas")) {
        json_object_set_new(body, "schemas",
                            json_pack("[s]", scim_registry_type(registry, type)->schema->urn));
    }
    SCIM_ERR(scim_interop_resource(&body, body, scim_registry_type(registry, type), fix.lenient,
                                   pool));
    return scim_validate_resource(draft, body, existing, scim_registry_type(registry, type),
                                  fix.lenient, pool);
}

static inline const scim_error *post_as(scim_change *out, const scim_tenant *tenant,
                                        const char *type, const char *text, apr_time_t now,
                                        apr_pool_t *pool)
{
    scim_draft draft;

    SCIM_ERR(make_draft(&draft, type, text, NULL, pool));
    return scim_resource_create(out, fix.store, tenant, &draft, fix.lenient, now, pool);
}

static inline const scim_error *post(scim_change *out, const char *type, const char *text)
{
    return post_as(out, &fix.tenant, type, text, tick(), fix.pool);
}

typedef struct drafting {
    const char *type;
    const char *text;
} drafting;

static inline const scim_error *draft_put(scim_draft *draft, const json_t *existing,
                                          void *baton, apr_pool_t *result_pool)
{
    const drafting *d = baton;

    return make_draft(draft, d->type, d->text, existing, result_pool);
}

static inline const scim_error *draft_patch(scim_draft *draft, const json_t *existing,
                                            void *baton, apr_pool_t *result_pool)
{
    const drafting *d = baton;
    const scim_resource_type *type = scim_registry_type(registry, d->type);
    const scim_patch *patch;
    json_t *body =
        parse(apr_psprintf(result_pool, "{'schemas':['" SCIM_URN_PATCH "'],'Operations':[%s]}",
                           d->text),
              result_pool);

    SCIM_ERR(scim_interop_patch(&body, body, type, fix.lenient, result_pool));
    SCIM_ERR(scim_patch_parse(&patch, body, type, fix.lenient, result_pool));
    return scim_patch_apply(draft, patch, existing, result_pool);
}

static inline const scim_error *change_as(scim_change *out, const scim_tenant *tenant,
                                          const char *type, const scim_id *id,
                                          const char *if_match, scim_draft_fn fn,
                                          const char *text, apr_time_t now, apr_pool_t *pool)
{
    scim_precondition precondition = {.if_match = if_match};
    drafting d = {type, text};

    return scim_resource_change(out, fix.store, tenant, scim_registry_type(registry, type), id,
                                &precondition, fn, &d, fix.lenient, now, pool);
}

static inline const scim_error *put(scim_change *out, const char *type, const scim_id *id,
                                    const char *text)
{
    return change_as(out, &fix.tenant, type, id, NULL, draft_put, text, tick(), fix.pool);
}

static inline const scim_error *patch(scim_change *out, const char *type, const scim_id *id,
                                      const char *operations)
{
    return change_as(out, &fix.tenant, type, id, NULL, draft_patch, operations, tick(),
                     fix.pool);
}

static inline const scim_error *del_as(const scim_tenant *tenant, const char *type,
                                       const scim_id *id, const scim_precondition *precondition,
                                       apr_time_t now, apr_pool_t *pool)
{
    scim_deletion deletion;

    return scim_resource_delete(&deletion, fix.store, tenant, type_of(type), id, precondition,
                                now, pool);
}

static inline const scim_error *del(const char *type, const scim_id *id)
{
    return del_as(&fix.tenant, type, id, NULL, tick(), fix.pool);
}

/* Gives one tenant a policy, or those to come (NULL); the other tenants keep
 * theirs, and those to come get the usual one. */
typedef struct policy_of {
    const char *name;
    const scim_policy *policy;
} policy_of;

static inline const scim_error *policy_in_view(scim_view *view, void *baton)
{
    scim_tenant *tenant = baton;

    return scim_tenant_find(tenant, view, tenant->name);
}

static inline scim_policy say_policy(const char *name, void *baton, apr_pool_t *pool)
{
    const policy_of *p = baton;
    scim_tenant tenant = {.name = name};

    if (p->name == name || (p->name && name && !strcmp(p->name, name))) {
        return *p->policy;
    }
    if (!name) {
        return scim_policy_default();
    }
    return scim_store_view(fix.store, policy_in_view, &tenant, pool) ? scim_policy_default()
                                                                     : tenant.policy;
}

static inline const scim_error *set_policy_of(apr_array_header_t **changed, const char *name,
                                              const scim_policy *policy)
{
    policy_of p = {.name = name, .policy = policy};

    return scim_tenant_set_policies(changed, fix.store, say_policy, &p, fix.pool);
}

static inline const char *text_of(const scim_id *id)
{
    return scim_id_format(id, apr_palloc(fix.pool, SCIM_ID_TEXT + 1));
}

__attribute__((format(printf, 1, 2))) static inline const char *fmt(const char *format, ...)
{
    va_list args;
    const char *out;

    va_start(args, format);
    out = apr_pvsprintf(fix.pool, format, args);
    va_end(args);
    return out;
}

/* Reading */

typedef struct getting {
    scim_record record;
    const scim_tenant *tenant;
    const scim_resource_type *type;
    const scim_id *id;
    json_t *json;
    apr_array_header_t *edges;
} getting;

static inline const scim_error *get_in_view(scim_view *view, void *baton)
{
    getting *g = baton;

    SCIM_ERR(scim_resource_get(&g->record, view, g->tenant, g->type, g->id));
    g->json = scim_json_read_own(g->record.json, g->record.json_len, view->pool);
    g->record.display = apr_pstrmemdup(view->pool, g->record.display, g->record.display_len);
    return NULL;
}

static inline const scim_error *get(getting *out, const char *type, const scim_id *id)
{
    *out = (getting){.tenant = &fix.tenant, .type = type_of(type), .id = id};
    return scim_store_view(fix.store, get_in_view, out, fix.pool);
}

static inline const json_t *json_at(const char *type, const scim_id *id)
{
    getting g;

    assert_no_error(get(&g, type, id));
    assert_non_null(g.json);
    return g.json;
}

static inline const scim_error *push_edge(const scim_edge *edge, void *baton)
{
    apr_array_header_t *edges = baton;
    scim_edge *copy = apr_array_push(edges);

    *copy = *edge;
    copy->display = apr_pstrmemdup(edges->pool, edge->display, edge->display_len);
    return NULL;
}

static inline const scim_error *members_in_view(scim_view *view, void *baton)
{
    getting *g = baton;

    g->edges = apr_array_make(view->pool, 4, sizeof(scim_edge));
    return scim_member_each(view, g->tenant, g->id, push_edge, g->edges);
}

/* The members of a group: an array of scim_edge. */
static inline apr_array_header_t *members_of(const scim_id *group)
{
    getting g = {.tenant = &fix.tenant, .id = group};

    assert_no_error(scim_store_view(fix.store, members_in_view, &g, fix.pool));
    return g.edges;
}

static inline const scim_error *groups_in_view(scim_view *view, void *baton)
{
    getting *g = baton;
    int i;

    SCIM_ERR(scim_member_groups(&g->edges, view, g->tenant, g->id));
    for (i = 0; i < g->edges->nelts; i++) {
        scim_edge *edge = &APR_ARRAY_IDX(g->edges, i, scim_edge);

        edge->display = apr_pstrmemdup(view->pool, edge->display, edge->display_len);
    }
    return NULL;
}

static inline apr_array_header_t *groups_of(const scim_id *member)
{
    getting g = {.tenant = &fix.tenant, .id = member};

    assert_no_error(scim_store_view(fix.store, groups_in_view, &g, fix.pool));
    return g.edges;
}

/* Somebody who is faster: runs before an update begins, for so many updates */

typedef struct faster {
    scim_kv_engine engine;
    const scim_kv_engine *real;
    void (*act)(int turn, void *baton);
    void *baton;
    int turns; /* left */
    int turn;  /* taken */
} faster;

static faster others;

static inline scim_kv_rc update_after_others(scim_kv *kv, scim_kv_job *jobs, int count)
{
    if (others.turns > 0) {
        int turn = others.turn++;
        int left = others.turns - 1;

        others.turns = 0; /* what they do is done in peace */
        others.act(turn, others.baton);
        others.turns = left;
    }
    return others.real->update_all(kv, jobs, count);
}

static inline void let_others(void (*act)(int turn, void *baton), void *baton, int turns)
{
    scim_kv *kv = scim_store_kv(fix.store);

    if (kv->engine != &others.engine) {
        others.real = kv->engine;
        others.engine = *kv->engine;
        others.engine.update_all = update_after_others;
        kv->engine = &others.engine;
    }
    others.act = act;
    others.baton = baton;
    others.turns = turns;
    others.turn = 0;
}

/* All keys and values */

typedef struct row {
    scim_slice key;
    scim_slice value;
} row;

typedef struct dumping {
    apr_array_header_t *rows;
    apr_pool_t *pool;
} dumping;

static inline scim_slice kept(scim_slice bytes, apr_pool_t *pool)
{
    /* of its own size, so that a sanitizer sees who reads behind it */
    return (scim_slice){bytes.len ? apr_pmemdup(pool, bytes.data, bytes.len) : "", bytes.len};
}

static inline scim_kv_rc dump_in_view(scim_kv_txn *txn, void *baton)
{
    dumping *d = baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc;

    for (rc = scim_kv_seek(cursor, (scim_slice){"", 0}, &key, &value); rc == SCIM_KV_OK;
         rc = scim_kv_next(cursor, &key, &value)) {
        APR_ARRAY_PUSH(d->rows, row) = (row){kept(key, d->pool), kept(value, d->pool)};
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static inline apr_array_header_t *dump(apr_pool_t *pool)
{
    dumping d = {apr_array_make(pool, 100, sizeof(row)), pool};

    assert_int_equal(scim_kv_view(scim_store_kv(fix.store), dump_in_view, &d), SCIM_KV_OK);
    return d.rows;
}

static inline bool same_slice(scim_slice a, scim_slice b)
{
    return a.len == b.len && !memcmp(a.data, b.data, a.len);
}

static inline bool same_dump(const apr_array_header_t *a, const apr_array_header_t *b)
{
    int i;

    if (a->nelts != b->nelts) {
        return false;
    }
    for (i = 0; i < a->nelts; i++) {
        const row *left = &APR_ARRAY_IDX(a, i, row), *right = &APR_ARRAY_IDX(b, i, row);

        if (!same_slice(left->key, right->key) || !same_slice(left->value, right->value)) {
            return false;
        }
    }
    return true;
}

/* Alters a byte of the first value in a table ("r": records): its seal no longer
 * holds. */
static inline scim_kv_rc damage_first(scim_kv_txn *txn, void *table)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    unsigned char copy[2000];
    scim_kv_rc rc = scim_kv_seek(cursor, (scim_slice){table, 1}, &key, &value);

    if (rc == SCIM_KV_OK) {
        assert_true(value.len >= 3 && value.len <= sizeof(copy));
        memcpy(copy, value.data, value.len);
        copy[value.len - 3] ^= 1;
        rc = scim_kv_put(txn, key, (scim_slice){copy, value.len}, false);
    }
    return rc;
}

static inline void damage(const char *table)
{
    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), damage_first, (void *)table),
                     SCIM_KV_OK);
}

#endif
