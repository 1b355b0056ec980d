/* SPDX-License-Identifier: Apache-2.0 */
/* The home of a mailbox is migrated, replaced, emptied, restored: the offline store follows. Each row is a case of docs/moves.md; before it
 * happens, three flag changes, two removals and a new message are pending here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

#define MESSAGES 199 /* a prime's neighbour no permutation of (i * 7 + 3) % n stumbles over */
#define LOCAL 900    /* the new message's body */
#define OTHER 300    /* bodies that are another person's */

typedef struct {
	const char *name;
	HomeChange change;
	guint added;  /* new mail at home meanwhile */
	guint linked; /* messages that are found again, of MESSAGES */
	gboolean held;
} Row;

static const Row rows[] = {
	{"M1 new UIDVALIDITY, other order", {TRUE, ORDER_SHUFFLED}, 0, MESSAGES, FALSE},
	{"M1 the same with new mail", {TRUE, ORDER_SHUFFLED}, 3, MESSAGES, FALSE},
	{"M1 reversed", {TRUE, ORDER_REVERSED}, 0, MESSAGES, FALSE},
	{"M1 order kept, other UIDs", {TRUE, ORDER_KEPT}, 0, MESSAGES, FALSE},
	{"M1 with some removed", {TRUE, ORDER_SHUFFLED, .keep = MESSAGES - 6}, 0, MESSAGES - 6, TRUE},
	{"M2 the same UIDVALIDITY, other UIDs", {FALSE, ORDER_SHUFFLED}, 0, MESSAGES, FALSE},
	{"M2 the same, all counters equal", {FALSE, ORDER_SHUFFLED, .lower_modseq = TRUE}, 0, MESSAGES, FALSE},
	{"M2 reversed with new mail", {FALSE, ORDER_REVERSED}, 2, MESSAGES, FALSE},
	{"M2 UIDs above the old ones", {FALSE, ORDER_ABOVE}, 0, MESSAGES, FALSE},
	{"M2 the same, all counters begin again", {FALSE, ORDER_ABOVE, .lower_modseq = TRUE}, 0, MESSAGES, FALSE},
	{"M2 the same with new mail", {FALSE, ORDER_ABOVE, .lower_modseq = TRUE}, 3, MESSAGES, FALSE},
	{"M3 new UIDVALIDITY, the same UIDs", {TRUE, ORDER_SAME_UIDS}, 0, MESSAGES, FALSE},
	{"M3 with new mail", {TRUE, ORDER_SAME_UIDS}, 4, MESSAGES, FALSE},
	{"M4 empty, new UIDVALIDITY", {TRUE, .empty = TRUE}, 0, 0, TRUE},
	{"M5 empty, the same UIDVALIDITY", {FALSE, .empty = TRUE}, 0, 0, TRUE},
	{"M6 half migrated so far", {TRUE, ORDER_SHUFFLED, .keep = 50}, 0, 50, TRUE},
	{"M6 the same, flags lost", {TRUE, ORDER_SHUFFLED, .keep = 50, .lose_flags = TRUE}, 0, 50, TRUE},
	{"M9 a header added", {TRUE, ORDER_SHUFFLED, .add_header = TRUE}, 0, MESSAGES, FALSE},
	{"M9 dates lost", {TRUE, ORDER_SHUFFLED, .lose_dates = TRUE}, 0, MESSAGES, FALSE},
	{"M9 flags lost", {TRUE, ORDER_SHUFFLED, .lose_flags = TRUE}, 0, MESSAGES, FALSE},
	{"M9 all of it", {TRUE, ORDER_SHUFFLED, .add_header = TRUE, .lose_dates = TRUE, .lose_flags = TRUE}, 0, MESSAGES, FALSE},
	{"M13 restored from a backup", {FALSE, ORDER_SAME_UIDS, .keep = 150, .lower_modseq = TRUE}, 0, 150, TRUE},
	{"M13 the same, and new mail took the UIDs", {FALSE, ORDER_SAME_UIDS, .keep = 150, .lower_modseq = TRUE}, 60, 150, TRUE},
	{"M13 with numbers that jump ahead", {FALSE, ORDER_SAME_UIDS, .keep = MESSAGES - 5, .jump = TRUE}, 0, MESSAGES - 5, TRUE},
	{"M13 the same with new mail", {FALSE, ORDER_SAME_UIDS, .keep = MESSAGES - 5, .jump = TRUE}, 3, MESSAGES - 5, TRUE},
	{"M13 the same, with nothing lost", {FALSE, ORDER_SAME_UIDS, .jump = TRUE}, 3, MESSAGES, FALSE},
};

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID | ENDPOINT_SEARCH,
	ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS | ENDPOINT_SEARCH,
	0,
};

typedef struct {
	char *path;
	Home *home;
	const char *folder;
	guint flags[MESSAGES]; /* as agreed before */
} World;

