/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody goes on reading, moving and deleting here while a run is under way: whatever they do at whatever moment of it, soon the home has
 * what is here, each message once. With answers that are told, lost, or given without UIDs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

enum { MOVED, COPIED, FLAGGED, REMOVED, QUIET, MESSAGES, ADDED = 100 };

typedef struct {
	char *path;
	Home *home;
	const struct Edit *edit;
	guint at;      /* the moment of the edit */
	char *outcome; /* what was here after it; NULL: not yet */
} World;

/* ---- Edits ---- */

typedef struct {
	Store *store;
	guint body;
	Placement found; /* without keywords */
} Search;

static guint
body_of (Store *s, gint64 message)
{
	g_autoptr (Message) m = store_message (s, message, NULL);
	assert_non_null (m);
	return (guint) atoi (m->subject + strlen ("number "));
}

static gboolean
search_one (gpointer data, const Placement *p)
{
	Search *search = data;
	if (body_of (search->store, p->message) != search->body)
		return TRUE;
	search->found = *p;
	search->found.keywords = NULL;
	return FALSE;
}

static gint64
folder_id (Store *s, const char *path)
{
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_non_null (f);
	return f->id;
}

/* The placement of @body in @folder; its id is 0 if it is not there. */
static Placement
find (Store *s, const char *folder, guint body)
{
	Search search = {s, body, {0}};
	assert_true (store_each_placement (s, folder_id (s, folder), 0, search_one, &search, NULL));
	return search.found;
}

static gint64
move (Store *s, gint64 placement, const char *to)
{
	gint64 id;
	assert_true (store_move (s, placement, folder_id (s, to), &id, NULL));
	return id;
}

static void
undelete (Store *s, guint body)
{
	g_autoptr (GPtrArray) list = store_removed_messages (s, 100, NULL);
	gint64 placement;
	guint i = 0;
	while (i < list->len && body_of (s, ((RemovedMessage *) list->pdata[i])->message) != body)
		i++;
	assert_true (i < list->len && store_undelete (s, ((RemovedMessage *) list->pdata[i])->id, &placement, NULL));
}

typedef enum { DELETE = 1, FLAG, MOVE_ON, MOVE_BACK, MOVE_TWICE, COPY_ON, UNDELETE, DELETE_UNDELETE, MOVE_ON_DELETE } What;

typedef struct Edit {
	const char *name;
	What what;
	const char *folder;
	guint body;
} Edit;

static const Edit edits[] = {
	{"what was moved is deleted", DELETE, "Work", MOVED},
	{"what was moved is moved on", MOVE_ON, "Work", MOVED},
	{"what was moved is moved back", MOVE_BACK, "Work", MOVED},
	{"what was moved is moved on and on", MOVE_TWICE, "Work", MOVED},
	{"what was moved is moved on and deleted", MOVE_ON_DELETE, "Work", MOVED},
	{"what was moved is flagged", FLAG, "Work", MOVED},
	{"what was moved is copied", COPY_ON, "Work", MOVED},
	{"what was moved is deleted and restored", DELETE_UNDELETE, "Work", MOVED},
	{"what was copied is deleted", DELETE, "Work", COPIED},
	{"what was copied is moved on", MOVE_ON, "Work", COPIED},
	{"the original of a copy is deleted", DELETE, "INBOX", COPIED},
	{"the original of a copy is moved", MOVE_ON, "INBOX", COPIED},
	{"what was added is deleted", DELETE, "Work", ADDED},
	{"what was added is moved on", MOVE_ON, "Work", ADDED},
	{"what was added is moved on and on", MOVE_TWICE, "Work", ADDED},
	{"what was added is flagged", FLAG, "Work", ADDED},
	{"what was added is copied", COPY_ON, "Work", ADDED},
	{"what was added is deleted and restored", DELETE_UNDELETE, "Work", ADDED},
	{"what was flagged is deleted", DELETE, "INBOX", FLAGGED},
	{"what was flagged is moved", MOVE_ON, "INBOX", FLAGGED},
	{"what was flagged is flagged otherwise", FLAG, "INBOX", FLAGGED},
	{"what was flagged is deleted and restored", DELETE_UNDELETE, "INBOX", FLAGGED},
	{"what was deleted is restored", UNDELETE, NULL, REMOVED},
	{"something else is deleted", DELETE, "INBOX", QUIET},
	{"something else is moved", MOVE_ON, "INBOX", QUIET},
};

