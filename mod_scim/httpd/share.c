/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stores that a child process has open: one for all servers that name it, from
 * child_init until the child's pool ends.
 *
 * One in a directory that cannot be opened then stays down: somebody is to mend it, and
 * to restart.  One that is elsewhere is opened when somebody asks for it, so that no child
 * waits for it in vain while others have their sites to be served; where that fails it is
 * tried again, by one thread at a time and at most once a second, and the others answer 503
 * at once.
 */
#include "mod_scim.h"

#include <pthread.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <ap_mpm.h>
#include <scoreboard.h>

#include "scim/json.h"
#include "scim/store.h"
#include "scim/time.h"

APLOG_USE_MODULE(scim);

#define PAUSE apr_time_from_sec(1)

typedef struct scim_share {
    server_rec *s; /* the first that names it */
    bool elsewhere;
    _Atomic(scim_store *) store;
    atomic_bool failed;
    pthread_mutex_t lock; /* of the rest, while there is no store */
    apr_pool_t *pool;
    apr_time_t next; /* no attempt before */
} scim_share;

/* Of the threads of a child, so many may wait to write: readers go on. */
static unsigned int writers_at_most(void)
{
    int threads = 0;

    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 2) {
        return 0;
    }
    return (unsigned int)threads * 3 / 4;
}

/* Not so in a child that a graceful restart has only left to end: what the configuration
 * says may be another thing by now. */
static bool is_current(void)
{
    const global_score *all = ap_get_scoreboard_global();
    int generation;

    return !all || ap_mpm_query(AP_MPMQ_GENERATION, &generation) != APR_SUCCESS ||
           all->running_generation == generation;
}

static const char *why(const scim_error *err)
{
    return err->cause ? err->cause : err->detail;
}

/* What the start could not write, nor another child has written since. */
static bool is_pending(const scim_server_config *conf)
{
    return conf->unprepared && atomic_load(conf->unprepared) && conf->read_only != 1 &&
           is_current();
}

static const scim_error *prepare(const scim_share *share, scim_store *store,
                                 scim_server_config *conf, apr_pool_t *pool)
{
    const char *told;

    SCIM_ERR(mod_scim_prepare(&told, share->s, store, conf, pool));
    if (atomic_exchange(conf->unprepared, false)) {
        mod_scim_tell_prepared(share->s, conf->store_url, told, pool);
    }
    return NULL;
}

static const scim_error *open_store(scim_store **out, const scim_share *share, apr_pool_t *pool)
{
    scim_server_config conf = mod_scim_resolved(share->s);
    bool pending = share->elsewhere && is_pending(&conf);
    scim_store_options options = mod_scim_store_options(&conf, pending);
    const scim_error *err = NULL;

    options.kv.max_queue = writers_at_most();
    SCIM_ERR(scim_store_open(out, conf.store_url, &options, pool));
    if (pending) {
        apr_pool_t *scratch;

        apr_pool_create(&scratch, pool);
        err = prepare(share, *out, &conf, scratch);
        if (!err) {
            apr_pool_destroy(scratch);
        }
    }
    return err;
}

static void log_failure(const scim_share *share, const scim_error *err, apr_pool_t *pool)
{
    const char *url = mod_scim_server(share->s)->store_url;

    /* It is tried in every child, as often as somebody asks. */
    if (!share->elsewhere ||
        mod_scim_seldom(apr_pstrcat(pool, "SCIM1303 ", url, why(err), NULL))) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, err->rv, share->s,
                     SCIMLOG(1303) "SCIMStore %s: %s - SCIM requests are answered 503%s", url,
                     why(err), share->elsewhere ? " until it is there" : "");
    }
}

static void log_success(const scim_share *share, apr_pool_t *pool)
{
    const char *url = mod_scim_server(share->s)->store_url;

    if (mod_scim_seldom(apr_pstrcat(pool, "SCIM1325 ", url, NULL))) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, share->s,
                     SCIMLOG(1325) "SCIMStore %s: it is there now; SCIM requests are served",
                     url);
    }
}

