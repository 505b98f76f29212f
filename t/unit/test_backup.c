/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: what is read back is what was written, nothing that was altered or cut
 * is, and what becomes of a store whose rows are damaged one by one.
 */
#include <fcntl.h>
#include <pthread.h>

#include "scim/backup.h"
#include "scim/endpoints.h"

#include "store_model.h"

/* A stream in memory */

typedef struct stream {
    unsigned char *bytes;
    apr_size_t len, room;
    apr_size_t at;       /* of who reads */
    apr_size_t fails_at; /* 0: never */
    void (*meanwhile)(void);
} stream;

static int stream_write(const void *data, apr_size_t len, void *baton)
{
    stream *s = baton;

    if (s->meanwhile) {
        s->meanwhile();
    }
    if (s->fails_at && s->len + len > s->fails_at) {
        return ENOSPC;
    }
    if (s->len + len > s->room) {
        s->room = 2 * (s->len + len);
        s->bytes = realloc(s->bytes, s->room);
    }
    if (len) {
        memcpy(s->bytes + s->len, data, len);
        s->len += len;
    }
    return 0;
}

/* In pieces of odd lengths, as a pipe may give them. */
static int stream_read(void *data, apr_size_t *len, void *baton)
{
    stream *s = baton;
    apr_size_t most = s->at % 977 + 1;

    if (s->fails_at && s->at >= s->fails_at) {
        return EIO;
    }
    *len = *len < most ? *len : most;
    *len = *len < s->len - s->at ? *len : s->len - s->at;
    memcpy(data, s->bytes + s->at, *len);
    s->at += *len;
    return 0;
}

static const scim_error *write_backup(stream *s, scim_backup *sum, apr_uint64_t limit)
{
    scim_backup_sink sink = {stream_write, s};

    return scim_backup_write(sum, fix.store, &sink, limit, NULL, fix.pool);
}

static stream backed_up(void)
{
    stream s = {.bytes = NULL};
    scim_backup sum;

    assert_no_error(write_backup(&s, &sum, 0));
    assert_int_equal(sum.bytes, s.len);
    return s;
}

/* Another place of the same engine */

static const char *other_url; /* of the last that was made */

static scim_kv *other_kv(void)
{
    scim_kv_options options = {.create = true, .size = fix.options.kv.size};
    scim_kv *kv;

    other_url = other_place("other");
    assert_int_equal(scim_kv_open(&kv, other_url, &options, NULL, fix.pool), SCIM_KV_OK);
    return kv;
}

static void remove_other(void)
{
    remove_place("other");
}

static const scim_error *read_backup(scim_kv *into, stream *s, scim_backup *sum)
{
    scim_backup_source source = {stream_read, s};

    s->at = 0;
    return scim_backup_read(sum, into, NULL, &source, NULL, fix.pool);
}

static apr_array_header_t *rows_in(scim_kv *kv)
{
    dumping d = {apr_array_make(fix.pool, 100, sizeof(row)), fix.pool};

    assert_int_equal(scim_kv_view(kv, dump_in_view, &d), SCIM_KV_OK);
    return d.rows;
}

/* From now on the fixture's store is the one at url. */
static void use_store(const char *url)
{
    scim_store_close(fix.store);
    fix.url = url;
    open_store();
}

/* One of everything */

static struct world {
    scim_id alice, bob, carol;
    scim_id staff; /* alice, bob */
    scim_id outer; /* staff */
    char token[SCIM_TOKEN_LEN + 1];
} world;

static const struct {
    const char *name;
    const scim_id *id;
} aliases[] = {{"alice", &world.alice},
               {"bob", &world.bob},
               {"carol", &world.carol},
               {"staff", &world.staff},
               {"outer", &world.outer}};

static scim_id made(const char *type, const char *text)
{
    scim_change change;

    assert_no_error(post(&change, type, text));
    return change.record.id;
}

static const scim_error *read_tenant(scim_view *view, void *baton)
{
    return scim_tenant_find(baton, view, ((scim_tenant *)baton)->name);
}

