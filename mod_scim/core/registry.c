/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: from documents to schemas and resource types.
 *
 * The built-in documents are read by the same code, and with the same checks,
 * as an organisation's own.  What a document leaves out has the default of
 * RFC 7643 section 2.2; what it says wrongly is an error that names the
 * document and the attribute.
 */
#include "scim/schema.h"

#include <stdarg.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "schema_builtin.h"
#include "scim/json.h"
#include "scim/text.h"

#define URN_SCHEMA "urn:ietf:params:scim:schemas:core:2.0:Schema"
#define URN_RESOURCE_TYPE "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
#define URN_CONFIG "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
#define URN_MESSAGES "urn:ietf:params:scim:api:messages:"
#define ID_COMMON "common" /* of Common.json */

/* Far beyond what is in use: the store keeps the name of an index, which is
 * made of these, in a key of 500 bytes. */
#define MAX_NAME 64
#define MAX_URN 255

/* clang-format off */
/* What the RFCs single out.  SCIM_ROLE_REFERENCE is found by shape instead. */
static const struct {
    const char *urn;
    const char *path;
    scim_role role;
} roles[] = {
    { ID_COMMON, "schemas", SCIM_ROLE_SCHEMAS },
    { ID_COMMON, "id", SCIM_ROLE_ID },
    { ID_COMMON, "externalId", SCIM_ROLE_EXTERNAL_ID },
    { ID_COMMON, "meta", SCIM_ROLE_META },
    { SCIM_URN_USER, "password", SCIM_ROLE_PASSWORD },
    { SCIM_URN_USER, "active", SCIM_ROLE_ACTIVE },
    { SCIM_URN_USER, "addresses.country", SCIM_ROLE_COUNTRY },
    { SCIM_URN_USER, "groups", SCIM_ROLE_GROUPS },
    { SCIM_URN_GROUP, "members", SCIM_ROLE_MEMBERS },
};
/* clang-format on */

/* The words of the documents, in the order of the enumerations. */
static const char *const type_words[] = {"string",    "boolean",  "decimal",
                                         "integer",   "dateTime", "binary",
                                         "reference", "complex",  NULL};
static const char *const mutability_words[] = {"readWrite", "readOnly", "immutable",
                                               "writeOnly", NULL};
static const char *const returned_words[] = {"default", "always", "never", "request", NULL};
static const char *const uniqueness_words[] = {"none", "server", "global", NULL};

static const char *const attribute_keys[] = {"name",        "type",           "multiValued",
                                             "description", "required",       "canonicalValues",
                                             "caseExact",   "mutability",     "returned",
                                             "uniqueness",  "referenceTypes", "subAttributes",
                                             NULL};
static const char *const schema_keys[] = {"schemas",    "id",   "name", "description",
                                          "attributes", "meta", NULL};
static const char *const type_keys[] = {"schemas",          "id",       "name",
                                        "description",      "endpoint", "schema",
                                        "schemaExtensions", "meta",     NULL};
static const char *const extension_keys[] = {"schema", "required", NULL};

/* Endpoints of the service itself (RFC 7644 section 3.2); "/.search" is none
 * that a resource type could spell. */
static const char *const own_endpoints[] = {
    "/Me", "/Bulk", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig", NULL};

typedef struct source {
    const char *name;
    bool resource_type;
    bool builtin;
    json_t *json;
} source;

typedef struct builder {
    apr_pool_t *pool;
    apr_array_header_t *sources; /* of source */
    apr_array_header_t *schemas; /* of const scim_schema *: the published ones */
    apr_array_header_t *types;   /* of scim_resource_type; never grows */
    const scim_schema *common;
    const char *document; /* the one being read */
} builder;

static const scim_error *fault(const builder *b, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), returns_nonnull));

static const scim_error *fault(const builder *b, const char *place, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const char *text = apr_pvsprintf(b->pool, fmt, args);
    va_end(args);
    return scim_error_make(b->pool, SCIM_E_INTERNAL, "%s: %s: %s", b->document, place, text);
}

/* What the resource types of all documents say, asked while schemas are read
 * and no scim_resource_type exists yet. */

