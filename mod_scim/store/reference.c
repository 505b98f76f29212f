/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: attributes whose "value" is the id of another resource, such as
 * manager.  Table f has them by their target, so that they can be cleared when
 * that goes.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"

#include "internal.h"

bool reference_may_lead_to(const scim_attribute *attribute, const scim_resource_type *type)
{
    const scim_attribute *ref = scim_attribute_sub(attribute, "$ref", 4);
    const char *const *name = ref ? ref->reference_types : NULL;

    if (!name) {
        return true;
    }
    while (*name && strcmp(*name, type->name)) {
        name++;
    }
    return *name != NULL;
}

scim_kv_rc reference_target(const type_def **out, const scim_view *view,
                            const scim_tenant *tenant, const index_def *def,
                            const scim_id *target)
{
    scim_kv_rc rc = record_find(out, view, tenant, target);

    if (*out && !reference_may_lead_to(def->path.attribute, (*out)->type)) {
        *out = NULL;
    }
    return rc;
}

static json_t *holder_of(const json_t *json, const index_def *def)
{
    return def->path.extension ? json_object_get(json, def->path.extension->urn)
                               : (json_t *)json;
}

/* The elements of def's attribute: those of an array, or the one value. */
static size_t count_elements(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : value != NULL;
}

static json_t *element_at(json_t *value, size_t i)
{
    return json_is_array(value) ? json_array_get(value, i) : value;
}

static bool leads_to(const json_t *element, const char *target)
{
    const char *text = json_string_value(json_object_get(element, "value"));

    return text && !strcmp(text, target);
}

static bool has_reference(const json_t *json, const index_def *def, const char *target)
{
    json_t *value = json_object_get(holder_of(json, def), def->path.attribute->name);
    size_t i;

    for (i = 0; i < count_elements(value); i++) {
        if (leads_to(element_at(value, i), target)) {
            return true;
        }
    }
    return false;
}

typedef struct resolving {
    scim_view *view;
    const scim_tenant *tenant;
    const json_t *before;
    bool allowed;
} resolving;

/* "User", "User or Device": what an attribute may refer to. */
static const char *target_names(const scim_attribute *attribute, apr_pool_t *pool)
{
    const scim_attribute *ref = scim_attribute_sub(attribute, "$ref", 4);
    const char *const *name = ref ? ref->reference_types : NULL;
    const char *names = NULL;

    for (; name && *name; name++) {
        names = names ? apr_pstrcat(pool, names, " or ", *name, NULL) : *name;
    }
    return names ? names : "resource";
}

static const scim_error *leads_nowhere(const resolving *r, const index_def *def,
                                       const char *text)
{
    if (r->allowed || (r->before && has_reference(r->before, def, text))) {
        return NULL;
    }
    return scim_error_make(r->view->pool, SCIM_E_INVALID_VALUE,
                           "%s.value: there is no %s with the id \"%s\"", def->name,
                           target_names(def->path.attribute, r->view->pool), text);
}

/* The $ref is relative to the base of the service (RFC 7643 section 2.3.7). */
static const scim_error *resolve(const resolving *r, const index_def *def, json_t *element)
{
    const char *text = json_string_value(json_object_get(element, "value"));
    const type_def *type = NULL;
    scim_id id;

    if (!text) {
        return NULL;
    }
    if (scim_id_parse(&id, text)) {
        scim_kv_rc rc = reference_target(&type, r->view, r->tenant, def, &id);

        SCIM_ERR(scim_store_error(r->view->pool, rc, "following a reference"));
    }
    if (!type) {
        json_object_del(element, "$ref");
        return leads_nowhere(r, def, text);
    }
    scim_json_set(
        element, "$ref",
        scim_json_text(apr_pstrcat(r->view->pool, type->type->endpoint + 1, "/", text, NULL)));
    return NULL;
}

bool reference_any(const scim_store *store, const scim_resource_type *type, const json_t *json)
{
    int i;

    for (i = 0; i < store->indexes_count; i++) {
        const index_def *def = &store->indexes[i];

        if (def->kind == INDEX_REFERENCE && def->type == type &&
            json_object_get(holder_of(json, def), def->path.attribute->name)) {
            return true;
        }
    }
    return false;
}

const scim_error *reference_resolve(scim_view *view, const scim_tenant *tenant,
                                    const scim_resource_type *type, json_t *json,
                                    const json_t *before, bool allowed)
{
    resolving r = {view, tenant, before, allowed};
    int i;

    for (i = 0; i < view->store->indexes_count; i++) {
        const index_def *def = &view->store->indexes[i];
        json_t *value;
        size_t e;

        if (def->kind != INDEX_REFERENCE || def->type != type) {
            continue;
        }
        value = json_object_get(holder_of(json, def), def->path.attribute->name);
        for (e = 0; e < count_elements(value); e++) {
            SCIM_ERR(resolve(&r, def, element_at(value, e)));
        }
    }
    return NULL;
}

/* An extension that has no data left is not named by "schemas" either. */
static void drop_empty(json_t *json, const char *urn)
{
    json_t *schemas = json_object_get(json, "schemas");
    size_t i;

    if (json_object_size(json_object_get(json, urn))) {
        return;
    }
    json_object_del(json, urn);
    for (i = json_array_size(schemas); i-- > 0;) {
        if (!strcmp(json_string_value(json_array_get(schemas, i)), urn)) {
            json_array_remove(schemas, i);
        }
    }
}

static void drop(json_t *json, const index_def *def, const char *target)
{
    json_t *holder = holder_of(json, def);
    const char *name = def->path.attribute->name;
    json_t *value = json_object_get(holder, name);
    size_t i;

    if (json_is_array(value)) {
        for (i = json_array_size(value); i-- > 0;) {
            if (leads_to(json_array_get(value, i), target)) {
                json_array_remove(value, i);
            }
        }
    }
    if (json_is_array(value) ? !json_array_size(value) : leads_to(value, target)) {
        json_object_del(holder, name);
    }
    if (holder && def->path.extension) {
        drop_empty(json, def->path.extension->urn);
    }
}

void reference_drop(json_t *json, const scim_store *store, const scim_resource_type *type,
                    const scim_id *target)
{
    char text[SCIM_ID_TEXT + 1];
    int i;

    scim_id_format(target, text);
    for (i = 0; i < store->indexes_count; i++) {
        const index_def *def = &store->indexes[i];

        if (def->kind == INDEX_REFERENCE && def->type == type) {
            drop(json, def, text);
        }
    }
}

void reference_wish(wishes *w, const scim_tenant *tenant, const scim_id *target)
{
    scim_key from;

    member_prefix(&from, SCIM_TABLE_REFERS, tenant, target);
    wish_slice(w, scim_key_slice(&from), from.len);
}

scim_kv_rc reference_each(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *target,
                          referrer_fn fn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key from;
    scim_slice key, rest;
    scim_kv_rc rc;

    member_prefix(&from, SCIM_TABLE_REFERS, tenant, target);
    scim_kv_within(cursor, scim_key_slice(&from));
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &rest);
         rc = scim_kv_next(cursor, &key, NULL)) {
        const unsigned char *row = rest.data;

        if (rest.len != REFERRER_LEN) {
            return SCIM_KV_CORRUPT;
        }
        if (memcmp(row + 2, target->bytes, sizeof(target->bytes))) {
            scim_kv_rc taken = fn(row, baton);

            if (taken != SCIM_KV_OK) {
                return taken;
            }
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}
