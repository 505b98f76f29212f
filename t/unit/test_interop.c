/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What identity providers send, and what becomes of it.
 *
 * JSON is written with ' for " and ` for \" (quotes within a string).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/interop.h"
#include "scim/json.h"

#define CU SCIM_URN_USER
#define CG SCIM_URN_GROUP
#define EU SCIM_URN_ENTERPRISE
#define IS_USER "'schemas':['" CU "']"
#define PO "'schemas':['" SCIM_URN_PATCH "']"

static apr_pool_t *pool;
static const scim_resource_type *user;
static const scim_resource_type *group;

static const char *quoted(const char *text)
{
    apr_size_t len = strlen(text);
    char *out = apr_palloc(pool, 2 * len + 1);
    char *at = out;
    for (; *text; text++) {
        if (*text == '`') {
            *at++ = '\\';
        }
        *at++ = *text == '\'' || *text == '`' ? '"' : *text;
    }
    *at = '\0';
    return out;
}

static json_t *parse(const char *text)
{
    const char *json = quoted(text);
    json_t *out;
    const scim_error *err = scim_json_read(&out, json, strlen(json), pool);
    if (err) {
        fail_msg("%s: %s", json, err->detail);
    }
    return out;
}

typedef const scim_error *(*normaliser)(json_t **, const json_t *, const scim_resource_type *,
                                        bool, apr_pool_t *);

/* Runs it, and sees that the message stays as it was. */
static const scim_error *run(json_t **out, normaliser normalise, const char *text,
                             const scim_resource_type *type, bool lenient)
{
    json_t *body = parse(text);
    json_t *before = scim_json_adopt(json_deep_copy(body), pool);
    const scim_error *err = normalise(out, body, type, lenient, pool);
    assert_true(json_equal(body, before));
    return err;
}

static void expect(normaliser normalise, const scim_resource_type *type, bool lenient,
                   const char *text, const char *expected)
{
    json_t *out;
    apr_size_t len;
    const scim_error *err = run(&out, normalise, text, type, lenient);
    if (err) {
        fail_msg("%s: %s", text, err->detail);
    }
    if (!json_equal(out, parse(expected))) {
        fail_msg("%s\nbecame    %s\ninstead of %s", text, scim_json_write(out, &len, pool),
                 quoted(expected));
    }
}

static void refuse(normaliser normalise, const scim_resource_type *type, bool lenient,
                   const char *text, scim_error_code code, const char *words)
{
    json_t *out;
    const scim_error *err = run(&out, normalise, text, type, lenient);
    if (!err) {
        fail_msg("%s was accepted", text);
    }
    assert_int_equal(err->code, code);
    if (!strstr(err->detail, quoted(words))) {
        fail_msg("\"%s\" does not say %s", err->detail, words);
    }
}

#define RESOURCE scim_interop_resource
#define PATCH scim_interop_patch

/* One operation as it was sent, and what it must become. */
static void expect_operations(bool lenient, const char *sent, const char *expected)
{
    expect(PATCH, user, lenient, apr_pstrcat(pool, "{" PO ",'Operations':[", sent, "]}", NULL),
           apr_pstrcat(pool, "{" PO ",'Operations':[", expected, "]}", NULL));
}

static void expect_group_operations(bool lenient, const char *sent, const char *expected)
{
    expect(PATCH, group, lenient, apr_pstrcat(pool, "{" PO ",'Operations':[", sent, "]}", NULL),
           apr_pstrcat(pool, "{" PO ",'Operations':[", expected, "]}", NULL));
}

/* Attributes of a user as they were sent, and what they must become. */
static void expect_user(bool lenient, const char *sent, const char *expected)
{
    expect(RESOURCE, user, lenient, apr_pstrcat(pool, "{" IS_USER ",", sent, "}", NULL),
           apr_pstrcat(pool, "{" IS_USER ",", expected, "}", NULL));
}

static void test_boolean(void **state)
{
    bool truth = false;
    assert_true(scim_interop_boolean("True", &truth));
    assert_true(truth);
    assert_true(scim_interop_boolean("FALSE", &truth));
    assert_false(truth);
    assert_false(scim_interop_boolean("yes", &truth));
    assert_false(scim_interop_boolean("", &truth));
    assert_false(scim_interop_boolean("true ", &truth));
}

