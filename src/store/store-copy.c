/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections: `fence` to the source holds its write lock when nobody may write; `both` writes the copy, with the source attached as `src`, of which it sees what
 * is committed, and that is all there is while the lock is held. */
#include "store-copy.h"
#include "store-private.h"
#include <string.h>

struct StoreCopy {
	Store *fence;
	char *to;
	Db *both; /* NULL: the copy is not whole yet */
	GPtrArray *sums_from, *sums_to, *passes; /* of char *: SQL, by the schema that is there */
	gboolean fenced;
};

/* ---- Tables and columns ---- */

/* What is not compared. It follows from the contents, or is of the place and not of the mailbox; of contents nothing is read but the index of hashes, which are what
 * they are. All else of all tables is, whatever they are. */
static const char *const not_compared[] = {
	"meta.id", "meta.role", "meta.indexed_message", "meta.stored_octets", "content.size", "content.dictionary", "content.data", "content_chunk.data", "dictionary.data",
	"message.message_id", "message.subject", "message.sender", "message.recipients", "message.attachment", "message.digest", "message.structure", NULL,
};

/* Tables with rows of their own below. */
static const char *const big[] = {"meta", "content", "content_chunk", "message", "placement", "removal", "thread_key", NULL};

/* All but the search index's, and a backup's own. NULL with an error. */
static GPtrArray *
tables_of (Db *db, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);
	DbQuery *q = db_query (db, "SELECT name FROM src.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT IN ('fts', 'backup') AND"
	                           " name NOT LIKE 'fts\\_%' ESCAPE '\\' ORDER BY name", "");
	int row;
	while ((row = db_step (db, q, error)) > 0)
		g_ptr_array_add (all, db_dup (q, 0));
	return row < 0 ? NULL : g_steal_pointer (&all);
}

/* "a, b": those that are compared, or those of the key. NULL with an error. */
static char *
columns_of (Db *db, const char *table, gboolean key, GError **error)
{
	g_autoptr (GString) text = g_string_new (NULL);
	DbQuery *q = db_query (db, "SELECT name, pk FROM pragma_table_info (?1, 'src') ORDER BY pk, cid", "s", table);
	int row;
	while ((row = db_step (db, q, error)) > 0) {
		g_autofree char *whole = g_strconcat (table, ".", db_text (q, 0), NULL);
		if (key ? db_int (q, 1) > 0 : !g_strv_contains (not_compared, whole))
			g_string_append_printf (text, "%s%s", text->len ? ", " : "", db_text (q, 0));
	}
	return row < 0 ? NULL : g_string_free (g_steal_pointer (&text), FALSE);
}

/* ---- The sum of rows ---- */

static guint64
mix (guint64 h, guint64 word)
{
	h = (h ^ word) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
	return h ^ (h >> 32);
}

static guint64
mix_octets (guint64 h, const guint8 *octets, gsize size)
{
	for (gsize at = 0; at < size; at += sizeof (guint64)) {
		guint64 word = 0;
		memcpy (&word, octets + at, MIN (sizeof word, size - at));
		h = mix (h, word);
	}
	return mix (h, size);
}

static guint64
mix_value (guint64 h, sqlite3_value *v)
{
	int type = sqlite3_value_type (v);
	h = mix (h, (guint64) type);
	if (type == SQLITE_INTEGER)
		return mix (h, (guint64) sqlite3_value_int64 (v));
	const void *octets = type == SQLITE_NULL ? NULL : sqlite3_value_blob (v);
	return octets ? mix_octets (h, octets, (gsize) sqlite3_value_bytes (v)) : h;
}

/* rows_sum (value, ...): the sum of the rows' hashes. */
static void
sum_step (sqlite3_context *context, int n, sqlite3_value **values)
{
	guint64 *sum = sqlite3_aggregate_context (context, sizeof *sum), h = 0;
	for (int i = 0; i < n; i++)
		h = mix_value (h, values[i]);
	if (sum)
		*sum += mix (mix (h, 1), 2);
}

static void
sum_end (sqlite3_context *context)
{
	const guint64 *sum = sqlite3_aggregate_context (context, 0);
	sqlite3_result_int64 (context, sum ? (sqlite3_int64) *sum : 0);
}

