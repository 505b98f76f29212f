/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries over a store in memory: order, pages by index and by cursor, .search,
 * and the root, where resources of all types are.
 */
#include "service_fixture.h"

#define URN_SEARCH "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
#define EMPLOYEE "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"

/* Asking */

static const char *escaped(const char *text)
{
    const char *out = "";

    for (; *text; text++) {
        out = apr_pstrcat(pool, out,
                          apr_isalnum(*text) || strchr("-._~:,$", *text)
                              ? apr_psprintf(pool, "%c", *text)
                              : apr_psprintf(pool, "%%%02X", (unsigned char)*text),
                          NULL);
    }
    return out;
}

static scim_reply find(const char *path, const char *filter, const char *more)
{
    return get(apr_pstrcat(pool, path, "?filter=", escaped(filter), more, NULL));
}

static scim_reply search(const char *path, const char *more)
{
    return submit(SCIM_POST, path, text_of("{'schemas':['" URN_SEARCH "']%s}", more));
}

/* What tells one resource of these tests from another. */
static const char *name_of(const json_t *resource)
{
    static const char *const names[] = {"userName", "displayName", "name"};
    const char *name = NULL;
    int i;

    for (i = 0; i < 3 && !name; i++) {
        name = scim_json_string(resource, names[i]);
    }
    assert_non_null(name);
    return name;
}

/* "a b c" */
static const char *names(scim_reply reply)
{
    const json_t *resources = json_object_get(json_of(&reply), "Resources"), *resource;
    const char *text = "";
    size_t i;

    assert_status(reply, 200);
    json_array_foreach (resources, i, resource) {
        text = apr_pstrcat(pool, text, i ? " " : "", name_of(resource), NULL);
    }
    return text;
}

static json_int_t total(scim_reply reply)
{
    const json_t *number = json_object_get(json_of(&reply), "totalResults");

    return number ? json_integer_value(number) : -1;
}

static const char *next_of(scim_reply reply)
{
    assert_status(reply, 200);
    return scim_json_string(json_of(&reply), "nextCursor");
}

static void assert_names(const char *url, const char *expected)
{
    assert_string_equal(names(get(url)), expected);
}

static const char *create_with(const char *name, const char *more)
{
    return create("/Users", text_of("{'schemas':['@U'],'userName':'%s'%s}", name, more));
}

static const char *create_device(const char *name, const char *more)
{
    return create("/Devices",
                  text_of("{'schemas':['urn:x:device'],'name':'%s'%s}", name, more));
}

static void fill(int count)
{
    int i;

    for (i = 0; i < count; i++) {
        create_user(apr_psprintf(pool, "u%02d", i));
    }
}

/* Order */

static void test_sort(void **state)
{
    create_with("c", ",'name':{'givenName':'zoe'},'title':'B','@EU':{'employeeNumber':'10'}");
    create_with("A", ",'name':{'givenName':'Anna'},'title':'a'");
    create_with("b", ",'title':'\xc3\x84','active':true,'@EU':{'employeeNumber':'9'}");
    assert_names("/Users", "c A b");
    assert_names("/Users?sortBy=userName", "A b c");
    assert_names("/Users?sortBy=USERNAME&sortOrder=Ascending", "A b c");
    assert_names("/Users?sortBy=userName&sortOrder=descending", "c b A");
    assert_names("/Users?sortBy=" SCIM_URN_USER ":userName", "A b c");
    assert_names("/Users?sortBy=name.givenName", "A c b");
    assert_names("/Users?sortBy=name.givenName&sortOrder=descending", "b c A");
    assert_names("/Users?sortBy=" EMPLOYEE, "c b A");
    assert_names("/Users?sortBy=" EMPLOYEE "&sortOrder=descending", "A b c");
    assert_names("/Users?sortBy=title", "A c b");
    assert_names("/Users?sortBy=active", "b c A");
    assert_names("/Users?sortBy=meta.created&sortOrder=descending", "b A c");
    assert_names("/Users?sortBy=id&sortOrder=descending", "b A c");
    assert_names("/Users?sortOrder=descending", "c A b");
    assert_names("/Users?sortBy=&sortOrder=descending", "c A b");
}

