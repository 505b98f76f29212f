/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's file that was altered at random: bits, pages that are zero, that are
 * garbage, that stand in each other's place, and a file that was cut.
 *
 * What was read through the store is right or not there; a walk comes to its end;
 * where a process dies of it, verify says that the store is damaged, and verify
 * itself never dies; and salvage keeps every row on a page that was not touched,
 * and no other than there were.  What no seal can show is that a row is of an older
 * state: LMDB leaves deleted ones in the unused part of a page, where an altered
 * head finds them, and a whole page may be an older one.  Such a row is served; that
 * the store is damaged is still found.
 *
 * N: how often (200; with LONG 10,000).  USERS: how many (200).  SEED: what was
 * printed, for the same again.  LONG adds rounds with a file of 50 MB: LARGE, or N, of them
 * (2,000), of which every tenth is salvaged too.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "scim/backup.h"

#include "store_model.h"

#define PAGE 4096

/* What the store held before anything was altered. */
static struct pristine {
    unsigned char *file; /* its bytes */
    apr_size_t size;
    apr_array_header_t *rows;   /* of row */
    apr_array_header_t *places; /* of place, one for each row */
    apr_hash_t *by_key;
    apr_hash_t *ever;          /* rows of all states: key -> row */
    apr_array_header_t *users; /* of scim_id */
    apr_array_header_t *groups;
    char token[SCIM_TOKEN_LEN + 1];
    char revoked[SCIM_TOKEN_LEN + 1];
    apr_pool_t *pool;
} pristine;

/* The pages that a row lies in. */
typedef struct place {
    apr_size_t key_page;
    apr_size_t first, last; /* of the value */
} place;

static char directory[100], other[120];

/* Making it */

/* Every child is a copy of this process: what was needed in between goes. */
static scim_id made(const char *type, const char *text)
{
    apr_pool_t *kept = fix.pool;
    scim_change change;

    fix.pool = make_pool();
    assert_no_error(post(&change, type, text));
    apr_pool_destroy(fix.pool);
    fix.pool = kept;
    return change.record.id;
}

static void make_users(int count)
{
    int i;

    for (i = 0; i < count; i++) {
        const char *title = i % 20 ? "engineer" : filled(5000, 't');

        APR_ARRAY_PUSH(pristine.users, scim_id) =
            made("User", fmt("{'userName':'user%d','externalId':'x%d','title':'%s','active':%s,"
                             "'emails':[{'value':'user%d@example.com','type':'work'}]}",
                             i, i, title, i % 7 ? "true" : "false", i));
    }
}

static void make_groups(int count)
{
    int i, m;

    for (i = 0; i < count; i++) {
        apr_array_header_t *members = apr_array_make(fix.pool, 100, sizeof(const char *));

        for (m = i; m < pristine.users->nelts; m += count) {
            APR_ARRAY_PUSH(members, const char *) =
                fmt("{'value':'%s'}", text_of(&APR_ARRAY_IDX(pristine.users, m, scim_id)));
        }
        APR_ARRAY_PUSH(pristine.groups, scim_id) =
            made("Group", fmt("{'displayName':'group%d','members':[%s]}", i,
                              apr_array_pstrcat(fix.pool, members, ',')));
    }
}

/* Some go again, so that there are free pages with what was. */
static void delete_some(void)
{
    int i, kept = 0;

    for (i = 0; i < pristine.users->nelts; i++) {
        scim_id id = APR_ARRAY_IDX(pristine.users, i, scim_id);

        if (i % 5 == 3) {
            assert_no_error(del("User", &id));
        } else {
            APR_ARRAY_IDX(pristine.users, kept++, scim_id) = id;
        }
    }
    pristine.users->nelts = kept;
}

static void make_tokens(void)
{
    int revoked;

    assert_no_error(scim_token_create(pristine.revoked, fix.store, "acme", "entra",
                                      SCIM_SCOPE_READ, fix.now, 0, fix.pool));
    assert_no_error(scim_token_revoke(&revoked, fix.store, "acme", "entra", NULL, fix.pool));
    assert_no_error(scim_token_create(pristine.token, fix.store, "acme", "entra",
                                      SCIM_SCOPE_READ | SCIM_SCOPE_WRITE, fix.now, 0,
                                      fix.pool));
}

