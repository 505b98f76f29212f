/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH, the first half: reads a PatchOp message into changes (patch_change.h)
 * and refuses what can be refused without the resource.
 */
#include "scim/patch.h"

#include <string.h>

#include <apr_strings.h>

#include "patch_change.h"
#include "scim/filter.h"
#include "scim/json.h"
#include "scim/project.h"
#include "scim/text.h"
#include "scim/validate.h"

static const scim_error *read_target(patch_reader *reader, const scim_path *path,
                                     const json_t *value);

/* What only the server writes, whatever a schema document says of it. */
static bool is_read_only(const scim_attribute *attribute)
{
    switch (attribute->role) {
    case SCIM_ROLE_SCHEMAS:
    case SCIM_ROLE_ID:
    case SCIM_ROLE_META:
    case SCIM_ROLE_GROUPS:
        return true;
    default:
        return attribute->mutability == SCIM_READ_ONLY;
    }
}

static const scim_error *check_writable(const scim_path *path, apr_pool_t *pool)
{
    const scim_attribute *attribute = path->attribute;

    if (attribute && path->sub && !is_read_only(attribute)) {
        attribute = path->sub;
    }
    if (attribute && is_read_only(attribute)) {
        return scim_error_make(pool, SCIM_E_MUTABILITY, "%s is readOnly", attribute->path);
    }
    return NULL;
}

/* The required attribute that an operation on path would take away, or NULL.
 * One element of many may go; what is left is checked on the whole resource.
 * So may the value of a reference, which ends the reference. */
static const scim_attribute *required_target(const scim_path *path)
{
    const scim_attribute *leaf = scim_path_leaf(path);

    if (!leaf || !leaf->required || (path->filter && !path->sub) ||
        (path->sub && path->attribute->role == SCIM_ROLE_REFERENCE)) {
        return NULL;
    }
    return leaf;
}

static void push(patch_reader *reader, patch_kind kind, const scim_path *path,
                 const json_t *value)
{
    patch_change *change = apr_array_push(reader->patch->changes);

    change->kind = kind;
    change->path = *path;
    change->value = value;
    change->template = path->filter ? scim_filter_template(path->filter, reader->pool) : NULL;
    change->where = reader->where;
}

/* An add or replace whose value is none: the target is cleared, but where an
 * add would not put something in its place. */
static const scim_error *push_clear(patch_reader *reader, const scim_path *path)
{
    const scim_attribute *leaf = scim_path_leaf(path);
    const scim_attribute *required = required_target(path);

    if (reader->kind == PATCH_ADD && (!leaf || leaf->multi_valued)) {
        return NULL;
    }
    if (required) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE,
                               "%s is required and cannot be empty", required->path);
    }
    push(reader, PATCH_REMOVE, path, NULL);
    return NULL;
}

static const scim_error *unknown_name(const patch_reader *reader, const char *parent,
                                      const char *name)
{
    if (reader->patch->lenient) {
        return NULL;
    }
    return scim_error_make(reader->pool, SCIM_E_INVALID_SYNTAX, "%s has no attribute \"%s\"",
                           parent, name);
}

static const scim_error *not_an_object(const patch_reader *reader, const char *name,
                                       const json_t *value)
{
    return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE, "%s must be an object, is %s",
                           name, scim_json_kind(value));
}

/* A single-valued complex attribute: each sub-attribute is a target. */
static const scim_error *read_complex(patch_reader *reader, const scim_path *path,
                                      const json_t *value)
{
    const scim_attribute *attribute = path->attribute;
    const char *key;
    json_t *sub_value;

    if (scim_patch_empty(value)) {
        return reader->kind == PATCH_ADD ? NULL : push_clear(reader, path);
    }
    if (!json_is_object(value)) {
        return not_an_object(reader, attribute->path, value);
    }
    json_object_foreach ((json_t *)value, key, sub_value) {
        scim_path target = *path;

        target.sub = scim_attribute_sub(attribute, key, strlen(key));
        if (!target.sub) {
            SCIM_ERR(unknown_name(reader, attribute->path, key));
        } else if (!is_read_only(target.sub)) {
            SCIM_ERR(read_target(reader, &target, sub_value));
        }
    }
    return NULL;
}

