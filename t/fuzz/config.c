/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives: one a line, with its arguments, as httpd hands them to the module.
 * "Location PATH" and "LocationMatch PATH" begin another section.  In place of
 * httpd stand the few functions below.
 */
#include "../../mod_scim/httpd/mod_scim.h"

#include <apr_lib.h>

#include "fuzz.h"

module scim_module; /* its index is 0 */

extern const command_rec mod_scim_commands[];
void *mod_scim_create_server(apr_pool_t *pool, server_rec *s);
void *mod_scim_merge_server(apr_pool_t *pool, void *base, void *add);
void *mod_scim_create_dir(apr_pool_t *pool, char *dir);
void *mod_scim_merge_dir(apr_pool_t *pool, void *base, void *add);

const char *ap_check_cmd_context(cmd_parms *cmd, unsigned forbidden)
{
    return NULL;
}

int ap_cstr_casecmp(const char *a, const char *b)
{
    return strcasecmp(a, b);
}

ap_expr_info_t *ap_expr_parse_cmd_mi(const cmd_parms *cmd, const char *text, unsigned int flags,
                                     const char **err, ap_expr_lookup_fn_t *lookup, int index)
{
    *err = strchr(text, '(') ? "syntax error" : NULL;
    return *err ? NULL : apr_pcalloc(cmd->pool, sizeof(ap_expr_info_t));
}

/* Words between blanks, or between quotes. */
char *ap_getword_conf(apr_pool_t *pool, const char **line)
{
    const char *begin = *line + strspn(*line, " \t"), *end;
    char *word;

    if (*begin == '"') {
        end = strchr(++begin, '"');
        end = end ? end : begin + strlen(begin);
    } else {
        end = begin + strcspn(begin, " \t");
    }
    word = apr_pstrmemdup(pool, begin, (apr_size_t)(end - begin));
    end += *end == '"';
    *line = end + strspn(end, " \t");
    return word;
}

ap_regex_t *ap_pregcomp(apr_pool_t *pool, const char *pattern, int flags)
{
    return NULL;
}

/* Where no file is. */
char *ap_server_root_relative(apr_pool_t *pool, const char *path)
{
    return strlen(path) < 200 ? apr_pstrcat(pool, "/nowhere/", path, NULL) : NULL;
}

apr_status_t ap_timeout_parameter_parse(const char *text, apr_interval_time_t *out,
                                        const char *unit)
{
    char *end;
    apr_int64_t number = apr_strtoi64(text, &end, 10);

    *out = number > 0 && number < 1000000 ? apr_time_from_sec(number) : 0;
    return *end && strcmp(end, "s") ? APR_EGENERAL : APR_SUCCESS;
}

const char *ap_walk_config(ap_directive_t *line, cmd_parms *cmd, ap_conf_vector_t *context)
{
    return NULL;
}

static const command_rec *find_command(const char *name)
{
    const command_rec *command;

    for (command = mod_scim_commands; command->name; command++) {
        if (!strcasecmp(command->name, name)) {
            return command;
        }
    }
    return NULL;
}

#define WORDS_MAX 10

static const char *call(cmd_parms *cmd, void *dir, const char *args)
{
    char *words[WORDS_MAX];
    int count = 0;

    if (cmd->cmd->args_how == RAW_ARGS) {
        return cmd->cmd->AP_RAW_ARGS(cmd, dir, args);
    }
    while (*args && count < WORDS_MAX) {
        words[count++] = ap_getword_conf(cmd->pool, &args);
    }
    switch (cmd->cmd->args_how) {
    case TAKE_ARGV:
        return cmd->cmd->AP_TAKE_ARGV(cmd, dir, count, words);
    case TAKE1:
        return count == 1 ? cmd->cmd->AP_TAKE1(cmd, dir, words[0]) : "one argument";
    default:
        assert_int_equal(cmd->cmd->args_how, TAKE12);
        return count == 1 || count == 2
                   ? cmd->cmd->AP_TAKE2(cmd, dir, words[0], count == 2 ? words[1] : NULL)
                   : "one or two arguments";
    }
}

