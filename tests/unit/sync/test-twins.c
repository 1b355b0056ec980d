/* SPDX-License-Identifier: Apache-2.0 */
/* A message that has the size and the second of another one is another one: it is never taken for it, whatever happens to the two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

enum { TWIN = 10, OTHER_TWIN = 11, MESSAGES = 8, FIRST = 20 };

typedef struct {
	char *path;
	Home *home;
	HomeFolder *inbox, *work;
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

static HomeMessage *
add_twin (World *w, HomeFolder *f, guint body)
{
	HomeMessage *m = home_add (w->home, f, body, 0, NULL);
	m->received = home_date (TWIN);
	return m;
}

static World *
world_new (guint abilities)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, (abilities & ENDPOINT_UIDPLUS) != 0);
	w->inbox = home_folder (w->home, "INBOX");
	w->work = home_create (w->home, "Work");
	return w;
}

static void
add_others (World *w, gint64 date)
{
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, w->inbox, FIRST + i, 0, NULL)->received = date + i;
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
	guint body, n;
	gint64 placement;
} Count;

static gboolean
count_one (gpointer data, const Placement *p)
{
	Count *c = data;
	g_autoptr (Message) m = store_message (c->store, p->message, NULL);
	if ((guint) atoi (m->subject + strlen ("number ")) == c->body) {
		c->n++;
		c->placement = p->id;
	}
	return TRUE;
}

static Count
here (World *w, const char *folder, guint body)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, folder, NULL);
	Count c = {s, body, 0, 0};
	assert_true (store_each_placement (s, f->id, 0, count_one, &c, NULL));
	return c;
}

static guint
there (const HomeFolder *f, guint body)
{
	guint n = 0;
	for (guint i = 0; i < HOME_MESSAGES; i++)
		n += f->messages[i].uid && f->messages[i].body == body;
	return n;
}

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID,
	ENDPOINT_MODSEQ | ENDPOINT_MOVE,
	0,
};

static void
move_here (World *w, guint body)
{
	Count c = here (w, "INBOX", body);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) to = store_folder_by_path (s, "Work", NULL);
	assert_int_equal (c.n, 1);
	assert_true (store_begin (s, NULL) && store_move (s, c.placement, to->id, NULL, NULL) && store_commit (s, NULL));
}

static void
a_twin_that_comes_where_a_message_is_moved_to_is_not_that_message (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k]);
		add_others (w, home_date (TWIN) + 1000);
		add_twin (w, w->inbox, TWIN);
		run (w);
		move_here (w, TWIN);
		add_twin (w, w->work, OTHER_TWIN);
		for (guint i = 0; i < 3; i++) {
			SyncResult r = run (w);
			assert_int_equal (r.held, 0);
			assert_int_equal (there (w->work, TWIN), 1);
			assert_int_equal (there (w->work, OTHER_TWIN), 1);
			assert_int_equal (there (w->inbox, TWIN), 0);
			assert_int_equal (here (w, "Work", TWIN).n, 1);
			assert_int_equal (here (w, "Work", OTHER_TWIN).n, 1);
		}
		world_free (w);
	}
}

static void
check_replaced (World *w)
{
	for (guint i = 0; i < 2; i++) {
		SyncResult r = run (w);
		assert_int_equal (r.held, 1); /* it may still arrive */
		assert_int_equal (here (w, "INBOX", TWIN).n, 1);
		assert_int_equal (here (w, "INBOX", OTHER_TWIN).n, 1);
		assert_int_equal (there (w->inbox, OTHER_TWIN), 1);
		assert_int_equal (there (w->inbox, TWIN), 0);
	}
}

static void
migrate (World *w)
{
	HomeChange change = {.new_validity = TRUE, .order = ORDER_SHUFFLED};
	home_change (w->home, w->inbox, &change);
}

static void
a_twin_that_came_in_the_last_second_is_not_what_the_migration_left_out (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k]);
		add_others (w, home_date (TWIN) - 1000);
		HomeMessage *m = add_twin (w, w->inbox, TWIN);
		run (w);
		home_remove (w->home, w->inbox, m);
		add_twin (w, w->inbox, OTHER_TWIN);
		migrate (w);
		check_replaced (w);
		world_free (w);
	}
}

static void
a_twin_that_was_moved_in_is_not_what_the_migration_left_out (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k]);
		add_others (w, home_date (TWIN) + 1000);
		HomeMessage *m = add_twin (w, w->inbox, TWIN), *other = add_twin (w, w->work, OTHER_TWIN);
		run (w);
		home_remove (w->home, w->inbox, m);
		home_remove (w->home, w->work, other);
		add_twin (w, w->inbox, OTHER_TWIN);
		migrate (w);
		check_replaced (w);
		assert_int_equal (here (w, "Work", OTHER_TWIN).n, 0);
		world_free (w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (a_twin_that_comes_where_a_message_is_moved_to_is_not_that_message),
		cmocka_unit_test (a_twin_that_came_in_the_last_second_is_not_what_the_migration_left_out),
		cmocka_unit_test (a_twin_that_was_moved_in_is_not_what_the_migration_left_out),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
