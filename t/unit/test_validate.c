/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what was sent to what is stored: types, mutability, members, and the
 * bodies of identity providers from end to end.
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

#include "scim/country.h"
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/validate.h"

#define CU SCIM_URN_USER
#define CG SCIM_URN_GROUP
#define EU SCIM_URN_ENTERPRISE
#define USER_JSON "'schemas':['" CU "']"
#define BOTH_JSON "'schemas':['" CU "','" EU "']"
#define GROUP_JSON "'schemas':['" CG "']"

/* A vendor's type, with what the RFC's own schemas do not have. */
#define DEVICE "urn:example.com:params:device:1.0"
#define LABEL "urn:example.com:params:label:1.0"
#define DEVICE_JSON "'schemas':['" DEVICE "','" LABEL "']"
#define LABELLED "'" LABEL "':{'text':'l'}"
#define ATTRIBUTE(name, type) "{'name':'" name "','type':'" type "','multiValued':false}"

/* clang-format off */
static const char device_json[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:Schema'],'id':'" DEVICE "',"
    "'name':'Device','attributes':["
    ATTRIBUTE("count", "integer") "," ATTRIBUTE("ratio", "decimal") ","
    ATTRIBUTE("seen", "dateTime") "," ATTRIBUTE("key", "binary") ","
    "{'name':'tags','type':'string','multiValued':true},"
    "{'name':'ports','type':'integer','multiValued':true},"
    "{'name':'serial','type':'string','multiValued':false,'mutability':'immutable'},"
    "{'name':'code','type':'string','mutability':'writeOnly','returned':'never'},"
    "{'name':'box','type':'complex','multiValued':false,'subAttributes':["
    "{'name':'size','type':'integer','multiValued':false,'mutability':'immutable'},"
    "{'name':'colours','type':'string','multiValued':true},"
    "{'name':'pin','type':'string','mutability':'writeOnly','returned':'never'},"
    ATTRIBUTE("note", "string") "]},"
    "{'name':'slots','type':'complex','multiValued':true,'subAttributes':["
    "{'name':'name','type':'string','multiValued':false,'required':true},"
    ATTRIBUTE("card", "string") "]}]}";
static const char label_json[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:Schema'],'id':'" LABEL "',"
    "'name':'Label','attributes':["
    "{'name':'text','type':'string','multiValued':false,'required':true},"
    "{'name':'batch','type':'string','multiValued':false,'mutability':'immutable'},"
    "{'name':'key','type':'string','mutability':'writeOnly','returned':'never'},"
    "{'name':'printed','type':'dateTime','multiValued':false,'mutability':'readOnly'}]}";
static const char type_json[] =
    "{'schemas':['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],'id':'Device',"
    "'name':'Device','endpoint':'/Devices','schema':'" DEVICE "',"
    "'schemaExtensions':[{'schema':'" LABEL "','required':true}]}";
/* clang-format on */

static apr_pool_t *pool;
static const scim_resource_type *user;
static const scim_resource_type *group;
static const scim_resource_type *device;

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

/* A POST (before NULL) or PUT, from the body to the draft. */
static const scim_error *make(scim_draft *draft, const scim_resource_type *type, bool lenient,
                              const char *text, const char *before)
{
    json_t *body = parse(text);
    json_t *existing = before ? parse(before) : NULL;
    json_t *body_copy = scim_json_adopt(json_deep_copy(body), pool);
    json_t *existing_copy = scim_json_adopt(json_deep_copy(existing), pool);
    json_t *normal;
    const scim_error *err = scim_interop_resource(&normal, body, type, lenient, pool);
    if (!err) {
        err = scim_validate_resource(draft, normal, existing, type, lenient, pool);
    }
    assert_true(json_equal(body, body_copy));
    assert_true(!existing || json_equal(existing, existing_copy));
    return err;
}

static void check(scim_draft *draft, const scim_resource_type *type, bool lenient,
                  const char *text, const char *before, const char *expected)
{
    apr_size_t len;
    const scim_error *err = make(draft, type, lenient, text, before);
    if (err) {
        fail_msg("%s: %s", text, err->detail);
    }
    if (!json_equal(draft->json, parse(expected))) {
        fail_msg("%s\nbecame    %s\ninstead of %s", text,
                 scim_json_write(draft->json, &len, pool), quoted(expected));
    }
    json_t *json = draft->json;
    assert_string_equal(json_object_iter_key(json_object_iter(json)), "schemas");
}

static void refuse(const scim_resource_type *type, bool lenient, const char *text,
                   const char *before, scim_error_code code, const char *words)
{
    scim_draft draft;
    const scim_error *err = make(&draft, type, lenient, text, before);
    if (!err) {
        fail_msg("%s was accepted", text);
    }
    if (err->code != code || !strstr(err->detail, quoted(words))) {
        fail_msg("%s: \"%s\" (%d) does not say %s (%d)", text, err->detail, err->code, words,
                 code);
    }
}

static const char *with(const char *begin, const char *attributes)
{
    return apr_pstrcat(pool, "{", begin, attributes, "}", NULL);
}

/* Attributes of a user who has a userName, as they are sent and stored. */
static void check_user(bool lenient, const char *sent, const char *stored)
{
    scim_draft draft;
    check(&draft, user, lenient, with(USER_JSON ",'userName':'u'", sent), NULL,
          with(USER_JSON ",'userName':'u'", stored));
}

static void refuse_user(bool lenient, const char *sent, scim_error_code code, const char *words)
{
    refuse(user, lenient, with(USER_JSON ",'userName':'u'", sent), NULL, code, words);
}

static void check_device(const char *sent, const char *stored)
{
    scim_draft draft;
    check(&draft, device, false, with(DEVICE_JSON "," LABELLED, sent), NULL,
          with(DEVICE_JSON "," LABELLED, stored));
}

static void refuse_device(const char *sent, const char *words)
{
    refuse(device, false, with(DEVICE_JSON "," LABELLED, sent), NULL, SCIM_E_INVALID_VALUE,
           words);
}

static void test_minimal(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        scim_draft draft;
        check(&draft, user, lenient, "{" USER_JSON ",'userName':'bjensen'}", NULL,
              "{" USER_JSON ",'userName':'bjensen'}");
        assert_ptr_equal(draft.type, user);
        assert_null(draft.members);
        assert_null(draft.password);
        assert_false(draft.password_cleared);
    }
}

static void test_names(void **state)
{
    check_user(false, ",'NAME':{'GIVENNAME':'b'},'eMails':[{'VALUE':'x'}]",
               ",'name':{'givenName':'b'},'emails':[{'value':'x'}]");
}

static void test_read_only(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        scim_draft draft;
        check(&draft, user, lenient,
              with(USER_JSON ",'userName':'u','id':5,'groups':[1],'meta':{'created':'no date',"
                             "'x':1},'" EU "':{'manager':{'value':'m','displayName':7}}",
                   ""),
              NULL, with(BOTH_JSON ",'userName':'u','" EU "':{'manager':{'value':'m'}}", ""));
    }
}

