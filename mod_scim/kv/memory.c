/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory engine: for tests, and for trying the server without a disk.
 *
 * The store is a treap whose nodes never change: a write makes new nodes along
 * one path and shares the rest, by reference counts.  So a view is a reference
 * to a root, an update is a root that nobody else knows yet, undoing is
 * forgetting it, and readers and writers never wait for each other.  A slice
 * that outlives its promise is freed memory, which a sanitizer shows.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "scim/heap.h"

#include "engine.h"

#define DEFAULT_SIZE ((apr_uint64_t)1 << 36)

typedef struct entry {
    atomic_uint references;
    scim_slice key;
    scim_slice value;
    unsigned char bytes[]; /* of both */
} entry;

typedef struct node {
    atomic_uint references;
    apr_uint32_t priority;
    struct entry *entry;
    struct node *left;
    struct node *right;
} node;

/* One state of the store. */
typedef struct version {
    node *root;
    apr_uint64_t entries;
    apr_uint64_t bytes;
    apr_uint64_t number;
} version;

typedef struct memory_kv {
    scim_kv base;
    pthread_mutex_t writer;
    pthread_mutex_t publish; /* guards current and updates */
    version current;
    apr_uint64_t updates;
    apr_uint64_t commits;
    apr_uint64_t size;
    apr_uint64_t random; /* guarded by writer */
    apr_interval_time_t timeout;
    bool read_only;
    atomic_uint views;
    atomic_int fail;
    atomic_bool rehearse;
} memory_kv;

typedef struct memory_txn {
    scim_kv_txn base;
    version state;
    bool rehearsal;
    bool dirty;        /* this job has written */
    scim_kv_rc failed; /* the first write that failed */
} memory_txn;

typedef enum cursor_place { UNPLACED, AT_KEY, BEFORE_KEY } cursor_place;

typedef struct memory_cursor {
    scim_kv_cursor base;
    cursor_place place;
    apr_size_t len;
    unsigned char key[SCIM_KV_MAX_KEY];
} memory_cursor;

static entry *entry_make(scim_slice key, scim_slice value)
{
    entry *made = scim_heap_checked(malloc(sizeof(*made) + key.len + value.len));

    atomic_init(&made->references, 1);
    memcpy(made->bytes, key.data, key.len);
    if (value.len) {
        memcpy(made->bytes + key.len, value.data, value.len);
    }
    made->key = (scim_slice){made->bytes, key.len};
    made->value = (scim_slice){made->bytes + key.len, value.len};
    return made;
}

static node *retain(node *tree)
{
    if (tree) {
        atomic_fetch_add(&tree->references, 1);
    }
    return tree;
}

static void release(node *tree)
{
    if (!tree || atomic_fetch_sub(&tree->references, 1) > 1) {
        return;
    }
    release(tree->left);
    release(tree->right);
    if (atomic_fetch_sub(&tree->entry->references, 1) == 1) {
        free(tree->entry);
    }
    free(tree);
}

/* Takes over the three references. */
static node *node_make(entry *content, apr_uint32_t priority, node *left, node *right)
{
    node *made = scim_heap_checked(malloc(sizeof(*made)));

    atomic_init(&made->references, 1);
    made->entry = content;
    made->priority = priority;
    made->left = left;
    made->right = right;
    return made;
}

/* As like, with other children, whose references it takes over. */
static node *node_copy(const node *like, node *left, node *right)
{
    atomic_fetch_add(&like->entry->references, 1);
    return node_make(like->entry, like->priority, left, right);
}

/* *less and *more become new references to what is under and over key. */
static void split(const node *tree, scim_slice key, node **less, node **more)
{
    node *between;
    int order;

    if (!tree) {
        *less = *more = NULL;
        return;
    }
    order = scim_kv_compare(key, tree->entry->key);
    if (order == 0) {
        *less = retain(tree->left);
        *more = retain(tree->right);
    } else if (order < 0) {
        split(tree->left, key, less, &between);
        *more = node_copy(tree, between, retain(tree->right));
    } else {
        split(tree->right, key, &between, more);
        *less = node_copy(tree, retain(tree->left), between);
    }
}

/* Takes over both references; every key of less is below every key of more. */
static node *merge(node *less, node *more)
{
    node *merged;

    if (!less || !more) {
        return less ? less : more;
    }
    if (less->priority > more->priority) {
        merged = node_copy(less, retain(less->left), merge(retain(less->right), retain(more)));
    } else {
        merged = node_copy(more, merge(retain(less), retain(more->left)), retain(more->right));
    }
    /* clang-tidy does not count references. */
    release(less); /* NOLINT(clang-analyzer-unix.Malloc) */
    release(more); /* NOLINT(clang-analyzer-unix.Malloc) */
    return merged;
}

