/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings of a configuration that httpd starts with, and that very probably does not do
 * what it was written for.  "apachectl configtest" tells them, and each start does, in the
 * error log.  Nothing of the store is opened for it by httpd, or changed by anybody.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <ap_mpm.h>
#include <http_core.h>
#include <unixd.h>

#include "scim/text.h"

APLOG_USE_MODULE(scim);

#define MIB ((apr_uint64_t)1024 * 1024)

/* A look that takes longer is given up: a disk that hangs is not to hang httpd. */
#define LOOK_SECONDS 5

/* What is known of a store without opening it. */
typedef struct outlook {
    const char *fault;           /* why it cannot be used; NULL: it can, or that is not known */
    const char *full;            /* how little room is left; NULL: enough */
    apr_array_header_t *tenants; /* names (const char *); NULL: not known */
} outlook;

typedef struct warning {
    server_rec *first;
    apr_hash_t *said;   /* what is told of already: server configurations are inherited */
    apr_hash_t *stores; /* url -> outlook */
    apr_pool_t *pool;
} warning;

/* Whether a line of the configuration is told of for the first time. */
static bool is_new(const warning *w, const char *what, const char *file, int line)
{
    const char *key = apr_psprintf(w->pool, "%s %d %s", what, line, file);

    if (apr_hash_get(w->said, key, APR_HASH_KEY_STRING)) {
        return false;
    }
    apr_hash_set(w->said, key, APR_HASH_KEY_STRING, "");
    return true;
}

/* "; did you mean acme?", or nothing. */
static const char *guess(const char *word, const apr_array_header_t *words, apr_pool_t *pool)
{
    const char *nearest =
        scim_text_nearest(word, (const char *const *)words->elts, words->nelts);

    return nearest ? apr_pstrcat(pool, "; did you mean ", nearest, "?", NULL) : "";
}

/* The store */

typedef struct look {
    const char *url;
    bool read_only;
} look;

enum { TELL_FAULT = '!', TELL_FULL = '<', TELL_KNOWN = '=', TELL_TENANT = '+' };

/* A store needs some room for a change of anything, and grows. */
static const char *tell_room(const char *url, apr_pool_t *pool)
{
    apr_uint64_t room, size;

    if (!scim_kv_room(&room, &size, url) || room >= 64 * MIB || room >= size / 20) {
        return "";
    }
    return apr_psprintf(pool, "%c%" APR_UINT64_T_FMT "\n", TELL_FULL, room / MIB);
}

static const char *tell_tenants(const char *url, apr_pool_t *pool)
{
    apr_array_header_t *names;
    const char *text;
    int i;

    if (!scim_tenant_peek(&names, url, pool)) {
        return "";
    }
    text = apr_psprintf(pool, "%c\n", TELL_KNOWN);
    for (i = 0; i < names->nelts; i++) {
        APR_ARRAY_IDX(names, i, const char *) =
            apr_psprintf(pool, "%c%s", TELL_TENANT, APR_ARRAY_IDX(names, i, const char *));
    }
    return apr_pstrcat(pool, text, apr_array_pstrcat(pool, names, '\n'), NULL);
}

static const char *look_as_user(const char **told, void *baton, apr_pool_t *pool)
{
    const look *at = baton;
    bool made;
    const char *fault = scim_kv_outlook(&made, at->url, at->read_only, pool);

    if (fault) {
        *told = apr_psprintf(pool, "%c%s\n", TELL_FAULT, fault);
    } else if (made) {
        *told = apr_pstrcat(pool, tell_room(at->url, pool), tell_tenants(at->url, pool), NULL);
    }
    return NULL;
}

static void take_line(outlook *out, const char *line, apr_pool_t *pool)
{
    switch (*line) {
    case TELL_FAULT:
        out->fault = line + 1;
        break;
    case TELL_FULL:
        out->full = line + 1;
        break;
    case TELL_KNOWN:
        out->tenants = apr_array_make(pool, 8, sizeof(const char *));
        break;
    case TELL_TENANT:
        APR_ARRAY_PUSH(out->tenants, const char *) = line + 1;
        break;
    }
}

/* Who is not the one that httpd will be cannot say what that one may. */
static bool can_judge(void)
{
    uid_t uid = geteuid();

    return uid == 0 || uid == ap_unixd_config.user_id || !ap_unixd_config.user_name ||
           !strcmp(ap_unixd_config.user_name, "#-1");
}

