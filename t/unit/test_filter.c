/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters: what each selects among a few resources, what is refused and with
 * which words, and the evaluator against a naive one on random filters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/json.h"

#define ENT SCIM_URN_ENTERPRISE
#define USER SCIM_URN_USER
#define DEVICE "urn:example:params:device:1.0"

/* The resources, known by their letters in the tables below. */

static const char *const users[] = {
    /* a: much */
    "{\"schemas\":[\"" USER "\",\"" ENT "\"],\"id\":\"0b9e-Ab\",\"externalId\":\"Ext-1\","
    "\"userName\":\"bjensen\",\"displayName\":\"Babs Jensen\",\"title\":\"Tour Guide\","
    "\"name\":{\"familyName\":\"Jensen\",\"givenName\":\"Barbara\"},\"active\":true,"
    "\"profileUrl\":\"https://example.com/BJ\","
    "\"emails\":[{\"value\":\"bjensen@example.com\",\"type\":\"work\",\"primary\":true},"
    "{\"value\":\"babs@jensen.org\",\"type\":\"home\"}],"
    "\"x509Certificates\":[{\"value\":\"MIIDQ0==\"}],"
    "\"" ENT "\":{\"department\":\"Sales\",\"employeeNumber\":\"701984\","
    "\"manager\":{\"value\":\"M1\",\"displayName\":\"John Smith\"}},"
    "\"meta\":{\"resourceType\":\"User\",\"created\":\"2010-01-23T04:56:22.000000Z\","
    "\"lastModified\":\"2011-05-13T04:42:34.500000Z\",\"version\":\"W/\\\"3a\\\"\","
    "\"location\":\"https://example.com/v2/Users/0b9e-Ab\"}}",
    /* b: little */
    "{\"schemas\":[\"" USER "\"],\"id\":\"1c\",\"userName\":\"Stra\\u00dfe\",\"active\":false,"
    "\"meta\":{\"resourceType\":\"User\",\"created\":\"2015-10-10T21:38:21.861797Z\","
    "\"lastModified\":\"2015-10-10T21:38:21.861797Z\",\"version\":\"W/\\\"1\\\"\","
    "\"location\":\"https://example.com/v2/Users/1c\"}}",
    /* c: the values of a's addresses with each other's types; odd text */
    "{\"schemas\":[\"" USER "\"],\"id\":\"2d\",\"userName\":\"carla\",\"title\":\"Engineer\","
    "\"displayName\":\"a\\\"b\\\\c/\\ud83d\\ude00\","
    "\"emails\":[{\"value\":\"c@other.org\",\"type\":\"work\"},"
    "{\"value\":\"carla@example.com\",\"type\":\"home\",\"primary\":false}],"
    "\"name\":{\"familyName\":\"\\u00c5str\\u00f6m\"},"
    "\"meta\":{\"resourceType\":\"User\",\"created\":\"2020-02-29T12:00:00.000000Z\","
    "\"lastModified\":\"2020-02-29T12:00:00.000001Z\",\"version\":\"W/\\\"2\\\"\","
    "\"location\":\"https://example.com/v2/Users/2d\"}}",
    /* d: an address without value */
    "{\"schemas\":[\"" USER "\"],\"id\":\"3e\",\"externalId\":\"EXT-1\",\"userName\":\"Dan\","
    "\"emails\":[{\"type\":\"other\",\"display\":\"dan\"}],"
    "\"meta\":{\"resourceType\":\"User\",\"created\":\"2021-01-01T00:00:00.000000Z\","
    "\"lastModified\":\"2021-01-01T00:00:00.000000Z\",\"version\":\"W/\\\"4\\\"\","
    "\"location\":\"https://example.com/v2/Users/3e\"}}",
};

static const char *const groups[] = {
    "{\"schemas\":[\"" SCIM_URN_GROUP "\"],\"id\":\"g1\",\"displayName\":\"Admins\"}",
    "{\"schemas\":[\"" SCIM_URN_GROUP "\"],\"id\":\"g2\",\"displayName\":\"Empty\"}",
};

static const char *const devices[] = {
    "{\"count\":5,\"ratio\":0.5,\"tags\":[\"Red\",\"blue\"],\"big\":9007199254740993}",
    "{\"count\":10,\"ratio\":2,\"tags\":[\"green\"],\"big\":9007199254740992}",
    "{\"count\":-3,\"ratio\":-1.5e3}",
};

static const char device_json[] =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:Schema\"],\"id\":\"" DEVICE "\","
    "\"name\":\"Device\",\"attributes\":["
    "{\"name\":\"count\",\"type\":\"integer\",\"multiValued\":false},"
    "{\"name\":\"big\",\"type\":\"integer\",\"multiValued\":false},"
    "{\"name\":\"ratio\",\"type\":\"decimal\",\"multiValued\":false},"
    "{\"name\":\"tags\",\"type\":\"string\",\"multiValued\":true},"
    "{\"name\":\"pin\",\"type\":\"complex\",\"multiValued\":true,\"subAttributes\":["
    "{\"name\":\"value\",\"type\":\"string\",\"multiValued\":false,\"returned\":\"never\"},"
    "{\"name\":\"slot\",\"type\":\"integer\",\"multiValued\":false},"
    "{\"name\":\"since\",\"type\":\"dateTime\",\"multiValued\":false}]}]}";
static const char device_type_json[] =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:ResourceType\"],\"id\":\"Device\","
    "\"name\":\"Device\",\"endpoint\":\"/Devices\",\"schema\":\"" DEVICE "\"}";

static const scim_document documents[] = {
    {"Device.json", false, device_json, sizeof(device_json) - 1},
    {"DeviceType.json", true, device_type_json, sizeof(device_type_json) - 1},
};

static apr_pool_t *pool;
static const scim_resource_type *user_type;
static const scim_resource_type *group_type;
static const scim_resource_type *device_type;
static const scim_registry *all_types;

/* The edges of the store: g1 has two members, and user a is in g1. */

static const char members_json[] =
    "{\"e\":[{\"value\":\"0b9e-Ab\",\"type\":\"User\",\"display\":\"Babs\"},"
    "{\"value\":\"2d\",\"type\":\"User\",\"$ref\":\"https://example.com/v2/Users/2d\"}]}";
static const char groups_json[] =
    "{\"e\":[{\"value\":\"g1\",\"type\":\"direct\",\"display\":\"Admins\"}]}";

static int edges_read;
static int edges_asked;

static const json_t *edges(scim_candidate *subject, const scim_attribute *attribute)
{
    const char *id = scim_json_string(subject->resource, "id");

    edges_read++;
    if (attribute->role == SCIM_ROLE_MEMBERS && !strcmp(id, "g1")) {
        return json_object_get(scim_json_read_own(members_json, sizeof(members_json) - 1, pool),
                               "e");
    }
    if (attribute->role == SCIM_ROLE_GROUPS && !strcmp(id, "0b9e-Ab")) {
        return json_object_get(scim_json_read_own(groups_json, sizeof(groups_json) - 1, pool),
                               "e");
    }
    return NULL;
}

static bool has_edge(scim_candidate *subject, const scim_attribute *attribute,
                     const char *value)
{
    const char *id = scim_json_string(subject->resource, "id");

    edges_asked++;
    if (attribute->role == SCIM_ROLE_MEMBERS) {
        return !strcmp(id, "g1") && (!strcmp(value, "0b9e-Ab") || !strcmp(value, "2d"));
    }
    return !strcmp(id, "0b9e-Ab") && !strcmp(value, "g1");
}

/* Tables */

typedef struct row {
    const char *filter;
    const char *expected; /* letters of the resources; or a part of the detail */
} row;

typedef struct population {
    const scim_resource_type *const *type;
    const char *const *resources;
    size_t count;
} population;

static const population all_users = {&user_type, users, sizeof(users) / sizeof(*users)};
static const population all_groups = {&group_type, groups, sizeof(groups) / sizeof(*groups)};
static const population all_devices = {&device_type, devices,
                                       sizeof(devices) / sizeof(*devices)};

static const scim_filter *parse(const char *text, const scim_resource_type *type, bool lenient)
{
    const scim_filter *filter = NULL;
    const scim_error *err = scim_filter_parse(&filter, text, type, lenient, pool);

    if (err) {
        fail_msg("%s: %s", text, err->detail);
    }
    return filter;
}

