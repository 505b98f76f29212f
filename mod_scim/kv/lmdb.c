/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LMDB engine: a directory with data.mdb and lock.mdb, shared by all
 * processes of one machine.
 *
 * What LMDB asks of us, and where it is kept:
 *
 *   - One environment per directory and process: opening a second one and
 *     closing it drops the locks of the first.  environments is the list of
 *     this process, by device and inode, with counts.
 *   - No environment is used after fork.  kv.c refuses; here, an entry that a
 *     parent left in the list is neither used nor closed.
 *   - The map may be moved (another process let the store grow) and the
 *     environment closed and opened again (LMDB panics after a failed write of
 *     its meta page) only while this process has no transaction.  Each
 *     transaction is inside the gate, such a change closes it.
 *   - What a failed write left on the disk is settled before the next one, see
 *     settle.
 *   - Cursors end before their transaction.  No cursor lives across a write
 *     either: it is closed, and found again by its key.
 *   - Who replaces the file of the data has the lock on lock.mdb that LMDB itself
 *     asks for first of all: nobody has the store open then, and who opens it
 *     waits.  Such a store is opened without LMDB's own locks.
 *   - DUPSORT is not used: the serious faults of the releases in use are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <apr_errno.h>
#include <apr_strings.h>
#include <apr_user.h>
#include <lmdb.h>

#include "scim/heap.h"

#include "engine.h"

#define GIB ((apr_uint64_t)1 << 30)
#define DEFAULT_SIZE (64 * GIB)
/* Below this a map that is refused is an error, not a reason to ask for less. */
#define SMALLEST_SIZE GIB
#define GRAIN 65536

/* The table is as large as its first opener says, so all must say the same. */
#define MAX_READERS 8192
#define MAX_VIEWS 4096

/* Idle readers: a view looks in one line, where seldom another looks meanwhile. */
#define IDLE_PER_LINE 8

/* That a reader keeps: no request for one resource has more open at a time. */
#define READER_CURSORS 4

#define READERS_CHECK_INTERVAL apr_time_from_sec(60)

/* Requests that share a commit. */
#define TOGETHER 256

/* How often a store that could be opened for reading only is tried again. */
#define DEGRADED_INTERVAL apr_time_from_sec(1)

#define OPEN_TRIES 4
#define BEGIN_TRIES 3
#define EXAMINE_TRIES 100

typedef struct environment {
    struct environment *next;
    dev_t device;
    ino_t inode;
    pid_t pid;
    int references; /* this and next: guarded by environments_lock */
    char *path;
    char *data_path;
    apr_uint64_t size;
    bool read_only;
    bool claimed;      /* nobody else has it: without locks of LMDB's own */
    bool unchecked;    /* its pages are somebody else's care */
    scim_kv_gate gate; /* guards mdb, dbi, generation and degraded */
    MDB_env *mdb;      /* NULL: could not be opened again so far */
    MDB_dbi dbi;
    unsigned int generation;
    bool degraded;         /* open for reading only, until its file system takes writes */
    atomic_llong reopened; /* when that was tried last */
    atomic_bool down;      /* to be opened again before it is used */
    atomic_bool unsettled; /* a write has failed: see settle */
    atomic_int fault;      /* why writing failed last; 0: it did not */
    atomic_int closed;     /* why opening it again did */
    atomic_uint views;     /* read transactions that are there, idle ones too */
    pthread_mutex_t writer;
    apr_time_t readers_checked; /* guarded by writer */
    pthread_mutex_t queue_lock; /* guards the next four */
    struct request *queue;
    struct request **queue_end;
    unsigned int queued;
    bool led; /* somebody of the queue leads, or has been told to */
    _Atomic(struct reader *) idle[SCIM_KV_GATE_LINES * IDLE_PER_LINE];
} environment;

typedef struct lmdb_kv {
    scim_kv base;
    environment *env;
    apr_interval_time_t timeout;
    bool read_only;
    unsigned int max_queue; /* 0: no limit */
    atomic_ullong updates;
    atomic_ullong commits;
} lmdb_kv;

typedef struct lmdb_cursor {
    scim_kv_cursor base;
    struct lmdb_cursor *next;
    bool listed;        /* in the transaction's list: it may have a handle */
    MDB_cursor *handle; /* NULL: to be found again by place and key */
    bool lasting;       /* a reader's: kept is its handle, in one view after the other */
    MDB_cursor *kept;   /* NULL: not made so far */
    enum { UNPLACED, AT_KEY, BEFORE_KEY } place;
    MDB_val key; /* in the store while handle stands, else in copy */
    unsigned char copy[SCIM_KV_MAX_KEY];
} lmdb_cursor;

/* What views take turns with: a read transaction, which is reset in between,
 * and cursors of it.  Making them takes memory, whose allocator the threads of a
 * busy child stand in line for. */
typedef struct reader {
    MDB_txn *txn;
    lmdb_cursor cursors[READER_CURSORS];
} reader;

typedef struct lmdb_txn {
    scim_kv_txn base;
    environment *env;
    unsigned int line; /* of the gate, and of idle readers */
    MDB_txn *handle;
    reader *reader;       /* of a view, whose transaction handle is */
    unsigned int taken;   /* of the reader's cursors */
    lmdb_cursor *cursors; /* that may have a handle */
    lmdb_cursor *spare;   /* closed, to be opened again */
    bool touched;         /* this job has written, or tried to and failed */
    scim_kv_rc failed;    /* the first write of this job that failed */
} lmdb_txn;

/* What a store holds, in the pages of LMDB. */
typedef struct usage {
    apr_uint64_t pages;
    apr_uint64_t entries;
    apr_uint64_t page_size;
} usage;

static pthread_mutex_t environments_lock = PTHREAD_MUTEX_INITIALIZER;
static environment *environments;

/*
 * Errors
 */

/* data.mdb is there with nothing in it, ends too early, or cannot be used: beside the
 * codes of LMDB and the system. */
enum { EMPTY_FILE = -1, CUT_FILE = -2, RUINED_FILE = -3 };

static scim_kv_rc translate(int err)
{
    switch (err) {
    case MDB_SUCCESS:
        return SCIM_KV_OK;
    case MDB_NOTFOUND:
    case ENOENT:
        return SCIM_KV_NOTFOUND;
    case MDB_KEYEXIST:
        return SCIM_KV_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return SCIM_KV_FULL;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SCIM_KV_DISK_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return SCIM_KV_READONLY;
    case MDB_READERS_FULL:
    case MDB_MAP_RESIZED:
    case EINTR:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return SCIM_KV_BUSY;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case EMPTY_FILE:
    case CUT_FILE:
    case RUINED_FILE:
        return SCIM_KV_CORRUPT;
    case MDB_BAD_VALSIZE:
        return SCIM_KV_INVALID;
    default:
        return SCIM_KV_IO;
    }
}

static bool disk_full(const environment *env)
{
    struct statvfs fs;

    return !statvfs(env->path, &fs) && (apr_uint64_t)fs.f_bavail * fs.f_frsize < 1024 * 1024;
}

/* For the result of beginning to write, writing and committing.  A full disk
 * shows as a short write, which LMDB reports as EIO. */
static scim_kv_rc write_error(environment *env, int err)
{
    if (err == EIO && disk_full(env)) {
        err = ENOSPC;
    }
    if (err == MDB_PANIC) {
        atomic_store(&env->down, true);
    }
    if (err > 0) {
        atomic_store(&env->unsettled, true);
        atomic_store(&env->fault, err);
    }
    return translate(err);
}

/*
 * Environments
 */

static char *path_in(const environment *env, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", env->path, name) < 0) {
        scim_heap_checked(NULL);
    }
    return path;
}

/* Whether there is a store to be opened: LMDB would make a new one where the file
 * is missing or empty.  What cannot be looked at is left to the open, which says
 * why. */
static int check_data(const environment *env)
{
    struct stat info;

    if (lstat(env->data_path, &info)) {
        return errno == ENOENT ? ENOENT : 0;
    }
    return info.st_size == 0 ? EMPTY_FILE : 0;
}

/* LMDB believes what it finds: a file that was cut, whose free pages or whose root are
 * damaged, would end this process, or be written over.  While the transaction is there
 * nobody uses a page of its state again.  Where others have committed twice before it
 * was looked at, that is left to who opens it next. */
