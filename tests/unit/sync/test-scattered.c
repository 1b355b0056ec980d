/* SPDX-License-Identifier: Apache-2.0 */
/* A migration put mail into other folders than it was in. The first runs after that may look into one folder only (--folder): they write nothing
 * wrong, and the run of all folders then finds each message as if it were the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "memory-home.h"
#include "store-binding.h"
#include "sync.h"

#define MESSAGES 100
#define GONE "" /* no folder: at home they are gone, or not there yet */

static const char *const before[] = {"INBOX", "A", "B"};

typedef struct {
	guint from, to; /* bodies */
	const char *folder; /* at the new home */
} Lot;

typedef struct {
	const char *name;
	Lot lots[6]; /* of what is not where it was */
	const char *gone; /* a folder that is not there any more; NULL none */
	const char *made[2];
	HomeChange change; /* of the folders */
	gboolean held; /* what is GONE is awaited at the end */
} Case;

static const HomeChange anew = {TRUE, ORDER_SHUFFLED}, same_numbers = {FALSE, ORDER_SHUFFLED};
static const Case cases[] = {
	{"nothing else", .change = anew},
	{"two exchanged their names", {{40, 70, "B"}, {70, 100, "A"}}, .change = anew},
	{"two exchanged their names, the same UIDVALIDITY", {{40, 70, "B"}, {70, 100, "A"}}, .change = same_numbers},
	{"tidied into another folder", {{0, 12, "A"}}, .change = anew},
	{"tidied into two others", {{0, 12, "A"}, {20, 30, "B"}}, .change = anew},
	{"tidied into a new folder", {{0, 30, "Old"}}, .made = {"Old"}, .change = anew},
	{"split by year", {{40, 50, "A/2020"}, {50, 60, "A/2021"}}, .made = {"A/2020", "A/2021"}, .change = anew},
	{"split by year, and the folder is gone", {{40, 55, "2020"}, {55, 70, "2021"}}, .gone = "A", .made = {"2020", "2021"}, .change = anew},
	{"merged into another", {{40, 70, "INBOX"}}, .gone = "A", .change = anew},
	{"half of a folder is there", {{20, 40, GONE}}, .change = anew, .held = TRUE},
	{"one folder is empty yet", {{40, 70, GONE}}, .change = anew, .held = TRUE},
};

static const guint kinds[] = {
	ENDPOINT_MODSEQ | ENDPOINT_VANISHED | ENDPOINT_UIDPLUS | ENDPOINT_MOVE | ENDPOINT_OBJECTID | ENDPOINT_SEARCH,
	ENDPOINT_MODSEQ | ENDPOINT_UIDPLUS,
	0,
};

typedef struct {
	const char *what;
	char *path;
	Home *home;
} World;

#define CHECK(ok, ...)                                     \
	do {                                               \
		if (!(ok)) {                               \
			print_error (__VA_ARGS__);         \
			print_error (" in %s\n", w->what); \
			fail ();                           \
		}                                          \
	} while (0)

static SyncResult
run (World *w, const char *only)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	const char *const folders[] = {only, NULL};
	SyncResult r;
	g_autoptr (GError) error = NULL;
	if (only)
		o.folders = folders;
	CHECK (home_sync (w->home, w->path, &o, &r, &error), "run failed: %s", error->message);
	return r;
}

/* Of the little that is there it may not show whose mailbox it is. */
static gboolean
is_held_or_refused (World *w)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	SyncResult r;
	g_autoptr (GError) error = NULL;
	guint writes = w->home->writes;
	if (home_sync (w->home, w->path, &o, &r, &error))
		return r.held > 0;
	CHECK (error_is (error, ERROR_CONFLICT) && w->home->writes == writes, "run failed: %s", error->message);
	return TRUE;
}

static const char *
folder_before (guint body)
{
	return before[body < 40 ? 0 : body < 70 ? 1 : 2];
}

static const char *
folder_after (const Case *c, guint body)
{
	for (guint i = 0; i < G_N_ELEMENTS (c->lots) && c->lots[i].folder; i++)
		if (body >= c->lots[i].from && body < c->lots[i].to)
			return c->lots[i].folder;
	return folder_before (body);
}

static guint
flags_of (guint body)
{
	return body % 3 ? FLAG_SEEN : 0;
}

