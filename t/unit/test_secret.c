/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords in the store: set, changed, cleared and verified, on each engine.
 */
#include <time.h>

#include "scim/secret.h"

#include "store_fixture.h"
#include "store_model.h"

/* Words */

static void keep_passwords(bool keep)
{
    scim_policy policy = scim_policy_default();
    apr_array_header_t *changed;

    policy.password_sync = keep;
    assert_no_error(set_policy_of(&changed, fix.tenant.name, &policy));
    fix.tenant.policy.password_sync = keep;
}

static int begin_keeping(void **state)
{
    int rc = begin(state);

    if (!rc) {
        keep_passwords(true);
    }
    return rc;
}

typedef struct asking {
    const scim_tenant *tenant;
    const scim_id *id;
    const char *hash;
} asking;

static const scim_error *find_in_view(scim_view *view, void *baton)
{
    asking *a = baton;

    return scim_secret_find(&a->hash, view, a->tenant, a->id);
}

static const char *hash_of(const scim_id *id)
{
    asking a = {&fix.tenant, id, "never set"};

    assert_no_error(scim_store_view(fix.store, find_in_view, &a, fix.pool));
    return a.hash;
}

static bool opens(const scim_id *id, const char *password)
{
    return scim_secret_verify(hash_of(id), password, fix.pool);
}

static bool says_password(const scim_change *change)
{
    int i;

    for (i = 0; i < change->names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(change->names, i, const char *), "password")) {
            return true;
        }
    }
    return false;
}

static scim_change must_patch_password(const scim_id *id, const char *password)
{
    return must_patch("User", id,
                      fmt("{'op':'replace','path':'password','value':'%s'}", password));
}

static scim_id user_with(const char *name, const char *password)
{
    return must_post("User", fmt("{'userName':'%s','password':'%s'}", name, password));
}

static int rows_of(const char *table)
{
    apr_array_header_t *rows = dump(fix.pool);
    int i, count = 0;

    for (i = 0; i < rows->nelts; i++) {
        count += *(const char *)APR_ARRAY_IDX(rows, i, row).key.data == *table;
    }
    return count;
}

/* Ways in */

static void test_ways(void **state)
{
    scim_id id = user_with("anna", "first");
    static const struct {
        bool replaces;
        const char *text;
        const char *password;
    } ways[] = {
        {true, "{'userName':'anna','password':'second'}", "second"},
        {true, "{'userName':'anna','PASSWORD':'third'}", "third"},
        {true,
         "{'userName':'anna','urn:ietf:params:scim:schemas:core:2.0:User':{'password':'4'}}",
         "4"},
        {false, "{'op':'replace','path':'password','value':'fifth'}", "fifth"},
        {false, "{'op':'add','path':'password','value':'sixth'}", "sixth"},
        {false,
         "{'op':'add','path':'urn:ietf:params:scim:schemas:core:2.0:User:password','value':'7'"
         "}",
         "7"},
        {false, "{'op':'Replace','value':{'password':'eighth'}}", "eighth"},
        {false, "{'op':'add','value':{'password':'ninth','title':'x'}}", "ninth"},
        {false,
         "{'op':'replace','path':'password','value':'lost'},"
         "{'op':'replace','path':'password','value':'last'}",
         "last"},
    };
    const char *before = "first";
    size_t i;

    assert_true(opens(&id, "first"));
    for (i = 0; i < COUNT(ways); i++) {
        scim_change change =
            (ways[i].replaces ? must_put : must_patch)("User", &id, ways[i].text);

        assert_true(change.changed && says_password(&change));
        assert_int_equal(change.record.version, 2 + i);
        assert_true(opens(&id, ways[i].password));
        assert_false(opens(&id, before));
        before = ways[i].password;
    }
    assert_false(opens(&id, "lost"));
    assert_int_equal(rows_of("p"), 1);
}

