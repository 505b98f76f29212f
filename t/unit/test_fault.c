/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LMDB engine on a system that fails: every call that it makes, at every
 * point, with every error; processes killed or stopped at named points; maps
 * that others let grow; files that are no store.
 *
 * The store of these tests has generations.  An update writes one number to
 * many rows; a view that finds two numbers has read what was half applied.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "fault_fixture.h"
#include "scim/kv.h"

#define OK SCIM_KV_OK
#define MIB (1024 * 1024)

/* In a child process, which cmocka does not watch. */
#define MUST(condition)                                                       \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                         \
        }                                                                     \
    } while (0)

/*
 * A store for each test
 */

static struct {
    apr_pool_t *pool;
    char *directory;
    const char *url;
    scim_kv_options options;
    scim_kv *kv;
    int acknowledged; /* the generation */
} fix;

static scim_kv_rc open_as(scim_kv **out, const scim_kv_options *options, const char **why)
{
    return scim_kv_open(out, fix.url, options, why, fix.pool);
}

static void open_store(void)
{
    const char *why = NULL;

    if (open_as(&fix.kv, &fix.options, &why) != OK) {
        fail_msg("%s", why);
    }
}

static const char *in_directory(const char *name)
{
    return apr_pstrcat(fix.pool, fix.directory, "/", name, NULL);
}

/* All files in the directory; how many there were. */
static int empty_directory(void)
{
    DIR *dir = opendir(fix.directory);
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (*entry->d_name != '.') {
            const char *path = in_directory(entry->d_name);

            assert_true(unlink(path) == 0 || rmdir(path) == 0);
            count++;
        }
    }
    closedir(dir);
    return count;
}

static int begin(void **state)
{
    memset(&fix, 0, sizeof(fix));
    apr_pool_create(&fix.pool, NULL);
    fix.directory = apr_pstrdup(fix.pool, "/tmp/scim-test-fault-XXXXXX");
    if (!mkdtemp(fix.directory)) {
        return -1;
    }
    fix.url = apr_pstrcat(fix.pool, "lmdb:", fix.directory, NULL);
    fix.options.create = true;
    fix.options.size = 64 * MIB;
    fix.options.timeout = apr_time_from_sec(10);
    fault_directory(fix.directory);
    open_store();
    return 0;
}

static int end(void **state)
{
    disarm();
    fault_directory(NULL);
    if (fix.kv) {
        scim_kv_close(fix.kv);
    }
    empty_directory();
    rmdir(fix.directory);
    apr_pool_destroy(fix.pool);
    return 0;
}

/*
 * Generations
 */

enum { ROWS = 12, BIG = 30000, MIXED = -1 };

static scim_slice row_key(char *text, char table, int n)
{
    return (scim_slice){text, (apr_size_t)sprintf(text, "%c%04d", table, n)};
}

static scim_slice number_slice(const int *number)
{
    return (scim_slice){number, sizeof(*number)};
}

/* Where it is before 0, a generation leaves no trace row. */
static scim_kv_rc write_trace(scim_kv_txn *txn, int generation)
{
    char key[16];
    scim_kv_rc rc = scim_kv_del(txn, row_key(key, 't', generation - 1));

    return rc != OK && rc != SCIM_KV_NOTFOUND ? rc
                                              : scim_kv_put(txn, row_key(key, 't', generation),
                                                            number_slice(&generation), false);
}

static scim_kv_rc write_generation(scim_kv_txn *txn, void *baton)
{
    int generation = *(const int *)baton;
    int *big = scim_kv_scratch(txn, BIG * sizeof(int));
    char key[16];
    scim_kv_rc rc = write_trace(txn, generation);

    for (int i = 0; i < ROWS && rc == OK; i++) {
        rc = scim_kv_put(txn, row_key(key, 'r', i), number_slice(&generation), false);
    }
    for (int i = 0; i < BIG; i++) {
        big[i] = generation;
    }
    return rc == OK ? scim_kv_put(txn, row_key(key, 'b', 0),
                                  (scim_slice){big, BIG * sizeof(int)}, false)
                    : rc;
}

