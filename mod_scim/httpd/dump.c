/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "apachectl -t -D DUMP_SCIM": what the configuration comes to, server by server and endpoint
 * by endpoint, as the directives that would say so.
 */
#include "mod_scim.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>
#include <http_core.h>
#include <util_cfgtree.h>

#define IN_SERVER "    "
#define IN_SECTION "        "
#define VALUE_WIDTH 44

typedef struct dump {
    apr_file_t *out;
    apr_pool_t *pool;
} dump;

/* Values as text; NULL: there is none. */

static const char *size_text(apr_int64_t size, apr_pool_t *pool)
{
    static const char units[] = "kmgt";
    const char *unit = "";

    while (size && size % 1024 == 0 && (!*unit || unit[1])) {
        size /= 1024;
        unit = *unit ? unit + 1 : units;
    }
    return apr_psprintf(pool, "%" APR_INT64_T_FMT "%.1s", size, unit);
}

static const char *time_text(apr_interval_time_t time, apr_pool_t *pool)
{
    apr_int64_t seconds = apr_time_sec(time);

    if (time % APR_USEC_PER_SEC) {
        return apr_psprintf(pool, "%" APR_INT64_T_FMT "ms", apr_time_as_msec(time));
    }
    if (seconds % 3600 == 0) {
        return apr_psprintf(pool, "%" APR_INT64_T_FMT "h", seconds / 3600);
    }
    return seconds % 60 == 0 ? apr_psprintf(pool, "%" APR_INT64_T_FMT "min", seconds / 60)
                             : apr_psprintf(pool, "%" APR_INT64_T_FMT "s", seconds);
}

static const char *number_text(apr_int64_t number, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, number);
}

static const char *quoted(const char *text, apr_pool_t *pool)
{
    return text && (!*text || strpbrk(text, " \t\"'"))
               ? apr_pstrcat(pool, "\"", ap_escape_quotes(pool, text), "\"", NULL)
               : text;
}

/* Settings */

typedef enum kind { AS_FLAG, AS_NUMBER, AS_SIZE, AS_TIME, AS_WORD, AS_TEXT, AS_OTHER } kind;

typedef struct setting {
    const char *name;
    kind kind;
    apr_size_t at;            /* of its member, where it has one */
    const char *const *words; /* of AS_WORD, by its number */
    const char *(*text)(const void *conf, apr_pool_t *pool); /* of AS_OTHER */
} setting;

static const char *value_of(const setting *what, const void *conf, apr_pool_t *pool)
{
    const void *at = (const char *)conf + what->at;

    switch (what->kind) {
    case AS_FLAG:
        return *(const int *)at ? "On" : "Off";
    case AS_NUMBER:
        return number_text(*(const apr_int64_t *)at, pool);
    case AS_SIZE:
        return size_text(*(const apr_int64_t *)at, pool);
    case AS_TIME:
        return time_text(*(const apr_interval_time_t *)at, pool);
    case AS_WORD:
        return what->words[*(const int *)at];
    case AS_TEXT:
        return quoted(*(const char *const *)at, pool);
    default:
        return what->text(conf, pool);
    }
}

/* One line; with the default where there is one and it is something else. */
static void print_setting(const dump *d, const setting *what, const void *conf,
                          const void *defaults, const char *indent)
{
    const char *value = value_of(what, conf, d->pool);
    const char *otherwise = value_of(what, defaults, d->pool);
    const char *line;

    if (!value) {
        return;
    }
    line = apr_pstrcat(d->pool, indent, what->name, " ", value, NULL);
    if (!otherwise || !strcmp(value, otherwise)) {
        apr_file_printf(d->out, "%s\n", line);
    } else {
        apr_file_printf(d->out, "%-*s (default: %s)\n", VALUE_WIDTH, line, otherwise);
    }
}

#define DEFAULT(type, name, unset, otherwise) .name = (otherwise),

/* Of a server */

static const char *store_size_text(const void *conf, apr_pool_t *pool)
{
    apr_int64_t size = ((const scim_server_config *)conf)->store_size;

    return size ? size_text(size, pool) : "64g"; /* the engine's own */
}

