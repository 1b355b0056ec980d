/* SPDX-License-Identifier: Apache-2.0 */
/* Random storms: both sides move, remove, restore and flag the same messages, and make and remove folders, while runs look into one folder
 * only, are refused a folder, cut off, or killed. In the end both sides have the same, each message once, and what nobody removed is there.
 * OUTPOST_STORMS sets how many (default 60), OUTPOST_STORM the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

#define BODIES 60

#define NAMES 7

static const char *const flat[NAMES + 1] = {"INBOX", "Old", "Work", "Third", "Fourth"}; /* others come of two that want the same */
static const char *const trees[NAMES + 1] = {"INBOX", "A", "B", "A/C", "B/C", "A/C/D", "E"};

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID,
	ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS,
	ENDPOINT_MODSEQ | ENDPOINT_MOVE,
	0,
};

typedef struct World {
	char *path;
	Home *home;
	GRand *rand;
	const char *const *names; /* to NULL */
	guint n_bodies;
	gboolean removed[BODIES]; /* by anybody, once */
	gboolean restored[BODIES];/* here, at least once */
	gboolean twice[BODIES];   /* a run that could not see all left it in two places on a side: each counts for itself */
	guint been[BODIES];       /* at home, since all was settled: folders, by bit */
	GString *told;            /* what was done, for who reads a failure */
	gboolean migrates;        /* all folders of the home are numbered anew now and then */
	gboolean held;            /* something waits for a decision */
	guint moment;             /* of a run: somebody does something then */
	void (*then) (struct World *w);
} World;

static guint
dice (World *w, guint n)
{
	return (guint) g_rand_int_range (w->rand, 0, (gint32) n);
}

static const char *
any_name (World *w)
{
	return w->names[dice (w, g_strv_length ((char **) w->names))];
}

static void G_GNUC_PRINTF (2, 3)
tell (World *w, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_string_append_vprintf (w->told, format, args);
	g_string_append_c (w->told, '\n');
	va_end (args);
}

/* ---- Here ---- */

typedef struct {
	gint64 placement, message;
	guint body, flags;
	char folder[64];
} Item;

typedef struct {
	Store *store;
	const char *folder;
	GArray *items; /* Item */
} Scan;

static guint
body_of (Store *s, gint64 message)
{
	g_autoptr (Message) m = store_message (s, message, NULL);
	return (guint) atoi (m->subject + strlen ("number "));
}

static gboolean
scan_one (gpointer data, const Placement *p)
{
	Scan *scan = data;
	Item item = {p->id, p->message, body_of (scan->store, p->message), p->flags, ""};
	g_strlcpy (item.folder, scan->folder, sizeof item.folder);
	g_array_append_val (scan->items, item);
	return TRUE;
}

static GArray *
items_here (Store *s, const char *only)
{
	Scan scan = {s, NULL, g_array_new (FALSE, FALSE, sizeof (Item))};
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		scan.folder = f->path;
		if (!f->local_only && (!only || strcmp (only, f->path) == 0))
			assert_true (store_each_placement (s, f->id, 0, scan_one, &scan, NULL));
	}
	return scan.items;
}

static gint64
folder_id (Store *s, const char *path)
{
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	return f ? f->id : 0;
}

static void
restore_one (World *w, Store *s)
{
	g_autoptr (GPtrArray) list = store_removed_messages (s, 100, NULL);
	if (list->len == 0)
		return;
	RemovedMessage *r = list->pdata[dice (w, list->len)];
	g_autoptr (GArray) items = items_here (s, NULL);
	for (guint i = 0; i < items->len; i++)
		if (g_array_index (items, Item, i).message == r->message)
			return; /* it is here */
	tell (w, "here: %u is restored in %s", body_of (s, r->message), r->folder_path);
	w->restored[body_of (s, r->message)] = TRUE;
	assert_true (store_undelete (s, r->id, NULL, NULL));
}

static gboolean
has_below (Store *s, gint64 id)
{
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	for (guint i = 0; i < folders->len; i++)
		if (((Folder *) folders->pdata[i])->parent == id)
			return TRUE;
	return FALSE;
}

static void
remove_folder_here (World *w, Store *s, const char *name)
{
	gint64 id = folder_id (s, name);
	g_autoptr (GArray) items = items_here (s, name);
	if (!id || strcmp (name, "INBOX") == 0 || has_below (s, id))
		return;
	tell (w, "here: folder %s is removed", name);
	for (guint i = 0; i < items->len; i++)
		w->removed[g_array_index (items, Item, i).body] = TRUE;
	assert_true (store_folder_delete (s, id, "here", NULL));
}

