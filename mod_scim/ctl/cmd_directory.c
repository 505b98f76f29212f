/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on what identity providers put into the directory, as authorization
 * sees it.
 */
#include <stdio.h>

#include <apr_strings.h>

#include "scim/member.h"
#include "scim/resource.h"
#include "scim/role.h"
#include "scim/subject.h"

#include "ctl.h"

#define NO_ROLE "-"

/* Groups */

#define PAGE 500 /* groups that are read in one view */

typedef struct group_list {
    const char *tenant_name;
    scim_tenant tenant;
    const scim_resource_type *type;
    scim_position after;
    bool more;
    apr_array_header_t *cells; /* of const char *, four for each group */
    apr_pool_t *pool;
} group_list;

static const char *role_of(const group_list *list, const scim_record *group)
{
    const scim_policy *policy = &list->tenant.policy;
    int i = scim_role_of_group(policy, group->display, group->display_len, list->pool);

    if (i >= 0) {
        return policy->roles[i].role;
    }
    return policy->custom_groups == SCIM_CUSTOM_IGNORE ? "unsupported" : NO_ROLE;
}

static const scim_error *take_group(scim_view *view, const scim_record *group, void *baton)
{
    group_list *list = baton;
    char id[SCIM_ID_TEXT + 1];
    apr_uint64_t members;

    SCIM_ERR(scim_member_count(&members, view, &list->tenant, &group->id));
    ctl_add_row(list->cells, 4, apr_pstrmemdup(list->pool, group->display, group->display_len),
                apr_psprintf(list->pool, "%" APR_UINT64_T_FMT, members),
                apr_pstrdup(list->pool, role_of(list, group)),
                apr_pstrdup(list->pool, scim_id_format(&group->id, id)));
    return NULL;
}

/* The tenant is read anew with each page: its policy is what is shown. */
static const scim_error *read_page(scim_view *view, void *baton)
{
    group_list *list = baton;
    bool first = !list->more;
    scim_query_part part = {.type = list->type};
    scim_query query = {.parts = &part,
                        .parts_count = 1,
                        .start = 1,
                        .count = PAGE,
                        .by_cursor = true,
                        .after = first ? NULL : &list->after};
    scim_page page;

    SCIM_ERR(scim_tenant_find(&list->tenant, view, list->tenant_name));
    SCIM_ERR(scim_resource_query(&page, view, &list->tenant, &query, take_group, list));
    list->more = page.more;
    list->after = page.last;
    return NULL;
}

static json_t *json_of_groups(const apr_array_header_t *cells)
{
    const char *const *cell = (const char *const *)cells->elts;
    json_t *out = scim_json_array();
    int i;

    for (i = 0; i + 3 < cells->nelts; i += 4) {
        scim_json_append(out, scim_json_pack("{s:s, s:I, s:s, s:s}", "name", cell[i], "members",
                                             (json_int_t)apr_atoi64(cell[i + 1]), "role",
                                             cell[i + 2], "id", cell[i + 3]));
    }
    return out;
}

static void print_groups(const ctl *c, const group_list *list)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 16, sizeof(const char *));

    if (!list->cells->nelts) {
        printf("Tenant %s has no group.\n", list->tenant_name);
        return;
    }
    ctl_add_row(cells, 4, "NAME", "MEMBERS", "ROLE", "ID");
    apr_array_cat(cells, list->cells);
    ctl_print_table(cells, 4);
}

ctl_exit ctl_group_list(ctl *c)
{
    group_list list = {.tenant_name = c->options[CTL_TENANT], .pool = c->pool};
    const scim_error *err;

    if (!list.tenant_name) {
        ctl_complain("group list needs --tenant; scimctl tenant list shows the tenants");
        return CTL_USAGE;
    }
    list.type = scim_registry_type(scim_store_registry(c->store), "Group");
    list.cells = apr_array_make(c->pool, 64, sizeof(const char *));
    do {
        err = scim_store_view(c->store, read_page, &list, c->pool);
    } while (!err && list.more);
    if (err) {
        return ctl_failed(err);
    }
    if (c->json) {
        ctl_print_json(json_of_groups(list.cells));
    } else {
        print_groups(c, &list);
    }
    return CTL_OK;
}

/* Users */

typedef struct user_showing {
    const char *tenant_name;
    const char *name;
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

    SCIM_ERR(scim_tenant_find(&u->tenant, view, u->tenant_name));
    SCIM_ERR(scim_subject_find(&u->subject, view, &u->tenant, SCIM_BY_USER_NAME, u->name));
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

ctl_exit ctl_user_show(ctl *c)
{
    user_showing u = {.tenant_name = c->options[CTL_TENANT], .name = c->operand};
    const scim_error *err;

    if (!u.tenant_name) {
        ctl_complain("user show needs --tenant; scimctl tenant list shows the tenants");
        return CTL_USAGE;
    }
    err = scim_store_view(c->store, find_user, &u, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (!is_there(&u.subject)) {
        ctl_complain("tenant %s has no user of the userName \"%s\"", u.tenant_name, u.name);
        return CTL_NOT_FOUND;
    }
    if (c->json) {
        ctl_print_json(json_of_user(&u));
    } else {
        print_user(c, &u);
    }
    return CTL_OK;
}
