/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for the user's decision, one open hold for a (folder, side, kind), and what was decided, for as long as it can be undone. */
#include "store-private.h"
#include <string.h>

void
hold_free (Hold *h)
{
	if (!h)
		return;
	g_free (h->side);
	g_free (h->kind);
	g_free (h->detail);
	g_free (h->path);
	g_free (h);
}

#define HOLD_COLUMNS "SELECT id, IFNULL (folder, 0), created, IFNULL (decided, 0), IFNULL (settled, 0), IFNULL (IIF (kind =" \
                     " 'rebind', (SELECT b.messages FROM folder_binding b WHERE b.folder = hold.folder), there), -1), side, kind, detail, messages," \
                     " decision FROM hold "

static Hold *
hold_of_row (DbQuery *q)
{
	Hold *h = g_new0 (Hold, 1);
	*h = (Hold){.id = db_int (q, 0), .folder = db_int (q, 1), .created = db_int (q, 2), .decided = db_int (q, 3), .settled = db_int (q, 4),
	            .there = db_int (q, 5), .here = -1, .side = db_dup (q, 6), .kind = db_dup (q, 7), .detail = db_dup (q, 8),
	            .messages = (guint) db_int (q, 9), .decision = (HoldDecision) CLAMP (db_int (q, 10), HOLD_WAITS, HOLD_UNDONE)};
	return h;
}

/* The folder's present path, or, when it is gone here, its last. */
static gboolean
find_folder (Store *s, Hold *h, GError **error)
{
	GError *e = NULL;
	g_autoptr (Folder) f = store_folder (s, h->folder, &e);
	if (f) {
		h->path = g_steal_pointer (&f->path);
		h->here = f->total;
		return TRUE;
	}
	if (!error_is (e, ERROR_NOT_FOUND)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_error_free (e);
	return store_folder_last_path (s, h->folder, &h->path, error);
}

static GPtrArray *
list_holds (Store *s, DbQuery *q, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) hold_free);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		g_ptr_array_add (list, hold_of_row (q));
	for (guint i = 0; r == 0 && i < list->len; i++)
		if (!find_folder (s, list->pdata[i], error))
			return NULL;
	return r == 0 ? g_steal_pointer (&list) : NULL;
}

GPtrArray *
store_holds (Store *s, GError **error)
{
	return list_holds (s, db_query (s->db, HOLD_COLUMNS "WHERE settled IS NULL ORDER BY id", ""), error);
}

GPtrArray *
store_decisions (Store *s, GError **error)
{
	return list_holds (s, db_query (s->db, HOLD_COLUMNS "WHERE decision IN (1, 2) ORDER BY decided DESC, id DESC", ""), error);
}

/* A decision was for the number that was shown: more removals than that ask again. */
gboolean
store_hold (Store *s, gint64 folder, const char *side, const char *kind, guint messages, gint64 there, const char *detail, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!db_run (s->db, "UPDATE hold SET decision = decision * (?4 <= messages), messages = ?4, there = NULLIF (?5, -1), detail = ?6"
	                    " WHERE folder IS NULLIF (?1, 0) AND side = ?2 AND kind = ?3 AND settled IS NULL", error, "issiis", folder, side, kind,
	             (gint64) messages, there, detail))
		return FALSE;
	return db_changes (s->db) > 0 ||
	       db_run (s->db, "INSERT INTO hold (folder, side, kind, messages, there, detail, created) VALUES (NULLIF (?1, 0), ?2, ?3, ?4, NULLIF (?5, -1),"
	                      " ?6, ?7)", error, "issiisi", folder, side, kind, (gint64) messages, there, detail,
	               (gint64) (g_get_real_time () / G_USEC_PER_SEC));
}

static gboolean
one_hold (Store *s, gint64 hold, GError **error)
{
	return db_changes (s->db) == 1 || error_fail (error, ERROR_NOT_FOUND, "there is no hold %" G_GINT64_FORMAT, hold);
}

gboolean
store_release_hold (Store *s, gint64 hold, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "DELETE FROM hold WHERE id = ?1 AND settled IS NULL", error, "i", hold) && one_hold (s, hold, error);
}

gboolean
store_settle_hold (Store *s, gint64 hold, HoldDecision decision, gint64 when, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE hold SET decision = ?2, decided = ?3 WHERE id = ?1 AND settled IS NULL", error, "iii", hold, (gint64) decision,
	               when) &&
	       one_hold (s, hold, error);
}

