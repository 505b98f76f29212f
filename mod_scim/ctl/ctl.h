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
#include "scim/making.h"
#include "scim/resource.h"
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
    CTL_LOAD,    /* as CTL_WRITE; the file that the operand names is opened before */
    CTL_REBUILD, /* as CTL_WRITE; indexes made by other tables of Unicode are no hindrance */
    CTL_CREATE,  /* made where there is none */
    CTL_ITSELF,  /* the command opens it, when it has looked at it */
    CTL_RESTORE, /* likewise; its directory is made where there is none */
    CTL_MOVE,    /* the command opens both stores that its words name, as their owner */
    CTL_EXAMINE  /* the command does all of that, when it has looked around */
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
    CTL_TRIAL,
    CTL_TYPE,
    CTL_CSV,
    CTL_MAP,
    CTL_DRY_RUN,
    CTL_UPDATE,
    CTL_KEEP_IDS,
    CTL_ERRORS,
    CTL_URL,
    CTL_NO_TOKEN,
    CTL_FILTER,
    CTL_COUNT,
    CTL_RESOURCE,
    CTL_OPTIONS
} ctl_option;

typedef struct ctl ctl;

typedef struct ctl_command {
    const char *name;
    const char *sub; /* NULL: name is the whole command */
    ctl_need needs;
    apr_uint64_t options; /* bits of ctl_option, beside those of every command */
    const char *operands; /* the synopsis behind the name */
    int operands_count;   /* how many words must follow the name: 0 to 2; -1: one may */
    const char *summary;
    const char *text;
    const char *example; /* what follows "scimctl", a line or several */
    ctl_exit (*run)(ctl *c);
} ctl_command;

typedef struct ctl_option_def {
    const char *name;
    int letter; /* 0: none */
    const char *value;
    bool is_name; /* the value follows the rule of tenants' names */
    const char *text;
} ctl_option_def;

#define CTL_BIT(option) (APR_UINT64_C(1) << (option))
#define CTL_OF_EVERY_COMMAND                                                               \
    (CTL_BIT(CTL_STORE) | CTL_BIT(CTL_AUDIT_LOG) | CTL_BIT(CTL_JSON) | CTL_BIT(CTL_HELP) | \
     CTL_BIT(CTL_VERSION))

/* One invocation. */
struct ctl {
    apr_pool_t *pool;
    const ctl_command *command;
    const char *url;
    bool json;
    const char *options[CTL_OPTIONS]; /* NULL: not given; "" for one without a value */
    apr_array_header_t *maps;         /* of const char *: each --map */
    const char *operand;              /* the last word, NULL where there is none */
    const char *const *operands;      /* all of them */
    int input;                       /* CTL_RESTORE, CTL_LOAD: what the operand names, open */
    int errors;                      /* CTL_LOAD: that of --errors, else stderr */
    scim_store *store;               /* NULL where the command needs none */
    bool made;                       /* CTL_CREATE: the store was not there before */
    struct ctl_audit_log *audit_log; /* NULL: nobody asked for one */
};

/* main.c */

extern const ctl_command ctl_commands[];
extern const int ctl_commands_count;
extern const ctl_option_def ctl_options[CTL_OPTIONS];

/* Opens the store of a url with scimctl's own schemas, in c->store; it complains,
 * and returns the exit code, where it cannot. */
ctl_exit ctl_open_store(ctl *c, const char *url, const scim_store_options *how);

/* The url that a word names, which may be a path: absolute; in pool. */
const char *ctl_store_url(const char *word, apr_pool_t *pool);

/* help.c */

/* "tenant create"; and "scimctl tenant create NAME"; in pool. */
const char *ctl_full_name(const ctl_command *command, apr_pool_t *pool);
const char *ctl_synopsis(const ctl_command *command, apr_pool_t *pool);

void ctl_print_help(const ctl_command *command, apr_pool_t *pool);
/* All commands, or those of a noun. */
void ctl_print_overview(const char *noun, apr_pool_t *pool);
/* For shells that complete: a line for each command, its name, its options and its synopsis
 * between tabs.  That of no name is of every command; "=" stands behind the options that
 * take a value. */
