/* SPDX-License-Identifier: Apache-2.0 */
/* The peer is zlib itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <malloc.h>
#include <string.h>
#include <zlib.h>
#include "server-deflate.h"

typedef struct {
	GString *got;
	gsize largest;
	gsize most; /* 0: no end */
} Sink;

static gboolean
take (gpointer to, const char *octets, gsize size)
{
	Sink *s = to;
	g_string_append_len (s->got, octets, (gssize) size);
	s->largest = MAX (s->largest, size);
	return !s->most || s->got->len < s->most;
}

static void
peer_packs (z_stream *z, const char *text, gsize size, int flush, GString *out)
{
	char packed[4096];
	z->next_in = (Bytef *) text;
	z->avail_in = (uInt) size;
	do {
		z->next_out = (Bytef *) packed;
		z->avail_out = sizeof packed;
		deflate (z, flush);
		g_string_append_len (out, packed, (gssize) (sizeof packed - z->avail_out));
	} while (z->avail_out == 0);
}

/* Lines that refer to each other, now and then one that is long and all different. */
static char *
line_of (guint i)
{
	if (i % 50 != 49)
		return g_strdup_printf ("a%u UID FETCH %u:%u (FLAGS MODSEQ) (CHANGEDSINCE %u)\r\n", i, i, i * 3, i * 7);
	GString *text = g_string_new (NULL);
	for (guint n = 0; n < 4000; n++)
		g_string_append_printf (text, "%u ", (n + i) * 2654435761u);
	g_string_append (text, "\r\n");
	return g_string_free (text, FALSE);
}

