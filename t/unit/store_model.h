/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store must hold, computed anew from its records and edges by
 * mod_scim/store/FORMAT, and compared with what it holds.
 */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

#include <stdio.h>

#include <apr_hash.h>
#include <openssl/sha.h>
#include <xxhash.h>

#include "scim/text.h"
#include "scim/verify.h"

#include "store_fixture.h"

/* A record as it stands in table r. */
typedef struct model_record {
    apr_uint32_t tenant;
    apr_uint16_t number;
    const scim_resource_type *type;
    const unsigned char *id;
    apr_uint64_t revision;
    apr_time_t created;
    apr_time_t modified;
    const json_t *json;
} model_record;

typedef struct model {
    apr_pool_t *pool;
    apr_array_header_t *rows;
    apr_hash_t *there;        /* key -> row */
    apr_hash_t *expected;     /* key -> row, of tables u, i, f, o, c */
    apr_hash_t *numbers;      /* "type/User" -> apr_uint16_t */
    apr_hash_t *records;      /* tenant, id -> model_record */
    apr_hash_t *groups;       /* tenant, id -> apr_int64_t: members */
    apr_hash_t *unique_names; /* tenant -> whether its policy wants unique group names */
} model;

static const struct model_index {
    char kind;
    const char *type;
    const char *attribute;
    const char *extension;
    const char *name;
    const char *sub;
    bool exact;
} model_indexes[] = {
    {'u', "User", "userName", NULL, "userName", NULL, false},
    {'i', "User", "externalId", NULL, "externalId", NULL, true},
    {'i', "User", "emails.value", NULL, "emails", "value", false},
    {'i', "Group", "displayName", NULL, "displayName", NULL, false},
    {'i', "Group", "externalId", NULL, "externalId", NULL, true},
    {'f', "User", SCIM_URN_ENTERPRISE ":manager", SCIM_URN_ENTERPRISE, "manager", "value",
     true},
    {'f', "Thing", "owner", NULL, "owner", "value", true},
    {'f', "Thing", "sponsor", NULL, "sponsor", "value", true},
    {'f', "Thing", "helpers", NULL, "helpers", "value", true},
    {'f', "Thing", "urn:x:more:1.0:keeper", "urn:x:more:1.0", "keeper", "value", true},
};
#define MODEL_INDEXES (sizeof(model_indexes) / sizeof(model_indexes[0]))

static inline apr_uint64_t big_endian(const void *bytes, int len)
{
    const unsigned char *at = bytes;
    apr_uint64_t number = 0;

    while (len-- > 0) {
        number = number << 8 | *at++;
    }
    return number;
}

static inline void put_big_endian(unsigned char *at, apr_uint64_t number, int len)
{
    while (len-- > 0) {
        at[len] = (unsigned char)number;
        number >>= 8;
    }
}

/* Keys under construction. */
typedef struct bytes {
    unsigned char at[1000];
    apr_size_t len;
} bytes;

static inline void add_bytes(bytes *out, const void *data, apr_size_t len)
{
    assert_true(out->len + len <= sizeof(out->at));
    if (len) {
        memcpy(out->at + out->len, data, len);
    }
    out->len += len;
}

static inline void add_number(bytes *out, apr_uint64_t number, int len)
{
    put_big_endian(out->at + out->len, number, len);
    out->len += (apr_size_t)len;
}

static inline bytes key_of(char table, apr_uint32_t tenant)
{
    bytes key = {.len = 1};

    key.at[0] = (unsigned char)table;
    add_number(&key, tenant, 4);
    return key;
}

static inline const char *shown(scim_slice slice, apr_pool_t *pool)
{
    const unsigned char *at = slice.data;
    char *out = apr_palloc(pool, slice.len * 4 + 1), *to = out;
    apr_size_t i;

    for (i = 0; i < slice.len; i++) {
        to += sprintf(to, at[i] > 32 && at[i] < 127 ? "%c" : "\\%02x", at[i]);
    }
    *to = '\0';
    return out;
}

static inline apr_uint64_t seal_for(scim_slice key, const void *rest, apr_size_t len)
{
    return XXH3_64bits_withSeed(rest, len, XXH3_64bits(key.data, key.len));
}

