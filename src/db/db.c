/* SPDX-License-Identifier: Apache-2.0 */
#include "db.h"
#include <stdarg.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BUSY_MS 30000
#define BUSY_EVERY_US 1000
#define COPY_STEP_PAGES 256

/* Statements of one text: more than one only while a walk over rows calls what runs the same text. */
typedef struct Statement {
	sqlite3_stmt *statement;
	struct Statement *next;
} Statement;

struct Db {
	sqlite3 *handle;
	char *path;
	GHashTable *statements; /* SQL text by address -> Statement */
	const char *began_at;   /* NULL: no transaction */
	gboolean read_only, create;
	GError *unprepared;     /* of the last statement that did not prepare; shown at its step */
	GError *failure;        /* the first one in this transaction */
};

/* Our statements fit our schema: one that names what is not there has met a damaged one. */
static gboolean
is_amiss (int result, const char *message)
{
	return result == SQLITE_ERROR && (g_str_has_prefix (message, "no such ") || strstr (message, " has no column named "));
}

/* Full disks show as other codes where the VFS doesn't map them (shared memory, quota, RLIMIT_FSIZE). */
static gboolean
is_full (int result, int err)
{
	return result == SQLITE_FULL ||
	       ((result == SQLITE_IOERR || result == SQLITE_CANTOPEN) && (err == ENOSPC || err == EDQUOT || err == EFBIG));
}

static OutpostError
code_of (int result, int err)
{
	if (is_full (result & 0xff, err))
		return ERROR_NO_SPACE;
	switch (result & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERROR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERROR_TEMPORARY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return ERROR_NO_PERMISSION;
	case SQLITE_CANTOPEN:
		return err == EACCES || err == EPERM ? ERROR_NO_PERMISSION : ERROR_IO;
	case SQLITE_CONSTRAINT:
		return ERROR_EXISTS;
	case SQLITE_INTERRUPT:
		return ERROR_CANCELLED;
	default:
		return ERROR_IO;
	}
}

/* What the system said last of the log or the file itself, 0 when it was content with both. */
static int
error_of_files (Db *db)
{
	static const int which[] = {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER};
	for (gsize i = 0; i < G_N_ELEMENTS (which); i++) {
		sqlite3_file *file = NULL;
		int err = 0;
		if (sqlite3_file_control (db->handle, "main", which[i], &file) == SQLITE_OK && file && file->pMethods &&
		    file->pMethods->xFileControl (file, SQLITE_FCNTL_LAST_ERRNO, &err) == SQLITE_OK && err)
			return err;
	}
	return 0;
}

/* SQLite does not keep errno when it is a commit that fails; where space is taken late (delayed allocation, NFS, quotas) that is where a
 * full disk shows. */
static int
system_error (Db *db, int result)
{
	int err = sqlite3_system_errno (db->handle);
	int late = (result & 0xff) == SQLITE_IOERR && !is_full (result & 0xff, err) ? error_of_files (db) : 0;
	return late ? late : err;
}

static gboolean
fail_full (Db *db, OutpostError code, const char *doing, GError **error)
{
	struct statvfs disk;
	g_autofree char *directory = g_path_get_dirname (db->path), *room = NULL;
	if (statvfs (directory, &disk) == 0)
		room = g_strdup_printf (" %" G_GUINT64_FORMAT " KiB are free there;", (guint64) disk.f_bavail * disk.f_frsize / 1024);
	return error_fail (error, code, "the disk is full (%s, while %s): what was stored before stays;%s make room and run the command again",
	                   db->path, doing, room ? room : "");
}

gboolean
db_fail (Db *db, const char *doing, GError **error)
{
	int result = sqlite3_extended_errcode (db->handle);
	OutpostError code = code_of (result, system_error (db, result));
	if (is_amiss (result, sqlite3_errmsg (db->handle)))
		code = ERROR_CORRUPT;
	if (db->unprepared) {
		g_propagate_error (error, g_steal_pointer (&db->unprepared));
		return FALSE;
	}
	if (code == ERROR_CORRUPT)
		return error_fail (error, code, "the store %s is damaged (%s while %s): run 'outpost store check'", db->path,
		                   sqlite3_errmsg (db->handle), doing);
	if (code == ERROR_NO_SPACE)
		return fail_full (db, code, doing, error);
	if (code == ERROR_CANCELLED)
		return error_fail (error, code, "stopped as asked");
	if (code == ERROR_TEMPORARY)
		return error_fail (error, code, "the store %s is being written by another process: try again", db->path);
	return error_fail (error, code, "%s in the store %s failed: %s", doing, db->path, sqlite3_errmsg (db->handle));
}

