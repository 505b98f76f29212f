/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk (RFC 7644 section 3.7) over a store in memory.  JSON is written with '
 * for ", and @U, @G, @EU, @PO for URNs.
 */
#include "service_fixture.h"

#include "scim/role.h"

#define URN_REQUEST "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
#define URN_RESPONSE "urn:ietf:params:scim:api:messages:2.0:BulkResponse"

#define POST_USER(bulk_id, name, more)                                                  \
    "{'method':'POST','path':'/Users','bulkId':'" bulk_id "','data':{'schemas':['@U']," \
    "'userName':'" name "'" more "}}"
#define POST_GROUP(bulk_id, name, members)                                               \
    "{'method':'POST','path':'/Groups','bulkId':'" bulk_id "','data':{'schemas':['@G']," \
    "'displayName':'" name "','members':[" members "]}}"
#define MEMBER(bulk_id) "{'value':'bulkId:" bulk_id "'}"
#define MANAGER(bulk_id) ",'@EU':{'manager':{'value':'bulkId:" bulk_id "'}}"
/* what no server takes: no userName */
#define POST_BAD(bulk_id) \
    "{'method':'POST','path':'/Users','bulkId':'" bulk_id "','data':{'schemas':['@U']}}"

static const char *body_with(const char *operations, const char *more)
{
    return text_of("{'schemas':['" URN_REQUEST "'],'Operations':[%s]%s}", operations, more);
}

static void check_entry(const json_t *entry)
{
    const char *method = scim_json_string(entry, "method");
    const char *status = scim_json_string(entry, "status");
    const json_t *response = json_object_get(entry, "response");

    assert_non_null(status);
    assert_true(atoi(status) == 201 || atoi(status) == 200 || atoi(status) == 204 ||
                atoi(status) >= 400);
    assert_int_equal(response != NULL, atoi(status) >= 400);
    if (response) {
        assert_string_equal(
            json_string_value(json_array_get(json_object_get(response, "schemas"), 0)),
            SCIM_URN_ERROR);
        assert_string_equal(scim_json_string(response, "status"), status);
        assert_non_null(scim_json_string(response, "detail"));
    }
    if (method && !strcmp(method, "POST")) {
        assert_int_equal(scim_json_string(entry, "location") != NULL, !response);
    }
    assert_int_equal(scim_json_string(entry, "version") != NULL,
                     !response && strcmp(status, "204"));
}

/* The entries of a job that is answered as a whole. */
static const json_t *run_body(const char *body)
{
    scim_reply reply = assert_status(submit(SCIM_POST, "/Bulk", body), 200);
    const json_t *answer = json_of(&reply), *entries = json_object_get(answer, "Operations"),
                 *entry;
    size_t i;

    assert_string_equal(text_at(reply, "schemas.0"), URN_RESPONSE);
    assert_int_equal(json_object_size(answer), 2);
    assert_true(json_is_array(entries));
    assert_int_equal(reply.count, json_array_size(entries));
    json_array_foreach (entries, i, entry) {
        check_entry(entry);
    }
    return entries;
}

static const json_t *run(const char *operations)
{
    return run_body(body_with(operations, ""));
}

static const char *member_at(const json_t *entries, size_t i, const char *name)
{
    return scim_json_string(json_array_get(entries, i), name);
}

/* "201 400 204" */
static const char *statuses(const json_t *entries)
{
    const char *text = "";
    size_t i;

    for (i = 0; i < json_array_size(entries); i++) {
        text = apr_pstrcat(pool, text, i ? " " : "", member_at(entries, i, "status"), NULL);
    }
    return text;
}

static const char *type_at(const json_t *entries, size_t i)
{
    return scim_json_string(json_object_get(json_array_get(entries, i), "response"),
                            "scimType");
}

static const char *detail_at(const json_t *entries, size_t i)
{
    return scim_json_string(json_object_get(json_array_get(entries, i), "response"), "detail");
}

/* What of the location stands behind the base. */
static const char *url_at(const json_t *entries, size_t i)
{
    const char *location = member_at(entries, i, "location");

    assert_non_null(location);
    assert_memory_equal(location, BASE, strlen(BASE));
    return location + strlen(BASE);
}

static const char *id_at(const json_t *entries, size_t i)
{
    return strrchr(url_at(entries, i), '/') + 1;
}

static bool has_member(const char *group, const char *member_id)
{
    scim_reply reply = assert_status(get(group), 200);

    return strstr(reply.body, apr_psprintf(pool, "{\"value\":\"%s\"", member_id)) != NULL;
}

static const char *manager_of(const char *user)
{
    scim_reply reply = assert_status(get(user), 200);
    const json_t *extension = json_object_get(json_of(&reply), SCIM_URN_ENTERPRISE);

    return scim_json_string(json_object_get(extension, "manager"), "value");
}

/* The answer */

static void test_good_job(void **state)
{
    const char *old = create_user("old"), *etag = get(user_url(old)).etag;
    const char *gone = create_user("gone");
    const json_t *entries = run(apr_psprintf(
        pool,
        POST_USER(
            "q", "alice",
            "") ","
                "{'method':'PUT','path':'/Users/%s','bulkId':'mine','data':{'schemas':['@U'],"
                "'userName':'older'}},"
                "{'method':'PATCH','path':'/Users/%s','data':{'schemas':['@PO'],'Operations':["
                "{'op':'add','path':'title','value':'x'}]}},"
                "{'method':'DELETE','path':'/Users/%s'}",
        old, old, gone));

    assert_string_equal(statuses(entries), "201 200 200 204");
    assert_string_equal(member_at(entries, 0, "method"), "POST");
    assert_string_equal(member_at(entries, 1, "method"), "PUT");
    assert_string_equal(member_at(entries, 2, "method"), "PATCH");
    assert_string_equal(member_at(entries, 3, "method"), "DELETE");
    assert_string_equal(member_at(entries, 0, "bulkId"), "q");
    assert_string_equal(member_at(entries, 1, "bulkId"), "mine");
    assert_null(member_at(entries, 2, "bulkId"));
    assert_string_equal(url_at(entries, 1), user_url(old));
    assert_string_equal(url_at(entries, 2), user_url(old));
    assert_string_equal(url_at(entries, 3), user_url(gone));
    assert_string_equal(text_at(get(url_at(entries, 0)), "userName"), "alice");
    assert_string_equal(text_at(get(user_url(old)), "userName"), "older");
    assert_string_equal(text_at(get(user_url(old)), "title"), "x");
    assert_error(get(user_url(gone)), 404, NULL);
    assert_string_equal(member_at(entries, 0, "version"), get(url_at(entries, 0)).etag);
    assert_string_equal(member_at(entries, 2, "version"), get(user_url(old)).etag);
    assert_string_not_equal(member_at(entries, 1, "version"), etag);
}

