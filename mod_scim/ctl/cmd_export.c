/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl export: all users and then all groups of a tenant, one JSON document a
 * line, as GET shows them.
 *
 * A page of them is read in one view, and the members of a large group a slice at a
 * time, each in a view of its own: however slowly the output goes, no old state of
 * the store is kept for it.  So each resource is whole, but what is changed
 * meanwhile may be told or not.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "scim/member.h"
#include "scim/render.h"
#include "scim/resource.h"
#include "scim/text.h"

#include "ctl.h"

#define PAGE 500             /* resources that are read in one view */
#define PAGE_BYTES (4 << 20) /* about what they may come to */
#define SLICE 2000           /* members, likewise */
#define WHOLE 1000           /* up to so many members are read with their group */

typedef struct exporting {
    ctl *c;
    const char *tenant_name;
    scim_tenant tenant;
    scim_render how;
    const scim_resource_type *type;
    ctl_file file;
    scim_buffer *text;        /* of a page */
    apr_array_header_t *gaps; /* of gap, in text */
    bool begun;               /* after is the last that was read */
    bool more;
    bool full; /* the page: what comes is left to the next */
    scim_position after;
    apr_uint64_t users, groups, total, left_out;
    apr_hash_t *strangers; /* URNs that are not known here; in c->pool */
    ctl_progress progress;
    apr_pool_t *pool; /* of a page */
    int failed;       /* writing: an errno */
} exporting;

/* A group whose members are not there yet, nor its end. */
typedef struct gap {
    apr_size_t at;
    scim_id group;
} gap;

/* Schemas of the organisation's own: whether an attribute of them may be shown is not
 * known here. */

static void note_stranger(exporting *e, const char *urn)
{
    if (!apr_hash_get(e->strangers, urn, APR_HASH_KEY_STRING)) {
        urn = apr_pstrdup(e->c->pool, urn);
        apr_hash_set(e->strangers, urn, APR_HASH_KEY_STRING, urn);
    }
}

static bool drop_strangers(exporting *e, json_t *json, const scim_resource_type *type)
{
    json_t *schemas = json_object_get(json, "schemas");
    bool any = false;
    size_t i = 0;

    while (i < json_array_size(schemas)) {
        const char *urn = json_string_value(json_array_get(schemas, i));

        if (!urn || scim_type_schema(type, urn, strlen(urn))) {
            i++;
            continue;
        }
        note_stranger(e, urn);
        json_object_del(json, urn);
        json_array_remove(schemas, i);
        any = true;
    }
    return any;
}

/* "schemas" stand first, and list all that there are: all but these is looked at only
 * where one of them is not known. */
static bool has_strangers(const scim_record *record)
{
    static const char head[] = "{\"schemas\":[";
    const char *at = record->json + sizeof(head) - 1, *end = record->json + record->json_len;

    if (record->json_len < sizeof(head)) {
        return false;
    }
    while (at < end && *at == '"') {
        const char *quote = memchr(at + 1, '"', (apr_size_t)(end - at - 1));

        if (!quote || !scim_type_schema(record->type, at + 1, (apr_size_t)(quote - at - 1))) {
            return true;
        }
        at = quote + (quote + 1 < end && quote[1] == ',' ? 2 : 1);
    }
    return false;
}

static scim_record known_part(exporting *e, const scim_record *record)
{
    scim_record known = *record;
    json_t *json;

    if (has_strangers(record)) {
        json = scim_json_read_own(record->json, record->json_len, e->pool);
        if (json && drop_strangers(e, json, record->type)) {
            known.json = scim_json_write(json, &known.json_len, e->pool);
        }
    }
    return known;
}

/* A page */