static int check_pages(MDB_env *mdb, MDB_txn *txn)
{
    bool cut;
    int fd, err = mdb_env_get_fd(mdb, &fd);

    errno = 0; /* of a disk that fails */
    if (err || scim_kv_pages_open(&cut, fd, mdb_txn_id(txn)) != SCIM_KV_CORRUPT) {
        return err;
    }
    return errno ? errno : cut ? CUT_FILE : RUINED_FILE;
}

/* The unnamed database can be used only after some transaction has opened it. */
static int open_database(environment *env, MDB_env *mdb)
{
    MDB_txn *txn;
    int err;

    err = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &txn);
    if (!err) {
        err = env->unchecked ? 0 : check_pages(mdb, txn);
        if (!err) {
            err = mdb_dbi_open(txn, NULL, 0, &env->dbi);
        }
        mdb_txn_abort(txn);
    }
    return err;
}

/* LMDB leaves the file of the data, and no other, to every program that the
 * process runs: a CGI script of another user would have the store. */
static int keep_from_programs(MDB_env *mdb)
{
    int fd, err = mdb_env_get_fd(mdb, &fd);

    if (err) {
        return err;
    }
    return fcntl(fd, F_SETFD, FD_CLOEXEC) ? errno : 0;
}

static int open_once(environment *env, apr_uint64_t size)
{
    unsigned int flags =
        MDB_NOTLS | MDB_NORDAHEAD | (env->read_only || env->degraded ? MDB_RDONLY : 0);
    MDB_env *mdb;
    int err;

    err = mdb_env_create(&mdb);
    if (err) {
        return err;
    }
    if (!(err = mdb_env_set_maxreaders(mdb, MAX_READERS)) &&
        !(err = mdb_env_set_mapsize(mdb, size)) &&
        !(err = mdb_env_open(mdb, env->path, flags, 0600)) &&
        !(err = keep_from_programs(mdb)) && !(err = mdb_reader_check(mdb, NULL)) &&
        !(err = open_database(env, mdb))) {
        env->mdb = mdb;
    } else {
        mdb_env_close(mdb);
    }
    return err;
}

/* Whether an open that failed so may succeed a moment later: the lock file is
 * in between while another process opens or closes the store.  EINVAL: whoever
 * closes it last destroys the mutexes in it (LMDB 0.9.30), and who waited for its
 * lock finds them so, until somebody opens the store alone. */
static bool passing(int err)
{
    return err == MDB_INVALID || err == MDB_MAP_RESIZED || err == EAGAIN || err == EINTR ||
           err == EINVAL;
}

static int open_mdb(environment *env)
{
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    apr_uint64_t size = env->size;
    int tries = 0;
    int err;

    while ((err = open_once(env, size))) {
        if (passing(err) && tries < OPEN_TRIES) {
            tries++;
            nanosleep(&moment, NULL);
        } else if ((err == ENOMEM || err == EINVAL) && size / 2 >= SMALLEST_SIZE) {
            size /= 2;
        } else {
            break;
        }
    }
    return err;
}

static void free_reader(reader *r)
{
    for (int i = 0; i < READER_CURSORS; i++) {
        mdb_cursor_close(r->cursors[i].kept);
    }
    free(r);
}

static void close_reader(reader *r)
{
    MDB_txn *txn = r->txn;

    free_reader(r);
    mdb_txn_abort(txn);
}

static void close_mdb(environment *env)
{
    for (int i = 0; i < SCIM_KV_GATE_LINES * IDLE_PER_LINE; i++) {
        reader *r = atomic_exchange(&env->idle[i], NULL);

        if (r) {
            close_reader(r);
        }
    }
    atomic_store(&env->views, 0);
    if (env->mdb) {
        mdb_env_close(env->mdb);
    }
    env->mdb = NULL;
}

/* Never makes a new store where the old one was removed.  A disk that fails is
 * often made read-only by the kernel just then: the store is read on.  LMDB
 * locks nothing on such a file system, which is safe while it takes nobody's
 * writes; how long it stays open so after that is bounded by DEGRADED_INTERVAL,
 * and what is read has checksums. */
static int reopen(environment *env)
{
    int err;

    close_mdb(env);
    atomic_store(&env->down, false);
    atomic_store(&env->reopened, apr_time_now());
    env->degraded = false;
    err = check_data(env);
    if (!err) {
        err = open_mdb(env);
    }
    if (err == EROFS && !env->read_only) {
        env->degraded = true;
        err = open_mdb(env);
    }
    return err;
}

/* Whether it is time to see if a store that is read only takes writes again. */
static bool may_recover(environment *env)
{
    apr_time_t since = apr_time_now() - atomic_load(&env->reopened);

    return env->degraded && (since >= DEGRADED_INTERVAL || since < 0);
}

static environment *environment_make(const char *path, const struct stat *info,
                                     const scim_kv_options *options)
{
    environment *env = scim_heap_checked(aligned_alloc(_Alignof(environment), sizeof(*env)));
    apr_uint64_t size = options->size ? options->size : DEFAULT_SIZE;

    memset(env, 0, sizeof(*env));
    env->device = info->st_dev;
    env->inode = info->st_ino;
    env->pid = getpid();
    env->claimed = options->claim != NULL;
    env->unchecked = options->unchecked;
    env->readers_checked = apr_time_now(); /* opening does it too */
    env->size = (size + GRAIN - 1) / GRAIN * GRAIN;
    env->path = scim_heap_checked(strdup(path));
    env->data_path = path_in(env, "data.mdb");
    scim_kv_gate_init(&env->gate);
    scim_kv_lock_init(&env->writer);
    pthread_mutex_init(&env->queue_lock, NULL);
    env->queue_end = &env->queue;
    return env;
}

static void environment_free(environment *env)
{
    close_mdb(env);
    pthread_mutex_destroy(&env->queue_lock);
    pthread_mutex_destroy(&env->writer);
    scim_kv_gate_destroy(&env->gate);
    free(env->data_path);
    free(env->path);
    free(env);
}

/* Whose the store is, where that is somebody else. */
static const char *other_owner(const environment *env, apr_pool_t *pool)
{
    const char *const paths[] = {env->path, env->data_path,
                                 apr_pstrcat(pool, env->path, "/lock.mdb", NULL)};
    struct stat info;
    char *name = NULL;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!stat(paths[i], &info) && info.st_uid != geteuid()) {
            bool known = apr_uid_name_get(&name, info.st_uid, pool) == APR_SUCCESS;

            return apr_psprintf(pool, "; %s belongs to user %s (uid %lu)", paths[i],
                                known ? name : "without a name", (unsigned long)info.st_uid);
        }
    }
    return "";
}

static scim_kv_rc explain(const environment *env, int err, const char **why, apr_pool_t *pool)
{
    const char *user = scim_kv_user(pool);

    switch (err) {
    case EACCES:
    case EPERM:
        *why = apr_psprintf(pool,
                            "user %s may not open the store in %s: %s; the directory (mode "
                            "0700) and its files (0600) must belong to that user%s",
                            user, env->path, mdb_strerror(err), other_owner(env, pool));
        return eaccess(env->data_path, R_OK) ? SCIM_KV_IO : SCIM_KV_READONLY;
    case EROFS:
        *why = apr_psprintf(pool,
                            "the file system of the store in %s is mounted read-only, and user "
                            "%s is to write to it; mount it for writing",
                            env->path, user);
        return SCIM_KV_READONLY;
    case ENOSPC:
    case EDQUOT:
        *why = apr_psprintf(pool,
                            "no space for the store in %s (user %s): free some, or raise "
                            "the quota",
                            env->path, user);
        return SCIM_KV_DISK_FULL;
    case EMPTY_FILE:
        *why = apr_psprintf(pool,
                            "%s is empty, as something other than mod_scim left it; restore it "
                            "from a backup, or remove it for a new store to be made by user %s",
                            env->data_path, user);
        return SCIM_KV_CORRUPT;
    case CUT_FILE:
    case RUINED_FILE:
        *why = apr_psprintf(
            pool, "%s %s; restore a backup (scimctl restore), as user %s", env->data_path,
            err == CUT_FILE ? "is cut short: pages that were written are missing"
                            : "is damaged: the list of its free pages, or its root",
            user);
        return SCIM_KV_CORRUPT;
    case EMFILE:
    case ENFILE:
        *why = apr_psprintf(pool,
                            "too many open files for the store in %s; raise the limit "
                            "(ulimit -n, LimitNOFILE) of user %s",
                            env->path, user);
        return SCIM_KV_BUSY;
    case ENOMEM:
        *why = apr_psprintf(pool,
                            "the system refuses to map the store in %s; raise the limit of "
                            "address space (ulimit -v, LimitAS) of user %s",
                            env->path, user);
        return SCIM_KV_IO;
    case MDB_READERS_FULL:
        *why = apr_psprintf(pool,
                            "all %d reader slots of the store in %s are taken; stop what "
                            "else uses it",
                            MAX_READERS, env->path);
        return SCIM_KV_BUSY;
    default:
        *why = apr_psprintf(
            pool, "the store in %s cannot be opened by user %s: %s%s", env->path, user,
            mdb_strerror(err),
            translate(err) == SCIM_KV_CORRUPT ? "; restore a backup (scimctl restore)" : "");
        return translate(err);
    }
}

