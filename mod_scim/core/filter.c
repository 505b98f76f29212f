/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter parser: recursive descent over the ABNF of RFC 7644 section
 * 3.4.2.2, resolved against the schema as it goes, so that a tree is free of
 * names and of comparisons that its attributes do not take.  It descends only
 * through "(" and "[", both of which count towards the depth limit.
 *
 *   or      := and *("or" and)
 *   and     := factor *("and" factor)
 *   factor  := ["not"] "(" or ")" / term
 *   term    := path test / path "[" or "]" ["." sub test]
 *   test    := "pr" / operator literal
 *
 * The evaluator is match.c.
 */
#include "scim/filter.h"

#include <stdarg.h>
#include <string.h>

#include <apr_strings.h>
#include <utf8proc.h>

#include "json_parse.h"
#include "scim/interop.h"
#include "scim/text.h"
#include "scim/time.h"

#define TOKEN_SHOWN 60 /* bytes of a token in details */

typedef struct parser {
    const char *whole; /* positions count from here */
    const char *at;
    const char *end;
    const scim_resource_type *type; /* NULL in a path, which begins within brackets */
    const scim_registry *registry;  /* where a filter is over all types; else NULL */
    bool foreign;                   /* the last path is of another type than this one */
    const scim_attribute *element;  /* within "[": the attribute before it; else NULL */
    bool lenient;
    int depth;
    int terms;
    apr_pool_t *pool;
} parser;

static const struct {
    const char *name;
    scim_filter_op op;
} operators[] = {{"eq", SCIM_OP_EQ}, {"ne", SCIM_OP_NE}, {"co", SCIM_OP_CO},
                 {"sw", SCIM_OP_SW}, {"ew", SCIM_OP_EW}, {"gt", SCIM_OP_GT},
                 {"ge", SCIM_OP_GE}, {"lt", SCIM_OP_LT}, {"le", SCIM_OP_LE}};

/* What a literal for an attribute of each type looks like. */
static const char *const expected[] = {
    [SCIM_TYPE_STRING] = "a string in double quotes",
    [SCIM_TYPE_BOOLEAN] = "true or false",
    [SCIM_TYPE_DECIMAL] = "a number",
    [SCIM_TYPE_INTEGER] = "a number",
    [SCIM_TYPE_DATETIME] = "a dateTime in double quotes, as \"2026-01-31T08:00:00Z\"",
    [SCIM_TYPE_BINARY] = "a base64 string in double quotes",
    [SCIM_TYPE_REFERENCE] = "a URI string in double quotes",
    [SCIM_TYPE_COMPLEX] = "null",
};

static const scim_error *parse_or(parser *p, const scim_filter **out);
static const scim_error *fault(parser *p, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), returns_nonnull));

/* Tokens */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(parser *p)
{
    while (p->at < p->end && is_blank(*p->at)) {
        p->at++;
    }
}

static bool next_is(const parser *p, char c)
{
    return p->at < p->end && *p->at == c;
}

/* Behind the closing quote of the string at text; NULL where there is none. */
static const char *string_end(const char *text, const char *end)
{
    const char *at;

    for (at = text + 1; at < end; at++) {
        if (*at == '"') {
            return at + 1;
        }
        if (*at == '\\' && at + 1 < end) {
            at++;
        }
    }
    return NULL;
}

/* A literal without quotes ends here: a blank, ")" or "]". */
static const char *bare_end(const char *at, const char *end)
{
    while (at < end && !is_blank(*at) && *at != ')' && *at != ']') {
        at++;
    }
    return at;
}

/* The name-like word at p->at: length 0 where there is none. */
static apr_size_t word_length(const parser *p)
{
    return (apr_size_t)(scim_path_name_end(p->at, p->end) - p->at);
}

static bool is_word(const char *text, apr_size_t len, const char *word)
{
    return len == strlen(word) && !scim_text_ncasecmp(text, word, len);
}

static bool accept_word(parser *p, const char *word)
{
    skip_blanks(p);
    if (!is_word(p->at, word_length(p), word)) {
        return false;
    }
    p->at += strlen(word);
    skip_blanks(p);
    return true;
}

/* Errors */

