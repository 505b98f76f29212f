/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on tenants.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scim/brake.h"
#include "scim/resource.h"
#include "scim/tenant.h"

#include "ctl.h"

static const char *state_of(const scim_tenant *tenant)
{
    return tenant->deleting ? "being deleted" : tenant->suspended ? "suspended" : "active";
}

static json_t *json_of(const scim_tenant *tenant)
{
    return scim_json_pack("{s:s, s:I, s:s, s:o}", "name", tenant->name, "number",
                          (json_int_t)tenant->number, "state", state_of(tenant), "created",
                          ctl_json_time(tenant->created));
}

ctl_exit ctl_tenant_create(ctl *c)
{
    scim_tenant tenant;
    const scim_error *err;

    if (!scim_tenant_name_valid(c->operand)) {
        ctl_complain("\"%s\" cannot be the name of a tenant: 1 to %d of A-Z a-z 0-9 . _ -",
                     c->operand, SCIM_TENANT_NAME_MAX);
        return CTL_USAGE;
    }
    err = scim_tenant_create(&tenant, c->store, c->operand, apr_time_now(), c->pool);
    if (err) {
        return ctl_failed(err);
    }
    ctl_audit(c, "tenant.create", tenant.name, NULL, NULL);
    if (c->json) {
        ctl_print_json(json_of(&tenant));
    } else {
        printf("Tenant %s is created.\n"
               "Next: scimctl token create --tenant %s --connection NAME\n",
               tenant.name, tenant.name);
    }
    return CTL_OK;
}

/* Suspending */

static void tell_suspended(const ctl *c, bool changed)
{
    printf("Tenant %s is %ssuspended.  Its identity providers are answered 403; what they\n"
           "provisioned stays, and authorization by it goes on.\n"
           "Back: scimctl tenant resume %s\n",
           c->operand, changed ? "" : "already ", c->operand);
}

static void tell_resumed(const ctl *c, bool changed)
{
    printf("Tenant %s is %s.  Its identity providers are answered as ever.\n", c->operand,
           changed ? "resumed" : "active already");
}

static ctl_exit set_suspended(ctl *c, bool suspended)
{
    const scim_error *err;
    bool changed;

    err = scim_tenant_suspend(&changed, c->store, c->operand, suspended, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (changed) {
        ctl_audit(c, suspended ? "tenant.suspend" : "tenant.resume", c->operand, NULL, NULL);
    }
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:s, s:b}", "name", c->operand, "state",
                                      suspended ? "suspended" : "active", "changed", changed));
    } else if (suspended) {
        tell_suspended(c, changed);
    } else {
        tell_resumed(c, changed);
    }
    return CTL_OK;
}

ctl_exit ctl_tenant_suspend(ctl *c)
{
    return set_suspended(c, true);
}

ctl_exit ctl_tenant_resume(ctl *c)
{
    return set_suspended(c, false);
}

ctl_exit ctl_tenant_release(ctl *c)
{
    const scim_error *err;
    bool was;

    err = scim_brake_release(&was, c->store, c->operand, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (was) {
        ctl_audit(c, "tenant.release", c->operand, NULL, NULL);
    }
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:b}", "name", c->operand, "released", was));
    } else if (was) {
        printf("The brake on mass deletion of tenant %s is released: its users may be deleted\n"
               "and deactivated again, and SCIMDeleteLimit counts from zero.\n",
               c->operand);
    } else {
        printf("The brake on mass deletion of tenant %s was not on; SCIMDeleteLimit counts\n"
               "from zero.\n",
               c->operand);
    }
    return CTL_OK;
}

/* Deleting */

typedef struct deletion {
    const char *name;
    scim_tenant tenant;
    apr_int64_t users, groups;
    int tokens;
    apr_uint64_t rows;
} deletion;

static const scim_error *count_type(apr_int64_t *out, scim_view *view,
                                    const scim_tenant *tenant, const char *type)
{
    scim_query_part part = {.type = scim_registry_type(scim_store_registry(view->store), type)};
    scim_query query = {.parts = &part, .parts_count = 1, .start = 1};
    scim_page page;

    SCIM_ERR(scim_resource_query(&page, view, tenant, &query, NULL, NULL));
    *out = page.total;
    return NULL;
}

/* Of one that is being deleted nothing is known but that. */
static const scim_error *look_at_tenant(scim_view *view, void *baton)
{
    deletion *d = baton;
    apr_array_header_t *tenants;
    int i;

    SCIM_ERR(scim_tenant_list_deleting(&tenants, view));
    for (i = 0; i < tenants->nelts; i++) {
        d->tenant = APR_ARRAY_IDX(tenants, i, scim_tenant);
        if (!strcmp(d->tenant.name, d->name)) {
            return NULL;
        }
    }
    SCIM_ERR(scim_tenant_find(&d->tenant, view, d->name));
    SCIM_ERR(count_type(&d->users, view, &d->tenant, "User"));
    return count_type(&d->groups, view, &d->tenant, "Group");
}

