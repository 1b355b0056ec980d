/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the two folder trees together: plan_folders says what, this file does it. What changes here is one transaction; what changes
 * at home goes step by step, each followed by its binding's update. */
#include "sync-gather.h"
#include "sync-overlap.h"
#include <string.h>

typedef struct {
	SyncRun *run;
	GHashTable *folder_of_name; /* wire name -> gint64 folder id (as pointer-sized copy), for parents */
	GPtrArray *bindings;
	const GArray *steps; /* the plan that is carried out; NULL: none */
	GHashTable *left_out; /* wire names, borrowed, of folders that can't be had here */
	GArray *kept; /* folder ids: gone at home, kept here, and made there again by this run; NULL: by the next */
	GPtrArray *renamed; /* wire names, before and after, of what was renamed at home, one after the other */
} Tree;

static gint64
folder_of_name (Tree *t, const char *wire_name)
{
	gint64 *id = wire_name ? g_hash_table_lookup (t->folder_of_name, wire_name) : NULL;
	return id ? *id : 0;
}

static void
remember_name (Tree *t, const char *wire_name, gint64 folder)
{
	g_hash_table_insert (t->folder_of_name, g_strdup (wire_name), g_memdup2 (&folder, sizeof folder));
}

static gboolean
bind_as_listed (Tree *t, gint64 folder, const FolderBinding *old, const RemoteFolder *r, gint64 base_parent, const char *base_name,
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

/* A name that is free among the siblings here: the remote's, or that with a number. */
static char *
free_name (Store *s, gint64 parent, const char *leaf)
{
	char *name = g_strdup (leaf);
	for (guint n = 2; n < 1000 && store_folder_child (s, parent, name); n++) {
		g_free (name);
		name = g_strdup_printf ("%s (%u)", leaf, n);
	}
	return name;
}

/* Who has the name here until its own new one is carried out leaves it now. */
static gboolean
make_room (Tree *t, gint64 parent, const char *leaf, GError **error)
{
	gint64 owner = store_folder_child (t->run->store, parent, leaf);
	for (guint i = 0; owner && t->steps && i < t->steps->len; i++) {
		const FolderStep *step = &g_array_index (t->steps, FolderStep, i);
		const Folder *f = step->folder;
		if (step->kind != PLAN_RENAME_HERE || f->id != owner || (f->parent == folder_of_name (t, step->remote->parent) && strcmp (f->name, step->remote->leaf) == 0))
			continue;
		g_autofree char *free = free_name (t->run->store, f->parent, f->name);
		return store_folder_rename (t->run->store, f->id, f->parent, free, error);
	}
	return TRUE;
}

/* The store refuses a name or a depth before it writes anything, and the error is the folder's own. */
static gboolean
is_unfit_here (const GError *e)
{
	return error_is (e, ERROR_USAGE) || error_is (e, ERROR_EXISTS) || error_is (e, ERROR_TOO_BIG);
}

static void
tell_unfit (SyncRun *run, const char *name, const char *what, const char *why)
{
	g_autofree char *start = g_strndup (name, 80), *printable = g_utf8_make_valid (start, -1);
	run->result->failures++;
	sync_log_detail (run, "the server's folder '%s%s' %s: %s", printable, strlen (name) > 80 ? "..." : "", what, why);
}

static const FolderBinding *
binding_of_folder (Tree *t, gint64 folder)
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
	gint64 parent = folder_of_name (t, r->parent), id = store_folder_child (t->run->store, parent, r->leaf);
	g_autoptr (Folder) f = id && !binding_of_folder (t, id) ? store_folder (t->run->store, id, error) : NULL;
	*taken_out = f && !f->local_only;
	return !*taken_out || bind_as_listed (t, id, NULL, r, parent, r->leaf, error);
}

static gboolean
create_here (Tree *t, const FolderStep *step, GError **error)
{
	const RemoteFolder *r = step->remote;
	gint64 parent = folder_of_name (t, r->parent), id;
	GError *e = NULL;
	if (r->parent && g_hash_table_contains (t->left_out, r->parent)) {
		g_hash_table_add (t->left_out, r->name);
		tell_unfit (t->run, r->name, "is left out", "so is the one above it");
		return TRUE;
	}
	gboolean taken;
	if (!take_place_here (t, r, &taken, error) || taken)
		return taken;
	if (!make_room (t, parent, r->leaf, error))
		return FALSE;
	g_autofree char *name = free_name (t->run->store, parent, r->leaf);
	NewFolder n = {parent, name, r->role, r->subscribed, r->selectable, FALSE};
	if (store_folder_create (t->run->store, &n, &id, &e)) {
		t->run->result->folders_added_here++;
		return bind_as_listed (t, id, NULL, r, parent, name, error);
	}
	if (!is_unfit_here (e)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_hash_table_add (t->left_out, r->name);
	tell_unfit (t->run, r->name, "is left out", e->message);
	g_error_free (e);
	return TRUE;
}

/* The folder comes back: what is bound to it stays bound to nothing, the remote is new again. */
static gboolean
restore_here (Tree *t, const FolderStep *step, GError **error)
{
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was removed here, but %s on the server.\n"
	                                         "It was restored with all its messages.\n", step->binding->base_name,
	                                         step->below ? "there is news below it" : "new messages had arrived in it");
	t->run->result->conflicts++;
	sync_log_detail (t->run, "folder '%s' restored: it has new %s at home", step->binding->base_name, step->below ? "folders or items below it" : "items");
	return store_unbind_folder (t->run->store, step->binding->folder, error) && create_here (t, step, error) && sync_report (t->run, "Conflicts", "Folder restored", text, error);
}

static gboolean
same_message (SyncRun *run, const PlacementBinding *b, const RemoteEvidence *e)
{
	KnownMessage k;
	gboolean found;
	if (!store_known_by_uid (run->store, b->folder, b->remote_uid, &k, &found, NULL) || !found)
		return FALSE;
	g_free (k.message_id);
	g_free (k.keywords);
	k.message_id = k.keywords = NULL;
	return evidence_agrees (&k, e);
}

