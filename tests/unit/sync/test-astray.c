/* SPDX-License-Identifier: Apache-2.0 */
/* A message that was moved on both sides is in one place afterwards, each once, whatever the first run after that could look into, and what
 * else was done to the folder it was in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

#define MESSAGES 12

typedef struct {
	const char *name;
	const char *only;          /* the folder of the first run (--folder); NULL: all */
	const char *refused;       /* the home refuses to open it in the first run */
	gboolean removed_here;     /* the folder it was in */
	gboolean removed_there;
	gboolean restored;         /* it was removed from its new place here, and restored */
	gboolean awaits;           /* the folder that it is in at home now waits for other mail */
	gboolean both;             /* it was moved to the same place there */
	gboolean read_there;
	gboolean not_moved_there;
} Case;

static const Case cases[] = {
	{.name = "nothing else"},
	{.name = "only the old folder is synchronised", .only = "Old"},
	{.name = "only the home's new folder is synchronised", .only = "Third"},
	{.name = "only this side's new folder is synchronised", .only = "Work"},
	{.name = "only another folder is synchronised", .only = "INBOX"},
	{.name = "the old folder is refused once", .refused = "Old"},
	{.name = "the home's new folder is refused once", .refused = "Third"},
	{.name = "this side's new folder is refused once", .refused = "Work"},
	{.name = "the old folder is removed here", .removed_here = TRUE},
	{.name = "the old folder is removed at home", .removed_there = TRUE},
	{.name = "the old folder is removed on both sides", .removed_here = TRUE, .removed_there = TRUE},
	{.name = "the old folder is removed here, and only the home's new one synchronised", .removed_here = TRUE, .only = "Third"},
	{.name = "the old folder is removed at home, and only this side's new one synchronised", .removed_there = TRUE, .only = "Work"},
	{.name = "the old folder is removed at home, and the home's new one is refused once", .removed_there = TRUE, .refused = "Third"},
	{.name = "the old folder is removed here, and the home's new one is refused once", .removed_here = TRUE, .refused = "Third"},
	{.name = "it was removed and restored here", .restored = TRUE},
	{.name = "it was removed and restored here, and the old folder removed", .restored = TRUE, .removed_here = TRUE},
	{.name = "it was removed and restored here, and the home's new folder is refused once", .restored = TRUE, .refused = "Third"},
	{.name = "the home's new folder waits for other mail", .awaits = TRUE},
	{.name = "the same place on both sides", .both = TRUE},
	{.name = "the same place on both sides, and only the old folder is synchronised", .both = TRUE, .only = "Old"},
	{.name = "the same place on both sides, and the old folder is removed there", .both = TRUE, .removed_there = TRUE},
	{.name = "it was read there, and the home's new folder is refused once", .read_there = TRUE, .refused = "Third"},
	{.name = "moved here alone, and the old folder removed", .not_moved_there = TRUE, .removed_here = TRUE},
	{.name = "moved here alone, removed and restored", .not_moved_there = TRUE, .restored = TRUE},
	{.name = "moved here alone, and only this side's new folder is synchronised", .not_moved_there = TRUE, .only = "Work"},
};

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID,
	ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS,
	ENDPOINT_MODSEQ | ENDPOINT_MOVE,
	0,
};

typedef struct {
	const Case *c;
	char *path;
	Home *home;
} World;

static SyncResult
run (World *w, const char *only)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	const char *const folders[] = {only, NULL};
	SyncResult r;
	g_autoptr (GError) error = NULL;
	if (only)
		o.folders = folders;
	if (!home_sync (w->home, w->path, &o, &r, &error))
		fail_msg ("%s: run failed: %s", w->c->name, error->message);
	return r;
}

typedef struct {
	Store *store;
	guint body;
	gint64 placement;
	guint n, flags;
} Search;

static guint
body_of (Store *s, gint64 message)
{
	g_autoptr (Message) m = store_message (s, message, NULL);
	return (guint) atoi (m->subject + strlen ("number "));
}

static gboolean
search_one (gpointer data, const Placement *p)
{
	Search *search = data;
	if (body_of (search->store, p->message) == search->body) {
		search->placement = p->id;
		search->flags = p->flags;
		search->n++;
	}
	return TRUE;
}

static Search
here (Store *s, const char *path, guint body)
{
	Search search = {s, body, 0, 0, 0};
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_true (!f || store_each_placement (s, f->id, 0, search_one, &search, NULL));
	return search;
}

static HomeMessage *
there (HomeFolder *f, guint body, guint *n)
{
	HomeMessage *found = NULL;
	for (guint i = 0; f && i < HOME_MESSAGES; i++)
		if (f->messages[i].uid && f->messages[i].body == body) {
			found = &f->messages[i];
			*n += 1;
		}
	return found;
}

static gint64
folder_id (Store *s, const char *path)
{
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_non_null (f);
	return f->id;
}

