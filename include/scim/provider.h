/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a Tenant URL and a Secret Token are typed in at identity providers, in
 * the words of their own pages: for a terminal and for a web page.
 */
#ifndef SCIM_PROVIDER_H
#define SCIM_PROVIDER_H

/* What goes into one field of a provider's page. */
typedef struct scim_provider_field {
    const char *label;
    const char *value;
} scim_provider_field;

/* Texts have no markup.  Those of several lines have them ended by a newline
 * where a terminal is to break them; it stands for a space elsewhere. */
typedef struct scim_provider_step {
    const char *text;
    scim_provider_field fields[6]; /* up to the first without a label */
} scim_provider_step;

typedef struct scim_provider {
    const char *name;            /* "entra": for options and forms */
    const char *title;           /* "Microsoft Entra ID" */
    const char *place;           /* "In the Microsoft Entra admin center" */
    scim_provider_step steps[6]; /* up to the first without a text */
    const char *note;            /* or NULL */
} scim_provider;

/* All of them, up to one without a name. */
extern const scim_provider scim_providers[];

/* The one of that name, or NULL. */
const scim_provider *scim_provider_find(const char *name);

#endif
