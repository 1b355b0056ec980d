/* SPDX-License-Identifier: Apache-2.0 */
/* Bindings of folders and placements, and the base. */
#include "store-private.h"
#include <string.h>

#define DIFFERS "(p.flags != b.flags OR p.keywords IS NOT b.keywords)" /* a placement from its base */
#define FOLDER_BINDING_COLUMNS "b.folder, IFNULL (b.base_parent, 0), b.remote_name, b.delimiter, b.remote_id, b.base_name, b.uidvalidity," \
                               " b.uidnext, b.messages, b.highestmodseq, b.pushed_modseq, b.complete, b.selectable," \
                               " NOT EXISTS (SELECT 1 FROM folder f WHERE f.id = b.folder)"
#define BINDING_COLUMNS "b.placement, b.folder, b.remote_uid, b.flags, b.keywords, b.modseq, IFNULL (b.remote_size, 0), b.gone, b.settled"

/* ---- Folders ---- */

void
folder_binding_free (FolderBinding *b)
{
	if (!b)
		return;
	g_free (b->remote_name);
	g_free (b->remote_id);
	g_free (b->base_name);
	g_free (b);
}

static FolderBinding *
read_folder_binding (DbQuery *q)
{
	FolderBinding *b = g_new0 (FolderBinding, 1);
	gsize n;
	const char *name = db_blob (q, 2, &n), *delimiter = db_text (q, 3);
	b->folder = db_int (q, 0);
	b->base_parent = db_int (q, 1);
	b->remote_name = g_strndup (name, n);
	b->delimiter = delimiter ? *delimiter : 0;
	b->remote_id = db_dup (q, 4);
	b->base_name = db_dup (q, 5);
	b->uidvalidity = (guint32) db_int (q, 6);
	b->uidnext = (guint32) db_int (q, 7);
	b->messages = (guint32) db_int (q, 8);
	b->highestmodseq = (guint64) db_int (q, 9);
	b->pushed_modseq = (guint64) db_int (q, 10);
	b->complete = db_int (q, 11) != 0;
	b->selectable = db_int (q, 12) != 0;
	b->folder_gone = db_int (q, 13) != 0;
	return b;
}

GPtrArray *
store_folder_bindings (Store *s, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) folder_binding_free);
	DbQuery *q = db_query (s->db, "SELECT " FOLDER_BINDING_COLUMNS " FROM folder_binding b ORDER BY b.remote_name", "");
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		g_ptr_array_add (list, read_folder_binding (q));
	return r == 0 ? g_steal_pointer (&list) : NULL;
}

FolderBinding *
store_folder_binding (Store *s, gint64 folder, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT " FOLDER_BINDING_COLUMNS " FROM folder_binding b WHERE b.folder = ?1", "i", folder);
	FolderBinding *b = db_step (s->db, q, error) > 0 ? read_folder_binding (q) : NULL;
	db_reset (q);
	return b;
}

gboolean
store_bind_folder (Store *s, const FolderBinding *b, GError **error)
{
	static const char sql[] = "INSERT INTO folder_binding (folder, remote_name, delimiter, remote_id, base_parent, base_name, uidvalidity, uidnext,"
	                          " highestmodseq, messages, complete, pushed_modseq, selectable)"
	                          " VALUES (?1, ?2, ?3, ?4, NULLIF (?5, 0), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (folder) DO UPDATE SET"
	                          " remote_name = excluded.remote_name, delimiter = excluded.delimiter, remote_id = excluded.remote_id,"
	                          " base_parent = excluded.base_parent, base_name = excluded.base_name, uidvalidity = excluded.uidvalidity,"
	                          " uidnext = excluded.uidnext, highestmodseq = excluded.highestmodseq, messages = excluded.messages,"
	                          " complete = excluded.complete, pushed_modseq = excluded.pushed_modseq, selectable = excluded.selectable";
	/* Two folders may have swapped names: the other one's binding is renewed later in the same transaction, or its name is gone. */
	static const char displace[] = "UPDATE folder_binding SET remote_name = randomblob (16) WHERE remote_name = ?2 AND folder != ?1";
	const char delimiter[2] = {b->delimiter, '\0'};
	g_assert (store_in_transaction (s));
	return db_run (s->db, displace, error, "ib", b->folder, b->remote_name, strlen (b->remote_name)) &&
	       db_run (s->db, sql, error, "ibssisiiiiIiI", b->folder, b->remote_name, strlen (b->remote_name), b->delimiter ? delimiter : NULL,
	               b->remote_id, b->base_parent, b->base_name, (gint64) b->uidvalidity, (gint64) b->uidnext, (gint64) b->highestmodseq,
	               (gint64) b->messages, b->complete != 0, (gint64) b->pushed_modseq, b->selectable != 0);
}

