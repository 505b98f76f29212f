/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH of members: from operations to the steps of scim/draft.h.  No step
 * reads members that it does not name, unless its operation asks for all or
 * for those that a filter picks.
 */
#include <string.h>

#include <apr_strings.h>

#include "patch_change.h"
#include "scim/filter.h"
#include "scim/json.h"
#include "scim/validate.h"

static scim_member_op *push_step(patch_reader *reader, scim_member_kind kind)
{
    scim_patch *patch = reader->patch;
    scim_member_op *step;

    if (!patch->members) {
        patch->members = apr_array_make(reader->pool, 8, sizeof(scim_member_op));
    }
    step = apr_array_push(patch->members);
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    step->where = reader->at;
    return step;
}

static const scim_error *check_names(const patch_reader *reader, const scim_attribute *members,
                                     const json_t *element)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)element, key, value) {
        if (!scim_attribute_sub(members, key, strlen(key))) {
            return scim_error_make(reader->pool, SCIM_E_INVALID_SYNTAX,
                                   "%s has no attribute \"%s\"", members->path, key);
        }
    }
    return NULL;
}

/* One element of an operation's value, which names a member to add or to
 * remove. */
static const scim_error *push_element(patch_reader *reader, scim_member_kind kind,
                                      const scim_attribute *members, const json_t *element,
                                      const char *name, const char *place)
{
    scim_member_op step = {0};

    if (!reader->patch->lenient) {
        SCIM_ERR(check_names(reader, members, element));
    }
    SCIM_ERR(scim_validate_member(&step, element, name, reader->pool));
    step.kind = kind;
    step.where = place;
    *push_step(reader, kind) = step;
    return NULL;
}

/* One member by itself, or an array of them. */
static const scim_error *push_elements(patch_reader *reader, scim_member_kind kind,
                                       const scim_attribute *members, const json_t *value)
{
    const json_t *element;
    size_t i;

    if (scim_patch_empty(value)) {
        return NULL;
    }
    if (!json_is_array(value)) {
        return push_element(reader, kind, members, value, members->path, reader->place);
    }
    json_array_foreach (value, i, element) {
        const char *name =
            apr_psprintf(reader->pool, "%s[%" APR_SIZE_T_FMT "]", members->path, i);
        const char *place =
            apr_psprintf(reader->pool, "%s[%" APR_SIZE_T_FMT "]", reader->place, i);

        SCIM_ERR(push_element(reader, kind, members, element, name, place));
    }
    return NULL;
}

/* The path is "members".  A remove with a value removes those that the value
 * lists and no others, none where the list is empty: the RFC knows no such
 * value, and to ignore it would empty the group. */
static const scim_error *read_all(patch_reader *reader, const scim_path *path,
                                  const json_t *value)
{
    const scim_attribute *members = path->attribute;

    switch (reader->kind) {
    case PATCH_REMOVE:
        if (value && !json_is_null(value)) {
            return push_elements(reader, SCIM_MEMBER_REMOVE, members, value);
        }
        push_step(reader, SCIM_MEMBER_CLEAR);
        return NULL;
    case PATCH_REPLACE:
        push_step(reader, SCIM_MEMBER_CLEAR);
        break;
    case PATCH_ADD:
        break;
    }
    return push_elements(reader, SCIM_MEMBER_ADD, members, value);
}

/* Puts the ids into ids where the filter is nothing but value eq "id" terms
 * joined by or. */
static bool named_ids(const scim_filter *filter, apr_array_header_t *ids)
{
    if (filter->kind == SCIM_FILTER_OR) {
        return named_ids(filter->left, ids) && named_ids(filter->right, ids);
    }
    if (filter->kind != SCIM_FILTER_COMPARE || filter->op != SCIM_OP_EQ ||
        filter->value.kind != SCIM_LITERAL_STRING ||
        strcmp(filter->path.attribute->name, "value") != 0) {
        return false;
    }
    APR_ARRAY_PUSH(ids, const char *) = filter->value.text;
    return true;
}

static void remove_where(patch_reader *reader, const scim_filter *filter)
{
    apr_array_header_t *ids = apr_array_make(reader->pool, 1, sizeof(const char *));
    int i;

    if (!named_ids(filter, ids)) {
        push_step(reader, SCIM_MEMBER_REMOVE_WHERE)->filter = filter;
        return;
    }
    for (i = 0; i < ids->nelts; i++) {
        push_step(reader, SCIM_MEMBER_REMOVE)->value = APR_ARRAY_IDX(ids, i, const char *);
    }
}

