/* SPDX-License-Identifier: Apache-2.0 */
/* The deletion guard over whole runs: what is asked about, what an answer covers, and what waits meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID,
	0,
};

typedef struct {
	char *path;
	Home *home;
	guint bodies;
} World;

static World *
world_new (guint abilities)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, TRUE);
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_free (w);
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

static void
fill (World *w, const char *name, guint n)
{
	HomeFolder *f = home_folder (w->home, name);
	if (!f)
		f = home_create (w->home, name);
	for (guint i = 0; i < n; i++)
		home_add (w->home, f, w->bodies++, FLAG_SEEN, NULL);
}

static guint
at_home (World *w, const char *name)
{
	HomeFolder *f = home_folder (w->home, name);
	guint n = 0;
	for (guint i = 0; f && i < HOME_MESSAGES; i++)
		n += f->messages[i].uid != 0;
	return n;
}

static void
lose_at_home (World *w, const char *name, guint n)
{
	HomeFolder *f = home_folder (w->home, name);
	for (guint i = 0; i < HOME_MESSAGES && n; i++)
		if (f->messages[i].uid) {
			home_remove (w->home, f, &f->messages[i]);
			n--;
		}
	assert_int_equal (n, 0);
}

/* -1: no such folder */
static int
here (World *w, const char *path)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	return f ? (int) f->total : -1;
}

typedef struct {
	gint64 ids[HOME_MESSAGES];
	guint n;
} Ids;

static gboolean
note_id (gpointer data, const Placement *p)
{
	Ids *ids = data;
	ids->ids[ids->n++] = p->id;
	return TRUE;
}

static void
remove_here (World *w, const char *path, guint n)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	Ids ids = {.n = 0};
	assert_non_null (f);
	assert_true (store_begin (s, NULL) && store_each_placement (s, f->id, 0, note_id, &ids, NULL));
	assert_true (ids.n >= n);
	for (guint i = 0; i < n; i++)
		assert_true (store_remove (s, ids.ids[i], "here", NULL));
	assert_true (store_commit (s, NULL));
}

static void
lose (World *w, gboolean at_server, const char *name, guint n)
{
	if (at_server)
		lose_at_home (w, name, n);
	else
		remove_here (w, name, n);
}

/* What the other side still has. */
static guint
left (World *w, gboolean at_server, const char *name)
{
	return at_server ? (guint) here (w, name) : at_home (w, name);
}

static guint
count_holds (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	return holds->len;
}

/* The first @n questions are answered. */
static void
decide (World *w, guint n, HoldDecision decision)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	assert_true (store_begin (s, NULL));
	assert_true (holds->len >= n);
	for (guint i = 0; i < n; i++)
		assert_true (store_settle_hold (s, ((Hold *) holds->pdata[i])->id, decision, 1, NULL));
	assert_true (store_commit (s, NULL));
}

static void
a_decision_covers_only_what_was_shown (void **state)
{
	for (guint k = 0; k < 4; k++)
		for (HoldDecision d = HOLD_APPLY; d <= HOLD_KEEP; d++) {
			gboolean at_server = k % 2;
			World *w = world_new (kinds[k / 2]);
			fill (w, "INBOX", 60);
			run (w);
			lose (w, at_server, "INBOX", 21);
			assert_int_equal (run (w).held, 1);
			decide (w, 1, d);
			lose (w, at_server, "INBOX", 39);
			assert_int_equal (run (w).held, 1);
			assert_int_equal (left (w, at_server, "INBOX"), 60);
			decide (w, 1, d);
			assert_int_equal (run (w).held, 0);
			run (w);
			assert_int_equal (at_home (w, "INBOX"), d == HOLD_APPLY ? 0 : 60);
			assert_int_equal (here (w, "INBOX"), d == HOLD_APPLY ? 0 : 60);
			assert_int_equal (count_holds (w), 0);
			world_free (w);
		}
}

