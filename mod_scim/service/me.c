/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /Me (RFC 7644 section 3.11): the resource of the person whom httpd has
 * authenticated, by whatever means of its own; a token is no person.  It can
 * be read; who a person is stays the identity provider's to say.
 */
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/json.h"

#include "handler.h"

typedef struct me_baton {
    scim_reply *reply;
    const scim_call *call;
    scim_render how;
    scim_tenant tenant;
    const scim_filter *filter;
    bool found;
} me_baton;

static const scim_error *show(scim_view *view, const scim_record *record, void *baton)
{
    me_baton *me = baton;

    me->found = true;
    return scim_read_record(me->reply, me->call, &me->how, view, record);
}

static const scim_error *find(scim_view *view, void *baton)
{
    me_baton *me = baton;
    scim_query_part part = {me->call->target.type, me->filter, NULL};
    scim_query query = {.parts = &part, .parts_count = 1, .start = 1, .count = 1};
    const scim_error *err = scim_tenant_find(&me->tenant, view, me->call->person_tenant);
    scim_page page;

    if (err && err->code == SCIM_E_NOT_FOUND) {
        return NULL; /* nor has it this person */
    }
    SCIM_ERR(err);
    SCIM_ERR(scim_call_check_tenant(&me->tenant, view->pool));
    return scim_resource_query(&page, view, &me->tenant, &query, show, me);
}

static const scim_error *not_there(const scim_call *call, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_FOUND, "This directory has no active user \"%s\"",
                           scim_call_shown(call->person, pool));
}

/* userName eq "...", of an active user, the name quoted as JSON quotes it. */
static const scim_error *filter_for(const scim_filter **out, const scim_call *call,
                                    apr_pool_t *pool)
{
    json_t *name = scim_json_adopt(json_string(call->person), pool);
    apr_size_t len;
    const char *quoted = name ? scim_json_write(name, &len, pool) : NULL;

    if (!quoted) {
        return not_there(call, pool);
    }
    return scim_filter_parse(
        out, apr_pstrcat(pool, "userName eq ", quoted, " and not (active eq false)", NULL),
        call->target.type, false, pool);
}

static const scim_error *not_mapped(apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_IMPLEMENTED,
                           "/Me stands for a person who has logged in, and a token is none: "
                           "use /Users/{id}");
}

const scim_error *scim_handle_me(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    scim_call own = *call;
    me_baton me = {.reply = reply,
                   .call = &own,
                   .how = {.base_url = call->base_url, .registry = call->registry}};

    if (!call->person) {
        return not_mapped(pool);
    }
    own.target.type = scim_registry_type(call->registry, "User");
    SCIM_ERR(scim_call_projection(&me.how.projection, &own, pool));
    me.how.tenant = &me.tenant;
    SCIM_ERR(filter_for(&me.filter, &own, pool));
    SCIM_ERR(scim_store_view(call->store, find, &me, pool));
    return me.found ? NULL : not_there(call, pool);
}

const scim_error *scim_handle_change_me(scim_reply *reply, const scim_call *call,
                                        apr_pool_t *pool)
{
    if (!call->person) {
        return not_mapped(pool);
    }
    return scim_error_make(pool, SCIM_E_FORBIDDEN,
                           "This resource is the identity provider's to change");
}
