/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests, and a directory that is nothing but a list: status, scimType
 * and version of each answer are what the list says, and at the end the store
 * holds what the list holds, on all engines byte for byte the same.
 *
 * SEED and N set the random numbers and how many requests there are; LONG=1 makes
 * them a million.
 */
#include <stdio.h>

#include "store_service.h"

#define USER_SLOTS 24
#define GROUP_SLOTS 12
#define SLOTS (USER_SLOTS + GROUP_SLOTS)
#define NAMES 30
#define MEMBERS_MAX (SLOTS + 8)
#define BULK_MAX 6

/* A resource that is there, or was.  Number 0 is one that never was. */
typedef struct entity {
    bool there;
    bool group;
    char id[SCIM_ID_TEXT + 1];
    int name;    /* 2 * n, 2 * n + 1: the same in capitals */
    int title;   /* 0: none */
    int active;  /* 0: not said, 1: true, 2: false */
    int manager; /* an entity; -1: none */
    apr_uint64_t version;
    int *members; /* entities, in no order */
    int members_count;
} entity;

/* What a PUT or POST says. */
typedef struct said {
    int name, title, active, manager;
    int members[MEMBERS_MAX];
    int members_count;
} said;

/* What must be answered. */
typedef struct expected {
    int status;
    const char *type; /* scimType */
    apr_uint64_t version;
} expected;

static struct {
    apr_uint64_t random;
    entity *entities;
    int count, room;
    int slots[SLOTS]; /* the entity that was made there last */
    bool unique, dangling;
    apr_pool_t *pool;    /* of a request */
    apr_hash_t *numbers; /* id -> entity, as long as it is in a slot or another refers to it */
    XXH3_state_t *digest;
    int done;
} model_;

#define M model_

static unsigned int roll(unsigned int sides)
{
    M.random ^= M.random << 13;
    M.random ^= M.random >> 7;
    M.random ^= M.random << 17;
    return (unsigned int)(M.random >> 33) % sides;
}

static entity *at(int number)
{
    return &M.entities[number];
}

/* The list */

static int new_entity(bool group)
{
    if (M.count == M.room) {
        M.room = M.room ? 2 * M.room : 1000;
        M.entities = realloc(M.entities, sizeof(entity) * (size_t)M.room);
    }
    memset(at(M.count), 0, sizeof(entity));
    at(M.count)->group = group;
    at(M.count)->manager = -1;
    return M.count++;
}

static int any_slot(bool group)
{
    return M.slots[group ? USER_SLOTS + (int)roll(GROUP_SLOTS) : (int)roll(USER_SLOTS)];
}

/* Mostly one that is there, else one that was, or never was. */
static int any_target(void)
{
    int number = roll(20) ? any_slot(!roll(4)) : 0;

    return at(number)->version ? number : 0;
}

static int find_in(const int *list, int count, int number)
{
    int i;

    for (i = 0; i < count && list[i] != number; i++) {
    }
    return i < count ? i : -1;
}

static bool has_member(const entity *group, int number)
{
    return find_in(group->members, group->members_count, number) >= 0;
}

/* Whether another has this name, whatever its case. */
static bool name_taken(bool group, int name, int but)
{
    int s;

    for (s = group ? USER_SLOTS : 0; s < (group ? SLOTS : USER_SLOTS); s++) {
        const entity *other = at(M.slots[s]);

        if (M.slots[s] != but && other->there && other->name / 2 == name / 2) {
            return true;
        }
    }
    return false;
}

static bool is_user(int number)
{
    return at(number)->there && !at(number)->group;
}

static bool manager_allowed(int manager, int before)
{
    return manager < 0 || is_user(manager) || manager == before || wire.lenient || M.dangling;
}

static void set_members(entity *group, const int *members, int count)
{
    free(group->members);
    group->members = malloc(sizeof(int) * (size_t)(count + 1));
    if (count) {
        memcpy(group->members, members, sizeof(int) * (size_t)count);
    }
    group->members_count = count;
}

static bool same_members(const entity *group, const int *members, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (!has_member(group, members[i])) {
            return false;
        }
    }
    return count == group->members_count;
}

