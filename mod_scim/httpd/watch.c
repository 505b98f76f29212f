/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting requests, once they are answered, in memory that all processes share and that
 * outlives restarts; and a word to the administrator when a token nears its end.
 */
#include "watch.h"

#include <apr_general.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <xxhash.h>

#include "scim/time.h"

APLOG_USE_MODULE(scim);

/* The number goes up whenever the tally comes to lie otherwise: a restart may bring a newer
 * module. */
#define RETAINED "mod_scim tally 1"

#define DAY apr_time_from_sec(86400)

typedef struct retained {
    scim_tally *tally; /* shared; in the pool of the process that never ends */
    apr_uint64_t seed; /* of its keys */
    apr_time_t since;
} retained;

static const retained *watch; /* NULL: nothing is counted */

scim_tally *mod_scim_tally(apr_time_t *since)
{
    *since = watch ? watch->since : 0;
    return watch ? watch->tally : NULL;
}

apr_uint64_t mod_scim_store_number(const char *store_url)
{
    return XXH3_64bits(store_url, strlen(store_url));
}

/* It is all zeros as it comes, and takes no memory before it is written to. */
static apr_status_t make_tally(retained *out, apr_pool_t *process)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_generate_random_bytes((unsigned char *)&out->seed, sizeof(out->seed));

    if (rv == APR_SUCCESS) {
        rv = apr_shm_create(&shm, scim_tally_size(), NULL, process);
    }
    if (rv == APR_SUCCESS) {
        out->tally = apr_shm_baseaddr_get(shm);
        out->since = apr_time_now();
    }
    return rv;
}

static int make_watch(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    retained *found = ap_retained_data_get(RETAINED);
    apr_status_t rv;

    watch = NULL;
    /* Of the two readings at start the first is for its faults. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG ||
        !mod_scim_has_endpoints(s)) {
        return OK;
    }
    if (!found) {
        found = ap_retained_data_create(RETAINED, sizeof(*found));
    }
    rv = found->tally ? APR_SUCCESS : make_tally(found, s->process->pool);
    if (rv == APR_SUCCESS) {
        watch = found;
    } else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     SCIMLOG(1701) "there is no shared memory for what the status page counts: "
                                   "it will show the store alone");
    }
    return OK;
}

/* What a request was */

static scim_tally_class class_of(const scim_state *state)
{
    const char *op = state->target.op;
    const char *dot = strrchr(op, '.');

    if (state->target.route && state->target.route->scope == SCIM_SCOPE_WRITE) {
        return SCIM_TALLY_WRITE;
    }
    return dot && (!strcmp(dot, ".list") || !strcmp(dot, ".search")) ? SCIM_TALLY_LIST
                                                                     : SCIM_TALLY_READ;
}

static int status_of(const request_rec *r)
{
    while (r->next) {
        r = r->next;
    }
    return r->status;
}

/* The texts of an error, as the access log has them. */
static void fill_error(scim_tally_event *event, const request_rec *r)
{
    event->scim_type = apr_table_get(r->notes, "scim-error");
    event->detail = apr_table_get(r->notes, "scim-detail");
}

/* Whom a token that has expired belonged to is known, too. */
static void fill_client(scim_tally_event *event, const request_rec *r, const scim_state *state)
{
    event->tenant = apr_table_get(r->notes, "scim-tenant");
    event->connection = event->tenant ? apr_table_get(r->notes, "scim-connection") : NULL;
    event->expires = state->identity ? state->identity->expires : 0;
    event->user_agent = apr_table_get(r->headers_in, "User-Agent");
    event->address = r->useragent_ip;
    event->refused = state->refused;
    if (event->status == HTTP_UNAUTHORIZED && event->refused == SCIM_TALLY_KNOWN) {
        event->refused = SCIM_TALLY_OTHER;
    }
}

static void fill_object(scim_tally_event *event, const request_rec *r, const scim_state *state)
{
    event->id = apr_table_get(r->notes, "scim-id");
    if (state->subject) {
        event->subject =
            XXH3_64bits_withSeed(state->subject, strlen(state->subject), watch->seed);
    }
}

static void note_request(const request_rec *r, const scim_state *state)
{
    const char *url = mod_scim_server(r->server)->store_url;
    scim_tally_event event = {.store = url ? mod_scim_store_number(url) : 0,
                              .op = state->target.op,
                              .what = class_of(state),
                              .status = status_of(r),
                              .now = apr_time_now(),
                              .took = state->began ? state->took : -1};

    fill_client(&event, r, state);
    if (event.status >= 400) {
        fill_error(&event, r);
    }
    if (event.what == SCIM_TALLY_WRITE) {
        fill_object(&event, r, state);
    }
    scim_tally_note(watch->tally, &event, watch->seed);
}

/* Tokens */

int mod_scim_token_nears_end(apr_time_t created, apr_time_t expires, apr_time_t now)
{
    static const int days[] = {1, 7, 30};
    int i;

    if (!expires || expires <= now) {
        return expires ? -1 : 0;
    }
    for (i = 0; i < 3; i++) {
        if (expires - now <= days[i] * DAY && expires - created > days[i] * DAY) {
            return days[i];
        }
    }
    return 0;
}

static void warn_of_token(request_rec *r, const scim_identity *who)
{
    int days = mod_scim_token_nears_end(who->created, who->expires, r->request_time);
    const char *tenant = who->tenant.name, *what;
    char when[SCIM_TIME_LEN + 1];

    if (days <= 0) {
        return;
    }
    what = apr_psprintf(r->pool, "end of token %s %s %s %" APR_TIME_T_FMT, tenant,
                        who->connection, who->hint, who->expires);
    if (mod_scim_once(what, DAY)) {
        ap_log_rerror(
            APLOG_MARK, APLOG_WARNING, 0, r,
            SCIMLOG(1702) "the token that ends in %s, of connection %s of tenant %s, "
                          "is in use and expires within %d day%s, at %s: put another in its "
                          "place; \"scimctl token rotate --tenant %s --connection %s\" "
                          "makes one",
            who->hint, who->connection, tenant, days, days == 1 ? "" : "s",
            scim_time_format(who->expires, when), tenant, who->connection);
    }
}

/* Of a request that was redirected, the one that came to the endpoint. */
static request_rec *request_to_endpoint(request_rec *r)
{
    while (r && !mod_scim_state(r)) {
        r = r->next;
    }
    return r;
}

static int watch_request(request_rec *first)
{
    request_rec *r = request_to_endpoint(first);
    const scim_state *state = r ? mod_scim_state(r) : NULL;

    if (!state || !watch) {
        return DECLINED;
    }
    note_request(r, state);
    if (state->identity) {
        warn_of_token(r, state->identity);
    }
    return DECLINED;
}

void mod_scim_register_watch(void)
{
    ap_hook_post_config(make_watch, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(watch_request, NULL, NULL, APR_HOOK_MIDDLE);
}
