/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log of scimctl's own acts: one line of JSON for each, of the kind
 * that httpd writes for the changes of identity providers (SCIMAuditLog), so
 * that both may stand in one file.
 *
 * The file is opened by whoever runs the command, before the privileges go: it
 * is root's, and not the store's owner's to change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_user.h>

#include "scim/json.h"
#include "scim/resource.h"
#include "scim/time.h"

#include "ctl.h"

typedef struct ctl_audit_log {
    const char *path;
    const char *user; /* who runs this */
    int fd;
} ctl_audit_log;

/* sudo says who called it; a user who is not root could say anything. */
static const char *invoking_user(apr_pool_t *pool)
{
    const char *caller = getuid() == 0 ? getenv("SUDO_USER") : NULL;
    char *name;

    if (caller && *caller) {
        return caller;
    }
    return apr_uid_name_get(&name, getuid(), pool) == APR_SUCCESS
               ? name
               : apr_psprintf(pool, "uid %lu", (unsigned long)getuid());
}

static const char *wanted_path(const ctl *c)
{
    const char *path = c->options[CTL_AUDIT_LOG];

    if (!path) {
        path = getenv("SCIM_AUDIT_LOG");
    }
    return path && *path ? path : NULL;
}

/* Not through a link, which may have been put there to have root write into
 * another file; and not into a pipe, which may have no reader. */
static bool open_file(ctl_audit_log *log)
{
    struct stat info;

    log->fd = open(log->path,
                   O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
    if (log->fd < 0) {
        ctl_complain("cannot open the audit log %s: %s; nothing was done", log->path,
                     errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        return false;
    }
    if (fstat(log->fd, &info) || !S_ISREG(info.st_mode)) {
        ctl_complain("the audit log %s is no plain file; nothing was done", log->path);
        close(log->fd);
        return false;
    }
    return true;
}

ctl_exit ctl_audit_open(ctl *c)
{
    ctl_need needs = c->command->needs;
    ctl_audit_log *log;
    const char *path = wanted_path(c);

    if (!path || (needs != CTL_WRITE && needs != CTL_LOAD && needs != CTL_REBUILD &&
                  needs != CTL_CREATE && needs != CTL_RESTORE && needs != CTL_MOVE &&
                  needs != CTL_EXAMINE)) {
        return CTL_OK;
    }
    log = apr_pcalloc(c->pool, sizeof(*log));
    log->path = path;
    log->user = invoking_user(c->pool);
    if (!open_file(log)) {
        return CTL_FAILED;
    }
    c->audit_log = log;
    return CTL_OK;
}

/* Of what came from the command line and the system: keeps a line short. */
#define TEXT_MAX 256

static json_t *text_of(const char *text, const ctl *c)
{
    return scim_json_log_text(text, TEXT_MAX, c->pool);
}

/* What each line begins with. */
static json_t *line_of(const ctl *c, const char *op, const char *tenant, const char *connection)
{
    char now[SCIM_TIME_LEN + 1];

    return scim_json_pack("{s:s, s:o, s:o, s:s, s:o, s:s}", "time",
                          scim_time_format(apr_time_now(), now), "tenant", text_of(tenant, c),
                          "connection", text_of(connection, c), "client", "scimctl", "user",
                          text_of(c->audit_log->user, c), "op", op);
}

/* One write, so that lines of several writers do not mix. */
static bool write_text(int fd, const char *text, size_t len)
{
    ssize_t n;

    do {
        n = write(fd, text, len);
    } while (n < 0 && errno == EINTR);
    if (n >= 0 && (size_t)n < len) {
        errno = ENOSPC;
    }
    return n >= 0 && (size_t)n == len;
}

/* Takes line over. */
static void add_line(ctl *c, json_t *line)
{
    char *text = scim_json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t len = strlen(text);

    text[len] = '\n'; /* in place of the NUL: nobody needs that */
    if (!write_text(c->audit_log->fd, text, len + 1)) {
        ctl_complain("it is done, but the audit log %s could not be written: %s",
                     c->audit_log->path, strerror(errno));
    }
    free(text);
    json_decref(line);
}

void ctl_audit(ctl *c, const char *op, const char *tenant, const char *connection,
               const char *hint)
{
    json_t *line;

    if (!c->audit_log) {
        return;
    }
    line = line_of(c, op, tenant, connection);
    if (hint) {
        scim_json_set(line, "hint", text_of(hint, c));
    }
    add_line(c, line);
}

/* "users.delete", as httpd has it. */
static const char *op_of(const scim_resource_type *type, const char *verb, apr_pool_t *pool)
{
    char *name = apr_pstrcat(pool, type->endpoint + 1, ".", verb, NULL);
    char *at;

    for (at = name; *at; at++) {
        *at = (char)apr_tolower(*at);
    }
    return name;
}

void ctl_audit_deletion(ctl *c, const char *tenant, const scim_resource_type *type,
                        const scim_id *id)
{
    char text[SCIM_ID_TEXT + 1];
    json_t *line;

    if (!c->audit_log) {
        return;
    }
    line = line_of(c, op_of(type, "delete", c->pool), tenant, NULL);
    scim_json_set(line, "type", text_of(type->name, c));
    scim_json_set(line, "id", scim_json_text(scim_id_format(id, text)));
    add_line(c, line);
}

static void audit_consequence(ctl *c, const scim_consequence *consequence)
{
    json_t *line =
        line_of(c, op_of(consequence->type, consequence->deleted ? "delete" : "patch", c->pool),
                consequence->tenant, NULL);
    char id[SCIM_ID_TEXT + 1];

    scim_json_set(line, "type", text_of(consequence->type->name, c));
    scim_json_set(line, "id", scim_json_text(scim_id_format(&consequence->id, id)));
    if (!consequence->deleted) {
        scim_json_set(line, "version", scim_json_integer((json_int_t)consequence->version));
        scim_json_set(line, "changed", scim_json_pack("[s]", "active"));
    }
    scim_json_set(line, "cause", scim_json_text(scim_id_format(&consequence->group, id)));
    add_line(c, line);
}

void ctl_audit_consequences(ctl *c, const apr_array_header_t *consequences)
{
    int i;

    for (i = 0; c->audit_log && i < consequences->nelts; i++) {
        audit_consequence(c, &APR_ARRAY_IDX(consequences, i, scim_consequence));
    }
}

static json_t *names_of(const scim_change *change)
{
    json_t *names = scim_json_array();
    int i;

    for (i = 0; i < change->names->nelts; i++) {
        scim_json_append(names, scim_json_text(APR_ARRAY_IDX(change->names, i, const char *)));
    }
    return names;
}

void ctl_audit_change(ctl *c, const char *verb, const char *tenant, const scim_change *change)
{
    const scim_record *record = &change->record;
    char id[SCIM_ID_TEXT + 1];
    apr_pool_t *pool;
    json_t *line;

    if (!c->audit_log) {
        return;
    }
    apr_pool_create(&pool, c->pool);
    line = line_of(c, op_of(record->type, verb, pool), tenant, NULL);
    scim_json_set(line, "type", text_of(record->type->name, c));
    scim_json_set(line, "id", scim_json_text(scim_id_format(&record->id, id)));
    scim_json_set(line, "version", scim_json_integer((json_int_t)record->version));
    scim_json_set(line, "changed", names_of(change));
    add_line(c, line);
    apr_pool_destroy(pool);
}
