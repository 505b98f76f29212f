/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, and the one JSON escaper besides Jansson's.  The memory is
 * malloc's and not the pool's: a group of many members grows to megabytes,
 * and a pool would keep every size that it went through.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/buffer.h"

static apr_status_t release(void *baton)
{
    scim_buffer *buffer = baton;

    free(buffer->data);
    buffer->data = NULL;
    return APR_SUCCESS;
}

static void reserve(scim_buffer *buffer, apr_size_t more)
{
    apr_size_t need = buffer->len + more + 1;
    apr_size_t size = buffer->size ? buffer->size : 64;

    if (need <= buffer->size) {
        return;
    }
    while (size < need) {
        size *= 2;
    }
    buffer->data = realloc(buffer->data, size);
    if (!buffer->data) {
        abort(); /* as a pool does */
    }
    buffer->size = size;
}

scim_buffer *scim_buffer_make(apr_size_t size, apr_pool_t *pool)
{
    scim_buffer *buffer = apr_pcalloc(pool, sizeof(*buffer));

    apr_pool_cleanup_register(pool, buffer, release, apr_pool_cleanup_null);
    reserve(buffer, size);
    buffer->data[0] = '\0';
    return buffer;
}

void scim_buffer_add(scim_buffer *buffer, const void *data, apr_size_t len)
{
    reserve(buffer, len);
    if (len) {
        memcpy(buffer->data + buffer->len, data, len);
    }
    buffer->len += len;
    buffer->data[buffer->len] = '\0';
}

char *scim_buffer_room(scim_buffer *buffer, apr_size_t len)
{
    char *room;

    reserve(buffer, len);
    room = buffer->data + buffer->len;
    buffer->len += len;
    room[len] = '\0';
    return room;
}

void scim_buffer_puts(scim_buffer *buffer, const char *text)
{
    scim_buffer_add(buffer, text, strlen(text));
}

char *scim_buffer_detach(scim_buffer *buffer)
{
    char *data = buffer->data;

    buffer->data = NULL;
    buffer->len = buffer->size = 0;
    return data;
}

static void add_escaped(scim_buffer *buffer, unsigned char c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    static const char hex[] = "0123456789ABCDEF";
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char *s;

    for (s = shorts; *s; s += 2) {
        if ((unsigned char)*s == c) {
            text[1] = s[1];
            scim_buffer_add(buffer, text, 2);
            return;
        }
    }
    scim_buffer_add(buffer, text, sizeof(text));
}

void scim_buffer_escape(scim_buffer *buffer, const char *text, apr_size_t len)
{
    const char *end = text + len, *plain = text, *at;

    for (at = text; at < end; at++) {
        unsigned char c = (unsigned char)*at;

        if (c < 0x20 || c == '"' || c == '\\') {
            scim_buffer_add(buffer, plain, (apr_size_t)(at - plain));
            add_escaped(buffer, c);
            plain = at + 1;
        }
    }
    scim_buffer_add(buffer, plain, (apr_size_t)(end - plain));
}

void scim_buffer_string(scim_buffer *buffer, const char *text, apr_size_t len)
{
    scim_buffer_add(buffer, "\"", 1);
    scim_buffer_escape(buffer, text, len);
    scim_buffer_add(buffer, "\"", 1);
}
