/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of PATCH, of projections and of orders.
 */
#include "scim/filter.h"
#include "scim/path.h"
#include "scim/project.h"
#include "scim/sort.h"

#include "fuzz.h"

static void check_same(const scim_path *a, const scim_path *b)
{
    assert_ptr_equal(a->extension, b->extension);
    assert_ptr_equal(a->attribute, b->attribute);
    assert_ptr_equal(a->sub, b->sub);
}

/* A path is found again by the name that the schema gives it. */
static void check_named(const scim_path *path, const scim_resource_type *type, apr_pool_t *pool)
{
    const scim_attribute *leaf = scim_path_leaf(path);
    const char *name = leaf ? leaf->path : path->extension->urn;
    scim_path again;

    assert_int_equal(scim_path_attribute(&again, name, type), SCIM_PATH_OK);
    check_same(&again, path);
    assert_null(scim_path_parse(&again, name, type, pool));
    check_same(&again, path);
}

FUZZ_TARGET(path)
{
    char *text = fuzz_text(data, len, scratch);
    bool lenient;
    const scim_resource_type *type = fuzz_type(&text, &lenient);
    const char *cursor = text, *end = text + strlen(text);
    const scim_projection *projection;
    scim_path path;

    if (scim_path_scan(&path, &cursor, end, type) == SCIM_PATH_OK) {
        assert_true(cursor > text && cursor <= end);
        check_named(&path, type, scratch);
    }
    if (scim_path_attribute(&path, text, type) == SCIM_PATH_OK) {
        check_named(&path, type, scratch);
    }
    if (fuzz_ok(scim_path_parse(&path, text, type, scratch))) {
        assert_true(path.attribute || path.extension);
        assert_true(!path.filter || (path.attribute && path.attribute->multi_valued));
        check_named(&path, type, scratch);
        if (path.filter) {
            scim_filter_template(path.filter, scratch);
        }
    }
    fuzz_ok(scim_projection_parse(&projection, text, NULL, type, scratch));
    fuzz_ok(scim_projection_parse(&projection, NULL, text, type, scratch));
}
