/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not grow with the store, counted: the reads and writes of keys that
 * a request makes, in a directory of many users and in a small one.  Time is for
 * t/bench.
 *
 * All tests share one store, since it takes a while to fill.  SCALE: its users
 * (20,000; 2,500 with sanitizers).
 */
#include "service_fixture.h"

#include "scim/key.h"

#define FEW 10
#define BATCH 500
#define PAGE 100
#define GROUPS 1000  /* that one user is in */
#define SHARING 2000 /* users who share an address */
#define RUN 1024     /* resources that one anchor stands for */

static int many;
static const char **ids; /* of the users, in the order of creation */
static const char *small, *large;
static apr_pool_t *whole; /* of what outlives a test */

/* An engine that counts */

typedef struct counts {
    long gets;
    long seeks;
    long steps;   /* of cursors */
    long members; /* of these three, in the table of members */
    long records; /* in that of resources */
    long puts;
    long dels;
} counts;

static counts counted;
static scim_kv_engine counting;

static void count_table(scim_slice key)
{
    const char table = key.len ? *(const char *)key.data : 0;

    counted.members += table == SCIM_TABLE_MEMBER;
    counted.records += table == SCIM_TABLE_RESOURCE;
}

static scim_kv_rc count_get(scim_kv_txn *txn, scim_slice key, scim_slice *value)
{
    counted.gets++;
    count_table(key);
    return scim_kv_memory.get(txn, key, value);
}

static scim_kv_rc count_put(scim_kv_txn *txn, scim_slice key, scim_slice value,
                            bool no_overwrite)
{
    counted.puts++;
    return scim_kv_memory.put(txn, key, value, no_overwrite);
}

static scim_kv_rc count_del(scim_kv_txn *txn, scim_slice key)
{
    counted.dels++;
    return scim_kv_memory.del(txn, key);
}

static scim_kv_rc count_seek(scim_kv_cursor *cursor, scim_slice at, scim_slice *key,
                             scim_slice *value)
{
    counted.seeks++;
    count_table(at);
    return scim_kv_memory.seek(cursor, at, key, value);
}

/* Where a move ends is what it has read. */
static scim_kv_rc count_step(scim_kv_rc rc, scim_slice key)
{
    counted.steps++;
    if (rc == SCIM_KV_OK) {
        count_table(key);
    }
    return rc;
}

static scim_kv_rc count_next(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value)
{
    scim_kv_rc rc = scim_kv_memory.next(cursor, key, value);

    return count_step(rc, *key);
}

static scim_kv_rc count_prev(scim_kv_cursor *cursor, scim_slice *key, scim_slice *value)
{
    scim_kv_rc rc = scim_kv_memory.prev(cursor, key, value);

    return count_step(rc, *key);
}

static void count_from_now(void)
{
    counting = scim_kv_memory;
    counting.get = count_get;
    counting.put = count_put;
    counting.del = count_del;
    counting.seek = count_seek;
    counting.next = count_next;
    counting.prev = count_prev;
    scim_store_kv(store)->engine = &counting;
}

static long reads_of(const counts *c)
{
    return c->gets + c->seeks + c->steps;
}

static long writes_of(const counts *c)
{
    return c->puts + c->dels;
}

static void assert_same_counts(const counts *a, const counts *b)
{
    assert_int_equal(a->gets, b->gets);
    assert_int_equal(a->seeks, b->seeks);
    assert_int_equal(a->steps, b->steps);
    assert_int_equal(a->members, b->members);
    assert_int_equal(a->records, b->records);
    assert_int_equal(a->puts, b->puts);
    assert_int_equal(a->dels, b->dels);
}

/* What a request costs that is answered so. */
static counts cost(scim_method method, const char *url, const char *body, int status)
{
    counted = (counts){0};
    assert_status(submit(method, url, body), status);
    return counted;
}

static counts cost_of_get(const char *url)
{
    return cost(SCIM_GET, url, NULL, 200);
}

/* The directory */

static const char *users_body(int first, int count)
{
    const char **operations = apr_palloc(pool, sizeof(*operations) * (size_t)count);
    apr_array_header_t list = {pool, sizeof(*operations), count, count, (char *)operations};
    int i;

    for (i = 0; i < count; i++) {
        int n = first + i;

        operations[i] = text_of("{'method':'POST','path':'/Users','bulkId':'%d','data':{"
                                "'schemas':['@U'],'userName':'u%d','displayName':'user %d',"
                                "'emails':[{'value':'%s%d@example.com'}]}}",
                                n, n, n, n < SHARING ? "shared" : "own", n < SHARING ? 0 : n);
    }
    return text_of("{'schemas':['urn:ietf:params:scim:api:messages:2.0:BulkRequest'],"
                   "'Operations':[%s]}",
                   apr_array_pstrcat(pool, &list, ','));
}