/* ---- The messages of a hold ---- */

static gboolean
is (const char *a, const char *b)
{
	return strcmp (a, b) == 0;
}

/* What the store tells by itself, as (placement, message) of folder ?1. */
#define REMOVED_HERE \
	"SELECT placement, message FROM placement_binding WHERE folder = ?1 AND gone = 1 AND settled = 0 AND message IS NOT NULL AND placement NOT IN" \
	" (SELECT origin FROM pending WHERE moved = 1 AND origin IS NOT NULL)"
#define BOUND "SELECT p.id AS placement, p.message FROM placement_binding b JOIN placement p ON p.id = b.placement WHERE b.folder = ?1"
#define AWAITED BOUND " AND b.remote_uid < 0"
#define NOTED "SELECT placement, message FROM hold_message WHERE hold = ?1"

#define INSERT_OF(messages) "INSERT INTO hold_message (placement, message, hold) SELECT placement, message, ?2 FROM (" messages ")"
#define LIST_OF(messages) \
	"SELECT t.placement, t.message, m.subject, m.sender FROM (" messages ") t LEFT JOIN message m ON m.id = t.message ORDER BY t.placement"

static gboolean
note_uids (Store *s, const Hold *h, const UidSet *uids, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (uids, &it, &uid))
		if (!db_run (s->db, "INSERT OR IGNORE INTO hold_message (hold, placement, message) SELECT ?1, p.id, p.message FROM placement_binding b"
		                    " JOIN placement p ON p.id = b.placement WHERE b.folder = ?2 AND b.remote_uid = ?3", error, "iii", h->id, h->folder,
		             (gint64) uid))
			return FALSE;
	return TRUE;
}

gboolean
store_note_held (Store *s, const Hold *h, const UidSet *uids, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!db_run (s->db, "DELETE FROM hold_message WHERE hold = ?1", error, "i", h->id))
		return FALSE;
	if (uids && is (h->side, "here"))
		return note_uids (s, h, uids, error);
	return db_run (s->db, is (h->side, "home") ? INSERT_OF (REMOVED_HERE) : is (h->kind, "rebind") ? INSERT_OF (AWAITED) : INSERT_OF (BOUND), error,
	               "ii", h->folder, h->id);
}

#define UNKNOWN_OF(messages) "SELECT COUNT (*) FROM (" messages ") WHERE placement NOT IN (SELECT placement FROM hold_message WHERE hold = ?2)"

gboolean
store_was_shown (Store *s, const Hold *h, const UidSet *uids, gboolean *shown_out, GError **error)
{
	static const char by_uid[] = "SELECT COUNT (*) FROM placement_binding WHERE folder = ?1 AND remote_uid = ?3 AND placement NOT IN"
	                             " (SELECT placement FROM hold_message WHERE hold = ?2)";
	gboolean each = uids && is (h->side, "here");
	UidIter it = {0};
	guint32 uid = 0;
	*shown_out = TRUE;
	while (*shown_out && (!each || uid_set_next (uids, &it, &uid))) {
		DbQuery *q = each ? db_query (s->db, by_uid, "iii", h->folder, h->id, (gint64) uid)
		                  : db_query (s->db, is (h->side, "home")     ? UNKNOWN_OF (REMOVED_HERE)
		                                     : is (h->kind, "rebind") ? UNKNOWN_OF (AWAITED)
		                                                              : UNKNOWN_OF (BOUND), "ii", h->folder, h->id);
		int r = db_step (s->db, q, error);
		*shown_out = r > 0 && db_int (q, 0) == 0;
		db_reset (q);
		if (r < 0)
			return FALSE;
		if (!each)
			break;
	}
	return TRUE;
}

