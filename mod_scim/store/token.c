/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: making, finding, listing and revoking them.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <zlib.h>

#include "internal.h"

#define PREFIX "mscim_"
#define PREFIX_LEN 6
#define SECRET_LEN 43
#define CHECK_LEN 6
#define HINT_LEN 4
#define DIGEST_LEN 32
#define TOKEN_HEAD (4 + 8 + 8 + 8 + 1 + HINT_LEN)

const char *scim_scopes_text(unsigned int scopes)
{
    switch (scopes) {
    case SCIM_SCOPE_READ:
        return "read";
    case SCIM_SCOPE_WRITE:
        return "write";
    default:
        return "read,write";
    }
}

bool scim_scopes_parse(unsigned int *out, const char *text)
{
    *out = 0;
    for (;;) {
        size_t len = strcspn(text, ",");

        if (len == 4 && !strncmp(text, "read", len)) {
            *out |= SCIM_SCOPE_READ;
        } else if (len == 5 && !strncmp(text, "write", len)) {
            *out |= SCIM_SCOPE_WRITE;
        } else {
            return false;
        }
        if (!text[len]) {
            return true;
        }
        text += len + 1;
    }
}

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is_base62(const char *text, apr_size_t len)
{
    bool all = true;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        all &= store_is_alnum(text[i]);
    }
    return all;
}

/* The CRC-32 of what stands before it, as six base62 digits. */
static void checksum(const char *token, char *out)
{
    apr_uint32_t crc = (apr_uint32_t)crc32(0, (const Bytef *)token, PREFIX_LEN + SECRET_LEN);
    int i;

    for (i = CHECK_LEN - 1; i >= 0; i--) {
        out[i] = base62[crc % 62];
        crc /= 62;
    }
}

bool scim_token_well_formed(const char *text)
{
    char check[CHECK_LEN];

    if (strlen(text) != SCIM_TOKEN_LEN || strncmp(text, PREFIX, PREFIX_LEN) ||
        !is_base62(text + PREFIX_LEN, SECRET_LEN + CHECK_LEN)) {
        return false;
    }
    checksum(text, check);
    return !memcmp(check, text + PREFIX_LEN + SECRET_LEN, CHECK_LEN);
}

/* Random digits without bias: bytes of 248 and more are thrown away. */
static bool mint(char *token)
{
    unsigned char random[64];
    int filled = 0;

    memcpy(token, PREFIX, PREFIX_LEN);
    while (filled < SECRET_LEN) {
        apr_size_t i;

        if (RAND_bytes(random, sizeof(random)) != 1) {
            return false;
        }
        for (i = 0; i < sizeof(random) && filled < SECRET_LEN; i++) {
            if (random[i] < 62 * 4) {
                token[PREFIX_LEN + filled++] = base62[random[i] % 62];
            }
        }
    }
    OPENSSL_cleanse(random, sizeof(random));
    checksum(token, token + PREFIX_LEN + SECRET_LEN);
    token[SCIM_TOKEN_LEN] = '\0';
    return true;
}

static bool token_key(scim_key *key, const scim_store *store, const char *token)
{
    unsigned char digest[DIGEST_LEN];
    unsigned int len = sizeof(digest);

    if (EVP_Digest(token, strlen(token), digest, &len, store->sha256, NULL) != 1) {
        return false;
    }
    scim_key_begin(key, SCIM_TABLE_TOKEN);
    scim_key_bytes(key, digest, sizeof(digest));
    return true;
}

typedef struct token_row {
    apr_uint32_t tenant;
    apr_time_t created;
    apr_time_t not_before;
    apr_time_t expires;
    unsigned int scopes;
    const char *hint;
    const char *tenant_name;
    const char *connection;
} token_row;

/* Reads a counted string at *at and moves it on. */
static const char *read_string(const unsigned char **at, const unsigned char *end,
                               apr_pool_t *pool)
{
    apr_size_t len;

    if (*at >= end || (apr_size_t)(end - *at) < 1u + **at) {
        return NULL;
    }
    len = **at;
    *at += 1 + len;
    return apr_pstrmemdup(pool, (const char *)*at - len, len);
}

