/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projection of resources.
 *
 * One question decides all: is an attribute shown?  "always" is, "never" is
 * not, "request" is when "attributes" names it; "default" is shown when
 * nothing is asked, when "attributes" names it or what it belongs to, and
 * when "excludedAttributes" does not.  A sub-attribute that is "always"
 * comes with its attribute, not without it.  In the answer to a change,
 * "request" is as "default" for what the client wrote.
 */
#include "scim/project.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "scim/json.h"
#include "scim/path.h"
#include "scim/text.h"

struct scim_projection {
    bool exclude;
    /* Of scim_path; one without attribute names a whole schema: the extension,
     * or the core where there is none. */
    apr_array_header_t *paths;
    const apr_array_header_t *written; /* of const scim_attribute *, or NULL */
    const scim_resource_type *type;
};

/* Parsing. */

/* Where the name at text ends: at a comma that stands in no value filter. */
static const char *name_end(const char *text)
{
    int depth = 0;
    bool quoted = false;

    for (; *text && (*text != ',' || depth > 0); text++) {
        if (*text == '"' && depth > 0) {
            quoted = !quoted;
        } else if (quoted && *text == '\\' && text[1]) {
            text++;
        } else if (!quoted && *text == '[') {
            depth++;
        } else if (!quoted && *text == ']' && depth > 0) {
            depth--;
        }
    }
    return text;
}

/* The names of a list without the blanks around them; empty ones are none. */
static apr_array_header_t *split(const char *list, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 8, sizeof(const char *));

    while (list && *list) {
        const char *start = list + strspn(list, " \t");
        const char *end = name_end(start);
        const char *last = end;
        while (last > start && strchr(" \t", last[-1])) {
            last--;
        }
        if (last > start) {
            APR_ARRAY_PUSH(names, const char *) =
                apr_pstrmemdup(pool, start, (apr_size_t)(last - start));
        }
        list = *end ? end + 1 : end;
    }
    return names;
}

static bool read_path(scim_path *out, const char *name, const scim_resource_type *type)
{
    if (scim_path_attribute(out, name, type) == SCIM_PATH_OK) {
        return true;
    }
    memset(out, 0, sizeof(*out));
    return scim_text_casecmp(name, type->schema->urn) == 0;
}

static scim_projection *make(bool exclude, int paths, const scim_resource_type *type,
                             apr_pool_t *pool)
{
    scim_projection *projection = apr_pcalloc(pool, sizeof(*projection));

    projection->exclude = exclude;
    projection->type = type;
    projection->paths = apr_array_make(pool, paths, sizeof(scim_path));
    return projection;
}

const scim_error *scim_projection_parse(const scim_projection **out, const char *attributes,
                                        const char *excluded, const scim_resource_type *type,
                                        apr_pool_t *result_pool)
{
    *out = NULL;
    if (!attributes && !excluded) {
        return NULL;
    }
    const apr_array_header_t *shown = split(attributes, result_pool);
    const apr_array_header_t *hidden = split(excluded, result_pool);

    if (shown->nelts > 0 && hidden->nelts > 0) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "attributes and excludedAttributes exclude each other: "
                               "give one of them");
    }
    const apr_array_header_t *names = hidden->nelts > 0 ? hidden : shown;
    if (names->nelts == 0) {
        return NULL;
    }
    scim_projection *projection = make(names == hidden, names->nelts, type, result_pool);
    for (int i = 0; i < names->nelts; i++) {
        scim_path path;
        if (read_path(&path, APR_ARRAY_IDX(names, i, const char *), type)) {
            APR_ARRAY_PUSH(projection->paths, scim_path) = path;
        }
    }
    *out = projection;
    return NULL;
}

/* What was written. */

static void note_written(apr_array_header_t *written, const scim_attribute *attribute)
{
    if (attribute->returned == SCIM_RETURNED_REQUEST) {
        APR_ARRAY_PUSH(written, const scim_attribute *) = attribute;
    }
}