static void test_required(void **state)
{
    static const char *const none[] = {"", ",'userName':''", ",'userName':null",
                                       ",'userName':[]"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        for (int lenient = 0; lenient < 2; lenient++) {
            refuse(user, lenient, with(USER_JSON, none[i]), NULL, SCIM_E_INVALID_VALUE,
                   "userName is required");
            refuse(user, lenient, with(USER_JSON, none[i]), "{" USER_JSON ",'userName':'u'}",
                   SCIM_E_INVALID_VALUE, "userName is required");
        }
    }
    refuse(group, true, "{" GROUP_JSON ",'externalId':'x'}", NULL, SCIM_E_INVALID_VALUE,
           "displayName is required");
    refuse_device(",'slots':[{'name':'a'},{'card':'c'}]", "slots[1].name is required");
}

static void test_schemas(void **state)
{
    scim_draft draft;
    check(&draft, user, false, "{" BOTH_JSON ",'userName':'u'}", NULL,
          "{" USER_JSON ",'userName':'u'}");
    check(&draft, user, false, "{" USER_JSON ",'userName':'u','" EU "':{'department':'d'}}",
          NULL, "{" BOTH_JSON ",'userName':'u','" EU "':{'department':'d'}}");
    check(&draft, user, false, "{" BOTH_JSON ",'userName':'u','" EU "':{'department':null}}",
          NULL, "{" USER_JSON ",'userName':'u'}");
}

static void test_unknown(void **state)
{
    static const struct {
        const char *sent;
        const char *words;
    } cases[] = {
        {",'foo':1", "User has no attribute 'foo'"},
        {",'name':{'foo':1}", "name has no attribute 'foo'"},
        {",'emails':[{'value':'x'},{'foo':1}]", "emails[1] has no attribute 'foo'"},
        {",'" EU "':{'foo':1}", EU " has no attribute 'foo'"},
        {",'" EU "':{'manager':{'foo':1}}", EU ":manager has no attribute 'foo'"},
        {",'urn:x:y':{'foo':1}", "User has no attribute 'urn:x:y'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        refuse_user(false, cases[i].sent, SCIM_E_INVALID_SYNTAX, cases[i].words);
    }
    check_user(true,
               ",'foo':{},'name':{'foo':1,'givenName':'g'},'emails':[{'foo':1}],'urn:x':5",
               ",'name':{'givenName':'g'}");
}

static void test_types(void **state)
{
    static const struct {
        const char *sent;
        const char *words;
    } cases[] = {
        {",'title':true", "title must be a string, is a boolean"},
        {",'title':{}", "title must be a string, is an object"},
        {",'title':['a']", "title must be a string, is an array"},
        {",'active':1", "active must be a boolean, is an integer"},
        {",'active':'yes'", "active must be a boolean, is a string"},
        {",'active':{'a':1}", "active must be a boolean, is an object"},
        {",'name':5", "name must be an object, is an integer"},
        {",'name':['a']", "name must be an object, is an array"},
        {",'name':{'givenName':{}}", "name.givenName must be a string, is an object"},
        {",'emails':7", "emails"},
        {",'emails':[{'value':'a'},{'value':'b','primary':5}]",
         "emails[1].primary must be a boolean, is an integer"},
        {",'emails':[7]", "emails[0] must be an object, is an integer"},
        {",'profileUrl':5", "profileUrl must be a string that is a URI, is an integer"},
        {",'" EU "':'x'", EU " must be an object, is a string"},
        {",'" EU "':{'department':5}", EU ":department must be a string, is an integer"},
        {",'" EU "':{'manager':{'value':5}}", EU ":manager.value must be a string"},
        {",'password':5", "password must be a string, is an integer"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int lenient = 0; lenient < 2; lenient++) {
            refuse_user(lenient, cases[i].sent, SCIM_E_INVALID_VALUE, cases[i].words);
        }
    }
    refuse_user(false, ",'emails':{}", SCIM_E_INVALID_VALUE, "emails must be an array");
    refuse_user(false, ",'active':'True'", SCIM_E_INVALID_VALUE, "active must be a boolean");
    refuse_user(false, ",'emails':['a']", SCIM_E_INVALID_VALUE, "emails[0] must be an object");
    check_user(true, ",'active':'True'", ",'active':true");
}

static void test_numbers(void **state)
{
    check_device(",'count':9223372036854775807,'ratio':1e3,'ports':[1,2,1]",
                 ",'count':9223372036854775807,'ratio':1000.0,'ports':[1,2]");
    check_device(",'count':-9223372036854775808,'ratio':5", ",'count':-9223372036854775808,"
                                                            "'ratio':5");
    refuse_device(",'count':1.0", "count must be an integer without fraction or exponent");
    refuse_device(",'count':1e3", "count must be an integer");
    refuse_device(",'count':'1'", "count must be an integer without fraction or exponent, is a "
                                  "string");
    refuse_device(",'ports':[1,2.5]", "ports[1] must be an integer");
    refuse_device(",'ratio':'1'", "ratio must be a number, is a string");
}

static void test_datetime(void **state)
{
    check_device(",'seen':'2026-11-21T22:37:00+01:00'",
                 ",'seen':'2026-11-21T21:37:00.000000Z'");
    check_device(",'seen':'2026-11-21T22:37:00.5Z'", ",'seen':'2026-11-21T22:37:00.500000Z'");
    check_device(",'seen':'2026-12-31T23:59:60Z'", ",'seen':'2027-01-01T00:00:00.000000Z'");
    refuse_device(",'seen':'2026-01-01'", "seen must be a dateTime such as");
    refuse_device(",'seen':'soon'", "seen must be a dateTime such as");
    refuse_device(",'seen':5", "is an integer");
}

static void test_binary(void **state)
{
    static const char *const good[] = {"Zg==", "Zg", "Zm8=", "Zm8", "Zm9v", "+/+/"};
    static const char *const bad[] = {"!!!",   "Z",    "Zg=",     "Zg===", "=",    "Zm9=v",
                                      "Zm8==", "-_-_", "Zm9v\\n", "Zm 9v", "Zm9v="};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        const char *key = apr_psprintf(pool, ",'key':'%s'", good[i]);
        check_device(key, key);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        refuse_device(apr_psprintf(pool, ",'key':'%s'", bad[i]),
                      "key must be a string in base64");
    }
    refuse_user(true, ",'x509Certificates':[{'value':'!!!'}]", SCIM_E_INVALID_VALUE,
                "x509Certificates[0].value must be a string in base64");
    check_user(true, ",'x509Certificates':[{'value':'Zm8'}]",
               ",'x509Certificates':[{'value':'Zm8'}]");
}

