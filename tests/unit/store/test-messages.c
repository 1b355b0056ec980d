/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>

#define MIB (1u << 20)

/* Freed memory is given back at once, so that the memory test measures the store also under the sanitizer. */
const char *__asan_default_options (void);
const char *
__asan_default_options (void)
{
	return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

static gint64
add_octets (Store *s, gint64 folder, const void *data, gsize size, gint64 received)
{
	GError *e = NULL;
	gint64 message = 0;
	g_autoptr (GBytes) octets = g_bytes_new (data, size);
	g_autoptr (Prepared) p = prepare_bytes (octets, received, 0);
	must (store_add_message (s, p, folder, &message, &e), &e);
	return message;
}

/* Octets that compress a little. */
static void
fill (guint8 *data, gsize size, guint32 seed)
{
	for (gsize i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = (guint8) (seed >> 28 | 0x40);
	}
}

static void
every_octet_comes_back (void **state)
{
	static const gsize sizes[] = {0, 1, 2, 7, 1000, 4096, 65535, MIB - 1, MIB, MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 3 * MIB + 12345};
	Fixture *f = *state;
	g_autofree guint8 *data = g_malloc (4 * MIB);
	gint64 messages[G_N_ELEMENTS (sizes)];
	begin (f->s);
	gint64 folder = make_folder (f->s, "A");
	for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
		fill (data, sizes[i], (guint32) i);
		messages[i] = add_octets (f->s, folder, data, sizes[i], 5);
	}
	commit (f->s);
	for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
		fill (data, sizes[i], (guint32) i);
		assert_octets (f->s, messages[i], data, sizes[i]);
	}
	assert_clean (f->s);
}

static void
any_range_can_be_read (void **state)
{
	static const struct {
		guint64 offset;
		gsize size, want;
	} cases[] = {
		{0, 0, 0}, {0, 1, 1}, {MIB - 1, 1, 1}, {MIB, 1, 1}, {MIB - 1, 2, 2}, {MIB - 10, MIB + 20, MIB + 20}, {0, 3 * MIB, 2 * MIB + 77},
		{2 * MIB, 77, 77}, {2 * MIB + 76, 1, 1}, {2 * MIB + 76, 2, 1}, {2 * MIB + 77, 1, 0}, {G_MAXUINT64, 5, 0}, {5, G_MAXSIZE, 2 * MIB + 72},
		{G_MAXUINT64 - 1, G_MAXSIZE, 0},
	};
	Fixture *f = *state;
	gsize size = 2 * MIB + 77;
	g_autofree guint8 *data = g_malloc (size);
	fill (data, size, 3);
	begin (f->s);
	gint64 message = add_octets (f->s, make_folder (f->s, "A"), data, size, 5);
	commit (f->s);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		GError *e = NULL;
		g_autoptr (GBytes) octets = store_read (f->s, message, cases[i].offset, cases[i].size, &e);
		must (octets != NULL, &e);
		assert_int_equal (g_bytes_get_size (octets), cases[i].want);
		if (cases[i].want)
			assert_memory_equal (g_bytes_get_data (octets, NULL), data + cases[i].offset, cases[i].want);
	}
	GError *e = NULL;
	GBytes *none = store_read (f->s, 999, 0, 1, &e);
	must_fail (none != NULL, &e, ERROR_NOT_FOUND, "999");
}

typedef struct {
	Digest *digest;
	gsize largest;
	guint64 octets;
	guint calls, stop_at;
} Sink;

static gboolean
take (gpointer data, const void *octets, gsize size, GError **error)
{
	Sink *sink = data;
	digest_feed (sink->digest, octets, size);
	sink->largest = MAX (sink->largest, size);
	sink->octets += size;
	return ++sink->calls != sink->stop_at || error_fail (error, ERROR_CANCELLED, "enough");
}