static const scim_error *take(scim_view *view, const scim_record *record, void *baton)
{
    exporting *e = baton;
    apr_uint64_t members = 0;
    scim_record known;

    e->full = e->full || e->text->len >= PAGE_BYTES;
    if (e->full) {
        return NULL;
    }
    if (record->type->members) {
        SCIM_ERR(scim_member_count(&members, view, &e->tenant, &record->id));
    }
    known = known_part(e, record);
    SCIM_ERR(
        scim_render_record(e->text, &e->how, members > WHOLE ? NULL : view, &known, e->pool));
    if (members > WHOLE) {
        e->text->len--; /* the brace behind which they do not belong */
        APR_ARRAY_PUSH(e->gaps, gap) = (gap){e->text->len, record->id};
    }
    scim_buffer_puts(e->text, members > WHOLE ? "}\n" : "\n");
    e->after = (scim_position){.id = record->id};
    e->begun = true;
    *(record->type->members ? &e->groups : &e->users) += 1;
    return NULL;
}

/* The tenant is found anew each time: it may be gone by now. */
static const scim_error *read_page(scim_view *view, void *baton)
{
    exporting *e = baton;
    scim_query_part part = {.type = e->type};
    scim_query query = {.parts = &part,
                        .parts_count = 1,
                        .start = 1,
                        .count = PAGE,
                        .by_cursor = true,
                        .after = e->begun ? &e->after : NULL};
    scim_position after = e->after;
    scim_page page;

    query.after = e->begun ? &after : NULL;
    SCIM_ERR(ctl_find_again(&e->tenant, view, e->tenant_name));
    SCIM_ERR(scim_resource_query(&page, view, &e->tenant, &query, take, e));
    e->more = page.more || e->full;
    return NULL;
}

/* Writing */

static bool put(exporting *e, const char *data, apr_size_t len)
{
    e->failed = e->failed ? e->failed : ctl_file_write(data, len, &e->file);
    return !e->failed;
}

typedef struct slicing {
    exporting *e;
    scim_id group;
    scim_member_slice slice;
    scim_buffer *text;
    apr_pool_t *pool;
} slicing;

static const scim_error *read_slice(scim_view *view, void *baton)
{
    slicing *s = baton;

    SCIM_ERR(ctl_find_again(&s->e->tenant, view, s->e->tenant_name));
    return scim_render_members(s->text, &s->e->how, view, s->e->type, &s->group, &s->slice,
                               SLICE, s->pool);
}

static const scim_error *put_members(exporting *e, const scim_id *group)
{
    slicing s = {.e = e, .group = *group};
    const scim_error *err;

    apr_pool_create(&s.pool, e->pool);
    do {
        apr_pool_clear(s.pool);
        s.text = scim_buffer_make(1 << 16, s.pool);
        err = scim_store_view(e->c->store, read_slice, &s, s.pool);
    } while (!err && put(e, s.text->data, s.text->len) && s.slice.more);
    if (!err) {
        apr_pool_destroy(s.pool);
    }
    return err;
}

static const scim_error *put_page(exporting *e)
{
    apr_size_t from = 0;
    int i;

    for (i = 0; i < e->gaps->nelts; i++) {
        const gap *at = &APR_ARRAY_IDX(e->gaps, i, gap);

        put(e, e->text->data + from, at->at - from);
        SCIM_ERR(put_members(e, &at->group));
        from = at->at;
    }
    put(e, e->text->data + from, e->text->len - from);
    ctl_show_progress(&e->progress, e->users + e->groups, e->total);
    return NULL;
}

static const scim_error *put_type(exporting *e, const char *name)
{
    e->type = scim_registry_type(e->how.registry, name);
    e->begun = false;
    do {
        apr_pool_clear(e->pool);
        e->text = scim_buffer_make(1 << 16, e->pool);
        e->gaps = apr_array_make(e->pool, 1, sizeof(gap));
        e->full = false;
        SCIM_ERR(scim_store_view(e->c->store, read_page, e, e->pool));
        SCIM_ERR(put_page(e));
    } while (e->more && !e->failed);
    return NULL;
}

/* All of it */

static bool wants(const ctl *c, const char *endpoint)
{
    const char *type = c->options[CTL_TYPE];

    return !type || !scim_text_casecmp(type, endpoint);
}

