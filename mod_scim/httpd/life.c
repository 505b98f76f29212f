/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the store in httpd's processes.
 *
 * At start, post_config has a child process of the worker's user make and
 * check each store and write the tenants' policies: root opens no file in it,
 * and nothing that was opened before a fork is used after it.  Each child then
 * opens the stores for itself (share.c).
 *
 * A store that is elsewhere may be away for a while, which is no reason for this
 * server to be, too: the first child that reaches it does what the start could not.
 */
#include "mod_scim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <unixd.h>

#include "scim/endpoints.h"
#include "scim/store.h"

APLOG_USE_MODULE(scim);

const scim_error *mod_scim_registry(const scim_registry **out, const scim_server_config *conf,
                                    apr_pool_t *pool)
{
    const apr_array_header_t *documents = conf->documents;

    return scim_registry_build(out, (const scim_document *)documents->elts, documents->nelts,
                               pool);
}

scim_store_options mod_scim_store_options(const scim_server_config *conf, bool create)
{
    scim_store_options options = {
        .kv = {.size = (apr_uint64_t)conf->store_size,
               .timeout = conf->write_timeout,
               .connections = (unsigned int)conf->store_connections,
               .create = create,
               .read_only = conf->read_only},
        .registry = conf->registry,
        .scan_limit = (apr_uint64_t)conf->scan_limit,
    };

    return options;
}

/* Making a store: in a process of its own */

typedef struct listing {
    apr_array_header_t *tenants;
} listing;

static const scim_error *list_tenants(scim_view *view, void *baton)
{
    return scim_tenant_list(&((listing *)baton)->tenants, view);
}

static bool has_tenant(const apr_array_header_t *tenants, const char *name)
{
    int i;

    for (i = 0; i < tenants->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(tenants, i, scim_tenant).name, name)) {
            return true;
        }
    }
    return false;
}

/* What the process that prepares a store tells: a line each, that begins so. */
enum { TELL_UNUSED = '-', TELL_CHANGED = '=', TELL_TENANT = '+' };

/* The names of policies that have no tenant. */
static const char *unused_policies(const scim_server_config *conf,
                                   const apr_array_header_t *tenants, apr_pool_t *pool)
{
    const char *names = "";
    int i;

    for (i = 0; i < conf->tenant_policies->nelts; i++) {
        const char *name = APR_ARRAY_IDX(conf->tenant_policies, i, scim_tenant_policy).name;

        if (!has_tenant(tenants, name)) {
            names = apr_psprintf(pool, "%s%c%s\n", names, TELL_UNUSED, name);
        }
    }
    return names;
}

/* Of hundreds of tenants one is named. */
static const char *changed_policies(const apr_array_header_t *changed, apr_pool_t *pool)
{
    const char *others =
        changed->nelts > 1 ? apr_psprintf(pool, " and %d more", changed->nelts - 1) : "";

    return changed->nelts ? apr_psprintf(pool, "%c%s%s\n", TELL_CHANGED,
                                         APR_ARRAY_IDX(changed, 0, const char *), others)
                          : "";
}

static const scim_error *write_policies(const char **told, scim_store *store,
                                        scim_server_config *conf, apr_pool_t *pool)
{
    apr_array_header_t *changed;
    listing all = {NULL};

    SCIM_ERR(scim_tenant_set_policies(&changed, store, mod_scim_policy, conf, pool));
    SCIM_ERR(scim_store_view(store, list_tenants, &all, pool));
    *told = apr_pstrcat(pool, unused_policies(conf, all.tenants, pool),
                        changed_policies(changed, pool), NULL);
    return NULL;
}

/* For scimctl, which reads no configuration. */
static const scim_error *write_endpoints(const server_rec *s, scim_store *store,
                                         const char *url, apr_pool_t *pool)
{
    bool changed;

    return scim_endpoints_write(&changed, store, mod_scim_endpoints(s, url, pool), pool);
}

const scim_error *mod_scim_prepare(const char **told, const server_rec *s, scim_store *store,
                                   scim_server_config *conf, apr_pool_t *pool)
{
    *told = "";
    if (conf->read_only) {
        return NULL;
    }
    SCIM_ERR(write_policies(told, store, conf, pool));
    return write_endpoints(s, store, conf->store_url, pool);
}