static void
a_stream_comes_in_pieces_of_at_most_a_mebibyte_and_can_be_stopped (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gsize size = 2 * MIB + 77;
	g_autofree guint8 *data = g_malloc (size);
	guint8 want[DIGEST_SIZE], got[DIGEST_SIZE];
	fill (data, size, 3);
	digest_of (data, size, want);
	begin (f->s);
	gint64 message = add_octets (f->s, make_folder (f->s, "A"), data, size, 5);
	commit (f->s);
	Sink sink = {.digest = digest_new ()};
	must (store_stream (f->s, message, take, &sink, &e), &e);
	digest_end (sink.digest, got);
	assert_memory_equal (want, got, DIGEST_SIZE);
	assert_true (sink.octets == size && sink.largest <= MIB && sink.calls == 3);
	Sink short_one = {.digest = digest_new (), .stop_at = 2};
	must_fail (store_stream (f->s, message, take, &short_one, &e), &e, ERROR_CANCELLED, "enough");
	digest_end (short_one.digest, got);
	assert_int_equal (short_one.calls, 2);
}

static void
equal_octets_are_stored_once (void **state)
{
	Fixture *f = *state;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B");
	gint64 first = add_text (f->s, a, "Subject: x\r\n\r\nsame\r\n", 100);
	assert_int_equal (add_text (f->s, a, "Subject: x\r\n\r\nsame\r\n", 100), first); /* not placed yet */
	assert_true (store_place (f->s, a, first, 0, NULL, FALSE, 0, NULL, NULL));
	assert_int_equal (add_text (f->s, b, "Subject: x\r\n\r\nsame\r\n", 100), first);
	gint64 second = add_text (f->s, a, "Subject: x\r\n\r\nsame\r\n", 100); /* a true duplicate in one folder */
	assert_int_not_equal (second, first);
	assert_int_not_equal (add_text (f->s, 0, "Subject: x\r\n\r\nsame\r\n", 101), first); /* received at another time */
	assert_int_not_equal (add_text (f->s, 0, "Subject: x\r\n\r\nSame\r\n", 100), first);
	commit (f->s);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM content"), 2);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM message"), 4);
	assert_int_equal (number (f->s, "SELECT COUNT (DISTINCT object_id) FROM message"), 4);
	assert_clean (f->s);
}

static void
a_message_keeps_what_listing_needs (void **state)
{
	static const char text[] = "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\r\nTo: a@example.org\r\nCc: b@example.org\r\n"
	                           "Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n and more\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n"
	                           "Message-ID: <one@example.org>\r\n\r\ntext\r\n";
	Fixture *f = *state;
	GError *e = NULL;
	gint64 id = 0;
	g_autoptr (GBytes) octets = g_bytes_new_static (text, sizeof text - 1);
	g_autoptr (Prepared) p = prepare_bytes (octets, -5, -330);
	assert_int_equal (prepared_size (p), sizeof text - 1);
	assert_string_equal (prepared_message_id (p), "one@example.org");
	begin (f->s);
	must (store_add_message (f->s, p, 0, &id, &e), &e);
	commit (f->s);
	g_autoptr (Message) m = store_message (f->s, id, &e);
	must (m != NULL, &e);
	assert_string_equal (m->subject, "Grüße and more");
	assert_non_null (strstr (m->sender, "Jürgen"));
	assert_non_null (strstr (m->recipients, "a@example.org"));
	assert_non_null (strstr (m->recipients, "b@example.org"));
	assert_string_equal (m->message_id, "one@example.org");
	assert_true (m->has_sent && m->sent == 1772442000 && m->received == -5 && m->zone == -330 && m->thread == id && !m->attachment);
	assert_true (m->digest == message_evidence_digest (text, sizeof text - 1));
	assert_int_equal (m->size, sizeof text - 1);
	Message *none = store_message (f->s, 999, &e);
	must_fail (none != NULL, &e, ERROR_NOT_FOUND, "999");
}

