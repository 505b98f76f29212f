/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three mutations of a resource.
 *
 * Each is prepared in a view: the draft is made, its bytes and index rows are
 * computed, what must hold is written down.  Then it is applied in an update:
 * everything that must hold is checked, and only when all of it does are the
 * prepared bytes put.  Where something moved in between, apply answers STALE
 * before its first write and all is prepared again; the fourth time under the
 * writer's lock.
 */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/json.h"
#include "scim/role.h"
#include "scim/sweep.h"
#include "scim/validate.h"

#include "internal.h"

#define OPTIMISTIC_TRIES 3

/* Of all that are changed by one batch, which holds that lock from its
 * beginning to its end. */
#define BATCH_MAX (32 * 1024 * 1024)

/* Passwords that a batch may hash under it, where it comes to that: each takes
 * up to 100 ms. */
#define BATCH_HASHES_MAX 8

typedef enum write_kind { WRITE_CREATE, WRITE_CHANGE, WRITE_REMOVE } write_kind;

/* One record to be written, all that depends on nothing but its JSON ready. */
typedef struct record_plan {
    write_kind kind;
    const type_def *type;
    scim_id id;              /* CREATE: minted while applying */
    record_head head;        /* as it will be; the revision is the expected one, 0 for CREATE */
    apr_array_header_t *add; /* of index_row */
    apr_array_header_t *drop; /* of index_row */
} record_plan;

typedef enum mutation_kind {
    MUTATION_CREATE,
    MUTATION_CHANGE,
    MUTATION_DELETE,
    MUTATION_DEACTIVATE
} mutation_kind;

/* What becomes of the members of a deleted group. */
typedef enum member_fate {
    FATE_RELEASE, /* they lose it */
    FATE_TREAT,   /* and are treated as the policy says, in the same transaction */
    FATE_DEFER    /* all of that is left to the sweep */
} member_fate;

typedef struct mutation {
    mutation_kind kind;
    scim_store *store;
    const scim_tenant *tenant;
    const type_def *type;
    scim_id id;
    const scim_precondition *precondition;
    scim_draft_fn draft_fn;
    void *baton;
    const scim_draft *draft; /* of a create */
    bool lenient;
    apr_time_t now;
    scim_batch *batch;       /* or NULL */
    scim_view *inside;       /* of the batch, or of what it follows from; NULL: a transaction
                                of its own */
    bool follows;            /* from another, which the brake has judged */
    scim_deletion *deletion; /* of a DELETE by itself: what came of it */
    const scim_id *promised; /* of a create in a batch */
    secret_memo *secrets;    /* of the batch, or its own */
    apr_pool_t *result_pool;
    apr_pool_t *pool; /* of one try */

    /* what preparing made */
    const scim_error *error;
    record_plan *plan;             /* NULL: the record itself stays as it is */
    apr_array_header_t *others;    /* of record_plan: records that referred to a deleted one */
    apr_array_header_t *referrers; /* of unsigned char[REFERRER_LEN]: the rows that say so */
    member_plan *members;          /* or NULL */
    secret_plan secret;
    apr_uint64_t revision;  /* of the record, expected */
    apr_int64_t membership; /* likewise of its membership, where it matters, else -1 */
    record_head head;       /* of the record where plan is NULL, in pool */
    apr_array_header_t *names;
    bool dismisses; /* a user is deleted, or active no more */
    member_fate fate;
    scim_on_group_delete then; /* of the members of a deleted group */
    bool far;                  /* scim_kv_far of its store */
    apr_uint64_t epoch;        /* scim_kv_epoch of the view in which it was prepared */
    anchor_run run;            /* of a create or delete in such a one */

    /* what applying found */
    const index_row *conflict; /* REFUSED: the row that is taken */
    bool gone;                 /* REFUSED: the tenant is deleted */
    bool braked;               /* REFUSED: by SCIMDeleteLimit */
    scim_brake brake;
    apr_uint32_t dismissed; /* users that the brake counts */
    apr_int64_t edges;      /* members of a deleted group */
    bool changed;
    bool members_changed;
    scim_id made;
    apr_uint64_t version;
    apr_time_t modified;
} mutation;

/* Preparing */

static const scim_error *not_found(const mutation *m)
{
    char text[SCIM_ID_TEXT + 1];

    return scim_error_make(m->result_pool, SCIM_E_NOT_FOUND,
                           "There is no %s with the id \"%s\" in this directory",
                           m->type->type->name, scim_id_format(&m->id, text));
}

static record_plan *plan_record(mutation *m, write_kind kind, const type_def *type,
                                const scim_id *id, const record_head *old, const json_t *before,
                                const json_t *after)
{
    record_plan *plan = apr_pcalloc(m->pool, sizeof(*plan));
    apr_array_header_t *none = apr_array_make(m->pool, 1, sizeof(index_row));
    apr_array_header_t *had =
        before ? index_rows(m->store, m->tenant, type->type, before, m->pool) : none;
    apr_array_header_t *has =
        after ? index_rows(m->store, m->tenant, type->type, after, m->pool) : none;

    plan->kind = kind;
    plan->type = type;
    plan->id = *id;
    plan->head.revision = old ? old->revision : 0;
    plan->head.created = old ? old->created : m->now;
    plan->head.modified = old && old->modified > m->now ? old->modified : m->now;
    plan->add = index_rows_without(has, had, m->pool);
    plan->drop = index_rows_without(had, has, m->pool);
    if (after) {
        plan->head.json = scim_json_write(after, &plan->head.json_len, m->pool);
        plan->head.display = record_display(after, &plan->head.display_len);
        plan->head.inactive = json_is_false(json_object_get(after, "active"));
    }
    return plan;
}

/* Where the new references of a plan lead, to be compared while applying: it
 * is what their $ref was made of. */
static const scim_error *note_targets(const mutation *m, const scim_view *view,
                                      record_plan *plan)
{
    int i;

    for (i = 0; i < plan->add->nelts; i++) {
        index_row *row = &APR_ARRAY_IDX(plan->add, i, index_row);

        if (row->def->kind == INDEX_REFERENCE) {
            scim_kv_rc rc =
                reference_target(&row->found, view, m->tenant, row->def, &row->target);

            SCIM_ERR(scim_store_error(m->result_pool, rc, "following a reference"));
        }
    }
    return NULL;
}

/* What a group is called is the tenant's to say; one that is there may keep
 * its name. */
static const scim_error *check_group_name(const mutation *m, const json_t *before,
                                          const json_t *after)
{
    const json_t *was = json_object_get(before, "displayName");
    const json_t *is = json_object_get(after, "displayName");

    if (!m->type->type->members || (before && json_equal(was, is))) {
        return NULL;
    }
    return scim_role_check_group(&m->tenant->policy, json_string_value(is),
                                 json_string_length(is), m->result_pool);
}

