/* SPDX-License-Identifier: Apache-2.0 */
#include "store-backup.h"
#include "store-copy.h"
#include "store-private.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_OF(n) TEXT_OF_VALUE (n)
#define TEXT_OF_VALUE(n) #n
#define JUMP 1048576            /* UIDs of a folder, ids; of UIDVALIDITY 65536 */
#define MODSEQ_JUMP (G_GINT64_CONSTANT (1) << 30)
#define UID_MAX 4294967295

/* ---- Files ---- */

static gboolean
remove_files (const char *path, gboolean whole, GError **error)
{
	for (const char *const *end = (const char *const[]){"-journal", "-wal", "-shm", "", NULL}; *end && (**end || whole); end++) {
		g_autofree char *file = g_strconcat (path, *end, NULL);
		if (g_unlink (file) != 0 && errno != ENOENT)
			return error_set_errno (error, errno, "removing %s", file);
	}
	return TRUE;
}

/* With a log beside it, it could not be read where nothing can be written. */
static gboolean
take_in_log (const char *path, GError **error)
{
	g_autoptr (Db) db = db_open (path, FALSE, FALSE, error);
	return db && db_exec (db, "PRAGMA journal_mode=DELETE", error);
}

/* Who was killed has left half a transaction beside it: it is taken back, where that can be written. */
static void
take_back_half (const char *path)
{
	g_autofree char *journal = g_strconcat (path, "-journal", NULL);
	if (g_file_test (journal, G_FILE_TEST_EXISTS))
		take_in_log (path, NULL);
}

/* What is left of another transaction of the one that goes must not become this one's. */
static gboolean
put_in_place (const char *fresh, const char *to, GError **error)
{
	g_autofree char *folder = g_path_get_dirname (to);
	gboolean there = g_file_test (to, G_FILE_TEST_EXISTS);
	if (there && !take_in_log (to, NULL) && !remove_files (to, FALSE, error))
		return FALSE;
	int in = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = in >= 0 && g_rename (fresh, to) == 0 && fsync (in) == 0;
	int err = errno;
	if (in >= 0)
		close (in);
	return ok || error_set_errno (error, err, "writing %s", to);
}

/* ---- Checking ---- */

typedef struct {
	char *first; /* NULL: nothing was found */
} Findings;

static void
find (gpointer data, const char *finding)
{
	Findings *f = data;
	if (!f->first)
		f->first = g_strdup (finding);
}

/* Of a home or what is to become one. */
static gboolean
read_through (const char *path, Cancel *cancel, GError **error)
{
	Findings f = {0};
	guint64 n = 0;
	g_autoptr (Store) s = store_open (path, STORE_READ_ONLY, error);
	gboolean ok = s && store_check (s, TRUE, FALSE, find, &f, cancel, &n, error);
	if (ok && n)
		ok = error_fail (error, ERROR_CORRUPT, "%s is damaged (%s%s): `outpost store check --repair` mends what can be mended", path, f.first ? f.first : "",
		                 n > 1 ? ", and more" : "");
	g_free (f.first);
	return ok;
}

static gboolean
is_of_this_version (const char *path, gboolean *is_out, GError **error)
{
	g_autoptr (Db) db = db_open (path, TRUE, FALSE, error);
	gint64 version = db ? db_number (db, "PRAGMA user_version", -1, "") : -1;
	*is_out = version == STORE_SCHEMA_VERSION;
	return version >= 0 || (db && db_fail (db, "reading the version", error));
}

gboolean
store_backup_check (const char *path, Cancel *cancel, GError **error)
{
	gboolean current;
	take_back_half (path);
	return is_of_this_version (path, &current, error) && store_copy_check_sum (path, error) && (!current || read_through (path, cancel, error));
}

/* ---- Making ---- */

static gboolean
level (const char *from, const char *to, Cancel *cancel, StoreBackup *out, GError **error)
{
	g_autoptr (StoreCopy) c = store_copy_new (from, to, error);
	return c && store_copy_bulk (c, 0, cancel, NULL, NULL, error) && store_copy_level (c, &out->rows, error);
}