static void
a_file_gives_the_same_message_as_its_octets (void **state)
{
	static const gsize sizes[] = {0, 5, MIB, MIB + 1, 2 * MIB + 5};
	Fixture *f = *state;
	g_autofree char *path = g_build_filename (f->dir, "message", NULL);
	for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
		GError *e = NULL;
		g_autofree guint8 *data = g_malloc (sizes[i] + 30);
		memcpy (data, "Subject: from a file\r\n\r\n", 24);
		fill (data + 24, sizes[i], 9);
		gsize size = sizes[i] + 24;
		g_autoptr (GBytes) octets = g_bytes_new (data, size);
		assert_true (g_file_set_contents (path, (char *) data, (gssize) size, NULL));
		int fd = open (path, O_RDONLY);
		g_autoptr (Prepared) a = prepare_bytes (octets, 1, 2), b = prepare_file (fd, size, 1, 2, &e);
		must (b != NULL, &e);
		close (fd); /* it has its own */
		assert_memory_equal (prepared_hash (a), prepared_hash (b), DIGEST_SIZE);
		assert_string_equal (a->subject, b->subject);
		assert_true (g_bytes_equal (a->structure, b->structure));
		begin (f->s);
		gint64 message = 0, same = 0;
		must (store_add_message (f->s, b, 0, &message, &e), &e);
		must (store_add_message (f->s, a, 0, &same, &e), &e);
		commit (f->s);
		assert_int_equal (message, same);
		assert_octets (f->s, message, data, size);
	}
}

static void
a_file_that_is_shorter_than_said_is_refused (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autofree char *path = g_build_filename (f->dir, "message", NULL);
	assert_true (g_file_set_contents (path, "Subject: x\r\n\r\n", -1, NULL));
	int fd = open (path, O_RDONLY);
	Prepared *p = prepare_file (fd, 100, 1, 2, &e);
	must_fail (p != NULL, &e, ERROR_IO, "shorter");
	g_autoptr (Prepared) cut = prepare_file (fd, 14, 1, 2, &e);
	must (cut != NULL, &e);
	assert_int_equal (ftruncate (open (path, O_WRONLY), 5), 0);
	gint64 id;
	begin (f->s);
	must_fail (store_add_message (f->s, cut, 0, &id, &e), &e, ERROR_IO, "shorter");
	store_rollback (f->s);
	close (fd);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM content"), 0);
	assert_clean (f->s);
}

static long
peak_kib (void)
{
	struct rusage u;
	assert_int_equal (getrusage (RUSAGE_SELF, &u), 0);
	return u.ru_maxrss;
}

/* 200 MB in, out and checked: memory stays at some MiB (a chunk, its frame, the page cache), not the message. */
static void
a_big_message_needs_little_memory (void **state)
{
	const guint64 size = 200u * 1000 * 1000;
	Fixture *f = *state;
	GError *e = NULL;
	g_autofree char *path = g_build_filename (f->dir, "big", NULL);
	g_autofree guint8 *block = g_malloc (MIB);
	int fd = open (path, O_RDWR | O_CREAT, 0600);
	for (guint64 at = 0; at < size; at += MIB) {
		fill (block, MIB, (guint32) (at >> 20));
		assert_int_equal (write (fd, block, (gsize) MIN (size - at, (guint64) MIB)), MIN (size - at, (guint64) MIB));
	}
	long before = peak_kib ();
	gint64 id = 0;
	g_autoptr (Prepared) p = prepare_file (fd, size, 1, 2, &e);
	must (p != NULL, &e);
	close (fd);
	begin (f->s);
	must (store_add_message (f->s, p, 0, &id, &e), &e);
	commit (f->s);
	guint8 hash[DIGEST_SIZE];
	Sink sink = {.digest = digest_new ()};
	must (store_stream (f->s, id, take, &sink, &e), &e);
	digest_end (sink.digest, hash);
	assert_memory_equal (hash, prepared_hash (p), DIGEST_SIZE);
	assert_clean (f->s);
	long grown = peak_kib () - before;
	print_message ("a message of 200 MB: memory grew by %ld KiB\n", grown);
	assert_true (grown < 32 * 1024);
	unlink (path);
}

/* ---- Compression ---- */

static char *
usual_text (guint n)
{
	return g_strdup_printf ("Return-Path: <list-bounces@lists.example.org>\r\nReceived: from mx%u.example.org by mail.example.org with ESMTPS;"
	                        " Mon, 2 Mar 2026 10:%02u:00 +0000\r\nFrom: Person %u <p%u@example.org>\r\nTo: list@lists.example.org\r\n"
	                        "Subject: [list] question %u\r\nMessage-ID: <%u@example.org>\r\nList-Id: <list.lists.example.org>\r\n\r\n"
	                        "Dear all,\r\n\r\nabout number %u: what do you think?\r\n\r\nRegards,\r\nPerson %u\r\n",
	                        n % 5, n % 60, n % 50, n % 50, n, n, n * 7, n % 50);
}

