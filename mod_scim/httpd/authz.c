/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Require scim-user, scim-group and scim-role: who may, by what identity
 * providers have provisioned.  How r->user came to be is no business of theirs.
 *
 * Words are read once, when the configuration is; one with "%{" in it is an
 * expression, read for each request.
 */
#include "mod_scim.h"

#include <string.h>

#include <apr_strings.h>
#include <http_request.h>
#include <mod_auth.h>

#include "scim/text.h"

APLOG_USE_MODULE(scim);

typedef struct require_word {
    ap_expr_info_t *expr; /* says what follows, for each request; NULL: it is constant */
    bool is_id;           /* "id:..." */
    scim_id id;           /* of a word that is one; all zero, no group's, for nonsense */
    const char *text;     /* of any other, prepared */
    apr_size_t len;
} require_word;

/* Reading */

static const char *fault(cmd_parms *cmd, const char *what, const char *text, const char *wrong)
{
    return apr_psprintf(cmd->pool, "Require %s: \"%s\" %s", what, text, wrong);
}

static const char *parse_expr(cmd_parms *cmd, const char *what, const char *text,
                              require_word *out)
{
    const char *err = NULL;

    out->expr = ap_expr_parse_cmd(
        cmd, text, AP_EXPR_FLAG_STRING_RESULT | AP_EXPR_FLAG_DONT_VARY, &err, NULL);
    return err ? fault(cmd, what, text, apr_pstrcat(cmd->pool, "is no expression: ", err, NULL))
               : NULL;
}

static bool is_expr(const char *text)
{
    return ap_strstr_c(text, "%{") != NULL;
}

static const char *parse_name(cmd_parms *cmd, const char *what, const char *text,
                              require_word *out)
{
    if (!*text) {
        return fault(cmd, what, text, "names nobody");
    }
    if (is_expr(text)) {
        return parse_expr(cmd, what, text, out);
    }
    /* It would name nobody, whom "Require not" lets in. */
    if (!scim_text_is_utf8(text, strlen(text))) {
        return fault(cmd, what, text, "is not UTF-8: save the configuration as UTF-8");
    }
    out->text = scim_text_prepare(text, strlen(text), false, &out->len, cmd->pool);
    return NULL;
}

static const char *parse_group(cmd_parms *cmd, const char *what, const char *text,
                               require_word *out)
{
    out->is_id = !strncmp(text, "id:", 3);
    if (!out->is_id) {
        return parse_name(cmd, what, text, out);
    }
    if (is_expr(text)) {
        return parse_expr(cmd, what, text + 3, out);
    }
    return scim_id_parse(&out->id, text + 3)
               ? NULL
               : fault(cmd, what, text,
                       "is not the id of a group: behind id: stand the 36 characters of an id "
                       "as SCIM shows it, in lower case; a group whose name begins with id: "
                       "cannot be named here");
}

static const char *parse_role(cmd_parms *cmd, const char *what, const char *text,
                              require_word *out)
{
    return is_expr(text) || scim_role_name_valid(text)
               ? parse_name(cmd, what, text, out)
               : fault(cmd, what, text,
                       "is not the name of a role as SCIMRole has it (1 to 64 of A-Z a-z 0-9 "
                       ". _ -)");
}

typedef const char *(*word_fn)(cmd_parms *cmd, const char *what, const char *text,
                               require_word *out);

static const char *parse_line(cmd_parms *cmd, const char *what, const char *args, word_fn fn,
                              const void **out)
{
    apr_array_header_t *words = apr_array_make(cmd->pool, 2, sizeof(require_word));
    const char *err = NULL;

    while (!err && *args) {
        const char *text = ap_getword_conf(cmd->pool, &args);
        require_word *word = apr_array_push(words);

        memset(word, 0, sizeof(*word));
        err = fn(cmd, what, text, word);
    }
    mod_scim_add_consumer(cmd, apr_pstrcat(cmd->pool, "Require ", what, NULL));
    *out = words;
    return err;
}

static const char *parse_users(cmd_parms *cmd, const char *args, const void **out)
{
    return parse_line(cmd, "scim-user", args, parse_name, out);
}

static const char *parse_groups(cmd_parms *cmd, const char *args, const void **out)
{
    if (!*args) {
        return "Require scim-group: name a group, \"Tour Guides\", or id: and its id";
    }
    return parse_line(cmd, "scim-group", args, parse_group, out);
}

