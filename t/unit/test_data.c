/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases that are data: t/data/KIND/CASE/ is one test, and adding a directory
 * adds one.  The root is $SCIM_DATA, else t/data below the current directory.
 * A case's name begins with the id of the rule that it shows, if there is one.
 *
 * "An outcome" below is a file whose first line is a scimType, and whose other
 * lines all stand in the error's detail.  type is User where the file is not
 * there, profile is interop; JSON is compared as values.
 *
 *   filter/    filter, type?, profile?, expect, and resource.json (what a
 *              reader sees, members and groups included) unless it is refused.
 *              expect: "match", "no match", or "error " and an outcome
 *   patch/     existing.json (as stored), patch.json, type?, profile?, members?,
 *              and expected.json or error (an outcome).  members: the steps of
 *              the draft, one a line (see step_text); without it there are none
 *   path/      path, type?, expect: the path of the attribute (or the URN of the
 *              extension) that it names, or "error " and an outcome
 *   validate/  body.json, existing.json? (makes it a PUT), type?, profile?,
 *              members?, and expected.json or error
 *   project/   resource.json, type?, attributes and/or excluded, and
 *              expected.json or error
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_env.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "scim/filter.h"
#include "scim/interop.h"
#include "scim/json.h"
#include "scim/patch.h"
#include "scim/project.h"
#include "scim/validate.h"

typedef struct test_case test_case;

typedef struct kind {
    const char *name;
    void (*run)(const test_case *c);
    /* Names between blanks: files that must be there, that may, and of which
     * one (of outcome: exactly one) must. */
    const char *needed;
    const char *optional;
    const char *some;
    const char *outcome;
} kind;

struct test_case {
    const kind *kind;
    const char *path;
    apr_pool_t *pool; /* cleared before each case */
};

static const scim_registry *registry;

/* Files of a case */

static const char *file_path(const test_case *c, const char *name)
{
    return apr_pstrcat(c->pool, c->path, "/", name, NULL);
}

static bool has_file(const test_case *c, const char *name)
{
    apr_finfo_t info;

    return apr_stat(&info, file_path(c, name), APR_FINFO_TYPE, c->pool) == APR_SUCCESS;
}

static const char *file_text(const test_case *c, const char *name)
{
    apr_file_t *file;
    apr_finfo_t info;
    apr_size_t len;
    char *text;

    if (apr_file_open(&file, file_path(c, name), APR_FOPEN_READ, APR_OS_DEFAULT, c->pool) ||
        apr_file_info_get(&info, APR_FINFO_SIZE, file)) {
        fail_msg("%s cannot be read", file_path(c, name));
    }
    text = apr_pcalloc(c->pool, (apr_size_t)info.size + 1);
    assert_int_equal(apr_file_read_full(file, text, (apr_size_t)info.size, &len),
                     info.size ? APR_SUCCESS : APR_EOF);
    apr_file_close(file);
    return text;
}

/* A text without the newline that ends its file. */
static const char *file_line(const test_case *c, const char *name)
{
    const char *text = file_text(c, name);
    apr_size_t len = strlen(text);

    return apr_pstrmemdup(c->pool, text, len && text[len - 1] == '\n' ? len - 1 : len);
}

/* What a client sends may be refused as it is read. */
static const scim_error *read_json(json_t **out, const test_case *c, const char *name)
{
    const char *text = file_text(c, name);

    return scim_json_read(out, text, strlen(text), c->pool);
}

static json_t *file_json(const test_case *c, const char *name)
{
    json_t *json;
    const scim_error *err = read_json(&json, c, name);

    if (err) {
        fail_msg("%s: %s", file_path(c, name), err->detail);
    }
    return json;
}

static const scim_resource_type *type_of(const test_case *c)
{
    const char *name = has_file(c, "type") ? file_line(c, "type") : "User";
    const scim_resource_type *type = scim_registry_type(registry, name);

    if (!type) {
        fail_msg("%s: no resource type is called \"%s\"", c->path, name);
    }
    return type;
}

static bool is_lenient(const test_case *c)
{
    const char *name = has_file(c, "profile") ? file_line(c, "profile") : "interop";

    if (strcmp(name, "interop") && strcmp(name, "rfc")) {
        fail_msg("%s: no profile is called \"%s\"", c->path, name);
    }
    return !strcmp(name, "interop");
}

static bool is_listed(const test_case *c, const char *names, const char *name)
{
    return strstr(names, apr_pstrcat(c->pool, " ", name, " ", NULL)) != NULL;
}

