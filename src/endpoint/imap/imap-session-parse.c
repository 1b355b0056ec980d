/* SPDX-License-Identifier: Apache-2.0 */
/* From a connection's input to its commands. */
#include "imap-session-private.h"
#include <string.h>

#define ID_FIELD_LIMIT 100 /* octets */
#define ADDRESSES_LIMIT 10 /* of a server; of 300 octets each */

void
session_parser_clear (ImapSession *s)
{
	g_clear_pointer (&s->reply, imap_reply_free);
	g_clear_pointer (&s->continuation_text, g_free);
}

/* What RFC 9051 (appendix E) has made part of the protocol. A server that speaks the older protocol too names each by itself. */
static void
add_capabilities_of_rev2 (GHashTable *capabilities)
{
	static const char *const words[] = {"NAMESPACE", "UNSELECT", "UIDPLUS", "ESEARCH", "SEARCHRES", "ENABLE", "IDLE", "SASL-IR",
	                                    "LIST-EXTENDED", "LIST-STATUS", "MOVE", "LITERAL-", "SPECIAL-USE", "STATUS=SIZE"};
	for (guint i = 0; i < G_N_ELEMENTS (words); i++)
		g_hash_table_add (capabilities, g_strdup (words[i]));
}

void
session_set_capabilities (ImapSession *s, const char *text)
{
	g_auto (GStrv) words = g_strsplit (text, " ", 500);
	g_hash_table_remove_all (s->capabilities);
	for (guint i = 0; words[i]; i++)
		if (*words[i])
			g_hash_table_add (s->capabilities, g_ascii_strup (words[i], -1));
	if (imap_session_is_rev2_only (s))
		add_capabilities_of_rev2 (s->capabilities);
	g_string_assign (s->capability_text, text);
}

static void
session_take_capability (ImapSession *s, const ImapResponse *r)
{
	g_autoptr (GString) text = g_string_new (NULL);
	for (const ImapNode *n = reply_arg (r, 0); n; n = node_next (n)) {
		Slice word = node_text (n);
		g_string_append_printf (text, "%s%.*s", text->len ? " " : "", (int) word.size, word.data);
	}
	session_set_capabilities (s, text->str);
	s->capabilities_fresh = TRUE;
}

/* The value of field @name, as it may stand in a line for people; "" if there is none. */
static char *
id_field (const ImapResponse *r, const char *name)
{
	for (const ImapNode *n = node_first (reply_arg (r, 0)), *value; n && (value = node_next (n)); n = node_next (value))
		if (slice_equals_ascii_case (node_text (n), name) && !node_is_nil (value)) {
			char *text = slice_to_utf8 (node_text (value), ID_FIELD_LIMIT);
			for (char *c = text; *c; c++)
				if (g_ascii_iscntrl (*c))
					*c = ' ';
			return g_strstrip (text);
		}
	return g_strdup ("");
}

static void
session_take_id (ImapSession *s, const ImapResponse *r)
{
	g_autofree char *name = id_field (r, "name"), *version = id_field (r, "version");
	if (!*name)
		return;
	g_free (s->software);
	s->software = g_strjoin (*version ? " " : "", name, version, NULL);
}

/* The value of outpost's entry @name, "" if there is none. */
static char *
server_entry (const ImapNode *entries, const char *name, gsize limit)
{
	g_autofree char *whole = g_strconcat ("/shared/vendor/outpost/server/", name, NULL);
	for (const ImapNode *n = node_first (entries), *value; n && (value = node_next (n)); n = node_next (value))
		if (slice_equals_ascii_case (node_text (n), whole) && !node_is_nil (value)) {
			char *text = slice_to_utf8 (node_text (value), limit);
			for (char *c = text; *c; c++)
				if (g_ascii_iscntrl (*c))
					*c = ' ';
			return text;
		}
	return g_strdup ("");
}

static void
session_take_metadata (ImapSession *s, const ImapResponse *r)
{
	const ImapNode *entries = reply_arg (r, 1);
	g_autofree char *id = server_entry (entries, "id", ID_FIELD_LIMIT);
	if (reply_text (r, 0).size != 0 || !*id || s->server.id)
		return;
	g_autofree char *addresses = server_entry (entries, "addresses", ADDRESSES_LIMIT * 300);
	s->server.id = g_steal_pointer (&id);
	s->server.name = server_entry (entries, "name", ID_FIELD_LIMIT);
	s->server.site = server_entry (entries, "site", ID_FIELD_LIMIT);
	s->server.addresses = g_strsplit (addresses, " ", ADDRESSES_LIMIT);
}

/* What of a status response belongs to the session and not to a command. */
static void
session_take_status (ImapSession *s, const ImapResponse *r)
{
	if (strcmp (reply_code (r), "CAPABILITY") == 0) {
		session_set_capabilities (s, reply_code_args (r));
		s->capabilities_fresh = TRUE;
	} else if (strcmp (reply_code (r), "ALERT") == 0 && s->settings->alert)
		s->settings->alert (s->settings->alert_data, reply_human (r));
	else if (strcmp (reply_code (r), "REFERRAL") == 0 && reply_is (r, "NO") && s->greeted && s->settings->referral)
		s->settings->referral (s->settings->referral_data, reply_code_args (r));
	if (reply_is (r, "BYE")) {
		g_free (s->bye);
		s->bye = g_strdup (reply_human (r));
	}
	/* Dovecot says "* OK Waiting for authentication process" before it greets; both are OK, and either will do */
	if (!s->greeted && reply_kind (r) == REPLY_UNTAGGED) {
		s->greeted = TRUE;
		s->preauth = reply_is (r, "PREAUTH");
		g_free (s->greeting);
		s->greeting = g_strdup (reply_human (r));
	}
}

static gboolean
session_take_tagged (ImapSession *s, const ImapResponse *r, GError **error)
{
	g_autofree char *tag = slice_dup (reply_tag (r));
	ImapAnswer answer = {
		reply_is (r, "OK") ? IMAP_OK : reply_is (r, "NO") ? IMAP_NO : IMAP_BAD,
		(char *) reply_code (r),
		(char *) reply_code_args (r),
		(char *) reply_human (r),
	};
	return session_answered (s, *tag ? (guint) g_ascii_strtoull (tag + 1, NULL, 10) : 0, &answer, error);
}

static gboolean
session_dispatch (ImapSession *s, const ImapResponse *r, GError **error)
{
	if (reply_kind (r) == REPLY_CONTINUATION) {
		s->continuations++;
		g_free (s->continuation_text);
		s->continuation_text = g_strdup (reply_human (r));
		return TRUE;
	}
	if (reply_is_status (r))
		session_take_status (s, r);
	else if (reply_is (r, "CAPABILITY"))
		session_take_capability (s, r);
	else if (reply_is (r, "ID"))
		session_take_id (s, r);
	else if (reply_is (r, "METADATA"))
		session_take_metadata (s, r);
	return reply_kind (r) == REPLY_TAGGED ? session_take_tagged (s, r, error) : session_untagged (s, r, error);
}

gboolean
session_parse (ImapSession *s, GError **error)
{
	if (!s->reply)
		s->reply = imap_reply_new ();
	for (Slice input; (input = net_conn_input (s->conn)).size > 0;) {
		gsize used;
		gboolean complete;
		gboolean ok = imap_reply_feed (s->reply, input, &used, &complete, error);
		net_conn_consume (s->conn, used);
		if (!ok || (complete && !session_dispatch (s, s->reply, error)))
			return FALSE;
	}
	return !s->bye || session_break (s, error);
}
