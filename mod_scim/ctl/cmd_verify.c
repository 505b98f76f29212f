/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl verify: whether the store is whole.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "scim/verify.h"

#include "ctl.h"

typedef struct telling {
    json_t *findings;     /* NULL: they are printed */
    apr_uint64_t entries; /* in all; 0: no progress is shown */
    apr_uint64_t damage;  /* of pages */
    ctl_progress progress;
} telling;

static void show_progress(const scim_verification *so_far, void *baton)
{
    telling *t = baton;

    ctl_show_progress(&t->progress, so_far->rows, t->entries);
}

static void take_finding(const scim_finding *finding, void *baton)
{
    telling *t = baton;

    ctl_tell_finding(t->findings, &t->progress, finding);
}

static void print_summary(const scim_verification *sum)
{
    printf("%" APR_UINT64_T_FMT " entries are checked, %" APR_UINT64_T_FMT
           " resources and %" APR_UINT64_T_FMT " memberships among them.\n",
           sum->rows, sum->resources, sum->memberships);
    if (sum->unchecked) {
        printf("%" APR_UINT64_T_FMT
               " entries of the organisation's own schemas, or of what was "
               "found, are checked by\nthemselves only.\n",
               sum->unchecked);
    }
    if (sum->pending) {
        printf("%" APR_UINT64_T_FMT " deleted group%s still to be followed by %s members "
               "(scimctl sweep).\n",
               sum->pending, sum->pending == 1 ? " is" : "s are",
               sum->pending == 1 ? "its" : "their");
    }
    if (sum->deleting) {
        printf("%" APR_UINT64_T_FMT
               " entries belong to tenants that are being deleted, and are "
               "not checked (scimctl\ntenant list, scimctl tenant delete).\n",
               sum->deleting);
    }
    if (sum->findings) {
        printf("%" APR_UINT64_T_FMT " thing%s wrong.\n", sum->findings,
               sum->findings == 1 ? " is" : "s are");
    } else {
        printf("Nothing is wrong.\n");
    }
}

static void print_json(const scim_verification *sum, json_t *findings)
{
    ctl_print_json(scim_json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "clean", !sum->findings, "entries",
        (json_int_t)sum->rows, "resources", (json_int_t)sum->resources, "memberships",
        (json_int_t)sum->memberships, "notChecked", (json_int_t)sum->unchecked, "pending",
        (json_int_t)sum->pending, "beingDeleted", (json_int_t)sum->deleting, "findings",
        findings));
}

/* How many entries there are, where that can be told and somebody looks. */
static apr_uint64_t entries_in_all(const ctl *c)
{
    scim_kv_stat stat;

    return !c->options[CTL_TENANT] && isatty(STDERR_FILENO) &&
                   scim_kv_statistics(scim_store_kv(c->store), &stat) == SCIM_KV_OK
               ? stat.entries
               : 0;
}

static ctl_exit verify_store(ctl *c, telling *t, scim_verification *sum)
{
    scim_verify_watcher watcher = {take_finding, show_progress, t};
    const scim_error *err;

    t->entries = entries_in_all(c);
    err = scim_verify(sum, c->store, c->options[CTL_TENANT], &watcher, c->pool);
    ctl_wipe_progress(&t->progress);
    return err ? ctl_failed(err) : CTL_OK;
}

ctl_exit ctl_verify_store(ctl *c, bool telling_all, apr_uint64_t *findings)
{
    telling t = {.progress = {-1}};
    scim_verification sum;
    json_t *list = c->json ? scim_json_array() : NULL;
    ctl_exit code;

    t.findings = list;
    code = verify_store(c, &t, &sum);
    *findings = sum.findings;
    if (code == CTL_OK && telling_all && c->json) {
        print_json(&sum, json_incref(list));
    } else if (code == CTL_OK && telling_all) {
        print_summary(&sum);
    }
    json_decref(list);
    return code;
}

/* Pages */

static void take_damage(const char *what, void *baton)
{
    telling *t = baton;
    scim_finding finding = {.table = "file", .what = what};

    t->damage++;
    take_finding(&finding, t);
}

static void show_pages(apr_uint64_t done, apr_uint64_t total, void *baton)
{
    telling *t = baton;

    ctl_show_progress(&t->progress, done, total);
}

/* Nothing is read by way of pages that lead to wrong places. */
static ctl_exit tell_damage(telling *t)
{
    scim_verification sum = {.findings = t->damage};

    if (t->findings) {
        print_json(&sum, json_incref(t->findings));
    } else {
        printf("%" APR_UINT64_T_FMT
               " thing%s wrong with the pages of the file, so that nothing "
               "else is looked at:\nrestore a backup, or keep what is whole (scimctl restore "
               "--salvage).\n",
               t->damage, t->damage == 1 ? " is" : "s are");
    }
    return CTL_FAILED;
}

/* The engine alone, before anything trusts what is in it. */
static ctl_exit examine(ctl *c, telling *t)
{
    scim_kv_examiner to = {.damage = take_damage, .progress = show_pages, .baton = t};
    scim_kv_options options = {.read_only = true, .unchecked = true};
    const char *why = "";
    scim_kv *kv;
    scim_kv_rc rc = scim_kv_open(&kv, c->url, &options, &why, c->pool);

    if (rc != SCIM_KV_OK) {
        ctl_complain("%s", why);
        return CTL_NO_STORE;
    }
    rc = scim_kv_examine(kv, &to);
    scim_kv_close(kv);
    ctl_wipe_progress(&t->progress);
    if (t->damage) {
        return tell_damage(t);
    }
    if (rc != SCIM_KV_OK) {
        ctl_complain("%s: %s", c->url, scim_kv_strerror(rc));
        return CTL_FAILED;
    }
    return CTL_OK;
}

ctl_exit ctl_verify(ctl *c)
{
    telling t = {.progress = {-1}, .findings = c->json ? scim_json_array() : NULL};
    apr_uint64_t findings = 0;
    ctl_exit code = examine(c, &t);

    json_decref(t.findings);
    if (code == CTL_OK) {
        code = ctl_open_store(c, c->url, &(scim_store_options){.kv.read_only = true});
    }
    if (code == CTL_OK) {
        code = ctl_verify_store(c, true, &findings);
    }
    return code == CTL_OK && findings ? CTL_FAILED : code;
}