/* The bytes of the token at a place: a string, a bracket, or a word. */
static apr_size_t token_length(const parser *p, const char *at)
{
    const char *token_end = at;

    if (*at == '"') {
        token_end = string_end(at, p->end);
        return (apr_size_t)((token_end ? token_end : p->end) - at);
    }
    while (token_end < p->end && !is_blank(*token_end) && !strchr("()[]\"", *token_end)) {
        token_end++;
    }
    return token_end > at ? (apr_size_t)(token_end - at) : 1;
}

static const char *shown_token(const parser *p, const char *at)
{
    apr_size_t len;

    if (at == p->end) {
        return "the end";
    }
    len = token_length(p, at);
    if (len <= TOKEN_SHOWN) {
        return apr_psprintf(p->pool, "'%.*s'", (int)len, at);
    }
    len = TOKEN_SHOWN;
    while ((at[len] & 0xC0) == 0x80) {
        len--;
    }
    return apr_psprintf(p->pool, "'%.*s...'", (int)len, at);
}

/* Places are counted in characters, as an administrator counts them. */
static int position(const parser *p, const char *at)
{
    int count = 1;
    const char *c;

    for (c = p->whole; c < at; c++) {
        count += (*c & 0xC0) != 0x80;
    }
    return count;
}

static const scim_error *fault(parser *p, const char *at, const char *fmt, ...)
{
    const char *what;
    va_list args;

    va_start(args, fmt);
    what = apr_pvsprintf(p->pool, fmt, args);
    va_end(args);
    return scim_error_make(p->pool, SCIM_E_INVALID_FILTER, "%s at position %d: %s",
                           shown_token(p, at), position(p, at), what);
}

/* Nodes */

