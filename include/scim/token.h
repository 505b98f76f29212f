/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: mscim_ + 43 base62 characters (256 bits) + 6 characters of
 * CRC-32.  Only the SHA-256 of the token is stored, as the key; the token
 * itself is known to nobody after it was shown once.
 */
#ifndef SCIM_TOKEN_H
#define SCIM_TOKEN_H

#include <stdbool.h>

#include <apr_tables.h>
#include <apr_time.h>

#include "scim/store.h"
#include "scim/tenant.h"

#define SCIM_TOKEN_LEN 55
#define SCIM_TOKEN_LIFETIME (apr_time_from_sec(365 * 86400))

typedef enum scim_scope { SCIM_SCOPE_READ = 1, SCIM_SCOPE_WRITE = 2 } scim_scope;

/* "read", "write" or "read,write"; and back, in either order. */
const char *scim_scopes_text(unsigned int scopes);
bool scim_scopes_parse(unsigned int *out, const char *text);

/* Who is asking: what a token stands for. */
typedef struct scim_identity {
    scim_tenant tenant;
    const char *connection; /* "entra" */
    unsigned int scopes;    /* of scim_scope */
    apr_time_t created;
    apr_time_t expires; /* 0: never */
    const char *hint;   /* the last 4 characters */
} scim_identity;

typedef enum scim_token_state {
    SCIM_TOKEN_VALID,
    SCIM_TOKEN_UNKNOWN, /* never made, revoked, or not a token at all */
    SCIM_TOKEN_EXPIRED
} scim_token_state;

/* Whether text has the form and the checksum of a token; no store is asked. */
bool scim_token_well_formed(const char *text);

/* Who a token stands for at a moment: one hash, one get, and one get for the
 * tenant.  *out is filled, in view->pool, for VALID and EXPIRED. */
const scim_error *scim_token_find(scim_token_state *state, scim_identity *out, scim_view *view,
                                  const char *token, apr_time_t now);

/* Makes a token; token receives it, SCIM_TOKEN_LEN + 1 bytes, and the caller
 * wipes it after use.  404 for an unknown tenant, 400 for an impossible
 * connection name (as a tenant's). expires 0: never. */
const scim_error *scim_token_create(char *token, scim_store *store, const char *tenant,
                                    const char *connection, unsigned int scopes, apr_time_t now,
                                    apr_time_t expires, apr_pool_t *result_pool);

/* A token that was there when its connection got another. */
typedef struct scim_older_token {
    unsigned char digest[32]; /* the key of its row */
    scim_identity identity;   /* expires: as it is now */
    apr_time_t expired;       /* when it would have expired before */
} scim_older_token;

typedef struct scim_rotation {
    unsigned int scopes;       /* of the new token */
    apr_array_header_t *older; /* of scim_older_token, by age, the newest first; those that
                                  have expired are not among them */
} scim_rotation;

/* Makes another token for a connection that has one, with the scopes of the
 * newest that has not expired (of the newest, where all have), and gives the
 * older ones until "until" at most (0: as long as they have), all in one
 * transaction.  *made: false where the connection has none; then nothing was
 * done.  token as above; the new one's hint is no older one's.  404 for an
 * unknown tenant. */
const scim_error *scim_token_rotate(bool *made, char *token, scim_rotation *out,
                                    scim_store *store, const char *tenant,
                                    const char *connection, apr_time_t now, apr_time_t expires,
                                    apr_time_t until, apr_pool_t *result_pool);

/* Takes a rotation back whose token nobody has seen: it goes, and the older
 * ones have the time that they had. */
const scim_error *scim_token_unrotate(scim_store *store, const char *token,
                                      const scim_rotation *rotation, apr_pool_t *result_pool);

/* The tokens of a tenant: an array of scim_identity. */
const scim_error *scim_token_list(apr_array_header_t **out, scim_view *view,
                                  const char *tenant);
/* Those of all tenants, in no order; of their tenants they have number and name alone. */
const scim_error *scim_token_list_all(apr_array_header_t **out, scim_view *view);

/* Revokes the tokens of a connection (connection given; of them only the one
 * with this hint, where given) or the one token that is shown whole.  It
 * holds for the next request in every process.  *revoked: how many. */
const scim_error *scim_token_revoke(int *revoked, scim_store *store, const char *tenant,
                                    const char *connection, const char *hint,
                                    apr_pool_t *result_pool);
const scim_error *scim_token_revoke_token(int *revoked, scim_store *store, const char *token,
                                          apr_pool_t *result_pool);

#endif
