/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scratch memory of a transaction.  Not an APR pool: a function given to
 * update may be run by another thread than its caller's, and pools belong to
 * threads.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "scim/heap.h"

#include "engine.h"

#define CHUNK 8000

struct scim_kv_arena {
    struct scim_kv_arena *next;
    apr_size_t size;
    apr_size_t used;
    max_align_t memory[];
};

static struct scim_kv_arena *new_chunk(struct scim_kv_arena *next, apr_size_t size)
{
    struct scim_kv_arena *chunk = scim_heap_checked(malloc(sizeof(*chunk) + size));

    chunk->next = next;
    chunk->size = size;
    chunk->used = 0;
    return chunk;
}

void *scim_kv_scratch(scim_kv_txn *txn, apr_size_t size)
{
    struct scim_kv_arena *chunk = txn->arena;
    apr_size_t room;
    void *memory;

    if (size > APR_SIZE_MAX / 2) {
        scim_heap_exhausted();
    }
    room = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (!chunk || chunk->size - chunk->used < room) {
        chunk = new_chunk(txn->arena, room > CHUNK ? room : CHUNK);
        txn->arena = chunk;
    }
    memory = (char *)chunk->memory + chunk->used;
    chunk->used += room;
    return memory;
}

void scim_kv_arena_clear(scim_kv_txn *txn)
{
    while (txn->arena) {
        struct scim_kv_arena *chunk = txn->arena;

        txn->arena = chunk->next;
        free(chunk);
    }
}
