/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the two folder trees together: plan_folders says what, this file does it, with sync-rename.c and sync-removal.c. What changes here is
 * one transaction; what changes at home goes step by step, each followed by its binding's update. */
#include "sync-hierarchy.h"
#include "sync-overlap.h"
#include <string.h>

gint64
tree_folder_of_name (Tree *t, const char *wire_name)
{
	gint64 *id = wire_name ? g_hash_table_lookup (t->folder_of_name, wire_name) : NULL;
	return id ? *id : 0;
}

static void
remember_name (Tree *t, const char *wire_name, gint64 folder)
{
	g_hash_table_insert (t->folder_of_name, g_strdup (wire_name), g_memdup2 (&folder, sizeof folder));
}

gboolean
tree_bind (Tree *t, gint64 folder, const FolderBinding *old, const RemoteFolder *r, gint64 base_parent, const char *base_name,
           GError **error)
{
	FolderBinding b = {0};
	if (old)
		b = *old;
	b.folder = folder;
	b.remote_name = r->name;
	b.delimiter = r->delimiter;
	b.remote_id = r->id ? r->id : b.remote_id;
	b.base_parent = base_parent;
	b.base_name = (char *) base_name;
	b.selectable = r->selectable;
	remember_name (t, r->name, folder);
	return store_bind_folder (t->run->store, &b, error);
}

char *
sync_free_name (Store *s, gint64 parent, const char *leaf)
{
	char *name = g_strdup (leaf);
	for (guint n = 2; n < 1000 && store_folder_child (s, parent, name); n++) {
		g_free (name);
		name = g_strdup_printf ("%s (%u)", leaf, n);
	}
	return name;
}

gboolean
tree_make_room (Tree *t, gint64 parent, const char *leaf, GError **error)
{
	gint64 owner = store_folder_child (t->run->store, parent, leaf);
	for (guint i = 0; owner && t->steps && i < t->steps->len; i++) {
		const FolderStep *step = &g_array_index (t->steps, FolderStep, i);
		const Folder *f = step->folder;
		if (step->kind != PLAN_RENAME_HERE || f->id != owner || (f->parent == tree_folder_of_name (t, step->remote->parent) && strcmp (f->name, step->remote->leaf) == 0))
			continue;
		g_autofree char *free = sync_free_name (t->run->store, f->parent, f->name);
		return store_folder_rename (t->run->store, f->id, f->parent, free, error);
	}
	return TRUE;
}

gboolean
sync_is_unfit (const GError *e)
{
	return error_is (e, ERROR_USAGE) || error_is (e, ERROR_EXISTS) || error_is (e, ERROR_TOO_BIG);
}

void
sync_tell_unfit (SyncRun *run, const char *name, const char *what, const char *why)
{
	g_autofree char *start = g_strndup (name, 80), *printable = g_utf8_make_valid (start, -1);
	run->result->failures++;
	sync_log_detail (run, "the server's folder '%s%s' %s: %s", printable, strlen (name) > 80 ? "..." : "", what, why);
}

const FolderBinding *
tree_binding (Tree *t, gint64 folder)
{
	for (guint i = 0; i < t->bindings->len; i++)
		if (((FolderBinding *) t->bindings->pdata[i])->folder == folder)
			return t->bindings->pdata[i];
	return NULL;
}

/* One that was made here meanwhile under its name is it. */
static gboolean
take_place_here (Tree *t, const RemoteFolder *r, gboolean *taken_out, GError **error)
{
	gint64 parent = tree_folder_of_name (t, r->parent), id = store_folder_child (t->run->store, parent, r->leaf);
	g_autoptr (Folder) f = id && !tree_binding (t, id) ? store_folder (t->run->store, id, error) : NULL;
	*taken_out = f && !f->local_only;
	return !*taken_out || tree_bind (t, id, NULL, r, parent, r->leaf, error);
}

