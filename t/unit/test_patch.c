/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH from the message to the draft: interop, parse, apply, with the real
 * schemas.  JSON is written with ' for " and ` for an escaped ", and @EU
 * stands for the URN of the enterprise extension.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/patch.h"

/* A vendor's type with what the core schemas have not: immutable and readOnly
 * attributes in every place, simple multi-valued ones. */
#define ATTR(name, more) "{'name':'" name "','type':'string','multiValued':false" more "}"
#define SUBS(name, multi, more, subs)                                                         \
    "{'name':'" name "','type':'complex','multiValued':" multi more ",'subAttributes':[" subs \
    "]}"
#define IMMUTABLE ",'mutability':'immutable'"
#define READ_ONLY ",'mutability':'readOnly'"
#define SCHEMA_URN "'schemas':['urn:ietf:params:scim:schemas:core:2.0:Schema']"
#define TYPE_URN "'schemas':['urn:ietf:params:scim:schemas:core:2.0:ResourceType']"

/* clang-format off */
static const char thing_schema[] =
    "{" SCHEMA_URN ",'id':'urn:x:thing','name':'Thing','attributes':["
    ATTR("name", ",'required':true") "," ATTR("badge", IMMUTABLE) ","
    "{'name':'tags','type':'string','multiValued':true},"
    "{'name':'codes','type':'string','multiValued':true,'mutability':'immutable'},"
    SUBS("seal", "false", IMMUTABLE, ATTR("a", "") "," ATTR("b", "")) ","
    SUBS("card", "false", "", ATTR("number", IMMUTABLE) "," ATTR("colour", "") ","
                              ATTR("issued", READ_ONLY)) ","
    SUBS("items", "true", "", ATTR("serial", IMMUTABLE) "," ATTR("colour", "") ","
                              ATTR("stamp", READ_ONLY) ","
                              "{'name':'marks','type':'string','multiValued':true}")
    "]}";

static const char more_schema[] =
    "{" SCHEMA_URN ",'id':'urn:x:more:1.0','name':'More','attributes':["
    ATTR("note", "") "," ATTR("born", IMMUTABLE) "," ATTR("issued", READ_ONLY) "]}";

static const char thing_type[] =
    "{" TYPE_URN ",'id':'Thing','name':'Thing','endpoint':'/Things','schema':'urn:x:thing',"
    "'schemaExtensions':[{'schema':'urn:x:more:1.0','required':false}]}";
/* clang-format on */

static apr_pool_t *root_pool;
static apr_pool_t *pool; /* cleared before each message */
static const scim_registry *registry;

/* ' to ", ` to \", @EU to its URN. */
static const char *json_text(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * strlen(SCIM_URN_ENTERPRISE) + 1);
    char *to = out;

    for (; *text; text++) {
        if (strncmp(text, "@EU", 3) == 0) {
            to = strcpy(to, SCIM_URN_ENTERPRISE) + strlen(SCIM_URN_ENTERPRISE);
            text += 2;
        } else if (*text == '`') {
            *to++ = '\\';
            *to++ = '"';
        } else {
            *to++ = *text == '\'' ? '"' : *text;
        }
    }
    *to = '\0';
    return out;
}

static json_t *json_of(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(json_text(text, pool), 0, &error);

    if (!json) {
        fail_msg("the test's own JSON is wrong: %s in %s", error.text, text);
    }
    return scim_json_adopt(json, pool);
}

static const char *dump(const json_t *json)
{
    apr_size_t len;

    return scim_json_write(json, &len, pool);
}

static void check_equal(const json_t *actual, const json_t *expected, const char *about)
{
    if (!json_equal(actual, expected)) {
        fail_msg("%s\n gives    %s\n expected %s", about, dump(actual), dump(expected));
    }
}

static const scim_resource_type *type_of(const char *name)
{
    const scim_resource_type *type = scim_registry_type(registry, name);

    assert_non_null(type);
    return type;
}

static const scim_error *parse_body(const scim_patch **out, const char *body,
                                    const scim_resource_type *type, bool lenient)
{
    json_t *message;

    SCIM_ERR(scim_interop_patch(&message, json_of(body), type, lenient, pool));
    return scim_patch_parse(out, message, type, lenient, pool);
}

static const char *body_of(const char *operations)
{
    return apr_psprintf(pool, "{'schemas':['%s'],'Operations':%s}", SCIM_URN_PATCH, operations);
}

/* Applies twice, which must change neither the existing resource nor what
 * comes out. */
static const scim_error *apply(scim_draft *draft, const scim_patch *patch,
                               const json_t *existing)
{
    json_t *before = scim_json_adopt(json_deep_copy(existing), pool);
    const scim_error *err = scim_patch_apply(draft, patch, existing, pool);
    scim_draft again;

    check_equal(existing, before, "existing after apply");
    if (!err) {
        assert_null(scim_patch_apply(&again, patch, existing, pool));
        check_equal(again.json, draft->json, "the second apply");
    }
    return err;
}

static const scim_error *run(scim_draft *draft, const char *type_name, const json_t *existing,
                             const char *operations, bool lenient)
{
    const scim_patch *patch;

    SCIM_ERR(parse_body(&patch, body_of(operations), type_of(type_name), lenient));
    return apply(draft, patch, existing);
}

/* The list of schemas has tests of its own. */
static json_t *without_schemas(json_t *json)
{
    json_t *copy = scim_json_adopt(json_copy(json), pool);

    json_object_del(copy, "schemas");
    return copy;
}

typedef enum profile { RFC = 1, INTEROP = 2, BOTH = RFC | INTEROP } profile;

typedef struct row {
    profile in;
    const char *existing;
    const char *operations;
    const char *expected; /* the resource, or FAILS() */
} row;

/* An error of that code, in whose detail text stands. */
#define FAILS(name, text) "!" #name " " text

static const char *const code_names[] = {
#define CODE_NAME(name, status, type) #name,
    SCIM_ERROR_TABLE(CODE_NAME)};

/* Whether err is what FAILS() said. */
static void check_error(const scim_error *err, const char *expected, const char *about)
{
    const char *detail = strchr(expected, ' ') + 1;
    const char *code = apr_pstrmemdup(pool, expected + 1, (apr_size_t)(detail - expected - 2));

    if (!err) {
        fail_msg("%s\n succeeds, expected %s", about, expected);
    }
    if (strcmp(code_names[err->code], code) || !strstr(err->detail, detail)) {
        fail_msg("%s\n gives    !%s %s\n expected %s", about, code_names[err->code],
                 err->detail, expected);
    }
}

static void check_success(const scim_error *err, const char *about)
{
    if (err) {
        fail_msg("%s\n gives    !%s %s", about, code_names[err->code], err->detail);
    }
}

static void check_row(const char *type_name, const row *r, bool lenient)
{
    const char *about;
    const scim_error *err;
    scim_draft draft;

    apr_pool_clear(pool);
    about = apr_psprintf(pool, "%s of %s (%s)", r->operations, r->existing,
                         lenient ? "interop" : "rfc");
    err = run(&draft, type_name, json_of(r->existing), r->operations, lenient);
    if (r->expected[0] == '!') {
        check_error(err, r->expected, about);
        return;
    }
    check_success(err, about);
    check_equal(without_schemas(draft.json), json_of(r->expected), about);
}

static void check_rows(const char *type_name, const row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (rows[i].in & RFC) {
            check_row(type_name, &rows[i], false);
        }
        if (rows[i].in & INTEROP) {
            check_row(type_name, &rows[i], true);
        }
    }
}

#define CHECK(type_name, rows) check_rows(type_name, rows, sizeof(rows) / sizeof(*(rows)))

#define U(more) "{'userName':'b'" more "}"
#define NONE U("")
#define WORK "{'type':'work','value':'w'}"
#define HOME "{'type':'home','value':'h'}"
#define MAILS(list) U(",'emails':[" list "]")

/* The frame. */

static void check_body(const char *body, bool lenient, const char *expected)
{
    const scim_patch *patch;

    apr_pool_clear(pool);
    check_error(parse_body(&patch, body, type_of("User"), lenient), expected, body);
}

#define PO "'schemas':['" SCIM_URN_PATCH "']"

static void test_frame(void **state)
{
    static const char *const bodies[][2] = {
        {"{" PO "}", FAILS(INVALID_SYNTAX, "Operations")},
        {"{" PO ",'Operations':{}}", FAILS(INVALID_SYNTAX, "Operations")},
        {"{" PO ",'Operations':'add'}", FAILS(INVALID_SYNTAX, "Operations")},
        {"{'schemas':['urn:x'],'Operations':[{'op':'remove','path':'title'}]}",
         FAILS(INVALID_SYNTAX, "PatchOp")},
        {"{'schemas':'urn:x','Operations':[{'op':'remove','path':'title'}]}",
         FAILS(INVALID_SYNTAX, "PatchOp")},
        {"{" PO ",'Operations':[1]}", FAILS(INVALID_SYNTAX, "Operations[0]: ")},
        {"{" PO ",'Operations':[{'path':'title','value':'x'}]}",
         FAILS(INVALID_SYNTAX, "Operations[0]: op")},
        {"{" PO ",'Operations':[{'op':'move','path':'title'}]}",
         FAILS(INVALID_SYNTAX, "Operations[0]: ")},
        {"{" PO ",'Operations':[{'op':1,'path':'title'}]}",
         FAILS(INVALID_SYNTAX, "Operations[0]: op")},
        {"{" PO ",'Operations':[{'op':'add','path':1,'value':'x'}]}",
         FAILS(INVALID_SYNTAX, "Operations[0]: path")},
    };
    size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        check_body(bodies[i][0], false, bodies[i][1]);
        check_body(bodies[i][0], true, bodies[i][1]);
    }
    check_body("{'Operations':[{'op':'remove','path':'title'}]}", false,
               FAILS(INVALID_SYNTAX, "schemas"));
    check_body("{" PO ",'Operations':[]}", false, FAILS(INVALID_SYNTAX, "Operations"));
}

/* What interop lets through, the strict parser refuses by itself. */
static void test_strict_frame(void **state)
{
    static const char *const bodies[][2] = {
        {"{'Operations':[]}", FAILS(INVALID_SYNTAX, "schemas must list")},
        {"{'schemas':['urn:x'],'Operations':[]}", FAILS(INVALID_SYNTAX, "schemas must list")},
        {"{" PO "}", FAILS(INVALID_SYNTAX, "Operations must be an array")},
        {"{" PO ",'Operations':[]}", FAILS(INVALID_SYNTAX, "at least one")},
        {"{" PO ",'Operations':[true]}",
         FAILS(INVALID_SYNTAX, "Operations[0]: must be an object, is a boolean")},
        {"{" PO ",'Operations':[{'op':'Add'}]}",
         FAILS(INVALID_SYNTAX, "Operations[0]: op must be")},
    };
    const scim_patch *patch;
    size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        apr_pool_clear(pool);
        check_error(
            scim_patch_parse(&patch, json_of(bodies[i][0]), type_of("User"), false, pool),
            bodies[i][1], bodies[i][0]);
    }
    apr_pool_clear(pool);
    check_error(scim_patch_parse(&patch,
                                 json_of("{" PO ",'Operations':[{'op':'add','path':1}]}"),
                                 type_of("User"), true, pool),
                FAILS(INVALID_PATH, "path must be a string"), "a number for a path");
}

static void test_lenient_frame(void **state)
{
    static const char *const bodies[] = {
        "{'Operations':[]}",
        "{" PO ",'Operations':[]}",
        "{'operations':[{'OP':'Replace','Path':'displayName','VALUE':'D'}]}",
    };
    const char *names[] = {NULL, NULL, "D"};
    size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        const scim_patch *patch;
        scim_draft draft;

        apr_pool_clear(pool);
        assert_null(parse_body(&patch, bodies[i], type_of("User"), true));
        assert_null(apply(&draft, patch, json_of(NONE)));
        assert_int_equal(scim_json_string(draft.json, "displayName") == NULL, names[i] == NULL);
        assert_null(draft.members);
    }
}