/* The letters of the resources that a filter selects. */
static const char *selected(const char *text, const population *from, bool lenient)
{
    const scim_filter *filter = parse(text, *from->type, lenient);
    char *letters = apr_pcalloc(pool, from->count + 1);
    size_t found = 0;
    size_t i;

    for (i = 0; i < from->count; i++) {
        scim_candidate subject = {.type = *from->type, .edges = edges, .has_edge = has_edge};
        subject.resource =
            scim_json_read_own(from->resources[i], strlen(from->resources[i]), pool);
        assert_non_null(subject.resource);
        if (scim_filter_match(filter, &subject, pool)) {
            letters[found++] = (char)('a' + i);
        }
    }
    return letters;
}

static void check_selected(const row *rows, size_t count, const population *from, bool lenient)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const char *letters = selected(rows[i].filter, from, lenient);
        if (strcmp(letters, rows[i].expected)) {
            fail_msg("%s selects \"%s\", not \"%s\"", rows[i].filter, letters,
                     rows[i].expected);
        }
    }
}

static void check_refused(const row *rows, size_t count, const scim_resource_type *type,
                          bool lenient, int status, const char *keyword)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const scim_filter *filter;
        const scim_error *err = scim_filter_parse(&filter, rows[i].filter, type, lenient, pool);
        if (!err) {
            fail_msg("%s is accepted", rows[i].filter);
        }
        assert_int_equal(err->status, status);
        assert_string_equal(err->scim_type, keyword);
        if (!strstr(err->detail, rows[i].expected)) {
            fail_msg("%s says \"%s\", not \"%s\"", rows[i].filter, err->detail,
                     rows[i].expected);
        }
    }
}

#define ROWS(rows) rows, sizeof(rows) / sizeof(*rows)
#define SELECTS(from, rows) check_selected(ROWS(rows), &from, false)
#define SELECTS_LENIENT(from, rows) check_selected(ROWS(rows), &from, true)
#define REFUSES(type, rows) check_refused(ROWS(rows), type, false, 400, "invalidFilter")
#define REFUSES_LENIENT(type, rows) check_refused(ROWS(rows), type, true, 400, "invalidFilter")

/* Operators and types */

static void test_string_operators(void **state)
{
    static const row rows[] = {
        {"userName eq \"bjensen\"", "a"},
        {"userName eq \"BJENSEN\"", "a"},
        {"userName ne \"bJensen\"", "bcd"},
        {"userName co \"JENS\"", "a"},
        {"userName co \"ar\"", "c"},
        {"userName co \"\"", "abcd"},
        {"title co \"\"", "ac"},
        {"userName sw \"d\"", "d"},
        {"userName sw \"bjensen2\"", ""},
        {"userName ew \"N\"", "ad"},
        {"userName ew \"xxbjensen\"", ""},
        {"userName gt \"carla\"", "bd"},
        {"userName ge \"CARLA\"", "bcd"},
        {"userName lt \"Carla\"", "a"},
        {"userName le \"carla\"", "ac"},
        {"userName lt \"carla2\"", "ac"},
        {"userName gt \"carl\"", "bcd"},
        {"title pr", "ac"},
        {"profileUrl eq \"https://example.com/BJ\"", "a"},
        {"profileUrl eq \"https://example.com/bj\"", ""},
        {"profileUrl sw \"https://\"", "a"},
        {"title eq \"nobody\"", ""},
    };

    SELECTS(all_users, rows);
}

static void test_folding(void **state)
{
    static const row rows[] = {
        {"userName eq \"STRASSE\"", "b"},
        {"userName eq \"stra\\u00DFe\"", "b"},
        {"userName co \"SS\"", "b"},
        {"name.familyName eq \"\xc3\xa5STR\xc3\x96M\"", "c"},
        {"name.familyName eq \"a\\u030astr\\u00f6m\"", "c"},
        {"userName eq \"\\uff44an\"", "d"},
    };

    SELECTS(all_users, rows);
}

static void test_times(void **state)
{
    static const row rows[] = {
        {"meta.created eq \"2010-01-23T04:56:22Z\"", "a"},
        {"meta.created eq \"2010-01-23T05:56:22+01:00\"", "a"},
        {"meta.created eq \"2010-01-22T23:56:22.000-05:00\"", "a"},
        {"meta.created ne \"2010-01-23T04:56:22Z\"", "bcd"},
        {"meta.created gt \"2015-10-10T14:38:21.8617979-07:00\"", "cd"},
        {"meta.created ge \"2015-10-10T14:38:21.8617979-07:00\"", "bcd"},
        {"meta.lastModified lt \"2011-05-13T04:42:34.6Z\"", "a"},
        {"meta.lastModified le \"2011-05-13T04:42:34.5Z\"", "a"},
        {"meta.lastModified lt \"2011-05-13T04:42:34.50Z\"", ""},
        {"meta.lastModified gt \"2020-02-29T12:00:00Z\"", "cd"},
        {"meta.created pr", "abcd"},
    };

    SELECTS(all_users, rows);
}

static void test_numbers(void **state)
{
    static const row rows[] = {
        {"count eq 5", "a"},
        {"count ne 5", "bc"},
        {"count gt 5", "b"},
        {"count ge 5", "ab"},
        {"count lt 10", "ac"},
        {"count le -3", "c"},
        {"count eq 5.0", "a"},
        {"count gt 4.5", "ab"},
        {"count lt 1e1", "ac"},
        {"ratio eq 5e-1", "a"},
        {"ratio eq 2", "b"},
        {"ratio gt 1.999", "b"},
        {"ratio lt -1499", "c"},
        {"count lt 99999999999999999999", "abc"},
        {"big eq 9007199254740993", "a"},
        {"big lt 9007199254740993", "b"},
        {"ratio gt null", ""},
    };

    SELECTS(all_devices, rows);
}

static void test_booleans_and_binary(void **state)
{
    static const row rows[] = {
        {"active eq true", "a"},
        {"active eq false", "b"},
        {"active ne true", "bcd"},
        {"active ne false", "acd"},
        {"active pr", "ab"},
        {"emails.primary eq true", "a"},
        {"emails[primary eq false]", "c"},
        {"x509Certificates.value eq \"MIIDQ0==\"", "a"},
        {"x509Certificates eq \"miidq0==\"", ""},
        {"x509Certificates.value ne \"MIIDQ0==\"", "bcd"},
        {"x509Certificates pr", "a"},
    };

    SELECTS(all_users, rows);
}

static void test_no_order(void **state)
{
    static const row rows[] = {
        {"active gt true", "'gt' at position 8: active cannot be compared so"},
        {"active ge true", "its type takes eq, ne and pr"},
        {"active lt false", "'lt' at position 8"},
        {"active le null", "'le' at position 8"},
        {"x509Certificates.value gt \"AA==\"", "'gt' at position 24"},
        {"x509Certificates le \"AA==\"", "x509Certificates.value cannot be compared so"},
    };

    REFUSES(user_type, rows);
}

static void test_no_substrings(void **state)
{
    static const row user_rows[] = {
        {"active co \"true\"", "'co' at position 8: active cannot be compared so"},
        {"active sw true", "'sw' at position 8"},
        {"meta.created sw \"2010\"", "its type takes eq, ne, gt, ge, lt, le and pr"},
        {"meta.created ew \"Z\"", "'ew' at position 14"},
        {"x509Certificates.value co \"A\"", "'co' at position 24"},
    };
    static const row device_rows[] = {
        {"count co 1", "'co' at position 7: count cannot be compared so"},
        {"ratio ew \"5\"", "'ew' at position 7"},
    };

    REFUSES(user_type, user_rows);
    REFUSES(device_type, device_rows);
}

static void test_literal_types(void **state)
{
    static const row user_rows[] = {
        {"userName eq true", "'true' at position 13: userName is compared with a string"},
        {"userName eq 5", "'5' at position 13"},
        {"active eq 1", "'1' at position 11: active is compared with true or false"},
        {"active eq \"yes\"", "'\"yes\"' at position 11"},
        {"meta.created eq \"yesterday\"", "'\"yesterday\"' at position 17: meta.created is "
                                          "compared with a dateTime"},
        {"meta.created gt \"2010-02-30T00:00:00Z\"", "a dateTime"},
        {"meta.created gt \"2010-01-23\"", "a dateTime"},
        {"meta.created eq 2010", "a dateTime"},
        {"x509Certificates eq 1", "a base64 string"},
        {"profileUrl eq false", "a URI string"},
    };
    static const row device_rows[] = {
        {"count eq \"5\"", "'\"5\"' at position 10: count is compared with a number"},
        {"count eq true", "a number"},
        {"tags[value eq 5]", "tags is compared with a string"},
    };

    REFUSES(user_type, user_rows);
    REFUSES(device_type, device_rows);
}

/* Grammar */