gboolean
store_doubt_folders (Store *s, gint64 folder, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE folder_binding SET complete = 0, highestmodseq = 0 WHERE folder != ?1 AND uidvalidity > 0", error, "i", folder);
}

gboolean
store_unbind_folder (Store *s, gint64 folder, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "DELETE FROM placement_binding WHERE folder = ?1", error, "i", folder) &&
	       db_run (s->db, "DELETE FROM pending WHERE folder = ?1", error, "i", folder) &&
	       db_run (s->db, "DELETE FROM folder_binding WHERE folder = ?1", error, "i", folder);
}

/* What was removed here after its sending began is not there any more, and what was moved on from it comes from where that came from. */
static gboolean
forget_sent_on (Store *s, gint64 folder, GError **error)
{
	return db_run (s->db, "UPDATE pending AS n SET origin = g.origin, moved = g.moved FROM pending g WHERE n.origin = g.placement AND g.folder = ?1"
	                      " AND g.message IS NOT NULL", error, "i", folder) &&
	       db_run (s->db, "DELETE FROM pending WHERE folder = ?1 AND message IS NOT NULL", error, "i", folder);
}

gboolean
store_make_folder_new (Store *s, gint64 folder, GError **error)
{
	g_assert (store_in_transaction (s));
	return forget_sent_on (s, folder, error) &&
	       db_run (s->db, "UPDATE pending SET watermark = 0, watermark_validity = 0, failures = 0 WHERE folder = ?1", error, "i", folder) &&
	       db_run (s->db, "DELETE FROM placement_binding WHERE folder = ?1", error, "i", folder) &&
	       db_run (s->db, "DELETE FROM folder_binding WHERE folder = ?1", error, "i", folder) &&
	       db_run (s->db, "INSERT OR IGNORE INTO pending (placement, folder) SELECT id, folder FROM placement WHERE folder = ?1", error, "i", folder);
}

/* ---- Placements ---- */

void
placement_binding_done (PlacementBinding *b)
{
	g_clear_pointer (&b->keywords, g_free);
}

/* Keywords are borrowed from the statement; the columns begin at @at. */
static PlacementBinding
binding_view (DbQuery *q, int at)
{
	return (PlacementBinding){db_int (q, at), db_int (q, at + 1), (guint32) MAX (db_int (q, at + 2), 0), (guint) db_int (q, at + 3),
	                          (char *) db_text (q, at + 4), (guint64) db_int (q, at + 5), (guint64) db_int (q, at + 6),
	                          db_int (q, at + 7) != 0, db_int (q, at + 8) != 0};
}

/* The home has it. If it was moved, its removal from the origin is no loss. */
static gboolean
push_done (Store *s, gint64 placement, GError **error)
{
	return db_run (s->db, "UPDATE placement_binding SET settled = 1 WHERE gone = 1 AND placement = (SELECT origin FROM pending WHERE placement = ?1"
	                      " AND moved = 1)", error, "i", placement) &&
	       store_drop_pending (s, placement, error);
}

gboolean
store_bind_placement (Store *s, const PlacementBinding *b, GError **error)
{
	static const char sql[] = "INSERT INTO placement_binding (placement, folder, remote_uid, flags, keywords, modseq, remote_size, message, gone)"
	                          " SELECT ?1, ?2, ?3, ?4, ?5, ?6, NULLIF (?7, 0), m, m IS NOT NULL FROM (SELECT (SELECT n.message FROM pending n"
	                          " WHERE n.placement = ?1) AS m) WHERE TRUE ON CONFLICT (placement) DO UPDATE SET folder = ?2, remote_uid = ?3,"
	                          " flags = ?4, keywords = ?5, modseq = ?6, remote_size = NULLIF (?7, 0), settled = gone AND (settled OR ?8), sent = 0";
	g_assert (store_in_transaction (s));
	return db_run (s->db, sql, error, "iiiisiiI", b->placement, b->folder, (gint64) b->remote_uid, (gint64) b->flags,
	               b->keywords && *b->keywords ? b->keywords : NULL, (gint64) b->modseq, (gint64) b->remote_size, b->settled != 0) &&
	       push_done (s, b->placement, error);
}

gboolean
store_set_base (Store *s, gint64 folder, guint32 remote_uid, guint flags, const char *keywords, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE placement_binding SET flags = ?3, keywords = ?4 WHERE folder = ?1 AND remote_uid = ?2", error, "iiis", folder,
	               (gint64) remote_uid, (gint64) flags, keywords && *keywords ? keywords : NULL);
}

