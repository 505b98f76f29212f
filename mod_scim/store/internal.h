/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the store share and nobody else sees.
 */
#ifndef SCIM_STORE_INTERNAL_H
#define SCIM_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/evp.h>

#include "scim/brake.h"
#include "scim/key.h"
#include "scim/making.h"
#include "scim/member.h"
#include "scim/resource.h"
#include "scim/store.h"
#include "scim/subject.h"
#include "scim/tenant.h"
#include "scim/token.h"

/* What a row of an attribute serves. */
typedef enum index_kind {
    INDEX_UNIQUE,   /* table i: value, index -> id; refuses a second */
    INDEX_ORDERED,  /* table i: value, index, id */
    INDEX_REFERENCE /* table f: target id -> source id */
} index_kind;

typedef struct type_def {
    const scim_resource_type *type;
    apr_uint16_t number;
} type_def;

typedef struct index_def {
    const scim_resource_type *type;
    index_kind kind;
    scim_path path;
    const char *name;      /* of the attribute: "emails.value" */
    apr_uint16_t number;   /* from the system table */
    bool unique_by_policy; /* checked on the range while the tenant wants it */
} index_def;

/* The run that new resources of a type go to, where writers are not to be in each other's
 * way: found in a view, and not read while applying. */
typedef struct anchor_run {
    scim_id first;
    apr_int64_t count; /* when it was found, or a little later */
    bool known;        /* there is one */
} anchor_run;

/* What was found lately. */
#define ANCHOR_HINTS 64
typedef struct anchor_hint {
    apr_uint32_t tenant;
    apr_uint16_t type;
    anchor_run run;
    apr_time_t since; /* 0: nothing is there */
    scim_id minted;   /* the last id that this process has made */
} anchor_hint;

struct scim_store {
    scim_kv *kv;
    const scim_registry *registry;
    apr_uint64_t scan_limit;
    type_def *types; /* in the registry's order */
    int types_count;
    index_def *indexes;
    int indexes_count;
    const type_def *users;                 /* NULL: none, as the next */
    const index_def *users_by[SCIM_BY_ID]; /* by what a person is looked up */
    unsigned char cursor_key[32];
    bool any_unicode; /* opened so, and what it came to */
    bool other_unicode;
    bool making; /* opened so, and it is */
    pthread_mutex_t hints_lock;
    anchor_hint hints[ANCHOR_HINTS]; /* guarded by it */
    atomic_llong looked; /* when, for what deleted groups have left */
    atomic_bool left;    /* this process has, since */
    atomic_bool sweeping; /* a thread of this process has taken the sweep */
    EVP_MD *sha256;       /* fetched once: a fetch per digest costs more than the digest */
};

/* Of ASCII, whatever the locale.  In random text no branch can be foreseen. */
static inline bool store_is_alnum(char c)
{
    unsigned int digit = (unsigned char)c - '0', letter = ((unsigned char)c | 0x20) - 'a';

    return (digit < 10) | (letter < 26);
}

/* Numbers, big-endian. */
void store_put_u16(unsigned char *at, apr_uint16_t value);
void store_put_u32(unsigned char *at, apr_uint32_t value);
void store_put_u64(unsigned char *at, apr_uint64_t value);
apr_uint16_t store_get_u16(const unsigned char *at);
apr_uint32_t store_get_u32(const unsigned char *at);
apr_uint64_t store_get_u64(const unsigned char *at);

/* Every value but those of counters and empty ones begins with 8 bytes of
 * XXH3 over its key and the rest, so that altered bytes are never served. */
#define STORE_SEAL 8
void store_seal(scim_slice key, unsigned char *value, apr_size_t len);
bool store_sealed(scim_slice key, scim_slice value);

/* Reads a sealed value: NOTFOUND, CORRUPT where the seal is broken, or shorter
 * than min bytes behind it; *rest is what stands behind the seal. */
scim_kv_rc store_get(scim_kv_txn *txn, const scim_key *key, apr_size_t min, scim_slice *rest);
/* Seals data, of at most STORE_SMALL bytes, and puts it where nothing is. */
#define STORE_SMALL 64
scim_kv_rc store_put_new(scim_kv_txn *txn, const scim_key *key, const void *data,
                         apr_size_t len);
void store_system_key(scim_key *key, const char *name);

/* The first thing that every update does: another generation of the module
 * may have changed the format meanwhile. */
