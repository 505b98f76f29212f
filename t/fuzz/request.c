/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole requests, one after the other, to the service over a store in memory:
 *
 *     PATCH /Users/{1}?attributes=title
 *     If-Match: W/"1"
 *
 *     {"schemas": ...}
 *     %%
 *     GET ...
 *
 * {1} is the id of the resource that was created first.  A first line that begins
 * with # sets the endpoint and the tenant's policy otherwise: see set_options().
 */
#include "fuzz.h"

#include "../unit/service_fixture.h"
#include "scim/role.h"
#include "scim/verify.h"

#define REQUESTS_MAX 20
#define CREATED_MAX 9

static const char *created[CREATED_MAX];
static int created_count;

static scim_policy say_policy(const char *name, void *baton, apr_pool_t *policy_pool)
{
    return *(const scim_policy *)baton;
}

static void set_options(const char *line)
{
    scim_policy policy = scim_policy_default();
    apr_array_header_t *changed;
    scim_role_pattern *role = apr_pcalloc(pool, sizeof(*role));

    wire.lenient = !strstr(line, "rfc");
    wire.group_representation = strstr(line, "whole") != NULL;
    wire.require_if_match = strstr(line, "match") != NULL;
    wire.bulk_operations = strstr(line, "bulk") ? 0 : 20;
    policy.unique_group_names = !strstr(line, "shared");
    policy.dangling_references = strstr(line, "dangling") != NULL;
    policy.on_group_delete = strstr(line, "deactivate") ? SCIM_ON_DELETE_DEACTIVATE
                             : strstr(line, "delete")   ? SCIM_ON_DELETE_DELETE
                                                        : SCIM_ON_DELETE_KEEP;
    policy.delete_limit = strstr(line, "limit") ? 1 : 0;
    policy.custom_groups = strstr(line, "refuse") ? SCIM_CUSTOM_REFUSE : SCIM_CUSTOM_ACCEPT;
    if (strstr(line, "role")) {
        assert_true(scim_role_pattern_make(role, "admin", "Role*", pool));
        policy.roles = role;
        policy.roles_count = 1;
    }
    assert_null(scim_tenant_set_policies(&changed, store, say_policy, &policy, pool));
    identity.tenant.policy = policy;
}

/* Puts ids in place of {1}. */
static char *with_ids(const char *text)
{
    const char *at = text, *brace;
    char *out = apr_pstrdup(pool, "");

    for (; (brace = strchr(at, '{')); at = brace + 3) {
        int which = brace[1] - '1';

        if (!brace[1] || brace[2] != '}' || which < 0 || which >= CREATED_MAX) {
            out = apr_pstrcat(pool, out, apr_pstrmemdup(pool, at, (apr_size_t)(brace + 1 - at)),
                              NULL);
            brace -= 2;
            continue;
        }
        out = apr_pstrcat(pool, out, apr_pstrmemdup(pool, at, (apr_size_t)(brace - at)),
                          which < created_count ? created[which] : NOBODY, NULL);
    }
    return apr_pstrcat(pool, out, at, NULL);
}

static scim_method method_of(const char *name)
{
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i])) {
            return (scim_method)(1 << i);
        }
    }
    return SCIM_OTHER;
}

static void take_header(scim_call *call, char *line)
{
    char *value = strchr(line, ':');

    if (!value) {
        return;
    }
    *value++ = '\0';
    value += strspn(value, " ");
    if (!strcmp(line, "If-Match")) {
        call->if_match = value;
    } else if (!strcmp(line, "If-None-Match")) {
        call->if_none_match = value;
    } else if (!strcmp(line, "Content-Type")) {
        call->content_type = value;
    } else if (!strcmp(line, "Accept")) {
        call->accept = value;
    } else if (!strcmp(line, "Login")) {
        call->person = value;
        call->person_tenant = "acme";
        call->person_by = SCIM_BY_USER_NAME;
        call->identity = NULL;
    }
}

/* As httpd hands them on: without control characters, the path decoded. */
static scim_call read_request(char *text)
{
    char *body = strstr(text, "\n\n"), *method, *url, *line, *rest;
    scim_call call;

    if (body) {
        *body = '\0';
        body = fuzz_bytes(body + 2, strlen(body + 2), pool);
    }
    line = apr_strtok(text, "\n", &rest);
    method = line ? apr_strtok(line, " ", &url) : NULL;
    url = method && *url ? url : apr_pstrdup(pool, "/");
    call = call_of(method_of(method ? method : ""), url, body);
    while (line && (line = apr_strtok(NULL, "\n", &rest))) {
        take_header(&call, line);
    }
    return call;
}

static void check_result(const json_t *result)
{
    const char *status = scim_json_string(result, "status");

    assert_non_null(status);
    assert_in_range(atoi(status), 200, 499);
}

static void check_body(const scim_reply *reply)
{
    const json_t *body = json_of(reply), *list = json_object_get(body, "Operations"), *element;
    size_t i;

    assert_non_null(body);
    check_no_null(body);
    if (reply->status >= 400) {
        check_error(reply, body);
    } else if (json_object_get(body, "Resources")) {
        assert_int_equal(reply->count, json_array_size(json_object_get(body, "Resources")));
    } else if (list) {
        json_array_foreach (list, i, element) {
            check_result(element);
        }
    } else if (reply->location) {
        check_resource(reply, body);
    }
}

static void check_answer(const scim_reply *reply)
{
    assert_true(reply->status < 500 || reply->status == 501);
    assert_null(reply->warning);
    assert_int_equal(reply->body != NULL, reply->content_type != NULL);
    if (reply->body) {
        check_body(reply);
    } else {
        assert_true(reply->status == 204 || reply->status == 304);
    }
}

static void answer(char *text)
{
    scim_call call = read_request(text);
    scim_reply reply;

    memset(&reply, 0xa5, sizeof(reply));
    scim_service_answer(&reply, &call, pool);
    check_answer(&reply);
    check_events(&reply, &call);
    if (reply.status == 201 && created_count < CREATED_MAX) {
        created[created_count++] = reply.id;
    }
    while (reply.unfinished) {
        scim_service_go_on(&reply, &call, pool);
    }
    /* What was answered can be read, and is what was answered. */
    if (reply.status < 300 && reply.etag && reply.location && !call.person) {
        scim_reply again = submit(SCIM_GET, reply.location + strlen(BASE), NULL);

        assert_int_equal(again.status, 200);
        assert_string_equal(again.etag, reply.etag);
    }
}

static void fail_finding(const scim_finding *finding, void *baton)
{
    fail_msg("scim_verify: %s %s %s: %s", finding->table, finding->type ? finding->type : "",
             finding->id ? finding->id : "", finding->what);
}

FUZZ_TARGET(request)
{
    scim_verify_watcher watcher = {fail_finding, NULL, NULL};
    scim_verification sum;
    char *text = fuzz_text(data, len, scratch), *part;
    int left = REQUESTS_MAX;

    registry = fuzz_registry();
    begin(NULL);
    created_count = 0;
    if (*text == '#' && (part = strchr(text, '\n'))) {
        *part = '\0';
        set_options(text);
        text = part + 1;
    }
    while (left-- && (part = fuzz_part(&text, scratch))) {
        answer(with_ids(part));
    }
    assert_null(scim_verify(&sum, store, NULL, &watcher, pool));
    end(NULL);
}
