/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service over a store in memory: what holds of all endpoints, and the
 * endpoints of users and groups.  Queries, Bulk and /Me have tests of their
 * own.
 */
#include "service_fixture.h"

#include "scim/etag.h"

/* The wire */

static void test_answer_type(void **state)
{
    static const struct {
        const char *accept, *type;
    } cases[] = {
        {NULL, SCIM_MEDIA_TYPE},
        {"", SCIM_MEDIA_TYPE},
        {"application/scim+json", SCIM_MEDIA_TYPE},
        {"application/scim+json; charset=utf-8", SCIM_MEDIA_TYPE},
        {"*/*", SCIM_MEDIA_TYPE},
        {"application/*;q=0.5", SCIM_MEDIA_TYPE},
        {"text/html", SCIM_MEDIA_TYPE},
        {"application/json, */*;q=0.1", SCIM_MEDIA_TYPE},
        {"application/json, application/scim+json", SCIM_MEDIA_TYPE},
        {"application/json;q=0", SCIM_MEDIA_TYPE},
        {"application/json", "application/json"},
        {"Application/JSON ; q=0.9 , text/plain", "application/json"},
        {"text/html,application/json;charset=utf-8", "application/json"},
        {"application/json,application/scim+json;q=0", "application/json"},
        {"application/json,*/*; q=0.000", "application/json"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_call good = call_of(SCIM_GET, "/Users", NULL);
        scim_call bad = call_of(SCIM_GET, "/Foo", NULL);

        good.accept = bad.accept = cases[i].accept;
        assert_string_equal(assert_status(ask(&good), 200).content_type, cases[i].type);
        assert_string_equal(assert_status(ask(&bad), 404).content_type, cases[i].type);
    }
}

static void test_body_type(void **state)
{
    static const char *const good[] = {NULL,
                                       "",
                                       "application/json",
                                       "application/json;charset=utf-8",
                                       "application/scim+json; charset=UTF-8",
                                       "Application/SCIM+JSON",
                                       " application/json "};
    static const char *const bad[] = {"text/plain", "application/xml", "application/jsonx",
                                      "application/x-www-form-urlencoded", "json"};
    apr_size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        scim_call call =
            call_of(SCIM_POST, "/Users", user_body(apr_psprintf(pool, "u%d", (int)i)));

        call.content_type = good[i];
        assert_status(ask(&call), 201);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        static const scim_method methods[] = {SCIM_POST, SCIM_PUT, SCIM_PATCH};
        int m;

        for (m = 0; m < 3; m++) {
            scim_call call =
                call_of(methods[m], m ? "/Users/" NOBODY : "/Users", user_body("x"));

            call.content_type = bad[i];
            assert_error(ask(&call), 415, NULL);
        }
    }
    assert_int_equal(total_of("/Users"), sizeof(good) / sizeof(good[0]));
}

static void test_malformed_body(void **state)
{
    static const char *const bodies[] = {
        NULL,
        "",
        "{",
        "nonsense",
        "\xef\xbb\xbf{}",
        "[]",
        "\"x\"",
        "null",
        "{} {}",
        "{\"userName\":\"\\ud800\"}",
        "{\"userName\":\"\xff\"}",
        "{" SCHEMAS_USER ",\"userName\":\"a\",\"USERNAME\":\"a\"}",
        "{" SCHEMAS_USER ",\"userName\":\"a\",\"userName\":\"a\"}"};
    const char *id = create_user("a");
    apr_size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_error(submit(SCIM_POST, "/Users", bodies[i]), 400, "invalidSyntax");
        assert_error(submit(SCIM_PUT, user_url(id), bodies[i]), 400, "invalidSyntax");
        assert_error(submit(SCIM_PATCH, user_url(id), bodies[i]), 400, "invalidSyntax");
    }
    assert_int_equal(total_of("/Users"), 1);
}

static void test_names_without_case(void **state)
{
    scim_reply reply = submit(SCIM_POST, "/Users",
                              "{\"SCHEMAS\":[\"" SCIM_URN_USER "\"],\"USERNAME\":\"a\","
                              "\"Name\":{\"GIVENNAME\":\"b\"}}");

    assert_status(reply, 201);
    assert_string_equal(text_at(reply, "userName"), "a");
    assert_string_equal(text_at(reply, "name.givenName"), "b");
}

static void test_no_such_path(void **state)
{
    scim_reply reply = get("/Foo");

    assert_error(reply, 404, NULL);
    assert_non_null(strstr(reply.error->detail, "/Groups"));
    assert_non_null(strstr(reply.error->detail, BASE));
    assert_error(get("/Users/a/b"), 404, NULL);
    assert_error(get("/users"), 404, NULL);
    assert_error(get("/v1/Users"), 404, NULL);
    assert_error(submit(SCIM_OPTIONS, "/Foo", NULL), 404, NULL);
}

