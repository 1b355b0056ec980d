/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a store smaller. Every step is a transaction of its own and leaves a whole store, so that it may be stopped or killed anywhere.
 * Others may read and write in between; only the last step, the rewriting of the file, keeps writers waiting. */
#include "store-private.h"
#include <sys/statvfs.h>

#define RECOMPRESS_AT_ONCE 500
#define REWRITE_SHARE 50 /* fewer than one free page of so many is not worth it */

/* ---- Contents stored before the dictionary was trained ---- */

typedef struct {
	gint64 id;
	guint64 size;
} Old;

static gboolean
old_contents (Store *s, gint64 after, GArray *list, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT id, size FROM content WHERE id > ?1 AND dictionary = 0 AND data IS NOT NULL ORDER BY id LIMIT ?2", "iI", after,
	                       RECOMPRESS_AT_ONCE);
	int r;
	g_array_set_size (list, 0);
	while ((r = db_step (s->db, q, error)) > 0) {
		Old old = {db_int (q, 0), (guint64) db_int (q, 1)};
		g_array_append_val (list, old);
	}
	return r == 0;
}

static gboolean
recompress_some (Store *s, const GArray *list, GError **error)
{
	if (!store_begin (s, error))
		return FALSE;
	for (guint i = 0; i < list->len; i++) {
		const Old *old = &g_array_index (list, Old, i);
		if (!content_recompress (s, old->id, old->size, error))
			return FALSE;
	}
	return store_commit (s, error);
}

static gboolean
recompress (Store *s, GError **error)
{
	g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (Old));
	gint64 last = 0;
	if (!db_number (s->db, "SELECT MAX (id) FROM dictionary", 0, ""))
		return TRUE;
	do {
		if (!old_contents (s, last, list, error) || (list->len && !recompress_some (s, list, error)))
			return FALSE;
		last = list->len ? g_array_index (list, Old, list->len - 1).id : last;
	} while (list->len);
	return TRUE;
}

/* ---- The full-text index: many small segments become one ---- */

static gboolean
merge_index (Store *s, GError **error)
{
	int before;
	do {
		before = sqlite3_total_changes (db_handle (s->db));
		if (!store_begin (s, error) || !db_run (s->db, "INSERT INTO fts (fts, rank) VALUES ('merge', -500)", error, "") ||
		    !store_commit (s, error))
			return FALSE;
	} while (sqlite3_total_changes (db_handle (s->db)) - before >= 2); /* fts5.html section 6.8 */
	return TRUE;
}

/* ---- The file ---- */

static gboolean
rewrite_file (Store *s, GError **error)
{
	struct statvfs fs;
	gint64 pages = db_number (s->db, "PRAGMA page_count", 0, ""), free = db_number (s->db, "PRAGMA freelist_count", 0, "");
	gint64 size = db_number (s->db, "PRAGMA page_size", 0, "");
	if (free * REWRITE_SHARE < pages)
		return TRUE;
	/* once in the temporary file, once in the log beside the store */
	if (statvfs (s->path, &fs) == 0 && (gint64) (fs.f_bavail * fs.f_frsize) < 2 * (pages - free) * size)
		return error_fail (error, ERROR_NO_SPACE, "to give back %" G_GINT64_FORMAT " MB, the store needs %" G_GINT64_FORMAT " MB of free disk for a"
		                   " moment: make room and try again", free * size / 1000000, 2 * (pages - free) * size / 1000000);
	gboolean ok = db_exec (s->db, "PRAGMA temp_store=FILE; VACUUM", error);
	db_exec (s->db, "PRAGMA temp_store=MEMORY", NULL);
	return ok;
}

gboolean
store_compact (Store *s, guint64 *before_out, guint64 *after_out, GError **error)
{
	g_assert (!store_in_transaction (s) && !s->reading);
	*before_out = *after_out = store_file_octets (s);
	gboolean ok = store_begin (s, error) && store_sweep (s, 0, NULL, error) && content_sweep (s, error) && store_commit (s, error) &&
	              recompress (s, error) && merge_index (s, error);
	store_rollback (s);
	ok = ok && rewrite_file (s, error);
	db_exec (s->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
	*after_out = store_file_octets (s);
	return ok;
}