/* Nobody can tell from the JSON that the password is another. */
static void test_change(void **state)
{
    scim_id id = user_with("anna", "old");
    scim_change change;
    getting before, after;

    assert_no_error(get(&before, "User", &id));
    change = must_patch_password(&id, "new");
    assert_true(change.changed);
    assert_int_equal(change.names->nelts, 1);
    assert_true(says_password(&change));
    assert_int_equal(change.record.version, 2);
    assert_no_error(get(&after, "User", &id));
    assert_int_equal(after.record.version, 2);
    assert_true(after.record.modified > before.record.modified);
    assert_true(after.record.created == before.record.created);
    assert_true(json_equal((json_t *)after.json, (json_t *)before.json));
    assert_int_equal(after.record.display_len, 4);

    change = must_put("User", &id, "{'userName':'anna','title':'x','password':'newer'}");
    assert_int_equal(change.names->nelts, 2);
    assert_int_equal(change.record.version, 3);
    assert_true(opens(&id, "newer"));
}

/* Okta sends it again and again. */
static void test_same(void **state)
{
    scim_id id = user_with("anna", "same");
    apr_array_header_t *before = dump(fix.pool);
    scim_change change = must_patch_password(&id, "same");

    assert_false(change.changed);
    assert_int_equal(change.record.version, 1);
    assert_int_equal(change.names->nelts, 0);
    change = must_put("User", &id, "{'userName':'anna','password':'same'}");
    assert_false(change.changed || says_password(&change));
    assert_true(same_dump(before, dump(fix.pool)));

    change = must_put("User", &id, "{'userName':'anna','title':'x','password':'same'}");
    assert_true(change.changed);
    assert_false(says_password(&change));
}

static void test_created(void **state)
{
    scim_change change;

    assert_no_error(post(&change, "User", "{'userName':'anna','password':'x'}"));
    assert_true(says_password(&change));
    assert_int_equal(change.record.version, 1);
    assert_no_error(post(&change, "User", "{'userName':'bob','password':null}"));
    assert_false(says_password(&change));
    assert_null(hash_of(&change.record.id));
    assert_false(opens(&change.record.id, ""));
    assert_int_equal(rows_of("p"), 1);
    MUST_FAIL(post(&change, "User", "{'userName':'anna','password':'y'}"), SCIM_E_UNIQUENESS,
              NULL);
}

/* Keeping and clearing */

static void test_kept(void **state)
{
    scim_id id = user_with("anna", "kept");
    scim_change change = must_put("User", &id, "{'userName':'anna','title':'x'}");

    assert_true(change.changed);
    assert_false(says_password(&change));
    must_patch("User", &id, "{'op':'add','path':'title','value':'y'}");
    must_patch("User", &id, "{'op':'replace','path':'userName','value':'berta'}");
    must_patch("User", &id, "{'op':'replace','path':'active','value':false}");
    assert_true(opens(&id, "kept"));
}

static void test_cleared(void **state)
{
    static const char *const ways[] = {
        "{'op':'remove','path':'password'}",
        "{'op':'replace','path':'password','value':''}",
        "{'op':'replace','path':'password','value':null}",
        "{'op':'replace','value':{'password':null}}",
        "{'op':'add','path':'password','value':'x'},{'op':'remove','path':'password'}",
    };
    scim_id id = user_with("anna", "0");
    scim_change change;
    size_t i;

    for (i = 0; i < COUNT(ways); i++) {
        must_patch_password(&id, fmt("p%d", (int)i));
        change = must_patch("User", &id, ways[i]);
        assert_true(change.changed && says_password(&change));
        assert_int_equal(change.record.version, 3 + 2 * i);
        assert_null(hash_of(&id));
        assert_int_equal(rows_of("p"), 0);
        change = must_patch("User", &id, ways[i]);
        assert_false(change.changed || says_password(&change));
    }
    must_patch_password(&id, "again");
    change = must_put("User", &id, "{'userName':'anna','password':null}");
    assert_true(change.changed && says_password(&change));
    assert_null(hash_of(&id));
}

static void test_deleted(void **state)
{
    scim_id anna = user_with("anna", "old"), bob = user_with("bob", "b"), group;

    group = new_group("Guides", fmt("{'value':'%s'}", text_of(&anna)));
    must_delete("User", &anna);
    assert_null(hash_of(&anna));
    assert_int_equal(rows_of("p"), 1);
    anna = new_user("anna");
    assert_false(opens(&anna, "old"));
    assert_true(opens(&bob, "b"));
    must_delete("Group", &group);
    assert_int_equal(rows_of("p"), 1);
}

