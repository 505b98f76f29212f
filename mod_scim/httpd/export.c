/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCIMExport: variables that tell CGI, RequestHeader, RewriteCond and LogFormat
 * of an active user.  Of anybody else they tell nothing.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

/* Whatever has one of these names was put there by us, or is gone. */
static const char *const names[] = {"SCIM_ID",    "SCIM_USERNAME", "SCIM_DISPLAYNAME",
                                    "SCIM_EMAIL", "SCIM_GROUPS",   "SCIM_ROLES",
                                    "SCIM_ROLE"};

static void unset_all(apr_table_t *env)
{
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apr_table_unset(env, names[i]);
    }
}

/* One that is absent stays unset, so that env=SCIM_EMAIL can ask for it. */
static void set_value(apr_table_t *env, const char *name, const char *value, apr_pool_t *pool)
{
    char *out, *at;

    if (!value) {
        return;
    }
    out = apr_pstrdup(pool, value);
    for (at = out; *at; at++) {
        *at = apr_iscntrl(*at) ? ' ' : *at;
    }
    apr_table_setn(env, name, out);
}

/* A name as an element of a list that commas separate. */
static const char *escaped(const char *name, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, 3 * strlen(name) + 1), *at = out;

    for (; *name; name++) {
        if (*name == ',' || *name == '%' || apr_iscntrl(*name)) {
            at += apr_snprintf(at, 4, "%%%02X", (unsigned int)(unsigned char)*name);
        } else {
            *at++ = *name;
        }
    }
    *at = '\0';
    return out;
}

static const char *list_of_groups(const apr_array_header_t *groups, apr_pool_t *pool)
{
    apr_array_header_t *out = apr_array_make(pool, groups->nelts, sizeof(const char *));
    int i;

    for (i = 0; i < groups->nelts; i++) {
        APR_ARRAY_PUSH(out, const char *) =
            escaped(APR_ARRAY_IDX(groups, i, scim_subject_group).name, pool);
    }
    return apr_array_pstrcat(pool, out, ',');
}

static void set_all(apr_table_t *env, const scim_subject *subject,
                    const scim_subject_details *details, apr_pool_t *pool)
{
    char id[SCIM_ID_TEXT + 1];

    set_value(env, "SCIM_ID", scim_id_format(&subject->id, id), pool);
    set_value(env, "SCIM_USERNAME", details->user_name, pool);
    set_value(env, "SCIM_DISPLAYNAME", details->display_name, pool);
    set_value(env, "SCIM_EMAIL", details->email, pool);
    apr_table_setn(env, "SCIM_GROUPS", list_of_groups(subject->groups, pool));
    apr_table_setn(env, "SCIM_ROLES", apr_array_pstrcat(pool, subject->roles, ','));
    if (subject->roles->nelts) {
        apr_table_setn(env, "SCIM_ROLE", APR_ARRAY_IDX(subject->roles, 0, const char *));
    }
}

int mod_scim_export(request_rec *r)
{
    const scim_state *state = mod_scim_state(r);
    const scim_subject_details *details;
    scim_who *who;

    if (mod_scim_section(r)->export != 1) {
        return DECLINED;
    }
    unset_all(r->subprocess_env);
    /* Who asks an endpoint is a connection, or a person (/Me). */
    if (!r->user || (state && state->identity)) {
        return DECLINED;
    }
    who = mod_scim_who(r);
    if (!who->error && who->subject.state == SCIM_SUBJECT_ACTIVE) {
        details = mod_scim_details(r, who);
        if (details) {
            set_all(r->subprocess_env, &who->subject, details, r->pool);
        }
    }
    return DECLINED;
}
