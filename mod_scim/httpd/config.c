/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: the directives, and what unset, set and default mean.
 */
#include "mod_scim.h"

#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>

#include "scim/text.h"

#define UNSET(type, name, unset, otherwise) conf->name = unset;
#define MERGE(type, name, unset, otherwise) \
    conf->name = add->name != (unset) ? add->name : base->name;
#define DEFAULT(type, name, unset, otherwise) \
    if (conf.name == (unset)) {               \
        conf.name = otherwise;                \
    }

static void unset_policy(scim_policy_config *conf)
{
    SCIM_POLICY_CONFIG(UNSET)
}

static void merge_policy(scim_policy_config *conf, const scim_policy_config *base,
                         const scim_policy_config *add)
{
    SCIM_POLICY_CONFIG(MERGE)
}

void *mod_scim_create_server(apr_pool_t *pool, server_rec *s)
{
    scim_server_config *conf = apr_pcalloc(pool, sizeof(*conf));

    SCIM_SERVER_CONFIG(UNSET)
    unset_policy(&conf->policy);
    conf->tenant_policies = apr_array_make(pool, 2, sizeof(scim_tenant_policy));
    conf->documents = apr_array_make(pool, 2, sizeof(scim_document));
    conf->endpoints = apr_array_make(pool, 2, sizeof(scim_endpoint));
    conf->consumers = apr_array_make(pool, 2, sizeof(scim_line));
    conf->tenants = apr_array_make(pool, 2, sizeof(scim_line));
    return conf;
}

void *mod_scim_merge_server(apr_pool_t *pool, void *basev, void *addv)
{
    const scim_server_config *base = basev, *add = addv;
    scim_server_config *conf = apr_pcalloc(pool, sizeof(*conf));

    SCIM_SERVER_CONFIG(MERGE)
    merge_policy(&conf->policy, &base->policy, &add->policy);
    conf->tenant_policies = apr_array_append(pool, base->tenant_policies, add->tenant_policies);
    conf->documents = apr_array_append(pool, base->documents, add->documents);
    conf->endpoints = apr_array_append(pool, base->endpoints, add->endpoints);
    conf->consumers = apr_array_append(pool, base->consumers, add->consumers);
    conf->tenants = apr_array_append(pool, base->tenants, add->tenants);
    return conf;
}

void *mod_scim_create_dir(apr_pool_t *pool, char *dir)
{
    scim_dir_config *conf = apr_pcalloc(pool, sizeof(*conf));

    SCIM_DIR_CONFIG(UNSET)
    return conf;
}

void *mod_scim_merge_dir(apr_pool_t *pool, void *basev, void *addv)
{
    const scim_dir_config *base = basev, *add = addv;
    scim_dir_config *conf = apr_pcalloc(pool, sizeof(*conf));

    SCIM_DIR_CONFIG(MERGE)
    return conf;
}

scim_server_config *mod_scim_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &scim_module);
}

scim_server_config mod_scim_resolved(const server_rec *s)
{
    scim_server_config conf = *mod_scim_server(s);

    SCIM_SERVER_CONFIG(DEFAULT)
    return conf;
}

const scim_dir_config *mod_scim_section(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &scim_module);
}

scim_dir_config mod_scim_endpoint(const request_rec *r)
{
    scim_dir_config conf = *mod_scim_section(r);

    SCIM_DIR_CONFIG(DEFAULT)
    return conf;
}

/* Words of directives */

static const char *wrong(cmd_parms *cmd, const char *arg, const char *wanted)
{
    return apr_psprintf(cmd->pool, "%s: \"%s\" is not %s", cmd->cmd->name, arg, wanted);
}

/* A number with an optional unit k, m, g or t (1024 each). */
static bool parse_size(const char *arg, apr_int64_t *out)
{
    static const char units[] = "kmgt";
    const char *unit;
    apr_int64_t value, factor = 1;
    char *end;

    if (!apr_isdigit(*arg)) {
        return false;
    }
    errno = 0;
    value = apr_strtoi64(arg, &end, 10);
    if (errno || value < 0) {
        return false;
    }
    if (*end) {
        unit = strchr(units, apr_tolower(*end));
        if (!unit || end[1]) {
            return false;
        }
        factor = APR_INT64_C(1) << (10 * (unit - units + 1));
    }
    if (value > APR_INT64_MAX / factor) {
        return false;
    }
    *out = value * factor;
    return true;
}

static const char *set_size(cmd_parms *cmd, const char *arg, apr_int64_t least,
                            apr_int64_t *out)
{
    if (!parse_size(arg, out) || *out < least) {
        return wrong(cmd, arg,
                     apr_psprintf(cmd->temp_pool,
                                  "a size of at least %" APR_INT64_T_FMT
                                  " bytes (a number, with k, m, g or t behind it)",
                                  least));
    }
    return NULL;
}

