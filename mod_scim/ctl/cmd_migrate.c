/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl migrate: all that is in one store, into an empty place of the same or of another
 * engine.  What was written is read again and compared with what was read, before anybody can
 * take it for a store.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "scim/backup.h"

#include "ctl.h"

typedef struct move {
    ctl *c;
    const char *from;
    const char *to;
    bool trial;
    bool quiet; /* nobody else can have the source open */
    ctl_target target;
    ctl_progress progress;
    apr_uint64_t total; /* rows that are read, all times that they are; 0: not known */
    apr_uint64_t before;
    scim_backup sum;
} move;

static void show(apr_uint64_t done, void *baton)
{
    move *m = baton;

    ctl_show_progress(&m->progress, m->before + done, m->total);
}

/*
 * The two
 */

static bool same_directory(const char *from, const char *to)
{
    struct stat a, b;

    return !strncmp(from, "lmdb:", 5) && !strncmp(to, "lmdb:", 5) && !stat(from + 5, &a) &&
           !stat(to + 5, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static ctl_exit read_names(move *m)
{
    const ctl *c = m->c;
    int i;

    if (c->options[CTL_STORE]) {
        ctl_complain("--store is not for migrate, which names both: scimctl migrate FROM TO");
        return CTL_USAGE;
    }
    for (i = 0; i < 2; i++) {
        if (scim_kv_has_secret(c->operands[i], c->pool)) {
            ctl_complain("%s: %s", i ? "TO" : "FROM", scim_kv_secret_text);
            return CTL_USAGE;
        }
    }
    m->from = ctl_store_url(c->operands[0], c->pool);
    m->to = ctl_store_url(c->operands[1], c->pool);
    if (!strcmp(m->from, m->to) || same_directory(m->from, m->to)) {
        ctl_complain("%s and %s are the same store", c->operands[0], c->operands[1]);
        return CTL_USAGE;
    }
    return CTL_OK;
}

/* A new directory gets the owner of the old one. */
static ctl_exit become_owner(move *m)
{
    ctl *c = m->c;
    bool directory = !strncmp(m->to, "lmdb:", 5);
    bool there = directory && !access(m->to + 5, F_OK);

    c->url = directory ? m->to : m->from;
    if (directory && !there && !c->options[CTL_OWNER] && geteuid() == 0) {
        c->options[CTL_OWNER] = ctl_owner_of(m->from, c->pool);
    }
    return ctl_become_owner(c, directory);
}

/* Before anything is made for the other one. */
static ctl_exit find_source(move *m)
{
    struct stat info;

    if (!strncmp(m->from, "lmdb:", 5) && stat(m->from + 5, &info) && errno == ENOENT) {
        ctl_complain("there is no directory %s, hence no store", m->from + 5);
        return CTL_NO_STORE;
    }
    return CTL_OK;
}

static ctl_exit open_source(move *m)
{
    scim_store_options how = {.kv.read_only = true};
    scim_kv_claim *claim;
    const char *why = "";
    scim_kv_rc rc = SCIM_KV_OK;

    if (!m->trial && scim_kv_claimable(m->from)) {
        rc = scim_kv_claim_store(&claim, m->from, &why, m->c->pool);
        how.kv.claim = rc == SCIM_KV_OK ? claim : NULL;
        m->quiet = rc == SCIM_KV_OK;
    }
    if (rc != SCIM_KV_OK) {
        ctl_complain("%s%s", why,
                     rc == SCIM_KV_BUSY ? " (--trial makes a copy to try out meanwhile)" : "");
        return rc == SCIM_KV_BUSY ? CTL_REFUSED : CTL_NO_STORE;
    }
    return ctl_open_store(m->c, m->from, &how);
}

static scim_kv_rc find_any(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;

    *(bool *)baton = scim_kv_seek(cursor, (scim_slice){"", 0}, &key, NULL) != SCIM_KV_NOTFOUND;
    return SCIM_KV_OK;
}

/* A claimed place may have a store in it, which a restore would replace. */
static ctl_exit check_empty(const move *m)
{
    scim_kv_options options = {.claim = m->target.claim, .read_only = true};
    const char *why = NULL;
    bool any = true;
    scim_kv *kv;
    scim_kv_rc rc;

    if (!m->target.claim) {
        return CTL_OK;
    }
    rc = scim_kv_open(&kv, m->to, &options, &why, m->c->pool);
    if (rc == SCIM_KV_OK) {
        scim_kv_view(kv, find_any, &any);
        scim_kv_close(kv);
    }
    if (rc == SCIM_KV_NOTFOUND || (rc == SCIM_KV_OK && !any)) {
        return CTL_OK;
    }
    ctl_complain("%s is not empty%s%s: name another place, or move away what is there", m->to,
                 rc == SCIM_KV_OK ? "" : "; ", rc == SCIM_KV_OK || !why ? "" : why);
    return CTL_REFUSED;
}

static ctl_exit open_target(move *m)
{
    ctl_exit code = ctl_target_begin(&m->target, m->to, m->c->pool);

    return code == CTL_OK ? check_empty(m) : code;
}

/*
 * The rows
 */

static ctl_exit differs(const move *m, const char *which, const char *what)
{
    ctl_complain("%s %s; nothing is made of %s", which, what, m->to);
    return CTL_FAILED;
}

/* Reads all of one again. */
static const scim_error *add_up(bool *same, move *m, scim_kv *kv)
{
    scim_backup_watcher watcher = {show, m};
    const scim_error *err;
    scim_backup again;

    m->before += m->sum.rows;
    err = scim_backup_sum(&again, kv, &watcher, m->c->pool);
    *same = !err && !memcmp(again.sum, m->sum.sum, sizeof(again.sum));
    ctl_wipe_progress(&m->progress);
    return err;
}

static ctl_exit check_target(move *m)
{
    bool same;
    const scim_error *err = add_up(&same, m, m->target.kv);

    if (err) {
        return differs(m, m->to,
                       apr_pstrcat(m->c->pool, "cannot be read again: ", err->detail, NULL));
    }
    return same ? CTL_OK : differs(m, m->to, "has not what was written to it");
}

/* Where nobody can be kept from writing to the source, it is seen that nobody did. */
static ctl_exit check_source(move *m)
{
    bool same = true;
    const scim_error *err =
        m->quiet || m->trial ? NULL : add_up(&same, m, scim_store_kv(m->c->store));

    if (err) {
        return ctl_failed(err);
    }
    if (!same) {
        ctl_complain("a server has written to %s meanwhile, and that is not in %s: stop httpd "
                     "on all machines, and do it again",
                     m->from, m->to);
        return CTL_REFUSED;
    }
    return CTL_OK;
}

static ctl_exit copy_rows(move *m)
{
    scim_backup_watcher watcher = {show, m};
    scim_kv *from = scim_store_kv(m->c->store);
    const scim_error *err;

    m->total = ctl_entries_of(from) * (m->quiet || m->trial ? 2 : 3);
    err = scim_backup_copy(&m->sum, m->target.kv, m->target.making, from, &watcher, m->c->pool);
    ctl_wipe_progress(&m->progress);
    return err ? ctl_failed(err) : CTL_OK;
}

/*
 * The end
 */

static void tell_next(const move *m)
{
    if (m->trial) {
        printf("What is written to %s from now on is not in it: it is to try out.\n", m->from);
        return;
    }
    printf("Next: name it in SCIMStore, and start httpd.\n"
           "%s is as it was%s.\n",
           m->from,
           m->quiet ? ""
                    : "; what a server that was not stopped writes there from now on is lost");
}

static void tell(const move *m)
{
    if (m->c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:s, s:I, s:I, s:b}", "from", m->from, "to", m->to,
                                      "entries", (json_int_t)m->sum.rows, "bytes",
                                      (json_int_t)m->sum.bytes, "trial", m->trial));
        return;
    }
    printf("%" APR_UINT64_T_FMT " entries, %s, are in %s, and compared.\n", m->sum.rows,
           ctl_show_size(m->sum.bytes, m->c->pool), m->to);
    tell_next(m);
}

typedef ctl_exit (*step_fn)(move *m);

static const step_fn steps[] = {read_names,  find_source, become_owner, open_source,
                                open_target, copy_rows,   check_target, check_source};

ctl_exit ctl_migrate(ctl *c)
{
    move m = {.c = c, .trial = c->options[CTL_TRIAL] != NULL, .progress = {-1}};
    ctl_exit code = CTL_OK;
    size_t i;

    for (i = 0; code == CTL_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
        code = steps[i](&m);
    }
    if (code == CTL_OK) {
        code = ctl_target_end(&m.target, NULL, c->pool);
    }
    if (code == CTL_OK) {
        ctl_audit(c, "store.migrate", NULL, NULL, NULL);
        tell(&m);
    }
    return code;
}
