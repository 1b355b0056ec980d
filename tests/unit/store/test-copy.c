/* SPDX-License-Identifier: Apache-2.0 */
/* A home that is copied while it is used. */
#include "store-backup.h"
#include "store-copy.h"
#include "store-fixture.h"
#include <glib/gstdio.h>

typedef struct {
	Fixture f;
	char *to;
	GRand *random;
	guint messages;
} Move;

static int
set_up (void **state)
{
	Move *m = g_new0 (Move, 1);
	m->f.dir = g_dir_make_tmp ("test-copy-XXXXXX", NULL);
	m->f.path = g_build_filename (m->f.dir, "from", NULL);
	m->to = g_build_filename (m->f.dir, "to", NULL);
	m->f.s = must_open (m->f.path, STORE_CREATE | STORE_HOME);
	m->random = g_rand_new_with_seed (20260301);
	*state = m;
	return 0;
}

static int
tear_down (void **state)
{
	Move *m = *state;
	store_close (m->f.s);
	for (const char *const *end = (const char *const[]){"from", "from-wal", "from-shm", "to", "to-wal", "to-shm", "to.part", "to.new", "home", "home-wal", "home-shm", NULL}; *end; end++) {
		g_autofree char *path = g_build_filename (m->f.dir, *end, NULL);
		g_unlink (path);
	}
	g_rmdir (m->f.dir);
	g_free (m->f.dir);
	g_free (m->f.path);
	g_free (m->to);
	g_rand_free (m->random);
	g_free (m);
	return 0;
}

/* ---- What users do meanwhile ---- */

static gint64
any (Move *m, const char *table)
{
	g_autofree char *text = g_strdup_printf ("SELECT IFNULL ((SELECT id FROM %s ORDER BY id LIMIT 1 OFFSET ABS (%d) %% MAX (1, (SELECT COUNT (*) FROM %s))), 0)", table,
	                                         g_rand_int_range (m->random, 0, 1 << 20), table);
	return number (m->f.s, text);
}

static void
put_big (Move *m, gint64 folder)
{
	GError *e = NULL;
	gint64 message;
	g_autofree char *body = g_strnfill (2500000, (char) g_rand_int_range (m->random, 'a', 'z')), *text = g_strconcat ("Subject: big\r\n\r\n", body, NULL);
	message = add_text (m->f.s, folder, text, 1700000000);
	must (store_place (m->f.s, folder, message, 0, NULL, FALSE, 0, NULL, &e), &e);
}

static void
swap_names (Move *m, gint64 one, gint64 two)
{
	GError *e = NULL;
	g_autoptr (Folder) a = store_folder (m->f.s, one, &e), b = store_folder (m->f.s, two, &e);
	must (a && b && store_folder_rename (m->f.s, one, a->parent, "between", &e) && store_folder_rename (m->f.s, two, a->parent, a->name, &e) &&
	      store_folder_rename (m->f.s, one, b->parent, b->name, &e), &e);
}

static void
act (Move *m)
{
	Store *s = m->f.s;
	GError *e = NULL;
	guint64 swept;
	int what = g_rand_int_range (m->random, 0, 12);
	gint64 placement = any (m, "placement"), folder = any (m, "folder"), other = any (m, "folder");
	begin (s);
	if (what < 4 || !placement || !folder) {
		folder = folder ? folder : make_folder (s, "INBOX");
		put (s, folder, g_rand_boolean (m->random) ? ++m->messages : (guint) g_rand_int_range (m->random, 0, 5)); /* some are the same as others */
	} else if (what < 6)
		must (store_set_flags (s, placement, (guint) g_rand_int_range (m->random, 0, 32), g_rand_boolean (m->random) ? "foo" : NULL, &e), &e);
	else if (what < 8)
		must (store_remove (s, placement, "here", &e), &e);
	else if (what == 8)
		must (store_move (s, placement, folder, NULL, &e), &e);
	else if (what == 9) {
		g_autofree char *name = g_strdup_printf ("F%d", g_rand_int_range (m->random, 0, 6));
		if (!store_folder_child (s, 0, name))
			make_folder (s, name);
	} else if (what == 10 && folder != other)
		swap_names (m, folder, other);
	else if (what == 10)
		put_big (m, folder);
	else if (g_rand_int_range (m->random, 0, 3) == 0)
		must (store_folder_delete (s, folder, "here", &e), &e);
	else
		must (store_sweep (s, G_MAXINT64, &swept, &e) && store_set_setting (s, "comment", g_rand_boolean (m->random) ? "x" : NULL, &e), &e);
	commit (s);
}

