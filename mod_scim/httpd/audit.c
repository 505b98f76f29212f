/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was committed: a line of the audit log for each change, and the hook for
 * other modules.
 *
 * The log is opened as httpd opens its own: by root, before the children are
 * made, which write to what they inherit.  Nothing is locked: O_APPEND, and for
 * a pipe PIPE_BUF, keep the lines of all processes whole, as long as each goes
 * out in one write.  A change is durable before its line is written, so a crash
 * in between leaves a change without a line, never a line without its change.
 */
#include "mod_scim.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <http_core.h>
#include <jansson.h>

#include "scim/buffer.h"
#include "scim/json.h"
#include "scim/time.h"

#include <mod_scim.h>

APLOG_USE_MODULE(scim);

/* With its line end; no more than what POSIX writes to a pipe in one piece. */
#define LINE_MAX_BYTES 4095
/* Of each text that a line holds beside the names.  One byte may become six
 * ("\u0001"); all of them together stay below a line. */
#define TEXT_MAX 96
/* Pure ASCII: no terminal and no line reader finds anything to act upon. */
#define LINE_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII)

struct scim_audit {
    const char *name; /* as configured */
    apr_file_t *file;
    bool pipe;
};

APR_IMPLEMENT_OPTIONAL_HOOK_RUN_ALL(scim, SCIM, int, scim_committed,
                                    (request_rec * r, const scim_committed *change),
                                    (r, change), OK, DECLINED)

/* Opening */

static apr_status_t open_program(scim_audit *audit, apr_pool_t *pconf)
{
    piped_log *log = ap_open_piped_log(pconf, audit->name + 1);

    audit->pipe = true;
    audit->file = log ? ap_piped_log_write_fd(log) : NULL;
    return log ? APR_SUCCESS : APR_EGENERAL;
}

/* The same rights as mod_log_config's files have. */
static apr_status_t open_file(scim_audit *audit, const char *path, apr_pool_t *pconf)
{
    return apr_file_open(
        &audit->file, path,
        APR_FOPEN_WRITE | APR_FOPEN_APPEND | APR_FOPEN_CREATE | APR_FOPEN_LARGEFILE,
        APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_GREAD | APR_FPROT_WREAD, pconf);
}

/* opened: what is open already, by path or program.  NULL: told why not. */
static scim_audit *open_audit(server_rec *s, const char *name, apr_hash_t *opened,
                              apr_pool_t *pconf)
{
    const char *key = *name == '|' ? name : ap_server_root_relative(pconf, name);
    scim_audit *audit = key ? apr_hash_get(opened, key, APR_HASH_KEY_STRING) : NULL;
    apr_status_t rv = APR_EBADPATH;

    if (audit) {
        return audit;
    }
    audit = apr_pcalloc(pconf, sizeof(*audit));
    audit->name = name;
    if (key) {
        rv = *name == '|' ? open_program(audit, pconf) : open_file(audit, key, pconf);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv == APR_EGENERAL ? 0 : rv, s,
                     SCIMLOG(1601) "SCIMAuditLog %s: cannot %s %s; the server does not run "
                                   "without its audit log",
                     name, *name == '|' ? "start" : "open",
                     *name == '|' ? "the program"
                     : key        ? key
                                  : "it");
        return NULL;
    }
    apr_hash_set(opened, key, APR_HASH_KEY_STRING, audit);
    return audit;
}

static bool serves(const scim_server_config *conf)
{
    int i;

    for (i = 0; conf->store_url && i < conf->endpoints->nelts; i++) {
        if (APR_ARRAY_IDX(conf->endpoints, i, scim_endpoint).conf->engine == 1) {
            return true;
        }
    }
    return false;
}

static const scim_audit *audit_of(const server_rec *s, const char *store_url)
{
    for (; s; s = s->next) {
        const scim_server_config *conf = mod_scim_server(s);

        if (conf->audit && conf->store_url && !strcmp(conf->store_url, store_url)) {
            return conf->audit;
        }
    }
    return NULL;
}

/* What a large group's deletion leaves is done by whoever writes next: on a
 * server without the log, nobody would be told. */
