/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scimctl doctor: what is wrong, and what to do about it, from the modes of files to a
 * request as identity providers send them.
 *
 * It goes from the inside to the outside, and from what root may to what the owner of
 * the store may: whatever is below is known when what stands upon it is looked at.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <curl/curl.h>
#include <openssl/crypto.h>

#include "scim/brake.h"
#include "scim/provider.h"
#include "scim/sweep.h"
#include "scim/token.h"

#include "doctor.h"

#define CONNECTION "doctor"
#define TOKEN_LIFE apr_time_from_sec(120)
#define EXPIRY_DAYS 30
#define ENDPOINTS_MAX 10
#define SMALL ((apr_uint64_t)64 << 20) /* what is verified as a whole */

static const char *const levels[] = {"ok", "warn", "FAIL"};

/* Telling */

static void print_check(doctor_level level, const char *what, const char *text,
                        const char *remedy)
{
    printf("%-4s  ", levels[level]);
    ctl_print_text(what);
    printf(": ");
    ctl_print_text(text);
    putchar('\n');
    if (remedy) {
        printf("      -> ");
        ctl_print_text(remedy);
        putchar('\n');
    }
    fflush(stdout);
}

void ctl_doctor_say(doctor *d, doctor_level level, const char *what, const char *remedy,
                    const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    apr_pool_t *pool = d->c->pool;
    const char *text;
    va_list args;

    va_start(args, fmt);
    text = apr_pvsprintf(pool, fmt, args);
    va_end(args);
    d->counts[level]++;
    if (d->c->json) {
        scim_json_append(d->checks,
                         scim_json_pack("{s:s, s:o, s:o, s:o}", "level", words[level], "check",
                                        scim_json_log_text(what, 1024, pool), "text",
                                        scim_json_log_text(text, 2048, pool), "remedy",
                                        scim_json_log_text(remedy, 1024, pool)));
    } else {
        print_check(level, what, text, remedy);
    }
}

/* The store */

static void look_at_fill(doctor *d, const scim_kv_stat *stat)
{
    apr_uint64_t percent = stat->size ? stat->used * 100 / stat->size : 0;
    doctor_level level = percent >= 95 ? DOCTOR_FAIL : percent >= 80 ? DOCTOR_WARN : DOCTOR_OK;

    ctl_doctor_say(
        d, level, "store",
        level == DOCTOR_OK ? NULL
                           : "raise SCIMStoreSize; in a store that is 95 % full only "
                             "deletions succeed",
        "%s%s%s are used", ctl_show_size(stat->used, d->c->pool), stat->size ? " of " : "",
        stat->size ? ctl_show_size(stat->size, d->c->pool) : "");
}

static void look_at_readers(doctor *d, scim_kv *kv, const scim_kv_stat *stat)
{
    int freed = 0;

    if (scim_kv_check(kv, &freed) == SCIM_KV_OK && freed) {
        ctl_doctor_say(d, DOCTOR_WARN, "store",
                       "they are freed now; where it comes again, the error log tells which "
                       "processes end so",
                       "%d view%s of processes that are no more kept old pages", freed,
                       freed == 1 ? "" : "s");
    }
    if (stat->readers * 10 > stat->max_readers * 9) {
        ctl_doctor_say(d, DOCTOR_WARN, "store", "fewer processes and threads of httpd",
                       "%u of %u views are open", stat->readers, stat->max_readers);
    }
}

static void look_for_damage(doctor *d, const scim_kv_stat *stat)
{
    scim_verification sum;
    const scim_error *err;

    if (stat->used > SMALL) {
        return;
    }
    err = scim_verify(&sum, d->c->store, NULL, &(scim_verify_watcher){0}, d->c->pool);
    if (err || sum.findings) {
        ctl_doctor_say(d, DOCTOR_FAIL, "store", "scimctl verify tells where; restore a backup",
                       "something in it is damaged%s%s", err ? ": " : "",
                       err ? err->detail : "");
    } else {
        ctl_doctor_say(d, DOCTOR_OK, "store", NULL,
                       "%" APR_UINT64_T_FMT " entries are checked, and whole", sum.rows);
    }
}

static void look_at_store(doctor *d)
{
    scim_kv *kv = scim_store_kv(d->c->store);
    scim_kv_stat stat;

    ctl_doctor_say(d, DOCTOR_OK, "store", NULL, "%s opens, format %d", d->c->url,
                   SCIM_STORE_FORMAT);
    if (scim_kv_statistics(kv, &stat) == SCIM_KV_OK) {
        look_at_fill(d, &stat);
        look_at_readers(d, kv, &stat);
        look_for_damage(d, &stat);
    }
}

