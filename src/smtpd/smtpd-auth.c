/* SPDX-License-Identifier: Apache-2.0 */
/* Logging on (RFC 4954): PLAIN (RFC 4616), LOGIN, and mechanisms of several messages, which the settings know. */
#include "sasl.h"
#include "smtpd-private.h"
#include <string.h>

#define REFUSALS_MAX 3u
#define PAUSE_MS 1000u

static const char *const *
names (const SmtpdSession *s)
{
	static const char *const none[] = {NULL};
	return s->submission->offered ? s->submission->offered (s->settings->data, &s->peer) : none;
}

void
auth_write_offers (const SmtpdSession *s, GString *to)
{
	if (s->submission->tls && !s->peer.encrypted)
		g_string_append (to, "250-STARTTLS\r\n");
	if (!s->peer.is_private || s->who)
		return;
	g_string_append (to, "250-AUTH PLAIN LOGIN");
	for (const char *const *name = names (s); *name; name++)
		g_string_append_printf (to, " %s", *name);
	g_string_append (to, "\r\n");
}

void
auth_end (SmtpdSession *s)
{
	s->auth = AUTH_NONE;
	if (s->exchange)
		s->submission->end (g_steal_pointer (&s->exchange));
	g_clear_pointer (&s->auth_user, g_free);
}

/* ---- How it ends ---- */

static void
refuse_log_on (SmtpdSession *s, const GError *error)
{
	if (error_is (error, ERROR_PROTOCOL)) {
		session_refuse (s, "501 5.5.2", error->message);
		return;
	}
	if (error_is (error, ERROR_NO_PERMISSION)) {
		s->pause = PAUSE_MS * ++s->refusals;
		session_reply (s, "535 5.7.8", "the name or the password is wrong");
	} else if (error_is (error, ERROR_TOO_BIG) || error_is (error, ERROR_REFUSED)) {
		s->refusals++;
		session_reply (s, "454 4.7.0", error->message);
	} else {
		g_message ("smtpd: %s", error->message); /* not for somebody whom we don't know yet */
		session_reply (s, "454 4.7.0", "nobody can log on now, try again later");
	}
	if (s->refusals >= REFUSALS_MAX)
		smtpd_session_bye (s, "too many log-ons that failed");
}

/* Behind what was the last message. @error is taken. */
static void
finish (SmtpdSession *s, gpointer who, GError *error)
{
	auth_end (s);
	s->who = who;
	if (who)
		session_reply (s, "235 2.7.0", "logged on");
	else
		refuse_log_on (s, error);
	g_clear_error (&error);
}

static void
refuse_message (SmtpdSession *s, const char *code, const char *text)
{
	auth_end (s);
	session_refuse (s, code, text);
}

/* ---- Messages ---- */

static void
try_password (SmtpdSession *s, const char *user, const char *password)
{
	GError *error = NULL;
	gpointer who = s->submission->log_on (s->settings->data, &s->peer, user, password, &error);
	finish (s, who, error);
}

static void
take_plain (SmtpdSession *s, Slice line)
{
	char *user = NULL, *password = NULL;
	switch (sasl_plain_read (line, &user, &password)) {
	case SASL_PLAIN_BAD:
		refuse_message (s, "501 5.5.2", "this is no answer of PLAIN");
		break;
	case SASL_PLAIN_FOR_ANOTHER:
		refuse_message (s, "535 5.7.8", "nobody may act for another here");
		break;
	case SASL_PLAIN_RIGHT:
		try_password (s, user, password);
	}
	g_free (user);
	sasl_wipe (password);
}

/* NULL: it is no base64, or has a NUL. */
static char *
text_of (Slice line)
{
	gsize size = 0;
	guchar *octets = sasl_decode (line, &size);
	char *text = octets && !memchr (octets, '\0', size) ? g_strndup ((const char *) octets, size) : NULL;
	if (octets)
		explicit_bzero (octets, size);
	g_free (octets);
	return text;
}

