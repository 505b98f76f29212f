/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH, the second half: applies changes in order to a working copy.  The
 * caller sees a draft of all of them or an error.
 */
#include "scim/patch.h"

#include <string.h>

#include "patch_change.h"
#include "scim/filter.h"
#include "scim/json.h"
#include "scim/validate.h"

/* How many elements of multi-valued attributes, long ones counted by their text,
 * one message may look at in all.  Each operation looks at every element of its
 * target, so that without
 * a limit the time grows with the square of the message. */
#define MAX_STEPS 2000000

typedef struct work {
    const scim_patch *patch;
    json_t *json; /* the working copy */
    apr_size_t steps;
    apr_pool_t *pool;
    apr_pool_t *scratch; /* cleared after each change */
} work;

static const scim_error *spend(work *w, apr_size_t steps)
{
    w->steps += steps;
    if (w->steps > MAX_STEPS) {
        return scim_error_make(w->pool, SCIM_E_TOO_LARGE,
                               "the operations up to here look at more than %d values; send "
                               "fewer operations or fewer values in one request",
                               MAX_STEPS);
    }
    return NULL;
}

/* What it costs to look at a value once. */
static apr_size_t weight(const json_t *value)
{
    apr_size_t sum = json_string_length(value) / 16;
    const char *key;
    json_t *inner;
    size_t i;

    json_object_foreach ((json_t *)value, key, inner) {
        sum += json_string_length(inner) / 16;
    }
    if (!json_is_array(value)) {
        return sum + 1;
    }
    json_array_foreach (value, i, inner) {
        sum += weight(inner);
    }
    return sum;
}

static const scim_error *immutable_error(const scim_attribute *attribute, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_MUTABILITY,
                           "%s is immutable: it has a value and cannot be changed",
                           attribute->path);
}

/* An attribute as it stands in a resource; NULL where it has no value. */
static json_t *attribute_in(const json_t *resource, const scim_path *path)
{
    const json_t *holder = resource;

    if (path->extension) {
        holder = json_object_get(resource, path->extension->urn);
    }
    return json_object_get(holder, path->attribute->name);
}

/* What stands under name, made by make where there is nothing. */
static json_t *need(json_t *object, const char *name, json_t *make(void))
{
    json_t *value = json_object_get(object, name);

    if (!value) {
        value = make();
        scim_json_set(object, name, value);
    }
    return value;
}

/* Writes one attribute of object, or with value NULL takes it away. */
static const scim_error *put(work *w, json_t *object, const scim_attribute *attribute,
                             const json_t *value)
{
    const json_t *before = json_object_get(object, attribute->name);
    bool same = value && json_equal(before, value);

    if (before && !same && attribute->mutability == SCIM_IMMUTABLE && attribute->parent &&
        attribute->parent->multi_valued) {
        return immutable_error(attribute, w->pool);
    }
    if (!value) {
        json_object_del(object, attribute->name);
    } else if (!same) {
        scim_json_set(object, attribute->name, scim_json_deep_copy(value));
    }
    return NULL;
}

/* Writes the sub-attributes that value has; the others stay. */
static const scim_error *merge(work *w, json_t *object, const scim_attribute *attribute,
                               const json_t *value)
{
    int i;

    for (i = 0; i < attribute->subs_count; i++) {
        const json_t *sub_value = json_object_get(value, attribute->subs[i].name);

        if (sub_value) {
            SCIM_ERR(put(w, object, &attribute->subs[i], sub_value));
        }
    }
    return NULL;
}

/* Makes a multi-valued attribute canonical again: elements that became equal
 * are stored once, empty ones go, the last of several primaries keeps it. */
static const scim_error *tidy(work *w, json_t *holder, const scim_attribute *attribute)
{
    json_t *canonical;

    SCIM_ERR(scim_validate_value(&canonical, json_object_get(holder, attribute->name),
                                 attribute, false, attribute->path, true, w->scratch));
    if (canonical) {
        scim_json_set(holder, attribute->name, json_incref(canonical));
    } else {
        json_object_del(holder, attribute->name);
    }
    return NULL;
}

static bool is_primary(const json_t *element)
{
    return json_is_true(json_object_get(element, "primary"));
}

/* RFC 7643 section 2.4: of one attribute's elements one at most is primary.
 * The others lose it to that one; all do where it is NULL. */
static void set_primary(json_t *array, const json_t *primary)
{
    json_t *element;
    size_t i;

    json_array_foreach (array, i, element) {
        if (element != primary && is_primary(element)) {
            scim_json_set(element, "primary", json_false());
        }
    }
}

