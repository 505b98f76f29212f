/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The url of a store, and the engines that one can name: those that are made known are
 * found, and no others; and a password in a url is seen, however it is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "scim/kv.h"

static apr_pool_t *pool;

static int set_up(void **state)
{
    return apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    apr_pool_destroy(pool);
    return 0;
}

/* An engine that opens nothing. */

static scim_kv_rc refuse(scim_kv **out, const char *where, const scim_kv_options *options,
                         const char **why, apr_pool_t *result_pool)
{
    *why = apr_pstrcat(result_pool, "nobody is at ", where, NULL);
    return SCIM_KV_BUSY;
}

static const char *judge(const char *where, apr_pool_t *result_pool)
{
    return strcmp(where, "nonsense") ? NULL : "it is nonsense";
}

static const scim_kv_engine far = {.version = SCIM_KV_VERSION,
                                   .name = "far",
                                   .open = refuse,
                                   .networked = true,
                                   .outlook = judge};
static const scim_kv_engine other = {.version = SCIM_KV_VERSION, .name = "far", .open = refuse};
static const scim_kv_engine newer = {.version = SCIM_KV_VERSION + 1, .name = "newer"};

static const char *why_not(const char *url)
{
    const char *why = "";
    scim_kv *kv;

    assert_int_not_equal(scim_kv_open(&kv, url, NULL, &why, pool), SCIM_KV_OK);
    assert_null(kv);
    return why;
}

static const char *outlook(const char *url)
{
    bool made;

    return scim_kv_outlook(&made, url, false, pool);
}

static void test_register(void **state)
{
    assert_non_null(strstr(why_not("far:x"), "\"far:x\" names no store"));
    assert_false(scim_kv_networked("far:x"));
    assert_true(scim_kv_register(&far));
    assert_string_equal(why_not("far:x"), "nobody is at x");
    assert_true(scim_kv_networked("far:x"));
    assert_false(scim_kv_claimable("far:x"));
    assert_non_null(strstr(why_not("farther:x"), "names no store"));
    assert_false(scim_kv_register(&newer));
    assert_non_null(strstr(why_not("newer:x"), "names no store"));
    assert_true(scim_kv_register(&other)); /* takes the place of far */
    assert_false(scim_kv_networked("far:x"));
    scim_kv_unregister(&far); /* which is not there any more */
    assert_string_equal(why_not("far:x"), "nobody is at x");
    scim_kv_unregister(&other);
    assert_non_null(strstr(why_not("far:x"), "names no store"));
    assert_true(scim_kv_claimable("lmdb:/x"));
    assert_false(scim_kv_networked("lmdb:/x"));
}

static void test_room(void **state)
{
    static scim_kv_engine many[16];
    int i, taken = 0;

    for (i = 0; i < 16; i++) {
        many[i] = far;
        many[i].name = apr_psprintf(pool, "far%d", i);
        taken += scim_kv_register(&many[i]);
    }
    assert_in_range(taken, 4, 15);
    for (i = 0; i < 16; i++) {
        scim_kv_unregister(&many[i]);
    }
    assert_true(scim_kv_register(&far));
    scim_kv_unregister(&far);
}

static void test_outside(void **state)
{
    apr_uint64_t room, size;
    scim_kv_examiner to = {.row = NULL};

    assert_true(scim_kv_register(&far));
    assert_null(outlook("far:x"));
    assert_string_equal(outlook("far:nonsense"), "it is nonsense");
    assert_false(scim_kv_room(&room, &size, "far:x"));
    assert_int_equal(scim_kv_peek("far:x", (scim_slice){"t", 1}, &to), SCIM_KV_IO);
    scim_kv_unregister(&far);
    assert_non_null(strstr(outlook("pgsql:dbname=scim"), "a2enmod scim_pgsql"));
    assert_non_null(strstr(outlook("sqlite:x"), "\"sqlite:x\" names no store"));
    assert_null(outlook("memory:"));
}

static void test_secrets(void **state)
{
    static const char *const with[] = {
        "pgsql:password=x",
        "pgsql:dbname=scim password=x",
        "pgsql:dbname=scim PassWord = x",
        "pgsql:dbname=scim password\t\n=x",
        "pgsql:sslpassword=x",
        "pgsql:dbname='password=x'",
        "pgsql:postgresql://u:x@h/d",
        "pgsql:postgresql://:x@h",
        "pgsql:postgresql://u:@h", /* it cannot be meant otherwise */
        "pgsql:dbname=postgres://u:x@h",
        "pgsql:postgresql://h/d?password=x",
        "pgsql:postgresql://h/d?%70assword=x",
        "pgsql:postgresql://h/d?%50ASSWOR%44=x",
        "far:password=x",
    };
    static const char *const without[] = {
        "pgsql:",
        "pgsql:passfile=/p",
        "pgsql:user=password dbname=x",
        "pgsql:password",
        "pgsql:passwordfile=x",
        "pgsql:postgresql://u@h:5432/d",
        "pgsql:postgresql://h:5432/d?user=a@b",
        "pgsql:postgresql://[::1]:5432/d@e",
        "pgsql:postgresql://h/d?%7=%&application_name=50%25",
        "pgsql:host=x:y user=a@b",
        "lmdb:/x/password=y",
        "/x/password=y",
    };
    size_t i;

    for (i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
        assert_true(scim_kv_has_secret(with[i], pool));
        assert_ptr_equal(why_not(with[i]), scim_kv_secret_text);
        assert_ptr_equal(outlook(with[i]), scim_kv_secret_text);
    }
    for (i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        assert_false(scim_kv_has_secret(without[i], pool));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_register, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets, set_up, tear_down),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
