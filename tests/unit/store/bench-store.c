/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of a message's arrival (prepare, add, place, bind, in transactions of BATCH), of reading, and of what works on the whole store.
 * usage: bench-store [MESSAGES [OCTETS]]    made texts, 20000 of 3000 octets
 *        bench-store PACK                   "SIZE\n" and that many octets for each message: real mail
 * tests/lib/genmail.py and tests/lib/corpus.py give messages for a pack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <glib/gstdio.h>
#include "store-binding.h"

#define BATCH 1000

static const char *const vocabulary[] = {"meeting", "the", "of", "report", "please", "budget", "on", "Monday", "and", "server", "we",
                                         "attached", "a", "find", "customer", "question", "in", "with", "regards", "numbers"};

/* Where messages come from. */
typedef struct {
	GRand *rand;
	gsize size;
	FILE *pack; /* NULL: made */
	guint left, n;
} Source;

static void
must (gboolean ok, GError *error)
{
	if (!ok) {
		fprintf (stderr, "bench-store: %s\n", error ? error->message : "failed");
		exit (1);
	}
}

static GBytes *
made_text (Source *s)
{
	guint n = s->n;
	GString *text = g_string_sized_new (s->size + 512);
	g_string_printf (text, "Received: from mx%u.example.org by mail.example.net; Mon, 2 Mar 2026 10:%02u:00 +0000\r\n"
	                       "From: Person %u <person%u@example.org>\r\nTo: me@example.net\r\nSubject: Message %u about %s\r\n"
	                       "Date: Mon, 2 Mar 2026 10:%02u:00 +0000\r\nMessage-ID: <%u.%u@example.org>\r\n"
	                       "Content-Type: text/plain; charset=utf-8\r\n\r\n",
	                 n % 7, n % 60, n % 97, n % 97, n, vocabulary[n % G_N_ELEMENTS (vocabulary)], n % 60, n, g_rand_int (s->rand));
	while (text->len < s->size)
		if (g_rand_int_range (s->rand, 0, 6) == 0)
			g_string_append_printf (text, "%x ", g_rand_int (s->rand));
		else
			g_string_append_printf (text, "%s%s", vocabulary[g_rand_int_range (s->rand, 0, G_N_ELEMENTS (vocabulary))],
			                        text->len % 72 < 8 ? "\r\n" : " ");
	return g_string_free_to_bytes (text);
}

static GBytes *
packed_text (Source *s)
{
	unsigned long size;
	if (fscanf (s->pack, "%lu", &size) != 1 || fgetc (s->pack) != '\n')
		return NULL;
	char *data = g_malloc (size + 1);
	must (fread (data, 1, size, s->pack) == size, NULL);
	return g_bytes_new_take (data, size);
}

/* NULL at the end. */
static GBytes *
next_text (Source *s)
{
	if (!s->pack && s->left-- == 0)
		return NULL;
	GBytes *text = s->pack ? packed_text (s) : made_text (s);
	s->n += text != NULL;
	return text;
}

typedef struct {
	Store *store;
	gint64 folder, preparing, storing, slowest;
	guint n;
	guint64 octets, maildir; /* maildir: what du says of such a file */
} Bench;

static void
store_one (Bench *b, guint n, Prepared *p)
{
	GError *e = NULL;
	gint64 message;
	PlacementBinding binding = {.folder = b->folder, .remote_uid = n + 1, .modseq = n + 1};
	must (store_add_message (b->store, p, b->folder, &message, &e), e);
	must (store_place (b->store, b->folder, message, n % 32, n % 10 ? NULL : "blue", FALSE, 0, &binding.placement, &e), e);
	must (store_bind_placement (b->store, &binding, &e), e);
}

static gboolean
store_batch (Bench *b, Source *source)
{
	g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
	g_autoptr (GPtrArray) prepared = g_ptr_array_new_with_free_func ((GDestroyNotify) prepared_free);
	GBytes *text;
	GError *e = NULL;
	gsize octets = 0;
	while (texts->len < BATCH && octets < 8u << 20 && (text = next_text (source))) {
		g_ptr_array_add (texts, text);
		octets += g_bytes_get_size (text);
		b->maildir += (g_bytes_get_size (text) + 4095) / 4096 * 4096;
	}
	gint64 start = g_get_monotonic_time ();
	for (guint k = 0; k < texts->len; k++)
		g_ptr_array_add (prepared, prepare_bytes (texts->pdata[k], 1772445600 + (gint64) (b->n + k), 0));
	gint64 middle = g_get_monotonic_time ();
	must (store_begin (b->store, &e), e);
	for (guint k = 0; k < prepared->len; k++)
		store_one (b, b->n + k, prepared->pdata[k]);
	must (store_commit (b->store, &e), e);
	gint64 end = g_get_monotonic_time ();
	b->preparing += middle - start;
	b->storing += end - middle;
	b->slowest = MAX (b->slowest, end - middle);
	b->n += texts->len;
	b->octets += octets;
	return texts->len > 0;
}

