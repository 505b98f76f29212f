/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attribute paths: scanning, whole paths for projection, PATCH paths.
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

#include "scim/filter.h"
#include "scim/path.h"

#define ENT SCIM_URN_ENTERPRISE
#define USER SCIM_URN_USER

/* A vendor's type: one URN is the beginning of another, both have dots. */
#define DEVICE "urn:example.com:params:device:1.0"
#define MORE DEVICE ":Device"
#define OTHER "urn:example.com:params:other:1.0"

#define ATTRIBUTE(name) "{\"name\":\"" name "\",\"type\":\"string\",\"multiValued\":false}"
#define SCHEMA(urn, name, attributes)                                               \
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:Schema\"],\"id\":\"" urn \
    "\",\"name\":\"" name "\",\"attributes\":[" attributes "]}"

static const char device_json[] =
    SCHEMA(DEVICE, "Device",
           ATTRIBUTE("Device") "," ATTRIBUTE(
               "serial") ","
                         "{\"name\":\"tags\",\"type\":\"string\",\"multiValued\":true}");
static const char more_json[] =
    SCHEMA(MORE, "More", ATTRIBUTE("colour") "," ATTRIBUTE("owner"));
static const char other_json[] = SCHEMA(OTHER, "Other", ATTRIBUTE("owner"));
static const char device_type_json[] =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:ResourceType\"],\"id\":\"Device\","
    "\"name\":\"Device\",\"endpoint\":\"/Devices\",\"schema\":\"" DEVICE "\","
    "\"schemaExtensions\":[{\"schema\":\"" MORE "\",\"required\":false},"
    "{\"schema\":\"" OTHER "\",\"required\":false}]}";

static const scim_document documents[] = {
    {"Device.json", false, device_json, sizeof(device_json) - 1},
    {"More.json", false, more_json, sizeof(more_json) - 1},
    {"Other.json", false, other_json, sizeof(other_json) - 1},
    {"DeviceType.json", true, device_type_json, sizeof(device_type_json) - 1},
};

static apr_pool_t *pool;
static const scim_resource_type *user;
static const scim_resource_type *group;
static const scim_resource_type *device;

/* "schema|attribute|sub" of a path, with "-" for what is not there; the core
 * schema is "-". */
static const char *describe(const scim_path *path)
{
    return apr_psprintf(pool, "%s|%s|%s", path->extension ? path->extension->name : "-",
                        path->attribute ? path->attribute->name : "-",
                        path->sub ? path->sub->name : "-");
}

static const char *scan(const char *text, const scim_resource_type *type)
{
    const char *at = text;
    scim_path path;

    switch (scim_path_scan(&path, &at, text + strlen(text), type)) {
    case SCIM_PATH_OK:
        return apr_pstrcat(pool, describe(&path), " ", at, NULL);
    case SCIM_PATH_UNKNOWN:
        return apr_pstrcat(pool, "unknown ", at, NULL);
    default:
        return "malformed";
    }
}

static const char *whole(const char *text, const scim_resource_type *type)
{
    scim_path path;

    switch (scim_path_attribute(&path, text, type)) {
    case SCIM_PATH_OK:
        return describe(&path);
    case SCIM_PATH_UNKNOWN:
        return "unknown";
    default:
        return "malformed";
    }
}

/* A PATCH path: its description, with "[]" where it has a filter, or the
 * detail of its error. */
static const char *patch(const char *text, const scim_resource_type *type)
{
    scim_path path;
    const scim_error *err = scim_path_parse(&path, text, type, pool);

    if (err) {
        assert_int_equal(err->status, 400);
        assert_string_equal(err->scim_type, "invalidPath");
        return err->detail;
    }
    return apr_pstrcat(pool, describe(&path), path.filter ? "[]" : "", NULL);
}

typedef struct row {
    const char *text;
    const char *expected;
} row;

typedef const char *reader(const char *text, const scim_resource_type *type);

static void check(reader *read, const scim_resource_type *type, const row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const char *result = read(rows[i].text, type);
        if (strcmp(result, rows[i].expected)) {
            fail_msg("%s\n  gives    %s\n  and not  %s", rows[i].text, result,
                     rows[i].expected);
        }
    }
}

#define CHECK(read, type, rows) check(read, type, rows, sizeof(rows) / sizeof(*rows))

