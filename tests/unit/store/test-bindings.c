/* SPDX-License-Identifier: Apache-2.0 */
/* What the home calls things, what is to be told to it, holds, and the log of the runs. */
#include "store-fixture.h"

static void
a_folders_binding_comes_back_as_it_was (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B");
	FolderBinding in = {.folder = a, .base_parent = 0, .remote_name = (char *) "INBOX.\xc3\x84 \x80", .delimiter = '.', .remote_id = (char *) "id-1",
	                    .base_name = (char *) "A", .uidvalidity = 4294967295u, .uidnext = 17, .messages = 5, .highestmodseq = G_MAXINT64,
	                    .pushed_modseq = 3, .complete = TRUE, .selectable = TRUE};
	must (store_bind_folder (f->s, &in, &e), &e);
	commit (f->s);
	assert_null (store_folder_binding (f->s, b, &e));
	assert_null (e);
	for (int round = 0; round < 2; round++) {
		g_autoptr (FolderBinding) out = store_folder_binding (f->s, a, &e);
		must (out != NULL, &e);
		assert_string_equal (out->remote_name, in.remote_name);
		assert_true (out->delimiter == in.delimiter && g_strcmp0 (out->remote_id, in.remote_id) == 0);
		assert_string_equal (out->base_name, in.base_name);
		assert_true (out->uidvalidity == in.uidvalidity && out->uidnext == in.uidnext && out->messages == in.messages &&
		             out->highestmodseq == in.highestmodseq && out->pushed_modseq == in.pushed_modseq && out->complete == in.complete &&
		             out->selectable == in.selectable && !out->folder_gone && out->base_parent == in.base_parent);
		in = (FolderBinding){.folder = a, .base_parent = b, .remote_name = (char *) "other", .base_name = (char *) "x"};
		begin (f->s);
		must (store_bind_folder (f->s, &in, &e), &e); /* replaced */
		commit (f->s);
	}
	begin (f->s);
	in.folder = b;
	must (store_bind_folder (f->s, &in, &e), &e); /* a name is bound once: the other folder lost it, and gets its own within the run */
	g_autoptr (FolderBinding) displaced = store_folder_binding (f->s, a, &e);
	assert_string_not_equal (displaced->remote_name, "other");
	commit (f->s);
}