static void test_case(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'ADD','path':'TITLE','value':'x'}]", U(",'title':'x'")},
        {BOTH, NONE, "[{'Op':'Replace','Path':'title','Value':'x'}]", U(",'title':'x'")},
        {BOTH, U(",'title':'x'"), "[{'op':'Remove','path':'Title'}]", NONE},
        {BOTH, MAILS(WORK),
         "[{'op':'Add','path':'emails[TYPE eq `work`].Display','value':'W'}]",
         MAILS("{'type':'work','value':'w','display':'W'}")},
    };

    CHECK("User", rows);
}

static void test_operation_limit(void **state)
{
    json_t *operations = json_array();
    json_t *body = scim_json_adopt(
        json_pack("{s:[s],s:o}", "schemas", SCIM_URN_PATCH, "Operations", operations), pool);
    const scim_patch *patch;
    int i;

    for (i = 0; i < SCIM_PATCH_MAX_OPERATIONS; i++) {
        json_array_append_new(operations, json_pack("{ss,ss,ss}", "op", "replace", "path",
                                                    "title", "value", "x"));
    }
    assert_null(scim_patch_parse(&patch, body, type_of("User"), false, pool));
    json_array_append(operations, json_array_get(operations, 0));
    check_error(scim_patch_parse(&patch, body, type_of("User"), false, pool),
                FAILS(TOO_LARGE, "at most 10000"), "one more operation than the limit");
}

/* Each operation looks at all that those before it made. */
static void test_step_limit(void **state)
{
    json_t *operations = json_array();
    json_t *body = scim_json_adopt(
        json_pack("{s:[s],s:o}", "schemas", SCIM_URN_PATCH, "Operations", operations), pool);
    const scim_patch *patch;
    scim_draft draft;
    unsigned i;

    for (i = 0; i < SCIM_PATCH_MAX_OPERATIONS; i++) {
        json_array_append_new(operations, json_pack("{ss,ss,s[{si}]}", "op", "add", "path",
                                                    "roles", "value", "v", i));
        json_object_set_new(
            json_array_get(json_object_get(json_array_get(operations, i), "value"), 0), "value",
            json_string(apr_itoa(pool, (int)i)));
    }
    assert_null(scim_patch_parse(&patch, body, type_of("User"), true, pool));
    check_error(scim_patch_apply(&draft, patch, json_of(NONE), pool),
                FAILS(TOO_LARGE, "fewer operations"), "10,000 operations on one attribute");
}

/* Order and wholeness. */

static void test_order(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'add','path':'title','value':'1'},{'op':'remove','path':'title'}]",
         NONE},
        {BOTH, U(",'title':'0'"),
         "[{'op':'remove','path':'title'},{'op':'add','path':'title','value':'1'},"
         "{'op':'replace','path':'title','value':'2'}]",
         U(",'title':'2'")},
        {BOTH, NONE,
         "[{'op':'add','path':'emails','value':[" WORK "]},"
         "{'op':'replace','path':'emails[type eq `work`].value','value':'n'}]",
         MAILS("{'type':'work','value':'n'}")},
        {BOTH, MAILS(WORK),
         "[{'op':'replace','path':'emails[type eq `work`].type','value':'other'},"
         "{'op':'add','path':'emails[type eq `work`].value','value':'n'}]",
         MAILS("{'type':'other','value':'w'},{'type':'work','value':'n'}")},
        {BOTH, NONE,
         "[{'op':'add','value':{'name':{'givenName':'G'}}},"
         "{'op':'replace','value':{'name':{'givenName':'H','familyName':'F'}}}]",
         U(",'name':{'givenName':'H','familyName':'F'}")},
        {BOTH, NONE,
         "[{'op':'add','value':{'emails[type eq `work`].value':'w','title':'1'}},"
         "{'op':'add','path':'title','value':'2'}]",
         U(",'title':'2','emails':[" WORK "]")},
    };

    CHECK("User", rows);
}

static void test_wholeness(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'title':'x'"),
         "[{'op':'replace','path':'title','value':'y'},{'op':'remove','path':'emails'},"
         "{'op':'replace','path':'active','value':'yes'}]",
         FAILS(INVALID_VALUE, "Operations[2]: active must be a boolean")},
        {RFC, MAILS(WORK),
         "[{'op':'replace','path':'title','value':'y'},"
         "{'op':'remove','path':'emails[type eq `home`]'}]",
         FAILS(NO_TARGET, "Operations[1]: no value of emails matches the filter")},
        {BOTH, NONE, "[{'op':'replace','path':'userName','value':'a\\u0007'}]",
         FAILS(INVALID_VALUE, "userName must not have control characters")},
    };

    CHECK("User", rows);
}

static void test_failure_leaves_existing(void **state)
{
    json_t *existing = json_of(MAILS(WORK));
    scim_draft draft;

    memset(&draft, 0x55, sizeof(draft));
    assert_non_null(run(&draft, "User", existing,
                        "[{'op':'add','path':'emails','value':[" HOME "]},"
                        "{'op':'remove','path':'emails[type eq `none`].value'}]",
                        false));
    check_equal(existing, json_of(MAILS(WORK)), "existing after a failure");
    assert_int_equal(*(unsigned char *)&draft.json, 0x55);
}

/* Add. */

static void test_add(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'title':'x'"), "[{'op':'add','path':'title','value':'y'}]",
         U(",'title':'y'")},
        {BOTH, NONE, "[{'op':'add','path':'active','value':false}]", U(",'active':false")},
        {BOTH, U(",'name':{'givenName':'G'}"),
         "[{'op':'add','path':'name','value':{'familyName':'F'}}]",
         U(",'name':{'givenName':'G','familyName':'F'}")},
        {BOTH, MAILS(WORK), "[{'op':'add','path':'emails','value':[" HOME "]}]",
         MAILS(WORK "," HOME)},
        {BOTH, MAILS(WORK), "[{'op':'add','path':'emails','value':" HOME "}]",
         MAILS(WORK "," HOME)},
        {BOTH, NONE, "[{'op':'add','path':'emails','value':[" WORK "," HOME "]}]",
         MAILS(WORK "," HOME)},
        {BOTH, MAILS(WORK),
         "[{'op':'add','path':'emails[type eq `work`]','value':{'display':'D'}}]",
         MAILS("{'type':'work','value':'w','display':'D'}")},
        {BOTH, MAILS(WORK "," HOME), "[{'op':'add','path':'emails.display','value':'D'}]",
         MAILS("{'type':'work','value':'w','display':'D'},"
               "{'type':'home','value':'h','display':'D'}")},
        {BOTH, NONE, "[{'op':'add','path':'emails.value','value':'v'}]",
         MAILS("{'value':'v'}")},
    };

    CHECK("User", rows);
}

static void test_add_existing(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'title':'x'"), "[{'op':'add','path':'title','value':'x'}]",
         U(",'title':'x'")},
        {BOTH, MAILS(WORK "," HOME), "[{'op':'add','path':'emails','value':[" WORK "]}]",
         MAILS(WORK "," HOME)},
        {BOTH, MAILS("{'type':'work','value':'w','primary':true}," HOME),
         "[{'op':'add','path':'emails','value':[" WORK "," HOME "]}]",
         MAILS("{'type':'work','value':'w','primary':true}," HOME)},
        {BOTH, U(",'addresses':[{'type':'work','country':'BR'}]"),
         "[{'op':'add','path':'addresses','value':[{'country':'BR','type':'work'}]}]",
         U(",'addresses':[{'type':'work','country':'BR'}]")},
        {BOTH, U(",'name':{'givenName':'G'}"),
         "[{'op':'add','path':'name','value':{'givenName':'G'}}]",
         U(",'name':{'givenName':'G'}")},
        {BOTH, NONE, "[{'op':'add','path':'emails','value':[" WORK "," WORK "]}]", MAILS(WORK)},
        {BOTH, MAILS(WORK), "[{'op':'add','path':'emails[type eq `work`].value','value':'w'}]",
         MAILS(WORK)},
        {BOTH, MAILS(WORK), "[{'op':'add','path':'emails','value':[]}]", MAILS(WORK)},
        {BOTH, MAILS(WORK), "[{'op':'add','path':'emails','value':null}]", MAILS(WORK)},
        {BOTH, U(",'name':{'givenName':'G'}"), "[{'op':'add','path':'name','value':{}}]",
         U(",'name':{'givenName':'G'}")},
        {BOTH, U(",'@EU':{'department':'D'}"), "[{'op':'add','path':'@EU','value':{}}]",
         U(",'@EU':{'department':'D'}")},
    };

    CHECK("User", rows);
}

static void test_no_value(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'add','path':'title'}]",
         FAILS(INVALID_VALUE, "Operations[0]: value is missing")},
        {BOTH, NONE, "[{'op':'replace','path':'title'}]",
         FAILS(INVALID_VALUE, "Operations[0]: value is missing")},
        {BOTH, NONE, "[{'op':'add'}]", FAILS(INVALID_VALUE, "value is missing")},
        {BOTH, NONE, "[{'op':'replace','path':'@EU'}]",
         FAILS(INVALID_VALUE, "value is missing")},
    };

    CHECK("User", rows);
}

static void test_pathless(void **state)
{
    static const row rows[] = {
        {BOTH, MAILS(WORK),
         "[{'op':'add','value':{'title':'x','emails':[" HOME "],'name':{'givenName':'G'},"
         "'@EU':{'department':'D','manager':{'value':'m'}}}}]",
         U(",'title':'x','emails':[" WORK "," HOME "],'name':{'givenName':'G'},"
           "'@EU':{'department':'D','manager':{'value':'m'}}")},
        {BOTH, U(",'emails':[" WORK "],'name':{'familyName':'F'},'@EU':{'division':'V'}"),
         "[{'op':'replace','value':{'emails':[" HOME "],'name':{'givenName':'G'},"
         "'@EU':{'department':'D'}}}]",
         U(",'emails':[" HOME "],'name':{'givenName':'G','familyName':'F'},"
           "'@EU':{'division':'V','department':'D'}")},
        {BOTH, NONE,
         "[{'op':'add','value':{'urn:ietf:params:scim:schemas:core:2.0:User':{'title':'x'}}}]",
         U(",'title':'x'")},
        {BOTH, NONE, "[{'op':'add','value':'x'}]",
         FAILS(INVALID_VALUE, "without a path, value must be an object, is a string")},
        {BOTH, NONE, "[{'op':'add','value':{'@EU':'x'}}]",
         FAILS(INVALID_VALUE, "enterprise:2.0:User must be an object, is a string")},
        {BOTH, NONE,
         "[{'op':'add','value':{'urn:ietf:params:scim:schemas:core:2.0:User':'x'}}]",
         FAILS(INVALID_VALUE, "core:2.0:User must be an object, is a string")},
        {BOTH, NONE, "[{'op':'add','value':{'name':'x'}}]",
         FAILS(INVALID_VALUE, "name must be an object, is a string")},
        {BOTH, NONE, "[{'op':'replace','value':{}}]",
         FAILS(INVALID_VALUE, "must name at least one attribute")},
        {BOTH, NONE, "[{'op':'add','value':{}}]",
         FAILS(INVALID_VALUE, "must name at least one attribute")},
    };

    CHECK("User", rows);
}

static void test_keys(void **state)
{
    static const row rows[] = {
        {RFC, U(",'name':{'middleName':'M'}"),
         "[{'op':'replace','value':{'name.givenName':'G','name.familyName':'F',"
         "'emails[type eq `work`].value':'w','@EU:department':'D',"
         "'urn:ietf:params:scim:schemas:core:2.0:User:title':'t'}}]",
         FAILS(NO_TARGET, "no value of emails matches the filter")},
        {INTEROP, NONE, "[{'op':'replace','value':{'emails[type eq `work`].value':'w'}}]",
         MAILS(WORK)},
        {BOTH, U(",'name':{'middleName':'M'}"),
         "[{'op':'add','value':{'name.givenName':'G','name.familyName':'F',"
         "'emails[type eq `work`].value':'w','@EU:department':'D','@EU:manager.value':'m',"
         "'urn:ietf:params:scim:schemas:core:2.0:User:title':'t'}}]",
         U(",'name':{'middleName':'M','givenName':'G','familyName':'F'},'emails':[" WORK "],"
           "'title':'t','@EU':{'department':'D','manager':{'value':'m'}}")},
    };

    CHECK("User", rows);
}

