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

const scim_error *scim_call_parse_id(scim_id *out, const scim_resource_type *type,
                                     const char *text, apr_pool_t *result_pool)
{
    if (!scim_id_parse(out, text)) {
        return scim_error_make(result_pool, SCIM_E_NOT_FOUND,
                               "There is no %s with the id \"%s\" in this directory",
                               type->name, scim_call_shown(text, result_pool));
    }
    return NULL;
}

const scim_error *scim_call_id(scim_id *out, const scim_call *call, apr_pool_t *result_pool)
{
    return scim_call_parse_id(out, call->target.type, call->target.id, result_pool);
}

const scim_error *scim_call_projection(const scim_projection **out, const scim_call *call,
                                       apr_pool_t *result_pool)
{
    scim_params params;

    SCIM_ERR(scim_params_read(&params, call->query, result_pool));
    return scim_projection_parse(out, params.attributes, params.excluded_attributes,
                                 call->target.type, result_pool);
}

const scim_error *scim_call_render(scim_render *out, const scim_call *call,
                                   apr_pool_t *result_pool)
{
    out->base_url = call->base_url;
    out->registry = call->registry;
    out->tenant = &call->identity->tenant;
    return scim_call_projection(&out->projection, call, result_pool);
}

const scim_error *scim_call_check_if_match(const scim_call *call, const char *if_match,
                                           apr_pool_t *result_pool)
{
    if (call->wire->require_if_match && !if_match) {
        return scim_error_make(result_pool, SCIM_E_PRECONDITION_REQUIRED,
                               "This endpoint wants an If-Match header (or a bulk operation's "
                               "version) with each change, naming the version it is for");
    }
    return NULL;
}

scim_precondition scim_call_precondition(const scim_call *call)
{
    return (scim_precondition){call->if_match, call->if_unmodified_since, call->if_none_match};
}

const scim_error *scim_call_check_tenant(const scim_tenant *tenant, apr_pool_t *result_pool)
{
    if (tenant->suspended) {
        return scim_error_make(result_pool, SCIM_E_FORBIDDEN,
                               "The directory %s is suspended; nothing in it is lost, its "
                               "operator can resume it",
                               tenant->name);
    }
    return NULL;
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

bool scim_call_is_message(const json_t *message, const char *urn)
{
    const json_t *schemas = scim_json_get(message, "schemas", NULL), *element;
    size_t i;

    json_array_foreach (schemas, i, element) {
        const char *listed = json_string_value(element);

        if (listed && !scim_text_casecmp(listed, urn)) {
            return true;
        }
    }
    return false;
}
