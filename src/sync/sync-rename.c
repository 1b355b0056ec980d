/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that have other names, or another place, on one side: whether they are the same, the names they get, and the numbers of those that
 * can't have theirs. */
#include "sync-gather.h"
#include "sync-hierarchy.h"
#include <string.h>

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
gboolean
sync_verify_rename (SyncRun *run, const FolderStep *step, gboolean *same_out, GError **error)
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
		const FolderBinding *b = at ? tree_binding (t, id) : NULL;
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
	const FolderBinding *b = tree_binding (t, moved->id);
	g_autofree char *name = sync_free_name (t->run->store, b->base_parent, b->base_name);
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was put into \"%s\" here, and that into it on the server.\n"
	                                         "The server's order stands.\n", b->base_name, f->name);
	t->run->result->conflicts++;
	sync_log_detail (t->run, "folder '%s' is where it was, as '%s' went into it at home", b->base_name, f->name);
	return store_folder_rename (t->run->store, moved->id, b->base_parent, name, error) &&
	       sync_report (t->run, "Conflicts", "Folders put into each other", text, error);
}

gboolean
tree_rename_here (Tree *t, const FolderStep *step, GError **error)
{
	const RemoteFolder *r = step->remote;
	gint64 parent = tree_folder_of_name (t, r->parent);
	g_autofree char *name = NULL;
	if (step->folder->parent == parent && strcmp (step->folder->name, r->leaf) == 0)
		name = g_strdup (r->leaf);
	else {
		GError *e = NULL;
		if (!take_out_of (t, step->folder, parent, error) || !tree_make_room (t, parent, r->leaf, error))
			return FALSE;
		name = sync_free_name (t->run->store, parent, r->leaf);
		if (store_folder_rename (t->run->store, step->folder->id, parent, name, &e)) {
			t->run->result->folders_changed_here++;
			sync_log_detail (t->run, "folder '%s' renamed to '%s' as at home", step->folder->path, name);
		} else if (!sync_is_unfit (e)) {
			g_propagate_error (error, e);
			return FALSE;
		} else { /* bound to its new name, called by its old one */
			sync_tell_unfit (t->run, r->name, "keeps its old name here", e->message);
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
	return tree_bind (t, step->folder->id, step->binding, r, parent, name, error);
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

/* The folder that has the name at home which @f is to get; NULL: not known. */
static const FolderBinding *
occupant (Tree *t, const Folder *f, const char *parent_name)
{
	const RemoteFolder *r = tree_listed (t, parent_name, f->name);
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
	const FolderBinding *above = parent ? tree_binding (t, parent) : NULL;
	const RemoteFolder *r = *leaf ? tree_listed (t, above ? above->remote_name : NULL, leaf + 1) : NULL;
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
	return ok && tree_reload (t, error);
}

gboolean
tree_settle_renamings (Tree *t, GError **error)
{
	g_autoptr (GHashTable) renamings = store_folder_settings (t->run->store, RENAMING, error);
	GHashTableIter it;
	gpointer folder, value;
	if (!renamings)
		return FALSE;
	g_hash_table_iter_init (&it, renamings);
	while (g_hash_table_iter_next (&it, &folder, &value)) {
		const FolderBinding *b = tree_binding (t, *(gint64 *) folder);
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
	       tree_reload (t, error);
}

/* Who has at home the name that the new @f is to get, and has another one here, leaves it: for one with a number, until its own renaming is carried out. */
gboolean
tree_clear_name_at_home (Tree *t, const Folder *f, const char *parent_name, GError **error)
{
	const FolderBinding *other = occupant (t, f, parent_name);
	g_autoptr (Folder) theirs = other && will_leave (t, other) ? store_folder (t->run->store, other->folder, error) : NULL;
	if (!theirs)
		return TRUE;
	GError *e = NULL;
	g_autofree char *free = sync_free_name (t->run->store, f->parent, f->name);
	Folder at = *theirs;
	at.parent = other->base_parent;
	if (!rename_home_to (t, &at, other, at.parent ? tree_binding (t, at.parent) : NULL, free, &e, error))
		return FALSE;
	return !e || sync_refused (t->run, "renamed", theirs->path, e, error);
}

/* The name that @f has here is taken at home. If its owner will leave it, @f waits for that under a name with a number, which the next run
 * changes; else both keep apart by that number. */
static gboolean
rename_around (Tree *t, const Folder *f, const FolderBinding *parent, GError **error)
{
	const FolderBinding *other = occupant (t, f, parent ? parent->remote_name : NULL);
	g_autofree char *free = sync_free_name (t->run->store, f->parent, f->name);
	GError *e = NULL;
	if (other && other->folder_gone)
		return TRUE; /* the next run finds it free */
	if (!other || !will_leave (t, other)) {
		gboolean ok = sync_begin (t->run, error) && give_way (t, f, other, free, error) && sync_commit (t->run, error) && tree_reload (t, error);
		store_rollback (t->run->store);
		if (!ok)
			return FALSE;
	}
	const FolderBinding *own = tree_binding (t, f->id);
	if (own && !rename_home_to (t, f, own, parent ? tree_binding (t, f->parent) : NULL, free, &e, error))
		return FALSE;
	return !e || sync_refused (t->run, "renamed", f->path, e, error);
}

gboolean
tree_rename_home (Tree *t, gint64 folder, GError **error)
{
	g_autoptr (Folder) f = store_folder (t->run->store, folder, NULL); /* as it is by now */
	const FolderBinding *own = tree_binding (t, folder);
	GError *e = NULL;
	if (!f || !own || !plan_renamed_here (own, f) || g_ascii_strcasecmp (own->remote_name, "INBOX") == 0)
		return TRUE;
	if (f->parent && !tree_rename_home (t, f->parent, error))
		return FALSE;
	const FolderBinding *parent = f->parent ? tree_binding (t, f->parent) : NULL;
	own = tree_binding (t, folder); /* its name may have changed with its parent's */
	if (!own || (f->parent && (!parent || sync_is_absent (t->run, f->parent))))
		return TRUE;
	if (!rename_home_to (t, f, own, parent, f->name, &e, error))
		return FALSE;
	if (!e)
		return TRUE;
	if (!error_is (e, ERROR_EXISTS))
		return sync_refused (t->run, "renamed", f->path, e, error);
	g_error_free (e);
	return rename_around (t, f, parent, error);
}

static gboolean
is_at_the_top (Tree *t, const FolderBinding *b)
{
	const RemoteFolder *r = sync_listed (t->run, b->remote_name);
	const FolderBinding *above = b->base_parent ? tree_binding (t, b->base_parent) : NULL;
	return r && !r->parent && above && !b->folder_gone && g_ascii_strcasecmp (above->remote_name, "INBOX") == 0;
}

/* A folder that was made here under the name that another one has at home, and that the home knows nothing of, takes another name. */
static gboolean
clear_name (Tree *t, gint64 parent, const char *name, GError **error)
{
	gint64 other = store_folder_child (t->run->store, parent, name);
	if (!other || tree_binding (t, other))
		return TRUE;
	g_autofree char *free = sync_free_name (t->run->store, parent, name);
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
	g_autofree char *name = renamed ? g_strdup (b->base_name) : sync_free_name (t->run->store, 0, b->base_name);
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

gboolean
tree_settle_places (Tree *t, GError **error)
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
	return !any || tree_reload (t, error);
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

gboolean
tree_drop_numbers (Tree *t, GError **error)
{
	for (guint i = 0; i < t->bindings->len; i++)
		if (!drop_number (t, t->bindings->pdata[i], error))
			return FALSE;
	return tree_reload (t, error);
}

void
tree_rename_listed (const Tree *t)
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
