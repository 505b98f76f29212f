/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a tally, while others write it.
 */
#include "tally_slots.h"

#include <stdlib.h>
#include <string.h>

#include "scim/text.h"

/* Whoever has a lock copies a few hundred bytes and gives it back. */
#define PATIENCE 1000

static const struct {
    const char *word, *text;
} reasons[SCIM_TALLY_REASONS] = {{"", ""},
#define ROW(name, word, text) {word, text},
                                 SCIM_TALLY_REASON_TABLE(ROW)
#undef ROW
};

static const char *const agent_names[SCIM_AGENTS] = {
    "not known", "Microsoft Entra ID", "Okta",     "JumpCloud", "OneLogin",
    "Ping",      "authentik",          "Keycloak",
};

const char *scim_tally_reason_word(scim_tally_reason reason)
{
    return reasons[reason].word;
}

const char *scim_tally_reason_text(scim_tally_reason reason)
{
    return reasons[reason].text;
}

const char *scim_tally_agent_name(scim_tally_agent agent)
{
    return agent_names[agent];
}

static bool take_soon(tally_lock *lock)
{
    int i;

    for (i = 0; i < PATIENCE; i++) {
        if (tally_take(lock, apr_time_now())) {
            return true;
        }
    }
    return false;
}

/* A text as another process left it. */
static void make_sound(char *text, apr_size_t room)
{
    char *at;

    text[room - 1] = '\0';
    if (!scim_text_is_utf8(text, strlen(text))) {
        for (at = text; *at; at++) {
            *at = (unsigned char)*at < 0x80 ? *at : '?';
        }
    }
}

#define SOUND(text) make_sound((text), sizeof(text))

static void make_error_sound(scim_tally_error *error)
{
    SOUND(error->op);
    SOUND(error->scim_type);
    SOUND(error->id);
    SOUND(error->detail);
}

static scim_tally_agent agent_of(const apr_uint32_t *at)
{
    apr_uint32_t agent = TALLY_LOAD(*at);

    return agent < SCIM_AGENTS ? (scim_tally_agent)agent : SCIM_AGENT_UNKNOWN;
}

/* Connections */

static void read_counts(scim_tally_connection *out, connection_slot *slot, apr_pool_t *pool)
{
    int op, i;

    out->counts = apr_array_make(pool, 8, sizeof(scim_tally_count));
    for (op = 0; op < TALLY_OPS; op++) {
        for (i = 0; i < TALLY_STATUSES; i++) {
            apr_uint64_t requests = TALLY_LOAD(slot->counts[op][i]);

            if (requests) {
                APR_ARRAY_PUSH(out->counts, scim_tally_count) =
                    (scim_tally_count){tally_op_names[op], tally_statuses[i], requests};
                out->requests += requests;
            }
        }
    }
}

/* Without the names and the error where their lock cannot be had. */
static void read_connection(scim_tally_connection *out, connection_slot *slot, apr_pool_t *pool)
{
    memset(out, 0, sizeof(*out));
    out->agent = agent_of(&slot->agent);
    out->first = TALLY_LOAD(slot->first);
    out->last = TALLY_LOAD(slot->last);
    out->success = TALLY_LOAD(slot->success);
    out->expires = TALLY_LOAD(slot->expires);
    out->failures = TALLY_LOAD(slot->failures);
    read_counts(out, slot, pool);
    if (take_soon(&slot->lock)) {
        memcpy(out->tenant, slot->tenant, sizeof(out->tenant));
        memcpy(out->connection, slot->connection, sizeof(out->connection));
        out->error = slot->error;
        tally_give_back(&slot->lock);
    }
    SOUND(out->tenant);
    SOUND(out->connection);
    make_error_sound(&out->error);
}

static int compare_connections(const void *one, const void *other)
{
    const scim_tally_connection *a = one, *b = other;
    int order = strcmp(a->tenant, b->tenant);

    return order ? order : strcmp(a->connection, b->connection);
}

apr_array_header_t *scim_tally_connections(scim_tally *tally, apr_uint64_t store,
                                           apr_pool_t *pool)
{
    apr_array_header_t *out = apr_array_make(pool, 8, sizeof(scim_tally_connection));
    scim_tally_connection one;
    int i;

    for (i = 0; i < SCIM_TALLY_CONNECTIONS; i++) {
        connection_slot *slot = &tally->connections[i];

        if (TALLY_LOAD(slot->key) && TALLY_LOAD(slot->named) &&
            TALLY_LOAD(slot->store) == store) {
            read_connection(&one, slot, pool);
            if (*one.connection) {
                APR_ARRAY_PUSH(out, scim_tally_connection) = one;
            }
        }
    }
    qsort(out->elts, (size_t)out->nelts, sizeof(one), compare_connections);
    read_connection(&one, &tally->others, pool);
    if (one.requests) {
        strcpy(one.connection, "(others)");
        APR_ARRAY_PUSH(out, scim_tally_connection) = one;
    }
    read_connection(&one, &tally->nobody, pool);
    if (one.requests) {
        APR_ARRAY_PUSH(out, scim_tally_connection) = one;
    }
    return out;
}