static int count_there(const test_case *c, const char *names)
{
    char *list = apr_pstrdup(c->pool, names);
    char *state = NULL;
    char *name;
    int found = 0;

    for (name = apr_strtok(list, " ", &state); name; name = apr_strtok(NULL, " ", &state)) {
        found += has_file(c, name);
    }
    return found;
}

static void check_needed(const test_case *c)
{
    char *list = apr_pstrdup(c->pool, c->kind->needed);
    char *state = NULL;
    char *name;

    for (name = apr_strtok(list, " ", &state); name; name = apr_strtok(NULL, " ", &state)) {
        if (!has_file(c, name)) {
            fail_msg("%s has no file %s", c->path, name);
        }
    }
    if (*c->kind->some && !count_there(c, c->kind->some)) {
        fail_msg("%s has none of%s", c->path, c->kind->some);
    }
    if (*c->kind->outcome && count_there(c, c->kind->outcome) != 1) {
        fail_msg("%s must have one of%s", c->path, c->kind->outcome);
    }
}

static void check_files(const test_case *c)
{
    const char *known = apr_pstrcat(c->pool, c->kind->needed, c->kind->optional, c->kind->some,
                                    c->kind->outcome, NULL);
    apr_finfo_t info;
    apr_dir_t *dir;

    assert_int_equal(apr_dir_open(&dir, c->path, c->pool), APR_SUCCESS);
    while (!apr_dir_read(&info, APR_FINFO_NAME, dir)) {
        if (strcmp(info.name, ".") && strcmp(info.name, "..") &&
            !is_listed(c, known, info.name)) {
            fail_msg("%s has a file that no %s case has: %s", c->path, c->kind->name,
                     info.name);
        }
    }
    apr_dir_close(dir);
    check_needed(c);
}

/* Outcomes */

static void check_error(const test_case *c, const scim_error *err, const char *outcome)
{
    char *state = NULL;
    char *line = apr_strtok(apr_pstrdup(c->pool, outcome), "\n", &state);

    if (!line) {
        fail_msg("%s names no scimType", c->path);
    }
    if (!err) {
        fail_msg("%s succeeds, expected %s", c->path, line);
    }
    if (!err->scim_type || strcmp(err->scim_type, line)) {
        fail_msg("%s gives %s (%s), expected %s", c->path,
                 err->scim_type ? err->scim_type : "no scimType", err->detail, line);
    }
    while ((line = apr_strtok(NULL, "\n", &state))) {
        if (!strstr(err->detail, line)) {
            fail_msg("%s says \"%s\", expected \"%s\"", c->path, err->detail, line);
        }
    }
}

static void check_success(const test_case *c, const scim_error *err)
{
    if (err) {
        fail_msg("%s is refused: %s (%s)", c->path, err->detail,
                 err->scim_type ? err->scim_type : "no scimType");
    }
}

static void check_json(const test_case *c, const json_t *actual, const json_t *expected,
                       const char *what)
{
    apr_size_t len;

    if (!json_equal(actual, expected)) {
        fail_msg("%s: %s\n is       %s\n expected %s", c->path, what,
                 scim_json_write(actual, &len, c->pool),
                 scim_json_write(expected, &len, c->pool));
    }
}

/* What "error " begins in an expect file; NULL where it expects no error. */
static const char *expected_error(const char *expect)
{
    return strncmp(expect, "error ", 6) ? NULL : expect + 6;
}

/* "add u1 type=User display=D", "remove u1", "clear"; steps that pick members
 * by a filter are "remove where" and "set where display=D". */
static const char *step_text(const scim_member_op *step, apr_pool_t *pool)
{
    static const char *const kinds[] = {
        [SCIM_MEMBER_ADD] = "add ",
        [SCIM_MEMBER_REMOVE] = "remove ",
        [SCIM_MEMBER_CLEAR] = "clear",
        [SCIM_MEMBER_REMOVE_WHERE] = "remove where",
        [SCIM_MEMBER_SET_WHERE] = "set where",
    };

    return apr_pstrcat(
        pool, kinds[step->kind], step->value ? step->value : "", step->type ? " type=" : "",
        step->type ? step->type : "", step->ref ? " ref=" : "", step->ref ? step->ref : "",
        step->display ? " display=" : "", step->display ? step->display : "", NULL);
}

