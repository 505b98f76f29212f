/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification: one walk over all rows in the order of their keys.  Each row is
 * judged by itself and against those that it must agree with, which are looked
 * up in the same view, in both directions: a record's rows by the record, and
 * each row by the record that it leads to.
 */
#include "scim/verify.h"

#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/json.h"

#include "internal.h"

#define ROWS_A_VIEW 500

#define TENANT_AT 1 /* in the keys of all that belongs to a tenant */
#define ID_LEN 16
#define BODY_AT (TENANT_AT + 4)

#define BRAKE 'D' /* in table c, where all others are counters */

static const char altered[] = "the value was altered: its seal does not hold";
static const char bad_key[] = "the key is none of its table";
static const char bad_value[] = "the value cannot be read";

/* A number of the system table, and what it stands for. */
typedef struct numbered {
    apr_uint16_t number;
    const char *type;      /* "User" */
    const char *attribute; /* of an index: "emails.value" */
} numbered;

/* The resources of a type in a tenant, as far as they were met. */
typedef struct tally {
    unsigned char key[4 + 2]; /* tenant, type */
    apr_int64_t met;
} tally;

/* The members of the group that the walk is in. */
typedef struct member_run {
    bool open;
    apr_uint32_t tenant;
    scim_id group;
    bool there; /* else nothing counts them */
    apr_int64_t met;
} member_run;

typedef struct verifying {
    scim_store *store;
    const scim_verify_watcher *watcher;
    scim_verification *out;
    const char *only;            /* the name of a tenant, or NULL */
    apr_hash_t *tenants;         /* number -> name */
    apr_hash_t *strangers;       /* numbers that no tenant has, told already */
    apr_array_header_t *types;   /* of numbered */
    apr_array_header_t *indexes; /* of numbered */
    bool fresh;                  /* all four were read in the present view */
    bool incomplete_tenants;     /* a row that says more is damaged */
    bool incomplete_numbers;
    apr_hash_t *tallies;
    member_run run;
    scim_view view;     /* the present one; its pool is cleared behind each row */
    apr_uint32_t asked; /* in this view, whether this tenant is being deleted; 0: none was */
    bool deleting;      /* and it is */
    scim_key prefix;    /* of the walk */
    scim_key last;      /* where it stands; empty before the first row */
    bool done;
    apr_pool_t *pool; /* of the whole */
} verifying;

/* A row of the walk. */
typedef struct row {
    scim_slice key;
    scim_slice value;
    const unsigned char *at; /* the bytes of the key */
    apr_uint32_t tenant;     /* where the table has them */
    const char *tenant_name;
} row;

const char *store_table_name(unsigned char table)
{
    switch (table) {
    case SCIM_TABLE_SYSTEM:
        return "system";
    case SCIM_TABLE_TENANT:
        return "tenant";
    case SCIM_TABLE_TOKEN:
        return "token";
    case SCIM_TABLE_RESOURCE:
        return "resource";
    case SCIM_TABLE_SECRET:
        return "secret";
    case SCIM_TABLE_INDEX:
        return "index";
    case SCIM_TABLE_MEMBER:
        return "member";
    case SCIM_TABLE_MEMBER_OF:
        return "member_of";
    case SCIM_TABLE_REFERS:
        return "refers";
    case SCIM_TABLE_COUNTER:
        return "counter";
    case SCIM_TABLE_ANCHOR:
        return "anchor";
    case SCIM_TABLE_PENDING:
        return "pending";
    case SCIM_TABLE_MAKING:
        return "making";
    default:
        return "unknown";
    }
}

/* Reporting */

static void report(verifying *v, const scim_finding *finding)
{
    v->out->findings++;
    v->watcher->found(finding, v->watcher->baton);
}

static const char *id_text(const void *id, apr_pool_t *pool)
{
    scim_id copy;

    memcpy(copy.bytes, id, sizeof(copy.bytes));
    return scim_id_format(&copy, apr_palloc(pool, SCIM_ID_TEXT + 1));
}

/* Of a row that an id and a type stand for; both may be NULL. */
static void find_fault(verifying *v, const row *r, const char *what, const char *type,
                       const void *id)
{
    scim_finding finding = {.table = store_table_name(r->at[0]),
                            .what = what,
                            .tenant = r->tenant_name,
                            .type = type,
                            .id = id ? id_text(id, v->view.pool) : NULL};

    report(v, &finding);
}

/* Of a row that has a name. */
static void find_named_fault(verifying *v, const row *r, const char *what, const char *name)
{
    scim_finding finding = {.table = store_table_name(r->at[0]),
                            .what = what,
                            .tenant = r->tenant_name,
                            .id = name};

    report(v, &finding);
}

/* What the store knows of numbers */

static void learn_tenant(verifying *v, scim_slice key, scim_slice value)
{
    apr_uint32_t number;

    if (!store_sealed(key, value) || value.len < STORE_SEAL + 4) {
        v->incomplete_tenants = true;
        return;
    }
    number = store_get_u32((const unsigned char *)value.data + STORE_SEAL);
    if (!apr_hash_get(v->tenants, &number, sizeof(number))) {
        apr_hash_set(v->tenants, apr_pmemdup(v->pool, &number, sizeof(number)), sizeof(number),
                     apr_pstrmemdup(v->pool, (const char *)key.data + 1, key.len - 1));
    }
}

static const numbered *numbered_by(const apr_array_header_t *all, apr_uint16_t number)
{
    int i;

    for (i = 0; i < all->nelts; i++) {
        if (APR_ARRAY_IDX(all, i, numbered).number == number) {
            return &APR_ARRAY_IDX(all, i, numbered);
        }
    }
    return NULL;
}

/* "stype/User", "sindex/u/User/userName".  It may come here in every view: what
 * is known already takes no memory that stays. */
