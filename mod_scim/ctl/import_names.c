/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of resources while they are imported: an open hash table of what may be
 * millions, in as few bytes as it can.  Of a name there is only a digest of 96 bits,
 * seeded at random, so that no file can be made whose names collide.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include <xxhash.h>

#include "scim/heap.h"

#include "import.h"

#define FIRST_SLOTS 1024

struct import_names {
    import_name *slots;
    size_t count, size; /* size is a power of two */
    apr_uint64_t seed;
};

static apr_status_t free_names(void *data)
{
    free(((import_names *)data)->slots);
    return APR_SUCCESS;
}

static import_name *make_slots(size_t size)
{
    return scim_heap_checked(calloc(size, sizeof(import_name)));
}

import_names *ctl_import_names_make(apr_pool_t *pool)
{
    import_names *names = apr_pcalloc(pool, sizeof(*names));

    apr_generate_random_bytes((unsigned char *)&names->seed, sizeof(names->seed));
    names->size = FIRST_SLOTS;
    names->slots = make_slots(names->size);
    apr_pool_cleanup_register(pool, names, free_names, apr_pool_cleanup_null);
    return names;
}

static bool is_free(const import_name *name)
{
    static const unsigned char none[sizeof(name->key)];

    return !memcmp(name->key, none, sizeof(none));
}

/* Where the key is, or would be. */
static import_name *slot_of(const import_names *names, const unsigned char *key)
{
    size_t at;

    memcpy(&at, key, sizeof(at));
    for (at &= names->size - 1; !is_free(&names->slots[at]);
         at = (at + 1) & (names->size - 1)) {
        if (!memcmp(names->slots[at].key, key, sizeof(names->slots[at].key))) {
            break;
        }
    }
    return &names->slots[at];
}

static void grow(import_names *names)
{
    import_name *old = names->slots;
    size_t i, size = names->size;

    names->size *= 2;
    names->slots = make_slots(names->size);
    for (i = 0; i < size; i++) {
        if (!is_free(&old[i])) {
            *slot_of(names, old[i].key) = old[i];
        }
    }
    free(old);
}

static void digest(unsigned char *key, const import_names *names, import_kind kind,
                   const char *text, apr_size_t len)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(text, len, names->seed ^ (apr_uint64_t)kind);

    memcpy(key, &hash, sizeof(((import_name *)NULL)->key));
    key[11] |= 1; /* never that of a free slot; it is none of the bytes that place it */
}

import_name *ctl_import_name(import_names *names, import_kind kind, const char *text,
                             apr_size_t len)
{
    unsigned char key[sizeof(((import_name *)NULL)->key)];
    import_name *slot;

    digest(key, names, kind, text, len);
    slot = slot_of(names, key);
    if (!is_free(slot)) {
        return slot;
    }
    if (names->count >= names->size / 4 * 3) {
        grow(names);
        slot = slot_of(names, key);
    }
    names->count++;
    memcpy(slot->key, key, sizeof(key));
    return slot;
}

bool ctl_import_named(scim_id *out, import_names *names, import_kind kind, const char *text,
                      apr_size_t len)
{
    static const scim_id none;
    unsigned char key[sizeof(((import_name *)NULL)->key)];

    digest(key, names, kind, text, len);
    *out = slot_of(names, key)->id;
    return memcmp(out, &none, sizeof(none)) != 0;
}