static const char *set_number(cmd_parms *cmd, const char *arg, apr_int64_t least,
                              apr_int64_t *out)
{
    char *end;

    errno = 0;
    *out = apr_strtoi64(arg, &end, 10);
    if (errno || !*arg || *end || *out < least) {
        return wrong(cmd, arg,
                     apr_psprintf(cmd->temp_pool,
                                  "a whole number of at least %" APR_INT64_T_FMT, least));
    }
    return NULL;
}

static const char *set_time(cmd_parms *cmd, const char *arg, apr_interval_time_t *out)
{
    if (ap_timeout_parameter_parse(arg, out, "s") != APR_SUCCESS || *out <= 0) {
        return wrong(cmd, arg, "a time (a number, with ms, s, min or h behind it)");
    }
    return NULL;
}

static const char *set_flag(cmd_parms *cmd, const char *arg, int *out)
{
    if (!ap_cstr_casecmp(arg, "on")) {
        *out = 1;
    } else if (!ap_cstr_casecmp(arg, "off")) {
        *out = 0;
    } else {
        return wrong(cmd, arg, "On or Off");
    }
    return NULL;
}

/* Of the words, ended by NULL, the first is 0, the second 1 and so on. */
static const char *set_word(cmd_parms *cmd, const char *arg, const char *const *words, int *out)
{
    const char *list = words[0], *nearest;
    int i;

    for (i = 0; words[i]; i++) {
        if (!ap_cstr_casecmp(arg, words[i])) {
            *out = i;
            return NULL;
        }
        if (i) {
            list =
                apr_pstrcat(cmd->temp_pool, list, words[i + 1] ? ", " : " or ", words[i], NULL);
        }
    }
    nearest = scim_text_nearest(arg, words, i);
    return wrong(cmd, arg,
                 nearest
                     ? apr_pstrcat(cmd->temp_pool, list, "; did you mean ", nearest, "?", NULL)
                     : list);
}

/* "100/s": so many in each of the units that are given, ended by NULL. */
static const char *set_rate(cmd_parms *cmd, const char *arg, const char *const *units,
                            const char *wanted, apr_int64_t *number, int *unit)
{
    char *end;
    int i;

    errno = 0;
    *number = apr_strtoi64(arg, &end, 10);
    if (apr_isdigit(*arg) && !errno && *number > 0 && *number <= 1000000 && *end == '/') {
        for (i = 0; units[i]; i++) {
            if (!strcmp(end + 1, units[i])) {
                *unit = i;
                return NULL;
            }
        }
    }
    return wrong(cmd, arg, wanted);
}

static const char *set_expr(cmd_parms *cmd, const char *arg, unsigned int flags,
                            ap_expr_info_t **out)
{
    const char *err = NULL;

    *out = ap_expr_parse_cmd(cmd, arg, flags | AP_EXPR_FLAG_DONT_VARY, &err, NULL);
    return err ? apr_psprintf(cmd->pool, "%s: cannot parse expression \"%s\": %s",
                              cmd->cmd->name, arg, err)
               : NULL;
}

/* Directives of a server */

#define A_STORE                                                               \
    "a store: write lmdb:/path/of/a/directory, or pgsql: and how PostgreSQL " \
    "is reached (\"pgsql:host=db.example.com dbname=scim\")"

static const char *take_store(cmd_parms *cmd, const char *url)
{
    scim_server_config *conf = mod_scim_server(cmd->server);

    conf->store_url = url;
    conf->store_at = cmd->directive;
    return NULL;
}

/* What libpq makes of it is told when the whole configuration is read: check.c. */
static const char *set_networked(cmd_parms *cmd, const char *arg)
{
    if (scim_kv_has_secret(arg, cmd->temp_pool)) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", scim_kv_secret_text, NULL);
    }
    if (!arg[strcspn(arg, ":") + 1]) {
        return wrong(cmd, arg, A_STORE);
    }
    return take_store(cmd, arg);
}

static const char *cmd_store(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *path = arg;

    if (!strncmp(arg, "pgsql:", 6)) {
        return set_networked(cmd, arg);
    }
    if (!strncmp(arg, "lmdb:", 5)) {
        path = arg + 5;
    } else if (*arg != '/') {
        return scim_kv_has_secret(arg, cmd->temp_pool) ? set_networked(cmd, arg)
                                                       : wrong(cmd, arg, A_STORE);
    }
    /* Nothing stands for ServerRoot itself, which is no place for a store. */
    if (*path && *path != '/') {
        path = ap_server_root_relative(cmd->pool, path);
    }
    if (!path || !*path || !path[1]) {
        return wrong(cmd, arg, A_STORE);
    }
    return take_store(cmd, apr_pstrcat(cmd->pool, "lmdb:", path, NULL));
}

static const char *cmd_store_size(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_size(cmd, arg, 1024 * 1024, &mod_scim_server(cmd->server)->store_size);
}

#define CONNECTIONS_MAX 1000

