/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: the published documents as the RFCs and their errata have
 * them, look-ups, roles, and the faults that a document can have.
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
#include "scim/schema.h"

#define URN_CONFIG "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
#define URN_TYPE "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
#define URN_SCHEMA "urn:ietf:params:scim:schemas:core:2.0:Schema"
#define URN_TOOL "urn:example.com:params:scim:2.5:Tool.Kit"

static apr_pool_t *pool;
static const scim_registry *registry;

static int set_up(void **state)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return scim_registry_make(&registry, pool) ? -1 : 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static const scim_registry *build(const scim_document *documents, int count)
{
    const scim_registry *made = NULL;
    const scim_error *err = scim_registry_build(&made, documents, count, pool);

    if (err) {
        fail_msg("%s", err->detail);
    }
    return made;
}

static scim_document document(const char *text, bool resource_type)
{
    scim_document d = {"Test.json", resource_type, text, strlen(text)};

    return d;
}

static const scim_resource_type *type_of(const char *name)
{
    const scim_resource_type *type = scim_registry_type(registry, name);

    assert_non_null(type);
    return type;
}

/* "name.givenName" of a schema. */
static const scim_attribute *attribute_of(const scim_schema *schema, const char *path)
{
    const char *dot = strchr(path, '.');
    apr_size_t len = dot ? (apr_size_t)(dot - path) : strlen(path);
    const scim_attribute *attribute = scim_schema_attribute(schema, path, len);

    if (attribute && dot) {
        attribute = scim_attribute_sub(attribute, dot + 1, strlen(dot + 1));
    }
    if (!attribute) {
        fail_msg("%s has no %s", schema->urn, path);
    }
    return attribute;
}

static const char *word(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (!text) {
        fail_msg("there is no %s", key);
    }
    return text;
}

static const scim_attribute *published(const char *urn, const char *path)
{
    const scim_schema *schema = scim_registry_schema(registry, urn);

    assert_non_null(schema);
    return attribute_of(schema, path);
}

/* The definition of an attribute in its published document. */
static const json_t *definition(const scim_attribute *attribute)
{
    const json_t *list = attribute->parent
                             ? json_object_get(definition(attribute->parent), "subAttributes")
                             : json_object_get(attribute->schema->document, "attributes");
    size_t i;
    json_t *json;

    json_array_foreach (list, i, json) {
        if (!strcmp(json_string_value(json_object_get(json, "name")), attribute->name)) {
            return json;
        }
    }
    fail_msg("%s is not in its document", attribute->path);
    return NULL;
}

typedef void visit(const scim_attribute *attribute, const json_t *json);

static void walk(const scim_attribute *attributes, int count, visit *check)
{
    for (int i = 0; i < count; i++) {
        check(&attributes[i], definition(&attributes[i]));
        walk(attributes[i].subs, attributes[i].subs_count, check);
    }
}

static void walk_all(visit *check)
{
    assert_true(registry->schemas_count > 0);
    for (int i = 0; i < registry->schemas_count; i++) {
        walk(registry->schemas[i]->attributes, registry->schemas[i]->attributes_count, check);
    }
}

/* Discovery documents. */

static void test_resource_types(void **state)
{
    const char *expected =
        "[{'schemas':['" URN_TYPE "'],'id':'User','name':'User','description':'User Account',"
        "'endpoint':'/Users','schema':'" SCIM_URN_USER "','schemaExtensions':["
        "{'schema':'" SCIM_URN_ENTERPRISE "','required':false}]},"
        "{'schemas':['" URN_TYPE "'],'id':'Group','name':'Group','description':'Group',"
        "'endpoint':'/Groups','schema':'" SCIM_URN_GROUP "'}]";
    char *text = apr_pstrdup(pool, expected);

    for (char *c = text; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(registry->types_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(json_equal(registry->types[i].document, json_array_get(json, i)));
    }
    json_decref(json);
}

static void check_complete(const scim_attribute *attribute, const json_t *json)
{
    static const char *const always[] = {"name",     "type",       "multiValued", "description",
                                         "required", "mutability", "returned"};

    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (!json_object_get(json, always[i])) {
            fail_msg("%s has no %s", attribute->path, always[i]);
        }
    }
    bool text = attribute->type == SCIM_TYPE_STRING || attribute->type == SCIM_TYPE_REFERENCE ||
                attribute->type == SCIM_TYPE_BINARY;
    bool number = attribute->type == SCIM_TYPE_INTEGER || attribute->type == SCIM_TYPE_DECIMAL;
    assert_int_equal(text, json_object_get(json, "caseExact") != NULL);
    assert_int_equal(text || number, json_object_get(json, "uniqueness") != NULL);
    assert_true(strlen(attribute->description) > 0);
}

static void test_schema_documents(void **state)
{
    static const char *const urns[] = {SCIM_URN_USER, SCIM_URN_GROUP, SCIM_URN_ENTERPRISE,
                                       URN_CONFIG,    URN_TYPE,       URN_SCHEMA};

    assert_int_equal(registry->schemas_count, 6);
    for (int i = 0; i < 6; i++) {
        const json_t *json = registry->schemas[i]->document;
        const json_t *schemas = json_object_get(json, "schemas");
        assert_int_equal(json_array_size(schemas), 1);
        assert_string_equal(json_string_value(json_array_get(schemas, 0)), URN_SCHEMA);
        assert_string_equal(json_string_value(json_object_get(json, "id")), urns[i]);
        assert_true(json_is_string(json_object_get(json, "name")));
        assert_true(json_is_string(json_object_get(json, "description")));
        assert_int_equal(json_array_size(json_object_get(json, "attributes")),
                         registry->schemas[i]->attributes_count);
        assert_null(json_object_get(json, "meta"));
    }
    walk_all(check_complete);
}

