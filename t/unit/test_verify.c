/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification: a store with one of everything is clean, whoever writes to it
 * meanwhile, and each kind of damage is found, and nothing else with it.
 */
#include <pthread.h>

#include "scim/endpoints.h"
#include "scim/reindex.h"
#include "scim/verify.h"

#include "store_model.h"

/* One of everything */

static struct world {
    scim_id alice;
    scim_id bob;
    scim_id staff; /* alice and bob */
    scim_id outer; /* staff */
    scim_id thing; /* owned by alice */
    scim_id other; /* of the tenant beta */
} world;

static const struct {
    const char *name;
    const scim_id *id;
} aliases[] = {{"alice", &world.alice}, {"bob", &world.bob},     {"staff", &world.staff},
               {"outer", &world.outer}, {"thing", &world.thing}, {"other", &world.other}};

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
    char token[SCIM_TOKEN_LEN + 1];
    scim_tenant beta;
    scim_change change;
    bool wrote;

    policy.password_sync = true;
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    assert_no_error(scim_store_view(fix.store, read_tenant, &fix.tenant, fix.pool));
    assert_no_error(scim_tenant_create(&beta, fix.store, "beta", tick(), fix.pool));
    assert_no_error(scim_token_create(token, fix.store, "acme", "entra",
                                      SCIM_SCOPE_READ | SCIM_SCOPE_WRITE, fix.now, 0,
                                      fix.pool));
    assert_no_error(scim_endpoints_write(&wrote, fix.store, "[]", fix.pool));
    world.bob = made("User", "{'userName':'bob','active':false}");
    world.alice = made(
        "User", fmt("{'userName':'alice','externalId':'x1','displayName':'Alice',"
                    "'password':'secret','emails':[{'value':'a@example.com','type':'work'}],"
                    "'@EU':{'manager':{'value':'%s'}}}",
                    text_of(&world.bob)));
    world.staff = made("Group", fmt("{'displayName':'staff','members':[{'value':'%s'},"
                                    "{'value':'%s','display':'Bob'}]}",
                                    text_of(&world.alice), text_of(&world.bob)));
    world.outer = made("Group", fmt("{'displayName':'outer','members':[{'value':'%s'}]}",
                                    text_of(&world.staff)));
    world.thing = made(
        "Thing", fmt("{'name':'t','size':3,'owner':{'value':'%s'}}", text_of(&world.alice)));
    assert_no_error(post_as(&change, &beta, "User", "{'userName':'alice'}", tick(), fix.pool));
    world.other = change.record.id;
    invariants();
}

/* What is found, as lines that can be compared */

typedef struct finds {
    apr_array_header_t *lines; /* of const char * */
} finds;

static const char *alias_of(const char *id)
{
    size_t i;

    for (i = 0; id && i < COUNT(aliases); i++) {
        if (!strcmp(id, text_of(aliases[i].id))) {
            return aliases[i].name;
        }
    }
    return id;
}

static void add_part(const char **line, const char *text)
{
    if (text) {
        *line = apr_pstrcat(fix.pool, *line, " ", text, NULL);
    }
}

static void note_finding(const scim_finding *finding, void *baton)
{
    finds *f = baton;
    const char *line = apr_pstrdup(fix.pool, finding->table);

    add_part(&line, finding->tenant);
    add_part(&line, finding->type);
    add_part(&line, alias_of(finding->id));
    add_part(&line, finding->attribute);
    APR_ARRAY_PUSH(f->lines, const char *) =
        apr_pstrcat(fix.pool, line, ": ", finding->what, "\n", NULL);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All findings in the order of their texts. */
static const char *verify_of(const char *tenant, scim_verification *sum)
{
    finds f = {apr_array_make(fix.pool, 8, sizeof(const char *))};
    scim_verify_watcher watcher = {note_finding, NULL, &f};

    assert_no_error(scim_verify(sum, fix.store, tenant, &watcher, fix.pool));
    assert_int_equal(sum->findings, f.lines->nelts);
    qsort(f.lines->elts, (size_t)f.lines->nelts, sizeof(const char *), by_text);
    return apr_array_pstrcat(fix.pool, f.lines, '\0');
}

static void assert_found(const char *expected)
{
    scim_verification sum;

    assert_string_equal(verify_of(NULL, &sum), expected);
}

/* Damage */

typedef struct writing {
    bytes key;
    const void *data; /* NULL: delete */
    apr_size_t len;
    bool seal;
} writing;

static scim_kv_rc write_in_update(scim_kv_txn *txn, void *baton)
{
    const writing *w = baton;
    scim_slice key = {w->key.at, w->key.len};
    unsigned char value[2000];

    if (!w->data) {
        return scim_kv_del(txn, key);
    }
    if (!w->seal) {
        return scim_kv_put(txn, key, (scim_slice){w->data, w->len}, false);
    }
    memcpy(value + 8, w->data, w->len);
    put_big_endian(value, seal_for(key, w->data, w->len), 8);
    return scim_kv_put(txn, key, (scim_slice){value, 8 + w->len}, false);
}

static void write_row(bytes key, const void *data, apr_size_t len, bool seal)
{
    writing w = {key, data, len, seal};

    assert_int_equal(scim_kv_update(scim_store_kv(fix.store), write_in_update, &w), SCIM_KV_OK);
}

static void drop_row(bytes key)
{
    write_row(key, NULL, 0, false);
}

/* The value of a row, seal and all. */
static scim_slice value_of(bytes key)
{
    apr_array_header_t *rows = dump(fix.pool);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        if (same_slice(r->key, (scim_slice){key.at, key.len})) {
            return r->value;
        }
    }
    fail_msg("there is no row %s", shown((scim_slice){key.at, key.len}, fix.pool));
    return (scim_slice){NULL, 0};
}