static void
carry_out (Store *s, const Edit *e)
{
	gint64 id = e->folder ? find (s, e->folder, e->body).id : 0;
	assert_true (!e->folder || id);
	switch (e->what) {
	case MOVE_ON_DELETE:
		id = move (s, id, "Third");
		/* fall through */
	case DELETE:
		assert_true (store_remove (s, id, "here", NULL));
		break;
	case FLAG: /* of what was sent whole nobody knows with which flags: what both sides have is merged */
		assert_true (store_set_flags (s, id, FLAG_ANSWERED | (e->body == ADDED ? FLAG_SEEN : 0), "green", NULL));
		break;
	case MOVE_TWICE:
		id = move (s, id, "Third");
		/* fall through */
	case MOVE_BACK:
		move (s, id, "INBOX");
		break;
	case MOVE_ON:
		move (s, id, "Third");
		break;
	case COPY_ON: {
		g_autoptr (Placement) p = store_placement (s, id, NULL);
		assert_true (store_place (s, folder_id (s, "Third"), p->message, p->flags, p->keywords, TRUE, id, NULL, NULL));
		break;
	}
	case DELETE_UNDELETE:
		assert_true (store_remove (s, id, "here", NULL));
		/* fall through */
	case UNDELETE:
		undelete (s, e->body);
		break;
	}
}

/* ---- The state of both sides, in words ---- */

typedef struct {
	Store *store;
	const char *folder;
	GPtrArray *lines;
} Scan;

static gboolean
scan_one (gpointer data, const Placement *p)
{
	Scan *scan = data;
	g_ptr_array_add (scan->lines, g_strdup_printf ("%s %u %x %s", scan->folder, body_of (scan->store, p->message), p->flags, p->keywords ? p->keywords : ""));
	return TRUE;
}

static int
by_text (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

static char *
joined (GPtrArray *lines)
{
	g_ptr_array_sort (lines, by_text);
	g_ptr_array_add (lines, NULL);
	return g_strjoinv ("\n", (char **) lines->pdata);
}

static const char *const folders[] = {"INBOX", "Work", "Third"};

static char *
here (Store *s)
{
	g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
		Scan scan = {s, folders[i], lines};
		assert_true (store_each_placement (s, folder_id (s, folders[i]), 0, scan_one, &scan, NULL));
	}
	return joined (lines);
}

static char *
there (Home *h)
{
	g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
		const HomeFolder *f = home_folder (h, folders[i]);
		for (guint k = 0; k < HOME_MESSAGES; k++)
			if (f->messages[k].uid)
				g_ptr_array_add (lines, g_strdup_printf ("%s %u %x %s", folders[i], f->messages[k].body, f->messages[k].flags, f->messages[k].keywords));
	}
	return joined (lines);
}

/* ---- Runs ---- */

static void
edit_now (gpointer data, guint moment)
{
	World *w = data;
	if (moment != w->at)
		return;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	assert_true (store_begin (s, NULL));
	carry_out (s, w->edit);
	assert_true (store_commit (s, NULL));
	w->outcome = here (s);
}

static SyncResult
run (World *w, gboolean may_fail)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	SyncResult r;
	g_autoptr (GError) error = NULL;
	if (!home_sync (w->home, w->path, &o, &r, &error) && !may_fail)
		fail_msg ("run failed: %s", error->message);
	return r;
}

