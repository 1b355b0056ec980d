/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

static void
a_path_makes_all_its_levels (void **state)
{
	Fixture *f = *state;
	begin (f->s);
	make_folder (f->s, "Projects/2026/Ärger");
	commit (f->s);
	static const char *const paths[] = {"Projects", "Projects/2026", "Projects/2026/Ärger"};
	gint64 parent = 0;
	for (gsize i = 0; i < G_N_ELEMENTS (paths); i++) {
		g_autoptr (Folder) folder = store_folder_by_path (f->s, paths[i], NULL);
		assert_non_null (folder);
		assert_int_equal (folder->parent, parent);
		assert_string_equal (folder->path, paths[i]);
		assert_true (folder->subscribed && folder->selectable && !folder->local_only);
		assert_int_equal (folder->uidnext, 1);
		parent = folder->id;
	}
}

static void
paths_that_can_not_be_made (void **state)
{
	static const struct {
		const char *path;
		OutpostError code;
		const char *text;
	} cases[] = {
		{"", ERROR_USAGE, "needs a name"},            {"/", ERROR_USAGE, "1 to 1000 octets"},
		{"a//b", ERROR_USAGE, "1 to 1000 octets"},    {"a/", ERROR_USAGE, "1 to 1000 octets"},
		{"\xff\xfe", ERROR_USAGE, "UTF-8"},           {"There", ERROR_EXISTS, "'There'"},
		{"There/Below", ERROR_EXISTS, "'There/Below'"}, {"inbox", ERROR_EXISTS, "'inbox'"},
		{"InBox", ERROR_EXISTS, "'InBox'"},
	};
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	make_folder (f->s, "There/Below");
	make_folder (f->s, "INBOX");
	commit (f->s);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		begin (f->s);
		must_fail (store_folder_create_path (f->s, cases[i].path, NULL, &e), &e, cases[i].code, cases[i].text);
		store_rollback (f->s);
	}
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM folder"), 3);
}

static void
names_have_limits (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autofree char *longest = g_strnfill (1000, 'n'), *longer = g_strnfill (1001, 'n');
	g_autoptr (GString) deepest = g_string_new ("l");
	for (int i = 1; i < 100; i++)
		g_string_append (deepest, "/l");
	g_autoptr (GString) over = g_string_new (deepest->str);
	g_string_append (over, "/l");
	begin (f->s);
	must (store_folder_create_path (f->s, longest, NULL, &e), &e);
	must_fail (store_folder_create_path (f->s, longer, NULL, &e), &e, ERROR_USAGE, "1000");
	must_fail (store_folder_create_path (f->s, over->str, NULL, &e), &e, ERROR_TOO_BIG, "100 levels");
	must (store_folder_create_path (f->s, deepest->str, NULL, &e), &e);
	commit (f->s);
	g_autoptr (Folder) folder = store_folder_by_path (f->s, deepest->str, &e);
	must (folder != NULL, &e);
	NewFolder below = {folder->id, "l", NULL, TRUE, TRUE, FALSE};
	begin (f->s);
	must_fail (store_folder_create (f->s, &below, NULL, &e), &e, ERROR_TOO_BIG, "100 levels");
	store_rollback (f->s);
	assert_clean (f->s);
}

static void
inbox_is_inbox_in_any_case_but_only_at_the_top (void **state)
{
	static const char *const cases[] = {"INBOX", "inbox", "Inbox", "iNbOx"};
	Fixture *f = *state;
	begin (f->s);
	gint64 inbox = make_folder (f->s, "Inbox");
	gint64 below = make_folder (f->s, "Work/inbox"), other = make_folder (f->s, "Work/INBOX");
	commit (f->s);
	assert_int_not_equal (below, other);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (Folder) folder = store_folder_by_path (f->s, cases[i], NULL);
		assert_non_null (folder);
		assert_int_equal (folder->id, inbox);
	}
	assert_null (store_folder_by_path (f->s, "work/inbox", NULL));
}

static void
a_missing_path_names_near_misses (void **state)
{
	static const struct {
		const char *path, *says;
	} cases[] = {
		{"archive", "did you mean 'Archive'"}, {"Archives", "did you mean 'Archive'"}, {"ÄRGER", "'Ärger'"}, {"Arch", "'Archive', 'Archive/2024'"},
		{"Other", "there is no folder 'Other'"},
	};
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	make_folder (f->s, "Archive/2024");
	make_folder (f->s, "Ärger");
	commit (f->s);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (Folder) folder = store_folder_by_path (f->s, cases[i].path, &e);
		must_fail (folder != NULL, &e, ERROR_NOT_FOUND, cases[i].says);
	}
	assert_null (store_folder_by_path (f->s, "Other", &e));
	assert_null (strstr (e->message, "mean"));
	g_clear_error (&e);
}

