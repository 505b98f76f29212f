/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation: what a client sent, made canonical by the schema.
 *
 * Values are never changed where they stand: a canonical value is a new one,
 * or shares with the value that was sent what is canonical already.  Inside
 * this file json_t results are new references; what is public adopts them.
 */
#include "scim/validate.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/country.h"
#include "scim/json.h"
#include "scim/text.h"
#include "scim/time.h"

typedef struct checker {
    apr_pool_t *pool;
    bool lenient;
} checker;

/* Where a value stands.  It lives on the stack beside the walk, and is put
 * into words only when there is something to complain of. */
typedef struct place {
    const struct place *up;
    const char *name; /* NULL: the element of that index */
    apr_size_t index;
} place;

static const char *in_words(const place *at, apr_pool_t *pool)
{
    if (!at->up) {
        return at->name;
    }
    const char *up = in_words(at->up, pool);
    if (at->name) {
        return apr_pstrcat(pool, up, ".", at->name, NULL);
    }
    return apr_psprintf(pool, "%s[%" APR_SIZE_T_FMT "]", up, at->index);
}

static json_t *share(const json_t *value)
{
    return json_incref((json_t *)value);
}

static json_t *list_of(const char *text)
{
    json_t *list = scim_json_array();
    scim_json_append(list, scim_json_text(text));
    return list;
}

/* Objects are left out on purpose: whether one is empty shows when its
 * attributes have been read, and one that stands where none belongs is an
 * error however empty it is. */
static bool is_unassigned(const json_t *value)
{
    return !json_is_object(value) && json_array_size(value) == 0 && scim_json_unassigned(value);
}

/* Readers make the canonical form of a simple value, or NULL where it is not
 * of their type. */

static json_t *read_string(const json_t *value, const scim_attribute *attribute)
{
    if (!json_is_string(value)) {
        return NULL;
    }
    const char *code = NULL;
    if (attribute->role == SCIM_ROLE_COUNTRY) {
        code = scim_country_code(json_string_value(value));
    }
    return code ? scim_json_text(code) : share(value);
}

static json_t *read_boolean(const json_t *value, const scim_attribute *attribute)
{
    return json_is_boolean(value) ? share(value) : NULL;
}

static json_t *read_decimal(const json_t *value, const scim_attribute *attribute)
{
    return json_is_number(value) ? share(value) : NULL;
}

static json_t *read_integer(const json_t *value, const scim_attribute *attribute)
{
    return json_is_integer(value) ? share(value) : NULL;
}

static json_t *read_datetime(const json_t *value, const scim_attribute *attribute)
{
    apr_time_t when;
    if (!json_is_string(value) || !scim_time_parse(json_string_value(value), &when)) {
        return NULL;
    }
    char text[SCIM_TIME_LEN + 1];
    return scim_json_text(scim_time_format(when, text));
}

/* RFC 4648 section 4, where the padding may be missing. */
static bool is_base64(const char *text, size_t len)
{
    size_t digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789+/");
    size_t padding = strspn(text + digits, "=");
    if (digits + padding != len || digits % 4 == 1) {
        return false;
    }
    return padding == 0 || (padding <= 2 && len % 4 == 0);
}

static json_t *read_binary(const json_t *value, const scim_attribute *attribute)
{
    bool good =
        json_is_string(value) && is_base64(json_string_value(value), json_string_length(value));
    return good ? share(value) : NULL;
}

static const struct {
    json_t *(*read)(const json_t *value, const scim_attribute *attribute);
    const char *words;
} types[] = {
    [SCIM_TYPE_STRING] = {read_string, "a string"},
    [SCIM_TYPE_BOOLEAN] = {read_boolean, "a boolean"},
    [SCIM_TYPE_DECIMAL] = {read_decimal, "a number"},
    [SCIM_TYPE_INTEGER] = {read_integer, "an integer without fraction or exponent"},
    [SCIM_TYPE_DATETIME] = {read_datetime, "a dateTime such as \"2026-11-21T22:37:00Z\""},
    [SCIM_TYPE_BINARY] = {read_binary, "a string in base64"},
    [SCIM_TYPE_REFERENCE] = {read_string, "a string that is a URI"},
};