/* The entry of the directory is made durable too: else a power cut might take
 * the file with all that was committed to it. */
static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 || fsync(fd) ? errno : 0;

    if (fd >= 0) {
        close(fd);
    }
    return err;
}

static int make_file(const char *path)
{
    MDB_env *mdb;
    int err = mdb_env_create(&mdb);

    if (err) {
        return err;
    }
    err = mdb_env_open(mdb, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
    if (!err) {
        err = mdb_env_sync(mdb, 1);
    }
    mdb_env_close(mdb);
    return err;
}

/* Not where there is one by now.  Some file systems cannot do that in one step. */
static int name_new(const char *from, const char *to)
{
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)) {
        return 0;
    }
    return errno == EINVAL && !link(from, to) ? 0 : errno;
}

/* A new store is there whole or not at all: so one that is empty is known for
 * one that was emptied.  Somebody else may make it in the same moment. */
static int make_store(const environment *env)
{
    char name[48], *path;
    int err;

    snprintf(name, sizeof(name), "data.mdb.%ld", (long)getpid());
    path = path_in(env, name);
    err = make_file(path);
    if (!err && (err = name_new(path, env->data_path)) == EEXIST) {
        err = 0;
    }
    unlink(path);
    free(path);
    return err ? err : sync_directory(env->path);
}

static int open_first(environment *env, bool exists, bool read_only)
{
    int err = exists ? 0 : make_store(env);

    if (!err) {
        err = open_mdb(env);
    }
    if ((err == EACCES || err == EROFS) && read_only) {
        env->read_only = true;
        err = open_mdb(env);
    }
    return err;
}

static scim_kv_rc environment_open(environment **out, const char *path, const struct stat *info,
                                   const scim_kv_options *options, const char **why,
                                   apr_pool_t *pool)
{
    environment *env = environment_make(path, info, options);
    int err = check_data(env);
    bool exists = err != ENOENT;
    scim_kv_rc rc = SCIM_KV_OK;

    if (!exists && (!options->create || options->read_only)) {
        *why = apr_psprintf(pool,
                            "there is no store in %s (no file data.mdb); make one with "
                            "scimctl init, as user %s",
                            path, scim_kv_user(pool));
        rc = SCIM_KV_NOTFOUND;
    } else if ((exists && err) || (err = open_first(env, exists, options->read_only))) {
        rc = explain(env, err, why, pool);
    }
    if (rc != SCIM_KV_OK) {
        environment_free(env);
        return rc;
    }
    *out = env;
    return SCIM_KV_OK;
}

static environment *find_environment(const struct stat *info)
{
    environment *env = environments;

    while (env && (env->device != info->st_dev || env->inode != info->st_ino ||
                   env->pid != getpid())) {
        env = env->next;
    }
    return env;
}

static scim_kv_rc share_environment(environment **out, const char *path,
                                    const struct stat *info, const scim_kv_options *options,
                                    const char **why, apr_pool_t *pool)
{
    environment *env = find_environment(info);
    scim_kv_rc rc;

    if (env && env->read_only && !options->read_only) {
        *why = apr_psprintf(pool, "the store in %s is open, and user %s may only read it", path,
                            scim_kv_user(pool));
        return SCIM_KV_READONLY;
    }
    if (!env) {
        rc = environment_open(&env, path, info, options, why, pool);
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        env->next = environments;
        environments = env;
    }
    env->references++;
    *out = env;
    return SCIM_KV_OK;
}

static void unlink_environment(environment *env)
{
    environment **link = &environments;

    while (*link != env) {
        link = &(*link)->next;
    }
    *link = env->next;
}

/* A process that is told to die inside a transaction closes with it under way:
 * then the environment stays as it is, for the exit to clear up. */
static void leave_environment(environment *env)
{
    if (--env->references == 0 && scim_kv_gate_empty(&env->gate)) {
        unlink_environment(env);
        environment_free(env);
    }
}

static scim_kv_rc lmdb_open(scim_kv **out, const char *where, const scim_kv_options *options,
                            const char **why, apr_pool_t *pool)
{
    environment *env;
    struct stat info;
    lmdb_kv *kv;
    scim_kv_rc rc;

    if (*where != '/') {
        *why = apr_psprintf(pool, "\"lmdb:%s\" needs the absolute path of a directory", where);
        return SCIM_KV_INVALID;
    }
    rc = scim_kv_directory(where, &info, why, pool);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    pthread_mutex_lock(&environments_lock);
    rc = share_environment(&env, where, &info, options, why, pool);
    pthread_mutex_unlock(&environments_lock);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    kv = apr_pcalloc(pool, sizeof(*kv));
    kv->env = env;
    kv->max_queue = options->max_queue;
    kv->timeout = options->timeout ? options->timeout : SCIM_KV_DEFAULT_TIMEOUT;
    kv->read_only = options->read_only;
    *out = &kv->base;
    return SCIM_KV_OK;
}

static void lmdb_close(scim_kv *base)
{
    lmdb_kv *kv = (lmdb_kv *)base;

    pthread_mutex_lock(&environments_lock);
    leave_environment(kv->env);
    pthread_mutex_unlock(&environments_lock);
}

/*
 * Transactions
 */

static lmdb_kv *store_of(const lmdb_txn *txn)
{
    return (lmdb_kv *)txn->base.kv;
}

/* The line of this processor: what a reader needs is still in its cache, however
 * many threads take turns on it.  One that is moved meanwhile shares a line. */
static unsigned int choose_line(void)
{
    return (unsigned int)sched_getcpu() % SCIM_KV_GATE_LINES;
}

static _Atomic(reader *) *idle_line(environment *env, unsigned int line)
{
    return env->idle + line * IDLE_PER_LINE;
}

static bool put_idle(environment *env, reader *r, unsigned int at)
{
    _Atomic(reader *) *line = idle_line(env, at);

    for (int i = 0; i < IDLE_PER_LINE; i++) {
        reader *none = NULL;

        if (atomic_compare_exchange_strong(&line[i], &none, r)) {
            return true;
        }
    }
    return false;
}

static void discard_reader(environment *env, reader *r)
{
    close_reader(r);
    atomic_fetch_sub(&env->views, 1);
}

static reader *new_reader(MDB_txn *txn)
{
    reader *r = scim_heap_checked(malloc(sizeof(*r)));

    r->txn = txn;
    for (int i = 0; i < READER_CURSORS; i++) {
        r->cursors[i].lasting = true;
        r->cursors[i].kept = NULL;
    }
    return r;
}

static int make_reader(environment *env, reader **out)
{
    int err = MDB_READERS_FULL;
    MDB_txn *txn;

    if (atomic_fetch_add(&env->views, 1) < MAX_VIEWS) {
        err = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    }
    if (err) {
        atomic_fetch_sub(&env->views, 1);
        return err;
    }
    *out = new_reader(txn);
    return 0;
}

/* The transaction keeps its slot in the table of readers while it is idle: taking
 * one costs a lock that all processes share.  NOTFOUND where none is idle. */
