/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV (RFC 4180): one user a row, the names of the columns in the first.  What a
 * column is, its name says, or --map.
 *
 * libcsv reads it.  A row becomes the JSON that a POST would send; all that is asked
 * of a value is asked there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <csv.h>

#include "scim/buffer.h"
#include "scim/filter.h"
#include "scim/heap.h"
#include "scim/interop.h"
#include "scim/path.h"
#include "scim/text.h"

#include "import.h"

#define COLUMNS_MAX 200

/* What the programs that people come from call their columns; compared without case,
 * spaces and punctuation, and without what stands in brackets. */
static const struct {
    const char *path;
    const char *names; /* with a space around each */
} known[] = {
    {"id", " id "},
    {"userName", " username login user userprincipalname upn account accountname "
                 "samaccountname loginname logon uid "},
    {"externalId", " externalid objectid employeeobjectid entraobjectid guid objectguid "},
    {"name.givenName", " givenname firstname first forename "},
    {"name.middleName", " middlename middle "},
    {"name.familyName", " familyname lastname last surname sn "},
    {"name.formatted", " fullname name formattedname "},
    {"name.honorificPrefix", " honorificprefix prefix salutation "},
    {"name.honorificSuffix", " honorificsuffix suffix "},
    {"displayName", " displayname cn commonname "},
    {"nickName", " nickname alias "},
    {"profileUrl", " profileurl "},
    {"title", " title jobtitle position "},
    {"userType", " usertype "},
    {"preferredLanguage", " preferredlanguage language "},
    {"locale", " locale "},
    {"timezone", " timezone "},
    {"active", " active enabled accountenabled status accountstatus "},
    {"password", " password "},
    {"emails[type eq \"work\"].value",
     " email mail emailaddress workemail primaryemail mailaddress "},
    {"emails[type eq \"home\"].value",
     " homeemail personalemail secondaryemail secondemail alternateemail "},
    {"phoneNumbers[type eq \"work\"].value",
     " phone telephone phonenumber telephonenumber workphone officephone businessphone "
     "primaryphone "},
    {"phoneNumbers[type eq \"mobile\"].value",
     " mobile mobilephone cell cellphone mobilenumber "},
    {"phoneNumbers[type eq \"home\"].value", " homephone "},
    {"phoneNumbers[type eq \"fax\"].value", " fax faxnumber facsimiletelephonenumber "},
    {"addresses[type eq \"work\"].streetAddress", " street streetaddress address workaddress "},
    {"addresses[type eq \"work\"].locality", " city locality town l "},
    {"addresses[type eq \"work\"].region", " state region province st stateorprovince "},
    {"addresses[type eq \"work\"].postalCode", " postalcode zip zipcode postcode "},
    {"addresses[type eq \"work\"].country", " country countrycode countryorregion "},
    {SCIM_URN_ENTERPRISE ":employeeNumber",
     " employeenumber employeeid personnelnumber staffnumber "},
    {SCIM_URN_ENTERPRISE ":costCenter", " costcenter costcentre "},
    {SCIM_URN_ENTERPRISE ":organization", " organization organisation company companyname "},
    {SCIM_URN_ENTERPRISE ":division", " division "},
    {SCIM_URN_ENTERPRISE ":department", " department dept "},
    {SCIM_URN_ENTERPRISE ":manager.value", " manager managerid managerlogin managerusername "},
};

typedef struct column {
    const char *header;
    bool used;
    bool id;                   /* the resource's own, which is no attribute to write */
    scim_path path;            /* of a resource */
    const scim_attribute *sub; /* that the value goes to; NULL: to the attribute itself */
    const json_t *element;     /* of a multi-valued attribute: what its element has besides */
    int slot;                  /* the first column of the same element */
} column;

struct import_csv {
    struct csv_parser parser;
    column *columns;
    int count;
    const scim_resource_type *type;
    apr_pool_t *pool; /* of the whole */
    unsigned char delimiter;

    /* the row that is being read */
    apr_array_header_t *fields; /* of const char *, in row_pool; NULL: empty */
    apr_uint64_t line;          /* its first */
    apr_size_t bytes;
    bool row; /* it is whole */
    bool overlong, foreign;
    apr_pool_t *row_pool;
};

/* Rows */

static void take_field(void *data, size_t len, void *baton)
{
    import_csv *csv = baton;
    const char *text = data;

    csv->bytes += len;
    csv->overlong = csv->overlong || csv->fields->nelts >= COLUMNS_MAX;
    csv->foreign = csv->foreign || (len && !scim_text_is_utf8(text, len)) ||
                   (len && memchr(text, '\0', len));
    if (!csv->overlong) {
        APR_ARRAY_PUSH(csv->fields, const char *) =
            len ? apr_pstrmemdup(csv->row_pool, text, len) : NULL;
    }
}

