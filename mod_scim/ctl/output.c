/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scimctl says: complaints, JSON, tables.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "scim/time.h"

#include "ctl.h"

void ctl_complain(const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    fputs("scimctl: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static ctl_exit exit_of(const scim_error *err)
{
    switch (err->code) {
    case SCIM_E_NOT_FOUND:
        return CTL_NOT_FOUND;
    case SCIM_E_UNIQUENESS:
    case SCIM_E_INVALID_VALUE:
        return CTL_REFUSED;
    default:
        return CTL_FAILED;
    }
}

/* What the store does not find is a tenant: all else is found by scimctl. */
ctl_exit ctl_failed(const scim_error *err)
{
    if (err->cause) {
        ctl_complain("%s (%s)", err->detail, err->cause);
    } else if (err->code == SCIM_E_NOT_FOUND) {
        ctl_complain("%s; scimctl tenant list shows those that there are", err->detail);
    } else {
        ctl_complain("%s", err->detail);
    }
    return exit_of(err);
}

void ctl_print_json(json_t *json)
{
    scim_json_print(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

json_t *ctl_json_time(apr_time_t when)
{
    char text[SCIM_TIME_LEN + 1];

    return when ? scim_json_text(scim_time_format(when, text)) : json_null();
}

const char *ctl_show_time(apr_time_t when, apr_pool_t *pool)
{
    char text[SCIM_TIME_LEN + 1];

    if (!when) {
        return "never";
    }
    scim_time_format(when, text);
    return apr_psprintf(pool, "%.10s %.8sZ", text, text + 11);
}

const char *ctl_show_size(apr_uint64_t size, apr_pool_t *pool)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double shown = (double)size;
    int unit = 0;

    while (shown >= 1024) {
        shown /= 1024;
        unit++;
    }
    return apr_psprintf(pool, "%.*f %s", unit ? 1 : 0, shown, units[unit]);
}

void ctl_show_progress(ctl_progress *p, apr_uint64_t done, apr_uint64_t total)
{
    int percent = total ? (int)(done * 100 / total) : 0;

    if (total && percent != p->percent && percent <= 100 && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%3d%%", percent);
        p->percent = percent;
    }
}

void ctl_wipe_progress(ctl_progress *p)
{
    if (p->percent >= 0) {
        fputs("\r\033[K", stderr);
        p->percent = -1;
    }
}

apr_uint64_t ctl_entries_of(scim_kv *kv)
{
    scim_kv_stat stat;

    return scim_kv_statistics(kv, &stat) == SCIM_KV_OK ? stat.entries : 0;
}

json_t *ctl_json_finding(const scim_finding *finding)
{
    return scim_json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:s}", "table", finding->table,
                          "tenant", finding->tenant, "type", finding->type, "id", finding->id,
                          "attribute", finding->attribute, "what", finding->what);
}

/* Puts a comma before all but the first. */
static void print_part(int *parts, const char *before, const char *text)
{
    if (text) {
        printf("%s%s", (*parts)++ ? ", " : ": ", before);
        ctl_print_text(text);
    }
}

void ctl_print_finding(const scim_finding *finding)
{
    int parts = 0;

    printf("%s", finding->table);
    print_part(&parts, "tenant ", finding->tenant);
    print_part(&parts, "", finding->type);
    print_part(&parts, "", finding->id);
    print_part(&parts, "", finding->attribute);
    printf(": ");
    ctl_print_text(finding->what);
    putchar('\n');
}

void ctl_tell_finding(json_t *findings, ctl_progress *progress, const scim_finding *finding)
{
    if (findings) {
        scim_json_append(findings, ctl_json_finding(finding));
    } else {
        ctl_wipe_progress(progress);
        ctl_print_finding(finding);
    }
}

void ctl_add_row(apr_array_header_t *cells, int columns, ...)
{
    va_list args;
    int i;

    va_start(args, columns);
    for (i = 0; i < columns; i++) {
        APR_ARRAY_PUSH(cells, const char *) = va_arg(args, const char *);
    }
    va_end(args);
}

/* What an identity provider sent is not to steer the terminal, neither by C0 nor
 * by C1, which are two bytes. */
void ctl_print_text(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)text[0] == 0xc2 && ((unsigned char)text[1] & 0xe0) == 0x80) {
            putchar('?');
            text++;
        } else {
            putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
        }
    }
}

/* Characters, as far as each takes one column. */
static size_t columns_of(const char *text)
{
    size_t count = 0;

    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static size_t width_of(const apr_array_header_t *cells, int columns, int column)
{
    size_t widest = 0;
    int i;

    for (i = column; i < cells->nelts; i += columns) {
        size_t len = columns_of(APR_ARRAY_IDX(cells, i, const char *));

        widest = len > widest ? len : widest;
    }
    return widest;
}

void ctl_print_table(const apr_array_header_t *cells, int columns)
{
    size_t widths[16] = {0};
    int i;

    for (i = 0; i < columns; i++) {
        widths[i] = width_of(cells, columns, i);
    }
    for (i = 0; i < cells->nelts; i++) {
        const char *cell = APR_ARRAY_IDX(cells, i, const char *);
        int column = i % columns;

        ctl_print_text(cell);
        if (column == columns - 1) {
            putchar('\n');
        } else {
            printf("%*s", (int)(widths[column] - columns_of(cell)) + 2, "");
        }
    }
}