/* Plans what a client wants stored. */
static const scim_error *plan_draft(mutation *m, scim_view *view, write_kind kind,
                                    const record_head *old, const json_t *before, json_t *after)
{
    SCIM_ERR(check_group_name(m, before, after));
    m->plan = plan_record(m, kind, m->type, &m->id, old, before, after);
    m->dismisses = m->type->type->groups && old && !old->inactive && m->plan->head.inactive;
    if (record_size(&m->plan->head) > RESOURCE_MAX) {
        return scim_error_make(m->result_pool, SCIM_E_TOO_LARGE,
                               "The %s would have %" APR_SIZE_T_FMT " bytes; at most %d are "
                               "stored",
                               m->type->type->name, m->plan->head.json_len, RESOURCE_MAX);
    }
    scim_validate_changes(m->names, before, after);
    return note_targets(m, view, m->plan);
}

/* Whether references may lead nowhere. */
static bool loose(const mutation *m)
{
    return m->lenient || m->tenant->policy.dangling_references;
}

static const scim_error *plan_members(mutation *m, scim_view *view, const scim_draft *draft,
                                      const scim_id *group)
{
    m->members = NULL;
    if (!draft->members) {
        return NULL;
    }
    SCIM_ERR(member_plan_make(&m->members, view, m->tenant, group, draft->members));
    /* It has been made.  NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    if (group && m->members->walked) {
        scim_key key;

        counter_key_group(&key, m->tenant, COUNTER_REVISION, group);
        SCIM_ERR(scim_store_error(m->result_pool, counter_read(&m->membership, view->txn, &key),
                                  "reading members"));
    }
    return NULL;
}

/* What the draft says of the password, which its JSON does not. */
static const scim_error *plan_secret(mutation *m, scim_view *view, const scim_draft *draft,
                                     const scim_id *id)
{
    return secret_plan_make(&m->secret, view->txn, m->tenant, id, draft, m->secrets,
                            m->result_pool);
}

static const scim_error *prepare_create(mutation *m, scim_view *view)
{
    json_t *json = m->draft->json;

    /* Each try resolves what was sent, not what the try before made of it. */
    if (reference_any(m->store, m->type->type, json)) {
        json = scim_json_adopt(scim_json_deep_copy(json), m->pool);
        SCIM_ERR(reference_resolve(view, m->tenant, m->type->type, json, NULL, loose(m)));
    }
    SCIM_ERR(plan_draft(m, view, WRITE_CREATE, NULL, NULL, json));
    SCIM_ERR(plan_secret(m, view, m->draft, NULL));
    m->far = scim_kv_far(view->txn);
    if (m->far) {
        SCIM_ERR(scim_store_error(m->result_pool,
                                  anchor_last(&m->run, view, m->tenant, m->type),
                                  "looking for the last run"));
    }
    return plan_members(m, view, m->draft, m->promised);
}

static const scim_error *spend(mutation *m, apr_size_t bytes)
{
    if (m->batch && (m->batch->bytes += bytes) > BATCH_MAX) {
        return scim_error_make(m->result_pool, SCIM_E_TOO_LARGE,
                               "The resources that this job changes have more than %d bytes; "
                               "send fewer operations in one request",
                               BATCH_MAX);
    }
    return NULL;
}

static const scim_error *read_existing(mutation *m, scim_view *view, record_head *head)
{
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, m->tenant, m->type, &m->id);
    rc = record_read(head, view->txn, &key);
    if (rc == SCIM_KV_NOTFOUND) {
        return not_found(m);
    }
    SCIM_ERR(scim_store_error(m->result_pool, rc, "reading a resource"));
    m->revision = head->revision;
    return spend(m, head->json_len);
}

static const scim_error *fill(scim_record *out, const mutation *m, const scim_view *view,
                              const record_head *head)
{
    return scim_store_error(m->result_pool,
                            record_fill(out, view->txn, m->tenant, m->type, &m->id, head),
                            "reading a resource");
}

/* What a change that changes nothing, or only membership, answers with. */
static const scim_error *keep_existing(mutation *m, scim_view *view, const record_head *head)
{
    scim_record record;

    SCIM_ERR(fill(&record, m, view, head));
    m->version = record.version;
    m->modified = record.modified;
    m->head = *head;
    m->head.json = apr_pstrmemdup(m->pool, head->json, head->json_len);
    m->head.display = apr_pstrmemdup(m->pool, head->display, head->display_len);
    return NULL;
}

/* Times of headers are whole seconds. */
bool scim_precondition_holds(const scim_precondition *precondition, const scim_record *record)
{
    apr_time_t since = precondition->if_unmodified_since;

    if (precondition->if_match) {
        if (!scim_etag_match(precondition->if_match, record->version)) {
            return false;
        }
    } else if (since && apr_time_sec(record->modified) > apr_time_sec(since)) {
        return false;
    }
    return !precondition->if_none_match ||
           !scim_etag_match(precondition->if_none_match, record->version);
}

const scim_error *scim_precondition_failed(const scim_record *record, apr_pool_t *result_pool)
{
    return scim_error_make(result_pool, SCIM_E_PRECONDITION_FAILED,
                           "The %s has changed: the condition of this request is not for its "
                           "present version %s",
                           record->type->name, scim_etag_make(record->version, result_pool));
}

static bool is_conditional(const scim_precondition *precondition)
{
    return precondition && (precondition->if_match || precondition->if_unmodified_since ||
                            precondition->if_none_match);
}

static const scim_error *check_precondition(mutation *m, scim_view *view,
                                            const record_head *head)
{
    scim_record record;
    scim_key key;

    if (!is_conditional(m->precondition)) {
        return NULL;
    }
    SCIM_ERR(fill(&record, m, view, head));
    if (!scim_precondition_holds(m->precondition, &record)) {
        return scim_precondition_failed(&record, m->result_pool);
    }
    counter_key_group(&key, m->tenant, COUNTER_REVISION, &m->id);
    return scim_store_error(m->result_pool, counter_read(&m->membership, view->txn, &key),
                            "reading members");
}

static json_t *parse_record(const record_head *head, apr_pool_t *pool)
{
    return scim_json_read_own(head->json, head->json_len, pool);
}

static const scim_error *prepare_change(mutation *m, scim_view *view)
{
    scim_draft draft = {0};
    record_head head;
    json_t *before;

    SCIM_ERR(read_existing(m, view, &head));
    SCIM_ERR(check_precondition(m, view, &head));
    before = parse_record(&head, m->pool);
    if (!before) {
        return scim_store_error(m->result_pool, SCIM_KV_CORRUPT, "parsing a resource");
    }
    SCIM_ERR(m->draft_fn(&draft, before, m->baton, m->result_pool));
    SCIM_ERR(reference_resolve(view, m->tenant, m->type->type, draft.json, before, loose(m)));
    if (!json_equal(before, draft.json)) {
        SCIM_ERR(plan_draft(m, view, WRITE_CHANGE, &head, before, draft.json));
    }
    SCIM_ERR(keep_existing(m, view, &head));
    SCIM_ERR(plan_secret(m, view, &draft, &m->id));
    return plan_members(m, view, &draft, &m->id);
}

