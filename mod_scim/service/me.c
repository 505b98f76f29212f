/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /Me (RFC 7644 section 3.11): the resource of the person whom httpd has
 * authenticated, by whatever means of its own; a token is no person.  It can
 * be read; who a person is stays the identity provider's to say.
 */
#include "handler.h"

typedef struct me_baton {
    scim_reply *reply;
    const scim_call *call;
    scim_render how;
    scim_tenant tenant;
} me_baton;

static const scim_error *not_there(const scim_call *call, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_FOUND, "This directory has no active user \"%s\"",
                           scim_call_shown(call->person, pool));
}

static const scim_error *find_tenant(me_baton *me, scim_view *view)
{
    const scim_error *err = scim_tenant_find(&me->tenant, view, me->call->person_tenant);

    if (err && err->code == SCIM_E_NOT_FOUND) {
        return not_there(me->call, view->pool);
    }
    SCIM_ERR(err);
    return scim_call_check_tenant(&me->tenant, view->pool);
}

/* By what Require scim-... would find it, or one would be let in as one user
 * and be shown another. */
static const scim_error *show(scim_view *view, void *baton)
{
    me_baton *me = baton;
    const scim_call *call = me->call;
    scim_subject subject;
    scim_record record;

    SCIM_ERR(find_tenant(me, view));
    SCIM_ERR(scim_subject_find(&subject, view, &me->tenant, call->person_by, call->person));
    if (subject.state != SCIM_SUBJECT_ACTIVE) {
        return not_there(call, view->pool);
    }
    SCIM_ERR(scim_resource_get(&record, view, &me->tenant, call->target.type, &subject.id));
    return scim_read_record(me->reply, call, &me->how, view, &record);
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
    return scim_store_view(call->store, show, &me, pool);
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