void ctl_print_completions(apr_pool_t *pool);

/* The option that the first one there is not may have been meant for; or NULL. */
const char *ctl_nearest_option(const char *const *argv, int argc, apr_pool_t *pool);
/* Whether it is the first word of commands of two. */
bool ctl_is_noun(const char *word);
/* Complains, and says what may have been meant. */
ctl_exit ctl_no_command(const char *const *words, int count, apr_pool_t *pool);

/* cmd_store.c */
ctl_exit ctl_init(ctl *c);
ctl_exit ctl_stat(ctl *c);
ctl_exit ctl_sweep(ctl *c);

/* What was done to users whose groups are deleted. */
typedef struct ctl_swept {
    apr_int64_t deleted;
    apr_int64_t deactivated;
} ctl_swept;

void ctl_count_swept(ctl_swept *total, const apr_array_header_t *consequences);
/* To the end of what is pending; what is added meanwhile, too. */
const scim_error *ctl_sweep_all(ctl_swept *total, ctl *c);
/* Says no, where scimctl does not know all that is in the store: what is deleted by one who
 * does not know all its rows leaves some. */
ctl_exit ctl_check_complete(ctl *c);

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

/* cmd_migrate.c */
ctl_exit ctl_migrate(ctl *c);

/* target.c */

/* A store in the making: beside the claimed one, or in an empty engine that nobody can
 * claim. */
typedef struct ctl_target {
    const char *url;
    scim_kv_claim *claim; /* NULL: it cannot be claimed */
    const char *place;    /* the url of where it is made */
    scim_kv *kv;          /* open there, to be filled; NULL when it is open as a store */
    scim_making *making;  /* NULL: claimed */
} ctl_target;

/* Begins one, in pool.  It complains, and returns the exit code, where others have the store
 * open, or what cannot be claimed is not empty. */
ctl_exit ctl_target_begin(ctl_target *m, const char *url, apr_pool_t *pool);
/* When it is filled: opens it as c->store, which is to be closed before the end. */
ctl_exit ctl_target_open(ctl *c, ctl_target *m, bool read_only);
/* Makes it the store of the url.  kept as in scim_kv_claim_replace. */
ctl_exit ctl_target_end(ctl_target *m, const char **kept, apr_pool_t *pool);

/* file.c */

/* A file in the making, which appears under its name when it is whole. */
typedef struct ctl_file {
    int fd;
    const char *path; /* NULL: stdout */
    char *temporary;
} ctl_file;

/* Begins one, or with "-" stdout, whose mode is 0600; one at a time.  A signal that
 * ends scimctl takes it away. */
ctl_exit ctl_file_make(ctl_file *out, const char *path, const ctl *c);
/* Returns an errno; as scim_backup_sink has it. */
int ctl_file_write(const void *data, apr_size_t len, void *file);
/* Complains of what ctl_file_write returned. */
ctl_exit ctl_file_failed(const ctl_file *file, const ctl *c, int err);
/* Puts it, when it is on the disk, under its name. */
ctl_exit ctl_file_finish(const ctl_file *file, const ctl *c);
void ctl_file_drop(const ctl_file *file);

/* cmd_export.c */
ctl_exit ctl_export(ctl *c);

/* cmd_import.c */

/* Before scimctl drops its privileges: opens what is to be read, and --errors. */
ctl_exit ctl_open_import(ctl *c);
ctl_exit ctl_import(ctl *c);

/* cmd_doctor.c */
ctl_exit ctl_doctor(ctl *c);

/* cmd_tenant.c */
ctl_exit ctl_tenant_create(ctl *c);
ctl_exit ctl_tenant_list(ctl *c);
ctl_exit ctl_tenant_suspend(ctl *c);
ctl_exit ctl_tenant_resume(ctl *c);
ctl_exit ctl_tenant_release(ctl *c);
ctl_exit ctl_tenant_delete(ctl *c);

/* cmd_policy.c */
ctl_exit ctl_policy(ctl *c);

/* named.c: users and groups as they are named on the command line */

/* One that a word names: its userName or displayName without case, or "id:" and its id. */
typedef struct ctl_named {
    const char *tenant_name; /* this and the next: what is asked for */
    const char *word;
    const scim_resource_type *type;
    scim_tenant tenant;
    scim_id id;
    const char *name; /* userName, or displayName */
} ctl_named;

