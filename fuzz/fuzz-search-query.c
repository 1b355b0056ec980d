/* SPDX-License-Identifier: Apache-2.0 */
/* A query, NUL, a subject, NUL, a text: FTS5 accepts what the query became, and finds the message exactly when a scan does. */
#include <stdint.h>
#include <string.h>
#include "search-private.h"

#define NOW 1716984000

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
run (sqlite3 *db, const char *sql)
{
	if (sqlite3_exec (db, sql, NULL, NULL, NULL) != SQLITE_OK)
		g_error ("%s: %s", sql, sqlite3_errmsg (db));
}

static sqlite3_stmt *
prepared (sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st;
	if (sqlite3_prepare_v2 (db, sql, -1, &st, NULL) != SQLITE_OK)
		g_error ("%s: %s", sql, sqlite3_errmsg (db));
	return st;
}

/* The string at *at, and *at behind its NUL. */
static const char *
next_string (const char **at, const char *end)
{
	const char *start = *at;
	*at = MIN (start + strlen (start) + 1, end);
	return start;
}

static void
compare (sqlite3_stmt *find, const Doc *d, const Node *n)
{
	if (n->type == NODE_SET && n->match) {
		sqlite3_bind_text (find, 1, n->match, -1, SQLITE_STATIC);
		int step = sqlite3_step (find);
		if (step != SQLITE_ROW && step != SQLITE_DONE)
			g_error ("%s: %s", n->match, sqlite3_errmsg (sqlite3_db_handle (find)));
		if ((step == SQLITE_ROW) != (doc_ask (d, n->children->pdata[0]) == YES))
			g_error ("%s: the index says %s", n->match, step == SQLITE_ROW ? "yes" : "no");
		sqlite3_reset (find);
		return;
	}
	for (guint i = 0; n->children && i < n->children->len; i++)
		compare (find, d, n->children->pdata[i]);
}

static void
index_and_compare (const Doc *d, const SearchQuery *q)
{
	static sqlite3 *db;
	static sqlite3_stmt *insert, *find;
	if (!db) {
		g_assert (sqlite3_open (":memory:", &db) == SQLITE_OK);
		run (db, "CREATE VIRTUAL TABLE fts USING fts5 (body, subject, sender, recipients, attachment, content='', columnsize=0, tokenize='ascii')");
		insert = prepared (db, "INSERT INTO fts (rowid, body, subject) VALUES (1, ?1, ?2)");
		find = prepared (db, "SELECT rowid FROM fts WHERE fts MATCH ?1");
	}
	run (db, "INSERT INTO fts (fts) VALUES ('delete-all')");
	sqlite3_bind_text (insert, 1, d->columns[COLUMN_BODY]->str, -1, SQLITE_STATIC);
	sqlite3_bind_text (insert, 2, d->columns[COLUMN_SUBJECT]->str, -1, SQLITE_STATIC);
	g_assert (sqlite3_step (insert) == SQLITE_DONE);
	sqlite3_reset (insert);
	compare (find, d, q->root);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	g_autofree char *text = slice_dup ((Slice){(const char *) data, size});
	const char *at = text, *end = text + size;
	g_autoptr (GError) error = NULL;
	g_autoptr (SearchQuery) q = search_query_parse (next_string (&at, end), NOW, &error);
	g_assert (q || error_is (error, ERROR_USAGE));
	if (!q)
		return 0;
	g_autoptr (Doc) d = doc_new ();
	d->whole = TRUE;
	words_append (d->columns[COLUMN_SUBJECT], next_string (&at, end));
	words_append (d->columns[COLUMN_BODY], next_string (&at, end));
	index_and_compare (d, q);
	return 0;
}
