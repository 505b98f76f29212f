/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter evaluator, the only one: whatever index found a candidate, this
 * decides.  An attribute with several values matches when any of them does;
 * "not any" is said by the NOT that the parser makes of "ne".
 */
#include "scim/filter.h"

#include <string.h>

#include <apr_hash.h>

#include "scim/json.h"
#include "scim/text.h"
#include "scim/time.h"

/* From this many bytes on, a text is prepared once for all terms of a filter. */
#define LONG_TEXT 1024

typedef struct prepared_text {
    const json_t *value;
    const char *text;
    apr_size_t len;
} prepared_text;

/* The long texts that were asked for, while one filter is evaluated. */
typedef struct long_texts {
    apr_pool_t *pool; /* NULL: none yet */
    apr_hash_t *by_value;
} long_texts;

/* What paths are looked up in: a whole subject, or one element. */
typedef struct view {
    scim_candidate *subject;
    const json_t *element; /* NULL: the subject */
    long_texts *texts;
    apr_pool_t *pool;
} view;

/* Comparing one value */

/* Whether a three-valued comparison of value with literal satisfies op. */
static bool is_ordered(scim_filter_op op, int order)
{
    switch (op) {
    case SCIM_OP_EQ:
        return order == 0;
    case SCIM_OP_NE:
        return order != 0;
    case SCIM_OP_GT:
        return order > 0;
    case SCIM_OP_GE:
        return order >= 0;
    case SCIM_OP_LT:
        return order < 0;
    case SCIM_OP_LE:
        return order <= 0;
    default:
        return false;
    }
}

static int order_bytes(const char *a, apr_size_t a_len, const char *b, apr_size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order ? order : (a_len > b_len) - (a_len < b_len);
}

static void prepare(prepared_text *out, const scim_filter *filter, const json_t *value,
                    apr_pool_t *pool)
{
    const scim_attribute *leaf = scim_path_leaf(&filter->path);
    bool exact = leaf->case_exact || leaf->type == SCIM_TYPE_BINARY;

    out->value = value;
    out->text = scim_text_prepare(json_string_value(value), json_string_length(value), exact,
                                  &out->len, pool);
}

/* A value has one attribute, hence one prepared form, whichever term asks.  In a
 * pool of its own: the caller's may live for many evaluations. */
static const prepared_text *prepare_long(const scim_filter *filter, const json_t *value,
                                         const view *v)
{
    prepared_text *text;

    if (!v->texts->pool) {
        apr_pool_create(&v->texts->pool, v->pool);
        v->texts->by_value = apr_hash_make(v->texts->pool);
    }
    text = apr_hash_get(v->texts->by_value, &value, sizeof(value));
    if (!text) {
        text = apr_palloc(v->texts->pool, sizeof(*text));
        prepare(text, filter, value, v->texts->pool);
        apr_hash_set(v->texts->by_value, &text->value, sizeof(text->value), text);
    }
    return text;
}

static bool match_text(const scim_filter *filter, const prepared_text *value)
{
    const char *needle = filter->value.prepared;
    apr_size_t needle_len = filter->value.prepared_len;
    const char *text = value->text;
    apr_size_t len = value->len;

    switch (filter->op) {
    case SCIM_OP_CO:
        return memmem(text, len, needle, needle_len) != NULL;
    case SCIM_OP_SW:
        return len >= needle_len && !memcmp(text, needle, needle_len);
    case SCIM_OP_EW:
        return len >= needle_len && !memcmp(text + len - needle_len, needle, needle_len);
    default:
        return is_ordered(filter->op, order_bytes(text, len, needle, needle_len));
    }
}

static bool match_string(const scim_filter *filter, const json_t *value, const view *v)
{
    prepared_text text;

    if (!json_is_string(value)) {
        return false;
    }
    if (json_string_length(value) >= LONG_TEXT) {
        return match_text(filter, prepare_long(filter, value, v));
    }
    prepare(&text, filter, value, v->pool);
    return match_text(filter, &text);
}

static bool match_time(const scim_filter *filter, const json_t *value)
{
    apr_time_t when;

    if (!json_is_string(value) || !scim_time_parse(json_string_value(value), &when)) {
        return false;
    }
    return is_ordered(filter->op, (when > filter->value.time) - (when < filter->value.time));
}