static void learn_number(verifying *v, scim_slice key, scim_slice value)
{
    const char *name = apr_pstrmemdup(v->view.pool, (const char *)key.data + 1, key.len - 1);
    bool is_type = !strncmp(name, "type/", 5);
    apr_array_header_t *known = is_type ? v->types : v->indexes;
    numbered one = {0};
    char *slash;

    if (!is_type && (strncmp(name, "index/", 6) || strlen(name) < 9)) {
        return;
    }
    if (!store_sealed(key, value) || value.len != STORE_SEAL + 2) {
        v->incomplete_numbers = true;
        return;
    }
    one.number = store_get_u16((const unsigned char *)value.data + STORE_SEAL);
    if (numbered_by(known, one.number)) {
        return;
    }
    one.type = apr_pstrdup(v->pool, name + (is_type ? 5 : 8));
    slash = is_type ? NULL : strchr(one.type, '/');
    if (slash) {
        *slash = '\0';
        one.attribute = slash + 1;
    }
    APR_ARRAY_PUSH(known, numbered) = one;
}

/* What the store read when it was opened. */
static void take_known(verifying *v)
{
    int i;

    for (i = 0; i < v->store->types_count; i++) {
        const type_def *type = &v->store->types[i];

        APR_ARRAY_PUSH(v->types, numbered) = (numbered){type->number, type->type->name, NULL};
    }
    for (i = 0; i < v->store->indexes_count; i++) {
        const index_def *def = &v->store->indexes[i];

        APR_ARRAY_PUSH(v->indexes, numbered) =
            (numbered){def->number, def->type->name, def->name};
    }
}

typedef void (*learn_fn)(verifying *v, scim_slice key, scim_slice value);

static scim_kv_rc learn_table(verifying *v, scim_table table, learn_fn learn)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(v->view.txn);
    scim_slice key, value;
    scim_key from;
    scim_kv_rc rc;

    scim_key_begin(&from, table);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        learn(v, key, value);
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Once a view at most: for what is not known yet, since it may be new. */
static scim_kv_rc learn(verifying *v)
{
    scim_kv_rc rc;

    if (v->fresh) {
        return SCIM_KV_OK;
    }
    v->fresh = true;
    rc = learn_table(v, SCIM_TABLE_TENANT, learn_tenant);
    return rc == SCIM_KV_OK ? learn_table(v, SCIM_TABLE_SYSTEM, learn_number) : rc;
}

static scim_kv_rc name_of_tenant(const char **out, verifying *v, apr_uint32_t number)
{
    scim_kv_rc rc = SCIM_KV_OK;

    *out = apr_hash_get(v->tenants, &number, sizeof(number));
    if (!*out) {
        rc = learn(v);
        *out = apr_hash_get(v->tenants, &number, sizeof(number));
    }
    return rc;
}

/* Of a tenant that is being deleted a part is gone already: nothing that is left of it has
 * to agree with anything.  It is asked in each view, since it may have begun meanwhile. */
static bool is_being_deleted(verifying *v, apr_uint32_t number, const char *name)
{
    scim_tenant tenant;

    if (v->asked != number) {
        v->asked = number;
        v->deleting = name && !tenant_read(&tenant, &v->view, name) &&
                      tenant.number == number && tenant.deleting;
    }
    return v->deleting;
}

static scim_kv_rc lookup(const numbered **out, verifying *v, const apr_array_header_t *all,
                         apr_uint16_t number)
{
    scim_kv_rc rc = SCIM_KV_OK;

    *out = numbered_by(all, number);
    if (!*out) {
        rc = learn(v);
        *out = numbered_by(all, number);
    }
    return rc;
}

/* Looking up */

