/* SPDX-License-Identifier: Apache-2.0 */
#include "conversation.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* ---- Octets as text ---- */

void
conversation_unescape (GString *out, const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c != '\\')
			g_string_append_c (out, *c);
		else
			switch (*++c) {
			case 'n':
				g_string_append (out, "\r\n");
				break;
			case 'r':
				g_string_append_c (out, '\r');
				break;
			case 'l':
				g_string_append_c (out, '\n');
				break;
			case '0':
				g_string_append_c (out, '\0');
				break;
			case '*':
				for (guint i = 0; i < 100; i++)
					g_string_append_c (out, 'x');
				break;
			default:
				g_string_append_c (out, *c);
			}
}

static void
escape (GString *out, const char *octets, gsize size)
{
	for (gsize i = 0; i < size; i++)
		if (octets[i] == '\r' && i + 1 < size && octets[i + 1] == '\n') {
			g_string_append (out, "\\n");
			i++;
		} else if (octets[i] == '\r' || octets[i] == '\n' || octets[i] == '\0')
			g_string_append (out, octets[i] == '\r' ? "\\r" : octets[i] == '\n' ? "\\l" : "\\0");
		else
			g_string_append_c (out, octets[i]);
}

/* ---- The server around it ---- */

static gboolean
is_at (const char *address, const char *local)
{
	return g_str_has_prefix (address, local) && address[strlen (local)] == '@';
}

static void
fail_as (const char *address, const char *suffix, GError **error)
{
	static const struct {
		const char *local;
		OutpostError code;
	} fates[] = {
		{"unknown", ERROR_NOT_FOUND}, {"full", ERROR_OVER_QUOTA}, {"closed", ERROR_NO_PERMISSION}, {"later", ERROR_TEMPORARY},
		{"big", ERROR_TOO_BIG}, {"disk", ERROR_NO_SPACE}, {"broken", ERROR_CORRUPT},
	};
	for (guint i = 0; i < G_N_ELEMENTS (fates); i++) {
		g_autofree char *local = g_strconcat (fates[i].local, suffix, NULL);
		if (is_at (address, local))
			error_fail (error, fates[i].code, "a secret of the server");
	}
}

typedef struct {
	Record *r;
	char *address;
} Recipient;

static gboolean
find (gpointer data, const char *address, gpointer *recipient_out, GError **error)
{
	Record *r = data;
	GError *e = NULL;
	fail_as (address, "", &e);
	if (e) {
		g_propagate_error (error, e);
		return FALSE;
	}
	if (is_at (address, "nothing")) /* a recipient may be NULL */
		return TRUE;
	Recipient *recipient = g_new (Recipient, 1);
	*recipient = (Recipient){r, g_strdup (address)};
	r->alive++;
	*recipient_out = recipient;
	return TRUE;
}

static void
recipient_free (gpointer data)
{
	Recipient *recipient = data;
	recipient->r->alive--;
	g_free (recipient->address);
	g_free (recipient);
}

/* The header put before ends with the Received field: with the first line behind its beginning that is not folded. */
static gsize
header_size (const char *octets, gsize size)
{
	const char *received = strstr (octets, "\r\nReceived: "), *at = received ? received + 2 : octets;
	assert_true (g_str_has_prefix (at, "Received: "));
	do {
		at = strstr (at, "\r\n");
		assert_non_null (at);
		at += 2;
	} while (*at == '\t');
	return (gsize) (at - octets);
}

static const char *
or_dash (const char *text)
{
	return text ? text : "-";
}

static void
deliver (gpointer data, SmtpdMessage *m, gpointer *recipients, guint n, GError **results)
{
	Record *r = data;
	g_clear_pointer (&r->octets, g_bytes_unref);
	r->octets = g_bytes_ref (smtpd_message_octets (m));
	gsize size;
	const char *octets = g_bytes_get_data (r->octets, &size);
	g_autofree char *text = g_strndup (octets, MIN (size, 4096)), *id = g_strdup_printf (" id %s", smtpd_message_id (m));
	gsize header = header_size (text, size);
	g_string_truncate (r->header, 0);
	g_string_append_len (r->header, octets, (gssize) header);
	assert_non_null (strstr (r->header->str, id));
	g_string_append_printf (r->deliveries, "%s > ", smtpd_message_sender (m));
	for (guint i = 0; i < n; i++) {
		const Recipient *recipient = recipients[i];
		g_string_append_printf (r->deliveries, "%s%s", i ? "," : "", recipient ? recipient->address : "NULL");
		if (recipient)
			fail_as (recipient->address, "2", &results[i]);
	}
	const SmtpdEnvelope *e = smtpd_message_envelope (m);
	if (e->who)
		g_string_append_printf (r->deliveries, " {%s %s %s; %s %s}", e->utf8 ? "UTF8" : "-", or_dash (e->ret), or_dash (e->envid), or_dash (e->notify[0]),
		                        or_dash (e->orcpt[0]));
	g_string_append (r->deliveries, ": ");
	escape (r->deliveries, octets + header, size - header);
	g_string_append_c (r->deliveries, '\n');
}

