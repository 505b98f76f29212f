/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals of forms.
 *
 * In hexadecimal digits: the time (u64, microseconds), 16 random bytes, and the
 * HMAC-SHA-256 of both and of the text that the seal is bound to.
 */
#include "scim/seal.h"

#include <string.h>

#include <apr_escape.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "internal.h"

#define NONCE_LEN 16
#define HEAD_LEN (8 + NONCE_LEN)
#define MAC_LEN 32
#define SEAL_LEN (HEAD_LEN + MAC_LEN)

/* A clock may be set back a little while a form is open. */
#define SKEW apr_time_from_sec(60)

bool scim_seal_key(unsigned char key[SCIM_SEAL_KEY])
{
    return RAND_bytes(key, SCIM_SEAL_KEY) == 1;
}

/* The head is of one length, so that nothing of it can be taken for text. */
static bool authenticate(unsigned char mac[MAC_LEN], const unsigned char *key,
                         const unsigned char *head, const char *bound)
{
    unsigned char inner[MAC_LEN], both[HEAD_LEN + MAC_LEN];
    unsigned int len = MAC_LEN;

    if (!HMAC(EVP_sha256(), key, SCIM_SEAL_KEY, (const unsigned char *)bound, strlen(bound),
              inner, &len)) {
        return false;
    }
    memcpy(both, head, HEAD_LEN);
    memcpy(both + HEAD_LEN, inner, MAC_LEN);
    return HMAC(EVP_sha256(), key, SCIM_SEAL_KEY, both, sizeof(both), mac, &len) != NULL;
}

const char *scim_seal_make(const unsigned char key[SCIM_SEAL_KEY], const char *bound,
                           apr_time_t now, apr_pool_t *result_pool)
{
    unsigned char seal[SEAL_LEN];

    store_put_u64(seal, (apr_uint64_t)now);
    if (RAND_bytes(seal + 8, NONCE_LEN) != 1 ||
        !authenticate(seal + HEAD_LEN, key, seal, bound)) {
        return NULL;
    }
    return apr_pescape_hex(result_pool, seal, sizeof(seal), 0);
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool decode(unsigned char out[SEAL_LEN], const char *text)
{
    size_t i;

    if (strlen(text) != (size_t)2 * SEAL_LEN) {
        return false;
    }
    for (i = 0; i < SEAL_LEN; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

scim_seal_state scim_seal_check(const unsigned char key[SCIM_SEAL_KEY], const char *bound,
                                const char *text, apr_time_t now, apr_interval_time_t life)
{
    unsigned char seal[SEAL_LEN], mac[MAC_LEN];
    apr_time_t made;

    if (!decode(seal, text) || !authenticate(mac, key, seal, bound) ||
        CRYPTO_memcmp(mac, seal + HEAD_LEN, MAC_LEN) != 0) {
        return SCIM_SEAL_WRONG;
    }
    made = (apr_time_t)store_get_u64(seal);
    return now - made > life || made - now > SKEW ? SCIM_SEAL_EXPIRED : SCIM_SEAL_GOOD;
}