/* What was changed here and not sent. */
static gboolean
is_flagged (guint body)
{
	return body % 10 == 3;
}

typedef struct {
	Store *store;
	const char *folder;
	guint count[MESSAGES + 1], flags[MESSAGES + 1];
	const char *place[MESSAGES + 1];
	gint64 placement[MESSAGES + 1];
} Scan;

static void
note (Scan *scan, guint body, guint flags)
{
	scan->count[body]++;
	scan->flags[body] = flags;
	scan->place[body] = scan->folder;
}

static gboolean
scan_one (gpointer data, const Placement *p)
{
	Scan *scan = data;
	g_autoptr (Message) m = store_message (scan->store, p->message, NULL);
	guint body = (guint) atoi (m->subject + strlen ("number "));
	note (scan, body, p->flags);
	scan->placement[body] = p->id;
	return TRUE;
}

static void
scan_here (Store *s, Scan *scan, GPtrArray *folders)
{
	scan->store = s;
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		scan->folder = f->path;
		assert_true (f->local_only || store_each_placement (s, f->id, 0, scan_one, scan, NULL));
	}
}

static void
scan_there (World *w, Scan *scan)
{
	for (guint i = 0; i < HOME_FOLDERS; i++) {
		const HomeFolder *f = &w->home->folders[i];
		scan->folder = f->name;
		for (guint k = 0; f->used && k < HOME_MESSAGES; k++)
			if (f->messages[k].uid)
				note (scan, f->messages[k].body, f->messages[k].flags);
	}
}