static void test_sort_multi_valued(void **state)
{
    create_with("none", "");
    create_with("first", ",'emails':[{'value':'b@x'},{'value':'a@x'}]");
    create_with("primary", ",'emails':[{'value':'z@x'},{'value':'A@x','primary':true}]");
    create_with("other", ",'emails':[{'value':'c@x','type':'work'}]");
    assert_names("/Users?sortBy=emails", "primary first other none");
    assert_names("/Users?sortBy=emails.value&sortOrder=descending", "none other first primary");
    assert_names("/Users?sortBy=emails.type", "other none first primary");
}

static void test_sort_types(void **state)
{
    create_device("ten", ",'size':10,'weight':-1.5,'label':'b'");
    create_device("nine", ",'size':9,'weight':10,'label':'B'");
    create_device("minus", ",'size':-3,'weight':9.75,'label':'a'");
    create_device("none", "");
    assert_names("/Devices?sortBy=size", "minus nine ten none");
    assert_names("/Devices?sortBy=weight", "ten minus nine none");
    assert_names("/Devices?sortBy=weight&sortOrder=descending", "none nine minus ten");
    /* with case */
    assert_names("/Devices?sortBy=label", "nine minus ten none");
}

static void test_sort_ties(void **state)
{
    fill(4);
    create_with("x", ",'title':'t'");
    assert_names("/Users?sortBy=title", "x u00 u01 u02 u03");
    assert_names("/Users?sortBy=title&sortOrder=descending", "u00 u01 u02 u03 x");
    assert_names("/Users?sortBy=title&startIndex=2&count=2", "u00 u01");
    assert_names("/Users?sortBy=title&startIndex=4&count=2", "u02 u03");
}

static void test_sort_refused(void **state)
{
    static const char *const bad[] = {"sortBy=nothing",          "sortBy=name",
                                      "sortBy=password",         "sortBy=members",
                                      "sortBy=groups",           "sortBy=a..b",
                                      "sortBy=name.x",           "sortBy=meta",
                                      ("sortBy=" SCIM_URN_USER), "sortBy=userName&sortOrder=up",
                                      "sortOrder=asc",           "sortBy=userName&sortBy=id"};
    apr_size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_error(get(apr_pstrcat(pool, "/Users?", bad[i], NULL)), 400, "invalidValue");
    }
}

static void test_sort_with_filter_and_pages(void **state)
{
    scim_reply reply;

    fill(10);
    reply = find("/Users", "userName sw \"u0\" and not (userName eq \"u03\")",
                 "&sortBy=userName&sortOrder=descending&startIndex=3&count=4");
    assert_string_equal(names(reply), "u07 u06 u05 u04");
    assert_int_equal(total(reply), 9);
    assert_string_equal(names(get("/Users?sortBy=userName&startIndex=11")), "");
    assert_int_equal(total(get("/Users?sortBy=userName&count=0")), 10);
}

/* Cursors */

/* The names of a whole walk, page by page: "a b|c". */
static const char *walk(const char *url)
{
    const char *text = "", *cursor = "";
    int pages;

    for (pages = 0; cursor && pages < 100; pages++) {
        scim_reply reply = get(apr_pstrcat(pool, url, "&cursor=", cursor, NULL));

        text = apr_pstrcat(pool, text, pages ? "|" : "", names(reply), NULL);
        cursor = next_of(reply);
    }
    assert_true(pages < 100);
    return text;
}

