/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership edges.  Every edge is two rows, (group, member) and (member,
 * group), written and deleted together; counters keep a group's number of
 * members and the revision of its membership without touching its record.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/heap.h"
#include "scim/json.h"
#include "scim/text.h"

#include "internal.h"

#define MEMBER_HEAD 2

/* Bytes of a text that names an unknown member. */
#define TEXT_MAX 1024

/* How many members the filters of one message may look at in all. */
#define MAX_STEPS 2000000

void member_prefix(scim_key *key, scim_table table, const scim_tenant *tenant,
                   const scim_id *id)
{
    scim_key_begin(key, table);
    scim_key_u32(key, tenant->number);
    scim_key_id(key, id);
}

void member_key(scim_key *key, const scim_tenant *tenant, const scim_id *group,
                const scim_id *member)
{
    member_prefix(key, SCIM_TABLE_MEMBER, tenant, group);
    scim_key_id(key, member);
}

void member_of_key(scim_key *key, const scim_tenant *tenant, const scim_id *member,
                   const scim_id *group)
{
    member_prefix(key, SCIM_TABLE_MEMBER_OF, tenant, member);
    scim_key_id(key, group);
}

/* An unknown member may be named by any text, where that is allowed.  Its id is
 * then made of the text: version 8 of RFC 9562, which no resource's id has. */
bool member_id(scim_id *out, const scim_store *store, const char *text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = sizeof(digest);

    if (scim_id_parse(out, text)) {
        return true;
    }
    if (strlen(text) > TEXT_MAX) {
        return false;
    }
    /* OpenSSL fails at this for want of memory alone; whoever is to be removed must
     * not pass for nobody then. */
    if (EVP_Digest(text, strlen(text), digest, &len, store->sha256, NULL) != 1) {
        scim_heap_exhausted();
    }
    memcpy(out->bytes, digest, sizeof(out->bytes));
    out->bytes[6] = 0x80 | (out->bytes[6] & 0x0f);
    out->bytes[8] = 0x80 | (out->bytes[8] & 0x3f);
    return true;
}

/* Reading */

/* The parts of an edge's value. */
typedef struct edge_value {
    apr_uint16_t type;
    scim_slice text; /* of MEMBER_TEXT */
    scim_slice display;
} edge_value;

static bool read_value(edge_value *out, scim_slice value)
{
    const char *at = (const char *)value.data + STORE_SEAL, *end = at + value.len - STORE_SEAL;

    if (value.len < STORE_SEAL + MEMBER_HEAD) {
        return false;
    }
    out->type = store_get_u16((const unsigned char *)at);
    at += MEMBER_HEAD;
    out->text = (scim_slice){NULL, 0};
    if (out->type == MEMBER_TEXT) {
        apr_size_t len = end - at < 2 ? 0 : store_get_u16((const unsigned char *)at);

        if (!len || (apr_size_t)(end - at) < 2 + len) {
            return false;
        }
        out->text = (scim_slice){at + 2, len};
        at += 2 + len;
    }
    out->display = (scim_slice){at, (apr_size_t)(end - at)};
    return true;
}

/* Text as clients send it: JSON has no NUL here. */
static bool is_text(scim_slice text)
{
    return !text.len ||
           (scim_text_is_utf8(text.data, text.len) && !memchr(text.data, 0, text.len));
}

bool member_readable(scim_slice value)
{
    edge_value parts;

    return read_value(&parts, value) && is_text(parts.text) && is_text(parts.display);
}

static bool decode(scim_edge *out, const scim_store *store, scim_slice key, scim_slice id,
                   scim_slice value)
{
    const type_def *type;
    edge_value parts;

    if (id.len != sizeof(out->id.bytes) || !read_value(&parts, value) ||
        !store_sealed(key, value)) {
        return false;
    }
    memcpy(out->id.bytes, id.data, id.len);
    type = store_type_number(store, parts.type);
    out->type = type ? type->type : NULL;
    out->text = parts.text.data;
    out->text_len = parts.text.len;
    out->display_len = parts.display.len;
    out->display = out->display_len ? parts.display.data : NULL;
    out->direct = true;
    return true;
}