static void make_world(void)
{
    scim_policy policy = scim_policy_default();
    apr_array_header_t *changed;
    scim_tenant beta;
    scim_change change;
    bool wrote;

    policy.password_sync = true;
    policy.delete_limit = 1000;
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    assert_no_error(scim_store_view(fix.store, read_tenant, &fix.tenant, fix.pool));
    assert_no_error(scim_tenant_create(&beta, fix.store, "beta", tick(), fix.pool));
    assert_no_error(scim_token_create(world.token, fix.store, "acme", "entra",
                                      SCIM_SCOPE_READ | SCIM_SCOPE_WRITE, fix.now, 0,
                                      fix.pool));
    assert_no_error(scim_endpoints_write(&wrote, fix.store, "[]", fix.pool));
    world.bob = made("User", "{'userName':'bob','active':false}");
    world.alice = made(
        "User", fmt("{'userName':'alice','externalId':'x1','title':'%s','password':'secret',"
                    "'emails':[{'value':'a@example.com','type':'work'}]}",
                    filled(6000, 't')));
    world.carol = made("User", fmt("{'userName':'carol','@EU':{'manager':{'value':'%s'}}}",
                                   text_of(&world.alice)));
    world.staff = made("Group", fmt("{'displayName':'staff','members':[{'value':'%s'},"
                                    "{'value':'%s','display':'Bob'}]}",
                                    text_of(&world.alice), text_of(&world.bob)));
    world.outer = made("Group", fmt("{'displayName':'outer','members':[{'value':'%s'}]}",
                                    text_of(&world.staff)));
    made("Thing", fmt("{'name':'t','size':3,'owner':{'value':'%s'}}", text_of(&world.alice)));
    assert_no_error(post_as(&change, &beta, "User", "{'userName':'alice'}", tick(), fix.pool));
    made("User", "{'userName':'dave'}");
    invariants();
}

static void make_many(int count)
{
    int i;

    for (i = 0; i < count; i++) {
        made("User", fmt("{'userName':'user%d','title':'%s'}", i, filled(4000, 't')));
    }
}

/* There and back */

static void test_round_trip(void **state)
{
    apr_array_header_t *before;
    scim_backup sum, again;
    stream s = {.bytes = NULL};
    scim_kv *other;

    make_world();
    before = dump(fix.pool);
    assert_no_error(write_backup(&s, &sum, 0));
    assert_int_equal(sum.rows, before->nelts);
    assert_int_equal(strlen(sum.instance), 32);
    assert_memory_equal(s.bytes, "mod_scim backup 1\n{\"format\":", 28);
    other = other_kv();
    assert_no_error(read_backup(other, &s, &again));
    assert_true(same_dump(before, rows_in(other)));
    assert_int_equal(again.rows, sum.rows);
    assert_int_equal(again.bytes, sum.bytes);
    assert_int_equal(again.made, sum.made);
    assert_string_equal(again.instance, sum.instance);
    scim_kv_close(other);
    if (!on("memory")) {
        use_store(other_url);
        invariants();
        made("User", "{'userName':'later'}");
        invariants();
    }
    remove_other();
    free(s.bytes);
}

static void test_copy(void **state)
{
    scim_backup sum;
    scim_kv *other = other_kv();

    make_world();
    assert_no_error(scim_backup_copy(&sum, other, NULL, scim_store_kv(fix.store), NULL, fix.pool));
    assert_true(same_dump(dump(fix.pool), rows_in(other)));
    damage("r");
    assert_code(scim_backup_copy(&sum, other, NULL, scim_store_kv(fix.store), NULL, fix.pool),
                SCIM_E_INTERNAL, "damaged");
    scim_kv_close(other);
    remove_other();
}

/* What is refused */

static void assert_refused(stream *s, const char *part)
{
    scim_kv *other = other_kv();
    scim_backup sum;

    assert_code(read_backup(other, s, &sum), SCIM_E_INVALID_VALUE, part);
    scim_kv_close(other);
}

/* Each byte, but of the world's long title only some. */
static void test_altered(void **state)
{
    stream s;
    apr_size_t i;

    make_world();
    s = backed_up();
    for (i = 0; i < s.len; i += s.bytes[i] == 't' ? 97 : 1) {
        int bit = 1 << i % 8;

        s.bytes[i] ^= (unsigned char)bit;
        assert_refused(&s, NULL);
        s.bytes[i] ^= (unsigned char)bit;
    }
    free(s.bytes);
}