static bool decode(token_row *out, scim_slice rest, apr_pool_t *pool)
{
    const unsigned char *at = rest.data, *end = at + rest.len;

    if (rest.len < TOKEN_HEAD) {
        return false;
    }
    out->tenant = store_get_u32(at);
    out->created = (apr_time_t)store_get_u64(at + 4);
    out->not_before = (apr_time_t)store_get_u64(at + 12);
    out->expires = (apr_time_t)store_get_u64(at + 20);
    out->scopes = at[28];
    out->hint = apr_pstrmemdup(pool, (const char *)at + 29, HINT_LEN);
    at += TOKEN_HEAD;
    out->tenant_name = read_string(&at, end, pool);
    out->connection = read_string(&at, end, pool);
    return out->tenant_name && out->connection;
}

bool token_decode(scim_identity *out, apr_uint32_t *tenant, const char **tenant_name,
                  scim_slice rest, apr_pool_t *pool)
{
    token_row row;

    if (!decode(&row, rest, pool)) {
        return false;
    }
    out->connection = row.connection;
    out->hint = row.hint;
    *tenant = row.tenant;
    *tenant_name = row.tenant_name;
    return true;
}

static unsigned char *write_string(unsigned char *at, const char *text)
{
    apr_size_t len = strlen(text);

    *at = (unsigned char)len;
    memcpy(at + 1, text, len);
    return at + 1 + len;
}

static scim_slice encode(const token_row *row, apr_pool_t *pool)
{
    apr_size_t len =
        STORE_SEAL + TOKEN_HEAD + 2 + strlen(row->tenant_name) + strlen(row->connection);
    unsigned char *value = apr_palloc(pool, len), *at = value + STORE_SEAL;

    store_put_u32(at, row->tenant);
    store_put_u64(at + 4, (apr_uint64_t)row->created);
    store_put_u64(at + 12, (apr_uint64_t)row->not_before);
    store_put_u64(at + 20, (apr_uint64_t)row->expires);
    at[28] = (unsigned char)row->scopes;
    memcpy(at + 29, row->hint, HINT_LEN);
    at = write_string(at + TOKEN_HEAD, row->tenant_name);
    write_string(at, row->connection);
    return (scim_slice){value, len};
}

static void fill_identity(scim_identity *out, const token_row *row)
{
    out->connection = row->connection;
    out->scopes = row->scopes;
    out->created = row->created;
    out->expires = row->expires;
    out->hint = row->hint;
}

const scim_error *scim_token_find(scim_token_state *state, scim_identity *out, scim_view *view,
                                  const char *token, apr_time_t now)
{
    const scim_error *err;
    token_row row;
    scim_slice rest;
    scim_key key;
    scim_kv_rc rc;

    *state = SCIM_TOKEN_UNKNOWN;
    /* A hash of what is no token would cost a guesser's flood its 32 bytes of
     * work here; what fails the checksum is not worth them. */
    if (!scim_token_well_formed(token)) {
        return NULL;
    }
    if (!token_key(&key, view->store, token)) {
        return scim_store_error(view->pool, SCIM_KV_IO, "hashing a token");
    }
    rc = store_get(view->txn, &key, TOKEN_HEAD, &rest);
    if (rc == SCIM_KV_NOTFOUND) {
        return NULL;
    }
    if (rc != SCIM_KV_OK || !decode(&row, rest, view->pool)) {
        return scim_store_error(view->pool, rc == SCIM_KV_OK ? SCIM_KV_CORRUPT : rc,
                                "reading a token");
    }
    err = scim_tenant_find(&out->tenant, view, row.tenant_name);
    if (err) {
        /* A stranger is told nothing of tenants. */
        return err->code == SCIM_E_NOT_FOUND ? NULL : err;
    }
    if (out->tenant.number != row.tenant || row.not_before > now) {
        return NULL;
    }
    fill_identity(out, &row);
    *state = row.expires && row.expires <= now ? SCIM_TOKEN_EXPIRED : SCIM_TOKEN_VALID;
    return NULL;
}

