/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals of forms: good for those to whom they were given, as long as they last,
 * and for nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/seal.h"

#define NOW apr_time_from_sec(1800000000)
#define LIFE apr_time_from_sec(3600)

static apr_pool_t *pool;
static unsigned char key[SCIM_SEAL_KEY];

static const char *made(const char *bound)
{
    const char *seal = scim_seal_make(key, bound, NOW, pool);

    assert_non_null(seal);
    return seal;
}

static void test_good(void **state)
{
    const char *seal = made("acme\nanna"), *other = made("acme\nanna");

    assert_int_equal(scim_seal_check(key, "acme\nanna", seal, NOW, LIFE), SCIM_SEAL_GOOD);
    assert_int_equal(scim_seal_check(key, "acme\nanna", other, NOW, LIFE), SCIM_SEAL_GOOD);
    assert_string_not_equal(seal, other);
    assert_int_equal(strspn(seal, "0123456789abcdef"), strlen(seal));
}

static void test_time(void **state)
{
    const char *seal = made("");

    assert_int_equal(scim_seal_check(key, "", seal, NOW + LIFE, LIFE), SCIM_SEAL_GOOD);
    assert_int_equal(scim_seal_check(key, "", seal, NOW + LIFE + 1, LIFE), SCIM_SEAL_EXPIRED);
    assert_int_equal(scim_seal_check(key, "", seal, NOW - apr_time_from_sec(60), LIFE),
                     SCIM_SEAL_GOOD);
    assert_int_equal(scim_seal_check(key, "", seal, NOW - apr_time_from_sec(61), LIFE),
                     SCIM_SEAL_EXPIRED);
}

static void test_other(void **state)
{
    unsigned char other[SCIM_SEAL_KEY];
    const char *seal = made("acme\nanna");

    assert_true(scim_seal_key(other));
    assert_memory_not_equal(key, other, SCIM_SEAL_KEY);
    assert_int_equal(scim_seal_check(other, "acme\nanna", seal, NOW, LIFE), SCIM_SEAL_WRONG);
    assert_int_equal(scim_seal_check(key, "acme\nbert", seal, NOW, LIFE), SCIM_SEAL_WRONG);
    assert_int_equal(scim_seal_check(key, "", seal, NOW, LIFE), SCIM_SEAL_WRONG);
    /* One that is wrong is never told to be merely too old. */
    assert_int_equal(scim_seal_check(key, "acme", seal, NOW + 2 * LIFE, LIFE), SCIM_SEAL_WRONG);
}

/* Each digit counts, those of the time included. */
static void test_altered(void **state)
{
    const char *seal = made("acme");
    size_t i, len = strlen(seal);

    for (i = 0; i < len; i++) {
        char *altered = apr_pstrdup(pool, seal);

        altered[i] = altered[i] == '0' ? '1' : '0';
        assert_int_equal(scim_seal_check(key, "acme", altered, NOW, LIFE), SCIM_SEAL_WRONG);
        altered[i] = 'g';
        assert_int_equal(scim_seal_check(key, "acme", altered, NOW, LIFE), SCIM_SEAL_WRONG);
        altered[i] = '\0';
        assert_int_equal(scim_seal_check(key, "acme", altered, NOW, LIFE), SCIM_SEAL_WRONG);
    }
    assert_int_equal(
        scim_seal_check(key, "acme", apr_pstrcat(pool, seal, "0", NULL), NOW, LIFE),
        SCIM_SEAL_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"a seal is good for what it is bound to, and no two are one", test_good, NULL, NULL,
         NULL},
        {"it lasts as long as it is said to", test_time, NULL, NULL, NULL},
        {"another key, another text: wrong", test_other, NULL, NULL, NULL},
        {"an altered one is wrong", test_altered, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return scim_seal_key(key) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
