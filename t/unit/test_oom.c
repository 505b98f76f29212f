/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory at every allocation of a request, one after the other: the process
 * may end, as httpd's does then, but the store is whole, has what was acknowledged,
 * and has a change as a whole or not at all; and nobody is told that a fault of the
 * server is one of the client.
 *
 * Each failure is a process of its own, on a copy of one store.  malloc and its kin
 * are replaced for all libraries of the process, so this is not built for the
 * sanitizers that replace them too, nor run under valgrind.
 *
 * LONG in the environment: every n; without it, every n up to 40, then each seventh.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scim/verify.h"

#include "service_fixture.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACED 0
#else
#define REPLACED 1
#endif

/* Allocations */

static long count;   /* since begun */
static long failing; /* the one that fails; 0: none */

#if REPLACED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define REPLACES __attribute__((visibility("default")))

static bool fails(void)
{
    if (!failing || ++count != failing) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

REPLACES void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

REPLACES void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

REPLACES void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}

REPLACES void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

REPLACES int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (fails()) {
        return ENOMEM;
    }
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}
#endif

/* As httpd has it, but without words. */
static int abort_on_oom(int retcode)
{
    abort();
    return retcode;
}

/* The store */

static char directory[] = "/dev/shm/scim-oom-XXXXXX";
static const char *ids[4]; /* anna, boss, Guides, Outer */
static apr_time_t after_base;

static const char *path_of(const char *name)
{
    return apr_pstrcat(pool, directory, "/", name, NULL);
}

/* Pools as httpd's are: one allocator for each, and memory that is the system's at
 * first. */
static void open_in(const char *name)
{
    scim_store_options options = {.kv = {.create = true, .size = 1 << 30},
                                  .registry = registry};
    apr_allocator_t *allocator;

    apr_allocator_create(&allocator);
    apr_pool_create_ex(&pool, NULL, abort_on_oom, allocator);
    apr_allocator_owner_set(allocator, pool);
    assert_null(scim_store_open(&store, apr_pstrcat(pool, "lmdb:", directory, "/", name, NULL),
                                &options, pool));
    set_defaults();
}

static void close_it(void)
{
    scim_store_close(store);
    apr_pool_destroy(pool);
}

static scim_policy with_passwords(const char *tenant, void *baton, apr_pool_t *result_pool)
{
    scim_policy policy = scim_policy_default();

    policy.password_sync = true;
    return policy;
}

static const scim_error *find_tenant(scim_view *view, void *baton)
{
    return scim_tenant_find(baton, view, "acme");
}

static void copy(const char *from, const char *to)
{
    char buffer[65536];
    int in = open(path_of(from), O_RDONLY), out;
    ssize_t got;

    mkdir(path_of(to), 0700);
    unlink(path_of(apr_pstrcat(pool, to, "/lock.mdb", NULL)));
    out = open(path_of(apr_pstrcat(pool, to, "/data.mdb", NULL)), O_WRONLY | O_CREAT | O_TRUNC,
               0600);
    assert_true(in >= 0 && out >= 0);
    while ((got = read(in, buffer, sizeof(buffer))) > 0) {
        assert_int_equal(write(out, buffer, (size_t)got), got);
    }
    close(in);
    close(out);
}

static void keep_id(int i, const char *id)
{
    static char kept[4][SCIM_ID_TEXT + 1];

    ids[i] = strcpy(kept[i], id);
}