static const scim_error *plan_referrer(mutation *m, scim_view *view,
                                       const scim_resource_type *referring,
                                       const scim_id *source)
{
    const type_def *type = store_type(m->store, referring);
    record_head head;
    json_t *before, *after;
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, m->tenant, type, source);
    rc = record_read(&head, view->txn, &key);
    if (rc != SCIM_KV_OK) {
        rc = rc == SCIM_KV_NOTFOUND ? SCIM_KV_CORRUPT : rc;
        return scim_store_error(m->result_pool, rc, "reading a referring resource");
    }
    SCIM_ERR(spend(m, head.json_len));
    before = parse_record(&head, m->pool);
    after = before ? scim_json_adopt(scim_json_deep_copy(before), m->pool) : NULL;
    if (!after) {
        return scim_store_error(m->result_pool, SCIM_KV_CORRUPT,
                                "parsing a referring resource");
    }
    reference_drop(after, m->store, referring, &m->id);
    APR_ARRAY_PUSH(m->others, record_plan) =
        *plan_record(m, WRITE_CHANGE, type, source, &head, before, after);
    return NULL;
}

static scim_kv_rc note_referrer(const unsigned char *referrer, void *baton)
{
    mutation *m = baton;

    memcpy(apr_array_push(m->referrers), referrer, REFERRER_LEN);
    return SCIM_KV_OK;
}

/* One plan for each resource that refers to this one, through however many of
 * its attributes.  The attribute may be one that no schema has any more: what
 * it says is shown nowhere, and stays. */
static const scim_error *plan_referrers(mutation *m, scim_view *view)
{
    apr_hash_t *planned = apr_hash_make(m->pool);
    int i;

    SCIM_ERR(scim_store_error(m->result_pool,
                              reference_each(view->txn, m->tenant, &m->id, note_referrer, m),
                              "reading references"));
    for (i = 0; i < m->referrers->nelts; i++) {
        unsigned char *row = (unsigned char *)m->referrers->elts + i * REFERRER_LEN;
        const index_def *def = index_numbered(m->store, store_get_u16(row));
        scim_id source;

        memcpy(source.bytes, row + 2, sizeof(source.bytes));
        if (def && !apr_hash_get(planned, row + 2, sizeof(source.bytes))) {
            apr_hash_set(planned, row + 2, sizeof(source.bytes), row);
            SCIM_ERR(plan_referrer(m, view, def->type, &source));
        }
    }
    return NULL;
}

/* In a batch the members of all its groups count together: it holds the lock
 * of all writers. */
static scim_kv_rc fate_of(member_fate *out, const mutation *m, scim_kv_txn *txn)
{
    int taken = m->batch ? m->batch->treated : 0;
    bool small;
    scim_kv_rc rc;

    *out = m->edges > SCIM_SWEEP_STEP ? FATE_DEFER : FATE_RELEASE;
    if (*out == FATE_DEFER || m->then == SCIM_ON_DELETE_KEEP || !m->edges) {
        return SCIM_KV_OK;
    }
    rc = sweep_is_small(&small, txn, m->tenant, &m->id);
    *out = !small || taken + m->edges > SCIM_SWEEP_STEP ? FATE_DEFER : FATE_TREAT;
    return rc;
}

static scim_kv_rc count_edges(mutation *m, scim_kv_txn *txn)
{
    scim_key key;

    counter_key_group(&key, m->tenant, COUNTER_MEMBERS, &m->id);
    return counter_read(&m->edges, txn, &key);
}

static const scim_error *plan_members_fate(mutation *m, scim_view *view, const json_t *group)
{
    const json_t *name = json_object_get(group, "displayName");

    if (!m->type->type->members) {
        return NULL;
    }
    if (scim_role_of_group(&m->tenant->policy, json_string_value(name),
                           json_string_length(name), m->pool) >= 0) {
        m->then = m->tenant->policy.on_group_delete;
    }
    SCIM_ERR(scim_store_error(m->result_pool, count_edges(m, view->txn), "reading members"));
    return scim_store_error(m->result_pool, fate_of(&m->fate, m, view->txn), "reading members");
}

static const scim_error *prepare_delete(mutation *m, scim_view *view)
{
    record_head head;
    json_t *before;

    SCIM_ERR(read_existing(m, view, &head));
    SCIM_ERR(check_precondition(m, view, &head));
    before = parse_record(&head, m->pool);
    if (!before) {
        return scim_store_error(m->result_pool, SCIM_KV_CORRUPT, "parsing a resource");
    }
    m->plan = plan_record(m, WRITE_REMOVE, m->type, &m->id, &head, before, NULL);
    m->dismisses = m->type->type->groups != NULL;
    if (scim_kv_far(view->txn)) {
        SCIM_ERR(scim_store_error(m->result_pool,
                                  anchor_of(&m->run, view->txn, m->tenant, m->type, &m->id),
                                  "looking for the run of a resource"));
    }
    SCIM_ERR(plan_members_fate(m, view, before));
    return plan_referrers(m, view);
}

/* The store's own doing: it takes a few bytes more than a client may send. */
static const scim_error *prepare_deactivate(mutation *m, scim_view *view)
{
    record_head head;
    json_t *before, *after;

    SCIM_ERR(read_existing(m, view, &head));
    before = parse_record(&head, m->pool);
    after = before ? scim_json_adopt(scim_json_deep_copy(before), m->pool) : NULL;
    if (!after) {
        return scim_store_error(m->result_pool, SCIM_KV_CORRUPT, "parsing a resource");
    }
    scim_json_set(after, "active", json_false());
    m->plan = plan_record(m, WRITE_CHANGE, m->type, &m->id, &head, before, after);
    return NULL;
}

static void wish_prepare(const mutation *m, scim_kv_txn *txn)
{
    wishes w = {.txn = txn};
    scim_key key;

    store_system_key(&key, "format");
    wish_key(&w, &key);
    wish_tenant(&w, m->tenant);
    if (m->kind != MUTATION_CREATE) {
        wish_record(&w, m->tenant, m->type, &m->id);
    }
    if (m->kind == MUTATION_DELETE) {
        reference_wish(&w, m->tenant, &m->id);
    }
    wish_send(&w);
}

static const scim_error *prepare(scim_view *view, void *baton)
{
    mutation *m = baton;
    scim_view own = {view->store, view->txn, m->pool, view->promises};

    m->plan = NULL;
    m->others = apr_array_make(m->pool, 1, sizeof(record_plan));
    m->referrers = apr_array_make(m->pool, 1, REFERRER_LEN);
    m->members = NULL;
    m->secret = (secret_plan){NULL, false};
    if (!m->batch) {
        secret_memo_rewind(m->secrets);
    }
    m->membership = -1;
    m->names = apr_array_make(m->result_pool, 4, sizeof(const char *));
    m->changed = m->members_changed = false;
    m->made = m->id;
    m->dismisses = false;
    m->fate = FATE_RELEASE;
    m->then = SCIM_ON_DELETE_KEEP;
    m->edges = 0;
    if (scim_kv_far(view->txn)) {
        wish_prepare(m, view->txn);
    }
    SCIM_ERR(scim_tenant_check(&own, m->tenant));
    m->epoch = 0;
    if (!scim_kv_writable(view->txn) && scim_kv_epoch(view->txn)) {
        SCIM_ERR(scim_store_error(m->result_pool, store_check_format(view->txn),
                                  "reading the format"));
        m->epoch = scim_kv_epoch(view->txn);
    }
    switch (m->kind) {
    case MUTATION_CREATE:
        return prepare_create(m, &own);
    case MUTATION_CHANGE:
        return prepare_change(m, &own);
    case MUTATION_DEACTIVATE:
        return prepare_deactivate(m, &own);
    default:
        return prepare_delete(m, &own);
    }
}