gboolean
store_unbind_placement (Store *s, gint64 placement, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "DELETE FROM placement_binding WHERE placement = ?1", error, "i", placement);
}

gboolean
store_settle_removal (Store *s, gint64 placement, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE placement_binding SET settled = 1 WHERE placement = ?1 AND gone = 1", error, "i", placement);
}

gboolean
store_note_removals_sent (Store *s, gint64 folder, UidSet *uids, GError **error)
{
	g_auto (UidSet) asked = UID_SET_INIT;
	UidIter it = {0};
	guint32 uid;
	g_assert (store_in_transaction (s));
	uid_set_copy (&asked, uids);
	uid_set_clear (uids);
	while (uid_set_next (&asked, &it, &uid)) {
		if (!db_run (s->db, "UPDATE placement_binding SET sent = 1 WHERE folder = ?1 AND remote_uid = ?2 AND gone = 1", error, "ii", folder, (gint64) uid))
			return FALSE;
		if (db_changes (s->db))
			uid_set_add (uids, uid);
	}
	return TRUE;
}

static gboolean
one_binding (Store *s, DbQuery *q, PlacementBinding *b, gboolean *found_out, GError **error)
{
	int r = db_step (s->db, q, error);
	*found_out = r > 0;
	if (r > 0) {
		*b = binding_view (q, 0);
		b->keywords = g_strdup (b->keywords);
	}
	db_reset (q);
	return r >= 0;
}

gboolean
store_binding_by_uid (Store *s, gint64 folder, guint32 remote_uid, PlacementBinding *b, gboolean *found_out, GError **error)
{
	return one_binding (s, db_query (s->db, "SELECT " BINDING_COLUMNS " FROM placement_binding b WHERE b.folder = ?1 AND b.remote_uid = ?2", "ii",
	                                 folder, (gint64) remote_uid), b, found_out, error);
}

gboolean
store_binding_of (Store *s, gint64 placement, PlacementBinding *b, gboolean *found_out, GError **error)
{
	return one_binding (s, db_query (s->db, "SELECT " BINDING_COLUMNS " FROM placement_binding b WHERE b.placement = ?1", "i", placement), b,
	                    found_out, error);
}

static gboolean
each_binding (Store *s, DbQuery *q, BindingFn fn, gpointer data, GError **error)
{
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		PlacementBinding b = binding_view (q, 0);
		if (!fn (data, &b)) {
			db_reset (q);
			return TRUE;
		}
	}
	return r == 0;
}

gboolean
store_each_binding (Store *s, gint64 folder, BindingFn fn, gpointer data, GError **error)
{
	return each_binding (s, db_query (s->db, "SELECT " BINDING_COLUMNS " FROM placement_binding b WHERE b.folder = ?1 AND b.remote_uid > 0 ORDER BY b.remote_uid", "i",
	                                  folder), fn, data, error);
}

gboolean
store_each_same (Store *s, gint64 folder, guint32 uid, BindingFn fn, gpointer data, GError **error)
{
	return each_binding (s, db_query (s->db, "SELECT " BINDING_COLUMNS " FROM placement_binding l JOIN placement lp ON lp.id = l.placement"
	                                         " JOIN message lm ON lm.id = lp.message JOIN message m ON m.content = lm.content"
	                                         " JOIN placement p ON p.message = m.id JOIN placement_binding b ON b.placement = p.id"
	                                         " WHERE l.folder = ?1 AND l.remote_uid = ?2 AND lp.flags = l.flags AND lp.keywords IS l.keywords"
	                                         " AND b.folder != ?1 AND b.gone = 0 AND b.remote_uid > 0", "ii",
	                                  folder, (gint64) uid), fn, data, error);
}

gboolean
store_gone_bindings (Store *s, gint64 folder, BindingFn fn, gpointer data, GError **error)
{
	return each_binding (s, db_query (s->db, "SELECT " BINDING_COLUMNS " FROM placement_binding b WHERE b.folder = ?1 AND b.gone = 1 AND b.remote_uid > 0"
	                                         " ORDER BY b.remote_uid", "i", folder), fn, data, error);
}

gboolean
store_each_origin (Store *s, gint64 placement, BindingFn fn, gpointer data, GError **error)
{
	return each_binding (s, db_query (s->db, "SELECT " BINDING_COLUMNS " FROM placement p JOIN placement_binding b ON b.message = p.message"
	                                         " WHERE p.id = ?1 AND b.folder IN (SELECT folder FROM folder_binding) AND b.gone = 1 AND b.settled = 1", "i", placement), fn, data, error);
}