static void test_cut(void **state)
{
    scim_backup sum;
    scim_kv *other;
    stream s;
    apr_size_t len;

    make_world();
    s = backed_up();
    len = s.len;
    for (s.len = 0; s.len<len; s.len += len - s.len> 500 ? 37 : 1) {
        assert_refused(&s, s.len > 18 ? "cut short" : NULL);
    }
    assert_int_equal(s.len, len);
    other = other_kv();
    assert_no_error(read_backup(other, &s, &sum));
    stream_write("", 1, &s);
    assert_refused(&s, "behind its end");
    free(s.bytes);
}

/* Puts the right sum at the end. */
static void sum_up(stream *s)
{
    SHA256(s->bytes, s->len - 32, s->bytes + s->len - 32);
}

static stream with_text(const stream *s, const char *what, const char *with)
{
    stream out = {.bytes = NULL};
    unsigned char *at = memmem(s->bytes, s->len, what, strlen(what));

    assert_non_null(at);
    stream_write(s->bytes, (apr_size_t)(at - s->bytes), &out);
    stream_write(with, strlen(with), &out);
    at += strlen(what);
    stream_write(at, s->len - (apr_size_t)(at - s->bytes), &out);
    sum_up(&out);
    return out;
}

/* Though its sum holds. */
static void test_other_versions(void **state)
{
    static const struct {
        const char *what, *with, *said;
    } cases[] = {
        {"mod_scim backup 1\n", "mod_scim backup 2\n", "version 2"},
        {"mod_scim backup", "some other backup", "no backup of mod_scim"},
        {"\"format\":", "\"format\":9", "format 9"},
        {"\"unicode\":\"", "\"unicode\":\"9", "Unicode 9"},
        {"\"unicode\":\"", "\"unicode\":", "cut short or altered"},
    };
    stream s;
    size_t i;

    make_world();
    s = backed_up();
    for (i = 0; i < COUNT(cases); i++) {
        stream other = with_text(&s, cases[i].what, cases[i].with);

        assert_refused(&other, cases[i].said);
        free(other.bytes);
    }
    free(s.bytes);
}

/* Where the rows begin. */
static unsigned char *first_row(const stream *s)
{
    unsigned char *line = memchr(s->bytes, '\n', s->len);

    line = memchr(line + 1, '\n', 200);
    return line + 1;
}

static apr_size_t row_size(const unsigned char *at)
{
    return 6 + (apr_size_t)(big_endian(at, 2) + big_endian(at + 2, 4));
}

static void test_made_up(void **state)
{
    unsigned char *first, copy[1000];
    apr_size_t size, next;
    stream s;

    make_world();
    s = backed_up();
    first = first_row(&s);
    size = row_size(first);
    next = row_size(first + size);
    assert_true(size + next < sizeof(copy));
    memcpy(copy, first, size + next);
    memcpy(first, copy + size, next); /* the second before the first */
    memcpy(first + next, copy, size);
    sum_up(&s);
    assert_refused(&s, "cut short or altered");
    memcpy(first, copy, size + next);
    s.bytes[s.len - 33]++; /* another number of rows */
    sum_up(&s);
    assert_refused(&s, "cut short or altered");
    s.bytes[s.len - 33]--;
    first[2] = 0xff; /* a length beyond all that there is */
    sum_up(&s);
    assert_refused(&s, "cut short or altered");
    free(s.bytes);
}

static void test_system_errors(void **state)
{
    scim_backup sum;
    stream s = {.fails_at = 100};

    make_world();
    assert_code(write_backup(&s, &sum, 0), SCIM_E_INTERNAL, "No space left");
    free(s.bytes);
    s = backed_up();
    s.fails_at = 200;
    assert_code(read_backup(other_kv(), &s, &sum), SCIM_E_INTERNAL, "Input/output");
    remove_other();
    free(s.bytes);
}

static void test_damaged_store(void **state)
{
    stream s = {.bytes = NULL};
    scim_backup sum;

    make_world();
    damage("r");
    assert_code(write_backup(&s, &sum, 0), SCIM_E_INTERNAL, "restore --salvage");
    free(s.bytes);
}