static void create_users(int first, int count)
{
    scim_reply reply = assert_status(submit(SCIM_POST, "/Bulk", users_body(first, count)), 200);
    const json_t *operations = json_object_get(json_of(&reply), "Operations"), *operation;
    size_t i;

    assert_int_equal(json_array_size(operations), count);
    json_array_foreach (operations, i, operation) {
        const char *location = scim_json_string(operation, "location");

        assert_string_equal(scim_json_string(operation, "status"), "201");
        ids[first + (int)i] = apr_pstrdup(whole, strrchr(location, '/') + 1);
    }
}

/* {"value":"..."},... of so many users; the one at without is left out. */
static const char *members_of(int count, int without)
{
    const char **list = apr_palloc(pool, sizeof(*list) * (size_t)count);
    apr_array_header_t array = {pool, sizeof(*list), 0, count, (char *)list};
    int i;

    for (i = 0; i < count; i++) {
        if (i != without) {
            list[array.nelts++] = member(ids[i]);
        }
    }
    return apr_array_pstrcat(pool, &array, ',');
}

static counts first_user, first_total;

/* The few users that are in no group come last. */
static int fill(void **state)
{
    apr_pool_t *step;
    int i;

    begin_in_memory(state);
    whole = pool;
    wire.bulk_bytes = 1 << 28;
    ids = apr_palloc(whole, sizeof(*ids) * (size_t)(many + FEW));
    apr_pool_create(&step, whole);
    pool = step;
    create_users(0, FEW);
    count_from_now();
    first_user =
        cost_of_get("/Users?filter=userName%20eq%20%22u1%22&excludedAttributes=groups");
    first_total = cost_of_get("/Users?count=0");
    for (i = FEW; i < many + FEW; i += BATCH) {
        create_users(i, many + FEW - i < BATCH ? many + FEW - i : BATCH);
        apr_pool_clear(step);
    }
    small = apr_pstrdup(whole, create_group("small", members_of(FEW, -1)));
    large = create("/Groups?excludedAttributes=members",
                   text_of("{'schemas':['@G'],'displayName':'large','members':[%s]}",
                           members_of(many, -1)));
    large = apr_pstrdup(whole, large);
    return 0;
}

static int clear_step(void **state)
{
    apr_pool_clear(pool);
    return 0;
}

static int empty(void **state)
{
    pool = whole;
    return end(state);
}

/* Lists */

static void test_totals(void **state)
{
    counts total = cost_of_get("/Users?count=0");
    counts one =
        cost_of_get("/Users?filter=userName%20eq%20%22u1%22&excludedAttributes=groups");
    counts none = cost_of_get("/Users?filter=userName%20eq%20%22nobody%22&count=0");

    assert_int_equal(total_of("/Users?count=0"), many + FEW);
    assert_same_counts(&total, &first_total);
    assert_same_counts(&one, &first_user);
    assert_int_equal(none.records, 0);
}

/* Of many hits in an index only those on the page are read. */
static void test_indexed_hits(void **state)
{
    const char *filter =
        "excludedAttributes=groups&filter=emails.value%20eq%20%22shared0@example.com%22";
    int sharing = many + FEW < SHARING ? many + FEW : SHARING;
    counts page, total;

    total = cost_of_get(apr_pstrcat(pool, "/Users?count=0&", filter, NULL));
    assert_int_equal(total_of(apr_pstrcat(pool, "/Users?count=0&", filter, NULL)), sharing);
    assert_int_equal(total.records, 0);
    assert_in_range(reads_of(&total), sharing, sharing + 10);
    page = cost_of_get(apr_pstrcat(pool, "/Users?startIndex=1001&count=10&", filter, NULL));
    assert_int_equal(page.records, 10);
}

