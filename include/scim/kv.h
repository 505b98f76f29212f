/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered, transactional key-value engine.
 *
 * The model.  Keys are strings of 1 to SCIM_KV_MAX_KEY bytes, ordered by
 * memcmp, then by length; values are strings of 0 to SCIM_KV_MAX_VALUE bytes.
 * A *view* reads one unchanging state of the whole store.  An *update* runs a
 * function that reads its own writes; when it returns SCIM_KV_OK all it wrote
 * becomes durable and visible at once, and only then does the call return;
 * otherwise nothing does.  Updates are serialised.
 *
 * A mutation has two halves.  The caller *prepares* in a view, on its own
 * thread: parses, validates, serialises.  It *applies* in an update: compares
 * revisions and unique keys, then puts bytes that are ready.  The contract of
 * a function given to update, which lets several callers share one commit:
 *
 *   - after its first write it must not fail (reads may follow writes);
 *   - it may be run again from the start, by another thread: it has no effects
 *     outside its transaction and its baton, and overwrites what an earlier
 *     run left in the baton;
 *   - it allocates from scim_kv_scratch only, never from an APR pool, and
 *     touches nothing thread-local.
 *
 * Engines know nothing of resources, tenants or the wire.  Every call that
 * takes a scim_kv may be made by any thread of the process that opened it,
 * and by no other process: open after fork.  A transaction belongs to the
 * thread and the call that it was handed to.
 */
#ifndef SCIM_KV_H
#define SCIM_KV_H

#include <stdbool.h>
#include <sys/types.h>

#include <apr_pools.h>
#include <apr_time.h>

#define SCIM_KV_VERSION 1
#define SCIM_KV_MAX_KEY 500
#define SCIM_KV_MAX_VALUE (16 * 1024 * 1024)

typedef struct scim_kv scim_kv;
typedef struct scim_kv_txn scim_kv_txn;
typedef struct scim_kv_cursor scim_kv_cursor;
typedef struct scim_kv_engine scim_kv_engine;
typedef struct scim_kv_claim scim_kv_claim;

typedef enum scim_kv_rc {
    SCIM_KV_OK = 0,
    SCIM_KV_NOTFOUND, /* get, del, seek, next, prev: no such key; a store that is not there */
    SCIM_KV_EXISTS,   /* put with no_overwrite: the key is there */
    SCIM_KV_STALE,    /* for the functions of callers: what was prepared is out of date */
    SCIM_KV_CONFLICT, /* the engine gave up retrying against other writers */
    SCIM_KV_FULL,     /* the store has grown to the size that it may have */
    SCIM_KV_DISK_FULL,
    SCIM_KV_READONLY, /* the store or its file system takes no writes */
    SCIM_KV_BUSY,     /* waited its time for the writer lock, or no reader slot is free */
    SCIM_KV_CORRUPT,  /* the store's own structure is damaged, or it is no store */
    SCIM_KV_INVALID,  /* key or value outside the limits: a fault of the caller */
    SCIM_KV_REFUSED, /* for the functions of callers: nothing was written, the baton says why */
    SCIM_KV_IO       /* anything else that the system reports */
} scim_kv_rc;

/* Bytes of the engine (in a get: valid until the view ends, or until the next
 * write of the update) or of the caller. */
typedef struct scim_slice {
    const void *data;
    apr_size_t len;
} scim_slice;

typedef scim_kv_rc (*scim_kv_fn)(scim_kv_txn *txn, void *baton);

typedef struct scim_kv_job {
    scim_kv_fn fn;
    void *baton;
    scim_kv_rc rc; /* set by update_all */
} scim_kv_job;

typedef struct scim_kv_options {
    apr_uint64_t size;           /* bytes the store may grow to; 0: the engine's default */
    apr_interval_time_t timeout; /* for the writer lock; 0: the engine's default, 10 s */
    unsigned int max_queue;      /* so many updates may wait where it goes slowly: where the
                                    first of them waits for a tenth of timeout already, one
                                    more is BUSY at once; 0: no limit */
    unsigned int connections;    /* that a process has to a store that is elsewhere, at most;
                                    0: the engine's default */
    bool create;                 /* make the store where there is none */
    bool read_only;              /* update answers READONLY */
    bool unchecked;              /* damaged pages, of which reading dies, are no reason to
                                    refuse: for who only examines it */
    const scim_kv_claim *claim;  /* of this store, or of the one beside which it is made: no
                                    two threads may use it; NULL: others may have it open */
} scim_kv_options;

