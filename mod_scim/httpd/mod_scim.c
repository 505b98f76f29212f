/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module and its hooks.
 */
#include "mod_scim.h"

#include <http_protocol.h>
#include <http_request.h>

#include "form.h"
#include "status.h"

static void register_hooks(apr_pool_t *pool)
{
    /* Whatever maps URLs to files comes after us: an endpoint has none. */
    static const char *const mappers[] = {"mod_alias.c", "mod_userdir.c", "mod_vhost_alias.c",
                                          NULL};
    /* It tells of a request that nobody authenticates as a fault of its own. */
    static const char *const last[] = {"mod_authn_core.c", NULL};
    /* Its rules in a section may look at what is exported. */
    static const char *const rewriter[] = {"mod_rewrite.c", NULL};

    /* On configtest too, and before anything is opened. */
    ap_hook_check_config(mod_scim_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* As root, before the fork, as all logs. */
    ap_hook_open_logs(mod_scim_open_logs, NULL, NULL, APR_HOOK_MIDDLE);
    /* Makes the store, as the user that the children will be. */
    ap_hook_post_config(mod_scim_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(mod_scim_dump, NULL, NULL, APR_HOOK_MIDDLE);
    /* After the store is there. */
    ap_hook_post_config(mod_scim_warn_at_start, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(mod_scim_make_rates, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(mod_scim_make_form_key, NULL, NULL, APR_HOOK_MIDDLE);
    /* LMDB must be opened after the fork. */
    ap_hook_child_init(mod_scim_child_init, NULL, NULL, APR_HOOK_MIDDLE);

    /* Sees the URL undecoded: what httpd refuses when decoding is ours too. */
    ap_hook_pre_translate_name(mod_scim_pre_translate_name, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(mod_scim_translate_name, NULL, mappers, APR_HOOK_MIDDLE);
    /* After mod_http, whose "OPTIONS *" is none of ours. */
    ap_hook_map_to_storage(mod_scim_map_to_storage, NULL, NULL, APR_HOOK_LAST);
    ap_hook_type_checker(mod_scim_type_checker, NULL, NULL, APR_HOOK_FIRST);
    /* SetHandler is httpd's own fixup; an endpoint has but one handler. */
    ap_hook_fixups(mod_scim_type_checker, NULL, NULL, APR_HOOK_LAST);

    /* Before the access phase, whose refusals "Satisfy Any" overrules. */
    ap_hook_post_perdir_config(mod_scim_check_transport, NULL, NULL, APR_HOOK_MIDDLE);
    /* After mod_authz_core: what it denies stays denied. */
    ap_hook_check_access_ex(mod_scim_access_checker_ex, NULL, NULL, APR_HOOK_LAST,
                            AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_force_authn(mod_scim_force_authn, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_authn(mod_scim_check_authn, NULL, NULL, APR_HOOK_MIDDLE,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(mod_scim_nobody_asks, NULL, last, APR_HOOK_LAST,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_note_auth_failure(mod_scim_note_auth_failure, NULL, NULL, APR_HOOK_MIDDLE);

    mod_scim_register_authz(pool);
    mod_scim_register_basic(pool);
    ap_hook_fixups(mod_scim_export, NULL, rewriter, APR_HOOK_REALLY_FIRST);
    mod_scim_register_public();

    ap_hook_handler(mod_scim_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(mod_scim_connections_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(mod_scim_insert_error_filter, NULL, NULL, APR_HOOK_LAST);
    mod_scim_register_filter();
    mod_scim_register_wipe();
    mod_scim_register_watch();
    mod_scim_register_status();
}

AP_DECLARE_MODULE(scim) = {
    STANDARD20_MODULE_STUFF, mod_scim_create_dir, mod_scim_merge_dir, mod_scim_create_server,
    mod_scim_merge_server,   mod_scim_commands,   register_hooks,     0};
