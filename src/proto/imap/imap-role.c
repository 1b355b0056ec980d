/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-role.h"
#include <glib.h>
#include <string.h>

static const struct {
	const char *role, *attribute;
} roles[] = {
	{"inbox", "\\Inbox"}, {"sent", "\\Sent"}, {"drafts", "\\Drafts"}, {"trash", "\\Trash"}, {"junk", "\\Junk"},
	{"archive", "\\Archive"}, {"all", "\\All"}, {"flagged", "\\Flagged"}, {"important", "\\Important"},
	/* Names that XLIST (Gmail before RFC 6154) used. */
	{"all", "\\AllMail"}, {"junk", "\\Spam"}, {"flagged", "\\Starred"},
};

const char *
role_of_attribute (const char *attribute)
{
	for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
		if (g_ascii_strcasecmp (roles[i].attribute, attribute) == 0)
			return roles[i].role;
	return NULL;
}

const char *
role_attribute (const char *role)
{
	for (guint i = 1; i < G_N_ELEMENTS (roles); i++)
		if (strcmp (roles[i].role, role) == 0)
			return roles[i].attribute;
	return NULL;
}
