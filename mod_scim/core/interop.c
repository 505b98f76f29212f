/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tolerance for identity providers: what they send, turned into what the RFCs
 * say.
 *
 * Nothing is refused here but frames ("schemas", "Operations") and attributes
 * that are given twice.  What cannot be turned into something better is
 * handed on as it was sent, unknown attributes too: the strict code behind
 * knows how to complain of it, or to pass over it.  The message itself is
 * never changed, since others hold it; json_t results are new references.
 */
#include "scim/interop.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/json.h"
#include "scim/path.h"
#include "scim/text.h"

typedef struct interop {
    const scim_resource_type *type;
    bool lenient;
    bool patch; /* what is read is the value of a PATCH operation */
    apr_pool_t *pool;
} interop;

bool scim_interop_boolean(const char *text, bool *out)
{
    *out = scim_text_casecmp(text, "true") == 0;
    return *out || scim_text_casecmp(text, "false") == 0;
}

static json_t *share(const json_t *value)
{
    return json_incref((json_t *)value);
}

static bool is_blank(const json_t *value)
{
    return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

/* Values, by their attribute: what the interop profile does to them. */

static json_t *normal(const json_t *value, const scim_attribute *attribute, bool element);

static json_t *normal_boolean(const json_t *value)
{
    bool truth;
    if (json_is_string(value) && scim_interop_boolean(json_string_value(value), &truth)) {
        return json_boolean(truth);
    }
    return share(value);
}

/* "value" alone may stand for an element, or for a reference such as manager. */
static bool stands_for_value(const json_t *value, const scim_attribute *attribute)
{
    return json_is_string(value) && json_string_length(value) > 0 &&
           (attribute->multi_valued || attribute->role == SCIM_ROLE_REFERENCE) &&
           scim_attribute_sub(attribute, "value", strlen("value"));
}

/* Entra sends displayName in members and roles where the RFC has display. */
static void put_display(json_t *object, const scim_attribute *attribute)
{
    json_t *name = scim_json_get(object, "displayName", NULL);
    const json_t *display = json_object_get(object, "display");
    if (json_is_string(name) && (!display || is_blank(display)) &&
        scim_attribute_sub(attribute, "display", strlen("display")) &&
        !scim_attribute_sub(attribute, "displayName", strlen("displayName"))) {
        scim_json_set(object, "display", json_incref(name));
    }
}

/* The id at the end of $ref, where that is all that says who is meant. */
static void put_referenced(json_t *object, const scim_attribute *attribute)
{
    const char *ref = json_string_value(json_object_get(object, "$ref"));
    bool refers =
        attribute->role == SCIM_ROLE_MEMBERS || attribute->role == SCIM_ROLE_REFERENCE;
    if (!refers || !ref || json_object_get(object, "value")) {
        return;
    }
    const char *slash = strrchr(ref, '/');
    const char *id = slash ? slash + 1 : ref;
    if (*id) {
        scim_json_set(object, "value", scim_json_text(id));
    }
}

static json_t *normal_complex(const json_t *value, const scim_attribute *attribute)
{
    if (stands_for_value(value, attribute)) {
        json_t *alone = scim_json_object();
        scim_json_set(alone, "value", share(value));
        return alone;
    }
    if (!json_is_object(value)) {
        return share(value);
    }
    json_t *object = scim_json_object();
    const char *key;
    json_t *item;
    json_object_foreach ((json_t *)value, key, item) {
        const scim_attribute *sub = scim_attribute_sub(attribute, key, strlen(key));
        scim_json_set(object, sub ? sub->name : key,
                      sub ? normal(item, sub, false) : share(item));
    }
    put_display(object, attribute);
    put_referenced(object, attribute);

    const json_t *id = json_object_get(object, "value");
    if (attribute->role == SCIM_ROLE_REFERENCE && id && is_blank(id)) {
        json_decref(object);
        return json_null();
    }
    return object;
}

/* One value may stand without an array around it; blank ones are dropped. */
static json_t *normal_list(const json_t *value, const scim_attribute *attribute)
{
    if (json_is_null(value)) {
        return share(value);
    }
    json_t *list = scim_json_array();
    if (!json_is_array(value) && !is_blank(value)) {
        scim_json_append(list, normal(value, attribute, true));
    }
    apr_size_t i;
    json_t *element;
    json_array_foreach (value, i, element) {
        if (!is_blank(element)) {
            scim_json_append(list, normal(element, attribute, true));
        }
    }
    return list;
}

static json_t *normal(const json_t *value, const scim_attribute *attribute, bool element)
{
    if (attribute->multi_valued && !element) {
        return normal_list(value, attribute);
    }
    if (attribute->role == SCIM_ROLE_REFERENCE && json_array_size(value) == 1) {
        value = json_array_get(value, 0);
    }
    if (attribute->type == SCIM_TYPE_COMPLEX) {
        return normal_complex(value, attribute);
    }
    return attribute->type == SCIM_TYPE_BOOLEAN ? normal_boolean(value) : share(value);
}

/* Attributes in a resource, or in the value of an operation without a path. */

/* Two names of one attribute may both stand there (department, and the same
 * under its URN) as long as one of them has no value. */
static const scim_error *put(json_t *into, const char *name, json_t *value, const interop *in)
{
    const json_t *there = json_object_get(into, name);
    bool says_nothing = scim_json_unassigned(value);
    if (there && !says_nothing && !scim_json_unassigned(there)) {
        json_decref(value);
        return scim_error_make(in->pool, SCIM_E_INVALID_SYNTAX,
                               "\"%s\" is given twice, under different names", name);
    }
    if (there && says_nothing) {
        json_decref(value);
    } else {
        scim_json_set(into, name, value);
    }
    return NULL;
}

/* The object of that name, made where there is none. */
static json_t *child(json_t *into, const char *name)
{
    json_t *object = json_object_get(into, name);
    if (!json_is_object(object)) {
        object = scim_json_object();
        scim_json_set(into, name, object);
    }
    return object;
}

/* Puts a value where its path says: "name.givenName" into the object "name",
 * an attribute of an extension into that of its URN. */
static const scim_error *put_at(json_t *into, const scim_path *path, const json_t *value,
                                const interop *in)
{
    const scim_attribute *leaf = scim_path_leaf(path);
    if (path->extension) {
        into = child(into, path->extension->urn);
    }
    if (path->sub) {
        into = child(into, path->attribute->name);
    }
    /* A copy, since a later key may put something into it. */
    json_t *made = in->lenient ? normal(value, leaf, false) : scim_json_copy(value);
    return put(into, leaf->name, made, in);
}

static const scim_error *put_key(json_t *into, const char *key, const json_t *value,
                                 const interop *in);

/* What stands under the URN of a schema.  Core attributes under their own are
 * flattened. */
static const scim_error *put_schema(json_t *into, const scim_schema *schema,
                                    const json_t *value, const interop *in)
{
    bool core = !scim_type_is_extension(in->type, schema);
    if (!json_is_object(value) || json_object_size(value) == 0) {
        return put(into, schema->urn, scim_json_copy(value), in);
    }
    json_t *object = core ? into : child(into, schema->urn);
    const char *key;
    json_t *item;
    json_object_foreach ((json_t *)value, key, item) {
        scim_path path = {.extension = schema};
        if (core) {
            SCIM_ERR(put_key(into, key, item, in));
            continue;
        }
        path.attribute = scim_schema_attribute(schema, key, strlen(key));
        SCIM_ERR(path.attribute ? put_at(into, &path, item, in)
                                : put(object, key, share(item), in));
    }
    return NULL;
}

/* Whether a path leads through elements, which no nesting of objects can
 * say. */
static bool is_value_path(const scim_path *path, const char *text)
{
    return strchr(text, '[') || (path->sub && path->attribute->multi_valued);
}

/* Finds the attribute that a key means: its name, and in the value of a
 * PATCH, or in the interop profile, any path that leads to one place. */
static bool locate(scim_path *out, const char *key, const interop *in)
{
    memset(out, 0, sizeof(*out));
    out->attribute = scim_type_attribute(in->type, key, strlen(key));
    if (out->attribute) {
        return true;
    }
    if (!(in->lenient || in->patch) || is_value_path(out, key) ||
        scim_path_attribute(out, key, in->type) != SCIM_PATH_OK) {
        return false;
    }
    bool bare = out->extension && !strchr(key, ':');
    return out->attribute && !is_value_path(out, key) && (in->lenient || !bare);
}

static const scim_error *put_key(json_t *into, const char *key, const json_t *value,
                                 const interop *in)
{
    const scim_schema *schema = scim_type_schema(in->type, key, strlen(key));
    scim_path path;
    if (schema) {
        return put_schema(into, schema, value, in);
    }
    if (locate(&path, key, in)) {
        return put_at(into, &path, value, in);
    }
    return put(into, key, share(value), in);
}

/* The "schemas" of a resource. */

static const scim_error *schemas_fault(const json_t *schemas, const char *urn, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                           "\"schemas\" must be an array of URNs with \"%s\" among them%s%s",
                           urn, schemas ? "; it is " : ", and is missing",
                           schemas ? scim_json_kind(schemas) : "");
}

