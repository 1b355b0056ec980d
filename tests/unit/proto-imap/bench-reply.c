/* SPDX-License-Identifier: Apache-2.0 */
/* How fast responses are read, as a client meets them. usage: bench-reply [SECONDS_A_ROW] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "imap-reply.h"

#define PIECE 65536 /* what a connection gives at a time */

static void
add_flags (GString *text, guint i)
{
	g_string_append_printf (text, "* %u FETCH (UID %u FLAGS (\\Seen))\r\n", i, i + 1000);
}

static void
add_flags_modseq (GString *text, guint i)
{
	g_string_append_printf (text, "* %u FETCH (UID %u FLAGS (\\Seen \\Answered $Forwarded) MODSEQ (%u))\r\n", i, i + 1000, 123456 + i);
}

static void
add_body (GString *text, guint i, guint size)
{
	g_string_append_printf (text, "* %u FETCH (UID %u FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE %u BODY[] {%u}\r\n",
	                        i, i + 1000, size, size);
	for (guint k = 0; k < size; k++)
		g_string_append_c (text, k % 78 == 77 ? '\n' : 'x');
	g_string_append (text, ")\r\n");
}

static void
add_body_2k (GString *text, guint i)
{
	add_body (text, i, 2000);
}

static void
add_body_50k (GString *text, guint i)
{
	add_body (text, i, 50000);
}

static void
add_list (GString *text, guint i)
{
	g_string_append_printf (text, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"folder/%u\"\r\n* STATUS \"folder/%u\" (MESSAGES 10 UIDNEXT %u "
	                        "UIDVALIDITY 1700000000 HIGHESTMODSEQ 1234)\r\n", i, i, i);
}

static void
add_search (GString *text, guint i)
{
	g_string_append (text, "* SEARCH");
	for (guint uid = 1; uid <= 10000; uid++)
		g_string_append_printf (text, " %u", uid * 3 + i);
	g_string_append (text, "\r\n");
}

/* What a client does with each. */
static guint64
look_at (const ImapReply *r)
{
	guint64 sum = 0;
	if (reply_is (r, "FETCH"))
		for (const ImapNode *n = node_first (reply_arg (r, 0)); n; n = node_next (node_next (n)))
			sum += node_is_word (n, "UID") || node_is_word (n, "MODSEQ") ? node_number (node_next (n)) : node_count (node_next (n));
	else if (reply_is (r, "SEARCH")) {
		g_auto (UidSet) set = UID_SET_INIT;
		reply_take_search (r, &set);
		sum += uid_set_count (&set);
	}
	return sum;
}

static guint64
read_all (const GString *text, guint *n)
{
	guint64 sum = 0;
	gsize used;
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GError) error = NULL;
	for (gsize at = 0, end = 0; at < text->len; at += used) {
		gboolean complete;
		if (at == end)
			end = MIN (at + PIECE, text->len);
		if (!imap_reply_feed (r, (Slice) {text->str + at, end - at}, &used, &complete, &error)) {
			fprintf (stderr, "bench-reply: %s\n", error->message);
			exit (1);
		}
		*n += complete;
		sum += complete ? look_at (r) : 0;
	}
	return sum;
}

static void
bench (const char *what, void (*add) (GString *, guint), double seconds)
{
	g_autoptr (GString) text = g_string_new (NULL);
	for (guint i = 1; text->len < 8u << 20; i++)
		add (text, i);
	guint n = 0, rounds = 0;
	guint64 sum = 0;
	gint64 start = g_get_monotonic_time ();
	double took;
	do {
		sum += read_all (text, &n);
		rounds++;
		took = (double) (g_get_monotonic_time () - start) / 1e6;
	} while (took < seconds);
	printf ("%-28s %10.0f responses/s %8.0f MB/s   (%" G_GUINT64_FORMAT ")\n", what, n / took, (double) text->len * rounds / took / 1e6, sum);
}

int
main (int argc, char **argv)
{
	double seconds = argc > 1 ? g_ascii_strtod (argv[1], NULL) : 1;
	bench ("FLAGS", add_flags, seconds);
	bench ("FLAGS and MODSEQ", add_flags_modseq, seconds);
	bench ("bodies of 2 kB", add_body_2k, seconds);
	bench ("bodies of 50 kB", add_body_50k, seconds);
	bench ("LIST and STATUS", add_list, seconds);
	bench ("SEARCH of 10 000", add_search, seconds);
	return 0;
}
