/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on the store as a whole.
 */
#include <stdio.h>

#include <apr_strings.h>

#include "scim/brake.h"
#include "scim/resource.h"
#include "scim/sweep.h"
#include "scim/tenant.h"
#include "scim/text.h"

#include "ctl.h"

ctl_exit ctl_init(ctl *c)
{
    if (c->made) {
        ctl_audit(c, "store.init", NULL, NULL, NULL);
    }
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:b}", "store", c->url, "made", c->made));
    } else if (c->made) {
        printf("The store %s is made.\n"
               "Next: scimctl tenant create NAME\n",
               c->url);
    } else {
        printf("The store %s is there already; nothing was changed.\n", c->url);
    }
    return CTL_OK;
}

typedef struct overview {
    apr_array_header_t *tenants; /* of scim_tenant */
    apr_array_header_t *pending; /* of scim_pending */
    apr_array_header_t *braked;  /* of const char *: tenants whose brake is on */
} overview;

static const scim_error *look(scim_view *view, void *baton)
{
    overview *all = baton;
    int i;

    SCIM_ERR(scim_tenant_list(&all->tenants, view));
    SCIM_ERR(scim_sweep_list(&all->pending, view));
    all->braked = apr_array_make(view->pool, 2, sizeof(const char *));
    for (i = 0; i < all->tenants->nelts; i++) {
        const scim_tenant *tenant = &APR_ARRAY_IDX(all->tenants, i, scim_tenant);
        scim_brake brake;

        SCIM_ERR(scim_brake_read(&brake, view, tenant));
        if (brake.on) {
            APR_ARRAY_PUSH(all->braked, const char *) = tenant->name;
        }
    }
    return NULL;
}

static apr_uint64_t pending_members(const apr_array_header_t *pending)
{
    apr_uint64_t members = 0;
    int i;

    for (i = 0; i < pending->nelts; i++) {
        members += APR_ARRAY_IDX(pending, i, scim_pending).members;
    }
    return members;
}

static const char *show_pending(const apr_array_header_t *pending, apr_pool_t *pool)
{
    return pending->nelts ? apr_psprintf(pool,
                                         "%" APR_UINT64_T_FMT " members of %d deleted group%s "
                                         "(scimctl sweep)",
                                         pending_members(pending), pending->nelts,
                                         pending->nelts == 1 ? "" : "s")
                          : "nothing";
}

static const char *show_braked(const apr_array_header_t *braked, apr_pool_t *pool)
{
    const char *names = "";
    int i;

    for (i = 0; i < braked->nelts; i++) {
        names = apr_pstrcat(pool, names, i ? ", " : "", APR_ARRAY_IDX(braked, i, const char *),
                            NULL);
    }
    return braked->nelts ? names : "none";
}

static const char *show_number(apr_uint64_t number, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_UINT64_T_FMT, number);
}

/* What it may grow to is not told: the limit is the opener's, not the store's. */
static void print_stat(const ctl *c, const scim_kv_stat *stat, const overview *all)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 18, sizeof(const char *));
    apr_pool_t *pool = c->pool;

    ctl_add_row(cells, 2, "Store:", c->url);
    ctl_add_row(cells, 2, "Format:", show_number(SCIM_STORE_FORMAT, pool));
    ctl_add_row(cells, 2, "Unicode:", scim_text_unicode_version());
    ctl_add_row(cells, 2, "Tenants:", show_number((apr_uint64_t)all->tenants->nelts, pool));
    ctl_add_row(cells, 2, "Entries:", show_number(stat->entries, pool));
    ctl_add_row(cells, 2, "Used:", ctl_show_size(stat->used, pool));
    ctl_add_row(cells, 2,
                "Readers:", apr_psprintf(pool, "%u of %u", stat->readers, stat->max_readers));
    ctl_add_row(cells, 2, "Pending:", show_pending(all->pending, pool));
    ctl_add_row(cells, 2, "Brakes on:", show_braked(all->braked, pool));
    ctl_print_table(cells, 2);
}

static void print_stat_json(const ctl *c, const scim_kv_stat *stat, const overview *all)
{
    json_t *braked = scim_json_array();
    int i;

    for (i = 0; i < all->braked->nelts; i++) {
        scim_json_append(braked, scim_json_text(APR_ARRAY_IDX(all->braked, i, const char *)));
    }
    ctl_print_json(scim_json_pack(
        "{s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:I, s:i, s:I, s:o}", "store", c->url, "format",
        SCIM_STORE_FORMAT, "unicode", scim_text_unicode_version(), "tenants",
        all->tenants->nelts, "entries", (json_int_t)stat->entries, "used",
        (json_int_t)stat->used, "readers", (json_int_t)stat->readers, "maxReaders",
        (json_int_t)stat->max_readers, "pendingGroups", all->pending->nelts, "pendingMembers",
        (json_int_t)pending_members(all->pending), "brakes", braked));
}