static void
a_dictionary_is_trained_once_and_old_contents_stay_readable (void **state)
{
	Fixture *f = *state;
	const guint n = 1300;
	begin (f->s);
	gint64 folder = make_folder (f->s, "A");
	for (guint i = 0; i < n; i++) {
		g_autofree char *text = usual_text (i);
		assert_int_equal (add_text (f->s, folder, text, i), i + 1);
	}
	commit (f->s);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM dictionary"), 1);
	gint64 plain = number (f->s, "SELECT AVG (length (data)) FROM content WHERE dictionary = 0");
	gint64 trained = number (f->s, "SELECT AVG (length (data)) FROM content WHERE dictionary = 1");
	assert_true (number (f->s, "SELECT COUNT (*) FROM content WHERE dictionary = 1") >= 299 && trained * 2 < plain);
	g_autoptr (Store) other = must_open (f->path, STORE_READ_ONLY);
	for (guint i = 0; i < n; i += 7) {
		g_autofree char *text = usual_text (i);
		assert_octets (other, i + 1, text, strlen (text));
	}
	assert_clean (f->s);
}

static void
a_dictionary_that_was_rolled_back_is_not_used (void **state)
{
	Fixture *f = *state;
	begin (f->s);
	gint64 folder = make_folder (f->s, "A");
	for (guint i = 0; i < 999; i++) {
		g_autofree char *text = usual_text (i);
		add_text (f->s, folder, text, i);
	}
	commit (f->s);
	for (int round = 0; round < 2; round++) {
		begin (f->s);
		for (guint i = 0; i < 100; i++) {
			g_autofree char *text = usual_text (2000 + i);
			add_text (f->s, folder, text, i);
		}
		assert_int_equal (number (f->s, "SELECT COUNT (*) FROM dictionary"), 1);
		if (round == 0)
			store_rollback (f->s);
	}
	commit (f->s);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM dictionary"), 1);
	assert_clean (f->s);
}

static void
contents_that_teach_nothing_are_no_error (void **state)
{
	Fixture *f = *state;
	begin (f->s);
	for (guint i = 0; i < 1100; i++) {
		char text[8];
		g_snprintf (text, sizeof text, "%u", i);
		add_text (f->s, 0, text, i);
	}
	commit (f->s);
	assert_clean (f->s);
}

/* ---- Threads ---- */

static void
messages_are_threaded_in_any_order_of_arrival (void **state)
{
	static const char *const texts[] = {
		"Message-ID: <a@x>\r\nSubject: a\r\n\r\n", "Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\nReferences: <a@x>\r\n\r\n",
		"Message-ID: <c@x>\r\nReferences: <a@x> <b@x>\r\n\r\n", "Message-ID: <d@x>\r\nIn-Reply-To: <c@x>\r\n\r\n",
		"Message-ID: <other@x>\r\n\r\n",
	};
	static const int orders[][5] = {{0, 1, 2, 3, 4}, {3, 2, 1, 0, 4}, {4, 2, 0, 3, 1}, {1, 4, 3, 0, 2}, {3, 0, 4, 2, 1}};
	for (gsize o = 0; o < G_N_ELEMENTS (orders); o++) {
		Fixture *f = *state;
		gint64 ids[5], thread = 0;
		begin (f->s);
		for (int i = 0; i < 5; i++) {
			g_autofree char *text = g_strdup (texts[orders[o][i]]);
			for (char *c = text; *c; c++) /* other ids in each round */
				if (*c == 'x')
					*c = (char) ('p' + o);
			ids[orders[o][i]] = add_text (f->s, 0, text, 1);
		}
		for (int i = 0; i < 4; i++) {
			g_autoptr (Message) m = store_message (f->s, ids[i], NULL);
			assert_true (i == 0 || m->thread == thread);
			thread = m->thread;
		}
		g_autoptr (Message) alone = store_message (f->s, ids[4], NULL);
		assert_int_equal (alone->thread, ids[4]);
		assert_int_not_equal (thread, ids[4]);
		commit (f->s);
	}
}

/* ---- Sweeps ---- */

