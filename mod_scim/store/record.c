/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records and counters: their bytes, and the seal that every value carries.
 */
#include <string.h>

#include <xxhash.h>

#include "internal.h"

void store_put_u16(unsigned char *at, apr_uint16_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

void store_put_u32(unsigned char *at, apr_uint32_t value)
{
    store_put_u16(at, (apr_uint16_t)(value >> 16));
    store_put_u16(at + 2, (apr_uint16_t)value);
}

void store_put_u64(unsigned char *at, apr_uint64_t value)
{
    store_put_u32(at, (apr_uint32_t)(value >> 32));
    store_put_u32(at + 4, (apr_uint32_t)value);
}

apr_uint16_t store_get_u16(const unsigned char *at)
{
    return (apr_uint16_t)(at[0] << 8 | at[1]);
}

apr_uint32_t store_get_u32(const unsigned char *at)
{
    return (apr_uint32_t)store_get_u16(at) << 16 | store_get_u16(at + 2);
}

apr_uint64_t store_get_u64(const unsigned char *at)
{
    return (apr_uint64_t)store_get_u32(at) << 32 | store_get_u32(at + 4);
}

static apr_uint64_t seal_of(scim_slice key, const unsigned char *value, apr_size_t len)
{
    return XXH3_64bits_withSeed(value + STORE_SEAL, len - STORE_SEAL,
                                XXH3_64bits(key.data, key.len));
}

void store_seal(scim_slice key, unsigned char *value, apr_size_t len)
{
    store_put_u64(value, seal_of(key, value, len));
}

bool store_sealed(scim_slice key, scim_slice value)
{
    return value.len >= STORE_SEAL &&
           store_get_u64(value.data) == seal_of(key, value.data, value.len);
}

scim_kv_rc store_get(scim_kv_txn *txn, const scim_key *key, apr_size_t min, scim_slice *rest)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, scim_key_slice(key), &value);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (value.len < STORE_SEAL + min || !store_sealed(scim_key_slice(key), value)) {
        return SCIM_KV_CORRUPT;
    }
    rest->data = (const char *)value.data + STORE_SEAL;
    rest->len = value.len - STORE_SEAL;
    return SCIM_KV_OK;
}

void record_prefix(scim_key *key, const scim_tenant *tenant, const type_def *type)
{
    scim_key_begin(key, SCIM_TABLE_RESOURCE);
    scim_key_u32(key, tenant->number);
    scim_key_u16(key, type->number);
}

void record_key(scim_key *key, const scim_tenant *tenant, const type_def *type,
                const scim_id *id)
{
    record_prefix(key, tenant, type);
    scim_key_id(key, id);
}

apr_size_t record_size(const record_head *head)
{
    return RECORD_HEADER + head->display_len + head->json_len;
}

void record_write(scim_slice key, const record_head *head, unsigned char *buf)
{
    unsigned char *at = buf + STORE_SEAL;

    store_put_u64(at, head->revision);
    store_put_u64(at + 8, (apr_uint64_t)head->created);
    store_put_u64(at + 16, (apr_uint64_t)head->modified);
    store_put_u16(at + 24, head->inactive ? RECORD_INACTIVE : 0);
    store_put_u16(at + 26, (apr_uint16_t)head->display_len);
    at = buf + RECORD_HEADER;
    if (head->display_len) {
        memcpy(at, head->display, head->display_len);
    }
    memcpy(at + head->display_len, head->json, head->json_len);
    store_seal(key, buf, record_size(head));
}

const char *record_display(const json_t *json, apr_size_t *len)
{
    const json_t *value = json_object_get(json, "displayName");

    if (!json_is_string(value)) {
        value = json_object_get(json, "userName");
    }
    *len = json_string_length(value);
    if (*len > APR_UINT16_MAX) {
        *len = 0;
    }
    return json_string_value(value);
}

