/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: the table of SCIM's error kinds, and the one way from an error to
 * the JSON of an Error message.
 */
#include "scim/error.h"

#include <stdarg.h>
#include <string.h>

#include <apr_strings.h>
#include <utf8proc.h>

#include "scim/json.h"

#define ERROR_URN "urn:ietf:params:scim:api:messages:2.0:Error"
#define DETAIL_MAX 1024
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static const struct {
    int status;
    const char *scim_type;
} kinds[SCIM_E_COUNT] = {
#define SCIM_ERROR_ROW(name, status, type) [SCIM_E_##name] = {status, type},
    SCIM_ERROR_TABLE(SCIM_ERROR_ROW)
#undef SCIM_ERROR_ROW
};

/* A detail may quote what a client sent in a URL or header, which can be any
 * bytes; a JSON string cannot. */
static const char *clean_detail(const char *text, apr_pool_t *result_pool)
{
    char out[DETAIL_MAX];
    apr_size_t len = 0, left = strlen(text);

    while (left) {
        utf8proc_int32_t c;
        utf8proc_ssize_t taken =
            utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        const char *piece = taken > 0 ? text : REPLACEMENT;
        apr_size_t size = taken > 0 ? (apr_size_t)taken : strlen(REPLACEMENT);
        apr_size_t step = taken > 0 ? (apr_size_t)taken : 1;

        if (len + size > sizeof(out)) {
            break;
        }
        memcpy(out + len, piece, size);
        len += size;
        text += step;
        left -= step;
    }
    return apr_pstrmemdup(result_pool, out, len);
}

static scim_error *make(scim_error_code code, const char *detail, apr_pool_t *result_pool)
{
    scim_error *err = apr_pcalloc(result_pool, sizeof(*err));

    err->code = code;
    err->status = kinds[code].status;
    err->scim_type = kinds[code].scim_type;
    err->detail = clean_detail(detail, result_pool);
    err->rv = APR_SUCCESS;
    return err;
}

const scim_error *scim_error_make(apr_pool_t *result_pool, scim_error_code code,
                                  const char *fmt, ...)
{
    /* Room for a character that begins within the limit and ends beyond it:
     * it has to be seen whole to be left out whole. */
    char text[DETAIL_MAX + 4];
    va_list args;

    va_start(args, fmt);
    apr_vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return make(code, text, result_pool);
}

const scim_error *scim_error_system(apr_pool_t *result_pool, scim_error_code code,
                                    apr_status_t rv, const char *detail, const char *fmt, ...)
{
    scim_error *err = make(code, detail, result_pool);
    va_list args;

    va_start(args, fmt);
    err->cause = apr_pvsprintf(result_pool, fmt, args);
    va_end(args);
    err->rv = rv;
    return err;
}

const scim_error *scim_error_at(apr_pool_t *result_pool, const scim_error *err,
                                const char *prefix)
{
    scim_error *at = apr_pmemdup(result_pool, err, sizeof(*err));

    at->detail = clean_detail(apr_pstrcat(result_pool, prefix, err->detail, NULL), result_pool);
    return at;
}

const scim_error *scim_error_retry(apr_pool_t *result_pool, const scim_error *err, int seconds)
{
    scim_error *retry = apr_pmemdup(result_pool, err, sizeof(*err));

    retry->retry_after = seconds;
    return retry;
}

const char *scim_error_body(const scim_error *err, apr_size_t *len, apr_pool_t *result_pool)
{
    json_t *body = scim_json_object();
    char status[12];
    const char *text;
    apr_size_t ignored;

    apr_snprintf(status, sizeof(status), "%d", err->status);
    scim_json_set(body, "schemas", scim_json_pack("[s]", ERROR_URN));
    if (err->scim_type) {
        scim_json_set(body, "scimType", scim_json_text(err->scim_type));
    }
    scim_json_set(body, "detail", scim_json_text(err->detail));
    scim_json_set(body, "status", scim_json_text(status));
    text = scim_json_write(body, len ? len : &ignored, result_pool);
    json_decref(body);
    return text;
}

scim_error_code scim_error_of_status(int status)
{
    int code;

    /* Kinds with a scimType are not for httpd to raise: its 403 is about
     * access, its 409 not about a user name. */
    for (code = 0; code < SCIM_E_COUNT; code++) {
        if (kinds[code].status == status && !kinds[code].scim_type) {
            return (scim_error_code)code;
        }
    }
    return status >= 400 && status < 500 ? SCIM_E_BAD_REQUEST : SCIM_E_INTERNAL;
}