static const entry *find(const node *tree, scim_slice key)
{
    while (tree) {
        int order = scim_kv_compare(key, tree->entry->key);

        if (order == 0) {
            return tree->entry;
        }
        tree = order < 0 ? tree->left : tree->right;
    }
    return NULL;
}

/* The first entry over key, or at it where equal. */
static const entry *find_over(const node *tree, scim_slice key, bool equal)
{
    const entry *best = NULL;

    while (tree) {
        int order = scim_kv_compare(tree->entry->key, key);

        if (order > 0 || (equal && order == 0)) {
            best = tree->entry;
            tree = tree->left;
        } else {
            tree = tree->right;
        }
    }
    return best;
}

static const entry *find_under(const node *tree, scim_slice key)
{
    const entry *best = NULL;

    while (tree) {
        if (scim_kv_compare(tree->entry->key, key) < 0) {
            best = tree->entry;
            tree = tree->right;
        } else {
            tree = tree->left;
        }
    }
    return best;
}

static const entry *find_last(const node *tree)
{
    while (tree && tree->right) {
        tree = tree->right;
    }
    return tree ? tree->entry : NULL;
}

static memory_kv *store_of(scim_kv_txn *txn)
{
    return (memory_kv *)txn->kv;
}

static memory_txn *txn_of(scim_kv_txn *txn)
{
    return (memory_txn *)txn;
}

static memory_txn begin(memory_kv *kv, bool writable)
{
    memory_txn txn = {.base = {.kv = &kv->base, .writable = writable}};

    pthread_mutex_lock(&kv->publish);
    txn.state = kv->current;
    retain(txn.state.root);
    pthread_mutex_unlock(&kv->publish);
    return txn;
}

static void publish(memory_kv *kv, version state, apr_uint64_t updates)
{
    node *old;

    pthread_mutex_lock(&kv->publish);
    old = kv->current.root;
    state.number = kv->current.number + 1;
    kv->current = state;
    kv->updates += updates;
    kv->commits++;
    pthread_mutex_unlock(&kv->publish);
    release(old);
}

static scim_kv_rc memory_open(scim_kv **out, const char *where, const scim_kv_options *options,
                              const char **why, apr_pool_t *pool)
{
    memory_kv *kv;

    if (*where) {
        *why = apr_psprintf(
            pool, "\"memory:%s\": a store in memory has no name; write memory:", where);
        return SCIM_KV_INVALID;
    }
    kv = apr_pcalloc(pool, sizeof(*kv));
    kv->size = options->size ? options->size : DEFAULT_SIZE;
    kv->timeout = options->timeout ? options->timeout : SCIM_KV_DEFAULT_TIMEOUT;
    kv->read_only = options->read_only;
    scim_kv_lock_init(&kv->writer);
    pthread_mutex_init(&kv->publish, NULL);
    *out = &kv->base;
    return SCIM_KV_OK;
}

static void memory_close(scim_kv *base)
{
    memory_kv *kv = (memory_kv *)base;

    release(kv->current.root);
    pthread_mutex_destroy(&kv->publish);
    pthread_mutex_destroy(&kv->writer);
}

static scim_kv_rc memory_view(scim_kv *base, scim_kv_fn fn, void *baton)
{
    memory_kv *kv = (memory_kv *)base;
    memory_txn txn = begin(kv, false);
    scim_kv_rc rc;

    atomic_fetch_add(&kv->views, 1);
    rc = fn(&txn.base, baton);
    atomic_fetch_sub(&kv->views, 1);
    scim_kv_arena_clear(&txn.base);
    release(txn.state.root);
    return rc;
}

static apr_uint64_t memory_state(scim_kv_txn *txn)
{
    return txn_of(txn)->state.number;
}

static bool fault(memory_txn *txn)
{
    memory_kv *kv = store_of(&txn->base);

    return !txn->rehearsal && atomic_load(&kv->fail) > 0 && atomic_fetch_sub(&kv->fail, 1) == 1;
}

static scim_kv_rc run_once(memory_txn *txn, const scim_kv_job *job)
{
    scim_kv_rc rc;

    txn->dirty = false;
    txn->failed = SCIM_KV_OK;
    rc = job->fn(&txn->base, job->baton);
    scim_kv_arena_clear(&txn->base);
    return rc == SCIM_KV_OK ? txn->failed : rc;
}

static void rehearse(memory_txn *txn, const scim_kv_job *job)
{
    version before = txn->state;

    retain(before.root);
    txn->rehearsal = true;
    run_once(txn, job);
    txn->rehearsal = false;
    release(txn->state.root);
    txn->state = before;
}

/* Leaves the state as it was unless the job succeeds. */
static void run_job(memory_txn *txn, scim_kv_job *job)
{
    version before = txn->state;

    retain(before.root);
    job->rc = run_once(txn, job);
    if (job->rc == SCIM_KV_OK) {
        release(before.root);
    } else {
        release(txn->state.root);
        txn->state = before;
    }
}

