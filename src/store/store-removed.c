/* SPDX-License-Identifier: Apache-2.0 */
/* Removed messages that can still be restored, and the end of those that can't. */
#include "store-private.h"

void
removed_message_free (RemovedMessage *r)
{
	if (!r)
		return;
	g_free (r->folder_path);
	g_free (r->subject);
	g_free (r->sender);
	g_free (r->cause);
	g_free (r);
}

GPtrArray *
store_removed_messages (Store *s, guint limit, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) removed_message_free);
	DbQuery *q = db_query (s->db, "SELECT r.id, r.message, r.removed, r.folder_path, m.subject, m.sender, r.cause FROM removed r"
	                              " JOIN message m ON m.id = r.message ORDER BY r.id DESC LIMIT ?1", "i", limit ? (gint64) limit : (gint64) -1);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		RemovedMessage *m = g_new0 (RemovedMessage, 1);
		*m = (RemovedMessage){db_int (q, 0), db_int (q, 1), db_int (q, 2), db_dup (q, 3), db_dup (q, 4), db_dup (q, 5), db_dup (q, 6)};
		g_ptr_array_add (list, m);
	}
	return r == 0 ? g_steal_pointer (&list) : NULL;
}

gboolean
store_has_removed_of (Store *s, const char *path, gboolean *any_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT 1 FROM removed WHERE folder_path = ?1", "s", path);
	int r = db_step (s->db, q, error);
	*any_out = r > 0;
	db_reset (q);
	return r >= 0;
}

/* The folder it was in; when that is gone, the one of its path now, made again if need be. */
static gboolean
folder_to_restore (Store *s, gint64 folder, const char *path, gint64 *folder_out, GError **error)
{
	*folder_out = db_number (s->db, "SELECT id FROM folder WHERE id = ?1", 0, "i", folder);
	if (*folder_out)
		return TRUE;
	g_autoptr (GError) e = NULL;
	g_autoptr (Folder) f = store_folder_by_path (s, path, &e);
	if (f)
		*folder_out = f->id;
	else if (!error_is (e, ERROR_NOT_FOUND))
		g_propagate_error (error, g_steal_pointer (&e));
	else
		return store_folder_create_path (s, path, folder_out, error);
	return f != NULL;
}

/* A placement of @message whose removal the home has not heard of, in @folder if there is one; 0: none. */
static gint64
unsent_removal (Store *s, gint64 folder, gint64 message, gint64 *folder_out)
{
	gint64 gone = db_number (s->db, "SELECT placement FROM placement_binding WHERE message = ?2 AND gone = 1 AND sent = 0 AND remote_uid > 0"
	                                " AND (folder = ?1 OR (placement > 0 AND settled = 0)) AND placement NOT IN (SELECT origin FROM pending WHERE origin IS NOT NULL)"
	                                " ORDER BY folder != ?1 LIMIT 1", 0, "ii", folder, message);
	*folder_out = gone ? db_number (s->db, "SELECT folder FROM placement_binding WHERE placement = ?1", 0, "i", gone) : 0;
	return gone;
}

gboolean
store_undelete (Store *s, gint64 removed, gint64 *placement_out, GError **error)
{
	g_assert (store_in_transaction (s));
	DbQuery *q = db_query (s->db, "SELECT message, folder, folder_path, flags, keywords FROM removed WHERE id = ?1", "i", removed);
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_NOT_FOUND, "there is no removed message %" G_GINT64_FORMAT, removed);
	if (r <= 0)
		return FALSE;
	gint64 message = db_int (q, 0), old = db_int (q, 1), folder;
	guint flags = (guint) db_int (q, 3) & ~(guint) FLAG_DELETED;
	g_autofree char *path = db_dup (q, 2), *keywords = db_dup (q, 4);
	db_reset (q);
	if (!folder_to_restore (s, old, path, &folder, error))
		return FALSE;
	/* a removal that the home has not heard of is taken back: the message is still there, and must not be sent again; from another folder it moves.
	 * Without one it may still be there, moved by somebody: then it goes on from where it is. */
	gint64 gone_folder, gone = unsent_removal (s, folder, message, &gone_folder);
	gboolean back = gone && gone_folder == folder;
	gint64 placement;
	if (!store_place (s, folder, message, flags, keywords, !back, gone, &placement, error))
		return FALSE;
	if (placement_out)
		*placement_out = placement;
	return (!back || db_run (s->db, "UPDATE placement_binding SET placement = ?2, gone = 0, message = NULL, settled = 0 WHERE placement = ?1", error, "ii", gone,
	                         placement)) &&
	       (back || db_run (s->db, "UPDATE pending SET moved = 1, origin = IFNULL (origin, -placement) WHERE placement = ?1", error, "i", placement)) &&
	       db_run (s->db, "DELETE FROM removed WHERE id = ?1", error, "i", removed);
}