static void
undelete (World *w, guint n)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) removed = store_removed_messages (s, n, NULL);
	assert_int_equal (removed->len, n);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < removed->len; i++)
		assert_true (store_undelete (s, ((RemovedMessage *) removed->pdata[i])->id, NULL, NULL));
	assert_true (store_commit (s, NULL));
}

static void
a_decision_covers_less_than_was_shown (void **state)
{
	World *w = world_new (kinds[0]);
	fill (w, "INBOX", 60);
	run (w);
	remove_here (w, "INBOX", 40);
	assert_int_equal (run (w).held, 1);
	decide (w, 1, HOLD_APPLY);
	undelete (w, 10);
	SyncResult r = run (w);
	assert_int_equal (r.held, 0);
	assert_int_equal (r.removed_home, 30);
	assert_int_equal (r.added_home, 0); /* what the home still had is not sent again */
	assert_int_equal (here (w, "INBOX"), 30);
	assert_int_equal (at_home (w, "INBOX"), 30);
	world_free (w);
}

static void
all_of_a_small_folder_is_asked_about_but_a_single_message_is_not (void **state)
{
	for (guint k = 0; k < 4; k++) {
		gboolean at_server = k % 2;
		World *w = world_new (kinds[k / 2]);
		fill (w, "INBOX", 60);
		fill (w, "One", 1);
		fill (w, "Two", 2);
		run (w);
		lose (w, at_server, "One", 1);
		lose (w, at_server, "Two", 2);
		assert_int_equal (run (w).held, 1);
		assert_int_equal (left (w, at_server, "One"), 0);
		assert_int_equal (left (w, at_server, "Two"), 2);
		world_free (w);
	}
}

static void
folders_that_vanish_at_home_are_held_whatever_their_size (void **state)
{
	for (guint k = 0; k < 2; k++) {
		World *w = world_new (kinds[k]);
		fill (w, "INBOX", 60);
		home_create (w->home, "Empty");
		for (guint i = 0; i < 20; i++) {
			g_autofree char *name = g_strdup_printf ("F%u", i);
			fill (w, name, 1 + i % 5);
		}
		run (w);
		home_delete (w->home, "Empty");
		for (guint i = 0; i < 20; i++) {
			g_autofree char *name = g_strdup_printf ("F%u", i);
			home_delete (w->home, name);
		}
		for (int again = 0; again < 2; again++) {
			SyncResult r = run (w);
			assert_int_equal (r.held, 20);
			assert_int_equal (r.removed_here, 0);
			assert_int_equal (r.failures, 0);
		}
		assert_int_equal (here (w, "Empty"), -1);
		for (guint i = 0; i < 20; i++) {
			g_autofree char *name = g_strdup_printf ("F%u", i);
			assert_int_equal (here (w, name), 1 + i % 5);
		}
		decide (w, 20, HOLD_APPLY);
		assert_int_equal (run (w).folders_removed_here, 20);
		assert_int_equal (count_holds (w), 0);
		world_free (w);
	}
}

/* No copy: where it was it can't be any more. */
static void
what_was_moved_out_of_a_folder_before_that_was_removed_at_home_is_not_asked_about (void **state)
{
	for (guint k = 0; k < 4; k++) {
		HoldDecision d = k % 2 ? HOLD_APPLY : HOLD_KEEP;
		World *w = world_new (kinds[k / 2]);
		fill (w, "INBOX", 60);
		fill (w, "Work", 5);
		run (w);
		HomeFolder *from = home_folder (w->home, "Work"), *to = home_folder (w->home, "INBOX");
		for (guint i = 0; i < 2; i++)
			home_add (w->home, to, from->messages[i].body, FLAG_SEEN, NULL);
		home_delete (w->home, "Work");
		guint fetched = w->home->fetched;
		assert_int_equal (run (w).held, 1);
		assert_int_equal (here (w, "INBOX"), 62);
		assert_int_equal (here (w, "Work"), 3);
		assert_int_equal (w->home->fetched, fetched);
		decide (w, 1, d);
		run (w);
		assert_int_equal (run (w).held, 0);
		assert_int_equal (here (w, "Work"), d == HOLD_KEEP ? 3 : -1);
		assert_int_equal (at_home (w, "Work"), d == HOLD_KEEP ? 3 : 0);
		assert_int_equal (at_home (w, "INBOX"), 62);
		world_free (w);
	}
}