static gboolean
read_sum (Db *db, const GPtrArray *queries, guint64 *sum_out, GError **error)
{
	*sum_out = 0;
	for (guint i = 0; i < queries->len; i++) {
		DbQuery *q = db_query (db, queries->pdata[i], "");
		int row = db_step (db, q, error);
		*sum_out += row > 0 ? (guint64) db_int (q, 0) : 0;
		db_reset (q);
		if (row <= 0)
			return FALSE;
	}
	return TRUE;
}

gboolean
store_copy_sums (StoreCopy *c, guint64 *from_out, guint64 *to_out, GError **error)
{
	return read_sum (c->both, c->sums_from, from_out, error) && read_sum (c->both, c->sums_to, to_out, error);
}

/* ---- Opening ---- */

static gboolean
check_same (StoreCopy *c, GError **error)
{
	gint64 same = db_number (c->both, "SELECT main.meta.mailbox_id = src.meta.mailbox_id FROM main.meta, src.meta", -1, "");
	if (same != 1)
		return same < 0 ? db_fail (c->both, "comparing", error) : error_fail (error, ERROR_CONFLICT, "%s is another mailbox's store", c->to);
	return db_number (c->both, "PRAGMA main.user_version", -1, "") == STORE_SCHEMA_VERSION ||
	       error_fail (error, ERROR_CONFLICT, "%s was made by another version: remove it, and begin again", c->to);
}

static gboolean read_schema (StoreCopy *c, GError **error);

static gboolean
attach (StoreCopy *c, const char *source, GError **error)
{
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
	return (sqlite3_create_function (db_handle (c->both), "rows_sum", -1, flags, NULL, NULL, sum_step, sum_end) == SQLITE_OK ||
	        db_fail (c->both, "preparing", error)) &&
	       db_exec (c->both, "PRAGMA foreign_keys=OFF", error) && db_run (c->both, "ATTACH ?1 AS src", error, "s", source);
}

static gboolean
open_both (StoreCopy *c, GError **error)
{
	c->both = db_open (c->to, FALSE, FALSE, error);
	return c->both && attach (c, store_path (c->fence), error) && check_same (c, error) && read_schema (c, error);
}

/* A role that is none of a home's. */
static gboolean
check_home (StoreCopy *c, GError **error)
{
	gint64 home = db_number (store_db (c->fence), "SELECT role IN ('home', 'moved') FROM meta", -1, "");
	if (home < 0)
		return db_fail (store_db (c->fence), "reading", error);
	return home || error_fail (error, ERROR_CONFLICT, "%s is an offline store, not a mailbox's home", store_path (c->fence));
}

static StoreCopy *
copy_new (const char *to)
{
	StoreCopy *c = g_new0 (StoreCopy, 1);
	c->to = g_strdup (to);
	c->sums_from = g_ptr_array_new_with_free_func (g_free);
	c->sums_to = g_ptr_array_new_with_free_func (g_free);
	c->passes = g_ptr_array_new_with_free_func (g_free);
	return c;
}

StoreCopy *
store_copy_new (const char *from, const char *to, GError **error)
{
	g_autoptr (StoreCopy) c = copy_new (to);
	c->fence = store_open (from, 0, error);
	if (!c->fence || !check_home (c, error) || (g_file_test (to, G_FILE_TEST_EXISTS) && !open_both (c, error)))
		return NULL;
	return g_steal_pointer (&c);
}

void
store_copy_free (StoreCopy *c)
{
	if (!c)
		return;
	store_copy_lift (c);
	db_close (c->both); /* before the texts of its statements go */
	store_close (c->fence);
	g_ptr_array_unref (c->sums_from);
	g_ptr_array_unref (c->sums_to);
	g_ptr_array_unref (c->passes);
	g_free (c->to);
	g_free (c);
}

/* ---- All of it ---- */

typedef struct {
	guint64 rate;
	Cancel *cancel;
	StoreCopied progress;
	gpointer data;
	gint64 since;
} Pace;