typedef struct scim_kv_stat {
    apr_uint64_t entries;
    apr_uint64_t used;    /* bytes */
    apr_uint64_t extent;  /* bytes, those that are free to be used again counted in */
    apr_uint64_t size;    /* bytes it may grow to */
    apr_uint64_t updates; /* committed by this handle */
    apr_uint64_t commits; /* the transactions that they took */
    apr_uint32_t readers; /* views under way, all processes */
    apr_uint32_t max_readers;
} scim_kv_stat;

/*
 * Engines.  lmdb and memory are always there; others are made known to this process, by who
 * loads them: before there are threads, and before anything opens a store with them.
 */

/* Makes an engine known, or puts it in the place of one of the same name.  False: it was built
 * for another version of this interface, or there are too many. */
bool scim_kv_register(const scim_kv_engine *engine);

/* Forgets it, before its code goes.  Nothing may be open with it. */
void scim_kv_unregister(const scim_kv_engine *engine);

/* Whether a store is elsewhere, so that it may be away for a while: who cannot open it tries
 * again.  False where the engine of the url is not known. */
bool scim_kv_networked(const char *url);

/* Whether a url, which is shown in logs and pages, has a password in it: nothing opens it. */
bool scim_kv_has_secret(const char *url, apr_pool_t *scratch_pool);
/* What the administrator is told of one that has; it does not repeat the url. */
extern const char scim_kv_secret_text[];

/* Opens the store that url names ("lmdb:/path", "pgsql:dbname=scim", "memory:").  It lives in
 * pool, whose cleanup closes it.  One path opened twice by a process is one
 * store, closed with the last.  *why, on failure, is a text for the
 * administrator in pool: the path, the user, the remedy. */
scim_kv_rc scim_kv_open(scim_kv **out, const char *url, const scim_kv_options *options,
                        const char **why, apr_pool_t *pool);

/* Closes before the pool does.  No transaction may be under way. */
void scim_kv_close(scim_kv *kv);

/* Runs fn over one state of the store and returns what it returned.  Views
 * of one thread may nest; one inside an update reads the state before it. */
scim_kv_rc scim_kv_view(scim_kv *kv, scim_kv_fn fn, void *baton);

/* Runs fn as one update, see above.  Inside a view of the same thread it
 * must not be called; inside an update it answers INVALID. */
scim_kv_rc scim_kv_update(scim_kv *kv, scim_kv_fn fn, void *baton);

/* As scim_kv_update, but fn is run once, by the calling thread, alone: it may
 * take its time and allocate from the caller's pools. */
scim_kv_rc scim_kv_update_exclusive(scim_kv *kv, scim_kv_fn fn, void *baton);

/* Several functions, each whole or not at all, in one physical transaction
 * where the engine can.  The result is OK when those that returned OK are
 * durable; each job's own result is in its rc. */
scim_kv_rc scim_kv_update_all(scim_kv *kv, scim_kv_job *jobs, int count);

scim_kv_rc scim_kv_get(scim_kv_txn *txn, scim_slice key, scim_slice *value);
/* key and value may be slices that this transaction returned. */
scim_kv_rc scim_kv_put(scim_kv_txn *txn, scim_slice key, scim_slice value, bool no_overwrite);
/* As scim_kv_put, of a key behind all that are there: so that a store that is
 * filled in order takes as little room as it can.  INVALID where it is not. */
scim_kv_rc scim_kv_append(scim_kv_txn *txn, scim_slice key, scim_slice value);
/* NOTFOUND where there is nothing to delete. */
scim_kv_rc scim_kv_del(scim_kv_txn *txn, scim_slice key);
/* Adds to the signed 64-bit counter under key (absent: 0), stored as 8 bytes
 * big-endian. *sum, where not NULL, is the new value.  Reading it with get
 * is allowed.  INVALID where the sum does not fit, CORRUPT where the value is
 * no counter. */
scim_kv_rc scim_kv_add(scim_kv_txn *txn, scim_slice key, apr_int64_t amount, apr_int64_t *sum);
/* What a get of a counter means; 0 for anything that is not 8 bytes. */
apr_int64_t scim_kv_counter(scim_slice value);

