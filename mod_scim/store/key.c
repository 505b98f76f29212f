/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building keys.  Callers stay within SCIM_KV_MAX_KEY by construction: the
 * longest key is an index row with a cut value, 1 + 4 + 2 + 400 + 1 + 16.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "scim/heap.h"

#include "internal.h"

void scim_key_bytes(scim_key *key, const void *data, apr_size_t len)
{
    assert(key->len + len <= sizeof(key->bytes));
    memcpy(key->bytes + key->len, data, len);
    key->len += len;
}

void scim_key_begin(scim_key *key, scim_table table)
{
    key->bytes[0] = (unsigned char)table;
    key->len = 1;
}

void scim_key_u16(scim_key *key, apr_uint16_t value)
{
    unsigned char bytes[2];

    store_put_u16(bytes, value);
    scim_key_bytes(key, bytes, sizeof(bytes));
}

void scim_key_u32(scim_key *key, apr_uint32_t value)
{
    unsigned char bytes[4];

    store_put_u32(bytes, value);
    scim_key_bytes(key, bytes, sizeof(bytes));
}

void scim_key_id(scim_key *key, const scim_id *id)
{
    scim_key_bytes(key, id->bytes, sizeof(id->bytes));
}

/* OpenSSL fails at this for want of memory alone; a key made of anything else
 * would let a unique value in twice. */
static void add_digest(scim_key *key, const void *data, apr_size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_len;

    if (EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL) != 1) {
        scim_heap_exhausted();
    }
    scim_key_bytes(key, digest, digest_len);
}

void scim_key_value(scim_key *key, const void *data, apr_size_t len)
{
    static const unsigned char end = 0;

    if (len <= SCIM_KEY_VALUE_MAX) {
        scim_key_bytes(key, data, len);
    } else {
        scim_key_bytes(key, data, SCIM_KEY_VALUE_CUT);
        add_digest(key, data, len);
    }
    scim_key_bytes(key, &end, 1);
}

scim_slice scim_key_slice(const scim_key *key)
{
    return (scim_slice){key->bytes, key->len};
}

int scim_key_has_prefix(scim_slice key, const scim_key *prefix, scim_slice *rest)
{
    if (key.len < prefix->len || memcmp(key.data, prefix->bytes, prefix->len)) {
        return 0;
    }
    if (rest) {
        rest->data = (const char *)key.data + prefix->len;
        rest->len = key.len - prefix->len;
    }
    return 1;
}