static void test_case_of_words(void **state)
{
    static const row rows[] = {
        {"USERNAME EQ \"bjensen\"", "a"},
        {"Name.FAMILYname Co \"JEN\"", "a"},
        {"userName eq \"bjensen\" AND active Eq true Or NOT (title PR)", "abd"},
        {"Emails[Type eq \"work\" AnD VALUE cO \"other\"]", "c"},
        {"DisplayName SW \"babs\"", "a"},
    };

    SELECTS(all_users, rows);
}

static void test_precedence(void **state)
{
    static const row rows[] = {
        /* and binds before or, from either side */
        {"userName eq \"bjensen\" or title pr and active pr", "a"},
        {"active eq false or title pr and userName eq \"carla\"", "bc"},
        {"title pr and userName eq \"carla\" or active eq false", "bc"},
        {"(active eq false or title pr) and userName eq \"carla\"", "c"},
        /* not binds before and */
        {"not (active eq true) and title pr", "c"},
        {"not (active eq true and title pr)", "bcd"},
        {"title pr and not (active eq true) or userName eq \"dan\"", "cd"},
        {"not (active pr) and not (title pr)", "d"},
        {"((userName eq \"dan\"))", "d"},
        {"not (not (title pr))", "ac"},
    };

    SELECTS(all_users, rows);
}

static void test_not(void **state)
{
    static const row rows[] = {
        {"not(title pr)", "bd"},
        {"not (title pr)", "bd"},
        {"NOT   ( title pr )", "bd"},
        {"not(title pr)and(userName pr)", "bd"},
        {"emails[not(type eq \"work\")]", "acd"},
    };

    SELECTS(all_users, rows);
}

static void test_blanks(void **state)
{
    static const row rows[] = {
        {"  userName   eq   \"dan\"  ", "d"},
        {"emails[ type eq \"work\" and value co \"other\" ]", "c"},
        {"(userName eq \"dan\")or(title sw \"tour\")", "ad"},
        {"emails[type eq \"other\"]or title sw \"tour\"", "ad"},
    };

    SELECTS(all_users, rows);
}

static void test_malformed(void **state)
{
    static const row rows[] = {
        {"", "the filter is empty"},
        {"   ", "the filter is empty"},
        {"userName", "the end at position 9: an operator must stand here"},
        {"password.\"secret\" eq 1", "'password.' at position 1: "},
        {"userName xx \"a\"", "'xx' at position 10: an operator must stand here: eq, ne"},
        {"userName = \"a\"", "'=' at position 10: an operator"},
        {"userName eqq \"a\"", "'eqq' at position 10: an operator"},
        {"userName regex \"a\"", "'regex' at position 10"},
        {"userName eq", "the end at position 12: a value to compare with must stand here"},
        {"userName eq ", "the end at position 13: a value"},
        {"(userName eq )", "')' at position 14: a value"},
        {"userName eq and title pr", "'and' at position 13: a value is a string"},
        {"userName eq 'bjensen'", "''bjensen'' at position 13: a value is a string"},
        {"userName eq bjensen", "'bjensen' at position 13: a value is a string"},
        {"userName eq \"bjensen", "'\"bjensen' at position 13: the string has no closing"},
        {"userName eq \"bjensen\\\"", "the string has no closing quote"},
        {"userName eq \"a\" and", "the end at position 20: the name of an attribute"},
        {"userName eq \"a\" or", "the end at position 19: the name of an attribute"},
        {"and userName pr", "'and' at position 1: User has no such attribute"},
        {"userName pr and and title pr", "'and' at position 17"},
        {"(userName pr", "the end at position 13: 'and', 'or' or a ')' must stand here"},
        {"userName pr)", "')' at position 12: no '(' belongs to it"},
        {"()", "')' at position 2: the name of an attribute"},
        {"not userName pr", "'userName' at position 5: a '(' must follow not"},
        {"not", "the end at position 4: a '(' must follow not"},
        {"not not (title pr)", "'not' at position 5: a '(' must follow not"},
        {"emails[type eq \"work\"", "the end at position 22: 'and', 'or' or the ']' of emails"},
        {"emails[type eq \"work\")", "')' at position 22: 'and', 'or' or the ']' of emails"},
        {"(emails[type eq \"work\")]", "')' at position 23"},
        {"emails[", "the end at position 8: the name of a sub-attribute of emails"},
        {"emails[]", "']' at position 8"},
        {"emails[emails[type pr]]", "'emails' at position 8: emails has no such"},
        {"emails[type[value pr]]", "at position 12: '[' may follow only"},
        {"userName[value eq \"x\"]", "at position 9: '[' may follow only"},
        {"emails.value[type pr]", "at position 13: '[' may follow only"},
        {"emails[type pr] eq \"x\"", "'eq' at position 17: 'and', 'or' or the end"},
        {"emails[type pr].", "the end at position 17: the name of a sub-attribute"},
        {"emails[type pr].value", "the end at position 22: an operator"},
        {"userName eq \"a\" title pr", "'title' at position 17: 'and', 'or' or the end of"},
        {"userName eq \"a\"; drop", "';' at position 16"},
        {"userName eq \"a\" \"b\"", "'\"b\"' at position 17"},
        {"userName pr pr", "'pr' at position 13"},
        {"userName..x pr", "'userName..x' at position 1: the name of an attribute"},
        {"\"userName\" eq \"a\"", "'\"userName\"' at position 1: the name of an attribute"},
        {"userName eq {}", "'{}' at position 13"},
        {"userName eq [1]", "'[' at position 13: a value is"},
        {"userName eq nul", "'nul' at position 13"},
        {"userName eq TRUE", "'TRUE' at position 13"},
        {ENT " pr", "at position 1: the URN of a schema must be followed by ':'"},
        {"name.familyName eq \"\xc3\xa4\" xx", "'xx' at position 24"},
    };

    REFUSES(user_type, rows);
}

static void test_malformed_lenient(void **state)
{
    static const row rows[] = {
        {"userName eq", "the end at position 12"},
        {"userName eq and", "'and' at position 13: a value is a string"},
        {"userName eq OR", "'OR' at position 13"},
        {"userName eq 'bjensen'", "''bjensen'' at position 13"},
        {"userName eq bjensen\"", "'bjensen' at position 13"},
        {"userName eq foo(bar)", "'foo' at position 13"},
        {"userName eq Barbara Jensen", "'Jensen' at position 21: 'and', 'or' or the end"},
        {"active eq maybe", "'maybe' at position 11: active is compared with true or false"},
        {"active eq \"\"", "active is compared with true or false"},
        {"meta.created gt yesterday", "'yesterday' at position 17"},
    };

    REFUSES_LENIENT(user_type, rows);
}

static void test_not_utf8(void **state)
{
    static const row rows[] = {
        {"userName eq \"\xff\"", "the filter is not UTF-8 at position 14"},
        {"userName eq \"\xc3\xa4\xc3\"", "the filter is not UTF-8 at position 15"},
        {"\xed\xa0\x80 pr", "the filter is not UTF-8 at position 1"},
    };

    REFUSES(user_type, rows);
}

static void test_long_tokens(void **state)
{
    const char *at = apr_pstrcat(pool, "x\xc3\xa4", NULL);
    const scim_filter *filter;
    const scim_error *err;
    int i;

    for (i = 0; i < 5; i++) {
        at = apr_pstrcat(pool, at, at, at, NULL);
    }
    err = scim_filter_parse(&filter, at, user_type, false, pool);
    assert_non_null(err);
    assert_non_null(strstr(err->detail, "x\xc3\xa4...' at position 1"));
    assert_true(strlen(err->detail) < 160);
}

static void test_escapes(void **state)
{
    static const row rows[] = {
        {"displayName eq \"a\\\"b\\\\c/\\uD83D\\uDE00\"", "c"},
        {"displayName eq \"a\\\"b\\\\c\\/\xf0\x9f\x98\x80\"", "c"},
        {"displayName sw \"\\u0061\\\"\"", "c"},
        {"userName eq \"\\u0062jensen\"", "a"},
        {"displayName co \"\\\\c\"", "c"},
        {"displayName co \"\\\\\\\\c\"", ""},
        {"userName eq \"\\\\u0062jensen\"", ""},
        {"userName co \"]\" or userName co \")\"", ""},
        {"emails[value co \"]\" or value co \"\\\"]\"]", ""},
    };
    static const row refused[] = {
        {"userName eq \"\\x\"", "'\"\\x\"' at position 13: not a JSON string"},
        {"userName eq \"\\u12\"", "not a JSON string"},
        {"userName eq \"\\uD83D\"", "not a JSON string"},
        {"userName eq \"\\uDE00\\uD83D\"", "not a JSON string"},
        {"userName eq \"\\u0000\"", "not a JSON string"},
        {"userName eq \"a\nb\"", "not a JSON string"},
    };

    SELECTS(all_users, rows);
    REFUSES(user_type, refused);
}

