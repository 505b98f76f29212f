/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entity tags: making them, and finding one in a conditional header.
 */
#include "scim/etag.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

const char *scim_etag_make(apr_uint64_t version, apr_pool_t *result_pool)
{
    return apr_psprintf(result_pool, "W/\"%" APR_UINT64_T_FMT "\"", version);
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

/* The closing quote of the tag whose opaque part begins at "at", or NULL. */
static const char *closing_quote(const char *at)
{
    while ((unsigned char)*at > ' ' && *at != '"' && *at != 0x7F) {
        at++;
    }
    return *at == '"' ? at : NULL;
}

/* Whether [at, end) is wanted, or wanted with a filter's suffix. */
static bool names(const char *at, const char *end, const char *wanted)
{
    apr_size_t len = strlen(wanted);

    if ((apr_size_t)(end - at) < len || memcmp(at, wanted, len)) {
        return false;
    }
    at += len;
    if (at == end) {
        return true;
    }
    if (*at++ != '-' || at == end) {
        return false;
    }
    while (at < end && apr_isalpha(*at)) {
        at++;
    }
    return at == end;
}

static bool list_names(const char *at, const char *wanted)
{
    for (;;) {
        const char *end;

        at += strspn(at, " \t,"); /* a list may have empty members */
        if (!strncmp(at, "W/", 2)) {
            at += 2;
        }
        if (*at++ != '"' || !(end = closing_quote(at))) {
            return false;
        }
        if (names(at, end, wanted)) {
            return true;
        }
        at = skip_space(end + 1);
        if (*at != ',') {
            return false;
        }
    }
}

bool scim_etag_match(const char *header, apr_uint64_t version)
{
    char wanted[24];

    if (!header) {
        return false;
    }
    header = skip_space(header);
    if (*header == '*') {
        return !*skip_space(header + 1);
    }
    apr_snprintf(wanted, sizeof(wanted), "%" APR_UINT64_T_FMT, version);
    return list_names(header, wanted);
}
