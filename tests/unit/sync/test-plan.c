/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "sync-plan.h"

static void
flags_merge_three_ways (void **state)
{
	static const struct {
		guint base, here, home, want;
	} rows[] = {
		{0, 0, 0, 0}, {0, 1, 0, 1}, {0, 0, 1, 1}, {1, 0, 1, 0}, {1, 1, 0, 0}, {1, 0, 0, 0}, {0, 1, 1, 1},
		{1, 3, 5, 7}, /* one set here, another set at home */
		{7, 3, 5, 1}, /* one cleared here, another cleared at home */
		{1, 4, 3, 6}, /* cleared and set here, set at home */
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		assert_int_equal (plan_merge_flags (rows[i].base, rows[i].here, rows[i].home), rows[i].want);
}

static void
the_guard_holds_unusual_removals (void **state)
{
	static const struct {
		guint n, of;
		gboolean holds;
	} rows[] = {
		{0, 0, FALSE}, {1, 1, FALSE}, {2, 2, TRUE}, {1, 2, FALSE}, {5, 5, TRUE}, {20, 100, FALSE},
		{21, 100, TRUE}, {21, 210, FALSE}, {22, 210, TRUE}, {1000, 1000, TRUE}, {100, 1000, FALSE},
	};
	const SyncOptions usual = SYNC_OPTIONS_INIT, six = {.guard_messages = 20, .guard_percent = 10, .guard_all = 6};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		assert_int_equal (plan_guard_holds (rows[i].n, rows[i].of, &usual), rows[i].holds);
	assert_false (plan_guard_holds (5, 5, &six));
	assert_true (plan_guard_holds (6, 6, &six));
}

static void
only_changed_folders_are_asked (void **state)
{
	FolderBinding b = {.complete = TRUE, .uidvalidity = 1, .uidnext = 5, .messages = 4, .highestmodseq = 9};
	RemoteFolder r = {.has_status = TRUE, .uidvalidity = 1, .uidnext = 5, .messages = 4, .highestmodseq = 9};
	assert_false (plan_needs_query (&b, &r));
	r.highestmodseq = 10;
	assert_true (plan_needs_query (&b, &r));
	r.highestmodseq = 0; /* without MODSEQ flags may have changed unseen */
	assert_true (plan_needs_query (&b, &r));
	r.messages = b.messages = 0;
	assert_false (plan_needs_query (&b, &r));
	b.complete = FALSE;
	assert_true (plan_needs_query (&b, &r));
}

static void
unanswered_pushes_are_matched_as_a_multiset_in_order (void **state)
{
	PushedMessage pushed[] = {{1, 100, 50, "a@x", 1}, {2, 100, 50, "a@x", 1}, {3, 70, 9, NULL, 3}, {4, 71, 9, "b@x", 4}, {5, 72, 9, "c@x", 5}};
	RemoteEvidence evidence[] = {{.uid = 7, .size = 100, .received = 50, .message_id = (char *) "a@x"},
	                             {.uid = 8, .size = 70, .received = 9},
	                             {.uid = 9, .size = 100, .received = 50, .message_id = (char *) "a@x"},
	                             {.uid = 10, .size = 71, .received = 8, .message_id = (char *) "b@x", .digest = 4, .has_header = TRUE},
	                             {.uid = 11, .size = 79, .received = 9, .message_id = (char *) "c@x", .digest = 5, .has_header = TRUE}};
	guint32 uids[5];
	plan_match_pushed (pushed, 5, evidence, 5, uids);
	assert_int_equal (uids[0], 7);
	assert_int_equal (uids[1], 9);
	assert_int_equal (uids[2], 8);
	assert_int_equal (uids[3], 0); /* another date */
	assert_int_equal (uids[4], 11); /* a wrong size */
	pushed[3].copied = TRUE;        /* it has the home's date */
	plan_match_pushed (pushed, 5, evidence, 5, uids);
	assert_int_equal (uids[3], 10);
}

/* ---- Folder plans: a row tells what was agreed, what is here, what is at home, and the steps that follow. ---- */

typedef struct {
	const char *base; /* wire name of the binding, NULL none */
	const char *here; /* name here, NULL none; "!" before it: renamed since */
	const char *home; /* wire name at home, NULL none */
	const char *base_id, *home_id;
	guint32 base_validity, home_validity;
	const char *want; /* steps, sorted by kind */
} PlanRow;

static const char *const kind_names[] = {"bind", "create-here", "rename-here", "empty-here", "remove-here", "forget",
                                         "restore-here", "create-home", "rename-home", "remove-home"};

static void
folder_rows (void **state)
{
	static const PlanRow rows[] = {
		{NULL, NULL, "A", NULL, NULL, 0, 1, "create-here"},
		{NULL, "A", NULL, NULL, NULL, 0, 0, "create-home"},
		{NULL, "A", "A", NULL, NULL, 0, 1, "bind"},
		{"A", "A", "A", NULL, NULL, 1, 1, ""},
		{"A", "B", "A", NULL, NULL, 1, 1, "rename-home"},
		{"A", "A", "B", "i", "i", 1, 1, "rename-here"},
		{"A", "A", "B", NULL, NULL, 1, 1, "rename-here"}, /* recognised by UIDVALIDITY */
		{"A", "A", "B", NULL, NULL, 1, 2, "create-here remove-here"},
		{"A", "A", "A", "i", "j", 1, 2, ""}, /* no id is known there: another home, evidence tells */
		{"A", "A", NULL, NULL, NULL, 1, 0, "remove-here"},
		{"A", NULL, "A", NULL, NULL, 1, 1, "remove-home"},
		{"A", NULL, NULL, NULL, NULL, 1, 0, "forget"},
		{"A", "C", "B", "i", "i", 1, 1, "rename-here"}, /* both renamed */
		{"INBOX", "INBOX", "INBOX", NULL, NULL, 1, 1, ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		const PlanRow *row = &rows[i];
		g_autoptr (GPtrArray) folders = g_ptr_array_new (), bindings = g_ptr_array_new (), remotes = g_ptr_array_new ();
		Folder f = {.id = 1, .name = (char *) row->here, .path = (char *) row->here};
		FolderBinding b = {.folder = 1, .remote_name = (char *) row->base, .base_name = (char *) row->base, .delimiter = '/',
		                   .remote_id = (char *) row->base_id, .uidvalidity = row->base_validity, .uidnext = 4, .selectable = TRUE};
		RemoteFolder r = {.name = (char *) row->home, .leaf = (char *) row->home, .delimiter = '/', .id = (char *) row->home_id,
		                  .selectable = TRUE, .has_status = TRUE, .uidvalidity = row->home_validity, .uidnext = 4};
		if (row->here)
			g_ptr_array_add (folders, &f);
		if (row->base)
			g_ptr_array_add (bindings, &b);
		if (row->home)
			g_ptr_array_add (remotes, &r);
		g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
		g_autoptr (GString) got = g_string_new (NULL);
		for (guint s = 0; s < steps->len; s++)
			g_string_append_printf (got, "%s%s", s ? " " : "", kind_names[g_array_index (steps, FolderStep, s).kind]);
		if (strcmp (got->str, row->want) != 0)
			print_error ("row %zu\n", i);
		assert_string_equal (got->str, row->want);
	}
}

static void
a_folder_removed_here_comes_back_when_home_has_news_in_it (void **state)
{
	g_autoptr (GPtrArray) folders = g_ptr_array_new (), bindings = g_ptr_array_new (), remotes = g_ptr_array_new ();
	FolderBinding b = {.folder = 1, .remote_name = (char *) "A", .base_name = (char *) "A", .uidvalidity = 1, .uidnext = 4};
	RemoteFolder r = {.name = (char *) "A", .leaf = (char *) "A", .has_status = TRUE, .uidvalidity = 1, .uidnext = 5};
	g_ptr_array_add (bindings, &b);
	g_ptr_array_add (remotes, &r);
	g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
	assert_int_equal (steps->len, 1);
	assert_int_equal (g_array_index (steps, FolderStep, 0).kind, PLAN_RESTORE_HERE);
}

static void
parents_are_made_before_children_and_removed_after_them (void **state)
{
	g_autoptr (GPtrArray) folders = g_ptr_array_new (), bindings = g_ptr_array_new (), remotes = g_ptr_array_new ();
	RemoteFolder child = {.name = (char *) "A/B", .parent = (char *) "A", .leaf = (char *) "B", .delimiter = '/'};
	RemoteFolder parent = {.name = (char *) "A", .leaf = (char *) "A", .delimiter = '/'};
	FolderBinding x = {.folder = 8, .remote_name = (char *) "X", .base_name = (char *) "X"};
	FolderBinding xy = {.folder = 9, .remote_name = (char *) "X/Y", .base_name = (char *) "Y"};
	Folder fx = {.id = 8, .name = (char *) "X", .path = (char *) "X"}, fy = {.id = 9, .parent = 8, .name = (char *) "Y", .path = (char *) "X/Y"};
	g_ptr_array_add (remotes, &child);
	g_ptr_array_add (remotes, &parent);
	g_ptr_array_add (bindings, &x);
	g_ptr_array_add (bindings, &xy);
	g_ptr_array_add (folders, &fx);
	g_ptr_array_add (folders, &fy);
	g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
	assert_int_equal (steps->len, 4);
	assert_ptr_equal (g_array_index (steps, FolderStep, 0).remote, &parent);
	assert_ptr_equal (g_array_index (steps, FolderStep, 1).remote, &child);
	assert_ptr_equal (g_array_index (steps, FolderStep, 2).folder, &fy);
	assert_ptr_equal (g_array_index (steps, FolderStep, 3).folder, &fx);
}

static void
a_folder_removed_here_comes_back_before_what_is_new_below_it (void **state)
{
	static const struct {
		const char *new_name, *new_parent; /* at home */
		gboolean renamed;                  /* a folder known here got that name */
		guint steps;
		PlanKind first;
	} rows[] = {
		{"A/B", "A", FALSE, 2, PLAN_RESTORE_HERE}, {"A/B", "A", TRUE, 2, PLAN_RESTORE_HERE}, {"A/B/C", NULL, FALSE, 2, PLAN_RESTORE_HERE},
		{"AB", NULL, FALSE, 2, PLAN_CREATE_HERE},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GPtrArray) folders = g_ptr_array_new (), bindings = g_ptr_array_new (), remotes = g_ptr_array_new ();
		FolderBinding a = {.folder = 1, .remote_name = (char *) "A", .base_name = (char *) "A", .delimiter = '/', .uidvalidity = 1, .uidnext = 4};
		FolderBinding x = {.folder = 2, .remote_name = (char *) "X", .remote_id = (char *) "x", .base_name = (char *) "X", .delimiter = '/'};
		Folder fx = {.id = 2, .name = (char *) "X", .path = (char *) "X"};
		RemoteFolder ra = {.name = (char *) "A", .leaf = (char *) "A", .delimiter = '/', .has_status = TRUE, .uidvalidity = 1, .uidnext = 4};
		RemoteFolder child = {.name = (char *) rows[i].new_name, .parent = (char *) rows[i].new_parent, .leaf = (char *) "B", .delimiter = '/',
		                      .id = (char *) (rows[i].renamed ? "x" : "y")};
		g_ptr_array_add (bindings, &a);
		g_ptr_array_add (remotes, &child);
		g_ptr_array_add (remotes, &ra);
		if (rows[i].renamed) {
			g_ptr_array_add (bindings, &x);
			g_ptr_array_add (folders, &fx);
		}
		g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
		assert_int_equal (steps->len, rows[i].steps);
		assert_int_equal (g_array_index (steps, FolderStep, 0).kind, rows[i].first);
		assert_ptr_equal (g_array_index (steps, FolderStep, 1).remote, rows[i].first == PLAN_RESTORE_HERE ? &child : &ra);
	}
}

static void
a_folder_removed_at_home_whose_name_another_one_got_is_gone (void **state)
{
	for (guint uidnext = 4; uidnext >= 3; uidnext--) { /* with a lower UIDNEXT it is not that one */
		g_autoptr (GPtrArray) folders = g_ptr_array_new (), bindings = g_ptr_array_new (), remotes = g_ptr_array_new ();
		FolderBinding a = {.folder = 1, .remote_name = (char *) "A", .base_name = (char *) "A", .uidvalidity = 1, .uidnext = 9, .selectable = TRUE};
		FolderBinding b = {.folder = 2, .remote_name = (char *) "B", .base_name = (char *) "B", .uidvalidity = 2, .uidnext = 4, .selectable = TRUE};
		Folder fa = {.id = 1, .name = (char *) "A", .path = (char *) "A"}, fb = {.id = 2, .name = (char *) "B", .path = (char *) "B"};
		RemoteFolder r = {.name = (char *) "A", .leaf = (char *) "A", .selectable = TRUE, .has_status = TRUE, .uidvalidity = 2, .uidnext = uidnext};
		g_ptr_array_add (bindings, &a);
		g_ptr_array_add (bindings, &b);
		g_ptr_array_add (folders, &fa);
		g_ptr_array_add (folders, &fb);
		g_ptr_array_add (remotes, &r);
		g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
		const FolderStep *first = &g_array_index (steps, FolderStep, 0), *last = &g_array_index (steps, FolderStep, steps->len - 1);
		assert_int_equal (steps->len, uidnext == 4 ? 2 : 1);
		assert_int_equal (first->kind, uidnext == 4 ? PLAN_RENAME_HERE : PLAN_REMOVE_HERE);
		assert_true (uidnext != 4 || (first->guessed && first->folder == &fb));
		assert_int_equal (last->kind, PLAN_REMOVE_HERE);
		assert_ptr_equal (last->folder, uidnext == 4 ? &fa : &fb);
	}
}

static void
a_folder_that_comes_back_brings_those_above_it (void **state)
{
	g_autoptr (GPtrArray) folders = g_ptr_array_new (), bindings = g_ptr_array_new (), remotes = g_ptr_array_new ();
	static const char *const names[] = {"A", "A/B", "A/B/C", "X"}, *const leaves[] = {"A", "B", "C", "X"}, *const parents[] = {NULL, "A", "A/B", NULL};
	FolderBinding b[4];
	RemoteFolder r[4];
	for (guint i = 0; i < 4; i++) {
		b[i] = (FolderBinding){.folder = i + 1, .remote_name = (char *) names[i], .base_name = (char *) leaves[i], .delimiter = '/', .uidvalidity = 1, .uidnext = 4};
		r[i] = (RemoteFolder){.name = (char *) names[i], .parent = (char *) parents[i], .leaf = (char *) leaves[i], .delimiter = '/', .has_status = TRUE,
		                      .uidvalidity = 1, .uidnext = i == 2 ? 5 : 4};
		g_ptr_array_add (bindings, &b[i]);
		g_ptr_array_add (remotes, &r[i]);
	}
	g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
	plan_restore_above (steps);
	assert_int_equal (steps->len, 4);
	for (guint i = 0; i < 4; i++) {
		assert_ptr_equal (g_array_index (steps, FolderStep, i).remote, &r[i]);
		assert_int_equal (g_array_index (steps, FolderStep, i).kind, i < 3 ? PLAN_RESTORE_HERE : PLAN_REMOVE_HOME);
	}
}

static void
a_mere_parent_is_recognised_behind_another_prefix (void **state)
{
	g_autoptr (GPtrArray) folders = g_ptr_array_new (), remotes = g_ptr_array_new (), bindings = g_ptr_array_new ();
	RemoteFolder inbox = {.name = (char *) "INBOX", .leaf = (char *) "INBOX", .delimiter = '.', .selectable = TRUE};
	RemoteFolder parent = {.name = (char *) "INBOX.A", .leaf = (char *) "A", .delimiter = '.'};
	RemoteFolder child = {.name = (char *) "INBOX.A.B", .parent = (char *) "INBOX.A", .leaf = (char *) "B", .delimiter = '.', .selectable = TRUE};
	Folder fa = {.id = 8, .name = (char *) "A", .path = (char *) "A"}, fb = {.id = 9, .parent = 8, .name = (char *) "B", .path = (char *) "A/B"};
	FolderBinding ba = {.folder = 8, .base_name = (char *) "A", .remote_name = (char *) "A", .delimiter = '/'};
	FolderBinding bb = {.folder = 9, .base_parent = 8, .base_name = (char *) "B", .remote_name = (char *) "A/B", .delimiter = '/', .uidvalidity = 3, .selectable = TRUE};
	g_ptr_array_add (remotes, &inbox);
	g_ptr_array_add (remotes, &parent);
	g_ptr_array_add (remotes, &child);
	g_ptr_array_add (folders, &fa);
	g_ptr_array_add (folders, &fb);
	g_ptr_array_add (bindings, &ba);
	g_ptr_array_add (bindings, &bb);
	g_autoptr (GArray) steps = plan_folders (folders, bindings, remotes, NULL, NULL);
	guint followed = 0;
	for (guint i = 0; i < steps->len; i++) {
		const FolderStep *step = &g_array_index (steps, FolderStep, i);
		assert_int_not_equal (step->kind, PLAN_REMOVE_HERE);
		followed += step->kind == PLAN_RENAME_HERE && ((step->folder == &fa && step->remote == &parent) || (step->folder == &fb && step->remote == &child));
	}
	assert_int_equal (followed, 2);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (flags_merge_three_ways),
		cmocka_unit_test (the_guard_holds_unusual_removals),
		cmocka_unit_test (only_changed_folders_are_asked),
		cmocka_unit_test (unanswered_pushes_are_matched_as_a_multiset_in_order),
		cmocka_unit_test (folder_rows),
		cmocka_unit_test (a_folder_removed_here_comes_back_when_home_has_news_in_it),
		cmocka_unit_test (parents_are_made_before_children_and_removed_after_them),
		cmocka_unit_test (a_folder_removed_here_comes_back_before_what_is_new_below_it),
		cmocka_unit_test (a_folder_removed_at_home_whose_name_another_one_got_is_gone),
		cmocka_unit_test (a_folder_that_comes_back_brings_those_above_it),
		cmocka_unit_test (a_mere_parent_is_recognised_behind_another_prefix),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
