/* SPDX-License-Identifier: Apache-2.0 */
/* From the socket to the authenticated state. With SASL-IR that is one flight behind the greeting. */
#include "imap-session-private.h"
#include "net-sasl.h"
#include <string.h>

#define STEPS_LIMIT 10
#define TRACE_LINE_LIMIT 2000

/* Gives whole lines to the user's trace. Literals are cut where they hold line ends, which is what a reader wants to see. */
static void
trace_octets (gpointer data, gboolean sent, Slice octets)
{
	ImapSession *s = data;
	GString *line = sent ? s->trace_out : s->trace_in;
	for (gsize i = 0; i < octets.size; i++) {
		char c = octets.data[i];
		if (c != '\n' && line->len < TRACE_LINE_LIMIT)
			g_string_append_c (line, c == '\r' || c == '\0' ? ' ' : c);
		if (c != '\n')
			continue;
		g_strchomp (line->str);
		s->settings->trace (s->settings->trace_data, sent ? '>' : '<', line->str);
		g_string_truncate (line, 0);
	}
}

static void
session_hear_greeting (ImapSession *s)
{
	static const char *const names[] = {"Dovecot", "Cyrus", "Courier", "Exchange", "Gimap", "Zimbra", "hMailServer", "Stalwart"};
	for (guint i = 0; i < G_N_ELEMENTS (names) && !s->software; i++)
		if (strcasestr (s->greeting, names[i]))
			s->software = g_strdup (names[i]);
}

static gboolean
session_await_greeting (ImapSession *s, GError **error)
{
	gint64 end = g_get_monotonic_time () + MIN (60000, imap_silence_ms) * G_GINT64_CONSTANT (1000);
	while (!s->greeted) {
		if (g_get_monotonic_time () > end)
			return error_fail (error, ERROR_TEMPORARY, "the server %s has not greeted for a minute: is this an IMAP port?",
			                   net_conn_name (s->conn));
		if (!imap_sessions_turn (&s, 1, NULL, 0, 1000, NULL, error))
			return FALSE;
	}
	if (s->bye)
		return session_break (s, error);
	session_hear_greeting (s);
	return TRUE;
}

static gboolean
session_learn_capabilities (ImapSession *s, GError **error)
{
	g_auto (ImapAnswer) answer = {0};
	return s->capabilities_fresh || imap_session_run (s, "CAPABILITY", NULL, NULL, &answer, error);
}

static gboolean
session_start_tls (ImapSession *s, GError **error)
{
	g_auto (ImapAnswer) answer = {0};
	if (s->settings->implicit_tls || s->settings->plain)
		return TRUE;
	if (s->preauth)
		return error_fail (error, ERROR_PROTOCOL, "the server %s logged us on before TLS could be started", net_conn_name (s->conn));
	if (!imap_session_run (s, "STARTTLS", NULL, NULL, &answer, error))
		return FALSE;
	if (answer.outcome != IMAP_OK)
		return error_fail (error, ERROR_UNTRUSTED,
		                   "the server %s does not offer TLS on this port: use port 993, or allow a connection without it",
		                   net_conn_name (s->conn));
	if (!net_conn_start_tls (s->conn, s->cancel, error))
		return FALSE;
	/* what was said before TLS may have been said by anyone */
	session_set_capabilities (s, "");
	s->capabilities_fresh = FALSE;
	return TRUE;
}

/* Why the log-on failed, in words that name the next step. */
static gboolean
logon_fail (ImapSession *s, const ImapAnswer *a, NetSasl *sasl, GError **error)
{
	if (imap_answer_is_temporary (a))
		return error_fail (error, ERROR_TEMPORARY, "%s can't log on '%s' now: the server said: %s", net_conn_name (s->conn),
		                   s->settings->user, a->text);
	const char *more = sasl ? net_sasl_failure (sasl) : NULL;
	return error_fail (error, ERROR_NO_PERMISSION, "%s did not accept the %s of '%s' (it said: %s%s%s): check user name and %s",
	                   net_conn_name (s->conn), s->settings->secret_is_token ? "token" : "password", s->settings->user, a->text,
	                   more ? "; " : "", more ? more : "",
	                   s->settings->secret_is_token ? "token" : "password; some providers want a password made for programs");
}

static void
line_send_secret (ImapSession *s, const char *text)
{
	net_conn_write_secret (s->conn, text, strlen (text));
	net_conn_write (s->conn, "\r\n", 2);
}