/* What a program is given may be a secret. */
static const char *audit_log_text(const void *conf, apr_pool_t *pool)
{
    const char *log = ((const scim_server_config *)conf)->audit_log, *end;

    if (!log || *log != '|') {
        return quoted(log, pool);
    }
    end = log + strcspn(log, " \t");
    return quoted(apr_pstrcat(pool, apr_pstrmemdup(pool, log, (apr_size_t)(end - log)),
                              *end ? " ..." : "", NULL),
                  pool);
}

#define OF_SERVER(member) offsetof(scim_server_config, member)

static const setting of_server[] = {
    {"SCIMStore", AS_TEXT, OF_SERVER(store_url), NULL, NULL},
    {"SCIMStoreSize", AS_OTHER, 0, NULL, store_size_text},
    {"SCIMStoreConnections", AS_NUMBER, OF_SERVER(store_connections), NULL, NULL},
    {"SCIMWriteTimeout", AS_TIME, OF_SERVER(write_timeout), NULL, NULL},
    {"SCIMScanLimit", AS_NUMBER, OF_SERVER(scan_limit), NULL, NULL},
    {"SCIMReadOnly", AS_FLAG, OF_SERVER(read_only), NULL, NULL},
    {"SCIMAuditLog", AS_OTHER, 0, NULL, audit_log_text},
    {"SCIMTenant", AS_TEXT, OF_SERVER(tenant_text), NULL, NULL},
};

static void print_server_settings(const dump *d, const server_rec *s)
{
    static const scim_server_config defaults = {SCIM_SERVER_CONFIG(DEFAULT)};
    scim_server_config conf = mod_scim_resolved(s);
    apr_size_t i;
    int j;

    for (i = 0; i < sizeof(of_server) / sizeof(of_server[0]); i++) {
        print_setting(d, &of_server[i], &conf, &defaults, IN_SERVER);
    }
    for (j = 0; j < conf.documents->nelts; j++) {
        apr_file_printf(d->out, IN_SERVER "%s\n",
                        APR_ARRAY_IDX(conf.documents, j, scim_document).name);
    }
}

/* Of a policy */

static const char *const custom_groups_words[] = {"accept", "ignore", "refuse"};
static const char *const on_group_delete_words[] = {"keep", "deactivate", "delete"};

static const char *custom_groups_text(const void *conf, apr_pool_t *pool)
{
    return custom_groups_words[((const scim_policy *)conf)->custom_groups];
}

static const char *on_group_delete_text(const void *conf, apr_pool_t *pool)
{
    return on_group_delete_words[((const scim_policy *)conf)->on_group_delete];
}

static const char *delete_limit_text(const void *conf, apr_pool_t *pool)
{
    apr_uint32_t limit = ((const scim_policy *)conf)->delete_limit;

    return limit ? apr_psprintf(pool, "%u/h", limit) : "Off";
}

static const char *password_sync_text(const void *conf, apr_pool_t *pool)
{
    return ((const scim_policy *)conf)->password_sync ? "On" : "Off";
}

static const char *unique_names_text(const void *conf, apr_pool_t *pool)
{
    return ((const scim_policy *)conf)->unique_group_names ? "On" : "Off";
}

static const char *dangling_text(const void *conf, apr_pool_t *pool)
{
    return ((const scim_policy *)conf)->dangling_references ? "allow" : "refuse";
}

static const setting of_policy[] = {
    {"SCIMCustomGroups", AS_OTHER, 0, NULL, custom_groups_text},
    {"SCIMOnGroupDelete", AS_OTHER, 0, NULL, on_group_delete_text},
    {"SCIMDeleteLimit", AS_OTHER, 0, NULL, delete_limit_text},
    {"SCIMPasswordSync", AS_OTHER, 0, NULL, password_sync_text},
    {"SCIMUniqueGroupNames", AS_OTHER, 0, NULL, unique_names_text},
    {"SCIMDanglingReferences", AS_OTHER, 0, NULL, dangling_text},
};