static const char *cmd_store_connections(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_server_config *conf = mod_scim_server(cmd->server);

    if (set_number(cmd, arg, 1, &conf->store_connections) ||
        conf->store_connections > CONNECTIONS_MAX) {
        return wrong(
            cmd, arg,
            "a whole number of at least 1 and at most " APR_STRINGIFY(CONNECTIONS_MAX));
    }
    return NULL;
}

static const char *cmd_write_timeout(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_time(cmd, arg, &mod_scim_server(cmd->server)->write_timeout);
}

static const char *cmd_scan_limit(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_number(cmd, arg, 0, &mod_scim_server(cmd->server)->scan_limit);
}

static const char *cmd_read_only(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_flag(cmd, arg, &mod_scim_server(cmd->server)->read_only);
}

#define DOCUMENT_MAX 1048576

/* The whole of a file that is open.  Only a regular one: a pipe has no end
 * that configtest could wait for. */
static const char *read_file(cmd_parms *cmd, apr_file_t *file, scim_document *out)
{
    apr_finfo_t info;
    apr_status_t rv = apr_file_info_get(&info, APR_FINFO_TYPE | APR_FINFO_SIZE, file);
    char *bytes;

    if (rv == APR_SUCCESS && (info.filetype != APR_REG || info.size > DOCUMENT_MAX)) {
        return wrong(cmd, out->name, "a file of at most " APR_STRINGIFY(DOCUMENT_MAX) " bytes");
    }
    if (rv == APR_SUCCESS) {
        bytes = apr_palloc(cmd->pool, (apr_size_t)info.size + 1);
        rv = apr_file_read_full(file, bytes, (apr_size_t)info.size, &out->len);
        out->bytes = bytes;
    }
    return rv == APR_SUCCESS || APR_STATUS_IS_EOF(rv)
               ? NULL
               : apr_psprintf(cmd->pool, "%s: cannot read %s: %pm", cmd->cmd->name, out->name,
                              &rv);
}

/* What is in the file is judged by check_config, once all of them are read. */
static const char *add_document(cmd_parms *cmd, const char *arg, bool resource_type)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    scim_document document = {.resource_type = resource_type};
    apr_file_t *file;
    apr_status_t rv;

    if (err) {
        return err;
    }
    document.name = ap_server_root_relative(cmd->pool, arg);
    if (!document.name) {
        return wrong(cmd, arg, "the path of a file");
    }
    rv = apr_file_open(&file, document.name,
                       APR_FOPEN_READ | APR_FOPEN_BINARY | APR_FOPEN_NONBLOCK, APR_OS_DEFAULT,
                       cmd->temp_pool);
    if (rv != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: cannot open %s: %pm", cmd->cmd->name, document.name,
                            &rv);
    }
    err = read_file(cmd, file, &document);
    apr_file_close(file);
    if (!err) {
        document.name =
            apr_psprintf(cmd->pool, "%s at line %d of %s: %s", cmd->cmd->name,
                         cmd->directive->line_num, cmd->directive->filename, document.name);
        APR_ARRAY_PUSH(mod_scim_server(cmd->server)->documents, scim_document) = document;
    }
    return err;
}

static const char *cmd_schema(cmd_parms *cmd, void *dir, const char *arg)
{
    return add_document(cmd, arg, false);
}

static const char *cmd_resource_type(cmd_parms *cmd, void *dir, const char *arg)
{
    return add_document(cmd, arg, true);
}

/* Directives of a policy */

static scim_policy_config *policy_of(cmd_parms *cmd)
{
    scim_server_config *conf = mod_scim_server(cmd->server);

    return conf->section ? conf->section : &conf->policy;
}

static const char *cmd_unique_group_names(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_flag(cmd, arg, &policy_of(cmd)->unique_group_names);
}

static const char *cmd_dangling_references(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const words[] = {"refuse", "allow", NULL};

    return set_word(cmd, arg, words, &policy_of(cmd)->dangling_references);
}

static const char *cmd_password_sync(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_flag(cmd, arg, &policy_of(cmd)->password_sync);
}

/* In the order of scim_custom_groups. */
static const char *cmd_custom_groups(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const words[] = {"accept", "ignore", "refuse", NULL};

    return set_word(cmd, arg, words, &policy_of(cmd)->custom_groups);
}

/* In the order of scim_on_group_delete. */
static const char *cmd_on_group_delete(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const words[] = {"keep", "deactivate", "delete", NULL};

    return set_word(cmd, arg, words, &policy_of(cmd)->on_group_delete);
}

static const char *cmd_delete_limit(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const units[] = {"h", NULL};
    apr_int64_t number = 0;
    int unit = 0;
    const char *err =
        ap_cstr_casecmp(arg, "off")
            ? set_rate(cmd, arg, units,
                       "Off, nor a number of users in an hour (500/h), at most 1000000",
                       &number, &unit)
            : NULL;

    if (!err) {
        policy_of(cmd)->delete_limit = number;
    }
    return err;
}