static const scim_error *wrong(const place *at, const char *expected, const json_t *value,
                               const checker *c)
{
    return scim_error_make(c->pool, SCIM_E_INVALID_VALUE, "%s must be %s, is %s",
                           in_words(at, c->pool), expected, scim_json_kind(value));
}

static const scim_error *wrong_simple(const place *at, const scim_attribute *attribute,
                                      const json_t *value, const checker *c)
{
    const char *expected = types[attribute->type].words;
    if (json_is_string(value) &&
        (attribute->type == SCIM_TYPE_DATETIME || attribute->type == SCIM_TYPE_BINARY)) {
        return scim_error_make(c->pool, SCIM_E_INVALID_VALUE, "%s must be %s",
                               in_words(at, c->pool), expected);
    }
    return wrong(at, expected, value, c);
}

static const scim_error *unknown(const char *owner, const char *name, const checker *c)
{
    return scim_error_make(c->pool, SCIM_E_INVALID_SYNTAX, "%s has no attribute \"%s\"", owner,
                           name);
}

static const scim_error *canonical(json_t **out, const json_t *value,
                                   const scim_attribute *attribute, bool element,
                                   const place *at, const checker *c);

/* A null stays where it clears what a PUT would keep; scim_validate_whole
 * drops it. */
static const scim_error *put_canonical(json_t *into, const json_t *value,
                                       const scim_attribute *attribute, const place *at,
                                       const checker *c)
{
    json_t *made;
    SCIM_ERR(canonical(&made, value, attribute, false, at, c));
    if (!made && attribute->mutability == SCIM_WRITE_ONLY) {
        made = json_null();
    }
    if (made) {
        scim_json_set(into, attribute->name, made);
    }
    return NULL;
}

/* Reads what stands in an object of a complex attribute, or, where parent is
 * NULL, of an extension. */
static const scim_error *fill_object(json_t *into, const json_t *from,
                                     const scim_attribute *parent, const scim_schema *extension,
                                     const place *at, const checker *c)
{
    if (!json_is_object(from)) {
        return wrong(at, "an object", from, c);
    }
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)from, key, value) {
        const scim_attribute *attribute =
            parent ? scim_attribute_sub(parent, key, strlen(key))
                   : scim_schema_attribute(extension, key, strlen(key));
        if (!attribute && !c->lenient) {
            return unknown(in_words(at, c->pool), key, c);
        }
        if (!attribute || attribute->mutability == SCIM_READ_ONLY) {
            continue;
        }
        place here = {parent ? at : NULL, parent ? attribute->name : attribute->path, 0};
        SCIM_ERR(put_canonical(into, value, attribute, &here, c));
    }
    return NULL;
}

/* An element in which everything counts: its text, in the schema's order. */
static const char *whole_key(const json_t *element, const scim_attribute *attribute,
                             apr_pool_t *pool)
{
    json_t *ordered = scim_json_object();
    for (int i = 0; i < attribute->subs_count; i++) {
        const char *name = attribute->subs[i].name;
        scim_json_set(ordered, name, json_incref(json_object_get(element, name)));
    }
    apr_size_t len;
    const char *text = scim_json_write(attribute->subs ? ordered : element, &len, pool);
    json_decref(ordered);
    return text;
}

static const char *prepared(const json_t *value, bool exact, apr_pool_t *pool)
{
    apr_size_t len;
    return value ? scim_text_prepare(json_string_value(value), json_string_length(value), exact,
                                     &len, pool)
                 : "";
}

/* What two elements have in common that are one: type and value (RFC 7643
 * section 2.4), or everything where there is no value. */
