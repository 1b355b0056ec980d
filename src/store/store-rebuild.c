/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a store's file anew from what can still be read of it, when pages are damaged that no index can be made from again. A fresh store
 * grows in a file beside; table by table is copied, where damage stops that, row by row around it. Then SQLite's backup puts the fresh
 * store's pages in the place of the old ones as one transaction of the damaged file, so that other processes may have it open meanwhile and
 * a death at any moment leaves either the one or the other. What rows refer to and is lost, store_check mends afterwards. */
#include "store-private.h"
#include "schema.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROWS_A_PAGE 200 /* at most, where the highest row can't be asked for */
#define BUSY_TRIES 300
#define BUSY_WAIT 100 /* ms */

typedef struct {
	Store *s;
	char *path;      /* of the fresh store */
	sqlite3 *old;    /* the store's own connection */
	sqlite3 *fresh;
	Cancel *cancel;
	guint damaged;   /* tables that could not be copied as a whole */
} Rebuild;

static gboolean
failed (const Rebuild *r, sqlite3 *db, const char *doing, GError **error)
{
	int code = sqlite3_errcode (db);
	return error_fail (error, code == SQLITE_FULL ? ERROR_NO_SPACE : code == SQLITE_BUSY ? ERROR_TEMPORARY : ERROR_IO,
	                   "writing the store %s anew failed while %s: %s", r->s->path, doing, sqlite3_errmsg (db));
}

/* The fresh store and the log of putting it in place. */
static gboolean
has_room (const Rebuild *r, GError **error)
{
	struct statvfs fs;
	guint64 needed = 2 * store_file_octets (r->s);
	return statvfs (r->s->path, &fs) != 0 || (guint64) fs.f_bavail * fs.f_frsize >= needed ||
	       error_fail (error, ERROR_NO_SPACE, "to mend damaged pages, the store needs %" G_GUINT64_FORMAT " MB of free disk for a moment: make room"
	                   " and try again", needed / 1000000);
}

static gboolean
run (const Rebuild *r, const char *sql, GError **error)
{
	return sqlite3_exec (r->fresh, sql, NULL, NULL, NULL) == SQLITE_OK || failed (r, r->fresh, "making a fresh one", error);
}

