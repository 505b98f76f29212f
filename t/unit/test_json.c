/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: what is refused, how members are found, what counts as no value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "scim/json.h"

static apr_pool_t *pool;

static const scim_error *read_bytes(json_t **out, const char *bytes, apr_size_t len)
{
    /* A copy of just that size: reading past it is for the sanitizers to see. */
    char *exact = malloc(len ? len : 1);
    const scim_error *err;

    memcpy(exact, bytes, len);
    err = scim_json_read(out, exact, len, pool);
    free(exact);
    return err;
}

static json_t *good(const char *text)
{
    json_t *json;
    const scim_error *err = read_bytes(&json, text, strlen(text));

    if (err) {
        fail_msg("%s: %s", text, err->detail);
    }
    assert_true(json_is_object(json));
    return json;
}

static const char *refused_bytes(const char *bytes, apr_size_t len)
{
    json_t *json = (json_t *)&json;
    const scim_error *err = read_bytes(&json, bytes, len);

    if (!err) {
        fail_msg("accepted: %.40s", bytes);
    }
    assert_int_equal(err->code, SCIM_E_INVALID_SYNTAX);
    assert_null(json);
    return err->detail;
}

static const char *refused(const char *text)
{
    return refused_bytes(text, strlen(text));
}

/* before, then count times piece, then after */
static const char *repeated(const char *before, const char *piece, int count, const char *after)
{
    size_t size = strlen(piece);
    char *text = apr_palloc(pool, strlen(before) + (size_t)count * size + strlen(after) + 1);
    char *at = stpcpy(text, before);

    for (; count > 0; count--, at += size) {
        memcpy(at, piece, size);
    }
    strcpy(at, after);
    return text;
}

static void test_read(void **state)
{
    json_t *json =
        good(" {\"a\":[1,2.5,true,null,{\"b\":\"\\u00e9\\ud83d\\ude00\"}],\"c\":{}}\r\n");
    apr_size_t len;

    assert_string_equal(
        scim_json_write(json, &len, pool),
        "{\"a\":[1,2.5,true,null,{\"b\":\"\xc3\xa9\xf0\x9f\x98\x80\"}],\"c\":{}}");
    assert_int_equal(len, strlen(scim_json_write(json, &len, pool)));
}

/* As they were sent: a double's own digits are no one's business. */
static void test_decimals(void **state)
{
    static const struct {
        const char *sent;
        const char *written;
    } cases[] = {
        {"[1.1,0.1,-2.5,1.0]", "[1.1,0.1,-2.5,1.0]"},
        {"{\"a\":{\"b\":[0.3]},\"c\":1e300}", "{\"a\":{\"b\":[0.3]},\"c\":1e300}"},
        {"[123456789.123456]", "[123456789.123456]"},
        {"[0.12345678901234566]", "[0.12345678901234566]"},
        {"[9007199254740993,7]", "[9007199254740993,7]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *json = scim_json_adopt(json_loads(cases[i].sent, 0, NULL), pool);
        apr_size_t len;

        assert_string_equal(scim_json_write(json, &len, pool), cases[i].written);
    }
}

static void test_malformed(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}}",
        "{\"a\":1}x",
        "{\"a\":1}{}",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "}",
        "]]]]]",
        ":::::",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":\"\\x\"}",
        "{\"a\":tru}",
        "{\"a\":TRUE}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":0x1}",
        "{\"a\":1 /* x */}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\n\"}",
        "\v{}",
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        refused(texts[i]);
    }
}

static void test_truncated(void **state)
{
    const char *text =
        "{\"schemas\":[\"urn:x\"],\"n\\u00e9\":{\"b\":-1.5e3,\"c\":false},\"d\":null}";
    size_t len;

    good(text);
    for (len = 0; len < strlen(text); len++) {
        refused_bytes(text, len);
    }
}

