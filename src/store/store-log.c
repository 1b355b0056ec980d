/* SPDX-License-Identifier: Apache-2.0 */
/* The synchronisation log: the last RUNS_KEPT runs and their lines. */
#include "store-private.h"

#define RUNS_KEPT 200

void
run_free (Run *r)
{
	if (!r)
		return;
	g_free (r->result);
	g_free (r->error);
	g_free (r->facts);
	g_free (r);
}

gboolean
store_run_begin (Store *s, gint64 now, gint64 *run_out, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!db_run (s->db, "INSERT INTO run (started) VALUES (?1)", error, "i", now))
		return FALSE;
	*run_out = db_last_id (s->db);
	return db_run (s->db, "DELETE FROM run WHERE id <= ?1", error, "i", *run_out - RUNS_KEPT);
}

gboolean
store_run_line (Store *s, gint64 run, gint64 time, gboolean detail, const char *text, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "INSERT INTO run_line SELECT ?1, IFNULL (MAX (seq), 0) + 1, ?2, ?3, ?4 FROM run_line WHERE run = ?1", error, "iiIs",
	               run, time, detail != 0, text);
}

gboolean
store_run_end (Store *s, gint64 run, gint64 now, const char *result, const char *err, const char *facts, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!db_run (s->db, "UPDATE run SET ended = ?2, result = ?3, error = ?4, facts = ?5 WHERE id = ?1", error, "iisss", run, now, result, err,
	             facts))
		return FALSE;
	return db_changes (s->db) == 1 || error_fail (error, ERROR_NOT_FOUND, "there is no run %" G_GINT64_FORMAT " in the log", run);
}

gboolean
store_run_repeat (Store *s, gint64 now, const char *result, const char *err, guint lines, const char *facts, gboolean *repeated_out,
                  GError **error)
{
	g_assert (store_in_transaction (s));
	gboolean ok = db_run (s->db, "UPDATE run SET ended = ?1, facts = ?5 WHERE id = (SELECT MAX (id) FROM run) AND result = ?2 AND error IS ?3"
	                             " AND (SELECT COUNT (*) FROM run_line l WHERE l.run = run.id) = ?4", error, "issis", now, result, err,
	                      (gint64) lines, facts);
	*repeated_out = ok && db_changes (s->db) > 0;
	return ok;
}

GPtrArray *
store_runs (Store *s, guint limit, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) run_free);
	DbQuery *q = db_query (s->db, "SELECT id, started, ended, result, error, facts FROM run ORDER BY id DESC LIMIT ?1", "i",
	                       limit ? (gint64) limit : (gint64) -1);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Run *run = g_new0 (Run, 1);
		*run = (Run){db_int (q, 0), db_int (q, 1), db_int (q, 2), db_dup (q, 3), db_dup (q, 4), db_dup (q, 5)};
		g_ptr_array_add (list, run);
	}
	return r == 0 ? g_steal_pointer (&list) : NULL;
}

gboolean
store_run_lines (Store *s, gint64 run, RunLineFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT time, detail, text FROM run_line WHERE run = ?1 ORDER BY seq", "i", run);
	int r;
	while ((r = db_step (s->db, q, error)) > 0)
		fn (data, db_int (q, 0), db_int (q, 1) != 0, db_text (q, 2));
	return r == 0;
}