static void
act_often (Move *m, guint n)
{
	for (guint i = 0; i < n; i++)
		act (m);
}

/* ---- What is then there ---- */

static gboolean
add_row (gpointer text, const Listing *l)
{
	char id[ID_TEXT_SIZE];
	id128_text (&l->message.object_id, id);
	g_string_append_printf (text, " %u/%u/%s/%" G_GUINT64_FORMAT "/%s/%" G_GINT64_FORMAT, l->placement.uid, l->placement.flags,
	                        l->placement.keywords ? l->placement.keywords : "", l->placement.modseq, id, l->message.thread);
	return TRUE;
}

/* All that a client sees, as text. */
static char *
appearance (Store *s)
{
	GError *e = NULL;
	g_autoptr (GPtrArray) folders = store_folders (s, &e);
	GString *text = g_string_new (NULL);
	must (folders != NULL, &e);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		g_string_append_printf (text, "\n%s %u %u %u %u %" G_GUINT64_FORMAT, f->path, f->uidvalidity, f->uidnext, f->total, f->unread, f->changed_modseq);
		must (store_list_range (s, f->id, 1, G_MAXUINT32, LISTING_MESSAGE, add_row, text, &e), &e);
	}
	return g_string_free (text, FALSE);
}

static void
is_the_same (Move *m, const char *path)
{
	Store *copy = must_open (path, 0);
	g_autofree char *here = appearance (m->f.s), *there = appearance (copy);
	assert_string_equal (here, there);
	Id128 a = store_mailbox_id (m->f.s), b = store_mailbox_id (copy);
	assert_memory_equal (a.bytes, b.bytes, ID_SIZE);
	assert_clean (copy); /* each content read, too */
	store_close (copy);
}

static void
sums_are_equal (StoreCopy *c)
{
	GError *e = NULL;
	guint64 from, to;
	must (store_copy_sums (c, &from, &to, &e), &e);
	assert_true (from == to);
}

/* ---- Tests ---- */

static void
a_copy_follows_a_store_that_is_used (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	guint64 rows;
	act_often (m, 300);
	g_autoptr (StoreCopy) c = store_copy_new (m->f.path, m->to, &e);
	must (c && store_copy_bulk (c, 0, NULL, NULL, NULL, &e), &e);
	for (guint i = 0; i < 40; i++) {
		act_often (m, (guint) g_rand_int_range (m->random, 1, 30));
		must (store_copy_catch_up (c, &rows, &e), &e);
		sums_are_equal (c);
		is_the_same (m, m->to);
	}
	must (store_copy_catch_up (c, &rows, &e), &e);
	assert_true (rows < 100); /* nothing but what is written each time */
}