/* While it waits for the rate it goes on to tell, and can be stopped. */
static gboolean
keep_pace (gpointer data, guint64 octets, guint64 of, GError **error)
{
	const Pace *pace = data;
	gint64 due = pace->rate ? pace->since + (gint64) ((double) octets / (double) pace->rate * G_USEC_PER_SEC) : 0, left;
	do {
		if (pace->progress)
			pace->progress (pace->data, octets, of);
		if (!cancel_check (pace->cancel, error))
			return FALSE;
		left = due - g_get_monotonic_time ();
		if (left > 0)
			g_usleep ((gulong) MIN (left, G_USEC_PER_SEC / 4));
	} while (left > 0);
	return TRUE;
}

gboolean
store_copy_bulk (StoreCopy *c, guint64 rate, Cancel *cancel, StoreCopied progress, gpointer data, GError **error)
{
	Pace pace = {rate, cancel, progress, data, g_get_monotonic_time ()};
	return c->both || (db_copy (store_db (c->fence), c->to, keep_pace, &pace, error) && open_both (c, error));
}

/* ---- What was changed since ---- */

/* Contents of @of that @other has not: both by the index of hashes, which are what contents are, and in its order. "+": not by the id. */
#define CONTENTS_BEYOND(of, other)                                                                                                                   \
	"(SELECT one.id FROM " of ".content one WHERE NOT EXISTS (SELECT 1 FROM " other ".content two WHERE two.hash = one.hash AND +two.id = one.id))"

/* In this order, before the others. ?1: the number of the change sequence up to which the copy is. Comparisons read indexes alone. */
static const char *const big_passes[] = {
	"DELETE FROM main.content WHERE id IN " CONTENTS_BEYOND ("main", "src"),
	"DELETE FROM main.content_chunk WHERE content NOT IN (SELECT id FROM main.content)",
	"INSERT INTO main.content SELECT * FROM src.content WHERE id IN " CONTENTS_BEYOND ("src", "main"),
	"INSERT INTO main.content_chunk SELECT * FROM src.content_chunk c WHERE NOT EXISTS"
	" (SELECT 1 FROM main.content_chunk m WHERE m.content = c.content AND m.seq = c.seq)",
	"DELETE FROM main.message WHERE id IN (SELECT m.id FROM main.message m WHERE NOT EXISTS (SELECT 1 FROM src.message s WHERE s.id = m.id))",
	"INSERT OR REPLACE INTO main.message SELECT * FROM src.message WHERE id IN"
	" (SELECT s.id FROM src.message s WHERE NOT EXISTS (SELECT 1 FROM main.message m WHERE m.thread = s.thread AND m.id = s.id))",
	"DELETE FROM main.placement WHERE folder NOT IN (SELECT id FROM src.folder) OR"
	" (folder IN (SELECT folder FROM src.removal WHERE modseq > ?1) AND"
	"  NOT EXISTS (SELECT 1 FROM src.placement s WHERE s.folder = placement.folder AND s.uid = placement.uid))",
	"INSERT OR REPLACE INTO main.placement SELECT p.* FROM src.folder f JOIN src.placement p ON p.folder = f.id AND p.modseq > IIF (f.created_modseq > ?1, -1, ?1)"
	" WHERE f.changed_modseq > ?1 OR f.created_modseq > ?1",
	"INSERT OR IGNORE INTO main.removal SELECT * FROM src.removal WHERE modseq > ?1 OR folder IN (SELECT id FROM src.folder WHERE created_modseq > ?1)",
	"DELETE FROM main.thread_key WHERE key NOT IN (SELECT key FROM src.thread_key)",
	"INSERT OR REPLACE INTO main.thread_key SELECT s.* FROM src.thread_key s LEFT JOIN main.thread_key m USING (key) WHERE m.thread IS NOT s.thread",
};

/* Of a table that is small, or of which a home has nothing: all of it is compared. */
static gboolean
add_small_passes (StoreCopy *c, const char *table, GError **error)
{
	g_autofree char *key = columns_of (c->both, table, TRUE, error);
	if (!key || !*key)
		return key && error_fail (error, ERROR_CORRUPT, "the table %s of %s has no key", table, db_path (c->both));
	g_ptr_array_add (c->passes, g_strdup_printf ("DELETE FROM main.%s WHERE (%s) NOT IN (SELECT %s FROM src.%s)", table, key, key, table));
	g_ptr_array_add (c->passes, g_strdup_printf ("INSERT OR REPLACE INTO main.%s SELECT * FROM src.%s EXCEPT SELECT * FROM main.%s", table, table, table));
	return TRUE;
}