static void
what_comes_in (int flush, gboolean by_octet)
{
	z_stream z = {0};
	Sink sink = {.got = g_string_new (NULL)};
	ServerDeflate *d = server_deflate_new ();
	assert_int_equal (deflateInit2 (&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	for (guint i = 0; i < 400; i++) {
		g_autofree char *line = line_of (i);
		g_autoptr (GString) packed = g_string_new (NULL);
		peer_packs (&z, line, strlen (line), flush, packed);
		g_string_truncate (sink.got, 0);
		for (gsize at = 0; at < packed->len; at += by_octet ? 1 : packed->len) {
			assert_true (server_deflate_take (d, (Slice){packed->str + at, by_octet ? 1 : packed->len},
							  take, &sink));
			if (by_octet)
				server_deflate_rest (d);
		}
		server_deflate_rest (d);
		assert_string_equal (sink.got->str, line);
	}
	deflateEnd (&z);
	server_deflate_free (d);
	g_string_free (sink.got, TRUE);
}

static void
test_a_peer_that_refers_to_what_came_before_a_rest_is_understood (void **state)
{
	what_comes_in (Z_SYNC_FLUSH, FALSE);
	what_comes_in (Z_SYNC_FLUSH, TRUE);
	what_comes_in (Z_PARTIAL_FLUSH, FALSE); /* ends within an octet */
	what_comes_in (Z_PARTIAL_FLUSH, TRUE);
	what_comes_in (Z_FULL_FLUSH, FALSE);
}

static gpointer
send_and_rest (gpointer data)
{
	gpointer *p = data;
	assert_true (server_deflate_send (p[0], p[1], strlen (p[1]), take, p[2]));
	server_deflate_rest (p[0]);
	return NULL;
}

static void
test_what_goes_out_is_one_stream_for_the_peer_whichever_thread_made_it (void **state)
{
	z_stream z = {0};
	Sink one = {.got = g_string_new (NULL)}, other = {.got = g_string_new (NULL)};
	ServerDeflate *d = server_deflate_new (), *e = server_deflate_new ();
	assert_int_equal (inflateInit2 (&z, -15), Z_OK);
	for (guint i = 0; i < 200; i++) {
		g_autofree char *line = line_of (i), *plain = g_malloc0 (1 << 20);
		gpointer mine[] = {d, line, &one}, others[] = {e, line, &other};
		g_string_truncate (one.got, 0);
		send_and_rest (others);
		if (i % 10 == 0)
			g_thread_join (g_thread_new ("other", send_and_rest, mine));
		else
			send_and_rest (mine);
		z.next_in = (Bytef *) one.got->str;
		z.avail_in = (uInt) one.got->len;
		z.next_out = (Bytef *) plain;
		z.avail_out = 1 << 20;
		assert_int_equal (inflate (&z, Z_SYNC_FLUSH), Z_OK);
		assert_int_equal (z.avail_in, 0);
		assert_string_equal (plain, line); /* all of it, at once */
	}
	inflateEnd (&z);
	server_deflate_free (d);
	server_deflate_free (e);
	g_string_free (one.got, TRUE);
	g_string_free (other.got, TRUE);
}

static void
test_what_grows_comes_in_pieces_and_can_be_stopped (void **state)
{
	z_stream z = {0};
	g_autoptr (GString) packed = g_string_new (NULL);
	g_autofree char *zeros = g_malloc0 (50 << 20);
	assert_int_equal (deflateInit2 (&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	peer_packs (&z, zeros, 50 << 20, Z_SYNC_FLUSH, packed);
	deflateEnd (&z);
	assert_true (packed->len < 100000);

	Sink sink = {.got = g_string_new (NULL), .most = 1 << 20};
	ServerDeflate *d = server_deflate_new ();
	assert_false (server_deflate_take (d, (Slice){packed->str, packed->len}, take, &sink));
	assert_true (sink.largest <= 16 << 10);
	assert_true (sink.got->len <= (1 << 20) + (16 << 10));
	server_deflate_free (d);
	g_string_free (sink.got, TRUE);
}

static void
test_what_is_damaged_or_ended_is_refused (void **state)
{
	const struct {
		const char *octets;
		gsize size;
	} bad[] = {{"\xff\xff\xff\xff", 4}, {"\x07", 1}, {"\x03\x00", 2}, {"\x00\x01\x00\x01\x00", 5}};
	for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
		Sink sink = {.got = g_string_new (NULL)};
		ServerDeflate *d = server_deflate_new ();
		assert_false (server_deflate_take (d, (Slice){bad[i].octets, bad[i].size}, take, &sink));
		server_deflate_rest (d);
		server_deflate_free (d);
		g_string_free (sink.got, TRUE);
	}
}

/* Memory: a hundred streams that rest hold their last octets, not 300 KiB. */
static void
test_who_rests_costs_what_it_said (void **state)
{
	ServerDeflate *all[100];
	g_autofree char *line = line_of (1);
	Sink sink = {.got = g_string_new (NULL)};
	z_stream z = {0};
	g_autoptr (GString) packed = g_string_new (NULL);
	assert_int_equal (deflateInit2 (&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	peer_packs (&z, line, strlen (line), Z_SYNC_FLUSH, packed);
	deflateEnd (&z);
	all[0] = server_deflate_new ();
	assert_true (server_deflate_send (all[0], line, 1, take, &sink)); /* this thread's compressor */
	server_deflate_free (all[0]);
	gsize before = mallinfo2 ().uordblks;
	for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
		all[i] = server_deflate_new ();
		assert_true (server_deflate_take (all[i], (Slice){packed->str, packed->len}, take, &sink));
		g_string_truncate (sink.got, 0);
		assert_true (server_deflate_send (all[i], line, strlen (line), take, &sink));
		g_string_truncate (sink.got, 0);
		server_deflate_rest (all[i]);
	}
	assert_true (mallinfo2 ().uordblks - before < G_N_ELEMENTS (all) * 500);
	for (guint i = 0; i < G_N_ELEMENTS (all); i++)
		server_deflate_free (all[i]);
	g_string_free (sink.got, TRUE);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_a_peer_that_refers_to_what_came_before_a_rest_is_understood),
		cmocka_unit_test (test_what_goes_out_is_one_stream_for_the_peer_whichever_thread_made_it),
		cmocka_unit_test (test_what_grows_comes_in_pieces_and_can_be_stopped),
		cmocka_unit_test (test_what_is_damaged_or_ended_is_refused),
		cmocka_unit_test (test_who_rests_costs_what_it_said),
	};
	return cmocka_run_group_tests_name ("server-deflate", tests, NULL, NULL);
}