/* Rows that are there before some of them are deleted. */
static void remember(void)
{
    apr_array_header_t *rows = dump(pristine.pool);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        row *r = &APR_ARRAY_IDX(rows, i, row);

        apr_hash_set(pristine.ever, r->key.data, (apr_ssize_t)r->key.len, r);
    }
}

/* LMDB hands out rows where they lie in the mapped file. */
static apr_size_t map_of(const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1000];
    apr_size_t start = 0;

    while (!start && fgets(line, sizeof(line), maps)) {
        if (strstr(line, path)) {
            start = strtoul(line, NULL, 16);
        }
    }
    fclose(maps);
    assert_true(start);
    return start;
}

static scim_kv_rc place_in_view(scim_kv_txn *txn, void *baton)
{
    apr_size_t map = *(apr_size_t *)baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;

    while (scim_kv_next(cursor, &key, &value) == SCIM_KV_OK) {
        apr_size_t at = (apr_size_t)value.data - map;
        place *p = apr_array_push(pristine.places);
        row *r = apr_array_push(pristine.rows);

        p->key_page = ((apr_size_t)key.data - map) / PAGE;
        p->first = value.len ? at / PAGE : p->key_page;
        p->last = value.len ? (at + value.len - 1) / PAGE : p->key_page;
        *r = (row){kept(key, pristine.pool), kept(value, pristine.pool)};
        apr_hash_set(pristine.by_key, r->key.data, (apr_ssize_t)r->key.len,
                     apr_pmemdup(pristine.pool, r, sizeof(*r)));
    }
    return SCIM_KV_OK;
}

static void read_file(void)
{
    struct stat info;
    int fd = open(fmt("%s/data.mdb", directory), O_RDONLY);

    assert_true(fd >= 0 && !fstat(fd, &info));
    pristine.size = (apr_size_t)info.st_size;
    pristine.file = malloc(pristine.size);
    assert_int_equal(pread(fd, pristine.file, pristine.size, 0), pristine.size);
    close(fd);
}

static void make_pristine(int users)
{
    apr_size_t map;
    bool changed;

    memset(&pristine, 0, sizeof(pristine));
    pristine.pool = fix.pool;
    pristine.users = apr_array_make(fix.pool, 100, sizeof(scim_id));
    pristine.groups = apr_array_make(fix.pool, 10, sizeof(scim_id));
    pristine.rows = apr_array_make(fix.pool, 1000, sizeof(row));
    pristine.places = apr_array_make(fix.pool, 1000, sizeof(place));
    pristine.by_key = apr_hash_make(fix.pool);
    pristine.ever = apr_hash_make(fix.pool);
    make_users(users);
    make_groups(10);
    remember();
    delete_some();
    make_tokens();
    /* Both meta pages are of the same rows. */
    assert_no_error(scim_tenant_suspend(&changed, fix.store, "acme", true, fix.pool));
    assert_no_error(scim_tenant_suspend(&changed, fix.store, "acme", false, fix.pool));
    map = map_of(directory);
    assert_int_equal(scim_kv_view(scim_store_kv(fix.store), place_in_view, &map), SCIM_KV_OK);
    scim_store_close(fix.store);
    fix.store = NULL;
    read_file();
}

/* Damage */

static unsigned int seed;

static apr_size_t dice(apr_size_t sides)
{
    return ((apr_size_t)rand_r(&seed) << 16 ^ (apr_size_t)rand_r(&seed)) % sides;
}

#define ALTERATIONS 3

typedef struct damaged {
    unsigned char *file;
    apr_size_t size;
    apr_size_t pages[ALTERATIONS]; /* that were altered */
    int count;
    bool copied; /* a page stands in another's place */
    char what[400];
} damaged;

static void note(damaged *d, const char *what, apr_size_t at)
{
    apr_size_t len = strlen(d->what);

    apr_snprintf(d->what + len, sizeof(d->what) - len, " %s %lu", what, (unsigned long)at);
}