static bool is_type_name(const builder *b, const char *name)
{
    for (int i = 0; i < b->sources->nelts; i++) {
        const source *s = &APR_ARRAY_IDX(b->sources, i, source);
        const char *type = s->resource_type ? scim_json_string(s->json, "name") : NULL;
        if (type && strcmp(type, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_core(const builder *b, const char *urn)
{
    for (int i = 0; i < b->sources->nelts; i++) {
        const source *s = &APR_ARRAY_IDX(b->sources, i, source);
        const char *core = s->resource_type ? scim_json_string(s->json, "schema") : NULL;
        if (core && scim_text_casecmp(core, urn) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_extension(const builder *b, const char *urn)
{
    for (int i = 0; i < b->sources->nelts; i++) {
        const source *s = &APR_ARRAY_IDX(b->sources, i, source);
        const json_t *list =
            s->resource_type ? json_object_get(s->json, "schemaExtensions") : NULL;
        for (size_t k = 0; k < json_array_size(list); k++) {
            const char *extension = scim_json_string(json_array_get(list, k), "schema");
            if (extension && scim_text_casecmp(extension, urn) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Reading members of a document. */

static int word_index(const char *const *words, const char *text)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static const char *word_list(const builder *b, const char *const *words)
{
    const char *list = words[0];

    for (int i = 1; words[i]; i++) {
        list = apr_pstrcat(b->pool, list, ", ", words[i], NULL);
    }
    return list;
}

/* A misspelt characteristic would silently have its default: refused. */
static const scim_error *check_keys(const builder *b, const json_t *json,
                                    const char *const *keys, const char *place)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json)) {
        return fault(b, place, "must be an object, is %s", scim_json_kind(json));
    }
    json_object_foreach ((json_t *)json, key, value) {
        if (word_index(keys, key) < 0) {
            return fault(b, place, "\"%s\" is none of %s", key, word_list(b, keys));
        }
    }
    return NULL;
}

static const scim_error *read_flag(const builder *b, bool *out, const json_t *json,
                                   const char *key, const char *place)
{
    const json_t *value = json_object_get(json, key);

    if (value && !json_is_boolean(value)) {
        return fault(b, place, "\"%s\" must be a boolean, is %s", key, scim_json_kind(value));
    }
    if (value) {
        *out = json_is_true(value);
    }
    return NULL;
}

static const scim_error *read_text(const builder *b, const char **out, const json_t *json,
                                   const char *key, const char *place)
{
    const json_t *value = json_object_get(json, key);

    if (value && (!json_is_string(value) || json_string_length(value) == 0)) {
        return fault(b, place, "\"%s\" must be a string that is not empty", key);
    }
    if (value) {
        *out = json_string_value(value);
    }
    return NULL;
}

static const scim_error *need_text(const builder *b, const char **out, const json_t *json,
                                   const char *key, const char *place)
{
    *out = NULL;
    SCIM_ERR(read_text(b, out, json, key, place));
    return *out ? NULL : fault(b, place, "has no \"%s\"", key);
}

static const scim_error *read_word(const builder *b, int *out, const json_t *json,
                                   const char *key, const char *const *words, const char *place)
{
    const char *text = NULL;

    SCIM_ERR(read_text(b, &text, json, key, place));
    if (text) {
        *out = word_index(words, text);
        if (*out < 0) {
            return fault(b, place, "\"%s\" is \"%s\", must be one of %s", key, text,
                         word_list(b, words));
        }
    }
    return NULL;
}

/* A list of strings, NULL-terminated; NULL where it is absent. */
static const scim_error *read_texts(const builder *b, const char *const **out,
                                    const json_t *json, const char *key, const char *place)
{
    const json_t *list = json_object_get(json, key);
    apr_size_t count = json_array_size(list);

    if (!list) {
        return NULL;
    }
    const char **texts = apr_pcalloc(b->pool, (count + 1) * sizeof(*texts));
    for (apr_size_t i = 0; i < count; i++) {
        texts[i] = json_string_value(json_array_get(list, i));
        if (!texts[i]) {
            break;
        }
    }
    if (!json_is_array(list) || (count > 0 && !texts[count - 1])) {
        return fault(b, place, "\"%s\" must be a list of strings", key);
    }
    *out = texts;
    return NULL;
}

/* A letter, then letters, digits and marks. */
static bool is_name(const char *text, const char *marks)
{
    apr_size_t len = strlen(text);

    if (!apr_isalpha(*text) || len > MAX_NAME) {
        return false;
    }
    while (*++text) {
        if (!apr_isalnum(*text) && !strchr(marks, *text)) {
            return false;
        }
    }
    return true;
}

/* RFC 7643 section 2.1, and "$ref" (erratum 8924). */
static bool is_attribute_name(const char *text, bool sub)
{
    return is_name(text, "$-_") || (sub && strcmp(text, "$ref") == 0);
}

/* "urn:", a namespace, ":" and a name, of what can stand before ":" in a path,
 * in a list with commas and in a URL as it is. */
static bool is_urn(const char *text)
{
    apr_size_t len = strlen(text);

    if (len > MAX_URN || scim_text_ncasecmp(text, "urn:", 4) != 0 || text[4] == ':' ||
        text[len - 1] == ':' || !strchr(text + 4, ':')) {
        return false;
    }
    for (; *text; text++) {
        if (!apr_isalnum(*text) && !strchr(":.-_~", *text)) {
            return false;
        }
    }
    return true;
}

/* "schemas", which many documents lack, says what a document is. */
static const scim_error *check_kind(const builder *b, const json_t *json, const char *urn,
                                    const char *kind)
{
    const json_t *list = json_object_get(json, "schemas");
    const char *said = json_string_value(json_array_get(list, 0));

    if (!list || (json_array_size(list) == 1 && said && !scim_text_casecmp(said, urn))) {
        return NULL;
    }
    return fault(b, kind, "\"schemas\" must list %s, and nothing else", urn);
}

/* Attributes. */

static const scim_error *read_attributes(const builder *b, const scim_attribute **out,
                                         int *count, const json_t *list,
                                         const scim_schema *schema,
                                         const scim_attribute *parent);

static const scim_error *read_name(const builder *b, scim_attribute *out, const json_t *json,
                                   const char *place)
{
    const char *urn = out->schema->urn;

    SCIM_ERR(check_keys(b, json, attribute_keys, place));
    SCIM_ERR(need_text(b, &out->name, json, "name", place));
    if (!is_attribute_name(out->name, out->parent != NULL)) {
        return fault(b, place,
                     "\"%s\" is no name of an attribute (a letter, then letters, digits, $, - "
                     "and _; at most %d)",
                     out->name, MAX_NAME);
    }
    if (out->parent) {
        out->path = apr_pstrcat(b->pool, out->parent->path, ".", out->name, NULL);
    } else if (is_extension(b, urn)) {
        out->path = apr_pstrcat(b->pool, urn, ":", out->name, NULL);
    } else {
        out->path = out->name;
    }
    return NULL;
}

static const scim_error *read_characteristics(const builder *b, scim_attribute *out,
                                              const json_t *json)
{
    int type = SCIM_TYPE_STRING, mutability = SCIM_READ_WRITE;
    int returned = SCIM_RETURNED_DEFAULT, uniqueness = SCIM_UNIQUE_NONE;
    const char *const *suggested = NULL;

    out->description = "";
    SCIM_ERR(read_text(b, &out->description, json, "description", out->path));
    SCIM_ERR(read_word(b, &type, json, "type", type_words, out->path));
    SCIM_ERR(read_word(b, &mutability, json, "mutability", mutability_words, out->path));
    SCIM_ERR(read_word(b, &returned, json, "returned", returned_words, out->path));
    SCIM_ERR(read_word(b, &uniqueness, json, "uniqueness", uniqueness_words, out->path));
    SCIM_ERR(read_texts(b, &suggested, json, "canonicalValues", out->path));
    SCIM_ERR(read_texts(b, &out->reference_types, json, "referenceTypes", out->path));
    out->type = (scim_type)type;
    out->mutability = (scim_mutability)mutability;
    out->returned = (scim_returned)returned;
    out->uniqueness = (scim_uniqueness)uniqueness;

    /* RFC 7643 sections 2.3.6 and 2.3.7: these are case exact by nature */
    out->case_exact = out->type == SCIM_TYPE_BINARY || out->type == SCIM_TYPE_REFERENCE;
    SCIM_ERR(read_flag(b, &out->multi_valued, json, "multiValued", out->path));
    SCIM_ERR(read_flag(b, &out->required, json, "required", out->path));
    SCIM_ERR(read_flag(b, &out->case_exact, json, "caseExact", out->path));
    return NULL;
}

/* What is declared unique is kept so, by an index over resources: what that
 * cannot hold is refused.  NULL, or why it cannot. */
static const char *no_uniqueness(const scim_attribute *a)
{
    if (a->parent || a->multi_valued || a->type == SCIM_TYPE_COMPLEX) {
        return "only a simple attribute with one value, no sub-attribute, can be unique";
    }
    if (a->type == SCIM_TYPE_BOOLEAN || a->type == SCIM_TYPE_DECIMAL) {
        return "a boolean or a decimal cannot be unique";
    }
    if (a->returned == SCIM_RETURNED_NEVER) {
        return "an attribute that is never returned cannot be unique: a conflict would tell "
               "its value";
    }
    return NULL;
}

static const scim_error *check_uniqueness(const builder *b, const scim_attribute *a)
{
    const char *why = a->uniqueness == SCIM_UNIQUE_NONE ? NULL : no_uniqueness(a);

    return why ? fault(b, a->path, "\"uniqueness\" must be \"none\": %s", why) : NULL;
}

static const scim_error *check_characteristics(const builder *b, const scim_attribute *a)
{
    bool has_references = a->reference_types && a->reference_types[0];

    if (a->type == SCIM_TYPE_REFERENCE && !has_references) {
        return fault(b, a->path, "a reference must have \"referenceTypes\"");
    }
    if (a->type != SCIM_TYPE_REFERENCE && has_references) {
        return fault(b, a->path, "only a reference has \"referenceTypes\"");
    }
    if ((a->type == SCIM_TYPE_REFERENCE || a->type == SCIM_TYPE_BINARY) && !a->case_exact) {
        return fault(b, a->path, "a %s is always \"caseExact\"", type_words[a->type]);
    }
    if (a->mutability == SCIM_WRITE_ONLY && a->returned != SCIM_RETURNED_NEVER) {
        return fault(b, a->path, "a writeOnly attribute must have \"returned\": \"never\"");
    }
    /* RFC 7643 section 7: Schema alone nests deeper */
    if (a->type == SCIM_TYPE_COMPLEX && a->parent && strcmp(a->schema->urn, URN_SCHEMA) != 0) {
        return fault(b, a->path, "a sub-attribute must not be complex");
    }
    return check_uniqueness(b, a);
}

static const scim_error *read_subs(const builder *b, scim_attribute *out, const json_t *json)
{
    const json_t *list = json_object_get(json, "subAttributes");

    if (out->type != SCIM_TYPE_COMPLEX) {
        return list ? fault(b, out->path, "only a complex attribute has \"subAttributes\"")
                    : NULL;
    }
    if (json_array_size(list) == 0) {
        return fault(b, out->path, "a complex attribute must have \"subAttributes\"");
    }
    out->case_exact = false; /* RFC 7643 section 2.3.8 */
    return read_attributes(b, &out->subs, &out->subs_count, list, out->schema, out);
}

/* Whether the attribute is {"value": id, "$ref": URI of a resource}. */
static bool is_reference(const builder *b, const scim_attribute *a)
{
    const scim_attribute *value = scim_attribute_sub(a, "value", strlen("value"));
    const scim_attribute *ref = scim_attribute_sub(a, "$ref", strlen("$ref"));

    if (!value || value->type != SCIM_TYPE_STRING || !ref || !ref->reference_types) {
        return false;
    }
    for (int i = 0; ref->reference_types[i]; i++) {
        if (is_type_name(b, ref->reference_types[i])) {
            return true;
        }
    }
    return false;
}

static scim_role role_of(const builder *b, const scim_attribute *a)
{
    for (apr_size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].urn, a->schema->urn) == 0 && strcmp(roles[i].path, a->path) == 0) {
            return roles[i].role;
        }
    }
    return is_reference(b, a) ? SCIM_ROLE_REFERENCE : SCIM_ROLE_NONE;
}

/* A schema of a resource type may list externalId, since clients look for it
 * there; what is the service provider's own it may not redefine.  The
 * characteristics are those of RFC 7643 section 3.1 either way. */
static const scim_error *check_common(const builder *b, scim_attribute *a)
{
    const scim_attribute *common =
        b->common ? scim_schema_attribute(b->common, a->name, strlen(a->name)) : NULL;

    if (!common || a->parent || !is_core(b, a->schema->urn)) {
        return NULL;
    }
    if (common->role != SCIM_ROLE_EXTERNAL_ID) {
        return fault(b, a->path, "every resource has this attribute: leave it out");
    }
    if (a->type != common->type || a->multi_valued != common->multi_valued ||
        a->case_exact != common->case_exact || a->mutability != common->mutability ||
        a->returned != common->returned || a->uniqueness != common->uniqueness) {
        return fault(b, a->path,
                     "must be a single string, caseExact, readWrite, returned by default, "
                     "uniqueness none (RFC 7643 section 3.1)");
    }
    a->role = common->role;
    return NULL;
}

static void set_missing(json_t *json, const char *key, json_t *value)
{
    if (json_object_get(json, key)) {
        json_decref(value);
    } else {
        scim_json_set(json, key, value);
    }
}

/* Clients are shown all characteristics, the defaults too, but those that say
 * nothing of an attribute of this type. */
static void complete(json_t *json, const scim_attribute *a)
{
    bool text = a->type == SCIM_TYPE_STRING || a->type == SCIM_TYPE_REFERENCE ||
                a->type == SCIM_TYPE_BINARY;
    bool number = a->type == SCIM_TYPE_INTEGER || a->type == SCIM_TYPE_DECIMAL;

    set_missing(json, "type", scim_json_text(type_words[a->type]));
    set_missing(json, "multiValued", json_boolean(a->multi_valued));
    set_missing(json, "required", json_boolean(a->required));
    set_missing(json, "mutability", scim_json_text(mutability_words[a->mutability]));
    set_missing(json, "returned", scim_json_text(returned_words[a->returned]));
    if (text) {
        set_missing(json, "caseExact", json_boolean(a->case_exact));
    } else {
        json_object_del(json, "caseExact");
    }
    if (text || number) {
        set_missing(json, "uniqueness", scim_json_text(uniqueness_words[a->uniqueness]));
    } else if (a->uniqueness == SCIM_UNIQUE_NONE) {
        json_object_del(json, "uniqueness");
    }
}

static const scim_error *read_attribute(const builder *b, scim_attribute *out, json_t *json,
                                        const char *place)
{
    SCIM_ERR(read_name(b, out, json, place));
    SCIM_ERR(read_characteristics(b, out, json));
    SCIM_ERR(check_characteristics(b, out));
    SCIM_ERR(read_subs(b, out, json));
    complete(json, out);
    out->role = role_of(b, out);
    return check_common(b, out);
}

static const scim_error *read_attributes(const builder *b, const scim_attribute **out,
                                         int *count, const json_t *list,
                                         const scim_schema *schema,
                                         const scim_attribute *parent)
{
    int total = (int)json_array_size(list);
    scim_attribute *attributes = apr_pcalloc(b->pool, (apr_size_t)total * sizeof(*attributes));

    for (int i = 0; i < total; i++) {
        scim_attribute *a = &attributes[i];
        a->schema = schema;
        a->parent = parent;
        const char *place = apr_psprintf(b->pool, "%s%s[%d]", parent ? parent->path : "",
                                         parent ? ".subAttributes" : "attributes", i);
        SCIM_ERR(read_attribute(b, a, json_array_get(list, (size_t)i), place));
        for (int k = 0; k < i; k++) {
            if (scim_text_casecmp(attributes[k].name, a->name) == 0) {
                return fault(b, a->path, "is defined twice");
            }
        }
    }
    *out = attributes;
    *count = total;
    return NULL;
}

/* Schemas. */

/* The document as clients see it: with its own "schemas" (erratum 8417),
 * which many documents lack, and without what "meta" it may have. */
static const json_t *publish(const builder *b, json_t *json, const char *urn)
{
    json_t *document = scim_json_adopt(scim_json_pack("{s:[s]}", "schemas", urn), b->pool);

    scim_json_update_missing(document, json);
    json_object_del(document, "meta");
    return document;
}

static const scim_error *read_schema(const builder *b, const scim_schema **out, json_t *json)
{
    scim_schema *schema = apr_pcalloc(b->pool, sizeof(*schema));
    const char *description = NULL;

    SCIM_ERR(check_kind(b, json, URN_SCHEMA, "schema"));
    SCIM_ERR(check_keys(b, json, schema_keys, "schema"));
    SCIM_ERR(need_text(b, &schema->urn, json, "id", "schema"));
    SCIM_ERR(need_text(b, &schema->name, json, "name", "schema"));
    SCIM_ERR(read_text(b, &description, json, "description", "schema"));
    const json_t *list = json_object_get(json, "attributes");
    if (json_array_size(list) == 0) {
        return fault(b, "schema", "\"attributes\" must be a list that is not empty");
    }
    schema->document = publish(b, json, URN_SCHEMA);
    SCIM_ERR(
        read_attributes(b, &schema->attributes, &schema->attributes_count, list, schema, NULL));
    *out = schema;
    return NULL;
}

static const scim_schema *known_schema(const builder *b, const char *urn)
{
    for (int i = 0; i < b->schemas->nelts; i++) {
        const scim_schema *schema = APR_ARRAY_IDX(b->schemas, i, const scim_schema *);
        if (scim_text_casecmp(schema->urn, urn) == 0) {
            return schema;
        }
    }
    return NULL;
}

static const scim_error *check_urn(const builder *b, const char *urn)
{
    if (!is_urn(urn)) {
        return fault(b, "schema",
                     "\"id\" is \"%s\", must be a URN: urn:namespace:name, of at most %d "
                     "letters, digits and the characters : . - _ ~",
                     urn, MAX_URN);
    }
    if (scim_text_ncasecmp(urn, URN_MESSAGES, strlen(URN_MESSAGES)) == 0) {
        return fault(b, "schema", "\"id\" is \"%s\", which is that of a message", urn);
    }
    if (known_schema(b, urn)) {
        return fault(b, "schema", "%s is defined twice", urn);
    }
    return NULL;
}

static const scim_error *add_schema(builder *b, const source *s)
{
    const scim_schema *schema;

    SCIM_ERR(read_schema(b, &schema, s->json));
    SCIM_ERR(check_urn(b, schema->urn));
    APR_ARRAY_PUSH(b->schemas, const scim_schema *) = schema;
    return NULL;
}

/* Whether resources have attributes of a schema, or discovery itself has. */
static bool is_used(const builder *b, const char *urn)
{
    return is_core(b, urn) || is_extension(b, urn) || strcmp(urn, URN_CONFIG) == 0 ||
           strcmp(urn, URN_RESOURCE_TYPE) == 0 || strcmp(urn, URN_SCHEMA) == 0;
}

/* What is published is accepted: a schema that no resource type has is
 * neither.  Of the built-in ones the organisation's own User may leave one
 * out; in a schema of its own that is a slip. */
static const scim_error *drop_unused(builder *b)
{
    int kept = 0, next = 0;

    for (int i = 0; i < b->sources->nelts; i++) {
        const source *s = &APR_ARRAY_IDX(b->sources, i, source);
        if (s->resource_type) {
            continue;
        }
        const scim_schema *schema = APR_ARRAY_IDX(b->schemas, next++, const scim_schema *);
        if (is_used(b, schema->urn)) {
            APR_ARRAY_IDX(b->schemas, kept++, const scim_schema *) = schema;
        } else if (!s->builtin) {
            b->document = s->name;
            return fault(b, "schema",
                         "no resource type has it, as \"schema\" or in \"schemaExtensions\"");
        }
    }
    b->schemas->nelts = kept;
    return NULL;
}

/* Resource types. */

static void copy_attribute(scim_attribute *out, const scim_attribute *from,
                           const scim_schema *schema, apr_pool_t *pool)
{
    *out = *from;
    out->schema = schema;
    if (from->subs_count > 0) {
        scim_attribute *subs = apr_pcalloc(pool, (apr_size_t)from->subs_count * sizeof(*subs));
        for (int i = 0; i < from->subs_count; i++) {
            copy_attribute(&subs[i], &from->subs[i], schema, pool);
            subs[i].parent = out;
        }
        out->subs = subs;
    }
}

/* The common attributes that the core schema does not list itself, so that
 * each attribute of a type is one structure and stands in one place. */
static const scim_schema *common_for(const builder *b, const scim_schema *core)
{
    scim_schema *schema = apr_pmemdup(b->pool, b->common, sizeof(*schema));
    scim_attribute *attributes =
        apr_pcalloc(b->pool, (apr_size_t)b->common->attributes_count * sizeof(*attributes));

    schema->attributes = attributes;
    schema->attributes_count = 0;
    for (int i = 0; i < b->common->attributes_count; i++) {
        const scim_attribute *from = &b->common->attributes[i];
        if (!scim_schema_attribute(core, from->name, strlen(from->name))) {
            copy_attribute(&attributes[schema->attributes_count++], from, schema, b->pool);
        }
    }
    return schema;
}

static const scim_error *read_extension(const builder *b, scim_extension *out, json_t *json)
{
    const char *urn;

    SCIM_ERR(check_keys(b, json, extension_keys, "schemaExtensions"));
    SCIM_ERR(need_text(b, &urn, json, "schema", "schemaExtensions"));
    if (!json_object_get(json, "required")) {
        return fault(b, "schemaExtensions", "%s has no \"required\"", urn);
    }
    SCIM_ERR(read_flag(b, &out->required, json, "required", "schemaExtensions"));
    out->schema = known_schema(b, urn);
    if (!out->schema) {
        return fault(b, "schemaExtensions", "there is no schema %s", urn);
    }
    if (is_core(b, urn)) {
        return fault(b, "schemaExtensions",
                     "%s is the schema of a resource type and extends no other", urn);
    }
    /* in the case in which /Schemas has it */
    scim_json_set(json, "schema", scim_json_text(out->schema->urn));
    return NULL;
}

static const scim_error *read_extensions(const builder *b, scim_resource_type *out,
                                         const json_t *json)
{
    const json_t *list = json_object_get(json, "schemaExtensions");
    int total = (int)json_array_size(list);
    scim_extension *extensions = apr_pcalloc(b->pool, (apr_size_t)total * sizeof(*extensions));

    if (list && !json_is_array(list)) {
        return fault(b, "schemaExtensions", "must be an array, is %s", scim_json_kind(list));
    }
    out->extensions = extensions;
    for (int i = 0; i < total; i++) {
        SCIM_ERR(read_extension(b, &extensions[i], json_array_get(list, (size_t)i)));
        if (scim_type_is_extension(out, extensions[i].schema)) {
            return fault(b, "schemaExtensions", "%s stands twice", extensions[i].schema->urn);
        }
        out->extensions_count++;
    }
    return NULL;
}

static const scim_error *check_endpoint(const builder *b, const scim_resource_type *type)
{
    if (type->endpoint[0] != '/' || !is_name(type->endpoint + 1, "-_")) {
        return fault(b, type->name, "\"endpoint\" is \"%s\", must be like \"/Users\"",
                     type->endpoint);
    }
    for (int i = 0; own_endpoints[i]; i++) {
        if (scim_text_casecmp(own_endpoints[i], type->endpoint) == 0) {
            return fault(b, type->name, "\"endpoint\" is \"%s\", which is the service's own",
                         type->endpoint);
        }
    }
    for (int i = 0; i < b->types->nelts; i++) {
        const scim_resource_type *other = &APR_ARRAY_IDX(b->types, i, scim_resource_type);
        if (scim_text_casecmp(other->endpoint, type->endpoint) == 0) {
            return fault(b, type->name, "\"endpoint\" is \"%s\", which is that of %s",
                         type->endpoint, other->name);
        }
    }
    return NULL;
}

static const scim_error *check_type_name(const builder *b, const scim_resource_type *type)
{
    if (!is_name(type->name, "-_") || strcmp(type->id, type->name) != 0) {
        return fault(b, type->name,
                     "\"name\" must be letters, digits, - and _ (at most %d), and \"id\" the "
                     "same",
                     MAX_NAME);
    }
    for (int i = 0; i < b->types->nelts; i++) {
        const scim_resource_type *other = &APR_ARRAY_IDX(b->types, i, scim_resource_type);
        if (scim_text_casecmp(other->name, type->name) == 0) {
            return fault(b, type->name, "there is another resource type of this name");
        }
    }
    return NULL;
}

static const scim_error *read_type_names(const builder *b, scim_resource_type *out,
                                         json_t *json)
{
    const char *description = NULL;

    SCIM_ERR(need_text(b, &out->name, json, "name", "resource type"));
    SCIM_ERR(need_text(b, &out->endpoint, json, "endpoint", out->name));
    SCIM_ERR(read_text(b, &description, json, "description", out->name));
    out->id = out->name;
    SCIM_ERR(read_text(b, &out->id, json, "id", out->name));
    SCIM_ERR(check_type_name(b, out));
    set_missing(json, "id", scim_json_text(out->name));
    return check_endpoint(b, out);
}

static const scim_attribute *find_role(const scim_schema *schema, scim_role role)
{
    for (int i = 0; i < schema->attributes_count; i++) {
        if (schema->attributes[i].role == role) {
            return &schema->attributes[i];
        }
    }
    return NULL;
}

/* A password is not stored with the others. */
static bool hides(const scim_attribute *attributes, int count)
{
    for (int i = 0; i < count; i++) {
        const scim_attribute *a = &attributes[i];
        bool hidden =
            a->returned == SCIM_RETURNED_NEVER || a->returned == SCIM_RETURNED_REQUEST;

        if ((hidden && a->role != SCIM_ROLE_PASSWORD) || hides(a->subs, a->subs_count)) {
            return true;
        }
    }
    return false;
}

static bool type_hides(const scim_resource_type *type)
{
    if (hides(type->schema->attributes, type->schema->attributes_count)) {
        return true;
    }
    for (int i = 0; i < type->extensions_count; i++) {
        const scim_schema *schema = type->extensions[i].schema;

        if (hides(schema->attributes, schema->attributes_count)) {
            return true;
        }
    }
    return false;
}

static const scim_error *add_type(builder *b, const source *s)
{
    scim_resource_type type = {0};
    const char *urn;

    SCIM_ERR(check_kind(b, s->json, URN_RESOURCE_TYPE, "resource type"));
    SCIM_ERR(check_keys(b, s->json, type_keys, "resource type"));
    SCIM_ERR(read_type_names(b, &type, s->json));
    SCIM_ERR(need_text(b, &urn, s->json, "schema", type.name));
    type.schema = known_schema(b, urn);
    if (!type.schema) {
        return fault(b, type.name, "there is no schema %s", urn);
    }
    scim_json_set(s->json, "schema", scim_json_text(type.schema->urn));
    SCIM_ERR(read_extensions(b, &type, s->json));
    type.common = common_for(b, type.schema);
    type.members = find_role(type.schema, SCIM_ROLE_MEMBERS);
    type.groups = find_role(type.schema, SCIM_ROLE_GROUPS);
    type.hides = type_hides(&type);
    type.document = publish(b, s->json, URN_RESOURCE_TYPE);
    APR_ARRAY_PUSH(b->types, scim_resource_type) = type;
    return NULL;
}

/* The registry. */

static const scim_error *read_document(builder *b, source *out, const scim_document *document,
                                       bool builtin)
{
    const scim_error *err = scim_json_read(&out->json, document->bytes, document->len, b->pool);

    out->name = document->name;
    out->resource_type = document->resource_type;
    out->builtin = builtin;
    if (err) {
        const char *prefix = apr_pstrcat(b->pool, document->name, ": ", NULL);
        return scim_error_at(b->pool, err, prefix);
    }
    return NULL;
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    const char *one = scim_json_string(a, key), *other = scim_json_string(b, key);

    return one && other && scim_text_casecmp(one, other) == 0;
}

/* An organisation's resource type of a built-in one's name takes its place,
 * to add extensions; where its resources are and what they are stays. */
static const scim_error *replace_builtin(builder *b, source *builtin, const source *s)
{
    const char *name = scim_json_string(builtin->json, "name");
    const char *endpoint = scim_json_string(builtin->json, "endpoint");
    const char *schema = scim_json_string(builtin->json, "schema");

    if (!json_equal(json_object_get(s->json, "endpoint"),
                    json_object_get(builtin->json, "endpoint")) ||
        !same_text(s->json, builtin->json, "schema")) {
        b->document = s->name;
        return fault(b, name,
                     "is built in: its \"endpoint\" must stay \"%s\" and its \"schema\" %s",
                     endpoint, schema);
    }
    *builtin = *s;
    return NULL;
}

static const scim_error *place_source(builder *b, const source *s)
{
    for (int i = 0; s->resource_type && i < b->sources->nelts; i++) {
        source *other = &APR_ARRAY_IDX(b->sources, i, source);
        if (other->builtin && other->resource_type &&
            json_equal(json_object_get(other->json, "name"),
                       json_object_get(s->json, "name"))) {
            return replace_builtin(b, other, s);
        }
    }
    APR_ARRAY_PUSH(b->sources, source) = *s;
    return NULL;
}

static const scim_error *read_documents(builder *b, const scim_document *documents, int count,
                                        bool builtin)
{
    for (int i = 0; i < count; i++) {
        source s;
        SCIM_ERR(read_document(b, &s, &documents[i], builtin));
        SCIM_ERR(place_source(b, &s));
    }
    return NULL;
}

static const scim_error *read_common(builder *b)
{
    source s;

    b->document = scim_schema_common.name;
    SCIM_ERR(read_document(b, &s, &scim_schema_common, true));
    return read_schema(b, &b->common, s.json);
}

/* Schemas first: a resource type may stand before the schemas that it names. */
static const scim_error *add_all(builder *b, bool resource_types)
{
    for (int i = 0; i < b->sources->nelts; i++) {
        const source *s = &APR_ARRAY_IDX(b->sources, i, source);
        b->document = s->name;
        if (s->resource_type == resource_types) {
            SCIM_ERR(resource_types ? add_type(b, s) : add_schema(b, s));
        }
    }
    return NULL;
}

const scim_error *scim_registry_build(const scim_registry **out, const scim_document *documents,
                                      int count, apr_pool_t *result_pool)
{
    int total = scim_schema_builtin_count + count;
    builder b = {
        .pool = result_pool,
        .sources = apr_array_make(result_pool, total, sizeof(source)),
        .schemas = apr_array_make(result_pool, total, sizeof(const scim_schema *)),
        .types = apr_array_make(result_pool, total, sizeof(scim_resource_type)),
    };

    SCIM_ERR(read_common(&b));
    SCIM_ERR(read_documents(&b, scim_schema_builtin, scim_schema_builtin_count, true));
    SCIM_ERR(read_documents(&b, documents, count, false));
    SCIM_ERR(add_all(&b, false));
    SCIM_ERR(add_all(&b, true));
    SCIM_ERR(drop_unused(&b));

    scim_registry *registry = apr_pcalloc(result_pool, sizeof(*registry));
    registry->schemas = (const scim_schema *const *)b.schemas->elts;
    registry->schemas_count = b.schemas->nelts;
    registry->types = (const scim_resource_type *)b.types->elts;
    registry->types_count = b.types->nelts;
    *out = registry;
    return NULL;
}

const scim_error *scim_registry_make(const scim_registry **out, apr_pool_t *result_pool)
{
    return scim_registry_build(out, NULL, 0, result_pool);
}
