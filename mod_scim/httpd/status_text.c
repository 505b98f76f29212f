/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as Prometheus reads it: its text format, version 0.0.4.
 */
#include "status.h"

#include <http_protocol.h>

static void family(request_rec *r, const char *name, const char *type, const char *help)
{
    ap_rvputs(r, "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n", NULL);
}

/* As a label's value has it. */
static const char *label(const char *text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, 2 * strlen(text) + 1), *to = out;

    for (; *text; text++) {
        if (*text == '\\' || *text == '"' || *text == '\n') {
            *to++ = '\\';
        }
        *to++ = *text == '\n' ? 'n' : *text;
    }
    *to = '\0';
    return out;
}

static void put_number(request_rec *r, const char *name, const char *help, apr_uint64_t value)
{
    family(r, name, "gauge", help);
    ap_rprintf(r, "%s %" APR_UINT64_T_FMT "\n", name, value);
}

static void put_seconds(request_rec *r, apr_time_t time)
{
    ap_rprintf(r, " %" APR_INT64_T_FMT ".%06d\n", apr_time_sec(time), (int)apr_time_usec(time));
}

/* Requests */

static void put_counts(request_rec *r, const scim_tally_connection *one)
{
    int i;

    for (i = 0; one && i < one->counts->nelts; i++) {
        const scim_tally_count *count = &APR_ARRAY_IDX(one->counts, i, scim_tally_count);

        ap_rprintf(r,
                   "scim_requests_total{tenant=\"%s\",connection=\"%s\",op=\"%s\","
                   "status=\"%s\"} %" APR_UINT64_T_FMT "\n",
                   label(one->tenant, r->pool), label(one->connection, r->pool), count->op,
                   count->status ? apr_itoa(r->pool, count->status) : "other", count->requests);
    }
}

static void put_requests(const scim_status *status)
{
    request_rec *r = status->r;
    int i;

    family(r, "scim_requests_total", "counter",
           "Requests that were answered, by operation and HTTP status; those of nobody have no "
           "tenant.");
    for (i = 0; i < status->connections->nelts; i++) {
        put_counts(r, APR_ARRAY_IDX(status->connections, i, status_connection).seen);
    }
    put_counts(r, status->nobody);
}

typedef apr_time_t time_of_connection(const status_connection *one);

static apr_time_t last_request(const status_connection *one)
{
    return one->seen ? one->seen->last : 0;
}

static apr_time_t last_success(const status_connection *one)
{
    return one->seen ? one->seen->success : 0;
}

static apr_time_t last_error(const status_connection *one)
{
    return one->seen ? one->seen->error.time : 0;
}

/* When its last token ends; 0 where one never does. */
static apr_time_t last_token(const status_connection *one)
{
    apr_time_t last = 0;
    int i;

    for (i = 0; i < one->tokens->nelts; i++) {
        apr_time_t expires = APR_ARRAY_IDX(one->tokens, i, status_token).identity->expires;

        if (!expires) {
            return 0;
        }
        last = expires > last ? expires : last;
    }
    return last;
}

static apr_time_t used_token(const status_connection *one)
{
    return one->seen ? one->seen->expires : 0;
}

static void put_times(const scim_status *status, const char *name, const char *help,
                      time_of_connection *time_of)
{
    request_rec *r = status->r;
    int i;

    family(r, name, "gauge", help);
    for (i = 0; i < status->connections->nelts; i++) {
        const status_connection *one =
            &APR_ARRAY_IDX(status->connections, i, status_connection);
        apr_time_t time = time_of(one);

        if (time) {
            ap_rprintf(r, "%s{tenant=\"%s\",connection=\"%s\"}", name,
                       label(one->tenant, r->pool), label(one->connection, r->pool));
            put_seconds(r, time);
        }
    }
}

static void put_refused(const scim_status *status)
{
    const char *name = "scim_authentication_failures_total";
    int i;

    family(status->r, name, "counter",
           "Requests that were refused before anybody was known to ask.");
    for (i = SCIM_TALLY_KNOWN + 1; i < SCIM_TALLY_REASONS; i++) {
        ap_rprintf(status->r, "%s{reason=\"%s\"} %" APR_UINT64_T_FMT "\n", name,
                   scim_tally_reason_word((scim_tally_reason)i), status->refused[i].requests);
    }
}

/* In seconds, whatever the locale: "0.0005", "10". */
static const char *bound_text(apr_int64_t bound, apr_pool_t *pool)
{
    char *text =
        apr_psprintf(pool, "%d.%06d", (int)apr_time_sec(bound), (int)apr_time_usec(bound));
    apr_size_t len = strlen(text);

    while (text[len - 1] == '0') {
        len--;
    }
    text[text[len - 1] == '.' ? len - 1 : len] = '\0';
    return text;
}

