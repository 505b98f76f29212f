/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Salvage: a new store from what is whole of a damaged one.
 *
 * What is sealed (records, memberships, tokens, tenants) is kept where its seal
 * holds, and nothing else is believed.  Indexes, the other side of memberships,
 * references and counts are made anew from that.  Two things have no seal and
 * cannot be made: how often the membership of a group changed, and when last; they
 * are kept as they are, and where they are missing the version of the group goes
 * beyond any that it can have had.
 */
#include "scim/backup.h"

#include <string.h>

#include <apr_general.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/json.h"
#include "scim/text.h"

#include "internal.h"

#define TENANT_AT 1
#define BODY_AT (TENANT_AT + 4)
#define ID_LEN 16
#define RECORD_LEN (BODY_AT + 2 + ID_LEN)
#define EDGE_LEN (BODY_AT + 2 * ID_LEN)

#define ROWS_A_STEP 1000
#define RUN 1024 /* resources that one row of table anchor counts */

static const char altered[] = "lost: it was altered, its seal does not hold";

/* Telling */

typedef struct telling {
    scim_salvage *out;
    const scim_verify_watcher *watcher;
} telling;

static void tell(const telling *t, const scim_finding *finding)
{
    t->out->lost++;
    t->watcher->found(finding, t->watcher->baton);
}

static void tell_damage(const char *what, void *baton)
{
    scim_finding finding = {.table = "file", .what = what};

    tell(baton, &finding);
}

static const char *id_text(const void *id, apr_pool_t *pool)
{
    scim_id copy;

    memcpy(copy.bytes, id, sizeof(copy.bytes));
    return scim_id_format(&copy, apr_palloc(pool, SCIM_ID_TEXT + 1));
}

static apr_uint32_t tenant_of(const void *key)
{
    return store_get_u32((const unsigned char *)key + TENANT_AT);
}

/* Of a row that belongs to a tenant; id may be NULL. */
static void tell_row(const telling *t, const unsigned char *key, const char *what,
                     const void *id, apr_pool_t *pool)
{
    scim_finding finding = {.table = store_table_name(key[0]),
                            .what = what,
                            .tenant = apr_psprintf(pool, "number %u", tenant_of(key)),
                            .id = id ? id_text(id, pool) : NULL};

    tell(t, &finding);
}

static void tell_named(const telling *t, const char *table, const char *name, const char *what)
{
    scim_finding finding = {.table = table, .what = what, .id = name};

    tell(t, &finding);
}

/* What names a row that was altered, as far as its key says that. */
static void tell_altered(const telling *t, scim_slice key, apr_pool_t *pool)
{
    const unsigned char *at = key.data;
    scim_finding finding = {.table = store_table_name(at[0]), .what = altered};

    if (at[0] == SCIM_TABLE_SYSTEM || at[0] == SCIM_TABLE_TENANT) {
        finding.id = apr_pstrmemdup(pool, (const char *)at + 1, key.len - 1);
    } else if (at[0] != SCIM_TABLE_TOKEN && key.len >= BODY_AT + ID_LEN) {
        finding.tenant = apr_psprintf(pool, "number %u", tenant_of(at));
        finding.id = id_text(at + key.len - ID_LEN, pool);
    }
    tell(t, &finding);
}

/* The first half: the tables that the others hang on */

typedef struct beginning {
    telling t;            /* the first member: tell_damage is handed this */
    apr_hash_t *known;    /* rows of the tables system and tenant: key -> scim_slice */
    apr_hash_t *owners;   /* numbers of tenants that own something -> "" or name */
    apr_hash_t *tenants;  /* numbers that a tenant has */
    apr_hash_t *types;    /* numbers of resource types that have resources -> URN */
    apr_uint32_t highest; /* of tenants */
    bool other_unicode;   /* the store's indexes were made with other tables than ours */
    const scim_registry *registry;
    apr_time_t now;
    apr_pool_t *row_pool;
    apr_pool_t *pool;
} beginning;

static void note_owner(beginning *b, apr_uint32_t number, const char *name)
{
    const char *known = apr_hash_get(b->owners, &number, sizeof(number));

    b->highest = number > b->highest ? number : b->highest;
    if (!known || (!*known && *name)) {
        apr_hash_set(b->owners, apr_pmemdup(b->pool, &number, sizeof(number)), sizeof(number),
                     apr_pstrdup(b->pool, name));
    }
}

