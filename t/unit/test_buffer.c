/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The growing buffer, and its JSON strings against Jansson's reading of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <jansson.h>

#include "scim/buffer.h"

static apr_pool_t *pool;

static void test_growth(void **state)
{
    scim_buffer *buffer = scim_buffer_make(0, pool);
    int i;

    assert_string_equal(buffer->data, "");
    for (i = 0; i < 10000; i++) {
        scim_buffer_puts(buffer, "0123456789");
        scim_buffer_add(buffer, "", 0);
    }
    assert_int_equal(buffer->len, 100000);
    assert_int_equal(strlen(buffer->data), 100000);
    assert_memory_equal(buffer->data + 99990, "0123456789", 10);
}

static void test_ends_with_pool(void **state)
{
    apr_pool_t *sub;
    scim_buffer *buffer;

    /* that nothing is left over is for the leak checkers to say */
    apr_pool_create(&sub, pool);
    buffer = scim_buffer_make(100000, sub);
    assert_true(buffer->size > 100000);
    scim_buffer_puts(buffer, "x");
    assert_int_equal(buffer->len, 1);
    apr_pool_destroy(sub);
}

/* By any step, from the pool's memory to malloc's. */
static void test_steps(void **state)
{
    apr_size_t step;

    for (step = 1; step < 20000; step = step * 3 + 1) {
        scim_buffer *buffer = scim_buffer_make(step % 100, pool);
        apr_size_t i, n;

        for (n = 1; n <= 10; n++) {
            memset(scim_buffer_room(buffer, step), 'a' + (int)n, step);
            assert_int_equal(buffer->len, n * step);
            assert_true(buffer->size > buffer->len);
            assert_int_equal(buffer->data[buffer->len], '\0');
        }
        for (i = 0; i < buffer->len; i++) {
            assert_int_equal(buffer->data[i], 'b' + (int)(i / step));
        }
    }
}

static void assert_detached(apr_size_t len)
{
    scim_buffer *buffer = scim_buffer_make(10, pool);
    char *data;

    memset(scim_buffer_room(buffer, len), 'x', len);
    data = scim_buffer_detach(buffer);
    assert_int_equal(buffer->len, 0);
    if (len) {
        assert_int_equal(data[0], 'x');
        assert_int_equal(data[len - 1], 'x');
    }
    free(data);
    scim_buffer_puts(buffer, "anew");
    assert_string_equal(buffer->data, "anew");
}

static void test_detached(void **state)
{
    assert_detached(0);
    assert_detached(100);
    assert_detached(5000);
    assert_detached(100000);
}

static void assert_round_trip(const char *text, apr_size_t len)
{
    scim_buffer *buffer = scim_buffer_make(0, pool);
    json_t *json;

    scim_buffer_string(buffer, text, len);
    json = json_loadb(buffer->data, buffer->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    assert_int_equal(json_string_length(json), len);
    assert_memory_equal(json_string_value(json), text, len);
    json_decref(json);
}

static void test_strings(void **state)
{
    char every[128];
    int i;

    for (i = 0; i < 128; i++) {
        every[i] = (char)i;
        assert_round_trip(&every[i], 1);
    }
    assert_round_trip(every, sizeof(every));
    assert_round_trip("", 0);
    assert_round_trip("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9);
    assert_round_trip("a\"b\\c\"", 6);
}

/* Eight bytes are looked at together: wherever it stands among them. */
static void test_every_place(void **state)
{
    char text[24];
    apr_size_t at;
    int c;

    for (at = 0; at < sizeof(text); at++) {
        for (c = 0; c < 128; c++) {
            memset(text, c % 2 ? 'a' : '\x7f', sizeof(text));
            text[at] = (char)c;
            assert_round_trip(text, sizeof(text));
        }
    }
    /* not in UTF-8, which is for others to refuse */
    for (c = 128; c < 256; c++) {
        scim_buffer *buffer = scim_buffer_make(0, pool);

        memset(text, c, sizeof(text));
        scim_buffer_escape(buffer, text, sizeof(text));
        assert_int_equal(buffer->len, sizeof(text));
        assert_memory_equal(buffer->data, text, sizeof(text));
    }
}

static void test_escapes(void **state)
{
    scim_buffer *buffer = scim_buffer_make(0, pool);

    scim_buffer_escape(buffer, "a\"\\/\b\f\n\r\t\x01\x1f\x7f", 12);
    assert_string_equal(buffer->data, "a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001F\x7f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"growth", test_growth, NULL, NULL, NULL},
        {"a buffer ends with its pool", test_ends_with_pool, NULL, NULL, NULL},
        {"it grows by steps of any size", test_steps, NULL, NULL, NULL},
        {"what is detached is the caller's", test_detached, NULL, NULL, NULL},
        {"JSON strings read back as they were", test_strings, NULL, NULL, NULL},
        {"what is escaped is found in every place", test_every_place, NULL, NULL, NULL},
        {"the short escapes", test_escapes, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
