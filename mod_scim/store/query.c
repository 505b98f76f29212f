/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding resources: the narrowest index range of a conjunction gives the
 * candidates, one evaluator judges them.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/json.h"
#include "scim/text.h"
#include "scim/time.h"

#include "internal.h"

typedef enum source_kind {
    SOURCE_SCAN,   /* the resource table */
    SOURCE_NOTHING,
    SOURCE_ID,     /* one id */
    SOURCE_UNIQUE, /* a key of table u, or a prefix of some */
    SOURCE_INDEX,  /* a prefix of table i */
    SOURCE_MEMBER  /* the groups of one member */
} source_kind;

/* Where the candidates of a term come from. */
typedef struct source {
    source_kind kind;
    scim_key prefix;
    scim_id id;
    bool exact; /* every candidate matches the term */
} source;

typedef struct search {
    scim_view *view;
    const scim_tenant *tenant;
    const type_def *type;
    const scim_query *query;
    scim_record_fn found;
    void *baton;
    apr_uint64_t total; /* matches so far */
    apr_uint64_t read;  /* records read so far */
    bool exact;         /* candidates need no evaluation */
    apr_pool_t *scratch;
} search;

/* Planning */

static bool is_string_eq(const scim_filter *term)
{
    return term->kind == SCIM_FILTER_COMPARE && term->op == SCIM_OP_EQ
           && term->value.kind == SCIM_LITERAL_STRING;
}

static bool plan_id(source *out, const scim_filter *term)
{
    if (!is_string_eq(term) || term->path.attribute->role != SCIM_ROLE_ID) {
        return false;
    }
    out->kind = scim_id_parse(&out->id, term->value.text) ? SOURCE_ID : SOURCE_NOTHING;
    out->exact = true;
    return true;
}

/* members eq "x", members.value eq "x", members[value eq "x"] */
static bool plan_member(source *out, const search *s, const scim_filter *term)
{
    const scim_filter *compare = term->kind == SCIM_FILTER_ELEMENT ? term->left : term;
    const scim_attribute *members = s->type->type->members;

    if (!members || !is_string_eq(compare) || term->path.attribute != members) {
        return false;
    }
    if (scim_path_leaf(&compare->path) != members
        && strcmp(scim_path_leaf(&compare->path)->name, "value")) {
        return false;
    }
    if (!scim_id_parse(&out->id, compare->value.text)) {
        out->kind = SOURCE_NOTHING;
        return true;
    }
    out->kind = SOURCE_MEMBER;
    member_prefix(&out->prefix, SCIM_TABLE_MEMBER_OF, s->tenant, &out->id);
    out->exact = true;
    return true;
}

static bool literal_key(scim_key *key, const scim_filter_value *value,
                        const scim_attribute *leaf)
{
    unsigned char bytes[8];

    if (value->kind == SCIM_LITERAL_STRING) {
        scim_key_value(key, value->prepared, value->prepared_len);
    } else if (value->kind == SCIM_LITERAL_TIME
               || (value->kind == SCIM_LITERAL_NUMBER && value->is_integer
                   && leaf->type == SCIM_TYPE_INTEGER)) {
        apr_int64_t number = value->kind == SCIM_LITERAL_TIME ? value->time : value->integer;

        store_put_u64(bytes, (apr_uint64_t)number ^ (APR_UINT64_C(1) << 63));
        scim_key_value(key, bytes, sizeof(bytes));
    } else if (value->kind == SCIM_LITERAL_BOOLEAN) {
        bytes[0] = value->boolean ? 1 : 0;
        scim_key_value(key, bytes, 1);
    } else {
        return false;
    }
    return true;
}

/* A complex attribute that is compared stands for its "value". */
static scim_path indexed_path(const scim_path *path)
{
    scim_path out = *path;

    if (!out.sub && out.attribute->type == SCIM_TYPE_COMPLEX) {
        out.sub = scim_attribute_sub(out.attribute, "value", 5);
    }
    return out;
}