static void test_projection_is_ignored(void **state)
{
    scim_reply reply = submit(SCIM_POST, "/Bulk?attributes=a&excludedAttributes=b",
                              body_with(POST_USER("q", "a", ""), ""));

    assert_status(reply, 200);
    assert_string_equal(text_at(reply, "Operations.0.status"), "201");
}

static void test_locations(void **state)
{
    const json_t *entries =
        run("{'method':'PUT','path':'/Users/" NOBODY "','data':{'schemas':['@U'],"
            "'userName':'x'}},"
            "{'method':'PATCH','path':'/Groups/" NOBODY "','data':{'schemas':['@PO'],"
            "'Operations':[]}},"
            "{'method':'DELETE','path':'/Users/not-an-id'},"
            "{'method':'DELETE','path':'/Users/bulkId:x'},"
            "{'method':'PUT','path':'/Users/" NOBODY "'},"
            "{'method':'GET','path':'/Users/" NOBODY "'},"
            "{'method':'DELETE','path':'Users/" NOBODY "'}," POST_BAD("b"));

    assert_string_equal(statuses(entries), "404 404 404 400 400 400 404 400");
    assert_string_equal(url_at(entries, 0), "/Users/" NOBODY);
    assert_string_equal(url_at(entries, 1), "/Groups/" NOBODY);
    assert_string_equal(url_at(entries, 2), "/Users/not-an-id");
    assert_string_equal(url_at(entries, 3), "/Users/bulkId:x");
    assert_string_equal(url_at(entries, 4), "/Users/" NOBODY);
    assert_string_equal(url_at(entries, 5), "/Users/" NOBODY);
    assert_string_equal(url_at(entries, 6), "/Users/" NOBODY);
    assert_null(member_at(entries, 7, "location"));
    assert_string_equal(member_at(entries, 7, "bulkId"), "b");
}

/* Errors of operations */

