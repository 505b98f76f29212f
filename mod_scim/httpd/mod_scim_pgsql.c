/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module of its own, which brings mod_scim the engine for stores on PostgreSQL: who has
 * none needs no libpq.  mod_scim looks for it by the name of the provider (engine.c).
 */
#include <httpd.h>
#include <http_config.h>

#include <ap_provider.h>

#include "scim/kv.h"

/* Before the declarations of httpd's macros: it is the one symbol that the module exports. */
extern __attribute__((visibility("default"))) module scim_pgsql_module;

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, "scim-engine", "pgsql", "0", &scim_kv_pgsql);
}

AP_DECLARE_MODULE(scim_pgsql) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL,
                                 register_hooks,          0};
