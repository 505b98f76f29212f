/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a record to the wire.  The stored JSON begins with "schemas"; id goes
 * right behind it, the edges and meta at the end, and all else is copied: a
 * read neither parses nor dumps JSON unless a projection is asked.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/json.h"
#include "scim/member.h"
#include "scim/render.h"
#include "scim/time.h"

/* Behind the quote that ends a string; "end" where none does. */
static const char *behind_string(const char *at, const char *end)
{
    while (at < end) {
        const char *quote = memchr(at, '"', (apr_size_t)(end - at));
        const char *escape = quote ? memchr(at, '\\', (apr_size_t)(quote - at)) : NULL;

        if (!escape) {
            return quote ? quote + 1 : end;
        }
        at = escape + 2;
    }
    return end;
}

/* Where the text behind the "schemas" of a stored object begins; 0 where it
 * does not begin with them. */
static apr_size_t behind_schemas(const char *json, apr_size_t len)
{
    static const char head[] = "{\"schemas\":[";
    const char *at = json + sizeof(head) - 1, *end = json + len;

    if (len < sizeof(head) || memcmp(json, head, sizeof(head) - 1)) {
        return 0;
    }
    while (at < end && *at != ']') {
        at = *at == '"' ? behind_string(at + 1, end) : at + 1;
    }
    return at < end ? (apr_size_t)(at + 1 - json) : 0;
}

static void put_string(scim_buffer *out, const char *text)
{
    scim_buffer_string(out, text, strlen(text));
}

/* An id has no character that JSON escapes. */
static void put_id(scim_buffer *out, const char *id)
{
    scim_buffer_puts(out, "\"");
    scim_buffer_add(out, id, SCIM_ID_TEXT);
    scim_buffer_puts(out, "\"");
}

/* What stands before the id in a URL, as JSON. */
static void put_endpoint(scim_buffer *out, const char *base_url, const scim_resource_type *type)
{
    scim_buffer_escape(out, base_url, strlen(base_url));
    scim_buffer_puts(out, type->endpoint);
    scim_buffer_puts(out, "/");
}

const char *scim_render_location(const char *base_url, const scim_resource_type *type,
                                 const scim_id *id, apr_pool_t *result_pool)
{
    char text[SCIM_ID_TEXT + 1];

    return apr_pstrcat(result_pool, base_url, type->endpoint, "/", scim_id_format(id, text),
                       NULL);
}

/* The elements of members or groups, as they come from the store.  What those of
 * one type have in common is made once. */
typedef struct edge_list {
    scim_buffer *out;
    const char *name;
    const char *base_url;
    bool membership; /* whether an element says direct or indirect */
    bool begun;
    const scim_resource_type *type; /* that these two are of */
    scim_buffer *reference;         /* ,"$ref":"https://host/scim/v2/Users/ */
    scim_buffer *kind;              /* ,"type":"User" */
    apr_pool_t *pool;
} edge_list;

static void learn_type(edge_list *list, const scim_resource_type *type)
{
    list->type = type;
    list->reference = scim_buffer_make(128, list->pool);
    scim_buffer_puts(list->reference, ",\"$ref\":\"");
    put_endpoint(list->reference, list->base_url, type);
    list->kind = scim_buffer_make(32, list->pool);
    scim_buffer_puts(list->kind, ",\"type\":");
    put_string(list->kind, type->name);
}

static void begin_edge(edge_list *list)
{
    scim_buffer *out = list->out;

    if (list->begun) {
        scim_buffer_add(out, ",", 1);
        return;
    }
    scim_buffer_puts(out, ",\"");
    scim_buffer_puts(out, list->name);
    scim_buffer_puts(out, "\":[");
    list->begun = true;
}