static const scim_error *read_password(patch_reader *reader, const scim_path *path,
                                       const json_t *value)
{
    scim_patch *patch = reader->patch;
    json_t *canonical;

    SCIM_ERR(scim_validate_value(&canonical, value, path->attribute, false,
                                 path->attribute->path, patch->lenient, reader->pool));
    patch->password = json_string_value(canonical);
    patch->password_cleared = !canonical;
    return canonical ? scim_validate_password(patch->password, reader->pool) : NULL;
}

static json_t *array_of(json_t *element, apr_pool_t *pool)
{
    json_t *array = scim_json_array();

    scim_json_append(array, json_incref(element));
    return scim_json_adopt(array, pool);
}

/* A target that is written as a whole, or an element of one.  RFC 7644 lets
 * an add name one new element without an array around it. */
static const scim_error *read_leaf(patch_reader *reader, const scim_path *path,
                                   const json_t *value)
{
    const scim_attribute *leaf = scim_path_leaf(path);
    bool in_place = path->filter && !path->sub;
    bool single =
        leaf->multi_valued && !in_place && !json_is_array(value) && reader->kind == PATCH_ADD;
    json_t *canonical;

    if (scim_patch_empty(value)) {
        return push_clear(reader, path);
    }
    SCIM_ERR(scim_validate_value(&canonical, value, leaf, in_place || single, leaf->path,
                                 reader->patch->lenient, reader->pool));
    if (canonical) {
        push(reader, reader->kind, path,
             single ? array_of(canonical, reader->pool) : canonical);
        return NULL;
    }
    /* A value of which nothing is left had nothing but readOnly attributes in
     * it: they are ignored, and clear nothing. */
    return scim_json_unassigned(value) ? push_clear(reader, path) : NULL;
}

/* An add or replace with its value. */
static const scim_error *read_target(patch_reader *reader, const scim_path *path,
                                     const json_t *value)
{
    const scim_attribute *attribute = path->attribute;

    switch (attribute->role) {
    case SCIM_ROLE_MEMBERS:
        return scim_patch_read_members(reader, path, value);
    case SCIM_ROLE_PASSWORD:
        return read_password(reader, path, value);
    case SCIM_ROLE_REFERENCE:
        return read_leaf(reader, path, value);
    default:
        break;
    }
    if (attribute->type == SCIM_TYPE_COMPLEX && !attribute->multi_valued && !path->sub) {
        return read_complex(reader, path, value);
    }
    return read_leaf(reader, path, value);
}

static const scim_error *read_object(patch_reader *reader, const scim_schema *extension,
                                     const char *name, const json_t *value);

/* What stands under a schema's URN: a whole extension, or core attributes
 * nested under their own. */
static const scim_error *read_schema(patch_reader *reader, const scim_schema *schema,
                                     const json_t *value)
{
    scim_path path = {.extension = schema};

    if (!scim_type_is_extension(reader->patch->type, schema)) {
        return read_object(reader, NULL, schema->urn, value);
    }
    if (scim_patch_empty(value)) {
        return push_clear(reader, &path);
    }
    return read_object(reader, schema, schema->urn, value);
}

/* One member of an object of attributes.  A readOnly one is ignored: clients
 * send back the whole resource that they read. */
static const scim_error *read_member(const patch_reader *reader, const scim_schema *extension,
                                     const char *key, const json_t *value)
{
    const scim_resource_type *type = reader->patch->type;
    apr_size_t len = strlen(key);
    const scim_schema *schema = extension ? NULL : scim_type_schema(type, key, len);
    scim_path path = {.extension = extension};
    patch_reader nested = *reader;

    if (schema) {
        return read_schema(&nested, schema, value);
    }
    path.attribute = extension ? scim_schema_attribute(extension, key, len)
                               : scim_type_attribute(type, key, len);
    if (!path.attribute) {
        return unknown_name(reader, extension ? extension->urn : type->name, key);
    }
    if (is_read_only(path.attribute)) {
        return NULL;
    }
    nested.place = apr_psprintf(reader->pool, "%s.%s", reader->place, path.attribute->name);
    return read_target(&nested, &path, value);
}