static void test_schemas_are_listed(void **state)
{
    for (int i = 0; i < registry->types_count; i++) {
        const scim_resource_type *type = &registry->types[i];
        assert_ptr_equal(scim_registry_schema(registry, type->schema->urn), type->schema);
        for (int k = 0; k < type->extensions_count; k++) {
            const scim_schema *extension = type->extensions[k].schema;
            assert_ptr_equal(scim_registry_schema(registry, extension->urn), extension);
        }
        /* the common attributes are no schema that a client could ask for */
        assert_null(scim_registry_schema(registry, type->common->urn));
    }
    assert_null(scim_registry_schema(registry, SCIM_URN_LIST));
    assert_null(scim_registry_schema(registry, SCIM_URN_PATCH));
    assert_null(scim_registry_schema(registry, SCIM_URN_ERROR));
}

static void check_shape(const scim_attribute *attribute, const json_t *json)
{
    bool complex = attribute->type == SCIM_TYPE_COMPLEX;
    bool nests = !strcmp(attribute->schema->urn, URN_SCHEMA);

    assert_int_equal(complex, json_array_size(json_object_get(json, "subAttributes")) > 0);
    if (complex) {
        assert_null(json_object_get(json, "caseExact"));
        assert_null(json_object_get(json, "uniqueness"));
        assert_true(!attribute->parent || nests);
    }
    assert_int_equal(attribute->type == SCIM_TYPE_REFERENCE,
                     json_array_size(json_object_get(json, "referenceTypes")) > 0);
    assert_int_equal(attribute->type == SCIM_TYPE_REFERENCE,
                     attribute->reference_types != NULL);
}

static void test_shapes(void **state)
{
    walk_all(check_shape);
}

static void check_reference_case(const scim_attribute *attribute, const json_t *json)
{
    if (attribute->type == SCIM_TYPE_REFERENCE || attribute->type == SCIM_TYPE_BINARY) {
        assert_true(attribute->case_exact);
        assert_true(json_is_true(json_object_get(json, "caseExact")));
    }
}

static bool suggests(const scim_attribute *attribute, const char *word)
{
    const json_t *list = json_object_get(definition(attribute), "canonicalValues");
    size_t i;
    json_t *value;

    assert_true(json_array_size(list) > 0);
    json_array_foreach (list, i, value) {
        if (!strcmp(json_string_value(value), word)) {
            return true;
        }
    }
    return false;
}

static void test_errata(void **state)
{
    const scim_attribute *ref = published(SCIM_URN_USER, "groups.$ref");
    const scim_attribute *types = published(URN_SCHEMA, "attributes");
    const scim_attribute *nested = published(URN_SCHEMA, "attributes.subAttributes");

    assert_true(published(SCIM_URN_GROUP, "displayName")->required);
    assert_true(published(URN_TYPE, "schemaExtensions")->multi_valued);
    assert_string_equal(ref->reference_types[0], "Group");
    assert_null(ref->reference_types[1]);
    assert_true(published(SCIM_URN_ENTERPRISE, "manager.value")->case_exact);
    assert_true(published(URN_TYPE, "endpoint")->case_exact);
    assert_int_equal(published(SCIM_URN_GROUP, "members.display")->mutability, SCIM_READ_WRITE);
    walk_all(check_reference_case);

    assert_true(suggests(scim_attribute_sub(types, "type", 4), "binary"));
    assert_true(suggests(scim_attribute_sub(types, "type", 4), "complex"));
    assert_true(suggests(scim_attribute_sub(nested, "type", 4), "binary"));
    assert_false(suggests(scim_attribute_sub(nested, "type", 4), "complex"));
    assert_true(scim_attribute_sub(nested, "referenceTypes", 14)->multi_valued);
}

static void test_characteristics(void **state)
{
    const scim_attribute *password = published(SCIM_URN_USER, "password");
    const scim_attribute *user_name = published(SCIM_URN_USER, "userName");

    assert_int_equal(password->mutability, SCIM_WRITE_ONLY);
    assert_int_equal(password->returned, SCIM_RETURNED_NEVER);
    assert_true(user_name->required);
    assert_false(user_name->case_exact);
    assert_int_equal(user_name->uniqueness, SCIM_UNIQUE_SERVER);
    assert_int_equal(published(SCIM_URN_USER, "groups")->mutability, SCIM_READ_ONLY);
    assert_int_equal(published(SCIM_URN_USER, "groups.value")->mutability, SCIM_READ_ONLY);
    assert_int_equal(published(SCIM_URN_USER, "x509Certificates.value")->type,
                     SCIM_TYPE_BINARY);
    assert_int_equal(published(SCIM_URN_USER, "active")->type, SCIM_TYPE_BOOLEAN);
    assert_int_equal(published(SCIM_URN_GROUP, "members.value")->mutability, SCIM_IMMUTABLE);
    assert_int_equal(published(SCIM_URN_GROUP, "members.$ref")->mutability, SCIM_IMMUTABLE);
    assert_int_equal(published(SCIM_URN_GROUP, "members.type")->mutability, SCIM_IMMUTABLE);
    assert_int_equal(published(SCIM_URN_ENTERPRISE, "manager.displayName")->mutability,
                     SCIM_READ_ONLY);
    assert_true(published(SCIM_URN_USER, "externalId")->case_exact);
    assert_true(published(SCIM_URN_GROUP, "externalId")->case_exact);
}

/* Whether json holds what the attributes declare, and nothing else. */
static void conforms(const json_t *json, const scim_attribute *attributes, int count,
                     const char *place)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)json, key, value) {
        const scim_attribute *declared = NULL;
        for (int i = 0; i < count; i++) {
            declared = strcmp(attributes[i].name, key) ? declared : &attributes[i];
        }
        if (!declared && strcmp(key, "schemas")) {
            fail_msg("%s has %s, which is not declared", place, key);
        }
        if (declared) {
            assert_int_equal(json_is_array(value), declared->multi_valued);
        }
        for (size_t i = 0; declared && i < json_array_size(value); i++) {
            conforms(json_array_get(value, i), declared->subs, declared->subs_count, key);
        }
    }
    for (int i = 0; i < count; i++) {
        if (attributes[i].required && !json_object_get(json, attributes[i].name)) {
            fail_msg("%s has no %s, which is required", place, attributes[i].name);
        }
    }
}

