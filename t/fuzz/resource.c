/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of POST and PUT: from JSON to what is stored.
 */
#include "scim/interop.h"
#include "scim/validate.h"

#include "fuzz.h"

static const scim_error *make(scim_draft *out, const json_t *body, const json_t *existing,
                              const scim_resource_type *type, bool lenient, apr_pool_t *pool)
{
    json_t *normal;

    SCIM_ERR(scim_interop_resource(&normal, body, type, lenient, pool));
    return scim_validate_resource(out, normal, existing, type, lenient, pool);
}

/* What is stored can be stored, and is then what it was. */
static void check_stored(const json_t *json, const scim_resource_type *type, bool lenient,
                         apr_pool_t *pool)
{
    json_t *copy = scim_json_adopt(json_deep_copy(json), pool);
    scim_draft again;

    fuzz_check_json(json, pool);
    assert_true(fuzz_ok(make(&again, json, NULL, type, lenient, pool)));
    assert_true(json_equal(again.json, json));
    assert_true(fuzz_ok(make(&again, json, json, type, lenient, pool)));
    assert_true(json_equal(again.json, json));
    assert_true(fuzz_ok(scim_validate_whole(copy, type, pool)));
    assert_true(json_equal(copy, json));
}

static bool check_profile(const json_t *body, const scim_resource_type *type, bool lenient,
                          apr_pool_t *pool)
{
    json_t *copy = scim_json_adopt(json_deep_copy(body), pool);
    scim_draft draft;
    const scim_error *err = make(&draft, body, NULL, type, lenient, pool);

    assert_true(json_equal(copy, body));
    if (fuzz_ok(err)) {
        check_stored(draft.json, type, lenient, pool);
    }
    return !err;
}

FUZZ_TARGET(resource)
{
    char *text = fuzz_text(data, len, scratch);
    bool lenient, strict;
    const scim_resource_type *type = fuzz_type(&text, &lenient);
    json_t *body;

    if (!fuzz_ok(scim_json_read(&body, text, strlen(text), scratch))) {
        return;
    }
    fuzz_check_json(body, scratch);
    strict = check_profile(body, type, false, scratch);
    assert_true(check_profile(body, type, true, scratch) || !strict);
}