static gboolean
logon_keep (gpointer data, const ImapAnswer *a, GError **error)
{
	*(ImapAnswer *) data = (ImapAnswer) {a->outcome, g_strdup (a->code), g_strdup (a->args), g_strdup (a->text)};
	return TRUE;
}

static gboolean
logon_answer_challenge (ImapSession *s, NetSasl *sasl, GError **error)
{
	char *response = NULL;
	if (!net_sasl_step (sasl, s->continuation_text ? s->continuation_text : "", &response, error)) {
		line_send_secret (s, "*");
		return FALSE;
	}
	line_send_secret (s, response);
	net_sasl_wipe (response);
	return TRUE;
}

static gboolean
logon_by_sasl (ImapSession *s, NetSasl *sasl, GError **error)
{
	g_auto (ImapAnswer) answer = {0};
	g_autofree char *text = g_strdup_printf ("AUTHENTICATE %s", net_sasl_mechanism (sasl));
	char *initial = imap_session_can (s, "SASL-IR") ? net_sasl_initial (sasl) : NULL;
	s->capabilities_fresh = FALSE;
	imap_session_begin (s, text, NULL, logon_keep, &answer);
	if (initial) {
		net_conn_write (s->conn, " ", 1);
		net_conn_write_secret (s->conn, *initial ? initial : "=", *initial ? strlen (initial) : 1);
	}
	net_conn_write (s->conn, "\r\n", 2);
	net_sasl_wipe (initial);
	for (guint steps = 0; answer.outcome == IMAP_OPEN;) {
		if (!imap_sessions_turn (&s, 1, NULL, 0, -1, NULL, error))
			return FALSE;
		while (imap_session_take_continuation (s))
			if (++steps > STEPS_LIMIT || !logon_answer_challenge (s, sasl, error))
				return error && *error ? FALSE
				                       : error_fail (error, ERROR_PROTOCOL, "%s asks without end at log-on", net_conn_name (s->conn));
	}
	return answer.outcome == IMAP_OK ? net_sasl_finish (sasl, error) : logon_fail (s, &answer, sasl, error);
}

static char *
text_quote (const char *text)
{
	GString *quoted = g_string_new ("\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			g_string_append_c (quoted, '\\');
		g_string_append_c (quoted, *text);
	}
	g_string_append_c (quoted, '"');
	return g_string_free (quoted, FALSE);
}

static gboolean
logon_by_command (ImapSession *s, const char *secret, GError **error)
{
	g_auto (ImapAnswer) answer = {0};
	if (imap_session_can (s, "LOGINDISABLED"))
		return error_fail (error, ERROR_NO_PERMISSION, "%s allows no log-on on this connection: use TLS", net_conn_name (s->conn));
	if (strpbrk (s->settings->user, "\r\n") || strpbrk (secret, "\r\n"))
		return error_fail (error, ERROR_USAGE, "user name or password of '%s' holds a line end", s->settings->user);
	g_autofree char *user = text_quote (s->settings->user);
	g_autofree char *text = g_strdup_printf ("LOGIN %s ", user);
	char *quoted = text_quote (secret);
	s->capabilities_fresh = FALSE;
	imap_session_begin (s, text, NULL, logon_keep, &answer);
	line_send_secret (s, quoted);
	net_sasl_wipe (quoted);
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	return answer.outcome == IMAP_OK || logon_fail (s, &answer, NULL, error);
}

static char **
mechanisms_offered (ImapSession *s)
{
	GPtrArray *offered = g_ptr_array_new ();
	GHashTableIter it;
	gpointer name;
	g_hash_table_iter_init (&it, s->capabilities);
	while (g_hash_table_iter_next (&it, &name, NULL))
		if (g_str_has_prefix (name, "AUTH="))
			g_ptr_array_add (offered, g_strdup ((char *) name + strlen ("AUTH=")));
	g_ptr_array_add (offered, NULL);
	return (char **) g_ptr_array_free (offered, FALSE);
}

