/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the status: of the store in one view, of the tally as it is.
 */
#include "status.h"

#include <stdlib.h>

#include "scim/gauge.h"
#include "scim/sweep.h"

/* So many users are looked at for who is inactive, of all tenants together. */
#define LOOKED_AT 10000

typedef struct reading {
    scim_status *status;
    const scim_registry *registry;
    apr_array_header_t *tokens; /* of scim_identity */
    apr_int64_t left;           /* of LOOKED_AT */
} reading;

/* Tenants */

/* A record that is damaged is no reason to show nothing at all. */
static void count_inactive(status_tenant *out, reading *reads, scim_view *view,
                           const scim_resource_type *type)
{
    out->looked = reads->left;
    if (scim_gauge_inactive(&out->inactive, &out->looked, view, &out->tenant, type)) {
        out->looked = out->inactive = 0;
    }
    reads->left -= out->looked;
}

static const scim_error *count_types(status_tenant *out, reading *reads, scim_view *view)
{
    int i;

    for (i = 0; i < reads->registry->types_count; i++) {
        const scim_resource_type *type = &reads->registry->types[i];
        apr_int64_t count;

        SCIM_ERR(scim_gauge_count(&count, view, &out->tenant, type));
        if (!strcmp(type->endpoint, "/Users")) {
            out->users = count;
            count_inactive(out, reads, view, type);
        } else if (!strcmp(type->endpoint, "/Groups")) {
            out->groups = count;
        } else {
            out->others += count;
        }
    }
    return NULL;
}

static void count_pending(status_tenant *out, const apr_array_header_t *pending)
{
    int i;

    for (i = 0; i < pending->nelts; i++) {
        const scim_pending *one = &APR_ARRAY_IDX(pending, i, scim_pending);

        if (one->tenant == out->tenant.number) {
            out->pending_groups++;
            out->pending_members += one->members;
        }
    }
}

static const scim_error *read_store(scim_view *view, void *baton)
{
    reading *reads = baton;
    apr_array_header_t *tenants, *deleting, *pending;
    int i;

    SCIM_ERR(scim_tenant_list(&tenants, view));
    SCIM_ERR(scim_tenant_list_deleting(&deleting, view));
    apr_array_cat(tenants, deleting);
    SCIM_ERR(scim_sweep_list(&pending, view));
    SCIM_ERR(scim_token_list_all(&reads->tokens, view));
    for (i = 0; i < tenants->nelts; i++) {
        status_tenant *one = apr_array_push(reads->status->tenants);

        memset(one, 0, sizeof(*one));
        one->tenant = APR_ARRAY_IDX(tenants, i, scim_tenant);
        if (one->tenant.deleting) {
            continue; /* what it has is there for nobody */
        }
        SCIM_ERR(scim_brake_read(&one->brake, view, &one->tenant));
        SCIM_ERR(count_types(one, reads, view));
        count_pending(one, pending);
    }
    return NULL;
}

/* Connections */

static const char *key_of(const char *tenant, const char *connection, apr_pool_t *pool)
{
    return apr_pstrcat(pool, tenant, "\n", connection, NULL);
}

static status_connection *connection_of(apr_hash_t *all, const char *tenant,
                                        const char *connection, apr_pool_t *pool)
{
    const char *key = key_of(tenant, connection, pool);
    status_connection *one = apr_hash_get(all, key, APR_HASH_KEY_STRING);

    if (!one) {
        one = apr_pcalloc(pool, sizeof(*one));
        one->tenant = tenant;
        one->connection = connection;
        one->tokens = apr_array_make(pool, 1, sizeof(status_token));
        apr_hash_set(all, key, APR_HASH_KEY_STRING, one);
    }
    return one;
}

static void add_seen(scim_status *status, apr_hash_t *all, const apr_array_header_t *seen)
{
    int i;

    for (i = 0; i < seen->nelts; i++) {
        const scim_tally_connection *one = &APR_ARRAY_IDX(seen, i, scim_tally_connection);

        if (*one->connection) {
            connection_of(all, one->tenant, one->connection, status->r->pool)->seen = one;
        } else {
            status->nobody = one;
        }
    }
}

/* A connection is known by name, of its tokens that were used last by when they end. */
static void add_tokens(scim_status *status, apr_hash_t *all, const apr_array_header_t *tokens)
{
    int i;

    for (i = 0; tokens && i < tokens->nelts; i++) {
        const scim_identity *identity = &APR_ARRAY_IDX(tokens, i, scim_identity);
        status_connection *one =
            connection_of(all, identity->tenant.name, identity->connection, status->r->pool);

        APR_ARRAY_PUSH(one->tokens, status_token) = (status_token){
            .identity = identity,
            .nears_end =
                mod_scim_token_nears_end(identity->created, identity->expires, status->now),
            .used = one->seen && one->seen->expires == identity->expires,
        };
    }
}

static int compare_connections(const void *a, const void *b)
{
    const status_connection *one = a, *other = b;
    int order = strcmp(one->tenant, other->tenant);

    return order ? order : strcmp(one->connection, other->connection);
}

static int compare_tokens(const void *a, const void *b)
{
    const status_token *one = a, *other = b;

    return one->identity->created < other->identity->created
               ? -1
               : one->identity->created > other->identity->created;
}