static void test_cursor_walk(void **state)
{
    scim_reply reply;

    fill(5);
    assert_string_equal(walk("/Users?count=2"), "u00 u01|u02 u03|u04");
    assert_string_equal(walk("/Users?count=5"), "u00 u01 u02 u03 u04");
    assert_string_equal(walk("/Users?count=1"), "u00|u01|u02|u03|u04");
    assert_string_equal(walk("/Users?count=2&filter=userName+co+%22u%22"),
                        "u00 u01|u02 u03|u04");
    assert_string_equal(walk("/Users?count=2&filter=userName+ne+%22u02%22"), "u00 u01|u03 u04");
    assert_string_equal(walk("/Users?count=9&filter=userName+eq+%22u02%22"), "u02");
    assert_string_equal(walk("/Users?count=2&filter=userName+eq+%22nobody%22"), "");
    assert_string_equal(walk("/Groups?count=2"), "");
    assert_string_equal(walk("/Users?attributes=userName"), "u00 u01 u02 u03 u04");

    reply = get("/Users?cursor&count=2");
    assert_int_equal(size_of(reply, "Resources"), 2);
    assert_non_null(next_of(reply));
    assert_int_equal(total(reply), 5);
    assert_int_equal(total(get("/Users?cursor&filter=userName+co+%22u%22")), 5);
    assert_null(next_of(get("/Users?count=2")));
}

static void test_cursor_sorted(void **state)
{
    char *longest = apr_pcalloc(pool, 1001), *other;

    memset(longest, 'x', 1000);
    other = apr_pstrdup(pool, longest);
    other[999] = 'a';
    create_with("c", ",'title':'t'");
    create_with("a", ",'title':'t'");
    create_with("b", "");
    create_with("e", apr_psprintf(pool, ",'title':'%s'", longest));
    create_with("d", apr_psprintf(pool, ",'title':'%s'", other));
    assert_string_equal(walk("/Users?count=2&sortBy=userName"), "a b|c d|e");
    assert_string_equal(walk("/Users?count=2&sortBy=userName&sortOrder=descending"),
                        "e d|c b|a");
    /* ties, and values beyond what a key holds, in the order of creation */
    assert_string_equal(walk("/Users?count=1&sortBy=title"), "c|a|e|d|b");
    assert_string_equal(walk("/Users?count=2&sortBy=title&sortOrder=descending"), "b e|d c|a");
    assert_int_equal(total(get("/Users?cursor&count=2&sortBy=title")), 5);
}

static void delete_all(void)
{
    scim_reply page;

    while ((page = get("/Users?count=1"), size_of(page, "Resources"))) {
        assert_status(submit(SCIM_DELETE, user_url(text_at(page, "Resources.0.id")), NULL),
                      204);
    }
}

static void test_cursor_meanwhile(void **state)
{
    const char *urls[] = {"/Users?count=3", "/Users?count=3&sortBy=userName",
                          "/Users?count=3&filter=userName+sw+%22u%22"};
    int i;

    for (i = 0; i < 3; i++) {
        const char *gone, *cursor, *after;
        scim_reply page;

        gone = create_user("u-gone");
        fill(8);
        page = get(apr_pstrcat(pool, urls[i], "&cursor", NULL));
        cursor = next_of(page);
        assert_non_null(strstr(names(page), "u-gone"));
        /* what was told is deleted, even the last, and others come */
        assert_status(submit(SCIM_DELETE, user_url(gone), NULL), 204);
        after = text_at(page, "Resources.2.id");
        assert_status(submit(SCIM_DELETE, user_url(after), NULL), 204);
        create_user("u-late");
        page = get(apr_pstrcat(pool, urls[i], "&cursor=", cursor, NULL));
        assert_string_equal(names(page), "u02 u03 u04");
        page = get(apr_pstrcat(pool, urls[i], "&cursor=", next_of(page), NULL));
        assert_string_equal(names(page), "u05 u06 u07");
        /* by name the late one would stand before the page that was told */
        assert_int_equal(next_of(page) != NULL, i != 1);
        if (next_of(page)) {
            page = get(apr_pstrcat(pool, urls[i], "&cursor=", next_of(page), NULL));
            assert_string_equal(names(page), "u-late");
            assert_null(next_of(page));
        }
        delete_all();
    }
}