/* What a policy says */

static void test_off(void **state)
{
    scim_change change;
    scim_id id;

    keep_passwords(false);
    id = user_with("anna", "dropped");
    assert_int_equal(rows_of("p"), 0);
    change = must_patch_password(&id, "dropped too");
    assert_false(change.changed || says_password(&change));
    assert_int_equal(change.record.version, 1);
}

/* A password that is not kept makes the one that was kept before wrong. */
static void test_switched_off(void **state)
{
    scim_id anna = user_with("anna", "old"), bob = user_with("bob", "old");
    scim_change change;

    keep_passwords(false);
    change = must_patch_password(&anna, "new");
    assert_true(change.changed && says_password(&change));
    must_patch("User", &bob, "{'op':'add','path':'title','value':'x'}");
    keep_passwords(true);
    assert_null(hash_of(&anna));
    assert_true(opens(&bob, "old"));
}

/* Texts */

static void test_texts(void **state)
{
    scim_id id = user_with("anna", "x");
    static const struct {
        const char *stored, *typed;
        bool right;
    } rows[] = {
        {"Pa55", "Pa55", true},
        {"Pa55", "pa55", false},
        {"Pa55", "Pa55 ", false},
        {"caf\xc3\xa9", "cafe\xcc\x81", true},
        {"cafe\xcc\x81", "caf\xc3\xa9", true},
        {"caf\xc3\xa9", "caf\xe9", false},
        {"a\xc2\xa0"
         "b",
         "a b", true},
        {"a b",
         "a\xe3\x80\x80"
         "b",
         true},
        {"\xef\xbd\x81", "a", false},
        {"\xf0\x9f\x94\x91 key", "\xf0\x9f\x94\x91 key", true},
        {"a\nb", "a", false},
    };
    size_t i;

    for (i = 0; i < COUNT(rows) - 1; i++) {
        must_patch_password(&id, rows[i].stored);
        assert_int_equal(opens(&id, rows[i].typed), rows[i].right);
        assert_true(opens(&id, rows[i].stored));
    }
    assert_false(opens(&id, ""));
    assert_false(opens(&id, "\xf0\x9f\x94\x91\nkey"));
}

/* bcrypt alone would not see what follows 72 bytes. */
static void test_long(void **state)
{
    char *text = filled(1024, 'p');
    scim_id id = user_with("anna", text);
    scim_change change;

    assert_true(opens(&id, text));
    text[1023] = 'q';
    assert_false(opens(&id, text));
    text[1023] = '\0';
    assert_false(opens(&id, text));
    MUST_FAIL(post(&change, "User", fmt("{'userName':'b','password':'%s'}", filled(1025, 'p'))),
              SCIM_E_INVALID_VALUE, "1025 bytes");
    MUST_FAIL(patch(&change, "User", &id,
                    fmt("{'op':'add','path':'password','value':'%s'}", filled(1025, 'p'))),
              SCIM_E_INVALID_VALUE, "Operations[0]: password has");
    MUST_FAIL(put(&change, "User", &id, "{'userName':'anna','password':'a\\u0007b'}"),
              SCIM_E_INVALID_VALUE, "control characters");
}

static void test_salted(void **state)
{
    scim_id anna = user_with("anna", "same"), bob = user_with("bob", "same");

    assert_string_not_equal(hash_of(&anna), hash_of(&bob));
    assert_int_equal(strlen(hash_of(&anna)), 60);
    assert_true(opens(&anna, "same") && opens(&bob, "same"));
}

/* Of the processor's time: others may want it, too. */
static apr_time_t spent(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return apr_time_from_sec(t.tv_sec) + t.tv_nsec / 1000;
}

static apr_time_t time_of(const char *hash, const char *password)
{
    apr_time_t best = APR_INT64_MAX;
    int i;

    for (i = 0; i < 3; i++) {
        apr_time_t began = spent(), took;

        assert_false(scim_secret_verify(hash, password, fix.pool));
        took = spent() - began;
        best = took < best ? took : best;
    }
    return best;
}