static void leave_groups(int number)
{
    int s;

    for (s = USER_SLOTS; s < SLOTS; s++) {
        entity *group = at(M.slots[s]);
        int found = find_in(group->members, group->members_count, number);

        if (group->there && found >= 0) {
            group->members[found] = group->members[--group->members_count];
            group->version++;
        }
    }
}

static void lose_manager(int number)
{
    int s;

    for (s = 0; s < USER_SLOTS; s++) {
        entity *user = at(M.slots[s]);

        if (user->there && user->manager == number) {
            user->manager = -1;
            user->version++;
        }
    }
}

static void forget(int number)
{
    entity *e = at(number);

    e->there = false;
    leave_groups(number);
    lose_manager(number);
    set_members(e, NULL, 0);
}

/* What the list answers */

static const expected refused_value = {400, "invalidValue", 0};
static const expected refused_name = {409, "uniqueness", 0};

/* A group's members that are to be there may be there. */
static bool members_allowed(const entity *group, int self, const int *members, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (members[i] == self || (!at(members[i])->there && !M.dangling &&
                                   !(group && has_member(group, members[i])))) {
            return false;
        }
    }
    return true;
}

static expected expect_create(const said *what, bool group, int number)
{
    entity *e;

    if (group ? !members_allowed(NULL, -1, what->members, what->members_count)
              : !manager_allowed(what->manager, -1)) {
        return refused_value;
    }
    if ((!group || M.unique) && name_taken(group, what->name, -1)) {
        return refused_name;
    }
    e = at(number);
    e->there = true;
    e->name = what->name;
    e->title = what->title;
    e->active = what->active;
    e->manager = what->manager;
    e->version = group && what->members_count > 0 ? 2 : 1;
    set_members(e, what->members, what->members_count);
    return (expected){201, NULL, e->version};
}

static expected expect_change(int number, const said *what)
{
    entity *e = at(number);
    bool same = e->name == what->name && e->title == what->title && e->active == what->active &&
                e->manager == what->manager;
    bool same_list = same_members(e, what->members, what->members_count);

    if (e->group ? !members_allowed(e, number, what->members, what->members_count)
                 : !manager_allowed(what->manager, e->manager)) {
        return refused_value;
    }
    if ((!e->group || M.unique) && e->name / 2 != what->name / 2 &&
        name_taken(e->group, what->name, number)) {
        return refused_name;
    }
    e->name = what->name;
    e->title = what->title;
    e->active = what->active;
    e->manager = what->manager;
    if (!same_list) {
        set_members(e, what->members, what->members_count);
    }
    e->version += (apr_uint64_t)!same + (apr_uint64_t)!same_list;
    return (expected){200, NULL, e->version};
}

/* Requests as text */

static const char *name_of(int name)
{
    return apr_psprintf(M.pool, name % 2 ? "N\xc3\x84ME%d" : "n\xc3\xa4me%d", name / 2);
}

static const char *id_of(int number)
{
    return number ? at(number)->id : NOBODY;
}

static said random_said(bool group)
{
    said s = {.name = (int)roll(2 * NAMES), .manager = -1};
    int i, count = group ? (int)roll(5) : 0;

    if (!group) {
        s.title = (int)roll(3);
        s.active = (int)roll(3);
        s.manager = roll(3) ? -1 : any_target();
    }
    for (i = 0; i < count; i++) {
        int member = any_target();

        if (find_in(s.members, s.members_count, member) < 0) {
            s.members[s.members_count++] = member;
        }
    }
    return s;
}

static const char *member_list(const int *members, int count)
{
    const char *text = "";
    int i;

    for (i = 0; i < count; i++) {
        text = apr_pstrcat(M.pool, text, i ? "," : "", "{\"value\":\"", id_of(members[i]),
                           "\"}", NULL);
    }
    return text;
}

static const char *user_text(const said *s)
{
    static const char *const actives[] = {"", ",\"active\":true", ",\"active\":false"};
    const char *title = s->title ? apr_psprintf(M.pool, ",\"title\":\"t%d\"", s->title) : "";
    const char *manager =
        s->manager < 0
            ? ""
            : apr_pstrcat(M.pool, ",\"" SCIM_URN_ENTERPRISE "\":{\"manager\":{\"value\":\"",
                          id_of(s->manager), "\"}}", NULL);

    return apr_pstrcat(M.pool, "{\"schemas\":[\"" SCIM_URN_USER "\"",
                       s->manager < 0 ? "" : ",\"" SCIM_URN_ENTERPRISE "\"",
                       "],\"userName\":\"", name_of(s->name), "\"", title, actives[s->active],
                       manager, "}", NULL);
}