static void
the_list_has_inbox_first_then_parents_before_children (void **state)
{
	static const char *const want[] = {"INBOX", "INBOX/Below", "Archive", "Archive/2023", "Archive/2024", "Zoo"};
	Fixture *f = *state;
	begin (f->s);
	for (gsize i = G_N_ELEMENTS (want); i > 0; i--)
		if (!strchr (want[i - 1], '/') && i != 1 && i != 3) /* INBOX and Archive come with what is below them */
			make_folder (f->s, want[i - 1]);
		else if (strchr (want[i - 1], '/'))
			make_folder (f->s, want[i - 1]);
	commit (f->s);
	g_autoptr (GPtrArray) list = store_folders (f->s, NULL);
	assert_int_equal (list->len, G_N_ELEMENTS (want));
	guint inbox = 0;
	for (guint i = 0; i < list->len; i++) {
		const Folder *folder = list->pdata[i];
		inbox += strcmp (folder->path, "INBOX") == 0 && i == 0;
		for (guint k = 0; k < i; k++)
			assert_true (((Folder *) list->pdata[k])->parent != folder->id);
	}
	assert_int_equal (inbox, 1);
}

static void
a_folder_that_is_gone_is_not_found (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	Folder *none = store_folder (f->s, 99, &e);
	must_fail (none != NULL, &e, ERROR_NOT_FOUND, "gone");
	begin (f->s);
	must_fail (store_folder_rename (f->s, 99, 0, "x", &e), &e, ERROR_NOT_FOUND, NULL);
	must_fail (store_folder_set (f->s, 99, NULL, TRUE, TRUE, &e), &e, ERROR_NOT_FOUND, NULL);
	must_fail (store_folder_delete (f->s, 99, "here", &e), &e, ERROR_NOT_FOUND, NULL);
	must_fail (store_place (f->s, 99, 1, 0, NULL, FALSE, 0, NULL, &e), &e, ERROR_NOT_FOUND, NULL);
	store_rollback (f->s);
	assert_null (store_folder_by_role (f->s, "trash", &e));
	assert_null (e);
}

static void
roles_are_found (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	NewFolder n = {0, "Papierkorb", "trash", FALSE, TRUE, FALSE};
	gint64 id;
	begin (f->s);
	must (store_folder_create (f->s, &n, &id, &e), &e);
	g_autoptr (Folder) trash = store_folder_by_role (f->s, "trash", &e);
	assert_int_equal (trash->id, id);
	assert_false (trash->subscribed);
	must (store_folder_set (f->s, id, "junk", TRUE, FALSE, &e), &e);
	commit (f->s);
	assert_null (store_folder_by_role (f->s, "trash", NULL));
	g_autoptr (Folder) junk = store_folder_by_role (f->s, "junk", &e);
	assert_true (junk->id == id && junk->subscribed && !junk->selectable);
}

static void
renaming_keeps_id_uids_and_validity_and_moves_what_is_below (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 below = make_folder (f->s, "A/B"), other = make_folder (f->s, "C");
	gint64 placement = put (f->s, below, 1);
	commit (f->s);
	g_autoptr (Folder) a = store_folder_by_path (f->s, "A", NULL), b = store_folder (f->s, below, NULL);
	guint64 before = store_modseq (f->s);
	begin (f->s);
	must (store_folder_rename (f->s, a->id, other, "Å", &e), &e);
	commit (f->s);
	assert_int_equal (store_modseq (f->s), before + 1);
	g_autoptr (Folder) now = store_folder_by_path (f->s, "C/Å/B", &e);
	must (now != NULL, &e);
	assert_memory_equal (&now->object_id, &b->object_id, sizeof b->object_id);
	assert_int_equal (now->uidvalidity, b->uidvalidity);
	assert_int_equal (now->uidnext, 2);
	g_autoptr (Placement) p = store_placement (f->s, placement, &e);
	must (p != NULL, &e);
	assert_int_equal (p->uid, 1);
	begin (f->s);
	must_fail (store_folder_rename (f->s, other, below, "loop", &e), &e, ERROR_USAGE, "below itself");
	must_fail (store_folder_rename (f->s, other, other, "loop", &e), &e, ERROR_USAGE, "below itself");
	make_folder (f->s, "D");
	must_fail (store_folder_rename (f->s, other, 0, "D", &e), &e, ERROR_EXISTS, "'D'");
	must_fail (store_folder_rename (f->s, other, 0, "", &e), &e, ERROR_USAGE, NULL);
	must (store_folder_rename (f->s, other, 0, "C", &e), &e); /* to its own name */
	commit (f->s);
	assert_clean (f->s);
}

