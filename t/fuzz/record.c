/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of the store that nobody wrote: the first byte says in place of which
 * row, the others what stands behind its seal.  Reading and verifying may find
 * that the store is damaged, and nothing else may happen; what a reader is
 * refused for, verifying names.
 */
#include "fuzz.h"

#include "../unit/service_fixture.h"
#include "scim/subject.h"
#include "scim/verify.h"

#include "../../mod_scim/store/internal.h"

#define ROWS_MAX 100

typedef struct row {
    scim_slice key;
    scim_slice value;
} row;

static row rows[ROWS_MAX];
static int rows_count;
static char token[SCIM_TOKEN_LEN + 1];
static const char *urls[] = {"/Users/{u}",
                             "/Groups/{g}",
                             "/Users",
                             "/Groups?attributes=members.value",
                             "/Users?filter=userName+eq+%22babs%22",
                             "/Users?filter=emails.value+sw+%22b%22&sortBy=userName",
                             "/Groups?filter=members+eq+%22{u}%22",
                             "/Users?startIndex=2",
                             "/Users?cursor&count=1"};

static scim_slice kept(scim_slice bytes)
{
    return (scim_slice){bytes.len ? apr_pmemdup(pool, bytes.data, bytes.len) : "", bytes.len};
}

static scim_kv_rc note_rows(scim_kv_txn *txn, void *baton)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc;

    for (rc = scim_kv_seek(cursor, (scim_slice){"", 0}, &key, &value); rc == SCIM_KV_OK;
         rc = scim_kv_next(cursor, &key, &value)) {
        assert_true(rows_count < ROWS_MAX);
        rows[rows_count++] = (row){kept(key), kept(value)};
    }
    return SCIM_KV_OK;
}

/* A store with a row in every table, made once. */
static void make_store(void)
{
    const char *user, *boss, *group;
    size_t i;

    if (rows_count) {
        return;
    }
    registry = fuzz_registry();
    begin(NULL);
    boss = create_user("boss");
    user = create("/Users", text_of("{'schemas':['@U','@EU'],'userName':'babs','emails':["
                                    "{'value':'babs@example.com'}],'externalId':'x',"
                                    "'@EU':{'manager':{'value':'%s'}}}",
                                    boss));
    group = create_group("staff", member(user));
    create_group("all", member(group));
    assert_null(scim_token_create(token, store, "acme", "entra", SCIM_SCOPE_READ, 1, 0, pool));
    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const char *at = strchr(urls[i], '{');

        if (at) {
            urls[i] =
                apr_pstrcat(pool, apr_pstrmemdup(pool, urls[i], (apr_size_t)(at - urls[i])),
                            at[1] == 'u' ? user : group, at + 3, NULL);
        }
    }
    assert_int_equal(scim_kv_view(scim_store_kv(store), note_rows, NULL), SCIM_KV_OK);
}

static scim_kv_rc put_row(scim_kv_txn *txn, void *baton)
{
    const row *r = baton;

    return scim_kv_put(txn, r->key, r->value, false);
}

static void put(const row *r)
{
    assert_int_equal(scim_kv_update(scim_store_kv(store), put_row, (void *)r), SCIM_KV_OK);
}

/* The row in place of this one. */
static row hostile(const row *r, const char *data, size_t len, apr_pool_t *scratch)
{
    unsigned char *value = (unsigned char *)fuzz_bytes("", 0, scratch);
    bool sealed = r->value.len && strchr("rtskmpi", *(const char *)r->key.data);

    if (sealed) {
        value = apr_pcalloc(scratch, STORE_SEAL + len);
        memcpy(value + STORE_SEAL, data, len);
        store_seal(r->key, value, STORE_SEAL + len);
        len += STORE_SEAL;
        value = (unsigned char *)fuzz_bytes((char *)value, len, scratch);
    } else {
        value = (unsigned char *)fuzz_bytes(data, len, scratch);
    }
    return (row){r->key, {value, len}};
}

static const scim_error *find_token(scim_view *view, void *baton)
{
    scim_token_state state;
    scim_identity found;
    scim_subject subject;

    SCIM_ERR(scim_token_find(&state, &found, view, token, 5));
    return scim_subject_find(&subject, view, &identity.tenant, SCIM_BY_USER_NAME, "babs");
}

/* How many readers were refused, or got what is no JSON. */
static int read_all(apr_pool_t *scratch)
{
    int refused = scim_store_view(store, find_token, NULL, scratch) != NULL;
    size_t i;

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        scim_call call = call_of(SCIM_GET, urls[i], NULL);
        scim_reply reply;

        scim_service_answer(&reply, &call, scratch);
        if (reply.status >= 500) {
            assert_non_null(reply.error->cause);
            refused++;
        } else if (!scim_json_read_own(reply.body, reply.body_len, scratch)) {
            refused++; /* a sealed record is not parsed to be shown */
        }
    }
    return refused;
}

static void pass_over(const scim_finding *finding, void *baton)
{
    assert_true(*finding->table && *finding->what);
}

static void check_record(scim_slice key, scim_slice value, apr_pool_t *scratch)
{
    record_head head;
    unsigned char *copy;

    if (!record_decode(&head, key, value)) {
        return;
    }
    assert_true(head.json + head.json_len == (const char *)value.data + value.len);
    assert_true(head.display + head.display_len == head.json);
    assert_int_equal(record_size(&head), value.len);
    copy = apr_palloc(scratch, value.len);
    record_write(key, &head, copy);
    assert_memory_equal(copy + RECORD_HEADER, (const char *)value.data + RECORD_HEADER,
                        value.len - RECORD_HEADER);
    scim_json_read_own(head.json, head.json_len, scratch);
}

FUZZ_TARGET(record)
{
    scim_verify_watcher watcher = {pass_over, NULL, NULL};
    scim_verification sum;
    const scim_error *err;
    const row *was;
    row now_there;
    int refused;

    if (!len) {
        return;
    }
    make_store();
    was = &rows[(unsigned char)*data % rows_count];
    now_there = hostile(was, data + 1, len - 1, scratch);
    check_record(now_there.key, now_there.value, scratch);
    put(&now_there);
    refused = read_all(scratch);
    err = scim_verify(&sum, store, NULL, &watcher, scratch);
    assert_true(!refused || err || sum.findings);
    put(was);
}