static guint
flags_of (guint body)
{
	return body % 3 ? FLAG_SEEN : body % 5 ? 0 : FLAG_SEEN | FLAG_FLAGGED;
}

static gboolean
run_once (World *w, SyncResult *r, GError **error)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	return home_sync (w->home, w->path, &o, r, error);
}

static SyncResult
run (World *w)
{
	SyncResult r;
	g_autoptr (GError) error = NULL;
	if (!run_once (w, &r, &error))
		fail_msg ("run failed: %s", error->message);
	return r;
}

static guint
body_of (Store *s, gint64 message)
{
	g_autoptr (Message) m = store_message (s, message, NULL);
	return (guint) atoi (m->subject + strlen ("number "));
}

typedef struct {
	Store *store;
	guint body;
	gint64 found;
	guint count[1000];
	guint flags[1000];
} Scan;

static gboolean
scan_one (gpointer data, const Placement *p)
{
	Scan *scan = data;
	guint body = body_of (scan->store, p->message);
	scan->count[body]++;
	scan->flags[body] = p->flags;
	if (body == scan->body)
		scan->found = p->id;
	return TRUE;
}

static void
scan_here (World *w, Store *s, Scan *scan)
{
	g_autoptr (Folder) f = store_folder_by_path (s, w->folder, NULL);
	assert_non_null (f);
	scan->store = s;
	assert_true (store_each_placement (s, f->id, 0, scan_one, scan, NULL));
}

static gint64
placement_of (World *w, Store *s, guint body)
{
	g_autofree Scan *scan = g_new0 (Scan, 1);
	scan->body = body;
	scan_here (w, s, scan);
	assert_int_not_equal (scan->found, 0);
	return scan->found;
}

/* On both sides of what has arrived of a half migrated mailbox. */
static const guint flagged_bodies[] = {11, 12, 113};

static void
edit_offline (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, w->folder, NULL);
	gint64 message;
	char *text = home_text (LOCAL);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (LOCAL), 0);
	gint64 flagged[G_N_ELEMENTS (flagged_bodies)], removed[2];
	for (guint i = 0; i < G_N_ELEMENTS (flagged); i++)
		flagged[i] = placement_of (w, s, flagged_bodies[i]);
	for (guint i = 0; i < 2; i++)
		removed[i] = placement_of (w, s, 21 + i);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < G_N_ELEMENTS (flagged); i++)
		assert_true (store_set_flags (s, flagged[i], flags_of (flagged_bodies[i]) ^ FLAG_ANSWERED, NULL, NULL));
	for (guint i = 0; i < 2; i++)
		assert_true (store_remove (s, removed[i], "here", NULL));
	assert_true (store_add_message (s, p, f->id, &message, NULL));
	assert_true (store_place (s, f->id, message, FLAG_SEEN, NULL, TRUE, 0, NULL, NULL));
	assert_true (store_commit (s, NULL));
}

static World *
world_new (guint abilities, const char *folder)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, abilities & ENDPOINT_UIDPLUS);
	w->folder = folder;
	home_create (w->home, "Work");
	home_create (w->home, "Work/Deep");
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, home_folder (w->home, folder), i, flags_of (i), NULL);
	run (w);
	edit_offline (w);
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_free (w);
}

/* What was there before, kept for the messages that arrive later. */
static void
replace_home (World *w, const Row *row)
{
	HomeFolder *f = home_folder (w->home, w->folder);
	home_change (w->home, f, &row->change);
	for (guint i = 0; i < row->added; i++)
		home_add (w->home, f, MESSAGES + 1 + i, 0, NULL);
}

static void
count_home (World *w, guint count[1000], guint flags[1000])
{
	HomeFolder *f = home_folder (w->home, w->folder);
	memset (count, 0, 1000 * sizeof *count);
	for (int i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid) {
			count[f->messages[i].body]++;
			flags[f->messages[i].body] = f->messages[i].flags;
		}
}

static guint
expected_flags (guint body)
{
	for (guint i = 0; i < G_N_ELEMENTS (flagged_bodies); i++)
		if (flagged_bodies[i] == body)
			return flags_of (body) ^ FLAG_ANSWERED;
	return flags_of (body);
}

#define CHECK(ok, ...)                                  \
	do {                                            \
		if (!(ok)) {                            \
			print_error (__VA_ARGS__);      \
			print_error (" in %s\n", what); \
			fail ();                        \
		}                                       \
	} while (0)