static void test_unknown_keys(void **state)
{
    static const row rows[] = {
        {INTEROP, NONE,
         "[{'op':'add','value':{'foo':1,'title':'x','name':{'bar':1},"
         "'@EU':{'baz':1},'__proto__':{'a':1}}}]",
         U(",'title':'x'")},
        {RFC, NONE, "[{'op':'add','value':{'foo':1}}]",
         FAILS(INVALID_SYNTAX, "Operations[0]: User has no attribute \"foo\"")},
        {RFC, NONE, "[{'op':'add','value':{'name':{'bar':1}}}]",
         FAILS(INVALID_SYNTAX, "name has no attribute \"bar\"")},
        {RFC, NONE, "[{'op':'add','path':'@EU','value':{'baz':1}}]",
         FAILS(INVALID_SYNTAX, "enterprise:2.0:User has no attribute \"baz\"")},
        {RFC, NONE, "[{'op':'add','path':'emails','value':[{'qux':1}]}]",
         FAILS(INVALID_SYNTAX, "emails[0] has no attribute \"qux\"")},
    };

    CHECK("User", rows);
}

static void test_sub_attribute(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'name':{'givenName':'G'}"),
         "[{'op':'add','path':'name.middleName','value':'M'}]",
         U(",'name':{'givenName':'G','middleName':'M'}")},
        {BOTH, NONE, "[{'op':'add','path':'name.middleName','value':'M'}]",
         U(",'name':{'middleName':'M'}")},
        {BOTH, NONE, "[{'op':'replace','path':'name.middleName','value':'M'}]",
         U(",'name':{'middleName':'M'}")},
    };

    CHECK("User", rows);
}

static void test_add_creates_element(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'add','path':'emails[type eq `work`].value','value':'w'}]",
         MAILS(WORK)},
        {BOTH, MAILS(HOME), "[{'op':'add','path':'emails[type eq `work`].value','value':'w'}]",
         MAILS(HOME "," WORK)},
        {BOTH, NONE,
         "[{'op':'add','path':'emails[type eq `work` and display eq `D`].value','value':'w'}]",
         MAILS("{'type':'work','display':'D','value':'w'}")},
        {BOTH, NONE, "[{'op':'add','path':'emails[type eq `work`]','value':{'value':'w'}}]",
         MAILS(WORK)},
        {BOTH, NONE,
         "[{'op':'add','path':'addresses[type eq `work`].locality','value':'J'},"
         "{'op':'add','path':'addresses[type eq `work`].country','value':'Belize'},"
         "{'op':'add','path':'addresses[type eq `work`].postalCode','value':'8'}]",
         U(",'addresses':[{'type':'work','locality':'J','country':'BZ','postalCode':'8'}]")},
        {BOTH, MAILS(HOME),
         "[{'op':'add','path':'emails[type eq `work` or type eq `x`].value','value':'w'}]",
         FAILS(NO_TARGET, "Operations[0]: no value of emails matches the filter")},
        {BOTH, NONE, "[{'op':'add','path':'emails[type ne `work`].value','value':'w'}]",
         FAILS(NO_TARGET, "no value of emails matches")},
        {BOTH, NONE, "[{'op':'add','path':'emails[value co `x`].display','value':'w'}]",
         FAILS(NO_TARGET, "no value of emails matches")},
    };

    CHECK("User", rows);
}

/* Remove. */

static void test_remove_without_path(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'remove'}]",
         FAILS(NO_TARGET, "Operations[0]: remove needs a path")},
        {BOTH, NONE, "[{'op':'remove','value':{'title':'x'}}]",
         FAILS(NO_TARGET, "needs a path")},
    };

    CHECK("User", rows);
}

static void test_remove(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'title':'x'"), "[{'op':'remove','path':'title'}]", NONE},
        {BOTH, MAILS(WORK "," HOME), "[{'op':'remove','path':'emails'}]", NONE},
        {BOTH, U(",'name':{'givenName':'G','familyName':'F'}"),
         "[{'op':'remove','path':'name'}]", NONE},
        {BOTH, U(",'name':{'givenName':'G','familyName':'F'}"),
         "[{'op':'remove','path':'name.givenName'}]", U(",'name':{'familyName':'F'}")},
        {BOTH, U(",'name':{'givenName':'G'}"), "[{'op':'remove','path':'name.givenName'}]",
         NONE},
        {BOTH, MAILS(WORK "," HOME), "[{'op':'remove','path':'emails[type eq `work`]'}]",
         MAILS(HOME)},
        {BOTH, MAILS(WORK), "[{'op':'remove','path':'emails[type eq `work`]'}]", NONE},
        {BOTH, MAILS(WORK "," HOME "," WORK), "[{'op':'remove','path':'emails[type pr]'}]",
         NONE},
        {BOTH, MAILS("{'type':'work','value':'w','display':'D'}"),
         "[{'op':'remove','path':'emails[type eq `work`].display'}]", MAILS(WORK)},
        {BOTH, MAILS(WORK "," HOME), "[{'op':'remove','path':'emails.type'}]",
         MAILS("{'value':'w'},{'value':'h'}")},
        {BOTH, MAILS("{'type':'work'}," HOME),
         "[{'op':'remove','path':'emails[type eq `work`].type'}]", MAILS(HOME)},
        {BOTH, U(",'@EU':{'manager':{'value':'m','$ref':'r'},'department':'D'}"),
         "[{'op':'remove','path':'@EU:manager'}]", U(",'@EU':{'department':'D'}")},
        {BOTH, U(",'@EU':{'manager':{'value':'m','$ref':'r'}}"),
         "[{'op':'remove','path':'@EU:manager.value'}]", NONE},
    };

    CHECK("User", rows);
}

static void test_remove_protected(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'remove','path':'userName'}]",
         FAILS(MUTABILITY, "Operations[0]: userName is required and cannot be removed")},
        {BOTH, NONE, "[{'op':'remove','path':'id'}]", FAILS(MUTABILITY, "id is readOnly")},
        {BOTH, NONE, "[{'op':'remove','path':'meta'}]", FAILS(MUTABILITY, "meta is readOnly")},
        {BOTH, NONE, "[{'op':'remove','path':'schemas'}]",
         FAILS(MUTABILITY, "schemas cannot be changed as a whole")},
        {BOTH, NONE, "[{'op':'remove','path':'groups'}]",
         FAILS(MUTABILITY, "groups is readOnly")},
    };

    CHECK("User", rows);
}

static void test_remove_without_match(void **state)
{
    static const row rows[] = {
        {INTEROP, MAILS(WORK), "[{'op':'remove','path':'emails[type eq `home`]'}]",
         MAILS(WORK)},
        {INTEROP, NONE, "[{'op':'remove','path':'emails[type eq `home`].value'}]", NONE},
        {RFC, MAILS(WORK), "[{'op':'remove','path':'emails[type eq `home`]'}]",
         FAILS(NO_TARGET, "no value of emails matches")},
        {RFC, NONE, "[{'op':'remove','path':'emails[type eq `home`].value'}]",
         FAILS(NO_TARGET, "no value of emails matches")},
    };

    CHECK("User", rows);
}

static void test_remove_unassigned(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'remove','path':'title'}]", NONE},
        {BOTH, NONE, "[{'op':'remove','path':'name.givenName'}]", NONE},
        {BOTH, NONE, "[{'op':'remove','path':'emails'}]", NONE},
        {BOTH, NONE, "[{'op':'remove','path':'emails.type'}]", NONE},
        {BOTH, MAILS(WORK), "[{'op':'remove','path':'emails[type eq `work`].display'}]",
         MAILS(WORK)},
        {BOTH, NONE, "[{'op':'remove','path':'@EU'}]", NONE},
        {BOTH, NONE, "[{'op':'remove','path':'@EU:manager'}]", NONE},
        {BOTH, NONE, "[{'op':'remove','path':'@EU:manager.value'}]", NONE},
    };

    CHECK("User", rows);
}

/* Entra's habit with members, in other attributes. */
static void test_remove_listed(void **state)
{
    static const row rows[] = {
        {INTEROP, MAILS(WORK "," HOME),
         "[{'op':'remove','path':'emails','value':[{'value':'w'}]}]", MAILS(HOME)},
        {INTEROP, MAILS(WORK), "[{'op':'remove','path':'emails','value':{'value':'w'}}]", NONE},
        {INTEROP, MAILS(WORK),
         "[{'op':'remove','path':'emails','value':[{'type':'home','value':'w'}]}]",
         MAILS(WORK)},
        {INTEROP, MAILS(WORK), "[{'op':'remove','path':'emails','value':[]}]", MAILS(WORK)},
        {INTEROP, NONE, "[{'op':'remove','path':'emails','value':[" WORK "]}]", NONE},
        {INTEROP, MAILS(WORK), "[{'op':'remove','path':'emails','value':null}]", NONE},
        {INTEROP, U(",'title':'x'"), "[{'op':'remove','path':'title','value':'y'}]", NONE},
        {RFC, MAILS(WORK "," HOME), "[{'op':'remove','path':'emails','value':[{'value':'w'}]}]",
         NONE},
    };

    CHECK("User", rows);
}

/* Replace. */

static void test_replace(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'title':'x'"), "[{'op':'replace','path':'title','value':'y'}]",
         U(",'title':'y'")},
        {BOTH, MAILS(WORK), "[{'op':'replace','path':'emails','value':[" HOME "]}]",
         MAILS(HOME)},
        {BOTH, U(",'name':{'givenName':'G','familyName':'F'}"),
         "[{'op':'replace','path':'name','value':{'givenName':'H'}}]",
         U(",'name':{'givenName':'H','familyName':'F'}")},
        {BOTH, U(",'name':{'givenName':'G','familyName':'F'}"),
         "[{'op':'replace','path':'name','value':{'givenName':null,'middleName':'M'}}]",
         U(",'name':{'familyName':'F','middleName':'M'}")},
        {BOTH, MAILS(WORK "," HOME),
         "[{'op':'replace','path':'emails[type pr].display','value':'D'}]",
         MAILS("{'type':'work','value':'w','display':'D'},"
               "{'type':'home','value':'h','display':'D'}")},
        {BOTH, MAILS(WORK "," HOME),
         "[{'op':'replace','path':'emails[type pr]','value':{'value':'n'}}]",
         MAILS("{'value':'n'}")},
        {BOTH, MAILS(WORK "," HOME),
         "[{'op':'replace','path':'emails[type eq `home`].value','value':'n'}]",
         MAILS(WORK ",{'type':'home','value':'n'}")},
        {BOTH, U(",'@EU':{'manager':{'value':'m','$ref':'r'}}"),
         "[{'op':'replace','path':'@EU:manager','value':{'value':'n'}}]",
         U(",'@EU':{'manager':{'value':'n'}}")},
        {BOTH, U(",'@EU':{'manager':{'value':'m','$ref':'r'}}"),
         "[{'op':'replace','path':'@EU:manager','value':{'value':'m'}}]",
         U(",'@EU':{'manager':{'value':'m','$ref':'r'}}")},
        {BOTH, U(",'@EU':{'manager':{'value':'m','$ref':'r'}}"),
         "[{'op':'replace','path':'@EU:manager.value','value':'n'}]",
         U(",'@EU':{'manager':{'value':'n'}}")},
    };

    CHECK("User", rows);
}

