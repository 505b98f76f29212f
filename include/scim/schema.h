/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas and resource types (RFC 7643 sections 2, 6 and 7), parsed once at
 * start and read-only from then on; any thread may read them.
 *
 * Everything that treats attributes is driven by these structures.  What the
 * RFCs single out (password, members, groups, manager) is found through the
 * "role" of an attribute, set here and nowhere else.
 */
#ifndef SCIM_SCHEMA_H
#define SCIM_SCHEMA_H

#include <stdbool.h>

#include <apr_pools.h>
#include <jansson.h>

#include "scim/error.h"

#define SCIM_URN_USER "urn:ietf:params:scim:schemas:core:2.0:User"
#define SCIM_URN_GROUP "urn:ietf:params:scim:schemas:core:2.0:Group"
#define SCIM_URN_ENTERPRISE "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
#define SCIM_URN_LIST "urn:ietf:params:scim:api:messages:2.0:ListResponse"
#define SCIM_URN_PATCH "urn:ietf:params:scim:api:messages:2.0:PatchOp"
#define SCIM_URN_ERROR "urn:ietf:params:scim:api:messages:2.0:Error"

typedef enum scim_type {
    SCIM_TYPE_STRING,
    SCIM_TYPE_BOOLEAN,
    SCIM_TYPE_DECIMAL,
    SCIM_TYPE_INTEGER,
    SCIM_TYPE_DATETIME,
    SCIM_TYPE_BINARY,
    SCIM_TYPE_REFERENCE,
    SCIM_TYPE_COMPLEX
} scim_type;

typedef enum scim_mutability {
    SCIM_READ_WRITE,
    SCIM_READ_ONLY,
    SCIM_IMMUTABLE,
    SCIM_WRITE_ONLY
} scim_mutability;

typedef enum scim_returned {
    SCIM_RETURNED_DEFAULT,
    SCIM_RETURNED_ALWAYS,
    SCIM_RETURNED_NEVER,
    SCIM_RETURNED_REQUEST
} scim_returned;

typedef enum scim_uniqueness {
    SCIM_UNIQUE_NONE,
    SCIM_UNIQUE_SERVER,
    SCIM_UNIQUE_GLOBAL
} scim_uniqueness;

/* What the RFCs single out. */
typedef enum scim_role {
    SCIM_ROLE_NONE,
    SCIM_ROLE_SCHEMAS,
    SCIM_ROLE_ID,
    SCIM_ROLE_EXTERNAL_ID,
    SCIM_ROLE_META,
    SCIM_ROLE_PASSWORD,
    SCIM_ROLE_ACTIVE,   /* User.active */
    SCIM_ROLE_COUNTRY,  /* addresses.country */
    SCIM_ROLE_GROUPS,   /* User.groups: derived from edges */
    SCIM_ROLE_MEMBERS,  /* Group.members: edges, never in the stored JSON */
    SCIM_ROLE_REFERENCE /* a complex attribute whose value is the id of a resource: manager */
} scim_role;

typedef struct scim_schema scim_schema;
typedef struct scim_attribute scim_attribute;
typedef struct scim_resource_type scim_resource_type;
typedef struct scim_registry scim_registry;

struct scim_attribute {
    const char *name; /* in its canonical case */
    const char *
        path; /* "emails", "emails.value": for details and indexes; extensions with their URN */
    const char *description;
    scim_type type;
    bool multi_valued;
    bool required;
    bool case_exact;
    scim_mutability mutability;
    scim_returned returned;
    scim_uniqueness uniqueness;
    scim_role role;
    const char *const *reference_types; /* NULL-terminated, or NULL */
    const scim_schema *schema;
    const scim_attribute *parent; /* NULL at the top of a schema */
    const scim_attribute *subs;   /* sub-attributes of a complex attribute */
    int subs_count;
};

struct scim_schema {
    const char *urn;
    const char *name;
    const scim_attribute *attributes;
    int attributes_count;
    const json_t *document; /* as /Schemas shows it, without meta */
};

typedef struct scim_extension {
    const scim_schema *schema;
    bool required;
} scim_extension;

struct scim_resource_type {
    const char *id; /* "User" */
    const char *name;
    const char *endpoint; /* "/Users" */
    const scim_schema *schema;
    const scim_extension *extensions;
    int extensions_count;
    const scim_schema *common;     /* schemas, id, externalId, meta: RFC 7643 section 3.1 */
    const scim_attribute *members; /* the attribute of that role, or NULL */
    const scim_attribute *groups;  /* likewise */
    bool hides;             /* its stored JSON may have what is not returned unless asked for */
    const json_t *document; /* as /ResourceTypes shows it, without meta */
};

struct scim_registry {
    const scim_schema *const *schemas; /* published, in the order of /Schemas */
    int schemas_count;
    const scim_resource_type *types;
    int types_count;
};

/* Builds the registry of the built-in documents (conf/schemas/ *.json).  All
 * of it lives in result_pool.  The error, if any, names the document, the
 * attribute and the fault: it is a fault of the documents. */
const scim_error *scim_registry_make(const scim_registry **out, apr_pool_t *result_pool);

/* One document: a Schema (RFC 7643 section 7) or a ResourceType (section 6). */
typedef struct scim_document {
    const char *name; /* for errors: "User.json" */
    bool resource_type;
    const char *bytes;
    apr_size_t len;
} scim_document;

/* The same of the built-in documents and count further ones, in any order.  A
 * further ResourceType that is named as a built-in one takes its place: it may
 * have other extensions, not another endpoint or schema.  Schemas that no
 * resource type has are not published; a further one of that kind is a fault.
 *
 * What a document declares is kept: "uniqueness" other than none needs a
 * simple attribute with one value.  An attribute that is writeOnly is stored
 * as it was sent, can be written and removed, and is never returned, compared
 * or sorted by; a PUT that leaves it out keeps it.  "canonicalValues" are
 * suggestions (RFC 7643 section 7): other values are taken. */
const scim_error *scim_registry_build(const scim_registry **out, const scim_document *documents,
                                      int count, apr_pool_t *result_pool);

/* A published schema by its URN, without case; NULL where there is none. */
const scim_schema *scim_registry_schema(const scim_registry *registry, const char *urn);

/* A resource type by its name ("User") or endpoint ("/Users"); exact. */
const scim_resource_type *scim_registry_type(const scim_registry *registry, const char *name);
const scim_resource_type *scim_registry_endpoint(const scim_registry *registry,
                                                 const char *endpoint);

/* The schema of a type by its URN without case: its own, an extension, or
 * NULL. */
const scim_schema *scim_type_schema(const scim_resource_type *type, const char *urn,
                                    apr_size_t urn_len);
bool scim_type_is_extension(const scim_resource_type *type, const scim_schema *schema);

/* A top-level attribute of a schema by its name without case; NULL where
 * there is none. */
const scim_attribute *scim_schema_attribute(const scim_schema *schema, const char *name,
                                            apr_size_t name_len);

/* A top-level attribute of a type that stands without URN: of its core
 * schema or one of the common ones. */
const scim_attribute *scim_type_attribute(const scim_resource_type *type, const char *name,
                                          apr_size_t name_len);

/* A sub-attribute by its name without case; NULL where there is none. */
const scim_attribute *scim_attribute_sub(const scim_attribute *attribute, const char *name,
                                         apr_size_t name_len);

#endif
