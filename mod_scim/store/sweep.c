/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of a deleted group: what the tenant's policy does to them, at
 * once where they are few, else in steps that others' writes come between.
 */
#include "scim/sweep.h"

#include <string.h>

#include <apr_strings.h>

#include "internal.h"

#define ROW_LEN (1 + 8)

/* What is done to members takes a look at every group that they are in, and a
 * deletion writes to it: so many of these in one transaction, but for one member. */
#define STEP_GROUPS (4 * SCIM_SWEEP_STEP)
#define LOOK_INTERVAL apr_time_from_sec(1)

#define PAUSE_MAX apr_time_from_sec(1)

static void pending_prefix(scim_key *key)
{
    scim_key_begin(key, SCIM_TABLE_PENDING);
}

static void pending_key(scim_key *key, apr_uint32_t tenant, const scim_id *group)
{
    pending_prefix(key);
    scim_key_u32(key, tenant);
    scim_key_id(key, group);
}

scim_kv_rc sweep_defer(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *group,
                       scim_on_group_delete then, apr_time_t now)
{
    unsigned char value[STORE_SEAL + ROW_LEN];
    scim_key key;

    pending_key(&key, tenant->number, group);
    value[STORE_SEAL] = (unsigned char)then;
    store_put_u64(value + STORE_SEAL + 1, (apr_uint64_t)now);
    store_seal(scim_key_slice(&key), value, sizeof(value));
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, sizeof(value)}, false);
}

static bool decode_pending(scim_pending *out, scim_slice key, scim_slice rest, scim_slice value)
{
    const unsigned char *at = (const unsigned char *)value.data + STORE_SEAL;

    if (rest.len != 4 + sizeof(out->group.bytes) || value.len != STORE_SEAL + ROW_LEN ||
        !store_sealed(key, value) || *at > SCIM_ON_DELETE_DELETE) {
        return false;
    }
    out->tenant = store_get_u32(rest.data);
    memcpy(out->group.bytes, (const char *)rest.data + 4, sizeof(out->group.bytes));
    out->then = *at;
    out->since = (apr_time_t)store_get_u64(at + 1);
    out->members = 0;
    return true;
}

