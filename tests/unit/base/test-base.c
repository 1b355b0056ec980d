/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bytes.h"
#include "cancel.h"
#include "digest.h"
#include "error.h"

#define S(text) ((Slice){text, sizeof text - 1})

/* ---- Bytes ---- */

static void
slices_are_compared_by_their_octets (void **state)
{
	static const struct {
		Slice s;
		const char *text;
		gboolean equal, equal_case;
	} cases[] = {
		{{NULL, 0}, "", TRUE, TRUE},         {{NULL, 0}, "a", FALSE, FALSE},  {S ("abc"), "abc", TRUE, TRUE},
		{S ("abc"), "ABC", FALSE, TRUE},     {S ("abc"), "ab", FALSE, FALSE}, {S ("ab"), "abc", FALSE, FALSE},
		{S ("a\0c"), "a", FALSE, FALSE},     {S ("\xc3\xa4"), "\xc3\x84", FALSE, FALSE},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		assert_int_equal (slice_equals (cases[i].s, cases[i].text), cases[i].equal);
		assert_int_equal (slice_equals_ascii_case (cases[i].s, cases[i].text), cases[i].equal_case);
	}
}

static void
a_copy_has_every_octet_and_ends_in_nul (void **state)
{
	g_autofree char *copy = slice_dup (S ("a\0b")), *empty = slice_dup ((Slice){NULL, 0});
	assert_memory_equal (copy, "a\0b\0", 4);
	assert_string_equal (empty, "");
}