/* Of the first resource of each type, since all have the same schema. */
static void note_type(beginning *b, scim_slice key, scim_slice value)
{
    apr_uint16_t number = store_get_u16((const unsigned char *)key.data + BODY_AT);
    const char *urn;
    record_head head;
    json_t *json;

    if (apr_hash_get(b->types, &number, sizeof(number)) || !record_decode(&head, key, value)) {
        return;
    }
    json = scim_json_read_own(head.json, head.json_len, b->row_pool);
    urn = json_string_value(json_array_get(json_object_get(json, "schemas"), 0));
    apr_hash_set(b->types, apr_pmemdup(b->pool, &number, sizeof(number)), sizeof(number),
                 apr_pstrdup(b->pool, urn ? urn : ""));
}

static void note_known(beginning *b, scim_slice key, scim_slice value)
{
    scim_slice *copy;
    apr_uint32_t number;

    if (apr_hash_get(b->known, key.data, (apr_ssize_t)key.len)) {
        return;
    }
    copy = apr_palloc(b->pool, sizeof(*copy));
    *copy = (scim_slice){apr_pmemdup(b->pool, value.data, value.len), value.len};
    apr_hash_set(b->known, apr_pmemdup(b->pool, key.data, key.len), (apr_ssize_t)key.len, copy);
    if (*(const char *)key.data == SCIM_TABLE_TENANT && value.len >= STORE_SEAL + 4) {
        number = store_get_u32((const unsigned char *)value.data + STORE_SEAL);
        b->highest = number > b->highest ? number : b->highest;
        apr_hash_set(b->tenants, apr_pmemdup(b->pool, &number, sizeof(number)), sizeof(number),
                     "");
    }
}

static void note_token(beginning *b, scim_slice value)
{
    scim_slice rest = {(const char *)value.data + STORE_SEAL, value.len - STORE_SEAL};
    scim_identity identity;
    apr_uint32_t number;
    const char *name;

    if (token_decode(&identity, &number, &name, rest, b->row_pool)) {
        note_owner(b, number, name);
    }
}

static scim_kv_rc begin_row(scim_slice key, scim_slice value, void *baton)
{
    beginning *b = baton;

    if (!store_row_whole(key, value)) {
        return SCIM_KV_OK;
    }
    switch (*(const char *)key.data) {
    case SCIM_TABLE_SYSTEM:
    case SCIM_TABLE_TENANT:
        note_known(b, key, value);
        break;
    case SCIM_TABLE_TOKEN:
        note_token(b, value);
        break;
    case SCIM_TABLE_RESOURCE:
        if (key.len == RECORD_LEN) {
            note_owner(b, tenant_of(key.data), "");
            note_type(b, key, value);
        }
        break;
    default:
        break;
    }
    apr_pool_clear(b->row_pool);
    return SCIM_KV_OK;
}

static bool is_known(const beginning *b, const scim_key *key)
{
    return apr_hash_get(b->known, key->bytes, (apr_ssize_t)key->len) != NULL;
}

/* All indexes are made anew, so that whose tables of Unicode the old ones were made
 * with is no matter, and stands in the way of opening what is made. */
static void forget_unicode(beginning *b)
{
    const char *ours = scim_text_unicode_version();
    const scim_slice *theirs;
    scim_key key;

    store_system_key(&key, "unicode");
    theirs = apr_hash_get(b->known, key.bytes, (apr_ssize_t)key.len);
    b->other_unicode =
        theirs && (theirs->len != STORE_SEAL + strlen(ours) ||
                   memcmp((const char *)theirs->data + STORE_SEAL, ours, strlen(ours)) != 0);
    if (b->other_unicode) {
        apr_hash_set(b->known, key.bytes, (apr_ssize_t)key.len, NULL);
    }
}

/* A row of the system table that is not there, made from what it should be. */
static scim_kv_rc put_missing(beginning *b, scim_kv_txn *txn, const char *name,
                              const void *data, apr_size_t len, const char *what)
{
    scim_key key;

    store_system_key(&key, name);
    if (is_known(b, &key)) {
        return SCIM_KV_OK;
    }
    tell_named(&b->t, "system", name, what);
    return store_put_new(txn, &key, data, len);
}

