/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attribute paths: where a name ends, which schema a URN belongs to, and what
 * a PATCH operation may aim at.  Names are only ever resolved through the
 * schema of the type, never by their spelling.
 */
#include "scim/path.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/text.h"

/* ctype.h would ask the locale. */
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '$';
}

const char *scim_path_name_end(const char *text, const char *end)
{
    const char *at = text;

    if (at == end || !(is_letter(*at) || *at == '$')) {
        return text;
    }
    while (at < end && is_name_char(*at)) {
        at++;
    }
    return at;
}

/* Whether text begins with the URN and not with a longer word. */
static bool begins_with_urn(const char *text, const char *end, const char *urn)
{
    apr_size_t len = strlen(urn);

    if ((apr_size_t)(end - text) < len || scim_text_ncasecmp(text, urn, len)) {
        return false;
    }
    return text + len == end || !(is_name_char(text[len]) || text[len] == '.');
}

static const scim_schema *longest_schema(const char *text, const char *end,
                                         const scim_resource_type *type)
{
    const scim_schema *found = NULL;
    int i;

    if (begins_with_urn(text, end, type->schema->urn)) {
        found = type->schema;
    }
    for (i = 0; i < type->extensions_count; i++) {
        const scim_schema *schema = type->extensions[i].schema;
        if (begins_with_urn(text, end, schema->urn) &&
            (!found || strlen(schema->urn) > strlen(found->urn))) {
            found = schema;
        }
    }
    return found;
}

static bool is_foreign_urn(const char *text, const char *end)
{
    return end - text > 4 && !scim_text_ncasecmp(text, "urn:", 4);
}

static const char *urn_end(const char *at, const char *end)
{
    while (at < end && (is_name_char(*at) || *at == ':' || *at == '.')) {
        at++;
    }
    return at;
}

/* An attribute that stands without its extension's URN, as Entra writes
 * "manager": taken where exactly one extension has it. */
static const scim_attribute *find_bare(scim_path *path, const char *name, apr_size_t len,
                                       const scim_resource_type *type)
{
    const scim_attribute *found = NULL;
    int i;

    for (i = 0; i < type->extensions_count; i++) {
        const scim_schema *schema = type->extensions[i].schema;
        const scim_attribute *attribute = scim_schema_attribute(schema, name, len);
        if (attribute && found) {
            path->extension = NULL;
            return NULL;
        }
        if (attribute) {
            found = attribute;
            path->extension = schema;
        }
    }
    return found;
}

static void find_attribute(scim_path *path, const char *name, apr_size_t len, bool qualified,
                           const scim_resource_type *type)
{
    if (path->extension) {
        path->attribute = scim_schema_attribute(path->extension, name, len);
        return;
    }
    path->attribute = scim_type_attribute(type, name, len);
    if (!path->attribute && !qualified) {
        path->attribute = find_bare(path, name, len, type);
    }
}

/* attribute ["." sub-attribute] at *cursor, of out->extension or the type;
 * qualified: a URN stands before it. */
static scim_path_status scan_names(scim_path *out, const char **cursor, const char *end,
                                   bool qualified, const scim_resource_type *type)
{
    const char *name = *cursor;
    const char *name_end = scim_path_name_end(name, end);
    const char *sub = NULL;
    const char *at = name_end;

    if (name_end == name) {
        return SCIM_PATH_MALFORMED;
    }
    if (at < end && *at == '.') {
        sub = at + 1;
        at = scim_path_name_end(sub, end);
        if (at == sub || (at < end && *at == '.')) {
            return SCIM_PATH_MALFORMED;
        }
    }
    *cursor = at;
    find_attribute(out, name, (apr_size_t)(name_end - name), qualified, type);
    if (out->attribute && sub) {
        out->sub = scim_attribute_sub(out->attribute, sub, (apr_size_t)(at - sub));
    }
    return out->attribute && (!sub || out->sub) ? SCIM_PATH_OK : SCIM_PATH_UNKNOWN;
}

scim_path_status scim_path_scan(scim_path *out, const char **cursor, const char *end,
                                const scim_resource_type *type)
{
    const scim_schema *schema = longest_schema(*cursor, end, type);

    memset(out, 0, sizeof(*out));
    if (!schema) {
        if (is_foreign_urn(*cursor, end)) {
            *cursor = urn_end(*cursor, end);
            return SCIM_PATH_UNKNOWN;
        }
        return scan_names(out, cursor, end, false, type);
    }
    /* The type's own URN may stand before any attribute that needs none. */
    out->extension = schema == type->schema ? NULL : schema;
    *cursor += strlen(schema->urn);
    if (*cursor == end || **cursor != ':') {
        return out->extension ? SCIM_PATH_OK : SCIM_PATH_UNKNOWN;
    }
    (*cursor)++;
    return scan_names(out, cursor, end, true, type);
}