static scim_kv_rc put_row(scim_kv_txn *txn, const scim_key *key, const token_row *row,
                          bool no_overwrite, apr_pool_t *pool)
{
    scim_slice value = encode(row, pool);

    store_seal(scim_key_slice(key), (unsigned char *)value.data, value.len);
    return scim_kv_put(txn, scim_key_slice(key), value, no_overwrite);
}

typedef struct token_write {
    scim_key key;
    token_row row;
    const scim_error *error; /* REFUSED: why */
    apr_pool_t *pool;
} token_write;

/* Exclusive, as all of an administrator's acts: the tenant is read in the
 * transaction that the token is written in. */
static scim_kv_rc create(scim_kv_txn *txn, void *baton)
{
    token_write *w = baton;
    scim_view view = {.txn = txn, .pool = w->pool};
    scim_tenant tenant;
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    w->error = scim_tenant_find(&tenant, &view, w->row.tenant_name);
    if (w->error) {
        return SCIM_KV_REFUSED;
    }
    w->row.tenant = tenant.number;
    return put_row(txn, &w->key, &w->row, true, w->pool);
}

const scim_error *scim_token_create(char *token, scim_store *store, const char *tenant,
                                    const char *connection, unsigned int scopes, apr_time_t now,
                                    apr_time_t expires, apr_pool_t *result_pool)
{
    token_write w = {.row = {0, now, now, expires, scopes, NULL, tenant, connection},
                     .pool = result_pool};
    scim_kv_rc rc;

    if (!scim_tenant_name_valid(connection)) {
        return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                               "A connection's name is 1 to %d of A-Z a-z 0-9 . _ -; "
                               "\"%s\" is not",
                               SCIM_TENANT_NAME_MAX, connection);
    }
    if (!mint(token) || !token_key(&w.key, store, token)) {
        return scim_store_error(result_pool, SCIM_KV_IO, "making a token");
    }
    w.row.hint = apr_pstrdup(result_pool, token + SCIM_TOKEN_LEN - HINT_LEN);
    rc = scim_kv_update_exclusive(store->kv, create, &w);
    return rc == SCIM_KV_REFUSED ? w.error
                                 : scim_store_error(result_pool, rc, "writing a token");
}

/* Walks all tokens of a tenant: tokens are few, and only an administrator
 * asks. */
typedef scim_kv_rc (*token_fn)(scim_slice key, const token_row *row, void *baton);