/* Only what is whole is put in the place of what is there: what is damaged would take a sound one away. */
static gboolean
make_whole (const char *from, const char *to, Cancel *cancel, StoreBackup *out, GError **error)
{
	g_autofree char *fresh = g_strconcat (to, ".new", NULL);
	out->whole = TRUE;
	gboolean ok = remove_files (fresh, TRUE, error) && level (from, fresh, cancel, out, error) && take_in_log (fresh, error) &&
	              read_through (fresh, cancel, error) && put_in_place (fresh, to, error);
	if (!ok)
		remove_files (fresh, TRUE, NULL);
	return ok;
}

gboolean
store_backup (const char *from, const char *to, Cancel *cancel, StoreBackup *out, GError **error)
{
	g_autoptr (GError) local = NULL;
	*out = (StoreBackup){0};
	if (!g_file_test (to, G_FILE_TEST_EXISTS))
		return make_whole (from, to, cancel, out, error);
	if (level (from, to, cancel, out, &local))
		return TRUE;
	/* of another version, of another past (the home was restored), or damaged */
	if (error_is (local, ERROR_CONFLICT) || error_is (local, ERROR_EXISTS) || error_is (local, ERROR_CORRUPT))
		return make_whole (from, to, cancel, out, error);
	g_propagate_error (error, g_steal_pointer (&local));
	return FALSE;
}

/* ---- Restoring ---- */

/* Where nothing is known of the present. */
static const char unknown_present[] =
	"ATTACH ':memory:' AS now; CREATE TABLE now.meta (modseq INTEGER); CREATE TABLE now.folder (id INTEGER, object_id BLOB, uidnext INTEGER);"
	"CREATE TABLE now.placement (folder INTEGER, uid INTEGER); CREATE TABLE now.setting (name TEXT, value TEXT);";

/* `ahead`: the UIDs that each folder leaves out, lo up to next; one that has not so many any more is left alone. `back`: messages that the present has not where
 * they are, in folders that it has. */
static const char compared[] =
	"CREATE TEMP TABLE ahead AS SELECT f.id AS folder, f.uidnext AS lo, " TEXT_OF (JUMP) " +"
	" MAX (f.uidnext, IFNULL ((SELECT n.uidnext FROM now.folder n WHERE n.object_id = f.object_id), 0)) AS next FROM main.folder f;"
	"DELETE FROM temp.ahead WHERE next > " TEXT_OF (UID_MAX) " - " TEXT_OF (JUMP) ";"
	"CREATE TEMP TABLE back (placement INTEGER PRIMARY KEY, folder INTEGER, uid INTEGER, n INTEGER);"
	"INSERT INTO back SELECT p.id, p.folder, p.uid, ROW_NUMBER () OVER (PARTITION BY p.folder ORDER BY p.uid) - 1 FROM main.placement p"
	" JOIN main.folder f ON f.id = p.folder JOIN temp.ahead a ON a.folder = f.id JOIN now.folder n ON n.object_id = f.object_id"
	" WHERE NOT EXISTS (SELECT 1 FROM now.placement q WHERE q.folder = n.id AND q.uid = p.uid);";

static const char newer[] = "SELECT COUNT (*) FROM now.folder n JOIN now.placement q ON q.folder = n.id LEFT JOIN main.folder f ON f.object_id = n.object_id"
			    " WHERE f.id IS NULL OR q.uid >= f.uidnext";

/* ?1: the number of the change sequence that everything takes. */
static const char *const jump[] = {
	"INSERT OR REPLACE INTO main.setting SELECT 'uidvalidity', CAST (65536 + MAX (CAST (strftime ('%s') AS INTEGER),"
	" IFNULL ((SELECT CAST (value AS INTEGER) FROM main.setting WHERE name = 'uidvalidity'), 0),"
	" IFNULL ((SELECT CAST (value AS INTEGER) FROM now.setting WHERE name = 'uidvalidity'), 0)) AS TEXT)",
	"UPDATE main.folder SET uidvalidity = (SELECT CAST (value AS INTEGER) FROM main.setting WHERE name = 'uidvalidity') WHERE id NOT IN (SELECT folder FROM temp.ahead)",
	"INSERT INTO main.removal (folder, modseq, lo, hi) SELECT folder, ?1, uid, uid FROM temp.back",
	"INSERT INTO main.removal (folder, modseq, lo, hi) SELECT folder, ?1, lo, next - 1 FROM temp.ahead",
	"UPDATE main.placement SET uid = (SELECT a.next + b.n FROM temp.back b JOIN temp.ahead a ON a.folder = b.folder WHERE b.placement = placement.id)"
	" WHERE id IN (SELECT placement FROM temp.back)",
	"UPDATE main.folder SET uidnext = (SELECT a.next + (SELECT COUNT (*) FROM temp.back b WHERE b.folder = a.folder) FROM temp.ahead a WHERE a.folder = folder.id)"
	" WHERE id IN (SELECT folder FROM temp.ahead)",
	"UPDATE main.folder SET modseq = ?1, changed_modseq = ?1",
	"UPDATE main.placement SET modseq = ?1",
	"UPDATE main.sqlite_sequence SET seq = seq + " TEXT_OF (JUMP),
	"UPDATE main.meta SET role = 'home', modseq = ?1",
};