static const char *group_text(const said *s)
{
    return apr_pstrcat(M.pool, "{" GROUP_SCHEMAS ",\"displayName\":\"", name_of(s->name),
                       "\",\"members\":[", member_list(s->members, s->members_count), "]}",
                       NULL);
}

static const char *text_of_said(const said *s, bool group)
{
    return group ? group_text(s) : user_text(s);
}

static const char *url_of(int number)
{
    return apr_pstrcat(M.pool, at(number)->group ? "/Groups/" : "/Users/", id_of(number), NULL);
}

/* PATCH: a step is what it sets of what a PUT says */

typedef enum step_kind {
    SET_NAME,
    SET_TITLE,
    SET_ACTIVE,
    SET_MANAGER,
    SET_MEMBERS,
    ADD_MEMBERS,
    REMOVE_MEMBER,
    REMOVE_MEMBER_WHERE
} step_kind;

typedef struct step {
    step_kind kind;
    said to;
} step;

static step random_step(bool group)
{
    static const step_kind of_user[] = {SET_NAME,   SET_TITLE,   SET_TITLE,
                                        SET_ACTIVE, SET_MANAGER, SET_MANAGER};
    static const step_kind of_group[] = {SET_NAME,           SET_MEMBERS, ADD_MEMBERS,
                                         ADD_MEMBERS,        ADD_MEMBERS, REMOVE_MEMBER,
                                         REMOVE_MEMBER_WHERE};
    step out = {group ? of_group[roll(COUNT(of_group))] : of_user[roll(COUNT(of_user))],
                random_said(group)};

    if (out.kind == SET_ACTIVE && !out.to.active) {
        out.to.active = 1;
    }
    if (out.kind == REMOVE_MEMBER || out.kind == REMOVE_MEMBER_WHERE) {
        out.to.members[0] = any_target();
        out.to.members_count = 1;
    }
    return out;
}

static void add_said(said *s, int member)
{
    if (find_in(s->members, s->members_count, member) < 0) {
        assert_true(s->members_count < MEMBERS_MAX);
        s->members[s->members_count++] = member;
    }
}

static void take_step(said *s, const step *of)
{
    int i, found;

    switch (of->kind) {
    case SET_NAME:
        s->name = of->to.name;
        break;
    case SET_TITLE:
        s->title = of->to.title;
        break;
    case SET_ACTIVE:
        s->active = of->to.active;
        break;
    case SET_MANAGER:
        s->manager = of->to.manager;
        break;
    case SET_MEMBERS:
        s->members_count = 0;
        /* fall through */
    case ADD_MEMBERS:
        for (i = 0; i < of->to.members_count; i++) {
            add_said(s, of->to.members[i]);
        }
        break;
    default:
        found = find_in(s->members, s->members_count, of->to.members[0]);
        if (found >= 0) {
            s->members[found] = s->members[--s->members_count];
        }
    }
}

#define STEP(op, path, value) "{\"op\":\"" op "\",\"path\":\"" path "\",\"value\":" value "}"
#define GONE(path) "{\"op\":\"remove\",\"path\":\"" path "\"}"
#define MANAGER SCIM_URN_ENTERPRISE ":manager"

static const char *attribute_step(const step *of, bool group)
{
    switch (of->kind) {
    case SET_NAME:
        return apr_psprintf(M.pool, "{\"op\":\"replace\",\"value\":{\"%s\":\"%s\"}}",
                            group ? "displayName" : "userName", name_of(of->to.name));
    case SET_TITLE:
        return of->to.title
                   ? apr_psprintf(M.pool, STEP("replace", "title", "\"t%d\""), of->to.title)
                   : GONE("title");
    case SET_ACTIVE:
        return of->to.active == 1 ? STEP("add", "active", "true")
                                  : STEP("replace", "active", "false");
    default:
        return of->to.manager < 0
                   ? GONE(MANAGER)
                   : apr_psprintf(M.pool, STEP("replace", MANAGER, "{\"value\":\"%s\"}"),
                                  id_of(of->to.manager));
    }
}