static scim_kv_rc each(scim_kv_txn *txn, const scim_tenant *tenant, token_fn fn, void *baton,
                       apr_pool_t *pool)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_key from;
    scim_slice key, value;
    scim_kv_rc rc;

    scim_key_begin(&from, SCIM_TABLE_TOKEN);
    for (rc = scim_kv_seek(cursor, scim_key_slice(&from), &key, &value);
         rc == SCIM_KV_OK && scim_key_has_prefix(key, &from, NULL);
         rc = scim_kv_next(cursor, &key, &value)) {
        scim_slice rest = {(const char *)value.data + STORE_SEAL, value.len - STORE_SEAL};
        token_row row;

        if (!store_sealed(key, value) || !decode(&row, rest, pool)) {
            return SCIM_KV_CORRUPT;
        }
        if (!tenant || row.tenant == tenant->number) {
            scim_kv_rc taken = fn(key, &row, baton);

            if (taken != SCIM_KV_OK) {
                return taken;
            }
        }
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Rotating */

typedef struct rotating {
    scim_store *store;
    char *token;
    token_row row; /* of the new token */
    apr_time_t until;
    scim_rotation *out;
    scim_kv_txn *txn;
    scim_tenant tenant;
    bool made;
    const token_row *newest; /* whose scopes the new one has */
    bool newest_lives;
    const scim_error *error; /* REFUSED: why */
    apr_pool_t *pool;
} rotating;

static bool lives(const token_row *row, apr_time_t now)
{
    return !row->expires || row->expires > now;
}

/* A token that lives is asked before one that has expired, whatever its age. */
static void judge_newest(rotating *r, const token_row *row)
{
    bool living = lives(row, r->row.created);

    if (!r->newest || living > r->newest_lives ||
        (living == r->newest_lives && row->created > r->newest->created)) {
        r->newest = apr_pmemdup(r->pool, row, sizeof(*row));
        r->newest_lives = living;
    }
}

static scim_kv_rc gather_one(scim_slice key, const token_row *row, void *baton)
{
    rotating *r = baton;
    scim_older_token *older;

    if (strcmp(row->connection, r->row.connection)) {
        return SCIM_KV_OK;
    }
    judge_newest(r, row);
    if (lives(row, r->row.created)) {
        if (key.len != 1 + DIGEST_LEN) {
            return SCIM_KV_CORRUPT;
        }
        older = apr_array_push(r->out->older);
        memcpy(older->digest, (const char *)key.data + 1, DIGEST_LEN);
        fill_identity(&older->identity, row);
        older->identity.tenant = r->tenant;
        older->expired = row->expires;
    }
    return SCIM_KV_OK;
}

static void digest_key(scim_key *key, const unsigned char *digest)
{
    scim_key_begin(key, SCIM_TABLE_TOKEN);
    scim_key_bytes(key, digest, DIGEST_LEN);
}

/* Gives a token another end, where it is there and still ends at "now_at". */
static scim_kv_rc set_expires(scim_kv_txn *txn, const unsigned char *digest, apr_time_t now_at,
                              apr_time_t expires, apr_pool_t *pool)
{
    scim_slice rest;
    token_row row;
    scim_key key;
    scim_kv_rc rc;

    digest_key(&key, digest);
    rc = store_get(txn, &key, TOKEN_HEAD, &rest);
    if (rc != SCIM_KV_OK) {
        return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    if (!decode(&row, rest, pool)) {
        return SCIM_KV_CORRUPT;
    }
    if (row.expires != now_at) {
        return SCIM_KV_OK;
    }
    row.expires = expires;
    return put_row(txn, &key, &row, false, pool);
}

static bool has_hint(const apr_array_header_t *older, const char *hint)
{
    int i;

    for (i = 0; i < older->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(older, i, scim_older_token).identity.hint, hint)) {
            return true;
        }
    }
    return false;
}

/* Older tokens are revoked by their hint: the new one must not go with them. */
static bool mint_other(rotating *r)
{
    do {
        if (!mint(r->token)) {
            return false;
        }
    } while (has_hint(r->out->older, r->token + SCIM_TOKEN_LEN - HINT_LEN));
    r->row.hint = apr_pstrdup(r->pool, r->token + SCIM_TOKEN_LEN - HINT_LEN);
    return true;
}

static scim_kv_rc write_rotation(rotating *r)
{
    scim_kv_rc rc = SCIM_KV_OK;
    scim_key key;
    int i;

    if (!mint_other(r) || !token_key(&key, r->store, r->token)) {
        return SCIM_KV_IO;
    }
    for (i = 0; i < r->out->older->nelts && r->until && rc == SCIM_KV_OK; i++) {
        scim_older_token *older = &APR_ARRAY_IDX(r->out->older, i, scim_older_token);

        if (!older->expired || older->expired > r->until) {
            rc = set_expires(r->txn, older->digest, older->expired, r->until, r->pool);
            older->identity.expires = r->until;
        }
    }
    r->row.scopes = r->out->scopes = r->newest->scopes;
    return rc == SCIM_KV_OK ? put_row(r->txn, &key, &r->row, true, r->pool) : rc;
}