static void
rename_folder_here (World *w, Store *s, const char *from, const char *to)
{
	gint64 id = folder_id (s, from);
	const char *slash = strrchr (to, '/');
	g_autofree char *parent = slash ? g_strndup (to, (gsize) (slash - to)) : NULL;
	gboolean below = g_str_has_prefix (to, from) && to[strlen (from)] == '/';
	if (!id || folder_id (s, to) || strcmp (from, "INBOX") == 0 || below || (parent && !folder_id (s, parent)))
		return;
	tell (w, "here: folder %s is called %s", from, to);
	assert_true (store_folder_rename (s, id, parent ? folder_id (s, parent) : 0, slash ? slash + 1 : to, NULL));
}

static void
add_here (World *w, Store *s, const char *name)
{
	gint64 id = folder_id (s, name), message;
	if (!id || w->n_bodies == BODIES)
		return;
	guint body = w->n_bodies++;
	tell (w, "here: %u is added to %s", body, name);
	char *text = home_text (body);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (body), 0);
	assert_true (store_add_message (s, p, id, &message, NULL) && store_place (s, id, message, 0, NULL, TRUE, 0, NULL, NULL));
}

static void
edit_here (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GArray) items = items_here (s, NULL);
	const char *name = any_name (w);
	guint what = dice (w, w->names == trees ? 40 : 21);
	Item *item = items->len ? &g_array_index (items, Item, dice (w, items->len)) : NULL;
	assert_true (store_begin (s, NULL));
	if (what < 10 && item && folder_id (s, name)) {
		tell (w, "here: %u from %s to %s", item->body, item->folder, name);
		assert_true (strcmp (item->folder, name) == 0 || store_move (s, item->placement, folder_id (s, name), NULL, NULL));
	} else if (what < 12 && item) {
		tell (w, "here: %u is removed from %s", item->body, item->folder);
		w->removed[item->body] = TRUE;
		assert_true (store_remove (s, item->placement, "here", NULL));
	} else if (what < 15)
		restore_one (w, s);
	else if (what < 17 && item) {
		tell (w, "here: %u in %s is flagged", item->body, item->folder);
		assert_true (store_set_flags (s, item->placement, item->flags ^ FLAG_FLAGGED, NULL, NULL));
	} else if (what < 18)
		add_here (w, s, name);
	else if (what < 19 || what > 35)
		remove_folder_here (w, s, name);
	else if (what < 20 || what > 28)
		rename_folder_here (w, s, any_name (w), name);
	else if (!folder_id (s, name)) {
		tell (w, "here: folder %s is made", name);
		assert_true (store_folder_create_path (s, name, NULL, NULL));
	}
	assert_true (store_commit (s, NULL));
}

/* ---- At home ---- */

/* It was sent, and the answer was lost: whether it came is for the next run to find out. */
static gboolean
is_on_the_way (World *w, guint body)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) pendings = store_pendings (s, 0, NULL), gone = store_pendings_gone (s, 0, NULL);
	gboolean is = FALSE;
	g_ptr_array_extend_and_steal (pendings, g_steal_pointer (&gone));
	for (guint i = 0; i < pendings->len; i++) {
		Pending *p = pendings->pdata[i];
		is |= p->watermark && body_of (s, p->message) == body;
	}
	return is;
}

static guint
index_of (World *w, const char *name)
{
	guint i = 0;
	while (w->names[i] && strcmp (w->names[i], name) != 0)
		i++;
	return i;
}

static HomeMessage *
any_there (World *w, HomeFolder **folder_out)
{
	for (guint tries = 0; tries < 200; tries++) {
		HomeFolder *f = &w->home->folders[dice (w, HOME_FOLDERS)];
		HomeMessage *m = &f->messages[dice (w, 2 * BODIES)];
		*folder_out = f;
		if (f->used && m->uid)
			return m;
	}
	return NULL;
}

static void
rename_folder_there (World *w, HomeFolder *f, const char *to)
{
	g_autofree char *from = g_strdup (f->name);
	gboolean below = g_str_has_prefix (to, from) && to[strlen (from)] == '/';
	if (home_folder (w->home, to) || below)
		return;
	if (home_rename (w->home, from, to))
		tell (w, "home: folder %s is called %s", from, to);
}

static void
remove_folder_there (World *w, HomeFolder *f)
{
	tell (w, "home: folder %s is removed", f->name);
	for (guint i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid)
			w->removed[f->messages[i].body] = TRUE;
	home_delete (w->home, f->name);
}