/* The first @n messages, by a client at home. */
static void
copy_at_home (World *w, const char *from, const char *to, guint n)
{
	HomeFolder *target = home_folder (w->home, to);
	const HomeFolder *f = home_folder (w->home, from);
	for (guint i = 0; i < n; i++)
		home_add (w->home, target, f->messages[i].body, FLAG_SEEN, NULL);
}

static guint
held_messages (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	assert_int_equal (holds->len, 1);
	return ((Hold *) holds->pdata[0])->messages;
}

static World *
world_with_copies (guint abilities, guint n, guint copied)
{
	World *w = world_new (abilities);
	fill (w, "INBOX", 60);
	fill (w, "Work", n);
	run (w);
	copy_at_home (w, "Work", "INBOX", copied);
	run (w);
	return w;
}

static void
what_another_folder_has_is_not_asked_about (void **state)
{
	for (guint k = 0; k < 4; k++) {
		gboolean whole = k % 2;
		World *w = world_with_copies (kinds[k / 2], 5, 5);
		if (whole)
			home_delete (w->home, "Work");
		else
			lose_at_home (w, "Work", 5);
		SyncResult r = run (w);
		assert_int_equal (r.held, 0);
		assert_int_equal (here (w, "INBOX"), 65);
		assert_int_equal (here (w, "Work"), whole ? -1 : 0);
		assert_int_equal (count_holds (w), 0);
		assert_int_equal (at_home (w, "INBOX"), 65);
		world_free (w);
	}
}

static void
an_answer_is_about_what_no_other_folder_has (void **state)
{
	for (guint k = 0; k < 8; k++) {
		gboolean whole = k % 2;
		HoldDecision d = k & 2 ? HOLD_APPLY : HOLD_KEEP;
		World *w = world_with_copies (kinds[k / 4], 5, 3);
		if (whole)
			home_delete (w->home, "Work");
		else
			lose_at_home (w, "Work", 5);
		for (int again = 0; again < 2; again++) {
			assert_int_equal (run (w).held, 1);
			assert_int_equal (here (w, "Work"), 5);
			assert_int_equal (held_messages (w), whole ? 5 : 2);
		}
		decide (w, 1, d);
		run (w);
		assert_int_equal (run (w).held, 0);
		assert_int_equal (here (w, "Work"), d == HOLD_KEEP ? 2 : whole ? -1 : 0);
		assert_int_equal (at_home (w, "Work"), d == HOLD_KEEP ? 2 : 0);
		assert_int_equal (here (w, "INBOX"), 63);
		assert_int_equal (at_home (w, "INBOX"), 63);
		world_free (w);
	}
}

/* One answer is enough, though what was asked about has turned up meanwhile. */
static void
what_turns_up_elsewhere_is_not_doubled_by_the_answer (void **state)
{
	for (guint k = 0; k < 4; k++) {
		World *w = world_new (kinds[k / 2]);
		SyncOptions inbox = SYNC_OPTIONS_INIT;
		const char *const names[] = {"INBOX", NULL};
		SyncResult r;
		inbox.folders = names;
		fill (w, "INBOX", 60);
		fill (w, "Work", 5);
		run (w);
		lose_at_home (w, "Work", 5);
		assert_int_equal (run (w).held, 1);
		for (guint i = 60; i < 65; i++)
			home_add (w->home, home_folder (w->home, "INBOX"), i, FLAG_SEEN, NULL);
		assert_true (home_sync (w->home, w->path, &inbox, &r, NULL));
		if (k % 2)
			decide (w, 1, HOLD_KEEP);
		assert_int_equal (run (w).held, 0);
		run (w);
		assert_int_equal (at_home (w, "Work") + at_home (w, "INBOX"), 65);
		assert_int_equal (here (w, "Work") + here (w, "INBOX"), 65);
		assert_int_equal (count_holds (w), 0);
		world_free (w);
	}
}