static const outlook *look_at(const warning *w, const server_rec *s)
{
    scim_server_config conf = mod_scim_resolved(s);
    outlook *out = apr_hash_get(w->stores, conf.store_url, APR_HASH_KEY_STRING);
    look at = {conf.store_url, conf.read_only == 1};
    const char *told;
    char *line, *last;
    int status;

    if (out) {
        return out;
    }
    out = apr_pcalloc(w->pool, sizeof(*out));
    apr_hash_set(w->stores, conf.store_url, APR_HASH_KEY_STRING, out);
    /* One that is elsewhere is not looked at but by a start. */
    if (scim_kv_networked(conf.store_url)) {
        out->tenants = conf.known_tenants;
        return out;
    }
    if (!can_judge() ||
        mod_scim_in_process(&told, &status, look_as_user, &at, LOOK_SECONDS, w->pool)) {
        return out;
    }
    for (line = apr_strtok(apr_pstrdup(w->pool, told), "\n", &last); line;
         line = apr_strtok(NULL, "\n", &last)) {
        take_line(out, line, w->pool);
    }
    return out;
}

/* A start says itself, louder, what is wrong with a store. */
static void warn_of_store(const warning *w, server_rec *s)
{
    const char *url = mod_scim_server(s)->store_url;
    const outlook *store = look_at(w, s);

    if (!is_new(w, "store", url, 0)) {
        return;
    }
    if (store->fault && ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_NORMAL) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1312) "SCIMStore %s: %s - httpd would not start", url,
                     store->fault);
    }
    if (store->full) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1313) "SCIMStore %s: its file system has %s MiB left; changes are "
                                   "answered 507 when there is none: make room, or move the "
                                   "store",
                     url, store->full);
    }
}

/* Tenants */

static bool has_name(const apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; i < names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(names, i, const char *), name)) {
            return true;
        }
    }
    return false;
}

static void warn_of_tenant(const warning *w, server_rec *s, const scim_line *line,
                           const apr_array_header_t *tenants)
{
    if (strpbrk(line->what, "%$\\") || has_name(tenants, line->what) ||
        !is_new(w, "tenant", line->file, line->line)) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 SCIMLOG(1314) "SCIMTenant %s at line %d of %s: %s has no tenant of that "
                               "name, so nobody comes in before \"scimctl tenant create %s\"%s",
                 line->what, line->line, line->file, mod_scim_server(s)->store_url, line->what,
                 guess(line->what, tenants, w->pool));
}

/* Without any SCIMTenant those who are asked about are those of tenant default. */
static void warn_of_default(const warning *w, server_rec *s, const apr_array_header_t *tenants)
{
    const scim_server_config *conf = mod_scim_server(s);
    const scim_line *line;

    if (conf->tenants->nelts || !conf->consumers->nelts || !tenants->nelts ||
        has_name(tenants, "default")) {
        return;
    }
    line = &APR_ARRAY_IDX(conf->consumers, 0, scim_line);
    if (is_new(w, "default", line->file, line->line)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1315) "%s at line %d of %s asks for users of the tenant default, "
                                   "which %s has not: add SCIMTenant (%s)",
                     line->what, line->line, line->file, conf->store_url,
                     tenants->nelts == 1 ? APR_ARRAY_IDX(tenants, 0, const char *)
                                         : "scimctl tenant list");
    }
}

static void warn_of_tenants(const warning *w, server_rec *s)
{
    const apr_array_header_t *lines = mod_scim_server(s)->tenants;
    const apr_array_header_t *tenants = look_at(w, s)->tenants;
    int i;

    if (!tenants) {
        return;
    }
    for (i = 0; i < lines->nelts; i++) {
        warn_of_tenant(w, s, &APR_ARRAY_IDX(lines, i, scim_line), tenants);
    }
    warn_of_default(w, s, tenants);
}

/* Policies */

/* Of two sections of one tenant in one server the later has hidden the earlier. */
static void warn_of_sections(const warning *w, server_rec *s)
{
    const apr_array_header_t *sections = mod_scim_server(s)->tenant_policies;
    int i, j;

    for (i = 0; i < sections->nelts; i++) {
        const scim_tenant_policy *one = &APR_ARRAY_IDX(sections, i, scim_tenant_policy);

        for (j = i + 1; j < sections->nelts; j++) {
            const scim_tenant_policy *later = &APR_ARRAY_IDX(sections, j, scim_tenant_policy);

            if (one->server == later->server && !strcmp(one->name, later->name) &&
                is_new(w, "section", one->file, one->line)) {
                ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                             SCIMLOG(1316) "<SCIMTenantPolicy %s> at line %d of %s has no "
                                           "effect: the section at line %d of %s is of the "
                                           "same tenant, and the last one counts; make them "
                                           "one",
                             one->name, one->line, one->file, later->line, later->file);
            }
        }
    }
}