static void
nobody_writes_within_the_fence_and_nobody_behind_it (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	guint64 rows;
	act_often (m, 50);
	g_autoptr (StoreCopy) c = store_copy_new (m->f.path, m->to, &e);
	must (c && store_copy_bulk (c, 0, NULL, NULL, NULL, &e), &e);
	act_often (m, 50);
	must (store_copy_fence (c, &e), &e);
	sqlite3_busy_timeout (db_handle (store_db (m->f.s)), 50);
	must_fail (store_begin (m->f.s, &e), &e, ERROR_TEMPORARY, NULL);
	g_autofree char *read = appearance (m->f.s); /* that goes on */
	must (store_copy_catch_up (c, &rows, &e), &e);
	sums_are_equal (c);
	store_copy_lift (c);
	act (m); /* as if nothing had been */
	must (store_copy_fence (c, &e) && store_copy_catch_up (c, &rows, &e), &e);
	sums_are_equal (c);
	must (store_copy_seal (c, &e), &e);
	must_fail (store_begin (m->f.s, &e), &e, ERROR_UNAVAILABLE, "at home elsewhere");
	is_the_same (m, m->to);
	gboolean sealed;
	must (store_is_sealed (m->f.path, &sealed, &e), &e);
	assert_true (sealed);
	must (store_is_sealed (m->to, &sealed, &e), &e);
	assert_false (sealed);
	Store *there = must_open (m->to, 0); /* the new home takes changes, and numbers go on */
	begin (there);
	put (there, make_folder (there, "new"), 7000);
	commit (there);
	assert_clean (there);
	store_close (there);
	must (store_unseal (m->f.path, &e), &e);
	act (m);
}

static void
an_interrupted_copy_is_gone_on_with_and_half_of_one_is_not_taken_for_one (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	guint64 rows;
	act_often (m, 50);
	Cancel *stop = cancel_new ();
	cancel_trigger (stop);
	StoreCopy *c = store_copy_new (m->f.path, m->to, &e);
	must_fail (store_copy_bulk (c, 0, stop, NULL, NULL, &e), &e, ERROR_CANCELLED, NULL);
	cancel_free (stop);
	assert_false (g_file_test (m->to, G_FILE_TEST_EXISTS));
	must (store_copy_bulk (c, 0, NULL, NULL, NULL, &e), &e);
	store_copy_free (c);
	act_often (m, 50);
	c = store_copy_new (m->f.path, m->to, &e);
	must (c && store_copy_bulk (c, 0, NULL, NULL, NULL, &e) && store_copy_catch_up (c, &rows, &e), &e);
	sums_are_equal (c);
	store_copy_free (c);
	is_the_same (m, m->to);
}

static void
what_is_no_home_or_another_mailbox_is_refused (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	g_autofree char *other = g_build_filename (m->f.dir, "to", NULL);
	store_close (must_open (other, STORE_CREATE | STORE_HOME));
	assert_null (store_copy_new (m->f.path, other, &e));
	must_fail (FALSE, &e, ERROR_CONFLICT, "another mailbox");
	sql (m->f.s, "UPDATE meta SET role = 'replica'");
	g_unlink (other);
	assert_null (store_copy_new (m->f.path, other, &e));
	must_fail (FALSE, &e, ERROR_CONFLICT, "not a mailbox's home");
}