static gboolean
logon_with_secret (ImapSession *s, const char *secret, GError **error)
{
	gboolean plain_allowed = net_conn_is_encrypted (s->conn) || s->settings->plain;
	NetSaslSettings settings = {
		.user = s->settings->user,
		.secret = secret,
		.secret_is_token = s->settings->secret_is_token,
		.plain_allowed = plain_allowed,
		.only = s->settings->mechanism,
		.host = s->settings->host,
		.port = s->settings->port,
		.conn = s->conn,
	};
	g_auto (GStrv) offered = mechanisms_offered (s);
	g_autoptr (GError) local = NULL;
	g_autoptr (NetSasl) sasl = net_sasl_new (&settings, (const char *const *) offered, &local);
	if (sasl)
		return logon_by_sasl (s, sasl, error);
	if (error_is (local, ERROR_NOT_FOUND) && plain_allowed && !settings.only && !settings.secret_is_token)
		return logon_by_command (s, secret, error);
	if (error_is (local, ERROR_NOT_FOUND))
		return error_fail (error, ERROR_NO_PERMISSION, "%s offers no usable way to log on: %s", net_conn_name (s->conn), local->message);
	g_propagate_error (error, g_steal_pointer (&local));
	return FALSE;
}

static gboolean
session_log_on (ImapSession *s, GError **error)
{
	if (s->preauth)
		return session_learn_capabilities (s, error);
	char *secret = s->settings->secret (s->settings->secret_data, error);
	if (!secret)
		return FALSE;
	gboolean ok = logon_with_secret (s, secret, error);
	net_sasl_wipe (secret);
	return ok && session_learn_capabilities (s, error);
}

/* With capabilities of an earlier session. A refusal may be due to them: then once more with those of today. */
static gboolean
session_log_on_remembered (ImapSession *s, GError **error)
{
	g_autoptr (GError) refusal = NULL;
	g_autofree char *remembered = g_strdup (imap_session_capabilities (s));
	if (session_log_on (s, &refusal))
		return TRUE;
	gboolean again = (error_is (refusal, ERROR_NO_PERMISSION) || error_is (refusal, ERROR_PROTOCOL)) && !imap_session_is_dead (s);
	s->capabilities_fresh = FALSE;
	if (again && !session_learn_capabilities (s, error))
		return FALSE;
	if (again && strcmp (remembered, imap_session_capabilities (s)) != 0)
		return session_log_on (s, error);
	g_propagate_error (error, g_steal_pointer (&refusal));
	return FALSE;
}

/* Who we are (RFC 2971), and nothing about the machine or its user. Some servers open no folder for a client that does not say it, so
 * every connection does. It waits in the queue for the first command and goes with it, and so does the question which server this is. */
static void
session_introduce (ImapSession *s)
{
	if (imap_session_can (s, "ID"))
		imap_session_send (s, "ID (\"name\" \"outpost\" \"version\" \"" OUTPOST_VERSION "\")", NULL, NULL, NULL);
	if (imap_session_can (s, "METADATA-SERVER")) /* not of those with METADATA for folders: outpostd has this alone */
		imap_session_send (s, "GETMETADATA (MAXSIZE 4000 DEPTH infinity) \"\" /shared/vendor/outpost/server", NULL, NULL, NULL);
}

static gboolean
session_start (ImapSession *s, const char *known, GError **error)
{
	if (!session_await_greeting (s, error) || !session_start_tls (s, error))
		return FALSE;
	/* Capabilities remembered spare the question, but never decide what the server says itself, and never before TLS. */
	gboolean used = !s->capabilities_fresh && known && strstr (known, "AUTH=");
	if (used)
		session_set_capabilities (s, known);
	gboolean ok = used ? session_log_on_remembered (s, error) : session_learn_capabilities (s, error) && session_log_on (s, error);
	if (!ok)
		return FALSE;
	s->log_on_flights = net_conn_stats (s->conn).flights;
	session_introduce (s);
	return TRUE;
}

ImapSession *
imap_session_open (const ImapSettings *settings, const char *known, Cancel *cancel, GError **error)
{
	NetTarget target = {
		.host = settings->host,
		.port = settings->port,
		.tls = settings->implicit_tls && !settings->plain,
		.ca_file = settings->tls_ca_file,
		.pin = settings->tls_pin,
	};
	NetConn *conn = net_conn_open (&target, cancel, error);
	if (!conn)
		return NULL;
	g_autoptr (ImapSession) s = g_new0 (ImapSession, 1);
	s->conn = conn;
	s->cancel = cancel;
	s->settings = settings;
	s->silence_ms = imap_silence_ms;
	s->capabilities = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	s->capability_text = g_string_new (NULL);
	s->trace_in = g_string_new (NULL);
	s->trace_out = g_string_new (NULL);
	g_queue_init (&s->commands);
	if (settings->trace)
		net_conn_set_trace (conn, trace_octets, s);
	if (!session_start (s, known, error))
		return NULL;
	return g_steal_pointer (&s);
}