static const scim_error *check_urn(apr_hash_t *seen, const char *urn, bool known,
                                   const interop *in)
{
    char *folded = apr_pstrdup(in->pool, urn);
    for (char *c = folded; *c; c++) {
        *c |= *c >= 'A' && *c <= 'Z' ? 0x20 : 0; /* as scim_text_casecmp: no locale */
    }
    if (apr_hash_get(seen, folded, APR_HASH_KEY_STRING)) {
        return scim_error_make(in->pool, SCIM_E_INVALID_VALUE, "\"schemas\" lists %s twice",
                               urn);
    }
    apr_hash_set(seen, folded, APR_HASH_KEY_STRING, folded);
    if (!known && !in->lenient) {
        return scim_error_make(in->pool, SCIM_E_INVALID_VALUE,
                               "\"schemas\" lists %s, which is no schema of a %s", urn,
                               in->type->name);
    }
    return NULL;
}

/* The schemas of the type that are listed, in *known.  Where the core schema
 * is not among them but a foreign URN is, that is taken for it. */
static const scim_error *read_schemas(json_t *known, const json_t *schemas, const interop *in)
{
    const char *core = in->type->schema->urn;
    if (json_array_size(schemas) == 0) {
        return schemas_fault(schemas, core, in->pool);
    }
    apr_hash_t *seen = apr_hash_make(in->pool);
    bool has_core = false, has_foreign = false;
    apr_size_t i;
    json_t *item;
    json_array_foreach (schemas, i, item) {
        const char *urn = json_string_value(item);
        if (!urn) {
            return schemas_fault(schemas, core, in->pool);
        }
        const scim_schema *schema = scim_type_schema(in->type, urn, strlen(urn));
        SCIM_ERR(check_urn(seen, urn, schema != NULL, in));
        has_core = has_core || schema == in->type->schema;
        has_foreign = has_foreign || !schema;
        if (schema) {
            scim_json_append(known, scim_json_text(schema->urn));
        }
    }
    if (!has_core && !has_foreign) {
        return scim_error_make(in->pool, SCIM_E_INVALID_VALUE, "\"schemas\" does not list %s",
                               core);
    }
    if (!has_core) {
        scim_json_insert(known, 0, scim_json_text(core));
    }
    return NULL;
}

