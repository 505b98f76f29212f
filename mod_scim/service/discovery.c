/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server can do, and which resources and attributes it has (RFC 7644
 * section 4; RFC 7643 sections 5 to 7; RFC 9865 section 4).  It tells what is
 * so: a feature that is built changes its line here.
 */
#include <apr_strings.h>
#include <xxhash.h>

#include "scim/etag.h"
#include "scim/json.h"
#include "scim/params.h"

#include "handler.h"

#define URN_CONFIG "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"

/* A query on these is refused, and all other parameters are ignored. */
static const scim_error *refuse_filter(const scim_call *call, apr_pool_t *pool)
{
    scim_params params;

    SCIM_ERR(scim_params_read(&params, call->query, pool));
    if (params.filter) {
        return scim_error_make(pool, SCIM_E_FORBIDDEN,
                               "The discovery endpoints cannot be filtered; leave the filter "
                               "out");
    }
    return NULL;
}

/* A document with the meta that it has at this endpoint; not adopted. */
static json_t *with_meta(const json_t *document, const char *kind, const char *location)
{
    json_t *copy = scim_json_copy(document);

    scim_json_set(copy, "meta",
                  scim_json_pack("{s:s,s:s}", "resourceType", kind, "location", location));
    return copy;
}

/* These documents change only with the configuration: clients may keep them,
 * and ask whether they still hold. */
static void reply_document(scim_reply *reply, const scim_call *call, json_t *json,
                           apr_pool_t *pool)
{
    apr_uint64_t version;

    scim_reply_json(reply, scim_json_adopt(json, pool), pool);
    version = XXH3_64bits(reply->body, reply->body_len);
    reply->etag = scim_etag_make(version, pool);
    if (call->if_none_match && scim_etag_match(call->if_none_match, version)) {
        reply->status = 304;
        reply->body = NULL;
        reply->body_len = 0;
    }
}

static void reply_one(scim_reply *reply, const scim_call *call, json_t *json,
                      const char *location, apr_pool_t *pool)
{
    reply_document(reply, call, json, pool);
    reply->content_location = location;
}

static void reply_list(scim_reply *reply, const scim_call *call, json_t *resources,
                       apr_pool_t *pool)
{
    json_int_t count = (json_int_t)json_array_size(resources);
    json_t *list = scim_json_pack("{s:[s],s:I,s:I,s:I,s:o}", "schemas", SCIM_URN_LIST,
                                  "totalResults", count, "startIndex", (json_int_t)1,
                                  "itemsPerPage", count, "Resources", resources);

    reply_document(reply, call, list, pool);
    reply->count = count;
}

static json_t *feature(bool supported)
{
    return scim_json_pack("{s:b}", "supported", supported);
}

static json_t *bulk(const scim_wire *wire)
{
    return scim_json_pack("{s:b,s:I,s:I}", "supported", wire->bulk_operations > 0,
                          "maxOperations", (json_int_t)wire->bulk_operations, "maxPayloadSize",
                          (json_int_t)(wire->bulk_operations ? wire->bulk_bytes : 0));
}

static json_t *pagination(const scim_wire *wire)
{
    apr_int64_t page =
        wire->default_page < wire->max_page ? wire->default_page : wire->max_page;

    return scim_json_pack("{s:b,s:b,s:s,s:I,s:I,s:I}", "cursor", 1, "index", 1,
                          "defaultPaginationMethod", "index", "defaultPageSize",
                          (json_int_t)page, "maxPageSize", (json_int_t)wire->max_page,
                          "cursorTimeout", (json_int_t)apr_time_sec(wire->cursor_timeout));
}

static json_t *authentication_schemes(void)
{
    return scim_json_pack("[{s:s,s:s,s:s,s:s,s:b}]", "type", "oauthbearertoken", "name",
                          "OAuth Bearer Token", "description",
                          "A secret token in the Authorization header: Bearer <token>",
                          "specUri", "https://www.rfc-editor.org/info/rfc6750", "primary", 1);
}

const scim_error *scim_handle_config(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    const char *location = apr_pstrcat(pool, call->base_url, "/ServiceProviderConfig", NULL);
    json_t *config;

    SCIM_ERR(refuse_filter(call, pool));
    config = scim_json_pack(
        "{s:[s],s:o,s:o,s:{s:b,s:I},s:o,s:o,s:o,s:o,s:o}", "schemas", URN_CONFIG, "patch",
        feature(true), "bulk", bulk(call->wire), "filter", "supported", 1, "maxResults",
        (json_int_t)call->wire->max_page, "changePassword", feature(false), "sort",
        feature(true), "etag", feature(true), "pagination", pagination(call->wire),
        "authenticationSchemes", authentication_schemes());
    scim_json_adopt(config, pool);
    reply_one(reply, call, with_meta(config, "ServiceProviderConfig", location), location,
              pool);
    return NULL;
}

static const char *type_location(const scim_call *call, const scim_resource_type *type,
                                 apr_pool_t *pool)
{
    return apr_pstrcat(pool, call->base_url, "/ResourceTypes/", type->name, NULL);
}

const scim_error *scim_handle_types(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    json_t *resources;
    int i;

    SCIM_ERR(refuse_filter(call, pool));
    resources = scim_json_array();
    for (i = 0; i < call->registry->types_count; i++) {
        const scim_resource_type *type = &call->registry->types[i];

        scim_json_append(resources, with_meta(type->document, "ResourceType",
                                              type_location(call, type, pool)));
    }
    reply_list(reply, call, resources, pool);
    return NULL;
}

const scim_error *scim_handle_type(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    const scim_resource_type *type = scim_registry_type(call->registry, call->target.id);
    const char *location;

    SCIM_ERR(refuse_filter(call, pool));
    if (!type) {
        return scim_error_make(pool, SCIM_E_NOT_FOUND,
                               "There is no resource type %s; %s/ResourceTypes lists them",
                               scim_call_shown(call->target.id, pool), call->base_url);
    }
    location = type_location(call, type, pool);
    reply_one(reply, call, with_meta(type->document, "ResourceType", location), location, pool);
    return NULL;
}

static const char *schema_location(const scim_call *call, const scim_schema *schema,
                                   apr_pool_t *pool)
{
    return apr_pstrcat(pool, call->base_url, "/Schemas/", schema->urn, NULL);
}

const scim_error *scim_handle_schemas(scim_reply *reply, const scim_call *call,
                                      apr_pool_t *pool)
{
    json_t *resources;
    int i;

    SCIM_ERR(refuse_filter(call, pool));
    resources = scim_json_array();
    for (i = 0; i < call->registry->schemas_count; i++) {
        const scim_schema *schema = call->registry->schemas[i];

        scim_json_append(resources, with_meta(schema->document, "Schema",
                                              schema_location(call, schema, pool)));
    }
    reply_list(reply, call, resources, pool);
    return NULL;
}

const scim_error *scim_handle_schema(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    const scim_schema *schema = scim_registry_schema(call->registry, call->target.id);
    const char *location;

    SCIM_ERR(refuse_filter(call, pool));
    if (!schema) {
        return scim_error_make(pool, SCIM_E_NOT_FOUND,
                               "There is no schema %s; %s/Schemas lists them",
                               scim_call_shown(call->target.id, pool), call->base_url);
    }
    location = schema_location(call, schema, pool);
    reply_one(reply, call, with_meta(schema->document, "Schema", location), location, pool);
    return NULL;
}