static void test_numbers(void **state)
{
    refused("{\"a\":NaN}");
    refused("{\"a\":Infinity}");
    refused("{\"a\":-Infinity}");
    refused("{\"a\":1e400}");
    assert_non_null(strstr(refused("{\"a\":9223372036854775808}"), "too large"));
    assert_int_equal(
        json_integer_value(json_object_get(good("{\"a\":9223372036854775807}"), "a")),
        INT64_MAX);
    assert_int_equal(
        json_integer_value(json_object_get(good("{\"a\":-9223372036854775808}"), "a")),
        INT64_MIN);
    assert_true(json_is_real(json_object_get(good("{\"a\":1.0}"), "a")));
    refused(repeated("{\"a\":", "1", 100000, "}"));
}

static void test_encoding(void **state)
{
    assert_non_null(strstr(refused("\xef\xbb\xbf{}"), "byte order mark"));
    assert_non_null(strstr(refused("{\"a\":\"\xff\"}"), "not UTF-8"));
    refused("{\"a\":\"\xc0\xaf\"}");         /* overlong */
    refused("{\"a\":\"\xed\xa0\x80\"}");     /* a surrogate, encoded */
    refused("{\"a\":\"\xf4\x90\x80\x80\"}"); /* beyond U+10FFFF */
    refused("{\"a\":\"\xe2\x82\"}");         /* cut */
    refused("{\"\xff\":1}");
    refused("{\"a\":\"\\ud800\"}");
    refused("{\"a\":\"\\udc00\"}");
    refused("{\"a\":\"\\ud800\\u0041\"}");
    refused("\xff\xfe{\0}\0");
    good("{\"a\":\"\xef\xbf\xbf\"}"); /* a noncharacter is a character */
}

static void test_nul(void **state)
{
    refused("{\"a\":\"x\\u0000y\"}");
    refused("{\"a\\u0000\":1}");
    refused_bytes("{\"a\":\"x\0y\"}", 11);
    refused_bytes("{\"a\":1}\0", 8);
    refused_bytes("\0", 1);
    refused_bytes("{\0}", 3);
    refused_bytes("{\"a\":false\0}", 12);
}

static void test_not_an_object(void **state)
{
    assert_non_null(strstr(refused("[]"), "an array"));
    assert_non_null(strstr(refused("[{\"userName\":\"a\"}]"), "an array"));
    assert_non_null(strstr(refused("\"x\""), "a string"));
    assert_non_null(strstr(refused("null"), "null"));
    assert_non_null(strstr(refused("true"), "a boolean"));
    assert_non_null(strstr(refused("1"), "an integer"));
    assert_non_null(strstr(refused("1.5"), "a decimal number"));
    good("{}");
}

static void test_depth(void **state)
{
    const char *deepest =
        apr_pstrcat(pool, repeated("{\"a\":", "[", SCIM_JSON_MAX_DEPTH - 1, ""),
                    repeated("", "]", SCIM_JSON_MAX_DEPTH - 1, "}"), NULL);
    const char *deeper = apr_pstrcat(pool, repeated("{\"a\":", "[", SCIM_JSON_MAX_DEPTH, ""),
                                     repeated("", "]", SCIM_JSON_MAX_DEPTH, "}"), NULL);

    good(deepest);
    assert_non_null(strstr(refused(deeper), "nested more than 32 deep"));
    assert_non_null(strstr(refused(repeated("", "[", 1000000, "")), "nested"));
    assert_non_null(strstr(refused(repeated("", "{\"a\":", 200000, "")), "nested"));
    assert_non_null(strstr(refused(repeated("", "{\"a\":[", 2048, "")), "nested"));
}

static void test_depth_in_strings(void **state)
{
    good(repeated("{\"a\":\"", "[{", 100, "\"}"));
    good(repeated("{\"a\":\"\\\"", "[{", 100, "\"}"));
    good(repeated("{\"", "[{\\\\", 100, "\":1}"));
    good(repeated("{\"a\":[", "[[]],", 100, "{}]}")); /* wide, not deep */
}

/* {"k0":0,"k1":0,...} */
static const char *object_of(int count)
{
    char *text = apr_palloc(pool, (size_t)count * 16 + 3);
    char *at = stpcpy(text, "{");
    int i;

    for (i = 0; i < count; i++) {
        at += sprintf(at, "%s\"k%d\":0", i ? "," : "", i);
    }
    strcpy(at, "}");
    return text;
}