gboolean
store_note_decision (Store *s, const Hold *h, const UidSet *uids, GError **error)
{
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	g_assert (store_in_transaction (s) && h->decision != HOLD_WAITS);
	return db_run (s->db, "DELETE FROM hold WHERE id = ?1", error, "i", h->id) &&
	       db_run (s->db, "INSERT INTO hold (id, folder, side, kind, messages, there, detail, created, decision, decided, settled, newest)"
	                      " SELECT ?1, ?2, ?3, ?4, ?5, NULLIF (?6, -1), ?7, ?8, ?9, ?10, ?11, IFNULL (MAX (id), 0) FROM placement", error,
	               "iissiisiiii", h->id, h->folder, h->side, h->kind, (gint64) h->messages, h->there, h->detail, h->created,
	               (gint64) h->decision, h->decided, now) &&
	       store_note_held (s, h, uids, error) &&
	       /* removed here long before: they can be restored as long as the decision can be undone */
	       db_run (s->db, "UPDATE removed SET removed = ?3 WHERE (folder = ?2 OR ?4) AND message IN (SELECT message FROM hold_message WHERE hold = ?1)",
	               error, "iiii", h->id, h->folder, now, (gint64) is (h->side, "home"));
}

gboolean
store_count_approved (Store *s, gint64 folder, guint *n_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT COUNT (*) FROM placement_binding b WHERE b.folder = ?1 AND b.gone = 1 AND b.settled = 0 AND b.placement IN (SELECT m.placement"
	                              " FROM hold h JOIN hold_message m ON m.hold = h.id WHERE h.folder = ?1 AND h.settled IS NOT NULL AND"
	                              " ((h.side = 'home' AND h.decision = 1) OR h.decision = 3))", "i", folder);
	int r = db_step (s->db, q, error);
	*n_out = r > 0 ? (guint) db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}

gboolean
store_each_held (Store *s, const Hold *h, HeldFn fn, gpointer data, GError **error)
{
	gboolean noted = h->settled || (is (h->side, "here") && is (h->kind, "deletion-guard"));
	DbQuery *q = db_query (s->db, noted                      ? LIST_OF (NOTED)
	                              : is (h->side, "home")   ? LIST_OF (REMOVED_HERE)
	                              : is (h->kind, "rebind") ? LIST_OF (AWAITED)
	                                                       : LIST_OF (BOUND), "i", noted ? h->id : h->folder);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		HeldMessage m = {db_int (q, 0), db_int (q, 1), db_text (q, 2), db_text (q, 3)};
		if (!fn (data, &m)) {
			db_reset (q);
			return TRUE;
		}
	}
	return r == 0;
}

gboolean
store_note_bound_anew (Store *s, gint64 folder, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE hold SET newest = -1 WHERE folder = ?1 AND settled IS NOT NULL AND side = 'here' AND decision = ?2", error, "ii", folder,
	               (gint64) HOLD_KEEP);
}

static gint64
folder_now (Store *s, const Hold *h)
{
	g_autoptr (Folder) f = h->here < 0 && h->path ? store_folder_by_path (s, h->path, NULL) : NULL;
	return f ? f->id : h->folder;
}

gboolean
store_forget_came_back (Store *s, GError **error)
{
	static const char sql[] = "DELETE FROM removed WHERE folder = ?1 AND message IN (SELECT k.id FROM hold_message n JOIN message k ON k.id = n.message"
	                          " JOIN message m ON m.content = k.content JOIN placement p ON p.message = m.id WHERE n.hold = ?3 AND p.folder = ?2"
	                          " AND p.id > (SELECT newest FROM hold WHERE id = ?3))";
	g_assert (store_in_transaction (s));
	g_autoptr (GPtrArray) decisions = store_decisions (s, error);
	for (guint i = 0; decisions && i < decisions->len; i++) {
		const Hold *h = decisions->pdata[i];
		gboolean fetched = h->settled && h->decision == HOLD_KEEP && is (h->side, "home");
		if (fetched && !db_run (s->db, sql, error, "iii", h->folder, folder_now (s, h), h->id))
			return FALSE;
	}
	return decisions != NULL;
}

/* ---- Undoing ---- */

/* What one decision's undoing does to one message. */
typedef struct {
	Store *s;
	const Hold *h;
	gint64 folder; /* that of its path now, if it was made again */
	GHashTable *back; /* placements that are accounted for */
	gboolean done;
} Undo;

static gboolean
take_held (gpointer data, const HeldMessage *m)
{
	HeldMessage plain = {m->placement, m->message, NULL, NULL};
	g_array_append_val ((GArray *) data, plain);
	return TRUE;
}

/* What came from home since the decision is another message with the same octets; a copy that was there before stays. */
#define CAME_SINCE "SELECT p.id FROM message k JOIN message m ON m.content = k.content JOIN placement p ON p.message = m.id WHERE k.id = ?1" \
                   " AND p.folder = ?2 AND p.id > (SELECT newest FROM hold WHERE id = ?3) ORDER BY p.id"