/* Multi-valued and complex attributes */

static void test_any_value(void **state)
{
    static const row rows[] = {
        {"emails.value co \"example\"", "ac"},
        {"emails.type eq \"home\"", "ac"},
        {"emails.value sw \"babs\"", "a"},
        {"emails pr", "acd"},
        {"emails.value pr", "ac"},
        {"emails.display pr", "d"},
        /* each term may be satisfied by another value */
        {"emails.type eq \"home\" and emails.value co \"example\"", "ac"},
    };

    SELECTS(all_users, rows);
}

static void test_ne(void **state)
{
    static const row rows[] = {
        {"title ne \"Tour Guide\"", "bcd"},
        {"emails.type ne \"work\"", "bd"},
        {"emails ne \"c@other.org\"", "abd"},
        {"emails.display ne \"dan\"", "abc"},
        {"emails[type ne \"work\"]", "acd"},
        {"emails[type eq \"work\"].value ne \"c@other.org\"", "abd"},
        {"not (emails.type ne \"work\")", "ac"},
        {"active ne null", "ab"},
    };

    SELECTS(all_users, rows);
}

static void test_same_element(void **state)
{
    static const row rows[] = {
        {"emails[type eq \"work\" and value co \"@example.com\"]", "a"},
        {"emails[type eq \"home\" and value co \"@example.com\"]", "c"},
        {"emails[type eq \"work\"]", "ac"},
        {"title pr and emails[type eq \"work\" and value co \"@example.com\"]", "a"},
        {"emails[type eq \"home\"] and emails[value co \"other\"]", "c"},
    };

    SELECTS(all_users, rows);
}

static void test_value_path(void **state)
{
    static const row rows[] = {
        {"emails[type eq \"other\" or value ew \".org\"]", "acd"},
        {"emails[not (type eq \"work\") and value pr]", "ac"},
        {"emails[not (value pr)]", "d"},
        {"emails[((type eq \"work\") and (not (value co \"example\")))]", "c"},
        {"emails[(type eq \"work\" or type eq \"home\") and primary eq true]", "a"},
        {"emails[type eq \"work\" or type eq \"home\" and primary eq true]", "ac"},
        {"emails[primary ne true and type eq \"work\"]", "c"},
        {"emails[value eq null]", "d"},
        {"not (emails[value pr])", "bd"},
        {"name[familyName eq \"jensen\" and givenName pr]", "a"},
        {"name[givenName eq null]", "c"},
        {"meta[version eq \"W/\\\"1\\\"\"]", "b"},
        {ENT ":manager[value eq \"M1\"]", "a"},
    };

    SELECTS(all_users, rows);
}

static void test_value_path_sub(void **state)
{
    static const row rows[] = {
        {"emails[type eq \"work\"].value eq \"bjensen@example.com\"", "a"},
        {"emails[type eq \"home\"].value eq \"bjensen@example.com\"", ""},
        {"emails[type eq \"home\"].Value ew \"example.com\"", "c"},
        {"emails[type eq \"work\"].primary pr", "a"},
        {"emails[type eq \"other\"].value eq null", "abcd"},
        {"emails[type eq \"other\"].display eq null", "abc"},
        {"emails[type eq \"other\"].display ne null", "d"},
        {"emails[type eq \"work\" or type eq \"home\"].value sw \"babs\"", "a"},
        {"emails[type eq \"work\"].value co \"c@\" and title sw \"eng\"", "c"},
    };

    SELECTS(all_users, rows);
}

static void test_complex_value(void **state)
{
    static const row rows[] = {
        {"emails co \"example\"", "ac"}, {"emails eq \"BABS@jensen.org\"", "a"},
        {ENT ":manager eq \"M1\"", "a"}, {"emails eq null", "b"},
        {"emails ne null", "acd"},
    };

    SELECTS(all_users, rows);
}

static void test_complex_without_value(void **state)
{
    static const row selects[] = {
        {"name pr", "ac"},
        {"name eq null", "bd"},
        {"meta pr", "abcd"},
        {"addresses pr", ""},
    };
    static const row refused[] = {
        {"name eq \"x\"", "'eq' at position 6: name cannot be compared so; it is complex: name "
                          "one of its sub-attributes"},
        {"addresses co \"x\"", "'co' at position 11"},
        {"meta gt null", "'gt' at position 6"},
    };

    SELECTS(all_users, selects);
    REFUSES(user_type, refused);
}

static void test_urns(void **state)
{
    static const row rows[] = {
        {USER ":userName eq \"dan\"", "d"},
        {"URN:IETF:params:scim:schemas:CORE:2.0:user:Name.FamilyName pr", "ac"},
        {ENT ":department eq \"sales\"", "a"},
        {ENT ":manager.value eq \"M1\"", "a"},
        {ENT ":manager.value eq \"m1\"", ""},
        {"urn:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:USER:Manager.DisplayName "
         "co \"smith\"",
         "a"},
        {ENT ":employeeNumber ne \"701984\"", "bcd"},
        {USER ":emails[type eq \"work\"].value co \"other\"", "c"},
        {ENT ":manager pr", "a"},
    };

    SELECTS(all_users, rows);
}

static void test_schemas(void **state)
{
    static const row rows[] = {
        {"schemas eq \"" ENT "\"", "a"},
        {"schemas eq \"URN:ietf:params:scim:schemas:core:2.0:USER\"", "abcd"},
        {"schemas ne \"" ENT "\"", "bcd"},
        {"schemas[value co \"enterprise\"]", "a"},
        {"schemas pr", "abcd"},
    };
    static const row tags[] = {
        {"tags eq \"red\"", "a"},
        {"tags[value sw \"G\"]", "b"},
        {"tags[value eq \"red\" and value eq \"blue\"]", ""},
        {"tags eq \"red\" and tags eq \"blue\"", "a"},
        {"tags pr", "ab"},
        {"tags eq null", "c"},
    };

    SELECTS(all_users, rows);
    SELECTS(all_devices, tags);
}

static void test_null(void **state)
{
    static const row rows[] = {
        {"title eq null", "bd"},         {"title ne null", "ac"},
        {"title gt null", ""},           {"title co null", ""},
        {"not (title le null)", "abcd"}, {"name.givenName eq null", "bcd"},
        {"emails.value eq null", "bd"},  {ENT ":department ne null", "a"},
        {"meta.created ge null", ""},    {"active eq null", "cd"},
    };

    SELECTS(all_users, rows);
}

static void test_ids(void **state)
{
    static const row rows[] = {
        {"id eq \"0b9e-Ab\"", "a"},
        {"id eq \"0b9e-ab\"", ""},
        {"id ne \"1c\"", "acd"},
        {"id sw \"0b9e\"", "a"},
        {"id gt \"2d\"", "d"},
        {"id pr", "abcd"},
        {"externalId eq \"Ext-1\"", "a"},
        {"externalId eq \"EXT-1\"", "d"},
        {"externalId eq \"ext-1\"", ""},
        {"externalId lt \"Ea\"", "d"},
        {"externalId lt \"Ey\"", "ad"},
        {"meta.resourceType eq \"User\"", "abcd"},
        {"meta.resourceType eq \"user\"", ""},
        {"meta.location ew \"/Users/1c\"", "b"},
        {"meta.version eq \"W/\\\"3a\\\"\"", "a"},
        {"meta.version ne \"W/\\\"3a\\\"\"", "bcd"},
        {"meta.lastModified ge \"2020-01-01T00:00:00Z\"", "cd"},
    };

    SELECTS(all_users, rows);
}

static void test_unknown_attributes(void **state)
{
    static const row rows[] = {
        {"nothing eq \"x\"", "'nothing' at position 1: User has no such attribute"},
        {"title pr and name.nothing pr", "'name.nothing' at position 14"},
        {"emails[kind eq \"x\"]", "'kind' at position 8: emails has no such sub-attribute"},
        {"emails[type pr].kind pr", "'kind' at position 17: emails has no such"},
        {"members eq \"x\"", "'members' at position 1: User has no such attribute"},
        {"urn:a:b:userName eq \"x\"", "'urn:a:b:userName' at position 1"},
        {"schemas.value eq \"x\"", "'schemas.value' at position 1"},
        {"schemas[type eq \"x\"]", "'type' at position 9: schemas has no such"},
        {"department eq \"x\"", "'department' at position 1: an attribute of an extension must "
                                "follow its URN, " ENT ":"},
    };

    REFUSES(user_type, rows);
}

/* The letters of the types in which a filter over all of them selects what
 * has nothing but its type: U, G, D. */