/* Exactly the pending changes are at home, each on the right message; @there: the first so many have arrived. */
static void
check_home (World *w, const char *what, guint there, guint added)
{
	guint count[1000], flags[1000];
	count_home (w, count, flags);
	for (guint i = 0; i < MESSAGES; i++) {
		guint expected = i < there && i != 21 && i != 22;
		CHECK (count[i] == expected, "body %u is %u times at home", i, count[i]);
		CHECK (!expected || flags[i] == expected_flags (i), "body %u has flags %u at home, not %u", i, flags[i], expected_flags (i));
	}
	for (guint i = 0; i < added; i++)
		CHECK (count[MESSAGES + 1 + i] == 1 && flags[MESSAGES + 1 + i] == 0, "new body %u is damaged at home", i);
	CHECK (count[LOCAL] == 1, "the local message is %u times at home", count[LOCAL]);
}

static void
check_here (World *w, const char *what, guint added)
{
	g_autofree Scan *scan = g_new0 (Scan, 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	scan_here (w, s, scan);
	for (guint i = 0; i < MESSAGES; i++) {
		CHECK (scan->count[i] == (i != 21 && i != 22), "body %u is %u times here", i, scan->count[i]);
		CHECK (!scan->count[i] || scan->flags[i] == expected_flags (i), "body %u has flags %u here", i, scan->flags[i]);
	}
	for (guint i = 0; i < added; i++)
		CHECK (scan->count[MESSAGES + 1 + i] == 1, "new body %u is %u times here", i, scan->count[MESSAGES + 1 + i]);
	CHECK (scan->count[LOCAL] == 1, "the local message is %u times here", scan->count[LOCAL]);
}

/* The rest of the mail arrives at the half-migrated home. */
static void
arrive (World *w, const Row *row, guint there)
{
	for (guint i = there; i < MESSAGES; i++)
		home_add (w->home, home_folder (w->home, w->folder), i, row->change.lose_flags ? 0 : flags_of (i), NULL);
}

static void
finish (World *w, const Row *row, const char *what)
{
	SyncResult r = run (w);
	check_home (w, what, row->change.empty ? 0 : row->linked, row->added);
	check_here (w, what, row->added);
	if (!row->held)
		CHECK (r.held == 0, "held without need");
	guint writes = w->home->writes, fetched = w->home->fetched;
	r = run (w);
	CHECK (w->home->writes == writes && w->home->fetched == fetched, "the next run does something");
	CHECK ((r.held > 0) == row->held, "held is %d", (int) r.held);
	if (!row->held)
		return;
	arrive (w, row, row->change.empty ? 0 : row->linked);
	fetched = w->home->fetched;
	r = run (w);
	r = run (w);
	CHECK (w->home->fetched == fetched, "what arrived was fetched again");
	CHECK (r.held == 0, "still held though all arrived");
	check_home (w, what, MESSAGES, row->added);
	check_here (w, what, row->added);
}

static void
a_changed_home_is_followed (void **state)
{
	static const char *const folders[] = {"INBOX", "Work/Deep"};
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
		for (guint i = 0; i < 2 * G_N_ELEMENTS (rows); i++) {
			const Row *row = &rows[i / 2];
			g_autofree char *what = g_strdup_printf ("%s, %s, abilities %u", row->name, folders[i % 2], kinds[k]);
			World *w = world_new (kinds[k], folders[i % 2]);
			replace_home (w, row);
			guint fetched = w->home->fetched;
			SyncResult r = run (w);
			CHECK (w->home->fetched == fetched + row->added, "%u bodies fetched", w->home->fetched - fetched);
			CHECK ((r.held > 0) == row->held, "held is %d", (int) r.held);
			finish (w, row, what);
			world_free (w);
		}
}

static gboolean
run_and_die (World *w, int step)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	return home_sync_and_die (w->home, w->path, &o, (guint) step);
}

/* OUTPOST_EVERY_STEP=1: at each step of each row; else every third, the rows taking turns. */
static void
a_changed_home_is_followed_though_killed_at_any_step (void **state)
{
	int every = g_getenv ("OUTPOST_EVERY_STEP") ? 1 : 3;
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		gboolean died = TRUE;
		for (int step = 1 + (int) i % 3; died && step < 80; step += every) {
			g_autofree char *what = g_strdup_printf ("%s, killed at step %d", rows[i].name, step);
			World *w = world_new (kinds[i % G_N_ELEMENTS (kinds)], "INBOX");
			replace_home (w, &rows[i]);
			died = run_and_die (w, step);
			run (w);
			finish (w, &rows[i], what);
			world_free (w);
		}
		assert_false (died);
	}
}

