/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on users.
 */
#include <stdio.h>

#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/resource.h"
#include "scim/subject.h"

#include "ctl.h"

/* Showing one, as authorization sees it */

typedef struct user_showing {
    const ctl_named *which;
    scim_tenant tenant;
    scim_subject subject;
    scim_subject_details details;
} user_showing;

static bool is_there(const scim_subject *subject)
{
    return subject->state == SCIM_SUBJECT_ACTIVE || subject->state == SCIM_SUBJECT_INACTIVE;
}

static const scim_error *find_user(scim_view *view, void *baton)
{
    user_showing *u = baton;

    char id[SCIM_ID_TEXT + 1];

    scim_id_format(&u->which->id, id);
    SCIM_ERR(scim_tenant_find(&u->tenant, view, u->which->tenant_name));
    SCIM_ERR(scim_subject_find(&u->subject, view, &u->tenant, SCIM_BY_ID, id));
    return is_there(&u->subject)
               ? scim_subject_read(&u->details, view, &u->tenant, &u->subject.id)
               : NULL;
}

static const char *state_of(const user_showing *u)
{
    return u->subject.state == SCIM_SUBJECT_ACTIVE ? "active" : "inactive";
}

/* Those of an active user; one that is not active has nothing that counts. */
static int groups_count(const user_showing *u)
{
    return u->subject.state == SCIM_SUBJECT_ACTIVE ? u->subject.groups->nelts : 0;
}

static int roles_count(const user_showing *u)
{
    return u->subject.state == SCIM_SUBJECT_ACTIVE ? u->subject.roles->nelts : 0;
}

static const char *role_of_subject(const user_showing *u, const scim_subject_group *group)
{
    return group->role < 0 ? NULL : u->tenant.policy.roles[group->role].role;
}

static json_t *json_of_user(const user_showing *u)
{
    json_t *groups = scim_json_array(), *roles = scim_json_array();
    char id[SCIM_ID_TEXT + 1];
    int i;

    for (i = 0; i < groups_count(u); i++) {
        const scim_subject_group *group =
            &APR_ARRAY_IDX(u->subject.groups, i, scim_subject_group);

        scim_json_append(groups,
                         scim_json_pack("{s:s, s:b, s:s?}", "name", group->name, "direct",
                                        group->direct, "role", role_of_subject(u, group)));
    }
    for (i = 0; i < roles_count(u); i++) {
        scim_json_append(roles,
                         scim_json_text(APR_ARRAY_IDX(u->subject.roles, i, const char *)));
    }
    return scim_json_pack("{s:s?, s:s, s:s, s:s?, s:s?, s:s?, s:o, s:o}", "userName",
                          u->details.user_name, "id", scim_id_format(&u->subject.id, id),
                          "state", state_of(u), "displayName", u->details.display_name, "email",
                          u->details.email, "externalId", u->details.external_id, "groups",
                          groups, "roles", roles);
}

static void add_detail(apr_array_header_t *cells, const char *label, const char *text)
{
    if (text) {
        ctl_add_row(cells, 2, label, text);
    }
}

static const char *show_roles(const user_showing *u, apr_pool_t *pool)
{
    const char *text = "";
    int i;

    for (i = 0; i < roles_count(u); i++) {
        text = apr_pstrcat(pool, text, i ? ", " : "",
                           APR_ARRAY_IDX(u->subject.roles, i, const char *), NULL);
    }
    return *text ? text : "none";
}

static void print_user(const ctl *c, const user_showing *u)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 32, sizeof(const char *));
    char id[SCIM_ID_TEXT + 1];
    int i;

    add_detail(cells, "User:", u->details.user_name);
    add_detail(cells, "Id:", scim_id_format(&u->subject.id, id));
    add_detail(cells, "State:",
               u->subject.state == SCIM_SUBJECT_ACTIVE
                   ? "active"
                   : "inactive: every Require refuses it, whatever its groups");
    add_detail(cells, "Name:", u->details.display_name);
    add_detail(cells, "E-mail:", u->details.email);
    add_detail(cells, "External id:", u->details.external_id);
    add_detail(cells, "Roles:", show_roles(u, c->pool));
    for (i = 0; i < groups_count(u); i++) {
        const scim_subject_group *group =
            &APR_ARRAY_IDX(u->subject.groups, i, scim_subject_group);
        const char *role = role_of_subject(u, group);

        add_detail(cells, i ? "" : "Groups:",
                   apr_pstrcat(c->pool, group->name, group->direct ? "" : " (indirect)",
                               role ? ": " : "", role ? role : "", NULL));
    }
    ctl_print_table(cells, 2);
}

/* Gone since it was found. */
static ctl_exit user_gone(const user_showing *u)
{
    ctl_complain("the user %s was deleted meanwhile", u->which->name);
    return CTL_NOT_FOUND;
}