static void test_reference(void **state)
{
    check_user(false, ",'profileUrl':'../a/B?c d','photos':[{'value':'HTTP://X/'}]",
               ",'profileUrl':'../a/B?c d','photos':[{'value':'HTTP://X/'}]");
}

static void test_unassigned(void **state)
{
    for (int lenient = 0; lenient < 2; lenient++) {
        check_user(
            lenient,
            ",'title':null,'nickName':'','emails':[],'phoneNumbers':null,'roles':[null,''],"
            "'ims':[{}],'photos':[{'value':null}],'name':{'givenName':'','familyName':null},"
            "'addresses':[{'type':null,'country':''}],'active':null,'" EU "':null",
            "");
    }
}

static void test_case_kept(void **state)
{
    check_user(false, ",'externalId':'aB','nickName':'MiXed'",
               ",'externalId':'aB','nickName':'MiXed'");
}

static void test_duplicates(void **state)
{
    check_user(false,
               ",'emails':[{'value':'a@x','type':'work'},{'value':'b@x','type':'work'},"
               "{'type':'Work','value':'A@X','display':'A'},{'value':'a@x','type':'home'},"
               "{'value':'a@x'}]",
               ",'emails':[{'value':'A@X','type':'Work','display':'A'},"
               "{'value':'b@x','type':'work'},{'value':'a@x','type':'home'},{'value':'a@x'}]");
    check_user(false,
               ",'addresses':[{'locality':'l','type':'work'},{'type':'work','locality':'l'},"
               "{'locality':'m','type':'work'}]",
               ",'addresses':[{'locality':'l','type':'work'},{'locality':'m','type':'work'}]");
    check_user(false, ",'x509Certificates':[{'value':'Zm8='},{'value':'zm8='}]",
               ",'x509Certificates':[{'value':'Zm8='},{'value':'zm8='}]");
    check_device(",'tags':['a','A','b'],'box':{'colours':['red','red']}",
                 ",'tags':['a','b'],'box':{'colours':['red']}");
}

static void test_primary(void **state)
{
    static const char two[] = ",'emails':[{'value':'a','primary':true},{'value':'b'},"
                              "{'value':'c','primary':true}]";
    refuse_user(false, two, SCIM_E_INVALID_VALUE,
                "emails has two values whose primary is true");
    check_user(true, two,
               ",'emails':[{'value':'a','primary':false},{'value':'b'},"
               "{'value':'c','primary':true}]");
    check_user(false, ",'emails':[{'value':'a','primary':true},{'value':'a'}]",
               ",'emails':[{'value':'a','primary':true}]");
}

static void test_country(void **state)
{
    static const char *const known[][2] = {
        {"United States", "US"},
        {"usa", "US"},
        {"BELIZE", "BZ"},
        {"Germany", "DE"},
        {"Côte d'Ivoire", "CI"},
        {"Cote d'Ivoire", "CI"},
        {"Korea, Republic of", "KR"},
        {"South Korea", "KR"},
        {"UK", "GB"},
        {"Türkiye", "TR"},
        {"Turkey", "TR"},
        {"zwe", "ZW"},
        {"Andorra", "AD"},
        {"Viet Nam", "VN"},
        {"bra", "BR"},
    };
    static const char *const unknown[] = {"US", "us",     "XX",     "Atlantis",       "",
                                          "|",  "Congo|", "United", "United States ", "XYZ"};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        const char *code = scim_country_code(known[i][0]);
        assert_non_null(code);
        assert_string_equal(code, known[i][1]);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
        assert_null(scim_country_code(unknown[i]));
    }
    check_user(true, ",'addresses':[{'country':'United States'},{'country':'Atlantis'}]",
               ",'addresses':[{'country':'US'},{'country':'Atlantis'}]");
    check_user(true, ",'title':'USA'", ",'title':'USA'");
}