static scim_kv_rc fail_successes(scim_kv_job *jobs, int count, scim_kv_rc rc)
{
    for (int i = 0; i < count; i++) {
        if (jobs[i].rc == SCIM_KV_OK) {
            jobs[i].rc = rc;
        }
    }
    return rc;
}

static scim_kv_rc run_jobs(memory_kv *kv, scim_kv_job *jobs, int count, bool once)
{
    memory_txn txn = begin(kv, true);
    bool written = false;
    apr_uint64_t kept = 0;

    for (int i = 0; i < count; i++) {
        if (!once && atomic_load(&kv->rehearse)) {
            rehearse(&txn, &jobs[i]);
        }
        run_job(&txn, &jobs[i]);
        if (jobs[i].rc == SCIM_KV_OK) {
            written = written || txn.dirty;
            kept++;
        }
    }
    if (written && fault(&txn)) {
        release(txn.state.root);
        return fail_successes(jobs, count, SCIM_KV_IO);
    }
    publish(kv, txn.state, kept);
    return SCIM_KV_OK;
}

static scim_kv_rc update(memory_kv *kv, scim_kv_job *jobs, int count, bool once)
{
    scim_kv_rc rc;

    rc = kv->read_only ? SCIM_KV_READONLY : scim_kv_lock(&kv->writer, kv->timeout);
    if (rc != SCIM_KV_OK) {
        for (int i = 0; i < count; i++) {
            jobs[i].rc = rc;
        }
        return rc;
    }
    rc = run_jobs(kv, jobs, count, once);
    pthread_mutex_unlock(&kv->writer);
    return rc;
}

static scim_kv_rc memory_update_all(scim_kv *base, scim_kv_job *jobs, int count)
{
    return update((memory_kv *)base, jobs, count, false);
}

static scim_kv_rc memory_update_exclusive(scim_kv *base, scim_kv_fn fn, void *baton)
{
    scim_kv_job job = {.fn = fn, .baton = baton};

    update((memory_kv *)base, &job, 1, true);
    return job.rc;
}

static scim_kv_rc memory_get(scim_kv_txn *txn, scim_slice key, scim_slice *value)
{
    const entry *found = find(txn_of(txn)->state.root, key);

    if (!found) {
        return SCIM_KV_NOTFOUND;
    }
    *value = found->value;
    return SCIM_KV_OK;
}

static scim_kv_rc write_failed(memory_txn *txn, scim_kv_rc rc)
{
    if (txn->failed == SCIM_KV_OK) {
        txn->failed = rc;
    }
    return rc;
}

static apr_uint32_t next_random(memory_kv *kv)
{
    kv->random = kv->random * 6364136223846793005u + 1442695040888963407u;
    return (apr_uint32_t)(kv->random >> 32);
}

static scim_kv_rc memory_put(scim_kv_txn *base, scim_slice key, scim_slice value,
                             bool no_overwrite)
{
    memory_txn *txn = txn_of(base);
    memory_kv *kv = store_of(base);
    const entry *old = find(txn->state.root, key);
    apr_uint64_t gone = old ? old->key.len + old->value.len : 0;
    apr_uint64_t added = key.len + value.len;
    node *less, *more, *leaf;

    if (old && no_overwrite) {
        return SCIM_KV_EXISTS;
    }
    if (fault(txn)) {
        return write_failed(txn, SCIM_KV_IO);
    }
    if (txn->state.bytes - gone + added > kv->size) {
        return write_failed(txn, SCIM_KV_FULL);
    }
    /* made before anything is released: key and value may lie in the old tree */
    leaf = node_make(entry_make(key, value), next_random(kv), NULL, NULL);
    split(txn->state.root, leaf->entry->key, &less, &more);
    release(txn->state.root);
    txn->state.root = merge(merge(less, leaf), more);
    txn->state.entries += old ? 0 : 1;
    txn->state.bytes += added - gone;
    txn->dirty = true;
    return SCIM_KV_OK;
}

static scim_kv_rc memory_del(scim_kv_txn *base, scim_slice key)
{
    memory_txn *txn = txn_of(base);
    const entry *old = find(txn->state.root, key);
    node *less, *more;

    if (!old) {
        return SCIM_KV_NOTFOUND;
    }
    if (fault(txn)) {
        return write_failed(txn, SCIM_KV_IO);
    }
    txn->state.bytes -= old->key.len + old->value.len;
    txn->state.entries--;
    split(txn->state.root, key, &less, &more);
    release(txn->state.root);
    txn->state.root = merge(less, more);
    txn->dirty = true;
    return SCIM_KV_OK;
}