static void test_members(void **state)
{
    const char *most = object_of(SCIM_JSON_MAX_KEYS);

    assert_int_equal(json_object_size(good(most)), SCIM_JSON_MAX_KEYS);
    assert_non_null(
        strstr(refused(object_of(SCIM_JSON_MAX_KEYS + 1)), "more than 1000 members"));
    refused(object_of(100000));
    /* of one object, not of all */
    good(apr_pstrcat(pool, "{\"a\":", most, ",\"b\":[", most, ",", most, "],\"c\":1}", NULL));
    refused(
        apr_pstrcat(pool, "{\"a\":{\"b\":[", object_of(SCIM_JSON_MAX_KEYS + 1), "]}}", NULL));
}

static void test_values(void **state)
{
    /* the object, the array, and what is in it; a name is no value */
    good(repeated("{\"a\":[", "0,", SCIM_JSON_MAX_ELEMENTS - 3, "0]}"));
    assert_non_null(
        strstr(refused(repeated("{\"a\":[", "0,", SCIM_JSON_MAX_ELEMENTS - 2, "0]}")),
               "more than 200000 values"));
    good(repeated("{\"a\":[", "[],", SCIM_JSON_MAX_ELEMENTS - 3, "\"\"]}"));
    refused(repeated("{\"a\":[", "[],", SCIM_JSON_MAX_ELEMENTS - 2, "\"\"]}"));
    good(repeated("{\"a\":[", "{\"b\":1},", (SCIM_JSON_MAX_ELEMENTS - 4) / 2, "{}]}"));
    refused(repeated("{\"a\":[", "{\"b\":1},", (SCIM_JSON_MAX_ELEMENTS - 2) / 2, "{}]}"));
}

/* Read or refused, what is huge costs no more than a look at its bytes. */
static void test_huge(void **state)
{
    enum { MILLION = 1000000 };
    clock_t start = clock();
    json_t *json = good(repeated("{\"a\":\"", "0123456789", MILLION / 10, "\"}"));
    int i;

    assert_int_equal(json_string_length(json_object_get(json, "a")), MILLION);
    assert_non_null(strstr(refused(object_of(MILLION)), "more than 1000 members"));
    assert_non_null(
        strstr(refused(repeated("{\"a\":[", "0,", MILLION, "0]}")), "more than 200000 values"));
    assert_non_null(strstr(refused(repeated("{\"a\":[", "{},", MILLION, "0]}")),
                           "more than 200000 values"));
    refused(repeated("{\"a\":", "1234567890", MILLION, "}"));
    refused(repeated("{\"a\":0.", "1234567890", MILLION, "e}"));
    refused(repeated("{\"a\":1e", "1234567890", MILLION, "}"));
    refused(repeated("{\"a\":\"", "\\u0000", MILLION, "\"}"));
    refused(repeated("{\"a\":\"", "\\\\", MILLION, ""));
    refused(repeated("", " ", 10 * MILLION, ""));
    for (i = SCIM_JSON_MAX_DEPTH + 1; i <= MILLION; i = i < 2048 ? 2048 : MILLION + i) {
        refused(repeated("", "{\"a\":", i, ""));
        refused(repeated("{\"a\":", "[", i - 1, ""));
        refused(repeated("", "[{\"a\":", i / 2 + 1, ""));
    }
    assert_true((clock() - start) / CLOCKS_PER_SEC < 5);
}

/* Numbers whose fraction is long are numbers. */
static void test_long_fraction(void **state)
{
    json_t *json = good(repeated("{\"a\":0.", "1234567890", 1000, "}"));

    assert_true(json_is_real(json_object_get(json, "a")));
}

static void test_depth_of_parts(void **state)
{
    static const char *const pieces[][2] = {{"{\"a\":", "}"}, {"[", "]"}};
    size_t i;
    int depth;

    for (i = 0; i < 2; i++) {
        for (depth = SCIM_JSON_MAX_DEPTH - 1; depth <= SCIM_JSON_MAX_DEPTH + 1; depth++) {
            const char *text =
                apr_pstrcat(pool, repeated("{\"a\":", pieces[i][0], depth - 1, "1"),
                            repeated("", pieces[i][1], depth - 1, "}"), NULL);

            if (depth > SCIM_JSON_MAX_DEPTH) {
                refused(text);
            } else {
                good(text);
            }
        }
    }
}