static int merge(int so_far, scim_kv_rc rc, scim_slice value)
{
    for (apr_size_t i = 0; rc == OK && i < value.len / sizeof(int); i++) {
        int number;

        memcpy(&number, (const char *)value.data + i * sizeof(int), sizeof(number));
        if (number != so_far) {
            return MIXED;
        }
    }
    return rc == OK ? so_far : MIXED;
}

/* The generation, 0 before the first, or MIXED.  stop: in the middle the process
 * is stopped. */
static scim_kv_rc read_rows(scim_kv_txn *txn, int *out, bool stop)
{
    char key[16];
    scim_slice value;
    scim_kv_rc rc = scim_kv_get(txn, row_key(key, 'r', 0), &value);

    *out = 0;
    if (rc == SCIM_KV_NOTFOUND) {
        return OK;
    }
    if (rc != OK) {
        return rc;
    }
    memcpy(out, value.data, sizeof(*out));
    for (int i = 1; i < ROWS; i++) {
        if (stop && i == ROWS / 2) {
            raise(SIGSTOP);
        }
        rc = scim_kv_get(txn, row_key(key, 'r', i), &value);
        *out = merge(*out, rc, value);
    }
    rc = scim_kv_get(txn, row_key(key, 't', *out), &value);
    *out = merge(*out, rc, value);
    rc = scim_kv_get(txn, row_key(key, 'b', 0), &value);
    *out = merge(*out, rc, value);
    return OK;
}

static scim_kv_rc read_generation(scim_kv_txn *txn, void *baton)
{
    return read_rows(txn, baton, false);
}

static scim_kv_rc read_with_stop(scim_kv_txn *txn, void *baton)
{
    return read_rows(txn, baton, true);
}

static int generation_of(scim_kv *kv)
{
    int generation = MIXED;

    assert_int_equal(scim_kv_view(kv, read_generation, &generation), OK);
    return generation;
}

static scim_kv_rc update_to(scim_kv *kv, int generation)
{
    return scim_kv_update(kv, write_generation, &generation);
}

static void advance(void)
{
    assert_int_equal(update_to(fix.kv, fix.acknowledged + 1), OK);
    fix.acknowledged++;
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
}

/* In a process of its own, as one that starts now; it leaves generation + 1. */
static void advance_elsewhere(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        scim_kv *kv;

        disarm();
        MUST(open_as(&kv, &fix.options, NULL) == OK);
        MUST(generation_of(kv) == fix.acknowledged);
        MUST(update_to(kv, fix.acknowledged + 1) == OK);
        scim_kv_close(kv);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fix.acknowledged++;
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
}

/*
 * Every call of an update
 */

static scim_kv_rc expected(int call, int err, int act)
{
    if (act == FAULT_SHORT) {
        return SCIM_KV_IO;
    }
    switch (err) {
    case ENOSPC:
    case EDQUOT:
        return SCIM_KV_DISK_FULL;
    case EINTR: /* a write is made again */
        return call == FAULT_SYNC ? SCIM_KV_BUSY : OK;
    case EMFILE:
        return SCIM_KV_BUSY;
    default:
        return SCIM_KV_IO;
    }
}

static void check_fault_text(scim_kv_rc rc, int err)
{
    const char *text = scim_kv_fault(fix.kv, fix.pool);

    if (rc == OK) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    if (!strstr(text, fix.directory) || !strstr(text, "user ")) {
        fail_msg("%s: %s", strerror(err), text);
    }
}

