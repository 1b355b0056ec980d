/* SPDX-License-Identifier: Apache-2.0 */
/* Random histories: edits on both sides while offline, a run, and both sides must be what a model says; the same with the process
 * killed at steps of the run, and with the connection failing at calls. OUTPOST_HISTORIES sets how many (default 40). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "sync.h"
#include "sync-plan.h"
#include "store-binding.h"

#define BODIES 400
static const char *const folder_names[] = {"INBOX", "Archive", "Work", "Work/Deep", "Sent"};
static const char *const words[] = {NULL, "blue", "$Forwarded", "blue green"};

typedef struct {
	gboolean present;
	int folder;
	guint flags;
	const char *keywords;
} Side;

typedef struct {
	Side base, here, home;
	gboolean touched; /* moved or removed in this round by one side */
} Body;

typedef struct {
	char *path;
	Home *home;
	Body bodies[BODIES];
	guint n_bodies;
	GRand *rand;
} World;

static World *
world_new (guint32 seed, guint abilities, gboolean tells)
{
	World *w = g_new0 (World, 1);
	w->path = home_store_path ();
	w->home = home_new (abilities, tells);
	w->rand = g_rand_new_with_seed (seed);
	for (gsize i = 1; i < G_N_ELEMENTS (folder_names); i++)
		home_create (w->home, folder_names[i]);
	return w;
}

static void
world_free (World *w)
{
	home_store_remove (w->path);
	home_free (w->home);
	g_rand_free (w->rand);
	g_free (w);
}

static int
dice (World *w, int n)
{
	return g_rand_int_range (w->rand, 0, n);
}

/* Where only all that is marked as deleted can be removed, nobody marks anything here: sync-pushes is about that. */
static guint
some_flags (World *w)
{
	return (guint) dice (w, 32) & ~(w->home->abilities & ENDPOINT_UIDPLUS ? 0u : FLAG_DELETED);
}

static SyncOptions
options (void)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	o.mailbox = "test";
	o.guard_all = 6; /* folders are small here, and their last messages often move */
	return o;
}

static gboolean
run_once (World *w, SyncResult *r, GError **error)
{
	SyncOptions o = options ();
	return home_sync (w->home, w->path, &o, r, error);
}

static void
approve_all (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < holds->len; i++)
		assert_true (store_settle_hold (s, ((Hold *) holds->pdata[i])->id, HOLD_APPLY, 1, NULL));
	assert_true (store_commit (s, NULL));
}

/* Runs until nothing is held, then once more: that run must change nothing. */
static void
settle (World *w)
{
	SyncResult r;
	for (int i = 0; i < 6; i++) {
		g_autoptr (GError) error = NULL;
		if (!run_once (w, &r, &error))
			fail_msg ("run failed: %s", error->message);
		if (!r.held)
			break;
		approve_all (w);
	}
	assert_int_equal (r.held, 0);
	guint fetched = w->home->fetched, writes = w->home->writes;
	assert_true (run_once (w, &r, NULL));
	assert_int_equal (w->home->fetched, fetched);
	assert_int_equal (w->home->writes, writes);
	assert_int_equal (r.added_here + r.updated_here + r.removed_here + r.added_home + r.updated_home + r.removed_home, 0);
}

static guint
body_of (Store *s, gint64 message)
{
	g_autoptr (Message) m = store_message (s, message, NULL);
	assert_non_null (m);
	return (guint) atoi (m->subject + strlen ("number "));
}

typedef struct {
	Store *store;
	guint body;
	gint64 found;
	GString *text;
} Scan;

static gboolean
find_body (gpointer data, const Placement *p)
{
	Scan *scan = data;
	if (body_of (scan->store, p->message) == scan->body)
		scan->found = p->id;
	return scan->found == 0;
}

static gint64
placement_of (Store *s, int folder, guint body)
{
	g_autoptr (Folder) f = store_folder_by_path (s, folder_names[folder], NULL);
	Scan scan = {s, body, 0, NULL};
	assert_non_null (f);
	assert_true (store_each_placement (s, f->id, 0, find_body, &scan, NULL));
	return scan.found;
}

static HomeMessage *
home_message (World *w, int folder, guint body)
{
	HomeFolder *f = home_folder (w->home, folder_names[folder]);
	for (int i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid && f->messages[i].body == body)
			return &f->messages[i];
	return NULL;
}

/* ---- Edits ---- */