/* Each page costs what the first does, and that is what its users do. */
static void walk_by_cursor(const char *query, int expected)
{
    const char *cursor = "";
    counts first = {0};
    int found = 0;

    while (cursor) {
        counts page;
        scim_reply reply;

        counted = (counts){0};
        reply = assert_status(
            get(apr_psprintf(pool, "/Users?excludedAttributes=groups&count=%d%s&cursor=%s",
                             PAGE, query, cursor)),
            200);
        page = counted;
        found += size_of(reply, "Resources");
        cursor = text_at(reply, "nextCursor");
        cursor = cursor ? apr_pstrdup(pool, cursor) : NULL;
        if (!reads_of(&first)) {
            first = page;
        }
        assert_true(reads_of(&page) <= reads_of(&first) + 2);
        assert_in_range(page.records, 1, PAGE + 2);
    }
    assert_int_equal(found, expected);
}

static void test_cursor_pages(void **state)
{
    walk_by_cursor("", many + FEW);
}

static void test_cursor_in_index(void **state)
{
    walk_by_cursor("&filter=emails.value%20eq%20%22shared0@example.com%22",
                   many + FEW < SHARING ? many + FEW : SHARING);
}

/* At most one row for each run before it, from whichever end is nearer, and then
 * one run. */
static void test_deep_pages(void **state)
{
    long first = 0, bound;
    int start;

    for (start = 1; start <= many + FEW; start += many / 50) {
        counts page = cost_of_get(apr_psprintf(
            pool, "/Users?excludedAttributes=groups&startIndex=%d&count=%d", start, PAGE));

        first = first ? first : reads_of(&page);
        bound = first + RUN + many / RUN / 2 + 4;
        assert_in_range(reads_of(&page), 1, bound);
    }
}

/* A page ends before it gets too large for a client, and the next begins there. */

#define HUGE 20
#define HUGE_BYTES 900000

static void create_huge_users(void)
{
    char *text = apr_palloc(pool, HUGE_BYTES + 1);
    int i;

    memset(text, 'x', HUGE_BYTES);
    text[HUGE_BYTES] = '\0';
    for (i = 0; i < HUGE; i++) {
        create("/Users", text_of("{'schemas':['@U'],'userName':'huge%02d','nickName':'%s',"
                                 "'emails':[{'value':'huge@example.com'}]}",
                                 i, text));
    }
}

#define HUGE_FILTER "filter=emails.value%20eq%20%22huge@example.com%22"

static int add_names(apr_array_header_t *names, scim_reply reply)
{
    const json_t *resources = json_object_get(json_of(&reply), "Resources"), *resource;
    size_t i;

    assert_status(reply, 200);
    assert_in_range(reply.body_len, 0, (16 << 20) + (2 << 20));
    json_array_foreach (resources, i, resource) {
        APR_ARRAY_PUSH(names, const char *) = scim_json_string(resource, "userName");
    }
    return (int)json_array_size(resources);
}

static void assert_all_huge(const apr_array_header_t *names, bool descending)
{
    int i;

    assert_int_equal(names->nelts, HUGE);
    for (i = 0; i < HUGE; i++) {
        assert_string_equal(APR_ARRAY_IDX(names, i, const char *),
                            apr_psprintf(pool, "huge%02d", descending ? HUGE - 1 - i : i));
    }
}

static void walk_huge_by_cursor(const char *url, bool descending)
{
    apr_array_header_t *names = apr_array_make(pool, HUGE, sizeof(const char *));
    const char *cursor = "";
    int pages = 0;

    while (cursor) {
        scim_reply reply = get(apr_pstrcat(pool, url, cursor, NULL));

        add_names(names, reply);
        cursor = text_at(reply, "nextCursor");
        pages++;
    }
    assert_int_equal(pages, 2);
    assert_all_huge(names, descending);
}

static void test_huge_page(void **state)
{
    apr_array_header_t *names = apr_array_make(pool, HUGE, sizeof(const char *));
    int shown;

    create_huge_users();
    shown = add_names(names, get("/Users?" HUGE_FILTER));
    assert_in_range(shown, 10, HUGE - 1);
    add_names(names, get(apr_pstrcat(pool, "/Users?" HUGE_FILTER "&startIndex=",
                                     apr_itoa(pool, shown + 1), NULL)));
    assert_all_huge(names, false);
    walk_huge_by_cursor("/Users?" HUGE_FILTER "&cursor=", false);
    walk_huge_by_cursor("/Users?" HUGE_FILTER "&sortBy=userName&sortOrder=descending&cursor=",
                        true);
    walk_huge_by_cursor("/?" HUGE_FILTER "&cursor=", false);
}

/* Groups */

static const char *patch_body(const char *operation)
{
    return text_of("{'schemas':['@PO'],'Operations':[%s]}", operation);
}

