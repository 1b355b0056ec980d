/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, versions, locks, transactions, and several connections and processes at once. */
#include "store-binding.h"
#include "store-fixture.h"
#include "schema-1.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
a_new_store_has_an_identity_for_ever_and_is_private (void **state)
{
	Fixture *f = *state;
	struct stat st;
	Id128 id = store_mailbox_id (f->s), none = {{0}};
	assert_memory_not_equal (&id, &none, sizeof id);
	assert_string_equal (store_path (f->s), f->path);
	assert_int_equal (number (f->s, "SELECT role = 'replica' FROM meta"), 1);
	begin (f->s);
	make_folder (f->s, "A");
	commit (f->s);
	g_autofree char *wal = g_strconcat (f->path, "-wal", NULL), *shm = g_strconcat (f->path, "-shm", NULL);
	const char *const files[] = {f->path, wal, shm};
	for (int i = 0; i < 3; i++) {
		assert_int_equal (stat (files[i], &st), 0);
		assert_int_equal (st.st_mode & 0777, 0600);
	}
	store_close (f->s);
	f->s = must_open (f->path, STORE_CREATE);
	Id128 again = store_mailbox_id (f->s);
	assert_memory_equal (&id, &again, sizeof id);
	g_autofree char *other = g_build_filename (f->dir, "b.store", NULL);
	g_autoptr (Store) second = must_open (other, STORE_CREATE);
	again = store_mailbox_id (second);
	assert_memory_not_equal (&id, &again, sizeof id);
}

static void
what_is_no_store_is_refused_and_not_touched (void **state)
{
	static const struct {
		const char *what;
		OutpostError code;
		const char *text;
	} cases[] = {
		{"absent", ERROR_NOT_FOUND, "other"},       {"text", ERROR_CORRUPT, "outpost store check"}, {"database", ERROR_CONFLICT, "not a store of outpost"},
		{"newer", ERROR_CONFLICT, "newer outpost"}, {"cut", ERROR_CORRUPT, "outpost store check"},
	};
	Fixture *f = *state;
	g_autofree char *path = g_build_filename (f->dir, "other", NULL);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autofree char *before = NULL, *after = NULL;
		gsize n = 0, m = 0;
		unlink (path);
		if (strcmp (cases[i].what, "text") == 0)
			assert_true (g_file_set_contents (path, "this is a text and surely not a database, however long one reads in it, to the very end of it all", -1, NULL));
		if (strcmp (cases[i].what, "database") == 0) {
			sqlite3 *db;
			sqlite3_open (path, &db);
			sqlite3_exec (db, "CREATE TABLE t (a)", NULL, NULL, NULL);
			sqlite3_close (db);
		}
		if (strcmp (cases[i].what, "newer") == 0 || strcmp (cases[i].what, "cut") == 0) {
			Store *s = must_open (path, STORE_CREATE);
			if (strcmp (cases[i].what, "newer") == 0)
				sql (s, "PRAGMA user_version=99");
			store_close (s);
			if (strcmp (cases[i].what, "cut") == 0)
				assert_int_equal (truncate (path, 20000), 0);
		}
		gboolean there = g_file_get_contents (path, &before, &n, NULL);
		for (int flags = 0; flags < 2; flags++) {
			GError *e = NULL;
			Store *s = store_open (path, (StoreOpen) flags, &e);
			must_fail (s != NULL, &e, cases[i].code, cases[i].text);
		}
		assert_int_equal (g_file_get_contents (path, &after, &m, NULL), there);
		if (there)
			assert_true (n == m && memcmp (before, after, n) == 0);
	}
}

/* ---- Versions ---- */

#define BACK_TO_6 " ALTER TABLE folder DROP COLUMN octets; ALTER TABLE placement DROP COLUMN saved; DROP TABLE annotation"