/* Objects */

typedef struct place {
    apr_time_t last;
    apr_uint64_t key;
    apr_uint32_t bucket, way;
} place;

static int compare_places(const void *one, const void *other)
{
    const place *a = one, *b = other;

    if (a->last != b->last) {
        return a->last > b->last ? -1 : 1;
    }
    return a->key > b->key ? -1 : a->key < b->key;
}

static bool fails(scim_tally *tally, apr_uint64_t store, apr_uint32_t bucket, apr_uint32_t way,
                  apr_time_t now)
{
    object_slot *slot = &tally->objects[bucket][way];

    return TALLY_LOAD(tally->keys[bucket][way]) && TALLY_LOAD(slot->store) == store &&
           now - TALLY_LOAD(slot->last) < OBJECT_FORGOTTEN;
}

static apr_array_header_t *failing_places(scim_tally *tally, apr_uint64_t store,
                                          apr_pool_t *pool)
{
    apr_array_header_t *places = apr_array_make(pool, 64, sizeof(place));
    apr_time_t now = apr_time_now();
    apr_uint32_t bucket, way;

    for (bucket = 0; bucket < OBJECT_BUCKETS; bucket++) {
        for (way = 0; way < OBJECT_WAYS; way++) {
            if (fails(tally, store, bucket, way, now)) {
                APR_ARRAY_PUSH(places, place) =
                    (place){TALLY_LOAD(tally->objects[bucket][way].last),
                            TALLY_LOAD(tally->keys[bucket][way]), bucket, way};
            }
        }
    }
    return places;
}

static void read_object(scim_tally_object *out, object_slot *slot)
{
    memset(out, 0, sizeof(*out));
    if (take_soon(&slot->lock)) {
        memcpy(out->tenant, slot->tenant, sizeof(out->tenant));
        memcpy(out->connection, slot->connection, sizeof(out->connection));
        out->error = slot->error;
        tally_give_back(&slot->lock);
    }
    out->first = TALLY_LOAD(slot->first);
    out->tries = TALLY_LOAD(slot->tries);
    SOUND(out->tenant);
    SOUND(out->connection);
    make_error_sound(&out->error);
}

apr_array_header_t *scim_tally_objects(apr_size_t *total, scim_tally *tally, apr_uint64_t store,
                                       apr_size_t skip, apr_size_t count, apr_pool_t *pool)
{
    apr_array_header_t *places = failing_places(tally, store, pool);
    apr_array_header_t *out = apr_array_make(pool, 16, sizeof(scim_tally_object));
    apr_size_t i, end;

    *total = (apr_size_t)places->nelts;
    end = skip < *total && count < *total - skip ? skip + count : *total;
    qsort(places->elts, *total, sizeof(place), compare_places);
    for (i = skip; i < end; i++) {
        const place *at = &APR_ARRAY_IDX(places, i, place);

        read_object(apr_array_push(out), &tally->objects[at->bucket][at->way]);
    }
    return out;
}

apr_size_t scim_tally_failing(scim_tally *tally, apr_uint64_t store)
{
    apr_time_t now = apr_time_now();
    apr_uint32_t bucket, way;
    apr_size_t count = 0;

    for (bucket = 0; bucket < OBJECT_BUCKETS; bucket++) {
        for (way = 0; way < OBJECT_WAYS; way++) {
            count += fails(tally, store, bucket, way, now);
        }
    }
    return count;
}

/* All else */

void scim_tally_refusals(scim_tally_refused out[SCIM_TALLY_REASONS], scim_tally *tally)
{
    int i;

    memset(out, 0, SCIM_TALLY_REASONS * sizeof(*out));
    for (i = SCIM_TALLY_KNOWN + 1; i < SCIM_TALLY_REASONS; i++) {
        refused_slot *slot = &tally->refused[i];

        out[i].requests = TALLY_LOAD(slot->requests);
        out[i].last = TALLY_LOAD(slot->last);
        if (take_soon(&slot->lock)) {
            memcpy(out[i].address, slot->address, sizeof(out[i].address));
            tally_give_back(&slot->lock);
        }
        SOUND(out[i].address);
    }
}

void scim_tally_latency(scim_tally_histogram *out, const scim_tally *tally,
                        scim_tally_class what)
{
    const scim_tally_histogram *from = &tally->latency[what];
    int i;

    out->count = 0;
    for (i = 0; i < SCIM_TALLY_BUCKETS; i++) {
        out->buckets[i] = TALLY_LOAD(from->buckets[i]);
        /* So that both agree, whoever is adding right now. */
        out->count += out->buckets[i];
    }
    out->sum = TALLY_LOAD(from->sum);
}
