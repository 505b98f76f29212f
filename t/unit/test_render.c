/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of records: what is spliced, and what a projection leaves.
 * How members and groups come in is shown with a store, in test_service.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/json.h"
#include "scim/render.h"

#define ID "0197a1b2-c3d4-7e5f-8a6b-0123456789ab"
#define BASE "https://scim.example.org/scim/v2"
#define META                                                                                   \
    "\"meta\":{\"resourceType\":\"User\",\"created\":\"1970-01-01T00:00:00.000000Z\","         \
    "\"lastModified\":\"1970-01-01T00:00:01.500000Z\",\"location\":\"" BASE "/Users/" ID "\"," \
    "\"version\":\"W/\\\"7\\\"\"}"

static apr_pool_t *pool;
static const scim_registry *registry;

static scim_record record_of(const scim_registry *types, const char *json)
{
    scim_record record = {
        .type = scim_registry_type(types, "User"),
        .version = 7,
        .modified = 1500000,
        .json = json,
        .json_len = strlen(json),
    };

    assert_true(scim_id_parse(&record.id, ID));
    return record;
}

static const char *render(const char *json, const char *attributes, const char *excluded)
{
    scim_record record = record_of(registry, json);
    scim_render how = {.base_url = BASE, .registry = registry};
    scim_buffer *out = scim_buffer_make(0, pool);

    assert_null(
        scim_projection_parse(&how.projection, attributes, excluded, record.type, pool));
    assert_null(scim_render_record(out, &how, NULL, &record, pool));
    return out->data;
}

static void test_full(void **state)
{
    assert_string_equal(
        render("{\"schemas\":[\"" SCIM_URN_USER "\"],\"userName\":\"a\"}", NULL, NULL),
        "{\"schemas\":[\"" SCIM_URN_USER "\"],\"id\":\"" ID "\",\"userName\":\"a\"," META "}");
}

static void test_bytes_are_copied(void **state)
{
    /* not as Jansson would write it: the stored text is not written anew */
    const char *odd = ",\"userName\":\"\\u00e9\",\"x\":[ 1 , {\"a]\":\"}\"} ]";
    const char *text = render(
        apr_pstrcat(pool, "{\"schemas\":[\"" SCIM_URN_USER "\"]", odd, "}", NULL), NULL, NULL);

    assert_string_equal(text,
                        apr_pstrcat(pool, "{\"schemas\":[\"" SCIM_URN_USER "\"],\"id\":\"",
                                    ID "\"", odd, "," META "}", NULL));
}

static void test_references(void **state)
{
    const char *text =
        render("{\"schemas\":[\"u\"],\"manager\":{\"value\":\"" ID "\",\"$ref\":\"Users/" ID
               "\"},\"photo\":{\"$ref\":\"https://else/Users/1\"},\"nickName\":"
               "\"\\\"$ref\\\":\\\"Users/x\"}",
               NULL, NULL);

    assert_non_null(strstr(text, "\"$ref\":\"" BASE "/Users/" ID "\""));
    assert_non_null(strstr(text, "\"$ref\":\"https://else/Users/1\""));
    assert_non_null(strstr(text, "\"nickName\":\"\\\"$ref\\\":\\\"Users/x\""));
}

static void test_nothing_but_schemas(void **state)
{
    assert_string_equal(render("{\"schemas\":[\"u\"]}", NULL, NULL),
                        "{\"schemas\":[\"u\"],\"id\":\"" ID "\"," META "}");
    assert_string_equal(render("{\"schemas\":[\"a]\\\"]b\",\"c\"]}", NULL, NULL),
                        "{\"schemas\":[\"a]\\\"]b\",\"c\"],\"id\":\"" ID "\"," META "}");
}

static void test_damaged(void **state)
{
    static const char *const damaged[] = {"", "{}", "{\"userName\":\"a\"}", "{\"schemas\":[",
                                          "{\"schemas\":[\"a\\"};
    scim_render how = {.base_url = BASE, .registry = registry};
    apr_size_t i;

    for (i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        scim_record record = record_of(registry, damaged[i]);
        const scim_error *err =
            scim_render_record(scim_buffer_make(0, pool), &how, NULL, &record, pool);

        assert_non_null(err);
        assert_int_equal(err->status, 500);
        assert_non_null(strstr(err->cause, ID));
        assert_null(strstr(err->detail, ID));
    }
}

static void test_base_url_is_escaped(void **state)
{
    scim_record record = record_of(registry, "{\"schemas\":[\"u\"]}");
    scim_render how = {.base_url = "http://h/a\"b", .registry = registry};
    scim_buffer *out = scim_buffer_make(0, pool);
    const json_t *meta;

    assert_null(scim_render_record(out, &how, NULL, &record, pool));
    meta = json_object_get(scim_json_read_own(out->data, out->len, pool), "meta");
    assert_string_equal(scim_json_string(meta, "location"), "http://h/a\"b/Users/" ID);
}