static bool plan_index(source *out, const search *s, const scim_filter *term, bool exact)
{
    scim_path path = indexed_path(&term->path);
    const index_def *def = index_find(s->view->store, s->type->type, &path);

    if (!def) {
        return false;
    }
    index_prefix(&out->prefix, s->tenant, s->view->store, def);
    out->kind = def->kind == INDEX_UNIQUE ? SOURCE_UNIQUE : SOURCE_INDEX;
    out->exact = exact;
    if (term->kind == SCIM_FILTER_PRESENT) {
        /* "emails pr" is more than "emails.value pr". */
        return term->path.sub || term->path.attribute->type != SCIM_TYPE_COMPLEX;
    }
    if (term->op != SCIM_OP_EQ
        || !literal_key(&out->prefix, &term->value, scim_path_leaf(&def->path))) {
        return false;
    }
    out->exact = exact && term->value.prepared_len <= SCIM_KEY_VALUE_MAX;
    return true;
}

/* emails[type eq "work" and value eq "x"]: candidates by one of its terms.
 * Inside the brackets a term names the sub-attribute alone. */
static bool plan_element(source *out, const search *s, const scim_filter *element,
                         const scim_filter *term)
{
    scim_filter whole = *term;

    if (term->kind == SCIM_FILTER_AND) {
        return plan_element(out, s, element, term->left)
               || plan_element(out, s, element, term->right);
    }
    if (term->kind != SCIM_FILTER_COMPARE
        || element->path.attribute->type != SCIM_TYPE_COMPLEX) {
        return false;
    }
    whole.path = element->path;
    whole.path.sub = term->path.attribute;
    return plan_index(out, s, &whole, false);
}

static bool plan_term(source *out, const search *s, const scim_filter *term)
{
    if (plan_id(out, term) || plan_member(out, s, term)) {
        return true;
    }
    switch (term->kind) {
    case SCIM_FILTER_ELEMENT:
        return plan_element(out, s, term, term->left);
    case SCIM_FILTER_COMPARE:
    case SCIM_FILTER_PRESENT:
        return plan_index(out, s, term, true);
    default:
        return false;
    }
}

/* How many candidates a source has, counted up to limit. */
static apr_uint64_t width(const search *s, const source *from, apr_uint64_t limit)
{
    scim_kv_cursor *cursor;
    apr_uint64_t count = 0;
    scim_slice key;
    scim_kv_rc rc;

    if (from->kind == SOURCE_NOTHING || from->kind == SOURCE_ID) {
        return from->kind == SOURCE_ID;
    }
    cursor = scim_kv_cursor_open(s->view->txn);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from->prefix), &key, NULL);
         rc == SCIM_KV_OK && count < limit && scim_key_has_prefix(key, &from->prefix, NULL);
         rc = scim_kv_next(cursor, &key, NULL)) {
        count++;
    }
    return count;
}

/* The narrowest of the terms that and joins; SCAN where no index serves. */
static void plan(source *best, apr_uint64_t *best_width, const search *s,
                 const scim_filter *term)
{
    source candidate;
    apr_uint64_t count;

    if (term->kind == SCIM_FILTER_AND) {
        plan(best, best_width, s, term->left);
        plan(best, best_width, s, term->right);
        return;
    }
    if (!*best_width || !plan_term(&candidate, s, term)) {
        return;
    }
    count = width(s, &candidate, *best_width);
    if (best->kind == SOURCE_SCAN || count < *best_width) {
        *best = candidate;
        *best_width = count;
    }
}

/* Judging */

static json_t *make_meta(const scim_record *record, apr_pool_t *pool)
{
    char created[SCIM_TIME_LEN + 1], modified[SCIM_TIME_LEN + 1];

    return json_pack("{s:s, s:s, s:s, s:s}", "resourceType", record->type->name, "created",
                     scim_time_format(record->created, created), "lastModified",
                     scim_time_format(record->modified, modified), "version",
                     scim_etag_make(record->version, pool));
}

static json_t *as_subject(const scim_record *record, apr_pool_t *pool)
{
    json_t *json = scim_json_read_own(record->json, record->json_len, pool);
    char id[SCIM_ID_TEXT + 1];

    if (json) {
        json_object_set_new(json, "id", json_string(scim_id_format(&record->id, id)));
        json_object_set_new(json, "meta", make_meta(record, pool));
    }
    return json;
}

typedef struct subject_baton {
    search *s;
    const scim_record *record;
    json_t *members;
    json_t *groups;
} subject_baton;

static const scim_error *push_edge(const scim_edge *edge, void *baton)
{
    json_t *array = baton, *element = json_object();
    char id[SCIM_ID_TEXT + 1];

    json_object_set_new(element, "value", json_string(scim_id_format(&edge->id, id)));
    if (edge->type) {
        json_object_set_new(element, "type", json_string(edge->type->name));
        json_object_set_new(element, "$ref",
                            json_sprintf("%s/%s", edge->type->endpoint + 1, id));
    }
    if (edge->display) {
        json_object_set_new(element, "display",
                            json_stringn(edge->display, edge->display_len));
    }
    json_array_append_new(array, element);
    return NULL;
}