static void test_schemas_faults(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        refuse(RESOURCE, user, lenient, "{'userName':'a'}", SCIM_E_INVALID_SYNTAX, "missing");
        refuse(RESOURCE, user, lenient, "{'schemas':null}", SCIM_E_INVALID_SYNTAX, "null");
        refuse(RESOURCE, user, lenient, "{'schemas':[]}", SCIM_E_INVALID_SYNTAX, CU);
        refuse(RESOURCE, user, lenient, "{'schemas':'" CU "'}", SCIM_E_INVALID_SYNTAX,
               "a string");
        refuse(RESOURCE, user, lenient, "{'schemas':[1]}", SCIM_E_INVALID_SYNTAX, "URNs");
        refuse(RESOURCE, user, lenient, "{'schemas':['" EU "']}", SCIM_E_INVALID_VALUE,
               "does not list " CU);
        refuse(RESOURCE, user, lenient,
               "{'schemas':['" CU "','URN:ietf:params:scim:schemas:core:2.0:user']}",
               SCIM_E_INVALID_VALUE, "twice");
        refuse(RESOURCE, user, lenient, "{'schemas':['urn:x:y','" CU "','urn:x:Y']}",
               SCIM_E_INVALID_VALUE, lenient ? "twice" : "urn:x:y");
    }
}

static void test_schemas_unknown(void **state)
{
    refuse(RESOURCE, user, false, "{'schemas':['" CU "','urn:x:y']}", SCIM_E_INVALID_VALUE,
           "urn:x:y, which is no schema of a User");
    refuse(RESOURCE, user, false, "{'schemas':['urn:x:y']}", SCIM_E_INVALID_VALUE, "urn:x:y");
    expect(RESOURCE, user, true, "{'schemas':['" CU "','" EU "','urn:x:y']}",
           "{'schemas':['" CU "','" EU "']}");
    expect(
        RESOURCE, user, true,
        "{'schemas':['urn:scim:schemas:core:2.0','urn:scim:schemas:extension:enterprise:2.0']}",
        "{'schemas':['" CU "']}");
}

static void test_schemas_order(void **state)
{
    expect(RESOURCE, user, false, "{'SCHEMAS':['" EU "','" CU "'],'userName':'a'}",
           "{'schemas':['" EU "','" CU "'],'userName':'a'}");
}

static void test_names(void **state)
{
    expect_user(false, "'USERNAME':'a','EXTERNALID':'b'", "'userName':'a','externalId':'b'");
    expect_user(true,
                "'Name':{'GIVENNAME':'b'},'Emails':[{'Primary':true,'Value':'x'}],"
                "'urn:IETF:params:scim:schemas:extension:enterprise:2.0:user':"
                "{'Department':'bob','Manager':{'Value':'SuzzyQ'}}",
                "'name':{'givenName':'b'},'emails':[{'primary':true,'value':'x'}],"
                "'" EU "':{'department':'bob','manager':{'value':'SuzzyQ'}}");
}

static void test_nested_core(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        expect_user(lenient, "'title':'t','" CU "':{'USERNAME':'a','foo':1}",
                    "'title':'t','userName':'a','foo':1");
        refuse(RESOURCE, user, lenient,
               "{" IS_USER ",'userName':'b','" CU "':{'userName':'a'}}", SCIM_E_INVALID_SYNTAX,
               "'userName' is given twice");
        expect_user(lenient, "'userName':'b','" CU "':{'userName':null}", "'userName':'b'");
    }
}

static void test_extension(void **state)
{
    expect_user(false, "'" EU "':{'department':'d'}", "'" EU "':{'department':'d'}");
    expect_user(false, "'" EU "':null", "'" EU "':null");
    expect_user(false, "'" EU "':'text'", "'" EU "':'text'");
    expect_user(false, "'" EU "':{'foo':'d'}", "'" EU "':{'foo':'d'}");
}

static void test_extension_bare(void **state)
{
    expect_user(true, "'department':null,'manager':null,'costCenter':'c'",
                "'" EU "':{'department':null,'manager':null,'costCenter':'c'}");
    expect_user(true, "'department':null,'" EU "':{'Department':'d'}",
                "'" EU "':{'department':'d'}");
    refuse(RESOURCE, user, true, "{" IS_USER ",'department':'a','" EU "':{'department':'d'}}",
           SCIM_E_INVALID_SYNTAX, "'department' is given twice");
    expect_user(false, "'department':'d'", "'department':'d'");
}

static void test_dotted(void **state)
{
    expect_user(true, "'name.givenName':'b','name':null,'" EU ":costCenter':'c'",
                "'name':{'givenName':'b'},'" EU "':{'costCenter':'c'}");
    expect_user(false, "'name.givenName':'b'", "'name.givenName':'b'");
}

