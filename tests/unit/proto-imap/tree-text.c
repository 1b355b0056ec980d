/* SPDX-License-Identifier: Apache-2.0 */
#include "tree-text.h"

static void
octets_add (GString *text, Slice octets, gboolean quoted)
{
	for (gsize i = 0; i < octets.size; i++) {
		guchar c = (guchar) octets.data[i];
		if (c < ' ' || c >= 0x7f)
			g_string_append_printf (text, "\\x%02x", c);
		else if (quoted && (c == '"' || c == '\\'))
			g_string_append_printf (text, "\\%c", c);
		else
			g_string_append_c (text, (char) c);
	}
}

static void
list_add (GString *text, const ImapNode *first)
{
	for (const ImapNode *n = first; n; n = node_next (n)) {
		tree_text_add (text, n);
		if (node_next (n))
			g_string_append_c (text, ' ');
	}
}

void
tree_text_add (GString *text, const ImapNode *n)
{
	switch ((NodeKind) n->kind) {
	case NODE_ATOM:
		octets_add (text, n->text, FALSE);
		break;
	case NODE_STRING:
		g_string_append (text, n->literal8 ? "~\"" : "\"");
		octets_add (text, n->text, TRUE);
		g_string_append_c (text, '"');
		break;
	case NODE_LIST:
		g_string_append_c (text, '(');
		list_add (text, node_first (n));
		g_string_append_c (text, ')');
		break;
	case NODE_FILE:
	case NODE_STREAM:
		g_string_append_printf (text, "%s<%s %" G_GUINT64_FORMAT ">", n->literal8 ? "~" : "", n->kind == NODE_FILE ? "file" : "stream",
		                        n->size);
		break;
	}
}

static void
status_add (GString *text, const ImapResponse *r)
{
	if (*reply_code (r))
		g_string_append_printf (text, " {%s|%s}", reply_code (r), reply_code_args (r));
	if (*reply_human (r))
		g_string_append_printf (text, " %s", reply_human (r));
}

char *
reply_text_of (const ImapResponse *r)
{
	GString *text = g_string_new (NULL);
	if (reply_kind (r) == REPLY_CONTINUATION) {
		g_string_append_printf (text, "+ %s", reply_human (r));
		return g_string_free (text, FALSE);
	}
	octets_add (text, reply_tag (r), FALSE);
	if (reply_number (r))
		g_string_append_printf (text, " %u", reply_number (r));
	g_string_append_c (text, ' ');
	octets_add (text, reply_name (r), FALSE);
	if (reply_is_status (r))
		status_add (text, r);
	Slice rest = reply_numbers (r);
	for (guint32 n; reply_next_number (&rest, &n);)
		g_string_append_printf (text, " %u", n);
	if (reply_arg (r, 0))
		g_string_append_c (text, ' ');
	list_add (text, reply_arg (r, 0));
	if (reply_search_modseq (r) && !reply_is (r, "ESEARCH"))
		g_string_append_printf (text, " (MODSEQ %" G_GUINT64_FORMAT ")", reply_search_modseq (r));
	return g_string_free (text, FALSE);
}