static void
ask (SmtpdSession *s, AuthState next, Slice message)
{
	g_autofree char *text = message.size ? g_base64_encode ((const guchar *) message.data, message.size) : g_strdup ("");
	s->auth = next;
	session_reply (s, "334", text);
}

static void
take_user (SmtpdSession *s, Slice line)
{
	s->auth_user = text_of (line);
	if (s->auth_user)
		ask (s, AUTH_PASSWORD, (Slice){"Password:", 9});
	else
		refuse_message (s, "501 5.5.2", "this is no name in base64");
}

static void
take_password (SmtpdSession *s, Slice line)
{
	char *password = text_of (line);
	g_autofree char *user = g_steal_pointer (&s->auth_user);
	if (password)
		try_password (s, user, password);
	else
		refuse_message (s, "501 5.5.2", "this is no password in base64");
	sasl_wipe (password);
}

static void
take_step (SmtpdSession *s, Slice line)
{
	gsize size = 0;
	GError *error = NULL;
	gpointer who = NULL;
	guchar *message = sasl_decode (line, &size);
	g_autoptr (GString) answer = g_string_new (NULL);
	if (!message)
		refuse_message (s, "501 5.5.2", "this is no base64");
	else if (!s->submission->step (s->exchange, (Slice){(const char *) message, size}, answer, &who, &error) || who)
		finish (s, who, error);
	else
		ask (s, AUTH_EXCHANGE, (Slice){answer->str, answer->len});
	if (message)
		explicit_bzero (message, size);
	g_free (message);
}

void
auth_line (SmtpdSession *s, Slice line)
{
	if (slice_equals (line, "*"))
		refuse_message (s, "501 5.7.0", "the log-on was given up");
	else if (s->auth == AUTH_PLAIN)
		take_plain (s, line);
	else if (s->auth == AUTH_USER)
		take_user (s, line);
	else if (s->auth == AUTH_PASSWORD)
		take_password (s, line);
	else
		take_step (s, line);
}

/* ---- The command ---- */

/* FALSE: there is no such mechanism, or it can't be used now, which was answered. */
static gboolean
choose (SmtpdSession *s, Slice mechanism)
{
	GError *error = NULL;
	s->auth = slice_equals_ascii_case (mechanism, "PLAIN") ? AUTH_PLAIN : slice_equals_ascii_case (mechanism, "LOGIN") ? AUTH_USER : AUTH_NONE;
	if (s->auth)
		return TRUE;
	const char *const *name = names (s);
	while (*name && !slice_equals_ascii_case (mechanism, *name))
		name++;
	if (!*name) {
		session_refuse (s, "504 5.5.4", "there is no such mechanism: EHLO tells those that are offered");
		return FALSE;
	}
	s->exchange = s->submission->begin (s->settings->data, &s->peer, *name, &error);
	if (s->exchange)
		s->auth = AUTH_EXCHANGE;
	else
		finish (s, NULL, error);
	return s->exchange != NULL;
}

void
auth_begin (SmtpdSession *s, Slice args)
{
	const char *blank = args.size ? memchr (args.data, ' ', args.size) : NULL;
	Slice mechanism = {args.data, blank ? (gsize) (blank - args.data) : args.size};
	Slice initial = blank ? (Slice){blank + 1, args.size - mechanism.size - 1} : (Slice){NULL, 0};
	if (args.size == 0 || (initial.size && memchr (initial.data, ' ', initial.size)))
		session_refuse (s, "501 5.5.4", "AUTH wants a mechanism and at most one message of it");
	else if (!s->peer.is_private)
		session_refuse (s, "538 5.7.11", "start TLS first: what is read here would go in plain text");
	else if (!choose (s, mechanism))
		return;
	else if (initial.size)
		auth_line (s, slice_equals (initial, "=") && s->auth == AUTH_EXCHANGE ? (Slice){"", 0} : initial);
	else
		ask (s, s->auth, s->auth == AUTH_USER ? (Slice){"Username:", 9} : (Slice){NULL, 0});
}
