/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a store for the benchmark: fill URL IDS USERS NAME=COUNT...
 *
 * Tenant "bench" gets USERS users of some 900 bytes each, u0@example.com and so
 * on, and for each NAME a group of the first COUNT of them.  The file IDS gets
 * the users' ids, one a line; stdout a token and the ids of the groups.  All of
 * it goes through the store's own functions: what is there is what requests
 * would have left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "scim/interop.h"
#include "scim/json.h"
#include "scim/resource.h"
#include "scim/store.h"
#include "scim/token.h"
#include "scim/validate.h"

#define BATCH 2000

static apr_pool_t *pool;
static scim_store *store;
static scim_tenant tenant;
static scim_id *ids;
static long users;

static void must(const scim_error *err)
{
    if (err) {
        fprintf(stderr, "fill: %s\n", err->cause ? err->cause : err->detail);
        exit(1);
    }
}

static const char *const names[] = {"Anna",  "Boris", "Chiara", "Dmitri", "Elena", "Farid",
                                    "Grace", "Hugo",  "Ines",   "Jonas",  "Karin", "Luca"};
static const char *const families[] = {"Martin", "Novak", "Okafor", "Petrov", "Quinn",
                                       "Rossi",  "Silva", "Tanaka", "Urban",  "Vargas"};

static json_t *user_json(long n)
{
    const char *given = names[n % 12], *family = families[n / 12 % 10];

    return json_pack("{s:[s,s], s:o, s:o, s:o, s:{s:o, s:s, s:s}, s:s, s:s, s:s, s:s, s:b,"
                     " s:[{s:o, s:s, s:b}], s:[{s:o, s:s}, {s:o, s:s}],"
                     " s:[{s:s, s:s, s:s, s:s, s:s, s:s}], s:{s:o, s:s, s:s, s:s}}",
                     "schemas", "urn:ietf:params:scim:schemas:core:2.0:User",
                     "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "userName",
                     json_sprintf("u%ld@example.com", n), "externalId", json_sprintf("u%ld", n),
                     "displayName", json_sprintf("%s %s %ld", given, family, n), "name",
                     "formatted", json_sprintf("%s %s", given, family), "givenName", given,
                     "familyName", family, "title", "Engineer", "userType", "Employee",
                     "locale", "en-US", "timezone", "Europe/Berlin", "active", 1, "emails",
                     "value", json_sprintf("u%ld@mail.example.com", n), "type", "work",
                     "primary", 1, "phoneNumbers", "value", json_sprintf("+1 555 %07ld", n),
                     "type", "work", "value", json_sprintf("+1 556 %07ld", n), "type", "mobile",
                     "addresses", "type", "work", "streetAddress", "100 Universal City Plaza",
                     "locality", "Hollywood", "region", "CA", "postalCode", "91608", "country",
                     "US", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
                     "employeeNumber", json_sprintf("%ld", n), "department", "Tour Operations",
                     "division", "Theme Park", "costCenter", "4130");
}

static void make(scim_id *out, scim_batch *batch, const char *type, json_t *json,
                 apr_pool_t *scratch)
{
    scim_draft draft;
    scim_change change;

    json = scim_json_adopt(json, scratch);
    must(scim_validate_resource(&draft, json, NULL,
                                scim_registry_type(scim_store_registry(store), type), true,
                                scratch));
    must(scim_batch_create(&change, batch, &tenant, &draft, NULL, true, apr_time_now(),
                           scratch));
    *out = change.record.id;
    /* A benchmark's batch is larger than any job's may be. */
    batch->bytes = 0;
}

static const scim_error *make_users(scim_batch *batch, void *baton)
{
    long first = *(long *)baton, n;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, batch->view.pool);
    for (n = first; n < first + BATCH && n < users; n++) {
        make(&ids[n], batch, "User", user_json(n), scratch);
        apr_pool_clear(scratch);
    }
    return NULL;
}

typedef struct group_making {
    const char *name;
    scim_id id;
    long first;
    long count;
} group_making;

