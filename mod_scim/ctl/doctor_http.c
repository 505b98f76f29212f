/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor: the endpoints, by requests as identity providers send them: over TLS 1.2 or
 * later, with the system's authorities, following no redirect, through no proxy.
 *
 * A token goes only where the certificate is good, or to this machine.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>

#include "scim/buffer.h"
#include "scim/schema.h"

#include "doctor.h"

#define BODY_MAX (1 << 20)
#define CONNECT_SECONDS 10L
#define ANSWER_SECONDS 30L

#define SLOW_MS 1000
#define SKEW_SECONDS 60
#define EXPIRY_DAYS 21

typedef struct answer {
    CURLcode rc;
    char error[CURL_ERROR_SIZE];
    long status;
    long verified; /* what is wrong with the certificate; 0: nothing */
    const char *type;
    const char *location;
    const char *server_date;
    const char *address;
    double milliseconds;
    time_t expires; /* of the certificate; 0: none, or not known */
    scim_buffer *body;
    json_t *json;       /* NULL: the body is none */
    bool scim;          /* by its type */
    const char *detail; /* of an Error message, or NULL */
} answer;

typedef struct visit {
    doctor *d;
    const char *url;  /* of the endpoint */
    const char *what; /* the same, for what is told */
    bool https;
    bool verify; /* the certificate */
    bool local;  /* it is this machine that answers */
    apr_pool_t *pool;
} visit;

/* Requests */

static size_t take_body(char *data, size_t size, size_t count, void *baton)
{
    answer *a = baton;

    if (a->body->len + count <= BODY_MAX) {
        scim_buffer_add(a->body, data, count);
    }
    return count;
}

static size_t take_header(char *data, size_t size, size_t count, void *baton)
{
    static const char date[] = "date:";
    answer *a = baton;

    if (count > sizeof(date) && !strncasecmp(data, date, sizeof(date) - 1)) {
        a->server_date =
            apr_pstrmemdup(a->body->pool, data + sizeof(date) - 1, count - sizeof(date) + 1);
    }
    return count;
}

static void configure(CURL *curl, const visit *v, const char *url, answer *a)
{
    /* As OpenSSL's programs have it: for an authority of one's own. */
    const char *authorities = getenv("SSL_CERT_FILE");

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, v->verify ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, v->verify ? 2L : 0L);
    curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
    if (authorities) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_SECONDS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "scimctl-doctor");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, a->error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, a);
}

/* "Expire date:2027-01-01 00:00:00 GMT" of the server's own certificate. */
static time_t expiry_of(CURL *curl)
{
    static const char mark[] = "Expire date:";
    struct curl_certinfo *chain = NULL;
    struct curl_slist *line;

    if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &chain) || !chain || !chain->num_of_certs) {
        return 0;
    }
    for (line = chain->certinfo[0]; line; line = line->next) {
        if (!strncmp(line->data, mark, sizeof(mark) - 1)) {
            time_t when = curl_getdate(line->data + sizeof(mark) - 1, NULL);

            return when > 0 ? when : 0;
        }
    }
    return 0;
}

static const char *text_info(CURL *curl, CURLINFO which, apr_pool_t *pool)
{
    char *text = NULL;

    return curl_easy_getinfo(curl, which, &text) || !text ? NULL : apr_pstrdup(pool, text);
}

static void read_answer(answer *a, CURL *curl, apr_pool_t *pool)
{
    double seconds = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &a->verified);
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &seconds);
    a->milliseconds = seconds * 1000;
    a->type = text_info(curl, CURLINFO_CONTENT_TYPE, pool);
    a->location = text_info(curl, CURLINFO_REDIRECT_URL, pool);
    a->address = text_info(curl, CURLINFO_PRIMARY_IP, pool);
    a->expires = expiry_of(curl);
    a->scim = a->type && (!strncasecmp(a->type, "application/scim+json", 21) ||
                          !strncasecmp(a->type, "application/json", 16));
    if (!a->scim || scim_json_read(&a->json, a->body->data, a->body->len, pool)) {
        a->json = NULL;
    }
    a->detail = scim_json_string(a->json, "detail");
}