void scim_projection_wrote(apr_array_header_t *written, const scim_attribute *attribute,
                           const json_t *value)
{
    note_written(written, attribute);
    for (size_t i = 0; i < json_array_size(value); i++) {
        scim_projection_wrote(written, attribute, json_array_get(value, i));
    }
    for (int i = 0; i < attribute->subs_count && json_is_object(value); i++) {
        if (scim_json_get(value, attribute->subs[i].name, NULL)) {
            note_written(written, &attribute->subs[i]);
        }
    }
}

/* Whether it, or a part of it, would be noted where it is written. */
static bool on_request(const scim_attribute *attribute)
{
    bool found = attribute->returned == SCIM_RETURNED_REQUEST;

    for (int i = 0; i < attribute->subs_count && !found; i++) {
        found = attribute->subs[i].returned == SCIM_RETURNED_REQUEST;
    }
    return found;
}

static void wrote_schema(apr_array_header_t *written, const json_t *object,
                         const scim_schema *schema)
{
    for (int i = 0; i < schema->attributes_count; i++) {
        const scim_attribute *attribute = &schema->attributes[i];
        const json_t *value =
            on_request(attribute) ? scim_json_get(object, attribute->name, NULL) : NULL;
        if (value) {
            scim_projection_wrote(written, attribute, value);
        }
    }
}

void scim_projection_wrote_resource(apr_array_header_t *written, const json_t *resource,
                                    const scim_resource_type *type)
{
    wrote_schema(written, resource, type->schema);
    for (int i = 0; i < type->extensions_count; i++) {
        const scim_schema *schema = type->extensions[i].schema;
        wrote_schema(written, scim_json_get(resource, schema->urn, NULL), schema);
    }
}

const scim_projection *scim_projection_answer(const scim_projection *asked,
                                              const apr_array_header_t *written,
                                              const scim_resource_type *type,
                                              apr_pool_t *result_pool)
{
    if (written->nelts == 0) {
        return asked;
    }
    scim_projection *projection = make(true, 0, type, result_pool);
    if (asked) {
        *projection = *asked;
    }
    projection->written = written;
    return projection;
}

/* What is shown. */

/* How the paths name a top-level attribute: more than one may be true. */
typedef struct naming {
    bool schema; /* with all of its schema */
    bool whole;
    bool below; /* one of its sub-attributes */
} naming;

static naming name_of(const scim_projection *projection, const scim_attribute *attribute)
{
    naming named = {false, false, false};

    for (int i = 0; i < projection->paths->nelts; i++) {
        const scim_path *path = &APR_ARRAY_IDX(projection->paths, i, scim_path);
        if (!path->attribute) {
            const scim_schema *schema =
                path->extension ? path->extension : projection->type->schema;
            named.schema |= attribute->schema == schema;
        } else if (path->attribute == attribute) {
            named.whole |= !path->sub;
            named.below |= path->sub != NULL;
        }
    }
    return named;
}

static bool names_sub(const scim_projection *projection, const scim_attribute *sub)
{
    for (int i = 0; i < projection->paths->nelts; i++) {
        if (APR_ARRAY_IDX(projection->paths, i, scim_path).sub == sub) {
            return true;
        }
    }
    return false;
}

static bool is_default(const scim_projection *projection, const scim_attribute *attribute)
{
    if (!projection || !projection->written || attribute->returned != SCIM_RETURNED_REQUEST) {
        return attribute->returned == SCIM_RETURNED_DEFAULT;
    }
    for (int i = 0; i < projection->written->nelts; i++) {
        if (APR_ARRAY_IDX(projection->written, i, const scim_attribute *) == attribute) {
            return true;
        }
    }
    return false;
}

bool scim_projection_wants(const scim_projection *projection, const scim_attribute *attribute)
{
    bool by_default = is_default(projection, attribute);

    if (attribute->returned == SCIM_RETURNED_NEVER) {
        return false;
    }
    if (attribute->returned == SCIM_RETURNED_ALWAYS) {
        return true;
    }
    if (!projection) {
        return by_default;
    }
    naming named = name_of(projection, attribute);
    if (projection->exclude) {
        return by_default && !named.schema && !named.whole;
    }
    return named.whole || named.below || (by_default && named.schema);
}

