/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SCIM service: a plain request in, a plain response out (RFC 7644
 * section 3).  It never sees httpd; it reads the body it is given and returns
 * the bytes to send.
 */
#ifndef SCIM_SERVICE_H
#define SCIM_SERVICE_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "scim/buffer.h"
#include "scim/error.h"
#include "scim/id.h"
#include "scim/schema.h"
#include "scim/store.h"
#include "scim/subject.h"
#include "scim/token.h"

#define SCIM_MEDIA_TYPE "application/scim+json"

typedef enum scim_method {
    SCIM_GET = 1, /* HEAD too */
    SCIM_POST = 2,
    SCIM_PUT = 4,
    SCIM_PATCH = 8,
    SCIM_DELETE = 16,
    SCIM_OPTIONS = 32,
    SCIM_OTHER = 64
} scim_method;

typedef struct scim_call scim_call;
typedef struct scim_reply scim_reply;

typedef const scim_error *(*scim_handler)(scim_reply *reply, const scim_call *call,
                                          apr_pool_t *pool);

/* One row of the route table. */
typedef struct scim_route {
    unsigned int method; /* one scim_method */
    const char *pattern; /* "/{type}/{id}" */
    scim_scope scope;    /* what a token must allow */
    bool anonymous;      /* answered without any identity */
    bool person;         /* answered to a person whom httpd authenticated, too */
    bool offline;        /* answered while the store is down */
    const char *op;      /* "get", "create"; "users." is put before it for a resource type */
    scim_handler handler;
} scim_route;

/* Where a request leads: parsed once, from the path below the base. */
typedef struct scim_target {
    const scim_route *route;        /* NULL: no such path, or not this method */
    const scim_resource_type *type; /* of a resource path */
    const char *id;                 /* resource id, or schema URN, or type name; or NULL */
    const char *op;                 /* "users.create"; "unknown" without a route */
    unsigned int allow;             /* methods of the path, of scim_method; 0: no such path */
} scim_target;

/* What concerns the wire, per endpoint. */
typedef struct scim_wire {
    bool lenient;              /* SCIMProfile interop */
    bool group_representation; /* SCIMGroupPatchReturn representation */
    apr_int64_t default_page;
    apr_int64_t max_page;
    apr_interval_time_t cursor_timeout; /* how long a cursor can be used */
    apr_int64_t bulk_operations;        /* most of one Bulk job; 0: no Bulk */
    apr_int64_t bulk_bytes;             /* of its body */
    bool require_if_match;              /* SCIMRequireIfMatch */
} scim_wire;

struct scim_call {
    scim_target target;
    scim_method method;
    const char *query; /* as received, or NULL */
    const char *content_type;
    const char *accept;
    const char *if_match;
    const char *if_none_match;
    apr_time_t if_unmodified_since; /* 0: not sent */
    apr_time_t if_modified_since;   /* 0: not sent */
    const char *body;               /* NUL-terminated, or NULL */
    apr_size_t body_len;
    const char *base_url;          /* "https://host/scim/v2", without a slash at its end */
    const scim_identity *identity; /* NULL on an anonymous route, or for a person */
    const char *person; /* who logged in to httpd, where that is no connection; or NULL */
    const char *person_tenant; /* the tenant that person belongs to */
    scim_subject_by person_by; /* what of its user the person's name is */
    const scim_wire *wire;
    scim_store *store; /* NULL: the store is down */
    const scim_registry *registry;
    apr_time_t now;
};

/* One committed change, for the audit and for other modules. */
typedef enum scim_event_kind {
    SCIM_EVENT_CREATE,
    SCIM_EVENT_CHANGE,
    SCIM_EVENT_DELETE
} scim_event_kind;

typedef struct scim_event {
    scim_event_kind kind;
    const char *op; /* "users.create"; what a deletion of a group did: "users.delete" */
    const scim_resource_type *type;
    scim_id id;
    apr_uint64_t version;            /* 0 of a deletion */
    const apr_array_header_t *names; /* of const char *: changed attributes; or NULL */
    const scim_id *cause;            /* the group whose deletion this follows from; or NULL */
    const char *tenant; /* whose directory; NULL: the call's. What is left of a deletion is
                           done by whoever writes next. */
} scim_event;

/* The rest of a body that is made while it is sent. */
typedef struct scim_stream scim_stream;
struct scim_stream {
    /* Adds the next piece, some 64 KiB, to out; *end says that it is the last.
     * After an error the body cannot be ended: what was sent is no JSON. */
    const scim_error *(*next)(scim_stream *stream, scim_buffer *out, bool *end,
                              apr_pool_t *scratch_pool);
};

struct scim_reply {
    int status;
    const char *content_type; /* NULL: no body */
    const char *body;
    apr_size_t body_len;
    scim_stream *stream;  /* what comes behind body, or NULL; not after the call is gone */
    const char *location; /* header, or NULL */
    const char *content_location;
    const char *etag;
    const char *allow; /* "GET, POST" */
    int retry_after;   /* seconds; 0: no header */
    /* for the audit notes */
    const char *id;             /* of the resource, where one is known */
    const char *changes;        /* names of changed attributes, comma-separated, or NULL */
    apr_int64_t count;          /* resources in the answer, operations of a job, or users that a
                                   deleted group took along; -1: none of these */
    const scim_error *error;    /* that the body tells, or NULL */
    apr_array_header_t *events; /* of scim_event: what this call committed; NULL: nothing */
    const char *subject; /* of a creation: what its resource was called, to tell when it is
                            tried again; or NULL */
    const char *warning; /* for the error log: what failed behind a change that is done */
    bool unfinished;     /* there is more to do that nobody has to wait for: see
                            scim_service_go_on */
};

/* The route of a path below the base ("" or "/Users/2819c223-..."), decoded,
 * without query. */
scim_target scim_route_find(unsigned int method, const char *path,
                            const scim_registry *registry, apr_pool_t *result_pool);

/* The names of methods for an Allow header; HEAD goes with GET, OPTIONS is
 * always there. */
const char *scim_route_allow(unsigned int methods, apr_pool_t *result_pool);

/* Answers a call, errors included: never fails.  Judges, in this order: the
 * route (404, 405, OPTIONS), the identity (401), its scope (403), then what
 * the handler does.  All of the reply is in pool. */
void scim_service_answer(scim_reply *reply, const scim_call *call, apr_pool_t *pool);

/* What a reply that is unfinished leaves to do once it is sent: the members of a
 * large group that was deleted.  Takes a step and a pause, some ten milliseconds
 * each; is called until reply->unfinished is false, or scim_service_leave is, which
 * leaves the rest to whoever writes next.  Of the reply, events and warning are
 * those of the step, in pool; count goes on. */
void scim_service_go_on(scim_reply *reply, const scim_call *call, apr_pool_t *pool);
void scim_service_leave(scim_reply *reply, const scim_call *call);

/* The reply that an error is, for httpd's own use too. */
void scim_service_error(scim_reply *reply, const scim_error *error, const char *accept,
                        apr_pool_t *pool);

#endif
