/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenant URLs: what httpd wrote down of its endpoints, and where the URL and
 * the token are typed in at identity providers.
 */
#include <stdio.h>
#include <string.h>

#include "scim/endpoints.h"
#include "scim/provider.h"

#include "ctl.h"

typedef struct asking {
    const char *tenant;
    apr_array_header_t *urls;
} asking;

static const scim_error *read_urls(scim_view *view, void *baton)
{
    asking *a = baton;

    return scim_endpoints_urls(&a->urls, view, a->tenant);
}

apr_array_header_t *ctl_tenant_urls(ctl *c, const char *tenant)
{
    asking a = {tenant, NULL};
    const scim_error *err = scim_store_view(c->store, read_urls, &a, c->pool);

    /* No reason to have no token. */
    if (err) {
        ctl_complain("the Tenant URL is not known: %s (%s)", err->detail, err->cause);
    }
    return a.urls ? a.urls : apr_array_make(c->pool, 1, sizeof(const char *));
}

/* Prints text, what follows a newline in it below its first line. */
static void print_lines(const char *text, int column)
{
    const char *end;

    while ((end = strchr(text, '\n'))) {
        fprintf(stderr, "%.*s\n%*s", (int)(end - text), text, column, "");
        text = end + 1;
    }
    fprintf(stderr, "%s\n", text);
}

#define FIELDS_AT 7 /* columns */

static void print_fields(const scim_provider_field *fields)
{
    const scim_provider_field *field;
    int width = 0;

    for (field = fields; field->label; field++) {
        int len = (int)strlen(field->label);

        width = len > width ? len : width;
    }
    for (field = fields; field->label; field++) {
        fprintf(stderr, "%*s%-*s    ", FIELDS_AT, "", width, field->label);
        print_lines(field->value, FIELDS_AT + width + 4);
    }
}

static void print_provider(const scim_provider *provider)
{
    const scim_provider_step *step;

    fprintf(stderr, "%s:\n", provider->place);
    for (step = provider->steps; step->text; step++) {
        fprintf(stderr, "  %d. ", (int)(step - provider->steps) + 1);
        print_lines(step->text, 5);
        print_fields(step->fields);
    }
    if (provider->note) {
        fprintf(stderr, "  %s\n", provider->note);
    }
}

bool ctl_knows_provider(const char *provider)
{
    return scim_provider_find(provider) != NULL;
}

void ctl_tell_steps(const char *provider, const apr_array_header_t *urls)
{
    if (!urls->nelts) {
        fputs("The Tenant URL is not known: httpd writes it into the store when it starts with "
              "an\n"
              "endpoint of this tenant.  It is https://, the name of that server, and the path "
              "of\n"
              "the <Location> with SCIMEngine On, or its SCIMBaseURL.\n",
              stderr);
    } else if (urls->nelts > 1) {
        fputs("Any of the Tenant URLs will do; take the one that the identity provider "
              "reaches.\n",
              stderr);
    }
    if (provider) {
        print_provider(scim_provider_find(provider));
    }
}
