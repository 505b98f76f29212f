/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk (RFC 7644 section 3.7): operations in order, each whole or not at all,
 * the job one transaction of the store.
 *
 * References between operations.  Before the first operation runs, an id is
 * promised to every POST, so that "bulkId:..." can be replaced wherever it
 * stands, before or after that POST, in circles too.  Where a promise was not
 * kept, although an operation relied on it, the transaction is given up and
 * the job run again; nothing may rely on that promise then before it is kept.
 * Each run has one such POST more at least, so it ends.
 */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/etag.h"
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/text.h"
#include "scim/validate.h"

#include "handler.h"

#define URN_REQUEST "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
#define URN_RESPONSE "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
#define REFERENCE "bulkId:"
#define REFERENCE_LEN 7

/* A job that still is not settled then was made so that it is not: from here
 * on no promise is relied on before it is kept. */
#define RUNS_MAX 8

typedef struct operation {
    const char *method_name; /* as it is answered */
    scim_method method;
    const char *bulk_id;
    const char *version;
    const json_t *data;
    const char *path; /* below the base */
    scim_target target;
    const scim_error *fault; /* of the operation as it stands, or NULL */
    bool broken;             /* others relied in vain on its promise in an earlier run */

    /* of a run */
    scim_id promised; /* of a POST without a fault */
    bool done;
    int status;
    const scim_error *error;
    const char *location;
    const char *version_out;
    bool doomed;                   /* it failed, or relied on what did */
    apr_array_header_t *relies_on; /* of operation *: whose promises it used */
} operation;

typedef struct job {
    const scim_call *call;
    const json_t *list;        /* "Operations" */
    json_int_t fail_on_errors; /* 0: never */
    operation *operations;
    int count;
    apr_hash_t *by_bulk_id; /* bulkId -> operation */
    scim_batch *batch;
    scim_reply committed; /* if the run is: its events */
    int runs;
    bool again;          /* the run was given up */
    apr_pool_t *pool;    /* of the job */
    apr_pool_t *scratch; /* of a run: its answers, too */
    apr_pool_t *op_pool; /* of the operation at hand */
} job;

/* Reading the job */

static scim_method read_method(const char **name)
{
    static const struct {
        const char *name;
        scim_method method;
    } methods[] = {
        {"POST", SCIM_POST}, {"PUT", SCIM_PUT}, {"PATCH", SCIM_PATCH}, {"DELETE", SCIM_DELETE}};
    apr_size_t i;

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (*name && !scim_text_casecmp(*name, methods[i].name)) {
            *name = methods[i].name;
            return methods[i].method;
        }
    }
    return SCIM_OTHER;
}

/* What of path stands behind prefix; NULL where it does not begin with it. */
static const char *behind(const char *path, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    return !strncmp(path, prefix, len) && path[len] == '/' ? path + len : NULL;
}

/* A path as clients write it: absolute, with the base's path, with a version,
 * without its slash, or as the RFC has it. */
static const char *below_base(const job *j, const char *path)
{
    const char *base = j->call->base_url;
    const char *base_path = strchr(strstr(base, "://") + 3, '/');
    const char *below = behind(path, base);

    if (!below && base_path) {
        below = behind(path, base_path);
    }
    if (!below) {
        below = behind(path, "/v2");
    }
    if (below) {
        return below;
    }
    return *path == '/' ? path : apr_pstrcat(j->pool, "/", path, NULL);
}

/* A member that must be a string where it is there; NULL where it is not. */
static const scim_error *read_string(const char **out, const json_t *object, const char *name,
                                     apr_pool_t *pool)
{
    const json_t *value = scim_json_get(object, name, NULL);

    *out = json_string_value(value);
    if (value && !json_is_null(value) && !*out) {
        return scim_error_make(pool, SCIM_E_INVALID_SYNTAX, "%s must be a string, is %s", name,
                               scim_json_kind(value));
    }
    return NULL;
}