static void
another_persons_mailbox_is_refused_and_nothing_is_touched (void **state)
{
	for (int validity = 0; validity < 2; validity++) {
		World *w = world_new (kinds[1], "INBOX");
		HomeChange empty = {validity == 1, .empty = TRUE};
		HomeFolder *f = home_folder (w->home, "INBOX");
		SyncResult r;
		g_autoptr (GError) error = NULL;
		home_change (w->home, f, &empty);
		for (guint i = 0; i < 220; i++)
			home_add (w->home, f, OTHER + i, 0, NULL);
		guint writes = w->home->writes, fetched = w->home->fetched;
		gboolean ok = run_once (w, &r, &error);
		assert_true (!ok || r.held > 0);
		if (validity == 1)
			assert_true (error_is (error, ERROR_CONFLICT));
		/* what was found out is not found out again, as long as that mailbox is as it was */
		for (int again = 0; again < 3; again++) {
			g_autoptr (GError) e = NULL;
			guint looked = w->home->looked, calls = w->home->calls;
			if (again == 2)
				home_add (w->home, f, OTHER + 220, 0, NULL);
			assert_int_equal (run_once (w, &r, &e), ok);
			assert_true (ok ? r.held > 0 : error_is (e, ERROR_CONFLICT));
			assert_int_equal (w->home->looked > looked, again == 2);
			if (again < 2)
				assert_int_equal (w->home->calls, calls + 2); /* open, list */
		}
		assert_int_equal (w->home->writes, writes);
		assert_int_equal (w->home->fetched, fetched);
		check_here (w, "another person's mailbox", 0);
		world_free (w);
	}
}

static void
ten_thousand_equal_evidences_are_no_trouble (void **state)
{
	/* copies of one message, each equal to the octet, some more of them at the new home */
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (kinds[0], TRUE);
	w->folder = "INBOX";
	HomeFolder *f = home_folder (w->home, "INBOX");
	for (int i = 0; i < 300; i++)
		home_add (w->home, f, 7, FLAG_SEEN, NULL);
	run (w);
	HomeChange change = {TRUE, ORDER_SHUFFLED};
	home_change (w->home, f, &change);
	home_add (w->home, f, 7, 0, NULL);
	guint fetched = w->home->fetched;
	SyncResult r = run (w);
	assert_int_equal (r.relinked, 300);
	assert_int_equal (w->home->fetched, fetched + 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) inbox = store_folder_by_path (s, "INBOX", NULL);
	assert_int_equal (inbox->total, 301);
	g_clear_pointer (&s, store_close);
	world_free (w);
}

static World *
world_of_many (guint n)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (kinds[0], TRUE);
	w->folder = "INBOX";
	HomeFolder *f = home_folder (w->home, "INBOX");
	f->uidnext = 4000000000; /* sets of such UIDs are long */
	for (guint i = 0; i < n; i++)
		home_add (w->home, f, i, i % 2 ? FLAG_SEEN : 0, i % 3 ? NULL : "work");
	run (w);
	return w;
}

static void
check_equal_flags (World *w, guint n)
{
	g_autofree Scan *scan = g_new0 (Scan, 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	HomeFolder *f = home_folder (w->home, "INBOX");
	scan_here (w, s, scan);
	for (guint i = 0; i < n; i++)
		if (scan->flags[f->messages[i].body] != f->messages[i].flags)
			fail_msg ("body %u has flags %u here, %u at home", f->messages[i].body, scan->flags[f->messages[i].body], f->messages[i].flags);
}

/* The numbers of long sets are compared range by range. */
static void
flags_changed_during_a_move_are_found (void **state)
{
	static const struct {
		guint set, cleared; /* bodies */
		gboolean at_once;
	} changes[] = {{G_MAXUINT, G_MAXUINT, TRUE}, {10, G_MAXUINT, TRUE}, {G_MAXUINT, 301, TRUE}, {10, 301, TRUE}, {10, 11, FALSE}};
	for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
		World *w = world_of_many (380);
		HomeFolder *f = home_folder (w->home, "INBOX");
		HomeChange change = {TRUE, ORDER_SAME_UIDS};
		home_change (w->home, f, &change);
		if (changes[i].set < 380)
			home_set_flags (w->home, f, &f->messages[changes[i].set], FLAG_SEEN, "");
		if (changes[i].cleared < 380)
			home_set_flags (w->home, f, &f->messages[changes[i].cleared], 0, "work");
		guint writes = w->home->writes, fetched = w->home->fetched;
		SyncResult r = run (w);
		assert_int_equal (r.relinked, 380);
		assert_in_range (w->home->searched, 60, 200);
		if (changes[i].at_once)
			check_equal_flags (w, 380);
		home_add (w->home, f, 380, 0, NULL);
		g_usleep (1100000 * !changes[i].at_once); /* a later run is one that began in another second */
		run (w);
		check_equal_flags (w, 381);
		assert_int_equal (w->home->writes, writes);
		assert_int_equal (w->home->fetched, fetched + 1);
		world_free (w);
	}
}

static void
decide (World *w, HoldDecision decision)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	assert_int_equal (holds->len, 1);
	assert_true (store_begin (s, NULL));
	assert_true (store_settle_hold (s, ((Hold *) holds->pdata[0])->id, decision, 1, NULL));
	assert_true (store_commit (s, NULL));
}