ctl_exit ctl_user_show(ctl *c)
{
    ctl_named which;
    user_showing u = {.which = &which};
    ctl_exit code = ctl_find_named(&which, c, "User");
    const scim_error *err;

    if (code != CTL_OK || c->options[CTL_RESOURCE]) {
        return code == CTL_OK ? ctl_print_resource(c, &which) : code;
    }
    err = scim_store_view(c->store, find_user, &u, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (!is_there(&u.subject)) {
        return user_gone(&u);
    }
    if (c->json) {
        ctl_print_json(json_of_user(&u));
    } else {
        print_user(c, &u);
    }
    return CTL_OK;
}

/* Listing: a page is read in one view and printed outside of it, so that nothing of the
 * store is held for a reader who is slow. */

#define PAGE 500

typedef struct listing {
    ctl *c;
    const char *tenant_name;
    const scim_filter *filter; /* or NULL */
    const scim_resource_type *type;
    apr_uint64_t wanted; /* still */
    apr_uint64_t shown;
    scim_position after;
    bool more;
    apr_array_header_t *users; /* of user: the page */
    apr_pool_t *pool;          /* of the page */
} listing;

typedef struct user {
    const char *name;
    const char *external_id; /* or NULL */
    bool active;
    scim_id id;
} user;

static const scim_error *take_user(scim_view *view, const scim_record *record, void *baton)
{
    listing *list = baton;
    const json_t *json = scim_json_read_own(record->json, record->json_len, list->pool);
    user *one = apr_array_push(list->users);

    *one = (user){.name = json_string_value(json_object_get(json, "userName")),
                  .external_id = json_string_value(json_object_get(json, "externalId")),
                  .active = !json_is_false(json_object_get(json, "active")),
                  .id = record->id};
    one->name = one->name ? one->name : "";
    return NULL;
}

static const scim_error *read_users(scim_view *view, void *baton)
{
    listing *list = baton;
    scim_query_part part = {.type = list->type, .filter = list->filter};
    scim_query query = {.parts = &part,
                        .parts_count = 1,
                        .start = 1,
                        .count = list->wanted < PAGE ? list->wanted : PAGE,
                        .by_cursor = true,
                        .after = list->shown ? &list->after : NULL};
    scim_tenant tenant;
    scim_page page;

    apr_array_clear(list->users);
    SCIM_ERR(scim_tenant_find(&tenant, view, list->tenant_name));
    SCIM_ERR(scim_resource_query(&page, view, &tenant, &query, take_user, list));
    list->more = page.more;
    list->after = page.last;
    return NULL;
}

static void print_users_json(const listing *list)
{
    char id[SCIM_ID_TEXT + 1];
    int i;

    for (i = 0; i < list->users->nelts; i++) {
        const user *one = &APR_ARRAY_IDX(list->users, i, user);
        json_t *json = scim_json_pack("{s:s, s:b, s:s, s:s?}", "userName", one->name, "active",
                                      one->active, "id", scim_id_format(&one->id, id),
                                      "externalId", one->external_id);

        fputs(list->shown || i ? ",\n  " : "[\n  ", stdout);
        scim_json_print(json, stdout, JSON_COMPACT);
        json_decref(json);
    }
}

/* Each page has columns of its own. */
static void print_users(const listing *list)
{
    apr_array_header_t *cells = apr_array_make(list->pool, 64, sizeof(const char *));
    char id[SCIM_ID_TEXT + 1];
    int i;

    if (!list->shown && list->users->nelts) {
        ctl_add_row(cells, 4, "USERNAME", "STATE", "ID", "EXTERNAL ID");
    }
    for (i = 0; i < list->users->nelts; i++) {
        const user *one = &APR_ARRAY_IDX(list->users, i, user);

        ctl_add_row(cells, 4, one->name, one->active ? "active" : "inactive",
                    apr_pstrdup(list->pool, scim_id_format(&one->id, id)),
                    one->external_id ? one->external_id : "-");
    }
    ctl_print_table(cells, 4);
}

/* What is printed is as long as the list; a reader that has seen enough ends it. */
static const scim_error *print_pages(listing *list)
{
    list->more = list->wanted > 0;
    while (list->more && list->wanted && !ferror(stdout)) {
        SCIM_ERR(scim_store_view(list->c->store, read_users, list, list->pool));
        if (list->c->json) {
            print_users_json(list);
        } else {
            print_users(list);
        }
        list->shown += (apr_uint64_t)list->users->nelts;
        list->wanted -= (apr_uint64_t)list->users->nelts;
        apr_pool_clear(list->pool);
    }
    return NULL;
}

static void end_list(const listing *list)
{
    if (list->c->json) {
        fputs(list->shown ? "\n]\n" : "[]\n", stdout);
    } else if (!list->shown && list->filter) {
        printf("No user of tenant %s matches.\n", list->tenant_name);
    } else if (!list->shown) {
        printf("Tenant %s has no user.\n", list->tenant_name);
    }
}

static ctl_exit read_filter(listing *list)
{
    const char *text = list->c->options[CTL_FILTER];
    const scim_error *err =
        text ? scim_filter_parse(&list->filter, text, list->type, true, list->c->pool) : NULL;

    if (err) {
        ctl_complain("--filter: %s", err->detail);
        return CTL_USAGE;
    }
    return CTL_OK;
}

ctl_exit ctl_user_list(ctl *c)
{
    listing list = {.c = c,
                    .tenant_name = c->options[CTL_TENANT],
                    .type = scim_registry_type(scim_store_registry(c->store), "User"),
                    .users = apr_array_make(c->pool, PAGE, sizeof(user))};
    ctl_exit code = ctl_need_tenant(c);
    const scim_error *err;

    if (code == CTL_OK) {
        code = ctl_read_count(&list.wanted, c, APR_INT64_MAX);
    }
    if (code == CTL_OK) {
        code = read_filter(&list);
    }
    if (code != CTL_OK) {
        return code;
    }
    apr_pool_create(&list.pool, c->pool);
    err = print_pages(&list);
    if (err) {
        return ctl_failed(err);
    }
    end_list(&list);
    return CTL_OK;
}

/* Deleting */

ctl_exit ctl_user_delete(ctl *c)
{
    ctl_named which;
    ctl_exit code = ctl_find_named(&which, c, "User");

    return code == CTL_OK ? ctl_delete_named(c, &which) : code;
}