const scim_error *scim_interop_resource(json_t **out, const json_t *body,
                                        const scim_resource_type *type, bool lenient,
                                        apr_pool_t *result_pool)
{
    interop in = {type, lenient, false, result_pool};
    json_t *known = scim_json_adopt(scim_json_array(), result_pool);
    json_t *result = scim_json_adopt_secret(scim_json_object(), result_pool);

    SCIM_ERR(read_schemas(known, scim_json_get(body, "schemas", NULL), &in));
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)body, key, value) {
        SCIM_ERR(put_key(result, key, value, &in));
    }
    scim_json_set(result, "schemas", json_incref(known));
    *out = result;
    return NULL;
}

/* PATCH. */

static void put_operation(json_t *operations, const char *op, const char *path, json_t *value)
{
    json_t *operation = scim_json_object();
    scim_json_set(operation, "op", scim_json_text(op));
    scim_json_set(operation, "path", scim_json_text(path));
    scim_json_set(operation, "value", value);
    scim_json_append(operations, operation);
}

static json_t *normal_extension(const json_t *value, const scim_schema *schema)
{
    if (!json_is_object(value)) {
        return share(value);
    }
    json_t *object = scim_json_object();
    const char *key;
    json_t *item;
    json_object_foreach ((json_t *)value, key, item) {
        const scim_attribute *attribute = scim_schema_attribute(schema, key, strlen(key));
        scim_json_set(object, attribute ? attribute->name : key,
                      attribute ? normal(item, attribute, false) : share(item));
    }
    return object;
}

