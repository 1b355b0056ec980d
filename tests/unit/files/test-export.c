/* SPDX-License-Identifier: Apache-2.0 */
/* Export: what other programs make of the result is tests/system/test_export.py; here the contract towards the caller. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "export.h"
#include "store-private.h"

typedef struct {
	char *dir, *target;
	Store *store;
} Fixture;

static void
add (Store *s, const char *path, const char *text, gsize size)
{
	gint64 folder, message;
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	if (f)
		folder = f->id;
	else
		assert_true (store_folder_create_path (s, path, &folder, NULL));
	g_autoptr (GBytes) octets = g_bytes_new (text, size);
	g_autoptr (Prepared) p = prepare_bytes (octets, 1700000000, 60);
	assert_true (store_add_message (s, p, folder, &message, NULL));
	assert_true (store_place (s, folder, message, FLAG_SEEN, "blue", FALSE, 0, NULL, NULL));
}

static int
set_up (void **state)
{
	Fixture *f = g_new0 (Fixture, 1);
	f->dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	f->target = g_build_filename (f->dir, "target", NULL);
	g_autofree char *path = g_build_filename (f->dir, "a.store", NULL), *big = g_strnfill (3 << 20, 'x');
	f->store = store_open (path, STORE_CREATE, NULL);
	assert_non_null (f->store);
	assert_true (store_begin (f->store, NULL));
	for (int i = 0; i < 20; i++) {
		g_autofree char *text = g_strdup_printf ("Subject: number %d\r\n\r\ntext\r\n", i);
		add (f->store, i % 2 ? "INBOX" : "Archive/Old", text, strlen (text));
	}
	add (f->store, "Archive", big, 3 << 20);
	assert_true (store_commit (f->store, NULL));
	*state = f;
	return 0;
}

static int
remove_one (const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove (path);
}

static void
clear (const char *path)
{
	nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int
tear_down (void **state)
{
	Fixture *f = *state;
	store_close (f->store);
	clear (f->dir);
	g_free (f->dir);
	g_free (f->target);
	g_free (f);
	return 0;
}

static gboolean
run (Fixture *f, int format, const char *const *folders, guint64 *n, GError **error)
{
	return export_store (f->store, (ExportFormat) format, f->target, folders, NULL, NULL, NULL, n, NULL, error);
}

static void
every_message_is_counted (void **state)
{
	Fixture *f = *state;
	for (int i = 0; i < 3; i++) {
		GError *e = NULL;
		guint64 n = 0;
		assert_true (run (f, i, NULL, &n, &e));
		assert_int_equal (n, 21);
		clear (f->target);
	}
}

static void
keywords_that_find_no_letter_are_in_a_file_of_ours (void **state)
{
	Fixture *f = *state;
	g_autoptr (GString) words = g_string_new ("k00");
	guint64 n, apart;
	gint64 message;
	for (int i = 1; i < 30; i++)
		g_string_append_printf (words, " k%02d", i);
	g_autoptr (GBytes) octets = g_bytes_new ("Subject: many\r\n\r\n", 17);
	g_autoptr (Prepared) p = prepare_bytes (octets, 1700000000, 60);
	g_autoptr (Folder) folder = store_folder_by_path (f->store, "Archive", NULL);
	assert_true (store_begin (f->store, NULL) && store_add_message (f->store, p, folder->id, &message, NULL) &&
	             store_place (f->store, folder->id, message, 0, words->str, FALSE, 0, NULL, NULL) && store_commit (f->store, NULL));
	for (int i = 0; i < 3; i++) {
		assert_true (export_store (f->store, (ExportFormat) i, f->target, NULL, NULL, NULL, NULL, &n, &apart, NULL));
		assert_int_equal (n, 22);
		assert_int_equal (apart, i == EXPORT_MAILDIR);
		if (i == EXPORT_MAILDIR) {
			g_autofree char *path = g_build_filename (f->target, ".Archive", "outpost-keywords", NULL), *text = NULL;
			assert_true (g_file_get_contents (path, &text, NULL, NULL));
			assert_string_equal (text, "2 k25 k26 k27 k28 k29\n"); /* "blue" has a letter, too */
		}
		clear (f->target);
	}
}

static void
only_the_folders_asked_for_are_written (void **state)
{
	Fixture *f = *state;
	const char *const one[] = {"Archive", NULL}, *const two[] = {"inbox", "Archive/Old", NULL}, *const none[] = {"Archiv", NULL};
	for (int i = 0; i < 3; i++) {
		g_autoptr (GError) e = NULL;
		guint64 n = 0;
		assert_true (run (f, i, one, &n, NULL));
		assert_int_equal (n, 1);
		clear (f->target);
		assert_true (run (f, i, two, &n, NULL));
		assert_int_equal (n, 20);
		clear (f->target);
		assert_false (run (f, i, none, &n, &e));
		assert_true (error_is (e, ERROR_NOT_FOUND));
		assert_non_null (strstr (e->message, "'Archive'"));
		assert_false (g_file_test (f->target, G_FILE_TEST_EXISTS));
	}
}

