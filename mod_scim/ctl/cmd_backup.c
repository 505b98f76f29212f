/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl backup, restore, compact: the store as a whole, out of one place and
 * into another.  Whatever happens on the way, at each moment there is the whole old
 * one or the whole new one under its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_strings.h>

#include "scim/backup.h"

#include "ctl.h"

static bool is_standard(const ctl *c)
{
    return !strcmp(c->operand, "-");
}

/*
 * Writing a backup
 */

static ctl_exit open_output(ctl_file *out, const ctl *c)
{
    if (is_standard(c) && isatty(STDOUT_FILENO)) {
        ctl_complain("a backup is not for a terminal: scimctl backup - > FILE");
        return CTL_USAGE;
    }
    return ctl_file_make(out, c->operand, c);
}

/* Where the bytes go to stdout, what is said of them goes to stderr. */
static void tell_backup(const ctl *c, const scim_backup *sum)
{
    FILE *to = is_standard(c) ? stderr : stdout;
    char *text;

    if (c->json) {
        json_t *json =
            scim_json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "store", c->url, "file",
                           c->operand, "instance", sum->instance, "entries",
                           (json_int_t)sum->rows, "bytes", (json_int_t)sum->bytes, "grown",
                           (json_int_t)sum->grown, "made", ctl_json_time(sum->made));

        text = scim_json_dumps(json, JSON_INDENT(2));
        fprintf(to, "%s\n", text);
        free(text);
        json_decref(json);
        return;
    }
    fprintf(to, "%" APR_UINT64_T_FMT " entries are copied, %s.\n", sum->rows,
            ctl_show_size(sum->bytes, c->pool));
    if (sum->grown) {
        fprintf(to, "Meanwhile the store grew by %s for what was changed.\n",
                ctl_show_size(sum->grown, c->pool));
    }
}

typedef struct progress {
    ctl_progress shown;
    apr_uint64_t total;
} progress;

static void show(apr_uint64_t done, void *baton)
{
    progress *p = baton;

    ctl_show_progress(&p->shown, done, p->total);
}

ctl_exit ctl_backup(ctl *c)
{
    progress p = {.shown = {-1}, .total = ctl_entries_of(scim_store_kv(c->store))};
    scim_backup_watcher watcher = {show, &p};
    scim_backup_sink sink = {.write = ctl_file_write};
    const scim_error *err;
    scim_backup sum;
    ctl_file out;
    ctl_exit code = open_output(&out, c);

    if (code != CTL_OK) {
        return code;
    }
    sink.baton = &out;
    err = scim_backup_write(&sum, c->store, &sink, 0, &watcher, c->pool);
    ctl_wipe_progress(&p.shown);
    code = err ? ctl_failed(err) : ctl_file_finish(&out, c);
    if (code == CTL_OK) {
        tell_backup(c, &sum);
    } else {
        ctl_file_drop(&out);
    }
    return code;
}

/*
 * Making a store anew
 */

/* For what is done to the files of a store. */
static ctl_exit need_directory(const ctl *c, const char *instead)
{
    if (scim_kv_claimable(c->url)) {
        return CTL_OK;
    }
    ctl_complain("%s is for a store in a directory (lmdb:PATH), and %s is none: %s",
                 c->options[CTL_SALVAGE] ? "--salvage" : c->command->name, c->url, instead);
    return CTL_REFUSED;
}

ctl_exit ctl_open_input(ctl *c)
{
    if (!is_standard(c)) {
        c->input = open(c->operand, O_RDONLY | O_CLOEXEC);
    } else if (c->options[CTL_SALVAGE]) {
        ctl_complain("--salvage reads here and there in the file: name it");
        return CTL_USAGE;
    } else if (isatty(STDIN_FILENO)) {
        ctl_complain("a backup does not come from a terminal: scimctl restore - < FILE");
        return CTL_USAGE;
    } else {
        c->input = STDIN_FILENO;
    }
    if (c->input < 0) {
        ctl_complain("cannot open %s: %s", c->operand, strerror(errno));
        return errno == ENOENT ? CTL_NOT_FOUND : CTL_FAILED;
    }
    return CTL_OK;
}

