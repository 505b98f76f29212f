/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmark measures mod_scim against, as a module of httpd.
 *
 *     BenchBody FILE               read once, at start
 *     SetHandler bench-body        answers with these bytes: the least that a
 *                                  handler can do
 *     AuthBasicProvider bench      accepts every name and password
 */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#include <apr_strings.h>
#include <ap_provider.h>
#include <mod_auth.h>

#define BODY_MAX (64 * 1024)

static const char *body;
static apr_size_t body_len;

static const char *set_body(cmd_parms *cmd, void *dir, const char *path)
{
    char *bytes = apr_palloc(cmd->pool, BODY_MAX);
    apr_file_t *file;
    apr_status_t rc;

    body_len = BODY_MAX;
    rc = apr_file_open(&file, path, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, cmd->pool);
    if (rc == APR_SUCCESS) {
        rc = apr_file_read(file, bytes, &body_len);
        apr_file_close(file);
    }
    body = bytes;
    return rc == APR_SUCCESS ? NULL : apr_psprintf(cmd->pool, "%s cannot be read", path);
}

static int answer(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "bench-body")) {
        return DECLINED;
    }
    ap_set_content_type(r, "application/scim+json");
    ap_set_content_length(r, (apr_off_t)body_len);
    ap_rwrite(body, (int)body_len, r);
    return OK;
}

static authn_status accept_password(request_rec *r, const char *user, const char *password)
{
    return AUTH_GRANTED;
}

static const authn_provider provider = {accept_password, NULL};

static void register_hooks(apr_pool_t *pool)
{
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
    ap_register_auth_provider(pool, AUTHN_PROVIDER_GROUP, "bench", AUTHN_PROVIDER_VERSION,
                              &provider, AP_AUTH_INTERNAL_PER_CONF);
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("BenchBody", set_body, NULL, RSRC_CONF, "the file that bench-body sends"),
    {0}};

AP_DECLARE_MODULE(bench) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, register_hooks,
    AP_MODULE_FLAG_NONE};