static void
a_sweep_takes_what_nothing_holds_and_only_that (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint64 n = 0;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	gint64 kept = put (f->s, a, 1), removed = put (f->s, a, 2);
	gint64 old = put (f->s, a, 3);
	add_text (f->s, a, "never placed", 9);
	must (store_remove (f->s, removed, "here", &e) && store_remove (f->s, old, "home", &e), &e);
	must (db_run (store_db (f->s), "UPDATE removed SET removed = 1000 WHERE message = 3", &e, ""), &e);
	commit (f->s);
	StoreStatistics before, after;
	must (store_statistics (f->s, &before, &e), &e);
	begin (f->s);
	must (store_sweep (f->s, 2000, &n, &e), &e);
	commit (f->s);
	assert_int_equal (n, 2);
	must (store_statistics (f->s, &after, &e), &e);
	assert_true (before.messages == 4 && before.contents == 4 && after.messages == 2 && after.contents == 2);
	g_autoptr (Placement) p = store_placement (f->s, kept, &e);
	assert_octets (f->s, p->message, "From: a1@example.org\r\nSubject: number 1\r\nMessage-ID: <m1@example.org>\r\n\r\nText 1\r\n", 81);
	g_autoptr (GPtrArray) list = store_removed_messages (f->s, 0, &e);
	assert_int_equal (list->len, 1);
	assert_clean (f->s);
}

static void
a_content_that_is_swept_can_come_again (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	for (int i = 0; i < 3; i++) {
		begin (f->s);
		gint64 message = add_text (f->s, 0, "Subject: again\r\n\r\n", 1);
		assert_int_equal (message, i + 1); /* ids are not used again */
		commit (f->s);
		assert_octets (f->s, message, "Subject: again\r\n\r\n", 18);
		begin (f->s);
		must (store_sweep (f->s, 0, NULL, &e), &e);
		commit (f->s);
		GBytes *gone = store_read (f->s, message, 0, 1, &e);
		must_fail (gone != NULL, &e, ERROR_NOT_FOUND, NULL);
	}
	assert_clean (f->s);
}

static void
statistics_count_what_is_there (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	StoreStatistics st;
	g_autofree guint8 *data = g_malloc0 (2 * MIB);
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	put (f->s, a, 1);
	put (f->s, a, 1);
	add_octets (f->s, a, data, 2 * MIB, 1);
	must (store_statistics (f->s, &st, &e), &e); /* inside a transaction, too */
	assert_true (st.contents == 2 && st.content_octets == 2 * MIB + 81 && st.folders == 1 && st.messages == 3 && st.placements == 2);
	commit (f->s);
	must (store_statistics (f->s, &st, &e), &e);
	assert_true (st.contents == 2 && st.content_octets == 2 * MIB + 81 && st.stored_octets > 0 && st.stored_octets < 1000);
	assert_true (st.file_octets > 16384 && st.pending == 0);
	begin (f->s);
	add_octets (f->s, a, data, MIB, 1);
	store_rollback (f->s);
	must (store_statistics (f->s, &st, &e), &e);
	assert_int_equal (st.contents, 2);
	assert_clean (f->s);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE (a_big_message_needs_little_memory), /* the first: a peak stays */
		WITH_STORE (every_octet_comes_back),
		WITH_STORE (any_range_can_be_read),
		WITH_STORE (a_stream_comes_in_pieces_of_at_most_a_mebibyte_and_can_be_stopped),
		WITH_STORE (equal_octets_are_stored_once),
		WITH_STORE (a_message_keeps_what_listing_needs),
		WITH_STORE (a_file_gives_the_same_message_as_its_octets),
		WITH_STORE (a_file_that_is_shorter_than_said_is_refused),
		WITH_STORE (a_dictionary_is_trained_once_and_old_contents_stay_readable),
		WITH_STORE (a_dictionary_that_was_rolled_back_is_not_used),
		WITH_STORE (contents_that_teach_nothing_are_no_error),
		WITH_STORE (messages_are_threaded_in_any_order_of_arrival),
		WITH_STORE (a_sweep_takes_what_nothing_holds_and_only_that),
		WITH_STORE (a_content_that_is_swept_can_come_again),
		WITH_STORE (statistics_count_what_is_there),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
