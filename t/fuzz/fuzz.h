/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share.  A target is one file, NAME.c:
 *
 *     FUZZ_TARGET(name)
 *     {
 *         ... data, len, scratch (a pool); assert_...() of cmocka for what must hold
 *     }
 *
 * "make fuzz" links each with libFuzzer, and t/unit/test_fuzz.c all of them, to
 * run them over the inputs in t/fuzz/corpus/NAME/.
 *
 * Inputs are text wherever they can be: parts of one are separated by a line "%%".
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#include "scim/error.h"
#include "scim/json.h"
#include "scim/schema.h"

typedef struct fuzz_target fuzz_target;
struct fuzz_target {
    const char *name;
    int (*run)(const uint8_t *data, size_t len);
    fuzz_target *next;
};

#ifdef FUZZ_REPLAY
extern fuzz_target *fuzz_targets;

#define FUZZ_ENTRY(target)                                              \
    static int fuzz_entry(const uint8_t *data, size_t len);             \
    static __attribute__((constructor)) void fuzz_announce(void)        \
    {                                                                   \
        static fuzz_target self = {.name = #target, .run = fuzz_entry}; \
                                                                        \
        self.next = fuzz_targets;                                       \
        fuzz_targets = &self;                                           \
    }                                                                   \
    static int fuzz_entry(const uint8_t *data, size_t len)
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FUZZ_ENTRY(target) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
#endif

/* Of what is freed is free at once, so that a sanitizer sees who uses it then. */
static inline apr_pool_t *fuzz_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    apr_allocator_create(&allocator);
    apr_allocator_max_free_set(allocator, 1);
    apr_pool_create_ex(&pool, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    return pool;
}

#define FUZZ_TARGET(target)                                                  \
    static void fuzz_one(const char *data, size_t len, apr_pool_t *scratch); \
    FUZZ_ENTRY(target)                                                       \
    {                                                                        \
        apr_pool_t *scratch;                                                 \
                                                                             \
        fuzz_begin();                                                        \
        scratch = fuzz_pool();                                               \
        fuzz_one((const char *)data, len, scratch);                          \
        apr_pool_destroy(scratch);                                           \
        return 0;                                                            \
    }                                                                        \
    static void fuzz_one(const char *data, size_t len, apr_pool_t *scratch)

/* Outside of a cmocka test, an assertion that fails is to end the process. */
static inline void fuzz_begin(void)
{
#ifndef FUZZ_REPLAY
    static bool begun;

    if (!begun) {
        begun = true;
        apr_initialize();
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        atexit(apr_terminate);
    }
#endif
}

/* The registry of the built-in schemas, made once. */
static inline const scim_registry *fuzz_registry(void)
{
    static const scim_registry *registry;
    static apr_pool_t *pool;

    if (!registry) {
        apr_pool_create(&pool, NULL);
        assert_null(scim_registry_make(&registry, pool));
    }
    return registry;
}

static inline apr_status_t fuzz_free(void *memory)
{
    free(memory);
    return APR_SUCCESS;
}

/* Bytes in memory of their own, so that a sanitizer sees who reads behind them: a
 * NUL is, which is not counted. */
static inline char *fuzz_bytes(const char *data, size_t len, apr_pool_t *pool)
{
    char *copy = malloc(len + 1);

    if (len) {
        memcpy(copy, data, len);
    }
    copy[len] = '\0';
    apr_pool_cleanup_register(pool, copy, fuzz_free, apr_pool_cleanup_null);
    return copy;
}

/* The input as a string: up to its first NUL. */
static inline char *fuzz_text(const char *data, size_t len, apr_pool_t *pool)
{
    return fuzz_bytes(data, len ? strnlen(data, len) : 0, pool);
}

/* Takes the first part off *text, up to a line "%%": NULL where nothing is left. */
static inline char *fuzz_part(char **text, apr_pool_t *pool)
{
    static const char line[] = "\n%%\n";
    char *part = *text, *end = part ? strstr(part, line) : NULL;

    if (end) {
        *end = '\0';
        end += strlen(line);
    }
    *text = end;
    return part ? fuzz_bytes(part, strlen(part), pool) : NULL;
}

/* The type that a first line names, and the profile behind it ("Group rfc"): the
 * line is taken off.  User and interop where it says nothing of the kind. */
static inline const scim_resource_type *fuzz_type(char **text, bool *lenient)
{
    char *end = strchr(*text, '\n');
    bool group = !strncmp(*text, "Group", 5);

    *lenient = true;
    if (end && (group || !strncmp(*text, "User", 4))) {
        *end = '\0';
        *lenient = !strstr(*text, "rfc");
        *text = end + 1;
    }
    return scim_registry_type(fuzz_registry(), group ? "Group" : "User");
}

/* A user's fault is never one of the server, and has words. */
static inline void fuzz_check_error(const scim_error *err)
{
    assert_in_range(err->status, 400, 499);
    assert_true(err->detail && *err->detail && strlen(err->detail) <= 1024);
    assert_null(err->cause);
}

/* Whether there is none. */
static inline bool fuzz_ok(const scim_error *err)
{
    if (err) {
        fuzz_check_error(err);
    }
    return !err;
}

/* JSON that is written is what is read. */
static inline void fuzz_check_json(const json_t *json, apr_pool_t *pool)
{
    apr_size_t len;
    const char *text = scim_json_write(json, &len, pool);
    json_t *back = scim_json_read_own(text, len, pool);

    assert_int_equal(strlen(text), len);
    assert_true(json_equal(back, json));
}

#endif
