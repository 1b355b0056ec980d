/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are gone on one side: removed on the other, held, kept, or restored because there is news in them. */
#include "sync-gather.h"
#include "sync-hierarchy.h"
#include "sync-kept.h"
#include <string.h>

/* Unbound, it is a new folder of the home's. */
static gboolean
let_come_back (SyncRun *run, gint64 folder, GError **error)
{
	return store_keep_changes_of (run->store, folder, error) && store_unbind_folder (run->store, folder, error);
}

gboolean
tree_restore_here (Tree *t, const FolderStep *step, GError **error)
{
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was removed here, but %s on the server.\n"
	                                         "It was restored with all its messages.\n", step->binding->base_name,
	                                         step->below ? "there is news below it" : "new messages had arrived in it");
	t->run->result->conflicts++;
	sync_log_detail (t->run, "folder '%s' restored: it has new %s at home", step->binding->base_name, step->below ? "folders or items below it" : "items");
	return let_come_back (t->run, step->binding->folder, error) && tree_create_here (t, step, error) && sync_report (t->run, "Conflicts", "Folder restored", text, error);
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
	return store_bound_uids (run->store, folder, &bound, error) && sync_remove_uids (run, folder, &bound, error);
}

static gboolean
keep_unbound (Tree *t, gint64 folder, GError **error)
{
	if (t->kept)
		g_array_append_val (t->kept, folder);
	return store_make_folder_new (t->run->store, folder, error);
}

gboolean
tree_remove_here (Tree *t, const FolderStep *step, GError **error)
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
		return sync_remove_kept (run, probe.folder, probe.binding, error) && keep_unbound (t, f->id, error);
	}
	if (pending->len == 0 && !has_children (run->store, f->id)) {
		run->result->folders_removed_here++;
		run->result->removed_here += f->total;
		sync_log_detail (run, "folder '%s' removed from offline store with %u item(s)", f->path, f->total);
		return store_folder_delete (run->store, f->id, "home", error) && store_unbind_folder (run->store, f->id, error);
	}
	sync_log_detail (run, pending->len ? "folder '%s' is gone at home but kept: it holds what only is here"
	                                   : "folder '%s' is gone at home, and stays here, empty, for those below it", f->path);
	run->result->removed_here += n;
	return remove_bound (run, f->id, error) && keep_unbound (t, f->id, error);
}

gboolean
tree_empty_here (Tree *t, const FolderStep *step, GError **error)
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
	if (!(answer == GUARD_GO_ON ? remove_bound (run, f->id, error) : sync_remove_kept (run, probe.folder, probe.binding, error)))
		return FALSE;
	sync_log_detail (run, "folder '%s' is gone at home, where others lie below it: %s", f->path,
	                 answer == GUARD_KEEP ? "it is kept here, as decided, and made there again" : "it is emptied here");
	FolderBinding parent = {.delimiter = step->binding->delimiter, .base_parent = step->binding->base_parent, .base_name = step->binding->base_name};
	return store_make_folder_new (run->store, f->id, error) &&
	       tree_bind (t, f->id, &parent, step->remote, parent.base_parent, parent.base_name, error);
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
	gboolean ok = sync_begin (run, error) && tree_remove_here (&t, &step, error) && sync_commit (run, error);
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

typedef enum { NOT_TOLD, ONLY_KNOWN, OTHERS_TOO } Inside;

/* What is in a folder that is gone here; NOT_TOLD: it can't be looked into now. *uidnext_out: its UIDNEXT then. */
static gboolean
look_into (SyncRun *run, FolderRun *gone, guint32 *uidnext_out, Inside *inside_out, GError **error)
{
	GError *e = NULL;
	gboolean only_known = TRUE, looked = has_only_known (run, gone, uidnext_out, &only_known, &e);
	uid_set_clear (&gone->fresh);
	*inside_out = !looked ? NOT_TOLD : only_known ? ONLY_KNOWN : OTHERS_TOO;
	if (!looked)
		g_prefix_error (&e, "what was removed here stays at home for now: ");
	return looked || sync_tolerable (run, e, error);
}

gboolean
sync_drop_restorations (SyncRun *run, GArray *steps, GError **error)
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

gboolean
tree_follow_removed (Tree *t, const GArray *steps, GError **error)
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

/* With the next run. */
static gboolean
bring_back (SyncRun *run, const FolderBinding *b, const char *path, GError **error)
{
	g_autofree char *text = g_strdup_printf ("The folder \"%s\" was removed here, but on the server there are messages in it that were never "
	                                         "fetched, or it is another one by now.\nThe next synchronisation brings it back with all its messages.\n", path);
	run->result->conflicts++;
	sync_log_detail (run, "folder '%s' is not removed: there are items in it at home that were never fetched, or it is another one now; the next run brings it back",
	                 path);
	gboolean ok = sync_begin (run, error) && let_come_back (run, b->folder, error) &&
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
			return sync_refused (run, "removed", path, e, error);
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
		return inside == NOT_TOLD || bring_back (run, b, path, error);
	guint n = b->messages - MIN (moved, b->messages);
	gboolean ok = sync_begin (run, error) && sync_guard_noting (run, &probe, "home", n, n, TRUE, NULL, &answer, error) &&
	              (answer != GUARD_KEEP || let_come_back (run, b->folder, error)) && sync_commit (run, error);
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