static scim_kv_rc has_key(bool *out, const verifying *v, const scim_key *key)
{
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(v->view.txn, scim_key_slice(key), &value);

    *out = rc == SCIM_KV_OK;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static void resource_key(scim_key *key, apr_uint32_t tenant, apr_uint16_t type, const void *id)
{
    scim_key_begin(key, SCIM_TABLE_RESOURCE);
    scim_key_u32(key, tenant);
    scim_key_u16(key, type);
    scim_key_bytes(key, id, ID_LEN);
}

static scim_kv_rc find_known(const numbered **out, const verifying *v, apr_uint32_t tenant,
                             const void *id)
{
    scim_kv_rc rc = SCIM_KV_OK;
    bool there = false;
    int i;

    *out = NULL;
    for (i = 0; i < v->types->nelts && !there && rc == SCIM_KV_OK; i++) {
        const numbered *type = &APR_ARRAY_IDX(v->types, i, numbered);
        scim_key key;

        resource_key(&key, tenant, type->number, id);
        rc = has_key(&there, v, &key);
        *out = there ? type : NULL;
    }
    return rc;
}

/* *out: the type of the resource with an id, of whatever type; NULL: there is
 * none. */
static scim_kv_rc find_resource(const numbered **out, verifying *v, apr_uint32_t tenant,
                                const void *id)
{
    scim_kv_rc rc = find_known(out, v, tenant, id);

    if (rc == SCIM_KV_OK && !*out && !v->fresh) {
        rc = learn(v);
        rc = rc == SCIM_KV_OK ? find_known(out, v, tenant, id) : rc;
    }
    return rc;
}

/* The same of one that may have members. */
static scim_kv_rc find_group(const numbered **out, verifying *v, apr_uint32_t tenant,
                             const void *id)
{
    scim_kv_rc rc = find_resource(out, v, tenant, id);
    const type_def *type = *out ? store_type_number(v->store, (*out)->number) : NULL;

    if (type && !type->type->members) {
        *out = NULL;
    }
    return rc;
}

static scim_kv_rc is_pending(bool *out, const verifying *v, apr_uint32_t tenant, const void *id)
{
    scim_key key;

    scim_key_begin(&key, SCIM_TABLE_PENDING);
    scim_key_u32(&key, tenant);
    scim_key_bytes(&key, id, ID_LEN);
    return has_key(out, v, &key);
}

static scim_kv_rc count_prefix(apr_int64_t *out, const verifying *v, const scim_key *prefix,
                               apr_int64_t limit)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(v->view.txn);
    scim_slice key;
    scim_kv_rc rc;

    *out = 0;
    for (rc = scim_kv_seek(cursor, scim_key_slice(prefix), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, prefix, NULL) && *out < limit;
         rc = scim_kv_next(cursor, &key, NULL)) {
        ++*out;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* A table's key up to a group. */
static void group_prefix(scim_key *key, scim_table table, apr_uint32_t tenant,
                         const void *group)
{
    scim_key_begin(key, table);
    scim_key_u32(key, tenant);
    scim_key_bytes(key, group, ID_LEN);
}

/* Resources and the rows that their JSON has */

/* Whether the JSON is of the schema that the registry has for its type: one
 * that stands in for it has other rows. */
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

static apr_array_header_t *rows_of(verifying *v, apr_uint32_t tenant, const type_def *type,
                                   const json_t *json)
{
    scim_tenant owner = {.number = tenant};

    return index_rows(v->store, &owner, type->type, json, v->view.pool);
}

static unsigned char table_of(index_kind kind)
{
    return kind == INDEX_REFERENCE ? SCIM_TABLE_REFERS : SCIM_TABLE_INDEX;
}

static void find_index_fault(verifying *v, const row *r, const index_row *index,
                             const char *what, const void *id)
{
    scim_finding finding = {.table = store_table_name(table_of(index->def->kind)),
                            .what = what,
                            .tenant = r->tenant_name,
                            .type = index->def->type->name,
                            .id = id_text(id, v->view.pool),
                            .attribute = index->def->name};

    report(v, &finding);
}

/* A row that a record must have.  One that is altered is told where the walk
 * comes to it. */
static scim_kv_rc check_expected(verifying *v, const row *r, const index_row *index,
                                 const void *id)
{
    bool unique = index->def->kind == INDEX_UNIQUE;
    scim_slice value;
    scim_key key = {0};
    scim_kv_rc rc;

    scim_key_bytes(&key, index->key.data, index->key.len);
    if (!unique) {
        scim_key_bytes(&key, id, ID_LEN);
    }
    rc = scim_kv_get(v->view.txn, scim_key_slice(&key), &value);
    if (rc == SCIM_KV_NOTFOUND) {
        find_index_fault(v, r, index, "the row that the resource has here is missing", id);
        return SCIM_KV_OK;
    }
    if (rc == SCIM_KV_OK && unique && store_sealed(scim_key_slice(&key), value) &&
        value.len == STORE_SEAL + ID_LEN &&
        memcmp((const char *)value.data + STORE_SEAL, id, ID_LEN)) {
        find_index_fault(v, r, index, "the value that must be unique is another resource's",
                         id);
    }
    return rc;
}

static scim_kv_rc check_rows(verifying *v, const row *r, const type_def *type,
                             const json_t *json, const void *id)
{
    apr_array_header_t *rows = rows_of(v, r->tenant, type, json);
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    for (i = 0; i < rows->nelts && rc == SCIM_KV_OK; i++) {
        rc = check_expected(v, r, &APR_ARRAY_IDX(rows, i, index_row), id);
    }
    return rc;
}

/* What is wrong with a record by itself; NULL: nothing. */
static const char *fault_of(const record_head *head, const json_t *json)
{
    static const char start[] = "{\"schemas\":";
    const char *display;
    apr_size_t len;

    if (!json) {
        return "its JSON cannot be parsed";
    }
    if (head->json_len < sizeof(start) - 1 || memcmp(head->json, start, sizeof(start) - 1)) {
        return "its JSON does not begin with its schemas";
    }
    if (head->inactive != json_is_false(json_object_get(json, "active"))) {
        return "it is marked active, or inactive, other than its JSON says";
    }
    display = record_display(json, &len);
    if (len != head->display_len || memcmp(display ? display : "", head->display, len)) {
        return "it is marked with another name than its JSON says";
    }
    return NULL;
}

/* *first: none of its kind was met before. */
static void count_resource(verifying *v, apr_uint32_t tenant, apr_uint16_t type, int number,
                           bool *first)
{
    tally *found, wanted = {.met = 0};

    store_put_u32(wanted.key, tenant);
    store_put_u16(wanted.key + 4, type);
    found = apr_hash_get(v->tallies, wanted.key, sizeof(wanted.key));
    if (!found) {
        found = apr_palloc(v->pool, sizeof(*found));
        *found = wanted;
        apr_hash_set(v->tallies, found->key, sizeof(found->key), found);
    }
    if (first) {
        *first = !found->met;
    }
    found->met += number;
}

/* All runs but the first are counted where their rows are met: what is in front of the
 * first row belongs to none.  The resource may be the first of all only in this view. */
static scim_kv_rc check_first_anchor(verifying *v, const row *r, const char *type)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(v->view.txn);
    scim_key prefix;
    scim_slice key;
    scim_kv_rc rc;

    prefix.len = 0;
    scim_key_bytes(&prefix, r->at, BODY_AT + 2);
    prefix.bytes[0] = SCIM_TABLE_ANCHOR;
    rc = scim_kv_seek(cursor, scim_key_slice(&prefix), &key, NULL);
    if (rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND) {
        bool counted =
            rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL) &&
            key.len == r->key.len &&
            memcmp((const char *)key.data + BODY_AT, r->at + BODY_AT, key.len - BODY_AT) <= 0;
        scim_finding finding = {.table = "anchor",
                                .what = "no row counts the first resources of the type",
                                .tenant = r->tenant_name,
                                .type = type};

        if (!counted) {
            report(v, &finding);
        }
        rc = SCIM_KV_OK;
    }
    scim_kv_cursor_close(cursor);
    return rc;
}

