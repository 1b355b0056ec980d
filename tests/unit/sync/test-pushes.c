/* SPDX-License-Identifier: Apache-2.0 */
/* A home that takes messages and does not say which UIDs they got (no UIDPLUS), and is wrong about them besides: nothing is sent twice,
 * nothing is here twice, and soon there is nothing left to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

#define MESSAGES 12
#define MOVED 4   /* of them, from the first */
#define COPIED 3  /* the next */
#define LOCAL 900 /* body of the new message */
#define NO_ID 901 /* of one without Message-ID */

typedef struct {
	const char *name;
	gboolean tells_uids, wrong_sizes, loses_dates, no_headers;
} Row;

static const Row rows[] = {
	{"tells all", TRUE, FALSE, FALSE, FALSE},
	{"tells no UIDs", FALSE, FALSE, FALSE, FALSE},
	{"wrong sizes", FALSE, TRUE, FALSE, FALSE},
	{"loses dates", FALSE, FALSE, TRUE, FALSE},
	{"wrong sizes and loses dates", FALSE, TRUE, TRUE, FALSE},
	{"no header fields", FALSE, FALSE, FALSE, TRUE},
	{"all of it", FALSE, TRUE, TRUE, TRUE},
	{"tells UIDs and is else wrong", TRUE, TRUE, TRUE, TRUE},
};

typedef struct {
	char *path;
	Home *home;
} World;

static SyncResult
run (World *w)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	SyncResult r;
	g_autoptr (GError) error = NULL;
	if (!home_sync (w->home, w->path, &o, &r, &error))
		fail_msg ("run failed: %s", error->message);
	return r;
}

static World *
world_new (guint abilities, const Row *row)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, row->tells_uids);
	w->home->wrong_sizes = row->wrong_sizes;
	w->home->loses_dates = row->loses_dates;
	w->home->no_headers = row->no_headers;
	home_create (w->home, "Work");
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, home_folder (w->home, "INBOX"), i, i % 2 ? FLAG_SEEN : 0, NULL);
	run (w);
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_free (w);
}

typedef struct {
	Store *store;
	GArray *placements; /* Placement, strings not owned */
	guint count[1000], at[1000]; /* by body; index into placements */
} Scan;

static gboolean
scan_one (gpointer data, const Placement *p)
{
	Scan *scan = data;
	g_autoptr (Message) m = store_message (scan->store, p->message, NULL);
	guint body = (guint) atoi (m->subject + strlen ("number "));
	scan->count[body]++;
	scan->at[body] = scan->placements->len;
	g_array_append_vals (scan->placements, p, 1);
	return TRUE;
}

static Scan *
scan_here (Store *s, const char *folder)
{
	Scan *scan = g_new0 (Scan, 1);
	g_autoptr (Folder) f = store_folder_by_path (s, folder, NULL);
	assert_non_null (f);
	scan->store = s;
	scan->placements = g_array_new (FALSE, FALSE, sizeof (Placement));
	assert_true (store_each_placement (s, f->id, 0, scan_one, scan, NULL));
	return scan;
}

static void
scan_free (Scan *scan)
{
	g_array_unref (scan->placements);
	g_free (scan);
}

static void
add_here (Store *s, gint64 folder, guint number, gboolean with_id)
{
	g_autofree char *whole = home_text (number);
	char *text = with_id ? g_strdup (whole) : g_strdup_printf ("From: b@example.org\r\nSubject: number %u\r\n\r\nno id\r\n", number);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (number), 0);
	gint64 message;
	assert_true (store_add_message (s, p, folder, &message, NULL));
	assert_true (store_place (s, folder, message, FLAG_SEEN, NULL, TRUE, 0, NULL, NULL));
}

