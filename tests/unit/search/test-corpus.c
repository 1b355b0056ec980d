/* SPDX-License-Identifier: Apache-2.0 */
/* Words and phrases of real messages find these messages, and the same others whether the index is complete, absent or behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include "search-private.h"

#define EVERY 80u /* one message in so many */
#define QUERIES 60u

static const char *feeder; /* bench-mail.py */

static void
must (gboolean ok, GError *error)
{
	if (!ok)
		fail_msg ("%s", error ? error->message : "failed");
}

static GBytes *
next_mail (FILE *from)
{
	gsize size;
	if (fscanf (from, "%zu", &size) != 1 || fgetc (from) != '\n')
		return NULL;
	char *octets = g_malloc (size + 1);
	must (fread (octets, 1, size, from) == size, NULL);
	return g_bytes_new_take (octets, size);
}

static void
add (Store *s, GBytes *mail, gint64 received)
{
	GError *e = NULL;
	gint64 message;
	g_autoptr (Folder) inbox = store_folder_by_path (s, "INBOX", NULL);
	g_autoptr (Prepared) p = prepare_bytes (mail, received, 0);
	must (store_begin (s, &e) && store_add_message (s, p, 0, &message, &e) && store_place (s, inbox->id, message, 0, NULL, FALSE, 0, NULL, &e) &&
	      store_commit (s, &e), e);
}

/* Returns the number of messages. */
static guint
fill (Store *s)
{
	GError *e = NULL;
	gint64 inbox;
	g_autofree char *command = g_strdup_printf ("/usr/bin/python3 '%s' corpus", feeder);
	FILE *from = popen (command, "r");
	guint n = 0, added = 0;
	must (store_begin (s, &e) && store_folder_create_path (s, "INBOX", &inbox, &e) && store_commit (s, &e), e);
	for (GBytes *mail; (mail = next_mail (from)); g_bytes_unref (mail))
		if (n++ % EVERY == 0)
			add (s, mail, 1000 + added++);
	pclose (from);
	return added;
}

/* One to three words that stand one after the other in a message; NULL: it has none. */
static char *
some_phrase (Store *s, gint64 message, GRand *rand)
{
	g_autoptr (Message) m = store_message (s, message, NULL);
	g_autoptr (Doc) d = doc_read (s, m, NULL);
	int column = g_rand_boolean (rand) ? COLUMN_BODY : g_rand_int_range (rand, 0, N_COLUMNS);
	g_auto (GStrv) words = g_strsplit (g_strstrip (d->columns[column]->str), " ", -1);
	guint n = g_strv_length (words);
	if (!n)
		return NULL;
	guint first = (guint) g_rand_int_range (rand, 0, (gint32) n), count = (guint) g_rand_int_range (rand, 1, 4);
	GString *out = g_string_new ("\"");
	for (guint i = 0; i < MIN (count, n - first); i++) {
		if ((guchar) *words[first + i] >= 0xe0) /* pairs are no text to type */
			return g_string_free (out, TRUE);
		g_string_append_printf (out, "%s%s", i ? " " : "", words[first + i]);
	}
	g_string_append_c (out, '"');
	return g_string_free (out, FALSE);
}

static gboolean
note (gpointer data, const Listing *l)
{
	g_string_append_printf (data, "%" G_GINT64_FORMAT " ", l->message.id);
	return TRUE;
}

static GPtrArray *
results (Store *s, const GPtrArray *queries)
{
	GPtrArray *out = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < queries->len; i++) {
		GError *e = NULL;
		GString *found = g_string_new (" ");
		g_autoptr (SearchQuery) q = search_query_parse (queries->pdata[i], 0, &e);
		must (q && search_run (s, q, 0, NULL, note, found, &e), e);
		g_ptr_array_add (out, g_string_free (found, FALSE));
	}
	return out;
}

static void
compare (const GPtrArray *queries, const GPtrArray *a, const GPtrArray *b)
{
	for (guint i = 0; i < queries->len; i++)
		if (strcmp (a->pdata[i], b->pdata[i]) != 0)
			fail_msg ("%s finds%s or%s", (char *) queries->pdata[i], (char *) a->pdata[i], (char *) b->pdata[i]);
}

static void
check (Store *s, guint n)
{
	GError *e = NULL;
	g_autoptr (GRand) rand = g_rand_new_with_seed (3);
	g_autoptr (GPtrArray) queries = g_ptr_array_new_with_free_func (g_free);
	g_autoptr (GArray) from = g_array_new (FALSE, FALSE, sizeof (gint64));
	while (queries->len < QUERIES) {
		gint64 message = g_rand_int_range (rand, 1, (gint32) n + 1);
		char *phrase = some_phrase (s, message, rand);
		if (phrase) {
			g_ptr_array_add (queries, phrase);
			g_array_append_val (from, message);
		}
	}
	g_autoptr (GPtrArray) absent = results (s, queries);
	must (search_index (s, NULL, NULL, NULL, NULL, &e), e);
	g_autoptr (GPtrArray) complete = results (s, queries);
	must (store_begin (s, &e) && store_set_indexed_message (s, n / 2, &e) && store_commit (s, &e), e);
	g_autoptr (GPtrArray) behind = results (s, queries);
	compare (queries, absent, complete);
	compare (queries, behind, complete);
	for (guint i = 0; i < queries->len; i++) {
		g_autofree char *id = g_strdup_printf (" %" G_GINT64_FORMAT " ", g_array_index (from, gint64, i));
		if (!strstr (complete->pdata[i], id))
			fail_msg ("%s does not find%sbut%s", (char *) queries->pdata[i], id, (char *) complete->pdata[i]);
	}
}

static guint
check_corpus (void)
{
	g_autofree char *dir = g_dir_make_tmp ("test-corpus-XXXXXX", NULL), *path = g_build_filename (dir, "a.store", NULL);
	GError *e = NULL;
	Store *s = store_open (path, STORE_CREATE, &e);
	must (s != NULL, e);
	guint n = fill (s);
	if (n)
		check (s, n);
	store_close (s);
	g_unlink (path);
	g_rmdir (dir);
	return n;
}

static void
test_real_messages_are_found_by_their_words (void **state)
{
	if (check_corpus ())
		return;
	printf ("corpus absent\n");
	skip ();
}

int
main (int argc, char **argv)
{
	feeder = argv[1];
	const struct CMUnitTest tests[] = {cmocka_unit_test (test_real_messages_are_found_by_their_words)};
	return argc == 2 ? cmocka_run_group_tests (tests, NULL, NULL) : 2;
}