/* Of an attribute that is shown itself. */
static bool wants_sub(const scim_projection *projection, const scim_attribute *sub)
{
    if (sub->returned == SCIM_RETURNED_NEVER || sub->returned == SCIM_RETURNED_ALWAYS) {
        return sub->returned == SCIM_RETURNED_ALWAYS;
    }
    bool by_default = is_default(projection, sub);
    if (!projection) {
        return by_default;
    }
    bool named = names_sub(projection, sub);
    if (projection->exclude) {
        return by_default && !named;
    }
    naming parent = name_of(projection, sub->parent);
    return named || (by_default && (parent.whole || parent.schema || !parent.below));
}

/* Building the new object.  Values are new references throughout; NULL is a
 * value of which nothing is left. */

/* The sub-attributes that are shown of one attribute, settled once for all
 * of its elements, of which members may have very many. */
typedef struct selection {
    const scim_attribute **subs;
    int count;
} selection;

static json_t *select_object(const selection *shown, const json_t *object)
{
    json_t *out = scim_json_object();

    for (int i = 0; i < shown->count; i++) {
        json_t *value = json_object_get(object, shown->subs[i]->name);
        if (value) {
            scim_json_set(out, shown->subs[i]->name, json_incref(value));
        }
    }
    if (json_object_size(out) == 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *select_array(const selection *shown, const json_t *array)
{
    json_t *out = scim_json_array();

    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *element = select_object(shown, json_array_get(array, i));
        if (element) {
            scim_json_append(out, element);
        }
    }
    /* an attribute that was empty before is shown as it was */
    if (json_array_size(out) == 0 && json_array_size(array) > 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static selection select_subs(const scim_projection *projection, const scim_attribute *attribute,
                             apr_pool_t *pool)
{
    apr_size_t most = (apr_size_t)attribute->subs_count;
    selection shown = {apr_palloc(pool, most * sizeof(*shown.subs)), 0};

    for (int i = 0; i < attribute->subs_count; i++) {
        if (wants_sub(projection, &attribute->subs[i])) {
            shown.subs[shown.count++] = &attribute->subs[i];
        }
    }
    return shown;
}

static json_t *project_value(const scim_projection *projection, json_t *value,
                             const scim_attribute *attribute, apr_pool_t *pool)
{
    if (attribute->type != SCIM_TYPE_COMPLEX) {
        return json_incref(value);
    }
    selection shown = select_subs(projection, attribute, pool);
    if (shown.count == attribute->subs_count) {
        return json_incref(value);
    }
    return json_is_array(value) ? select_array(&shown, value) : select_object(&shown, value);
}

static void project_member(const scim_projection *projection, json_t *out, const char *key,
                           json_t *value, const scim_attribute *attribute, apr_pool_t *pool)
{
    if (!attribute || !scim_projection_wants(projection, attribute)) {
        return;
    }
    json_t *shown = project_value(projection, value, attribute, pool);
    if (shown) {
        scim_json_set(out, key, shown);
    }
}

static void project_extension(const scim_projection *projection, json_t *out, const char *key,
                              json_t *value, const scim_schema *schema, apr_pool_t *pool)
{
    json_t *shown = scim_json_object();
    const char *name;
    json_t *member;

    json_object_foreach (value, name, member) {
        const scim_attribute *attribute = scim_schema_attribute(schema, name, strlen(name));
        project_member(projection, shown, name, member, attribute, pool);
    }
    if (json_object_size(shown) > 0) {
        scim_json_set(out, key, json_incref(shown));
    }
    json_decref(shown);
}

json_t *scim_projection_apply(const scim_projection *projection, const json_t *resource,
                              const scim_resource_type *type, apr_pool_t *result_pool)
{
    json_t *out = scim_json_adopt(scim_json_object(), result_pool);
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)resource, key, value) {
        apr_size_t len = strlen(key);
        const scim_schema *schema = scim_type_schema(type, key, len);
        if (schema && scim_type_is_extension(type, schema)) {
            project_extension(projection, out, key, value, schema, result_pool);
        } else {
            const scim_attribute *attribute = scim_type_attribute(type, key, len);
            project_member(projection, out, key, value, attribute, result_pool);
        }
    }
    return out;
}