static int read_input(void *data, apr_size_t *len, void *baton)
{
    const ctl *c = baton;
    ssize_t n;

    do {
        n = read(c->input, data, *len);
    } while (n < 0 && errno == EINTR);
    *len = n > 0 ? (apr_size_t)n : 0;
    return n < 0 ? errno : 0;
}

/* Whether what was made is whole, as far as scimctl can know. */
static ctl_exit check_made(ctl *c, apr_uint64_t *findings)
{
    ctl_exit code = ctl_verify_store(c, false, findings);

    if (code != CTL_OK || !*findings) {
        return code;
    }
    ctl_complain("verify finds %" APR_UINT64_T_FMT " thing%s wrong in what was restored%s",
                 *findings, *findings == 1 ? "" : "s",
                 c->options[CTL_FORCE] || c->options[CTL_SALVAGE]
                     ? ""
                     : ": the store stays as it was; --force takes it all the same");
    return c->options[CTL_FORCE] || c->options[CTL_SALVAGE] ? CTL_OK : CTL_FAILED;
}

/* Restoring */

static apr_uint64_t size_of_input(const ctl *c)
{
    struct stat info;

    return !fstat(c->input, &info) && S_ISREG(info.st_mode) ? (apr_uint64_t)info.st_size : 0;
}

/* The open store that was made takes the other's place, if nothing speaks against it. */
static ctl_exit take_made(ctl *c, ctl_target *m, apr_uint64_t *findings, const char **kept)
{
    ctl_exit code = check_made(c, findings);

    scim_store_close(c->store);
    return code == CTL_OK ? ctl_target_end(m, kept, c->pool) : code;
}

static const scim_error *fill_from_backup(ctl *c, ctl_target *m, scim_backup *sum)
{
    progress p = {.shown = {-1}, .total = size_of_input(c)};
    scim_backup_watcher watcher = {show, &p};
    scim_backup_source source = {read_input, c};
    const scim_error *err = scim_backup_read(sum, m->kv, m->making, &source, &watcher, c->pool);

    ctl_wipe_progress(&p.shown);
    return err;
}

static void tell_kept(const char *kept)
{
    if (kept) {
        printf("The store that was there is %s now; remove it when nobody needs it.\n", kept);
    }
}

static void tell_restored(const ctl *c, const scim_backup *sum, const char *kept)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:s, s:I, s:I, s:o, s:s?}", "store", c->url,
                                      "instance", sum->instance, "entries",
                                      (json_int_t)sum->rows, "bytes", (json_int_t)sum->bytes,
                                      "made", ctl_json_time(sum->made), "kept", kept));
        return;
    }
    printf("%" APR_UINT64_T_FMT " entries of %s are restored, and whole.\n", sum->rows,
           ctl_show_time(sum->made, c->pool));
    tell_kept(kept);
}

static ctl_exit restore(ctl *c)
{
    apr_uint64_t findings = 0;
    const char *kept = NULL;
    const scim_error *err;
    scim_backup sum;
    ctl_target m;
    ctl_exit code = ctl_target_begin(&m, c->url, c->pool);

    if (code != CTL_OK) {
        return code;
    }
    err = fill_from_backup(c, &m, &sum);
    if (err) {
        return ctl_failed(err);
    }
    code = ctl_target_open(c, &m, true);
    if (code == CTL_OK) {
        code = take_made(c, &m, &findings, &kept);
    }
    if (code == CTL_OK) {
        ctl_audit(c, "store.restore", NULL, NULL, NULL);
        tell_restored(c, &sum, kept);
    }
    return code;
}

/* Salvaging */

static void tell_loss(const scim_finding *finding, void *baton)
{
    if (baton) {
        scim_json_append(baton, ctl_json_finding(finding));
    } else {
        ctl_print_finding(finding);
    }
}

static void tell_salvaged(const ctl *c, const scim_salvage *sum, json_t *losses,
                          const char *kept)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:I, s:I, s:I, s:s?, s:O}", "store", c->url,
                                      "kept", (json_int_t)sum->rows, "made",
                                      (json_int_t)sum->made, "lost", (json_int_t)sum->lost,
                                      "old", kept, "losses", losses));
        return;
    }
    printf("%" APR_UINT64_T_FMT " entries are kept as they were, %" APR_UINT64_T_FMT
           " are made anew from them; %" APR_UINT64_T_FMT " thing%s told of.\n",
           sum->rows, sum->made, sum->lost, sum->lost == 1 ? " is" : "s are");
    tell_kept(kept);
}

