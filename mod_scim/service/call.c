/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What handlers ask of a call: its id, its body, the projection it wants.
 */
#include <string.h>

#include <apr_strings.h>

#include "scim/json.h"
#include "scim/params.h"
#include "scim/text.h"

#include "handler.h"

#define SHOWN_MAX 64

const char *scim_call_shown(const char *text, apr_pool_t *result_pool)
{
    char *shown = apr_pstrndup(result_pool, text, SHOWN_MAX), *at;

    for (at = shown; *at; at++) {
        if (*at < 0x20 || *at > 0x7e) {
            *at = '?';
        }
    }
    return strlen(text) > SHOWN_MAX ? apr_pstrcat(result_pool, shown, "...", NULL) : shown;
}

const scim_error *scim_call_id(scim_id *out, const scim_call *call, apr_pool_t *result_pool)
{
    const scim_target *target = &call->target;

    if (!scim_id_parse(out, target->id)) {
        return scim_error_make(result_pool, SCIM_E_NOT_FOUND,
                               "There is no %s with the id \"%s\" in this directory",
                               target->type->name,
                               scim_call_shown(target->id, result_pool));
    }
    return NULL;
}

const scim_error *scim_call_render(scim_render *out, const scim_call *call,
                                   apr_pool_t *result_pool)
{
    scim_params params;

    SCIM_ERR(scim_params_read(&params, call->query, result_pool));
    out->base_url = call->base_url;
    out->registry = call->registry;
    out->tenant = &call->identity->tenant;
    return scim_projection_parse(&out->projection, params.attributes,
                                 params.excluded_attributes, call->target.type, result_pool);
}

static bool is_type(const char *text, apr_size_t len, const char *type)
{
    return len == strlen(type) && !scim_text_ncasecmp(text, type, len);
}

const scim_error *scim_call_check_type(const scim_call *call, apr_pool_t *result_pool)
{
    const char *type = call->content_type;
    apr_size_t len;

    if (!type) {
        return NULL;
    }
    type += strspn(type, " \t");
    len = strcspn(type, "; \t");
    if (!len || is_type(type, len, SCIM_MEDIA_TYPE) || is_type(type, len, "application/json")) {
        return NULL;
    }
    return scim_error_make(
        result_pool, SCIM_E_MEDIA_TYPE,
        "The body is labelled %s; send it with Content-Type: " SCIM_MEDIA_TYPE,
        scim_call_shown(type, result_pool));
}

const scim_error *scim_call_body(json_t **out, const scim_call *call, apr_pool_t *result_pool)
{
    if (!call->body || !call->body_len) {
        return scim_error_make(result_pool, SCIM_E_INVALID_SYNTAX,
                               "The request has no body; a JSON object is expected");
    }
    return scim_json_read(out, call->body, call->body_len, result_pool);
}