/* The record as it is, to be written once more: only its revision tells of a
 * new password. */
static record_plan *plan_touch(const mutation *m)
{
    record_plan *plan = apr_pcalloc(m->pool, sizeof(*plan));

    plan->kind = WRITE_CHANGE;
    plan->type = m->type;
    plan->id = m->id;
    plan->head = m->head;
    plan->head.modified = m->head.modified > m->now ? m->head.modified : m->now;
    plan->add = apr_array_make(m->pool, 1, sizeof(index_row));
    plan->drop = apr_array_make(m->pool, 1, sizeof(index_row));
    return plan;
}

static const scim_error *settle_secret(mutation *m)
{
    if (m->batch && !secret_plan_settled(&m->secret) &&
        m->batch->hashed++ >= BATCH_HASHES_MAX) {
        return scim_error_make(m->result_pool, SCIM_E_TOO_LARGE,
                               "password: this job changes the passwords of the same users too "
                               "often; send each user's password once");
    }
    return secret_plan_settle(&m->secret, m->secrets);
}

/* Preparing's last step, which takes too long for a view. */
static const scim_error *prepare_secret(mutation *m)
{
    /* Of a batch, all together, when it is known which there are. */
    if (!m->batch || m->batch->hash_now) {
        SCIM_ERR(settle_secret(m));
    }
    if (secret_plan_changes(&m->secret)) {
        m->plan = m->plan ? m->plan : plan_touch(m);
        APR_ARRAY_PUSH(m->names, const char *) = "password";
    }
    return NULL;
}

/* Applying: checks */

/* What is read while applying; it is used for no allocation. */
static scim_view view_of(const mutation *m, scim_kv_txn *txn)
{
    return (scim_view){m->store, txn, m->pool, m->inside ? m->inside->promises : NULL};
}

/* EXISTS where a value that must be unique is another resource's: rows to be
 * added are none that the resource has. */