/* False where the n-th call was not reached. */
static bool fail_update(int call, int n, int err, int act)
{
    scim_kv_rc rc;

    arm(call, n, 1, err, act);
    rc = update_to(fix.kv, fix.acknowledged + 1);
    if (!disarm()) {
        assert_int_equal(rc, OK);
        fix.acknowledged++;
        return false;
    }
    if (rc != expected(call, err, act)) {
        fail_msg("%s %d, act %d: %s: %s", fault_name(call), n, act, strerror(err),
                 scim_kv_strerror(rc));
    }
    fix.acknowledged += rc == OK;
    check_fault_text(rc, err);
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
    advance();
    assert_null(scim_kv_fault(fix.kv, fix.pool));
    return true;
}

static int fail_all_updates(int call, int err, int act)
{
    int n = 0;

    while (fail_update(call, n, err, act)) {
        n++;
    }
    return n;
}

static void test_update(void **state)
{
    static const int calls[] = {FAULT_PAGES, FAULT_META, FAULT_SYNC};

    advance();
    for (int c = 0; c < 3; c++) {
        for (int e = 0; e < FAULT_ERRORS; e++) {
            int reached = fail_all_updates(calls[c], fault_errors[e], FAULT_FAIL);

            assert_in_range(reached, 1, 20);
            reached = fail_all_updates(calls[c], fault_errors[e], FAULT_FAIL_LATE);
            assert_in_range(reached, 1, 20);
        }
        advance_elsewhere();
    }
    assert_in_range(fail_all_updates(FAULT_PAGES, 0, FAULT_SHORT), 1, 20);
    assert_in_range(fail_all_updates(FAULT_META, 0, FAULT_SHORT), 1, 20);
    advance_elsewhere();
}

/* As long as it lasts all updates fail, and no view does. */
static void test_lasting(void **state)
{
    static const int calls[] = {FAULT_PAGES, FAULT_META, FAULT_SYNC};
    static const int acts[] = {FAULT_FAIL, FAULT_FAIL_LATE};

    advance();
    for (int i = 0; i < 6; i++) {
        arm(calls[i / 2], 0, 1000, i % 2 ? EIO : ENOSPC, acts[i % 2]);
        for (int n = 0; n < 5; n++) {
            assert_int_equal(update_to(fix.kv, fix.acknowledged + 1),
                             i % 2 ? SCIM_KV_IO : SCIM_KV_DISK_FULL);
            assert_int_equal(generation_of(fix.kv), fix.acknowledged);
        }
        assert_in_range(disarm(), 5, 20);
        advance();
        advance_elsewhere();
    }
}

/* What names the root was written, its sync failed, and it cannot be taken
 * back: the update is not acknowledged and may be there, whole. */
static void test_not_taken_back(void **state)
{
    int generation;

    advance();
    arm(FAULT_META, 0, 2, EIO, FAULT_FAIL_ONCE_LATE);
    assert_int_equal(update_to(fix.kv, fix.acknowledged + 1), SCIM_KV_IO);
    assert_int_equal(disarm(), 2);
    generation = generation_of(fix.kv);
    assert_in_range(generation, fix.acknowledged, fix.acknowledged + 1);
    fix.acknowledged = generation;
    advance();
    advance_elsewhere();
}

/*
 * After a failed sync
 */

/* The pages that name the root are written and synced before anything else is,
 * and nothing is written until that succeeds. */
static void test_settled(void **state)
{
    int syncs, pages;

    advance();
    syncs = seen(FAULT_SYNC);
    pages = seen(FAULT_PAGES);
    advance();
    syncs = seen(FAULT_SYNC) - syncs;
    pages = seen(FAULT_PAGES) - pages;

    arm(FAULT_SYNC, 0, 3, EIO, FAULT_FAIL_LATE);
    for (int i = 0; i < 3; i++) {
        int before = seen(FAULT_META);

        assert_int_equal(update_to(fix.kv, fix.acknowledged + 1), SCIM_KV_IO);
        assert_int_equal(seen(FAULT_META), before);
        assert_int_equal(generation_of(fix.kv), fix.acknowledged);
    }
    assert_int_equal(disarm(), 3);

    syncs = seen(FAULT_SYNC) + syncs;
    pages = seen(FAULT_PAGES) + pages;
    advance();
    assert_int_equal(seen(FAULT_SYNC), syncs + 1);
    assert_int_equal(seen(FAULT_PAGES), pages + 1);
    pages = seen(FAULT_PAGES);
    syncs = seen(FAULT_SYNC);
    advance();
    assert_int_equal(seen(FAULT_SYNC), syncs + 1); /* once is enough */
}