/* ---- Logging on ---- */

static gpointer
log_on_as (Record *r)
{
	r->alive++;
	return r;
}

static gpointer
log_on (gpointer data, const SmtpdPeer *peer, const char *user, const char *password, GError **error)
{
	assert_true (peer->is_private);
	if (strcmp (user, "alice") == 0 && strcmp (password, "secret") == 0)
		return log_on_as (data);
	if (strcmp (user, "later") == 0)
		error_fail (error, ERROR_REFUSED, "wait a little");
	else
		error_fail (error, strcmp (user, "broken") == 0 ? ERROR_CORRUPT : ERROR_NO_PERMISSION, "a secret of the server");
	return NULL;
}

static const char *const *
offered (gpointer data, const SmtpdPeer *peer)
{
	static const char *const names[] = {"X-TWO", NULL};
	return names;
}

typedef struct {
	Record *r;
	guint steps;
} Exchange;

static gpointer
begin_exchange (gpointer data, const SmtpdPeer *peer, const char *mechanism, GError **error)
{
	Exchange *e = g_new0 (Exchange, 1);
	e->r = data;
	e->r->alive++;
	return e;
}

static gboolean
step (gpointer exchange, Slice message, GString *answer, gpointer *who_out, GError **error)
{
	Exchange *e = exchange;
	if (!slice_equals (message, e->steps ? "three" : "one"))
		return error_fail (error, e->steps ? ERROR_NO_PERMISSION : ERROR_PROTOCOL, e->steps ? "a secret of the server" : "this is no message of it");
	if (e->steps++)
		*who_out = log_on_as (e->r);
	else
		g_string_append (answer, "two");
	return TRUE;
}

static void
end_exchange (gpointer exchange)
{
	((Exchange *) exchange)->r->alive--;
	g_free (exchange);
}

static void
who_free (gpointer who)
{
	((Record *) who)->alive--;
}

static gboolean
may_send_as (gpointer data, gpointer who, const char *address, GError **error)
{
	assert_ptr_equal (who, data);
	if (strcmp (address, "later@b.example") == 0)
		return error_fail (error, ERROR_REFUSED, "not so many at once");
	return strcmp (address, "alice@example.org") == 0 || strcmp (address, "a@b.example") == 0 ||
	       error_fail (error, ERROR_NO_PERMISSION, "this is not your address");
}

const SmtpdSubmission conversation_submission = {.log_on = log_on, .offered = offered, .begin = begin_exchange, .step = step, .end = end_exchange,
                                                 .who_free = who_free, .may_send_as = may_send_as, .tls = TRUE, .recipients_max = 3};

static gboolean
take (gpointer data, const char *octets, gsize size)
{
	g_string_append_len (((Record *) data)->out, octets, (gssize) size);
	return TRUE;
}

SmtpdSettings
conversation_settings (Record *r)
{
	return (SmtpdSettings){.find = find, .deliver = deliver, .recipient_free = recipient_free, .data = r, .host = "mx.example.org",
	                       .message_max = CONVERSATION_MAX};
}

static SmtpdSession *
begin (const SmtpdSettings *settings, const SmtpdPeer *peer, Record *r)
{
	*r = (Record){g_string_new (NULL), g_string_new (NULL), g_string_new (NULL), NULL, 0};
	return smtpd_session_new (settings, peer, take, r);
}

SmtpdSession *
conversation_begin (const SmtpdSettings *settings, const char *peer, Record *r)
{
	return begin (settings, &(SmtpdPeer){.address = peer}, r);
}

void
conversation_clear (Record *r)
{
	assert_int_equal (r->alive, 0);
	g_string_free (r->out, TRUE);
	g_string_free (r->deliveries, TRUE);
	g_string_free (r->header, TRUE);
	g_clear_pointer (&r->octets, g_bytes_unref);
}

gboolean
conversation_feed (SmtpdSession *s, const char *octets, gsize size, gsize piece)
{
	gboolean ok = TRUE;
	while (size && ok) {
		gsize wanted = piece ? piece : (gsize) g_random_int_range (1, 40), n = MIN (size, wanted);
		g_autofree char *copy = g_memdup2 (octets, n); /* of its very size, for the sanitizer */
		ok = smtpd_session_feed (s, (Slice){copy, n});
		octets += n;
		size -= n;
	}
	return ok;
}

