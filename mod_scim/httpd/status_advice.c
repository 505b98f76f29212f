/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the status means: how each connection is, what is wrong, and what to do about it, in
 * words.
 */
#include "status.h"

#include <stdlib.h>

#include "scim/time.h"

const char *mod_scim_level_word(status_level level)
{
    static const char *const words[] = {"good", "quiet", "warn", "bad"};

    return words[level];
}

const char *mod_scim_class_word(scim_tally_class what)
{
    static const char *const words[] = {"read", "list", "write"};

    return words[what];
}

const char *mod_scim_status_span(apr_interval_time_t span, apr_pool_t *pool)
{
    static const struct {
        apr_int64_t seconds;
        const char *one, *many;
    } units[] = {{86400, "day", "days"},
                 {3600, "hour", "hours"},
                 {60, "minute", "minutes"},
                 {1, "second", "seconds"}};
    apr_int64_t seconds = span > 0 ? apr_time_sec(span) : 0, n;
    int i = 0;

    /* Two units would be more than anybody wants to know: 36 hours, not 1 day. */
    while (i < 3 && seconds < 2 * units[i].seconds) {
        i++;
    }
    n = seconds / units[i].seconds;
    return apr_psprintf(pool, "%" APR_INT64_T_FMT " %s", n,
                        n == 1 ? units[i].one : units[i].many);
}

/* Remedies */

static const struct {
    int status;
    const char *scim_type; /* NULL: any, or none */
    const char *remedy;
} remedies[] = {
    {400, "invalidFilter",
     "Change the filter, or the matching attribute, in the identity "
     "provider's mapping."},
    {400, "tooMany",
     "Match by an attribute that is indexed (userName, externalId, "
     "emails.value, displayName), or raise SCIMScanLimit."},
    {400, "mutability",
     "Take the attribute out of the identity provider's mapping: it cannot "
     "be written."},
    {400, "invalidValue",
     "Change the value at its source, or its mapping in the identity "
     "provider; the detail names the attribute."},
    {400, "noTarget",
     "What was to be changed is not there: have the identity provider read "
     "the object again (in Entra: Restart provisioning)."},
    {400, NULL,
     "Look at the identity provider's attribute mapping; the detail says what the "
     "request had wrong."},
    {401, NULL,
     "Make another token (scimctl token rotate) and put it in place of the Secret "
     "Token."},
    {403, NULL,
     "The connection may not do this: look at its token's scope, SCIMConnection, "
     "and whether its tenant is suspended (scimctl tenant list)."},
    {404, NULL,
     "It is not there any more: have the identity provider look for it again (in "
     "Entra: Restart provisioning)."},
    {409, NULL,
     "Another resource has that name: delete or rename one of them, or have the "
     "identity provider match by it."},
    {412, NULL,
     "Somebody else changed it meanwhile: the identity provider reads it again and "
     "retries."},
    {413, NULL,
     "Raise SCIMMaxBody or SCIMBulk, or have the identity provider send less at a "
     "time."},
    {429, NULL,
     "Wait; or raise SCIMRateLimit; or, where the brake of SCIMDeleteLimit is on: "
     "scimctl tenant release."},
    {500, NULL, "The server's error log says why (SCIM1201)."},
    {503, NULL, "The store was busy, read-only or not there; the error log says why."},
    {507, NULL, "The store or its disk is full: raise SCIMStoreSize, or make room."},
};

const char *mod_scim_status_remedy(const scim_tally_error *error)
{
    apr_size_t i;

    for (i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        if (remedies[i].status == error->status &&
            (!remedies[i].scim_type || !strcmp(remedies[i].scim_type, error->scim_type))) {
            return remedies[i].remedy;
        }
    }
    return "";
}

/* Connections */

static void judge_connection(status_connection *one, apr_time_t now)
{
    const scim_tally_connection *seen = one->seen;

    if (!seen) {
        one->level = STATUS_QUIET;
        one->health = "not seen yet";
    } else if (seen->error.time > seen->success) {
        one->level = STATUS_BAD;
        one->health = "fails";
    } else if (now - seen->last > STATUS_SILENCE) {
        one->level = STATUS_WARN;
        one->health = "silent";
    } else if (now - seen->error.time < STATUS_SILENCE) {
        one->level = STATUS_WARN;
        one->health = "works, with errors";
    } else {
        one->level = STATUS_GOOD;
        one->health = "works";
    }
}

/* Problems */

static void add(scim_status *status, status_level level, const char *what, const char *remedy)
{
    APR_ARRAY_PUSH(status->problems, status_problem) = (status_problem){level, what, remedy};
}

static void find_store_problems(scim_status *status)
{
    apr_pool_t *pool = status->r->pool;

    if (status->down) {
        add(status, STATUS_BAD, apr_pstrcat(pool, "Nothing can be read: ", status->down, NULL),
            "Requests are answered 503 or 500 until it is mended.");
        return;
    }
    if (status->fault) {
        add(status, STATUS_BAD,
            apr_pstrcat(pool, "The last change could not be stored: ", status->fault, NULL),
            "It is tried anew with each change; nothing is to be restarted.");
    }
    if (status->full) {
        add(status, STATUS_BAD, "The store is full: only deletions are taken.",
            "Raise SCIMStoreSize and restart httpd.");
    } else if (status->store.size && status->store.used > status->store.size / 100 * 80) {
        add(status, STATUS_WARN, "More than 80 % of the store is used.",
            "Raise SCIMStoreSize before it is full.");
    }
    if (status->read_only) {
        add(status, STATUS_WARN, "SCIMReadOnly is On: every change is answered 503.",
            "Set it Off when changes are wanted again.");
    }
}