/* One page, or the length. */
static void alter_file(damaged *d)
{
    apr_size_t pages = pristine.size / PAGE, page = dice(pages), second = dice(pages), i;

    d->pages[d->count++] = page;
    switch (dice(8)) {
    case 0:
        note(d, "zero", page);
        memset(d->file + page * PAGE, 0, PAGE);
        break;
    case 1:
        note(d, "garbage", page);
        for (i = 0; i < PAGE; i++) {
            d->file[page * PAGE + i] = (unsigned char)dice(256);
        }
        break;
    case 2:
        note(d, "copy", page);
        note(d, "of", second);
        memcpy(d->file + page * PAGE, pristine.file + second * PAGE, PAGE);
        d->copied = true;
        break;
    case 3:
        if (!dice(4)) {
            d->size = dice(d->size + 1);
            note(d, "cut", d->size);
            break;
        }
        /* fall through */
    case 4: /* where it hurts most */
        i = page * PAGE + dice(40);
        note(d, "head", i);
        d->file[i] ^= (unsigned char)(1 << dice(8));
        break;
    default:
        i = page * PAGE + dice(PAGE);
        note(d, "bit", i);
        d->file[i] ^= (unsigned char)(1 << dice(8));
    }
}

static bool is_touched(const damaged *d, apr_size_t page)
{
    apr_size_t at = page * PAGE;
    int i;

    for (i = 0; i < d->count && d->pages[i] != page; i++) {
    }
    return at + PAGE > d->size ||
           (i < d->count && memcmp(d->file + at, pristine.file + at, PAGE));
}

static void write_pages(int fd, const unsigned char *file, apr_size_t from, apr_size_t to)
{
    assert_int_equal(pwrite(fd, file + from, to - from, (off_t)from), to - from);
}

static int open_file(void)
{
    int fd = open(fmt("%s/data.mdb", directory), O_WRONLY);

    assert_true(fd >= 0);
    return fd;
}

static void write_file(const damaged *d)
{
    int i, fd = open_file();

    for (i = 0; i < d->count; i++) {
        write_pages(fd, d->file, d->pages[i] * PAGE, (d->pages[i] + 1) * PAGE);
    }
    assert_int_equal(ftruncate(fd, (off_t)d->size), 0);
    close(fd);
}

/* In memory and on the disk. */
static void mend_file(damaged *d)
{
    int i, fd = open_file();

    for (i = 0; i < d->count; i++) {
        apr_size_t at = d->pages[i] * PAGE;

        memcpy(d->file + at, pristine.file + at, PAGE);
        write_pages(fd, pristine.file, at, at + PAGE);
    }
    write_pages(fd, pristine.file, d->size, pristine.size);
    close(fd);
    d->size = pristine.size;
    d->count = 0;
    d->copied = false;
    d->what[0] = '\0';
}

/* Reading, in a process of its own */

typedef enum outcome {
    WHOLE = 0,   /* all of it was served */
    PARTLY = 1,  /* something was not there, or an error */
    REFUSED = 2, /* the store did not open */
    WRONG = 3,
    DIED = 4, /* by a signal, of which LMDB's assertions are one */
    ENDLESS = 5
} outcome;

static outcome in_child(int (*fn)(void))
{
    int status, nowhere;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 0); /* no core files of those that die */
        nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        /* Of the processor's time: whoever waits for it goes round in no circle. */
        setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = 60}, NULL);
        alarm(3600);
        _exit(fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM ? ENDLESS : DIED;
    }
    /* A sanitizer ends a process with a status of its own. */
    return WEXITSTATUS(status) <= WRONG ? WEXITSTATUS(status) : DIED;
}

typedef struct reading {
    outcome worst;
    apr_pool_t *pool;
    const scim_tenant *tenant;
    apr_size_t listed;
    apr_hash_t *met;
} reading;

static void at_least(reading *r, outcome what)
{
    r->worst = what > r->worst ? what : r->worst;
}

static const row *row_of(char table, const scim_record *record, const scim_tenant *tenant)
{
    int i;

    /* The type's number is between: the few types make this short. */
    for (i = 1; i < 8; i++) {
        bytes key = key_of(table, tenant->number);
        const row *found;

        add_number(&key, (apr_uint64_t)i, 2);
        add_bytes(&key, record->id.bytes, 16);
        found = apr_hash_get(pristine.ever, key.at, (apr_ssize_t)key.len);
        if (found) {
            return found;
        }
    }
    return NULL;
}

/* A record's bytes are those that were written: of the version nothing is said, since
 * the changes of a membership are counted without a seal. */