static answer ask(const visit *v, const char *path, const char *token)
{
    answer a = {.body = scim_buffer_make(1024, v->pool)};
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/scim+json");
    CURL *curl = curl_easy_init();
    char *bearer = NULL;

    if (token) {
        bearer = apr_pstrcat(v->pool, "Authorization: Bearer ", token, NULL);
        headers = curl_slist_append(headers, bearer);
    }
    configure(curl, v, apr_pstrcat(v->pool, v->url, path, NULL), &a);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    a.rc = curl_easy_perform(curl);
    read_answer(&a, curl, v->pool);
    if (bearer) {
        OPENSSL_cleanse(bearer, strlen(bearer));
        OPENSSL_cleanse(headers->next->data, strlen(headers->next->data));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return a;
}

/* What stands in the way of any answer */

static const char *certificate_remedy(long verified, const char **what)
{
    switch (verified) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        *what = "its certificate's chain is not whole, or not of an authority that this system "
                "trusts";
        return "SSLCertificateFile wants the certificate and behind it those of the "
               "authorities "
               "between, of a public authority";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        *what = "its certificate is self-signed";
        return "get one of a public authority: identity providers in the cloud take no other";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        *what = "its certificate has expired";
        return "renew it, and restart httpd";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        *what = "its certificate is not valid yet";
        return "look at the clocks of both machines";
    default:
        *what = X509_verify_cert_error_string(verified);
        return "get one of a public authority, for the name in the URL";
    }
}

/* A name that is not in it is libcurl's own finding, which has no number. */
static void tell_certificate(const visit *v, const answer *a)
{
    bool name = strstr(a->error, "subject name") || strstr(a->error, "host name");
    const char *what =
        apr_psprintf(v->pool, "its certificate is for another name (%s)", a->error);
    const char *remedy =
        "get one for the name in the URL; or another virtual host answered: see "
        "ServerName";

    if (!name) {
        remedy = certificate_remedy(a->verified, &what);
    }
    ctl_doctor_say(v->d, DOCTOR_FAIL, v->what, remedy,
                   "%s; identity providers refuse to connect", what);
}

static void tell_unreachable(const visit *v, const answer *a)
{
    const char *remedy = "look at the error log of httpd";

    switch (a->rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
        remedy =
            "the name must be in the public DNS; or ServerName, or SCIMBaseURL, is not the "
            "name that is reached";
        break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
        remedy =
            "is httpd running, does it Listen there, and does a firewall let this through?";
        break;
    case CURLE_SSL_CONNECT_ERROR:
        remedy = "SSLEngine On must stand in that virtual host, and SSLProtocol must allow TLS "
                 "1.2 or later";
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        remedy = "a Tenant URL is https://, a name and a path";
        break;
    default:
        break;
    }
    ctl_doctor_say(v->d, DOCTOR_FAIL, v->what, remedy, "no answer: %s",
                   *a->error ? a->error : curl_easy_strerror(a->rc));
}

/* Answers that are none of mod_scim's */

static bool tell_stranger(const visit *v, const answer *a, const char *path)
{
    if (a->status >= 300 && a->status < 400) {
        ctl_doctor_say(v->d, DOCTOR_FAIL, v->what,
                       "identity providers follow no redirect: let the endpoint answer itself, "
                       "or give them the URL that it leads to",
                       "%s is answered %ld, a redirect to %s", path, a->status,
                       a->location ? a->location : "nowhere");
        return true;
    }
    if (a->json) {
        return false;
    }
    if (a->status == 401) {
        ctl_doctor_say(v->d, DOCTOR_FAIL, v->what,
                       "let what is in front of it, a proxy or a login, pass the endpoint",
                       "%s is answered 401, but not by mod_scim", path);
    } else if (a->status == 404) {
        ctl_doctor_say(v->d, DOCTOR_FAIL, v->what,
                       "the URL must end as the <Location> with SCIMEngine On does, and its "
                       "name must be that of the same virtual host",
                       "%s is answered 404, and not by mod_scim: there is no endpoint at this "
                       "path",
                       path);
    } else {
        ctl_doctor_say(v->d, DOCTOR_FAIL, v->what,
                       "another site, virtual host or proxy answers; see ServerName and "
                       "<Location>",
                       "%s is answered %ld with %s, and not by mod_scim", path, a->status,
                       a->type ? a->type : "no type");
    }
    return true;
}

