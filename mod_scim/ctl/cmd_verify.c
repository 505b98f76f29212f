/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl verify: whether the store is whole.
 */
#include <stdio.h>
#include <unistd.h>

#include <apr_strings.h>

#include "scim/verify.h"

#include "ctl.h"

typedef struct telling {
    json_t *findings;     /* NULL: they are printed */
    apr_uint64_t entries; /* in all; 0: no progress is shown */
    int percent;          /* that is shown; -1: none */
} telling;

/* Takes the line of the progress away. */
static void wipe_progress(telling *t)
{
    if (t->percent >= 0) {
        fputs("\r\033[K", stderr);
        t->percent = -1;
    }
}

static void show_progress(const scim_verification *so_far, void *baton)
{
    telling *t = baton;
    int percent = t->entries ? (int)(so_far->rows * 100 / t->entries) : 0;

    if (t->entries && percent != t->percent && percent <= 100) {
        fprintf(stderr, "\r%3d%%", percent);
        t->percent = percent;
    }
}

static json_t *json_of(const scim_finding *finding)
{
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:s}", "table", finding->table, "tenant",
                     finding->tenant, "type", finding->type, "id", finding->id, "attribute",
                     finding->attribute, "what", finding->what);
}

/* Puts a comma before all but the first. */
static void print_part(int *parts, const char *before, const char *text)
{
    if (text) {
        printf("%s%s", (*parts)++ ? ", " : ": ", before);
        ctl_print_text(text);
    }
}

static void print_finding(const scim_finding *finding)
{
    int parts = 0;

    printf("%s", finding->table);
    print_part(&parts, "tenant ", finding->tenant);
    print_part(&parts, "", finding->type);
    print_part(&parts, "", finding->id);
    print_part(&parts, "", finding->attribute);
    printf(": %s\n", finding->what);
}

static void take_finding(const scim_finding *finding, void *baton)
{
    telling *t = baton;

    if (t->findings) {
        json_array_append_new(t->findings, json_of(finding));
    } else {
        wipe_progress(t);
        print_finding(finding);
    }
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
    if (sum->findings) {
        printf("%" APR_UINT64_T_FMT " thing%s wrong.\n", sum->findings,
               sum->findings == 1 ? " is" : "s are");
    } else {
        printf("Nothing is wrong.\n");
    }
}

static void print_json(const scim_verification *sum, json_t *findings)
{
    ctl_print_json(
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "clean", !sum->findings, "entries",
                  (json_int_t)sum->rows, "resources", (json_int_t)sum->resources, "memberships",
                  (json_int_t)sum->memberships, "notChecked", (json_int_t)sum->unchecked,
                  "pending", (json_int_t)sum->pending, "findings", findings));
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

ctl_exit ctl_verify(ctl *c)
{
    telling t = {.percent = -1};
    scim_verify_watcher watcher = {take_finding, show_progress, &t};
    scim_verification sum;
    const scim_error *err;

    t.entries = entries_in_all(c);
    t.findings = c->json ? json_array() : NULL;
    err = scim_verify(&sum, c->store, c->options[CTL_TENANT], &watcher, c->pool);
    wipe_progress(&t);
    if (err) {
        json_decref(t.findings);
        return ctl_failed(err);
    }
    if (c->json) {
        print_json(&sum, t.findings);
    } else {
        print_summary(&sum);
    }
    return sum.findings ? CTL_FAILED : CTL_OK;
}
