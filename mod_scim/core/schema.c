/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas: the built-in documents, as bytes of conf/schemas, and look-ups.
 * How a registry comes of documents is in registry.c.
 */
#include "scim/schema.h"

#include <string.h>

#include "schema_builtin.h"
#include "scim/text.h"

/* clang-format off */
static const char common_json[] =
#include "Common.inc"
;
static const char user_json[] =
#include "User.inc"
;
static const char group_json[] =
#include "Group.inc"
;
static const char enterprise_user_json[] =
#include "EnterpriseUser.inc"
;
static const char service_provider_config_json[] =
#include "ServiceProviderConfig.inc"
;
static const char resource_type_json[] =
#include "ResourceType.inc"
;
static const char schema_json[] =
#include "Schema.inc"
;
static const char user_type_json[] =
#include "UserType.inc"
;
static const char group_type_json[] =
#include "GroupType.inc"
;

#define DOCUMENT(name, resource_type, bytes) { name, resource_type, bytes, sizeof(bytes) - 1 }

/* In the order of /Schemas and /ResourceTypes. */
const scim_document scim_schema_builtin[] = {
    DOCUMENT("User.json", false, user_json),
    DOCUMENT("Group.json", false, group_json),
    DOCUMENT("EnterpriseUser.json", false, enterprise_user_json),
    DOCUMENT("ServiceProviderConfig.json", false, service_provider_config_json),
    DOCUMENT("ResourceType.json", false, resource_type_json),
    DOCUMENT("Schema.json", false, schema_json),
    DOCUMENT("UserType.json", true, user_type_json),
    DOCUMENT("GroupType.json", true, group_type_json),
};
const int scim_schema_builtin_count =
    sizeof(scim_schema_builtin) / sizeof(scim_schema_builtin[0]);
const scim_document scim_schema_common = DOCUMENT("Common.json", false, common_json);
/* clang-format on */

/* Most names differ in their first letters. */
static bool same_name(const char *name, const char *text, apr_size_t len)
{
    return len > 0 && (*name | 0x20) == (*text | 0x20) && strlen(name) == len &&
           scim_text_ncasecmp(name, text, len) == 0;
}

static const scim_attribute *find(const scim_attribute *attributes, int count, const char *name,
                                  apr_size_t len)
{
    for (int i = 0; i < count; i++) {
        if (same_name(attributes[i].name, name, len)) {
            return &attributes[i];
        }
    }
    return NULL;
}

const scim_attribute *scim_schema_attribute(const scim_schema *schema, const char *name,
                                            apr_size_t name_len)
{
    return find(schema->attributes, schema->attributes_count, name, name_len);
}

const scim_attribute *scim_type_attribute(const scim_resource_type *type, const char *name,
                                          apr_size_t name_len)
{
    const scim_attribute *attribute = scim_schema_attribute(type->schema, name, name_len);

    return attribute ? attribute : scim_schema_attribute(type->common, name, name_len);
}

const scim_attribute *scim_attribute_sub(const scim_attribute *attribute, const char *name,
                                         apr_size_t name_len)
{
    return find(attribute->subs, attribute->subs_count, name, name_len);
}

const scim_schema *scim_registry_schema(const scim_registry *registry, const char *urn)
{
    for (int i = 0; i < registry->schemas_count; i++) {
        if (scim_text_casecmp(registry->schemas[i]->urn, urn) == 0) {
            return registry->schemas[i];
        }
    }
    return NULL;
}

const scim_resource_type *scim_registry_type(const scim_registry *registry, const char *name)
{
    for (int i = 0; i < registry->types_count; i++) {
        if (strcmp(registry->types[i].name, name) == 0) {
            return &registry->types[i];
        }
    }
    return NULL;
}

const scim_resource_type *scim_registry_endpoint(const scim_registry *registry,
                                                 const char *endpoint)
{
    for (int i = 0; i < registry->types_count; i++) {
        if (strcmp(registry->types[i].endpoint, endpoint) == 0) {
            return &registry->types[i];
        }
    }
    return NULL;
}

const scim_schema *scim_type_schema(const scim_resource_type *type, const char *urn,
                                    apr_size_t urn_len)
{
    if (same_name(type->schema->urn, urn, urn_len)) {
        return type->schema;
    }
    for (int i = 0; i < type->extensions_count; i++) {
        if (same_name(type->extensions[i].schema->urn, urn, urn_len)) {
            return type->extensions[i].schema;
        }
    }
    return NULL;
}

bool scim_type_is_extension(const scim_resource_type *type, const scim_schema *schema)
{
    for (int i = 0; i < type->extensions_count; i++) {
        if (type->extensions[i].schema == schema) {
            return true;
        }
    }
    return false;
}
