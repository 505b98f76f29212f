/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening cursors.
 *
 * Inside the seal: u64 expiry, u64 page size, id(16), sort key.  The tenant's
 * number and the query's text are authenticated with it, not carried.
 */
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "scim/cursor.h"

#include "internal.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define HEAD_LEN (8 + 8 + 16)
#define SEALED_MAX (NONCE_LEN + HEAD_LEN + SCIM_SORT_MAX + 1 + TAG_LEN)

/* base64url without padding: unreserved characters only (RFC 9865 section 2). */
static const char *encode(const unsigned char *data, apr_size_t len, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, EVP_ENCODE_LENGTH(len) + 1), *at;

    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    for (at = text; *at && *at != '='; at++) {
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    }
    *at = '\0';
    return text;
}

/* The bytes of text into out, which has SEALED_MAX + 2; 0 where it is none. */
static apr_size_t decode(unsigned char *out, const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char block[(SEALED_MAX + 2) / 3 * 4 + 1] = "";
    apr_size_t len = strlen(text), padded = (len + 3) / 4 * 4, i;

    if (padded >= sizeof(block) || len % 4 == 1 || strspn(text, alphabet) != len) {
        return 0;
    }
    for (i = 0; i < padded; i++) {
        char c = i < len ? text[i] : '=';

        block[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    if (EVP_DecodeBlock(out, (unsigned char *)block, (int)padded) < 0) {
        return 0;
    }
    return padded / 4 * 3 - (padded - len);
}

/* Tells the cipher what a cursor is bound to. */
static bool bind_scope(EVP_CIPHER_CTX *ctx, const scim_cursor_scope *scope)
{
    unsigned char number[4];
    int len;

    store_put_u32(number, scope->tenant->number);
    return EVP_CipherUpdate(ctx, NULL, &len, number, sizeof(number)) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &len, (const unsigned char *)scope->query,
                            (int)strlen(scope->query)) == 1;
}

static bool encrypt(unsigned char *sealed, const scim_store *store,
                    const scim_cursor_scope *scope, const unsigned char *plain, apr_size_t len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char *body = sealed + NONCE_LEN;
    int done = 0, rest = 0;
    bool ok =
        ctx && RAND_bytes(sealed, NONCE_LEN) == 1 &&
        EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, store->cursor_key, sealed) == 1 &&
        bind_scope(ctx, scope) && EVP_EncryptUpdate(ctx, body, &done, plain, (int)len) == 1 &&
        EVP_EncryptFinal_ex(ctx, body + done, &rest) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, body + len) == 1;

    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* False where OpenSSL cannot.  *genuine is whether we have made what was sealed. */
static bool decrypt(bool *genuine, unsigned char *plain, const scim_store *store,
                    const scim_cursor_scope *scope, unsigned char *sealed, apr_size_t len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char *body = sealed + NONCE_LEN;
    int done = 0, rest = 0;
    bool ok =
        ctx &&
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, store->cursor_key, sealed) == 1 &&
        bind_scope(ctx, scope) && EVP_DecryptUpdate(ctx, plain, &done, body, (int)len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, body + len) == 1;

    *genuine = ok && EVP_DecryptFinal_ex(ctx, plain + done, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

const scim_error *scim_cursor_seal(const char **out, scim_store *store,
                                   const scim_cursor_scope *scope,
                                   const scim_position *position, apr_time_t expires,
                                   apr_pool_t *result_pool)
{
    unsigned char plain[HEAD_LEN + SCIM_SORT_MAX + 1], sealed[SEALED_MAX];
    apr_size_t len = HEAD_LEN + position->key.len;

    store_put_u64(plain, (apr_uint64_t)expires);
    store_put_u64(plain + 8, scope->count);
    memcpy(plain + 16, position->id.bytes, sizeof(position->id.bytes));
    if (position->key.len) {
        memcpy(plain + HEAD_LEN, position->key.bytes, position->key.len);
    }
    if (!encrypt(sealed, store, scope, plain, len)) {
        return scim_store_error(result_pool, SCIM_KV_IO, "sealing a cursor");
    }
    *out = encode(sealed, NONCE_LEN + len + TAG_LEN, result_pool);
    return NULL;
}

const scim_error *scim_cursor_open(scim_position *out, scim_store *store,
                                   const scim_cursor_scope *scope, const char *text,
                                   apr_time_t now, apr_pool_t *result_pool)
{
    unsigned char sealed[SEALED_MAX + 2], plain[SEALED_MAX];
    apr_size_t len = decode(sealed, text);
    bool genuine = false;

    /* The last character of base64 has bits that mean nothing: of all texts for
     * the same bytes, one is the cursor. */
    if (len >= NONCE_LEN + HEAD_LEN + TAG_LEN &&
        !strcmp(encode(sealed, len, result_pool), text) &&
        !decrypt(&genuine, plain, store, scope, sealed, len - NONCE_LEN - TAG_LEN)) {
        return scim_store_error(result_pool, SCIM_KV_IO, "opening a cursor");
    }
    if (!genuine) {
        return scim_error_make(
            result_pool, SCIM_E_INVALID_CURSOR,
            "This cursor does not belong to this request: begin again with an "
            "empty cursor, and repeat filter, order and attributes unchanged");
    }
    if ((apr_time_t)store_get_u64(plain) <= now) {
        return scim_error_make(result_pool, SCIM_E_EXPIRED_CURSOR,
                               "This cursor has expired: begin again with an empty cursor");
    }
    if (store_get_u64(plain + 8) != scope->count) {
        return scim_error_make(result_pool, SCIM_E_INVALID_COUNT,
                               "count must stay what it was in the first request of this walk, "
                               "%" APR_UINT64_T_FMT,
                               store_get_u64(plain + 8));
    }
    memcpy(out->id.bytes, plain + 16, sizeof(out->id.bytes));
    out->key.len = len - NONCE_LEN - TAG_LEN - HEAD_LEN;
    out->key.bytes = apr_pmemdup(result_pool, plain + HEAD_LEN, out->key.len);
    return NULL;
}