/*
 * Opening
 */

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

/* False where the n-th call was not reached. */
static bool fail_open(int call, int n, int err)
{
    const char *why = NULL;
    scim_kv *kv = NULL;
    scim_kv_rc rc;

    arm(call, n, 1, err, FAULT_FAIL);
    rc = open_as(&kv, &fix.options, &why);
    if (rc == OK) {
        assert_int_equal(generation_of(kv), fix.acknowledged);
        scim_kv_close(kv);
    } else if (!why || !strstr(why, fix.directory) || !strstr(why, "user ")) {
        fail_msg("%s %d: %s: %s", fault_name(call), n, strerror(err), why ? why : "no reason");
    }
    if (!disarm()) {
        assert_int_equal(rc, OK);
        return false;
    }
    open_store();
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
    scim_kv_close(fix.kv);
    return true;
}

/* The sum of the calls that can fail, over all kinds. */
static int fail_all_opens(bool anew)
{
    int total = 0, before;

    scim_kv_close(fix.kv);
    before = count_descriptors();
    for (int call = 0; call < FAULT_CALLS; call++) {
        for (int e = 0; e < FAULT_ERRORS; e++) {
            int n = 0;

            do {
                if (anew) {
                    empty_directory();
                }
            } while (fail_open(call, n++, fault_errors[e]));
            total += n - 1;
        }
    }
    assert_int_equal(count_descriptors(), before);
    open_store();
    return total;
}

static void test_open(void **state)
{
    advance();
    assert_in_range(fail_all_opens(false), 5 * FAULT_ERRORS, 100 * FAULT_ERRORS);
    advance();
}

/* A store that could not be made leaves nothing that is taken for one. */
static void test_create(void **state)
{
    assert_in_range(fail_all_opens(true), 10 * FAULT_ERRORS, 100 * FAULT_ERRORS);
    advance();
    scim_kv_close(fix.kv);
    fix.kv = NULL;
    assert_int_equal(empty_directory(), 2);
}

/*
 * Opening again, after LMDB has panicked
 */

static void panic(void)
{
    arm(FAULT_META, 0, 1, EIO, FAULT_FAIL);
    assert_int_equal(update_to(fix.kv, fix.acknowledged + 1), SCIM_KV_IO);
    assert_int_equal(disarm(), 1);
}

static bool fail_reopen(int call, int n, int err)
{
    int generation = MIXED;
    scim_kv_rc rc;

    panic();
    arm(call, n, 1, err, FAULT_FAIL);
    rc = scim_kv_view(fix.kv, read_generation, &generation);
    if (rc == OK) {
        assert_int_equal(generation, fix.acknowledged);
    } else if (rc != SCIM_KV_IO && rc != SCIM_KV_BUSY) {
        fail_msg("%s %d: %s: %s", fault_name(call), n, strerror(err), scim_kv_strerror(rc));
    }
    if (!disarm()) {
        assert_int_equal(rc, OK);
        return false;
    }
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
    return true;
}

static void test_fault_while_reopening(void **state)
{
    int before, total = 0;

    advance();
    before = count_descriptors();
    for (int call = 0; call < FAULT_CALLS; call++) {
        for (int e = 0; e < FAULT_ERRORS; e++) {
            int n = 0;

            while (fail_reopen(call, n, fault_errors[e])) {
                n++;
            }
            total += n;
        }
        advance();
    }
    assert_in_range(total, 3 * FAULT_ERRORS, 100 * FAULT_ERRORS);
    assert_int_equal(count_descriptors(), before);
    advance_elsewhere();
}

