/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as text: the parser and the writer against Jansson's own, whose verdicts,
 * trees and bytes they must have.
 */
#include "../../mod_scim/core/json_parse.h"
#include "fuzz.h"

static char *dumped(const json_t *json, size_t flags, apr_size_t *len, apr_pool_t *pool)
{
    char *text;

    *len = json_dumpb(json, NULL, 0, flags | JSON_COMPACT);
    text = apr_palloc(pool, *len + 1);
    json_dumpb(json, text, *len, flags | JSON_COMPACT);
    text[*len] = '\0';
    return text;
}

/* With the fewest digits that are enough for all of its numbers. */
static void check_written(const json_t *json, apr_pool_t *pool)
{
    apr_size_t len, expected_len;
    const char *text = scim_json_write(json, &len, pool), *expected = NULL;
    bool same = false;
    size_t digits;

    for (digits = 15; digits <= 17 && !same; digits++) {
        expected = dumped(json, JSON_REAL_PRECISION(digits), &expected_len, pool);
        same = json_equal(
            scim_json_adopt(json_loadb(expected, expected_len, JSON_ALLOW_NUL, NULL), pool),
            json);
    }
    assert_true(same);
    assert_int_equal(len, expected_len);
    assert_memory_equal(text, expected, len);
}

/* In every order too, which json_equal() does not look at. */
static void check_same(const json_t *a, const json_t *b, apr_pool_t *pool)
{
    apr_size_t a_len, b_len;
    const char *a_text = dumped(a, 0, &a_len, pool), *b_text = dumped(b, 0, &b_len, pool);

    assert_true(json_equal(a, b));
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a_text, b_text, a_len);
}

/* What Jansson takes, and SCIM does not. */
static bool is_ours(const scim_error *err)
{
    static const char *const details[] = {"nested more than", "members", "values", "\\u0000",
                                          "differ only in case"};
    size_t i;

    for (i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
        if (strstr(err->detail, details[i])) {
            return true;
        }
    }
    return false;
}

FUZZ_TARGET(json)
{
    const char *text = fuzz_bytes(data, len, scratch);
    json_t *theirs = scim_json_adopt(
        json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL), scratch);
    json_t *quick = scim_json_adopt(json_parse(text, len, 0), scratch), *ours;
    const scim_error *err = scim_json_read(&ours, text, len, scratch);

    if (quick) {
        assert_non_null(theirs);
        check_same(quick, theirs, scratch);
    } else {
        assert_true(!theirs || is_ours(err));
    }
    if (fuzz_ok(err)) {
        assert_non_null(theirs);
        check_same(ours, theirs, scratch);
        check_written(ours, scratch);
    } else {
        assert_true(!json_is_object(theirs) || is_ours(err));
    }
    ours = scim_json_read_own(text, len, scratch);
    if (json_is_object(theirs) && !memchr(text, '\0', len)) {
        check_same(ours, theirs, scratch);
    }
}