static void test_unknown(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        expect_user(lenient, "'adreses':[{'a':1}],'name':{'foo':true},'emails.value':'x'",
                    "'adreses':[{'a':1}],'name':{'foo':true},'emails.value':'x'");
    }
}

static void test_booleans(void **state)
{
    expect_user(true, "'active':'True','roles':[{'primary':'false','value':'r'}]",
                "'active':true,'roles':[{'primary':false,'value':'r'}]");
    expect_user(true, "'active':'yes'", "'active':'yes'");
    expect_user(true, "'active':1", "'active':1");
    expect_user(true, "'title':'True'", "'title':'True'");
    expect_user(false, "'active':'True'", "'active':'True'");
}

static void test_lists(void **state)
{
    expect_user(true, "'emails':{'value':'a@b.c'}", "'emails':[{'value':'a@b.c'}]");
    expect_user(true, "'emails':'a@b.c'", "'emails':[{'value':'a@b.c'}]");
    expect_user(true, "'emails':['a@b.c',null,'']", "'emails':[{'value':'a@b.c'}]");
    expect_user(true, "'emails':null,'phoneNumbers':'','roles':[]",
                "'emails':null,'phoneNumbers':[],'roles':[]");
    expect_user(true, "'addresses':'street'", "'addresses':['street']");
    expect_user(true, "'emails':5", "'emails':[5]");
    expect_user(true, "'name':'John'", "'name':'John'");
    expect_user(false, "'emails':{'value':'a@b.c'}", "'emails':{'value':'a@b.c'}");
}

static void test_display(void **state)
{
    expect_user(true, "'roles':[{'value':'a','displayName':'A'}]",
                "'roles':[{'value':'a','displayName':'A','display':'A'}]");
    expect_user(true, "'roles':[{'value':'a','displayName':'A','display':'B'}]",
                "'roles':[{'value':'a','displayName':'A','display':'B'}]");
}

static void test_manager(void **state)
{
    static const char *const same[] = {
        "'myuser'",           "['myuser']", "{'value':'myuser'}", "[{'value':'myuser'}]",
        "{'Value':'myuser'}",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        expect_user(true, apr_pstrcat(pool, "'" EU "':{'manager':", same[i], "}", NULL),
                    "'" EU "':{'manager':{'value':'myuser'}}");
        expect_user(true, apr_pstrcat(pool, "'manager':", same[i], NULL),
                    "'" EU "':{'manager':{'value':'myuser'}}");
    }
    expect_user(true, "'manager':{'value':'','$ref':'../Users/x'}",
                "'" EU "':{'manager':null}");
    expect_user(true, "'manager':''", "'" EU "':{'manager':''}");
    expect_user(true, "'manager':{'$ref':'../Users/x'}",
                "'" EU "':{'manager':{'$ref':'../Users/x','value':'x'}}");
    expect_user(false, "'" EU "':{'manager':'m'}", "'" EU "':{'manager':'m'}");
}

static void test_members(void **state)
{
    expect(RESOURCE, group, true,
           "{'schemas':['" CG "'],'members':['a',{'$ref':'https://h/Users/b'},"
           "{'$ref':null,'value':'c'},{'value':'d','displayName':'D'},{'$ref':'x/'}]}",
           "{'schemas':['" CG "'],'members':[{'value':'a'},"
           "{'$ref':'https://h/Users/b','value':'b'},{'$ref':null,'value':'c'},"
           "{'value':'d','displayName':'D','display':'D'},{'$ref':'x/'}]}");
}

static void test_patch_frame(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        refuse(PATCH, user, lenient, "{" PO "}", SCIM_E_INVALID_SYNTAX, "missing");
        refuse(PATCH, user, lenient, "{" PO ",'Operations':{}}", SCIM_E_INVALID_SYNTAX,
               "an array, is an object");
        refuse(PATCH, user, lenient, "{'schemas':['" CU "'],'Operations':[{'op':'add'}]}",
               SCIM_E_INVALID_SYNTAX, SCIM_URN_PATCH);
        refuse(PATCH, user, lenient, "{'schemas':'x','Operations':[{'op':'add'}]}",
               SCIM_E_INVALID_SYNTAX, SCIM_URN_PATCH);
        refuse(PATCH, user, lenient, "{" PO ",'Operations':[{'op':'add'},7]}",
               SCIM_E_INVALID_SYNTAX, "Operations[1]: must be an object, is an integer");
        refuse(PATCH, user, lenient, "{" PO ",'Operations':[{'path':'title'}]}",
               SCIM_E_INVALID_SYNTAX,
               "op must be 'add', 'remove' or 'replace', and is missing");
        refuse(PATCH, user, lenient, "{" PO ",'Operations':[{'op':'move','path':'title'}]}",
               SCIM_E_INVALID_SYNTAX, "Operations[0]: op must be");
        refuse(PATCH, user, lenient, "{" PO ",'Operations':[{'op':'remove','path':[]}]}",
               SCIM_E_INVALID_SYNTAX, "path must be a string");
    }
}

