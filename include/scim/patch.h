/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH (RFC 7644 section 3.5.2): parsed once, applied in order to a working
 * copy, all or nothing.
 *
 * Membership operations do not touch the copy: they become steps of
 * scim/draft.h, so that adding and removing named members reads no others.
 */
#ifndef SCIM_PATCH_H
#define SCIM_PATCH_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>

#include "scim/draft.h"
#include "scim/error.h"
#include "scim/schema.h"

typedef struct scim_patch scim_patch;

#define SCIM_PATCH_MAX_OPERATIONS 10000

/* Reads a PatchOp message, already normalised by scim/interop.h: 400
 * invalidSyntax for its frame, invalidPath, noTarget, mutability, invalidValue
 * for what can be judged without the resource.  Details begin with the place
 * ("Operations[2]: ..."). */
const scim_error *scim_patch_parse(const scim_patch **out, const json_t *body,
                                   const scim_resource_type *type, bool lenient,
                                   apr_pool_t *result_pool);

/* Notes in written, as scim_projection_wrote does, what the operations name. */
void scim_patch_wrote(const scim_patch *patch, apr_array_header_t *written);

/* Applies patch to a copy of existing (stored JSON; not changed) and makes
 * the draft of the result, validated as a whole.  May be called again with
 * another existing.  draft->json is equal to existing where nothing changed,
 * and shares with it what no operation names, but references, which the caller
 * may change; draft->members is NULL where no operation names members. */
const scim_error *scim_patch_apply(scim_draft *draft, const scim_patch *patch,
                                   const json_t *existing, apr_pool_t *result_pool);

#endif
