/* SPDX-License-Identifier: Apache-2.0 */
/* Placements, flags, keywords, removals, restoring, moves. */
#include "store-fixture.h"

static gboolean
add_uid (gpointer data, const Placement *p)
{
	g_string_append_printf (data, "%u ", p->uid);
	return TRUE;
}

static char *
uids_since (Store *s, gint64 folder, guint64 since)
{
	GError *e = NULL;
	GString *text = g_string_new (NULL);
	must (store_each_placement (s, folder, since, add_uid, text, &e), &e);
	return g_string_free (text, FALSE);
}

static char *
removed_since (Store *s, gint64 folder, guint64 since)
{
	GError *e = NULL;
	g_auto (UidSet) uids = UID_SET_INIT;
	GString *text = g_string_new (NULL);
	must (store_removed_uids (s, folder, since, &uids, &e), &e);
	uid_set_format (&uids, text);
	return g_string_free (text, FALSE);
}

#define assert_text(got, want)               \
	do {                                     \
		g_autofree char *text_ = (got);      \
		assert_string_equal (text_, (want)); \
	} while (0)

static void
uids_rise_and_are_never_used_again (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (guint32 i = 1; i <= 5; i++) {
		g_autoptr (Placement) p = store_placement (f->s, put (f->s, a, i), &e);
		assert_int_equal (p->uid, i);
	}
	commit (f->s);
	for (guint32 uid = 5; uid >= 4; uid--) { /* the highest ones go */
		begin (f->s);
		g_autoptr (Placement) p = store_placement_by_uid (f->s, a, uid, &e);
		must (p && store_remove (f->s, p->id, "here", &e), &e);
		commit (f->s);
	}
	store_close (f->s);
	f->s = must_open (f->path, 0);
	begin (f->s);
	g_autoptr (Placement) next = store_placement (f->s, put (f->s, a, 6), &e);
	assert_int_equal (next->uid, 6);
	commit (f->s);
	Placement *gone = store_placement_by_uid (f->s, a, 5, &e);
	must_fail (gone != NULL, &e, ERROR_NOT_FOUND, "no longer");
	assert_clean (f->s);
}

static void
a_folder_that_used_up_its_uids_says_so (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	sql (f->s, "UPDATE folder SET uidnext = 4294967294");
	put (f->s, a, 1);
	gint64 message = add_text (f->s, a, "Subject: x\r\n\r\n", 1);
	must_fail (store_place (f->s, a, message, 0, NULL, FALSE, 0, NULL, &e), &e, ERROR_TOO_BIG, "UIDs");
	store_rollback (f->s);
}

static void
changes_are_answered_by_modseq (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 p[6];
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (guint i = 1; i <= 5; i++)
		p[i] = put (f->s, a, i);
	commit (f->s);
	guint64 first = store_modseq (f->s);
	assert_text (uids_since (f->s, a, 0), "1 2 3 4 5 ");
	assert_text (uids_since (f->s, a, first), "");
	begin (f->s);
	must (store_set_flags (f->s, p[4], FLAG_SEEN, NULL, &e) && store_set_flags (f->s, p[2], FLAG_FLAGGED, NULL, &e), &e);
	assert_text (uids_since (f->s, a, first), "4 2 "); /* within the transaction, by modseq */
	commit (f->s);
	assert_text (uids_since (f->s, a, first), "4 2 ");
	assert_text (uids_since (f->s, a, first + 1), "2 ");
	g_autoptr (Folder) folder = store_folder (f->s, a, NULL);
	assert_int_equal (folder->changed_modseq, first + 2);
	assert_int_equal (folder->unread, 4);
}

static gboolean
stop_at_second (gpointer data, const Placement *p)
{
	return ++*(guint *) data < 2;
}

static void
a_walk_can_be_stopped (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint n = 0;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (guint i = 0; i < 5; i++)
		put (f->s, a, i);
	commit (f->s);
	must (store_each_placement (f->s, a, 0, stop_at_second, &n, &e), &e);
	assert_int_equal (n, 2);
	begin (f->s); /* no statement is left open */
	commit (f->s);
}

/* ---- Keywords ---- */