scim_kv_rc store_check_format(scim_kv_txn *txn);

/* The row by which a store is known. */
bool store_is_format(scim_slice key);
scim_kv_rc store_put_format(scim_kv_txn *txn);

const type_def *store_type(const scim_store *store, const scim_resource_type *type);
const type_def *store_type_number(const scim_store *store, apr_uint16_t number);

/* Bytes of a stored resource, or of a member's display.  All that is done with
 * one takes time and memory that grow with it, much of it under the lock of
 * all writers. */
#define RESOURCE_MAX (1024 * 1024)

/* record.c */
#define RECORD_HEADER (STORE_SEAL + 8 + 8 + 8 + 2 + 2)
#define RECORD_INACTIVE 1 /* a flag: the resource has "active": false */
typedef struct record_head {
    apr_uint64_t revision;
    apr_time_t created;
    apr_time_t modified;
    bool inactive; /* so that nobody has to parse JSON to refuse a user */
    const char *display;
    apr_size_t display_len;
    const char *json;
    apr_size_t json_len;
} record_head;

void record_key(scim_key *key, const scim_tenant *tenant, const type_def *type,
                const scim_id *id);
void record_prefix(scim_key *key, const scim_tenant *tenant, const type_def *type);
/* The value of a record into buf, which has record_size() bytes. */
apr_size_t record_size(const record_head *head);
void record_write(scim_slice key, const record_head *head, unsigned char *buf);
/* NOTFOUND, CORRUPT. */
scim_kv_rc record_read(record_head *out, scim_kv_txn *txn, const scim_key *key);
bool record_decode(record_head *out, scim_slice key, scim_slice value);
/* The whole record, a group's membership counted in. */
scim_kv_rc record_fill(scim_record *out, scim_kv_txn *txn, const scim_tenant *tenant,
                       const type_def *type, const scim_id *id, const record_head *head);
/* *out: the type of the resource with this id, a promised one included, or
 * NULL where there is none. */
scim_kv_rc record_find(const type_def **out, const scim_view *view, const scim_tenant *tenant,
                       const scim_id *id);

/* displayName, else userName: what other resources show of this one. */
const char *record_display(const json_t *json, apr_size_t *len);

/* counters */
typedef enum store_counter {
    COUNTER_RESOURCES = 'T', /* of a type */
    COUNTER_MEMBERS = 'M',   /* of a group */
    COUNTER_REVISION = 'R',  /* of a group's membership */
    COUNTER_MODIFIED = 'L'   /* of a group's membership: a time, put, not added to */
} store_counter;
void counter_key_type(scim_key *key, const scim_tenant *tenant, const type_def *type);
void counter_key_group(scim_key *key, const scim_tenant *tenant, store_counter which,
                       const scim_id *group);
/* A counter that is not there is 0. */
scim_kv_rc counter_read(apr_int64_t *out, scim_kv_txn *txn, const scim_key *key);

/* wish.c: for transactions of which scim_kv_far is true; keys are copied into the memory of
 * the transaction. */
typedef struct wishes {
    scim_kv_txn *txn;
    int count;
    scim_kv_wish list[SCIM_KV_MAX_WISHES];
} wishes;
void wish_slice(wishes *w, scim_slice key, apr_size_t prefix);
void wish_key(wishes *w, const scim_key *key);
/* A resource, with all that its version is made of. */
void wish_record(wishes *w, const scim_tenant *tenant, const type_def *type, const scim_id *id);
/* The edges to the groups that a resource is in. */
void wish_groups(wishes *w, const scim_tenant *tenant, const scim_id *member);
/* Those to the members of a group. */
void wish_members(wishes *w, const scim_tenant *tenant, const scim_id *group);
void wish_tenant(wishes *w, const scim_tenant *tenant);
/* The references to a resource. */
void reference_wish(wishes *w, const scim_tenant *tenant, const scim_id *target);
void secret_wish(wishes *w, const scim_tenant *tenant, const scim_id *id);
void wish_send(wishes *w);

/* anchor.c */
/* The last run, as it is or was lately: anchor_check finds out. */
scim_kv_rc anchor_last(anchor_run *out, scim_view *view, const scim_tenant *tenant,
                       const type_def *type);
/* The later of *last and what this process has made last of a type.  Whoever reads the end of
 * the table is in the way of all who write there: so what several machines make at a time
 * has no order that their clocks do not give it. */
