/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups as they are named on the command line: what the commands on one of
 * them have in common.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "scim/buffer.h"
#include "scim/filter.h"
#include "scim/render.h"
#include "scim/resource.h"

#include "ctl.h"

#define BY_ID "id:"
#define SHOWN_MAX 10 /* of those that share a name */

ctl_exit ctl_need_tenant(const ctl *c)
{
    if (!c->options[CTL_TENANT]) {
        ctl_complain("%s %s needs --tenant; scimctl tenant list shows the tenants",
                     c->command->name, c->command->sub);
        return CTL_USAGE;
    }
    return CTL_OK;
}

const scim_error *ctl_find_again(scim_tenant *tenant, scim_view *view, const char *name)
{
    apr_uint32_t number = tenant->number;

    SCIM_ERR(scim_tenant_find(tenant, view, name));
    return tenant->number == number
               ? NULL
               : scim_error_make(view->pool, SCIM_E_NOT_FOUND,
                                 "The tenant \"%s\" was deleted meanwhile, and another one "
                                 "has its name",
                                 name);
}

ctl_exit ctl_read_count(apr_uint64_t *out, const ctl *c, apr_uint64_t otherwise)
{
    const char *text = c->options[CTL_COUNT];
    char *end;
    apr_int64_t number;

    *out = otherwise;
    if (!text) {
        return CTL_OK;
    }
    number = apr_strtoi64(text, &end, 10);
    if (!apr_isdigit(*text) || *end) {
        ctl_complain("--count %s: write a number", text);
        return CTL_USAGE;
    }
    *out = (apr_uint64_t)number;
    return CTL_OK;
}

/* The attribute that names resources of a type. */
static const char *naming(const scim_resource_type *type)
{
    return type->members ? "displayName" : "userName";
}

const char *ctl_name_of(const scim_record *record, apr_pool_t *pool)
{
    const json_t *json = scim_json_read_own(record->json, record->json_len, pool);
    const char *name = json_string_value(json_object_get(json, naming(record->type)));

    return name ? name : apr_pstrmemdup(pool, record->display, record->display_len);
}

/* Finding one */

typedef struct finding {
    ctl_named *named;
    apr_array_header_t *ids; /* of scim_id: whatever has the name */
} finding;

static const scim_error *take(scim_view *view, const scim_record *record, void *baton)
{
    finding *f = baton;

    f->named->id = record->id;
    f->named->name = ctl_name_of(record, view->pool);
    APR_ARRAY_PUSH(f->ids, scim_id) = record->id;
    return NULL;
}

static const scim_error *find_by_id(finding *f, scim_view *view)
{
    const ctl_named *named = f->named;
    scim_record record;
    const scim_error *err;
    scim_id id;

    if (!scim_id_parse(&id, named->word + strlen(BY_ID))) {
        return NULL;
    }
    err = scim_resource_get(&record, view, &named->tenant, named->type, &id);
    if (err) {
        return err->code == SCIM_E_NOT_FOUND ? NULL : err;
    }
    return take(view, &record, f);
}

/* As an endpoint's filter finds it: without case, by the index. */
static const scim_error *find_by_name(finding *f, scim_view *view)
{
    const ctl_named *named = f->named;
    scim_buffer *text = scim_buffer_make(256, view->pool);
    scim_query_part part = {.type = named->type};
    scim_query query = {.parts = &part, .parts_count = 1, .start = 1, .count = SHOWN_MAX};
    scim_page page;

    scim_buffer_puts(text, naming(named->type));
    scim_buffer_puts(text, " eq ");
    scim_buffer_string(text, named->word, strlen(named->word));
    SCIM_ERR(scim_filter_parse(&part.filter, text->data, named->type, false, view->pool));
    return scim_resource_query(&page, view, &named->tenant, &query, take, f);
}

static const scim_error *find(scim_view *view, void *baton)
{
    finding *f = baton;

    apr_array_clear(f->ids);
    SCIM_ERR(scim_tenant_find(&f->named->tenant, view, f->named->tenant_name));
    return strncmp(f->named->word, BY_ID, strlen(BY_ID)) ? find_by_name(f, view)
                                                         : find_by_id(f, view);
}

static const char *kind_of(const ctl_named *named)
{
    return named->type->members ? "group" : "user";
}

static ctl_exit not_found(const ctl_named *named)
{
    if (strncmp(named->word, BY_ID, strlen(BY_ID))) {
        ctl_complain("tenant %s has no %s of the %s \"%s\"", named->tenant_name, kind_of(named),
                     naming(named->type), named->word);
    } else {
        ctl_complain("tenant %s has no %s of the id \"%s\"", named->tenant_name, kind_of(named),
                     named->word + strlen(BY_ID));
    }
    return CTL_NOT_FOUND;
}

static ctl_exit several(const finding *f)
{
    char id[SCIM_ID_TEXT + 1];
    int i;

    ctl_complain("more than one %s of tenant %s has the %s \"%s\": name the one that is meant",
                 kind_of(f->named), f->named->tenant_name, naming(f->named->type),
                 f->named->word);
    for (i = 0; i < f->ids->nelts; i++) {
        fprintf(stderr, "    " BY_ID "%s\n",
                scim_id_format(&APR_ARRAY_IDX(f->ids, i, scim_id), id));
    }
    return CTL_REFUSED;
}

