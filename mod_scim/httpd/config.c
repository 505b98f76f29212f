/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: the directives, and what unset, set and default mean.
 */
#include "mod_scim.h"

#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>

#define UNSET(type, name, unset, otherwise) conf->name = unset;
#define MERGE(type, name, unset, otherwise) \
    conf->name = add->name != unset ? add->name : base->name;
#define DEFAULT(type, name, unset, otherwise) \
    if (conf.name == unset) {                 \
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

scim_dir_config mod_scim_endpoint(const request_rec *r)
{
    scim_dir_config conf =
        *(scim_dir_config *)ap_get_module_config(r->per_dir_config, &scim_module);

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

/* Of two words, the first is 0 and the second 1. */
static const char *set_word(cmd_parms *cmd, const char *arg, const char *zero, const char *one,
                            int *out)
{
    if (ap_cstr_casecmp(arg, zero) && ap_cstr_casecmp(arg, one)) {
        return wrong(cmd, arg, apr_pstrcat(cmd->temp_pool, zero, " or ", one, NULL));
    }
    *out = !ap_cstr_casecmp(arg, one);
    return NULL;
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

static const char *cmd_store(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_server_config *conf = mod_scim_server(cmd->server);
    const char *path = arg;

    if (!strncmp(arg, "lmdb:", 5)) {
        path = arg + 5;
    } else if (*arg != '/') {
        return wrong(cmd, arg, "a store: write lmdb:/path/of/a/directory");
    }
    /* Nothing stands for ServerRoot itself, which is no place for a store. */
    if (*path && *path != '/') {
        path = ap_server_root_relative(cmd->pool, path);
    }
    if (!path || !*path || !path[1]) {
        return wrong(cmd, arg, "a store: write lmdb:/path/of/a/directory");
    }
    conf->store_url = apr_pstrcat(cmd->pool, "lmdb:", path, NULL);
    return NULL;
}

static const char *cmd_store_size(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_size(cmd, arg, 1024 * 1024, &mod_scim_server(cmd->server)->store_size);
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

#define DOCUMENT_MAX (1024 * 1024)

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
    int word;
    const char *err = set_word(cmd, arg, "refuse", "allow", &word);

    if (!err) {
        policy_of(cmd)->dangling_references = word;
    }
    return err;
}

/* What else may stand at server level would hold for the server, or worse,
 * seem to hold for the tenant. */
static const char *check_section(cmd_parms *cmd)
{
    const ap_directive_t *line;

    for (line = cmd->directive->first_child; line; line = line->next) {
        if (ap_cstr_casecmp(line->directive, "SCIMUniqueGroupNames") &&
            ap_cstr_casecmp(line->directive, "SCIMDanglingReferences")) {
            cmd->err_directive = line;
            return apr_psprintf(cmd->pool,
                                "%s%s cannot stand in <SCIMTenantPolicy>; it holds "
                                "SCIMUniqueGroupNames and SCIMDanglingReferences",
                                line->directive, *line->directive == '<' ? ">" : "");
        }
    }
    return NULL;
}

static const char *cmd_tenant_policy(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_server_config *conf = mod_scim_server(cmd->server);
    const char *err = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT | NOT_IN_LIMIT);
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
        return apr_psprintf(cmd->pool, "%s>: \"%s\" stands behind the name of the tenant",
                            cmd->cmd->name, words);
    }
    err = check_section(cmd);
    if (err) {
        return err;
    }
    policy = apr_array_push(conf->tenant_policies);
    policy->name = name;
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
    bool pattern;
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
    bool pattern;
    const char *err = check_location(cmd, &pattern);

    if (!err && !pattern) {
        err = "SCIMBasePath belongs in a <LocationMatch>: a <Location> is its own base path";
    }
    if (!err && *arg != '/') {
        err = wrong(cmd, arg, "a path that begins with /");
    }
    return err ? err : set_expr(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &conf->base_path);
}

static const char *cmd_base_url(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_dir_config *conf = dir;
    apr_size_t len = strlen(arg);

    if ((strncmp(arg, "https://", 8) && strncmp(arg, "http://", 7)) || strpbrk(arg, "?# \"")) {
        return wrong(cmd, arg, "a URL (https://host/path)");
    }
    while (len && arg[len - 1] == '/') {
        len--;
    }
    conf->base_url = apr_pstrmemdup(cmd->pool, arg, len);
    return NULL;
}

static const char *cmd_tenant(cmd_parms *cmd, void *dir, const char *arg)
{
    scim_dir_config *conf = dir;

    if (!ap_strchr_c(arg, '%') && !scim_tenant_name_valid(arg)) {
        return wrong(cmd, arg,
                     "the name of a tenant (1 to 64 of A-Z a-z 0-9 . _ -), "
                     "nor an expression");
    }
    return set_expr(cmd, arg, AP_EXPR_FLAG_STRING_RESULT,
                    cmd->path ? &conf->tenant : &mod_scim_server(cmd->server)->tenant);
}

static const char *cmd_profile(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_word(cmd, arg, "rfc", "interop", &((scim_dir_config *)dir)->lenient);
}

static const char *cmd_group_patch_return(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_word(cmd, arg, "minimal", "representation",
                    &((scim_dir_config *)dir)->group_representation);
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
    const char *err;

    if (!ap_cstr_casecmp(operations, "off")) {
        conf->bulk_operations = 0;
        return bytes ? wrong(cmd, bytes, "to stand behind Off") : NULL;
    }
    err = set_number(cmd, operations, 1, &conf->bulk_operations);
    return err || !bytes ? err : set_size(cmd, bytes, 1024, &conf->bulk_bytes);
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
        return set_expr(cmd, arg + 5, 0, &conf->require_tls_expr);
    }
    if (set_flag(cmd, arg, &conf->require_tls)) {
        return wrong(cmd, arg, "On, Off or expr=...");
    }
    return NULL;
}

