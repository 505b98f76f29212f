/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Needles: what of a filter is looked for in the bytes of a resource, and that
 * looking finds it wherever it stands.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/needle.h"

static apr_pool_t *pool;
static const scim_resource_type *user, *group;

static const scim_filter *parse(const char *text, const scim_resource_type *type)
{
    const scim_filter *filter;
    const scim_error *err = scim_filter_parse(&filter, text, type, true, pool);

    if (err) {
        fail_msg("%s: %s", text, err->detail);
    }
    return filter;
}

static void assert_needle(const char *filter, const scim_resource_type *type,
                          const char *wanted)
{
    scim_needle needle;
    bool found = scim_needle_find(&needle, parse(filter, type));

    if (!wanted) {
        assert_false(found);
        return;
    }
    assert_true(found);
    assert_int_equal(needle.len, strlen(wanted));
    assert_memory_equal(needle.text, wanted, needle.len);
}

static void test_choice(void **state)
{
    assert_needle("displayName co \"Dmitri M\"", user, "dmitri m");
    assert_needle("displayName sw \"Dmitri M\"", user, "dmitri m");
    assert_needle("displayName ew \"i M\"", user, "i m");
    assert_needle("title eq \"x\"", user, "x");
    assert_needle("title eq \"x\" and displayName co \"abc\"", user, "abc");
    assert_needle("title pr and displayName co \"abc\"", user, "abc");
    assert_needle("emails[value co \"@example.com\"]", user, "@example.com");
    assert_needle("externalId eq \"Ab\"", user, "Ab");
    assert_needle("displayName co \"a\\\"bcd\\\\ef\"", user, "bcd");
    assert_needle("displayName co \"Stra\\u00dfe x\"", user, "strasse x");
    assert_needle("displayName co \"\\u00e5str\\u00f6m\"", user, "str");
    assert_needle(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"R\"", user,
        "r");
}

/* Where the bytes say nothing, or not all of it. */
static void test_no_choice(void **state)
{
    assert_needle("displayName pr", user, NULL);
    assert_needle("displayName ne \"abc\"", user, NULL);
    assert_needle("not (displayName eq \"abc\")", user, NULL);
    assert_needle("displayName gt \"abc\"", user, NULL);
    assert_needle("title eq \"x\" or displayName co \"abc\"", user, NULL);
    assert_needle("active eq true", user, NULL);
    assert_needle("meta.created gt \"2020-01-01T00:00:00Z\"", user, NULL);
    assert_needle("meta.resourceType eq \"User\"", user, NULL);
    assert_needle("id eq \"x\"", user, NULL);
    assert_needle("groups.display eq \"staff\"", user, NULL);
    assert_needle("members.value eq \"x\"", group, NULL);
    assert_needle("members[display co \"x\"]", group, NULL);
    assert_needle("displayName co \"\\u00e9\"", user, NULL);
    assert_needle("displayName co \"\\\"\"", user, NULL);
}

static bool naive(const scim_needle *needle, const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80 ||
            (i + needle->len <= len && !strncasecmp(text + i, needle->text, needle->len))) {
            return true;
        }
    }
    return false;
}

/* Texts of all lengths around those that are looked at in one step, with the
 * needle, or nearly the needle, at every place. */
static void test_places(void **state)
{
    static const char *const words[] = {"a", "Zq", "ab{", "0123456789abcdefXYZ", "@`["};
    char text[120];
    apr_size_t w, len, at;

    for (w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        scim_needle needle = {words[w], strlen(words[w])};

        for (len = 0; len < 70; len++) {
            memset(text, '.', sizeof(text));
            assert_int_equal(scim_needle_test(&needle, text, len), false);
            for (at = 0; at + needle.len <= len; at++) {
                apr_size_t i;

                memset(text, '.', sizeof(text));
                for (i = 0; i < needle.len; i++) {
                    text[at + i] = (char)(i % 2 ? toupper(words[w][i]) : tolower(words[w][i]));
                }
                assert_true(scim_needle_test(&needle, text, len));
                assert_false(scim_needle_test(&needle, text, at + needle.len - 1));
                text[at + needle.len - 1] ^= 0x20; /* '@' and '`' are no letters */
                assert_int_equal(scim_needle_test(&needle, text, len),
                                 naive(&needle, text, len));
            }
        }
    }
}