static gboolean
make_fresh (Rebuild *r, GError **error)
{
	g_autofree char *pragmas = g_strdup_printf ("PRAGMA application_id=%d; PRAGMA user_version=%d;", STORE_APPLICATION_ID, STORE_SCHEMA_VERSION);
	unlink (r->path);
	int fd = open (r->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno (error, errno, "creating %s", r->path);
	close (fd);
	if (sqlite3_open_v2 (r->path, &r->fresh, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return failed (r, r->fresh, "making a fresh one", error);
	return run (r, "PRAGMA page_size=16384; PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY;", error) && run (r, schema_text, error) &&
	       run (r, pragmas, error);
}

/* ---- Copying ---- */

static gint64
ask_number (sqlite3 *db, const char *sql, gint64 otherwise)
{
	sqlite3_stmt *q;
	gint64 n = otherwise;
	if (sqlite3_prepare_v2 (db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step (q) == SQLITE_ROW)
		n = sqlite3_column_int64 (q, 0);
	sqlite3_finalize (q);
	return n;
}

typedef struct {
	const Rebuild *r;
	sqlite3_stmt *from, *to;
	gint64 first, last; /* row numbers; some are below zero */
} Copy;

/* What a damaged page reads as may not fit the table: such rows are left out. */
static gboolean
copy_row (Copy *c, int first, GError **error)
{
	for (int i = first; i < sqlite3_column_count (c->from); i++)
		sqlite3_bind_value (c->to, i - first + 1, sqlite3_column_value (c->from, i));
	int code = sqlite3_step (c->to);
	sqlite3_reset (c->to);
	return code == SQLITE_DONE || (code & 0xff) == SQLITE_CONSTRAINT || (code & 0xff) == SQLITE_MISMATCH ||
	       failed (c->r, c->r->fresh, "copying", error);
}

/* Rows until the end or the first that can't be read. *row is the last one read. */
static gboolean
copy_run (Copy *c, gint64 *row, gboolean *end_out, GError **error)
{
	int code;
	sqlite3_bind_int64 (c->from, 1, *row);
	while ((code = sqlite3_step (c->from)) == SQLITE_ROW) {
		*row = sqlite3_column_int64 (c->from, 0);
		if (!copy_row (c, 1, error) || !cancel_check (c->r->cancel, error)) {
			sqlite3_reset (c->from);
			return FALSE;
		}
	}
	sqlite3_reset (c->from);
	*end_out = code == SQLITE_DONE;
	return *end_out || (code & 0xff) == SQLITE_CORRUPT || failed (c->r, c->r->old, "reading", error);
}

/* A run breaks off at damage; it is tried anew behind each following row number, until one is beyond the damage. */
static gboolean
copy_numbered (Copy *c, gboolean *whole_out, GError **error)
{
	gint64 row = c->first - 1;
	for (;;) {
		gboolean end;
		if (!copy_run (c, &row, &end, error))
			return FALSE;
		if (end)
			return TRUE;
		*whole_out = FALSE;
		if (++row > c->last)
			return TRUE;
	}
}

static gboolean
copy_to_damage (Copy *c, gboolean *whole_out, GError **error)
{
	int code;
	while ((code = sqlite3_step (c->from)) == SQLITE_ROW)
		if (!copy_row (c, 0, error))
			return FALSE;
	*whole_out = code == SQLITE_DONE;
	return code == SQLITE_DONE || (code & 0xff) == SQLITE_CORRUPT || failed (c->r, c->r->old, "reading", error);
}

static gboolean
prepare (Copy *c, char *from, char *to, GError **error)
{
	gboolean ok = (sqlite3_prepare_v2 (c->r->old, from, -1, &c->from, NULL) == SQLITE_OK || failed (c->r, c->r->old, "reading", error)) &&
	              (sqlite3_prepare_v2 (c->r->fresh, to, -1, &c->to, NULL) == SQLITE_OK || failed (c->r, c->r->fresh, "copying", error));
	g_free (from);
	g_free (to);
	return ok;
}

static void
copy_done (Copy *c)
{
	sqlite3_finalize (c->from);
	sqlite3_finalize (c->to);
	c->from = c->to = NULL;
}

typedef struct {
	char *name, *columns, *marks, *key_up, *key_down; /* key: of tables without row numbers */
} Table;

static void
table_done (gpointer table)
{
	Table *t = table;
	g_free (t->name);
	g_free (t->columns);
	g_free (t->marks);
	g_free (t->key_up);
	g_free (t->key_down);
}

static gboolean
copy_table (Rebuild *r, const Table *t, GError **error)
{
	Copy c = {.r = r};
	gboolean whole = TRUE, ok = TRUE;
	for (int pass = 0; ok && pass < 2; pass++) {
		char *from = !t->key_up ? g_strdup_printf ("SELECT rowid, %s FROM \"%s\" WHERE rowid > ?1 ORDER BY rowid", t->columns, t->name)
		                        : g_strdup_printf ("SELECT %s FROM \"%s\" ORDER BY %s", t->columns, t->name, pass ? t->key_down : t->key_up);
		g_autofree char *highest = g_strdup_printf ("SELECT MAX (rowid) FROM \"%s\"", t->name);
		g_autofree char *lowest = g_strdup_printf ("SELECT MIN (rowid) FROM \"%s\"", t->name);
		c.first = t->key_up ? 0 : MIN (ask_number (r->old, lowest, 1), 1);
		c.last = t->key_up ? 0 : ask_number (r->old, highest, ROWS_A_PAGE * ask_number (r->old, "PRAGMA page_count", 0));
		ok = prepare (&c, from, g_strdup_printf ("INSERT OR IGNORE INTO \"%s\" (%s) VALUES (%s)", t->name, t->columns, t->marks), error) &&
		     (t->key_up ? copy_to_damage (&c, &whole, error) : copy_numbered (&c, &whole, error));
		copy_done (&c);
		if (whole || !t->key_up)
			break; /* else once more from the other end */
	}
	r->damaged += !whole;
	return ok;
}

static gboolean
list_tables (const Rebuild *r, GArray *tables, GError **error)
{
	static const char sql[] = "SELECT t.name, group_concat (c.name), group_concat ('?' || (c.cid + 1)), CASE WHEN t.sql LIKE '%WITHOUT ROWID%' THEN"
	                          " (SELECT group_concat (k.name || ' ASC') FROM (SELECT name FROM pragma_table_info (t.name) WHERE pk > 0 ORDER BY pk) k) END,"
	                          " (SELECT group_concat (k.name || ' DESC') FROM (SELECT name FROM pragma_table_info (t.name) WHERE pk > 0 ORDER BY pk) k)"
	                          " FROM sqlite_schema t JOIN pragma_table_info (t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND"
	                          " t.name NOT LIKE 'fts%' GROUP BY t.name";
	sqlite3_stmt *q;
	int code = sqlite3_prepare_v2 (r->fresh, sql, -1, &q, NULL);
	while (code == SQLITE_OK && sqlite3_step (q) == SQLITE_ROW) {
		char *fields[5];
		for (int i = 0; i < 5; i++)
			fields[i] = g_strdup ((const char *) sqlite3_column_text (q, i));
		Table t = {fields[0], fields[1], fields[2], fields[3], fields[4]};
		g_array_append_val (tables, t);
	}
	code = sqlite3_finalize (q);
	return (code == SQLITE_OK && tables->len) || failed (r, r->fresh, "copying", error);
}

/* Ids that were given out stay so: AUTOINCREMENT's numbers. Lost ones are made up for by store_check. */
static gboolean
copy_sequence (const Rebuild *r, GError **error)
{
	Copy c = {.r = r};
	gboolean ok = prepare (&c, g_strdup ("SELECT name, seq FROM sqlite_sequence"),
	                       g_strdup ("UPDATE sqlite_sequence SET seq = MAX (seq, ?2) WHERE name = ?1"), error);
	while (ok && sqlite3_step (c.from) == SQLITE_ROW)
		ok = copy_row (&c, 0, error);
	copy_done (&c);
	return ok;
}

static gboolean
fill_fresh (Rebuild *r, GError **error)
{
	g_autoptr (GArray) tables = g_array_new (FALSE, FALSE, sizeof (Table));
	g_array_set_clear_func (tables, table_done);
	gboolean ok = run (r, "BEGIN", error) && list_tables (r, tables, error);
	for (guint i = 0; ok && i < tables->len; i++)
		ok = copy_table (r, &g_array_index (tables, Table, i), error);
	/* The full-text index begins anew. */
	return ok && copy_sequence (r, error) && run (r, "UPDATE meta SET indexed_message = 0", error) && run (r, "COMMIT", error);
}

/* ---- Putting it in place ---- */

static gboolean
put_in_place (const Rebuild *r, GError **error)
{
	sqlite3_backup *b = sqlite3_backup_init (r->old, "main", r->fresh, "main");
	int code = b ? SQLITE_BUSY : SQLITE_ERROR;
	for (int i = 0; b && i < BUSY_TRIES && (code == SQLITE_BUSY || code == SQLITE_LOCKED); i++) {
		code = sqlite3_backup_step (b, -1);
		if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
			sqlite3_sleep (BUSY_WAIT);
	}
	sqlite3_backup_finish (b);
	return code == SQLITE_DONE || failed (r, r->old, "putting it in place", error);
}

gboolean
store_rebuild (Store *s, Cancel *cancel, guint *damaged_out, GError **error)
{
	g_assert (!store_in_transaction (s) && !s->reading);
	Rebuild r = {.s = s, .path = g_strconcat (s->path, ".rebuild", NULL), .old = db_handle (s->db), .cancel = cancel};
	gboolean ok = has_room (&r, error) && make_fresh (&r, error) && fill_fresh (&r, error) && put_in_place (&r, error);
	sqlite3_close (r.fresh);
	unlink (r.path);
	content_forget (s);
	*damaged_out = r.damaged;
	g_free (r.path);
	return ok;
}
