/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: their kinds, their details, their bodies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "scim/error.h"
#include "scim/json.h"

#define DETAIL_MAX 1024

static apr_pool_t *pool;

static const char *body_of(const scim_error *err)
{
    apr_size_t len;
    const char *body = scim_error_body(err, &len, pool);

    assert_int_equal(len, strlen(body));
    return body;
}

static void test_body(void **state)
{
    assert_string_equal(
        body_of(scim_error_make(pool, SCIM_E_INVALID_FILTER, "at %d: \"%s\"", 7, "eq")),
        "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],"
        "\"scimType\":\"invalidFilter\",\"detail\":\"at 7: \\\"eq\\\"\",\"status\":\"400\"}");
}

static void test_body_without_type(void **state)
{
    assert_string_equal(body_of(scim_error_make(pool, SCIM_E_NOT_FOUND, "No such user")),
                        "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],"
                        "\"detail\":\"No such user\",\"status\":\"404\"}");
    assert_non_null(scim_error_body(scim_error_make(pool, SCIM_E_INTERNAL, "x"), NULL, pool));
}

static void test_every_kind(void **state)
{
    static const struct {
        int status;
        const char *type;
    } kinds[] = {
#define KIND(name, status, type) {status, type},
        SCIM_ERROR_TABLE(KIND)
#undef KIND
    };
    int code;

    for (code = 0; code < SCIM_E_COUNT; code++) {
        const scim_error *err = scim_error_make(pool, (scim_error_code)code, "why");
        const char *body = body_of(err);
        json_t *json = scim_json_read_own(body, strlen(body), pool);

        assert_int_equal(err->code, code);
        assert_int_equal(err->status, kinds[code].status);
        assert_string_equal(json_string_value(json_object_get(json, "status")),
                            apr_itoa(pool, kinds[code].status));
        assert_int_equal(json_object_get(json, "scimType") != NULL, kinds[code].type != NULL);
        if (kinds[code].type) {
            assert_string_equal(json_string_value(json_object_get(json, "scimType")),
                                kinds[code].type);
        }
    }
}

/* What RFC 7644 table 9 and RFC 9865 say of each type, since the loop above
 * only holds the table against itself. */
static void test_types(void **state)
{
    assert_int_equal(scim_error_make(pool, SCIM_E_UNIQUENESS, "x")->status, 409);
    assert_int_equal(scim_error_make(pool, SCIM_E_SENSITIVE, "x")->status, 403);
    assert_int_equal(scim_error_make(pool, SCIM_E_MUTABILITY, "x")->status, 400);
    assert_string_equal(scim_error_make(pool, SCIM_E_NO_TARGET, "x")->scim_type, "noTarget");
    assert_string_equal(scim_error_make(pool, SCIM_E_INVALID_CURSOR, "x")->scim_type,
                        "invalidCursor");
    assert_null(scim_error_make(pool, SCIM_E_PRECONDITION_FAILED, "x")->scim_type);
    assert_null(scim_error_make(pool, SCIM_E_TOO_LARGE, "x")->scim_type);
}