static void test_position(void **state)
{
    assert_non_null(strstr(refused("{\n  \"a\": tru\n}"), "line 2, column "));
    assert_non_null(strstr(refused("{\"a\":1}\n\n x"), "line 3, column 2: something follows"));
    assert_non_null(strstr(refused("\xef\xbb\xbf{}"), "line 1, column 1:"));
    /* columns are characters, as Jansson has them */
    assert_non_null(strstr(refused(repeated("{\"\xc3\xa9\":\n\"\xc3\xa9\"", "[", 33, "")),
                           "line 2, column 35: arrays"));
}

static void test_no_quoting(void **state)
{
    assert_null(strstr(refused("{\"password\":\"hunter2}"), "hunter2"));
    assert_null(strstr(refused("{\"password\":hunter2}"), "hunter2"));
}

static void test_same_names(void **state)
{
    assert_non_null(strstr(refused("{\"a\":1,\"a\":1}"), "twice"));
    assert_non_null(strstr(refused("{\"userName\":\"a\",\"USERNAME\":\"b\"}"),
                           "\"userName\" and \"USERNAME\""));
    refused("{\"x\":[1,{\"y\":{\"Given\":1,\"z\":2,\"giveN\":3}}]}");
    refused("{\"urn:x:User\":1,\"URN:X:USER\":1}");
    refused("{\"userName\":1,\"\\u0075serName\":2}");
    refused("{\"userName\":1,\"\\u0055SERNAM\\u0065\":2}");
    refused("{\"a\":{\"\\u0062\":1,\"B\":2}}");
    refused("{\"\":1,\"\":2}");
    good("{\"a\":{\"b\":1},\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"A\":1}]}");
    good("{\"\xc3\xa9\":1,\"\xc3\x89\":1}"); /* only ASCII has no case */
}

static void test_same_names_among_many(void **state)
{
    const char *most = object_of(SCIM_JSON_MAX_KEYS - 1);

    good(apr_pstrcat(pool, "{\"L0\":0,", most + 1, NULL));
    refused(apr_pstrcat(pool, "{\"K500\":0,", most + 1, NULL));
}

static void test_special_names(void **state)
{
    json_t *json =
        good("{\"__proto__\":{\"a\":1},\"constructor\":2,\"\":3,\"a.b\":4,\"$ref\":5}");

    assert_int_equal(json_object_size(json), 5);
    assert_null(scim_json_get(json, "a", NULL));
    assert_int_equal(json_integer_value(scim_json_get(json, "constructor", NULL)), 2);
    assert_int_equal(json_integer_value(scim_json_get(json, "", NULL)), 3);
    assert_int_equal(json_integer_value(scim_json_get(json, "a.B", NULL)), 4);
}

static void test_get(void **state)
{
    json_t *json = good("{\"SCHEMAS\":[],\"USERNAME\":\"a\",\"Name\":{\"GIVENNAME\":\"b\"}}");
    const char *key = "unset";

    assert_string_equal(scim_json_string(json, "userName"), "a");
    assert_string_equal(scim_json_string(json, "USERNAME"), "a");
    assert_ptr_equal(scim_json_get(json, "schemas", &key), json_object_get(json, "SCHEMAS"));
    assert_string_equal(key, "SCHEMAS");
    assert_ptr_equal(scim_json_get(json, "Name", &key), json_object_get(json, "Name"));
    assert_string_equal(key, "Name");
    assert_string_equal(scim_json_string(scim_json_get(json, "name", NULL), "givenName"), "b");
    assert_null(scim_json_get(json, "user", &key));
    assert_null(key);
    assert_null(scim_json_string(json, "schemas")); /* no string */
    assert_null(scim_json_string(json, "none"));
    assert_null(scim_json_get(scim_json_get(json, "schemas", NULL), "a", NULL));
    assert_null(scim_json_get(NULL, "a", NULL));
}

