/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, and JSON strings in it.  What is small is
 * the pool's; what is large is malloc's: a group of many members grows to
 * megabytes, and a pool would keep every size that it went through.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/buffer.h"
#include "scim/heap.h"

/* What a pool takes from memory that it has had before, without a lock. */
#define POOLED 8000

static apr_status_t release(void *baton)
{
    scim_buffer *buffer = baton;

    free(buffer->data);
    buffer->data = NULL;
    return APR_SUCCESS;
}

static void move(scim_buffer *buffer, char *data)
{
    if (buffer->len) {
        memcpy(data, buffer->data, buffer->len);
    }
    buffer->data = data;
}

static void resize(scim_buffer *buffer, apr_size_t size)
{
    if (buffer->on_heap) {
        buffer->data = scim_heap_checked(realloc(buffer->data, size));
    } else if (size <= POOLED) {
        move(buffer, apr_palloc(buffer->pool, size));
    } else {
        move(buffer, scim_heap_checked(malloc(size)));
        buffer->on_heap = true;
        apr_pool_cleanup_register(buffer->pool, buffer, release, apr_pool_cleanup_null);
    }
    buffer->size = size;
}

/* To twice the size, so that a text of any length costs no more than twice as
 * much; there is always room for the NUL. */
void scim_buffer_grow(scim_buffer *buffer, apr_size_t more)
{
    apr_size_t size = buffer->size ? buffer->size : 64;

    while (size <= buffer->len + more) {
        size *= 2;
    }
    resize(buffer, size);
}

scim_buffer *scim_buffer_make(apr_size_t size, apr_pool_t *pool)
{
    scim_buffer *buffer = apr_pcalloc(pool, sizeof(*buffer));

    buffer->pool = pool;
    resize(buffer, size < 63 ? 64 : size + 1);
    buffer->data[0] = '\0';
    return buffer;
}

char *scim_buffer_detach(scim_buffer *buffer)
{
    char *data;

    if (!buffer->on_heap) {
        resize(buffer, POOLED + 1);
    }
    data = buffer->data;
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

#define EACH(byte) (UINT64_MAX / 0xff * (byte))

/* Whether none of eight bytes is a control character, a quote or a backslash: by
 * the borrow into the top bit of a byte that is less than another.  A borrow goes
 * on only into bytes above one that is found, so the answer is right for the
 * eight together. */
static inline bool is_plain(apr_uint64_t eight)
{
    apr_uint64_t quotes = eight ^ EACH('"'), backslashes = eight ^ EACH('\\');
    apr_uint64_t found = ((eight - EACH(0x20)) & ~eight) | ((quotes - EACH(1)) & ~quotes) |
                         ((backslashes - EACH(1)) & ~backslashes);

    return !(found & EACH(0x80));
}

/* The first character that is to be escaped, or "end". */
static const char *plain_end(const char *at, const char *end)
{
    apr_uint64_t eight;

    for (; end - at >= (ptrdiff_t)sizeof(eight); at += sizeof(eight)) {
        memcpy(&eight, at, sizeof(eight));
        if (!is_plain(eight)) {
            break;
        }
    }
    while (at < end && (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

void scim_buffer_escape(scim_buffer *buffer, const char *text, apr_size_t len)
{
    const char *end = text + len, *at;

    while ((at = plain_end(text, end)) < end) {
        scim_buffer_add(buffer, text, (apr_size_t)(at - text));
        add_escaped(buffer, (unsigned char)*at);
        text = at + 1;
    }
    scim_buffer_add(buffer, text, (apr_size_t)(end - text));
}

void scim_buffer_string(scim_buffer *buffer, const char *text, apr_size_t len)
{
    scim_buffer_add(buffer, "\"", 1);
    scim_buffer_escape(buffer, text, len);
    scim_buffer_add(buffer, "\"", 1);
}