/* As where a disk fails and the kernel makes it read-only. */
static void test_becomes_read_only(void **state)
{
    apr_time_t start;

    advance();
    panic();
    arm(FAULT_OPEN, 0, 1000 * 1000, EROFS, FAULT_FAIL_WRITING);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(generation_of(fix.kv), fix.acknowledged);
        assert_int_equal(update_to(fix.kv, fix.acknowledged + 1), SCIM_KV_READONLY);
        check_fault_text(SCIM_KV_READONLY, EROFS);
    }
    assert_true(disarm() > 0);
    start = apr_time_now();
    while (update_to(fix.kv, fix.acknowledged + 1) == SCIM_KV_READONLY) {
        assert_int_equal(generation_of(fix.kv), fix.acknowledged);
        assert_true(apr_time_now() - start < apr_time_from_sec(5));
        usleep(50 * 1000);
    }
    fix.acknowledged++;
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
    advance_elsewhere();
}

/*
 * Killed at a point of a commit
 */

static void kill_update(int call, int n, int act)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        scim_kv *kv;

        MUST(open_as(&kv, &fix.options, NULL) == OK);
        arm(call, n, 1, 0, act);
        MUST(update_to(kv, fix.acknowledged + 1) == OK);
        _exit(disarm() ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : status == 0);
    fix.acknowledged += WIFEXITED(status);
}

static scim_kv_rc touch(scim_kv_txn *txn, void *baton)
{
    return scim_kv_put(txn, (scim_slice){"touched", 7}, (scim_slice){"", 0}, false);
}

/* The next writer does not wait, and after it what is there is known. */
static void check_after_kill(bool committed)
{
    apr_time_t start = apr_time_now();

    assert_int_equal(scim_kv_update(fix.kv, touch, NULL), OK);
    assert_true(apr_time_now() - start < apr_time_from_sec(5));
    fix.acknowledged += committed;
    assert_int_equal(generation_of(fix.kv), fix.acknowledged);
}

static void test_killed(void **state)
{
    static const struct {
        const char *where;
        int call;
        int act;
        bool committed;
    } points[] = {
        {"before the first page", FAULT_PAGES, FAULT_KILL, false},
        {"after the first page", FAULT_PAGES, FAULT_KILL_LATE, false},
        {"before the sync", FAULT_SYNC, FAULT_KILL, false},
        {"after the sync", FAULT_SYNC, FAULT_KILL_LATE, false},
        {"before the root", FAULT_META, FAULT_KILL, false},
        {"after the root, before the answer", FAULT_META, FAULT_KILL_LATE, true},
    };

    advance();
    for (int round = 0; round < rounds(2, 20); round++) {
        for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
            int before = fix.acknowledged;

            kill_update(points[i].call, 0, points[i].act);
            assert_int_equal(fix.acknowledged, before);
            check_after_kill(points[i].committed);
            advance();
        }
    }
    advance_elsewhere();
}

typedef struct partial {
    int generation;
    int puts;
} partial;

static scim_kv_rc die_after_puts(scim_kv_txn *txn, void *baton)
{
    const partial *p = baton;
    char key[16];

    for (int i = 0; i < p->puts; i++) {
        MUST(scim_kv_put(txn, row_key(key, 'r', i), number_slice(&p->generation), false) == OK);
    }
    raise(SIGKILL);
    return OK;
}

static void test_killed_in_function(void **state)
{
    advance();
    for (int puts = 0; puts <= ROWS; puts += rounds(4, 1)) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            partial p = {fix.acknowledged + 1, puts};
            scim_kv *kv;

            MUST(open_as(&kv, &fix.options, NULL) == OK);
            scim_kv_update(kv, die_after_puts, &p);
            _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        check_after_kill(false);
    }
    advance();
}

