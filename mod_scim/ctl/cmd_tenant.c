/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on tenants.
 */
#include <stdio.h>

#include "scim/brake.h"
#include "scim/tenant.h"

#include "ctl.h"

static const char *state_of(const scim_tenant *tenant)
{
    return tenant->suspended ? "suspended" : "active";
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

/* Listing */

typedef struct listing {
    apr_array_header_t *tenants; /* of scim_tenant */
    apr_array_header_t *brakes;  /* of scim_brake, one for each */
} listing;

static const scim_error *list(scim_view *view, void *baton)
{
    listing *all = baton;
    int i;

    SCIM_ERR(scim_tenant_list(&all->tenants, view));
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
