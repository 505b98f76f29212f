/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a user is to the sites that httpd protects: an index row, the head of a
 * record, and a walk over the edges to the groups around it.
 */
#include "scim/subject.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/json.h"
#include "scim/role.h"
#include "scim/text.h"

#include "internal.h"

/* Finding the one user that a text stands for */

typedef struct finding {
    scim_view *view;
    const scim_tenant *tenant;
    const type_def *users;
    scim_subject *out;
} finding;

static scim_kv_rc find_unique(finding *f, const scim_key *key)
{
    scim_slice rest;
    scim_kv_rc rc = store_get(f->view->txn, key, sizeof(f->out->id.bytes), &rest);

    if (rc == SCIM_KV_OK) {
        memcpy(f->out->id.bytes, rest.data, sizeof(f->out->id.bytes));
    }
    return rc;
}

/* EXISTS where there is more than one.  A row that has more than an id behind
 * the prefix is that of a longer value, cut, whose digest begins with a NUL. */
static scim_kv_rc find_ordered(finding *f, const scim_key *prefix)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(f->view->txn);
    scim_slice key, rest;
    int found = 0;
    scim_kv_rc rc;

    for (rc = scim_kv_seek(cursor, scim_key_slice(prefix), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, prefix, &rest) && found < 2;
         rc = scim_kv_next(cursor, &key, NULL)) {
        if (rest.len == sizeof(f->out->id.bytes)) {
            memcpy(f->out->id.bytes, rest.data, rest.len);
            found++;
        }
    }
    scim_kv_cursor_close(cursor);
    if (rc != SCIM_KV_OK && rc != SCIM_KV_NOTFOUND) {
        return rc;
    }
    return found == 1 ? SCIM_KV_OK : found ? SCIM_KV_EXISTS : SCIM_KV_NOTFOUND;
}

/* A schema of the organisation may have no such attribute: then it is the name
 * of nobody. */
static const index_def *index_of(const finding *f, const char *attribute)
{
    scim_path path;

    return scim_path_attribute(&path, attribute, f->users->type) == SCIM_PATH_OK
               ? index_find(f->view->store, f->users->type, &path)
               : NULL;
}

static scim_kv_rc find_by_value(finding *f, const char *attribute, const char *text)
{
    const index_def *def = index_of(f, attribute);
    const char *prepared;
    apr_size_t len;
    scim_key key;

    if (!def || !*text) {
        return SCIM_KV_NOTFOUND;
    }
    prepared = scim_text_prepare(text, strlen(text), scim_path_leaf(&def->path)->case_exact,
                                 &len, f->view->pool);
    index_key(&key, f->tenant, def, prepared, len);
    return def->kind == INDEX_UNIQUE ? find_unique(f, &key) : find_ordered(f, &key);
}

static scim_kv_rc find_user(finding *f, scim_subject_by by, const char *text)
{
    switch (by) {
    case SCIM_BY_USER_NAME:
        return find_by_value(f, "userName", text);
    case SCIM_BY_EXTERNAL_ID:
        return find_by_value(f, "externalId", text);
    case SCIM_BY_EMAIL:
        return find_by_value(f, "emails.value", text);
    case SCIM_BY_ID:
        return scim_id_parse(&f->out->id, text) ? SCIM_KV_OK : SCIM_KV_NOTFOUND;
    }
    return SCIM_KV_NOTFOUND;
}

/* NOTFOUND only for an id that came from outside: what an index leads to and
 * is not there is damage. */
static scim_kv_rc read_user(finding *f, record_head *head, scim_subject_by by)
{
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, f->tenant, f->users, &f->out->id);
    rc = record_read(head, f->view->txn, &key);
    return rc == SCIM_KV_NOTFOUND && by != SCIM_BY_ID ? SCIM_KV_CORRUPT : rc;
}

/* The groups around it */

typedef struct walk {
    scim_view *view;
    const scim_tenant *tenant;
    apr_array_header_t *found; /* of scim_subject_group; also the queue of the walk */
    apr_hash_t *seen;
    bool leaving; /* a direct group is gone, and the sweep takes its members next */
} walk;

static scim_kv_rc read_group(record_head *head, const walk *w, const scim_id *id)
{
    const scim_store *store = w->view->store;
    scim_kv_rc rc = SCIM_KV_NOTFOUND;
    scim_key key;
    int i;

    for (i = 0; i < store->types_count && rc == SCIM_KV_NOTFOUND; i++) {
        if (store->types[i].type->members) {
            record_key(&key, w->tenant, &store->types[i], id);
            rc = record_read(head, w->view->txn, &key);
        }
    }
    return rc;
}

