/* SPDX-License-Identifier: Apache-2.0 */
/* What imap-session.c, imap-session-parse.c and imap-logon.c share. */
#pragma once
#include "imap-private.h"

struct ImapSession {
	NetConn *conn;
	Cancel *cancel;
	const ImapSettings *settings;
	ImapReply *reply; /* being read */
	gboolean enabled, enable_refused;

	GQueue commands; /* of ImapCommand, oldest first */
	guint last_tag;
	guint continuations;      /* requests not yet taken */
	char *continuation_text; /* of the last one */
	gint64 last_heard;        /* monotonic; sending counts, since an upload may take long */
	guint64 last_sent;        /* octets on the wire by then */
	int silence_ms;           /* 0: no limit */
	gboolean broken;          /* no further use */
	char *bye;

	char *opened; /* the argument of the last SELECT or EXAMINE */
	guint32 selected_validity;
	gboolean selected_writable;

	ImapObserver observer;
	gpointer observer_data;

	char *greeting;
	gboolean greeted, preauth;
	gboolean capabilities_fresh; /* told since the last change of state */
	GString *capability_text;
	GHashTable *capabilities; /* upper-case words */
	char *software;
	ImapServer server; /* id NULL: it did not say */
	guint64 log_on_flights;
	GString *trace_in, *trace_out; /* lines not yet complete */
	gboolean hide_input;
};

/* Parses and dispatches the connection's input. */
gboolean session_parse (ImapSession *s, GError **error);
void session_parser_clear (ImapSession *s);
void session_set_capabilities (ImapSession *s, const char *text);
gboolean session_answered (ImapSession *s, guint number, const ImapAnswer *a, GError **error);
gboolean session_untagged (ImapSession *s, const ImapResponse *r, GError **error);
gboolean session_break (ImapSession *s, GError **error);