static const char *element_key(const json_t *element, const scim_attribute *attribute,
                               apr_pool_t *pool)
{
    const scim_attribute *sub = attribute;
    const json_t *value = element;
    if (attribute->type == SCIM_TYPE_COMPLEX) {
        sub = scim_attribute_sub(attribute, "value", strlen("value"));
        value = json_object_get(element, "value");
    }
    if (!json_is_string(value)) {
        return whole_key(element, attribute, pool);
    }
    const json_t *type = json_object_get(element, "type");
    const char *kind = prepared(json_is_string(type) ? type : NULL, false, pool);
    return apr_psprintf(pool, "%" APR_SIZE_T_FMT ":%s%s", strlen(kind), kind,
                        prepared(value, sub->case_exact, pool));
}

/* Takes over the reference to element.  Of two that are one the later adds
 * what the earlier did not say.  seen is NULL where there is but one. */
static void add_element(json_t *list, json_t *element, apr_hash_t *seen,
                        const scim_attribute *attribute, const checker *c)
{
    if (!seen) {
        scim_json_append(list, element);
        return;
    }
    const char *key = element_key(element, attribute, c->pool);
    json_t *same = apr_hash_get(seen, key, APR_HASH_KEY_STRING);
    if (!same) {
        apr_hash_set(seen, key, APR_HASH_KEY_STRING, element);
        scim_json_append(list, element);
        return;
    }
    if (json_is_object(same)) {
        scim_json_update(same, element);
    }
    json_decref(element);
}

/* RFC 7643 section 2.4: primary is true once at most. */
static const scim_error *settle_primary(json_t *list, const place *at, const checker *c)
{
    json_t *primary = NULL;
    apr_size_t i;
    json_t *element;
    json_array_foreach (list, i, element) {
        if (!json_is_true(json_object_get(element, "primary"))) {
            continue;
        }
        if (primary && !c->lenient) {
            return scim_error_make(c->pool, SCIM_E_INVALID_VALUE,
                                   "%s has two values whose primary is true",
                                   in_words(at, c->pool));
        }
        if (primary) {
            scim_json_set(primary, "primary", json_false());
        }
        primary = element;
    }
    return NULL;
}

static const scim_error *fill_list(json_t *into, const json_t *from,
                                   const scim_attribute *attribute, const place *at,
                                   const checker *c)
{
    if (!json_is_array(from)) {
        return wrong(at, "an array", from, c);
    }
    apr_hash_t *seen = json_array_size(from) > 1 ? apr_hash_make(c->pool) : NULL;
    apr_size_t i;
    json_t *value;
    json_array_foreach (from, i, value) {
        place here = {at, NULL, i};
        json_t *element;
        SCIM_ERR(canonical(&element, value, attribute, true, &here, c));
        if (element) {
            add_element(into, element, seen, attribute, c);
        }
    }
    return settle_primary(into, at, c);
}

static const scim_error *canonical(json_t **out, const json_t *value,
                                   const scim_attribute *attribute, bool element,
                                   const place *at, const checker *c)
{
    *out = NULL;
    if (is_unassigned(value)) {
        return NULL;
    }
    bool list = attribute->multi_valued && !element;
    if (!list && attribute->type != SCIM_TYPE_COMPLEX) {
        *out = types[attribute->type].read(value, attribute);
        return *out ? NULL : wrong_simple(at, attribute, value, c);
    }

    json_t *made = list ? scim_json_array() : scim_json_object();
    const scim_error *err = list ? fill_list(made, value, attribute, at, c)
                                 : fill_object(made, value, attribute, NULL, at, c);
    if (err || json_array_size(made) + json_object_size(made) == 0) {
        json_decref(made);
        return err;
    }
    *out = made;
    return NULL;
}

const scim_error *scim_validate_value(json_t **out, const json_t *value,
                                      const scim_attribute *attribute, bool element,
                                      const char *where, bool lenient, apr_pool_t *result_pool)
{
    checker c = {result_pool, lenient};
    place at = {NULL, where, 0};
    SCIM_ERR(canonical(out, value, attribute, element, &at, &c));
    scim_json_adopt(*out, result_pool);
    return NULL;
}