static void take_row(int c, void *baton)
{
    ((import_csv *)baton)->row = true;
}

static void reset_parser(import_csv *csv)
{
    csv_free(&csv->parser);
    if (csv_init(&csv->parser, CSV_STRICT | CSV_STRICT_FINI)) {
        scim_heap_exhausted();
    }
    csv_set_delim(&csv->parser, csv->delimiter);
}

static void begin_row(import_csv *csv, apr_pool_t *pool)
{
    csv->row_pool = pool;
    csv->fields = apr_array_make(pool, csv->count + 1, sizeof(const char *));
    csv->bytes = 0;
    csv->row = csv->overlong = csv->foreign = false;
}

static const scim_error *malformed(import_csv *csv, import_input *in, apr_pool_t *pool)
{
    int c;

    if (csv_error(&csv->parser) == CSV_ENOMEM) {
        scim_heap_exhausted();
    }
    /* The next row begins with the next line, as far as one can tell. */
    reset_parser(csv);
    do {
        c = ctl_import_byte(in);
    } while (c >= 0 && c != '\n');
    return scim_error_make(
        pool, SCIM_E_INVALID_SYNTAX,
        "This is no row of CSV: a quote within a value is written twice, and "
        "stands only in a value that is quoted as a whole");
}

static const scim_error *too_long(import_csv *csv, import_input *in, apr_pool_t *pool)
{
    malformed(csv, in, pool);
    return scim_error_make(pool, SCIM_E_TOO_LARGE,
                           "The row has more than %d bytes; perhaps a quote is missing",
                           IMPORT_LINE_MAX);
}

/* Reads up to the end of a row, which a quoted value may carry over several lines.
 * False at the end of the file. */
static bool read_row(import_csv *csv, import_input *in, const scim_error **err,
                     apr_pool_t *pool)
{
    int c = 0;

    *err = NULL;
    begin_row(csv, pool);
    csv->line = in->line;
    while (!csv->row && !*err && (c = ctl_import_byte(in)) >= 0) {
        char byte = (char)c;

        if (csv_parse(&csv->parser, &byte, 1, take_field, take_row, csv) != 1) {
            *err = malformed(csv, in, pool);
        } else if (csv->parser.entry_pos + csv->bytes > IMPORT_LINE_MAX) {
            *err = too_long(csv, in, pool);
        } else if (c == '\n' && !csv->fields->nelts && !csv->parser.entry_pos) {
            csv->line = in->line; /* that one was empty */
        }
    }
    if (c < 0 && csv_fini(&csv->parser, take_field, take_row, csv)) {
        reset_parser(csv);
        *err = scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                               "The last value does not end: a quote is missing");
    }
    return csv->row || *err;
}

/* Columns */

static const scim_attribute *target_of(const column *col)
{
    return col->sub ? col->sub : col->path.attribute;
}

/* Whether a value can be written there: *why says what not. */
static bool can_be_set(column *col, const char **why)
{
    const scim_attribute *attribute = col->path.attribute;

    *why = "that is a whole schema; name an attribute of it";
    if (!attribute) {
        return false;
    }
    col->sub = col->path.sub;
    if (!col->sub && attribute->type == SCIM_TYPE_COMPLEX) {
        col->sub = scim_attribute_sub(attribute, "value", 5);
        *why = "it has parts; name one of them, as in name.givenName";
        if (!col->sub) {
            return false;
        }
    }
    *why = "it cannot be written";
    return attribute->mutability != SCIM_READ_ONLY &&
           target_of(col)->mutability != SCIM_READ_ONLY;
}

/* What a text names, as the path of a PATCH does; or *why not. */
static bool read_path(import_csv *csv, column *col, const char *text, const char **why)
{
    const scim_error *err;

    if (!strcmp(text, "id")) {
        col->id = col->used = true;
        return true;
    }
    err = scim_path_parse(&col->path, text, csv->type, csv->pool);
    *why = err ? err->detail : NULL;
    if (err || !can_be_set(col, why)) {
        return false;
    }
    if (col->path.attribute->multi_valued) {
        col->element = col->path.filter ? scim_filter_template(col->path.filter, csv->pool)
                                        : scim_json_adopt(scim_json_object(), csv->pool);
        *why = "of a filter only such as [type eq \"work\"] is understood here";
    }
    col->used = !col->path.attribute->multi_valued || col->element;
    return col->used;
}