ctl_exit ctl_find_named(ctl_named *out, ctl *c, const char *type)
{
    finding f = {.ids = apr_array_make(c->pool, 2, sizeof(scim_id))};
    ctl_exit code = ctl_need_tenant(c);
    const scim_error *err;

    *out = (ctl_named){.tenant_name = c->options[CTL_TENANT],
                       .word = c->operand,
                       .type = scim_registry_type(scim_store_registry(c->store), type)};
    if (code != CTL_OK) {
        return code;
    }
    f.named = out;
    err = scim_store_view(c->store, find, &f, c->pool);
    if (err) {
        /* Of a word that no filter takes, such as one that is not UTF-8. */
        return err->code == SCIM_E_INVALID_FILTER ? not_found(out) : ctl_failed(err);
    }
    if (!f.ids->nelts) {
        return not_found(out);
    }
    return f.ids->nelts == 1 ? CTL_OK : several(&f);
}

/* Showing one as GET does */

typedef struct rendering {
    const ctl_named *which;
    const char *base_url;
    const scim_registry *registry;
    scim_buffer *text;
} rendering;

static const scim_error *render(scim_view *view, void *baton)
{
    rendering *r = baton;
    scim_tenant tenant;
    scim_render how = {.base_url = r->base_url, .registry = r->registry, .tenant = &tenant};
    scim_record record;

    SCIM_ERR(scim_tenant_find(&tenant, view, r->which->tenant_name));
    SCIM_ERR(scim_resource_get(&record, view, &tenant, r->which->type, &r->which->id));
    return scim_render_record(r->text, &how, view, &record, view->pool);
}

/* Whether an attribute of a schema of the organisation's own may be shown is not known
 * here. */
static void drop_strangers(json_t *json, const scim_resource_type *type)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(json, next, name, value)
    {
        if (strchr(name, ':') && !scim_type_schema(type, name, strlen(name))) {
            ctl_complain("left out is what belongs to %s: scimctl does not know that schema, "
                         "nor what of it may be shown",
                         name);
            json_object_del(json, name);
        }
    }
}

ctl_exit ctl_print_resource(ctl *c, const ctl_named *which)
{
    apr_array_header_t *urls = ctl_tenant_urls(c, which->tenant_name);
    rendering r = {.which = which,
                   .base_url = urls->nelts ? APR_ARRAY_IDX(urls, 0, const char *) : "",
                   .registry = scim_store_registry(c->store),
                   .text = scim_buffer_make(4096, c->pool)};
    const scim_error *err = scim_store_view(c->store, render, &r, c->pool);
    json_t *json;

    if (err) {
        return ctl_failed(err);
    }
    json = scim_json_read_own(r.text->data, r.text->len, c->pool);
    drop_strangers(json, which->type);
    ctl_print_json(json_incref(json));
    return CTL_OK;
}

/* Deleting one */

static ctl_exit tell_deleted(const ctl *c, const ctl_named *which, const ctl_swept *swept)
{
    char id[SCIM_ID_TEXT + 1];

    scim_id_format(&which->id, id);
    if (c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:s, s:s, s:I, s:I}", "tenant", which->tenant_name,
                                      "name", which->name, "id", id, "usersDeleted",
                                      (json_int_t)swept->deleted, "usersDeactivated",
                                      (json_int_t)swept->deactivated));
        return CTL_OK;
    }
    printf("The %s ", kind_of(which));
    ctl_print_text(which->name);
    printf(" (%s) is deleted.\n", id);
    if (swept->deleted || swept->deactivated) {
        printf("Of its members %" APR_INT64_T_FMT " were deleted, and %" APR_INT64_T_FMT
               " deactivated (SCIMOnGroupDelete).\n",
               swept->deleted, swept->deactivated);
    }
    return CTL_OK;
}

/* The brake holds here, too; its text says how to release it. */
static ctl_exit cannot_delete(const scim_error *err)
{
    if (err->code == SCIM_E_TOO_MANY_REQUESTS) {
        ctl_complain("%s", err->detail);
        return CTL_REFUSED;
    }
    return ctl_failed(err);
}

ctl_exit ctl_delete_named(ctl *c, const ctl_named *which)
{
    scim_precondition always = {.if_match = NULL};
    ctl_swept swept = {0};
    scim_deletion deletion;
    const scim_error *err;
    ctl_exit code = ctl_check_complete(c);

    if (code != CTL_OK) {
        return code;
    }
    err = scim_resource_delete(&deletion, c->store, &which->tenant, which->type, &which->id,
                               &always, apr_time_now(), c->pool);
    if (err) {
        return cannot_delete(err);
    }
    ctl_audit_deletion(c, which->tenant_name, which->type, &which->id);
    ctl_audit_consequences(c, deletion.consequences);
    ctl_count_swept(&swept, deletion.consequences);
    err = deletion.pending ? ctl_sweep_all(&swept, c) : NULL;
    return err ? ctl_failed(err) : tell_deleted(c, which, &swept);
}