/* Alters the last byte of a value. */
static void alter_row(bytes key)
{
    scim_slice value = value_of(key);
    unsigned char *copy = apr_pmemdup(fix.pool, value.data, value.len);

    copy[value.len - 1] ^= 1;
    write_row(key, copy, value.len, false);
}

static bytes text_key(const char *text)
{
    bytes key = {.len = 0};

    add_bytes(&key, text, strlen(text));
    return key;
}

static apr_uint16_t number_of(const char *name)
{
    const unsigned char *value = value_of(text_key(name)).data;

    return (apr_uint16_t)big_endian(value + 8, 2);
}

static bytes record_key_of(const char *type, const scim_id *id)
{
    bytes key = key_of('r', fix.tenant.number);

    add_number(&key, number_of(fmt("stype/%s", type)), 2);
    add_bytes(&key, id->bytes, 16);
    return key;
}

/* kind u or i, without an id behind the value */
static bytes value_key(char kind, const char *index, const char *value)
{
    bytes key = key_of('i', fix.tenant.number);

    add_bytes(&key, value, strlen(value) + 1);
    add_number(&key, number_of(fmt("sindex/%c/%s", kind, index)), 2);
    return key;
}

static bytes index_key(const char *index, const char *value, const scim_id *id)
{
    bytes key = value_key('i', index, value);

    add_bytes(&key, id->bytes, 16);
    return key;
}

static bytes manager_key(const scim_id *target, const scim_id *source)
{
    bytes key = key_of('f', fix.tenant.number);

    add_bytes(&key, target->bytes, 16);
    add_number(&key, number_of("sindex/f/User/" SCIM_URN_ENTERPRISE ":manager"), 2);
    add_bytes(&key, source->bytes, 16);
    return key;
}

/* Of tables m, o, p and q; second may be NULL. */
static bytes ids_key(char table, const scim_id *first, const scim_id *second)
{
    bytes key = key_of(table, fix.tenant.number);

    add_bytes(&key, first->bytes, 16);
    if (second) {
        add_bytes(&key, second->bytes, 16);
    }
    return key;
}

static bytes counter_key_of(char which, const scim_id *group)
{
    bytes key = key_of('c', fix.tenant.number);

    add_bytes(&key, &which, 1);
    add_bytes(&key, group->bytes, 16);
    return key;
}

static bytes type_counter(const char *type)
{
    bytes key = key_of('c', fix.tenant.number);

    add_bytes(&key, "T", 1);
    add_number(&key, number_of(fmt("stype/%s", type)), 2);
    return key;
}

static void set_counter(bytes key, apr_int64_t number)
{
    unsigned char value[8];

    put_big_endian(value, (apr_uint64_t)number, 8);
    write_row(key, value, sizeof(value), false);
}

static bytes token_key_of(void)
{
    apr_array_header_t *rows = dump(fix.pool);
    bytes key = {.len = 0};
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const row *r = &APR_ARRAY_IDX(rows, i, row);

        if (*(const char *)r->key.data == 'k') {
            add_bytes(&key, r->key.data, r->key.len);
            return key;
        }
    }
    fail_msg("there is no token");
    return key;
}

/* Writes the record of alice anew, with other flags, display or JSON; NULL
 * leaves what is there. */
static void rewrite_alice(int flags, const char *display, const char *json)
{
    bytes key = record_key_of("User", &world.alice);
    scim_slice value = value_of(key);
    const unsigned char *at = (const unsigned char *)value.data + 8;
    apr_size_t len = (apr_size_t)big_endian(at + 26, 2);
    bytes out = {.len = 0};

    add_bytes(&out, at, 24);
    add_number(&out, (apr_uint64_t)flags, 2);
    add_number(&out, display ? strlen(display) : len, 2);
    add_bytes(&out, display ? display : (const char *)at + 28, display ? strlen(display) : len);
    if (json) {
        add_bytes(&out, json, strlen(json));
    } else {
        add_bytes(&out, at + 28 + len, value.len - 8 - 28 - len);
    }
    write_row(key, out.at, out.len, true);
}

static void record_altered(void)
{
    alter_row(record_key_of("User", &world.alice));
}

static void record_cut(void)
{
    write_row(record_key_of("User", &world.alice), "short", 5, true);
}

static void record_no_json(void)
{
    rewrite_alice(0, NULL, "{\"schemas\":[\"urn");
}

static void record_schemas_later(void)
{
    json_t *json = parse("{'userName':'alice','externalId':'x1','displayName':'Alice',"
                         "'emails':[{'value':'a@example.com','type':'work'}]}",
                         fix.pool);
    apr_size_t len;

    json_object_set_new(json, SCIM_URN_ENTERPRISE,
                        json_pack("{s:{s:s}}", "manager", "value", text_of(&world.bob)));
    json_object_set_new(json, "schemas",
                        json_pack("[s,s]", type_of("User")->schema->urn, SCIM_URN_ENTERPRISE));
    rewrite_alice(0, NULL, scim_json_write(json, &len, fix.pool));
}

static void record_flag(void)
{
    rewrite_alice(1, NULL, NULL);
}

static void record_display_wrong(void)
{
    rewrite_alice(0, "Mallory", NULL);
}

static void record_gone(void)
{
    drop_row(record_key_of("User", &world.alice));
}