static void make_base(void)
{
    apr_array_header_t *changed;

    apr_pool_create(&pool, NULL);
    mkdir(path_of("base"), 0700);
    open_in("base");
    now = apr_time_from_sec(1800000000);
    open_tenant(&identity.tenant, "acme");
    assert_null(scim_tenant_set_policies(&changed, store, with_passwords, NULL, pool));
    assert_null(scim_store_view(store, find_tenant, &identity.tenant, pool));
    /* A password makes OpenSSL prepare what it prepares once, as a child has it. */
    keep_id(1, create("/Users",
                      quoted("{'schemas':['@U'],'userName':'boss','password':'of-boss-7'}")));
    keep_id(0, create("/Users",
                      text_of("{'schemas':['@U','@EU'],'userName':'anna','externalId':'x-1',"
                              "'emails':[{'value':'anna@example.com','type':'work'}],"
                              "'@EU':{'manager':{'value':'%s'}}}",
                              ids[1])));
    keep_id(2, create_group("Guides", member(ids[0])));
    keep_id(3, create_group("Outer", member(ids[2])));
    after_base = now;
    close_it();
    apr_pool_create(&pool, NULL);
}

/* Texts with random parts taken out: each id by the order in which it comes. */
static const char *without_ids(const char *text)
{
    char *out = apr_pstrdup(pool, text), *at;
    apr_hash_t *seen = apr_hash_make(pool);

    for (at = out; strlen(at) >= SCIM_ID_TEXT; at++) {
        const char *id = apr_pstrmemdup(pool, at, SCIM_ID_TEXT), *number;
        scim_id parsed;

        if (!scim_id_parse(&parsed, id)) {
            continue;
        }
        number = apr_hash_get(seen, id, APR_HASH_KEY_STRING);
        if (!number) {
            number = apr_psprintf(pool, "%0*d", SCIM_ID_TEXT, (int)apr_hash_count(seen));
            apr_hash_set(seen, id, APR_HASH_KEY_STRING, number);
        }
        memcpy(at, number, SCIM_ID_TEXT);
        at += SCIM_ID_TEXT - 1;
    }
    return out;
}

/* All that a client can see. */
static const char *state_text(void)
{
    const char *users = assert_status(get("/Users?count=100"), 200).body;

    return without_ids(apr_pstrcat(pool, users, "\n",
                                   assert_status(get("/Groups?count=100"), 200).body, NULL));
}

static void complain(const scim_finding *finding, void *baton)
{
    fail_msg("%s: %s (%s)", finding->table, finding->what, finding->id ? finding->id : "");
}

/* What the store in a directory holds, which must be whole. */
static const char *read_state(const char *name, apr_pool_t *result_pool)
{
    scim_verify_watcher watcher = {complain, NULL, NULL};
    scim_verification result;
    apr_pool_t *before = pool;
    const char *text;

    open_in(name);
    assert_null(scim_store_view(store, find_tenant, &identity.tenant, pool));
    assert_null(scim_verify(&result, store, NULL, &watcher, pool));
    assert_int_equal(result.findings, 0);
    now = after_base + apr_time_from_sec(1000);
    text = apr_pstrdup(result_pool, state_text());
    close_it();
    pool = before;
    return text;
}

/* Requests */

typedef struct request {
    const char *name;
    scim_method method;
    const char *url;  /* @0 to @3 are ids */
    const char *body; /* likewise, with ' for " */
} request;