static void test_wrong_method(void **state)
{
    static const struct {
        scim_method method;
        const char *path, *allow;
    } cases[] = {
        {SCIM_DELETE, "/Users", "GET, HEAD, POST, OPTIONS"},
        {SCIM_PUT, "/Groups", "GET, HEAD, POST, OPTIONS"},
        {SCIM_PATCH, "/Users", "GET, HEAD, POST, OPTIONS"},
        {SCIM_POST, "/Users/" NOBODY, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
        {SCIM_OTHER, "/Users/" NOBODY, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
        {SCIM_POST, "/ServiceProviderConfig", "GET, HEAD, OPTIONS"},
        {SCIM_DELETE, "/Schemas", "GET, HEAD, OPTIONS"},
        {SCIM_PUT, "/Schemas/x", "GET, HEAD, OPTIONS"},
        {SCIM_PATCH, "/ResourceTypes", "GET, HEAD, OPTIONS"},
        {SCIM_DELETE, "/ResourceTypes/User", "GET, HEAD, OPTIONS"},
        {SCIM_GET, "/Users/.search", "POST, OPTIONS"},
        {SCIM_GET, "/.search", "POST, OPTIONS"},
        {SCIM_GET, "/Bulk", "POST, OPTIONS"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_reply reply = submit(cases[i].method, cases[i].path, NULL);

        assert_error(reply, 405, NULL);
        assert_string_equal(reply.allow, cases[i].allow);
        assert_non_null(strstr(reply.error->detail, cases[i].allow));
    }
}

static void test_options(void **state)
{
    scim_reply reply = submit(SCIM_OPTIONS, "/Users", NULL);

    assert_status(reply, 204);
    assert_string_equal(reply.allow, "GET, HEAD, POST, OPTIONS");
}

static void test_switched_off(void **state)
{
    wire.bulk_operations = 0;
    assert_error(submit(SCIM_POST, "/Bulk", "{}"), 501, NULL);
    assert_error(submit(SCIM_POST, "/Bulk", "nonsense"), 501, NULL);
}

/* Who may */

static const struct {
    scim_method method;
    const char *url, *body;
} requests[] = {
    {SCIM_GET, "/Users?count=abc", NULL},
    {SCIM_GET, "/Users/" NOBODY, NULL},
    {SCIM_GET, "/Schemas/x", NULL},
    {SCIM_GET, "/Me", NULL},
    {SCIM_POST, "/Users", "nonsense"},
    {SCIM_PUT, "/Users/" NOBODY, "nonsense"},
    {SCIM_PATCH, "/Groups/0", "nonsense"},
    {SCIM_DELETE, "/Users/" NOBODY, NULL},
    {SCIM_POST, "/Bulk", NULL},
};

/* How all of requests are answered to a call like this one. */
static void assert_all(const scim_identity *who, int reads, int writes)
{
    apr_size_t i;

    for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        scim_call call = call_of(requests[i].method, requests[i].url, requests[i].body);
        int status = call.method == SCIM_GET ? reads : writes;

        if (status) {
            call.identity = who;
            call.content_type = "text/plain";
            assert_error(ask(&call), status, NULL);
        }
    }
}

static void test_no_identity(void **state)
{
    assert_all(NULL, 401, 401);
}

static void test_scope(void **state)
{
    identity.scopes = SCIM_SCOPE_READ;
    assert_all(&identity, 0, 403);
    assert_status(get("/Users"), 200);
    identity.scopes = SCIM_SCOPE_WRITE;
    assert_all(&identity, 403, 0);
    assert_status(submit(SCIM_POST, "/Users", user_body("a")), 201);
}

static void test_suspended(void **state)
{
    scim_reply reply;

    identity.tenant.suspended = true;
    assert_all(&identity, 403, 403);
    reply = get("/Users");
    assert_error(reply, 403, NULL);
    assert_non_null(strstr(reply.error->detail, "suspended"));
}

static void test_store_down(void **state)
{
    scim_call call = call_of(SCIM_GET, "/Users", NULL);

    call.store = NULL;
    assert_error(ask(&call), 503, NULL);
    call = call_of(SCIM_PATCH, "/Users/0", "nonsense");
    call.store = NULL;
    assert_error(ask(&call), 503, NULL);
    call = call_of(SCIM_GET, "/Schemas", NULL);
    call.store = NULL;
    assert_status(ask(&call), 200);
    call = call_of(SCIM_GET, "/ServiceProviderConfig", NULL);
    call.store = NULL;
    call.identity = NULL;
    assert_status(ask(&call), 200);
}

static void test_other_tenant(void **state)
{
    const char *id = create_user("a");
    scim_identity other = identity;

    open_tenant(&other.tenant, "globex");
    identity = other;
    assert_error(get(user_url(id)), 404, NULL);
    assert_error(submit(SCIM_PUT, user_url(id), user_body("b")), 404, NULL);
    assert_error(submit(SCIM_PATCH, user_url(id), PATCH("")), 404, NULL);
    assert_error(submit(SCIM_DELETE, user_url(id), NULL), 404, NULL);
    assert_int_equal(total_of("/Users"), 0);
    create_user("a");
}

/* Create */

static void test_create(void **state)
{
    scim_reply reply = submit(SCIM_POST, "/Users", user_body("babs@example.org"));
    const json_t *body = json_of(&reply);

    assert_status(reply, 201);
    assert_string_equal(reply.location, apr_pstrcat(pool, BASE "/Users/", reply.id, NULL));
    assert_string_equal(text_at(reply, "meta.resourceType"), "User");
    assert_string_equal(text_at(reply, "meta.created"), text_at(reply, "meta.lastModified"));
    assert_string_equal(text_at(reply, "userName"), "babs@example.org");
    assert_null(json_object_get(body, "groups"));
    assert_non_null(reply.etag);
    assert_non_null(strstr(reply.changes, "userName"));
    assert_int_equal(reply.count, -1);
    assert_string_equal(get(user_url(reply.id)).body, reply.body);
}

static void test_create_ignores_read_only(void **state)
{
    scim_reply reply = submit(
        SCIM_POST, "/Users",
        "{" SCHEMAS_USER ",\"id\":\"mine\",\"userName\":\"a\",\"groups\":[{\"value\":\"g\"}],"
        "\"meta\":{\"created\":\"2001-01-01T00:00:00Z\",\"resourceType\":\"Group\","
        "\"location\":\"x\",\"version\":\"y\"}}");

    assert_status(reply, 201);
    assert_string_not_equal(reply.id, "mine");
    assert_string_equal(text_at(reply, "meta.resourceType"), "User");
    assert_int_equal(size_of(reply, "groups"), 0);
    assert_null(strstr(text_at(reply, "meta.created"), "2001"));
}

static void test_create_conflict(void **state)
{
    scim_reply reply;

    create_user("a@example.org");
    reply = submit(SCIM_POST, "/Users", user_body("A@EXAMPLE.ORG"));
    assert_error(reply, 409, "uniqueness");
    assert_non_null(strstr(reply.error->detail, "userName"));
    create_group("Staff", "");
    assert_error(submit(SCIM_POST, "/Groups", "{" SCHEMAS_GROUP ",\"displayName\":\"staff\"}"),
                 409, "uniqueness");
}

static void test_create_refused(void **state)
{
    static const struct {
        const char *url, *body, *type;
    } cases[] = {
        {"/Users", "{" SCHEMAS_USER "}", "invalidValue"},
        {"/Users", "{" SCHEMAS_USER ",\"userName\":\"\"}", "invalidValue"},
        {"/Users", "{" SCHEMAS_USER ",\"userName\":null}", "invalidValue"},
        {"/Users", "{\"userName\":\"a\"}", "invalidSyntax"},
        {"/Users", "{" SCHEMAS_USER ",\"userName\":7}", "invalidValue"},
        {"/Users", "{" SCHEMAS_USER ",\"userName\":\"a\",\"active\":\"yes\"}", "invalidValue"},
        {"/Groups", "{" SCHEMAS_GROUP "}", "invalidValue"},
        {"/Groups",
         "{" SCHEMAS_GROUP ",\"displayName\":\"g\",\"members\":[{\"value\":\"" NOBODY "\"}]}",
         "invalidValue"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_error(submit(SCIM_POST, cases[i].url, cases[i].body), 400, cases[i].type);
    }
    assert_int_equal(total_of("/Users") + total_of("/Groups"), 0);
}

static void test_password_is_never_shown(void **state)
{
    scim_reply reply =
        submit(SCIM_POST, "/Users?attributes=password,userName",
               "{" SCHEMAS_USER ",\"userName\":\"a\",\"password\":\"t1meMa$heen\"}");

    assert_status(reply, 201);
    assert_null(strstr(reply.body, "t1meMa"));
    assert_null(strstr(get(user_url(reply.id)).body, "t1meMa"));
    assert_null(strstr(get("/Users?attributes=password").body, "t1meMa"));
}

static void test_create_projected(void **state)
{
    scim_reply reply = submit(SCIM_POST, "/Users?attributes=userName", user_body("a"));

    assert_status(reply, 201);
    assert_int_equal(json_object_size(json_of(&reply)), 3);
    assert_non_null(reply.etag);
    assert_non_null(reply.location);
}

static void test_projection_is_judged_first(void **state)
{
    assert_error(submit(SCIM_POST, "/Users?attributes=a&excludedAttributes=b", user_body("a")),
                 400, "invalidValue");
    assert_int_equal(total_of("/Users"), 0);
}

static void test_unicode_is_kept(void **state)
{
    scim_reply reply =
        submit(SCIM_POST, "/Users",
               "{" SCHEMAS_USER ",\"userName\":\"a\",\"displayName\":\"J\xc3\xb6rg \\\"x\\\" "
               "\\ud83d\\ude00\\n\"}");

    assert_string_equal(text_at(reply, "displayName"), "J\xc3\xb6rg \"x\" \xf0\x9f\x98\x80\n");
    assert_string_equal(text_at(get(user_url(reply.id)), "displayName"),
                        "J\xc3\xb6rg \"x\" \xf0\x9f\x98\x80\n");
}

/* Read */

static void test_read_unknown(void **state)
{
    static const char *const ids[] = {NOBODY, "0",  "00919288221112222",
                                      "%00",  "..", "0197A1B2-C3D4-7E5F-8A6B-0123456789AB"};
    apr_size_t i;

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_error(get(user_url(ids[i])), 404, NULL);
        assert_error(submit(SCIM_PUT, user_url(ids[i]), user_body("a")), 404, NULL);
        assert_error(submit(SCIM_PATCH, user_url(ids[i]), PATCH("")), 404, NULL);
        assert_error(submit(SCIM_DELETE, user_url(ids[i]), NULL), 404, NULL);
    }
    assert_non_null(strstr(get("/Users/0").error->detail, "\"0\""));
    assert_error(get(group_url(create_user("a"))), 404, NULL);
}

static void test_ids_are_case_exact(void **state)
{
    const char *id = create_user("a");
    char *upper = apr_pstrdup(pool, id), *at;

    for (at = upper; *at; at++) {
        *at = (char)apr_toupper(*at);
    }
    assert_status(get(user_url(id)), 200);
    assert_error(get(user_url(upper)), 404, NULL);
}

static void test_odd_ids_are_shown_safely(void **state)
{
    char *id = apr_pcalloc(pool, 1001);
    scim_reply reply;

    memset(id, 'x', 1000);
    reply = get(user_url(id));
    assert_error(reply, 404, NULL);
    assert_true(strlen(reply.error->detail) < 200);
    reply = get("/Users/\xff\n<b>\"");
    assert_error(reply, 404, NULL);
    assert_null(strchr(reply.error->detail, '\n'));
    assert_null(strchr(reply.error->detail, '\xff'));
    assert_null(reply.id);
}

static void test_read_id_in_reply(void **state)
{
    assert_string_equal(get("/Users/" NOBODY).id, NOBODY);
    assert_null(get("/Users/0").id);
}

static void test_read_projection(void **state)
{
    const char *id = create("/Users", "{" SCHEMAS_USER ",\"userName\":\"a\",\"name\":{"
                                      "\"givenName\":\"g\",\"familyName\":\"f\"},"
                                      "\"emails\":[{\"value\":\"a@b\",\"type\":\"work\"}]}");
    scim_reply reply = get(apr_pstrcat(pool, user_url(id), "?attributes=USERNAME", NULL));

    assert_int_equal(json_object_size(json_of(&reply)), 3);
    assert_string_equal(text_at(reply, "userName"), "a");
    assert_string_equal(reply.etag, get(user_url(id)).etag);

    reply = get(apr_pstrcat(pool, user_url(id), "?excludedAttributes=emails,id", NULL));
    assert_null(text_at(reply, "emails.0.value"));
    assert_string_equal(text_at(reply, "name.familyName"), "f");

    reply = get(
        apr_pstrcat(pool, user_url(id), "?attributes=emails%5Btype+eq+%22work%22%5D", NULL));
    assert_string_equal(text_at(reply, "emails.0.value"), "a@b");

    reply = get(apr_pstrcat(pool, user_url(id), "?attributes=", NULL));
    assert_string_equal(reply.body, get(user_url(id)).body);

    reply = get(apr_pstrcat(pool, user_url(id), "?attributes=unknown", NULL));
    assert_status(reply, 200);
    assert_error(
        get(apr_pstrcat(pool, user_url(id), "?attributes=a&excludedAttributes=b", NULL)), 400,
        "invalidValue");
}

static void test_read_ignores_filter(void **state)
{
    const char *id = create_user("a");

    assert_status(get(apr_pstrcat(pool, user_url(id), "?filter=nonsense&count=x", NULL)), 200);
}

/* List */

static void test_list_empty(void **state)
{
    scim_reply reply = get("/Users?filter=userName+eq+%22cf4d78e8-6d3a%22");

    assert_status(reply, 200);
    assert_string_equal(reply.body, "{\"schemas\":[\"" SCIM_URN_LIST "\"],\"totalResults\":0,"
                                    "\"startIndex\":1,\"itemsPerPage\":0,\"Resources\":[]}");
    assert_status(get("/Groups?excludedAttributes=members&filter=displayName+eq+%22x%22"), 200);
}

static void test_list_shows_what_read_shows(void **state)
{
    const char *a = create_user("a"), *b = create_user("b");
    scim_reply reply = get("/Users");

    assert_string_equal(
        reply.body,
        apr_pstrcat(pool, "{\"schemas\":[\"" SCIM_URN_LIST "\"],\"totalResults\":2,",
                    "\"startIndex\":1,\"itemsPerPage\":2,\"Resources\":[",
                    get(user_url(a)).body, ",", get(user_url(b)).body, "]}", NULL));
}

static void test_list_filter(void **state)
{
    create_user("BABS@contoso.com");
    create_user("other");
    assert_int_equal(total_of("/Users?filter=userName+eq+%22babs%40contoso.com%22"), 1);
    assert_int_equal(total_of("/Users/?filter=USERNAME%20eq%20%22babs%40contoso.com%22&"), 1);
    assert_int_equal(total_of("/Users?aadOptscim062020&filter=userName+sw+%22b%22"), 1);
    assert_error(get("/Users?filter="), 400, "invalidFilter");
    assert_error(get("/Users?filter=userName+foo+%22a%22"), 400, "invalidFilter");
    assert_error(get("/Users?count=1&count=2"), 400, "invalidValue");
    assert_error(get("/Users?startIndex=1.5"), 400, "invalidValue");
}

static void test_list_pages(void **state)
{
    scim_reply reply;
    int i;

    for (i = 0; i < 12; i++) {
        create_user(apr_psprintf(pool, "u%d", i));
    }
    reply = get("/Users?startIndex=11&count=5");
    assert_int_equal(size_of(reply, "Resources"), 2);
    assert_string_equal(text_at(reply, "Resources.0.userName"), "u10");
    assert_int_equal(size_of(get("/Users?startIndex=0&count=3"), "Resources"), 3);
    assert_int_equal(size_of(get("/Users?count=-1"), "Resources"), 0);
    assert_int_equal(total_of("/Users?count=0"), 12);
    assert_int_equal(size_of(get("/Users?startIndex=99"), "Resources"), 0);
    assert_int_equal(total_of("/Users?startIndex=99"), 12);
    wire.max_page = 4;
    assert_int_equal(size_of(get("/Users"), "Resources"), 4);
    assert_int_equal(size_of(get("/Users?count=10"), "Resources"), 4);
}

static void test_list_projection(void **state)
{
    scim_reply reply;

    create_user("a");
    create_user("b");
    reply = get("/Users?attributes=userName");
    assert_int_equal(
        json_object_size(json_array_get(json_object_get(json_of(&reply), "Resources"), 1)), 3);
    assert_string_equal(text_at(reply, "Resources.1.userName"), "b");
}

/* Replace */

static void test_replace(void **state)
{
    const char *id = create("/Users", "{" SCHEMAS_USER ",\"userName\":\"a\",\"title\":\"t\","
                                      "\"password\":\"p\"}");
    scim_reply before = get(user_url(id));
    scim_reply reply = submit(SCIM_PUT, user_url(id),
                              "{" SCHEMAS_USER ",\"id\":\"other\",\"userName\":\"a\","
                              "\"nickName\":\"n\",\"meta\":{\"created\":\"x\"}}");

    assert_status(reply, 200);
    assert_string_equal(reply.id, id);
    assert_null(text_at(reply, "title"));
    assert_string_equal(text_at(reply, "nickName"), "n");
    assert_string_equal(text_at(reply, "meta.created"), text_at(before, "meta.created"));
    assert_string_not_equal(text_at(reply, "meta.lastModified"),
                            text_at(before, "meta.lastModified"));
    assert_string_not_equal(reply.etag, before.etag);
    assert_non_null(strstr(reply.changes, "nickName"));
    assert_string_equal(get(user_url(id)).body, reply.body);
}

static void test_replace_same(void **state)
{
    const char *id = create_user("a");
    scim_reply before = get(user_url(id));
    scim_reply reply = submit(SCIM_PUT, user_url(id), user_body("a"));

    assert_status(reply, 200);
    assert_string_equal(reply.body, before.body);
    assert_null(reply.changes);
}

static void test_replace_refused(void **state)
{
    const char *id = create_user("a");

    create_user("b");
    assert_error(submit(SCIM_PUT, user_url(id), user_body("B")), 409, "uniqueness");
    assert_error(submit(SCIM_PUT, user_url(id), "{" SCHEMAS_USER "}"), 400, "invalidValue");
    assert_string_equal(text_at(get(user_url(id)), "userName"), "a");
}

static void test_replace_unknown_creates_nothing(void **state)
{
    assert_error(submit(SCIM_PUT, "/Users/" NOBODY, user_body("a")), 404, NULL);
    assert_int_equal(total_of("/Users"), 0);
}

static void test_unknown_before_body(void **state)
{
    assert_error(submit(SCIM_PATCH, "/Users/" NOBODY, "nonsense"), 404, NULL);
    assert_error(submit(SCIM_PATCH, "/Groups/" NOBODY, NULL), 404, NULL);
    assert_error(submit(SCIM_PUT, "/Users/" NOBODY, "nonsense"), 404, NULL);
    assert_error(submit(SCIM_PUT, "/Users/0", NULL), 404, NULL);
}

/* Patch */

static void test_patch_user(void **state)
{
    const char *id = create_user("a");
    scim_reply reply =
        submit(SCIM_PATCH, user_url(id),
               PATCH("{\"op\":\"Replace\",\"path\":\"active\",\"value\":\"False\"}"));

    assert_status(reply, 200);
    assert_true(json_is_false(json_object_get(json_of(&reply), "active")));
    assert_non_null(strstr(reply.changes, "active"));
    assert_string_equal(get(user_url(id)).body, reply.body);
    reply = submit(SCIM_PATCH, apr_pstrcat(pool, user_url(id), "?attributes=active", NULL),
                   PATCH("{\"op\":\"Replace\",\"path\":\"active\",\"value\":\"True\"}"));
    assert_status(reply, 200);
    assert_int_equal(json_object_size(json_of(&reply)), 3);
}

static void test_patch_group(void **state)
{
    const char *user = create_user("a"), *id = create_group("g", "");
    const char *add = apr_psprintf(
        pool, PATCH("{\"op\":\"Add\",\"path\":\"members\",\"value\":[{\"value\":\"%s\"}]}"),
        user);
    scim_reply reply = submit(SCIM_PATCH, group_url(id), add);

    assert_status(reply, 204);
    assert_string_equal(reply.id, id);
    assert_string_equal(reply.changes, "members");
    assert_string_equal(reply.etag, get(group_url(id)).etag);
    assert_int_equal(size_of(get(group_url(id)), "members"), 1);

    reply = submit(SCIM_PATCH, group_url(id), add);
    assert_status(reply, 204);
    assert_null(reply.changes);
    assert_string_equal(reply.etag, get(group_url(id)).etag);

    reply = submit(SCIM_PATCH,
                   apr_pstrcat(pool, group_url(id), "?excludedAttributes=members", NULL),
                   PATCH("{\"op\":\"replace\",\"value\":{\"displayName\":\"h\"}}"));
    assert_status(reply, 200);
    assert_string_equal(text_at(reply, "displayName"), "h");
    assert_int_equal(size_of(reply, "members"), 0);

    wire.group_representation = true;
    reply = submit(SCIM_PATCH, group_url(id), add);
    assert_status(reply, 200);
    assert_string_equal(text_at(reply, "members.0.value"), user);
}

static void test_patch_refused(void **state)
{
    static const struct {
        const char *operations, *type;
    } cases[] = {
        {PATCH("{\"op\":\"frob\",\"path\":\"title\",\"value\":\"x\"}"), "invalidSyntax"},
        {PATCH("{\"path\":\"title\",\"value\":\"x\"}"), "invalidSyntax"},
        {"{\"schemas\":[\"" SCIM_URN_PATCH "\"]}", "invalidSyntax"},
        {"{\"schemas\":[\"" SCIM_URN_PATCH "\"],\"Operations\":{}}", "invalidSyntax"},
        {PATCH("{\"op\":\"add\",\"path\":\"title\"}"), "invalidValue"},
        {PATCH("{\"op\":\"remove\"}"), "noTarget"},
        {PATCH("{\"op\":\"replace\",\"path\":\"id\",\"value\":\"x\"}"), "mutability"},
        {PATCH("{\"op\":\"add\",\"path\":\"nothing\",\"value\":\"x\"}"), "invalidPath"},
        {PATCH("{\"op\":\"add\",\"path\":\"emails[type eq]\",\"value\":\"x\"}"), "invalidPath"},
        {PATCH("{\"op\":\"remove\",\"path\":\"userName\"}"), "mutability"},
        {PATCH("{\"op\":\"add\",\"path\":\"title\",\"value\":\"x\"},"
               "{\"op\":\"add\",\"path\":\"active\",\"value\":\"yes\"}"),
         "invalidValue"},
    };
    const char *id = create_user("a");
    scim_reply before = get(user_url(id));
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_error(submit(SCIM_PATCH, user_url(id), cases[i].operations), 400, cases[i].type);
    }
    assert_string_equal(get(user_url(id)).body, before.body);
}

static void test_patch_conflict(void **state)
{
    const char *id = create_user("a");

    create_user("b");
    assert_error(submit(SCIM_PATCH, user_url(id),
                        PATCH("{\"op\":\"replace\",\"path\":\"userName\",\"value\":\"B\"}")),
                 409, "uniqueness");
}

static void test_patch_nothing(void **state)
{
    const char *id = create_user("a");
    scim_reply before = get(user_url(id));
    scim_call call =
        call_of(SCIM_PATCH, user_url(id),
                PATCH("{\"op\":\"replace\",\"path\":\"userName\",\"value\":\"a\"}"));
    scim_reply reply;

    call.if_match = before.etag;
    reply = ask(&call);
    assert_status(reply, 200);
    assert_string_equal(reply.body, before.body);
    assert_status(submit(SCIM_PATCH, user_url(id), PATCH("")), 200);
    assert_string_equal(get(user_url(id)).etag, before.etag);
}

static void test_patch_schemas(void **state)
{
    const char *id = create("/Users", text_of("{'schemas':['@U','@EU'],'userName':'a',"
                                              "'@EU':{'department':'d'}}"));
    const char *remove = text_of("{'schemas':['@PO'],'Operations':[{'op':'remove','path':"
                                 "'schemas[value eq \\'@EU\\']'}]}");
    scim_reply reply = submit(SCIM_PATCH, user_url(id), remove);

    assert_status(reply, 200);
    assert_int_equal(size_of(reply, "schemas"), 1);
    assert_null(json_object_get(json_of(&reply), SCIM_URN_ENTERPRISE));
    assert_non_null(strstr(reply.changes, "department"));
    /* what is not there is removed without a change */
    assert_string_equal(submit(SCIM_PATCH, user_url(id), remove).etag, reply.etag);
    assert_error(submit(SCIM_PATCH, user_url(id),
                        text_of("{'schemas':['@PO'],'Operations':[{'op':'remove','path':"
                                "'schemas','value':['@U']}]}")),
                 400, "mutability");
}

/* Delete, members, groups */

static void test_delete(void **state)
{
    const char *id = create_user("a");
    scim_reply reply = submit(SCIM_DELETE, user_url(id), NULL);

    assert_status(reply, 204);
    assert_string_equal(reply.id, id);
    assert_error(get(user_url(id)), 404, NULL);
    assert_error(submit(SCIM_PUT, user_url(id), user_body("a")), 404, NULL);
    assert_error(submit(SCIM_PATCH, user_url(id), PATCH("")), 404, NULL);
    assert_error(submit(SCIM_DELETE, user_url(id), NULL), 404, NULL);
    assert_int_equal(total_of("/Users"), 0);
    assert_string_not_equal(create_user("a"), id);
}

static void test_members(void **state)
{
    const char *a = create_user("a"), *b = create_user("b");
    const char *id = create_group(
        "g",
        apr_psprintf(pool, "{\"value\":\"%s\",\"display\":\"A \\\"x\\\"\"},%s", a, member(b)));
    scim_reply reply = get(group_url(id));

    assert_int_equal(size_of(reply, "members"), 2);
    assert_string_equal(text_at(reply, "members.0.value"), a);
    assert_string_equal(text_at(reply, "members.0.$ref"),
                        apr_pstrcat(pool, BASE "/Users/", a, NULL));
    assert_string_equal(text_at(reply, "members.0.type"), "User");
    assert_string_equal(text_at(reply, "members.0.display"), "A \"x\"");
    assert_string_equal(text_at(reply, "members.1.value"), b);
    assert_null(text_at(reply, "members.1.display"));
    reply = get(apr_pstrcat(pool, group_url(id), "?excludedAttributes=members", NULL));
    assert_int_equal(size_of(reply, "members"), 0);
    reply = get(apr_pstrcat(pool, group_url(id), "?attributes=members.value", NULL));
    assert_string_equal(text_at(reply, "members.1.value"), b);
    assert_null(text_at(reply, "members.1.$ref"));
}

static void test_members_are_immutable(void **state)
{
    const char *a = create_user("a"), *b = create_user("b");
    const char *id = create_group("g", member(a));
    struct {
        const char *more, *type;
    } cases[] = {
        {"'type':'Group'", "mutability"},
        {apr_psprintf(pool, "'$ref':'" BASE "/Users/%s'", b), "mutability"},
        {apr_psprintf(pool, "'$ref':'../Users/%s'", b), "mutability"},
        {apr_psprintf(pool, "'$ref':'../Groups/%s'", a), "mutability"},
        {apr_psprintf(pool, "'$ref':'" BASE "/Users/%s'", a), NULL},
        {apr_psprintf(pool, "'$ref':'../Users/%s'", a), NULL},
        {apr_psprintf(pool, "'$ref':'Users/%s'", a), NULL},
        {"'$ref':'https://idp.example/Users/anna'", NULL},
        {"'$ref':'x'", NULL},
        {"'$ref':null", NULL},
        {"'type':'user'", NULL},
    };
    scim_reply before = get(group_url(id));
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_reply reply =
            submit(SCIM_PUT, group_url(id),
                   text_of("{'schemas':['@G'],'displayName':'g','members':[{'value':'%s',%s}]}",
                           a, cases[i].more));

        if (cases[i].type) {
            assert_error(reply, 400, cases[i].type);
        } else {
            assert_string_equal(reply.body, before.body);
        }
    }
    assert_string_equal(get(group_url(id)).body, before.body);
}