/* Who warns of what is wrong cannot look at a store that is elsewhere by itself. */
static const scim_error *tell_tenants(const char **told, scim_store *store, apr_pool_t *pool)
{
    apr_array_header_t *lines = apr_array_make(pool, 8, sizeof(const char *));
    listing all = {NULL};
    int i;

    SCIM_ERR(scim_store_view(store, list_tenants, &all, pool));
    for (i = 0; i < all.tenants->nelts; i++) {
        APR_ARRAY_PUSH(lines, const char *) = apr_psprintf(
            pool, "%c%s", TELL_TENANT, APR_ARRAY_IDX(all.tenants, i, scim_tenant).name);
    }
    *told = apr_pstrcat(pool, *told, apr_array_pstrcat(pool, lines, '\n'), NULL);
    return NULL;
}

static const scim_error *prepare_store(const char **told, const server_rec *s,
                                       scim_server_config conf, apr_pool_t *pool)
{
    scim_store_options options;
    const scim_error *err;
    scim_store *store;

    SCIM_ERR(mod_scim_registry(&conf.registry, &conf, pool));
    options = mod_scim_store_options(&conf, !conf.read_only);
    SCIM_ERR(scim_store_open(&store, conf.store_url, &options, pool));
    err = mod_scim_prepare(told, s, store, &conf, pool);
    if (!err && scim_kv_networked(conf.store_url)) {
        err = tell_tenants(told, store, pool);
    }
    scim_store_close(store);
    return err;
}

typedef struct preparation {
    const server_rec *s;
    const scim_server_config *conf;
} preparation;

/* In its process: why it fails, or in *told what is to be told of policies. */
static const char *prepare_as_user(const char **told, void *baton, apr_pool_t *pool)
{
    const preparation *p = baton;
    const scim_error *err = prepare_store(told, p->s, *p->conf, pool);

    return !err ? NULL : err->cause ? err->cause : err->detail;
}

/* A store that would kill every child that opens it is left alone: they have
 * other sites to serve. */
static void mark_deadly(server_rec *s, const char *url)
{
    for (; s; s = s->next) {
        scim_server_config *conf = mod_scim_server(s);

        conf->deadly |= conf->store_url && !strcmp(conf->store_url, url);
    }
}

/* Where there is no shared memory, each child does what one would have done. */
static void *shared_room(apr_size_t size, apr_pool_t *pconf)
{
    apr_shm_t *shm;

    return apr_shm_create(&shm, size, NULL, pconf) == APR_SUCCESS ? apr_shm_baseaddr_get(shm)
                                                                  : apr_palloc(pconf, size);
}

/* What was not written now is written by the child that opens it first. */
static void mark_unprepared(server_rec *s, const char *url, apr_pool_t *pconf)
{
    atomic_bool *flag = shared_room(sizeof(*flag), pconf);

    atomic_init(flag, true);
    for (; s; s = s->next) {
        scim_server_config *conf = mod_scim_server(s);

        if (conf->store_url && !strcmp(conf->store_url, url)) {
            conf->unprepared = flag;
        }
    }
}

static void tell_of_policy(server_rec *s, const char *url, const char *line)
{
    const char *name = line + 1;

    if (*line == TELL_TENANT) {
        return;
    }
    if (*line == TELL_UNUSED) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1308) "<SCIMTenantPolicy %s>: %s has no tenant of that name; the "
                                   "policy takes effect at the restart after \"scimctl tenant "
                                   "create %s\"",
                     name, url, name);
    } else {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     SCIMLOG(1311) "SCIMStore %s: the policy of tenant %s was another; it is "
                                   "that of this configuration now",
                     url, name);
    }
}

void mod_scim_tell_prepared(server_rec *s, const char *url, const char *told, apr_pool_t *pool)
{
    char *list = apr_pstrdup(pool, told), *last, *line;

    for (line = apr_strtok(list, "\n", &last); line; line = apr_strtok(NULL, "\n", &last)) {
        tell_of_policy(s, url, line);
    }
}

/* For the warnings that a start gives. */
static void keep_tenants(server_rec *s, const char *url, const char *told, apr_pool_t *pconf)
{
    apr_array_header_t *names = apr_array_make(pconf, 8, sizeof(const char *));
    char *list = apr_pstrdup(pconf, told), *last, *line;

    for (line = apr_strtok(list, "\n", &last); line; line = apr_strtok(NULL, "\n", &last)) {
        if (*line == TELL_TENANT) {
            APR_ARRAY_PUSH(names, const char *) = line + 1;
        }
    }
    for (; s; s = s->next) {
        scim_server_config *conf = mod_scim_server(s);

        if (conf->store_url && !strcmp(conf->store_url, url)) {
            conf->known_tenants = names;
        }
    }
}

