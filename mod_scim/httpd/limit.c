/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCIMRateLimit: one table for all processes, which a restart, graceful or
 * not, finds again where the last one left it.
 */
#include "mod_scim.h"

#include <apr_general.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <xxhash.h>

#include "scim/rate.h"

APLOG_USE_MODULE(scim);

/* The number goes up whenever the table comes to look otherwise: a restart may
 * bring a newer module. */
#define RETAINED "mod_scim rate table 1"

typedef struct retained {
    scim_rate_table *table; /* shared; in the pool of the process that never ends */
    apr_uint64_t seed;      /* of the keys: nobody can say whose a slot is */
} retained;

static const retained *rates; /* NULL: there is no table, and no limit */

static apr_status_t make_table(retained *out, apr_pool_t *process)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_generate_random_bytes((unsigned char *)&out->seed, sizeof(out->seed));

    if (rv == APR_SUCCESS) {
        rv = apr_shm_create(&shm, sizeof(*out->table), NULL, process);
    }
    if (rv == APR_SUCCESS) {
        out->table = memset(apr_shm_baseaddr_get(shm), 0, sizeof(*out->table));
    }
    return rv;
}

bool mod_scim_has_endpoints(const server_rec *s)
{
    for (; s; s = s->next) {
        if (mod_scim_server(s)->endpoints->nelts) {
            return true;
        }
    }
    return false;
}

/* Pages and those who ask about users need the table without any endpoint, too: forms are
 * to serve once, and who asks is not to fill the log. */
static bool has_store(const server_rec *s)
{
    while (s && !mod_scim_server(s)->store_url) {
        s = s->next;
    }
    return s != NULL;
}

int mod_scim_make_rates(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    retained *found = ap_retained_data_get(RETAINED);
    apr_status_t rv;

    rates = NULL;
    /* Of the two readings at start the first is for its faults. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG || !has_store(s)) {
        return OK;
    }
    if (!found) {
        found = ap_retained_data_create(RETAINED, sizeof(*found));
    }
    rv = found->table ? APR_SUCCESS : make_table(found, s->process->pool);
    if (rv == APR_SUCCESS) {
        rates = found;
    } else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     SCIMLOG(1501) "SCIMRateLimit limits nobody: there is no shared memory");
    }
    return OK;
}

/* Of who asks, and of the limit: what is counted by one says nothing by
 * another. */
static apr_uint64_t key_of(const char *who, const scim_rate *rate)
{
    apr_uint64_t seed = XXH3_64bits_withSeed(rate, sizeof(*rate), rates->seed);

    return XXH3_64bits_withSeed(who, strlen(who), seed);
}

/* Whether the request is counted already, before it was redirected or as the
 * one that it is a part of. */
static bool is_counted(const request_rec *r)
{
    for (; r; r = r->prev ? r->prev : r->main) {
        const scim_state *state = mod_scim_state(r);

        if (state && state->counted) {
            return true;
        }
    }
    return false;
}

static const char *rate_text(const scim_rate *rate, apr_pool_t *pool)
{
    bool minutes = rate->interval > APR_USEC_PER_SEC;
    apr_interval_time_t time = minutes ? 60 * APR_USEC_PER_SEC : APR_USEC_PER_SEC;

    return apr_psprintf(pool, "%" APR_INT64_T_FMT " a %s",
                        (time + rate->interval / 2) / rate->interval,
                        minutes ? "minute" : "second");
}

static const scim_error *too_many(request_rec *r, const scim_rate *rate,
                                  apr_interval_time_t wait)
{
    int seconds = (int)((wait + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
    const char *text = rate_text(rate, r->pool);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  SCIMLOG(1502) "SCIMRateLimit: connection %s of tenant %s asks more than %s",
                  apr_table_get(r->notes, "scim-connection"),
                  apr_table_get(r->notes, "scim-tenant"), text);
    return scim_error_retry(
        r->pool,
        scim_error_make(
            r->pool, SCIM_E_TOO_MANY_REQUESTS,
            "More requests than this address admits of one client, %s and %" APR_INT64_T_FMT
            " at once: ask again in %d second%s",
            text, rate->burst, seconds, seconds == 1 ? "" : "s"),
        seconds);
}

const scim_error *mod_scim_count(request_rec *r, scim_state *state, const char *who)
{
    scim_rate rate = {state->conf.rate_interval, state->conf.rate_burst};
    apr_interval_time_t wait;

    if (!rates || !rate.interval || is_counted(r)) {
        return NULL;
    }
    state->counted = true;
    wait = scim_rate_take(rates->table, key_of(who, &rate), &rate, apr_time_now());
    return wait ? too_many(r, &rate, wait) : NULL;
}

bool mod_scim_seldom(const char *what)
{
    return mod_scim_once(what, apr_time_from_sec(60));
}

bool mod_scim_once(const char *what, apr_interval_time_t within)
{
    const scim_rate rate = {within, 1};

    return !rates || !scim_rate_take(rates->table, key_of(what, &rate), &rate, apr_time_now());
}
