/* SPDX-License-Identifier: Apache-2.0 */
#include "store-import.h"
#include "store-private.h"
#include <string.h>

#define KEPT "import-kept"                        /* setting KEPT-ID: "open" or "closed" */
#define MODSEQ_MAX (G_GUINT64_CONSTANT (1) << 53) /* of another server: room enough is left above it */
#define VALIDITY_MAX 4000000000u                  /* rising ones can still be minted above it */

ImportNumbers
store_import_numbers (Store *s, gint64 folder)
{
	g_autofree char *name = g_strdup_printf (KEPT "-%" G_GINT64_FORMAT, folder), *value = store_setting (s, name);
	return !value ? IMPORT_OWN : strcmp (value, "open") == 0 ? IMPORT_OPEN : IMPORT_CLOSED;
}

gboolean
store_import_raise (Store *s, guint64 least, GError **error)
{
	g_assert (store_in_transaction (s));
	if (least > MODSEQ_MAX)
		return error_fail (error, ERROR_PROTOCOL,
				   "the other server counts changes by numbers above %" G_GUINT64_FORMAT, MODSEQ_MAX);
	if (s->modseq < least) {
		s->modseq = least;
		s->modseq_changed = TRUE;
	}
	return TRUE;
}

/* What was there before the first message of the other server keeps it from being a copy. */
static const char *
why_not (Store *s, const FolderBinding *b)
{
	gint64 before = db_number (s->db,
				   "SELECT COUNT (*) FROM placement p WHERE p.folder = ?1 AND NOT EXISTS (SELECT 1 "
				   "FROM placement_binding b WHERE b.placement = p.id) AND"
				   " p.id < IFNULL ((SELECT MIN (b.placement) FROM placement_binding b WHERE b.folder "
				   "= ?1 AND b.placement > 0), p.id + 1)",
				   1, "i", b->folder);
	gint64 above = db_number (
		s->db,
		"SELECT COUNT (*) FROM placement_binding WHERE folder = ?1 AND (remote_uid < 1 OR remote_uid >= ?2)", 1,
		"ii", b->folder, (gint64) b->uidnext);
	return before ? "there was mail in it here before"
	       : !b->uidvalidity || !b->uidnext || b->uidvalidity > VALIDITY_MAX || b->uidnext > UID_AHEAD_MAX
		       ? "the old server's numbers leave no room"
	       : b->highestmodseq > MODSEQ_MAX ? "the old server's change numbers leave no room"
	       : above                         ? "the old server's numbers contradict each other"
					       : NULL;
}

/* ?1 the folder, ?2 the one that takes its place, ?3 a fresh number, ?4 the number of what is as the other server had
 * it (= ?3 if that has none), ?5 its UIDNEXT, ?6 its UIDVALIDITY, ?7 the first UID for what is not from there. */
static const char *const steps[] = {
	"INSERT INTO removal (folder, modseq, lo, hi) SELECT ?2, ?3, remote_uid, remote_uid FROM placement_binding "
	"WHERE folder = ?1 AND gone = 1",
	"INSERT INTO removal (folder, modseq, lo, hi) SELECT ?2, ?4, before + 1, uid - 1 FROM (SELECT uid, LAG (uid, "
	"1, 0) OVER (ORDER BY uid) AS before FROM"
	" (SELECT remote_uid AS uid FROM placement_binding WHERE folder = ?1 UNION ALL SELECT ?5)) WHERE uid > before "
	"+ 1",
	"UPDATE placement SET folder = ?2, uid = ?7 + o.n, modseq = ?3 FROM (SELECT p.id, ROW_NUMBER () OVER (ORDER BY "
	"p.uid) - 1 AS n FROM placement p WHERE p.folder = ?1 AND"
	" NOT EXISTS (SELECT 1 FROM placement_binding b WHERE b.placement = p.id)) o WHERE placement.id = o.id",
	"UPDATE placement SET folder = ?2, uid = b.remote_uid, modseq = IIF (placement.flags = b.flags AND "
	"placement.keywords IS b.keywords, IIF (b.modseq BETWEEN 1 AND ?4, b.modseq, ?4), ?3)"
	" FROM placement_binding b WHERE b.placement = placement.id AND placement.folder = ?1",
	"UPDATE placement_binding SET folder = ?2 WHERE folder = ?1",
	"UPDATE folder_binding SET folder = ?2 WHERE folder = ?1",
	"UPDATE folder_binding SET base_parent = ?2 WHERE base_parent = ?1",
	"UPDATE folder SET parent = ?2 WHERE parent = ?1",
	"UPDATE annotation SET folder = ?2 WHERE folder = ?1",
	"UPDATE removed SET folder = ?2 WHERE folder = ?1",
	"UPDATE hold SET folder = ?2 WHERE folder = ?1",
	"UPDATE folder SET uidvalidity = ?6, uidnext = MAX (?5, IFNULL ((SELECT MAX (uid) + 1 FROM placement WHERE "
	"folder = ?2), 0)), changed_modseq ="
	" MAX (?4, IFNULL ((SELECT MAX (modseq) FROM placement WHERE folder = ?2), 0), IFNULL ((SELECT MAX (modseq) "
	"FROM removal WHERE folder = ?2), 0)), modseq = ?4 WHERE id = ?2",
	"DELETE FROM folder WHERE id = ?1",
	/* above it: a folder that is made anew under the name is another one */
	"UPDATE setting SET value = CAST (MAX (CAST (value AS INTEGER), ?6) AS TEXT) WHERE name = 'uidvalidity'",
	"INSERT OR REPLACE INTO setting SELECT '" KEPT
	"-' || ?2, IIF (EXISTS (SELECT 1 FROM placement WHERE folder = ?2 AND uid >= ?5), 'closed', 'open')",
};