static void
a_move_may_not_make_a_folder_deeper_than_the_limit (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autoptr (GString) deep = g_string_new ("l"), low = g_string_new ("m");
	for (int i = 1; i < 60; i++) {
		g_string_append (deep, "/l");
		g_string_append (low, "/m");
	}
	begin (f->s);
	gint64 bottom = make_folder (f->s, deep->str);
	make_folder (f->s, low->str);
	g_autoptr (Folder) top = store_folder_by_path (f->s, "m", NULL);
	must_fail (store_folder_rename (f->s, top->id, bottom, "m", &e), &e, ERROR_TOO_BIG, "100 levels");
	commit (f->s);
	assert_clean (f->s);
}

static void
uidvalidity_rises_and_is_never_used_again (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint32 last = 0;
	for (int i = 0; i < 20; i++) {
		begin (f->s);
		gint64 id = make_folder (f->s, "Again");
		g_autoptr (Folder) folder = store_folder (f->s, id, NULL);
		assert_true (folder->uidvalidity > last);
		last = folder->uidvalidity;
		must (store_folder_delete (f->s, id, "here", &e), &e);
		commit (f->s);
	}
}

static void
deleting_puts_messages_among_the_removed_and_leaves_a_trace (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 id = make_folder (f->s, "A/B");
	put_bound (f->s, id, 1, 11);
	put (f->s, id, 2);
	commit (f->s);
	g_autoptr (Folder) parent = store_folder_by_path (f->s, "A", NULL);
	begin (f->s);
	must_fail (store_folder_delete (f->s, parent->id, "here", &e), &e, ERROR_CONFLICT, "'A'");
	must (store_folder_delete (f->s, id, "here", &e), &e);
	commit (f->s);
	g_autoptr (GPtrArray) removed = store_removed_messages (f->s, 0, &e);
	assert_int_equal (removed->len, 2);
	assert_string_equal (((RemovedMessage *) removed->pdata[0])->folder_path, "A/B");
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM folder_removal WHERE path = 'A/B'"), 1);
	g_autoptr (FolderBinding) binding = store_folder_binding (f->s, id, &e);
	assert_true (binding && binding->folder_gone); /* its removal is to be pushed */
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM placement_binding WHERE gone = 1"), 1);
	assert_clean (f->s);
}

static void
counts_follow_every_change (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B");
	gint64 p1 = put (f->s, a, 1), p2 = put (f->s, a, 2);
	must (store_set_flags (f->s, p1, FLAG_SEEN, NULL, &e), &e);
	g_autoptr (Folder) inside = store_folder (f->s, a, NULL); /* seen within the transaction */
	assert_true (inside->total == 2 && inside->unread == 1 && inside->uidnext == 3);
	must (store_move (f->s, p2, b, NULL, &e), &e);
	commit (f->s);
	g_autoptr (Folder) fa = store_folder (f->s, a, NULL), fb = store_folder (f->s, b, NULL);
	assert_true (fa->total == 1 && fa->unread == 0);
	assert_true (fb->total == 1 && fb->unread == 1);
	begin (f->s);
	must (store_remove (f->s, p1, "here", &e), &e);
	store_rollback (f->s);
	g_autoptr (Folder) same = store_folder (f->s, a, NULL);
	assert_true (same->total == 1 && same->changed_modseq == fa->changed_modseq);
	assert_clean (f->s);
}

static guint64
octets_of (Store *s, gint64 folder)
{
	g_autoptr (Folder) f = store_folder (s, folder, NULL);
	return f->octets;
}

