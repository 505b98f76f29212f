/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entity tags: W/"<version>", meta.version and the ETag header alike
 * (RFC 7644 section 3.14, RFC 9110 section 8.8.3).
 */
#ifndef SCIM_ETAG_H
#define SCIM_ETAG_H

#include <stdbool.h>

#include <apr_pools.h>

#define SCIM_ETAG_LEN 24 /* of the longest: W/"18446744073709551615" */

/* W/"version" in buf, which has SCIM_ETAG_LEN + 1 bytes. Returns buf. */
char *scim_etag_format(apr_uint64_t version, char *buf);

/* The same in result_pool. */
const char *scim_etag_make(apr_uint64_t version, apr_pool_t *result_pool);

/* Whether the value of an If-Match or If-None-Match header names version:
 * "*", or a list one of whose members equals it.  Compared weakly, since SCIM
 * sends weak tags with If-Match; a suffix that a compressing filter put
 * before the closing quote (-gzip, -br) is not looked at.  A malformed list
 * matches nothing from the fault on. */
bool scim_etag_match(const char *header, apr_uint64_t version);

#endif