static const char *parse_roles(cmd_parms *cmd, const char *args, const void **out)
{
    if (!*args) {
        return "Require scim-role: name a role that SCIMRole gives";
    }
    return parse_line(cmd, "scim-role", args, parse_role, out);
}

/* Checking */

/* The word with what its expression comes to, in *buf; NULL where that fails. */
static const require_word *evaluate(request_rec *r, const require_word *word, require_word *buf)
{
    const char *err = NULL, *text;
    scim_id id;

    if (!word->expr) {
        return word;
    }
    text = ap_expr_str_exec(r, word->expr, &err);
    if (err) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, SCIMLOG(1406) "Require scim-...: %s", err);
        return NULL;
    }
    memset(buf, 0, sizeof(*buf));
    buf->is_id = word->is_id;
    if (word->is_id) {
        buf->id = scim_id_parse(&id, text) ? id : (scim_id){{0}};
    } else {
        buf->text = scim_text_prepare(text, strlen(text), false, &buf->len, r->pool);
    }
    return buf;
}

/* Whether a word is said of an active user. */
typedef bool (*match_fn)(request_rec *r, scim_who *who, const require_word *word);

static bool match_group(request_rec *r, scim_who *who, const require_word *word)
{
    return word->is_id ? scim_subject_in_group_id(&who->subject, &word->id)
                       : scim_subject_in_group(&who->subject, word->text, word->len);
}

static bool match_role(request_rec *r, scim_who *who, const require_word *word)
{
    return scim_subject_has_role(&who->subject, word->text);
}

/* The userName need not be read where it is what the user was found by. */
static const char *user_name(request_rec *r, scim_who *who)
{
    const scim_subject_details *details;

    if (who->by == SCIM_BY_USER_NAME) {
        return who->text;
    }
    details = mod_scim_details(r, who);
    return details ? details->user_name : NULL;
}

static bool match_user(request_rec *r, scim_who *who, const require_word *word)
{
    const char *name = user_name(r, who);
    apr_size_t len;

    if (!name) {
        return false;
    }
    name = scim_text_prepare(name, strlen(name), false, &len, r->pool);
    return len == word->len && !memcmp(name, word->text, len);
}

static bool is_connection(const request_rec *r)
{
    const scim_state *state = mod_scim_state(r);

    return state && state->identity;
}

/* DENIED, or GENERAL_ERROR, where it is nobody; GRANTED for an active user. */
static authz_status find_active(scim_who **who, request_rec *r)
{
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    if (is_connection(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      SCIMLOG(1407) "who asks this endpoint is the connection %s, and no user: "
                                    "write Require valid-user in place of Require scim-...",
                      r->user);
        return AUTHZ_DENIED;
    }
    *who = mod_scim_who(r);
    if ((*who)->error) {
        return AUTHZ_GENERAL_ERROR;
    }
    return (*who)->subject.state == SCIM_SUBJECT_ACTIVE ? AUTHZ_GRANTED : AUTHZ_DENIED;
}

static authz_status check_words(request_rec *r, const apr_array_header_t *words, match_fn match)
{
    scim_who *who;
    authz_status status = find_active(&who, r);
    int i;

    if (status != AUTHZ_GRANTED || !words->nelts) {
        return status;
    }
    for (i = 0; i < words->nelts; i++) {
        require_word buf;
        const require_word *word = evaluate(r, &APR_ARRAY_IDX(words, i, require_word), &buf);

        if (!word) {
            return AUTHZ_GENERAL_ERROR;
        }
        if (match(r, who, word)) {
            return AUTHZ_GRANTED;
        }
    }
    return AUTHZ_DENIED;
}

static authz_status check_users(request_rec *r, const char *args, const void *words)
{
    return check_words(r, words, match_user);
}

static authz_status check_groups(request_rec *r, const char *args, const void *words)
{
    return check_words(r, words, match_group);
}

static authz_status check_roles(request_rec *r, const char *args, const void *words)
{
    return check_words(r, words, match_role);
}

void mod_scim_register_authz(apr_pool_t *pool)
{
    static const authz_provider users = {check_users, parse_users};
    static const authz_provider groups = {check_groups, parse_groups};
    static const authz_provider roles = {check_roles, parse_roles};

    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "scim-user", AUTHZ_PROVIDER_VERSION,
                              &users, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "scim-group", AUTHZ_PROVIDER_VERSION,
                              &groups, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "scim-role", AUTHZ_PROVIDER_VERSION,
                              &roles, AP_AUTH_INTERNAL_PER_CONF);
}
