/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of indexing and searching. bench-mail.py gives the mail.
 *	bench-search make STORE COPIES <mail     stores each message COPIES times, each a little different
 *	bench-search index STORE [beside]        rate, size and memory; beside: with another writer at work
 *	bench-search query STORE [QUERY]...      time to the first 50, best of 5 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "search-private.h"

#define BATCH 500
#define FOLDERS 50
#define FIRST 50
#define NOW 1772445600

static void
must (gboolean ok, GError *e)
{
	if (ok)
		return;
	fprintf (stderr, "bench-search: %s\n", e ? e->message : "failed");
	exit (1);
}

static Store *
opened (const char *path, StoreOpen flags)
{
	GError *e = NULL;
	Store *s = store_open (path, flags, &e);
	must (s != NULL, e);
	return s;
}

/* ---- make ---- */

static GBytes *
next_mail (void)
{
	gsize size;
	if (scanf ("%zu", &size) != 1 || getchar () != '\n')
		return NULL;
	char *octets = g_malloc (size + 1);
	must (fread (octets, 1, size, stdin) == size, NULL);
	return g_bytes_new_take (octets, size);
}

static GBytes *
copy_of (GBytes *mail, guint copy)
{
	gsize size;
	const char *octets = g_bytes_get_data (mail, &size);
	GString *out = g_string_sized_new (size + 40);
	g_string_printf (out, "X-Copy: %u\r\n", copy);
	g_string_append_len (out, octets, (gssize) size);
	return g_string_free_to_bytes (out);
}

static void
add (Store *s, const gint64 *folders, GBytes *mail, GRand *rand)
{
	GError *e = NULL;
	gint64 message, folder = folders[g_rand_int_range (rand, 0, 2) ? g_rand_int_range (rand, 0, FOLDERS) : 0];
	g_autoptr (Prepared) p = prepare_bytes (mail, NOW - g_rand_int_range (rand, 0, 300000000), 0);
	guint flags = g_rand_int_range (rand, 0, 5) ? FLAG_SEEN : 0;
	flags |= g_rand_int_range (rand, 0, 1000) ? 0 : FLAG_FLAGGED;
	must (store_add_message (s, p, folder, &message, &e), e);
	must (store_place (s, folder, message, flags, g_rand_int_range (rand, 0, 500) ? NULL : "receipts", FALSE, 0, NULL, &e), e);
}

static void
make (const char *path, guint copies)
{
	GError *e = NULL;
	Store *s = opened (path, STORE_CREATE);
	g_autoptr (GRand) rand = g_rand_new_with_seed (1);
	gint64 folders[FOLDERS];
	guint n = 0;
	must (store_begin (s, &e), e);
	for (guint i = 0; i < FOLDERS; i++) {
		g_autofree char *name = i ? g_strdup_printf ("Folder %u", i) : g_strdup ("INBOX");
		must (store_folder_create_path (s, name, &folders[i], &e), e);
	}
	for (GBytes *mail; (mail = next_mail ()); g_bytes_unref (mail))
		for (guint i = 0; i < copies; i++) {
			g_autoptr (GBytes) copy = copy_of (mail, i);
			add (s, folders, copy, rand);
			if (++n % BATCH == 0)
				must (store_commit (s, &e) && store_begin (s, &e), e);
		}
	must (store_commit (s, &e), e);
	store_close (s);
	printf ("%u messages\n", n);
}

/* ---- index ---- */

typedef struct {
	const char *path;
	gint done;
	gint64 longest, total;
	guint n;
} Rival;

/* Writes every few milliseconds, as a synchronisation does, and notes how long it takes. */
static gpointer
write_beside (gpointer data)
{
	Rival *r = data;
	Store *s = opened (r->path, 0);
	while (!g_atomic_int_get (&r->done)) {
		GError *e = NULL;
		gint64 start = g_get_monotonic_time ();
		must (store_begin (s, &e) && store_set_setting (s, "bench", "x", &e) && store_commit (s, &e), e);
		gint64 took = g_get_monotonic_time () - start;
		r->longest = MAX (r->longest, took);
		r->total += took;
		r->n++;
		g_usleep (5000);
	}
	store_close (s);
	return NULL;
}

static gint64 last, slowest;

static void
note_batch (gpointer data, guint64 done, guint64 total)
{
	gint64 now = g_get_monotonic_time ();
	slowest = MAX (slowest, now - last);
	last = now;
}

