/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration of a server says of the policies of its tenants.
 */
#include "mod_scim.h"

#include <string.h>

#define PICK(type, name, unset, otherwise)                               \
    conf.name = section->name != (unset) ? section->name : server->name; \
    if (conf.name == (unset)) {                                          \
        conf.name = otherwise;                                           \
    }

/* A section says what differs from the server's. */
static scim_policy policy_from(const scim_policy_config *section,
                               const scim_policy_config *server)
{
    scim_policy_config conf;

    SCIM_POLICY_CONFIG(PICK)
    return (scim_policy){
        .unique_group_names = conf.unique_group_names == 1,
        .dangling_references = conf.dangling_references == 1,
        .password_sync = conf.password_sync == 1,
        .custom_groups = (scim_custom_groups)conf.custom_groups,
        .on_group_delete = (scim_on_group_delete)conf.on_group_delete,
        .delete_limit = (apr_uint32_t)conf.delete_limit,
        .roles = conf.roles ? (const scim_role_pattern *)conf.roles->elts : NULL,
        .roles_count = conf.roles ? conf.roles->nelts : 0,
    };
}

static const scim_policy_config *section_of(const scim_server_config *conf, const char *name)
{
    int i;

    for (i = conf->tenant_policies->nelts - 1; i >= 0; i--) {
        const scim_tenant_policy *policy =
            &APR_ARRAY_IDX(conf->tenant_policies, i, scim_tenant_policy);

        if (!strcmp(policy->name, name)) {
            return &policy->policy;
        }
    }
    return &conf->policy;
}

scim_policy mod_scim_policy(const char *name, void *baton, apr_pool_t *pool)
{
    const scim_server_config *conf = baton;

    return policy_from(name ? section_of(conf, name) : &conf->policy, &conf->policy);
}
