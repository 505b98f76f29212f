/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource identifiers: UUID version 7 (RFC 9562 section 5.7), whose byte
 * order is their order of creation.  On the wire they are the 36 lower-case
 * characters; ids are caseExact (RFC 7643 section 3.1).
 */
#ifndef SCIM_ID_H
#define SCIM_ID_H

#include <stdbool.h>

#include <apr_time.h>

#define SCIM_ID_TEXT 36

typedef struct scim_id {
    unsigned char bytes[16];
} scim_id;

/* Mints an id later in byte order than *last (all zero: any) even where the
 * clock stands still or went back, random in its tail.  False where the
 * system has no random bytes. */
bool scim_id_mint(scim_id *out, const scim_id *last, apr_time_t now);

/* Reads exactly what scim_id_format writes; false for anything else, upper
 * case included. */
bool scim_id_parse(scim_id *out, const char *text);

/* buf has SCIM_ID_TEXT + 1 bytes. Returns buf. */
char *scim_id_format(const scim_id *id, char *buf);

int scim_id_compare(const scim_id *a, const scim_id *b);

#endif