static void
unbinding_a_folder_forgets_what_was_bound_and_pending_in_it (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B"), p;
	put_bound (f->s, a, 1, 1);
	put_bound (f->s, b, 2, 1);
	must (store_place (f->s, a, add_text (f->s, a, "x", 1), 0, NULL, TRUE, 0, &p, &e), &e);
	must (store_unbind_folder (f->s, a, &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) bindings = store_folder_bindings (f->s, &e), pendings = store_pendings (f->s, 0, &e);
	assert_true (bindings->len == 1 && pendings->len == 0);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM placement_binding"), 1);
	assert_clean (f->s);
}

static void
what_was_moved_into_a_folder_that_is_new_to_the_home_still_comes_from_where_it_was (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 moved, sent, on;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B");
	put_bound (f->s, a, 1, 1);
	gint64 first = put_bound (f->s, b, 2, 1), second = put_bound (f->s, b, 3, 2);
	must (store_move (f->s, first, a, &moved, &e) && store_move (f->s, second, a, &sent, &e), &e);
	must (store_set_watermark (f->s, a, 7, 1, &e), &e);
	must (store_move (f->s, sent, b, &on, &e), &e); /* what became of it in A is not known */
	must (store_make_folder_new (f->s, a, &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) pendings = store_pendings (f->s, 0, &e), gone = store_pendings_gone (f->s, a, &e);
	assert_true (pendings->len == 3 && gone->len == 0);
	const Pending *own = pendings->pdata[0], *in = pendings->pdata[1], *back = pendings->pdata[2];
	assert_true (own->folder == a && own->origin == 0);
	assert_true (in->placement == moved && in->origin == first && in->moved && in->origin_uid == 1 && in->watermark == 0);
	assert_true (back->placement == on && back->origin == second && back->moved && back->origin_uid == 2);
	assert_clean (f->s);
}

static gboolean
nothing (gpointer data, const PlacementBinding *b)
{
	g_string_append_printf (data, "%u ", b->remote_uid);
	return TRUE;
}

static void
a_placements_binding_comes_back_and_ends_its_pending (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gboolean found;
	gint64 p;
	PlacementBinding out = {0};
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	bind_folder (f->s, a, "A");
	must (store_place (f->s, a, add_text (f->s, a, "x", 1), 0, NULL, TRUE, 0, &p, &e), &e);
	must (store_binding_of (f->s, p, &out, &found, &e), &e);
	assert_false (found);
	PlacementBinding in = {.placement = p, .folder = a, .remote_uid = 4294967295u, .flags = 31, .keywords = (char *) "a b", .modseq = G_MAXINT64,
	                       .remote_size = 77};
	must (store_bind_placement (f->s, &in, &e), &e);
	commit (f->s);
	must (store_binding_of (f->s, p, &out, &found, &e), &e);
	assert_true (found && out.placement == p && out.folder == a && out.remote_uid == in.remote_uid && out.flags == 31 && !out.gone &&
	             out.modseq == in.modseq && out.remote_size == 77);
	assert_string_equal (out.keywords, "a b");
	placement_binding_done (&out);
	must (store_binding_by_uid (f->s, a, 4294967295u, &out, &found, &e), &e);
	assert_true (found && out.placement == p);
	placement_binding_done (&out);
	must (store_binding_by_uid (f->s, a, 1, &out, &found, &e), &e);
	assert_false (found);
	g_autoptr (GPtrArray) pendings = store_pendings (f->s, 0, &e);
	assert_int_equal (pendings->len, 0);
	begin (f->s);
	gint64 second = put (f->s, a, 2);
	in.placement = second;
	must_fail (store_bind_placement (f->s, &in, &e), &e, ERROR_EXISTS, NULL); /* one remote UID, one placement */
	in.remote_uid = 5;
	must (store_bind_placement (f->s, &in, &e), &e); /* the transaction goes on */
	commit (f->s);
	g_auto (UidSet) uids = UID_SET_INIT;
	g_autoptr (GString) order = g_string_new (NULL);
	must (store_bound_uids (f->s, a, &uids, &e) && store_each_binding (f->s, a, nothing, order, &e), &e);
	assert_string_equal (order->str, "5 4294967295 ");
	assert_int_equal (uid_set_count (&uids), 2);
	gboolean any = FALSE;
	must (store_has_bound (f->s, a, &any, &e), &e);
	assert_true (any);
	must (store_has_bound (f->s, 9999, &any, &e), &e);
	assert_false (any);
	assert_clean (f->s);
}

static gboolean
count_change (gpointer data, const Placement *here, const PlacementBinding *base)
{
	g_string_append_printf (data, "%u:%u>%u ", here->uid, base->flags, here->flags);
	return TRUE;
}

static char *
changes (Store *s, gint64 folder, guint64 since)
{
	GError *e = NULL;
	GString *text = g_string_new (NULL);
	must (store_flag_changes (s, folder, since, count_change, text, &e), &e);
	return g_string_free (text, FALSE);
}

static void
flags_to_push_are_those_that_differ_from_the_base (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), p1 = put_bound (f->s, a, 1, 1), p2 = put_bound (f->s, a, 2, 2), p3 = put_bound (f->s, a, 3, 3);
	commit (f->s);
	guint64 since = store_modseq (f->s);
	begin (f->s);
	must (store_set_flags (f->s, p1, FLAG_SEEN, NULL, &e) && store_set_flags (f->s, p2, 0, "blue", &e) && store_set_flags (f->s, p3, 4, NULL, &e), &e);
	must (store_set_flags (f->s, p3, 0, NULL, &e), &e); /* back again: nothing to push */
	commit (f->s);
	g_autofree char *now = changes (f->s, a, since), *later = changes (f->s, a, since + 1), *none = changes (f->s, a, store_modseq (f->s));
	assert_string_equal (now, "1:0>1 2:0>0 ");
	assert_string_equal (later, "2:0>0 ");
	assert_string_equal (none, "");
	guint64 appends, flags, removals;
	must (store_count_unpushed (f->s, &appends, &flags, &removals, &e), &e);
	assert_true (appends == 0 && flags == 2 && removals == 0);
}

/* The mark up to which a folder's changes are in the base. */
static gint64
settled (Fixture *f, gint64 folder)
{
	GError *e = NULL;
	begin (f->s);
	must (store_settle_pushed (f->s, &e), &e);
	commit (f->s);
	g_autoptr (FolderBinding) b = store_folder_binding (f->s, folder, &e);
	return (gint64) b->pushed_modseq;
}

static void
a_folder_without_differences_is_settled_and_no_other (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), pending;
	bind_folder (f->s, a, "A");
	gint64 p = put_bound (f->s, a, 1, 1);
	commit (f->s);
	gint64 first = settled (f, a);
	assert_int_equal (first, store_modseq (f->s));
	begin (f->s);
	must (store_set_flags (f->s, p, FLAG_SEEN, NULL, &e), &e);
	commit (f->s);
	assert_int_equal (settled (f, a), first); /* a flag waits */
	begin (f->s);
	must (store_set_flags (f->s, p, 0, NULL, &e), &e);
	must (store_place (f->s, a, add_text (f->s, a, "y", 1), 0, NULL, TRUE, 0, &pending, &e), &e);
	commit (f->s);
	assert_int_equal (settled (f, a), first); /* a message waits */
	begin (f->s);
	must (store_drop_pending (f->s, pending, &e), &e);
	commit (f->s);
	assert_int_equal (settled (f, a), store_modseq (f->s));
}