static void test_unassigned(void **state)
{
    json_t *json = good("{\"no\":[null,\"\",[],{},[null],[\"\",[],{\"a\":null}],"
                        "{\"a\":\"\",\"b\":[null]}],"
                        "\"yes\":[false,true,0,0.0,\" \",[0],[null,false],{\"a\":{\"b\":0}}]}");
    json_t *value;
    size_t i;

    json_array_foreach (json_object_get(json, "no"), i, value) {
        assert_true(scim_json_unassigned(value));
    }
    assert_int_equal(i, 7);
    json_array_foreach (json_object_get(json, "yes"), i, value) {
        assert_false(scim_json_unassigned(value));
    }
    assert_int_equal(i, 8);
    assert_true(scim_json_unassigned(NULL));
}

static void test_kind(void **state)
{
    static const char *const kinds[] = {
        "an object",        "an array",  "a string",  "an integer",
        "a decimal number", "a boolean", "a boolean", "null"};
    json_t *json = good("{\"a\":[{},[],\"\",1,1.5,true,false,null]}");
    json_t *value;
    size_t i;

    json_array_foreach (json_object_get(json, "a"), i, value) {
        assert_string_equal(scim_json_kind(value), kinds[i]);
    }
    assert_int_equal(i, 8);
    assert_string_equal(scim_json_kind(NULL), "nothing");
}

static void test_read_own(void **state)
{
    const char *deep =
        apr_pstrcat(pool, repeated("{\"a\":", "[", 100, ""), repeated("", "]", 100, "}"), NULL);

    assert_non_null(scim_json_read_own(deep, strlen(deep), pool));
    assert_non_null(scim_json_read_own("{\"a\":1,\"A\":2}xx", 13, pool));
    assert_null(scim_json_read_own("{\"a\":1", 6, pool));
    assert_null(scim_json_read_own("[]", 2, pool));
    assert_null(scim_json_read_own("", 0, pool));
}

static void test_adopt(void **state)
{
    apr_pool_t *inner;
    json_t *json = json_pack("{s:i}", "a", 1);

    apr_pool_create(&inner, pool);
    json_incref(json);
    assert_ptr_equal(scim_json_adopt(json, inner), json);
    assert_int_equal(json->refcount, 2);
    apr_pool_clear(inner);
    assert_int_equal(json->refcount, 1);
    assert_null(scim_json_adopt(NULL, inner));
    apr_pool_destroy(inner);
    assert_int_equal(json->refcount, 1);
    json_decref(json);
}

/* Blocks of Jansson's that begin with their size, so that their end can be
 * looked at. */
static bool freed_secret;

static void *sized_malloc(size_t size)
{
    size_t *block = malloc(size + 2 * sizeof(size_t));

    *block = size;
    return block + 2;
}

static void sized_free(void *data)
{
    size_t *block = (size_t *)data - 2;

    if (data) {
        freed_secret = freed_secret || memmem(data, *block, "hunter2", 7);
        free(block);
    }
}

static void test_adopt_secret(void **state)
{
    static const char text[] = "{\"password\":\"hunter2\",\"a\":[{\"b\":\"hunter2\"},1]}";
    apr_pool_t *inner;
    json_malloc_t old_malloc;
    json_free_t old_free;
    json_t *json, *shares;
    bool plain, wiped;

    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(sized_malloc, sized_free);
    apr_pool_create(&inner, pool);
    scim_json_adopt(json_loads(text, 0, NULL), inner);
    freed_secret = false;
    apr_pool_clear(inner);
    plain = freed_secret;

    assert_null(scim_json_read(&json, text, strlen(text), inner));
    shares = scim_json_adopt(json_pack("{s:O}", "a", json_object_get(json, "a")), inner);
    assert_int_equal(json_object_get(shares, "a")->refcount, 2);
    freed_secret = false;
    apr_pool_clear(inner);
    wiped = !freed_secret;

    json = json_pack("{s:s}", "kept", "hunter2");
    shares = scim_json_adopt_secret(json_pack("{s:O}", "a", json), inner);
    apr_pool_destroy(inner);
    assert_string_equal(json_string_value(json_object_get(json, "kept")), "hunter2");
    json_decref(json);
    json_set_alloc_funcs(old_malloc, old_free);
    assert_true(plain);
    assert_true(wiped);
}