static void test_user_name(void **state)
{
    refuse(user, true, "{" USER_JSON ",'userName':'a\\u0007b'}", NULL, SCIM_E_INVALID_VALUE,
           "userName must not have control characters");
    refuse(user, false, "{" USER_JSON ",'userName':'a\\u202eb'}", NULL, SCIM_E_INVALID_VALUE,
           "userName must not have control characters");
    check_user(false, ",'displayName':'a\\tb'", ",'displayName':'a\\tb'");
}

static void test_password(void **state)
{
    scim_draft draft;
    check(&draft, user, false, "{" USER_JSON ",'userName':'u','password':'t1meMa$heen'}", NULL,
          "{" USER_JSON ",'userName':'u'}");
    assert_string_equal(draft.password, "t1meMa$heen");
    assert_false(draft.password_cleared);
    check(&draft, user, false, "{" USER_JSON ",'userName':'u','password':null}",
          "{" USER_JSON ",'userName':'u'}", "{" USER_JSON ",'userName':'u'}");
    assert_null(draft.password);
    assert_true(draft.password_cleared);
    check(&draft, user, false, "{" USER_JSON ",'userName':'u'}",
          "{" USER_JSON ",'userName':'u'}", "{" USER_JSON ",'userName':'u'}");
    assert_null(draft.password);
    assert_false(draft.password_cleared);
}

static void test_password_limits(void **state)
{
    char text[SCIM_PASSWORD_MAX + 2];

    memset(text, 'p', sizeof(text));
    text[SCIM_PASSWORD_MAX] = '\0';
    assert_null(scim_validate_password(text, pool));
    text[SCIM_PASSWORD_MAX] = 'p';
    text[SCIM_PASSWORD_MAX + 1] = '\0';
    refuse(user, true,
           apr_pstrcat(pool, "{" USER_JSON ",'userName':'u','password':'", text, "'}", NULL),
           NULL, SCIM_E_INVALID_VALUE, "password has 1025 bytes, at most 1024 are taken");
    refuse(user, true, "{" USER_JSON ",'userName':'u','password':'se\\u0007cret'}", NULL,
           SCIM_E_INVALID_VALUE, "password must not have control characters");
}

static void test_required_extension(void **state)
{
    refuse(device, false, "{'schemas':['" DEVICE "'],'count':1}", NULL, SCIM_E_INVALID_VALUE,
           "the extension " LABEL " is required");
    refuse(device, false, "{'schemas':['" DEVICE "'],'" LABEL "':{'batch':'b'}}", NULL,
           SCIM_E_INVALID_VALUE, LABEL ":text is required");
    check_device(",'count':1", ",'count':1");
}

static void test_put(void **state)
{
    scim_draft draft;
    check(&draft, user, false,
          "{" USER_JSON ",'id':'other','userName':'u','name':{'givenName':'g'},'groups':[]}",
          "{" BOTH_JSON ",'userName':'old','name':{'familyName':'f'},'title':'t',"
          "'emails':[{'value':'x'}],'" EU "':{'department':'d'}}",
          "{" USER_JSON ",'userName':'u','name':{'givenName':'g'}}");
}

static void test_immutable(void **state)
{
    static const char before[] =
        "{" DEVICE_JSON ",'serial':'s','box':{'size':3,'note':'n'},'" LABEL
        "':{'text':'l','batch':'b'}}";
    scim_draft draft;
    check(&draft, device, false, with(DEVICE_JSON "," LABELLED, ""), before,
          "{" DEVICE_JSON ",'serial':'s','box':{'size':3},'" LABEL
          "':{'text':'l','batch':'b'}}");
    check(&draft, device, false,
          with(DEVICE_JSON "," LABELLED, ",'serial':'s','box':{'size':3,'note':'m'}"), before,
          "{" DEVICE_JSON ",'serial':'s','box':{'size':3,'note':'m'},'" LABEL
          "':{'text':'l','batch':'b'}}");
    check(&draft, device, false, with(DEVICE_JSON "," LABELLED, ",'serial':'t'"),
          "{" DEVICE_JSON "," LABELLED "}", "{" DEVICE_JSON "," LABELLED ",'serial':'t'}");
    refuse(device, false, with(DEVICE_JSON "," LABELLED, ",'serial':'t'"), before,
           SCIM_E_MUTABILITY, "serial is immutable");
    refuse(device, true, with(DEVICE_JSON "," LABELLED, ",'box':{'size':4}"), before,
           SCIM_E_MUTABILITY, "box.size is immutable");
    refuse(device, true, "{" DEVICE_JSON ",'" LABEL "':{'text':'l','batch':'c'}}", before,
           SCIM_E_MUTABILITY, LABEL ":batch is immutable");
}

