/* SPDX-License-Identifier: Apache-2.0 */
/* The old system's behaviour, on request (design section 6): a store that an earlier profile left behind is not adopted. The run fails
 * with the old words, and its log is put as a message into Deleted Items. Nothing else is touched, here or at the home. */
#include "sync-private.h"
#include <string.h>

#define OLD_WORDS "Background Synchronization Error. See detailed logs in Deleted Items folder."

static guint
count_bound (const GPtrArray *bindings, const GPtrArray *remotes)
{
	guint n = 0;
	for (guint i = 0; i < remotes->len; i++)
		for (guint j = 0; j < bindings->len; j++)
			n += strcmp (((RemoteFolder *) remotes->pdata[i])->name, ((FolderBinding *) bindings->pdata[j])->remote_name) == 0;
	return n;
}

/* What the old run counted before it failed; without a connection there is nothing to count. */
static gboolean
look_at_hierarchy (SyncRun *run, GError **error)
{
	g_autoptr (GError) unreachable = NULL;
	g_autoptr (GPtrArray) bindings = store_folder_bindings (run->store, error);
	if (!bindings)
		return FALSE;
	if (!run->home->class->open (run->home, run->cancel, &unreachable) ||
	    !run->home->class->list (run->home, &run->remotes, &unreachable))
		return !error_is (unreachable, ERROR_CANCELLED) || cancel_check (run->cancel, error);
	guint bound = count_bound (bindings, run->remotes);
	sync_log_detail (run, "%u folder(s) added to offline store", run->remotes->len - bound);
	sync_log_detail (run, "%u folder(s) updated in offline store", bound);
	return TRUE;
}

static char *
log_text (const SyncRun *run)
{
	GString *text = g_string_new (NULL);
	for (guint i = 0; i < run->unwritten->len; i++) {
		const LogLine *l = &g_array_index (run->unwritten, LogLine, i);
		g_autofree char *line = sync_log_line (l->time, l->detail, l->text);
		g_string_append_printf (text, "%s\r\n", line);
	}
	return g_string_free (text, FALSE);
}

#define MADE "stale-folder" /* setting of the Deleted Items that was made for the log: the store had none */

static gboolean
make_deleted_items (SyncRun *run, gint64 *folder_out, GError **error)
{
	NewFolder n = {0, "Deleted Items", "trash", TRUE, TRUE, FALSE};
	if (!store_folder_create (run->store, &n, folder_out, error))
		return FALSE;
	g_autofree char *name = g_strdup_printf (MADE "-%" G_GINT64_FORMAT, *folder_out);
	return store_set_setting (run->store, name, "1", error);
}

static gboolean
deleted_items (SyncRun *run, gint64 *folder_out, GError **error)
{
	g_autoptr (GError) e = NULL;
	g_autoptr (Folder) f = store_folder_by_role (run->store, "trash", &e);
	if (e) {
		g_propagate_error (error, g_steal_pointer (&e));
		return FALSE;
	}
	if (!f)
		return make_deleted_items (run, folder_out, error);
	*folder_out = f->id;
	return TRUE;
}

#define FILED "stale-log" /* setting of a placement: the finding that the log there tells */

/* What was found, whenever that was. */
static char *
finding_of (const SyncRun *run)
{
	g_autoptr (GString) text = g_string_new (NULL);
	for (guint i = 0; i < run->unwritten->len; i++)
		g_string_append_printf (text, "%s\n", g_array_index (run->unwritten, LogLine, i).text);
	return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, (gssize) text->len);
}

/* A log that is there says it already; one without a connection has nothing to add to any. */
static gboolean
is_filed (SyncRun *run, const char *finding, gboolean *filed_out, GError **error)
{
	g_autoptr (GHashTable) filed = store_folder_settings (run->store, FILED, error);
	GHashTableIter it;
	gpointer placement, text;
	*filed_out = FALSE;
	if (!filed)
		return FALSE;
	g_hash_table_iter_init (&it, filed);
	while (!*filed_out && g_hash_table_iter_next (&it, &placement, &text)) {
		g_autoptr (Placement) p = store_placement (run->store, *(gint64 *) placement, NULL);
		*filed_out = p && (!run->remotes || strcmp (text, finding) == 0);
	}
	return TRUE;
}

