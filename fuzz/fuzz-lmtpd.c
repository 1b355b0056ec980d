/* SPDX-License-Identifier: Apache-2.0 */
/* A session of the LMTP server: whatever a client sends, it is answered in whole lines of SMTP's form or the connection is ended, in pieces (of the
 * first octet's size) as in one; a message is delivered only behind a MAIL and a RCPT and has the fields of its trace before it, its size is
 * within the limit, and every recipient is freed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lmtpd.h"

#define MESSAGE_MAX_OCTETS 1000
#define TRACE_MAX 2000

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

typedef struct {
	GString *out, *messages;
	guint alive;
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
deliver (gpointer data, LmtpdMessage *m, gpointer *recipients, guint n, GError **results)
{
	Outcome *o = data;
	gsize size;
	const char *octets = g_bytes_get_data (lmtpd_message_octets (m), &size);
	g_assert (n > 0 && size <= MESSAGE_MAX_OCTETS + TRACE_MAX && memcmp (octets, "Return-Path: <", 14) == 0);
	const char *id = memmem (octets, size, lmtpd_message_id (m), strlen (lmtpd_message_id (m)));
	const char *end = id ? memmem (id, size - (gsize) (id - octets), " +0000\r\n", 8) : NULL;
	g_assert (end);
	g_string_append_printf (o->messages, "%s %s %u:", lmtpd_message_sender (m), (char *) recipients[n - 1], n);
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
		g_assert (end && end[1] == '\n' && end - at >= 4 && end - at <= 510);
		g_assert (g_ascii_isdigit (at[0]) && g_ascii_isdigit (at[1]) && g_ascii_isdigit (at[2]) && (at[3] == ' ' || at[3] == '-'));
		at = end + 2;
	}
	g_assert (g_utf8_validate_len (out->str, out->len, NULL));
}

static void
play (const uint8_t *data, size_t size, size_t piece, Outcome *o)
{
	const LmtpdSettings settings = {.find = find, .deliver = deliver, .recipient_free = recipient_free, .data = o, .host = "h.example",
	                                .message_max = MESSAGE_MAX_OCTETS};
	*o = (Outcome){g_string_new (NULL), g_string_new (NULL), 0};
	current = o;
	LmtpdSession *s = lmtpd_session_new (&settings, size % 2 ? "::1" : "", take, o);
	for (size_t at = 0; at < size; at += piece)
		if (!lmtpd_session_feed (s, (Slice){(const char *) data + at, MIN (piece, size - at)}))
			break;
	lmtpd_session_free (s);
	g_assert (o->alive == 0);
	assert_replies (o->out);
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
	play (data + 1, size - 1, size, &whole);
	play (data + 1, size - 1, 1u + data[0] % 16, &pieces);
	g_assert (g_string_equal (whole.out, pieces.out) && g_string_equal (whole.messages, pieces.messages));
	clear (&whole);
	clear (&pieces);
	return 0;
}
