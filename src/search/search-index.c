/* SPDX-License-Identifier: Apache-2.0 */
/* The index follows the messages in the order of their ids, behind the mark. A batch is read and taken apart without any lock; only
 * then it is written, with the new mark, in one short transaction. If the mark was moved meanwhile (another process indexes, or the
 * index was emptied), the batch is dropped. Ids are given in the order of commits, so nothing can appear behind the mark later. */
#include "search-private.h"

/* A transaction holds the store for some 50 ms, and a batch takes some 100 ms to read. */
#define BATCH_MESSAGES 400u
#define BATCH_OCTETS (2u << 20) /* of words */
#define BATCH_TIME (G_USEC_PER_SEC / 4)

typedef struct {
	GArray *ids;     /* gint64, ascending */
	GPtrArray *docs; /* of Doc, NULL for a message that is gone */
	gsize octets;
} Batch;

static void
batch_init (Batch *b)
{
	b->ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	b->docs = g_ptr_array_new_with_free_func ((GDestroyNotify) doc_free);
	b->octets = 0;
}

static void
batch_done (Batch *b)
{
	g_array_unref (b->ids);
	g_ptr_array_unref (b->docs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Batch, batch_done)

static gboolean
list_ids (Store *s, gint64 above, GArray *ids, GError **error)
{
	DbQuery *q = db_query (store_db (s), "SELECT id FROM message WHERE id > ?1 ORDER BY id LIMIT ?2", "iI", above, (int) BATCH_MESSAGES);
	int r;
	while ((r = db_step (store_db (s), q, error)) > 0) {
		gint64 id = db_int (q, 0);
		g_array_append_val (ids, id);
	}
	return r == 0;
}

static gboolean
read_one (Store *s, Batch *b, gint64 id, GError **error)
{
	g_autoptr (GError) e = NULL;
	g_autoptr (Message) m = store_message (s, id, &e);
	Doc *d = m ? doc_read (s, m, &e) : NULL;
	if (!d && !error_is (e, ERROR_NOT_FOUND)) {
		g_propagate_error (error, g_steal_pointer (&e));
		return FALSE;
	}
	for (int i = 0; d && i < N_COLUMNS; i++) {
		short_append (d->columns[i]);
		b->octets += d->columns[i]->len;
	}
	g_ptr_array_add (b->docs, d);
	return TRUE;
}

/* Ids above @above with their words, as many as make a batch. */
static gboolean
batch_read (Batch *b, Store *s, gint64 above, Cancel *cancel, GError **error)
{
	gint64 end = g_get_monotonic_time () + BATCH_TIME;
	if (!list_ids (s, above, b->ids, error))
		return FALSE;
	for (guint i = 0; i < b->ids->len; i++) {
		if (b->octets > BATCH_OCTETS || (i && g_get_monotonic_time () > end)) {
			g_array_set_size (b->ids, i);
			break;
		}
		if (!cancel_check (cancel, error) || !read_one (s, b, g_array_index (b->ids, gint64, i), error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
insert (Store *s, gint64 id, const Doc *d, GError **error)
{
	return db_run (store_db (s), "INSERT INTO fts (rowid, body, subject, sender, recipients, attachment) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", error,
	               "isssss", id, d->columns[COLUMN_BODY]->str, d->columns[COLUMN_SUBJECT]->str, d->columns[COLUMN_SENDER]->str,
	               d->columns[COLUMN_RECIPIENTS]->str, d->columns[COLUMN_ATTACHMENT]->str);
}

static gboolean
insert_all (Store *s, const Batch *b, GError **error)
{
	for (guint i = 0; i < b->docs->len; i++)
		if (b->docs->pdata[i] && !insert (s, g_array_index (b->ids, gint64, i), b->docs->pdata[i], error))
			return FALSE;
	return store_set_indexed_message (s, g_array_index (b->ids, gint64, b->ids->len - 1), error);
}

/* *written_out stays FALSE when the mark is no longer @mark. */
static gboolean
batch_write (const Batch *b, Store *s, gint64 mark, gboolean *written_out, GError **error)
{
	if (!store_begin (s, error))
		return FALSE;
	gboolean current = store_indexed_message (s) == mark, ok = !current || insert_all (s, b, error);
	if (ok && current)
		ok = store_commit (s, error);
	store_rollback (s);
	*written_out = ok && current;
	return ok;
}

static gboolean
index_batch (Store *s, Cancel *cancel, guint *read_out, guint *written_out, GError **error)
{
	g_auto (Batch) b;
	gboolean written = FALSE;
	gint64 mark = store_indexed_message (s);
	batch_init (&b);
	if (!batch_read (&b, s, mark, cancel, error) || (b.ids->len && !batch_write (&b, s, mark, &written, error)))
		return FALSE;
	*read_out = b.ids->len;
	*written_out = written ? b.ids->len : 0;
	return TRUE;
}

/* ---- Rows of messages that are gone ---- */

#define GONE_MIN 1000

/* How many rows the index has got: FTS5 keeps it in front of the record of averages (fts5_index.c, FTS5_AVERAGES_ROWID). */
static guint64
rows_in_index (Db *db)
{
	gsize size;
	guint64 n = 0;
	DbQuery *q = db_query (db, "SELECT block FROM fts_data WHERE id = 1", "");
	const guint8 *block = db_step (db, q, NULL) > 0 ? db_blob (q, 0, &size) : NULL;
	for (gsize i = 0; block && i < MIN (size, (gsize) 8); i++) { /* SQLite's varint */
		n = n << 7 | (block[i] & 0x7f);
		if (block[i] < 0x80)
			break;
	}
	db_reset (q);
	return n;
}

/* A contentless index of this FTS5 can't drop a row. When most of them are of messages that are gone, it is built anew. */
static gboolean
forget_if_mostly_gone (Store *s, guint64 pending, GError **error)
{
	guint64 rows = rows_in_index (store_db (s)), messages = (guint64) db_number (store_db (s), "SELECT COUNT (*) FROM message", 0, "");
	guint64 live = messages > pending ? messages - pending : 0;
	return rows < live + GONE_MIN || rows < 2 * live || search_forget (s, error);
}

gboolean
search_index (Store *s, Cancel *cancel, SearchProgress progress, gpointer data, guint64 *indexed_out, GError **error)
{
	guint64 total, done = 0;
	guint read = 0, written = 0;
	gboolean ok = search_pending (s, &total, error) && (!total || forget_if_mostly_gone (s, total, error)) && search_pending (s, &total, error);
	while (ok && (ok = index_batch (s, cancel, &read, &written, error)) && read) {
		done += written;
		if (progress)
			progress (data, done, MAX (done, total));
	}
	if (indexed_out)
		*indexed_out = done;
	return ok;
}

gboolean
search_forget (Store *s, GError **error)
{
	gboolean ok = store_begin (s, error) && db_run (store_db (s), "INSERT INTO fts (fts) VALUES ('delete-all')", error, "") &&
	              store_set_indexed_message (s, 0, error) && store_commit (s, error);
	store_rollback (s);
	return ok;
}

gboolean
search_pending (Store *s, guint64 *messages_out, GError **error)
{
	DbQuery *q = db_query (store_db (s), "SELECT COUNT (*) FROM message WHERE id > (SELECT indexed_message FROM meta)", "");
	int r = db_step (store_db (s), q, error);
	*messages_out = r > 0 ? (guint64) db_int (q, 0) : 0;
	db_reset (q);
	return r >= 0;
}