static char *put(char *at, const char *text, apr_size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static const char value_key[] = "{\"value\":\"", display_key[] = ",\"display\":";

/* value and $ref of a resource that is there, in one piece: a group of a million
 * has this done a million times. */
static void put_target(edge_list *list, const scim_edge *edge)
{
    char id[SCIM_ID_TEXT + 1], *at;

    if (edge->type != list->type) {
        learn_type(list, edge->type);
    }
    at = scim_buffer_room(list->out, sizeof(value_key) - 1 + SCIM_ID_TEXT + 1 +
                                         list->reference->len + SCIM_ID_TEXT + 1);
    scim_id_format(&edge->id, id);
    at = put(at, value_key, sizeof(value_key) - 1);
    at = put(at, id, SCIM_ID_TEXT);
    *at++ = '"';
    at = put(at, list->reference->data, list->reference->len);
    at = put(at, id, SCIM_ID_TEXT);
    *at = '"';
}

static void put_stranger(scim_buffer *out, const scim_edge *edge)
{
    char id[SCIM_ID_TEXT + 1];

    scim_buffer_add(out, value_key, sizeof(value_key) - 2);
    if (edge->text) {
        scim_buffer_string(out, edge->text, edge->text_len);
    } else {
        put_id(out, scim_id_format(&edge->id, id));
    }
}

static const scim_error *put_edge(const scim_edge *edge, void *baton)
{
    edge_list *list = baton;
    scim_buffer *out = list->out;

    begin_edge(list);
    if (edge->type && !edge->text) {
        put_target(list, edge);
    } else {
        put_stranger(out, edge);
    }
    if (edge->display) {
        scim_buffer_add(out, display_key, sizeof(display_key) - 1);
        scim_buffer_string(out, edge->display, edge->display_len);
    }
    if (list->membership) {
        scim_buffer_puts(out, edge->direct ? ",\"type\":\"direct\"" : ",\"type\":\"indirect\"");
    } else if (edge->type) {
        scim_buffer_add(out, list->kind->data, list->kind->len);
    }
    scim_buffer_add(out, "}", 1);
    return NULL;
}

static bool wants(const scim_render *how, const scim_attribute *attribute)
{
    return attribute && scim_projection_wants(how->projection, attribute);
}

bool scim_render_wants_edges(const scim_render *how, const scim_resource_type *type)
{
    return wants(how, type->members) || wants(how, type->groups);
}

/* *begun: whether the array is, in out. */
static const scim_error *put_slice(scim_buffer *out, bool *begun, const scim_render *how,
                                   scim_view *view, const scim_attribute *members,
                                   const scim_id *group, scim_member_slice *slice,
                                   apr_uint64_t count)
{
    edge_list list = {.out = out,
                      .name = members->name,
                      .base_url = how->base_url,
                      .begun = *begun,
                      .pool = view->pool};
    scim_id last = slice->last;

    SCIM_ERR(scim_member_some(view, how->tenant, group, slice->begun ? &last : NULL, count,
                              &slice->last, &slice->more, put_edge, &list));
    slice->begun = slice->begun || list.begun;
    *begun = list.begun;
    return NULL;
}

static const scim_error *put_members(scim_buffer *out, const scim_render *how, scim_view *view,
                                     const scim_record *record)
{
    scim_member_slice slice = {.begun = false};
    bool begun = false;

    SCIM_ERR(put_slice(out, &begun, how, view, record->type->members, &record->id, &slice,
                       APR_UINT64_MAX));
    if (begun) {
        scim_buffer_puts(out, "]");
    }
    return NULL;
}

static const scim_error *put_groups(scim_buffer *out, const scim_render *how, scim_view *view,
                                    const scim_record *record)
{
    edge_list list = {.out = out,
                      .name = record->type->groups->name,
                      .base_url = how->base_url,
                      .membership = true,
                      .pool = view->pool};
    apr_array_header_t *groups;
    int i;

    SCIM_ERR(scim_member_groups(&groups, view, how->tenant, &record->id));
    for (i = 0; i < groups->nelts; i++) {
        SCIM_ERR(put_edge(&APR_ARRAY_IDX(groups, i, scim_edge), &list));
    }
    if (list.begun) {
        scim_buffer_puts(out, "]");
    }
    return NULL;
}

static void put_meta(scim_buffer *out, const scim_render *how, const scim_record *record,
                     const char *id)
{
    char when[SCIM_TIME_LEN + 1], etag[SCIM_ETAG_LEN + 1];

    scim_buffer_puts(out, ",\"meta\":{\"resourceType\":");
    put_string(out, record->type->name);
    scim_buffer_puts(out, ",\"created\":\"");
    scim_buffer_add(out, scim_time_format(record->created, when), SCIM_TIME_LEN);
    scim_buffer_puts(out, "\",\"lastModified\":\"");
    scim_buffer_add(out, scim_time_format(record->modified, when), SCIM_TIME_LEN);
    scim_buffer_puts(out, "\",\"location\":\"");
    put_endpoint(out, how->base_url, record->type);
    scim_buffer_add(out, id, SCIM_ID_TEXT);
    scim_buffer_puts(out, "\",\"version\":");
    put_string(out, scim_etag_format(record->version, etag));
    scim_buffer_puts(out, "}");
}

/* Whether text begins with the path of a resource relative to the base. */
static bool is_relative(const char *text, apr_size_t len, const scim_registry *registry)
{
    int i;

    for (i = 0; i < registry->types_count; i++) {
        const char *name = registry->types[i].endpoint + 1;
        apr_size_t name_len = strlen(name);

        if (len > name_len && !memcmp(text, name, name_len) && text[name_len] == '/') {
            return true;
        }
    }
    return false;
}

/* Behind the opening quote of the next value of a $ref, or NULL.  A quote within
 * a string is escaped, so what is looked for stands nowhere but in front of such
 * a value. */
static const char *next_reference(const char *at, const char *end)
{
    static const char mark[] = "\"$ref\":\"";
    const char *dollar = at;

    while ((dollar = memchr(dollar, '$', (apr_size_t)(end - dollar)))) {
        if (dollar > at && (apr_size_t)(end - dollar) >= sizeof(mark) - 2 &&
            !memcmp(dollar - 1, mark, sizeof(mark) - 1)) {
            return dollar + sizeof(mark) - 2;
        }
        dollar++;
    }
    return NULL;
}

/* Stored bytes as they are, but that references, which the store keeps
 * relative, are told with the base. */
static void put_stored(scim_buffer *out, const scim_render *how, const char *json,
                       apr_size_t len)
{
    const char *end = json + len, *at;

    while ((at = next_reference(json, end))) {
        scim_buffer_add(out, json, (apr_size_t)(at - json));
        if (is_relative(at, (apr_size_t)(end - at), how->registry)) {
            scim_buffer_escape(out, how->base_url, strlen(how->base_url));
            scim_buffer_puts(out, "/");
        }
        json = at;
    }
    scim_buffer_add(out, json, (apr_size_t)(end - json));
}

/* All of a record, but edges that are not wanted. */
static const scim_error *splice(scim_buffer *out, const scim_render *how, scim_view *view,
                                const scim_record *record, apr_pool_t *pool)
{
    apr_size_t cut = behind_schemas(record->json, record->json_len);
    char id[SCIM_ID_TEXT + 1];

    if (!cut || cut >= record->json_len) {
        return scim_error_system(pool, SCIM_E_INTERNAL, APR_SUCCESS,
                                 "The stored resource is damaged",
                                 "record %s does not begin with its schemas, or ends with them",
                                 scim_render_location("", record->type, &record->id, pool));
    }
    scim_buffer_add(out, record->json, cut);
    scim_buffer_puts(out, ",\"id\":");
    put_id(out, scim_id_format(&record->id, id));
    put_stored(out, how, record->json + cut, record->json_len - cut - 1);
    if (view && wants(how, record->type->members)) {
        SCIM_ERR(put_members(out, how, view, record));
    }
    if (view && wants(how, record->type->groups)) {
        SCIM_ERR(put_groups(out, how, view, record));
    }
    put_meta(out, how, record, id);
    scim_buffer_puts(out, "}");
    return NULL;
}

/* The projection of a resource that was put together in text. */
static const scim_error *projected(json_t **out, const scim_render *how,
                                   const scim_buffer *text, const scim_resource_type *type,
                                   const scim_id *id, apr_pool_t *pool)
{
    json_t *json = scim_json_read_own(text->data, text->len, pool);

    if (!json) {
        return scim_error_system(pool, SCIM_E_INTERNAL, APR_SUCCESS,
                                 "The stored resource is damaged", "record %s is no JSON",
                                 scim_render_location("", type, id, pool));
    }
    *out = scim_projection_apply(how->projection, json, type, pool);
    return NULL;
}

static const scim_error *project(scim_buffer *out, const scim_render *how, scim_view *view,
                                 const scim_record *record, apr_pool_t *pool)
{
    scim_buffer *full = scim_buffer_make(record->json_len + 1024, pool);
    apr_size_t len;
    json_t *json;
    char *text;

    SCIM_ERR(splice(full, how, view, record, pool));
    SCIM_ERR(projected(&json, how, full, record->type, &record->id, pool));
    text = scim_json_write(json, &len, pool);
    scim_buffer_add(out, text, len);
    return NULL;
}

const scim_error *scim_render_record(scim_buffer *out, const scim_render *how, scim_view *view,
                                     const scim_record *record, apr_pool_t *scratch_pool)
{
    if (how->projection || record->type->hides) {
        return project(out, how, view, record, scratch_pool);
    }
    return splice(out, how, view, record, scratch_pool);
}

static void put_elements(scim_buffer *out, const char *name, const json_t *elements, bool begun,
                         apr_pool_t *pool)
{
    const json_t *element;
    apr_size_t i;

    json_array_foreach (elements, i, element) {
        apr_size_t len;
        const char *text = scim_json_write(element, &len, pool);

        scim_buffer_puts(out, ",");
        if (!begun && !i) {
            scim_buffer_string(out, name, strlen(name));
            scim_buffer_puts(out, ":[");
        }
        scim_buffer_add(out, text, len);
    }
}

/* Projected is a group that has this slice for its members. */
static const scim_error *put_projected(scim_buffer *out, bool *begun, const scim_render *how,
                                       scim_view *view, const scim_resource_type *type,
                                       const scim_id *group, scim_member_slice *slice,
                                       apr_uint64_t count, apr_pool_t *pool)
{
    scim_buffer *text = scim_buffer_make(1024, pool);
    const json_t *elements;
    char id[SCIM_ID_TEXT + 1];
    bool own = false;
    json_t *json;

    scim_buffer_puts(text, "{\"id\":");
    put_id(text, scim_id_format(group, id));
    SCIM_ERR(put_slice(text, &own, how, view, type->members, group, slice, count));
    scim_buffer_puts(text, own ? "]}" : "}");
    SCIM_ERR(projected(&json, how, text, type, group, pool));
    elements = json_object_get(json, type->members->name);
    put_elements(out, type->members->name, elements, *begun, pool);
    *begun = *begun || json_array_size(elements);
    return NULL;
}

const scim_error *scim_render_members(scim_buffer *out, const scim_render *how, scim_view *view,
                                      const scim_resource_type *type, const scim_id *group,
                                      scim_member_slice *slice, apr_uint64_t count,
                                      apr_pool_t *scratch_pool)
{
    if (how->projection) {
        SCIM_ERR(put_projected(out, &slice->open, how, view, type, group, slice, count,
                               scratch_pool));
    } else {
        SCIM_ERR(put_slice(out, &slice->open, how, view, type->members, group, slice, count));
    }
    if (slice->open && !slice->more) {
        scim_buffer_puts(out, "]");
    }
    return NULL;
}
