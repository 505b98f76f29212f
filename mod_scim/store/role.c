/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles by the names of groups.
 */
#include "scim/role.h"

#include <string.h>

#include <apr_strings.h>

#include "scim/text.h"

bool scim_role_name_valid(const char *name)
{
    return scim_tenant_name_valid(name);
}

bool scim_role_pattern_make(scim_role_pattern *out, const char *role, const char *pattern,
                            apr_pool_t *result_pool)
{
    apr_size_t len = strlen(pattern);

    out->prefix = len && pattern[len - 1] == '*';
    if (out->prefix) {
        len--;
    }
    if (!len) {
        return false;
    }
    out->role = apr_pstrdup(result_pool, role);
    out->pattern = apr_pstrdup(result_pool, pattern);
    out->prepared = scim_text_prepare(pattern, len, false, &out->prepared_len, result_pool);
    return true;
}

static bool matches(const scim_role_pattern *pattern, const char *prepared, apr_size_t len)
{
    return (pattern->prefix ? len >= pattern->prepared_len : len == pattern->prepared_len) &&
           !memcmp(prepared, pattern->prepared, pattern->prepared_len);
}

static bool is_closer(const scim_role_pattern *a, const scim_role_pattern *b)
{
    return a->prepared_len > b->prepared_len ||
           (a->prepared_len == b->prepared_len && b->prefix && !a->prefix);
}

int scim_role_match(const scim_policy *policy, const char *prepared, apr_size_t len)
{
    int i, best = -1;

    for (i = 0; i < policy->roles_count; i++) {
        const scim_role_pattern *pattern = &policy->roles[i];

        if (matches(pattern, prepared, len) &&
            (best < 0 || is_closer(pattern, &policy->roles[best]))) {
            best = i;
        }
    }
    return best;
}

int scim_role_of_group(const scim_policy *policy, const char *name, apr_size_t len,
                       apr_pool_t *scratch_pool)
{
    apr_size_t prepared_len;
    const char *prepared;

    if (!policy->roles_count || !name) {
        return -1;
    }
    prepared = scim_text_prepare(name, len, false, &prepared_len, scratch_pool);
    return scim_role_match(policy, prepared, prepared_len);
}

const char *scim_role_patterns(const scim_policy *policy, apr_pool_t *result_pool)
{
    apr_array_header_t *patterns = apr_array_make(result_pool, 4, sizeof(const char *));
    int i;

    for (i = 0; i < policy->roles_count; i++) {
        APR_ARRAY_PUSH(patterns, const char *) =
            apr_pstrcat(result_pool, i ? " " : "", policy->roles[i].pattern, NULL);
    }
    return apr_array_pstrcat(result_pool, patterns, ',');
}

const scim_error *scim_role_check_group(const scim_policy *policy, const char *name,
                                        apr_size_t len, apr_pool_t *result_pool)
{
    if (policy->custom_groups != SCIM_CUSTOM_REFUSE ||
        scim_role_of_group(policy, name, len, result_pool) >= 0) {
        return NULL;
    }
    return scim_error_make(result_pool, SCIM_E_INVALID_VALUE,
                           "displayName: custom groups are not supported here; the name of a "
                           "group is one of %s (upper and lower case are the same, * stands "
                           "for any ending)",
                           policy->roles_count ? scim_role_patterns(policy, result_pool)
                                               : "none, since no role is configured");
}