/*
 * Readers that die or stop
 */

static off_t file_size(void)
{
    struct stat info;

    assert_int_equal(stat(in_directory("data.mdb"), &info), 0);
    return info.st_size;
}

/* A process that is inside a view when this returns. */
static pid_t start_reader(scim_kv_fn fn)
{
    int ends[2];
    pid_t pid;
    char byte;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        scim_kv *kv;

        alarm(120); /* should nobody end it */
        MUST(open_as(&kv, &fix.options, NULL) == OK);
        MUST(scim_kv_view(kv, fn, &ends[1]) == OK);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return pid;
}

static scim_kv_rc stay(scim_kv_txn *txn, void *baton)
{
    MUST(write(*(int *)baton, "", 1) == 1);
    for (;;) {
        pause();
    }
}

static void kill_process(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_killed_readers(void **state)
{
    off_t steady;
    scim_kv_stat stat;

    for (int i = 0; i < 20; i++) {
        advance();
    }
    steady = file_size();
    for (int i = 0; i < rounds(40, 1000); i++) {
        kill_process(start_reader(stay));
        advance();
        advance();
    }
    /* the last one's slot is freed by whoever looks */
    assert_int_equal(scim_kv_check(fix.kv, NULL), OK);
    assert_int_equal(scim_kv_statistics(fix.kv, &stat), OK);
    assert_int_equal(stat.readers, 0);
    assert_true(file_size() <= 2 * steady);
}

static int depth;

static scim_kv_rc nest_and_stay(scim_kv_txn *txn, void *baton)
{
    if (--depth > 0) {
        return scim_kv_view(txn->kv, nest_and_stay, baton);
    }
    return stay(txn, baton);
}

/* The old children of a graceful restart read on beside the new ones: of each
 * four with 512 threads. */
static void test_two_generations(void **state)
{
    enum { PROCESSES = 8, THREADS = 512 };
    pid_t pids[PROCESSES];
    scim_kv_stat stat;

    advance();
    for (int i = 0; i < PROCESSES; i++) {
        depth = THREADS;
        pids[i] = start_reader(nest_and_stay);
    }
    assert_int_equal(scim_kv_statistics(fix.kv, &stat), OK);
    assert_int_equal(stat.readers, PROCESSES * THREADS);
    for (int i = 0; i < 10; i++) {
        advance();
    }
    for (int i = 0; i < PROCESSES; i++) {
        kill_process(pids[i]);
    }
    advance();
}

static void wait_stopped(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static void wait_good(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Between two reads of one view: it sees what it saw before. */
static void test_stopped_in_view(void **state)
{
    off_t grown;
    pid_t pid;

    advance();
    pid = fork();
    if (pid == 0) {
        int generation = MIXED;
        scim_kv *kv;

        MUST(open_as(&kv, &fix.options, NULL) == OK);
        MUST(scim_kv_view(kv, read_with_stop, &generation) == OK);
        MUST(generation == fix.acknowledged);
        _exit(0);
    }
    wait_stopped(pid);
    for (int i = 0; i < rounds(100, 300); i++) {
        advance();
    }
    grown = file_size();
    kill(pid, SIGCONT);
    wait_good(pid);
    for (int i = 0; i < 50; i++) {
        advance();
    }
    assert_true(file_size() <= grown + MIB); /* its pages are used again */
}

static void read_until_told(int fd)
{
    scim_kv *kv;
    int flags = fcntl(fd, F_GETFL);
    char byte;

    MUST(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    MUST(open_as(&kv, &fix.options, NULL) == OK);
    while (read(fd, &byte, 1) < 0) {
        int generation = MIXED;
        scim_kv_rc rc = scim_kv_view(kv, read_generation, &generation);

        MUST(rc == OK && generation > 0);
    }
    _exit(0);
}

/* Wherever it is: between views, in the middle of beginning one. */
static void test_stopped_anywhere(void **state)
{
    int ends[2];
    pid_t pid;

    advance();
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        close(ends[1]);
        read_until_told(ends[0]);
    }
    close(ends[0]);
    for (int i = 0; i < rounds(40, 1000); i++) {
        usleep((useconds_t)(500 + i * 37 % 1000));
        kill(pid, SIGSTOP);
        for (int n = 0; n < 4; n++) {
            advance();
        }
        kill(pid, SIGCONT);
    }
    close(ends[1]);
    wait_good(pid);
}

/*
 * A map that another process lets grow
 */

static atomic_bool reading_is_over;

static void *read_in_thread(void *failures)
{
    while (!atomic_load(&reading_is_over)) {
        int generation = MIXED;

        if (scim_kv_view(fix.kv, read_generation, &generation) != OK || generation <= 0) {
            atomic_fetch_add((atomic_int *)failures, 1);
        }
    }
    return NULL;
}

static scim_kv_rc put_filler(scim_kv_txn *txn, void *baton)
{
    static const char bytes[64 * 1024];
    char key[16];

    return scim_kv_put(txn, row_key(key, 'x', (*(int *)baton)++),
                       (scim_slice){bytes, sizeof(bytes)}, false);
}

/* Each time by a tenth, and filled up to there. */
static void grow_in_process(int times)
{
    int number = 0;

    for (int i = 0; i < times; i++) {
        scim_kv *kv;

        fix.options.size += fix.options.size / 10;
        MUST(open_as(&kv, &fix.options, NULL) == OK);
        while (scim_kv_update(kv, put_filler, &number) == OK) {
        }
        scim_kv_close(kv);
    }
}

static void grow_under_load(int times)
{
    atomic_int failures = 0;
    apr_uint64_t size = fix.options.size;
    pthread_t threads[2];
    scim_kv_stat stat;
    pid_t pid;

    /* before there are threads */
    pid = fork();
    if (pid == 0) {
        grow_in_process(times);
        _exit(0);
    }
    atomic_store(&reading_is_over, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_in_thread, &failures), 0);
    }
    wait_good(pid);
    atomic_store(&reading_is_over, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(failures, 0);
    assert_int_equal(scim_kv_statistics(fix.kv, &stat), OK);
    for (int i = 0; i < times; i++) {
        size += size / 10;
    }
    assert_true(stat.size >= size / 65536 * 65536);
}

static void start_small(void)
{
    scim_kv_close(fix.kv);
    empty_directory();
    fix.options.size = MIB;
    fix.acknowledged = 0;
    open_store();
    advance();
}

static void test_map_grows(void **state)
{
    for (int i = 0; i < rounds(2, 40); i++) {
        start_small();
        grow_under_load(25);
    }
}

/* The larger map cannot be had at once. */
static void test_fault_while_growing(void **state)
{
    for (int e = -1; e < FAULT_ERRORS; e++) {
        for (int times = 1; times <= 8; times++) {
            int generation = MIXED;
            scim_kv_rc rc;
            pid_t pid;

            start_small();
            pid = fork();
            if (pid == 0) {
                grow_in_process(3);
                _exit(0);
            }
            wait_good(pid);
            arm(FAULT_MAP, 0, times, e < 0 ? ENOMEM : fault_errors[e], FAULT_FAIL);
            rc = scim_kv_view(fix.kv, read_generation, &generation);
            assert_true(disarm() > 0);
            assert_true(rc == OK ? generation == fix.acknowledged
                                 : rc == SCIM_KV_IO || rc == SCIM_KV_BUSY);
            assert_int_equal(generation_of(fix.kv), fix.acknowledged);
        }
    }
    fix.options.size *= 2;
    advance_elsewhere();
}

/*
 * Files that are no store of ours
 */

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(in_directory(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void assert_refused(const char *what, scim_kv_rc expected, const char *part)
{
    const char *why = NULL;
    scim_kv *kv;
    scim_kv_rc rc = open_as(&kv, &fix.options, &why);

    if (rc != expected || !why || !strstr(why, fix.directory) || !strstr(why, part) ||
        strchr(why, '\n')) {
        fail_msg("%s: %s: %s", what, scim_kv_strerror(rc), why ? why : "no reason");
    }
}

static void write_altered(const char *bytes, size_t size, size_t at, char byte)
{
    char *copy = malloc(size);

    memcpy(copy, bytes, size);
    copy[at] = copy[at + 4096] = byte;
    write_file("data.mdb", copy, size);
    free(copy);
}

static void test_foreign_files(void **state)
{
    static const char random[] = "\x7f"
                                 "ELF\x02\x01\x01 and so on";
    enum { MAGIC = 16, VERSION = 20 };
    static char bytes[8192];
    FILE *file;

    advance();
    scim_kv_close(fix.kv);
    fix.kv = NULL;
    file = fopen(in_directory("data.mdb"), "r");
    assert_int_equal(fread(bytes, 1, sizeof(bytes), file), sizeof(bytes));
    fclose(file);
    empty_directory();

    write_file("data.mdb", "", 0);
    assert_refused("empty", SCIM_KV_CORRUPT, "is empty");
    write_file("data.mdb", random, sizeof(random));
    assert_refused("shorter than a page", SCIM_KV_CORRUPT, "backup");
    write_altered(bytes, sizeof(bytes), MAGIC, 'x');
    assert_refused("another magic, as of the other byte order", SCIM_KV_CORRUPT, "backup");
    write_altered(bytes, sizeof(bytes), VERSION, 9);
    assert_refused("another version of LMDB", SCIM_KV_CORRUPT, "backup");
    write_file("data.mdb", bytes, 4096 + 100);
    assert_refused("cut off in the second page", SCIM_KV_CORRUPT, "backup");

    assert_int_equal(rename(in_directory("data.mdb"), in_directory("elsewhere")), 0);
    assert_int_equal(symlink(in_directory("elsewhere"), in_directory("data.mdb")), 0);
    assert_refused("a link", SCIM_KV_IO, "is a symbolic link");
    assert_int_equal(unlink(in_directory("data.mdb")), 0);
    assert_int_equal(mkdir(in_directory("data.mdb"), 0700), 0);
    assert_refused("a directory", SCIM_KV_IO, "is no file");
    empty_directory();
    assert_int_equal(symlink("/dev/null", in_directory("lock.mdb")), 0);
    assert_refused("a link for the locks", SCIM_KV_IO, "lock.mdb");
    assert_int_equal(empty_directory(), 1);
    open_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_update, begin, end),
        cmocka_unit_test_setup_teardown(test_lasting, begin, end),
        cmocka_unit_test_setup_teardown(test_not_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(test_settled, begin, end),
        cmocka_unit_test_setup_teardown(test_open, begin, end),
        cmocka_unit_test_setup_teardown(test_create, begin, end),
        cmocka_unit_test_setup_teardown(test_fault_while_reopening, begin, end),
        cmocka_unit_test_setup_teardown(test_becomes_read_only, begin, end),
        cmocka_unit_test_setup_teardown(test_killed, begin, end),
        cmocka_unit_test_setup_teardown(test_killed_in_function, begin, end),
        cmocka_unit_test_setup_teardown(test_killed_readers, begin, end),
        cmocka_unit_test_setup_teardown(test_two_generations, begin, end),
        cmocka_unit_test_setup_teardown(test_stopped_in_view, begin, end),
        cmocka_unit_test_setup_teardown(test_stopped_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(test_map_grows, begin, end),
        cmocka_unit_test_setup_teardown(test_fault_while_growing, begin, end),
        cmocka_unit_test_setup_teardown(test_foreign_files, begin, end),
    };

    apr_initialize();
    atexit(apr_terminate);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
