/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on the store as a whole.
 */
#include <stdio.h>

#include <apr_strings.h>

#include "scim/tenant.h"
#include "scim/text.h"

#include "ctl.h"

ctl_exit ctl_init(ctl *c)
{
    if (c->json) {
        ctl_print_json(json_pack("{s:s, s:b}", "store", c->url, "made", c->made));
    } else if (c->made) {
        printf("The store %s is made.\n"
               "Next: scimctl tenant create NAME\n",
               c->url);
    } else {
        printf("The store %s is there already; nothing was changed.\n", c->url);
    }
    return CTL_OK;
}

static const scim_error *list_tenants(scim_view *view, void *baton)
{
    return scim_tenant_list(baton, view);
}

/* "3.2 GiB" */
static const char *show_size(apr_uint64_t size, apr_pool_t *pool)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double shown = (double)size;
    int unit = 0;

    while (shown >= 1024) {
        shown /= 1024;
        unit++;
    }
    return apr_psprintf(pool, "%.*f %s", unit ? 1 : 0, shown, units[unit]);
}

static const char *show_number(apr_uint64_t number, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_UINT64_T_FMT, number);
}

/* What it may grow to is not told: the limit is the opener's, not the store's. */
static void print_stat(const ctl *c, const scim_kv_stat *stat, int tenants)
{
    apr_array_header_t *cells = apr_array_make(c->pool, 18, sizeof(const char *));
    apr_pool_t *pool = c->pool;

    ctl_add_row(cells, 2, "Store:", c->url);
    ctl_add_row(cells, 2, "Format:", show_number(SCIM_STORE_FORMAT, pool));
    ctl_add_row(cells, 2, "Unicode:", scim_text_unicode_version());
    ctl_add_row(cells, 2, "Tenants:", show_number((apr_uint64_t)tenants, pool));
    ctl_add_row(cells, 2, "Entries:", show_number(stat->entries, pool));
    ctl_add_row(cells, 2, "Used:", show_size(stat->used, pool));
    ctl_add_row(cells, 2,
                "Readers:", apr_psprintf(pool, "%u of %u", stat->readers, stat->max_readers));
    ctl_print_table(cells, 2);
}

ctl_exit ctl_stat(ctl *c)
{
    apr_array_header_t *tenants;
    scim_kv_stat stat;
    const scim_error *err;

    err = scim_store_view(c->store, list_tenants, &tenants, c->pool);
    if (!err) {
        err = scim_store_error(c->pool, scim_kv_statistics(scim_store_kv(c->store), &stat),
                               "counting what the store holds");
    }
    if (err) {
        return ctl_failed(err);
    }
    if (c->json) {
        ctl_print_json(json_pack(
            "{s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:I}", "store", c->url, "format",
            SCIM_STORE_FORMAT, "unicode", scim_text_unicode_version(), "tenants",
            tenants->nelts, "entries", (json_int_t)stat.entries, "used", (json_int_t)stat.used,
            "readers", (json_int_t)stat.readers, "maxReaders", (json_int_t)stat.max_readers));
    } else {
        print_stat(c, &stat, tenants->nelts);
    }
    return CTL_OK;
}