static guint
undo (World *w)
{
	guint done, missing;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) decisions = store_decisions (s, NULL);
	assert_int_equal (decisions->len, 1);
	assert_true (store_begin (s, NULL));
	assert_true (store_undo_decision (s, ((Hold *) decisions->pdata[0])->id, &done, &missing, NULL));
	assert_true (store_commit (s, NULL));
	assert_int_equal (missing, 0);
	return done;
}

static World *
world_of_a_backup (guint abilities, guint left)
{
	World *w = world_new (abilities, "INBOX");
	Row row = {"", {FALSE, ORDER_SAME_UIDS, .keep = left, .lower_modseq = TRUE}, 0, left, TRUE};
	replace_home (w, &row);
	assert_int_equal (run (w).held, 1);
	return w;
}

/* The pending changes of edit_offline arrived whatever was decided; of those that the home lost, all but the lowest @left, so many are on
 * each side. */
static void
check_sides (World *w, const char *what, guint left, guint here, guint there)
{
	guint count[1000], flags[1000];
	g_autofree Scan *scan = g_new0 (Scan, 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	count_home (w, count, flags);
	scan_here (w, s, scan);
	for (guint i = 0; i < MESSAGES; i++) {
		guint kept = i != 21 && i != 22;
		CHECK (count[i] == (i < left ? kept : there), "body %u is %u times at home", i, count[i]);
		CHECK (scan->count[i] == (i < left ? kept : here), "body %u is %u times here", i, scan->count[i]);
		CHECK (!count[i] || flags[i] == expected_flags (i), "body %u has flags %u at home", i, flags[i]);
		CHECK (!scan->count[i] || scan->flags[i] == expected_flags (i), "body %u has flags %u here", i, scan->flags[i]);
	}
	CHECK (count[LOCAL] == 1 && scan->count[LOCAL] == 1, "the local message is %u and %u times there", count[LOCAL], scan->count[LOCAL]);
}

static void
check_no_op (World *w, const char *what, guint held)
{
	guint writes = w->home->writes, fetched = w->home->fetched;
	CHECK (run (w).held == held, "held otherwise than %u", held);
	CHECK (w->home->writes == writes && w->home->fetched == fetched, "a further run does something");
}

/* A decision and its undoing, each with the run that acts on it killed at @step; 0: not. */
static gboolean
decided_and_undone (guint abilities, guint left, HoldDecision decision, int step)
{
	guint keep = decision == HOLD_KEEP;
	gboolean died = FALSE;
	g_autofree char *what = g_strdup_printf ("decision %d, abilities %u, killed at step %d", decision, abilities, step);
	World *w = world_of_a_backup (abilities, left);
	check_sides (w, what, left, 1, 0);
	decide (w, decision);
	died |= step && run_and_die (w, step);
	CHECK (run (w).held == 0, "still held after a decision");
	check_sides (w, what, left, keep, keep);
	run (w);
	check_no_op (w, what, 0);
	assert_int_equal (undo (w), MESSAGES - left);
	died |= step && run_and_die (w, step);
	CHECK (run (w).held == keep, "held is not %u when the decision was undone", keep);
	check_sides (w, what, left, 1, !keep);
	run (w);
	check_no_op (w, what, keep);
	if (keep) { /* and it may be decided again, or end by itself */
		for (guint i = left; i < MESSAGES; i++)
			home_add (w->home, home_folder (w->home, "INBOX"), i, flags_of (i), NULL);
		guint fetched = w->home->fetched;
		CHECK (run (w).held == 0 && w->home->fetched == fetched, "what arrived is not recognised");
		check_sides (w, what, left, 1, 1);
	}
	world_free (w);
	return died;
}

static void
a_decision_about_missing_mail_can_be_undone (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
		for (HoldDecision d = HOLD_APPLY; d <= HOLD_KEEP; d++)
			decided_and_undone (kinds[k], 150, d, 0);
}

/* Removed here, as decided, the mail arrives after all: undoing the decision does not double it. */
static void
what_arrived_after_all_is_not_put_back_once_more (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_of_a_backup (kinds[k], 150);
		decide (w, HOLD_APPLY);
		assert_int_equal (run (w).held, 0);
		for (guint i = 160; i < MESSAGES; i++)
			home_add (w->home, home_folder (w->home, "INBOX"), i, flags_of (i), NULL);
		run (w);
		assert_int_equal (undo (w), MESSAGES - 150);
		for (int again = 0; again < 2; again++)
			assert_int_equal (run (w).held, 0);
		check_sides (w, "mail that arrived after all", 150, 1, 1);
		world_free (w);
	}
}

