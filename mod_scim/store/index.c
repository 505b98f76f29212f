/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows the value of a resource has in the index and refers tables.  Computed while
 * preparing, compared as bytes.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"
#include "scim/text.h"
#include "scim/time.h"

#include "internal.h"

void index_key(scim_key *key, const scim_tenant *tenant, const index_def *def,
               const void *value, apr_size_t len)
{
    scim_key_begin(key, SCIM_TABLE_INDEX);
    scim_key_u32(key, tenant->number);
    scim_key_value(key, value, len);
    scim_key_u16(key, def->number);
}

const index_def *index_numbered(const scim_store *store, apr_uint16_t number)
{
    int i;

    for (i = 0; i < store->indexes_count; i++) {
        if (store->indexes[i].number == number) {
            return &store->indexes[i];
        }
    }
    return NULL;
}

const index_def *index_find(const scim_store *store, const scim_resource_type *type,
                            const scim_path *path)
{
    const scim_attribute *leaf = scim_path_leaf(path);
    int i;

    /* Fractions have no rows. */
    if (leaf->type == SCIM_TYPE_DECIMAL) {
        return NULL;
    }
    for (i = 0; i < store->indexes_count; i++) {
        const index_def *def = &store->indexes[i];

        if (def->type == type && def->kind != INDEX_REFERENCE &&
            scim_path_leaf(&def->path) == leaf) {
            return def;
        }
    }
    return NULL;
}

typedef struct collecting {
    scim_store *store;
    const scim_tenant *tenant;
    apr_array_header_t *rows;
    apr_pool_t *pool;
} collecting;

static void add_row(collecting *c, const index_def *def, const scim_key *key, const char *text,
                    const scim_id *target)
{
    index_row *row = apr_array_push(c->rows);

    row->def = def;
    row->key.data = apr_pmemdup(c->pool, key->bytes, key->len);
    row->key.len = key->len;
    row->text = text;
    row->target = target ? *target : (scim_id){{0}};
    row->found = NULL;
}

static void add_reference(collecting *c, const index_def *def, const char *text)
{
    scim_id target;
    scim_key key;

    if (!scim_id_parse(&target, text)) {
        return;
    }
    scim_key_begin(&key, SCIM_TABLE_REFERS);
    scim_key_u32(&key, c->tenant->number);
    scim_key_id(&key, &target);
    scim_key_u16(&key, def->number);
    add_row(c, def, &key, text, &target);
}

void index_number(unsigned char *bytes, apr_int64_t number)
{
    store_put_u64(bytes, (apr_uint64_t)number ^ (APR_UINT64_C(1) << 63));
}

static void add_value(collecting *c, const index_def *def, const json_t *value)
{
    const scim_attribute *leaf = scim_path_leaf(&def->path);
    const char *text = json_string_value(value);
    unsigned char number[INDEX_NUMBER];
    apr_time_t when;
    scim_key key;

    if (def->kind == INDEX_REFERENCE) {
        if (text) {
            add_reference(c, def, text);
        }
        return;
    }
    if (text && leaf->type == SCIM_TYPE_DATETIME && scim_time_parse(text, &when)) {
        index_number(number, when);
        index_key(&key, c->tenant, def, number, sizeof(number));
    } else if (text) {
        apr_size_t len;
        bool exact = leaf->case_exact || leaf->type == SCIM_TYPE_BINARY;
        const char *prepared =
            scim_text_prepare(text, json_string_length(value), exact, &len, c->pool);

        index_key(&key, c->tenant, def, prepared, len);
    } else if (json_is_integer(value)) {
        index_number(number, json_integer_value(value));
        index_key(&key, c->tenant, def, number, sizeof(number));
        text =
            apr_psprintf(c->pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        unsigned char byte = json_is_true(value) ? 1 : 0;

        index_key(&key, c->tenant, def, &byte, 1);
    } else {
        return;
    }
    add_row(c, def, &key, text, NULL);
}

static void add_element(collecting *c, const index_def *def, const json_t *element)
{
    if (def->path.sub) {
        element = json_object_get(element, def->path.sub->name);
    }
    if (element) {
        add_value(c, def, element);
    }
}

static void add_attribute(collecting *c, const index_def *def, const json_t *json)
{
    const json_t *value, *element;
    size_t i;

    if (def->path.extension) {
        json = json_object_get(json, def->path.extension->urn);
    }
    value = json_object_get(json, def->path.attribute->name);
    if (json_is_array(value)) {
        json_array_foreach (value, i, element) {
            add_element(c, def, element);
        }
    } else if (value) {
        add_element(c, def, value);
    }
}

static int compare_rows(const void *a, const void *b)
{
    const index_row *left = a, *right = b;
    apr_size_t shorter = left->key.len < right->key.len ? left->key.len : right->key.len;
    int order = memcmp(left->key.data, right->key.data, shorter);

    return order ? order : (left->key.len > right->key.len) - (left->key.len < right->key.len);
}

apr_array_header_t *index_rows(scim_store *store, const scim_tenant *tenant,
                               const scim_resource_type *type, const json_t *json,
                               apr_pool_t *pool)
{
    collecting c = {store, tenant, apr_array_make(pool, 8, sizeof(index_row)), pool};
    index_row *rows;
    int i, kept = 0;

    for (i = 0; i < store->indexes_count; i++) {
        if (store->indexes[i].type == type) {
            add_attribute(&c, &store->indexes[i], json);
        }
    }
    rows = (index_row *)c.rows->elts;
    qsort(rows, (size_t)c.rows->nelts, sizeof(*rows), compare_rows);
    for (i = 0; i < c.rows->nelts; i++) {
        if (!kept || compare_rows(&rows[kept - 1], &rows[i])) {
            rows[kept++] = rows[i];
        }
    }
    c.rows->nelts = kept;
    return c.rows;
}

apr_array_header_t *index_rows_without(const apr_array_header_t *a, const apr_array_header_t *b,
                                       apr_pool_t *pool)
{
    apr_array_header_t *out = apr_array_make(pool, a->nelts, sizeof(index_row));
    int i;

    for (i = 0; i < a->nelts; i++) {
        const index_row *row = &APR_ARRAY_IDX(a, i, index_row);

        if (!b->nelts ||
            !bsearch(row, b->elts, (size_t)b->nelts, sizeof(index_row), compare_rows)) {
            APR_ARRAY_PUSH(out, index_row) = *row;
        }
    }
    return out;
}