/* Who is not there is refused no faster. */
static void test_nobody(void **state)
{
    scim_id nobody, anna = user_with("anna", "x");
    apr_time_t wrong = time_of(hash_of(&anna), "wrong");

    assert_true(scim_id_parse(&nobody, NOBODY));
    assert_null(hash_of(&nobody));
    assert_true(time_of(NULL, "wrong") > wrong / 2);
    assert_true(time_of(hash_of(&anna), "\xff") > wrong / 2);
}

static void test_apart(void **state)
{
    scim_id id = user_with("anna", "x");
    scim_tenant other;
    asking a = {&other, &id, "never set"};

    assert_no_error(scim_tenant_create(&other, fix.store, "globex", tick(), fix.pool));
    assert_no_error(scim_store_view(fix.store, find_in_view, &a, fix.pool));
    assert_null(a.hash);
}

static void test_damaged(void **state)
{
    scim_id id = user_with("anna", "x");
    asking a = {&fix.tenant, &id, NULL};
    scim_change change;

    damage("p");
    assert_code(scim_store_view(fix.store, find_in_view, &a, fix.pool), SCIM_E_INTERNAL, NULL);
    MUST_FAIL(patch(&change, "User", &id, "{'op':'add','path':'password','value':'y'}"),
              SCIM_E_INTERNAL, NULL);
    assert_no_error(del("User", &id));
    assert_int_equal(rows_of("p"), 0);
}

/* Others meanwhile */

typedef struct meddling {
    const scim_id *id;
    const char *text; /* # is the turn */
} meddling;

static void meddle(int turn, void *baton)
{
    const meddling *m = baton;
    scim_change change;

    assert_no_error(
        patch(&change, "User", m->id, replaced(m->text, "#", fmt("%d", turn), fix.pool)));
}

static void test_overtaken(void **state)
{
    meddling m = {NULL, "{'op':'replace','path':'title','value':'#'}"};
    int turns;

    for (turns = 1; turns <= 4; turns++) {
        scim_id id = user_with(fmt("u%d", turns), "old");
        scim_change change;

        m.id = &id;
        let_others(meddle, &m, turns);
        assert_no_error(
            patch(&change, "User", &id, "{'op':'replace','path':'password','value':'new'}"));
        let_others(NULL, NULL, 0);
        invariants();
        assert_true(change.changed && says_password(&change));
        assert_int_equal(change.names->nelts, 1);
        assert_true(opens(&id, "new"));
    }
}

/* What was the same password is another by the time it is written, and the
 * reverse. */
static void test_overtaken_password(void **state)
{
    meddling m = {NULL, "{'op':'replace','path':'password','value':'p#'}"};
    static const char *const wanted[] = {"old", "p0"};
    size_t i;

    for (i = 0; i < COUNT(wanted); i++) {
        scim_id id = user_with(fmt("v%d", (int)i), "old");
        scim_change change;

        m.id = &id;
        let_others(meddle, &m, 1);
        assert_no_error(patch(&change, "User", &id,
                              fmt("{'op':'replace','path':'password','value':'%s'},"
                                  "{'op':'add','path':'title','value':'x'}",
                                  wanted[i])));
        let_others(NULL, NULL, 0);
        invariants();
        assert_int_equal(says_password(&change), i == 0);
        assert_true(opens(&id, wanted[i]));
    }
}

/* Batches */

typedef struct batching {
    scim_id ids[4];
    const char *passwords[4]; /* of PATCHes in this order; NULL ends */
    int runs;
    int clashes;        /* of a create in between */
    apr_time_t longest; /* that the lock was held */
} batching;