/* Whatever a client could see of it. */
static void
a_copy_that_differs_in_anything_has_another_sum (void **state)
{
	static const char *const differences[] = {
		"UPDATE placement SET flags = flags + 1 WHERE id = (SELECT MAX (id) FROM placement)", "UPDATE placement SET keywords = 'x' WHERE id = (SELECT MAX (id) FROM placement)",
		"UPDATE placement SET modseq = modseq + 1 WHERE id = (SELECT MAX (id) FROM placement)", "DELETE FROM placement WHERE id = (SELECT MAX (id) FROM placement)",
		"UPDATE folder SET uidvalidity = uidvalidity + 1 WHERE id = 1", "UPDATE folder SET uidnext = uidnext + 1 WHERE id = 1", "UPDATE folder SET subscribed = 0 WHERE id = 1",
		"UPDATE folder SET name = 'other' WHERE id = 1", "UPDATE folder SET changed_modseq = 0 WHERE id = 1", "DELETE FROM removal",
		"UPDATE removal SET hi = hi + 1", "UPDATE message SET received = received + 1 WHERE id = 1", "UPDATE message SET object_id = randomblob (16) WHERE id = 1",
		"UPDATE message SET thread = thread + 1 WHERE id = 2", "UPDATE content SET hash = randomblob (32) WHERE id = 1", "UPDATE meta SET modseq = modseq + 1",
		"UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'placement'", "DELETE FROM removed", "INSERT INTO setting VALUES ('a', 'b')",
		"UPDATE thread_key SET thread = thread + 1",
	};
	Move *m = *state;
	GError *e = NULL;
	begin (m->f.s);
	gint64 inbox = make_folder (m->f.s, "INBOX"), last = 0;
	for (guint i = 0; i < 20; i++)
		last = put (m->f.s, inbox, i);
	commit (m->f.s);
	begin (m->f.s);
	must (store_remove (m->f.s, last - 1, "here", &e), &e);
	commit (m->f.s);
	g_autoptr (StoreCopy) c = store_copy_new (m->f.path, m->to, &e);
	must (c && store_copy_bulk (c, 0, NULL, NULL, NULL, &e), &e);
	sums_are_equal (c);
	for (guint i = 0; i < G_N_ELEMENTS (differences); i++) {
		guint64 from, to;
		Store *copy = must_open (m->to, 0);
		sql (copy, differences[i]);
		store_close (copy);
		must (store_copy_sums (c, &from, &to, &e), &e);
		if (from == to)
			fail_msg ("nobody noticed: %s", differences[i]);
		store_copy_free (g_steal_pointer (&c)); /* again from the start */
		g_unlink (m->to);
		c = store_copy_new (m->f.path, m->to, &e);
		must (c && store_copy_bulk (c, 0, NULL, NULL, NULL, &e), &e);
	}
}

/* A later version of the schema: nothing of it is left behind because nobody thought of moves. */
static void
a_table_that_is_new_goes_along (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	guint64 rows, from, to;
	act_often (m, 20);
	sql (m->f.s, "CREATE TABLE note (folder INTEGER NOT NULL, name TEXT NOT NULL, value BLOB, PRIMARY KEY (folder, name)) STRICT, WITHOUT ROWID;"
	             "INSERT INTO note VALUES (1, 'a', x'01'), (1, 'b', NULL); ALTER TABLE placement ADD COLUMN extra INTEGER");
	g_autoptr (StoreCopy) c = store_copy_new (m->f.path, m->to, &e);
	must (c && store_copy_bulk (c, 0, NULL, NULL, NULL, &e), &e);
	sums_are_equal (c);
	sql (m->f.s, "UPDATE note SET value = x'02' WHERE name = 'b'; DELETE FROM note WHERE name = 'a'; INSERT INTO note VALUES (2, 'a', NULL)");
	must (store_copy_sums (c, &from, &to, &e), &e);
	assert_true (from != to);
	must (store_copy_catch_up (c, &rows, &e), &e);
	sums_are_equal (c);
	sql (m->f.s, "UPDATE placement SET extra = 7 WHERE id = (SELECT MAX (id) FROM placement)");
	must (store_copy_sums (c, &from, &to, &e), &e);
	assert_true (from != to);
}

/* ---- Backups ---- */

static void
no_log_is_beside (Move *m)
{
	for (const char *const *end = (const char *const[]){"-wal", "-shm", "-journal", ".new", ".part", NULL}; *end; end++) {
		g_autofree char *path = g_strconcat (m->to, *end, NULL);
		assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
	}
}

static void
a_backup_is_brought_level_and_can_be_checked (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	StoreBackup b;
	act_often (m, 300);
	must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
	assert_true (b.whole);
	for (guint i = 0; i < 30; i++) {
		act_often (m, (guint) g_rand_int_range (m->random, 1, 30));
		must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
		assert_false (b.whole);
		assert_true (b.rows > 0);
		no_log_is_beside (m);
		must (store_backup_check (m->to, NULL, &e), &e);
		must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
		assert_true (!b.whole && b.rows == 0);
	}
	g_autofree char *here = appearance (m->f.s);
	Store *copy = must_open (m->to, STORE_READ_ONLY);
	g_autofree char *there = appearance (copy);
	assert_string_equal (here, there);
	store_close (copy);
}