static void
one_message_stands_for_one_of_the_same (void **state)
{
	for (guint k = 0; k < 2; k++) {
		World *w = world_with_copies (kinds[k], 3, 3);
		copy_at_home (w, "Work", "Work", 3);
		run (w);
		assert_int_equal (here (w, "Work"), 6);
		lose_at_home (w, "Work", 6);
		for (int again = 0; again < 2; again++) {
			assert_int_equal (run (w).held, 1);
			assert_int_equal (held_messages (w), 3);
		}
		world_free (w);
	}
}

static void
what_goes_from_both_folders_is_asked_about (void **state)
{
	for (guint k = 0; k < 4; k++) {
		gboolean whole = k % 2;
		World *w = world_new (kinds[k / 2]);
		fill (w, "INBOX", 60);
		fill (w, "Work", 5);
		home_create (w->home, "Copies");
		copy_at_home (w, "Work", "Copies", 5);
		run (w);
		lose_at_home (w, "Copies", 5);
		if (whole)
			home_delete (w->home, "Work");
		else
			lose_at_home (w, "Work", 5);
		assert_int_equal (run (w).held, 2);
		assert_int_equal (here (w, "Work"), 5);
		assert_int_equal (here (w, "Copies"), 5);
		world_free (w);
	}
}

/* Nobody can tell whether it still has what is bound in it. */
static void
a_folder_that_can_not_be_read_has_nothing_of_another_one (void **state)
{
	for (guint k = 0; k < 4; k++) {
		World *w = world_with_copies (kinds[k / 2], 5, 5);
		if (k % 2)
			home_delete (w->home, "Work");
		else
			lose_at_home (w, "Work", 5);
		fill (w, "INBOX", 1);
		g_strlcpy (w->home->refuses_to_open, "INBOX", sizeof w->home->refuses_to_open);
		assert_int_equal (run (w).held, 1);
		assert_int_equal (here (w, "Work"), 5);
		w->home->refuses_to_open[0] = '\0';
		assert_int_equal (run (w).held, 0);
		world_free (w);
	}
}

static void
copy_here (World *w, const char *from, const char *to)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, from, NULL), target = store_folder_by_path (s, to, NULL);
	Ids ids = {.n = 0};
	assert_true (store_begin (s, NULL) && store_each_placement (s, f->id, 0, note_id, &ids, NULL));
	for (guint i = 0; i < ids.n; i++) {
		g_autoptr (Placement) p = store_placement (s, ids.ids[i], NULL);
		assert_true (store_place (s, target->id, p->message, 0, NULL, TRUE, 0, NULL, NULL));
	}
	assert_true (store_commit (s, NULL));
}

static void
what_is_only_here_is_no_copy (void **state)
{
	World *w = world_new (kinds[0]);
	fill (w, "INBOX", 60);
	fill (w, "Work", 5);
	run (w);
	copy_here (w, "Work", "INBOX");
	lose_at_home (w, "Work", 5);
	assert_int_equal (run (w).held, 1);
	assert_int_equal (here (w, "Work"), 5);
	assert_int_equal (at_home (w, "INBOX"), 65); /* sent by now: so the next run is content */
	assert_int_equal (run (w).held, 0);
	assert_int_equal (here (w, "Work"), 0);
	assert_int_equal (here (w, "INBOX"), 65);
	world_free (w);
}