/* "E-Mail Address [Required]" is "emailaddress". */
static const char *plain_name(const char *header, apr_pool_t *pool)
{
    char *name = apr_pstrdup(pool, header), *to = name;

    for (; *header && *header != '[' && *header != '('; header++) {
        if (!strchr(" \t_-.'", *header)) {
            *to++ = (char)apr_tolower(*header);
        }
    }
    *to = '\0';
    return name;
}

static const char *known_path(const char *header, apr_pool_t *pool)
{
    const char *word = apr_pstrcat(pool, " ", plain_name(header, pool), " ", NULL);
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]) && word[2]; i++) {
        if (strstr(known[i].names, word)) {
            return known[i].path;
        }
    }
    return NULL;
}

/* What --map says of a column; NULL: nothing. */
static const char *mapped_path(const import *im, const char *header)
{
    size_t len = strlen(header);
    int i;

    for (i = 0; i < im->c->maps->nelts; i++) {
        const char *map = APR_ARRAY_IDX(im->c->maps, i, const char *);

        if (!scim_text_ncasecmp(map, header, len) && map[len] == '=') {
            return map + len + 1;
        }
    }
    return NULL;
}

static ctl_exit understand(import_csv *csv, const import *im, column *col)
{
    const char *path = mapped_path(im, col->header), *why = "";

    if (path) {
        if (!strcmp(path, "-") || read_path(csv, col, path, &why)) {
            return CTL_OK;
        }
        ctl_complain("--map \"%s=%s\": %s", col->header, path, why);
        return CTL_USAGE;
    }
    if (!read_path(csv, col, col->header, &why)) {
        path = known_path(col->header, csv->pool);
        *col = (column){.header = col->header};
        if (path) {
            read_path(csv, col, path, &why);
        }
    }
    return CTL_OK;
}

static bool is_same_element(const column *a, const column *b)
{
    return a->used && b->used && !a->id && !b->id && a->path.attribute == b->path.attribute &&
           (!a->element || json_equal(a->element, b->element));
}

static bool is_same(const column *a, const column *b)
{
    return (a->id && b->id) || (is_same_element(a, b) && target_of(a) == target_of(b));
}

static ctl_exit place(import_csv *csv, int i)
{
    column *col = &csv->columns[i];
    int j;

    col->slot = i;
    for (j = 0; j < i; j++) {
        const column *other = &csv->columns[j];

        if (is_same(col, other)) {
            ctl_complain(
                "the columns \"%s\" and \"%s\" are the same attribute; take one: --map "
                "\"%s=-\"",
                other->header, col->header, col->header);
            return CTL_USAGE;
        }
        if (is_same_element(col, other) && col->slot == i) {
            col->slot = j;
        }
    }
    return CTL_OK;
}

static const char *list_columns(const import_csv *csv, bool used)
{
    const char *list = "";
    int i;

    for (i = 0; i < csv->count; i++) {
        if (csv->columns[i].used == used) {
            list = apr_pstrcat(csv->pool, list, *list ? ", " : "", "\"", csv->columns[i].header,
                               "\"", NULL);
        }
    }
    return list;
}

static const column *column_of(const import_csv *csv, const char *name)
{
    int i;

    for (i = 0; i < csv->count; i++) {
        const column *col = &csv->columns[i];

        if (col->used && !col->id && !col->path.extension &&
            !strcmp(col->path.attribute->name, name)) {
            return col;
        }
    }
    return NULL;
}

static ctl_exit check_columns(const import_csv *csv, const import *im)
{
    const column *password = column_of(csv, "password");

    if (!column_of(csv, "userName")) {
        ctl_complain(
            "no column is userName: say which by --map \"COLUMN=userName\"; the columns "
            "are %s%s%s",
            list_columns(csv, true), *list_columns(csv, true) ? ", " : "",
            list_columns(csv, false));
        return CTL_USAGE;
    }
    if (password && !im->tenant.policy.password_sync) {
        ctl_complain(
            "the column \"%s\" holds passwords, and SCIMPasswordSync is Off for tenant "
            "%s: leave it out by --map \"%s=-\", or set that first",
            password->header, im->tenant_name, password->header);
        return CTL_REFUSED;
    }
    return CTL_OK;
}