void anchor_last_minted(scim_id *last, scim_store *store, const scim_tenant *tenant,
                        const type_def *type);
void anchor_minted(const scim_id *id, scim_store *store, const scim_tenant *tenant,
                   const type_def *type);
/* After a try to add a resource to it: whether that is done. */
void anchor_tried(scim_store *store, const scim_tenant *tenant, const type_def *type, bool done);
void anchor_wish(wishes *w, const scim_tenant *tenant, const type_def *type,
                 const anchor_run *run);
/* Before all writes: STALE where another run has been begun since. */
scim_kv_rc anchor_check(const anchor_run *run, scim_kv_txn *txn, const scim_tenant *tenant,
                        const type_def *type);
/* As anchor_last, for the run that a resource is in; not from memory. */
scim_kv_rc anchor_of(anchor_run *out, scim_kv_txn *txn, const scim_tenant *tenant,
                     const type_def *type, const scim_id *id);
/* As anchor_remove, from that run, which stays when it is empty: others may be about to
 * add to it. */
scim_kv_rc anchor_leave(const anchor_run *run, scim_kv_txn *txn, const scim_tenant *tenant,
                        const type_def *type);
/* As anchor_add, to that run, without looking how many it has by now. */
scim_kv_rc anchor_join(const anchor_run *run, scim_kv_txn *txn, const scim_tenant *tenant,
                       const type_def *type, const scim_id *id);

/* Counts a new resource, or one that goes. */
scim_kv_rc anchor_add(scim_kv_txn *txn, const scim_tenant *tenant, const type_def *type,
                      const scim_id *id);
scim_kv_rc anchor_remove(scim_kv_txn *txn, const scim_tenant *tenant, const type_def *type,
                         const scim_id *id);
/* The run that holds the resource at place wanted, from 0, of total: where it
 * begins, and how many are before it.  False where the runs do not say. */
bool anchor_find(scim_id *first, apr_uint64_t *before, scim_kv_txn *txn,
                 const scim_tenant *tenant, const type_def *type, apr_uint64_t wanted,
                 apr_uint64_t total);

/* Whether all runs of a type are counted right: reads all keys of its resources. */
scim_kv_rc anchors_right(bool *right, scim_kv_txn *txn, const scim_tenant *tenant,
                         const type_def *type);
/* Makes them anew, one run in each transaction: *from is all zero at first; *more says
 * whether there is another, which begins there. */
scim_kv_rc anchors_make(bool *more, scim_id *from, scim_kv_txn *txn, const scim_tenant *tenant,
                        const type_def *type);

/* index.c: the rows that a resource's JSON has in tables i and f */
typedef struct index_row {
    const index_def *def;
    scim_slice key;        /* but for the id that f and an ordered index end with */
    const char *text;      /* the value, for a conflict's detail */
    scim_id target;        /* f: where it leads */
    const type_def *found; /* f, of rows to be added: what was there while preparing */
} index_row;

/* All rows of json, each once, in pool: an array of index_row. */
apr_array_header_t *index_rows(scim_store *store, const scim_tenant *tenant,
                               const scim_resource_type *type, const json_t *json,
                               apr_pool_t *pool);
/* Those of a that are not in b. */
apr_array_header_t *index_rows_without(const apr_array_header_t *a, const apr_array_header_t *b,
                                       apr_pool_t *pool);
/* The index of that number, or NULL. */
const index_def *index_numbered(const scim_store *store, apr_uint16_t number);
const index_def *index_find(const scim_store *store, const scim_resource_type *type,
                            const scim_path *path);
/* The row of a value, but for the id that an ordered index ends with: of text,
 * prepared; of a number, of INDEX_NUMBER bytes; of a boolean, of one. */
void index_key(scim_key *key, const scim_tenant *tenant, const index_def *def,
               const void *value, apr_size_t len);
#define INDEX_NUMBER 8
void index_number(unsigned char *bytes, apr_int64_t number);

/* reference.c */
/* Whether the $ref of an attribute may lead to resources of a type. */
bool reference_may_lead_to(const scim_attribute *attribute, const scim_resource_type *type);
/* *out: the type of what a reference leads to, NULL where that is nothing, or
 * nothing that the attribute may lead to. */
scim_kv_rc reference_target(const type_def **out, const scim_view *view,
                            const scim_tenant *tenant, const index_def *def,
                            const scim_id *target);