static scim_kv_rc put_identity(beginning *b, scim_kv_txn *txn)
{
    const char *unicode = scim_text_unicode_version();
    unsigned char format[4], random[16 + 32];
    scim_kv_rc rc;

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return SCIM_KV_IO;
    }
    store_put_u32(format, SCIM_STORE_FORMAT);
    rc =
        put_missing(b, txn, "format", format, sizeof(format), "lost: taken for this version's");
    if (rc == SCIM_KV_OK) {
        rc = put_missing(b, txn, "unicode", unicode, strlen(unicode),
                         b->other_unicode
                             ? "another: the indexes are made anew with this system's tables"
                             : "lost: taken for this system's");
    }
    if (rc == SCIM_KV_OK) {
        rc = put_missing(b, txn, "instance", random, 16, "lost: made anew");
    }
    if (rc == SCIM_KV_OK) {
        rc = put_missing(b, txn, "cursor", random + 16, 32,
                         "lost: made anew; cursors that clients have are refused");
    }
    return rc;
}

/* The number of a type that is lost stands in the keys of its resources. */
static scim_kv_rc put_types(beginning *b, scim_kv_txn *txn)
{
    scim_kv_rc rc = SCIM_KV_OK;
    apr_hash_index_t *i;
    int t;

    for (t = 0; t < b->registry->types_count; t++) {
        const scim_resource_type *type = &b->registry->types[t];

        for (i = apr_hash_first(b->pool, b->types); i && rc == SCIM_KV_OK;
             i = apr_hash_next(i)) {
            const apr_uint16_t *number = apr_hash_this_key(i);
            unsigned char bytes[2];

            store_put_u16(bytes, *number);
            if (!strcmp(apr_hash_this_val(i), type->schema->urn)) {
                rc = put_missing(b, txn, apr_pstrcat(b->pool, "type/", type->name, NULL), bytes,
                                 sizeof(bytes), "lost: known from the resources");
            }
        }
    }
    return rc;
}

/* What is known of one whose row is lost stands in its tokens.  Nobody writes to
 * it before the administrator has looked. */
static scim_kv_rc put_tenant(beginning *b, scim_kv_txn *txn, apr_uint32_t number,
                             const char *name)
{
    scim_tenant tenant = {.number = number,
                          .suspended = true,
                          .created = b->now,
                          .policy = scim_policy_default()};
    scim_key key;

    if (*name) {
        scim_key_begin(&key, SCIM_TABLE_TENANT);
        scim_key_bytes(&key, name, strlen(name));
    }
    tenant.name =
        *name && !is_known(b, &key) ? name : apr_psprintf(b->pool, "salvaged-%u", number);
    tell_named(&b->t, "tenant", tenant.name,
               "lost: made anew, suspended; httpd writes its policy at the next restart, then "
               "scimctl tenant resume");
    return tenant_put(txn, &tenant, b->pool);
}

static scim_kv_rc put_tenants(beginning *b, scim_kv_txn *txn)
{
    unsigned char highest[8];
    scim_kv_rc rc = SCIM_KV_OK;
    apr_hash_index_t *i;
    scim_slice value;
    scim_key key;

    for (i = apr_hash_first(b->pool, b->owners); i && rc == SCIM_KV_OK; i = apr_hash_next(i)) {
        const apr_uint32_t *number = apr_hash_this_key(i);

        if (!apr_hash_get(b->tenants, number, sizeof(*number))) {
            rc = put_tenant(b, txn, *number, apr_hash_this_val(i));
        }
    }
    store_system_key(&key, "tenants");
    if (rc == SCIM_KV_OK && (scim_kv_get(txn, scim_key_slice(&key), &value) != SCIM_KV_OK ||
                             scim_kv_counter(value) < (apr_int64_t)b->highest ||
                             scim_kv_counter(value) > APR_UINT32_MAX)) {
        store_put_u64(highest, b->highest);
        rc = scim_kv_put(txn, scim_key_slice(&key), (scim_slice){highest, sizeof(highest)},
                         false);
    }
    return rc;
}