static const scim_error *change_in_batch(scim_batch *batch, void *baton)
{
    batching *b = baton;
    apr_time_t began = spent();
    scim_precondition none = {0};
    scim_change change;
    scim_draft draft;
    int i;

    b->runs++;
    for (i = 0; i < 4 && b->passwords[i]; i++) {
        drafting d = {"User",
                      fmt("{'op':'add','path':'password','value':'%s'}", b->passwords[i])};

        SCIM_ERR(scim_batch_change(&change, batch, &fix.tenant, type_of("User"), &b->ids[i],
                                   &none, draft_patch, &d, fix.lenient, tick(), fix.pool));
        assert_true(says_password(&change));
    }
    SCIM_ERR(
        make_draft(&draft, "User", "{'userName':'anna','password':'clash'}", NULL, fix.pool));
    b->clashes += scim_batch_create(&change, batch, &fix.tenant, &draft, NULL, fix.lenient,
                                    tick(), fix.pool) != NULL;
    b->longest = spent() - began > b->longest ? spent() - began : b->longest;
    return NULL;
}

static void test_batch(void **state)
{
    scim_id anna = user_with("anna", "a"), bob = user_with("bob", "b");
    batching b = {{anna, bob}, {"new-a", "new-b"}, 0, 0, 0};
    apr_time_t began = spent();

    assert_true(opens(&anna, "a"));
    assert_no_error(scim_store_batch(fix.store, change_in_batch, &b, fix.pool));
    invariants();
    assert_true(opens(&anna, "new-a") && opens(&bob, "new-b"));
    assert_int_equal(b.runs, 2);
    assert_int_equal(b.clashes, 2);
    /* It took some 300 ms to hash all that, hardly any of them under the lock. */
    assert_true(b.longest * 2 < spent() - began);
}

/* Each depends on what the one before it has stored. */
static void test_batch_of_one(void **state)
{
    scim_id anna = user_with("anna", "a");
    batching b = {{anna, anna, anna, anna}, {"1", "2", "3", "4"}, 0, 0, 0};

    assert_no_error(scim_store_batch(fix.store, change_in_batch, &b, fix.pool));
    invariants();
    assert_true(opens(&anna, "4"));
    assert_false(opens(&anna, "3"));
    assert_int_equal(b.runs, 4);
}

/* Two people who are given the same password cannot be told so by the hashes. */
static const scim_error *create_in_batch(scim_batch *batch, void *baton)
{
    batching *b = baton;
    scim_change change;
    scim_draft draft;
    int i;

    b->runs++;
    for (i = 0; i < 4; i++) {
        SCIM_ERR(make_draft(&draft, "User", fmt("{'userName':'u%d','password':'same'}", i),
                            NULL, fix.pool));
        SCIM_ERR(scim_batch_create(&change, batch, &fix.tenant, &draft, NULL, fix.lenient,
                                   fix.now, fix.pool));
        b->ids[i] = change.record.id;
    }
    return NULL;
}

static void test_batch_salted(void **state)
{
    batching b = {.runs = 0};
    int i, k;

    tick();
    assert_no_error(scim_store_batch(fix.store, create_in_batch, &b, fix.pool));
    invariants();
    assert_int_equal(b.runs, 2);
    for (i = 0; i < 4; i++) {
        for (k = 0; k < i; k++) {
            assert_string_not_equal(hash_of(&b.ids[i]), hash_of(&b.ids[k]));
        }
    }
    assert_true(opens(&b.ids[0], "same") && opens(&b.ids[3], "same"));
}

#define CHAIN 13

typedef struct chain {
    scim_id id;
    int set; /* so many in the last run, before the first that was refused */
} chain;

static const scim_error *change_often(scim_batch *batch, void *baton)
{
    chain *c = baton;
    int i;

    c->set = 0;
    for (i = 0; i < CHAIN; i++) {
        drafting d = {"User", fmt("{'op':'add','path':'password','value':'%d'}", i)};
        scim_precondition none = {0};
        scim_change change;
        const scim_error *err =
            scim_batch_change(&change, batch, &fix.tenant, type_of("User"), &c->id, &none,
                              draft_patch, &d, fix.lenient, fix.now, fix.pool);

        if (!err) {
            assert_int_equal(c->set, i);
            c->set++;
        } else {
            assert_code(err, SCIM_E_TOO_LARGE, "password");
        }
    }
    return NULL;
}

/* Each can be hashed only when the one before it is stored, so at the end under
 * the lock of all writers, which is not held for as many as anybody likes. */
