/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sort keys: one byte that says whether there is a value, then the value in a
 * form whose byte order is its order.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/sort.h"
#include "scim/text.h"
#include "scim/time.h"

enum { PRESENT = 0, MISSING = 1 };

static bool sortable(scim_path *path)
{
    const scim_attribute *leaf;

    if (!path->attribute || path->attribute->role == SCIM_ROLE_GROUPS ||
        path->attribute->role == SCIM_ROLE_MEMBERS) {
        return false;
    }
    if (path->attribute->type == SCIM_TYPE_COMPLEX && !path->sub) {
        path->sub = scim_attribute_sub(path->attribute, "value", 5);
    }
    leaf = scim_path_leaf(path);
    return leaf->type != SCIM_TYPE_COMPLEX && leaf->returned != SCIM_RETURNED_NEVER &&
           path->attribute->returned != SCIM_RETURNED_NEVER;
}

static const scim_error *read_order(bool *descending, const char *order, apr_pool_t *pool)
{
    *descending = order && !scim_text_casecmp(order, "descending");
    if (order && *order && !*descending && scim_text_casecmp(order, "ascending")) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE,
                               "sortOrder is ascending or descending, not \"%s\"", order);
    }
    return NULL;
}

const scim_error *scim_sort_parse(const scim_sort **out, const char *sort_by,
                                  const char *sort_order, const scim_resource_type *type,
                                  apr_pool_t *result_pool)
{
    bool known = true;

    SCIM_ERR(scim_sort_parse_any(out, &known, sort_by, sort_order, type, result_pool));
    if (!known) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "sortBy: a %s has no attribute \"%s\"", type->name, sort_by);
    }
    return NULL;
}

const scim_error *scim_sort_parse_any(const scim_sort **out, bool *known, const char *sort_by,
                                      const char *sort_order, const scim_resource_type *type,
                                      apr_pool_t *result_pool)
{
    scim_sort *sort = apr_pcalloc(result_pool, sizeof(*sort));

    *out = NULL;
    *known = true;
    SCIM_ERR(read_order(&sort->descending, sort_order, result_pool));
    if (!sort_by || !*sort_by) {
        return NULL;
    }
    if (scim_path_attribute(&sort->path, sort_by, type) != SCIM_PATH_OK) {
        memset(&sort->path, 0, sizeof(sort->path));
        *known = false;
        *out = sort;
        return NULL;
    }
    if (!sortable(&sort->path)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "sortBy: \"%s\" holds no value to sort by; name one of its "
                               "sub-attributes, or another attribute",
                               sort_by);
    }
    *out = sort;
    return NULL;
}

/* Of a multi-valued attribute, the element that counts. */
static const json_t *chosen(const json_t *value)
{
    const json_t *element;
    size_t i;

    if (!json_is_array(value)) {
        return value;
    }
    json_array_foreach (value, i, element) {
        if (json_is_true(json_object_get(element, "primary"))) {
            return element;
        }
    }
    return json_array_get(value, 0);
}

static const json_t *value_of(const scim_sort *sort, const json_t *resource)
{
    const json_t *value = resource;

    if (sort->path.extension) {
        value = json_object_get(value, sort->path.extension->urn);
    }
    value = chosen(json_object_get(value, sort->path.attribute->name));
    return sort->path.sub ? json_object_get(value, sort->path.sub->name) : value;
}

static scim_sort_key make_key(const void *data, apr_size_t len, apr_pool_t *pool)
{
    unsigned char *bytes;

    if (len > SCIM_SORT_MAX) {
        len = SCIM_SORT_MAX;
    }
    bytes = apr_palloc(pool, len + 1);
    bytes[0] = PRESENT;
    memcpy(bytes + 1, data, len);
    return (scim_sort_key){bytes, len + 1};
}

/* A number as 8 bytes, its sign bit turned over (of a negative real all bits):
 * the order of the bytes is that of the numbers. */
static scim_sort_key number_key(apr_uint64_t bits, apr_pool_t *pool)
{
    unsigned char bytes[8];
    int i;

    for (i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(bits >> (56 - 8 * i));
    }
    return make_key(bytes, sizeof(bytes), pool);
}

static scim_sort_key integer_key(apr_int64_t number, apr_pool_t *pool)
{
    return number_key((apr_uint64_t)number ^ APR_UINT64_C(1) << 63, pool);
}

static scim_sort_key real_key(double number, apr_pool_t *pool)
{
    apr_uint64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    return number_key(bits >> 63 ? ~bits : bits ^ APR_UINT64_C(1) << 63, pool);
}

static scim_sort_key string_key(const json_t *value, const scim_attribute *leaf,
                                apr_pool_t *pool)
{
    const char *text = json_string_value(value);
    bool exact = leaf->case_exact || leaf->type == SCIM_TYPE_BINARY;
    apr_time_t when;
    apr_size_t len;

    if (leaf->type == SCIM_TYPE_DATETIME && scim_time_parse(text, &when)) {
        return integer_key(when, pool);
    }
    text = scim_text_prepare(text, json_string_length(value), exact, &len, pool);
    return make_key(text, len, pool);
}

scim_sort_key scim_sort_key_of(const scim_sort *sort, const json_t *resource,
                               apr_pool_t *result_pool)
{
    static const unsigned char missing[] = {MISSING};
    const scim_attribute *leaf = scim_path_leaf(&sort->path);
    const json_t *value = leaf ? value_of(sort, resource) : NULL;
    unsigned char boolean;

    if (!value) {
        return (scim_sort_key){missing, sizeof(missing)};
    }
    switch (json_typeof(value)) {
    case JSON_STRING:
        return string_key(value, leaf, result_pool);
    case JSON_INTEGER:
        return leaf->type == SCIM_TYPE_DECIMAL
                   ? real_key((double)json_integer_value(value), result_pool)
                   : integer_key(json_integer_value(value), result_pool);
    case JSON_REAL:
        return real_key(json_real_value(value), result_pool);
    case JSON_TRUE:
    case JSON_FALSE:
        boolean = json_is_true(value) ? 1 : 0;
        return make_key(&boolean, 1, result_pool);
    default:
        return (scim_sort_key){missing, sizeof(missing)};
    }
}

int scim_sort_compare(const scim_sort *sort, const scim_sort_key *a, const scim_sort_key *b)
{
    apr_size_t shorter = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->bytes, b->bytes, shorter);

    if (!order) {
        order = (a->len > b->len) - (a->len < b->len);
    }
    return sort->descending ? -order : order;
}