static void test_documents_conform(void **state)
{
    const scim_schema *schema = scim_registry_schema(registry, URN_SCHEMA);
    const scim_schema *type = scim_registry_schema(registry, URN_TYPE);

    /* Schema itself nests one level deeper than it declares (RFC 7643 section 7) */
    for (int i = 0; registry->schemas[i] != schema; i++) {
        conforms(registry->schemas[i]->document, schema->attributes, schema->attributes_count,
                 registry->schemas[i]->name);
    }
    for (int i = 0; i < registry->types_count; i++) {
        conforms(registry->types[i].document, type->attributes, type->attributes_count,
                 registry->types[i].name);
    }
}

static bool has_null(const json_t *json)
{
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach ((json_t *)json, key, value) {
        if (has_null(value)) {
            return true;
        }
    }
    json_array_foreach (json, i, value) {
        if (has_null(value)) {
            return true;
        }
    }
    return json_is_null(json);
}

static void test_no_nulls(void **state)
{
    json_t *sample = json_loads("{\"a\":[{\"b\":null}]}", 0, NULL);

    assert_true(has_null(sample));
    json_decref(sample);
    for (int i = 0; i < registry->schemas_count; i++) {
        assert_false(has_null(registry->schemas[i]->document));
    }
    for (int i = 0; i < registry->types_count; i++) {
        assert_false(has_null(registry->types[i].document));
    }
}

/* Look-ups. */

static void test_names_without_case(void **state)
{
    const scim_resource_type *user = type_of("User");
    const scim_attribute *emails = scim_type_attribute(user, "EMAILS", 6);
    const scim_attribute *ref =
        scim_attribute_sub(published(SCIM_URN_USER, "groups"), "$REF", 4);

    assert_string_equal(emails->name, "emails");
    assert_string_equal(scim_attribute_sub(emails, "Value", 5)->path, "emails.value");
    assert_string_equal(ref->name, "$ref");
    assert_ptr_equal(scim_schema_attribute(user->schema, "emails.value", 6), emails);
    assert_null(scim_type_attribute(user, "email", 5));
    assert_null(scim_type_attribute(user, "emailsX", 7));
    assert_null(scim_type_attribute(user, "", 0));
    assert_null(scim_type_attribute(user, "department", 10));
    assert_null(scim_attribute_sub(emails, "$ref", 4));
    assert_null(scim_attribute_sub(published(SCIM_URN_USER, "userName"), "value", 5));
    assert_ptr_equal(
        scim_registry_schema(registry, "URN:IETF:params:scim:schemas:CORE:2.0:user"),
        user->schema);
    assert_null(scim_registry_schema(registry, "urn:ietf:params:scim:schemas:core:2.0:Use"));
}

static void test_types_exact(void **state)
{
    const scim_resource_type *group = type_of("Group");

    assert_ptr_equal(scim_registry_endpoint(registry, "/Groups"), group);
    assert_null(scim_registry_endpoint(registry, "/groups"));
    assert_null(scim_registry_endpoint(registry, "Groups"));
    assert_null(scim_registry_type(registry, "group"));
    assert_string_equal(group->id, "Group");
    assert_int_equal(group->extensions_count, 0);
}

static void test_schemas_of_type(void **state)
{
    const scim_resource_type *user = type_of("User");
    const scim_schema *enterprise = scim_registry_schema(registry, SCIM_URN_ENTERPRISE);
    const char *path = "urn:ietf:params:scim:schemas:EXTENSION:enterprise:2.0:User:manager";

    assert_ptr_equal(scim_type_schema(user, path, strlen(SCIM_URN_ENTERPRISE)), enterprise);
    assert_null(scim_type_schema(user, path, strlen(path)));
    assert_ptr_equal(scim_type_schema(user, SCIM_URN_USER, strlen(SCIM_URN_USER)),
                     user->schema);
    assert_null(scim_type_schema(user, SCIM_URN_GROUP, strlen(SCIM_URN_GROUP)));
    assert_true(scim_type_is_extension(user, enterprise));
    assert_false(scim_type_is_extension(user, user->schema));
    assert_false(user->extensions[0].required);
}

static void check_tree(const scim_attribute *attribute, const scim_schema *schema,
                       const scim_attribute *parent)
{
    assert_ptr_equal(attribute->schema, schema);
    assert_ptr_equal(attribute->parent, parent);
    for (int i = 0; i < attribute->subs_count; i++) {
        check_tree(&attribute->subs[i], schema, attribute);
    }
}

static void test_paths(void **state)
{
    const scim_resource_type *user = type_of("User");
    const scim_attribute *manager = attribute_of(user->extensions[0].schema, "manager.value");

    assert_string_equal(attribute_of(user->schema, "userName")->path, "userName");
    assert_string_equal(attribute_of(user->schema, "name.givenName")->path, "name.givenName");
    assert_string_equal(manager->path, SCIM_URN_ENTERPRISE ":manager.value");
    assert_string_equal(manager->parent->path, SCIM_URN_ENTERPRISE ":manager");
    for (int i = 0; i < user->schema->attributes_count; i++) {
        check_tree(&user->schema->attributes[i], user->schema, NULL);
    }
    for (int i = 0; i < user->common->attributes_count; i++) {
        check_tree(&user->common->attributes[i], user->common, NULL);
    }
}

static void test_common(void **state)
{
    const scim_resource_type *user = type_of("User");
    const scim_attribute *id = scim_type_attribute(user, "ID", 2);
    const scim_attribute *schemas = scim_type_attribute(user, "schemas", 7);
    const scim_attribute *meta = scim_type_attribute(user, "meta", 4);

    assert_int_equal(id->mutability, SCIM_READ_ONLY);
    assert_int_equal(id->returned, SCIM_RETURNED_ALWAYS);
    assert_int_equal(id->uniqueness, SCIM_UNIQUE_SERVER);
    assert_true(id->case_exact);
    assert_int_equal(schemas->returned, SCIM_RETURNED_ALWAYS);
    assert_true(schemas->multi_valued);
    assert_false(schemas->case_exact);
    assert_int_equal(meta->mutability, SCIM_READ_ONLY);
    assert_int_equal(meta->subs_count, 5);
    assert_int_equal(scim_attribute_sub(meta, "created", 7)->type, SCIM_TYPE_DATETIME);
    assert_true(scim_attribute_sub(meta, "version", 7)->case_exact);
}