static const char *selected_types(const char *text)
{
    const struct {
        const scim_resource_type *type;
        char letter;
    } types[] = {{user_type, 'U'}, {group_type, 'G'}, {device_type, 'D'}};
    char *letters = apr_pcalloc(pool, 4);
    size_t found = 0;
    size_t i;

    for (i = 0; i < 3; i++) {
        json_t *resource = json_pack("{s:{s:s},s:s}", "meta", "resourceType",
                                     types[i].type->name, "displayName", "x");
        scim_candidate subject = {.type = types[i].type,
                                  .resource = scim_json_adopt(resource, pool)};
        const scim_filter *filter;
        const scim_error *err =
            scim_filter_parse_any(&filter, text, types[i].type, all_types, false, pool);

        if (err) {
            fail_msg("%s: %s", text, err->detail);
        }
        if (scim_filter_match(filter, &subject, pool)) {
            letters[found++] = types[i].letter;
        }
    }
    return letters;
}

static void test_all_types(void **state)
{
    static const row rows[] = {
        {"displayName eq \"X\"", "UG"},
        {"not (displayName eq \"X\")", "D"},
        {"displayName ne \"x\"", "D"},
        {"displayName eq null", "D"},
        {"meta.resourceType eq \"Group\" or count gt 1", "G"},
        {"not (count gt 1)", "UGD"},
        {"count ne 1", "UGD"},
        {"count pr or members pr or groups pr", ""},
        {"emails[type eq \"work\" and not (value pr)]", ""},
        {"not (emails[type eq \"work\"])", "UGD"},
        {"emails[type eq \"work\"].value ne \"x\"", "UGD"},
        {"pin[slot ge 3].since gt \"2026-01-01T00:00:00Z\"", ""},
        {ENT ":department eq null and displayName pr", "UG"},
    };
    static const row refused[] = {
        {"nothing pr", "'nothing' at position 1: no resource type has this attribute"},
        {"count pr and nothing.x pr", "'nothing.x' at position 14"},
        {"count gt \"x\"", "'\"x\"' at position 10"},
        {"emails[kind pr]", "'kind' at position 8"},
        {"members", "an operator must stand here"},
    };
    size_t i, k;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (strcmp(selected_types(rows[i].filter), rows[i].expected)) {
            fail_msg("%s selects \"%s\"", rows[i].filter, selected_types(rows[i].filter));
        }
    }
    for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        for (k = 0; k < 3; k++) {
            const scim_resource_type *types[] = {user_type, group_type, device_type};
            const scim_filter *filter;
            const scim_error *err = scim_filter_parse_any(&filter, refused[i].filter, types[k],
                                                          all_types, false, pool);

            assert_non_null(err);
            assert_int_equal(err->code, SCIM_E_INVALID_FILTER);
            assert_non_null(strstr(err->detail, refused[i].expected));
        }
    }
}

static void test_sensitive(void **state)
{
    static const row user_rows[] = {
        {"password eq \"secret\"", "'password' at position 1: the attribute is never returned"},
        {"title pr or password pr", "'password' at position 13"},
        {"PASSWORD sw \"a\"", "never returned"},
        {USER ":password eq null", "never returned"},
        {"password\"secret\"", "'password' at position 1"},
    };
    static const row device_rows[] = {
        {"pin.value eq \"1\"", "'pin.value' at position 1"},
        {"pin eq \"1\"", "'eq' at position 5: the attribute is never returned"},
        {"pin[value sw \"1\"]", "'value' at position 5"},
        {"pin[slot eq 1].value eq \"1\"", "'value' at position 16"},
    };
    int lenient;

    for (lenient = 0; lenient < 2; lenient++) {
        check_refused(ROWS(user_rows), user_type, lenient, 403, "sensitive");
        check_refused(ROWS(device_rows), device_type, lenient, 403, "sensitive");
    }
}

/* Limits */

static const char *repeat(const char *head, const char *text, int count, const char *tail)
{
    apr_size_t len = strlen(text);
    char *out = apr_palloc(pool, strlen(head) + len * (apr_size_t)count + strlen(tail) + 1);
    char *at = out + strlen(strcpy(out, head));
    int i;

    for (i = 0; i < count; i++, at += len) {
        memcpy(at, text, len);
    }
    strcpy(at, tail);
    return out;
}

static const char *nested(int depth, const char *open)
{
    return apr_pstrcat(pool, repeat("", open, depth, "title pr"), repeat("", ")", depth, ""),
                       NULL);
}

static void check_limit(const char *text, const char *detail)
{
    const row rows[] = {{text, detail}};

    REFUSES(user_type, rows);
}

static void test_limits(void **state)
{
    const row within[] = {
        {nested(SCIM_FILTER_MAX_DEPTH, "("), "ac"},
        {nested(SCIM_FILTER_MAX_DEPTH, "not ("), "ac"},
        {repeat("title pr", " or title pr", SCIM_FILTER_MAX_TERMS - 1, ""), "ac"},
        {repeat("title pr", " ", SCIM_FILTER_MAX_LENGTH - 8, ""), "ac"},
        {repeat("", "(title pr) and ", 100, "title pr"), "ac"},
        {repeat("", "emails[type pr] or ", 100, "title pr"), "acd"},
    };

    SELECTS(all_users, within);
    check_limit(nested(SCIM_FILTER_MAX_DEPTH + 1, "("),
                "'(' at position 33: brackets are nested more than 32 deep");
    check_limit(nested(SCIM_FILTER_MAX_DEPTH + 1, "not("), "nested more than 32 deep");
    check_limit(repeat("", "(", 31, "emails[(type pr)]"), "nested more than 32 deep");
    check_limit(repeat("title pr", " or title pr", SCIM_FILTER_MAX_TERMS, ""),
                "more than 200 comparisons");
    check_limit(repeat("emails[type pr", " or type pr", SCIM_FILTER_MAX_TERMS, "]"),
                "more than 200 comparisons");
    check_limit(repeat("title pr", " ", SCIM_FILTER_MAX_LENGTH - 7, ""),
                "longer than 8192 bytes");
}

static void test_hostile(void **state)
{
    check_limit(repeat("", "(", SCIM_FILTER_MAX_LENGTH, ""), "nested more than 32 deep");
    check_limit(repeat("", "not(", SCIM_FILTER_MAX_LENGTH / 4, ""), "nested more than 32");
    check_limit(repeat("", "not ", SCIM_FILTER_MAX_LENGTH / 4, ""), "a '(' must follow not");
    check_limit(repeat("", "emails[", SCIM_FILTER_MAX_LENGTH / 7, ""), "no such sub-attribute");
    check_limit(repeat("emails[", "(", 8000, ""), "nested more than 32 deep");
    check_limit(repeat("", ")", SCIM_FILTER_MAX_LENGTH, ""), "the name of an attribute");
    check_limit(repeat("userName eq \"", "\\", 8001, ""), "no closing quote");
    check_limit(repeat("", "(", 1000000, ""), "longer than 8192 bytes");
}

/* Every operator on every type with every kind of literal. */

/* Whether an operator is one of a type's; eq, ne and pr are of every type. */
static bool takes(scim_type type, const char *op)
{
    bool substring = strstr(" co sw ew ", op) != NULL;
    bool order = strstr(" gt ge lt le ", op) != NULL;

    switch (type) {
    case SCIM_TYPE_STRING:
    case SCIM_TYPE_REFERENCE:
        return true;
    case SCIM_TYPE_DATETIME:
    case SCIM_TYPE_INTEGER:
    case SCIM_TYPE_DECIMAL:
        return !substring;
    default:
        return !substring && !order;
    }
}

/* The literal that a type is compared with, of those below. */
static bool fits(scim_type type, const char *literal)
{
    switch (type) {
    case SCIM_TYPE_DATETIME:
        return strstr(literal, "2020-") != NULL;
    case SCIM_TYPE_INTEGER:
    case SCIM_TYPE_DECIMAL:
        return (*literal >= '0' && *literal <= '9') || *literal == '-';
    case SCIM_TYPE_BOOLEAN:
        return !strcmp(literal, "true") || !strcmp(literal, "false");
    default:
        return *literal == '"';
    }
}

static void check_combination(const char *name, scim_type type, const char *op,
                              const char *literal, const population *from)
{
    const char *text = apr_psprintf(pool, "%s %s %s", name, op, literal);
    bool null = !strcmp(literal, "null");
    bool good = takes(type, op) && (null || fits(type, literal));
    const scim_filter *filter;
    const scim_error *err = scim_filter_parse(&filter, text, *from->type, false, pool);

    if (good != !err) {
        fail_msg("%s: %s", text, err ? err->detail : "accepted");
    }
    if (err) {
        assert_int_equal(err->code, SCIM_E_INVALID_FILTER);
        return;
    }
    selected(text, from, false);
    selected(apr_psprintf(pool, "not (%s) or %s", text, text), from, false);
}