/* Its change would be lost. */
static void
what_was_changed_here_is_asked_about_although_it_has_a_copy (void **state)
{
	for (guint k = 0; k < 4; k++) {
		World *w = world_with_copies (kinds[k / 2], 5, 5);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (Folder) f = store_folder_by_path (s, "Work", NULL);
		Ids ids = {.n = 0};
		assert_true (store_begin (s, NULL) && store_each_placement (s, f->id, 0, note_id, &ids, NULL));
		for (guint i = 0; i < 2; i++)
			assert_true (store_set_flags (s, ids.ids[i], FLAG_SEEN, "green", NULL));
		assert_true (store_commit (s, NULL));
		if (k % 2)
			home_delete (w->home, "Work");
		else
			lose_at_home (w, "Work", 5);
		assert_int_equal (run (w).held, 1);
		assert_int_equal (here (w, "Work"), 5);
		g_clear_pointer (&s, store_close);
		world_free (w);
	}
}

static void
what_only_is_here_keeps_a_folder_that_is_removed_at_home (void **state)
{
	for (HoldDecision d = HOLD_APPLY; d <= HOLD_KEEP; d++) {
		World *w = world_new (kinds[0]);
		fill (w, "INBOX", 60);
		fill (w, "Work", 5);
		run (w);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (Folder) f = store_folder_by_path (s, "Work", NULL);
		char *text = home_text (200);
		g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
		g_autoptr (Prepared) p = prepare_bytes (octets, home_date (200), 0);
		gint64 message;
		assert_true (store_begin (s, NULL) && store_add_message (s, p, f->id, &message, NULL) &&
		             store_place (s, f->id, message, 0, NULL, TRUE, 0, NULL, NULL) && store_commit (s, NULL));
		home_delete (w->home, "Work");
		assert_int_equal (run (w).held, 1);
		g_autoptr (GPtrArray) holds = store_holds (s, NULL);
		assert_int_equal (((Hold *) holds->pdata[0])->messages, 5); /* not what was never sent */
		decide (w, 1, d);
		run (w); /* one run is enough */
		assert_int_equal (at_home (w, "Work"), d == HOLD_KEEP ? 6 : 1);
		assert_int_equal (here (w, "Work"), d == HOLD_KEEP ? 6 : 1);
		world_free (w);
	}
}

static void
a_little_of_every_folder_is_much_of_the_mailbox (void **state)
{
	static const char *const names[] = {"INBOX", "A", "B", "C", "D"};
	for (guint k = 0; k < 4; k++) {
		gboolean at_server = k % 2;
		World *w = world_new (kinds[k / 2]);
		for (guint i = 0; i < 5; i++)
			fill (w, names[i], 60);
		run (w);
		for (guint i = 0; i < 5; i++)
			lose (w, at_server, names[i], 7);
		assert_int_equal (run (w).held, 5);
		for (guint i = 0; i < 5; i++)
			assert_int_equal (left (w, at_server, names[i]), 60);
		/* an answer about some leaves the others waiting, few as they are */
		decide (w, 4, HOLD_APPLY);
		assert_int_equal (run (w).held, 1);
		assert_int_equal (run (w).held, 1);
		guint sum = 0;
		for (guint i = 0; i < 5; i++)
			sum += left (w, at_server, names[i]);
		assert_int_equal (sum, 4 * 53 + 60);
		decide (w, 1, HOLD_KEEP);
		assert_int_equal (run (w).held, 0);
		assert_int_equal (count_holds (w), 0);
		world_free (w);
	}
}

static void
a_twentieth_of_the_mailbox_goes_without_a_question (void **state)
{
	static const char *const names[] = {"INBOX", "A", "B", "C", "D"};
	World *w = world_new (kinds[0]);
	for (guint i = 0; i < 5; i++)
		fill (w, names[i], 100);
	run (w);
	for (guint i = 0; i < 5; i++)
		lose_at_home (w, names[i], 5);
	SyncResult r = run (w);
	assert_int_equal (r.held, 0);
	assert_int_equal (r.removed_here, 25);
	world_free (w);
}