static int take_idle(environment *env, unsigned int at, reader **out)
{
    _Atomic(reader *) *line = idle_line(env, at);

    for (int i = 0; i < IDLE_PER_LINE; i++) {
        reader *idle = atomic_exchange(&line[i], NULL);
        int err = idle ? mdb_txn_renew(idle->txn) : MDB_BAD_RSLOT;

        if (!err) {
            *out = idle;
            return 0;
        }
        /* A slot lost to another process is not ours to give back: such a
         * transaction is abandoned. */
        if (err != MDB_BAD_RSLOT) {
            if (!put_idle(env, idle, at)) {
                discard_reader(env, idle);
            }
            return err;
        }
        if (idle) {
            free_reader(idle);
        }
    }
    return MDB_NOTFOUND;
}

static int take_reader(environment *env, unsigned int at, reader **out)
{
    int err = take_idle(env, at, out);

    if (err == MDB_NOTFOUND) {
        err = make_reader(env, out);
    }
    /* Where there can be no more, those of other processors do as well. */
    for (unsigned int i = 1; i < SCIM_KV_GATE_LINES && err == MDB_READERS_FULL; i++) {
        int other = take_idle(env, (at + i) % SCIM_KV_GATE_LINES, out);

        err = other == MDB_NOTFOUND ? err : other;
    }
    return err;
}

static int start_view(lmdb_txn *txn)
{
    int err = take_reader(txn->env, txn->line, &txn->reader);

    if (!err) {
        txn->handle = txn->reader->txn;
    }
    return err;
}

static void stop_view(lmdb_txn *txn)
{
    mdb_txn_reset(txn->handle);
    if (!put_idle(txn->env, txn->reader, txn->line)) {
        discard_reader(txn->env, txn->reader);
    }
}

/* Writes to a file the bytes that it has at its beginning, and syncs it. */
static int write_again(int fd, size_t size)
{
    void *bytes = scim_heap_checked(malloc(size));
    int err = 0;

    errno = EIO; /* of what is short */
    if (pread(fd, bytes, size, 0) != (ssize_t)size ||
        pwrite(fd, bytes, size, 0) != (ssize_t)size || fdatasync(fd)) {
        err = errno;
    }
    free(bytes);
    return err;
}

/* After a write that failed, before the next one.
 *
 * The kernel reports a failed sync once and may then take pages for clean that
 * the disk never got: a sync that succeeds later says nothing about them, and
 * to open the file again shows the same pages from memory.  The pages of data
 * do no harm.  LMDB never changes a page that a committed transaction refers
 * to, and commits name a new root only when a sync of all before it succeeded:
 * what the failed one wrote is referred to by nobody, and whoever uses these
 * pages next writes them whole.  So nothing that was acknowledged rests on
 * them, and views go on.
 *
 * The two pages that name the root are another matter.  Where writing one of
 * them failed, LMDB puts back what makes it invalid, but does not sync that;
 * the disk may have it still.  Would then the next transaction use the pages of
 * the failed one, and the power fail in the middle of its sync, a root could be
 * found whose pages are overwritten.  So both are written and synced as they
 * are now, while nobody else writes: until that succeeds the store is
 * read-only. */
static int settle(environment *env)
{
    MDB_stat stat;
    int fd, err;

    if (!atomic_load(&env->unsettled)) {
        return 0;
    }
    if (!(err = mdb_env_stat(env->mdb, &stat)) && !(err = mdb_env_get_fd(env->mdb, &fd)) &&
        !(err = write_again(fd, 2 * (size_t)stat.ms_psize))) {
        atomic_store(&env->unsettled, false);
    }
    return err;
}

static int start_update(lmdb_txn *txn)
{
    environment *env = txn->env;
    int err;

    if (env->degraded) {
        return EROFS;
    }
    err = mdb_txn_begin(env->mdb, NULL, 0, &txn->handle);
    if (!err && (err = settle(env))) {
        mdb_txn_abort(txn->handle);
    }
    return err;
}

static int start(lmdb_txn *txn)
{
    environment *env = txn->env;

    if (!env->mdb || atomic_load(&env->down) || may_recover(env)) {
        return MDB_PANIC;
    }
    return txn->base.writable ? start_update(txn) : start_view(txn);
}

static int check_readers(environment *env)
{
    unsigned int line = choose_line();
    int freed = 0;

    scim_kv_gate_enter(&env->gate, line);
    if (env->mdb) {
        mdb_reader_check(env->mdb, &freed);
    }
    scim_kv_gate_leave(&env->gate, line);
    return freed;
}

/* The gate is closed: this process has no transaction. */
static int change(environment *env, int err)
{
    env->generation++;
    if (err == MDB_MAP_RESIZED && mdb_env_set_mapsize(env->mdb, 0) == 0) {
        return 0;
    }
    err = reopen(env);
    atomic_store(&env->closed, err);
    switch (translate(err)) {
    case SCIM_KV_OK:
    case SCIM_KV_CORRUPT:
    case SCIM_KV_BUSY:
        return err;
    default:
        /* NOTFOUND or READONLY would be taken for the answer of a function */
        return MDB_PANIC;
    }
}

/* Waits for the transactions of this process to end, and makes the change that
 * err asks for unless another thread just did. */
static int change_alone(lmdb_txn *txn, int err, unsigned int generation)
{
    environment *env = txn->env;

    if (!scim_kv_gate_close(&env->gate, apr_time_now() + store_of(txn)->timeout)) {
        return MDB_MAP_RESIZED; /* the caller answers BUSY */
    }
    err = env->generation == generation ? change(env, err) : 0;
    scim_kv_gate_open(&env->gate);
    return err;
}

/* 0: begin once more. */
static int heal(lmdb_txn *txn, int err, unsigned int generation)
{
    switch (err) {
    case MDB_READERS_FULL:
        check_readers(txn->env);
        return 0;
    case MDB_MAP_RESIZED:
    case MDB_PANIC:
        return change_alone(txn, err, generation);
    default:
        return err;
    }
}

/* On success this thread is inside the gate. */
static scim_kv_rc begin(lmdb_txn *txn)
{
    environment *env = txn->env;
    int err = 0;

    txn->line = choose_line();
    for (int tries = 1; !err; tries++) {
        unsigned int generation;

        scim_kv_gate_enter(&env->gate, txn->line);
        generation = env->generation;
        err = start(txn);
        if (!err) {
            return SCIM_KV_OK;
        }
        scim_kv_gate_leave(&env->gate, txn->line);
        if (tries < BEGIN_TRIES) {
            err = heal(txn, err, generation);
        }
    }
    /* the reason of a panic is remembered already */
    return txn->base.writable && err != MDB_PANIC ? write_error(env, err) : translate(err);
}

static scim_kv_rc begin_view(lmdb_txn *txn, lmdb_kv *kv)
{
    *txn = (lmdb_txn){.base = {.kv = &kv->base}, .env = kv->env};
    return begin(txn);
}

static void drop_handle(lmdb_cursor *cursor)
{
    if (!cursor->lasting) {
        mdb_cursor_close(cursor->handle);
    }
    cursor->handle = NULL;
}

static void close_cursors(lmdb_txn *txn)
{
    for (lmdb_cursor *cursor = txn->cursors; cursor; cursor = cursor->next) {
        drop_handle(cursor);
    }
    txn->cursors = txn->spare = NULL;
    scim_kv_arena_clear(&txn->base);
}

static void end_view(lmdb_txn *txn)
{
    close_cursors(txn);
    stop_view(txn);
    scim_kv_gate_leave(&txn->env->gate, txn->line);
}

static scim_kv_rc lmdb_view(scim_kv *base, scim_kv_fn fn, void *baton)
{
    lmdb_txn txn;
    scim_kv_rc rc;

    rc = begin_view(&txn, (lmdb_kv *)base);
    if (rc == SCIM_KV_OK) {
        rc = fn(&txn.base, baton);
        end_view(&txn);
    }
    return rc;
}

/* A transaction that failed may be followed by another of its number, once the
 * environment is open again. */
static apr_uint64_t lmdb_state(scim_kv_txn *base)
{
    lmdb_txn *txn = (lmdb_txn *)base;

    return (apr_uint64_t)txn->env->generation << 48 | mdb_txn_id(txn->handle);
}

/*
 * Updates.  The last 5 % of the map is for deletions: a store that is full
 * must be able to get rid of something.
 */

