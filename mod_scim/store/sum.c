/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum of rows: XXH3-128 of all of them, with their lengths, in their order.  It tells a
 * copy that is not as its original; against who wants to deceive there is the digest of a
 * backup.
 */
#include <string.h>

#include <xxhash.h>

#include "scim/heap.h"

#include "internal.h"

#define LENGTHS (2 + 4)

struct store_sum {
    XXH3_state_t *state;
    apr_uint64_t rows;
};

static apr_status_t free_state(void *data)
{
    XXH3_freeState(data);
    return APR_SUCCESS;
}

store_sum *store_sum_make(apr_pool_t *pool)
{
    store_sum *sum = apr_pcalloc(pool, sizeof(*sum));

    sum->state = scim_heap_checked(XXH3_createState());
    XXH3_128bits_reset(sum->state);
    apr_pool_cleanup_register(pool, sum->state, free_state, apr_pool_cleanup_null);
    return sum;
}

void store_sum_add(store_sum *sum, scim_slice key, scim_slice value)
{
    unsigned char lengths[LENGTHS];

    if (store_is_format(key) || store_is_making(key)) {
        return;
    }
    store_put_u16(lengths, (apr_uint16_t)key.len);
    store_put_u32(lengths + 2, (apr_uint32_t)value.len);
    XXH3_128bits_update(sum->state, lengths, sizeof(lengths));
    XXH3_128bits_update(sum->state, key.data, key.len);
    XXH3_128bits_update(sum->state, value.data, value.len);
    sum->rows++;
}

void store_sum_end(unsigned char out[STORE_SUM_LEN], store_sum *sum)
{
    unsigned char rows[8];
    XXH128_canonical_t canonical;

    store_put_u64(rows, sum->rows);
    XXH3_128bits_update(sum->state, rows, sizeof(rows));
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(sum->state));
    memcpy(out, canonical.digest, STORE_SUM_LEN);
}
