/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is filled where it will stay: in an engine whose stores nobody can claim
 * (scim_kv_claimable), so that others may come to it at any time.  Until all of it is there
 * it is no store to them: its first row says that it is being made, and the row by which a
 * store is known stands there last, in the same transaction that takes the first one away.
 *
 * Whoever fills it looks at that row in each transaction.  Another one who begins to make a
 * store in the same place puts one of its own there, and from then on the first is refused.
 */
#ifndef SCIM_MAKING_H
#define SCIM_MAKING_H

#include "scim/error.h"
#include "scim/kv.h"

typedef struct scim_making scim_making;

/* Takes an empty engine for a store to be made; what a making that did not come to its end
 * has left there goes, some thousand rows in a transaction.  In pool.  409 where anything
 * else is there. */
const scim_error *scim_making_begin(scim_making **out, scim_kv *kv, apr_pool_t *pool);

/* From now on it is a store. */
const scim_error *scim_making_end(scim_making *making, apr_pool_t *result_pool);

#endif