/* One attribute, one structure: whoever walks core and common meets it once. */
static void test_external_id_once(void **state)
{
    const scim_resource_type *user = type_of("User");
    const scim_attribute *external = scim_type_attribute(user, "externalid", 10);

    assert_ptr_equal(external, scim_schema_attribute(user->schema, "externalId", 10));
    assert_null(scim_schema_attribute(user->common, "externalId", 10));
    assert_int_equal(external->role, SCIM_ROLE_EXTERNAL_ID);
}

/* Roles. */

static void test_roles(void **state)
{
    const scim_resource_type *user = type_of("User");
    const scim_resource_type *group = type_of("Group");

    assert_int_equal(scim_type_attribute(user, "schemas", 7)->role, SCIM_ROLE_SCHEMAS);
    assert_int_equal(scim_type_attribute(user, "id", 2)->role, SCIM_ROLE_ID);
    assert_int_equal(scim_type_attribute(user, "meta", 4)->role, SCIM_ROLE_META);
    assert_int_equal(published(SCIM_URN_USER, "password")->role, SCIM_ROLE_PASSWORD);
    assert_int_equal(published(SCIM_URN_USER, "active")->role, SCIM_ROLE_ACTIVE);
    assert_int_equal(published(SCIM_URN_USER, "addresses.country")->role, SCIM_ROLE_COUNTRY);
    assert_int_equal(published(SCIM_URN_USER, "groups")->role, SCIM_ROLE_GROUPS);
    assert_int_equal(published(SCIM_URN_GROUP, "members")->role, SCIM_ROLE_MEMBERS);
    assert_int_equal(published(SCIM_URN_GROUP, "externalId")->role, SCIM_ROLE_EXTERNAL_ID);
    assert_int_equal(published(SCIM_URN_ENTERPRISE, "manager")->role, SCIM_ROLE_REFERENCE);
    assert_int_equal(published(SCIM_URN_ENTERPRISE, "manager.value")->role, SCIM_ROLE_NONE);
    assert_int_equal(published(SCIM_URN_USER, "emails")->role, SCIM_ROLE_NONE);
    assert_int_equal(published(SCIM_URN_USER, "photos")->role, SCIM_ROLE_NONE);
    assert_ptr_equal(group->members, published(SCIM_URN_GROUP, "members"));
    assert_ptr_equal(user->groups, published(SCIM_URN_USER, "groups"));
    assert_null(user->members);
    assert_null(group->groups);
}

/* Further documents. */

#define TOOL                                                                  \
    "{\"id\":\"" URN_TOOL "\",\"name\":\"Tool\",\"meta\":{},\"attributes\":[" \
    "{\"name\":\"label\"},"                                                   \
    "{\"name\":\"owner\",\"type\":\"complex\",\"subAttributes\":["            \
    "{\"name\":\"value\"},{\"name\":\"$ref\",\"type\":\"reference\","         \
    "\"referenceTypes\":[\"User\"]}]},"                                       \
    "{\"name\":\"page\",\"type\":\"complex\",\"subAttributes\":["             \
    "{\"name\":\"value\"},{\"name\":\"$ref\",\"type\":\"reference\","         \
    "\"referenceTypes\":[\"external\"]}]}]}"
#define TOOL_TYPE                                                             \
    "{\"name\":\"Tool\",\"endpoint\":\"/Tools\",\"schema\":\"" URN_TOOL "\"," \
    "\"schemaExtensions\":[{\"schema\":\"urn:x:2.0:Part\",\"required\":true}]}"
#define PART                                                        \
    "{\"id\":\"urn:x:2.0:Part\",\"name\":\"Part\",\"attributes\":[" \
    "{\"name\":\"id\"},{\"name\":\"number\",\"type\":\"integer\"}]}"

static void test_further_documents(void **state)
{
    const scim_document documents[] = {document(TOOL_TYPE, true), document(TOOL, false),
                                       document(PART, false)};
    const scim_registry *made = build(documents, 3);
    const scim_resource_type *tool = scim_registry_endpoint(made, "/Tools");

    assert_non_null(tool);
    assert_int_equal(made->schemas_count, 8);
    assert_int_equal(made->types_count, 3);
    assert_string_equal(tool->id, "Tool");
    assert_true(tool->extensions[0].required);
    assert_ptr_equal(scim_type_schema(tool, "URN:EXAMPLE.COM:params:scim:2.5:tool.kit:label",
                                      strlen(URN_TOOL)),
                     tool->schema);
    assert_string_equal(attribute_of(tool->extensions[0].schema, "number")->path,
                        "urn:x:2.0:Part:number");
    /* "id" of an extension is its own; that of the resource is the common one */
    assert_int_equal(attribute_of(tool->extensions[0].schema, "id")->role, SCIM_ROLE_NONE);
    assert_int_equal(scim_type_attribute(tool, "id", 2)->role, SCIM_ROLE_ID);
    assert_int_equal(scim_type_attribute(tool, "externalId", 10)->role, SCIM_ROLE_EXTERNAL_ID);
    assert_int_equal(attribute_of(tool->schema, "owner")->role, SCIM_ROLE_REFERENCE);
    assert_int_equal(attribute_of(tool->schema, "page")->role, SCIM_ROLE_NONE);
    assert_null(json_object_get(tool->schema->document, "meta"));
    assert_string_equal(json_string_value(json_array_get(
                            json_object_get(tool->schema->document, "schemas"), 0)),
                        URN_SCHEMA);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(tool->document, "schemas"), 0)),
        URN_TYPE);
}

static void test_defaults(void **state)
{
    const scim_document documents[] = {document(TOOL, false), document(PART, false),
                                       document(TOOL_TYPE, true)};
    const scim_schema *schema = scim_registry_schema(build(documents, 3), URN_TOOL);
    const scim_attribute *label = attribute_of(schema, "label");

    assert_int_equal(label->type, SCIM_TYPE_STRING);
    assert_int_equal(label->mutability, SCIM_READ_WRITE);
    assert_int_equal(label->returned, SCIM_RETURNED_DEFAULT);
    assert_int_equal(label->uniqueness, SCIM_UNIQUE_NONE);
    assert_false(label->multi_valued || label->required || label->case_exact);
    assert_string_equal(label->description, "");
    assert_true(attribute_of(schema, "owner.$ref")->case_exact);
}

