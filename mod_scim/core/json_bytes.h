/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight bytes of a JSON string at a time: which of them are not plain text.  Each
 * function is true of eight bytes, in a word as memcpy() puts them there, where it
 * is true of one of them.
 */
#ifndef SCIM_CORE_JSON_BYTES_H
#define SCIM_CORE_JSON_BYTES_H

#include <stdbool.h>

#include <apr.h>

#define JSON_BYTES_EACH(byte) (APR_UINT64_C(0x0101010101010101) * (byte))

/* Less than limit, which is 0x80 at most. */
static inline bool json_bytes_below(apr_uint64_t bytes, unsigned char limit)
{
    return ((bytes - JSON_BYTES_EACH(limit)) & ~bytes & JSON_BYTES_EACH(0x80)) != 0;
}

static inline bool json_bytes_are(apr_uint64_t bytes, char c)
{
    return json_bytes_below(bytes ^ JSON_BYTES_EACH((unsigned char)c), 1);
}

/* A control character, a quote or a backslash: escaped wherever it stands. */
static inline bool json_bytes_escaped(apr_uint64_t bytes)
{
    return json_bytes_below(bytes, 0x20) || json_bytes_are(bytes, '"') ||
           json_bytes_are(bytes, '\\');
}

static inline bool json_byte_escaped(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static inline bool json_bytes_not_ascii(apr_uint64_t bytes)
{
    return (bytes & JSON_BYTES_EACH(0x80)) != 0;
}

#endif
