/* SPDX-License-Identifier: Apache-2.0 */
/* What commands on one folder share: selecting it, sets that fit a line, flags as text. */
#include "imap-private.h"
#include <string.h>

#define SET_TEXT_LIMIT 7000 /* RFC 7162 section 4: servers take lines of 8192 octets at least */
#define SET_MESSAGES_LIMIT 2000

typedef struct {
	guint32 uidvalidity;
	gboolean read_only;
	ImapEndpoint *e;
	ImapAnswer answer;
} Selecting;

static ImapHeard
selecting_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Selecting *g = data;
	const char *code = reply_is_status (r) ? reply_code (r) : "";
	if (strcmp (code, "UIDVALIDITY") == 0)
		g->uidvalidity = (guint32) reply_code_number (r);
	else
		return IMAP_PASSED;
	return IMAP_TAKEN;
}

static gboolean
is_opened (const ImapSession *s, GString *quoted)
{
	const char *opened = imap_session_opened (s);
	return opened && imap_session_selected_validity (s) && strcmp (opened, quoted->str) == 0;
}

static gboolean
select_again (ImapSession *s, Selecting *g, GString *quoted, const char *name, GError **error)
{
	g_autofree char *text = g_strconcat ("SELECT ", quoted->str, NULL);
	if (!imap_session_run (s, text, selecting_hear, g, &g->answer, error))
		return FALSE;
	if (g->answer.outcome == IMAP_OK) {
		imap_session_note_selected (s, g->uidvalidity, strcmp (g->answer.code, "READ-ONLY") != 0);
		return TRUE;
	}
	GError *failure = NULL;
	imap_answer_fail (&g->answer, &failure, "folder '%s' can't be opened", name);
	if (failure->code == ERROR_REFUSED && g->answer.outcome == IMAP_NO && !*g->answer.code)
		failure->code = ERROR_NOT_FOUND;
	g_propagate_error (error, failure);
	return FALSE;
}

gboolean
endpoint_select (ImapEndpoint *e, ImapSession *s, const char *name, guint32 uidvalidity, gboolean writing, GError **error)
{
	Selecting g = {.e = e};
	g_autoptr (GString) quoted = g_string_new (NULL);
	text_add_name (quoted, name);
	gboolean ok = is_opened (s, quoted) || select_again (s, &g, quoted, name, error);
	imap_answer_clear (&g.answer);
	if (!ok)
		return FALSE;
	guint32 now = imap_session_selected_validity (s);
	if (uidvalidity && now != uidvalidity)
		return error_fail (error, ERROR_CONFLICT, "folder '%s' is not the one it was: its UIDVALIDITY is %u instead of %u", name, now,
		                   uidvalidity);
	if (writing && !imap_session_is_writable (s))
		return error_fail (error, ERROR_NO_PERMISSION, "folder '%s' can only be read: the server allows no changes in it", name);
	return TRUE;
}

void
uids_take_text (UidSet *rest, GString *text, UidSet *taken)
{
	guint n = 0, messages = 0;
	g_auto (UidSet) part = UID_SET_INIT;
	for (gsize size = 0; n < rest->n_ranges && size < SET_TEXT_LIMIT && messages < SET_MESSAGES_LIMIT; n++, size += 22) {
		UidRange r = rest->ranges[n];
		guint left = SET_MESSAGES_LIMIT - messages;
		guint32 hi = r.hi - r.lo < left ? r.hi : r.lo + left - 1;
		uid_set_add_range (&part, r.lo, hi);
		messages += hi - r.lo + 1;
	}
	uid_set_remove_set (rest, &part);
	g_string_truncate (text, 0);
	uid_set_format (&part, text);
	if (taken)
		uid_set_copy (taken, &part);
}

gboolean
text_add_flag_list (GString *text, guint flags, const char *keywords, GError **error)
{
	for (const char *c = keywords ? keywords : ""; *c; c++)
		if ((guchar) *c < ' ' || (guchar) *c >= 0x7f || strchr ("(){%*\"\\]", *c))
			return error_fail (error, ERROR_REFUSED, "the server can't have a keyword with '%c' or letters beyond ASCII in it: %s",
			                   (guchar) *c < ' ' || (guchar) *c >= 0x7f ? '?' : *c, keywords);
	g_string_append_c (text, '(');
	text_add_flags (text, flags, keywords);
	g_string_append_c (text, ')');
	return TRUE;
}

const char *
fetch_id_item (const ImapSession *s)
{
	return imap_session_can (s, "OBJECTID") ? " EMAILID" : imap_session_can (s, "X-GM-EXT-1") ? " X-GM-MSGID" : "";
}