static void test_cursor_refused(void **state)
{
    const char *cursor, *other;
    apr_time_t sealed;
    scim_call call;
    scim_reply reply, foreign;

    fill(5);
    cursor = next_of(get("/Users?cursor&count=2&filter=userName+pr"));
    sealed = now;
    other = apr_pstrcat(pool, "&cursor=", cursor, NULL);
    assert_status(get(apr_pstrcat(pool, "/Users?count=2&filter=userName+pr", other, NULL)),
                  200);

    reply = get("/Users?count=2&filter=userName+pr&cursor=forged");
    assert_error(reply, 400, "invalidCursor");
    foreign = get(apr_pstrcat(pool, "/Users?count=2", other, NULL));
    assert_error(foreign, 400, "invalidCursor");
    assert_string_equal(foreign.body, reply.body);
    foreign = get(apr_pstrcat(pool, "/Groups?count=2&filter=displayName+pr", other, NULL));
    assert_string_equal(foreign.body, reply.body);
    foreign = get(apr_pstrcat(pool, "/?count=2&filter=userName+pr", other, NULL));
    assert_string_equal(foreign.body, reply.body);
    foreign =
        get(apr_pstrcat(pool, "/Users?count=2&filter=userName+pr&sortBy=id", other, NULL));
    assert_string_equal(foreign.body, reply.body);
    foreign =
        get(apr_pstrcat(pool, "/Users?count=2&filter=userName+pr&attributes=id", other, NULL));
    assert_string_equal(foreign.body, reply.body);

    assert_error(get(apr_pstrcat(pool, "/Users?count=3&filter=userName+pr", other, NULL)), 400,
                 "invalidCount");
    assert_error(get(apr_pstrcat(pool, "/Users?filter=userName+pr", other, NULL)), 400,
                 "invalidCount");
    assert_error(get("/Users?cursor&count=1001"), 400, "invalidCount");
    assert_error(get("/Users?cursor&startIndex=1"), 400, "invalidValue");

    call = call_of(SCIM_GET,
                   apr_pstrcat(pool, "/Users?count=2&filter=userName+pr", other, NULL), NULL);
    call.now = sealed + apr_time_from_sec(3599);
    assert_status(ask(&call), 200);
    call.now = sealed + apr_time_from_sec(3600);
    assert_error(ask(&call), 400, "expiredCursor");

    open_tenant(&identity.tenant, "globex");
    foreign = get(apr_pstrcat(pool, "/Users?count=2&filter=userName+pr", other, NULL));
    assert_string_equal(foreign.body, reply.body);
}

/* A page of none is asked for the total; it has no end to go on from. */
static void test_cursor_count_zero(void **state)
{
    static const char *const urls[] = {"/Users?cursor&count=0", "/Users?cursor&count=-1",
                                       "/Users?cursor&count=0&filter=userName+sw+%22u0%22",
                                       "/Users?cursor&count=0&sortBy=userName"};
    apr_size_t i;

    fill(3);
    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        scim_reply reply = get(urls[i]);

        assert_int_equal(total(reply), 3);
        assert_null(next_of(reply));
        assert_int_equal(size_of(reply, "Resources"), 0);
    }
}

static void test_scan_limit(void **state)
{
    scim_store_options options = {
        .kv = {.create = true}, .registry = registry, .scan_limit = 5};
    scim_reply reply;

    assert_null(scim_store_open(&store, "memory:", &options, pool));
    open_tenant(&identity.tenant, "acme");
    fill(6);
    reply = find("/Users", "title co \"x\"", "");
    assert_error(reply, 400, "tooMany");
    assert_non_null(strstr(reply.error->detail, "title"));
    assert_non_null(strstr(reply.error->detail, "has an index"));
    reply = find("/Users", "not (name.givenName pr) or title pr", "");
    assert_error(reply, 400, "tooMany");
    assert_non_null(strstr(reply.error->detail, "name.givenName"));
    assert_error(get("/Users?sortBy=title"), 400, "tooMany");
    assert_error(find("/", "userName co \"u\" or displayName pr", ""), 400, "tooMany");
    assert_status(get("/Users"), 200);
    assert_string_equal(names(find("/Users", "title co \"x\" and userName eq \"u03\"", "")),
                        "");
    assert_string_equal(names(find("/", "userName eq \"u03\"", "")), "u03");
    assert_string_equal(walk("/Users?count=2&filter=userName+co+%22u%22"),
                        "u00 u01|u02 u03|u04 u05");
}

/* .search */

