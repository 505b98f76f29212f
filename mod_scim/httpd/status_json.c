/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as JSON.
 */
#include "status.h"

#include <http_protocol.h>

#include "scim/json.h"
#include "scim/time.h"

/* null where there is no such time. */
static json_t *json_of_time(apr_time_t time)
{
    char text[SCIM_TIME_LEN + 1];

    return time ? scim_json_text(scim_time_format(time, text)) : json_null();
}

static json_t *json_of_text(const char *text)
{
    return text && *text ? scim_json_text(text) : json_null();
}

static json_t *json_of_number(apr_uint64_t number)
{
    return scim_json_integer((json_int_t)number);
}

static json_t *json_of_bool(bool value)
{
    return value ? json_true() : json_false();
}

static json_t *json_of_error(const scim_tally_error *error)
{
    json_t *json;

    if (!error->time) {
        return json_null();
    }
    json = scim_json_object();
    scim_json_set(json, "time", json_of_time(error->time));
    scim_json_set(json, "op", json_of_text(error->op));
    scim_json_set(json, "status", scim_json_integer(error->status));
    scim_json_set(json, "scimType", json_of_text(error->scim_type));
    scim_json_set(json, "id", json_of_text(error->id));
    scim_json_set(json, "detail", json_of_text(error->detail));
    scim_json_set(json, "remedy", json_of_text(mod_scim_status_remedy(error)));
    return json;
}

/* {"users.create": {"201": 5}} */
static json_t *json_of_counts(const apr_array_header_t *counts, apr_pool_t *pool)
{
    json_t *json = scim_json_object(), *op;
    int i;

    for (i = 0; i < counts->nelts; i++) {
        const scim_tally_count *count = &APR_ARRAY_IDX(counts, i, scim_tally_count);

        op = json_object_get(json, count->op);
        if (!op) {
            op = scim_json_object();
            scim_json_set(json, count->op, op);
        }
        scim_json_set(op, count->status ? apr_itoa(pool, count->status) : "other",
                      json_of_number(count->requests));
    }
    return json;
}

static void set_seen(json_t *json, const scim_tally_connection *seen, apr_pool_t *pool)
{
    scim_json_set(json, "client", scim_json_text(scim_tally_agent_name(seen->agent)));
    scim_json_set(json, "firstRequest", json_of_time(seen->first));
    scim_json_set(json, "lastRequest", json_of_time(seen->last));
    scim_json_set(json, "lastSuccess", json_of_time(seen->success));
    scim_json_set(json, "lastError", json_of_error(&seen->error));
    scim_json_set(json, "requests", json_of_number(seen->requests));
    scim_json_set(json, "failures", json_of_number(seen->failures));
    scim_json_set(json, "operations", json_of_counts(seen->counts, pool));
}

static json_t *json_of_tokens(const apr_array_header_t *tokens)
{
    json_t *all = scim_json_array(), *json;
    int i;

    for (i = 0; i < tokens->nelts; i++) {
        const status_token *token = &APR_ARRAY_IDX(tokens, i, status_token);

        json = scim_json_object();
        scim_json_set(json, "hint", scim_json_text(token->identity->hint));
        scim_json_set(json, "created", json_of_time(token->identity->created));
        scim_json_set(json, "expires", json_of_time(token->identity->expires));
        scim_json_set(json, "expired", json_of_bool(token->nears_end < 0));
        scim_json_append(all, json);
    }
    return all;
}

static json_t *json_of_connections(const scim_status *status)
{
    json_t *all = scim_json_array(), *json;
    int i;

    for (i = 0; i < status->connections->nelts; i++) {
        const status_connection *one =
            &APR_ARRAY_IDX(status->connections, i, status_connection);

        json = scim_json_object();
        scim_json_set(json, "tenant", json_of_text(one->tenant));
        scim_json_set(json, "connection", scim_json_text(one->connection));
        scim_json_set(json, "level", scim_json_text(mod_scim_level_word(one->level)));
        scim_json_set(json, "health", scim_json_text(one->health));
        if (one->seen) {
            set_seen(json, one->seen, status->r->pool);
        }
        scim_json_set(json, "tokens", json_of_tokens(one->tokens));
        scim_json_append(all, json);
    }
    return all;
}

static json_t *json_of_objects(const scim_status *status)
{
    json_t *json = scim_json_object(), *list = scim_json_array(), *object;
    int i;

    for (i = 0; i < status->objects->nelts; i++) {
        const scim_tally_object *one = &APR_ARRAY_IDX(status->objects, i, scim_tally_object);

        object = scim_json_object();
        scim_json_set(object, "tenant", json_of_text(one->tenant));
        scim_json_set(object, "connection", json_of_text(one->connection));
        scim_json_set(object, "since", json_of_time(one->first));
        scim_json_set(object, "tries", json_of_number(one->tries));
        scim_json_set(object, "lastError", json_of_error(&one->error));
        scim_json_append(list, object);
    }
    scim_json_set(json, "total", json_of_number(status->failing));
    scim_json_set(json, "page", json_of_number(status->page));
    scim_json_set(json, "pages", json_of_number(status->pages));
    scim_json_set(json, "objects", list);
    return json;
}