static scim_kv_rc check_unique(scim_kv_txn *txn, const index_row *row)
{
    scim_kv_cursor *cursor;
    scim_slice value, key, rest;
    scim_key prefix;
    scim_kv_rc rc;

    if (row->def->kind == INDEX_UNIQUE) {
        /* put_row finds it, or the commit. */
        if (scim_kv_bold(txn)) {
            return SCIM_KV_OK;
        }
        rc = scim_kv_get(txn, row->key, &value);
        return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc == SCIM_KV_OK ? SCIM_KV_EXISTS : rc;
    }
    prefix.len = 0;
    scim_key_bytes(&prefix, row->key.data, row->key.len);
    cursor = scim_kv_cursor_open(txn);
    scim_kv_within(cursor, row->key);
    for (rc = scim_kv_seek(cursor, row->key, &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, &rest);
         rc = scim_kv_next(cursor, &key, NULL)) {
        /* More than an id behind the value: the digest of a longer one. */
        if (rest.len == sizeof(scim_id)) {
            return SCIM_KV_EXISTS;
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static bool must_be_unique(const mutation *m, const index_row *row)
{
    return row->def->kind == INDEX_UNIQUE ||
           (row->def->unique_by_policy && m->tenant->policy.unique_group_names);
}

/* A reference must still lead where it led while preparing. */
static scim_kv_rc check_target(const mutation *m, scim_kv_txn *txn, const index_row *row)
{
    scim_view view = view_of(m, txn);
    const type_def *found;
    scim_kv_rc rc = reference_target(&found, &view, m->tenant, row->def, &row->target);

    return rc == SCIM_KV_OK && found != row->found ? SCIM_KV_STALE : rc;
}

static scim_kv_rc check_rows(mutation *m, scim_kv_txn *txn, const record_plan *plan)
{
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    for (i = 0; i < plan->add->nelts && rc == SCIM_KV_OK; i++) {
        const index_row *row = &APR_ARRAY_IDX(plan->add, i, index_row);

        if (must_be_unique(m, row)) {
            rc = check_unique(txn, row);
        } else if (row->def->kind == INDEX_REFERENCE) {
            rc = check_target(m, txn, row);
        }
        if (rc == SCIM_KV_EXISTS) {
            m->conflict = row;
            rc = SCIM_KV_REFUSED;
        }
    }
    return rc;
}

static scim_kv_rc check_other(mutation *m, scim_kv_txn *txn, const record_plan *plan)
{
    record_head head;
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, m->tenant, plan->type, &plan->id);
    rc = record_read(&head, txn, &key);
    if (rc == SCIM_KV_NOTFOUND || (rc == SCIM_KV_OK && head.revision != plan->head.revision)) {
        return SCIM_KV_STALE;
    }
    return rc;
}

typedef struct comparing {
    const apr_array_header_t *planned;
    int seen;
} comparing;

static scim_kv_rc compare_referrer(const unsigned char *referrer, void *baton)
{
    comparing *c = baton;

    if (c->seen >= c->planned->nelts ||
        memcmp(c->planned->elts + c->seen * REFERRER_LEN, referrer, REFERRER_LEN)) {
        return SCIM_KV_STALE;
    }
    c->seen++;
    return SCIM_KV_OK;
}

/* The references to what is deleted must be those that were planned for. */
static scim_kv_rc check_referrers(const mutation *m, scim_kv_txn *txn)
{
    comparing c = {m->referrers, 0};
    scim_kv_rc rc = reference_each(txn, m->tenant, &m->id, compare_referrer, &c);

    return rc == SCIM_KV_OK && c.seen != c.planned->nelts ? SCIM_KV_STALE : rc;
}

/* The resource itself, whether its record is to be written or only edges. */
static scim_kv_rc check_existing(const mutation *m, scim_kv_txn *txn)
{
    record_head head;
    scim_key key;
    scim_kv_rc rc;

    if (m->kind == MUTATION_CREATE) {
        return SCIM_KV_OK;
    }
    record_key(&key, m->tenant, m->type, &m->id);
    rc = record_read(&head, txn, &key);
    if (rc == SCIM_KV_NOTFOUND || (rc == SCIM_KV_OK && head.revision != m->revision)) {
        return SCIM_KV_STALE;
    }
    if (rc == SCIM_KV_OK && m->membership >= 0) {
        apr_int64_t membership;

        counter_key_group(&key, m->tenant, COUNTER_REVISION, &m->id);
        rc = counter_read(&membership, txn, &key);
        rc = rc == SCIM_KV_OK && membership != m->membership ? SCIM_KV_STALE : rc;
    }
    return rc;
}

/* As many members may have come that others must be asked. */
static scim_kv_rc check_fate(mutation *m, scim_kv_txn *txn)
{
    member_fate fate;
    scim_kv_rc rc;

    if (!m->type->type->members) {
        return SCIM_KV_OK;
    }
    rc = count_edges(m, txn);
    if (rc == SCIM_KV_OK) {
        rc = fate_of(&fate, m, txn);
    }
    return rc == SCIM_KV_OK && fate != m->fate ? SCIM_KV_STALE : rc;
}

/* Comes after all other checks: what cannot be done is not counted.  Of a
 * group whose members are treated, all count, before the first of them. */
static scim_kv_rc check_brake(mutation *m, scim_kv_txn *txn)
{
    apr_int64_t users = m->dismisses + (m->then == SCIM_ON_DELETE_KEEP ? 0 : m->edges);
    scim_kv_rc rc;

    if (m->follows || !users || !m->tenant->policy.delete_limit) {
        return SCIM_KV_OK;
    }
    m->dismissed = users > APR_UINT32_MAX ? APR_UINT32_MAX : (apr_uint32_t)users;
    rc = brake_check(&m->brake, txn, m->tenant, m->dismissed, m->now);
    m->braked = rc == SCIM_KV_REFUSED;
    return rc;
}

/* Nothing is added to a tenant of which all is to go. */
static scim_kv_rc check_tenant(mutation *m, scim_kv_txn *txn)
{
    scim_kv_rc rc = tenant_check(txn, m->tenant);

    m->gone = rc == SCIM_KV_NOTFOUND;
    return m->gone ? SCIM_KV_REFUSED : rc;
}

/* The key of a row for the resource at hand, in the transaction's memory. */
static scim_slice row_key(scim_kv_txn *txn, const index_row *row, const scim_id *id)
{
    char *bytes;

    if (row->def->kind == INDEX_UNIQUE) {
        return row->key;
    }
    bytes = scim_kv_scratch(txn, row->key.len + sizeof(id->bytes));
    memcpy(bytes, row->key.data, row->key.len);
    memcpy(bytes + row->key.len, id->bytes, sizeof(id->bytes));
    return (scim_slice){bytes, row->key.len + sizeof(id->bytes)};
}

static void wish_rows(const mutation *m, wishes *w, const record_plan *plan, const scim_id *id)
{
    int i;

    for (i = 0; i < plan->add->nelts; i++) {
        const index_row *row = &APR_ARRAY_IDX(plan->add, i, index_row);

        if (must_be_unique(m, row) &&
            (row->def->kind != INDEX_UNIQUE || !scim_kv_bold(w->txn))) {
            wish_slice(w, row->key, row->def->kind == INDEX_UNIQUE ? 0 : row->key.len);
        }
    }
    for (i = 0; i < plan->drop->nelts; i++) {
        wish_slice(w, row_key(w->txn, &APR_ARRAY_IDX(plan->drop, i, index_row), id), 0);
    }
}

static void wish_delete(const mutation *m, wishes *w)
{
    static const store_counter counters[] = {COUNTER_MEMBERS, COUNTER_REVISION,
                                             COUNTER_MODIFIED};
    scim_key key;

    reference_wish(w, m->tenant, &m->id);
    secret_wish(w, m->tenant, &m->id);
    wish_groups(w, m->tenant, &m->id);
    wish_members(w, m->tenant, &m->id);
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        counter_key_group(&key, m->tenant, counters[i], &m->id);
        wish_key(w, &key);
    }
}

/* The format and the tenants change in updates that are exclusive: then what preparing
 * found of them holds.  Their rows stand where all who create write. */
static bool same_epoch(const mutation *m, scim_kv_txn *txn)
{
    return m->epoch && scim_kv_epoch(txn) == m->epoch;
}

/* All that the checks and the writes below will ask for, of what is asked for often. */
static void wish_apply(const mutation *m, scim_kv_txn *txn)
{
    wishes w = {.txn = txn};
    scim_key key;

    /* Whether it is the same comes with what is wished for. */
    if (!m->epoch) {
        store_system_key(&key, "format");
        wish_key(&w, &key);
        wish_tenant(&w, m->tenant);
    }
    if (m->kind != MUTATION_CREATE) {
        wish_record(&w, m->tenant, m->type, &m->made);
    }
    if (m->plan) {
        wish_rows(m, &w, m->plan, &m->made);
    }
    if (m->kind == MUTATION_CREATE) {
        anchor_wish(&w, m->tenant, m->type, &m->run);
    }
    if (m->kind == MUTATION_DELETE) {
        wish_delete(m, &w);
    }
    if (m->members) {
        member_plan_wish(m->members, &w, m->tenant, &m->made);
    }
    wish_send(&w);
}

static scim_kv_rc check_all(mutation *m, scim_kv_txn *txn)
{
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    if (scim_kv_far(txn)) {
        wish_apply(m, txn);
    }
    if (!same_epoch(m, txn)) {
        rc = store_check_format(txn);
        rc = rc == SCIM_KV_OK ? check_tenant(m, txn) : rc;
    }
    if (rc == SCIM_KV_OK && m->kind == MUTATION_CREATE && scim_kv_far(txn)) {
        rc = anchor_check(&m->run, txn, m->tenant, m->type);
    }
    if (rc == SCIM_KV_OK) {
        rc = check_existing(m, txn);
    }
    if (rc == SCIM_KV_OK && m->plan) {
        rc = check_rows(m, txn, m->plan);
    }
    if (rc == SCIM_KV_OK && m->kind == MUTATION_DELETE) {
        rc = check_referrers(m, txn);
    }
    if (rc == SCIM_KV_OK && m->kind == MUTATION_DELETE) {
        rc = check_fate(m, txn);
    }
    for (i = 0; i < m->others->nelts && rc == SCIM_KV_OK; i++) {
        rc = check_other(m, txn, &APR_ARRAY_IDX(m->others, i, record_plan));
    }
    if (rc == SCIM_KV_OK && m->members) {
        scim_view view = view_of(m, txn);

        rc = member_plan_check(m->members, &view, m->tenant, &m->made, &m->members_changed);
    }
    return rc == SCIM_KV_OK ? check_brake(m, txn) : rc;
}

/* Applying: writes */

static scim_kv_rc put_row(scim_kv_txn *txn, const index_row *row, const scim_id *id)
{
    unsigned char value[STORE_SEAL + sizeof(id->bytes)];
    scim_slice key = row_key(txn, row, id);

    if (row->def->kind != INDEX_UNIQUE) {
        return scim_kv_put(txn, key, (scim_slice){"", 0}, false);
    }
    memcpy(value + STORE_SEAL, id->bytes, sizeof(id->bytes));
    store_seal(key, value, sizeof(value));
    return scim_kv_put(txn, key, (scim_slice){value, sizeof(value)}, true);
}

static scim_kv_rc write_rows(scim_kv_txn *txn, const record_plan *plan, const scim_id *id)
{
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    for (i = 0; i < plan->drop->nelts && rc == SCIM_KV_OK; i++) {
        rc = scim_kv_del(txn, row_key(txn, &APR_ARRAY_IDX(plan->drop, i, index_row), id));
        rc = rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    for (i = 0; i < plan->add->nelts && rc == SCIM_KV_OK; i++) {
        rc = put_row(txn, &APR_ARRAY_IDX(plan->add, i, index_row), id);
    }
    return rc;
}

static scim_kv_rc write_plan(mutation *m, scim_kv_txn *txn, const record_plan *plan,
                             const scim_id *id)
{
    record_head head = plan->head;
    unsigned char *value;
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, m->tenant, plan->type, id);
    if (plan->kind == WRITE_REMOVE) {
        rc = scim_kv_del(txn, scim_key_slice(&key));
        rc = rc == SCIM_KV_OK ? secret_drop(txn, m->tenant, id) : rc;
    } else {
        head.revision++;
        value = scim_kv_scratch(txn, record_size(&head));
        record_write(scim_key_slice(&key), &head, value);
        rc = scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, record_size(&head)},
                         plan->kind == WRITE_CREATE && !scim_kv_far(txn));
    }
    if (rc == SCIM_KV_OK) {
        rc = write_rows(txn, plan, id);
    }
    if (rc == SCIM_KV_OK && plan->kind != WRITE_CHANGE) {
        counter_key_type(&key, m->tenant, plan->type);
        rc = scim_kv_add(txn, scim_key_slice(&key), plan->kind == WRITE_CREATE ? 1 : -1, NULL);
    }
    if (rc == SCIM_KV_OK && plan->kind == WRITE_CREATE) {
        rc = scim_kv_far(txn) ? anchor_join(&m->run, txn, m->tenant, plan->type, id)
                              : anchor_add(txn, m->tenant, plan->type, id);
    } else if (rc == SCIM_KV_OK && plan->kind == WRITE_REMOVE) {
        rc = scim_kv_far(txn) ? anchor_leave(&m->run, txn, m->tenant, plan->type)
                              : anchor_remove(txn, m->tenant, plan->type, id);
    }
    return rc;
}