static const scim_error *append(work *w, json_t *holder, const scim_attribute *attribute,
                                const json_t *values)
{
    json_t *array = need(holder, attribute->name, scim_json_array);
    const json_t *value;
    size_t i;

    SCIM_ERR(spend(w, weight(array) + weight(values)));
    json_array_foreach (values, i, value) {
        if (is_primary(value)) {
            set_primary(array, NULL);
        }
        scim_json_append(array, scim_json_deep_copy(value));
    }
    return tidy(w, holder, attribute);
}

/* Whether an element has all that a listed one says. */
static bool is_listed(const json_t *element, const json_t *listed)
{
    const char *key;
    json_t *value;

    if (!json_is_object(listed)) {
        return json_equal(element, listed);
    }
    json_object_foreach ((json_t *)listed, key, value) {
        if (!json_equal(json_object_get(element, key), value)) {
            return false;
        }
    }
    return true;
}

static const scim_error *remove_listed(work *w, json_t *holder, const scim_attribute *attribute,
                                       const json_t *list)
{
    json_t *array = json_object_get(holder, attribute->name);
    const json_t *listed;
    size_t i;
    size_t at;

    SCIM_ERR(spend(w, weight(array) + json_array_size(array) * json_array_size(list)));
    json_array_foreach (list, i, listed) {
        for (at = json_array_size(array); at-- > 0;) {
            if (is_listed(json_array_get(array, at), listed)) {
                json_array_remove(array, at);
            }
        }
    }
    return array ? tidy(w, holder, attribute) : NULL;
}

/* A reference is one thing: with another value, what else it says was about
 * the former one and goes. */
static const scim_error *put_reference(work *w, json_t *holder, const scim_attribute *attribute,
                                       const json_t *value)
{
    json_t *reference = need(holder, attribute->name, scim_json_object);
    const json_t *target = json_object_get(value, "value");

    if (target && !json_equal(target, json_object_get(reference, "value"))) {
        json_object_clear(reference);
    }
    return merge(w, reference, attribute, value);
}

static bool is_reference(const scim_attribute *attribute)
{
    return attribute && attribute->role == SCIM_ROLE_REFERENCE && !attribute->multi_valued;
}

/* A change whose target is an attribute of holder as a whole: of the
 * resource, of an extension, or of a complex value. */
static const scim_error *change_attribute(work *w, json_t *holder,
                                          const scim_attribute *attribute,
                                          const patch_change *change)
{
    if (change->kind == PATCH_REMOVE) {
        return change->value ? remove_listed(w, holder, attribute, change->value)
                             : put(w, holder, attribute, NULL);
    }
    if (change->kind == PATCH_ADD && attribute->multi_valued) {
        return append(w, holder, attribute, change->value);
    }
    if (is_reference(attribute)) {
        return put_reference(w, holder, attribute, change->value);
    }
    return put(w, holder, attribute, change->value);
}

/* A change whose target is a sub-attribute of a single-valued attribute. */
static const scim_error *change_sub(work *w, json_t *holder, const patch_change *change)
{
    const scim_attribute *attribute = change->path.attribute;
    const scim_attribute *sub = change->path.sub;
    json_t *object = need(holder, attribute->name, scim_json_object);

    if (is_reference(attribute) && strcmp(sub->name, "value") == 0 &&
        !json_equal(change->value, json_object_get(object, sub->name))) {
        json_object_clear(object);
    }
    SCIM_ERR(change_attribute(w, object, sub, change));
    if (json_object_size(object) == 0) {
        json_object_del(holder, attribute->name);
    }
    return NULL;
}

/* Whether a change makes what it changes primary. */
static bool makes_primary(const patch_change *change)
{
    const scim_attribute *sub = change->path.sub;

    if (change->kind == PATCH_REMOVE) {
        return false;
    }
    return sub ? strcmp(sub->name, "primary") == 0 && json_is_true(change->value)
               : is_primary(change->value);
}

/* What a replacement that does not say otherwise has from the element before
 * it: what the filter asked for, and what is immutable. */
static const scim_error *keep(work *w, json_t *element, const json_t *before,
                              const patch_change *change)
{
    const scim_attribute *attribute = change->path.attribute;
    int i;

    for (i = 0; i < attribute->subs_count; i++) {
        const scim_attribute *sub = &attribute->subs[i];
        json_t *kept = json_object_get(before, sub->name);
        const json_t *now = json_object_get(element, sub->name);
        bool fixed = sub->mutability == SCIM_IMMUTABLE;

        if (kept && now && fixed && !json_equal(kept, now)) {
            return immutable_error(sub, w->pool);
        }
        if (kept && !now && (fixed || json_object_get(change->template, sub->name))) {
            scim_json_set(element, sub->name, json_incref(kept));
        }
    }
    return NULL;
}

