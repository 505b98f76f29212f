/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entity tags: making them, and finding one in a conditional header.
 */
#include "scim/etag.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

char *scim_etag_format(apr_uint64_t version, char *buf)
{
    char digits[20], *at = buf;
    int count = 0;

    do {
        digits[count++] = (char)('0' + version % 10);
        version /= 10;
    } while (version);
    *at++ = 'W';
    *at++ = '/';
    *at++ = '"';
    while (count) {
        *at++ = digits[--count];
    }
    *at++ = '"';
    *at = '\0';
    return buf;
}

const char *scim_etag_make(apr_uint64_t version, apr_pool_t *result_pool)
{
    return scim_etag_format(version, apr_palloc(result_pool, SCIM_ETAG_LEN + 1));
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