static scim_kv_rc rotate(scim_kv_txn *txn, void *baton)
{
    rotating *r = baton;
    scim_view view = {.txn = txn, .pool = r->pool};
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    r->error = scim_tenant_find(&r->tenant, &view, r->row.tenant_name);
    if (r->error) {
        return SCIM_KV_REFUSED;
    }
    r->txn = txn;
    r->row.tenant = r->tenant.number;
    rc = each(txn, &r->tenant, gather_one, r, r->pool);
    r->made = rc == SCIM_KV_OK && r->newest;
    return r->made ? write_rotation(r) : rc;
}

static int newest_first(const void *a, const void *b)
{
    const scim_older_token *one = a, *other = b;

    return (one->identity.created < other->identity.created) -
           (one->identity.created > other->identity.created);
}

const scim_error *scim_token_rotate(bool *made, char *token, scim_rotation *out,
                                    scim_store *store, const char *tenant,
                                    const char *connection, apr_time_t now, apr_time_t expires,
                                    apr_time_t until, apr_pool_t *result_pool)
{
    rotating r = {.store = store,
                  .token = token,
                  .row = {0, now, now, expires, 0, NULL, tenant, connection},
                  .until = until,
                  .out = out,
                  .pool = result_pool};
    scim_kv_rc rc;

    out->older = apr_array_make(result_pool, 4, sizeof(scim_older_token));
    rc = scim_kv_update_exclusive(store->kv, rotate, &r);
    *made = rc == SCIM_KV_OK && r.made;
    qsort(out->older->elts, (size_t)out->older->nelts, sizeof(scim_older_token), newest_first);
    return rc == SCIM_KV_REFUSED ? r.error
                                 : scim_store_error(result_pool, rc, "rotating a token");
}

typedef struct unrotating {
    scim_key key;
    const scim_rotation *rotation;
    apr_pool_t *pool;
} unrotating;