static void test_patch_profiles(void **state)
{
    refuse(PATCH, user, false, "{'Operations':[{'op':'remove','path':'title'}]}",
           SCIM_E_INVALID_SYNTAX, "schemas");
    expect(PATCH, user, true, "{'Operations':[{'op':'remove','path':'title'}]}",
           "{" PO ",'Operations':[{'op':'remove','path':'title'}]}");
    refuse(PATCH, user, false, "{" PO ",'Operations':[]}", SCIM_E_INVALID_SYNTAX, "empty");
    expect(PATCH, user, true, "{" PO ",'Operations':[]}", "{" PO ",'Operations':[]}");
    refuse(PATCH, user, false,
           "{'schemas':['" SCIM_URN_PATCH "','urn:x'],'Operations':[{'op':'add'}]}",
           SCIM_E_INVALID_SYNTAX, SCIM_URN_PATCH);
}

static void test_patch_case(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        expect(PATCH, user, lenient,
               "{'Schemas':['URN:IETF:params:scim:api:messages:2.0:patchop'],'id':'x',"
               "'operations':[{'name':'n','Op':'Replace','Path':'title','Value':'t'},"
               "{'OP':'ADD','value':{'title':'u'}},{'op':'Remove','path':'title'}]}",
               "{" PO ",'Operations':[{'op':'replace','path':'title','value':'t'},"
               "{'op':'add','value':{'title':'u'}},{'op':'remove','path':'title'}]}");
    }
}

static void test_patch_as_sent(void **state)
{
    static const char *const same[] = {
        "{'op':'add'}",
        "{'op':'add','value':'text'}",
        "{'op':'replace','value':{}}",
        "{'op':'replace','path':'','value':'x'}",
        "{'op':'replace','path':'a..b','value':'x'}",
        "{'op':'replace','path':'nothing','value':'True'}",
        "{'op':'replace','path':'title','value':null}",
        "{'op':'replace','path':'emails','value':[]}",
        "{'op':'add','path':'emails[type eq `work`]'}",
        "{'op':'remove'}",
        "{'op':'replace','value':{'id':'x','schemas':['" CU "'],'foo':1}}",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        expect_operations(true, same[i], same[i]);
        expect_operations(false, same[i], same[i]);
    }
    expect_operations(false, "{'op':'add','path':null,'value':{'title':'t'}}",
                      "{'op':'add','value':{'title':'t'}}");
}

static void test_patch_values(void **state)
{
    expect_operations(true, "{'op':'Replace','path':'active','value':'False'}",
                      "{'op':'replace','path':'active','value':false}");
    expect_operations(true,
                      "{'op':'add','path':'emails[type eq `work`].primary','value':'True'}",
                      "{'op':'add','path':'emails[type eq `work`].primary','value':true}");
    expect_operations(true,
                      "{'op':'add','path':'emails[type eq `a]b`]','value':{'Primary':'True'}}",
                      "{'op':'add','path':'emails[type eq `a]b`]','value':{'primary':true}}");
    expect_operations(true, "{'op':'add','path':'emails','value':{'value':'x'}}",
                      "{'op':'add','path':'emails','value':[{'value':'x'}]}");
    expect_operations(false, "{'op':'replace','path':'active','value':'False'}",
                      "{'op':'replace','path':'active','value':'False'}");
    expect_operations(true, "{'op':'add','path':'roles','value':[{'value':'{`id`:`06b0`}'}]}",
                      "{'op':'add','path':'roles','value':[{'value':'{`id`:`06b0`}'}]}");
}

