/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies of tenants, as the directives that make them.
 */
#include <stdio.h>
#include <string.h>

#include "scim/tenant.h"

#include "ctl.h"

static const char *const custom_groups[] = {"accept", "ignore", "refuse"};
static const char *const on_group_delete[] = {"keep", "deactivate", "delete"};

/* A word of httpd's configuration, in quotes. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_directives(const scim_policy *policy, const char *indent)
{
    int i;

    for (i = 0; i < policy->roles_count; i++) {
        printf("%sSCIMRole %s ", indent, policy->roles[i].role);
        print_quoted(policy->roles[i].pattern);
        putchar('\n');
    }
    printf("%sSCIMCustomGroups %s\n", indent, custom_groups[policy->custom_groups]);
    printf("%sSCIMUniqueGroupNames %s\n", indent, policy->unique_group_names ? "On" : "Off");
    printf("%sSCIMOnGroupDelete %s\n", indent, on_group_delete[policy->on_group_delete]);
    if (policy->delete_limit) {
        printf("%sSCIMDeleteLimit %u/h\n", indent, policy->delete_limit);
    } else {
        printf("%sSCIMDeleteLimit Off\n", indent);
    }
    printf("%sSCIMDanglingReferences %s\n", indent,
           policy->dangling_references ? "allow" : "refuse");
    printf("%sSCIMPasswordSync %s\n", indent, policy->password_sync ? "On" : "Off");
}

static json_t *json_of(const char *tenant, const scim_policy *policy)
{
    json_t *roles = scim_json_array();
    int i;

    for (i = 0; i < policy->roles_count; i++) {
        scim_json_append(roles, scim_json_pack("{s:s, s:s}", "role", policy->roles[i].role,
                                               "pattern", policy->roles[i].pattern));
    }
    return scim_json_pack("{s:s?, s:o, s:s, s:b, s:s, s:o, s:b, s:b}", "tenant", tenant,
                          "roles", roles, "customGroups", custom_groups[policy->custom_groups],
                          "uniqueGroupNames", policy->unique_group_names, "onGroupDelete",
                          on_group_delete[policy->on_group_delete], "deleteLimit",
                          policy->delete_limit ? scim_json_integer(policy->delete_limit)
                                               : json_null(),
                          "danglingReferences", policy->dangling_references, "passwordSync",
                          policy->password_sync);
}

typedef struct policies {
    const char *name; /* NULL: all */
    scim_policy to_come;
    scim_tenant tenant;
    apr_array_header_t *tenants; /* of scim_tenant */
} policies;

static const scim_error *read_policies(scim_view *view, void *baton)
{
    policies *p = baton;

    if (p->name) {
        return scim_tenant_find(&p->tenant, view, p->name);
    }
    SCIM_ERR(scim_tenant_default_policy(&p->to_come, view));
    return scim_tenant_list(&p->tenants, view);
}

static void tell_origin(void)
{
    printf("# As httpd wrote it into the store when it last started.  To change it, change\n"
           "# httpd's configuration and restart httpd.\n");
}

static void print_all(const policies *p, apr_pool_t *pool)
{
    int i;

    tell_origin();
    printf("\n# Of tenants to come\n");
    print_directives(&p->to_come, "");
    for (i = 0; i < p->tenants->nelts; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(p->tenants, i, scim_tenant);

        if (scim_policy_equal(&tenant->policy, &p->to_come, pool)) {
            printf("\n# Tenant %s: the same\n", tenant->name);
            continue;
        }
        printf("\n<SCIMTenantPolicy %s>\n", tenant->name);
        print_directives(&tenant->policy, "    ");
        printf("</SCIMTenantPolicy>\n");
    }
}

static json_t *json_of_all(const policies *p)
{
    json_t *out = scim_json_array();
    int i;

    scim_json_append(out, json_of(NULL, &p->to_come));
    for (i = 0; i < p->tenants->nelts; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(p->tenants, i, scim_tenant);

        scim_json_append(out, json_of(tenant->name, &tenant->policy));
    }
    return out;
}

ctl_exit ctl_policy(ctl *c)
{
    policies p = {.name = c->options[CTL_TENANT]};
    const scim_error *err = scim_store_view(c->store, read_policies, &p, c->pool);

    if (err) {
        return ctl_failed(err);
    }
    if (c->json) {
        ctl_print_json(p.name ? json_of(p.name, &p.tenant.policy) : json_of_all(&p));
    } else if (p.name) {
        tell_origin();
        print_directives(&p.tenant.policy, "");
    } else {
        print_all(&p, c->pool);
    }
    return CTL_OK;
}