static void record_of_no_type(void)
{
    scim_slice value = value_of(record_key_of("User", &world.bob));
    bytes key = key_of('r', fix.tenant.number);

    add_number(&key, 999, 2);
    add_bytes(&key, world.bob.bytes, 16);
    write_row(key, (const char *)value.data + 8, value.len - 8, true);
}

static void group_gone(void)
{
    drop_row(record_key_of("Group", &world.staff));
}

/* As it is when members are to follow: no finding but of what was not deleted
 * with the group. */
static void group_pending(void)
{
    group_gone();
    write_row(ids_key('q', &world.staff, NULL), "\1\0\0\0\0\0\0\0\0", 9, true);
}

static void unique_gone(void)
{
    drop_row(value_key('u', "User/userName", "alice"));
}

static void unique_altered(void)
{
    alter_row(value_key('u', "User/userName", "alice"));
}

static void unique_cut(void)
{
    write_row(value_key('u', "User/userName", "alice"), world.alice.bytes, 15, true);
}

static void unique_of_another(void)
{
    write_row(value_key('u', "User/userName", "alice"), world.bob.bytes, 16, true);
}

static void unique_added(void)
{
    write_row(value_key('u', "User/userName", "carol"), world.bob.bytes, 16, true);
}

static void index_gone(void)
{
    drop_row(index_key("User/emails.value", "a@example.com", &world.alice));
}

static void index_added(void)
{
    write_row(index_key("User/externalId", "x2", &world.alice), "", 0, false);
}

static void index_of_nobody(void)
{
    scim_id nobody = {{1}};

    write_row(index_key("User/externalId", "x1", &nobody), "", 0, false);
}

static void index_not_empty(void)
{
    write_row(index_key("User/externalId", "x1", &world.alice), "x", 1, false);
}

static void index_of_no_number(void)
{
    bytes key = key_of('i', fix.tenant.number);

    add_bytes(&key, "x", 2);
    add_number(&key, 999, 2);
    add_bytes(&key, world.alice.bytes, 16);
    write_row(key, "", 0, false);
}

static void index_ordered_for_unique(void)
{
    bytes key = value_key('u', "User/userName", "alice");

    add_bytes(&key, world.alice.bytes, 16);
    write_row(key, "", 0, false);
}

static void index_unique_for_ordered(void)
{
    write_row(value_key('i', "User/externalId", "x1"), world.alice.bytes, 16, true);
}

static void refers_gone(void)
{
    drop_row(manager_key(&world.bob, &world.alice));
}

static void refers_added(void)
{
    write_row(manager_key(&world.staff, &world.alice), "", 0, false);
}

static void member_gone(void)
{
    drop_row(ids_key('m', &world.staff, &world.alice));
}

static void only_member_gone(void)
{
    drop_row(ids_key('m', &world.outer, &world.staff));
}

static void member_altered(void)
{
    alter_row(ids_key('m', &world.staff, &world.alice));
}

static void member_cut(void)
{
    write_row(ids_key('m', &world.staff, &world.alice), "x", 1, true);
}

static void member_text_cut(void)
{
    write_row(ids_key('m', &world.staff, &world.alice), "\xff\xff\x00\x05xy", 6, true);
}

static void member_display_spoilt(void)
{
    unsigned char value[] = {0, 0, 'x', 0xff};

    put_big_endian(value, number_of("stype/User"), 2);
    write_row(ids_key('m', &world.staff, &world.alice), value, sizeof(value), true);
}

static void member_type_wrong(void)
{
    unsigned char number[2];

    put_big_endian(number, number_of("stype/Group"), 2);
    write_row(ids_key('m', &world.staff, &world.alice), number, 2, true);
}

static void member_type_none(void)
{
    write_row(ids_key('m', &world.staff, &world.alice), "\0\0", 2, true);
}

static void member_of_gone(void)
{
    drop_row(ids_key('o', &world.alice, &world.staff));
}

static void member_of_added(void)
{
    write_row(ids_key('o', &world.alice, &world.outer), "", 0, false);
}

static void member_of_not_empty(void)
{
    write_row(ids_key('o', &world.alice, &world.staff), "x", 1, false);
}

static void resources_miscounted(void)
{
    set_counter(type_counter("User"), 7);
}

static void resources_not_counted(void)
{
    drop_row(type_counter("Thing"));
}

static void members_miscounted(void)
{
    set_counter(counter_key_of('M', &world.staff), 1);
}

static void members_not_counted(void)
{
    drop_row(counter_key_of('M', &world.staff));
}

static void counter_of_no_group(void)
{
    set_counter(counter_key_of('R', &world.thing), 3);
    set_counter(counter_key_of('R', &(scim_id){{9}}), 3);
}

static void counter_cut(void)
{
    write_row(counter_key_of('R', &world.staff), "123", 3, false);
}

static void counter_unknown(void)
{
    set_counter(counter_key_of('X', &world.staff), 3);
}

static bytes anchor_key_of(const char *type, const scim_id *first)
{
    bytes key = record_key_of(type, first);

    key.at[0] = 'a';
    return key;
}

static void run_miscounted(void)
{
    set_counter(anchor_key_of("User", &world.bob), 5);
}

static void run_divided(void)
{
    set_counter(anchor_key_of("User", &world.alice), 1);
}

static void run_gone(void)
{
    drop_row(anchor_key_of("User", &world.bob));
}

static void run_cut(void)
{
    write_row(anchor_key_of("User", &world.bob), "1", 1, false);
}

static void brake_altered(void)
{
    bytes key = key_of('c', fix.tenant.number);

    add_bytes(&key, "D", 1);
    write_row(key, "\0\0\0\0\0\0\0\1\0\0\0\1\0", 13, true);
    assert_found("");
    alter_row(key);
}