static bool match_number(const scim_filter *filter, const json_t *value)
{
    double real;

    if (!json_is_number(value)) {
        return false;
    }
    if (filter->value.is_integer && json_is_integer(value)) {
        json_int_t integer = json_integer_value(value);
        return is_ordered(filter->op, (integer > filter->value.integer) -
                                          (integer < filter->value.integer));
    }
    real = json_number_value(value);
    return is_ordered(filter->op, (real > filter->value.real) - (real < filter->value.real));
}

static bool match_scalar(const scim_filter *filter, const json_t *value, const view *v)
{
    switch (filter->value.kind) {
    case SCIM_LITERAL_STRING:
        return match_string(filter, value, v);
    case SCIM_LITERAL_TIME:
        return match_time(filter, value);
    case SCIM_LITERAL_NUMBER:
        return match_number(filter, value);
    case SCIM_LITERAL_BOOLEAN:
        return json_is_boolean(value) &&
               is_ordered(filter->op, json_is_true(value) - filter->value.boolean);
    case SCIM_LITERAL_NULL:
        break;
    }
    return false;
}

/* Reaching values */

typedef bool visitor(const scim_filter *filter, const json_t *value, const view *v);

static bool is_assigned(const scim_filter *filter, const json_t *value, const view *v)
{
    return value && !scim_json_unassigned(value);
}

/* Whether visit accepts any value that the path ends at, below the value of
 * its attribute. */
static bool any_value(const scim_filter *filter, const json_t *value, const scim_attribute *sub,
                      visitor *visit, const view *v)
{
    size_t i;

    if (json_is_array(value)) {
        for (i = 0; i < json_array_size(value); i++) {
            if (any_value(filter, json_array_get(value, i), sub, visit, v)) {
                return true;
            }
        }
        return false;
    }
    if (sub) {
        return any_value(filter, json_object_get(value, sub->name), NULL, visit, v);
    }
    return visit(filter, value, v);
}

static bool is_edge(const scim_attribute *attribute)
{
    return attribute->role == SCIM_ROLE_MEMBERS || attribute->role == SCIM_ROLE_GROUPS;
}

static const json_t *find_value(const scim_path *path, const view *v)
{
    const scim_attribute *attribute = path->attribute;
    const json_t *container;

    if (v->element) {
        return attribute->parent ? json_object_get(v->element, attribute->name) : v->element;
    }
    if (is_edge(attribute) && v->subject->edges) {
        return v->subject->edges(v->subject, attribute);
    }
    container = v->subject->resource;
    if (path->extension) {
        container = json_object_get(container, path->extension->urn);
    }
    return json_object_get(container, attribute->name);
}

/* The value that an edge must have for filter to match, where that is all it
 * asks: members eq "x", members.value eq "x", members[value eq "x"]. */
static const char *edge_asked(const scim_filter *filter)
{
    const scim_filter *test = filter->kind == SCIM_FILTER_ELEMENT ? filter->left : filter;
    const scim_attribute *leaf;

    if (!is_edge(filter->path.attribute) || test->kind != SCIM_FILTER_COMPARE ||
        test->op != SCIM_OP_EQ || test->value.kind != SCIM_LITERAL_STRING) {
        return NULL;
    }
    leaf = scim_path_leaf(&test->path);
    return strcmp(leaf->name, "value") ? NULL : test->value.text;
}

/* Evaluation */

static bool matches(const scim_filter *filter, const view *v);

static bool match_elements(const scim_filter *filter, const view *v)
{
    const json_t *value = find_value(&filter->path, v);
    view below = *v;
    size_t i;

    below.element = value;
    if (!json_is_array(value)) {
        return value && matches(filter->left, &below);
    }
    for (i = 0; i < json_array_size(value); i++) {
        below.element = json_array_get(value, i);
        if (matches(filter->left, &below)) {
            return true;
        }
    }
    return false;
}

static bool match_path(const scim_filter *filter, const view *v)
{
    const char *edge = NULL;

    if (!v->element && v->subject->has_edge) {
        edge = edge_asked(filter);
    }
    if (edge) {
        return v->subject->has_edge(v->subject, filter->path.attribute, edge);
    }
    if (filter->kind == SCIM_FILTER_ELEMENT) {
        return match_elements(filter, v);
    }
    return any_value(filter, find_value(&filter->path, v), filter->path.sub,
                     filter->kind == SCIM_FILTER_PRESENT ? is_assigned : match_scalar, v);
}

