/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl reindex: what follows from records is made anew.
 *
 * While others write, too; but for a store whose indexes were made by other tables of
 * Unicode than this system's: whoever has that open would go on in the old way.
 */
#include <stdio.h>
#include <unistd.h>

#include "scim/reindex.h"
#include "scim/text.h"

#include "ctl.h"

typedef struct making {
    ctl *c;
    json_t *findings;     /* NULL: they are printed */
    apr_uint64_t entries; /* in all; 0: no progress is shown */
    ctl_progress progress;
} making;

static void take_finding(const scim_finding *finding, void *baton)
{
    making *m = baton;

    ctl_tell_finding(m->findings, &m->progress, finding);
}

static void show(const scim_reindexed *so_far, void *baton)
{
    making *m = baton;

    ctl_show_progress(&m->progress, so_far->rows, m->entries);
}

static apr_uint64_t entries_in_all(const ctl *c)
{
    scim_kv_stat stat;

    return !c->options[CTL_TENANT] && isatty(STDERR_FILENO) &&
                   scim_kv_statistics(scim_store_kv(c->store), &stat) == SCIM_KV_OK
               ? stat.entries
               : 0;
}

static bool anything_written(const scim_reindexed *sum)
{
    return sum->added || sum->removed || sum->counters;
}

static void tell(const scim_reindexed *sum)
{
    printf("%" APR_UINT64_T_FMT " entries are looked at: ", sum->rows);
    if (anything_written(sum)) {
        printf("%" APR_UINT64_T_FMT " of indexes put, %" APR_UINT64_T_FMT
               " taken away, %" APR_UINT64_T_FMT " counters set right.\n",
               sum->added, sum->removed, sum->counters);
    } else {
        printf("indexes and counters are as they should be.\n");
    }
    if (sum->unchecked) {
        printf("%" APR_UINT64_T_FMT
               " of the organisation's own schemas are left as they are.\n",
               sum->unchecked);
    }
    if (sum->findings) {
        printf("%" APR_UINT64_T_FMT
               " thing%s wrong still: scimctl verify tells of all that is.\n",
               sum->findings, sum->findings == 1 ? " is" : "s are");
    }
}

/* Takes findings over. */
static ctl_exit tell_made(const making *m, const scim_reindexed *sum)
{
    if (m->findings) {
        ctl_print_json(scim_json_pack("{s:I, s:I, s:I, s:I, s:I, s:O}", "entries",
                                      (json_int_t)sum->rows, "put", (json_int_t)sum->added,
                                      "removed", (json_int_t)sum->removed, "counters",
                                      (json_int_t)sum->counters, "notChecked",
                                      (json_int_t)sum->unchecked, "findings", m->findings));
    } else {
        tell(sum);
    }
    if (anything_written(sum)) {
        ctl_audit(m->c, "reindex", m->c->options[CTL_TENANT], NULL, NULL);
    }
    return sum->findings ? CTL_FAILED : CTL_OK;
}

static ctl_exit make_anew(ctl *c)
{
    making m = {.c = c, .progress = {-1}, .findings = c->json ? scim_json_array() : NULL};
    scim_reindex_watcher watcher = {take_finding, show, &m};
    scim_reindexed sum;
    const scim_error *err;
    ctl_exit code;

    m.entries = entries_in_all(c);
    err = scim_reindex(&sum, c->store, c->options[CTL_TENANT], &watcher, c->pool);
    ctl_wipe_progress(&m.progress);
    if (!err && scim_store_other_unicode(c->store)) {
        err = scim_store_adopt_unicode(c->store, c->pool);
    }
    code = err ? ctl_failed(err) : tell_made(&m, &sum);
    json_decref(m.findings);
    return code;
}

/* Of a store that is elsewhere only the administrator knows who has it open. */
static ctl_exit make_unclaimed(ctl *c)
{
    if (!c->options[CTL_FORCE]) {
        ctl_complain("the store's indexes were made by other tables of Unicode than this "
                     "system's (%s), and whoever has it open would go on with those: stop "
                     "httpd on all machines, then say scimctl reindex --force",
                     scim_text_unicode_version());
        return CTL_REFUSED;
    }
    return make_anew(c);
}

/* Nobody who has it open is to go on in the old way. */
static ctl_exit make_alone(ctl *c)
{
    scim_kv_claim *claim;
    const char *why = "";
    ctl_exit code;

    if (c->options[CTL_TENANT]) {
        ctl_complain("the store's indexes were made by other tables of Unicode than this "
                     "system's (%s): all tenants are to be made anew, without --tenant",
                     scim_text_unicode_version());
        return CTL_REFUSED;
    }
    if (!scim_kv_claimable(c->url)) {
        return make_unclaimed(c);
    }
    scim_store_close(c->store);
    if (scim_kv_claim_store(&claim, c->url, &why, c->pool) != SCIM_KV_OK) {
        ctl_complain("%s", why);
        return CTL_REFUSED;
    }
    code = ctl_open_store(c, c->url, &(scim_store_options){.kv.claim = claim});
    return code == CTL_OK ? make_anew(c) : code;
}

ctl_exit ctl_reindex(ctl *c)
{
    return scim_store_other_unicode(c->store) ? make_alone(c) : make_anew(c);
}
