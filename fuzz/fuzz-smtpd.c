/* SPDX-License-Identifier: Apache-2.0 */
/* A session of LMTP or (the first octet's highest bit) of submission: whatever a client sends, it is answered in whole lines of SMTP's form or the connection
 * is ended, in pieces (of the first octet's size) as in one; a message is delivered only behind a MAIL and a RCPT, in submission behind a log-on, and has
 * the fields of its trace before it, its size is within the limit, and every recipient, log-on and exchange is freed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "smtpd.h"

#define MESSAGE_MAX_OCTETS 1000
#define TRACE_MAX 2000

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

typedef struct {
	GString *out, *messages;
	guint alive;
	gboolean submission;
} Outcome;

static gboolean
find (gpointer data, const char *address, gpointer *recipient_out, GError **error)
{
	Outcome *o = data;
	g_assert (g_utf8_validate (address, -1, NULL) && *address && strlen (address) <= 400);
	if (*address == 'n')
		return error_fail (error, ERROR_NOT_FOUND, "no");
	o->alive++;
	*recipient_out = g_strdup (address);
	return TRUE;
}

static void
deliver (gpointer data, SmtpdMessage *m, gpointer *recipients, guint n, GError **results)
{
	Outcome *o = data;
	gsize size;
	const char *octets = g_bytes_get_data (smtpd_message_octets (m), &size);
	const SmtpdEnvelope *e = smtpd_message_envelope (m);
	g_assert (n > 0 && size <= MESSAGE_MAX_OCTETS + TRACE_MAX && g_str_has_prefix (octets, o->submission ? "Received: " : "Return-Path: <"));
	g_assert (!e->who == !o->submission);
	const char *id = memmem (octets, size, smtpd_message_id (m), strlen (smtpd_message_id (m)));
	const char *end = id ? memmem (id, size - (gsize) (id - octets), " +0000\r\n", 8) : NULL;
	g_assert (end);
	g_string_append_printf (o->messages, "%s %s %u:", smtpd_message_sender (m), (char *) recipients[n - 1], n);
	g_string_append_len (o->messages, end, (gssize) (size - (gsize) (end - octets)));
	for (guint i = 0; i < n; i++)
		if (((char *) recipients[i])[0] == 'f')
			error_fail (&results[i], ERROR_OVER_QUOTA, "full");
}

static Outcome *current; /* of one thread */

static void
recipient_free (gpointer recipient)
{
	current->alive--;
	g_free (recipient);
}

static gpointer
log_on_as (Outcome *o)
{
	o->alive++;
	return o;
}

static gpointer
log_on (gpointer data, const SmtpdPeer *peer, const char *user, const char *password, GError **error)
{
	g_assert (peer->is_private && g_str_is_ascii (peer->address));
	if (*user != 'n' && *password)
		return log_on_as (data);
	error_fail (error, *user == 'n' ? ERROR_NO_PERMISSION : ERROR_REFUSED, "no");
	return NULL;
}

static const char *const *
offered (gpointer data, const SmtpdPeer *peer)
{
	static const char *const names[] = {"X-TWO", NULL};
	return names;
}

static gpointer
begin (gpointer data, const SmtpdPeer *peer, const char *mechanism, GError **error)
{
	((Outcome *) data)->alive++;
	return data;
}

static gboolean
step (gpointer exchange, Slice message, GString *answer, gpointer *who_out, GError **error)
{
	if (message.size == 3)
		return error_fail (error, ERROR_PROTOCOL, "no");
	g_string_append_len (answer, message.data, (gssize) message.size);
	*who_out = message.size == 6 ? log_on_as (exchange) : NULL;
	return TRUE;
}

static void
leave (gpointer outcome)
{
	((Outcome *) outcome)->alive--;
}

static gboolean
may_send_as (gpointer data, gpointer who, const char *address, GError **error)
{
	return (who == data && *address != 'n') || error_fail (error, ERROR_NO_PERMISSION, "no");
}

static const SmtpdSubmission submission = {.log_on = log_on, .offered = offered, .begin = begin, .step = step, .end = leave, .who_free = leave,
                                           .may_send_as = may_send_as, .tls = TRUE};

static gboolean
take (gpointer data, const char *octets, gsize size)
{
	g_string_append_len (((Outcome *) data)->out, octets, (gssize) size);
	return TRUE;
}

static void
assert_replies (const GString *out)
{
	for (const char *at = out->str; at < out->str + out->len;) {
		const char *end = memchr (at, '\r', out->len - (gsize) (at - out->str));
		g_assert (end && end[1] == '\n' && end - at >= 4 && end - at <= (g_str_has_prefix (at, "334 ") ? 13000 : 510)); /* a challenge echoes here */
		g_assert (g_ascii_isdigit (at[0]) && g_ascii_isdigit (at[1]) && g_ascii_isdigit (at[2]) && (at[3] == ' ' || at[3] == '-'));
		at = end + 2;
	}
	g_assert (g_utf8_validate_len (out->str, out->len, NULL));
}

static void
play (const uint8_t *data, size_t size, size_t piece, gboolean submits, Outcome *o)
{
	const SmtpdSettings settings = {.find = find, .deliver = deliver, .recipient_free = recipient_free, .data = o, .host = "h.example",
	                                .message_max = MESSAGE_MAX_OCTETS, .submission = submits ? &submission : NULL};
	*o = (Outcome){g_string_new (NULL), g_string_new (NULL), 0, submits};
	current = o;
	SmtpdSession *s = smtpd_session_new (&settings, &(SmtpdPeer){.address = size % 2 ? "::1" : "", .is_private = size % 3 != 0}, take, o);
	for (size_t at = 0; at < size; at += piece)
		if (!smtpd_session_feed (s, (Slice){(const char *) data + at, MIN (piece, size - at)}))
			break;
	smtpd_session_free (s);
	g_assert (o->alive == 0);
	assert_replies (o->out);
}

/* The ids of messages are random. */
static void
forget_ids (GString *out)
{
	static const char before[] = "250 2.0.0 queued as ";
	for (char *at = out->str; (at = strstr (at, before)); at += strlen (before))
		memset (at + strlen (before), '0', 32);
}

static void
clear (Outcome *o)
{
	g_string_free (o->out, TRUE);
	g_string_free (o->messages, TRUE);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	Outcome whole, pieces;
	if (size < 2)
		return 0;
	play (data + 1, size - 1, size, data[0] & 0x80, &whole);
	play (data + 1, size - 1, 1u + data[0] % 16, data[0] & 0x80, &pieces);
	forget_ids (whole.out);
	forget_ids (pieces.out);
	g_assert (g_string_equal (whole.out, pieces.out) && g_string_equal (whole.messages, pieces.messages));
	clear (&whole);
	clear (&pieces);
	return 0;
}