/* What the document left out is published all the same. */
static void test_defaults_are_published(void **state)
{
    const scim_document documents[] = {document(TOOL, false), document(PART, false),
                                       document(TOOL_TYPE, true)};
    const scim_registry *made = build(documents, 3);
    const scim_resource_type *tool = scim_registry_type(made, "Tool");
    const json_t *label = definition(attribute_of(tool->schema, "label"));
    const json_t *owner = definition(attribute_of(tool->schema, "owner"));
    const json_t *ref = definition(attribute_of(tool->schema, "owner.$ref"));
    const json_t *number = definition(attribute_of(tool->extensions[0].schema, "number"));

    assert_string_equal(word(label, "type"), "string");
    assert_string_equal(word(label, "mutability"), "readWrite");
    assert_string_equal(word(label, "returned"), "default");
    assert_string_equal(word(label, "uniqueness"), "none");
    assert_true(json_is_false(json_object_get(label, "multiValued")));
    assert_true(json_is_false(json_object_get(label, "required")));
    assert_true(json_is_false(json_object_get(label, "caseExact")));
    assert_true(json_is_true(json_object_get(ref, "caseExact")));
    assert_null(json_object_get(owner, "caseExact"));
    assert_null(json_object_get(owner, "uniqueness"));
    assert_null(json_object_get(number, "caseExact"));
    assert_string_equal(word(number, "uniqueness"), "none");
    assert_string_equal(word(tool->document, "id"), "Tool");
}

/* A URI in a resource type is written as /Schemas has it. */
static void test_urns_as_published(void **state)
{
    const char *type = "{\"name\":\"Tool\",\"endpoint\":\"/Tools\","
                       "\"schema\":\"URN:EXAMPLE.com:params:scim:2.5:TOOL.kit\","
                       "\"schemaExtensions\":[{\"schema\":\"URN:X:2.0:PART\","
                       "\"required\":false}]}";
    const scim_document documents[] = {document(type, true), document(TOOL, false),
                                       document(PART, false)};
    const scim_resource_type *tool = scim_registry_type(build(documents, 3), "Tool");
    const json_t *extension =
        json_array_get(json_object_get(tool->document, "schemaExtensions"), 0);

    assert_string_equal(word(tool->document, "schema"), URN_TOOL);
    assert_string_equal(word(extension, "schema"), "urn:x:2.0:Part");
}

#define USER_TYPE(extensions)                                                \
    "{\"name\":\"User\",\"endpoint\":\"/Users\",\"description\":\"People\"," \
    "\"schema\":\"" SCIM_URN_USER "\",\"schemaExtensions\":[" extensions "]}"
#define EXTENSION(urn) "{\"schema\":\"" urn "\",\"required\":false}"

static void test_user_is_extended(void **state)
{
    const char *type =
        USER_TYPE(EXTENSION(SCIM_URN_ENTERPRISE) "," EXTENSION("urn:x:2.0:Part"));
    const scim_document documents[] = {document(PART, false), document(type, true)};
    const scim_registry *made = build(documents, 2);
    const scim_resource_type *user = &made->types[0];

    assert_int_equal(made->types_count, 2);
    assert_string_equal(user->name, "User");
    assert_ptr_equal(scim_registry_endpoint(made, "/Users"), user);
    assert_int_equal(user->extensions_count, 2);
    assert_string_equal(user->extensions[1].schema->urn, "urn:x:2.0:Part");
    assert_string_equal(word(user->document, "description"), "People");
    assert_non_null(user->groups);
    assert_int_equal(attribute_of(user->schema, "password")->role, SCIM_ROLE_PASSWORD);
    assert_string_equal(attribute_of(user->extensions[1].schema, "number")->path,
                        "urn:x:2.0:Part:number");
}

/* An extension that no resource type has any more is not published. */
static void test_user_without_enterprise(void **state)
{
    const scim_document documents[] = {document(USER_TYPE(""), true)};
    const scim_registry *made = build(documents, 1);

    assert_int_equal(made->schemas_count, 5);
    assert_null(scim_registry_schema(made, SCIM_URN_ENTERPRISE));
    assert_non_null(scim_registry_schema(made, SCIM_URN_GROUP));
    assert_non_null(scim_registry_schema(made, URN_CONFIG));
    assert_int_equal(scim_registry_type(made, "User")->extensions_count, 0);
}

static scim_document example(const char *file, bool resource_type)
{
    const char *path = apr_pstrcat(pool, "conf/examples/", file, NULL);
    json_t *json = json_load_file(path, 0, NULL);
    scim_document d = {file, resource_type, NULL, 0};

    if (!json) {
        fail_msg("%s: no JSON; tests run in the top directory", path);
    }
    d.bytes = scim_json_write(json, &d.len, pool);
    json_decref(json);
    return d;
}

static void test_examples(void **state)
{
    const scim_document documents[] = {example("device-schema.json", false),
                                       example("device-type.json", true),
                                       example("organisation-extension.json", false),
                                       example("organisation-user-type.json", true)};
    const scim_registry *all = build(documents, 4);
    const scim_resource_type *device = scim_registry_endpoint(all, "/Devices");
    const scim_resource_type *user = scim_registry_endpoint(all, "/Users");
    const scim_attribute *serial = scim_type_attribute(device, "serialNumber", 12);

    assert_int_equal(all->types_count, 3);
    assert_int_equal(all->schemas_count, 8);
    assert_int_equal(serial->uniqueness, SCIM_UNIQUE_SERVER);
    assert_int_equal(serial->mutability, SCIM_IMMUTABLE);
    assert_true(serial->required);
    assert_int_equal(scim_type_attribute(device, "owner", 5)->role, SCIM_ROLE_REFERENCE);
    assert_int_equal(user->extensions_count, 2);
    for (int i = 0; i < device->schema->attributes_count; i++) {
        const scim_attribute *a = &device->schema->attributes[i];
        check_complete(a, definition(a));
    }
}