/* What stands behind the seal of a row. */
static inline scim_slice unsealed(const model *m, const row *r, apr_size_t least)
{
    const char *value = r->value.data;
    scim_slice rest = {value + 8, r->value.len - 8};

    if (r->value.len < 8 + least ||
        big_endian(value, 8) != seal_for(r->key, rest.data, rest.len)) {
        fail_msg("%s has a broken seal, or is too short", shown(r->key, m->pool));
    }
    return rest;
}

static inline const unsigned char *key_part(const row *r, apr_size_t at, apr_size_t len,
                                            bool last)
{
    assert_true(last ? r->key.len == at + len : r->key.len >= at + len);
    return (const unsigned char *)r->key.data + at;
}

static inline void model_expect(model *m, const bytes *key, const void *value, apr_size_t len)
{
    row *r = apr_palloc(m->pool, sizeof(*r));
    const row *other;

    r->key = kept((scim_slice){key->at, key->len}, m->pool);
    r->value = kept((scim_slice){value, len}, m->pool);
    other = apr_hash_get(m->expected, r->key.data, (apr_ssize_t)r->key.len);
    if (other && !same_slice(other->value, r->value)) {
        fail_msg("%s belongs to two", shown(r->key, m->pool));
    }
    apr_hash_set(m->expected, r->key.data, (apr_ssize_t)r->key.len, r);
}

static inline void model_expect_sealed(model *m, const bytes *key, const void *rest,
                                       apr_size_t len)
{
    unsigned char value[100];

    memcpy(value + 8, rest, len);
    put_big_endian(value, seal_for((scim_slice){key->at, key->len}, rest, len), 8);
    model_expect(m, key, value, 8 + len);
}

static inline void model_expect_counter(model *m, const bytes *key, apr_int64_t number)
{
    unsigned char value[8];

    put_big_endian(value, (apr_uint64_t)number, 8);
    model_expect(m, key, value, 8);
}

/* First walk: tables s, t, k and r */

static inline void model_system(model *m, const row *r)
{
    const char *name = apr_pstrmemdup(m->pool, (const char *)r->key.data + 1, r->key.len - 1);
    scim_slice rest;

    if (!strcmp(name, "tenants")) {
        assert_int_equal(r->value.len, 8);
        return;
    }
    rest = unsealed(m, r, 1);
    if (!strcmp(name, "format")) {
        assert_int_equal(rest.len, 4);
        assert_int_equal(big_endian(rest.data, 4), 3);
    } else if (!strcmp(name, "unicode")) {
        assert_int_equal(rest.len, strlen(scim_text_unicode_version()));
    } else if (!strcmp(name, "instance")) {
        assert_int_equal(rest.len, 16);
    } else if (!strcmp(name, "cursor")) {
        assert_int_equal(rest.len, 32);
    } else if (strcmp(name, "policy") && strcmp(name, "endpoints")) {
        apr_uint16_t *number = apr_palloc(m->pool, sizeof(*number));

        assert_true(!strncmp(name, "type/", 5) || !strncmp(name, "index/", 6));
        assert_int_equal(rest.len, 2);
        *number = (apr_uint16_t)big_endian(rest.data, 2);
        assert_int_not_equal(*number, 0);
        apr_hash_set(m->numbers, name, APR_HASH_KEY_STRING, number);
    }
}

static inline void model_tenant(model *m, const row *r)
{
    scim_slice rest = unsealed(m, r, 13 + 10);
    const unsigned char *policy = (const unsigned char *)rest.data + 13;
    apr_uint32_t *number = apr_palloc(m->pool, sizeof(*number));

    assert_int_equal(policy[0], 1);
    *number = (apr_uint32_t)big_endian(rest.data, 4);
    assert_null(apr_hash_get(m->unique_names, number, sizeof(*number)));
    apr_hash_set(m->unique_names, number, sizeof(*number), policy[1] & 1 ? "yes" : "no");
}

static inline const scim_resource_type *numbered_type(const model *m, apr_uint16_t number)
{
    int i;

    for (i = 0; i < registry->types_count; i++) {
        const char *name = apr_pstrcat(m->pool, "type/", registry->types[i].name, NULL);
        const apr_uint16_t *its = apr_hash_get(m->numbers, name, APR_HASH_KEY_STRING);

        if (its && *its == number) {
            return &registry->types[i];
        }
    }
    return NULL;
}