static scim_kv_rc check_resource(verifying *v, const row *r)
{
    const void *id = r->at + BODY_AT + 2;
    const type_def *type;
    const numbered *name;
    record_head head;
    const char *fault;
    json_t *json;
    scim_kv_rc rc;
    bool first;

    if (r->key.len != BODY_AT + 2 + ID_LEN) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    v->out->resources++;
    rc = lookup(&name, v, v->types, store_get_u16(r->at + BODY_AT));
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    count_resource(v, r->tenant, store_get_u16(r->at + BODY_AT), 1, &first);
    if (first) {
        rc = check_first_anchor(v, r, name ? name->type : NULL);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (!name && !v->incomplete_numbers) {
        find_fault(v, r, "its type has a number that no type has", NULL, id);
    }
    if (!record_decode(&head, r->key, r->value)) {
        find_fault(v, r, store_sealed(r->key, r->value) ? bad_value : altered,
                   name ? name->type : NULL, id);
        return SCIM_KV_OK;
    }
    json = scim_json_read_own(head.json, head.json_len, v->view.pool);
    fault = fault_of(&head, json);
    if (fault) {
        find_fault(v, r, fault, name ? name->type : NULL, id);
    }
    type = store_type_number(v->store, store_get_u16(r->at + BODY_AT));
    if (!json) {
        return SCIM_KV_OK;
    }
    if (!type || !is_of_type(json, type->type)) {
        v->out->unchecked++;
        return SCIM_KV_OK;
    }
    return check_rows(v, r, type, json, id);
}

/* Rows that lead to a resource */

/* Where a row of i or f leads, and its key as index_rows has it. */
typedef struct leading {
    index_kind kind;
    apr_uint16_t index;
    const void *id;
    scim_slice key;
} leading;

/* Of a unique index: the id is the value. */
static const char *read_unique(leading *out, const row *r)
{
    out->id = (const char *)r->value.data + STORE_SEAL;
    if (!store_sealed(r->key, r->value)) {
        return altered;
    }
    return r->value.len == STORE_SEAL + ID_LEN ? NULL : bad_value;
}

/* What is wrong with the row by itself; NULL: nothing.  Which kind of index it
 * is of shows in its value. */
static const char *read_leading(leading *out, const row *r)
{
    bool refers = r->at[0] == SCIM_TABLE_REFERS, unique = !refers && r->value.len;
    apr_size_t end = unique ? 2 : 2 + ID_LEN, from = refers ? ID_LEN : 1;
    apr_size_t least = BODY_AT + from + end;

    if (r->key.len < least || (refers && r->key.len != least)) {
        return bad_key;
    }
    out->kind = refers ? INDEX_REFERENCE : unique ? INDEX_UNIQUE : INDEX_ORDERED;
    out->index = store_get_u16(r->at + r->key.len - end);
    out->key = r->key;
    if (unique) {
        return read_unique(out, r);
    }
    out->key.len -= ID_LEN;
    out->id = r->at + out->key.len;
    return r->value.len ? "the value is not empty" : NULL;
}

static bool has_row(const apr_array_header_t *rows, const index_def *def, scim_slice key)
{
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const index_row *index = &APR_ARRAY_IDX(rows, i, index_row);

        if (index->def == def && index->key.len == key.len &&
            !memcmp(index->key.data, key.data, key.len)) {
            return true;
        }
    }
    return false;
}

/* Whether the resource that a row leads to has it; NULL, or what is wrong. A
 * record that cannot be read is told where the walk comes to it. */
static scim_kv_rc judge_leading(const char **fault, verifying *v, const row *r,
                                const index_def *def, const leading *l)
{
    const type_def *type = store_type(v->store, def->type);
    record_head head;
    scim_slice value;
    scim_key key;
    json_t *json;
    scim_kv_rc rc;

    *fault = NULL;
    resource_key(&key, r->tenant, type->number, l->id);
    rc = scim_kv_get(v->view.txn, scim_key_slice(&key), &value);
    if (rc == SCIM_KV_NOTFOUND) {
        *fault = "it leads to a resource that is not there";
        return SCIM_KV_OK;
    }
    if (rc != SCIM_KV_OK || !record_decode(&head, scim_key_slice(&key), value)) {
        return rc;
    }
    json = scim_json_read_own(head.json, head.json_len, v->view.pool);
    if (!json) {
        return SCIM_KV_OK;
    }
    if (!is_of_type(json, type->type)) {
        v->out->unchecked++;
    } else if (!has_row(rows_of(v, r->tenant, type, json), def, l->key)) {
        *fault = "it leads to a resource that has another value";
    }
    return SCIM_KV_OK;
}

static scim_kv_rc check_leading(verifying *v, const row *r)
{
    const numbered *name;
    const index_def *def;
    leading l = {0};
    const char *fault = read_leading(&l, r);
    scim_finding finding = {.table = store_table_name(r->at[0]), .tenant = r->tenant_name};
    scim_kv_rc rc;

    if (fault == bad_key) {
        find_fault(v, r, fault, NULL, NULL);
        return SCIM_KV_OK;
    }
    rc = lookup(&name, v, v->indexes, l.index);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    def = name ? index_numbered(v->store, l.index) : NULL;
    if (!fault && !name && !v->incomplete_numbers) {
        fault = "its index has a number that no index has";
    } else if (!fault && !def) {
        v->out->unchecked++;
    } else if (!fault && def->kind != l.kind) {
        fault = "its index has rows of another kind";
    } else if (!fault) {
        rc = judge_leading(&fault, v, r, def, &l);
    }
    if (fault) {
        finding.what = fault;
        finding.type = name ? name->type : NULL;
        finding.attribute = name ? name->attribute : NULL;
        finding.id =
            fault == altered || fault == bad_value ? NULL : id_text(l.id, v->view.pool);
        report(v, &finding);
    }
    return rc;
}

/* Memberships */

/* What a counter of members, or of changes, says. */
static scim_kv_rc read_counter(apr_int64_t *out, const verifying *v, store_counter which,
                               apr_uint32_t tenant, const scim_id *group)
{
    scim_tenant owner = {.number = tenant};
    scim_key key;
    scim_kv_rc rc;

    counter_key_group(&key, &owner, which, group);
    rc = counter_read(out, v->view.txn, &key);
    return rc == SCIM_KV_CORRUPT ? SCIM_KV_OK : rc; /* told where the walk comes to it */
}

static scim_finding count_fault(verifying *v, apr_int64_t said, apr_int64_t counted)
{
    return (scim_finding){.table = "counter",
                          .what = apr_psprintf(v->view.pool,
                                               "it says %" APR_INT64_T_FMT
                                               ", and there are %" APR_INT64_T_FMT,
                                               said, counted)};
}

/* The members that the walk met may be of several views: where their number is
 * not what the counter says, they are counted again in this one. */