static scim_kv_rc unrotate(scim_kv_txn *txn, void *baton)
{
    unrotating *u = baton;
    scim_kv_rc rc = store_check_format(txn);
    int i;

    for (i = 0; i < u->rotation->older->nelts && rc == SCIM_KV_OK; i++) {
        const scim_older_token *older = &APR_ARRAY_IDX(u->rotation->older, i, scim_older_token);

        rc = set_expires(txn, older->digest, older->identity.expires, older->expired, u->pool);
    }
    if (rc == SCIM_KV_OK) {
        rc = scim_kv_del(txn, scim_key_slice(&u->key));
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

const scim_error *scim_token_unrotate(scim_store *store, const char *token,
                                      const scim_rotation *rotation, apr_pool_t *result_pool)
{
    unrotating u = {.rotation = rotation, .pool = result_pool};

    if (!token_key(&u.key, store, token)) {
        return scim_store_error(result_pool, SCIM_KV_IO, "hashing a token");
    }
    return scim_store_error(result_pool, scim_kv_update_exclusive(store->kv, unrotate, &u),
                            "taking a token back");
}

/* Listing */

typedef struct token_listing {
    apr_array_header_t *out;
    const scim_tenant *tenant;
} token_listing;

static scim_kv_rc list_one(scim_slice key, const token_row *row, void *baton)
{
    token_listing *listing = baton;
    scim_identity *identity = apr_array_push(listing->out);

    identity->tenant = listing->tenant
                           ? *listing->tenant
                           : (scim_tenant){.number = row->tenant, .name = row->tenant_name};
    fill_identity(identity, row);
    return SCIM_KV_OK;
}

const scim_error *scim_token_list(apr_array_header_t **out, scim_view *view, const char *tenant)
{
    scim_tenant found;
    token_listing listing = {apr_array_make(view->pool, 4, sizeof(scim_identity)), &found};

    SCIM_ERR(scim_tenant_find(&found, view, tenant));
    SCIM_ERR(scim_store_error(
        view->pool, each(view->txn, &found, list_one, &listing, view->pool), "listing tokens"));
    *out = listing.out;
    return NULL;
}

const scim_error *scim_token_list_all(apr_array_header_t **out, scim_view *view)
{
    token_listing listing = {apr_array_make(view->pool, 16, sizeof(scim_identity)), NULL};

    *out = listing.out;
    return scim_store_error(view->pool, each(view->txn, NULL, list_one, &listing, view->pool),
                            "listing tokens");
}

typedef struct revoking {
    const char *tenant;
    const char *connection;
    const char *hint;
    scim_kv_txn *txn;
    int revoked;
    const scim_error *error; /* REFUSED: why */
    apr_pool_t *pool;
} revoking;

static scim_kv_rc revoke_one(scim_slice key, const token_row *row, void *baton)
{
    revoking *r = baton;
    char copy[SCIM_KV_MAX_KEY];

    if (strcmp(row->connection, r->connection) || (r->hint && strcmp(row->hint, r->hint))) {
        return SCIM_KV_OK;
    }
    memcpy(copy, key.data, key.len);
    r->revoked++;
    return scim_kv_del(r->txn, (scim_slice){copy, key.len});
}

typedef struct dropping {
    scim_kv_txn *txn;
    int count;
} dropping;

static scim_kv_rc drop_one(scim_slice key, const token_row *row, void *baton)
{
    dropping *d = baton;
    char copy[SCIM_KV_MAX_KEY];

    memcpy(copy, key.data, key.len);
    d->count++;
    return scim_kv_del(d->txn, (scim_slice){copy, key.len});
}

scim_kv_rc token_drop_all(int *count, scim_kv_txn *txn, const scim_tenant *tenant,
                          apr_pool_t *pool)
{
    dropping d = {txn, 0};
    scim_kv_rc rc = each(txn, tenant, drop_one, &d, pool);

    *count = d.count;
    return rc;
}

static scim_kv_rc revoke_all(scim_kv_txn *txn, void *baton)
{
    revoking *r = baton;
    scim_view view = {.txn = txn, .pool = r->pool};
    scim_tenant tenant;
    scim_kv_rc rc = store_check_format(txn);

    if (rc != SCIM_KV_OK) {
        return rc;
    }
    r->error = scim_tenant_find(&tenant, &view, r->tenant);
    if (r->error) {
        return SCIM_KV_REFUSED;
    }
    r->txn = txn;
    return each(txn, &tenant, revoke_one, r, r->pool);
}

const scim_error *scim_token_revoke(int *revoked, scim_store *store, const char *tenant,
                                    const char *connection, const char *hint,
                                    apr_pool_t *result_pool)
{
    revoking r = {tenant, connection, hint, .pool = result_pool};
    scim_kv_rc rc = scim_kv_update_exclusive(store->kv, revoke_all, &r);

    *revoked = rc == SCIM_KV_OK ? r.revoked : 0;
    return rc == SCIM_KV_REFUSED ? r.error
                                 : scim_store_error(result_pool, rc, "revoking a token");
}

static scim_kv_rc revoke_key(scim_kv_txn *txn, void *baton)
{
    scim_kv_rc rc = store_check_format(txn);

    return rc == SCIM_KV_OK ? scim_kv_del(txn, scim_key_slice(baton)) : rc;
}

const scim_error *scim_token_revoke_token(int *revoked, scim_store *store, const char *token,
                                          apr_pool_t *result_pool)
{
    scim_key key;
    scim_kv_rc rc;

    *revoked = 0;
    if (!scim_token_well_formed(token)) {
        return scim_error_make(
            result_pool, SCIM_E_INVALID_VALUE,
            "This is no token of mod_scim (mscim_ and 49 letters and digits)");
    }
    if (!token_key(&key, store, token)) {
        return scim_store_error(result_pool, SCIM_KV_IO, "hashing a token");
    }
    rc = scim_kv_update_exclusive(store->kv, revoke_key, &key);
    if (rc == SCIM_KV_NOTFOUND) {
        return NULL;
    }
    *revoked = rc == SCIM_KV_OK;
    return scim_store_error(result_pool, rc, "revoking a token");
}
