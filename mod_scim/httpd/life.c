/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the store in httpd's processes.
 *
 * At start, post_config has a child process of the worker's user make and
 * check each store and write the tenants' policies: root opens no file in it,
 * and nothing that was opened before a fork is used after it.  Each child then
 * opens the stores for itself, and closes them when its pool ends.
 */
#include "mod_scim.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_core.h>
#include <unixd.h>

#include "scim/json.h"
#include "scim/store.h"

APLOG_USE_MODULE(scim);

#define STARTED "mod_scim:started"

/* Of the built-in schemas and the organisation's; the same for all servers. */
static const scim_error *build_registry(const scim_registry **out,
                                        const scim_server_config *conf, apr_pool_t *pool)
{
    const apr_array_header_t *documents = conf->documents;

    return scim_registry_build(out, (const scim_document *)documents->elts, documents->nelts,
                               pool);
}

/* A fault in a file is told at configtest, and by nobody later. */
static int check_documents(server_rec *s, apr_pool_t *ptemp)
{
    const scim_server_config *conf = mod_scim_server(s);
    const scim_registry *registry;
    const scim_error *err =
        conf->documents->nelts ? build_registry(&registry, conf, ptemp) : NULL;

    if (err) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     SCIMLOG(1305) "SCIMSchema, SCIMResourceType: %s", err->detail);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

