/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH of "schemas" (RFC 7644 section 3.5.2, erratum 7122).  The list follows
 * from what a resource has, so that an operation on it is one on extensions:
 * to remove the URN of one is to remove its attributes, and to add it says
 * nothing that they do not.
 */
#include "patch_change.h"
#include "scim/filter.h"
#include "scim/json.h"

static const scim_error *cannot_change(const patch_reader *reader, const char *urn)
{
    return scim_error_make(
        reader->pool, SCIM_E_MUTABILITY,
        "schemas can gain and lose the extensions of a %s, and \"%s\" is none",
        reader->patch->type->name, urn);
}

static void push_removal(patch_reader *reader, const scim_schema *extension)
{
    patch_change *change = apr_array_push(reader->patch->changes);

    *change = (patch_change){
        .kind = PATCH_REMOVE, .path = {.extension = extension}, .where = reader->where};
}

/* One URN of an operation's value. */
static const scim_error *read_urn(patch_reader *reader, const json_t *value)
{
    const scim_resource_type *type = reader->patch->type;
    const char *urn = json_string_value(value);
    const scim_schema *schema =
        urn ? scim_type_schema(type, urn, json_string_length(value)) : NULL;
    bool remove = reader->kind == PATCH_REMOVE;

    if (!urn) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE,
                               "schemas: a URN must be a string, is %s", scim_json_kind(value));
    }
    if (!schema || (remove && schema == type->schema)) {
        return cannot_change(reader, urn);
    }
    if (remove) {
        push_removal(reader, schema);
    }
    return NULL;
}

static bool is_hit(const patch_reader *reader, const scim_filter *filter, const char *urn)
{
    json_t *value = scim_json_adopt(scim_json_text(urn), reader->pool);

    return scim_filter_match_element(filter, value, reader->pool);
}

/* schemas[value eq "urn:..."] */
static const scim_error *remove_where(patch_reader *reader, const scim_filter *filter)
{
    const scim_resource_type *type = reader->patch->type;
    bool found = false;
    int i;

    if (is_hit(reader, filter, type->schema->urn)) {
        return cannot_change(reader, type->schema->urn);
    }
    for (i = 0; i < type->extensions_count; i++) {
        const scim_schema *extension = type->extensions[i].schema;

        if (is_hit(reader, filter, extension->urn)) {
            push_removal(reader, extension);
            found = true;
        }
    }
    if (!found) {
        return scim_error_make(reader->pool, SCIM_E_MUTABILITY,
                               "schemas: no extension of a %s matches the filter", type->name);
    }
    return NULL;
}

const scim_error *scim_patch_read_schemas(patch_reader *reader, const scim_path *path,
                                          const json_t *value)
{
    const json_t *urn;
    size_t i;

    if (reader->kind == PATCH_REMOVE && path->filter) {
        return remove_where(reader, path->filter);
    }
    if (reader->kind == PATCH_REPLACE || path->filter || !value || json_is_null(value)) {
        return scim_error_make(reader->pool, SCIM_E_MUTABILITY,
                               "schemas cannot be changed as a whole: add or remove the URN of "
                               "an extension");
    }
    if (!json_is_array(value)) {
        return read_urn(reader, value);
    }
    json_array_foreach (value, i, urn) {
        SCIM_ERR(read_urn(reader, urn));
    }
    return NULL;
}