/* The value of an operation whose path is text. */
static json_t *normal_at(const char *text, const json_t *value, const interop *in)
{
    scim_path path;
    if (!value || !in->lenient || scim_path_attribute(&path, text, in->type) != SCIM_PATH_OK) {
        return share(value);
    }
    if (!path.attribute) {
        return normal_extension(value, path.extension);
    }
    bool element = !path.sub && strchr(text, '[');
    return normal(value, scim_path_leaf(&path), element);
}

/* Whether a key of a value without path must become an operation of its own:
 * where it picks elements of an attribute that a client may write. */
static bool needs_path(const char *key, const interop *in)
{
    scim_path path;
    return scim_path_attribute(&path, key, in->type) == SCIM_PATH_OK && path.attribute &&
           path.attribute->mutability != SCIM_READ_ONLY && is_value_path(&path, key);
}

static const scim_error *put_pathless(json_t *operations, const char *op, const json_t *value,
                                      const interop *in)
{
    json_t *rest = NULL; /* of the last operation, where that has no path */
    const char *key;
    json_t *item;
    json_object_foreach ((json_t *)value, key, item) {
        if (needs_path(key, in)) {
            put_operation(operations, op, key, normal_at(key, item, in));
            rest = NULL;
            continue;
        }
        if (!rest) {
            rest = scim_json_object();
            put_operation(operations, op, NULL, rest);
        }
        SCIM_ERR(put_key(rest, key, item, in));
    }
    return NULL;
}

/* add members[value eq "x"], which says all without a value. */
static const scim_error *put_named_member(json_t *operations, const char *text, bool *done,
                                          const interop *in)
{
    scim_path path;
    *done = false;
    if (scim_path_attribute(&path, text, in->type) != SCIM_PATH_OK || !path.attribute ||
        path.attribute != in->type->members || path.sub) {
        return NULL;
    }
    SCIM_ERR(scim_path_parse(&path, text, in->type, in->pool));
    json_t *member = path.filter ? scim_filter_template(path.filter, in->pool) : NULL;
    if (member && json_object_get(member, "value")) {
        put_operation(operations, "add", path.attribute->path, scim_json_pack("[O]", member));
        *done = true;
    }
    return NULL;
}

static const scim_error *read_op(const char **out, const json_t *operation, apr_pool_t *pool)
{
    static const char *const names[] = {"add", "remove", "replace"};
    const char *op = scim_json_string(operation, "op");
    for (size_t i = 0; op && i < sizeof(names) / sizeof(*names); i++) {
        if (scim_text_casecmp(op, names[i]) == 0) {
            *out = names[i];
            return NULL;
        }
    }
    return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                           "op must be \"add\", \"remove\" or \"replace\", and %s%s",
                           op ? "is " : "is missing", op ? op : "");
}