static const request requests[] = {
    {"POST of a user", SCIM_POST, "/Users",
     "{'schemas':['@U','@EU'],'userName':'carl','externalId':'x-2','displayName':'Carl "
     "\\u00e9',"
     "'name':{'givenName':'Carl','familyName':'C'},'password':'of-carl-7',"
     "'emails':[{'value':'c@example.com','type':'work','primary':true},"
     "{'value':'d@example.com','type':'home'}],'@EU':{'department':'x','manager':{'value':'@0'}"
     "}}"},
    {"POST of a group", SCIM_POST, "/Groups",
     "{'schemas':['@G'],'displayName':'New','members':[{'value':'@0'},{'value':'@1'},"
     "{'value':'@2'}]}"},
    {"PUT of a user", SCIM_PUT, "/Users/@0",
     "{'schemas':['@U'],'userName':'Anna2','externalId':'x-3','title':'t',"
     "'emails':[{'value':'e@example.com','type':'work'}]}"},
    {"PATCH of a user", SCIM_PATCH, "/Users/@0",
     "{'schemas':['@PO'],'Operations':[{'op':'replace','path':'userName','value':'anna3'},"
     "{'op':'add','path':'emails[type eq \\'work\\'].value','value':'f@example.com'},"
     "{'op':'replace','value':{'@EU:department':'y','active':false}}]}"},
    {"PATCH of a group's members", SCIM_PATCH, "/Groups/@2",
     "{'schemas':['@PO'],'Operations':[{'op':'add','path':'members','value':[{'value':'@1'}]},"
     "{'op':'remove','path':'members[value eq \\'@0\\']'}]}"},
    {"DELETE of a user", SCIM_DELETE, "/Users/@0", NULL},
    {"DELETE of a manager", SCIM_DELETE, "/Users/@1", NULL},
    {"DELETE of a group", SCIM_DELETE, "/Groups/@2", NULL},
    {"a bulk job of one", SCIM_POST, "/Bulk",
     "{'schemas':['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],'Operations':["
     "{'method':'PATCH','path':'/Users/@0','data':{'schemas':['@PO'],'Operations':["
     "{'op':'replace','path':'title','value':'z'}]}}]}"},
    {"GET of all", SCIM_GET, "/Users?count=10", NULL},
    {"GET by a filter", SCIM_GET, "/Users?filter=emails.value%20co%20%22anna%22", NULL},
};

static char *with_ids(const char *text)
{
    char *out = apr_pstrdup(pool, text), *at;
    int i;

    for (i = 0; i < 4; i++) {
        const char name[] = {'@', (char)('0' + i), '\0'};

        while ((at = strstr(out, name))) {
            out = apr_pstrcat(pool, apr_pstrmemdup(pool, out, (apr_size_t)(at - out)), ids[i],
                              at + 2, NULL);
        }
    }
    return out;
}

/* What a process has to say of a request. */
typedef struct outcome {
    long allocations;
    int status;
    bool again; /* the client is told to ask again */
    int next;   /* the status of another request behind it */
} outcome;

/* No function that asserts: the process is not cmocka's. */
static scim_reply answer(scim_method method, const char *url, const char *body)
{
    scim_call call = call_of(method, url, body);
    scim_reply reply;

    scim_service_answer(&reply, &call, pool);
    return reply;
}

static int discard(scim_stream *stream)
{
    const scim_error *err = NULL;
    bool end = false;

    while (!err && !end) {
        err = stream->next(stream, scim_buffer_make(1000, pool), &end, pool);
    }
    return err ? err->status : 200;
}

/* In a process of its own: never returns.  Behind the failure there is memory again,
 * and the process must be as good as before. */
static void submit_and_exit(const request *r, long n, int out)
{
    const struct rlimit no_core = {0, 0};
    outcome done = {0, 0, false, 0};
    const char *url, *body;
    scim_reply reply;

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL); /* cmocka's handlers would go on with its tests here */
    signal(SIGBUS, SIG_DFL);
    if (!freopen("/dev/null", "w", stderr)) {
        _exit(5);
    }
    open_in("work");
    now = after_base;
    if (scim_store_view(store, find_tenant, &identity.tenant, pool)) {
        _exit(3);
    }
    url = with_ids(r->url);
    body = r->body ? quoted(with_ids(r->body)) : NULL;
    count = 0;
    failing = n;
    reply = answer(r->method, url, body);
    done.status = reply.stream ? discard(reply.stream) : reply.status;
    done.allocations = count;
    failing = 0;
    done.again = reply.retry_after > 0;
    done.next = answer(SCIM_GET, "/Users", NULL).status;
    if (write(out, &done, sizeof(done)) != sizeof(done)) {
        _exit(4);
    }
    scim_store_close(store);
    _exit(0);
}