static gboolean
jump_ahead (Db *db, StoreRestored *out, GError **error)
{
	gint64 modseq = db_number (db, "SELECT MAX (m.modseq, IFNULL ((SELECT modseq FROM now.meta), 0)) FROM main.meta m", -1, "");
	if (modseq < 0)
		return db_fail (db, "reading", error);
	gboolean ok = db_exec (db, compared, error);
	out->newer = (guint64) db_number (db, newer, 0, "");
	out->back = (guint64) db_number (db, "SELECT COUNT (*) FROM temp.back", 0, "");
	out->messages = (guint64) db_number (db, "SELECT COUNT (*) FROM main.placement", 0, "");
	for (guint i = 0; ok && i < G_N_ELEMENTS (jump); i++)
		ok = strstr (jump[i], "?1") ? db_run (db, jump[i], error, "i", modseq + MODSEQ_JUMP) : db_run (db, jump[i], error, "");
	return ok;
}

/* One that can't be read is none. */
static gboolean
attach_present (Db *db, const char *present, GError **error)
{
	g_autoptr (Store) s = present && g_file_test (present, G_FILE_TEST_EXISTS) ? store_open (present, 0, NULL) : NULL;
	gboolean known = s && db_run (db, "ATTACH ?1 AS now", NULL, "s", present);
	if (known && db_number (db, "SELECT now.meta.mailbox_id = main.meta.mailbox_id AND EXISTS (SELECT 1 FROM now.folder) FROM now.meta, main.meta", 0, "") == 1)
		return TRUE;
	return (!known || db_exec (db, "DETACH now", error)) && db_exec (db, unknown_present, error);
}

/* A plain transaction: that of db_begin would want to write to the present, too. */
static gboolean
give_numbers (const char *to, const char *present, StoreRestored *out, GError **error)
{
	g_autoptr (Db) db = db_open (to, FALSE, FALSE, error);
	if (!db || !attach_present (db, present, error) || !db_exec (db, "BEGIN", error))
		return FALSE;
	gboolean ok = jump_ahead (db, out, error) && db_exec (db, "COMMIT", error);
	if (!ok)
		db_exec (db, "ROLLBACK", NULL);
	return ok && db_exec (db, "PRAGMA main.wal_checkpoint(TRUNCATE)", error);
}

static gboolean
copy_back (const char *backup, const char *to, GError **error)
{
	take_back_half (backup);
	g_autoptr (Db) db = db_open (backup, TRUE, FALSE, error);
	return db && db_copy (db, to, NULL, NULL, error);
}

/* Of an older version it is brought up to date; its own table goes. */
static gboolean
make_home (const char *to, GError **error)
{
	g_autoptr (Store) s = store_open (to, 0, error);
	return s && db_exec (store_db (s), "DROP TABLE backup", error);
}

gboolean
store_restore (const char *backup, const char *to, const char *present, Cancel *cancel, StoreRestored *out, GError **error)
{
	*out = (StoreRestored){0};
	gboolean ok = remove_files (to, TRUE, error) && copy_back (backup, to, error) && store_copy_check_sum (to, error) && make_home (to, error) &&
	              read_through (to, cancel, error) && give_numbers (to, present, out, error);
	if (!ok)
		remove_files (to, TRUE, NULL);
	return ok;
}