static const char *step_text(const step *of, bool group)
{
    const char *list = member_list(of->to.members, of->to.members_count);

    switch (of->kind) {
    case SET_MEMBERS:
        return of->to.members_count
                   ? apr_psprintf(M.pool, STEP("replace", "members", "[%s]"), list)
                   : GONE("members");
    case ADD_MEMBERS:
        return apr_psprintf(M.pool, STEP("add", "members", "[%s]"), list);
    case REMOVE_MEMBER:
        return apr_psprintf(M.pool, STEP("remove", "members", "[%s]"), list);
    case REMOVE_MEMBER_WHERE:
        return apr_psprintf(M.pool, GONE("members[value eq \\\"%s\\\"]"),
                            id_of(of->to.members[0]));
    default:
        return attribute_step(of, group);
    }
}

static said said_of(const entity *e)
{
    said s = {e->name, e->title, e->active, e->manager, {0}, e->members_count};

    if (e->members_count) {
        memcpy(s.members, e->members, sizeof(int) * (size_t)e->members_count);
    }
    return s;
}

/* One operation.  The text is made before what it does is known. */

#define STEPS_MAX 3

typedef struct operation {
    scim_method method;
    bool group;
    int target; /* an entity; of a POST, the one that is made */
    const char *url;
    const char *body;
    const char *if_match;
    said what;             /* of a POST, a PUT */
    int back;              /* in a job: what it names by a bulkId; or 0 */
    step steps[STEPS_MAX]; /* of a PATCH */
    int steps_count;
} operation;

static const char *random_condition(int target)
{
    apr_uint64_t version = at(target)->version;

    switch (roll(10)) {
    case 0:
        return scim_etag_make(version + 1 + roll(2), M.pool);
    case 1:
        return scim_etag_make(version, M.pool);
    case 2:
        return "*";
    default:
        return NULL;
    }
}

static void make_create(operation *op)
{
    op->target = new_entity(op->group);
    op->url = op->group ? "/Groups" : "/Users";
    op->what = random_said(op->group);
    op->body = text_of_said(&op->what, op->group);
}

static void make_patch(operation *op)
{
    const char *text = "";
    int i;

    op->steps_count = 1 + (int)roll(STEPS_MAX);
    for (i = 0; i < op->steps_count; i++) {
        op->steps[i] = random_step(op->group);
        text =
            apr_pstrcat(M.pool, text, i ? "," : "", step_text(&op->steps[i], op->group), NULL);
    }
    op->body = apr_psprintf(M.pool, PATCH_OP("%s"), text);
}

static operation random_operation(void)
{
    operation op = {.group = !roll(3)};
    unsigned int kind = roll(10);

    op.method = kind < 2   ? SCIM_POST
                : kind < 4 ? SCIM_PUT
                : kind < 9 ? SCIM_PATCH
                           : SCIM_DELETE;
    if (op.method == SCIM_POST) {
        make_create(&op);
        return op;
    }
    op.target = any_slot(op.group);
    op.group = at(op.target)->group;
    op.url = url_of(op.target);
    op.if_match = random_condition(op.target);
    if (op.method == SCIM_PUT) {
        op.what = roll(8) ? random_said(op.group) : said_of(at(op.target));
        op.body = text_of_said(&op.what, op.group);
    } else if (op.method == SCIM_PATCH) {
        make_patch(&op);
    }
    return op;
}

/* A PATCH may make its group its own member and undo that: whether it is refused
 * depends on the steps, so such a one is not sent. */
static bool is_clear(const operation *op)
{
    int i;

    for (i = 0; i < op->steps_count; i++) {
        const said *to = &op->steps[i].to;

        if (find_in(to->members, to->members_count, op->target) >= 0) {
            return false;
        }
    }
    return true;
}

static operation next_operation(void)
{
    operation op;
    int count = M.count;

    do {
        M.count = count;
        op = random_operation();
    } while (!is_clear(&op));
    return op;
}