static void
edit_home (World *w)
{
	int what = dice (w, 10);
	guint n = w->n_bodies ? (guint) dice (w, (int) w->n_bodies) : 0;
	Body *b = &w->bodies[n];
	if ((what < 4 || !w->n_bodies) && w->n_bodies < BODIES) {
		n = w->n_bodies++;
		b = &w->bodies[n];
		b->home = (Side){TRUE, dice (w, 5), some_flags (w), words[dice (w, 4)]};
		b->touched = TRUE;
		home_add (w->home, home_folder (w->home, folder_names[b->home.folder]), n, b->home.flags, b->home.keywords);
		return;
	}
	HomeFolder *f = home_folder (w->home, folder_names[b->home.folder]);
	HomeMessage *m = b->home.present ? home_message (w, b->home.folder, n) : NULL;
	if (!m)
		return;
	if (what < 8) {
		b->home.flags = some_flags (w);
		b->home.keywords = words[dice (w, 4)];
		home_set_flags (w->home, f, m, b->home.flags, b->home.keywords);
	} else if (!b->touched && what == 8) {
		b->touched = TRUE;
		b->home.present = FALSE;
		home_remove (w->home, f, m);
	} else if (!b->touched) {
		b->touched = TRUE;
		b->home.folder = dice (w, 5);
		home_add (w->home, home_folder (w->home, folder_names[b->home.folder]), n, m->flags, *m->keywords ? m->keywords : NULL);
		home_remove (w->home, f, m);
	}
}

static void
add_here (World *w, Store *s)
{
	guint n = w->n_bodies++;
	Body *b = &w->bodies[n];
	gint64 message;
	b->here = (Side){TRUE, dice (w, 5), some_flags (w), words[dice (w, 4)]};
	b->touched = TRUE;
	char *text = home_text (n);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (n), 0);
	g_autoptr (Folder) f = store_folder_by_path (s, folder_names[b->here.folder], NULL);
	assert_non_null (f);
	assert_true (store_add_message (s, p, f->id, &message, NULL));
	assert_true (store_place (s, f->id, message, b->here.flags, b->here.keywords, TRUE, 0, NULL, NULL));
}

static void
edit_here (World *w, Store *s)
{
	int what = dice (w, 10);
	guint n = w->n_bodies ? (guint) dice (w, (int) w->n_bodies) : 0;
	Body *b = &w->bodies[n];
	if (what < 3 && w->n_bodies < BODIES) {
		add_here (w, s);
		return;
	}
	gint64 p = w->n_bodies && b->here.present ? placement_of (s, b->here.folder, n) : 0;
	if (!p)
		return;
	if (what < 7) {
		b->here.flags = some_flags (w);
		b->here.keywords = words[dice (w, 4)];
		assert_true (store_set_flags (s, p, b->here.flags, b->here.keywords, NULL));
	} else if (!b->touched && what == 7) {
		b->touched = TRUE;
		b->here.present = FALSE;
		assert_true (store_remove (s, p, "here", NULL));
	} else if (!b->touched) {
		b->touched = TRUE;
		b->here.folder = dice (w, 5);
		g_autoptr (Folder) f = store_folder_by_path (s, folder_names[b->here.folder], NULL);
		assert_true (store_move (s, p, f->id, NULL, NULL));
	}
}

static void
edit_both (World *w, int edits)
{
	g_autoptr (Store) s = store_open (w->path, STORE_CREATE, NULL);
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	for (guint i = 0; i < w->n_bodies; i++)
		w->bodies[i].touched = FALSE;
	for (int i = 0; i < edits; i++)
		edit_home (w);
	if (folders->len < G_N_ELEMENTS (folder_names))
		return; /* not synchronised yet */
	assert_true (store_begin (s, NULL));
	for (int i = 0; i < edits; i++)
		edit_here (w, s);
	assert_true (store_commit (s, NULL));
}

/* ---- The model and the comparison ---- */

static void
agree (World *w)
{
	for (guint i = 0; i < w->n_bodies; i++) {
		Body *b = &w->bodies[i];
		Side next = b->base;
		if (!b->base.present)
			next = b->here.present ? b->here : b->home;
		else {
			g_autofree char *merged = keywords_merge (b->base.keywords, b->here.keywords, b->home.keywords);
			next.present = b->here.present && b->home.present;
			next.folder = b->here.folder != b->base.folder ? b->here.folder : b->home.folder;
			next.flags = plan_merge_flags (b->base.flags, b->here.flags, b->home.flags);
			next.keywords = g_intern_string (merged ? merged : "");
			if (!*next.keywords)
				next.keywords = NULL;
		}
		b->base = b->here = b->home = next;
	}
}

static void
add_row (GPtrArray *rows, guint body, const char *folder, guint flags, const char *keywords)
{
	g_ptr_array_add (rows, g_strdup_printf ("%03u %s %u %s", body, folder, flags, keywords ? keywords : ""));
}

