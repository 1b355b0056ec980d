/* SPDX-License-Identifier: Apache-2.0 */
/* How big a store is: in a time that hardly grows with it. */
#include "store-private.h"
#include <sys/stat.h>

#define FTS_PAGE 4050 /* octets of an FTS5 leaf page, its default */

/* SQLite's variable-length number (fileformat2.html section 1.6), of the up to four octets that FTS5 uses here; 0 at the end. */
static guint32
next_number (const guint8 **at, const guint8 *end)
{
	guint32 n = 0;
	for (int i = 0; i < 5 && *at < end; i++) {
		guint8 octet = *(*at)++;
		n = n << 7 | (octet & 0x7f);
		if (!(octet & 0x80))
			break;
	}
	return n;
}

/* The pages of all segments by FTS5's structure record: cookie (4 octets), levels, segments, writes; for each level merging and
 * segments; for each segment its id, first and last page. */
static guint64
count_pages (const guint8 *at, gsize size)
{
	const guint8 *end = at + size;
	guint64 pages = 0;
	at += MIN (size, (gsize) 4);
	guint32 levels = next_number (&at, end);
	next_number (&at, end);
	next_number (&at, end);
	for (guint32 level = 0; level < levels && at < end; level++) {
		next_number (&at, end);
		for (guint32 segments = next_number (&at, end); segments && at < end; segments--) {
			next_number (&at, end);
			guint32 first = next_number (&at, end), last = next_number (&at, end);
			pages += last >= first ? last - first + 1 : 0;
		}
	}
	return pages;
}

static gboolean
index_octets (Store *s, guint64 *octets_out, GError **error)
{
	gsize size;
	DbQuery *q = db_query (s->db, "SELECT block FROM fts_data WHERE id = 10", "");
	int r = db_step (s->db, q, error);
	if (r > 0) {
		const void *structure = db_blob (q, 0, &size);
		*octets_out = FTS_PAGE * count_pages (structure, size);
	}
	db_reset (q);
	return r >= 0;
}

static guint64
octets_of_file (const char *path, const char *suffix)
{
	struct stat st;
	g_autofree char *name = g_strconcat (path, suffix, NULL);
	return stat (name, &st) == 0 ? (guint64) st.st_size : 0;
}

guint64
store_file_octets (const Store *s)
{
	return octets_of_file (s->path, "") + octets_of_file (s->path, "-wal");
}

gboolean
store_statistics (Store *s, StoreStatistics *out, GError **error)
{
	*out = (StoreStatistics){0};
	if (!store_flush_for_reading (s, error))
		return FALSE;
	DbQuery *q = db_query (s->db, "SELECT (SELECT COUNT (*) FROM folder), (SELECT COUNT (*) FROM message), (SELECT IFNULL (SUM (total), 0) FROM folder),"
	                              " (SELECT COUNT (*) FROM pending), contents, content_octets, stored_octets FROM meta", "");
	int r = db_step (s->db, q, error);
	if (r > 0)
		*out = (StoreStatistics){.folders = (guint64) db_int (q, 0), .messages = (guint64) db_int (q, 1), .placements = (guint64) db_int (q, 2),
		                         .pending = (guint64) db_int (q, 3), .contents = (guint64) db_int (q, 4),
		                         .content_octets = (guint64) db_int (q, 5), .stored_octets = (guint64) db_int (q, 6)};
	db_reset (q);
	out->file_octets = store_file_octets (s);
	return r > 0 && index_octets (s, &out->index_octets, error);
}

gboolean
store_usage (Store *s, StoreUsage *out, GError **error)
{
	*out = (StoreUsage){0};
	if (!store_flush_for_reading (s, error))
		return FALSE;
	DbQuery *q = db_query (s->db, "SELECT IFNULL (SUM (octets), 0), IFNULL (SUM (total), 0) FROM folder", "");
	int r = db_step (s->db, q, error);
	if (r > 0)
		*out = (StoreUsage){(guint64) db_int (q, 0), (guint64) db_int (q, 1)};
	db_reset (q);
	return r > 0;
}
