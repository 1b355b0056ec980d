/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of what happens to every message. usage: bench-mail < messages (as mail-tool reads them) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mail.h"
#include "mail-imap.h"

static GPtrArray *messages;
static guint64 total;

static GBytes *
read_octets (gpointer data, guint64 offset, gsize size, GError **error)
{
	gsize all = g_bytes_get_size (data), at = (gsize) MIN (offset, (guint64) all);
	return g_bytes_new_from_bytes (data, at, MIN (size, all - at));
}

static gsize
scan (GBytes *message)
{
	gsize size;
	const char *octets = g_bytes_get_data (message, &size);
	g_autoptr (MailStructure) m = mail_scan (octets, size);
	g_autoptr (GBytes) kept = mail_structure_serialise (m);
	return g_bytes_get_size (kept);
}

static gsize
scan_by_4k (GBytes *message)
{
	gsize size;
	const char *octets = g_bytes_get_data (message, &size);
	MailScanner *s = mail_scanner_new ();
	for (gsize at = 0; at < size; at += 4096)
		mail_scanner_feed (s, octets + at, MIN ((gsize) 4096, size - at));
	g_autoptr (MailStructure) m = mail_scanner_end (s);
	return mail_structure_count (m);
}

static gsize
header_fields (GBytes *message)
{
	static const char *const names[] = {"from", "to", "cc", "date", "subject", "message-id", "references", "in-reply-to"};
	Slice values[G_N_ELEMENTS (names)], id;
	gsize size, n = 0;
	gint64 time;
	const char *octets = g_bytes_get_data (message, &size);
	mail_header_find_all ((Slice){octets, size}, FALSE, names, values, G_N_ELEMENTS (names));
	for (gsize i = 0; i < 5; i++) {
		g_autofree char *text = values[i].data && i != 3 ? mail_header_decode (values[i], 4096) : NULL;
		n += text ? strlen (text) : 0;
	}
	n += mail_date_parse (values[3], &time, NULL);
	while (mail_next_id (&values[6], &id))
		n++;
	return n;
}

static gsize
text (GBytes *message)
{
	g_autoptr (MailStructure) m = mail_scan (g_bytes_get_data (message, NULL), g_bytes_get_size (message));
	g_autofree char *found = mail_text (m, read_octets, message, 1 << 20, NULL);
	return strlen (found);
}

static gsize
search_text (GBytes *message)
{
	g_autoptr (MailStructure) m = mail_scan (g_bytes_get_data (message, NULL), g_bytes_get_size (message));
	g_autofree char *names = NULL, *found = mail_search_text (m, read_octets, message, 1 << 20, &names, NULL);
	return strlen (found);
}

static gsize
body_structure (GBytes *message)
{
	g_autoptr (MailStructure) m = mail_scan (g_bytes_get_data (message, NULL), g_bytes_get_size (message));
	g_autoptr (GString) out = g_string_new (NULL);
	mail_imap_envelope (out, (Slice){g_bytes_get_data (message, NULL), (gsize) mail_structure_part (m, 0)->body});
	mail_imap_body (out, m, TRUE, read_octets, message, NULL);
	return out->len;
}

static void
measure (const char *name, gsize (*run) (GBytes *message))
{
	gint64 start = g_get_monotonic_time ();
	guint rounds = 0;
	gsize sum = 0;
	do {
		sum = 0;
		for (guint i = 0; i < messages->len; i++)
			sum += run (messages->pdata[i]);
		rounds++;
	} while (g_get_monotonic_time () - start < 1000000);
	double seconds = (double) (g_get_monotonic_time () - start) / 1e6 / rounds;
	printf ("%-16s %8.0f MB/s %10.0f messages/s %8.2f us/message   sum %zu\n", name, (double) total / seconds / 1e6, messages->len / seconds,
	        seconds * 1e6 / messages->len, sum);
}

int
main (void)
{
	gsize size;
	messages = g_ptr_array_new ();
	while (scanf ("%zu", &size) == 1 && getchar () == '\n') {
		char *octets = g_malloc (size + 1);
		if (fread (octets, 1, size, stdin) != size)
			return 2;
		g_ptr_array_add (messages, g_bytes_new_take (octets, size));
		total += size;
	}
	printf ("%u messages, %.1f MB\n", messages->len, (double) total / 1e6);
	measure ("scan", scan);
	measure ("scan by 4 kB", scan_by_4k);
	measure ("header fields", header_fields);
	measure ("text", text);
	measure ("search text", search_text);
	measure ("imap", body_structure);
	return 0;
}