static void test_created_members_are_shown(void **state)
{
    const char *user = create_user("a");
    scim_reply reply = submit(SCIM_POST, "/Groups",
                              apr_psprintf(pool,
                                           "{" SCHEMAS_GROUP ",\"displayName\":\"g\","
                                           "\"members\":[%s]}",
                                           member(user)));

    assert_status(reply, 201);
    assert_string_equal(text_at(reply, "members.0.value"), user);
    assert_string_equal(get(group_url(reply.id)).body, reply.body);
}

static void test_dangling_member(void **state)
{
    scim_reply reply;

    identity.tenant.policy.dangling_references = true;
    reply = get(group_url(create_group("g", member(NOBODY))));
    assert_string_equal(text_at(reply, "members.0.value"), NOBODY);
    assert_null(text_at(reply, "members.0.$ref"));
    assert_null(text_at(reply, "members.0.type"));
}

static void test_groups_of_user(void **state)
{
    const char *user = create_user("a");
    const char *inner = create_group("inner", member(user));
    const char *outer = create_group("outer", member(inner));
    scim_reply reply = get(user_url(user));

    assert_int_equal(size_of(reply, "groups"), 2);
    assert_string_equal(text_at(reply, "groups.0.value"), inner);
    assert_string_equal(text_at(reply, "groups.0.$ref"),
                        apr_pstrcat(pool, BASE "/Groups/", inner, NULL));
    assert_string_equal(text_at(reply, "groups.0.display"), "inner");
    assert_string_equal(text_at(reply, "groups.0.type"), "direct");
    assert_string_equal(text_at(reply, "groups.1.value"), outer);
    assert_string_equal(text_at(reply, "groups.1.type"), "indirect");
    assert_string_equal(text_at(get(group_url(outer)), "members.0.type"), "Group");

    reply = submit(SCIM_PUT, user_url(user), user_body("b"));
    assert_int_equal(size_of(reply, "groups"), 2);
}