static void
keywords_have_one_form (void **state)
{
	static const struct {
		const char *words, *want;
	} cases[] = {{"", NULL},           {"b a", "a b"},       {"a a a", "a"}, {"$MDNSent Work work", "$MDNSent Work work"},
	             {"  x   y ", "x y"}, {"ü é a", "a é ü"}};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_auto (GStrv) words = g_strsplit (cases[i].words, " ", -1);
		g_autofree char *got = keywords_canonical ((const char *const *) words, g_strv_length (words));
		if (cases[i].want)
			assert_string_equal (got, cases[i].want);
		else
			assert_null (got);
	}
	assert_true (keywords_equal (NULL, "") && keywords_equal ("a b", "a b") && !keywords_equal ("a", NULL) && !keywords_equal ("a", "a b"));
}

static void
keywords_merge_three_ways (void **state)
{
	static const struct {
		const char *base, *here, *home, *want;
	} cases[] = {
		{NULL, NULL, NULL, NULL},   {"a", "a", "a", "a"},       {"a", "a b", "a", "a b"},   {"a", "a", "a c", "a c"},   {"a", NULL, "a", NULL},
		{"a", "a", NULL, NULL},     {"a", "a b", "a c", "a b c"}, {"a", "b", "c", "b c"},     {NULL, "x", "x", "x"},      {"a b", "a", "b", NULL},
		{"a", "a b", NULL, "b"},    {NULL, NULL, "n", "n"},     {"a", "", "a", NULL},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autofree char *got = keywords_merge (cases[i].base, cases[i].here, cases[i].home);
		if (g_strcmp0 (got, cases[i].want) != 0)
			fail_msg ("case %zu: %s", i, got ? got : "(null)");
	}
}

static void
flags_and_keywords_come_back (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 p = put (f->s, make_folder (f->s, "A"), 1);
	for (guint flags = 0; flags < 32; flags++) {
		const char *words = flags % 3 == 0 ? NULL : flags % 3 == 1 ? "one" : "one two";
		must (store_set_flags (f->s, p, flags, words, &e), &e);
		g_autoptr (Placement) now = store_placement (f->s, p, &e);
		assert_int_equal (now->flags, flags);
		assert_true (keywords_equal (now->keywords, words));
		g_autoptr (Folder) folder = store_folder (f->s, now->folder, &e);
		assert_int_equal (folder->unread, !(flags & FLAG_SEEN));
	}
	commit (f->s);
	begin (f->s);
	must_fail (store_set_flags (f->s, 99, 0, NULL, &e), &e, ERROR_NOT_FOUND, "no longer");
	store_rollback (f->s);
	assert_clean (f->s);
}

/* ---- Removals ---- */

static void
removals_are_ranges_and_known_for_ever (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 p[101];
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B");
	for (guint i = 1; i <= 100; i++)
		p[i] = put (f->s, a, i);
	commit (f->s);
	guint64 start = store_modseq (f->s);
	begin (f->s);
	for (guint i = 10; i <= 60; i++)
		must (store_remove (f->s, p[i], "home", &e), &e);
	assert_text (removed_since (f->s, a, 0), "10:60"); /* within the transaction */
	commit (f->s);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM removal"), 1);
	guint64 middle = store_modseq (f->s);
	begin (f->s);
	must (store_remove (f->s, p[1], "here", &e) && store_remove (f->s, p[3], "here", &e) && store_move (f->s, p[70], b, NULL, &e), &e);
	commit (f->s);
	assert_text (removed_since (f->s, a, start), "1,3,10:60,70");
	assert_text (removed_since (f->s, a, middle), "1,3,70");
	assert_text (removed_since (f->s, a, store_modseq (f->s)), "");
	assert_text (removed_since (f->s, b, 0), "");
	begin (f->s);
	must (store_sweep (f->s, G_MAXINT64, NULL, &e), &e);
	commit (f->s);
	guint64 before, after;
	must (store_compact (f->s, &before, &after, &e), &e);
	assert_text (removed_since (f->s, a, 0), "1,3,10:60,70");
	assert_clean (f->s);
}

