/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other modules may ask (include/mod_scim.h).  Each call asks the store
 * anew: a request may take its time, and its module wants to know how things
 * are, not how they were when it was let in.
 */
#include <mod_scim.h>

#include "mod_scim.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/text.h"

static void fill_user(scim_user *out, const scim_who *who, apr_pool_t *pool)
{
    const scim_subject_details *details = who->details;

    out->id = scim_id_format(&who->subject.id, apr_palloc(pool, SCIM_ID_TEXT + 1));
    out->user_name = details->user_name;
    out->display_name = details->display_name;
    out->email = details->email;
    out->external_id = details->external_id;
    out->active = who->subject.state == SCIM_SUBJECT_ACTIVE;
}

static int scim_lookup(request_rec *r, const char *text, scim_user *out)
{
    const scim_who *who = mod_scim_find(r, text, true);

    if (who->error) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    if (!who->details) {
        return DECLINED;
    }
    fill_user(out, who, r->pool);
    return OK;
}

static int scim_is_member(request_rec *r, const char *text, const char *group)
{
    const scim_who *who = mod_scim_find(r, text, false);
    const char *prepared;
    apr_size_t len;
    scim_id id;

    if (who->error) {
        return -1;
    }
    if (who->subject.state != SCIM_SUBJECT_ACTIVE) {
        return 0;
    }
    if (!strncmp(group, "id:", 3)) {
        return scim_id_parse(&id, group + 3) && scim_subject_in_group_id(&who->subject, &id);
    }
    prepared = scim_text_prepare(group, strlen(group), false, &len, r->pool);
    return scim_subject_in_group(&who->subject, prepared, len);
}

static apr_array_header_t *scim_roles(request_rec *r, const char *text)
{
    const scim_who *who = mod_scim_find(r, text, false);

    if (who->error) {
        return NULL;
    }
    return who->subject.state == SCIM_SUBJECT_ACTIVE
               ? who->subject.roles
               : apr_array_make(r->pool, 1, sizeof(const char *));
}

void mod_scim_register_public(void)
{
    APR_REGISTER_OPTIONAL_FN(scim_lookup);
    APR_REGISTER_OPTIONAL_FN(scim_is_member);
    APR_REGISTER_OPTIONAL_FN(scim_roles);
}