static const json_t *subject_edges(scim_subject *subject, const scim_attribute *attribute)
{
    subject_baton *b = subject->baton;
    scim_view view = {b->s->view->store, b->s->view->txn, b->s->scratch};
    json_t **array = attribute->role == SCIM_ROLE_MEMBERS ? &b->members : &b->groups;

    if (!*array) {
        *array = scim_json_adopt(json_array(), b->s->scratch);
        if (attribute->role == SCIM_ROLE_MEMBERS) {
            scim_member_each(&view, b->s->tenant, &b->record->id, push_edge, *array);
        } else {
            apr_array_header_t *groups;
            int i;

            if (!scim_member_groups(&groups, &view, b->s->tenant, &b->record->id)) {
                for (i = 0; i < groups->nelts; i++) {
                    push_edge(&APR_ARRAY_IDX(groups, i, scim_edge), *array);
                }
            }
        }
    }
    return *array;
}

static bool subject_has_edge(scim_subject *subject, const scim_attribute *attribute,
                             const char *value)
{
    subject_baton *b = subject->baton;
    const json_t *array, *element;
    scim_id id;
    size_t i;

    if (!scim_id_parse(&id, value)) {
        return false;
    }
    if (attribute->role == SCIM_ROLE_MEMBERS) {
        return scim_member_has(b->s->view, b->s->tenant, &b->record->id, &id);
    }
    array = subject_edges(subject, attribute);
    json_array_foreach(array, i, element) {
        if (!strcmp(scim_json_string(element, "value"), value)) {
            return true;
        }
    }
    return false;
}

static const scim_error *judge(bool *matches, search *s, const scim_record *record)
{
    subject_baton b = {s, record, NULL, NULL};
    scim_subject subject = {s->type->type, NULL, subject_edges, subject_has_edge, &b};

    apr_pool_clear(s->scratch);
    subject.resource = as_subject(record, s->scratch);
    if (!subject.resource) {
        return scim_store_error(s->view->pool, SCIM_KV_CORRUPT, "parsing a resource");
    }
    *matches = scim_filter_match(s->query->filter, &subject, s->scratch);
    return NULL;
}

/* Whether the next match stands on the page. */
static bool on_page(const search *s)
{
    return s->total + 1 >= s->query->start
           && s->total + 1 - s->query->start < s->query->count;
}

static const scim_error *too_many(const search *s)
{
    return scim_error_make(s->view->pool, SCIM_E_TOO_MANY,
                           "This filter would have to read more than %" APR_UINT64_T_FMT
                           " resources: add a term on an indexed attribute (SCIMIndex), "
                           "or ask the administrator for a higher SCIMScanLimit",
                           s->view->store->scan_limit);
}

/* One candidate with its record's bytes. */
static const scim_error *consider(search *s, const scim_id *id, const record_head *head)
{
    scim_record record;
    bool matches = true;

    if (s->view->store->scan_limit && ++s->read > s->view->store->scan_limit) {
        return too_many(s);
    }
    if (s->exact && !on_page(s)) {
        s->total++;
        return NULL;
    }
    record_fill(&record, s->view->txn, s->tenant, s->type, id, head);
    if (!s->exact) {
        SCIM_ERR(judge(&matches, s, &record));
    }
    if (!matches) {
        return NULL;
    }
    if (on_page(s)) {
        SCIM_ERR(s->found(s->view, &record, s->baton));
    }
    s->total++;
    return NULL;
}

static const scim_error *consider_id(search *s, const scim_id *id)
{
    record_head head;
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, s->tenant, s->type, id);
    rc = record_read(&head, s->view->txn, &key);
    if (rc == SCIM_KV_NOTFOUND) {
        return NULL;
    }
    SCIM_ERR(scim_store_error(s->view->pool, rc, "reading a resource"));
    return consider(s, id, &head);
}

/* Walking */

/* All records of the type, from the first; where nothing is to be judged, the
 * count is known and the walk ends with the page. */