static inline void *model_key(const model *m, apr_uint32_t tenant, const unsigned char *id)
{
    unsigned char *key = apr_palloc(m->pool, 20);

    put_big_endian(key, tenant, 4);
    memcpy(key + 4, id, 16);
    return key;
}

static inline const model_record *model_find(const model *m, apr_uint32_t tenant,
                                             const unsigned char *id)
{
    return apr_hash_get(m->records, model_key(m, tenant, id), 20);
}

static inline void check_json(const model_record *record, const char *text, apr_size_t len,
                              scim_slice display)
{
    static const char *const absent[] = {"id", "meta", "groups", "members", "password"};
    const char *name = scim_json_string(record->json, "displayName");
    size_t i;

    assert_true(len > 12 && !memcmp(text, "{\"schemas\":[", 12));
    for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        assert_null(json_object_get(record->json, absent[i]));
    }
    name = name ? name : scim_json_string(record->json, "userName");
    name = name && strlen(name) <= 65535 ? name : "";
    assert_int_equal(display.len, strlen(name));
    assert_memory_equal(display.data, name, display.len);
}

static inline void model_resource(model *m, const row *r)
{
    scim_slice rest = unsealed(m, r, 28);
    const unsigned char *at = rest.data;
    apr_size_t display = big_endian(at + 26, 2);
    model_record *record = apr_pcalloc(m->pool, sizeof(*record));

    assert_int_equal(r->key.len, 23);
    assert_true(rest.len > 28 + display);
    record->tenant = (apr_uint32_t)big_endian(key_part(r, 1, 4, false), 4);
    record->number = (apr_uint16_t)big_endian(key_part(r, 5, 2, false), 2);
    record->type = numbered_type(m, record->number);
    record->id = key_part(r, 7, 16, true);
    record->revision = big_endian(at, 8);
    record->created = (apr_time_t)big_endian(at + 8, 8);
    record->modified = (apr_time_t)big_endian(at + 16, 8);
    record->json =
        scim_json_read_own((const char *)at + 28 + display, rest.len - 28 - display, m->pool);
    assert_non_null(record->type);
    assert_non_null(record->json);
    assert_int_equal(record->id[6] >> 4, 7);
    assert_int_equal(record->id[8] >> 6, 2);
    assert_true(record->revision >= 1 && record->created <= record->modified);
    assert_int_equal(big_endian(at + 24, 2),
                     json_is_false(json_object_get(record->json, "active")) ? 1 : 0);
    check_json(record, (const char *)at + 28 + display, rest.len - 28 - display,
               (scim_slice){at + 28, display});
    assert_null(model_find(m, record->tenant, record->id));
    apr_hash_set(m->records, model_key(m, record->tenant, record->id), 20, record);
}

/* What the deletion of a large group left: no group, and edges of it. */
static inline void model_pending(model *m, const row *r)
{
    apr_uint32_t tenant = (apr_uint32_t)big_endian(key_part(r, 1, 4, false), 4);
    scim_slice rest = unsealed(m, r, 9);

    assert_int_equal(rest.len, 9);
    assert_true(*(const unsigned char *)rest.data <= 2);
    assert_null(model_find(m, tenant, key_part(r, 5, 16, true)));
}

static inline bool is_pending(const model *m, apr_uint32_t tenant, const unsigned char *group)
{
    bytes key = key_of('q', tenant);

    add_bytes(&key, group, 16);
    return apr_hash_get(m->there, key.at, (apr_ssize_t)key.len) != NULL;
}

/* The row of the brake is in no relation to any other. */
static inline void model_counter(model *m, const row *r)
{
    if (r->key.len == 6 && ((const char *)r->key.data)[5] == 'D') {
        bytes key = {.len = 0};

        assert_int_equal(unsealed(m, r, 13).len, 13);
        add_bytes(&key, r->key.data, r->key.len);
        model_expect(m, &key, r->value.data, r->value.len);
    }
}

static inline void model_read(model *m)
{
    int i;

    for (i = 0; i < m->rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(m->rows, i, row);

        apr_hash_set(m->there, r->key.data, (apr_ssize_t)r->key.len, r);
        switch (*(const char *)r->key.data) {
        case 's':
            model_system(m, r);
            break;
        case 't':
            model_tenant(m, r);
            break;
        case 'k':
            assert_int_equal(r->key.len, 33);
            unsealed(m, r, 29 + 4 + 2);
            break;
        case 'c':
            model_counter(m, r);
            break;
        default:
            assert_non_null(strchr("rimofcpqa", *(const char *)r->key.data));
        }
    }
    for (i = 0; i < m->rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(m->rows, i, row);

        if (*(const char *)r->key.data == 'r') {
            model_resource(m, r);
        }
    }
    for (i = 0; i < m->rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(m->rows, i, row);

        if (*(const char *)r->key.data == 'q') {
            model_pending(m, r);
        }
    }
}