static void secret_altered(void)
{
    alter_row(ids_key('p', &world.alice, NULL));
}

static void secret_of_nobody(void)
{
    write_row(ids_key('p', &(scim_id){{9}}, NULL), "\1\0\0\0\0\0\0\0\1$2y$", 13, true);
}

static void secret_unreadable(void)
{
    write_row(ids_key('p', &world.alice, NULL), "\7\0\0\0\0\0\0\0\1$2y$", 13, true);
}

static void pending_there(void)
{
    write_row(ids_key('q', &world.staff, NULL), "\1\0\0\0\0\0\0\0\0", 9, true);
}

static void pending_altered(void)
{
    write_row(ids_key('q', &(scim_id){{9}}, NULL), "12345678\1\0\0\0\0\0\0\0\0", 17, false);
}

static void pending_unreadable(void)
{
    write_row(ids_key('q', &(scim_id){{9}}, NULL), "\x9\0\0\0\0\0\0\0\0", 9, true);
}

static void tenant_altered(void)
{
    alter_row(text_key("tbeta"));
}

static void tenant_gone(void)
{
    drop_row(text_key("tacme"));
}

static void tenant_unreadable(void)
{
    scim_slice value = value_of(text_key("tbeta"));

    write_row(text_key("tbeta"), (const char *)value.data + 8, value.len - 8 - 1, true);
}

static void tenant_twice(void)
{
    scim_slice value = value_of(text_key("tacme"));

    write_row(text_key("tzeta"), (const char *)value.data + 8, value.len - 8, true);
}

static void token_altered(void)
{
    alter_row(token_key_of());
}

static void token_cut(void)
{
    write_row(token_key_of(), "short", 5, true);
}

static void token_of_nobody(void)
{
    scim_slice value = value_of(token_key_of());
    unsigned char *copy = apr_pmemdup(fix.pool, value.data, value.len);

    copy[8 + 3] = 77; /* the tenant's number */
    write_row(token_key_of(), copy + 8, value.len - 8, true);
}

static void system_altered(void)
{
    alter_row(text_key("sinstance"));
}

static void type_altered(void)
{
    alter_row(text_key("stype/Thing"));
}

static void endpoints_unreadable(void)
{
    write_row(text_key("sendpoints"), "{}", 2, true);
}

static void policy_unreadable(void)
{
    write_row(text_key("spolicy"), "\7", 1, true);
}

static void number_unreadable(void)
{
    write_row(text_key("sindex/i/Car/wheels"), "\1\2\3", 3, true);
}

static void no_table(void)
{
    write_row(text_key("zebra"), "x", 1, false);
}

static void short_keys(void)
{
    write_row(text_key("r12"), "x", 1, false);
    write_row(key_of('m', fix.tenant.number), "x", 1, false);
    write_row(key_of('r', fix.tenant.number), "x", 1, false);
    write_row(key_of('i', fix.tenant.number), "x", 1, false);
    write_row(key_of('q', fix.tenant.number), "x", 1, false);
}

#define WAS_ALTERED "the value was altered: its seal does not hold\n"
#define NOT_READ "the value cannot be read\n"
#define NO_KEY "the key is none of its table\n"