static scim_kv_rc read_pending(apr_array_header_t *out, scim_kv_txn *txn)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value, rest;
    scim_key from;
    scim_kv_rc rc;

    pending_prefix(&from);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &rest);
         rc = scim_kv_next(cursor, &key, &value)) {
        if (!decode_pending(apr_array_push(out), key, rest, value)) {
            return SCIM_KV_CORRUPT;
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* The members of a group */

typedef scim_kv_rc (*edge_fn)(const scim_id *member, apr_uint16_t type, void *baton);

/* Ends with what fn returns where that is not OK. */
static scim_kv_rc each_edge(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *group,
                            edge_fn fn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value, rest;
    scim_key from;
    scim_kv_rc rc;

    member_prefix(&from, SCIM_TABLE_MEMBER, tenant, group);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &rest);
         rc = scim_kv_next(cursor, &key, &value)) {
        scim_kv_rc taken;
        scim_id member;

        if (rest.len != sizeof(member.bytes) || value.len < STORE_SEAL + 2 ||
            !store_sealed(key, value)) {
            return SCIM_KV_CORRUPT;
        }
        memcpy(member.bytes, rest.data, sizeof(member.bytes));
        taken =
            fn(&member, store_get_u16((const unsigned char *)value.data + STORE_SEAL), baton);
        if (taken != SCIM_KV_OK) {
            return taken;
        }
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* The groups of members, added up until they are enough. */
typedef struct group_count {
    scim_kv_txn *txn;
    const scim_tenant *tenant;
    int groups;
} group_count;

static scim_kv_rc count_groups(group_count *c, const scim_id *member)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(c->txn);
    scim_slice key;
    scim_key from;
    scim_kv_rc rc;

    member_prefix(&from, SCIM_TABLE_MEMBER_OF, c->tenant, member);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && c->groups < STEP_GROUPS && scim_key_has_prefix(key, &from, NULL);
         rc = scim_kv_next(cursor, &key, NULL)) {
        c->groups++;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc count_groups_of(const scim_id *member, apr_uint16_t type, void *baton)
{
    group_count *c = baton;
    scim_kv_rc rc = count_groups(c, member);

    return rc == SCIM_KV_OK && c->groups >= STEP_GROUPS ? SCIM_KV_REFUSED : rc;
}

scim_kv_rc sweep_is_small(bool *out, scim_kv_txn *txn, const scim_tenant *tenant,
                          const scim_id *group)
{
    group_count c = {txn, tenant, 0};
    scim_kv_rc rc = each_edge(txn, tenant, group, count_groups_of, &c);

    *out = c.groups < STEP_GROUPS;
    return rc == SCIM_KV_REFUSED ? SCIM_KV_OK : rc;
}

typedef struct gathering {
    apr_array_header_t *members; /* of sweep_member */
    const scim_store *store;
    int limit;
    bool weighed; /* by their groups */
    group_count count;
} gathering;

static scim_kv_rc gather(const scim_id *member, apr_uint16_t type, void *baton)
{
    gathering *g = baton;
    sweep_member *one;

    if (g->members->nelts == g->limit || g->count.groups >= STEP_GROUPS) {
        return SCIM_KV_REFUSED;
    }
    one = apr_array_push(g->members);
    one->id = *member;
    one->type = store_type_number(g->store, type);
    return g->weighed ? count_groups(&g->count, member) : SCIM_KV_OK;
}

scim_kv_rc sweep_members(apr_array_header_t **out, scim_view *view, const scim_tenant *tenant,
                         const scim_id *group, scim_on_group_delete then, int limit)
{
    gathering g = {.members = apr_array_make(view->pool, 16, sizeof(sweep_member)),
                   .store = view->store,
                   .limit = limit,
                   .weighed = then != SCIM_ON_DELETE_KEEP,
                   .count = {view->txn, tenant, 0}};
    scim_kv_rc rc = each_edge(view->txn, tenant, group, gather, &g);

    *out = g.members;
    return rc == SCIM_KV_REFUSED ? SCIM_KV_OK : rc;
}

/* What the policy does to them */

typedef struct treatment {
    apr_array_header_t *consequences; /* or NULL */
    const scim_tenant *tenant;
    const scim_id *group;
    scim_on_group_delete then;
    apr_time_t now;
} treatment;

static void note(const treatment *t, const sweep_member *member, apr_uint64_t version)
{
    scim_consequence *consequence;

    if (!t->consequences) {
        return;
    }
    consequence = apr_array_push(t->consequences);
    consequence->id = member->id;
    consequence->type = member->type->type;
    consequence->deleted = t->then == SCIM_ON_DELETE_DELETE;
    consequence->version = version;
    consequence->group = *t->group;
    consequence->tenant = apr_pstrdup(t->consequences->pool, t->tenant->name);
}

static const scim_error *treat(const treatment *t, scim_view *view, const sweep_member *member)
{
    apr_uint64_t version = 0;
    bool holds = false, done = false;

    SCIM_ERR(scim_store_error(view->pool,
                              subject_holds_role(&holds, view, t->tenant, &member->id),
                              "reading groups"));
    if (holds) {
        return NULL;
    }
    if (t->then == SCIM_ON_DELETE_DELETE) {
        SCIM_ERR(resource_remove(&done, view, t->tenant, member->type, &member->id, t->now));
    } else {
        SCIM_ERR(
            resource_deactivate(&version, view, t->tenant, member->type, &member->id, t->now));
        done = version != 0;
    }
    if (done) {
        note(t, member, version);
    }
    return NULL;
}

const scim_error *sweep_treat(apr_array_header_t *consequences, scim_view *view,
                              const scim_tenant *tenant, const scim_id *group,
                              scim_on_group_delete then, const apr_array_header_t *members,
                              apr_time_t now)
{
    treatment t = {consequences, tenant, group, then, now};
    scim_view own = *view;
    int i;

    if (then == SCIM_ON_DELETE_KEEP) {
        return NULL;
    }
    for (i = 0; i < members->nelts; i++) {
        const sweep_member *member = &APR_ARRAY_IDX(members, i, sweep_member);

        /* Users are what may be in groups; what is nested only loses a group. */
        if (!member->type || !member->type->type->groups) {
            continue;
        }
        apr_pool_create(&own.pool, view->pool);
        SCIM_ERR(treat(&t, &own, member));
        apr_pool_destroy(own.pool);
    }
    return NULL;
}

/* A step */

typedef struct sweeping {
    scim_store *store;
    apr_array_header_t *consequences;
    apr_time_t now;
    apr_time_t locked; /* when the step got the lock of all writers */
    bool more;
    const scim_error *error;
    apr_pool_t *pool; /* of the result */
    apr_pool_t *scratch;
} sweeping;

/* The one that has waited longest. */
static const scim_pending *oldest(const apr_array_header_t *rows)
{
    const scim_pending *found = NULL;
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const scim_pending *row = &APR_ARRAY_IDX(rows, i, scim_pending);

        found = !found || row->since < found->since ? row : found;
    }
    return found;
}

/* Of a tenant that is no more, or soon, only edges are left, and nobody to treat. */
static const scim_error *find_tenant(scim_tenant *out, bool *found, scim_view *view,
                                     apr_uint32_t number)
{
    apr_array_header_t *tenants;
    int i;

    *out = (scim_tenant){.number = number};
    *found = false;
    SCIM_ERR(scim_tenant_list(&tenants, view));
    for (i = 0; i < tenants->nelts && !*found; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(tenants, i, scim_tenant);

        if (tenant->number == number) {
            *out = *tenant;
            *found = true;
        }
    }
    return NULL;
}

static scim_kv_rc delete_edges(scim_kv_txn *txn, const scim_tenant *tenant,
                               const scim_id *group, const apr_array_header_t *members)
{
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    for (i = 0; i < members->nelts && rc == SCIM_KV_OK; i++) {
        bool had;

        rc = member_delete(&had, txn, tenant, group,
                           &APR_ARRAY_IDX(members, i, sweep_member).id);
    }
    return rc;
}

/* Takes the row away behind the last member. */
static scim_kv_rc settle(bool *done, scim_view *view, const scim_tenant *tenant,
                         const scim_id *group)
{
    apr_array_header_t *left;
    scim_key key;
    scim_kv_rc rc = sweep_members(&left, view, tenant, group, SCIM_ON_DELETE_KEEP, 1);

    *done = rc == SCIM_KV_OK && !left->nelts;
    if (!*done) {
        return rc;
    }
    pending_key(&key, tenant->number, group);
    return scim_kv_del(view->txn, scim_key_slice(&key));
}

/* Takes the next members of one group.  *done: they were its last. */
static const scim_error *take_step(bool *done, sweeping *s, scim_view *view,
                                   const scim_pending *row)
{
    apr_array_header_t *members;
    scim_tenant tenant;
    bool found;
    scim_kv_rc rc;

    SCIM_ERR(find_tenant(&tenant, &found, view, row->tenant));
    rc = sweep_members(&members, view, &tenant, &row->group, row->then, SCIM_SWEEP_STEP);
    if (rc == SCIM_KV_OK) {
        rc = delete_edges(view->txn, &tenant, &row->group, members);
    }
    SCIM_ERR(scim_store_error(view->pool, rc, "the members of a deleted group"));
    if (found) {
        SCIM_ERR(sweep_treat(s->consequences, view, &tenant, &row->group, row->then, members,
                             s->now));
    }
    return scim_store_error(view->pool, settle(done, view, &tenant, &row->group),
                            "the members of a deleted group");
}

static scim_kv_rc sweep(scim_kv_txn *txn, void *baton)
{
    sweeping *s = baton;
    scim_view view = {.store = s->store, .txn = txn, .pool = s->scratch};
    apr_array_header_t *rows = apr_array_make(s->scratch, 4, sizeof(scim_pending));
    scim_kv_rc rc = store_check_format(txn);
    bool done = false;

    s->locked = apr_time_now();
    if (rc == SCIM_KV_OK) {
        rc = read_pending(rows, txn);
    }
    s->more = rows->nelts > 0;
    if (rc != SCIM_KV_OK || !s->more) {
        return rc;
    }
    s->error = take_step(&done, s, &view, oldest(rows));
    s->more = rows->nelts > done;
    return s->error ? SCIM_KV_REFUSED : SCIM_KV_OK;
}

/* Where looking is a journey, each process does so once in a while, and when it has left
 * something itself. */
static bool just_looked(scim_store *store)
{
    long long now = apr_time_now(), last = atomic_load(&store->looked);

    if (!atomic_exchange(&store->left, false) && last <= now && now - last < LOOK_INTERVAL) {
        return true;
    }
    atomic_store(&store->looked, now);
    return false;
}

static scim_kv_rc anything_pending(scim_kv_txn *txn, void *baton)
{
    sweeping *s = baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_key from;
    scim_kv_rc rc;

    pending_prefix(&from);
    scim_kv_within(cursor, scim_key_slice(&from));
    rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
    s->more = rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, NULL);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc look_at_times(scim_kv_txn *txn, void *baton)
{
    sweeping *s = baton;

    return scim_kv_far(txn) && just_looked(s->store) ? SCIM_KV_OK : anything_pending(txn, s);
}

static const scim_error *outcome(const sweeping *s, scim_kv_rc rc)
{
    if (rc == SCIM_KV_REFUSED && s->error) {
        return s->error;
    }
    return scim_store_error(s->pool, rc, "the members of a deleted group");
}

bool scim_sweep_take(scim_store *store)
{
    sweeping s = {.store = store};

    return scim_kv_view(store->kv, look_at_times, &s) == SCIM_KV_OK && s.more &&
           !atomic_exchange(&store->sweeping, true);
}

void scim_sweep_leave(scim_store *store)
{
    atomic_store(&store->left, true);
    atomic_store(&store->sweeping, false);
}

void sweep_pause(apr_time_t locked)
{
    apr_time_t held = apr_time_now() - locked;

    if (held > 0) {
        /* No step takes longer: the clock was put forward. */
        apr_sleep(held < PAUSE_MAX ? held : PAUSE_MAX);
    }
}

const scim_error *scim_sweep(bool *more, apr_array_header_t *consequences, scim_store *store,
                             apr_time_t now, apr_pool_t *result_pool)
{
    sweeping s = {
        .store = store, .consequences = consequences, .now = now, .pool = result_pool};
    int before = consequences ? consequences->nelts : 0;
    const scim_error *err;
    scim_kv_rc rc;

    rc = scim_kv_view(store->kv, anything_pending, &s);
    if (rc == SCIM_KV_OK && s.more) {
        apr_pool_create(&s.scratch, result_pool);
        rc = scim_kv_update_exclusive(store->kv, sweep, &s);
    }
    *more = s.more;
    if (s.more) {
        atomic_store(&store->left, true);
    }
    err = outcome(&s, rc);
    if (err) {
        /* It lives in scratch. What it stopped was undone. */
        if (consequences) {
            consequences->nelts = before;
        }
        return err;
    }
    if (s.scratch) {
        apr_pool_destroy(s.scratch);
    }
    if (s.more) {
        sweep_pause(s.locked);
    }
    return NULL;
}

static scim_kv_rc count_edge(const scim_id *member, apr_uint16_t type, void *baton)
{
    ++*(apr_uint64_t *)baton;
    return SCIM_KV_OK;
}

const scim_error *scim_sweep_list(apr_array_header_t **out, scim_view *view)
{
    scim_kv_rc rc;
    int i;

    *out = apr_array_make(view->pool, 4, sizeof(scim_pending));
    rc = read_pending(*out, view->txn);
    for (i = 0; i < (*out)->nelts && rc == SCIM_KV_OK; i++) {
        scim_pending *row = &APR_ARRAY_IDX(*out, i, scim_pending);
        scim_tenant tenant = {.number = row->tenant};

        rc = each_edge(view->txn, &tenant, &row->group, count_edge, &row->members);
    }
    return scim_store_error(view->pool, rc, "what is pending");
}

const scim_error *scim_sweep_has(bool *out, scim_view *view, const scim_tenant *tenant,
                                 const scim_id *group)
{
    scim_slice value;
    scim_key key;
    scim_kv_rc rc;

    pending_key(&key, tenant->number, group);
    rc = scim_kv_get(view->txn, scim_key_slice(&key), &value);
    *out = rc == SCIM_KV_OK;
    return rc == SCIM_KV_NOTFOUND ? NULL : scim_store_error(view->pool, rc, "what is pending");
}
