/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the service share: a store for each test, in memory, or where
 * there is a server of it in PostgreSQL; calls in, replies out.
 *
 * Every reply that any test gets is checked for what must hold of all of them:
 * see check_reply().
 */
#ifndef SERVICE_FIXTURE_H
#define SERVICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "pgsql_fixture.h"
#include "scim/json.h"
#include "scim/service.h"

#include "../../mod_scim/service/handler.h"

#define BASE "https://scim.example.org/scim/v2"
#define NOBODY "0197a1b2-c3d4-7e5f-8a6b-0123456789ab"
#define SCHEMAS_USER "\"schemas\":[\"" SCIM_URN_USER "\"]"
#define SCHEMAS_GROUP "\"schemas\":[\"" SCIM_URN_GROUP "\"]"
#define PATCH(operations) \
    "{\"schemas\":[\"" SCIM_URN_PATCH "\"],\"Operations\":[" operations "]}"

static const scim_registry *registry;

/* Renewed for each test. */
static apr_pool_t *pool;
static scim_store *store;
static scim_wire wire;
static scim_identity identity;
static apr_time_t now;

static inline void open_tenant(scim_tenant *tenant, const char *name)
{
    assert_null(scim_tenant_create(tenant, store, name, now, pool));
}

static inline void set_defaults(void)
{
    wire = (scim_wire){.lenient = true,
                       .default_page = 100,
                       .max_page = 1000,
                       .cursor_timeout = apr_time_from_sec(3600),
                       .bulk_operations = 500,
                       .bulk_bytes = 1 << 20};
    identity =
        (scim_identity){.connection = "entra", .scopes = SCIM_SCOPE_READ | SCIM_SCOPE_WRITE};
}

static inline int begin_at(const char *(*place)(apr_pool_t *))
{
    scim_store_options options = {.kv = {.create = true}, .registry = registry};

    apr_pool_create(&pool, NULL);
    assert_null(scim_store_open(&store, place ? place(pool) : "memory:", &options, pool));
    now = apr_time_from_sec(1800000000);
    set_defaults();
    open_tenant(&identity.tenant, "acme");
    return 0;
}

static inline int begin(void **state)
{
    return begin_at(pgsql_server() ? pgsql_make : NULL);
}

/* For what is done to the engine in memory alone. */
static inline int begin_in_memory(void **state)
{
    return begin_at(NULL);
}

static inline int end(void **state)
{
    apr_pool_destroy(pool);
    pgsql_drop();
    return 0;
}

/* Asking */

static inline scim_call call_of(scim_method method, const char *url, const char *body)
{
    const char *query = strchr(url, '?');
    scim_call call = {.method = method,
                      .body = body,
                      .body_len = body ? strlen(body) : 0,
                      .base_url = BASE,
                      .identity = &identity,
                      .wire = &wire,
                      .store = store,
                      .registry = registry,
                      .now = now += apr_time_from_sec(1)};

    if (query) {
        call.query = query + 1;
        url = apr_pstrmemdup(pool, url, (apr_size_t)(query - url));
    }
    call.target = scim_route_find(method, url, registry, pool);
    return call;
}

static inline const json_t *json_of(const scim_reply *reply)
{
    return scim_json_read_own(reply->body, reply->body_len, pool);
}

static inline void check_no_null(const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;

    assert_false(json_is_null(value));
    json_object_foreach ((json_t *)value, key, member) {
        check_no_null(member);
    }
    json_array_foreach ((json_t *)value, i, member) {
        check_no_null(member);
    }
}

static inline void check_error(const scim_reply *reply, const json_t *body)
{
    const char *type = scim_json_string(body, "scimType");

    assert_non_null(reply->error);
    assert_string_equal(json_string_value(json_array_get(json_object_get(body, "schemas"), 0)),
                        SCIM_URN_ERROR);
    assert_int_equal(atoi(scim_json_string(body, "status")), reply->status);
    assert_true(*scim_json_string(body, "detail"));
    if (type) {
        assert_true(reply->status == 400 || reply->status == 409 || reply->status == 403);
    }
    assert_true((reply->status == 405) == (reply->allow != NULL));
    assert_true((reply->status == 503) == (reply->retry_after > 0));
}

static inline void check_resource(const scim_reply *reply, const json_t *body)
{
    const json_t *meta = json_object_get(body, "meta");

    assert_non_null(json_object_get(body, "schemas"));
    assert_string_equal(scim_json_string(body, "id"), reply->id);
    assert_string_equal(reply->content_location, reply->location);
    assert_null(json_object_get(body, "password"));
    if (meta && json_object_get(meta, "version")) {
        assert_string_equal(scim_json_string(meta, "location"), reply->location);
        assert_string_equal(scim_json_string(meta, "version"), reply->etag);
    }
}

