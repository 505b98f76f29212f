/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenant URLs: what httpd wrote down of its endpoints, and where the URL and
 * the token are typed in at identity providers.
 */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/endpoints.h"
#include "scim/text.h"

#include "ctl.h"

static const scim_error *read_endpoints(scim_view *view, void *baton)
{
    return scim_endpoints_read(baton, view);
}

static bool has_text(const apr_array_header_t *texts, const char *text)
{
    int i;

    for (i = 0; i < texts->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(texts, i, const char *), text)) {
            return true;
        }
    }
    return false;
}

static void take_endpoint(apr_array_header_t *urls, const json_t *endpoint, const char *tenant,
                          apr_pool_t *pool)
{
    const char *url = json_string_value(json_object_get(endpoint, "url"));
    const char *only = json_string_value(json_object_get(endpoint, "tenant"));

    /* What a worker wrote is shown to root, on a terminal and as lines. */
    if (!url || scim_text_has_control(url, strlen(url)) || (only && strcmp(only, tenant))) {
        return;
    }
    url = apr_pstrdup(pool, url);
    if (json_is_true(json_object_get(endpoint, "template"))) {
        url = scim_endpoints_replace(url, SCIM_ENDPOINTS_TENANT, tenant, pool);
    }
    if (!has_text(urls, url)) {
        APR_ARRAY_PUSH(urls, const char *) = url;
    }
}

apr_array_header_t *ctl_tenant_urls(ctl *c, const char *tenant)
{
    apr_array_header_t *urls = apr_array_make(c->pool, 2, sizeof(const char *));
    const char *text = NULL;
    const scim_error *err = scim_store_view(c->store, read_endpoints, &text, c->pool);
    const json_t *list = text ? scim_json_read_own_array(text, strlen(text), c->pool) : NULL;
    const json_t *endpoint;
    size_t i;

    /* No reason to have no token. */
    if (err) {
        ctl_complain("the Tenant URL is not known: %s (%s)", err->detail, err->cause);
    }
    json_array_foreach (list, i, endpoint) {
        take_endpoint(urls, endpoint, tenant, c->pool);
    }
    return urls;
}

static const struct {
    const char *name;
    const char *steps;
} providers[] = {
    {"entra", "In the Microsoft Entra admin center:\n"
              "  1. Enterprise applications, New application, Create your own application,\n"
              "     the one that is not in the gallery.\n"
              "  2. Provisioning, Provisioning Mode Automatic, Admin Credentials:\n"
              "       Tenant URL       the Tenant URL above\n"
              "       Secret Token     the Secret Token above, without \"Bearer\"\n"
              "  3. Test Connection, then Save.\n"
              "  4. Settings, Scope: Sync only assigned users and groups.  Assign them under\n"
              "     Users and groups, and start provisioning.\n"},
    {"jumpcloud",
     "In the JumpCloud Admin Portal, in the application, tab Identity Management:\n"
     "  1. API Type           SCIM API\n"
     "     SCIM Version       SCIM 2.0\n"
     "     Base URL           the Tenant URL above, without a slash at its end\n"
     "     Token Key          the Secret Token above\n"
     "     Test User Email    an address that no user has here\n"
     "     and, for groups, enable the management of User Groups and Group Membership.\n"
     "  2. Test Connection, Activate, Save: a test user and a test group are made here and\n"
     "     deleted again.\n"
     "  To put in another token: deactivate the integration, put it in, activate.\n"},
    {"okta", "In the Okta Admin Console, in the application:\n"
             "  1. General, App Settings: enable SCIM provisioning.\n"
             "  2. Provisioning, Integration:\n"
             "       SCIM connector base URL              the Tenant URL above\n"
             "       Unique identifier field for users    userName\n"
             "       Supported provisioning actions       Push New Users,\n"
             "                                            Push Profile Updates, Push Groups\n"
             "       Authentication Mode                  HTTP Header\n"
             "       Authorization, Bearer                the Secret Token above\n"
             "  3. Test Connector Configuration, then Save.\n"
             "  4. Provisioning, To App: enable Create Users, Update User Attributes and\n"
             "     Deactivate Users; then assign people, and groups under Push Groups.\n"},
};

static const char *steps_of(const char *provider)
{
    size_t i;

    for (i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (!strcmp(providers[i].name, provider)) {
            return providers[i].steps;
        }
    }
    return NULL;
}

bool ctl_knows_provider(const char *provider)
{
    return steps_of(provider) != NULL;
}

void ctl_tell_steps(const char *provider, const apr_array_header_t *urls)
{
    if (!urls->nelts) {
        fputs("The Tenant URL is not known: httpd writes it into the store when it starts with "
              "an\n"
              "endpoint of this tenant.  It is https://, the name of that server, and the path "
              "of\n"
              "the <Location> with SCIMEngine On, or its SCIMBaseURL.\n",
              stderr);
    } else if (urls->nelts > 1) {
        fputs("Any of the Tenant URLs will do; take the one that the identity provider "
              "reaches.\n",
              stderr);
    }
    if (provider) {
        fputs(steps_of(provider), stderr);
    }
}