static void
a_backup_that_was_changed_is_found_out_and_made_anew (void **state)
{
	static const char *const changes[] = {"UPDATE placement SET flags = flags + 1 WHERE id = (SELECT MAX (id) FROM placement)", "DROP TABLE backup",
	                                      "UPDATE content SET data = x'00' WHERE id = (SELECT MAX (id) FROM content WHERE data IS NOT NULL)"};
	Move *m = *state;
	GError *e = NULL;
	StoreBackup b;
	act_often (m, 100);
	for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
		must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
		Store *copy = must_open (m->to, 0);
		sql (copy, changes[i]);
		store_close (copy);
		must_fail (store_backup_check (m->to, NULL, &e), &e, ERROR_CORRUPT, NULL);
		StoreRestored r;
		g_autofree char *home = g_build_filename (m->f.dir, "home", NULL);
		must_fail (store_restore (m->to, home, NULL, NULL, &r, &e), &e, ERROR_CORRUPT, NULL);
		assert_false (g_file_test (home, G_FILE_TEST_EXISTS));
		g_unlink (m->to);
	}
	must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
	sql (m->f.s, "UPDATE content SET data = x'00' WHERE id = (SELECT MAX (id) FROM content WHERE data IS NOT NULL)"); /* the home is damaged */
	Store *copy = must_open (m->to, 0);
	sql (copy, "UPDATE placement SET flags = flags + 1, modseq = 1 WHERE id = (SELECT MIN (id) FROM placement)");
	store_close (copy);
	must_fail (store_backup (m->f.path, m->to, NULL, &b, &e), &e, ERROR_CORRUPT, "outpost store check --repair");
	assert_true (g_file_test (m->to, G_FILE_TEST_EXISTS));
}

/* What a client with QRESYNC, which knows the later state, is told: of all that it knows, or it is not so any more. */
static void
knows_all (Store *home, guint64 since, gint64 folder, const UidSet *known)
{
	GError *e = NULL;
	g_auto (UidSet) gone = UID_SET_INIT, there = UID_SET_INIT, left = UID_SET_INIT;
	must (store_removed_uids (home, folder, since, &gone, &e) && store_uids (home, folder, &there, &e), &e);
	uid_set_copy (&left, known);
	uid_set_remove_set (&left, &gone);
	uid_set_remove_set (&left, &there);
	assert_true (uid_set_is_empty (&left));
	g_autofree char *text = g_strdup_printf ("SELECT COUNT (*) FROM placement WHERE modseq <= %" G_GUINT64_FORMAT, since);
	assert_int_equal (number (home, text), 0);
}

