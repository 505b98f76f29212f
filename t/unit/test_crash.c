/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk may hold after a power failure: all that was written before the last
 * sync that returned, and of what was written since, any part, in any order, torn
 * between sectors.  Of a run of changes such files are made and opened: each holds
 * the directory as it was after the last change that was acknowledged, or after
 * the one that was under way, to the byte.
 *
 * SEED sets the random numbers; LONG=1 makes ten times as much of everything.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../fault/record.h"
#include "store_service.h"

#define SECTOR 512
#define CHANGES_MAX 200
#define PEOPLE 20

typedef struct image {
    unsigned char *bytes;
    size_t len;
    size_t room;
} image;

static struct {
    unsigned int seed;
    int changes;
    apr_uint64_t states[CHANGES_MAX + 1]; /* of all rows: before, and after each change */
    image base;
    const record_event *events;
    int count;
    int lost;   /* writes that did not come to an image, or not whole */
    int beyond; /* images that hold a change which was not acknowledged */
} tape;

static unsigned int roll(unsigned int sides)
{
    return (unsigned int)rand_r(&tape.seed) / 7 % sides;
}

/* All keys and values, as a number. */
static apr_uint64_t state_of(void)
{
    apr_pool_t *pool = make_pool();
    const apr_array_header_t *rows = dump(pool);
    XXH3_state_t *digest = XXH3_createState();
    apr_uint64_t number;
    int i;

    XXH3_64bits_reset(digest);
    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        XXH3_64bits_update(digest, &r->key.len, sizeof(r->key.len));
        XXH3_64bits_update(digest, r->key.data, r->key.len);
        XXH3_64bits_update(digest, r->value.data, r->value.len);
    }
    number = XXH3_64bits_digest(digest);
    XXH3_freeState(digest);
    apr_pool_destroy(pool);
    return number;
}

/* Changes of every size: of a few pages, and of many. */

static char people[PEOPLE][SCIM_ID_TEXT + 1];
static char group[SCIM_ID_TEXT + 1];

static scim_reply change(scim_method method, const char *url, const char *body,
                         apr_pool_t *pool)
{
    scim_reply reply = request_at(method, url, NULL, body, tick(), pool);

    if (reply.status >= 300) {
        fail_msg("%s: %d %s", url, reply.status, reply.body);
    }
    return reply;
}

static const char *user_text(const char *name, apr_pool_t *pool)
{
    apr_size_t len = roll(4) ? 10 : roll(20000);
    char *title = apr_palloc(pool, len + 1);

    memset(title, 'x', len);
    title[len] = '\0';
    return apr_psprintf(pool,
                        "{" USER_SCHEMAS ",\"userName\":\"%s\",\"title\":\"%u %s\","
                        "\"emails\":[{\"value\":\"%s@example.com\"}]}",
                        name, roll(1000000), title, name);
}

static void change_person(int i, apr_pool_t *pool)
{
    const char *name = apr_psprintf(pool, "person%d", i);
    const char *url = apr_pstrcat(pool, "/Users/", people[i], NULL);
    const char *member = apr_psprintf(
        pool, PATCH_OP("{\"op\":\"%s\",\"path\":\"members\",\"value\":[{\"value\":\"%s\"}]}"),
        roll(3) ? "add" : "remove", people[i]);

    if (!*people[i]) {
        strcpy(people[i], change(SCIM_POST, "/Users", user_text(name, pool), pool).id);
    } else if (!roll(5)) {
        change(SCIM_DELETE, url, NULL, pool);
        *people[i] = '\0';
    } else if (roll(2)) {
        change(SCIM_PATCH, apr_pstrcat(pool, "/Groups/", group, NULL), member, pool);
    } else {
        change(SCIM_PUT, url, user_text(name, pool), pool);
    }
}

static char *data_path(apr_pool_t *pool)
{
    return apr_pstrcat(pool, fix.directory, "/data.mdb", NULL);
}

static void read_base(void)
{
    int fd = open(data_path(fix.pool), O_RDONLY);
    struct stat info;

    assert_true(fd >= 0 && !fstat(fd, &info));
    tape.base.len = tape.base.room = (size_t)info.st_size;
    tape.base.bytes = apr_palloc(root_pool, tape.base.len);
    assert_int_equal(read(fd, tape.base.bytes, tape.base.len), tape.base.len);
    close(fd);
}

static void record_changes(void)
{
    apr_pool_t *pool = make_pool();
    int i;

    strcpy(
        group,
        change(SCIM_POST, "/Groups", "{" GROUP_SCHEMAS ",\"displayName\":\"staff\"}", pool).id);
    memset(people, 0, sizeof(people));
    read_base();
    tape.states[0] = state_of();
    record_begin(data_path(pool));
    for (i = 1; i <= tape.changes; i++) {
        apr_pool_clear(pool);
        change_person((int)roll(PEOPLE), pool);
        record_note(i);
        tape.states[i] = state_of();
    }
    tape.events = record_end(&tape.count);
    apr_pool_destroy(pool);
}

/* Images */

static void put_event(image *to, const record_event *event, size_t len)
{
    size_t end = (size_t)event->offset + len;

    if (event->kind == RECORD_TRUNCATE) {
        end = (size_t)event->offset;
    }
    if (end > to->room) {
        to->room = 2 * end;
        to->bytes = realloc(to->bytes, to->room);
    }
    if (end > to->len || event->kind == RECORD_TRUNCATE) {
        if (end > to->len) {
            memset(to->bytes + to->len, 0, end - to->len);
        }
        to->len = end;
    }
    if (event->kind == RECORD_WRITE) {
        memcpy(to->bytes + event->offset, event->bytes, len);
    }
}

