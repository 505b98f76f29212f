/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals: what a server hands out with a form, and wants back with it, so that
 * nobody else can have made the form (the synchronizer token of OWASP's
 * "Cross-Site Request Forgery Prevention", as an HMAC that needs no memory).
 * A seal is bound to a text that says for whom it is, and to the time that it
 * was made at; no two are the same.
 */
#ifndef SCIM_SEAL_H
#define SCIM_SEAL_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_time.h>

#define SCIM_SEAL_KEY 32 /* bytes of a key */

typedef enum scim_seal_state {
    SCIM_SEAL_GOOD,
    SCIM_SEAL_WRONG, /* no seal, one of another key, or bound to another text */
    SCIM_SEAL_EXPIRED
} scim_seal_state;

/* Fills a key with random bytes; false where the system has none. */
bool scim_seal_key(unsigned char key[SCIM_SEAL_KEY]);

/* A seal, of letters and digits, in result_pool; NULL where it cannot be made. */
const char *scim_seal_make(const unsigned char key[SCIM_SEAL_KEY], const char *bound,
                           apr_time_t now, apr_pool_t *result_pool);

/* What a text is as a seal that was made no longer than life ago. */
scim_seal_state scim_seal_check(const unsigned char key[SCIM_SEAL_KEY], const char *bound,
                                const char *text, apr_time_t now, apr_interval_time_t life);

#endif