static gboolean
run_step (Store *s, const char *sql, const gint64 *values, GError **error)
{
	return db_run (s->db, sql, error, "iiiiiii", values[0], values[1], values[2], values[3], values[4], values[5],
		       values[6]);
}

/* An empty folder with the name and all that is @f's; its path is told as that of a folder which is gone. */
static gboolean
replace_folder (Store *s, const Folder *f, gint64 modseq, gint64 *new_out, GError **error)
{
	Id128 id = id128_random ();
	if (!db_run (s->db, "INSERT INTO folder_removal SELECT id, object_id, ?2, ?3 FROM folder WHERE id = ?1", error,
		     "isi", f->id, f->path, modseq) ||
	    !db_run (s->db, "UPDATE folder SET name = 'import ' || hex (object_id), parent = NULL WHERE id = ?1", error,
		     "i", f->id) ||
	    !db_run (s->db,
		     "INSERT INTO folder (object_id, parent, name, role, subscribed, selectable, local_only, "
		     "uidvalidity, total, unread, octets, created_modseq, modseq, changed_modseq)"
		     " SELECT ?2, NULLIF (?3, 0), ?4, role, subscribed, selectable, local_only, uidvalidity, total, "
		     "unread, octets, ?5, ?5, ?5 FROM folder WHERE id = ?1",
		     error, "ibisi", f->id, id.bytes, (gsize)ID_SIZE, f->parent, f->name, modseq))
		return FALSE;
	*new_out = db_last_id (s->db);
	return TRUE;
}

gboolean
store_import_adopt (Store *s, gint64 folder, gint64 *folder_out, const char **why_out, GError **error)
{
	g_assert (store_in_transaction (s));
	g_autoptr (FolderBinding) b = store_folder_binding (s, folder, error);
	g_autoptr (Folder) f = b ? store_folder (s, folder, error) : NULL;
	if (!f)
		return FALSE;
	*folder_out = folder;
	*why_out = why_not (s, b);
	if (*why_out)
		return !db_failed (s->db, error);
	if (!store_import_raise (s, b->highestmodseq, error) || !store_flush (s, error))
		return FALSE;
	g_hash_table_remove_all (s->deltas);
	gint64 fresh = (gint64) store_next_modseq (s), new;
	if (!replace_folder (s, f, fresh, &new, error))
		return FALSE;
	const gint64 values[] = {folder,
				 new,
				 fresh,
				 b->highestmodseq ? (gint64) b->highestmodseq : fresh,
				 b->uidnext,
				 b->uidvalidity,
				 (gint64) b->uidnext + UID_AHEAD};
	for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
		if (!run_step (s, steps[i], values, error))
			return FALSE;
	*folder_out = new;
	return TRUE;
}

gboolean
store_import_place (Store *s, gint64 folder, guint32 uid, gint64 message, guint flags, const char *keywords,
		    gint64 *placement_out, GError **error)
{
	g_assert (store_in_transaction (s));
	FolderDelta *d = store_delta (s, folder);
	if (store_import_numbers (s, folder) == IMPORT_OPEN) {
		guint32 next = d->uidnext ? d->uidnext
					  : (guint32) db_number (s->db, "SELECT uidnext FROM folder WHERE id = ?1", 0,
								"i", folder);
		if (next && uid >= next && uid < G_MAXUINT32)
			d->uidnext = uid;
	}
	return store_place (s, folder, message, flags, keywords, FALSE, 0, placement_out, error);
}

void
store_import_close (Store *s, gint64 folder, FolderDelta *d)
{
	if (db_run (s->db, "UPDATE setting SET value = 'closed' WHERE name = '" KEPT "-' || ?1 AND value = 'open'",
		    NULL, "i", folder) &&
	    db_changes (s->db) == 1 && d->uidnext < UID_AHEAD_MAX)
		d->uidnext += UID_AHEAD;
}
