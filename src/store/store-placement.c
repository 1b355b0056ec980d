/* SPDX-License-Identifier: Apache-2.0 */
/* Placements: where messages lie. Every change takes the next modseq; counts are kept in the folder's delta. */
#include "store-private.h"
#include <string.h>

void
placement_done (Placement *p)
{
	g_clear_pointer (&p->keywords, g_free);
}

void
placement_free (Placement *p)
{
	if (!p)
		return;
	placement_done (p);
	g_free (p);
}

Placement
placement_view (DbQuery *q)
{
	return (Placement){db_int (q, 0), db_int (q, 1), db_int (q, 3), (guint32) db_int (q, 2), (guint) db_int (q, 4), (char *) db_text (q, 5),
	                   (guint64) db_int (q, 6), db_int (q, 7)};
}

static Placement *
one_placement (Store *s, DbQuery *q, GError **error)
{
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_NOT_FOUND, "the message is no longer in the folder");
	if (r <= 0)
		return NULL;
	Placement view = placement_view (q);
	Placement *p = g_memdup2 (&view, sizeof view);
	p->keywords = g_strdup (view.keywords);
	db_reset (q);
	return p;
}

Placement *
store_placement (Store *s, gint64 id, GError **error)
{
	return one_placement (s, db_query (s->db, "SELECT " PLACEMENT_COLUMNS " FROM placement p WHERE p.id = ?1", "i", id), error);
}

Placement *
store_placement_by_uid (Store *s, gint64 folder, guint32 uid, GError **error)
{
	return one_placement (s, db_query (s->db, "SELECT " PLACEMENT_COLUMNS " FROM placement p WHERE p.folder = ?1 AND p.uid = ?2", "ii", folder,
	                                   (gint64) uid), error);
}

static gint64
size_of (Store *s, gint64 message)
{
	return db_number (s->db, "SELECT size FROM message WHERE id = ?1", 0, "i", message);
}

gboolean
store_place (Store *s, gint64 folder, gint64 message, guint flags, const char *keywords, gboolean pending, gint64 origin,
             gint64 *placement_out, GError **error)
{
	g_assert (store_in_transaction (s));
	guint32 uid = store_take_uid (s, folder, error);
	if (!uid)
		return FALSE;
	FolderDelta *d = store_delta (s, folder);
	gint64 modseq = (gint64) store_next_modseq (s);
	if (!db_run (s->db, "INSERT INTO placement (folder, uid, message, flags, keywords, modseq, saved) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", error, "iiiisii",
	             folder, (gint64) uid, message, (gint64) flags, keywords, modseq, (gint64) (g_get_real_time () / G_USEC_PER_SEC)))
		return FALSE;
	gint64 id = db_last_id (s->db);
	if (placement_out)
		*placement_out = id;
	d->total++;
	d->octets += size_of (s, message);
	d->unread += !(flags & FLAG_SEEN);
	d->changed_modseq = modseq;
	return !pending || s->home || db_run (s->db, "INSERT INTO pending (placement, folder, origin) VALUES (?1, ?2, NULLIF (?3, 0))", error, "iii", id, folder,
	                           origin);
}

gboolean
store_set_flags (Store *s, gint64 placement, guint flags, const char *keywords, GError **error)
{
	g_assert (store_in_transaction (s));
	g_autoptr (Placement) p = store_placement (s, placement, error);
	if (!p)
		return FALSE;
	if (p->flags == flags && keywords_equal (p->keywords, keywords))
		return TRUE;
	FolderDelta *d = store_delta (s, p->folder);
	gint64 modseq = (gint64) store_next_modseq (s);
	d->unread += !(flags & FLAG_SEEN) - !(p->flags & FLAG_SEEN);
	d->changed_modseq = modseq;
	d->changed = TRUE;
	return db_run (s->db, "UPDATE placement SET flags = ?2, keywords = ?3, modseq = ?4 WHERE id = ?1", error, "iisi", placement, (gint64) flags,
	               keywords, modseq);
}

static gboolean
remove_row (Store *s, const Placement *p, GError **error)
{
	FolderDelta *d = store_delta (s, p->folder);
	d->total--;
	d->octets -= size_of (s, p->message);
	d->unread -= !(p->flags & FLAG_SEEN);
	d->changed_modseq = (gint64) store_next_modseq (s);
	d->changed = TRUE;
	uid_set_add (&d->removed, p->uid);
	return db_run (s->db, "DELETE FROM placement WHERE id = ?1", error, "i", p->id);
}

static gboolean
keep_removed (Store *s, const Placement *p, const char *cause, GError **error)
{
	const char *path = store_folder_path (s, p->folder, error);
	return path && db_run (s->db, "INSERT INTO removed (message, folder, folder_path, flags, keywords, removed, cause, base_flags, base_keywords)"
	                              " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, b.flags, b.keywords FROM (SELECT 1) LEFT JOIN placement_binding b"
	                              " ON b.placement = ?8 AND ?7 = 'home' AND (b.flags != ?4 OR b.keywords IS NOT ?5)", error, "iisisisi",
	                       p->message, p->folder, path, (gint64) p->flags, p->keywords, (gint64) (g_get_real_time () / G_USEC_PER_SEC), cause,
	                       p->id);
}

