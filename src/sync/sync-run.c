/* SPDX-License-Identifier: Apache-2.0 */
/* One run: connect, hierarchy, pull, push, and a second look at the folders that were pushed to, so that the state token of our own
 * changes is known and the next run is a no-op. */
#include "sync-kept.h"
#include "sync-moved.h"
#include <string.h>

void
folder_run_free (FolderRun *f)
{
	if (!f)
		return;
	folder_free (f->folder);
	folder_binding_free (f->binding);
	uid_set_clear (&f->wanted);
	uid_set_clear (&f->fresh);
	uid_set_clear (&f->looked_at);
	g_free (f->keywords_kept);
	g_free (f);
}

const RemoteFolder *
sync_listed (SyncRun *run, const char *name)
{
	for (guint i = 0; i < run->remotes->len; i++)
		if (strcmp (((RemoteFolder *) run->remotes->pdata[i])->name, name) == 0)
			return run->remotes->pdata[i];
	return NULL;
}

FolderRun *
sync_folder_run (SyncRun *run, gint64 folder)
{
	for (guint i = 0; i < run->folders->len; i++)
		if (((FolderRun *) run->folders->pdata[i])->binding->folder == folder)
			return run->folders->pdata[i];
	return NULL;
}

gboolean
sync_has_everything (const FolderRun *f)
{
	return g_strcmp0 (f->folder->role, "all") == 0;
}

static gboolean
is_wanted (const SyncRun *run, const Folder *f)
{
	return !run->paths || g_strv_contains ((const char *const *) run->paths, f->path);
}

static GHashTable *
folders_by_id (Store *s, GError **error)
{
	g_autoptr (GPtrArray) list = store_folders (s, error);
	if (!list)
		return NULL;
	GHashTable *folders = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, (GDestroyNotify) folder_free);
	g_ptr_array_set_free_func (list, NULL);
	for (guint i = 0; i < list->len; i++) {
		Folder *f = list->pdata[i];
		g_hash_table_insert (folders, &f->id, f);
	}
	return folders;
}

gboolean
sync_contains_id (const GArray *ids, gint64 id)
{
	guint i = 0;
	while (i < ids->len && g_array_index (ids, gint64, i) != id)
		i++;
	return i < ids->len;
}

/* Of a folder that is gone here. */
static Folder *
folder_that_was (SyncRun *run, const FolderBinding *b, GError **error)
{
	char *path;
	if (!store_folder_last_path (run->store, b->folder, &path, error))
		return NULL;
	Folder *f = g_new0 (Folder, 1);
	f->path = path ? path : g_strdup (b->base_name);
	return f;
}

/* Adds it to the run, or frees @b. @folder: stolen; NULL: it is gone here. */
static gboolean
add_folder_run (SyncRun *run, FolderBinding *b, Folder *folder, gboolean moved_from, GError **error)
{
	gboolean wanted = folder && is_wanted (run, folder);
	run->partial |= folder && !wanted && !moved_from && b->selectable;
	if (!wanted && (!moved_from || !sync_listed (run, b->remote_name))) {
		folder_free (folder);
		folder_binding_free (b);
		return TRUE;
	}
	FolderRun *f = g_new0 (FolderRun, 1);
	f->folder = folder ? folder : folder_that_was (run, b, error);
	f->binding = b;
	f->remote = sync_listed (run, b->remote_name);
	f->states_only = !wanted;
	g_ptr_array_add (run->folders, f);
	return f->folder != NULL;
}

gboolean
sync_is_moved_from_nowhere (const SyncRun *run, const Pending *p)
{
	return p->moved && (!p->origin_folder || sync_is_absent (run, p->origin_folder));
}

static GHashTable *
placements_astray (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, 0, error);
	if (!pendings)
		return NULL;
	GHashTable *astray = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	for (guint i = 0; i < pendings->len; i++) {
		const Pending *p = pendings->pdata[i];
		if (sync_is_moved_from_nowhere (run, p))
			g_hash_table_add (astray, g_memdup2 (&p->placement, sizeof p->placement));
	}
	return astray;
}