const char *
db_path (const Db *db)
{
	return db->path;
}

sqlite3 *
db_handle (Db *db)
{
	return db->handle;
}

gboolean
db_exec (Db *db, const char *sql, GError **error)
{
	return sqlite3_exec (db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || db_fail (db, "running a statement", error);
}

/* SQLite's own handler sleeps longer each time, up to 100 ms, and so never gets a turn beside a process that writes much. */
static int
wait_for_others (void *data, int times)
{
	(void) data;
	g_usleep (BUSY_EVERY_US);
	return times < BUSY_MS * 1000 / BUSY_EVERY_US;
}

/* Others may be opening it at the same moment. SQLite asks for a lock here that it does not wait for. */
gboolean
db_use_wal (Db *db, GError **error)
{
	gint64 until = g_get_monotonic_time () + BUSY_MS * 1000;
	for (;;) {
		g_autoptr (GError) e = NULL;
		if (db_exec (db, "PRAGMA journal_mode=WAL", &e))
			return TRUE;
		if (!error_is (e, ERROR_TEMPORARY) || g_get_monotonic_time () > until) {
			g_propagate_error (error, g_steal_pointer (&e));
			return FALSE;
		}
		g_usleep (2000);
	}
}

/* Only a file that is empty becomes one of ours: what else is in it, the caller has to find out first. */
static gboolean
set_up_for_writing (Db *db, GError **error)
{
	int pages = -1;
	sqlite3_stmt *q;
	if (sqlite3_prepare_v2 (db->handle, "PRAGMA page_count", -1, &q, NULL) == SQLITE_OK && sqlite3_step (q) == SQLITE_ROW)
		pages = sqlite3_column_int (q, 0);
	if (sqlite3_finalize (q) != SQLITE_OK || pages < 0)
		return db_fail (db, "opening", error);
	return db_exec (db, "PRAGMA page_size=16384; PRAGMA secure_delete=FAST;", error) && (pages || !db->create || db_use_wal (db, error));
}

static gboolean
set_up (Db *db, gboolean read_only, GError **error)
{
	static const char always[] = "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
	                             "PRAGMA cache_size=-2048; PRAGMA wal_autocheckpoint=256;";
	sqlite3_extended_result_codes (db->handle, 1);
	sqlite3_busy_handler (db->handle, wait_for_others, NULL);
	if (!read_only && !set_up_for_writing (db, error))
		return FALSE;
	/* The last one reads a page: damage and missing rights show here, not at the first use. */
	return db_exec (db, always, error) && db_exec (db, "SELECT COUNT (*) FROM sqlite_schema", error);
}

/* The file is made by us so that its mode is 0600 from the first moment. */
static gboolean
make_file (const char *path, GError **error)
{
	int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno (error, errno, "creating %s", path);
	close (fd);
	return TRUE;
}

/* SQLite counts memory for all connections under one lock, taken at each allocation; nobody asks for the count. */
static void
share_no_count (void)
{
	static gsize done;
	if (g_once_init_enter (&done)) {
		sqlite3_config (SQLITE_CONFIG_MEMSTATUS, 0);
		g_once_init_leave (&done, 1);
	}
}

static gboolean
open_handle (Db *db, int flags, GError **error)
{
	share_no_count ();
	return sqlite3_open_v2 (db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK || db_fail (db, "opening", error);
}

/* Reading needs the WAL's index, a file beside; on a full disk that can't be made. With the exclusive lock it is kept in memory
 * instead. Nothing is written, at closing neither. */
static gboolean
reopen_without_index (Db *db, GError **error)
{
	sqlite3_close_v2 (db->handle);
	return open_handle (db, SQLITE_OPEN_READWRITE, error) && sqlite3_db_config (db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK &&
	       db_exec (db, "PRAGMA query_only=ON; PRAGMA locking_mode=EXCLUSIVE;", error) && set_up (db, TRUE, error);
}

static gboolean
open_read_only (Db *db, GError **error)
{
	g_autoptr (GError) e = NULL;
	if (open_handle (db, SQLITE_OPEN_READONLY, &e) && set_up (db, TRUE, &e))
		return TRUE;
	if (error_is (e, ERROR_NO_SPACE))
		return reopen_without_index (db, error);
	g_propagate_error (error, g_steal_pointer (&e));
	return FALSE;
}

/* SQLite opens for reading what it can't write, and tells at the first write. */
static gboolean
open_for_writing (Db *db, GError **error)
{
	if (!open_handle (db, SQLITE_OPEN_READWRITE, error))
		return FALSE;
	if (sqlite3_db_readonly (db->handle, "main") == 1)
		return error_fail (error, ERROR_NO_PERMISSION, "the store %s can only be read here: %s", db->path,
		                   access (db->path, W_OK) != 0 ? g_strerror (errno) : "it can't be written");
	return set_up (db, FALSE, error);
}

Db *
db_open (const char *path, gboolean read_only, gboolean create, GError **error)
{
	g_assert (!(read_only && create));
	if (create && !make_file (path, error))
		return NULL;
	if (!create && access (path, F_OK) != 0) {
		error_set_errno (error, errno, "opening the store %s", path);
		return NULL;
	}
	Db *db = g_new0 (Db, 1);
	db->path = g_strdup (path);
	db->read_only = read_only;
	db->create = create;
	db->statements = g_hash_table_new (NULL, NULL);
	gboolean ok = read_only ? open_read_only (db, error) : open_for_writing (db, error);
	if (!ok)
		g_clear_pointer (&db, db_close);
	return db;
}

void
db_cache (Db *db, guint kib)
{
	g_autofree char *sql = g_strdup_printf ("PRAGMA cache_size=-%u", kib);
	sqlite3_exec (db->handle, sql, NULL, NULL, NULL);
}

void
db_checkpoint_at (Db *db, guint pages)
{
	sqlite3_wal_autocheckpoint (db->handle, (int) pages);
}

static int
is_cancelled (void *cancel)
{
	return cancel_is_triggered (cancel);
}

void
db_watch (Db *db, Cancel *cancel)
{
	sqlite3_progress_handler (db->handle, cancel ? 10000 : 0, cancel ? is_cancelled : NULL, cancel);
}

static void
statements_free (Statement *st)
{
	while (st) {
		Statement *next = st->next;
		sqlite3_finalize (st->statement);
		g_free (st);
		st = next;
	}
}

void
db_close (Db *db)
{
	if (!db)
		return;
	g_assert (!db->began_at);
	GHashTableIter it;
	gpointer statements;
	g_hash_table_iter_init (&it, db->statements);
	while (g_hash_table_iter_next (&it, NULL, &statements))
		statements_free (statements);
	g_hash_table_unref (db->statements);
	g_clear_error (&db->unprepared);
	g_clear_error (&db->failure);
	sqlite3_close_v2 (db->handle);
	g_free (db->path);
	g_free (db);
}

static void
bind_one (DbQuery *q, int n, char letter, va_list *args)
{
	switch (letter) {
	case 'i':
		sqlite3_bind_int64 (q, n, va_arg (*args, gint64));
		break;
	case 'I':
		sqlite3_bind_int64 (q, n, va_arg (*args, int));
		break;
	case 's':
		sqlite3_bind_text (q, n, va_arg (*args, const char *), -1, SQLITE_STATIC);
		break;
	case 'b': {
		const void *data = va_arg (*args, const void *);
		sqlite3_bind_blob64 (q, n, data ? data : "", va_arg (*args, gsize), SQLITE_STATIC);
		break;
	}
	case 'n':
		sqlite3_bind_null (q, n);
		break;
	default:
		g_assert_not_reached ();
	}
}

static DbQuery *
prepare (Db *db, const char *sql)
{
	DbQuery *q;
	if (sqlite3_prepare_v3 (db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) == SQLITE_OK)
		return q;
	GError *e = NULL;
	g_clear_error (&db->unprepared);
	db_fail (db, "preparing a statement", &e);
	db->unprepared = e;
	return NULL;
}

static DbQuery *
idle_statement (Db *db, const char *sql)
{
	Statement *first = g_hash_table_lookup (db->statements, sql);
	for (Statement *st = first; st; st = st->next)
		if (!sqlite3_stmt_busy (st->statement))
			return st->statement;
	DbQuery *q = prepare (db, sql);
	if (q) {
		Statement *st = g_new (Statement, 1);
		*st = (Statement){q, first};
		g_hash_table_insert (db->statements, (gpointer) sql, st);
	}
	return q;
}

static DbQuery *
query_va (Db *db, const char *sql, const char *format, va_list *args)
{
	DbQuery *q = idle_statement (db, sql);
	for (int n = 0; q && format[n]; n++)
		bind_one (q, n + 1, format[n], args);
	return q;
}

DbQuery *
db_query (Db *db, const char *sql, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	DbQuery *q = query_va (db, sql, format, &args);
	va_end (args);
	return q;
}

/* Some failures (full disk, I/O) end SQLite's transaction: what follows would be committed one by one. So the first failure stays
 * until the rollback. A violated constraint undoes its own statement only; the caller may go on. */
static void
keep_failure (Db *db, const GError *e)
{
	if (db->began_at && !db->failure && !error_is (e, ERROR_EXISTS))
		db->failure = g_error_copy (e);
}

static int
step_failed (Db *db, GError **error)
{
	GError *e = NULL;
	if (db->failure) {
		g_clear_error (&db->unprepared);
		e = g_error_copy (db->failure);
	} else {
		db_fail (db, "reading or writing", &e);
		keep_failure (db, e);
	}
	g_propagate_error (error, e);
	return -1;
}

int
db_step (Db *db, DbQuery *q, GError **error)
{
	int result = q && !db->failure ? sqlite3_step (q) : SQLITE_ERROR;
	if (result == SQLITE_ROW)
		return 1;
	int answer = result == SQLITE_DONE ? 0 : step_failed (db, error);
	if (q)
		sqlite3_reset (q);
	return answer;
}

void
db_reset (DbQuery *q)
{
	if (q)
		sqlite3_reset (q);
}

gboolean
db_run (Db *db, const char *sql, GError **error, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	DbQuery *q = query_va (db, sql, format, &args);
	va_end (args);
	int r;
	while ((r = db_step (db, q, error)) > 0)
		continue;
	return r == 0;
}

gint64
db_number (Db *db, const char *sql, gint64 otherwise, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	DbQuery *q = query_va (db, sql, format, &args);
	va_end (args);
	gint64 n = otherwise;
	if (db_step (db, q, NULL) > 0 && !db_is_null (q, 0))
		n = db_int (q, 0);
	db_reset (q);
	return n;
}

gint64
db_last_id (Db *db)
{
	return sqlite3_last_insert_rowid (db->handle);
}

guint
db_changes (Db *db)
{
	return (guint) sqlite3_changes (db->handle);
}

gint64
db_int (DbQuery *q, int column)
{
	return sqlite3_column_int64 (q, column);
}

const char *
db_text (DbQuery *q, int column)
{
	return (const char *) sqlite3_column_text (q, column);
}

char *
db_dup (DbQuery *q, int column)
{
	return g_strdup (db_text (q, column));
}

const void *
db_blob (DbQuery *q, int column, gsize *size_out)
{
	const void *data = sqlite3_column_blob (q, column);
	*size_out = (gsize) sqlite3_column_bytes (q, column);
	return data ? data : "";
}

gboolean
db_is_null (DbQuery *q, int column)
{
	return sqlite3_column_type (q, column) == SQLITE_NULL;
}

gboolean
db_begin_at (Db *db, const char *where, GError **error)
{
	if (db->began_at)
		g_error ("transaction begun at %s while that of %s is open", where, db->began_at);
	if (db->read_only)
		return error_fail (error, ERROR_NO_PERMISSION, "the store %s was opened for reading only", db->path);
	if (!db_run (db, "BEGIN IMMEDIATE", error, ""))
		return FALSE;
	db->began_at = where;
	return TRUE;
}

gboolean
db_commit (Db *db, GError **error)
{
	g_assert (db->began_at);
	gboolean ok = db_run (db, "COMMIT", error, "");
	if (ok)
		db->began_at = NULL;
	else
		db_rollback (db);
	return ok;
}

void
db_rollback (Db *db)
{
	if (!db->began_at)
		return;
	db->began_at = NULL;
	g_clear_error (&db->failure);
	if (!sqlite3_get_autocommit (db->handle))
		sqlite3_exec (db->handle, "ROLLBACK", NULL, NULL, NULL);
}

gboolean
db_in_transaction (const Db *db)
{
	return db->began_at != NULL;
}

gboolean
db_failed (const Db *db, GError **error)
{
	if (db->failure)
		g_propagate_error (error, g_error_copy (db->failure));
	return db->failure != NULL;
}

/* ---- Copying ---- */

static gboolean
copy_pages (Db *db, Db *to, DbCopied progress, gpointer data, GError **error)
{
	sqlite3_backup *b = sqlite3_backup_init (to->handle, "main", db->handle, "main");
	guint64 page = (guint64) db_number (db, "PRAGMA page_size", 4096, "");
	int step = SQLITE_OK;
	gboolean on = b != NULL;
	while (on && step == SQLITE_OK) {
		step = sqlite3_backup_step (b, COPY_STEP_PAGES);
		guint64 of = (guint64) sqlite3_backup_pagecount (b) * page;
		on = !progress || progress (data, of - (guint64) sqlite3_backup_remaining (b) * page, of, error);
	}
	gboolean whole = sqlite3_backup_finish (b) == SQLITE_OK && step == SQLITE_DONE;
	if (b && !on)
		return FALSE;
	return whole || db_fail (to, "copying", error);
}

/* Of one moment: the transaction keeps it while others write. */
static gboolean
copy_moment (Db *db, Db *to, DbCopied progress, gpointer data, GError **error)
{
	if (!db_exec (db, "BEGIN", error))
		return FALSE;
	gboolean ok = db_number (db, "SELECT COUNT (*) FROM sqlite_schema", -1, "") >= 0 ? copy_pages (db, to, progress, data, error) : db_fail (db, "reading", error);
	db_exec (db, "COMMIT", NULL);
	return ok;
}

static gboolean
make_durable (const char *path, const char *as, GError **error)
{
	g_autofree char *folder = g_path_get_dirname (as);
	int fd = open (path, O_RDWR | O_CLOEXEC), in = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = fd >= 0 && in >= 0 && fsync (fd) == 0 && rename (path, as) == 0 && fsync (in) == 0;
	int err = errno;
	if (fd >= 0)
		close (fd);
	if (in >= 0)
		close (in);
	return ok || error_set_errno (error, err, "writing %s", as);
}

/* What is half way is thrown away, so nothing needs to be undone. */
gboolean
db_copy (Db *db, const char *path, DbCopied progress, gpointer data, GError **error)
{
	g_autofree char *part = g_strconcat (path, ".part", NULL);
	Db to = {.path = part};
	unlink (part);
	gboolean ok = make_file (part, error) && open_handle (&to, SQLITE_OPEN_READWRITE, error) &&
	              db_exec (&to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", error) && copy_moment (db, &to, progress, data, error);
	sqlite3_close (to.handle);
	ok = ok && make_durable (part, path, error);
	unlink (part);
	return ok;
}

gboolean
db_octets (Db *db, GBytes **octets_out, GError **error)
{
	sqlite3_int64 size;
	guint8 *octets = sqlite3_serialize (db->handle, "main", &size, 0);
	*octets_out = octets ? g_bytes_new_with_free_func (octets, (gsize) size, sqlite3_free, octets) : NULL;
	return octets || db_fail (db, "copying", error);
}