/* One element that a value path hits.  It may be left empty, or null. */
static const scim_error *change_element(work *w, json_t *array, size_t i,
                                        const patch_change *change)
{
    json_t *element = json_array_get(array, i);
    json_t *made;

    if (change->path.sub) {
        return change_attribute(w, element, change->path.sub, change);
    }
    if (change->kind == PATCH_REMOVE) {
        json_array_set_new(array, i, json_null());
        return NULL;
    }
    if (change->kind == PATCH_ADD && json_is_object(element)) {
        return merge(w, element, change->path.attribute, change->value);
    }
    made = scim_json_adopt(scim_json_deep_copy(change->value), w->scratch);
    SCIM_ERR(keep(w, made, element, change));
    json_array_set(array, i, made);
    return NULL;
}

static const scim_error *no_target(const work *w, const patch_change *change)
{
    return scim_error_make(w->pool, SCIM_E_NO_TARGET, "no value of %s matches the filter",
                           change->path.attribute->path);
}

/* A value path that hit nothing: add, and with lenient replace, make the
 * element that the filter describes. */
static const scim_error *add_element(work *w, json_t *holder, const patch_change *change)
{
    const scim_attribute *attribute = change->path.attribute;
    bool lenient = w->patch->lenient;
    json_t *array;
    json_t *element;

    if (change->kind == PATCH_REMOVE) {
        return change->path.filter && !lenient ? no_target(w, change) : NULL;
    }
    if (change->path.filter &&
        (!change->template || (change->kind == PATCH_REPLACE && !lenient))) {
        return no_target(w, change);
    }
    array = need(holder, attribute->name, scim_json_array);
    element = change->template ? scim_json_deep_copy(change->template) : scim_json_object();
    scim_json_append(array, element);
    SCIM_ERR(change_element(
        w, array, json_array_size(array) - 1,
        &(patch_change){.kind = PATCH_ADD, .path = change->path, .value = change->value}));
    if (is_primary(element)) {
        set_primary(array, element);
    }
    return tidy(w, holder, attribute);
}

static bool is_hit(const work *w, const patch_change *change, const json_t *element)
{
    return !change->path.filter ||
           scim_filter_match_element(change->path.filter, element, w->scratch);
}

/* A change of elements: those that the filter matches, or all where the path
 * goes to a sub-attribute without one. */
static const scim_error *change_elements(work *w, json_t *holder, const patch_change *change)
{
    json_t *array = json_object_get(holder, change->path.attribute->name);
    apr_size_t count = json_array_size(array);
    apr_size_t last = 0;
    apr_size_t hits = 0;
    apr_size_t i;

    SCIM_ERR(spend(w, weight(array) * (apr_size_t)scim_filter_terms(change->path.filter)));
    for (i = 0; i < count; i++) {
        if (is_hit(w, change, json_array_get(array, i))) {
            SCIM_ERR(change_element(w, array, i, change));
            last = i;
            hits++;
        }
    }
    if (!hits) {
        return add_element(w, holder, change);
    }
    if (makes_primary(change)) {
        if (hits > 1 && !w->patch->lenient) {
            return scim_error_make(w->pool, SCIM_E_INVALID_VALUE,
                                   "%s would have more than one primary value",
                                   change->path.attribute->path);
        }
        set_primary(array, json_array_get(array, last));
    }
    return tidy(w, holder, change->path.attribute);
}

/* The attributes of a whole extension go, but those that are the server's. */
static const scim_error *remove_extension(work *w, const scim_schema *extension)
{
    json_t *holder = json_object_get(w->json, extension->urn);
    int i;

    for (i = 0; i < extension->attributes_count; i++) {
        if (extension->attributes[i].mutability != SCIM_READ_ONLY) {
            json_object_del(holder, extension->attributes[i].name);
        }
    }
    return NULL;
}

static const scim_error *apply_change(work *w, const patch_change *change)
{
    const scim_path *path = &change->path;
    json_t *holder = w->json;

    if (!path->attribute) {
        return remove_extension(w, path->extension);
    }
    if (path->extension) {
        holder = need(w->json, path->extension->urn, scim_json_object);
    }
    if (path->attribute->multi_valued && (path->filter || path->sub)) {
        return change_elements(w, holder, change);
    }
    if (path->sub) {
        return change_sub(w, holder, change);
    }
    return change_attribute(w, holder, path->attribute, change);
}

/* A change's place stands before what is wrong with it.  An error may live in
 * the scratch pool until then. */