/* Whether json has any reference, so that resolving may change it. */
bool reference_any(const scim_store *store, const scim_resource_type *type, const json_t *json);
/* Gives each reference in json the $ref of its target, or none.  400
 * invalidValue for one that leads nowhere, unless that is allowed or before
 * (or NULL) has it too. */
const scim_error *reference_resolve(scim_view *view, const scim_tenant *tenant,
                                    const scim_resource_type *type, json_t *json,
                                    const json_t *before, bool allowed);
/* Takes all references to target out of json. */
void reference_drop(json_t *json, const scim_store *store, const scim_resource_type *type,
                    const scim_id *target);
/* Hands out what stands behind the target in each row of table f: index
 * number, source; not the target's own rows. */
#define REFERRER_LEN (2 + 16)
typedef scim_kv_rc (*referrer_fn)(const unsigned char *referrer, void *baton);
scim_kv_rc reference_each(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *target,
                          referrer_fn fn, void *baton);

/* secret.c */
/* *hash: NUL-terminated in pool, NULL where no password is stored. */
scim_kv_rc secret_read(const char **hash, scim_kv_txn *txn, const scim_tenant *tenant,
                       const scim_id *id, apr_pool_t *pool);
/* OK too where there is nothing to drop. */
scim_kv_rc secret_drop(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id);

/* What is known of passwords that are to be set, and still to be found out:
 * whether one is that which is stored, and if not, its hash.  Each takes long
 * to settle, and is kept for when a mutation is prepared again. */
typedef struct secret_fact secret_fact;
typedef struct secret_memo secret_memo;
secret_memo *secret_memo_make(apr_pool_t *pool);
/* Before the mutation, or all those of a batch, is prepared, and prepared again. */
void secret_memo_rewind(secret_memo *memo);
bool secret_memo_settled(const secret_memo *memo);
/* Takes 50 to 100 ms for each fact: neither in a view nor under the lock of all
 * writers, as long as that can be helped. */
const scim_error *secret_memo_settle(secret_memo *memo);

/* What a mutation does to the password of its resource. */
typedef struct secret_plan {
    secret_fact *fact; /* or NULL: no password is set */
    bool drop;
} secret_plan;

/* What the draft wants, against what is stored; id NULL: a new resource, which
 * has none.  A password that is not in the memo is added there. */
const scim_error *secret_plan_make(secret_plan *out, scim_kv_txn *txn,
                                   const scim_tenant *tenant, const scim_id *id,
                                   const scim_draft *draft, secret_memo *memo,
                                   apr_pool_t *pool);
bool secret_plan_settled(const secret_plan *plan);
/* As secret_memo_settle, for the fact of this plan. */
const scim_error *secret_plan_settle(const secret_plan *plan, secret_memo *memo);
/* Whether there is anything to write.  Of a fact that is not settled: yes. */
bool secret_plan_changes(const secret_plan *plan);
/* Writes nothing for a fact that is not settled.  revision: the one that the
 * record has with this password. */
scim_kv_rc secret_plan_write(const secret_plan *plan, scim_kv_txn *txn,
                             const scim_tenant *tenant, const scim_id *id,
                             apr_uint64_t revision);

/* token.c */
/* Takes away all tokens of a tenant: *count is their number. */
scim_kv_rc token_drop_all(int *count, scim_kv_txn *txn, const scim_tenant *tenant,
                          apr_pool_t *pool);
/* What stands behind the seal of a row: *out has connection and hint, no more;
 * false where it cannot be read. */
bool token_decode(scim_identity *out, apr_uint32_t *tenant, const char **tenant_name,
                  scim_slice rest, apr_pool_t *pool);

/* member.c */
/* In place of the number of a type: a text stands in the edge, in front of the
 * display. */
#define MEMBER_TEXT 0xffff
/* The id by which a text names a member; false for one that cannot. */
bool member_id(scim_id *out, const scim_store *store, const char *text);
void member_key(scim_key *key, const scim_tenant *tenant, const scim_id *group,
                const scim_id *member);
void member_of_key(scim_key *key, const scim_tenant *tenant, const scim_id *member,
                   const scim_id *group);
void member_prefix(scim_key *key, scim_table table, const scim_tenant *tenant,
                   const scim_id *id);
/* Whether the value of an edge, whose seal holds, is one. */
bool member_readable(scim_slice value);
scim_kv_rc member_has(bool *out, scim_kv_txn *txn, const scim_tenant *tenant,
                      const scim_id *group, const scim_id *member);