static void test_delete_user_leaves_groups(void **state)
{
    const char *a = create_user("a"), *b = create_user("b");
    const char *id = create_group("g", apr_pstrcat(pool, member(a), ",", member(b), NULL));
    const char *etag = get(group_url(id)).etag;
    scim_reply reply;

    assert_status(submit(SCIM_DELETE, user_url(a), NULL), 204);
    reply = get(group_url(id));
    assert_int_equal(size_of(reply, "members"), 1);
    assert_string_equal(text_at(reply, "members.0.value"), b);
    assert_string_not_equal(reply.etag, etag);
}

static void test_delete_group(void **state)
{
    const char *user = create_user("a");
    const char *etag = get(user_url(user)).etag;
    const char *id = create_group("g", member(user));

    assert_string_equal(get(user_url(user)).etag, etag);
    assert_status(submit(SCIM_DELETE, group_url(id), NULL), 204);
    assert_int_equal(size_of(get(user_url(user)), "groups"), 0);
}

/* What a mutation shows when others write before its reply is made. */

static const scim_error *copy_record(scim_view *view, void *baton)
{
    scim_record *record = baton;
    scim_id id = record->id;

    SCIM_ERR(scim_resource_get(record, view, &identity.tenant, record->type, &id));
    record->json = apr_pstrmemdup(pool, record->json, record->json_len);
    record->display = apr_pstrmemdup(pool, record->display, record->display_len);
    return NULL;
}