/* As the owner of its directory, whom root becomes for this; with the right to write
 * where there is one. */
static void open_store(doctor *d)
{
    const char *why;
    bool made;

    if (ctl_become_owner(d->c, false) != CTL_OK) {
        ctl_doctor_say(d, DOCTOR_FAIL, "store", NULL, "%s cannot be looked into", d->c->url);
        return;
    }
    why = scim_kv_outlook(&made, d->c->url, false, d->c->pool);
    d->writable = !why;
    if (why) {
        ctl_doctor_say(d, DOCTOR_FAIL, "store",
                       strncmp(d->c->url, "lmdb:", 5)
                           ? "name the right one by --store, as SCIMStore has it"
                           : "run this as root, or as the store's owner",
                       "%s", why);
    }
    d->open = ctl_open_store(d->c, d->c->url,
                             &(scim_store_options){.kv.read_only = !d->writable}) == CTL_OK;
    if (!d->open) {
        ctl_doctor_say(d, DOCTOR_FAIL, "store", "see above", "%s cannot be opened", d->c->url);
    }
}

/* Tenants and tokens */

static const char *of_tenant(const doctor *d, const char *noun, const char *tenant)
{
    return apr_psprintf(d->c->pool, "%s %s", noun, tenant);
}

static void look_at_token(doctor *d, const char *tenant, const scim_identity *token,
                          apr_time_t now)
{
    apr_time_t left = token->expires - now;
    const char *rotate =
        apr_psprintf(d->c->pool, "scimctl token rotate --tenant %s --connection %s", tenant,
                     token->connection);

    if (!token->expires) {
        return;
    }
    if (left <= 0) {
        ctl_doctor_say(
            d, DOCTOR_WARN, of_tenant(d, "token of", tenant),
            apr_psprintf(d->c->pool,
                         "%s makes another; scimctl token revoke ... --hint %s takes "
                         "this one away",
                         rotate, token->hint),
            "the one of %s that ends in %s expired %s", token->connection, token->hint,
            ctl_show_time(token->expires, d->c->pool));
    } else if (left < apr_time_from_sec(EXPIRY_DAYS * 86400)) {
        ctl_doctor_say(d, DOCTOR_WARN, of_tenant(d, "token of", tenant), rotate,
                       "the one of %s that ends in %s expires %s", token->connection,
                       token->hint, ctl_show_time(token->expires, d->c->pool));
    }
}

static void look_at_tokens(doctor *d, const char *tenant, const apr_array_header_t *tokens)
{
    apr_time_t now = apr_time_now();
    int i, good = 0;

    for (i = 0; i < tokens->nelts; i++) {
        const scim_identity *token = &APR_ARRAY_IDX(tokens, i, scim_identity);

        good += !token->expires || token->expires > now;
        look_at_token(d, tenant, token, now);
    }
    if (good) {
        ctl_doctor_say(d, DOCTOR_OK, of_tenant(d, "tenant", tenant), NULL, "%d token%s good",
                       good, good == 1 ? " is" : "s are");
    } else {
        ctl_doctor_say(d, DOCTOR_WARN, of_tenant(d, "tenant", tenant),
                       apr_psprintf(d->c->pool,
                                    "scimctl token create --tenant %s --connection NAME --for "
                                    "entra|jumpcloud|okta",
                                    tenant),
                       "no token is good, so no identity provider gets in");
    }
}

static const scim_error *look_at_tenant(doctor *d, scim_view *view, const scim_tenant *tenant)
{
    apr_array_header_t *tokens;
    scim_brake brake;

    APR_ARRAY_PUSH(d->tenants, const char *) = apr_pstrdup(d->c->pool, tenant->name);
    if (tenant->suspended) {
        ctl_doctor_say(d, DOCTOR_WARN, of_tenant(d, "tenant", tenant->name),
                       apr_psprintf(d->c->pool, "scimctl tenant resume %s", tenant->name),
                       "it is suspended: its identity providers are answered 403");
    }
    SCIM_ERR(scim_brake_read(&brake, view, tenant));
    if (brake.on) {
        ctl_doctor_say(
            d, DOCTOR_WARN, of_tenant(d, "tenant", tenant->name),
            apr_psprintf(d->c->pool,
                         "find out who asks for that; scimctl tenant release %s lets "
                         "it go on",
                         tenant->name),
            "its brake on mass deletion is on: deletions are answered 429");
    }
    SCIM_ERR(scim_token_list(&tokens, view, tenant->name));
    look_at_tokens(d, tenant->name, tokens);
    return NULL;
}