static bool says(const answer *a, const char *text)
{
    return a->detail && strstr(a->detail, text);
}

static const char *remedy_of(const answer *a, bool made)
{
    switch (a->status) {
    case 401:
        if (says(a, "asks for a bearer token") || says(a, "A token is needed")) {
            return "something in front of it takes the header Authorization away: a proxy "
                   "(RequestHeader unset Authorization), or another login; let it pass";
        }
        return made ? "the server that answers has another store than this one, or its "
                      "SCIMTenant is another tenant: compare SCIMStore"
                    : "scimctl token check says whose the token is, and until when";
    case 403:
        return says(a, "not enabled") ? "scimctl tenant resume"
               : says(a, "HTTPS")
                   ? "use https://; where a proxy in front ends TLS, see "
                     "SCIMRequireTLS"
                   : "see the detail; Require and SCIMRequireTLS of the <Location>";
    case 404:
        return "the URL must end where the <Location> with SCIMEngine On does";
    case 429:
        return "SCIMRateLimit: ask again later";
    case 500:
        return "AuthType Bearer, AuthName SCIM and Require valid-user must stand in the "
               "<Location>; the error log says what is missing";
    case 503:
        return "the error log says why the store cannot be used";
    default:
        return "the error log says more";
    }
}

static void tell_refusal(const visit *v, const answer *a, const char *path, bool made)
{
    ctl_doctor_say(v->d, DOCTOR_FAIL, v->what, remedy_of(a, made), "%s is answered %ld: %s",
                   path, a->status, a->detail ? a->detail : "without a word");
}

/* What an answer tells beside itself */

static void look_at_expiry(const visit *v, const answer *a)
{
    long days = a->expires ? (long)((a->expires - time(NULL)) / 86400) : 0;

    if (a->expires) {
        ctl_doctor_say(v->d, days < EXPIRY_DAYS ? DOCTOR_WARN : DOCTOR_OK, v->what,
                       days < EXPIRY_DAYS ? "renew it, and restart httpd" : NULL,
                       "the certificate is good for %ld more day%s", days,
                       days == 1 ? "" : "s");
    }
}

static void look_at_clock(const visit *v, const answer *a)
{
    time_t when = a->server_date ? curl_getdate(a->server_date, NULL) : -1;
    long skew = when > 0 ? (long)(time(NULL) - when) : 0;

    if (labs(skew) > SKEW_SECONDS) {
        ctl_doctor_say(
            v->d, DOCTOR_WARN, v->what,
            "let both keep time (chrony, systemd-timesyncd): tokens begin and expire "
            "by it",
            "the server's clock is %ld seconds %s this one's", labs(skew),
            skew > 0 ? "behind" : "before");
    }
}

static bool is_private(const char *address)
{
    struct in_addr in;
    apr_uint32_t ip;

    if (!address || inet_pton(AF_INET, address, &in) != 1) {
        return address && (!strcmp(address, "::1") || !strncasecmp(address, "fd", 2) ||
                           !strncasecmp(address, "fe80", 4));
    }
    ip = ntohl(in.s_addr);
    return ip >> 24 == 10 || ip >> 24 == 127 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8 ||
           ip >> 16 == 0xa9fe;
}

static bool is_loopback(const char *address)
{
    return address && (!strncmp(address, "127.", 4) || !strcmp(address, "::1"));
}

static void look_at_address(const visit *v, const answer *a)
{
    if (!v->https) {
        ctl_doctor_say(
            v->d, DOCTOR_WARN, v->what,
            "give identity providers an https:// URL; see \"A server in earnest\" in "
            "README",
            "it is http://: mod_scim answers that to this machine alone, unless "
            "SCIMRequireTLS says otherwise");
    } else if (is_private(a->address)) {
        ctl_doctor_say(v->d, DOCTOR_WARN, v->what,
                       "that may be right here, within your network; outside, the name must "
                       "lead to a public address",
                       "from here the name leads to %s, a private address", a->address);
    }
}

/* One after the other */

static bool is_config(const answer *a)
{
    const json_t *schemas = scim_json_get(a->json, "schemas", NULL);
    const char *urn = json_string_value(json_array_get(schemas, 0));

    return urn && strstr(urn, ":ServiceProviderConfig");
}