/* Cursors live in their transaction and end with it.  Between two moves of a
 * cursor the transaction may write; next and prev then go on from the key
 * that the cursor last returned, deleted or not.  *key and *value (NULL where
 * it is not wanted) are as a get's.  A move that finds nothing leaves the
 * cursor where it is.  On a cursor that was never placed next goes to the
 * first key and prev to the last. */
scim_kv_cursor *scim_kv_cursor_open(scim_kv_txn *txn);
/* Gives a cursor back before its transaction ends: for those who open many. */
void scim_kv_cursor_close(scim_kv_cursor *cursor);
/* Tells a cursor, before it is placed, that rows whose keys do not begin with prefix are of no
 * use: it may say NOTFOUND instead of such a one, and need not look at it. */
void scim_kv_within(scim_kv_cursor *cursor, scim_slice prefix);
/* To the first key >= at (empty: to the very first); prev from there goes to
 * the last one < at, also where seek itself said NOTFOUND. */
scim_kv_rc scim_kv_seek(scim_kv_cursor *cursor, scim_slice at, scim_slice *key,
                        scim_slice *value);
scim_kv_rc scim_kv_next(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value);
scim_kv_rc scim_kv_prev(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value);

/*
 * Of an engine whose rows are far away, so that each question is a journey, and where others
 * write at the same time, so that what an update has read may be in its way.
 */

/* Whether it is such a one; where it is not, the next two cost what they do here. */
bool scim_kv_far(const scim_kv_txn *txn);

/* Whether an update may leave it to its commit to find that a row it puts with no_overwrite
 * is there already: it is run again then, and this is false.  Who asked for that row first
 * would be in the way of all who write near it. */
bool scim_kv_bold(const scim_kv_txn *txn);

/* A number that every scim_kv_update_exclusive changes: as long as two transactions find the
 * same, rows that nothing else writes are to one what they were to the other, and need not
 * be asked for again.  0: it is not known. */
apr_uint64_t scim_kv_epoch(scim_kv_txn *txn);

typedef struct scim_kv_wish {
    scim_slice key;
    apr_size_t prefix; /* 0: this row; else the first few rows from it on whose keys have so
                          many bytes in common with it: for a seek to this key of a cursor
                          that has been told of them */
} scim_kv_wish;

/* Says what will be asked for next, so that all of it comes in one journey.  Nothing has to
 * follow from it; what fails here fails where it is asked for. */
#define SCIM_KV_MAX_WISHES 64
void scim_kv_expect(scim_kv_txn *txn, const scim_kv_wish *wishes, int count);

/* Memory of the transaction, aligned for any type, cleared when it ends or is
 * run again.  Never NULL: out of memory ends the process, as a pool does. */
void *scim_kv_scratch(scim_kv_txn *txn, apr_size_t size);

/* Whether the transaction may write. */
bool scim_kv_writable(const scim_kv_txn *txn);

/* The number of the state that a view reads: no two states that views of one handle
 * have read share one.  It means nothing to another handle. */
apr_uint64_t scim_kv_state(scim_kv_txn *txn);

/* Finds and frees what dead processes left (reader slots); *freed their
 * number. */
scim_kv_rc scim_kv_check(scim_kv *kv, int *freed);

scim_kv_rc scim_kv_statistics(scim_kv *kv, scim_kv_stat *out);

/* Why the last attempt to write to the store, or to open it again after that,
 * failed where the system refused it: a text for the administrator in pool with
 * the path, the user, the remedy.  NULL where it did not. */
const char *scim_kv_fault(scim_kv *kv, apr_pool_t *pool);

/* Who is told of what is found.  All but baton may be NULL. */
typedef struct scim_kv_examiner {
    /* A row; what is not OK ends the examination, and is its result. */
    scim_kv_rc (*row)(scim_slice key, scim_slice value, void *baton);
    /* Where the engine's own structure is damaged, such as "page 7: its keys are not in
     * order"; the text ends with the call. */
    void (*damage)(const char *what, void *baton);
    void (*progress)(apr_uint64_t done, apr_uint64_t total, void *baton);
    void *baton;
} scim_kv_examiner;