/* The member that value path and value describe together. */
static const scim_error *described_member(json_t **out, const patch_reader *reader,
                                          const scim_path *path, const json_t *value)
{
    json_t *element = scim_filter_template(path->filter, reader->pool);
    const char *id = element ? scim_json_string(element, "value") : NULL;
    const char *changed;

    if (!json_is_object(value)) {
        return scim_error_make(reader->pool, SCIM_E_INVALID_VALUE,
                               "the value of one member must be an object, is %s",
                               scim_json_kind(value));
    }
    if (!id) {
        return scim_error_make(reader->pool, SCIM_E_NO_TARGET,
                               "the filter does not say which member: write"
                               " members[value eq \"ID\"]");
    }
    changed = scim_json_string(value, "value");
    if (changed && strcmp(changed, id) != 0) {
        return scim_error_make(
            reader->pool, SCIM_E_MUTABILITY,
            "members.value is immutable: remove the member and add the other");
    }
    element = scim_json_adopt(scim_json_deep_copy(element), reader->pool);
    scim_json_update_missing(element, value);
    *out = element;
    return NULL;
}

/* The path is members[filter]. */
static const scim_error *read_where(patch_reader *reader, const scim_path *path,
                                    const json_t *value)
{
    json_t *element = NULL;
    const char *display;

    if (reader->kind == PATCH_REMOVE ||
        (reader->kind == PATCH_REPLACE && scim_patch_empty(value))) {
        remove_where(reader, path->filter);
        return NULL;
    }
    SCIM_ERR(described_member(&element, reader, path, value));
    display = scim_json_string(element, "display");
    if (reader->kind == PATCH_REPLACE && display) {
        scim_member_op *step = push_step(reader, SCIM_MEMBER_SET_WHERE);

        step->filter = path->filter;
        step->display = apr_pstrdup(reader->pool, display);
    }
    if (reader->kind == PATCH_ADD || reader->patch->lenient) {
        return push_element(reader, SCIM_MEMBER_ADD, path->attribute, element,
                            path->attribute->path, reader->place);
    }
    return NULL;
}

/* A filter that every member matches. */
static const scim_filter *every_member(const scim_attribute *members, apr_pool_t *pool)
{
    scim_filter *filter = apr_pcalloc(pool, sizeof(*filter));

    filter->kind = SCIM_FILTER_PRESENT;
    filter->path.attribute = scim_attribute_sub(members, "value", strlen("value"));
    return filter;
}

/* Whether an operation writes to members[value eq "ID"].value that same ID. */
static bool same_id(const patch_reader *reader, const scim_path *path, const json_t *value)
{
    apr_array_header_t *ids = apr_array_make(reader->pool, 1, sizeof(const char *));

    return strcmp(path->sub->name, "value") == 0 && json_is_string(value) && path->filter &&
           named_ids(path->filter, ids) && ids->nelts == 1 &&
           strcmp(APR_ARRAY_IDX(ids, 0, const char *), json_string_value(value)) == 0;
}

/* The path ends at a sub-attribute: display can change, what makes the member
 * cannot. */
static const scim_error *read_sub(patch_reader *reader, const scim_path *path,
                                  const json_t *value)
{
    const scim_attribute *sub = path->sub;
    json_t *display = NULL;
    scim_member_op *step;

    if (same_id(reader, path, value)) {
        return NULL;
    }
    if (strcmp(sub->name, "display") != 0) {
        return scim_error_make(reader->pool, SCIM_E_MUTABILITY, "%s is immutable", sub->path);
    }
    if (reader->kind != PATCH_REMOVE) {
        SCIM_ERR(scim_validate_value(&display, value, sub, false, sub->path,
                                     reader->patch->lenient, reader->pool));
    }
    step = push_step(reader, SCIM_MEMBER_SET_WHERE);
    step->filter = path->filter ? path->filter : every_member(path->attribute, reader->pool);
    step->display = display ? json_string_value(display) : NULL;
    return NULL;
}

const scim_error *scim_patch_read_members(patch_reader *reader, const scim_path *path,
                                          const json_t *value)
{
    if (path->sub) {
        return read_sub(reader, path, value);
    }
    if (path->filter) {
        return read_where(reader, path, value);
    }
    return read_all(reader, path, value);
}