static void
a_pending_keeps_its_first_watermark_of_a_uidvalidity_and_counts_failures (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 p;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	bind_folder (f->s, a, "A");
	gint64 message = add_text (f->s, a, "x", 1);
	must (store_place (f->s, a, message, FLAG_DRAFT, "k", TRUE, 0, &p, &e), &e);
	must (store_set_watermark (f->s, a, 300, 76, &e) && store_set_watermark (f->s, a, 100, 77, &e) && store_set_watermark (f->s, a, 200, 77, &e), &e);
	must (store_pending_failed (f->s, p, &e) && store_pending_failed (f->s, p, &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) list = store_pendings (f->s, a, &e);
	const Pending *n = list->pdata[0];
	assert_true (n->placement == p && n->message == message && n->watermark == 100 && n->watermark_validity == 77 && n->failures == 2 &&
	             n->flags == FLAG_DRAFT && n->origin == 0 && !n->moved);
	assert_string_equal (n->keywords, "k");
	begin (f->s);
	must (store_drop_pending (f->s, p, &e) && store_make_pending (f->s, p, &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) again = store_pendings (f->s, 0, &e);
	assert_int_equal (((Pending *) again->pdata[0])->watermark, 0);
}

static void
a_change_under_way_goes_on_when_the_home_moved_the_message (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gboolean found;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), p = put_bound (f->s, a, 1, 1), q = put_bound (f->s, a, 2, 2);
	g_autoptr (Placement) was = store_placement (f->s, p, &e), plain = store_placement (f->s, q, &e);
	must (store_set_flags (f->s, p, FLAG_FLAGGED, "blue", &e), &e);
	must (store_remove (f->s, p, "home", &e) && store_remove (f->s, q, "home", &e), &e);
	commit (f->s);
	for (int round = 0; round < 2; round++) {
		g_auto (LostChange) c = {0}, none = {0};
		begin (f->s);
		must (store_take_lost_change (f->s, was->message, &c, &found, &e), &e);
		assert_int_equal (found, round == 0); /* once */
		if (found) {
			assert_true (c.base_flags == 0 && c.flags == FLAG_FLAGGED && !c.base_keywords);
			assert_string_equal (c.keywords, "blue");
		}
		must (store_take_lost_change (f->s, plain->message, &none, &found, &e), &e);
		assert_false (found);
		commit (f->s);
	}
}

/* ---- Holds ---- */

static void
a_hold_is_one_for_folder_side_and_kind_and_a_decision_is_for_its_number (void **state)
{
	static const struct {
		guint messages;
		HoldDecision want;
	} cases[] = {{50, HOLD_APPLY}, {49, HOLD_APPLY}, {51, HOLD_WAITS}, {5, HOLD_WAITS}};
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	must (store_hold (f->s, a, "here", "deletion-guard", 50, 7, "fifty", &e) && store_hold (f->s, a, "home", "deletion-guard", 9, -1, "nine", &e) &&
	      store_hold (f->s, 0, "here", "deletion-guard", 1, -1, "whole", &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) three = store_holds (f->s, &e);
	assert_int_equal (three->len, 3);
	const Hold *h = three->pdata[0];
	assert_true (h->folder == a && h->messages == 50 && h->decision == HOLD_WAITS && h->created > 1700000000);
	assert_string_equal (h->detail, "fifty");
	begin (f->s);
	must (store_settle_hold (f->s, h->id, HOLD_APPLY, 5, &e), &e);
	commit (f->s);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		begin (f->s);
		must (store_hold (f->s, a, "here", "deletion-guard", cases[i].messages, 8, "more", &e), &e);
		commit (f->s);
		g_autoptr (GPtrArray) list = store_holds (f->s, &e);
		assert_int_equal (list->len, 3);
		assert_int_equal (((Hold *) list->pdata[0])->decision, cases[i].want);
	}
	begin (f->s);
	must (store_release_hold (f->s, h->id, &e), &e);
	must_fail (store_release_hold (f->s, h->id, &e), &e, ERROR_NOT_FOUND, NULL);
	must_fail (store_settle_hold (f->s, h->id, HOLD_KEEP, 5, &e), &e, ERROR_NOT_FOUND, NULL);
	commit (f->s);
}

static gboolean
count_held (gpointer data, const HeldMessage *m)
{
	assert_non_null (m->subject);
	++*(guint *) data;
	return TRUE;
}

/* 1 to 3 are held, 4 is not. */
static void
a_decision_is_noted_with_its_messages_and_can_be_undone (void **state)
{
	static const struct {
		const char *side;
		HoldDecision decision;
	} cases[] = {{"here", HOLD_APPLY}, {"here", HOLD_KEEP}, {"home", HOLD_APPLY}, {"home", HOLD_KEEP}};
	Fixture *f = *state;
	GError *e = NULL;
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		gboolean here = strcmp (cases[i].side, "here") == 0, apply = cases[i].decision == HOLD_APPLY;
		guint shown = 0, done, missing;
		g_autofree char *name = g_strdup_printf ("F%u", (guint) i);
		g_auto (UidSet) uids = UID_SET_INIT;
		gint64 placements[5];
		uid_set_add_range (&uids, 1, 3);
		begin (f->s);
		gint64 folder = make_folder (f->s, name);
		for (guint n = 1; n < 5; n++)
			placements[n] = put_bound (f->s, folder, 10 * (guint) i + n, n);
		for (guint n = 1; !here && n < 4; n++)
			must (store_remove (f->s, placements[n], "here", &e), &e);
		must (store_hold (f->s, folder, cases[i].side, "deletion-guard", 3, 4, "three", &e), &e);
		commit (f->s);
		g_autoptr (GPtrArray) open = store_holds (f->s, &e);
		Hold *h = open->pdata[0];
		begin (f->s);
		must (store_note_held (f->s, h, &uids, &e) && store_each_held (f->s, h, count_held, &shown, &e), &e);
		assert_int_equal (shown, 3);
		must (store_settle_hold (f->s, h->id, cases[i].decision, 5, &e), &e);
		must (store_undo_decision (f->s, h->id, &done, &missing, &e), &e); /* nothing acted on it yet */
		assert_int_equal (number (f->s, "SELECT decision FROM hold WHERE settled IS NULL"), HOLD_WAITS);
		h->decision = cases[i].decision;
		must (store_note_decision (f->s, h, &uids, &e), &e);
		for (guint n = 1; n < 4; n++) /* as a run does */
			must (here && apply    ? store_remove (f->s, placements[n], "home", &e)
			      : here           ? store_unbind_placement (f->s, placements[n], &e) && store_make_pending (f->s, placements[n], &e)
			      : apply || n == 3 ? store_unbind_placement (f->s, placements[n], &e)
			                       : store_unbind_placement (f->s, placements[n], &e) && put_bound (f->s, folder, 10 * (guint) i + n, 10 + n),
			      &e);
		commit (f->s);
		g_autoptr (GPtrArray) none = store_holds (f->s, &e), decisions = store_decisions (f->s, &e);
		assert_true (none->len == 0 && decisions->len == 1 && ((Hold *) decisions->pdata[0])->settled > 1700000000);
		begin (f->s);
		must (store_undo_decision (f->s, h->id, &done, &missing, &e), &e);
		commit (f->s);
		guint lost = !here && !apply; /* the third did not come back yet */
		assert_true (done == 3 - lost && missing == lost);
		g_autoptr (Folder) after = store_folder (f->s, folder, &e);
		assert_int_equal (after->total, apply || here ? 4 : 1);
		g_autoptr (GPtrArray) again = store_holds (f->s, &e);
		assert_int_equal (again->len, here && !apply);
		begin (f->s);
		must_fail (store_undo_decision (f->s, h->id, &done, &missing, &e), &e, ERROR_NOT_FOUND, "no decision");
		if (again->len) { /* they wait, as before the decision */
			guint awaited;
			must (store_count_awaited (f->s, folder, &awaited, &e) && store_release_hold (f->s, ((Hold *) again->pdata[0])->id, &e), &e);
			assert_int_equal (awaited, 3);
		}
		commit (f->s);
		assert_clean (f->s);
	}
}