/* An object of attributes: of an extension, or (NULL) of those that stand
 * without a URN. */
static const scim_error *read_object(patch_reader *reader, const scim_schema *extension,
                                     const char *name, const json_t *value)
{
    const char *key;
    json_t *member;

    if (!json_is_object(value)) {
        return not_an_object(reader, name, value);
    }
    json_object_foreach ((json_t *)value, key, member) {
        SCIM_ERR(read_member(reader, extension, key, member));
    }
    return NULL;
}

static const scim_error *read_pathless(patch_reader *reader, const json_t *value)
{
    if (reader->kind == PATCH_REMOVE) {
        return scim_error_make(reader->pool, SCIM_E_NO_TARGET, "remove needs a path");
    }
    if (!value) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE, "value is missing");
    }
    if (json_is_object(value) && json_object_size(value) == 0) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE,
                               "without a path, value must name at least one attribute");
    }
    return read_object(reader, NULL, "without a path, value", value);
}

/* The elements that a remove lists in its value, as Entra does: those go, not
 * all.  The RFC knows no such value; the rfc profile ignores it. */
static const scim_error *read_listed(patch_reader *reader, const scim_path *path,
                                     const json_t *value)
{
    const scim_attribute *attribute = path->attribute;
    json_t *canonical;

    SCIM_ERR(scim_validate_value(&canonical, value, attribute, false, attribute->path, true,
                                 reader->pool));
    if (canonical) {
        push(reader, PATCH_REMOVE, path, canonical);
    }
    return NULL;
}

static const scim_error *read_removal(patch_reader *reader, const scim_path *path,
                                      const json_t *value)
{
    const scim_attribute *attribute = path->attribute;
    const scim_attribute *required = required_target(path);

    if (required) {
        return scim_error_make(reader->pool, SCIM_E_MUTABILITY,
                               "%s is required and cannot be removed", required->path);
    }
    if (attribute && attribute->role == SCIM_ROLE_MEMBERS) {
        return scim_patch_read_members(reader, path, value);
    }
    if (attribute && attribute->role == SCIM_ROLE_PASSWORD) {
        return read_password(reader, path, json_null());
    }
    if (reader->patch->lenient && value && !json_is_null(value) && attribute &&
        attribute->multi_valued && !path->filter && !path->sub) {
        return read_listed(reader, path, value);
    }
    push(reader, PATCH_REMOVE, path, NULL);
    return NULL;
}

static const scim_error *read_at_path(patch_reader *reader, const char *text,
                                      const json_t *value)
{
    scim_path path;

    SCIM_ERR(scim_path_parse(&path, text, reader->patch->type, reader->pool));
    if (path.attribute && path.attribute->role == SCIM_ROLE_SCHEMAS) {
        return scim_patch_read_schemas(reader, &path, value);
    }
    SCIM_ERR(check_writable(&path, reader->pool));
    if (reader->kind == PATCH_REMOVE) {
        return read_removal(reader, &path, value);
    }
    if (!value) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE, "value is missing");
    }
    if (!path.attribute) {
        return read_schema(reader, path.extension, value);
    }
    return read_target(reader, &path, value);
}

static const scim_error *read_kind(patch_reader *reader, const json_t *operation)
{
    static const char *const names[] = {
        [PATCH_ADD] = "add",
        [PATCH_REMOVE] = "remove",
        [PATCH_REPLACE] = "replace",
    };
    const char *op = json_string_value(json_object_get(operation, "op"));
    patch_kind kind;

    for (kind = PATCH_ADD; op && kind <= PATCH_REPLACE; kind++) {
        if (strcmp(op, names[kind]) == 0) {
            reader->kind = kind;
            return NULL;
        }
    }
    return scim_error_make(reader->pool, SCIM_E_INVALID_SYNTAX,
                           "op must be \"add\", \"remove\" or \"replace\"");
}