static gboolean
file_log (SyncRun *run, GError **error)
{
	g_autofree char *text = log_text (run), *finding = finding_of (run);
	gint64 folder, message, placement, now = sync_now ();
	gboolean filed;
	if (!is_filed (run, finding, &filed, error) || filed)
		return filed;
	g_autoptr (GBytes) octets = sync_report_octets ("Synchronization Log:", text, now);
	g_autoptr (Prepared) p = prepare_bytes (octets, now, 0);
	if (!deleted_items (run, &folder, error) || !store_add_message (run->store, p, folder, &message, error) ||
	    !store_place (run->store, folder, message, 0, NULL, TRUE, 0, &placement, error))
		return FALSE;
	g_autofree char *name = g_strdup_printf (FILED "-%" G_GINT64_FORMAT, placement);
	return store_set_setting (run->store, name, finding, error);
}

static gboolean
drop_log (Store *store, gint64 placement, GError **error)
{
	g_autofree char *name = g_strdup_printf (FILED "-%" G_GINT64_FORMAT, placement);
	g_autoptr (Placement) p = store_placement (store, placement, NULL);
	return (!p || store_remove (store, placement, "here", error)) && store_set_setting (store, name, NULL, error);
}

/* Unless there is anything else in it by now. */
static gboolean
drop_folder (Store *store, gint64 folder, GError **error)
{
	g_autofree char *name = g_strdup_printf (MADE "-%" G_GINT64_FORMAT, folder);
	g_autoptr (Folder) f = store_folder (store, folder, NULL);
	g_autoptr (FolderBinding) b = store_folder_binding (store, folder, NULL);
	gboolean empty = f && f->total == 0 && !b;
	return (!empty || store_folder_delete (store, folder, "here", error)) && store_set_setting (store, name, NULL, error);
}

static gboolean
drop_each (Store *store, GHashTable *ids, gboolean (*drop) (Store *, gint64, GError **), GError **error)
{
	GHashTableIter it;
	gpointer id;
	gboolean ok = TRUE;
	g_hash_table_iter_init (&it, ids);
	while (ok && g_hash_table_iter_next (&it, &id, NULL))
		ok = drop (store, *(gint64 *) id, error);
	return ok;
}

gboolean
sync_drop_stale_logs (Store *store, GError **error)
{
	g_autoptr (GHashTable) filed = store_folder_settings (store, FILED, error);
	g_autoptr (GHashTable) made = filed ? store_folder_settings (store, MADE, error) : NULL;
	if (!made || g_hash_table_size (filed) + g_hash_table_size (made) == 0)
		return made != NULL;
	gboolean ok = store_begin (store, error) && drop_each (store, filed, drop_log, error) && drop_each (store, made, drop_folder, error) &&
	              store_commit (store, error);
	store_rollback (store);
	return ok;
}

gboolean
sync_report_stale (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, GError **error)
{
	SyncResult result = {0};
	SyncRun run = {.store = store, .home = home, .options = options, .cancel = cancel, .result = &result, .started = sync_now ()};
	run.unwritten = sync_log_lines_new ();
	sync_log (&run, "Synchronizing Mailbox '%s'", options->mailbox ? options->mailbox : "");
	sync_log (&run, "Synchronizing Hierarchy");
	gboolean ok = look_at_hierarchy (&run, error);
	if (ok)
		sync_log (&run, "Done");
	ok = ok && store_begin (store, error) && file_log (&run, error) && sync_log_write (&run, error) &&
	     store_run_end (store, run.run, sync_now (), "failed", OLD_WORDS, NULL, error) && store_commit (store, error);
	store_rollback (store);
	g_clear_pointer (&run.remotes, g_ptr_array_unref);
	g_array_unref (run.unwritten);
	return ok && error_fail (error, ERROR_STALE_STORE, "%s", OLD_WORDS);
}
