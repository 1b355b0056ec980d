/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th opening, reading, writing, synchronising or allocation fails, for n = 1, 2, 3 ...: each time there is a clear error, and after
 * it the store opens, is sound, and every transaction is whole or absent. */
#include "store-fixture.h"
#include "fault-vfs.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
	char *dir, *path, *template; /* template: the octets to start with */
	gsize template_size;
} Place;

/* What the scenario had told as done when it ended. */
typedef struct {
	guint committed;
	gboolean opened;
} Progress;

/* TRUE: done to its end. An error ends it. */
typedef gboolean (*Scenario) (const char *path, Progress *p, GError **error);

static void
clear (Place *p)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
	for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++) {
		g_autofree char *name = g_strconcat (p->path, suffixes[i], NULL);
		unlink (name);
	}
}

static void
restore (Place *p)
{
	clear (p);
	if (p->template)
		assert_true (g_file_set_contents (p->path, p->template, (gssize) p->template_size, NULL));
}

static Place *
place_new (void)
{
	Place *p = g_new0 (Place, 1);
	p->dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	p->path = g_build_filename (p->dir, "a.store", NULL);
	return p;
}

static void
place_free (Place *p)
{
	clear (p);
	rmdir (p->dir);
	g_free (p->dir);
	g_free (p->path);
	g_free (p->template);
	g_free (p);
}

static void
keep_template (Place *p)
{
	assert_true (g_file_get_contents (p->path, &p->template, &p->template_size, NULL));
}

/* ---- Scenarios ---- */

static gboolean
place_text (Store *s, gint64 folder, const char *text, gboolean pending, gint64 *placement_out, GError **error)
{
	gint64 message;
	g_autoptr (Prepared) p = message_of (text, 1700000000);
	return store_add_message (s, p, folder, &message, error) &&
	       store_place (s, folder, message, FLAG_FLAGGED, "blue", pending, 0, placement_out, error);
}

static gboolean
done (Progress *p, gboolean ok)
{
	p->committed += ok;
	return ok;
}

/* Three transactions on a store that has the folders A and B and two messages; each adds one to the setting "count". */
static gboolean
write_and_read (Store *s, Progress *p, GError **error)
{
	gint64 one, two;
	g_autofree char *big = g_strnfill ((1 << 20) + 177, 'x');
	memcpy (big, "Subject: big\r\n\r\n", 16);
	if (!(store_begin (s, error) && place_text (s, 1, "Subject: one\r\n\r\n", TRUE, &one, error) && place_text (s, 1, big, TRUE, NULL, error) &&
	      store_set_setting (s, "count", "1", error) && done (p, store_commit (s, error))))
		return FALSE;
	if (!(store_begin (s, error) && store_move (s, one, 2, &two, error) && store_set_flags (s, two, FLAG_SEEN, "red", error) &&
	      store_remove (s, 1, "here", error) && store_folder_create_path (s, "New/Below", NULL, error) &&
	      store_set_setting (s, "count", "2", error) && done (p, store_commit (s, error))))
		return FALSE;
	g_autoptr (GPtrArray) folders = store_folders (s, error);
	g_autoptr (GBytes) octets = folders ? store_read (s, 4, 1 << 20, 100, error) : NULL;
	g_autoptr (Message) m = octets ? store_message (s, 3, error) : NULL;
	g_autoptr (GPtrArray) pendings = m ? store_pendings (s, 0, error) : NULL;
	g_autoptr (GPtrArray) bindings = pendings ? store_folder_bindings (s, error) : NULL;
	g_autoptr (GPtrArray) removed = bindings ? store_removed_messages (s, 0, error) : NULL;
	StoreStatistics st;
	if (!removed || !store_statistics (s, &st, error))
		return FALSE;
	assert_int_equal (g_bytes_get_size (octets), 100);
	return store_begin (s, error) && store_sweep (s, G_MAXINT64, NULL, error) && store_set_setting (s, "count", "3", error) &&
	       done (p, store_commit (s, error));
}

static gboolean
use (const char *path, Progress *p, GError **error)
{
	g_autoptr (Store) s = store_open (path, 0, error);
	p->opened = s != NULL;
	gboolean ok = s && write_and_read (s, p, error);
	if (s)
		store_rollback (s);
	return ok;
}