/* Why a process that did not end well cannot have prepared the store. */
static const char *why_ended(int status, const char *said, const char *url, apr_pool_t *pool)
{
    if (WIFSIGNALED(status)) {
        return apr_psprintf(
            pool, "preparing it was killed by signal %d (%s)%s", WTERMSIG(status),
            strsignal(WTERMSIG(status)),
            scim_kv_networked(url) ? "" : "; data.mdb may be damaged: restore a backup");
    }
    return *said ? said : apr_psprintf(pool, "preparing it ended with status %d", status);
}

/* NULL, or why the store cannot be used. */
static const char *prepare_in_process(server_rec *s, const scim_server_config *conf,
                                      apr_pool_t *pconf, apr_pool_t *pool)
{
    preparation p = {s, conf};
    const char *told, *why;
    int status;

    why = mod_scim_in_process(&told, &status, prepare_as_user, &p, 0, pool);
    if (!why) {
        mod_scim_tell_prepared(s, conf->store_url, told, pool);
        if (scim_kv_networked(conf->store_url)) {
            keep_tenants(s, conf->store_url, told, pconf);
        }
        return NULL;
    }
    if (WIFSIGNALED(status)) {
        mark_deadly(s, conf->store_url);
    }
    mark_unprepared(s, conf->store_url, pconf);
    return why_ended(status, why, conf->store_url, pool);
}

/* Root makes the store's own directory, nothing in it. */
static const char *make_directory(const char *url, apr_pool_t *pool)
{
    const char *path = strchr(url, ':') + 1;

    if (mkdir(path, 0700) == 0) {
        if (geteuid() == 0 && lchown(path, ap_unixd_config.user_id, ap_unixd_config.group_id)) {
            return apr_psprintf(pool, "cannot give %s to user %s: %s", path,
                                ap_unixd_config.user_name, strerror(errno));
        }
    } else if (errno != EEXIST) {
        return apr_psprintf(pool,
                            "user %s cannot make the directory %s: %s; make it, with mode "
                            "0700, for user %s",
                            geteuid() ? "of the server" : "root", path, strerror(errno),
                            ap_unixd_config.user_name);
    }
    return NULL;
}

/* The configuration is read twice at start.  The store is prepared at the
 * first reading, while there is still a terminal or a service manager to see
 * the start fail; the second is moments later and has no need to. */
enum { FIRST_READING = 0, SECOND_READING = 1 };

static const char *prepare(server_rec *s, const scim_server_config *conf, int reading,
                           apr_pool_t *pconf, apr_pool_t *ptemp)
{
    bool networked = scim_kv_networked(conf->store_url);
    const char *why;

    /* What lets nobody see the start fail is not to be done twice. */
    if (reading == (networked ? FIRST_READING : SECOND_READING)) {
        return NULL;
    }
    why = networked ? NULL : make_directory(conf->store_url, ptemp);
    return why ? why : prepare_in_process(s, conf, pconf, ptemp);
}

/* A start that cannot have its store is refused, as a bad configuration is.
 * A restart goes on: the other sites of this server, and the operator who
 * only rotates logs, are not to go down with the store.  So does a start whose
 * store is elsewhere: that can come without anybody's doing anything here. */
static int start_store(server_rec *s, const scim_server_config *conf, int reading,
                       apr_pool_t *pconf, apr_pool_t *ptemp)
{
    const char *why = prepare(s, conf, reading, pconf, ptemp);

    if (why) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, SCIMLOG(1302) "SCIMStore %s: %s%s%s",
                     conf->store_url, why,
                     reading == FIRST_READING
                         ? ""
                         : " - the server goes on, SCIM requests are answered 503",
                     scim_kv_networked(conf->store_url) ? " until it is there" : "");
        return reading == FIRST_READING ? HTTP_INTERNAL_SERVER_ERROR : OK;
    }
    if (reading != FIRST_READING) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, SCIMLOG(1300) "SCIMStore %s: ready",
                     conf->store_url);
    }
    return OK;
}

int mod_scim_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_hash_t *done = apr_hash_make(ptemp);
    int reading = ap_state_query(AP_SQ_CONFIG_GEN), rc = OK;

    for (; s && rc == OK; s = s->next) {
        scim_server_config conf = mod_scim_resolved(s);

        if (conf.store_url && !apr_hash_get(done, conf.store_url, APR_HASH_KEY_STRING)) {
            rc = start_store(s, &conf, reading, pconf, ptemp);
            apr_hash_set(done, conf.store_url, APR_HASH_KEY_STRING, "");
        }
    }
    return rc;
}
