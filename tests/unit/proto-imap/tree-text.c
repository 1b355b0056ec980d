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

static void
line_begin (GString *text)
{
	if (text->len > 0)
		g_string_append_c (text, '\n');
}

char *
replies_text (Slice input, gsize piece)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GError) error = NULL;
	GString *text = g_string_new (NULL);
	gsize used;
	for (gsize at = 0; at < input.size; at += used) {
		gboolean complete;
		/* a copy of its very size: reading on behind it is then seen */
		gsize size = MIN (piece, input.size - at);
		g_autofree char *copy = g_memdup2 (input.data + at, size);
		gboolean ok = imap_reply_feed (r, (Slice) {copy, size}, &used, &complete, &error);
		if (ok && !complete)
			continue;
		g_autofree char *one = ok ? reply_text_of (r) : g_strdup_printf ("! %s", error->message);
		line_begin (text);
		g_string_append (text, one);
		if (!ok)
			break;
	}
	return g_string_free (text, FALSE);
}

static void
command_add (GString *text, const ImapCommand *c)
{
	line_begin (text);
	octets_add (text, imap_command_tag (c), FALSE);
	g_string_append_printf (text, " %s%s", imap_command_is_uid (c) ? "UID " : "", imap_command_name (c));
	if (imap_command_arg (c, 0))
		g_string_append_c (text, ' ');
	list_add (text, imap_command_arg (c, 0));
}

static void
literal_answer (GString *text, ImapCommand *c)
{
	line_begin (text);
	if (imap_command_literal_size (c) > COMMANDS_REFUSE_OVER) {
		imap_command_refuse (c);
		g_string_append (text, "no");
	} else
		g_string_append_printf (text, "%s[", imap_command_accept (c) ? "+ " : "");
}

static gboolean
step_add (GString *text, CommandStep step, ImapCommand *c)
{
	switch (step) {
	case COMMAND_MORE:
		break;
	case COMMAND_CONTINUE:
		line_begin (text);
		g_string_append_c (text, '+');
		break;
	case COMMAND_LITERAL:
		literal_answer (text, c);
		break;
	case COMMAND_OCTETS:
		octets_add (text, imap_command_octets (c), FALSE);
		break;
	case COMMAND_DONE:
		command_add (text, c);
		break;
	case COMMAND_BAD:
		line_begin (text);
		g_string_append (text, imap_command_is_too_big (c) ? "!! " : "! ");
		octets_add (text, imap_command_tag (c), FALSE);
		g_string_append_printf (text, " %s", imap_command_fault (c));
		break;
	case COMMAND_LOST:
		line_begin (text);
		g_string_append (text, "lost");
		return FALSE;
	}
	return TRUE;
}

char *
commands_text (Slice input, gsize piece, const ImapCommandLimits *limits, gboolean utf8)
{
	g_autoptr (ImapCommand) c = imap_command_new (limits);
	GString *text = g_string_new (NULL);
	gsize used;
	gboolean goes_on = TRUE;
	imap_command_allow_utf8 (c, utf8);
	for (gsize at = 0; at < input.size && goes_on; at += used) {
		gsize size = MIN (piece, input.size - at);
		g_autofree char *copy = g_memdup2 (input.data + at, size);
		goes_on = step_add (text, imap_command_feed (c, (Slice) {copy, size}, &used), c);
	}
	return g_string_free (text, FALSE);
}