/* As scim_member_groups. */
scim_kv_rc member_groups(apr_array_header_t **out, scim_view *view, const scim_tenant *tenant,
                         const scim_id *member);
/* One change of a membership, ready to apply. */
typedef struct member_add {
    scim_id id;
    const char *text;     /* where the id is made of one */
    const type_def *type; /* NULL: dangling, and allowed to be */
    const char *display;  /* or NULL */
    bool display_given;   /* NULL above means: take it away */
} member_add;

typedef struct member_plan {
    apr_array_header_t *adds;    /* of member_add, in the order of their ids */
    apr_array_header_t *removes; /* of scim_id, likewise */
    bool walked;                 /* made from all members: stale when they changed */
} member_plan;

/* What steps come to, against the members as they are; group NULL: a new
 * group, which has none.  400 invalidValue for a member that is nothing. */
const scim_error *member_plan_make(member_plan **out, scim_view *view,
                                   const scim_tenant *tenant, const scim_id *group,
                                   const apr_array_header_t *steps);
/* Reads only: STALE where a member to add is gone, or came.  *changes: whether
 * there is anything to do. */
scim_kv_rc member_plan_check(const member_plan *plan, const scim_view *view,
                             const scim_tenant *tenant, const scim_id *group, bool *changes);
/* What those two will ask for. */
void member_plan_wish(const member_plan *plan, wishes *w, const scim_tenant *tenant,
                      const scim_id *group);
/* Writes the edges and the counters. */
scim_kv_rc member_plan_write(const member_plan *plan, scim_kv_txn *txn,
                             const scim_tenant *tenant, const scim_id *group, apr_time_t now);
/* Deletes both rows of an edge; *had: whether it was there. */
scim_kv_rc member_delete(bool *had, scim_kv_txn *txn, const scim_tenant *tenant,
                         const scim_id *group, const scim_id *member);
/* Takes a resource out of all groups; of a group, the counters go too, and its
 * members stay for member_drop or for the sweep. */
scim_kv_rc member_leave(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id,
                        apr_time_t now);
/* Takes a resource out of all groups, and all members out of it. */
scim_kv_rc member_drop(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *id,
                       apr_time_t now);

/* around.c: the groups around a resource, in one view.  Direct ones come first; of
 * those in between each comes once. */
typedef struct around_group {
    scim_id id;
    bool direct;
    const type_def *type; /* NULL: only the edge is there */
    record_head head;     /* where it is */
} around_group;
/* *enter is true: false leaves out what is around this group. */
typedef scim_kv_rc (*around_fn)(const around_group *group, bool *enter, void *baton);
scim_kv_rc groups_around(scim_view *view, const scim_tenant *tenant, const scim_id *member,
                         around_fn fn, void *baton);

/* subject.c */
/* Fills in what of a store is asked for with every person. */
void subject_define(scim_store *store);
/* Whether a resource holds a role, through the groups that are there. */
scim_kv_rc subject_holds_role(bool *out, scim_view *view, const scim_tenant *tenant,
                              const scim_id *id);

/* resource.c: mutations that follow from another, in its transaction, which is
 * an exclusive one.  A resource that is not there is no error; any that they
 * return has a cause, is in view->pool, and must undo the transaction.  *was:
 * whether it was there. */
const scim_error *resource_remove(bool *was, scim_view *view, const scim_tenant *tenant,
                                  const type_def *type, const scim_id *id, apr_time_t now);
/* *version: the one that it has now, 0 where it was not there or not active. */
const scim_error *resource_deactivate(apr_uint64_t *version, scim_view *view,
                                      const scim_tenant *tenant, const type_def *type,
                                      const scim_id *id, apr_time_t now);

/* brake.c */
/* Whether n more users may be deleted or deactivated: REFUSED where not. Reads
 * only. *out is the row as it is, its hour begun anew where that is over. */
scim_kv_rc brake_check(scim_brake *out, scim_kv_txn *txn, const scim_tenant *tenant,
                       apr_uint32_t n, apr_time_t now);
/* Counts them, from what brake_check gave. */
scim_kv_rc brake_count(const scim_brake *brake, scim_kv_txn *txn, const scim_tenant *tenant,
                       apr_uint32_t n);
/* Holds the brake on after a refusal, in a transaction that may go on. */
scim_kv_rc brake_hold(const scim_brake *brake, scim_kv_txn *txn, const scim_tenant *tenant);
/* The same in an update of its own, where n more would still be refused.  What
 * cannot be noted now is noted by the next refusal. */