static ctl_exit check_maps(const import_csv *csv, const import *im)
{
    int i, j;

    for (i = 0; i < im->c->maps->nelts; i++) {
        const char *map = APR_ARRAY_IDX(im->c->maps, i, const char *);

        for (j = 0; j < csv->count; j++) {
            size_t len = strlen(csv->columns[j].header);

            if (!scim_text_ncasecmp(map, csv->columns[j].header, len) && map[len] == '=') {
                break;
            }
        }
        if (j == csv->count) {
            ctl_complain(
                "--map \"%s\": there is no such column (COLUMN=ATTRIBUTE); there are %s", map,
                list_columns(csv, true));
            return CTL_USAGE;
        }
    }
    return CTL_OK;
}

/* What becomes of the columns is worth knowing before it is done. */
static void tell_columns(const import_csv *csv, const import *im)
{
    const char *unused = list_columns(csv, false);
    int i;

    if (*unused) {
        ctl_complain("not used: %s (--map \"COLUMN=ATTRIBUTE\")", unused);
    }
    for (i = 0; i < csv->count && im->dry_run; i++) {
        const column *col = &csv->columns[i];
        apr_size_t len;

        if (col->used) {
            fprintf(stderr, "  %-24s is %s%s%s\n", col->header,
                    col->element ? scim_json_write(col->element, &len, csv->pool) : "",
                    col->element ? " " : "", col->id ? "id" : target_of(col)->path);
        }
    }
}

/* Columns are named on a terminal, and by --map, so that what is no character to be seen
 * (C0, C1, the end of a line) is a space in their names. */
static const char *name_of(const char *field, apr_pool_t *pool)
{
    unsigned char *name = (unsigned char *)apr_pstrdup(pool, field), *at;

    for (at = name; *at; at++) {
        if (*at == 0xc2 && at[1] < 0xa0) {
            *at++ = ' ';
            *at = ' ';
        } else if (*at < 0x20 || *at == 0x7f) {
            *at = ' ';
        }
    }
    return (const char *)name;
}

static ctl_exit read_columns(import_csv *csv, const import *im)
{
    ctl_exit code = CTL_OK;
    int i;

    csv->count = csv->fields->nelts;
    csv->columns = apr_pcalloc(csv->pool, sizeof(column) * (size_t)csv->count);
    for (i = 0; i < csv->count && code == CTL_OK; i++) {
        const char *header = APR_ARRAY_IDX(csv->fields, i, const char *);

        csv->columns[i].header = header ? name_of(header, csv->pool) : "";
        if (header) {
            code = understand(csv, im, &csv->columns[i]);
        }
        if (code == CTL_OK) {
            code = place(csv, i);
        }
    }
    return code;
}

/* The one of these that the first line has most of. */
static unsigned char likely_delimiter(const char *line)
{
    static const char candidates[] = ",;\t";
    size_t best = 0;
    char found = ',';
    int i;

    for (i = 0; candidates[i]; i++) {
        const char *at;
        size_t count = 0;

        for (at = line; (at = strchr(at, candidates[i])); at++) {
            count++;
        }
        if (count > best) {
            best = count;
            found = candidates[i];
        }
    }
    return (unsigned char)found;
}

/* The first line; the row may go on behind it. */
static bool read_header(import_csv *csv, import_input *in, const scim_error **err)
{
    scim_buffer *line = scim_buffer_make(256, csv->pool);
    const char *text;
    int c;

    do {
        c = ctl_import_byte(in);
        if (c > 0 && line->len < IMPORT_MEMBER_MAX) {
            scim_buffer_add(line, &(char){(char)c}, 1);
        }
    } while (c >= 0 && c != '\n');
    text = line->data + (strncmp(line->data, "\xef\xbb\xbf", 3) ? 0 : 3);
    csv->delimiter = likely_delimiter(text);
    reset_parser(csv);
    begin_row(csv, csv->pool);
    if (csv_parse(&csv->parser, text, strlen(text), take_field, take_row, csv) !=
        strlen(text)) {
        *err = malformed(csv, in, csv->pool);
        return true;
    }
    while (!csv->row && (c = ctl_import_byte(in)) >= 0 &&
           csv_parse(&csv->parser, &(char){(char)c}, 1, take_field, take_row, csv) == 1) {
    }
    return csv->row;
}

static apr_status_t free_parser(void *data)
{
    csv_free(&((import_csv *)data)->parser);
    return APR_SUCCESS;
}