static void judge(reading *r, const scim_record *record)
{
    const row *was = row_of('r', record, r->tenant);
    const char *at = was ? was->value.data : NULL;
    apr_size_t display = was ? (apr_size_t)big_endian(at + 8 + 26, 2) : 0;

    if (!was || record->display_len != display ||
        memcmp(record->display, at + 8 + 28, display) ||
        record->json_len != was->value.len - 8 - 28 - display ||
        memcmp(record->json, at + 8 + 28 + display, record->json_len) ||
        (apr_uint64_t)record->created != big_endian(at + 8 + 8, 8)) {
        at_least(r, WRONG);
    }
}

static const scim_error *judge_listed(scim_view *view, const scim_record *record, void *baton)
{
    reading *r = baton;

    if (apr_hash_get(r->met, &record->id, sizeof(record->id))) {
        at_least(r, WRONG); /* twice */
    }
    apr_hash_set(r->met, apr_pmemdup(r->pool, &record->id, sizeof(record->id)),
                 sizeof(record->id), "");
    judge(r, record);
    r->listed++;
    return NULL;
}

static const scim_error *judge_member(const scim_edge *edge, void *baton)
{
    getting *g = baton;
    bytes key = key_of('m', g->tenant->number);

    add_bytes(&key, g->id->bytes, 16);
    add_bytes(&key, edge->id.bytes, 16);
    if (!apr_hash_get(pristine.ever, key.at, (apr_ssize_t)key.len)) {
        g->json = (json_t *)""; /* one that there never was */
    }
    return NULL;
}

static void read_ids(reading *r, scim_view *view, const char *type,
                     const apr_array_header_t *ids)
{
    int i;

    for (i = 0; i < ids->nelts; i++) {
        const scim_id *id = &APR_ARRAY_IDX(ids, i, scim_id);
        scim_record record;

        if (scim_resource_get(&record, view, r->tenant, type_of(type), id)) {
            at_least(r, PARTLY);
        } else {
            judge(r, &record);
        }
    }
}

static void read_members(reading *r, scim_view *view)
{
    int i;

    for (i = 0; i < pristine.groups->nelts; i++) {
        getting g = {.tenant = r->tenant, .id = &APR_ARRAY_IDX(pristine.groups, i, scim_id)};

        if (scim_member_each(view, r->tenant, g.id, judge_member, &g)) {
            at_least(r, PARTLY);
        }
        if (g.json) {
            at_least(r, WRONG);
        }
    }
}

static void read_list(reading *r, scim_view *view, const char *type, apr_size_t expected)
{
    scim_query_part part = {.type = type_of(type)};
    scim_query query = {.parts = &part, .parts_count = 1, .start = 1, .count = 1000000};
    scim_page page;

    r->listed = 0;
    r->met = apr_hash_make(r->pool);
    if (scim_resource_query(&page, view, r->tenant, &query, judge_listed, r) ||
        r->listed != expected) {
        at_least(r, PARTLY);
    }
}

static void read_token(reading *r, scim_view *view, const char *token, bool good)
{
    scim_token_state state;
    scim_identity identity;

    if (scim_token_find(&state, &identity, view, token, fix.now)) {
        at_least(r, PARTLY);
    } else if (state == SCIM_TOKEN_VALID) {
        at_least(r, good ? WHOLE : PARTLY); /* a row of an older state */
        if (strcmp(identity.tenant.name, "acme") || strcmp(identity.connection, "entra")) {
            at_least(r, WRONG);
        }
    } else if (good) {
        at_least(r, PARTLY);
    }
}

static const scim_error *read_in_view(scim_view *view, void *baton)
{
    reading *r = baton;
    scim_tenant tenant;

    read_token(r, view, pristine.token, true);
    read_token(r, view, pristine.revoked, false);
    if (scim_tenant_find(&tenant, view, "acme")) {
        at_least(r, PARTLY);
        return NULL;
    }
    r->tenant = &tenant;
    read_ids(r, view, "User", pristine.users);
    read_ids(r, view, "Group", pristine.groups);
    read_members(r, view);
    read_list(r, view, "User", (apr_size_t)pristine.users->nelts);
    read_list(r, view, "Group", (apr_size_t)pristine.groups->nelts);
    return NULL;
}