/* What can be said of an operation without the directory. */
static const scim_error *check_operation(const job *j, const operation *op)
{
    if (op->method == SCIM_OTHER) {
        return scim_error_make(j->pool, SCIM_E_INVALID_SYNTAX,
                               "method must be POST, PUT, PATCH or DELETE");
    }
    if (!op->path) {
        return scim_error_make(j->pool, SCIM_E_INVALID_SYNTAX,
                               "path must name an endpoint, such as /Users");
    }
    if (!op->target.allow || !op->target.type) {
        return scim_error_make(
            j->pool, op->target.allow ? SCIM_E_INVALID_VALUE : SCIM_E_NOT_FOUND,
            "path: %s is no endpoint for a bulk operation", scim_call_shown(op->path, j->pool));
    }
    if (!op->target.route || op->target.route->scope != SCIM_SCOPE_WRITE) {
        return scim_error_make(j->pool, SCIM_E_INVALID_VALUE, "path: %s does not take %s",
                               scim_call_shown(op->path, j->pool), op->method_name);
    }
    if (op->method == SCIM_POST && (!op->bulk_id || !*op->bulk_id)) {
        return scim_error_make(j->pool, SCIM_E_INVALID_VALUE, "a POST must have a bulkId");
    }
    if (op->method != SCIM_DELETE && !json_is_object(op->data)) {
        return scim_error_make(j->pool, SCIM_E_INVALID_SYNTAX, "data must be an object");
    }
    return NULL;
}

static const scim_error *note_bulk_id(job *j, operation *op)
{
    if (apr_hash_get(j->by_bulk_id, op->bulk_id, APR_HASH_KEY_STRING)) {
        return scim_error_make(j->pool, SCIM_E_INVALID_VALUE,
                               "the bulkId \"%s\" stands twice in this job",
                               scim_call_shown(op->bulk_id, j->pool));
    }
    apr_hash_set(j->by_bulk_id, op->bulk_id, APR_HASH_KEY_STRING, op);
    return NULL;
}

static const scim_error *read_operation(job *j, operation *op, const json_t *json)
{
    const scim_error *wrong_version;

    SCIM_ERR(read_string(&op->method_name, json, "method", j->pool));
    op->method = read_method(&op->method_name);
    SCIM_ERR(read_string(&op->bulk_id, json, "bulkId", j->pool));
    wrong_version = read_string(&op->version, json, "version", j->pool);
    SCIM_ERR(read_string(&op->path, json, "path", j->pool));
    op->data = scim_json_get(json, "data", NULL);
    if (op->path) {
        op->path = below_base(j, op->path);
        op->target = scim_route_find(op->method, op->path, j->call->registry, j->pool);
    }
    SCIM_ERR(wrong_version);
    SCIM_ERR(check_operation(j, op));
    return op->method == SCIM_POST ? note_bulk_id(j, op) : NULL;
}

static const scim_error *read_frame(job *j, const json_t *message)
{
    const json_t *fail = scim_json_get(message, "failOnErrors", NULL);
    apr_int64_t limit = j->call->wire->bulk_operations;
    apr_int64_t count;

    if (!scim_call_is_message(message, URN_REQUEST)) {
        return scim_error_make(
            j->pool, SCIM_E_INVALID_SYNTAX,
            "The body must be a bulk request: its schemas must hold " URN_REQUEST);
    }
    j->list = scim_json_get(message, "Operations", NULL);
    if (!json_is_array(j->list)) {
        return scim_error_make(j->pool, SCIM_E_INVALID_SYNTAX, "Operations must be an array");
    }
    if (fail && !json_is_null(fail) &&
        (!json_is_integer(fail) || json_integer_value(fail) < 0)) {
        return scim_error_make(j->pool, SCIM_E_INVALID_VALUE,
                               "failOnErrors must be an integer of 0 or more");
    }
    j->fail_on_errors = json_integer_value(fail);
    count = (apr_int64_t)json_array_size(j->list);
    if (count > limit) {
        return scim_error_make(j->pool, SCIM_E_TOO_LARGE,
                               "The job has %" APR_INT64_T_FMT " operations, more than the "
                               "maxOperations (%" APR_INT64_T_FMT ") of this server",
                               count, limit);
    }
    return NULL;
}

static const scim_error *read_job(job *j, const json_t *message)
{
    int i;

    SCIM_ERR(read_frame(j, message));
    j->count = (int)json_array_size(j->list);
    j->operations = apr_pcalloc(j->pool, sizeof(operation) * (apr_size_t)(j->count + 1));
    j->by_bulk_id = apr_hash_make(j->pool);
    for (i = 0; i < j->count; i++) {
        const json_t *json = json_array_get(j->list, (size_t)i);

        if (!json_is_object(json)) {
            return scim_error_make(j->pool, SCIM_E_INVALID_SYNTAX,
                                   "Operations[%d] must be an object, is %s", i,
                                   scim_json_kind(json));
        }
        j->operations[i].fault = read_operation(j, &j->operations[i], json);
    }
    return NULL;
}

/* References */

/* The name of a member without the URN or the attribute before it, which
 * stand there in the value of a PATCH ("manager.value"). */