static void warn_of_policy(const warning *w, server_rec *s, const char *name)
{
    scim_server_config *conf = mod_scim_server(s);
    scim_policy policy = mod_scim_policy(name, conf, w->pool);

    if (policy.on_group_delete == SCIM_ON_DELETE_KEEP || policy.roles_count ||
        !is_new(w, "no role", name ? name : "", 0)) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 SCIMLOG(1317) "SCIMOnGroupDelete%s%s has no effect: no SCIMRole says which "
                               "groups give a role, and only their members are meant",
                 name ? " of tenant " : "", name ? name : "");
}

static void warn_of_policies(const warning *w, server_rec *s)
{
    const apr_array_header_t *sections = mod_scim_server(s)->tenant_policies;
    int i;

    warn_of_sections(w, s);
    for (i = 0; i < sections->nelts; i++) {
        const scim_tenant_policy *section = &APR_ARRAY_IDX(sections, i, scim_tenant_policy);

        /* What is said for all tenants need not be meant for each. */
        if (section->policy.on_group_delete != SCIM_UNSET) {
            warn_of_policy(w, s, section->name);
        }
    }
    /* Where each tenant has a section, that of tenants to come may be another's care. */
    if (!sections->nelts) {
        warn_of_policy(w, s, NULL);
    }
}

/* Roles that Require asks for */

/* Without case, as Require has it. */
static bool has_role(const apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; i < names->nelts; i++) {
        if (!ap_cstr_casecmp(APR_ARRAY_IDX(names, i, const char *), name)) {
            return true;
        }
    }
    return false;
}

static void add_roles(apr_array_header_t *names, const apr_array_header_t *roles)
{
    int i;

    for (i = 0; roles && i < roles->nelts; i++) {
        const char *name = APR_ARRAY_IDX(roles, i, scim_role_pattern).role;

        if (!has_role(names, name)) {
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
}

/* That any tenant of the server knows. */
static apr_array_header_t *roles_of(const scim_server_config *conf, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 8, sizeof(const char *));
    int i;

    add_roles(names, conf->policy.roles);
    for (i = 0; i < conf->tenant_policies->nelts; i++) {
        add_roles(names,
                  APR_ARRAY_IDX(conf->tenant_policies, i, scim_tenant_policy).policy.roles);
    }
    return names;
}

static void warn_of_role(const warning *w, server_rec *s, const scim_line *line,
                         const char *role, const apr_array_header_t *roles)
{
    if (strstr(role, "%{") || !ap_cstr_casecmp(role, "not") || has_role(roles, role) ||
        !is_new(w, apr_pstrcat(w->pool, "role ", role, NULL), line->file, line->line)) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 SCIMLOG(1318) "Require scim-role at line %d of %s: no SCIMRole gives the role "
                               "%s, so nobody has it%s",
                 line->line, line->file, role, guess(role, roles, w->pool));
}

/* What a store that is only read has for policies is another server's. */
static void warn_of_roles(const warning *w, server_rec *s)
{
    const scim_server_config *conf = mod_scim_server(s);
    const apr_array_header_t *roles = roles_of(conf, w->pool);
    int i;

    for (i = 0; i < conf->consumers->nelts && conf->read_only != 1; i++) {
        const scim_line *line = &APR_ARRAY_IDX(conf->consumers, i, scim_line);
        const char *words = line->at->args;

        if (strcmp(line->what, "Require scim-role") ||
            ap_cstr_casecmp(line->at->directive, "Require")) {
            continue;
        }
        words = ap_strcasestr(words, "scim-role") + strlen("scim-role");
        while (*words) {
            warn_of_role(w, s, line, ap_getword_conf(w->pool, &words), roles);
        }
    }
}

/* Passwords */

static bool keeps_passwords(const scim_server_config *conf)
{
    int i, kept = conf->policy.password_sync == 1;

    for (i = 0; i < conf->tenant_policies->nelts; i++) {
        kept |=
            APR_ARRAY_IDX(conf->tenant_policies, i, scim_tenant_policy).policy.password_sync ==
            1;
    }
    return kept;
}