/* What was taken is in the bounds that the rest relies on. */
static void check_server(const scim_server_config *conf)
{
    int i;

    assert_true(conf->store_size == SCIM_UNSET || conf->store_size >= 1024 * 1024);
    assert_true(conf->write_timeout == SCIM_UNSET || conf->write_timeout > 0);
    assert_true(conf->scan_limit == SCIM_UNSET || conf->scan_limit >= 0);
    assert_true(!conf->store_url || !strncmp(conf->store_url, "lmdb:/", 6));
    assert_true(conf->policy.delete_limit >= SCIM_UNSET);
    assert_in_range(conf->policy.custom_groups + 1, 0, SCIM_CUSTOM_REFUSE + 1);
    assert_in_range(conf->policy.on_group_delete + 1, 0, SCIM_ON_DELETE_DELETE + 1);
    for (i = 0; i < conf->tenant_policies->nelts; i++) {
        const char *name = APR_ARRAY_IDX(conf->tenant_policies, i, scim_tenant_policy).name;

        assert_true(scim_tenant_name_valid(name));
    }
}

static void check_dir(const scim_dir_config *conf)
{
    assert_true(conf->default_page == SCIM_UNSET || conf->default_page >= 1);
    assert_true(conf->max_page == SCIM_UNSET || conf->max_page >= 1);
    assert_true(conf->max_body == SCIM_UNSET || conf->max_body >= 1024);
    assert_true(conf->bulk_bytes == SCIM_UNSET || conf->bulk_bytes >= 1024);
    assert_true(conf->cursor_timeout == SCIM_UNSET || conf->cursor_timeout > 0);
    assert_true(conf->rate_interval == SCIM_UNSET || conf->rate_interval >= 0);
    assert_true(!conf->rate_interval || conf->rate_burst != 0);
    assert_in_range(conf->user_attribute + 1, 0, SCIM_BY_ID + 1);
    assert_non_null(mod_scim_attribute_name(conf->user_attribute == SCIM_UNSET
                                                ? SCIM_BY_ID
                                                : (scim_subject_by)conf->user_attribute));
    if (conf->base_url) {
        assert_true(strlen(conf->base_url) > strlen("http://"));
    }
}

typedef struct reading {
    cmd_parms cmd;
    ap_directive_t section;
    ap_directive_t line;
    scim_server_config *server;
    scim_dir_config *dir;
} reading;

/* The values of a directive that is refused are used by nobody: httpd does not
 * start. */
static bool read_line(reading *r, const char *line, apr_pool_t *pool)
{
    const char *name = ap_getword_conf(pool, &line), *err;

    if (!strcmp(name, "Location") || !strcmp(name, "LocationMatch")) {
        const char *path = ap_getword_conf(pool, &line);

        r->section.directive = apr_pstrcat(pool, "<", name, NULL);
        r->section.args = path;
        r->cmd.path = (char *)path;
        r->dir = mod_scim_merge_dir(pool, r->dir, mod_scim_create_dir(pool, NULL));
        return true;
    }
    r->cmd.cmd = find_command(name);
    if (!r->cmd.cmd || ((r->cmd.cmd->req_override & RSRC_CONF) == 0 && !r->cmd.path)) {
        return true;
    }
    r->line.directive = name;
    err = call(&r->cmd, r->dir, line);
    assert_true(!err || *err);
    return !err;
}

FUZZ_TARGET(config)
{
    void *configs[1];
    server_rec s = {.module_config = (ap_conf_vector_t *)configs};
    reading r = {.cmd = {.pool = scratch, .temp_pool = scratch, .server = &s}};
    char *rest = fuzz_text(data, len, scratch), *line;

    configs[0] = r.server = mod_scim_create_server(scratch, &s);
    r.dir = mod_scim_create_dir(scratch, NULL);
    r.cmd.directive = &r.line;
    r.line.parent = &r.section;
    r.line.filename = "httpd.conf";
    r.section.directive = "<Location";
    r.section.args = "";
    while ((line = apr_strtok(rest, "\n", &rest))) {
        if (!read_line(&r, fuzz_bytes(line, strlen(line), scratch), scratch)) {
            return;
        }
    }
    check_server(r.server);
    check_server(mod_scim_merge_server(scratch, r.server, mod_scim_create_server(scratch, &s)));
    check_dir(r.dir);
}