static void warn_of_silent(const server_rec *first)
{
    const server_rec *s;

    for (s = first; s; s = s->next) {
        const scim_server_config *conf = mod_scim_server(s);
        const scim_audit *other =
            !conf->audit && serves(conf) ? audit_of(first, conf->store_url) : NULL;

        if (other) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         SCIMLOG(1603) "SCIMAuditLog %s: another server has endpoints of the "
                                       "same store and no SCIMAuditLog, so what is changed "
                                       "there stands in no log: set it once, at server level",
                         other->name);
        }
    }
}

int mod_scim_open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_hash_t *opened = apr_hash_make(ptemp);
    const server_rec *first = s;

    for (; s; s = s->next) {
        scim_server_config *conf = mod_scim_server(s);

        if (conf->audit_log) {
            conf->audit = open_audit(s, conf->audit_log, opened, pconf);
            if (!conf->audit) {
                return HTTP_INTERNAL_SERVER_ERROR;
            }
        }
    }
    /* Of the two readings at start the first is for its faults. */
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        warn_of_silent(first);
    }
    return OK;
}

/* Lines */

static void put(json_t *line, const char *name, const char *text, apr_pool_t *pool)
{
    if (text) {
        scim_json_set(line, name, scim_json_log_text(text, TEXT_MAX, pool));
    }
}

static void put_id(json_t *line, const char *name, const scim_id *id)
{
    char text[SCIM_ID_TEXT + 1];

    scim_json_set(line, name, scim_json_text(scim_id_format(id, text)));
}

static void put_names(json_t *line, const apr_array_header_t *names, apr_pool_t *pool)
{
    json_t *changed = scim_json_array();
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        scim_json_append(changed, scim_json_log_text(name, LINE_MAX_BYTES, pool));
    }
    scim_json_set(line, "changed", changed);
}

static const char *request_id(const request_rec *r)
{
    const char *id = apr_table_get(r->subprocess_env, "UNIQUE_ID"); /* of mod_unique_id */

    return id ? id : r->log_id;
}

static const char *tenant_of(const scim_event *event, const scim_identity *who)
{
    return event->tenant ? event->tenant : who->tenant.name;
}

/* Who swept what was left in another tenant is not who deleted the group:
 * nobody is named. */
static const char *connection_of(const scim_event *event, const scim_identity *who)
{
    return strcmp(tenant_of(event, who), who->tenant.name) ? NULL : who->connection;
}

static json_t *json_of(const request_rec *r, const scim_identity *who, const scim_event *event,
                       int status, apr_pool_t *pool)
{
    json_t *line = scim_json_object();
    char now[SCIM_TIME_LEN + 1];

    put(line, "time", scim_time_format(apr_time_now(), now), pool);
    put(line, "tenant", tenant_of(event, who), pool);
    put(line, "connection", connection_of(event, who), pool);
    put(line, "client", connection_of(event, who) ? r->useragent_ip : NULL, pool);
    put(line, "request", request_id(r), pool);
    put(line, "op", event->op, pool);
    put(line, "type", event->type->name, pool);
    put_id(line, "id", &event->id);
    if (event->kind != SCIM_EVENT_DELETE) {
        scim_json_set(line, "version", scim_json_integer((json_int_t)event->version));
    }
    if (event->names) {
        put_names(line, event->names, pool);
    }
    if (event->cause) {
        put_id(line, "cause", event->cause);
    }
    scim_json_set(line, "status", scim_json_integer(status));
    return line;
}

/* Drops so many names from the end that about "over" bytes are saved. */
static void drop_names(json_t *names, size_t over)
{
    size_t saved = 0, n = json_array_size(names);

    while (n && saved < over) {
        n--;
        saved += json_string_length(json_array_get(names, n)) + 3;
        json_array_remove(names, n);
    }
}

static void add_line(scim_buffer *out, json_t *line)
{
    const size_t room = LINE_MAX_BYTES - 1;
    json_t *names = json_object_get(line, "changed");
    char text[LINE_MAX_BYTES];
    size_t len;

    while ((len = scim_json_dumpb(line, text, room, LINE_FLAGS)) > room &&
           json_array_size(names)) {
        scim_json_set(line, "truncated", json_true());
        drop_names(names, len - room);
    }
    /* It always fits by now: each of the other texts has TEXT_MAX bytes at most. */
    if (len <= room) {
        text[len] = '\n';
        scim_buffer_add(out, text, len + 1);
    }
}