static const scim_error *read_operation(json_t *operations, const json_t *operation,
                                        const interop *in)
{
    const char *op = NULL;
    if (!json_is_object(operation)) {
        return scim_error_make(in->pool, SCIM_E_INVALID_SYNTAX, "must be an object, is %s",
                               scim_json_kind(operation));
    }
    SCIM_ERR(read_op(&op, operation, in->pool));
    const json_t *path = scim_json_get(operation, "path", NULL);
    const json_t *value = scim_json_get(operation, "value", NULL);
    const char *text = json_string_value(path);
    if (path && !text && !json_is_null(path)) {
        return scim_error_make(in->pool, SCIM_E_INVALID_SYNTAX, "path must be a string, is %s",
                               scim_json_kind(path));
    }

    bool removes = strcmp(op, "remove") == 0;
    bool whole = !text || scim_text_casecmp(text, in->type->schema->urn) == 0;
    if (whole && !removes && json_is_object(value) && json_object_size(value) > 0) {
        return put_pathless(operations, op, value, in);
    }
    if (in->lenient && text && !value && strcmp(op, "add") == 0) {
        bool done;
        SCIM_ERR(put_named_member(operations, text, &done, in));
        if (done) {
            return NULL;
        }
    }
    put_operation(operations, op, text, text ? normal_at(text, value, in) : share(value));
    return NULL;
}

static const scim_error *check_message(const json_t *schemas, const interop *in)
{
    if (in->lenient && (!schemas || json_is_null(schemas))) {
        return NULL;
    }
    bool found = false, other = !json_is_array(schemas);
    apr_size_t i;
    json_t *item;
    json_array_foreach (schemas, i, item) {
        const char *urn = json_string_value(item);
        if (urn && scim_text_casecmp(urn, SCIM_URN_PATCH) == 0) {
            found = true;
        } else {
            other = true;
        }
    }
    return found && (in->lenient || !other) ? NULL
                                            : schemas_fault(schemas, SCIM_URN_PATCH, in->pool);
}

static const scim_error *check_operations(const json_t *operations, const interop *in)
{
    if (!operations) {
        return scim_error_make(in->pool, SCIM_E_INVALID_SYNTAX, "\"Operations\" is missing");
    }
    if (!json_is_array(operations)) {
        return scim_error_make(in->pool, SCIM_E_INVALID_SYNTAX,
                               "\"Operations\" must be an array, is %s",
                               scim_json_kind(operations));
    }
    if (json_array_size(operations) == 0 && !in->lenient) {
        return scim_error_make(in->pool, SCIM_E_INVALID_SYNTAX, "\"Operations\" is empty");
    }
    return NULL;
}

const scim_error *scim_interop_patch(json_t **out, const json_t *body,
                                     const scim_resource_type *type, bool lenient,
                                     apr_pool_t *result_pool)
{
    interop in = {type, lenient, true, result_pool};
    const json_t *operations = scim_json_get(body, "Operations", NULL);
    SCIM_ERR(check_operations(operations, &in));
    SCIM_ERR(check_message(scim_json_get(body, "schemas", NULL), &in));

    json_t *result = scim_json_adopt_secret(
        scim_json_pack("{s:[s],s:[]}", "schemas", SCIM_URN_PATCH, "Operations"), result_pool);
    json_t *made = json_object_get(result, "Operations");
    apr_size_t i;
    json_t *operation;
    json_array_foreach (operations, i, operation) {
        const scim_error *err = read_operation(made, operation, &in);
        if (err) {
            return scim_error_at(
                result_pool, err,
                apr_psprintf(result_pool, "Operations[%" APR_SIZE_T_FMT "]: ", i));
        }
    }
    *out = result;
    return NULL;
}