static scim_filter *make_node(parser *p, scim_filter_kind kind, const scim_filter *left,
                              const scim_filter *right)
{
    scim_filter *node = apr_pcalloc(p->pool, sizeof(*node));

    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static scim_filter *make_path_node(parser *p, scim_filter_kind kind, const scim_path *path,
                                   const scim_filter *left)
{
    scim_filter *node = make_node(p, kind, left, NULL);

    node->path = *path;
    return node;
}

/* Attribute paths */

static bool is_sensitive(const scim_attribute *attribute)
{
    return attribute && (attribute->returned == SCIM_RETURNED_NEVER ||
                         attribute->mutability == SCIM_WRITE_ONLY);
}

/* len: of the name at that place, which is all that is shown: right behind it
 * may stand the secret. */
static const scim_error *check_sensitive(parser *p, const scim_path *path, const char *at,
                                         apr_size_t len)
{
    if (is_sensitive(path->attribute) || is_sensitive(path->sub)) {
        return scim_error_make(p->pool, SCIM_E_SENSITIVE,
                               "'%.*s' at position %d: the attribute is never returned, so no "
                               "filter may ask for it",
                               (int)len, at, position(p, at));
    }
    return NULL;
}

/* A name within brackets: a sub-attribute; "value" is the element itself
 * where elements are simple. */
static const scim_error *parse_element_name(parser *p, scim_path *path)
{
    const char *name = p->at;
    apr_size_t len = word_length(p);

    memset(path, 0, sizeof(*path));
    if (!len) {
        return fault(p, name, "the name of a sub-attribute of %s must stand here",
                     p->element->path);
    }
    if (p->element->type == SCIM_TYPE_COMPLEX) {
        path->attribute = scim_attribute_sub(p->element, name, len);
    } else if (is_word(name, len, "value")) {
        path->attribute = p->element;
    }
    if (!path->attribute) {
        return fault(p, name, "%s has no such sub-attribute", p->element->path);
    }
    p->at += len;
    return check_sensitive(p, path, name, len);
}

/* Over all types, a name that this one does not have is that of the first
 * which has it. */
static scim_path_status scan_path(parser *p, scim_path *path)
{
    const char *start = p->at;
    scim_path_status status = scim_path_scan(path, &p->at, p->end, p->type);
    int i;

    p->foreign = false;
    for (i = 0; p->registry && i < p->registry->types_count && status == SCIM_PATH_UNKNOWN;
         i++) {
        p->at = start;
        status = scim_path_scan(path, &p->at, p->end, &p->registry->types[i]);
        p->foreign = status == SCIM_PATH_OK;
    }
    return status;
}

static const scim_error *parse_path(parser *p, scim_path *path)
{
    const char *start = p->at;

    if (p->element) {
        return parse_element_name(p, path);
    }
    switch (scan_path(p, path)) {
    case SCIM_PATH_MALFORMED:
        return fault(p, start, "the name of an attribute must stand here");
    case SCIM_PATH_UNKNOWN:
        return p->registry ? fault(p, start, "no resource type has this attribute")
                           : fault(p, start, "%s has no such attribute", p->type->name);
    case SCIM_PATH_OK:
        break;
    }
    if (path->extension && !p->lenient && !memchr(start, ':', (apr_size_t)(p->at - start))) {
        return fault(p, start, "an attribute of an extension must follow its URN, %s:",
                     path->extension->urn);
    }
    if (!path->attribute) {
        return fault(p, start, "the URN of a schema must be followed by ':' and an attribute");
    }
    return check_sensitive(p, path, start, (apr_size_t)(p->at - start));
}

/* Literals */

static const scim_error *parse_string(parser *p, scim_filter_value *value)
{
    const char *start = p->at;
    const char *stop = string_end(start, p->end);
    json_t *json;

    if (!stop) {
        return fault(p, start, "the string has no closing quote");
    }
    json = json_parse(start, (apr_size_t)(stop - start), 0);
    if (!json) {
        return fault(p, start, "not a JSON string: a wrong escape or a control character");
    }
    value->kind = SCIM_LITERAL_STRING;
    value->text_len = json_string_length(json);
    value->text = apr_pstrmemdup(p->pool, json_string_value(json), value->text_len);
    json_decref(json);
    p->at = stop;
    return NULL;
}

/* Whether text is a JSON literal without quotes. */
static bool read_json_word(scim_filter_value *value, const char *text, apr_size_t len)
{
    json_t *json = json_parse(text, len, JSON_PARSE_WIDE);
    bool known = true;

    if (json_is_null(json)) {
        value->kind = SCIM_LITERAL_NULL;
    } else if (json_is_boolean(json)) {
        value->kind = SCIM_LITERAL_BOOLEAN;
        value->boolean = json_is_true(json);
    } else if (json_is_number(json)) {
        value->kind = SCIM_LITERAL_NUMBER;
        value->is_integer = json_is_integer(json);
        value->integer = json_integer_value(json);
        value->real = json_number_value(json);
    } else {
        known = false;
    }
    json_decref(json);
    return known;
}

/* Whether a word that is no JSON may be a string whose quotes were left out,
 * rather than a slip: other quotes, a bracket, an operator's operand missing. */
static bool is_bare_string(const char *text, apr_size_t len)
{
    return text[0] != '\'' && strcspn(text, "\"([{") >= len && !is_word(text, len, "and") &&
           !is_word(text, len, "or");
}

static const scim_error *parse_bare(parser *p, scim_filter_value *value)
{
    const char *start = p->at;
    apr_size_t len = (apr_size_t)(bare_end(start, p->end) - start);

    if (!len) {
        return fault(p, start, "a value to compare with must stand here");
    }
    value->text = apr_pstrmemdup(p->pool, start, len);
    value->text_len = len;
    if (!read_json_word(value, value->text, len)) {
        if (!p->lenient || !is_bare_string(value->text, len)) {
            return fault(p, start,
                         "a value is a string in double quotes, a number, true, "
                         "false or null");
        }
        value->kind = SCIM_LITERAL_STRING;
    }
    p->at = start + len;
    return NULL;
}

static const scim_error *parse_literal(parser *p, scim_filter_value *value)
{
    memset(value, 0, sizeof(*value));
    return next_is(p, '"') ? parse_string(p, value) : parse_bare(p, value);
}

/* Comparisons */

static bool is_textual(scim_type type)
{
    return type == SCIM_TYPE_STRING || type == SCIM_TYPE_REFERENCE;
}

static bool takes_operator(scim_type type, scim_filter_op op)
{
    switch (op) {
    case SCIM_OP_EQ:
    case SCIM_OP_NE:
        return type != SCIM_TYPE_COMPLEX;
    case SCIM_OP_CO:
    case SCIM_OP_SW:
    case SCIM_OP_EW:
        return is_textual(type);
    default:
        return type != SCIM_TYPE_COMPLEX && type != SCIM_TYPE_BOOLEAN &&
               type != SCIM_TYPE_BINARY;
    }
}

static const char *operators_of(scim_type type)
{
    switch (type) {
    case SCIM_TYPE_COMPLEX:
        return "it is complex: name one of its sub-attributes, or use pr";
    case SCIM_TYPE_BOOLEAN:
    case SCIM_TYPE_BINARY:
        return "its type takes eq, ne and pr";
    default:
        return "its type takes eq, ne, gt, ge, lt, le and pr";
    }
}

/* Makes of value what values of the attribute are compared with; false where
 * it is nothing of the attribute's type. */
static bool fit_literal(parser *p, scim_filter_value *value, const scim_attribute *attribute)
{
    bool exact = attribute->case_exact || attribute->type == SCIM_TYPE_BINARY;

    switch (attribute->type) {
    case SCIM_TYPE_STRING:
    case SCIM_TYPE_REFERENCE:
    case SCIM_TYPE_BINARY:
        if (p->lenient && value->kind == SCIM_LITERAL_NUMBER) {
            value->kind = SCIM_LITERAL_STRING; /* an id of digits without its quotes */
        }
        if (value->kind != SCIM_LITERAL_STRING) {
            return false;
        }
        value->prepared = scim_text_prepare(value->text, value->text_len, exact,
                                            &value->prepared_len, p->pool);
        return true;
    case SCIM_TYPE_DATETIME:
        if (value->kind != SCIM_LITERAL_STRING || !scim_time_parse(value->text, &value->time)) {
            return false;
        }
        value->kind = SCIM_LITERAL_TIME;
        return true;
    case SCIM_TYPE_BOOLEAN:
        if (p->lenient && value->kind == SCIM_LITERAL_STRING &&
            scim_interop_boolean(value->text, &value->boolean)) {
            value->kind = SCIM_LITERAL_BOOLEAN;
        }
        return value->kind == SCIM_LITERAL_BOOLEAN;
    case SCIM_TYPE_DECIMAL:
    case SCIM_TYPE_INTEGER:
        return value->kind == SCIM_LITERAL_NUMBER;
    case SCIM_TYPE_COMPLEX:
        break;
    }
    return false;
}

/* An operator and its literal, and where they stand. */
typedef struct comparison {
    scim_filter_op op;
    scim_filter_value value;
    const char *op_at;
    const char *value_at;
} comparison;

static const scim_error *make_comparison(parser *p, const scim_path *path, comparison *c,
                                         const scim_filter **out)
{
    scim_path target = *path;
    const scim_attribute *leaf = scim_path_leaf(&target);
    scim_filter *node;

    if (leaf->type == SCIM_TYPE_COMPLEX) {
        target.sub = scim_attribute_sub(leaf, "value", strlen("value"));
        leaf = scim_path_leaf(&target);
        SCIM_ERR(check_sensitive(p, &target, c->op_at, token_length(p, c->op_at)));
    }
    if (!takes_operator(leaf->type, c->op)) {
        return fault(p, c->op_at, "%s cannot be compared so; %s", leaf->path,
                     operators_of(leaf->type));
    }
    if (c->value.kind != SCIM_LITERAL_NULL && !fit_literal(p, &c->value, leaf)) {
        return fault(p, c->value_at, "%s is compared with %s", leaf->path,
                     expected[leaf->type]);
    }
    node = make_path_node(p, SCIM_FILTER_COMPARE, &target, NULL);
    node->op = c->op;
    node->value = c->value;
    *out = node;
    return NULL;
}

static const scim_error *parse_operator(parser *p, scim_filter_op *op)
{
    apr_size_t len = word_length(p);
    apr_size_t i;

    for (i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
        if (is_word(p->at, len, operators[i].name)) {
            *op = operators[i].op;
            p->at += len;
            skip_blanks(p);
            return NULL;
        }
    }
    return fault(p, p->at,
                 "an operator must stand here: eq, ne, co, sw, ew, gt, ge, lt, le "
                 "or pr");
}

/* What stands behind a path.  "ne" and "eq null" come out as their opposite
 * with *negated set, since a value path negates as a whole: no element may
 * match, not one element may fail to. */
static const scim_error *parse_test(parser *p, const scim_path *path, const scim_filter **out,
                                    bool *negated)
{
    comparison c = {.op = SCIM_OP_EQ};

    *negated = false;
    if (++p->terms > SCIM_FILTER_MAX_TERMS) {
        return fault(p, p->at, "the filter has more than %d comparisons",
                     SCIM_FILTER_MAX_TERMS);
    }
    if (accept_word(p, "pr")) {
        *out = make_path_node(p, SCIM_FILTER_PRESENT, path, NULL);
        return NULL;
    }
    c.op_at = p->at;
    SCIM_ERR(parse_operator(p, &c.op));
    c.value_at = p->at;
    SCIM_ERR(parse_literal(p, &c.value));
    if (c.value.kind == SCIM_LITERAL_NULL && (c.op == SCIM_OP_EQ || c.op == SCIM_OP_NE)) {
        *negated = c.op == SCIM_OP_EQ;
        *out = make_path_node(p, SCIM_FILTER_PRESENT, path, NULL);
        return NULL;
    }
    if (c.op == SCIM_OP_NE) {
        *negated = true;
        c.op = SCIM_OP_EQ;
    }
    return make_comparison(p, path, &c, out);
}

static const scim_filter *negate_if(parser *p, bool negated, const scim_filter *filter)
{
    return negated ? make_node(p, SCIM_FILTER_NOT, filter, NULL) : filter;
}

/* Nesting */

static const scim_error *descend(parser *p)
{
    if (++p->depth > SCIM_FILTER_MAX_DEPTH) {
        return fault(p, p->at, "brackets are nested more than %d deep", SCIM_FILTER_MAX_DEPTH);
    }
    p->at++;
    return NULL;
}

/* Behind "[": a filter over the elements of an attribute, up to its "]". */
static const scim_error *parse_elements(parser *p, const scim_attribute *attribute,
                                        const scim_filter **out)
{
    const scim_attribute *outer = p->element;

    p->element = attribute;
    SCIM_ERR(parse_or(p, out));
    if (!next_is(p, ']')) {
        return fault(p, p->at, "'and', 'or' or the ']' of %s must stand here", attribute->path);
    }
    p->at++;
    p->depth--;
    p->element = outer;
    return NULL;
}

/* "." sub-attribute and a test of it, behind a value path: joined to the
 * filter between the brackets, so that one element must satisfy both. */
static const scim_error *parse_suffix(parser *p, const scim_attribute *attribute,
                                      const scim_filter **inner, bool *negated)
{
    const scim_filter *test;
    scim_path path;

    p->at++;
    p->element = attribute;
    SCIM_ERR(parse_path(p, &path));
    SCIM_ERR(parse_test(p, &path, &test, negated));
    p->element = NULL;
    *inner = make_node(p, SCIM_FILTER_AND, *inner, test);
    return NULL;
}

static const scim_error *parse_value_path(parser *p, const scim_path *path,
                                          const scim_filter **out, bool *negated)
{
    const scim_attribute *attribute = path->attribute;
    const scim_filter *inner;

    *negated = false;
    if (p->element || path->sub ||
        !(attribute->multi_valued || attribute->type == SCIM_TYPE_COMPLEX)) {
        return fault(p, p->at, "'[' may follow only a multi-valued or complex attribute");
    }
    SCIM_ERR(descend(p));
    SCIM_ERR(parse_elements(p, attribute, &inner));
    if (next_is(p, '.')) {
        SCIM_ERR(parse_suffix(p, attribute, &inner, negated));
    }
    *out = make_path_node(p, SCIM_FILTER_ELEMENT, path, inner);
    return NULL;
}

static const scim_error *parse_term(parser *p, const scim_filter **out)
{
    scim_path path;
    bool negated, foreign;

    SCIM_ERR(parse_path(p, &path));
    foreign = p->foreign;
    if (next_is(p, '[')) {
        SCIM_ERR(parse_value_path(p, &path, out, &negated));
    } else {
        SCIM_ERR(parse_test(p, &path, out, &negated));
    }
    if (foreign) {
        *out = make_node(p, SCIM_FILTER_NEVER, NULL, NULL);
    }
    *out = negate_if(p, negated, *out);
    return NULL;
}

static const scim_error *parse_group(parser *p, const scim_filter **out)
{
    SCIM_ERR(descend(p));
    SCIM_ERR(parse_or(p, out));
    if (!next_is(p, ')')) {
        return fault(p, p->at, "'and', 'or' or a ')' must stand here");
    }
    p->at++;
    p->depth--;
    return NULL;
}

static const scim_error *parse_factor(parser *p, const scim_filter **out)
{
    bool negated = accept_word(p, "not");

    if (next_is(p, '(')) {
        SCIM_ERR(parse_group(p, out));
        *out = negate_if(p, negated, *out);
        return NULL;
    }
    if (negated) {
        return fault(p, p->at, "a '(' must follow not");
    }
    return parse_term(p, out);
}

static const scim_error *parse_and(parser *p, const scim_filter **out)
{
    SCIM_ERR(parse_factor(p, out));
    while (accept_word(p, "and")) {
        const scim_filter *right;
        SCIM_ERR(parse_factor(p, &right));
        *out = make_node(p, SCIM_FILTER_AND, *out, right);
    }
    return NULL;
}

static const scim_error *parse_or(parser *p, const scim_filter **out)
{
    SCIM_ERR(parse_and(p, out));
    while (accept_word(p, "or")) {
        const scim_filter *right;
        SCIM_ERR(parse_and(p, &right));
        *out = make_node(p, SCIM_FILTER_OR, *out, right);
    }
    return NULL;
}

/* Whole filters */

/* Details quote the text, and they are UTF-8. */
static const scim_error *check_utf8(const parser *p)
{
    const char *at = p->whole;
    utf8proc_int32_t c;

    while (at < p->end) {
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)at, p->end - at, &c);
        if (len < 1) {
            return scim_error_make(p->pool, SCIM_E_INVALID_FILTER,
                                   "the filter is not UTF-8 at position %d", position(p, at));
        }
        at += len;
    }
    return NULL;
}