/* One that was there before is a migration for who did not see it go: what turns up elsewhere may be a copy, and is not moved. */
static void
make_folder_there (World *w, const char *name)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GArray) items = items_here (s, name);
	tell (w, "home: folder %s is made", name);
	for (guint i = 0; i < items->len; i++)
		w->twice[g_array_index (items, Item, i).body] = TRUE;
	home_create (w->home, name);
}

/* A folder that was removed here goes with what comes to it between the last look into it and DELETE. */
static gboolean
goes_meanwhile (World *w, const HomeFolder *to)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	return w->home->meanwhile && !folder_id (s, to->name);
}

static void
edit_there (World *w)
{
	HomeFolder *from, *to = home_folder (w->home, any_name (w));
	HomeMessage *m = any_there (w, &from);
	const char *name = any_name (w);
	if (!from->used)
		from = NULL;
	guint what = dice (w, w->names == trees ? 28 : 17);
	/* what comes back to where it was may be another version of it */
	if (what < 10 && m && to && from != to && !is_on_the_way (w, m->body) && !(w->been[m->body] & 1u << index_of (w, to->name))) {
		tell (w, "home: %u from %s to %s", m->body, from->name, to->name);
		w->been[m->body] |= 1u << index_of (w, from->name);
		w->removed[m->body] |= goes_meanwhile (w, to);
		home_add (w->home, to, m->body, m->flags, *m->keywords ? m->keywords : NULL);
		home_remove (w->home, from, m);
	} else if (what < 12 && m) {
		tell (w, "home: %u is removed from %s", m->body, from->name);
		w->removed[m->body] = TRUE;
		home_remove (w->home, from, m);
	} else if (what < 14 && m) {
		tell (w, "home: %u in %s is read", m->body, from->name);
		home_set_flags (w->home, from, m, m->flags ^ FLAG_SEEN, NULL);
	} else if (what < 15 && to && w->n_bodies < BODIES) {
		tell (w, "home: %u is added to %s", w->n_bodies, to->name);
		w->removed[w->n_bodies] |= goes_meanwhile (w, to);
		home_add (w->home, to, w->n_bodies++, 0, NULL);
	} else if ((what == 15 || what > 22) && from && !to && strcmp (from->name, "INBOX") != 0)
		rename_folder_there (w, from, name);
	else if (what > 20 && from && strcmp (from->name, "INBOX") != 0)
		remove_folder_there (w, from);
	else if (what > 16 && !home_folder (w->home, name))
		make_folder_there (w, name);
}

static void
migrate (World *w)
{
	static const HomeOrder orders[] = {ORDER_SAME_UIDS, ORDER_KEPT, ORDER_REVERSED, ORDER_SHUFFLED};
	HomeChange change = {.new_validity = dice (w, 4) > 0, .order = orders[dice (w, G_N_ELEMENTS (orders))], .lower_modseq = dice (w, 2) == 0};
	change.lower_modseq &= change.new_validity; /* else a counter that comes to the same number tells nothing */
	tell (w, "home: all is numbered anew: validity %s, order %u", change.new_validity ? "new" : "old", change.order);
	for (guint i = 0; i < HOME_FOLDERS; i++)
		if (w->home->folders[i].used) {
			home_change (w->home, &w->home->folders[i], &change);
			change.lower_modseq = FALSE; /* the counter is one for all */
		}
}

/* ---- Runs ---- */

static SyncOptions
options (void)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	o.guard_messages = o.guard_all = G_MAXUINT;
	o.accept_mailbox = TRUE; /* of a handful of messages nothing may be left */
	return o;
}

static gboolean
sync_once (World *w, const char *only, SyncResult *r, GError **error)
{
	SyncOptions o = options ();
	const char *const folders[] = {only, NULL};
	o.folders = only ? folders : NULL;
	return home_sync (w->home, w->path, &o, r, error);
}

static void
run_and_die (World *w, guint step)
{
	SyncOptions o = options ();
	home_sync_and_die (w->home, w->path, &o, step);
}

static void
note_twice_there (World *w)
{
	guint count[BODIES] = {0};
	for (guint i = 0; i < HOME_FOLDERS; i++) {
		const HomeFolder *f = &w->home->folders[i];
		for (guint k = 0; f->used && k < HOME_MESSAGES; k++)
			if (f->messages[k].uid && ++count[f->messages[k].body] > 1)
				w->twice[f->messages[k].body] = TRUE;
	}
}