bool record_decode(record_head *out, scim_slice key, scim_slice value)
{
    const unsigned char *at = value.data;

    if (value.len < RECORD_HEADER || !store_sealed(key, value)) {
        return false;
    }
    out->revision = store_get_u64(at + STORE_SEAL);
    out->created = (apr_time_t)store_get_u64(at + STORE_SEAL + 8);
    out->modified = (apr_time_t)store_get_u64(at + STORE_SEAL + 16);
    out->inactive = store_get_u16(at + STORE_SEAL + 24) & RECORD_INACTIVE;
    out->display_len = store_get_u16(at + STORE_SEAL + 26);
    if (value.len < RECORD_HEADER + out->display_len) {
        return false;
    }
    out->display = (const char *)at + RECORD_HEADER;
    out->json = out->display + out->display_len;
    out->json_len = value.len - RECORD_HEADER - out->display_len;
    return true;
}

scim_kv_rc record_read(record_head *out, scim_kv_txn *txn, const scim_key *key)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, scim_key_slice(key), &value);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    return record_decode(out, scim_key_slice(key), value) ? SCIM_KV_OK : SCIM_KV_CORRUPT;
}

/* A group's version and time count the changes of its membership too. */
static scim_kv_rc add_membership(scim_record *out, scim_kv_txn *txn, const scim_tenant *tenant)
{
    apr_int64_t changes, changed;
    scim_key key;
    scim_kv_rc rc;

    counter_key_group(&key, tenant, COUNTER_REVISION, &out->id);
    rc = counter_read(&changes, txn, &key);
    if (rc == SCIM_KV_OK) {
        counter_key_group(&key, tenant, COUNTER_MODIFIED, &out->id);
        rc = counter_read(&changed, txn, &key);
    }
    if (rc == SCIM_KV_OK) {
        out->version += (apr_uint64_t)changes;
        out->modified = changed > out->modified ? changed : out->modified;
    }
    return rc;
}

scim_kv_rc record_fill(scim_record *out, scim_kv_txn *txn, const scim_tenant *tenant,
                       const type_def *type, const scim_id *id, const record_head *head)
{
    out->id = *id;
    out->type = type->type;
    out->version = head->revision;
    out->created = head->created;
    out->modified = head->modified;
    out->display = head->display;
    out->display_len = head->display_len;
    out->json = head->json;
    out->json_len = head->json_len;
    return type->type->members ? add_membership(out, txn, tenant) : SCIM_KV_OK;
}

scim_kv_rc record_find(const type_def **out, const scim_view *view, const scim_tenant *tenant,
                       const scim_id *id)
{
    const scim_store *store = view->store;
    scim_kv_rc rc = SCIM_KV_NOTFOUND;
    int i;

    *out = NULL;
    for (i = 0; i < store->types_count && rc == SCIM_KV_NOTFOUND; i++) {
        scim_key key;
        scim_slice value;

        record_key(&key, tenant, &store->types[i], id);
        rc = scim_kv_get(view->txn, scim_key_slice(&key), &value);
        if (rc == SCIM_KV_OK) {
            *out = &store->types[i];
        }
    }
    if (rc == SCIM_KV_NOTFOUND && view->promises) {
        *out = apr_hash_get(view->promises, id->bytes, sizeof(id->bytes));
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static void counter_prefix(scim_key *key, const scim_tenant *tenant, store_counter which)
{
    unsigned char kind = (unsigned char)which;

    scim_key_begin(key, SCIM_TABLE_COUNTER);
    scim_key_u32(key, tenant->number);
    scim_key_bytes(key, &kind, 1);
}

void counter_key_type(scim_key *key, const scim_tenant *tenant, const type_def *type)
{
    counter_prefix(key, tenant, COUNTER_RESOURCES);
    scim_key_u16(key, type->number);
}

void counter_key_group(scim_key *key, const scim_tenant *tenant, store_counter which,
                       const scim_id *group)
{
    counter_prefix(key, tenant, which);
    scim_key_id(key, group);
}

scim_kv_rc counter_read(apr_int64_t *out, scim_kv_txn *txn, const scim_key *key)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, scim_key_slice(key), &value);

    *out = 0;
    if (rc != SCIM_KV_OK) {
        return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    if (value.len != 8) {
        return SCIM_KV_CORRUPT;
    }
    *out = scim_kv_counter(value);
    return SCIM_KV_OK;
}
