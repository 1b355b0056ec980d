/* SPDX-License-Identifier: Apache-2.0 */
/* The octets decide, which are here: what was copied there and removed later, or moved while a run looked into one of
 * the two folders, is known where it is now. */
#include "sync-kept.h"
#include <string.h>

void
loss_done (gpointer loss)
{
	uid_set_clear (&((Loss *)loss)->lost);
	uid_set_clear (&((Loss *)loss)->kept);
}

#define TRIES 1000 /* others with the same octets: more are left to the guard */

typedef struct {
	SyncRun *run;
	GHashTable *losses; /* folder -> Loss */
	GHashTable *seen;   /* folder -> whether it is as it was listed, as pointer + 1 */
	GHashTable *taken;  /* placements that stand for something */
	GPtrArray *holds;
} Search;

static gboolean
has_other_mail (const Search *s, gint64 folder)
{
	gboolean other = FALSE;
	for (guint i = 0; i < s->holds->len && !other; i++) {
		const Hold *h = s->holds->pdata[i];
		other = h->folder == folder && strcmp (h->kind, "identity") == 0;
	}
	return other;
}

/* Nothing came, so that nothing can have gone, either. */
static gboolean
has_the_same (const FolderBinding *b, const RemoteFolder *r)
{
	return b->complete && r->has_status && r->uidvalidity == b->uidvalidity && r->uidnext == b->uidnext &&
	       r->messages == b->messages && !(b->remote_id && r->id && strcmp (b->remote_id, r->id) != 0);
}

/* As the run has looked at it, or as it was when it was looked at last. */
static gboolean
is_seen (const Search *s, gint64 folder)
{
	const FolderRun *f = s->run->folders ? sync_folder_run (s->run, folder) : NULL;
	if (sync_is_absent (s->run, folder) || has_other_mail (s, folder))
		return FALSE;
	if (f)
		return !f->failed && !f->held && (!f->remote || f->remote->selectable);
	g_autoptr (FolderBinding) b = store_folder_binding (s->run->store, folder, NULL);
	const RemoteFolder *r = b && b->remote_name ? sync_listed (s->run, b->remote_name) : NULL;
	return r && r->selectable && has_the_same (b, r);
}

static gboolean
was_seen (const Search *s, gint64 folder)
{
	guint known = GPOINTER_TO_UINT (g_hash_table_lookup (s->seen, &folder));
	if (!known) {
		known = 1 + is_seen (s, folder);
		g_hash_table_insert (s->seen, g_memdup2 (&folder, sizeof folder), GUINT_TO_POINTER (known));
	}
	return known == 2;
}

static gboolean
is_at_home (const Search *s, const PlacementBinding *b)
{
	const Loss *loss = g_hash_table_lookup (s->losses, &b->folder);
	return loss ? loss->removed && !uid_set_contains (loss->removed, b->remote_uid) : was_seen (s, b->folder);
}

typedef struct {
	const Search *search;
	gint64 placement; /* where else it is, 0 nowhere */
	guint tries;
} Wanted;

static gboolean
take_other (gpointer data, const PlacementBinding *b)
{
	Wanted *w = data;
	if (!g_hash_table_contains (w->search->taken, &b->placement) && is_at_home (w->search, b))
		w->placement = b->placement;
	return w->placement == 0 && ++w->tries < TRIES;
}

static gboolean
find_kept (const Search *s, Loss *loss, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (&loss->lost, &it, &uid)) {
		Wanted w = {.search = s};
		if (!store_each_same (s->run->store, loss->f->binding->folder, uid, take_other, &w, error))
			return FALSE;
		if (!w.placement)
			continue;
		g_hash_table_add (s->taken, g_memdup2 (&w.placement, sizeof w.placement));
		uid_set_add (&loss->kept, uid);
	}
	return TRUE;
}