static scim_change change_that_left(const char *type, const char *id)
{
    scim_change change = {.changed = true};

    change.record.type = scim_registry_type(registry, type);
    assert_true(scim_id_parse(&change.record.id, id));
    assert_null(scim_store_view(store, copy_record, &change.record, pool));
    return change;
}

static scim_reply reply_to(const scim_change *change)
{
    scim_call call = call_of(SCIM_PUT, "/Users/x", NULL);
    scim_render how = {.base_url = BASE, .registry = registry, .tenant = &identity.tenant};
    scim_reply reply = {.status = 200, .content_type = SCIM_MEDIA_TYPE, .count = -1};

    assert_null(scim_reply_change(&reply, &call, &how, change, true, pool));
    check_reply(&reply);
    return reply;
}

/* With the version of what somebody else wrote since it would overwrite that
 * unseen. */
static void test_overtaken(void **state)
{
    const char *user = create_user("a"), *group = create_group("g", member(user));
    scim_change change = change_that_left("User", user);
    scim_reply reply;

    assert_status(submit(SCIM_PUT, user_url(user), user_body("b")), 200);
    reply = reply_to(&change);
    assert_string_equal(text_at(reply, "userName"), "a");
    assert_string_equal(text_at(reply, "meta.version"), "W/\"1\"");
    assert_string_equal(text_at(reply, "groups.0.value"), group);

    assert_status(submit(SCIM_DELETE, user_url(user), NULL), 204);
    reply = reply_to(&change);
    assert_string_equal(text_at(reply, "userName"), "a");
    assert_int_equal(size_of(reply, "groups"), 0);
}

/* Its members are the present ones, its version the older of both. */
static void test_overtaken_group(void **state)
{
    const char *user = create_user("a"), *group = create_group("g", "");
    scim_change change = change_that_left("Group", group);
    const char *other =
        text_of("{'schemas':['@G'],'displayName':'h','members':[%s]}", member(user));
    scim_reply reply;

    assert_status(submit(SCIM_PUT, group_url(group), other), 200);
    reply = reply_to(&change);
    assert_string_equal(text_at(reply, "displayName"), "g");
    assert_string_equal(text_at(reply, "meta.version"), "W/\"1\"");
    assert_string_equal(text_at(reply, "members.0.value"), user);
}