gboolean
sync_load_folders (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) bindings = store_folder_bindings (run->store, error);
	g_autoptr (GHashTable) folders = bindings ? folders_by_id (run->store, error) : NULL;
	g_autoptr (GArray) moved_from = folders ? store_folders_moved_from (run->store, error) : NULL;
	if (!moved_from)
		return FALSE;
	g_clear_pointer (&run->folders, g_ptr_array_unref);
	g_clear_pointer (&run->astray, g_hash_table_unref);
	run->astray = placements_astray (run, error);
	if (!run->astray)
		return FALSE;
	run->folders = g_ptr_array_new_with_free_func ((GDestroyNotify) folder_run_free);
	for (guint i = 0; i < bindings->len; i++) {
		FolderBinding *b = bindings->pdata[i];
		Folder *folder = g_hash_table_lookup (folders, &b->folder);
		if (sync_is_absent (run, b->folder) || (!folder && !b->folder_gone))
			continue;
		if (folder)
			g_hash_table_steal (folders, &b->folder);
		if (!add_folder_run (run, g_steal_pointer (&bindings->pdata[i]), folder, sync_contains_id (moved_from, b->folder), error))
			return FALSE;
	}
	return TRUE;
}

/* Something is to be sent there that the home does not have. */
static gboolean
gets_appends (const FolderRun *f, const GPtrArray *pendings)
{
	gboolean gets = FALSE;
	for (guint i = 0; i < pendings->len && !gets; i++) {
		const Pending *p = pendings->pdata[i];
		gets = p->folder == f->binding->folder && !p->origin_uid;
	}
	return gets;
}

static gboolean
is_decided_about (const FolderRun *f, const GPtrArray *holds)
{
	gboolean is = FALSE;
	for (guint i = 0; i < holds->len && !is; i++) {
		const Hold *h = holds->pdata[i];
		is = h->folder == f->binding->folder && h->decision != HOLD_WAITS;
	}
	return is;
}

/* A run that ended after the home had told a UID knows more of it than its state tells: a home that has not given that one yet is an older one. */
static gboolean
raise_to_bound (SyncRun *run, GError **error)
{
	for (guint i = 0; i < run->folders->len; i++) {
		FolderBinding *b = ((FolderRun *) run->folders->pdata[i])->binding;
		guint32 uid;
		if (!store_highest_bound (run->store, b->folder, &uid, error))
			return FALSE;
		if (!b->uidvalidity || uid < MAX (b->uidnext, 1u))
			continue;
		b->uidnext = uid == G_MAXUINT32 ? uid : uid + 1;
		b->complete = FALSE;
	}
	return TRUE;
}

/* Those that changed, and those that something is to be done with where nothing but a few known messages tells that they are what they were. */
static GPtrArray *
folders_to_pull (SyncRun *run, const GPtrArray *pendings, const GPtrArray *holds)
{
	GPtrArray *list = g_ptr_array_new ();
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		if (f->failed || !f->binding->selectable)
			continue;
		if (f->remote && !f->remote->selectable && f->folder->total == 0)
			continue; /* a mere parent now, and nothing is here that it could lose */
		if (f->remote && !f->remote->selectable)
			sync_folder_failed (run, f, "the server lists it as one that can't be opened (\\NoSelect); what is here stays");
		else if (!f->remote || ((plan_needs_query (f->binding, f->remote) || gets_appends (f, pendings) || is_decided_about (f, holds)) &&
		                        !sync_is_seen_other_mail (run, f)))
			g_ptr_array_add (list, f);
	}
	return list;
}

/* One folder's numbers were the old ones and meant others: no folder is what it was only because its numbers are. */
static gboolean
pull_doubted (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new ();
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		if (f->failed || f->held || f->rebound || !f->binding->uidvalidity || (f->remote && !f->remote->selectable))
			continue;
		uid_set_clear (&f->wanted);
		f->binding->complete = FALSE;
		f->binding->highestmodseq = 0;
		g_ptr_array_add (list, f);
	}
	return sync_pull (run, list, error);
}

static gboolean
pull_changed (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, 0, error), holds = pendings ? store_holds (run->store, error) : NULL;
	g_autoptr (GPtrArray) list = holds && raise_to_bound (run, error) ? folders_to_pull (run, pendings, holds) : NULL;
	return list && sync_pull (run, list, error) && (pendings->len == 0 || sync_vouch (run, error)) && (!run->doubted || pull_doubted (run, error));
}

/* After a push; only folders whose token moved by it. Their holds were told already. */
static gboolean
pull_pushed (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new ();
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		if (f->pushed && !f->failed && !f->held) {
			uid_set_clear (&f->wanted);
			g_ptr_array_add (list, f);
		}
	}
	return sync_pull (run, list, error);
}