static void list_connections(scim_status *status, apr_hash_t *all)
{
    apr_hash_index_t *at;

    status->connections = apr_array_make(status->r->pool, 8, sizeof(status_connection));
    for (at = apr_hash_first(status->r->pool, all); at; at = apr_hash_next(at)) {
        const status_connection *one = apr_hash_this_val(at);

        qsort(one->tokens->elts, (size_t)one->tokens->nelts, sizeof(status_token),
              compare_tokens);
        APR_ARRAY_PUSH(status->connections, status_connection) = *one;
    }
    qsort(status->connections->elts, (size_t)status->connections->nelts,
          sizeof(status_connection), compare_connections);
}

/* The tally */

static void read_objects(scim_status *status, scim_tally *tally, apr_uint64_t store,
                         apr_size_t page)
{
    apr_size_t total = scim_tally_failing(tally, store);

    status->pages = total ? (total + STATUS_PAGE - 1) / STATUS_PAGE : 1;
    status->page = page < 1 ? 1 : page > status->pages ? status->pages : page;
    status->objects =
        scim_tally_objects(&status->failing, tally, store, (status->page - 1) * STATUS_PAGE,
                           STATUS_PAGE, status->r->pool);
}

static void read_tally(scim_status *status, const apr_array_header_t *tokens, apr_size_t page)
{
    apr_pool_t *pool = status->r->pool;
    scim_tally *tally = mod_scim_tally(&status->since);
    apr_uint64_t store = status->store_url ? mod_scim_store_number(status->store_url) : 0;
    apr_hash_t *all = apr_hash_make(pool);
    int i;

    status->objects = apr_array_make(pool, 1, sizeof(scim_tally_object));
    status->page = status->pages = 1;
    if (tally) {
        add_seen(status, all, scim_tally_connections(tally, store, pool));
        read_objects(status, tally, store, page);
        scim_tally_refusals(status->refused, tally);
        for (i = 0; i < SCIM_TALLY_CLASSES; i++) {
            scim_tally_latency(&status->latency[i], tally, (scim_tally_class)i);
        }
    }
    add_tokens(status, all, tokens);
    list_connections(status, all);
}

/* The store */

/* The engine keeps a twentieth for deletions; what is left before that is too little for
 * most changes. */
static bool is_full(const scim_kv_stat *stat)
{
    return stat->size && stat->used + (apr_uint64_t)64 * 1024 > stat->size / 100 * 95;
}

static const char *why(const scim_error *err)
{
    return err->cause ? err->cause : err->detail;
}

static const scim_error *measure(scim_kv_stat *out, scim_store *store, apr_pool_t *pool)
{
    return scim_store_error(pool, scim_kv_statistics(scim_store_kv(store), out),
                            "measuring the store");
}

static const char *no_store(const char *url)
{
    return url ? "the store could not be opened; the error log says why"
               : "there is no SCIMStore for this virtual host";
}

static void read_all(scim_status *status, reading *reads, scim_store *store)
{
    apr_pool_t *pool = status->r->pool;
    const scim_error *err = scim_store_view(store, read_store, reads, pool);

    if (!err) {
        err = measure(&status->store, store, pool);
    }
    status->down = err ? why(err) : NULL;
    status->fault = scim_store_fault(store, pool);
    status->full = is_full(&status->store);
}

scim_status *mod_scim_status_read(request_rec *r, apr_size_t page)
{
    const scim_server_config *conf = mod_scim_server(r->server);
    scim_store *store = mod_scim_store(r->server);
    scim_status *status = apr_pcalloc(r->pool, sizeof(*status));
    reading reads = {status, conf->registry, NULL, LOOKED_AT};

    status->r = r;
    status->store_url = conf->store_url;
    status->read_only = conf->read_only == 1;
    status->now = apr_time_now();
    status->tenants = apr_array_make(r->pool, 4, sizeof(status_tenant));
    if (store) {
        read_all(status, &reads, store);
    } else {
        status->down = no_store(conf->store_url);
    }
    read_tally(status, reads.tokens, page);
    mod_scim_status_judge(status);
    return status;
}

/* Ready or not */

static const scim_error *look(scim_view *view, void *baton)
{
    scim_policy policy;

    return scim_tenant_default_policy(&policy, view);
}

const char *mod_scim_status_unready(request_rec *r)
{
    const scim_server_config *conf = mod_scim_server(r->server);
    scim_store *store = mod_scim_store(r->server);
    const scim_error *err;
    scim_kv_stat stat;

    if (!store) {
        return no_store(conf->store_url);
    }
    err = scim_store_view(store, look, NULL, r->pool);
    if (!err) {
        err = measure(&stat, store, r->pool);
    }
    if (err || conf->read_only == 1) {
        return err ? why(err) : NULL;
    }
    if (is_full(&stat)) {
        return "the store is full: raise SCIMStoreSize";
    }
    /* Whom nobody sends changes would never learn that they are stored again. */
    if (scim_store_fault(store, r->pool)) {
        err = scim_gauge_try(store, r->pool);
    }
    return err ? why(err) : NULL;
}
