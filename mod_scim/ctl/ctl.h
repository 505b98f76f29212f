/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of scimctl share.
 *
 * main.c reads the command line, finds the command in its table, becomes the
 * owner of the store (owner.c), opens it as far as the command needs it, and
 * runs the command.  The commands stand by noun in cmd_*.c; output.c prints.
 *
 * Secrets come by stdin and go by stdout, never as an argument, which every
 * process of the machine can read.
 */
#ifndef SCIM_CTL_H
#define SCIM_CTL_H

#include <stdbool.h>

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>

#include "scim/store.h"

#define CTL_DEFAULT_STORE "lmdb:/var/lib/apache2/scim"

/* Documented in README and --help: scripts rely on them. */
typedef enum ctl_exit {
    CTL_OK = 0,
    CTL_USAGE = 1,     /* the command line is wrong */
    CTL_NO_STORE = 2,  /* the store cannot be opened */
    CTL_NOT_FOUND = 3, /* what was named is not there */
    CTL_REFUSED = 4,   /* it exists already, or is not acceptable */
    CTL_FAILED = 5     /* busy, full, damaged, or another error of the store or the system */
} ctl_exit;

typedef enum ctl_need {
    CTL_NOTHING, /* no store */
    CTL_READ,
    CTL_WRITE,
    CTL_CREATE /* made where there is none */
} ctl_need;

/* An option means the same wherever it is taken. */
typedef enum ctl_option {
    CTL_STORE, /* this and the next four: of every command */
    CTL_AUDIT_LOG,
    CTL_JSON,
    CTL_HELP,
    CTL_VERSION,
    CTL_OWNER,
    CTL_TENANT,
    CTL_CONNECTION,
    CTL_SCOPE,
    CTL_EXPIRES,
    CTL_GRACE,
    CTL_FOR,
    CTL_HINT,
    CTL_STDIN,
    CTL_FORM,
    CTL_OPTIONS
} ctl_option;

typedef struct ctl ctl;

typedef struct ctl_command {
    const char *name;
    const char *sub; /* NULL: name is the whole command */
    ctl_need needs;
    unsigned int options; /* bits of ctl_option, beside those of every command */
    const char *operands; /* the synopsis behind the name */
    int operands_count;   /* how many words must follow the name: 0 or 1 */
    const char *summary;
    const char *text;
    ctl_exit (*run)(ctl *c);
} ctl_command;

/* One invocation. */
struct ctl {
    apr_pool_t *pool;
    const ctl_command *command;
    const char *url;
    bool json;
    const char *options[CTL_OPTIONS]; /* NULL: not given; "" for one without a value */
    const char *operand;
    scim_store *store;               /* NULL where the command needs none */
    bool made;                       /* CTL_CREATE: the store was not there before */
    struct ctl_audit_log *audit_log; /* NULL: nobody asked for one */
};

/* cmd_store.c */
ctl_exit ctl_init(ctl *c);
ctl_exit ctl_stat(ctl *c);
ctl_exit ctl_sweep(ctl *c);

/* cmd_verify.c */
ctl_exit ctl_verify(ctl *c);

/* cmd_tenant.c */
ctl_exit ctl_tenant_create(ctl *c);
ctl_exit ctl_tenant_list(ctl *c);
ctl_exit ctl_tenant_suspend(ctl *c);
ctl_exit ctl_tenant_resume(ctl *c);
ctl_exit ctl_tenant_release(ctl *c);

/* cmd_policy.c */
ctl_exit ctl_policy(ctl *c);

/* cmd_directory.c */
ctl_exit ctl_group_list(ctl *c);
ctl_exit ctl_user_show(ctl *c);

/* cmd_token.c */
ctl_exit ctl_token_create(ctl *c);
ctl_exit ctl_token_rotate(ctl *c);
ctl_exit ctl_token_list(ctl *c);
ctl_exit ctl_token_revoke(ctl *c);
ctl_exit ctl_token_check(ctl *c);

/* tenant_url.c */

/* The URLs of a tenant's endpoints, as httpd wrote them down at its last start:
 * an array of const char *. */
apr_array_header_t *ctl_tenant_urls(ctl *c, const char *tenant);

/* Whether ctl_tell_steps has words for a provider. */
bool ctl_knows_provider(const char *provider);

/* Says on stderr what to do with the URLs and a token; provider may be NULL. */
void ctl_tell_steps(const char *provider, const apr_array_header_t *urls);

/* owner.c */

/* Before the store is opened: makes its directory where the command makes
 * stores, and, for root, becomes the directory's owner for good. */
ctl_exit ctl_become_owner(ctl *c);

/* audit.c */

/* Before scimctl drops its privileges: opens the audit log, where there is to
 * be one and the command can change anything.  It complains, and the command is
 * not run, where that cannot be opened. */
ctl_exit ctl_audit_open(ctl *c);

/* Tells the audit log of an act that is done: op is "token.create", tenant,
 * connection and hint (the last four characters of a token) may be NULL. To be
 * called once for each thing that changed; it cannot fail, only complain. */
void ctl_audit(ctl *c, const char *op, const char *tenant, const char *connection,
               const char *hint);

/* Likewise of what a sweep did to the members of deleted groups: an array of
 * scim_consequence. */
void ctl_audit_consequences(ctl *c, const apr_array_header_t *consequences);

/* output.c */

/* "scimctl: ..." on stderr. */
void ctl_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Complains of an error of the store and returns its exit code. */
ctl_exit ctl_failed(const scim_error *err);

/* Prints json, whose reference it takes over. */
void ctl_print_json(json_t *json);

/* A dateTime as JSON; null for 0. */
json_t *ctl_json_time(apr_time_t when);

/* A dateTime to the second for people; "never" for 0. */
const char *ctl_show_time(apr_time_t when, apr_pool_t *pool);

/* Prints text without what would steer a terminal. */
void ctl_print_text(const char *text);

/* Prints rows of aligned columns, at most 16; cells has columns strings for each
 * row, the headings first. */
void ctl_print_table(const apr_array_header_t *cells, int columns);
void ctl_add_row(apr_array_header_t *cells, int columns, ...);

#endif