/* What the policy wanted of the members when the group went. */
static scim_kv_rc note_pending(walk *w, const scim_id *group)
{
    scim_key key;
    scim_slice rest;
    scim_kv_rc rc;

    scim_key_begin(&key, SCIM_TABLE_PENDING);
    scim_key_u32(&key, w->tenant->number);
    scim_key_id(&key, group);
    rc = store_get(w->view->txn, &key, 1 + 8, &rest);
    if (rc == SCIM_KV_OK && *(const unsigned char *)rest.data != SCIM_ON_DELETE_KEEP) {
        w->leaving = true;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static void add_group(walk *w, const scim_id *id, const record_head *head, bool direct)
{
    const scim_policy *policy = &w->tenant->policy;
    apr_pool_t *pool = w->view->pool;
    apr_size_t len;
    const char *prepared =
        scim_text_prepare(head->display, head->display_len, false, &len, pool);
    int role = scim_role_match(policy, prepared, len);
    scim_subject_group *group;

    /* Without any effect, and so without what is around it. */
    if (role < 0 && policy->custom_groups == SCIM_CUSTOM_IGNORE) {
        return;
    }
    group = apr_array_push(w->found);
    group->id = *id;
    group->name = apr_pstrmemdup(pool, head->display, head->display_len);
    group->prepared = prepared;
    group->prepared_len = len;
    group->role = role;
    group->direct = direct;
}

static scim_kv_rc take_group(walk *w, const scim_id *id, bool direct)
{
    record_head head;
    scim_id *copy;
    scim_kv_rc rc;

    if (apr_hash_get(w->seen, id->bytes, sizeof(id->bytes))) {
        return SCIM_KV_OK;
    }
    copy = apr_pmemdup(w->view->pool, id, sizeof(*id));
    apr_hash_set(w->seen, copy->bytes, sizeof(copy->bytes), copy);
    rc = read_group(&head, w, id);
    if (rc == SCIM_KV_NOTFOUND) {
        return direct ? note_pending(w, id) : SCIM_KV_OK;
    }
    if (rc == SCIM_KV_OK) {
        add_group(w, id, &head, direct);
    }
    return rc;
}

static scim_kv_rc take_groups_of(walk *w, const scim_id *member, bool direct)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(w->view->txn);
    scim_kv_rc rc, taken = SCIM_KV_OK;
    scim_slice key, rest;
    scim_key from;

    member_prefix(&from, SCIM_TABLE_MEMBER_OF, w->tenant, member);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, NULL);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, &rest);
         rc = scim_kv_next(cursor, &key, NULL)) {
        scim_id group;

        if (rest.len != sizeof(group.bytes)) {
            taken = SCIM_KV_CORRUPT;
            break;
        }
        memcpy(group.bytes, rest.data, rest.len);
        taken = take_group(w, &group, direct);
        if (taken != SCIM_KV_OK) {
            break;
        }
    }
    scim_kv_cursor_close(cursor);
    if (taken != SCIM_KV_OK) {
        return taken;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static scim_kv_rc walk_groups(walk *w, const scim_id *user)
{
    scim_kv_rc rc = take_groups_of(w, user, true);
    int next;

    /* Breadth first over what is found, so direct groups stay in front. */
    for (next = 0; rc == SCIM_KV_OK && next < w->found->nelts; next++) {
        scim_id id = APR_ARRAY_IDX(w->found, next, scim_subject_group).id;

        rc = take_groups_of(w, &id, false);
    }
    return rc;
}

scim_kv_rc subject_holds_role(bool *out, scim_view *view, const scim_tenant *tenant,
                              const scim_id *id)
{
    walk w = {.view = view,
              .tenant = tenant,
              .found = apr_array_make(view->pool, 8, sizeof(scim_subject_group)),
              .seen = apr_hash_make(view->pool)};
    scim_kv_rc rc = walk_groups(&w, id);
    int i;

    *out = false;
    for (i = 0; i < w.found->nelts; i++) {
        *out = *out || APR_ARRAY_IDX(w.found, i, scim_subject_group).role >= 0;
    }
    return rc;
}

/* Several patterns may give one role. */
static apr_array_header_t *roles_of(const walk *w)
{
    const scim_policy *policy = &w->tenant->policy;
    apr_pool_t *pool = w->view->pool;
    bool *holds = apr_pcalloc(pool, sizeof(bool) * ((apr_size_t)policy->roles_count + 1));
    scim_subject subject = {.roles = apr_array_make(pool, 2, sizeof(const char *))};
    int i;

    for (i = 0; i < w->found->nelts; i++) {
        int role = APR_ARRAY_IDX(w->found, i, scim_subject_group).role;

        if (role >= 0) {
            holds[role] = true;
        }
    }
    for (i = 0; i < policy->roles_count; i++) {
        if (holds[i] && !scim_subject_has_role(&subject, policy->roles[i].role)) {
            APR_ARRAY_PUSH(subject.roles, const char *) =
                apr_pstrdup(pool, policy->roles[i].role);
        }
    }
    return subject.roles;
}

static scim_kv_rc find_groups(finding *f)
{
    walk w = {.view = f->view,
              .tenant = f->tenant,
              .found = apr_array_make(f->view->pool, 8, sizeof(scim_subject_group)),
              .seen = apr_hash_make(f->view->pool)};
    apr_array_header_t *roles;
    scim_kv_rc rc = walk_groups(&w, &f->out->id);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    roles = roles_of(&w);
    if (w.leaving && !roles->nelts) {
        f->out->state = SCIM_SUBJECT_INACTIVE;
        return SCIM_KV_OK;
    }
    f->out->state = SCIM_SUBJECT_ACTIVE;
    f->out->groups = w.found;
    f->out->roles = roles;
    return SCIM_KV_OK;
}

static scim_kv_rc find(finding *f, scim_subject_by by, const char *text)
{
    record_head head;
    scim_kv_rc rc = find_user(f, by, text);

    if (rc == SCIM_KV_OK) {
        rc = read_user(f, &head, by);
    }
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    if (head.inactive) {
        f->out->state = SCIM_SUBJECT_INACTIVE;
        return SCIM_KV_OK;
    }
    return find_groups(f);
}

static const type_def *users_of(const scim_store *store)
{
    const scim_resource_type *type = scim_registry_type(store->registry, "User");

    return type ? store_type(store, type) : NULL;
}

const scim_error *scim_subject_find(scim_subject *out, scim_view *view,
                                    const scim_tenant *tenant, scim_subject_by by,
                                    const char *text)
{
    finding f = {view, tenant, users_of(view->store), out};
    scim_kv_rc rc;

    *out = (scim_subject){
        .state = SCIM_SUBJECT_UNKNOWN,
        .groups = apr_array_make(view->pool, 1, sizeof(scim_subject_group)),
        .roles = apr_array_make(view->pool, 1, sizeof(const char *)),
    };
    rc = f.users ? find(&f, by, text) : SCIM_KV_NOTFOUND;
    if (rc == SCIM_KV_EXISTS) {
        out->state = SCIM_SUBJECT_AMBIGUOUS;
    }
    if (out->state == SCIM_SUBJECT_UNKNOWN || out->state == SCIM_SUBJECT_AMBIGUOUS) {
        out->id = (scim_id){{0}};
    }
    return rc == SCIM_KV_NOTFOUND || rc == SCIM_KV_EXISTS
               ? NULL
               : scim_store_error(view->pool, rc, "reading a user");
}

/* Asking */

bool scim_subject_in_group(const scim_subject *subject, const char *prepared, apr_size_t len)
{
    int i;

    for (i = 0; i < subject->groups->nelts; i++) {
        const scim_subject_group *group =
            &APR_ARRAY_IDX(subject->groups, i, scim_subject_group);

        /* A group whose name is too long to be kept has none. */
        if (len && group->prepared_len == len && !memcmp(group->prepared, prepared, len)) {
            return true;
        }
    }
    return false;
}

bool scim_subject_in_group_id(const scim_subject *subject, const scim_id *id)
{
    int i;

    for (i = 0; i < subject->groups->nelts; i++) {
        if (!scim_id_compare(&APR_ARRAY_IDX(subject->groups, i, scim_subject_group).id, id)) {
            return true;
        }
    }
    return false;
}

bool scim_subject_has_role(const scim_subject *subject, const char *role)
{
    int i;

    for (i = 0; i < subject->roles->nelts; i++) {
        if (!scim_text_casecmp(APR_ARRAY_IDX(subject->roles, i, const char *), role)) {
            return true;
        }
    }
    return false;
}

/* What applications are told */

static const char *text_in(const json_t *object, const char *name, apr_pool_t *pool)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? apr_pstrdup(pool, text) : NULL;
}