gboolean
store_each_copy (Store *s, gint64 gone, CopyFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT p.folder, MAX (IFNULL (b.remote_uid, 0), 0) FROM placement_binding g JOIN placement p ON p.message = g.message"
	                              " LEFT JOIN placement_binding b ON b.placement = p.id LEFT JOIN pending n ON n.placement = p.id"
	                              " WHERE g.placement = ?1 AND g.gone = 1 AND (b.placement IS NOT NULL OR n.placement IS NOT NULL)", "i", gone);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		if (!fn (data, db_int (q, 0), (guint32) db_int (q, 1)))
			break;
	db_reset (q);
	return r >= 0;
}

gboolean
store_highest_bound (Store *s, gint64 folder, guint32 *uid_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT MAX (remote_uid, 0) FROM placement_binding WHERE folder = ?1 ORDER BY remote_uid DESC LIMIT 1", "i", folder);
	int r = db_step (s->db, q, error);
	*uid_out = r > 0 ? (guint32) db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

/* Strings are borrowed from the statement. */
static KnownMessage
known_view (DbQuery *q)
{
	return (KnownMessage){db_int (q, 0), db_int (q, 1), db_int (q, 2), db_int (q, 3), (guint64) db_int (q, 4), (guint64) db_int (q, 5),
	                      (char *) db_text (q, 6), (guint32) db_int (q, 7), (guint) db_int (q, 8), (char *) db_text (q, 9), db_int (q, 10) != 0,
	                      db_int (q, 11) != 0, db_int (q, 12) != 0};
}

static gboolean
each_known (Store *s, DbQuery *q, KnownFn fn, gpointer data, gboolean *go_on, GError **error)
{
	int r = 0;
	while (*go_on && (r = db_step (s->db, q, error)) > 0) {
		KnownMessage m = known_view (q);
		*go_on = fn (data, &m);
	}
	if (!*go_on)
		db_reset (q);
	return r >= 0;
}

#define KNOWN_COLUMNS "b.placement, m.id, m.content, IFNULL (b.remote_received, m.received), IFNULL (b.remote_size, m.size), m.digest, m.message_id," \
	              " MAX (b.remote_uid, 0), b.flags, b.keywords, b.gone, 0, b.remote_uid < 0"
#define KNOWN_TABLES "placement_binding b LEFT JOIN placement p ON p.id = b.placement JOIN message m ON m.id = IFNULL (p.message, b.message)"

gboolean
store_each_known (Store *s, gint64 folder, KnownFn fn, gpointer data, GError **error)
{
	static const char bound[] = "SELECT " KNOWN_COLUMNS " FROM " KNOWN_TABLES " WHERE b.folder = ?1 ORDER BY b.remote_uid < 0, ABS (b.remote_uid)";
	static const char pending[] = "SELECT n.placement, m.id, m.content, m.received, m.size, m.digest, m.message_id, 0, IFNULL (p.flags, 0),"
	                              " p.keywords, n.message IS NOT NULL, 1, 0 FROM pending n LEFT JOIN placement p ON p.id = n.placement"
	                              " JOIN message m ON m.id = IFNULL (p.message, n.message) WHERE n.folder = ?1 ORDER BY n.placement";
	gboolean go_on = TRUE;
	return each_known (s, db_query (s->db, bound, "i", folder), fn, data, &go_on, error) &&
	       each_known (s, db_query (s->db, pending, "i", folder), fn, data, &go_on, error);
}

gboolean
store_each_like (Store *s, gint64 received, guint64 size, KnownFn fn, gpointer data, GError **error)
{
	gboolean go_on = TRUE;
	return each_known (s, db_query (s->db, "SELECT 0, id, content, received, size, digest, message_id, 0, 0, NULL, 0, 0, 0 FROM message"
	                                       " WHERE received = ?1 AND size = ?2 ORDER BY id", "ii", received, (gint64) size), fn, data, &go_on, error);
}

#define HAS_TWIN "EXISTS (SELECT 1 FROM message o WHERE o.received = IFNULL (b.remote_received, m.received) AND" \
                 " o.size = IFNULL (b.remote_size, m.size) AND o.content != m.content)"

gboolean
store_has_twin (Store *s, gint64 folder, guint32 uid, gboolean *twin_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT 1 FROM " KNOWN_TABLES " WHERE b.folder = ?1 AND b.remote_uid = ?2 AND " HAS_TWIN, "ii", folder, (gint64) uid);
	int r = db_step (s->db, q, error);
	*twin_out = r > 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_each_twin (Store *s, gint64 folder, PlacementIdFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT b.placement FROM " KNOWN_TABLES " WHERE b.folder = ?1 AND " HAS_TWIN, "i", folder);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		if (!fn (data, db_int (q, 0))) {
			db_reset (q);
			return TRUE;
		}
	return r == 0;
}

gboolean
store_known_by_uid (Store *s, gint64 folder, guint32 uid, KnownMessage *m, gboolean *found_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT " KNOWN_COLUMNS " FROM " KNOWN_TABLES " WHERE b.folder = ?1 AND b.remote_uid = ?2", "ii", folder,
	                       (gint64) uid);
	int r = db_step (s->db, q, error);
	*found_out = r > 0;
	if (r > 0) {
		*m = known_view (q);
		m->message_id = g_strdup (m->message_id);
		m->keywords = g_strdup (m->keywords);
	}
	db_reset (q);
	return r >= 0;
}