static const scim_error *apply_changes(work *w)
{
    const apr_array_header_t *changes = w->patch->changes;
    int i;

    for (i = 0; i < changes->nelts; i++) {
        const patch_change *change = &APR_ARRAY_IDX(changes, i, patch_change);
        const scim_error *err = apply_change(w, change);

        if (err) {
            return scim_error_at(w->pool, err, change->where);
        }
        apr_pool_clear(w->scratch);
    }
    return NULL;
}

/* Immutable attributes may be set once.  The resource before all changes is
 * compared with the one after, since the sub-attributes of a complex value
 * are set one by one. */
static const scim_error *check_immutable(const scim_attribute *attribute, const json_t *before,
                                         const json_t *after, apr_pool_t *pool)
{
    int i;

    if (!before || json_equal(before, after)) {
        return NULL;
    }
    if (attribute->mutability == SCIM_IMMUTABLE) {
        return immutable_error(attribute, pool);
    }
    for (i = 0; i < attribute->subs_count && !attribute->multi_valued; i++) {
        const scim_attribute *sub = &attribute->subs[i];

        SCIM_ERR(check_immutable(sub, json_object_get(before, sub->name),
                                 json_object_get(after, sub->name), pool));
    }
    return NULL;
}

static const scim_error *check_change(const work *w, const json_t *existing,
                                      const patch_change *change)
{
    scim_path path = change->path;
    const scim_attribute *attributes = path.attribute;
    int count = 1;
    int i;

    if (!attributes) {
        attributes = path.extension->attributes;
        count = path.extension->attributes_count;
    }
    for (i = 0; i < count; i++) {
        path.attribute = &attributes[i];
        SCIM_ERR(check_immutable(path.attribute, attribute_in(existing, &path),
                                 attribute_in(w->json, &path), w->pool));
    }
    return NULL;
}

static const scim_error *check_changes(const work *w, const json_t *existing)
{
    const apr_array_header_t *changes = w->patch->changes;
    int i;

    for (i = 0; i < changes->nelts; i++) {
        const patch_change *change = &APR_ARRAY_IDX(changes, i, patch_change);
        const scim_error *err = check_change(w, existing, change);

        if (err) {
            return scim_error_at(w->pool, err, change->where);
        }
    }
    return NULL;
}

/* Gives copy a value of its own under name, once. */
static void copy_value(json_t *copy, const json_t *existing, const char *name)
{
    const json_t *value = json_object_get(copy, name);

    if (value && value == json_object_get(existing, name)) {
        scim_json_set(copy, name, scim_json_deep_copy(value));
    }
}

/* References are given their $ref anew whenever a resource is stored. */
static void copy_references(json_t *copy, const json_t *existing, const scim_schema *schema,
                            bool extension)
{
    int i;

    for (i = 0; i < schema->attributes_count; i++) {
        if (schema->attributes[i].role == SCIM_ROLE_REFERENCE) {
            copy_value(copy, existing, extension ? schema->urn : schema->attributes[i].name);
        }
    }
}

/* A copy that shares with existing what no change names: most of it.  Since that
 * was valid when it was stored, scim_validate_whole finds nothing to drop in it. */
static json_t *working_copy(const json_t *existing, const scim_patch *patch)
{
    const scim_resource_type *type = patch->type;
    json_t *copy = scim_json_copy(existing);
    int i;

    for (i = 0; i < patch->changes->nelts; i++) {
        const scim_path *path = &APR_ARRAY_IDX(patch->changes, i, patch_change).path;

        copy_value(copy, existing,
                   path->extension ? path->extension->urn : path->attribute->name);
    }
    copy_references(copy, existing, type->schema, false);
    for (i = 0; i < type->extensions_count; i++) {
        copy_references(copy, existing, type->extensions[i].schema, true);
    }
    return copy;
}

const scim_error *scim_patch_apply(scim_draft *draft, const scim_patch *patch,
                                   const json_t *existing, apr_pool_t *result_pool)
{
    work w = {.patch = patch, .pool = result_pool};
    const scim_error *err;

    w.json = scim_json_adopt(working_copy(existing, patch), result_pool);
    apr_pool_create(&w.scratch, result_pool);
    err = apply_changes(&w);
    apr_pool_destroy(w.scratch);
    SCIM_ERR(err);
    SCIM_ERR(check_changes(&w, existing));
    SCIM_ERR(scim_validate_whole(w.json, patch->type, result_pool));

    memset(draft, 0, sizeof(*draft));
    draft->type = patch->type;
    draft->json = w.json;
    draft->members = patch->members ? apr_array_copy(result_pool, patch->members) : NULL;
    draft->password = patch->password;
    draft->password_cleared = patch->password_cleared;
    return NULL;
}