static gboolean
note_gone (gpointer data, const PlacementBinding *b)
{
	uid_set_add (data, b->remote_uid);
	return TRUE;
}

/* Sent and bound since: they stay here, are awaited again, and their copies at home go without another question. */
static void
what_was_sent_is_withheld_again (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 placements[4];
	guint done, missing, approved, awaited;
	g_auto (UidSet) uids = UID_SET_INIT, gone = UID_SET_INIT;
	uid_set_add_range (&uids, 1, 3);
	begin (f->s);
	gint64 folder = make_folder (f->s, "A");
	for (guint n = 1; n < 4; n++)
		placements[n] = put_bound (f->s, folder, n, n);
	must (store_hold (f->s, folder, "here", "rebind", 3, 0, "three", &e), &e);
	g_autoptr (GPtrArray) open = store_holds (f->s, &e);
	Hold *h = open->pdata[0];
	assert_true (h->there == 0 && h->here == 3);
	assert_string_equal (h->path, "A");
	h->decision = HOLD_KEEP;
	must (store_note_decision (f->s, h, &uids, &e), &e);
	must (store_remove (f->s, placements[3], "here", &e) && store_unbind_placement (f->s, placements[3], &e), &e); /* not where it was */
	must (store_undo_decision (f->s, h->id, &done, &missing, &e) && store_count_approved (f->s, folder, &approved, &e) &&
	      store_count_awaited (f->s, folder, &awaited, &e) && store_gone_bindings (f->s, folder, note_gone, &gone, &e), &e);
	assert_true (done == 2 && missing == 1 && approved == 2 && awaited == 2);
	assert_true (uid_set_count (&gone) == 2 && uid_set_contains (&gone, 1) && uid_set_contains (&gone, 2));
	commit (f->s);
	g_autoptr (Folder) after = store_folder (f->s, folder, &e);
	assert_int_equal (after->total, 2);
	g_autoptr (GPtrArray) again = store_holds (f->s, &e), decisions = store_decisions (f->s, &e);
	assert_true (again->len == 1 && decisions->len == 0);
	assert_clean (f->s);
}

