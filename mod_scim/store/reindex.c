/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making indexes, the other side of memberships, and counts anew.
 *
 * First each record's rows are put where they are missing; then each row that no record
 * has is taken away.  In that order, since what a damaged row says cannot be believed, and
 * a row that a record has is never away for a moment.
 */
#include "scim/reindex.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"

#include "internal.h"

#define ROWS_A_STEP 200
#define ID_LEN 16
#define BODY_AT (1 + 4) /* behind table and tenant */

/* Times that a count is compared without the lock. */
#define OPTIMISTIC_TRIES 3

typedef struct reindexing reindexing;
/* Judges a row, and mends it where it may. */
typedef scim_kv_rc (*mend_fn)(reindexing *r, scim_slice key, scim_slice value);

/* What is known of the number of an index. */
enum { NEVER_GIVEN = 0, OF_REGISTRY, OF_OTHERS };

struct reindexing {
    scim_store *store;
    const scim_reindex_watcher *watcher;
    scim_reindexed *out;
    scim_tenant tenant;
    bool gone;                 /* it is deleted meanwhile */
    unsigned char *indexes;    /* of these, by number */
    apr_array_header_t *types; /* of apr_uint16_t: all numbers that there are */
    bool fresh;                /* both were read in this transaction */
    /* a walk */
    mend_fn mend;
    scim_key prefix;
    scim_key last; /* where it stands; empty before the first row */
    bool done;
    /* a step of it */
    scim_key reached;
    bool mending;                 /* it may write */
    apr_time_t locked;            /* since when */
    scim_reindexed step;          /* what it comes to */
    apr_array_header_t *findings; /* of scim_finding */
    scim_view view;               /* its pool is cleared behind each row */
    apr_pool_t *step_pool;
    apr_pool_t *pool;
};

/* Writing, or only counting what is to be written */

static scim_kv_rc put_row(reindexing *r, const scim_key *key, scim_slice value)
{
    r->step.added++;
    return r->mending ? scim_kv_put(r->view.txn, scim_key_slice(key), value, false)
                      : SCIM_KV_OK;
}

static scim_kv_rc drop_row(reindexing *r, scim_slice key)
{
    r->step.removed++;
    return r->mending ? scim_kv_del(r->view.txn, key) : SCIM_KV_OK;
}

static scim_kv_rc put_counter(reindexing *r, scim_slice key, apr_int64_t number)
{
    unsigned char value[8];

    r->step.counters++;
    store_put_u64(value, (apr_uint64_t)number);
    return r->mending ? scim_kv_put(r->view.txn, key, (scim_slice){value, sizeof(value)}, false)
                      : SCIM_KV_OK;
}

/* Told when the step is over: it may be taken twice. */
static void note(reindexing *r, const char *table, const char *what, const char *type,
                 const void *id, const char *attribute)
{
    scim_finding *finding = apr_array_push(r->findings);
    scim_id copy;

    memcpy(copy.bytes, id, sizeof(copy.bytes));
    *finding =
        (scim_finding){.table = table,
                       .what = what,
                       .tenant = r->tenant.name,
                       .type = type,
                       .id = scim_id_format(&copy, apr_palloc(r->step_pool, SCIM_ID_TEXT + 1)),
                       .attribute = attribute};
}

/* What the store knows of numbers */

static void learn_number(reindexing *r, scim_slice key, scim_slice value)
{
    apr_uint16_t number = value.len == STORE_SEAL + 2 && store_sealed(key, value)
                              ? store_get_u16((const unsigned char *)value.data + STORE_SEAL)
                              : 0;

    if (key.len > 6 && !memcmp(key.data, "stype/", 6)) {
        APR_ARRAY_PUSH(r->types, apr_uint16_t) = number;
    } else if (key.len > 7 && !memcmp(key.data, "sindex/", 7)) {
        r->indexes[number] = index_numbered(r->store, number) ? OF_REGISTRY : OF_OTHERS;
    }
}

/* In each transaction, before it is said that there is none of a number: a server that
 * starts gives new ones out. */