static void
edit_offline (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) work = store_folder_by_path (s, "Work", NULL);
	Scan *inbox = scan_here (s, "INBOX");
	assert_int_equal (inbox->placements->len, MESSAGES);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < MOVED + COPIED; i++) {
		const Placement *p = &g_array_index (inbox->placements, Placement, inbox->at[i]);
		assert_true (i < MOVED ? store_move (s, p->id, work->id, NULL, NULL)
		                       : store_place (s, work->id, p->message, p->flags, NULL, TRUE, p->id, NULL, NULL));
	}
	add_here (s, work->id, LOCAL, TRUE);
	add_here (s, work->id, NO_ID, FALSE);
	assert_true (store_commit (s, NULL));
	scan_free (inbox);
}

/* How often @body shall be in @folder. */
static guint
expected (const char *folder, guint body)
{
	if (strcmp (folder, "INBOX") == 0)
		return body >= MOVED && body < MESSAGES;
	return body < MOVED + COPIED || body == LOCAL || body == NO_ID;
}

static void
check_folder (World *w, const Row *row, const char *folder)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	HomeFolder *f = home_folder (w->home, folder);
	Scan *scan = scan_here (s, folder);
	guint there[1000] = {0};
	for (int i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid)
			there[f->messages[i].body]++;
	for (guint body = 0; body < 1000; body++)
		if (there[body] != expected (folder, body) || scan->count[body] != expected (folder, body))
			fail_msg ("%s: number %u is in %s %u times at home and %u times here, not %u", row->name, body, folder, there[body],
			          scan->count[body], expected (folder, body));
	scan_free (scan);
}

static void
what_a_home_took_is_never_sent_twice (void **state)
{
	static const guint kinds[] = {0, ENDPOINT_MODSEQ | ENDPOINT_MOVE, ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_OBJECTID};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
			World *w = world_new (kinds[k] | (rows[i].tells_uids ? ENDPOINT_UIDPLUS : 0), &rows[i]);
			edit_offline (w);
			for (int n = 0; n < 3; n++) {
				run (w);
				check_folder (w, &rows[i], "INBOX");
				check_folder (w, &rows[i], "Work");
			}
			guint writes = w->home->writes, fetched = w->home->fetched;
			SyncResult r = run (w);
			if (r.held || w->home->writes != writes || w->home->fetched != fetched)
				fail_msg ("%s, abilities %x: %u held, %u writes, %u fetched in a run with nothing to do", rows[i].name, kinds[k], r.held,
				          w->home->writes - writes, w->home->fetched - fetched);
			world_free (w);
		}
}

static void
a_part_that_is_refused_stays_where_it_is_and_is_tried_again (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		World *w = world_new (rows[i].tells_uids ? ENDPOINT_UIDPLUS : 0, &rows[i]);
		edit_offline (w);
		w->home->refuses = 2;
		run (w);
		w->home->refuses = 0;
		for (int n = 0; n < 2; n++) {
			run (w);
			check_folder (w, &rows[i], "INBOX");
			check_folder (w, &rows[i], "Work");
		}
		world_free (w);
	}
}

static guint
messages_there (const HomeFolder *f, guint flags)
{
	guint n = 0;
	for (int i = 0; i < HOME_MESSAGES; i++)
		n += f->messages[i].uid && (f->messages[i].flags & flags) == flags;
	return n;
}

typedef struct {
	const char *text;
	guint n;
} Told;

static void
count_told (gpointer data, gint64 time, gboolean detail, const char *text)
{
	Told *t = data;
	t->n += strstr (text, t->text) != NULL;
}

static guint
lines_that_tell (World *w, const char *text)
{
	Told told = {text, 0};
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) runs = store_runs (s, 100, NULL);
	for (guint i = 0; i < runs->len; i++)
		assert_true (store_run_lines (s, ((Run *) runs->pdata[i])->id, count_told, &told, NULL));
	return told.n;
}

/* Where a home can only remove all that is marked, what somebody else has marked is not ours to remove. What was moved or removed here stays
 * away, is not asked about however much it is, and goes as soon as it can. */
