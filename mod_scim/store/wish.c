/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transaction will ask for, said before: of a store whose rows are far away all of
 * it comes in one journey.  Of others nothing is done here.
 */
#include <string.h>

#include "internal.h"

void wish_slice(wishes *w, scim_slice key, apr_size_t prefix)
{
    char *copy;

    if (w->count == SCIM_KV_MAX_WISHES) {
        wish_send(w);
    }
    copy = scim_kv_scratch(w->txn, key.len);
    memcpy(copy, key.data, key.len);
    w->list[w->count++] = (scim_kv_wish){{copy, key.len}, prefix};
}

void wish_key(wishes *w, const scim_key *key)
{
    wish_slice(w, scim_key_slice(key), 0);
}

void wish_record(wishes *w, const scim_tenant *tenant, const type_def *type, const scim_id *id)
{
    static const store_counter counters[] = {COUNTER_REVISION, COUNTER_MODIFIED};
    scim_key key;

    record_key(&key, tenant, type, id);
    wish_key(w, &key);
    for (size_t i = 0; type->type->members && i < sizeof(counters) / sizeof(*counters); i++) {
        counter_key_group(&key, tenant, counters[i], id);
        wish_key(w, &key);
    }
}

void wish_groups(wishes *w, const scim_tenant *tenant, const scim_id *member)
{
    scim_key key;

    member_prefix(&key, SCIM_TABLE_MEMBER_OF, tenant, member);
    wish_slice(w, scim_key_slice(&key), key.len);
}

void wish_members(wishes *w, const scim_tenant *tenant, const scim_id *group)
{
    scim_key key;

    member_prefix(&key, SCIM_TABLE_MEMBER, tenant, group);
    wish_slice(w, scim_key_slice(&key), key.len);
}

void wish_send(wishes *w)
{
    scim_kv_expect(w->txn, w->list, w->count);
    w->count = 0;
}