static const char *last_name(const char *name)
{
    const char *at;

    for (at = name; *at; at++) {
        if (*at == ':' || *at == '.') {
            name = at + 1;
        }
    }
    return name;
}

/* Where an id must stand, so that a reference to nothing is a fault. */
static bool takes_id(const char *name)
{
    static const char *const names[] = {"value", "$ref", "manager"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!scim_text_casecmp(last_name(name), names[i])) {
            return true;
        }
    }
    return false;
}

/* The reference in a text, which is all of it, or the end of a URI; NULL where
 * there is none. */
static const char *find_reference(const char *text)
{
    const char *slash = strrchr(text, '/');

    if (!strncmp(text, REFERENCE, REFERENCE_LEN)) {
        return text;
    }
    return slash && !strncmp(slash + 1, REFERENCE, REFERENCE_LEN) ? slash + 1 : NULL;
}

static const scim_error *unresolved(const job *j, const char *bulk_id)
{
    return scim_error_make(j->scratch, SCIM_E_INVALID_VALUE,
                           REFERENCE "%s: no operation of this job creates that resource",
                           scim_call_shown(bulk_id, j->scratch));
}

/* The operation that creates what a reference is to; NULL where it did not, or
 * cannot be relied on to do so later. */
static operation *resolve(job *j, operation *op, const char *bulk_id)
{
    operation *to = apr_hash_get(j->by_bulk_id, bulk_id, APR_HASH_KEY_STRING);

    if (!to || to->fault || (to->done ? to->error != NULL : to->broken)) {
        return NULL;
    }
    APR_ARRAY_PUSH(op->relies_on, operation *) = to;
    return to;
}

/* value is of a copy of the operation's data, changed in place.  What is no
 * bulkId of this job may be any text, but where an id is to stand. */
static const scim_error *replace_string(job *j, operation *op, const char *name, json_t *value)
{
    const char *text = json_string_value(value);
    const char *reference = find_reference(text);
    const char *bulk_id = reference ? reference + REFERENCE_LEN : NULL;
    char id[SCIM_ID_TEXT + 1];
    operation *to;

    if (!reference ||
        (!takes_id(name) && !apr_hash_get(j->by_bulk_id, bulk_id, APR_HASH_KEY_STRING))) {
        return NULL;
    }
    to = resolve(j, op, bulk_id);
    if (!to) {
        return unresolved(j, bulk_id);
    }
    text = apr_pstrcat(j->scratch,
                       apr_pstrmemdup(j->scratch, text, (apr_size_t)(reference - text)),
                       scim_id_format(&to->promised, id), NULL);
    scim_json_rewrite(value, text, strlen(text));
    return NULL;
}

/* name is that of the member which value is of, or an element of. */
static const scim_error *replace_in(job *j, operation *op, const char *name, json_t *value)
{
    const char *key;
    json_t *part;
    size_t i;

    json_object_foreach (value, key, part) {
        SCIM_ERR(replace_in(j, op, key, part));
    }
    json_array_foreach (value, i, part) {
        SCIM_ERR(replace_in(j, op, name, part));
    }
    return json_is_string(value) ? replace_string(j, op, name, value) : NULL;
}

static const scim_error *resolved_data(json_t **out, job *j, operation *op)
{
    *out = scim_json_adopt_secret(scim_json_deep_copy(op->data), j->op_pool);
    return replace_in(j, op, "", *out);
}

/* The id in the path.  A resource that is created later in the job cannot be
 * changed yet. */
static const scim_error *resolved_id(scim_id *out, job *j, operation *op)
{
    const char *id = op->target.id;
    const char *bulk_id = find_reference(id);
    operation *to;

    if (!bulk_id) {
        return scim_call_parse_id(out, op->target.type, id, j->scratch);
    }
    bulk_id += REFERENCE_LEN;
    to = resolve(j, op, bulk_id);
    if (!to) {
        return unresolved(j, bulk_id);
    }
    if (!to->done) {
        return scim_error_make(j->scratch, SCIM_E_INVALID_VALUE,
                               REFERENCE "%s: this operation must stand behind the one that "
                                         "creates the resource",
                               scim_call_shown(bulk_id, j->scratch));
    }
    *out = to->promised;
    return NULL;
}

/* Running */

static void note_location(job *j, operation *op, const scim_id *id)
{
    op->location = scim_render_location(j->call->base_url, op->target.type, id, j->scratch);
}

static void note_change(job *j, operation *op, const scim_change *change)
{
    note_location(j, op, &change->record.id);
    op->version_out = scim_etag_make(change->record.version, j->scratch);
}