static void
edit_offline (World *w)
{
	g_autofree Scan *scan = g_new0 (Scan, 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	scan_here (s, scan, folders);
	assert_true (store_begin (s, NULL));
	for (guint i = 0; i < MESSAGES; i++)
		assert_true (!is_flagged (i) || store_set_flags (s, scan->placement[i], flags_of (i) | FLAG_FLAGGED, NULL, NULL));
	assert_true (store_commit (s, NULL));
}

/* Who comes first: some of each folder; the first; the last. */
typedef enum { SPREAD, FIRST, LAST, ORDERS } Order;

/* Those of @c that come when @from percent have come, up to @to. */
static void
arrive (World *w, const Case *c, Order order, guint from, guint to)
{
	for (guint i = 0; i < MESSAGES; i++) {
		guint body = (i * 7 + 3) % MESSAGES;
		guint turn = order == SPREAD ? body * 37 % MESSAGES : order == FIRST ? body : MESSAGES - 1 - body;
		const char *folder = folder_after (c, body);
		if (*folder && turn >= from && turn < to)
			home_add (w->home, home_folder (w->home, folder), body, flags_of (body), NULL);
	}
}

static void
migrate (World *w, const Case *c, Order order, guint percent)
{
	HomeChange empty = c->change;
	for (guint i = 0; i < G_N_ELEMENTS (c->made) && c->made[i]; i++)
		home_create (w->home, c->made[i]);
	empty.empty = TRUE;
	for (guint i = 0; i < G_N_ELEMENTS (before); i++)
		home_change (w->home, home_folder (w->home, before[i]), &empty);
	if (c->gone)
		home_delete (w->home, c->gone);
	arrive (w, c, order, 0, percent);
}

static World *
world_new (guint abilities)
{
	World *w = g_new0 (World, 1);
	w->what = "the first run";
	w->path = home_store_path ();
	w->home = home_new (abilities, abilities & ENDPOINT_UIDPLUS);
	home_create (w->home, "A");
	home_create (w->home, "B");
	for (guint i = 0; i < MESSAGES; i++)
		home_add (w->home, home_folder (w->home, folder_before (i)), i, flags_of (i), NULL);
	run (w, NULL);
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

static void
check (World *w, const Case *c)
{
	g_autofree Scan *here = g_new0 (Scan, 1), *there = g_new0 (Scan, 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	scan_here (s, here, folders);
	scan_there (w, there);
	for (guint i = 0; i < MESSAGES; i++) {
		guint flags = flags_of (i) | (is_flagged (i) ? FLAG_FLAGGED : 0);
		const char *place = folder_after (c, i);
		gboolean is_there = *place != 0;
		CHECK (here->count[i] == 1 && here->flags[i] == flags, "body %u is %u times here, with flags %u", i, here->count[i], here->flags[i]);
		CHECK (there->count[i] == (is_there ? 1u : 0u), "body %u is %u times at home", i, there->count[i]);
		CHECK (!is_there || there->flags[i] == flags, "body %u has flags %u at home", i, there->flags[i]);
		CHECK (strcmp (here->place[i], is_there ? place : folder_before (i)) == 0, "body %u is in %s here", i, here->place[i]);
		CHECK (!is_there || strcmp (there->place[i], place) == 0, "body %u is in %s at home", i, there->place[i]);
	}
}

/* No message is lost, doubled or flagged otherwise; @linked: here it may be in a second place. */
static void
check_unspoilt (World *w, gboolean linked)
{
	g_autofree Scan *here = g_new0 (Scan, 1), *there = g_new0 (Scan, 1);
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	scan_here (s, here, folders);
	scan_there (w, there);
	for (guint i = 0; i < MESSAGES; i++) {
		guint flags = flags_of (i) | (is_flagged (i) ? FLAG_FLAGGED : 0);
		CHECK (here->count[i] == 1 || (linked && here->count[i] == 2), "body %u is %u times here", i, here->count[i]);
		CHECK (linked || here->flags[i] == flags, "body %u has flags %u here", i, here->flags[i]);
		CHECK (there->count[i] <= 1 && (!there->count[i] || (there->flags[i] & ~FLAG_FLAGGED) == flags_of (i)), "body %u is spoilt at home", i);
		CHECK (is_flagged (i) || !there->count[i] || there->flags[i] == flags, "body %u has another one's flags at home", i);
	}
}

static void
follow (const Case *c, guint abilities, const char *first, const char *second)
{
	World *w = world_new (abilities);
	g_autofree char *what = g_strdup_printf ("%s, first %s and %s, abilities %u", c->name, first, second, abilities);
	w->what = what;
	migrate (w, c, SPREAD, 100);
	guint fetched = w->home->fetched;
	for (guint i = 0; i < 4; i++) {
		run (w, i % 2 ? second : first);
		check_unspoilt (w, FALSE);
		CHECK (w->home->fetched == fetched, "%u bodies fetched", w->home->fetched - fetched);
	}
	run (w, NULL);
	SyncResult r = run (w, NULL);
	CHECK ((r.held > 0) == c->held && r.left == 0, "%u held", (guint) r.held);
	check (w, c);
	guint writes = w->home->writes;
	run (w, NULL);
	CHECK (w->home->writes == writes && w->home->fetched == fetched, "the next run does something");
	world_free (w);
}

static void
a_run_of_some_folders_spoils_nothing_that_a_run_of_all_finds (void **state)
{
	for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
		for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
			const Case *c = &cases[i];
			for (guint n = 0; n < G_N_ELEMENTS (before); n++)
				follow (c, kinds[k], before[n], before[(n + 1) % 3]);
			for (guint n = 0; n < G_N_ELEMENTS (c->made) && c->made[n]; n++)
				follow (c, kinds[k], c->made[n], "INBOX");
		}
}

/* What a folder awaits comes into another one, and that one alone is looked into. */
static void
what_is_awaited_is_left_to_a_run_of_all_folders (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		const Case half = {"half of it is there", {{20, 40, GONE}}, .change = anew}, moved = {"the rest came elsewhere", {{20, 40, "B"}}};
		World *w = world_new (kinds[k]);
		w->what = moved.name;
		migrate (w, &half, SPREAD, 100);
		assert_int_equal (run (w, NULL).held, 1);
		guint fetched = w->home->fetched;
		for (guint i = 20; i < 40; i++)
			home_add (w->home, home_folder (w->home, "B"), i, flags_of (i), NULL);
		for (guint i = 0; i < 2; i++) {
			assert_int_equal (run (w, "B").left, 1);
			check_unspoilt (w, FALSE);
		}
		run (w, NULL);
		assert_int_equal (run (w, NULL).held, 0);
		assert_int_equal (w->home->fetched, fetched);
		check (w, &moved);
		world_free (w);
	}
}

static gboolean
run_and_die (World *w, int step)
{
	const SyncOptions o = SYNC_OPTIONS_INIT;
	return home_sync_and_die (w->home, w->path, &o, (guint) step);
}

/* Each part with two runs after it, and before them, and in the end, one that dies at @step; 0: none. FALSE: none got so far. */
static gboolean
come_in_parts (const Case *c, guint abilities, const guint *part, Order order, int step)
{
	gboolean died = FALSE;
	World *w = world_new (abilities);
	g_autofree char *what = g_strdup_printf ("%s, first %u percent of it, order %d, abilities %u, killed at step %d", c->name, part[0], order, abilities, step);
	w->what = what;
	guint fetched = w->home->fetched;
	migrate (w, c, order, part[0]);
	for (guint k = 0; k < 4 && part[k]; k++) {
		if (k)
			arrive (w, c, order, part[k - 1], part[k]);
		died |= step && run_and_die (w, step);
		for (guint n = 0; n < 2; n++) {
			gboolean held = is_held_or_refused (w);
			check_unspoilt (w, TRUE);
			CHECK (w->home->fetched == fetched, "%u bodies fetched at %u percent", w->home->fetched - fetched, part[k]);
			CHECK (held || part[k] == 100, "not held at %u percent", part[k]);
		}
	}
	for (guint n = 0; n < 2; n++) {
		died |= step && run_and_die (w, step);
		run (w, NULL);
	}
	CHECK ((run (w, NULL).held > 0) == c->held, "still held");
	check (w, c);
	guint writes = w->home->writes;
	run (w, NULL);
	CHECK (w->home->writes == writes && w->home->fetched == fetched, "the next run does something");
	world_free (w);
	return died;
}

static void
mail_that_comes_in_parts_and_elsewhere_is_found_when_all_is_there (void **state)
{
	static const guint parts[][4] = {{50, 100}, {30, 60, 100}, {12, 50, 80, 100}};
	for (guint i = 0; i < G_N_ELEMENTS (cases) * G_N_ELEMENTS (kinds); i++)
		for (Order order = SPREAD; order < ORDERS; order++) {
			guint kind = i % G_N_ELEMENTS (kinds), how = (i / G_N_ELEMENTS (kinds) + kind + order) % G_N_ELEMENTS (parts);
			come_in_parts (&cases[i / G_N_ELEMENTS (kinds)], kinds[kind], parts[how], order, 0);
		}
}

/* OUTPOST_EVERY_STEP=1: at each step; else at every fifth, the cases taking turns. */
static void
mail_that_comes_in_parts_is_found_though_runs_are_killed_at_any_step (void **state)
{
	static const guint part[4] = {40, 100};
	int every = g_getenv ("OUTPOST_EVERY_STEP") ? 1 : 5;
	for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
		gboolean died = TRUE;
		for (int step = 1 + (int) i % every; died && step < 100; step += every)
			died = come_in_parts (&cases[i], kinds[(i + (guint) step) % G_N_ELEMENTS (kinds)], part, (Order) (i % ORDERS), step);
		assert_false (died);
	}
}

