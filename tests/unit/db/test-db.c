/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "db.h"

/* In place of libc's, for SQLite too: 0, or the errno with which every sync fails. */
static int sync_error;

int
fdatasync (int fd)
{
	errno = sync_error;
	return sync_error ? -1 : 0;
}

int
fsync (int fd)
{
	return fdatasync (fd);
}

typedef struct {
	char *dir, *path;
} Place;

static int
make_place (void **state)
{
	Place *p = g_new0 (Place, 1);
	p->dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	p->path = g_build_filename (p->dir, "a.db", NULL);
	*state = p;
	return 0;
}

static int
clear_place (void **state)
{
	Place *p = *state;
	g_autoptr (GDir) dir = g_dir_open (p->dir, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name (dir))) {
		g_autofree char *path = g_build_filename (p->dir, name, NULL);
		g_unlink (path);
	}
	g_rmdir (p->dir);
	g_free (p->dir);
	g_free (p->path);
	g_free (p);
	return 0;
}

static Db *
fresh (void **state)
{
	Place *p = *state;
	Db *db = db_open (p->path, FALSE, TRUE, NULL);
	assert_non_null (db);
	assert_true (db_exec (db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c BLOB) STRICT", NULL));
	return db;
}

static void
a_new_file_has_our_pragmas_and_mode (void **state)
{
	static const struct {
		const char *pragma;
		gint64 value;
	} rows[] = {{"PRAGMA page_size", 16384}, {"PRAGMA synchronous", 2}, {"PRAGMA foreign_keys", 1}, {"PRAGMA temp_store", 2},
	            {"PRAGMA cache_size", -2048}, {"PRAGMA secure_delete", 2}};
	g_autoptr (Db) db = fresh (state);
	struct stat st;
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		assert_int_equal (db_number (db, rows[i].pragma, -1, ""), rows[i].value);
	DbQuery *q = db_query (db, "PRAGMA journal_mode", "");
	assert_int_equal (db_step (db, q, NULL), 1);
	assert_string_equal (db_text (q, 0), "wal");
	db_reset (q);
	assert_int_equal (stat (db_path (db), &st), 0);
	assert_int_equal (st.st_mode & 0777, 0600);
	db_cache (db, 16384);
	assert_int_equal (db_number (db, "PRAGMA cache_size", 0, ""), -16384);
}

static void
every_kind_of_parameter_comes_back (void **state)
{
	g_autoptr (Db) db = fresh (state);
	gsize size;
	assert_true (db_run (db, "INSERT INTO t VALUES (?1, ?2, ?3)", NULL, "isb", G_MAXINT64, "ä", "x\0y", (gsize) 3));
	assert_true (db_run (db, "INSERT INTO t VALUES (?1, ?2, ?3)", NULL, "Isn", -5, NULL));
	DbQuery *q = db_query (db, "SELECT a, b, c FROM t ORDER BY a DESC", "");
	assert_int_equal (db_step (db, q, NULL), 1);
	assert_true (db_int (q, 0) == G_MAXINT64);
	g_autofree char *text = db_dup (q, 1);
	assert_string_equal (text, "ä");
	assert_memory_equal (db_blob (q, 2, &size), "x\0y", 3);
	assert_int_equal (size, 3);
	assert_int_equal (db_step (db, q, NULL), 1);
	assert_int_equal (db_int (q, 0), -5);
	assert_true (db_is_null (q, 1) && db_is_null (q, 2));
	assert_non_null (db_blob (q, 2, &size));
	assert_int_equal (size, 0);
	assert_int_equal (db_step (db, q, NULL), 0);
}

static void
an_empty_blob_is_not_null (void **state)
{
	g_autoptr (Db) db = fresh (state);
	assert_true (db_run (db, "INSERT INTO t (c) VALUES (?1)", NULL, "b", NULL, (gsize) 0));
	assert_int_equal (db_number (db, "SELECT c IS NOT NULL FROM t", 0, ""), 1);
}

static void
a_walk_may_run_the_same_text_inside (void **state)
{
	static const char text[] = "SELECT a FROM t ORDER BY a";
	g_autoptr (Db) db = fresh (state);
	int pairs = 0, r;
	assert_true (db_exec (db, "INSERT INTO t (a) VALUES (1), (2), (3)", NULL));
	DbQuery *outer = db_query (db, text, "");
	while ((r = db_step (db, outer, NULL)) > 0) {
		DbQuery *inner = db_query (db, text, "");
		assert_ptr_not_equal (outer, inner);
		while (db_step (db, inner, NULL) > 0)
			pairs++;
	}
	assert_int_equal (r, 0);
	assert_int_equal (pairs, 9);
}

static void
returning_is_run_to_its_end (void **state)
{
	g_autoptr (Db) db = fresh (state);
	assert_true (db_run (db, "INSERT INTO t (a) VALUES (1), (2) RETURNING a", NULL, ""));
	assert_int_equal (db_number (db, "SELECT COUNT (*) FROM t", 0, ""), 2);
	assert_int_equal (db_last_id (db), 2);
	assert_true (db_run (db, "DELETE FROM t", NULL, ""));
	assert_int_equal (db_changes (db), 2);
}

static void
a_bad_statement_fails_at_its_step (void **state)
{
	g_autoptr (Db) db = fresh (state);
	g_autoptr (GError) e = NULL;
	DbQuery *q = db_query (db, "SELECT x FROM nowhere", "");
	assert_int_equal (db_step (db, q, &e), -1);
	assert_non_null (strstr (e->message, "nowhere"));
	assert_int_equal (db_number (db, "SELECT x FROM nowhere", 7, ""), 7);
	assert_false (db_exec (db, "nonsense", NULL));
}

static void
a_constraint_is_exists_and_the_transaction_goes_on (void **state)
{
	g_autoptr (Db) db = fresh (state);
	g_autoptr (GError) e = NULL;
	assert_true (db_begin (db, NULL));
	assert_true (db_in_transaction (db));
	assert_true (db_run (db, "INSERT INTO t (b) VALUES ('x')", NULL, ""));
	assert_false (db_run (db, "INSERT INTO t (b) VALUES ('x')", &e, ""));
	assert_true (error_is (e, ERROR_EXISTS));
	assert_true (db_run (db, "INSERT INTO t (b) VALUES ('y')", NULL, ""));
	assert_true (db_commit (db, NULL));
	assert_int_equal (db_number (db, "SELECT COUNT (*) FROM t", 0, ""), 2);
}

static void
another_failure_stays_until_the_rollback (void **state)
{
	g_autoptr (Db) db = fresh (state);
	g_autoptr (GError) first = NULL, later = NULL, at_commit = NULL;
	assert_true (db_begin (db, NULL));
	assert_false (db_run (db, "INSERT INTO nowhere VALUES (1)", &first, ""));
	assert_false (db_run (db, "INSERT INTO t (b) VALUES ('y')", &later, ""));
	assert_string_equal (first->message, later->message);
	assert_false (db_commit (db, &at_commit));
	assert_string_equal (first->message, at_commit->message);
	assert_false (db_in_transaction (db));
	assert_int_equal (db_number (db, "SELECT COUNT (*) FROM t", 9, ""), 0);
	assert_true (db_run (db, "INSERT INTO t (b) VALUES ('y')", NULL, ""));
}

static void
rollback_undoes_and_without_a_transaction_does_nothing (void **state)
{
	g_autoptr (Db) db = fresh (state);
	db_rollback (db);
	assert_true (db_begin (db, NULL) && db_run (db, "INSERT INTO t (b) VALUES ('x')", NULL, ""));
	db_rollback (db);
	assert_int_equal (db_number (db, "SELECT COUNT (*) FROM t", 9, ""), 0);
}

static void
a_second_begin_names_the_first (void **state)
{
	Place *p = *state;
	int out[2], status;
	char text[1000] = "";
	assert_int_equal (pipe (out), 0);
	pid_t pid = fork ();
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit (RLIMIT_CORE, &none);
		signal (SIGTRAP, SIG_DFL);
		dup2 (out[1], 2);
		Db *db = db_open (p->path, FALSE, TRUE, NULL);
		db_begin_at (db, "first.c:1", NULL);
		db_begin_at (db, "second.c:2", NULL);
		_exit (0);
	}
	close (out[1]);
	assert_int_equal (waitpid (pid, &status, 0), pid);
	assert_false (WIFEXITED (status) && WEXITSTATUS (status) == 0);
	assert_true (read (out[0], text, sizeof text - 1) > 0);
	assert_non_null (strstr (text, "first.c:1"));
	assert_non_null (strstr (text, "second.c:2"));
	close (out[0]);
}

