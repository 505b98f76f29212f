/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding resources: the narrowest index range of a conjunction gives the
 * candidates, one evaluator judges them.  Without a sort, matches are handed
 * out as they are met, in the order of creation; with one, all are collected
 * first.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/json.h"
#include "scim/needle.h"
#include "scim/text.h"
#include "scim/time.h"

#include "internal.h"

/* A large record counts against the limit once more with each so many bytes: what
 * is bounded is the work, which grows with them. */
#define COUNTS_MORE 4096

typedef enum source_kind {
    SOURCE_SCAN, /* the resource table */
    SOURCE_NOTHING,
    SOURCE_ID,     /* one id */
    SOURCE_UNIQUE, /* one row of a unique index */
    SOURCE_INDEX,  /* the rows of one value */
    SOURCE_MEMBER  /* the groups of one member */
} source_kind;

/* Where the candidates of a term come from. */
typedef struct source {
    source_kind kind;
    scim_key prefix;
    scim_id id;
    bool exact; /* every candidate matches the term */
} source;

/* A match that waits for its place in a sort. */
typedef struct entry {
    scim_sort_key key;
    scim_id id;
    const type_def *type;
} entry;

typedef struct search {
    scim_view *view;
    const scim_tenant *tenant;
    const scim_query *query;
    const scim_query_part *part; /* at hand */
    const type_def *type;        /* of part */
    scim_record_fn found;
    void *baton;
    scim_page *out;
    apr_uint64_t total; /* matches so far, without those before a cursor */
    apr_uint64_t shown;
    apr_uint64_t read;           /* records looked into so far, large ones more than once */
    bool exact;                  /* candidates need no evaluation */
    scim_needle needle;          /* that a match has in its bytes; or none */
    bool done;                   /* the page is full, and what stands behind it is known */
    apr_array_header_t *entries; /* of a sort, else NULL */
    bool meta;                   /* the filter, or the sort, looks at meta */
    apr_pool_t *scratch;
} search;

/* Planning */

