/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchors: the resources of a type in runs, each with the number of those that
 * are still there, so that the n-th is found without walking over the n before
 * it.  New resources go to the last run, their ids being later than all.
 */
#include <string.h>

#include "internal.h"

/* Half a run is walked on the average, and one row for each run before it. */
#define RUN 1024

/* Others add to it as well: so long what one of them knows is near enough. */
#define HINT_LASTS apr_time_from_sec(5)

static void anchor_prefix(scim_key *key, const scim_tenant *tenant, const type_def *type)
{
    scim_key_begin(key, SCIM_TABLE_ANCHOR);
    scim_key_u32(key, tenant->number);
    scim_key_u16(key, type->number);
}

static void anchor_key(scim_key *key, const scim_tenant *tenant, const type_def *type,
                       const scim_id *first)
{
    anchor_prefix(key, tenant, type);
    scim_key_id(key, first);
}

/* One row: its key's id, its count. */
typedef struct anchor {
    scim_id first;
    apr_int64_t count;
} anchor;

static bool decode(anchor *out, const scim_key *prefix, scim_slice key, scim_slice value)
{
    scim_slice rest;

    if (!scim_key_has_prefix(key, prefix, &rest) || rest.len != sizeof(out->first.bytes)) {
        return false;
    }
    memcpy(out->first.bytes, rest.data, rest.len);
    out->count = scim_kv_counter(value);
    return true;
}

/* The last run that begins at or before at; NOTFOUND where there is none. */
static scim_kv_rc run_before(anchor *out, scim_kv_txn *txn, const scim_tenant *tenant,
                             const type_def *type, const scim_id *at)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key prefix, behind;
    scim_slice key, value;
    scim_kv_rc rc;

    anchor_prefix(&prefix, tenant, type);
    anchor_key(&behind, tenant, type, at);
    scim_key_bytes(&behind, "", 1);
    scim_kv_within(cursor, scim_key_slice(&prefix));
    rc = scim_kv_seek(cursor, scim_key_slice(&behind), &key, &value);
    if (rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND) {
        rc = scim_kv_prev(cursor, &key, &value);
    }
    if (rc == SCIM_KV_OK && !decode(out, &prefix, key, value)) {
        rc = SCIM_KV_NOTFOUND;
    }
    scim_kv_cursor_close(cursor);
    return rc;
}

/* Whether no resource of the type comes behind id: of a Bulk job, one may. */
static bool is_last(scim_kv_txn *txn, const scim_tenant *tenant, const type_def *type,
                    const scim_id *id)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key prefix, behind;
    scim_slice key, rest;
    scim_kv_rc rc;

    record_prefix(&prefix, tenant, type);
    record_key(&behind, tenant, type, id);
    scim_key_bytes(&behind, "", 1);
    scim_kv_within(cursor, scim_key_slice(&prefix));
    rc = scim_kv_seek(cursor, scim_key_slice(&behind), &key, NULL);
    scim_kv_cursor_close(cursor);
    return rc != SCIM_KV_OK || !scim_key_has_prefix(key, &prefix, &rest);
}

/* A full run is followed by another only at the end: what comes in between
 * belongs to the run that is there. */
scim_kv_rc anchor_add(scim_kv_txn *txn, const scim_tenant *tenant, const type_def *type,
                      const scim_id *id)
{
    anchor run;
    scim_key key;
    scim_kv_rc rc = run_before(&run, txn, tenant, type, id);
    bool begins = rc == SCIM_KV_NOTFOUND;

    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return rc;
    }
    begins = begins || (run.count >= RUN && is_last(txn, tenant, type, id));
    anchor_key(&key, tenant, type, begins ? id : &run.first);
    return scim_kv_add(txn, scim_key_slice(&key), 1, NULL);
}

static void behind_run(scim_key *key, const scim_tenant *tenant, const type_def *type,
                       const anchor_run *run)
{
    if (run->known) {
        anchor_key(key, tenant, type, &run->first);
        scim_key_bytes(key, "", 1);
    } else {
        anchor_prefix(key, tenant, type);
    }
}

static anchor_hint *hint_of(scim_store *store, const scim_tenant *tenant, const type_def *type)
{
    anchor_hint *hint = &store->hints[(tenant->number * 31 + type->number) % ANCHOR_HINTS];

    if (hint->tenant != tenant->number || hint->type != type->number) {
        *hint = (anchor_hint){.tenant = tenant->number, .type = type->number};
    }
    return hint;
}

void anchor_last_minted(scim_id *last, scim_store *store, const scim_tenant *tenant,
                        const type_def *type)
{
    const anchor_hint *hint;

    pthread_mutex_lock(&store->hints_lock);
    hint = hint_of(store, tenant, type);
    if (scim_id_compare(last, &hint->minted) < 0) {
        *last = hint->minted;
    }
    pthread_mutex_unlock(&store->hints_lock);
}

