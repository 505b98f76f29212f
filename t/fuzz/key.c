/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, and what stands in them: prepared text, ids and times.  The input is two
 * values, with a line "%%" in between.
 */
#include "scim/id.h"
#include "scim/key.h"
#include "scim/text.h"
#include "scim/time.h"

#include "fuzz.h"

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static int compare(const void *a, apr_size_t a_len, const void *b, apr_size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order ? sign(order) : (a_len > b_len) - (a_len < b_len);
}

static scim_key key_of(const char *value, apr_size_t len)
{
    scim_key key;

    scim_key_begin(&key, SCIM_TABLE_INDEX);
    scim_key_u32(&key, 7);
    scim_key_value(&key, value, len);
    return key;
}

/* Keys are ordered as their values, are equal only where those are, and none of a
 * short value begins another. */
static void check_keys(const char *a, const char *b)
{
    apr_size_t a_len = strlen(a), b_len = strlen(b);
    scim_key a_key = key_of(a, a_len), b_key = key_of(b, b_len);
    int order = compare(a_key.bytes, a_key.len, b_key.bytes, b_key.len);

    assert_true(a_key.len <= 5 + SCIM_KEY_VALUE_MAX + 1);
    assert_int_equal(order == 0, !strcmp(a, b));
    if (a_len <= SCIM_KEY_VALUE_MAX && b_len <= SCIM_KEY_VALUE_MAX) {
        assert_int_equal(order, compare(a, a_len, b, b_len));
        assert_int_equal(scim_key_has_prefix(scim_key_slice(&a_key), &b_key, NULL), order == 0);
    }
}

/* What is prepared is prepared, whatever case it had. */
static const char *check_text(const char *text, apr_pool_t *pool)
{
    apr_size_t len, again_len;
    const char *prepared = scim_text_prepare(text, strlen(text), false, &len, pool);
    const char *again = scim_text_prepare(prepared, len, false, &again_len, pool);

    assert_int_equal(strlen(prepared), len);
    assert_string_equal(prepared, again);
    assert_int_equal(scim_text_is_utf8(prepared, len), scim_text_is_utf8(text, strlen(text)));
    scim_text_has_control(text, strlen(text));
    return prepared;
}

static void check_password(const char *text, apr_pool_t *pool)
{
    apr_size_t len, again_len;
    const char *prepared = scim_text_prepare_opaque(text, strlen(text), &len, pool);

    if (prepared) {
        const char *again = scim_text_prepare_opaque(prepared, len, &again_len, pool);

        assert_non_null(again);
        assert_string_equal(prepared, again);
    }
}

static void check_id(const char *text)
{
    char buf[SCIM_ID_TEXT + 1];
    scim_id id;

    if (scim_id_parse(&id, text)) {
        assert_string_equal(scim_id_format(&id, buf), text);
    }
}

static void check_time(const char *text)
{
    char buf[SCIM_TIME_LEN + 1];
    apr_time_t when, again;

    if (scim_time_parse(text, &when)) {
        assert_true(scim_time_parse(scim_time_format(when, buf), &again));
        assert_int_equal(when, again);
    }
}

FUZZ_TARGET(key)
{
    char *text = fuzz_text(data, len, scratch);
    const char *a = fuzz_part(&text, scratch), *b = text ? text : "";

    check_keys(a, b);
    check_keys(check_text(a, scratch), check_text(b, scratch));
    check_password(a, scratch);
    check_id(a);
    check_time(a);
}