static int read_all(void)
{
    scim_store_options options = {.kv = {.read_only = true}, .registry = registry};
    reading r = {.worst = WHOLE, .pool = fix.pool};

    if (scim_store_open(&fix.store, fix.url, &options, fix.pool)) {
        return REFUSED;
    }
    if (scim_store_view(fix.store, read_in_view, &r, fix.pool)) {
        at_least(&r, PARTLY);
    }
    return (int)r.worst;
}

/* Verifying, as scimctl does it */

static void find_something(const scim_finding *finding, void *baton)
{
    ++*(int *)baton;
}

static int verify_all(void)
{
    scim_kv_options kv_options = {.read_only = true, .unchecked = true};
    scim_store_options options = {.kv = {.read_only = true}, .registry = registry};
    scim_kv_examiner to = {0};
    scim_verify_watcher watcher = {.found = find_something};
    scim_verification sum;
    int found = 0;
    scim_kv *kv;

    watcher.baton = &found;
    if (scim_kv_open(&kv, fix.url, &kv_options, NULL, fix.pool) != SCIM_KV_OK) {
        return REFUSED;
    }
    if (scim_kv_examine(kv, &to) != SCIM_KV_OK) {
        return PARTLY;
    }
    scim_kv_close(kv);
    if (scim_store_open(&fix.store, fix.url, &options, fix.pool)) {
        return REFUSED;
    }
    return scim_verify(&sum, fix.store, NULL, &watcher, fix.pool) || found ? PARTLY : WHOLE;
}

/* Salvage */

static int salvage_all(void)
{
    scim_store_options options = {.kv = {.create = true}, .registry = registry};
    int ignored = 0, found = 0, fd = open(fmt("%s/data.mdb", directory), O_RDONLY);
    scim_verify_watcher losses = {.found = find_something, .baton = &ignored};
    scim_verify_watcher watcher = {.found = find_something, .baton = &found};
    scim_verification verified;
    scim_salvage sum;
    scim_kv *kv;

    if (scim_kv_open(&kv, fmt("lmdb:%s", other), &options.kv, NULL, fix.pool) != SCIM_KV_OK) {
        return WRONG;
    }
    if (scim_salvage_begin(&sum, kv, fd, registry, &losses, fix.now, fix.pool)) {
        return REFUSED;
    }
    scim_kv_close(kv);
    if (scim_store_open(&fix.store, fmt("lmdb:%s", other), &options, fix.pool)) {
        return REFUSED;
    }
    if (scim_salvage_end(&sum, fix.store, fd, &losses, fix.now, fix.pool) ||
        scim_verify(&verified, fix.store, NULL, &watcher, fix.pool) || found) {
        return WRONG;
    }
    return sum.lost || ignored ? PARTLY : WHOLE;
}

static apr_array_header_t *salvaged_rows(apr_pool_t *pool)
{
    dumping d = {apr_array_make(pool, 1000, sizeof(row)), pool};
    scim_kv_options options = {.read_only = true};
    scim_kv *kv;

    assert_int_equal(scim_kv_open(&kv, fmt("lmdb:%s", other), &options, NULL, pool),
                     SCIM_KV_OK);
    assert_int_equal(scim_kv_view(kv, dump_in_view, &d), SCIM_KV_OK);
    scim_kv_close(kv);
    return d.rows;
}

/* Whether a page is a branch, or of the list of free pages, so that what hangs from
 * it is found only where the other is whole. */
static unsigned int kind_of(apr_size_t page)
{
    return pristine.file[page * PAGE + 10];
}

static void mark_free_list(bool *pages, const unsigned char *meta)
{
    apr_uint64_t root;

    memcpy(&root, meta + 16 + 24 + 40, sizeof(root));
    if (root * PAGE < pristine.size) {
        pages[root] = true; /* a small store has no more */
    }
}

static bool *free_list_pages(apr_pool_t *pool)
{
    bool *pages = apr_pcalloc(pool, pristine.size / PAGE);
    int i;

    mark_free_list(pages, pristine.file);
    mark_free_list(pages, pristine.file + PAGE);
    for (i = 2; i < (int)(pristine.size / PAGE); i++) {
        /* lists that take pages of their own */
        pages[i] = pages[i] || kind_of((apr_size_t)i) == 4;
    }
    return pages;
}

/* Where both are damaged only what the branches still lead to is kept; which is
 * not modelled. */