/* A string of a member, in the pool; NULL where it is unassigned. */
static const scim_error *member_text(const char **out, const json_t *element, const char *name,
                                     const char *where, apr_pool_t *pool)
{
    const json_t *value = scim_json_get(element, name, NULL);
    *out = NULL;
    if (!value || is_unassigned(value)) {
        return NULL;
    }
    if (!json_is_string(value)) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE, "%s.%s must be a string, is %s",
                               where, name, scim_json_kind(value));
    }
    *out = apr_pstrdup(pool, json_string_value(value));
    return NULL;
}

static const scim_error *member_type(const char **out, const char *where, apr_pool_t *pool)
{
    static const char *const names[] = {"User", "Group"};
    if (!*out) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (scim_text_casecmp(*out, names[i]) == 0) {
            *out = names[i];
            return NULL;
        }
    }
    return scim_error_make(pool, SCIM_E_INVALID_VALUE, "%s.type must be \"User\" or \"Group\"",
                           where);
}

const scim_error *scim_validate_member(scim_member_op *out, const json_t *element,
                                       const char *where, apr_pool_t *result_pool)
{
    if (!json_is_object(element)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "%s must be an object whose value is the member's id, is %s",
                               where, scim_json_kind(element));
    }
    memset(out, 0, sizeof(*out));
    out->kind = SCIM_MEMBER_ADD;
    out->where = where;
    SCIM_ERR(member_text(&out->value, element, "value", where, result_pool));
    SCIM_ERR(member_text(&out->type, element, "type", where, result_pool));
    SCIM_ERR(member_text(&out->ref, element, "$ref", where, result_pool));
    SCIM_ERR(member_text(&out->display, element, "display", where, result_pool));
    SCIM_ERR(member_type(&out->type, where, result_pool));
    if (!out->value) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "%s.value is missing: it must be the member's id", where);
    }
    return NULL;
}

static void push_member(apr_array_header_t *members, const scim_member_op *op, apr_hash_t *seen)
{
    scim_member_op *same = apr_hash_get(seen, op->value, APR_HASH_KEY_STRING);
    if (same) {
        same->type = op->type ? op->type : same->type;
        same->ref = op->ref ? op->ref : same->ref;
        same->display = op->display ? op->display : same->display;
        return;
    }
    APR_ARRAY_PUSH(members, scim_member_op) = *op;
    apr_hash_set(seen, op->value, APR_HASH_KEY_STRING,
                 &APR_ARRAY_IDX(members, members->nelts - 1, scim_member_op));
}

static const scim_error *check_member_names(const json_t *element,
                                            const scim_attribute *members, const char *where,
                                            const checker *c)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)element, key, value) {
        if (!c->lenient && !scim_attribute_sub(members, key, strlen(key))) {
            return unknown(where, key, c);
        }
    }
    return NULL;
}

/* Turns the value of members into ADD steps behind those that the draft has. */
static const scim_error *put_members(scim_draft *draft, const json_t *value,
                                     const scim_attribute *members, const checker *c)
{
    place at = {NULL, members->path, 0};
    if (is_unassigned(value)) {
        return NULL;
    }
    if (!json_is_array(value)) {
        return wrong(&at, "an array", value, c);
    }

    /* Sized for all of them, since the hash points into it. */
    int before = draft->members ? draft->members->nelts : 0;
    apr_array_header_t *ops =
        apr_array_make(c->pool, before + (int)json_array_size(value), sizeof(scim_member_op));
    if (before) {
        apr_array_cat(ops, draft->members);
    }
    draft->members = ops;

    apr_hash_t *seen = apr_hash_make(c->pool);
    apr_size_t i;
    json_t *element;
    json_array_foreach (value, i, element) {
        if (is_unassigned(element)) {
            continue;
        }
        place here = {&at, NULL, i};
        const char *where = in_words(&here, c->pool);
        scim_member_op op;
        SCIM_ERR(check_member_names(element, members, where, c));
        SCIM_ERR(scim_validate_member(&op, element, where, c->pool));
        push_member(ops, &op, seen);
    }
    return NULL;
}