const scim_error *scim_member_some(scim_view *view, const scim_tenant *tenant,
                                   const scim_id *group, const scim_id *behind,
                                   apr_uint64_t count, scim_id *last, bool *more,
                                   scim_edge_fn fn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(view->txn);
    scim_key prefix, from;
    scim_slice key, value, id;
    scim_kv_rc rc;

    member_prefix(&prefix, SCIM_TABLE_MEMBER, tenant, group);
    from = prefix;
    if (behind) {
        scim_key_id(&from, behind);
        scim_key_bytes(&from, "", 1);
    }
    *more = false;
    scim_kv_within(cursor, scim_key_slice(&prefix));
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &prefix, &id);
         rc = scim_kv_next(cursor, &key, &value)) {
        scim_edge edge;

        if (!count--) {
            *more = true;
            break;
        }
        if (!decode(&edge, view->store, key, id, value)) {
            return scim_store_error(view->pool, SCIM_KV_CORRUPT, "reading members");
        }
        *last = edge.id;
        SCIM_ERR(fn(&edge, baton));
    }
    scim_kv_cursor_close(cursor);
    return rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND
               ? NULL
               : scim_store_error(view->pool, rc, "reading members");
}

const scim_error *scim_member_each(scim_view *view, const scim_tenant *tenant,
                                   const scim_id *group, scim_edge_fn fn, void *baton)
{
    scim_id last;
    bool more;

    return scim_member_some(view, tenant, group, NULL, APR_UINT64_MAX, &last, &more, fn, baton);
}

const scim_error *scim_member_count(apr_uint64_t *out, scim_view *view,
                                    const scim_tenant *tenant, const scim_id *group)
{
    apr_int64_t count = 0;
    scim_key key;
    scim_kv_rc rc;

    counter_key_group(&key, tenant, COUNTER_MEMBERS, group);
    rc = counter_read(&count, view->txn, &key);
    *out = (apr_uint64_t)count;
    return scim_store_error(view->pool, rc, "counting members");
}