gboolean
sync_find_kept (SyncRun *run, const GArray *losses, GError **error)
{
	g_autoptr (GHashTable) of_folder = g_hash_table_new (g_int64_hash, g_int64_equal);
	g_autoptr (GHashTable) seen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr (GHashTable) taken = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	const Search s = {run, of_folder, seen, taken, holds};
	for (guint i = 0; i < losses->len; i++) {
		Loss *loss = &g_array_index (losses, Loss, i);
		g_hash_table_insert (of_folder, &loss->f->binding->folder, loss);
	}
	gboolean ok = holds != NULL;
	for (guint i = 0; ok && i < losses->len; i++)
		ok = find_kept (&s, &g_array_index (losses, Loss, i), error);
	return ok;
}

/* ---- Folders that are gone at home ---- */

static gboolean
take_if_here (gpointer uids, const PlacementBinding *b)
{
	if (!b->gone)
		uid_set_add (uids, b->remote_uid);
	return TRUE;
}

gboolean
sync_remove_uids (SyncRun *run, gint64 folder, const UidSet *uids, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (uids, &it, &uid)) {
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
remove_kept (SyncRun *run, const Loss *loss, GError **error)
{
	guint n = (guint)uid_set_count (&loss->kept);
	if (n == 0)
		return TRUE;
	run->result->removed_here += n;
	sync_log_detail (
		run,
		"%u item(s) of folder '%s', which is gone at home, are in other folders, and removed from this one", n,
		loss->f->folder->path);
	return sync_remove_uids (run, loss->f->binding->folder, &loss->kept, error);
}

static gboolean
add_loss (SyncRun *run, const FolderRun *f, GArray *losses, GError **error)
{
	Loss loss = {.f = f};
	g_array_append_val (losses, loss);
	if (sync_has_everything (f))
		return TRUE; /* all of it is elsewhere at any time: that says nothing */
	return store_each_binding (run->store, f->binding->folder, take_if_here,
				   &g_array_index (losses, Loss, losses->len - 1).lost, error);
}

static GArray *
losses_new (void)
{
	GArray *losses = g_array_new (FALSE, TRUE, sizeof (Loss));
	g_array_set_clear_func (losses, loss_done);
	return losses;
}

gboolean
sync_remove_kept (SyncRun *run, Folder *folder, FolderBinding *binding, GError **error)
{
	g_autoptr (GArray) losses = losses_new ();
	const FolderRun f = {.folder = folder, .binding = binding};
	return add_loss (run, &f, losses, error) && sync_find_kept (run, losses, error) &&
	       remove_kept (run, &g_array_index (losses, Loss, 0), error);
}

/* FolderRun of each folder that is gone at home and held. */
static GPtrArray *
absent_folders (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) folders = store_folders (run->store, error),
			      absent = g_ptr_array_new_with_free_func ((GDestroyNotify)folder_run_free);
	for (guint i = 0; folders && i < folders->len; i++) {
		const Folder *listed = folders->pdata[i];
		if (!sync_is_absent (run, listed->id))
			continue;
		FolderRun *f = g_new0 (FolderRun, 1);
		g_ptr_array_add (absent, f);
		f->folder = store_folder (run->store, listed->id, error);
		f->binding = f->folder ? store_folder_binding (run->store, listed->id, error) : NULL;
		if (!f->binding)
			return NULL;
	}
	return folders ? g_steal_pointer (&absent) : NULL;
}

gboolean
sync_empty_kept (SyncRun *run, GError **error)
{
	if (!run->absent)
		return TRUE;
	g_autoptr (GPtrArray) absent = absent_folders (run, error);
	g_autoptr (GArray) losses = losses_new ();
	gboolean ok = absent != NULL;
	for (guint i = 0; ok && i < absent->len; i++)
		ok = add_loss (run, absent->pdata[i], losses, error);
	ok = ok && sync_find_kept (run, losses, error) && sync_begin (run, error);
	for (guint i = 0; ok && i < losses->len; i++) {
		const Loss *loss = &g_array_index (losses, Loss, i);
		if (uid_set_count (&loss->kept) == uid_set_count (&loss->lost))
			ok = remove_kept (run, loss, error);
	}
	ok = ok && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}