static void
a_held_folder_that_is_gone_at_home_is_left_alone_there (void **state)
{
	for (guint k = 0; k < 2; k++) {
		World *w = world_new (kinds[k]);
		fill (w, "INBOX", 3);
		home_create (w->home, "Archive");
		fill (w, "Archive/Deep", 25);
		run (w);
		home_delete (w->home, "Archive/Deep");
		home_delete (w->home, "Archive"); /* as a \NoSelect parent that goes with its last child */
		guint writes = w->home->writes;
		{
			g_autoptr (Store) s = store_open (w->path, 0, NULL);
			g_autoptr (Folder) deep = store_folder_by_path (s, "Archive/Deep", NULL);
			NewFolder below = {deep->id, "New", NULL, TRUE, TRUE, FALSE};
			gint64 id;
			assert_true (store_begin (s, NULL) && store_folder_create (s, &below, &id, NULL) && store_commit (s, NULL));
		}
		for (int again = 0; again < 2; again++) {
			SyncResult r = run (w);
			assert_int_equal (r.held, 1);
			assert_int_equal (r.failures, 0);
			assert_int_equal (r.folders_added_home, 0);
		}
		assert_int_equal (w->home->writes, writes);
		assert_int_equal (here (w, "Archive/Deep"), 25);
		decide (w, 1, HOLD_KEEP);
		run (w);
		run (w);
		assert_int_equal (at_home (w, "Archive/Deep"), 25);
		assert_non_null (home_folder (w->home, "Archive/Deep/New"));
		world_free (w);
	}
}

static void
a_held_folder_and_its_parent_go_when_that_is_decided (void **state)
{
	World *w = world_new (kinds[0]);
	home_create (w->home, "Archive");
	fill (w, "Archive/Deep", 25);
	run (w);
	home_delete (w->home, "Archive/Deep");
	home_delete (w->home, "Archive");
	assert_int_equal (run (w).held, 1);
	decide (w, 1, HOLD_APPLY);
	assert_int_equal (run (w).folders_removed_here, 2);
	assert_int_equal (here (w, "Archive"), -1);
	world_free (w);
}

static void
a_question_ends_with_what_it_was_about (void **state)
{
	for (guint k = 0; k < 2; k++) {
		World *w = world_new (kinds[k]);
		fill (w, "INBOX", 60);
		fill (w, "Work", 5);
		run (w);
		/* taken back here */
		remove_here (w, "INBOX", 60);
		assert_int_equal (run (w).held, 1);
		undelete (w, 60);
		assert_int_equal (run (w).held, 0);
		assert_int_equal (count_holds (w), 0);
		/* back at the server */
		HomeFolder *work = home_folder (w->home, "Work");
		work->used = FALSE;
		assert_int_equal (run (w).held, 1);
		work->used = TRUE;
		assert_int_equal (run (w).held, 0);
		assert_int_equal (count_holds (w), 0);
		assert_int_equal (here (w, "Work"), 5);
		assert_int_equal (at_home (w, "INBOX"), 60);
		world_free (w);
	}
}

static void
delete_folder_here (World *w, const char *path)
{
	guint64 appends, flags, removals, folders;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_non_null (f);
	assert_true (store_begin (s, NULL) && store_folder_delete (s, f->id, "here", NULL) && store_commit (s, NULL));
	assert_true (store_count_unpushed (s, &appends, &flags, &removals, NULL) && store_count_unpushed_folders (s, &folders, NULL));
	assert_int_equal (removals, f->total);
	assert_int_equal (folders, 1);
}