static void test_search(void **state)
{
    scim_reply reply;

    fill(4);
    reply =
        search("/Users/.search", ",'filter':'userName sw \\\"u\\\"','startIndex':2,'count':2,"
                                 "'sortBy':'userName','sortOrder':'descending'");
    assert_string_equal(names(reply), "u02 u01");
    assert_int_equal(total(reply), 4);
    assert_string_equal(reply.body,
                        find("/Users", "userName sw \"u\"",
                             "&startIndex=2&count=2&sortBy=userName&sortOrder=descending")
                            .body);
    assert_string_equal(search("/Users/.search", "").body, get("/Users").body);
    assert_string_equal(search("/Groups/.search", "").body, get("/Groups").body);
    assert_string_equal(search("/.search", "").body, get("/").body);
    reply = search("/Users/.search", ",'attributes':['userName','name.givenName'],'count':1");
    assert_int_equal(
        json_object_size(json_array_get(json_object_get(json_of(&reply), "Resources"), 0)), 3);
    reply = search("/Users/.search", ",'excludedAttributes':['userName'],'count':1");
    assert_null(text_at(reply, "Resources.0.userName"));
    assert_string_equal(text_at(reply, "Resources.0.schemas.0"), SCIM_URN_USER);
}

static void test_search_by_cursor(void **state)
{
    scim_reply reply;
    const char *cursor;

    fill(3);
    reply = search("/Users/.search", ",'cursor':'','count':2");
    assert_string_equal(names(reply), "u00 u01");
    cursor = next_of(reply);
    assert_non_null(cursor);
    reply = search("/Users/.search", apr_psprintf(pool, ",'cursor':'%s','count':2", cursor));
    assert_string_equal(names(reply), "u02");
    assert_null(next_of(reply));
    /* a query is a query, however it is sent */
    reply = get(apr_pstrcat(pool, "/Users?count=2&cursor=", cursor, NULL));
    assert_string_equal(names(reply), "u02");
    assert_error(search("/Users/.search", ",'cursor':'x','startIndex':1"), 400, "invalidValue");
    assert_error(search("/Users/.search", ",'cursor':'x'"), 400, "invalidCursor");
}

static void test_search_refused(void **state)
{
    create_user("a");
    assert_error(submit(SCIM_POST, "/Users/.search", "{}"), 400, "invalidSyntax");
    assert_error(submit(SCIM_POST, "/.search", "{\"filter\":\"userName pr\"}"), 400,
                 "invalidSyntax");
    assert_error(submit(SCIM_POST, "/.search", "nonsense"), 400, "invalidSyntax");
    assert_error(submit(SCIM_POST, "/.search", NULL), 400, "invalidSyntax");
    assert_error(search("/Users/.search", ",'attributes':'userName'"), 400, "invalidValue");
    assert_error(search("/Users/.search", ",'attributes':['a'],'excludedAttributes':['b']"),
                 400, "invalidValue");
    assert_error(search("/Users/.search", ",'filter':'userName foo 7'"), 400, "invalidFilter");
    assert_error(search("/Users/.search", ",'filter':''"), 400, "invalidFilter");
    assert_error(search("/Users/.search", ",'filter':'password eq 7'"), 403, "sensitive");
    assert_error(search("/Users/.search", ",'count':'1'"), 400, "invalidValue");
    assert_error(search("/Users/.search", ",'sortBy':'nothing'"), 400, "invalidValue");
}

static void test_search_ignores_the_url(void **state)
{
    fill(3);
    assert_string_equal(names(search("/Users/.search?count=1&filter=nonsense&cursor=x&cursor",
                                     ",'startIndex':2,'count':1")),
                        "u01");
    identity.scopes = SCIM_SCOPE_READ;
    assert_status(search("/Users/.search", ""), 200);
    identity.scopes = SCIM_SCOPE_WRITE;
    assert_error(search("/Users/.search", ""), 403, NULL);
}

/* The root */

static void fill_all(void)
{
    create_with("anna", ",'displayName':'Zed','title':'x'");
    create_group("Guides", "");
    create_with("bob", ",'active':false");
    create_device("phone", ",'size':3");
}

