/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of mod_scim: of the module and of scimctl, which are built
 * together.  It is written here alone; the Makefile reads it from this line
 * for the Debian packages.
 */
#ifndef SCIM_VERSION_H
#define SCIM_VERSION_H

#define SCIM_VERSION "0.9.0"

#endif