static const scim_error *count_type(scim_view *view, const exporting *e, const char *name,
                                    apr_uint64_t *total)
{
    scim_query_part part = {.type = scim_registry_type(e->how.registry, name)};
    scim_query query = {.parts = &part, .parts_count = 1, .start = 1};
    scim_page page;

    SCIM_ERR(scim_resource_query(&page, view, &e->tenant, &query, NULL, NULL));
    *total += page.total > 0 ? (apr_uint64_t)page.total : 0;
    return NULL;
}

static const scim_error *count(scim_view *view, void *baton)
{
    exporting *e = baton;
    bool complete;

    SCIM_ERR(scim_tenant_find(&e->tenant, view, e->tenant_name));
    SCIM_ERR(scim_store_complete(&complete, view));
    e->left_out = !complete;
    if (wants(e->c, "Users")) {
        SCIM_ERR(count_type(view, e, "User", &e->total));
    }
    return wants(e->c, "Groups") ? count_type(view, e, "Group", &e->total) : NULL;
}

static const scim_error *put_all(exporting *e)
{
    if (wants(e->c, "Users")) {
        SCIM_ERR(put_type(e, "User"));
    }
    return wants(e->c, "Groups") ? put_type(e, "Group") : NULL;
}

static void tell(const exporting *e)
{
    apr_hash_index_t *at;

    fprintf(stderr,
            "%" APR_UINT64_T_FMT " user%s and %" APR_UINT64_T_FMT " group%s.  Passwords are "
            "not among it: the store has no more than their hashes.\n",
            e->users, e->users == 1 ? "" : "s", e->groups, e->groups == 1 ? "" : "s");
    if (e->left_out) {
        fputs("The store has resource types or attributes of the organisation's own, which "
              "scimctl does\nnot know: resources of such types are not among it.\n",
              stderr);
    }
    for (at = apr_hash_first(e->c->pool, e->strangers); at; at = apr_hash_next(at)) {
        const char *urn = apr_hash_this_val(at);

        ctl_complain("left out is what belongs to %s: scimctl does not know that schema, nor "
                     "what of it may be shown",
                     urn);
    }
}

/* Of a tenant that httpd serves at no URL, what is below that. */
static const char *base_url(ctl *c, const char *tenant)
{
    const apr_array_header_t *urls = ctl_tenant_urls(c, tenant);

    return urls->nelts ? APR_ARRAY_IDX(urls, 0, const char *) : "";
}

static ctl_exit check_options(const ctl *c)
{
    if (!c->options[CTL_TENANT]) {
        ctl_complain("export needs --tenant; scimctl tenant list shows the tenants");
        return CTL_USAGE;
    }
    if (!wants(c, "Users") && !wants(c, "Groups")) {
        ctl_complain("--type %s: write Users or Groups", c->options[CTL_TYPE]);
        return CTL_USAGE;
    }
    return CTL_OK;
}

static ctl_exit run(exporting *e)
{
    const scim_error *err = put_all(e);
    ctl_exit code;

    ctl_wipe_progress(&e->progress);
    if (err) {
        code = ctl_failed(err);
    } else if (e->failed) {
        code = ctl_file_failed(&e->file, e->c, e->failed);
    } else {
        code = ctl_file_finish(&e->file, e->c);
    }
    if (code == CTL_OK) {
        tell(e);
    } else {
        ctl_file_drop(&e->file);
    }
    return code;
}

ctl_exit ctl_export(ctl *c)
{
    exporting e = {.c = c,
                   .tenant_name = c->options[CTL_TENANT],
                   .progress = {-1},
                   .strangers = apr_hash_make(c->pool)};
    const scim_error *err;
    ctl_exit code = check_options(c);

    if (code != CTL_OK) {
        return code;
    }
    e.how.registry = scim_store_registry(c->store);
    e.how.tenant = &e.tenant;
    apr_pool_create(&e.pool, c->pool);
    err = scim_store_view(c->store, count, &e, c->pool);
    if (err) {
        return ctl_failed(err);
    }
    e.how.base_url = base_url(c, e.tenant_name);
    code = ctl_file_make(&e.file, c->operand ? c->operand : "-", c);
    return code == CTL_OK ? run(&e) : code;
}
