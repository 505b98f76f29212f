/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits: a table of arrival times, changed by compare and swap alone.
 *
 * A slot whose arrival time is past says nothing of its owner, so that another
 * may have it as it is.  Who is put out of its slot between finding it and
 * counting in it has one request counted to the new owner: too little to be
 * worth a word of 128 bits.
 */
#include "scim/rate.h"

#include <stdbool.h>
#include <stddef.h>

#define WAYS 8

/* Others may be this far ahead: their clock was read after ours.  Beyond it,
 * somebody has set the clock back. */
#define SKEW APR_USEC_PER_SEC

/* What is not lock-free is locked in one process only. */
_Static_assert(__atomic_always_lock_free(sizeof(apr_uint64_t), 0),
               "rate limits need atomic operations of 64 bits");

typedef struct scim_rate_slot slot;

static bool swap_key(slot *s, apr_uint64_t *seen, apr_uint64_t key)
{
    return __atomic_compare_exchange_n(&s->key, seen, key, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static bool swap_arrival(slot *s, apr_time_t *seen, apr_time_t arrival)
{
    return __atomic_compare_exchange_n(&s->arrival, seen, arrival, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* The slot of the key, the first free one where it has none; NULL where all are
 * others'.  Always in the same order, so that two who bring a new key at once
 * meet in one slot. */
static slot *find(slot *bucket, apr_uint64_t key)
{
    int i;

    for (i = 0; i < WAYS; i++) {
        apr_uint64_t seen = __atomic_load_n(&bucket[i].key, __ATOMIC_ACQUIRE);

        if (seen == key || (seen == 0 && (swap_key(&bucket[i], &seen, key) || seen == key))) {
            return &bucket[i];
        }
    }
    return NULL;
}

static slot *stalest(slot *bucket, apr_time_t *arrival)
{
    slot *least = NULL;
    int i;

    for (i = 0; i < WAYS; i++) {
        apr_time_t one = __atomic_load_n(&bucket[i].arrival, __ATOMIC_ACQUIRE);

        if (!least || one < *arrival) {
            least = &bucket[i];
            *arrival = one;
        }
    }
    return least;
}

/* Tries to make room for the key.  The arrival time goes before the owner: a
 * newcomer answers for nothing that it has not done. */
static void take_over(slot *bucket, apr_uint64_t key, apr_time_t now)
{
    apr_time_t arrival = 0;
    slot *s = stalest(bucket, &arrival);
    apr_uint64_t owner = __atomic_load_n(&s->key, __ATOMIC_ACQUIRE);

    if (owner != key && (arrival <= now || swap_arrival(s, &arrival, now))) {
        swap_key(s, &owner, key);
    }
}

static apr_interval_time_t count(slot *s, const scim_rate *rate, apr_time_t now)
{
    apr_time_t latest = now + rate->interval * rate->burst;
    apr_time_t seen = __atomic_load_n(&s->arrival, __ATOMIC_ACQUIRE), from;
    apr_interval_time_t wait;

    do {
        from = seen > latest + SKEW ? latest : seen > now ? seen : now;
        wait = from + rate->interval - latest;
        if (wait > 0 && from == seen) {
            return wait;
        }
    } while (!swap_arrival(s, &seen, wait > 0 ? from : from + rate->interval));
    return wait > 0 ? wait : 0;
}

apr_interval_time_t scim_rate_take(scim_rate_table *table, apr_uint64_t key,
                                   const scim_rate *rate, apr_time_t now)
{
    slot *bucket = &table->slots[key % (SCIM_RATE_SLOTS / WAYS) * WAYS], *s;

    key = key ? key : 1;
    while (!(s = find(bucket, key))) {
        take_over(bucket, key, now);
    }
    return count(s, rate, now);
}
