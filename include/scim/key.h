/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the store (mod_scim/store/FORMAT): a table byte, then numbers
 * big-endian, ids, and prepared values, so that byte order is the order
 * wanted.
 */
#ifndef SCIM_KEY_H
#define SCIM_KEY_H

#include <apr.h>

#include "scim/id.h"
#include "scim/kv.h"

typedef enum scim_table {
    SCIM_TABLE_SYSTEM = 's',
    SCIM_TABLE_TENANT = 't',
    SCIM_TABLE_TOKEN = 'k',
    SCIM_TABLE_RESOURCE = 'r',
    SCIM_TABLE_SECRET = 'p',
    SCIM_TABLE_INDEX = 'i',
    SCIM_TABLE_MEMBER = 'm',
    SCIM_TABLE_MEMBER_OF = 'o',
    SCIM_TABLE_REFERS = 'f',
    SCIM_TABLE_COUNTER = 'c',
    SCIM_TABLE_PENDING = 'q',
    SCIM_TABLE_ANCHOR = 'a',
    SCIM_TABLE_MAKING = '!' /* before all others */
} scim_table;

#define SCIM_KEY_VALUE_MAX 400 /* prepared bytes that stand in a key as they are */
#define SCIM_KEY_VALUE_CUT 368 /* of a longer one; its SHA-256 follows */

typedef struct scim_key {
    apr_size_t len;
    unsigned char bytes[SCIM_KV_MAX_KEY];
} scim_key;

void scim_key_begin(scim_key *key, scim_table table);
void scim_key_u16(scim_key *key, apr_uint16_t value);
void scim_key_u32(scim_key *key, apr_uint32_t value);
void scim_key_id(scim_key *key, const scim_id *id);
void scim_key_bytes(scim_key *key, const void *data, apr_size_t len);
/* A value of an attribute: its bytes, or the first 368 and the SHA-256 of all
 * where there are more than 400; then 0x00. */
void scim_key_value(scim_key *key, const void *data, apr_size_t len);

scim_slice scim_key_slice(const scim_key *key);

/* Whether a key begins with prefix; *rest, where not NULL, is what follows. */
int scim_key_has_prefix(scim_slice key, const scim_key *prefix, scim_slice *rest);

#endif
