/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl import: users and groups from a file, by all the rules of a POST.
 *
 * What is refused is told, with its line and the detail that a POST would be answered
 * with, and the rest goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "import.h"

#define BLOCK (64 << 10)

/* Reading the file */

int ctl_import_fill(import_input *in)
{
    ssize_t n;

    do {
        n = read(in->fd, in->block, BLOCK);
    } while (n < 0 && errno == EINTR);
    in->failed = n < 0 ? errno : 0;
    in->at = 0;
    in->len = n > 0 ? (size_t)n : 0;
    return in->len ? in->block[in->at++] : -1;
}

static apr_uint64_t size_of(int fd)
{
    struct stat info;

    return !fstat(fd, &info) && S_ISREG(info.st_mode) ? (apr_uint64_t)info.st_size : 0;
}

static ctl_exit cannot_open(const char *path)
{
    ctl_complain("cannot open %s: %s", path, strerror(errno));
    return errno == ENOENT ? CTL_NOT_FOUND : CTL_FAILED;
}

/* Before the privileges go, as the shell would have opened them. */
ctl_exit ctl_open_import(ctl *c)
{
    const char *errors = c->options[CTL_ERRORS];

    c->input = STDIN_FILENO;
    if (strcmp(c->operand, "-")) {
        c->input = open(c->operand, O_RDONLY | O_CLOEXEC);
    }
    if (c->input < 0) {
        return cannot_open(c->operand);
    }
    c->errors = STDERR_FILENO;
    if (errors) {
        c->errors = open(errors, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    return c->errors < 0 ? cannot_open(errors) : CTL_OK;
}

/* Telling */

/* The file may hold anything, and the terminal is not to be steered by it: neither by C0
 * nor by C1, which are two bytes. */
static const char *shown(const char *text, apr_pool_t *pool)
{
    unsigned char *copy = (unsigned char *)apr_pstrdup(pool, text), *at;

    for (at = copy; *at; at++) {
        if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && (at[1] & 0xe0) == 0x80)) {
            *at = '?';
        }
    }
    return (const char *)copy;
}

static void tell_error(import *im, apr_uint64_t line, const scim_error *error)
{
    apr_pool_t *pool;
    char *text;
    json_t *json;

    apr_pool_create(&pool, im->c->pool);
    ctl_wipe_progress(&im->progress);
    if (im->c->json) {
        json = scim_json_pack("{s:I, s:i, s:s?, s:o}", "line", (json_int_t)line, "status",
                              error->status, "scimType", error->scim_type, "detail",
                              scim_json_log_text(error->detail, 1024, pool));
        text = scim_json_dumps(json, JSON_COMPACT);
        fprintf(im->errors, "%s\n", text);
        free(text);
        json_decref(json);
    } else {
        fprintf(im->errors, "line %" APR_UINT64_T_FMT ": %s\n", line,
                shown(error->detail, pool));
    }
    apr_pool_destroy(pool);
}

void ctl_import_refuse(import *im, apr_uint64_t line, const scim_error *error)
{
    im->sums.refused++;
    tell_error(im, line, error);
}

void ctl_import_lose(import *im, apr_uint64_t line, const scim_error *error)
{
    im->sums.lost++;
    tell_error(im, line, error);
}

static void print_sum(const char *format, apr_uint64_t count)
{
    if (count) {
        printf("  %10" APR_UINT64_T_FMT "  %s\n", count, format);
    }
}

static void tell_sums(const import *im)
{
    const import_sums *s = &im->sums;

    if (im->c->json) {
        ctl_print_json(scim_json_pack(
            "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tenant",
            im->tenant_name, "dryRun", im->dry_run, "read", (json_int_t)s->lines, "users",
            (json_int_t)s->users, "groups", (json_int_t)s->groups, "created",
            (json_int_t)s->created, "replaced", (json_int_t)s->updated, "unchanged",
            (json_int_t)s->unchanged, "skipped", (json_int_t)s->skipped, "refused",
            (json_int_t)s->refused, "linked", (json_int_t)s->links, "unknown",
            (json_int_t)s->lost, "passwordsDropped", (json_int_t)s->passwords));
        return;
    }
    printf("%" APR_UINT64_T_FMT " read: %" APR_UINT64_T_FMT " user%s and %" APR_UINT64_T_FMT
           " group%s%s\n",
           s->lines, s->users, s->users == 1 ? "" : "s", s->groups, s->groups == 1 ? "" : "s",
           im->dry_run ? "; nothing is done (--dry-run), but would be:" : "");
    print_sum("created", s->created);
    print_sum("replaced", s->updated);
    print_sum("there already, and the same", s->unchanged);
    print_sum("there already, and left as they are (--update replaces them)", s->skipped);
    print_sum("refused", s->refused);
    print_sum("members and managers set", s->links);
    print_sum("members and managers that are not known here", s->lost);
    print_sum("passwords dropped: SCIMPasswordSync is Off", s->passwords);
}