static expected expect(const operation *op)
{
    const entity *e = at(op->target);
    expected out = {204, NULL, 0};
    said what;
    int i;

    if (op->method == SCIM_POST) {
        return expect_create(&op->what, op->group, op->target);
    }
    if (!e->there) {
        return (expected){404, NULL, 0};
    }
    if (op->if_match && !scim_etag_match(op->if_match, e->version)) {
        return (expected){412, NULL, 0};
    }
    if (op->method == SCIM_DELETE) {
        forget(op->target);
        return out;
    }
    what = op->what;
    if (op->method == SCIM_PATCH) {
        what = said_of(e);
        for (i = 0; i < op->steps_count; i++) {
            take_step(&what, &op->steps[i]);
        }
    }
    out = expect_change(op->target, &what);
    if (out.status == 200 && op->method == SCIM_PATCH && op->group) {
        out.status = 204;
    }
    return out;
}

/* The answers */

/* Of a POST, a slot for the entity: who was there before is deleted. */
static void make_room(const operation *op)
{
    int *slot =
        &M.slots[op->group ? USER_SLOTS + op->target % GROUP_SLOTS : op->target % USER_SLOTS];

    if (op->method == SCIM_POST) {
        if (at(*slot)->there) {
            scim_reply reply =
                request_at(SCIM_DELETE, url_of(*slot), NULL, NULL, tick(), M.pool);

            assert_int_equal(reply.status, 204);
            forget(*slot);
        }
        *slot = op->target;
        memcpy(at(op->target)->id, NOBODY, sizeof(NOBODY));
    }
}

static void note_id(int number, const char *id)
{
    assert_int_equal(strlen(id), SCIM_ID_TEXT);
    memcpy(at(number)->id, id, SCIM_ID_TEXT + 1);
    apr_hash_set(M.numbers, apr_pstrdup(apr_hash_pool_get(M.numbers), id), SCIM_ID_TEXT,
                 (void *)(intptr_t)(number + 1));
}

/* The text with numbers for ids: two runs differ in nothing else. */
static void take_text(const char *text)
{
    const char *begin = text;
    scim_id id;

    while (text && *text) {
        char word[SCIM_ID_TEXT + 1] = "";

        strncpy(word, text, SCIM_ID_TEXT);
        if (!scim_id_parse(&id, word)) {
            text++;
            continue;
        }
        XXH3_64bits_update(M.digest, begin, (size_t)(text - begin));
        word[0] = (char)(intptr_t)apr_hash_get(M.numbers, word, SCIM_ID_TEXT);
        XXH3_64bits_update(M.digest, word, 1);
        begin = text += SCIM_ID_TEXT;
    }
    if (begin) {
        XXH3_64bits_update(M.digest, begin, (size_t)(text - begin));
    }
}

/* Of several faults, whichever is met first is told. */
static void drop_details(json_t *json)
{
    const char *key;
    json_t *part;
    size_t i;

    if (json_is_object(json)) {
        json_object_del(json, "detail");
    }
    json_object_foreach (json, key, part) {
        drop_details(part);
    }
    json_array_foreach (json, i, part) {
        drop_details(part);
    }
}

static void take_in(const scim_reply *reply)
{
    json_t *json;
    apr_size_t len;

    if (reply->body) {
        json = scim_json_read_own(reply->body, reply->body_len, M.pool);
        drop_details(json);
        take_text(scim_json_write(json, &len, M.pool));
    }
    take_text(apr_itoa(M.pool, reply->status));
}

static void check_status(const expected *e, int status, const char *type, const char *etag,
                         const char *what, const char *shown)
{
    if (status != e->status || strcmp(type ? type : "", e->type ? e->type : "") ||
        (e->version && strcmp(etag ? etag : "", scim_etag_make(e->version, M.pool)))) {
        fail_msg("request %d: %d %s %s, expected %d %s %s\n%s\n%s", M.done, status,
                 type ? type : "", etag ? etag : "", e->status, e->type ? e->type : "",
                 e->version ? scim_etag_make(e->version, M.pool) : "", what, shown);
    }
}