static void print_policy(const dump *d, const scim_policy *policy)
{
    scim_policy defaults = scim_policy_default();
    apr_size_t i;
    int j;

    for (j = 0; j < policy->roles_count; j++) {
        apr_file_printf(d->out, IN_SECTION "SCIMRole %s \"%s\"\n", policy->roles[j].role,
                        ap_escape_quotes(d->pool, policy->roles[j].pattern));
    }
    for (i = 0; i < sizeof(of_policy) / sizeof(of_policy[0]); i++) {
        print_setting(d, &of_policy[i], policy, &defaults, IN_SECTION);
    }
}

/* Of two sections of one name the last counts. */
static bool is_hidden(const apr_array_header_t *sections, int i)
{
    const char *name = APR_ARRAY_IDX(sections, i, scim_tenant_policy).name;

    while (++i < sections->nelts) {
        if (!strcmp(APR_ARRAY_IDX(sections, i, scim_tenant_policy).name, name)) {
            return true;
        }
    }
    return false;
}

static void print_policies(const dump *d, scim_server_config *conf)
{
    const apr_array_header_t *sections = conf->tenant_policies;
    scim_policy policy = mod_scim_policy(NULL, conf, d->pool);
    int i;

    apr_file_printf(d->out, IN_SERVER "policy of %s tenants\n",
                    sections->nelts ? "other" : "all");
    print_policy(d, &policy);
    for (i = 0; i < sections->nelts; i++) {
        const scim_tenant_policy *section = &APR_ARRAY_IDX(sections, i, scim_tenant_policy);

        if (!is_hidden(sections, i)) {
            policy = mod_scim_policy(section->name, conf, d->pool);
            apr_file_printf(d->out, IN_SERVER "policy of tenant %s (%s:%d)\n", section->name,
                            section->file, section->line);
            print_policy(d, &policy);
        }
    }
}

/* Of an endpoint */

static const char *bulk_text(const void *conf, apr_pool_t *pool)
{
    const scim_dir_config *dir = conf;

    return dir->bulk_operations
               ? apr_psprintf(pool, "%" APR_INT64_T_FMT " %s", dir->bulk_operations,
                              size_text(dir->bulk_bytes, pool))
               : "Off";
}

static const char *tls_text(const void *conf, apr_pool_t *pool)
{
    const scim_dir_config *dir = conf;

    return dir->require_tls == SCIM_TLS_EXPR ? quoted(dir->require_tls_text, pool)
           : dir->require_tls == SCIM_TLS_ON ? "On"
                                             : "Off";
}

static const char *rate_text(const void *conf, apr_pool_t *pool)
{
    const scim_dir_config *dir = conf;
    apr_interval_time_t interval = dir->rate_interval;
    bool seconds;

    if (!interval) {
        return "Off";
    }
    seconds = interval <= APR_USEC_PER_SEC;
    return apr_psprintf(pool, "%" APR_INT64_T_FMT "/%s burst=%" APR_INT64_T_FMT,
                        (seconds ? 1 : 60) * (apr_int64_t)APR_USEC_PER_SEC / interval,
                        seconds ? "s" : "min", dir->rate_burst);
}

static const char *connection_text(const void *conf, apr_pool_t *pool)
{
    static const char *const scopes[] = {"", "read", "write", "read,write"};
    const scim_dir_config *dir = conf;

    return dir->connection_text ? apr_pstrcat(pool, quoted(dir->connection_text, pool), " ",
                                              scopes[dir->connection_scopes & 3], NULL)
                                : NULL;
}

static const char *user_attribute_text(const void *conf, apr_pool_t *pool)
{
    const scim_dir_config *dir = conf;

    return mod_scim_attribute_name((scim_subject_by)dir->user_attribute);
}

static const char *const profiles[] = {"rfc", "interop"};
static const char *const patch_returns[] = {"minimal", "representation"};

#define OF_DIR(member) offsetof(scim_dir_config, member)