static void test_root(void **state)
{
    scim_reply reply;
    int i;

    fill_all();
    reply = get("/");
    assert_string_equal(names(reply), "anna bob Guides phone");
    assert_int_equal(total(reply), 4);
    for (i = 0; i < 4; i++) {
        const char *type =
            text_at(reply, apr_psprintf(pool, "Resources.%d.meta.resourceType", i));
        const char *location =
            text_at(reply, apr_psprintf(pool, "Resources.%d.meta.location", i));

        assert_string_equal(type, i < 2 ? "User" : i == 2 ? "Group" : "Device");
        assert_string_equal(
            location, apr_psprintf(pool, BASE "/%ss/%s", type,
                                   text_at(reply, apr_psprintf(pool, "Resources.%d.id", i))));
    }
    assert_names("/?startIndex=2&count=2", "bob Guides");
    assert_names("/?startIndex=4", "phone");
    assert_names("/?startIndex=5", "");
    assert_int_equal(total(get("/?count=0")), 4);
    assert_string_equal(walk("/?count=1"), "anna|bob|Guides|phone");
    assert_string_equal(walk("/?count=2"), "anna bob|Guides phone");
    assert_string_equal(walk("/?count=3"), "anna bob Guides|phone");
    assert_int_equal(total(get("/?cursor&count=2")), 4);
}

static void test_root_filters(void **state)
{
    static const struct {
        const char *filter, *names;
    } cases[] = {
        {"meta.resourceType eq \"User\"", "anna bob"},
        {"meta.resourceType eq \"Group\"", "Guides"},
        {"meta.resourceType eq \"Nothing\"", ""},
        {"meta.resourceType ne \"User\"", "Guides phone"},
        {"meta.resourceType eq \"User\" or meta.resourceType eq \"Device\"", "anna bob phone"},
        {"meta.resourceType eq \"User\" and title pr", "anna"},
        {"meta.location co \"/Devices/\"", "phone"},
        {"userName eq \"ANNA\"", "anna"},
        {"userName pr", "anna bob"},
        {"not (userName pr)", "Guides phone"},
        {"userName ne \"anna\"", "bob Guides phone"},
        {"userName eq null", "Guides phone"},
        {"displayName pr", "anna Guides"},
        {"displayName eq \"guides\" or displayName eq \"zed\"", "anna Guides"},
        {"size gt 2", "phone"},
        {"size gt 2 or active eq false", "bob phone"},
        {"size gt 2 and active eq false", ""},
        {"emails[type eq \"work\"]", ""},
        {"not (emails[type eq \"work\"])", "anna bob Guides phone"},
        {"emails[type eq \"work\"].value ne \"x\"", "anna bob Guides phone"},
        {"members.value eq \"" NOBODY "\"", ""},
        {"members pr or groups pr", ""},
        {"name.givenName eq \"x\"", ""},
        {"id pr", "anna bob Guides phone"},
        {"schemas eq \"urn:x:device\"", "phone"},
        {EMPLOYEE " eq null", "anna bob Guides phone"},
    };
    apr_size_t i;

    fill_all();
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scim_reply reply = find("/", cases[i].filter, "");

        if (strcmp(names(reply), cases[i].names)) {
            fail_msg("%s: %s", cases[i].filter, names(reply));
        }
        reply = find("/", cases[i].filter, "&sortBy=id&count=0");
        assert_int_equal(total(find("/", cases[i].filter, "")), total(reply));
    }
    assert_error(find("/", "nothing eq \"x\"", ""), 400, "invalidFilter");
    assert_error(find("/", "userName eq", ""), 400, "invalidFilter");
    assert_error(find("/", "size gt \"x\"", ""), 400, "invalidFilter");
    assert_error(find("/", "password pr", ""), 403, "sensitive");
}

static void test_root_members(void **state)
{
    const char *user = create_user("a");

    create_group("g", member(user));
    create_group("h", "");
    assert_string_equal(
        names(find("/", apr_psprintf(pool, "members.value eq \"%s\"", user), "")), "g");
    assert_string_equal(names(find("/", "groups.display eq \"g\" or displayName eq \"h\"", "")),
                        "a h");
}