#define ROLE_PATTERN_MAX 200
#define ROLE_PATTERNS_MAX 1000

static const scim_role_pattern *same_pattern(const apr_array_header_t *roles,
                                             const scim_role_pattern *pattern)
{
    int i;

    for (i = 0; i < roles->nelts; i++) {
        const scim_role_pattern *other = &APR_ARRAY_IDX(roles, i, scim_role_pattern);

        if (other->prefix == pattern->prefix && !strcmp(other->prepared, pattern->prepared)) {
            return other;
        }
    }
    return NULL;
}

static const char *add_role(cmd_parms *cmd, const char *role, const char *arg)
{
    scim_policy_config *policy = policy_of(cmd);
    const char *star = ap_strchr_c(arg, '*');
    const scim_role_pattern *other;
    scim_role_pattern pattern;

    if (!policy->roles) {
        policy->roles = apr_array_make(cmd->pool, 4, sizeof(scim_role_pattern));
    }
    if (strlen(arg) > ROLE_PATTERN_MAX || (star && star[1]) ||
        !scim_role_pattern_make(&pattern, role, arg, cmd->pool)) {
        return wrong(cmd, arg, "the name of a group, or its beginning with a * behind it");
    }
    /* It would match nothing: names of groups are UTF-8. */
    if (!scim_text_is_utf8(arg, strlen(arg))) {
        return wrong(cmd, arg, "UTF-8: save the configuration as UTF-8");
    }
    other = same_pattern(policy->roles, &pattern);
    if (other) {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" gives the role %s already: let one pattern give one "
                            "role",
                            cmd->cmd->name, arg, other->role);
    }
    if (policy->roles->nelts == ROLE_PATTERNS_MAX) {
        return apr_psprintf(cmd->pool, "%s: more than %d patterns", cmd->cmd->name,
                            ROLE_PATTERNS_MAX);
    }
    APR_ARRAY_PUSH(policy->roles, scim_role_pattern) = pattern;
    return NULL;
}

/* All words at once: what hands them out one by one stops at an empty one. */
static const char *cmd_role(cmd_parms *cmd, void *dir, int count, char *const words[])
{
    const char *err = NULL;
    int i;

    if (count < 2) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name,
                           ": name a role, and the groups that give it", NULL);
    }
    if (!scim_role_name_valid(words[0])) {
        return wrong(cmd, words[0], "the name of a role (1 to 64 of A-Z a-z 0-9 . _ -)");
    }
    for (i = 1; i < count && !err; i++) {
        err = add_role(cmd, words[0], words[i]);
    }
    return err;
}

static bool is_policy(const char *directive)
{
    static const char *const names[] = {
        "SCIMRole",         "SCIMCustomGroups",     "SCIMOnGroupDelete",     "SCIMDeleteLimit",
        "SCIMPasswordSync", "SCIMUniqueGroupNames", "SCIMDanglingReferences"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!ap_cstr_casecmp(directive, names[i])) {
            return true;
        }
    }
    return false;
}

/* What else may stand at server level would hold for the server, or worse,
 * seem to hold for the tenant. */
static const char *check_section(cmd_parms *cmd)
{
    const ap_directive_t *line;

    for (line = cmd->directive->first_child; line; line = line->next) {
        if (!is_policy(line->directive)) {
            cmd->err_directive = line;
            return apr_psprintf(cmd->pool,
                                "%s%s cannot stand in <SCIMTenantPolicy>; it holds "
                                "SCIMRole, SCIMCustomGroups, SCIMOnGroupDelete, "
                                "SCIMDeleteLimit, SCIMPasswordSync, SCIMUniqueGroupNames and "
                                "SCIMDanglingReferences",
                                line->directive, *line->directive == '<' ? ">" : "");
        }
    }
    return NULL;
}

static const char *cmd_tenant_policy(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_server_config *conf = mod_scim_server(cmd->server);
    const char *err = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);
    const char *end = ap_strrchr_c(arg, '>');
    scim_tenant_policy *policy;
    const char *words, *name;

    if (err) {
        return err;
    }
    if (!end) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, "> directive missing closing '>'", NULL);
    }
    words = apr_pstrmemdup(cmd->temp_pool, arg, (apr_size_t)(end - arg));
    name = ap_getword_conf(cmd->pool, &words);
    if (!scim_tenant_name_valid(name)) {
        return apr_psprintf(cmd->pool,
                            "%s>: \"%s\" is not the name of a tenant "
                            "(1 to %d of A-Z a-z 0-9 . _ -)",
                            cmd->cmd->name, name, SCIM_TENANT_NAME_MAX);
    }
    if (*words) {
        return apr_psprintf(cmd->pool,
                            "%s>: \"%s\" stands behind the name of the tenant; write a "
                            "section for each",
                            cmd->cmd->name, words);
    }
    err = check_section(cmd);
    if (err) {
        return err;
    }
    policy = apr_array_push(conf->tenant_policies);
    policy->name = name;
    policy->file = cmd->directive->filename;
    policy->line = cmd->directive->line_num;
    policy->server = cmd->server;
    unset_policy(&policy->policy);
    conf->section = &policy->policy;
    err = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    conf->section = NULL;
    return err;
}