/* Under the lock, or before there are threads.  What fails leaves nothing behind. */
static void attempt(scim_share *share)
{
    bool was_away = atomic_load(&share->failed) || is_pending(mod_scim_server(share->s));
    const scim_error *err;
    scim_store *store;
    apr_pool_t *pool;

    apr_pool_create(&pool, share->pool);
    err = open_store(&store, share, pool);
    if (err) {
        log_failure(share, err, pool);
        apr_pool_destroy(pool);
        share->next = scim_time_steady() + PAUSE; /* whatever the clock is set to */
        atomic_store(&share->failed, true);
        return;
    }
    if (was_away) {
        log_success(share, pool);
    }
    atomic_store(&share->store, store);
}

/* The first attempt is worth waiting for: most often it succeeds, in no time. */
static bool enter(scim_share *share)
{
    return !(atomic_load(&share->failed) ? pthread_mutex_trylock(&share->lock)
                                         : pthread_mutex_lock(&share->lock));
}

static scim_store *try_again(scim_share *share)
{
    scim_store *store;

    if (!enter(share)) {
        return NULL;
    }
    store = atomic_load(&share->store);
    if (!store && scim_time_steady() >= share->next) {
        attempt(share);
        store = atomic_load(&share->store);
    }
    pthread_mutex_unlock(&share->lock);
    return store;
}

scim_store *mod_scim_store(const server_rec *s)
{
    scim_share *share = mod_scim_server(s)->share;
    scim_store *store = share ? atomic_load(&share->store) : NULL;

    return store || !share || !share->elsewhere ? store : try_again(share);
}

static apr_status_t destroy_lock(void *lock)
{
    pthread_mutex_destroy(lock);
    return APR_SUCCESS;
}

/* A pool of its own memory, since threads use it that know nothing of each other. */
static apr_pool_t *make_pool(apr_pool_t *pchild)
{
    apr_thread_mutex_t *mutex;
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, pchild, apr_pool_abort_get(pchild), allocator);
    apr_allocator_owner_set(allocator, pool);
    if (apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool) == APR_SUCCESS) {
        apr_allocator_mutex_set(allocator, mutex);
    }
    return pool;
}

static scim_share *make_share(server_rec *s, apr_hash_t *shares, apr_pool_t *pchild)
{
    const char *url = mod_scim_server(s)->store_url;
    scim_share *share = apr_hash_get(shares, url, APR_HASH_KEY_STRING);

    if (share) {
        return share;
    }
    share = apr_pcalloc(pchild, sizeof(*share));
    share->s = s;
    share->pool = make_pool(pchild);
    share->elsewhere = scim_kv_networked(url);
    atomic_init(&share->store, NULL);
    atomic_init(&share->failed, false);
    pthread_mutex_init(&share->lock, NULL);
    apr_pool_cleanup_register(pchild, &share->lock, destroy_lock, apr_pool_cleanup_null);
    apr_hash_set(shares, url, APR_HASH_KEY_STRING, share);
    if (!share->elsewhere) {
        attempt(share);
    }
    return share;
}

void mod_scim_child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_hash_t *shares = apr_hash_make(pchild);
    const scim_registry *registry = NULL;
    const scim_error *err;

    /* Before there are threads; keys are hashed by a seed that no client knows. */
    json_object_seed(0);
    err = mod_scim_registry(&registry, mod_scim_server(s), pchild);
    if (err) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     SCIMLOG(1304) "schemas and resource types: %s", err->detail);
        return;
    }
    for (; s; s = s->next) {
        scim_server_config *conf = mod_scim_server(s);

        conf->registry = registry;
        conf->share = NULL;
        if (conf->store_url && !conf->deadly) {
            conf->share = make_share(s, shares, pchild);
        }
    }
}