/* ---- Playing ---- */

static void
expect_line (const Conversation *c, Record *r, const char *pattern)
{
	char *end = strstr (r->out->str, "\r\n");
	g_autofree char *line = end ? g_strndup (r->out->str, (gsize) (end - r->out->str)) : NULL, *whole = g_strconcat ("^(?:", pattern, ")$", NULL);
	if (!line || !g_regex_match_simple (whole, line, G_REGEX_RAW, 0))
		fail_msg ("%s\n  expected: %s\n  came:     %s", c->title, pattern, line ? line : "nothing");
	g_string_erase (r->out, 0, end + 2 - r->out->str);
}

static void
expect_end (const Conversation *c, Record *r)
{
	if (r->out->len)
		fail_msg ("%s\n  came, but was not expected: %s", c->title, r->out->str);
}

static void
expect_header (const Conversation *c, Record *r, const char *pattern)
{
	g_auto (GStrv) lines = g_strsplit (r->header->str, "\r\n", -1);
	g_autofree char *joined = g_strjoinv ("|", lines);
	if (!g_regex_match_simple (pattern, joined, G_REGEX_RAW, 0))
		fail_msg ("%s\n  expected: %s\n  header:   %s", c->title, pattern, joined);
}

static void
expect_delivery (GString *out, const char *text)
{
	g_autoptr (GString) octets = g_string_new (NULL);
	conversation_unescape (octets, text);
	escape (out, octets->str, octets->len);
	g_string_append_c (out, '\n');
}

static void
play (const Conversation *c, gboolean step_by_step, gsize piece)
{
	gboolean lmtp = c->kind == CONVERSATION_LMTP, tls = c->kind == CONVERSATION_SUBMISSION;
	const char *hello = lmtp ? "LHLO client.example.net\r\n" : "EHLO client.example.net\r\n";
	Record r;
	SmtpdSettings settings = conversation_settings (&r);
	settings.submission = lmtp ? NULL : &conversation_submission;
	SmtpdSession *s = begin (&settings, &(SmtpdPeer){c->peer ? c->peer : "192.0.2.1", tls, tls, NULL}, &r);
	expect_line (c, &r, lmtp ? "220 mx\\.example\\.org LMTP outpost is ready" : "220 mx\\.example\\.org ESMTP outpost is ready");
	if (!c->raw) {
		assert_true (conversation_feed (s, hello, strlen (hello), piece));
		g_string_truncate (r.out, 0);
	}
	g_auto (GStrv) lines = g_strsplit (c->talk, "\n", -1);
	g_autoptr (GString) input = g_string_new (NULL), deliveries = g_string_new (NULL);
	for (char **l = lines; *l; l++) {
		gboolean raw = g_str_has_prefix (*l, "R: ");
		if (!raw && !g_str_has_prefix (*l, "C: "))
			continue;
		conversation_unescape (input, *l + 3);
		g_string_append (input, raw ? "" : "\r\n");
	}
	if (!step_by_step)
		conversation_feed (s, input->str, input->len, piece);
	for (char **l = lines; *l; l++) {
		const char *text = strlen (*l) > 3 ? *l + 3 : "";
		if (**l == '\0')
			continue;
		if (g_str_has_prefix (*l, "S: "))
			expect_line (c, &r, text);
		else if (g_str_has_prefix (*l, "D: "))
			expect_delivery (deliveries, text);
		else if (g_str_has_prefix (*l, "H: ")) {
			if (step_by_step)
				expect_header (c, &r, text);
		} else if (!g_str_has_prefix (*l, "C: ") && !g_str_has_prefix (*l, "R: "))
			fail_msg ("%s: no line of a talk: %s", c->title, *l);
		else if (step_by_step) {
			expect_end (c, &r);
			g_string_truncate (input, 0);
			conversation_unescape (input, text);
			g_string_append (input, **l == 'C' ? "\r\n" : "");
			conversation_feed (s, input->str, input->len, piece);
		}
	}
	expect_end (c, &r);
	if (strcmp (deliveries->str, r.deliveries->str) != 0)
		fail_msg ("%s\n  expected deliveries: %s\n  were:                %s", c->title, deliveries->str, r.deliveries->str);
	smtpd_session_free (s);
	conversation_clear (&r);
}

void
conversation_run (const Conversation *c)
{
	play (c, TRUE, G_MAXSIZE);
	play (c, TRUE, 1);
	play (c, FALSE, G_MAXSIZE);
	play (c, FALSE, 1);
	for (guint i = 0; i < 5; i++)
		play (c, FALSE, 0);
}
