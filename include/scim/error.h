/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error of every layer: what happened in SCIM's words, decided by the
 * layer that knows, turned into a body by one function at the edge.
 *
 * Functions return "const scim_error *", NULL being success.  An error lives
 * in the result pool of the call that made it.  A layer that meets an error
 * hands it up unchanged; it never logs.  Source: RFC 7644 section 3.12,
 * RFC 9865 section 2.1.
 */
#ifndef SCIM_ERROR_H
#define SCIM_ERROR_H

#include <apr_errno.h>
#include <apr_pools.h>

/* name, HTTP status, scimType (NULL: the status has none) */
#define SCIM_ERROR_TABLE(X)                 \
    X(INVALID_FILTER, 400, "invalidFilter") \
    X(TOO_MANY, 400, "tooMany")             \
    X(UNIQUENESS, 409, "uniqueness")        \
    X(MUTABILITY, 400, "mutability")        \
    X(INVALID_SYNTAX, 400, "invalidSyntax") \
    X(INVALID_PATH, 400, "invalidPath")     \
    X(NO_TARGET, 400, "noTarget")           \
    X(INVALID_VALUE, 400, "invalidValue")   \
    X(INVALID_CURSOR, 400, "invalidCursor") \
    X(EXPIRED_CURSOR, 400, "expiredCursor") \
    X(INVALID_COUNT, 400, "invalidCount")   \
    X(SENSITIVE, 403, "sensitive")          \
    X(BAD_REQUEST, 400, NULL)               \
    X(UNAUTHORIZED, 401, NULL)              \
    X(FORBIDDEN, 403, NULL)                 \
    X(NOT_FOUND, 404, NULL)                 \
    X(METHOD_NOT_ALLOWED, 405, NULL)        \
    X(REQUEST_TIMEOUT, 408, NULL)           \
    X(PRECONDITION_FAILED, 412, NULL)       \
    X(TOO_LARGE, 413, NULL)                 \
    X(URI_TOO_LONG, 414, NULL)              \
    X(MEDIA_TYPE, 415, NULL)                \
    X(PRECONDITION_REQUIRED, 428, NULL)     \
    X(TOO_MANY_REQUESTS, 429, NULL)         \
    X(INTERNAL, 500, NULL)                  \
    X(NOT_IMPLEMENTED, 501, NULL)           \
    X(UNAVAILABLE, 503, NULL)               \
    X(STORAGE_FULL, 507, NULL)

typedef enum scim_error_code {
#define SCIM_ERROR_ENUM(name, status, type) SCIM_E_##name,
    SCIM_ERROR_TABLE(SCIM_ERROR_ENUM)
#undef SCIM_ERROR_ENUM
        SCIM_E_COUNT
} scim_error_code;

typedef struct scim_error {
    scim_error_code code;
    int status;            /* HTTP */
    const char *scim_type; /* or NULL */
    const char *detail;    /* for the client: what is wrong and where; UTF-8, at most 1 KiB */
    const char *cause;     /* for the error log only, or NULL: paths, system texts */
    apr_status_t rv;       /* goes with cause; APR_SUCCESS where there is none */
    int retry_after;       /* seconds after which to ask again; 0: nothing is known of that */
} scim_error;

/* Makes an error whose detail is the formatted text (printf as in
 * apr_psprintf), cut at 1 KiB on a character boundary. */
const scim_error *scim_error_make(apr_pool_t *result_pool, scim_error_code code,
                                  const char *fmt, ...)
    __attribute__((format(printf, 3, 4), returns_nonnull));

/* Makes an error that the administrator must see: detail is what the client
 * reads, the formatted text (cause) what the error log does. */
const scim_error *scim_error_system(apr_pool_t *result_pool, scim_error_code code,
                                    apr_status_t rv, const char *detail, const char *fmt, ...)
    __attribute__((format(printf, 5, 6), returns_nonnull));

/* The same error with its detail put behind "prefix" ("Operations[2]: "). */
const scim_error *scim_error_at(apr_pool_t *result_pool, const scim_error *err,
                                const char *prefix) __attribute__((returns_nonnull));

/* The same error with the seconds after which to ask again. */
const scim_error *scim_error_retry(apr_pool_t *result_pool, const scim_error *err, int seconds)
    __attribute__((returns_nonnull));

/* The bytes of the Error message (RFC 7644 section 3.12), NUL-terminated in
 * result_pool; *len, where not NULL, is their number.  The one place where an
 * error becomes JSON. */
const char *scim_error_body(const scim_error *err, apr_size_t *len, apr_pool_t *result_pool);

/* The code that stands for an HTTP status which httpd itself raised; statuses
 * that the table does not know give BAD_REQUEST (4xx) or INTERNAL (5xx). */
scim_error_code scim_error_of_status(int status);

/* Returns from the calling function when expr is an error. */
#define SCIM_ERR(expr)                         \
    do {                                       \
        const scim_error *scim_err__ = (expr); \
        if (scim_err__) {                      \
            return scim_err__;                 \
        }                                      \
    } while (0)

#endif
