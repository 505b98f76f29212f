/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on tenants.
 */
#include <stdio.h>

#include "scim/tenant.h"

#include "ctl.h"

static const char *state_of(const scim_tenant *tenant)
{
    return tenant->suspended ? "suspended" : "active";
}

static json_t *json_of(const scim_tenant *tenant)
{
    return json_pack("{s:s, s:I, s:s, s:o}", "name", tenant->name, "number",
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
    if (c->json) {
        ctl_print_json(json_of(&tenant));
    } else {
        printf("Tenant %s is created.\n"
               "Next: scimctl token create --tenant %s --connection NAME\n",
               tenant.name, tenant.name);
    }
    return CTL_OK;
}

static const scim_error *list(scim_view *view, void *baton)
{
    return scim_tenant_list(baton, view);
}

static void print_tenants(const ctl *c, const apr_array_header_t *tenants)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 16, sizeof(const char *));
    int i;

    if (!tenants->nelts) {
        printf("There is no tenant yet: scimctl tenant create NAME\n");
        return;
    }
    ctl_add_row(cells, 3, "NAME", "STATE", "CREATED");
    for (i = 0; i < tenants->nelts; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(tenants, i, scim_tenant);

        ctl_add_row(cells, 3, tenant->name, state_of(tenant),
                    ctl_show_time(tenant->created, c->pool));
    }
    ctl_print_table(cells, 3);
}

ctl_exit ctl_tenant_list(ctl *c)
{
    apr_array_header_t *tenants;
    const scim_error *err = scim_store_view(c->store, list, &tenants, c->pool);
    json_t *out;
    int i;

    if (err) {
        return ctl_failed(err);
    }
    if (!c->json) {
        print_tenants(c, tenants);
        return CTL_OK;
    }
    out = json_array();
    for (i = 0; i < tenants->nelts; i++) {
        json_array_append_new(out, json_of(&APR_ARRAY_IDX(tenants, i, scim_tenant)));
    }
    ctl_print_json(out);
    return CTL_OK;
}
