/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of scimctl doctor share.
 *
 *   cmd_doctor.c     the order of things, the store, tenants and tokens
 *   doctor_files.c   the store's directory, before any of it is opened
 *   doctor_httpd.c   httpd's configuration, by its own programs
 *   doctor_http.c    the endpoints, by requests as identity providers send them
 */
#ifndef SCIM_CTL_DOCTOR_H
#define SCIM_CTL_DOCTOR_H

#include "scim/tenant.h"

#include "ctl.h"

typedef enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL } doctor_level;

typedef struct doctor {
    ctl *c;
    json_t *checks;              /* with --json */
    int counts[3];               /* by level */
    const char *httpd_user;      /* as its configuration says; NULL: not known */
    apr_array_header_t *tenants; /* of const char *: those to look at */
    bool open;                   /* the store */
    bool writable;
} doctor;

/* One check: what is looked at ("store", "tokens of acme"), what is found, and what to do
 * (NULL where nothing is). */
void ctl_doctor_say(doctor *d, doctor_level level, const char *what, const char *remedy,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* doctor_files.c: false where nothing is there that could be opened. */
bool ctl_doctor_files(doctor *d);

/* doctor_httpd.c */
void ctl_doctor_httpd(doctor *d);

/* doctor_http.c: an endpoint; token may be NULL.  made: it is of this very store. */
void ctl_doctor_endpoint(doctor *d, const char *url, const char *token, bool made);

#endif
