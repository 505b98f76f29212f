/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoints that httpd serves of a store, as it wrote them down when it
 * started: what an identity provider's Tenant URL is to be.  Here they are
 * bytes: a JSON array, for each endpoint
 *
 *     {"url": "https://scim.example.com/scim/v2",
 *      "tenant": "acme",     the only one that it takes, or null
 *      "template": false}    true: "{tenant}" in url stands for a tenant's name
 */
#ifndef SCIM_ENDPOINTS_H
#define SCIM_ENDPOINTS_H

#include <stdbool.h>

#include <apr_tables.h>

#include "scim/store.h"

/* What stands for a tenant's name in the URL of a template. */
#define SCIM_ENDPOINTS_TENANT "{tenant}"

/* The text with another in place of each what, which is not "", in result_pool:
 * makes a template, or a URL of one. */
const char *scim_endpoints_replace(const char *text, const char *what, const char *with,
                                   apr_pool_t *result_pool);

/* *out: NUL-terminated in view->pool; NULL where no httpd has started yet. */
const scim_error *scim_endpoints_read(const char **out, scim_view *view);

/* The URLs of the endpoints that take a tenant's tokens: an array of const char *
 * in view->pool, empty where none is known. */
const scim_error *scim_endpoints_urls(apr_array_header_t **out, scim_view *view,
                                      const char *tenant);

/* Writes them where they differ from what is there; *changed: whether they
 * did. */
const scim_error *scim_endpoints_write(bool *changed, scim_store *store, const char *json,
                                       apr_pool_t *result_pool);

#endif