/* The lowest, the one in the middle, and from the top the 1st, 2nd, 4th .. 64th: wherever a restored backup ends, one of them is above. */
gboolean
store_canaries (Store *s, gint64 folder, UidSet *uids_out, GError **error)
{
	static const char *const sql[] = {
		"SELECT MIN (remote_uid) FROM placement_binding WHERE folder = ?1 AND remote_uid > 0",
		"SELECT MIN (remote_uid) FROM placement_binding WHERE folder = ?1 AND remote_uid >="
		" (SELECT (MIN (remote_uid) + MAX (remote_uid)) / 2 FROM placement_binding WHERE folder = ?1 AND remote_uid > 0)",
		"SELECT remote_uid FROM (SELECT remote_uid, ROW_NUMBER () OVER () AS n FROM (SELECT remote_uid FROM placement_binding WHERE folder = ?1 AND"
		" remote_uid > 0 ORDER BY remote_uid DESC LIMIT 64)) WHERE n IN (1, 2, 4, 8, 16, 32, 64)",
	};
	for (guint i = 0; i < G_N_ELEMENTS (sql); i++) {
		DbQuery *q = db_query (s->db, sql[i], "i", folder);
		int r;
		while ((r = db_step (s->db, q, error)) > 0)
			if (db_int (q, 0) > 0)
				uid_set_add (uids_out, (guint32) db_int (q, 0));
		if (r < 0)
			return FALSE;
	}
	return TRUE;
}

/* An awaited binding has its old UID below zero: the order is kept, and no UID of the home is ever equal to it. */
gboolean
store_await_all (Store *s, gint64 folder, GError **error)
{
	g_assert (store_in_transaction (s));
	/* those awaited before give way: their old UIDs may be the same numbers, also as those that gave way before, so all are put aside (above 2^40)
	 * before they are put further below */
	return db_run (s->db, "UPDATE placement_binding SET remote_uid = (1 << 60) - remote_uid WHERE folder = ?1 AND remote_uid < 0", error, "i", folder) &&
	       db_run (s->db, "UPDATE placement_binding SET remote_uid = (1 << 60) - remote_uid - (1 << 32) WHERE folder = ?1 AND remote_uid > (1 << 40)",
	               error, "i", folder) &&
	       db_run (s->db, "UPDATE placement_binding SET remote_uid = -remote_uid WHERE folder = ?1 AND remote_uid > 0", error, "i", folder);
}

gboolean
store_rebind (Store *s, gint64 placement, guint32 remote_uid, guint64 size, gint64 received, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE placement_binding AS b SET remote_uid = ?2, modseq = 0, (remote_size, remote_received) ="
	                      " (SELECT NULLIF (?3, m.size), NULLIF (?4, m.received) FROM message m WHERE m.id = IFNULL"
	                      " ((SELECT p.message FROM placement p WHERE p.id = b.placement), b.message)) WHERE placement = ?1", error, "iiii",
	               placement, (gint64) remote_uid, (gint64) size, received);
}

gboolean
store_awaited_removal (Store *s, gint64 folder, const guint8 *hash, gint64 *placement_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT b.placement FROM placement_binding b CROSS JOIN message m ON m.id = b.message WHERE b.folder = ?1 AND b.gone = 1"
	                              " AND b.remote_uid < 0 AND m.content = (SELECT id FROM content WHERE hash = ?2) ORDER BY b.remote_uid DESC LIMIT 1",
	                       "ib", folder, hash, (gsize) DIGEST_SIZE);
	int r = db_step (s->db, q, error);
	*placement_out = r > 0 ? db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_await_pending (Store *s, gint64 placement, gboolean *awaits_out, GError **error)
{
	g_assert (store_in_transaction (s));
	*awaits_out = db_number (s->db, "SELECT COUNT (*) FROM pending WHERE placement = ?1", 0, "i", placement) > 0;
	return !*awaits_out ||
	       (db_run (s->db, "INSERT INTO placement_binding (placement, folder, remote_uid, flags, keywords, gone, message) SELECT n.placement, n.folder,"
	                       " MIN (IFNULL ((SELECT MIN (b.remote_uid) FROM placement_binding b WHERE b.folder = n.folder), 0), 0) - 1,"
	                       " IFNULL (p.flags, 0), p.keywords, n.message IS NOT NULL, n.message FROM pending n LEFT JOIN placement p"
	                       " ON p.id = n.placement WHERE n.placement = ?1", error, "i", placement) &&
	        push_done (s, placement, error));
}

