/* SPDX-License-Identifier: Apache-2.0 */
/* What the home moved from folder to folder, or has in a folder of everything as well, is here already: it is recognised, and not fetched. */
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
	ENDPOINT_MODSEQ,
	0,
};

typedef struct {
	char *path;
	Home *home;
	HomeFolder *inbox, *other;
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

/* @n messages in INBOX, read; those of odd numbers flagged. */
static World *
world_new (guint abilities, const char *other, guint n)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, TRUE);
	w->inbox = home_folder (w->home, "INBOX");
	w->other = home_create (w->home, other);
	for (guint i = 0; i < n; i++)
		home_add (w->home, w->inbox, i, FLAG_SEEN | (i % 2 ? FLAG_FLAGGED : 0), i % 3 ? NULL : "blue");
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_free (w);
}

static HomeMessage *
at_home (HomeFolder *f, guint32 body)
{
	for (guint i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid && f->messages[i].body == body)
			return &f->messages[i];
	return NULL;
}

static HomeMessage *
move (World *w, guint32 body)
{
	HomeMessage *m = at_home (w->inbox, body);
	HomeMessage *moved = home_add (w->home, w->other, body, m->flags, *m->keywords ? m->keywords : NULL);
	home_remove (w->home, w->inbox, m);
	return moved;
}

typedef struct {
	Store *store;
	gint64 message[HOME_MESSAGES], placement[HOME_MESSAGES]; /* by body; 0 none */
	guint flags[HOME_MESSAGES];
	char *keywords[HOME_MESSAGES];
	guint n;
} Contents;

static gboolean
note (gpointer data, const Placement *p)
{
	Contents *c = data;
	g_autoptr (Message) m = store_message (c->store, p->message, NULL);
	guint body = (guint) g_ascii_strtoull (m->subject + strlen ("number "), NULL, 10);
	assert_true (body < HOME_MESSAGES && c->message[body] == 0);
	c->message[body] = p->message;
	c->placement[body] = p->id;
	c->flags[body] = p->flags;
	c->keywords[body] = g_strdup (p->keywords);
	c->n++;
	return TRUE;
}

static Contents *
contents (World *w, const char *path)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	Contents *c = g_new0 (Contents, 1);
	c->store = s;
	assert_non_null (f);
	assert_true (store_each_placement (s, f->id, 0, note, c, NULL));
	c->store = NULL;
	return c;
}

static void
contents_free (Contents *c)
{
	for (guint i = 0; i < HOME_MESSAGES; i++)
		g_free (c->keywords[i]);
	g_free (c);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Contents, contents_free)

/* Both sides have the same, and another run does nothing. */
static void
settled (World *w)
{
	HomeFolder *const folders[] = {w->inbox, w->other};
	for (guint k = 0; k < G_N_ELEMENTS (folders); k++) {
		g_autoptr (Contents) c = contents (w, folders[k]->name);
		for (guint body = 0; body < HOME_MESSAGES; body++) {
			const HomeMessage *m = at_home (folders[k], body);
			assert_int_equal (m != NULL, c->message[body] != 0);
			if (m) {
				assert_int_equal (m->flags, c->flags[body]);
				assert_string_equal (m->keywords, c->keywords[body] ? c->keywords[body] : "");
			}
		}
	}
	guint fetched = w->home->fetched, writes = w->home->writes;
	SyncResult r = run (w);
	assert_int_equal (r.added_here + r.updated_here + r.removed_here + r.held + r.failures, 0);
	assert_int_equal (w->home->fetched, fetched);
	assert_int_equal (w->home->writes, writes);
}

static void
what_the_home_moved_is_neither_fetched_nor_asked_about (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "Archive", 60);
		run (w);
		g_autoptr (Contents) before = contents (w, "INBOX");
		assert_int_equal (w->home->fetched, 60);
		for (guint i = 10; i < 55; i++)
			move (w, i);
		SyncResult r = run (w);
		g_autoptr (Contents) after = contents (w, "Archive");
		assert_int_equal (w->home->fetched, 60);
		assert_int_equal (r.held, 0);
		assert_int_equal (r.added_here, 45);
		assert_int_equal (r.removed_here, 45);
		for (guint i = 10; i < 55; i++)
			assert_int_equal (after->message[i], before->message[i]);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (GPtrArray) removed = store_removed_messages (s, 0, NULL);
		assert_int_equal (removed->len, 0); /* nothing to restore: nothing is gone */
		settled (w);
		world_free (w);
	}
}

