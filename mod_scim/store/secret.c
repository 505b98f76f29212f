/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords of users, hashed, in a table of their own: a resource's JSON never
 * holds one, so that none leaks with it.
 *
 * The hash is apr-util's bcrypt.  That looks at 72 bytes, up to the first NUL,
 * so what it is given is not the password but its digest: the base64 of the
 * SHA-256 of its prepared form (OpaqueString, RFC 8265 section 4.2).
 *
 * A hash takes longer than anybody may hold the writers' lock, or a view.  So
 * what a mutation finds out about a password is a fact in a memo, which is
 * asked for under the lock and settled outside of it, once, however often the
 * mutation is prepared again.
 */
#include "scim/secret.h"

#include <string.h>

#include <apr_general.h>
#include <apr_md5.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "scim/heap.h"
#include "scim/text.h"

#include "internal.h"

/* 2 to the power of this many rounds: 50 ms on a machine of 2026, as OWASP
 * advises for bcrypt.  A hash tells its own cost, so this may grow. */
#define BCRYPT_COST 10
#define BCRYPT_SALT 16
#define BCRYPT_TEXT 60

#define SECRET_VERSION 1
#define SECRET_HEADER (1 + 8)

#define SHA256_LEN 32
#define DIGEST_TEXT 44 /* base64 of it */

/* Rows */

static void secret_key(scim_key *key, const scim_tenant *tenant, const scim_id *id)
{
    scim_key_begin(key, SCIM_TABLE_SECRET);
    scim_key_u32(key, tenant->number);
    scim_key_id(key, id);
}

void secret_wish(wishes *w, const scim_tenant *tenant, const scim_id *id)
{
    scim_key key;

    secret_key(&key, tenant, id);
    wish_key(w, &key);
}

scim_kv_rc secret_read(const char **hash, scim_kv_txn *txn, const scim_tenant *tenant,
                       const scim_id *id, apr_pool_t *pool)
{
    scim_key key;
    scim_slice rest;
    scim_kv_rc rc;

    *hash = NULL;
    secret_key(&key, tenant, id);
    rc = store_get(txn, &key, SECRET_HEADER + 1, &rest);
    if (rc != SCIM_KV_OK) {
        return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
    }
    if (*(const unsigned char *)rest.data != SECRET_VERSION) {
        return SCIM_KV_CORRUPT;
    }
    *hash =
        apr_pstrmemdup(pool, (const char *)rest.data + SECRET_HEADER, rest.len - SECRET_HEADER);
    return SCIM_KV_OK;
}

static scim_kv_rc secret_put(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id,
                             apr_uint64_t revision, const char *hash)
{
    apr_size_t len = strlen(hash), size = STORE_SEAL + SECRET_HEADER + len;
    unsigned char *value = scim_kv_scratch(txn, size);
    scim_key key;

    secret_key(&key, tenant, id);
    value[STORE_SEAL] = SECRET_VERSION;
    store_put_u64(value + STORE_SEAL + 1, revision);
    memcpy(value + STORE_SEAL + SECRET_HEADER, hash, len);
    store_seal(scim_key_slice(&key), value, size);
    return scim_kv_put(txn, scim_key_slice(&key), (scim_slice){value, size}, false);
}