gboolean
store_count_awaited (Store *s, gint64 folder, guint *n_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT COUNT (*) FROM placement_binding WHERE folder = ?1 AND remote_uid < 0 AND gone = 0", "i", folder);
	int r = db_step (s->db, q, error);
	*n_out = r > 0 ? (guint) db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_expected_content (Store *s, gint64 folder, const guint8 *hash, gint64 *placement_out, GError **error)
{
	static const char sql[] = "SELECT p.id, b.remote_uid FROM content c JOIN message m ON m.content = c.id JOIN placement p ON p.message = m.id"
	                          " LEFT JOIN placement_binding b ON b.placement = p.id LEFT JOIN pending n ON n.placement = p.id"
	                          " WHERE c.hash = ?2 AND p.folder = ?1 AND (b.remote_uid < 0 OR n.placement IS NOT NULL)"
	                          " ORDER BY b.remote_uid IS NULL, b.remote_uid DESC, p.id LIMIT 1";
	DbQuery *q = db_query (s->db, sql, "ib", folder, hash, (gsize) DIGEST_SIZE);
	int r = db_step (s->db, q, error);
	*placement_out = r > 0 ? db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_bound_uids (Store *s, gint64 folder, UidSet *uids_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT remote_uid FROM placement_binding WHERE folder = ?1 AND remote_uid > 0 ORDER BY remote_uid", "i", folder);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		uid_set_add (uids_out, (guint32) db_int (q, 0));
	return r == 0;
}

gboolean
store_has_bound (Store *s, gint64 folder, gboolean *any_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT EXISTS (SELECT 1 FROM placement_binding WHERE folder = ?1 AND remote_uid > 0)", "i", folder);
	int r = db_step (s->db, q, error);
	if (r > 0) {
		*any_out = db_int (q, 0) != 0;
		r = db_step (s->db, q, error);
	}
	return r == 0;
}

gboolean
store_flag_changes (Store *s, gint64 folder, guint64 since, FlagChangeFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT " PLACEMENT_COLUMNS ", " BINDING_COLUMNS " FROM placement p JOIN placement_binding b ON b.placement = p.id"
	                              " WHERE p.folder = ?1 AND p.modseq > ?2 AND b.remote_uid > 0 AND " DIFFERS
	                              " ORDER BY p.modseq", "ii", folder, (gint64) since);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Placement here = placement_view (q);
		PlacementBinding base = binding_view (q, PLACEMENT_COLUMNS_N);
		if (!fn (data, &here, &base)) {
			db_reset (q);
			return TRUE;
		}
	}
	return r == 0;
}

/* ---- Pending placements ---- */

void
pending_free (Pending *p)
{
	if (!p)
		return;
	g_free (p->keywords);
	g_free (p);
}

static GPtrArray *
read_pendings (Store *s, DbQuery *q, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) pending_free);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Pending *p = g_new0 (Pending, 1);
		*p = (Pending){.placement = db_int (q, 0), .folder = db_int (q, 1), .origin = db_int (q, 2), .message = db_int (q, 3),
		               .moved = db_int (q, 4) != 0, .watermark = (guint32) db_int (q, 5), .watermark_validity = (guint32) db_int (q, 6),
		               .failures = (guint32) db_int (q, 7), .flags = (guint) db_int (q, 8), .keywords = db_dup (q, 9),
		               .origin_folder = db_int (q, 10), .origin_uid = (guint32) db_int (q, 11), .waits = db_int (q, 12) != 0};
		g_ptr_array_add (list, p);
	}
	return r == 0 ? g_steal_pointer (&list) : NULL;
}

#define PENDING_COLUMNS "n.placement, n.folder, IFNULL (n.origin, 0), IFNULL (p.message, n.message), n.moved, n.watermark, n.watermark_validity," \
                        " n.failures, IFNULL (p.flags, 0), p.keywords, IFNULL (b.folder, 0), MAX (IFNULL (b.remote_uid, 0), 0)," \
                        " EXISTS (SELECT 1 FROM pending o WHERE o.placement = n.origin AND o.message IS NOT NULL)"