/* Hands out all rows of one state, in the order of their keys, while others
 * write, and checks all of the engine's own structure on the way, without trusting
 * it: neither a crash nor an endless loop comes of damage.  CORRUPT where there is
 * any; the rows that were handed out are not to be relied upon then.  What was
 * deleted meanwhile keeps its room until it returns. */
scim_kv_rc scim_kv_examine(scim_kv *kv, const scim_kv_examiner *to);

/* Hands out, in any order, each row that can be found in a damaged data file of
 * the lmdb engine, which nobody may be writing to.  A row may be altered, and one
 * key may come twice, the right one first; none is of an older state.  OK: the
 * file was whole; CORRUPT: the damage was told; INVALID: it is no such file, or
 * nothing of it can be found. */
scim_kv_rc scim_kv_salvage(int fd, const scim_kv_examiner *to);

/*
 * Looking at a store from outside, for who must not touch it: nothing is made, locked,
 * written or opened for it, not even the time of its last use is another one.
 */

/* Why this process's user could not open the store of a url, or, unless it is for reading
 * only, not write to it; a text in pool with path, user and remedy.  NULL: nothing speaks
 * against it, as where there is none yet in a directory that can have one.  *made: whether
 * its directory is there.  Of a store that is elsewhere only its url is judged: nobody is
 * asked over the network. */
const char *scim_kv_outlook(bool *made, const char *url, bool read_only, apr_pool_t *pool);

/* The room on the file system of the store, for this user, and the size of all of that
 * file system, in bytes; false where they are not to be had. */
bool scim_kv_room(apr_uint64_t *room, apr_uint64_t *size, const char *url);

/* Hands the rows of the last state whose keys begin with prefix to "to", in their order.
 * NOTFOUND: there is no such file; STALE: others committed too much meanwhile, and what was
 * handed out is to be forgotten; other results mean that nothing is known, either, as of a
 * store that is elsewhere. */
scim_kv_rc scim_kv_peek(const char *url, scim_slice prefix, const scim_kv_examiner *to);

/*
 * Replacing a store as a whole.
 */

/* Whether a store of this kind can be claimed.  One that is elsewhere cannot: who else has it
 * open is not to be known. */
bool scim_kv_claimable(const char *url);

/* Makes sure that no process has the store of a url open; whoever opens it
 * meanwhile waits.  The store may be damaged, or not there: its directory must be.
 * BUSY where one has it, this process among them; *why names it.  The claim ends
 * with pool. */
scim_kv_rc scim_kv_claim_store(scim_kv_claim **out, const char *url, const char **why,
                               apr_pool_t *pool);

/* The url of an empty place beside the claimed store, on the same disk, for a
 * new one that is opened with the claim: of lmdb a directory of this name in its own; in the
 * claim's pool.  What is left there when the claim ends is removed. */
#define SCIM_KV_PLACE "new.tmp"
scim_kv_rc scim_kv_claim_place(scim_kv_claim *claim, const char **url, const char **why);

/* Puts the new store, which must be closed, in the place of the claimed one, whole
 * or not at all whatever happens.  *kept, where kept is not NULL: the name of the
 * file that the old one is now, NULL where there was none. */
scim_kv_rc scim_kv_claim_replace(scim_kv_claim *claim, const char **kept, const char **why);

/* Ends a claim before its pool does. */
void scim_kv_claim_end(scim_kv_claim *claim);

/* "the store is full" ...: for logs. */
const char *scim_kv_strerror(scim_kv_rc rc);

/*
 * For tests, on a "memory:" store, or where it says so another one, only (no effect on others).
 */

/* The n-th write operation from now (each put, del, add that writes, and the
 * commit of an update that wrote) returns IO, once; 0: none does.  An update
 * in which a write failed is never kept, whatever its function returns. */
void scim_kv_memory_fail(scim_kv *kv, int n);

/* Whether every function given to update and update_all is run once for
 * nothing before it is run in earnest, as group commit may do. */
void scim_kv_memory_rehearse(scim_kv *kv, bool on);

/* On a "pgsql:" store: whether updates are no more than REPEATABLE READ, so that two of them
 * may each miss what the other writes. */
void scim_kv_pgsql_weaken(scim_kv *kv, bool on);

/*
 * Implementation interface.  An engine embeds scim_kv as its first member,
 * likewise scim_kv_txn and scim_kv_cursor.
 */