/* Exclusive. */
static scim_kv_rc put_known(scim_kv_txn *txn, void *baton)
{
    beginning *b = baton;
    scim_kv_rc rc = SCIM_KV_OK;
    apr_hash_index_t *i;

    for (i = apr_hash_first(b->pool, b->known); i && rc == SCIM_KV_OK; i = apr_hash_next(i)) {
        const scim_slice *value = apr_hash_this_val(i);

        rc = scim_kv_put(
            txn, (scim_slice){apr_hash_this_key(i), (apr_size_t)apr_hash_this_key_len(i)},
            *value, true);
    }
    if (rc == SCIM_KV_OK) {
        rc = put_identity(b, txn);
    }
    if (rc == SCIM_KV_OK) {
        rc = put_types(b, txn);
    }
    return rc == SCIM_KV_OK ? put_tenants(b, txn) : rc;
}

static bool read_well(scim_kv_rc rc)
{
    return rc == SCIM_KV_OK || rc == SCIM_KV_CORRUPT;
}

const scim_error *scim_salvage_begin(scim_salvage *out, scim_kv *into, int fd,
                                     const scim_registry *registry,
                                     const scim_verify_watcher *watcher, apr_time_t now,
                                     apr_pool_t *result_pool)
{
    beginning b = {.t = {out, watcher},
                   .known = apr_hash_make(result_pool),
                   .owners = apr_hash_make(result_pool),
                   .tenants = apr_hash_make(result_pool),
                   .types = apr_hash_make(result_pool),
                   .registry = registry,
                   .now = now,
                   .pool = result_pool};
    scim_kv_examiner to = {.row = begin_row, .damage = tell_damage, .baton = &b};
    scim_kv_rc rc;

    memset(out, 0, sizeof(*out));
    apr_pool_create(&b.row_pool, result_pool);
    rc = scim_kv_salvage(fd, &to);
    apr_pool_destroy(b.row_pool);
    if (!read_well(rc) || !(apr_hash_count(b.known) + apr_hash_count(b.owners))) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "nothing of a store can be found in that file");
    }
    forget_unicode(&b);
    rc = scim_kv_update_exclusive(into, put_known, &b);
    out->rows = apr_hash_count(b.known);
    return store_load_error(result_pool, rc);
}

/* The second half: all other rows */

typedef struct ending {
    telling t;
    scim_store *store;
    store_loader *loader;
    scim_kv_rc failed; /* of the loader */
    bool *indexes;     /* by number: one that the registry does not know, and there is */
    apr_array_header_t *types; /* of apr_uint16_t: all numbers of types that there are */
    apr_time_t now;
    apr_pool_t *row_pool;
    apr_pool_t *pool;
} ending;