gboolean
tree_create_here (Tree *t, const FolderStep *step, GError **error)
{
	const RemoteFolder *r = step->remote;
	gint64 parent = tree_folder_of_name (t, r->parent), id;
	GError *e = NULL;
	if (r->parent && g_hash_table_contains (t->left_out, r->parent)) {
		g_hash_table_add (t->left_out, r->name);
		sync_tell_unfit (t->run, r->name, "is left out", "so is the one above it");
		return TRUE;
	}
	gboolean taken;
	if (!take_place_here (t, r, &taken, error) || taken)
		return taken;
	if (!tree_make_room (t, parent, r->leaf, error))
		return FALSE;
	g_autofree char *name = sync_free_name (t->run->store, parent, r->leaf);
	NewFolder n = {parent, name, r->role, r->subscribed, r->selectable, FALSE};
	if (store_folder_create (t->run->store, &n, &id, &e)) {
		t->run->result->folders_added_here++;
		return tree_bind (t, id, NULL, r, parent, name, error);
	}
	if (!sync_is_unfit (e)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_hash_table_add (t->left_out, r->name);
	sync_tell_unfit (t->run, r->name, "is left out", e->message);
	g_error_free (e);
	return TRUE;
}

static gboolean
step_here (Tree *t, const FolderStep *step, GError **error)
{
	switch (step->kind) {
	case PLAN_BIND:
		return tree_bind (t, step->folder->id, step->binding, step->remote,
		                  step->binding ? step->binding->base_parent : step->folder->parent,
		                  step->binding ? step->binding->base_name : step->folder->name, error);
	case PLAN_CREATE_HERE:
		return tree_create_here (t, step, error);
	case PLAN_RENAME_HERE:
		return tree_rename_here (t, step, error);
	case PLAN_EMPTY_HERE:
		return tree_empty_here (t, step, error);
	case PLAN_REMOVE_HERE:
		return tree_remove_here (t, step, error);
	case PLAN_FORGET:
		return store_unbind_folder (t->run->store, step->binding->folder, error);
	case PLAN_RESTORE_HERE:
		return tree_restore_here (t, step, error);
	default:
		return TRUE;
	}
}

gboolean
tree_reload (Tree *t, GError **error)
{
	g_clear_pointer (&t->bindings, g_ptr_array_unref);
	t->bindings = store_folder_bindings (t->run->store, error);
	return t->bindings != NULL;
}

gboolean
sync_tolerable (SyncRun *run, GError *e, GError **error)
{
	if (error_reach (e->code) == REACH_MAILBOX) {
		g_propagate_error (error, e);
		return FALSE;
	}
	sync_log_detail (run, "%s", e->message);
	run->result->failures++;
	g_error_free (e);
	return TRUE;
}

gboolean
sync_refused (SyncRun *run, const char *what, const char *path, GError *e, GError **error)
{
	g_prefix_error (&e, "folder '%s' can't be %s at home: ", path, what);
	return sync_tolerable (run, e, error);
}

/* Who else has the name at home: here, or, removed here, until its removal is carried out. */
static const FolderBinding *
other_of_name (Tree *t, const char *remote_name, gint64 folder)
{
	for (guint i = 0; i < t->bindings->len; i++) {
		const FolderBinding *b = t->bindings->pdata[i];
		if (b->folder != folder && strcmp (b->remote_name, remote_name) == 0)
			return b;
	}
	return NULL;
}

/* The home takes the name for that of another folder: @leaf gets a number. */
static gboolean
step_aside (Tree *t, const Folder *f, const FolderBinding *other, char **leaf, GError **error)
{
	g_autofree char *free = sync_free_name (t->run->store, f->parent, f->name);
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" has a name that the server takes for that of another folder.\n"
	                                         "It is called \"%s\" now, on both sides.\n", f->path, free);
	t->run->result->conflicts++;
	sync_log_detail (t->run, "folder '%s': to the server that is the name of '%s'; it is called '%s'", f->path, other->base_name, free);
	gboolean ok = sync_begin (t->run, error) && store_folder_rename (t->run->store, f->id, f->parent, free, error) &&
	              sync_report (t->run, "Conflicts", "Folder renamed", text, error) && sync_commit (t->run, error);
	store_rollback (t->run->store);
	g_free (*leaf);
	*leaf = g_steal_pointer (&free);
	return ok;
}

const RemoteFolder *
tree_listed (Tree *t, const char *parent, const char *leaf)
{
	for (guint i = 0; i < t->run->remotes->len; i++) {
		const RemoteFolder *r = t->run->remotes->pdata[i];
		if (g_strcmp0 (r->parent, parent) == 0 && strcmp (r->leaf, leaf) == 0)
			return r;
	}
	return NULL;
}

/* Of a new folder: that of the one above it, else the one that any other has. */
static char
delimiter_at_home (Tree *t, const FolderBinding *parent)
{
	char delimiter = parent ? parent->delimiter : 0;
	for (guint i = 0; !delimiter && i < t->run->remotes->len; i++)
		delimiter = ((RemoteFolder *) t->run->remotes->pdata[i])->delimiter;
	return delimiter;
}

#define NAMES_TRIED 10 /* a run, for one folder */