static void
a_removed_message_can_be_restored_with_its_flags (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 again;
	begin (f->s);
	gint64 a = make_folder (f->s, "A/B"), p = put (f->s, a, 7);
	must (store_set_flags (f->s, p, FLAG_SEEN | FLAG_FLAGGED | FLAG_DELETED, "blue", &e), &e);
	g_autoptr (Placement) was = store_placement (f->s, p, &e);
	must (store_remove (f->s, p, "here", &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) list = store_removed_messages (f->s, 0, &e);
	assert_int_equal (list->len, 1);
	RemovedMessage *r = list->pdata[0];
	assert_string_equal (r->folder_path, "A/B");
	assert_string_equal (r->subject, "number 7");
	assert_string_equal (r->cause, "here");
	begin (f->s);
	must (store_undelete (f->s, r->id, &again, &e), &e);
	must_fail (store_undelete (f->s, r->id, NULL, &e), &e, ERROR_NOT_FOUND, NULL);
	commit (f->s);
	g_autoptr (Placement) now = store_placement (f->s, again, &e);
	assert_true (now->message == was->message && now->folder == a && now->uid == was->uid + 1 && now->flags == (FLAG_SEEN | FLAG_FLAGGED));
	assert_string_equal (now->keywords, "blue");
	g_autoptr (GPtrArray) pendings = store_pendings (f->s, a, &e);
	assert_int_equal (pendings->len, 1); /* the home is to get it again */
	g_autoptr (GPtrArray) none = store_removed_messages (f->s, 0, &e);
	assert_int_equal (none->len, 0);
	assert_clean (f->s);
}

static void
restoring_makes_a_folder_that_is_gone_anew_or_takes_the_one_of_its_name (void **state)
{
	for (int there = 0; there < 2; there++) {
		Fixture *f = *state;
		GError *e = NULL;
		gint64 placement, other = 0;
		begin (f->s);
		gint64 a = make_folder (f->s, "Gone/Deep"), p = put (f->s, a, 1);
		must (store_remove (f->s, p, "here", &e) && store_folder_delete (f->s, a, "here", &e), &e);
		if (there)
			other = make_folder (f->s, "Gone/Deep");
		commit (f->s);
		g_autoptr (GPtrArray) list = store_removed_messages (f->s, 1, &e);
		begin (f->s);
		must (store_undelete (f->s, ((RemovedMessage *) list->pdata[0])->id, &placement, &e), &e);
		commit (f->s);
		g_autoptr (Folder) folder = store_folder_by_path (f->s, "Gone/Deep", &e);
		g_autoptr (Placement) now = store_placement (f->s, placement, &e);
		assert_int_equal (now->folder, folder->id);
		assert_true (!there || other == folder->id);
		begin (f->s);
		must (store_folder_delete (f->s, folder->id, "here", &e), &e);
		g_autoptr (Folder) gone = store_folder_by_path (f->s, "Gone", &e);
		must (store_folder_delete (f->s, gone->id, "here", &e), &e);
		commit (f->s);
		assert_clean (f->s);
	}
}

static void
the_list_of_removed_ones_is_newest_first_and_limited (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (guint i = 0; i < 10; i++)
		must (store_remove (f->s, put (f->s, a, i), i % 2 ? "here" : "home", &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) three = store_removed_messages (f->s, 3, &e), all = store_removed_messages (f->s, 0, &e);
	assert_true (three->len == 3 && all->len == 10);
	assert_string_equal (((RemovedMessage *) three->pdata[0])->subject, "number 9");
	assert_string_equal (((RemovedMessage *) three->pdata[1])->cause, "home");
}

/* ---- Moves and what is to be told to the home ---- */

typedef struct {
	guint32 remote_uid;
	gint64 placement;
	gboolean gone;
	guint n;
} LastBinding;

static gboolean
note_binding (gpointer data, const PlacementBinding *b)
{
	LastBinding *last = data;
	*last = (LastBinding){b->remote_uid, b->placement, b->gone, last->n + 1};
	return TRUE;
}

static void
a_move_remembers_where_the_home_can_take_it_from (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 second, third;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B"), c = make_folder (f->s, "C");
	gint64 first = put_bound (f->s, a, 1, 11);
	commit (f->s);
	begin (f->s);
	must (store_move (f->s, first, b, &second, &e), &e);
	must (store_move (f->s, second, c, &third, &e), &e); /* before the first was told */
	commit (f->s);
	g_autoptr (GPtrArray) pendings = store_pendings (f->s, 0, &e);
	assert_int_equal (pendings->len, 1);
	const Pending *p = pendings->pdata[0];
	assert_true (p->placement == third && p->folder == c && p->origin == first && p->moved && p->origin_folder == a && p->origin_uid == 11);
	gint64 moved_to;
	must (store_moved_placement (f->s, first, &moved_to, &e), &e);
	assert_int_equal (moved_to, third);
	LastBinding last = {0};
	must (store_gone_bindings (f->s, a, note_binding, &last, &e), &e);
	assert_true (last.n == 1 && last.placement == first && last.gone);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM removed"), 0); /* moved, not removed */
	guint64 appends, flags, removals;
	must (store_count_unpushed (f->s, &appends, &flags, &removals, &e), &e);
	assert_true (appends == 1 && flags == 0 && removals == 0); /* a move counts once */
	assert_clean (f->s);
	begin (f->s);
	PlacementBinding bound = {.placement = third, .folder = c, .remote_uid = 5};
	bind_folder (f->s, c, "C");
	must (store_bind_placement (f->s, &bound, &e) && store_unbind_placement (f->s, first, &e), &e); /* told */
	commit (f->s);
	must (store_count_unpushed (f->s, &appends, &flags, &removals, &e), &e);
	assert_int_equal (appends + flags + removals, 0);
	assert_clean (f->s);
}

static void
what_a_removal_leaves_behind_depends_on_its_cause (void **state)
{
	static const struct {
		const char *cause;
		gboolean bound;
		guint bindings, gone;
	} cases[] = {{"here", TRUE, 1, 1}, {"home", TRUE, 0, 0}, {"here", FALSE, 0, 0}, {"home", FALSE, 0, 0}};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		Fixture *f = *state;
		GError *e = NULL;
		gint64 message, p = 0;
		g_autofree char *name = g_strdup_printf ("F%zu", i);
		begin (f->s);
		gint64 a = make_folder (f->s, name);
		if (cases[i].bound)
			p = put_bound (f->s, a, 1, 11);
		else {
			message = add_text (f->s, a, "Subject: pending\r\n\r\n", 1);
			must (store_place (f->s, a, message, 0, NULL, TRUE, 0, &p, &e), &e);
		}
		must (store_remove (f->s, p, cases[i].cause, &e), &e);
		LastBinding all = {0}, gone = {0};
		must (store_each_binding (f->s, a, note_binding, &all, &e) && store_gone_bindings (f->s, a, note_binding, &gone, &e), &e);
		commit (f->s);
		assert_int_equal (all.n, cases[i].bindings);
		assert_int_equal (gone.n, cases[i].gone);
		g_autoptr (GPtrArray) pendings = store_pendings (f->s, a, &e);
		assert_int_equal (pendings->len, 0);
		assert_clean (f->s);
	}
}

static gboolean
add_subject (gpointer data, const Listing *l)
{
	g_string_append_printf (data, "%s|", l->message.subject);
	assert_null (l->message.structure);
	return TRUE;
}

static void
a_list_is_newest_first_and_limited (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	static const guint order[] = {3, 9, 1, 7};
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (gsize i = 0; i < G_N_ELEMENTS (order); i++)
		put (f->s, a, order[i]);
	commit (f->s);
	static const struct {
		guint limit;
		const char *want;
	} cases[] = {{0, "number 9|number 7|number 3|number 1|"}, {2, "number 9|number 7|"}, {99, "number 9|number 7|number 3|number 1|"}};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (GString) text = g_string_new (NULL);
		must (store_list (f->s, a, cases[i].limit, add_subject, text, &e), &e);
		assert_string_equal (text->str, cases[i].want);
	}
}

