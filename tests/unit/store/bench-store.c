/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of a message's arrival: prepare, add, place, bind, in transactions of 500. Usage: bench-store [MESSAGES [OCTETS]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib/gstdio.h>
#include "store-binding.h"

#define BATCH 500

static const char *const vocabulary[] = {"meeting", "the", "of", "report", "please", "budget", "on", "Monday", "and", "server", "we",
                                         "attached", "a", "find", "customer", "question", "in", "with", "regards", "numbers"};

static GBytes *
message_text (GRand *rand, guint n, gsize size)
{
	GString *text = g_string_sized_new (size + 512);
	g_string_printf (text, "Received: from mx%u.example.org by mail.example.net; Mon, 2 Mar 2026 10:%02u:00 +0000\r\n"
	                       "From: Person %u <person%u@example.org>\r\nTo: me@example.net\r\nSubject: Message %u about %s\r\n"
	                       "Date: Mon, 2 Mar 2026 10:%02u:00 +0000\r\nMessage-ID: <%u.%u@example.org>\r\n"
	                       "Content-Type: text/plain; charset=utf-8\r\n\r\n",
	                 n % 7, n % 60, n % 97, n % 97, n, vocabulary[n % G_N_ELEMENTS (vocabulary)], n % 60, n, g_rand_int (rand));
	while (text->len < size)
		if (g_rand_int_range (rand, 0, 6) == 0)
			g_string_append_printf (text, "%x ", g_rand_int (rand));
		else
			g_string_append_printf (text, "%s%s", vocabulary[g_rand_int_range (rand, 0, G_N_ELEMENTS (vocabulary))],
			                        text->len % 72 < 8 ? "\r\n" : " ");
	return g_string_free_to_bytes (text);
}

static void
must (gboolean ok, GError *error)
{
	if (!ok) {
		fprintf (stderr, "bench-store: %s\n", error ? error->message : "failed");
		exit (1);
	}
}

static void
store_one (Store *s, gint64 folder, guint n, Prepared *p)
{
	GError *e = NULL;
	gint64 message;
	PlacementBinding b = {.folder = folder, .remote_uid = n + 1, .modseq = n + 1};
	must (store_add_message (s, p, folder, &message, &e), e);
	must (store_place (s, folder, message, 0, NULL, FALSE, 0, &b.placement, &e), e);
	must (store_bind_placement (s, &b, &e), e);
}

static void
print_finding (gpointer data, const char *finding)
{
	printf ("finding: %s\n", finding);
}

static void
whole_store (Store *s)
{
	GError *e = NULL;
	StoreStatistics st;
	guint64 findings, before, after;
	gint64 start = g_get_monotonic_time ();
	must (store_statistics (s, &st, &e), e);
	gint64 statistics = g_get_monotonic_time ();
	must (store_check (s, FALSE, FALSE, print_finding, NULL, NULL, &findings, &e), e);
	gint64 check = g_get_monotonic_time ();
	must (store_check (s, TRUE, FALSE, print_finding, NULL, NULL, &findings, &e), e);
	gint64 deep = g_get_monotonic_time ();
	must (store_compact (s, &before, &after, &e), e);
	gint64 compact = g_get_monotonic_time ();
	printf ("statistics %.2f ms (%" G_GUINT64_FORMAT " messages, %.1f MB of contents in %.1f MB, index %.1f MB); check %.0f ms, deep %.0f ms;"
	        " compact %.0f ms: %.1f MB -> %.1f MB\n", (double) (statistics - start) / 1000, st.messages, (double) st.content_octets / 1e6,
	        (double) st.stored_octets / 1e6, (double) st.index_octets / 1e6, (double) (check - statistics) / 1000, (double) (deep - check) / 1000,
	        (double) (compact - deep) / 1000, (double) before / 1e6, (double) after / 1e6);
}

int
main (int argc, char **argv)
{
	guint n = argc > 1 ? (guint) atoi (argv[1]) : 20000;
	gsize size = argc > 2 ? (gsize) atol (argv[2]) : 3000;
	GError *e = NULL;
	gint64 preparing = 0, storing = 0, slowest = 0, folder;
	g_autofree char *dir = g_dir_make_tmp ("outpost-bench-XXXXXX", NULL), *path = g_build_filename (dir, "a.store", NULL);
	Store *s = store_open (path, STORE_CREATE, &e);
	must (s != NULL, e);
	FolderBinding bound = {.remote_name = (char *) "INBOX", .base_name = (char *) "INBOX", .uidvalidity = 1, .selectable = TRUE};
	must (store_begin (s, &e) && store_folder_create_path (s, "INBOX", &bound.folder, &e) && store_bind_folder (s, &bound, &e) &&
	      store_commit (s, &e), e);
	folder = bound.folder;
	g_autoptr (GRand) rand = g_rand_new_with_seed (1);
	for (guint i = 0; i < n;) {
		Prepared *batch[BATCH];
		GBytes *texts[BATCH];
		guint count = MIN (n - i, (guint) BATCH);
		for (guint k = 0; k < count; k++)
			texts[k] = message_text (rand, i + k, size);
		gint64 start = g_get_monotonic_time ();
		for (guint k = 0; k < count; k++)
			batch[k] = prepare_bytes (texts[k], 1772445600 + (gint64) (i + k), 0);
		gint64 middle = g_get_monotonic_time ();
		must (store_begin (s, &e), e);
		for (guint k = 0; k < count; k++)
			store_one (s, folder, i + k, batch[k]);
		must (store_commit (s, &e), e);
		gint64 end = g_get_monotonic_time ();
		preparing += middle - start;
		storing += end - middle;
		slowest = MAX (slowest, end - middle);
		for (guint k = 0; k < count; k++) {
			prepared_free (batch[k]);
			g_bytes_unref (texts[k]);
		}
		i += count;
	}
	whole_store (s);
	store_close (s);
	GStatBuf st = {0};
	g_stat (path, &st);
	printf ("%u messages of %zu octets: prepare %.1f us, store %.1f us each; slowest batch %.0f ms; file %.1f MB\n", n, size,
	        (double) preparing / n, (double) storing / n, (double) slowest / 1000, (double) st.st_size / 1e6);
	g_unlink (path);
	g_rmdir (dir);
	return 0;
}