static scim_kv_rc learn(reindexing *r)
{
    scim_kv_cursor *cursor;
    scim_slice key, value;
    scim_key prefix;
    scim_kv_rc rc;

    if (r->fresh) {
        return SCIM_KV_OK;
    }
    r->fresh = true;
    apr_array_clear(r->types);
    scim_key_begin(&prefix, SCIM_TABLE_SYSTEM);
    cursor = scim_kv_cursor_open(r->view.txn);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&prefix), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        learn_number(r, key, value);
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Looking up */

static scim_kv_rc has_key(bool *out, const reindexing *r, const scim_key *key)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(r->view.txn, scim_key_slice(key), &value);

    *out = rc == SCIM_KV_OK;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static void owned_key(scim_key *key, const reindexing *r, scim_table table)
{
    scim_key_begin(key, table);
    scim_key_u32(key, r->tenant.number);
}

static void edge_key(scim_key *key, const reindexing *r, scim_table table, const void *first,
                     const void *second)
{
    owned_key(key, r, table);
    scim_key_bytes(key, first, ID_LEN);
    scim_key_bytes(key, second, ID_LEN);
}

/* Whether there is a resource that may have members; of a type that is not known, any may. */
static scim_kv_rc is_group(bool *out, reindexing *r, const void *id)
{
    scim_kv_rc rc = learn(r);
    int i;

    *out = false;
    for (i = 0; i < r->types->nelts && !*out && rc == SCIM_KV_OK; i++) {
        apr_uint16_t number = APR_ARRAY_IDX(r->types, i, apr_uint16_t);
        const type_def *type = store_type_number(r->store, number);
        scim_key key;

        if (!type || type->type->members) {
            owned_key(&key, r, SCIM_TABLE_RESOURCE);
            scim_key_u16(&key, number);
            scim_key_bytes(&key, id, ID_LEN);
            rc = has_key(out, r, &key);
        }
    }
    return rc;
}

/* As verify has it: one that stands in for a type of the registry has other rows. */
static bool is_of_type(const json_t *json, const scim_resource_type *type)
{
    const json_t *schemas = json_object_get(json, "schemas"), *urn;
    size_t i;

    json_array_foreach (schemas, i, urn) {
        if (json_is_string(urn) && !strcmp(json_string_value(urn), type->schema->urn)) {
            return true;
        }
    }
    return false;
}

typedef enum record_state {
    RECORD_GONE,
    RECORD_UNREADABLE,
    RECORD_OTHERS,
    RECORD_READ
} record_state;

/* The rows of a resource that can be read: an array of index_row. */
static record_state rows_of(apr_array_header_t **out, reindexing *r, const type_def *type,
                            scim_slice key, scim_slice value)
{
    record_head head;
    json_t *json;

    if (!record_decode(&head, key, value)) {
        return RECORD_UNREADABLE;
    }
    json = scim_json_read_own(head.json, head.json_len, r->view.pool);
    if (!json) {
        return RECORD_UNREADABLE;
    }
    if (!is_of_type(json, type->type)) {
        return RECORD_OTHERS;
    }
    *out = index_rows(r->store, &r->tenant, type->type, json, r->view.pool);
    return RECORD_READ;
}

static bool has_row(const apr_array_header_t *rows, const index_def *def, scim_slice key)
{
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const index_row *row = &APR_ARRAY_IDX(rows, i, index_row);

        if (row->def == def && row->key.len == key.len &&
            !memcmp(row->key.data, key.data, key.len)) {
            return true;
        }
    }
    return false;
}