/* The UIDs of what was sent stand for other messages when it is to be removed again. */
static void
what_is_removed_again_is_looked_at_first (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		HomeChange change = {FALSE, ORDER_SHUFFLED};
		World *w = world_of_a_backup (kinds[k], 150);
		decide (w, HOLD_KEEP);
		run (w);
		run (w);
		assert_int_equal (undo (w), MESSAGES - 150);
		home_change (w->home, home_folder (w->home, "INBOX"), &change);
		for (int again = 0; again < 3; again++)
			assert_int_equal (run (w).held, 1);
		check_sides (w, "a home changed between", 150, 1, 0);
		world_free (w);
	}
}

static void
a_decision_and_its_undoing_survive_a_kill_at_any_step (void **state)
{
	int every = g_getenv ("OUTPOST_EVERY_STEP") ? 1 : 4;
	for (HoldDecision d = HOLD_APPLY; d <= HOLD_KEEP; d++) {
		gboolean died = TRUE;
		for (int step = 1 + (int) d; died && step < 200; step += every)
			died = decided_and_undone (kinds[(guint) step % 2], 195, d, step);
		assert_false (died);
	}
}

/* Other mail in one folder of ours: looked through once, and again only when the home's state is another one. */
static void
other_mail_that_is_held_is_not_looked_through_again (void **state)
{
	World *w = world_new (kinds[1], "INBOX");
	HomeFolder *other = home_create (w->home, "Other");
	HomeChange replaced = {TRUE, .empty = TRUE};
	for (guint i = 0; i < 30; i++)
		home_add (w->home, other, OTHER - 40 + i, 0, NULL);
	run (w);
	home_change (w->home, other, &replaced);
	for (guint i = 0; i < 30; i++)
		home_add (w->home, other, OTHER + i, 0, NULL);
	guint looked[3];
	for (guint i = 0; i < 3; i++) {
		guint before = w->home->looked;
		if (i == 2)
			home_add (w->home, other, OTHER + 30, 0, NULL);
		assert_int_equal (run (w).held, 1);
		looked[i] = w->home->looked - before;
	}
	assert_true (looked[0] > 0 && looked[1] == 0 && looked[2] > 0);
	decide (w, HOLD_KEEP);
	assert_int_equal (run (w).held, 0);
	run (w);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, "Other", NULL);
	assert_int_equal (f->total, 61);
	g_clear_pointer (&s, store_close);
	world_free (w);
}

static void
what_only_is_here_is_sent_or_removed_as_decided (void **state)
{
	for (int keep = 0; keep < 2; keep++) {
		guint count[1000], flags[1000];
		World *w = world_new (kinds[0], "INBOX");
		Row row = {"", {FALSE, ORDER_SAME_UIDS, .keep = 150, .lower_modseq = TRUE}, 0, 150, TRUE};
		replace_home (w, &row);
		assert_true (run (w).held > 0);
		decide (w, keep ? HOLD_KEEP : HOLD_APPLY);
		assert_int_equal (run (w).held, 0);
		run (w);
		count_home (w, count, flags);
		for (guint i = 150; i < MESSAGES; i++)
			assert_int_equal (count[i], keep);
		g_autofree Scan *scan = g_new0 (Scan, 1);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		scan_here (w, s, scan);
		for (guint i = 150; i < MESSAGES; i++)
			assert_int_equal (scan->count[i], keep);
		if (!keep) { /* and can be restored */
			g_autoptr (GPtrArray) removed = store_removed_messages (s, 0, NULL);
			assert_true (removed->len >= MESSAGES - 150);
		}
		g_clear_pointer (&s, store_close);
		world_free (w);
	}
}

static void
folders_renamed_by_the_migration_are_recognised (void **state)
{
	World *w = world_new (kinds[1], "Work/Deep");
	HomeChange change = {TRUE, ORDER_SHUFFLED};
	home_change (w->home, home_folder (w->home, "Work/Deep"), &change);
	home_change (w->home, home_folder (w->home, "Work"), &change);
	home_create (w->home, "INBOX/Work");
	home_rename (w->home, "Work/Deep", "INBOX/Work/Deep");
	home_delete (w->home, "Work");
	guint fetched = w->home->fetched;
	SyncResult r = run (w);
	assert_int_equal (r.held, 0);
	assert_int_equal (w->home->fetched, fetched);
	assert_null (home_folder (w->home, "Work"));
	w->folder = "INBOX/Work/Deep";
	check_home (w, "renamed folder", MESSAGES, 0);
	world_free (w);
}