static bool by_cursor; /* the call at hand asks for a cursor */

static inline void check_list(const scim_reply *reply, const json_t *body)
{
    const json_t *resources = json_object_get(body, "Resources");

    assert_true(json_is_array(resources));
    assert_int_equal(json_is_integer(json_object_get(body, "startIndex")), !by_cursor);
    assert_true(by_cursor || json_is_integer(json_object_get(body, "totalResults")));
    assert_true(by_cursor || !json_object_get(body, "nextCursor"));
    assert_null(json_object_get(body, "previousCursor"));
    assert_int_equal(json_integer_value(json_object_get(body, "itemsPerPage")),
                     json_array_size(resources));
    assert_int_equal(reply->count, json_array_size(resources));
}

/* What holds of every reply: C-001, C-008, C-028, C-065, C-113, C-220, C-281. */
static inline void check_reply(const scim_reply *reply)
{
    const json_t *body;

    assert_int_equal(reply->body != NULL, reply->content_type != NULL);
    if (!reply->body) {
        assert_true(reply->status == 204 || reply->status == 304);
        return;
    }
    body = json_of(reply);
    assert_non_null(body);
    assert_int_equal(strlen(reply->body), reply->body_len);
    check_no_null(body);
    if (reply->status >= 400) {
        check_error(reply, body);
        return;
    }
    assert_null(reply->error);
    if (json_object_get(body, "Resources")) {
        check_list(reply, body);
    } else if (reply->location) {
        check_resource(reply, body);
    }
}

/* What holds of every event, and of what a request tells of its changes. */
static inline void check_events(const scim_reply *reply, const scim_call *call)
{
    int i;

    assert_true(!reply->events || reply->status < 400 || reply->status >= 500);
    assert_true(!reply->events ||
                (call->method & (SCIM_POST | SCIM_PUT | SCIM_PATCH | SCIM_DELETE)));
    assert_true(!reply->events || reply->events->nelts);
    for (i = 0; reply->events && i < reply->events->nelts; i++) {
        const scim_event *event = &APR_ARRAY_IDX(reply->events, i, scim_event);

        assert_non_null(event->type);
        assert_true(strchr(event->op, '.') > event->op);
        assert_int_equal(event->version == 0, event->kind == SCIM_EVENT_DELETE);
        assert_true(event->kind == SCIM_EVENT_DELETE || event->names->nelts > 0);
    }
    if (reply->status == 201) {
        assert_non_null(reply->events);
    }
    if (reply->changes) {
        const scim_event *event = &APR_ARRAY_IDX(reply->events, 0, scim_event);
        char id[SCIM_ID_TEXT + 1];

        assert_string_equal(apr_array_pstrcat(pool, event->names, ','), reply->changes);
        assert_string_equal(scim_id_format(&event->id, id), reply->id);
        assert_string_equal(event->op, call->target.op);
    }
}

/* The events of a reply, one in a line: "users.patch <id> title,nickName"; names
 * are - for a deletion, "for <id>" behind them is the cause. */
static inline const char *events_of(scim_reply reply)
{
    const char *text = "";
    int i;

    for (i = 0; reply.events && i < reply.events->nelts; i++) {
        const scim_event *event = &APR_ARRAY_IDX(reply.events, i, scim_event);
        char id[SCIM_ID_TEXT + 1], cause[SCIM_ID_TEXT + 1];

        text = apr_psprintf(pool, "%s%s %s %s%s%s\n", text, event->op,
                            scim_id_format(&event->id, id),
                            event->names ? apr_array_pstrcat(pool, event->names, ',') : "-",
                            event->cause ? " for " : "",
                            event->cause ? scim_id_format(event->cause, cause) : "");
    }
    return text;
}

static inline scim_reply ask(const scim_call *call)
{
    scim_reply reply;

    by_cursor = call->method == SCIM_GET ? call->query && strstr(call->query, "cursor")
                                         : call->body && strstr(call->body, "\"cursor\":\"");
    memset(&reply, 0xa5, sizeof(reply));
    scim_service_answer(&reply, call, pool);
    check_reply(&reply);
    check_events(&reply, call);
    return reply;
}

static inline scim_reply submit(scim_method method, const char *url, const char *body)
{
    scim_call call = call_of(method, url, body);

    return ask(&call);
}

static inline scim_reply get(const char *url)
{
    return submit(SCIM_GET, url, NULL);
}

