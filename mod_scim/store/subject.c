/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a user is to the sites that httpd protects: an index row, the head of a
 * record, and a walk over the edges to the groups around it.
 */
#include "scim/subject.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"
#include "scim/role.h"
#include "scim/text.h"

#include "internal.h"

/* Finding the one user that a text stands for */

typedef struct finding {
    scim_view *view;
    const scim_tenant *tenant;
    scim_subject *out;
} finding;

/* A schema of the organisation may have no such attribute: then it is the name
 * of nobody. */
static const index_def *index_of(const scim_store *store, const char *attribute)
{
    const scim_resource_type *type = store->users->type;
    scim_path path;

    return scim_path_attribute(&path, attribute, type) == SCIM_PATH_OK
               ? index_find(store, type, &path)
               : NULL;
}

void subject_define(scim_store *store)
{
    const scim_resource_type *type = scim_registry_type(store->registry, "User");

    if (type) {
        store->users = store_type(store, type);
        store->users_by[SCIM_BY_USER_NAME] = index_of(store, "userName");
        store->users_by[SCIM_BY_EXTERNAL_ID] = index_of(store, "externalId");
        store->users_by[SCIM_BY_EMAIL] = index_of(store, "emails.value");
    }
}

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

static scim_kv_rc find_by_value(finding *f, const index_def *def, const char *text)
{
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
    if (by == SCIM_BY_ID) {
        return scim_id_parse(&f->out->id, text) ? SCIM_KV_OK : SCIM_KV_NOTFOUND;
    }
    return find_by_value(f, f->view->store->users_by[by], text);
}

/* NOTFOUND only for an id that came from outside: what an index leads to and
 * is not there is damage. */
static scim_kv_rc read_user(finding *f, record_head *head, scim_subject_by by)
{
    scim_key key;
    scim_kv_rc rc;

    record_key(&key, f->tenant, f->view->store->users, &f->out->id);
    rc = record_read(head, f->view->txn, &key);
    return rc == SCIM_KV_NOTFOUND && by != SCIM_BY_ID ? SCIM_KV_CORRUPT : rc;
}

/* The groups around it */

typedef struct gathering {
    scim_view *view;
    const scim_tenant *tenant;
    apr_array_header_t *found; /* of scim_subject_group */
    bool leaving; /* a direct group is gone, and the sweep takes its members next */
} gathering;