static int measure(MDB_txn *txn, MDB_dbi dbi, usage *out)
{
    enum { FREE_LIST = 0, META_PAGES = 2 };
    MDB_stat data, list;
    int err;

    if (!(err = mdb_stat(txn, dbi, &data)) && !(err = mdb_stat(txn, FREE_LIST, &list))) {
        out->pages = data.ms_branch_pages + data.ms_leaf_pages + data.ms_overflow_pages +
                     list.ms_branch_pages + list.ms_leaf_pages + list.ms_overflow_pages +
                     META_PAGES;
        out->entries = data.ms_entries;
        out->page_size = data.ms_psize;
    }
    return err;
}

/* Beyond the limit an update may take no more pages than there were, or, since
 * a deletion can split a page, one for each entry that is gone. */
static bool beyond_limit(environment *env, usage before, usage after)
{
    apr_uint64_t grown = after.pages - before.pages;
    MDB_envinfo info;

    mdb_env_info(env->mdb, &info);
    if (after.pages <= before.pages ||
        after.pages * after.page_size <= info.me_mapsize / 100 * 95) {
        return false;
    }
    return after.entries >= before.entries || grown > before.entries - after.entries;
}

static scim_kv_rc run_job(lmdb_txn *txn, const scim_kv_job *job)
{
    environment *env = txn->env;
    usage before, after;
    scim_kv_rc rc;

    txn->touched = false;
    txn->failed = SCIM_KV_OK;
    rc = translate(measure(txn->handle, env->dbi, &before));
    if (rc == SCIM_KV_OK) {
        rc = job->fn(&txn->base, job->baton);
        close_cursors(txn);
    }
    if (rc == SCIM_KV_OK) {
        rc = txn->failed;
    }
    if (rc == SCIM_KV_OK && txn->touched) {
        rc = translate(measure(txn->handle, env->dbi, &after));
        if (rc == SCIM_KV_OK && beyond_limit(env, before, after)) {
            rc = SCIM_KV_FULL;
        }
    }
    return rc;
}

/*
 * Requests.  Updates of one process queue.  The first to arrive leads: it
 * begins the transaction, which waits for the writers of other processes, and
 * only then takes what has queued meanwhile, runs it in order, commits once,
 * wakes those it worked for and hands on to whoever has queued since.  Nobody
 * waits for company.
 */

typedef enum request_state { REQUEST_QUEUED, REQUEST_LEADS, REQUEST_TAKEN } request_state;

/* The jobs of one call, on the stack of the thread that waits for them. */
typedef struct request {
    struct request *next;
    scim_kv_job *jobs;
    int count;
    apr_time_t since;    /* when it queued */
    scim_kv_rc rc;       /* of the transaction that they were in */
    request_state state; /* guarded by queue_lock */
    sem_t turn;          /* posted when it is done, or to lead */
} request;

/* The environment that this thread is writing to. */
static _Thread_local const environment *writing;

static void finish_request(request *r, scim_kv_rc rc)
{
    for (int i = 0; i < r->count && rc != SCIM_KV_OK; i++) {
        r->jobs[i].rc = r->jobs[i].rc == SCIM_KV_OK ? rc : r->jobs[i].rc;
    }
    r->rc = rc;
}

static void refuse_requests(request *list, scim_kv_rc rc)
{
    for (; list; list = list->next) {
        for (int i = 0; i < list->count; i++) {
            list->jobs[i].rc = rc;
        }
        list->rc = rc;
    }
}

/* False where a job failed after it had written. */
static bool run_requests(lmdb_txn *txn, request *list)
{
    for (; list; list = list->next) {
        for (int i = 0; i < list->count; i++) {
            scim_kv_job *job = &list->jobs[i];

            job->rc = run_job(txn, job);
            if (job->rc != SCIM_KV_OK && txn->touched) {
                return false;
            }
        }
    }
    return true;
}

static int count_successes(const request *list)
{
    int successes = 0;

    for (; list; list = list->next) {
        for (int i = 0; i < list->count; i++) {
            successes += list->jobs[i].rc == SCIM_KV_OK;
        }
    }
    return successes;
}

static scim_kv_rc commit(lmdb_txn *txn, request *list)
{
    scim_kv_rc rc = write_error(txn->env, mdb_txn_commit(txn->handle));

    if (rc == SCIM_KV_OK) {
        atomic_store(&txn->env->fault, 0);
        atomic_fetch_add(&store_of(txn)->updates, count_successes(list));
        atomic_fetch_add(&store_of(txn)->commits, 1);
    }
    for (; list; list = list->next) {
        finish_request(list, rc);
    }
    return rc;
}

/* Takes from the queue what one transaction will hold. */
static request *drain(environment *env)
{
    request *list, *last;
    unsigned taken = 0;

    pthread_mutex_lock(&env->queue_lock);
    list = last = env->queue;
    for (request *r = list; r && taken < TOGETHER; r = r->next) {
        r->state = REQUEST_TAKEN;
        last = r;
        taken++;
    }
    /* Never empty: the one who leads stands in it.  NOLINTNEXTLINE(*.NullDereference) */
    env->queue = last->next;
    env->queued -= taken;
    if (!env->queue) {
        env->queue_end = &env->queue;
    }
    last->next = NULL;
    pthread_mutex_unlock(&env->queue_lock);
    return list;
}

/* One physical transaction.  *list NULL: of those who queue when it has begun.
 * *spoilt: it was given up, because a job failed after it had written or
 * because the commit failed; nothing was kept. */
static scim_kv_rc run_together(lmdb_kv *kv, request **list, bool *spoilt)
{
    lmdb_txn txn = {.base = {.kv = &kv->base, .writable = true}, .env = kv->env};
    scim_kv_rc rc = begin(&txn);

    *spoilt = false;
    if (!*list) {
        *list = drain(kv->env);
    }
    if (rc != SCIM_KV_OK) {
        refuse_requests(*list, rc);
        return rc;
    }
    if (run_requests(&txn, *list)) {
        rc = commit(&txn, *list);
        *spoilt = rc != SCIM_KV_OK;
    } else {
        mdb_txn_abort(txn.handle);
        *spoilt = true;
    }
    scim_kv_gate_leave(&kv->env->gate, txn.line);
    return rc;
}

/* Readers that died keep old pages from being used again; where that is why
 * there is no room, the second try finds some. */
static scim_kv_rc retry_full(lmdb_kv *kv, request *single, scim_kv_rc rc)
{
    bool spoilt;
    bool full = single->jobs[0].rc == SCIM_KV_FULL || single->jobs[0].rc == SCIM_KV_DISK_FULL;

    return full && check_readers(kv->env) > 0 ? run_together(kv, &single, &spoilt) : rc;
}

static scim_kv_rc run_alone(lmdb_kv *kv, scim_kv_job *job, bool once)
{
    request own = {.jobs = job, .count = 1}, *list = &own;
    bool spoilt;
    scim_kv_rc rc = run_together(kv, &list, &spoilt);

    return once ? rc : retry_full(kv, &own, rc);
}

/* So that the one that cannot be done takes no other with it. */
static void run_each(lmdb_kv *kv, request *list)
{
    for (; list; list = list->next) {
        list->rc = SCIM_KV_OK;
        for (int i = 0; i < list->count; i++) {
            scim_kv_rc rc = run_alone(kv, &list->jobs[i], false);

            list->rc = list->rc == SCIM_KV_OK ? rc : list->rc;
        }
    }
}

/* The pages that a dead reader holds cost the writers, so they look. */
static void check_readers_in_time(environment *env)
{
    apr_time_t now = apr_time_now();

    if (now - env->readers_checked >= READERS_CHECK_INTERVAL || now < env->readers_checked) {
        env->readers_checked = now;
        check_readers(env);
    }
}

/* Becomes the one writer of this process. */
static scim_kv_rc start_writing(lmdb_kv *kv)
{
    scim_kv_rc rc = scim_kv_lock(&kv->env->writer, kv->timeout);

    if (rc == SCIM_KV_OK) {
        writing = kv->env;
    }
    return rc;
}

static void stop_writing(lmdb_kv *kv)
{
    check_readers_in_time(kv->env);
    writing = NULL;
    pthread_mutex_unlock(&kv->env->writer);
}

/* The next in the queue leads; first of all, so that it begins while those who
 * are done wake. */