static counts cost_of_patch(const char *group, const char *operation)
{
    return cost(SCIM_PATCH, group_url(group), patch_body(operation), 204);
}

static void assert_same_patch(const char *operation)
{
    counts in_small = cost_of_patch(small, operation);
    counts in_large = cost_of_patch(large, operation);

    assert_same_counts(&in_small, &in_large);
}

static void test_one_member(void **state)
{
    const char *user = ids[many];
    const char *add = text_of("{'op':'add','path':'members','value':[{'value':'%s'}]}", user);

    assert_same_patch(add);
    assert_same_patch(add); /* who is there already */
    assert_same_patch(text_of("{'op':'remove','path':'members[value eq %s]'}",
                              apr_psprintf(pool, "\\\"%s\\\"", user)));
    assert_same_patch(add);
    assert_same_patch(
        text_of("{'op':'remove','path':'members','value':[{'value':'%s'}]}", user));
}

static void assert_no_members(const char *query)
{
    counts of_small = cost_of_get(apr_pstrcat(pool, group_url(small), query, NULL));
    counts of_large = cost_of_get(apr_pstrcat(pool, group_url(large), query, NULL));

    assert_int_equal(of_large.members, 0);
    assert_same_counts(&of_small, &of_large);
}

static void test_without_members(void **state)
{
    counts list, of_small, of_large;

    assert_no_members("?excludedAttributes=members");
    assert_no_members("?attributes=displayName");
    list = cost_of_get("/Groups?excludedAttributes=members");
    assert_int_equal(list.members, 0);
    list = cost_of_get("/Groups?filter=displayName%20eq%20%22large%22"
                       "&excludedAttributes=members");
    assert_int_equal(list.members, 0);
    of_small = cost_of_patch(small, "{'op':'replace','path':'externalId','value':'a'}");
    of_large = cost_of_patch(large, "{'op':'replace','path':'externalId','value':'b'}");
    assert_int_equal(of_large.members, 0);
    assert_same_counts(&of_small, &of_large);
}

/* What is read, and how much is sent at a time, by who sends a stream. */
static long read_stream(scim_buffer *text, scim_reply *reply)
{
    bool last = false;
    long sum = 0;

    scim_buffer_add(text, reply->body, reply->body_len);
    while (!last) {
        apr_pool_t *scratch;
        scim_buffer *piece;

        counted = (counts){0};
        apr_pool_create(&scratch, pool);
        piece = scim_buffer_make(1024, scratch);
        assert_null(reply->stream->next(reply->stream, piece, &last, scratch));
        assert_in_range(counted.members, 0, 500);
        assert_in_range(piece->len, 1, 128 * 1024);
        scim_buffer_add(text, piece->data, piece->len);
        sum += counted.members;
        apr_pool_destroy(scratch);
    }
    return sum;
}

/* The large group is streamed: what reads its members is not its GET, but what
 * sends it. */
static void test_slices(void **state)
{
    scim_call call = call_of(SCIM_GET, group_url(large), NULL);
    scim_reply reply;

    counted = (counts){0};
    scim_service_answer(&reply, &call, pool);
    assert_int_equal(reply.status, 200);
    assert_non_null(reply.stream);
    assert_int_equal(counted.members, 0);
    assert_in_range(read_stream(scim_buffer_make(1024, pool), &reply), many, many + many / 100);
}

/* Likewise in a list, between groups that are not. */
static void test_listed_slices(void **state)
{
    const char *behind = create_group("behind", members_of(3, -1));
    scim_buffer *text = scim_buffer_make(1024, pool);
    scim_call call = call_of(SCIM_GET, "/Groups", NULL);
    static const int sizes[] = {FEW, 0, 3};
    const json_t *list, *group;
    scim_reply reply;
    size_t i;

    counted = (counts){0};
    scim_service_answer(&reply, &call, pool);
    assert_int_equal(reply.status, 200);
    assert_non_null(reply.stream);
    assert_in_range(counted.members, 1, 100);
    assert_in_range(read_stream(text, &reply), many, many + many / 100);
    list = json_object_get(scim_json_read_own(text->data, text->len, pool), "Resources");
    assert_int_equal(json_array_size(list), 3);
    json_array_foreach (list, i, group) {
        assert_int_equal(json_array_size(json_object_get(group, "members")),
                         i == 1 ? many : sizes[i]);
        assert_non_null(json_object_get(group, "meta"));
    }
    assert_status(submit(SCIM_DELETE, group_url(behind), NULL), 204);
}