int mod_scim_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    int rc = check_documents(s, ptemp);

    if (rc != OK) {
        return rc;
    }
    for (; s; s = s->next) {
        const scim_server_config *conf = mod_scim_server(s);
        const scim_endpoint *first = (const scim_endpoint *)conf->endpoints->elts;

        if (conf->endpoints->nelts && !conf->store_url) {
            ap_log_error(
                APLOG_MARK, APLOG_EMERG, 0, s,
                SCIMLOG(1301) "SCIMEngine On at line %d of %s needs a store: add "
                              "\"SCIMStore lmdb:/var/lib/apache2/scim\" outside of any section",
                first->line, first->file);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

static scim_store_options options_of(const scim_server_config *conf, bool create)
{
    scim_store_options options = {
        .kv = {.size = (apr_uint64_t)conf->store_size,
               .timeout = conf->write_timeout,
               .create = create,
               .read_only = conf->read_only},
        .registry = conf->registry,
        .scan_limit = (apr_uint64_t)conf->scan_limit,
    };

    return options;
}

/* Making a store: in a process of its own */

static scim_policy policy_from(const scim_policy_config *section,
                               const scim_policy_config *server)
{
    scim_policy policy = scim_policy_default();

    if (section->unique_group_names != SCIM_UNSET) {
        policy.unique_group_names = section->unique_group_names;
    } else if (server->unique_group_names != SCIM_UNSET) {
        policy.unique_group_names = server->unique_group_names;
    }
    if (section->dangling_references != SCIM_UNSET) {
        policy.dangling_references = section->dangling_references;
    } else if (server->dangling_references != SCIM_UNSET) {
        policy.dangling_references = server->dangling_references;
    }
    return policy;
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

typedef struct listing {
    apr_array_header_t *tenants;
} listing;

static const scim_error *list_tenants(scim_view *view, void *baton)
{
    return scim_tenant_list(&((listing *)baton)->tenants, view);
}

static const scim_error *write_policies(scim_store *store, const scim_server_config *conf,
                                        apr_pool_t *pool)
{
    scim_policy policy = policy_from(&conf->policy, &conf->policy);
    listing all = {NULL};
    bool changed;
    int i;

    SCIM_ERR(scim_tenant_set_default_policy(&changed, store, &policy, pool));
    SCIM_ERR(scim_store_view(store, list_tenants, &all, pool));
    for (i = 0; i < all.tenants->nelts; i++) {
        const char *name = APR_ARRAY_IDX(all.tenants, i, scim_tenant).name;

        policy = policy_from(section_of(conf, name), &conf->policy);
        SCIM_ERR(scim_tenant_set_policy(&changed, store, name, &policy, pool));
    }
    return NULL;
}

static const scim_error *prepare_store(scim_server_config conf, apr_pool_t *pool)
{
    scim_store_options options;
    const scim_error *err;
    scim_store *store;

    SCIM_ERR(build_registry(&conf.registry, &conf, pool));
    options = options_of(&conf, !conf.read_only);
    SCIM_ERR(scim_store_open(&store, conf.store_url, &options, pool));
    err = conf.read_only ? NULL : write_policies(store, &conf, pool);
    scim_store_close(store);
    return err;
}

/* Becomes the user that the children will be, for good. */
static const char *drop_privileges(apr_pool_t *pool)
{
    if (geteuid() != 0) {
        return NULL;
    }
    if (initgroups(ap_unixd_config.user_name, ap_unixd_config.group_id) ||
        setgid(ap_unixd_config.group_id) || setuid(ap_unixd_config.user_id)) {
        return apr_psprintf(pool, "cannot become user %s: %s", ap_unixd_config.user_name,
                            strerror(errno));
    }
    return NULL;
}

/* What the process says on its pipe, and only where it fails. */
static void prepare_and_exit(const scim_server_config *conf, int out, apr_pool_t *pool)
{
    const char *why = drop_privileges(pool);

    if (!why) {
        const scim_error *err = prepare_store(*conf, pool);

        if (err) {
            why = err->cause ? err->cause : err->detail;
        }
    }
    if (why && write(out, why, strlen(why)) < 0) {
        _exit(2);
    }
    _exit(why ? 1 : 0);
}

static const char *read_all(int in, apr_pool_t *pool)
{
    char text[2048];
    apr_size_t len = 0;
    ssize_t got;

    while (len < sizeof(text)) {
        got = read(in, text + len, sizeof(text) - len);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        len += got > 0 ? (apr_size_t)got : 0;
    }
    return apr_pstrmemdup(pool, text, len);
}

/* NULL, or why the store cannot be used. */
static const char *prepare_in_process(const scim_server_config *conf, apr_pool_t *pool)
{
    int pipe_ends[2], status = 0;
    const char *why;
    pid_t pid;

    if (pipe(pipe_ends)) {
        return apr_pstrcat(pool, "pipe: ", strerror(errno), NULL);
    }
    pid = fork();
    if (pid == 0) {
        close(pipe_ends[0]);
        prepare_and_exit(conf, pipe_ends[1], pool);
    }
    close(pipe_ends[1]);
    if (pid < 0) {
        close(pipe_ends[0]);
        return apr_pstrcat(pool, "fork: ", strerror(errno), NULL);
    }
    why = read_all(pipe_ends[0], pool);
    close(pipe_ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return NULL;
    }
    return *why ? why : apr_psprintf(pool, "preparing it ended with status %d", status);
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
        return apr_psprintf(pool, "cannot make the directory %s: %s", path, strerror(errno));
    }
    return NULL;
}

/* A start that cannot have its store is refused, as a bad configuration is.
 * A restart goes on: the other sites of this server, and the operator who
 * only rotates logs, are not to go down with the store. */
static int prepare_url(server_rec *s, const scim_server_config *conf, bool restart,
                       apr_pool_t *ptemp)
{
    const char *why = make_directory(conf->store_url, ptemp);

    if (!why) {
        why = prepare_in_process(conf, ptemp);
    }
    if (!why) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, SCIMLOG(1302) "SCIMStore %s: %s%s",
                 conf->store_url, why,
                 restart ? " - the server goes on, SCIM requests are answered 503" : "");
    return restart ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

int mod_scim_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_hash_t *done = apr_hash_make(ptemp);
    bool restart = ap_retained_data_get(STARTED) != NULL;

    /* The configuration is read twice at start; only the second is for real. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    for (; s; s = s->next) {
        scim_server_config conf = mod_scim_resolved(s);

        if (conf.store_url && !apr_hash_get(done, conf.store_url, APR_HASH_KEY_STRING)) {
            int rc = prepare_url(s, &conf, restart, ptemp);

            if (rc != OK) {
                return rc;
            }
            apr_hash_set(done, conf.store_url, APR_HASH_KEY_STRING, "");
        }
    }
    if (!restart) {
        ap_retained_data_create(STARTED, 1);
    }
    return OK;
}

/* In the children */

static scim_store *open_store(server_rec *s, const scim_registry *registry, apr_hash_t *opened,
                              apr_pool_t *pchild)
{
    scim_server_config conf = mod_scim_resolved(s);
    scim_store_options options;
    const scim_error *err;
    scim_store *store = apr_hash_get(opened, conf.store_url, APR_HASH_KEY_STRING);

    if (store) {
        return store;
    }
    conf.registry = registry;
    options = options_of(&conf, false);
    err = scim_store_open(&store, conf.store_url, &options, pchild);
    if (err) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, err->rv, s,
                     SCIMLOG(1303) "SCIMStore %s: %s - SCIM requests are answered 503",
                     conf.store_url, err->cause ? err->cause : err->detail);
        return NULL;
    }
    apr_hash_set(opened, conf.store_url, APR_HASH_KEY_STRING, store);
    return store;
}

void mod_scim_child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_hash_t *opened = apr_hash_make(pchild);
    const scim_registry *registry = NULL;
    const scim_error *err;

    /* Before there are threads; keys are hashed by a seed that no client knows. */
    json_object_seed(0);
    err = build_registry(&registry, mod_scim_server(s), pchild);
    if (err) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     SCIMLOG(1304) "schemas and resource types: %s", err->detail);
        return;
    }
    for (; s; s = s->next) {
        scim_server_config *conf = mod_scim_server(s);

        conf->registry = registry;
        conf->store = NULL;
        if (conf->store_url) {
            conf->store = open_store(s, registry, opened, pchild);
        }
    }
}