/* Of the messages @from to @to one more is there, in B. */
static void
copy_into_b (World *w, guint from, guint to)
{
	for (guint i = from; i < to; i++)
		home_add (w->home, home_folder (w->home, "B"), i, flags_of (i), NULL);
}

static void
add_offline (World *w, const char *path, guint body)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	char *text = home_text (body);
	g_autoptr (GBytes) octets = g_bytes_new_take (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, home_date (body), 0);
	gint64 message;
	assert_true (store_begin (s, NULL) && store_add_message (s, p, f->id, &message, NULL));
	assert_true (store_place (s, f->id, message, 0, NULL, TRUE, 0, NULL, NULL) && store_commit (s, NULL));
}

/* B has copies of what INBOX has and awaits, awaits some itself, and something new is to be sent to it. */
static void
copies_in_a_folder_that_is_not_settled_itself_are_not_fetched (void **state)
{
	const Case half = {"copies", {{20, 40, GONE}, {90, 100, GONE}}, .change = anew};
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k]);
		w->what = half.name;
		add_offline (w, "B", MESSAGES);
		migrate (w, &half, SPREAD, 100);
		copy_into_b (w, 10, 40);
		guint fetched = w->home->fetched;
		assert_int_equal (run (w, NULL).held, 2);
		assert_int_equal (w->home->fetched, fetched);
		const HomeFolder *b = home_folder (w->home, "B");
		guint sent = 0, others = 0;
		for (guint i = 0; i < HOME_MESSAGES; i++) {
			sent += b->messages[i].uid && b->messages[i].body == MESSAGES;
			others += b->messages[i].uid && b->messages[i].body < MESSAGES;
		}
		assert_int_equal (sent, 1);
		assert_int_equal (others, 50);
		run (w, NULL);
		assert_int_equal (w->home->fetched, fetched);
		world_free (w);
	}
}