static void put_latency(const scim_status *status)
{
    const char *name = "scim_request_duration_seconds";
    request_rec *r = status->r;
    int i, bucket;

    family(r, name, "histogram",
           "Time from when a request was whole until its answer began to be sent.");
    for (i = 0; i < SCIM_TALLY_CLASSES; i++) {
        const scim_tally_histogram *h = &status->latency[i];
        const char *what = mod_scim_class_word((scim_tally_class)i);
        apr_uint64_t sum = 0;

        for (bucket = 0; bucket < SCIM_TALLY_BUCKETS - 1; bucket++) {
            sum += h->buckets[bucket];
            ap_rprintf(r, "%s_bucket{class=\"%s\",le=\"%s\"} %" APR_UINT64_T_FMT "\n", name,
                       what, bound_text(scim_tally_bounds[bucket], r->pool), sum);
        }
        ap_rprintf(r, "%s_bucket{class=\"%s\",le=\"+Inf\"} %" APR_UINT64_T_FMT "\n", name, what,
                   h->count);
        ap_rprintf(r, "%s_sum{class=\"%s\"}", name, what);
        put_seconds(r, (apr_time_t)h->sum);
        ap_rprintf(r, "%s_count{class=\"%s\"} %" APR_UINT64_T_FMT "\n", name, what, h->count);
    }
}

/* The store */

typedef apr_int64_t number_of_tenant(const status_tenant *one);

static apr_int64_t users_of(const status_tenant *one)
{
    return one->users;
}

static apr_int64_t groups_of(const status_tenant *one)
{
    return one->groups;
}

/* -1: not all of them were looked at. */
static apr_int64_t inactive_of(const status_tenant *one)
{
    return one->looked == one->users ? one->inactive : -1;
}

static apr_int64_t brake_of(const status_tenant *one)
{
    return one->brake.on;
}

static apr_int64_t suspended_of(const status_tenant *one)
{
    return one->tenant.suspended;
}

static apr_int64_t pending_of(const status_tenant *one)
{
    return (apr_int64_t)one->pending_members;
}

static void put_tenants(const scim_status *status, const char *name, const char *help,
                        number_of_tenant *number_of)
{
    request_rec *r = status->r;
    int i;

    family(r, name, "gauge", help);
    for (i = 0; i < status->tenants->nelts; i++) {
        const status_tenant *one = &APR_ARRAY_IDX(status->tenants, i, status_tenant);
        apr_int64_t number = number_of(one);

        if (number >= 0) {
            ap_rprintf(r, "%s{tenant=\"%s\"} %" APR_INT64_T_FMT "\n", name,
                       label(one->tenant.name, r->pool), number);
        }
    }
}

static void put_store(const scim_status *status)
{
    request_rec *r = status->r;

    put_number(r, "scim_store_up", "Whether the store can be read.", !status->down);
    if (status->down) {
        return;
    }
    put_number(r, "scim_store_writable", "Whether changes are taken.",
               !status->read_only && !status->full && !status->fault);
    put_number(r, "scim_store_used_bytes", "What the store holds.", status->store.used);
    if (status->store.size) {
        put_number(r, "scim_store_extent_bytes", "What the store takes of its file.",
                   status->store.extent);
        put_number(r, "scim_store_size_bytes", "What the store may grow to (SCIMStoreSize).",
                   status->store.size);
    }
    put_number(r, "scim_store_entries", "Rows in the store.", status->store.entries);
    put_number(r, "scim_store_readers", "Views under way, of all processes.",
               status->store.readers);
    put_number(r, "scim_store_readers_max", "Views that there may be.",
               status->store.max_readers);
    put_tenants(status, "scim_users", "Users of a tenant.", users_of);
    put_tenants(status, "scim_users_inactive",
                "Inactive users of a tenant, where these could be counted.", inactive_of);
    put_tenants(status, "scim_groups", "Groups of a tenant.", groups_of);
    put_tenants(status, "scim_tenant_suspended", "Whether a tenant is suspended.",
                suspended_of);
    put_tenants(status, "scim_delete_brake", "Whether the brake of SCIMDeleteLimit is on.",
                brake_of);
    put_tenants(status, "scim_pending_members",
                "Members of deleted groups that are still to be treated.", pending_of);
}

int mod_scim_status_prometheus(const scim_status *status)
{
    request_rec *r = status->r;

    ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
    put_store(status);
    put_requests(status);
    put_times(status, "scim_connection_last_request_timestamp_seconds",
              "When a connection asked last.", last_request);
    put_times(status, "scim_connection_last_success_timestamp_seconds",
              "When a connection was answered well last.", last_success);
    put_times(status, "scim_connection_last_error_timestamp_seconds",
              "When a connection was answered an error last.", last_error);
    put_times(status, "scim_token_expiry_timestamp_seconds",
              "When the last of a connection's tokens ends, where it does.", last_token);
    put_times(status, "scim_token_used_expiry_timestamp_seconds",
              "When the token ends that a connection used last, where it does.", used_token);
    put_refused(status);
    put_number(r, "scim_objects_failing",
               "Objects that could not be changed as their connection wanted.",
               status->failing);
    put_latency(status);
    return OK;
}