static void
account_for (Undo *u, gint64 placement)
{
	g_hash_table_add (u->back, g_memdup2 (&placement, sizeof placement));
}

/* The mail may have arrived at home after all: then it is not put here once more. */
static gboolean
find_back (Undo *u, const HeldMessage *m, GError **error)
{
	DbQuery *q = db_query (u->s->db, CAME_SINCE, "iii", m->message, u->folder, u->h->id);
	int r = 0;
	while (!u->done && (r = db_step (u->s->db, q, error)) > 0) {
		gint64 placement = db_int (q, 0);
		u->done = !g_hash_table_contains (u->back, &placement);
		if (u->done)
			account_for (u, placement);
	}
	if (u->done)
		db_reset (q);
	return u->done || r == 0;
}

/* Before the decision it may have been moved here, and removed where it came to. */
#define WAS_REMOVED "SELECT id FROM removed WHERE message = ?2 AND (folder = ?1 OR (?3 AND removed <= ?4)) ORDER BY folder != ?1, id DESC LIMIT 1"

/* Removed by the decision, or, by the user, before it. */
static gboolean
restore_one (Undo *u, const HeldMessage *m, GError **error)
{
	gint64 placement;
	if (!find_back (u, m, error) || u->done)
		return u->done;
	gint64 removed = db_number (u->s->db, WAS_REMOVED, 0, "iiii", u->h->folder, m->message, (gint64) is (u->h->side, "home"), u->h->settled);
	u->done = removed > 0;
	if (!removed)
		return TRUE;
	if (!store_undelete (u->s, removed, &placement, error))
		return FALSE;
	account_for (u, placement);
	return TRUE;
}

static gboolean
remove_one (Undo *u, const HeldMessage *m, GError **error)
{
	gint64 placement = db_number (u->s->db, CAME_SINCE " LIMIT 1", 0, "iii", m->message, u->folder, u->h->id);
	u->done = placement > 0;
	return !placement || store_remove (u->s, placement, "here", error);
}

/* The mail arrived after all beside what had been sent: that is @m's from now on, and what had been sent is removed at home. */
static gboolean
take_over (Undo *u, const HeldMessage *m, gint64 uid, GError **error)
{
	static const char sent[] = "UPDATE placement_binding SET placement = -placement, gone = 1, message = ?2 WHERE placement = ?1";
	static const char look_again[] = "UPDATE folder_binding SET pushed_modseq = 0 WHERE folder = ?1"; /* its flags may be others */
	PlacementBinding b;
	gboolean found;
	gint64 came = db_number (u->s->db, CAME_SINCE " LIMIT 1", 0, "iii", m->message, u->folder, u->h->id);
	if (!came || uid < 0 || g_hash_table_contains (u->back, &came))
		return TRUE;
	if (!store_binding_of (u->s, came, &b, &found, error))
		return FALSE;
	gint64 message = db_number (u->s->db, "SELECT message FROM placement WHERE id = ?1", 0, "i", came);
	account_for (u, came);
	u->done = found && b.remote_uid > 0 && !b.gone;
	b.placement = m->placement;
	gboolean ok = !u->done || (db_run (u->s->db, sent, error, "ii", m->placement, m->message) && store_remove (u->s, came, "home", error) &&
	                           store_forget_removed (u->s, message, error) && store_bind_placement (u->s, &b, error) &&
	                           db_run (u->s->db, look_again, error, "i", u->folder));
	if (found)
		placement_binding_done (&b);
	return ok;
}

/* The home's folder is not the one that it was sent to: what is bound may be the mail itself, which arrived meanwhile. */
static gboolean
was_bound_anew (const Undo *u)
{
	return db_number (u->s->db, "SELECT newest FROM hold WHERE id = ?1", 0, "i", u->h->id) < 0;
}