/* Neither name nor role, number or id is left: what is in them tells. */
static void
folders_of_other_names_are_recognised_by_their_messages (void **state)
{
	static const struct {
		const char *name;
		HomeChange change;
		guint there, added; /* messages of ours at the new home, and new ones */
		guint held;
	} migrations[] = {
		{"other UIDs", {TRUE, ORDER_SHUFFLED}, MESSAGES, 0, 0},
		{"with new mail", {TRUE, ORDER_REVERSED}, MESSAGES, 20, 0},
		{"a third of it so far", {TRUE, ORDER_KEPT, .keep = 70}, 70, 0, 1},
		{"altered headers and dates", {TRUE, ORDER_SHUFFLED, .add_header = TRUE, .lose_dates = TRUE}, MESSAGES, 0, 0},
	};
	for (guint i = 0; i < G_N_ELEMENTS (migrations); i++)
		for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
			const char *what = migrations[i].name;
			World *w = world_new (kinds[k], "Work/Deep");
			home_change (w->home, home_folder (w->home, "Work/Deep"), &migrations[i].change);
			home_rename (w->home, "Work/Deep", "Projekte");
			HomeFolder *f = home_folder (w->home, "Projekte");
			f->id += 1000;
			for (guint n = 0; n < migrations[i].added; n++)
				home_add (w->home, f, MESSAGES + 1 + n, 0, NULL);
			home_add (w->home, home_create (w->home, "Other"), OTHER, 0, NULL);
			guint fetched = w->home->fetched;
			SyncResult r = run (w);
			CHECK (r.held == migrations[i].held, "%u held", (guint) r.held);
			CHECK (w->home->fetched == fetched + migrations[i].added + 1, "%u fetched", w->home->fetched - fetched);
			CHECK (!home_folder (w->home, "Work/Deep"), "the old folder was made again");
			w->folder = "Projekte";
			check_home (w, what, migrations[i].there, migrations[i].added);
			check_here (w, what, migrations[i].added);
			world_free (w);
		}
}

/* Its mail is in a new folder below another one that has its name. */
static void
a_folder_that_moved_below_its_own_name_is_called_as_at_home (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "Work/Deep");
		HomeChange empty = {TRUE, .empty = TRUE};
		HomeFolder *deep = home_create (w->home, "Work/Deep/2020");
		for (guint i = 0; i < MESSAGES; i++)
			home_add (w->home, deep, i, flags_of (i), NULL);
		HomeFolder *top = home_folder (w->home, "Work/Deep");
		home_change (w->home, top, &empty);
		top->id += 1000;
		guint fetched = w->home->fetched;
		run (w);
		assert_int_equal (run (w).held, 0);
		assert_int_equal (w->home->fetched, fetched);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (Folder) above = store_folder_by_path (s, "Work/Deep", NULL);
		g_autoptr (Folder) below = store_folder_by_path (s, "Work/Deep/2020", NULL);
		assert_true (above && below && above->total + below->total == MESSAGES - 1);
		g_clear_pointer (&s, store_close);
		world_free (w);
	}
}

/* Its mail is in a folder of another name; the one below it is where it was. */
static void
a_folder_that_was_left_behind_is_where_it_is_at_home (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "Work/Deep");
		HomeChange empty = {TRUE, .empty = TRUE};
		HomeFolder *below = home_create (w->home, "Work/Deep/Below");
		for (guint i = 0; i < 9; i++)
			home_add (w->home, below, OTHER + i, 0, NULL);
		run (w);
		HomeFolder *moved = home_create (w->home, "Projekte"), *top = home_folder (w->home, "Work/Deep");
		for (guint i = 0; i < MESSAGES; i++)
			if (i != 21 && i != 22)
				home_add (w->home, moved, i, expected_flags (i), NULL);
		home_add (w->home, moved, LOCAL, FLAG_SEEN, NULL);
		home_change (w->home, top, &empty);
		top->id += 1000;
		guint fetched = w->home->fetched;
		run (w);
		assert_int_equal (run (w).held, 0);
		assert_int_equal (w->home->fetched, fetched);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (Folder) here = store_folder_by_path (s, "Work/Deep/Below", NULL);
		g_autoptr (Folder) other = store_folder_by_path (s, "Projekte", NULL);
		assert_true (here && here->total == 9 && other && other->total == MESSAGES - 1);
		assert_null (home_folder (w->home, "Projekte/Below"));
		g_clear_pointer (&s, store_close);
		world_free (w);
	}
}

/* At a home with ids. */
static void
folders_that_exchange_their_names_keep_what_they_are (void **state)
{
	static const char *const folders[] = {"A", "B", "A/Deep"};
	World *w = world_new (kinds[0], "INBOX");
	for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
		home_create (w->home, folders[i]);
	run (w);
	gint64 before[G_N_ELEMENTS (folders)];
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
		g_autoptr (Folder) f = store_folder_by_path (s, folders[i], NULL);
		before[i] = f->id;
	}
	home_rename (w->home, "A", "T");
	home_rename (w->home, "B", "A");
	home_rename (w->home, "T", "B");
	for (guint i = 0; i < 2; i++)
		run (w);
	static const char *const now[] = {"B", "A", "B/Deep"};
	for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
		g_autoptr (Folder) f = store_folder (s, before[i], NULL);
		assert_string_equal (f->path, now[i]);
	}
	g_clear_pointer (&s, store_close);
	world_free (w);
}