static void test_scan(void **state)
{
    static const row rows[] = {
        {"userName", "-|userName|- "},
        {"USERNAME eq", "-|userName|-  eq"},
        {"name.givenName", "-|name|givenName "},
        {"Emails.Value", "-|emails|value "},
        {"emails[type eq 1]", "-|emails|- [type eq 1]"},
        {"meta.lastModified)", "-|meta|lastModified )"},
        {"id", "-|id|- "},
        {"externalid", "-|externalId|- "},
        {"schemas", "-|schemas|- "},
        {"groups.$ref", "-|groups|$ref "},
        {"nothing", "unknown "},
        {"name.nothing x", "unknown  x"},
        {"userName.x", "unknown "},
        {"__proto__", "malformed"},
        {"constructor", "unknown "},
        {"", "malformed"},
        {".", "malformed"},
        {"name.", "malformed"},
        {"a..b", "malformed"},
        {"name.givenName.x", "malformed"},
        {"1st", "malformed"},
        {"[x]", "malformed"},
        {" userName", "malformed"},
    };

    CHECK(scan, user, rows);
}

static void test_scan_urn(void **state)
{
    static const row rows[] = {
        {USER ":userName", "-|userName|- "},
        {USER ":meta.created", "-|meta|created "},
        {"URN:IETF:PARAMS:SCIM:SCHEMAS:CORE:2.0:USER:NAME.FAMILYNAME", "-|name|familyName "},
        {ENT ":department", "EnterpriseUser|department|- "},
        {ENT ":manager.displayName pr", "EnterpriseUser|manager|displayName  pr"},
        {"urn:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:user:Manager.Value",
         "EnterpriseUser|manager|value "},
        {ENT, "EnterpriseUser|-|- "},
        {ENT " pr", "EnterpriseUser|-|-  pr"},
        {ENT ":", "malformed"},
        {ENT ":userName", "unknown "},
        {USER ":department", "unknown "},
        {USER, "unknown "},
        {ENT "s:department", "unknown "},
        {ENT ".department", "unknown "},
        {"urn:example:nothing:1.0:x.y eq", "unknown  eq"},
    };

    CHECK(scan, user, rows);
}

static void test_scan_longest_urn(void **state)
{
    static const row rows[] = {
        {DEVICE ":serial", "-|serial|- "},  {DEVICE ":Device", "More|-|- "},
        {MORE ":colour", "More|colour|- "}, {MORE ":serial", "unknown "},
        {OTHER ":owner", "Other|owner|- "}, {"Device", "-|Device|- "},
    };

    CHECK(scan, device, rows);
}

static void test_scan_bare(void **state)
{
    static const row users[] = {
        {"manager", "EnterpriseUser|manager|- "},
        {"Manager.Value", "EnterpriseUser|manager|value "},
        {"department", "EnterpriseUser|department|- "},
    };
    static const row devices[] = {
        {"colour", "More|colour|- "}, {"owner", "unknown "}, /* two extensions have it */
    };

    CHECK(scan, user, users);
    CHECK(scan, device, devices);
}

static void test_scan_ends(void **state)
{
    static const char text[] = "emails.value";
    const char *at = text;
    scim_path path;

    assert_int_equal(scim_path_scan(&path, &at, text + 6, user), SCIM_PATH_OK);
    assert_string_equal(describe(&path), "-|emails|-");
    assert_ptr_equal(at, text + 6);
}

static void test_attribute(void **state)
{
    static const row rows[] = {
        {"userName", "-|userName|-"},
        {"emails[type eq \"work\"]", "-|emails|-"},
        {"emails[value eq \"a]b\\\"]c\"].display", "-|emails|display"},
        {"emails.value", "-|emails|value"},
        {ENT ":manager.value", "EnterpriseUser|manager|value"},
        {ENT, "EnterpriseUser|-|-"},
        {"nothing", "unknown"},
        {"emails[type eq \"work\"].nothing", "unknown"},
        {"emails[type eq \"work\"", "malformed"},
        {"emails[type eq \"work\\", "malformed"},
        {"emails[type eq \"work\"].", "malformed"},
        {"emails[type eq \"work\"]x", "malformed"},
        {"emails.value[x]", "malformed"},
        {"userName x", "malformed"},
        {ENT "[x]", "malformed"},
        {"", "malformed"},
    };

    CHECK(whole, user, rows);
}