static scim_kv_rc end_run(verifying *v)
{
    member_run run = v->run;
    apr_int64_t said = 0, counted = run.met;
    const numbered *type = NULL;
    const char *name;
    scim_key prefix;
    scim_kv_rc rc;

    v->run.open = false;
    if (!run.open || !run.there) {
        return SCIM_KV_OK;
    }
    rc = name_of_tenant(&name, v, run.tenant);
    if (rc != SCIM_KV_OK || is_being_deleted(v, run.tenant, name)) {
        return rc;
    }
    rc = read_counter(&said, v, COUNTER_MEMBERS, run.tenant, &run.group);
    if (rc != SCIM_KV_OK || said == counted) {
        return rc;
    }
    group_prefix(&prefix, SCIM_TABLE_MEMBER, run.tenant, run.group.bytes);
    rc = count_prefix(&counted, v, &prefix, APR_INT64_MAX);
    if (rc == SCIM_KV_OK) {
        rc = find_group(&type, v, run.tenant, run.group.bytes);
    }
    /* A group that is gone meanwhile counts nothing. */
    if (rc == SCIM_KV_OK && type && said != counted) {
        scim_finding finding = count_fault(v, said, counted);

        finding.tenant = name;
        finding.type = type->type;
        finding.id = id_text(run.group.bytes, v->view.pool);
        report(v, &finding);
    }
    return rc;
}

/* Of a new group: it is there, or its members are still to follow it. */
static scim_kv_rc begin_run(verifying *v, const row *r)
{
    const void *group = r->at + BODY_AT;
    const numbered *type;
    bool pending = false;
    scim_kv_rc rc = find_group(&type, v, r->tenant, group);

    if (rc == SCIM_KV_OK && !type) {
        rc = is_pending(&pending, v, r->tenant, group);
    }
    v->run = (member_run){.open = true, .tenant = r->tenant, .there = type != NULL};
    memcpy(v->run.group.bytes, group, ID_LEN);
    if (rc == SCIM_KV_OK && !type && !pending) {
        find_fault(v, r, "the group of these members is not there", NULL, group);
    }
    return rc;
}

static scim_kv_rc check_member_type(verifying *v, const row *r)
{
    apr_uint16_t number = store_get_u16((const unsigned char *)r->value.data + STORE_SEAL);
    const void *member = r->at + BODY_AT + ID_LEN;
    const numbered *type;
    scim_kv_rc rc = find_resource(&type, v, r->tenant, member);

    if (number == MEMBER_TEXT) {
        number = 0;
    }
    if (rc != SCIM_KV_OK || (type ? type->number : 0) == number) {
        return rc;
    }
    find_fault(v, r,
               type ? "the member is of another type than it is marked with"
                    : "the member is not there",
               type ? type->type : NULL, member);
    return SCIM_KV_OK;
}

/* The row of the same edge in the other table. */
static scim_kv_rc check_other_side(verifying *v, const row *r, scim_table table)
{
    bool there;
    scim_key key;
    scim_kv_rc rc;

    group_prefix(&key, table, r->tenant, r->at + BODY_AT + ID_LEN);
    scim_key_bytes(&key, r->at + BODY_AT, ID_LEN);
    rc = has_key(&there, v, &key);
    if (rc == SCIM_KV_OK && !there) {
        find_fault(v, r,
                   table == SCIM_TABLE_MEMBER ? "the group does not have this member"
                                              : "the member does not have this group",
                   NULL, r->at + BODY_AT + (table == SCIM_TABLE_MEMBER ? 0 : ID_LEN));
    }
    return rc;
}