static gboolean
add_table (StoreCopy *c, const char *table, GError **error)
{
	g_autofree char *columns = columns_of (c->both, table, FALSE, error);
	if (!columns)
		return FALSE;
	g_ptr_array_add (c->sums_from, g_strdup_printf ("SELECT rows_sum ('%s', %s) FROM src.%s", table, columns, table));
	g_ptr_array_add (c->sums_to, g_strdup_printf ("SELECT rows_sum ('%s', %s) FROM main.%s", table, columns, table));
	if (strcmp (table, "meta") == 0)
		g_ptr_array_add (c->passes, g_strdup_printf ("UPDATE main.meta SET role = 'home', (%s, stored_octets) = (SELECT %s, stored_octets FROM src.meta)", columns, columns));
	return g_strv_contains (big, table) || add_small_passes (c, table, error);
}

static gboolean
read_schema (StoreCopy *c, GError **error)
{
	g_autoptr (GPtrArray) tables = tables_of (c->both, error);
	for (guint i = 0; i < G_N_ELEMENTS (big_passes); i++)
		g_ptr_array_add (c->passes, g_strdup (big_passes[i]));
	g_ptr_array_add (c->sums_from, g_strdup ("SELECT rows_sum (name, seq) FROM src.sqlite_sequence"));
	g_ptr_array_add (c->sums_to, g_strdup ("SELECT rows_sum (name, seq) FROM main.sqlite_sequence"));
	for (guint i = 0; tables && i < tables->len; i++)
		if (!add_table (c, tables->pdata[i], error))
			return FALSE;
	/* last: ids are never used again, also those of what is gone */
	g_ptr_array_add (c->passes, g_strdup ("DELETE FROM main.sqlite_sequence"));
	g_ptr_array_add (c->passes, g_strdup ("INSERT INTO main.sqlite_sequence SELECT * FROM src.sqlite_sequence"));
	return tables != NULL;
}

static gboolean
run_passes (StoreCopy *c, guint64 *rows_out, GError **error)
{
	gint64 since = db_number (c->both, "SELECT modseq FROM main.meta", -1, "");
	if (since < 0)
		return db_fail (c->both, "reading", error);
	int before = sqlite3_total_changes (db_handle (c->both));
	for (guint i = 0; i < c->passes->len; i++) {
		const char *sql = c->passes->pdata[i];
		DbQuery *q = strstr (sql, "?1") ? db_query (c->both, sql, "i", since) : db_query (c->both, sql, "");
		if (db_step (c->both, q, error) < 0)
			return FALSE;
	}
	*rows_out = (guint64) (sqlite3_total_changes (db_handle (c->both)) - before);
	return TRUE;
}

static gboolean
end_transaction (Db *db, gboolean ok, GError **error)
{
	ok = ok && db_run (db, "COMMIT", error, "");
	if (!ok)
		db_run (db, "ROLLBACK", NULL, "");
	return ok;
}

gboolean
store_copy_catch_up (StoreCopy *c, guint64 *rows_out, GError **error)
{
	/* not db_begin: that would take the source's write lock, too */
	if (!db_run (c->both, "BEGIN", error, ""))
		return FALSE;
	return end_transaction (c->both, run_passes (c, rows_out, error), error);
}

/* ---- A backup ---- */

static gint64
kept_sum (Db *db, gboolean *kept_out)
{
	*kept_out = db_number (db, "SELECT COUNT (*) FROM main.sqlite_schema WHERE name = 'backup'", 0, "") == 1 && db_number (db, "SELECT COUNT (*) FROM main.backup", 0, "") == 1;
	return *kept_out ? db_number (db, "SELECT sum FROM main.backup", 0, "") : 0;
}

static gboolean
keep_sum (Db *db, guint64 sum, GError **error)
{
	return db_exec (db, "CREATE TABLE IF NOT EXISTS main.backup (id INTEGER PRIMARY KEY CHECK (id = 1), sum INTEGER NOT NULL) STRICT", error) &&
	       db_run (db, "INSERT OR REPLACE INTO main.backup VALUES (1, ?1)", error, "i", (gint64) sum);
}

