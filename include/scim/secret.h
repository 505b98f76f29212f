/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords that identity providers set (SCIMPasswordSync), for those who
 * authenticate people: hashed with a salt, kept apart from resources, deleted
 * with them.  They come in with drafts (scim/draft.h), and there is no way for
 * one to come out (RFC 7643 sections 4.1.1 and 9.2).
 */
#ifndef SCIM_SECRET_H
#define SCIM_SECRET_H

#include <stdbool.h>

#include <apr_pools.h>

#include "scim/id.h"
#include "scim/store.h"
#include "scim/tenant.h"

/* The hash of a user's password, in view->pool; NULL where none is stored, or
 * no such user is there.  Whether the tenant keeps passwords at present is the
 * caller's to ask (tenant->policy.password_sync), and so is whether the user is
 * active.  An error only where the store cannot be read. */
const scim_error *scim_secret_find(const char **hash, scim_view *view,
                                   const scim_tenant *tenant, const scim_id *user);

/* Whether the password is the one that was hashed, compared as RFC 8265 section
 * 4.2 says.  Takes some 50 ms of the processor, so never within a view; it takes
 * as long where hash is NULL (false then), so that nobody learns who exists. */
bool scim_secret_verify(const char *hash, const char *password, apr_pool_t *scratch_pool);

#endif