static void test_patch(void **state)
{
    static const row rows[] = {
        {"userName", "-|userName|-"},
        {"name.familyName", "-|name|familyName"},
        {"emails[type eq \"work\"]", "-|emails|-[]"},
        {"emails[type eq \"work\"].value", "-|emails|value[]"},
        {"emails[type eq \"other\"].Value", "-|emails|value[]"},
        {"addresses[type eq \"work\" and not (primary eq true)].Formatted",
         "-|addresses|formatted[]"},
        {"roles[primary eq \"True\"].display", "-|roles|display[]"},
        {"emails[type eq work].value", "-|emails|value[]"},
        {USER ":emails[type eq \"work\"].value", "-|emails|value[]"},
        {"id", "-|id|-"},
        {"meta.version", "-|meta|version"},
        {"password", "-|password|-"},
    };

    CHECK(patch, user, rows);
}

static void test_patch_extension(void **state)
{
    static const row rows[] = {
        {ENT ":department", "EnterpriseUser|department|-"},
        {ENT ":manager.value", "EnterpriseUser|manager|value"},
        {ENT, "EnterpriseUser|-|-"},
        {"URN:ietf:params:scim:schemas:extension:enterprise:2.0:user", "EnterpriseUser|-|-"},
        {"manager", "EnterpriseUser|manager|-"},
    };

    CHECK(patch, user, rows);
}

static void test_patch_simple_elements(void **state)
{
    static const row rows[] = {
        {"tags[value eq \"a\"]", "-|tags|-[]"},
        {"schemas[value eq \"" MORE "\"]", "-|schemas|-[]"},
        {"tags[value eq \"a\"].value", "Device has no attribute 'tags[value eq \"a\"].value'"},
    };

    CHECK(patch, device, rows);
}

static void test_patch_members(void **state)
{
    static const row rows[] = {
        {"members", "-|members|-"},
        {"members[value eq \"2819c223-7f76-453a-919d-413861904646\"]", "-|members|-[]"},
        {"members[value eq \"x\"].display", "-|members|display[]"},
    };

    CHECK(patch, group, rows);
}

#define FORM                                                    \
    "a path is attribute, attribute.sub, attribute[filter] or " \
    "attribute[filter].sub, perhaps after a schema URN and ':', and not "

static void test_patch_malformed(void **state)
{
    static const row rows[] = {
        {"", "the path is empty"},
        {"a..b", FORM "'a..b'"},
        {"[x]", FORM "'[x]'"},
        {" ", FORM "' '"},
        {"userName ", FORM "'userName '"},
        {"emails[type eq \"work\"]value", FORM "'emails[type eq \"work\"]value'"},
        {"emails[type eq \"work\"].", FORM "'emails[type eq \"work\"].'"},
        {"emails[type eq \"work\"][primary eq true]",
         FORM "'emails[type eq \"work\"][primary eq true]'"},
        {"emails[",
         "the end at position 8: the name of a sub-attribute of emails must stand here, "
         "in the path 'emails['"},
        {"emails[]",
         "']' at position 8: the name of a sub-attribute of emails must stand here, "
         "in the path 'emails[]'"},
        {"emails[0]",
         "'0' at position 8: the name of a sub-attribute of emails must stand here, "
         "in the path 'emails[0]'"},
        {"emails[type eq]", "']' at position 15: a value to compare with must stand here, "
                            "in the path 'emails[type eq]'"},
        {"emails[type eq \"work\"",
         "the end at position 22: 'and', 'or' or the ']' of emails must stand here, "
         "in the path 'emails[type eq \"work\"'"},
        {"emails[kind eq \"work\"]", "'kind' at position 8: emails has no such sub-attribute, "
                                     "in the path 'emails[kind eq \"work\"]'"},
        {"emails[(type eq \"work\"]",
         "']' at position 23: 'and', 'or' or a ')' must stand here, "
         "in the path 'emails[(type eq \"work\"]'"},
    };

    CHECK(patch, user, rows);
}

static void test_patch_unknown(void **state)
{
    static const row rows[] = {
        {"nothing", "User has no attribute 'nothing'"},
        {"name.nothing", "User has no attribute 'name.nothing'"},
        {"members", "User has no attribute 'members'"},
        {"__proto__", FORM "'__proto__'"},
        {"toString", "User has no attribute 'toString'"},
        {"emails[type eq \"work\"].x", "User has no attribute 'emails[type eq \"work\"].x'"},
        {"urn:a:b:c", "User has no attribute 'urn:a:b:c'"},
        {USER, "User has no attribute '" USER "'"},
    };

    CHECK(patch, user, rows);
}

