/* SPDX-License-Identifier: Apache-2.0 */
/* What a folder is for, as attributes of LIST say it (RFC 6154, RFC 8457). */
#pragma once

/* The role that a SPECIAL-USE or XLIST attribute ("\Sent", in any case) stands for, or NULL if it is none of them. Static. */
const char *role_of_attribute (const char *attribute);
/* The attribute of a role ("sent" gives "\Sent"), NULL if there is none, as of the inbox. Static. */
const char *role_attribute (const char *role);