static bool changes_file(const record_event *event)
{
    return event->kind == RECORD_WRITE || event->kind == RECORD_TRUNCATE;
}

/* A write that was under way, or that no sync has covered: not at all, whole, or
 * up to a sector.  What is no longer than a sector cannot be torn. */
static void put_any_part(image *to, const record_event *event)
{
    size_t sectors = event->len / SECTOR;

    switch (roll(3)) {
    case 0:
        tape.lost++;
        break;
    case 1:
        if (sectors > 1) {
            tape.lost++;
            put_event(to, event, roll((unsigned int)sectors) * SECTOR);
            break;
        }
        /* fall through */
    default:
        put_event(to, event, event->len);
    }
}

static void put_unsynced(image *to, int from, int until)
{
    int *order = malloc(sizeof(int) * (size_t)(until - from + 1)), count = 0, i;

    for (i = from; i < until; i++) {
        if (changes_file(&tape.events[i]) && !tape.events[i].durable) {
            order[count++] = i;
        }
    }
    for (i = count; i > 0; i--) {
        int chosen = (int)roll((unsigned int)i), other = order[chosen];

        order[chosen] = order[i - 1];
        put_any_part(to, &tape.events[other]);
    }
    free(order);
}

/* The file where the power failed when so many events had come; *acked: the last
 * change that was acknowledged by then. */
static image image_at(int moment, int *acked)
{
    image out = {malloc(tape.base.len), tape.base.len, tape.base.len};
    int synced = 0, i;

    memcpy(out.bytes, tape.base.bytes, out.len);
    *acked = 0;
    for (i = 0; i < moment; i++) {
        synced = tape.events[i].kind == RECORD_SYNC ? i : synced;
        *acked = tape.events[i].kind == RECORD_NOTE ? tape.events[i].note : *acked;
    }
    for (i = 0; i < moment; i++) {
        if (changes_file(&tape.events[i]) && (i < synced || tape.events[i].durable)) {
            put_event(&out, &tape.events[i], tape.events[i].len);
        }
    }
    put_unsynced(&out, synced, moment);
    if (moment < tape.count && changes_file(&tape.events[moment])) {
        put_any_part(&out, &tape.events[moment]);
    }
    return out;
}

static void write_image(const image *from, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, from->bytes, from->len), from->len);
    close(fd);
}

static void open_and_look(int moment, int acked)
{
    scim_verify_watcher watcher = {fail_finding, NULL, NULL};
    scim_verification sum;
    apr_uint64_t state;

    fix.pool = make_pool();
    assert_no_error(scim_store_open(&fix.store, fix.url, &fix.options, fix.pool));
    assert_no_error(scim_verify(&sum, fix.store, NULL, &watcher, fix.pool));
    state = state_of();
    if (state != tape.states[acked] &&
        (acked == tape.changes || state != tape.states[acked + 1])) {
        fail_msg("event %d of %d: the store is neither as it was after change %d nor as after "
                 "the next",
                 moment, tape.count, acked);
    }
    tape.beyond += state != tape.states[acked];
    apr_pool_destroy(fix.pool);
}

static int count_events(record_kind kind, bool durable)
{
    int i, count = 0;

    for (i = 0; i < tape.count; i++) {
        count += tape.events[i].kind == kind && tape.events[i].durable == durable;
    }
    return count;
}

/* Of every change the pages are synced, and then the page that names the root; some
 * change nothing. */
static void check_tape(void)
{
    assert_true(count_events(RECORD_SYNC, false) > tape.changes / 2);
    assert_true(count_events(RECORD_WRITE, true) > tape.changes / 2);
    assert_true(count_events(RECORD_WRITE, false) > tape.changes / 2);
    assert_int_equal(count_events(RECORD_NOTE, false), tape.changes);
}

static void test_images(void **state)
{
    int images = sized(200, 2000), i, acked;
    char *url, *path, *directory;

    tape.seed = seed_and_rounds(&images);
    tape.changes = sized(20, CHANGES_MAX);
    service_begin();
    record_changes();
    check_tape();
    invariants();
    scim_store_close(fix.store);
    url = apr_pstrdup(root_pool, fix.url);
    path = data_path(root_pool);
    directory = apr_pstrdup(root_pool, fix.directory);
    apr_pool_destroy(fix.pool);
    fix.url = url;
    for (i = 0; i < images; i++) {
        /* Every moment first, then some again: what is lost is another part. */
        int moment = i < tape.count ? i * (images < tape.count ? tape.count / images : 1)
                                    : (int)roll((unsigned int)tape.count + 1);
        image made = image_at(moment, &acked);

        write_image(&made, path);
        free(made.bytes);
        open_and_look(moment, acked);
    }
    print_message("# %d changes, %d events, %d images, %d writes lost, %d images beyond\n",
                  tape.changes, tape.count, images, tape.lost, tape.beyond);
    assert_true(tape.lost > images / 2 && tape.beyond > 0);
    record_free();
    fix.pool = make_pool();
    fix.directory = apr_pstrdup(fix.pool, directory);
}

int main(void)
{
    static const store_test table[] = {
        {"whatever a power failure leaves holds what was acknowledged", test_images, LMDB},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    stores_in_memory();
    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