scim_kv_rc member_has(bool *out, scim_kv_txn *txn, const scim_tenant *tenant,
                      const scim_id *group, const scim_id *member)
{
    scim_key key;
    scim_slice value;
    scim_kv_rc rc;

    member_key(&key, tenant, group, member);
    rc = scim_kv_get(txn, scim_key_slice(&key), &value);
    *out = rc == SCIM_KV_OK;
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

bool scim_member_has(scim_view *view, const scim_tenant *tenant, const scim_id *group,
                     const scim_id *member)
{
    bool has;

    return member_has(&has, view->txn, tenant, group, member) == SCIM_KV_OK && has;
}

static scim_kv_rc take_group(const around_group *group, bool *enter, void *baton)
{
    apr_array_header_t *found = baton;

    if (group->type) {
        scim_edge *edge = apr_array_push(found);

        edge->id = group->id;
        edge->type = group->type->type;
        edge->text = NULL;
        edge->display = group->head.display_len ? group->head.display : NULL;
        edge->display_len = group->head.display_len;
        edge->direct = group->direct;
    }
    return SCIM_KV_OK;
}

scim_kv_rc member_groups(apr_array_header_t **out, scim_view *view, const scim_tenant *tenant,
                         const scim_id *member)
{
    *out = apr_array_make(view->pool, 8, sizeof(scim_edge));
    return groups_around(view, tenant, member, take_group, *out);
}

const scim_error *scim_member_groups(apr_array_header_t **out, scim_view *view,
                                     const scim_tenant *tenant, const scim_id *member)
{
    return scim_store_error(view->pool, member_groups(out, view, tenant, member),
                            "reading groups");
}

/* Planning: from steps to a difference */

typedef struct wanted {
    scim_id id;
    const char *text; /* where the id is made of one */
    bool present;
    bool display_given;
    const char *display;
    const char *type; /* as sent, as are ref and display */
    const char *ref;
    const char *where;
} wanted;

typedef struct planning {
    scim_view *view;
    const scim_tenant *tenant;
    const scim_id *group; /* NULL: new */
    apr_hash_t *named;    /* id -> wanted */
    bool cleared;
    bool walked;
    const scim_filter *filter; /* of the step at hand */
    const scim_member_op *step;
    member_plan *plan;
    apr_size_t steps;
    apr_pool_t *scratch;
} planning;

static wanted *name_member(planning *p, const scim_id *id)
{
    wanted *w = apr_hash_get(p->named, id->bytes, sizeof(id->bytes));

    if (!w) {
        w = apr_pcalloc(p->view->pool, sizeof(*w));
        w->id = *id;
        apr_hash_set(p->named, w->id.bytes, sizeof(w->id.bytes), w);
    }
    return w;
}

static const scim_error *bad_member(planning *p, const scim_member_op *step)
{
    return scim_error_make(p->view->pool, SCIM_E_INVALID_VALUE,
                           "%s: there is no user and no group with the id \"%s\"",
                           step->where ? step->where : "members", step->value);
}

static const scim_error *step_add(planning *p, const scim_member_op *step)
{
    bool known;
    scim_id id;
    wanted *w;

    known = scim_id_parse(&id, step->value);
    if (!known && (!p->tenant->policy.dangling_references || !*step->value ||
                   !member_id(&id, p->view->store, step->value))) {
        return bad_member(p, step);
    }
    if (p->group && !scim_id_compare(&id, p->group)) {
        return scim_error_make(p->view->pool, SCIM_E_INVALID_VALUE,
                               "%s: a group cannot be its own member",
                               step->where ? step->where : "members");
    }
    w = name_member(p, &id);
    w->text = known ? NULL : step->value;
    w->present = true;
    w->type = step->type ? step->type : w->type;
    w->ref = step->ref ? step->ref : w->ref;
    w->where = step->where;
    if (step->display) {
        w->display_given = true;
        w->display = step->display;
    }
    return NULL;
}

static void step_remove(planning *p, const scim_member_op *step)
{
    scim_id id;

    /* What cannot be an id is no member either, and removing it is done. */
    if (member_id(&id, p->view->store, step->value)) {
        wanted *w = name_member(p, &id);

        /* Who comes back after this comes without the stored display. */
        w->present = false;
        w->display_given = true;
        w->display = NULL;
    }
}

static bool element_matches(planning *p, const scim_edge *edge)
{
    char id[SCIM_ID_TEXT + 1];
    json_t *element = scim_json_adopt(scim_json_object(), p->scratch);

    scim_json_set(element, "value",
                  edge->text ? scim_json_textn(edge->text, edge->text_len)
                             : scim_json_text(scim_id_format(&edge->id, id)));
    if (edge->type) {
        scim_json_set(element, "type", scim_json_text(edge->type->name));
    }
    if (edge->display) {
        scim_json_set(element, "display", scim_json_textn(edge->display, edge->display_len));
    }
    return scim_filter_match_element(p->filter, element, p->scratch);
}

static const scim_error *spend(planning *p)
{
    p->steps += (apr_size_t)scim_filter_terms(p->filter);
    if (p->steps > MAX_STEPS) {
        return scim_error_make(p->view->pool, SCIM_E_TOO_LARGE,
                               "%s: the operations up to here look at more than %d members; "
                               "name members by their ids, or send fewer operations in one "
                               "request",
                               p->step->where ? p->step->where : "members", MAX_STEPS);
    }
    return NULL;
}

static void change_matching(planning *p, const scim_id *id)
{
    wanted *w = name_member(p, id);

    w->present = p->step->kind == SCIM_MEMBER_SET_WHERE;
    w->display_given = true;
    w->display = w->present ? p->step->display : NULL;
}

static const scim_error *where_edge(const scim_edge *edge, void *baton)
{
    planning *p = baton;

    SCIM_ERR(spend(p));
    apr_pool_clear(p->scratch);
    if (!apr_hash_get(p->named, edge->id.bytes, sizeof(edge->id.bytes)) &&
        element_matches(p, edge)) {
        change_matching(p, &edge->id);
    }
    return NULL;
}

/* The edge of a member as it is stored; edge->id is nobody's where there is
 * none. */
static const scim_error *stored_edge(scim_edge *edge, planning *p, const scim_id *member)
{
    scim_slice value, id = {member->bytes, sizeof(member->bytes)};
    scim_key key;
    scim_kv_rc rc;

    *edge = (scim_edge){.direct = false};
    if (!p->group || p->cleared) {
        return NULL;
    }
    member_key(&key, p->tenant, p->group, member);
    rc = scim_kv_get(p->view->txn, scim_key_slice(&key), &value);
    if (rc == SCIM_KV_OK && !decode(edge, p->view->store, scim_key_slice(&key), id, value)) {
        rc = SCIM_KV_CORRUPT;
    }
    return scim_store_error(p->view->pool, rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc,
                            "reading members");
}

/* A member that the steps so far named, as they leave it: its display may be
 * the stored one, its type is that of its resource. */
static const scim_error *named_matches(bool *matches, planning *p, const wanted *w)
{
    const type_def *type;
    scim_edge edge;

    SCIM_ERR(stored_edge(&edge, p, &w->id));
    edge.id = w->id;
    if (w->display_given) {
        edge.display = w->display;
        edge.display_len = w->display ? strlen(w->display) : 0;
    }
    if (w->text) {
        edge.text = w->text;
        edge.text_len = strlen(w->text);
    }
    SCIM_ERR(scim_store_error(p->view->pool, record_find(&type, p->view, p->tenant, &w->id),
                              "reading members"));
    edge.type = type ? type->type : NULL;
    *matches = element_matches(p, &edge);
    return NULL;
}

/* A step with a filter sees the members that are there and those that the
 * steps before it named. */
static const scim_error *step_where(planning *p, const scim_member_op *step)
{
    apr_hash_index_t *i;

    p->step = step;
    p->filter = step->filter;
    for (i = apr_hash_first(p->view->pool, p->named); i; i = apr_hash_next(i)) {
        bool matches = false;
        wanted *w;

        apr_hash_this(i, NULL, NULL, (void **)&w);
        SCIM_ERR(spend(p));
        apr_pool_clear(p->scratch);
        if (w->present) {
            SCIM_ERR(named_matches(&matches, p, w));
        }
        if (matches) {
            change_matching(p, &w->id);
        }
    }
    if (p->group && !p->cleared) {
        p->walked = true;
        return scim_member_each(p->view, p->tenant, p->group, where_edge, p);
    }
    return NULL;
}

static const scim_error *take_step(planning *p, const scim_member_op *step)
{
    switch (step->kind) {
    case SCIM_MEMBER_ADD:
        return step_add(p, step);
    case SCIM_MEMBER_REMOVE:
        step_remove(p, step);
        return NULL;
    case SCIM_MEMBER_CLEAR:
        apr_hash_clear(p->named);
        p->cleared = true;
        return NULL;
    case SCIM_MEMBER_REMOVE_WHERE:
    case SCIM_MEMBER_SET_WHERE:
        return step_where(p, step);
    }
    return NULL;
}

static const char *place_of(const wanted *w)
{
    return w->where ? w->where : "members";
}

/* The type whose endpoint ends a text of that length: ".../Users". */
static const type_def *endpoint_type(const scim_store *store, const char *text, apr_size_t len)
{
    int i;

    for (i = 0; i < store->types_count; i++) {
        const char *name = store->types[i].type->endpoint + 1;
        apr_size_t name_len = strlen(name);

        if (len >= name_len && !memcmp(text + len - name_len, name, name_len) &&
            (len == name_len || text[len - name_len - 1] == '/')) {
            return &store->types[i];
        }
    }
    return NULL;
}

/* Whether a $ref leads to another resource.  Only its last two segments count:
 * clients know the base of the service by other names, and what is no path of
 * a resource says nothing. */
static bool leads_elsewhere(const scim_store *store, const char *ref, const type_def *type,
                            const scim_id *member)
{
    const char *slash = strrchr(ref, '/');
    const type_def *named = slash ? endpoint_type(store, ref, (apr_size_t)(slash - ref)) : type;
    scim_id id;

    if (named != type) {
        return named != NULL;
    }
    return scim_id_parse(&id, slash ? slash + 1 : ref) && scim_id_compare(&id, member);
}

/* Of a member that is there, type and $ref are immutable. */
static const scim_error *check_kind(planning *p, const wanted *w, const type_def *type,
                                    bool there)
{
    scim_error_code code = there ? SCIM_E_MUTABILITY : SCIM_E_INVALID_VALUE;

    if (w->type && scim_text_casecmp(w->type, type->type->name)) {
        return scim_error_make(p->view->pool, code, "%s: the member's type is %s, not %s",
                               place_of(w), type->type->name, w->type);
    }
    if (w->ref && leads_elsewhere(p->view->store, w->ref, type, &w->id)) {
        return scim_error_make(p->view->pool, code,
                               "%s: $ref leads to another resource than value", place_of(w));
    }
    return NULL;
}

/* The types whose resources can be members, as the schema of groups has them. */
static bool may_be_member(const scim_store *store, const type_def *type)
{
    int i;

    for (i = 0; i < store->types_count; i++) {
        const scim_attribute *members = store->types[i].type->members;

        if (members && reference_may_lead_to(members, type->type)) {
            return true;
        }
    }
    return false;
}

/* Whether a member that is to be there may be.  One that is there already
 * stays, whatever became of its resource. */
static const scim_error *check_member(planning *p, const wanted *w, const type_def *type)
{
    char text[SCIM_ID_TEXT + 1];
    bool there = false;

    if (p->group) {
        scim_kv_rc rc = member_has(&there, p->view->txn, p->tenant, p->group, &w->id);

        SCIM_ERR(scim_store_error(p->view->pool, rc, "reading members"));
    }
    if (w->display && strlen(w->display) > RESOURCE_MAX) {
        return scim_error_make(p->view->pool, SCIM_E_TOO_LARGE, "%s: display is too long",
                               place_of(w));
    }
    if (type && may_be_member(p->view->store, type)) {
        return check_kind(p, w, type, there);
    }
    if (there || p->tenant->policy.dangling_references) {
        return NULL;
    }
    return scim_error_make(p->view->pool, SCIM_E_INVALID_VALUE,
                           "%s: there is no user and no group with the id \"%s\"", place_of(w),
                           scim_id_format(&w->id, text));
}

static const scim_error *plan_add(planning *p, const wanted *w)
{
    const type_def *type;
    member_add *add;

    SCIM_ERR(scim_store_error(p->view->pool, record_find(&type, p->view, p->tenant, &w->id),
                              "reading members"));
    SCIM_ERR(check_member(p, w, type));
    add = apr_array_push(p->plan->adds);
    add->id = w->id;
    add->text = w->text;
    add->type = type;
    add->display = w->display && *w->display ? w->display : NULL;
    add->display_given = w->display_given;
    return NULL;
}

/* Of a group that was cleared, the members that were not named again go. */
static const scim_error *clear_edge(const scim_edge *edge, void *baton)
{
    planning *p = baton;

    if (!apr_hash_get(p->named, edge->id.bytes, sizeof(edge->id.bytes))) {
        APR_ARRAY_PUSH(p->plan->removes, scim_id) = edge->id;
    }
    return NULL;
}

static int compare_adds(const void *a, const void *b)
{
    return scim_id_compare(&((const member_add *)a)->id, &((const member_add *)b)->id);
}

static int compare_ids(const void *a, const void *b)
{
    return scim_id_compare(a, b);
}

/* What plan_add asks of each. */
static void wish_named(const planning *p)
{
    const scim_store *store = p->view->store;
    wishes w = {.txn = p->view->txn};
    apr_hash_index_t *i;
    scim_key key;
    int type;

    for (i = apr_hash_first(p->view->pool, p->named); i; i = apr_hash_next(i)) {
        const wanted *named;

        apr_hash_this(i, NULL, NULL, (void **)&named);
        if (p->group) {
            member_key(&key, p->tenant, p->group, &named->id);
            wish_key(&w, &key);
        }
        for (type = 0; named->present && type < store->types_count; type++) {
            if (may_be_member(store, &store->types[type])) {
                record_key(&key, p->tenant, &store->types[type], &named->id);
                wish_key(&w, &key);
            }
        }
    }
    wish_send(&w);
}

static const scim_error *plan_named(planning *p)
{
    apr_hash_index_t *i;

    if (scim_kv_far(p->view->txn)) {
        wish_named(p);
    }
    for (i = apr_hash_first(p->view->pool, p->named); i; i = apr_hash_next(i)) {
        wanted *w;

        apr_hash_this(i, NULL, NULL, (void **)&w);
        if (w->present) {
            /* A replacement says all there is: a display it leaves out goes. */
            w->display_given = w->display_given || p->cleared;
            SCIM_ERR(plan_add(p, w));
        } else {
            APR_ARRAY_PUSH(p->plan->removes, scim_id) = w->id;
        }
    }
    return NULL;
}

const scim_error *member_plan_make(member_plan **out, scim_view *view,
                                   const scim_tenant *tenant, const scim_id *group,
                                   const apr_array_header_t *steps)
{
    planning p = {
        .view = view, .tenant = tenant, .group = group, .named = apr_hash_make(view->pool)};
    int i;

    p.plan = apr_pcalloc(view->pool, sizeof(*p.plan));
    p.plan->adds = apr_array_make(view->pool, 8, sizeof(member_add));
    p.plan->removes = apr_array_make(view->pool, 8, sizeof(scim_id));
    apr_pool_create(&p.scratch, view->pool);
    for (i = 0; i < steps->nelts; i++) {
        SCIM_ERR(take_step(&p, &APR_ARRAY_IDX(steps, i, scim_member_op)));
    }
    SCIM_ERR(plan_named(&p));
    if (p.cleared && group) {
        p.walked = true;
        SCIM_ERR(scim_member_each(view, tenant, group, clear_edge, &p));
    }
    apr_pool_destroy(p.scratch);
    p.plan->walked = p.walked;
    qsort(p.plan->adds->elts, (size_t)p.plan->adds->nelts, sizeof(member_add), compare_adds);
    qsort(p.plan->removes->elts, (size_t)p.plan->removes->nelts, sizeof(scim_id), compare_ids);
    *out = p.plan;
    return NULL;
}

/* Applying */

static bool same_display(const member_add *add, scim_slice display)
{
    apr_size_t len = add->display ? strlen(add->display) : 0;

    return !add->display_given ||
           (len == display.len && (!len || !memcmp(add->display, display.data, len)));
}

/* What an add comes to in this transaction. */
typedef enum add_effect { ADD_NOTHING, ADD_NEW, ADD_DISPLAY } add_effect;

static scim_kv_rc add_effect_of(add_effect *out, scim_kv_txn *txn, const scim_key *key,
                                const member_add *add)
{
    edge_value there;
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, scim_key_slice(key), &value);

    if (rc == SCIM_KV_NOTFOUND) {
        *out = ADD_NEW;
        return SCIM_KV_OK;
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (!store_sealed(scim_key_slice(key), value) || !read_value(&there, value)) {
        return SCIM_KV_CORRUPT;
    }
    *out = same_display(add, there.display) ? ADD_NOTHING : ADD_DISPLAY;
    return SCIM_KV_OK;
}

/* STALE where the resource of a member to be written is not what it was. */
static scim_kv_rc check_add(add_effect *effect, const member_add *add, const scim_view *view,
                            const scim_tenant *tenant, const scim_id *group)
{
    const type_def *type;
    scim_key key;
    scim_kv_rc rc;

    member_key(&key, tenant, group, &add->id);
    rc = add_effect_of(effect, view->txn, &key, add);
    if (rc != SCIM_KV_OK || *effect == ADD_NOTHING) {
        return rc;
    }
    rc = record_find(&type, view, tenant, &add->id);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (type != add->type ||
        (*effect == ADD_NEW && !type && !tenant->policy.dangling_references)) {
        return SCIM_KV_STALE;
    }
    return SCIM_KV_OK;
}

scim_kv_rc member_plan_check(const member_plan *plan, const scim_view *view,
                             const scim_tenant *tenant, const scim_id *group, bool *changes)
{
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    *changes = false;
    for (i = 0; i < plan->adds->nelts && rc == SCIM_KV_OK; i++) {
        const member_add *add = &APR_ARRAY_IDX(plan->adds, i, member_add);
        add_effect effect = ADD_NOTHING;

        rc = check_add(&effect, add, view, tenant, group);
        *changes = *changes || effect != ADD_NOTHING;
    }
    for (i = 0; i < plan->removes->nelts && rc == SCIM_KV_OK && !*changes; i++) {
        rc = member_has(changes, view->txn, tenant, group,
                        &APR_ARRAY_IDX(plan->removes, i, scim_id));
    }
    return rc;
}

static void wish_edge(wishes *w, const scim_tenant *tenant, const scim_id *group,
                      const scim_id *member)
{
    scim_key key;

    member_key(&key, tenant, group, member);
    wish_key(w, &key);
    member_of_key(&key, tenant, member, group);
    wish_key(w, &key);
}

void member_plan_wish(const member_plan *plan, wishes *w, const scim_tenant *tenant,
                      const scim_id *group)
{
    scim_key key;
    int i;

    for (i = 0; i < plan->adds->nelts; i++) {
        const member_add *add = &APR_ARRAY_IDX(plan->adds, i, member_add);

        wish_edge(w, tenant, group, &add->id);
        if (add->type) {
            record_key(&key, tenant, add->type, &add->id);
            wish_key(w, &key);
        }
    }
    for (i = 0; i < plan->removes->nelts; i++) {
        wish_edge(w, tenant, group, &APR_ARRAY_IDX(plan->removes, i, scim_id));
    }
}

/* The text that names a member: that of the step, or that of the edge which is
 * there already. */
static scim_slice text_of(scim_kv_txn *txn, const scim_key *key, const member_add *add)
{
    scim_slice value = {NULL, 0};
    edge_value there;
    char *copy;

    if (add->text) {
        return (scim_slice){add->text, strlen(add->text)};
    }
    if (add->type || scim_kv_get(txn, scim_key_slice(key), &value) != SCIM_KV_OK ||
        !read_value(&there, value) || !there.text.len) {
        return (scim_slice){NULL, 0};
    }
    copy = scim_kv_scratch(txn, there.text.len);
    memcpy(copy, there.text.data, there.text.len);
    return (scim_slice){copy, there.text.len};
}

static scim_kv_rc put_edge(scim_kv_txn *txn, const scim_key *key, const member_add *add)
{
    scim_slice text = text_of(txn, key, add);
    apr_size_t display_len = add->display ? strlen(add->display) : 0;
    apr_size_t len = STORE_SEAL + MEMBER_HEAD + (text.len ? 2 + text.len : 0) + display_len;
    unsigned char *value = scim_kv_scratch(txn, len), *at = value + STORE_SEAL;

    store_put_u16(at, text.len ? MEMBER_TEXT : add->type ? add->type->number : 0);
    at += MEMBER_HEAD;
    if (text.len) {
        store_put_u16(at, (apr_uint16_t)text.len);
        memcpy(at + 2, text.data, text.len);
        at += 2 + text.len;
    }
    if (display_len) {
        memcpy(at, add->display, display_len);
    }
    store_seal(scim_key_slice(key), value, len);
    return scim_kv_put(txn, scim_key_slice(key), (scim_slice){value, len}, false);
}

static scim_kv_rc write_add(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *group,
                            const member_add *add, apr_int64_t *count)
{
    scim_key key;
    add_effect effect;
    scim_kv_rc rc;

    member_key(&key, tenant, group, &add->id);
    rc = add_effect_of(&effect, txn, &key, add);
    if (rc != SCIM_KV_OK || effect == ADD_NOTHING) {
        return rc;
    }
    rc = put_edge(txn, &key, add);
    if (rc == SCIM_KV_OK && effect == ADD_NEW) {
        ++*count;
        member_of_key(&key, tenant, &add->id, group);
        rc = scim_kv_put(txn, scim_key_slice(&key), (scim_slice){"", 0}, false);
    }
    return rc;
}

scim_kv_rc member_delete(bool *had, scim_kv_txn *txn, const scim_tenant *tenant,
                         const scim_id *group, const scim_id *member)
{
    scim_key key;
    scim_kv_rc rc;

    member_key(&key, tenant, group, member);
    rc = scim_kv_del(txn, scim_key_slice(&key));
    *had = rc == SCIM_KV_OK;
    if (rc == SCIM_KV_OK || rc == SCIM_KV_NOTFOUND) {
        member_of_key(&key, tenant, member, group);
        rc = scim_kv_del(txn, scim_key_slice(&key));
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Counts a change of a group's membership. */
static scim_kv_rc touch(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *group,
                        apr_int64_t difference, apr_time_t now)
{
    unsigned char bytes[8];
    apr_int64_t last;
    scim_key key;
    scim_kv_rc rc = SCIM_KV_OK;

    if (difference) {
        counter_key_group(&key, tenant, COUNTER_MEMBERS, group);
        rc = scim_kv_add(txn, scim_key_slice(&key), difference, NULL);
    }
    if (rc == SCIM_KV_OK) {
        counter_key_group(&key, tenant, COUNTER_REVISION, group);
        rc = scim_kv_add(txn, scim_key_slice(&key), 1, NULL);
    }
    if (rc == SCIM_KV_OK) {
        counter_key_group(&key, tenant, COUNTER_MODIFIED, group);
        rc = counter_read(&last, txn, &key);
    }
    if (rc == SCIM_KV_OK && last < now) {
        store_put_u64(bytes, (apr_uint64_t)now);
        rc = scim_kv_put(txn, scim_key_slice(&key), (scim_slice){bytes, 8}, false);
    }
    return rc;
}

scim_kv_rc member_plan_write(const member_plan *plan, scim_kv_txn *txn,
                             const scim_tenant *tenant, const scim_id *group, apr_time_t now)
{
    apr_int64_t count = 0;
    scim_kv_rc rc = SCIM_KV_OK;
    int i;

    for (i = 0; i < plan->adds->nelts && rc == SCIM_KV_OK; i++) {
        rc = write_add(txn, tenant, group, &APR_ARRAY_IDX(plan->adds, i, member_add), &count);
    }
    for (i = 0; i < plan->removes->nelts && rc == SCIM_KV_OK; i++) {
        bool had;

        rc = member_delete(&had, txn, tenant, group, &APR_ARRAY_IDX(plan->removes, i, scim_id));
        count -= had;
    }
    return rc == SCIM_KV_OK ? touch(txn, tenant, group, count, now) : rc;
}

/* Takes the id at the end of a key out of a table row by row. */
typedef scim_kv_rc (*drop_fn)(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id,
                              const scim_id *other, apr_time_t now);

static scim_kv_rc drop_each(scim_kv_txn *txn, const scim_tenant *tenant, scim_table table,
                            const scim_id *id, drop_fn fn, apr_time_t now)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key from;
    scim_slice key, rest;
    scim_kv_rc rc;

    member_prefix(&from, table, tenant, id);
    scim_kv_within(cursor, scim_key_slice(&from));
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &rest);
         rc = scim_kv_next(cursor, &key, NULL)) {
        scim_id other;
        scim_kv_rc dropped;

        if (rest.len != sizeof(other.bytes)) {
            return SCIM_KV_CORRUPT;
        }
        memcpy(other.bytes, rest.data, sizeof(other.bytes));
        dropped = fn(txn, tenant, id, &other, now);
        if (dropped != SCIM_KV_OK) {
            return dropped;
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* A group without counters is one that is deleted, and waits for the sweep. */
static scim_kv_rc leave_group(scim_kv_txn *txn, const scim_tenant *tenant,
                              const scim_id *member, const scim_id *group, apr_time_t now)
{
    bool had;
    scim_slice value;
    scim_key key;
    scim_kv_rc rc = member_delete(&had, txn, tenant, group, member);

    if (rc != SCIM_KV_OK || !had) {
        return rc;
    }
    counter_key_group(&key, tenant, COUNTER_MEMBERS, group);
    rc = scim_kv_get(txn, scim_key_slice(&key), &value);
    if (rc == SCIM_KV_OK) {
        return touch(txn, tenant, group, -1, now);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc lose_member(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *group,
                              const scim_id *member, apr_time_t now)
{
    bool had;

    return member_delete(&had, txn, tenant, group, member);
}

/* The first few groups of a resource that leaves them, and what is counted there. */
static void wish_leave(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key from, counter;
    wishes w = {.txn = txn};
    scim_slice key, rest;
    scim_id group;
    scim_kv_rc rc;
    int few = 16;

    member_prefix(&from, SCIM_TABLE_MEMBER_OF, tenant, id);
    scim_kv_within(cursor, scim_key_slice(&from));
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && few-- > 0 && scim_key_has_prefix(key, &from, &rest) &&
         rest.len == sizeof(group.bytes);
         rc = scim_kv_next(cursor, &key, NULL)) {
        memcpy(group.bytes, rest.data, rest.len);
        wish_edge(&w, tenant, &group, id);
        counter_key_group(&counter, tenant, COUNTER_MEMBERS, &group);
        wish_key(&w, &counter);
        counter_key_group(&counter, tenant, COUNTER_MODIFIED, &group);
        wish_key(&w, &counter);
    }
    scim_kv_cursor_close(cursor);
    wish_send(&w);
}

scim_kv_rc member_leave(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id,
                        apr_time_t now)
{
    static const store_counter counters[] = {COUNTER_MEMBERS, COUNTER_REVISION,
                                             COUNTER_MODIFIED};
    apr_size_t i;
    scim_kv_rc rc;

    if (scim_kv_far(txn)) {
        wish_leave(txn, tenant, id);
    }
    rc = drop_each(txn, tenant, SCIM_TABLE_MEMBER_OF, id, leave_group, now);

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]) && rc == SCIM_KV_OK; i++) {
        scim_key key;

        counter_key_group(&key, tenant, counters[i], id);
        rc = scim_kv_del(txn, scim_key_slice(&key));
        rc = rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    return rc;
}

scim_kv_rc member_drop(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id,
                       apr_time_t now)
{
    scim_kv_rc rc = member_leave(txn, tenant, id, now);

    return rc == SCIM_KV_OK ? drop_each(txn, tenant, SCIM_TABLE_MEMBER, id, lose_member, now)
                            : rc;
}