static void check_members(const test_case *c, const apr_array_header_t *members)
{
    const char *expected = has_file(c, "members") ? file_line(c, "members") : "";
    const char *steps = "";
    int i;

    for (i = 0; members && i < members->nelts; i++) {
        steps =
            apr_pstrcat(c->pool, steps, i ? "\n" : "",
                        step_text(&APR_ARRAY_IDX(members, i, scim_member_op), c->pool), NULL);
    }
    if (strcmp(steps, expected)) {
        fail_msg("%s: the members' steps are\n%s\n expected\n%s", c->path, steps, expected);
    }
}

static void check_draft(const test_case *c, const scim_draft *draft, const scim_error *err)
{
    if (has_file(c, "error")) {
        check_error(c, err, file_text(c, "error"));
        return;
    }
    check_success(c, err);
    check_json(c, draft->json, file_json(c, "expected.json"), "the result");
    check_members(c, draft->members);
}

/* filter */

/* Members and groups as the store hands them out: apart from the resource,
 * which is the baton with them and the subject's resource without. */
static const json_t *edges(scim_candidate *subject, const scim_attribute *attribute)
{
    return json_object_get(subject->baton, attribute->name);
}

static bool has_edge(scim_candidate *subject, const scim_attribute *attribute,
                     const char *value)
{
    const json_t *element;
    size_t i;

    json_array_foreach (edges(subject, attribute), i, element) {
        const char *id = scim_json_string(element, "value");

        if (id && !strcmp(id, value)) {
            return true;
        }
    }
    return false;
}

static bool matches(const test_case *c, const scim_filter *filter,
                    const scim_resource_type *type)
{
    json_t *whole = file_json(c, "resource.json");
    json_t *stored = scim_json_adopt(json_copy(whole), c->pool);
    scim_candidate subject = {
        .type = type, .resource = stored, .edges = edges, .has_edge = has_edge, .baton = whole};

    json_object_del(stored, "members");
    json_object_del(stored, "groups");
    return scim_filter_match(filter, &subject, c->pool);
}

static void run_filter(const test_case *c)
{
    const char *expect = file_line(c, "expect");
    const scim_resource_type *type = type_of(c);
    const scim_filter *filter = NULL;
    const scim_error *err =
        scim_filter_parse(&filter, file_line(c, "filter"), type, is_lenient(c), c->pool);

    if (has_file(c, "resource.json") == (expected_error(expect) != NULL)) {
        fail_msg("%s must have resource.json, or expect an error", c->path);
    }
    if (expected_error(expect)) {
        check_error(c, err, expected_error(expect));
        return;
    }
    check_success(c, err);
    assert_string_equal(matches(c, filter, type) ? "match" : "no match", expect);
}

/* path */

static void run_path(const test_case *c)
{
    const char *expect = file_line(c, "expect");
    const scim_attribute *leaf;
    scim_path path;
    const scim_error *err = scim_path_parse(&path, file_line(c, "path"), type_of(c), c->pool);

    if (expected_error(expect)) {
        check_error(c, err, expected_error(expect));
        return;
    }
    check_success(c, err);
    leaf = scim_path_leaf(&path);
    assert_string_equal(leaf ? leaf->path : path.extension->urn, expect);
}

/* patch */

static const scim_error *apply(scim_draft *draft, const json_t *existing, const test_case *c)
{
    const scim_resource_type *type = type_of(c);
    const scim_error *err;
    const scim_patch *patch;
    json_t *message;
    json_t *body;

    SCIM_ERR(read_json(&body, c, "patch.json"));
    err = scim_interop_patch(&message, body, type, is_lenient(c), c->pool);
    check_json(c, body, file_json(c, "patch.json"), "the message afterwards");
    SCIM_ERR(err);
    SCIM_ERR(scim_patch_parse(&patch, message, type, is_lenient(c), c->pool));
    err = scim_patch_apply(draft, patch, existing, c->pool);
    check_json(c, body, file_json(c, "patch.json"), "the message afterwards");
    return err;
}

static void run_patch(const test_case *c)
{
    json_t *existing = file_json(c, "existing.json");
    scim_draft draft;
    const scim_error *err = apply(&draft, existing, c);

    check_json(c, existing, file_json(c, "existing.json"), "the resource afterwards");
    check_draft(c, &draft, err);
}

/* validate */

static const scim_error *validate(scim_draft *draft, const json_t *existing, const test_case *c)
{
    const scim_resource_type *type = type_of(c);
    const scim_error *err;
    json_t *normal;
    json_t *body;

    SCIM_ERR(read_json(&body, c, "body.json"));
    err = scim_interop_resource(&normal, body, type, is_lenient(c), c->pool);
    if (!err) {
        err = scim_validate_resource(draft, normal, existing, type, is_lenient(c), c->pool);
    }
    check_json(c, body, file_json(c, "body.json"), "the body afterwards");
    return err;
}

