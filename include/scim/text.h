/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text as SCIM compares it.  Two strings of an attribute that is not
 * caseExact are equal when their prepared forms are equal byte for byte, and
 * ordered as those bytes are.  Preparation is width mapping, case folding and
 * NFC (the UsernameCaseMapped profile of PRECIS, RFC 8265 section 3.3, with
 * full case folding in place of lower-casing); values are stored as sent.
 */
#ifndef SCIM_TEXT_H
#define SCIM_TEXT_H

#include <stdbool.h>

#include <apr_pools.h>

/* The prepared form of the len bytes at text, NUL-terminated in result_pool;
 * *out_len its length.  case_exact: the bytes themselves.  text is valid
 * UTF-8 (JSON strings are); where it is not, the bytes are returned as they
 * are. */
const char *scim_text_prepare(const char *text, apr_size_t len, bool case_exact,
                              apr_size_t *out_len, apr_pool_t *result_pool);

/* The prepared form of a password, NUL-terminated in result_pool: spaces of any
 * kind become U+0020, then NFC; case and width stay (the OpaqueString profile,
 * RFC 8265 section 4.2).  NULL for what that profile refuses: no text at all,
 * what scim_text_has_control finds, bytes that are not UTF-8.  The caller wipes
 * the result. */
const char *scim_text_prepare_opaque(const char *text, apr_size_t len, apr_size_t *out_len,
                                     apr_pool_t *result_pool);

bool scim_text_is_utf8(const char *text, apr_size_t len);

/* Whether text has nothing but ASCII. */
bool scim_text_is_ascii(const char *text, apr_size_t len);

/* Whether text has a control character (C0, DEL, C1), a bidirectional
 * override or isolate, or a byte that is not UTF-8: what a userName must not
 * have (RFC 8265 section 3.3). */
bool scim_text_has_control(const char *text, apr_size_t len);

/* ASCII-only comparison without case: names, operators, URNs.  Three-valued
 * like strcmp. */
int scim_text_casecmp(const char *a, const char *b);
int scim_text_ncasecmp(const char *a, const char *b, apr_size_t n);

/* The one of the words that a mistyped one is most like, ASCII case aside: a letter of a short
 * word, two of a longer one may be other, missing, too much or in the other's place.  NULL:
 * none is. */
const char *scim_text_nearest(const char *word, const char *const *words, int count);

/* The Unicode version whose tables prepare() uses, "15.0.0": recorded in the
 * store, since prepared text is what its indexes hold. */
const char *scim_text_unicode_version(void);

#endif