void anchor_minted(const scim_id *id, scim_store *store, const scim_tenant *tenant,
                   const type_def *type)
{
    anchor_hint *hint;

    pthread_mutex_lock(&store->hints_lock);
    hint = hint_of(store, tenant, type);
    if (scim_id_compare(&hint->minted, id) < 0) {
        hint->minted = *id;
    }
    pthread_mutex_unlock(&store->hints_lock);
}

static bool recall(anchor_run *out, scim_store *store, const scim_tenant *tenant,
                   const type_def *type)
{
    apr_time_t now = apr_time_now();
    anchor_hint *hint;
    bool fresh;

    pthread_mutex_lock(&store->hints_lock);
    hint = hint_of(store, tenant, type);
    fresh = hint->since && hint->since <= now && now - hint->since < HINT_LASTS;
    *out = hint->run;
    pthread_mutex_unlock(&store->hints_lock);
    return fresh;
}

static void note(scim_store *store, const scim_tenant *tenant, const type_def *type,
                 const anchor_run *run)
{
    anchor_hint *hint;

    pthread_mutex_lock(&store->hints_lock);
    hint = hint_of(store, tenant, type);
    hint->run = *run;
    hint->since = apr_time_now();
    pthread_mutex_unlock(&store->hints_lock);
}

void anchor_tried(scim_store *store, const scim_tenant *tenant, const type_def *type, bool done)
{
    anchor_hint *hint;

    pthread_mutex_lock(&store->hints_lock);
    hint = hint_of(store, tenant, type);
    /* A full one is followed by another, which this does not know. */
    if (!done || !hint->run.known || ++hint->run.count > RUN) {
        hint->since = 0;
    }
    pthread_mutex_unlock(&store->hints_lock);
}