scim_kv_rc secret_drop(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id)
{
    scim_key key;
    scim_kv_rc rc;

    secret_key(&key, tenant, id);
    rc = scim_kv_del(txn, scim_key_slice(&key));
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Hashing */

/* What bcrypt is given; false for a text that can be no password. */
static bool make_digest(char out[DIGEST_TEXT + 1], const char *password,
                        apr_pool_t *scratch_pool)
{
    unsigned char sha256[SHA256_LEN];
    apr_size_t len;
    char *prepared =
        (char *)scim_text_prepare_opaque(password, strlen(password), &len, scratch_pool);

    if (!prepared) {
        return false;
    }
    /* OpenSSL fails at this for want of memory alone; a right password is not to pass
     * for a wrong one then. */
    if (EVP_Digest(prepared, len, sha256, NULL, EVP_sha256(), NULL) != 1) {
        scim_heap_exhausted();
    }
    EVP_EncodeBlock((unsigned char *)out, sha256, sizeof(sha256));
    OPENSSL_cleanse(prepared, len);
    OPENSSL_cleanse(sha256, sizeof(sha256));
    return true;
}

static bool is_hash_of(const char *digest, const char *hash)
{
    return apr_password_validate(digest, hash) == APR_SUCCESS;
}

/* NULL where the system has no random bytes. */
static const char *make_hash(const char *digest, apr_pool_t *result_pool)
{
    char *out = apr_palloc(result_pool, BCRYPT_TEXT + 1);
    unsigned char salt[BCRYPT_SALT];

    if (RAND_bytes(salt, sizeof(salt)) != 1 ||
        apr_bcrypt_encode(digest, BCRYPT_COST, salt, sizeof(salt), out, BCRYPT_TEXT + 1) !=
            APR_SUCCESS) {
        return NULL;
    }
    return out;
}

/* Facts */

struct secret_fact {
    char digest[DIGEST_TEXT + 1]; /* of the password that is wanted */
    const char *stored;           /* the hash that is there, or NULL */
    int run;                      /* the last one that needed it */
    bool settled;
    const char *hash; /* to be stored; NULL of a settled one: that is there is its hash */
};

struct secret_memo {
    apr_pool_t *pool;
    int run;
    apr_array_header_t *facts; /* of secret_fact * */
};

static apr_status_t wipe_memo(void *data)
{
    secret_memo *memo = data;
    int i;

    for (i = 0; i < memo->facts->nelts; i++) {
        secret_fact *fact = APR_ARRAY_IDX(memo->facts, i, secret_fact *);

        OPENSSL_cleanse(fact->digest, sizeof(fact->digest));
    }
    return APR_SUCCESS;
}

secret_memo *secret_memo_make(apr_pool_t *pool)
{
    secret_memo *memo = apr_palloc(pool, sizeof(*memo));

    memo->pool = pool;
    memo->run = 0;
    memo->facts = apr_array_make(pool, 1, sizeof(secret_fact *));
    apr_pool_cleanup_register(pool, memo, wipe_memo, apr_pool_cleanup_null);
    return memo;
}

void secret_memo_rewind(secret_memo *memo)
{
    memo->run++;
}

/* Two who get the same password in one run need a fact each, so that each gets
 * a salt of its own. */
static secret_fact *find_fact(const secret_memo *memo, const char *digest, const char *stored)
{
    int i;

    for (i = 0; i < memo->facts->nelts; i++) {
        secret_fact *fact = APR_ARRAY_IDX(memo->facts, i, secret_fact *);

        if (fact->run != memo->run &&
            !CRYPTO_memcmp(fact->digest, digest, sizeof(fact->digest)) &&
            !fact->stored == !stored && (!stored || !strcmp(fact->stored, stored))) {
            return fact;
        }
    }
    return NULL;
}

/* The fact about a digest and what is stored, settled or not. */
static secret_fact *need_fact(secret_memo *memo, const char *digest, const char *stored)
{
    secret_fact *fact = find_fact(memo, digest, stored);

    if (!fact) {
        fact = apr_pcalloc(memo->pool, sizeof(*fact));
        memcpy(fact->digest, digest, sizeof(fact->digest));
        fact->stored = stored ? apr_pstrdup(memo->pool, stored) : NULL;
        APR_ARRAY_PUSH(memo->facts, secret_fact *) = fact;
    }
    fact->run = memo->run;
    return fact;
}

static const scim_error *not_stored(apr_pool_t *pool, const char *cause)
{
    return scim_error_system(pool, SCIM_E_INTERNAL, APR_SUCCESS,
                             "The password could not be stored", "%s", cause);
}

static const scim_error *settle_fact(secret_fact *fact, apr_pool_t *pool)
{
    if (!fact->settled && !(fact->stored && is_hash_of(fact->digest, fact->stored))) {
        fact->hash = make_hash(fact->digest, pool);
        if (!fact->hash) {
            return not_stored(pool, "there are no random bytes to hash a password with");
        }
    }
    fact->settled = true;
    return NULL;
}

bool secret_memo_settled(const secret_memo *memo)
{
    int i;

    for (i = 0; i < memo->facts->nelts; i++) {
        if (!APR_ARRAY_IDX(memo->facts, i, secret_fact *)->settled) {
            return false;
        }
    }
    return true;
}

const scim_error *secret_memo_settle(secret_memo *memo)
{
    int i;

    for (i = 0; i < memo->facts->nelts; i++) {
        SCIM_ERR(settle_fact(APR_ARRAY_IDX(memo->facts, i, secret_fact *), memo->pool));
    }
    return NULL;
}

/* Plans */

/* Where passwords are not kept, one that was stored when they were must not
 * outlive its successor. */
static bool wants_none(const scim_tenant *tenant, const scim_draft *draft)
{
    return draft->password_cleared || (draft->password && !tenant->policy.password_sync);
}

const scim_error *secret_plan_make(secret_plan *out, scim_kv_txn *txn,
                                   const scim_tenant *tenant, const scim_id *id,
                                   const scim_draft *draft, secret_memo *memo, apr_pool_t *pool)
{
    const char *stored = NULL;
    char digest[DIGEST_TEXT + 1];

    memset(out, 0, sizeof(*out));
    if (!draft->password && !draft->password_cleared) {
        return NULL;
    }
    if (id) {
        SCIM_ERR(scim_store_error(pool, secret_read(&stored, txn, tenant, id, pool),
                                  "reading a password"));
    }
    if (wants_none(tenant, draft)) {
        out->drop = stored != NULL;
        return NULL;
    }
    if (!make_digest(digest, draft->password, pool)) {
        return scim_error_make(pool, SCIM_E_INVALID_VALUE,
                               "password must be UTF-8 without control characters");
    }
    out->fact = need_fact(memo, digest, stored);
    OPENSSL_cleanse(digest, sizeof(digest));
    return NULL;
}

bool secret_plan_settled(const secret_plan *plan)
{
    return !plan->fact || plan->fact->settled;
}

const scim_error *secret_plan_settle(const secret_plan *plan, secret_memo *memo)
{
    return plan->fact ? settle_fact(plan->fact, memo->pool) : NULL;
}

bool secret_plan_changes(const secret_plan *plan)
{
    return plan->drop || (plan->fact && (!plan->fact->settled || plan->fact->hash));
}

scim_kv_rc secret_plan_write(const secret_plan *plan, scim_kv_txn *txn,
                             const scim_tenant *tenant, const scim_id *id,
                             apr_uint64_t revision)
{
    if (plan->drop) {
        return secret_drop(txn, tenant, id);
    }
    return plan->fact && plan->fact->hash
               ? secret_put(txn, tenant, id, revision, plan->fact->hash)
               : SCIM_KV_OK;
}

/* Verifying */

const scim_error *scim_secret_find(const char **hash, scim_view *view,
                                   const scim_tenant *tenant, const scim_id *user)
{
    return scim_store_error(view->pool, secret_read(hash, view->txn, tenant, user, view->pool),
                            "reading a password");
}

bool scim_secret_verify(const char *hash, const char *password, apr_pool_t *scratch_pool)
{
    /* Of no password: what it was made of is no base64 of 32 bytes. */
    static const char nobody[] = "$2y$10$zMatC0MvpaR.ZgnoNHhbve6bSeUT3ut2vxQTAPixhKzgaMh0sMUum";
    char digest[DIGEST_TEXT + 1] = "none";
    bool made = make_digest(digest, password, scratch_pool);
    bool right = is_hash_of(digest, hash ? hash : nobody);

    OPENSSL_cleanse(digest, sizeof(digest));
    return right && made && hash;
}