static void
what_a_home_can_only_mark_does_not_come_back (void **state)
{
	enum { MANY = 60, REMOVED = 8, ALL_MOVED = 44 };
	World *w = world_new (0, &rows[1]);
	HomeFolder *inbox = home_folder (w->home, "INBOX"), *work = home_folder (w->home, "Work");
	for (guint i = MESSAGES; i < MANY; i++)
		home_add (w->home, inbox, i, 0, NULL);
	home_set_flags (w->home, inbox, &inbox->messages[MANY - 1], FLAG_DELETED, NULL);
	run (w);
	Store *s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) to = store_folder_by_path (s, "Work", NULL);
	Scan *here = scan_here (s, "INBOX");
	assert_int_equal (here->placements->len, MANY);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < ALL_MOVED + REMOVED; i++) {
		gint64 id = g_array_index (here->placements, Placement, here->at[i]).id;
		assert_true (i < ALL_MOVED ? store_move (s, id, to->id, NULL, NULL) : store_remove (s, id, "here", NULL));
	}
	assert_true (store_commit (s, NULL));
	scan_free (here);
	store_close (s);
	for (int n = 0; n < 3; n++) {
		SyncResult r = run (w);
		assert_int_equal (r.held + r.failures + r.added_here, 0);
		assert_int_equal (r.moved_home, n == 0 ? ALL_MOVED : 0);
		assert_int_equal (messages_there (inbox, FLAG_DELETED), ALL_MOVED + REMOVED + 1);
		assert_int_equal (messages_there (work, 0), ALL_MOVED);
		assert_int_equal (messages_there (work, FLAG_DELETED), 0);
		s = store_open (w->path, 0, NULL);
		here = scan_here (s, "INBOX");
		assert_int_equal (here->placements->len, MANY - ALL_MOVED - REMOVED);
		scan_free (here);
		store_close (s);
	}
	assert_int_equal (lines_that_tell (w, "only marked as deleted"), 1);
	home_set_flags (w->home, inbox, &inbox->messages[MANY - 1], 0, NULL);
	run (w);
	assert_int_equal (messages_there (inbox, 0), MANY - ALL_MOVED - REMOVED);
	guint writes = w->home->writes;
	SyncResult r = run (w);
	assert_int_equal (r.held + r.removed_here + r.removed_home, 0);
	assert_int_equal (w->home->writes, writes);
	world_free (w);
}

static guint
messages_here (World *w, const char *folder)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, folder, NULL);
	return f ? f->total : 0;
}

/* A message that can't be had stops neither the others nor what goes out. */
static void
a_message_that_is_kept_back_does_not_stop_its_folder (void **state)
{
	World *w = world_new (ENDPOINT_UIDPLUS, &rows[0]);
	HomeFolder *inbox = home_folder (w->home, "INBOX");
	w->home->keeps_back = home_add (w->home, inbox, 50, 0, NULL)->uid;
	home_add (w->home, inbox, 51, 0, NULL);
	edit_offline (w);
	for (int n = 0; n < 2; n++) {
		SyncResult r = run (w);
		assert_int_equal (r.failures, n == 0 ? 2 : 1); /* the look after a push asks for it, too */
		assert_int_equal (r.added_here, n == 0 ? 1 : 0);
		assert_int_equal (r.moved_home, n == 0 ? MOVED : 0);
		assert_int_equal (messages_here (w, "Sync Issues/Server Failures"), n); /* not when it may be a passing one */
	}
	run (w);
	assert_int_equal (messages_here (w, "Sync Issues/Server Failures"), 1); /* told once */
	w->home->keeps_back = 0;
	SyncResult r = run (w);
	assert_int_equal (r.failures, 0);
	assert_int_equal (r.added_here, 1);
	w->home->keeps_back = home_add (w->home, inbox, 52, 0, NULL)->uid;
	run (w);
	run (w);
	assert_int_equal (messages_here (w, "Sync Issues/Server Failures"), 2); /* another time */
	world_free (w);
}