static void
anything_becomes_valid_text (void **state)
{
	static const struct {
		Slice s;
		gsize max;
		const char *want;
	} cases[] = {
		{{NULL, 0}, 9, ""},
		{S ("plain\ttext\n"), 99, "plain\ttext\n"},
		{S ("gr\xc3\xbc\xc3\x9f"), 99, "grüß"},
		{S ("gr\xfc\xdf"), 99, "gr\xef\xbf\xbd\xef\xbf\xbd"},
		{S ("cut \xe2\x82"), 99, "cut \xef\xbf\xbd\xef\xbf\xbd"},
		{S ("nul\0 esc\x1b[ cr\r del\x7f"), 99, "nul\xef\xbf\xbd esc\xef\xbf\xbd[ cr\xef\xbf\xbd del\xef\xbf\xbd"},
		{S ("csi \xc2\x9b nel \xc2\x85"), 99, "csi \xef\xbf\xbd nel \xef\xbf\xbd"},
		{S ("surrogate \xed\xa0\x80"), 99, "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{S ("long \xc0\xaf"), 99, "long \xef\xbf\xbd\xef\xbf\xbd"},
		{S ("\xf0\x9f\x98\x80"), 4, "\xf0\x9f\x98\x80"},
		{S ("\xf0\x9f\x98\x80"), 3, ""},
		{S ("a\xc3\xbc"), 2, "a"},
		{S ("abc"), 2, "ab"},
		{S ("abc"), 0, ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autofree char *text = slice_to_utf8 (cases[i].s, cases[i].max);
		assert_string_equal (text, cases[i].want);
	}
	g_autoptr (GRand) rand = g_rand_new_with_seed (1);
	for (int round = 0; round < 2000; round++) {
		char noise[60];
		for (gsize i = 0; i < sizeof noise; i++)
			noise[i] = (char) g_rand_int_range (rand, 0, 256);
		gsize max = (gsize) g_rand_int_range (rand, 0, 200);
		g_autofree char *text = slice_to_utf8 ((Slice){noise, sizeof noise}, max);
		assert_true (g_utf8_validate (text, -1, NULL) && strlen (text) <= max);
	}
}

/* ---- Digests and ids ---- */

static void
digests_are_sha_256 (void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		/* FIPS 180-4 examples */
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		guint8 digest[DIGEST_SIZE];
		char hex[2 * DIGEST_SIZE + 1];
		digest_of (cases[i].text, strlen (cases[i].text), digest);
		for (int k = 0; k < DIGEST_SIZE; k++)
			g_snprintf (hex + 2 * k, 3, "%02x", digest[k]);
		assert_string_equal (hex, cases[i].want);
	}
}

static void
a_digest_does_not_depend_on_the_pieces (void **state)
{
	guint8 data[3000], whole[DIGEST_SIZE], pieces[DIGEST_SIZE];
	g_autoptr (GRand) rand = g_rand_new_with_seed (2);
	for (gsize i = 0; i < sizeof data; i++)
		data[i] = (guint8) g_rand_int (rand);
	digest_of (data, sizeof data, whole);
	for (int round = 0; round < 50; round++) {
		Digest *d = digest_new ();
		for (gsize at = 0; at < sizeof data;) {
			gsize n = (gsize) g_rand_int_range (rand, 0, 500);
			n = MIN (n, sizeof data - at);
			digest_feed (d, data + at, n);
			at += n;
		}
		digest_end (d, pieces);
		assert_memory_equal (whole, pieces, DIGEST_SIZE);
	}
}

static void
ids_are_all_different_in_children_too (void **state)
{
	g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	int pipes[2];
	char text[ID_TEXT_SIZE];
	assert_int_equal (pipe (pipes), 0);
	for (int child = 0; child < 4; child++) {
		Id128 own = id128_random ();
		pid_t pid = fork ();
		if (pid == 0) {
			Id128 ids[100];
			for (int i = 0; i < 100; i++)
				ids[i] = id128_random ();
			_exit (write (pipes[1], ids, sizeof ids) == sizeof ids ? 0 : 1);
		}
		int status;
		assert_int_equal (waitpid (pid, &status, 0), pid);
		assert_int_equal (status, 0);
		id128_text (&own, text);
		assert_true (g_hash_table_add (seen, g_strdup (text)));
	}
	close (pipes[1]);
	Id128 id;
	while (read (pipes[0], &id, sizeof id) == sizeof id) {
		id128_text (&id, text);
		assert_true (g_hash_table_add (seen, g_strdup (text)));
	}
	close (pipes[0]);
	for (int i = 0; i < 10000; i++) {
		id = id128_random ();
		id128_text (&id, text);
		assert_true (g_hash_table_add (seen, g_strdup (text)));
	}
	assert_int_equal (g_hash_table_size (seen), 10404);
}

static void
an_id_is_written_in_hexadecimal (void **state)
{
	Id128 id = {{0x00, 0x01, 0x0f, 0xf0, 0xff, 0xab, 0xcd, 0xef, 8, 9, 10, 11, 12, 13, 14, 15}};
	char text[ID_TEXT_SIZE];
	id128_text (&id, text);
	assert_string_equal (text, "00010ff0ffabcdef08090a0b0c0d0e0f");
}

/* ---- Cancel ---- */

static gboolean
readable (int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll (&p, 1, 0) == 1;
}

static gpointer
trigger (gpointer c)
{
	g_usleep (10000);
	cancel_trigger (c);
	return NULL;
}

static void
a_request_to_stop_stays (void **state)
{
	g_autoptr (Cancel) c = cancel_new ();
	GError *e = NULL;
	assert_false (cancel_is_triggered (c) || readable (cancel_fd (c)));
	assert_true (cancel_check (c, &e));
	GThread *t = g_thread_new ("trigger", trigger, c);
	struct pollfd p = {cancel_fd (c), POLLIN, 0};
	assert_int_equal (poll (&p, 1, 10000), 1); /* who waits is woken */
	g_thread_join (t);
	for (int i = 0; i < 3; i++) {
		assert_true (cancel_is_triggered (c) && readable (cancel_fd (c)));
		assert_false (cancel_check (c, &e));
		assert_true (error_is (e, ERROR_CANCELLED));
		g_clear_error (&e);
		cancel_trigger (c);
	}
}

static void
nothing_is_never_triggered (void **state)
{
	assert_false (cancel_is_triggered (NULL));
	assert_true (cancel_check (NULL, NULL));
	assert_int_equal (cancel_fd (NULL), -1);
	cancel_free (NULL);
}

/* ---- Errors ---- */

static void
errors_of_the_system_have_our_codes (void **state)
{
	static const struct {
		int err;
		OutpostError code;
	} cases[] = {
		{ENOSPC, ERROR_NO_SPACE},      {EDQUOT, ERROR_NO_SPACE},       {ENOENT, ERROR_NOT_FOUND},      {EACCES, ERROR_NO_PERMISSION},
		{EPERM, ERROR_NO_PERMISSION},  {EROFS, ERROR_NO_PERMISSION},   {EEXIST, ERROR_EXISTS},         {ECONNREFUSED, ERROR_TEMPORARY},
		{ETIMEDOUT, ERROR_TEMPORARY},  {EHOSTUNREACH, ERROR_TEMPORARY}, {ECONNRESET, ERROR_TEMPORARY}, {EIO, ERROR_IO},
		{EBADF, ERROR_IO},             {0, ERROR_IO},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (GError) e = NULL;
		assert_false (error_set_errno (&e, cases[i].err, "writing %s", "a file"));
		assert_true (error_is (e, cases[i].code));
		assert_true (g_str_has_prefix (e->message, "writing a file: "));
	}
	assert_false (error_set_errno (NULL, EIO, "nobody listens"));
}

static void
every_code_has_a_reach_and_a_retry (void **state)
{
	for (int code = ERROR_NOT_FOUND; code <= ERROR_IO; code++) {
		assert_in_range (error_reach ((OutpostError) code), REACH_MESSAGE, REACH_MAILBOX);
		assert_in_range (error_retry ((OutpostError) code), RETRY_NOW, RETRY_NEVER);
	}
	assert_int_equal (error_retry (ERROR_TEMPORARY), RETRY_LATER);
	assert_int_equal (error_retry (ERROR_CANCELLED), RETRY_NEVER);
	assert_int_equal (error_reach (ERROR_REFUSED), REACH_MESSAGE);
}

static void
other_domains_are_not_ours (void **state)
{
	g_autoptr (GError) other = g_error_new (g_quark_from_static_string ("other"), ERROR_IO, "x"), ours = NULL;
	assert_false (error_is (other, ERROR_IO) || error_is (NULL, ERROR_IO));
	assert_false (error_fail (&ours, ERROR_HELD, "%d%% of it", 5));
	assert_true (error_is (ours, ERROR_HELD) && !error_is (ours, ERROR_IO));
	assert_string_equal (ours->message, "5% of it");
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (slices_are_compared_by_their_octets),
		cmocka_unit_test (a_copy_has_every_octet_and_ends_in_nul),
		cmocka_unit_test (anything_becomes_valid_text),
		cmocka_unit_test (digests_are_sha_256),
		cmocka_unit_test (a_digest_does_not_depend_on_the_pieces),
		cmocka_unit_test (ids_are_all_different_in_children_too),
		cmocka_unit_test (an_id_is_written_in_hexadecimal),
		cmocka_unit_test (a_request_to_stop_stays),
		cmocka_unit_test (nothing_is_never_triggered),
		cmocka_unit_test (errors_of_the_system_have_our_codes),
		cmocka_unit_test (every_code_has_a_reach_and_a_retry),
		cmocka_unit_test (other_domains_are_not_ours),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
