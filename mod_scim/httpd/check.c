/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the configuration as a whole, with which httpd does not start and
 * "apachectl configtest" fails.  What one line shows is said where it is read:
 * config.c.  What is only very probably wrong is warn.c's.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_core.h>

APLOG_USE_MODULE(scim);

/* A fault in a file is told at configtest, and by nobody later. */
static int check_documents(server_rec *s, apr_pool_t *ptemp)
{
    const scim_server_config *conf = mod_scim_server(s);
    const scim_registry *registry;
    const scim_error *err =
        conf->documents->nelts ? mod_scim_registry(&registry, conf, ptemp) : NULL;

    if (err) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, SCIMLOG(1305) "%s", err->detail);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int check_endpoint(server_rec *s, const scim_endpoint *endpoint)
{
    if (endpoint->pattern && !endpoint->conf->base_path) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     SCIMLOG(1307) "SCIMEngine On at line %d of %s is in a <LocationMatch>, "
                                   "which has no path of its own: add SCIMBasePath",
                     endpoint->line, endpoint->file);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!mod_scim_server(s)->store_url) {
        ap_log_error(
            APLOG_MARK, APLOG_EMERG, 0, s,
            SCIMLOG(1301) "SCIMEngine On at line %d of %s needs a store: add "
                          "\"SCIMStore lmdb:/var/lib/apache2/scim\" outside of any section",
            endpoint->line, endpoint->file);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int check_endpoints(server_rec *s)
{
    const apr_array_header_t *endpoints = mod_scim_server(s)->endpoints;
    int i, rc = OK;

    for (i = 0; i < endpoints->nelts && rc == OK; i++) {
        const scim_endpoint *endpoint = &APR_ARRAY_IDX(endpoints, i, scim_endpoint);

        if (endpoint->conf->engine == 1) {
            rc = check_endpoint(s, endpoint);
        }
    }
    return rc;
}

/* That every request would be answered 500 is told now. */
static int check_consumers(server_rec *s)
{
    const scim_server_config *conf = mod_scim_server(s);
    const scim_line *line;

    if (conf->store_url || !conf->consumers->nelts) {
        return OK;
    }
    line = &APR_ARRAY_IDX(conf->consumers, 0, scim_line);
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                 SCIMLOG(1309) "%s at line %d of %s needs a store: add \"SCIMStore "
                               "lmdb:/var/lib/apache2/scim\" outside of any section",
                 line->what, line->line, line->file);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* What a process opens a store with: once, for all servers that share it. */
static const char *const settings[] = {"SCIMStoreSize", "SCIMWriteTimeout", "SCIMScanLimit",
                                       "SCIMReadOnly", "SCIMStoreConnections"};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void settings_of(const char *out[SETTINGS], const server_rec *s, apr_pool_t *pool)
{
    scim_server_config conf = mod_scim_resolved(s);

    out[0] =
        conf.store_size ? apr_psprintf(pool, "%" APR_INT64_T_FMT, conf.store_size) : "not set";
    out[1] = apr_psprintf(pool, "%" APR_TIME_T_FMT "ms", apr_time_as_msec(conf.write_timeout));
    out[2] = apr_psprintf(pool, "%" APR_INT64_T_FMT, conf.scan_limit);
    out[3] = conf.read_only ? "On" : "Off";
    out[4] = apr_psprintf(pool, "%" APR_INT64_T_FMT, conf.store_connections);
}

static const char *name_of(const server_rec *s, apr_pool_t *pool)
{
    return s->is_virtual ? apr_psprintf(pool, "in the virtual host at line %u of %s",
                                        s->defn_line_number, s->defn_name)
                         : "at server level";
}

static int check_shared(server_rec *s, const server_rec *other, apr_pool_t *ptemp)
{
    const char *ours[SETTINGS], *theirs[SETTINGS];
    apr_size_t i;

    settings_of(ours, s, ptemp);
    settings_of(theirs, other, ptemp);
    for (i = 0; i < SETTINGS; i++) {
        if (strcmp(ours[i], theirs[i])) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         SCIMLOG(1306) "%s is %s %s but %s %s, and both use the store %s: set "
                                       "it once, at server level",
                         settings[i], theirs[i], name_of(other, ptemp), ours[i],
                         name_of(s, ptemp), mod_scim_server(s)->store_url);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

static bool same_policy(const char *name, const server_rec *s, const server_rec *other,
                        apr_pool_t *scratch_pool)
{
    scim_policy ours = mod_scim_policy(name, mod_scim_server(s), scratch_pool);
    scim_policy theirs = mod_scim_policy(name, mod_scim_server(other), scratch_pool);

    return scim_policy_equal(&ours, &theirs, scratch_pool);
}

/* A policy is the tenant's, and the store has room for one of it: another
 * would be in the configuration and nowhere else. */
static int check_policy(const char *name, server_rec *s, const server_rec *other,
                        apr_pool_t *scratch_pool)
{
    if (same_policy(name, s, other, scratch_pool)) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                 SCIMLOG(1310) "what SCIMRole and the other directives of a policy say%s%s %s "
                               "is not what they say %s, and both use the store %s: set it "
                               "once, at server level",
                 name ? " of tenant " : "", name ? name : "", name_of(s, scratch_pool),
                 name_of(other, scratch_pool), mod_scim_server(s)->store_url);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int check_policies(server_rec *s, const server_rec *other, apr_pool_t *ptemp)
{
    const apr_array_header_t *sections = apr_array_append(
        ptemp, mod_scim_server(s)->tenant_policies, mod_scim_server(other)->tenant_policies);
    apr_pool_t *scratch;
    int i, rc;

    apr_pool_create(&scratch, ptemp);
    rc = check_policy(NULL, s, other, scratch);
    for (i = 0; i < sections->nelts && rc == OK; i++) {
        apr_pool_clear(scratch);
        rc = check_policy(APR_ARRAY_IDX(sections, i, scim_tenant_policy).name, s, other,
                          scratch);
    }
    apr_pool_destroy(scratch);
    return rc;
}

static int check_engine(server_rec *s, apr_pool_t *pconf)
{
    const scim_server_config *conf = mod_scim_server(s);
    const char *why = mod_scim_find_engine(conf->store_url, pconf);

    if (why) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     SCIMLOG(1324) "SCIMStore at line %d of %s: %s", conf->store_at->line_num,
                     conf->store_at->filename, why);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int check_store(server_rec *s, apr_hash_t *first, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    const char *url = mod_scim_server(s)->store_url;
    const server_rec *other = url ? apr_hash_get(first, url, APR_HASH_KEY_STRING) : NULL;

    if (other) {
        int rc = check_shared(s, other, ptemp);

        return rc == OK ? check_policies(s, other, ptemp) : rc;
    }
    if (url) {
        apr_hash_set(first, url, APR_HASH_KEY_STRING, s);
        return check_engine(s, pconf);
    }
    return OK;
}

int mod_scim_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_hash_t *stores = apr_hash_make(ptemp);
    server_rec *first = s;
    int rc = check_documents(s, ptemp);

    for (; s && rc == OK; s = s->next) {
        rc = check_endpoints(s);
        if (rc == OK) {
            rc = check_consumers(s);
        }
        if (rc == OK) {
            rc = check_store(s, stores, pconf, ptemp);
        }
    }
    if (rc == OK && ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST) {
        mod_scim_warn(first, ptemp);
    }
    return rc;
}