static void
log_counts (SyncRun *run, FolderRun *f)
{
	gboolean follows = run->options->one_way;
	const struct {
		guint64 n;
		const char *text;
	} lines[] = {
		{f->added_here, follows ? "item(s) added" : "item(s) added to offline store"}, {f->recognised, "of them were here already, and not fetched"},
		{f->updated_here, follows ? "item(s) updated" : "item(s) updated in offline store"}, {f->removed_here, follows ? "item(s) removed" : "item(s) removed from offline store"},
		{f->added_home, "item(s) added to online folder"},
		{f->updated_home, "item(s) updated in online folder"}, {f->removed_home, "item(s) removed from online folder"},
	};
	gboolean any = FALSE;
	for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
		any |= lines[i].n > 0;
	if (!any)
		return;
	sync_log (run, "Synchronizing Folder '%s'", f->folder->path);
	for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
		if (lines[i].n)
			sync_log_detail (run, "%" G_GUINT64_FORMAT " %s", lines[i].n, lines[i].text);
}

static void
sum_up (SyncRun *run)
{
	SyncResult *r = run->result;
	for (guint i = 0; run->folders && i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		r->added_here += f->added_here;
		r->updated_here += f->updated_here;
		r->removed_here += f->removed_here;
		r->added_home += f->added_home;
		r->updated_home += f->updated_home;
		r->removed_home += f->removed_home;
		log_counts (run, f);
	}
	r->octets_stored = run->progress.octets_done;
	r->traffic = run->home->class->traffic (run->home);
}

static gboolean
something_to_push (SyncRun *run)
{
	guint64 appends, flags, removals;
	return !store_count_unpushed (run->store, &appends, &flags, &removals, NULL) || appends + flags + removals > 0;
}