static void test_every_combination(void **state)
{
    static const struct {
        const char *name;
        scim_type type;
        const population *from;
    } attributes[] = {
        {"userName", SCIM_TYPE_STRING, &all_users},
        {"id", SCIM_TYPE_STRING, &all_users},
        {"emails.value", SCIM_TYPE_STRING, &all_users},
        {"active", SCIM_TYPE_BOOLEAN, &all_users},
        {"emails.primary", SCIM_TYPE_BOOLEAN, &all_users},
        {"meta.created", SCIM_TYPE_DATETIME, &all_users},
        {"profileUrl", SCIM_TYPE_REFERENCE, &all_users},
        {"x509Certificates.value", SCIM_TYPE_BINARY, &all_users},
        {"count", SCIM_TYPE_INTEGER, &all_devices},
        {"big", SCIM_TYPE_INTEGER, &all_devices},
        {"ratio", SCIM_TYPE_DECIMAL, &all_devices},
        {"tags", SCIM_TYPE_STRING, &all_devices},
        {"pin.since", SCIM_TYPE_DATETIME, &all_devices},
    };
    static const char *const ops[] = {"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"};
    static const char *const literals[] = {
        "\"\"",
        "\"x\"",
        "\"2020-02-29T12:00:00Z\"",
        "\"' or 1=1 --\"",
        "\"*)(uid=*\"",
        "\"%00\\u0001\\n\"",
        "\"{$ne:null}\"",
        "true",
        "false",
        "null",
        "0",
        "-1",
        "1.5",
        "1e300",
        "-99999999999999999999999999",
        "5",
    };
    size_t a, o, l;

    for (a = 0; a < sizeof(attributes) / sizeof(*attributes); a++) {
        for (o = 0; o < sizeof(ops) / sizeof(*ops); o++) {
            for (l = 0; l < sizeof(literals) / sizeof(*literals); l++) {
                check_combination(attributes[a].name, attributes[a].type, ops[o], literals[l],
                                  attributes[a].from);
            }
        }
        selected(apr_pstrcat(pool, attributes[a].name, " pr", NULL), attributes[a].from, false);
    }
}

/* What comes behind the limits is not looked at, however much it is. */
static void test_work_of_parsing(void **state)
{
    const char *const texts[] = {
        repeat("title pr", " or title pr", 10000, ""),
        repeat("", "not (", 10000, "title pr"),
        repeat("", "(", 500, "title pr"),
        repeat("title eq \"", "x", 100 * 1024, "\""),
        repeat("", "a.", 50000, "b pr"),
        repeat("", "urn:", 25000, "x pr"),
        repeat("title eq \"", "\\u00e9", 20000, "\""),
        repeat("emails[", "type pr and emails[", 5000, "type pr]"),
    };
    clock_t start = clock();
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const scim_filter *filter;
        const scim_error *err = scim_filter_parse(&filter, texts[i], user_type, true, pool);

        assert_non_null(err);
        assert_int_equal(err->code, SCIM_E_INVALID_FILTER);
        assert_true(strlen(err->detail) < 1024);
    }
    assert_true(clock() - start < CLOCKS_PER_SEC / 2);
}