static scim_kv_rc check_member(verifying *v, const row *r)
{
    scim_kv_rc rc = SCIM_KV_OK;

    if (r->key.len != BODY_AT + 2 * ID_LEN) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    v->out->memberships++;
    if (!v->run.open || memcmp(v->run.group.bytes, r->at + BODY_AT, ID_LEN) ||
        v->run.tenant != r->tenant) {
        rc = end_run(v);
        rc = rc == SCIM_KV_OK ? begin_run(v, r) : rc;
    }
    v->run.met++;
    if (rc == SCIM_KV_OK) {
        rc = check_other_side(v, r, SCIM_TABLE_MEMBER_OF);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (!store_sealed(r->key, r->value) || !member_readable(r->value)) {
        find_fault(v, r, store_sealed(r->key, r->value) ? bad_value : altered, NULL,
                   r->at + BODY_AT + ID_LEN);
        return SCIM_KV_OK;
    }
    return check_member_type(v, r);
}

static scim_kv_rc check_member_of(verifying *v, const row *r)
{
    if (r->key.len != BODY_AT + 2 * ID_LEN) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    if (r->value.len) {
        find_fault(v, r, "the value is not empty", NULL, r->at + BODY_AT);
    }
    return check_other_side(v, r, SCIM_TABLE_MEMBER);
}

/* Other rows of a tenant */

/* A password, or what follows a deleted group. */
static scim_kv_rc check_secret(verifying *v, const row *r)
{
    const unsigned char *rest = (const unsigned char *)r->value.data + STORE_SEAL;
    const numbered *type;
    scim_kv_rc rc;

    if (r->key.len != BODY_AT + ID_LEN) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    rc = find_resource(&type, v, r->tenant, r->at + BODY_AT);
    if (rc == SCIM_KV_OK && !type) {
        find_fault(v, r, "the user of this password is not there", NULL, r->at + BODY_AT);
    }
    if (!store_sealed(r->key, r->value)) {
        find_fault(v, r, altered, type ? type->type : NULL, r->at + BODY_AT);
    } else if (r->value.len < STORE_SEAL + 1 + 8 + 1 || rest[0] != 1) {
        find_fault(v, r, bad_value, type ? type->type : NULL, r->at + BODY_AT);
    }
    return rc;
}

static scim_kv_rc check_pending(verifying *v, const row *r)
{
    const unsigned char *rest = (const unsigned char *)r->value.data + STORE_SEAL;
    const numbered *type;
    scim_kv_rc rc;

    if (r->key.len != BODY_AT + ID_LEN) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    v->out->pending++;
    if (!store_sealed(r->key, r->value)) {
        find_fault(v, r, altered, NULL, r->at + BODY_AT);
    } else if (r->value.len != STORE_SEAL + 1 + 8 || rest[0] > SCIM_ON_DELETE_DELETE) {
        find_fault(v, r, bad_value, NULL, r->at + BODY_AT);
    }
    rc = find_resource(&type, v, r->tenant, r->at + BODY_AT);
    if (rc == SCIM_KV_OK && type) {
        find_fault(v, r, "the group that is to be gone is there", type->type, r->at + BODY_AT);
    }
    return rc;
}

/* A counter of a group; those with members are compared where they are. */
static scim_kv_rc check_group_counter(verifying *v, const row *r)
{
    const unsigned char *group = r->at + BODY_AT + 1;
    apr_int64_t said = scim_kv_counter(r->value), counted = 0;
    const numbered *type;
    scim_key prefix;
    scim_kv_rc rc = find_group(&type, v, r->tenant, group);

    if (rc == SCIM_KV_OK && !type) {
        find_fault(v, r, "the group that it counts for is not there", NULL, group);
        return rc;
    }
    if (rc == SCIM_KV_OK && r->at[BODY_AT] == COUNTER_MEMBERS && said) {
        group_prefix(&prefix, SCIM_TABLE_MEMBER, r->tenant, group);
        rc = count_prefix(&counted, v, &prefix, 1);
        if (rc == SCIM_KV_OK && !counted) {
            find_fault(v, r, count_fault(v, said, 0).what, type->type, group);
        }
    }
    return rc;
}

/* Not a counter, but a row of SCIMDeleteLimit. */
static void check_brake(verifying *v, const row *r)
{
    if (r->key.len != BODY_AT + 1) {
        find_fault(v, r, bad_key, NULL, NULL);
    } else if (!store_sealed(r->key, r->value)) {
        find_fault(v, r, altered, NULL, NULL);
    } else if (r->value.len != STORE_SEAL + 8 + 4 + 1) {
        find_fault(v, r, bad_value, NULL, NULL);
    }
}

static scim_kv_rc check_counter(verifying *v, const row *r)
{
    unsigned char which = r->key.len > BODY_AT ? r->at[BODY_AT] : 0;
    apr_size_t body = which == COUNTER_RESOURCES ? 2 : ID_LEN;

    if (which == BRAKE) {
        check_brake(v, r);
        return SCIM_KV_OK;
    }
    if ((which != COUNTER_RESOURCES && which != COUNTER_MEMBERS && which != COUNTER_REVISION &&
         which != COUNTER_MODIFIED) ||
        r->key.len != BODY_AT + 1 + body) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    if (r->value.len != 8) {
        find_fault(v, r, bad_value, NULL,
                   which == COUNTER_RESOURCES ? NULL : r->at + BODY_AT + 1);
        return SCIM_KV_OK;
    }
    if (which == COUNTER_RESOURCES) {
        /* To be compared at the end, where no resource of it is met, too. */
        count_resource(v, r->tenant, store_get_u16(r->at + BODY_AT + 1), 0, NULL);
        return SCIM_KV_OK;
    }
    return check_group_counter(v, r);
}

/* Anchors */

#define ANCHOR_LEN (BODY_AT + 2 + ID_LEN)

/* The resources of a run: those from the id of its row to that of the next. */
static scim_kv_rc count_run(apr_int64_t *out, const verifying *v, const row *r)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(v->view.txn);
    scim_key prefix, next, from;
    scim_slice key;
    scim_kv_rc rc;

    prefix.len = next.len = from.len = 0;
    scim_key_bytes(&next, r->at, ANCHOR_LEN);
    scim_key_bytes(&next, "", 1);
    scim_key_bytes(&prefix, r->at, ANCHOR_LEN - ID_LEN);
    rc = scim_kv_seek(cursor, scim_key_slice(&next), &key, NULL);
    next.len = 0;
    if (rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL)) {
        scim_key_bytes(&next, key.data, key.len);
    }
    prefix.bytes[0] = SCIM_TABLE_RESOURCE;
    next.bytes[0] = SCIM_TABLE_RESOURCE;
    scim_key_bytes(&from, r->at, ANCHOR_LEN);
    from.bytes[0] = SCIM_TABLE_RESOURCE;
    *out = 0;
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, NULL) &&
         (!next.len || memcmp(key.data, next.bytes, key.len) < 0);
         rc = scim_kv_next(cursor, &key, NULL)) {
        ++*out;
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc check_anchor(verifying *v, const row *r)
{
    apr_int64_t said, counted;
    scim_kv_rc rc;

    if (r->key.len != ANCHOR_LEN || r->value.len != 8) {
        find_fault(v, r, r->key.len != ANCHOR_LEN ? bad_key : bad_value, NULL, NULL);
        return SCIM_KV_OK;
    }
    said = scim_kv_counter(r->value);
    rc = count_run(&counted, v, r);
    if (rc == SCIM_KV_OK && said != counted) {
        find_fault(v, r, count_fault(v, said, counted).what, NULL, r->at + ANCHOR_LEN - ID_LEN);
    }
    return rc;
}

/* Tables that belong to no tenant */

static scim_kv_rc check_tenant(verifying *v, const row *r)
{
    const char *name = apr_pstrmemdup(v->view.pool, (const char *)r->at + 1, r->key.len - 1);
    const char *other = NULL;
    scim_tenant tenant;

    if (!store_sealed(r->key, r->value)) {
        find_named_fault(v, r, altered, name);
        return SCIM_KV_OK;
    }
    if (tenant_read(&tenant, &v->view, name)) {
        find_named_fault(v, r, bad_value, name);
        return SCIM_KV_OK;
    }
    if (name_of_tenant(&other, v, tenant.number) == SCIM_KV_OK && strcmp(other, name)) {
        find_named_fault(
            v, r, apr_psprintf(v->view.pool, "it has the number of tenant %s", other), name);
    }
    return SCIM_KV_OK;
}

static scim_kv_rc check_token(verifying *v, const row *r)
{
    scim_slice rest = {(const char *)r->value.data + STORE_SEAL, r->value.len - STORE_SEAL};
    const char *name, *known;
    scim_identity token;
    row own = *r;
    scim_kv_rc rc;

    if (!store_sealed(r->key, r->value)) {
        if (!v->only) { /* whose it is cannot be known */
            find_named_fault(v, r, altered, NULL);
        }
        return SCIM_KV_OK;
    }
    if (r->key.len != 1 + 32 || !token_decode(&token, &own.tenant, &name, rest, v->view.pool)) {
        if (!v->only) {
            find_named_fault(v, r, r->key.len != 1 + 32 ? bad_key : bad_value, NULL);
        }
        return SCIM_KV_OK;
    }
    if (v->only && strcmp(v->only, name)) {
        return SCIM_KV_OK;
    }
    own.tenant_name = name;
    rc = name_of_tenant(&known, v, own.tenant);
    if (rc == SCIM_KV_OK && (known ? strcmp(known, name) != 0 : !v->incomplete_tenants)) {
        find_named_fault(v, &own, "its tenant is not there",
                         apr_psprintf(v->view.pool, "%s, the token that ends in %s",
                                      token.connection, token.hint));
    }
    return rc;
}

static bool policy_reads(verifying *v)
{
    scim_policy policy;

    return !scim_tenant_default_policy(&policy, &v->view);
}

/* Whether what stands behind the seal is what a name of the system table has. */
static bool system_value_reads(verifying *v, const char *name, scim_slice rest)
{
    if (!strncmp(name, "type/", 5) || !strncmp(name, "index/", 6)) {
        return rest.len == 2 && store_get_u16(rest.data);
    }
    if (!strcmp(name, "policy")) {
        return policy_reads(v);
    }
    return strcmp(name, "endpoints") ||
           scim_json_read_own_array(rest.data, rest.len, v->view.pool);
}

static scim_kv_rc check_system(verifying *v, const row *r)
{
    const char *name = apr_pstrmemdup(v->view.pool, (const char *)r->at + 1, r->key.len - 1);
    scim_slice rest = {(const char *)r->value.data + STORE_SEAL, r->value.len - STORE_SEAL};

    if (!strcmp(name, "tenants")) {
        if (r->value.len != 8) {
            find_named_fault(v, r, bad_value, name);
        }
    } else if (!store_sealed(r->key, r->value)) {
        find_named_fault(v, r, altered, name);
    } else if (!system_value_reads(v, name, rest)) {
        find_named_fault(v, r, bad_value, name);
    }
    return SCIM_KV_OK;
}

/* The walk */

typedef scim_kv_rc (*check_fn)(verifying *v, const row *r);

/* NULL: no table that belongs to a tenant. */
static check_fn check_of_tenants(unsigned char table)
{
    switch (table) {
    case SCIM_TABLE_RESOURCE:
        return check_resource;
    case SCIM_TABLE_SECRET:
        return check_secret;
    case SCIM_TABLE_INDEX:
    case SCIM_TABLE_REFERS:
        return check_leading;
    case SCIM_TABLE_MEMBER:
        return check_member;
    case SCIM_TABLE_MEMBER_OF:
        return check_member_of;
    case SCIM_TABLE_COUNTER:
        return check_counter;
    case SCIM_TABLE_ANCHOR:
        return check_anchor;
    case SCIM_TABLE_PENDING:
        return check_pending;
    default:
        return NULL;
    }
}

/* Of a tenant that is not there one row is told, for all of them. */
static void meet_stranger(verifying *v, row *r)
{
    apr_uint32_t *number;

    if (v->incomplete_tenants || apr_hash_get(v->strangers, &r->tenant, sizeof(r->tenant))) {
        v->out->unchecked++;
        return;
    }
    number = apr_pmemdup(v->pool, &r->tenant, sizeof(r->tenant));
    apr_hash_set(v->strangers, number, sizeof(*number), number);
    r->tenant_name = apr_psprintf(v->view.pool, "number %u", r->tenant);
    find_fault(v, r, "it belongs to a tenant that is not there, as others may", NULL, NULL);
}

static scim_kv_rc check_owned(verifying *v, row *r, check_fn check)
{
    scim_kv_rc rc;

    if (r->key.len < BODY_AT) {
        find_fault(v, r, bad_key, NULL, NULL);
        return SCIM_KV_OK;
    }
    r->tenant = store_get_u32(r->at + TENANT_AT);
    rc = name_of_tenant(&r->tenant_name, v, r->tenant);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (!r->tenant_name) {
        meet_stranger(v, r);
        return SCIM_KV_OK;
    }
    if (is_being_deleted(v, r->tenant, r->tenant_name)) {
        v->out->deleting++;
        return SCIM_KV_OK;
    }
    return check(v, r);
}

static scim_kv_rc check_row(verifying *v, scim_slice key, scim_slice value)
{
    row r = {.key = key, .value = value, .at = key.data};
    check_fn check = check_of_tenants(r.at[0]);

    if (v->store->making && store_is_making(key)) {
        return SCIM_KV_OK;
    }
    v->out->rows++;
    if (check) {
        return check_owned(v, &r, check);
    }
    switch (r.at[0]) {
    case SCIM_TABLE_SYSTEM:
        return check_system(v, &r);
    case SCIM_TABLE_TENANT:
        return check_tenant(v, &r);
    case SCIM_TABLE_TOKEN:
        return check_token(v, &r);
    default:
        find_fault(v, &r, "a row of no table", NULL, NULL);
        return SCIM_KV_OK;
    }
}

/* To the first row behind the last one that was judged. */
static scim_kv_rc go_on(verifying *v, scim_kv_cursor *cursor, scim_slice *key,
                        scim_slice *value)
{
    scim_kv_rc rc =
        scim_kv_seek(cursor, scim_key_slice(v->last.len ? &v->last : &v->prefix), key, value);

    if (rc == SCIM_KV_OK && v->last.len && key->len == v->last.len &&
        !memcmp(key->data, v->last.bytes, key->len)) {
        rc = scim_kv_next(cursor, key, value);
    }
    return rc;
}

static scim_kv_rc walk_some(verifying *v)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(v->view.txn);
    scim_slice key, value;
    scim_kv_rc rc = go_on(v, cursor, &key, &value);
    int i;

    for (i = 0;
         i < ROWS_A_VIEW && rc == SCIM_KV_OK && scim_key_has_prefix(key, &v->prefix, NULL);
         i++) {
        rc = check_row(v, key, value);
        apr_pool_clear(v->view.pool);
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        v->last.len = 0;
        scim_key_bytes(&v->last, key.data, key.len);
        rc = scim_kv_next(cursor, &key, &value);
    }
    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return rc;
    }
    v->done = i < ROWS_A_VIEW;
    return v->done ? end_run(v) : SCIM_KV_OK;
}