static void
build (const char *path, gboolean beside)
{
	GError *e = NULL;
	Rival rival = {.path = path};
	GThread *thread = beside ? g_thread_new ("rival", write_beside, &rival) : NULL;
	Store *s = opened (path, 0);
	StoreStatistics before, after;
	guint64 n;
	struct rusage use;
	gint64 start = last = g_get_monotonic_time ();
	must (store_statistics (s, &before, &e) && search_index (s, NULL, note_batch, NULL, &n, &e), e);
	double seconds = (double) (g_get_monotonic_time () - start) / 1e6;
	must (store_statistics (s, &after, &e), e);
	getrusage (RUSAGE_SELF, &use);
	printf ("%" G_GUINT64_FORMAT " messages in %.1f s: %.0f/s; slowest batch %.0f ms; index %.1f MB of %.1f MB; peak memory %ld MB, CPU %ld.%ld s\n",
	        n, seconds, (double) n / seconds, (double) slowest / 1e3, (double) after.index_octets / 1e6, (double) after.file_octets / 1e6,
	        use.ru_maxrss / 1024, use.ru_utime.tv_sec + use.ru_stime.tv_sec, (long) use.ru_utime.tv_usec / 100000);
	g_atomic_int_set (&rival.done, 1);
	if (thread)
		g_thread_join (thread);
	if (rival.n)
		printf ("%u transactions beside it: %.1f ms each, at most %.0f ms\n", rival.n, (double) rival.total / 1e3 / rival.n, (double) rival.longest / 1e3);
	store_close (s);
}

/* ---- query ---- */

typedef struct {
	gint64 start, first;
	guint n;
} Timing;

static gboolean
count (gpointer data, const Listing *l)
{
	Timing *t = data;
	if (!t->n++)
		t->first = g_get_monotonic_time () - t->start;
	return TRUE;
}

static void
measure (Store *s, const char *text)
{
	GError *e = NULL;
	double best = 1e9, best_first = 1e9;
	guint found = 0;
	for (int i = 0; i < 5; i++) {
		Timing t = {.start = g_get_monotonic_time ()};
		g_autoptr (SearchQuery) q = search_query_parse (text, NOW, &e);
		must (q && search_run (s, q, FIRST, NULL, count, &t, &e), e);
		best = MIN (best, (double) (g_get_monotonic_time () - t.start) / 1000);
		best_first = MIN (best_first, (double) t.first / 1000);
		found = t.n;
	}
	Timing all = {.start = g_get_monotonic_time ()};
	g_autoptr (SearchQuery) q = search_query_parse (text, NOW, &e);
	must (q && search_run (s, q, 0, NULL, count, &all, &e), e);
	printf ("%-44s first %7.2f ms   %2u in %7.2f ms   all %6u in %7.1f ms\n", text, best_first, found, best, all.n,
	        (double) (g_get_monotonic_time () - all.start) / 1000);
}

static const char *const usual[] = {
	"the", "the and", "\"in the\"", "thursday", "subject:report", "from:ada", "com", "re", "nosuchword", "bud*", "a*", "th*", "的", "会议",
	"is:unread", "is:flagged", "the is:flagged", "tag:receipts", "in:\"Folder 7\"", "the in:\"Folder 7\" is:unread", "has:attachment",
	"the has:attachment larger:100k", "larger:10M", "date:2024-05", "after:7d the", "before:2017-06", "-the", "-the -and -com", "the OR is:flagged",
	"the -com is:unread", "date:2020 (the OR is:flagged) -from:ada",
};

static void
query (const char *path, char **queries)
{
	Store *s = opened (path, STORE_READ_ONLY);
	for (gsize i = 0; !*queries && i < G_N_ELEMENTS (usual); i++)
		measure (s, usual[i]);
	for (; *queries; queries++)
		measure (s, *queries);
	store_close (s);
}

int
main (int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	if (strcmp (what, "make") == 0)
		make (argv[2], argc > 3 ? (guint) atoi (argv[3]) : 1);
	else if (strcmp (what, "index") == 0)
		build (argv[2], argc > 3);
	else if (strcmp (what, "query") == 0)
		query (argv[2], argv + 3);
	else {
		fprintf (stderr, "usage: bench-search make STORE COPIES | index STORE [beside] | query STORE [QUERY]...\n");
		return 2;
	}
	return 0;
}