static scim_kv_cursor *memory_cursor_open(scim_kv_txn *txn)
{
    memory_cursor *cursor = scim_kv_scratch(txn, sizeof(*cursor));

    cursor->base.txn = txn;
    cursor->place = UNPLACED;
    cursor->len = 0;
    return &cursor->base;
}

static scim_slice cursor_key(const memory_cursor *cursor)
{
    return (scim_slice){cursor->key, cursor->len};
}

static void place(memory_cursor *cursor, cursor_place where, scim_slice key)
{
    cursor->place = where;
    cursor->len = key.len;
    if (key.len) {
        memcpy(cursor->key, key.data, key.len);
    }
}

static scim_kv_rc arrive(memory_cursor *cursor, const entry *found, scim_slice *key,
                         scim_slice *value)
{
    if (!found) {
        return SCIM_KV_NOTFOUND;
    }
    place(cursor, AT_KEY, found->key);
    *key = found->key;
    *value = found->value;
    return SCIM_KV_OK;
}

static const node *tree_of(const memory_cursor *cursor)
{
    return txn_of(cursor->base.txn)->state.root;
}

static scim_kv_rc memory_seek(scim_kv_cursor *base, scim_slice at, scim_slice *key,
                              scim_slice *value)
{
    memory_cursor *cursor = (memory_cursor *)base;

    place(cursor, BEFORE_KEY, at);
    return arrive(cursor, find_over(tree_of(cursor), at, true), key, value);
}

static scim_kv_rc memory_next(scim_kv_cursor *base, scim_slice *key, scim_slice *value)
{
    memory_cursor *cursor = (memory_cursor *)base;
    bool equal = cursor->place != AT_KEY;

    return arrive(cursor, find_over(tree_of(cursor), cursor_key(cursor), equal), key, value);
}

static scim_kv_rc memory_prev(scim_kv_cursor *base, scim_slice *key, scim_slice *value)
{
    memory_cursor *cursor = (memory_cursor *)base;
    const entry *found = cursor->place == UNPLACED
                             ? find_last(tree_of(cursor))
                             : find_under(tree_of(cursor), cursor_key(cursor));

    return arrive(cursor, found, key, value);
}

static scim_kv_rc memory_check(scim_kv *base, int *freed)
{
    *freed = 0; /* the dead took their memory with them */
    return SCIM_KV_OK;
}

static scim_kv_rc memory_statistics(scim_kv *base, scim_kv_stat *out)
{
    memory_kv *kv = (memory_kv *)base;

    pthread_mutex_lock(&kv->publish);
    out->entries = kv->current.entries;
    out->used = out->extent = kv->current.bytes;
    out->updates = kv->updates;
    out->commits = kv->commits;
    pthread_mutex_unlock(&kv->publish);
    out->size = kv->size;
    out->readers = atomic_load(&kv->views);
    out->max_readers = APR_UINT32_MAX;
    return SCIM_KV_OK;
}

/* Only what a caller did can be wrong here: there is no structure on a disk. */
static scim_kv_rc hand_rows(scim_kv_txn *txn, void *baton)
{
    const scim_kv_examiner *to = baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc = SCIM_KV_OK;

    while (rc == SCIM_KV_OK && scim_kv_next(cursor, &key, &value) == SCIM_KV_OK) {
        rc = to->row ? to->row(key, value, to->baton) : SCIM_KV_OK;
    }
    return rc;
}

static scim_kv_rc memory_examine(scim_kv *base, const scim_kv_examiner *to)
{
    return memory_view(base, hand_rows, (void *)to);
}

static scim_kv_rc memory_append(scim_kv_txn *txn, scim_slice key, scim_slice value)
{
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice ignored;

    return memory_seek(cursor, key, &ignored, &ignored) == SCIM_KV_NOTFOUND
               ? memory_put(txn, key, value, false)
               : SCIM_KV_INVALID;
}

const scim_kv_engine scim_kv_memory = {
    .version = SCIM_KV_VERSION,
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .view = memory_view,
    .update_all = memory_update_all,
    .update_exclusive = memory_update_exclusive,
    .get = memory_get,
    .put = memory_put,
    .del = memory_del,
    .cursor_open = memory_cursor_open,
    .seek = memory_seek,
    .next = memory_next,
    .prev = memory_prev,
    .state = memory_state,
    .check = memory_check,
    .statistics = memory_statistics,
    .append = memory_append,
    .examine = memory_examine,
};

void scim_kv_memory_fail(scim_kv *kv, int n)
{
    if (kv->engine == &scim_kv_memory) {
        atomic_store(&((memory_kv *)kv)->fail, n);
    }
}

void scim_kv_memory_rehearse(scim_kv *kv, bool on)
{
    if (kv->engine == &scim_kv_memory) {
        atomic_store(&((memory_kv *)kv)->rehearse, on);
    }
}