/* Faults. */

#define LONG_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SCHEMA_OF(attributes) "{'id':'urn:x:A','name':'A','attributes':[" attributes "]}"

static const struct {
    const char *text; /* with ' for " */
    const char *detail;
} schema_faults[] = {
    {"[]", "Test.json: "},
    {"{'id':'urn:x:A',", "Test.json: "},
    {"{'name':'A','attributes':[{'name':'a'}]}", "schema: has no \"id\""},
    {"{'id':'A','name':'A','attributes':[{'name':'a'}]}", "\"id\" is \"A\", must be a URN"},
    {"{'id':'urn:x:A b','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'x:y:A','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'urn:x','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'urn::A','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'urn:x:','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'urn:x:A[1]','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'urn:x:\xc3\xa9','name':'A','attributes':[{'name':'a'}]}", "must be a URN"},
    {"{'id':'urn:x:" LONG_64 LONG_64 LONG_64 LONG_64 "','name':'A','attributes':[{'name':'a'}]"
     "}",
     "must be a URN"},
    {"{'id':'" SCIM_URN_LIST "','name':'A','attributes':[{'name':'a'}]}",
     "which is that of a message"},
    {"{'schemas':['" URN_TYPE "'],'id':'urn:x:A','name':'A','attributes':[{'name':'a'}]}",
     "schema: \"schemas\" must list " URN_SCHEMA},
    {"{'schemas':[],'id':'urn:x:A','name':'A','attributes':[{'name':'a'}]}",
     "\"schemas\" must list"},
    {"{'schemas':'" URN_SCHEMA "','id':'urn:x:A','name':'A','attributes':[{'name':'a'}]}",
     "\"schemas\" must list"},
    {"{'schemas':['" URN_SCHEMA "','urn:x:A'],'id':'urn:x:A','name':'A','attributes':["
     "{'name':'a'}]}",
     "and nothing else"},
    {SCHEMA_OF("{'name':'a'}"), "schema: no resource type has it"},
    {"{'id':'urn:x:A','attributes':[{'name':'a'}]}", "schema: has no \"name\""},
    {"{'id':'urn:x:A','name':7,'attributes':[{'name':'a'}]}", "\"name\" must be a string"},
    {"{'id':'urn:x:A','name':'A'}", "\"attributes\" must be a list"},
    {"{'id':'urn:x:A','name':'A','attribute':[]}", "schema: \"attribute\" is none of schemas"},
    {"{'id':'URN:IETF:params:scim:schemas:core:2.0:User','name':'A','attributes':[{'name':'a'}]"
     "}",
     "is defined twice"},
    {SCHEMA_OF("7"), "attributes[0]: must be an object"},
    {SCHEMA_OF("{'name':'a'},{'type':'string'}"), "attributes[1]: has no \"name\""},
    {SCHEMA_OF("{'name':''}"), "attributes[0]: \"name\" must be a string"},
    {SCHEMA_OF("{'name':'a.b'}"), "attributes[0]: \"a.b\" is no name"},
    {SCHEMA_OF("{'name':'1a'}"), "\"1a\" is no name"},
    {SCHEMA_OF("{'name':'-a'}"), "\"-a\" is no name"},
    {SCHEMA_OF("{'name':'a b'}"), "\"a b\" is no name"},
    {SCHEMA_OF("{'name':'a:b'}"), "\"a:b\" is no name"},
    {SCHEMA_OF("{'name':'$ref','type':'reference','referenceTypes':['uri']}"),
     "\"$ref\" is no name"},
    {SCHEMA_OF("{'name':'a','type':'complex','subAttributes':[{'name':'$b'}]}"),
     "a.subAttributes[0]: \"$b\" is no name"},
    {SCHEMA_OF("{'name':'a" LONG_64 "'}"), "is no name of an attribute"},
    {SCHEMA_OF("{'name':'a'},{'name':'A'}"), "Test.json: A: is defined twice"},
    {SCHEMA_OF("{'name':'a','type':'strnig'}"),
     "a: \"type\" is \"strnig\", must be one of string"},
    {SCHEMA_OF("{'name':'a','type':null}"), "a: \"type\" must be a string"},
    {SCHEMA_OF("{'name':'a','caseexact':true}"), "\"caseexact\" is none of name"},
    {SCHEMA_OF("{'name':'a','multiValued':'true'}"), "a: \"multiValued\" must be a boolean"},
    {SCHEMA_OF("{'name':'a','mutability':'readwrite'}"), "a: \"mutability\" is \"readwrite\""},
    {SCHEMA_OF("{'name':'a','returned':'yes'}"), "a: \"returned\" is \"yes\""},
    {SCHEMA_OF("{'name':'a','uniqueness':'all'}"), "a: \"uniqueness\" is \"all\""},
    {SCHEMA_OF("{'name':'a','canonicalValues':'x'}"), "\"canonicalValues\" must be a list"},
    {SCHEMA_OF("{'name':'a','canonicalValues':['x',1]}"), "\"canonicalValues\" must be a list"},
    {SCHEMA_OF("{'name':'a','canonicalValues':[1,'x']}"), "\"canonicalValues\" must be a list"},
    {SCHEMA_OF("{'name':'a','subAttributes':[{'name':'b'}]}"), "a: only a complex attribute"},
    {SCHEMA_OF("{'name':'a','type':'complex'}"), "a: a complex attribute must have"},
    {SCHEMA_OF("{'name':'a','type':'complex','subAttributes':[]}"), "a: a complex attribute"},
    {SCHEMA_OF("{'name':'a','type':'complex','subAttributes':[{'type':'string'}]}"),
     "a.subAttributes[0]: has no \"name\""},
    {SCHEMA_OF("{'name':'a','type':'complex','subAttributes':[{'name':'b','type':'complex',"
               "'subAttributes':[{'name':'c'}]}]}"),
     "a.b: a sub-attribute must not be complex"},
    {SCHEMA_OF("{'name':'a','type':'reference'}"), "a: a reference must have"},
    {SCHEMA_OF("{'name':'a','type':'reference','referenceTypes':[]}"), "a: a reference must"},
    {SCHEMA_OF("{'name':'a','referenceTypes':['User']}"), "a: only a reference has"},
    {SCHEMA_OF("{'name':'a','mutability':'writeOnly'}"), "a: a writeOnly attribute must"},
    {SCHEMA_OF("{'name':'a','type':'binary','caseExact':false}"), "a: a binary is always"},
    {SCHEMA_OF("{'name':'a','type':'reference','referenceTypes':['uri'],'caseExact':false}"),
     "a: a reference is always"},
    {SCHEMA_OF("{'name':'a','multiValued':true,'uniqueness':'server'}"),
     "a: \"uniqueness\" must be \"none\": only a simple attribute with one value"},
    {SCHEMA_OF("{'name':'a','type':'complex','uniqueness':'global','subAttributes':["
               "{'name':'b'}]}"),
     "a: \"uniqueness\" must be \"none\": only a simple"},
    {SCHEMA_OF("{'name':'a','type':'complex','subAttributes':[{'name':'b','uniqueness':"
               "'server'}]}"),
     "a.b: \"uniqueness\" must be \"none\": only a simple"},
    {SCHEMA_OF("{'name':'a','type':'boolean','uniqueness':'server'}"), "cannot be unique"},
    {SCHEMA_OF("{'name':'a','type':'decimal','uniqueness':'global'}"), "cannot be unique"},
    {SCHEMA_OF("{'name':'a','returned':'never','uniqueness':'server'}"),
     "a conflict would tell its value"},
};