/* The id of a new resource: later than the last of its type, so that the
 * table grows at its end and its order is the order of commits. */
static scim_kv_rc last_id(scim_id *last, scim_kv_txn *txn, const scim_tenant *tenant,
                          const type_def *type)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key prefix, end;
    scim_slice key, rest;
    scim_kv_rc rc;

    memset(last, 0, sizeof(*last));
    record_prefix(&prefix, tenant, type);
    end = prefix;
    scim_key_bytes(&end, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                   16);
    rc = scim_kv_seek(cursor, scim_key_slice(&end), &key, NULL);
    if (rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND) {
        rc = scim_kv_prev(cursor, &key, NULL);
    }
    if (rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, &rest) &&
        rest.len == sizeof(last->bytes)) {
        memcpy(last->bytes, rest.data, sizeof(last->bytes));
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc mint(mutation *m, scim_kv_txn *txn)
{
    bool far = scim_kv_far(txn);
    scim_kv_rc rc = SCIM_KV_OK;
    scim_id last;

    if (m->promised) {
        m->made = *m->promised;
    } else {
        memset(&last, 0, sizeof(last));
        if (far) {
            anchor_last_minted(&last, m->store, m->tenant, m->type);
        } else {
            rc = last_id(&last, txn, m->tenant, m->type);
        }
        if (rc == SCIM_KV_OK && !scim_id_mint(&m->made, &last, m->now)) {
            rc = SCIM_KV_IO;
        }
    }
    if (far && rc == SCIM_KV_OK) {
        anchor_minted(&m->made, m->store, m->tenant, m->type);
    }
    return rc;
}

static scim_kv_rc drop_edges(const mutation *m, scim_kv_txn *txn)
{
    scim_kv_rc rc;

    if (m->fate != FATE_DEFER) {
        return member_drop(txn, m->tenant, &m->id, m->now);
    }
    rc = member_leave(txn, m->tenant, &m->id, m->now);
    return rc == SCIM_KV_OK ? sweep_defer(txn, m->tenant, &m->id, m->then, m->now) : rc;
}

static scim_kv_rc write_all(mutation *m, scim_kv_txn *txn)
{
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    if (m->dismissed) {
        rc = brake_count(&m->brake, txn, m->tenant, m->dismissed);
    }
    if (rc == SCIM_KV_OK && m->plan) {
        rc = write_plan(m, txn, m->plan, &m->made);
    }
    if (rc == SCIM_KV_OK && secret_plan_changes(&m->secret)) {
        rc = /* A password comes with a record.  NOLINTNEXTLINE(*.NullDereference) */
            secret_plan_write(&m->secret, txn, m->tenant, &m->made, m->plan->head.revision + 1);
    }
    for (i = 0; i < m->others->nelts && rc == SCIM_KV_OK; i++) {
        const record_plan *plan = &APR_ARRAY_IDX(m->others, i, record_plan);

        rc = write_plan(m, txn, plan, &plan->id);
    }
    if (rc == SCIM_KV_OK && m->members_changed) {
        rc = member_plan_write(m->members, txn, m->tenant, &m->made, m->now);
    }
    if (rc == SCIM_KV_OK && m->kind == MUTATION_DELETE) {
        rc = drop_edges(m, txn);
    }
    return rc;
}

/* What the resource is after the writes of this transaction. */
static scim_kv_rc note_result(mutation *m, scim_kv_txn *txn)
{
    record_head head = m->plan ? m->plan->head : m->head;
    scim_record record;
    scim_kv_rc rc;

    head.revision += m->plan != NULL;
    rc = record_fill(&record, txn, m->tenant, m->type, &m->made, &head);
    m->version = record.version;
    m->modified = record.modified;
    return rc;
}

static scim_kv_rc apply(scim_kv_txn *txn, void *baton)
{
    mutation *m = baton;
    scim_kv_rc rc = SCIM_KV_OK;

    m->conflict = NULL;
    m->gone = m->braked = m->members_changed = false;
    m->dismissed = 0;
    m->made = m->id;
    if (m->kind == MUTATION_CREATE) {
        rc = mint(m, txn);
    }
    if (rc == SCIM_KV_OK) {
        rc = check_all(m, txn);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    m->changed = m->plan || m->members_changed;
    rc = write_all(m, txn);
    return rc == SCIM_KV_OK && m->kind != MUTATION_DELETE ? note_result(m, txn) : rc;
}

/* Under the lock: a group is deleted, and then its members are treated. */
static scim_kv_rc apply_and_treat(mutation *m, scim_kv_txn *txn)
{
    scim_view view = view_of(m, txn);
    apr_array_header_t *members;
    scim_kv_rc rc = sweep_members(&members, &view, m->tenant, &m->id, m->then, SCIM_SWEEP_STEP);

    if (rc == SCIM_KV_OK) {
        rc = apply(txn, m);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (m->batch) {
        m->batch->treated += members->nelts;
    }
    m->error = sweep_treat(m->deletion->consequences, &view, m->tenant, &m->id, m->then,
                           members, m->now);
    return m->error ? SCIM_KV_REFUSED : SCIM_KV_OK;
}

static scim_kv_rc apply_alone(mutation *m, scim_kv_txn *txn)
{
    return m->fate == FATE_TREAT ? apply_and_treat(m, txn) : apply(txn, m);
}

/* The last resort, and the way of what needs pools: prepared and applied under
 * the lock. */
static scim_kv_rc apply_exclusive(scim_kv_txn *txn, void *baton)
{
    mutation *m = baton;
    scim_view view = view_of(m, txn);

    m->error = prepare(&view, m);
    m->error = m->error ? m->error : prepare_secret(m);
    return m->error ? SCIM_KV_REFUSED : apply_alone(m, txn);
}

static bool anything_to_do(const mutation *m)
{
    return m->plan || (m->members && (m->members->adds->nelts || m->members->removes->nelts));
}

static const scim_error *refused(const mutation *m)
{
    const index_row *row = m->conflict;

    if (m->gone) {
        return tenant_gone(m->result_pool);
    }
    if (m->braked) {
        return brake_refusal(m->tenant, m->dismissed, m->result_pool);
    }
    if (m->error || !row) {
        return m->error;
    }
    return scim_error_make(m->result_pool, SCIM_E_UNIQUENESS,
                           "%s \"%s\" is already used by another %s of this directory",
                           row->def->name, row->text ? row->text : "", row->def->type->name);
}

static const scim_error *outcome(const mutation *m, scim_kv_rc rc)
{
    if (rc == SCIM_KV_REFUSED) {
        return refused(m);
    }
    return scim_store_error(m->result_pool, rc, "changing a resource");
}

/* Within a transaction nobody else writes: prepared and applied, once.  What
 * holds the brake must not be undone with the operation that it refuses. */
static const scim_error *mutate_inside(mutation *m)
{
    scim_kv_txn *txn = m->inside->txn;
    scim_kv_rc rc = SCIM_KV_OK;

    SCIM_ERR(prepare(m->inside, m));
    SCIM_ERR(prepare_secret(m));
    if (anything_to_do(m)) {
        rc = apply_alone(m, txn);
    }
    if (rc == SCIM_KV_REFUSED && m->braked) {
        SCIM_ERR(scim_store_error(m->result_pool, brake_hold(&m->brake, txn, m->tenant),
                                  "holding the brake"));
    }
    return outcome(m, rc);
}

static const scim_error *mutate(mutation *m)
{
    scim_kv_rc rc = SCIM_KV_STALE;
    int tries;

    apr_pool_create(&m->pool, m->result_pool);
    m->secrets = m->batch ? m->batch->secrets : secret_memo_make(m->result_pool);
    if (m->inside) {
        SCIM_ERR(mutate_inside(m));
        if (m->fate == FATE_DEFER) {
            atomic_store(&m->store->left, true);
        }
        return NULL;
    }
    for (tries = 0; tries < OPTIMISTIC_TRIES && rc == SCIM_KV_STALE; tries++) {
        apr_pool_clear(m->pool);
        SCIM_ERR(scim_store_view(m->store, prepare, m, m->result_pool));
        SCIM_ERR(prepare_secret(m));
        if (m->fate == FATE_TREAT) {
            break;
        }
        rc = anything_to_do(m) ? scim_kv_update(m->store->kv, apply, m) : SCIM_KV_OK;
        if (m->kind == MUTATION_CREATE && m->far) {
            anchor_tried(m->store, m->tenant, m->type, rc == SCIM_KV_OK);
        }
    }
    if (rc == SCIM_KV_STALE) {
        apr_pool_clear(m->pool);
        rc = scim_kv_update_exclusive(m->store->kv, apply_exclusive, m);
    }
    if (rc == SCIM_KV_OK && m->fate == FATE_DEFER) {
        atomic_store(&m->store->left, true);
    }
    if (rc == SCIM_KV_REFUSED && m->braked && !m->brake.on) {
        brake_trip(m->store, m->tenant, m->dismissed, m->now);
    }
    return outcome(m, rc);
}

/* What is answered is what this mutation left, whatever came after it. */
static void finish(scim_change *out, mutation *m)
{
    const record_head *head = m->plan ? &m->plan->head : &m->head;

    out->changed = m->changed;
    out->names = m->names;
    if (m->members_changed) {
        APR_ARRAY_PUSH(out->names, const char *) = m->type->type->members->name;
    }
    out->record.id = m->made;
    out->record.type = m->type->type;
    out->record.version = m->version;
    out->record.created = head->created;
    out->record.modified = m->modified;
    out->record.json = apr_pstrmemdup(m->result_pool, head->json, head->json_len);
    out->record.json_len = head->json_len;
    out->record.display = apr_pstrmemdup(m->result_pool, head->display, head->display_len);
    out->record.display_len = head->display_len;
    apr_pool_destroy(m->pool);
}

static mutation mutation_of(mutation_kind kind, scim_store *store, const scim_tenant *tenant,
                            const scim_resource_type *type, apr_time_t now,
                            apr_pool_t *result_pool)
{
    return (mutation){.kind = kind,
                      .store = store,
                      .tenant = tenant,
                      .type = store_type(store, type),
                      .now = now,
                      .result_pool = result_pool};
}

static const scim_error *create(scim_change *out, mutation *m, const scim_draft *draft,
                                bool lenient)
{
    m->draft = draft;
    m->lenient = lenient;
    SCIM_ERR(mutate(m));
    finish(out, m);
    return NULL;
}

static const scim_error *change(scim_change *out, mutation *m, const scim_id *id,
                                const scim_precondition *precondition, bool lenient)
{
    m->id = *id;
    m->precondition = precondition;
    m->lenient = lenient;
    SCIM_ERR(mutate(m));
    finish(out, m);
    return NULL;
}

static const scim_error *drop(scim_deletion *out, mutation *m, const scim_id *id,
                              const scim_precondition *precondition)
{
    m->id = *id;
    m->precondition = precondition;
    m->deletion = out;
    out->consequences = apr_array_make(m->result_pool, 1, sizeof(scim_consequence));
    out->pending = false;
    SCIM_ERR(mutate(m));
    out->pending = m->fate == FATE_DEFER;
    return NULL;
}

/* Of what follows from another mutation.  An error stays where it is made. */
static const scim_error *follow(bool *was, mutation *m, scim_view *view, const scim_id *id)
{
    record_head head;
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, m->tenant, m->type, id);
    rc = record_read(&head, view->txn, &key);
    *was = rc == SCIM_KV_OK && !(m->kind == MUTATION_DEACTIVATE && head.inactive);
    if (!*was) {
        return rc == SCIM_KV_NOTFOUND ? NULL
                                      : scim_store_error(view->pool, rc, "reading a user");
    }
    m->id = *id;
    m->inside = view;
    m->follows = true;
    return mutate(m);
}

const scim_error *resource_remove(bool *was, scim_view *view, const scim_tenant *tenant,
                                  const type_def *type, const scim_id *id, apr_time_t now)
{
    mutation m = mutation_of(MUTATION_DELETE, view->store, tenant, type->type, now, view->pool);

    return follow(was, &m, view, id);
}

const scim_error *resource_deactivate(apr_uint64_t *version, scim_view *view,
                                      const scim_tenant *tenant, const type_def *type,
                                      const scim_id *id, apr_time_t now)
{
    mutation m =
        mutation_of(MUTATION_DEACTIVATE, view->store, tenant, type->type, now, view->pool);
    bool was;

    SCIM_ERR(follow(&was, &m, view, id));
    *version = was ? m.version : 0;
    return NULL;
}

const scim_error *scim_resource_create(scim_change *out, scim_store *store,
                                       const scim_tenant *tenant, const scim_draft *draft,
                                       bool lenient, apr_time_t now, apr_pool_t *result_pool)
{
    mutation m = mutation_of(MUTATION_CREATE, store, tenant, draft->type, now, result_pool);

    return create(out, &m, draft, lenient);
}

const scim_error *scim_resource_change(scim_change *out, scim_store *store,
                                       const scim_tenant *tenant,
                                       const scim_resource_type *type, const scim_id *id,
                                       const scim_precondition *precondition,
                                       scim_draft_fn draft_fn, void *baton, bool lenient,
                                       apr_time_t now, apr_pool_t *result_pool)
{
    mutation m = mutation_of(MUTATION_CHANGE, store, tenant, type, now, result_pool);

    m.draft_fn = draft_fn;
    m.baton = baton;
    return change(out, &m, id, precondition, lenient);
}

const scim_error *scim_resource_delete(scim_deletion *out, scim_store *store,
                                       const scim_tenant *tenant,
                                       const scim_resource_type *type, const scim_id *id,
                                       const scim_precondition *precondition, apr_time_t now,
                                       apr_pool_t *result_pool)
{
    mutation m = mutation_of(MUTATION_DELETE, store, tenant, type, now, result_pool);

    return drop(out, &m, id, precondition);
}

const scim_error *scim_resource_get(scim_record *out, scim_view *view,
                                    const scim_tenant *tenant, const scim_resource_type *type,
                                    const scim_id *id)
{
    const type_def *def = store_type(view->store, type);
    record_head head;
    scim_key key;
    scim_kv_rc rc;

    if (scim_kv_far(view->txn)) {
        wishes w = {.txn = view->txn};

        wish_tenant(&w, tenant);
        wish_record(&w, tenant, def, id);
        wish_groups(&w, tenant, id);
        if (type->members) {
            wish_members(&w, tenant, id);
        }
        wish_send(&w);
    }
    SCIM_ERR(scim_tenant_check(view, tenant));
    record_key(&key, tenant, def, id);
    rc = record_read(&head, view->txn, &key);
    if (rc == SCIM_KV_NOTFOUND) {
        char text[SCIM_ID_TEXT + 1];

        return scim_error_make(view->pool, SCIM_E_NOT_FOUND,
                               "There is no %s with the id \"%s\" in this directory",
                               type->name, scim_id_format(id, text));
    }
    if (rc != SCIM_KV_OK) {
        return scim_store_error(view->pool, rc, "reading a resource");
    }
    return scim_store_error(view->pool, record_fill(out, view->txn, tenant, def, id, &head),
                            "reading a resource");
}

/* Batches */

typedef struct batching {
    scim_batch batch;
    scim_batch_fn fn;
    void *baton;
    int runs;
    bool again; /* it has passwords that are not hashed yet */
    const scim_error *error;
} batching;

/* What is to be hashed shows in a run, and is hashed between this and the next:
 * once, but where a user gets several passwords, or somebody sets one meanwhile.
 * In this one, the last, under the lock. */
#define BATCH_RUNS 4

static scim_kv_rc run_batch(scim_kv_txn *txn, void *baton)
{
    batching *b = baton;
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    b->batch.view.txn = txn;
    b->error = b->fn(&b->batch, b->baton);
    b->again = !b->error && !b->batch.hash_now && !secret_memo_settled(b->batch.secrets);
    return b->error || b->again ? SCIM_KV_REFUSED : SCIM_KV_OK;
}

const scim_error *scim_store_batch(scim_store *store, scim_batch_fn fn, void *baton,
                                   apr_pool_t *result_pool)
{
    batching b = {.fn = fn, .baton = baton};
    secret_memo *secrets = secret_memo_make(result_pool);
    scim_kv_rc rc;

    do {
        SCIM_ERR(secret_memo_settle(secrets));
        secret_memo_rewind(secrets);
        b.again = false;
        b.batch = (scim_batch){.view = {store, NULL, result_pool, apr_hash_make(result_pool)},
                               .secrets = secrets,
                               .hash_now = ++b.runs == BATCH_RUNS};
        rc = scim_kv_update_exclusive(store->kv, run_batch, &b);
    } while (rc == SCIM_KV_REFUSED && b.again);
    if (rc == SCIM_KV_REFUSED && b.error) {
        return b.error;
    }
    return scim_store_error(result_pool, rc, "committing a batch");
}

const scim_error *scim_batch_promise(scim_id *out, scim_batch *batch, const scim_tenant *tenant,
                                     const scim_resource_type *type, apr_time_t now)
{
    const type_def *def = store_type(batch->view.store, type);
    scim_id last;
    scim_kv_rc rc = last_id(&last, batch->view.txn, tenant, def);

    if (scim_id_compare(&last, &batch->last) < 0) {
        last = batch->last;
    }
    if (rc == SCIM_KV_OK && scim_kv_far(batch->view.txn)) {
        anchor_last_minted(&last, batch->view.store, tenant, def);
    }
    if (rc == SCIM_KV_OK && !scim_id_mint(out, &last, now)) {
        rc = SCIM_KV_IO;
    }
    if (rc == SCIM_KV_OK) {
        batch->last = *out;
        apr_hash_set(batch->view.promises, apr_pmemdup(batch->view.pool, out->bytes, 16), 16,
                     def);
    }
    return scim_store_error(batch->view.pool, rc, "minting an id");
}

void scim_batch_take_back(scim_batch *batch, const scim_id *id)
{
    apr_hash_set(batch->view.promises, id->bytes, sizeof(id->bytes), NULL);
}

const scim_error *scim_batch_create(scim_change *out, scim_batch *batch,
                                    const scim_tenant *tenant, const scim_draft *draft,
                                    const scim_id *promised, bool lenient, apr_time_t now,
                                    apr_pool_t *result_pool)
{
    mutation m =
        mutation_of(MUTATION_CREATE, batch->view.store, tenant, draft->type, now, result_pool);

    m.batch = batch;
    m.inside = &batch->view;
    m.promised = promised;
    SCIM_ERR(create(out, &m, draft, lenient));
    if (promised) {
        /* From now on the record says whether it is there. */
        scim_batch_take_back(batch, promised);
    }
    return NULL;
}

const scim_error *scim_batch_change(scim_change *out, scim_batch *batch,
                                    const scim_tenant *tenant, const scim_resource_type *type,
                                    const scim_id *id, const scim_precondition *precondition,
                                    scim_draft_fn draft_fn, void *baton, bool lenient,
                                    apr_time_t now, apr_pool_t *result_pool)
{
    mutation m =
        mutation_of(MUTATION_CHANGE, batch->view.store, tenant, type, now, result_pool);

    m.batch = batch;
    m.inside = &batch->view;
    m.draft_fn = draft_fn;
    m.baton = baton;
    return change(out, &m, id, precondition, lenient);
}

const scim_error *scim_batch_delete(scim_deletion *out, scim_batch *batch,
                                    const scim_tenant *tenant, const scim_resource_type *type,
                                    const scim_id *id, const scim_precondition *precondition,
                                    apr_time_t now, apr_pool_t *result_pool)
{
    mutation m =
        mutation_of(MUTATION_DELETE, batch->view.store, tenant, type, now, result_pool);

    m.batch = batch;
    m.inside = &batch->view;
    return drop(out, &m, id, precondition);
}
