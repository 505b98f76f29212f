/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projection: one resource, seen through attributes and excludedAttributes.
 *
 * Resources and what is expected of them are written with ' for ".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>

#include "scim/json.h"
#include "scim/project.h"
#include "scim/schema.h"

#define HEAD "'schemas':['" SCIM_URN_USER "','" SCIM_URN_ENTERPRISE "'],'id':'2819c223'"
#define NAME "'name':{'formatted':'Ms. Barbara','familyName':'Jensen','givenName':'Barbara'}"
#define EMAILS                                                          \
    "'emails':[{'value':'b@example.com','type':'work','primary':true}," \
    "{'value':'babs@example.org','type':'home'}]"
#define META \
    "'meta':{'resourceType':'User','location':'https://x/Users/2819c223','version':'v'}"
#define ENTERPRISE          \
    "'" SCIM_URN_ENTERPRISE \
    "':{'employeeNumber':'701','manager':{'value':'m','displayName':'Jo'}}"
#define USER \
    HEAD ",'externalId':'e','userName':'bjensen'," NAME "," EMAILS "," ENTERPRISE "," META

static apr_pool_t *pool;
static const scim_registry *registry;
static const scim_resource_type *user;

static int set_up(void **state)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return -1;
    }
    user = scim_registry_type(registry, "User");
    return 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static char *quoted(const char *text)
{
    char *copy = apr_pstrdup(pool, text);

    for (char *c = copy; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    return copy;
}

static json_t *object(const char *members)
{
    const char *text = quoted(apr_pstrcat(pool, "{", members, "}", NULL));
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (!json) {
        fail_msg("no JSON: %s", text);
    }
    return scim_json_adopt(json, pool);
}

static const scim_projection *parse(const char *attributes, const char *excluded,
                                    const scim_resource_type *type)
{
    const scim_projection *projection = NULL;
    const scim_error *err =
        scim_projection_parse(&projection, attributes, excluded, type, pool);

    if (err) {
        fail_msg("%s", err->detail);
    }
    return projection;
}

static void check_type(const char *resource, const char *attributes, const char *excluded,
                       const char *expected, const scim_resource_type *type)
{
    json_t *whole = object(resource);
    json_t *before = scim_json_adopt(json_deep_copy(whole), pool);
    json_t *shown = scim_projection_apply(parse(attributes, excluded, type), whole, type, pool);

    if (!json_equal(shown, object(expected))) {
        apr_size_t len;
        fail_msg("attributes=%s excludedAttributes=%s: %s", attributes ? attributes : "-",
                 excluded ? excluded : "-", scim_json_write(shown, &len, pool));
    }
    assert_true(json_equal(whole, before));
}

static void check(const char *attributes, const char *excluded, const char *expected)
{
    check_type(USER, attributes, excluded, expected, user);
}

static void test_one_attribute(void **state)
{
    check("userName", NULL, HEAD ",'userName':'bjensen'");
    check("id", NULL, HEAD);
    check("nickName", NULL, HEAD);
    check("userName,emails", NULL, HEAD ",'userName':'bjensen'," EMAILS);
}

static void test_names(void **state)
{
    check("USERNAME", NULL, HEAD ",'userName':'bjensen'");
    check(SCIM_URN_USER ":userName", NULL, HEAD ",'userName':'bjensen'");
    check(SCIM_URN_USER ":externalId", NULL, HEAD ",'externalId':'e'");
    check(SCIM_URN_USER ":meta.version", NULL, HEAD ",'meta':{'version':'v'}");
    check("name", NULL, HEAD "," NAME);
    check("externalId", NULL, HEAD ",'externalId':'e'");
}

static void test_sub_attributes(void **state)
{
    check("name.givenName", NULL, HEAD ",'name':{'givenName':'Barbara'}");
    check("NAME.GIVENNAME,name.familyName", NULL,
          HEAD ",'name':{'familyName':'Jensen','givenName':'Barbara'}");
    check("name.givenName,name", NULL, HEAD "," NAME);
    check("name.middleName", NULL, HEAD);
    check("emails.value", NULL,
          HEAD ",'emails':[{'value':'b@example.com'},{'value':'babs@example.org'}]");
    check("emails.primary", NULL, HEAD ",'emails':[{'primary':true}]");
    check("meta.location", NULL, HEAD ",'meta':{'location':'https://x/Users/2819c223'}");
}

static void test_extensions(void **state)
{
    const char *manager = HEAD ",'" SCIM_URN_ENTERPRISE "':{'manager':{'displayName':'Jo'}}";

    check(SCIM_URN_ENTERPRISE, NULL, HEAD "," ENTERPRISE);
    check("URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:user", NULL,
          HEAD "," ENTERPRISE);
    check(SCIM_URN_ENTERPRISE ":manager.displayName", NULL, manager);
    check(SCIM_URN_ENTERPRISE ":MANAGER.displayname", NULL, manager);
    check("manager.displayName", NULL, manager);
    check(SCIM_URN_ENTERPRISE ":department", NULL, HEAD);
    check(SCIM_URN_ENTERPRISE ":employeeNumber", NULL,
          HEAD ",'" SCIM_URN_ENTERPRISE "':{'employeeNumber':'701'}");
}

/* All of the core, without what belongs to no schema. */
static void test_core_urn(void **state)
{
    const char *core = HEAD ",'externalId':'e','userName':'bjensen'," NAME "," EMAILS;

    check(SCIM_URN_USER, NULL, core);
    check(NULL, SCIM_URN_USER, HEAD "," ENTERPRISE "," META);
}

static void test_lists(void **state)
{
    const char *both = HEAD ",'externalId':'e','userName':'bjensen'";

    check("userName,externalId", NULL, both);
    check(" userName , externalId ", NULL, both);
    check(",userName,,\texternalId,", NULL, both);
    check("userName,userName,externalId", NULL, both);
    check("emails[type eq \"a,b]\\\"\"].value,userName", NULL,
          HEAD ",'userName':'bjensen','emails':[{'value':'b@example.com'},"
               "{'value':'babs@example.org'}]");
}

static void test_excluded(void **state)
{
    check(NULL, "emails",
          HEAD ",'externalId':'e','userName':'bjensen'," NAME "," ENTERPRISE "," META);
    check(NULL, "NAME.familyName,name.formatted",
          HEAD ",'externalId':'e','userName':'bjensen','name':{'givenName':'Barbara'}," EMAILS
               "," ENTERPRISE "," META);
    check(NULL, SCIM_URN_ENTERPRISE,
          HEAD ",'externalId':'e','userName':'bjensen'," NAME "," EMAILS "," META);
    check(NULL, "externalId,name,meta," SCIM_URN_ENTERPRISE ":manager, emails.type",
          HEAD ",'userName':'bjensen','emails':[{'value':'b@example.com','primary':true},"
               "{'value':'babs@example.org'}],'" SCIM_URN_ENTERPRISE
               "':{'employeeNumber':'701'}");
    check(NULL, "id,schemas,unknown", USER);
}

/* An attribute of which nothing is left is not shown as {} or [{}]. */
static void test_nothing_left(void **state)
{
    check(NULL,
          "name.familyName,name.givenName,name.formatted,emails," SCIM_URN_ENTERPRISE
          ":employeeNumber," SCIM_URN_ENTERPRISE ":manager",
          HEAD ",'externalId':'e','userName':'bjensen'," META);
    check_type(HEAD ",'emails':[{'value':'a'},{'value':'b','type':'work'}]", NULL,
               "emails.value", HEAD ",'emails':[{'type':'work'}]", user);
    check_type(HEAD ",'emails':[{'value':'a'}]", NULL, "emails.value", HEAD, user);
}

static void test_never_returned(void **state)
{
    const char *resource = HEAD ",'userName':'b','password':'t1meMa$heen'";

    check_type(resource, NULL, NULL, HEAD ",'userName':'b'", user);
    check_type(resource, "password", NULL, HEAD, user);
    check_type(resource, "password,userName", NULL, HEAD ",'userName':'b'", user);
    check_type(resource, SCIM_URN_USER ":PASSWORD", NULL, HEAD, user);
    check_type(resource, SCIM_URN_USER, NULL, HEAD ",'userName':'b'", user);
    check_type(resource, NULL, "userName", HEAD, user);
    check_type(resource, NULL, "password", HEAD ",'userName':'b'", user);
}

#define URN_TOOL "urn:example:2.0:Tool"
#define TOOL_HEAD "'schemas':['" URN_TOOL "'],'id':'t'"
#define TOOL_WHOLE                                    \
    TOOL_HEAD ",'plain':'p','asked':'q','fixed':'f'," \
              "'parts':[{'plain':'p','asked':'q','fixed':'f','hidden':'h'}]"

static const scim_resource_type *tool_type(void)
{
    char *schema =
        quoted("{'id':'" URN_TOOL "','name':'Tool','attributes':["
               "{'name':'plain'},{'name':'asked','returned':'request'},"
               "{'name':'fixed','returned':'always'},"
               "{'name':'parts','type':'complex','multiValued':true,'subAttributes':["
               "{'name':'plain'},{'name':'asked','returned':'request'},"
               "{'name':'fixed','returned':'always'},{'name':'hidden','returned':'never'}]},"
               "{'name':'kit','type':'complex','returned':'always','subAttributes':["
               "{'name':'plain'},{'name':'other'}]}]}");
    char *type = quoted("{'name':'Tool','endpoint':'/Tools','schema':'" URN_TOOL "'}");
    const scim_document documents[] = {{"Tool.json", false, schema, strlen(schema)},
                                       {"ToolType.json", true, type, strlen(type)}};
    const scim_registry *made = NULL;

    assert_null(scim_registry_build(&made, documents, 2, pool));
    return scim_registry_type(made, "Tool");
}

static void test_returned_on_request(void **state)
{
    const scim_resource_type *tool = tool_type();

    check_type(TOOL_WHOLE, NULL, NULL,
               TOOL_HEAD ",'plain':'p','fixed':'f','parts':[{'plain':'p','fixed':'f'}]", tool);
    check_type(TOOL_WHOLE, NULL, "plain",
               TOOL_HEAD ",'fixed':'f','parts':[{'plain':'p','fixed':'f'}]", tool);
    check_type(TOOL_WHOLE, "asked", NULL, TOOL_HEAD ",'asked':'q','fixed':'f'", tool);
    check_type(TOOL_WHOLE, "parts.asked", NULL,
               TOOL_HEAD ",'fixed':'f','parts':[{'asked':'q','fixed':'f'}]", tool);
    check_type(TOOL_WHOLE, URN_TOOL, NULL,
               TOOL_HEAD ",'plain':'p','fixed':'f','parts':[{'plain':'p','fixed':'f'}]", tool);
}

/* The answer to a request that wrote the members of sent. */
static void check_answer(const char *sent, const char *attributes, const char *excluded,
                         const char *expected)
{
    const scim_resource_type *tool = tool_type();
    apr_array_header_t *written = apr_array_make(pool, 1, sizeof(const scim_attribute *));
    const scim_projection *asked = parse(attributes, excluded, tool);
    const scim_projection *answer;
    json_t *shown;

    scim_projection_wrote_resource(written, object(sent), tool);
    answer = scim_projection_answer(asked, written, tool, pool);
    shown = scim_projection_apply(answer, object(TOOL_WHOLE), tool, pool);
    if (!json_equal(shown, object(expected))) {
        apr_size_t len;
        fail_msg("%s: %s", sent, scim_json_write(shown, &len, pool));
    }
    assert_true((answer == asked) == (written->nelts == 0));
}

static void test_written(void **state)
{
    check_answer("'plain':'p'", NULL, NULL,
                 TOOL_HEAD ",'plain':'p','fixed':'f','parts':[{'plain':'p','fixed':'f'}]");
    check_answer("'ASKED':'q'", NULL, NULL,
                 TOOL_HEAD
                 ",'plain':'p','asked':'q','fixed':'f','parts':[{'plain':'p','fixed':'f'}]");
    check_answer("'parts':[{'plain':'p'},{'asked':'q'}]", NULL, NULL,
                 TOOL_HEAD
                 ",'plain':'p','fixed':'f','parts':[{'plain':'p','asked':'q','fixed':'f'}]");
    check_answer("'parts':[{'hidden':'h'}]", NULL, NULL,
                 TOOL_HEAD ",'plain':'p','fixed':'f','parts':[{'plain':'p','fixed':'f'}]");
    check_answer("'asked':'q'", "plain", NULL, TOOL_HEAD ",'plain':'p','fixed':'f'");
    check_answer("'asked':'q'", NULL, "plain,parts", TOOL_HEAD ",'asked':'q','fixed':'f'");
    check_answer("'asked':'q'", NULL, "asked,parts", TOOL_HEAD ",'plain':'p','fixed':'f'");
}

static void test_always_returned(void **state)
{
    const scim_resource_type *tool = tool_type();

    check_type(TOOL_WHOLE, "plain", NULL, TOOL_HEAD ",'plain':'p','fixed':'f'", tool);
    check_type(TOOL_WHOLE, NULL, "fixed,parts.fixed,plain",
               TOOL_HEAD ",'fixed':'f','parts':[{'plain':'p','fixed':'f'}]", tool);
    check_type(TOOL_WHOLE, NULL, "parts", TOOL_HEAD ",'plain':'p','fixed':'f'", tool);
    check_type(TOOL_WHOLE, "parts.plain", NULL,
               TOOL_HEAD ",'fixed':'f','parts':[{'plain':'p','fixed':'f'}]", tool);
    check_type(TOOL_HEAD ",'kit':{'plain':'p','other':'o'}", "plain", NULL,
               TOOL_HEAD ",'kit':{'plain':'p','other':'o'}", tool);
    check_type(TOOL_HEAD ",'kit':{'plain':'p','other':'o'}", "kit.other", NULL,
               TOOL_HEAD ",'kit':{'other':'o'}", tool);
    check_type(TOOL_WHOLE, "parts.hidden", NULL,
               TOOL_HEAD ",'fixed':'f','parts':[{'fixed':'f'}]", tool);
}

static void test_both_lists(void **state)
{
    const scim_projection *projection = NULL;
    const scim_error *err =
        scim_projection_parse(&projection, "userName", "emails", user, pool);

    assert_non_null(err);
    assert_int_equal(err->code, SCIM_E_INVALID_VALUE);
    assert_int_equal(err->status, 400);
    assert_string_equal(err->scim_type, "invalidValue");
    assert_non_null(strstr(err->detail, "excludedAttributes"));
    assert_null(projection);
}

static void test_unknown_names(void **state)
{
    check("unknownName", NULL, HEAD);
    check("unknownName,userName", NULL, HEAD ",'userName':'bjensen'");
    check("name.unknown,emails.$ref,userName.value", NULL, HEAD);
    check("urn:example:2.0:User:userName", NULL, HEAD);
    check("..,a..b,[,emails[", NULL, HEAD);
    check(NULL, "unknownName", USER);
    check(NULL, "name.unknown,.,emails[", USER);
}

static void test_empty_lists(void **state)
{
    assert_null(parse(NULL, NULL, user));
    assert_null(parse("", "", user));
    assert_null(parse(" , ,", NULL, user));
    check("", NULL, USER);
    check(NULL, NULL, USER);
    check("", "emails,name,meta," SCIM_URN_ENTERPRISE,
          HEAD ",'externalId':'e','userName':'bjensen'");
    check("userName", "", HEAD ",'userName':'bjensen'");
}

static bool wants(const char *attributes, const char *excluded, const char *type,
                  const char *name)
{
    const scim_resource_type *of = scim_registry_type(registry, type);

    return scim_projection_wants(parse(attributes, excluded, of),
                                 scim_type_attribute(of, name, strlen(name)));
}

static void test_wants(void **state)
{
    assert_true(wants(NULL, NULL, "Group", "members"));
    assert_true(wants("members", NULL, "Group", "members"));
    assert_true(wants("displayName,Members.VALUE", NULL, "Group", "members"));
    assert_true(wants(SCIM_URN_GROUP, NULL, "Group", "members"));
    assert_false(wants("displayName", NULL, "Group", "members"));
    assert_false(wants("unknown", NULL, "Group", "members"));
    assert_false(wants(NULL, "members", "Group", "members"));
    assert_false(wants(NULL, SCIM_URN_GROUP, "Group", "members"));
    assert_true(wants(NULL, "members.display", "Group", "members"));
    assert_true(wants(NULL, "displayName", "Group", "members"));
    assert_true(wants("userName", NULL, "User", "id"));
    assert_true(wants(NULL, "id", "User", "id"));
    assert_false(wants("userName", NULL, "User", "groups"));
    assert_false(wants("password", NULL, "User", "password"));
    assert_false(wants(NULL, NULL, "User", "password"));
}

/* Entra wants "members":[] of a group that has none. */
static void test_empty_arrays_stay(void **state)
{
    const scim_resource_type *group = scim_registry_type(registry, "Group");
    const char *head = "'schemas':['" SCIM_URN_GROUP "'],'id':'g'";
    const char *whole = apr_pstrcat(pool, head, ",'displayName':'G','members':[]", NULL);

    check_type(whole, NULL, NULL, whole, group);
    check_type(whole, "members.value", NULL, apr_pstrcat(pool, head, ",'members':[]", NULL),
               group);
    check_type(whole, NULL, "members.display", whole, group);
    check_type(whole, NULL, "members", apr_pstrcat(pool, head, ",'displayName':'G'", NULL),
               group);
}

/* What a document no longer declares is not shown. */
static void test_undeclared(void **state)
{
    check_type(HEAD ",'userName':'b','shoeSize':42,'urn:example:2.0:Old':{'a':1}", NULL, NULL,
               HEAD ",'userName':'b'", user);
    check_type(HEAD ",'" SCIM_URN_ENTERPRISE "':{'shoeSize':42}", NULL, NULL, HEAD, user);
}

/* A client relies on no order, but a person reads the answer. */
static void test_order_stays(void **state)
{
    json_t *whole = object(USER);
    json_t *shown =
        scim_projection_apply(parse("meta,userName,name", NULL, user), whole, user, pool);
    static const char *const keys[] = {"schemas", "id", "userName", "name", "meta"};
    void *at = json_object_iter(shown);

    assert_int_equal(json_object_size(shown), 5);
    for (int i = 0; i < 5; i++, at = json_object_iter_next(shown, at)) {
        assert_string_equal(json_object_iter_key(at), keys[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-062 attributes=userName shows it, id and schemas", test_one_attribute, set_up,
         tear_down, NULL},
        {"C-063 names in any case, with or without the URN", test_names, set_up, tear_down,
         NULL},
        {"C-063 sub-attributes, of each element too", test_sub_attributes, set_up, tear_down,
         NULL},
        {"C-063 a whole extension, its attributes and sub-attributes", test_extensions, set_up,
         tear_down, NULL},
        {"C-063 the URN of the core schema names all of it", test_core_urn, set_up, tear_down,
         NULL},
        {"C-063 lists with blanks, empty names and filters", test_lists, set_up, tear_down,
         NULL},
        {"C-064 excludedAttributes takes out, but id and schemas stay", test_excluded, set_up,
         tear_down, NULL},
        {"C-064 what becomes empty is left out", test_nothing_left, set_up, tear_down, NULL},
        {"C-065 password is never shown", test_never_returned, set_up, tear_down, NULL},
        {"C-066 returned on request only when named", test_returned_on_request, set_up,
         tear_down, NULL},
        {"C-066 returned on request in the answer to what wrote it", test_written, set_up,
         tear_down, NULL},
        {"C-064 always returned whatever is asked", test_always_returned, set_up, tear_down,
         NULL},
        {"C-067 both lists are invalidValue", test_both_lists, set_up, tear_down, NULL},
        {"C-068 unknown names are ignored", test_unknown_names, set_up, tear_down, NULL},
        {"C-070 an empty list is none", test_empty_lists, set_up, tear_down, NULL},
        {"C-064 whether members and groups are read at all", test_wants, set_up, tear_down,
         NULL},
        {"C-064 an empty array stays one", test_empty_arrays_stay, set_up, tear_down, NULL},
        {"C-280 what is not declared is not shown", test_undeclared, set_up, tear_down, NULL},
        {"attributes keep their order", test_order_stays, set_up, tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