static bool matches(const scim_filter *filter, const view *v)
{
    switch (filter->kind) {
    case SCIM_FILTER_AND:
        return matches(filter->left, v) && matches(filter->right, v);
    case SCIM_FILTER_OR:
        return matches(filter->left, v) || matches(filter->right, v);
    case SCIM_FILTER_NOT:
        return !matches(filter->left, v);
    case SCIM_FILTER_NEVER:
        return false;
    default:
        return match_path(filter, v);
    }
}

static bool evaluate(const scim_filter *filter, view *v)
{
    long_texts texts = {NULL, NULL};
    bool found;

    v->texts = &texts;
    found = matches(filter, v);
    v->texts = NULL;
    if (texts.pool) {
        apr_pool_destroy(texts.pool);
    }
    return found;
}

bool scim_filter_match(const scim_filter *filter, scim_candidate *subject,
                       apr_pool_t *scratch_pool)
{
    view v = {.subject = subject, .pool = scratch_pool};

    return evaluate(filter, &v);
}

bool scim_filter_match_element(const scim_filter *filter, const json_t *element,
                               apr_pool_t *scratch_pool)
{
    view v = {.element = element, .pool = scratch_pool};

    return evaluate(filter, &v);
}

/* Reading trees */

static json_t *literal_json(const scim_filter *test)
{
    const scim_filter_value *value = &test->value;

    switch (value->kind) {
    case SCIM_LITERAL_STRING:
    case SCIM_LITERAL_TIME:
        return scim_json_textn(value->text, value->text_len);
    case SCIM_LITERAL_BOOLEAN:
        return json_boolean(value->boolean);
    case SCIM_LITERAL_NUMBER:
        return value->is_integer ? scim_json_integer(value->integer)
                                 : scim_json_real(value->real);
    case SCIM_LITERAL_NULL:
        break;
    }
    return NULL;
}

/* Adds one eq-term; false where it contradicts another. */
static bool add_term(json_t *object, const scim_filter *test)
{
    const scim_attribute *attribute = test->path.attribute;
    const json_t *there = json_object_get(object, attribute->name);
    json_t *value = literal_json(test);
    bool agrees;

    if (attribute->multi_valued && value) {
        value = scim_json_pack("[o]", value);
    }
    if (!there) {
        scim_json_set(object, attribute->name, value);
        return value != NULL;
    }
    agrees = json_equal(there, value);
    json_decref(value);
    return agrees;
}

static bool add_terms(json_t *object, const scim_filter *filter)
{
    if (filter->kind == SCIM_FILTER_AND) {
        return add_terms(object, filter->left) && add_terms(object, filter->right);
    }
    return filter->kind == SCIM_FILTER_COMPARE && filter->op == SCIM_OP_EQ &&
           filter->path.attribute->parent && add_term(object, filter);
}

json_t *scim_filter_template(const scim_filter *filter, apr_pool_t *result_pool)
{
    json_t *object = scim_json_object();

    if (!add_terms(object, filter)) {
        json_decref(object);
        return NULL;
    }
    return scim_json_adopt(object, result_pool);
}

int scim_filter_terms(const scim_filter *filter)
{
    if (!filter || (!filter->left && !filter->right)) {
        return 1;
    }
    return (filter->left ? scim_filter_terms(filter->left) : 0) +
           (filter->right ? scim_filter_terms(filter->right) : 0);
}

static bool has_role(const scim_attribute *attribute, scim_role role)
{
    return attribute && attribute->role == role;
}

bool scim_filter_mentions(const scim_filter *filter, scim_role role)
{
    switch (filter->kind) {
    case SCIM_FILTER_AND:
    case SCIM_FILTER_OR:
        return scim_filter_mentions(filter->left, role) ||
               scim_filter_mentions(filter->right, role);
    case SCIM_FILTER_NOT:
        return scim_filter_mentions(filter->left, role);
    case SCIM_FILTER_ELEMENT:
        return has_role(filter->path.attribute, role) ||
               scim_filter_mentions(filter->left, role);
    default:
        return has_role(filter->path.attribute, role) || has_role(filter->path.sub, role);
    }
}