/* What a record must have elsewhere */

static inline void add_value(bytes *key, const char *text, bool exact, apr_pool_t *pool)
{
    apr_size_t len;
    const char *prepared = scim_text_prepare(text, strlen(text), exact, &len, pool);

    if (len > 400) {
        unsigned char digest[32];

        SHA256((const unsigned char *)prepared, len, digest);
        add_bytes(key, prepared, 368);
        add_bytes(key, digest, 32);
    } else {
        add_bytes(key, prepared, len);
    }
    add_bytes(key, "", 1);
}

/* A strict store has references to what is there, and each says where. */
static inline void check_reference(const model *m, const struct model_index *index,
                                   const model_record *record, const json_t *element,
                                   const unsigned char *target)
{
    const model_record *there = model_find(m, record->tenant, target);
    const char *ref = scim_json_string(element, "$ref");
    const char *also = !strcmp(index->name, "helpers") ? "Thing" : "User";

    if (!there || (strcmp(there->type->name, "User") && strcmp(there->type->name, also))) {
        assert_true(fix.dangling);
        assert_null(ref);
        return;
    }
    assert_non_null(ref);
    assert_string_equal(ref, apr_pstrcat(m->pool, there->type->endpoint + 1, "/",
                                         scim_json_string(element, "value"), NULL));
}

static inline void model_value(model *m, const struct model_index *index, apr_uint16_t number,
                               const model_record *record, const json_t *element)
{
    const char *text =
        index->sub ? scim_json_string(element, index->sub) : json_string_value(element);
    bytes key = key_of(index->kind == 'f' ? 'f' : 'i', record->tenant);
    scim_id target;

    if (index->kind == 'f') {
        if (!text || !scim_id_parse(&target, text)) {
            assert_true(fix.dangling);
            return;
        }
        check_reference(m, index, record, element, target.bytes);
        add_bytes(&key, target.bytes, 16);
        add_number(&key, number, 2);
    } else {
        if (!text) {
            return;
        }
        add_value(&key, text, index->exact, m->pool);
        add_number(&key, number, 2);
    }
    if (index->kind == 'u') {
        model_expect_sealed(m, &key, record->id, 16);
    } else {
        add_bytes(&key, record->id, 16);
        model_expect(m, &key, "", 0);
    }
}

static inline void model_attribute(model *m, const struct model_index *index,
                                   const model_record *record)
{
    static const char *const kinds[] = {['u'] = "u", ['i'] = "i", ['f'] = "f"};
    const char *name = apr_pstrcat(m->pool, "index/", kinds[(unsigned char)index->kind], "/",
                                   index->type, "/", index->attribute, NULL);
    const apr_uint16_t *number = apr_hash_get(m->numbers, name, APR_HASH_KEY_STRING);
    const json_t *holder =
        index->extension ? json_object_get(record->json, index->extension) : record->json;
    const json_t *value = json_object_get(holder, index->name), *element;
    size_t i;

    assert_non_null(number);
    if (json_is_array(value)) {
        json_array_foreach (value, i, element) {
            model_value(m, index, *number, record, element);
        }
    } else if (value) {
        model_value(m, index, *number, record, value);
    }
}

static inline void check_group_name(model *m, apr_hash_t *names, const model_record *record)
{
    const char *name = scim_json_string(record->json, "displayName");
    const char *unique = apr_hash_get(m->unique_names, &record->tenant, 4);
    apr_size_t len;

    assert_non_null(name);
    assert_non_null(unique);
    if (fix.shared_names || strcmp(unique, "yes")) {
        return;
    }
    name = apr_psprintf(m->pool, "%u %s", record->tenant,
                        scim_text_prepare(name, strlen(name), false, &len, m->pool));
    if (apr_hash_get(names, name, APR_HASH_KEY_STRING)) {
        fail_msg("two groups are called %s", name);
    }
    apr_hash_set(names, name, APR_HASH_KEY_STRING, record);
}

