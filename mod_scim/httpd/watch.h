/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted of requests to endpoints, and shown by the status page (status.h).
 */
#ifndef MOD_SCIM_WATCH_H
#define MOD_SCIM_WATCH_H

#include "mod_scim.h"

/* The tally of all processes, which restarts, graceful or not, find again as it was; NULL
 * where there is no endpoint, or no shared memory.  *since: when counting began. */
scim_tally *mod_scim_tally(apr_time_t *since);

/* What tells a store from others in the tally. */
apr_uint64_t mod_scim_store_number(const char *store_url);

/* In how many days a token ends, of 30, 7 and 1, where it was made before it was as near its
 * end as that; 0: it does not, yet; -1: it has ended.  expires 0: never. */
int mod_scim_token_nears_end(apr_time_t created, apr_time_t expires, apr_time_t now);

void mod_scim_register_watch(void);

#endif