static const struct {
    const char *text;
    const char *detail;
} type_faults[] = {
    {"{'endpoint':'/X','schema':'urn:x:A'}", "resource type: has no \"name\""},
    {"{'name':'X','schema':'urn:x:A'}", "X: has no \"endpoint\""},
    {"{'name':'X','endpoint':'/X'}", "X: has no \"schema\""},
    {"{'name':'X','endpoint':'X','schema':'urn:x:A'}", "\"endpoint\" is \"X\", must be like"},
    {"{'name':'X','endpoint':'/X/Y','schema':'urn:x:A'}", "must be like \"/Users\""},
    {"{'name':'X/','endpoint':'/X','schema':'urn:x:A'}", "\"name\" must be letters"},
    {"{'name':'X','id':'Y','endpoint':'/X','schema':'urn:x:A'}", "and \"id\" the same"},
    {"{'name':'$X','endpoint':'/X','schema':'urn:x:A'}", "\"name\" must be letters"},
    {"{'name':'X" LONG_64 "','endpoint':'/X','schema':'urn:x:A'}", "\"name\" must be letters"},
    {"{'name':'X','endpoint':'/.search','schema':'urn:x:A'}", "must be like \"/Users\""},
    {"{'name':'X','endpoint':'/Me','schema':'urn:x:A'}", "\"/Me\", which is the service's own"},
    {"{'name':'X','endpoint':'/bulk','schema':'urn:x:A'}", "which is the service's own"},
    {"{'name':'X','endpoint':'/Schemas','schema':'urn:x:A'}", "which is the service's own"},
    {"{'name':'X','endpoint':'/ResourceTypes','schema':'urn:x:A'}",
     "which is the service's own"},
    {"{'name':'X','endpoint':'/ServiceProviderConfig','schema':'urn:x:A'}",
     "which is the service's own"},
    {"{'name':'User','endpoint':'/X','schema':'" SCIM_URN_USER "'}",
     "User: is built in: its \"endpoint\" must stay \"/Users\""},
    {"{'name':'User','endpoint':'/Users','schema':'urn:x:A'}",
     "User: is built in: its \"endpoint\" must stay \"/Users\" and its "
     "\"schema\" " SCIM_URN_USER},
    {"{'name':'Group','schema':'" SCIM_URN_GROUP "'}", "Group: is built in"},
    {"{'name':'user','endpoint':'/X','schema':'urn:x:A'}",
     "there is another resource type of this name"},
    {"{'name':'X','endpoint':'/users','schema':'urn:x:A'}",
     "\"/users\", which is that of User"},
    {"{'schemas':['" URN_SCHEMA "'],'name':'X','endpoint':'/X','schema':'urn:x:A'}",
     "resource type: \"schemas\" must list " URN_TYPE},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:B'}", "X: there is no schema urn:x:B"},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','extensions':[]}",
     "\"extensions\" is none"},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','schemaExtensions':{}}",
     "schemaExtensions: must be an array"},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','schemaExtensions':['urn:x:B']}",
     "schemaExtensions: must be an object"},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','schemaExtensions':["
     "{'schema':'urn:x:B','required':true}]}",
     "schemaExtensions: there is no schema urn:x:B"},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','schemaExtensions':["
     "{'schema':'" SCIM_URN_ENTERPRISE "'}]}",
     "has no \"required\""},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','schemaExtensions':["
     "{'schema':'" SCIM_URN_GROUP "','required':true}]}",
     "extends no other"},
    {"{'name':'X','endpoint':'/X','schema':'urn:x:A','schemaExtensions':["
     "{'schema':'" SCIM_URN_ENTERPRISE "','required':true},"
     "{'schema':'" SCIM_URN_ENTERPRISE "','required':false}]}",
     "stands twice"},
};

