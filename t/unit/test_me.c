/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /Me: a person reads what is told of it, and does nothing else.
 */
#include "service_fixture.h"

static scim_call call_by(const char *person, scim_method method, const char *url,
                         const char *body)
{
    scim_call call = call_of(method, url, body);

    call.identity = NULL;
    call.person = person;
    call.person_tenant = "acme";
    return call;
}

static scim_reply me(const char *person, const char *query)
{
    scim_call call = call_by(person, SCIM_GET, apr_pstrcat(pool, "/Me", query, NULL), NULL);

    return ask(&call);
}

static void test_token(void **state)
{
    static const scim_method methods[] = {SCIM_GET, SCIM_POST, SCIM_PUT, SCIM_PATCH,
                                          SCIM_DELETE};
    int i;

    create_user("entra"); /* the connection's name is no user's */
    for (i = 0; i < 5; i++) {
        assert_error(submit(methods[i], "/Me", i ? "{}" : NULL), 501, NULL);
    }
    identity.scopes = SCIM_SCOPE_WRITE;
    assert_error(get("/Me"), 403, NULL);
}

static void test_person(void **state)
{
    const char *id = create_user("anna");
    scim_reply reply, read;

    create_group("Guides", member(id));
    reply = assert_status(me("anna", ""), 200);
    read = get(user_url(id));
    assert_string_equal(reply.body, read.body);
    assert_string_equal(reply.etag, read.etag);
    assert_string_equal(reply.location, apr_pstrcat(pool, BASE "/Users/", id, NULL));
    assert_string_equal(reply.content_location, reply.location);
    assert_string_equal(reply.id, id);
    assert_string_equal(text_at(reply, "groups.0.display"), "Guides");
    assert_string_equal(me("ANNA", "").body, read.body);
    reply = me("anna", "?attributes=userName");
    assert_int_equal(json_object_size(json_of(&reply)), 3);
    reply = me("anna", "?excludedAttributes=userName");
    assert_null(text_at(reply, "userName"));
    assert_error(me("anna", "?attributes=a&excludedAttributes=b"), 400, "invalidValue");
}

static void test_conditions(void **state)
{
    scim_call call;
    const char *etag;

    create_user("anna");
    etag = me("anna", "").etag;
    call = call_by("anna", SCIM_GET, "/Me", NULL);
    call.if_none_match = etag;
    assert_status(ask(&call), 304);
    call.if_none_match = "W/\"x\"";
    assert_status(ask(&call), 200);
}

static void test_nobody(void **state)
{
    static const char *const names[] = {
        "bob", "",      "\"",           "a\" or userName pr or title eq \"", "\\", "\xff",
        "\n",  "anna ", "anna\xc2\xa0x"};
    scim_call call;
    apr_size_t i;

    create_user("anna");
    create("/Users", text_of("{'schemas':['@U'],'userName':'gone','active':false}"));
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_error(me(names[i], ""), 404, NULL);
    }
    assert_error(me("gone", ""), 404, NULL);
    call = call_by("anna", SCIM_GET, "/Me", NULL);
    call.person_tenant = "nothing";
    assert_error(ask(&call), 404, NULL);
    call.person_tenant = "";
    assert_error(ask(&call), 404, NULL);
    open_tenant(&identity.tenant, "globex");
    call.person_tenant = "globex";
    assert_error(ask(&call), 404, NULL);
    call.person_tenant = "acme";
    assert_status(ask(&call), 200);
}

/* As Require scim-user has it: never the one whose userName it happens to be. */
static void test_by(void **state)
{
    const char *anna = create(
        "/Users", text_of("{'schemas':['@U'],'userName':'anna','externalId':'bob',"
                          "'emails':[{'value':'all@x.example'},{'value':'bob@x.example'}]}"));
    scim_call call = call_by("bob", SCIM_GET, "/Me", NULL);

    create("/Users", text_of("{'schemas':['@U'],'userName':'bob',"
                             "'emails':[{'value':'all@x.example'}]}"));
    call.person_by = SCIM_BY_EXTERNAL_ID;
    assert_string_equal(text_at(ask(&call), "userName"), "anna");
    call.person = "anna";
    assert_error(ask(&call), 404, NULL);
    call.person_by = SCIM_BY_EMAIL;
    assert_error(ask(&call), 404, NULL);
    call.person = "Bob@x.example";
    assert_string_equal(text_at(ask(&call), "userName"), "anna");
    call.person = "all@x.example";
    assert_error(ask(&call), 404, NULL);
    call.person_by = SCIM_BY_ID;
    call.person = anna;
    assert_string_equal(text_at(ask(&call), "userName"), "anna");
}

static void test_active(void **state)
{
    const char *id =
        create("/Users", text_of("{'schemas':['@U'],'userName':'anna','active':true}"));

    assert_status(me("anna", ""), 200);
    assert_status(submit(SCIM_PATCH, user_url(id),
                         PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":false}")),
                  200);
    assert_error(me("anna", ""), 404, NULL);
}

static void test_writes(void **state)
{
    static const scim_method methods[] = {SCIM_POST, SCIM_PUT, SCIM_PATCH, SCIM_DELETE};
    const char *id = create_user("anna");
    int i;

    for (i = 0; i < 4; i++) {
        scim_call call = call_by("anna", methods[i], "/Me", user_body("other"));

        assert_error(ask(&call), 403, NULL);
    }
    assert_string_equal(text_at(get(user_url(id)), "userName"), "anna");
    assert_int_equal(total_of("/Users"), 1);
}

static void test_nothing_else(void **state)
{
    static const struct {
        scim_method method;
        const char *url;
    } cases[] = {
        {SCIM_GET, "/"},
        {SCIM_GET, "/Users"},
        {SCIM_GET, "/Users/" NOBODY},
        {SCIM_GET, "/Groups"},
        {SCIM_GET, "/Schemas"},
        {SCIM_GET, "/ResourceTypes"},
        {SCIM_GET, "/Foo"},
        {SCIM_POST, "/Users"},
        {SCIM_POST, "/Users/.search"},
        {SCIM_POST, "/.search"},
        {SCIM_POST, "/Bulk"},
        {SCIM_PUT, "/Users/" NOBODY},
        {SCIM_PATCH, "/Users/" NOBODY},
        {SCIM_DELETE, "/Users/" NOBODY},
        {SCIM_OPTIONS, "/Users"},
        {SCIM_OTHER, "/Me"},
    };
    apr_size_t i;

    create_user("anna");
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_call call = call_by("anna", cases[i].method, cases[i].url, "{}");

        assert_error(ask(&call), 401, NULL);
    }
}

static void test_no_directory(void **state)
{
    scim_call call;

    create_user("anna");
    call = call_by("anna", SCIM_GET, "/Me", NULL);
    call.store = NULL;
    assert_error(ask(&call), 503, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-265 a token is no person", test_token, begin, end, NULL},
        {"C-069 C-265 a person reads itself", test_person, begin, end, NULL},
        {"C-221 C-265 if it has changed", test_conditions, begin, end, NULL},
        {"C-265 nobody, or nobody here", test_nobody, begin, end, NULL},
        {"C-265 by what SCIMUserAttribute says", test_by, begin, end, NULL},
        {"C-265 who is inactive is not there", test_active, begin, end, NULL},
        {"C-265 a person changes nothing", test_writes, begin, end, NULL},
        {"C-265 a person reaches nothing else", test_nothing_else, begin, end, NULL},
        {"C-265 a directory that is down", test_no_directory, begin, end, NULL},
    };

    make_registry(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