static const struct {
    const char *name;
    void (*act)(void);
    const char *expected;
} damages[] = {
    {"a record is altered", record_altered, "resource acme User alice: " WAS_ALTERED},
    {"a record is cut", record_cut, "resource acme User alice: " NOT_READ},
    {"a record is no JSON", record_no_json,
     "resource acme User alice: its JSON cannot be parsed\n"},
    {"a record does not begin with its schemas", record_schemas_later,
     "resource acme User alice: its JSON does not begin with its schemas\n"},
    {"an active user is marked inactive", record_flag,
     "resource acme User alice: it is marked active, or inactive, other than its JSON says\n"},
    {"a user is marked with another name", record_display_wrong,
     "resource acme User alice: it is marked with another name than its JSON says\n"},
    {"a user is gone", record_gone,
     "anchor acme bob: it says 2, and there are 1\n"
     "counter acme User: it says 2, and there are 1\n"
     "index acme User alice emails.value: it leads to a resource that is not there\n"
     "index acme User alice externalId: it leads to a resource that is not there\n"
     "index acme User alice userName: it leads to a resource that is not there\n"
     "member acme alice: the member is not there\n"
     "refers acme User alice " SCIM_URN_ENTERPRISE
     ":manager: it leads to a resource that is not there\n"
     "secret acme alice: the user of this password is not there\n"},
    {"a record of no type", record_of_no_type,
     "anchor acme: no row counts the first resources of the type\n"
     "counter acme: it says 0, and there are 1\n"
     "resource acme bob: its type has a number that no type has\n"},
    {"a group is gone", group_gone,
     "anchor acme staff: it says 2, and there are 1\n"
     "counter acme Group: it says 2, and there are 1\n"
     "counter acme staff: the group that it counts for is not there\n"
     "counter acme staff: the group that it counts for is not there\n"
     "counter acme staff: the group that it counts for is not there\n"
     "index acme Group staff displayName: it leads to a resource that is not there\n"
     "member acme staff: the group of these members is not there\n"
     "member acme staff: the member is not there\n"},
    {"a group is gone that has members to follow it", group_pending,
     "anchor acme staff: it says 2, and there are 1\n"
     "counter acme Group: it says 2, and there are 1\n"
     "counter acme staff: the group that it counts for is not there\n"
     "counter acme staff: the group that it counts for is not there\n"
     "counter acme staff: the group that it counts for is not there\n"
     "index acme Group staff displayName: it leads to a resource that is not there\n"
     "member acme staff: the member is not there\n"},
    {"a unique value is gone", unique_gone,
     "index acme User alice userName: the row that the resource has here is missing\n"},
    {"a unique value is altered", unique_altered, "index acme User userName: " WAS_ALTERED},
    {"a unique value is cut", unique_cut, "index acme User userName: " NOT_READ},
    {"a unique value is another's", unique_of_another,
     "index acme User alice userName: the value that must be unique is another resource's\n"
     "index acme User bob userName: it leads to a resource that has another value\n"},
    {"a unique value too many", unique_added,
     "index acme User bob userName: it leads to a resource that has another value\n"},
    {"a row of an index is gone", index_gone,
     "index acme User alice emails.value: the row that the resource has here is missing\n"},
    {"a row of an index too many", index_added,
     "index acme User alice externalId: it leads to a resource that has another value\n"},
    {"a row of an index of nobody", index_of_nobody,
     "index acme User 01000000-0000-0000-0000-000000000000 externalId: it leads to a resource "
     "that is not there\n"},
    {"a row of an index has a value", index_not_empty, "index acme: " WAS_ALTERED},
    {"a row of no index", index_of_no_number,
     "index acme alice: its index has a number that no index has\n"},
    {"a row without a value in a unique index", index_ordered_for_unique,
     "index acme User alice userName: its index has rows of another kind\n"},
    {"a row with a value in another index", index_unique_for_ordered,
     "index acme User alice externalId: its index has rows of another kind\n"},
    {"a reference is gone", refers_gone,
     "refers acme User alice " SCIM_URN_ENTERPRISE
     ":manager: the row that the resource has here is missing\n"},
    {"a reference too many", refers_added,
     "refers acme User alice " SCIM_URN_ENTERPRISE
     ":manager: it leads to a resource that has another value\n"},
    {"a member is gone", member_gone,
     "counter acme Group staff: it says 2, and there are 1\n"
     "member_of acme alice: the group does not have this member\n"},
    {"the only member is gone", only_member_gone,
     "counter acme Group outer: it says 1, and there are 0\n"
     "member_of acme staff: the group does not have this member\n"},
    {"a member is altered", member_altered, "member acme alice: " WAS_ALTERED},
    {"a member is cut", member_cut, "member acme alice: " NOT_READ},
    {"the text of a member is cut", member_text_cut, "member acme alice: " NOT_READ},
    {"the display of a member is no text", member_display_spoilt,
     "member acme alice: " NOT_READ},
    {"a member of another type", member_type_wrong,
     "member acme User alice: the member is of another type than it is marked with\n"},
    {"a member that is marked unknown", member_type_none,
     "member acme User alice: the member is of another type than it is marked with\n"},
    {"a membership is gone", member_of_gone,
     "member acme alice: the member does not have this group\n"},
    {"a membership too many", member_of_added,
     "member_of acme alice: the group does not have this member\n"},
    {"a membership has a value", member_of_not_empty,
     "member_of acme alice: the value is not empty\n"},
    {"resources are counted wrong", resources_miscounted,
     "counter acme User: it says 7, and there are 2\n"},
    {"resources are not counted", resources_not_counted,
     "counter acme Thing: it says 0, and there are 1\n"},
    {"members are counted wrong", members_miscounted,
     "counter acme Group staff: it says 1, and there are 2\n"},
    {"members are not counted", members_not_counted,
     "counter acme Group staff: it says 0, and there are 2\n"},
    {"a counter of no group", counter_of_no_group,
     "counter acme 09000000-0000-0000-0000-000000000000: the group that it counts for is not "
     "there\n"
     "counter acme thing: the group that it counts for is not there\n"},
    {"a counter is cut", counter_cut, "counter acme staff: " NOT_READ},
    {"a counter of nothing", counter_unknown, "counter acme: " NO_KEY},
    {"a run is counted wrong", run_miscounted, "anchor acme bob: it says 5, and there are 2\n"},
    {"a run in another", run_divided, "anchor acme bob: it says 2, and there are 1\n"},
    {"no run is the first", run_gone,
     "anchor acme User: no row counts the first resources of the type\n"},
    {"a run is cut", run_cut, "anchor acme: " NOT_READ},
    {"a brake is altered", brake_altered, "counter acme: " WAS_ALTERED},
    {"a password is altered", secret_altered, "secret acme User alice: " WAS_ALTERED},
    {"a password of another version", secret_unreadable, "secret acme User alice: " NOT_READ},
    {"a password of nobody", secret_of_nobody,
     "secret acme 09000000-0000-0000-0000-000000000000: the user of this password is not "
     "there\n"},
    {"a group is there and gone", pending_there,
     "pending acme Group staff: the group that is to be gone is there\n"},
    {"what is pending is altered", pending_altered,
     "pending acme 09000000-0000-0000-0000-000000000000: " WAS_ALTERED},
    {"what is pending is unknown", pending_unreadable,
     "pending acme 09000000-0000-0000-0000-000000000000: " NOT_READ},
    {"a tenant is altered", tenant_altered, "tenant beta: " WAS_ALTERED},
    {"a tenant is cut", tenant_unreadable, "tenant beta: " NOT_READ},
    {"a tenant is gone", tenant_gone,
     "anchor number 1: it belongs to a tenant that is not there, as others may\n"
     "token acme HINT: its tenant is not there\n"},
    {"two tenants of one number", tenant_twice,
     "tenant zeta: it has the number of tenant acme\n"},
    {"a token is altered", token_altered, "token: " WAS_ALTERED},
    {"a token is cut", token_cut, "token: " NOT_READ},
    {"a token of another tenant", token_of_nobody,
     "token acme HINT: its tenant is not there\n"},
    {"a row of the system is altered", system_altered, "system instance: " WAS_ALTERED},
    {"a type is altered", type_altered, "system type/Thing: " WAS_ALTERED},
    {"endpoints that are none", endpoints_unreadable, "system endpoints: " NOT_READ},
    {"a policy that is none", policy_unreadable, "system policy: " NOT_READ},
    {"a number that is none", number_unreadable, "system index/i/Car/wheels: " NOT_READ},
    {"a row of no table", no_table, "unknown: a row of no table\n"},
    {"keys that are cut", short_keys,
     "index acme: " NO_KEY "member acme: " NO_KEY "pending acme: " NO_KEY
     "resource acme: " NO_KEY "resource: " NO_KEY},
};