/* Directives of a Location */

/* Whether a directive stands in <Location>, and whether that is a pattern. */
static const char *check_location(cmd_parms *cmd, bool *pattern)
{
    const ap_directive_t *section = cmd->directive->parent;

    if (section && !ap_cstr_casecmp(section->directive, "<Location")) {
        *pattern = section->args[0] == '~';
        return NULL;
    }
    if (section && !ap_cstr_casecmp(section->directive, "<LocationMatch")) {
        *pattern = true;
        return NULL;
    }
    return apr_pstrcat(cmd->pool, cmd->cmd->name,
                       " belongs directly in a <Location> or <LocationMatch> section", NULL);
}

/* A path that URLs can begin with, to which "/Users" can be added. */
static const char *check_path(cmd_parms *cmd)
{
    const char *path = cmd->path;

    if (*path != '/') {
        return apr_psprintf(cmd->pool, "%s: the path of <Location \"%s\"> must begin with /",
                            cmd->cmd->name, path);
    }
    if (path[1] && path[strlen(path) - 1] == '/') {
        return apr_psprintf(cmd->pool,
                            "%s: write <Location \"%s\"> without the slash at the end",
                            cmd->cmd->name, path);
    }
    if (apr_fnmatch_test(path)) {
        return apr_psprintf(cmd->pool,
                            "%s: <Location \"%s\"> has wildcards: make it a <LocationMatch> "
                            "with a SCIMBasePath",
                            cmd->cmd->name, path);
    }
    return NULL;
}

static const char *cmd_engine(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_server_config *server = mod_scim_server(cmd->server);
    scim_dir_config *conf = dir;
    scim_endpoint *endpoint;
    bool pattern = false;
    const char *err = check_location(cmd, &pattern);

    if (!err) {
        err = set_flag(cmd, arg, &conf->engine);
    }
    if (!err && conf->engine && !pattern) {
        err = check_path(cmd);
    }
    if (err || !conf->engine) {
        return err;
    }
    endpoint = apr_array_push(server->endpoints);
    endpoint->file = cmd->directive->filename;
    endpoint->line = cmd->directive->line_num;
    endpoint->section = cmd->directive->parent;
    endpoint->conf = conf;
    endpoint->base = NULL;
    endpoint->pattern = NULL;
    if (pattern) {
        endpoint->pattern = ap_pregcomp(cmd->pool, cmd->path, AP_REG_EXTENDED);
        return NULL;
    }
    conf->base = endpoint->base = cmd->path[1] ? apr_pstrdup(cmd->pool, cmd->path) : "";
    return NULL;
}

static const char *cmd_base_path(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_dir_config *conf = dir;
    bool pattern = false;
    const char *err = check_location(cmd, &pattern);

    if (!err && !pattern) {
        err = "SCIMBasePath belongs in a <LocationMatch>: a <Location> is its own base path";
    }
    if (!err && *arg != '/') {
        err = wrong(cmd, arg, "a path that begins with /");
    }
    conf->base_path_text = arg;
    return err ? err : set_expr(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &conf->base_path);
}

static const char *cmd_base_url(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_dir_config *conf = dir;
    const char *host = ap_strstr_c(arg, "://");
    apr_size_t len = strlen(arg);

    if ((strncmp(arg, "https://", 8) && strncmp(arg, "http://", 7)) || !host[3] ||
        host[3] == '/' || strpbrk(arg, "?# \"")) {
        return wrong(cmd, arg, "a URL (https://host/path)");
    }
    while (len && arg[len - 1] == '/') {
        len--;
    }
    conf->base_url = apr_pstrmemdup(cmd->pool, arg, len);
    return NULL;
}

static void note_line(apr_array_header_t *lines, const cmd_parms *cmd, const char *what)
{
    scim_line *line = apr_array_push(lines);

    line->what = what;
    line->file = cmd->directive->filename;
    line->line = cmd->directive->line_num;
    line->at = cmd->directive;
}

static const char *cmd_tenant(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_server_config *server = mod_scim_server(cmd->server);
    scim_dir_config *conf = dir;

    if (!ap_strchr_c(arg, '%') && !scim_tenant_name_valid(arg)) {
        return wrong(cmd, arg,
                     "the name of a tenant (1 to 64 of A-Z a-z 0-9 . _ -), "
                     "nor an expression");
    }
    note_line(server->tenants, cmd, arg);
    if (cmd->path) {
        conf->tenant_text = arg;
        return set_expr(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &conf->tenant);
    }
    server->tenant_text = arg;
    return set_expr(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &server->tenant);
}