static void test_replace_element(void **state)
{
    static const row rows[] = {
        {BOTH, MAILS("{'type':'work','value':'w','display':'D'}," HOME),
         "[{'op':'replace','path':'emails[type eq `work`]','value':{'value':'n'}}]",
         MAILS("{'type':'work','value':'n'}," HOME)},
        {BOTH, MAILS(WORK),
         "[{'op':'replace','path':'emails[type eq "
         "`work`]','value':{'type':'other','value':'n'}}]",
         MAILS("{'type':'other','value':'n'}")},
        {BOTH, MAILS(WORK),
         "[{'op':'replace','path':'emails[type sw `w`]','value':{'value':'n'}}]",
         MAILS("{'value':'n'}")},
        {BOTH, MAILS(WORK "," HOME),
         "[{'op':'replace','path':'emails[type eq `work`]','value':" HOME "}]", MAILS(HOME)},
        {BOTH, MAILS(WORK), "[{'op':'replace','path':'emails[type eq `work`]','value':'n'}]",
         FAILS(INVALID_VALUE, "emails")},
    };

    check_rows("User", rows, 4);
    check_row("User", &rows[4], false);
}

static void test_replace_unassigned(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'replace','path':'title','value':'x'}]", U(",'title':'x'")},
        {BOTH, NONE, "[{'op':'replace','path':'name','value':{'givenName':'G'}}]",
         U(",'name':{'givenName':'G'}")},
        {BOTH, NONE, "[{'op':'replace','path':'emails','value':[" WORK "]}]", MAILS(WORK)},
        {BOTH, NONE, "[{'op':'replace','path':'emails.value','value':'v'}]",
         MAILS("{'value':'v'}")},
    };

    CHECK("User", rows);
}

static void test_replace_without_match(void **state)
{
    static const row rows[] = {
        {RFC, MAILS(HOME),
         "[{'op':'replace','path':'emails[type eq `work`].value','value':'w'}]",
         FAILS(NO_TARGET, "no value of emails matches")},
        {RFC, NONE, "[{'op':'replace','path':'emails[type eq `work`]','value':{'value':'w'}}]",
         FAILS(NO_TARGET, "no value of emails matches")},
        {INTEROP, MAILS(HOME),
         "[{'op':'replace','path':'emails[type eq `work`].value','value':'w'}]",
         MAILS(HOME "," WORK)},
        {INTEROP, NONE,
         "[{'op':'replace','path':'emails[type eq `work`]','value':{'value':'w'}}]",
         MAILS(WORK)},
        {INTEROP, NONE, "[{'op':'replace','path':'emails[type sw `work`].value','value':'w'}]",
         FAILS(NO_TARGET, "no value of emails matches")},
        {INTEROP, NONE, "[{'op':'replace','path':'emails[type eq `work`].value','value':''}]",
         NONE},
    };

    CHECK("User", rows);
}

static void test_replace_by_nothing(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'title':'x'"), "[{'op':'replace','path':'title','value':null}]", NONE},
        {BOTH, U(",'title':'x'"), "[{'op':'replace','path':'title','value':''}]", NONE},
        {BOTH, U(",'title':'x'"), "[{'op':'replace','value':{'title':null}}]", NONE},
        {BOTH, MAILS(WORK), "[{'op':'replace','path':'emails','value':[]}]", NONE},
        {BOTH, MAILS(WORK), "[{'op':'replace','path':'emails','value':[{}]}]", NONE},
        {BOTH, MAILS(WORK "," HOME),
         "[{'op':'replace','path':'emails[type eq `work`]','value':null}]", MAILS(HOME)},
        {BOTH, MAILS(WORK),
         "[{'op':'replace','path':'emails[type eq `work`].type','value':null}]",
         MAILS("{'value':'w'}")},
        {BOTH, U(",'name':{'givenName':'G','familyName':'F'}"),
         "[{'op':'replace','path':'name','value':null}]", NONE},
        {BOTH, U(",'name':{'givenName':'G','familyName':'F'}"),
         "[{'op':'replace','path':'name','value':{}}]", NONE},
        {BOTH, U(",'@EU':{'manager':{'value':'m','$ref':'r'}}"),
         "[{'op':'replace','path':'@EU:manager','value':{'value':''}}]", NONE},
        {BOTH, U(",'@EU':{'department':'D'}"), "[{'op':'replace','path':'@EU','value':null}]",
         NONE},
        {BOTH, NONE, "[{'op':'replace','path':'userName','value':null}]",
         FAILS(INVALID_VALUE, "Operations[0]: userName is required and cannot be empty")},
        {BOTH, NONE, "[{'op':'add','path':'userName','value':''}]",
         FAILS(INVALID_VALUE, "userName is required")},
        {BOTH, NONE, "[{'op':'replace','value':{'userName':''}}]",
         FAILS(INVALID_VALUE, "userName is required")},
    };

    CHECK("User", rows);
}

/* What may be written. */

static void test_read_only(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'replace','path':'id','value':'x'}]",
         FAILS(MUTABILITY, "Operations[0]: id is readOnly")},
        {BOTH, NONE, "[{'op':'add','path':'ID','value':'x'}]",
         FAILS(MUTABILITY, "id is readOnly")},
        {BOTH, NONE, "[{'op':'add','path':'groups','value':[{'value':'g'}]}]",
         FAILS(MUTABILITY, "groups is readOnly")},
        {BOTH, NONE, "[{'op':'remove','path':'groups[value eq `g`]'}]",
         FAILS(MUTABILITY, "groups is readOnly")},
        {BOTH, NONE, "[{'op':'replace','path':'groups.display','value':'g'}]",
         FAILS(MUTABILITY, "groups is readOnly")},
        {BOTH, NONE, "[{'op':'replace','path':'meta.created','value':'2026-01-01T00:00:00Z'}]",
         FAILS(MUTABILITY, "meta is readOnly")},
        {BOTH, NONE,
         "[{'op':'replace','path':'urn:ietf:params:scim:schemas:core:2.0:User:id','value':'x'}"
         "]",
         FAILS(MUTABILITY, "id is readOnly")},
        {BOTH, NONE, "[{'op':'replace','path':'@EU:manager.displayName','value':'x'}]",
         FAILS(MUTABILITY, "manager.displayName is readOnly")},
        {BOTH, NONE, "[{'op':'replace','path':'schemas','value':['@EU']}]",
         FAILS(MUTABILITY, "schemas cannot be changed as a whole")},
        {BOTH, NONE,
         "[{'op':'replace','value':{'id':'x','schemas':['y'],'meta':{'version':'1'},"
         "'groups':[{'value':'g'}],'title':'t','meta.created':'z'}}]",
         U(",'title':'t'")},
        {BOTH, NONE,
         "[{'op':'add','value':{'@EU':{'manager':{'value':'m','displayName':'Boss'}}}}]",
         U(",'@EU':{'manager':{'value':'m'}}")},
        {BOTH, U(",'@EU':{'manager':{'value':'m'}}"),
         "[{'op':'replace','value':{'@EU':{'manager':{'displayName':'Boss'}}}}]",
         U(",'@EU':{'manager':{'value':'m'}}")},
    };

    CHECK("User", rows);
}

#define T(more) "{'name':'n'" more "}"

static void test_immutable(void **state)
{
    static const row rows[] = {
        {BOTH, T(""), "[{'op':'add','path':'badge','value':'1'}]", T(",'badge':'1'")},
        {BOTH, T(""), "[{'op':'replace','path':'badge','value':'1'}]", T(",'badge':'1'")},
        {BOTH, T(",'badge':'1'"), "[{'op':'replace','path':'badge','value':'1'}]",
         T(",'badge':'1'")},
        {BOTH, T(",'badge':'1'"), "[{'op':'replace','path':'badge','value':'2'}]",
         FAILS(MUTABILITY, "Operations[0]: badge is immutable")},
        {BOTH, T(",'badge':'1'"), "[{'op':'remove','path':'badge'}]",
         FAILS(MUTABILITY, "badge is immutable")},
        {BOTH, T(",'badge':'1'"),
         "[{'op':'add','path':'name','value':'m'},"
         "{'op':'add','value':{'badge':'2'}}]",
         FAILS(MUTABILITY, "Operations[1]: badge is immutable")},
        {BOTH, T(""), "[{'op':'add','path':'seal','value':{'a':'1','b':'2'}}]",
         T(",'seal':{'a':'1','b':'2'}")},
        {BOTH, T(",'seal':{'a':'1'}"), "[{'op':'add','path':'seal.b','value':'2'}]",
         FAILS(MUTABILITY, "seal is immutable")},
        {BOTH, T(",'codes':['1']"), "[{'op':'add','path':'codes','value':['1']}]",
         T(",'codes':['1']")},
        {BOTH, T(",'codes':['1']"), "[{'op':'add','path':'codes','value':['2']}]",
         FAILS(MUTABILITY, "codes is immutable")},
        {BOTH, T(",'card':{'colour':'c'}"), "[{'op':'add','path':'card.number','value':'1'}]",
         T(",'card':{'colour':'c','number':'1'}")},
        {BOTH, T(",'card':{'number':'1'}"), "[{'op':'add','path':'card.number','value':'2'}]",
         FAILS(MUTABILITY, "card.number is immutable")},
        {BOTH, T(",'card':{'number':'1'}"),
         "[{'op':'replace','path':'card.colour','value':'c'}]",
         T(",'card':{'number':'1','colour':'c'}")},
        {BOTH, T(",'card':{'number':'1'}"), "[{'op':'remove','path':'card'}]",
         FAILS(MUTABILITY, "card.number is immutable")},
        {BOTH, T(",'items':[{'serial':'1'}]"),
         "[{'op':'replace','path':'items[serial eq `1`].serial','value':'2'}]",
         FAILS(MUTABILITY, "Operations[0]: items.serial is immutable")},
        {BOTH, T(",'items':[{'serial':'1','colour':'c'}]"),
         "[{'op':'remove','path':'items[colour eq `c`].serial'}]",
         FAILS(MUTABILITY, "items.serial is immutable")},
        {BOTH, T(",'items':[{'serial':'1','colour':'c'}]"),
         "[{'op':'replace','path':'items[colour eq `c`]','value':{'serial':'2'}}]",
         FAILS(MUTABILITY, "items.serial is immutable")},
        {BOTH, T(",'items':[{'serial':'1','colour':'c'}]"),
         "[{'op':'replace','path':'items[colour sw `c`]','value':{'colour':'d'}}]",
         T(",'items':[{'serial':'1','colour':'d'}]")},
        {BOTH, T(",'items':[{'colour':'c'}]"),
         "[{'op':'add','path':'items[colour eq `c`].serial','value':'1'}]",
         T(",'items':[{'colour':'c','serial':'1'}]")},
        {BOTH, T(",'items':[{'serial':'1'},{'serial':'2'}]"),
         "[{'op':'remove','path':'items[serial eq `1`]'}]", T(",'items':[{'serial':'2'}]")},
        {BOTH, T(",'urn:x:more:1.0':{'born':'1','note':'x'}"),
         "[{'op':'remove','path':'urn:x:more:1.0'}]", FAILS(MUTABILITY, "born is immutable")},
        {BOTH, T(",'urn:x:more:1.0':{'note':'x','issued':'i'}"),
         "[{'op':'remove','path':'urn:x:more:1.0'}]", T(",'urn:x:more:1.0':{'issued':'i'}")},
        {BOTH, T(""), "[{'op':'add','path':'urn:x:more:1.0:issued','value':'i'}]",
         FAILS(MUTABILITY, "issued is readOnly")},
    };

    CHECK("Thing", rows);
}

static void test_bad_path(void **state)
{
    static const char *const paths[] = {"emails[type eq]",
                                        "a..b",
                                        "emails[",
                                        "",
                                        "[x]",
                                        "emails[0]",
                                        "emails[type eq `work`",
                                        "emails[]",
                                        "emails[type eq `w`].",
                                        "title.",
                                        "emails title",
                                        "emails[type eq `w`]x"};
    size_t i;

    for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        const char *body = apr_psprintf(root_pool,
                                        "{" PO ",'Operations':[{'op':'add','path':"
                                        "'%s','value':'x'}]}",
                                        paths[i]);

        check_body(body, false, FAILS(INVALID_PATH, "Operations[0]: "));
        check_body(body, true, FAILS(INVALID_PATH, "Operations[0]: "));
    }
}