static void
what_is_there_is_never_touched (void **state)
{
	Fixture *f = *state;
	g_autofree char *inside = g_build_filename (f->target, "mine", NULL);
	for (int i = 0; i < 3; i++) {
		for (int kind = 0; kind < 3; kind++) {
			g_autoptr (GError) e = NULL;
			if (kind == 0)
				assert_true (g_file_set_contents (f->target, "mine", -1, NULL));
			else if (kind == 1)
				assert_int_equal (symlink ("nowhere", f->target), 0);
			else {
				assert_int_equal (mkdir (f->target, 0700), 0);
				assert_true (g_file_set_contents (inside, "mine", -1, NULL));
			}
			assert_false (run (f, i, NULL, NULL, &e));
			assert_true (error_is (e, ERROR_EXISTS));
			assert_non_null (strstr (e->message, f->target));
			assert_true (g_file_test (kind == 2 ? inside : f->target, kind == 1 ? G_FILE_TEST_IS_SYMLINK : G_FILE_TEST_IS_REGULAR));
			clear (f->target);
		}
	}
}

static void
an_empty_directory_may_be_there_and_stays_after_a_failure (void **state)
{
	Fixture *f = *state;
	const char *const none[] = {"Nowhere", NULL};
	for (int i = 0; i < 2; i++) {
		assert_int_equal (mkdir (f->target, 0700), 0);
		assert_false (run (f, i, none, NULL, NULL));
		assert_true (g_file_test (f->target, G_FILE_TEST_IS_DIR));
		assert_true (run (f, i, NULL, NULL, NULL));
		clear (f->target);
	}
}

typedef struct {
	Cancel *cancel;
	guint64 calls, last, total;
} Progress;

static void
stop_at_seven (gpointer data, guint64 done, guint64 total)
{
	Progress *p = data;
	assert_true (done == p->last + 1);
	p->last = done;
	p->total = total;
	if (++p->calls == 7 && p->cancel)
		cancel_trigger (p->cancel);
}

static void
stopped_it_leaves_nothing (void **state)
{
	Fixture *f = *state;
	for (int i = 0; i < 3; i++) {
		g_autoptr (GError) e = NULL;
		g_autoptr (Cancel) cancel = cancel_new ();
		Progress p = {.cancel = cancel};
		assert_false (export_store (f->store, (ExportFormat) i, f->target, NULL, cancel, stop_at_seven, &p, NULL, NULL, &e));
		assert_true (error_is (e, ERROR_CANCELLED));
		assert_int_equal (p.calls, 7);
		assert_int_equal (p.total, 21);
		assert_false (g_file_test (f->target, G_FILE_TEST_EXISTS));
	}
}

/* A full disk, as far as a process may make one: no file may grow over a megabyte. */
static void
a_failed_write_leaves_nothing_and_names_the_file (void **state)
{
	Fixture *f = *state;
	for (int i = 0; i < 3; i++) {
		int status;
		pid_t pid = fork ();
		if (pid == 0) {
			struct rlimit limit = {1 << 20, 1 << 20};
			GError *e = NULL;
			signal (SIGXFSZ, SIG_IGN);
			setrlimit (RLIMIT_FSIZE, &limit);
			gboolean ok = !run (f, i, NULL, NULL, &e) && strstr (e->message, f->target);
			_exit (ok ? 0 : 1);
		}
		assert_int_equal (waitpid (pid, &status, 0), pid);
		assert_int_equal (status, 0);
		assert_false (g_file_test (f->target, G_FILE_TEST_EXISTS));
	}
}

static void
damage (Store *s, const char *sql)
{
	assert_true (db_exec (store_db (s), "PRAGMA foreign_keys=OFF", NULL) && db_exec (store_db (s), sql, NULL));
}

static void
a_damaged_message_is_left_out_and_named_all_others_are_written (void **state)
{
	static const char *const damages[] = {
		"UPDATE content SET data = x'0102' WHERE id = (SELECT content FROM message WHERE subject = 'number 3')",
		"DELETE FROM content_chunk WHERE seq = 2",
		"DELETE FROM message WHERE subject = 'number 5'",
	};
	Fixture *f = *state;
	for (gsize d = 0; d < G_N_ELEMENTS (damages); d++) {
		damage (f->store, damages[d]);
		for (int i = 0; i < 3; i++) {
			g_autoptr (GError) e = NULL;
			guint64 n = 0;
			assert_false (run (f, i, NULL, &n, &e));
			assert_int_equal (n, 20 - d);
			assert_true (error_is (e, ERROR_CORRUPT));
			g_autofree char *start = g_strdup_printf ("%d message(s)", (int) d + 1);
			assert_true (g_str_has_prefix (e->message, start));
			assert_non_null (strstr (e->message, "UID "));
			assert_true (g_file_test (f->target, G_FILE_TEST_EXISTS));
			clear (f->target);
		}
	}
}

static void
files_of_an_export_are_for_their_owner_only (void **state)
{
	Fixture *f = *state;
	for (int i = 0; i < 3; i++) {
		struct stat st;
		assert_true (run (f, i, NULL, NULL, NULL));
		assert_int_equal (stat (f->target, &st), 0);
		assert_int_equal (st.st_mode & 077, 0);
		clear (f->target);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown (every_message_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown (keywords_that_find_no_letter_are_in_a_file_of_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown (only_the_folders_asked_for_are_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown (what_is_there_is_never_touched, set_up, tear_down),
		cmocka_unit_test_setup_teardown (an_empty_directory_may_be_there_and_stays_after_a_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown (stopped_it_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown (a_failed_write_leaves_nothing_and_names_the_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown (a_damaged_message_is_left_out_and_named_all_others_are_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown (files_of_an_export_are_for_their_owner_only, set_up, tear_down),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