static void
a_decision_is_swept_with_what_it_removed (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 folder = make_folder (f->s, "A"), placement = put_bound (f->s, folder, 1, 1);
	must (store_remove (f->s, placement, "here", &e) && store_hold (f->s, folder, "home", "deletion-guard", 1, -1, "one", &e), &e);
	commit (f->s);
	sql (f->s, "UPDATE removed SET removed = 5");
	g_autoptr (GPtrArray) open = store_holds (f->s, &e);
	Hold *h = open->pdata[0];
	h->decision = HOLD_APPLY;
	begin (f->s);
	must (store_note_decision (f->s, h, NULL, &e) && store_unbind_placement (f->s, placement, &e), &e);
	must (store_sweep (f->s, 1000, NULL, &e), &e);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM removed"), 1); /* as long as the decision can be undone */
	must (store_sweep (f->s, G_MAXINT64, NULL, &e), &e);
	commit (f->s);
	assert_int_equal (number (f->s, "SELECT (SELECT COUNT (*) FROM removed) + (SELECT COUNT (*) FROM hold) + (SELECT COUNT (*) FROM hold_message)"), 0);
}

/* ---- The log ---- */

static void
add_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	g_string_append_printf (data, "%d%s%s\n", (int) time, detail ? "  " : " ", text);
}