static gboolean
create (const char *path, Progress *p, GError **error)
{
	g_autoptr (Store) s = store_open (path, STORE_CREATE, error);
	p->opened = s != NULL;
	gboolean ok = s && store_begin (s, error) && store_set_setting (s, "count", "1", error) && done (p, store_commit (s, error));
	if (s)
		store_rollback (s);
	return ok;
}

static gboolean
compact (const char *path, Progress *p, GError **error)
{
	guint64 before, after;
	g_autoptr (Store) s = store_open (path, 0, error);
	return s && store_compact (s, &before, &after, error);
}

static gboolean
repair (const char *path, Progress *p, GError **error)
{
	guint64 n;
	g_autoptr (Store) s = store_open (path, 0, error);
	return s && store_check (s, TRUE, TRUE, NULL, NULL, NULL, &n, error);
}

/* ---- Runs ---- */

static void
plant (Place *p)
{
	GError *e = NULL;
	Store *s = must_open (p->path, STORE_CREATE);
	begin (s);
	gint64 a = make_folder (s, "A");
	make_folder (s, "B");
	put_bound (s, a, 1, 1);
	put_bound (s, a, 2, 2);
	must (store_set_setting (s, "count", "0", &e), &e);
	commit (s);
	store_close (s);
	keep_template (p);
}

static void
check_error (const GError *e, guint kinds, int err, guint n)
{
	assert_non_null (e);
	gboolean space = err == ENOSPC && (kinds & (FAULT_WRITE | FAULT_SHARED));
	gboolean fits = kinds == FAULT_MEMORY || !space ? e->code == ERROR_IO || e->code == ERROR_NO_SPACE || e->code == ERROR_CORRUPT
	                                                : e->code == ERROR_NO_SPACE;
	if (!fits || !*e->message || e->domain != OUTPOST_ERROR)
		fail_msg ("kinds %u, error %d, n %u: %d %s", kinds, err, n, e->code, e->message);
}

/* Whole or absent: at least what was told as committed, at most one more. */
static void
check_after (Place *p, const Progress *progress, StoreOpen flags, guint n)
{
	Store *s = must_open (p->path, flags);
	g_autofree char *count = store_setting (s, "count");
	guint is = count ? (guint) atoi (count) : 0;
	if (is < progress->committed || is > progress->committed + 1)
		fail_msg ("n %u: %u transactions of %u", n, is, progress->committed);
	if (flags == 0 && is > 0)
		assert_int_equal (number (s, "SELECT COUNT (*) FROM content WHERE size = 1048753"), 1);
	if (flags == 0)
		assert_int_equal (number (s, "SELECT COUNT (*) FROM folder WHERE name IN ('New', 'Below')"), is >= 2 ? 2 : 0);
	assert_clean (s);
	store_close (s);
}

static guint
run_all (Place *p, Scenario scenario, StoreOpen flags, guint kinds, gboolean for_ever, int err, guint step)
{
	guint n, runs = 0;
	for (n = 1;; n += step) {
		GError *e = NULL;
		Progress progress = {0};
		restore (p);
		fault_at (kinds, n, for_ever, err);
		gboolean ok = scenario (p->path, &progress, &e);
		gboolean happened = fault_happened ();
		fault_at (0, 0, FALSE, 0);
		runs++;
		if (!ok)
			check_error (e, kinds, err, n);
		g_clear_error (&e);
		assert_true (ok || happened);
		check_after (p, &progress, flags, n);
		if (!happened)
			break;
	}
	return runs;
}

static const struct {
	const char *name;
	guint kinds;
	gboolean for_ever;
	int err;
} faults[] = {
	{"one write on a full disk", FAULT_WRITE, FALSE, ENOSPC},       {"a disk that is full from now on", FAULT_WRITE, TRUE, ENOSPC},
	{"one failed write", FAULT_WRITE, FALSE, EIO},                  {"one failed read", FAULT_READ, FALSE, EIO},
	{"nothing can be read any more", FAULT_READ, TRUE, EIO},        {"one failed sync", FAULT_SYNC, FALSE, EIO},
	{"one sync on a full disk", FAULT_SYNC, FALSE, ENOSPC},         {"one file that can't be opened", FAULT_OPEN, FALSE, EIO},
	{"no file can be opened any more", FAULT_OPEN, TRUE, EIO},      {"no room for the log's index", FAULT_SHARED, TRUE, ENOSPC},
	{"a file that can't be deleted", FAULT_DELETE, TRUE, EIO},
};