static void test_patch_manager(void **state)
{
    static const char *const paths[] = {EU ":manager", "manager"};
    for (int i = 0; i < 2; i++) {
        const char *begin = apr_psprintf(pool, "{'op':'add','path':'%s','value':", paths[i]);
        const char *manager = apr_pstrcat(pool, begin, "{'value':'271'}}", NULL);
        expect_operations(true, apr_pstrcat(pool, begin, "'271'}", NULL), manager);
        expect_operations(true, apr_pstrcat(pool, begin, "[{'value':'271'}]}", NULL), manager);
        expect_operations(true, manager, manager);
        expect_operations(true, apr_pstrcat(pool, begin, "{'value':''}}", NULL),
                          apr_pstrcat(pool, begin, "null}", NULL));
    }
    expect_operations(true, "{'op':'replace','path':'" EU "','value':{'Manager':'m','x':1}}",
                      "{'op':'replace','path':'" EU
                      "','value':{'manager':{'value':'m'},'x':1}}");
    expect_operations(true, "{'op':'replace','path':'" EU "','value':''}",
                      "{'op':'replace','path':'" EU "','value':''}");
}

static void test_patch_nested_keys(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        expect_operations(
            lenient,
            "{'op':'replace','value':{'displayName':'Bjfe','name.givenName':'Kkom',"
            "'name.familyName':'Unua','" EU ":employeeNumber':'Aklq'}}",
            "{'op':'replace','value':{'displayName':'Bjfe',"
            "'name':{'givenName':'Kkom','familyName':'Unua'},"
            "'" EU "':{'employeeNumber':'Aklq'}}}");
        expect_operations(lenient,
                          "{'op':'replace','value':{'title':'','name.formatted':'',"
                          "'" EU ":department':''}}",
                          "{'op':'replace','value':{'title':'','name':{'formatted':''},"
                          "'" EU "':{'department':''}}}");
        expect_operations(lenient,
                          "{'op':'add','value':{'name':{'givenName':'a'},'NAME.familyName':'b',"
                          "'" CU ":title':'t','" CU "':{'nickName':'n'},'meta.location':'l'}}",
                          "{'op':'add','value':{'name':{'givenName':'a','familyName':'b'},"
                          "'title':'t','nickName':'n','meta':{'location':'l'}}}");
        expect_operations(lenient,
                          "{'op':'add','path':'" CU "','value':{'name.givenName':'a'}}",
                          "{'op':'add','value':{'name':{'givenName':'a'}}}");
        refuse(PATCH, user, lenient,
               "{" PO ",'Operations':[{'op':'add','value':{'name':{'givenName':'a'},"
               "'name.givenName':'b'}}]}",
               SCIM_E_INVALID_SYNTAX, "Operations[0]: 'givenName' is given twice");
    }
    expect_operations(true, "{'op':'add','value':{'manager':'m','name.foo':1}}",
                      "{'op':'add','value':{'" EU "':{'manager':{'value':'m'}},'name.foo':1}}");
    expect_operations(false, "{'op':'add','value':{'manager':'m','name.foo':1}}",
                      "{'op':'add','value':{'manager':'m','name.foo':1}}");
}

static void test_patch_value_path_keys(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        expect_operations(lenient,
                          "{'op':'Add','value':{'title':'t','emails[type eq `work`].value':'x',"
                          "'emails.display':'d','nickName':'n','active':true}}",
                          "{'op':'add','value':{'title':'t'}},"
                          "{'op':'add','path':'emails[type eq `work`].value','value':'x'},"
                          "{'op':'add','path':'emails.display','value':'d'},"
                          "{'op':'add','value':{'nickName':'n','active':true}}");
        expect_operations(lenient,
                          "{'op':'add','value':{'groups[value eq `x`].display':'x',"
                          "'emails[':1}}",
                          "{'op':'add','value':{'groups[value eq `x`].display':'x',"
                          "'emails[':1}}");
    }
}

static void test_patch_members(void **state)
{
    expect_group_operations(true, "{'op':'Add','path':'members','value':'string id 1'}",
                            "{'op':'add','path':'members','value':[{'value':'string id 1'}]}");
    expect_group_operations(
        true, "{'op':'Add','path':'members','value':[{'$ref':null,'value':'f6'}]}",
        "{'op':'add','path':'members','value':[{'$ref':null,'value':'f6'}]}");
    expect_group_operations(
        true, "{'op':'add','path':'members','value':[{'displayName':'new User','value':'a'}]}",
        "{'op':'add','path':'members',"
        "'value':[{'displayName':'new User','display':'new User','value':'a'}]}");
}