static void test_batch_chain(void **state)
{
    chain c = {must_post("User", "{'userName':'anna'}"), 0};

    tick();
    assert_no_error(scim_store_batch(fix.store, change_often, &c, fix.pool));
    invariants();
    assert_int_equal(c.set, CHAIN - 2);
    assert_true(opens(&c.id, fmt("%d", c.set - 1)));
}

static const scim_error *fail_in_batch(scim_batch *batch, void *baton)
{
    SCIM_ERR(change_in_batch(batch, baton));
    return scim_error_make(fix.pool, SCIM_E_INVALID_VALUE, "no");
}

static void test_batch_fails(void **state)
{
    scim_id anna = user_with("anna", "a");
    batching b = {{anna}, {"b"}, 0, 0, 0};

    MUST_FAIL(scim_store_batch(fix.store, fail_in_batch, &b, fix.pool), SCIM_E_INVALID_VALUE,
              "no");
    assert_int_equal(b.runs, 1);
    assert_true(opens(&anna, "a"));
}

/* A write that fails */

static const scim_error *set_password(const scim_id *id)
{
    scim_change change;

    return patch(&change, "User", id, "{'op':'replace','path':'password','value':'new'}");
}

static const scim_error *clear_password(const scim_id *id)
{
    scim_change change;

    return patch(&change, "User", id, "{'op':'remove','path':'password'}");
}

static const scim_error *delete_user(const scim_id *id)
{
    return del("User", id);
}

static void test_atomic(void **state)
{
    static const scim_error *(*const acts[])(const scim_id *id) = {set_password, clear_password,
                                                                   delete_user};
    scim_id id = user_with("anna", "old");
    size_t act;
    int n;

    for (act = 0; act < COUNT(acts); act++) {
        for (n = 1;; n++) {
            apr_array_header_t *before = dump(fix.pool);
            const scim_error *err;

            scim_kv_memory_fail(scim_store_kv(fix.store), n);
            err = acts[act](&id);
            scim_kv_memory_fail(scim_store_kv(fix.store), 0);
            invariants();
            if (!err) {
                break;
            }
            assert_code(err, SCIM_E_INTERNAL, NULL);
            assert_true(same_dump(before, dump(fix.pool)));
            assert_true(n < 20);
        }
        assert_true(n > 2);
    }
}

int main(void)
{
    static const store_test table[] = {
        {"C-050 every way in which a password is set", test_ways, MEMORY},
        {"a new password is a change of a resource that looks the same", test_change, EACH},
        {"the same password again is none", test_same, MEMORY},
        {"C-050 a user is created with a password", test_created, EACH},
        {"C-153 a password that is left out is kept", test_kept, MEMORY},
        {"a password is cleared", test_cleared, MEMORY},
        {"C-050 a password goes with its user", test_deleted, EACH},
        {"C-050 a tenant that keeps no passwords", test_off, EACH},
        {"a tenant that keeps passwords no more", test_switched_off, MEMORY},
        {"C-310 passwords are compared as RFC 8265 says", test_texts, MEMORY},
        {"C-310 all of a long password counts, and too long a one is refused", test_long,
         MEMORY},
        {"C-311 passwords are hashed with salt", test_salted, EACH},
        {"who is not there is refused no faster", test_nobody, MEMORY},
        {"C-312 passwords of tenants are apart", test_apart, EACH},
        {"an altered password is an error", test_damaged, EACH},
        {"a password that others overtake", test_overtaken, EACH},
        {"a password that another overtakes", test_overtaken_password, EACH},
        {"passwords of a batch are hashed outside of the lock", test_batch, EACH},
        {"several passwords for one user in a batch", test_batch_of_one, MEMORY},
        {"C-311 users of one batch have each a salt", test_batch_salted, EACH},
        {"too many passwords for one user in a batch", test_batch_chain, MEMORY},
        {"a batch that fails sets no password", test_batch_fails, EACH},
        {"a password is set whole or not at all", test_atomic, MEMORY},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];
    size_t i;

    make_registry();
    on_engines(tests, table, COUNT(table));
    for (i = 0; i < COUNT(tests); i++) {
        tests[i].setup_func = tests[i].test_func ? begin_keeping : NULL;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