static const scim_error *check_text(const parser *p)
{
    if (p->end - p->whole > SCIM_FILTER_MAX_LENGTH) {
        return scim_error_make(p->pool, SCIM_E_INVALID_FILTER,
                               "the filter is longer than %d bytes", SCIM_FILTER_MAX_LENGTH);
    }
    return check_utf8(p);
}

static const scim_error *parse_whole(parser *p, const scim_filter **out)
{
    SCIM_ERR(check_text(p));
    skip_blanks(p);
    if (p->at == p->end) {
        return scim_error_make(p->pool, SCIM_E_INVALID_FILTER, "the filter is empty");
    }
    SCIM_ERR(parse_or(p, out));
    if (next_is(p, ')')) {
        return fault(p, p->at, "no '(' belongs to it");
    }
    if (p->at != p->end) {
        return fault(p, p->at, "'and', 'or' or the end of the filter must stand here");
    }
    return NULL;
}

const scim_error *scim_filter_parse(const scim_filter **out, const char *text,
                                    const scim_resource_type *type, bool lenient,
                                    apr_pool_t *result_pool)
{
    parser p = {.whole = text,
                .at = text,
                .end = text + strlen(text),
                .type = type,
                .lenient = lenient,
                .pool = result_pool};

    return parse_whole(&p, out);
}

const scim_error *scim_filter_parse_any(const scim_filter **out, const char *text,
                                        const scim_resource_type *type,
                                        const scim_registry *registry, bool lenient,
                                        apr_pool_t *result_pool)
{
    parser p = {.whole = text,
                .at = text,
                .end = text + strlen(text),
                .type = type,
                .registry = registry,
                .lenient = lenient,
                .pool = result_pool};

    return parse_whole(&p, out);
}

const scim_error *scim_filter_parse_element(const scim_filter **out, const char **cursor,
                                            const char *end, const char *whole,
                                            const scim_attribute *attribute, bool lenient,
                                            apr_pool_t *result_pool)
{
    parser p = {.whole = whole,
                .at = *cursor,
                .end = end,
                .lenient = lenient,
                .depth = 1,
                .pool = result_pool};

    SCIM_ERR(check_text(&p));
    SCIM_ERR(parse_elements(&p, attribute, out));
    *cursor = p.at;
    return NULL;
}