/* A store as version 1 made it. */
static void
plant_version_1 (const char *path)
{
	sqlite3 *db;
	assert_int_equal (sqlite3_open (path, &db), SQLITE_OK);
	static const char *const texts[] = {
		"PRAGMA page_size=16384; PRAGMA journal_mode=WAL", schema_1_text,
		"PRAGMA application_id=0x6f757470; PRAGMA user_version=1",
		"INSERT INTO meta VALUES (1, x'000102030405060708090a0b0c0d0e0f', 'replica', 1700000000, 4, 0)",
		"INSERT INTO folder (object_id, name, uidvalidity, uidnext, total, unread, created_modseq, modseq, changed_modseq)"
		" VALUES (randomblob (16), 'Old', 7, 2, 1, 1, 1, 1, 2)",
		"INSERT INTO setting VALUES ('uidvalidity', '7')",
		/* "Subject: old\r\n\r\n" as a zstd frame of one raw block */
		"INSERT INTO content VALUES (1, x'bbc5dcfd1321addb29b7c50451b28f1a38b0a0b74201d3cb606676a20cbe9f09', 16, 0,"
		" x'28b52ffd20108100005375626a6563743a206f6c640d0a0d0a')",
		"INSERT INTO message (object_id, content, received, zone, size, thread, subject, attachment, digest, structure)"
		" VALUES (randomblob (16), 1, 5, 0, 16, 1, 'old', 0, -8338343159916995436, x'')",
		"INSERT INTO placement (folder, uid, message, flags, modseq) VALUES (1, 1, 1, 0, 2)",
		"INSERT INTO hold (folder, side, kind, messages, detail, created, approved) VALUES (1, 'here', 'deletion-guard', 5, 'x', 1, 1)",
	};
	for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
		if (sqlite3_exec (db, texts[i], NULL, NULL, NULL) != SQLITE_OK)
			fail_msg ("%s", sqlite3_errmsg (db));
	sqlite3_close (db);
}

static char *
described (Store *s)
{
	GString *text = g_string_new (NULL);
	sqlite3_stmt *q;
	static const char sql_text[] = "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk || ' ' || IFNULL (c.dflt_value, '')"
	                               " FROM sqlite_schema t JOIN pragma_table_xinfo (t.name) c WHERE t.type = 'table' UNION ALL SELECT 'index ' ||"
	                               " tbl_name || ' ' || name || ' ' || IFNULL (sql, '') FROM sqlite_schema WHERE type = 'index' OR name = 'fts' ORDER BY 1";
	assert_int_equal (sqlite3_prepare_v2 (db_handle (store_db (s)), sql_text, -1, &q, NULL), SQLITE_OK);
	while (sqlite3_step (q) == SQLITE_ROW)
		g_string_append_printf (text, "%s\n", sqlite3_column_text (q, 0));
	sqlite3_finalize (q);
	return g_string_free (text, FALSE);
}