static ctl_exit fill_from_ruins(ctl *c, ctl_target *m, scim_salvage *sum,
                                const scim_verify_watcher *watcher)
{
    const scim_registry *registry;
    const scim_error *err = scim_registry_make(&registry, c->pool);
    ctl_exit code;

    if (!err) {
        err = scim_salvage_begin(sum, m->kv, c->input, registry, watcher, apr_time_now(),
                                 c->pool);
    }
    if (err) {
        return ctl_failed(err);
    }
    code = ctl_target_open(c, m, false);
    if (code == CTL_OK) {
        err = scim_salvage_end(sum, c->store, c->input, watcher, apr_time_now(), c->pool);
        code = err ? ctl_failed(err) : CTL_OK;
    }
    return code;
}

static ctl_exit salvage_with(ctl *c, json_t *losses)
{
    scim_verify_watcher watcher = {.found = tell_loss, .baton = losses};
    apr_uint64_t findings = 0;
    const char *kept = NULL;
    scim_salvage sum = {.lost = 0};
    ctl_target m;
    ctl_exit code = need_directory(c, "salvage into one (--store lmdb:PATH), and have scimctl "
                                      "migrate move it");

    if (code == CTL_OK) {
        code = ctl_target_begin(&m, c->url, c->pool);
    }

    if (code == CTL_OK) {
        code = fill_from_ruins(c, &m, &sum, &watcher);
    }
    if (code == CTL_OK) {
        code = take_made(c, &m, &findings, &kept);
    }
    if (code == CTL_OK) {
        ctl_audit(c, "store.salvage", NULL, NULL, NULL);
        tell_salvaged(c, &sum, losses, kept);
        code = sum.lost || findings ? CTL_FAILED : CTL_OK;
    }
    return code;
}

ctl_exit ctl_restore(ctl *c)
{
    json_t *losses = c->json ? scim_json_array() : NULL;
    ctl_exit code = c->options[CTL_SALVAGE] ? salvage_with(c, losses) : restore(c);

    json_decref(losses);
    return code;
}

/*
 * Compacting
 */

static ctl_exit tell_compacted(const ctl *c, apr_uint64_t before, apr_uint64_t after)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:I, s:I}", "store", c->url, "before",
                                      (json_int_t)before, "after", (json_int_t)after));
    } else {
        printf("The store's file has %s, before %s.\n", ctl_show_size(after, c->pool),
               ctl_show_size(before, c->pool));
    }
    return CTL_OK;
}

static apr_uint64_t extent_of(scim_kv *kv)
{
    scim_kv_stat stat;

    return scim_kv_statistics(kv, &stat) == SCIM_KV_OK ? stat.extent : 0;
}

static ctl_exit copy_store(ctl *c, ctl_target *m, apr_uint64_t *before, apr_uint64_t *after)
{
    scim_kv_options options = {.claim = m->claim, .read_only = true};
    progress p = {.shown = {-1}};
    scim_backup_watcher watcher = {show, &p};
    const char *why = "";
    const scim_error *err;
    scim_backup sum;
    scim_kv *old;

    if (scim_kv_open(&old, c->url, &options, &why, c->pool) != SCIM_KV_OK) {
        ctl_complain("%s", why);
        return CTL_NO_STORE;
    }
    p.total = ctl_entries_of(old);
    *before = extent_of(old);
    err = scim_backup_copy(&sum, m->kv, m->making, old, &watcher, c->pool);
    ctl_wipe_progress(&p.shown);
    *after = extent_of(m->kv);
    scim_kv_close(old);
    return err ? ctl_failed(err) : CTL_OK;
}

ctl_exit ctl_compact(ctl *c)
{
    apr_uint64_t before = 0, after = 0;
    ctl_target m;
    ctl_exit code = need_directory(c, "PostgreSQL does that itself (VACUUM)");

    if (code == CTL_OK) {
        code = ctl_target_begin(&m, c->url, c->pool);
    }
    if (code == CTL_OK) {
        code = copy_store(c, &m, &before, &after);
    }
    if (code == CTL_OK) {
        code = ctl_target_end(&m, NULL, c->pool);
    }
    return code == CTL_OK ? tell_compacted(c, before, after) : code;
}