static void find_tenant_problems(scim_status *status)
{
    apr_pool_t *pool = status->r->pool;
    int i;

    for (i = 0; i < status->tenants->nelts; i++) {
        const status_tenant *one = &APR_ARRAY_IDX(status->tenants, i, status_tenant);

        if (one->brake.on) {
            add(status, STATUS_BAD,
                apr_psprintf(
                    pool,
                    "Tenant %s: the brake of SCIMDeleteLimit is on, no user is deleted "
                    "or deactivated.",
                    one->tenant.name),
                apr_psprintf(pool,
                             "Look at the identity provider: does it mean this? Then: scimctl "
                             "tenant release %s",
                             one->tenant.name));
        }
    }
}

/* Whether another token of the connection lasts longer. */
static bool has_successor(const status_connection *one, const status_token *token)
{
    int i;

    for (i = 0; i < one->tokens->nelts; i++) {
        const scim_identity *other = APR_ARRAY_IDX(one->tokens, i, status_token).identity;

        if (!other->expires ||
            (token->identity->expires && other->expires > token->identity->expires)) {
            return true;
        }
    }
    return false;
}

static void judge_token(scim_status *status, const status_connection *one,
                        const status_token *token)
{
    apr_pool_t *pool = status->r->pool;
    const scim_identity *identity = token->identity;
    apr_interval_time_t left = identity->expires - status->now;

    if (!token->nears_end || (has_successor(one, token) && !token->used)) {
        return;
    }
    add(status, token->nears_end < 0 || token->nears_end == 1 ? STATUS_BAD : STATUS_WARN,
        apr_psprintf(
            pool, "Connection %s of tenant %s: the token that ends in %s %s %s%s",
            one->connection, one->tenant, identity->hint, left < 0 ? "expired" : "expires in",
            mod_scim_status_span(left < 0 ? -left : left, pool), left < 0 ? " ago." : "."),
        apr_psprintf(pool,
                     "scimctl token rotate --tenant %s --connection %s, and put the new one in "
                     "place of the Secret Token.",
                     one->tenant, one->connection));
}

static void judge_silence(scim_status *status, const status_connection *one)
{
    apr_pool_t *pool = status->r->pool;

    if (!strcmp(one->health, "silent")) {
        add(status, STATUS_WARN,
            apr_psprintf(pool, "Connection %s of tenant %s is silent for %s.", one->connection,
                         one->tenant,
                         mod_scim_status_span(status->now - one->seen->last, pool)),
            "Identity providers with cycles ask every 40 minutes; those without, as JumpCloud "
            "and Okta, when something changes. Is provisioning paused, or in quarantine?");
    } else if (one->level == STATUS_BAD) {
        add(status, STATUS_BAD,
            apr_psprintf(pool,
                         "Connection %s of tenant %s fails: since its last success it was "
                         "answered %d.",
                         one->connection, one->tenant, one->seen->error.status),
            mod_scim_status_remedy(&one->seen->error));
    }
}

static void find_connection_problems(scim_status *status)
{
    int i, j;

    for (i = 0; i < status->connections->nelts; i++) {
        status_connection *one = &APR_ARRAY_IDX(status->connections, i, status_connection);

        judge_connection(one, status->now);
        judge_silence(status, one);
        for (j = 0; j < one->tokens->nelts; j++) {
            judge_token(status, one, &APR_ARRAY_IDX(one->tokens, j, status_token));
        }
    }
}

/* An expired token's connection is known, and told of there. */
static void find_refusals(scim_status *status)
{
    const scim_tally_refused *unknown = &status->refused[SCIM_TALLY_UNKNOWN];

    if (unknown->requests && status->now - unknown->last < STATUS_SILENCE) {
        add(status, STATUS_WARN,
            apr_psprintf(status->r->pool,
                         "Somebody at %s asks with a token that is not known here, %s ago.",
                         unknown->address,
                         mod_scim_status_span(status->now - unknown->last, status->r->pool)),
            "Was a token revoked or replaced? The identity provider needs the new one; scimctl "
            "token check says whose a token is.");
    }
}

static void find_failing(scim_status *status)
{
    if (status->failing) {
        add(status, STATUS_WARN,
            apr_psprintf(status->r->pool,
                         "%" APR_SIZE_T_FMT " object%s could not be provisioned.",
                         status->failing, status->failing == 1 ? "" : "s"),
            "See \"Objects that fail\".");
    }
}

static int compare_problems(const void *a, const void *b)
{
    return (int)((const status_problem *)b)->level - (int)((const status_problem *)a)->level;
}

void mod_scim_status_judge(scim_status *status)
{
    status->problems = apr_array_make(status->r->pool, 4, sizeof(status_problem));
    find_store_problems(status);
    find_tenant_problems(status);
    find_connection_problems(status);
    find_failing(status);
    find_refusals(status);
    if (!status->since) {
        add(status, STATUS_WARN, "Requests are not counted.",
            "There is no endpoint, or no shared memory; the error log says which (SCIM1701).");
    }
    qsort(status->problems->elts, (size_t)status->problems->nelts, sizeof(status_problem),
          compare_problems);
}