/* What was decided once is not asked again. */
static bool may_delete(const ctl *c, const deletion *d)
{
    char line[SCIM_TENANT_NAME_MAX + 2];

    if (c->options[CTL_FORCE] || d->tenant.deleting) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        ctl_complain("tenant %s has %" APR_INT64_T_FMT " users and %" APR_INT64_T_FMT
                     " groups: to delete it without being asked, add --force",
                     d->name, d->users, d->groups);
        return false;
    }
    fprintf(stderr,
            "Tenant %s, its %" APR_INT64_T_FMT " users, %" APR_INT64_T_FMT
            " groups and all tokens will be deleted for good.\n"
            "To go on, type its name: ",
            d->name, d->users, d->groups);
    if (!fgets(line, sizeof(line), stdin)) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, d->name)) {
        ctl_complain("that is not its name; nothing was deleted");
        return false;
    }
    return true;
}

/* Somebody else may have come to the end of it first. */
static const scim_error *delete_rows(ctl *c, deletion *d, apr_uint64_t total,
                                     ctl_progress *progress)
{
    bool more = true;
    apr_pool_t *step;

    apr_pool_create(&step, c->pool);
    while (more) {
        apr_uint64_t rows;
        const scim_error *err = scim_tenant_delete_some(&more, &rows, c->store, d->name, step);

        if (err) {
            return err->code == SCIM_E_NOT_FOUND ? NULL : err;
        }
        d->rows += rows;
        ctl_show_progress(progress, d->rows, total);
        apr_pool_clear(step);
    }
    return NULL;
}

static const scim_error *delete_tenant(ctl *c, deletion *d)
{
    ctl_progress progress = {-1};
    apr_uint64_t total = 0;
    const scim_error *err;
    bool begun;

    SCIM_ERR(scim_tenant_mark(&begun, &d->tokens, c->store, d->name, c->pool));
    if (begun) {
        ctl_audit(c, "tenant.delete", d->name, NULL, NULL);
    }
    if (isatty(STDERR_FILENO)) {
        SCIM_ERR(scim_tenant_rows(&total, c->store, d->name, c->pool));
    }
    err = delete_rows(c, d, total, &progress);
    ctl_wipe_progress(&progress);
    if (!err) {
        ctl_audit(c, "tenant.deleted", d->name, NULL, NULL);
    }
    return err;
}

ctl_exit ctl_tenant_delete(ctl *c)
{
    deletion d = {.name = c->operand};
    const scim_error *err = scim_store_view(c->store, look_at_tenant, &d, c->pool);

    if (err) {
        return ctl_failed(err);
    }
    if (!may_delete(c, &d)) {
        return CTL_REFUSED;
    }
    err = delete_tenant(c, &d);
    if (err) {
        return ctl_failed(err);
    }
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:i, s:I}", "name", d.name, "tokens", d.tokens,
                                      "entries", (json_int_t)d.rows));
    } else {
        printf("Tenant %s is deleted, with %d token%s and %" APR_UINT64_T_FMT " entries.\n",
               d.name, d.tokens, d.tokens == 1 ? "" : "s", d.rows);
    }
    return CTL_OK;
}

/* Listing */

typedef struct listing {
    apr_array_header_t *tenants; /* of scim_tenant */
    apr_array_header_t *brakes;  /* of scim_brake, one for each */
} listing;

static const scim_error *list(scim_view *view, void *baton)
{
    listing *all = baton;
    apr_array_header_t *deleting;
    int i;

    SCIM_ERR(scim_tenant_list(&all->tenants, view));
    SCIM_ERR(scim_tenant_list_deleting(&deleting, view));
    apr_array_cat(all->tenants, deleting);
    all->brakes = apr_array_make(view->pool, all->tenants->nelts + 1, sizeof(scim_brake));
    for (i = 0; i < all->tenants->nelts; i++) {
        SCIM_ERR(scim_brake_read(apr_array_push(all->brakes), view,
                                 &APR_ARRAY_IDX(all->tenants, i, scim_tenant)));
    }
    return NULL;
}

static bool brake_on(const listing *all, int i)
{
    return APR_ARRAY_IDX(all->brakes, i, scim_brake).on;
}

static void print_tenants(const ctl *c, const listing *all)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 16, sizeof(const char *));
    int i;

    if (!all->tenants->nelts) {
        printf("There is no tenant yet: scimctl tenant create NAME\n");
        return;
    }
    ctl_add_row(cells, 4, "NAME", "STATE", "BRAKE", "CREATED");
    for (i = 0; i < all->tenants->nelts; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(all->tenants, i, scim_tenant);

        ctl_add_row(cells, 4, tenant->name, state_of(tenant), brake_on(all, i) ? "on" : "off",
                    ctl_show_time(tenant->created, c->pool));
    }
    ctl_print_table(cells, 4);
}

ctl_exit ctl_tenant_list(ctl *c)
{
    listing all;
    const scim_error *err = scim_store_view(c->store, list, &all, c->pool);
    json_t *out;
    int i;

    if (err) {
        return ctl_failed(err);
    }
    if (!c->json) {
        print_tenants(c, &all);
        return CTL_OK;
    }
    out = scim_json_array();
    for (i = 0; i < all.tenants->nelts; i++) {
        json_t *tenant = json_of(&APR_ARRAY_IDX(all.tenants, i, scim_tenant));

        scim_json_set(tenant, "brake", json_boolean(brake_on(&all, i)));
        scim_json_append(out, tenant);
    }
    ctl_print_json(out);
    return CTL_OK;
}