static const scim_error *walk_records(search *s)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(s->view->txn);
    bool unfiltered = !s->query->filter;
    scim_key prefix;
    scim_slice key, value, rest;
    scim_kv_rc rc;

    record_prefix(&prefix, s->tenant, s->type);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&prefix), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, &rest);
         rc = scim_kv_next(cursor, &key, &value)) {
        record_head head = {0};
        scim_id id;

        if (unfiltered && s->total + 1 >= s->query->start + s->query->count) {
            break;
        }
        if (unfiltered && !on_page(s)) {
            s->total++;
            continue;
        }
        if (rest.len != sizeof(id.bytes) || !record_decode(&head, key, value)) {
            return scim_store_error(s->view->pool, SCIM_KV_CORRUPT, "reading a resource");
        }
        memcpy(id.bytes, rest.data, sizeof(id.bytes));
        SCIM_ERR(consider(s, &id, &head));
    }
    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return scim_store_error(s->view->pool, rc, "reading resources");
    }
    if (unfiltered) {
        counter_key_type(&prefix, s->tenant, s->type);
        s->total = (apr_uint64_t)counter_read(s->view->txn, &prefix);
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return scim_id_compare(a, b);
}

/* The candidate's id: behind the value in table i and o, the value in u. */
static bool row_id(scim_id *out, const source *from, scim_slice key, scim_slice value)
{
    const unsigned char *at;

    if (from->kind == SOURCE_UNIQUE) {
        if (value.len != STORE_SEAL + sizeof(out->bytes) || !store_sealed(key, value)) {
            return false;
        }
        at = (const unsigned char *)value.data + STORE_SEAL;
    } else {
        if (key.len < sizeof(out->bytes)) {
            return false;
        }
        at = (const unsigned char *)key.data + key.len - sizeof(out->bytes);
    }
    memcpy(out->bytes, at, sizeof(out->bytes));
    return true;
}

/* The ids of an index range, in the order of creation, each once. */
static const scim_error *gather(apr_array_header_t *ids, search *s, const source *from)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(s->view->txn);
    scim_slice key, value;
    scim_kv_rc rc;
    int i, kept = 0;

    for (rc = scim_kv_seek(cursor, scim_key_slice(&from->prefix), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from->prefix, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        if (!row_id(apr_array_push(ids), from, key, value)) {
            return scim_store_error(s->view->pool, SCIM_KV_CORRUPT, "reading an index");
        }
        if (s->view->store->scan_limit
            && (apr_uint64_t)ids->nelts > s->view->store->scan_limit) {
            return too_many(s);
        }
    }
    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return scim_store_error(s->view->pool, rc, "reading an index");
    }
    qsort(ids->elts, (size_t)ids->nelts, sizeof(scim_id), compare_ids);
    for (i = 0; i < ids->nelts; i++) {
        scim_id *all = (scim_id *)ids->elts;

        if (!kept || scim_id_compare(&all[kept - 1], &all[i])) {
            all[kept++] = all[i];
        }
    }
    ids->nelts = kept;
    return NULL;
}

static const scim_error *walk_source(search *s, const source *from)
{
    apr_array_header_t *ids = apr_array_make(s->view->pool, 16, sizeof(scim_id));
    int i;

    if (from->kind == SOURCE_NOTHING) {
        return NULL;
    }
    if (from->kind == SOURCE_ID) {
        return consider_id(s, &from->id);
    }
    SCIM_ERR(gather(ids, s, from));
    for (i = 0; i < ids->nelts; i++) {
        SCIM_ERR(consider_id(s, &APR_ARRAY_IDX(ids, i, scim_id)));
    }
    return NULL;
}

const scim_error *scim_resource_query(apr_uint64_t *total, scim_view *view,
                                      const scim_tenant *tenant, const scim_query *query,
                                      scim_record_fn found, void *baton)
{
    search s = {.view = view, .tenant = tenant, .type = store_type(view->store, query->type),
                .query = query, .found = found, .baton = baton, .exact = !query->filter};
    source from = {.kind = SOURCE_SCAN};
    apr_uint64_t best = APR_UINT64_MAX;
    const scim_error *err;

    apr_pool_create(&s.scratch, view->pool);
    if (query->filter) {
        plan(&from, &best, &s, query->filter);
    }
    if (from.kind == SOURCE_SCAN) {
        err = walk_records(&s);
    } else {
        s.exact = from.exact && query->filter->kind != SCIM_FILTER_AND;
        err = walk_source(&s, &from);
    }
    apr_pool_destroy(s.scratch);
    *total = s.total;
    return err;
}