/* The command line */

static ctl_exit check_options(const ctl *c)
{
    if (!c->options[CTL_TENANT]) {
        ctl_complain("import needs --tenant; scimctl tenant list shows the tenants");
        return CTL_USAGE;
    }
    if (c->maps->nelts && !c->options[CTL_CSV]) {
        ctl_complain("--map is for --csv");
        return CTL_USAGE;
    }
    return CTL_OK;
}

static const scim_error *look(scim_view *view, void *baton)
{
    import *im = baton;
    bool complete;

    SCIM_ERR(scim_tenant_find(&im->tenant, view, im->tenant_name));
    SCIM_ERR(scim_store_complete(&complete, view));
    if (!complete && im->update) {
        return scim_error_make(
            view->pool, SCIM_E_INVALID_VALUE,
            "The store has attributes of the organisation's own, which scimctl "
            "does not know, and which --update would take from those who have "
            "them; import without it, or send PUT to the endpoint");
    }
    return NULL;
}

/* Running */

static bool load_all(import *im, import_csv *csv)
{
    import_load *load = ctl_import_load_make(im);
    import_entry entry;

    while (csv ? ctl_import_csv(&entry, csv, im, ctl_import_load_pool(load))
               : ctl_import_json(&entry, im, ctl_import_load_pool(load))) {
        if (!ctl_import_load(load, &entry)) {
            return false;
        }
        ctl_show_progress(&im->progress, im->input.done, im->input.size);
    }
    return !im->fatal && ctl_import_load(load, NULL);
}

static ctl_exit end_errors(import *im)
{
    int err;

    if (im->errors == stderr) {
        return CTL_OK;
    }
    /* What could not be written before is not written by closing it. */
    err = ferror(im->errors) ? EIO : 0;
    err = fclose(im->errors) ? errno : err;
    if (err) {
        ctl_complain("cannot write %s: %s", im->c->options[CTL_ERRORS], strerror(err));
        return CTL_FAILED;
    }
    return CTL_OK;
}

static ctl_exit run(import *im, import_csv *csv)
{
    bool ok = load_all(im, csv) && ctl_import_link(im);
    ctl_exit code = CTL_OK;

    ctl_wipe_progress(&im->progress);
    tell_sums(im);
    if (!ok) {
        code = ctl_failed(im->fatal);
        ctl_complain("it ended before its time; what is told above is done, and the same with "
                     "--update does the rest");
    } else if (im->input.failed) {
        ctl_complain("cannot read %s: %s", im->c->operand, strerror(im->input.failed));
        code = CTL_FAILED;
    } else if (im->sums.refused || im->sums.lost) {
        code = CTL_REFUSED;
    }
    return end_errors(im) == CTL_OK ? code : CTL_FAILED;
}

ctl_exit ctl_import(ctl *c)
{
    struct import im = {.c = c,
                        .tenant_name = c->options[CTL_TENANT],
                        .dry_run = c->options[CTL_DRY_RUN],
                        .update = c->options[CTL_UPDATE],
                        .keep_ids = c->options[CTL_KEEP_IDS],
                        .progress = {-1}};
    import_csv *csv = NULL;
    const scim_error *err;
    ctl_exit code = check_options(c);

    if (code != CTL_OK) {
        return code;
    }
    im.registry = scim_store_registry(c->store);
    im.input = (import_input){.fd = c->input, .line = 1, .size = size_of(c->input)};
    im.input.block = apr_palloc(c->pool, BLOCK);
    im.names = ctl_import_names_make(c->pool);
    im.strangers = apr_hash_make(c->pool);
    im.errors = c->errors == STDERR_FILENO ? stderr : fdopen(c->errors, "w");
    err = scim_store_view(c->store, look, &im, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    if (c->options[CTL_CSV]) {
        code = ctl_import_csv_begin(&csv, &im);
    }
    return code == CTL_OK ? run(&im, csv) : code;
}