static inline void model_records(model *m)
{
    apr_hash_t *names = apr_hash_make(m->pool), *counts = apr_hash_make(m->pool);
    apr_hash_index_t *i;

    for (i = apr_hash_first(m->pool, m->records); i; i = apr_hash_next(i)) {
        const model_record *record = apr_hash_this_val(i);
        bytes key = key_of('c', record->tenant);
        apr_int64_t *count;
        size_t x;

        for (x = 0; x < MODEL_INDEXES; x++) {
            if (!strcmp(model_indexes[x].type, record->type->name)) {
                model_attribute(m, &model_indexes[x], record);
            }
        }
        if (record->type->members) {
            check_group_name(m, names, record);
        }
        add_bytes(&key, "T", 1);
        add_number(&key, record->number, 2);
        count = apr_hash_get(counts, key.at, (apr_ssize_t)key.len);
        if (!count) {
            count = apr_pcalloc(m->pool, sizeof(*count));
            apr_hash_set(counts, apr_pmemdup(m->pool, key.at, key.len), (apr_ssize_t)key.len,
                         count);
        }
        ++*count;
    }
    for (i = apr_hash_first(m->pool, counts); i; i = apr_hash_next(i)) {
        const apr_int64_t *count = apr_hash_this_val(i);
        bytes key = {.len = 0};

        add_bytes(&key, apr_hash_this_key(i), (apr_size_t)apr_hash_this_key_len(i));
        model_expect_counter(m, &key, *count);
    }
}

static inline void model_member(model *m, const row *r)
{
    apr_uint32_t tenant = (apr_uint32_t)big_endian(key_part(r, 1, 4, false), 4);
    const unsigned char *group = key_part(r, 5, 16, false), *member = key_part(r, 21, 16, true);
    const model_record *group_record = model_find(m, tenant, group);
    const model_record *member_record = model_find(m, tenant, member);
    apr_uint16_t type = (apr_uint16_t)big_endian(unsealed(m, r, 2).data, 2);
    bytes key = key_of('o', tenant);
    apr_int64_t *count;

    assert_true(group_record ? group_record->type->members != NULL
                             : is_pending(m, tenant, group));
    assert_true(memcmp(group, member, 16));
    if (type != 0xffff) {
        assert_int_equal(type, member_record ? member_record->number : 0);
    }
    assert_true(member_record ? type != 0xffff : fix.dangling);
    add_bytes(&key, member, 16);
    add_bytes(&key, group, 16);
    model_expect(m, &key, "", 0);
    if (!group_record) {
        return;
    }
    count = apr_hash_get(m->groups, model_key(m, tenant, group), 20);
    if (!count) {
        count = apr_pcalloc(m->pool, sizeof(*count));
        apr_hash_set(m->groups, model_key(m, tenant, group), 20, count);
    }
    ++*count;
}

/* A password belongs to a user that is there, and is nothing but a salted
 * hash. */
static inline void model_secret(model *m, const row *r)
{
    apr_uint32_t tenant = (apr_uint32_t)big_endian(key_part(r, 1, 4, false), 4);
    const model_record *record = model_find(m, tenant, key_part(r, 5, 16, true));
    scim_slice rest = unsealed(m, r, 9);
    const char *at = rest.data;

    assert_non_null(record);
    assert_string_equal(record->type->name, "User");
    assert_int_equal(at[0], 1);
    assert_in_range(big_endian(at + 1, 8), 1, record->revision);
    assert_int_equal(rest.len, 9 + 60);
    assert_memory_equal(at + 9, "$2y$10$", 7);
}

/* The three counters of a group come and go together; a group that never had
 * a member has none. */
