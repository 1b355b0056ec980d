/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for the user's decision: one hold for a (folder, side, kind). */
#include "store-private.h"

void
hold_free (Hold *h)
{
	if (!h)
		return;
	g_free (h->side);
	g_free (h->kind);
	g_free (h->detail);
	g_free (h);
}

GPtrArray *
store_holds (Store *s, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) hold_free);
	DbQuery *q = db_query (s->db, "SELECT id, IFNULL (folder, 0), created, side, kind, detail, messages, decision FROM hold ORDER BY id", "");
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Hold *h = g_new0 (Hold, 1);
		*h = (Hold){db_int (q, 0), db_int (q, 1), db_int (q, 2), db_dup (q, 3), db_dup (q, 4), db_dup (q, 5), (guint) db_int (q, 6),
		            (HoldDecision) db_int (q, 7)};
		g_ptr_array_add (list, h);
	}
	return r == 0 ? g_steal_pointer (&list) : NULL;
}

/* A decision was for the number that was shown: more removals than that ask again. */
gboolean
store_hold (Store *s, gint64 folder, const char *side, const char *kind, guint messages, const char *detail, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!db_run (s->db, "UPDATE hold SET decision = decision * (?4 <= messages), messages = ?4, detail = ?5"
	                    " WHERE folder IS NULLIF (?1, 0) AND side = ?2 AND kind = ?3", error, "issis", folder, side, kind, (gint64) messages,
	             detail))
		return FALSE;
	return db_changes (s->db) > 0 ||
	       db_run (s->db, "INSERT INTO hold (folder, side, kind, messages, detail, created) VALUES (NULLIF (?1, 0), ?2, ?3, ?4, ?5, ?6)", error,
	               "issisi", folder, side, kind, (gint64) messages, detail, (gint64) (g_get_real_time () / G_USEC_PER_SEC));
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
	return db_run (s->db, "DELETE FROM hold WHERE id = ?1", error, "i", hold) && one_hold (s, hold, error);
}

gboolean
store_settle_hold (Store *s, gint64 hold, HoldDecision decision, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE hold SET decision = ?2 WHERE id = ?1", error, "ii", hold, (gint64) decision) && one_hold (s, hold, error);
}
