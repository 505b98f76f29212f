/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH: operations over a resource.  The input is a line with the type and the
 * profile, the resource as a POST has it, and behind a line "%%" the PatchOp.
 */
#include "scim/interop.h"
#include "scim/patch.h"
#include "scim/validate.h"

#include "fuzz.h"

static const scim_error *post(scim_draft *out, const char *text, const scim_resource_type *type,
                              bool lenient, apr_pool_t *pool)
{
    json_t *body;

    SCIM_ERR(scim_json_read(&body, text, strlen(text), pool));
    SCIM_ERR(scim_interop_resource(&body, body, type, lenient, pool));
    return scim_validate_resource(out, body, NULL, type, lenient, pool);
}

static const scim_error *read_patch(const scim_patch **out, const char *text,
                                    const scim_resource_type *type, bool lenient,
                                    apr_pool_t *pool)
{
    json_t *body;

    SCIM_ERR(scim_json_read(&body, text, strlen(text), pool));
    SCIM_ERR(scim_interop_patch(&body, body, type, lenient, pool));
    return scim_patch_parse(out, body, type, lenient, pool);
}

static void check_result(const json_t *json, const scim_resource_type *type, bool lenient,
                         apr_pool_t *pool)
{
    json_t *copy = scim_json_adopt(json_deep_copy(json), pool);
    scim_draft put;

    fuzz_check_json(json, pool);
    assert_true(fuzz_ok(scim_validate_whole(copy, type, pool)));
    assert_true(json_equal(copy, json));
    assert_true(fuzz_ok(scim_validate_resource(&put, json, json, type, lenient, pool)));
    assert_true(json_equal(put.json, json));
}

FUZZ_TARGET(patch)
{
    char *text = fuzz_text(data, len, scratch), *resource;
    bool lenient;
    const scim_resource_type *type = fuzz_type(&text, &lenient);
    const scim_patch *patch;
    scim_draft stored, draft, again;
    const scim_error *err;
    json_t *before;

    resource = fuzz_part(&text, scratch);
    if (!text || !fuzz_ok(post(&stored, resource, type, lenient, scratch)) ||
        !fuzz_ok(read_patch(&patch, text, type, lenient, scratch))) {
        return;
    }
    before = scim_json_adopt(json_deep_copy(stored.json), scratch);
    err = scim_patch_apply(&draft, patch, stored.json, scratch);
    assert_true(json_equal(before, stored.json));
    assert_int_equal(scim_patch_apply(&again, patch, stored.json, scratch) != NULL,
                     err != NULL);
    if (fuzz_ok(err)) {
        assert_true(json_equal(draft.json, again.json));
        check_result(draft.json, type, lenient, scratch);
    }
}