static void
octets_follow_every_change_and_count_each_copy (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	StoreUsage now;
	begin (f->s);
	gint64 a = make_folder (f->s, "A"), b = make_folder (f->s, "B"), before = g_get_real_time () / G_USEC_PER_SEC;
	gint64 p1 = put (f->s, a, 1);
	g_autoptr (Placement) one = store_placement (f->s, p1, &e);
	g_autoptr (Message) m = store_message (f->s, one->message, &e);
	assert_true (octets_of (f->s, a) == m->size && m->size > 0);
	assert_true (one->saved >= before && one->saved <= g_get_real_time () / G_USEC_PER_SEC);
	must (store_place (f->s, b, one->message, 0, NULL, FALSE, 0, NULL, &e) && store_usage (f->s, &now, &e), &e);
	assert_true (now.octets == 2 * m->size && now.messages == 2); /* of the transaction */
	commit (f->s);
	begin (f->s);
	must (store_move (f->s, p1, b, NULL, &e), &e);
	commit (f->s);
	assert_true (octets_of (f->s, a) == 0 && octets_of (f->s, b) == 2 * m->size);
	begin (f->s);
	must (store_folder_delete (f->s, b, "here", &e), &e);
	store_rollback (f->s);
	must (store_usage (f->s, &now, &e), &e);
	assert_true (now.octets == 2 * m->size && now.messages == 2);
	assert_clean (f->s);
	begin (f->s);
	must (store_folder_delete (f->s, b, "here", &e), &e);
	commit (f->s);
	must (store_usage (f->s, &now, &e), &e);
	assert_true (now.octets == 0 && now.messages == 0);
	assert_clean (f->s);
}

static void
collect_annotation (gpointer text, const char *name, const void *value, gsize size)
{
	g_string_append_printf (text, "%s=%.*s ", name, (int) size, (const char *) value);
}

static void
annotations_are_kept_with_their_folder (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	g_autoptr (GString) text = g_string_new (NULL);
	g_autoptr (GBytes) value = g_bytes_new_static ("blue", 4), other = g_bytes_new_static ("a\0b", 3), empty = g_bytes_new_static ("", 0);
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	must (store_set_annotation (f->s, a, "/private/color", value, &e) && store_set_annotation (f->s, 0, "/private/color", other, &e) &&
	      store_set_annotation (f->s, a, "/private/comment", empty, &e) && store_set_annotation (f->s, a, "/private/color", value, &e), &e);
	commit (f->s);
	must (store_each_annotation (f->s, a, collect_annotation, text, &e), &e);
	assert_string_equal (text->str, "/private/color=blue /private/comment= ");
	g_autoptr (GBytes) found = store_annotation (f->s, 0, "/private/color", &e), none = store_annotation (f->s, 0, "/private/comment", &e);
	assert_true (g_bytes_equal (found, other) && !none && !e);
	g_autoptr (GBytes) nothing = store_annotation (f->s, a, "/private/comment", &e);
	assert_true (nothing && g_bytes_get_size (nothing) == 0);
	begin (f->s);
	must (store_set_annotation (f->s, a, "/private/color", NULL, &e) && store_set_annotation (f->s, a, "/private/color", NULL, &e), &e);
	commit (f->s);
	g_string_truncate (text, 0);
	must (store_each_annotation (f->s, a, collect_annotation, text, &e), &e);
	assert_string_equal (text->str, "/private/comment= ");
	begin (f->s);
	must (store_folder_delete (f->s, a, "here", &e), &e);
	commit (f->s);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM annotation"), 1);
	assert_clean (f->s);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE (a_path_makes_all_its_levels),
		WITH_STORE (paths_that_can_not_be_made),
		WITH_STORE (names_have_limits),
		WITH_STORE (inbox_is_inbox_in_any_case_but_only_at_the_top),
		WITH_STORE (a_missing_path_names_near_misses),
		WITH_STORE (the_list_has_inbox_first_then_parents_before_children),
		WITH_STORE (a_folder_that_is_gone_is_not_found),
		WITH_STORE (roles_are_found),
		WITH_STORE (renaming_keeps_id_uids_and_validity_and_moves_what_is_below),
		WITH_STORE (a_move_may_not_make_a_folder_deeper_than_the_limit),
		WITH_STORE (uidvalidity_rises_and_is_never_used_again),
		WITH_STORE (deleting_puts_messages_among_the_removed_and_leaves_a_trace),
		WITH_STORE (counts_follow_every_change), WITH_STORE (octets_follow_every_change_and_count_each_copy),
		WITH_STORE (annotations_are_kept_with_their_folder),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