static bool asks_for_passwords(const ap_directive_t *line, apr_pool_t *pool)
{
    const char *words = line->args;

    if (ap_cstr_casecmp(line->directive, "AuthBasicProvider") &&
        ap_cstr_casecmp(line->directive, "AuthFormProvider")) {
        return false;
    }
    while (*words) {
        if (!ap_cstr_casecmp(ap_getword_conf(pool, &words), "scim")) {
            return true;
        }
    }
    return false;
}

static bool any_keeps_passwords(const server_rec *s)
{
    bool kept = false;

    for (; s; s = s->next) {
        kept |= keeps_passwords(mod_scim_server(s)) || mod_scim_server(s)->read_only == 1;
    }
    return kept;
}

static void warn_of_passwords(const warning *w, const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (line->first_child) {
            warn_of_passwords(w, line->first_child);
        } else if (asks_for_passwords(line, w->pool)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, w->first,
                         SCIMLOG(1319) "%s scim at line %d of %s: nobody can log in, since no "
                                       "passwords are kept; set SCIMPasswordSync On for the "
                                       "tenant",
                         line->directive, line->line_num, line->filename);
        }
    }
}

/* Endpoints */

static bool same_endpoint(const scim_endpoint *a, const scim_endpoint *b)
{
    return (a->line == b->line && !strcmp(a->file, b->file)) ||
           (a->base && b->base && !strcmp(a->base, b->base));
}

/* Whether a server has the same endpoint and speaks TLS: that without tells those who come
 * without. */
static bool is_served_by_tls(const server_rec *s, const scim_endpoint *endpoint)
{
    int i;

    for (; s; s = s->next) {
        const apr_array_header_t *endpoints = mod_scim_server(s)->endpoints;

        for (i = 0; i < endpoints->nelts && mod_scim_speaks_tls(s); i++) {
            if (same_endpoint(&APR_ARRAY_IDX(endpoints, i, scim_endpoint), endpoint)) {
                return true;
            }
        }
    }
    return false;
}

/* Of another module than mod_ssl nothing is known. */
static bool other_tls(const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (!ap_cstr_casecmp(line->directive, "GnuTLSEnable") ||
            !ap_cstr_casecmp(line->directive, "NSSEngine") ||
            !ap_cstr_casecmp(line->directive, "TLSEngine") || other_tls(line->first_child)) {
            return true;
        }
    }
    return false;
}

static void warn_of_transport(const warning *w, server_rec *s, const scim_endpoint *endpoint,
                              const scim_effective *here)
{
    if (here->conf.require_tls == SCIM_TLS_ON && !is_served_by_tls(w->first, endpoint) &&
        mod_scim_serves_others(s) && !other_tls(ap_conftree) &&
        is_new(w, "TLS", endpoint->file, endpoint->line)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1320) "SCIMEngine On at line %d of %s: there is no TLS (SSLEngine "
                                   "on) here, so all requests that do not come from this "
                                   "machine are answered 403; add it, or, where a proxy in "
                                   "front ends TLS, say so by SCIMRequireTLS",
                     endpoint->line, endpoint->file);
    }
    if (here->conf.require_tls != SCIM_TLS_OFF && here->conf.base_url &&
        !strncmp(here->conf.base_url, "http:", 5) && mod_scim_serves_others(s) &&
        is_new(w, "URL", endpoint->file, endpoint->line)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1321) "SCIMEngine On at line %d of %s: clients are told to come "
                                   "to %s, and SCIMRequireTLS refuses who does; make "
                                   "SCIMBaseURL https://...",
                     endpoint->line, endpoint->file, here->conf.base_url);
    }
}

/* Whether an <If> sets an AuthType: that is known only of a request. */
static bool depends(const ap_directive_t *line, bool inside)
{
    for (; line; line = line->next) {
        bool condition = inside || !ap_cstr_casecmpn(line->directive, "<If", 3) ||
                         !ap_cstr_casecmpn(line->directive, "<Else", 5);

        if ((condition && !ap_cstr_casecmp(line->directive, "AuthType")) ||
            depends(line->first_child, condition)) {
            return true;
        }
    }
    return false;
}

static void warn_of_nobody(const warning *w, server_rec *s, const scim_endpoint *endpoint,
                           const scim_effective *here)
{
    if (here->auth_type || here->conf.connection || depends(ap_conftree, false) ||
        !is_new(w, "nobody", endpoint->file, endpoint->line)) {
        return;
    }
    ap_log_error(
        APLOG_MARK, APLOG_WARNING, 0, s,
        SCIMLOG(1322) "SCIMEngine On at line %d of %s: nobody is asked for a token, so "
                      "all requests are answered 500; add AuthType Bearer, AuthName "
                      "SCIM and Require valid-user",
        endpoint->line, endpoint->file);
}

