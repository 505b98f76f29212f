/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers: what stands behind "Bearer", entity tags of If-Match and If-None-Match,
 * and media types.
 */
#include <apr_lib.h>

#include "scim/etag.h"
#include "scim/token.h"

#include "../../mod_scim/service/handler.h"
#include "fuzz.h"

static scim_store *store;
static char token[SCIM_TOKEN_LEN + 1];

static void open_store(void)
{
    scim_store_options options = {.kv = {.create = true}, .registry = fuzz_registry()};
    scim_tenant tenant;
    apr_pool_t *pool;

    if (!store) {
        apr_pool_create(&pool, NULL);
        assert_null(scim_store_open(&store, "memory:", &options, pool));
        assert_null(scim_tenant_create(&tenant, store, "acme", 1, pool));
        assert_null(
            scim_token_create(token, store, "acme", "entra", SCIM_SCOPE_READ, 1, 100, pool));
    }
}

typedef struct finding {
    const char *text;
    scim_token_state state;
} finding;

static const scim_error *find_token(scim_view *view, void *baton)
{
    finding *f = baton;
    scim_identity identity;

    return scim_token_find(&f->state, &identity, view, f->text, 50);
}

/* Nothing is a token but the one that there is, and what is found is one. */
static void check_token(const char *text, apr_pool_t *pool)
{
    finding f = {.text = text};

    assert_null(scim_store_view(store, find_token, &f, pool));
    assert_int_equal(f.state, strcmp(text, token) ? SCIM_TOKEN_UNKNOWN : SCIM_TOKEN_VALID);
    if (scim_token_well_formed(text)) {
        assert_int_equal(strlen(text), SCIM_TOKEN_LEN);
        assert_memory_equal(text, "mscim_", 6);
    }
}

/* By the grammar of RFC 9110 section 8.8.3, read in another way: from a quote to
 * the next, however many. */
static bool has_quoted(const char *text, const char *wanted)
{
    const char *at = strchr(text, '"'), *end;
    apr_size_t len = strlen(wanted);

    for (; at && (end = strchr(at + 1, '"')); at = strchr(end + 1, '"')) {
        if ((apr_size_t)(end - at - 1) >= len && !memcmp(at + 1, wanted, len) &&
            (at[1 + len] == '"' || at[1 + len] == '-')) {
            return true;
        }
    }
    return false;
}

static void check_etag(const char *text, apr_uint64_t version, apr_pool_t *pool)
{
    const char *wanted = apr_psprintf(pool, "%" APR_UINT64_T_FMT, version);
    const char *own = scim_etag_make(version, pool);

    if (scim_etag_match(text, version)) {
        assert_true(strchr(text, '*') || has_quoted(text, wanted));
    }
    assert_true(scim_etag_match(own, version));
    assert_false(scim_etag_match(own, version + 1));
    assert_true(scim_etag_match(apr_pstrcat(pool, own, ",", text, NULL), version));
}

static void check_media_type(const char *text, apr_pool_t *pool)
{
    scim_call call = {.content_type = text};
    const scim_error *err = scim_call_check_type(&call, pool);
    scim_reply reply;

    if (!fuzz_ok(err)) {
        assert_int_equal(err->status, 415);
        memset(&reply, 0, sizeof(reply));
        scim_service_error(&reply, err, text, pool);
        assert_int_equal(reply.status, 415);
        assert_non_null(scim_json_read_own(reply.body, reply.body_len, pool));
        assert_null(strpbrk(reply.content_type, "\r\n"));
    }
}

FUZZ_TARGET(headers)
{
    char *text = fuzz_text(data, len, scratch);

    open_store();
    check_token(text, scratch);
    check_etag(text, 1, scratch);
    check_etag(text, 18446744073709551614u, scratch);
    check_media_type(text, scratch);
}