/* Whether a resource has a row.  Where that cannot be known, *state says why. */
static scim_kv_rc judge(bool *has, record_state *state, reindexing *r, const index_def *def,
                        scim_slice row, const void *id)
{
    const type_def *type = store_type(r->store, def->type);
    apr_array_header_t *rows;
    scim_slice value;
    scim_key key;
    scim_kv_rc rc;

    owned_key(&key, r, SCIM_TABLE_RESOURCE);
    scim_key_u16(&key, type->number);
    scim_key_bytes(&key, id, ID_LEN);
    rc = scim_kv_get(r->view.txn, scim_key_slice(&key), &value);
    *has = false;
    *state = RECORD_GONE;
    if (rc == SCIM_KV_OK) {
        *state = rows_of(&rows, r, type, scim_key_slice(&key), value);
        *has = *state == RECORD_READ && has_row(rows, def, row);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Records: the rows that they have */

static scim_kv_rc put_unique(reindexing *r, const scim_key *key, const void *id)
{
    unsigned char value[STORE_SEAL + ID_LEN];

    memcpy(value + STORE_SEAL, id, ID_LEN);
    store_seal(scim_key_slice(key), value, sizeof(value));
    return put_row(r, key, (scim_slice){value, sizeof(value)});
}

static scim_kv_rc mend_unique(reindexing *r, const index_row *row, const scim_key *key,
                              const void *id, scim_slice value)
{
    const void *other = (const char *)value.data + STORE_SEAL;
    record_state state;
    scim_kv_rc rc;
    bool has;

    if (value.len != STORE_SEAL + ID_LEN || !store_sealed(scim_key_slice(key), value)) {
        return put_unique(r, key, id);
    }
    if (!memcmp(other, id, ID_LEN)) {
        return SCIM_KV_OK;
    }
    rc = judge(&has, &state, r, row->def, row->key, other);
    if (rc != SCIM_KV_OK || (!has && state != RECORD_UNREADABLE)) {
        return rc == SCIM_KV_OK ? put_unique(r, key, id) : rc;
    }
    note(r, "index",
         "another resource has this value, which must be unique: change one of them",
         row->def->type->name, id, row->def->name);
    return SCIM_KV_OK;
}

static scim_kv_rc mend_expected(reindexing *r, const index_row *row, const void *id)
{
    bool unique = row->def->kind == INDEX_UNIQUE;
    scim_key key = {0};
    scim_slice value;
    scim_kv_rc rc;

    scim_key_bytes(&key, row->key.data, row->key.len);
    if (!unique) {
        scim_key_bytes(&key, id, ID_LEN);
    }
    rc = scim_kv_get(r->view.txn, scim_key_slice(&key), &value);
    if (rc == SCIM_KV_OK && unique) {
        return mend_unique(r, row, &key, id, value);
    }
    if (rc == SCIM_KV_NOTFOUND && unique) {
        return put_unique(r, &key, id);
    }
    if (rc == SCIM_KV_NOTFOUND || (rc == SCIM_KV_OK && value.len)) {
        return put_row(r, &key, (scim_slice){"", 0});
    }
    return rc;
}

static scim_kv_rc mend_record(reindexing *r, scim_slice key, scim_slice value)
{
    const unsigned char *at = key.data, *id = at + BODY_AT + 2;
    apr_array_header_t *rows = NULL;
    const type_def *type;
    scim_kv_rc rc = SCIM_KV_OK;
    record_state state;
    int i;

    type = key.len == BODY_AT + 2 + ID_LEN
               ? store_type_number(r->store, store_get_u16(at + BODY_AT))
               : NULL;
    state = type ? rows_of(&rows, r, type, key, value) : RECORD_OTHERS;
    if (state == RECORD_UNREADABLE) {
        note(r, "resource", "it cannot be read, and its rows cannot be made: it is damaged",
             type->type->name, id, NULL);
    }
    r->step.unchecked += state == RECORD_OTHERS;
    for (i = 0; rows && i < rows->nelts && rc == SCIM_KV_OK; i++) {
        rc = mend_expected(r, &APR_ARRAY_IDX(rows, i, index_row), id);
    }
    return rc;
}

/* Rows of indexes and references: that a resource has them */

static scim_kv_rc mend_known(reindexing *r, scim_slice key, apr_uint16_t index, const void *id,
                             apr_size_t end, index_kind kind)
{
    const index_def *def = index_numbered(r->store, index);
    scim_slice row = {key.data, key.len - end};
    record_state state;
    scim_kv_rc rc;
    bool has;

    if (def->kind != kind) {
        return drop_row(r, key);
    }
    rc = judge(&has, &state, r, def, row, id);
    if (rc != SCIM_KV_OK || has || state == RECORD_UNREADABLE) {
        return rc;
    }
    if (state == RECORD_OTHERS) {
        r->step.unchecked++;
        return SCIM_KV_OK;
    }
    return drop_row(r, key);
}

/* Which kind of index a row is of shows in its value; all that records have are right
 * by now. */
static scim_kv_rc mend_leading(reindexing *r, scim_slice key, scim_slice value)
{
    const unsigned char *at = key.data, *id;
    bool refers = at[0] == SCIM_TABLE_REFERS, unique = !refers && value.len;
    apr_size_t end = unique ? 0 : ID_LEN;
    apr_uint16_t index;
    scim_kv_rc rc;

    if (key.len < BODY_AT + (refers ? (apr_size_t)ID_LEN : 1) + 2 + end) {
        return drop_row(r, key);
    }
    index = store_get_u16(at + key.len - end - 2);
    rc = r->indexes[index] == NEVER_GIVEN ? learn(r) : SCIM_KV_OK;
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (r->indexes[index] == OF_OTHERS) {
        r->step.unchecked++;
        return SCIM_KV_OK;
    }
    if (r->indexes[index] == NEVER_GIVEN ||
        (unique && (value.len != STORE_SEAL + ID_LEN || !store_sealed(key, value)))) {
        return drop_row(r, key);
    }
    id = unique ? (const unsigned char *)value.data + STORE_SEAL : at + key.len - ID_LEN;
    return mend_known(r, key, index, id, end,
                      refers   ? INDEX_REFERENCE
                      : unique ? INDEX_UNIQUE
                               : INDEX_ORDERED);
}

/* Memberships: the members of a group are what is believed */

static scim_kv_rc mend_member(reindexing *r, scim_slice key, scim_slice value)
{
    const unsigned char *group = (const unsigned char *)key.data + BODY_AT;
    scim_key other;
    scim_kv_rc rc;
    bool there;

    if (key.len != BODY_AT + 2 * ID_LEN) {
        return SCIM_KV_OK;
    }
    edge_key(&other, r, SCIM_TABLE_MEMBER_OF, group + ID_LEN, group);
    rc = has_key(&there, r, &other);
    return rc == SCIM_KV_OK && !there ? put_row(r, &other, (scim_slice){"", 0}) : rc;
}

static scim_kv_rc mend_member_of(reindexing *r, scim_slice key, scim_slice value)
{
    const unsigned char *member = (const unsigned char *)key.data + BODY_AT;
    scim_key other, own = {0};
    bool there = false;
    scim_kv_rc rc = SCIM_KV_OK;

    if (key.len == BODY_AT + 2 * ID_LEN) {
        edge_key(&other, r, SCIM_TABLE_MEMBER, member + ID_LEN, member);
        rc = has_key(&there, r, &other);
    }
    if (rc != SCIM_KV_OK || !there) {
        return rc == SCIM_KV_OK ? drop_row(r, key) : rc;
    }
    scim_key_bytes(&own, key.data, key.len);
    return value.len ? put_row(r, &own, (scim_slice){"", 0}) : SCIM_KV_OK;
}

/* Whether it is a key of the table, of whatever else than a group. */
static bool is_other_counter(const unsigned char *key, apr_size_t len)
{
    return (len == BODY_AT + 1 + 2 && key[BODY_AT] == COUNTER_RESOURCES) ||
           (len == BODY_AT + 1 && key[BODY_AT] == 'D');
}

/* Counters of groups that are not there.  How often a membership changed, and when, is
 * known from nowhere else: where it cannot be read, it becomes more than it can have been. */
static scim_kv_rc mend_counter(reindexing *r, scim_slice key, scim_slice value)
{
    const unsigned char *at = key.data;
    unsigned char which = key.len == BODY_AT + 1 + ID_LEN ? at[BODY_AT] : 0;
    apr_time_t now = apr_time_now();
    scim_kv_rc rc;
    bool there;

    if (which != COUNTER_MEMBERS && which != COUNTER_REVISION && which != COUNTER_MODIFIED) {
        return is_other_counter(at, key.len) ? SCIM_KV_OK : drop_row(r, key);
    }
    rc = is_group(&there, r, at + BODY_AT + 1);
    if (rc != SCIM_KV_OK || !there) {
        return rc == SCIM_KV_OK ? drop_row(r, key) : rc;
    }
    if (value.len == 8 || which == COUNTER_MEMBERS) {
        return SCIM_KV_OK;
    }
    return put_counter(r, key, which == COUNTER_REVISION ? apr_time_sec(now) : now);
}

/* The walk */

/* To the first row behind the last one. */
static scim_kv_rc go_on(const reindexing *r, scim_kv_cursor *cursor, scim_slice *key,
                        scim_slice *value)
{
    scim_kv_rc rc =
        scim_kv_seek(cursor, scim_key_slice(r->last.len ? &r->last : &r->prefix), key, value);

    if (rc == SCIM_KV_OK && r->last.len && key->len == r->last.len &&
        !memcmp(key->data, r->last.bytes, key->len)) {
        rc = scim_kv_next(cursor, key, value);
    }
    return rc;
}

/* What is read ends with the first write: a row's key and value are copies then. */
static scim_kv_rc mend_row(reindexing *r, scim_slice key, scim_slice value)
{
    scim_kv_rc rc;

    r->step.rows++;
    r->reached.len = 0;
    scim_key_bytes(&r->reached, key.data, key.len);
    if (r->mending) {
        value.data = apr_pmemdup(r->view.pool, value.data, value.len);
    }
    rc = r->mend(r, scim_key_slice(&r->reached), value);
    apr_pool_clear(r->view.pool);
    return rc;
}

static scim_kv_rc walk_some(reindexing *r)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(r->view.txn);
    scim_slice key, value;
    scim_kv_rc rc = go_on(r, cursor, &key, &value);
    int i;

    for (i = 0;
         i < ROWS_A_STEP && rc == SCIM_KV_OK && scim_key_has_prefix(key, &r->prefix, NULL);
         i++) {
        rc = mend_row(r, key, value);
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        rc = scim_kv_next(cursor, &key, &value);
    }
    r->done = i < ROWS_A_STEP;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* What every transaction begins with; it may have been tried before.  REFUSED where the
 * tenant is no more. */
static scim_kv_rc begin(reindexing *r, scim_kv_txn *txn)
{
    scim_kv_rc rc = r->mending ? store_check_format(txn) : SCIM_KV_OK;

    r->view.txn = txn;
    r->locked = apr_time_now();
    r->fresh = false;
    memset(&r->step, 0, sizeof(r->step));
    apr_array_clear(r->findings);
    apr_pool_clear(r->step_pool);
    if (rc == SCIM_KV_OK) {
        rc = tenant_check(txn, &r->tenant);
    }
    r->gone = rc == SCIM_KV_NOTFOUND;
    return r->gone ? SCIM_KV_REFUSED : rc;
}

static scim_kv_rc take_step(scim_kv_txn *txn, void *baton)
{
    reindexing *r = baton;
    scim_kv_rc rc = begin(r, txn);

    return rc == SCIM_KV_OK ? walk_some(r) : rc;
}

static void tell_step(reindexing *r)
{
    int i;

    r->out->rows += r->step.rows;
    r->out->added += r->step.added;
    r->out->removed += r->step.removed;
    r->out->counters += r->step.counters;
    r->out->unchecked += r->step.unchecked;
    for (i = 0; i < r->findings->nelts; i++) {
        r->out->findings++;
        r->watcher->found(&APR_ARRAY_IDX(r->findings, i, scim_finding), r->watcher->baton);
    }
    if (r->watcher->progress) {
        r->watcher->progress(r->out, r->watcher->baton);
    }
}

/* In a transaction only where a look says that there is anything to write; others write
 * behind it. */
static scim_kv_rc run(reindexing *r, scim_kv_fn fn, void *baton)
{
    scim_kv_rc rc;

    r->mending = false;
    rc = scim_kv_view(r->store->kv, fn, baton);
    if (rc == SCIM_KV_OK && r->step.added + r->step.removed + r->step.counters) {
        r->mending = true;
        rc = scim_kv_update_exclusive(r->store->kv, fn, baton);
        sweep_pause(r->locked);
    }
    if (rc == SCIM_KV_OK) {
        tell_step(r);
    }
    return r->gone ? SCIM_KV_OK : rc;
}

static scim_kv_rc walk(reindexing *r, scim_table table, mend_fn mend)
{
    scim_kv_rc rc = SCIM_KV_OK;

    owned_key(&r->prefix, r, table);
    r->mend = mend;
    r->last.len = 0;
    r->done = false;
    while (rc == SCIM_KV_OK && !r->done && !r->gone) {
        r->reached = r->last;
        rc = run(r, take_step, r);
        r->last = r->reached;
    }
    return rc;
}

/* Counts that reach over many rows.  They are made in a view, and hold for as long as the
 * counter stays what it was there: whoever adds a row, or takes one, changes it. */

typedef struct tally {
    reindexing *r;
    const void *group; /* whose members are counted; NULL: resources */
    scim_key prefix;
    scim_key counter;
    bool there; /* the group is */
    bool whole; /* the counter is one, or is not there */
    bool present;
    apr_int64_t said, counted;
} tally;

static scim_kv_rc read_said(tally *t)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(t->r->view.txn, scim_key_slice(&t->counter), &value);

    t->present = rc == SCIM_KV_OK;
    t->whole = !t->present || value.len == 8;
    t->said = t->present && t->whole ? scim_kv_counter(value) : 0;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc count_rows(tally *t)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(t->r->view.txn);
    scim_slice key;
    scim_kv_rc rc;

    t->counted = 0;
    for (rc = scim_kv_seek(cursor, scim_key_slice(&t->prefix), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &t->prefix, NULL);
         rc = scim_kv_next(cursor, &key, NULL)) {
        t->counted++;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Begins a view, or a transaction, of a tally. */
static scim_kv_rc begin_tally(tally *t, scim_kv_txn *txn)
{
    scim_kv_rc rc = begin(t->r, txn);

    t->there = true;
    if (rc == SCIM_KV_OK && t->group) {
        rc = is_group(&t->there, t->r, t->group);
    }
    return rc;
}

static bool is_right(const tally *t)
{
    return !t->there || (t->whole && t->said == t->counted);
}

static scim_kv_rc look(scim_kv_txn *txn, void *baton)
{
    tally *t = baton;
    scim_kv_rc rc = begin_tally(t, txn);

    if (rc == SCIM_KV_OK) {
        rc = read_said(t);
    }
    return rc == SCIM_KV_OK ? count_rows(t) : rc;
}

/* STALE where somebody counted meanwhile. */
static scim_kv_rc correct(scim_kv_txn *txn, void *baton)
{
    tally *t = baton, now = *t;
    scim_kv_rc rc = begin_tally(&now, txn);

    if (rc == SCIM_KV_OK) {
        rc = read_said(&now);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (!now.there || now.present != t->present || now.whole != t->whole ||
        now.said != t->said) {
        return SCIM_KV_STALE;
    }
    return put_counter(t->r, scim_key_slice(&t->counter), t->counted);
}

static scim_kv_rc look_and_correct(scim_kv_txn *txn, void *baton)
{
    tally *t = baton;
    scim_kv_rc rc = look(txn, t);

    return rc == SCIM_KV_OK && !is_right(t)
               ? put_counter(t->r, scim_key_slice(&t->counter), t->counted)
               : rc;
}

static scim_kv_rc compare(tally *t)
{
    scim_kv *kv = t->r->store->kv;
    scim_kv_rc rc = SCIM_KV_STALE;
    int tries;

    for (tries = 0; tries < OPTIMISTIC_TRIES && rc == SCIM_KV_STALE; tries++) {
        t->r->mending = false;
        rc = scim_kv_view(kv, look, t);
        if (rc != SCIM_KV_OK || is_right(t)) {
            return t->r->gone ? SCIM_KV_OK : rc;
        }
        t->r->mending = true;
        rc = scim_kv_update_exclusive(kv, correct, t);
    }
    if (rc == SCIM_KV_STALE) {
        rc = scim_kv_update_exclusive(kv, look_and_correct, t);
    }
    if (rc == SCIM_KV_OK) {
        tell_step(t->r);
    }
    return t->r->gone ? SCIM_KV_OK : rc;
}

static scim_kv_rc compare_members(reindexing *r, const scim_id *group)
{
    tally t = {.r = r, .group = group->bytes};

    counter_key_group(&t.counter, &r->tenant, COUNTER_MEMBERS, group);
    member_prefix(&t.prefix, SCIM_TABLE_MEMBER, &r->tenant, group);
    return compare(&t);
}

static scim_kv_rc compare_resources(reindexing *r, const type_def *type)
{
    tally t = {.r = r};

    counter_key_type(&t.counter, &r->tenant, type);
    record_prefix(&t.prefix, &r->tenant, type);
    return compare(&t);
}

/* Groups, one after the other */

typedef struct group_walk {
    scim_key prefix;
    scim_key at;
    scim_id group;
    bool found;
} group_walk;

static scim_kv_rc next_group(scim_kv_txn *txn, void *baton)
{
    group_walk *w = baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, rest;
    scim_kv_rc rc = scim_kv_seek(cursor, scim_key_slice(&w->at), &key, NULL);

    w->found =
        rc == SCIM_KV_OK && scim_key_has_prefix(key, &w->prefix, &rest) && rest.len == ID_LEN;
    if (w->found) {
        memcpy(w->group.bytes, rest.data, ID_LEN);
        w->at = w->prefix;
        scim_key_id(&w->at, &w->group);
        scim_key_bytes(&w->at, "", 1);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc compare_groups(reindexing *r, const type_def *type)
{
    group_walk w = {.found = true};
    scim_kv_rc rc = SCIM_KV_OK;

    record_prefix(&w.prefix, &r->tenant, type);
    w.at = w.prefix;
    while (rc == SCIM_KV_OK && w.found && !r->gone) {
        rc = scim_kv_view(r->store->kv, next_group, &w);
        if (rc == SCIM_KV_OK && w.found) {
            rc = compare_members(r, &w.group);
        }
    }
    return rc;
}

/* Runs of resources */

typedef struct run_making {
    reindexing *r;
    const type_def *type;
    scim_id from;
    bool right;
    bool more;
} run_making;

static scim_kv_rc look_at_runs(scim_kv_txn *txn, void *baton)
{
    run_making *m = baton;
    scim_kv_rc rc = begin(m->r, txn);

    return rc == SCIM_KV_OK ? anchors_right(&m->right, txn, &m->r->tenant, m->type) : rc;
}

static scim_kv_rc make_run(scim_kv_txn *txn, void *baton)
{
    run_making *m = baton;
    scim_kv_rc rc = begin(m->r, txn);

    m->r->step.counters++;
    return rc == SCIM_KV_OK ? anchors_make(&m->more, &m->from, txn, &m->r->tenant, m->type)
                            : rc;
}

static scim_kv_rc mend_runs(reindexing *r, const type_def *type)
{
    run_making m = {.r = r, .type = type};
    scim_kv_rc rc;

    r->mending = false;
    rc = scim_kv_view(r->store->kv, look_at_runs, &m);
    m.more = rc == SCIM_KV_OK && !m.right;
    r->mending = true;
    while (m.more && rc == SCIM_KV_OK) {
        rc = scim_kv_update_exclusive(r->store->kv, make_run, &m);
        if (rc == SCIM_KV_OK) {
            tell_step(r);
            sweep_pause(r->locked);
        }
    }
    return r->gone ? SCIM_KV_OK : rc;
}

/* All of it */

static scim_kv_rc mend_type(reindexing *r, apr_uint16_t number)
{
    const type_def *known = store_type_number(r->store, number);
    type_def type = {known ? known->type : NULL, number};
    scim_kv_rc rc = compare_resources(r, &type);

    if (rc == SCIM_KV_OK && !r->gone) {
        rc = mend_runs(r, &type);
    }
    if (rc == SCIM_KV_OK && !r->gone && (!known || known->type->members)) {
        rc = compare_groups(r, &type);
    }
    return rc;
}

static scim_kv_rc mend_types(reindexing *r)
{
    apr_array_header_t *types = apr_array_copy(r->pool, r->types);
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    for (i = 0; i < types->nelts && rc == SCIM_KV_OK && !r->gone; i++) {
        rc = mend_type(r, APR_ARRAY_IDX(types, i, apr_uint16_t));
    }
    return rc;
}

static scim_kv_rc mend_tenant(reindexing *r)
{
    static const struct {
        scim_table table;
        mend_fn mend;
    } walks[] = {{SCIM_TABLE_RESOURCE, mend_record},     {SCIM_TABLE_INDEX, mend_leading},
                 {SCIM_TABLE_REFERS, mend_leading},      {SCIM_TABLE_MEMBER, mend_member},
                 {SCIM_TABLE_MEMBER_OF, mend_member_of}, {SCIM_TABLE_COUNTER, mend_counter}};
    scim_kv_rc rc = SCIM_KV_OK;
    apr_size_t i;

    r->gone = false;
    for (i = 0; i < sizeof(walks) / sizeof(walks[0]) && rc == SCIM_KV_OK && !r->gone; i++) {
        rc = walk(r, walks[i].table, walks[i].mend);
    }
    return rc == SCIM_KV_OK && !r->gone ? mend_types(r) : rc;
}

typedef struct choosing {
    reindexing *r;
    const char *only;
    apr_array_header_t *tenants; /* of scim_tenant */
} choosing;

static const scim_error *choose(scim_view *view, void *baton)
{
    choosing *c = baton;

    c->r->view.txn = view->txn;
    c->r->fresh = false;
    SCIM_ERR(scim_store_error(view->pool, learn(c->r), "reading types and indexes"));
    if (!c->only) {
        return scim_tenant_list(&c->tenants, view);
    }
    c->tenants = apr_array_make(view->pool, 1, sizeof(scim_tenant));
    return scim_tenant_find(apr_array_push(c->tenants), view, c->only);
}

const scim_error *scim_reindex(scim_reindexed *out, scim_store *store, const char *tenant,
                               const scim_reindex_watcher *watcher, apr_pool_t *result_pool)
{
    reindexing r = {.store = store,
                    .watcher = watcher,
                    .out = out,
                    .indexes = apr_pcalloc(result_pool, APR_UINT16_MAX + 1),
                    .types = apr_array_make(result_pool, 8, sizeof(apr_uint16_t)),
                    .findings = apr_array_make(result_pool, 4, sizeof(scim_finding)),
                    .view = {.store = store},
                    .pool = result_pool};
    choosing c = {&r, tenant, NULL};
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    memset(out, 0, sizeof(*out));
    apr_pool_create(&r.view.pool, result_pool);
    apr_pool_create(&r.step_pool, result_pool);
    SCIM_ERR(scim_store_view(store, choose, &c, result_pool));
    for (i = 0; i < c.tenants->nelts && rc == SCIM_KV_OK; i++) {
        r.tenant = APR_ARRAY_IDX(c.tenants, i, scim_tenant);
        rc = mend_tenant(&r);
    }
    return scim_store_error(result_pool, rc, "making indexes anew");
}