static bool look_at_config(visit *v)
{
    static const char path[] = "/ServiceProviderConfig";
    answer a = ask(v, path, NULL);

    if (a.rc == CURLE_PEER_FAILED_VERIFICATION && v->verify) {
        tell_certificate(v, &a);
        v->verify = false;
        a = ask(v, path, NULL);
    }
    if (a.rc != CURLE_OK) {
        tell_unreachable(v, &a);
        return false;
    }
    v->local = is_loopback(a.address);
    look_at_address(v, &a);
    look_at_clock(v, &a);
    if (v->verify) {
        look_at_expiry(v, &a);
    }
    if (tell_stranger(v, &a, path)) {
        return false;
    }
    if (a.status != 200) {
        tell_refusal(v, &a, path, false);
        return false;
    }
    if (!is_config(&a)) {
        ctl_doctor_say(v->d, DOCTOR_FAIL, v->what, "another service answers; see <Location>",
                       "%s is no ServiceProviderConfig", path);
        return false;
    }
    ctl_doctor_say(v->d, a.milliseconds > SLOW_MS ? DOCTOR_WARN : DOCTOR_OK, v->what,
                   a.milliseconds > SLOW_MS
                       ? "look at the load of the machine, and at HostnameLookups"
                       : NULL,
                   "%s is answered in %.0f ms", path, a.milliseconds);
    return true;
}

#define LIST "/Users?count=1"

/* Who comes without a token must be sent away. */
static void look_at_stranger(const visit *v)
{
    answer a = ask(v, LIST, NULL);

    if (a.rc != CURLE_OK) {
        tell_unreachable(v, &a);
    } else if (a.status == 401 && a.json) {
        ctl_doctor_say(v->d, DOCTOR_OK, v->what, NULL, "without a token nobody gets in");
    } else if (a.status == 200) {
        ctl_doctor_say(v->d, DOCTOR_FAIL, v->what,
                       "SCIMConnection lets them in: see who that is; or something in front "
                       "adds a token to every request",
                       "%s is answered to anybody, without a token", LIST);
    } else if (!tell_stranger(v, &a, LIST)) {
        tell_refusal(v, &a, LIST, false);
    }
}

static bool is_list(const answer *a)
{
    const json_t *schemas = scim_json_get(a->json, "schemas", NULL);
    const char *urn = json_string_value(json_array_get(schemas, 0));

    return urn && !strcmp(urn, SCIM_URN_LIST);
}

static void look_with_token(const visit *v, const char *token, bool made)
{
    answer a = ask(v, LIST, token);

    if (a.rc != CURLE_OK) {
        tell_unreachable(v, &a);
    } else if (tell_stranger(v, &a, LIST)) {
        return;
    } else if (a.status != 200 || !is_list(&a)) {
        tell_refusal(v, &a, LIST, made);
    } else {
        ctl_doctor_say(v->d, a.milliseconds > SLOW_MS ? DOCTOR_WARN : DOCTOR_OK, v->what,
                       a.milliseconds > SLOW_MS ? "look at the load of the machine" : NULL,
                       "with a token %s is answered in %.0f ms", LIST, a.milliseconds);
    }
}

static void refuse_token(const visit *v)
{
    if (v->https) {
        ctl_doctor_say(v->d, DOCTOR_WARN, v->what, "mend the certificate first",
                       "no token is sent to a server whose certificate is not good");
    } else {
        ctl_doctor_say(v->d, DOCTOR_WARN, v->what, "give it as https://",
                       "no token is sent over plain HTTP to another machine");
    }
}

void ctl_doctor_endpoint(doctor *d, const char *url, const char *token, bool made)
{
    visit v = {.d = d, .what = url, .verify = true};
    size_t len = strlen(url);

    apr_pool_create(&v.pool, d->c->pool);
    while (len && url[len - 1] == '/') {
        len--;
    }
    v.url = apr_pstrmemdup(v.pool, url, len);
    v.https = !strncasecmp(url, "https:", 6);
    if (look_at_config(&v)) {
        look_at_stranger(&v);
        if (token && (v.https ? v.verify : v.local)) {
            look_with_token(&v, token, made);
        } else if (token) {
            refuse_token(&v);
        }
    }
    apr_pool_destroy(v.pool);
}