typedef struct {
	GArray *bindings; /* PlacementBinding, contents not owned */
	guint seen, total;
	gboolean folder_gone; /* here, and all in it with it */
} Sample;

static gboolean
pick (gpointer data, const PlacementBinding *b)
{
	Sample *s = data;
	if ((!b->gone || (s->folder_gone && !b->settled)) && s->seen++ % MAX (1u, s->total / 8) == 0 && s->bindings->len < 8) {
		PlacementBinding copy = *b;
		copy.keywords = NULL;
		g_array_append_val (s->bindings, copy);
	}
	return TRUE;
}

/* Is the remote folder really the one we are bound to? Up to eight known messages must be there, equal in size and date. */
static gboolean
verify_rename (SyncRun *run, const FolderStep *step, gboolean *same_out, GError **error)
{
	g_autoptr (GArray) sample = g_array_new (FALSE, FALSE, sizeof (PlacementBinding));
	gboolean has_same_leaf = strcmp (step->remote->leaf, step->binding->base_name) == 0; /* it is those above it that were renamed */
	Sample s = {sample, 0, step->binding->messages, step->binding->folder_gone};
	*same_out = FALSE;
	if (!store_each_binding (run->store, step->binding->folder, pick, &s, error))
		return FALSE;
	s.folder_gone = TRUE; /* or all that it had was moved or removed here */
	if (sample->len == 0 && !store_each_binding (run->store, step->binding->folder, pick, &s, error))
		return FALSE;
	if (sample->len == 0) {
		*same_out = step->remote->messages == 0 || has_same_leaf;
		return TRUE;
	}
	g_auto (UidSet) uids = UID_SET_INIT;
	for (guint i = 0; i < sample->len; i++)
		uid_set_add (&uids, g_array_index (sample, PlacementBinding, i).remote_uid);
	g_autoptr (GArray) evidence = NULL;
	if (!sync_look (run, step->remote->name, step->binding->uidvalidity, &uids, EVIDENCE_SIZE, &evidence, error))
		return FALSE;
	if (!evidence)
		return TRUE;
	guint equal = 0;
	for (guint i = 0; i < sample->len; i++)
		for (guint j = 0; j < evidence->len; j++)
			if (g_array_index (evidence, RemoteEvidence, j).uid == g_array_index (sample, PlacementBinding, i).remote_uid)
				equal += same_message (run, &g_array_index (sample, PlacementBinding, i),
				                       &g_array_index (evidence, RemoteEvidence, j));
	/* some may have been removed since; what is there must agree, and most must be there */
	*same_out = equal == evidence->len && (has_same_leaf || (equal > 0 && 2 * equal >= sample->len));
	return TRUE;
}

/* Each side put one folder into the other: @parent, into which @f goes as at home, is below it here, and what lies between them and was put there here goes
 * back: the one that is the nearest to @f. */
static gboolean
take_out_of (Tree *t, const Folder *f, gint64 parent, GError **error)
{
	g_autoptr (Folder) moved = NULL;
	gint64 id = parent;
	while (id && id != f->id) {
		g_autoptr (Folder) at = store_folder (t->run->store, id, error);
		const FolderBinding *b = at ? binding_of_folder (t, id) : NULL;
		if (!at)
			return FALSE;
		id = at->parent;
		if (b && plan_renamed_here (b, at)) {
			folder_free (moved);
			moved = g_steal_pointer (&at);
		}
	}
	if (!id || !moved)
		return TRUE;
	const FolderBinding *b = binding_of_folder (t, moved->id);
	g_autofree char *name = free_name (t->run->store, b->base_parent, b->base_name);
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was put into \"%s\" here, and that into it on the server.\n"
	                                         "The server's order stands.\n", b->base_name, f->name);
	t->run->result->conflicts++;
	sync_log_detail (t->run, "folder '%s' is where it was, as '%s' went into it at home", b->base_name, f->name);
	return store_folder_rename (t->run->store, moved->id, b->base_parent, name, error) &&
	       sync_report (t->run, "Conflicts", "Folders put into each other", text, error);
}

static gboolean
rename_here (Tree *t, const FolderStep *step, GError **error)
{
	const RemoteFolder *r = step->remote;
	gint64 parent = folder_of_name (t, r->parent);
	g_autofree char *name = NULL;
	if (step->folder->parent == parent && strcmp (step->folder->name, r->leaf) == 0)
		name = g_strdup (r->leaf);
	else {
		GError *e = NULL;
		if (!take_out_of (t, step->folder, parent, error) || !make_room (t, parent, r->leaf, error))
			return FALSE;
		name = free_name (t->run->store, parent, r->leaf);
		if (store_folder_rename (t->run->store, step->folder->id, parent, name, &e)) {
			t->run->result->folders_changed_here++;
			sync_log_detail (t->run, "folder '%s' renamed to '%s' as at home", step->folder->path, name);
		} else if (!is_unfit_here (e)) {
			g_propagate_error (error, e);
			return FALSE;
		} else { /* bound to its new name, called by its old one */
			tell_unfit (t->run, r->name, "keeps its old name here", e->message);
			g_error_free (e);
			g_free (name);
			name = g_strdup (step->folder->name);
			parent = step->folder->parent;
		}
	}
	if (step->conflict && strcmp (step->folder->name, r->leaf) != 0) {
		g_autofree char *text = g_strdup_printf ("The folder \"%s\" was renamed to \"%s\" here and to \"%s\" on the server.\n"
		                                         "The server's name stands.\n", step->binding->base_name,
		                                         step->folder->name, r->leaf);
		t->run->result->conflicts++;
		if (!sync_report (t->run, "Conflicts", "Folder renamed on both sides", text, error))
			return FALSE;
	}
	return bind_as_listed (t, step->folder->id, step->binding, r, parent, name, error);
}

static gboolean
has_children (Store *s, gint64 folder)
{
	g_autoptr (GPtrArray) folders = store_folders (s, NULL);
	for (guint i = 0; folders && i < folders->len; i++)
		if (((Folder *) folders->pdata[i])->parent == folder)
			return TRUE;
	return FALSE;
}

gboolean
sync_is_absent (const SyncRun *run, gint64 folder)
{
	return run->absent && g_hash_table_contains (run->absent, &folder);
}

