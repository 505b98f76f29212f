/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups around a resource: those that it is a member of, those around them,
 * and so on, each once, cycles or not.
 */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "internal.h"

/* As many are looked through one by one; nearly everybody is in fewer. */
#define FEW 16

/* What the walk came to, in that order: also its queue. */
typedef struct reached {
    scim_id id;
    bool enter; /* what is around it counts too */
} reached;

typedef struct walk {
    scim_view *view;
    const scim_tenant *tenant;
    scim_kv_cursor *cursor;
    apr_array_header_t *reached;
    apr_hash_t *many; /* the same by their ids, where they are more than a few */
    around_fn fn;
    void *baton;
} walk;

static void index_id(const walk *w, const scim_id *id)
{
    scim_id *copy = apr_pmemdup(w->view->pool, id, sizeof(*id));

    apr_hash_set(w->many, copy->bytes, sizeof(copy->bytes), copy);
}

static void index_all(walk *w)
{
    int i;

    w->many = apr_hash_make(w->view->pool);
    for (i = 0; i < w->reached->nelts; i++) {
        index_id(w, &APR_ARRAY_IDX(w->reached, i, reached).id);
    }
}

static bool was_reached(const walk *w, const scim_id *id)
{
    int i;

    if (w->many) {
        return apr_hash_get(w->many, id->bytes, sizeof(id->bytes)) != NULL;
    }
    for (i = 0; i < w->reached->nelts; i++) {
        if (!scim_id_compare(&APR_ARRAY_IDX(w->reached, i, reached).id, id)) {
            return true;
        }
    }
    return false;
}

static void note_reached(walk *w, const scim_id *id, bool enter)
{
    APR_ARRAY_PUSH(w->reached, reached) = (reached){*id, enter};
    if (w->many) {
        index_id(w, id);
    } else if (w->reached->nelts > FEW) {
        index_all(w);
    }
}

/* Only a type that has members can have what has this one for a member. */
static scim_kv_rc read_group(around_group *out, const walk *w)
{
    const scim_store *store = w->view->store;
    scim_kv_rc rc = SCIM_KV_NOTFOUND;
    scim_key key;
    int i;

    out->type = NULL;
    for (i = 0; i < store->types_count && rc == SCIM_KV_NOTFOUND; i++) {
        if (store->types[i].type->members) {
            record_key(&key, w->tenant, &store->types[i], &out->id);
            rc = record_read(&out->head, w->view->txn, &key);
            out->type = rc == SCIM_KV_OK ? &store->types[i] : NULL;
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc reach(walk *w, scim_slice id, bool direct)
{
    around_group group = {.direct = direct};
    bool enter = true;
    scim_kv_rc rc;

    if (id.len != sizeof(group.id.bytes)) {
        return SCIM_KV_CORRUPT;
    }
    memcpy(group.id.bytes, id.data, id.len);
    if (was_reached(w, &group.id)) {
        return SCIM_KV_OK;
    }
    rc = read_group(&group, w);
    if (rc == SCIM_KV_OK) {
        rc = w->fn(&group, &enter, w->baton);
    }
    note_reached(w, &group.id, enter && group.type);
    return rc;
}

static void wish_group(wishes *all, const walk *w, const scim_id *id)
{
    const scim_store *store = w->view->store;
    scim_key key;
    int i;

    for (i = 0; i < store->types_count; i++) {
        if (store->types[i].type->members) {
            record_key(&key, w->tenant, &store->types[i], id);
            wish_key(all, &key);
        }
    }
    wish_groups(all, w->tenant, id);
}

/* The first few groups, and the edges behind them. */
static void wish_groups_of(const walk *w, const scim_id *member, const scim_key *from)
{
    wishes all = {.txn = w->view->txn};
    scim_slice key, rest;
    scim_kv_rc rc;
    scim_id id;
    int few = FEW;

    wish_groups(&all, w->tenant, member);
    wish_send(&all);
    scim_kv_within(w->cursor, scim_key_slice(from));
    for (rc = scim_kv_seek(w->cursor, scim_key_slice(from), &key, NULL);
         rc == SCIM_KV_OK && few-- > 0 && scim_key_has_prefix(key, from, &rest) &&
         rest.len == sizeof(id.bytes);
         rc = scim_kv_next(w->cursor, &key, NULL)) {
        memcpy(id.bytes, rest.data, rest.len);
        if (!was_reached(w, &id)) {
            wish_group(&all, w, &id);
        }
    }
    wish_send(&all);
}

static scim_kv_rc reach_groups_of(walk *w, const scim_id *member, bool direct)
{
    scim_key from;
    scim_slice key, id;
    scim_kv_rc rc;

    member_prefix(&from, SCIM_TABLE_MEMBER_OF, w->tenant, member);
    if (scim_kv_far(w->view->txn)) {
        wish_groups_of(w, member, &from);
    }
    for (rc = scim_kv_seek(w->cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &id);
         rc = scim_kv_next(w->cursor, &key, NULL)) {
        scim_kv_rc taken = reach(w, id, direct);

        if (taken != SCIM_KV_OK) {
            return taken;
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

scim_kv_rc groups_around(scim_view *view, const scim_tenant *tenant, const scim_id *member,
                         around_fn fn, void *baton)
{
    walk w = {.view = view,
              .tenant = tenant,
              .cursor = scim_kv_cursor_open(view->txn),
              .reached = apr_array_make(view->pool, FEW, sizeof(reached)),
              .fn = fn,
              .baton = baton};
    scim_kv_rc rc = reach_groups_of(&w, member, true);
    int next;

    /* Breadth first, so direct groups stay in front. */
    for (next = 0; rc == SCIM_KV_OK && next < w.reached->nelts; next++) {
        reached at = APR_ARRAY_IDX(w.reached, next, reached);

        if (at.enter) {
            rc = reach_groups_of(&w, &at.id, false);
        }
    }
    scim_kv_cursor_close(w.cursor);
    return rc;
}