static void
all_places_of_a_message_are_found (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 copy;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B"), p = put (f->s, a, 1);
	g_autoptr (Placement) first = store_placement (f->s, p, &e);
	must (store_place (f->s, b, first->message, FLAG_SEEN, "k", FALSE, 0, &copy, &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) places = store_placements_of (f->s, first->message, &e);
	assert_int_equal (places->len, 2);
	const Placement *second = places->pdata[1];
	assert_true (second->id == copy && second->folder == b && second->flags == FLAG_SEEN);
	assert_string_equal (second->keywords, "k");
	g_autoptr (GPtrArray) none = store_placements_of (f->s, 999, &e);
	assert_int_equal (none->len, 0);
}

static gboolean
add_row (gpointer text, const Listing *l)
{
	g_string_append_printf (text, "%u:%s:%d ", l->placement.uid, l->message.subject ? l->message.subject : "-",
	                        l->message.structure && g_bytes_get_size (l->message.structure) > 0);
	return l->placement.uid != 3;
}

static void
a_range_is_listed_by_uid_and_as_deep_as_wanted (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (guint i = 1; i <= 5; i++)
		put (f->s, a, i);
	commit (f->s);
	static const struct {
		guint32 lo, hi;
		ListingDepth depth;
		const char *want;
	} cases[] = {{1, 2, LISTING_PLACEMENT, "1:-:0 2:-:0 "}, {2, 2, LISTING_MESSAGE, "2:number 2:0 "}, {4, G_MAXUINT32, LISTING_STRUCTURE, "4:number 4:1 5:number 5:1 "},
	             {6, 9, LISTING_STRUCTURE, ""}, {1, 5, LISTING_PLACEMENT, "1:-:0 2:-:0 3:-:0 "}};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (GString) text = g_string_new (NULL);
		must (store_list_range (f->s, a, cases[i].lo, cases[i].hi, cases[i].depth, add_row, text, &e), &e);
		assert_string_equal (text->str, cases[i].want);
	}
	g_auto (UidSet) uids = {0};
	g_autoptr (GString) text = g_string_new (NULL);
	must (store_uids (f->s, a, &uids, &e), &e);
	uid_set_format (&uids, text);
	assert_string_equal (text->str, "1:5");
}

