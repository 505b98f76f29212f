/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subjects: who a user of the directory is to the sites that httpd protects.
 * What is found here was all read in one view, without parsing any JSON: a
 * decision made of it belongs to one state of the store.
 */
#ifndef SCIM_SUBJECT_H
#define SCIM_SUBJECT_H

#include <stdbool.h>

#include <apr_tables.h>

#include "scim/id.h"
#include "scim/store.h"
#include "scim/tenant.h"

/* What of a user the text is by which it is looked up. */
typedef enum scim_subject_by {
    SCIM_BY_USER_NAME = 0,
    SCIM_BY_EXTERNAL_ID = 1,
    SCIM_BY_EMAIL = 2, /* any of emails.value */
    SCIM_BY_ID = 3
} scim_subject_by;

typedef enum scim_subject_state {
    SCIM_SUBJECT_ACTIVE,
    SCIM_SUBJECT_INACTIVE, /* "active" is false, or will be: a member of a deleted group
                              whose other members the sweep has not come to yet */
    SCIM_SUBJECT_UNKNOWN,
    SCIM_SUBJECT_AMBIGUOUS /* more than one user has that externalId or address */
} scim_subject_state;

/* A group around a subject. Groups without effect (SCIMCustomGroups ignore) are
 * not among them, nor what is around those only. */
typedef struct scim_subject_group {
    scim_id id;
    const char *name; /* displayName; NUL-terminated */
    const char *prepared;
    apr_size_t prepared_len;
    int role; /* index into the policy's roles, or -1 */
    bool direct;
} scim_subject_group;

typedef struct scim_subject {
    scim_subject_state state;
    scim_id id;                 /* of ACTIVE and INACTIVE */
    apr_array_header_t *groups; /* of scim_subject_group, direct ones first; of ACTIVE */
    apr_array_header_t *roles;  /* of const char *: each once, in the order of the policy's
                                   patterns; of ACTIVE */
} scim_subject;

/* Who that is in a tenant.  All of *out is in view->pool and outlives the view.
 * An error only where the store cannot be read. */
const scim_error *scim_subject_find(scim_subject *out, scim_view *view,
                                    const scim_tenant *tenant, scim_subject_by by,
                                    const char *text);

/* Whether the subject is in a group of that name, prepared by scim_text_prepare
 * without case; or of that id. */
bool scim_subject_in_group(const scim_subject *subject, const char *prepared, apr_size_t len);
bool scim_subject_in_group_id(const scim_subject *subject, const scim_id *id);

/* Role names are compared without case. */
bool scim_subject_has_role(const scim_subject *subject, const char *role);

/* The subject as bytes without pointers, for those who keep it: how many they are.
 * Nothing is written where they are more than size. */
apr_size_t scim_subject_pack(const scim_subject *subject, void *to, apr_size_t size);
/* What pack made of one; it and all it points to is in pool. */
void scim_subject_unpack(scim_subject *out, const void *bytes, apr_pool_t *pool);

/* What applications are told of a user: this is read from the resource itself,
 * parsed. Strings in view->pool, NULL where there is none. */
typedef struct scim_subject_details {
    const char *user_name;
    const char *display_name;
    const char *email; /* the primary one, else the first */
    const char *external_id;
} scim_subject_details;

const scim_error *scim_subject_read(scim_subject_details *out, scim_view *view,
                                    const scim_tenant *tenant, const scim_id *user);

#endif