/* What the policy wanted of the members when the group went. */
static scim_kv_rc note_pending(gathering *g, const scim_id *group)
{
    scim_key key;
    scim_slice rest;
    scim_kv_rc rc;

    scim_key_begin(&key, SCIM_TABLE_PENDING);
    scim_key_u32(&key, g->tenant->number);
    scim_key_id(&key, group);
    rc = store_get(g->view->txn, &key, 1 + 8, &rest);
    if (rc == SCIM_KV_OK && *(const unsigned char *)rest.data != SCIM_ON_DELETE_KEEP) {
        g->leaving = true;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* False for one without any effect, and so without what is around it. */
static bool add_group(gathering *g, const around_group *around)
{
    const scim_policy *policy = &g->tenant->policy;
    const record_head *head = &around->head;
    apr_pool_t *pool = g->view->pool;
    apr_size_t len;
    const char *prepared =
        scim_text_prepare(head->display, head->display_len, false, &len, pool);
    int role = scim_role_match(policy, prepared, len);
    scim_subject_group *group;

    if (role < 0 && policy->custom_groups == SCIM_CUSTOM_IGNORE) {
        return false;
    }
    group = apr_array_push(g->found);
    group->id = around->id;
    group->name = apr_pstrmemdup(pool, head->display, head->display_len);
    group->prepared = prepared;
    group->prepared_len = len;
    group->role = role;
    group->direct = around->direct;
    return true;
}

static scim_kv_rc take_group(const around_group *group, bool *enter, void *baton)
{
    gathering *g = baton;

    if (!group->type) {
        return group->direct ? note_pending(g, &group->id) : SCIM_KV_OK;
    }
    *enter = add_group(g, group);
    return SCIM_KV_OK;
}

static scim_kv_rc gather(gathering *g, const scim_id *user)
{
    g->found = apr_array_make(g->view->pool, 8, sizeof(scim_subject_group));
    return groups_around(g->view, g->tenant, user, take_group, g);
}

scim_kv_rc subject_holds_role(bool *out, scim_view *view, const scim_tenant *tenant,
                              const scim_id *id)
{
    gathering g = {.view = view, .tenant = tenant};
    scim_kv_rc rc = gather(&g, id);
    int i;

    *out = false;
    for (i = 0; i < g.found->nelts; i++) {
        *out = *out || APR_ARRAY_IDX(g.found, i, scim_subject_group).role >= 0;
    }
    return rc;
}

/* Several patterns may give one role. */
static apr_array_header_t *roles_of(const gathering *g)
{
    const scim_policy *policy = &g->tenant->policy;
    apr_pool_t *pool = g->view->pool;
    bool *holds = apr_pcalloc(pool, sizeof(bool) * ((apr_size_t)policy->roles_count + 1));
    scim_subject subject = {.roles = apr_array_make(pool, 2, sizeof(const char *))};
    int i;

    for (i = 0; i < g->found->nelts; i++) {
        int role = APR_ARRAY_IDX(g->found, i, scim_subject_group).role;

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
    gathering g = {.view = f->view, .tenant = f->tenant};
    apr_array_header_t *roles;
    scim_kv_rc rc = gather(&g, &f->out->id);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    roles = roles_of(&g);
    if (g.leaving && !roles->nelts) {
        f->out->state = SCIM_SUBJECT_INACTIVE;
        return SCIM_KV_OK;
    }
    f->out->state = SCIM_SUBJECT_ACTIVE;
    f->out->groups = g.found;
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

const scim_error *scim_subject_find(scim_subject *out, scim_view *view,
                                    const scim_tenant *tenant, scim_subject_by by,
                                    const char *text)
{
    finding f = {view, tenant, out};
    scim_kv_rc rc;

    *out = (scim_subject){
        .state = SCIM_SUBJECT_UNKNOWN,
        .groups = apr_array_make(view->pool, 1, sizeof(scim_subject_group)),
        .roles = apr_array_make(view->pool, 1, sizeof(const char *)),
    };
    rc = view->store->users ? find(&f, by, text) : SCIM_KV_NOTFOUND;
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

/* Keeping one.  Bytes: a packed_head, its groups, and then the texts, each with its
 * NUL: of each group name and prepared, then the roles. */

typedef struct packed_group {
    scim_id id;
    apr_uint32_t name_size, prepared_size; /* with their NULs */
    apr_int32_t role;
    apr_uint32_t direct;
} packed_group;

typedef struct packed_head {
    scim_id id;
    apr_uint32_t state;
    apr_uint32_t groups, roles;
    apr_uint32_t size; /* of all */
} packed_head;

static apr_size_t count_of(const apr_array_header_t *array)
{
    return array ? (apr_size_t)array->nelts : 0;
}

static packed_head measure(const scim_subject *subject)
{
    packed_head head = {.id = subject->id, .state = subject->state};
    apr_size_t size = sizeof(head), i;

    head.groups = (apr_uint32_t)count_of(subject->groups);
    head.roles = (apr_uint32_t)count_of(subject->roles);
    for (i = 0; i < head.groups; i++) {
        const scim_subject_group *group =
            &APR_ARRAY_IDX(subject->groups, i, scim_subject_group);

        size += sizeof(packed_group) + strlen(group->name) + 1 + group->prepared_len + 1;
    }
    for (i = 0; i < head.roles; i++) {
        size += strlen(APR_ARRAY_IDX(subject->roles, i, const char *)) + 1;
    }
    head.size = (apr_uint32_t)size;
    return head;
}

static char *put_text(char *to, const char *text, apr_size_t size)
{
    memcpy(to, text, size);
    return to + size;
}

apr_size_t scim_subject_pack(const scim_subject *subject, void *to, apr_size_t size)
{
    packed_head head = measure(subject);
    char *groups = (char *)to + sizeof(head);
    char *texts = groups + head.groups * sizeof(packed_group);
    apr_uint32_t i;

    if (head.size > size) {
        return head.size;
    }
    memcpy(to, &head, sizeof(head));
    for (i = 0; i < head.groups; i++) {
        const scim_subject_group *group =
            &APR_ARRAY_IDX(subject->groups, i, scim_subject_group);
        packed_group packed = {.id = group->id,
                               .name_size = (apr_uint32_t)strlen(group->name) + 1,
                               .prepared_size = (apr_uint32_t)group->prepared_len + 1,
                               .role = group->role,
                               .direct = group->direct};

        groups = put_text(groups, (const char *)&packed, sizeof(packed));
        texts = put_text(texts, group->name, packed.name_size);
        texts = put_text(texts, group->prepared, packed.prepared_size);
    }
    for (i = 0; i < head.roles; i++) {
        const char *role = APR_ARRAY_IDX(subject->roles, i, const char *);

        texts = put_text(texts, role, strlen(role) + 1);
    }
    return head.size;
}

void scim_subject_unpack(scim_subject *out, const void *bytes, apr_pool_t *pool)
{
    packed_head head;
    const char *groups, *texts;
    apr_uint32_t i;

    memcpy(&head, bytes, sizeof(head));
    groups = (char *)apr_pmemdup(pool, bytes, head.size) + sizeof(head);
    texts = groups + head.groups * sizeof(packed_group);
    out->state = (scim_subject_state)head.state;
    out->id = head.id;
    out->groups = apr_array_make(pool, (int)head.groups, sizeof(scim_subject_group));
    out->roles = apr_array_make(pool, (int)head.roles, sizeof(const char *));
    for (i = 0; i < head.groups; i++, groups += sizeof(packed_group)) {
        packed_group packed;

        memcpy(&packed, groups, sizeof(packed));
        APR_ARRAY_PUSH(out->groups, scim_subject_group) =
            (scim_subject_group){.id = packed.id,
                                 .name = texts,
                                 .prepared = texts + packed.name_size,
                                 .prepared_len = packed.prepared_size - 1,
                                 .role = packed.role,
                                 .direct = packed.direct};
        texts += packed.name_size + packed.prepared_size;
    }
    for (i = 0; i < head.roles; i++) {
        APR_ARRAY_PUSH(out->roles, const char *) = texts;
        texts += strlen(texts) + 1;
    }
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
    const type_def *users = view->store->users;
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