/* Preconditions */

static scim_reply send_if(scim_method method, const char *url, const char *body,
                          const char *if_match)
{
    scim_call call = call_of(method, url, body);

    call.if_match = if_match;
    return ask(&call);
}

static void test_if_match(void **state)
{
    const char *id = create_user("a");
    const char *old = get(user_url(id)).etag, *list;

    assert_status(send_if(SCIM_PUT, user_url(id), user_body("b"), old), 200);
    assert_error(send_if(SCIM_PUT, user_url(id), user_body("c"), old), 412, NULL);
    assert_error(send_if(SCIM_PUT, user_url(id), "nonsense", old), 412, NULL);
    assert_error(send_if(SCIM_PATCH, user_url(id), PATCH(""), old), 412, NULL);
    assert_error(send_if(SCIM_DELETE, user_url(id), NULL, old), 412, NULL);
    assert_string_equal(text_at(get(user_url(id)), "userName"), "b");
    list = apr_pstrcat(pool, "\"x\", ", get(user_url(id)).etag, NULL);
    assert_status(send_if(SCIM_PUT, user_url(id), user_body("c"), list), 200);
    assert_error(send_if(SCIM_DELETE, "/Users/" NOBODY, NULL, "*"), 404, NULL);
    assert_status(send_if(SCIM_DELETE, user_url(id), NULL, "*"), 204);
}

static void test_if_none_match(void **state)
{
    const char *id = create_user("a");
    scim_call call = call_of(SCIM_GET, user_url(id), NULL);
    scim_reply reply = ask(&call);

    call.if_none_match = apr_pstrcat(pool, "\"x\", ", reply.etag, NULL);
    reply = ask(&call);
    assert_status(reply, 304);
    assert_string_equal(reply.etag, get(user_url(id)).etag);
    assert_null(reply.body);
    call.if_none_match = "*";
    assert_status(ask(&call), 304);
    call.if_none_match = "W/\"other\"";
    assert_status(ask(&call), 200);
}

static void test_if_none_match_on_writes(void **state)
{
    const char *id = create_user("a");
    scim_call call = call_of(SCIM_PUT, user_url(id), user_body("b"));

    call.if_none_match = "*";
    assert_error(ask(&call), 412, NULL);
    call.if_none_match = get(user_url(id)).etag;
    assert_error(ask(&call), 412, NULL);
    call.if_match = call.if_none_match;
    assert_error(ask(&call), 412, NULL);
    assert_string_equal(text_at(get(user_url(id)), "userName"), "a");
    call.if_none_match = "W/\"other\"";
    assert_status(ask(&call), 200);
    call = call_of(SCIM_DELETE, user_url(id), NULL);
    call.if_none_match = "*";
    assert_error(ask(&call), 412, NULL);
}

/* By the order of RFC 9110 section 13.2.2. */
static void test_dates(void **state)
{
    const char *id = create_user("a");
    apr_time_t made = now, before = now - apr_time_from_sec(1);
    scim_call call = call_of(SCIM_GET, user_url(id), NULL);

    call.if_modified_since = made;
    assert_status(ask(&call), 304);
    call.if_modified_since = before;
    assert_status(ask(&call), 200);
    call.if_modified_since = made;
    call.if_none_match = "W/\"other\"";
    assert_status(ask(&call), 200);
    call.if_none_match = "*";
    call.if_modified_since = before;
    assert_status(ask(&call), 304);

    call = call_of(SCIM_GET, user_url(id), NULL);
    call.if_unmodified_since = before;
    assert_error(ask(&call), 412, NULL);
    call.if_match = "*";
    assert_status(ask(&call), 200);
    call.if_match = "W/\"other\"";
    assert_error(ask(&call), 412, NULL);
    call.if_none_match = "*";
    assert_error(ask(&call), 412, NULL);

    call = call_of(SCIM_PUT, user_url(id), user_body("b"));
    call.if_unmodified_since = before;
    assert_error(ask(&call), 412, NULL);
    call.if_modified_since = made + apr_time_from_sec(9); /* for GET alone */
    call.if_unmodified_since = made;
    assert_status(ask(&call), 200);
    assert_error(ask(&call), 412, NULL);
    call.if_match = "*";
    assert_status(ask(&call), 200);
    call = call_of(SCIM_DELETE, user_url(id), NULL);
    call.if_unmodified_since = made;
    assert_error(ask(&call), 412, NULL);
    call.if_unmodified_since = now;
    assert_status(ask(&call), 204);
}

/* A group has changed when its members did. */
static void test_dates_of_groups(void **state)
{
    const char *user = create_user("a"), *id = create_group("g", "");
    scim_call call = call_of(SCIM_GET, group_url(id), NULL);

    call.if_modified_since = now - apr_time_from_sec(1); /* when it was made */
    assert_status(ask(&call), 304);
    assert_status(submit(SCIM_PATCH, group_url(id),
                         apr_psprintf(pool,
                                      PATCH("{\"op\":\"add\",\"path\":\"members\","
                                            "\"value\":[%s]}"),
                                      member(user))),
                  204);
    assert_status(ask(&call), 200);
}

static void test_required_if_match(void **state)
{
    const char *id = create_user("a"), *body = PATCH("");

    wire.require_if_match = true;
    assert_error(submit(SCIM_PUT, user_url(id), user_body("b")), 428, NULL);
    assert_error(submit(SCIM_PATCH, user_url(id), body), 428, NULL);
    assert_error(submit(SCIM_DELETE, user_url(id), NULL), 428, NULL);
    assert_error(submit(SCIM_PUT, user_url(id), "nonsense"), 428, NULL);
    assert_error(submit(SCIM_DELETE, "/Users/0", NULL), 404, NULL);
    assert_string_equal(text_at(get(user_url(id)), "userName"), "a");
    create_user("c");
    assert_status(send_if(SCIM_PUT, user_url(id), user_body("b"), get(user_url(id)).etag), 200);
    assert_error(send_if(SCIM_PATCH, user_url(id), body, "W/\"other\""), 412, NULL);
    assert_status(send_if(SCIM_DELETE, user_url(id), NULL, "*"), 204);
}

/* Discovery */

static bool supported(const json_t *config, const char *feature)
{
    const json_t *flag = json_object_get(json_object_get(config, feature), "supported");

    assert_true(json_is_boolean(flag));
    return json_is_true(flag);
}

static void test_config(void **state)
{
    scim_call call = call_of(SCIM_GET, "/ServiceProviderConfig", NULL);
    scim_reply reply;
    const json_t *config, *paging;

    call.identity = NULL;
    reply = ask(&call);
    assert_status(reply, 200);
    config = json_of(&reply);
    assert_true(supported(config, "patch"));
    assert_true(supported(config, "filter"));
    assert_true(supported(config, "etag"));
    assert_true(supported(config, "sort"));
    assert_false(supported(config, "changePassword"));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(config, "filter"), "maxResults")),
        1000);
    assert_string_equal(text_at(reply, "authenticationSchemes.0.type"), "oauthbearertoken");
    assert_string_equal(text_at(reply, "meta.resourceType"), "ServiceProviderConfig");
    assert_string_equal(text_at(reply, "meta.location"), BASE "/ServiceProviderConfig");
    assert_string_equal(reply.content_location, BASE "/ServiceProviderConfig");
    paging = json_object_get(config, "pagination");
    assert_true(json_is_true(json_object_get(paging, "index")));
    assert_true(json_is_true(json_object_get(paging, "cursor")));
    assert_string_equal(json_string_value(json_object_get(paging, "defaultPaginationMethod")),
                        "index");
    assert_int_equal(json_integer_value(json_object_get(paging, "defaultPageSize")), 100);
    assert_int_equal(json_integer_value(json_object_get(paging, "maxPageSize")), 1000);
    assert_int_equal(json_integer_value(json_object_get(paging, "cursorTimeout")), 3600);
}