static void
print_finding (gpointer data, const char *finding)
{
	printf ("finding: %s\n", finding);
}

static gint64
since (gint64 *last)
{
	gint64 now = g_get_monotonic_time (), passed = now - *last;
	*last = now;
	return passed;
}

static void
read_some (Bench *b)
{
	g_autoptr (GRand) rand = g_rand_new_with_seed (2);
	GError *e = NULL;
	gint64 last = g_get_monotonic_time ();
	for (int i = 0; i < 10000; i++) {
		g_autoptr (GBytes) octets = store_read (b->store, g_rand_int_range (rand, 1, (gint32) b->n + 1), 0, 1 << 20, &e);
		must (octets != NULL, e);
	}
	printf ("read at random: %.1f us each\n", (double) since (&last) / 10000);
}

static void
whole_store (Bench *b)
{
	GError *e = NULL;
	StoreStatistics st, now;
	guint64 findings, before, after;
	gint64 last = g_get_monotonic_time ();
	must (store_statistics (b->store, &st, &e), e);
	double statistics = (double) since (&last) / 1000;
	must (store_check (b->store, FALSE, FALSE, print_finding, NULL, NULL, &findings, &e), e);
	double check = (double) since (&last) / 1000;
	must (store_check (b->store, TRUE, FALSE, print_finding, NULL, NULL, &findings, &e), e);
	double deep = (double) since (&last) / 1000;
	must (store_compact (b->store, &before, &after, &e), e);
	double compact = (double) since (&last) / 1000;
	must (store_statistics (b->store, &now, &e), e);
	printf ("contents %.1f MB in %.1f MB (%.2fx); file %.1f MB, compacted %.1f MB: %.0f %% of a Maildir\n", (double) st.content_octets / 1e6,
	        (double) st.stored_octets / 1e6, (double) st.content_octets / (double) st.stored_octets, (double) before / 1e6, (double) after / 1e6,
	        100.0 * (double) after / (double) b->maildir);
	printf ("statistics %.2f ms, check %.0f ms, deep check %.0f ms, compact %.0f ms\n", statistics, check, deep, compact);
}

static void
clear (const char *dir)
{
	g_autoptr (GDir) d = g_dir_open (dir, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name (d))) {
		g_autofree char *path = g_build_filename (dir, name, NULL);
		g_unlink (path);
	}
	g_rmdir (dir);
}

static long
peak_kib (void)
{
	struct rusage u;
	return getrusage (RUSAGE_SELF, &u) == 0 ? u.ru_maxrss : 0;
}

int
main (int argc, char **argv)
{
	gboolean pack = argc > 1 && !g_ascii_isdigit (*argv[1]);
	Source source = {.rand = g_rand_new_with_seed (1), .size = argc > 2 ? (gsize) atol (argv[2]) : 3000,
	                 .left = argc > 1 && !pack ? (guint) atoi (argv[1]) : 20000, .pack = pack ? fopen (argv[1], "rb") : NULL};
	must (!pack || source.pack, NULL);
	GError *e = NULL;
	g_autofree char *dir = g_dir_make_tmp ("outpost-bench-XXXXXX", NULL), *path = g_build_filename (dir, "a.store", NULL);
	FolderBinding bound = {.remote_name = (char *) "INBOX", .base_name = (char *) "INBOX", .uidvalidity = 1, .selectable = TRUE};
	Bench b = {.store = store_open (path, STORE_CREATE, &e)};
	must (b.store != NULL, e);
	must (store_begin (b.store, &e) && store_folder_create_path (b.store, "INBOX", &bound.folder, &e) &&
	      store_bind_folder (b.store, &bound, &e) && store_commit (b.store, &e), e);
	b.folder = bound.folder;
	while (store_batch (&b, &source))
		continue;
	double each = (double) (b.preparing + b.storing) / b.n;
	printf ("%u messages of %" G_GUINT64_FORMAT " octets: prepare %.1f us, store %.1f us, so %.0f/s on one core; slowest batch %.0f ms; memory %ld MB\n", b.n,
	        b.octets / b.n, (double) b.preparing / b.n, (double) b.storing / b.n, 1e6 / each, (double) b.slowest / 1000, peak_kib () / 1024);
	read_some (&b);
	whole_store (&b);
	store_close (b.store);
	if (g_getenv ("BENCH_KEEP"))
		printf ("kept %s\n", path);
	else
		clear (dir);
	g_rand_free (source.rand);
	if (source.pack)
		fclose (source.pack);
	return 0;
}
