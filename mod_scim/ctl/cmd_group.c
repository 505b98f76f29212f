/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on groups.
 */
#include <stdio.h>

#include <apr_strings.h>

#include "scim/member.h"
#include "scim/resource.h"
#include "scim/role.h"

#include "ctl.h"

#define NO_ROLE "-"
#define MEMBERS_SHOWN 100

/* Listing */

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

static const char *role_of(const scim_policy *policy, const scim_record *group,
                           apr_pool_t *pool)
{
    int i = scim_role_of_group(policy, group->display, group->display_len, pool);

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
                apr_pstrdup(list->pool, role_of(&list->tenant.policy, group, list->pool)),
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
    ctl_exit code = ctl_need_tenant(c);
    const scim_error *err;

    if (code != CTL_OK) {
        return code;
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

/* Showing */

typedef struct showing {
    const ctl_named *which;
    scim_tenant tenant;
    apr_uint64_t wanted; /* members */
    apr_uint64_t count;
    scim_record group;
    const char *external_id;
    const char *role;
    apr_array_header_t *members; /* of member */
    scim_view *view;
    apr_pool_t *pool;
} showing;

typedef struct member {
    scim_id id;
    const char *type; /* "user", "group"; NULL: it leads nowhere */
    const char *name; /* of one that leads nowhere: what was sent */
} member;

/* What it is called here, and not what was sent for it. */
static const scim_error *name_member(member *out, showing *s, const scim_edge *edge)
{
    scim_record record;
    const scim_error *err;

    if (!edge->type) {
        out->name = apr_pstrmemdup(s->pool, edge->text_len ? edge->text : edge->display,
                                   edge->text_len ? edge->text_len : edge->display_len);
        return NULL;
    }
    out->type = edge->type->members ? "group" : "user";
    err = scim_resource_get(&record, s->view, &s->tenant, edge->type, &edge->id);
    if (!err) {
        out->name = ctl_name_of(&record, s->pool);
    }
    return err && err->code != SCIM_E_NOT_FOUND ? err : NULL;
}

static const scim_error *take_member(const scim_edge *edge, void *baton)
{
    showing *s = baton;
    member *one = apr_array_push(s->members);

    *one = (member){.id = edge->id};
    SCIM_ERR(name_member(one, s, edge));
    one->name = one->name ? one->name : "";
    return NULL;
}

static const scim_error *read_group(scim_view *view, void *baton)
{
    showing *s = baton;
    const json_t *json;
    scim_id last;
    bool more;

    s->view = view;
    apr_array_clear(s->members);
    SCIM_ERR(scim_tenant_find(&s->tenant, view, s->which->tenant_name));
    SCIM_ERR(scim_resource_get(&s->group, view, &s->tenant, s->which->type, &s->which->id));
    json = scim_json_read_own(s->group.json, s->group.json_len, s->pool);
    s->external_id = json_string_value(json_object_get(json, "externalId"));
    s->role = role_of(&s->tenant.policy, &s->group, s->pool);
    SCIM_ERR(scim_member_count(&s->count, view, &s->tenant, &s->which->id));
    return scim_member_some(view, &s->tenant, &s->which->id, NULL, s->wanted, &last, &more,
                            take_member, s);
}

static json_t *json_of_group(const showing *s)
{
    json_t *members = scim_json_array();
    char id[SCIM_ID_TEXT + 1];
    int i;

    for (i = 0; i < s->members->nelts; i++) {
        const member *one = &APR_ARRAY_IDX(s->members, i, member);

        scim_json_append(members,
                         scim_json_pack("{s:s, s:s?, s:s}", "name", one->name, "type",
                                        one->type, "id", scim_id_format(&one->id, id)));
    }
    return scim_json_pack("{s:s, s:s, s:s?, s:s, s:o, s:o, s:I, s:o}", "name", s->which->name,
                          "id", scim_id_format(&s->which->id, id), "externalId", s->external_id,
                          "role", s->role, "created", ctl_json_time(s->group.created),
                          "lastModified", ctl_json_time(s->group.modified), "membersCount",
                          (json_int_t)s->count, "members", members);
}

static void print_members(const ctl *c, const showing *s)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 32, sizeof(const char *));
    char id[SCIM_ID_TEXT + 1];
    int i;

    if (!s->members->nelts) {
        return;
    }
    putchar('\n');
    ctl_add_row(cells, 3, "MEMBER", "TYPE", "ID");
    for (i = 0; i < s->members->nelts; i++) {
        const member *one = &APR_ARRAY_IDX(s->members, i, member);

        ctl_add_row(cells, 3, one->name, one->type ? one->type : "leads nowhere",
                    apr_pstrdup(c->pool, scim_id_format(&one->id, id)));
    }
    ctl_print_table(cells, 3);
    if (s->count > (apr_uint64_t)s->members->nelts) {
        printf("... and %" APR_UINT64_T_FMT " more (--count %" APR_UINT64_T_FMT
               " shows all of them)\n",
               s->count - (apr_uint64_t)s->members->nelts, s->count);
    }
}

static void print_group(const ctl *c, const showing *s)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 16, sizeof(const char *));
    char id[SCIM_ID_TEXT + 1];

    ctl_add_row(cells, 2, "Group:", s->which->name);
    ctl_add_row(cells, 2, "Id:", scim_id_format(&s->which->id, id));
    if (s->external_id) {
        ctl_add_row(cells, 2, "External id:", s->external_id);
    }
    ctl_add_row(cells, 2, "Role:", s->role);
    ctl_add_row(cells, 2, "Created:", ctl_show_time(s->group.created, c->pool));
    ctl_add_row(cells, 2, "Changed:", ctl_show_time(s->group.modified, c->pool));
    ctl_add_row(cells, 2, "Members:", apr_psprintf(c->pool, "%" APR_UINT64_T_FMT, s->count));
    ctl_print_table(cells, 2);
    print_members(c, s);
}

ctl_exit ctl_group_show(ctl *c)
{
    ctl_named which;
    showing s = {.which = &which,
                 .members = apr_array_make(c->pool, 16, sizeof(member)),
                 .pool = c->pool};
    ctl_exit code = ctl_read_count(&s.wanted, c, MEMBERS_SHOWN);
    const scim_error *err;

    if (code == CTL_OK) {
        code = ctl_find_named(&which, c, "Group");
    }
    if (code != CTL_OK || c->options[CTL_RESOURCE]) {
        return code == CTL_OK ? ctl_print_resource(c, &which) : code;
    }
    err = scim_store_view(c->store, read_group, &s, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (c->json) {
        ctl_print_json(json_of_group(&s));
    } else {
        print_group(c, &s);
    }
    return CTL_OK;
}

/* Deleting */

ctl_exit ctl_group_delete(ctl *c)
{
    ctl_named which;
    ctl_exit code = ctl_find_named(&which, c, "Group");

    return code == CTL_OK ? ctl_delete_named(c, &which) : code;
}