/* Behind its name may stand the password itself. */
static void test_patch_password(void **state)
{
    static const row rows[] = {
        {"password[value eq \"x\"]", "'[' stands only behind a multi-valued attribute, which "
                                     "'password' is not, in the path 'password...'"},
        {"password eq \"x\"", FORM "'password...'"},
        {"PassWord.\"x\"", FORM "'PassWord...'"},
        {"password.x", "User has no attribute 'password...'"},
        {"emails[password eq \"x\"]", "'password' at position 8: emails has no such "
                                      "sub-attribute, in the path 'emails[password...'"},
        {"emails[password\"x\"]", "'password' at position 8: emails has no such "
                                  "sub-attribute, in the path 'emails[password...'"},
        {"thePassword", "User has no attribute 'thePassword'"},
    };

    CHECK(patch, user, rows);
}

static void test_patch_single_valued(void **state)
{
    static const row rows[] = {
        {"name[givenName eq \"x\"].familyName",
         "'[' stands only behind a multi-valued attribute, which 'name' is not, "
         "in the path 'name[givenName eq \"x\"].familyName'"},
        {"emails.value[value eq \"x\"]",
         "'[' stands only behind a multi-valued attribute, which 'emails.value' is not, "
         "in the path 'emails.value[value eq \"x\"]'"},
        {ENT "[x eq 1]",
         "'[' stands only behind a multi-valued attribute, which '" ENT "' is not, "
         "in the path '" ENT "[x eq 1]'"},
    };

    CHECK(patch, user, rows);
}

static void test_patch_hostile(void **state)
{
    char *text = apr_palloc(pool, 300001);
    scim_path path;

    memset(text, 'a', 300000);
    text[300000] = '\0';
    assert_non_null(strstr(patch(text, user), "User has no attribute 'aaaa"));
    memcpy(text, "emails[", 7);
    assert_non_null(strstr(patch(text, user), "the filter is longer than 8192 bytes"));
    memset(text + 7, '(', 200);
    text[207] = '\0';
    assert_non_null(strstr(patch(text, user), "brackets are nested more than 32 deep"));
    assert_null(scim_path_parse(&path, "emails[((type pr))]", user, pool));
}

static void test_leaf(void **state)
{
    scim_path path;

    assert_null(scim_path_parse(&path, "emails[type eq \"work\"].value", user, pool));
    assert_string_equal(scim_path_leaf(&path)->path, "emails.value");
    assert_null(scim_path_parse(&path, "title", user, pool));
    assert_string_equal(scim_path_leaf(&path)->path, "title");
    assert_null(scim_path_parse(&path, ENT, user, pool));
    assert_null(scim_path_leaf(&path));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        {"names, in any case, to the end of the path", test_scan, NULL, NULL, NULL},
        {"S-25 URN paths, in any case", test_scan_urn, NULL, NULL, NULL},
        {"S-25 the longest schema URN wins", test_scan_longest_urn, NULL, NULL, NULL},
        {"an extension's attribute without its URN", test_scan_bare, NULL, NULL, NULL},
        {"scanning stops at the end it is given", test_scan_ends, NULL, NULL, NULL},
        {"whole paths skip over a value filter", test_attribute, NULL, NULL, NULL},
        {"PATCH paths", test_patch, NULL, NULL, NULL},
        {"PATCH paths of an extension", test_patch_extension, NULL, NULL, NULL},
        {"value paths of simple attributes", test_patch_simple_elements, NULL, NULL, NULL},
        {"value paths of members", test_patch_members, NULL, NULL, NULL},
        {"C-196 malformed paths are invalidPath", test_patch_malformed, NULL, NULL, NULL},
        {"C-197 unknown attributes are invalidPath", test_patch_unknown, NULL, NULL, NULL},
        {"C-050 what stands behind password is not quoted", test_patch_password, NULL, NULL,
         NULL},
        {"C-208 a value path wants a multi-valued attribute", test_patch_single_valued, NULL,
         NULL, NULL},
        {"huge and deep paths are refused", test_patch_hostile, NULL, NULL, NULL},
        {"the attribute a path ends at", test_leaf, NULL, NULL, NULL},
    };
    const scim_registry *registry;
    const scim_error *err;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    err =
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