static void submit(void)
{
    operation op = next_operation();
    scim_reply reply;
    expected e;

    make_room(&op);
    reply = request_at(op.method, op.url, op.if_match, op.body, tick(), M.pool);
    e = expect(&op);
    check_status(&e, reply.status, reply.error ? reply.error->scim_type : NULL, reply.etag,
                 apr_psprintf(M.pool, "%d %s %s %s", op.method, op.url,
                              op.if_match ? op.if_match : "", op.body ? op.body : ""),
                 reply.body ? reply.body : "");
    if (reply.status == 201) {
        note_id(op.target, reply.id);
    }
    take_in(&reply);
}

/* Bulk: as many operations, each as if it came alone.  One that creates can be
 * named by those behind it. */

static const char *bulk_operation(const operation *op, int i)
{
    static const char *const methods[] = {[SCIM_POST] = "POST",
                                          [SCIM_PUT] = "PUT",
                                          [SCIM_PATCH] = "PATCH",
                                          [SCIM_DELETE] = "DELETE"};

    return apr_pstrcat(
        M.pool, "{\"method\":\"", methods[op->method], "\",\"path\":\"", op->url, "\"",
        op->method == SCIM_POST ? apr_psprintf(M.pool, ",\"bulkId\":\"b%d\"", i) : "",
        op->if_match ? apr_psprintf(M.pool, ",\"version\":\"%s\"",
                                    replaced(op->if_match, "\"", "\\\"", M.pool))
                     : "",
        op->body ? ",\"data\":" : "", op->body ? op->body : "", "}", NULL);
}

/* A group that has as its member what an operation before it is to create. */
static void refer_back(operation *op, const operation *before, int i)
{
    static const char list[] = "\"members\":[";
    const char *behind = op->body ? strstr(op->body, list) : NULL;

    if (op->method == SCIM_POST && op->group && before->method == SCIM_POST && behind) {
        behind += strlen(list);
        op->body =
            apr_psprintf(M.pool, "%.*s{\"value\":\"bulkId:b%d\"}%s%s", (int)(behind - op->body),
                         op->body, i, *behind == ']' ? "" : ",", behind);
        add_said(&op->what, before->target);
        op->back = before->target;
    }
}

/* Of a reference to what could not be created the fault is the same as of any
 * other to nothing, whatever the policy. */
static expected expect_in_job(const operation *op)
{
    return op->back && !at(op->back)->there ? refused_value : expect(op);
}

static void check_result(const operation *op, const expected *e, const json_t *result)
{
    const json_t *response = json_object_get(result, "response");
    int status = atoi(scim_json_string(result, "status"));

    check_status(e, status, scim_json_string(response, "scimType"),
                 scim_json_string(result, "version"),
                 apr_psprintf(M.pool, "in a job: %d %s %s %s", op->method, op->url,
                              op->if_match ? op->if_match : "", op->body ? op->body : ""),
                 response ? scim_json_string(response, "detail") : "");
}

static void submit_job(void)
{
    operation ops[BULK_MAX];
    const char *text = "";
    int count = 1 + (int)roll(BULK_MAX), fail = (int)roll(3), errors = 0, i;
    const json_t *results;
    scim_reply reply;

    for (i = 0; i < count; i++) {
        ops[i] = next_operation();
        if (i && !roll(2)) {
            refer_back(&ops[i], &ops[i - 1], i - 1);
        }
        text = apr_pstrcat(M.pool, text, i ? "," : "", bulk_operation(&ops[i], i), NULL);
    }
    for (i = 0; i < count; i++) {
        make_room(&ops[i]);
    }
    reply = request_at(
        SCIM_POST, "/Bulk", NULL,
        apr_psprintf(M.pool,
                     "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:BulkRequest\"],"
                     "\"failOnErrors\":%d,\"Operations\":[%s]}",
                     fail, text),
        tick(), M.pool);
    assert_int_equal(reply.status, 200);
    results =
        json_object_get(scim_json_read_own(reply.body, reply.body_len, M.pool), "Operations");
    for (i = 0; i < count && !(fail && errors == fail); i++) {
        expected e = expect_in_job(&ops[i]);
        /* A job answers a changed group with its version, too. */
        int status = e.version && e.status == 204 ? 200 : e.status;

        e.status = status;
        check_result(&ops[i], &e, json_array_get(results, (size_t)i));
        errors += status >= 400;
    }
    assert_int_equal(json_array_size(results), i);
    while (i-- > 0) {
        const char *location = scim_json_string(json_array_get(results, (size_t)i), "location");

        if (ops[i].method == SCIM_POST && at(ops[i].target)->there) {
            note_id(ops[i].target, location + strlen(location) - SCIM_ID_TEXT);
        }
    }
    take_in(&reply);
}