/* Two that could be it: asked, and nothing is removed or made. */
static void
a_folder_that_may_be_either_of_two_is_not_guessed (void **state)
{
	const char *what = "two copies";
	World *w = world_new (kinds[1], "Work/Deep");
	home_delete (w->home, "Work/Deep");
	for (guint n = 0; n < 2; n++) {
		HomeFolder *f = home_create (w->home, n ? "One" : "Two");
		for (guint i = 0; i < MESSAGES; i++)
			home_add (w->home, f, i, flags_of (i), NULL);
	}
	guint writes = w->home->writes;
	SyncResult r = run (w);
	CHECK (r.held == 1 && w->home->writes == writes, "%u held, %u writes", (guint) r.held, w->home->writes - writes);
	check_here (w, what, 0);
	world_free (w);
}

/* A folder is gone, and a new one has its UIDVALIDITY by chance. */
static void
a_rehearsal_does_not_take_equal_numbers_for_a_renamed_folder (void **state)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	World *w = world_new (kinds[1], "Work/Deep");
	guint32 validity = home_folder (w->home, "Work/Deep")->uidvalidity;
	home_delete (w->home, "Work/Deep");
	HomeFolder *f = home_create (w->home, "Other");
	f->uidvalidity = validity;
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, f, OTHER + i, 0, NULL);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Endpoint) e = home_endpoint (w->home);
	g_autoptr (GPtrArray) list = NULL;
	guint writes = w->home->writes;
	gboolean other;
	assert_true (sync_preview (s, e, &o, NULL, &list, &other, NULL));
	assert_false (other);
	assert_int_equal (w->home->writes, writes);
	guint seen = 0;
	for (guint i = 0; i < list->len; i++) {
		const SyncPreview *p = list->pdata[i];
		if (g_strcmp0 (p->folder, "Work/Deep") == 0) {
			assert_null (p->home);
			assert_int_equal (p->linked, 0);
			seen++;
		} else if (g_strcmp0 (p->home, "Other") == 0) {
			assert_null (p->folder);
			assert_int_equal (p->only_there, MESSAGES);
			seen++;
		}
	}
	assert_int_equal (seen, 2);
	g_clear_pointer (&s, store_close);
	world_free (w);
}

/* Each time the first of it is missing: what is awaited since one change had the same number as what is since the next. */
static void
a_home_that_is_numbered_anew_again_and_again_is_followed (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "INBOX");
		HomeFolder *inbox = home_folder (w->home, "INBOX");
		for (guint missing = 1; missing < 6; missing++) {
			home_remove (w->home, inbox, &inbox->messages[0]);
			home_change (w->home, inbox, &(HomeChange){.new_validity = TRUE, .order = ORDER_KEPT});
			SyncResult r = run (w);
			assert_int_equal (r.held, 1);
			assert_true (r.relinked > 0);
		}
		for (guint i = 0; i < 5; i++)
			home_add (w->home, inbox, i, flags_of (i), NULL);
		run (w);
		check_no_op (w, "numbered anew again and again", 0);
		assert_int_equal (w->home->fetched, MESSAGES);
		world_free (w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (a_changed_home_is_followed),
		cmocka_unit_test (a_changed_home_is_followed_though_killed_at_any_step),
		cmocka_unit_test (another_persons_mailbox_is_refused_and_nothing_is_touched),
		cmocka_unit_test (ten_thousand_equal_evidences_are_no_trouble),
		cmocka_unit_test (flags_changed_during_a_move_are_found),
		cmocka_unit_test (a_decision_about_missing_mail_can_be_undone),
		cmocka_unit_test (what_arrived_after_all_is_not_put_back_once_more),
		cmocka_unit_test (a_home_that_is_numbered_anew_again_and_again_is_followed),
		cmocka_unit_test (what_is_removed_again_is_looked_at_first),
		cmocka_unit_test (a_decision_and_its_undoing_survive_a_kill_at_any_step),
		cmocka_unit_test (other_mail_that_is_held_is_not_looked_through_again),
		cmocka_unit_test (what_only_is_here_is_sent_or_removed_as_decided),
		cmocka_unit_test (a_rehearsal_does_not_take_equal_numbers_for_a_renamed_folder),
		cmocka_unit_test (folders_renamed_by_the_migration_are_recognised),
		cmocka_unit_test (folders_of_other_names_are_recognised_by_their_messages),
		cmocka_unit_test (a_folder_that_moved_below_its_own_name_is_called_as_at_home),
		cmocka_unit_test (a_folder_that_was_left_behind_is_where_it_is_at_home),
		cmocka_unit_test (folders_that_exchange_their_names_keep_what_they_are),
		cmocka_unit_test (a_folder_that_may_be_either_of_two_is_not_guessed),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