static int
compare_rows (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

static char *
rows_text (GPtrArray *rows)
{
	g_ptr_array_sort (rows, compare_rows);
	g_ptr_array_add (rows, NULL);
	char *text = g_strjoinv ("\n", (char **) rows->pdata);
	g_ptr_array_unref (rows);
	return text;
}

static char *
model_state (World *w)
{
	GPtrArray *rows = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < w->n_bodies; i++)
		if (w->bodies[i].base.present)
			add_row (rows, i, folder_names[w->bodies[i].base.folder], w->bodies[i].base.flags, w->bodies[i].base.keywords);
	return rows_text (rows);
}

static char *
home_state (World *w)
{
	GPtrArray *rows = g_ptr_array_new_with_free_func (g_free);
	for (int i = 0; i < HOME_FOLDERS; i++)
		for (int j = 0; w->home->folders[i].used && j < HOME_MESSAGES; j++) {
			HomeMessage *m = &w->home->folders[i].messages[j];
			g_autofree char *text = home_text (m->body);
			if (!m->uid)
				continue;
			assert_int_equal (m->size, strlen (text));
			assert_memory_equal (m->octets, text, m->size);
			add_row (rows, m->body, w->home->folders[i].name, m->flags, m->keywords);
		}
	return rows_text (rows);
}

typedef struct {
	Store *store;
	GPtrArray *rows;
	const char *folder;
} Collect;

static gboolean
collect (gpointer data, const Placement *p)
{
	Collect *c = data;
	guint body = body_of (c->store, p->message);
	g_autofree char *text = home_text (body);
	g_autoptr (GBytes) octets = store_read (c->store, p->message, 0, 1000, NULL);
	assert_int_equal (g_bytes_get_size (octets), strlen (text));
	assert_memory_equal (g_bytes_get_data (octets, NULL), text, strlen (text));
	add_row (c->rows, body, c->folder, p->flags, p->keywords);
	return TRUE;
}

static char *
here_state (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	GPtrArray *rows = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < folders->len; i++) {
		Folder *f = folders->pdata[i];
		Collect c = {s, rows, f->path};
		if (!f->local_only)
			assert_true (store_each_placement (s, f->id, 0, collect, &c, NULL));
	}
	return rows_text (rows);
}

static void
check_same (World *w)
{
	g_autofree char *model = model_state (w), *home = home_state (w), *here = here_state (w);
	assert_string_equal (home, model);
	assert_string_equal (here, model);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	guint64 appends, flags, removals;
	assert_true (store_count_unpushed (s, &appends, &flags, &removals, NULL));
	assert_int_equal (appends + flags + removals, 0);
}

static const struct {
	guint abilities;
	gboolean tells;
} kinds[] = {
	{ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID, TRUE},
	{ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_MOVE, FALSE},
	{ENDPOINT_MODSEQ, TRUE},
	{0, FALSE},
};

static int
histories (void)
{
	const char *n = g_getenv ("OUTPOST_HISTORIES");
	return n ? atoi (n) : 40;
}

static void
both_sides_agree_after_every_run (void **state)
{
	for (int h = 0; h < histories (); h++) {
		World *w = world_new ((guint32) h, kinds[h % 4].abilities, kinds[h % 4].tells);
		for (int round = 0; round < 4; round++) {
			edit_both (w, 5 + dice (w, 20));
			settle (w);
			agree (w);
			check_same (w);
		}
		world_free (w);
	}
}

static gboolean
run_and_die (World *w, int step)
{
	SyncOptions o = options ();
	return home_sync_and_die (w->home, w->path, &o, (guint) step);
}

static void
killed_at_every_step_nothing_is_lost_or_doubled (void **state)
{
	for (int h = 0; h < (histories () + 9) / 10; h++) {
		World *w = world_new ((guint32) (1000 + h), kinds[h % 4].abilities, kinds[h % 4].tells);
		edit_both (w, 25);
		settle (w);
		agree (w);
		int step = 1;
		for (gboolean died = TRUE; died && step < 200; step++) {
			edit_both (w, 8);
			died = run_and_die (w, step);
			settle (w);
			agree (w);
			check_same (w);
		}
		assert_true (step > 8);
		world_free (w);
	}
}

static void
cut_off_at_every_call_nothing_is_lost_or_doubled (void **state)
{
	for (int h = 0; h < (histories () + 9) / 10; h++) {
		World *w = world_new ((guint32) (2000 + h), kinds[h % 4].abilities, kinds[h % 4].tells);
		edit_both (w, 25);
		settle (w);
		agree (w);
		for (int call = 1; call < 20; call++) {
			SyncResult r;
			edit_both (w, 8);
			w->home->fail_at = w->home->calls + call;
			run_once (w, &r, NULL);
			w->home->fail_at = 0;
			settle (w);
			agree (w);
			check_same (w);
		}
		world_free (w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (both_sides_agree_after_every_run),
		cmocka_unit_test (killed_at_every_step_nothing_is_lost_or_doubled),
		cmocka_unit_test (cut_off_at_every_call_nothing_is_lost_or_doubled),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