static void test_not_ascii(void **state)
{
    scim_needle needle = {"strasse", 7};
    char text[100];
    apr_size_t at;

    for (at = 0; at < sizeof(text); at++) {
        memset(text, 'x', sizeof(text));
        text[at] = (char)0xc3;
        assert_true(scim_needle_test(&needle, text, sizeof(text)));
        assert_false(scim_needle_test(&needle, text, at));
    }
}

static const char subject[] =
    "{\"schemas\":[\"displayName\"],\"title\":\"a \\\"displayName\\\":\\\"no\\\"\","
    "\"name\":{\"displayName\":\"within\",\"formatted\":\"Babs\"},"
    "\"nickName\":\"Stra\xc3\x9f"
    "e\",\"displayName\":\"Babs Jensen\",\"externalId\":\"aB\","
    "\"userType\":\"a\\\\b\",\"emails\":[{\"value\":\"x@y\"}]}";

static void test_judging(void **state)
{
    static const struct {
        const char *filter;
        scim_needle_verdict verdict;
    } cases[] = {
        {"displayName eq \"BABS JENSEN\"", SCIM_NEEDLE_YES},
        {"displayName eq \"Babs\"", SCIM_NEEDLE_NO},
        {"displayName co \"s j\"", SCIM_NEEDLE_YES},
        {"displayName co \"no\"", SCIM_NEEDLE_NO},
        {"displayName co \"within\"", SCIM_NEEDLE_NO},
        {"displayName sw \"babs\"", SCIM_NEEDLE_YES},
        {"displayName sw \"jensen\"", SCIM_NEEDLE_NO},
        {"displayName sw \"babs jensen and more\"", SCIM_NEEDLE_NO},
        {"displayName ew \"JENSEN\"", SCIM_NEEDLE_YES},
        {"displayName ew \"babs\"", SCIM_NEEDLE_NO},
        {"externalId eq \"aB\"", SCIM_NEEDLE_YES},
        {"externalId eq \"ab\"", SCIM_NEEDLE_NO},
        {"preferredLanguage eq \"en\"", SCIM_NEEDLE_NO},
        {"title co \"x\"", SCIM_NEEDLE_UNSURE},
        {"userType co \"b\"", SCIM_NEEDLE_UNSURE},
        {"nickName eq \"strasse\"", SCIM_NEEDLE_UNSURE},
        {"displayName eq \"\\u00e5\"", SCIM_NEEDLE_UNSURE},
        {"displayName gt \"a\"", SCIM_NEEDLE_UNSURE},
        {"displayName pr", SCIM_NEEDLE_UNSURE},
        {"not (displayName eq \"x\")", SCIM_NEEDLE_UNSURE},
        {"displayName eq \"x\" and title eq \"y\"", SCIM_NEEDLE_UNSURE},
        {"name.formatted eq \"Babs\"", SCIM_NEEDLE_UNSURE},
        {"emails.value eq \"x@y\"", SCIM_NEEDLE_UNSURE},
        {"schemas eq \"displayName\"", SCIM_NEEDLE_UNSURE},
        {"id eq \"x\"", SCIM_NEEDLE_UNSURE},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_needle_verdict verdict =
            scim_needle_judge(parse(cases[i].filter, user), subject, sizeof(subject) - 1);

        if (verdict != cases[i].verdict) {
            fail_msg("%s: %d, not %d", cases[i].filter, verdict, cases[i].verdict);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"the longest text that a filter asks for", test_choice, NULL, NULL, NULL},
        {"filters that ask for no text", test_no_choice, NULL, NULL, NULL},
        {"found wherever it stands, in whatever case", test_places, NULL, NULL, NULL},
        {"one comparison, judged by the bytes", test_judging, NULL, NULL, NULL},
        {"what is not ASCII may be anything", test_not_ascii, NULL, NULL, NULL},
    };
    const scim_registry *registry;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    if (scim_registry_make(&registry, pool)) {
        return 1;
    }
    user = scim_registry_type(registry, "User");
    group = scim_registry_type(registry, "Group");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