static void test_bad_operations(void **state)
{
    static const struct {
        const char *operation, *status, *type, *words;
    } cases[] = {
        {"{}", "400", "invalidSyntax", "method"},
        {"{'path':'/Users','bulkId':'q','data':{}}", "400", "invalidSyntax", "method"},
        {"{'method':7,'path':'/Users'}", "400", "invalidSyntax", "method must be a string"},
        {"{'method':'GET','path':'/Users'}", "400", "invalidSyntax", "method"},
        {"{'method':'OPTIONS','path':'/Users'}", "400", "invalidSyntax", "method"},
        {"{'method':'POST','bulkId':'q','data':{}}", "400", "invalidSyntax", "path"},
        {"{'method':'POST','path':null,'bulkId':'q','data':{}}", "400", "invalidSyntax",
         "path"},
        {"{'method':'POST','path':['/Users'],'bulkId':'q'}", "400", "invalidSyntax",
         "path must be a string"},
        {"{'method':'POST','path':'/Users','bulkId':'q'}", "400", "invalidSyntax", "data"},
        {"{'method':'POST','path':'/Users','bulkId':'q','data':[]}", "400", "invalidSyntax",
         "data"},
        {"{'method':'PATCH','path':'/Users/" NOBODY "','data':null}", "400", "invalidSyntax",
         "data"},
        {"{'method':'POST','path':'/Users','data':{'schemas':['@U'],'userName':'x'}}", "400",
         "invalidValue", "bulkId"},
        {"{'method':'POST','path':'/Users','bulkId':'','data':{'schemas':['@U'],"
         "'userName':'x'}}",
         "400", "invalidValue", "bulkId"},
        {"{'method':'POST','path':'/Users','bulkId':7,'data':{'schemas':['@U'],"
         "'userName':'x'}}",
         "400", "invalidSyntax", "bulkId must be a string"},
        {"{'method':'POST','path':'/Users/" NOBODY "','bulkId':'q','data':{}}", "400",
         "invalidValue", "does not take POST"},
        {"{'method':'PUT','path':'/Users','data':{}}", "400", "invalidValue",
         "does not take PUT"},
        {"{'method':'DELETE','path':'/Groups'}", "400", "invalidValue", "does not take DELETE"},
        {"{'method':'POST','path':'/Users/.search','bulkId':'q','data':{}}", "400",
         "invalidValue", "does not take POST"},
        {"{'method':'POST','path':'/Foo','bulkId':'q','data':{}}", "404", NULL, "/Foo"},
        {"{'method':'DELETE','path':'/Users/a/b'}", "404", NULL, "/Users/a/b"},
        {"{'method':'DELETE','path':'https://evil.example/Users/" NOBODY "'}", "404", NULL,
         "no endpoint"},
        {"{'method':'POST','path':'/Bulk','bulkId':'q','data':{}}", "400", "invalidValue",
         "/Bulk"},
        {"{'method':'POST','path':'/Me','bulkId':'q','data':{}}", "400", "invalidValue", "/Me"},
        {"{'method':'POST','path':'/.search','bulkId':'q','data':{}}", "400", "invalidValue",
         "/.search"},
        {"{'method':'POST','path':'/Schemas','bulkId':'q','data':{}}", "400", "invalidValue",
         "/Schemas"},
        {"{'method':'DELETE','path':'/Users/" NOBODY "','version':7}", "400", "invalidSyntax",
         "version must be a string"},
        {"{'method':'DELETE','path':'/Users/" NOBODY "'}", "404", NULL, "no User"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const json_t *entries =
            run(apr_pstrcat(pool, cases[i].operation, ",", POST_USER("ok", "ok", ""), ",",
                            "{'method':'DELETE','path':'/Users/bulkId:ok'}", NULL));

        if (strcmp(member_at(entries, 0, "status"), cases[i].status) ||
            !strstr(detail_at(entries, 0), cases[i].words)) {
            fail_msg("%s: %s", cases[i].operation, json_dumps(entries, 0));
        }
        assert_int_equal(cases[i].type != NULL, type_at(entries, 0) != NULL);
        if (cases[i].type) {
            assert_string_equal(type_at(entries, 0), cases[i].type);
        }
        /* the others go on */
        assert_string_equal(member_at(entries, 1, "status"), "201");
        assert_string_equal(member_at(entries, 2, "status"), "204");
    }
    assert_int_equal(total_of("/Users"), 0);
}

static void test_duplicate_bulk_id(void **state)
{
    const json_t *entries = run(POST_USER("q", "a", "") "," POST_USER(
        "q", "b", "") "," POST_USER("Q", "c", "") "," POST_GROUP("g", "g", MEMBER("q")));

    assert_string_equal(statuses(entries), "201 400 201 201");
    assert_string_equal(type_at(entries, 1), "invalidValue");
    assert_non_null(strstr(detail_at(entries, 1), "\"q\" stands twice"));
    assert_true(has_member(url_at(entries, 3), id_at(entries, 0)));
}

static void test_conflicts(void **state)
{
    const json_t *entries;

    create_user("taken");
    entries = run(POST_USER("1", "Taken", "") "," POST_USER("2", "free", "") "," POST_USER(
        "3", "FREE", "") "," POST_GROUP("4", "g", "") "," POST_GROUP("5", "G", ""));
    assert_string_equal(statuses(entries), "409 201 409 201 409");
    assert_string_equal(type_at(entries, 0), "uniqueness");
    assert_string_equal(type_at(entries, 2), "uniqueness");
    assert_int_equal(total_of("/Users"), 2);
}

static void test_fail_on_errors(void **state)
{
    static const struct {
        const char *limit, *statuses;
    } cases[] = {
        {"", "400 201 404 409 201"},
        {",'failOnErrors':null", "400 201 404 409 201"},
        {",'failOnErrors':0", "400 201 404 409 201"},
        {",'failOnErrors':1", "400"},
        {",'failOnErrors':2", "400 201 404"},
        {",'FAILONERRORS':3", "400 201 404 409"},
        {",'failOnErrors':4", "400 201 404 409 201"},
        {",'failOnErrors':1000", "400 201 404 409 201"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const json_t *entries;

        entries = run_body(body_with(
            POST_BAD("1") "," POST_USER(
                "2", "a", "") ","
                              "{'method':'DELETE','path':'/Users/" NOBODY "'}," POST_USER(
                                  "3", "A", "") ",{'method':'DELETE','path':'/Users/bulkId:2'}",
            cases[i].limit));
        if (strlen(cases[i].statuses) < 19) {
            assert_string_equal(statuses(entries), cases[i].statuses);
        } else {
            assert_string_equal(statuses(entries), "400 201 404 409 204");
        }
        if (total_of("/Users")) {
            assert_status(submit(SCIM_DELETE, url_at(entries, 1), NULL), 204);
        }
    }
}

static void test_bad_frames(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *type;
    } cases[] = {
        {"{'Operations':[]}", 400, "invalidSyntax"},
        {"{'schemas':['@PO'],'Operations':[]}", 400, "invalidSyntax"},
        {"{'schemas':'" URN_REQUEST "','Operations':[]}", 400, "invalidSyntax"},
        {"{'schemas':['" URN_REQUEST "']}", 400, "invalidSyntax"},
        {"{'schemas':['" URN_REQUEST "'],'Operations':{}}", 400, "invalidSyntax"},
        {"{'schemas':['" URN_REQUEST "'],'Operations':null}", 400, "invalidSyntax"},
        {"{'schemas':['" URN_REQUEST "'],'Operations':['x']}", 400, "invalidSyntax"},
        {"{'schemas':['" URN_REQUEST "'],'Operations':[],'failOnErrors':-1}", 400,
         "invalidValue"},
        {"{'schemas':['" URN_REQUEST "'],'Operations':[],'failOnErrors':'1'}", 400,
         "invalidValue"},
        {"{'schemas':['" URN_REQUEST "'],'Operations':[],'failOnErrors':1.5}", 400,
         "invalidValue"},
        {"[]", 400, "invalidSyntax"},
        {"nonsense", 400, "invalidSyntax"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_error(submit(SCIM_POST, "/Bulk", text_of("%s", cases[i].body)), cases[i].status,
                     cases[i].type);
    }
    assert_error(submit(SCIM_POST, "/Bulk", NULL), 400, "invalidSyntax");
    assert_int_equal(json_array_size(run("")), 0);
    assert_int_equal(json_array_size(run_body(text_of(
                         "{'SCHEMAS':['URN:ietf:params:scim:api:messages:2.0:bulkrequest'],"
                         "'operations':[]}"))),
                     0);
}

static void test_too_many_operations(void **state)
{
    scim_reply reply;

    wire.bulk_operations = 2;
    assert_string_equal(statuses(run(POST_USER("1", "a", "") "," POST_USER("2", "b", ""))),
                        "201 201");
    reply = submit(SCIM_POST, "/Bulk",
                   body_with(POST_USER("1", "c", "") "," POST_USER("2", "d", "") "," POST_USER(
                                 "3", "e", ""),
                             ""));
    assert_error(reply, 413, NULL);
    assert_non_null(strstr(reply.error->detail, "3 operations"));
    assert_non_null(strstr(reply.error->detail, "maxOperations (2)"));
    assert_int_equal(total_of("/Users"), 2);
}

/* What clients write differently */

static void test_forms(void **state)
{
    const json_t *entries =
        run("{'METHOD':'post','Path':'/v2/Users','bulkid':'a','DATA':{'schemas':['@U'],"
            "'userName':'a'}},"
            "{'method':'Patch','path':'" BASE "/Users/bulkId:a','data':{'schemas':['@PO'],"
            "'Operations':[{'op':'add','path':'title','value':'x'}]}},"
            "{'method':'put','path':'/scim/v2/Users/bulkId:a','data':{'schemas':['@U'],"
            "'userName':'b'}},"
            "{'method':'DELETE','path':'Users/bulkId:a'}");

    assert_string_equal(statuses(entries), "201 200 200 204");
    assert_string_equal(member_at(entries, 0, "method"), "POST");
    assert_string_equal(member_at(entries, 1, "method"), "PATCH");
    assert_int_equal(total_of("/Users"), 0);
}

static void test_patch_data(void **state)
{
    static const char job[] = POST_USER(
        "a", "a", "") ","
                      "{'method':'PATCH','path':'/Users/bulkId:a','data':{'Operations':["
                      "{'op':'add','path':'title','value':'x'}]}},"
                      "{'method':'PATCH','path':'/Users/"
                      "bulkId:a','data':[{'op':'remove','path':'title'}]},"
                      "{'method':'DELETE','path':'/Users/bulkId:a'}";
    const json_t *entries = run(job);

    assert_string_equal(statuses(entries), "201 200 400 204");
    assert_string_equal(type_at(entries, 2), "invalidSyntax");
    wire.lenient = false;
    entries = run(job);
    assert_string_equal(statuses(entries), "201 400 400 204");
    assert_string_equal(type_at(entries, 1), "invalidSyntax");
}

static void test_versions(void **state)
{
    const char *id = create_user("a"), *old = get(user_url(id)).etag;
    const json_t *entries;

    old =
        apr_pstrcat(pool, "W/\\\"", apr_pstrndup(pool, old + 3, strlen(old) - 4), "\\\"", NULL);
    entries = run(apr_psprintf(
        pool,
        "{'method':'PUT','path':'/Users/%s','version':'%s','data':{'schemas':['@U'],"
        "'userName':'b'}},"
        "{'method':'PUT','path':'/Users/%s','version':'%s','data':{'schemas':['@U'],"
        "'userName':'c'}},"
        "{'method':'PATCH','path':'/Users/%s','version':'%s','data':{}},"
        "{'method':'DELETE','path':'/Users/%s','version':'%s'},"
        "{'method':'DELETE','path':'/Users/" NOBODY "','version':'%s'},"
        "{'method':'PUT','path':'/Users/%s','version':'*','data':{'schemas':['@U'],"
        "'userName':'d'}}",
        id, old, id, old, id, old, id, old, old, id));
    assert_string_equal(statuses(entries), "200 412 412 412 404 200");
    assert_null(type_at(entries, 1));
    assert_string_equal(text_at(get(user_url(id)), "userName"), "d");
}

static void test_require_version(void **state)
{
    const char *id = create_user("a");
    const json_t *entries;

    wire.require_if_match = true;
    entries = run(apr_psprintf(
        pool,
        POST_USER("q", "b", "") ","
                                "{'method':'PATCH','path':'/Users/%s','data':{}},"
                                "{'method':'DELETE','path':'/Users/%s'},"
                                "{'method':'DELETE','path':'/Users/%s','version':'*'}",
        id, id, id));
    assert_string_equal(statuses(entries), "201 428 428 204");
}

/* References */

static void test_references(void **state)
{
    const json_t *entries = run(
        POST_USER("boss", "boss", "") "," POST_USER("a", "a", MANAGER("boss")) "," POST_USER("b", "b", ",'@EU':{'manager':'bulkId:boss'}") "," POST_GROUP(
            "g", "g",
            MEMBER(
                "a") ","
                     "{'value':'bulkId:b','type':'User','$ref':"
                     "'../Users/bulkId:b'}") ","
                                             "{'method':'PATCH','path':'/Groups/"
                                             "bulkId:g','data':{'schemas':['@PO'],"
                                             "'Operations':[{'op':'add','path':'members','"
                                             "value':[" MEMBER(
                                                 "boss") "]}]}},"
                                                         "{'method':'PATCH','path':'/Users/"
                                                         "bulkId:a','data':{'schemas':['@PO'],"
                                                         "'Operations':[{'op':'replace','value'"
                                                         ":{'@EU:manager':'bulkId:b'}}]}},"
                                                         "{'method':'PATCH','path':'/Users/"
                                                         "bulkId:boss','data':{'schemas':['@PO'"
                                                         "],"
                                                         "'Operations':[{'op':'add','path':'@"
                                                         "EU:manager','value':'bulkId:a'}]}}"
                                                         "," POST_GROUP("h", "h",
                                                                        "{'$ref':'" BASE
                                                                        "/Users/bulkId:b'}"));

    assert_string_equal(statuses(entries), "201 201 201 201 200 200 200 201");
    assert_string_equal(manager_of(url_at(entries, 1)), id_at(entries, 2));
    assert_string_equal(manager_of(url_at(entries, 2)), id_at(entries, 0));
    assert_string_equal(manager_of(url_at(entries, 0)), id_at(entries, 1));
    assert_true(has_member(url_at(entries, 3), id_at(entries, 0)));
    assert_true(has_member(url_at(entries, 3), id_at(entries, 1)));
    assert_true(has_member(url_at(entries, 3), id_at(entries, 2)));
    assert_true(has_member(url_at(entries, 7), id_at(entries, 2)));
}

static void test_paths(void **state)
{
    const json_t *entries = run(POST_USER(
        "a", "a", "") ","
                      "{'method':'PUT','path':'/Users/bulkId:a','data':{'schemas':['@U'],"
                      "'userName':'b'}},"
                      "{'method':'PATCH','path':'/Users/bulkId:a','data':{'schemas':['@PO'],"
                      "'Operations':[{'op':'add','path':'title','value':'x'}]}},"
                      "{'method':'PUT','path':'/Groups/bulkId:a','data':{'schemas':['@G'],"
                      "'displayName':'g'}},"
                      "{'method':'DELETE','path':'/Users/bulkId:late'}," POST_USER(
                          "late", "late",
                          "") ","
                              "{'method':'DELETE','path':'/Users/bulkId:never'}");

    assert_string_equal(statuses(entries), "201 200 200 404 400 201 400");
    assert_string_equal(url_at(entries, 1), url_at(entries, 0));
    assert_string_equal(text_at(get(url_at(entries, 0)), "userName"), "b");
    assert_string_equal(text_at(get(url_at(entries, 0)), "title"), "x");
    assert_string_equal(type_at(entries, 4), "invalidValue");
    assert_non_null(strstr(detail_at(entries, 4), "must stand behind"));
    assert_string_equal(type_at(entries, 6), "invalidValue");
    assert_int_equal(total_of("/Users"), 2);
}

static void test_forward(void **state)
{
    const json_t *entries = run(POST_GROUP("g", "g", MEMBER("a") "," MEMBER("h")) "," POST_USER(
        "b", "b", MANAGER("a")) "," POST_GROUP("h", "h", MEMBER("b")) "," POST_USER("a", "a",
                                                                                    ""));
    scim_reply reply;

    assert_string_equal(statuses(entries), "201 201 201 201");
    assert_true(has_member(url_at(entries, 0), id_at(entries, 3)));
    assert_true(has_member(url_at(entries, 0), id_at(entries, 2)));
    assert_string_equal(manager_of(url_at(entries, 1)), id_at(entries, 3));
    reply = get(url_at(entries, 0));
    assert_string_equal(reply.etag, member_at(entries, 0, "version"));
    assert_non_null(strstr(reply.body, "\"type\":\"Group\""));
}

static void test_circles(void **state)
{
    const json_t *entries = run(
        POST_GROUP("a", "a", MEMBER("b")) "," POST_GROUP("b", "b", MEMBER("a")) "," POST_GROUP("x", "x", MEMBER("y")) "," POST_GROUP(
            "y", "y",
            MEMBER(
                "z")) "," POST_GROUP("z", "z",
                                     MEMBER(
                                         "x")) "," POST_USER("m", "m",
                                                             MANAGER(
                                                                 "n")) "," POST_USER("n", "n",
                                                                                     MANAGER(
                                                                                         "m")) "," POST_USER("s",
                                                                                                             "s",
                                                                                                             MANAGER(
                                                                                                                 "s")));
    scim_reply reply;

    assert_string_equal(statuses(entries), "201 201 201 201 201 201 201 201");
    assert_true(has_member(url_at(entries, 0), id_at(entries, 1)));
    assert_true(has_member(url_at(entries, 1), id_at(entries, 0)));
    assert_true(has_member(url_at(entries, 2), id_at(entries, 3)));
    assert_true(has_member(url_at(entries, 3), id_at(entries, 4)));
    assert_true(has_member(url_at(entries, 4), id_at(entries, 2)));
    assert_string_equal(manager_of(url_at(entries, 5)), id_at(entries, 6));
    assert_string_equal(manager_of(url_at(entries, 6)), id_at(entries, 5));
    assert_string_equal(manager_of(url_at(entries, 7)), id_at(entries, 7));
    /* each with a $ref, as of a reference to what was there before */
    reply = get(url_at(entries, 5));
    assert_non_null(strstr(reply.body, apr_pstrcat(pool, "Users/", id_at(entries, 6), NULL)));
}

static void test_self(void **state)
{
    const json_t *entries = run(
        POST_GROUP("a", "a", MEMBER("a")) "," POST_GROUP("b", "b", MEMBER("a")) "," POST_GROUP(
            "c", "c", "") ","
                          "{'method':'PUT','path':'/Groups/bulkId:c','data':{'schemas':['@G'],"
                          "'displayName':'c','members':[" MEMBER("c") "]}}");

    assert_string_equal(statuses(entries), "400 400 201 400");
    assert_string_equal(type_at(entries, 0), "invalidValue");
    assert_non_null(strstr(detail_at(entries, 0), "own member"));
    assert_int_equal(total_of("/Groups"), 1);
}

static void test_unresolved(void **state)
{
    const json_t *entries = run(POST_GROUP("g", "g", MEMBER("bad")) "," POST_USER("u", "u", MANAGER("none")) "," POST_BAD("bad") "," POST_GROUP(
        "h", "h",
        MEMBER(
            "bad")) "," POST_USER("ok", "ok",
                                  ",'displayName':'bulkId:none'") "," POST_GROUP("i", "i",
                                                                                 MEMBER(
                                                                                     "ok")) ","
                                                                                            "{'"
                                                                                            "me"
                                                                                            "th"
                                                                                            "od"
                                                                                            "':"
                                                                                            "'P"
                                                                                            "AT"
                                                                                            "CH"
                                                                                            "',"
                                                                                            "'p"
                                                                                            "at"
                                                                                            "h'"
                                                                                            ":'"
                                                                                            "/G"
                                                                                            "ro"
                                                                                            "up"
                                                                                            "s/"
                                                                                            "bu"
                                                                                            "lk"
                                                                                            "Id"
                                                                                            ":i"
                                                                                            "',"
                                                                                            "'d"
                                                                                            "at"
                                                                                            "a'"
                                                                                            ":{"
                                                                                            "'s"
                                                                                            "ch"
                                                                                            "em"
                                                                                            "as"
                                                                                            "':"
                                                                                            "['"
                                                                                            "@P"
                                                                                            "O'"
                                                                                            "],"
                                                                                            "'O"
                                                                                            "pe"
                                                                                            "ra"
                                                                                            "ti"
                                                                                            "on"
                                                                                            "s'"
                                                                                            ":["
                                                                                            "{'"
                                                                                            "op"
                                                                                            "':"
                                                                                            "'a"
                                                                                            "dd"
                                                                                            "',"
                                                                                            "'p"
                                                                                            "at"
                                                                                            "h'"
                                                                                            ":'"
                                                                                            "me"
                                                                                            "mb"
                                                                                            "er"
                                                                                            "s'"
                                                                                            ",'"
                                                                                            "va"
                                                                                            "lu"
                                                                                            "e'"
                                                                                            ":"
                                                                                            "[" MEMBER(
                                                                                                "bad") "]}]}},"
                                                                                                       "{'method':'DELETE','path':'/Users/bulkId:bad'}");
    int i;

    assert_string_equal(statuses(entries), "400 400 400 400 201 201 400 400");
    for (i = 0; i < 8; i++) {
        if (i != 4 && i != 5) {
            assert_string_equal(type_at(entries, (size_t)i), "invalidValue");
        }
    }
    assert_non_null(strstr(detail_at(entries, 0), "bulkId:bad"));
    assert_non_null(strstr(detail_at(entries, 1), "bulkId:none"));
    assert_string_equal(text_at(get(url_at(entries, 4)), "displayName"), "bulkId:none");
    assert_int_equal(total_of("/Groups"), 1);
    assert_int_equal(total_of("/Users"), 1);
}

/* A circle of which one part fails, and a chain whose end does: what relies on
 * it fails, directly or not, and nothing else. */
static void test_broken_chain(void **state)
{
    const json_t *entries = run(
        POST_GROUP("a", "a", MEMBER("b")) "," POST_GROUP("b", "b", MEMBER("c")) "," POST_GROUP(
            "c", "c",
            MEMBER("d") "," MEMBER(
                "a")) "," POST_BAD("d") "," POST_USER("e", "e",
                                                      "") "," POST_GROUP("f", "f",
                                                                         MEMBER("e") "," MEMBER(
                                                                             "h")) "," POST_GROUP("h",
                                                                                                  "h",
                                                                                                  MEMBER(
                                                                                                      "f")));

    assert_string_equal(statuses(entries), "400 400 400 400 201 201 201");
    assert_int_equal(total_of("/Groups"), 2);
    assert_true(has_member(url_at(entries, 5), id_at(entries, 6)));
}

/* 200 in a row, each a member of the one before, and the last is bad: were
 * each run to find one more, it would take 200. */
static void test_long_chain(void **state)
{
    const char *operations = "";
    const json_t *entries;
    scim_kv_stat before, after;
    int i;

    for (i = 0; i < 200; i++) {
        operations = apr_psprintf(pool,
                                  "%s{'method':'POST','path':'/Groups','bulkId':'%d','data':{"
                                  "'schemas':['@G'],'displayName':'g%d','members':["
                                  "{'value':'bulkId:%d'}]}},",
                                  operations, i, i, i + 1);
    }
    scim_kv_statistics(scim_store_kv(store), &before);
    entries = run(apr_pstrcat(pool, operations, POST_BAD("200"), NULL));
    for (i = 0; i <= 200; i++) {
        assert_string_equal(member_at(entries, (size_t)i, "status"), "400");
    }
    scim_kv_statistics(scim_store_kv(store), &after);
    assert_int_equal(after.entries, before.entries);
}

/* A job that each run finds one more broken promise in.  Group k relies ahead
 * on user k, whose name is free only where the user who has it was renamed,
 * which relies on group k + 1; the last user is bad.  Beside them a group that
 * relies ahead on a good user. */
static const json_t *run_links(int count)
{
    const char *groups = "", *users = "";
    int k;

    for (k = 0; k < count; k++) {
        const char *holder = create_user(apr_psprintf(pool, "name%d-%d", count, k));

        groups = apr_psprintf(pool,
                              "%s{'method':'POST','path':'/Groups','bulkId':'g%d','data':{"
                              "'schemas':['@G'],'displayName':'g%d-%d','members':["
                              "{'value':'bulkId:u%d'}]}},",
                              groups, k, count, k, k);
        users = apr_psprintf(
            pool,
            "{'method':'PATCH','path':'/Users/%s','data':{'schemas':['@PO'],'Operations':["
            "{'op':'replace','value':{'userName':'gone%d-%d','@EU:manager':'bulkId:g%d'}}]}},"
            "{'method':'POST','path':'/Users','bulkId':'u%d','data':{'schemas':['@U'],"
            "'userName':'name%d-%d'}},%s",
            holder, count, k, k + 1, k, count, k, users);
    }
    return run(apr_psprintf(pool,
                            "%s{'method':'POST','path':'/Groups','bulkId':'g%d','data':{"
                            "'schemas':['@G'],'displayName':'last','members':["
                            "{'value':'bulkId:bad'}]}},%s" POST_BAD(
                                "bad") ","
                                       "{'method':'POST','path':'/Groups','bulkId':'p','data':{"
                                       "'schemas':['@G'],'displayName':'p%d','members':["
                                       "{'value':'bulkId:q'}]}},"
                                       "{'method':'POST','path':'/Users','bulkId':'q','data':{"
                                       "'schemas':['@U'],'userName':'q%d'}}",
                            groups, count, users, count, count));
}

/* What is at the end of a job of so many links. */
static void assert_links(int count, const char *good_group)
{
    const json_t *entries = run_links(count);
    size_t i, last = json_array_size(entries) - 1;

    assert_int_equal(last + 1, 3 * count + 4);
    assert_string_equal(member_at(entries, last, "status"), "201");
    assert_string_equal(member_at(entries, last - 1, "status"), good_group);
    for (i = 0; i < last - 1; i++) {
        assert_int_equal(member_at(entries, i, "status")[0], '4');
    }
}

static void test_many_runs(void **state)
{
    assert_links(1, "201");
    assert_links(5, "201");
    /* in the end no promise is relied on any more */
    assert_links(30, "400");
}

static void test_fail_on_errors_and_references(void **state)
{
    const json_t *entries = run_body(body_with(
        POST_GROUP("g", "g", MEMBER("late")) ","
                                             "{'method':'DELETE','path':'/Users/" NOBODY
                                             "'}," POST_USER("late", "late", ""),
        ",'failOnErrors':1"));

    /* what is never reached creates nothing */
    assert_string_equal(statuses(entries), "400");
    assert_int_equal(total_of("/Groups") + total_of("/Users"), 0);
}

/* What was created and deleted in the job is no target any more. */
static void test_deleted_again(void **state)
{
    const json_t *entries = run(POST_GROUP("g", "g", MEMBER("a")) "," POST_USER(
        "a", "a",
        "") ","
            "{'method':'DELETE','path':'/Users/bulkId:a'}," POST_GROUP(
                "h", "h",
                MEMBER("a")) ","
                             "{'method':'DELETE','path':'/Users/bulkId:a'}," POST_USER("b", "a",
                                                                                       ""));

    assert_string_equal(statuses(entries), "201 201 204 400 404 201");
    assert_int_equal(size_of(get(url_at(entries, 0)), "members"), 0);
}

static void test_custom_references(void **state)
{
    const json_t *entries = run(
        "{'method':'POST','path':'/Devices','bulkId':'d','data':{'schemas':['urn:x:device'],"
        "'name':'phone','owners':[{'value':'bulkId:a'},{'value':'bulkId:b'}]}}," POST_USER(
            "a", "a", "") "," POST_USER("b", "b", ""));
    scim_reply reply;

    assert_string_equal(statuses(entries), "201 201 201");
    reply = get(url_at(entries, 0));
    assert_string_equal(text_at(reply, "owners.0.value"), id_at(entries, 1));
    assert_string_equal(text_at(reply, "owners.1.value"), id_at(entries, 2));
    assert_non_null(text_at(reply, "owners.0.$ref"));
}

/* The store */

static apr_uint64_t updates(void)
{
    scim_kv_stat stat;

    scim_kv_statistics(scim_store_kv(store), &stat);
    return stat.updates;
}

static void test_one_commit(void **state)
{
    const char *operations = "";
    apr_uint64_t before = updates();
    const json_t *entries;
    int i;

    for (i = 0; i < 500; i++) {
        operations = apr_psprintf(pool,
                                  "%s%s{'method':'POST','path':'/Users','bulkId':'%d','data':{"
                                  "'schemas':['@U'],'userName':'u%d'}}",
                                  operations, i ? "," : "", i, i);
    }
    entries = run(operations);
    assert_int_equal(json_array_size(entries), 500);
    assert_string_equal(member_at(entries, 499, "status"), "201");
    assert_int_equal(updates(), before + 1);
    assert_int_equal(total_of("/Users"), 500);
}

static void test_all_fail(void **state)
{
    scim_kv_stat before, after;
    const json_t *entries;

    create_user("a");
    scim_kv_statistics(scim_store_kv(store), &before);
    entries = run(POST_BAD("1") "," POST_USER(
        "2", "a", "") ","
                      "{'method':'DELETE','path':'/Users/" NOBODY "'}");
    assert_string_equal(statuses(entries), "400 409 404");
    scim_kv_statistics(scim_store_kv(store), &after);
    assert_int_equal(after.entries, before.entries);
    assert_int_equal(after.used, before.used);
}

/* A fault of the store is the answer to the job, which leaves nothing. */
static void test_store_fault(void **state)
{
    const char *body = body_with(POST_USER("1", "a", "") "," POST_USER("2", "b", ""), "");
    scim_reply reply;
    int n = 0;

    for (;;) {
        scim_kv_memory_fail(scim_store_kv(store), ++n);
        reply = submit(SCIM_POST, "/Bulk", body);
        if (reply.status == 200) {
            break;
        }
        assert_error(reply, 500, NULL);
        assert_non_null(reply.error->cause);
        assert_int_equal(total_of("/Users"), 0);
    }
    assert_true(n > 6);
    assert_int_equal(total_of("/Users"), 2);
}

static void reopen(scim_kv_options kv)
{
    scim_store_options options = {.kv = kv, .registry = registry};

    assert_null(scim_store_open(&store, "memory:", &options, pool));
    open_tenant(&identity.tenant, "acme");
}

static void test_full_store(void **state)
{
    scim_kv_stat stat;
    const char *operations = "";
    int i;

    reopen((scim_kv_options){.create = true});
    scim_kv_statistics(scim_store_kv(store), &stat);
    reopen((scim_kv_options){.create = true, .size = stat.used + 4000});
    for (i = 0; i < 100; i++) {
        operations = apr_psprintf(pool,
                                  "%s%s{'method':'POST','path':'/Users','bulkId':'%d','data':{"
                                  "'schemas':['@U'],'userName':'u%d'}}",
                                  operations, i ? "," : "", i, i);
    }
    assert_error(submit(SCIM_POST, "/Bulk", body_with(operations, "")), 507, NULL);
    assert_int_equal(total_of("/Users"), 0);
    create_user("a");
}

static void test_not_allowed(void **state)
{
    const char *body = body_with(POST_USER("1", "a", ""), "");
    scim_call call = call_of(SCIM_POST, "/Bulk", body);

    identity.scopes = SCIM_SCOPE_READ;
    assert_error(submit(SCIM_POST, "/Bulk", body), 403, NULL);
    identity.scopes = SCIM_SCOPE_WRITE;
    assert_status(submit(SCIM_POST, "/Bulk", body), 200);
    call.person = "a";
    call.identity = NULL;
    assert_error(ask(&call), 401, NULL);
    call = call_of(SCIM_POST, "/Bulk", body);
    call.store = NULL;
    assert_error(ask(&call), 503, NULL);
}

/* What the job told of its changes; @0, @1 stand for the ids of its entries. */
static void assert_events(scim_reply reply, const char *expected)
{
    const json_t *entries = json_object_get(json_of(&reply), "Operations");
    const char *events = events_of(reply), *at;
    char name[] = "@0";

    for (; name[1] - '0' < (int)json_array_size(entries); name[1]++) {
        const char *location = member_at(entries, (size_t)(name[1] - '0'), "location");
        const char *id = location ? strrchr(location, '/') + 1 : "none";

        while ((at = strstr(events, id))) {
            events = apr_pstrcat(pool, apr_pstrmemdup(pool, events, (apr_size_t)(at - events)),
                                 name, at + strlen(id), NULL);
        }
    }
    assert_string_equal(events, expected);
}

/* In the order of the operations, of those that changed anything. */
static void test_events(void **state)
{
    const char *old = create_user("old"), *gone = create_user("gone");
    const char *operations = apr_psprintf(
        pool,
        "{'method':'DELETE','path':'/Users/%s'}," POST_BAD("bad") "," POST_GROUP(
            "g", "g",
            MEMBER("u")) "," POST_USER("u", "u",
                                       "") ","
                                           "{'method':'PATCH','path':'/Users/"
                                           "%s','data':{'schemas':['@PO'],'Operations':["
                                           "{'op':'add','path':'userName','value':'old'}]}},"
                                           "{'method':'PUT','path':'/Users/"
                                           "%s','data':{'schemas':['@U'],'userName':'older'}},"
                                           "{'method':'DELETE','path':'/Users/bulkId:u'}",
        gone, old, old);
    scim_reply reply = submit(SCIM_POST, "/Bulk", body_with(operations, ""));

    assert_int_equal(reply.count, 7);
    assert_events(reply, "users.delete @0 -\n"
                         "groups.create @2 displayName,members\n"
                         "users.create @3 userName\n"
                         "users.replace @4 userName\n"
                         "users.delete @3 -\n");
}

/* The members that a deleted group takes along stand behind it; what the policy
 * deactivates is a change. */
static void test_events_of_deleted_groups(void **state)
{
    const char *ann = create_user("ann"), *bob = create_user("bob");
    const char *one = create_group("staff one", member(ann));
    const char *two = create_group("staff two", member(bob));
    const char *operations =
        apr_psprintf(pool,
                     "{'method':'DELETE','path':'/Groups/%s'},"
                     "{'method':'DELETE','path':'/Groups/%s'}," POST_USER("u", "u", ""),
                     one, two);
    scim_role_pattern role;
    scim_reply reply;

    assert_true(scim_role_pattern_make(&role, "staff", "staff*", pool));
    identity.tenant.policy.roles = &role;
    identity.tenant.policy.roles_count = 1;
    identity.tenant.policy.on_group_delete = SCIM_ON_DELETE_DEACTIVATE;
    reply = submit(SCIM_POST, "/Bulk", body_with(operations, ""));
    assert_int_equal(reply.count, 3);
    assert_events(reply, text_of("groups.delete @0 -\n"
                                 "users.patch %s active for @0\n"
                                 "groups.delete @1 -\n"
                                 "users.patch %s active for @1\n"
                                 "users.create @2 userName\n",
                                 ann, bob));
}

/* Of a job that was run more than once, only the run that was committed tells. */
static void test_events_of_runs(void **state)
{
    scim_reply reply = submit(
        SCIM_POST, "/Bulk",
        body_with(POST_USER("a", "a", "") "," POST_GROUP("g", "g", MEMBER("b")) "," POST_BAD(
                      "b") "," POST_USER("c", "c", ""),
                  ""));

    assert_string_equal(statuses(json_object_get(json_of(&reply), "Operations")),
                        "201 400 400 201");
    assert_events(reply, "users.create @0 userName\nusers.create @3 userName\n");
}

static void test_no_events(void **state)
{
    const char *good = POST_USER("1", "a", "") "," POST_USER("2", "b", "");

    assert_null(submit(SCIM_POST, "/Bulk", body_with(POST_BAD("a"), "")).events);
    assert_null(submit(SCIM_POST, "/Bulk", body_with("", "")).events);
    scim_kv_memory_fail(scim_store_kv(store), 5);
    assert_null(assert_status(submit(SCIM_POST, "/Bulk", body_with(good, "")), 500).events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-230 C-231 C-233 a good job", test_good_job, begin, end, NULL},
        {"C-069 a projection is not for Bulk", test_projection_is_ignored, begin, end, NULL},
        {"C-231 C-232 locations of what failed", test_locations, begin, end, NULL},
        {"C-232 C-233 C-235 C-236 operations that are wrong", test_bad_operations, begin, end,
         NULL},
        {"C-235 a bulkId twice", test_duplicate_bulk_id, begin, end, NULL},
        {"C-033 C-058 C-232 conflicts within a job", test_conflicts, begin, end, NULL},
        {"C-233 C-234 failOnErrors", test_fail_on_errors, begin, end, NULL},
        {"C-246 C-248 frames", test_bad_frames, begin, end, NULL},
        {"C-241 more operations than maxOperations", test_too_many_operations, begin, end,
         NULL},
        {"C-245 forms of method and path", test_forms, begin, end, NULL},
        {"C-243 PATCH data is a whole PatchOp", test_patch_data, begin, end, NULL},
        {"C-242 versions", test_versions, begin, end, NULL},
        {"C-225 C-242 versions that are required", test_require_version, begin, end, NULL},
        {"C-237 references in values", test_references, begin, end, NULL},
        {"C-237 C-240 references in paths", test_paths, begin, end, NULL},
        {"C-238 references ahead", test_forward, begin, end, NULL},
        {"C-239 circles", test_circles, begin, end, NULL},
        {"C-215 C-239 a group in itself", test_self, begin, end, NULL},
        {"C-240 references to what failed, or never was", test_unresolved, begin, end, NULL},
        {"C-240 chains and circles that break", test_broken_chain, begin, end, NULL},
        {"C-240 a long chain that breaks", test_long_chain, begin, end, NULL},
        {"C-240 a job that takes many runs", test_many_runs, begin, end, NULL},
        {"C-234 C-240 references to what is never reached", test_fail_on_errors_and_references,
         begin, end, NULL},
        {"C-212 C-240 references to what was deleted again", test_deleted_again, begin, end,
         NULL},
        {"C-237 references of an organisation's own type", test_custom_references, begin, end,
         NULL},
        {"C-244 500 operations are one commit", test_one_commit, begin, end, NULL},
        {"C-244 a job of which all fails writes nothing", test_all_fail, begin, end, NULL},
        {"C-244 a fault of the store ends the job", test_store_fault, begin_in_memory, end,
         NULL},
        {"C-244 a full store takes nothing of a job", test_full_store, begin, end, NULL},
        {"C-247 who may not write runs no job", test_not_allowed, begin, end, NULL},
        {"each operation that changes anything is an event", test_events, begin, end, NULL},
        {"events of what a deleted group takes along", test_events_of_deleted_groups, begin,
         end, NULL},
        {"events of the run that was committed", test_events_of_runs, begin, end, NULL},
        {"a job that changes nothing has no events", test_no_events, begin_in_memory, end,
         NULL},
    };

    make_registry(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