static void test_detail_not_utf8(void **state)
{
    const scim_error *err =
        scim_error_make(pool, SCIM_E_INVALID_PATH, "at \"%s\"", "a\xff\xc3\x28\xed\xa0\x80z");

    assert_string_equal(err->detail, "at \"a\xef\xbf\xbd\xef\xbf\xbd("
                                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
    assert_non_null(strstr(body_of(err), "\"detail\":\"at \\\"a"));
}

static void test_detail_cut(void **state)
{
    char text[2 * DETAIL_MAX];
    int width;

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(strlen(scim_error_make(pool, SCIM_E_INTERNAL, "%s", text)->detail),
                     DETAIL_MAX);

    /* A character of "width" bytes whose last byte is the first over the limit. */
    for (width = 2; width <= 4; width++) {
        static const char *const wide[] = {NULL, NULL, "\xc3\xa9", "\xe2\x82\xac",
                                           "\xf0\x9f\x98\x80"};
        const char *detail;

        memcpy(text + DETAIL_MAX - width + 1, wide[width], (size_t)width);
        detail = scim_error_make(pool, SCIM_E_INTERNAL, "%s", text)->detail;
        assert_int_equal(strlen(detail), DETAIL_MAX - width + 1);
        assert_int_equal(detail[strlen(detail) - 1], 'x');
        memset(text, 'x', sizeof(text) - 1);

        memcpy(text + DETAIL_MAX - width, wide[width], (size_t)width);
        detail = scim_error_make(pool, SCIM_E_INTERNAL, "%s", text)->detail;
        assert_int_equal(strlen(detail), DETAIL_MAX);
        memset(text, 'x', sizeof(text) - 1);
    }
}

static void test_detail_cut_when_replaced(void **state)
{
    char text[DETAIL_MAX + 1];
    const char *detail;

    memset(text, 0xff, sizeof(text));
    text[DETAIL_MAX] = '\0';
    detail = scim_error_make(pool, SCIM_E_INTERNAL, "%s", text)->detail;
    assert_int_equal(strlen(detail), DETAIL_MAX / 3 * 3);
}

static void test_system(void **state)
{
    const scim_error *err = scim_error_system(pool, SCIM_E_STORAGE_FULL, APR_ENOSPC,
                                              "The store is full.", "%s: %d", "/var/x", 28);

    assert_string_equal(err->cause, "/var/x: 28");
    assert_int_equal(err->rv, APR_ENOSPC);
    assert_string_equal(err->detail, "The store is full.");
    assert_null(strstr(body_of(err), "/var/x"));
    assert_null(scim_error_make(pool, SCIM_E_INTERNAL, "x")->cause);
}

static void test_at(void **state)
{
    const scim_error *inner =
        scim_error_system(pool, SCIM_E_INVALID_VALUE, APR_EINVAL, "no number", "cause");
    const scim_error *outer = scim_error_at(pool, inner, "Operations[2]: ");
    char wide[DETAIL_MAX + 1];

    assert_string_equal(outer->detail, "Operations[2]: no number");
    assert_string_equal(inner->detail, "no number");
    assert_int_equal(outer->code, SCIM_E_INVALID_VALUE);
    assert_int_equal(outer->status, 400);
    assert_string_equal(outer->scim_type, "invalidValue");
    assert_string_equal(outer->cause, "cause");
    assert_int_equal(outer->rv, APR_EINVAL);

    memset(wide, 'p', sizeof(wide));
    wide[DETAIL_MAX] = '\0';
    assert_int_equal(strlen(scim_error_at(pool, inner, wide)->detail), DETAIL_MAX);
}

static void test_retry(void **state)
{
    const scim_error *plain = scim_error_make(pool, SCIM_E_TOO_MANY_REQUESTS, "too many");
    const scim_error *retry = scim_error_retry(pool, plain, 7);

    assert_int_equal(plain->retry_after, 0);
    assert_int_equal(retry->retry_after, 7);
    assert_int_equal(retry->status, 429);
    assert_string_equal(retry->detail, "too many");
    assert_int_equal(scim_error_at(pool, retry, "x: ")->retry_after, 7);
}

static void test_of_status(void **state)
{
    assert_int_equal(scim_error_of_status(400), SCIM_E_BAD_REQUEST);
    assert_int_equal(scim_error_of_status(401), SCIM_E_UNAUTHORIZED);
    assert_int_equal(scim_error_of_status(403), SCIM_E_FORBIDDEN);
    assert_int_equal(scim_error_of_status(404), SCIM_E_NOT_FOUND);
    assert_int_equal(scim_error_of_status(405), SCIM_E_METHOD_NOT_ALLOWED);
    assert_int_equal(scim_error_of_status(413), SCIM_E_TOO_LARGE);
    assert_int_equal(scim_error_of_status(415), SCIM_E_MEDIA_TYPE);
    assert_int_equal(scim_error_of_status(503), SCIM_E_UNAVAILABLE);
    assert_int_equal(scim_error_of_status(409), SCIM_E_BAD_REQUEST);
    assert_int_equal(scim_error_of_status(418), SCIM_E_BAD_REQUEST);
    assert_int_equal(scim_error_of_status(502), SCIM_E_INTERNAL);
    assert_int_equal(scim_error_of_status(0), SCIM_E_INTERNAL);
}

static const scim_error *first_of(const scim_error *err, bool *passed)
{
    SCIM_ERR(err);
    *passed = true;
    return NULL;
}

static void test_passing_on(void **state)
{
    const scim_error *err = scim_error_make(pool, SCIM_E_FORBIDDEN, "no");
    bool passed = false;

    assert_ptr_equal(first_of(err, &passed), err);
    assert_false(passed);
    assert_null(first_of(NULL, &passed));
    assert_true(passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-008 the body: members, order, status a string", test_body, NULL, NULL, NULL},
        {"C-008 C-061 no scimType where none fits", test_body_without_type, NULL, NULL, NULL},
        {"C-008 every kind: body.status is its HTTP status", test_every_kind, NULL, NULL, NULL},
        {"C-008 types and their statuses", test_types, NULL, NULL, NULL},
        {"C-008 a detail of bytes that are not UTF-8", test_detail_not_utf8, NULL, NULL, NULL},
        {"C-008 a detail is cut at 1 KiB, between characters", test_detail_cut, NULL, NULL,
         NULL},
        {"C-008 replaced bytes count against the 1 KiB", test_detail_cut_when_replaced, NULL,
         NULL, NULL},
        {"C-318 a system error's cause stays out of the body", test_system, NULL, NULL, NULL},
        {"an error with a prefix is otherwise the same", test_at, NULL, NULL, NULL},
        {"C-018 an error may say when to ask again", test_retry, NULL, NULL, NULL},
        {"C-008 the kind for a status of httpd's", test_of_status, NULL, NULL, NULL},
        {"SCIM_ERR passes on errors only", test_passing_on, NULL, NULL, NULL},
    };

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