static scim_kv_rc learn_numbers(ending *e, scim_kv_txn *txn)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_key prefix;
    scim_kv_rc rc;

    scim_key_begin(&prefix, SCIM_TABLE_SYSTEM);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&prefix), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        apr_uint16_t number =
            value.len == STORE_SEAL + 2
                ? store_get_u16((const unsigned char *)value.data + STORE_SEAL)
                : 0;

        if (key.len > 6 && !memcmp(key.data, "stype/", 6)) {
            APR_ARRAY_PUSH(e->types, apr_uint16_t) = number;
        } else if (key.len > 7 && !memcmp(key.data, "sindex/", 7)) {
            e->indexes[number] = !index_numbered(e->store, number);
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc learn(scim_kv_txn *txn, void *baton)
{
    return learn_numbers(baton, txn);
}

/* Whether a row of table i or f is one that only httpd, which knows the
 * organisation's own schemas, could make anew. */
static bool is_strangers(const ending *e, scim_slice key, scim_slice value)
{
    const unsigned char *at = key.data;
    apr_size_t end = at[0] == SCIM_TABLE_INDEX && value.len ? 2 : 2 + ID_LEN;

    return key.len >= BODY_AT + end && e->indexes[store_get_u16(at + key.len - end)];
}

/* Whether a whole row is kept as it is: not what was put already, nor what will
 * be made anew. */
static bool is_kept(const ending *e, scim_slice key, scim_slice value)
{
    const unsigned char *at = key.data;

    switch (at[0]) {
    case SCIM_TABLE_TOKEN:
        return key.len == 1 + 32;
    case SCIM_TABLE_RESOURCE:
        return key.len == RECORD_LEN;
    case SCIM_TABLE_MEMBER:
        return key.len == EDGE_LEN && value.len >= STORE_SEAL + 2;
    case SCIM_TABLE_SECRET:
    case SCIM_TABLE_PENDING:
        return key.len == BODY_AT + ID_LEN;
    case SCIM_TABLE_COUNTER:
        return key.len == BODY_AT + 1 + ID_LEN
                   ? at[BODY_AT] == COUNTER_REVISION || at[BODY_AT] == COUNTER_MODIFIED
                   : key.len == BODY_AT + 1 && at[BODY_AT] == 'D';
    case SCIM_TABLE_INDEX:
    case SCIM_TABLE_REFERS:
        return is_strangers(e, key, value);
    default:
        return false;
    }
}

/* Whether nothing can bring back what such a row said. */
static bool is_original(scim_slice key)
{
    const unsigned char *at = key.data;

    return at[0] == SCIM_TABLE_SYSTEM || at[0] == SCIM_TABLE_TENANT ||
           at[0] == SCIM_TABLE_TOKEN || at[0] == SCIM_TABLE_RESOURCE ||
           at[0] == SCIM_TABLE_MEMBER || at[0] == SCIM_TABLE_SECRET ||
           at[0] == SCIM_TABLE_PENDING;
}

static scim_kv_rc end_row(scim_slice key, scim_slice value, void *baton)
{
    ending *e = baton;

    if (!store_row_whole(key, value)) {
        if (is_original(key)) {
            tell_altered(&e->t, key, e->row_pool);
            apr_pool_clear(e->row_pool);
        }
        return SCIM_KV_OK;
    }
    if (is_kept(e, key, value)) {
        e->failed = store_loader_add(e->loader, key, value);
    }
    return e->failed == SCIM_KV_OK ? SCIM_KV_OK : SCIM_KV_REFUSED;
}

/* Making anew: each table is walked in transactions of some rows.  What a step
 * is given is its own copy, since it writes. */

typedef struct mending mending;
typedef scim_kv_rc (*mend_fn)(mending *m, const unsigned char *key, scim_slice value);

struct mending {
    ending *e;
    mend_fn step;
    mend_fn end; /* when the walk is done; NULL: nothing */
    scim_key last;
    bool done;
    scim_kv_txn *txn;
    scim_view view;
    /* The run of rows of one type, or of one group, that the walk is in. */
    unsigned char run[BODY_AT + ID_LEN];
    apr_size_t run_len; /* 0: none so far */
    apr_int64_t met;
    apr_int64_t dropped;
    bool kept;                   /* of a group: it is there */
    unsigned char first[ID_LEN]; /* of a run of resources: this and the next */
    apr_int64_t in_anchor;
};

static scim_kv_rc put_counter(mending *m, const scim_key *key, apr_int64_t number)
{
    unsigned char bytes[8];

    store_put_u64(bytes, (apr_uint64_t)number);
    m->e->t.out->made++;
    return scim_kv_put(m->txn, scim_key_slice(key), (scim_slice){bytes, sizeof(bytes)}, false);
}

static scim_kv_rc has(bool *out, mending *m, const scim_key *key)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(m->txn, scim_key_slice(key), &value);

    *out = rc == SCIM_KV_OK;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc has_resource(bool *out, mending *m, apr_uint32_t tenant, apr_uint16_t type,
                               const void *id)
{
    scim_key key;

    scim_key_begin(&key, SCIM_TABLE_RESOURCE);
    scim_key_u32(&key, tenant);
    scim_key_u16(&key, type);
    scim_key_bytes(&key, id, ID_LEN);
    return has(out, m, &key);
}

/* Of any type. */
static scim_kv_rc is_there(bool *out, mending *m, apr_uint32_t tenant, const void *id)
{
    const apr_array_header_t *types = m->e->types;
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    *out = false;
    for (i = 0; i < types->nelts && !*out && rc == SCIM_KV_OK; i++) {
        rc = has_resource(out, m, tenant, APR_ARRAY_IDX(types, i, apr_uint16_t), id);
    }
    return rc;
}

static scim_kv_rc drop(mending *m, const unsigned char *key, apr_size_t len, const char *what,
                       const void *id)
{
    tell_row(&m->e->t, key, what, id, m->view.pool);
    return scim_kv_del(m->txn, (scim_slice){key, len});
}

/* Resources */

static scim_kv_rc put_anchor(mending *m)
{
    scim_key key;

    if (!m->in_anchor) {
        return SCIM_KV_OK;
    }
    key.len = 0;
    scim_key_bytes(&key, m->run, m->run_len);
    key.bytes[0] = SCIM_TABLE_ANCHOR;
    scim_key_bytes(&key, m->first, ID_LEN);
    return put_counter(m, &key, m->in_anchor);
}

/* The last of a tenant's resources of a type was met. */
static scim_kv_rc end_type(mending *m, const unsigned char *key, scim_slice value)
{
    scim_key counter;
    scim_kv_rc rc = put_anchor(m);

    if (rc == SCIM_KV_OK && m->run_len) {
        scim_key_begin(&counter, SCIM_TABLE_COUNTER);
        scim_key_bytes(&counter, m->run + TENANT_AT, 4);
        scim_key_bytes(&counter, "T", 1);
        scim_key_bytes(&counter, m->run + BODY_AT, 2);
        rc = put_counter(m, &counter, m->met);
    }
    m->met = m->in_anchor = 0;
    return rc;
}

static scim_kv_rc count_record(mending *m, const unsigned char *key)
{
    scim_kv_rc rc = SCIM_KV_OK;

    if (m->run_len != BODY_AT + 2 || memcmp(m->run, key, BODY_AT + 2)) {
        rc = end_type(m, key, (scim_slice){NULL, 0});
        m->run_len = BODY_AT + 2;
        memcpy(m->run, key, m->run_len);
    } else if (m->in_anchor == RUN) {
        rc = put_anchor(m);
        m->in_anchor = 0;
    }
    if (!m->in_anchor) {
        memcpy(m->first, key + BODY_AT + 2, ID_LEN);
    }
    m->in_anchor++;
    m->met++;
    return rc;
}

static scim_kv_rc put_index(mending *m, const index_row *index, const unsigned char *id)
{
    bool unique = index->def->kind == INDEX_UNIQUE;
    scim_key key = {0};

    scim_key_bytes(&key, index->key.data, index->key.len);
    m->e->t.out->made++;
    if (unique) {
        return store_put_new(m->txn, &key, id, ID_LEN);
    }
    scim_key_bytes(&key, id, ID_LEN);
    return scim_kv_put(m->txn, scim_key_slice(&key), (scim_slice){"", 0}, false);
}

static scim_kv_rc put_indexes(mending *m, const unsigned char *key, scim_slice value)
{
    const unsigned char *id = key + BODY_AT + 2;
    const type_def *type = store_type_number(m->e->store, store_get_u16(key + BODY_AT));
    scim_tenant tenant = {.number = tenant_of(key)};
    apr_array_header_t *rows;
    scim_kv_rc rc = SCIM_KV_OK;
    record_head head;
    json_t *json;
    int i;

    if (!type || !record_decode(&head, (scim_slice){key, RECORD_LEN}, value)) {
        return SCIM_KV_OK;
    }
    json = scim_json_read_own(head.json, head.json_len, m->view.pool);
    if (!json) {
        return SCIM_KV_OK;
    }
    rows = index_rows(m->e->store, &tenant, type->type, json, m->view.pool);
    for (i = 0; i < rows->nelts && rc == SCIM_KV_OK; i++) {
        rc = put_index(m, &APR_ARRAY_IDX(rows, i, index_row), id);
        if (rc == SCIM_KV_EXISTS) {
            tell_row(&m->e->t, key, "it has a value that must be unique, as another has", id,
                     m->view.pool);
            rc = SCIM_KV_OK;
        }
    }
    return rc;
}

static scim_kv_rc mend_record(mending *m, const unsigned char *key, scim_slice value)
{
    scim_kv_rc rc = count_record(m, key);

    return rc == SCIM_KV_OK ? put_indexes(m, key, value) : rc;
}

/* Memberships */

static void group_key(scim_key *key, const mending *m, const char *which)
{
    scim_key_begin(key, SCIM_TABLE_COUNTER);
    scim_key_bytes(key, m->run + TENANT_AT, 4);
    scim_key_bytes(key, which, 1);
    scim_key_bytes(key, m->run + BODY_AT, ID_LEN);
}

/* How often the membership changed: what the members that were dropped make one
 * more; where it is not known, more than it can be. */
static scim_kv_rc mend_revision(mending *m)
{
    apr_int64_t changes;
    scim_key key;
    scim_kv_rc rc;
    bool there;

    group_key(&key, m, "R");
    rc = has(&there, m, &key);
    if (rc == SCIM_KV_OK) {
        rc = counter_read(&changes, m->txn, &key);
    }
    if (rc != SCIM_KV_OK || (there && changes >= 0 && !m->dropped)) {
        return rc;
    }
    rc = put_counter(m, &key, there && changes >= 0 ? changes + 1 : apr_time_sec(m->e->now));
    if (rc == SCIM_KV_OK) {
        group_key(&key, m, "L");
        rc = put_counter(m, &key, m->e->now);
    }
    return rc;
}

static scim_kv_rc end_group(mending *m, const unsigned char *key, scim_slice value)
{
    scim_key counter;
    scim_kv_rc rc = SCIM_KV_OK;

    if (m->run_len && m->kept) {
        group_key(&counter, m, "M");
        rc = put_counter(m, &counter, m->met);
        if (rc == SCIM_KV_OK) {
            rc = mend_revision(m);
        }
    }
    m->met = m->dropped = 0;
    return rc;
}

static scim_kv_rc begin_group(mending *m, const unsigned char *key)
{
    scim_kv_rc rc = end_group(m, key, (scim_slice){NULL, 0});

    m->run_len = sizeof(m->run);
    memcpy(m->run, key, m->run_len);
    return rc == SCIM_KV_OK ? is_there(&m->kept, m, tenant_of(key), key + BODY_AT) : rc;
}

/* A group whose members are still to follow it has them, though it is gone. */
static scim_kv_rc is_pending(bool *out, mending *m, const unsigned char *key)
{
    scim_key pending;

    scim_key_begin(&pending, SCIM_TABLE_PENDING);
    scim_key_bytes(&pending, key + TENANT_AT, 4 + ID_LEN);
    return has(out, m, &pending);
}

/* A member of no type was never more than a name, or is allowed to be nothing. */
static scim_kv_rc has_member(bool *out, mending *m, const unsigned char *key, scim_slice value)
{
    apr_uint16_t type = store_get_u16((const unsigned char *)value.data + STORE_SEAL);

    *out = true;
    return type && type != MEMBER_TEXT
               ? has_resource(out, m, tenant_of(key), type, key + BODY_AT + ID_LEN)
               : SCIM_KV_OK;
}

static scim_kv_rc mend_member(mending *m, const unsigned char *key, scim_slice value)
{
    const unsigned char *group = key + BODY_AT, *member = group + ID_LEN;
    bool pending = false, there = false;
    scim_key other;
    scim_kv_rc rc = SCIM_KV_OK;

    if (m->run_len != sizeof(m->run) || memcmp(m->run, key, sizeof(m->run))) {
        rc = begin_group(m, key);
    }
    if (rc == SCIM_KV_OK && !m->kept) {
        rc = is_pending(&pending, m, key);
    }
    if (rc == SCIM_KV_OK && !m->kept && !pending) {
        return drop(m, key, EDGE_LEN, "dropped: its group is lost", group);
    }
    if (rc == SCIM_KV_OK) {
        rc = has_member(&there, m, key, value);
    }
    if (rc == SCIM_KV_OK && !there) {
        m->dropped++;
        return drop(m, key, EDGE_LEN, "dropped: the member is lost", member);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    m->met++;
    m->e->t.out->made++;
    scim_key_begin(&other, SCIM_TABLE_MEMBER_OF);
    scim_key_bytes(&other, key + TENANT_AT, 4);
    scim_key_bytes(&other, member, ID_LEN);
    scim_key_bytes(&other, group, ID_LEN);
    return scim_kv_put(m->txn, scim_key_slice(&other), (scim_slice){"", 0}, false);
}

/* Other rows that lead to a resource */

static scim_kv_rc mend_secret(mending *m, const unsigned char *key, scim_slice value)
{
    bool there;
    scim_kv_rc rc = is_there(&there, m, tenant_of(key), key + BODY_AT);

    return rc == SCIM_KV_OK && !there
               ? drop(m, key, BODY_AT + ID_LEN, "dropped: its user is lost", key + BODY_AT)
               : rc;
}

/* A count goes with what it counts; that is told already. */
static scim_kv_rc mend_counter(mending *m, const unsigned char *key, scim_slice value)
{
    unsigned char which = key[BODY_AT];
    bool there = true;
    scim_kv_rc rc = SCIM_KV_OK;

    if (which == COUNTER_MEMBERS || which == COUNTER_REVISION || which == COUNTER_MODIFIED) {
        rc = is_there(&there, m, tenant_of(key), key + BODY_AT + 1);
    }
    return rc == SCIM_KV_OK && !there
               ? scim_kv_del(m->txn, (scim_slice){key, BODY_AT + 1 + ID_LEN})
               : rc;
}

/* The walk */

/* To the first row behind the last one. */
static scim_kv_rc go_on(const mending *m, scim_kv_cursor *cursor, scim_slice *key,
                        scim_slice *value)
{
    scim_kv_rc rc = scim_kv_seek(cursor, scim_key_slice(&m->last), key, value);

    if (rc == SCIM_KV_OK && key->len == m->last.len &&
        !memcmp(key->data, m->last.bytes, key->len)) {
        rc = scim_kv_next(cursor, key, value);
    }
    return rc;
}

/* Exclusive. */
static scim_kv_rc mend_some(scim_kv_txn *txn, void *baton)
{
    mending *m = baton;
    unsigned char table = m->last.bytes[0];
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc = go_on(m, cursor, &key, &value);
    int i;

    m->txn = m->view.txn = txn;
    for (i = 0;
         i < ROWS_A_STEP && rc == SCIM_KV_OK && *(const unsigned char *)key.data == table;
         i++) {
        m->last.len = 0;
        scim_key_bytes(&m->last, key.data, key.len);
        value.data = apr_pmemdup(m->view.pool, value.data, value.len);
        rc = m->step(m, m->last.bytes, value);
        apr_pool_clear(m->view.pool);
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        rc = scim_kv_next(cursor, &key, &value);
    }
    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return rc;
    }
    m->done = i < ROWS_A_STEP;
    return m->done && m->end ? m->end(m, NULL, (scim_slice){NULL, 0}) : SCIM_KV_OK;
}

static scim_kv_rc mend_table(ending *e, scim_table table, mend_fn step, mend_fn end)
{
    mending m = {.e = e, .step = step, .end = end, .view = {.store = e->store}};
    scim_kv_rc rc = SCIM_KV_OK;

    scim_key_begin(&m.last, table);
    apr_pool_create(&m.view.pool, e->pool);
    while (rc == SCIM_KV_OK && !m.done) {
        rc = scim_kv_update_exclusive(e->store->kv, mend_some, &m);
    }
    apr_pool_destroy(m.view.pool);
    return rc;
}

static scim_kv_rc mend_all(ending *e)
{
    scim_kv_rc rc = mend_table(e, SCIM_TABLE_RESOURCE, mend_record, end_type);

    if (rc == SCIM_KV_OK) {
        rc = mend_table(e, SCIM_TABLE_MEMBER, mend_member, end_group);
    }
    if (rc == SCIM_KV_OK) {
        rc = mend_table(e, SCIM_TABLE_SECRET, mend_secret, NULL);
    }
    return rc == SCIM_KV_OK ? mend_table(e, SCIM_TABLE_COUNTER, mend_counter, NULL) : rc;
}

const scim_error *scim_salvage_end(scim_salvage *out, scim_store *store, int fd,
                                   const scim_verify_watcher *watcher, apr_time_t now,
                                   apr_pool_t *result_pool)
{
    ending e = {.t = {out, watcher},
                .store = store,
                .loader = store_loader_make(store->kv, false, NULL, result_pool),
                .indexes = apr_pcalloc(result_pool, (APR_UINT16_MAX + 1) * sizeof(bool)),
                .types = apr_array_make(result_pool, 8, sizeof(apr_uint16_t)),
                .now = now,
                .pool = result_pool};
    scim_kv_examiner to = {.row = end_row, .baton = &e}; /* damage was told by the first half */
    scim_kv_rc rc = scim_kv_view(store->kv, learn, &e);

    if (rc == SCIM_KV_OK) {
        apr_pool_create(&e.row_pool, result_pool);
        rc = scim_kv_salvage(fd, &to);
        rc = e.failed != SCIM_KV_OK ? e.failed : read_well(rc) ? SCIM_KV_OK : rc;
        apr_pool_destroy(e.row_pool);
    }
    if (rc == SCIM_KV_OK) {
        rc = store_loader_flush(e.loader);
    }
    if (rc == SCIM_KV_OK) {
        out->rows += store_loader_kept(e.loader);
        rc = mend_all(&e);
    }
    return store_load_error(result_pool, rc);
}