static const char *group_body(const char *name, int count, int without)
{
    return text_of("{'schemas':['@G'],'displayName':'%s','members':[%s,%s]}", name,
                   members_of(count, without), member(ids[many + 1]));
}

/* The same members but one, and one more: the difference is written. */
static void test_replacement(void **state)
{
    const char *put_small = group_body("small", FEW, 3);
    const char *put_large = group_body("large", many, 3);
    counts a, b;

    a = cost(SCIM_PUT, group_url(small), put_small, 200);
    counted = (counts){0};
    b = cost(SCIM_PUT, apr_pstrcat(pool, group_url(large), "?excludedAttributes=members", NULL),
             put_large, 200);
    assert_int_equal(a.puts, b.puts);
    assert_int_equal(a.dels, b.dels);
    assert_in_range(writes_of(&b), 2, 10);
    /* once more: nothing is */
    b = cost(SCIM_PUT, apr_pstrcat(pool, group_url(large), "?excludedAttributes=members", NULL),
             put_large, 200);
    assert_int_equal(writes_of(&b), 0);
    a = cost_of_patch(
        small, text_of("{'op':'replace','path':'members','value':[%s]}", members_of(FEW, 5)));
    b = cost_of_patch(
        large, text_of("{'op':'replace','path':'members','value':[%s]}", members_of(many, 5)));
    assert_int_equal(a.puts, b.puts);
    assert_int_equal(a.dels, b.dels);
}

/* A user in a thousand groups */

static const char *version_of(const char *group)
{
    return get(apr_pstrcat(pool, group_url(group), "?excludedAttributes=members", NULL)).etag;
}

/* What it takes to delete a user who is in so many groups. */
static counts cost_of_leaving(const char *name, int groups)
{
    const char *user = create_user(name), *other = ids[0];
    const char **made = apr_palloc(pool, sizeof(*made) * (size_t)groups);
    counts all;
    int i;

    for (i = 0; i < groups; i++) {
        made[i] = create_group(apr_psprintf(pool, "%s %d", name, i),
                               apr_pstrcat(pool, member(user), ",", member(other), NULL));
        assert_string_equal(version_of(made[i]), "W/\"2\"");
    }
    all = cost(SCIM_DELETE, user_url(user), NULL, 204);
    for (i = 0; i < groups; i++) {
        scim_reply reply = get(group_url(made[i]));

        assert_string_equal(reply.etag, "W/\"3\"");
        assert_int_equal(size_of(reply, "members"), 1);
    }
    return all;
}

static void test_leaving(void **state)
{
    counts few = cost_of_leaving("few", FEW);
    counts all = cost_of_leaving("all", GROUPS);

    /* as much for each group, whatever else it is in */
    assert_in_range(reads_of(&all), 1, reads_of(&few) * GROUPS / FEW);
    assert_in_range(writes_of(&all), 4 * GROUPS, writes_of(&few) * GROUPS / FEW);
}

static int size_of_store(void)
{
    const char *scale = getenv("SCALE"), *san = getenv("SCIM_SAN"),
               *valgrind = getenv("SCIM_VALGRIND");

    if (scale && atoi(scale) > 0) {
        return atoi(scale) < 2500 ? 2500 : atoi(scale);
    }
    return (san && *san) || (valgrind && *valgrind) ? 2500 : 20000;
}

int main(void)
{
#define TEST(name, fn)                   \
    {                                    \
        name, fn, NULL, clear_step, NULL \
    }
    const struct CMUnitTest tests[] = {
        TEST("totals are known without a walk", test_totals),
        TEST("of an index' hits those on the page are read", test_indexed_hits),
        TEST("every page by cursor costs what the first does", test_cursor_pages),
        TEST("by cursor through an index, too", test_cursor_in_index),
        TEST("a deep page has a bound", test_deep_pages),
        TEST("a page of huge resources ends early", test_huge_page),
        TEST("S-08 one member more or less costs the same in any group", test_one_member),
        TEST("S-03 without members a group is as small as any", test_without_members),
        TEST("S-05 members are read while they are sent", test_slices),
        TEST("S-05 in a list, too", test_listed_slices),
        TEST("a replacement of all members writes the difference", test_replacement),
        TEST("a user leaves a thousand groups at the cost of each", test_leaving),
    };

    many = size_of_store();
    make_registry(false);
    return cmocka_run_group_tests(tests, fill, empty);
}