static row *copy_of(const apr_array_header_t *rows, int i)
{
    return &APR_ARRAY_IDX(rows, i, row);
}

static scim_kv_rc restore_in_update(scim_kv_txn *txn, void *baton)
{
    apr_array_header_t *const *dumps = baton;
    int which, i;

    for (which = 0; which < 2; which++) {
        for (i = 0; i < dumps[which]->nelts; i++) {
            const row *r = copy_of(dumps[which], i);
            scim_kv_rc rc =
                which ? scim_kv_put(txn, r->key, r->value, false) : scim_kv_del(txn, r->key);

            if (rc != SCIM_KV_OK) {
                return rc;
            }
        }
    }
    return SCIM_KV_OK;
}

/* Brings the store back to what a dump has. */
static void restore(apr_array_header_t *to)
{
    apr_array_header_t *dumps[2] = {dump(fix.pool), to};

    assert_int_equal(
        scim_kv_update_exclusive(scim_store_kv(fix.store), restore_in_update, dumps),
        SCIM_KV_OK);
    assert_true(same_dump(to, dump(fix.pool)));
}

static const char *hint_of_token(void)
{
    return apr_pstrmemdup(fix.pool, (const char *)value_of(token_key_of()).data + 8 + 29, 4);
}

static void test_damage(void **state)
{
    const char *token;
    apr_array_header_t *whole;
    size_t i;

    make_world();
    whole = dump(fix.pool);
    token = fmt("entra, the token that ends in %s", hint_of_token());
    for (i = 0; i < COUNT(damages); i++) {
        scim_verification sum;
        const char *found, *expected = replaced(damages[i].expected, "HINT", token, fix.pool);

        damages[i].act();
        found = verify_of(NULL, &sum);
        if (strcmp(found, expected)) {
            fail_msg("%s:\nfound:\n%s\nexpected:\n%s", damages[i].name, found, expected);
        }
        restore(whole);
        assert_found("");
    }
}

/* Clean stores */

static void test_new(void **state)
{
    scim_verification sum;

    assert_string_equal(verify_of(NULL, &sum), "");
    assert_int_equal(sum.rows, dump(fix.pool)->nelts);
    assert_int_equal(sum.resources, 0);
}

static void test_world(void **state)
{
    scim_verification sum;

    make_world();
    assert_string_equal(verify_of(NULL, &sum), "");
    assert_int_equal(sum.rows, dump(fix.pool)->nelts);
    assert_int_equal(sum.resources, 6);
    assert_int_equal(sum.memberships, 3);
    assert_int_equal(sum.unchecked, 0);
    assert_int_equal(sum.pending, 0);
}

static void test_one_tenant(void **state)
{
    scim_verify_watcher watcher = {note_finding, NULL, NULL};
    scim_verification sum;

    make_world();
    assert_string_equal(verify_of("acme", &sum), "");
    assert_int_equal(sum.resources, 5);
    assert_int_equal(sum.memberships, 3);
    assert_string_equal(verify_of("beta", &sum), "");
    assert_int_equal(sum.resources, 1);
    assert_code(scim_verify(&sum, fix.store, "nix", &watcher, fix.pool), SCIM_E_NOT_FOUND,
                "nix");
    unique_gone();
    resources_not_counted();
    token_of_nobody();
    assert_string_equal(verify_of("beta", &sum), "");
    assert_string_equal(
        verify_of("acme", &sum),
        fmt("counter acme Thing: it says 0, and there are 1\n"
            "index acme User alice userName: the row that the resource has here is missing\n"
            "token acme entra, the token that ends in %s: its tenant is not there\n",
            hint_of_token()));
}

/* More members than one transaction takes. */
static scim_id make_crowd(void)
{
    const char *members = "";
    scim_change change;
    int i;

    for (i = 0; i < 250; i++) {
        scim_id id;

        assert_no_error(post(&change, "User", fmt("{'userName':'u%d','active':true}", i)));
        id = change.record.id;
        members = fmt("%s%s{'value':'%s'}", members, i ? "," : "", text_of(&id));
    }
    assert_no_error(
        post(&change, "Group", fmt("{'displayName':'crowd','members':[%s]}", members)));
    return change.record.id;
}

static void test_pending(void **state)
{
    scim_verification sum;
    scim_id crowd = make_crowd();

    assert_string_equal(verify_of(NULL, &sum), "");
    assert_int_equal(sum.memberships, 250);
    assert_no_error(del("Group", &crowd));
    assert_string_equal(verify_of(NULL, &sum), "");
    assert_int_equal(sum.memberships, 250);
    assert_int_equal(sum.pending, 1);
}

/* References and members that lead nowhere are allowed where the policy, or the
 * profile, says so. */