static const char *cmd_profile(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const words[] = {"rfc", "interop", NULL};

    return set_word(cmd, arg, words, &((scim_dir_config *)dir)->lenient);
}

static const char *cmd_group_patch_return(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const words[] = {"minimal", "representation", NULL};

    return set_word(cmd, arg, words, &((scim_dir_config *)dir)->group_representation);
}

static const char *cmd_default_page(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_number(cmd, arg, 1, &((scim_dir_config *)dir)->default_page);
}

static const char *cmd_max_page(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_number(cmd, arg, 1, &((scim_dir_config *)dir)->max_page);
}

static const char *cmd_max_body(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_size(cmd, arg, 1024, &((scim_dir_config *)dir)->max_body);
}

static const char *cmd_cursor_timeout(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_time(cmd, arg, &((scim_dir_config *)dir)->cursor_timeout);
}

static const char *cmd_bulk(cmd_parms *cmd, void *dir, const char *operations,
                            const char *bytes)
{
    scim_dir_config *conf = dir;

    if (!ap_cstr_casecmp(operations, "off")) {
        conf->bulk_operations = 0;
        return bytes ? wrong(cmd, bytes, "to stand behind Off") : NULL;
    }
    if (set_number(cmd, operations, 1, &conf->bulk_operations)) {
        return wrong(cmd, operations, "Off, nor a whole number of operations of at least 1");
    }
    return bytes ? set_size(cmd, bytes, 1024, &conf->bulk_bytes) : NULL;
}

static const char *cmd_require_if_match(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_flag(cmd, arg, &((scim_dir_config *)dir)->require_if_match);
}

static const char *cmd_require_tls(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_dir_config *conf = dir;

    if (!strncmp(arg, "expr=", 5)) {
        conf->require_tls = SCIM_TLS_EXPR;
        conf->require_tls_text = arg;
        return set_expr(cmd, arg + 5, 0, &conf->require_tls_expr);
    }
    if (set_flag(cmd, arg, &conf->require_tls)) {
        return wrong(cmd, arg, "On, Off or expr=...");
    }
    return NULL;
}

static const char *cmd_connection(cmd_parms *cmd, void *dir, const char *arg,
                                  const char *scopes)
{
    /* In the order of the bits of scim_scope. */
    static const char *const words[] = {"read", "write", "read,write", NULL};
    scim_dir_config *conf = dir;
    int word = 2;
    const char *err = scopes ? set_word(cmd, scopes, words, &word) : NULL;

    conf->connection_text = arg;
    conf->connection_fixed = !ap_strchr_c(arg, '%');
    if (!err && conf->connection_fixed && !scim_tenant_name_valid(arg)) {
        return wrong(cmd, arg,
                     "the name of a connection (1 to 64 of A-Z a-z 0-9 . _ -), nor an "
                     "expression");
    }
    conf->connection_scopes = word + 1;
    return err ? err : set_expr(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &conf->connection);
}

#define RATE_BURST_MAX 1000000

static const char *cmd_rate_limit(cmd_parms *cmd, void *dir, const char *arg, const char *burst)
{
    static const char *const units[] = {"s", "min", NULL};
    static const apr_interval_time_t times[] = {APR_USEC_PER_SEC, 60 * APR_USEC_PER_SEC};
    scim_dir_config *conf = dir;
    apr_int64_t number;
    const char *err;
    int unit = 0;

    if (!ap_cstr_casecmp(arg, "off")) {
        conf->rate_interval = conf->rate_burst = 0;
        return burst ? wrong(cmd, burst, "to stand behind Off") : NULL;
    }
    err = set_rate(cmd, arg, units,
                   "Off, nor a number of requests in a time (100/s, 600/min), at most 1000000",
                   &number, &unit);
    if (err) {
        return err;
    }
    conf->rate_interval = times[unit] / number;
    conf->rate_burst = number;
    if (burst &&
        (strncmp(burst, "burst=", 6) || set_number(cmd, burst + 6, 1, &conf->rate_burst) ||
         conf->rate_burst > RATE_BURST_MAX)) {
        return wrong(cmd, burst,
                     "burst=NUMBER, of at least 1 and at most " APR_STRINGIFY(RATE_BURST_MAX));
    }
    return NULL;
}

/* In the order of scim_subject_by. */
static const char *const attribute_names[] = {"userName", "externalId", "emails.value", "id",
                                              NULL};

const char *mod_scim_attribute_name(scim_subject_by by)
{
    return attribute_names[by];
}

static const char *cmd_user_attribute(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_word(cmd, arg, attribute_names, &((scim_dir_config *)dir)->user_attribute);
}