ctl_exit ctl_import_csv_begin(import_csv **out, import *im)
{
    import_csv *csv = apr_pcalloc(im->c->pool, sizeof(*csv));
    const scim_error *err = NULL;
    ctl_exit code;

    csv->pool = im->c->pool;
    csv->type = scim_registry_type(im->registry, "User");
    csv_init(&csv->parser, 0);
    apr_pool_cleanup_register(csv->pool, csv, free_parser, apr_pool_cleanup_null);
    if (!read_header(csv, &im->input, &err) || err || csv->foreign || csv->overlong) {
        ctl_complain("the first line is to hold the names of the columns, as CSV in UTF-8 with "
                     "commas, semicolons or tabs between%s%s",
                     err ? ": " : "", err ? err->detail : "");
        return CTL_REFUSED;
    }
    code = read_columns(csv, im);
    if (code == CTL_OK) {
        code = check_maps(csv, im);
    }
    if (code == CTL_OK) {
        code = check_columns(csv, im);
    }
    if (code == CTL_OK) {
        tell_columns(csv, im);
    }
    *out = csv;
    return code;
}

/* From a row to JSON */

/* What people write for a boolean; anything else is left for validation to refuse. */
static json_t *boolean_of(const char *text)
{
    static const char *const yes[] = {"yes", "y", "1", "on", "enabled", "active", "x", NULL};
    static const char *const no[] = {
        "no",       "n",         "0",           "off",           "disabled",
        "inactive", "suspended", "deactivated", "deprovisioned", NULL};
    bool value;
    int i;

    if (scim_interop_boolean(text, &value)) {
        return json_boolean(value);
    }
    for (i = 0; yes[i]; i++) {
        if (!scim_text_casecmp(text, yes[i])) {
            return json_true();
        }
    }
    for (i = 0; no[i]; i++) {
        if (!scim_text_casecmp(text, no[i])) {
            return json_false();
        }
    }
    return scim_json_text(text);
}

static json_t *value_of(const column *col, const char *text)
{
    return !col->id && target_of(col)->type == SCIM_TYPE_BOOLEAN ? boolean_of(text)
                                                                 : scim_json_text(text);
}

/* The member of that name, made where it is not there. */
static json_t *within(json_t *object, const char *name, json_t *(*make)(void))
{
    json_t *found = json_object_get(object, name);

    if (!found) {
        found = make();
        scim_json_set(object, name, found);
    }
    return found;
}

static void put_value(json_t *user, json_t **elements, const column *col, const char *text)
{
    const scim_attribute *attribute = col->path.attribute;
    json_t *holder = user, *value = value_of(col, text);

    if (col->id) {
        scim_json_set(user, "id", value);
        return;
    }
    if (col->path.extension) {
        holder = within(user, col->path.extension->urn, scim_json_object);
    }
    if (attribute->multi_valued) {
        json_t **element = &elements[col->slot];

        if (!*element) {
            *element = scim_json_deep_copy(col->element);
            scim_json_append(within(holder, attribute->name, scim_json_array), *element);
        }
        scim_json_set(*element, col->sub ? col->sub->name : "value", value);
    } else if (col->sub) {
        scim_json_set(within(holder, attribute->name, scim_json_object), col->sub->name, value);
    } else {
        scim_json_set(holder, attribute->name, value);
    }
}

static bool is_empty(const import_csv *csv)
{
    int i;

    for (i = 0; i < csv->fields->nelts; i++) {
        if (APR_ARRAY_IDX(csv->fields, i, const char *)) {
            return false;
        }
    }
    return true;
}

static const scim_error *make_user(json_t **out, const import_csv *csv, apr_pool_t *pool)
{
    json_t *elements[COLUMNS_MAX] = {NULL};
    int i;

    if (csv->foreign) {
        return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                               "The row is not UTF-8: save the file as CSV in UTF-8");
    }
    if (csv->overlong || csv->fields->nelts > csv->count) {
        return scim_error_make(pool, SCIM_E_INVALID_SYNTAX,
                               "The row has %d values or more, the first names %d columns",
                               csv->fields->nelts, csv->count);
    }
    *out = scim_json_adopt_secret(scim_json_pack("{s:[s]}", "schemas", SCIM_URN_USER), pool);
    for (i = 0; i < csv->fields->nelts; i++) {
        const char *text = APR_ARRAY_IDX(csv->fields, i, const char *);

        if (text && csv->columns[i].used) {
            put_value(*out, elements, &csv->columns[i], text);
        }
    }
    return NULL;
}

bool ctl_import_csv(import_entry *out, import_csv *csv, import *im, apr_pool_t *pool)
{
    const scim_error *err;
    bool any;

    do {
        any = read_row(csv, &im->input, &err, pool);
    } while (any && !err && is_empty(csv));
    if (!any) {
        return false;
    }
    *out = (import_entry){.line = csv->line, .error = err, .bytes = csv->bytes};
    if (!err) {
        out->error = make_user(&out->body, csv, pool);
    }
    if (out->error) {
        out->body = NULL;
    }
    return true;
}
