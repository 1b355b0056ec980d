/* SPDX-License-Identifier: Apache-2.0 */
/* A thin layer over one SQLite connection: statements prepared once, numbered parameters, transactions that know who began them,
 * errors in our domain. A Db is used by one thread at a time. */
#pragma once
#include <glib.h>
#include <sqlite3.h>
#include "cancel.h"
#include "error.h"

typedef struct Db Db;
typedef struct sqlite3_stmt DbQuery;

/* Opens (and with @create makes, mode 0600) the database at @path: synchronous=FULL, foreign keys on, 2 MiB of cache, 30 s busy
 * time-out. With @create an empty file gets a WAL and 16 KiB pages; another is not changed by opening it. What can't be written is NO_PERMISSION unless
 * read-only. Read-only works on a full disk too (then others can't write as long as it is open). */
Db *db_open (const char *path, gboolean read_only, gboolean create, GError **error);
/* Finalises all statements; asserts that no transaction is open. NULL is allowed. */
void db_close (Db *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Db, db_close)
/* Gives an existing database a write-ahead log, if it has none. */
gboolean db_use_wal (Db *db, GError **error);
/* Page cache of this connection. */
void db_cache (Db *db, guint kib);
/* Moves the write-ahead log into the file when it has grown to @pages; fewer moves write a page that changes often fewer times. */
void db_checkpoint_at (Db *db, guint pages);
/* Long statements end with CANCELLED soon after @cancel is triggered; NULL: no longer. */
void db_watch (Db *db, Cancel *cancel);
const char *db_path (const Db *db);
sqlite3 *db_handle (Db *db);

/* All of it as it is at one moment, while others go on writing, to @path, where it takes the place of what is there once it is whole and durable (a file beside, PATH.part, grows
 * meanwhile; mode 0600). @progress may be NULL; FALSE from it, with error, stops. */
typedef gboolean (*DbCopied) (gpointer data, guint64 octets, guint64 of, GError **error);
gboolean db_copy (Db *db, const char *path, DbCopied progress, gpointer data, GError **error);

/* The same in memory: for a small one. */
gboolean db_octets (Db *db, GBytes **octets_out, GError **error);

/* Runs SQL text without parameters or results; several statements allowed. */
gboolean db_exec (Db *db, const char *sql, GError **error);

/* The prepared statement for @sql, a string constant that lives as long as the process (its address is the key). Parameters are
 * bound by @format, one letter each: i gint64, I int, s const char * (NULL gives NULL), b (const void *, gsize) blob, n NULL. Text
 * and blobs must stay until the statement is reset. Rows of one text may be walked inside a walk over the same text. The result may
 * be NULL: that is a failure to prepare, and db_step tells it. */
DbQuery *db_query (Db *db, const char *sql, const char *format, ...);
/* 1: a row, 0: no more (reset), -1: error (reset). */
int db_step (Db *db, DbQuery *q, GError **error);
void db_reset (DbQuery *q);
/* Runs a statement without rows to its end. */
gboolean db_run (Db *db, const char *sql, GError **error, const char *format, ...);
/* First column of the first row as number; @otherwise if there is none or it fails. */
gint64 db_number (Db *db, const char *sql, gint64 otherwise, const char *format, ...);
gint64 db_last_id (Db *db);
guint db_changes (Db *db);

gint64 db_int (DbQuery *q, int column);
const char *db_text (DbQuery *q, int column); /* borrowed until the next step; NULL for NULL */
char *db_dup (DbQuery *q, int column);
const void *db_blob (DbQuery *q, int column, gsize *size_out);
gboolean db_is_null (DbQuery *q, int column);

/* BEGIN IMMEDIATE / COMMIT / ROLLBACK. A failed commit rolls back. After a failure other than EXISTS (a constraint) everything in
 * the transaction fails with the same error until db_rollback. Beginning twice ends the process and names both places. */
#define db_begin(db, error) db_begin_at (db, G_STRLOC, error)
gboolean db_begin_at (Db *db, const char *where, GError **error);
gboolean db_commit (Db *db, GError **error);
void db_rollback (Db *db);
gboolean db_in_transaction (const Db *db);

/* TRUE, with *error set, when something in the transaction has failed; for those who asked by db_number. */
gboolean db_failed (const Db *db, GError **error);

/* Sets *error from the connection's last error; @doing says what was attempted. Always FALSE. */
gboolean db_fail (Db *db, const char *doing, GError **error);