static gboolean
sweep (SyncRun *run, GError **error)
{
	g_autofree char *last = store_setting (run->store, "last-sweep");
	gint64 now = sync_now ();
	if (last && now - g_ascii_strtoll (last, NULL, 10) < 24 * 3600)
		return TRUE;
	g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, now);
	guint64 messages;
	gboolean ok = store_begin (run->store, error) &&
	              store_sweep (run->store, now - (gint64) run->options->keep_removed_days * 24 * 3600, &messages, error) &&
	              store_set_setting (run->store, "last-sweep", text, error) && store_commit (run->store, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
forget_came_back (SyncRun *run, GError **error)
{
	gboolean ok = store_begin (run->store, error) && store_forget_came_back (run->store, error) && store_commit (run->store, error);
	store_rollback (run->store);
	return ok;
}

/* They are left out, which nobody would notice: said when their number is a new one, and kept for `status`. */
static gboolean
tell_shared (SyncRun *run, GError **error)
{
	guint n = run->home->class->shared (run->home);
	g_autofree char *text = g_strdup_printf ("%u", n), *known = store_setting (run->store, "shared-folders");
	if (strcmp (known ? known : "0", text) == 0)
		return TRUE;
	if (n)
		sync_log_detail (run, "%u folder(s) that other users share, or public ones, are not synchronised", n);
	gboolean ok = sync_begin (run, error) && store_set_setting (run->store, "shared-folders", text, error) && sync_log_write (run, error) &&
	              sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

/* A path that is none yet may be that of a folder which is new at home. */
static gboolean
find_named (SyncRun *run, GArray *ids, GError **error)
{
	for (char **path = run->paths; path && *path; path++) {
		GError *e = NULL;
		g_autoptr (Folder) f = store_folder_by_path (run->store, *path, &e);
		gint64 id = f ? f->id : 0;
		if (!f && !error_is (e, ERROR_NOT_FOUND)) {
			g_propagate_error (error, e);
			return FALSE;
		}
		g_clear_error (&e);
		g_array_append_val (ids, id);
	}
	return TRUE;
}

/* The folders that the run is of may have other names since they were named. */
static gboolean
follow_named (SyncRun *run, const GArray *ids, GError **error)
{
	g_autoptr (GArray) now = g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!find_named (run, now, error))
		return FALSE;
	for (guint i = 0; i < ids->len; i++) {
		gint64 before = g_array_index (ids, gint64, i), id = before ? before : g_array_index (now, gint64, i);
		g_autoptr (Folder) f = id ? store_folder (run->store, id, NULL) : NULL;
		if (!f || strcmp (f->path, run->paths[i]) == 0)
			continue;
		if (before)
			sync_log_detail (run, "folder '%s' has another name by now, and is synchronised as '%s'", run->paths[i], f->path);
		g_free (run->paths[i]);
		run->paths[i] = g_strdup (f->path);
	}
	return TRUE;
}

static gboolean
all_steps (SyncRun *run, GError **error)
{
	g_autoptr (GArray) named = g_array_new (FALSE, FALSE, sizeof (gint64));
	sync_progress (run, SYNC_CONNECT, NULL, TRUE);
	if (!find_named (run, named, error) || !run->home->class->open (run->home, run->cancel, error) || !sync_hierarchy (run, error) ||
	    !follow_named (run, named, error) || !tell_shared (run, error) || !sync_load_folders (run, error) ||
	    !sync_settle_identities (run, error) || !pull_changed (run, error) || !sync_settle_copies (run, error) ||
	    !sync_empty_kept (run, error) || !sync_settle_absent (run, error) || !sync_prove_positions (run, error) || !sync_settle_rebinds (run, error) || !sync_tell_rebinds (run, error))
		return FALSE;
	gboolean strange = sync_is_strange (run), sends = !run->options->one_way;
	if (sends && !strange && something_to_push (run)) {
		if (!sync_push (run, error))
			return FALSE;
		strange = sync_is_strange (run); /* what was to be written to was looked at */
		if (!strange && !pull_pushed (run, error))
			return FALSE;
	}
	if (sends && strange)
		sync_log_detail (run, "nothing is sent while it is not certain that this is the same mailbox");
	return (strange || !sends || sync_push_folder_removals (run, error)) && sync_guard_release (run, error) && forget_came_back (run, error) && sweep (run, error);
}

/* Somebody removed a folder here meanwhile: what was to be placed in it has no place. */
static gboolean
lost_a_folder (SyncRun *run)
{
	gboolean lost = FALSE;
	for (guint i = 0; run->folders && i < run->folders->len && !lost; i++) {
		const FolderRun *f = run->folders->pdata[i];
		gboolean there = TRUE;
		lost = f->folder->id && store_has_folder (run->store, f->folder->id, &there, NULL) && !there;
	}
	return lost;
}

/* *again_out: it failed, and another one will not for the same reason. */
static gboolean
run_once (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, SyncResult *result, gboolean *again_out, GError **error)
{
	*result = (SyncResult){0};
	SyncRun run = {.store = store, .home = home, .options = options, .cancel = cancel, .result = result, .started = sync_now (),
	               .unwritten = sync_log_lines_new (), .paths = g_strdupv ((char **) options->folders)};
	GError *failure = NULL;
	sync_log (&run, "Synchronizing Mailbox '%s'", options->mailbox ? options->mailbox : "");
	gboolean ok = all_steps (&run, &failure);
	store_rollback (store);
	*again_out = !ok && error_is (failure, ERROR_NOT_FOUND) && lost_a_folder (&run);
	sum_up (&run);
	GError *unlogged = NULL;
	if (!sync_log_end (&run, failure, &unlogged)) {
		store_rollback (store);
		if (ok)
			failure = g_steal_pointer (&unlogged);
		g_clear_error (&unlogged);
		ok = FALSE;
	}
	sync_progress (&run, SYNC_DONE, NULL, TRUE);
	g_free (run.lost.keywords);
	g_clear_pointer (&run.strangers, g_ptr_array_unref);
	g_clear_pointer (&run.gathered, g_hash_table_unref);
	g_clear_pointer (&run.absent, g_hash_table_unref);
	g_clear_pointer (&run.astray, g_hash_table_unref);
	g_clear_pointer (&run.folders, g_ptr_array_unref);
	g_clear_pointer (&run.remotes, g_ptr_array_unref);
	g_array_unref (run.unwritten);
	g_strfreev (run.paths);
	if (!ok)
		g_propagate_error (error, failure);
	return ok;
}

#define TRIES 5 /* somebody removes folder after folder */

gboolean
sync_run (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, SyncResult *result, GError **error)
{
	gboolean again = TRUE, ok = FALSE;
	for (guint i = 0; i < TRIES && again && !ok; i++) {
		GError *failure = NULL;
		ok = run_once (store, home, options, cancel, result, &again, &failure);
		if (!ok && (!again || i + 1 == TRIES))
			g_propagate_error (error, failure);
		else
			g_clear_error (&failure);
	}
	return ok;
}