/* Amid writes */

static void *write_more(void *unused)
{
    apr_pool_t *pool = make_pool();
    scim_change change;
    int i;

    for (i = 0; i < 3; i++) {
        static int n;

        assert_no_error(post_as(&change, &fix.tenant, "User",
                                apr_psprintf(pool, "{'userName':'more%d'}", n++), fix.now,
                                pool));
    }
    apr_pool_destroy(pool);
    return NULL;
}

/* The backup's thread is inside a view. */
static void write_meanwhile(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_more, NULL), 0);
    pthread_join(thread, NULL);
}

static void test_one_state(void **state)
{
    apr_array_header_t *before;
    stream s = {.meanwhile = write_meanwhile};
    scim_backup sum;
    scim_kv *other;

    make_many(60);
    before = dump(fix.pool);
    assert_no_error(write_backup(&s, &sum, 0));
    assert_int_equal(sum.grown > 0, on("lmdb"));
    assert_true(dump(fix.pool)->nelts > before->nelts);
    other = other_kv();
    assert_no_error(read_backup(other, &s, &sum));
    assert_true(same_dump(before, rows_in(other)));
    scim_kv_close(other);
    remove_other();
    free(s.bytes);
}

static void test_growth(void **state)
{
    stream s = {.meanwhile = write_meanwhile};
    scim_backup sum;

    make_many(100);
    assert_code(write_backup(&s, &sum, 100000), SCIM_E_UNAVAILABLE, "slow pipe");
    free(s.bytes);
}

/* Salvage of rows that were damaged one by one */

static apr_array_header_t *losses; /* of const char * */

