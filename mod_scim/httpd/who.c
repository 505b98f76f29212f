/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who r->user is in the directory.  Whoever decides something about a request
 * decides it by the same answer: the store is asked once.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_strings.h>

APLOG_USE_MODULE(scim);

/* Under this name a request's pool has its answers. */
static const char answers[] = "mod_scim:who";

static const scim_error *no_store(const request_rec *r, apr_pool_t *pool)
{
    return scim_error_system(pool, SCIM_E_UNAVAILABLE, APR_SUCCESS,
                             "The directory is not available", "%s",
                             mod_scim_server(r->server)->store_url
                                 ? "it could not be opened when this process began, see above"
                                 : "there is no SCIMStore for this server");
}

typedef struct asking {
    scim_who *who;
    bool details;
} asking;

static const scim_error *read_details(scim_who *who, scim_view *view)
{
    scim_subject_details *details = apr_pcalloc(view->pool, sizeof(*details));
    const scim_tenant tenant = {.number = who->tenant};

    SCIM_ERR(scim_subject_read(details, view, &tenant, &who->subject.id));
    who->details = details;
    return NULL;
}

static bool is_somebody(const scim_who *who)
{
    return !who->error && !who->no_tenant &&
           (who->subject.state == SCIM_SUBJECT_ACTIVE ||
            who->subject.state == SCIM_SUBJECT_INACTIVE);
}

static const scim_error *look_up(scim_who *who, scim_view *view)
{
    scim_tenant tenant;
    const scim_error *err = scim_tenant_find(&tenant, view, who->tenant_name);

    if (err && err->code == SCIM_E_NOT_FOUND) {
        who->no_tenant = true;
        return NULL;
    }
    SCIM_ERR(err);
    who->tenant = tenant.number;
    SCIM_ERR(scim_subject_find(&who->subject, view, &tenant, who->by, who->text));
    mod_scim_remember(who, view);
    return NULL;
}

static const scim_error *ask(scim_view *view, void *baton)
{
    asking *a = baton;
    scim_who *who = a->who;

    if (!mod_scim_recall(who, view)) {
        SCIM_ERR(look_up(who, view));
    }
    return a->details && is_somebody(who) ? read_details(who, view) : NULL;
}

static void ask_store(scim_who *who, const request_rec *r, bool details, apr_pool_t *pool)
{
    scim_store *store = mod_scim_store(r->server);
    asking a = {who, details};

    who->subject.state = SCIM_SUBJECT_UNKNOWN;
    who->error = store ? scim_store_view(store, ask, &a, pool) : no_store(r, pool);
}

static scim_who *make_who(scim_subject_by by, const char *text, const char *tenant_name,
                          apr_pool_t *pool)
{
    scim_who *who = apr_pcalloc(pool, sizeof(*who));

    who->text = apr_pstrdup(pool, text);
    who->tenant_name = apr_pstrdup(pool, tenant_name);
    who->by = by;
    return who;
}

const scim_who *mod_scim_find(request_rec *r, const char *text, bool details)
{
    scim_subject_by by = (scim_subject_by)mod_scim_endpoint(r).user_attribute;
    scim_who *who = make_who(by, text, mod_scim_tenant(r), r->pool);

    ask_store(who, r, details, r->pool);
    return who;
}

static void log_error(request_rec *r, const scim_error *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, err->rv, r,
                  SCIMLOG(1403) "who a user is cannot be read from the store: %s",
                  err->cause ? err->cause : err->detail);
}

static void log_nobody(request_rec *r, const scim_who *who)
{
    const char *attribute = mod_scim_attribute_name(who->by);

    if (who->error) {
        log_error(r, who->error);
    } else if (who->no_tenant) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      SCIMLOG(1404) "there is no tenant \"%s\": user %s is refused",
                      who->tenant_name, who->text);
    } else if (who->subject.state == SCIM_SUBJECT_AMBIGUOUS) {
        ap_log_rerror(
            APLOG_MARK, APLOG_WARNING, 0, r,
            SCIMLOG(1401) "more than one user of tenant %s has the %s that REMOTE_USER "
                          "is: all of them are refused here",
            who->tenant_name, attribute);
    } else if (who->subject.state == SCIM_SUBJECT_INACTIVE) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      SCIMLOG(1402) "user %s of tenant %s is not active", who->text,
                      who->tenant_name);
    } else if (who->subject.state == SCIM_SUBJECT_UNKNOWN) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      SCIMLOG(1405) "no user of tenant %s has the %s %s", who->tenant_name,
                      attribute, who->text);
    }
}

/* The request that a client sent: its pool is that of its internal redirects,
 * and outlives its subrequests. */
static apr_pool_t *pool_of_all(const request_rec *r)
{
    while (r->main) {
        r = r->main;
    }
    return r->pool;
}

scim_who *mod_scim_who(request_rec *r)
{
    apr_pool_t *pool = pool_of_all(r);
    const char *tenant_name = mod_scim_tenant(r);
    scim_dir_config conf = mod_scim_endpoint(r);
    scim_subject_by by = (scim_subject_by)conf.user_attribute;
    scim_who *who, *first;
    void *data = NULL;

    apr_pool_userdata_get(&data, answers, pool);
    first = data;
    for (who = first; who; who = who->next) {
        if (who->by == by && !strcmp(who->text, r->user) &&
            !strcmp(who->tenant_name, tenant_name)) {
            return who;
        }
    }
    who = make_who(by, r->user, tenant_name, pool);
    ask_store(who, r, conf.export == 1, pool);
    who->next = first;
    apr_pool_userdata_setn(who, answers, NULL, pool);
    log_nobody(r, who);
    return who;
}

static const scim_error *ask_details(scim_view *view, void *baton)
{
    return read_details(baton, view);
}

const scim_subject_details *mod_scim_details(request_rec *r, scim_who *who)
{
    scim_store *store = mod_scim_store(r->server);
    const scim_error *err;

    if (who->details || !is_somebody(who) || !store) {
        return who->details;
    }
    err = scim_store_view(store, ask_details, who, pool_of_all(r));
    if (err && err->code != SCIM_E_NOT_FOUND) {
        log_error(r, err);
    }
    return who->details;
}
