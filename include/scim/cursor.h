/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors (RFC 9865): where a walk through a result stands, sealed.
 *
 * Nothing is kept for a cursor.  It is encrypted and authenticated
 * (AES-256-GCM) with a key that only the store has, and bound to the tenant,
 * the query and the page size that it came from; whoever changes it, or uses
 * it elsewhere, has no cursor.
 */
#ifndef SCIM_CURSOR_H
#define SCIM_CURSOR_H

#include <apr_time.h>

#include "scim/resource.h"
#include "scim/store.h"
#include "scim/tenant.h"

/* What a cursor is bound to. */
typedef struct scim_cursor_scope {
    const scim_tenant *tenant;
    const char *query; /* endpoint, filter, order and projection, as one text */
    apr_uint64_t count;
} scim_cursor_scope;

/* The cursor of a position as text of unreserved characters. */
const scim_error *scim_cursor_seal(const char **out, scim_store *store,
                                   const scim_cursor_scope *scope,
                                   const scim_position *position, apr_time_t expires,
                                   apr_pool_t *result_pool);

/* The position of a cursor: 400 invalidCursor (forged, damaged, of another
 * tenant or query: one text for all), expiredCursor, or invalidCount where
 * only the page size differs.  An error of the server where OpenSSL finds no memory. */
const scim_error *scim_cursor_open(scim_position *out, scim_store *store,
                                   const scim_cursor_scope *scope, const char *text,
                                   apr_time_t now, apr_pool_t *result_pool);

#endif