#define STORED                                                 \
    "{\"schemas\":[\"" SCIM_URN_USER "\"],\"userName\":\"a\"," \
    "\"name\":{\"givenName\":\"g\",\"familyName\":\"f\"}}"
#define HEAD "{\"schemas\":[\"" SCIM_URN_USER "\"],\"id\":\"" ID "\""

static void test_projection(void **state)
{
    assert_string_equal(render(STORED, "userName", NULL), HEAD ",\"userName\":\"a\"}");
    assert_string_equal(render(STORED, "NAME.givenname", NULL),
                        HEAD ",\"name\":{\"givenName\":\"g\"}}");
    assert_string_equal(render(STORED, "meta.location", NULL),
                        HEAD ",\"meta\":{\"location\":\"" BASE "/Users/" ID "\"}}");
    assert_string_equal(render(STORED, NULL, "name,id"), HEAD ",\"userName\":\"a\"," META "}");
    assert_string_equal(render(STORED, "nothing", NULL), HEAD "}");
}

static void test_edges_wanted(void **state)
{
    const scim_resource_type *user = scim_registry_type(registry, "User");
    const scim_resource_type *group = scim_registry_type(registry, "Group");
    scim_render how = {.base_url = BASE, .registry = registry};

    assert_true(scim_render_wants_edges(&how, user));
    assert_true(scim_render_wants_edges(&how, group));
    assert_null(scim_projection_parse(&how.projection, NULL, "members", group, pool));
    assert_false(scim_render_wants_edges(&how, group));
    assert_null(scim_projection_parse(&how.projection, "groups.value", NULL, user, pool));
    assert_true(scim_render_wants_edges(&how, user));
    assert_null(scim_projection_parse(&how.projection, "userName", NULL, user, pool));
    assert_false(scim_render_wants_edges(&how, user));
}

#define THING "urn:example:Thing"

static const scim_registry *registry_with_hidden_attribute(void)
{
    static const char schema[] =
        "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:Schema\"],\"id\":\"" THING "\","
        "\"name\":\"Thing\",\"attributes\":[{\"name\":\"shown\",\"type\":\"string\"},"
        "{\"name\":\"asked\",\"type\":\"string\",\"returned\":\"request\"}]}";
    static const char type[] =
        "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:ResourceType\"],"
        "\"id\":\"Thing\",\"name\":\"Thing\",\"endpoint\":\"/Things\",\"schema\":\"" THING
        "\"}";
    static const scim_document documents[] = {
        {"Thing.json", false, schema, sizeof(schema) - 1},
        {"ThingType.json", true, type, sizeof(type) - 1},
    };
    const scim_registry *things;
    const scim_error *err = scim_registry_build(&things, documents, 2, pool);

    if (err) {
        fail_msg("%s", err->detail);
    }
    return things;
}

static void test_returned_request(void **state)
{
    scim_record record =
        record_of(registry, "{\"schemas\":[\"" THING "\"],\"shown\":\"s\",\"asked\":\"a\"}");
    scim_render how = {.base_url = BASE, .registry = registry};
    scim_buffer *out = scim_buffer_make(0, pool);

    record.type = scim_registry_type(registry_with_hidden_attribute(), "Thing");
    assert_null(scim_render_record(out, &how, NULL, &record, pool));
    assert_non_null(strstr(out->data, "shown"));
    assert_null(strstr(out->data, "asked"));

    out = scim_buffer_make(0, pool);
    assert_null(scim_projection_parse(&how.projection, "asked", NULL, record.type, pool));
    assert_null(scim_render_record(out, &how, NULL, &record, pool));
    assert_null(strstr(out->data, "shown"));
    assert_non_null(strstr(out->data, "asked"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-031 id and meta around the stored bytes", test_full, NULL, NULL, NULL},
        {"stored bytes are copied as they are", test_bytes_are_copied, NULL, NULL, NULL},
        {"C-029 a reference is told with the base, text that looks like one is not",
         test_references, NULL, NULL, NULL},
        {"a resource with nothing but schemas", test_nothing_but_schemas, NULL, NULL, NULL},
        {"C-318 a damaged record is told to the log", test_damaged, NULL, NULL, NULL},
        {"the base URL is escaped", test_base_url_is_escaped, NULL, NULL, NULL},
        {"C-062 C-063 C-064 C-068 projection", test_projection, NULL, NULL, NULL},
        {"S-03 edges are read only when they are wanted", test_edges_wanted, NULL, NULL, NULL},
        {"C-066 returned on request only", test_returned_request, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
