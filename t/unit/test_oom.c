/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory at every allocation of a request, one after the other: either the
 * process ends, with httpd's words and before anything is told, or the request is
 * answered as it is with memory, or with a fault of the server.  Behind it the store is
 * whole, has all of what was acknowledged, byte for byte, and has a change as a whole or
 * not at all.
 *
 * Each failure is a process of its own, on a copy of one store: once the allocation
 * fails and there is memory again, and once there is none from there on.  malloc and
 * its kin are replaced for all libraries of the process, so this is not built for the
 * sanitizers that replace them too, nor run under valgrind.
 *
 * LONG in the environment: both ways for every n; without it the second for each seventh.
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

#include "scim/heap.h"
#include "scim/secret.h"
#include "scim/subject.h"
#include "scim/token.h"
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
static bool lasting; /* and all behind it */

#if REPLACED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define REPLACES __attribute__((visibility("default")))

static bool fails(void)
{
    if (!failing || (++count != failing && !(lasting && count > failing))) {
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

/* The store */

static char directory[] = "/dev/shm/scim-oom-XXXXXX";
static const char *ids[4]; /* anna, boss, Guides, Outer */
static const char *cursor; /* behind the first of the users */
static char token[SCIM_TOKEN_LEN + 1];
static apr_time_t after_base;
static apr_pool_t *kept_pool;

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
    apr_pool_create_ex(&pool, NULL, scim_heap_abort, allocator);
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

static scim_policy with_all(const char *tenant, void *baton, apr_pool_t *result_pool)
{
    static const scim_role_pattern guide = {"guide", "Guides", "guides", 6, false};
    scim_policy policy = scim_policy_default();

    policy.password_sync = true;
    policy.dangling_references = true;
    policy.roles = &guide;
    policy.roles_count = 1;
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

/* Whether a store has the very bytes of another. */
static bool same_bytes(const char *one, const char *other)
{
    char a[65536], b[65536];
    int in_one = open(path_of(one), O_RDONLY), in_other = open(path_of(other), O_RDONLY);
    ssize_t got;
    bool same;

    assert_true(in_one >= 0 && in_other >= 0);
    do {
        got = read(in_one, a, sizeof(a));
        same = got >= 0 && read(in_other, b, sizeof(b)) == got && !memcmp(a, b, (size_t)got);
    } while (same && got);
    close(in_one);
    close(in_other);
    return same;
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
    assert_null(scim_tenant_set_policies(&changed, store, with_all, NULL, pool));
    assert_null(scim_store_view(store, find_tenant, &identity.tenant, pool));
    /* A password makes OpenSSL prepare what it prepares once, as a child has it. */
    keep_id(1, create("/Users",
                      quoted("{'schemas':['@U'],'userName':'boss','password':'of-boss-7'}")));
    keep_id(0, create("/Users",
                      text_of("{'schemas':['@U','@EU'],'userName':'anna','externalId':'x-1',"
                              "'emails':[{'value':'anna@example.com','type':'work'}],"
                              "'@EU':{'manager':{'value':'%s'}}}",
                              ids[1])));
    keep_id(2, create_group("Guides", apr_pstrcat(pool, member(ids[0]), ",",
                                                  member("stranger 0"), NULL)));
    keep_id(3, create_group("Outer", member(ids[2])));
    create("/Devices", quoted("{'schemas':['urn:x:device'],'name':'d0','size':7,"
                              "'weight':12345678901234.5678,'label':'L'}"));
    assert_null(scim_token_create(token, store, "acme", "okta", SCIM_SCOPE_READ, now, 0, pool));
    cursor = strdup(text_at(assert_status(get("/Users?cursor&count=1"), 200), "nextCursor"));
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

/* A cursor has random bytes. */
static const char *without_cursor(const char *text)
{
    const char *begin = strstr(text, "\"nextCursor\":\""), *end;

    if (!begin) {
        return text;
    }
    end = strchr(begin + strlen("\"nextCursor\":\""), '"');
    return apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(begin - text)), end, NULL);
}

/* Which of the passwords a hash is of.  That is asked once, since it takes long. */
static const char *password_of(const char *hash)
{
    static const char *const passwords[] = {"of-boss-7", "of-carl-7"};
    static apr_hash_t *known;
    const char *password;
    apr_size_t i;

    known = known ? known : apr_hash_make(kept_pool);
    password = apr_hash_get(known, hash, APR_HASH_KEY_STRING);
    for (i = 0; i < sizeof(passwords) / sizeof(passwords[0]) && !password; i++) {
        password = scim_secret_verify(hash, passwords[i], pool) ? passwords[i] : NULL;
    }
    assert_non_null(password);
    apr_hash_set(known, apr_pstrdup(kept_pool, hash), APR_HASH_KEY_STRING, password);
    return password;
}

typedef struct storing {
    const scim_resource_type *type;
    const char *id;
    const char *text;
} storing;

/* The bytes that are stored of a resource, and its password. */
static const scim_error *read_stored(scim_view *view, void *baton)
{
    storing *s = baton;
    const char *hash;
    scim_record record;
    scim_id id;

    assert_true(scim_id_parse(&id, s->id));
    SCIM_ERR(scim_resource_get(&record, view, &identity.tenant, s->type, &id));
    SCIM_ERR(scim_secret_find(&hash, view, &identity.tenant, &id));
    s->text = apr_psprintf(pool, "%.*s %s\n", (int)record.json_len, record.json,
                           hash ? password_of(hash) : "");
    return NULL;
}

/* All that a client can see of one endpoint, and what is stored there. */
static const char *endpoint_text(const char *endpoint)
{
    scim_reply reply = assert_status(get(apr_pstrcat(pool, endpoint, "?count=100", NULL)), 200);
    const json_t *resources = json_object_get(json_of(&reply), "Resources"), *resource;
    const char *text = reply.body;
    size_t i;

    json_array_foreach (resources, i, resource) {
        storing s = {.type = scim_registry_endpoint(registry, endpoint),
                     .id = scim_json_string(resource, "id")};

        assert_null(scim_store_view(store, read_stored, &s, pool));
        text = apr_pstrcat(pool, text, "\n", s.text, NULL);
    }
    return text;
}

static const char *state_text(void)
{
    return without_ids(apr_pstrcat(pool, endpoint_text("/Users"), "\n",
                                   endpoint_text("/Groups"), "\n", endpoint_text("/Devices"),
                                   NULL));
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
    const char *url;  /* @0 to @3 are ids, @C the cursor */
    const char *body; /* likewise, with ' for " */
    const scim_error *(*ask)(scim_view *view, void *baton); /* what httpd asks, in its place */
} request;

/* Those that httpd asks write their answer into a text. */

static const scim_error *ask_subject(scim_view *view, void *baton)
{
    const char **text = baton;
    scim_subject subject;
    int i;

    SCIM_ERR(
        scim_subject_find(&subject, view, &identity.tenant, SCIM_BY_EMAIL, "Anna@example.com"));
    *text = apr_psprintf(pool, "%d", (int)subject.state);
    for (i = 0; subject.state == SCIM_SUBJECT_ACTIVE && i < subject.groups->nelts; i++) {
        const scim_subject_group *group = &APR_ARRAY_IDX(subject.groups, i, scim_subject_group);

        *text =
            apr_psprintf(pool, "%s %s/%d/%d", *text, group->name, group->role, group->direct);
    }
    for (i = 0; subject.state == SCIM_SUBJECT_ACTIVE && i < subject.roles->nelts; i++) {
        *text =
            apr_psprintf(pool, "%s %s", *text, APR_ARRAY_IDX(subject.roles, i, const char *));
    }
    return NULL;
}

static const scim_error *ask_details(scim_view *view, void *baton)
{
    const char **text = baton;
    scim_subject_details details;
    scim_id id;

    scim_id_parse(&id, ids[0]);
    SCIM_ERR(scim_subject_read(&details, view, &identity.tenant, &id));
    *text = apr_pstrcat(pool, details.user_name, details.email, details.external_id, NULL);
    return NULL;
}

static const scim_error *ask_token(scim_view *view, void *baton)
{
    const char **text = baton;
    scim_token_state state;
    scim_identity found;

    SCIM_ERR(scim_token_find(&state, &found, view, token, after_base));
    *text = apr_psprintf(pool, "%d %s", (int)state,
                         state == SCIM_TOKEN_VALID ? found.connection : "");
    return NULL;
}

static const scim_error *ask_password(scim_view *view, void *baton)
{
    const char **text = baton, *hash;
    scim_id id;

    scim_id_parse(&id, ids[1]);
    SCIM_ERR(scim_secret_find(&hash, view, &identity.tenant, &id));
    *text = scim_secret_verify(hash, "of-boss-7", pool) ? "right" : "wrong";
    return NULL;
}

#define LONG_TEXT "a text that is longer than what there is room for at first, by and by"

static const request requests[] = {
    {"POST of a user", SCIM_POST, "/Users",
     "{'schemas':['@U','@EU'],'userName':'carl','externalId':'x-2','displayName':'Carl "
     "\\u00e9',"
     "'name':{'givenName':'Carl','familyName':'C'},'password':'of-carl-7',"
     "'emails':[{'value':'c@example.com','type':'work','primary':true},"
     "{'value':'d@example.com','type':'home'}],'@EU':{'department':'x','manager':{'value':'@0'}"
     "}}",
     NULL},
    {"POST of a user with all sorts of names", SCIM_POST, "/Users",
     "{'\\u0073chemas':['@U','@EU'],'USERNAME':'dora','name.givenName':'Dora','@EU:department':"
     "'x','@EU:manager':'@0','emails':{'value':'g@example.com'},'roles':['r1','r2'],"
     "'phoneNumbers':[{'value':'1'},{'value':'2'},{'value':'3'},{'value':'4'},{'value':'5'},"
     "{'value':'6'},{'value':'7'},{'value':'8'},{'value':'9'}],'active':'True'}",
     NULL},
    {"POST of a group", SCIM_POST, "/Groups",
     "{'schemas':['@G'],'displayName':'New','members':[{'value':'@0'},{'value':'@1'},"
     "{'value':'@2'},{'value':'stranger 1','display':'S'}]}",
     NULL},
    {"POST of numbers", SCIM_POST, "/Devices",
     "{'schemas':['urn:x:device'],'name':'d1','size':9007199254740993123,"
     "'weight':12345678901234.5,'label':'" LONG_TEXT "','owners':[{'value':'@0'}]}",
     NULL},
    {"PUT of a user", SCIM_PUT, "/Users/@0",
     "{'schemas':['@U'],'userName':'Anna2','externalId':'x-3','title':'t',"
     "'emails':[{'value':'e@example.com','type':'work'}]}",
     NULL},
    {"PUT of a group", SCIM_PUT, "/Groups/@2",
     "{'schemas':['@G'],'displayName':'Guides2','members':[{'value':'@1'},"
     "{'value':'stranger 2'}]}",
     NULL},
    {"PATCH of a user", SCIM_PATCH, "/Users/@0",
     "{'schemas':['@PO'],'Operations':[{'op':'replace','path':'userName','value':'anna3'},"
     "{'op':'add','path':'emails[type eq \\'work\\'].value','value':'f@example.com'},"
     "{'op':'replace','value':{'@EU:department':'y','active':false}}]}",
     NULL},
    {"PATCH of a user, as Entra has it", SCIM_PATCH, "/Users/@0",
     "{'schemas':['@PO'],'Operations':[{'op':'Add','value':{'name.familyName':'N',"
     "'phoneNumbers[type eq \\'work\\'].value':'123','emails[type eq \\'home\\'].value':"
     "'h@example.com','@EU:manager':'@1'}},{'op':'Replace','path':'active','value':'False'},"
     "{'op':'add','path':'roles','value':[{'value':'r','displayName':'R'}]},"
     "{'op':'remove','path':'externalId'}]}",
     NULL},
    {"PATCH of a group's members", SCIM_PATCH, "/Groups/@2",
     "{'schemas':['@PO'],'Operations':[{'op':'add','path':'members','value':[{'value':'@1'}]},"
     "{'op':'remove','path':'members[value eq \\'@0\\']'}]}",
     NULL},
    {"PATCH of a group's strangers", SCIM_PATCH, "/Groups/@2",
     "{'schemas':['@PO'],'Operations':[{'op':'remove','path':'members','value':[{'value':"
     "'stranger 0'}]},{'op':'add','path':'members','value':{'value':'stranger 3'}}]}",
     NULL},
    {"DELETE of a user", SCIM_DELETE, "/Users/@0", NULL, NULL},
    {"DELETE of a manager", SCIM_DELETE, "/Users/@1", NULL, NULL},
    {"DELETE of a group", SCIM_DELETE, "/Groups/@2", NULL, NULL},
    {"a bulk job of one", SCIM_POST, "/Bulk",
     "{'schemas':['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],'Operations':["
     "{'method':'PATCH','path':'/Users/@0','data':{'schemas':['@PO'],'Operations':["
     "{'op':'replace','path':'title','value':'z'}]}}]}",
     NULL},
    {"a bulk job of several", SCIM_POST, "/Bulk",
     "{'schemas':['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],'Operations':["
     "{'method':'POST','path':'/Groups','bulkId':'g','data':{'schemas':['@G'],'displayName':"
     "'Bulk','members':[{'value':'bulkId:u'}]}},"
     "{'method':'POST','path':'/Users','bulkId':'u','data':{'schemas':['@U'],"
     "'userName':'emil'}},"
     "{'method':'PATCH','path':'/Groups/bulkId:g','data':{'schemas':['@PO'],'Operations':["
     "{'op':'add','path':'members','value':[{'value':'@0'}]}]}},"
     "{'method':'DELETE','path':'/Users/" NOBODY "'}]}",
     NULL},
    {"GET of all", SCIM_GET, "/Users?count=10", NULL, NULL},
    {"GET of one", SCIM_GET, "/Users/@0?attributes=userName,emails.value,@EU", NULL, NULL},
    {"GET by a filter", SCIM_GET, "/Users?filter=emails.value%20co%20%22anna%22", NULL, NULL},
    {"GET by a number", SCIM_GET,
     "/Devices?filter=weight%20eq%2012345678901234.5678%20or%20size%20gt%20"
     "1234567890123456789",
     NULL, NULL},
    {"GET by a group", SCIM_GET,
     "/Users?filter=groups.display%20eq%20%22guides%22%20and%20meta.location%20co%20%22U%22",
     NULL, NULL},
    {"GET by members, sorted", SCIM_GET,
     "/Groups?filter=members%5Bvalue%20eq%20%22@0%22%20and%20display%20sw%20%22a%22%5D&sortBy="
     "displayName&excludedAttributes=members.display",
     NULL, NULL},
    {"GET from a cursor on", SCIM_GET, "/Users?cursor=@C&count=1", NULL, NULL},
    {"GET by POST", SCIM_POST, "/Users/.search",
     "{'schemas':['urn:ietf:params:scim:api:messages:2.0:SearchRequest'],'filter':"
     "'userName sw \\'a\\'','cursor':'','count':1,'sortBy':'userName'}",
     NULL},
    {"GET of the configuration", SCIM_GET, "/ServiceProviderConfig", NULL, NULL},
    {"GET of the schemas", SCIM_GET, "/Schemas", NULL, NULL},
    {"GET of a resource type", SCIM_GET, "/ResourceTypes/User", NULL, NULL},
    {"who is it, with which groups and roles", 0, NULL, NULL, ask_subject},
    {"what applications are told of a user", 0, NULL, NULL, ask_details},
    {"whose token is it", 0, NULL, NULL, ask_token},
    {"whether a password is right", 0, NULL, NULL, ask_password},
};

static char *with_ids(const char *text)
{
    static const char *const names[] = {"@0", "@1", "@2", "@3", "@C"};
    char *out = apr_pstrdup(pool, text), *at;
    int i;

    for (i = 0; i < 5; i++) {
        while ((at = strstr(out, names[i]))) {
            out = apr_pstrcat(pool, apr_pstrmemdup(pool, out, (apr_size_t)(at - out)),
                              i < 4 ? ids[i] : cursor, at + 2, NULL);
        }
    }
    return out;
}

/* What a process has to say of a request. */
typedef struct outcome {
    long allocations;
    int status;
    bool again;          /* the client is told to ask again */
    int next;            /* the status of another request behind it */
    apr_uint64_t answer; /* of all that is told */
} outcome;

/* No function that asserts: the process is not cmocka's. */
static scim_reply answer(scim_method method, const char *url, const char *body)
{
    scim_call call = call_of(method, url, body);
    scim_reply reply;

    scim_service_answer(&reply, &call, pool);
    return reply;
}

/* FNV-1a: what differs is found by that, not shown. */
static apr_uint64_t digest_of(const char *text)
{
    apr_uint64_t digest = APR_UINT64_C(0xcbf29ce484222325);

    for (; *text; text++) {
        digest = (digest ^ (unsigned char)*text) * APR_UINT64_C(0x100000001b3);
    }
    return digest;
}

/* Its status; the whole body in *text. */
static int read_all(const char **text, const scim_reply *reply)
{
    scim_buffer *buffer = scim_buffer_make(1000, pool);
    const scim_error *err = NULL;
    bool end = !reply->stream;

    if (reply->body) {
        scim_buffer_add(buffer, reply->body, reply->body_len);
    }
    while (!err && !end) {
        err = reply->stream->next(reply->stream, buffer, &end, pool);
    }
    *text = buffer->data;
    return err ? err->status : reply->status;
}

/* Fails at an allocation between here and the whole answer. */
static void submit_failing(outcome *done, const request *r, long n)
{
    const char *url = r->url ? with_ids(r->url) : NULL, *text = "", *told = "";
    const char *body = r->body ? quoted(with_ids(r->body)) : NULL;
    scim_reply reply = {.status = 200};
    const scim_error *err = NULL;

    count = 0;
    failing = n;
    if (r->ask) {
        err = scim_store_view(store, r->ask, &text, pool);
        done->status = err ? err->status : 200;
    } else {
        reply = answer(r->method, url, body);
        done->status = read_all(&text, &reply);
        told = apr_pstrcat(pool, reply.location ? reply.location : "", " ",
                           reply.etag ? reply.etag : "", " ", NULL);
    }
    done->allocations = count;
    failing = 0;
    done->again = reply.retry_after > 0;
    done->answer = digest_of(without_ids(apr_pstrcat(pool, told, without_cursor(text), NULL)));
}

/* In a process of its own: never returns.  Behind the failure there is memory again,
 * and the process must be as good as before. */
static void submit_and_exit(const request *r, long n, int out, int words)
{
    const struct rlimit no_core = {0, 0};
    outcome done = {0};

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL); /* cmocka's handlers would go on with its tests here */
    signal(SIGBUS, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    if (dup2(words, STDERR_FILENO) < 0) {
        _exit(5);
    }
    open_in("work");
    now = after_base;
    if (scim_store_view(store, find_tenant, &identity.tenant, pool)) {
        _exit(3);
    }
    submit_failing(&done, r, n);
    done.next = answer(SCIM_GET, "/Users", NULL).status;
    if (write(out, &done, sizeof(done)) != sizeof(done)) {
        _exit(4);
    }
    scim_store_close(store);
    _exit(0);
}

/* What is there to be read, which is little. */
static const char *read_words(int from)
{
    static char words[1000];
    ssize_t got = read(from, words, sizeof(words) - 1);

    words[got > 0 ? got : 0] = '\0';
    return words;
}

/* False where the process ended on the way, as it may. */
static bool run(outcome *done, const request *r, long n)
{
    int ends[2], words[2], status;
    const char *said;
    bool told;
    pid_t pid;

    copy("base/data.mdb", "work");
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(words), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        submit_and_exit(r, n, ends[1], words[1]);
    }
    close(ends[1]);
    close(words[1]);
    told = read(ends[0], done, sizeof(*done)) == sizeof(*done);
    said = read_words(words[0]);
    close(ends[0]);
    close(words[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (told ? status != 0 : !WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fail_msg("%s, allocation %ld: the process ended with status %#x %s", r->name, n, status,
                 told ? "behind its answer" : "and no answer");
    }
    if (strcmp(said, told ? "" : "[crit] Memory allocation failed, aborting process.\n")) {
        fail_msg("%s, allocation %ld: the process said \"%s\"", r->name, n, said);
    }
    return told;
}

/* What holds of an answer, and of what the store has behind it. */
static void check_answer(const request *r, long n, const outcome *failed, const outcome *done,
                         bool unchanged, bool changed)
{
    const char *way = lasting ? "and all behind it" : "alone";

    if (failed->status < 300 && !changed) {
        fail_msg("%s, allocation %ld %s: %d, but nothing has changed", r->name, n, way,
                 failed->status);
    }
    if (failed->status >= 300 && failed->status < 500) {
        fail_msg("%s, allocation %ld %s: the client is told %d", r->name, n, way,
                 failed->status);
    }
    if (failed->status < 300 &&
        (failed->status != done->status || failed->answer != done->answer)) {
        fail_msg("%s, allocation %ld %s: another answer, %d", r->name, n, way, failed->status);
    }
    if (failed->status >= 500 && !failed->again && !unchanged) {
        fail_msg("%s, allocation %ld %s: %d, but it has changed", r->name, n, way,
                 failed->status);
    }
    if (failed->next != 200) {
        fail_msg("%s, allocation %ld %s: the next request is answered %d", r->name, n, way,
                 failed->next);
    }
}

typedef struct trial {
    const request *r;
    outcome done; /* with memory */
    const char *before, *after;
    long answered, ended;
} trial;

static void try_one(trial *t, long n, apr_pool_t *kept)
{
    outcome failed;
    bool told = run(&failed, t->r, n);
    const char *state =
        same_bytes("base/data.mdb", "work/data.mdb") ? t->before : read_state("work", kept);
    bool unchanged = !strcmp(state, t->before), changed = !strcmp(state, t->after);

    t->answered += told;
    t->ended += !told;
    if (!unchanged && !changed) {
        fail_msg("%s, allocation %ld: changed by half:\n%s\nbefore:\n%s\nafter:\n%s",
                 t->r->name, n, state, t->before, t->after);
    }
    if (told) {
        check_answer(t->r, n, &failed, &t->done, unchanged, changed);
    }
}

static void try_all(const request *r)
{
    trial t = {.r = r};
    apr_pool_t *kept;
    long n;

    apr_pool_create(&kept, NULL);
    copy("base/data.mdb", "work");
    t.before = read_state("work", kept);
    assert_true(run(&t.done, r, LONG_MAX));
    assert_in_range(t.done.status, 200, 204);
    t.after = read_state("work", kept);
    assert_int_equal(!strcmp(t.before, t.after),
                     r->ask || r->method == SCIM_GET || strstr(r->url, ".search") != NULL);
    for (n = 1; n <= t.done.allocations; n++) {
        lasting = false;
        try_one(&t, n, kept);
        if (n % 7 == 0 || getenv("LONG")) {
            lasting = true;
            try_one(&t, n, kept);
        }
    }
    print_message("%s: %ld allocations; the process ended at %ld, answered at %ld\n", r->name,
                  t.done.allocations, t.ended, t.answered);
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

int main(void)
{
    enum { COUNT = sizeof(requests) / sizeof(requests[0]) };
    struct CMUnitTest tests[COUNT];
    int i;

    if (!REPLACED || (getenv("SCIM_VALGRIND") && *getenv("SCIM_VALGRIND"))) {
        puts("1..0 # SKIP malloc is the sanitizer's, or valgrind's");
        return 0;
    }
    make_registry(true);
    apr_pool_create(&kept_pool, NULL);
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
