/* SPDX-License-Identifier: Apache-2.0 */
#include "imapd-url.h"
#include <string.h>

#define URL_MAX 10000

void
url_clear (Url *u)
{
	g_free (u->folder);
	section_clear (&u->section);
}

/* Percent signs undone (RFC 3986 section 2.1); NULL: NUL or what is no UTF-8 came of it. */
static char *
decode (const char *text)
{
	g_autofree char *plain = g_uri_unescape_string (text, NULL);
	return plain && g_utf8_validate (plain, -1, NULL) ? g_steal_pointer (&plain) : NULL;
}

static gboolean
take_number (const char *text, guint32 *out)
{
	guint64 n;
	if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT32, &n, NULL))
		return FALSE;
	*out = (guint32) n;
	return TRUE;
}

/* "INBOX;UIDVALIDITY=3" */
static gboolean
take_folder (char *text, Url *u)
{
	static const char validity[] = ";UIDVALIDITY=";
	char *end = strchr (text, ';');
	if (end && (g_ascii_strncasecmp (end, validity, sizeof validity - 1) != 0 || !take_number (end + sizeof validity - 1, &u->uidvalidity)))
		return FALSE;
	if (end)
		*end = '\0';
	u->folder = decode (text);
	return u->folder && *u->folder;
}

/* Written and read as in FETCH, so that both mean the same. */
static gboolean
take_section (const char *section, const char *partial, Section *out)
{
	static const TreeLimits limits = {URL_MAX + 100, 1000, 10};
	guint64 from = 0, size = G_MAXUINT32;
	g_auto (GStrv) numbers = g_strsplit (partial, ".", 2);
	if (*partial && (!g_ascii_string_to_unsigned (numbers[0], 10, 0, G_MAXUINT32, &from, NULL) ||
	                 (numbers[1] && !g_ascii_string_to_unsigned (numbers[1], 10, 1, G_MAXUINT32, &size, NULL))))
		return FALSE;
	g_autofree char *plain = decode (section);
	g_autofree char *range = *partial ? g_strdup_printf ("<%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ">", from, size) : g_strdup ("");
	g_autofree char *text = plain ? g_strdup_printf ("BODY[%s]%s\r\n", plain, range) : NULL;
	g_autoptr (ImapTree) tree = imap_tree_new (TRUE);
	TreeLiteral literal;
	gsize used;
	Slice line;
	imap_tree_set_limits (tree, &limits);
	if (!text || !imap_tree_take_line (tree, (Slice){text, strlen (text)}, &used, &line) || used != strlen (text) ||
	    imap_tree_read (tree, line, TRUE, &literal) != TREE_END)
		return FALSE;
	const ImapNode *n = node_first (imap_tree_root (tree));
	return n && !node_next (n) && node_has_section (n) && section_parse (n, out);
}

gboolean
url_parse (Slice text, Url *u)
{
	g_autofree char *whole = text.size > 1 && text.size <= URL_MAX && *text.data == '/' && !memchr (text.data, '\0', text.size) ? slice_dup (text) : NULL;
	g_auto (GStrv) parts = whole ? g_strsplit (whole + 1, "/;", 5) : NULL;
	const char *section = "", *partial = "";
	if (!parts || !parts[0] || !take_folder (parts[0], u))
		return FALSE;
	for (char **p = parts + 1; *p; p++)
		if (g_ascii_strncasecmp (*p, "UID=", 4) == 0 && !u->uid) {
			if (!take_number (*p + 4, &u->uid))
				return FALSE;
		} else if (u->uid && g_ascii_strncasecmp (*p, "SECTION=", 8) == 0 && !*section && !*partial)
			section = *p + 8;
		else if (u->uid && g_ascii_strncasecmp (*p, "PARTIAL=", 8) == 0 && !*partial)
			partial = *p + 8;
		else
			return FALSE;
	return u->uid && take_section (section, partial, &u->section);
}