static const scim_error *run_create(job *j, operation *op)
{
    const scim_call *call = j->call;
    const scim_resource_type *type = op->target.type;
    bool lenient = call->wire->lenient;
    scim_change change;
    scim_draft draft;
    json_t *data;

    SCIM_ERR(resolved_data(&data, j, op));
    SCIM_ERR(scim_interop_resource(&data, data, type, lenient, j->op_pool));
    SCIM_ERR(scim_validate_resource(&draft, data, NULL, type, lenient, j->op_pool));
    SCIM_ERR(scim_batch_create(&change, j->batch, &call->identity->tenant, &draft,
                               &op->promised, lenient, call->now, j->op_pool));
    note_change(j, op, &change);
    scim_reply_committed(&j->committed, SCIM_EVENT_CREATE, op->target.op, &change, j->pool);
    op->status = 201;
    return NULL;
}

static const scim_error *run_change(job *j, operation *op, const scim_id *id)
{
    const scim_call *call = j->call;
    scim_precondition precondition = {.if_match = op->version};
    scim_change_body body = {.type = op->target.type,
                             .lenient = call->wire->lenient,
                             .patch_body = op->method == SCIM_PATCH,
                             .pool = j->op_pool};
    scim_change change;

    SCIM_ERR(scim_call_check_if_match(call, op->version, j->scratch));
    SCIM_ERR(resolved_data(&body.message, j, op));
    SCIM_ERR(scim_batch_change(&change, j->batch, &call->identity->tenant, op->target.type, id,
                               &precondition, scim_change_draft, &body, call->wire->lenient,
                               call->now, j->op_pool));
    note_change(j, op, &change);
    scim_reply_committed(&j->committed, SCIM_EVENT_CHANGE, op->target.op, &change, j->pool);
    op->status = 200;
    return NULL;
}

static const scim_error *run_delete(job *j, operation *op, const scim_id *id)
{
    const scim_call *call = j->call;
    scim_precondition precondition = {.if_match = op->version};
    scim_event event = {
        .kind = SCIM_EVENT_DELETE, .op = op->target.op, .type = op->target.type, .id = *id};
    scim_deletion deletion;

    SCIM_ERR(scim_call_check_if_match(call, op->version, j->scratch));
    SCIM_ERR(scim_batch_delete(&deletion, j->batch, &call->identity->tenant, op->target.type,
                               id, &precondition, call->now, j->op_pool));
    scim_reply_event(&j->committed, &event, j->pool);
    scim_reply_consequences(&j->committed, deletion.consequences, j->pool);
    op->status = 204;
    return NULL;
}

static const scim_error *run_one(job *j, operation *op)
{
    scim_id id;

    if (op->method != SCIM_POST && op->path) {
        /* Told of what failed as well, as far as it was named. */
        op->location = apr_pstrcat(j->scratch, j->call->base_url, op->path, NULL);
    }
    SCIM_ERR(op->fault);
    if (op->method == SCIM_POST) {
        return run_create(j, op);
    }
    SCIM_ERR(resolved_id(&id, j, op));
    note_location(j, op, &id);
    return op->method == SCIM_DELETE ? run_delete(j, op, &id) : run_change(j, op, &id);
}

/* What an operation needed goes with it, but its answer: a job may have many,
 * of large resources. */
static const scim_error *run_operation(job *j, operation *op)
{
    const scim_error *err;

    apr_pool_create(&j->op_pool, j->scratch);
    err = run_one(j, op);
    if (!err || !err->cause) {
        err = err ? scim_error_at(j->scratch, err, "") : NULL;
        apr_pool_destroy(j->op_pool);
    }
    return err;
}

static const scim_error *prepare_run(job *j)
{
    int i;

    j->committed.events = NULL;
    for (i = 0; i < j->count; i++) {
        operation *op = &j->operations[i];

        op->done = op->doomed = false;
        op->error = NULL;
        op->location = op->version_out = NULL;
        op->relies_on = apr_array_make(j->scratch, 2, sizeof(operation *));
        op->broken = op->broken || j->runs > RUNS_MAX;
        if (op->method == SCIM_POST && !op->fault) {
            SCIM_ERR(scim_batch_promise(&op->promised, j->batch, &j->call->identity->tenant,
                                        op->target.type, j->call->now));
        }
    }
    return NULL;
}