static json_t *members_json(const group_making *g)
{
    json_t *members = json_array();
    long n;

    for (n = g->first; n < g->first + BATCH && n < g->count; n++) {
        char text[SCIM_ID_TEXT + 1];

        json_array_append_new(members,
                              json_pack("{s:s}", "value", scim_id_format(&ids[n], text)));
    }
    return members;
}

static const scim_error *make_group(scim_batch *batch, void *baton)
{
    group_making *g = baton;

    make(&g->id, batch, "Group",
         json_pack("{s:[s], s:s, s:o}", "schemas",
                   "urn:ietf:params:scim:schemas:core:2.0:Group", "displayName", g->name,
                   "members", members_json(g)),
         batch->view.pool);
    return NULL;
}

static const scim_error *add_draft(scim_draft *draft, const json_t *existing, void *baton,
                                   apr_pool_t *result_pool)
{
    const group_making *g = baton;
    json_t *json = scim_json_adopt(json_deep_copy(existing), result_pool);
    long n;

    memset(draft, 0, sizeof(*draft));
    draft->type = scim_registry_type(scim_store_registry(store), "Group");
    draft->json = json;
    draft->members = apr_array_make(result_pool, BATCH, sizeof(scim_member_op));
    for (n = g->first; n < g->first + BATCH && n < g->count; n++) {
        scim_member_op *op = apr_array_push(draft->members);

        memset(op, 0, sizeof(*op));
        op->kind = SCIM_MEMBER_ADD;
        op->value = scim_id_format(&ids[n], apr_palloc(result_pool, SCIM_ID_TEXT + 1));
    }
    return NULL;
}

static const scim_error *add_members(scim_batch *batch, void *baton)
{
    group_making *g = baton;
    scim_change change;

    batch->bytes = 0;
    return scim_batch_change(&change, batch, &tenant,
                             scim_registry_type(scim_store_registry(store), "Group"), &g->id,
                             NULL, add_draft, g, true, apr_time_now(), batch->view.pool);
}

static void run(scim_batch_fn fn, void *baton)
{
    apr_pool_t *own;

    apr_pool_create(&own, pool);
    must(scim_store_batch(store, fn, baton, own));
    apr_pool_destroy(own);
}

static void fill_group(char *arg)
{
    char *count = strchr(arg, '='), text[SCIM_ID_TEXT + 1];
    group_making g = {.name = arg};

    if (!count) {
        fprintf(stderr, "fill: %s is not NAME=COUNT\n", arg);
        exit(2);
    }
    *count = '\0';
    g.count = atol(count + 1);
    if (g.count > users) {
        g.count = users;
    }
    run(make_group, &g);
    for (g.first = BATCH; g.first < g.count; g.first += BATCH) {
        run(add_members, &g);
    }
    printf("group %s %s\n", arg, scim_id_format(&g.id, text));
}

static void write_ids(const char *path)
{
    FILE *out = fopen(path, "w");
    char text[SCIM_ID_TEXT + 1];
    long n;

    for (n = 0; out && n < users; n++) {
        fprintf(out, "%s\n", scim_id_format(&ids[n], text));
    }
    if (!out || ferror(out) || fclose(out)) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    scim_store_options options = {.kv = {.create = true}};
    char token[SCIM_TOKEN_LEN + 1];
    long n;
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (argc < 4) {
        fprintf(stderr, "usage: fill URL IDS USERS NAME=COUNT...\n");
        return 2;
    }
    users = atol(argv[3]);
    ids = calloc((size_t)users + 1, sizeof(*ids));
    must(scim_registry_make(&options.registry, pool));
    must(scim_store_open(&store, argv[1], &options, pool));
    must(scim_tenant_create(&tenant, store, "bench", apr_time_now(), pool));
    must(scim_token_create(token, store, "bench", "bench", SCIM_SCOPE_READ | SCIM_SCOPE_WRITE,
                           apr_time_now(), 0, pool));
    printf("token %s\n", token);
    for (n = 0; n < users; n += BATCH) {
        run(make_users, &n);
    }
    write_ids(argv[2]);
    for (i = 4; i < argc; i++) {
        fill_group(argv[i]);
    }
    scim_store_close(store);
    return 0;
}
