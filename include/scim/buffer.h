/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows: what response bodies are put together in, when they are
 * copied from stored bytes instead of dumped from a tree.
 */
#ifndef SCIM_BUFFER_H
#define SCIM_BUFFER_H

#include <stdbool.h>
#include <string.h>

#include <apr_pools.h>

typedef struct scim_buffer {
    char *data; /* always NUL-terminated; moves when the buffer grows */
    apr_size_t len;
    apr_size_t size;
    bool on_heap; /* as large ones are, the others are in pool */
    apr_pool_t *pool;
} scim_buffer;

/* An empty buffer with room for size bytes.  It lives in pool with all that
 * it holds; large ones give their memory back when the pool is cleared. */
scim_buffer *scim_buffer_make(apr_size_t size, apr_pool_t *pool);

/* Makes room for more bytes than there is room for. */
void scim_buffer_grow(scim_buffer *buffer, apr_size_t more);

/* Room for len bytes behind what is there, counted in: the caller fills it. */
static inline char *scim_buffer_room(scim_buffer *buffer, apr_size_t len)
{
    char *room;

    if (len >= buffer->size - buffer->len) {
        scim_buffer_grow(buffer, len);
    }
    room = buffer->data + buffer->len;
    buffer->len += len;
    room[len] = '\0';
    return room;
}

static inline void scim_buffer_add(scim_buffer *buffer, const void *data, apr_size_t len)
{
    char *room = scim_buffer_room(buffer, len);

    if (len) {
        memcpy(room, data, len);
    }
}

static inline void scim_buffer_puts(scim_buffer *buffer, const char *text)
{
    scim_buffer_add(buffer, text, strlen(text));
}

/* The bytes for the caller to free(); the buffer is empty then. */
char *scim_buffer_detach(scim_buffer *buffer);

/* Adds text as it stands between the quotes of a JSON string (RFC 8259 section
 * 7), or with them.  text is UTF-8. */
void scim_buffer_escape(scim_buffer *buffer, const char *text, apr_size_t len);
void scim_buffer_string(scim_buffer *buffer, const char *text, apr_size_t len);

#endif