static void assert_bulk(bool is_supported, int operations, int bytes)
{
    scim_reply reply = get("/ServiceProviderConfig");
    const json_t *bulk = json_object_get(json_of(&reply), "bulk");

    assert_int_equal(supported(json_of(&reply), "bulk"), is_supported);
    assert_int_equal(json_integer_value(json_object_get(bulk, "maxOperations")), operations);
    assert_int_equal(json_integer_value(json_object_get(bulk, "maxPayloadSize")), bytes);
}

static void test_config_of_bulk(void **state)
{
    assert_bulk(true, 500, 1 << 20);
    wire.bulk_operations = 0;
    assert_bulk(false, 0, 0);
}

/* Every name is an attribute of the schema, every required attribute is there. */
static void assert_conforms(const json_t *object, const scim_attribute *attributes, int count)
{
    const char *name;
    json_t *value;
    int i, known = 0;

    for (i = 0; i < count; i++) {
        const scim_attribute *a = &attributes[i];
        json_t *element;
        size_t n;

        value = json_object_get(object, a->name);
        if (a->required && !value) {
            fail_msg("%s is missing", a->path);
        }
        known += value != NULL;
        if (value && a->subs_count && a->multi_valued) {
            json_array_foreach (value, n, element) {
                assert_conforms(element, a->subs, a->subs_count);
            }
        } else if (value && a->subs_count) {
            assert_conforms(value, a->subs, a->subs_count);
        }
    }
    json_object_foreach ((json_t *)object, name, value) {
        known += !strcmp(name, "schemas") || !strcmp(name, "id") || !strcmp(name, "meta");
    }
    /* "id" may be declared by the schema itself and is then counted twice */
    assert_true(known >= (int)json_object_size(object));
}

static void test_config_conforms(void **state)
{
    const scim_schema *schema = scim_registry_schema(
        registry, "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig");
    scim_reply reply = get("/ServiceProviderConfig");

    assert_non_null(schema);
    assert_conforms(json_of(&reply), schema->attributes, schema->attributes_count);
}

static void test_types(void **state)
{
    scim_reply reply = get("/ResourceTypes?count=0&attributes=name");

    assert_status(reply, 200);
    assert_int_equal(size_of(reply, "Resources"), registry->types_count);
    assert_string_equal(text_at(reply, "Resources.0.endpoint"), "/Users");
    reply = get("/ResourceTypes/User");
    assert_string_equal(text_at(reply, "id"), "User");
    assert_string_equal(text_at(reply, "schema"), SCIM_URN_USER);
    assert_string_equal(text_at(reply, "schemaExtensions.0.schema"), SCIM_URN_ENTERPRISE);
    assert_string_equal(text_at(reply, "meta.resourceType"), "ResourceType");
    assert_string_equal(text_at(reply, "meta.location"), BASE "/ResourceTypes/User");
    assert_error(get("/ResourceTypes/Foo"), 404, NULL);
}

static void test_schemas(void **state)
{
    scim_reply reply = get("/Schemas");
    int i;

    assert_status(reply, 200);
    assert_int_equal(size_of(reply, "Resources"), registry->schemas_count);
    for (i = 0; i < registry->schemas_count; i++) {
        const char *urn = registry->schemas[i]->urn;

        reply = get(apr_pstrcat(pool, "/Schemas/", urn, NULL));
        assert_status(reply, 200);
        assert_string_equal(text_at(reply, "id"), urn);
        assert_string_equal(text_at(reply, "meta.resourceType"), "Schema");
        assert_string_equal(text_at(reply, "meta.location"),
                            apr_pstrcat(pool, BASE "/Schemas/", urn, NULL));
    }
    assert_status(get("/Schemas/URN:IETF:params:scim:schemas:core:2.0:user"), 200);
    assert_error(get("/Schemas/urn:x"), 404, NULL);
}

static void assert_schema_served(const char *urn)
{
    assert_status(get(apr_pstrcat(pool, "/Schemas/", urn, NULL)), 200);
}

static void test_types_and_schemas_agree(void **state)
{
    scim_reply types = get("/ResourceTypes");
    size_t i, k;
    json_t *type, *extension;

    json_array_foreach (json_object_get(json_of(&types), "Resources"), i, type) {
        assert_schema_served(scim_json_string(type, "schema"));
        json_array_foreach (json_object_get(type, "schemaExtensions"), k, extension) {
            assert_schema_served(scim_json_string(extension, "schema"));
        }
    }
    assert_error(get("/Schemas/" SCIM_URN_PATCH), 404, NULL);
    assert_error(get("/Schemas/" SCIM_URN_LIST), 404, NULL);
}

static void test_discovery_filter(void **state)
{
    static const char *const paths[] = {"/ServiceProviderConfig", "/ResourceTypes", "/Schemas",
                                        "/ResourceTypes/User", ("/Schemas/" SCIM_URN_USER)};
    apr_size_t i;

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_error(get(apr_pstrcat(pool, paths[i], "?filter=name+pr", NULL)), 403, NULL);
        assert_status(get(apr_pstrcat(pool, paths[i], "?count=x&foo=bar", NULL)), 200);
    }
}

/* Events */

static void test_events(void **state)
{
    const char *id, *group;
    scim_reply reply =
        submit(SCIM_POST, "/Users",
               quoted("{'schemas':['@U','@EU'],'userName':'a','name':{'givenName':'b'},"
                      "'@EU':{'department':'c'}}"));

    id = reply.id;
    assert_string_equal(events_of(reply),
                        text_of("users.create %s userName,name,@EU:department\n", id));
    reply = submit(SCIM_PUT, user_url(id), quoted("{'schemas':['@U'],'userName':'a'}"));
    assert_string_equal(events_of(reply),
                        text_of("users.replace %s name,@EU:department\n", id));
    assert_int_equal(APR_ARRAY_IDX(reply.events, 0, scim_event).kind, SCIM_EVENT_CHANGE);
    reply = submit(SCIM_PATCH, user_url(id),
                   PATCH("{\"op\":\"add\",\"path\":\"title\",\"value\":\"x\"}"));
    assert_string_equal(events_of(reply), text_of("users.patch %s title\n", id));
    assert_string_equal(
        scim_etag_make(APR_ARRAY_IDX(reply.events, 0, scim_event).version, pool), reply.etag);
    group = create_group("g", "");
    reply = submit(SCIM_PATCH, group_url(group),
                   text_of("{'schemas':['@PO'],'Operations':[{'op':'add','path':'members',"
                           "'value':[%s]}]}",
                           member(id)));
    assert_int_equal(reply.status, 204);
    assert_string_equal(events_of(reply), text_of("groups.patch %s members\n", group));
    reply = submit(SCIM_DELETE, user_url(id), NULL);
    assert_string_equal(events_of(reply), text_of("users.delete %s -\n", id));
    reply = submit(SCIM_DELETE, group_url(group), NULL);
    assert_string_equal(events_of(reply), text_of("groups.delete %s -\n", group));
}

static void test_no_events(void **state)
{
    const char *id = create_user("a"), *other = create_user("b");
    const char *same = PATCH("{\"op\":\"replace\",\"path\":\"userName\",\"value\":\"a\"}");
    scim_call call = call_of(SCIM_PUT, user_url(id), user_body("c"));

    call.if_match = "W/\"0\"";
    assert_null(assert_status(ask(&call), 412).events);
    assert_null(assert_status(submit(SCIM_PATCH, user_url(id), same), 200).events);
    assert_null(assert_status(submit(SCIM_PUT, user_url(id), user_body("a")), 200).events);
    assert_null(assert_status(submit(SCIM_PUT, user_url(other), user_body("a")), 409).events);
    assert_null(assert_status(submit(SCIM_POST, "/Users", user_body("a")), 409).events);
    assert_null(assert_status(submit(SCIM_DELETE, user_url(NOBODY), NULL), 404).events);
    assert_null(assert_status(get(user_url(id)), 200).events);
}

