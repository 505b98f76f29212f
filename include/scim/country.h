/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Countries: RFC 7643 section 4.1.2 wants ISO 3166-1 alpha-2 codes, directories
 * hold English names and alpha-3 codes.
 */
#ifndef SCIM_COUNTRY_H
#define SCIM_COUNTRY_H

/* The alpha-2 code of an officially assigned country whose alpha-3 code or
 * English name, in any ASCII case, is text; NULL for anything else, alpha-2
 * codes included. */
const char *scim_country_code(const char *text);

#endif