static const setting of_endpoint[] = {
    {"SCIMBasePath", AS_TEXT, OF_DIR(base_path_text), NULL, NULL},
    {"SCIMBaseURL", AS_TEXT, OF_DIR(base_url), NULL, NULL},
    {"SCIMTenant", AS_TEXT, OF_DIR(tenant_text), NULL, NULL},
    {"SCIMConnection", AS_OTHER, 0, NULL, connection_text},
    {"SCIMRequireTLS", AS_OTHER, 0, NULL, tls_text},
    {"SCIMRateLimit", AS_OTHER, 0, NULL, rate_text},
    {"SCIMProfile", AS_WORD, OF_DIR(lenient), profiles, NULL},
    {"SCIMMaxBody", AS_SIZE, OF_DIR(max_body), NULL, NULL},
    {"SCIMBulk", AS_OTHER, 0, NULL, bulk_text},
    {"SCIMDefaultPageSize", AS_NUMBER, OF_DIR(default_page), NULL, NULL},
    {"SCIMMaxPageSize", AS_NUMBER, OF_DIR(max_page), NULL, NULL},
    {"SCIMCursorTimeout", AS_TIME, OF_DIR(cursor_timeout), NULL, NULL},
    {"SCIMGroupPatchReturn", AS_WORD, OF_DIR(group_representation), patch_returns, NULL},
    {"SCIMRequireIfMatch", AS_FLAG, OF_DIR(require_if_match), NULL, NULL},
    {"SCIMUserAttribute", AS_OTHER, 0, NULL, user_attribute_text},
    {"SCIMExport", AS_FLAG, OF_DIR(export), NULL, NULL},
};

/* "<Location /x>", as it stands in the configuration. */
static const char *section_text(const ap_directive_t *section, apr_pool_t *pool)
{
    const char *args = section->args;
    apr_size_t len = strlen(args);

    return apr_pstrcat(pool, section->directive, " ", args,
                       len && args[len - 1] == '>' ? "" : ">", NULL);
}

/* Each Require of a section, and of what is in it. */
static void print_requires(const dump *d, const ap_directive_t *line, const char *indent)
{
    for (; line; line = line->next) {
        if (!ap_cstr_casecmp(line->directive, "Require")) {
            apr_file_printf(d->out, "%sRequire %s\n", indent, line->args);
        } else if (!ap_cstr_casecmpn(line->directive, "<Require", 8)) {
            apr_file_printf(d->out, "%s%s>\n", indent, line->directive);
            print_requires(d, line->first_child, apr_pstrcat(d->pool, indent, "    ", NULL));
            apr_file_printf(d->out, "%s</%s>\n", indent, line->directive + 1);
        }
    }
}

static void print_authentication(const dump *d, const scim_endpoint *endpoint,
                                 const scim_effective *here)
{
    apr_file_printf(d->out, IN_SECTION "AuthType %s\n",
                    here->auth_type ? here->auth_type : "is not set");
    print_requires(d, endpoint->section->first_child, IN_SECTION);
}

static void print_endpoint(const dump *d, const server_rec *s, const scim_endpoint *endpoint)
{
    static const scim_dir_config defaults = {SCIM_DIR_CONFIG(DEFAULT)};
    scim_effective here = mod_scim_effective(s, endpoint, d->pool);
    const char *url = mod_scim_tenant_url(s, endpoint, d->pool);
    apr_size_t i;

    apr_file_printf(d->out, IN_SERVER "endpoint %s (%s:%d)\n",
                    section_text(endpoint->section, d->pool), endpoint->file, endpoint->line);
    if (here.conf.engine != 1) {
        apr_file_printf(d->out, IN_SECTION "SCIMEngine Off, by another section\n");
        return;
    }
    if (!here.conf.tenant_text) {
        here.conf.tenant_text = mod_scim_server(s)->tenant_text;
    }
    apr_file_printf(d->out, IN_SECTION "Tenant URL: %s\n",
                    url ? url : "as SCIMBasePath makes it of a request");
    print_authentication(d, endpoint, &here);
    for (i = 0; i < sizeof(of_endpoint) / sizeof(of_endpoint[0]); i++) {
        print_setting(d, &of_endpoint[i], &here.conf, &defaults, IN_SECTION);
    }
}