/* Whoever sends back what was read cannot have what is writeOnly. */
static void test_write_only(void **state)
{
    static const char before[] =
        "{" DEVICE_JSON ",'code':'c','box':{'pin':'p','note':'n'},'" LABEL
        "':{'text':'l','key':'k'}}";
    scim_draft draft;

    check(&draft, device, false, with(DEVICE_JSON "," LABELLED, ",'code':'c'"), NULL,
          "{" DEVICE_JSON "," LABELLED ",'code':'c'}");
    check(&draft, device, false, with(DEVICE_JSON "," LABELLED, ",'code':null"), NULL,
          "{" DEVICE_JSON "," LABELLED "}");
    check(&draft, device, false, with(DEVICE_JSON "," LABELLED, ""), before,
          "{" DEVICE_JSON ",'code':'c','box':{'pin':'p'},'" LABEL "':{'text':'l','key':'k'}}");
    check(&draft, device, false,
          with(DEVICE_JSON, ",'code':'d','box':{'pin':'q'},'" LABEL "':{'text':'l','key':'m'}"),
          before,
          "{" DEVICE_JSON ",'code':'d','box':{'pin':'q'},'" LABEL "':{'text':'l','key':'m'}}");
    check(
        &draft, device, false,
        with(DEVICE_JSON, ",'code':'','box':{'pin':null},'" LABEL "':{'text':'l','key':null}"),
        before, "{" DEVICE_JSON "," LABELLED "}");
}

static const scim_member_op *member(const scim_draft *draft, int i)
{
    assert_non_null(draft->members);
    assert_true(i < draft->members->nelts);
    return &APR_ARRAY_IDX(draft->members, i, scim_member_op);
}

static void test_members(void **state)
{
    scim_draft draft;
    check(&draft, group, false,
          "{" GROUP_JSON ",'displayName':'g','members':[{'value':'A','type':'user',"
          "'$ref':'../Users/A'},{'Value':'b','$ref':null,'display':''},{'value':'A',"
          "'display':'x'},{'value':'a'}]}",
          NULL, "{" GROUP_JSON ",'displayName':'g'}");
    assert_int_equal(draft.members->nelts, 3);
    const scim_member_op *op = member(&draft, 0);
    assert_int_equal(op->kind, SCIM_MEMBER_ADD);
    assert_string_equal(op->value, "A");
    assert_string_equal(op->type, "User");
    assert_string_equal(op->ref, "../Users/A");
    assert_string_equal(op->display, "x");
    assert_string_equal(op->where, "members[0]");
    op = member(&draft, 1);
    assert_string_equal(op->value, "b");
    assert_null(op->type);
    assert_null(op->ref);
    assert_null(op->display);
    assert_string_equal(member(&draft, 2)->value, "a");
    assert_string_equal(member(&draft, 2)->where, "members[3]");
}

static void test_members_put(void **state)
{
    static const char before[] = "{" GROUP_JSON ",'displayName':'g'}";
    static const char *const none[] = {"", ",'members':null", ",'members':[]",
                                       ",'members':[null]"};
    scim_draft draft;
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        const char *body = with(GROUP_JSON ",'displayName':'g'", none[i]);
        check(&draft, group, true, body, before, before);
        assert_int_equal(draft.members->nelts, 1);
        assert_int_equal(member(&draft, 0)->kind, SCIM_MEMBER_CLEAR);
        check(&draft, group, true, body, NULL, before);
        assert_true(!draft.members || draft.members->nelts == 0);
    }
    check(&draft, group, false,
          "{" GROUP_JSON ",'displayName':'h','members':[{'value':'a'},{'value':'b'}]}", before,
          "{" GROUP_JSON ",'displayName':'h'}");
    assert_int_equal(draft.members->nelts, 3);
    assert_int_equal(member(&draft, 0)->kind, SCIM_MEMBER_CLEAR);
    assert_int_equal(member(&draft, 2)->kind, SCIM_MEMBER_ADD);
    assert_string_equal(member(&draft, 2)->value, "b");
}

static void test_members_faults(void **state)
{
    static const struct {
        const char *members;
        const char *words;
    } cases[] = {
        {"[5]", "members[0] must be an object"},
        {"[{'value':'a'},{'value':5}]", "members[1].value must be a string, is an integer"},
        {"[{'value':''}]", "members[0].value is missing"},
        {"[{'display':'a'}]", "members[0].value is missing"},
        {"[{'value':'a','type':'Device'}]", "members[0].type must be 'User' or 'Group'"},
        {"[{'value':'a','display':['a']}]", "members[0].display must be a string"},
        {"[{'value':{'a':1}}]", "members[0].value must be a string, is an object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *body = apr_pstrcat(
            pool, "{" GROUP_JSON ",'displayName':'g','members':", cases[i].members, "}", NULL);
        for (int lenient = 0; lenient < 2; lenient++) {
            refuse(group, lenient, body, NULL, SCIM_E_INVALID_VALUE, cases[i].words);
        }
    }
    refuse(group, false, "{" GROUP_JSON ",'displayName':'g','members':'a'}", NULL,
           SCIM_E_INVALID_VALUE, "members must be an array, is a string");
    refuse(group, false, "{" GROUP_JSON ",'displayName':'g','members':['a']}", NULL,
           SCIM_E_INVALID_VALUE, "members[0] must be an object");
    refuse(group, false, "{" GROUP_JSON ",'displayName':'g','members':[{'value':'a','x':1}]}",
           NULL, SCIM_E_INVALID_SYNTAX, "members[0] has no attribute 'x'");
}

static void test_member_interop(void **state)
{
    scim_draft draft;
    check(&draft, group, true,
          "{" GROUP_JSON ",'displayName':'g','members':['a',{'$ref':'https://h/v2/Users/b'},"
          "{'value':'c','displayName':'C','x':1}]}",
          NULL, "{" GROUP_JSON ",'displayName':'g'}");
    assert_string_equal(member(&draft, 0)->value, "a");
    assert_string_equal(member(&draft, 1)->value, "b");
    assert_string_equal(member(&draft, 1)->ref, "https://h/v2/Users/b");
    assert_string_equal(member(&draft, 2)->display, "C");
}