/* Uses the view of another for its own. */
static void take_view(verifying *v, const scim_view *view)
{
    v->view.store = view->store;
    v->view.txn = view->txn;
    v->fresh = false;
    v->asked = 0;
}

static const scim_error *walk_in_view(scim_view *view, void *baton)
{
    verifying *v = baton;

    take_view(v, view);
    return scim_store_error(view->pool, walk_some(v), "verifying");
}

static const scim_error *walk(verifying *v)
{
    v->last.len = 0;
    v->done = false;
    while (!v->done) {
        SCIM_ERR(scim_store_view(v->store, walk_in_view, v, v->pool));
        if (v->watcher->progress) {
            v->watcher->progress(v->out, v->watcher->baton);
        }
    }
    return NULL;
}

/* Counting again in one view what several gave another number for. */
static scim_kv_rc compare_tally(verifying *v, const tally *t)
{
    apr_uint32_t tenant = store_get_u32(t->key);
    apr_uint16_t number = store_get_u16(t->key + 4);
    apr_int64_t said, counted = t->met;
    const numbered *type;
    scim_finding finding;
    const char *name;
    scim_key key;
    scim_kv_rc rc = name_of_tenant(&name, v, tenant);

    if (rc != SCIM_KV_OK || is_being_deleted(v, tenant, name)) {
        return rc;
    }
    scim_key_begin(&key, SCIM_TABLE_COUNTER);
    scim_key_u32(&key, tenant);
    scim_key_bytes(&key, "T", 1);
    scim_key_u16(&key, number);
    rc = counter_read(&said, v->view.txn, &key);
    if (rc != SCIM_KV_OK || said == counted) {
        return rc == SCIM_KV_CORRUPT ? SCIM_KV_OK : rc;
    }
    scim_key_begin(&key, SCIM_TABLE_RESOURCE);
    scim_key_bytes(&key, t->key, sizeof(t->key));
    rc = count_prefix(&counted, v, &key, APR_INT64_MAX);
    if (rc != SCIM_KV_OK || said == counted) {
        return rc;
    }
    finding = count_fault(v, said, counted);
    finding.tenant = name;
    rc = lookup(&type, v, v->types, number);
    if (rc == SCIM_KV_OK) {
        finding.type = type ? type->type : NULL;
        report(v, &finding);
    }
    return rc;
}