static gboolean
create_home (Tree *t, const FolderStep *step, GError **error)
{
	const Folder *f = step->folder;
	const FolderBinding *parent = f->parent ? tree_binding (t, f->parent) : NULL;
	g_autofree char *leaf = g_strdup (f->name), *name = NULL;
	if (tree_binding (t, f->id) || (f->parent && (!parent || sync_is_absent (t->run, f->parent))))
		return TRUE; /* it came to be one that is there; or its parent failed, or is gone at home and held */
	if (!tree_clear_name_at_home (t, f, parent ? parent->remote_name : NULL, error))
		return FALSE;
	parent = f->parent ? tree_binding (t, f->parent) : NULL;
	for (guint tries = 0;; tries++) {
		GError *e = NULL;
		sync_step ();
		g_clear_pointer (&name, g_free);
		if (!t->run->home->class->folder_create (t->run->home, parent ? parent->remote_name : NULL, leaf, f->role, &name, &e))
			return sync_refused (t->run, "created", f->path, e, error);
		sync_step ();
		const FolderBinding *other = other_of_name (t, name, f->id);
		if (!other)
			break;
		if (other->folder_gone || tries >= NAMES_TRIED)
			return TRUE; /* the next run makes it */
		if (!step_aside (t, f, other, &leaf, error))
			return FALSE;
	}
	t->run->result->folders_added_home++;
	FolderBinding b = {.folder = f->id, .remote_name = name, .delimiter = delimiter_at_home (t, parent), .base_parent = f->parent,
	                   .base_name = leaf, .selectable = TRUE};
	return sync_begin (t->run, error) && store_bind_folder (t->run->store, &b, error) && sync_commit (t->run, error) &&
	       tree_reload (t, error);
}

static void
count_bound_names (Tree *t)
{
	for (guint i = 0; i < t->bindings->len; i++) {
		FolderBinding *b = t->bindings->pdata[i];
		if (!b->folder_gone)
			remember_name (t, b->remote_name, b->folder);
	}
}

static gboolean
apply_here (Tree *t, GArray *steps, GError **error)
{
	gboolean any = FALSE;
	for (guint i = 0; i < steps->len; i++)
		any |= g_array_index (steps, FolderStep, i).kind < PLAN_CREATE_HOME;
	if (!any)
		return TRUE;
	if (!sync_begin (t->run, error))
		return FALSE;
	for (guint i = 0; i < steps->len; i++)
		if (!step_here (t, &g_array_index (steps, FolderStep, i), error))
			return FALSE;
	return sync_log_write (t->run, error) && sync_commit (t->run, error);
}

static gboolean
apply_home (Tree *t, GArray *steps, GError **error)
{
	for (guint i = 0; i < steps->len; i++) {
		FolderStep *step = &g_array_index (steps, FolderStep, i);
		if (step->kind == PLAN_CREATE_HOME && !create_home (t, step, error))
			return FALSE;
		if (step->kind == PLAN_RENAME_HOME && !tree_rename_home (t, step->folder->id, error))
			return FALSE;
	}
	return TRUE;
}

static int
parents_before_children (gconstpointer a, gconstpointer b)
{
	return strcmp ((*(Folder *const *) a)->path, (*(Folder *const *) b)->path);
}

static gboolean
create_kept (Tree *t, GError **error)
{
	g_autoptr (GPtrArray) folders = t->kept->len ? store_folders (t->run->store, error) : NULL;
	if (!folders)
		return t->kept->len == 0;
	g_ptr_array_sort (folders, parents_before_children);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		FolderStep step = {.kind = PLAN_CREATE_HOME, .folder = f};
		if (sync_contains_id (t->kept, f->id) && !create_home (t, &step, error))
			return FALSE;
	}
	return TRUE;
}

/* Folders that are there at home only because others lie below them, and that are to get messages. */
static gboolean
open_parents (Tree *t, GError **error)
{
	g_autoptr (GArray) ids = store_folders_to_open (t->run->store, error);
	for (guint i = 0; ids && i < ids->len; i++) {
		const FolderBinding *b = tree_binding (t, g_array_index (ids, gint64, i));
		const RemoteFolder *r = b ? sync_listed (t->run, b->remote_name) : NULL;
		g_autofree char *name = NULL;
		GError *e = NULL;
		if (!r || r->selectable || sync_is_absent (t->run, b->folder))
			continue;
		sync_step ();
		if (!t->run->home->class->folder_create (t->run->home, r->parent, r->leaf, r->role, &name, &e) && !sync_refused (t->run, "created", b->base_name, e, error))
			return FALSE;
		sync_step ();
	}
	return ids != NULL;
}

static gboolean
changes_trees (const GArray *steps)
{
	for (guint i = 0; i < steps->len; i++) {
		PlanKind kind = g_array_index (steps, FolderStep, i).kind;
		if (kind != PLAN_BIND && kind != PLAN_FORGET)
			return TRUE;
	}
	return FALSE;
}

static gboolean
verify_guesses (SyncRun *run, const GArray *steps, GArray *refused, GError **error)
{
	for (guint i = 0; i < steps->len; i++) {
		const FolderStep *step = &g_array_index (steps, FolderStep, i);
		gboolean same = TRUE;
		if (step->guessed && step->remote && !sync_verify_rename (run, step, &same, error))
			return FALSE;
		FolderPair guess = {step->binding ? step->binding->folder : 0, step->remote};
		if (!same)
			g_array_append_val (refused, guess);
	}
	return TRUE;
}