const scim_error *scim_validate_password(const char *text, apr_pool_t *result_pool)
{
    apr_size_t len = strlen(text);
    if (len > SCIM_PASSWORD_MAX) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "password has %" APR_SIZE_T_FMT " bytes, at most %d are taken",
                               len, SCIM_PASSWORD_MAX);
    }
    if (scim_text_has_control(text, len)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "password must not have control characters or bidirectional "
                               "overrides");
    }
    return NULL;
}

static const scim_error *put_password(scim_draft *draft, const json_t *value,
                                      const scim_attribute *password, const checker *c)
{
    place at = {NULL, password->path, 0};
    draft->password_cleared = is_unassigned(value);
    if (draft->password_cleared) {
        return NULL;
    }
    if (!json_is_string(value)) {
        return wrong(&at, "a string", value, c);
    }
    draft->password = json_string_value(value);
    return scim_validate_password(draft->password, c->pool);
}

static const scim_error *put_attribute(scim_draft *draft, const json_t *value,
                                       const scim_attribute *attribute, const checker *c)
{
    if (attribute->mutability == SCIM_READ_ONLY || attribute->role == SCIM_ROLE_SCHEMAS) {
        return NULL;
    }
    if (attribute->role == SCIM_ROLE_MEMBERS) {
        return put_members(draft, value, attribute, c);
    }
    if (attribute->role == SCIM_ROLE_PASSWORD) {
        return put_password(draft, value, attribute, c);
    }
    place at = {NULL, attribute->path, 0};
    return put_canonical(draft->json, value, attribute, &at, c);
}

/* What stands under the URN of a schema.  The core schema's has been emptied
 * by scim/interop.h. */
static const scim_error *put_extension(scim_draft *draft, const json_t *value,
                                       const scim_schema *schema, const checker *c)
{
    place at = {NULL, schema->urn, 0};
    if (is_unassigned(value)) {
        return NULL;
    }
    json_t *object = scim_json_object();
    scim_json_set(draft->json, schema->urn, object);
    return fill_object(object, value, NULL, schema, &at, c);
}

static const scim_error *put_key(scim_draft *draft, const char *key, const json_t *value,
                                 const checker *c)
{
    const scim_attribute *attribute = scim_type_attribute(draft->type, key, strlen(key));
    if (attribute) {
        return put_attribute(draft, value, attribute, c);
    }
    const scim_schema *schema = scim_type_schema(draft->type, key, strlen(key));
    if (schema) {
        return put_extension(draft, value, schema, c);
    }
    return c->lenient ? NULL : unknown(draft->type->name, key, c);
}

/* Holds a PUT to what is immutable: kept where it was left out, refused where
 * it differs (RFC 7644 section 3.5.1).  What is writeOnly is kept as well,
 * since a client that sends back what it read cannot have it.  Objects that
 * this leaves empty are dropped later, with the others. */
static const scim_error *keep_immutable(json_t *now, const json_t *before,
                                        const scim_attribute *attributes, int count,
                                        const checker *c)
{
    for (int i = 0; i < count; i++) {
        const scim_attribute *attribute = &attributes[i];
        const json_t *was = json_object_get(before, attribute->name);
        json_t *is = json_object_get(now, attribute->name);
        if (!was) {
            continue;
        }
        if (attribute->mutability == SCIM_WRITE_ONLY) {
            if (!is) {
                scim_json_set(now, attribute->name, share(was));
            }
        } else if (attribute->mutability != SCIM_IMMUTABLE) {
            if (attribute->type == SCIM_TYPE_COMPLEX && !attribute->multi_valued) {
                if (!is) {
                    is = scim_json_object();
                    scim_json_set(now, attribute->name, is);
                }
                SCIM_ERR(keep_immutable(is, was, attribute->subs, attribute->subs_count, c));
            }
        } else if (!is) {
            scim_json_set(now, attribute->name, share(was));
        } else if (!json_equal(is, was)) {
            return scim_error_make(c->pool, SCIM_E_MUTABILITY,
                                   "%s is immutable: it has a value and cannot be changed",
                                   attribute->path);
        }
    }
    return NULL;
}