static const scim_error *read_operation(patch_reader *reader, const json_t *operation)
{
    const json_t *path = json_object_get(operation, "path");
    const json_t *value = json_object_get(operation, "value");

    if (!json_is_object(operation)) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_SYNTAX, "must be an object, is %s",
                               scim_json_kind(operation));
    }
    SCIM_ERR(read_kind(reader, operation));
    if (!path || json_is_null(path)) {
        return read_pathless(reader, value);
    }
    if (!json_is_string(path)) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_PATH,
                               "path must be a string, is %s", scim_json_kind(path));
    }
    return read_at_path(reader, json_string_value(path), value);
}

static const scim_error *check_schemas(const json_t *schemas, apr_pool_t *pool)
{
    const json_t *urn;
    size_t i;

    json_array_foreach (schemas, i, urn) {
        if (json_is_string(urn) &&
            scim_text_casecmp(json_string_value(urn), SCIM_URN_PATCH) == 0) {
            return NULL;
        }
    }
    return scim_error_make(pool, SCIM_E_INVALID_SYNTAX, "schemas must list %s", SCIM_URN_PATCH);
}

static const scim_error *check_operations(const json_t *operations, bool lenient,
                                          apr_pool_t *pool)
{
    if (!json_is_array(operations)) {
        return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                               "Operations must be an array of operations");
    }
    if (json_array_size(operations) == 0 && !lenient) {
        return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                               "Operations must hold at least one operation");
    }
    if (json_array_size(operations) > SCIM_PATCH_MAX_OPERATIONS) {
        return scim_error_make(pool, SCIM_E_TOO_LARGE,
                               "Operations holds %" APR_SIZE_T_FMT " operations, at most %d are"
                               " taken in one request",
                               json_array_size(operations), SCIM_PATCH_MAX_OPERATIONS);
    }
    return NULL;
}

static const scim_error *read_operations(scim_patch *patch, const json_t *operations,
                                         apr_pool_t *pool)
{
    patch_reader reader = {.patch = patch, .pool = pool};
    const json_t *operation;
    const scim_error *err;
    size_t i;

    json_array_foreach (operations, i, operation) {
        reader.at = apr_psprintf(pool, "Operations[%" APR_SIZE_T_FMT "]", i);
        reader.where = apr_pstrcat(pool, reader.at, ": ", NULL);
        reader.place = apr_pstrcat(pool, reader.at, ".value", NULL);
        err = read_operation(&reader, operation);
        if (err) {
            return scim_error_at(pool, err, reader.where);
        }
    }
    return NULL;
}

const scim_error *scim_patch_parse(const scim_patch **out, const json_t *body,
                                   const scim_resource_type *type, bool lenient,
                                   apr_pool_t *result_pool)
{
    const json_t *operations = json_object_get(body, "Operations");
    scim_patch *patch = apr_pcalloc(result_pool, sizeof(*patch));

    SCIM_ERR(check_schemas(json_object_get(body, "schemas"), result_pool));
    SCIM_ERR(check_operations(operations, lenient, result_pool));
    patch->type = type;
    patch->lenient = lenient;
    patch->changes =
        apr_array_make(result_pool, (int)json_array_size(operations), sizeof(patch_change));
    SCIM_ERR(read_operations(patch, operations, result_pool));
    *out = patch;
    return NULL;
}

void scim_patch_wrote(const scim_patch *patch, apr_array_header_t *written)
{
    int i;

    for (i = 0; i < patch->changes->nelts; i++) {
        const patch_change *change = &APR_ARRAY_IDX(patch->changes, i, patch_change);

        if (change->path.attribute) {
            scim_projection_wrote(written, change->path.attribute,
                                  change->path.sub ? NULL : change->value);
        }
        if (change->path.sub) {
            scim_projection_wrote(written, change->path.sub, change->value);
        }
    }
}
