/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The url of a store as a text: whether it has a secret in it, and what is wrong with one
 * that names no engine.  It is shown in logs, on pages and by scimctl, and every process of the
 * machine sees it on a command line.
 */
#include <ctype.h>
#include <string.h>

#include <apr_strings.h>

#include "engine.h"

const char scim_kv_secret_text[] =
    "there is a password in it, which logs and pages would show: name a file with it by "
    "passfile= (or the variable PGPASSFILE), or let the database know who connects by a "
    "certificate (sslcert=, sslkey=) or as the user of the system (peer)";

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Names in a URI may be written so, too. */
static const char *decode(const char *text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, strlen(text) + 1), *to = out;

    while (*text) {
        int high = *text == '%' ? hex_digit(text[1]) : -1;
        int low = high >= 0 ? hex_digit(text[2]) : -1;

        *to++ = (char)(low >= 0 ? high << 4 | low : *text);
        text += low >= 0 ? 3 : 1;
    }
    *to = '\0';
    return out;
}

/* password=, and what ends so. */
static bool sets_password(const char *text)
{
    static const char word[] = "password";

    while ((text = strcasestr(text, word))) {
        text += strlen(word);
        if (text[strspn(text, " \t\r\n\f\v")] == '=') {
            return true;
        }
    }
    return false;
}

/* postgresql://user:password@host */
static bool is_in_authority(const char *text)
{
    while ((text = strstr(text, "://"))) {
        text += 3;
        if (text[strcspn(text, "@/")] == '@' && text[strcspn(text, ":@")] == ':') {
            return true;
        }
    }
    return false;
}

bool scim_kv_has_secret(const char *url, apr_pool_t *scratch_pool)
{
    if (!strncmp(url, "lmdb:", 5) || *url == '/') {
        return false; /* a path is a path */
    }
    return sets_password(decode(url, scratch_pool)) || is_in_authority(url);
}

const char *scim_kv_no_engine(const char *url, apr_pool_t *pool)
{
    if (scim_kv_has_secret(url, pool)) {
        return scim_kv_secret_text;
    }
    if (!strncmp(url, "pgsql:", 6)) {
        return apr_psprintf(pool,
                            "\"%s\" is a store on PostgreSQL, and nothing here knows how to "
                            "reach one: load mod_scim_pgsql (package "
                            "libapache2-mod-scim-pgsql; a2enmod scim_pgsql)",
                            url);
    }
    return apr_psprintf(pool,
                        "\"%s\" names no store; write lmdb: and the path of a directory, or "
                        "pgsql: and how PostgreSQL is reached",
                        url);
}