ctl_exit ctl_stat(ctl *c)
{
    const scim_error *err;
    scim_kv_stat stat;
    overview all;

    err = scim_store_view(c->store, look, &all, c->pool);
    if (!err) {
        err = scim_store_error(c->pool, scim_kv_statistics(scim_store_kv(c->store), &stat),
                               "counting what the store holds");
    }
    if (err) {
        return ctl_failed(err);
    }
    if (c->json) {
        print_stat_json(c, &stat, &all);
    } else {
        print_stat(c, &stat, &all);
    }
    return CTL_OK;
}

/* Sweeping */

void ctl_count_swept(ctl_swept *total, const apr_array_header_t *consequences)
{
    int i;

    for (i = 0; i < consequences->nelts; i++) {
        if (APR_ARRAY_IDX(consequences, i, scim_consequence).deleted) {
            total->deleted++;
        } else {
            total->deactivated++;
        }
    }
}

static ctl_exit tell_swept(const ctl *c, int groups, const ctl_swept *total)
{
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:i, s:I, s:I}", "groups", groups, "usersDeleted",
                                      (json_int_t)total->deleted, "usersDeactivated",
                                      (json_int_t)total->deactivated));
    } else if (!groups) {
        printf("Nothing was pending.\n");
    } else {
        printf("%d deleted group%s swept: %" APR_INT64_T_FMT " users deleted, %" APR_INT64_T_FMT
               " deactivated.\n",
               groups, groups == 1 ? " is" : "s are", total->deleted, total->deactivated);
    }
    return CTL_OK;
}

static const scim_error *list_pending(scim_view *view, void *baton)
{
    return scim_sweep_list(baton, view);
}

static const scim_error *sweep_steps(ctl_swept *total, ctl *c, ctl_progress *progress,
                                     apr_uint64_t members)
{
    apr_uint64_t done = 0;
    bool more = true;
    apr_pool_t *step;

    apr_pool_create(&step, c->pool);
    while (more) {
        apr_array_header_t *consequences =
            apr_array_make(step, SCIM_SWEEP_STEP, sizeof(scim_consequence));

        SCIM_ERR(scim_sweep(&more, consequences, c->store, apr_time_now(), step));
        ctl_count_swept(total, consequences);
        ctl_audit_consequences(c, consequences);
        done += SCIM_SWEEP_STEP; /* at most */
        ctl_show_progress(progress, done, members);
        apr_pool_clear(step);
    }
    return NULL;
}

const scim_error *ctl_sweep_all(ctl_swept *total, ctl *c)
{
    ctl_progress progress = {-1};
    apr_array_header_t *pending;
    const scim_error *err;

    SCIM_ERR(scim_store_view(c->store, list_pending, &pending, c->pool));
    err = sweep_steps(total, c, &progress, pending_members(pending));
    ctl_wipe_progress(&progress);
    return err;
}

static const scim_error *look_complete(scim_view *view, void *baton)
{
    return scim_store_complete(baton, view);
}

ctl_exit ctl_check_complete(ctl *c)
{
    bool complete = false;
    const scim_error *err = scim_store_view(c->store, look_complete, &complete, c->pool);

    if (err) {
        return ctl_failed(err);
    }
    if (!complete) {
        ctl_complain("the store has types or indexes of the organisation's own schemas, which "
                     "scimctl does not know; httpd does this itself%s",
                     c->command->sub ? ", when the endpoint is sent a DELETE"
                                     : ", behind its next write");
        return CTL_REFUSED;
    }
    return CTL_OK;
}

ctl_exit ctl_sweep(ctl *c)
{
    overview all;
    ctl_swept total = {0};
    const scim_error *err = scim_store_view(c->store, look, &all, c->pool);
    ctl_exit code = CTL_OK;

    if (!err && all.pending->nelts) {
        code = ctl_check_complete(c);
        if (code != CTL_OK) {
            return code;
        }
        err = ctl_sweep_all(&total, c);
    }
    if (err) {
        return ctl_failed(err);
    }
    if (all.pending->nelts) {
        ctl_audit(c, "sweep", NULL, NULL, NULL);
    }
    return tell_swept(c, all.pending->nelts, &total);
}