/* False where the process ended on the way, as it may. */
static bool run(outcome *done, const request *r, long n)
{
    int ends[2], status;
    bool told;
    pid_t pid;

    copy("base/data.mdb", "work");
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        submit_and_exit(r, n, ends[1]);
    }
    close(ends[1]);
    told = read(ends[0], done, sizeof(*done)) == sizeof(*done);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (told ? status != 0 : !WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fail_msg("%s, allocation %ld: the process ended with status %#x %s", r->name, n, status,
                 told ? "behind its answer" : "and no answer");
    }
    return told;
}

static long next_of(long n)
{
    return n < 40 || getenv("LONG") ? n + 1 : n + 7;
}

static void try_all(const request *r)
{
    apr_pool_t *kept;
    const char *before, *after;
    long n, answered = 0, ended = 0;
    outcome done;

    apr_pool_create(&kept, NULL);
    copy("base/data.mdb", "work");
    before = read_state("work", kept);
    assert_true(run(&done, r, LONG_MAX));
    assert_in_range(done.status, 200, 204);
    after = read_state("work", kept);
    assert_int_equal(!strcmp(before, after), r->method == SCIM_GET);
    assert_true(done.allocations >= 1);
    for (n = 1; n <= done.allocations; n = next_of(n)) {
        outcome failed;
        bool told = run(&failed, r, n);
        const char *state = read_state("work", kept);

        answered += told;
        ended += !told;
        if (strcmp(state, before) && strcmp(state, after)) {
            fail_msg("%s, allocation %ld: changed by half:\n%s\nbefore:\n%s\nafter:\n%s",
                     r->name, n, state, before, after);
        }
        if (told && failed.status < 300 && strcmp(state, after)) {
            fail_msg("%s, allocation %ld: %d, but nothing has changed", r->name, n,
                     failed.status);
        }
        if (told && failed.status >= 300 && failed.status < 500) {
            fail_msg("%s, allocation %ld: the client is told %d", r->name, n, failed.status);
        }
        if (told && failed.status >= 500 && !failed.again && strcmp(state, before)) {
            fail_msg("%s, allocation %ld: %d, but it has changed", r->name, n, failed.status);
        }
        if (told && failed.next != 200) {
            fail_msg("%s, allocation %ld: the next request is answered %d", r->name, n,
                     failed.next);
        }
    }
    print_message("%s: %ld allocations; the process ended at %ld, answered at %ld\n", r->name,
                  done.allocations, ended, answered);
    apr_pool_destroy(kept);
}

static void test_request(void **state)
{
    try_all(*state);
}

static int remove_all(void **state)
{
    static const char *const names[] = {"base/data.mdb", "base/lock.mdb", "base",
                                        "work/data.mdb", "work/lock.mdb", "work"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        remove(path_of(names[i]));
    }
    return rmdir(directory);
}

/* Of what a tree becomes that finds no memory for a part nothing is shown here: the
 * process ends, as it does where a pool finds none. */
static void *must_malloc(size_t size)
{
    void *memory = malloc(size);

    if (!memory) {
        abort();
    }
    return memory;
}

int main(void)
{
    enum { COUNT = sizeof(requests) / sizeof(requests[0]) };
    struct CMUnitTest tests[COUNT];
    int i;

    if (!REPLACED || (getenv("SCIM_VALGRIND") && *getenv("SCIM_VALGRIND"))) {
        puts("1..0 # SKIP malloc is the sanitizer's, or valgrind's");
        return 0;
    }
    make_registry(false);
    json_set_alloc_funcs(must_malloc, free);
    if (!mkdtemp(directory) && !mkdtemp(strcpy(directory, "/tmp/scim-oom-XXXXXX"))) {
        return 1;
    }
    make_base();
    for (i = 0; i < COUNT; i++) {
        tests[i] = (struct CMUnitTest){requests[i].name, test_request, NULL, NULL,
                                       (void *)&requests[i]};
    }
    return cmocka_run_group_tests(tests, NULL, remove_all);
}