void mod_scim_add_consumer(cmd_parms *cmd, const char *what)
{
    scim_server_config *conf = mod_scim_server(cmd->server);

    if (cmd->pool == cmd->temp_pool) {
        return; /* as httpd itself tells an .htaccess from the configuration */
    }
    /* A virtual host has none before it has a directive of this module. */
    if (!conf) {
        conf = mod_scim_create_server(cmd->pool, cmd->server);
        ap_set_module_config(cmd->server->module_config, &scim_module, conf);
    }
    note_line(conf->consumers, cmd, what);
}

static const char *cmd_export(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_dir_config *conf = dir;
    const char *err = set_flag(cmd, arg, &conf->export);

    if (!err && conf->export) {
        mod_scim_add_consumer(cmd, "SCIMExport On");
    }
    return err;
}

static const char *cmd_audit_log(cmd_parms *cmd, void *dir, const char *arg)
{
    if (!*arg || !strcmp(arg, "|")) {
        return wrong(cmd, arg, "a file, nor a | with a program behind it");
    }
    mod_scim_server(cmd->server)->audit_log = arg;
    return NULL;
}

/* A directive of an endpoint is taken at server level, too, to be refused there
 * with where it belongs: httpd itself says "not allowed here" and no more. */

typedef const char *(*take1)(cmd_parms *cmd, void *dir, const char *arg);
typedef const char *(*take12)(cmd_parms *cmd, void *dir, const char *arg, const char *more);

/* No URL of an endpoint is mapped to a file or proxied, so what stands in a section of
 * files would never hold. */
static const ap_directive_t *section_of_files(const ap_directive_t *line)
{
    static const char *const names[] = {"<Directory",  "<DirectoryMatch", "<Files",
                                        "<FilesMatch", "<Proxy",          "<ProxyMatch"};
    apr_size_t i;

    while ((line = line->parent)) {
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (!ap_cstr_casecmp(line->directive, names[i])) {
                return line;
            }
        }
    }
    return NULL;
}

static const char *check_section_of_endpoint(cmd_parms *cmd)
{
    const ap_directive_t *files = section_of_files(cmd->directive);

    if (cmd->path && !files) {
        return ap_check_cmd_context(cmd, NOT_IN_LIMIT);
    }
    return apr_pstrcat(
        cmd->pool, cmd->cmd->name, " is not allowed ", files ? "in " : "outside of sections",
        files ? files->directive : "", files ? ">" : "",
        ": it belongs in the <Location> or <LocationMatch> of an endpoint", NULL);
}

static const char *of_endpoint(cmd_parms *cmd, void *dir, const char *arg)
{
    const take1 *command = cmd->cmd->cmd_data;
    const char *err = check_section_of_endpoint(cmd);

    return err ? err : (*command)(cmd, dir, arg);
}

static const char *of_endpoint12(cmd_parms *cmd, void *dir, const char *arg, const char *more)
{
    const take12 *command = cmd->cmd->cmd_data;
    const char *err = check_section_of_endpoint(cmd);

    return err ? err : (*command)(cmd, dir, arg, more);
}

#define BOTH (RSRC_CONF | ACCESS_CONF)