static void warn_of_pages(const warning *w, server_rec *s, const scim_endpoint *endpoint,
                          const scim_effective *here)
{
    if (here->set->default_page > here->conf.max_page &&
        is_new(w, "pages", endpoint->file, endpoint->line)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     SCIMLOG(1323) "SCIMEngine On at line %d of %s: SCIMDefaultPageSize is %d, "
                                   "and no list has more than the %d of SCIMMaxPageSize",
                     endpoint->line, endpoint->file, (int)here->conf.default_page,
                     (int)here->conf.max_page);
    }
}

static void warn_of_endpoints(const warning *w, server_rec *s)
{
    const apr_array_header_t *endpoints = mod_scim_server(s)->endpoints;
    int i;

    for (i = 0; i < endpoints->nelts; i++) {
        const scim_endpoint *endpoint = &APR_ARRAY_IDX(endpoints, i, scim_endpoint);
        scim_effective here;

        if (endpoint->conf->engine != 1) {
            continue;
        }
        here = mod_scim_effective(s, endpoint, w->pool);
        if (here.conf.engine == 1) {
            warn_of_transport(w, s, endpoint, &here);
            warn_of_nobody(w, s, endpoint, &here);
            warn_of_pages(w, s, endpoint, &here);
        }
    }
}

/* The page of connections */

/* A section that is in no virtual host holds in all of them. */
static bool is_for(const server_rec *s, const ap_directive_t *section)
{
    while (section && ap_cstr_casecmp(section->directive, "<VirtualHost")) {
        section = section->parent;
    }
    return !section || (s->defn_name && !strcmp(s->defn_name, section->filename) &&
                        (int)s->defn_line_number == section->line_num);
}

static bool has_tenant_at(const warning *w, const ap_directive_t *section, const char *path)
{
    static const scim_dir_config nothing;
    const scim_endpoint place = {.base = path, .conf = &nothing};
    const server_rec *s;

    for (s = w->first; s; s = s->next) {
        if (is_for(s, section) && (mod_scim_server(s)->tenant ||
                                   mod_scim_effective(s, &place, w->pool).set->tenant)) {
            return true;
        }
    }
    return false;
}

/* The path of a <Location>; NULL for whatever else a section is, a pattern among them. */
static const char *path_of(const ap_directive_t *section, apr_pool_t *pool)
{
    const char *args = section && !ap_cstr_casecmp(section->directive, "<Location")
                           ? apr_pstrdup(pool, section->args)
                           : "~";
    const char *path = ap_getword_conf(pool, &args);
    apr_size_t len = strcspn(path, ">");

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return *path == '/' && !strpbrk(path, "*?[") ? apr_pstrmemdup(pool, path, len) : NULL;
}

static void warn_of_connections(const warning *w, const ap_directive_t *line)
{
    for (; line; line = line->next) {
        const char *args = line->args;
        const char *path = NULL;

        warn_of_connections(w, line->first_child);
        if (!ap_cstr_casecmp(line->directive, "SetHandler") &&
            !ap_cstr_casecmp(ap_getword_conf(w->pool, &args), SCIM_CONNECTIONS_HANDLER)) {
            path = path_of(line->parent, w->pool);
        }
        if (path && !has_tenant_at(w, line->parent, path)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, w->first,
                         SCIMLOG(1807) "SetHandler scim-connections at line %d of %s: no "
                                       "SCIMTenant says whose connections these are, so the "
                                       "page is answered 500; add one",
                         line->line_num, line->filename);
        }
    }
}

void mod_scim_warn(server_rec *first, apr_pool_t *ptemp)
{
    warning w = {first, apr_hash_make(ptemp), apr_hash_make(ptemp), ptemp};
    server_rec *s;

    for (s = first; s; s = s->next) {
        if (mod_scim_server(s)->store_url) {
            warn_of_store(&w, s);
            warn_of_tenants(&w, s);
            warn_of_policies(&w, s);
            warn_of_roles(&w, s);
            warn_of_endpoints(&w, s);
        }
    }
    if (!any_keeps_passwords(first)) {
        warn_of_passwords(&w, ap_conftree);
    }
    warn_of_connections(&w, ap_conftree);
}

/* Of the two readings at start the first is for faults. */
int mod_scim_warn_at_start(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                           server_rec *s)
{
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        mod_scim_warn(s, ptemp);
    }
    return OK;
}
