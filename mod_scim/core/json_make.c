/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making Jansson's trees.  The only place where its functions that need memory are
 * called: what they answer where there is none is what they answer to a fault in
 * their arguments, and some leave a part out and say nothing.
 */
#include <math.h>
#include <string.h>

#include "scim/heap.h"
#include "scim/json.h"
#include "scim/text.h"

json_t *scim_json_object(void)
{
    return scim_heap_checked(json_object());
}

json_t *scim_json_array(void)
{
    return scim_heap_checked(json_array());
}

json_t *scim_json_integer(json_int_t value)
{
    return scim_heap_checked(json_integer(value));
}

json_t *scim_json_real(double value)
{
    return isfinite(value) ? scim_heap_checked(json_real(value)) : NULL;
}

/* What text is not is looked at only where there is a reason. */
json_t *scim_json_textn(const char *text, apr_size_t len)
{
    json_t *string = json_stringn(text, len);

    if (!string && text && scim_text_is_utf8(text, len)) {
        scim_heap_exhausted();
    }
    return string;
}

void scim_json_rewrite(json_t *string, const char *text, apr_size_t len)
{
    if (json_string_setn_nocheck(string, text, len) && json_is_string(string)) {
        scim_heap_exhausted();
    }
}

void scim_json_refused(bool meant)
{
    if (meant) {
        scim_heap_exhausted();
    }
}

void scim_json_insert(json_t *array, apr_size_t i, json_t *value)
{
    if (json_array_insert_new(array, i, value) && value && i <= json_array_size(array)) {
        scim_heap_exhausted();
    }
}

/* Jansson's passes over the members that find no memory. */
json_t *scim_json_copy(const json_t *json)
{
    json_t *copy = json_copy((json_t *)json); /* which only reads it */

    if (json && (!copy || json_object_size(copy) != json_object_size(json) ||
                 json_array_size(copy) != json_array_size(json))) {
        scim_heap_exhausted();
    }
    return copy;
}

json_t *scim_json_deep_copy(const json_t *json)
{
    return json ? scim_heap_checked(json_deep_copy(json)) : NULL;
}

static void update(json_t *object, const json_t *other, bool missing)
{
    const char *name;
    json_t *value;
    size_t len;

    json_object_keylen_foreach((json_t *)other, name, len, value)
    {
        if (!missing || !json_object_getn(object, name, len)) {
            scim_json_setn(object, name, len, json_incref(value));
        }
    }
}

void scim_json_update(json_t *object, const json_t *other)
{
    update(object, other, false);
}

void scim_json_update_missing(json_t *object, const json_t *other)
{
    update(object, other, true);
}

apr_size_t scim_json_dumpb(const json_t *json, char *buffer, apr_size_t size, size_t flags)
{
    size_t len = json_dumpb(json, buffer, size, flags);

    if (!len && json) {
        scim_heap_exhausted();
    }
    return len;
}

char *scim_json_dumps(const json_t *json, size_t flags)
{
    char *text = json_dumps(json, flags);

    if (!text && json) {
        scim_heap_exhausted();
    }
    return text;
}

void scim_json_print(const json_t *json, FILE *file, size_t flags)
{
    if (json_dumpf(json, file, flags) && json && !ferror(file)) {
        scim_heap_exhausted();
    }
}

json_t *scim_json_pack(const char *format, ...)
{
    json_error_t fault;
    json_t *made;
    va_list args;

    va_start(args, format);
    made = json_vpack_ex(&fault, 0, format, args);
    va_end(args);
    /* A string that finds no memory is a "NULL object value" to Jansson. */
    if (!made && json_error_code(&fault) != json_error_invalid_utf8) {
        scim_heap_exhausted();
    }
    return made;
}