/* Finds the one that --tenant and the operand name.  It complains, and returns the exit
 * code, where there is none, or several: names of groups need not be unique. */
ctl_exit ctl_find_named(ctl_named *out, ctl *c, const char *type);

/* Complains where there is no --tenant. */
ctl_exit ctl_need_tenant(const ctl *c);

/* The tenant anew, in another view: its policy may be another by now.  404 where it is
 * gone, though another one may have its name. */
const scim_error *ctl_find_again(scim_tenant *tenant, scim_view *view, const char *name);

/* What --count says; otherwise where it is not given. */
ctl_exit ctl_read_count(apr_uint64_t *out, const ctl *c, apr_uint64_t otherwise);

/* The userName of a record, or its displayName, where it has one; in pool. */
const char *ctl_name_of(const scim_record *record, apr_pool_t *pool);

/* Deletes it as DELETE does, to the end of what follows, and tells of it. */
ctl_exit ctl_delete_named(ctl *c, const ctl_named *which);

/* Prints it as GET shows it. */
ctl_exit ctl_print_resource(ctl *c, const ctl_named *which);

/* cmd_group.c */
ctl_exit ctl_group_list(ctl *c);
ctl_exit ctl_group_show(ctl *c);
ctl_exit ctl_group_delete(ctl *c);

/* cmd_user.c */
ctl_exit ctl_user_list(ctl *c);
ctl_exit ctl_user_show(ctl *c);
ctl_exit ctl_user_delete(ctl *c);

/* cmd_reindex.c */
ctl_exit ctl_reindex(ctl *c);

/* cmd_token.c */
ctl_exit ctl_token_create(ctl *c);
ctl_exit ctl_token_rotate(ctl *c);
ctl_exit ctl_token_list(ctl *c);
ctl_exit ctl_token_revoke(ctl *c);
ctl_exit ctl_token_check(ctl *c);

/* Reads a token from stdin into out (room bytes), which the caller wipes; false, with
 * errno, where that fails. */
bool ctl_read_token(char *out, size_t room);

/* tenant_url.c */

/* The URLs of a tenant's endpoints, as httpd wrote them down at its last start:
 * an array of const char *. */
apr_array_header_t *ctl_tenant_urls(ctl *c, const char *tenant);

/* Whether ctl_tell_steps has words for a provider. */
bool ctl_knows_provider(const char *provider);

/* Says on stderr what to do with the URLs and a token; provider may be NULL. */
void ctl_tell_steps(const char *provider, const apr_array_header_t *urls);

/* owner.c */

/* Before the store of c->url is opened: makes its directory where the command makes
 * a store there, and, for root, becomes the directory's owner for good. */
ctl_exit ctl_become_owner(ctl *c, bool makes);

/* The name of the user whose the directory of a store is, in pool; NULL where it has none, or
 * there is no directory. */
const char *ctl_owner_of(const char *url, apr_pool_t *pool);

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

/* Likewise of a resource that was created or changed by "create", "replace" or
 * "patch". */
void ctl_audit_change(ctl *c, const char *verb, const char *tenant, const scim_change *change);

/* Likewise of a resource that was deleted. */
void ctl_audit_deletion(ctl *c, const char *tenant, const scim_resource_type *type,
                        const scim_id *id);

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
/* How many rows there are, or about so many; 0 where that cannot be told. */
apr_uint64_t ctl_entries_of(scim_kv *kv);

/* What is wrong at one place of the store, as JSON and on stdout. */
json_t *ctl_json_finding(const scim_finding *finding);
void ctl_print_finding(const scim_finding *finding);
/* One that was found on the way: into findings, or, where that is NULL, printed in place of
 * the progress. */
void ctl_tell_finding(json_t *findings, ctl_progress *progress, const scim_finding *finding);

/* Prints rows of aligned columns, at most 16; cells has columns strings for each
 * row, the headings first. */
void ctl_print_table(const apr_array_header_t *cells, int columns);
void ctl_add_row(apr_array_header_t *cells, int columns, ...);

#endif
