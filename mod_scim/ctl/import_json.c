/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Newline-delimited JSON: one resource a line.
 *
 * A group of a million members is one line, too, which is never in memory as a
 * whole: while it is read, the elements of "members" are taken out of it, one by one,
 * and only what is left is a document to be parsed.
 */
#include <string.h>

#include "scim/buffer.h"
#include "scim/text.h"
#include "scim/validate.h"

#include "import.h"

#define MEMBERS "members"

typedef enum fault { FAULT_NONE, FAULT_LONG, FAULT_MEMBER, FAULT_SPOOL } fault;

/* One line, as far as it is read. */
typedef struct scan {
    import *im;
    apr_uint64_t line;
    scim_buffer *text;    /* without elements of members */
    scim_buffer *element; /* that is being read */
    int depth;            /* arrays and objects that are open */
    bool string, escaped;
    apr_size_t string_at; /* where the last string of the outermost object begins, in text */
    bool named;           /* that string is "members", and its value is next */
    bool within;          /* its array */
    apr_uint64_t count;   /* elements */
    fault fault;
    const scim_error *error; /* FAULT_MEMBER */
    apr_pool_t *pool;
    apr_pool_t *scratch; /* of one element */
} scan;

/* Members */

/* An element may be an id alone, or have nothing but its address, as identity providers
 * send both. */
static json_t *whole_element(const scim_buffer *text, apr_pool_t *pool, const scim_error **err)
{
    const char *framed = text->data;
    json_t *element, *value;
    const char *ref, *slash;

    if (framed[strspn(framed, " \t\r")] == '"') {
        scim_buffer *object = scim_buffer_make(text->len + 16, pool);

        scim_buffer_puts(object, "{\"value\":");
        scim_buffer_add(object, text->data, text->len);
        scim_buffer_puts(object, "}");
        text = object;
    }
    *err = scim_json_read(&element, text->data, text->len, pool);
    if (*err) {
        return NULL;
    }
    ref = scim_json_string(element, "$ref");
    value = scim_json_get(element, "value", NULL);
    slash = ref ? strrchr(ref, '/') : NULL;
    if (slash && slash[1] && (!value || scim_json_unassigned(value))) {
        scim_json_set(element, "value", scim_json_text(slash + 1));
    }
    return element;
}

static void end_element(scan *s)
{
    scim_member_op member;
    json_t *element;

    if (s->fault != FAULT_NONE || strspn(s->element->data, " \t\r") == s->element->len) {
        s->element->len = 0;
        return;
    }
    apr_pool_clear(s->scratch);
    element = whole_element(s->element, s->scratch, &s->error);
    if (element) {
        s->error = scim_validate_member(&member, element, MEMBERS, s->scratch);
    }
    if (s->error) {
        s->error =
            scim_error_make(s->pool, s->error->code, "%s: %s", MEMBERS, s->error->detail);
        s->fault = FAULT_MEMBER;
    } else if (!ctl_import_note_member(s->im, s->line, &member)) {
        s->fault = FAULT_SPOOL;
    }
    s->count++;
    s->element->len = 0;
}

/* Where in a line it stands */

static bool is_members(const scan *s)
{
    const char *name = s->text->data + s->string_at;

    return s->text->len - s->string_at == sizeof(MEMBERS) + 1 &&
           !scim_text_ncasecmp(name, "\"" MEMBERS "\"", sizeof(MEMBERS) + 1);
}

static void keep(scan *s, char c)
{
    scim_buffer *to = s->within && s->depth >= 2 ? s->element : s->text;
    apr_size_t most = to == s->text ? IMPORT_LINE_MAX : IMPORT_MEMBER_MAX;

    if (to->len < most) {
        scim_buffer_add(to, &c, 1);
    } else if (s->fault == FAULT_NONE) {
        s->fault = FAULT_LONG;
    }
}

static void take_in_string(scan *s, char c)
{
    keep(s, c);
    if (s->escaped) {
        s->escaped = false;
    } else if (c == '\\') {
        s->escaped = true;
    } else if (c == '"') {
        s->string = false;
    }
}