/* Of one moment of the source, since all is one transaction. */
static gboolean
level (StoreCopy *c, guint64 *rows_out, GError **error)
{
	guint64 from, to;
	gboolean kept;
	*rows_out = 0;
	if (!store_copy_sums (c, &from, &to, error))
		return FALSE;
	if (from == to && kept_sum (c->both, &kept) == (gint64) to && kept)
		return TRUE;
	return run_passes (c, rows_out, error) && store_copy_sums (c, &from, &to, error) &&
	       (from == to || error_fail (error, ERROR_CORRUPT, "the copy %s is not equal to %s", c->to, store_path (c->fence))) && keep_sum (c->both, to, error);
}

gboolean
store_copy_level (StoreCopy *c, guint64 *rows_out, GError **error)
{
	return db_run (c->both, "BEGIN", error, "") && end_transaction (c->both, level (c, rows_out, error), error);
}

static gboolean
sum_is_kept (const StoreCopy *c, GError **error)
{
	guint64 now;
	gboolean kept;
	gint64 then = kept_sum (c->both, &kept);
	if (!kept)
		return error_fail (error, ERROR_CORRUPT, "%s is no whole backup of a mailbox", c->to);
	return read_sum (c->both, c->sums_to, &now, error) && ((gint64) now == then || error_fail (error, ERROR_CORRUPT, "the backup %s is damaged: its sum is not what it was", c->to));
}

gboolean
store_copy_check_sum (const char *path, GError **error)
{
	g_autoptr (StoreCopy) c = copy_new (path);
	c->both = db_open (path, TRUE, FALSE, error);
	/* attached once more, to have the same queries */
	return c->both && attach (c, path, error) && read_schema (c, error) && sum_is_kept (c, error);
}

/* ---- The fence ---- */

gboolean
store_copy_fence (StoreCopy *c, GError **error)
{
	c->fenced = c->fenced || db_begin (store_db (c->fence), error);
	return c->fenced;
}

void
store_copy_lift (StoreCopy *c)
{
	if (c->fenced)
		db_rollback (store_db (c->fence));
	c->fenced = FALSE;
}

gboolean
store_copy_settle (StoreCopy *c, GError **error)
{
	g_autofree char *log = g_strconcat (c->to, "-wal", NULL);
	gboolean ok = db_exec (c->both, "PRAGMA main.wal_checkpoint(TRUNCATE)", error);
	g_clear_pointer (&c->both, db_close); /* the last one takes the log with it */
	return ok && (!g_file_test (log, G_FILE_TEST_EXISTS) || error_fail (error, ERROR_CONFLICT, "somebody has the copy %s open", c->to));
}

static gboolean
seal (Db *db, GError **error)
{
	gboolean ok = db_run (db, "UPDATE meta SET role = 'moved'", error, "") && db_commit (db, error);
	db_rollback (db);
	return ok;
}

gboolean
store_copy_seal (StoreCopy *c, GError **error)
{
	g_assert (c->fenced);
	c->fenced = FALSE;
	return seal (store_db (c->fence), error);
}

gboolean
store_seal (const char *path, GError **error)
{
	g_autoptr (Store) s = store_open (path, 0, error);
	return s && db_begin (store_db (s), error) && seal (store_db (s), error);
}

gboolean
store_is_sealed (const char *path, gboolean *sealed_out, GError **error)
{
	g_autoptr (Store) s = store_open (path, STORE_READ_ONLY, error);
	gint64 sealed = s ? db_number (store_db (s), "SELECT role = 'moved' FROM meta", -1, "") : -1;
	*sealed_out = sealed == 1;
	return sealed >= 0 || (s && db_fail (store_db (s), "reading", error));
}

gboolean
store_unseal (const char *path, GError **error)
{
	g_autoptr (Store) s = store_open (path, 0, error);
	gboolean ok = s && db_begin (store_db (s), error) && db_run (store_db (s), "UPDATE meta SET role = 'home' WHERE role = 'moved'", error, "") &&
	              db_commit (store_db (s), error);
	if (s)
		db_rollback (store_db (s));
	return ok;
}