/* Reading */

static void check_text(const json_t *json, const char *name, const char *text)
{
    const char *is = scim_json_string(json, name);

    if (strcmp(is ? is : "", text ? text : "")) {
        fail_msg("request %d: %s is %s, expected %s", M.done, name, is, text);
    }
}

static void check_user(const entity *e, const json_t *json)
{
    const json_t *manager =
        json_object_get(json_object_get(json, SCIM_URN_ENTERPRISE), "manager");
    const json_t *active = json_object_get(json, "active");

    check_text(json, "userName", name_of(e->name));
    check_text(json, "title", e->title ? apr_psprintf(M.pool, "t%d", e->title) : NULL);
    assert_int_equal(e->active, !active ? 0 : json_is_true(active) ? 1 : 2);
    check_text(manager, "value", e->manager < 0 ? NULL : id_of(e->manager));
    if (e->manager >= 0) {
        assert_int_equal(json_object_get(manager, "$ref") != NULL, is_user(e->manager));
    }
}

static int number_of(const json_t *element)
{
    const char *id = scim_json_string(element, "value");

    return (int)(intptr_t)apr_hash_get(M.numbers, id, SCIM_ID_TEXT) - 1;
}

static void check_members(const entity *e, const json_t *json)
{
    const json_t *list = json_object_get(json, "members"), *element;
    size_t i;

    check_text(json, "displayName", name_of(e->name));
    assert_int_equal(json_array_size(list), e->members_count);
    json_array_foreach (list, i, element) {
        int member = number_of(element);

        assert_true(has_member(e, member));
        check_text(element, "type",
                   !at(member)->there  ? NULL
                   : at(member)->group ? "Group"
                                       : "User");
    }
}

/* The groups around a user, by walking up until there are no more. */
static void check_groups(int number, const json_t *json)
{
    const json_t *list = json_object_get(json, "groups"), *element;
    bool around[SLOTS] = {false}, more = true;
    int s, t, count = 0;
    size_t i;

    for (s = USER_SLOTS; s < SLOTS; s++) {
        around[s] = at(M.slots[s])->there && has_member(at(M.slots[s]), number);
    }
    while (more) {
        more = false;
        for (s = USER_SLOTS; s < SLOTS; s++) {
            for (t = USER_SLOTS; t < SLOTS; t++) {
                if (around[s] && !around[t] && at(M.slots[t])->there &&
                    has_member(at(M.slots[t]), M.slots[s])) {
                    around[t] = more = true;
                }
            }
        }
    }
    json_array_foreach (list, i, element) {
        int group = number_of(element);

        for (s = USER_SLOTS; s < SLOTS && M.slots[s] != group; s++) {
        }
        assert_true(s < SLOTS && around[s]);
        check_text(element, "type", has_member(at(group), number) ? "direct" : "indirect");
    }
    for (s = USER_SLOTS; s < SLOTS; s++) {
        count += around[s];
    }
    assert_int_equal(json_array_size(list), count);
}

static void read_one(int number)
{
    scim_reply reply = request_at(SCIM_GET, url_of(number), NULL, NULL, tick(), M.pool);
    const entity *e = at(number);
    expected answer = {e->there ? 200 : 404, NULL, e->there ? e->version : 0};
    const json_t *json;

    check_status(&answer, reply.status, NULL, reply.etag, url_of(number), reply.body);
    take_in(&reply);
    if (!e->there) {
        return;
    }
    json = scim_json_read_own(reply.body, reply.body_len, M.pool);
    if (e->group) {
        check_members(e, json);
    } else {
        check_user(e, json);
        check_groups(number, json);
    }
}

static void check_total(const char *url, int total)
{
    scim_reply reply = request_at(SCIM_GET, url, NULL, NULL, tick(), M.pool);
    const json_t *json;

    assert_int_equal(reply.status, 200);
    take_in(&reply);
    json = scim_json_read_own(reply.body, reply.body_len, M.pool);
    if (json_integer_value(json_object_get(json, "totalResults")) != total) {
        fail_msg("request %d: %s: %s, expected %d", M.done, url, reply.body, total);
    }
}