void brake_trip(scim_store *store, const scim_tenant *tenant, apr_uint32_t n, apr_time_t now);
/* 429, for n more. */
const scim_error *brake_refusal(const scim_tenant *tenant, apr_uint32_t n,
                                apr_pool_t *result_pool);

/* verify.c */
/* "resource": of the byte that keys begin with. */
const char *store_table_name(unsigned char table);

/* tenant.c */
/* As scim_tenant_find, of one that is being deleted too. */
const scim_error *tenant_read(scim_tenant *out, scim_view *view, const char *name);
/* NOTFOUND where the tenant is gone, or is being deleted: no mutation begins then. */
scim_kv_rc tenant_check(scim_kv_txn *txn, const scim_tenant *tenant);
/* 404, of such a one. */
const scim_error *tenant_gone(apr_pool_t *pool);
/* Writes that it is being deleted. */
scim_kv_rc tenant_mark(scim_kv_txn *txn, const scim_tenant *tenant, apr_pool_t *pool);
scim_kv_rc tenant_drop(scim_kv_txn *txn, const char *name);
/* EXISTS where one has the name. */
scim_kv_rc tenant_put(scim_kv_txn *txn, const scim_tenant *tenant, apr_pool_t *pool);

/* backup.c */
/* Whether the row is of a table, and its value as that table has it. */
bool store_row_whole(scim_slice key, scim_slice value);
/* Fills an engine with rows, many in one commit, from the only thread that has
 * it.  ordered: they come in the order of their keys; else the first of a key is
 * kept.  making may be NULL.  In pool. */
typedef struct store_loader store_loader;
store_loader *store_loader_make(scim_kv *into, bool ordered, const scim_making *making,
                                apr_pool_t *pool);
scim_kv_rc store_loader_add(store_loader *loader, scim_slice key, scim_slice value);
scim_kv_rc store_loader_flush(store_loader *loader);
apr_uint64_t store_loader_kept(const store_loader *loader);
const scim_error *store_load_error(apr_pool_t *pool, scim_kv_rc rc);

/* making.c */
/* Whether the key is that of the row which says that a store is being made. */
bool store_is_making(scim_slice key);
/* NOTFOUND where none is being made here. */
scim_kv_rc store_making_format(scim_kv_txn *txn, apr_uint32_t *format);
/* REFUSED where it is not, or no more, this one. */
scim_kv_rc store_making_check(scim_kv_txn *txn, const scim_making *making);

/* sum.c: of rows in their order, but for those two */
typedef struct store_sum store_sum;
store_sum *store_sum_make(apr_pool_t *pool);
void store_sum_add(store_sum *sum, scim_slice key, scim_slice value);
#define STORE_SUM_LEN 16
void store_sum_end(unsigned char out[STORE_SUM_LEN], store_sum *sum);

/* sweep.c */
/* Notes that the members of a group are to follow it. */
scim_kv_rc sweep_defer(scim_kv_txn *txn, const scim_tenant *tenant, const scim_id *group,
                       scim_on_group_delete then, apr_time_t now);
/* What sweep_treat is given for each member. */
typedef struct sweep_member {
    scim_id id;
    const type_def *type; /* NULL: nothing that is known */
} sweep_member;
/* Whether what sweep_treat does to all members of a group is little enough for one
 * transaction. */
scim_kv_rc sweep_is_small(bool *out, scim_kv_txn *txn, const scim_tenant *tenant,
                          const scim_id *group);
/* The first members of a group, at most limit, and no more than can be treated so in
 * one transaction: an array of sweep_member. */
scim_kv_rc sweep_members(apr_array_header_t **out, scim_view *view, const scim_tenant *tenant,
                         const scim_id *group, scim_on_group_delete then, int limit);
/* The lock of all writers goes to whoever asks first when it is free, and nobody asks
 * sooner than the one who has just let it go: a pause for others, as long as it was held. */
void sweep_pause(apr_time_t locked);
/* Does to members, which the group has lost, what the policy says. In an
 * exclusive transaction; an error has a cause and must undo it. */
const scim_error *sweep_treat(apr_array_header_t *consequences, scim_view *view,
                              const scim_tenant *tenant, const scim_id *group,
                              scim_on_group_delete then, const apr_array_header_t *members,
                              apr_time_t now);

#endif