static void
an_older_version_becomes_what_a_new_store_is (void **state)
{
	Fixture *f = *state;
	g_autofree char *path = g_build_filename (f->dir, "old.store", NULL);
	GError *e = NULL;
	plant_version_1 (path);
	Store *refused = store_open (path, STORE_READ_ONLY, &e);
	must_fail (refused != NULL, &e, ERROR_CONFLICT, "open it for writing once");
	g_autoptr (Store) s = must_open (path, 0);
	g_autofree char *now = described (s), *fresh = described (f->s);
	assert_string_equal (now, fresh);
	assert_int_equal (number (s, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
	assert_octets (s, 1, "Subject: old\r\n\r\n", 16);
	g_autoptr (Folder) old = store_folder_by_path (s, "old", NULL);
	assert_null (old);
	g_autoptr (Folder) folder = store_folder_by_path (s, "Old", NULL);
	assert_true (folder && folder->total == 1 && folder->uidvalidity == 7 && folder->octets == 16);
	StoreStatistics st;
	must (store_statistics (s, &st, &e), &e);
	assert_true (st.contents == 1 && st.content_octets == 16 && st.stored_octets == 25);
	assert_clean (s);
	g_autoptr (Store) reader = must_open (path, STORE_READ_ONLY);
	assert_int_equal (store_modseq (reader), 4);
}

/* The index of version 2 lacks words that version 3 asks for. */
static void
the_index_of_version_2_is_built_anew (void **state)
{
	Fixture *f = *state;
	sql (f->s, "INSERT INTO fts (rowid, body) VALUES (1, 'old')");
	sql (f->s, "UPDATE meta SET indexed_message = 1");
	sql (f->s, "DROP TABLE hold_message; ALTER TABLE hold DROP COLUMN there; ALTER TABLE hold DROP COLUMN decided; ALTER TABLE hold DROP COLUMN settled; ALTER TABLE hold DROP COLUMN newest;"
	           " ALTER TABLE placement_binding DROP COLUMN settled; ALTER TABLE placement_binding DROP COLUMN sent; ALTER TABLE pending DROP COLUMN message;" BACK_TO_6);
	sql (f->s, "PRAGMA user_version=2");
	g_autoptr (Store) s = must_open (store_path (f->s), 0);
	assert_int_equal (number (s, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
	assert_int_equal (number (s, "SELECT indexed_message FROM meta"), 0);
	assert_int_equal (number (s, "SELECT COUNT (*) FROM fts WHERE fts MATCH 'old'"), 0);
}

/* What was held, and what was said of it, is so still, and can be decided and undone. */
static void
the_holds_of_version_3_stay (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint done, missing;
	g_autofree char *fresh = described (f->s);
	sql (f->s, "DROP TABLE hold_message; ALTER TABLE hold DROP COLUMN there; ALTER TABLE hold DROP COLUMN decided; ALTER TABLE hold DROP COLUMN"
	           " settled; ALTER TABLE hold DROP COLUMN newest; ALTER TABLE placement_binding DROP COLUMN settled;"
	           " ALTER TABLE placement_binding DROP COLUMN sent; ALTER TABLE pending DROP COLUMN message;" BACK_TO_6);
	sql (f->s, "INSERT INTO hold (folder, side, kind, messages, detail, created, decision) VALUES (7, 'here', 'rebind', 5, 'five', 1, 0),"
	           " (8, 'home', 'deletion-guard', 6, 'six', 1, 2)");
	sql (f->s, "PRAGMA user_version=3");
	g_autoptr (Store) s = must_open (store_path (f->s), 0);
	g_autofree char *now = described (s);
	assert_string_equal (now, fresh);
	assert_int_equal (number (s, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
	g_autoptr (GPtrArray) holds = store_holds (s, &e), decisions = store_decisions (s, &e);
	assert_true (holds->len == 2 && decisions->len == 1);
	const Hold *first = holds->pdata[0], *second = holds->pdata[1];
	assert_true (first->decision == HOLD_WAITS && first->there == -1 && first->here == -1 && !first->path);
	assert_true (second->decision == HOLD_KEEP && second->decided == 0 && second->settled == 0);
	begin (s);
	must (store_undo_decision (s, second->id, &done, &missing, &e), &e);
	commit (s);
	g_autoptr (GPtrArray) none = store_decisions (s, &e);
	assert_int_equal (none->len, 0);
}

static int
wait_for (pid_t pid)
{
	int status;
	assert_int_equal (waitpid (pid, &status, 0), pid);
	return status;
}

static void
processes_may_migrate_at_the_same_time (void **state)
{
	Fixture *f = *state;
	g_autofree char *path = g_build_filename (f->dir, "old.store", NULL);
	for (int round = 0; round < 5; round++) {
		pid_t pids[4];
		plant_version_1 (path);
		for (int i = 0; i < 4; i++) {
			pids[i] = fork ();
			if (pids[i] == 0) {
				Store *s = store_open (path, 0, NULL);
				_exit (s && db_number (store_db (s), "PRAGMA user_version", 0, "") == STORE_SCHEMA_VERSION ? 0 : 1);
			}
		}
		for (int i = 0; i < 4; i++)
			assert_int_equal (wait_for (pids[i]), 0);
		unlink (path);
		g_autofree char *wal = g_strconcat (path, "-wal", NULL), *shm = g_strconcat (path, "-shm", NULL);
		unlink (wal);
		unlink (shm);
	}
}

static void
processes_may_create_at_the_same_time (void **state)
{
	Fixture *f = *state;
	g_autofree char *path = g_build_filename (f->dir, "new.store", NULL);
	int pipes[2];
	pid_t pids[6];
	assert_int_equal (pipe (pipes), 0);
	for (int i = 0; i < 6; i++) {
		pids[i] = fork ();
		if (pids[i] == 0) {
			Store *s = store_open (path, STORE_CREATE, NULL);
			Id128 id = s ? store_mailbox_id (s) : (Id128){{0}};
			_exit (s && write (pipes[1], &id, sizeof id) == sizeof id ? 0 : 1);
		}
	}
	for (int i = 0; i < 6; i++)
		assert_int_equal (wait_for (pids[i]), 0);
	Id128 ids[6];
	assert_int_equal (read (pipes[0], ids, sizeof ids), sizeof ids);
	for (int i = 1; i < 6; i++)
		assert_memory_equal (&ids[0], &ids[i], sizeof ids[0]);
	close (pipes[0]);
	close (pipes[1]);
}

/* ---- Reading only ---- */

static void
read_only_reads_what_others_write_and_writes_nothing (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autoptr (Store) reader = must_open (f->path, STORE_READ_ONLY);
	begin (f->s);
	put (f->s, make_folder (f->s, "A"), 1);
	g_autoptr (Folder) unseen = store_folder_by_path (reader, "A", NULL);
	assert_null (unseen);
	commit (f->s);
	g_autoptr (Folder) a = store_folder_by_path (reader, "A", &e);
	must (a != NULL, &e);
	assert_int_equal (a->total, 1);
	must_fail (store_begin (reader, &e), &e, ERROR_NO_PERMISSION, NULL);
	assert_int_equal (findings (reader, TRUE, FALSE, NULL), 0);
}

static gboolean
count (gpointer n, const Placement *p)
{
	++*(guint *) n;
	return TRUE;
}

static void
a_snapshot_stays_while_others_write (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	put (f->s, a, 1);
	commit (f->s);
	g_autoptr (Store) reader = must_open (f->path, STORE_READ_ONLY);
	must (store_read_begin (reader, &e), &e);
	guint64 modseq = store_modseq (reader);
	for (guint i = 2; i < 6; i++) {
		begin (f->s);
		put (f->s, a, i);
		commit (f->s);
		guint n = 0;
		must (store_each_placement (reader, a, 0, count, &n, &e), &e);
		assert_int_equal (n, 1);
		assert_int_equal (store_modseq (reader), modseq);
	}
	store_read_end (reader);
	guint n = 0;
	must (store_each_placement (reader, a, 0, count, &n, &e), &e);
	assert_int_equal (n, 5);
	store_read_end (reader); /* without one it does nothing */
}

/* ---- Transactions ---- */

static void
what_is_rolled_back_never_was (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	commit (f->s);
	guint64 modseq = store_modseq (f->s);
	begin (f->s);
	put (f->s, a, 1);
	make_folder (f->s, "B");
	must (store_set_setting (f->s, "x", "y", &e), &e);
	assert_true (store_modseq (f->s) > modseq);
	assert_true (store_in_transaction (f->s));
	store_rollback (f->s);
	store_rollback (f->s);
	assert_false (store_in_transaction (f->s));
	assert_int_equal (store_modseq (f->s), modseq);
	assert_null (store_setting (f->s, "x"));
	begin (f->s);
	gint64 placement = put (f->s, a, 1);
	commit (f->s);
	g_autoptr (Placement) p = store_placement (f->s, placement, NULL);
	assert_int_equal (p->uid, 1);
	assert_clean (f->s);
}

static void
closing_rolls_back (void **state)
{
	Fixture *f = *state;
	begin (f->s);
	make_folder (f->s, "A");
	store_close (f->s);
	f->s = must_open (f->path, 0);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM folder"), 0);
}

static void
the_counter_rises_with_every_change_and_never_goes_back (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint64 last = store_modseq (f->s);
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	commit (f->s);
	gint64 p = 0;
	for (guint i = 0; i < 60; i++) {
		begin (f->s);
		if (i % 3 == 0)
			p = put (f->s, a, i);
		else if (i % 3 == 1)
			must (store_set_flags (f->s, p, FLAG_SEEN, NULL, &e), &e);
		else
			must (store_remove (f->s, p, "here", &e), &e);
		if (i % 3 == 1 && i % 4 == 0) { /* undone, and the number with it */
			store_rollback (f->s);
			begin (f->s);
		}
		commit (f->s);
		assert_true (store_modseq (f->s) >= last);
		last = store_modseq (f->s);
		if (i % 10 == 0) {
			store_close (f->s);
			f->s = must_open (f->path, 0);
			assert_int_equal (store_modseq (f->s), last);
		}
	}
	assert_clean (f->s);
}

static void
an_unchanged_flag_takes_no_number (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 p = put (f->s, make_folder (f->s, "A"), 1);
	must (store_set_flags (f->s, p, FLAG_SEEN, "a b", &e), &e);
	commit (f->s);
	guint64 modseq = store_modseq (f->s);
	begin (f->s);
	must (store_set_flags (f->s, p, FLAG_SEEN, "a b", &e), &e);
	commit (f->s);
	assert_int_equal (store_modseq (f->s), modseq);
}

/* ---- Settings ---- */

static void
settings_are_kept_replaced_and_unset (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autofree char *big = g_strnfill (100000, 'v');
	static const char *const values[] = {"", "one", "zwei üöä\n", "two"};
	assert_null (store_setting (f->s, "a"));
	for (gsize i = 0; i < G_N_ELEMENTS (values); i++) {
		begin (f->s);
		must (store_set_setting (f->s, "a", values[i], &e), &e);
		commit (f->s);
		g_autofree char *value = store_setting (f->s, "a");
		assert_string_equal (value, values[i]);
	}
	begin (f->s);
	must (store_set_setting (f->s, "a", NULL, &e) && store_set_setting (f->s, "never there", NULL, &e) && store_set_setting (f->s, "b", big, &e), &e);
	commit (f->s);
	assert_null (store_setting (f->s, "a"));
	g_autofree char *value = store_setting (f->s, "b");
	assert_string_equal (value, big);
}

/* ---- The right to synchronise ---- */

static pid_t
child_with_lock (Fixture *f, int pipes[2])
{
	assert_int_equal (pipe (pipes), 0);
	pid_t pid = fork ();
	if (pid == 0) {
		alarm (60); /* if the test fails before it ends this */
		Store *s = store_open (f->path, 0, NULL);
		char ok = s && store_lock_sync (s, NULL) ? 'y' : 'n';
		if (write (pipes[1], &ok, 1) == 1)
			pause ();
		_exit (1);
	}
	char ok = 'n';
	assert_int_equal (read (pipes[0], &ok, 1), 1);
	assert_int_equal (ok, 'y');
	return pid;
}

static void
one_process_synchronises_and_its_death_releases (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	int pipes[2];
	pid_t pid = child_with_lock (f, pipes);
	g_autofree char *named = g_strdup_printf ("process %d", (int) pid);
	must_fail (store_lock_sync (f->s, &e), &e, ERROR_UNAVAILABLE, named);
	guint64 n;
	must_fail (store_check (f->s, FALSE, TRUE, NULL, NULL, NULL, &n, &e), &e, ERROR_UNAVAILABLE, named);
	assert_int_equal (findings (f->s, FALSE, FALSE, NULL), 0); /* looking is allowed */
	kill (pid, SIGKILL);
	wait_for (pid);
	must (store_lock_sync (f->s, &e) && store_lock_sync (f->s, &e), &e);
	g_autoptr (Store) second = must_open (f->path, 0);
	must_fail (store_lock_sync (second, &e), &e, ERROR_UNAVAILABLE, "another outpost");
	store_close (f->s);
	f->s = must_open (f->path, 0);
	must (store_lock_sync (second, &e), &e);
	close (pipes[0]);
	close (pipes[1]);
}

/* ---- Several processes ---- */

#define WRITERS 4
#define ROUNDS 40

static void
write_and_check (const char *path, int who)
{
	Store *s = store_open (path, 0, NULL);
	for (guint i = 0; s && i < ROUNDS; i++) {
		GError *e = NULL;
		gint64 message, folder = 1 + who % 2;
		g_autofree char *text = g_strdup_printf ("Subject: %d %u\r\n\r\nof writer %d\r\n", who, i, who);
		g_autoptr (Prepared) p = message_of (text, i);
		if (!store_begin (s, &e) || !store_add_message (s, p, folder, &message, &e) ||
		    !store_place (s, folder, message, 0, NULL, FALSE, 0, NULL, &e) || !store_commit (s, &e)) {
			fprintf (stderr, "writer %d: %s\n", who, e->message);
			_exit (1);
		}
	}
	store_close (s);
	_exit (s ? 0 : 1);
}

typedef struct {
	guint n;
	guint32 last;
	gboolean ok;
} Seen;

static gboolean
look (gpointer data, const Placement *p)
{
	Seen *seen = data;
	seen->ok &= p->uid > seen->last;
	seen->last = p->uid;
	seen->n++;
	return TRUE;
}

/* In every snapshot the folder's counts are those of its placements. */
static void
read_and_check (const char *path)
{
	Store *s = store_open (path, STORE_READ_ONLY, NULL);
	guint n = 0, rounds = 0;
	for (; s && n < WRITERS * ROUNDS && rounds < 100000; rounds++) {
		n = 0;
		if (!store_read_begin (s, NULL))
			_exit (2);
		for (gint64 folder = 1; folder <= 2; folder++) {
			Seen seen = {0, 0, TRUE};
			g_autoptr (Folder) f = store_folder (s, folder, NULL);
			if (!f || !store_each_placement (s, folder, 0, look, &seen, NULL) || !seen.ok || seen.n != f->total || f->uidnext != seen.last + 1)
				_exit (3);
			n += seen.n;
		}
		store_read_end (s);
		g_usleep (500);
	}
	store_close (s);
	_exit (n == WRITERS * ROUNDS ? 0 : 4);
}

static void
several_processes_write_and_read_at_once (void **state)
{
	Fixture *f = *state;
	pid_t pids[WRITERS + 2];
	begin (f->s);
	make_folder (f->s, "A");
	make_folder (f->s, "B");
	commit (f->s);
	guint64 modseq = store_modseq (f->s);
	for (int i = 0; i < WRITERS + 2; i++) {
		pids[i] = fork ();
		if (pids[i] == 0) {
			if (i < WRITERS)
				write_and_check (f->path, i);
			read_and_check (f->path);
		}
	}
	for (int i = 0; i < WRITERS + 2; i++)
		assert_int_equal (wait_for (pids[i]), 0);
	assert_int_equal (store_modseq (f->s), modseq + WRITERS * ROUNDS);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM message"), WRITERS * ROUNDS);
	assert_clean (f->s);
}

/* ---- Killed ---- */

static void
write_until_killed (const char *path, int told)
{
	Store *s = store_open (path, 0, NULL);
	g_autofree char *body = g_strnfill (3 << 20, 'b');
	guint32 first = (guint32) getpid () * 1000u;
	for (guint32 i = first;; i++) {
		gint64 message;
		/* small, with many statements, and big in chunks */
		memcpy (body, &i, sizeof i);
		g_autoptr (GBytes) octets = g_bytes_new (body, i % 7 == 0 ? 3 << 20 : 100 + i % 1000);
		g_autoptr (Prepared) p = prepare_bytes (octets, i, 0);
		gboolean ok = store_begin (s, NULL) && store_add_message (s, p, 1, &message, NULL);
		for (int k = 0; k < 20 && ok; k++)
			ok = store_place (s, 1 + k % 2, message, 0, NULL, FALSE, 0, NULL, NULL);
		if (!ok || !store_commit (s, NULL) || write (told, &message, sizeof message) != sizeof message)
			_exit (1);
	}
}

/* What was told as committed is there, whole; what was not is whole or absent. */
static void
killed_at_any_moment_a_transaction_is_whole_or_absent (void **state)
{
	Fixture *f = *state;
	g_autoptr (GRand) rand = g_rand_new_with_seed (4711);
	begin (f->s);
	make_folder (f->s, "A");
	make_folder (f->s, "B");
	commit (f->s);
	for (int round = 0; round < 25; round++) {
		int pipes[2];
		gint64 message, last = 0;
		assert_int_equal (pipe (pipes), 0);
		pid_t pid = fork ();
		if (pid == 0)
			write_until_killed (f->path, pipes[1]);
		close (pipes[1]);
		g_usleep ((gulong) g_rand_int_range (rand, 5000, 60000));
		kill (pid, SIGKILL);
		assert_int_equal (wait_for (pid) & 0x7f, SIGKILL);
		while (read (pipes[0], &message, sizeof message) == sizeof message)
			last = message;
		close (pipes[0]);
		assert_true (number (f->s, "SELECT IFNULL (MAX (id), 0) FROM message") >= last);
		assert_int_equal (number (f->s, "SELECT COUNT (*) FROM placement"), 20 * number (f->s, "SELECT COUNT (*) FROM message"));
		assert_int_equal (findings (f->s, FALSE, FALSE, NULL), 0);
	}
	assert_clean (f->s);
}

static gboolean
is_told (const StoreWatch *w)
{
	struct pollfd p = {store_watch_fd (w), POLLIN, 0};
	return poll (&p, 1, 0) == 1;
}

/* All that was told is of @number; FALSE: the file is gone. */
static gboolean
take (StoreWatch *w, int number)
{
	int told;
	gboolean there, all = TRUE;
	while (store_watch_next (w, &told, &there)) {
		assert_int_equal (told, number);
		all &= there;
	}
	return all;
}

static void
a_watcher_is_told_when_a_change_can_be_read (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autoptr (StoreWatch) watch = store_watch_new (&e);
	must (watch != NULL, &e);
	int number = store_watch_add (watch, f->path, &e);
	must (number > 0, &e);
	assert_int_equal (store_watch_add (watch, f->path, &e), number);
	Store *other = must_open (f->path, 0);
	begin (f->s);
	make_folder (f->s, "A");
	assert_false (is_told (watch));
	commit (f->s);
	assert_true (is_told (watch));
	assert_int_equal (store_modseq (other), store_modseq (f->s));
	assert_true (take (watch, number));
	assert_false (is_told (watch));
	/* nothing of the sequence: nobody is told */
	begin (f->s);
	must (store_set_setting (f->s, "x", "y", &e), &e);
	commit (f->s);
	begin (f->s);
	make_folder (f->s, "B");
	store_rollback (f->s);
	assert_false (is_told (watch));
	store_close (other);
	/* another process, another file */
	pid_t child = fork ();
	if (child == 0) {
		Store *s = must_open (f->path, 0);
		begin (s);
		make_folder (s, "C");
		commit (s);
		_exit (0);
	}
	int status;
	assert_true (waitpid (child, &status, 0) == child && status == 0);
	assert_true (is_told (watch) && take (watch, number));
	g_autofree char *away = g_strconcat (f->path, ".away", NULL);
	assert_int_equal (rename (f->path, away), 0);
	assert_true (is_told (watch));
	assert_false (take (watch, number));
	assert_int_equal (rename (away, f->path), 0);
	assert_false (take (watch, number));
	assert_int_equal (store_watch_add (watch, "/nowhere/at/all", &e), -1);
	must_fail (FALSE, &e, ERROR_NOT_FOUND, "watching");
	/* two of them are told apart; what is no longer watched is not told of */
	g_autofree char *second = g_strconcat (f->path, ".second", NULL);
	Store *s = must_open (second, STORE_CREATE);
	int of_second = store_watch_add (watch, second, &e);
	must (of_second > 0 && of_second != number, &e);
	begin (s);
	make_folder (s, "A");
	commit (s);
	assert_true (is_told (watch) && take (watch, of_second));
	store_watch_remove (watch, of_second);
	assert_false (take (watch, of_second));
	begin (s);
	make_folder (s, "B");
	commit (s);
	store_close (s);
	assert_false (is_told (watch));
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE (a_new_store_has_an_identity_for_ever_and_is_private),
		WITH_STORE (what_is_no_store_is_refused_and_not_touched),
		WITH_STORE (an_older_version_becomes_what_a_new_store_is),
		WITH_STORE (the_index_of_version_2_is_built_anew),
		WITH_STORE (the_holds_of_version_3_stay),
		WITH_STORE (processes_may_migrate_at_the_same_time),
		WITH_STORE (processes_may_create_at_the_same_time),
		WITH_STORE (read_only_reads_what_others_write_and_writes_nothing),
		WITH_STORE (a_snapshot_stays_while_others_write),
		WITH_STORE (what_is_rolled_back_never_was),
		WITH_STORE (closing_rolls_back),
		WITH_STORE (the_counter_rises_with_every_change_and_never_goes_back),
		WITH_STORE (an_unchanged_flag_takes_no_number),
		WITH_STORE (settings_are_kept_replaced_and_unset),
		WITH_STORE (one_process_synchronises_and_its_death_releases),
		WITH_STORE (several_processes_write_and_read_at_once),
		WITH_STORE (a_watcher_is_told_when_a_change_can_be_read),
		WITH_STORE (killed_at_any_moment_a_transaction_is_whole_or_absent),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