static inline void assert_error(scim_reply reply, int status, const char *type)
{
    if (reply.status != status) {
        fail_msg("%d is not %d: %s", reply.status, status, reply.body);
    }
    assert_non_null(reply.error);
    if (type) {
        assert_non_null(reply.error->scim_type);
        assert_string_equal(reply.error->scim_type, type);
    } else {
        assert_null(reply.error->scim_type);
    }
}

static inline scim_reply assert_status(scim_reply reply, int status)
{
    if (reply.status != status) {
        fail_msg("%d is not %d: %s", reply.status, status, reply.body ? reply.body : "");
    }
    return reply;
}

static inline const char *user_body(const char *name)
{
    return apr_psprintf(pool, "{" SCHEMAS_USER ",\"userName\":\"%s\"}", name);
}

static inline const char *create(const char *url, const char *body)
{
    return assert_status(submit(SCIM_POST, url, body), 201).id;
}

static inline const char *create_user(const char *name)
{
    return create("/Users", user_body(name));
}

static inline const char *create_group(const char *name, const char *members)
{
    return create("/Groups",
                  apr_psprintf(pool,
                               "{" SCHEMAS_GROUP ",\"displayName\":\"%s\",\"members\":[%s]}",
                               name, members));
}

static inline const char *user_url(const char *id)
{
    return apr_pstrcat(pool, "/Users/", id, NULL);
}

static inline const char *group_url(const char *id)
{
    return apr_pstrcat(pool, "/Groups/", id, NULL);
}

static inline const char *member(const char *id)
{
    return apr_psprintf(pool, "{\"value\":\"%s\"}", id);
}

/* A string below the body: "name.givenName"; NULL where there is none. */
static inline const char *text_at(scim_reply reply, const char *path)
{
    const json_t *at = json_of(&reply);
    char *state, *name = apr_strtok(apr_pstrdup(pool, path), ".", &state);

    for (; name; name = apr_strtok(NULL, ".", &state)) {
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(name))
                               : json_object_get(at, name);
    }
    return json_string_value(at);
}

static inline int size_of(scim_reply reply, const char *name)
{
    return (int)json_array_size(json_object_get(json_of(&reply), name));
}

static inline json_int_t total_of(const char *url)
{
    scim_reply reply = assert_status(get(url), 200);

    return json_integer_value(json_object_get(json_of(&reply), "totalResults"));
}

/* Texts with ' for " and @U, @G, @EU, @PO for URNs. */
static inline char *quoted(const char *text)
{
    static const char *const names[][2] = {{"@EU", SCIM_URN_ENTERPRISE},
                                           {"@PO", SCIM_URN_PATCH},
                                           {"@U", SCIM_URN_USER},
                                           {"@G", SCIM_URN_GROUP}};
    char *out = apr_pstrdup(pool, text), *at;
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        while ((at = strstr(out, names[i][0]))) {
            out = apr_pstrcat(pool, apr_pstrmemdup(pool, out, (apr_size_t)(at - out)),
                              names[i][1], at + strlen(names[i][0]), NULL);
        }
    }
    for (at = out; *at; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return out;
}

/* printf as in apr_psprintf, then quoted(). */
__attribute__((format(printf, 1, 2))) static inline char *text_of(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = apr_pvsprintf(pool, format, args);
    va_end(args);
    return quoted(text);
}

/* An organisation's own type, beside User and Group. */
static const char device_schema[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:Schema'],'id':'urn:x:device',"
    "'name':'Device','attributes':["
    "{'name':'name','type':'string','multiValued':false,'required':true},"
    "{'name':'size','type':'integer','multiValued':false},"
    "{'name':'weight','type':'decimal','multiValued':false},"
    "{'name':'label','type':'string','multiValued':false,'caseExact':true},"
    "{'name':'owners','type':'complex','multiValued':true,'subAttributes':["
    "{'name':'value','type':'string','multiValued':false,'caseExact':true},"
    "{'name':'$ref','type':'reference','multiValued':false,'referenceTypes':['User']}]}]}";

static const char device_type[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],'id':'Device',"
    "'name':'Device','endpoint':'/Devices','schema':'urn:x:device'}";

/* Once, for all tests of a program. */
static inline void make_registry(bool devices)
{
    scim_document documents[2] = {{.name = "schema"}, {.name = "type", .resource_type = true}};

    apr_initialize();
    atexit(apr_terminate);
    pgsql_begin();
    apr_pool_create(&pool, NULL);
    documents[0].bytes = quoted(device_schema);
    documents[1].bytes = quoted(device_type);
    documents[0].len = strlen(documents[0].bytes);
    documents[1].len = strlen(documents[1].bytes);
    if (scim_registry_build(&registry, documents, devices ? 2 : 0, pool)) {
        abort();
    }
}

#endif