static inline void model_group(model *m, const model_record *record)
{
    const apr_int64_t *count =
        apr_hash_get(m->groups, model_key(m, record->tenant, record->id), 20);
    bytes key = key_of('c', record->tenant);
    const row *changes, *changed;

    add_bytes(&key, "M", 1);
    add_bytes(&key, record->id, 16);
    if (!apr_hash_get(m->there, key.at, (apr_ssize_t)key.len)) {
        assert_null(count);
        return;
    }
    model_expect_counter(m, &key, count ? *count : 0);
    key.at[5] = 'R';
    changes = apr_hash_get(m->there, key.at, (apr_ssize_t)key.len);
    assert_non_null(changes);
    assert_int_equal(changes->value.len, 8);
    assert_true(big_endian(changes->value.data, 8) >= 1);
    model_expect(m, &key, changes->value.data, 8);
    key.at[5] = 'L';
    changed = apr_hash_get(m->there, key.at, (apr_ssize_t)key.len);
    assert_non_null(changed);
    assert_int_equal(changed->value.len, 8);
    /* Not after "created" where the clock went back since: what is told is the later
     * of this and the record's own time. */
    assert_true(big_endian(changed->value.data, 8) > 0);
    model_expect(m, &key, changed->value.data, 8);
}

static inline void model_edges(model *m)
{
    apr_hash_index_t *h;
    int i;

    for (i = 0; i < m->rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(m->rows, i, row);

        if (*(const char *)r->key.data == 'm') {
            model_member(m, r);
        } else if (*(const char *)r->key.data == 'p') {
            model_secret(m, r);
        }
    }
    for (h = apr_hash_first(m->pool, m->records); h; h = apr_hash_next(h)) {
        const model_record *record = apr_hash_this_val(h);

        if (record->type->members) {
            model_group(m, record);
        }
    }
}

/* Each record counts in the last run that begins before it, or with it. */
static inline void model_anchors(model *m)
{
    apr_hash_t *runs = apr_hash_make(m->pool);
    apr_hash_index_t *h;
    int i;

    for (h = apr_hash_first(m->pool, m->records); h; h = apr_hash_next(h)) {
        const model_record *record = apr_hash_this_val(h);
        const row *run = NULL;
        apr_int64_t *count;

        for (i = 0; i < m->rows->nelts; i++) {
            const row *r = &APR_ARRAY_IDX(m->rows, i, row);

            if (*(const char *)r->key.data == 'a' &&
                big_endian(key_part(r, 1, 4, false), 4) == record->tenant &&
                big_endian(key_part(r, 5, 2, false), 2) == record->number &&
                memcmp(key_part(r, 7, 16, true), record->id, 16) <= 0) {
                run = r;
            }
        }
        assert_non_null(run);
        count = apr_hash_get(runs, &run, sizeof(run));
        if (!count) {
            const row **copy = apr_pmemdup(m->pool, &run, sizeof(run));

            count = apr_pcalloc(m->pool, sizeof(*count));
            apr_hash_set(runs, copy, sizeof(run), count);
        }
        ++*count;
    }
    for (h = apr_hash_first(m->pool, runs); h; h = apr_hash_next(h)) {
        const row *const *run = apr_hash_this_key(h);
        bytes key = {.len = 0};

        add_bytes(&key, (*run)->key.data, (*run)->key.len);
        model_expect_counter(m, &key, *(apr_int64_t *)apr_hash_this_val(h));
    }
}

/* Comparing */

static inline bool is_zero_counter(const row *r)
{
    return *(const char *)r->key.data == 'c' && r->value.len == 8 &&
           !big_endian(r->value.data, 8) && ((const char *)r->key.data)[5] == 'T';
}

/* A run that is empty, which stays where others may be about to add to it. */
static inline bool is_empty_run(const row *r)
{
    return *(const char *)r->key.data == 'a' && r->value.len == 8 &&
           !big_endian(r->value.data, 8) && scim_store_kv(fix.store)->engine->expect;
}

/* Of an index that a test added to those of the store. */
static inline bool is_added(const row *r)
{
    apr_size_t behind = r->value.len ? 2 : 2 + 16;

    return *(const char *)r->key.data == 'i' &&
           big_endian(key_part(r, r->key.len - behind, 2, false), 2) >= 200;
}

static inline void model_compare(model *m)
{
    apr_hash_index_t *h;
    int i;

    for (i = 0; i < m->rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(m->rows, i, row);
        const row *e = apr_hash_get(m->expected, r->key.data, (apr_ssize_t)r->key.len);

        if (strchr("ifoca", *(const char *)r->key.data) && !e && !is_zero_counter(r) &&
            !is_empty_run(r) && !is_added(r)) {
            fail_msg("%s should not be there", shown(r->key, m->pool));
        }
        if (e && !same_slice(e->value, r->value)) {
            fail_msg("%s is %s, should be %s", shown(r->key, m->pool), shown(r->value, m->pool),
                     shown(e->value, m->pool));
        }
    }
    for (h = apr_hash_first(m->pool, m->expected); h; h = apr_hash_next(h)) {
        const row *e = apr_hash_this_val(h);

        if (!apr_hash_get(m->there, e->key.data, (apr_ssize_t)e->key.len)) {
            fail_msg("%s is missing", shown(e->key, m->pool));
        }
    }
}