const command_rec mod_scim_commands[] = {
    AP_INIT_TAKE1("SCIMStore", cmd_store, NULL, RSRC_CONF,
                  "where users and groups are kept: lmdb:/path/of/a/directory"),
    AP_INIT_TAKE1("SCIMStoreSize", cmd_store_size, NULL, RSRC_CONF,
                  "the size that the store may grow to (64g)"),
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
    AP_INIT_RAW_ARGS("<SCIMTenantPolicy", cmd_tenant_policy, NULL, RSRC_CONF,
                     "container for the policy of one tenant, named by its argument"),
    AP_INIT_TAKE1("SCIMEngine", cmd_engine, NULL, ACCESS_CONF,
                  "On makes a Location a SCIM endpoint (Off)"),
    AP_INIT_TAKE1("SCIMBasePath", cmd_base_path, NULL, ACCESS_CONF,
                  "the base path of an endpoint in a LocationMatch, an expression"),
    AP_INIT_TAKE1("SCIMBaseURL", cmd_base_url, NULL, ACCESS_CONF,
                  "the endpoint's URL as clients see it, where a proxy stands in front"),
    AP_INIT_TAKE1("SCIMTenant", cmd_tenant, NULL, RSRC_CONF | ACCESS_CONF,
                  "the one tenant whose tokens are accepted; a name or an expression"),
    AP_INIT_TAKE1("SCIMProfile", cmd_profile, NULL, ACCESS_CONF,
                  "interop or rfc: whether deviations of identity providers are tolerated"),
    AP_INIT_TAKE1("SCIMGroupPatchReturn", cmd_group_patch_return, NULL, ACCESS_CONF,
                  "what PATCH of a group answers: minimal (204) or representation (200)"),
    AP_INIT_TAKE1("SCIMDefaultPageSize", cmd_default_page, NULL, ACCESS_CONF,
                  "resources in a list whose client named no count (100)"),
    AP_INIT_TAKE1("SCIMMaxPageSize", cmd_max_page, NULL, ACCESS_CONF,
                  "most resources in one list (1000)"),
    AP_INIT_TAKE1("SCIMMaxBody", cmd_max_body, NULL, ACCESS_CONF,
                  "largest body of a request (8m)"),
    AP_INIT_TAKE1("SCIMCursorTimeout", cmd_cursor_timeout, NULL, ACCESS_CONF,
                  "how long a cursor of a paged list can be used (1h)"),
    AP_INIT_TAKE12("SCIMBulk", cmd_bulk, NULL, ACCESS_CONF,
                   "most operations, and bytes, of a bulk job (500 4m), or Off"),
    AP_INIT_TAKE1("SCIMRequireIfMatch", cmd_require_if_match, NULL, ACCESS_CONF,
                  "On: a change without If-Match is answered 428 (Off)"),
    AP_INIT_TAKE1("SCIMRequireTLS", cmd_require_tls, NULL, ACCESS_CONF,
                  "On, Off or expr=...: plain HTTP is refused but from this machine (On)"),
    {NULL}};