static bool is_string_eq(const scim_filter *term)
{
    return term->kind == SCIM_FILTER_COMPARE && term->op == SCIM_OP_EQ &&
           term->value.kind == SCIM_LITERAL_STRING;
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

/* meta.resourceType eq "x": a resource has the type of its table. */
static bool plan_type(source *out, const search *s, const scim_filter *term)
{
    const scim_attribute *leaf = scim_path_leaf(&term->path);

    if (!is_string_eq(term) || term->path.attribute->role != SCIM_ROLE_META ||
        strcmp(leaf->name, "resourceType") || !strcmp(term->value.text, s->type->type->name)) {
        return false;
    }
    out->kind = SOURCE_NOTHING;
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
    if (scim_path_leaf(&compare->path) != members &&
        strcmp(scim_path_leaf(&compare->path)->name, "value")) {
        return false;
    }
    out->exact = true;
    if (!member_id(&out->id, s->view->store, compare->value.text)) {
        out->kind = SOURCE_NOTHING;
        return true;
    }
    out->kind = SOURCE_MEMBER;
    member_prefix(&out->prefix, SCIM_TABLE_MEMBER_OF, s->tenant, &out->id);
    return true;
}

static bool literal_key(scim_key *key, const scim_tenant *tenant, const index_def *def,
                        const scim_filter_value *value)
{
    const scim_attribute *leaf = scim_path_leaf(&def->path);
    unsigned char bytes[INDEX_NUMBER];

    if (value->kind == SCIM_LITERAL_STRING) {
        index_key(key, tenant, def, value->prepared, value->prepared_len);
    } else if (value->kind == SCIM_LITERAL_TIME ||
               (value->kind == SCIM_LITERAL_NUMBER && value->is_integer &&
                leaf->type == SCIM_TYPE_INTEGER)) {
        apr_int64_t number = value->kind == SCIM_LITERAL_TIME ? value->time : value->integer;

        index_number(bytes, number);
        index_key(key, tenant, def, bytes, sizeof(bytes));
    } else if (value->kind == SCIM_LITERAL_BOOLEAN) {
        bytes[0] = value->boolean ? 1 : 0;
        index_key(key, tenant, def, bytes, 1);
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

    if (!def || term->op != SCIM_OP_EQ ||
        !literal_key(&out->prefix, s->tenant, def, &term->value)) {
        return false;
    }
    out->kind = def->kind == INDEX_UNIQUE ? SOURCE_UNIQUE : SOURCE_INDEX;
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
        return plan_element(out, s, element, term->left) ||
               plan_element(out, s, element, term->right);
    }
    if (term->kind != SCIM_FILTER_COMPARE ||
        element->path.attribute->type != SCIM_TYPE_COMPLEX) {
        return false;
    }
    whole.path = element->path;
    whole.path.sub = term->path.attribute;
    return plan_index(out, s, &whole, false);
}

static bool plan_term(source *out, const search *s, const scim_filter *term)
{
    if (plan_id(out, term) || plan_type(out, s, term) || plan_member(out, s, term)) {
        return true;
    }
    switch (term->kind) {
    case SCIM_FILTER_NEVER:
        out->kind = SOURCE_NOTHING;
        out->exact = true;
        return true;
    case SCIM_FILTER_ELEMENT:
        return plan_element(out, s, term, term->left);
    case SCIM_FILTER_COMPARE:
        return plan_index(out, s, term, true);
    default:
        return false;
    }
}

typedef scim_kv_rc (*row_fn)(scim_slice key, scim_slice value, void *baton);

/* Whether what stands behind a range's prefix makes a row of it.  Nothing comes
 * there but the id: what has more is a longer value, cut, whose digest happens
 * to begin as the prefix ends. */
static bool is_row(const source *from, scim_slice rest)
{
    return rest.len == (from->kind == SOURCE_UNIQUE ? 0 : sizeof(from->id.bytes));
}

static scim_kv_rc each_row(const search *s, const source *from, row_fn fn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(s->view->txn);
    scim_slice key, value, rest;
    scim_kv_rc rc;

    scim_kv_within(cursor, scim_key_slice(&from->prefix));
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from->prefix), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from->prefix, &rest);
         rc = scim_kv_next(cursor, &key, &value)) {
        scim_kv_rc taken = is_row(from, rest) ? fn(key, value, baton) : SCIM_KV_OK;

        if (taken != SCIM_KV_OK) {
            return taken;
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

typedef struct counting {
    apr_uint64_t count;
    apr_uint64_t limit;
} counting;

static scim_kv_rc count_row(scim_slice key, scim_slice value, void *baton)
{
    counting *c = baton;

    return ++c->count < c->limit ? SCIM_KV_OK : SCIM_KV_REFUSED;
}

/* How many candidates a source has, counted up to limit.  A fault ends the
 * count; who reads the source meets it again. */
static apr_uint64_t width(const search *s, const source *from, apr_uint64_t limit)
{
    counting c = {0, limit};

    if (from->kind == SOURCE_NOTHING || from->kind == SOURCE_ID) {
        return from->kind == SOURCE_ID;
    }
    each_row(s, from, count_row, &c);
    return c.count;
}

/* The narrowest of the terms that and joins. */
static void plan_narrowest(source *best, apr_uint64_t *best_width, const search *s,
                           const scim_filter *term)
{
    source candidate = {.kind = SOURCE_SCAN};
    apr_uint64_t count;

    if (term->kind == SCIM_FILTER_AND) {
        plan_narrowest(best, best_width, s, term->left);
        plan_narrowest(best, best_width, s, term->right);
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

/* SCAN where no index serves.  One term has no other to be narrower than, and is
 * not counted. */
static source plan(const search *s, const scim_filter *filter)
{
    source best = {.kind = SOURCE_SCAN}, only = best;
    apr_uint64_t width = APR_UINT64_MAX;

    if (filter->kind == SCIM_FILTER_AND) {
        plan_narrowest(&best, &width, s, filter);
        return best;
    }
    return plan_term(&only, s, filter) ? only : best;
}

/* Judging */

/* base_url and the place of a resource; without a base, relative to it. */
static json_t *make_location(const search *s, const scim_resource_type *type, const char *id)
{
    const char *base = s->query->base_url;

    return scim_json_text(base ? apr_pstrcat(s->scratch, base, type->endpoint, "/", id, NULL)
                               : apr_pstrcat(s->scratch, type->endpoint + 1, "/", id, NULL));
}

static json_t *make_meta(const search *s, const scim_record *record, const char *id)
{
    json_t *meta = scim_json_object();
    char text[SCIM_TIME_LEN + 1];

    scim_json_set(meta, "resourceType", scim_json_text(record->type->name));
    scim_json_set(meta, "created", scim_json_text(scim_time_format(record->created, text)));
    scim_json_set(meta, "lastModified",
                  scim_json_text(scim_time_format(record->modified, text)));
    scim_json_set(meta, "location", make_location(s, record->type, id));
    scim_json_set(meta, "version", scim_json_text(scim_etag_make(record->version, s->scratch)));
    return meta;
}

static json_t *as_subject(const search *s, const scim_record *record)
{
    json_t *json = scim_json_read_own(record->json, record->json_len, s->scratch);
    char id[SCIM_ID_TEXT + 1];

    if (json) {
        scim_id_format(&record->id, id);
        scim_json_set(json, "id", scim_json_text(id));
        if (s->meta) {
            scim_json_set(json, "meta", make_meta(s, record, id));
        }
    }
    return json;
}

typedef struct subject_baton {
    search *s;
    const scim_record *record;
    json_t *members;
    json_t *groups;
    const scim_error *error; /* of the look-ups that the filter asked for */
} subject_baton;

static void note_error(subject_baton *b, const scim_error *err)
{
    if (!b->error) {
        b->error = err;
    }
}

static json_t *make_edge(const search *s, const scim_edge *edge)
{
    json_t *element = scim_json_object();
    char id[SCIM_ID_TEXT + 1];

    scim_id_format(&edge->id, id);
    scim_json_set(element, "value",
                  edge->text ? scim_json_textn(edge->text, edge->text_len)
                             : scim_json_text(id));
    if (edge->type) {
        scim_json_set(element, "$ref", make_location(s, edge->type, id));
    }
    if (edge->display) {
        scim_json_set(element, "display", scim_json_textn(edge->display, edge->display_len));
    }
    return element;
}

static const scim_error *push_member(const scim_edge *edge, void *baton)
{
    subject_baton *b = baton;
    json_t *element = make_edge(b->s, edge);

    if (edge->type) {
        scim_json_set(element, "type", scim_json_text(edge->type->name));
    }
    scim_json_append(b->members, element);
    return NULL;
}

static const json_t *subject_members(subject_baton *b)
{
    if (!b->members) {
        b->members = scim_json_adopt(scim_json_array(), b->s->scratch);
        note_error(b,
                   scim_member_each(b->s->view, b->s->tenant, &b->record->id, push_member, b));
    }
    return b->members;
}

static const json_t *subject_groups(subject_baton *b)
{
    scim_view view = {b->s->view->store, b->s->view->txn, b->s->scratch, b->s->view->promises};
    apr_array_header_t *groups;
    scim_kv_rc rc;
    int i;

    if (b->groups) {
        return b->groups;
    }
    b->groups = scim_json_adopt(scim_json_array(), b->s->scratch);
    rc = member_groups(&groups, &view, b->s->tenant, &b->record->id);
    note_error(b, scim_store_error(b->s->view->pool, rc, "reading groups"));
    for (i = 0; i < groups->nelts; i++) {
        const scim_edge *edge = &APR_ARRAY_IDX(groups, i, scim_edge);
        json_t *element = make_edge(b->s, edge);

        scim_json_set(element, "type", scim_json_text(edge->direct ? "direct" : "indirect"));
        scim_json_append(b->groups, element);
    }
    return b->groups;
}

static const json_t *subject_edges(scim_candidate *subject, const scim_attribute *attribute)
{
    return attribute->role == SCIM_ROLE_MEMBERS ? subject_members(subject->baton)
                                                : subject_groups(subject->baton);
}

static bool has_member(subject_baton *b, const char *value)
{
    bool has = false;
    scim_id id;

    if (member_id(&id, b->s->view->store, value)) {
        scim_kv_rc rc = member_has(&has, b->s->view->txn, b->s->tenant, &b->record->id, &id);

        note_error(b, scim_store_error(b->s->view->pool, rc, "reading members"));
    }
    return has;
}

static bool subject_has_edge(scim_candidate *subject, const scim_attribute *attribute,
                             const char *value)
{
    const json_t *groups, *element;
    size_t i;

    if (attribute->role == SCIM_ROLE_MEMBERS) {
        return has_member(subject->baton, value);
    }
    groups = subject_groups(subject->baton);
    json_array_foreach (groups, i, element) {
        if (!strcmp(scim_json_string(element, "value"), value)) {
            return true;
        }
    }
    return false;
}

static const scim_error *judge(bool *matches, search *s, const scim_record *record,
                               const json_t **subject_json)
{
    subject_baton b = {.s = s, .record = record};
    scim_candidate subject = {s->type->type, NULL, subject_edges, subject_has_edge, &b};

    apr_pool_clear(s->scratch);
    *subject_json = subject.resource = as_subject(s, record);
    if (!subject.resource) {
        return scim_store_error(s->view->pool, SCIM_KV_CORRUPT, "parsing a resource");
    }
    *matches = s->exact || scim_filter_match(s->part->filter, &subject, s->scratch);
    return b.error;
}

/* How many matches stand before the page. */
static apr_uint64_t skipped(const search *s)
{
    return s->query->start ? s->query->start - 1 : 0;
}

/* Whether the next match stands on the page. */
static bool on_page(const search *s)
{
    if (s->query->by_cursor) {
        return s->shown < s->query->count;
    }
    return s->total >= skipped(s) && s->total - skipped(s) < s->query->count;
}

/* The first attribute that a filter compares; NULL where it names none that
 * this type has. */
static const char *first_attribute(const scim_filter *filter)
{
    const char *left;

    switch (filter->kind) {
    case SCIM_FILTER_AND:
    case SCIM_FILTER_OR:
        left = first_attribute(filter->left);
        return left ? left : first_attribute(filter->right);
    case SCIM_FILTER_NOT:
        return first_attribute(filter->left);
    case SCIM_FILTER_NEVER:
        return NULL;
    default:
        return scim_path_leaf(&filter->path)->path;
    }
}

static const scim_error *too_many(const search *s)
{
    const scim_filter *filter = s->part->filter;
    const char *name = filter ? first_attribute(filter) : NULL;
    apr_pool_t *pool = s->view->pool;

    return scim_error_make(pool, SCIM_E_TOO_MANY,
                           "This query%s would have to read more than %" APR_UINT64_T_FMT
                           " resources: ask for an attribute that has an index, such as "
                           "externalId, by eq, or the administrator for a higher SCIMScanLimit",
                           name ? apr_pstrcat(pool, " by ", name, NULL) : "",
                           s->view->store->scan_limit);
}

static const scim_error *fill(scim_record *out, const search *s, const type_def *type,
                              const scim_id *id, const record_head *head)
{
    return scim_store_error(s->view->pool,
                            record_fill(out, s->view->txn, s->tenant, type, id, head),
                            "reading a resource");
}

static const scim_error *hand_out(search *s, const scim_record *record)
{
    s->shown++;
    s->out->last.id = record->id;
    return s->found(s->view, record, s->baton);
}

static const scim_error *collect(search *s, const scim_id *id, const json_t *subject)
{
    entry *e = apr_array_push(s->entries);

    e->key = scim_sort_key_of(s->part->sort, subject, s->scratch);
    e->key.bytes = apr_pmemdup(s->view->pool, e->key.bytes, e->key.len);
    e->id = *id;
    e->type = s->type;
    return NULL;
}

/* A match, in the order of creation. */
static const scim_error *take(search *s, const scim_id *id, const record_head *head)
{
    if (on_page(s)) {
        scim_record record;

        SCIM_ERR(fill(&record, s, s->type, id, head));
        SCIM_ERR(hand_out(s, &record));
    } else if (s->query->by_cursor) {
        s->out->more = true;
        s->done = true;
    }
    s->total++;
    return NULL;
}

/* Whether a record matches; *subject is made where a sort needs it. */
static const scim_error *look_into(bool *matches, const json_t **subject, search *s,
                                   const scim_id *id, const record_head *head)
{
    scim_needle_verdict verdict = SCIM_NEEDLE_UNSURE;
    scim_record record;

    s->read += 1 + head->json_len / COUNTS_MORE;
    if (s->view->store->scan_limit && s->read > s->view->store->scan_limit) {
        return too_many(s);
    }
    if (s->needle.len && !scim_needle_test(&s->needle, head->json, head->json_len)) {
        verdict = SCIM_NEEDLE_NO;
    } else if (!s->exact && !s->entries) {
        verdict = scim_needle_judge(s->part->filter, head->json, head->json_len);
    }
    if (verdict != SCIM_NEEDLE_UNSURE) {
        *matches = verdict == SCIM_NEEDLE_YES;
        return NULL;
    }
    SCIM_ERR(fill(&record, s, s->type, id, head));
    return judge(matches, s, &record, subject);
}

/* One candidate with its record's bytes. */
static const scim_error *consider(search *s, const scim_id *id, const record_head *head)
{
    const json_t *subject = NULL;
    bool matches = true;

    if (!s->exact || s->entries) {
        SCIM_ERR(look_into(&matches, &subject, s, id, head));
    }
    if (!matches) {
        return NULL;
    }
    return s->entries ? collect(s, id, subject) : take(s, id, head);
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

/* Between types, a cursor without a sort says which it stood in. */
static int first_part(const search *s)
{
    const scim_position *after = s->query->after;

    if (!after || s->entries || after->key.len != 1 ||
        after->key.bytes[0] >= s->query->parts_count) {
        return 0;
    }
    return after->key.bytes[0];
}

static int part_index(const search *s)
{
    return (int)(s->part - s->query->parts);
}

/* The position to go on from, where it is in the part at hand. */
static const scim_position *resume_at(const search *s)
{
    return s->query->after && !s->entries && part_index(s) == first_part(s) ? s->query->after
                                                                            : NULL;
}

static const scim_error *decode_record(search *s, scim_slice key, scim_slice rest,
                                       scim_slice value)
{
    record_head head;
    scim_id id;

    if (rest.len != sizeof(id.bytes) || !record_decode(&head, key, value)) {
        return scim_store_error(s->view->pool, SCIM_KV_CORRUPT, "reading a resource");
    }
    memcpy(id.bytes, rest.data, sizeof(id.bytes));
    return consider(s, &id, &head);
}

/* The candidate's id: the end of the key, or the value of a unique index. */
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

/* Rows that a walk comes to next: where they are far, some at once, so that what belongs to
 * each of them can be asked for together. */
#define STRETCH 32

typedef struct stretch {
    scim_kv_cursor *cursor;
    const scim_key *prefix;
    const source *from; /* of rows of an index; NULL: of records */
    bool begun;
    int count;
    int at;
    scim_kv_rc rc; /* of what is behind them */
    struct {
        scim_slice key, value;
    } rows[STRETCH];
} stretch;

static void begin_stretch(stretch *st, const search *s, const scim_key *prefix,
                          const source *from)
{
    st->cursor = scim_kv_cursor_open(s->view->txn);
    st->prefix = prefix;
    st->from = from;
    st->begun = false;
    st->count = st->at = 0;
    st->rc = SCIM_KV_OK;
    scim_kv_within(st->cursor, scim_key_slice(prefix));
}

/* What will be read of each: its record, where it is not the row itself, and its groups,
 * where it is shown for sure. */
static void wish_stretch(const stretch *st, const search *s)
{
    wishes w = {.txn = s->view->txn};
    bool shown = s->exact && !s->entries && s->type->type->groups;
    scim_id id;
    int i;

    for (i = 0; i < st->count; i++) {
        scim_slice key = st->rows[i].key, rest;

        if (!scim_key_has_prefix(key, st->prefix, &rest)) {
            continue;
        }
        if (st->from) {
            if (!is_row(st->from, rest) || !row_id(&id, st->from, key, st->rows[i].value)) {
                continue;
            }
            wish_record(&w, s->tenant, s->type, &id);
        } else if (rest.len == sizeof(id.bytes)) {
            memcpy(id.bytes, rest.data, sizeof(id.bytes));
        } else {
            continue;
        }
        if (shown) {
            wish_groups(&w, s->tenant, &id);
        }
    }
    wish_send(&w);
}

static void fill_stretch(stretch *st, const search *s, const scim_key *from, apr_uint64_t most)
{
    bool far = scim_kv_far(s->view->txn);

    most = !far ? 1 : most < STRETCH ? most : STRETCH;
    st->count = st->at = 0;
    if (far && !st->begun) {
        wishes w = {.txn = s->view->txn};

        wish_slice(&w, scim_key_slice(from), st->prefix->len);
        wish_send(&w);
    }
    while ((apr_uint64_t)st->count < most) {
        scim_slice *key = &st->rows[st->count].key, *value = &st->rows[st->count].value;

        st->rc = st->begun ? scim_kv_next(st->cursor, key, value)
                           : scim_kv_seek(st->cursor, scim_key_slice(from), key, value);
        st->begun = true;
        if (st->rc == SCIM_KV_OK && !scim_key_has_prefix(*key, st->prefix, NULL)) {
            st->rc = SCIM_KV_NOTFOUND;
        }
        if (st->rc != SCIM_KV_OK) {
            break;
        }
        st->count++;
    }
    if (far && st->count) {
        wish_stretch(st, s);
    }
}

/* The next row, the first being that at from or behind it; most: no more will be wanted. */
static bool next_row(stretch *st, const search *s, const scim_key *from, apr_uint64_t most,
                     scim_slice *key, scim_slice *value)
{
    if (st->at == st->count && st->rc == SCIM_KV_OK) {
        fill_stretch(st, s, from, most);
    }
    if (st->at == st->count) {
        return false;
    }
    *key = st->rows[st->at].key;
    *value = st->rows[st->at++].value;
    return true;
}

static const scim_error *end_stretch(const stretch *st, const search *s, const char *what)
{
    return scim_store_error(s->view->pool, st->rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : st->rc,
                            what);
}

/* The records of the type from a key on, but for so many at the beginning, and
 * at most limit of them. */
static const scim_error *walk_from(search *s, const scim_key *from, apr_uint64_t skip,
                                   apr_uint64_t limit)
{
    apr_uint64_t most = limit > APR_UINT64_MAX - skip ? APR_UINT64_MAX : skip + limit;
    scim_slice key, value, rest;
    scim_key prefix;
    stretch rows;

    record_prefix(&prefix, s->tenant, s->type);
    begin_stretch(&rows, s, &prefix, NULL);
    while (limit && !s->done && next_row(&rows, s, from, most, &key, &value)) {
        most--;
        if (skip) {
            skip--;
        } else {
            limit--;
            scim_key_has_prefix(key, &prefix, &rest);
            SCIM_ERR(decode_record(s, key, rest, value));
        }
    }
    return end_stretch(&rows, s, "reading resources");
}

/* All of them, from behind a cursor where there is one. */
static const scim_error *walk_records(search *s)
{
    const scim_position *after = resume_at(s);
    scim_key from;

    record_prefix(&from, s->tenant, s->type);
    if (after) {
        scim_key_id(&from, &after->id);
        scim_key_bytes(&from, "", 1);
    }
    return walk_from(s, &from, 0, APR_UINT64_MAX);
}

/* Those behind the first skip of count. */
static const scim_error *walk_behind(search *s, apr_uint64_t skip, apr_uint64_t count,
                                     apr_uint64_t limit)
{
    apr_uint64_t before;
    scim_key from;
    scim_id first;

    record_prefix(&from, s->tenant, s->type);
    if (skip && anchor_find(&first, &before, s->view->txn, s->tenant, s->type, skip, count)) {
        scim_key_id(&from, &first);
        skip -= before;
    }
    return walk_from(s, &from, skip, limit);
}

/* How many resources a type has, without a walk. */
static const scim_error *count_type(apr_uint64_t *out, const search *s, const type_def *type)
{
    apr_int64_t count = 0;
    scim_key key;
    scim_kv_rc rc;

    counter_key_type(&key, s->tenant, type);
    rc = counter_read(&count, s->view->txn, &key);
    *out = (apr_uint64_t)count;
    return scim_store_error(s->view->pool, rc, "counting resources");
}

/* Where nothing is to be judged, the total is known, and only the page is
 * read. */
static const scim_error *list_page(search *s)
{
    apr_uint64_t before = s->total;
    apr_uint64_t count, skip = skipped(s) > before ? skipped(s) - before : 0;

    SCIM_ERR(count_type(&count, s, s->type));
    if (skip < count && s->shown < s->query->count) {
        s->total = before + skip;
        SCIM_ERR(walk_behind(s, skip, count, s->query->count - s->shown));
    }
    s->total = before + count;
    return NULL;
}

/* An index has rows of resources that are there and of no others, so what is
 * not shown is not read.  A group that waits for the sweep has edges still. */
static const scim_error *consider_row(search *s, const source *from, const scim_id *id)
{
    bool counts = s->exact && !s->entries && !on_page(s) && from->kind != SOURCE_MEMBER;

    return counts ? take(s, id, NULL) : consider_id(s, id);
}

/* The rows of one value are in the order of creation. */
static const scim_error *walk_rows(search *s, const source *from)
{
    const scim_position *after = resume_at(s);
    apr_uint64_t limit = s->view->store->scan_limit, count = 0;
    scim_key at = from->prefix;
    scim_slice key, value, rest;
    stretch rows;
    scim_id id;

    if (after) {
        scim_key_id(&at, &after->id);
        scim_key_bytes(&at, "", 1);
    }
    begin_stretch(&rows, s, &from->prefix, from);
    while (!s->done && next_row(&rows, s, &at, APR_UINT64_MAX, &key, &value)) {
        if (!scim_key_has_prefix(key, &from->prefix, &rest) || !is_row(from, rest)) {
            continue;
        }
        if (limit && ++count > limit) {
            return too_many(s);
        }
        if (!row_id(&id, from, key, value)) {
            return scim_store_error(s->view->pool, SCIM_KV_CORRUPT, "reading an index");
        }
        SCIM_ERR(consider_row(s, from, &id));
    }
    return end_stretch(&rows, s, "reading an index");
}

static const scim_error *walk_source(search *s, const source *from)
{
    const scim_position *after = resume_at(s);

    if (from->kind == SOURCE_NOTHING) {
        return NULL;
    }
    if (from->kind == SOURCE_ID) {
        return !after || scim_id_compare(&from->id, &after->id) > 0 ? consider_id(s, &from->id)
                                                                    : NULL;
    }
    return walk_rows(s, from);
}

static bool looks_at_meta(const scim_query_part *part)
{
    const scim_attribute *sorted = part->sort ? part->sort->path.attribute : NULL;

    return (sorted && sorted->role == SCIM_ROLE_META) ||
           (part->filter && scim_filter_mentions(part->filter, SCIM_ROLE_META));
}

static const scim_error *walk_part(search *s)
{
    const scim_filter *filter = s->part->filter;
    source from;

    s->exact = !filter;
    s->needle.len = 0;
    s->meta = looks_at_meta(s->part);
    if (!filter) {
        return s->entries || s->query->by_cursor ? walk_records(s) : list_page(s);
    }
    scim_needle_find(&s->needle, filter);
    from = plan(s, filter);
    if (from.kind == SOURCE_SCAN) {
        return walk_records(s);
    }
    s->exact = from.exact && filter->kind != SCIM_FILTER_AND;
    return walk_source(s, &from);
}

static const scim_error *walk_parts(search *s)
{
    unsigned char *index = apr_pcalloc(s->view->pool, 1);
    int i;

    for (i = first_part(s); i < s->query->parts_count && !s->done; i++) {
        apr_uint64_t shown = s->shown;

        s->part = &s->query->parts[i];
        s->type = store_type(s->view->store, s->part->type);
        SCIM_ERR(walk_part(s));
        if (s->shown != shown) {
            *index = (unsigned char)i;
        }
    }
    if (!s->entries && s->query->parts_count > 1) {
        s->out->last.key = (scim_sort_key){index, 1};
    }
    return NULL;
}

/* A total that costs a walk of its own is not told with a cursor. */
static const scim_error *total_by_cursor(search *s)
{
    apr_uint64_t total = 0, count;
    int i;

    s->out->total = -1;
    if (s->query->parts[0].filter) {
        if (!s->query->after && !s->out->more) {
            s->out->total = (apr_int64_t)s->total;
        }
        return NULL;
    }
    for (i = 0; i < s->query->parts_count; i++) {
        SCIM_ERR(count_type(&count, s, store_type(s->view->store, s->query->parts[i].type)));
        total += count;
    }
    s->out->total = (apr_int64_t)total;
    return NULL;
}

/* Sorting */

static int compare_keys(const search *s, const entry *a, const scim_sort_key *key,
                        const scim_id *id)
{
    int order = scim_sort_compare(s->query->parts[0].sort, &a->key, key);

    return order ? order : scim_id_compare(&a->id, id);
}

static int compare_entries(const void *a, const void *b, void *baton)
{
    const entry *right = b;

    return compare_keys(baton, a, &right->key, &right->id);
}

static const scim_error *show_entry(search *s, const entry *e)
{
    record_head head;
    scim_record record;
    scim_key key;

    record_key(&key, s->tenant, e->type, &e->id);
    SCIM_ERR(scim_store_error(s->view->pool, record_read(&head, s->view->txn, &key),
                              "reading a resource"));
    SCIM_ERR(fill(&record, s, e->type, &e->id, &head));
    s->out->last.key = e->key;
    return hand_out(s, &record);
}

static const scim_error *show_sorted(search *s)
{
    const entry *entries = (const entry *)s->entries->elts;
    apr_uint64_t count = (apr_uint64_t)s->entries->nelts, i = 0;
    const scim_position *after = s->query->after;

    qsort_r(s->entries->elts, count, sizeof(entry), compare_entries, s);
    s->out->total = (apr_int64_t)count;
    if (after) {
        while (i < count && compare_keys(s, &entries[i], &after->key, &after->id) <= 0) {
            i++;
        }
    } else if (!s->query->by_cursor) {
        i = skipped(s);
    }
    for (; i < count && s->shown < s->query->count; i++) {
        SCIM_ERR(show_entry(s, &entries[i]));
    }
    s->out->more = i < count;
    return NULL;
}

/* Where the walk of a part begins, as far as that is known without asking. */
static void wish_part(wishes *w, const search *s, const scim_query_part *part)
{
    search own = *s;
    source from = {.kind = SOURCE_SCAN};

    own.part = part;
    own.type = store_type(s->view->store, part->type);
    if (part->filter &&
        (part->filter->kind == SCIM_FILTER_AND || !plan_term(&from, &own, part->filter))) {
        return;
    }
    if (from.kind == SOURCE_SCAN) {
        record_prefix(&from.prefix, s->tenant, own.type);
    }
    if (from.kind == SOURCE_ID) {
        wish_record(w, s->tenant, own.type, &from.id);
    } else if (from.kind != SOURCE_NOTHING) {
        wish_slice(w, scim_key_slice(&from.prefix), from.prefix.len);
    }
}

static void wish_query(const search *s)
{
    wishes w = {.txn = s->view->txn};
    scim_key key;
    int i;

    if (!s->query->after && s->query->start < 2 && s->query->count) {
        wish_part(&w, s, &s->query->parts[0]);
    }
    wish_tenant(&w, s->tenant);
    for (i = 0; i < s->query->parts_count; i++) {
        counter_key_type(&key, s->tenant, store_type(s->view->store, s->query->parts[i].type));
        wish_key(&w, &key);
    }
    wish_send(&w);
}

const scim_error *scim_resource_query(scim_page *out, scim_view *view,
                                      const scim_tenant *tenant, const scim_query *query,
                                      scim_record_fn found, void *baton)
{
    search s = {.view = view,
                .tenant = tenant,
                .query = query,
                .found = found,
                .baton = baton,
                .out = out};

    memset(out, 0, sizeof(*out));
    if (scim_kv_far(view->txn)) {
        wish_query(&s);
    }
    SCIM_ERR(scim_tenant_check(view, tenant));
    apr_pool_create(&s.scratch, view->pool);
    if (query->parts[0].sort) {
        s.entries = apr_array_make(view->pool, 64, sizeof(entry));
    }
    SCIM_ERR(walk_parts(&s));
    if (s.entries) {
        SCIM_ERR(show_sorted(&s));
    } else if (query->by_cursor) {
        SCIM_ERR(total_by_cursor(&s));
    } else {
        out->total = (apr_int64_t)s.total;
    }
    apr_pool_destroy(s.scratch);
    return NULL;
}
