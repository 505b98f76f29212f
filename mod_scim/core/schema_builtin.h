/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents that are compiled in: private to schema.c, which has them,
 * and registry.c, which reads them.
 */
#ifndef SCIM_SCHEMA_BUILTIN_H
#define SCIM_SCHEMA_BUILTIN_H

#include "scim/schema.h"

/* In the order of /Schemas and /ResourceTypes. */
extern const scim_document scim_schema_builtin[];
extern const int scim_schema_builtin_count;

/* The attributes of every resource (RFC 7643 section 3.1), in the form of a
 * schema; they are not published as one. */
extern const scim_document scim_schema_common;

#endif