static void hand_on(environment *env)
{
    pthread_mutex_lock(&env->queue_lock);
    if (env->queue) {
        env->queue->state = REQUEST_LEADS;
        sem_post(&env->queue->turn);
    }
    env->led = env->queue != NULL;
    pthread_mutex_unlock(&env->queue_lock);
}

/* A request is its owner's again, and may be gone, once its turn is posted. */
static void wake(request *list, const request *own)
{
    while (list) {
        request *next = list->next;

        if (list != own) {
            sem_post(&list->turn);
        }
        list = next;
    }
}

/* Takes a request out of the queue, if it is there in that state: else it is
 * being worked on, or was told to lead. */
static bool unqueue(environment *env, request *own, request_state state)
{
    request **link = &env->queue;
    bool there;

    pthread_mutex_lock(&env->queue_lock);
    there = own->state == state;
    if (there) {
        while (*link != own) {
            link = &(*link)->next;
        }
        *link = own->next;
        if (!*link) {
            env->queue_end = link;
        }
        own->next = NULL;
        env->queued--;
    }
    pthread_mutex_unlock(&env->queue_lock);
    return there;
}

static void lead(lmdb_kv *kv, request *own)
{
    request *list = NULL;
    bool spoilt = false;
    scim_kv_rc rc = start_writing(kv);

    if (rc == SCIM_KV_OK) {
        rc = run_together(kv, &list, &spoilt);
        if (!list->next && list->count == 1) {
            list->rc = retry_full(kv, list, rc);
        } else if (spoilt) {
            run_each(kv, list);
        }
        stop_writing(kv);
    } else {
        unqueue(kv->env, own, REQUEST_LEADS);
        refuse_requests(own, rc);
    }
    hand_on(kv->env);
    wake(list, own);
}

/* Who queues holds a thread that readers may need.  A burst is done in a moment
 * and may be as long as it likes; where the first in the queue has waited for
 * some time, those who come now would wait in vain. */
static bool has_fill(const lmdb_kv *kv, apr_time_t now)
{
    const environment *env = kv->env;

    return kv->max_queue && env->queued >= kv->max_queue &&
           now - env->queue->since > kv->timeout / 10;
}

static bool enqueue(lmdb_kv *kv, request *own, bool *leads)
{
    environment *env = kv->env;
    bool room;

    pthread_mutex_lock(&env->queue_lock);
    own->since = apr_time_now();
    room = !has_fill(kv, own->since);
    if (room) {
        *leads = !env->led;
        own->state = *leads ? REQUEST_LEADS : REQUEST_QUEUED;
        env->led = true;
        *env->queue_end = own;
        env->queue_end = &own->next;
        env->queued++;
    }
    pthread_mutex_unlock(&env->queue_lock);
    return room;
}

static void await(sem_t *turn)
{
    while (sem_wait(turn)) {
    }
}

/* Until it is done or has to lead; false where nobody took it in time. */
static bool wait_turn(lmdb_kv *kv, request *own)
{
    apr_time_t end = apr_time_now() + kv->timeout;
    struct timespec until = {.tv_sec = apr_time_sec(end), .tv_nsec = apr_time_usec(end) * 1000};

    while (sem_timedwait(&own->turn, &until)) {
        if (errno == ETIMEDOUT) {
            if (unqueue(kv->env, own, REQUEST_QUEUED)) {
                return false;
            }
            await(&own->turn);
            break;
        }
    }
    return true;
}

static void queue_up(lmdb_kv *kv, request *own)
{
    bool leads;

    if (!enqueue(kv, own, &leads) || (!leads && !wait_turn(kv, own))) {
        refuse_requests(own, SCIM_KV_BUSY);
    } else if (own->state == REQUEST_LEADS) {
        lead(kv, own);
    }
}

static scim_kv_rc lmdb_update_all(scim_kv *base, scim_kv_job *jobs, int count)
{
    lmdb_kv *kv = (lmdb_kv *)base;
    request own = {.jobs = jobs, .count = count};

    if (kv->read_only || writing == kv->env) {
        refuse_requests(&own, kv->read_only ? SCIM_KV_READONLY : SCIM_KV_INVALID);
        return own.rc;
    }
    sem_init(&own.turn, 0, 0);
    queue_up(kv, &own);
    sem_destroy(&own.turn);
    return own.rc;
}

static scim_kv_rc lmdb_update_exclusive(scim_kv *base, scim_kv_fn fn, void *baton)
{
    lmdb_kv *kv = (lmdb_kv *)base;
    scim_kv_job job = {.fn = fn, .baton = baton};

    job.rc = kv->read_only ? SCIM_KV_READONLY : start_writing(kv);
    if (job.rc == SCIM_KV_OK) {
        run_alone(kv, &job, true);
        stop_writing(kv);
    }
    return job.rc;
}

/*
 * Keys and values
 */

static MDB_val val_of(scim_slice slice)
{
    return (MDB_val){slice.len, (void *)slice.data};
}

static scim_slice slice_of(MDB_val val)
{
    return (scim_slice){val.mv_data, val.mv_size};
}

static scim_kv_rc lmdb_get(scim_kv_txn *base, scim_slice key, scim_slice *value)
{
    lmdb_txn *txn = (lmdb_txn *)base;
    MDB_val k = val_of(key);
    MDB_val v;
    int err;

    err = mdb_get(txn->handle, txn->env->dbi, &k, &v);
    if (!err) {
        *value = slice_of(v);
    }
    return translate(err);
}

/* From now on the cursor is only a place and a key. */
static void detach(lmdb_cursor *cursor)
{
    if (!cursor->handle) {
        return;
    }
    if (cursor->place == AT_KEY && cursor->key.mv_data != cursor->copy) {
        memcpy(cursor->copy, cursor->key.mv_data, cursor->key.mv_size);
        cursor->key.mv_data = cursor->copy;
    }
    drop_handle(cursor);
}

/* The list is emptied: a long update opens many cursors, and each of its
 * writes must look only at those that were moved since the last. */
static void detach_cursors(lmdb_txn *txn)
{
    for (lmdb_cursor *cursor = txn->cursors; cursor; cursor = cursor->next) {
        detach(cursor);
        cursor->listed = false;
    }
    txn->cursors = NULL;
}

static scim_kv_rc written(lmdb_txn *txn, int err)
{
    scim_kv_rc rc;

    if (err == MDB_KEYEXIST || err == MDB_NOTFOUND) {
        return translate(err);
    }
    txn->touched = true;
    rc = write_error(txn->env, err);
    if (rc != SCIM_KV_OK && txn->failed == SCIM_KV_OK) {
        txn->failed = rc;
    }
    return rc;
}

/* LMDB moves bytes within a page before it reads what it was given, so what it
 * is given must not lie in a page. */
static int put_copy(lmdb_txn *txn, scim_slice key, scim_slice value, unsigned int flags)
{
    unsigned char *bytes = scim_heap_checked(malloc(key.len + value.len));
    MDB_val k = {key.len, bytes};
    MDB_val v = {value.len, bytes + key.len};
    int err;

    memcpy(k.mv_data, key.data, key.len);
    if (value.len) {
        memcpy(v.mv_data, value.data, value.len);
    }
    detach_cursors(txn);
    err = mdb_put(txn->handle, txn->env->dbi, &k, &v, flags);
    free(bytes);
    return err;
}

static scim_kv_rc lmdb_put(scim_kv_txn *base, scim_slice key, scim_slice value,
                           bool no_overwrite)
{
    lmdb_txn *txn = (lmdb_txn *)base;

    return written(txn, put_copy(txn, key, value, no_overwrite ? MDB_NOOVERWRITE : 0));
}

static scim_kv_rc lmdb_append(scim_kv_txn *base, scim_slice key, scim_slice value)
{
    lmdb_txn *txn = (lmdb_txn *)base;
    int err = put_copy(txn, key, value, MDB_APPEND);

    return err == MDB_KEYEXIST ? SCIM_KV_INVALID : written(txn, err);
}

static scim_kv_rc lmdb_del(scim_kv_txn *base, scim_slice key)
{
    lmdb_txn *txn = (lmdb_txn *)base;
    unsigned char bytes[SCIM_KV_MAX_KEY];
    MDB_val k = {key.len, bytes};

    memcpy(bytes, key.data, key.len);
    detach_cursors(txn);
    return written(txn, mdb_del(txn->handle, txn->env->dbi, &k, NULL));
}

