/* SPDX-License-Identifier: Apache-2.0 */
/* Mechanisms of several messages at log-on (RFC 9051 section 6.2.2); who knows them is the settings' owner. */
#include "imapd-private.h"
#include "sasl.h"
#include <string.h>

static const char *const *
names (const ImapdSession *s)
{
	const ImapdSasl *sasl = s->settings->sasl;
	return sasl ? sasl->offered (s->settings->data, &s->peer) : NULL;
}

void
sasl_write_capabilities (const ImapdSession *s, GString *to)
{
	for (const char *const *name = names (s); name && *name; name++)
		g_string_append_printf (to, " AUTH=%s", *name);
}

const char *
sasl_offers (const ImapdSession *s, const ImapNode *mechanism)
{
	const char *const *name = names (s);
	while (name && *name && !node_is_word (mechanism, *name))
		name++;
	return name ? *name : NULL;
}

void
sasl_end (ImapdSession *s)
{
	if (s->exchange)
		s->settings->sasl->free (g_steal_pointer (&s->exchange));
}

/* Error of an exchange as an answer. */
static void
failed (ImapdSession *s, GError *error)
{
	if (error_is (error, ERROR_PROTOCOL)) {
		session_bad (s, "%s", error->message);
		g_error_free (error);
	} else
		session_refuse_log_on (s, error);
}

static void
take (ImapdSession *s, const char *tag, Slice message)
{
	GError *error = NULL;
	ImapdMailbox *m = NULL;
	g_autoptr (GString) answer = g_string_new (NULL);
	if (!s->settings->sasl->step (s->exchange, message, answer, &m, &error))
		failed (s, error);
	else if (!m) {
		g_autofree char *text = g_base64_encode ((const guchar *) answer->str, answer->len);
		g_string_append_printf (s->out.text, "+ %s\r\n", text);
		s->tag = g_strdup (tag);
		s->expected = EXPECT_SASL;
		return;
	}
	sasl_end (s);
	session_answer_log_on (s, tag, m);
}

void
sasl_line (ImapdSession *s, const char *tag, Slice line)
{
	gsize size = 0;
	guchar *message = sasl_decode (line, &size);
	if (message) {
		take (s, tag, (Slice){(const char *) message, size});
		explicit_bzero (message, size);
		g_free (message);
		return;
	}
	session_bad (s, slice_equals (line, "*") ? "the log-on was given up" : "this is no base64");
	sasl_end (s);
	session_answer_log_on (s, tag, NULL);
}

void
sasl_begin (ImapdSession *s, const char *tag, const char *name, const ImapNode *initial)
{
	GError *error = NULL;
	if (!s->is_private)
		session_no (s, "PRIVACYREQUIRED", "start TLS first: what is read here would go in plain text");
	else if (!(s->exchange = s->settings->sasl->begin (s->settings->data, &s->peer, name, &error)))
		failed (s, error);
	else if (initial) {
		sasl_line (s, tag, slice_equals (node_text (initial), "=") ? (Slice){"", 0} : node_text (initial));
		return;
	} else {
		g_string_append (s->out.text, "+ \r\n");
		s->tag = g_strdup (tag);
		s->expected = EXPECT_SASL;
		return;
	}
	session_answer_log_on (s, tag, NULL);
}