static void note_loss(const scim_finding *finding, void *baton)
{
    const char *id = finding->id ? finding->id : "";
    size_t i;

    for (i = 0; i < COUNT(aliases); i++) {
        id = strcmp(id, text_of(aliases[i].id)) ? id : aliases[i].name;
    }
    APR_ARRAY_PUSH(losses, const char *) =
        fmt("%s %s: %s\n", finding->table, id, finding->what);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The fixture's store becomes what is salvaged of it; what is told is returned. */
static const char *salvage(void)
{
    scim_verify_watcher watcher = {.found = note_loss};
    int fd = open(fmt("%s/data.mdb", fix.directory), O_RDONLY);
    scim_kv *other = other_kv();
    scim_salvage sum;

    losses = apr_array_make(fix.pool, 8, sizeof(const char *));
    assert_true(fd >= 0);
    assert_no_error(scim_salvage_begin(&sum, other, fd, registry, &watcher, tick(), fix.pool));
    scim_kv_close(other);
    use_store(other_url);
    assert_no_error(scim_salvage_end(&sum, fix.store, fd, &watcher, tick(), fix.pool));
    close(fd);
    assert_int_equal(sum.lost, losses->nelts);
    verify_agrees(fix.pool);
    qsort(losses->elts, (size_t)losses->nelts, sizeof(const char *), by_text);
    return apr_array_pstrcat(fix.pool, losses, '\0');
}

typedef struct altering {
    bytes prefix;
    int left;
} altering;

/* All rows that begin so are altered; those without a value get one. */
static scim_kv_rc alter(scim_kv_txn *txn, void *baton)
{
    altering *a = baton;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key, value;
    scim_kv_rc rc =
        scim_kv_seek(cursor, (scim_slice){a->prefix.at, a->prefix.len}, &key, &value);

    while (rc == SCIM_KV_OK && key.len >= a->prefix.len &&
           !memcmp(key.data, a->prefix.at, a->prefix.len)) {
        unsigned char copy[10000] = {0};

        assert_true(value.len < sizeof(copy));
        memcpy(copy, value.data, value.len);
        copy[value.len ? value.len - 1 : 0] ^= 1;
        rc = scim_kv_put(txn, key, (scim_slice){copy, value.len ? value.len : 1}, false);
        a->left--;
        rc = rc == SCIM_KV_OK ? scim_kv_next(cursor, &key, &value) : rc;
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

static void alter_rows(bytes prefix, int expected)
{
    altering a = {prefix, expected};

    assert_int_equal(scim_kv_update_exclusive(scim_store_kv(fix.store), alter, &a), SCIM_KV_OK);
    assert_int_equal(a.left, 0);
}

static bytes text_prefix(const char *text)
{
    bytes out = {.len = 0};

    add_bytes(&out, text, strlen(text));
    return out;
}

static bytes record_prefix_of(const char *type, const scim_id *id)
{
    bytes out = key_of('r', fix.tenant.number);
    apr_array_header_t *rows = dump(fix.pool);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        if (same_slice(r->key, (scim_slice){fmt("stype/%s", type), 6 + strlen(type)})) {
            add_bytes(&out, (const char *)r->value.data + 8, 2);
        }
    }
    add_bytes(&out, id->bytes, 16);
    return out;
}

static bytes edge_prefix(char table, const scim_id *first, const scim_id *second)
{
    bytes out = key_of(table, fix.tenant.number);

    add_bytes(&out, first->bytes, 16);
    if (second) {
        add_bytes(&out, second->bytes, 16);
    }
    return out;
}

#define LOST "lost: it was altered, its seal does not hold\n"

static void test_salvage_whole(void **state)
{
    apr_array_header_t *before;

    make_world();
    before = dump(fix.pool);
    assert_string_equal(salvage(), "");
    invariants();
    assert_true(same_dump(before, dump(fix.pool)));
}

/* What can be made anew is no loss. */
static void test_salvage_derived(void **state)
{
    static const struct {
        const char *table;
        int rows;
    } tables[] = {{"i", -1}, {"o", 3}, {"f", 2}, {"a", -1}};
    apr_array_header_t *before;
    size_t i;

    make_world();
    before = dump(fix.pool);
    for (i = 0; i < COUNT(tables); i++) {
        altering a = {text_prefix(tables[i].table), 0};

        assert_int_equal(scim_kv_update_exclusive(scim_store_kv(fix.store), alter, &a),
                         SCIM_KV_OK);
        assert_true(a.left < 0 && (tables[i].rows < 0 || a.left == -tables[i].rows));
    }
    assert_false(same_dump(before, dump(fix.pool)));
    assert_string_equal(salvage(), "");
    invariants();
    assert_true(same_dump(before, dump(fix.pool)));
}

static void test_salvage_user(void **state)
{
    getting g;
    apr_uint64_t version;

    make_world();
    assert_no_error(get(&g, "Group", &world.staff));
    version = g.record.version;
    alter_rows(record_prefix_of("User", &world.bob), 1);
    assert_string_equal(salvage(), "member bob: dropped: the member is lost\n"
                                   "resource bob: " LOST);
    assert_code(get(&g, "User", &world.bob), SCIM_E_NOT_FOUND, NULL);
    assert_int_equal(members_of(&world.staff)->nelts, 1);
    assert_no_error(get(&g, "Group", &world.staff));
    assert_int_equal(g.record.version, version + 1);
    invariants();
    made("User", "{'userName':'bob'}");
}

/* Its password goes with it, and the other way round not. */
static void test_salvage_secret(void **state)
{
    getting g;

    make_world();
    alter_rows(edge_prefix('p', &world.alice, NULL), 1);
    assert_string_equal(salvage(), "secret alice: " LOST);
    assert_no_error(get(&g, "User", &world.alice));
    invariants();
}

static void test_salvage_group(void **state)
{
    getting g;

    make_world();
    alter_rows(record_prefix_of("Group", &world.staff), 1);
    assert_string_equal(salvage(), "member staff: dropped: its group is lost\n"
                                   "member staff: dropped: its group is lost\n"
                                   "member staff: dropped: the member is lost\n"
                                   "resource staff: " LOST);
    assert_no_error(get(&g, "User", &world.alice));
    assert_int_equal(groups_of(&world.alice)->nelts, 0);
    invariants();
}

static void test_salvage_member(void **state)
{
    make_world();
    alter_rows(edge_prefix('m', &world.staff, &world.bob), 1);
    assert_string_equal(salvage(), "member bob: " LOST);
    assert_int_equal(members_of(&world.staff)->nelts, 1);
    assert_int_equal(groups_of(&world.bob)->nelts, 0);
    invariants();
}

typedef struct question {
    scim_token_state state;
    scim_identity identity;
} question;

static const scim_error *find_token(scim_view *view, void *baton)
{
    question *q = baton;

    return scim_token_find(&q->state, &q->identity, view, world.token, fix.now);
}

static void test_salvage_token(void **state)
{
    question q;

    make_world();
    alter_rows(text_prefix("k"), 1);
    assert_string_equal(salvage(), "token : " LOST);
    assert_no_error(scim_store_view(fix.store, find_token, &q, fix.pool));
    assert_int_equal(q.state, SCIM_TOKEN_UNKNOWN);
    invariants();
}

/* Its token says what it was called; another has only its number. */
static void test_salvage_tenants(void **state)
{
    scim_tenant acme = {.name = "acme"}, beta = {.name = "salvaged-2"};
    question q;
    getting g;

    make_world();
    alter_rows(text_prefix("t"), 2);
    assert_string_equal(
        salvage(),
        "tenant acme: " LOST
        "tenant acme: lost: made anew, suspended; httpd writes its policy at the next restart, "
        "then scimctl tenant resume\n"
        "tenant beta: " LOST
        "tenant salvaged-2: lost: made anew, suspended; httpd writes its policy at the next "
        "restart, then scimctl tenant resume\n");
    assert_no_error(scim_store_view(fix.store, read_tenant, &acme, fix.pool));
    assert_true(acme.suspended);
    assert_int_equal(acme.number, fix.tenant.number);
    assert_no_error(scim_store_view(fix.store, read_tenant, &beta, fix.pool));
    assert_no_error(get(&g, "User", &world.alice));
    assert_no_error(scim_store_view(fix.store, find_token, &q, fix.pool));
    assert_string_equal(q.identity.tenant.name, "acme");
    assert_no_error(scim_tenant_create(&beta, fix.store, "gamma", tick(), fix.pool));
    assert_int_equal(beta.number, 3);
}

static int count_rows(char table)
{
    apr_array_header_t *rows = dump(fix.pool);
    int i, count = 0;

    for (i = 0; i < rows->nelts; i++) {
        count += *(const char *)APR_ARRAY_IDX(rows, i, row).key.data == table;
    }
    return count;
}

static void test_salvage_system(void **state)
{
    getting g;

    make_world();
    alter_rows(text_prefix("s"), count_rows('s'));
    salvage();
    assert_no_error(get(&g, "User", &world.alice));
    assert_no_error(get(&g, "Group", &world.staff));
    invariants();
}

static int end_both(void **state)
{
    remove_other();
    return end(state);
}

int main(void)
{
    static const store_test table[] = {
        {"what is read back is what was written", test_round_trip, EACH},
        {"a copy is the same", test_copy, EACH},
        {"a backup with an altered byte is refused", test_altered, MEMORY},
        {"a backup that is cut short, or goes on, is refused", test_cut, MEMORY},
        {"a backup of another version is refused, and says which", test_other_versions, MEMORY},
        {"a backup with the right sum is believed no more than it should", test_made_up,
         MEMORY},
        {"a disk that fails is told of", test_system_errors, EACH},
        {"a damaged store is not backed up", test_damaged_store, EACH},
        {"a backup is one state, whoever writes meanwhile", test_one_state, KEPT},
        {"a backup that lets the store grow too much is given up", test_growth, LMDB},
        {"salvage of a whole store is that store", test_salvage_whole, LMDB},
        {"salvage makes indexes, references and counts anew", test_salvage_derived, LMDB},
        {"salvage without a user", test_salvage_user, LMDB},
        {"salvage without a password", test_salvage_secret, LMDB},
        {"salvage without a group", test_salvage_group, LMDB},
        {"salvage without a membership", test_salvage_member, LMDB},
        {"salvage without a token", test_salvage_token, LMDB},
        {"salvage without tenants", test_salvage_tenants, LMDB},
        {"salvage without what the store knows of itself", test_salvage_system, LMDB},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];
    size_t i;

    make_registry();
    on_engines(tests, table, COUNT(table));
    for (i = 0; i < COUNT(tests); i++) {
        tests[i].teardown_func = tests[i].test_func ? end_both : NULL;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