static void
add_here (Store *s, const char *folder, guint number)
{
	char *text = home_text (number);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (number), 0);
	gint64 message;
	assert_true (store_add_message (s, p, folder_id (s, folder), &message, NULL));
	assert_true (store_place (s, folder_id (s, folder), message, FLAG_SEEN, NULL, TRUE, 0, NULL, NULL));
}

static World *
world_new (guint abilities)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, (abilities & ENDPOINT_UIDPLUS) != 0);
	home_create (w->home, "Work");
	home_create (w->home, "Third");
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, home_folder (w->home, "INBOX"), i, i % 2 ? FLAG_SEEN : 0, i % 3 ? NULL : "blue");
	run (w, FALSE);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	Placement copied = find (s, "INBOX", COPIED);
	assert_true (store_begin (s, NULL));
	move (s, find (s, "INBOX", MOVED).id, "Work");
	assert_true (store_place (s, folder_id (s, "Work"), copied.message, copied.flags, NULL, TRUE, copied.id, NULL, NULL));
	assert_true (store_set_flags (s, find (s, "INBOX", FLAGGED).id, FLAG_FLAGGED, "red", NULL));
	assert_true (store_remove (s, find (s, "INBOX", REMOVED).id, "here", NULL));
	add_here (s, "Work", ADDED);
	assert_true (store_commit (s, NULL));
	w->home->moment = 0;
	w->home->meanwhile = edit_now;
	w->home->meanwhile_data = w;
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_free (w->outcome);
	g_free (w);
}

static void
report (gpointer data, const char *what)
{
	fail_msg ("%s: %s", (const char *) data, what);
}

static void
check_step (World *w, const char *name)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autofree char *now = here (s), *home = there (w->home);
	guint64 findings;
	if (strcmp (now, w->outcome) != 0 || strcmp (home, w->outcome) != 0)
		fail_msg ("%s\n-- it was\n%s\n-- and is here\n%s\n-- and at home\n%s", name, w->outcome, now, home);
	assert_true (store_check (s, FALSE, FALSE, report, (gpointer) name, NULL, &findings, NULL));
	assert_int_equal (findings, 0);
}

/* A home that has the flags which were sent, and an answer that was not told, is like one where somebody else set them: both are merged. */
static gboolean
is_undecidable (const Edit *e, gboolean lost)
{
	return lost && e->what == FLAG && e->body == FLAGGED;
}

/* FALSE: the run has no such moment. */
static gboolean
try (guint abilities, const Edit *edit, guint at, gboolean lost)
{
	World *w = world_new (abilities);
	g_autofree char *name = g_strdup_printf ("%s at moment %u, abilities %x%s", edit->name, at, abilities, lost ? ", the answer is lost" : "");
	w->edit = edit;
	w->at = at;
	w->home->lost_answer = lost ? at : 0;
	run (w, lost);
	gboolean was = w->outcome != NULL;
	for (guint i = 0; was && i < 3; i++)
		run (w, FALSE);
	guint writes = w->home->writes;
	if (was) {
		run (w, FALSE);
		check_step (w, name);
		if (w->home->writes != writes)
			fail_msg ("%s: there is no end of it", name);
	}
	world_free (w);
	return was;
}

static void
what_is_done_here_during_a_run_counts (void **state)
{
	static const guint kinds[] = {
		ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID,
		ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS,
		ENDPOINT_MODSEQ | ENDPOINT_MOVE,
		0,
	};
	guint tried = 0, step = g_getenv ("OUTPOST_MEANWHILE") ? 1 : 11; /* a part of the moments, each of some edits */
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
		for (guint i = 0; i < G_N_ELEMENTS (edits); i++)
			for (guint lost = FALSE; lost <= TRUE; lost++)
				for (guint at = 1 + tried % step; !is_undecidable (&edits[i], lost) && try (kinds[k], &edits[i], at, lost); at += step)
					tried++;
	assert_true (tried > 150);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test (what_is_done_here_during_a_run_counts)};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