static json_t *json_of_tenants(const scim_status *status)
{
    json_t *all = scim_json_array(), *json;
    int i;

    for (i = 0; i < status->tenants->nelts; i++) {
        const status_tenant *one = &APR_ARRAY_IDX(status->tenants, i, status_tenant);

        json = scim_json_object();
        scim_json_set(json, "name", scim_json_text(one->tenant.name));
        scim_json_set(json, "suspended", json_of_bool(one->tenant.suspended));
        scim_json_set(json, "deleting", json_of_bool(one->tenant.deleting));
        scim_json_set(json, "users", scim_json_integer(one->users));
        scim_json_set(json, "inactive", scim_json_integer(one->inactive));
        scim_json_set(json, "inactiveIsAll", json_of_bool(one->looked == one->users));
        scim_json_set(json, "groups", scim_json_integer(one->groups));
        scim_json_set(json, "others", scim_json_integer(one->others));
        scim_json_set(json, "brake", json_of_bool(one->brake.on));
        scim_json_set(json, "pendingGroups", scim_json_integer(one->pending_groups));
        scim_json_set(json, "pendingMembers", json_of_number(one->pending_members));
        scim_json_append(all, json);
    }
    return all;
}

static json_t *json_of_store(const scim_status *status)
{
    json_t *json = scim_json_object();

    scim_json_set(json, "url", json_of_text(status->store_url));
    scim_json_set(json, "down", json_of_text(status->down));
    if (!status->down) {
        scim_json_set(json, "fault", json_of_text(status->fault));
        scim_json_set(json, "full", json_of_bool(status->full));
        scim_json_set(json, "readOnly", json_of_bool(status->read_only));
        scim_json_set(json, "used", json_of_number(status->store.used));
        scim_json_set(json, "extent", json_of_number(status->store.extent));
        scim_json_set(json, "size",
                      status->store.size ? json_of_number(status->store.size) : json_null());
        scim_json_set(json, "entries", json_of_number(status->store.entries));
        scim_json_set(json, "readers", json_of_number(status->store.readers));
        scim_json_set(json, "maxReaders", json_of_number(status->store.max_readers));
    }
    return json;
}

static json_t *json_of_refused(const scim_status *status)
{
    json_t *all = scim_json_object(), *json;
    int i;

    for (i = SCIM_TALLY_KNOWN + 1; i < SCIM_TALLY_REASONS; i++) {
        const scim_tally_refused *one = &status->refused[i];

        json = scim_json_object();
        scim_json_set(json, "requests", json_of_number(one->requests));
        scim_json_set(json, "last", json_of_time(one->last));
        scim_json_set(json, "address", json_of_text(one->address));
        scim_json_set(all, scim_tally_reason_word((scim_tally_reason)i), json);
    }
    return all;
}

static json_t *json_of_latency(const scim_status *status)
{
    json_t *all = scim_json_object(), *json, *buckets, *bucket;
    int i, j;

    for (i = 0; i < SCIM_TALLY_CLASSES; i++) {
        const scim_tally_histogram *h = &status->latency[i];

        buckets = scim_json_array();
        for (j = 0; j < SCIM_TALLY_BUCKETS; j++) {
            bucket = scim_json_object();
            scim_json_set(bucket, "atMostMicroseconds",
                          j < SCIM_TALLY_BUCKETS - 1 ? scim_json_integer(scim_tally_bounds[j])
                                                     : json_null());
            scim_json_set(bucket, "requests", json_of_number(h->buckets[j]));
            scim_json_append(buckets, bucket);
        }
        json = scim_json_object();
        scim_json_set(json, "requests", json_of_number(h->count));
        scim_json_set(json, "microseconds", json_of_number(h->sum));
        scim_json_set(json, "buckets", buckets);
        scim_json_set(all, mod_scim_class_word((scim_tally_class)i), json);
    }
    return all;
}

static json_t *json_of_problems(const scim_status *status)
{
    json_t *all = scim_json_array(), *json;
    int i;

    for (i = 0; i < status->problems->nelts; i++) {
        const status_problem *one = &APR_ARRAY_IDX(status->problems, i, status_problem);

        json = scim_json_object();
        scim_json_set(json, "level", scim_json_text(mod_scim_level_word(one->level)));
        scim_json_set(json, "what", scim_json_text(one->what));
        scim_json_set(json, "remedy", json_of_text(one->remedy));
        scim_json_append(all, json);
    }
    return all;
}

int mod_scim_status_json(const scim_status *status)
{
    request_rec *r = status->r;
    json_t *json = scim_json_adopt(scim_json_object(), r->pool);
    apr_size_t len;
    const char *text;

    scim_json_set(json, "time", json_of_time(status->now));
    scim_json_set(json, "since", json_of_time(status->since));
    scim_json_set(json, "problems", json_of_problems(status));
    scim_json_set(json, "connections", json_of_connections(status));
    if (status->nobody) {
        json_t *nobody = scim_json_object();

        set_seen(nobody, status->nobody, r->pool);
        scim_json_set(json, "nobody", nobody);
    }
    scim_json_set(json, "refused", json_of_refused(status));
    scim_json_set(json, "failing", json_of_objects(status));
    scim_json_set(json, "tenants", json_of_tenants(status));
    scim_json_set(json, "store", json_of_store(status));
    scim_json_set(json, "latency", json_of_latency(status));
    text = scim_json_write(json, &len, r->pool);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)len);
    ap_rwrite(text, (int)len, r);
    return OK;
}