static void
numbers_jump_ahead_of_all_that_was_given_out (void **state)
{
	for (guint with_present = 0; with_present < 2; with_present++) {
		Move *m = *state;
		GError *e = NULL;
		StoreBackup b;
		StoreRestored r;
		g_autofree char *home = g_build_filename (m->f.dir, "home", NULL);
		act_often (m, 300);
		begin (m->f.s);
		g_autofree char *name = g_strdup_printf ("kept %u", with_present);
		gint64 folder = make_folder (m->f.s, name), first = put (m->f.s, folder, 8000);
		commit (m->f.s);
		must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
		begin (m->f.s);
		put (m->f.s, folder, 8001);
		must (store_remove (m->f.s, first, "here", &e), &e);
		commit (m->f.s);
		act_often (m, 15);
		must (store_restore (m->to, home, with_present ? m->f.path : NULL, NULL, &r, &e), &e);
		Store *s = must_open (home, 0);
		assert_clean (s);
		g_autoptr (GPtrArray) folders = store_folders (s, &e);
		must (folders != NULL, &e);
		assert_true (store_modseq (s) > store_modseq (m->f.s));
		assert_true (number (s, "SELECT seq FROM sqlite_sequence WHERE name = 'message'") > number (m->f.s, "SELECT seq FROM sqlite_sequence WHERE name = 'message'"));
		guint back = 0;
		for (guint i = 0; i < folders->len; i++) {
			const Folder *f = folders->pdata[i];
			g_autoptr (Folder) later = store_folder (m->f.s, f->id, NULL);
			if (!later)
				continue;
			g_auto (UidSet) known = UID_SET_INIT, there = UID_SET_INIT;
			must (store_uids (m->f.s, f->id, &known, &e) && store_uids (s, f->id, &there, &e), &e);
			assert_true (f->uidnext > later->uidnext && f->uidvalidity == later->uidvalidity);
			knows_all (s, store_modseq (m->f.s), f->id, &known);
			uid_set_remove_set (&there, &known);
			back += (guint) uid_set_count (&there);
			if (with_present && !uid_set_is_empty (&there)) /* who was told that it is gone sees it as a new one */
				assert_true (there.ranges[0].lo > later->uidnext);
		}
		assert_true (!with_present || (back == r.back && r.back > 0 && r.newer > 0));
		begin (s);
		gint64 fresh = make_folder (s, "made later");
		put (s, fresh, 9999);
		commit (s);
		g_autoptr (Folder) f = store_folder (s, fresh, &e);
		assert_true (f->uidvalidity > number (m->f.s, "SELECT CAST (value AS INTEGER) FROM setting WHERE name = 'uidvalidity'"));
		store_close (s);
		/* the next backup of it finds another past, and is made whole */
		must (store_backup (home, m->to, NULL, &b, &e) && store_backup_check (m->to, NULL, &e), &e);
		g_unlink (m->to);
	}
}

/* 4,000 restorations later. */
static void
a_folder_without_uids_to_leave_out_gets_another_uidvalidity (void **state)
{
	Move *m = *state;
	GError *e = NULL;
	StoreBackup b;
	StoreRestored r;
	g_autofree char *home = g_build_filename (m->f.dir, "home", NULL);
	begin (m->f.s);
	gint64 full = make_folder (m->f.s, "full"), other = make_folder (m->f.s, "other"), first = put (m->f.s, full, 1);
	put (m->f.s, full, 2);
	put (m->f.s, other, 3);
	commit (m->f.s);
	sql (m->f.s, "UPDATE folder SET uidnext = 4294000000 WHERE name = 'full'");
	must (store_backup (m->f.path, m->to, NULL, &b, &e), &e);
	begin (m->f.s);
	must (store_remove (m->f.s, first, "here", &e), &e);
	commit (m->f.s);
	must (store_restore (m->to, home, m->f.path, NULL, &r, &e), &e);
	Store *s = must_open (home, 0);
	assert_clean (s);
	g_autoptr (Folder) was = store_folder (m->f.s, full, &e), is = store_folder (s, full, &e), same = store_folder (s, other, &e), same_was = store_folder (m->f.s, other, &e);
	must (was && is && same && same_was, &e);
	assert_true (is->uidvalidity > was->uidvalidity && is->uidnext == was->uidnext && is->total == 2);
	assert_true (same->uidvalidity == same_was->uidvalidity && same->uidnext > same_was->uidnext);
	store_close (s);
}

#define MOVED(f) cmocka_unit_test_setup_teardown (f, set_up, tear_down)

int
main (void)
{
	const struct CMUnitTest tests[] = {
		MOVED (a_copy_follows_a_store_that_is_used), MOVED (nobody_writes_within_the_fence_and_nobody_behind_it),
		MOVED (an_interrupted_copy_is_gone_on_with_and_half_of_one_is_not_taken_for_one), MOVED (what_is_no_home_or_another_mailbox_is_refused),
		MOVED (a_copy_that_differs_in_anything_has_another_sum), MOVED (a_table_that_is_new_goes_along), MOVED (a_backup_is_brought_level_and_can_be_checked),
		MOVED (a_backup_that_was_changed_is_found_out_and_made_anew), MOVED (numbers_jump_ahead_of_all_that_was_given_out),
		MOVED (a_folder_without_uids_to_leave_out_gets_another_uidvalidity),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
