/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AuthBasicProvider scim: people log in to httpd's sites with the passwords
 * that their identity provider has set (SCIMPasswordSync).
 *
 * Nothing that is decided here is told to mod_authn_socache: what it remembers
 * of a user would outlive the user's deactivation.
 */
#include "mod_scim.h"

#include <http_request.h>
#include <mod_auth.h>

#include "scim/secret.h"

APLOG_USE_MODULE(scim);

/* What one view tells of a user name. */
typedef struct login {
    const char *name;
    const char *tenant_name;
    scim_subject_by by;
    bool no_tenant;
    scim_tenant tenant;
    scim_subject subject;
    const char *hash; /* of the password of an active user; or NULL */
} login;

static const scim_error *read_login(scim_view *view, void *baton)
{
    login *l = baton;
    const scim_error *err = scim_tenant_find(&l->tenant, view, l->tenant_name);

    l->no_tenant = err && err->code == SCIM_E_NOT_FOUND;
    if (l->no_tenant) {
        return NULL;
    }
    SCIM_ERR(err);
    SCIM_ERR(scim_subject_find(&l->subject, view, &l->tenant, l->by, l->name));
    return l->subject.state == SCIM_SUBJECT_ACTIVE && l->tenant.policy.password_sync
               ? scim_secret_find(&l->hash, view, &l->tenant, &l->subject.id)
               : NULL;
}

/* What httpd is told of one who has no password here that could be right.
 * "Not found" lets the next provider answer; "denied" does not. */
static authn_status refuse(request_rec *r, const login *l)
{
    bool several;

    if (l->no_tenant) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      SCIMLOG(1413) "AuthBasicProvider scim: there is no tenant \"%s\" in the "
                                    "store (SCIMTenant)",
                      l->tenant_name);
        return AUTH_USER_NOT_FOUND;
    }
    if (!l->tenant.policy.password_sync) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      SCIMLOG(1414) "AuthBasicProvider scim: no passwords are kept for tenant "
                                    "%s, so none of its users can log in (SCIMPasswordSync)",
                      l->tenant.name);
        return AUTH_USER_NOT_FOUND;
    }
    if (l->subject.state == SCIM_SUBJECT_UNKNOWN || l->subject.state == SCIM_SUBJECT_ACTIVE) {
        return AUTH_USER_NOT_FOUND;
    }
    several = l->subject.state == SCIM_SUBJECT_AMBIGUOUS;
    ap_log_rerror(APLOG_MARK, several ? APLOG_WARNING : APLOG_INFO, 0, r,
                  SCIMLOG(1415) "%s %s of tenant %s %s", mod_scim_attribute_name(l->by),
                  l->name, l->tenant.name,
                  several ? "is that of several users: none of them can log in by it"
                          : "is that of a user who is not active");
    return AUTH_DENIED;
}

static authn_status fail(request_rec *r, const scim_error *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, err->rv, r,
                  SCIMLOG(1411) "AuthBasicProvider scim: the store cannot be read: %s",
                  err->cause ? err->cause : err->detail);
    return AUTH_GENERAL_ERROR;
}

static authn_status no_store(request_rec *r)
{
    if (mod_scim_server(r->server)->store_url) {
        return fail(r, mod_scim_no_store(r));
    }
    ap_log_rerror(
        APLOG_MARK, APLOG_ERR, 0, r,
        SCIMLOG(1412) "AuthBasicProvider scim: there is no SCIMStore for this server, "
                      "so nobody can log in");
    return AUTH_GENERAL_ERROR;
}

/* Before a password is looked at, the user must be there and active; and who is
 * refused for that is kept waiting as long as one whose password is wrong. */
static authn_status check_password(request_rec *r, const char *name, const char *password)
{
    scim_store *store = mod_scim_store(r->server);
    login l = {.name = name,
               .tenant_name = mod_scim_tenant(r),
               .by = (scim_subject_by)mod_scim_endpoint(r).user_attribute};
    const scim_error *err;
    bool right;

    /* mod_auth_basic decoded it, for this request alone. */
    if (r->ap_auth_type && !ap_cstr_casecmp(r->ap_auth_type, "Basic")) {
        mod_scim_wipe_later(password, r->pool);
    }
    if (!store) {
        return no_store(r);
    }
    err = scim_store_view(store, read_login, &l, r->pool);
    if (err) {
        return fail(r, err);
    }
    right = scim_secret_verify(l.hash, password, r->pool);
    if (!l.hash) {
        return refuse(r, &l);
    }
    return right ? AUTH_GRANTED : AUTH_DENIED;
}

void mod_scim_register_basic(apr_pool_t *pool)
{
    static const authn_provider provider = {check_password, NULL};

    ap_register_auth_provider(pool, AUTHN_PROVIDER_GROUP, "scim", AUTHN_PROVIDER_VERSION,
                              &provider, AP_AUTH_INTERNAL_PER_CONF);
}