static const scim_error *look_at_tenants(scim_view *view, void *baton)
{
    doctor *d = baton;
    const char *only = d->c->options[CTL_TENANT];
    apr_array_header_t *tenants, *pending;
    scim_tenant tenant;
    int i;

    if (only) {
        SCIM_ERR(scim_tenant_find(&tenant, view, only));
        SCIM_ERR(look_at_tenant(d, view, &tenant));
    } else {
        SCIM_ERR(scim_tenant_list(&tenants, view));
        for (i = 0; i < tenants->nelts; i++) {
            SCIM_ERR(look_at_tenant(d, view, &APR_ARRAY_IDX(tenants, i, scim_tenant)));
        }
        if (!tenants->nelts) {
            ctl_doctor_say(d, DOCTOR_WARN, "tenants", "scimctl tenant create NAME",
                           "there is none yet");
        }
    }
    SCIM_ERR(scim_sweep_list(&pending, view));
    if (pending->nelts) {
        ctl_doctor_say(d, DOCTOR_WARN, "store",
                       "scimctl sweep; a change of any user does it, too",
                       "what %d deleted group%s left is still to be done", pending->nelts,
                       pending->nelts == 1 ? "" : "s");
    }
    return NULL;
}

/* Endpoints */

/* A token for one look, which nobody else sees.  It expires by itself, should this
 * process be killed. */
static bool make_token(doctor *d, char *token, const char *tenant)
{
    apr_time_t now = apr_time_now();
    const scim_error *err =
        scim_token_create(token, d->c->store, tenant, CONNECTION, SCIM_SCOPE_READ, now,
                          now + TOKEN_LIFE, d->c->pool);

    if (err) {
        ctl_doctor_say(d, DOCTOR_WARN, of_tenant(d, "tenant", tenant), NULL,
                       "no token could be made for a request: %s", err->detail);
        return false;
    }
    ctl_audit(d->c, "token.create", tenant, CONNECTION, token + SCIM_TOKEN_LEN - 4);
    return true;
}

static void revoke_token(doctor *d, char *token, const char *tenant)
{
    int revoked;
    const scim_error *err = scim_token_revoke_token(&revoked, d->c->store, token, d->c->pool);

    if (err) {
        ctl_doctor_say(
            d, DOCTOR_WARN, of_tenant(d, "tenant", tenant),
            "scimctl token revoke --connection " CONNECTION,
            "the token of this look could not be revoked; it expires in two minutes");
    } else {
        ctl_audit(d->c, "token.revoke", tenant, CONNECTION, token + SCIM_TOKEN_LEN - 4);
    }
}

static void visit_all(doctor *d, const apr_array_header_t *urls, const char *token, bool made)
{
    int i;

    for (i = 0; i < urls->nelts && i < ENDPOINTS_MAX; i++) {
        ctl_doctor_endpoint(d, APR_ARRAY_IDX(urls, i, const char *), token, made);
    }
}

static void visit_with(doctor *d, const apr_array_header_t *urls, const char *tenant)
{
    char token[4096] = "";
    bool made = false;

    if (d->c->options[CTL_STDIN]) {
        if (!ctl_read_token(token, sizeof(token)) || !scim_token_well_formed(token)) {
            ctl_doctor_say(d, DOCTOR_FAIL, "token",
                           "copy it again, all of it, without \"Bearer\" and without quotes",
                           "what stdin has is no whole token of mod_scim");
            *token = '\0';
        }
    } else if (tenant && d->writable && !d->c->options[CTL_NO_TOKEN]) {
        made = make_token(d, token, tenant);
    }
    if (!*token) {
        ctl_doctor_say(d, DOCTOR_OK, "token", NULL,
                       "no request is sent with a token (-i reads one from stdin)");
    } else if (made) {
        ctl_doctor_say(d, DOCTOR_OK, "token", NULL,
                       "one is made for these requests, as connection " CONNECTION
                       " of tenant %s, and revoked behind them (--no-token)",
                       tenant);
    }
    visit_all(d, urls, *token ? token : NULL, made);
    if (made) {
        revoke_token(d, token, tenant);
    }
    OPENSSL_cleanse(token, sizeof(token));
}

