/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines that other modules offer, as mod_scim_pgsql does: a provider of the group
 * "scim-engine", whose name is what stands before the colon of SCIMStore.  They are looked
 * for when all of the configuration is read, so that no order of LoadModule matters.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_strings.h>
#include <ap_provider.h>

#define GROUP "scim-engine"
#define VERSION "0"

/* The code of an engine goes with its module, when the configuration is read anew. */
static apr_status_t forget(void *engine)
{
    scim_kv_unregister(engine);
    return APR_SUCCESS;
}

static const char *take(const scim_kv_engine *engine, apr_pool_t *pconf)
{
    if (!scim_kv_register(engine)) {
        return apr_psprintf(pconf,
                            "mod_scim_%s.so is not of the version of mod_scim.so: install both "
                            "of the same one",
                            engine->name);
    }
    apr_pool_cleanup_register(pconf, engine, forget, apr_pool_cleanup_null);
    return NULL;
}

const char *mod_scim_find_engine(const char *url, apr_pool_t *pconf)
{
    const char *name = apr_pstrmemdup(pconf, url, strcspn(url, ":"));
    const scim_kv_engine *engine = ap_lookup_provider(GROUP, name, VERSION);
    const char *why = engine ? take(engine, pconf) : NULL;
    bool made;

    if (!why && strcmp(name, "lmdb")) {
        why = scim_kv_outlook(&made, url, false, pconf);
    }
    return why;
}