static void
note_twice_here (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GArray) items = items_here (s, NULL);
	guint count[BODIES] = {0};
	for (guint i = 0; i < items->len; i++)
		if (++count[g_array_index (items, Item, i).body] > 1)
			w->twice[g_array_index (items, Item, i).body] = TRUE;
	for (guint body = 0; body < BODIES; body++)
		w->twice[body] |= w->restored[body]; /* it was not waited for */
}

static void
at_moment (gpointer world, guint moment)
{
	World *w = world;
	if (moment == w->moment)
		w->then (w);
}

static void
disturbed_run (World *w)
{
	SyncResult r;
	guint what = dice (w, 8), n = 1 + dice (w, 14);
	const char *name = any_name (w);
	switch (what) {
	case 0:
		tell (w, "a run of %s", name);
		sync_once (w, name, &r, NULL);
		note_twice_here (w);
		break;
	case 1:
		tell (w, "a run that is refused %s", name);
		g_strlcpy (w->home->refuses_to_open, name, sizeof w->home->refuses_to_open);
		sync_once (w, NULL, &r, NULL);
		*w->home->refuses_to_open = '\0';
		note_twice_here (w);
		break;
	case 2:
		tell (w, "a run that is cut off at call %u", n);
		w->home->fail_at = w->home->calls + (gint) n;
		sync_once (w, NULL, &r, NULL);
		w->home->fail_at = 0;
		break;
	case 3:
		tell (w, "a run that is killed at step %u", n);
		run_and_die (w, n);
		break;
	case 4:
	case 5:
		w->then = what == 4 ? edit_here : edit_there;
		w->moment = n + dice (w, 14);
		tell (w, "a run, at moment %u of which", w->moment);
		w->home->moment = 0;
		w->home->meanwhile = at_moment;
		w->home->meanwhile_data = w;
		assert_true (sync_once (w, NULL, &r, NULL));
		w->home->meanwhile = NULL;
		note_twice_here (w); /* what moved behind a run that had looked there already */
		break;
	default:
		tell (w, "a run");
		sync_once (w, NULL, &r, NULL);
	}
	note_twice_there (w);
}

/* ---- What it comes to ---- */

static int
by_text (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Two that want one name get numbers, each side for itself. */
static char *
line_of (guint body, const char *folder, guint flags)
{
	g_autoptr (GString) name = g_string_new (folder);
	for (char *number = strstr (name->str, " ("); number; number = strstr (name->str, " ("))
		g_string_erase (name, number - name->str, (gssize) strcspn (number, ")") + 1);
	return g_strdup_printf ("%u %s %x", body, name->str, flags);
}

static char *
joined (GPtrArray *lines)
{
	g_ptr_array_sort (lines, by_text);
	g_ptr_array_add (lines, NULL);
	return g_strjoinv ("\n", (char **) lines->pdata);
}

static char *
here (World *w, guint *count)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GArray) items = items_here (s, NULL);
	g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < items->len; i++) {
		const Item *item = &g_array_index (items, Item, i);
		g_ptr_array_add (lines, line_of (item->body, item->folder, item->flags));
		count[item->body]++;
	}
	return joined (lines);
}

static char *
there (World *w)
{
	g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < HOME_FOLDERS; i++) {
		const HomeFolder *f = &w->home->folders[i];
		for (guint k = 0; f->used && k < HOME_MESSAGES; k++)
			if (f->messages[k].uid)
				g_ptr_array_add (lines, line_of (f->messages[k].body, f->name, f->messages[k].flags));
	}
	return joined (lines);
}

static void
print_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	print_error ("    %s\n", text);
}

/* With the log of the runs. */
static void G_GNUC_PRINTF (3, 4)
fail_storm (World *w, guint storm, const char *format, ...)
{
	va_list args;
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) runs = s ? store_runs (s, 30, NULL) : NULL;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	for (guint i = runs ? runs->len : 0; i > 0; i--)
		store_run_lines (s, ((Run *) runs->pdata[i - 1])->id, print_line, NULL, NULL);
	g_auto (GStrv) lines = g_strsplit (w->told->str, "\n", 0);
	for (guint i = 0; lines[i]; i++)
		print_error ("%s\n", lines[i]); /* not all at once: cmocka cuts it */
	print_error ("storm %u: %s\n", storm, text);
	fail ();
}

typedef struct {
	World *w;
	guint storm;
} Where;

static void
report (gpointer data, const char *what)
{
	Where *where = data;
	fail_storm (where->w, where->storm, "the store is damaged: %s", what);
}