static void test_unknown_path(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'add','path':'foo','value':'x'}]", FAILS(INVALID_PATH, "foo")},
        {BOTH, NONE, "[{'op':'remove','path':'name.foo'}]", FAILS(INVALID_PATH, "name.foo")},
        {BOTH, NONE, "[{'op':'remove','path':'__proto__.x'}]",
         FAILS(INVALID_PATH, "__proto__.x")},
        {BOTH, NONE, "[{'op':'add','path':'urn:x:none:2.0:User:tag','value':'x'}]",
         FAILS(INVALID_PATH, "urn:x:none:2.0:User:tag")},
    };

    CHECK("User", rows);
}

/* Extensions. */

static void test_extension(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'add','path':'@EU:department','value':'D'}]",
         U(",'@EU':{'department':'D'}")},
        {BOTH, NONE,
         "[{'op':'add','path':'URN:ietf:params:SCIM:schemas:extension:enterprise:2.0:USER:"
         "Department','value':'D'}]",
         U(",'@EU':{'department':'D'}")},
        {BOTH, U(",'@EU':{'department':'D'}"), "[{'op':'remove','path':'@EU:department'}]",
         NONE},
        {BOTH, U(",'@EU':{'department':'D'}"),
         "[{'op':'replace','path':'@EU:department','value':''}]", NONE},
        {BOTH, NONE, "[{'op':'add','path':'@EU:manager','value':{'value':'m'}}]",
         U(",'@EU':{'manager':{'value':'m'}}")},
        {INTEROP, NONE, "[{'op':'Add','path':'@EU:manager','value':'m'}]",
         U(",'@EU':{'manager':{'value':'m'}}")},
        {INTEROP, NONE, "[{'op':'Add','path':'manager','value':[{'$ref':'r','value':'m'}]}]",
         U(",'@EU':{'manager':{'value':'m','$ref':'r'}}")},
        {INTEROP, U(",'@EU':{'manager':{'value':'m'}}"),
         "[{'op':'Add','path':'@EU:manager','value':''}]", NONE},
        {RFC, NONE, "[{'op':'add','path':'@EU:manager','value':'m'}]",
         FAILS(INVALID_VALUE, "manager must be an object, is a string")},
    };

    CHECK("User", rows);
}

static void test_whole_extension(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'@EU':{'department':'D','division':'V'}"),
         "[{'op':'add','path':'@EU','value':{'department':'E','costCenter':'C'}}]",
         U(",'@EU':{'department':'E','division':'V','costCenter':'C'}")},
        {BOTH, U(",'@EU':{'department':'D','division':'V'}"),
         "[{'op':'replace','path':'@EU','value':{'department':'E','division':null}}]",
         U(",'@EU':{'department':'E'}")},
        {BOTH, U(",'@EU':{'department':'D','manager':{'value':'m'}}"),
         "[{'op':'remove','path':'@EU'}]", NONE},
        {BOTH, NONE, "[{'op':'add','path':'@EU','value':'x'}]",
         FAILS(INVALID_VALUE, "enterprise:2.0:User must be an object, is a string")},
    };

    CHECK("User", rows);
}

static const char *schemas_after(const char *existing, const char *operations)
{
    scim_draft draft;

    assert_null(run(&draft, "User", json_of(existing), operations, false));
    assert_string_equal(json_object_iter_key(json_object_iter(draft.json)), "schemas");
    return dump(json_object_get(draft.json, "schemas"));
}

static void test_schemas(void **state)
{
    static const char core[] = "[\"" SCIM_URN_USER "\"]";
    static const char both[] = "[\"" SCIM_URN_USER "\",\"" SCIM_URN_ENTERPRISE "\"]";
    static const char with[] = "{'schemas':['" SCIM_URN_USER "','@EU'],'userName':'b',"
                               "'@EU':{'department':'D'}}";
    static const char without[] = "{'schemas':['" SCIM_URN_USER "'],'userName':'b'}";

    assert_string_equal(
        schemas_after(without, "[{'op':'add','path':'@EU:department','value':'D'}]"), both);
    assert_string_equal(schemas_after(with, "[{'op':'remove','path':'@EU:department'}]"), core);
    assert_string_equal(schemas_after(with, "[{'op':'remove','path':'@EU'}]"), core);
    assert_string_equal(schemas_after(with, "[{'op':'add','path':'title','value':'x'}]"), both);
}

#define BOSS U(",'@EU':{'department':'D','manager':{'value':'m'}}")
#define NO_EXTENSION FAILS(MUTABILITY, "extensions of a User")

static void test_schemas_path(void **state)
{
    static const row rows[] = {
        {BOTH, BOSS, "[{'op':'remove','path':'schemas[value eq `@EU`]'}]", NONE},
        {BOTH, BOSS,
         "[{'op':'remove','path':'schemas[value ew `:2.0:USER` and value co `ENTER`]'}]", NONE},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas','value':['@EU']}]", NONE},
        {BOTH, BOSS, "[{'op':'remove','path':'SCHEMAS','value':'@EU'}]", NONE},
        {BOTH, NONE, "[{'op':'remove','path':'schemas','value':'@EU'}]", NONE},
        {BOTH, BOSS,
         "[{'op':'remove','path':'schemas','value':'@EU'},"
         "{'op':'add','path':'@EU:department','value':'E'}]",
         U(",'@EU':{'department':'E'}")},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas[value eq `" SCIM_URN_USER "`]'}]",
         FAILS(MUTABILITY, "Operations[0]: schemas can gain and lose")},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas[value pr]'}]", NO_EXTENSION},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas[value eq `urn:x`]'}]",
         FAILS(MUTABILITY, "no extension of a User matches")},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas','value':['@EU','" SCIM_URN_USER "']}]",
         NO_EXTENSION},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas','value':['urn:x']}]", NO_EXTENSION},
        {BOTH, BOSS, "[{'op':'remove','path':'schemas','value':[7]}]",
         FAILS(INVALID_VALUE, "must be a string, is an integer")},
        {BOTH, NONE, "[{'op':'add','path':'schemas','value':['@EU']}]", NONE},
        {BOTH, BOSS, "[{'op':'add','path':'schemas','value':'@EU'}]", BOSS},
        {BOTH, BOSS, "[{'op':'add','path':'schemas','value':['" SCIM_URN_USER "']}]", BOSS},
        {BOTH, NONE, "[{'op':'add','path':'schemas','value':['urn:x']}]", NO_EXTENSION},
        {BOTH, NONE, "[{'op':'add','path':'schemas','value':null}]",
         FAILS(MUTABILITY, "cannot be changed as a whole")},
    };

    CHECK("User", rows);
}

/* Values. */

#define P(type) "{'type':'" type "','value':'" type "','primary':true}"
#define S(type) "{'type':'" type "','value':'" type "','primary':false}"

static void test_primary(void **state)
{
    static const row rows[] = {
        {BOTH, MAILS(P("a")), "[{'op':'add','path':'emails','value':[" P("b") "]}]",
         MAILS(S("a") "," P("b"))},
        {BOTH, MAILS(P("a") ",{'type':'b','value':'b'}"),
         "[{'op':'add','path':'emails','value':[" P("b") "]}]", MAILS(S("a") "," P("b"))},
        {BOTH, MAILS(S("a") "," P("b")),
         "[{'op':'replace','path':'emails[type eq `a`].primary','value':true}]",
         MAILS(P("a") "," S("b"))},
        {BOTH, MAILS(S("a") "," P("b")), "[{'op':'add','path':'emails','value':[" P("a") "]}]",
         MAILS(P("a") "," S("b"))},
        {BOTH, MAILS(S("a") "," P("b")),
         "[{'op':'add','path':'emails[type eq `a`]','value':{'primary':true}}]",
         MAILS(P("a") "," S("b"))},
        {BOTH, MAILS(S("a") "," P("b")),
         "[{'op':'replace','path':'emails[type eq `a`]','value':{'value':'a','primary':true}}]",
         MAILS(P("a") "," S("b"))},
        {BOTH, MAILS(P("b")),
         "[{'op':'add','path':'emails[type eq `a` and value eq `a`].primary',"
         "'value':true}]",
         MAILS(S("b") "," P("a"))},
        {BOTH, MAILS(P("a")),
         "[{'op':'add','path':'emails[type eq `b`].value','value':'b'},"
         "{'op':'add','path':'emails[type eq `b`].primary','value':true},"
         "{'op':'add','path':'emails[type eq `a`].primary','value':true}]",
         MAILS(P("a") "," S("b"))},
        {BOTH, MAILS(P("a") "," S("b")),
         "[{'op':'replace','path':'emails','value':[" P("b") "]}]", MAILS(P("b"))},
        {BOTH, MAILS(P("a") "," S("b")),
         "[{'op':'replace','path':'emails[type eq `a`].primary','value':false}]",
         MAILS(S("a") "," S("b"))},
        {INTEROP, NONE, "[{'op':'add','path':'emails','value':[" P("a") "," P("b") "]}]",
         MAILS(S("a") "," P("b"))},
        {RFC, NONE, "[{'op':'add','path':'emails','value':[" P("a") "," P("b") "]}]",
         FAILS(INVALID_VALUE, "emails has two values whose primary is true")},
        {INTEROP, MAILS(S("a") "," P("b") "," S("c")),
         "[{'op':'replace','path':'emails[type ne `c`].primary','value':true}]",
         MAILS(S("a") "," P("b") "," S("c"))},
        {RFC, MAILS(S("a") "," P("b") "," S("c")),
         "[{'op':'replace','path':'emails[type ne `c`].primary','value':true}]",
         FAILS(INVALID_VALUE, "emails would have more than one primary value")},
        {BOTH, U(",'roles':[{'value':'x','primary':true}]"),
         "[{'op':'add','path':'roles[value eq `y` and primary eq true].display','value':'Y'}]",
         U(",'roles':[{'value':'x','primary':false},"
           "{'value':'y','primary':true,'display':'Y'}]")},
    };

    CHECK("User", rows);
}

static void test_wrong_type(void **state)
{
    static const row rows[] = {
        {BOTH, NONE, "[{'op':'add','path':'active','value':'yes'}]",
         FAILS(INVALID_VALUE, "Operations[0]: active must be a boolean, is a string")},
        {RFC, NONE, "[{'op':'add','path':'active','value':'True'}]",
         FAILS(INVALID_VALUE, "active must be a boolean")},
        {INTEROP, NONE, "[{'op':'add','path':'active','value':'True'}]", U(",'active':true")},
        {BOTH, NONE, "[{'op':'add','path':'title','value':1}]",
         FAILS(INVALID_VALUE, "title must be a string, is an integer")},
        {BOTH, NONE, "[{'op':'add','path':'name','value':'x'}]",
         FAILS(INVALID_VALUE, "name must be an object, is a string")},
        {BOTH, NONE, "[{'op':'add','path':'name.givenName','value':['x']}]",
         FAILS(INVALID_VALUE, "name.givenName must be a string, is an array")},
        {BOTH, MAILS(WORK),
         "[{'op':'replace','path':'emails[type eq `work`].primary','value':3}]",
         FAILS(INVALID_VALUE, "emails.primary must be a boolean, is an integer")},
        {BOTH, NONE, "[{'op':'add','path':'x509Certificates','value':[{'value':'!!!'}]}]",
         FAILS(INVALID_VALUE, "x509Certificates[0].value must be a string in base64")},
        {BOTH, NONE, "[{'op':'add','path':'emails','value':[1]}]",
         FAILS(INVALID_VALUE, "emails[0] must be an object, is an integer")},
        {RFC, NONE, "[{'op':'replace','path':'emails','value':" WORK "}]",
         FAILS(INVALID_VALUE, "emails must be an array, is an object")},
        {INTEROP, NONE, "[{'op':'replace','path':'emails','value':" WORK "}]", MAILS(WORK)},
    };

    CHECK("User", rows);
}

static void test_value_path_of_one(void **state)
{
    static const row rows[] = {
        {BOTH, U(",'name':{'givenName':'x'}"),
         "[{'op':'replace','path':'name[givenName eq `x`].familyName','value':'F'}]",
         FAILS(INVALID_PATH, "Operations[0]: ")},
    };

    CHECK("User", rows);
}