static bool orphans_are_found(const damaged *d, apr_pool_t *pool)
{
    bool *list = free_list_pages(pool);
    bool branch = false, free = is_touched(d, 0) || is_touched(d, 1);
    apr_size_t page;

    for (page = 2; page < pristine.size / PAGE; page++) {
        if (is_touched(d, page)) {
            branch |= kind_of(page) == 1;
            free |= list[page];
        }
    }
    return !branch || !free;
}

static bool row_is_touched(const damaged *d, const place *p)
{
    apr_size_t page;

    if (is_touched(d, p->key_page)) {
        return true;
    }
    for (page = p->first; page <= p->last; page++) {
        if (is_touched(d, page)) {
            return true;
        }
    }
    return false;
}

/* Memberships and passwords go with what they are of. */
static bool is_original(const row *r)
{
    return strchr("ktrs", *(const char *)r->key.data) != NULL;
}

static int compare_salvaged(const damaged *d)
{
    apr_pool_t *pool = make_pool();
    apr_array_header_t *rows = salvaged_rows(pool);
    apr_hash_t *there = apr_hash_make(pool);
    bool all = orphans_are_found(d, pool);
    int i, missing = 0, wrong = 0;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);
        const row *was = apr_hash_get(pristine.by_key, r->key.data, (apr_ssize_t)r->key.len);

        apr_hash_set(there, r->key.data, (apr_ssize_t)r->key.len, r);
        wrong += strchr("krmpq", *(const char *)r->key.data) &&
                 (!was || !same_slice(was->value, r->value));
    }
    for (i = 0; i < pristine.rows->nelts && all; i++) {
        const row *r = &APR_ARRAY_IDX(pristine.rows, i, row);

        missing += is_original(r) &&
                   !row_is_touched(d, &APR_ARRAY_IDX(pristine.places, i, place)) &&
                   !apr_hash_get(there, r->key.data, (apr_ssize_t)r->key.len);
    }
    apr_pool_destroy(pool);
    if (missing || wrong) {
        print_error("salvage: %d rows are missing, %d are wrong\n", missing, wrong);
    }
    return missing + wrong;
}

static void empty_other(void)
{
    unlink(fmt("%s/data.mdb", other));
    unlink(fmt("%s/lock.mdb", other));
}

/* Whether there is nothing to be found. */
static bool nothing_is_left(const damaged *d)
{
    apr_pool_t *pool = make_pool();
    bool left = false;
    int i;

    for (i = 0; i < pristine.rows->nelts && !left; i++) {
        left = is_original(&APR_ARRAY_IDX(pristine.rows, i, row)) &&
               !row_is_touched(d, &APR_ARRAY_IDX(pristine.places, i, place));
    }
    left = left && orphans_are_found(d, pool);
    apr_pool_destroy(pool);
    return !left;
}

/* Rounds */

static struct counts {
    int read[6], verified[6], salvaged[6];
} counts;

static void fail_round(const damaged *d, int round, unsigned int began, const char *what,
                       outcome read, outcome verified, outcome salvaged)
{
    fail_msg("round %d (SEED=%u N=1):%s: %s: read %d, verified %d, salvaged %d", round, began,
             d->what, what, read, verified, salvaged);
}

static void judge_salvage(const damaged *d, int round, unsigned int began, outcome read,
                          outcome verified)
{
    outcome salvaged;

    empty_other();
    salvaged = in_child(salvage_all);
    counts.salvaged[salvaged]++;
    if (salvaged >= WRONG || (salvaged == REFUSED && !nothing_is_left(d))) {
        fail_round(d, round, began, "salvage", read, verified, salvaged);
    }
    if (salvaged != REFUSED && compare_salvaged(d)) {
        fail_round(d, round, began, "what is salvaged", read, verified, salvaged);
    }
}

static void judge_round(const damaged *d, int round, unsigned int began, bool salvage)
{
    outcome read = in_child(read_all), verified = in_child(verify_all);

    counts.read[read]++;
    counts.verified[verified]++;
    if ((read == WRONG && !d->copied) || read == ENDLESS) {
        fail_round(d, round, began, "what is served", read, verified, WHOLE);
    }
    if (verified >= WRONG) {
        fail_round(d, round, began, "verify dies", read, verified, WHOLE);
    }
    if (read != WHOLE && verified == WHOLE) {
        fail_round(d, round, began, "verify finds nothing", read, verified, WHOLE);
    }
    if (salvage) {
        judge_salvage(d, round, began, read, verified);
    }
}