static void print_endpoints(const dump *d, const server_rec *s, const scim_server_config *conf)
{
    int i;

    for (i = 0; i < conf->endpoints->nelts; i++) {
        const scim_endpoint *endpoint = &APR_ARRAY_IDX(conf->endpoints, i, scim_endpoint);

        if (endpoint->conf->engine == 1) {
            print_endpoint(d, s, endpoint);
        }
    }
}

/* What asks who somebody is */

static bool is_section(const ap_directive_t *line)
{
    return *line->directive == '<' && ap_cstr_casecmpn(line->directive, "<Require", 8) != 0;
}

/* The section that a line holds in; NULL: none. */
static const ap_directive_t *section_of(const ap_directive_t *line)
{
    do {
        line = line->parent;
    } while (line && !is_section(line));
    return line;
}

/* Whose users a line of the section asks about, as far as the section itself tells. */
static const char *tenant_in(const ap_directive_t *section, const scim_server_config *conf)
{
    const ap_directive_t *line = section ? section->first_child : NULL;

    while (line && ap_cstr_casecmp(line->directive, "SCIMTenant")) {
        line = line->next;
    }
    return line ? line->args : conf->tenant_text ? conf->tenant_text : "default";
}

static void print_consumers(const dump *d, const scim_server_config *conf)
{
    int i;

    for (i = 0; i < conf->consumers->nelts; i++) {
        const scim_line *line = &APR_ARRAY_IDX(conf->consumers, i, scim_line);
        const ap_directive_t *section = section_of(line->at);

        if (!i) {
            apr_file_printf(d->out, IN_SERVER "who somebody is, is asked by\n");
        }
        apr_file_printf(d->out, IN_SECTION "%s %s (%s:%d), %s%s tenant %s\n",
                        line->at->directive, line->at->args, line->file, line->line,
                        section ? section_text(section, d->pool) : "", section ? "," : "",
                        tenant_in(section, conf));
    }
}

/* Servers */

static void print_name(const dump *d, const server_rec *s)
{
    if (s->is_virtual) {
        apr_file_printf(d->out, "virtual host %s", s->server_hostname);
        if (s->addrs && s->addrs->host_port) {
            apr_file_printf(d->out, ":%d", s->addrs->host_port);
        }
        apr_file_printf(d->out, " (%s:%u)", s->defn_name, s->defn_line_number);
    } else {
        apr_file_printf(d->out, "main server %s", s->server_hostname);
    }
    apr_file_printf(d->out, "%s\n", mod_scim_speaks_tls(s) ? ", TLS" : ", without TLS");
}

static void print_server(const dump *d, server_rec *s, const server_rec *first)
{
    scim_server_config *conf = mod_scim_server(s);
    bool same = s != first && conf == mod_scim_server(first);

    if (same && !conf->endpoints->nelts) {
        return;
    }
    print_name(d, s);
    if (!conf->store_url) {
        apr_file_printf(d->out, IN_SERVER "SCIMStore is not set: nothing is served\n");
        return;
    }
    if (same) {
        apr_file_printf(d->out, IN_SERVER "as the main server\n");
    } else {
        print_server_settings(d, s);
        print_policies(d, conf);
    }
    print_endpoints(d, s, conf);
    if (!same) {
        print_consumers(d, conf);
    }
}

void mod_scim_dump(apr_pool_t *pconf, server_rec *s)
{
    const server_rec *first = s;
    dump d = {NULL, pconf};

    if (!ap_exists_config_define("DUMP_SCIM") ||
        apr_file_open_stdout(&d.out, pconf) != APR_SUCCESS) {
        return;
    }
    apr_file_printf(d.out, "SCIM configuration:\n");
    for (; s; s = s->next) {
        print_server(&d, s, first);
    }
}