static void test_write(void **state)
{
    apr_size_t len;
    json_t *json = scim_json_adopt(
        json_pack("{s:s,s:[b,n],s:I}", "b", "\"/\\\n", "a", 1, "i", (json_int_t)INT64_MIN),
        pool);

    assert_string_equal(
        scim_json_write(json, &len, pool),
        "{\"b\":\"\\\"/\\\\\\n\",\"a\":[true,null],\"i\":-9223372036854775808}");
    assert_string_equal(scim_json_write(json_object_get(json, "b"), &len, pool),
                        "\"\\\"/\\\\\\n\"");
    assert_int_equal(len, 9);
}

static void assert_log_text(const char *text, apr_size_t max, const char *expected)
{
    json_t *json = scim_json_adopt(scim_json_log_text(text, max, pool), pool);

    assert_string_equal(json_string_value(json), expected);
}

static void test_log_text(void **state)
{
    json_t *none = scim_json_log_text(NULL, 9, pool);

    assert_true(json_is_null(none));
    assert_log_text("", 9, "");
    assert_log_text("entra", 5, "entra");
    assert_log_text("entra", 4, "entr");
    assert_log_text("entra", 0, "");
    assert_log_text("a\xc3\xa9", 3, "a\xc3\xa9");
    assert_log_text("a\xc3\xa9", 2, "a");
    assert_log_text("\xf0\x9f\x98\x80", 3, "");
    assert_log_text("a\n\x01\"", 9, "a\n\x01\"");
    assert_log_text("a\xff\xc3\xa9", 9, "a???");
    assert_log_text("aaa\x80\x80\x80\x80\x80", 7, "aaa?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"an object is read, and written compactly", test_read, NULL, NULL, NULL},
        {"decimals are written as they were sent", test_decimals, NULL, NULL, NULL},
        {"C-009 malformed JSON", test_malformed, NULL, NULL, NULL},
        {"C-009 JSON truncated anywhere", test_truncated, NULL, NULL, NULL},
        {"C-009 C-041 numbers: NaN, too large, exact to 64 bits", test_numbers, NULL, NULL,
         NULL},
        {"C-009 BOM, invalid UTF-8, lone surrogates", test_encoding, NULL, NULL, NULL},
        {"C-009 NUL, escaped and raw", test_nul, NULL, NULL, NULL},
        {"C-010 array, string, null and others at the top", test_not_an_object, NULL, NULL,
         NULL},
        {"C-009 depth 32 is read, 33 and bombs are not", test_depth, NULL, NULL, NULL},
        {"C-009 brackets in strings are no depth", test_depth_in_strings, NULL, NULL, NULL},
        {"C-009 a thousand members in an object", test_members, NULL, NULL, NULL},
        {"C-009 two hundred thousand values", test_values, NULL, NULL, NULL},
        {"C-009 what is huge is read or refused at once", test_huge, NULL, NULL, NULL},
        {"long fractions are numbers", test_long_fraction, NULL, NULL, NULL},
        {"C-009 depths of 31, 32 and 33", test_depth_of_parts, NULL, NULL, NULL},
        {"C-009 the detail says line and column", test_position, NULL, NULL, NULL},
        {"C-318 the detail quotes no value", test_no_quoting, NULL, NULL, NULL},
        {"C-024 names that differ only in case", test_same_names, NULL, NULL, NULL},
        {"C-024 one such pair among a thousand", test_same_names_among_many, NULL, NULL, NULL},
        {"no name is special", test_special_names, NULL, NULL, NULL},
        {"C-025 S-30 members are found without case", test_get, NULL, NULL, NULL},
        {"C-048 C-049 S-36 what is no value", test_unassigned, NULL, NULL, NULL},
        {"kinds have names", test_kind, NULL, NULL, NULL},
        {"own bytes are read without limits", test_read_own, NULL, NULL, NULL},
        {"a pool drops what it adopted, once", test_adopt, NULL, NULL, NULL},
        {"C-311 what a client sent is overwritten when it goes", test_adopt_secret, NULL, NULL,
         NULL},
        {"writing: order kept, escapes, any type", test_write, NULL, NULL, NULL},
        {"any bytes make a text for a log", test_log_text, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