static char *quoted(const char *text)
{
    char *copy = apr_pstrdup(pool, text);

    for (char *c = copy; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    return copy;
}

static void check_fault(const scim_document *documents, int count, const char *detail)
{
    const scim_registry *made = NULL;
    const scim_error *err = scim_registry_build(&made, documents, count, pool);

    if (!err) {
        fail_msg("taken: %s", documents[count - 1].bytes);
        return;
    }
    assert_null(made);
    if (strncmp(err->detail, "Test.json: ", 11) || !strstr(err->detail, detail)) {
        fail_msg("\"%s\" says nothing of: %s", err->detail, detail);
    }
}

static void test_schema_faults(void **state)
{
    for (size_t i = 0; i < sizeof(schema_faults) / sizeof(schema_faults[0]); i++) {
        scim_document d = document(quoted(schema_faults[i].text), false);
        check_fault(&d, 1, schema_faults[i].detail);
    }
}

static void test_type_faults(void **state)
{
    for (size_t i = 0; i < sizeof(type_faults) / sizeof(type_faults[0]); i++) {
        scim_document d[] = {document(quoted(SCHEMA_OF("{'name':'a'}")), false),
                             document(quoted(type_faults[i].text), true)};
        check_fault(d, 2, type_faults[i].detail);
    }
}

/* A second document of one name is a slip, of a built-in one too. */
static void test_twice_faults(void **state)
{
    const char *schema = quoted(SCHEMA_OF("{'name':'a'}"));
    const char *type = quoted("{'name':'X','endpoint':'/X','schema':'urn:x:A'}");
    const char *user = USER_TYPE("");
    scim_document same_name[] = {document(schema, false), document(type, true),
                                 document(type, true)};
    scim_document same_user[] = {document(user, true), document(user, true)};
    scim_document same_endpoint[] = {
        document(schema, false), document(type, true),
        document(quoted("{'name':'Y','endpoint':'/X','schema':'urn:x:A'}"), true)};
    scim_document same_schema[] = {document(schema, false), document(type, true),
                                   document(schema, false)};

    check_fault(same_name, 3, "X: there is another resource type of this name");
    check_fault(same_user, 2, "User: there is another resource type of this name");
    check_fault(same_endpoint, 3, "Y: \"endpoint\" is \"/X\", which is that of X");
    check_fault(same_schema, 3, "urn:x:A is defined twice");
}

/* Text that is no JSON is told with its line. */
static void test_no_json(void **state)
{
    scim_document d = document("{\"id\": \"urn:x:A\",\n  \"name\" \"A\"}", false);

    check_fault(&d, 1, "line 2");
    check_fault(&d, 1, "column");
}

/* What the service provider assigns cannot be redefined by a core schema. */
static void test_common_faults(void **state)
{
    const char *type = quoted("{'name':'X','endpoint':'/X','schema':'urn:x:A'}");
    static const char *const schemas[] = {
        SCHEMA_OF("{'name':'id'}"),
        SCHEMA_OF("{'name':'Meta','type':'complex','subAttributes':[{'name':'a'}]}"),
        SCHEMA_OF("{'name':'schemas','multiValued':true}"),
        SCHEMA_OF("{'name':'externalId','caseExact':false}"),
        SCHEMA_OF("{'name':'externalId','caseExact':true,'mutability':'readOnly'}"),
    };
    static const char *const details[] = {"id: every resource has", "Meta: every resource has",
                                          "schemas: every resource has",
                                          "externalId: must be a single string, caseExact",
                                          "externalId: must be a single string, caseExact"};

    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        scim_document d[] = {document(type, true), document(quoted(schemas[i]), false)};
        check_fault(d, 2, details[i]);
    }
    scim_document good[] = {
        document(type, true),
        document(quoted(SCHEMA_OF("{'name':'externalId','caseExact':true}")), false)};
    const scim_resource_type *made = scim_registry_type(build(good, 2), "X");
    assert_int_equal(scim_type_attribute(made, "externalId", 10)->role, SCIM_ROLE_EXTERNAL_ID);
    assert_null(scim_schema_attribute(made->common, "externalId", 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-275 resource types have id, name, endpoint, schema and extensions",
         test_resource_types, set_up, tear_down, NULL},
        {"C-276 schemas are published with every characteristic", test_schema_documents, set_up,
         tear_down, NULL},
        {"C-277 every schema of a resource type is published, messages are not",
         test_schemas_are_listed, set_up, tear_down, NULL},
        {"C-278 complex and reference attributes have what belongs to them", test_shapes,
         set_up, tear_down, NULL},
        {"C-279 the errata are applied", test_errata, set_up, tear_down, NULL},
        {"C-276 characteristics of the core schemas", test_characteristics, set_up, tear_down,
         NULL},
        {"C-280 documents hold what is declared and nothing else", test_documents_conform,
         set_up, tear_down, NULL},
        {"C-281 documents have no null", test_no_nulls, set_up, tear_down, NULL},
        {"names and URNs are found without case", test_names_without_case, set_up, tear_down,
         NULL},
        {"resource types are found by their exact names", test_types_exact, set_up, tear_down,
         NULL},
        {"URNs with dots are found as prefixes of paths", test_schemas_of_type, set_up,
         tear_down, NULL},
        {"paths name attributes, those of extensions with their URN", test_paths, set_up,
         tear_down, NULL},
        {"common attributes are as RFC 7643 section 3.1 has them", test_common, set_up,
         tear_down, NULL},
        {"externalId is one attribute, published and common", test_external_id_once, set_up,
         tear_down, NULL},
        {"roles single out what the RFCs do", test_roles, set_up, tear_down, NULL},
        {"further schemas and resource types join the registry", test_further_documents, set_up,
         tear_down, NULL},
        {"characteristics left out have the defaults of RFC 7643", test_defaults, set_up,
         tear_down, NULL},
        {"C-276 defaults are published with the rest", test_defaults_are_published, set_up,
         tear_down, NULL},
        {"C-277 URNs of a resource type are written as /Schemas has them",
         test_urns_as_published, set_up, tear_down, NULL},
        {"C-275 a resource type named User extends the built-in one", test_user_is_extended,
         set_up, tear_down, NULL},
        {"C-280 a schema that no resource type has is not published",
         test_user_without_enterprise, set_up, tear_down, NULL},
        {"C-276, C-278 the examples are good documents", test_examples, set_up, tear_down,
         NULL},
        {"C-275 a name or an endpoint stands once", test_twice_faults, set_up, tear_down, NULL},
        {"a document that is no JSON is told with line and column", test_no_json, set_up,
         tear_down, NULL},
        {"C-278 faults of schemas are refused by name", test_schema_faults, set_up, tear_down,
         NULL},
        {"C-277 faults of resource types are refused by name", test_type_faults, set_up,
         tear_down, NULL},
        {"common attributes are not redefined", test_common_faults, set_up, tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