/* What somebody did to it since is not taken back by the run that finds it. */
static void
what_was_sent_whole_without_an_answer_keeps_the_flags_it_got_since (void **state)
{
	for (gsize i = 0; i < 2; i++)
		for (guint lost = 1, met = 0; lost < 40; lost++) {
			World *w = world_new (i ? 0 : ENDPOINT_MODSEQ | ENDPOINT_MOVE | ENDPOINT_UIDPLUS, &rows[i]);
			SyncOptions o = SYNC_OPTIONS_INIT;
			SyncResult r;
			edit_offline (w);
			w->home->moment = 0;
			w->home->lost_answer = lost;
			gboolean ended = home_sync (w->home, w->path, &o, &r, NULL);
			w->home->lost_answer = 0;
			HomeFolder *f = home_folder (w->home, "Work");
			gboolean set[1000] = {FALSE};
			for (int k = 0; k < HOME_MESSAGES; k++)
				if (f->messages[k].uid && f->messages[k].body >= LOCAL) {
					home_set_flags (w->home, f, &f->messages[k], f->messages[k].flags | FLAG_FLAGGED, "later");
					set[f->messages[k].body] = TRUE;
					met++;
				}
			run (w);
			run (w);
			for (int k = 0; k < HOME_MESSAGES; k++) {
				const HomeMessage *m = &f->messages[k];
				if (m->uid && set[m->body] && (!(m->flags & FLAG_FLAGGED) || strcmp (m->keywords, "later") != 0))
					fail_msg ("answer %u lost: number %u has no more what it got", lost, m->body);
			}
			world_free (w);
			if (ended && lost > 5) {
				assert_true (met > 0);
				break;
			}
		}
}

static gboolean
run_and_die (World *w, guint step)
{
	const SyncOptions o = SYNC_OPTIONS_INIT;
	return home_sync_and_die (w->home, w->path, &o, step);
}

/* The home comes back as it was before a run that was killed while it moved mail: it has that where it was, and only there. */
static void
what_was_moved_leaves_its_origin_only_where_the_copy_is_seen (void **state)
{
	static const guint kinds[] = {0, ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS, ENDPOINT_MODSEQ | ENDPOINT_MOVE | ENDPOINT_UIDPLUS};
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		gboolean dies = TRUE;
		for (guint step = 1; dies; step++) {
			World *w = world_new (kinds[k], &rows[k == 0]);
			g_autofree Home *backup = g_memdup2 (w->home, sizeof *w->home);
			edit_offline (w);
			dies = run_and_die (w, step);
			memcpy (w->home, backup, sizeof *backup);
			for (guint n = 0; n < 3; n++)
				run (w);
			guint there[1000] = {0};
			for (int i = 0; i < HOME_FOLDERS; i++)
				for (int m = 0; w->home->folders[i].used && m < HOME_MESSAGES; m++)
					if (w->home->folders[i].messages[m].uid)
						there[w->home->folders[i].messages[m].body]++;
			for (guint body = 0; body < MESSAGES; body++)
				if (!there[body])
					fail_msg ("abilities %x, killed at step %u: number %u is nowhere at home", kinds[k], step, body);
			world_free (w);
		}
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (what_a_home_took_is_never_sent_twice),
		cmocka_unit_test (a_part_that_is_refused_stays_where_it_is_and_is_tried_again),
		cmocka_unit_test (what_a_home_can_only_mark_does_not_come_back),
		cmocka_unit_test (what_was_sent_whole_without_an_answer_keeps_the_flags_it_got_since),
		cmocka_unit_test (what_was_moved_leaves_its_origin_only_where_the_copy_is_seen),
		cmocka_unit_test (a_message_that_is_kept_back_does_not_stop_its_folder),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
