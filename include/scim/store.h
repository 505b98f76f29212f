/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: tenants, tokens, resources, their indexes and edges over an
 * engine of scim/kv.h.  mod_scim/store/FORMAT is its format.
 *
 * A reader opens a *view*, in which everything it reads belongs to one state.
 * Bytes that a view hands out (records, edges) are the engine's: they end
 * with the view.  Mutations are calls of their own (scim/resource.h,
 * scim/tenant.h, scim/token.h), never made inside a view; when they return
 * success, the change is durable.
 *
 * A store may be used by every thread of the process that opened it.
 */
#ifndef SCIM_STORE_H
#define SCIM_STORE_H

#include <apr_hash.h>
#include <apr_pools.h>

#include "scim/error.h"
#include "scim/kv.h"
#include "scim/schema.h"

#define SCIM_STORE_FORMAT 3

typedef struct scim_store scim_store;

typedef struct scim_store_options {
    scim_kv_options kv;
    const scim_registry *registry; /* outlives the store */
    apr_uint64_t scan_limit;       /* records one query may read; 0: no limit */
    bool any_unicode;              /* one of other tables of Unicode is no reason to refuse:
                                      for who makes its indexes anew */
    bool making;                   /* one that is being made (scim/making.h) may be read: for who
                                      makes it */
} scim_store_options;

typedef struct scim_view {
    scim_store *store;
    scim_kv_txn *txn;
    apr_pool_t *pool;     /* for what reading makes; the pool given to scim_store_view */
    apr_hash_t *promises; /* of a batch: ids that will be there by its end; else NULL */
} scim_view;

typedef const scim_error *(*scim_view_fn)(scim_view *view, void *baton);

/* Opens the store in pool, whose cleanup closes it, and checks format and
 * Unicode version; with options->kv.create it is made where there is none,
 * and what a new resource type or index needs is written.  Errors are for the
 * administrator: their cause names path, user and remedy. */
const scim_error *scim_store_open(scim_store **out, const char *url,
                                  const scim_store_options *options, apr_pool_t *pool);

/* Closes before the pool does. */
void scim_store_close(scim_store *store);

/* Runs fn over one state of the store.  Views of one thread may nest. */
const scim_error *scim_store_view(scim_store *store, scim_view_fn fn, void *baton,
                                  apr_pool_t *result_pool);

/* Whether the store's indexes were made by other tables of Unicode than those of this
 * system; and, when they are made anew, that this is so no more. */
bool scim_store_other_unicode(const scim_store *store);
const scim_error *scim_store_adopt_unicode(scim_store *store, apr_pool_t *result_pool);

/* Whether the registry knows all types and indexes that are in the store.  One
 * that does not, as that of scimctl, which reads no configuration, must not
 * delete resources: their rows in those indexes would stay. */
const scim_error *scim_store_complete(bool *out, scim_view *view);

const scim_registry *scim_store_registry(const scim_store *store);

/* What keeps the store from being written to or opened again, for the
 * administrator; NULL where nothing does, see scim_kv_fault. */
const char *scim_store_fault(scim_store *store, apr_pool_t *result_pool);

/* The engine, for statistics and upkeep. */
scim_kv *scim_store_kv(scim_store *store);

/* The one table from engine results to errors: 503 (with Retry-After at the
 * edge), 507, 500.  what names what was tried, for the error log. */
const scim_error *scim_store_error(apr_pool_t *result_pool, scim_kv_rc rc, const char *what);

#endif