/* What was sent stays here, awaited as before; of what is at home already, a binding without a placement has it removed there. */
static gboolean
withhold_one (Undo *u, const HeldMessage *m, GError **error)
{
	static const char lowest[] = "UPDATE placement_binding AS b SET remote_uid = (SELECT MIN (MIN (o.remote_uid), 0) - 1 FROM placement_binding o"
	                             " WHERE o.folder = b.folder), modseq = 0 WHERE placement = ?1";
	static const char twin[] = "INSERT INTO placement_binding (placement, folder, remote_uid, flags, keywords, remote_size, gone, message,"
	                           " remote_received) SELECT -placement, folder, ?2, flags, keywords, remote_size, 1, ?3, remote_received"
	                           " FROM placement_binding WHERE placement = ?1";
	Db *db = u->s->db;
	if (was_bound_anew (u) || !db_number (db, "SELECT COUNT (*) FROM placement WHERE id = ?1 AND folder = ?2", 0, "ii", m->placement, u->folder))
		return TRUE;
	gint64 uid = db_number (db, "SELECT remote_uid FROM placement_binding WHERE placement = ?1", 0, "i", m->placement);
	if (uid == 0)
		return store_await_pending (u->s, m->placement, &u->done, error);
	if (db_number (db, "SELECT COUNT (*) FROM placement_binding WHERE placement = -?1", 0, "i", m->placement))
		return TRUE; /* undone once before, and the home has not heard of that yet */
	if (!take_over (u, m, uid, error) || u->done)
		return u->done;
	u->done = TRUE;
	return uid < 0 || (db_run (db, lowest, error, "i", m->placement) && db_run (db, twin, error, "iii", m->placement, uid, m->message));
}

static gboolean
undo_each (Undo *u, gboolean (*one) (Undo *, const HeldMessage *, GError **), guint *done_out, guint *missing_out, GError **error)
{
	g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (HeldMessage));
	if (!store_each_held (u->s, u->h, take_held, list, error))
		return FALSE;
	for (guint i = 0; i < list->len; i++) {
		u->done = FALSE;
		if (!one (u, &g_array_index (list, HeldMessage, i), error))
			return FALSE;
		*(u->done ? done_out : missing_out) += 1;
	}
	return TRUE;
}

static gboolean
note_asked (Undo *u, GError **error)
{
	static const char open[] = "SELECT id FROM hold WHERE folder = ?1 AND side = 'here' AND kind = 'rebind' AND settled IS NULL";
	Hold h = {.id = db_number (u->s->db, open, 0, "i", u->folder), .folder = u->folder, .side = (char *) "here", .kind = (char *) "rebind"};
	return store_note_held (u->s, &h, NULL, error);
}

/* The question stands again, and what was sent is to be removed at home without another one. */
static gboolean
ask_again (Undo *u, GError **error)
{
	guint n;
	if (!store_count_awaited (u->s, u->folder, &n, error))
		return FALSE;
	g_autofree char *detail = g_strdup_printf ("%u item(s) of folder '%s' are here, but not at the server: the decision to send them was undone",
	                                           n, u->h->path);
	return (n == 0 || (store_hold (u->s, u->folder, "here", "rebind", n, -1, detail, error) && note_asked (u, error))) &&
	       db_run (u->s->db, "UPDATE hold_message SET placement = -placement WHERE hold = ?1 AND placement > 0", error, "i", u->h->id) &&
	       db_run (u->s->db, "UPDATE hold SET decision = ?2, folder = ?3 WHERE id = ?1", error, "iii", u->h->id, (gint64) HOLD_UNDONE, u->folder);
}

gboolean
store_undo_decision (Store *s, gint64 hold, guint *done_out, guint *missing_out, GError **error)
{
	g_assert (store_in_transaction (s));
	*done_out = *missing_out = 0;
	g_autoptr (GPtrArray) found = list_holds (s, db_query (s->db, HOLD_COLUMNS "WHERE id = ?1 AND decision IN (1, 2)", "i", hold), error);
	if (!found)
		return FALSE;
	if (found->len == 0)
		return error_fail (error, ERROR_NOT_FOUND, "there is no decision %" G_GINT64_FORMAT " to undo", hold);
	const Hold *h = found->pdata[0];
	if (!h->settled)
		return store_settle_hold (s, hold, HOLD_WAITS, 0, error);
	g_autoptr (GHashTable) back = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	Undo u = {s, h, folder_now (s, h), back, FALSE};
	if (h->decision == HOLD_KEEP && is (h->side, "here"))
		return undo_each (&u, withhold_one, done_out, missing_out, error) && ask_again (&u, error);
	return undo_each (&u, h->decision == HOLD_APPLY ? restore_one : remove_one, done_out, missing_out, error) &&
	       db_run (s->db, "DELETE FROM hold WHERE id = ?1", error, "i", hold);
}
