/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tally: what is counted of a request.
 *
 * A request that succeeds finds its connection's slot by a hash and adds to its counters.
 * A slot is claimed by compare and swap; its names follow under its lock, and where their
 * writer died in between the next request writes them.
 */
#include "tally_slots.h"

#include <string.h>

#include <xxhash.h>

/* What is not lock-free is locked in one process only. */
_Static_assert(__atomic_always_lock_free(sizeof(apr_uint64_t), 0),
               "a tally needs atomic operations of 64 bits");

/* Slots that are looked at for one connection. */
#define PROBES 64

/* A connection that was quiet for so long gives its slot to a new one that finds none. */
#define QUIET apr_time_from_sec(86400)

/* Nobody has a lock for longer than a copy takes, unless it died. */
#define LOCK_LASTS apr_time_from_sec(2)

const apr_int64_t scim_tally_bounds[SCIM_TALLY_BUCKETS - 1] = {
    5,     10,    20,    50,     100,    200,    500,     1000,    2000,    5000,
    10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000,
};

#define VERB_NAMES(kind)                                                                       \
    kind ".list", kind ".search", kind ".get", kind ".create", kind ".replace", kind ".patch", \
        kind ".delete"

const char *const tally_op_names[TALLY_OPS] = {VERB_NAMES("users"),
                                               VERB_NAMES("groups"),
                                               VERB_NAMES("others"),
                                               "root.list",
                                               "root.search",
                                               "bulk",
                                               "me",
                                               "discovery",
                                               "unknown"};

/* The most frequent ones first. */
const int tally_statuses[TALLY_STATUSES] = {200, 204, 201, 404, 409, 400, 304, 401, 403, 405,
                                            412, 413, 415, 428, 429, 500, 501, 503, 507, 0};

apr_size_t scim_tally_size(void)
{
    return sizeof(scim_tally);
}

/* Locks */