/* A fault of the store is none of the operation's: it ends the job. */
static const scim_error *run_all(job *j)
{
    json_int_t errors = 0;
    int i;

    for (i = 0; i < j->count; i++) {
        operation *op = &j->operations[i];

        op->error = run_operation(j, op);
        op->done = true;
        if (!op->error) {
            continue;
        }
        if (op->error->cause) {
            return op->error;
        }
        op->status = op->error->status;
        if (op->method == SCIM_POST && !op->fault) {
            scim_batch_take_back(j->batch, &op->promised);
        }
        if (++errors == j->fail_on_errors) {
            break;
        }
    }
    return NULL;
}

static bool relies_on_doomed(const operation *op)
{
    int r;

    for (r = 0; r < op->relies_on->nelts; r++) {
        if (APR_ARRAY_IDX(op->relies_on, r, operation *)->doomed) {
            return true;
        }
    }
    return false;
}

/* Dooms what relies on what is doomed, and so on. */
static void spread_doom(job *j)
{
    bool more = true;
    int i;

    while (more) {
        more = false;
        for (i = j->count - 1; i >= 0; i--) {
            operation *op = &j->operations[i];

            if (!op->doomed && (!op->done || op->error || relies_on_doomed(op))) {
                op->doomed = more = true;
            }
        }
    }
}

/* Whether an operation that succeeded relied on one that did not.  All that
 * cannot be relied on in another run is marked at once: of a long chain, each
 * run would find but the last link. */
static bool find_broken(job *j)
{
    bool found = false;
    int i, r;

    spread_doom(j);
    for (i = 0; i < j->count; i++) {
        const operation *op = &j->operations[i];

        for (r = 0; op->done && !op->error && r < op->relies_on->nelts; r++) {
            operation *to = APR_ARRAY_IDX(op->relies_on, r, operation *);

            if (to->doomed) {
                to->broken = found = true;
            }
        }
    }
    return found;
}

static const scim_error *run_in_batch(scim_batch *batch, void *baton)
{
    job *j = baton;

    j->batch = batch;
    SCIM_ERR(prepare_run(j));
    SCIM_ERR(run_all(j));
    j->again = find_broken(j);
    return j->again ? scim_error_make(j->scratch, SCIM_E_INTERNAL, "the job is run again")
                    : NULL;
}

static const scim_error *run_job(job *j)
{
    const scim_error *err;

    do {
        apr_pool_clear(j->scratch);
        j->runs++;
        j->again = false;
        err = scim_store_batch(j->call->store, run_in_batch, j, j->scratch);
    } while (j->again);
    return err;
}

/* Answering */

static json_t *result_of(const job *j, const operation *op)
{
    json_t *out = scim_json_object();

    if (op->location) {
        scim_json_set(out, "location", scim_json_text(op->location));
    }
    if (op->method_name) {
        scim_json_set(out, "method", scim_json_text(op->method_name));
    }
    if (op->bulk_id) {
        scim_json_set(out, "bulkId", scim_json_text(op->bulk_id));
    }
    if (op->version_out) {
        scim_json_set(out, "version", scim_json_text(op->version_out));
    }
    scim_json_set(out, "status", scim_json_text(apr_itoa(j->scratch, op->status)));
    if (op->error) {
        apr_size_t len;
        const char *body = scim_error_body(op->error, &len, j->scratch);

        scim_json_set(out, "response", json_incref(scim_json_read_own(body, len, j->scratch)));
    }
    return out;
}

static void answer(scim_reply *reply, const job *j)
{
    json_t *results = scim_json_array(), *message;
    int i, done = 0;

    for (i = 0; i < j->count && j->operations[i].done; i++) {
        scim_json_append(results, result_of(j, &j->operations[i]));
        done++;
    }
    message = scim_json_pack("{s:[s],s:o}", "schemas", URN_RESPONSE, "Operations", results);
    scim_reply_json(reply, scim_json_adopt(message, j->pool), j->pool);
    reply->count = done;
}

const scim_error *scim_handle_bulk(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    job j = {.call = call, .pool = pool};
    json_t *message;

    if (!call->wire->bulk_operations) {
        return scim_error_make(pool, SCIM_E_NOT_IMPLEMENTED,
                               "Bulk requests are switched off here; send each operation as a "
                               "request of its own");
    }
    SCIM_ERR(scim_call_body(&message, call, pool));
    SCIM_ERR(read_job(&j, message));
    apr_pool_create(&j.scratch, pool);
    SCIM_ERR(run_job(&j));
    reply->events = j.committed.events;
    answer(reply, &j);
    apr_pool_destroy(j.scratch);
    return NULL;
}