static void open_value(scan *s, char c)
{
    keep(s, c);
    s->depth++;
    if (c == '[' && s->depth == 2 && s->named && !s->within) {
        s->within = true;
    }
    s->named = false;
}

static void close_value(scan *s, char c)
{
    if (s->within && s->depth == 2) {
        end_element(s);
        s->within = false;
    }
    s->depth--;
    keep(s, c);
}

static void take(scan *s, char c)
{
    if (s->string) {
        take_in_string(s, c);
        return;
    }
    switch (c) {
    case '"':
        s->string = true;
        s->string_at = s->within ? s->string_at : s->text->len;
        s->named = false;
        keep(s, c);
        break;
    case ':':
        s->named = s->depth == 1 && is_members(s);
        keep(s, c);
        break;
    case '[':
    case '{':
        open_value(s, c);
        break;
    case ']':
    case '}':
        close_value(s, c);
        break;
    case ',':
        if (s->within && s->depth == 2) {
            end_element(s);
            break;
        }
        keep(s, c);
        break;
    default:
        s->named = s->named && strchr(" \t\r", c);
        keep(s, c);
    }
}

/* Lines */

/* A NUL is none: what a line holds behind it is not to be passed by in silence. */
static bool is_blank(const scim_buffer *text)
{
    return strspn(text->data, " \t\r") == text->len;
}

static const scim_error *read_line(import_entry *out, const scan *s)
{
    const char *text = s->text->data;

    switch (s->fault) {
    case FAULT_LONG:
        return scim_error_make(s->pool, SCIM_E_TOO_LARGE,
                               "The line has more than %d bytes (of which members do not "
                               "count), or a member more than %d",
                               IMPORT_LINE_MAX, IMPORT_MEMBER_MAX);
    case FAULT_MEMBER:
        return s->error;
    default:
        break;
    }
    /* A byte order mark, which some programs begin a file with. */
    text += s->line == 1 && !strncmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    SCIM_ERR(scim_json_read(&out->body, text, s->text->len - (apr_size_t)(text - s->text->data),
                            s->pool));
    if (scim_json_get(out->body, "Resources", NULL)) {
        out->body = NULL;
        return scim_error_make(s->pool, SCIM_E_INVALID_SYNTAX,
                               "This is the answer to a query; take the resources out of it: "
                               "jq -c '.Resources[]'");
    }
    return NULL;
}

/* A document of several lines is the mistake that is made most. */
static const scim_error *explain(const scan *s, const scim_error *err)
{
    if (s->depth > 0 && err->code == SCIM_E_INVALID_SYNTAX) {
        return scim_error_make(s->pool, err->code,
                               "%s; each line is to hold one whole JSON object: jq -c . makes "
                               "such lines",
                               err->detail);
    }
    return err;
}

static bool scan_line(scan *s)
{
    import_input *in = &s->im->input;
    int c = ctl_import_byte(in);

    if (c < 0) {
        return false;
    }
    while (c >= 0 && c != '\n') {
        take(s, (char)c);
        c = ctl_import_byte(in);
    }
    return true;
}

bool ctl_import_json(import_entry *out, import *im, apr_pool_t *pool)
{
    scan s = {.im = im, .pool = pool};
    bool any;

    apr_pool_create(&s.scratch, pool);
    s.element = scim_buffer_make(256, pool);
    s.text = scim_buffer_make(2048, pool);
    do {
        s.text->len = 0;
        s.text->data[0] = '\0';
        s.line = im->input.line;
        any = scan_line(&s);
    } while (any && s.fault == FAULT_NONE && is_blank(s.text));
    if (!any || s.fault == FAULT_SPOOL) {
        return false;
    }
    *out = (import_entry){.line = s.line, .members = s.count > 0, .bytes = s.text->len};
    out->error = read_line(out, &s);
    out->error = out->error ? explain(&s, out->error) : NULL;
    return true;
}