/* The same for what is held because other mail has its folder's name, and its numbers. */
static void
what_has_no_folder_any_more_is_left_to_a_run_of_all_folders (void **state)
{
	for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
		World *w = world_new (kinds[k]);
		w->what = "other mail";
		home_change (w->home, home_folder (w->home, "A"), &(HomeChange){FALSE, .empty = TRUE});
		for (guint i = 0; i < 30; i++)
			home_add (w->home, home_folder (w->home, "A"), 2 * MESSAGES + i, 0, NULL);
		assert_int_equal (run (w, NULL).held, 1);
		guint fetched = w->home->fetched;
		for (guint i = 40; i < 50; i++)
			home_add (w->home, home_folder (w->home, "B"), i, flags_of (i), NULL);
		assert_int_equal (run (w, "B").left, 1);
		run (w, NULL);
		assert_int_equal (w->home->fetched, fetched);
		world_free (w);
	}
}

static void
remove_here (World *w, const char *path)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	assert_true (store_begin (s, NULL) && store_folder_delete (s, f->id, "here", NULL) && store_commit (s, NULL));
}

static void
decide (World *w, HoldDecision decision)
{
	g_autoptr (Store) s = store_open (w->path, 0, NULL);
	g_autoptr (GPtrArray) holds = store_holds (s, NULL);
	assert_int_equal (holds->len, 1);
	assert_true (store_begin (s, NULL) && store_settle_hold (s, ((Hold *) holds->pdata[0])->id, decision, 1, NULL) && store_commit (s, NULL));
}

/* It was removed, here or there, and is at home, with all that it had and something new. */
static void
of_a_folder_that_comes_back_only_what_is_new_is_fetched (void **state)
{
	for (guint i = 0; i < 2 * G_N_ELEMENTS (kinds); i++) {
		const Case back = {"a folder that comes back"};
		World *w = world_new (kinds[i / 2]);
		w->what = back.name;
		run (w, NULL);
		guint fetched = w->home->fetched;
		if (i % 2) {
			remove_here (w, "A");
		} else {
			home_delete (w->home, "A");
			assert_int_equal (run (w, NULL).held, 1);
			decide (w, HOLD_APPLY);
			assert_int_equal (run (w, NULL).held, 0);
			home_create (w->home, "A");
			for (guint n = 40; n < 70; n++)
				home_add (w->home, home_folder (w->home, "A"), n, flags_of (n) | (is_flagged (n) ? FLAG_FLAGGED : 0), NULL);
		}
		home_add (w->home, home_folder (w->home, "A"), MESSAGES, 0, NULL);
		for (guint n = 0; n < 3; n++)
			run (w, NULL);
		CHECK (w->home->fetched == fetched + 1, "%u bodies fetched", w->home->fetched - fetched);
		g_autoptr (Store) s = store_open (w->path, 0, NULL);
		g_autoptr (Folder) f = store_folder_by_path (s, "A", NULL);
		assert_int_equal (f->total, 31);
		g_clear_pointer (&s, store_close);
		home_remove (w->home, home_folder (w->home, "A"), &home_folder (w->home, "A")->messages[30]);
		run (w, NULL);
		check (w, &back);
		world_free (w);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (a_run_of_some_folders_spoils_nothing_that_a_run_of_all_finds),
		cmocka_unit_test (mail_that_comes_in_parts_and_elsewhere_is_found_when_all_is_there),
		cmocka_unit_test (mail_that_comes_in_parts_is_found_though_runs_are_killed_at_any_step),
		cmocka_unit_test (copies_in_a_folder_that_is_not_settled_itself_are_not_fetched),
		cmocka_unit_test (of_a_folder_that_comes_back_only_what_is_new_is_fetched),
		cmocka_unit_test (what_has_no_folder_any_more_is_left_to_a_run_of_all_folders),
		cmocka_unit_test (what_is_awaited_is_left_to_a_run_of_all_folders),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