static void
check (World *w, guint storm)
{
	guint count[BODIES] = {0};
	guint64 findings;
	Where where = {w, storm};
	g_autofree char *now = here (w, count), *home = there (w);
	if (strcmp (now, home) != 0 && !w->held)
		fail_storm (w, storm, "here there is\n%s\n-- and at home\n%s", now, home);
	for (guint body = 0; body < w->n_bodies; body++)
		/* what is missing since a migration, and turns up elsewhere, may be a copy: it is not moved */
		if ((count[body] > 1 && !w->twice[body] && !w->migrates) || (count[body] == 0 && !w->removed[body]))
			fail_storm (w, storm, "message %u is %u times there:\n%s", body, count[body], now);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	assert_true (store_check (s, FALSE, FALSE, report, &where, NULL, &findings, NULL));
}

/* What is held for being gone with its folder is decided, this way or that. */
static void
decide (World *w)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < holds->len; i++) {
		const Hold *h = holds->pdata[i];
		HoldDecision d = dice (w, 2) ? HOLD_APPLY : HOLD_KEEP;
		tell (w, "%s: %s", h->detail, d == HOLD_APPLY ? "yes" : "no");
		assert_true (store_settle_hold (s, h->id, d, 0, NULL));
	}
	assert_true (store_commit (s, NULL));
}

static void
settle (World *w, guint storm)
{
	SyncResult r = {0};
	guint writes = 0;
	tell (w, "settling");
	memset (w->been, 0, sizeof w->been);
	guint runs = w->names == trees ? 9 : 5; /* a question may follow from an answer */
	for (guint i = 0; i < runs; i++) {
		g_autoptr (GError) error = NULL;
		writes = w->home->writes;
		if (!sync_once (w, NULL, &r, &error))
			fail_storm (w, storm, "%s", error->message);
		if (w->names == trees && i < 6)
			decide (w);
	}
	w->held = r.held > 0;
	if ((r.held && !w->migrates) || r.failures || w->home->writes != writes)
		fail_storm (w, storm, "there is no end of it: %u held, %u failures, %u writes", (guint) r.held, (guint) r.failures, w->home->writes - writes);
}

static void
storm (guint seed, const char *const *names, gboolean migrates)
{
	World *w = g_new0 (World, 1);
	w->names = names;
	w->migrates = migrates;
	guint abilities = kinds[seed % G_N_ELEMENTS (kinds)];
	w->path = home_store_path ();
	w->home = home_new (abilities, (abilities & ENDPOINT_UIDPLUS) != 0);
	w->rand = g_rand_new_with_seed (seed);
	w->told = g_string_new (NULL);
	for (guint i = 1; names[i]; i++)
		home_create (w->home, names[i]);
	for (; w->n_bodies < 12; w->n_bodies++)
		home_add (w->home, home_folder (w->home, any_name (w)), w->n_bodies, 0, NULL);
	settle (w, seed);
	for (guint round = 0; round < 4; round++) {
		for (guint n = 1 + dice (w, 3); n > 0; n--) {
			for (guint edits = dice (w, 5); edits > 0; edits--)
				edit_here (w);
			for (guint edits = dice (w, 5); edits > 0; edits--)
				edit_there (w);
			if (w->migrates && dice (w, 4) == 0)
				migrate (w);
			disturbed_run (w);
		}
		settle (w, seed);
		check (w, seed);
	}
	home_store_remove (w->path);
	home_free (w->home);
	g_rand_free (w->rand);
	g_string_free (w->told, TRUE);
	g_free (w);
}

static guint
number (const char *variable, guint otherwise)
{
	const char *text = g_getenv (variable);
	return text ? (guint) atoi (text) : otherwise;
}

static void
storms (const char *const *names, gboolean migrates)
{
	guint first = number ("OUTPOST_STORM", 0), n = number ("OUTPOST_STORMS", g_getenv ("OUTPOST_STORM") ? 1 : 60);
	for (guint seed = first; seed < first + n; seed++)
		storm (seed, names, migrates);
}

static void
in_the_end_each_message_is_in_one_place (void **state)
{
	storms (flat, FALSE);
}

static void
so_it_is_where_both_sides_change_their_trees (void **state)
{
	storms (trees, FALSE);
}

static void
nothing_is_lost_when_the_home_is_migrated_besides (void **state)
{
	storms (flat, TRUE);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (in_the_end_each_message_is_in_one_place),
		cmocka_unit_test (so_it_is_where_both_sides_change_their_trees),
		cmocka_unit_test (nothing_is_lost_when_the_home_is_migrated_besides),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