static void test_simple_values(void **state)
{
    static const row rows[] = {
        {BOTH, T(",'tags':['a','b']"), "[{'op':'remove','path':'tags[value eq `a`]'}]",
         T(",'tags':['b']")},
        {BOTH, T(",'tags':['a','b']"),
         "[{'op':'replace','path':'tags[value eq `a`]','value':'c'}]", T(",'tags':['c','b']")},
        {BOTH, T(",'tags':['a','b']"),
         "[{'op':'replace','path':'tags[value eq `a`]','value':'b'}]", T(",'tags':['b']")},
        {BOTH, T(",'tags':['a']"), "[{'op':'add','path':'tags','value':['a','b']}]",
         T(",'tags':['a','b']")},
        {BOTH, T(",'tags':['a']"), "[{'op':'add','path':'tags','value':'b'}]",
         T(",'tags':['a','b']")},
        {BOTH, T(",'tags':['a']"), "[{'op':'add','path':'tags[value eq `x`]','value':'b'}]",
         FAILS(NO_TARGET, "no value of tags matches")},
        {INTEROP, T(",'tags':['a','b']"), "[{'op':'remove','path':'tags','value':['a']}]",
         T(",'tags':['b']")},
        {BOTH, T(",'items':[{'serial':'1','marks':['a']}]"),
         "[{'op':'add','path':'items[serial eq `1`].marks','value':['b']}]",
         T(",'items':[{'serial':'1','marks':['a','b']}]")},
    };

    CHECK("Thing", rows);
}

static void test_password(void **state)
{
    static const struct {
        const char *operations;
        const char *password;
        bool cleared;
    } rows[] = {
        {"[{'op':'add','path':'title','value':'x'}]", NULL, false},
        {"[{'op':'replace','value':{'password':'N3w!'}}]", "N3w!", false},
        {"[{'op':'add','path':'password','value':'a'},{'op':'replace','path':'password',"
         "'value':'b'}]",
         "b", false},
        {"[{'op':'remove','path':'password'}]", NULL, true},
        {"[{'op':'replace','path':'password','value':''}]", NULL, true},
        {"[{'op':'remove','path':'password'},{'op':'add','path':'password','value':'c'}]", "c",
         false},
        {"[{'op':'add','path':'password','value':'c'},{'op':'remove','path':'password'}]", NULL,
         true},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        scim_draft draft;

        apr_pool_clear(pool);
        assert_null(run(&draft, "User", json_of(NONE), rows[i].operations, false));
        assert_null(json_object_get(draft.json, "password"));
        assert_int_equal(draft.password_cleared, rows[i].cleared);
        assert_int_equal(draft.password == NULL, rows[i].password == NULL);
        if (rows[i].password) {
            assert_string_equal(draft.password, rows[i].password);
        }
    }
    check_body("{" PO ",'Operations':[{'op':'add','path':'password','value':1}]}", true,
               FAILS(INVALID_VALUE, "Operations[0]: password must be a string"));
    check_body("{" PO ",'Operations':[{'op':'add','value':{'password':'a\\u0007b'}}]}", true,
               FAILS(INVALID_VALUE, "Operations[0]: password must not have control"));
}

/* Members. */

/* Which of three members a step's filter matches: "(u1 g1)". */
static const char *matching(const scim_filter *filter)
{
    static const char *const elements[] = {"{'value':'u1','type':'User','display':'One'}",
                                           "{'value':'u2','type':'User'}",
                                           "{'value':'g1','type':'Group'}"};
    const char *out = "(";
    size_t i;

    assert_non_null(filter);
    for (i = 0; i < sizeof(elements) / sizeof(*elements); i++) {
        const json_t *element = json_of(elements[i]);

        if (scim_filter_match_element(filter, element, pool)) {
            out = apr_pstrcat(pool, out, out[1] ? " " : "", scim_json_string(element, "value"),
                              NULL);
        }
    }
    return apr_pstrcat(pool, out, ")", NULL);
}

static const char *step_text(const scim_member_op *step)
{
    static const char *const kinds[] = {
        [SCIM_MEMBER_ADD] = "add ",       [SCIM_MEMBER_REMOVE] = "remove ",
        [SCIM_MEMBER_CLEAR] = "clear",    [SCIM_MEMBER_REMOVE_WHERE] = "remove ",
        [SCIM_MEMBER_SET_WHERE] = "set ",
    };
    bool where = step->kind == SCIM_MEMBER_REMOVE_WHERE || step->kind == SCIM_MEMBER_SET_WHERE;

    return apr_pstrcat(pool, kinds[step->kind], where ? matching(step->filter) : "",
                       step->value ? step->value : "", step->type ? " type=" : "",
                       step->type ? step->type : "", step->ref ? " ref=" : "",
                       step->ref ? step->ref : "", step->display ? " display=" : "",
                       step->display ? step->display : "", NULL);
}

static const char *steps_text(const apr_array_header_t *members)
{
    const char *out = "";
    int i;

    if (!members) {
        return "untouched";
    }
    for (i = 0; i < members->nelts; i++) {
        out = apr_pstrcat(pool, out, i ? ", " : "",
                          step_text(&APR_ARRAY_IDX(members, i, scim_member_op)), NULL);
    }
    return out;
}

typedef struct member_row {
    profile in;
    const char *operations;
    const char *steps; /* or FAILS() */
} member_row;

static void check_member_row(const member_row *r, bool lenient)
{
    const scim_error *err;
    scim_draft draft;

    apr_pool_clear(pool);
    err = run(&draft, "Group", json_of("{'displayName':'g'}"), r->operations, lenient);
    if (r->steps[0] == '!') {
        check_error(err, r->steps, r->operations);
        return;
    }
    check_success(err, r->operations);
    if (strcmp(steps_text(draft.members), r->steps)) {
        fail_msg("%s\n gives    %s\n expected %s", r->operations, steps_text(draft.members),
                 r->steps);
    }
    assert_null(json_object_get(draft.json, "members"));
}

static void check_member_rows(const member_row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (rows[i].in & RFC) {
            check_member_row(&rows[i], false);
        }
        if (rows[i].in & INTEROP) {
            check_member_row(&rows[i], true);
        }
    }
}

#define CHECK_MEMBERS(rows) check_member_rows(rows, sizeof(rows) / sizeof(*(rows)))

static void test_members_untouched(void **state)
{
    static const member_row rows[] = {
        {BOTH, "[{'op':'replace','path':'displayName','value':'h'}]", "untouched"},
        {BOTH, "[{'op':'replace','value':{'id':'x','displayName':'h'}}]", "untouched"},
        {INTEROP, "[]", "untouched"},
    };

    CHECK_MEMBERS(rows);
}

static void test_members_added(void **state)
{
    static const member_row rows[] = {
        {BOTH,
         "[{'op':'add','path':'members','value':[{'value':'u1'},{'value':'g1','type':'Group',"
         "'$ref':'../Groups/g1','display':'G'}]}]",
         "add u1, add g1 type=Group ref=../Groups/g1 display=G"},
        {BOTH, "[{'op':'add','path':'members','value':{'value':'u1'}}]", "add u1"},
        {BOTH, "[{'op':'add','value':{'members':[{'value':'u1'}]}}]", "add u1"},
        {BOTH,
         "[{'op':'add','value':{'displayName':'h','members':[{'value':'u1'}]}},"
         "{'op':'add','path':'members','value':[{'value':'u2'}]}]",
         "add u1, add u2"},
        {BOTH, "[{'op':'add','path':'members[value eq `u1`]','value':{'display':'D'}}]",
         "add u1 display=D"},
        {INTEROP, "[{'op':'Add','path':'members','value':[{'$ref':null,'value':'u1'}]}]",
         "add u1"},
        {INTEROP, "[{'op':'add','path':'members','value':'u1'}]", "add u1"},
        {INTEROP, "[{'op':'add','path':'members[value eq `u1`]'}]", "add u1"},
        {RFC, "[{'op':'add','path':'members','value':['u1']}]",
         FAILS(INVALID_VALUE, "Operations[0]: members[0] must be an object")},
        {RFC, "[{'op':'add','path':'members','value':[{'value':'u1','foo':1}]}]",
         FAILS(INVALID_SYNTAX, "members has no attribute \"foo\"")},
        {BOTH, "[{'op':'add','path':'members','value':[{'value':'u1'},{'display':'D'}]}]",
         FAILS(INVALID_VALUE, "Operations[0]: members[1].value is missing")},
        {RFC, "[{'op':'add','path':'members[value eq `u1`]'}]",
         FAILS(INVALID_VALUE, "value is missing")},
        {BOTH, "[{'op':'add','path':'members[type eq `User`]','value':{'display':'D'}}]",
         FAILS(NO_TARGET, "members[value eq \"ID\"]")},
        {BOTH, "[{'op':'add','path':'members[value eq `u1`]','value':true}]",
         FAILS(INVALID_VALUE, "Operations[0]: the value of one member must be an object")},
        {BOTH, "[{'op':'add','path':'members','value':[]}]", "untouched"},
    };

    CHECK_MEMBERS(rows);
}

static void test_members_replaced(void **state)
{
    static const member_row rows[] = {
        {BOTH, "[{'op':'replace','path':'members','value':[{'value':'u1'},{'value':'u2'}]}]",
         "clear, add u1, add u2"},
        {BOTH, "[{'op':'replace','value':{'members':[{'value':'u1'}]}}]", "clear, add u1"},
        {BOTH, "[{'op':'replace','path':'members','value':[]}]", "clear"},
        {BOTH, "[{'op':'replace','path':'members','value':null}]", "clear"},
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`]','value':null}]", "remove u1"},
        {RFC, "[{'op':'replace','path':'members[value eq `u1`]','value':{'display':'D'}}]",
         "set (u1) display=D"},
        {INTEROP, "[{'op':'replace','path':'members[value eq `u1`]','value':{'display':'D'}}]",
         "set (u1) display=D, add u1 display=D"},
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`]','value':{'value':'u2'}}]",
         FAILS(MUTABILITY, "members.value is immutable")},
    };

    CHECK_MEMBERS(rows);
}

static void test_members_removed(void **state)
{
    static const member_row rows[] = {
        {BOTH, "[{'op':'remove','path':'members'}]", "clear"},
        {BOTH, "[{'op':'remove','path':'members','value':null}]", "clear"},
        {BOTH, "[{'op':'remove','path':'members','value':[{'value':'u1'},{'value':'u2'}]}]",
         "remove u1, remove u2"},
        {BOTH, "[{'op':'remove','path':'members','value':{'value':'u1'}}]", "remove u1"},
        {BOTH, "[{'op':'remove','path':'members','value':[]}]", "untouched"},
        {INTEROP, "[{'op':'Remove','path':'members','value':[{'$ref':null,'value':'u1'}]}]",
         "remove u1"},
        {INTEROP, "[{'op':'remove','path':'members','value':['u1']}]", "remove u1"},
        {BOTH, "[{'op':'remove','path':'members','value':[{'display':'D'}]}]",
         FAILS(INVALID_VALUE, "members[0].value is missing")},
        {BOTH,
         "[{'op':'remove','path':'members[value eq `u1`]'},"
         "{'op':'remove','path':'members[value eq `u2`]'},"
         "{'op':'remove','path':'members[value eq `g1`]'}]",
         "remove u1, remove u2, remove g1"},
        {BOTH, "[{'op':'remove','path':'members[value eq `u1` or value eq `g1`]'}]",
         "remove u1, remove g1"},
        {BOTH, "[{'op':'remove','path':'members[value eq `u1` and type eq `User`]'}]",
         "remove (u1)"},
        {BOTH, "[{'op':'remove','path':'members[type eq `User`]'}]", "remove (u1 u2)"},
        {BOTH, "[{'op':'remove','path':'members[value ne `u1`]'}]", "remove (u2 g1)"},
        {BOTH, "[{'op':'remove','path':'members[display eq `u1`]'}]", "remove ()"},
        {BOTH,
         "[{'op':'add','path':'members','value':[{'value':'u1'}]},"
         "{'op':'remove','path':'members[value eq `u1`]'}]",
         "add u1, remove u1"},
    };

    CHECK_MEMBERS(rows);
}