static void test_value(void **state)
{
    const scim_attribute *emails = scim_type_attribute(user, "emails", strlen("emails"));
    json_t *values = parse("{'one':{'VALUE':'a','primary':true},'none':{'value':''},"
                           "'many':[{'value':'a'},null],'wrong':{'value':5}}");
    json_t *out;
    assert_null(scim_validate_value(&out, json_object_get(values, "one"), emails, true,
                                    "emails", false, pool));
    assert_true(
        json_equal(out, json_object_get(parse("{'a':{'value':'a','primary':true}}"), "a")));
    assert_null(scim_validate_value(&out, json_object_get(values, "none"), emails, true,
                                    "emails", false, pool));
    assert_null(out);
    assert_null(scim_validate_value(&out, json_object_get(values, "many"), emails, false,
                                    "emails", false, pool));
    assert_int_equal(json_array_size(out), 1);
    const scim_error *err = scim_validate_value(&out, json_object_get(values, "wrong"), emails,
                                                true, "here", false, pool);
    assert_non_null(err);
    assert_string_equal(err->detail, "here.value must be a string, is an integer");
}

static void test_whole(void **state)
{
    json_t *json = parse("{" BOTH_JSON ",'userName':'u','name':{},'emails':[{},{'value':'x'}],"
                         "'phoneNumbers':[{'value':null}],'" EU "':{'manager':{}}}");
    assert_null(scim_validate_whole(json, user, pool));
    assert_true(
        json_equal(json, parse("{" USER_JSON ",'userName':'u','emails':[{'value':'x'}]}")));
    assert_string_equal(json_object_iter_key(json_object_iter(json)), "schemas");

    json = parse("{" USER_JSON ",'userName':'u','" EU "':{'department':'d'}}");
    assert_null(scim_validate_whole(json, user, pool));
    assert_true(json_equal(json_object_get(json, "schemas"),
                           json_object_get(parse("{" BOTH_JSON "}"), "schemas")));

    const scim_error *err = scim_validate_whole(parse("{" USER_JSON "}"), user, pool);
    assert_non_null(err);
    assert_int_equal(err->code, SCIM_E_INVALID_VALUE);
    assert_string_equal(err->detail, "userName is required and has no value");
}

static const char *changes(const char *before, const char *after)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    scim_validate_changes(names, before ? parse(before) : NULL, after ? parse(after) : NULL);
    return apr_array_pstrcat(pool, names, ' ');
}

static void test_changes(void **state)
{
    static const char one[] =
        "{" USER_JSON ",'userName':'u','title':'t','name':{'givenName':'a'}}";
    static const char two[] =
        "{" BOTH_JSON ",'userName':'u','name':{'givenName':'b'},'" EU "':{'department':'d'}}";
    static const char three[] =
        "{" BOTH_JSON ",'userName':'u','name':{'givenName':'b'},'" EU "':{'division':'d'}}";
    assert_string_equal(changes(one, one), "");
    assert_string_equal(changes(NULL, one), "userName title name");
    assert_string_equal(changes(one, NULL), "userName title name");
    assert_string_equal(changes(one, two), "name " EU ":department title");
    assert_string_equal(changes(two, three), EU ":division " EU ":department");
}