static inline void fail_finding(const scim_finding *finding, void *baton)
{
    fail_msg("scim_verify: %s %s %s: %s", finding->table, finding->type ? finding->type : "",
             finding->id ? finding->id : "", finding->what);
}

/* The store's own judgement is the same. */
static inline void verify_agrees(apr_pool_t *pool)
{
    scim_verify_watcher watcher = {fail_finding, NULL, NULL};
    scim_verification sum;

    assert_no_error(scim_verify(&sum, fix.store, NULL, &watcher, pool));
}

/* Checks the whole store. */
static inline void invariants(void)
{
    apr_pool_t *pool = make_pool();
    model m = {.pool = pool,
               .rows = dump(pool),
               .there = apr_hash_make(pool),
               .expected = apr_hash_make(pool),
               .numbers = apr_hash_make(pool),
               .records = apr_hash_make(pool),
               .groups = apr_hash_make(pool),
               .unique_names = apr_hash_make(pool)};

    model_read(&m);
    model_records(&m);
    model_edges(&m);
    model_anchors(&m);
    model_compare(&m);
    verify_agrees(pool);
    apr_pool_destroy(pool);
}

/* Mutations that must succeed, the store being whole after each */

static inline scim_id must_post(const char *type, const char *text)
{
    scim_change change;

    assert_no_error(post(&change, type, text));
    assert_true(change.changed);
    invariants();
    return change.record.id;
}

static inline scim_id new_user(const char *name)
{
    return must_post("User", fmt("{'userName':'%s'}", name));
}

/* members: "{'value':'...'},..." or "". */
static inline scim_id new_group(const char *name, const char *members)
{
    return must_post("Group", fmt("{'displayName':'%s','members':[%s]}", name, members));
}

static inline scim_change must_put(const char *type, const scim_id *id, const char *text)
{
    scim_change change;

    assert_no_error(put(&change, type, id, text));
    invariants();
    return change;
}

static inline scim_change must_patch(const char *type, const scim_id *id,
                                     const char *operations)
{
    scim_change change;

    assert_no_error(patch(&change, type, id, operations));
    invariants();
    return change;
}

static inline void must_delete(const char *type, const scim_id *id)
{
    getting g;

    assert_no_error(del(type, id));
    invariants();
    assert_code(get(&g, type, id), SCIM_E_NOT_FOUND, text_of(id));
}

/* Something that must fail, and leave the store as it was to the byte. */
#define MUST_FAIL(call, code, part)                       \
    do {                                                  \
        apr_array_header_t *before__ = dump(fix.pool);    \
        assert_code(call, code, part);                    \
        assert_true(same_dump(before__, dump(fix.pool))); \
    } while (0)

static inline char *filled(apr_size_t len, char with)
{
    char *text = apr_palloc(fix.pool, len + 1);

    memset(text, with, len);
    text[len] = '\0';
    return text;
}

/* 368 bytes, and a longer value of these and more whose digest begins with
 * NUL: the key of the one is the beginning of the key of the other, and with
 * the next NUL it stands before that with an id behind it. */
static inline const char *find_overlap(void)
{
    unsigned char digest[32];
    char *text = filled(408, 'n');
    int i;

    for (i = 0; i < 2000000; i++) {
        apr_snprintf(text + 368, 41, "%040d", i);
        SHA256((const unsigned char *)text, 408, digest);
        if (!digest[0] && !digest[1]) {
            return text;
        }
    }
    fail_msg("there is no such value");
    return NULL;
}

/* For a random test: prints its seed, which SEED sets, and its rounds (N). */
static inline unsigned int seed_and_rounds(int *rounds)
{
    const char *seed = getenv("SEED"), *n = getenv("N");
    unsigned int number =
        seed ? (unsigned int)strtoul(seed, NULL, 0) : (unsigned int)apr_time_now();

    *rounds = n ? atoi(n) : *rounds;
    print_message("# SEED=%u N=%d\n", number, *rounds);
    return number;
}

#endif