GPtrArray *
store_pendings (Store *s, gint64 folder, GError **error)
{
	return read_pendings (s, db_query (s->db, "SELECT " PENDING_COLUMNS " FROM pending n JOIN placement p ON p.id = n.placement"
	                                          " LEFT JOIN placement_binding b ON b.placement = n.origin"
	                                          " WHERE ?1 = 0 OR n.folder = ?1 ORDER BY n.placement", "i", folder), error);
}

GPtrArray *
store_pendings_gone (Store *s, gint64 folder, GError **error)
{
	return read_pendings (s, db_query (s->db, "SELECT " PENDING_COLUMNS " FROM pending n LEFT JOIN placement p ON p.id = n.placement"
	                                          " LEFT JOIN placement_binding b ON b.placement = n.origin WHERE n.message IS NOT NULL AND"
	                                          " (?1 = 0 OR n.folder = ?1) ORDER BY n.placement", "i", folder), error);
}

/* What was moved on, or copied, from there comes from where that came from. */
gboolean
store_pending_never_came (Store *s, gint64 placement, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE pending SET (origin, moved) = (SELECT o.origin, pending.moved AND o.moved FROM pending o WHERE o.placement = ?1)"
	                      " WHERE origin = ?1", error, "i", placement) &&
	       store_drop_pending (s, placement, error);
}

gboolean
store_set_watermark (Store *s, gint64 folder, guint32 uidnext, guint32 uidvalidity, GError **error)
{
	/* what was sent to the folder as it was may be among what is awaited still; what was removed here is waited for by nobody */
	static const char sql[] = "UPDATE pending SET watermark = ?2, watermark_validity = ?3 WHERE folder = ?1 AND message IS NULL AND (watermark = 0 OR"
	                          " (watermark_validity != ?3 AND NOT EXISTS (SELECT 1 FROM placement_binding b WHERE b.folder = ?1 AND b.remote_uid < 0"
	                          " AND b.gone = 0)))";
	g_assert (store_in_transaction (s));
	return db_run (s->db, sql, error, "iii", folder, (gint64) uidnext, (gint64) uidvalidity);
}

gboolean
store_pending_failed (Store *s, gint64 placement, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE pending SET failures = failures + 1 WHERE placement = ?1", error, "i", placement);
}

gboolean
store_each_moved_from (Store *s, gint64 folder, KnownFn fn, gpointer data, GError **error)
{
	/* not what was sent where it was moved from: whether the home has it there is found out first */
	static const char sql[] = "SELECT n.origin, m.id, m.content, IFNULL (b.remote_received, m.received), IFNULL (b.remote_size, m.size), m.digest,"
	                          " m.message_id, IFNULL (b.remote_uid, 0), IFNULL (p.flags, 0), p.keywords, 1, 0, 0 FROM pending n LEFT JOIN placement p"
	                          " ON p.id = n.placement JOIN message m ON m.id = IFNULL (p.message, n.message) LEFT JOIN placement_binding b ON b.placement = n.origin WHERE n.moved = 1"
	                          " AND n.origin IS NOT NULL AND IFNULL (b.folder, 0) = ?1 AND IFNULL (b.remote_uid, 0) >= 0"
	                          " AND NOT EXISTS (SELECT 1 FROM pending o WHERE o.placement = n.origin) ORDER BY n.placement";
	gboolean go_on = TRUE;
	return each_known (s, db_query (s->db, sql, "i", folder), fn, data, &go_on, error);
}

static GArray *
folder_ids (Store *s, const char *sql, GError **error)
{
	g_autoptr (GArray) folders = g_array_new (FALSE, FALSE, sizeof (gint64));
	DbQuery *q = db_query (s->db, sql, "");
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		gint64 id = db_int (q, 0);
		g_array_append_val (folders, id);
	}
	return r == 0 ? g_steal_pointer (&folders) : NULL;
}

GArray *
store_folders_moved_from (Store *s, GError **error)
{
	return folder_ids (s, "SELECT b.folder FROM pending n JOIN placement_binding b ON b.placement = n.origin WHERE b.remote_uid > 0 UNION"
	                      " SELECT folder FROM placement_binding WHERE gone = 1 AND settled = 1 AND folder NOT IN (SELECT id FROM folder)", error);
}

GArray *
store_folders_to_open (Store *s, GError **error)
{
	return folder_ids (s, "SELECT DISTINCT n.folder FROM pending n JOIN folder_binding b ON b.folder = n.folder WHERE b.selectable = 0 AND n.message IS NULL", error);
}