/* The bodies that identity providers are known to send (interop profile). */
static const struct {
    const char *sent;
    const char *stored;
    bool put;
} bodies[] = {
    /* Entra: create, with meta and empty roles */
    {"{" BOTH_JSON ",'externalId':'0a21','userName':'Test_User','active':true,"
     "'emails':[{'primary':true,'type':'work','value':'a@testuser.com'}],"
     "'meta':{'resourceType':'User'},"
     "'name':{'formatted':'g f','familyName':'f','givenName':'g'},'roles':[]}",
     "{" USER_JSON ",'externalId':'0a21','userName':'Test_User','active':true,"
     "'emails':[{'primary':true,'type':'work','value':'a@testuser.com'}],"
     "'name':{'formatted':'g f','familyName':'f','givenName':'g'}}",
     false},
    /* Entra: nulls and a broken URN */
    {"{'schemas':['" CU "','urn:ietf:params:scim:schemas:extension:enterprise:2.0User'],"
     "'externalId':'jyoung','userName':'jyoung@testuser.com','active':true,'addresses':null,"
     "'displayName':'Joy Young','emails':[{'type':'work','value':'jyoung@Contoso.com',"
     "'primary':true}],'meta':{'resourceType':'User'},'name':{'familyName':'Young',"
     "'givenName':'Joy'},'phoneNumbers':null,'preferredLanguage':null,'title':null,"
     "'department':null,'manager':null}",
     "{" USER_JSON ",'externalId':'jyoung','userName':'jyoung@testuser.com','active':true,"
     "'displayName':'Joy Young','emails':[{'type':'work','value':'jyoung@Contoso.com',"
     "'primary':true}],'name':{'familyName':'Young','givenName':'Joy'}}",
     false},
    /* Entra: manager as a string; roles with displayName and as text in JSON */
    {"{" USER_JSON ",'userName':'u','manager':'myuser','roles':[{'primary':false,"
     "'type':'WindowsAzureActiveDirectoryRole','displayName':'Admin','value':'Admin'},"
     "{'value':'{`id`:`06b0`,`value`:`25`}'}]}",
     "{" BOTH_JSON ",'userName':'u','" EU "':{'manager':{'value':'myuser'}},"
     "'roles':[{'primary':false,'type':'WindowsAzureActiveDirectoryRole','display':'Admin',"
     "'value':'Admin'},{'value':'{`id`:`06b0`,`value`:`25`}'}]}",
     false},
    /* Microsoft's Postman collection: capitals; nulls within; a misspelt name */
    {"{" USER_JSON ",'userName':'UserName123','active':'True','emails':[{'Primary':true,"
     "'type':'work','value':'testing@bob.com'},{'Primary':false,'type':'work',"
     "'value':'testinghome@bob.com'}],'" EU "':{'Department':'bob','Manager':"
     "{'Value':'SuzzyQ'}},'name':{'honorificPrefix':null,'givenName':'Ryan'},"
     "'addresses':[{'type':null,'country':null}],'adreses':[]}",
     "{" BOTH_JSON ",'userName':'UserName123','active':true,'emails':[{'primary':true,"
     "'type':'work','value':'testing@bob.com'},{'primary':false,'type':'work',"
     "'value':'testinghome@bob.com'}],'" EU "':{'department':'bob','manager':"
     "{'value':'SuzzyQ'}},'name':{'givenName':'Ryan'}}",
     false},
    /* Microsoft's validator */
    {"{'userName':'shaniya@bauch.co.uk','active':true,'displayName':'B','title':'H',"
     "'emails':[{'type':'work','value':'c@h.ca','primary':true}],'preferredLanguage':'cy-GB',"
     "'addresses':[{'type':'work','formatted':'G','streetAddress':'845','locality':'G',"
     "'region':'J','postalCode':'zl48 3xh','primary':true,'country':'Belize'}],"
     "'phoneNumbers':[{'type':'work','value':'56','primary':true},{'type':'mobile',"
     "'value':'56'},{'type':'fax','value':'56'}],'" EU "':{'employeeNumber':'J',"
     "'manager':{'value':'GZ'}},'roles':[{'primary':'True','display':'R','value':'O',"
     "'type':'I'}],'userType':'I','locale':'PUWGYN','timezone':'America/Indiana/Knox',"
     "'profileUrl':'RVSZ','schemas':['" CU "','" EU "']}",
     "{" BOTH_JSON ",'userName':'shaniya@bauch.co.uk','active':true,'displayName':'B',"
     "'title':'H','emails':[{'type':'work','value':'c@h.ca','primary':true}],"
     "'preferredLanguage':'cy-GB','addresses':[{'type':'work','formatted':'G',"
     "'streetAddress':'845','locality':'G','region':'J','postalCode':'zl48 3xh',"
     "'primary':true,'country':'BZ'}],'phoneNumbers':[{'type':'work','value':'56',"
     "'primary':true},{'type':'mobile','value':'56'},{'type':'fax','value':'56'}],"
     "'" EU "':{'employeeNumber':'J','manager':{'value':'GZ'}},'roles':[{'primary':true,"
     "'display':'R','value':'O','type':'I'}],'userType':'I','locale':'PUWGYN',"
     "'timezone':'America/Indiana/Knox','profileUrl':'RVSZ'}",
     false},
    /* JumpCloud: create, the two updates */
    {"{'active':true,'addresses':[{'country':'US','locality':'locality','primary':true,"
     "'type':'work'}],'emails':[{'primary':true,'type':'work','value':'t@example.io'}],"
     "'externalId':'66e2','phoneNumbers':[{'primary':true,'type':'work',"
     "'value':'tel:+1-555'}]," BOTH_JSON ",'userName':'t@example.io'}",
     "{" USER_JSON ",'active':true,'addresses':[{'country':'US','locality':'locality',"
     "'primary':true,'type':'work'}],'emails':[{'primary':true,'type':'work',"
     "'value':'t@example.io'}],'externalId':'66e2','phoneNumbers':[{'primary':true,"
     "'type':'work','value':'tel:+1-555'}],'userName':'t@example.io'}",
     false},
    {"{'active':true,'emails':null,'id':'5107','name':{'familyName':'l','givenName':'f'}"
     "," USER_JSON ",'userName':'t@example.io'}",
     "{" USER_JSON ",'active':true,'name':{'familyName':'l','givenName':'f'},"
     "'userName':'t@example.io'}",
     true},
    {"{'active':true,'addresses':[],'id':'d500','phoneNumbers':[],"
     "'photos':[{'value':'https://img.example.com/2.png'}],'schemas':['" EU "','" CU "'],"
     "'title':'Captain','" EU "':{'department':'C-Suite'},'userName':'j@example.com'}",
     "{" BOTH_JSON ",'active':true,'photos':[{'value':'https://img.example.com/2.png'}],"
     "'title':'Captain','" EU "':{'department':'C-Suite'},'userName':'j@example.com'}",
     true},
    /* Okta: create and update */
    {"{" USER_JSON ",'userName':'t@okta.local','name':{'givenName':'Test'},'locale':'en-US',"
     "'externalId':'00uj','groups':[],'password':'1mz050nq','active':true}",
     "{" USER_JSON ",'userName':'t@okta.local','name':{'givenName':'Test'},'locale':'en-US',"
     "'externalId':'00uj','active':true}",
     false},
    {"{" USER_JSON ",'id':'23a3','userName':'t@okta.local','emails':[{'primary':true,"
     "'value':'t@okta.local','type':'work','display':'t@okta.local'}],'groups':[],"
     "'meta':{'resourceType':'User'},'" EU "':{'department':'IT','manager':{'value':'m1',"
     "'displayName':'Boss'}}}",
     "{" BOTH_JSON ",'userName':'t@okta.local','emails':[{'primary':true,"
     "'value':'t@okta.local','type':'work','display':'t@okta.local'}],"
     "'" EU "':{'department':'IT','manager':{'value':'m1'}}}",
     true},
    /* OneLogin: foreign URNs, emails as an object */
    {"{'schemas':['urn:scim:schemas:core:2.0','urn:scim:schemas:extension:enterprise:2.0'],"
     "'userName':'a@b.c','name':{'givenName':'A','familyName':'B'},"
     "'emails':{'value':'a@b.c'},'active':true}",
     "{" USER_JSON ",'userName':'a@b.c','name':{'givenName':'A','familyName':'B'},"
     "'emails':[{'value':'a@b.c'}],'active':true}",
     false},
    /* Keycloak: an id of its own, active as a string */
    {"{" USER_JSON ",'id':'0ff2','userName':'dmitry','active':'false',"
     "'emails':[{'primary':true,'value':'d@x'}],'roles':[{'value':'r'}]}",
     "{" USER_JSON ",'userName':'dmitry','active':false,"
     "'emails':[{'primary':true,'value':'d@x'}],'roles':[{'value':'r'}]}",
     false},
};