/* "." sub-attribute behind a value filter; nothing there is fine too. */
static scim_path_status scan_sub(scim_path *path, const char **cursor, const char *end)
{
    const char *sub;

    if (*cursor == end || **cursor != '.') {
        return SCIM_PATH_OK;
    }
    sub = *cursor + 1;
    *cursor = scim_path_name_end(sub, end);
    if (*cursor == sub) {
        return SCIM_PATH_MALFORMED;
    }
    path->sub = scim_attribute_sub(path->attribute, sub, (apr_size_t)(*cursor - sub));
    return path->sub ? SCIM_PATH_OK : SCIM_PATH_UNKNOWN;
}

/* Behind the "]" that closes the "[" at text; NULL where none does. */
static const char *skip_filter(const char *text, const char *end)
{
    bool quoted = false;
    const char *at;

    for (at = text + 1; at < end; at++) {
        if (*at == '"') {
            quoted = !quoted;
        } else if (quoted && *at == '\\' && at + 1 < end) {
            at++;
        } else if (!quoted && *at == ']') {
            return at + 1;
        }
    }
    return NULL;
}

scim_path_status scim_path_attribute(scim_path *out, const char *text,
                                     const scim_resource_type *type)
{
    const char *at = text;
    const char *end = text + strlen(text);
    scim_path_status status = scim_path_scan(out, &at, end, type);

    if (status == SCIM_PATH_OK && at < end && *at == '[' && out->attribute && !out->sub) {
        at = skip_filter(at, end);
        if (!at) {
            return SCIM_PATH_MALFORMED;
        }
        status = scan_sub(out, &at, end);
    }
    if (status == SCIM_PATH_OK && at != end) {
        return SCIM_PATH_MALFORMED;
    }
    return status;
}

/* What a detail may show of a path: nothing behind the word "password", which
 * is where someone may have put one. */
static const char *shown(const char *text, apr_pool_t *result_pool)
{
    static const char word[] = "password";
    apr_size_t len = strlen(word);
    const char *at;

    for (at = text; *at && scim_text_ncasecmp(at, word, len); at++) {
    }
    if (!*at || !at[len]) {
        return text;
    }
    return apr_psprintf(result_pool, "%.*s...", (int)(at + len - text), text);
}

static const scim_error *status_error(scim_path_status status, const char *text,
                                      const scim_resource_type *type, apr_pool_t *result_pool)
{
    if (status == SCIM_PATH_OK) {
        return NULL;
    }
    if (status == SCIM_PATH_UNKNOWN) {
        return scim_error_make(result_pool, SCIM_E_INVALID_PATH, "%s has no attribute '%s'",
                               type->name, shown(text, result_pool));
    }
    return scim_error_make(result_pool, SCIM_E_INVALID_PATH,
                           "a path is attribute, attribute.sub, attribute[filter] or "
                           "attribute[filter].sub, perhaps after a schema URN and ':', "
                           "and not '%s'",
                           shown(text, result_pool));
}

/* The filter at *cursor, a "[", and the sub-attribute behind it. */
static const scim_error *parse_value_path(scim_path *path, const char **cursor, const char *end,
                                          const char *text, const scim_resource_type *type,
                                          apr_pool_t *result_pool)
{
    const scim_error *err;

    if (!path->attribute || path->sub || !path->attribute->multi_valued) {
        return scim_error_make(result_pool, SCIM_E_INVALID_PATH,
                               "'[' stands only behind a multi-valued attribute, which '%.*s' "
                               "is not, in the path '%s'",
                               (int)(*cursor - text), text, shown(text, result_pool));
    }
    (*cursor)++;
    err = scim_filter_parse_element(&path->filter, cursor, end, text, path->attribute, true,
                                    result_pool);
    if (err && err->code == SCIM_E_INVALID_FILTER) {
        return scim_error_make(result_pool, SCIM_E_INVALID_PATH, "%s, in the path '%s'",
                               err->detail, shown(text, result_pool));
    }
    SCIM_ERR(err);
    return status_error(scan_sub(path, cursor, end), text, type, result_pool);
}

const scim_error *scim_path_parse(scim_path *out, const char *text,
                                  const scim_resource_type *type, apr_pool_t *result_pool)
{
    const char *at = text;
    const char *end = text + strlen(text);

    if (at == end) {
        return scim_error_make(result_pool, SCIM_E_INVALID_PATH, "the path is empty");
    }
    SCIM_ERR(status_error(scim_path_scan(out, &at, end, type), text, type, result_pool));
    if (at < end && *at == '[') {
        SCIM_ERR(parse_value_path(out, &at, end, text, type, result_pool));
    }
    return status_error(at == end ? SCIM_PATH_OK : SCIM_PATH_MALFORMED, text, type,
                        result_pool);
}

const scim_attribute *scim_path_leaf(const scim_path *path)
{
    return path->sub ? path->sub : path->attribute;
}