static void test_member_display(void **state)
{
    static const member_row rows[] = {
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`].display','value':'D'}]",
         "set (u1) display=D"},
        {BOTH, "[{'op':'add','path':'members[type eq `User`].display','value':'D'}]",
         "set (u1 u2) display=D"},
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`].display','value':''}]",
         "set (u1)"},
        {BOTH, "[{'op':'remove','path':'members[value eq `u1`].display'}]", "set (u1)"},
        {BOTH, "[{'op':'remove','path':'members.display'}]", "set (u1 u2 g1)"},
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`].display','value':1}]",
         FAILS(INVALID_VALUE, "members.display must be a string")},
    };

    CHECK_MEMBERS(rows);
}

static void test_member_immutable(void **state)
{
    static const member_row rows[] = {
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`].value','value':'u2'}]",
         FAILS(MUTABILITY, "Operations[0]: members.value is immutable")},
        {BOTH, "[{'op':'add','path':'members[value eq `u1`].type','value':'Group'}]",
         FAILS(MUTABILITY, "members.type is immutable")},
        {BOTH, "[{'op':'remove','path':'members[value eq `u1`].value'}]",
         FAILS(MUTABILITY, "members.value is immutable")},
        {BOTH, "[{'op':'replace','path':'members.value','value':'u2'}]",
         FAILS(MUTABILITY, "members.value is immutable")},
        {BOTH, "[{'op':'replace','path':'members[value eq `u1`].value','value':'u1'}]",
         "untouched"},
    };

    CHECK_MEMBERS(rows);
}

static void test_member_places(void **state)
{
    static const char *const places[] = {"Operations[0].value[0]", "Operations[0].value[1]",
                                         "Operations[2].value.members[0]", "Operations[3]"};
    scim_draft draft;
    size_t i;

    assert_null(run(&draft, "Group", json_of("{'displayName':'g'}"),
                    "[{'op':'add','path':'members','value':[{'value':'a'},{'value':'b'}]},"
                    "{'op':'replace','path':'displayName','value':'h'},"
                    "{'op':'add','value':{'members':[{'value':'c'}]}},"
                    "{'op':'remove','path':'members[value eq `d`]'}]",
                    true));
    assert_int_equal(draft.members->nelts, 4);
    for (i = 0; i < 4; i++) {
        assert_string_equal(APR_ARRAY_IDX(draft.members, i, scim_member_op).where, places[i]);
    }
}

static void test_many_members(void **state)
{
    json_t *list = json_array();
    json_t *body =
        scim_json_adopt(json_pack("{s:[s],s:[{ss,ss,so}]}", "schemas", SCIM_URN_PATCH,
                                  "Operations", "op", "add", "path", "members", "value", list),
                        pool);
    const scim_patch *patch;
    scim_draft draft;
    int i;

    for (i = 0; i < 5000; i++) {
        json_array_append_new(list, json_pack("{so}", "value", json_sprintf("id-%d", i)));
    }
    assert_null(scim_patch_parse(&patch, body, type_of("Group"), false, pool));
    assert_null(scim_patch_apply(&draft, patch, json_of("{'displayName':'g'}"), pool));
    assert_int_equal(draft.members->nelts, 5000);
    assert_string_equal(APR_ARRAY_IDX(draft.members, 4999, scim_member_op).value, "id-4999");
}

/* Traces of identity providers: each message works on what the one before it
 * left. */

typedef struct step {
    const char *operations;
    const char *expected; /* attributes of the result; null: it has none */
} step;

static void check_step(const json_t *resource, const step *s)
{
    json_t *expected = json_of(s->expected);
    const char *key;
    json_t *value;

    json_object_foreach (expected, key, value) {
        const json_t *actual = json_object_get(resource, key);

        check_equal(actual ? actual : json_null(), value, s->operations);
    }
}

static void check_trace(const char *type_name, const char *start, const step *steps,
                        size_t count)
{
    apr_pool_t *kept;
    json_t *resource;
    size_t i;

    apr_pool_create(&kept, root_pool);
    resource = scim_json_adopt(json_deep_copy(json_of(start)), kept);
    for (i = 0; i < count; i++) {
        const scim_error *err;
        scim_draft draft;

        apr_pool_clear(pool);
        err = run(&draft, type_name, resource, steps[i].operations, true);
        check_success(err, steps[i].operations);
        resource = scim_json_adopt(json_deep_copy(draft.json), kept);
        check_step(resource, &steps[i]);
    }
    apr_pool_destroy(kept);
}

#define TRACE(type_name, start, steps) \
    check_trace(type_name, start, steps, sizeof(steps) / sizeof(*(steps)))

static const char babs[] =
    "{'externalId':'babs','userName':'babs@contoso.com','active':true,'displayName':'Babs "
    "Jensen',"
    "'title':'Guide','emails':[{'primary':true,'type':'work','value':'babs@contoso.com'}],"
    "'name':{'formatted':'Babs Jensen','familyName':'Jensen','givenName':'Babs'}}";

static void test_entra(void **state)
{
    static const step steps[] = {
        {"[{'op':'Replace','path':'displayName','value':'Barbara Jensen'}]",
         "{'displayName':'Barbara Jensen'}"},
        {"[{'op':'Add','path':'nickName','value':'Babs'}]", "{'nickName':'Babs'}"},
        {"[{'op':'Replace','path':'name.familyName','value':'Smith'},"
         "{'op':'Replace','path':'name.formatted','value':'Babs Smith'}]",
         "{'name':{'formatted':'Babs Smith','familyName':'Smith','givenName':'Babs'}}"},
        {"[{'op':'Replace','path':'emails[type eq "
         "`work`].value','value':'b.smith@contoso.com'}]",
         "{'emails':[{'primary':true,'type':'work','value':'b.smith@contoso.com'}]}"},
        {"[{'op':'Add','path':'phoneNumbers[type eq `mobile`].value','value':'+1 555'},"
         "{'op':'Add','path':'phoneNumbers[type eq `fax`].value','value':'+1 556'}]",
         "{'phoneNumbers':[{'type':'mobile','value':'+1 555'},{'type':'fax','value':'+1 "
         "556'}]}"},
        {"[{'op':'Add','path':'emails[type eq `other`].Value','value':'b@home.net'},"
         "{'op':'Add','path':'addresses[type eq `other`].Formatted','value':'Bldg 4'}]",
         "{'emails':[{'primary':true,'type':'work','value':'b.smith@contoso.com'},"
         "{'type':'other','value':'b@home.net'}],"
         "'addresses':[{'type':'other','formatted':'Bldg 4'}]}"},
        {"[{'op':'Add','path':'addresses[type eq `work`].locality','value':'Joinville'},"
         "{'op':'Add','path':'addresses[type eq `work`].country','value':'BR'},"
         "{'op':'Add','path':'addresses[type eq `work`].postalCode','value':'89200'}]",
         "{'addresses':[{'type':'other','formatted':'Bldg 4'},"
         "{'type':'work','locality':'Joinville','country':'BR','postalCode':'89200'}]}"},
        {"[{'op':'Add','path':'@EU:employeeNumber','value':'1001'},"
         "{'op':'Add','path':'@EU:department','value':'R&D'}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D'},"
         "'schemas':['" SCIM_URN_USER "','@EU']}"},
        {"[{'op':'Add','path':'@EU:manager','value':'m1'}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D','manager':{'value':'m1'}}}"},
        {"[{'op':'Add','path':'manager','value':[{'$ref':'http://localhost/scim/Users/m1',"
         "'value':'m1'}]}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D','manager':{'value':'m1',"
         "'$ref':'http://localhost/scim/Users/m1'}}}"},
        {"[{'op':'Replace','path':'@EU:manager','value':'m2'}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D','manager':{'value':'m2'}}}"},
        {"[{'op':'Replace','path':'@EU:manager','value':''}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D'}}"},
        {"[{'op':'Add','path':'@EU:manager','value':'m3'}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D','manager':{'value':'m3'}}}"},
        {"[{'op':'Replace','path':'@EU:manager','value':{'value':''}}]",
         "{'@EU':{'employeeNumber':'1001','department':'R&D'}}"},
        {"[{'op':'Add','path':'roles','value':[{'value':'{`id`:`06b0`}'}]}]",
         "{'roles':[{'value':'{`id`:`06b0`}'}]}"},
        {"[{'op':'Remove','path':'roles'},"
         "{'op':'Add','path':'roles[primary eq `True`].value','value':'admin'},"
         "{'op':'Add','path':'roles[primary eq `True`].display','value':'Admin'}]",
         "{'roles':[{'primary':true,'value':'admin','display':'Admin'}]}"},
        {"[{'op':'replace','path':'roles','value':[{'primary':false,"
         "'type':'WindowsAzureActiveDirectoryRole','display':'User','value':'User'}]}]",
         "{'roles':[{'primary':false,'type':'WindowsAzureActiveDirectoryRole','display':'User',"
         "'value':'User'}]}"},
        {"[{'op':'replace','path':'title','value':''}]", "{'title':null}"},
        {"[{'op':'replace','path':'nickName','value':null}]", "{'nickName':null}"},
        {"[{'op':'Replace','path':'userName','value':'bsmith@contoso.com'}]",
         "{'userName':'bsmith@contoso.com'}"},
        {"[{'op':'Replace','path':'active','value':'False'}]", "{'active':false}"},
        {"[{'op':'Replace','path':'active','value':'True'}]", "{'active':true}"},
        {"[]", "{'active':true}"},
    };

    TRACE("User", babs, steps);
}

/* The store gives them their $ref anew, and then asks what has changed. */
static void test_references(void **state)
{
    json_t *existing = json_of("{'schemas':['" SCIM_URN_USER "','@EU'],'userName':'u',"
                               "'title':'t','@EU':{'manager':{'value':'m','$ref':'r'}}}");
    json_t *before = scim_json_adopt(json_deep_copy(existing), pool);
    json_t *manager;
    scim_draft draft;

    check_success(
        run(&draft, "User", existing, "[{'op':'replace','path':'title','value':'u'}]", false),
        "a change of the title");
    manager = json_object_get(json_object_get(draft.json, SCIM_URN_ENTERPRISE), "manager");
    assert_int_equal(json_object_del(manager, "$ref"), 0);
    check_equal(existing, before, "existing after its draft was changed");
}

static void test_entra_compliant(void **state)
{
    static const step steps[] = {
        {"[{'op':'replace','path':'emails[type eq "
         "`work`].value','value':'t@test.microsoft.com'},"
         "{'op':'replace','value':{'displayName':'Bjfe','name.givenName':'Kkom',"
         "'name.familyName':'Unua','@EU:employeeNumber':'Aklq'}}]",
         "{'displayName':'Bjfe','@EU':{'employeeNumber':'Aklq'},"
         "'name':{'formatted':'Babs Jensen','givenName':'Kkom','familyName':'Unua'},"
         "'emails':[{'primary':true,'type':'work','value':'t@test.microsoft.com'}],'name."
         "givenName':null}"},
        {"[{'op':'add','path':'nickName','value':'Babs'}]", "{'nickName':'Babs'}"},
        {"[{'op':'replace','path':'active','value':false}]", "{'active':false}"},
        {"[{'op':'add','path':'@EU:department','value':'D'}]",
         "{'@EU':{'employeeNumber':'Aklq','department':'D'}}"},
        {"[{'op':'replace','value':{'title':'','name.formatted':'','@EU:department':''}}]",
         "{'@EU':{'employeeNumber':'Aklq'},'name':{'givenName':'Kkom','familyName':'Unua'},'"
         "title':null}"},
        {"[{'op':'replace','value':{'@EU:employeeNumber':null}}]", "{'@EU':null}"},
    };

    TRACE("User", babs, steps);
}

