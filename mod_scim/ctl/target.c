/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is made anew as a whole, from a backup or from another store.  In a directory
 * it is made beside the one that is there, and put in its place when it is whole; an engine
 * that is elsewhere has one place for it, which must be empty.
 */
#include "scim/backup.h"

#include "ctl.h"

static ctl_exit cannot_make(scim_kv_rc rc, const char *why)
{
    ctl_complain("%s", why);
    return rc == SCIM_KV_BUSY ? CTL_REFUSED : CTL_NO_STORE;
}

/* Where nobody else has it open, nor opens it meanwhile. */
static ctl_exit begin_beside(ctl_target *m, apr_pool_t *pool)
{
    scim_kv_options options = {.create = true};
    const char *why = "the store cannot be replaced";
    scim_kv_rc rc = scim_kv_claim_store(&m->claim, m->url, &why, pool);

    if (rc == SCIM_KV_OK) {
        rc = scim_kv_claim_place(m->claim, &m->place, &why);
    }
    if (rc == SCIM_KV_OK) {
        options.claim = m->claim;
        rc = scim_kv_open(&m->kv, m->place, &options, &why, pool);
    }
    return rc == SCIM_KV_OK ? CTL_OK : cannot_make(rc, why);
}

/* Thousands of rows in a transaction may take longer than the change of a request. */
#define TIMEOUT apr_time_from_sec(60)

static ctl_exit begin_there(ctl_target *m, apr_pool_t *pool)
{
    scim_kv_options options = {.create = true, .timeout = TIMEOUT};
    const char *why = "the store cannot be opened";
    const scim_error *err;

    m->place = m->url;
    if (scim_kv_open(&m->kv, m->url, &options, &why, pool) != SCIM_KV_OK) {
        ctl_complain("%s", why);
        return CTL_NO_STORE;
    }
    err = scim_making_begin(&m->making, m->kv, pool);
    if (err && err->code == SCIM_E_UNIQUENESS) {
        ctl_complain("%s is not empty, and a store is not replaced there: make a new database, "
                     "name that here, and in SCIMStore when it is done",
                     m->url);
        return CTL_REFUSED;
    }
    return err ? ctl_failed(err) : CTL_OK;
}

ctl_exit ctl_target_begin(ctl_target *m, const char *url, apr_pool_t *pool)
{
    *m = (ctl_target){.url = url};
    return scim_kv_claimable(url) ? begin_beside(m, pool) : begin_there(m, pool);
}

/* A place of its own is opened by one at a time. */
static void close_place(ctl_target *m)
{
    if (m->claim && m->kv) {
        scim_kv_close(m->kv);
        m->kv = NULL;
    }
}

ctl_exit ctl_target_open(ctl *c, ctl_target *m, bool read_only)
{
    close_place(m);
    return ctl_open_store(
        c, m->place,
        &(scim_store_options){.kv = {.claim = m->claim, .read_only = read_only},
                              .making = m->making != NULL});
}

ctl_exit ctl_target_end(ctl_target *m, const char **kept, apr_pool_t *pool)
{
    const scim_error *err;
    const char *why;

    if (!m->claim) {
        err = scim_making_end(m->making, pool);
        return err ? ctl_failed(err) : CTL_OK;
    }
    close_place(m);
    if (scim_kv_claim_replace(m->claim, kept, &why) != SCIM_KV_OK) {
        ctl_complain("%s", why);
        return CTL_FAILED;
    }
    scim_kv_claim_end(m->claim);
    return CTL_OK;
}
