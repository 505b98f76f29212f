/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forms of pages for people.
 */
#ifndef MOD_SCIM_FORM_H
#define MOD_SCIM_FORM_H

#include "mod_scim.h"

/* In post_config: what forms are sealed with. */
int mod_scim_make_form_key(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                           server_rec *s);

/* Begins a form that is sent to the page that it is on, by POST; what says what it is
 * about, without a line end in it: only for that, and for r->user, it will be taken. */
void mod_scim_form_begin(mod_scim_page *page, request_rec *r, const char *what);

/* The fields of a form that was sent, decoded, each there at most once; names are those
 * that there may be, up to NULL.  An error, 4xx, where it is anything else than such a form
 * of ours for r->user, or was taken already: then nothing is to be done. */
const scim_error *mod_scim_form_read(apr_table_t **out, request_rec *r, const char *what,
                                     const char *const *names);

/* The fields of the URL's query, likewise. */
const scim_error *mod_scim_form_query(apr_table_t **out, request_rec *r,
                                      const char *const *names);

#endif