static void
the_log_keeps_200_runs_with_their_lines (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gint64 run = 0;
	for (int i = 1; i <= 230; i++) {
		begin (f->s);
		must (store_run_begin (f->s, 1000 + i, &run, &e), &e);
		must (store_run_line (f->s, run, 1, FALSE, "Synchronizing Mailbox 'testuser'", &e) &&
		      store_run_line (f->s, run, 2, TRUE, "3 folder(s) added to offline store", &e) && store_run_line (f->s, run, 3, FALSE, "Done", &e), &e);
		if (i % 2)
			must (store_run_end (f->s, run, 2000 + i, i % 4 == 1 ? "done" : "failed", i % 4 == 1 ? NULL : "why", "{}", &e), &e);
		commit (f->s);
	}
	g_autoptr (GPtrArray) all = store_runs (f->s, 0, &e), two = store_runs (f->s, 2, &e);
	assert_true (all->len == 200 && two->len == 2);
	const Run *last = two->pdata[0], *before = two->pdata[1];
	assert_true (last->id == run && last->started == 1230 && last->ended == 0 && !last->result); /* running or died */
	assert_true (before->ended == 2229 && strcmp (before->result, "done") == 0 && !before->error && strcmp (before->facts, "{}") == 0);
	g_autoptr (GString) text = g_string_new (NULL), none = g_string_new (NULL);
	must (store_run_lines (f->s, run, add_line, text, &e) && store_run_lines (f->s, 1, add_line, none, &e), &e);
	assert_string_equal (text->str, "1 Synchronizing Mailbox 'testuser'\n2  3 folder(s) added to offline store\n3 Done\n");
	assert_string_equal (none->str, "");
	begin (f->s);
	must_fail (store_run_end (f->s, 1, 1, "done", NULL, NULL, &e), &e, ERROR_NOT_FOUND, NULL);
	store_rollback (f->s);
	assert_clean (f->s);
}

static void
the_index_mark_is_kept (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	assert_int_equal (store_indexed_message (f->s), 0);
	begin (f->s);
	put (f->s, make_folder (f->s, "A"), 1);
	must (store_set_indexed_message (f->s, 1, &e), &e);
	commit (f->s);
	assert_int_equal (store_indexed_message (f->s), 1);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE (a_folders_binding_comes_back_as_it_was),
		WITH_STORE (unbinding_a_folder_forgets_what_was_bound_and_pending_in_it),
		WITH_STORE (what_was_moved_into_a_folder_that_is_new_to_the_home_still_comes_from_where_it_was),
		WITH_STORE (a_placements_binding_comes_back_and_ends_its_pending),
		WITH_STORE (flags_to_push_are_those_that_differ_from_the_base),
		WITH_STORE (a_folder_without_differences_is_settled_and_no_other),
		WITH_STORE (a_pending_keeps_its_first_watermark_of_a_uidvalidity_and_counts_failures),
		WITH_STORE (a_change_under_way_goes_on_when_the_home_moved_the_message),
		WITH_STORE (a_decision_is_noted_with_its_messages_and_can_be_undone),
		WITH_STORE (what_was_sent_is_withheld_again),
		WITH_STORE (a_decision_is_swept_with_what_it_removed),
		WITH_STORE (a_hold_is_one_for_folder_side_and_kind_and_a_decision_is_for_its_number),
		WITH_STORE (the_log_keeps_200_runs_with_their_lines),
		WITH_STORE (the_index_mark_is_kept),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