static void
a_folder_with_mail_that_was_never_fetched_is_not_removed_at_home (void **state)
{
	for (guint k = 0; k < 2; k++)
		for (guint before = 0; before <= 2; before += 2) {
			SyncResult r;
			World *w = world_new (kinds[k]);
			fill (w, "INBOX", 3);
			fill (w, "D", before);
			run (w);
			fill (w, "D", 2);
			w->home->fail_at = w->home->calls + 4; /* open, list, query, fetch */
			assert_false (run_once (w, &r, NULL));
			assert_int_equal (here (w, "D"), before);
			delete_folder_here (w, "D");
			for (int i = 0; i < 3; i++)
				if (run (w).held)
					decide (w, 1, HOLD_APPLY);
			assert_int_equal (at_home (w, "D"), before + 2);
			assert_int_equal (here (w, "D"), before + 2);
			world_free (w);
		}
}

static void
a_folder_in_which_mail_arrives_during_the_run_is_not_removed_at_home (void **state)
{
	for (guint k = 0; k < 2; k++) {
		World *w = world_new (kinds[k]);
		fill (w, "INBOX", 3);
		fill (w, "D", 1);
		run (w);
		run (w);
		delete_folder_here (w, "D");
		w->home->arrive_at = w->home->calls + (k == 0 ? 3 : 4); /* open, list, without MODSEQ the query of the inbox */
		w->home->arrive_body = 99;
		g_strlcpy (w->home->arrive_in, "D", sizeof w->home->arrive_in);
		SyncResult r = run (w);
		assert_int_equal (r.held, 0);
		assert_int_equal (r.conflicts, 1);
		assert_int_equal (r.folders_removed_home, 0);
		assert_int_equal (at_home (w, "D"), 2);
		run (w);
		assert_int_equal (here (w, "D"), 2);
		world_free (w);
	}
}

static void
a_folder_removed_here_is_removed_at_home_with_what_was_fetched (void **state)
{
	World *w = world_new (kinds[0]);
	fill (w, "INBOX", 3);
	fill (w, "D", 2);
	run (w);
	delete_folder_here (w, "D");
	assert_int_equal (run (w).held, 1);
	decide (w, 1, HOLD_APPLY);
	assert_int_equal (run (w).folders_removed_home, 1);
	assert_null (home_folder (w->home, "D"));
	assert_int_equal (count_holds (w), 0);
	world_free (w);
}

/* The last decision is taken back: for how many messages, and of those that are not where they were. */
static guint
undo (World *w, guint *missing_out)
{
	guint done;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) decisions = store_decisions (s, NULL);
	assert_int_equal (decisions->len, 1);
	assert_true (store_begin (s, NULL) && store_undo_decision (s, ((Hold *) decisions->pdata[0])->id, &done, missing_out, NULL) &&
	             store_commit (s, NULL));
	return done;
}

static void
a_decision_about_a_whole_folder_can_be_undone (void **state)
{
	static const struct {
		gboolean at_server; /* removed there, else here */
		HoldDecision decision;
		int here, home; /* messages after it was undone; -1 no folder */
		guint held;
	} rows[] = {{TRUE, HOLD_APPLY, 4, 4, 0}, {TRUE, HOLD_KEEP, 4, 0, 1}, {FALSE, HOLD_APPLY, 4, 4, 0}, {FALSE, HOLD_KEEP, 0, 4, 1}};
	for (guint i = 0; i < 2 * G_N_ELEMENTS (rows); i++) {
		guint missing, r = i / 2, kept = rows[r].decision == HOLD_KEEP;
		World *w = world_new (kinds[i % 2]);
		fill (w, "INBOX", 3);
		fill (w, "D", 4);
		run (w);
		if (rows[r].at_server)
			home_delete (w->home, "D");
		else
			delete_folder_here (w, "D");
		assert_int_equal (run (w).held, 1);
		decide (w, 1, rows[r].decision);
		for (int again = 0; again < 3; again++)
			assert_int_equal (run (w).held, 0);
		assert_int_equal (here (w, "D"), kept ? 4 : -1);
		assert_int_equal (at_home (w, "D"), kept ? 4 : 0);
		assert_int_equal (undo (w, &missing), 4);
		assert_int_equal (missing, 0);
		for (int again = 0; again < 3; again++)
			assert_int_equal (run (w).held, rows[r].held);
		assert_int_equal (here (w, "D"), rows[r].here);
		assert_int_equal (at_home (w, "D"), rows[r].home);
		assert_int_equal (here (w, "INBOX"), 3);
		assert_int_equal (at_home (w, "INBOX"), 3);
		world_free (w);
	}
}