static void test_events_of_failures(void **state)
{
    scim_reply reply;
    int n = 0;

    do {
        assert_int_equal(total_of("/Users"), 0);
        scim_kv_memory_fail(scim_store_kv(store), ++n);
        reply = submit(SCIM_POST, "/Users", user_body("a"));
        assert_int_equal(reply.events != NULL, reply.status == 201);
    } while (reply.status == 500);
    assert_true(n > 2);
    assert_int_equal(total_of("/Users"), 1);
}

static const scim_error *create_and_fail(scim_reply *reply, const scim_call *call,
                                         apr_pool_t *result_pool)
{
    SCIM_ERR(scim_handle_create(reply, call, result_pool));
    return scim_error_make(result_pool, SCIM_E_INTERNAL, "showing it fails");
}

static void test_events_of_late_failures(void **state)
{
    scim_call call = call_of(SCIM_POST, "/Users", user_body("a"));
    scim_route route = *call.target.route;
    scim_reply reply;

    route.handler = create_and_fail;
    call.target.route = &route;
    reply = ask(&call);
    assert_error(reply, 500, NULL);
    assert_non_null(reply.events);
    assert_int_equal(reply.events->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(reply.events, 0, scim_event).op, "users.create");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-001 C-002 C-003 C-004 type of the answer", test_answer_type, begin, end, NULL},
        {"C-005 C-006 type of the body", test_body_type, begin, end, NULL},
        {"C-009 C-010 C-024 malformed bodies", test_malformed_body, begin, end, NULL},
        {"C-025 attribute names in any case", test_names_without_case, begin, end, NULL},
        {"C-011 C-019 no such path", test_no_such_path, begin, end, NULL},
        {"C-012 C-264 wrong method", test_wrong_method, begin, end, NULL},
        {"C-027 OPTIONS", test_options, begin, end, NULL},
        {"C-013 what is switched off is 501", test_switched_off, begin, end, NULL},
        {"C-014 C-016 401 before all else", test_no_identity, begin, end, NULL},
        {"C-015 C-016 403 before all else", test_scope, begin, end, NULL},
        {"a suspended directory is 403", test_suspended, begin, end, NULL},
        {"a store that is down is 503", test_store_down, begin, end, NULL},
        {"C-061 C-312 S-14 another tenant's resources are not there", test_other_tenant, begin,
         end, NULL},
        {"C-030 C-031 create", test_create, begin, end, NULL},
        {"C-032 create ignores readOnly attributes", test_create_ignores_read_only, begin, end,
         NULL},
        {"C-033 C-058 create what is there", test_create_conflict, begin, end, NULL},
        {"C-034 C-035 C-040 C-056 C-057 create refused", test_create_refused, begin, end, NULL},
        {"C-050 C-065 a password is never shown", test_password_is_never_shown, begin, end,
         NULL},
        {"C-052 create with a projection", test_create_projected, begin, end, NULL},
        {"C-067 a wrong projection changes nothing", test_projection_is_judged_first, begin,
         end, NULL},
        {"C-053 text is kept as it was sent", test_unicode_is_kept, begin, end, NULL},
        {"C-061 unknown ids", test_read_unknown, begin, end, NULL},
        {"C-061 an id in another case", test_ids_are_case_exact, begin, end, NULL},
        {"C-318 odd ids are shown safely", test_odd_ids_are_shown_safely, begin, end, NULL},
        {"the audit knows the id", test_read_id_in_reply, begin, end, NULL},
        {"C-060 C-062 C-063 C-064 C-067 C-068 C-070 read with a projection",
         test_read_projection, begin, end, NULL},
        {"C-109 filter is ignored for one resource", test_read_ignores_filter, begin, end,
         NULL},
        {"C-101 an empty list", test_list_empty, begin, end, NULL},
        {"C-114 a list shows what a read shows", test_list_shows_what_read_shows, begin, end,
         NULL},
        {"C-022 C-023 C-085 C-098 list with a filter", test_list_filter, begin, end, NULL},
        {"C-110 C-111 C-112 C-114 C-115 C-116 C-124 pages", test_list_pages, begin, end, NULL},
        {"C-069 list with a projection", test_list_projection, begin, end, NULL},
        {"C-150 C-152 C-153 C-157 replace", test_replace, begin, end, NULL},
        {"C-158 replace by the same", test_replace_same, begin, end, NULL},
        {"C-155 C-156 replace refused", test_replace_refused, begin, end, NULL},
        {"C-151 replace creates nothing", test_replace_unknown_creates_nothing, begin, end,
         NULL},
        {"C-204 an unknown id before the body", test_unknown_before_body, begin, end, NULL},
        {"C-069 C-171 C-172 S-27 patch a user", test_patch_user, begin, end, NULL},
        {"C-172 C-176 S-04 patch a group", test_patch_group, begin, end, NULL},
        {"C-170 C-173 C-177 C-181 C-183 C-194 C-196 C-197 C-202 patch refused",
         test_patch_refused, begin, end, NULL},
        {"C-201 patch to what is taken", test_patch_conflict, begin, end, NULL},
        {"C-207 patch nothing", test_patch_nothing, begin, end, NULL},
        {"C-205 patch schemas", test_patch_schemas, begin, end, NULL},
        {"C-210 C-211 delete", test_delete, begin, end, NULL},
        {"C-216 members", test_members, begin, end, NULL},
        {"C-160 type and $ref of a member are immutable", test_members_are_immutable, begin,
         end, NULL},
        {"C-030 created members are shown", test_created_members_are_shown, begin, end, NULL},
        {"C-056 a member that is not there", test_dangling_member, begin, end, NULL},
        {"C-214 groups of a user", test_groups_of_user, begin, end, NULL},
        {"C-212 delete a member", test_delete_user_leaves_groups, begin, end, NULL},
        {"C-213 C-228 delete a group", test_delete_group, begin, end, NULL},
        {"C-220 S-08 a change tells what it wrote, with that version, when others write",
         test_overtaken, begin, end, NULL},
        {"C-220 S-08 and so of a group, whose members are the present ones",
         test_overtaken_group, begin, end, NULL},
        {"C-222 C-223 C-224 If-Match", test_if_match, begin, end, NULL},
        {"C-221 If-None-Match", test_if_none_match, begin, end, NULL},
        {"C-226 If-None-Match on writes", test_if_none_match_on_writes, begin, end, NULL},
        {"C-226 If-Modified-Since and If-Unmodified-Since", test_dates, begin, end, NULL},
        {"C-226 dates of a group", test_dates_of_groups, begin, end, NULL},
        {"C-225 an If-Match that is required", test_required_if_match, begin, end, NULL},
        {"C-143 C-270 C-271 the configuration", test_config, begin, end, NULL},
        {"C-241 C-270 the configuration tells of Bulk", test_config_of_bulk, begin, end, NULL},
        {"C-270 C-280 the configuration conforms to its schema", test_config_conforms, begin,
         end, NULL},
        {"C-272 C-274 C-275 resource types", test_types, begin, end, NULL},
        {"C-272 C-274 C-276 schemas", test_schemas, begin, end, NULL},
        {"C-277 resource types and schemas agree", test_types_and_schemas_agree, begin, end,
         NULL},
        {"C-273 discovery takes no filter", test_discovery_filter, begin, end, NULL},
        {"each change is an event", test_events, begin, end, NULL},
        {"what changes nothing is none", test_no_events, begin, end, NULL},
        {"what the store did not take is none", test_events_of_failures, begin_in_memory, end,
         NULL},
        {"a failure behind the commit hides no event", test_events_of_late_failures, begin, end,
         NULL},
    };

    make_registry(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