gboolean
store_bind_astray (Store *s, const PlacementBinding *b, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "INSERT INTO placement_binding (placement, folder, remote_uid, flags, modseq, message, gone) SELECT ?1, ?2, ?3, IFNULL (p.flags, ?4)"
	                      " & ?4, 0, IFNULL (p.message, n.message), 1 FROM pending n LEFT JOIN placement p ON p.id = n.placement WHERE n.origin = ?1 AND"
	                      " n.moved = 1 LIMIT 1", error, "iiii",
	               b->placement, b->folder, (gint64) b->remote_uid, (gint64) b->flags);
}

gboolean
store_moved_placement (Store *s, gint64 origin, gint64 *placement_out, GError **error)
{
	/* it may have been moved on while it was being sent */
	static const char sql[] = "WITH RECURSIVE moves (placement, gone) AS (SELECT placement, message IS NOT NULL FROM pending WHERE origin = ?1 AND moved = 1"
	                          " UNION SELECT n.placement, n.message IS NOT NULL FROM moves m JOIN pending n ON n.origin = m.placement AND n.moved = 1"
	                          " WHERE m.gone) SELECT placement FROM moves WHERE NOT gone LIMIT 1";
	DbQuery *q = db_query (s->db, sql, "i", origin);
	int r = db_step (s->db, q, error);
	*placement_out = r > 0 ? db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_make_pending (Store *s, gint64 placement, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "INSERT OR REPLACE INTO pending (placement, folder) SELECT id, folder FROM placement WHERE id = ?1", error, "i",
	               placement);
}

gboolean
store_drop_pending (Store *s, gint64 placement, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "DELETE FROM pending WHERE placement = ?1", error, "i", placement);
}

static gboolean
count (Store *s, const char *sql, guint64 *n_out, GError **error)
{
	DbQuery *q = db_query (s->db, sql, "");
	int r = db_step (s->db, q, error);
	*n_out = r > 0 ? (guint64) db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_settle_pushed (Store *s, GError **error)
{
	g_assert (store_in_transaction (s));
	return store_flush (s, error) &&
	       db_run (s->db, "UPDATE folder_binding AS f SET pushed_modseq = d.changed_modseq FROM folder d WHERE d.id = f.folder"
	                      " AND f.pushed_modseq < d.changed_modseq AND NOT EXISTS (SELECT 1 FROM pending n WHERE n.folder = f.folder)"
	                      " AND NOT EXISTS (SELECT 1 FROM placement p JOIN placement_binding b ON b.placement = p.id WHERE p.folder = f.folder"
	                      " AND p.modseq > f.pushed_modseq AND " DIFFERS ")", error, "");
}

/* A move counts once, as an append; folders are counted by themselves (store_count_unpushed_folders). */
gboolean
store_count_unpushed (Store *s, guint64 *appends_out, guint64 *flags_out, guint64 *removals_out, GError **error)
{
	return count (s, "SELECT COUNT (*) FROM pending WHERE message IS NULL", appends_out, error) &&
	       /* CROSS: what changed since, by the index, and not all placements */
	       count (s, "SELECT COUNT (*) FROM folder_binding f CROSS JOIN placement p ON p.folder = f.folder AND p.modseq > f.pushed_modseq"
	                 " CROSS JOIN placement_binding b ON b.placement = p.id WHERE " DIFFERS,
	              flags_out, error) &&
	       count (s, "SELECT COUNT (*) FROM (SELECT placement FROM placement_binding WHERE gone = 1 AND remote_uid > 0 UNION ALL SELECT placement FROM pending"
	                 " WHERE message IS NOT NULL) WHERE placement NOT IN (SELECT origin FROM pending WHERE moved = 1 AND origin IS NOT NULL)",
	              removals_out, error);
}

gboolean
store_count_marked (Store *s, guint64 *n_out, GError **error)
{
	return count (s, "SELECT COUNT (*) FROM placement_binding WHERE gone = 1 AND settled = 1 AND flags & 8", n_out, error);
}

gboolean
store_count_unpushed_folders (Store *s, guint64 *folders_out, GError **error)
{
	return count (s, "SELECT (SELECT COUNT (*) FROM folder f LEFT JOIN folder_binding b ON b.folder = f.id WHERE f.local_only = 0 AND (b.folder IS NULL"
	                 " OR f.name != b.base_name OR IFNULL (f.parent, 0) != IFNULL (b.base_parent, 0))) + (SELECT COUNT (*) FROM folder_binding WHERE folder NOT IN"
	                 " (SELECT id FROM folder))", folders_out, error);
}