static void run_validate(const test_case *c)
{
    json_t *existing = has_file(c, "existing.json") ? file_json(c, "existing.json") : NULL;
    scim_draft draft;
    const scim_error *err = validate(&draft, existing, c);

    if (existing) {
        check_json(c, existing, file_json(c, "existing.json"), "the resource afterwards");
    }
    check_draft(c, &draft, err);
}

/* project */

static void run_project(const test_case *c)
{
    const scim_resource_type *type = type_of(c);
    json_t *resource = file_json(c, "resource.json");
    const scim_projection *projection = NULL;
    const scim_error *err = scim_projection_parse(
        &projection, has_file(c, "attributes") ? file_line(c, "attributes") : NULL,
        has_file(c, "excluded") ? file_line(c, "excluded") : NULL, type, c->pool);

    if (has_file(c, "error")) {
        check_error(c, err, file_text(c, "error"));
        return;
    }
    check_success(c, err);
    check_json(c, scim_projection_apply(projection, resource, type, c->pool),
               file_json(c, "expected.json"), "the projection");
    check_json(c, resource, file_json(c, "resource.json"), "the resource afterwards");
}

/* Finding and running */

static const kind kinds[] = {
    {"filter", run_filter, " filter expect ", " resource.json type profile ", "", ""},
    {"patch", run_patch, " existing.json patch.json ", " type profile members ", "",
     " expected.json error "},
    {"path", run_path, " path expect ", " type ", "", ""},
    {"project", run_project, " resource.json ", " type ", " attributes excluded ",
     " expected.json error "},
    {"validate", run_validate, " body.json ", " existing.json type profile members ", "",
     " expected.json error "},
};

static void test_case_of_data(void **state)
{
    const test_case *c = *state;

    apr_pool_clear(c->pool);
    check_files(c);
    c->kind->run(c);
}

static int by_path(const void *a, const void *b)
{
    const struct CMUnitTest *left = a;
    const struct CMUnitTest *right = b;

    return strcmp(left->name, right->name);
}

static void add_case(apr_array_header_t *tests, const kind *k, const char *directory,
                     const char *name, apr_pool_t *case_pool)
{
    test_case *c = apr_palloc(tests->pool, sizeof(*c));
    struct CMUnitTest *test = apr_array_push(tests);

    c->kind = k;
    c->path = apr_pstrcat(tests->pool, directory, "/", name, NULL);
    c->pool = case_pool;
    memset(test, 0, sizeof(*test));
    test->name = apr_pstrcat(tests->pool, k->name, "/", name, NULL);
    test->test_func = test_case_of_data;
    test->initial_state = c;
}

/* Adds the cases of a kind, and says whether there are any. */
static bool add_kind(apr_array_header_t *tests, const kind *k, const char *root,
                     apr_pool_t *case_pool)
{
    const char *directory = apr_pstrcat(tests->pool, root, "/", k->name, NULL);
    int before = tests->nelts;
    apr_finfo_t info;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, directory, tests->pool)) {
        print_error("%s cannot be read\n", directory);
        return false;
    }
    while (!apr_dir_read(&info, APR_FINFO_NAME, dir)) {
        if (strcmp(info.name, ".") && strcmp(info.name, "..")) {
            add_case(tests, k, directory, info.name, case_pool);
        }
    }
    apr_dir_close(dir);
    if (tests->nelts == before) {
        print_error("%s has no cases\n", directory);
    }
    return tests->nelts > before;
}

int main(void)
{
    apr_array_header_t *tests;
    apr_pool_t *pool;
    apr_pool_t *case_pool;
    char *root;
    size_t i;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    apr_pool_create(&case_pool, pool);
    tests = apr_array_make(pool, 512, sizeof(struct CMUnitTest));
    if (scim_registry_make(&registry, pool)) {
        print_error("the schemas cannot be loaded\n");
        return 1;
    }
    if (apr_env_get(&root, "SCIM_DATA", pool)) {
        root = apr_pstrdup(pool, "t/data");
    }
    for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (!add_kind(tests, &kinds[i], root, case_pool)) {
            return 1;
        }
    }
    qsort(tests->elts, (size_t)tests->nelts, sizeof(struct CMUnitTest), by_path);
    return _cmocka_run_group_tests("data", (const struct CMUnitTest *)tests->elts,
                                   (size_t)tests->nelts, NULL, NULL);
}
