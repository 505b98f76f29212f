/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of an organisation's connections: what its handler (connections.c)
 * and what it looks like (connections_page.c) share.
 */
#ifndef MOD_SCIM_CONNECTIONS_H
#define MOD_SCIM_CONNECTIONS_H

#include "form.h"
#include "scim/token.h"

/* What a request to the page finds; all of it in r->pool, and of one state of the store. */
typedef struct scim_connections {
    request_rec *r;
    scim_store *store;
    scim_tenant tenant;
    apr_array_header_t *tokens; /* of scim_identity: by connection, the oldest first */
    apr_array_header_t *urls;   /* of const char *: Tenant URLs */
    apr_time_t now;
    bool read_only;
} scim_connections;

/* One of those that a field of a form offers. */
typedef struct scim_choice {
    const char *value;
    const char *label;
    apr_interval_time_t time; /* of lives and graces; 0: without an end */
} scim_choice;

/* Each ended by one without a value. */
extern const scim_choice mod_scim_scopes[];
extern const scim_choice mod_scim_lives[];
extern const scim_choice mod_scim_graces[];

/* What somebody typed in, or is offered at first: plain text, not NULL. */
typedef struct scim_wish {
    const char *connection;
    const char *provider;
    const char *scope;
    const char *expires;
    const char *grace;
} scim_wish;

/* A token that was made.  It is shown, and goes with the page. */
typedef struct scim_made {
    const char *token; /* in memory that is wiped */
    apr_time_t expires;
    const apr_array_header_t *older; /* of scim_older_token; NULL: it is the first */
} scim_made;

/* Pages; each is sent, and returns OK.  wrong: why what was wished was not done, or NULL. */
int mod_scim_show_connections(const scim_connections *c, const scim_wish *wish,
                              const scim_error *wrong);
int mod_scim_show_rotation(const scim_connections *c, const scim_wish *wish,
                           const scim_error *wrong);
/* hint NULL: of all tokens of a connection. */
int mod_scim_show_revocation(const scim_connections *c, const char *connection,
                             const char *hint);
/* Sends whoever sent the form back to the list. */
int mod_scim_show_revoked(const scim_connections *c, const char *connection, const char *hint);
/* The list, and that a token is not there, where it is not. */
int mod_scim_show_gone(const scim_connections *c, const char *connection, const char *hint);
int mod_scim_show_made(const scim_connections *c, const scim_wish *wish, const scim_made *made);
/* back: whether there is a page to go back to. */
int mod_scim_show_problem(request_rec *r, const scim_error *err, bool back);

#endif