static void
another_writer_is_temporary (void **state)
{
	g_autoptr (Db) db = fresh (state), other = db_open (((Place *) *state)->path, FALSE, FALSE, NULL);
	g_autoptr (GError) e = NULL;
	sqlite3_busy_timeout (db_handle (other), 10);
	assert_true (db_begin (db, NULL));
	assert_false (db_begin (other, &e));
	assert_true (error_is (e, ERROR_TEMPORARY));
	assert_int_equal (db_number (other, "SELECT COUNT (*) FROM t", 9, ""), 0);
	assert_true (db_commit (db, NULL));
	assert_true (db_begin (other, NULL) && db_commit (other, NULL));
}

static void
opening_tells_what_is_wrong (void **state)
{
	Place *p = *state;
	g_autoptr (GError) absent = NULL, text = NULL, directory = NULL;
	g_autofree char *path = g_build_filename (p->dir, "text", NULL);
	assert_null (db_open (p->path, FALSE, FALSE, &absent));
	assert_true (error_is (absent, ERROR_NOT_FOUND));
	assert_true (g_file_set_contents (path, "This is not a database but a text of enough octets for a header.....................", -1, NULL));
	assert_null (db_open (path, FALSE, FALSE, &text));
	assert_true (error_is (text, ERROR_CORRUPT));
	assert_non_null (strstr (text->message, "outpost store check"));
	assert_null (db_open (p->dir, FALSE, FALSE, &directory));
	assert_non_null (directory);
}