scim_kv_rc anchor_last(anchor_run *out, scim_view *view, const scim_tenant *tenant,
                       const type_def *type)
{
    scim_kv_cursor *cursor;
    scim_slice key, value;
    scim_key prefix;
    anchor run;
    scim_kv_rc rc;

    /* Who may write sees what nobody else does. */
    if (!scim_kv_writable(view->txn) && recall(out, view->store, tenant, type)) {
        return SCIM_KV_OK;
    }
    cursor = scim_kv_cursor_open(view->txn);
    anchor_prefix(&prefix, tenant, type);
    scim_kv_within(cursor, scim_key_slice(&prefix));
    rc = scim_kv_prev(cursor, &key, &value);
    scim_kv_cursor_close(cursor);
    *out = (anchor_run){.known = rc == SCIM_KV_OK && decode(&run, &prefix, key, value)};
    if (out->known) {
        out->first = run.first;
        out->count = run.count;
    }
    if (rc == SCIM_KV_OK && !scim_kv_writable(view->txn)) {
        note(view->store, tenant, type, out);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

scim_kv_rc anchor_of(anchor_run *out, scim_kv_txn *txn, const scim_tenant *tenant,
                     const type_def *type, const scim_id *id)
{
    anchor run;
    scim_kv_rc rc = run_before(&run, txn, tenant, type, id);

    *out = (anchor_run){.known = rc == SCIM_KV_OK};
    if (out->known) {
        out->first = run.first;
        out->count = run.count;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

scim_kv_rc anchor_leave(const anchor_run *run, scim_kv_txn *txn, const scim_tenant *tenant,
                        const type_def *type)
{
    scim_key key;

    if (!run->known) {
        return SCIM_KV_OK;
    }
    anchor_key(&key, tenant, type, &run->first);
    return scim_kv_add(txn, scim_key_slice(&key), -1, NULL);
}

void anchor_wish(wishes *w, const scim_tenant *tenant, const type_def *type,
                 const anchor_run *run)
{
    scim_key prefix, key;

    anchor_prefix(&prefix, tenant, type);
    behind_run(&key, tenant, type, run);
    wish_slice(w, scim_key_slice(&key), prefix.len);
}

scim_kv_rc anchor_check(const anchor_run *run, scim_kv_txn *txn, const scim_tenant *tenant,
                        const type_def *type)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key prefix, behind;
    scim_slice key;
    scim_kv_rc rc;

    anchor_prefix(&prefix, tenant, type);
    behind_run(&behind, tenant, type, run);
    scim_kv_within(cursor, scim_key_slice(&prefix));
    rc = scim_kv_seek(cursor, scim_key_slice(&behind), &key, NULL);
    scim_kv_cursor_close(cursor);
    if (rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL)) {
        return SCIM_KV_STALE;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

scim_kv_rc anchor_join(const anchor_run *run, scim_kv_txn *txn, const scim_tenant *tenant,
                       const type_def *type, const scim_id *id)
{
    bool begins = !run->known || (run->count >= RUN && is_last(txn, tenant, type, id));
    scim_key key;

    /* A clock that is behind that of another machine: the run begins later than this. */
    if (!begins && scim_id_compare(id, &run->first) < 0) {
        return anchor_add(txn, tenant, type, id);
    }
    anchor_key(&key, tenant, type, begins ? id : &run->first);
    return scim_kv_add(txn, scim_key_slice(&key), 1, NULL);
}

scim_kv_rc anchor_remove(scim_kv_txn *txn, const scim_tenant *tenant, const type_def *type,
                         const scim_id *id)
{
    anchor run;
    apr_int64_t left;
    scim_key key;
    scim_kv_rc rc = run_before(&run, txn, tenant, type, id);

    if (rc != SCIM_KV_OK) {
        return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    anchor_key(&key, tenant, type, &run.first);
    rc = scim_kv_add(txn, scim_key_slice(&key), -1, &left);
    return rc == SCIM_KV_OK && left <= 0 ? scim_kv_del(txn, scim_key_slice(&key)) : rc;
}

typedef struct anchor_walk {
    scim_kv_cursor *cursor;
    scim_key prefix;
    apr_uint64_t before; /* resources before the run at hand */
    anchor run;
} anchor_walk;

static bool walk_on(anchor_walk *w, apr_uint64_t wanted)
{
    scim_slice key, value;
    scim_kv_rc rc;

    w->before = 0;
    for (rc = scim_kv_seek(w->cursor, scim_key_slice(&w->prefix), &key, &value);
         rc == SCIM_KV_OK && decode(&w->run, &w->prefix, key, value);
         rc = scim_kv_next(w->cursor, &key, &value)) {
        if (wanted < w->before + (apr_uint64_t)w->run.count) {
            return true;
        }
        w->before += (apr_uint64_t)w->run.count;
    }
    return false;
}

static bool walk_back(anchor_walk *w, apr_uint64_t wanted, apr_uint64_t total)
{
    scim_key end = w->prefix;
    scim_slice key, value;
    scim_kv_rc rc;

    scim_key_bytes(&end, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                   17);
    w->before = total;
    rc = scim_kv_seek(w->cursor, scim_key_slice(&end), &key, &value);
    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return false;
    }
    for (rc = scim_kv_prev(w->cursor, &key, &value);
         rc == SCIM_KV_OK && decode(&w->run, &w->prefix, key, value) &&
         (apr_uint64_t)w->run.count <= w->before;
         rc = scim_kv_prev(w->cursor, &key, &value)) {
        w->before -= (apr_uint64_t)w->run.count;
        if (w->before <= wanted) {
            return true;
        }
    }
    return false;
}

bool anchor_find(scim_id *first, apr_uint64_t *before, scim_kv_txn *txn,
                 const scim_tenant *tenant, const type_def *type, apr_uint64_t wanted,
                 apr_uint64_t total)
{
    anchor_walk w = {.cursor = scim_kv_cursor_open(txn)};
    bool found;

    anchor_prefix(&w.prefix, tenant, type);
    found = wanted < total / 2 ? walk_on(&w, wanted) : walk_back(&w, wanted, total);
    scim_kv_cursor_close(w.cursor);
    *first = w.run.first;
    *before = w.before;
    return found;
}

/* Setting right */

/* Two walks beside each other. */
typedef struct comparison {
    scim_kv_cursor *resources, *anchors;
    scim_key resource_prefix, anchor_prefix;
    bool resource_there, anchor_there;
    scim_id resource;
    anchor run;
    apr_size_t value_len; /* of the run's row */
} comparison;

static scim_kv_rc take_resource(comparison *c, scim_kv_rc rc, scim_slice key)
{
    scim_slice rest;

    c->resource_there = rc == SCIM_KV_OK &&
                        scim_key_has_prefix(key, &c->resource_prefix, &rest) &&
                        rest.len == sizeof(c->resource.bytes);
    if (c->resource_there) {
        memcpy(c->resource.bytes, rest.data, rest.len);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc take_anchor(comparison *c, scim_kv_rc rc, scim_slice key, scim_slice value)
{
    c->anchor_there = rc == SCIM_KV_OK && decode(&c->run, &c->anchor_prefix, key, value);
    c->value_len = value.len;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Counts the resources of the run that the walk is in, and goes on to the next. */
static scim_kv_rc compare_run(bool *right, comparison *c)
{
    anchor run = c->run;
    apr_size_t len = c->value_len;
    apr_int64_t count = 0;
    scim_slice key, value = {NULL, 0};
    scim_kv_rc rc = scim_kv_next(c->anchors, &key, &value);

    *right = len == 8 && !(c->resource_there && scim_id_compare(&c->resource, &run.first) < 0);
    rc = take_anchor(c, rc, key, value);
    while (rc == SCIM_KV_OK && c->resource_there &&
           !(c->anchor_there && scim_id_compare(&c->resource, &c->run.first) >= 0)) {
        count++;
        rc = scim_kv_next(c->resources, &key, NULL);
        rc = take_resource(c, rc, key);
    }
    *right = *right && count == run.count;
    return rc;
}

scim_kv_rc anchors_right(bool *right, scim_kv_txn *txn, const scim_tenant *tenant,
                         const type_def *type)
{
    comparison c = {.resources = scim_kv_cursor_open(txn), .anchors = scim_kv_cursor_open(txn)};
    scim_slice key, value = {NULL, 0};
    scim_kv_rc rc;

    *right = true;
    record_prefix(&c.resource_prefix, tenant, type);
    anchor_prefix(&c.anchor_prefix, tenant, type);
    rc = scim_kv_seek(c.resources, scim_key_slice(&c.resource_prefix), &key, NULL);
    rc = take_resource(&c, rc, key);
    if (rc == SCIM_KV_OK) {
        rc = scim_kv_seek(c.anchors, scim_key_slice(&c.anchor_prefix), &key, &value);
        rc = take_anchor(&c, rc, key, value);
    }
    while (rc == SCIM_KV_OK && *right && c.anchor_there) {
        rc = compare_run(right, &c);
    }
    *right = *right && !c.resource_there;
    scim_kv_cursor_close(c.anchors);
    scim_kv_cursor_close(c.resources);
    return rc;
}

static scim_kv_rc drop_anchors(scim_kv_txn *txn, const scim_key *prefix, const scim_id *from,
                               const scim_id *end)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key at = *prefix;
    scim_slice key, value;
    scim_kv_rc rc;
    anchor run;

    scim_key_id(&at, from);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&at), &key, &value);
         rc == SCIM_KV_OK && decode(&run, prefix, key, value) &&
         (!end || scim_id_compare(&run.first, end) < 0);
         rc = scim_kv_next(cursor, &key, &value)) {
        at = *prefix;
        scim_key_id(&at, &run.first);
        rc = scim_kv_del(txn, scim_key_slice(&at));
        if (rc != SCIM_KV_OK) {
            break;
        }
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc put_anchor(scim_kv_txn *txn, const scim_key *prefix, const scim_id *first,
                             apr_int64_t count)
{
    unsigned char value[8];
    scim_key key = *prefix;

    scim_key_id(&key, first);
    store_put_u64(value, (apr_uint64_t)count);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, sizeof(value)}, false);
}

/* The resources of a run that begins at or behind from: the first, how many, and the one
 * that begins the next. */
static scim_kv_rc read_run(anchor *out, scim_id *next, bool *more, scim_kv_txn *txn,
                           const scim_key *prefix, const scim_id *from)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key at = *prefix;
    scim_slice key, rest;
    scim_kv_rc rc;

    out->count = 0;
    *more = false;
    scim_key_id(&at, from);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&at), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, prefix, &rest) &&
         rest.len == sizeof(next->bytes) && !*more;
         rc = scim_kv_next(cursor, &key, NULL)) {
        *more = out->count == RUN;
        memcpy(*more ? next->bytes : out->first.bytes, rest.data,
               *more || !out->count ? rest.len : 0);
        out->count += !*more;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Of a run that is made in the next step: what comes and goes meanwhile is counted there,
 * and not in the one before. */
#define UNTIL_THEN ((apr_int64_t)1 << 32)

scim_kv_rc anchors_make(bool *more, scim_id *from, scim_kv_txn *txn, const scim_tenant *tenant,
                        const type_def *type)
{
    scim_key prefix, resources;
    scim_id next;
    anchor run;
    scim_kv_rc rc;

    record_prefix(&resources, tenant, type);
    anchor_prefix(&prefix, tenant, type);
    rc = read_run(&run, &next, more, txn, &resources, from);
    if (rc == SCIM_KV_OK) {
        rc = drop_anchors(txn, &prefix, from, *more ? &next : NULL);
    }
    if (rc == SCIM_KV_OK && run.count) {
        rc = put_anchor(txn, &prefix, &run.first, run.count);
    }
    if (rc == SCIM_KV_OK && *more) {
        rc = put_anchor(txn, &prefix, &next, UNTIL_THEN);
        *from = next;
    }
    return rc;
}