const command_rec mod_scim_commands[] = {
    AP_INIT_TAKE1("SCIMStore", cmd_store, NULL, RSRC_CONF,
                  "where users and groups are kept: lmdb:/path/of/a/directory, or pgsql: and "
                  "a connection string of PostgreSQL"),
    AP_INIT_TAKE1("SCIMStoreSize", cmd_store_size, NULL, RSRC_CONF,
                  "the size that the store may grow to (64g)"),
    AP_INIT_TAKE1("SCIMStoreConnections", cmd_store_connections, NULL, RSRC_CONF,
                  "connections that a process has to a store on PostgreSQL, at most (16)"),
    AP_INIT_TAKE1("SCIMWriteTimeout", cmd_write_timeout, NULL, RSRC_CONF,
                  "how long a change waits for its turn before it is answered 503 (10s)"),
    AP_INIT_TAKE1("SCIMScanLimit", cmd_scan_limit, NULL, RSRC_CONF,
                  "how many resources one query may read; 0 is no limit (1000000)"),
    AP_INIT_TAKE1("SCIMReadOnly", cmd_read_only, NULL, RSRC_CONF,
                  "On: every change is answered 503 (Off)"),
    AP_INIT_TAKE1("SCIMSchema", cmd_schema, NULL, RSRC_CONF,
                  "a file with a schema of the organisation (RFC 7643 section 7)"),
    AP_INIT_TAKE1("SCIMResourceType", cmd_resource_type, NULL, RSRC_CONF,
                  "a file with a resource type (RFC 7643 section 6); one named User or "
                  "Group takes the place of the built-in one"),
    AP_INIT_TAKE1("SCIMUniqueGroupNames", cmd_unique_group_names, NULL, RSRC_CONF,
                  "Off: groups of a tenant may share a displayName (On)"),
    AP_INIT_TAKE1("SCIMDanglingReferences", cmd_dangling_references, NULL, RSRC_CONF,
                  "allow: members and managers that do not exist are stored (refuse)"),
    AP_INIT_TAKE_ARGV("SCIMRole", cmd_role, NULL, RSRC_CONF,
                      "a role, and the names of groups that give it, * for any ending"),
    AP_INIT_TAKE1("SCIMCustomGroups", cmd_custom_groups, NULL, RSRC_CONF,
                  "groups that no SCIMRole knows: accept, ignore or refuse (accept)"),
    AP_INIT_TAKE1("SCIMOnGroupDelete", cmd_on_group_delete, NULL, RSRC_CONF,
                  "members of a deleted group that gave a role: keep, deactivate or delete "
                  "(keep)"),
    AP_INIT_TAKE1(
        "SCIMDeleteLimit", cmd_delete_limit, NULL, RSRC_CONF,
        "how many users may be deleted or deactivated in an hour: 500/h, or Off (Off)"),
    AP_INIT_TAKE1("SCIMPasswordSync", cmd_password_sync, NULL, RSRC_CONF,
                  "On: passwords are kept, hashed, for AuthBasicProvider scim (Off)"),
    AP_INIT_TAKE1("SCIMAuditLog", cmd_audit_log, NULL, RSRC_CONF,
                  "a file, or |program, that gets one line of JSON for each change"),
    AP_INIT_RAW_ARGS("<SCIMTenantPolicy", cmd_tenant_policy, NULL, RSRC_CONF,
                     "container for the policy of one tenant, named by its argument"),
    AP_INIT_TAKE1("SCIMEngine", of_endpoint, &(take1){cmd_engine}, BOTH,
                  "On makes a Location a SCIM endpoint (Off)"),
    AP_INIT_TAKE1("SCIMBasePath", of_endpoint, &(take1){cmd_base_path}, BOTH,
                  "the base path of an endpoint in a LocationMatch, an expression"),
    AP_INIT_TAKE1("SCIMBaseURL", of_endpoint, &(take1){cmd_base_url}, BOTH,
                  "the endpoint's URL as clients see it, where a proxy stands in front"),
    AP_INIT_TAKE1(
        "SCIMTenant", cmd_tenant, NULL, BOTH,
        "the one tenant whose tokens are accepted, or whose users come in; a name or an "
        "expression"),
    AP_INIT_TAKE1(
        "SCIMProfile", of_endpoint, &(take1){cmd_profile}, BOTH,
        "interop or rfc: whether deviations of identity providers are tolerated (interop)"),
    AP_INIT_TAKE1(
        "SCIMGroupPatchReturn", of_endpoint, &(take1){cmd_group_patch_return}, BOTH,
        "what PATCH of a group answers: minimal, 204, or representation, 200 (minimal)"),
    AP_INIT_TAKE1("SCIMDefaultPageSize", of_endpoint, &(take1){cmd_default_page}, BOTH,
                  "resources in a list whose client named no count (100)"),
    AP_INIT_TAKE1("SCIMMaxPageSize", of_endpoint, &(take1){cmd_max_page}, BOTH,
                  "most resources in one list (1000)"),
    AP_INIT_TAKE1("SCIMMaxBody", of_endpoint, &(take1){cmd_max_body}, BOTH,
                  "largest body of a request (8m)"),
    AP_INIT_TAKE1("SCIMCursorTimeout", of_endpoint, &(take1){cmd_cursor_timeout}, BOTH,
                  "how long a cursor of a paged list can be used (1h)"),
    AP_INIT_TAKE12("SCIMBulk", of_endpoint12, &(take12){cmd_bulk}, BOTH,
                   "most operations, and bytes, of a bulk job, or Off (500 4m)"),
    AP_INIT_TAKE1("SCIMRequireIfMatch", of_endpoint, &(take1){cmd_require_if_match}, BOTH,
                  "On: a change without If-Match is answered 428 (Off)"),
    AP_INIT_TAKE1("SCIMRequireTLS", of_endpoint, &(take1){cmd_require_tls}, BOTH,
                  "On, Off or expr=...: plain HTTP is refused but from this machine (On)"),
    AP_INIT_TAKE12("SCIMConnection", of_endpoint12, &(take12){cmd_connection}, BOTH,
                   "the connection, an expression, of whom httpd authenticated by other means "
                   "than a token; and read, write or read,write (read,write)"),
    AP_INIT_TAKE12("SCIMRateLimit", of_endpoint12, &(take12){cmd_rate_limit}, BOTH,
                   "requests of one token in a time, 100/s burst=200, or Off (Off)"),
    AP_INIT_TAKE1("SCIMUserAttribute", cmd_user_attribute, NULL, BOTH,
                  "what REMOTE_USER is: userName, externalId, emails.value or id (userName)"),
    AP_INIT_TAKE1(
        "SCIMExport", cmd_export, NULL, BOTH,
        "On: SCIM_USERNAME, SCIM_GROUPS and others tell applications of the user (Off)"),
    {.name = NULL}};