/*
 * Cursors
 */

static lmdb_cursor *new_cursor(lmdb_txn *txn)
{
    lmdb_cursor *cursor;

    if (txn->reader && txn->taken < READER_CURSORS) {
        return &txn->reader->cursors[txn->taken++];
    }
    cursor = scim_kv_scratch(&txn->base, sizeof(*cursor));
    cursor->lasting = false;
    return cursor;
}

static scim_kv_cursor *lmdb_cursor_open(scim_kv_txn *base)
{
    lmdb_txn *txn = (lmdb_txn *)base;
    lmdb_cursor *cursor = txn->spare;

    if (cursor) {
        txn->spare = cursor->next;
    } else {
        cursor = new_cursor(txn);
    }
    cursor->base.txn = base;
    cursor->handle = NULL;
    cursor->place = UNPLACED;
    cursor->key = (MDB_val){0, cursor->copy};
    cursor->listed = false;
    return &cursor->base;
}

static void lmdb_cursor_close(scim_kv_cursor *base)
{
    lmdb_cursor *cursor = (lmdb_cursor *)base, **link;
    lmdb_txn *txn = (lmdb_txn *)base->txn;

    drop_handle(cursor);
    if (cursor->listed) {
        for (link = &txn->cursors; *link != cursor; link = &(*link)->next) {
        }
        *link = cursor->next;
    }
    cursor->next = txn->spare;
    txn->spare = cursor;
}

static int make_handle(lmdb_cursor *cursor, const lmdb_txn *txn)
{
    int err;

    if (!cursor->lasting) {
        return mdb_cursor_open(txn->handle, txn->env->dbi, &cursor->handle);
    }
    err = cursor->kept ? mdb_cursor_renew(txn->handle, cursor->kept)
                       : mdb_cursor_open(txn->handle, txn->env->dbi, &cursor->kept);
    cursor->handle = err ? NULL : cursor->kept;
    return err;
}

static int attach(lmdb_cursor *cursor)
{
    lmdb_txn *txn = (lmdb_txn *)cursor->base.txn;

    if (!cursor->listed) {
        cursor->next = txn->cursors;
        txn->cursors = cursor;
        cursor->listed = true;
    }
    return cursor->handle ? 0 : make_handle(cursor, txn);
}

/* Pages that were altered may lead round and round, and LMDB with them: whoever
 * walks gets to later and later keys, or is told. */
static int check_order(const lmdb_cursor *cursor, int err, const MDB_val *k, int way)
{
    apr_size_t shorter = k->mv_size < cursor->key.mv_size ? k->mv_size : cursor->key.mv_size;
    int order;

    if (err || cursor->place == UNPLACED) {
        return err;
    }
    order = memcmp(k->mv_data, cursor->key.mv_data, shorter);
    if (!order) {
        order = (k->mv_size > cursor->key.mv_size) - (k->mv_size < cursor->key.mv_size);
    }
    return order * way > 0 || (!order && way > 0 && cursor->place == BEFORE_KEY)
               ? 0
               : MDB_CORRUPTED;
}

/* A move that found nothing may have moved LMDB's cursor all the same. */
static scim_kv_rc arrive(lmdb_cursor *cursor, int err, MDB_val k, MDB_val v, scim_slice *key,
                         scim_slice *value)
{
    if (err) {
        detach(cursor);
        return translate(err);
    }
    cursor->place = AT_KEY;
    cursor->key = k;
    *key = slice_of(k);
    *value = slice_of(v);
    return SCIM_KV_OK;
}

static scim_kv_rc lmdb_seek(scim_kv_cursor *base, scim_slice at, scim_slice *key,
                            scim_slice *value)
{
    lmdb_cursor *cursor = (lmdb_cursor *)base;
    MDB_val k = {at.len, cursor->copy};
    MDB_val v = {0};
    int err;

    if (at.len) {
        memcpy(cursor->copy, at.data, at.len);
    }
    cursor->place = BEFORE_KEY;
    cursor->key = k;
    err = attach(cursor);
    if (!err) {
        err = mdb_cursor_get(cursor->handle, &k, &v, at.len ? MDB_SET_RANGE : MDB_FIRST);
    }
    return arrive(cursor, err, k, v, key, value);
}

/* The first key that is not under the cursor's; *same: it is that very key. */
static int find_again(lmdb_cursor *cursor, MDB_val *k, MDB_val *v, bool *same)
{
    const MDB_val key = cursor->key;
    int err;

    *k = key;
    *same = false;
    err = mdb_cursor_get(cursor->handle, k, v, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);
    if (!err) {
        *same = k->mv_size == key.mv_size && !memcmp(k->mv_data, key.mv_data, key.mv_size);
    }
    return err;
}

static int step_forward(lmdb_cursor *cursor, bool attached, MDB_val *k, MDB_val *v)
{
    bool same;
    int err;

    if (cursor->place == UNPLACED) {
        return mdb_cursor_get(cursor->handle, k, v, MDB_FIRST);
    }
    if (attached) {
        return mdb_cursor_get(cursor->handle, k, v, MDB_NEXT);
    }
    err = find_again(cursor, k, v, &same);
    return !err && same && cursor->place == AT_KEY
               ? mdb_cursor_get(cursor->handle, k, v, MDB_NEXT)
               : err;
}

static int step_back(lmdb_cursor *cursor, bool attached, MDB_val *k, MDB_val *v)
{
    bool same;
    int err = 0;

    if (cursor->place == UNPLACED) {
        return mdb_cursor_get(cursor->handle, k, v, MDB_LAST);
    }
    if (!attached) {
        err = find_again(cursor, k, v, &same);
    }
    if (err == MDB_NOTFOUND) {
        return mdb_cursor_get(cursor->handle, k, v, MDB_LAST);
    }
    return err ? err : mdb_cursor_get(cursor->handle, k, v, MDB_PREV);
}

static scim_kv_rc lmdb_next(scim_kv_cursor *base, scim_slice *key, scim_slice *value)
{
    lmdb_cursor *cursor = (lmdb_cursor *)base;
    bool attached = cursor->handle != NULL;
    MDB_val k = {0}, v = {0};
    int err;

    err = attach(cursor);
    if (!err) {
        err = step_forward(cursor, attached, &k, &v);
    }
    return arrive(cursor, check_order(cursor, err, &k, 1), k, v, key, value);
}

static scim_kv_rc lmdb_prev(scim_kv_cursor *base, scim_slice *key, scim_slice *value)
{
    lmdb_cursor *cursor = (lmdb_cursor *)base;
    bool attached = cursor->handle != NULL;
    MDB_val k = {0}, v = {0};
    int err;

    err = attach(cursor);
    if (!err) {
        err = step_back(cursor, attached, &k, &v);
    }
    return arrive(cursor, check_order(cursor, err, &k, -1), k, v, key, value);
}

/*
 * Administration
 */

static scim_kv_rc lmdb_check(scim_kv *base, int *freed)
{
    *freed = check_readers(((lmdb_kv *)base)->env);
    return SCIM_KV_OK;
}

/* A line of mdb_reader_list: process, thread, and the transaction that the
 * reader is in, or "-". */
static int count_reader(const char *line, void *count)
{
    unsigned long long thread, txn;
    int pid;

    /* LMDB has just printed them.  NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(line, "%d %llx %llu", &pid, &thread, &txn) == 3) {
        ++*(apr_uint32_t *)count;
    }
    return 0;
}

static scim_kv_rc lmdb_statistics(scim_kv *base, scim_kv_stat *out)
{
    lmdb_kv *kv = (lmdb_kv *)base;
    MDB_envinfo info;
    usage use = {0};
    lmdb_txn txn;
    scim_kv_rc rc;

    rc = begin_view(&txn, kv);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    rc = translate(measure(txn.handle, kv->env->dbi, &use));
    mdb_env_info(kv->env->mdb, &info);
    /* this view is no reader that anyone asks about */
    mdb_txn_reset(txn.handle);
    mdb_reader_list(kv->env->mdb, count_reader, &out->readers);
    end_view(&txn);
    out->entries = use.entries;
    out->used = use.pages * use.page_size;
    out->extent = (info.me_last_pgno + 1) * use.page_size;
    out->size = info.me_mapsize;
    out->max_readers = info.me_maxreaders;
    out->updates = atomic_load(&kv->updates);
    out->commits = atomic_load(&kv->commits);
    return rc;
}