static void test_dangling(void **state)
{
    scim_change change;

    fix.lenient = fix.dangling = true;
    fix.tenant.policy.dangling_references = true;
    assert_no_error(
        post(&change, "Group", "{'displayName':'g','members':[{'value':'" NOBODY "'}]}"));
    assert_no_error(
        post(&change, "User", "{'userName':'u','@EU':{'manager':{'value':'" NOBODY "'}}}"));
    assert_found("");
}

/* As scimctl has it, which reads no schemas of the organisation. */
static void test_other_registry(void **state)
{
    const scim_registry *own;
    scim_store *store, *whole = fix.store;
    scim_store_options options = fix.options;
    scim_verification sum;

    make_world();
    assert_no_error(scim_registry_make(&own, fix.pool));
    options.registry = own;
    assert_no_error(scim_store_open(&store, fix.url, &options, fix.pool));
    fix.store = store;
    assert_string_equal(verify_of(NULL, &sum), "");
    /* the thing, and the rows that it has */
    assert_int_equal(sum.unchecked, 2);
    unique_gone();
    assert_found("index acme User alice userName: the row that the resource has here is "
                 "missing\n");
    scim_store_close(store);
    fix.store = whole;
}

/* While others write */

static void *write_a_lot(void *stop)
{
    apr_pool_t *pool = make_pool();
    int i;

    for (i = 0; !__atomic_load_n((bool *)stop, __ATOMIC_ACQUIRE); i++) {
        apr_pool_t *own;
        scim_change user, group;
        const char *text;

        apr_pool_create(&own, pool);
        text = apr_psprintf(own, "{'userName':'w%d','externalId':'e%d'}", i, i % 7);
        assert_null(post_as(&user, &fix.tenant, "User", text, apr_time_now(), own));
        text = apr_psprintf(own, "{'displayName':'g%d','members':[{'value':'%s'}]}", i,
                            scim_id_format(&user.record.id, apr_palloc(own, SCIM_ID_TEXT + 1)));
        assert_null(post_as(&group, &fix.tenant, "Group", text, apr_time_now(), own));
        if (i % 3) {
            assert_null(
                del_as(&fix.tenant, "User", &user.record.id, NULL, apr_time_now(), own));
        }
        if (i % 2) {
            assert_null(
                del_as(&fix.tenant, "Group", &group.record.id, NULL, apr_time_now(), own));
        }
        apr_pool_destroy(own);
    }
    apr_pool_destroy(pool);
    return NULL;
}

/* Making anew what follows from records */

#define MENDED 30 /* of the damages */

static const char *reindex_of(const char *tenant, scim_reindexed *sum)
{
    finds f = {apr_array_make(fix.pool, 8, sizeof(const char *))};
    scim_reindex_watcher watcher = {note_finding, NULL, &f};

    assert_no_error(scim_reindex(sum, fix.store, tenant, &watcher, fix.pool));
    assert_int_equal(sum->findings, f.lines->nelts);
    qsort(f.lines->elts, (size_t)f.lines->nelts, sizeof(const char *), by_text);
    return apr_array_pstrcat(fix.pool, f.lines, '\0');
}

/* Whether all that is found is of what follows from records and memberships. */
static bool is_derived(const char *findings)
{
    static const char *const tables[] = {"index ", "refers ", "member_of ", "anchor ",
                                         "counter "};
    bool derived = true;
    size_t i;

    /* Those of a member that lacks its other side stand with the member. */
    findings = replaced(findings, "member acme alice: the member does not have this group\n",
                        "", fix.pool);
    while (*findings && derived) {
        derived = false;
        for (i = 0; i < COUNT(tables); i++) {
            derived = derived || !strncmp(findings, tables[i], strlen(tables[i]));
        }
        findings = strchr(findings, '\n') + 1;
    }
    return derived;
}

static void assert_content(const char *name)
{
    scim_reindexed sum;

    assert_string_equal(reindex_of(NULL, &sum), "");
    if (sum.added + sum.removed + sum.counters) {
        fail_msg("%s: something was left to the second time", name);
    }
}

/* All that follows from records is right again; of other damage nothing is made worse. */
static void test_mended(void **state)
{
    apr_array_header_t *whole;
    int mended = 0;
    size_t i;

    make_world();
    assert_content("a store that is whole");
    whole = dump(fix.pool);
    for (i = 0; i < COUNT(damages); i++) {
        scim_verification before, after;
        scim_reindexed sum;
        const char *found;

        damages[i].act();
        found = verify_of(NULL, &before);
        if (strstr(found, "tenant ") == found || damages[i].act == tenant_gone) {
            restore(whole);
            continue; /* whose rows they are is not known */
        }
        if (is_derived(found) && damages[i].act != brake_altered) {
            assert_string_equal(reindex_of(NULL, &sum), "");
            found = verify_of(NULL, &after);
            if (*found) {
                fail_msg("%s is left:\n%s", damages[i].name, found);
            }
            assert_content(damages[i].name);
            mended++;
        } else {
            reindex_of(NULL, &sum);
            verify_of(NULL, &after);
            assert_true(after.findings <= before.findings);
        }
        restore(whole);
    }
    assert_int_equal(mended, MENDED);
}