static void
change_here (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	gint64 id;
	assert_true (store_begin (s, NULL) && store_move (s, here (s, "Old", 0).placement, folder_id (s, "Work"), &id, NULL));
	if (w->c->restored) {
		assert_true (store_remove (s, id, "here", NULL));
		g_autoptr (GPtrArray) removed = store_removed_messages (s, 1, NULL);
		assert_true (removed->len == 1 && store_undelete (s, ((RemovedMessage *) removed->pdata[0])->id, NULL, NULL));
	}
	if (w->c->removed_here) {
		assert_true (store_move (s, here (s, "Old", 1).placement, folder_id (s, "INBOX"), NULL, NULL));
		assert_true (store_folder_delete (s, folder_id (s, "Old"), "here", NULL));
	}
	assert_true (store_commit (s, NULL));
}

static void
change_there (World *w)
{
	HomeFolder *old = home_folder (w->home, "Old"), *to = home_folder (w->home, w->c->both ? "Work" : "Third");
	guint n = 0;
	for (guint body = 0; body < (w->c->removed_there ? 2 : 1) && !w->c->not_moved_there; body++) {
		HomeMessage *m = there (old, body, &n);
		home_add (w->home, to, body, m->flags | (w->c->read_there ? FLAG_SEEN : 0), *m->keywords ? m->keywords : NULL);
		home_remove (w->home, old, m);
	}
	if (w->c->removed_there)
		home_delete (w->home, "Old");
}

/* Third is another folder by number now, and lacks one that it had. */
static void
let_it_await (World *w)
{
	home_change (w->home, home_folder (w->home, "Third"), &(HomeChange){.new_validity = TRUE, .order = ORDER_KEPT, .keep = 4});
	assert_int_equal (run (w, NULL).held, 1);
}

static World *
world_new (const Case *c, guint abilities)
{
	World *w = g_new0 (World, 1);
	w->c = c;
	w->path = home_store_path ();
	w->home = home_new (abilities, (abilities & ENDPOINT_UIDPLUS) != 0);
	home_create (w->home, "Old");
	home_create (w->home, "Work");
	home_create (w->home, "Third");
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, home_folder (w->home, i < 2 ? "Old" : i < 7 ? "INBOX" : "Third"), i, i ? FLAG_FLAGGED : 0, i % 3 ? NULL : "blue");
	run (w, NULL);
	if (c->awaits)
		let_it_await (w);
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_free (w);
}

static void
report (gpointer data, const char *what)
{
	fail_msg ("%s: %s", ((World *) data)->c->name, what);
}

/* It is in Work, once, and so is each other message where it is. */
static void
check (World *w, guint abilities)
{
	static const char *const folders[] = {"INBOX", "Old", "Work", "Third"};
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	guint64 findings;
	for (guint body = 0; body < MESSAGES; body++) {
		guint n_here = 0, n_there = 0, at = 0;
		for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
			guint before = n_there;
			Search found = here (s, folders[i], body);
			HomeMessage *m = there (home_folder (w->home, folders[i]), body, &n_there);
			n_here += found.n;
			at = found.n ? i : at;
			if (found.n != n_there - before && !(w->c->awaits && body == MESSAGES - 1))
				fail_msg ("%s, abilities %x: message %u is %u times in %s here, %u at home", w->c->name, abilities, body, found.n, folders[i], n_there - before);
			if (m && found.n && found.flags != m->flags)
				fail_msg ("%s, abilities %x: flags of message %u are %x here, %x at home", w->c->name, abilities, body, found.flags, m->flags);
			if (body == 0 && w->c->read_there && found.n && !(found.flags & FLAG_SEEN))
				fail_msg ("%s, abilities %x: it is not read", w->c->name, abilities);
		}
		if (n_here != 1)
			fail_msg ("%s, abilities %x: message %u is %u times here", w->c->name, abilities, body, n_here);
		if (body == 0 && strcmp (folders[at], "Work") != 0)
			fail_msg ("%s, abilities %x: it is in %s", w->c->name, abilities, folders[at]);
	}
	assert_true (store_check (s, FALSE, FALSE, report, w, NULL, &findings, NULL));
	assert_int_equal (findings, 0);
}

static void
what_both_sides_moved_is_in_one_place (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
		for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
			World *w = world_new (&cases[i], kinds[k]);
			guint fetched = w->home->fetched, appended;
			change_here (w);
			change_there (w);
			if (cases[i].refused)
				g_strlcpy (w->home->refuses_to_open, cases[i].refused, sizeof w->home->refuses_to_open);
			run (w, cases[i].only);
			*w->home->refuses_to_open = '\0';
			for (guint n = 0; n < 3; n++)
				run (w, NULL);
			guint writes = w->home->writes;
			appended = w->home->appended;
			run (w, NULL);
			check (w, kinds[k]);
			if (w->home->writes != writes)
				fail_msg ("%s, abilities %x: there is no end of it", cases[i].name, kinds[k]);
			if (w->home->fetched != fetched || appended)
				fail_msg ("%s, abilities %x: %u fetched, %u sent again", cases[i].name, kinds[k], w->home->fetched - fetched, appended);
			world_free (w);
		}
}

