/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the store on a system that fails: whichever write or sync of a
 * change it is that fails, nothing of the change is there, all that was
 * acknowledged is, everything agrees with everything else, and the same change
 * succeeds when the cause is gone.
 */
#include "store_fixture.h"

#include "fault_fixture.h"
#include "scim/verify.h"

static const scim_error *make_user(const char *name)
{
    scim_change change;

    return post(&change, "User",
                fmt("{'userName':'%s','externalId':'x-%s','emails':[{'value':'%s@a.example',"
                    "'type':'work'}],'title':'%s'}",
                    name, name, name, fmt("%04000d", 7)));
}

static scim_id made_user(const char *name)
{
    scim_change change;

    assert_no_error(post(&change, "User", fmt("{'userName':'%s'}", name)));
    return change.record.id;
}

/*
 * The changes: each is given a number, so that it can be made many times
 */

static scim_id subject, team;

static const scim_error *create(int n)
{
    return make_user(fmt("u%d", n));
}

static const scim_error *replace(int n)
{
    scim_change change;

    return put(
        &change, "User", &subject,
        fmt("{'userName':'subject-%d','externalId':'%d','emails':[{'value':'%d@b.example'}]}",
            n, n, n));
}

static const scim_error *create_group(int n)
{
    scim_change change;

    return post(&change, "Group",
                fmt("{'displayName':'g%d','members':[{'value':'%s'}]}", n, text_of(&subject)));
}

static scim_id newcomer; /* made anew for each time */

static void make_newcomer(int n)
{
    newcomer = made_user(fmt("newcomer-%d", n));
}

static const scim_error *join(int n)
{
    scim_change change;

    return patch(
        &change, "Group", &team,
        fmt("{'op':'add','path':'members','value':[{'value':'%s'}]}", text_of(&newcomer)));
}

/* One who has a membership, and whom somebody refers to. */
static void make_member(int n)
{
    scim_change change;

    make_newcomer(n);
    assert_no_error(join(n));
    assert_no_error(post(&change, "User",
                         fmt("{'userName':'report-%d','schemas':['" SCIM_URN_USER "','@EU'],"
                             "'@EU':{'manager':{'value':'%s'}}}",
                             n, text_of(&newcomer))));
}

static const scim_error *delete_member(int n)
{
    return del("User", &newcomer);
}

static const scim_error *create_token(int n)
{
    char token[SCIM_TOKEN_LEN + 1];

    return scim_token_create(token, fix.store, fix.tenant.name, fmt("c%d", n), SCIM_SCOPE_READ,
                             tick(), 0, fix.pool);
}

static const scim_error *create_tenant(int n)
{
    scim_tenant tenant;

    return scim_tenant_create(&tenant, fix.store, fmt("tenant%d", n), tick(), fix.pool);
}

static const struct {
    const char *name;
    const scim_error *(*change)(int n);
    void (*prepare)(int n);
} changes[] = {
    {"create", create, NULL},
    {"replace", replace, NULL},
    {"join", join, make_newcomer},
    {"create group", create_group, NULL},
    {"delete member", delete_member, make_member},
    {"create token", create_token, NULL},
    {"create tenant", create_tenant, NULL},
};

/*
 * Each of them, with each fault
 */

static void tell(const scim_finding *finding, void *baton)
{
    print_error("%s: %s\n", finding->table, finding->what);
}

static void assert_whole(void)
{
    scim_verify_watcher watcher = {.found = tell};
    scim_verification result;

    assert_no_error(scim_verify(&result, fix.store, NULL, &watcher, fix.pool));
    assert_int_equal(result.findings, 0);
}

static scim_error_code code_of(int err)
{
    return err == EIO ? SCIM_E_INTERNAL : SCIM_E_STORAGE_FULL;
}

static int changes_made;

/* False where the n-th call was not reached. */
static bool fail_change(size_t which, int call, int n, int err)
{
    const scim_error *error;
    apr_array_header_t *before;
    int number = changes_made++;

    if (changes[which].prepare) {
        changes[which].prepare(number);
    }
    before = dump(fix.pool);
    arm(call, n, 1, err, FAULT_FAIL);
    error = changes[which].change(number);
    if (!disarm()) {
        assert_no_error(error);
        return false;
    }
    assert_code(error, code_of(err), NULL);
    assert_true(same_dump(before, dump(fix.pool)));
    assert_no_error(changes[which].change(number));
    assert_false(same_dump(before, dump(fix.pool)));
    return true;
}

static void fail_all_changes(int err)
{
    static const int calls[] = {FAULT_PAGES, FAULT_SYNC, FAULT_META};

    for (size_t i = 0; i < COUNT(changes); i++) {
        for (size_t c = 0; c < COUNT(calls); c++) {
            int n = 0;

            while (fail_change(i, calls[c], n, err)) {
                n++;
            }
            if (n < 1 || n > 30) {
                fail_msg("%s: %d times %s", changes[i].name, n, fault_name(calls[c]));
            }
        }
        assert_whole();
    }
}

static void make_subjects(void)
{
    scim_change change;

    subject = made_user("subject");
    assert_no_error(post(&change, "Group", "{'displayName':'team'}"));
    team = change.record.id;
    fault_directory(fix.directory);
}

static void test_bad_disk(void **state)
{
    make_subjects();
    fail_all_changes(EIO);
}

static void test_full_disk(void **state)
{
    make_subjects();
    fail_all_changes(ENOSPC);
}

/*
 * What was acknowledged, amid faults at random
 */

static void test_acknowledged(void **state)
{
    int made = 0, total = 0;
    scim_change change;

    make_subjects();
    srand(1);
    for (int i = 0; i < rounds(150, 5000); i++) {
        const scim_error *error;

        arm(rand() % FAULT_CALLS, rand() % 4, 1 + rand() % 2,
            fault_errors[rand() % FAULT_ERRORS], FAULT_FAIL + rand() % 2);
        error = make_user(fmt("random-%d", i));
        disarm();
        made += !error;
        total++;
        assert_true(!error || error->status >= 500);
        if (error) { /* was it made, its name would be taken */
            assert_no_error(make_user(fmt("random-%d", i)));
        } else {
            assert_code(post(&change, "User", fmt("{'userName':'random-%d'}", i)),
                        SCIM_E_UNIQUENESS, NULL);
        }
    }
    assert_in_range(made, total / 4, total - 1);
    assert_whole();
    scim_store_close(fix.store);
    open_store();
    assert_whole();
}

int main(void)
{
    static const store_test tests[] = {
        {"a bad disk", test_bad_disk, LMDB},
        {"a full disk", test_full_disk, LMDB},
        {"what was acknowledged", test_acknowledged, LMDB},
    };
    struct CMUnitTest each[ENGINES * COUNT(tests)];

    make_registry();
    on_engines(each, tests, COUNT(tests));
    return cmocka_run_group_tests(each, NULL, NULL);
}