/* What may be on its way to the home is not forgotten: it is to be removed there, if it arrives. */
static gboolean
mark_gone (Store *s, const Placement *p, GError **error)
{
	return db_run (s->db, "UPDATE placement_binding SET gone = 1, message = ?2 WHERE placement = ?1", error, "ii", p->id, p->message) &&
	       db_run (s->db, "UPDATE pending SET message = ?2 WHERE placement = ?1 AND watermark > 0", error, "ii", p->id, p->message) &&
	       db_run (s->db, "DELETE FROM pending WHERE placement = ?1 AND watermark = 0", error, "i", p->id);
}

gboolean
store_remove (Store *s, gint64 placement, const char *cause, GError **error)
{
	gboolean here = strcmp (cause, "here") == 0;
	g_assert (store_in_transaction (s) && (here || strcmp (cause, "home") == 0));
	g_autoptr (Placement) p = store_placement (s, placement, error);
	return p && keep_removed (s, p, cause, error) && remove_row (s, p, error) &&
	       (here ? mark_gone (s, p, error) : store_unbind_placement (s, placement, error) && store_drop_pending (s, placement, error));
}

/* Where the home can take the moved message from. Moved again before the first move was sent, it keeps the first origin. */
static gboolean
origin_of (Store *s, gint64 placement, gint64 *origin_out, gboolean *moved_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT placement, 1 FROM placement_binding WHERE placement = ?1 UNION ALL"
	                              " SELECT IIF (watermark > 0, placement, IFNULL (origin, 0)), watermark > 0 OR moved FROM pending WHERE placement = ?1 LIMIT 1", "i", placement);
	int r = db_step (s->db, q, error);
	*origin_out = r > 0 ? db_int (q, 0) : 0;
	*moved_out = r > 0 && db_int (q, 1) && *origin_out;
	db_reset (q);
	return r >= 0;
}

/* Moved back before the home heard of it: what it has there is this placement's again. *back_out. */
static gboolean
move_back (Store *s, const Placement *p, gint64 folder, gint64 origin, gint64 *placement_out, gboolean *back_out, GError **error)
{
	gint64 id;
	*back_out = db_number (s->db, "SELECT COUNT (*) FROM placement_binding WHERE placement = ?1 AND folder = ?2 AND gone = 1 AND sent = 0 AND remote_uid > 0"
	                              " AND (SELECT COUNT (*) FROM pending WHERE origin = ?1) = 1", 0, "ii", origin, folder) > 0;
	if (!*back_out)
		return TRUE;
	if (!store_place (s, folder, p->message, p->flags, p->keywords, FALSE, 0, &id, error))
		return FALSE;
	if (placement_out)
		*placement_out = id;
	return remove_row (s, p, error) && store_drop_pending (s, p->id, error) &&
	       db_run (s->db, "UPDATE placement_binding SET placement = ?2, gone = 0, message = NULL, settled = 0 WHERE placement = ?1", error, "ii", origin, id);
}

gboolean
store_move (Store *s, gint64 placement, gint64 folder, gint64 *placement_out, GError **error)
{
	g_assert (store_in_transaction (s));
	g_autoptr (Placement) p = store_placement (s, placement, error);
	gint64 origin, id;
	gboolean moved, back = FALSE;
	if (!p || !origin_of (s, placement, &origin, &moved, error) || (moved && !move_back (s, p, folder, origin, placement_out, &back, error)))
		return FALSE;
	if (back)
		return TRUE;
	if (!store_place (s, folder, p->message, p->flags, p->keywords, TRUE, origin, &id, error))
		return FALSE;
	if (placement_out)
		*placement_out = id;
	return remove_row (s, p, error) && db_run (s->db, "UPDATE pending SET moved = ?2 WHERE placement = ?1", error, "iI", id, moved) &&
	       mark_gone (s, p, error);
}

static gboolean
each (Store *s, DbQuery *q, PlacementFn fn, gpointer data, GError **error)
{
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Placement p = placement_view (q);
		if (!fn (data, &p)) {
			db_reset (q);
			return TRUE;
		}
	}
	return r == 0;
}

gboolean
store_each_placement (Store *s, gint64 folder, guint64 since, PlacementFn fn, gpointer data, GError **error)
{
	if (since == 0)
		return each (s, db_query (s->db, "SELECT " PLACEMENT_COLUMNS " FROM placement p WHERE p.folder = ?1 ORDER BY p.uid", "i", folder), fn,
		             data, error);
	return each (s, db_query (s->db, "SELECT " PLACEMENT_COLUMNS " FROM placement p WHERE p.folder = ?1 AND p.modseq > ?2 ORDER BY p.modseq",
	                          "ii", folder, (gint64) since), fn, data, error);
}