static void run_rounds(int rounds, int salvage_every)
{
    damaged d = {.file = malloc(pristine.size), .size = pristine.size};
    int i, times;

    memset(&counts, 0, sizeof(counts));
    memcpy(d.file, pristine.file, pristine.size);
    for (i = 0; i < rounds; i++) {
        unsigned int began = seed;
        apr_pool_t *all = fix.pool;

        fix.pool = make_pool();
        for (times = (int)dice(ALTERATIONS) + 1; times; times--) {
            alter_file(&d);
        }
        write_file(&d);
        judge_round(&d, i, began, i % salvage_every == 0);
        mend_file(&d);
        apr_pool_destroy(fix.pool);
        fix.pool = all;
    }
    print_message("# %d rounds: read %d whole, %d in part, %d refused, %d died; verified %d "
                  "whole, %d damaged, %d refused; salvaged %d whole, %d in part, %d nothing\n",
                  rounds, counts.read[WHOLE], counts.read[PARTLY], counts.read[REFUSED],
                  counts.read[DIED], counts.verified[WHOLE], counts.verified[PARTLY],
                  counts.verified[REFUSED], counts.salvaged[WHOLE], counts.salvaged[PARTLY],
                  counts.salvaged[REFUSED]);
    free(d.file);
}

/* However a test ended. */
static int clear_away(void **state)
{
    empty_other();
    rmdir(other);
    unlink(fmt("%s/data.mdb", directory));
    unlink(fmt("%s/lock.mdb", directory));
    rmdir(directory);
    free(pristine.file);
    pristine.file = NULL;
    return end(state);
}

/* Where nothing waits for a disk, since nothing here is about one. */
static void start(int users)
{
    apr_snprintf(directory, sizeof(directory), "%s/scim-test-corrupt-XXXXXX",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    assert_non_null(mkdtemp(directory));
    apr_snprintf(other, sizeof(other), "%s/other", directory);
    assert_int_equal(mkdir(other, 0700), 0);
    scim_store_close(fix.store);
    fix.url = fmt("lmdb:%s", directory);
    open_store();
    assert_no_error(scim_tenant_create(&fix.tenant, fix.store, "acme", tick(), fix.pool));
    make_pristine(users);
}

static void test_untouched(void **state)
{
    damaged d;

    start(100);
    d = (damaged){.file = pristine.file, .size = pristine.size};
    assert_int_equal(in_child(read_all), WHOLE);
    assert_int_equal(in_child(verify_all), WHOLE);
    assert_int_equal(in_child(salvage_all), WHOLE);
    assert_int_equal(compare_salvaged(&d), 0);
}

static void test_damaged(void **state)
{
    const char *users = getenv("USERS");
    int rounds = getenv("LONG") ? 10000 : 200;

    seed = seed_and_rounds(&rounds);
    start(users ? atoi(users) : 200);
    run_rounds(rounds, 1);
    /* What cannot happen was looked for where something happened. */
    assert_true(rounds < 100 || (counts.read[PARTLY] && counts.verified[PARTLY] &&
                                 counts.salvaged[PARTLY] && counts.verified[WHOLE]));
}

static void test_large(void **state)
{
    const char *large = getenv("LARGE");
    int rounds = large ? atoi(large) : 2000;

    seed = seed_and_rounds(&rounds);
    start(40000);
    print_message("# %lu MB\n", (unsigned long)(pristine.size >> 20));
    assert_true(pristine.size > 50 * 1000 * 1000);
    run_rounds(rounds, 10);
}

int main(void)
{
    static const store_test table[] = {
        {"an untouched file is whole", test_untouched, LMDB},
        {"a damaged file serves nothing wrong, is found out, and saved in part", test_damaged,
         LMDB},
        {"and so is one of 50 MB (LONG)", test_large, LMDB},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];
    size_t i;

    make_registry();
    memset(tests, 0, sizeof(tests));
    on_engines(tests, table, COUNT(table) - !getenv("LONG")); /* the last is for that */
    for (i = 0; i < COUNT(tests); i++) {
        tests[i].teardown_func = tests[i].test_func ? clear_away : NULL;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