static void
what_the_home_moved_to_a_folder_that_it_made_is_not_fetched (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "Archive", 20);
		run (w);
		w->other = home_create (w->home, "2025");
		for (guint i = 3; i < 9; i++)
			move (w, i);
		SyncResult r = run (w);
		assert_int_equal (w->home->fetched, 20);
		assert_int_equal (r.added_here, 6);
		settled (w);
		world_free (w);
	}
}

static void
a_change_made_here_goes_along (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "Archive", 30);
		run (w);
		g_autoptr (Contents) before = contents (w, "INBOX");
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		assert_true (store_begin (s, NULL) && store_set_flags (s, before->placement[4], FLAG_SEEN | FLAG_ANSWERED, "green", NULL) &&
		             store_commit (s, NULL));
		home_set_flags (w->home, w->other, move (w, 4), FLAG_SEEN | FLAG_FLAGGED, "blue");
		run (w);
		run (w);
		assert_int_equal (w->home->fetched, 30);
		assert_int_equal (at_home (w->other, 4)->flags, FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED);
		settled (w);
		world_free (w);
	}
}

/* Size, date and Message-ID agree, a field of the header does not. */
static void
what_only_looks_the_same_is_fetched (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "Archive", 30);
		run (w);
		HomeMessage *moved = move (w, 7);
		memcpy (moved->octets, "From: b", strlen ("From: b"));
		SyncResult r = run (w);
		assert_int_equal (w->home->fetched, 31);
		assert_int_equal (r.added_here, 1);
		g_autoptr (Contents) after = contents (w, "Archive");
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (Message) m = store_message (s, after->message[7], NULL);
		assert_string_equal (m->sender, "b7@example.org");
		world_free (w);
	}
}

/* The removal of what did not turn up elsewhere is still weighed. */
static void
the_guard_is_about_what_is_nowhere (void **state)
{
	World *w = world_new (kinds[0], "Archive", 80);
	run (w);
	for (guint i = 0; i < 40; i++)
		move (w, i);
	for (guint i = 40; i < 65; i++)
		home_remove (w->home, w->inbox, at_home (w->inbox, i));
	SyncResult r = run (w);
	g_autoptr (Contents) inbox = contents (w, "INBOX");
	assert_int_equal (r.held, 1);
	assert_int_equal (r.removed_here, 40);
	assert_int_equal (inbox->n, 40);
	assert_int_equal (w->home->fetched, 80);
	world_free (w);
}

/* Evidence of all that is new would cost more than the octets of the one that went. */
static void
much_new_mail_is_fetched_without_looking (void **state)
{
	World *w = world_new (kinds[0], "Archive", 30);
	run (w);
	move (w, 3);
	for (guint i = 100; i < 200; i++)
		home_add (w->home, w->other, i, 0, NULL);
	run (w);
	assert_int_equal (w->home->fetched, 30 + 101);
	settled (w);
	world_free (w);
}

static void
a_folder_of_everything_costs_only_what_is_nowhere_else (void **state)
{
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k], "All", 50);
		HomeFolder *work = home_create (w->home, "Work");
		for (guint i = 100; i < 120; i++)
			home_add (w->home, work, i, 0, NULL);
		for (guint i = 0; i < 125; i++)
			if (i < 50 || i >= 100)
				home_add (w->home, w->other, i, FLAG_SEEN, NULL);
		run (w);
		assert_int_equal (w->home->fetched, 75);
		g_autoptr (Contents) all = contents (w, "All"), inbox = contents (w, "INBOX");
		assert_int_equal (all->n, 75);
		for (guint i = 0; i < 50; i++)
			assert_int_equal (all->message[i], inbox->message[i]);
		settled (w);
		home_add (w->home, w->inbox, 200, 0, NULL);
		home_add (w->home, w->other, 200, 0, NULL);
		run (w);
		assert_int_equal (w->home->fetched, 76);
		settled (w);
		world_free (w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (what_the_home_moved_is_neither_fetched_nor_asked_about),
		cmocka_unit_test (what_the_home_moved_to_a_folder_that_it_made_is_not_fetched),
		cmocka_unit_test (a_change_made_here_goes_along),
		cmocka_unit_test (what_only_looks_the_same_is_fetched),
		cmocka_unit_test (the_guard_is_about_what_is_nowhere),
		cmocka_unit_test (much_new_mail_is_fetched_without_looking),
		cmocka_unit_test (a_folder_of_everything_costs_only_what_is_nowhere_else),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
