/* SPDX-License-Identifier: Apache-2.0 */
/* A folder is gone on one side while the other goes on with what is, or is to be, in it: the message ends in one place, once, with what both
 * sides changed, and what is here already is not fetched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

#define NEWS 90 /* body of what came at home */

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID,
	ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS,
	ENDPOINT_MODSEQ | ENDPOINT_MOVE,
	0,
};

typedef struct {
	const char *name;
	char *path;
	Home *home;
} World;

static void
run (World *w, guint times)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	while (times--) {
		SyncResult r;
		g_autoptr (GError) e = NULL;
		if (!home_sync (w->home, w->path, &o, &r, &e))
			fail_msg ("%s: %s", w->name, e->message);
		if (r.failures || r.held)
			fail_msg ("%s: %" G_GUINT64_FORMAT " failures, %" G_GUINT64_FORMAT " held", w->name, (guint64) r.failures, (guint64) r.held);
	}
}

static void
fill (World *w, const char *name, guint first, guint n)
{
	for (guint i = first; i < first + n; i++)
		home_add (w->home, home_folder (w->home, name), i, FLAG_SEEN, NULL);
}

/* A has 0 to 5, B 20 to 22, INBOX 40 to 45. */
static World
world_new (const char *name, guint abilities)
{
	World w = {name, home_store_path (), home_new (abilities, (abilities & ENDPOINT_UIDPLUS) != 0)};
	home_create (w.home, "A");
	home_create (w.home, "B");
	fill (&w, "A", 0, 6);
	fill (&w, "B", 20, 3);
	fill (&w, "INBOX", 40, 6);
	run (&w, 1);
	return w;
}

static void
world_done (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
}

/* ---- Here ---- */

typedef struct {
	Store *store;
	guint body, count;
	Placement found; /* without keywords */
	gboolean green;
} Search;

static gboolean
search_one (gpointer data, const Placement *p)
{
	Search *s = data;
	g_autoptr (Message) m = store_message (s->store, p->message, NULL);
	if ((guint) atoi (m->subject + strlen ("number ")) != s->body)
		return TRUE;
	s->count++;
	s->found = *p;
	s->green = g_strcmp0 (p->keywords, "green") == 0;
	return TRUE;
}

static Search
find (Store *s, const char *path, guint body)
{
	Search search = {.store = s, .body = body};
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_true (!f || store_each_placement (s, f->id, 0, search_one, &search, NULL));
	return search;
}

static void
move_here (World *w, guint body, const char *from, const char *to)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, to, NULL);
	assert_true (store_begin (s, NULL) && store_move (s, find (s, from, body).found.id, f->id, NULL, NULL) && store_commit (s, NULL));
}

static void
flag_here (World *w, guint body, const char *path)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	assert_true (store_begin (s, NULL) && store_set_flags (s, find (s, path, body).found.id, FLAG_FLAGGED, "green", NULL) && store_commit (s, NULL));
}

static void
remove_folder_here (World *w, const char *path)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_true (store_begin (s, NULL) && store_folder_delete (s, f->id, "here", NULL) && store_commit (s, NULL));
}

/* ---- At home ---- */

static HomeMessage *
at_home (World *w, const char *name, guint body)
{
	HomeFolder *f = home_folder (w->home, name);
	HomeMessage *found = NULL;
	for (guint i = 0; f && i < HOME_MESSAGES; i++)
		if (f->messages[i].uid && f->messages[i].body == body) {
			assert_null (found); /* once */
			found = &f->messages[i];
		}
	return found;
}

static void
move_at_home (World *w, guint body, const char *from, const char *to)
{
	HomeMessage *m = at_home (w, from, body);
	home_add (w->home, home_folder (w->home, to), body, m->flags, m->keywords);
	home_remove (w->home, home_folder (w->home, from), m);
}

static void
flag_at_home (World *w, guint body, const char *name)
{
	home_set_flags (w->home, home_folder (w->home, name), at_home (w, name, body), FLAG_SEEN | FLAG_ANSWERED, "green");
}

/* @body is in @name alone on both sides, once, with @flags, and green as told. */
static void
check (World *w, const char *name, guint body, guint flags, gboolean green)
{
	static const char *const names[] = {"INBOX", "A", "B"};
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
		guint there = strcmp (names[i], name) == 0;
		Search here = find (s, names[i], body);
		const HomeMessage *m = at_home (w, names[i], body);
		if (here.count != there || (m != NULL) != there)
			fail_msg ("%s: %u is in '%s' %u times here, %u at home", w->name, body, names[i], here.count, m != NULL);
		if (there && (here.found.flags != flags || m->flags != flags || here.green != green || (strcmp (m->keywords, "green") == 0) != green))
			fail_msg ("%s: %u has flags %x here, %x '%s' at home", w->name, body, here.found.flags, m->flags, m->keywords);
	}
}

static void
check_settled (World *w)
{
	guint writes = w->home->writes, fetched = w->home->fetched;
	run (w, 1);
	if (w->home->writes != writes || w->home->fetched != fetched)
		fail_msg ("%s: a further run is no no-op", w->name);
}

/* ---- Tests ---- */

static void
what_was_moved_into_a_folder_that_is_gone_at_home_keeps_what_was_done_there (void **state)
{
	for (guint i = 0; i < 2 * G_N_ELEMENTS (kinds); i++) {
		World w = world_new (i % 2 ? "moved there, too" : "flagged there", kinds[i / 2]);
		for (guint n = 20; n < 23; n++)
			move_at_home (&w, n, "B", "INBOX");
		run (&w, 1);
		move_here (&w, 40, "INBOX", "B");
		if (i % 2)
			move_at_home (&w, 40, "INBOX", "A");
		flag_at_home (&w, 40, i % 2 ? "A" : "INBOX");
		home_delete (w.home, "B");
		run (&w, 3);
		check (&w, "B", 40, FLAG_SEEN | FLAG_ANSWERED, TRUE);
		check_settled (&w);
		world_done (&w);
	}
}

static void
what_was_changed_in_a_folder_that_was_removed_here_and_comes_back_is_kept (void **state)
{
	for (guint i = 0; i < 2 * G_N_ELEMENTS (kinds); i++) {
		World w = world_new (i % 2 ? "a message was moved into it" : "a message came", kinds[i / 2]);
		guint fetched = w.home->fetched;
		flag_here (&w, 3, "A");
		flag_at_home (&w, 4, "A");
		remove_folder_here (&w, "A");
		if (i % 2)
			move_at_home (&w, 41, "INBOX", "A");
		else
			fill (&w, "A", NEWS, 1);
		run (&w, 3);
		check (&w, "A", 3, FLAG_FLAGGED, TRUE);
		check (&w, "A", 4, FLAG_SEEN | FLAG_ANSWERED, TRUE);
		check (&w, "A", i % 2 ? 41 : NEWS, FLAG_SEEN, FALSE);
		if (w.home->fetched != fetched + !(i % 2))
			fail_msg ("%s: %u bodies fetched", w.name, w.home->fetched - fetched);
		check_settled (&w);
		world_done (&w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (what_was_moved_into_a_folder_that_is_gone_at_home_keeps_what_was_done_there),
		cmocka_unit_test (what_was_changed_in_a_folder_that_was_removed_here_and_comes_back_is_kept),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