static void
note_absent (SyncRun *run, gint64 folder)
{
	if (!run->absent)
		run->absent = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	g_hash_table_add (run->absent, g_memdup2 (&folder, sizeof folder));
}

/* Then the folder waits with it. */
static gboolean
has_absent_child (SyncRun *run, gint64 folder)
{
	g_autoptr (GPtrArray) folders = run->absent ? store_folders (run->store, NULL) : NULL;
	for (guint i = 0; folders && i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		if (f->parent == folder && sync_is_absent (run, f->id))
			return TRUE;
	}
	return FALSE;
}

/* Gone at home. What only this side has (messages never pushed, a subfolder) keeps the folder: it is then new to the home. */
static gboolean
remove_bound (SyncRun *run, gint64 folder, GError **error)
{
	g_auto (UidSet) bound = UID_SET_INIT;
	UidIter it = {0};
	guint32 uid;
	if (!store_bound_uids (run->store, folder, &bound, error))
		return FALSE;
	while (uid_set_next (&bound, &it, &uid)) {
		PlacementBinding b;
		gboolean found;
		if (!store_binding_by_uid (run->store, folder, uid, &b, &found, error))
			return FALSE;
		gint64 placement = b.placement;
		gboolean gone = b.gone;
		placement_binding_done (&b);
		if (found && !gone && !store_remove (run->store, placement, "home", error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
keep_unbound (Tree *t, gint64 folder, GError **error)
{
	if (t->kept)
		g_array_append_val (t->kept, folder);
	return store_unbind_folder (t->run->store, folder, error) && store_make_folder_pending (t->run->store, folder, error);
}

static gboolean
remove_here (Tree *t, const FolderStep *step, GError **error)
{
	SyncRun *run = t->run;
	const Folder *f = step->folder;
	GuardAnswer answer;
	FolderRun probe = {.folder = (Folder *) f, .binding = (FolderBinding *) step->binding};
	if (g_ascii_strcasecmp (f->name, "INBOX") == 0 && f->parent == 0)
		return TRUE; /* the listing lied: an INBOX is always there */
	g_autoptr (GPtrArray) pending = store_pendings (run->store, f->id, error);
	if (!pending)
		return FALSE;
	guint n = f->total - MIN (pending->len, f->total); /* what is only here stays */
	if (!sync_guard_noting (run, &probe, "here", n, n, TRUE, NULL, &answer, error))
		return FALSE;
	if (answer == GUARD_HOLD || (answer == GUARD_GO_ON && has_absent_child (run, f->id))) {
		note_absent (run, f->id);
		return TRUE;
	}
	if (answer == GUARD_KEEP) {
		sync_log_detail (run, "folder '%s' is gone at home and kept here, as decided: it is made there again", f->path);
		return keep_unbound (t, f->id, error);
	}
	if (pending->len == 0 && !has_children (run->store, f->id)) {
		run->result->folders_removed_here++;
		run->result->removed_here += f->total;
		sync_log_detail (run, "folder '%s' removed from offline store with %u item(s)", f->path, f->total);
		return store_folder_delete (run->store, f->id, "home", error) && store_unbind_folder (run->store, f->id, error);
	}
	sync_log_detail (run, pending->len ? "folder '%s' is gone at home but kept: it holds what only is here"
	                                   : "folder '%s' is gone at home, and stays here, empty, for those below it", f->path);
	/* unbinding drops what was pending too; what is left is new to the home */
	run->result->removed_here += n;
	return remove_bound (run, f->id, error) && keep_unbound (t, f->id, error);
}

/* What is only here stays, and the folder is made at home once more (open_parents). */
static gboolean
empty_here (Tree *t, const FolderStep *step, GError **error)
{
	SyncRun *run = t->run;
	const Folder *f = step->folder;
	GuardAnswer answer;
	FolderRun probe = {.folder = (Folder *) f, .binding = (FolderBinding *) step->binding};
	if (!sync_guard_noting (run, &probe, "here", f->total, f->total, TRUE, NULL, &answer, error))
		return FALSE;
	if (answer == GUARD_HOLD) {
		note_absent (run, f->id);
		return TRUE;
	}
	if (answer == GUARD_GO_ON && !remove_bound (run, f->id, error))
		return FALSE;
	sync_log_detail (run, "folder '%s' is gone at home, where others lie below it: %s", f->path,
	                 answer == GUARD_KEEP ? "it is kept here, as decided, and made there again" : "it is emptied here");
	FolderBinding parent = {.delimiter = step->binding->delimiter, .base_parent = step->binding->base_parent, .base_name = step->binding->base_name};
	return store_unbind_folder (run->store, f->id, error) && store_make_folder_pending (run->store, f->id, error) &&
	       bind_as_listed (t, f->id, &parent, step->remote, parent.base_parent, parent.base_name, error);
}

static int
children_before_parents (gconstpointer a, gconstpointer b)
{
	return -strcmp ((*(Folder *const *) a)->path, (*(Folder *const *) b)->path);
}

/* All that was in it is in other folders now: it goes without the question that was asked before that was known. */
static gboolean
settle_absent (SyncRun *run, const Folder *f, const GPtrArray *holds, GError **error)
{
	g_autoptr (FolderBinding) b = store_folder_binding (run->store, f->id, error);
	FolderStep step = {.kind = PLAN_REMOVE_HERE, .folder = f, .binding = b};
	Tree t = {.run = run};
	if (!b)
		return FALSE;
	for (guint i = 0; i < holds->len; i++) {
		const Hold *h = holds->pdata[i];
		run->result->held -= h->folder == f->id && strcmp (h->kind, "deletion-guard") == 0 && strcmp (h->side, "here") == 0;
	}
	g_hash_table_remove (run->absent, &f->id);
	gboolean ok = sync_begin (run, error) && remove_here (&t, &step, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

gboolean
sync_settle_absent (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) folders = run->absent ? store_folders (run->store, error) : NULL;
	g_autoptr (GPtrArray) holds = folders ? store_holds (run->store, error) : NULL;
	if (!holds)
		return !run->absent;
	g_ptr_array_sort (folders, children_before_parents);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		if (f->total == 0 && sync_is_absent (run, f->id) && !has_absent_child (run, f->id) && !settle_absent (run, f, holds, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
step_here (Tree *t, const FolderStep *step, GError **error)
{
	switch (step->kind) {
	case PLAN_BIND:
		return bind_as_listed (t, step->folder->id, step->binding, step->remote,
		                       step->binding ? step->binding->base_parent : step->folder->parent,
		                       step->binding ? step->binding->base_name : step->folder->name, error);
	case PLAN_CREATE_HERE:
		return create_here (t, step, error);
	case PLAN_RENAME_HERE:
		return rename_here (t, step, error);
	case PLAN_EMPTY_HERE:
		return empty_here (t, step, error);
	case PLAN_REMOVE_HERE:
		return remove_here (t, step, error);
	case PLAN_FORGET:
		return store_unbind_folder (t->run->store, step->binding->folder, error);
	case PLAN_RESTORE_HERE:
		return restore_here (t, step, error);
	default:
		return TRUE;
	}
}

static gboolean
reload_bindings (Tree *t, GError **error)
{
	g_clear_pointer (&t->bindings, g_ptr_array_unref);
	t->bindings = store_folder_bindings (t->run->store, error);
	return t->bindings != NULL;
}

/* A failure that reaches one folder only is told and left for the next run. */
static gboolean
tolerable (SyncRun *run, const char *what, const char *path, GError *e, GError **error)
{
	if (error_reach (e->code) == REACH_MAILBOX) {
		g_propagate_error (error, e);
		return FALSE;
	}
	sync_log_detail (run, "folder '%s' could not be %s at home: %s", path, what, e->message);
	run->result->failures++;
	g_error_free (e);
	return TRUE;
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
	g_autofree char *free = free_name (t->run->store, f->parent, f->name);
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

/* The home renames the folders below along: their bindings follow. */
static gboolean
rename_bindings_below (Tree *t, const char *old, const char *new, char delimiter, GError **error)
{
	gsize n = strlen (old);
	for (guint i = 0; i < t->bindings->len; i++) {
		FolderBinding copy = *(FolderBinding *) t->bindings->pdata[i];
		if (delimiter == 0 || strncmp (copy.remote_name, old, n) != 0 || copy.remote_name[n] != delimiter)
			continue;
		g_autofree char *name = g_strconcat (new, copy.remote_name + n, NULL);
		copy.remote_name = name;
		if (!store_bind_folder (t->run->store, &copy, error))
			return FALSE;
	}
	return TRUE;
}

static const RemoteFolder *
listed_as (Tree *t, const char *parent, const char *leaf)
{
	for (guint i = 0; i < t->run->remotes->len; i++) {
		const RemoteFolder *r = t->run->remotes->pdata[i];
		if (g_strcmp0 (r->parent, parent) == 0 && strcmp (r->leaf, leaf) == 0)
			return r;
	}
	return NULL;
}

/* The folder that has the name at home which @f is to get; NULL: not known. */
static const FolderBinding *
occupant (Tree *t, const Folder *f, const char *parent_name)
{
	const RemoteFolder *r = listed_as (t, parent_name, f->name);
	for (guint i = 0; r && i < t->bindings->len; i++)
		if (strcmp (((FolderBinding *) t->bindings->pdata[i])->remote_name, r->name) == 0)
			return t->bindings->pdata[i];
	return NULL;
}

/* Whether the folder of @b has another name here than the one that was last agreed: it will leave its name at home. */
static gboolean
will_leave (Tree *t, const FolderBinding *b)
{
	g_autoptr (Folder) f = store_folder (t->run->store, b->folder, NULL);
	return f && plan_renamed_here (b, f);
}

/* Two new names met: the home's keeps its own, here as well; ours gets a number. Inside a transaction. */
static gboolean
give_way (Tree *t, const Folder *f, const FolderBinding *other, const char *free, GError **error)
{
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was given a name here that another folder has on the server.\n"
	                                         "It is called \"%s\" now, on both sides.\n", f->path, free);
	g_autoptr (Folder) theirs = other ? store_folder (t->run->store, other->folder, NULL) : NULL;
	t->run->result->conflicts++;
	sync_log_detail (t->run, "folder '%s': the server has another one of that name; it is called '%s'", f->path, free);
	if (!store_folder_rename (t->run->store, f->id, f->parent, free, error))
		return FALSE;
	if (theirs && theirs->parent == f->parent) {
		FolderBinding b = *other;
		b.base_name = f->name;
		if (!store_folder_rename (t->run->store, theirs->id, theirs->parent, f->name, error) || !store_bind_folder (t->run->store, &b, error))
			return FALSE;
	}
	return sync_report (t->run, "Conflicts", "Folder renamed", text, error);
}

#define RENAMING "renaming"

static char *
renaming_setting (gint64 folder)
{
	return g_strdup_printf (RENAMING "-%" G_GINT64_FORMAT, folder);
}

/* Before RENAME is sent: a run that is stopped at its answer leaves word of what the home may have done. */
static gboolean
note_renaming (Tree *t, const Folder *f, const char *leaf, GError **error)
{
	g_autofree char *name = renaming_setting (f->id), *value = g_strdup_printf ("%" G_GINT64_FORMAT " %s", f->parent, leaf);
	gboolean ok = sync_begin (t->run, error) && store_set_setting (t->run->store, name, value, error) && sync_commit (t->run, error);
	store_rollback (t->run->store);
	return ok;
}

/* A RENAME whose answer never came was carried out: the home's new name is ours, and no news of the home's. */
static gboolean
settle_renaming (Tree *t, const FolderBinding *b, const char *value, GError **error)
{
	g_autofree char *name = renaming_setting (b->folder);
	char *leaf;
	gint64 parent = g_ascii_strtoll (value, &leaf, 10);
	const FolderBinding *above = parent ? binding_of_folder (t, parent) : NULL;
	const RemoteFolder *r = *leaf ? listed_as (t, above ? above->remote_name : NULL, leaf + 1) : NULL;
	FolderBinding now = *b;
	gboolean done = r && !sync_listed (t->run, b->remote_name) && r->uidvalidity == b->uidvalidity;
	if (done) {
		now.remote_name = r->name;
		now.base_parent = parent;
		now.base_name = leaf + 1;
	}
	gboolean ok = sync_begin (t->run, error) && store_set_setting (t->run->store, name, NULL, error) &&
	              (!done || (store_bind_folder (t->run->store, &now, error) && rename_bindings_below (t, b->remote_name, r->name, b->delimiter, error))) &&
	              sync_commit (t->run, error);
	store_rollback (t->run->store);
	return ok && reload_bindings (t, error);
}

static gboolean
settle_renamings (Tree *t, GError **error)
{
	g_autoptr (GHashTable) renamings = store_folder_settings (t->run->store, RENAMING, error);
	GHashTableIter it;
	gpointer folder, value;
	if (!renamings)
		return FALSE;
	g_hash_table_iter_init (&it, renamings);
	while (g_hash_table_iter_next (&it, &folder, &value)) {
		const FolderBinding *b = binding_of_folder (t, *(gint64 *) folder);
		if (b && !settle_renaming (t, b, value, error))
			return FALSE;
	}
	return TRUE;
}

/* One command; *e_out EXISTS when the name is taken. FALSE: what ends the run. */
static gboolean
rename_home_to (Tree *t, const Folder *f, const FolderBinding *own, const FolderBinding *parent, const char *leaf, GError **e_out, GError **error)
{
	g_autofree char *name = NULL, *setting = renaming_setting (f->id);
	if (!note_renaming (t, f, leaf, error))
		return FALSE;
	sync_step ();
	if (!t->run->home->class->folder_rename (t->run->home, own->remote_name, parent ? parent->remote_name : NULL, leaf, &name, e_out))
		return TRUE;
	sync_step ();
	t->run->result->folders_changed_home++;
	FolderBinding b = *own;
	b.remote_name = name;
	b.base_parent = f->parent;
	b.base_name = (char *) leaf;
	g_ptr_array_add (t->renamed, g_strdup (own->remote_name));
	g_ptr_array_add (t->renamed, g_strdup (name));
	return sync_begin (t->run, error) && store_set_setting (t->run->store, setting, NULL, error) && store_bind_folder (t->run->store, &b, error) &&
	       rename_bindings_below (t, own->remote_name, name, own->delimiter, error) && sync_commit (t->run, error) &&
	       reload_bindings (t, error);
}

/* Who has at home the name that the new @f is to get, and has another one here, leaves it: for one with a number, until its own renaming is carried out. */
static gboolean
clear_name_at_home (Tree *t, const Folder *f, const char *parent_name, GError **error)
{
	const FolderBinding *other = occupant (t, f, parent_name);
	g_autoptr (Folder) theirs = other && will_leave (t, other) ? store_folder (t->run->store, other->folder, error) : NULL;
	if (!theirs)
		return TRUE;
	GError *e = NULL;
	g_autofree char *free = free_name (t->run->store, f->parent, f->name);
	Folder at = *theirs;
	at.parent = other->base_parent;
	if (!rename_home_to (t, &at, other, at.parent ? binding_of_folder (t, at.parent) : NULL, free, &e, error))
		return FALSE;
	return !e || tolerable (t->run, "renamed", theirs->path, e, error);
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
	const FolderBinding *parent = f->parent ? binding_of_folder (t, f->parent) : NULL;
	g_autofree char *leaf = g_strdup (f->name), *name = NULL;
	if (binding_of_folder (t, f->id) || (f->parent && (!parent || sync_is_absent (t->run, f->parent))))
		return TRUE; /* it came to be one that is there; or its parent failed, or is gone at home and held */
	if (!clear_name_at_home (t, f, parent ? parent->remote_name : NULL, error))
		return FALSE;
	parent = f->parent ? binding_of_folder (t, f->parent) : NULL;
	for (guint tries = 0;; tries++) {
		GError *e = NULL;
		sync_step ();
		g_clear_pointer (&name, g_free);
		if (!t->run->home->class->folder_create (t->run->home, parent ? parent->remote_name : NULL, leaf, f->role, &name, &e))
			return tolerable (t->run, "created", f->path, e, error);
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
	       reload_bindings (t, error);
}

/* The name that @f has here is taken at home. If its owner will leave it, @f waits for that under a name with a number, which the next run
 * changes; else both keep apart by that number. */
static gboolean
rename_around (Tree *t, const Folder *f, const FolderBinding *parent, GError **error)
{
	const FolderBinding *other = occupant (t, f, parent ? parent->remote_name : NULL);
	g_autofree char *free = free_name (t->run->store, f->parent, f->name);
	GError *e = NULL;
	if (other && other->folder_gone)
		return TRUE; /* the next run finds it free */
	if (!other || !will_leave (t, other)) {
		gboolean ok = sync_begin (t->run, error) && give_way (t, f, other, free, error) && sync_commit (t->run, error) && reload_bindings (t, error);
		store_rollback (t->run->store);
		if (!ok)
			return FALSE;
	}
	const FolderBinding *own = binding_of_folder (t, f->id);
	if (own && !rename_home_to (t, f, own, parent ? binding_of_folder (t, f->parent) : NULL, free, &e, error))
		return FALSE;
	return !e || tolerable (t->run, "renamed", f->path, e, error);
}

/* The one above it first: its new name there is where this one goes. */
static gboolean
rename_home (Tree *t, gint64 folder, GError **error)
{
	g_autoptr (Folder) f = store_folder (t->run->store, folder, NULL); /* as it is by now */
	const FolderBinding *own = binding_of_folder (t, folder);
	GError *e = NULL;
	if (!f || !own || !plan_renamed_here (own, f) || g_ascii_strcasecmp (own->remote_name, "INBOX") == 0)
		return TRUE;
	if (f->parent && !rename_home (t, f->parent, error))
		return FALSE;
	const FolderBinding *parent = f->parent ? binding_of_folder (t, f->parent) : NULL;
	own = binding_of_folder (t, folder); /* its name may have changed with its parent's */
	if (!own || (f->parent && (!parent || sync_is_absent (t->run, f->parent))))
		return TRUE;
	if (!rename_home_to (t, f, own, parent, f->name, &e, error))
		return FALSE;
	if (!e)
		return TRUE;
	if (!error_is (e, ERROR_EXISTS))
		return tolerable (t->run, "renamed", f->path, e, error);
	g_error_free (e);
	return rename_around (t, f, parent, error);
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
		if (step->kind == PLAN_RENAME_HOME && !rename_home (t, step->folder->id, error))
			return FALSE;
	}
	return TRUE;
}

static int
parents_before_children (gconstpointer a, gconstpointer b)
{
	return -children_before_parents (a, b);
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
		const FolderBinding *b = binding_of_folder (t, g_array_index (ids, gint64, i));
		const RemoteFolder *r = b ? sync_listed (t->run, b->remote_name) : NULL;
		g_autofree char *name = NULL;
		GError *e = NULL;
		if (!r || r->selectable || sync_is_absent (t->run, b->folder))
			continue;
		sync_step ();
		if (!t->run->home->class->folder_create (t->run->home, r->parent, r->leaf, r->role, &name, &e) && !tolerable (t->run, "created", b->base_name, e, error))
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
		if (step->guessed && step->remote && !verify_rename (run, step, &same, error))
			return FALSE;
		FolderPair guess = {step->binding ? step->binding->folder : 0, step->remote};
		if (!same)
			g_array_append_val (refused, guess);
	}
	return TRUE;
}

/* The home numbers it anew since it was removed here: evidence says whether all that is there was here. An empty one may still be filled. */
static gboolean
has_only_known_anew (SyncRun *run, const FolderBinding *b, gboolean *only_known_out, GError **error)
{
	g_autoptr (Gathered) g = sync_gather (run, b->folder, b->remote_name, FALSE, error);
	if (!g)
		return FALSE;
	*only_known_out = g->match->matched - g->match->weak == g->there->len && (g->there->len > 0 || g->here->len == 0);
	return TRUE;
}

/* Few of the numbers that are known are there, or they stand for other messages. */
static gboolean
is_numbered_anew (SyncRun *run, FolderRun *f, const FolderQuery *q, gboolean *anew_out, GError **error)
{
	const FolderBinding *b = f->binding;
	g_auto (UidSet) canaries = UID_SET_INIT, missing = UID_SET_INIT;
	gboolean same = TRUE;
	if (!store_canaries (run->store, b->folder, &canaries, error))
		return FALSE;
	gboolean any = !uid_set_is_empty (&canaries);
	uid_set_copy (&missing, &canaries);
	uid_set_remove_set (&missing, &q->all_uids);
	uid_set_remove_set (&canaries, &missing);
	*anew_out = q->uidvalidity_now != b->uidvalidity || (any && uid_set_is_empty (&canaries)) || sync_suspicion (run, f, q, NULL) != SUSPICION_NONE;
	if (*anew_out || !sync_verify_targets (run, f, &canaries, NULL, &same, error))
		return *anew_out;
	*anew_out = !same;
	return TRUE;
}

static gboolean
look_through (SyncRun *run, FolderRun *f, const FolderQuery *q, gboolean *only_known_out, GError **error)
{
	g_auto (UidSet) bound = UID_SET_INIT, unknown = UID_SET_INIT;
	gboolean anew, same = TRUE;
	if (!is_numbered_anew (run, f, q, &anew, error) || !store_bound_uids (run->store, f->binding->folder, &bound, error))
		return FALSE;
	uid_set_copy (&unknown, &q->all_uids);
	uid_set_remove_set (&unknown, &bound);
	if (!anew && !uid_set_is_empty (&unknown) && !sync_recover_pushes (run, f, &unknown, error))
		return FALSE; /* what was sent there, the answer being lost */
	*only_known_out = q->has_all_uids && uid_set_is_empty (&unknown);
	if (*only_known_out && !anew && !sync_verify_targets (run, f, &q->all_uids, NULL, &same, error))
		return FALSE;
	return (!anew && same) || has_only_known_anew (run, f->binding, only_known_out, error);
}

/* Directly before a folder is removed at home it is looked into once more: what this side never had, because it came during this run or was
 * never fetched, could not be restored by anybody. *only_known_out FALSE: there is such mail, or it is another folder by now. */
static gboolean
has_only_known (SyncRun *run, FolderRun *f, guint32 *uidnext_out, gboolean *only_known_out, GError **error)
{
	FolderQuery q = {.name = f->binding->remote_name, .kind = QUERY_UIDS, .uidvalidity = f->binding->uidvalidity};
	gboolean ok = run->home->class->query (run->home, &q, 1, error);
	if (ok && q.error && !error_is (q.error, ERROR_NOT_FOUND))
		ok = FALSE, g_propagate_error (error, g_steal_pointer (&q.error));
	else if (ok && !q.error)
		ok = look_through (run, f, &q, only_known_out, error);
	*only_known_out = *only_known_out && !f->failed;
	*uidnext_out = q.uidnext_now;
	folder_query_done (&q);
	return ok;
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
		tell_unfit (run, r->name, "is left out", "its name is too long or has control characters");
		g_ptr_array_remove_index (run->remotes, i - 1);
	}
}

/* What was made below INBOX at a home that has all folders there, and calls that the top. */
static gboolean
is_at_the_top (Tree *t, const FolderBinding *b)
{
	const RemoteFolder *r = sync_listed (t->run, b->remote_name);
	const FolderBinding *above = b->base_parent ? binding_of_folder (t, b->base_parent) : NULL;
	return r && !r->parent && above && !b->folder_gone && g_ascii_strcasecmp (above->remote_name, "INBOX") == 0;
}

/* A folder that was made here under the name that another one has at home, and that the home knows nothing of, takes another name. */
static gboolean
clear_name (Tree *t, gint64 parent, const char *name, GError **error)
{
	gint64 other = store_folder_child (t->run->store, parent, name);
	if (!other || binding_of_folder (t, other))
		return TRUE;
	g_autofree char *free = free_name (t->run->store, parent, name);
	sync_log_detail (t->run, "folder '%s': the server has another one of that name; it is called '%s'", name, free);
	return store_folder_rename (t->run->store, other, parent, free, error);
}

static gboolean
bring_to_the_top (Tree *t, const FolderBinding *b, GError **error)
{
	g_autoptr (Folder) f = store_folder (t->run->store, b->folder, error);
	if (!f || !sync_begin (t->run, error))
		return FALSE;
	gboolean renamed = plan_renamed_here (b, f), ok = clear_name (t, 0, b->base_name, error);
	g_autofree char *name = renamed ? g_strdup (b->base_name) : free_name (t->run->store, 0, b->base_name);
	FolderBinding now = *b;
	now.base_parent = 0;
	now.base_name = name;
	if (!renamed)
		sync_log_detail (t->run, "the server has no folders below INBOX: 'INBOX/%s' is '%s'", b->base_name, name);
	ok = ok && (renamed || store_folder_rename (t->run->store, b->folder, 0, name, error)) && store_bind_folder (t->run->store, &now, error) &&
	     sync_commit (t->run, error);
	store_rollback (t->run->store);
	return ok;
}

static gboolean
settle_places (Tree *t, GError **error)
{
	gboolean any = FALSE;
	for (guint i = 0; i < t->bindings->len; i++) {
		const FolderBinding *b = t->bindings->pdata[i];
		if (!is_at_the_top (t, b))
			continue;
		any = TRUE;
		if (!bring_to_the_top (t, b, error))
			return FALSE;
	}
	return !any || reload_bindings (t, error);
}

typedef enum { NOT_TOLD, ONLY_KNOWN, OTHERS_TOO } Inside;

/* What is in a folder that is gone here; NOT_TOLD: it can't be looked into now. *uidnext_out: its UIDNEXT then. */
static gboolean
look_into (SyncRun *run, FolderRun *gone, guint32 *uidnext_out, Inside *inside_out, GError **error)
{
	GError *e = NULL;
	gboolean only_known = TRUE, looked = has_only_known (run, gone, uidnext_out, &only_known, &e);
	uid_set_clear (&gone->fresh);
	*inside_out = !looked ? NOT_TOLD : only_known ? ONLY_KNOWN : OTHERS_TOO;
	return looked || tolerable (run, "looked into before its removal", gone->folder->path, e, error);
}

/* New numbers may be of what this side sent there, or of what is gone again: such a folder does not come back. */
static gboolean
drop_restorations (SyncRun *run, GArray *steps, GError **error)
{
	for (guint i = 0; i < steps->len; i++) {
		FolderStep *step = &g_array_index (steps, FolderStep, i);
		if (step->kind != PLAN_RESTORE_HERE || step->below)
			continue;
		Folder gone = {.id = step->binding->folder, .path = step->binding->base_name, .name = step->binding->base_name};
		FolderRun probe = {.folder = &gone, .binding = (FolderBinding *) step->binding};
		Inside inside;
		guint32 uidnext;
		if (!look_into (run, &probe, &uidnext, &inside, error))
			return FALSE;
		step->kind = inside == ONLY_KNOWN ? PLAN_REMOVE_HOME : PLAN_RESTORE_HERE;
	}
	plan_restore_above (steps);
	return TRUE;
}

/* What was removed here has another name at home now: what is moved out of it, and its removal, go there. */
static gboolean
follow_removed (Tree *t, const GArray *steps, GError **error)
{
	gboolean ok = TRUE;
	for (guint i = 0; ok && i < steps->len; i++) {
		const FolderStep *step = &g_array_index (steps, FolderStep, i);
		FolderBinding *b = (FolderBinding *) step->binding;
		if (step->kind != PLAN_RESTORE_HERE && step->kind != PLAN_REMOVE_HOME)
			continue;
		if (!step->remote || strcmp (step->remote->name, b->remote_name) == 0)
			continue;
		sync_log_detail (t->run, "folder '%s', removed here, is '%s' at home now", b->base_name, step->remote->name);
		g_free (b->remote_name);
		b->remote_name = g_strdup (step->remote->name);
		b->delimiter = step->remote->delimiter;
		ok = sync_begin (t->run, error) && store_bind_folder (t->run->store, b, error) && sync_commit (t->run, error);
		store_rollback (t->run->store);
	}
	return ok;
}

/* @name: @leaf with a number. */
static gboolean
has_number (const char *name, const char *leaf)
{
	size_t n = strlen (leaf);
	if (strncmp (name, leaf, n) != 0 || strncmp (name + n, " (", 2) != 0)
		return FALSE;
	const char *digits = name + n + 2, *end = digits + strspn (digits, "0123456789");
	return end > digits && strcmp (end, ")") == 0;
}

/* One that got a number here because its name was taken, and is called as at home again. */
static gboolean
drop_number (Tree *t, const FolderBinding *b, GError **error)
{
	const RemoteFolder *r = b->folder_gone ? NULL : sync_listed (t->run, b->remote_name);
	if (!r || !has_number (b->base_name, r->leaf) || sync_is_absent (t->run, b->folder))
		return TRUE;
	g_autoptr (Folder) f = store_folder (t->run->store, b->folder, NULL);
	if (!f || plan_renamed_here (b, f) || store_folder_child (t->run->store, f->parent, r->leaf))
		return TRUE;
	FolderBinding now = *b;
	now.base_name = r->leaf;
	sync_log_detail (t->run, "folder '%s' is called '%s' as at home: that name is free here now", f->path, r->leaf);
	t->run->result->folders_changed_here++;
	gboolean ok = sync_begin (t->run, error) && store_folder_rename (t->run->store, f->id, f->parent, r->leaf, error) &&
	              store_bind_folder (t->run->store, &now, error) && sync_commit (t->run, error);
	store_rollback (t->run->store);
	return ok;
}

static gboolean
drop_numbers (Tree *t, GError **error)
{
	for (guint i = 0; i < t->bindings->len; i++)
		if (!drop_number (t, t->bindings->pdata[i], error))
			return FALSE;
	return reload_bindings (t, error);
}

static gboolean
carry_out (Tree *t, GPtrArray *folders, GError **error)
{
	g_autoptr (GArray) steps = sync_plan_hierarchy (t->run, folders, t->bindings, FALSE, error);
	if (!steps || !follow_removed (t, steps, error) || !drop_restorations (t->run, steps, error))
		return FALSE;
	count_bound_names (t);
	t->steps = steps;
	gboolean ok = apply_here (t, steps, error) && reload_bindings (t, error) && create_kept (t, error) && apply_home (t, steps, error) &&
	              open_parents (t, error) && drop_numbers (t, error);
	t->steps = NULL;
	store_rollback (t->run->store);
	return ok;
}

/* What this run renamed at home is looked for under its new name; its state is not told. */
static void
rename_listed (const Tree *t)
{
	for (guint i = 0; i < t->renamed->len; i += 2) {
		const char *from = t->renamed->pdata[i], *to = t->renamed->pdata[i + 1];
		size_t n = strlen (from);
		for (guint k = 0; k < t->run->remotes->len; k++) {
			RemoteFolder *r = t->run->remotes->pdata[k];
			if (strncmp (r->name, from, n) != 0 || (r->name[n] && (!r->delimiter || r->name[n] != r->delimiter)))
				continue;
			char *name = g_strconcat (to, r->name + n, NULL);
			g_free (r->name);
			r->name = name;
			r->has_status = FALSE;
		}
	}
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
	gboolean ok = reload_bindings (&t, error) && settle_renamings (&t, error) && settle_places (&t, error);
	g_autoptr (GPtrArray) folders = ok ? store_folders (run->store, error) : NULL;
	ok = folders && carry_out (&t, folders, error);
	g_hash_table_unref (t.folder_of_name);
	g_clear_pointer (&t.bindings, g_ptr_array_unref);
	if (ok)
		log_folder_counts (run);
	rename_listed (&t);
	return ok;
}

/* Unbound, it is a new folder of the home's, and comes back with the next run. */
static gboolean
let_come_back (SyncRun *run, const FolderBinding *b, const char *path, GError **error)
{
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was removed here, but on the server there are messages in it that were never "
	                                         "fetched, or it is another one by now.\nThe next synchronisation brings it back with all its messages.\n", path);
	run->result->conflicts++;
	sync_log_detail (run, "folder '%s' is not removed: there are items in it at home that were never fetched, or it is another one now; the next run brings it back",
	                 path);
	gboolean ok = sync_begin (run, error) && store_unbind_folder (run->store, b->folder, error) &&
	              sync_report (run, "Conflicts", "Folder restored", text, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
delete_at_home (SyncRun *run, const FolderBinding *b, const char *path, GError **error)
{
	GError *e = NULL;
	sync_step ();
	if (!run->home->class->folder_delete (run->home, b->remote_name, &e)) {
		if (!error_is (e, ERROR_NOT_FOUND))
			return tolerable (run, "removed", path, e, error);
		sync_log_detail (run, "folder '%s' is no more, or has another name, at home since it was listed: the next run sees to it", path);
		g_error_free (e);
		return TRUE;
	}
	sync_step ();
	run->result->folders_removed_home++;
	sync_log_detail (run, "folder '%s' removed from online mailbox", path);
	gboolean ok = sync_begin (run, error) && store_unbind_folder (run->store, b->folder, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

/* Nothing came to it since it had @uidnext. */
static gboolean
has_still (SyncRun *run, const FolderBinding *b, guint32 uidnext)
{
	FolderQuery q = {.name = b->remote_name, .kind = QUERY_UIDS, .uidvalidity = b->uidvalidity};
	gboolean still = run->home->class->query (run->home, &q, 1, NULL) && (q.error ? error_is (q.error, ERROR_NOT_FOUND) : q.uidnext_now == uidnext);
	folder_query_done (&q);
	return still;
}

static gboolean
count_settled (gpointer n, const PlacementBinding *b)
{
	*(guint *) n += b->settled;
	return TRUE;
}

static gboolean
remove_folder_home (SyncRun *run, const FolderBinding *b, GError **error)
{
	GuardAnswer answer = GUARD_HOLD;
	g_autofree char *path = NULL;
	if (!store_folder_last_path (run->store, b->folder, &path, error))
		return FALSE;
	if (!path)
		path = g_strdup (b->base_name);
	Folder gone = {.id = b->folder, .path = path, .name = b->base_name};
	FolderRun probe = {.folder = &gone, .binding = (FolderBinding *) b};
	Inside inside = ONLY_KNOWN;
	guint32 uidnext = 0;
	guint moved = 0; /* or marked as deleted there already */
	if ((b->selectable && !look_into (run, &probe, &uidnext, &inside, error)) || !store_gone_bindings (run->store, b->folder, count_settled, &moved, error))
		return FALSE;
	if (inside != ONLY_KNOWN)
		return inside == NOT_TOLD || let_come_back (run, b, path, error);
	guint n = b->messages - MIN (moved, b->messages);
	gboolean ok = sync_begin (run, error) && sync_guard_noting (run, &probe, "home", n, n, TRUE, NULL, &answer, error) &&
	              (answer != GUARD_KEEP || store_unbind_folder (run->store, b->folder, error)) && sync_commit (run, error);
	store_rollback (run->store);
	if (!ok || answer != GUARD_GO_ON)
		return ok;
	/* looking took a while: what came since is the next run's */
	return uidnext && !has_still (run, b, uidnext) ? TRUE : delete_at_home (run, b, path, error);
}

static int
children_first (gconstpointer a, gconstpointer b)
{
	return -strcmp ((*(FolderBinding *const *) a)->remote_name, (*(FolderBinding *const *) b)->remote_name);
}

gboolean
sync_push_folder_removals (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) bindings = store_folder_bindings (run->store, error);
	if (!bindings)
		return FALSE;
	g_autoptr (GArray) moved_from = run->partial ? store_folders_moved_from (run->store, error) : g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!moved_from)
		return FALSE;
	g_ptr_array_sort (bindings, children_first);
	for (guint i = 0; i < bindings->len; i++) {
		FolderBinding *b = bindings->pdata[i];
		gboolean needed = sync_contains_id (moved_from, b->folder); /* for what a run of all folders moves from there */
		if (b->folder_gone && !needed && !remove_folder_home (run, b, error))
			return FALSE;
	}
	return TRUE;
}