static void test_root_order(void **state)
{
    fill_all();
    assert_names("/?sortBy=id&sortOrder=descending", "phone bob Guides anna");
    assert_names("/?sortBy=meta.created", "anna Guides bob phone");
    /* only users have it, then users and groups */
    assert_names("/?sortBy=userName", "anna bob Guides phone");
    assert_names("/?sortBy=userName&sortOrder=descending", "Guides phone bob anna");
    assert_names("/?sortBy=displayName", "Guides anna bob phone");
    assert_names("/?sortBy=size", "phone anna Guides bob");
    assert_string_equal(walk("/?count=1&sortBy=displayName"), "Guides|anna|bob|phone");
    assert_string_equal(walk("/?count=3&sortBy=userName&sortOrder=descending"),
                        "Guides phone bob|anna");
    assert_error(get("/?sortBy=nothing"), 400, "invalidValue");
    assert_error(get("/?sortBy=password"), 400, "invalidValue");
}

static void test_root_projection(void **state)
{
    scim_reply reply;

    fill_all();
    reply = search("/.search", ",'attributes':['displayName','size']");
    assert_string_equal(text_at(reply, "Resources.0.displayName"), "Zed");
    assert_null(text_at(reply, "Resources.0.userName"));
    assert_string_equal(text_at(reply, "Resources.2.displayName"), "Guides");
    assert_int_equal(
        json_integer_value(json_object_get(
            json_array_get(json_object_get(json_of(&reply), "Resources"), 3), "size")),
        3);
    reply = get("/?excludedAttributes=meta");
    assert_null(text_at(reply, "Resources.0.meta.location"));
}

static void test_root_of_another_tenant(void **state)
{
    fill_all();
    open_tenant(&identity.tenant, "globex");
    assert_names("/", "");
    assert_int_equal(total(get("/")), 0);
    assert_string_equal(names(find("/", "id pr", "&sortBy=id")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"C-117 C-118 C-119 C-120 C-121 order", test_sort, begin, end, NULL},
        {"C-120 C-121 order by what has several values", test_sort_multi_valued, begin, end,
         NULL},
        {"C-119 C-120 C-121 order by type", test_sort_types, begin, end, NULL},
        {"C-121 C-123 ties", test_sort_ties, begin, end, NULL},
        {"C-117 C-122 orders that are refused", test_sort_refused, begin, end, NULL},
        {"C-114 C-115 pages of an order", test_sort_with_filter_and_pages, begin, end, NULL},
        {"C-130 C-131 C-138 C-139 a walk by cursor", test_cursor_walk, begin, end, NULL},
        {"C-123 C-131 C-142 a sorted walk by cursor", test_cursor_sorted, begin, end, NULL},
        {"C-144 what changes between pages", test_cursor_meanwhile, begin, end, NULL},
        {"C-133 C-134 C-135 C-136 C-137 C-140 cursors refused", test_cursor_refused, begin, end,
         NULL},
        {"C-111 C-135 a cursor for a page of none", test_cursor_count_zero, begin, end, NULL},
        {"C-106 queries that would read too much", test_scan_limit, begin, end, NULL},
        {"C-069 C-260 .search", test_search, begin, end, NULL},
        {"C-141 .search by cursor", test_search_by_cursor, begin, end, NULL},
        {"C-103 C-261 C-262 .search refused", test_search_refused, begin, end, NULL},
        {"C-016 C-263 .search and its URL", test_search_ignores_the_url, begin, end, NULL},
        {"C-125 C-131 the root", test_root, begin, end, NULL},
        {"C-096 C-102 C-125 filters at the root", test_root_filters, begin, end, NULL},
        {"C-125 members and groups at the root", test_root_members, begin, end, NULL},
        {"C-121 C-125 C-131 orders at the root", test_root_order, begin, end, NULL},
        {"C-069 C-125 projections at the root", test_root_projection, begin, end, NULL},
        {"C-125 C-312 the root of another tenant", test_root_of_another_tenant, begin, end,
         NULL},
    };

    make_registry(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