static const scim_error *keep_all_immutable(scim_draft *draft, const json_t *existing,
                                            const checker *c)
{
    const scim_resource_type *type = draft->type;
    SCIM_ERR(keep_immutable(draft->json, existing, type->schema->attributes,
                            type->schema->attributes_count, c));
    for (int i = 0; i < type->extensions_count; i++) {
        const scim_schema *schema = type->extensions[i].schema;
        const json_t *was = json_object_get(existing, schema->urn);
        json_t *is = json_object_get(draft->json, schema->urn);
        if (!is) {
            is = scim_json_object();
            scim_json_set(draft->json, schema->urn, is);
        }
        SCIM_ERR(keep_immutable(is, was, schema->attributes, schema->attributes_count, c));
    }
    return NULL;
}

static void begin_draft(scim_draft *draft, const scim_resource_type *type, bool replaces,
                        apr_pool_t *pool)
{
    memset(draft, 0, sizeof(*draft));
    draft->type = type;
    draft->json = scim_json_adopt(scim_json_object(), pool);
    /* Holds the first place; scim_validate_whole says what it lists. */
    scim_json_set(draft->json, "schemas", list_of(type->schema->urn));
    if (replaces && type->members) {
        scim_member_op clear = {.kind = SCIM_MEMBER_CLEAR, .where = type->members->path};
        draft->members = apr_array_make(pool, 1, sizeof(scim_member_op));
        APR_ARRAY_PUSH(draft->members, scim_member_op) = clear;
    }
}

const scim_error *scim_validate_resource(scim_draft *out, const json_t *body,
                                         const json_t *existing, const scim_resource_type *type,
                                         bool lenient, apr_pool_t *result_pool)
{
    checker c = {result_pool, lenient};
    begin_draft(out, type, existing != NULL, result_pool);
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)body, key, value) {
        SCIM_ERR(put_key(out, key, value, &c));
    }
    if (existing) {
        SCIM_ERR(keep_all_immutable(out, existing, &c));
    }
    return scim_validate_whole(out->json, type, result_pool);
}

/* Removes what says nothing; true where nothing is left. */
static bool prune(json_t *value)
{
    if (json_is_array(value)) {
        for (apr_size_t i = json_array_size(value); i-- > 0;) {
            if (prune(json_array_get(value, i))) {
                json_array_remove(value, i);
            }
        }
        return json_array_size(value) == 0;
    }
    if (json_is_object(value)) {
        const char *key;
        json_t *member;
        void *next;
        json_object_foreach_safe(value, next, key, member)
        {
            if (prune(member)) {
                json_object_del(value, key);
            }
        }
        return json_object_size(value) == 0;
    }
    return json_is_null(value);
}

/* Attributes that the JSON of a resource holds and a client may set. */
static bool is_stored(const scim_attribute *attribute)
{
    return attribute->mutability != SCIM_READ_ONLY && attribute->role != SCIM_ROLE_SCHEMAS &&
           attribute->role != SCIM_ROLE_MEMBERS && attribute->role != SCIM_ROLE_PASSWORD;
}

/* A unique name that is compared without case is a user's name in the sense
 * of RFC 8265 section 3.3, which allows no control characters. */
static const scim_error *check_name(const json_t *value, const scim_attribute *attribute,
                                    const place *at, const checker *c)
{
    if (attribute->type != SCIM_TYPE_STRING || attribute->uniqueness == SCIM_UNIQUE_NONE ||
        attribute->case_exact ||
        !scim_text_has_control(json_string_value(value), json_string_length(value))) {
        return NULL;
    }
    return scim_error_make(c->pool, SCIM_E_INVALID_VALUE,
                           "%s must not have control characters or bidirectional overrides",
                           in_words(at, c->pool));
}