gboolean
store_removed_uids (Store *s, gint64 folder, guint64 since, UidSet *uids_out, GError **error)
{
	if (!store_flush_for_reading (s, error))
		return FALSE;
	DbQuery *q = db_query (s->db, "SELECT lo, hi FROM removal WHERE folder = ?1 AND modseq > ?2", "ii", folder, (gint64) since);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		uid_set_add_range (uids_out, (guint32) db_int (q, 0), (guint32) db_int (q, 1));
	return r == 0;
}

GPtrArray *
store_placements_of (Store *s, gint64 message, GError **error)
{
	GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) placement_free);
	DbQuery *q = db_query (s->db, "SELECT " PLACEMENT_COLUMNS " FROM placement p WHERE p.message = ?1 ORDER BY p.id", "i", message);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Placement view = placement_view (q);
		Placement *p = g_memdup2 (&view, sizeof view);
		p->keywords = g_strdup (view.keywords);
		g_ptr_array_add (list, p);
	}
	if (r == 0)
		return list;
	g_ptr_array_unref (list);
	return NULL;
}

Listing
listing_view (DbQuery *q)
{
	gsize n;
	Listing l = {.placement = placement_view (q)};
	l.message = (Message){.id = l.placement.message, .content = db_int (q, 8), .received = db_int (q, 9), .zone = (int) db_int (q, 10),
	                      .size = (guint64) db_int (q, 11), .sent = db_int (q, 12), .has_sent = !db_is_null (q, 12),
	                      .message_id = (char *) db_text (q, 13), .subject = (char *) db_text (q, 14), .sender = (char *) db_text (q, 15),
	                      .recipients = (char *) db_text (q, 16), .attachment = db_int (q, 17) != 0, .thread = db_int (q, 18)};
	const void *id = db_blob (q, 19, &n);
	memcpy (l.message.object_id.bytes, id, MIN (n, (gsize) ID_SIZE));
	return l;
}

gboolean
store_list (Store *s, gint64 folder, guint limit, ListingFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT " LISTING_COLUMNS " FROM placement p JOIN message m ON m.id = p.message WHERE p.folder = ?1"
	                              " ORDER BY m.received DESC, p.uid DESC LIMIT ?2", "ii", folder, limit ? (gint64) limit : (gint64) -1);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Listing l = listing_view (q);
		if (!fn (data, &l)) {
			db_reset (q);
			return TRUE;
		}
	}
	return r == 0;
}

static const char *const range_queries[] = {
	[LISTING_PLACEMENT] = "SELECT " PLACEMENT_COLUMNS " FROM placement p WHERE p.folder = ?1 AND p.uid BETWEEN ?2 AND ?3 ORDER BY p.uid",
	[LISTING_MESSAGE] = "SELECT " LISTING_COLUMNS " FROM placement p JOIN message m ON m.id = p.message WHERE p.folder = ?1"
	                    " AND p.uid BETWEEN ?2 AND ?3 ORDER BY p.uid",
	[LISTING_STRUCTURE] = "SELECT " LISTING_COLUMNS ", m.structure FROM placement p JOIN message m ON m.id = p.message WHERE p.folder = ?1"
	                      " AND p.uid BETWEEN ?2 AND ?3 ORDER BY p.uid",
};

gboolean
store_list_range (Store *s, gint64 folder, guint32 lo, guint32 hi, ListingDepth depth, ListingFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, range_queries[depth], "iii", folder, (gint64) lo, (gint64) hi);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Listing l = depth == LISTING_PLACEMENT ? (Listing){.placement = placement_view (q)} : listing_view (q);
		g_autoptr (GBytes) structure = NULL;
		if (depth == LISTING_STRUCTURE) {
			gsize n;
			const void *octets = db_blob (q, 20, &n);
			l.message.structure = structure = g_bytes_new (octets, n);
		}
		if (!fn (data, &l)) {
			db_reset (q);
			return TRUE;
		}
	}
	return r == 0;
}

gboolean
store_uids (Store *s, gint64 folder, UidSet *uids_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT uid FROM placement WHERE folder = ?1 ORDER BY uid", "i", folder);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		uid_set_add (uids_out, (guint32) db_int (q, 0));
	return r == 0;
}

gboolean
store_thread_uids (Store *s, gint64 folder, gint64 thread, UidSet *uids_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT p.uid FROM message m JOIN placement p ON p.message = m.id WHERE m.thread = ?2 AND p.folder = ?1 ORDER BY p.uid", "ii",
	                       folder, thread);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		uid_set_add (uids_out, (guint32) db_int (q, 0));
	return r == 0;
}

gboolean
store_folder_keywords (Store *s, gint64 folder, guint64 since, GHashTable *words, GError **error)
{
	DbQuery *q = since ? db_query (s->db, "SELECT keywords FROM placement WHERE folder = ?1 AND modseq > ?2 AND keywords IS NOT NULL", "ii",
	                               folder, (gint64) since)
	                   : db_query (s->db, "SELECT keywords FROM placement WHERE folder = ?1 AND keywords IS NOT NULL", "i", folder);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		const char *text = db_text (q, 0);
		if (!g_hash_table_contains (words, text))
			g_hash_table_add (words, g_strdup (text));
	}
	return r == 0;
}