/* Two folders may have the same UIDVALIDITY by chance, so a guess that evidence does not bear out is no rename, and the plan is made
 * without it: the folder may have moved to another one. Each round refuses at least one of finitely many pairs. What is then still gone on
 * one side and new on the other is compared by contents, once. */
GArray *
sync_plan_hierarchy (SyncRun *run, const GPtrArray *folders, const GPtrArray *bindings, gboolean rehearsal, GError **error)
{
	g_autoptr (GArray) refused = g_array_new (FALSE, FALSE, sizeof (FolderPair)), recognised = g_array_new (FALSE, FALSE, sizeof (FolderPair));
	gboolean checked = rehearsal, compared = FALSE;
	for (;;) {
		g_autoptr (GArray) steps = plan_folders (folders, bindings, run->remotes, refused, recognised);
		guint before = refused->len, known = recognised->len;
		if (!checked && !sync_check_mailbox (run, changes_trees (steps), error))
			return NULL;
		checked = TRUE;
		if (!verify_guesses (run, steps, refused, error))
			return NULL;
		if (refused->len > before)
			continue;
		if (!compared && !sync_recognise_folders (run, bindings, steps, recognised, error))
			return NULL;
		compared = TRUE;
		if (recognised->len == known)
			return g_steal_pointer (&steps);
	}
}

static void
log_folder_counts (SyncRun *run)
{
	const SyncResult *r = run->result;
	if (r->folders_added_here)
		sync_log_detail (run, "%" G_GUINT64_FORMAT " folder(s) added to offline store", r->folders_added_here);
	if (r->folders_changed_here)
		sync_log_detail (run, "%" G_GUINT64_FORMAT " folder(s) updated in offline store", r->folders_changed_here);
	if (r->folders_removed_here)
		sync_log_detail (run, "%" G_GUINT64_FORMAT " folder(s) removed from offline store", r->folders_removed_here);
	if (r->folders_added_home)
		sync_log_detail (run, "%" G_GUINT64_FORMAT " folder(s) added to online mailbox", r->folders_added_home);
	if (r->folders_changed_home)
		sync_log_detail (run, "%" G_GUINT64_FORMAT " folder(s) updated in online mailbox", r->folders_changed_home);
}

static void
drop_unfit (SyncRun *run)
{
	for (guint i = run->remotes->len; i > 0; i--) {
		const RemoteFolder *r = run->remotes->pdata[i - 1];
		if (!r->unfit)
			continue;
		sync_tell_unfit (run, r->name, "is left out", "its name is too long or has control characters");
		g_ptr_array_remove_index (run->remotes, i - 1);
	}
}

static gboolean
carry_out (Tree *t, GPtrArray *folders, GError **error)
{
	g_autoptr (GArray) steps = sync_plan_hierarchy (t->run, folders, t->bindings, FALSE, error);
	if (!steps || !tree_follow_removed (t, steps, error) || !sync_drop_restorations (t->run, steps, error))
		return FALSE;
	count_bound_names (t);
	t->steps = steps;
	gboolean ok = apply_here (t, steps, error) && tree_reload (t, error) &&
	              (t->run->options->one_way || (create_kept (t, error) && apply_home (t, steps, error) && open_parents (t, error))) && tree_drop_numbers (t, error);
	t->steps = NULL;
	store_rollback (t->run->store);
	return ok;
}

gboolean
sync_hierarchy (SyncRun *run, GError **error)
{
	sync_log (run, "Synchronizing Hierarchy");
	sync_progress (run, SYNC_HIERARCHY, NULL, TRUE);
	g_clear_pointer (&run->remotes, g_ptr_array_unref);
	if (!run->home->class->list (run->home, &run->remotes, error))
		return FALSE;
	drop_unfit (run);
	g_autoptr (GHashTable) left_out = g_hash_table_new (g_str_hash, g_str_equal);
	g_autoptr (GPtrArray) renamed = g_ptr_array_new_with_free_func (g_free);
	g_autoptr (GArray) kept = g_array_new (FALSE, FALSE, sizeof (gint64));
	Tree t = {run, g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free), NULL, NULL, left_out, kept, renamed};
	gboolean ok = tree_reload (&t, error) && tree_settle_renamings (&t, error) && tree_settle_places (&t, error);
	g_autoptr (GPtrArray) folders = ok ? store_folders (run->store, error) : NULL;
	ok = folders && carry_out (&t, folders, error);
	g_hash_table_unref (t.folder_of_name);
	g_clear_pointer (&t.bindings, g_ptr_array_unref);
	if (ok)
		log_folder_counts (run);
	tree_rename_listed (&t);
	return ok;
}