/* What keeps the store from being written to, or from being opened again. */
static const char *lmdb_fault(scim_kv *base, apr_pool_t *pool)
{
    const environment *env = ((lmdb_kv *)base)->env;
    int closed = atomic_load(&env->closed);
    int err = closed ? closed : atomic_load(&env->fault);
    const char *why;

    switch (err) {
    case 0:
        return NULL;
    case ENOENT:
        return apr_psprintf(pool, "the store in %s is gone; bring back its data.mdb",
                            env->path);
    case EIO:
        return apr_psprintf(pool,
                            "user %s cannot %s the store in %s: %s; look at its disk and at "
                            "the kernel's log",
                            scim_kv_user(pool), closed ? "open" : "write to", env->path,
                            mdb_strerror(err));
    default:
        explain(env, err, &why, pool);
        return why;
    }
}

/* The view keeps what it needs of the file from being used again.  Between its
 * beginning and the look at the meta pages others may have written both anew. */
static scim_kv_rc lmdb_examine(scim_kv *base, const scim_kv_examiner *to)
{
    scim_kv_rc rc = SCIM_KV_STALE;

    for (int tries = 0; rc == SCIM_KV_STALE && tries < EXAMINE_TRIES; tries++) {
        lmdb_txn txn;
        int fd, err;

        rc = begin_view(&txn, (lmdb_kv *)base);
        if (rc != SCIM_KV_OK) {
            return rc;
        }
        err = mdb_env_get_fd(txn.env->mdb, &fd);
        rc = err ? translate(err) : scim_kv_pages_state(fd, mdb_txn_id(txn.handle), to);
        end_view(&txn);
    }
    return rc == SCIM_KV_STALE ? SCIM_KV_BUSY : rc;
}

/*
 * Claims
 */

typedef struct lmdb_claim {
    scim_kv_claim base;
    const char *path;
    const char *place; /* of a new store; NULL: none was asked for */
    int fd;            /* of lock.mdb */
} lmdb_claim;

static const char *in_path(const char *path, const char *name, apr_pool_t *pool)
{
    return apr_pstrcat(pool, path, "/", name, NULL);
}

static bool open_here(const struct stat *info)
{
    bool there;

    pthread_mutex_lock(&environments_lock);
    there = find_environment(info) != NULL;
    pthread_mutex_unlock(&environments_lock);
    return there;
}

/* As LMDB locks it: one byte, shared by all who have the store open. */
static int lock_alone(int fd, pid_t *holder)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int err;

    while (fcntl(fd, F_SETLK, &lock)) {
        err = errno;
        if (err != EINTR) {
            *holder = fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK ? 0 : lock.l_pid;
            return err;
        }
    }
    return 0;
}

static scim_kv_rc in_use(const char *path, pid_t holder, const char **why, apr_pool_t *pool)
{
    *why =
        apr_psprintf(pool,
                     "the store in %s is open in another process%s, such as a server's: stop "
                     "it first",
                     path, holder ? apr_psprintf(pool, " (%ld)", (long)holder) : "");
    return SCIM_KV_BUSY;
}

static scim_kv_rc lock_store(lmdb_claim *claim, const char **why, apr_pool_t *pool)
{
    const char *name = in_path(claim->path, "lock.mdb", pool);
    pid_t holder = 0;
    int err;

    claim->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (claim->fd < 0) {
        err = errno;
        *why = apr_psprintf(pool, "user %s cannot open %s: %s", scim_kv_user(pool), name,
                            strerror(err));
        return translate(err) == SCIM_KV_NOTFOUND ? SCIM_KV_IO : translate(err);
    }
    err = lock_alone(claim->fd, &holder);
    if (!err) {
        return SCIM_KV_OK;
    }
    close(claim->fd);
    if (err == EAGAIN || err == EACCES) {
        return in_use(claim->path, holder, why, pool);
    }
    *why = apr_psprintf(pool, "%s cannot be locked: %s", name, strerror(err));
    return SCIM_KV_IO;
}

static scim_kv_rc lmdb_claim_store(scim_kv_claim **out, const char *where, const char **why,
                                   apr_pool_t *pool)
{
    lmdb_claim *claim = apr_pcalloc(pool, sizeof(*claim));
    struct stat info;
    scim_kv_rc rc;

    if (*where != '/') {
        *why = apr_psprintf(pool, "\"lmdb:%s\" needs the absolute path of a directory", where);
        return SCIM_KV_INVALID;
    }
    rc = scim_kv_directory(where, &info, why, pool);
    if (rc != SCIM_KV_OK) {
        return rc;
    }
    /* Closing lock.mdb would take from this process the locks that it has. */
    if (open_here(&info)) {
        return in_use(where, getpid(), why, pool);
    }
    claim->path = apr_pstrdup(pool, where);
    rc = lock_store(claim, why, pool);
    *out = &claim->base;
    return rc;
}

static void remove_place(const char *place, apr_pool_t *pool)
{
    unlink(in_path(place, "data.mdb", pool));
    unlink(in_path(place, "lock.mdb", pool));
    rmdir(place);
}

/* What an earlier one left, which did not come to its end, goes. */
static scim_kv_rc lmdb_place(scim_kv_claim *base, const char **url, const char **why)
{
    lmdb_claim *claim = (lmdb_claim *)base;
    apr_pool_t *pool = base->pool;

    claim->place = in_path(claim->path, SCIM_KV_PLACE, pool);
    remove_place(claim->place, pool);
    if (mkdir(claim->place, 0700)) {
        int err = errno;

        *why = apr_psprintf(pool, "user %s cannot make the directory %s: %s",
                            scim_kv_user(pool), claim->place, strerror(err));
        return err == EEXIST || err == ENOENT ? SCIM_KV_IO : translate(err);
    }
    *url = apr_pstrcat(pool, "lmdb:", claim->place, NULL);
    return SCIM_KV_OK;
}

/* At each moment there is one data.mdb or the other, by that name. */
static int move_in(const lmdb_claim *claim, const char **kept)
{
    apr_pool_t *pool = claim->base.pool;
    const char *data = in_path(claim->path, "data.mdb", pool);
    const char *old = in_path(claim->path, "data.mdb.old", pool);

    if (kept) {
        unlink(old);
        *kept = link(data, old) ? NULL : old;
        if (!*kept && errno != ENOENT) {
            return errno;
        }
    }
    return rename(in_path(claim->place, "data.mdb", pool), data) ? errno
                                                                 : sync_directory(claim->path);
}

static scim_kv_rc lmdb_replace(scim_kv_claim *base, const char **kept, const char **why)
{
    lmdb_claim *claim = (lmdb_claim *)base;
    int err = move_in(claim, kept);

    if (!err) {
        return SCIM_KV_OK;
    }
    *why = apr_psprintf(base->pool, "user %s cannot put the new store in its place in %s: %s",
                        scim_kv_user(base->pool), claim->path, strerror(err));
    return err == ENOENT ? SCIM_KV_IO : translate(err);
}

static void lmdb_unclaim(scim_kv_claim *base)
{
    lmdb_claim *claim = (lmdb_claim *)base;

    if (claim->place) {
        remove_place(claim->place, base->pool);
    }
    close(claim->fd);
}

const scim_kv_engine scim_kv_lmdb = {
    .version = SCIM_KV_VERSION,
    .name = "lmdb",
    .open = lmdb_open,
    .close = lmdb_close,
    .view = lmdb_view,
    .update_all = lmdb_update_all,
    .update_exclusive = lmdb_update_exclusive,
    .get = lmdb_get,
    .put = lmdb_put,
    .del = lmdb_del,
    .cursor_open = lmdb_cursor_open,
    .cursor_close = lmdb_cursor_close,
    .seek = lmdb_seek,
    .next = lmdb_next,
    .prev = lmdb_prev,
    .state = lmdb_state,
    .check = lmdb_check,
    .statistics = lmdb_statistics,
    .fault = lmdb_fault,
    .append = lmdb_append,
    .examine = lmdb_examine,
    .claim = lmdb_claim_store,
    .place = lmdb_place,
    .replace = lmdb_replace,
    .unclaim = lmdb_unclaim,
};