static apr_array_header_t *urls_of(doctor *d, const char *tenant)
{
    const char *url = d->c->options[CTL_URL];
    apr_array_header_t *urls;

    if (!url && tenant) {
        return ctl_tenant_urls(d->c, tenant);
    }
    urls = apr_array_make(d->c->pool, 1, sizeof(const char *));
    if (url) {
        APR_ARRAY_PUSH(urls, const char *) = url;
    }
    return urls;
}

/* The first tenant, where none is named: what it tells of an endpoint is the same for
 * all. */
static const char *tenant_of(const doctor *d)
{
    return d->tenants->nelts ? APR_ARRAY_IDX(d->tenants, 0, const char *) : NULL;
}

static const apr_array_header_t *look_at_endpoints(doctor *d)
{
    const char *tenant = tenant_of(d);
    const apr_array_header_t *urls = urls_of(d, tenant);

    if (urls->nelts) {
        visit_with(d, urls, tenant);
    } else if (d->open && tenant) {
        ctl_doctor_say(d, DOCTOR_WARN, "endpoints",
                       "start httpd with SCIMStore and a <Location> with SCIMEngine On; or "
                       "say the URL: --url",
                       "httpd has told of no endpoint that takes tenant %s", tenant);
    }
    return urls;
}

/* The end of it */

static json_t *json_of_urls(const apr_array_header_t *urls)
{
    json_t *out = scim_json_array();
    int i;

    for (i = 0; i < urls->nelts; i++) {
        scim_json_append(out, scim_json_text(APR_ARRAY_IDX(urls, i, const char *)));
    }
    return out;
}

static void tell_providers(const apr_array_header_t *urls)
{
    apr_array_header_t *one = apr_array_copy(urls->pool, urls);
    const scim_provider *provider;
    int i;

    if (!urls->nelts) {
        return;
    }
    one->nelts = 1; /* that there is a choice is said once */
    putchar('\n');
    for (i = 0; i < urls->nelts; i++) {
        printf("Tenant URL: ");
        ctl_print_text(APR_ARRAY_IDX(urls, i, const char *));
        putchar('\n');
    }
    printf("Secret Token: as scimctl token create prints it, once\n\n");
    fflush(stdout);
    for (provider = scim_providers; provider->name; provider++) {
        ctl_tell_steps(provider->name, provider == scim_providers ? urls : one);
    }
}

static ctl_exit tell_end(doctor *d, const apr_array_header_t *urls)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    int worst = d->counts[DOCTOR_FAIL] ? DOCTOR_FAIL : d->counts[DOCTOR_WARN] ? DOCTOR_WARN : 0;

    if (d->c->json) {
        ctl_print_json(scim_json_pack("{s:s, s:o, s:o}", "result", words[worst], "checks",
                                      d->checks, "tenantUrls", json_of_urls(urls)));
    } else {
        tell_providers(urls);
        printf("\n%d ok, %d warning%s, %d failure%s\n", d->counts[DOCTOR_OK],
               d->counts[DOCTOR_WARN], d->counts[DOCTOR_WARN] == 1 ? "" : "s",
               d->counts[DOCTOR_FAIL], d->counts[DOCTOR_FAIL] == 1 ? "" : "s");
    }
    return d->counts[DOCTOR_FAIL] ? CTL_FAILED : CTL_OK;
}

static void look_inside(doctor *d)
{
    const scim_error *err;

    open_store(d);
    if (!d->open) {
        return;
    }
    look_at_store(d);
    err = scim_store_view(d->c->store, look_at_tenants, d, d->c->pool);
    if (err) {
        ctl_doctor_say(d, DOCTOR_FAIL, "tenants",
                       "scimctl tenant list shows those that there are", "%s", err->detail);
    }
}

ctl_exit ctl_doctor(ctl *c)
{
    doctor d = {.c = c};
    const apr_array_header_t *urls;

    if (c->options[CTL_STDIN] && c->options[CTL_NO_TOKEN]) {
        ctl_complain("doctor takes either -i or --no-token");
        return CTL_USAGE;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    d.checks = c->json ? scim_json_array() : NULL;
    d.tenants = apr_array_make(c->pool, 4, sizeof(const char *));
    ctl_doctor_httpd(&d);
    if (ctl_doctor_files(&d)) {
        look_inside(&d);
    }
    urls = look_at_endpoints(&d);
    return tell_end(&d, urls);
}