static void test_patch_remove_members(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        expect_group_operations(
            lenient, "{'op':'Remove','path':'members','value':[{'$ref':null,'value':'f6'}]}",
            "{'op':'remove','path':'members','value':[{'$ref':null,'value':'f6'}]}");
        expect_group_operations(lenient, "{'op':'remove','path':'members','value':[]}",
                                "{'op':'remove','path':'members','value':[]}");
        expect_group_operations(lenient, "{'op':'remove','path':'members'}",
                                "{'op':'remove','path':'members'}");
    }
    expect_group_operations(
        true, "{'op':'remove','path':'members','value':['a`] or (id pr',{'value':'b'}]}",
        "{'op':'remove','path':'members','value':[{'value':'a`] or (id pr'},{'value':'b'}]}");
    expect_group_operations(true, "{'op':'remove','path':'members','value':{'value':'b'}}",
                            "{'op':'remove','path':'members','value':[{'value':'b'}]}");
    expect_group_operations(true, "{'op':'remove','path':'members','value':''}",
                            "{'op':'remove','path':'members','value':[]}");
    expect_group_operations(true, "{'op':'remove','path':'members','value':[null]}",
                            "{'op':'remove','path':'members','value':[]}");
}

static void test_patch_named_member(void **state)
{
    static const char sent[] = "{'op':'add','path':'members[value eq `x\\\\`y`]'}";
    expect_group_operations(true, "{'op':'add','path':'Members[Value eq `x`]'}",
                            "{'op':'add','path':'members','value':[{'value':'x'}]}");
    expect_group_operations(true, sent,
                            "{'op':'add','path':'members','value':[{'value':'x`y'}]}");
    expect_group_operations(false, sent, sent);
    expect_group_operations(true, "{'op':'add','path':'members[display eq `x`]'}",
                            "{'op':'add','path':'members[display eq `x`]'}");
    refuse(PATCH, group, true, "{" PO ",'Operations':[{'op':'add','path':'members[value]'}]}",
           SCIM_E_INVALID_PATH, "Operations[0]: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"booleans as words", test_boolean, NULL, NULL, NULL},
        {"C-035 schemas of a resource", test_schemas_faults, NULL, NULL, NULL},
        {"C-035 unknown schemas by profile", test_schemas_unknown, NULL, NULL, NULL},
        {"C-036 the order of schemas is nothing", test_schemas_order, NULL, NULL, NULL},
        {"C-025 names have no case", test_names, NULL, NULL, NULL},
        {"C-054 core attributes under their URN", test_nested_core, NULL, NULL, NULL},
        {"C-037 extensions need not be listed", test_extension, NULL, NULL, NULL},
        {"attributes of an extension without URN", test_extension_bare, NULL, NULL, NULL},
        {"dotted and URN keys in a resource", test_dotted, NULL, NULL, NULL},
        {"unknown attributes are handed on", test_unknown, NULL, NULL, NULL},
        {"booleans as strings in interop", test_booleans, NULL, NULL, NULL},
        {"one value for a list in interop", test_lists, NULL, NULL, NULL},
        {"displayName for display in interop", test_display, NULL, NULL, NULL},
        {"every form of manager", test_manager, NULL, NULL, NULL},
        {"every form of members", test_members, NULL, NULL, NULL},
        {"C-170 frame of a PatchOp", test_patch_frame, NULL, NULL, NULL},
        {"C-170 PatchOp without schemas or operations", test_patch_profiles, NULL, NULL, NULL},
        {"C-171 op and keys in any case", test_patch_case, NULL, NULL, NULL},
        {"what PATCH judges is left alone", test_patch_as_sent, NULL, NULL, NULL},
        {"values of operations", test_patch_values, NULL, NULL, NULL},
        {"manager in operations", test_patch_manager, NULL, NULL, NULL},
        {"C-203 dotted and URN keys are nested", test_patch_nested_keys, NULL, NULL, NULL},
        {"C-203 value path keys become operations", test_patch_value_path_keys, NULL, NULL,
         NULL},
        {"members in operations", test_patch_members, NULL, NULL, NULL},
        {"C-186 remove of listed members", test_patch_remove_members, NULL, NULL, NULL},
        {"add of a member by its path alone", test_patch_named_member, NULL, NULL, NULL},
    };
    const scim_registry *registry;
    const scim_error *err;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    err = scim_registry_make(&registry, pool);
    if (err) {
        print_error("%s\n", err->detail);
        return 1;
    }
    user = scim_registry_type(registry, "User");
    group = scim_registry_type(registry, "Group");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