gboolean
store_sweep (Store *s, gint64 before, guint64 *messages_out, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!db_run (s->db, "DELETE FROM removed WHERE removed < ?1", error, "i", before) ||
	    !db_run (s->db, "DELETE FROM hold WHERE settled < ?1", error, "i", before) ||
	    !db_run (s->db, "DELETE FROM message WHERE NOT EXISTS (SELECT 1 FROM placement p WHERE p.message = message.id)"
	                    " AND NOT EXISTS (SELECT 1 FROM removed r WHERE r.message = message.id)"
	                    " AND id NOT IN (SELECT b.message FROM placement_binding b WHERE b.gone = 1 AND b.message IS NOT NULL)"
	                    " AND id NOT IN (SELECT n.message FROM pending n WHERE n.message IS NOT NULL)"
	                    " AND id NOT IN (SELECT message FROM hold_message)", error, ""))
		return FALSE;
	guint64 n = db_changes (s->db);
	if (messages_out)
		*messages_out = n;
	return n == 0 || content_sweep (s, error);
}

/* ---- Changes that go on with a message ---- */

void
lost_change_clear (LostChange *c)
{
	g_clear_pointer (&c->base_keywords, g_free);
	g_clear_pointer (&c->keywords, g_free);
}

gboolean
store_take_lost_change (Store *s, gint64 message, LostChange *change_out, gboolean *found_out, GError **error)
{
	g_assert (store_in_transaction (s));
	DbQuery *q = db_query (s->db, "SELECT id, base_flags, base_keywords, flags, keywords FROM removed WHERE message = ?1 AND base_flags IS NOT NULL"
	                              " ORDER BY id DESC LIMIT 1", "i", message);
	int r = db_step (s->db, q, error);
	*found_out = r > 0;
	if (r <= 0)
		return r == 0;
	gint64 id = db_int (q, 0);
	*change_out = (LostChange){(guint) db_int (q, 1), (guint) db_int (q, 3), db_dup (q, 2), db_dup (q, 4)};
	db_reset (q);
	return db_run (s->db, "UPDATE removed SET base_flags = NULL, base_keywords = NULL WHERE id = ?1", error, "i", id);
}

gboolean
store_keep_changes_of (Store *s, gint64 folder, GError **error)
{
	/* \Deleted is what it was removed by */
	static const char sql[] = "UPDATE removed SET base_flags = b.flags, base_keywords = b.keywords, flags = (removed.flags & ~8) | (b.flags & 8)"
	                          " FROM placement_binding b WHERE b.folder = ?1 AND b.gone = 1 AND removed.folder = ?1 AND removed.message = b.message"
	                          " AND removed.cause = 'here' AND ((removed.flags & ~8) != (b.flags & ~8) OR removed.keywords IS NOT b.keywords)";
	g_assert (store_in_transaction (s));
	return db_run (s->db, sql, error, "i", folder);
}

gboolean
store_forget_removed (Store *s, gint64 message, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "DELETE FROM removed WHERE id = (SELECT MAX (id) FROM removed WHERE message = ?1)", error, "i", message);
}