static void
a_commit_tells_a_full_disk_from_a_broken_one (void **state)
{
	static const struct {
		int err;
		OutpostError code;
		const char *says;
	} rows[] = {{ENOSPC, ERROR_NO_SPACE, "what was stored before stays"}, {EDQUOT, ERROR_NO_SPACE, "make room"}, {EIO, ERROR_IO, "disk I/O error"}};
	g_autoptr (Db) db = fresh (state);
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GError) e = NULL;
		assert_true (db_begin (db, NULL));
		assert_true (db_run (db, "INSERT INTO t (b) VALUES ('x')", NULL, ""));
		sync_error = rows[i].err;
		assert_false (db_commit (db, &e));
		sync_error = 0;
		assert_int_equal (e->code, rows[i].code);
		assert_non_null (strstr (e->message, rows[i].says));
		assert_int_equal (db_number (db, "SELECT COUNT (*) FROM t", 9, ""), 0);
	}
}

static void
read_only_reads_and_refuses_to_write (void **state)
{
	db_close (fresh (state));
	g_autoptr (GError) e = NULL;
	g_autoptr (Db) db = db_open (((Place *) *state)->path, TRUE, FALSE, NULL);
	assert_int_equal (db_number (db, "SELECT COUNT (*) FROM t", 9, ""), 0);
	assert_false (db_run (db, "INSERT INTO t (a) VALUES (1)", &e, ""));
	assert_true (error_is (e, ERROR_NO_PERMISSION));
}

#define T(f) cmocka_unit_test_setup_teardown (f, make_place, clear_place)
int
main (void)
{
	const struct CMUnitTest tests[] = {
		T (a_new_file_has_our_pragmas_and_mode), T (every_kind_of_parameter_comes_back), T (an_empty_blob_is_not_null),
		T (a_walk_may_run_the_same_text_inside), T (returning_is_run_to_its_end), T (a_bad_statement_fails_at_its_step),
		T (a_constraint_is_exists_and_the_transaction_goes_on), T (another_failure_stays_until_the_rollback),
		T (rollback_undoes_and_without_a_transaction_does_nothing), T (a_second_begin_names_the_first), T (another_writer_is_temporary),
		T (opening_tells_what_is_wrong), T (read_only_reads_and_refuses_to_write),
		T (a_commit_tells_a_full_disk_from_a_broken_one),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