/* clang-format off */
#define VERBOSE(op)                                                                            \
    "[{'op':'" op "','path':'active','value':true},"                                           \
    "{'op':'" op "','path':'displayName','value':'RJEX'},"                                     \
    "{'op':'" op "','path':'emails[type eq `work`].value','value':'b@blick.name'},"            \
    "{'op':'" op "','path':'emails[type eq `work`].primary','value':true},"                    \
    "{'op':'" op "','path':'name.givenName','value':'T'},"                                     \
    "{'op':'" op "','path':'name.honorificSuffix','value':'S'},"                               \
    "{'op':'" op "','path':'addresses[type eq `work`].formatted','value':'f'},"                \
    "{'op':'" op "','path':'addresses[type eq `work`].primary','value':true},"                 \
    "{'op':'" op "','path':'addresses[type eq `work`].country','value':'Belize'},"             \
    "{'op':'" op "','path':'phoneNumbers[type eq `work`].value','value':'1'},"                 \
    "{'op':'" op "','path':'phoneNumbers[type eq `work`].primary','value':true},"              \
    "{'op':'" op "','path':'phoneNumbers[type eq `mobile`].value','value':'2'},"               \
    "{'op':'" op "','path':'phoneNumbers[type eq `fax`].value','value':'3'},"                  \
    "{'op':'" op "','path':'@EU:employeeNumber','value':'L'},"                                 \
    "{'op':'" op "','path':'@EU:division','value':'v'},"                                       \
    "{'op':'" op "','path':'roles[primary eq `True`].display','value':'TQ'},"                  \
    "{'op':'" op "','path':'roles[primary eq `True`].value','value':'UO'},"                    \
    "{'op':'" op "','path':'roles[primary eq `True`].type','value':'VG'},"                     \
    "{'op':'" op "','path':'timezone','value':'America/Guayaquil'},"                           \
    "{'op':'" op "','path':'profileUrl','value':'RVSZ'}]"

#define VERBOSE_RESULT                                                                         \
    "{'active':true,'displayName':'RJEX','name':{'givenName':'T','honorificSuffix':'S'},"      \
    "'emails':[{'type':'work','value':'b@blick.name','primary':true}],"                        \
    "'addresses':[{'type':'work','formatted':'f','primary':true,'country':'BZ'}],"             \
    "'phoneNumbers':[{'type':'work','value':'1','primary':true},"                              \
    "{'type':'mobile','value':'2'},{'type':'fax','value':'3'}],"                               \
    "'roles':[{'primary':true,'display':'TQ','value':'UO','type':'VG'}],"                      \
    "'@EU':{'employeeNumber':'L','division':'v'},'timezone':'America/Guayaquil',"              \
    "'profileUrl':'RVSZ'}"
/* clang-format on */

static void test_validator(void **state)
{
    static const step steps[] = {
        {VERBOSE("add"), VERBOSE_RESULT},
        {VERBOSE("replace"), VERBOSE_RESULT},
        {"[{'op':'replace','path':'phoneNumbers[type eq `fax`].value','value':'4'},"
         "{'op':'replace','path':'roles[primary eq `True`].value','value':'UP'}]",
         "{'roles':[{'primary':true,'display':'TQ','value':'UP','type':'VG'}],"
         "'phoneNumbers':[{'type':'work','value':'1','primary':true},"
         "{'type':'mobile','value':'2'},{'type':'fax','value':'4'}]}"},
        {"[{'op':'replace','value':{'userName':'new@x'}}]", "{'userName':'new@x'}"},
        {"[{'op':'remove','path':'timezone'},{'op':'add','path':'externalId','value':'e1'},"
         "{'op':'replace','path':'displayName','value':'D'}]",
         "{'externalId':'e1','displayName':'D','timezone':null}"},
        {"[{'op':'remove','path':'externalId'},{'op':'add','path':'externalId','value':'e2'},"
         "{'op':'replace','path':'externalId','value':'e3'}]",
         "{'externalId':'e3'}"},
    };
    static const step replaced_at_once[] = {{VERBOSE("replace"), VERBOSE_RESULT}};

    TRACE("User", "{'userName':'eleanore@boyercorwin.biz'}", steps);
    TRACE("User", "{'userName':'eleanore@boyercorwin.biz'}", replaced_at_once);
}

static void test_okta(void **state)
{
    static const step users[] = {
        {"[{'op':'replace','value':{'active':false}}]", "{'active':false}"},
        {"[{'op':'replace','value':{'active':true}}]", "{'active':true}"},
        {"[{'op':'replace','value':{'password':'N3w!'}}]", "{'active':true,'password':null}"},
    };
    static const step groups[] = {
        {"[{'op':'replace','value':{'id':'abf4dd94','displayName':'Test SCIMv2'}}]",
         "{'displayName':'Test SCIMv2','id':null}"},
        {"[{'op':'replace','value':{'schemas':['" SCIM_URN_GROUP
         "'],'id':'g','externalId':'pk',"
         "'displayName':'G'}}]",
         "{'schemas':['" SCIM_URN_GROUP "'],'displayName':'G','externalId':'pk','id':null}"},
        {"[{'op':'replace','value':{'externalId':'663f'}}]",
         "{'displayName':'G','externalId':'663f'}"},
    };
    static const member_row members[] = {
        {INTEROP,
         "[{'op':'remove','path':'members[value eq `u1`]'},{'op':'add','path':'members',"
         "'value':[{'value':'u2','display':'x'}]}]",
         "remove u1, add u2 display=x"},
        {INTEROP,
         "[{'op':'replace','path':'members','value':[{'value':'u1','display':'a'},"
         "{'value':'u2','display':'b'}]}]",
         "clear, add u1 display=a, add u2 display=b"},
        {INTEROP, "[{'op':'replace','path':'members','value':[]}]", "clear"},
    };

    TRACE("User", babs, users);
    TRACE("Group", "{'displayName':'Test SCIMv2'}", groups);
    CHECK_MEMBERS(members);
}

static scim_document document(const char *name, const char *text, bool resource_type)
{
    const char *bytes = json_text(text, root_pool);

    return (scim_document){name, resource_type, bytes, strlen(bytes)};
}

static int start(void **state)
{
    const scim_error *err;

    apr_initialize();
    apr_pool_create(&root_pool, NULL);
    apr_pool_create(&pool, root_pool);
    const scim_document documents[] = {document("thing", thing_schema, false),
                                       document("more", more_schema, false),
                                       document("type", thing_type, true)};
    err = scim_registry_build(&registry, documents, 3, root_pool);
    if (err) {
        fail_msg("%s", err->detail);
    }
    return 0;
}

static int stop(void **state)
{
    apr_pool_destroy(root_pool);
    apr_terminate();
    return 0;
}

static int fresh(void **state)
{
    apr_pool_clear(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-170 a message that is no list of operations is invalidSyntax", test_frame, fresh,
         NULL, NULL},
        {"C-170 the parser refuses a wrong frame by itself", test_strict_frame, fresh, NULL,
         NULL},
        {"C-170 interop takes no schemas and no operations", test_lenient_frame, fresh, NULL,
         NULL},
        {"C-171 op, keys and names in any case", test_case, fresh, NULL, NULL},
        {"C-206 more operations than the limit are 413", test_operation_limit, fresh, NULL,
         NULL},
        {"C-206 operations that cost too much together are 413", test_step_limit, fresh, NULL,
         NULL},
        {"C-206 5,000 members in one operation", test_many_members, fresh, NULL, NULL},
        {"C-174 S-18 S-20 operations see those before them, in order", test_order, fresh, NULL,
         NULL},
        {"C-173 S-19 one failure fails the whole message, and says where", test_wholeness,
         fresh, NULL, NULL},
        {"C-173 S-19 a failure changes neither the resource nor the draft",
         test_failure_leaves_existing, fresh, NULL, NULL},
        {"C-175 add replaces, merges, appends or makes", test_add, fresh, NULL, NULL},
        {"C-176 C-207 S-21 add of what is there changes nothing", test_add_existing, fresh,
         NULL, NULL},
        {"C-177 add and replace without value are invalidValue", test_no_value, fresh, NULL,
         NULL},
        {"C-178 C-192 operations without path", test_pathless, fresh, NULL, NULL},
        {"C-203 S-22 keys that are paths", test_keys, fresh, NULL, NULL},
        {"C-039 S-22 unknown keys", test_unknown_keys, fresh, NULL, NULL},
        {"C-179 add of a sub-attribute keeps its siblings", test_sub_attribute, fresh, NULL,
         NULL},
        {"C-180 S-24 add makes the element that the filter describes", test_add_creates_element,
         fresh, NULL, NULL},
        {"C-181 S-28 remove without path is noTarget", test_remove_without_path, fresh, NULL,
         NULL},
        {"C-182 S-23 remove takes away what the path names", test_remove, fresh, NULL, NULL},
        {"C-183 remove of what is required or readOnly is mutability", test_remove_protected,
         fresh, NULL, NULL},
        {"C-185 remove of an element that is not there", test_remove_without_match, fresh, NULL,
         NULL},
        {"C-187 remove of what is unassigned changes nothing", test_remove_unassigned, fresh,
         NULL, NULL},
        {"C-186 remove of listed elements", test_remove_listed, fresh, NULL, NULL},
        {"C-188 replace of values, parts and elements", test_replace, fresh, NULL, NULL},
        {"C-189 a replaced element keeps what the filter said", test_replace_element, fresh,
         NULL, NULL},
        {"C-190 replace of what is unassigned adds", test_replace_unassigned, fresh, NULL,
         NULL},
        {"C-191 S-24 replace of an element that is not there", test_replace_without_match,
         fresh, NULL, NULL},
        {"C-193 S-36 replace by nothing removes", test_replace_by_nothing, fresh, NULL, NULL},
        {"C-194 readOnly in a path is mutability, in a value ignored", test_read_only, fresh,
         NULL, NULL},
        {"C-195 immutable attributes are set once", test_immutable, fresh, NULL, NULL},
        {"C-196 malformed paths are invalidPath", test_bad_path, fresh, NULL, NULL},
        {"C-197 unknown attributes in a path are invalidPath", test_unknown_path, fresh, NULL,
         NULL},
        {"C-198 S-25 S-26 attributes of an extension by their URN", test_extension, fresh, NULL,
         NULL},
        {"C-199 a whole extension by its URN", test_whole_extension, fresh, NULL, NULL},
        {"C-205 an extension goes with its URN, the core does not", test_schemas_path, fresh,
         NULL, NULL},
        {"C-198 S-25 schemas lists the extensions that have data", test_schemas, fresh, NULL,
         NULL},
        {"C-200 S-42 one value at most is primary", test_primary, fresh, NULL, NULL},
        {"C-202 S-29 wrong types are invalidValue", test_wrong_type, fresh, NULL, NULL},
        {"C-208 a value path on a single value is invalidPath", test_value_path_of_one, fresh,
         NULL, NULL},
        {"C-209 value paths of simple values", test_simple_values, fresh, NULL, NULL},
        {"C-050 the password goes beside the resource", test_password, fresh, NULL, NULL},
        {"C-176 messages that name no members leave them alone", test_members_untouched, fresh,
         NULL, NULL},
        {"C-175 members that are added", test_members_added, fresh, NULL, NULL},
        {"C-188 C-193 members that are replaced", test_members_replaced, fresh, NULL, NULL},
        {"C-182 C-184 C-186 S-16 S-17 S-18 members that are removed", test_members_removed,
         fresh, NULL, NULL},
        {"C-188 the display of a member", test_member_display, fresh, NULL, NULL},
        {"C-195 what makes a member is immutable", test_member_immutable, fresh, NULL, NULL},
        {"C-173 members know their place in the message", test_member_places, fresh, NULL,
         NULL},
        {"C-171 C-180 C-203 Entra's messages", test_entra, fresh, NULL, NULL},
        {"a draft has references of its own", test_references, NULL, NULL, NULL},
        {"C-203 Entra's messages with aadOptscim062020", test_entra_compliant, fresh, NULL,
         NULL},
        {"C-174 C-180 C-191 Microsoft's validator", test_validator, fresh, NULL, NULL},
        {"C-194 Okta's and authentik's messages", test_okta, fresh, NULL, NULL},
    };

    return cmocka_run_group_tests(tests, start, stop);
}
