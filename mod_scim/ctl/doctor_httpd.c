/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor: what httpd itself says of its configuration and modules.  Its programs are
 * only asked; none of these options starts or stops anything.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "doctor.h"

#define OUTPUT_MAX 65536

/* The first of these that is there, in PATH or where it is not in everybody's. */
static const char *find_program(apr_pool_t *pool)
{
    static const char *const names[] = {"apachectl", "apache2ctl", "httpd", NULL};
    const char *path = getenv("PATH");
    char *dirs = apr_pstrcat(pool, path ? path : "", ":/usr/sbin:/usr/local/sbin", NULL), *dir;
    char *state = NULL;
    int i;

    for (dir = apr_strtok(dirs, ":", &state); dir; dir = apr_strtok(NULL, ":", &state)) {
        for (i = 0; names[i]; i++) {
            const char *program = apr_pstrcat(pool, dir, "/", names[i], NULL);

            if (*dir == '/' && !access(program, X_OK)) {
                return program;
            }
        }
    }
    return NULL;
}

static apr_status_t begin(apr_proc_t *proc, const char *const *argv, apr_pool_t *pool)
{
    apr_procattr_t *attr;
    apr_status_t rv = apr_procattr_create(&attr, pool);

    if (rv == APR_SUCCESS) {
        rv = apr_procattr_io_set(attr, APR_NO_PIPE, APR_FULL_BLOCK, APR_NO_PIPE);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV);
    }
    return rv == APR_SUCCESS ? apr_proc_create(proc, argv[0], argv, NULL, attr, pool) : rv;
}

/* What a program prints on both of its outputs, and whether it is content; NULL where it
 * cannot be run.  A shell puts the two together. */
static const char *output_of(bool *content, const char *program, const char *options,
                             apr_pool_t *pool)
{
    const char *argv[] = {"/bin/sh", "-c", NULL, program, NULL};
    char *text = apr_pcalloc(pool, OUTPUT_MAX + 1);
    apr_size_t len = 0;
    apr_proc_t proc;
    apr_exit_why_e why;
    int code;

    argv[2] = apr_pstrcat(pool, "exec \"$0\" ", options, " 2>&1 </dev/null", NULL);
    if (begin(&proc, argv, pool)) {
        return NULL;
    }
    while (len < OUTPUT_MAX) {
        apr_size_t n = OUTPUT_MAX - len;

        if (apr_file_read(proc.out, text + len, &n)) {
            break;
        }
        len += n;
    }
    apr_file_close(proc.out);
    apr_proc_wait(&proc, &code, &why, APR_WAIT);
    *content = APR_PROC_CHECK_EXIT(why) && code == 0;
    return text;
}

/* In one line: complaints of httpd are of several. */
static const char *flat(const char *text, apr_pool_t *pool)
{
    char *copy = apr_pstrndup(pool, text, 600), *at;

    for (at = copy; *at; at++) {
        if (*at == '\n') {
            *at = ' ';
        }
    }
    while (at > copy && at[-1] == ' ') {
        *--at = '\0';
    }
    return copy;
}

static void look_at_config(doctor *d, const char *program)
{
    bool content = false;
    const char *text = output_of(&content, program, "-t", d->c->pool);

    if (content) {
        ctl_doctor_say(d, DOCTOR_OK, "httpd", NULL, "%s -t finds nothing wrong", program);
    } else {
        ctl_doctor_say(d, DOCTOR_FAIL, "httpd",
                       geteuid() ? "run this as root, or mend what it names"
                                 : "mend what it names",
                       "%s -t: %s", program, text ? flat(text, d->c->pool) : "cannot be run");
    }
}

static void look_at_modules(doctor *d, const char *program)
{
    bool content = false;
    const char *text = output_of(&content, program, "-M", d->c->pool);

    if (text && content && !strstr(text, "scim_module")) {
        ctl_doctor_say(d, DOCTOR_FAIL, "httpd", "a2enmod scim, and restart httpd",
                       "mod_scim is not loaded (%s -M)", program);
    } else if (text && content) {
        ctl_doctor_say(d, DOCTOR_OK, "httpd", NULL, "mod_scim is loaded");
        if (scim_kv_networked(d->c->url) && !strstr(text, "scim_pgsql_module")) {
            ctl_doctor_say(d, DOCTOR_FAIL, "httpd", "a2enmod scim_pgsql, and restart httpd",
                           "mod_scim_pgsql is not loaded, and the store is on PostgreSQL");
        }
        if (!strstr(text, "ssl_module")) {
            ctl_doctor_say(d, DOCTOR_WARN, "httpd",
                           "a2enmod ssl; or, where a proxy in front ends TLS, see "
                           "SCIMRequireTLS",
                           "mod_ssl is not loaded, and identity providers come over TLS");
        }
    }
}

/* A line of -D DUMP_RUN_CFG: User: name="www-data" id=33 */
static void learn_user(doctor *d, const char *program)
{
    static const char mark[] = "\nUser: name=\"";
    bool content = false;
    const char *text = output_of(&content, program, "-t -D DUMP_RUN_CFG", d->c->pool);
    const char *at = text ? strstr(text, mark) : NULL;

    if (at && content) {
        at += sizeof(mark) - 1;
        d->httpd_user = apr_pstrmemdup(d->c->pool, at, strcspn(at, "\"\n"));
    }
}

void ctl_doctor_httpd(doctor *d)
{
    const char *program = find_program(d->c->pool);

    if (!program) {
        ctl_doctor_say(d, DOCTOR_WARN, "httpd", "run this where httpd runs",
                       "there is neither apachectl nor httpd in PATH: its configuration is not "
                       "looked at");
        return;
    }
    look_at_config(d, program);
    look_at_modules(d, program);
    learn_user(d, program);
}