static const char *email_in(const json_t *user, apr_pool_t *pool)
{
    const json_t *emails = json_object_get(user, "emails"), *email;
    const char *out = NULL;
    size_t i;

    json_array_foreach (emails, i, email) {
        const char *value = text_in(email, "value", pool);

        if (value && json_is_true(json_object_get(email, "primary"))) {
            return value;
        }
        out = out ? out : value;
    }
    return out;
}

const scim_error *scim_subject_read(scim_subject_details *out, scim_view *view,
                                    const scim_tenant *tenant, const scim_id *user)
{
    const type_def *users = users_of(view->store);
    scim_kv_rc rc = SCIM_KV_NOTFOUND;
    record_head head;
    const json_t *json;
    apr_pool_t *scratch;
    scim_key key;

    if (users) {
        record_key(&key, tenant, users, user);
        rc = record_read(&head, view->txn, &key);
    }
    if (rc == SCIM_KV_NOTFOUND) {
        return scim_error_make(view->pool, SCIM_E_NOT_FOUND, "There is no such user");
    }
    SCIM_ERR(scim_store_error(view->pool, rc, "reading a user"));
    apr_pool_create(&scratch, view->pool);
    json = scim_json_read_own(head.json, head.json_len, scratch);
    out->user_name = text_in(json, "userName", view->pool);
    out->display_name = text_in(json, "displayName", view->pool);
    out->email = email_in(json, view->pool);
    out->external_id = text_in(json, "externalId", view->pool);
    apr_pool_destroy(scratch);
    return json ? NULL : scim_store_error(view->pool, SCIM_KV_CORRUPT, "reading a user");
}