static gboolean
run_and_die (World *w, int step)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	return home_sync_and_die (w->home, w->path, &o, (guint) step);
}

/* Who was killed before the server heard of it does not ask again. */
static void
a_decision_survives_a_kill_at_any_step (void **state)
{
	for (HoldDecision d = HOLD_APPLY; d <= HOLD_KEEP; d++)
		for (int at_server = 0; at_server < 2; at_server++) {
			gboolean died = TRUE;
			for (int step = 1; died && step < 100; step++) {
				World *w = world_new (kinds[step % 2]);
				fill (w, "INBOX", 30);
				run (w);
				lose (w, at_server, "INBOX", 25);
				assert_int_equal (run (w).held, 1);
				decide (w, 1, d);
				died = run_and_die (w, step);
				assert_int_equal (run (w).held, 0);
				run (w);
				assert_int_equal (at_home (w, "INBOX"), d == HOLD_APPLY ? 5 : 30);
				assert_int_equal (here (w, "INBOX"), d == HOLD_APPLY ? 5 : 30);
				assert_int_equal (count_holds (w), 0);
				world_free (w);
			}
			assert_false (died);
		}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (a_decision_covers_only_what_was_shown),
		cmocka_unit_test (a_decision_covers_less_than_was_shown),
		cmocka_unit_test (all_of_a_small_folder_is_asked_about_but_a_single_message_is_not),
		cmocka_unit_test (folders_that_vanish_at_home_are_held_whatever_their_size),
		cmocka_unit_test (what_was_moved_out_of_a_folder_before_that_was_removed_at_home_is_not_asked_about),
		cmocka_unit_test (what_another_folder_has_is_not_asked_about),
		cmocka_unit_test (an_answer_is_about_what_no_other_folder_has),
		cmocka_unit_test (what_turns_up_elsewhere_is_not_doubled_by_the_answer),
		cmocka_unit_test (one_message_stands_for_one_of_the_same),
		cmocka_unit_test (what_goes_from_both_folders_is_asked_about),
		cmocka_unit_test (a_folder_that_can_not_be_read_has_nothing_of_another_one),
		cmocka_unit_test (what_is_only_here_is_no_copy),
		cmocka_unit_test (what_was_changed_here_is_asked_about_although_it_has_a_copy),
		cmocka_unit_test (what_only_is_here_keeps_a_folder_that_is_removed_at_home),
		cmocka_unit_test (a_little_of_every_folder_is_much_of_the_mailbox),
		cmocka_unit_test (a_twentieth_of_the_mailbox_goes_without_a_question),
		cmocka_unit_test (a_held_folder_that_is_gone_at_home_is_left_alone_there),
		cmocka_unit_test (a_held_folder_and_its_parent_go_when_that_is_decided),
		cmocka_unit_test (a_question_ends_with_what_it_was_about),
		cmocka_unit_test (a_folder_with_mail_that_was_never_fetched_is_not_removed_at_home),
		cmocka_unit_test (a_folder_in_which_mail_arrives_during_the_run_is_not_removed_at_home),
		cmocka_unit_test (a_folder_removed_here_is_removed_at_home_with_what_was_fetched),
		cmocka_unit_test (a_decision_about_a_whole_folder_can_be_undone),
		cmocka_unit_test (a_decision_survives_a_kill_at_any_step),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
