/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of scimctl import share.
 *
 *   import_json.c, import_csv.c   read a file, one resource at a time
 *   import_load.c                 creates or replaces them, many in one commit
 *   import_links.c                then, by their new ids, members and managers
 *   import_names.c                who was named how, for both
 *   cmd_import.c                  the command, and what it says
 *
 * Nothing of it grows with the file but the names, some 32 bytes for each, and what
 * waits for the second pass, which is kept in two temporary files.
 */
#ifndef SCIM_CTL_IMPORT_H
#define SCIM_CTL_IMPORT_H

#include <stdio.h>

#include <apr_hash.h>

#include "scim/id.h"
#include "scim/resource.h"
#include "scim/tenant.h"

#include "ctl.h"

/* As much of a line, beside members that stand in a group, or of a row is read. */
#define IMPORT_LINE_MAX (2 << 20)
#define IMPORT_MEMBER_MAX (64 << 10)

/* What is read from, a block at a time. */
typedef struct import_input {
    int fd;
    unsigned char *block;
    size_t at, len;    /* in it */
    apr_uint64_t line; /* the number of the line that the next byte is of, from 1 */
    apr_uint64_t done; /* bytes */
    apr_uint64_t size; /* 0: not known */
    int failed;        /* an errno */
} import_input;

/* The next byte; -1 at the end, or where it cannot be read. */
int ctl_import_fill(import_input *in);

static inline int ctl_import_byte(import_input *in)
{
    int c = in->at < in->len ? in->block[in->at++] : ctl_import_fill(in);

    in->done += c >= 0;
    in->line += c == '\n';
    return c;
}

/* One resource of the file. */
typedef struct import_entry {
    apr_uint64_t line;
    json_t *body;            /* as POST would send it; adopted by the pool it was read with */
    bool members;            /* of a group: some stood in it, and wait for the second pass */
    apr_size_t bytes;        /* about what it takes */
    const scim_error *error; /* why it cannot be read; body is NULL then */
} import_entry;

/*
 * Names: ids of the file, userNames, displayNames of groups.
 */
typedef struct import_names import_names;

typedef enum import_kind {
    IMPORT_ID = 'i',   /* as the file has it */
    IMPORT_USER = 'u', /* userName, prepared */
    IMPORT_GROUP = 'g' /* displayName, prepared */
} import_kind;

typedef struct import_name {
    unsigned char key[12]; /* of kind and text; all 0: none */
    apr_uint32_t line;     /* 0: nothing stands for it yet */
    scim_id id;            /* all 0: not there yet */
} import_name;

import_names *ctl_import_names_make(apr_pool_t *pool);

/* What is known of a name.  It is added where it was not there; until the next
 * call. */
import_name *ctl_import_name(import_names *names, import_kind kind, const char *text,
                             apr_size_t len);

/* The resource that a name stands for; false where it stands for none yet. */
bool ctl_import_named(scim_id *out, import_names *names, import_kind kind, const char *text,
                      apr_size_t len);

/*
 * The whole of it.
 */
typedef struct import_sums {
    apr_uint64_t lines; /* that hold something */
    apr_uint64_t users, groups;
    apr_uint64_t created, updated, unchanged, skipped, refused;
    apr_uint64_t links;     /* members and managers that were set */
    apr_uint64_t lost;      /* that could not be */
    apr_uint64_t passwords; /* that are not kept */
} import_sums;

typedef struct import {
    ctl *c;
    const char *tenant_name;
    scim_tenant tenant; /* as it was when last looked at */
    const scim_registry *registry;
    bool dry_run, update, keep_ids;
    import_input input;
    FILE *errors; /* stderr, or that of --errors */
    import_names *names;
    FILE *members; /* of groups, by their line: import_links.c */
    FILE *owners;  /* who they are of */
    import_sums sums;
    ctl_progress progress;
    apr_hash_t *strangers;   /* URNs of schemas that are not known here; in c->pool */
    const scim_error *fatal; /* what ended it; in c->pool */
} import;

/* Tells what is refused.  line is its first. */
void ctl_import_refuse(import *im, apr_uint64_t line, const scim_error *error);
/* Likewise of a member or manager that cannot be set. */
void ctl_import_lose(import *im, apr_uint64_t line, const scim_error *error);

/* import_json.c: false at the end. */
bool ctl_import_json(import_entry *out, import *im, apr_pool_t *pool);

/* import_csv.c: reads the first row, and what the options say of the columns; it
 * complains where it cannot. */
typedef struct import_csv import_csv;
ctl_exit ctl_import_csv_begin(import_csv **out, import *im);
/* False at the end. */
bool ctl_import_csv(import_entry *out, import_csv *csv, import *im, apr_pool_t *pool);

/* import_load.c: takes what was read, and in the end (NULL) what is left; false
 * where im->fatal says that it cannot go on.  The entry may be used again. */
typedef struct import_load import_load;
import_load *ctl_import_load_make(import *im);
/* Where an entry is to be made that the next call takes. */
apr_pool_t *ctl_import_load_pool(import_load *load);
bool ctl_import_load(import_load *load, const import_entry *entry);

/* import_links.c */

/* Notes a member of the group of a line; false where it cannot be written. */
bool ctl_import_note_member(import *im, apr_uint64_t line, const scim_member_op *member);

/* Of a resource that is there now: what its line said of others. */
typedef struct import_owner {
    apr_uint64_t line;
    scim_id id;
    apr_uint32_t user;    /* 1: a user, whose reference follows; 0: a group */
    apr_uint32_t replace; /* of a group: it may have other members */
    apr_uint32_t len;     /* of a user's reference: the manager, as named by the file */
} import_owner;
bool ctl_import_note_owner(import *im, const import_owner *owner, const char *reference);

/* The second pass; false where im->fatal says why not. */
bool ctl_import_link(import *im);

/* The manager of a user, as its JSON has it; NULL where there is none. */
json_t *ctl_import_manager(const json_t *user);
/* Puts it there, or takes it away (NULL); of canonical JSON. */
const scim_error *ctl_import_set_manager(json_t *user, const char *id,
                                         const scim_resource_type *type, apr_pool_t *pool);

/* Whether that ends all: a fault of the store or the system, not of one resource. */
bool ctl_import_is_fatal(const scim_error *err);

/* What of the directory has an id, whatever its type; *out NULL: nothing. */
const scim_error *ctl_import_find_id(const scim_resource_type **out, scim_view *view,
                                     const import *im, const scim_id *id);
/* Likewise the user of a userName. */
const scim_error *ctl_import_find_user(bool *found, scim_id *out, scim_view *view,
                                       const import *im, const char *name);

#endif