static void
add_here (World *w, const char *folder, guint number)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	char *text = home_text (number);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (number), 0);
	gint64 message;
	assert_true (store_begin (s, NULL) && store_add_message (s, p, folder_id (s, folder), &message, NULL));
	assert_true (store_place (s, folder_id (s, folder), message, FLAG_SEEN, NULL, TRUE, 0, NULL, NULL) && store_commit (s, NULL));
}

/* Whatever answer of the run that sends it is lost. FALSE: there is no such one. */
static gboolean
remove_after (guint abilities, guint lost)
{
	static const Case c = {.name = "a folder is removed with what was sent to it"};
	World *w = world_new (&c, abilities);
	SyncOptions o = SYNC_OPTIONS_INIT;
	SyncResult r;
	add_here (w, "Work", 100);
	w->home->moment = 0;
	w->home->lost_answer = lost;
	gboolean failed = !home_sync (w->home, w->path, &o, &r, NULL);
	w->home->lost_answer = 0;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	assert_true (store_begin (s, NULL) && store_folder_delete (s, folder_id (s, "Work"), "here", NULL) && store_commit (s, NULL));
	for (guint i = 0; i < 3; i++)
		if (run (w, NULL).conflicts)
			fail_msg ("abilities %x, answer %u lost: the folder was restored", abilities, lost);
	if (home_folder (w->home, "Work"))
		fail_msg ("abilities %x, answer %u lost: the folder came back", abilities, lost);
	world_free (w);
	return failed;
}

static void
a_folder_is_removed_with_what_was_sent_to_it (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
		for (guint lost = 1; remove_after (kinds[k], lost); lost++)
			;
}

/* A run that loses an answer, then it is moved on here, and read at home. */
static gboolean
move_on_after (guint abilities, guint lost)
{
	static const Case c = {.name = "moved on after it was sent, and read at home"};
	static const char *const places[] = {"Old", "Work"};
	World *w = world_new (&c, abilities);
	SyncOptions o = SYNC_OPTIONS_INIT;
	SyncResult r;
	guint n = 0;
	change_here (w);
	w->home->moment = 0;
	w->home->lost_answer = lost;
	gboolean failed = !home_sync (w->home, w->path, &o, &r, NULL);
	w->home->lost_answer = 0;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	assert_true (store_begin (s, NULL) && store_move (s, here (s, "Work", 0).placement, folder_id (s, "INBOX"), NULL, NULL) && store_commit (s, NULL));
	for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
		HomeFolder *f = home_folder (w->home, places[i]);
		HomeMessage *m = there (f, 0, &n);
		if (m)
			home_set_flags (w->home, f, m, FLAG_SEEN, NULL);
	}
	for (guint i = 0; i < 3; i++)
		run (w, NULL);
	Search found = here (s, "INBOX", 0);
	HomeMessage *m = there (home_folder (w->home, "INBOX"), 0, &n);
	if (found.n != 1 || !m || found.flags != FLAG_SEEN || m->flags != FLAG_SEEN)
		fail_msg ("abilities %x, answer %u lost: %u here with flags %x, %s at home", abilities, lost, found.n, found.flags, m ? "one" : "none");
	world_free (w);
	return failed;
}

static void
what_is_moved_on_after_it_was_sent_takes_along_what_was_changed_at_home (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
		for (guint lost = 1; move_on_after (kinds[k], lost); lost++)
			;
}

/* It was about to be sent when the folder was numbered anew, and what the folder has lost since was removed here. */
static void
what_was_not_sent_before_a_migration_is_sent_after_it (void **state)
{
	static const Case c = {.name = "a message is added, another removed, and the folder numbered anew without that"};
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (&c, kinds[k]);
		HomeFolder *third = home_folder (w->home, "Third");
		guint n = 0;
		add_here (w, "Third", 100);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		assert_true (store_begin (s, NULL) && store_set_watermark (s, folder_id (s, "Third"), third->uidnext, third->uidvalidity, NULL));
		assert_true (store_remove (s, here (s, "Third", MESSAGES - 1).placement, "here", NULL) && store_commit (s, NULL));
		home_remove (w->home, third, there (third, MESSAGES - 1, &n));
		home_change (w->home, third, &(HomeChange){.new_validity = TRUE, .order = ORDER_KEPT});
		for (guint i = 0; i < 3; i++)
			assert_int_equal (run (w, NULL).held, 0);
		if (!there (third, 100, &n))
			fail_msg ("abilities %x: it is not sent", kinds[k]);
		world_free (w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (what_both_sides_moved_is_in_one_place),
		cmocka_unit_test (a_folder_is_removed_with_what_was_sent_to_it),
		cmocka_unit_test (what_was_not_sent_before_a_migration_is_sent_after_it),
		cmocka_unit_test (what_is_moved_on_after_it_was_sent_takes_along_what_was_changed_at_home),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
