/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints of RFC 7644 that this server knows and does not serve: 501, with
 * what to do instead.
 */
#include "handler.h"

const scim_error *scim_handle_root(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_IMPLEMENTED,
                           "This is the base of a SCIM endpoint (the Tenant URL); resources of "
                           "all types at once cannot be asked for, ask one endpoint, such as "
                           "%s/Users",
                           call->base_url);
}

const scim_error *scim_handle_search(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_IMPLEMENTED,
                           "Queries by POST to /.search are not supported; use GET with the "
                           "same parameters, such as %s/Users?filter=...",
                           call->base_url);
}

const scim_error *scim_handle_bulk(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_IMPLEMENTED,
                           "Bulk requests are not supported (bulk.supported in "
                           "%s/ServiceProviderConfig is false); send each operation as a "
                           "request of its own",
                           call->base_url);
}

const scim_error *scim_handle_me(scim_reply *reply, const scim_call *call, apr_pool_t *pool)
{
    return scim_error_make(pool, SCIM_E_NOT_IMPLEMENTED,
                           "/Me is not supported: a token stands for an identity provider's "
                           "connection, not for a user; use %s/Users/{id}",
                           call->base_url);
}
