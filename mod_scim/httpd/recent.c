/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who was asked for lately.  A page of a protected site is fetched with dozens of
 * requests, and the walk from a user's name to the groups around it reads pages of the
 * store that are in no cache of the processor.
 *
 * A table of the child process, in sets of a few slots; an empty one is never touched.
 * Nobody waits for a slot: while a thread has one, it is as if it were not there.
 */
#include "mod_scim.h"

#include <stdatomic.h>
#include <string.h>

#include <xxhash.h>

enum { SETS = 512, WAYS = 4, SLOT = 1024 };

/* Should two states ever come to share a number, this is the end of it. */
#define LASTS apr_time_from_sec(10)

typedef struct slot {
    atomic_flag taken;
    apr_uint32_t tenant;
    scim_subject_by by;
    apr_uint16_t tenant_name_size, text_size; /* with their NULs; 0: empty */
    const scim_store *store;
    apr_uint64_t state; /* of the store */
    apr_time_t since;
    char bytes[]; /* tenant's name, text, packed subject */
} slot;

typedef union place {
    slot slot;
    char room[SLOT];
} place;

static place table[SETS][WAYS];

typedef struct looking {
    const scim_who *who;
    const scim_store *store;
    apr_size_t tenant_name_size, text_size;
    apr_uint64_t state;
    apr_time_t now;
} looking;

static looking look(const scim_who *who, scim_view *view)
{
    return (looking){.who = who,
                     .store = view->store,
                     .tenant_name_size = strlen(who->tenant_name) + 1,
                     .text_size = strlen(who->text) + 1,
                     .state = scim_kv_state(view->txn),
                     .now = apr_time_now()};
}

static place *set_of(const looking *l)
{
    XXH64_hash_t seed = XXH3_64bits(l->who->tenant_name, l->tenant_name_size);

    return table[XXH3_64bits_withSeed(l->who->text, l->text_size, seed) % SETS];
}

static bool take(slot *s)
{
    return !atomic_flag_test_and_set_explicit(&s->taken, memory_order_acquire);
}

static void give_back(slot *s)
{
    atomic_flag_clear_explicit(&s->taken, memory_order_release);
}

static bool is_current(const slot *s, const looking *l)
{
    return s->store == l->store && s->state == l->state && s->since <= l->now &&
           l->now - s->since < LASTS;
}

static bool is_for(const slot *s, const looking *l)
{
    return s->text_size == l->text_size && s->tenant_name_size == l->tenant_name_size &&
           s->by == l->who->by && !memcmp(s->bytes, l->who->tenant_name, l->tenant_name_size) &&
           !memcmp(s->bytes + l->tenant_name_size, l->who->text, l->text_size);
}

bool mod_scim_recall(scim_who *who, scim_view *view)
{
    looking l = look(who, view);
    place *set = set_of(&l);
    bool found = false;
    int i;

    for (i = 0; i < WAYS && !found; i++) {
        slot *s = &set[i].slot;

        if (!take(s)) {
            continue;
        }
        found = is_current(s, &l) && is_for(s, &l);
        if (found) {
            who->tenant = s->tenant;
            scim_subject_unpack(&who->subject, s->bytes + l.tenant_name_size + l.text_size,
                                view->pool);
        }
        give_back(s);
    }
    return found;
}

/* What is out of date goes first; else whichever the clock points at. */
static slot *choose(place *set, const looking *l)
{
    int i;

    for (i = 0; i < WAYS; i++) {
        slot *s = &set[i].slot;

        if (take(s)) {
            if (!is_current(s, l) || is_for(s, l)) {
                return s;
            }
            give_back(s);
        }
    }
    i = (int)(l->now % WAYS);
    return take(&set[i].slot) ? &set[i].slot : NULL;
}

static void fill(slot *s, const looking *l, apr_size_t before)
{
    const scim_who *who = l->who;
    apr_size_t room = SLOT - offsetof(slot, bytes) - before;

    s->store = NULL;
    if (scim_subject_pack(&who->subject, s->bytes + before, room) > room) {
        return;
    }
    memcpy(s->bytes, who->tenant_name, l->tenant_name_size);
    memcpy(s->bytes + l->tenant_name_size, who->text, l->text_size);
    s->tenant = who->tenant;
    s->by = who->by;
    s->tenant_name_size = (apr_uint16_t)l->tenant_name_size;
    s->text_size = (apr_uint16_t)l->text_size;
    s->state = l->state;
    s->since = l->now;
    s->store = l->store;
}

void mod_scim_remember(const scim_who *who, scim_view *view)
{
    looking l = look(who, view);
    apr_size_t before = l.tenant_name_size + l.text_size;
    slot *s;

    if (who->subject.state != SCIM_SUBJECT_ACTIVE || before > SLOT / 2) {
        return;
    }
    s = choose(set_of(&l), &l);
    if (s) {
        fill(s, &l, before);
        give_back(s);
    }
}