static void test_bodies(void **state)
{
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        scim_draft draft;
        check(&draft, user, true, bodies[i].sent,
              bodies[i].put ? "{" USER_JSON ",'userName':'old','nickName':'n'}" : NULL,
              bodies[i].stored);
    }
}

static void test_group_bodies(void **state)
{
    scim_draft draft;
    check(&draft, group, true,
          "{'schemas':['" CG "','http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM"
          "/2.0/Group'],'externalId':'8aa1','displayName':'d','meta':{'resourceType':'Group'}}",
          NULL, "{" GROUP_JSON ",'externalId':'8aa1','displayName':'d'}");
    assert_null(draft.members);
    check(&draft, group, true,
          "{'displayName':'testgroup-updated','id':'g1','members':null," GROUP_JSON "}",
          "{" GROUP_JSON ",'displayName':'testgroup'}",
          "{" GROUP_JSON ",'displayName':'testgroup-updated'}");
    assert_int_equal(draft.members->nelts, 1);
    check(&draft, group, true,
          "{" GROUP_JSON ",'id':'g3','displayName':'putName','members':[{'value':'i3',"
          "'display':'VP'},{'value':'i4','display':'SenorVP','$ref':'Users/i4'}]}",
          "{" GROUP_JSON ",'displayName':'old'}", "{" GROUP_JSON ",'displayName':'putName'}");
    assert_int_equal(draft.members->nelts, 3);
    assert_string_equal(member(&draft, 2)->display, "SenorVP");
}

static scim_document document(const char *name, bool resource_type, const char *text)
{
    const char *bytes = quoted(text);
    scim_document out = {name, resource_type, bytes, strlen(bytes)};
    return out;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"a minimal user", test_minimal, NULL, NULL, NULL},
        {"C-025 names come out canonical", test_names, NULL, NULL, NULL},
        {"C-032 C-152 readOnly attributes are ignored", test_read_only, NULL, NULL, NULL},
        {"C-034 C-057 C-155 required attributes", test_required, NULL, NULL, NULL},
        {"C-037 C-038 schemas list what has data", test_schemas, NULL, NULL, NULL},
        {"C-039 unknown attributes by profile", test_unknown, NULL, NULL, NULL},
        {"C-040 C-045 wrong types", test_types, NULL, NULL, NULL},
        {"C-041 integers are exact", test_numbers, NULL, NULL, NULL},
        {"C-042 dateTimes are canonical", test_datetime, NULL, NULL, NULL},
        {"C-043 binary is base64", test_binary, NULL, NULL, NULL},
        {"C-044 references are kept verbatim", test_reference, NULL, NULL, NULL},
        {"C-048 C-049 unassigned values", test_unassigned, NULL, NULL, NULL},
        {"C-053 case is kept", test_case_kept, NULL, NULL, NULL},
        {"C-047 equal elements are one", test_duplicates, NULL, NULL, NULL},
        {"C-046 one primary", test_primary, NULL, NULL, NULL},
        {"C-051 countries", test_country, NULL, NULL, NULL},
        {"C-310 userName has no control characters", test_user_name, NULL, NULL, NULL},
        {"C-050 C-153 password", test_password, NULL, NULL, NULL},
        {"C-310 what can be no password", test_password_limits, NULL, NULL, NULL},
        {"C-055 required extension", test_required_extension, NULL, NULL, NULL},
        {"C-153 C-159 PUT clears what it leaves out", test_put, NULL, NULL, NULL},
        {"C-154 immutable attributes and PUT", test_immutable, NULL, NULL, NULL},
        {"C-153 PUT keeps writeOnly attributes that it leaves out", test_write_only, NULL, NULL,
         NULL},
        {"members become steps", test_members, NULL, NULL, NULL},
        {"C-153 PUT replaces all members", test_members_put, NULL, NULL, NULL},
        {"C-040 wrong members", test_members_faults, NULL, NULL, NULL},
        {"members as identity providers send them", test_member_interop, NULL, NULL, NULL},
        {"one value by itself", test_value, NULL, NULL, NULL},
        {"a resource as a whole", test_whole, NULL, NULL, NULL},
        {"names of changed attributes", test_changes, NULL, NULL, NULL},
        {"users as identity providers send them", test_bodies, NULL, NULL, NULL},
        {"groups as identity providers send them", test_group_bodies, NULL, NULL, NULL},
    };
    const scim_registry *registry;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    const scim_document documents[] = {
        document("Device.json", false, device_json),
        document("Label.json", false, label_json),
        document("DeviceType.json", true, type_json),
    };
    const scim_error *err =
        scim_registry_build(&registry, documents, sizeof(documents) / sizeof(*documents), pool);
    if (err) {
        print_error("%s\n", err->detail);
        return 1;
    }
    user = scim_registry_type(registry, "User");
    group = scim_registry_type(registry, "Group");
    device = scim_registry_type(registry, "Device");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
