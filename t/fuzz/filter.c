/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters: parsed in both profiles, and evaluated against resources.
 */
#include "scim/filter.h"

#include "fuzz.h"

static const char user_text[] =
    "{\"schemas\":[\"" SCIM_URN_USER "\",\"" SCIM_URN_ENTERPRISE "\"],"
    "\"id\":\"0197a1b2-c3d4-7e5f-8a6b-0123456789ab\",\"externalId\":\"X-1\","
    "\"userName\":\"Babs.Jensen@example.com\",\"active\":true,"
    "\"name\":{\"givenName\":\"Barbara\",\"familyName\":\"Stra\xc3\x9f"
    "e\"},\"title\":\"\xf0\x9f\x98\x80 boss\","
    "\"emails\":[{\"value\":\"babs@example.com\",\"type\":\"work\",\"primary\":true},"
    "{\"value\":\"b@home.example\",\"type\":\"home\"}],"
    "\"x509Certificates\":[{\"value\":\"MIIB\"}],"
    "\"groups\":[{\"value\":\"0197a1b2-c3d4-7e5f-8a6b-000000000001\",\"display\":\"Staff\","
    "\"type\":\"direct\"}],"
    "\"meta\":{\"resourceType\":\"User\",\"created\":\"2026-01-02T03:04:05.000000Z\","
    "\"lastModified\":\"2026-11-21T22:37:00.000000Z\",\"version\":\"W/\\\"3\\\"\"},"
    "\"" SCIM_URN_ENTERPRISE "\":{\"employeeNumber\":\"701984\",\"department\":\"Tour\","
    "\"manager\":{\"value\":\"0197a1b2-c3d4-7e5f-8a6b-000000000002\"}}}";

static const char group_text[] =
    "{\"schemas\":[\"" SCIM_URN_GROUP "\"],\"id\":\"0197a1b2-c3d4-7e5f-8a6b-0123456789ac\","
    "\"displayName\":\"Staff\",\"members\":["
    "{\"value\":\"0197a1b2-c3d4-7e5f-8a6b-0123456789ab\",\"type\":\"User\","
    "\"display\":\"Babs\"}],"
    "\"meta\":{\"resourceType\":\"Group\",\"created\":\"2026-01-02T03:04:05.000000Z\"}}";

static const json_t *read_edges(scim_candidate *subject, const scim_attribute *attribute)
{
    return json_object_get(subject->resource, attribute->name);
}

static bool has_edge(scim_candidate *subject, const scim_attribute *attribute,
                     const char *value)
{
    const json_t *list = json_object_get(subject->resource, attribute->name), *element;
    size_t i;

    json_array_foreach (list, i, element) {
        if (!strcmp(scim_json_string(element, "value"), value)) {
            return true;
        }
    }
    return false;
}

static bool matches(const scim_filter *filter, const scim_resource_type *type, const char *text,
                    apr_pool_t *pool)
{
    scim_candidate subject = {.type = type,
                              .resource = scim_json_read_own(text, strlen(text), pool),
                              .edges = read_edges,
                              .has_edge = has_edge};

    return scim_filter_match(filter, &subject, pool);
}

/* Whether the whole matches; false where it is beyond a limit. */
static bool around(bool *out, const char *whole, const scim_resource_type *type, bool lenient,
                   const char *resource, apr_pool_t *pool)
{
    const scim_filter *filter;

    if (scim_filter_parse(&filter, whole, type, lenient, pool)) {
        return false;
    }
    *out = matches(filter, type, resource, pool);
    return true;
}

static void check_logic(const char *text, bool expected, const scim_resource_type *type,
                        bool lenient, const char *resource, apr_pool_t *pool)
{
    const char *not = apr_pstrcat(pool, "not (", text, ")", NULL);
    const char *twice = apr_pstrcat(pool, "(", text, ") and (", text, ")", NULL);
    const char *either = apr_pstrcat(pool, not, " or (", text, ")", NULL);
    bool other;

    if (around(&other, not, type, lenient, resource, pool)) {
        assert_int_equal(other, !expected);
    }
    if (around(&other, twice, type, lenient, resource, pool)) {
        assert_int_equal(other, expected);
    }
    if (around(&other, either, type, lenient, resource, pool)) {
        assert_true(other);
    }
}

static bool check_profile(const char *text, const scim_resource_type *type, bool lenient,
                          const char *resource, apr_pool_t *pool)
{
    const scim_filter *filter, *any;
    bool expected;

    if (!fuzz_ok(scim_filter_parse(&filter, text, type, lenient, pool))) {
        return false;
    }
    expected = matches(filter, type, resource, pool);
    assert_in_range(scim_filter_terms(filter), 1, SCIM_FILTER_MAX_TERMS);
    check_logic(text, expected, type, lenient, resource, pool);
    /* What one type has, several have. */
    assert_true(
        fuzz_ok(scim_filter_parse_any(&any, text, type, fuzz_registry(), lenient, pool)));
    assert_int_equal(matches(any, type, resource, pool), expected);
    return true;
}

FUZZ_TARGET(filter)
{
    char *text = fuzz_text(data, len, scratch);
    bool lenient;
    const scim_resource_type *type = fuzz_type(&text, &lenient);
    const char *resource = type->members ? group_text : user_text;

    if (check_profile(text, type, false, resource, scratch)) {
        assert_true(check_profile(text, type, true, resource, scratch));
    } else {
        check_profile(text, type, true, resource, scratch);
    }
}