bool tally_take(tally_lock *lock, apr_time_t now)
{
    apr_time_t since = TALLY_LOAD(*lock);

    if (since && now - since < LOCK_LASTS && since - now < LOCK_LASTS) {
        return false;
    }
    return __atomic_compare_exchange_n(lock, &since, now, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

void tally_give_back(tally_lock *lock)
{
    TALLY_STORE(*lock, 0);
}

static bool swap_key(apr_uint64_t *at, apr_uint64_t *seen, apr_uint64_t key)
{
    return __atomic_compare_exchange_n(at, seen, key, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Of a text that may be longer, or NULL; cut between characters. */
static void copy_text(char *to, apr_size_t room, const char *from)
{
    apr_size_t len = from ? strnlen(from, room) : 0;

    if (len == room) {
        for (len = room - 1; len && ((unsigned char)from[len] & 0xc0) == 0x80; len--) {
        }
    }
    memcpy(to, from ? from : "", len);
    memset(to + len, 0, room - len);
}

#define COPY(to, from) copy_text((to), sizeof(to), (from))

/* Operations */

static int verb_of(const char *name)
{
    int verb;

    for (verb = 0; verb < TALLY_VERBS; verb++) {
        if (!strcmp(strchr(tally_op_names[verb], '.') + 1, name)) {
            return verb;
        }
    }
    return -1;
}

static int op_of(const char *op)
{
    const char *dot = strchr(op, '.');
    int verb = dot ? verb_of(dot + 1) : -1;

    if (verb < 0) {
        return strcmp(op, "bulk") ? OP_UNKNOWN : OP_BULK;
    }
    switch (*op) {
    case 'u':
        return !strncmp(op, "users.", 6) ? verb : 2 * TALLY_VERBS + verb;
    case 'g':
        return !strncmp(op, "groups.", 7) ? TALLY_VERBS + verb : 2 * TALLY_VERBS + verb;
    case 'm':
        return !strncmp(op, "me.", 3) ? OP_ME : 2 * TALLY_VERBS + verb;
    default:
        break;
    }
    if (!strncmp(op, "root.", 5)) {
        return verb == VERB_LIST ? OP_ROOT_LIST : OP_ROOT_SEARCH;
    }
    if (!strncmp(op, "config.", 7) || !strncmp(op, "resourcetypes.", 14) ||
        !strncmp(op, "schemas.", 8)) {
        return OP_DISCOVERY;
    }
    return 2 * TALLY_VERBS + verb;
}

static int status_index(int status)
{
    int i;

    for (i = 0; i < TALLY_STATUSES - 1 && tally_statuses[i] != status; i++) {
    }
    return i;
}

/* To look for what is not there, and to delete it, is no failure: clients do so to learn
 * whether it is there. */
static bool is_failure(const scim_tally_event *event, int op)
{
    bool looks = event->what != SCIM_TALLY_WRITE ||
                 (op < OP_ROOT_LIST && op % TALLY_VERBS == VERB_DELETE);

    return event->status >= 400 && !(event->status == 404 && looks);
}

/* Connections */

static apr_uint64_t hash(const char *text, apr_uint64_t seed)
{
    apr_uint64_t key = XXH3_64bits_withSeed(text, strlen(text), seed);

    return key ? key : 1;
}

static void name_slot(connection_slot *slot, const scim_tally_event *event)
{
    if (!TALLY_LOAD(slot->named) && tally_take(&slot->lock, event->now)) {
        COPY(slot->tenant, event->tenant);
        COPY(slot->connection, event->connection);
        TALLY_STORE(slot->store, event->store);
        TALLY_STORE(slot->named, 1);
        tally_give_back(&slot->lock);
    }
}

static void empty_counts(connection_slot *slot)
{
    int op, i;

    for (op = 0; op < TALLY_OPS; op++) {
        for (i = 0; i < TALLY_STATUSES; i++) {
            TALLY_STORE(slot->counts[op][i], 0);
        }
    }
    TALLY_STORE(slot->first, 0);
    TALLY_STORE(slot->success, 0);
    TALLY_STORE(slot->failures, 0);
}

/* Makes room where a connection is long quiet; false where none is. */
static bool take_over(connection_slot *slot, apr_uint64_t key, apr_time_t now)
{
    apr_uint64_t owner = TALLY_LOAD(slot->key);
    bool ours;

    if (now - TALLY_LOAD(slot->last) < QUIET || !tally_take(&slot->lock, now)) {
        return false;
    }
    ours = swap_key(&slot->key, &owner, key);
    if (ours) {
        empty_counts(slot);
        memset(&slot->error, 0, sizeof(slot->error));
        TALLY_STORE(slot->last, now);
        TALLY_STORE(slot->named, 0);
    }
    tally_give_back(&slot->lock);
    return ours;
}

static connection_slot *find_slot(scim_tally *tally, apr_uint64_t key, apr_time_t now)
{
    connection_slot *slot, *stalest = NULL;
    int i;

    for (i = 0; i < PROBES; i++) {
        apr_uint64_t seen;

        slot = &tally->connections[(key + (apr_uint64_t)i) % SCIM_TALLY_CONNECTIONS];
        seen = TALLY_LOAD(slot->key);
        if (seen == key || (!seen && (swap_key(&slot->key, &seen, key) || seen == key))) {
            return slot;
        }
        if (!stalest || TALLY_LOAD(slot->last) < TALLY_LOAD(stalest->last)) {
            stalest = slot;
        }
    }
    return take_over(stalest, key, now) ? stalest : &tally->others;
}

static connection_slot *slot_of(scim_tally *tally, const scim_tally_event *event,
                                apr_uint64_t key)
{
    connection_slot *slot;

    if (!event->connection) {
        return &tally->nobody;
    }
    slot = find_slot(tally, key, event->now);
    if (slot != &tally->others) {
        name_slot(slot, event);
    }
    return slot;
}

static void set_first(apr_time_t *at, apr_time_t now)
{
    apr_time_t none = 0;

    if (!TALLY_LOAD(*at)) {
        __atomic_compare_exchange_n(at, &none, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
}

/* Writers of one moment leave one of their errors. */
static void set_error(scim_tally_error *error, const scim_tally_event *event)
{
    error->time = event->now;
    error->status = event->status;
    COPY(error->op, event->op);
    COPY(error->scim_type, event->scim_type);
    COPY(error->id, event->id);
    COPY(error->detail, event->detail);
    if (event->detail && strnlen(event->detail, SCIM_TALLY_DETAIL) == SCIM_TALLY_DETAIL) {
        copy_text(error->detail, SCIM_TALLY_DETAIL - 3, event->detail);
        memcpy(error->detail + strlen(error->detail), "...", 4);
    }
}

/* To find out whose a User-Agent is takes longer than all the rest. */
static void note_agent(connection_slot *slot, const char *user_agent)
{
    apr_uint64_t key = user_agent ? hash(user_agent, 0) : 0;

    if (TALLY_LOAD(slot->user_agent) != key) {
        TALLY_STORE(slot->user_agent, key);
        TALLY_STORE(slot->agent, (apr_uint32_t)scim_tally_agent_of(user_agent));
    }
}

static void note_connection(connection_slot *slot, const scim_tally_event *event, int op)
{
    TALLY_ADD(slot->counts[op][status_index(event->status)], 1);
    set_first(&slot->first, event->now);
    TALLY_STORE(slot->last, event->now);
    note_agent(slot, event->user_agent);
    TALLY_STORE(slot->expires, event->expires);
    if (event->status < 400) {
        TALLY_STORE(slot->success, event->now);
    } else if (is_failure(event, op)) {
        TALLY_ADD(slot->failures, 1);
        if (tally_take(&slot->lock, event->now)) {
            set_error(&slot->error, event);
            tally_give_back(&slot->lock);
        }
    }
}

/* Objects */

/* Whether it is about the object that a change failed; what concerns everybody, as a full
 * store does, is told elsewhere. */
static bool is_about_object(const scim_tally_event *event, int op)
{
    switch (event->status) {
    case 400:
    case 404:
    case 409:
    case 412:
    case 413:
    case 428:
    case 500:
        return is_failure(event, op);
    default:
        return false;
    }
}

/* 0: it has no object. */
static apr_uint64_t object_key(const scim_tally_event *event, int op, apr_uint64_t connection)
{
    bool creation = op % TALLY_VERBS == VERB_CREATE;
    apr_uint64_t key = 0;

    if (op >= OP_ROOT_LIST || event->what != SCIM_TALLY_WRITE || !event->connection) {
        return 0;
    }
    if (!creation && event->id) {
        return hash(event->id, connection);
    }
    if (creation && event->subject) {
        key = XXH3_64bits_withSeed(&event->subject, sizeof(event->subject), connection);
    } else if (event->status >= 400 && event->detail) {
        key = hash(event->detail, connection + (apr_uint64_t)op);
    }
    return key;
}

static int way_of(apr_uint64_t *keys, apr_uint64_t key)
{
    int i;

    for (i = 0; i < OBJECT_WAYS; i++) {
        if (TALLY_LOAD(keys[i]) == key) {
            return i;
        }
    }
    return -1;
}

/* A free way, or that of the object which failed the longest time ago; -1 where others are
 * quicker. */
static int claim_way(apr_uint64_t *keys, object_slot *slots, apr_uint64_t key)
{
    int i, stalest = 0;
    apr_uint64_t seen;

    for (i = 0; i < OBJECT_WAYS; i++) {
        seen = 0;
        if (swap_key(&keys[i], &seen, key)) {
            return i;
        }
        if (TALLY_LOAD(slots[i].last) < TALLY_LOAD(slots[stalest].last)) {
            stalest = i;
        }
    }
    seen = TALLY_LOAD(keys[stalest]);
    return swap_key(&keys[stalest], &seen, key) ? stalest : -1;
}

/* What was there before is another object, or the same after it was changed well. */
static void begin_object(object_slot *slot, const scim_tally_event *event)
{
    TALLY_STORE(slot->first, event->now);
    TALLY_STORE(slot->tries, 0);
    TALLY_STORE(slot->store, event->store);
    COPY(slot->tenant, event->tenant);
    COPY(slot->connection, event->connection);
}

static void note_failure(apr_uint64_t *keys, object_slot *slots, apr_uint64_t key,
                         const scim_tally_event *event)
{
    int way = way_of(keys, key);
    bool new = way < 0;

    if (new) {
        way = claim_way(keys, slots, key);
    }
    if (way < 0) {
        return;
    }
    TALLY_STORE(slots[way].last, event->now);
    if (tally_take(&slots[way].lock, event->now)) {
        if (new) {
            begin_object(&slots[way], event);
        }
        set_error(&slots[way].error, event);
        tally_give_back(&slots[way].lock);
    } else if (new) {
        /* Without its texts it would be another's. */
        TALLY_STORE(keys[way], 0);
    }
    TALLY_ADD(slots[way].tries, 1);
}

static void note_object(scim_tally *tally, const scim_tally_event *event, int op,
                        apr_uint64_t connection)
{
    apr_uint64_t key = object_key(event, op, connection), *keys;
    apr_size_t bucket = key % OBJECT_BUCKETS;
    int way;

    if (!key) {
        return;
    }
    keys = tally->keys[bucket];
    if (is_about_object(event, op)) {
        note_failure(keys, tally->objects[bucket], key, event);
    } else if (event->status < 400 || event->status == 404) {
        way = way_of(keys, key);
        if (way >= 0) {
            swap_key(&keys[way], &key, 0);
        }
    }
}

/* All else */

static void note_latency(scim_tally_histogram *to, apr_interval_time_t took)
{
    int i;

    for (i = 0; i < SCIM_TALLY_BUCKETS - 1 && took > scim_tally_bounds[i]; i++) {
    }
    TALLY_ADD(to->buckets[i], 1);
    TALLY_ADD(to->count, 1);
    TALLY_ADD(to->sum, (apr_uint64_t)took);
}

static void note_refused(refused_slot *slot, const scim_tally_event *event)
{
    TALLY_ADD(slot->requests, 1);
    TALLY_STORE(slot->last, event->now);
    if (tally_take(&slot->lock, event->now)) {
        COPY(slot->address, event->address);
        tally_give_back(&slot->lock);
    }
}

void scim_tally_note(scim_tally *tally, const scim_tally_event *event, apr_uint64_t seed)
{
    int op = op_of(event->op);
    apr_uint64_t key = 0;

    if (event->connection) {
        key = hash(event->tenant, seed ^ event->store);
        key = hash(event->connection, key);
    }
    note_connection(slot_of(tally, event, key), event, op);
    note_object(tally, event, op, key);
    if (event->refused > SCIM_TALLY_KNOWN && event->refused < SCIM_TALLY_REASONS) {
        note_refused(&tally->refused[event->refused], event);
    }
    if (event->took >= 0) {
        note_latency(&tally->latency[event->what], event->took);
    }
}

/* Who asks */

static const struct {
    const char *part; /* of the User-Agent, in small letters */
    scim_tally_agent agent;
} agents[] = {
    {"okta", SCIM_AGENT_OKTA},         {"jumpcloud", SCIM_AGENT_JUMPCLOUD},
    {"onelogin", SCIM_AGENT_ONELOGIN}, {"pingfederate", SCIM_AGENT_PING},
    {"pingone", SCIM_AGENT_PING},      {"authentik", SCIM_AGENT_AUTHENTIK},
    {"keycloak", SCIM_AGENT_KEYCLOAK}, {"azure", SCIM_AGENT_ENTRA},
    {"microsoft", SCIM_AGENT_ENTRA},   {"entra", SCIM_AGENT_ENTRA},
};

scim_tally_agent scim_tally_agent_of(const char *user_agent)
{
    apr_size_t i;

    for (i = 0; user_agent && i < sizeof(agents) / sizeof(agents[0]); i++) {
        if (strcasestr(user_agent, agents[i].part)) {
            return agents[i].agent;
        }
    }
    return SCIM_AGENT_UNKNOWN;
}