/* Two records that say the same of what must be unique. */
static void test_conflict(void **state)
{
    scim_slice value;
    scim_reindexed sum;

    make_world();
    value = value_of(record_key_of("User", &world.alice));
    write_row(record_key_of("User", &world.bob), (const char *)value.data + 8, value.len - 8,
              true);
    assert_string_equal(
        reindex_of(NULL, &sum),
        "index acme User bob userName: another resource has this value, which must be unique: "
        "change one of them\n");
    assert_int_equal(sum.added, 3);   /* externalId, emails, manager */
    assert_int_equal(sum.removed, 1); /* the userName that bob had */
    /* What the second takes away with it is the first one's. */
    assert_no_error(del("User", &world.bob));
    assert_string_equal(reindex_of(NULL, &sum), "");
    assert_int_equal(sum.added, 1);
    assert_content("without the second");
    assert_found("");
}

static scim_kv_rc drop_in_update(scim_kv_txn *txn, void *prefix)
{
    const bytes *from = prefix;
    scim_kv_cursor *cursor = scim_kv_cursor_open(txn);
    scim_slice key;
    scim_kv_rc rc;

    for (rc = scim_kv_seek(cursor, (scim_slice){from->at, from->len}, &key, NULL);
         rc == SCIM_KV_OK && key.len >= from->len && !memcmp(key.data, from->at, from->len);
         rc = scim_kv_next(cursor, &key, NULL)) {
        bytes copy = {.len = 0};

        add_bytes(&copy, key.data, key.len);
        assert_int_equal(scim_kv_del(txn, (scim_slice){copy.at, copy.len}), SCIM_KV_OK);
    }
    return rc == SCIM_KV_NOTFOUND ? SCIM_KV_OK : rc;
}

/* Takes away all rows of a table that acme has. */
static void drop_table(char table)
{
    bytes prefix = key_of(table, fix.tenant.number);

    assert_int_equal(
        scim_kv_update_exclusive(scim_store_kv(fix.store), drop_in_update, &prefix),
        SCIM_KV_OK);
}

/* More of everything than one step takes, and nothing left of all that can be made. */
static void test_from_nothing(void **state)
{
    static const char tables[] = "ifoac";
    apr_array_header_t *whole;
    scim_reindexed sum;
    const char *at;
    scim_id crowd;
    int i;

    make_world();
    crowd = make_crowd();
    for (i = 0; i < 2100; i++) {
        made("Thing", fmt("{'name':'t%d','size':%d}", i, i));
    }
    whole = dump(fix.pool);
    for (at = tables; *at; at++) {
        drop_table(*at);
    }
    assert_string_equal(reindex_of("beta", &sum), "");
    assert_int_equal(sum.added, 0);
    assert_string_equal(reindex_of("acme", &sum), "");
    assert_int_equal(sum.removed, 0);
    assert_found("");
    assert_content("all of it");
    assert_int_equal(members_of(&crowd)->nelts, 250);
    /* But for how often memberships changed, and when, which nothing tells. */
    assert_int_equal(dump(fix.pool)->nelts, whole->nelts - 2 * 3);
}

/* Indexes that were made by other tables of Unicode. */
static void test_other_unicode(void **state)
{
    scim_store_options options = fix.options;
    scim_store *store;
    scim_reindexed sum;
    finds f = {apr_array_make(fix.pool, 8, sizeof(const char *))};
    scim_reindex_watcher watcher = {note_finding, NULL, &f};
    const scim_error *err;
    bytes alice = value_key('u', "User/userName", "alice");

    make_world();
    write_row(text_key("sunicode"), "1.1", 3, true);
    drop_row(alice);
    scim_store_close(fix.store);
    err = scim_store_open(&store, fix.url, &options, fix.pool);
    assert_non_null(err);
    assert_non_null(strstr(err->cause, "reindex"));
    options.any_unicode = true;
    assert_no_error(scim_store_open(&store, fix.url, &options, fix.pool));
    assert_true(scim_store_other_unicode(store));
    assert_no_error(scim_reindex(&sum, store, NULL, &watcher, fix.pool));
    assert_int_equal(sum.added, 1);
    assert_no_error(scim_store_adopt_unicode(store, fix.pool));
    assert_false(scim_store_other_unicode(store));
    scim_store_close(store);
    open_store();
    assert_found("");
}

static void test_beside_writers(void **state)
{
    bool stop = false;
    pthread_t writer;
    int i, views = 0;

    make_crowd();
    assert_int_equal(pthread_create(&writer, NULL, write_a_lot, &stop), 0);
    for (i = 0; i < 20; i++) {
        scim_verification sum;
        scim_reindexed mended;
        const char *found = verify_of(NULL, &sum);

        found = apr_pstrcat(fix.pool, found, reindex_of(NULL, &mended), NULL);
        assert_int_equal(mended.added + mended.removed + mended.counters, 0);
        views += sum.rows > 500;
        if (*found) {
            __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
            pthread_join(writer, NULL);
            fail_msg("%s", found);
        }
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(writer, NULL);
    assert_int_equal(views, 20);
    assert_found("");
    invariants();
}

int main(void)
{
    static const store_test table[] = {
        {"a new store is clean", test_new, EACH},
        {"a store with one of everything is clean", test_world, EACH},
        {"one tenant of several", test_one_tenant, EACH},
        {"a group whose members are still to follow is clean", test_pending, EACH},
        {"what leads nowhere, where it may, is clean", test_dangling, EACH},
        {"what the registry does not know is not checked", test_other_registry, KEPT},
        {"what follows from records is made anew", test_mended, MEMORY},
        {"two resources with a value that must be unique", test_conflict, EACH},
        {"of nothing but records and members", test_from_nothing, MEMORY},
        {"of other tables of Unicode", test_other_unicode, KEPT},
        {"each kind of damage is found, and nothing else", test_damage, EACH},
        {"what others write meanwhile is no finding", test_beside_writers, KEPT},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
