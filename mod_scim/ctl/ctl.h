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

#include "scim/json.h"
#include "scim/store.h"
#include "scim/verify.h"

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
    CTL_CREATE, /* made where there is none */
    CTL_ITSELF, /* the command opens it, when it has looked at it */
    CTL_RESTORE /* likewise; its directory is made where there is none */
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
    CTL_FORCE,
    CTL_SALVAGE,
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
    int input;                       /* CTL_RESTORE: what the operand names, open for reading */
    scim_store *store;               /* NULL where the command needs none */
    bool made;                       /* CTL_CREATE: the store was not there before */
    struct ctl_audit_log *audit_log; /* NULL: nobody asked for one */
};

/* main.c */

/* Opens the store of a url with scimctl's own schemas, in c->store; it complains,
 * and returns the exit code, where it cannot.  claim may be NULL. */
ctl_exit ctl_open_store(ctl *c, const char *url, const scim_kv_claim *claim, bool read_only);

/* cmd_store.c */
ctl_exit ctl_init(ctl *c);
ctl_exit ctl_stat(ctl *c);
ctl_exit ctl_sweep(ctl *c);

/* cmd_verify.c */
ctl_exit ctl_verify(ctl *c);

/* Verifies c->store, prints what is found and, where telling is true, what it
 * comes to; *findings is their number. */
ctl_exit ctl_verify_store(ctl *c, bool telling, apr_uint64_t *findings);

/* cmd_backup.c */

/* Before scimctl drops its privileges: opens the backup that is to be restored. */
ctl_exit ctl_open_input(ctl *c);
ctl_exit ctl_backup(ctl *c);
ctl_exit ctl_restore(ctl *c);
ctl_exit ctl_compact(ctl *c);

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

/* "3.2 GiB" */
const char *ctl_show_size(apr_uint64_t size, apr_pool_t *pool);

/* One line on stderr that shows how far long work is, where somebody looks; it
 * begins with {.percent = -1}. */
typedef struct ctl_progress {
    int percent; /* that is shown; -1: none */
} ctl_progress;
/* total 0: it is not known, and nothing is shown. */
void ctl_show_progress(ctl_progress *p, apr_uint64_t done, apr_uint64_t total);
/* Takes the line away; before anything else is printed. */
void ctl_wipe_progress(ctl_progress *p);

/* What is wrong at one place of the store, as JSON and on stdout. */
json_t *ctl_json_finding(const scim_finding *finding);
void ctl_print_finding(const scim_finding *finding);

/* Prints rows of aligned columns, at most 16; cells has columns strings for each
 * row, the headings first. */
void ctl_print_table(const apr_array_header_t *cells, int columns);
void ctl_add_row(apr_array_header_t *cells, int columns, ...);

#endif