/* Writing */

static apr_status_t flush(const scim_audit *audit, scim_buffer *lines)
{
    apr_size_t written = lines->len;
    apr_status_t rv = apr_file_write(audit->file, lines->data, &written);

    if (rv == APR_SUCCESS && written < lines->len) {
        rv = APR_ENOSPC;
    }
    lines->len = 0;
    return rv;
}

/* The lines of a job go together; into a pipe, as many as it takes in one piece. */
static apr_status_t write_lines(const scim_audit *audit, const request_rec *r,
                                const scim_identity *who, const scim_reply *reply,
                                apr_pool_t *pool)
{
    scim_buffer *lines = scim_buffer_make(512, pool);
    scim_buffer *line = scim_buffer_make(512, pool);
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i < reply->events->nelts && rv == APR_SUCCESS; i++) {
        const scim_event *event = &APR_ARRAY_IDX(reply->events, i, scim_event);
        json_t *json = json_of(r, who, event, reply->status, pool);

        line->len = 0;
        add_line(line, json);
        json_decref(json);
        if (audit->pipe && lines->len && lines->len + line->len > LINE_MAX_BYTES) {
            rv = flush(audit, lines);
        }
        scim_buffer_add(lines, line->data, line->len);
    }
    return rv == APR_SUCCESS ? flush(audit, lines) : rv;
}

static void tell_modules(request_rec *r, const scim_identity *who, const scim_event *event)
{
    scim_committed change = {.tenant = tenant_of(event, who),
                             .connection = connection_of(event, who),
                             .operation = event->op,
                             .resource_type = event->type->name,
                             .version = event->version,
                             .names = event->names};
    char id[SCIM_ID_TEXT + 1], cause[SCIM_ID_TEXT + 1];

    change.id = scim_id_format(&event->id, id);
    if (event->cause) {
        change.cause = scim_id_format(event->cause, cause);
    }
    scim_run_scim_committed(r, &change);
}

/* As scimctl has it, and who it was. */
void mod_scim_audit_act(request_rec *r, const char *op, const char *tenant,
                        const char *connection, const char *hint)
{
    const scim_audit *audit = mod_scim_server(r->server)->audit;
    scim_buffer *line = scim_buffer_make(512, r->pool);
    char now[SCIM_TIME_LEN + 1];
    apr_status_t rv;
    json_t *json;

    if (!audit) {
        return;
    }
    json = scim_json_object();
    put(json, "time", scim_time_format(apr_time_now(), now), r->pool);
    put(json, "tenant", tenant, r->pool);
    put(json, "connection", connection, r->pool);
    put(json, "client", r->useragent_ip, r->pool);
    put(json, "user", r->user, r->pool);
    put(json, "request", request_id(r), r->pool);
    put(json, "op", op, r->pool);
    put(json, "hint", hint, r->pool);
    add_line(line, json);
    json_decref(json);
    rv = flush(audit, line);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(
            APLOG_MARK, APLOG_ERR, rv, r,
            SCIMLOG(1805) "SCIMAuditLog %s: cannot write that %s did %s for connection "
                          "%s of tenant %s",
            audit->name, r->user, op, connection, tenant);
    }
}

void mod_scim_audit(request_rec *r, const scim_state *state, const scim_reply *reply,
                    apr_pool_t *scratch_pool)
{
    const scim_audit *audit = mod_scim_server(r->server)->audit;
    const scim_identity *who = state->identity;
    apr_status_t rv;
    int i;

    if (!reply->events || !who) {
        return;
    }
    rv = audit ? write_lines(audit, r, who, reply, scratch_pool) : APR_SUCCESS;
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                      SCIMLOG(1602) "SCIMAuditLog %s: cannot write; not all that this request "
                                    "changed is there (%s by connection %s of tenant %s, "
                                    "changes: %d)",
                      audit->name, state->target.op, who->connection, who->tenant.name,
                      reply->events->nelts);
    }
    for (i = 0; i < reply->events->nelts; i++) {
        tell_modules(r, who, &APR_ARRAY_IDX(reply->events, i, scim_event));
    }
}