static int count_there(bool group, int name)
{
    int s, count = 0;

    for (s = group ? USER_SLOTS : 0; s < (group ? SLOTS : USER_SLOTS); s++) {
        const entity *e = at(M.slots[s]);

        count += e->there && (name < 0 || e->name / 2 == name / 2);
    }
    return count;
}

static void search(void)
{
    bool group = roll(2);
    int name = (int)roll(2 * NAMES);

    check_total(apr_psprintf(M.pool, "/%s?count=50&filter=%s+eq+%%22%s%%22",
                             group ? "Groups" : "Users", group ? "displayName" : "userName",
                             name_of(name)),
                count_there(group, name));
}

static void read_directory(void)
{
    int s;

    for (s = 0; s < SLOTS; s++) {
        if (M.slots[s]) {
            read_one(M.slots[s]);
        }
    }
    check_total("/Users?count=100", count_there(false, -1));
    check_total("/Groups?count=100", count_there(true, -1));
    invariants();
}

/* Policies */

static void change_policy(void)
{
    scim_policy policy = scim_policy_default();
    apr_array_header_t *changed;

    M.unique = policy.unique_group_names = roll(2);
    M.dangling = policy.dangling_references = roll(2);
    assert_no_error(set_policy_of(&changed, "acme", &policy));
    identity.tenant.policy = fix.tenant.policy = policy;
    wire.lenient = roll(2);
}

static void one_request(void)
{
    unsigned int kind = roll(1000);

    apr_pool_clear(M.pool);
    if (kind < 5) {
        change_policy();
    } else if (kind < 60) {
        submit_job();
    } else if (kind < 160) {
        int slot = M.slots[roll(SLOTS)];

        if (slot) {
            read_one(slot);
        }
    } else if (kind < 200) {
        search();
    } else {
        submit();
    }
}

static void begin_model(unsigned int seed)
{
    int i;

    memset(&M, 0, sizeof(M));
    M.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    M.pool = make_pool();
    M.numbers = apr_hash_make(fix.pool);
    M.unique = true;
    M.digest = XXH3_createState();
    XXH3_64bits_reset(M.digest);
    new_entity(false);
    apr_hash_set(M.numbers, NOBODY, SCIM_ID_TEXT, (void *)(intptr_t)1);
    fix.dangling = fix.shared_names = true;
    service_begin();
    for (i = 0; i < 8; i++) {
        roll(2);
    }
}

static void end_model(void)
{
    while (M.count > 0) {
        free(M.entities[--M.count].members);
    }
    free(M.entities);
    XXH3_freeState(M.digest);
    apr_pool_destroy(M.pool);
}

/* What the run before came to at so many requests: that of another engine. */
#define STOPS 10000
static struct {
    unsigned int seed;
    apr_uint64_t digests[STOPS];
    int count;
} earlier;

static unsigned int seed;

static void note_digest(int stop)
{
    apr_uint64_t digest = XXH3_64bits_digest(M.digest);

    if (stop < earlier.count) {
        assert_true(digest == earlier.digests[stop]);
    } else if (stop < STOPS) {
        earlier.digests[earlier.count++] = digest;
    }
}

/* What is read by everybody is read every so often, and the rows with it. */
static void run_model(int requests)
{
    begin_model(seed);
    for (M.done = 0; M.done < requests; M.done++) {
        one_request();
        if (M.done % 1000 == 999) {
            read_directory();
            note_digest(M.done / 1000);
        }
    }
    read_directory();
    assert_true(M.count > requests / 20);
    end_model();
}

static void test_model(void **state)
{
    int requests = sized(20000, 1000000);

    if (!earlier.count) {
        seed = seed_and_rounds(&requests);
    } else {
        seed_and_rounds(&requests);
    }
    run_model(requests);
}

int main(void)
{
    static const store_test table[] = {
        {"answers and rows are those of a list", test_model, EACH},
    };
    struct CMUnitTest tests[ENGINES * COUNT(table)];

    stores_in_memory();
    make_registry();
    on_engines(tests, table, COUNT(table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