static const scim_error *check_object(const json_t *object, const scim_attribute *attributes,
                                      int count, const place *at, const checker *c);

static const scim_error *check_value(const json_t *value, const scim_attribute *attribute,
                                     const place *at, const checker *c)
{
    if (json_is_array(value)) {
        apr_size_t i;
        json_t *element;
        json_array_foreach (value, i, element) {
            place here = {at, NULL, i};
            SCIM_ERR(check_value(element, attribute, &here, c));
        }
        return NULL;
    }
    if (attribute->type == SCIM_TYPE_COMPLEX) {
        return check_object(value, attribute->subs, attribute->subs_count, at, c);
    }
    return json_is_string(value) ? check_name(value, attribute, at, c) : NULL;
}

static const scim_error *check_object(const json_t *object, const scim_attribute *attributes,
                                      int count, const place *at, const checker *c)
{
    for (int i = 0; i < count; i++) {
        const scim_attribute *attribute = &attributes[i];
        const json_t *value = json_object_get(object, attribute->name);
        place here = {at, at ? attribute->name : attribute->path, 0};
        if (value) {
            SCIM_ERR(check_value(value, attribute, &here, c));
        } else if (attribute->required && is_stored(attribute)) {
            return scim_error_make(c->pool, SCIM_E_INVALID_VALUE,
                                   "%s is required and has no value", in_words(&here, c->pool));
        }
    }
    return NULL;
}

static const scim_error *check_extension(json_t *schemas, const json_t *object,
                                         const scim_extension *extension, const checker *c)
{
    const scim_schema *schema = extension->schema;
    if (object) {
        scim_json_append(schemas, scim_json_text(schema->urn));
        return check_object(object, schema->attributes, schema->attributes_count, NULL, c);
    }
    if (extension->required) {
        return scim_error_make(c->pool, SCIM_E_INVALID_VALUE,
                               "the extension %s is required and has no value", schema->urn);
    }
    return NULL;
}

const scim_error *scim_validate_whole(json_t *json, const scim_resource_type *type,
                                      apr_pool_t *result_pool)
{
    checker c = {result_pool, false};
    const scim_schema *core = type->schema;
    prune(json);
    SCIM_ERR(
        check_object(json, type->common->attributes, type->common->attributes_count, NULL, &c));
    SCIM_ERR(check_object(json, core->attributes, core->attributes_count, NULL, &c));

    json_t *schemas = list_of(core->urn);
    scim_json_set(json, "schemas", schemas);
    for (int i = 0; i < type->extensions_count; i++) {
        const scim_extension *extension = &type->extensions[i];
        SCIM_ERR(check_extension(schemas, json_object_get(json, extension->schema->urn),
                                 extension, &c));
    }
    return NULL;
}

static void add_change(apr_array_header_t *names, const char *urn, const char *name)
{
    APR_ARRAY_PUSH(names, const char *) =
        urn ? apr_pstrcat(names->pool, urn, ":", name, NULL) : apr_pstrdup(names->pool, name);
}

/* Adds the names of the members of one that the other has not, or, where
 * differing is set, has with another value.  Names with a colon are those of
 * extensions, which are looked into. */
static void add_changes(apr_array_header_t *names, const json_t *one, const json_t *other,
                        const char *urn, bool differing)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)one, key, value) {
        const json_t *counterpart = json_object_get(other, key);
        if (!urn && strcmp(key, "schemas") == 0) {
            continue;
        }
        if (!urn && strchr(key, ':')) {
            add_changes(names, value, counterpart, key, differing);
        } else if (!counterpart || (differing && !json_equal(value, (json_t *)counterpart))) {
            add_change(names, urn, key);
        }
    }
}

void scim_validate_changes(apr_array_header_t *names, const json_t *before, const json_t *after)
{
    add_changes(names, after, before, NULL, true);
    add_changes(names, before, after, NULL, false);
}
