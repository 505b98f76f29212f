/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity providers: what is typed in where.
 */
#include "scim/provider.h"

#include <string.h>

const scim_provider scim_providers[] = {
    {"entra",
     "Microsoft Entra ID",
     "In the Microsoft Entra admin center",
     {{"Enterprise applications, New application, Create your own application,\n"
       "the one that is not in the gallery.",
       {{NULL, NULL}}},
      {"Provisioning, Provisioning Mode Automatic, Admin Credentials:",
       {{"Tenant URL", "the Tenant URL above"},
        {"Secret Token", "the Secret Token above, without \"Bearer\""}}},
      {"Test Connection, then Save.", {{NULL, NULL}}},
      {"Settings, Scope: Sync only assigned users and groups.  Assign them under\n"
       "Users and groups, and start provisioning.",
       {{NULL, NULL}}}},
     NULL},
    {"jumpcloud",
     "JumpCloud",
     "In the JumpCloud Admin Portal, in the application, tab Identity Management",
     {{"Fill in:",
       {{"API Type", "SCIM API"},
        {"SCIM Version", "SCIM 2.0"},
        {"Base URL", "the Tenant URL above, without a slash at its end"},
        {"Token Key", "the Secret Token above"},
        {"Test User Email", "an address that no user has here"}}},
      {"For groups, enable the management of User Groups and Group Membership.",
       {{NULL, NULL}}},
      {"Test Connection, Activate, Save: a test user and a test group are made here and\n"
       "deleted again.",
       {{NULL, NULL}}}},
     "To put in another token: deactivate the integration, put it in, activate."},
    {"okta",
     "Okta",
     "In the Okta Admin Console, in the application",
     {{"General, App Settings: enable SCIM provisioning.", {{NULL, NULL}}},
      {"Provisioning, Integration:",
       {{"SCIM connector base URL", "the Tenant URL above"},
        {"Unique identifier field for users", "userName"},
        {"Supported provisioning actions",
         "Push New Users,\nPush Profile Updates, Push Groups"},
        {"Authentication Mode", "HTTP Header"},
        {"Authorization, Bearer", "the Secret Token above"}}},
      {"Test Connector Configuration, then Save.", {{NULL, NULL}}},
      {"Provisioning, To App: enable Create Users, Update User Attributes and\n"
       "Deactivate Users; then assign people, and groups under Push Groups.",
       {{NULL, NULL}}}},
     NULL},
    {.name = NULL}};

const scim_provider *scim_provider_find(const char *name)
{
    const scim_provider *provider;

    for (provider = scim_providers; provider->name; provider++) {
        if (!strcmp(provider->name, name)) {
            return provider;
        }
    }
    return NULL;
}