static void
keywords_of_a_folder_are_told_since_a_change (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), first = put (f->s, a, 1), second = put (f->s, a, 2), third = put (f->s, a, 3);
	must (store_set_flags (f->s, first, 0, "x y", &e) && store_set_flags (f->s, second, 0, "x y", &e), &e);
	commit (f->s);
	guint64 since = store_modseq (f->s);
	begin (f->s);
	must (store_set_flags (f->s, third, 0, "z", &e), &e);
	commit (f->s);
	g_autoptr (GHashTable) all = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr (GHashTable) new = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	must (store_folder_keywords (f->s, a, 0, all, &e) && store_folder_keywords (f->s, a, since, new, &e), &e);
	assert_true (g_hash_table_size (all) == 2 && g_hash_table_contains (all, "x y") && g_hash_table_contains (all, "z"));
	assert_true (g_hash_table_size (new) == 1 && g_hash_table_contains (new, "z"));
	assert_int_equal (store_folder_modseq (f->s, a), store_modseq (f->s));
	assert_int_equal (store_folder_modseq (f->s, 999), 0);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE (uids_rise_and_are_never_used_again),
		WITH_STORE (a_folder_that_used_up_its_uids_says_so),
		WITH_STORE (changes_are_answered_by_modseq),
		WITH_STORE (a_walk_can_be_stopped),
		cmocka_unit_test (keywords_have_one_form),
		cmocka_unit_test (keywords_merge_three_ways),
		WITH_STORE (flags_and_keywords_come_back),
		WITH_STORE (removals_are_ranges_and_known_for_ever),
		WITH_STORE (a_removed_message_can_be_restored_with_its_flags),
		WITH_STORE (restoring_makes_a_folder_that_is_gone_anew_or_takes_the_one_of_its_name),
		WITH_STORE (the_list_of_removed_ones_is_newest_first_and_limited),
		WITH_STORE (a_move_remembers_where_the_home_can_take_it_from),
		WITH_STORE (what_a_removal_leaves_behind_depends_on_its_cause),
		WITH_STORE (a_list_is_newest_first_and_limited),
		WITH_STORE (all_places_of_a_message_are_found),
		WITH_STORE (a_range_is_listed_by_uid_and_as_deep_as_wanted),
		WITH_STORE (keywords_of_a_folder_are_told_since_a_change),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
