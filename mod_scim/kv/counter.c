/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a counter is in a store: 8 bytes, big-endian.  By itself, so that an engine in a module
 * of its own has no other engines in it.
 */
#include "engine.h"

apr_int64_t scim_kv_counter(scim_slice value)
{
    const unsigned char *bytes = value.data;
    apr_uint64_t number = 0;

    if (value.len != SCIM_KV_COUNTER) {
        return 0;
    }
    for (int i = 0; i < SCIM_KV_COUNTER; i++) {
        number = number << 8 | bytes[i];
    }
    return (apr_int64_t)number;
}

void scim_kv_encode_counter(unsigned char *bytes, apr_int64_t number)
{
    for (int i = 0; i < SCIM_KV_COUNTER; i++) {
        bytes[i] = (unsigned char)((apr_uint64_t)number >> 8 * (SCIM_KV_COUNTER - 1 - i));
    }
}