typedef struct comparing {
    verifying *v;
    const tally *tally;
} comparing;

static const scim_error *compare_in_view(scim_view *view, void *baton)
{
    comparing *c = baton;

    take_view(c->v, view);
    return scim_store_error(view->pool, compare_tally(c->v, c->tally), "verifying counters");
}

static const scim_error *compare_tallies(verifying *v)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(v->pool, v->tallies); i; i = apr_hash_next(i)) {
        comparing c = {v, apr_hash_this_val(i)};

        SCIM_ERR(scim_store_view(v->store, compare_in_view, &c, v->pool));
        apr_pool_clear(v->view.pool);
    }
    return NULL;
}

/* The tables of one tenant, in the order of the whole walk. */
static const scim_error *walk_tenant(verifying *v, const scim_tenant *tenant)
{
    static const scim_table tables[] = {
        SCIM_TABLE_ANCHOR, SCIM_TABLE_COUNTER, SCIM_TABLE_REFERS,
        SCIM_TABLE_INDEX,  SCIM_TABLE_MEMBER,  SCIM_TABLE_MEMBER_OF,
        SCIM_TABLE_SECRET, SCIM_TABLE_PENDING, SCIM_TABLE_RESOURCE};
    apr_size_t i;

    scim_key_begin(&v->prefix, SCIM_TABLE_TOKEN);
    SCIM_ERR(walk(v));
    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        scim_key_begin(&v->prefix, tables[i]);
        scim_key_u32(&v->prefix, tenant->number);
        SCIM_ERR(walk(v));
    }
    return NULL;
}

typedef struct beginning {
    verifying *v;
    scim_tenant tenant;
} beginning;

static const scim_error *begin_in_view(scim_view *view, void *baton)
{
    beginning *b = baton;

    take_view(b->v, view);
    if (b->v->only) {
        SCIM_ERR(tenant_read(&b->tenant, view, b->v->only));
    }
    return scim_store_error(view->pool, learn(b->v), "verifying");
}

const scim_error *scim_verify(scim_verification *out, scim_store *store, const char *tenant,
                              const scim_verify_watcher *watcher, apr_pool_t *result_pool)
{
    verifying v = {
        .store = store,
        .watcher = watcher,
        .out = out,
        .only = tenant,
        .tenants = apr_hash_make(result_pool),
        .strangers = apr_hash_make(result_pool),
        .types = apr_array_make(result_pool, 8, sizeof(numbered)),
        .indexes = apr_array_make(result_pool, 16, sizeof(numbered)),
        .tallies = apr_hash_make(result_pool),
        .pool = result_pool,
    };
    beginning b = {&v, {0}};
    const scim_error *err;

    memset(out, 0, sizeof(*out));
    take_known(&v);
    apr_pool_create(&v.view.pool, result_pool);
    err = scim_store_view(store, begin_in_view, &b, result_pool);
    if (!err) {
        err = tenant ? walk_tenant(&v, &b.tenant) : walk(&v);
    }
    if (!err) {
        err = compare_tallies(&v);
    }
    apr_pool_destroy(v.view.pool);
    return err;
}