/* Seconds that it takes to find that a long text is none of so many. */
static double time_of_terms(int terms, const json_t *user)
{
    const scim_filter *filter =
        parse(repeat("title co \"\\u00e8\"", " or title co \"\\u00e8\"", terms - 1, ""),
              user_type, false);
    scim_candidate subject = {.type = user_type, .resource = user};
    clock_t start = clock();

    assert_false(scim_filter_match(filter, &subject, pool));
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* A long text is prepared once, whatever the number of the terms. */
static void test_work_of_terms(void **state)
{
    const char *text = apr_pstrcat(pool, "{\"userName\":\"x\",\"title\":\"",
                                   repeat("", "\u00c9", 200000, "\"}"), NULL);
    json_t *user = scim_json_read_own(text, strlen(text), pool);
    double one = time_of_terms(1, user);

    assert_true(time_of_terms(150, user) < 20 * one + 0.05);
}

/* Tolerance */

static void test_lenient_booleans(void **state)
{
    static const row rows[] = {
        {"active eq \"true\"", "a"},
        {"active eq \"False\"", "b"},
        {"active ne \"TRUE\"", "bcd"},
        {"active eq True", "a"},
        {"emails[primary eq \"True\"]", "a"},
        {"emails[primary eq \"True\"].value co \"bjensen\"", "a"},
        {"active eq true", "a"},
    };
    static const row strict[] = {
        {"active eq \"true\"", "'\"true\"' at position 11: active is compared with true or"},
        {"emails[primary eq \"True\"]", "'\"True\"' at position 19"},
        {"active eq True", "'True' at position 11"},
    };

    SELECTS_LENIENT(all_users, rows);
    REFUSES(user_type, strict);
}

static void test_lenient_literals(void **state)
{
    static const row rows[] = {
        {"name.FamilyName eq Jensen", "a"},
        {"(name.familyName eq jensen)", "a"},
        {"emails[type eq work and value co example]", "a"},
        {"meta.Created gt 2015-10-10T14:38:21.8617979-07:00", "cd"},
        {"id eq 0b9e-Ab", "a"},
        {"id eq 54D382A4-0000-0000-0000-000000000000 and manager eq 2819c223", ""},
        {"id eq 0b9e-Ab and manager eq M1", "a"},
        {"id eq \"0b9e-Ab\" and manager eq \"M1\"", "a"},
        {"employeeNumber eq 701984", "a"},
        {"profileUrl eq https://example.com/BJ", "a"},
        {"emails eq babs@jensen.org", "a"},
        {"title eq null", "bd"},
        {"name.familyName eq \xc3\xa5str\xc3\xb6m", "c"},
    };

    SELECTS_LENIENT(all_users, rows);
}

/* Edges */

static void test_edges(void **state)
{
    static const row of_groups[] = {
        {"members eq \"2d\"", "a"},
        {"members.value eq \"2d\"", "a"},
        {"members[value eq \"2d\"]", "a"},
        {"members ne \"2d\"", "b"},
        {"not (members[value eq \"2d\"])", "b"},
        {"displayName eq \"admins\" and members eq \"nobody\"", ""},
    };
    static const row of_users[] = {
        {"groups eq \"g1\"", "a"},
        {"groups.value eq \"g1\" and active eq true", "a"},
    };

    edges_read = edges_asked = 0;
    SELECTS(all_groups, of_groups);
    SELECTS(all_users, of_users);
    assert_int_equal(edges_read, 0);
    assert_true(edges_asked > 0);
}

static void test_edges_read(void **state)
{
    static const row of_groups[] = {
        {"members pr", "a"},
        {"members eq null", "b"},
        {"members.$ref eq \"https://example.com/v2/Users/2d\"", "a"},
        {"members[$ref ew \"/2d\"]", "a"},
        {"members.display eq \"babs\"", "a"},
        {"members[value eq \"2d\" and display pr]", ""},
        {"members[value eq \"0b9e-Ab\" and display pr]", "a"},
        {"members[type eq \"User\"].value eq \"2d\"", "a"},
        {"members sw \"2\"", "a"},
    };
    static const row of_users[] = {
        {"groups pr", "a"},
        {"groups.display sw \"adm\"", "a"},
        {"not (groups pr)", "bcd"},
    };

    edges_read = edges_asked = 0;
    SELECTS(all_groups, of_groups);
    SELECTS(all_users, of_users);
    assert_int_equal(edges_asked, 0);
    assert_true(edges_read > 0);
}

static void test_edges_untouched(void **state)
{
    edges_read = edges_asked = 0;
    assert_string_equal(selected("displayName eq \"admins\"", &all_groups, false), "a");
    assert_string_equal(
        selected("displayName eq \"none\" and members eq \"2d\"", &all_groups, false), "");
    assert_int_equal(edges_read + edges_asked, 0);
}

/* Value paths on their own */

static const scim_filter *parse_element(const char *text, const char *name, bool lenient)
{
    const scim_attribute *attribute = scim_type_attribute(user_type, name, strlen(name));
    const char *at = text;
    const scim_filter *filter = NULL;
    const scim_error *err = scim_filter_parse_element(&filter, &at, text + strlen(text), text,
                                                      attribute, lenient, pool);

    assert_null(err);
    assert_int_equal(at[-1], ']');
    return filter;
}

static void test_match_element(void **state)
{
    static const struct {
        const char *filter;
        const char *element;
        bool expected;
    } rows[] = {
        {"type eq \"work\"]", "{\"type\":\"Work\",\"value\":\"x\"}", true},
        {"type eq \"work\"].value", "{\"type\":\"home\"}", false},
        {"type eq \"work\" and primary eq true]", "{\"type\":\"work\",\"primary\":true}", true},
        {"not (primary pr)]", "{\"type\":\"work\"}", true},
        {"type ne \"work\"]", "{\"value\":\"x\"}", true},
        {"value sw \"x\" or type pr]", "{\"value\":\"Xy\"}", true},
        {"value eq null]", "{\"value\":\"x\"}", false},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const scim_filter *filter = parse_element(rows[i].filter, "emails", false);
        json_t *element = scim_json_read_own(rows[i].element, strlen(rows[i].element), pool);
        if (scim_filter_match_element(filter, element, pool) != rows[i].expected) {
            fail_msg("%s on %s", rows[i].filter, rows[i].element);
        }
    }
}

static void test_match_simple_element(void **state)
{
    const scim_filter *filter = parse_element("value eq \"URN:X\"]", "schemas", false);

    assert_true(
        scim_filter_match_element(filter, scim_json_adopt(json_string("urn:x"), pool), pool));
    assert_false(
        scim_filter_match_element(filter, scim_json_adopt(json_string("urn:y"), pool), pool));
}

static void test_template(void **state)
{
    static const struct {
        const char *filter;
        const char *expected; /* NULL: no template */
    } rows[] = {
        {"type eq \"work\"]", "{\"type\":\"work\"}"},
        {"TYPE eq \"Work\" and primary eq \"True\"]", "{\"type\":\"Work\",\"primary\":true}"},
        {"(type eq \"a\" and (value eq \"b\" and display eq \"c\"))]",
         "{\"type\":\"a\",\"value\":\"b\",\"display\":\"c\"}"},
        {"primary eq false]", "{\"primary\":false}"},
        {"type eq work]", "{\"type\":\"work\"}"},
        {"type eq \"a\" and type eq \"a\"]", "{\"type\":\"a\"}"},
        {"type eq \"a\" and type eq \"b\"]", NULL},
        {"type eq \"a\" or type eq \"b\"]", NULL},
        {"type eq \"a\" and value pr]", NULL},
        {"type co \"a\"]", NULL},
        {"type ne \"a\"]", NULL},
        {"type eq null]", NULL},
        {"not (type eq \"a\")]", NULL},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *made =
            scim_filter_template(parse_element(rows[i].filter, "emails", true), pool);
        const char *text = made ? scim_json_write(made, &(apr_size_t){0}, pool) : NULL;
        if (rows[i].expected && text) {
            assert_string_equal(text, rows[i].expected);
        } else if (rows[i].expected || text) {
            fail_msg("%s makes %s", rows[i].filter, text ? text : "nothing");
        }
    }
    assert_null(scim_filter_template(parse_element("value eq \"a\"]", "schemas", true), pool));
}

static void test_template_types(void **state)
{
    static const char text[] = "slot eq 7 and since eq \"2020-01-01T00:00:00Z\"]";
    const scim_attribute *pin = scim_type_attribute(device_type, "pin", 3);
    const char *at = text;
    const scim_filter *filter;
    json_t *made;
    apr_size_t len;

    assert_null(
        scim_filter_parse_element(&filter, &at, text + strlen(text), text, pin, false, pool));
    made = scim_filter_template(filter, pool);
    assert_string_equal(scim_json_write(made, &len, pool),
                        "{\"slot\":7,\"since\":\"2020-01-01T00:00:00Z\"}");
}

static void test_mentions(void **state)
{
    const scim_filter *filter;

    filter = parse("title pr or not (groups.value eq \"x\" and id pr)", user_type, false);
    assert_true(scim_filter_mentions(filter, SCIM_ROLE_GROUPS));
    assert_true(scim_filter_mentions(filter, SCIM_ROLE_ID));
    assert_false(scim_filter_mentions(filter, SCIM_ROLE_MEMBERS));
    assert_false(scim_filter_mentions(filter, SCIM_ROLE_META));
    filter = parse("members[value eq \"x\"]", group_type, false);
    assert_true(scim_filter_mentions(filter, SCIM_ROLE_MEMBERS));
    filter = parse("addresses.country eq \"BR\"", user_type, false);
    assert_true(scim_filter_mentions(filter, SCIM_ROLE_COUNTRY));
    filter = parse("addresses[country eq \"BR\"]", user_type, false);
    assert_true(scim_filter_mentions(filter, SCIM_ROLE_COUNTRY));
}

/* What planners rely on. */
static void test_tree(void **state)
{
    const scim_filter *f =
        parse("userName eq \"BJensen\" and emails co \"X\"", user_type, false);

    assert_int_equal(f->kind, SCIM_FILTER_AND);
    assert_int_equal(f->left->kind, SCIM_FILTER_COMPARE);
    assert_string_equal(f->left->path.attribute->path, "userName");
    assert_string_equal(f->left->value.text, "BJensen");
    assert_string_equal(f->left->value.prepared, "bjensen");
    assert_string_equal(f->right->path.sub->path, "emails.value");
    f = parse("emails[type eq \"work\"].value eq \"x\"", user_type, false);
    assert_int_equal(f->kind, SCIM_FILTER_ELEMENT);
    assert_string_equal(f->path.attribute->path, "emails");
    assert_int_equal(f->left->kind, SCIM_FILTER_AND);
    assert_string_equal(f->left->right->path.attribute->path, "emails.value");
    assert_null(f->left->right->path.sub);
    f = parse("title ne \"x\"", user_type, false);
    assert_int_equal(f->kind, SCIM_FILTER_NOT);
    assert_int_equal(f->left->op, SCIM_OP_EQ);
    f = parse("title eq null", user_type, false);
    assert_int_equal(f->kind, SCIM_FILTER_NOT);
    assert_int_equal(f->left->kind, SCIM_FILTER_PRESENT);
    f = parse("meta.created gt \"1970-01-01T00:00:01Z\"", user_type, false);
    assert_int_equal(f->value.kind, SCIM_LITERAL_TIME);
    assert_true(f->value.time == 1000000);
    assert_string_equal(f->value.text, "1970-01-01T00:00:01Z");
}

/* Random filters against a naive evaluator, which knows neither the parser's
 * tree nor JSON. */

typedef struct person {
    const char *user_name;
    const char *title;
    struct {
        const char *type;
        const char *value;
    } emails[2];
    int emails_count;
} person;

static const person people[] = {
    {"ann", "boss", {{"work", "ann@x.org"}, {"home", "b@y.org"}}, 2},
    {"Bob", NULL, {{"home", "ann@x.org"}}, 1},
    {"annabel", "Bob", {{"work", NULL}, {NULL, "x"}}, 2},
    {"x", "X", {{NULL, NULL}}, 0},
};

typedef enum target { USER_NAME, TITLE, EMAIL_TYPE, EMAIL_VALUE } target;
typedef enum shape { TEST, AND, OR, NOT, SAME } shape;

typedef struct guess {
    shape shape;
    target target;
    int op;
    const char *literal;
    const struct guess *left;
    const struct guess *right;
} guess;

static const char *const op_names[] = {"eq", "ne", "co", "sw", "ew",
                                       "gt", "ge", "lt", "le", "pr"};
static const char *const literals[] = {"ann", "BOB", "an", "Work", "home", "x", "@X.org", ""};

static unsigned seed;

static unsigned pick(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

static const guess *invent(int depth, bool inside)
{
    guess *g = apr_pcalloc(pool, sizeof(*g));

    g->shape = depth ? (shape)pick(inside ? SAME : SAME + 1) : TEST;
    g->target = inside ? EMAIL_TYPE + pick(2) : pick(4);
    g->op = (int)pick(10);
    g->literal = literals[pick(sizeof(literals) / sizeof(*literals))];
    if (g->shape != TEST) {
        g->left = invent(depth - 1, inside || g->shape == SAME);
        g->right = invent(depth - 1, inside);
    }
    return g;
}

static bool naive_test(const guess *g, const char *value)
{
    size_t len = value ? strlen(value) : 0;
    size_t wanted = strlen(g->literal);
    int order;

    if (!value) {
        return false;
    }
    order = strcasecmp(value, g->literal);
    switch (g->op) {
    case 0:
    case 1:
        return order == 0;
    case 2:
        return strcasestr(value, g->literal) != NULL;
    case 3:
        return !strncasecmp(value, g->literal, wanted);
    case 4:
        return len >= wanted && !strcasecmp(value + len - wanted, g->literal);
    case 5:
        return order > 0;
    case 6:
        return order >= 0;
    case 7:
        return order < 0;
    case 8:
        return order <= 0;
    default:
        return true;
    }
}

/* element: the address that is looked at; -1: the person. */
static bool naive(const guess *g, const person *p, int element)
{
    bool any = false;
    int i;

    switch (g->shape) {
    case AND:
        return naive(g->left, p, element) && naive(g->right, p, element);
    case OR:
        return naive(g->left, p, element) || naive(g->right, p, element);
    case NOT:
        return !naive(g->left, p, element);
    case SAME:
        for (i = 0; i < p->emails_count; i++) {
            any |= naive(g->left, p, i);
        }
        return any;
    default:
        break;
    }
    if (g->target == USER_NAME || g->target == TITLE) {
        any = naive_test(g, g->target == TITLE ? p->title : p->user_name);
    } else {
        for (i = 0; i < p->emails_count; i++) {
            if (element < 0 || element == i) {
                any |= naive_test(g, g->target == EMAIL_TYPE ? p->emails[i].type
                                                             : p->emails[i].value);
            }
        }
    }
    return g->op == 1 ? !any : any;
}

/* The text of a guess, with no more parentheses than it needs, mostly. */
static const char *spell(const guess *g, bool inside, int binding)
{
    static const char *const outer_names[] = {"userName", "title", "emails.type",
                                              "emails.value"};
    static const char *const inner_names[] = {"", "", "type", "value"};
    const char *text;
    int own = 3;

    switch (g->shape) {
    case TEST:
        text = apr_psprintf(pool, g->op == 9 ? "%s %s" : "%s %s \"%s\"",
                            (inside ? inner_names : outer_names)[g->target], op_names[g->op],
                            g->literal);
        break;
    case AND:
        own = 2;
        text = apr_psprintf(pool, "%s and %s", spell(g->left, inside, 2),
                            spell(g->right, inside, 2));
        break;
    case OR:
        own = 1;
        text = apr_psprintf(pool, "%s or %s", spell(g->left, inside, 1),
                            spell(g->right, inside, 1));
        break;
    case NOT:
        text = apr_psprintf(pool, "not (%s)", spell(g->left, inside, 0));
        break;
    default:
        text = apr_psprintf(pool, "emails[%s]", spell(g->left, true, 0));
        break;
    }
    return own < binding || !pick(8) ? apr_psprintf(pool, "(%s)", text) : text;
}

static json_t *person_json(const person *p)
{
    json_t *emails = json_array();
    json_t *out;
    int i;

    for (i = 0; i < p->emails_count; i++) {
        json_array_append_new(emails, json_pack("{s:s*, s:s*}", "type", p->emails[i].type,
                                                "value", p->emails[i].value));
    }
    out = json_pack("{s:s, s:s*, s:o}", "userName", p->user_name, "title", p->title, "emails",
                    emails);
    return scim_json_adopt(out, pool);
}

static void test_random(void **state)
{
    const size_t count = sizeof(people) / sizeof(*people);
    int matched = 0;
    int round;
    size_t i;

    for (round = 0; round < 3000; round++) {
        const guess *g;
        const char *text;
        const scim_filter *filter;

        seed = (unsigned)round * 2654435761u;
        g = invent(1 + (int)pick(4), false);
        text = spell(g, false, 0);
        filter = parse(text, user_type, false);
        for (i = 0; i < count; i++) {
            scim_candidate subject = {.type = user_type, .resource = person_json(&people[i])};
            bool result = scim_filter_match(filter, &subject, pool);
            if (result != naive(g, &people[i], -1)) {
                fail_msg("round %d: %s on %s gives %d", round, text, people[i].user_name,
                         result);
            }
            matched += result;
        }
    }
    assert_in_range(matched, 3000, 9000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        {"C-080 operators on strings", test_string_operators, NULL, NULL, NULL},
        {"C-080 S-30 strings compare in prepared form", test_folding, NULL, NULL, NULL},
        {"C-081 dateTimes compare chronologically", test_times, NULL, NULL, NULL},
        {"C-082 numbers compare numerically", test_numbers, NULL, NULL, NULL},
        {"eq, ne and pr on booleans and binaries", test_booleans_and_binary, NULL, NULL, NULL},
        {"C-083 no order on booleans and binaries", test_no_order, NULL, NULL, NULL},
        {"C-084 no substrings of booleans, numbers and dateTimes", test_no_substrings, NULL,
         NULL, NULL},
        {"literals of another type are refused", test_literal_types, NULL, NULL, NULL},
        {"C-085 names, operators, and, or, not in any case", test_case_of_words, NULL, NULL,
         NULL},
        {"C-086 not before and before or", test_precedence, NULL, NULL, NULL},
        {"C-087 not with and without a blank", test_not, NULL, NULL, NULL},
        {"blanks where none need be", test_blanks, NULL, NULL, NULL},
        {"C-098 malformed filters are invalidFilter", test_malformed, NULL, NULL, NULL},
        {"C-098 malformed filters in lenient mode", test_malformed_lenient, NULL, NULL, NULL},
        {"text that is not UTF-8 is refused", test_not_utf8, NULL, NULL, NULL},
        {"long tokens are cut between characters", test_long_tokens, NULL, NULL, NULL},
        {"C-099 escapes are decoded once", test_escapes, NULL, NULL, NULL},
        {"C-088 any value of an attribute matches", test_any_value, NULL, NULL, NULL},
        {"C-089 ne is not eq", test_ne, NULL, NULL, NULL},
        {"C-090 a value path speaks of one element", test_same_element, NULL, NULL, NULL},
        {"C-091 or, not, pr, ne and parentheses in value paths", test_value_path, NULL, NULL,
         NULL},
        {"C-092 a value path with a sub-attribute", test_value_path_sub, NULL, NULL, NULL},
        {"C-093 a complex attribute compares its value", test_complex_value, NULL, NULL, NULL},
        {"C-094 a complex attribute without value", test_complex_without_value, NULL, NULL,
         NULL},
        {"C-095 URN paths in any case", test_urns, NULL, NULL, NULL},
        {"C-096 schemas and other simple lists", test_schemas, NULL, NULL, NULL},
        {"C-097 null is unassigned", test_null, NULL, NULL, NULL},
        {"C-100 id, externalId and meta", test_ids, NULL, NULL, NULL},
        {"C-102 S-35 unknown attributes are invalidFilter", test_unknown_attributes, NULL, NULL,
         NULL},
        {"C-102 C-125 over all types what a type lacks has no value", test_all_types, NULL,
         NULL, NULL},
        {"C-103 C-317 attributes that are never returned", test_sensitive, NULL, NULL, NULL},
        {"C-105 limits of depth, terms and length", test_limits, NULL, NULL, NULL},
        {"C-105 hostile nesting is refused early", test_hostile, NULL, NULL, NULL},
        {"C-083 C-084 S-33 every operator, type and literal", test_every_combination, NULL,
         NULL, NULL},
        {"C-105 parsing ends at the limits", test_work_of_parsing, NULL, NULL, NULL},
        {"C-105 many terms on a long text", test_work_of_terms, NULL, NULL, NULL},
        {"C-108 booleans as strings", test_lenient_booleans, NULL, NULL, NULL},
        {"literals without quotes, attributes without URN", test_lenient_literals, NULL, NULL,
         NULL},
        {"members and groups by value ask for one edge", test_edges, NULL, NULL, NULL},
        {"C-107 other questions read the edges", test_edges_read, NULL, NULL, NULL},
        {"other filters leave the edges alone", test_edges_untouched, NULL, NULL, NULL},
        {"one element against a value path", test_match_element, NULL, NULL, NULL},
        {"one simple element against a value path", test_match_simple_element, NULL, NULL,
         NULL},
        {"eq-terms as the template of an element", test_template, NULL, NULL, NULL},
        {"values of a template have their types", test_template_types, NULL, NULL, NULL},
        {"which roles a filter mentions", test_mentions, NULL, NULL, NULL},
        {"the forms of a tree", test_tree, NULL, NULL, NULL},
        {"S-32 random filters against a naive evaluator", test_random, NULL, NULL, NULL},
    };
    const scim_error *err;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    err = scim_registry_build(&all_types, documents, sizeof(documents) / sizeof(*documents),
                              pool);
    if (err) {
        print_error("%s\n", err->detail);
        return 1;
    }
    user_type = scim_registry_type(all_types, "User");
    group_type = scim_registry_type(all_types, "Group");
    device_type = scim_registry_type(all_types, "Device");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