static void
all_faults (Place *p, Scenario scenario, StoreOpen flags)
{
	for (gsize i = 0; i < G_N_ELEMENTS (faults); i++) {
		guint runs = run_all (p, scenario, flags, faults[i].kinds, faults[i].for_ever, faults[i].err, 1);
		print_message ("%s: %u runs\n", faults[i].name, runs);
	}
}

static void
in_use (void **state)
{
	Place *p = place_new ();
	plant (p);
	all_faults (p, use, 0);
	place_free (p);
}

static void
at_creation (void **state)
{
	Place *p = place_new ();
	all_faults (p, create, STORE_CREATE);
	place_free (p);
}

/* Something to sweep and to give back. */
static void
plant_for_compacting (Place *p)
{
	GError *e = NULL;
	Store *s = must_open (p->path, STORE_CREATE);
	begin (s);
	gint64 a = make_folder (s, "A");
	for (guint i = 0; i < 40; i++) {
		g_autofree char *text = g_strnfill (3000, (char) ('a' + i % 26));
		text[10] = (char) i + '0';
		gint64 message = add_text (s, a, text, i), placement;
		must (store_place (s, a, message, 0, NULL, FALSE, 0, &placement, &e), &e);
		if (i % 2)
			must (store_remove (s, placement, "home", &e), &e);
	}
	must (db_run (store_db (s), "DELETE FROM removed", &e, ""), &e);
	commit (s);
	store_close (s);
	keep_template (p);
}

static void
while_compacting (void **state)
{
	Place *p = place_new ();
	plant_for_compacting (p);
	all_faults (p, compact, STORE_CREATE);
	place_free (p);
}

/* After a failed repair some damage may be left; another repair mends it. */
static void
mend_with_faults (Place *p, guint step)
{
	for (gsize i = 0; i < G_N_ELEMENTS (faults); i++)
		for (guint n = 1; n < 1000; n += step) {
			GError *e = NULL;
			Progress progress = {0};
			restore (p);
			fault_at (faults[i].kinds, n, faults[i].for_ever, faults[i].err);
			gboolean ok = repair (p->path, &progress, &e), happened = fault_happened ();
			fault_at (0, 0, FALSE, 0);
			if (!ok)
				check_error (e, faults[i].kinds, faults[i].err, n);
			g_clear_error (&e);
			if (!repair (p->path, &progress, &e))
				fail_msg ("the second repair: %s", e->message);
			check_after (p, &progress, STORE_CREATE, n);
			if (!happened)
				break;
		}
}

static void
while_mending (void **state)
{
	Place *p = place_new ();
	plant (p);
	Store *s = must_open (p->path, 0);
	sql (s, "UPDATE folder SET total = 9; UPDATE placement SET flags = 64 WHERE id = 1; UPDATE meta SET modseq = 1;"
	        "UPDATE content SET data = x'00' WHERE id = 1");
	store_close (s);
	g_clear_pointer (&p->template, g_free);
	keep_template (p);
	mend_with_faults (p, 1);
	place_free (p);
}

static void
while_the_file_is_written_anew (void **state)
{
	Place *p = place_new ();
	plant (p);
	Store *s = must_open (p->path, 0);
	gint64 page = number (s, "SELECT rootpage FROM sqlite_schema WHERE name = 'placement'");
	store_close (s);
	g_clear_pointer (&p->template, g_free);
	keep_template (p);
	memset (p->template + (page - 1) * 16384, 0xa5, 16384);
	mend_with_faults (p, 5);
	place_free (p);
}

static void
without_memory (void **state)
{
	Place *p = place_new ();
	plant (p);
	guint runs = run_all (p, use, 0, FAULT_MEMORY, FALSE, 0, 7);
	runs += run_all (p, use, 0, FAULT_MEMORY, TRUE, 0, 61);
	print_message ("%u runs\n", runs);
	place_free (p);
}

int
main (void)
{
	fault_install ();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (in_use),           cmocka_unit_test (at_creation),    cmocka_unit_test (while_compacting),
		cmocka_unit_test (while_mending),    cmocka_unit_test (while_the_file_is_written_anew),
		cmocka_unit_test (without_memory),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
