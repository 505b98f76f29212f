/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_scim for other modules: who a user is, and what changed.
 *
 * Everything is optional: a module that uses this runs without mod_scim, too.
 * Get the functions in a post_config hook, or later, with
 *
 *     APR_OPTIONAL_FN_TYPE(scim_lookup) *lookup = APR_RETRIEVE_OPTIONAL_FN(scim_lookup);
 *
 * and hook changes while registering hooks, with
 *
 *     APR_OPTIONAL_HOOK(scim, scim_committed, on_committed, NULL, NULL, APR_HOOK_MIDDLE);
 */
#ifndef MOD_SCIM_PUBLIC_H
#define MOD_SCIM_PUBLIC_H

#include <httpd.h>
#include <apr_hooks.h>
#include <apr_optional.h>
#include <apr_optional_hooks.h>

#define SCIM_API_VERSION 1

/* None of it is a symbol that anybody links with. */
#define SCIM_DECLARE(type) type

/* A user as the directory has it at the moment of asking. */
typedef struct scim_user {
    const char *id;
    const char *user_name;
    const char *display_name; /* or NULL */
    const char *email;        /* the primary one, else the first; or NULL */
    const char *external_id;  /* or NULL */
    int active;
} scim_user;

/* Finds the user whose SCIMUserAttribute (userName, if not configured) is the
 * text, in the tenant that SCIMTenant names where the request is.  OK;
 * DECLINED: there is none, or more than one; HTTP_SERVICE_UNAVAILABLE: the
 * store cannot be read.  *out and its strings are in r->pool. */
APR_DECLARE_OPTIONAL_FN(int, scim_lookup, (request_rec * r, const char *text, scim_user *out));

/* Whether that user is active and in the group of that displayName (without
 * case; "id:" before an id), directly or through another group.  1, 0, or -1
 * where the store cannot be read. */
APR_DECLARE_OPTIONAL_FN(int, scim_is_member,
                        (request_rec * r, const char *text, const char *group));

/* The roles of that user by SCIMRole: an array of const char *, in r->pool,
 * empty for one that is unknown or not active; NULL where the store cannot be
 * read. */
APR_DECLARE_OPTIONAL_FN(apr_array_header_t *, scim_roles, (request_rec * r, const char *text));

/* A change that is durable.  It and its strings last as long as the call. */
typedef struct scim_committed {
    const char *tenant;
    const char *connection;    /* NULL: what was left of a deletion in another tenant */
    const char *operation;     /* "users.create", "groups.patch", "users.delete" */
    const char *resource_type; /* "User" */
    const char *id;
    apr_uint64_t version;            /* 0 of a deletion */
    const apr_array_header_t *names; /* of const char *: the attributes that changed; or NULL */
    const char *cause; /* id of the group whose deletion this follows from; or NULL */
} scim_committed;

/* Run for each change of a request, after its commit and before its answer is
 * sent, in the thread of the request.  Return OK: anything but OK and DECLINED
 * keeps the modules behind from being told.  The change stays whatever is
 * returned. */
APR_DECLARE_EXTERNAL_HOOK(scim, SCIM, int, scim_committed,
                          (request_rec * r, const scim_committed *change))

#endif