struct scim_kv_engine {
    unsigned int version; /* SCIM_KV_VERSION */
    const char *name;     /* "lmdb": before the colon of a url */
    scim_kv_rc (*open)(scim_kv **out, const char *where, const scim_kv_options *options,
                       const char **why, apr_pool_t *pool);
    void (*close)(scim_kv *kv);
    scim_kv_rc (*view)(scim_kv *kv, scim_kv_fn fn, void *baton);
    scim_kv_rc (*update_all)(scim_kv *kv, scim_kv_job *jobs, int count);
    scim_kv_rc (*update_exclusive)(scim_kv *kv, scim_kv_fn fn, void *baton);
    scim_kv_rc (*get)(scim_kv_txn *txn, scim_slice key, scim_slice *value);
    scim_kv_rc (*put)(scim_kv_txn *txn, scim_slice key, scim_slice value, bool no_overwrite);
    scim_kv_rc (*del)(scim_kv_txn *txn, scim_slice key);
    scim_kv_cursor *(*cursor_open)(scim_kv_txn *txn);
    void (*cursor_close)(scim_kv_cursor *cursor); /* NULL: nothing to do */
    scim_kv_rc (*seek)(scim_kv_cursor *cursor, scim_slice at, scim_slice *key,
                       scim_slice *value);
    scim_kv_rc (*next)(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value);
    scim_kv_rc (*prev)(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value);
    apr_uint64_t (*state)(scim_kv_txn *txn);
    scim_kv_rc (*check)(scim_kv *kv, int *freed);
    scim_kv_rc (*statistics)(scim_kv *kv, scim_kv_stat *out);
    const char *(*fault)(scim_kv *kv, apr_pool_t *pool); /* NULL: the system has no part */
    scim_kv_rc (*append)(scim_kv_txn *txn, scim_slice key, scim_slice value);
    scim_kv_rc (*examine)(scim_kv *kv, const scim_kv_examiner *to);
    /* NULL: its rows are near; else as scim_kv_expect, with at most SCIM_KV_MAX_WISHES. */
    void (*expect)(scim_kv_txn *txn, const scim_kv_wish *wishes, int count);
    apr_uint64_t (*epoch)(scim_kv_txn *txn);                   /* NULL: it is not known */
    void (*within)(scim_kv_cursor *cursor, scim_slice prefix); /* NULL: nothing to do */
    /* NULL: a get and a put.  As scim_kv_add, with an amount that fits; sum may be NULL. */
    scim_kv_rc (*add)(scim_kv_txn *txn, scim_slice key, apr_int64_t amount, apr_int64_t *sum);
    /* NULL, and the next three: such stores are nowhere that a file could be replaced */
    scim_kv_rc (*claim)(scim_kv_claim **out, const char *where, const char **why,
                        apr_pool_t *pool);
    scim_kv_rc (*place)(scim_kv_claim *claim, const char **url, const char **why);
    scim_kv_rc (*replace)(scim_kv_claim *claim, const char **kept, const char **why);
    void (*unclaim)(scim_kv_claim *claim);
    bool networked; /* as scim_kv_networked */
    /* Why nothing can be opened at a place, as its text alone shows, in pool; NULL: it may be.
     * NULL itself: any place will do. */
    const char *(*outlook)(const char *where, apr_pool_t *pool);
};

struct scim_kv {
    const scim_kv_engine *engine;
    apr_pool_t *pool;        /* this and the next: set by scim_kv_open */
    unsigned int generation; /* of the process that may use it */
};

struct scim_kv_claim {
    const scim_kv_engine *engine; /* this and pool: set by scim_kv_claim_store */
    apr_pool_t *pool;
    const char *where; /* behind the colon of the url */
};

struct scim_kv_txn {
    scim_kv *kv;
    bool writable;
    bool bold; /* scim_kv_bold */
    struct scim_kv_arena *arena; /* of scim_kv_scratch; NULL: empty */
};

struct scim_kv_cursor {
    scim_kv_txn *txn;
};

extern const scim_kv_engine scim_kv_lmdb;
extern const scim_kv_engine scim_kv_memory;
/* Not known to scim_kv_open before scim_kv_register: it needs libpq. */
extern const scim_kv_engine scim_kv_pgsql;

#endif
