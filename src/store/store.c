/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, transactions, the change sequence's counter, settings, the synchronisation lock. */
#include "store-private.h"
#include "schema.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

Db *
store_db (Store *s)
{
	return s->db;
}

const char *
store_path (const Store *s)
{
	return s->path;
}

Id128
store_mailbox_id (const Store *s)
{
	return s->mailbox_id;
}

/* ---- Schema ---- */

static gboolean
create_schema (Store *s, gboolean home, GError **error)
{
	Id128 id = id128_random ();
	g_autofree char *pragmas = g_strdup_printf ("PRAGMA application_id=%d; PRAGMA user_version=%d;", STORE_APPLICATION_ID, STORE_SCHEMA_VERSION);
	return db_exec (s->db, schema_text, error) && db_exec (s->db, pragmas, error) &&
	       db_run (s->db, "INSERT INTO meta (id, mailbox_id, role, created, modseq, indexed_message) VALUES (1, ?1, ?3, ?2, 1, 0)", error, "bis", id.bytes, (gsize) ID_SIZE,
	               (gint64) (g_get_real_time () / G_USEC_PER_SEC), home ? "home" : "replica");
}

/* Version n is reached from n - 1 by the SQL at index n; 1 is schema.sql itself. */
static const char *const migrations[STORE_SCHEMA_VERSION + 1] = {
	[2] = "ALTER TABLE meta ADD COLUMN contents INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE meta ADD COLUMN content_octets INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE meta ADD COLUMN stored_octets INTEGER NOT NULL DEFAULT 0;"
	      "UPDATE meta SET (contents, content_octets, stored_octets) = (" STORED_COUNTS ");"
	      "CREATE INDEX pending_origin ON pending (origin) WHERE origin IS NOT NULL;"
	      "ALTER TABLE removed ADD COLUMN base_flags INTEGER;"
	      "ALTER TABLE removed ADD COLUMN base_keywords TEXT;"
	      "CREATE INDEX removed_change ON removed (message) WHERE base_flags IS NOT NULL;"
	      "ALTER TABLE hold RENAME COLUMN approved TO decision;"
	      "ALTER TABLE placement_binding ADD COLUMN message INTEGER;"
	      "ALTER TABLE placement_binding ADD COLUMN remote_received INTEGER;"
	      "CREATE INDEX message_received ON message (received, size, attachment);"
	      "DROP TABLE fts;"
	      "CREATE VIRTUAL TABLE fts USING fts5 (body, subject, sender, recipients, attachment, content='', columnsize=0, tokenize='ascii');"
	      "UPDATE meta SET indexed_message = 0;",
	/* The index has more words. */
	[3] = "INSERT INTO fts (fts) VALUES ('delete-all'); UPDATE meta SET indexed_message = 0;",
	[4] = "ALTER TABLE hold ADD COLUMN there INTEGER;"
	      "ALTER TABLE hold ADD COLUMN decided INTEGER;"
	      "ALTER TABLE hold ADD COLUMN settled INTEGER;"
	      "ALTER TABLE hold ADD COLUMN newest INTEGER;"
	      "CREATE TABLE hold_message (hold INTEGER NOT NULL REFERENCES hold (id) ON DELETE CASCADE, placement INTEGER NOT NULL,"
	      " message INTEGER NOT NULL, PRIMARY KEY (hold, placement)) STRICT, WITHOUT ROWID;",
	[5] = "ALTER TABLE placement_binding ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;",
	[6] = "ALTER TABLE pending ADD COLUMN message INTEGER;"
	      "ALTER TABLE placement_binding ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;",
	[7] = "ALTER TABLE folder ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;"
	      "UPDATE folder SET octets = " OCTETS_OF_FOLDER ";"
	      "ALTER TABLE placement ADD COLUMN saved INTEGER;"
	      "CREATE TABLE annotation (folder INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (folder, name)) STRICT, WITHOUT ROWID;",
};

static gboolean
migrate_from (Store *s, gint64 version, GError **error)
{
	for (gint64 v = version + 1; v <= STORE_SCHEMA_VERSION; v++) {
		g_autofree char *pragma = g_strdup_printf ("PRAGMA user_version=%" G_GINT64_FORMAT, v);
		g_assert (migrations[v]); /* versions start at 1 */
		if (!db_exec (s->db, migrations[v], error) || !db_exec (s->db, pragma, error))
			return FALSE;
	}
	return TRUE;
}

typedef struct {
	gint64 version, application, objects;
} Marks;

/* All of one moment: another process may just be making the store. */
static gboolean
read_marks (Store *s, Marks *m, GError **error)
{
	if (!db_exec (s->db, "BEGIN", error))
		return FALSE;
	m->version = db_number (s->db, "PRAGMA user_version", -1, "");
	m->application = db_number (s->db, "PRAGMA application_id", -1, "");
	m->objects = db_number (s->db, "SELECT COUNT (*) FROM sqlite_schema", -1, "");
	gboolean ok = (m->version >= 0 && m->application >= 0 && m->objects >= 0) || db_fail (s->db, "reading the version", error);
	db_exec (s->db, "COMMIT", NULL);
	return ok;
}

static gboolean
bring_up_to_date (Store *s, gboolean read_only, gboolean create, gboolean home, GError **error)
{
	Marks m;
	if (!read_marks (s, &m, error))
		return FALSE;
	gint64 version = m.version;
	if (m.application != STORE_APPLICATION_ID && m.objects)
		return error_fail (error, ERROR_CONFLICT, "%s is a database, but not a store of outpost", s->path);
	if (version == 0 && !m.objects && !create)
		return error_fail (error, ERROR_CORRUPT, "the store %s is empty, and what was in it is gone: put a copy back, or have a new one made by "
		                   "'outpost sync --stale-store=replace'", s->path);
	if (version == STORE_SCHEMA_VERSION)
		return read_only || db_use_wal (s->db, error); /* no change, unless another program took it away */
	if (version > STORE_SCHEMA_VERSION)
		return error_fail (error, ERROR_CONFLICT, "the store %s was written by a newer outpost (schema %" G_GINT64_FORMAT
		                   ", this one knows %d): use that one", s->path, version, STORE_SCHEMA_VERSION);
	if (read_only)
		return error_fail (error, ERROR_CONFLICT, "the store %s is of an older version: open it for writing once", s->path);
	gboolean ok = db_begin (s->db, error) &&
	              (db_number (s->db, "PRAGMA user_version", -1, "") == STORE_SCHEMA_VERSION || /* another process was faster */
	               (version == 0 ? create_schema (s, home, error) : migrate_from (s, version, error))) &&
	              db_commit (s->db, error);
	db_rollback (s->db);
	return ok;
}

static gboolean
damaged_identity (const Store *s, GError **error)
{
	return error_fail (error, ERROR_CORRUPT, "the store %s has a damaged identity: run 'outpost store check'", s->path);
}

static gboolean
read_meta (Store *s, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT mailbox_id, role = 'home' FROM meta WHERE length (mailbox_id) = ?1", "I", ID_SIZE);
	int r = db_step (s->db, q, error);
	if (r == 0)
		damaged_identity (s, error);
	gsize size = 0;
	const void *id = r > 0 ? db_blob (q, 0, &size) : NULL;
	memcpy (s->mailbox_id.bytes, id ? id : "", size);
	s->home = r > 0 && db_int (q, 1);
	db_reset (q);
	return r > 0;
}

/* Messages can be read and checked without it; nothing can be synchronised. */
static gboolean
read_identity (Store *s, gboolean lenient, GError **error)
{
	g_autoptr (GError) e = NULL;
	if (read_meta (s, &e) || (lenient && error_is (e, ERROR_CORRUPT)))
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&e));
	return FALSE;
}

static void
free_ddict (gpointer d)
{
	ZSTD_freeDDict (d);
}

static void
delta_free (FolderDelta *d)
{
	uid_set_clear (&d->removed);
	g_free (d->path);
	g_free (d);
}

Store *
store_open (const char *path, StoreOpen flags, GError **error)
{
	gboolean read_only = (flags & STORE_READ_ONLY) != 0;
	Db *db = db_open (path, read_only, (flags & STORE_CREATE) != 0, error);
	if (!db)
		return NULL;
	Store *s = g_new0 (Store, 1);
	s->db = db;
	s->path = g_strdup (path);
	s->lock_fd = -1;
	s->for_repair = (flags & STORE_FOR_REPAIR) != 0;
	s->deltas = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, (GDestroyNotify) delta_free);
	g_mutex_init (&s->dictionary_lock);
	s->ddicts = g_hash_table_new_full (NULL, NULL, NULL, free_ddict);
	if (!bring_up_to_date (s, read_only, (flags & STORE_CREATE) != 0, (flags & STORE_HOME) != 0, error) || !read_identity (s, read_only || (flags & STORE_FOR_REPAIR), error)) {
		store_close (s);
		return NULL;
	}
	return s;
}

void
store_close (Store *s)
{
	if (!s)
		return;
	store_rollback (s);
	store_read_end (s);
	content_done (s);
	db_close (s->db);
	if (s->lock_fd >= 0)
		close (s->lock_fd);
	g_hash_table_unref (s->deltas);
	g_hash_table_unref (s->ddicts);
	g_mutex_clear (&s->dictionary_lock);
	g_free (s->path);
	g_free (s);
}

/* ---- Transactions ---- */

static gboolean
read_modseq (Store *s, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT modseq, role = 'moved' FROM meta", "");
	int r = db_step (s->db, q, error);
	s->modseq = r > 0 ? (guint64) db_int (q, 0) : 0;
	gboolean moved = r > 0 && db_int (q, 1);
	db_reset (q);
	if (moved)
		return error_fail (error, ERROR_UNAVAILABLE, "the mailbox is at home elsewhere now");
	return r > 0 || (r == 0 && (s->for_repair || damaged_identity (s, error)));
}

gboolean
store_begin (Store *s, GError **error)
{
	g_assert (!s->reading);
	if (!db_begin (s->db, error))
		return FALSE;
	if (!read_modseq (s, error)) {
		store_rollback (s);
		return FALSE;
	}
	s->modseq_changed = FALSE;
	s->began = s->modseq;
	s->dictionary_looked = FALSE;
	s->next_message = s->next_content = 0;
	return TRUE;
}

static gboolean
write_removals (Store *s, FolderDelta *d, GError **error)
{
	for (guint i = 0; i < d->removed.n_ranges; i++)
		if (!db_run (s->db, "INSERT INTO removal (folder, lo, hi, modseq) VALUES (?1, ?2, ?3, ?4)", error, "iiii", d->folder,
		             (gint64) d->removed.ranges[i].lo, (gint64) d->removed.ranges[i].hi, d->changed_modseq))
			return FALSE;
	uid_set_clear (&d->removed);
	return TRUE;
}

static gboolean
write_delta (Store *s, FolderDelta *d, GError **error)
{
	if (!d->changed)
		return TRUE;
	gboolean ok = write_removals (s, d, error) &&
	              db_run (s->db, "UPDATE folder SET total = total + ?2, unread = unread + ?3, changed_modseq = MAX (changed_modseq, ?4),"
	                             " uidnext = MAX (uidnext, ?5), octets = octets + ?6 WHERE id = ?1", error, "iiiiii", d->folder, d->total, d->unread,
	                      d->changed_modseq, (gint64) d->uidnext, d->octets);
	d->total = d->unread = d->octets = 0;
	d->changed = FALSE;
	return ok;
}

static gboolean
write_content_delta (Store *s, GError **error)
{
	ContentDelta *d = &s->contents;
	if (!d->changed)
		return TRUE;
	gboolean ok = db_run (s->db, "UPDATE meta SET contents = contents + ?1, content_octets = content_octets + ?2, stored_octets = stored_octets + ?3",
	                      error, "iii", d->contents, d->octets, d->stored);
	*d = (ContentDelta){0};
	return ok;
}

gboolean
store_flush (Store *s, GError **error)
{
	GHashTableIter it;
	gpointer delta;
	g_hash_table_iter_init (&it, s->deltas);
	while (g_hash_table_iter_next (&it, NULL, &delta))
		if (!write_delta (s, delta, error))
			return FALSE;
	if (!write_content_delta (s, error))
		return FALSE;
	if (s->modseq_changed && !db_run (s->db, "UPDATE meta SET modseq = ?1", error, "i", (gint64) s->modseq))
		return FALSE;
	s->modseq_changed = FALSE;
	return TRUE;
}

gboolean
store_flush_for_reading (Store *s, GError **error)
{
	return !store_in_transaction (s) || store_flush (s, error);
}

gboolean
store_commit (Store *s, GError **error)
{
	g_assert (store_in_transaction (s));
	gboolean ok = store_flush (s, error) && db_commit (s->db, error);
	if (ok)
		g_hash_table_remove_all (s->deltas);
	if (ok && s->modseq != s->began)
		store_tell (s);
	if (!ok)
		store_rollback (s);
	return ok;
}

void
store_rollback (Store *s)
{
	if (g_hash_table_size (s->deltas) || store_in_transaction (s))
		content_forget (s);
	g_hash_table_remove_all (s->deltas);
	s->contents = (ContentDelta){0};
	db_rollback (s->db);
}

gboolean
store_in_transaction (const Store *s)
{
	return db_in_transaction (s->db);
}

gboolean
store_read_begin (Store *s, GError **error)
{
	g_assert (!s->reading && !store_in_transaction (s));
	s->reading = db_run (s->db, "BEGIN", error, "");
	return s->reading;
}

void
store_read_end (Store *s)
{
	if (s->reading)
		db_exec (s->db, "COMMIT", NULL);
	s->reading = FALSE;
}

guint64
store_modseq (Store *s)
{
	if (store_in_transaction (s))
		return s->modseq;
	return (guint64) db_number (s->db, "SELECT modseq FROM meta", 0, "");
}

guint64
store_next_modseq (Store *s)
{
	g_assert (store_in_transaction (s));
	s->modseq_changed = TRUE;
	return ++s->modseq;
}

FolderDelta *
store_delta (Store *s, gint64 folder)
{
	g_assert (store_in_transaction (s));
	FolderDelta *d = g_hash_table_lookup (s->deltas, &folder);
	if (!d) {
		d = g_new0 (FolderDelta, 1);
		d->folder = folder;
		g_hash_table_insert (s->deltas, &d->folder, d);
	}
	return d;
}

guint32
store_take_uid (Store *s, gint64 folder, GError **error)
{
	FolderDelta *d = store_delta (s, folder);
	if (d->uidnext == 0) {
		d->uidnext = (guint32) db_number (s->db, "SELECT uidnext FROM folder WHERE id = ?1", 0, "i", folder);
		if (s->home && d->uidnext)
			store_import_close (s, folder, d);
	}
	d->changed = TRUE;
	if (db_failed (s->db, error))
		return 0;
	if (d->uidnext == 0)
		error_fail (error, ERROR_NOT_FOUND, "the folder is gone");
	else if (d->uidnext == G_MAXUINT32)
		error_fail (error, ERROR_TOO_BIG, "the folder has used up its UIDs");
	else
		return d->uidnext++;
	return 0;
}

/* ---- Settings, index mark, lock ---- */

char *
store_setting (Store *s, const char *name)
{
	DbQuery *q = db_query (s->db, "SELECT value FROM setting WHERE name = ?1", "s", name);
	char *value = db_step (s->db, q, NULL) > 0 ? db_dup (q, 0) : NULL;
	db_reset (q);
	return value;
}

GHashTable *
store_folder_settings (Store *s, const char *what, GError **error)
{
	g_autofree char *from = g_strconcat (what, "-", NULL), *to = g_strconcat (what, ".", NULL); /* the character behind '-' */
	g_autoptr (GHashTable) values = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
	DbQuery *q = db_query (s->db, "SELECT name, value FROM setting WHERE name > ?1 AND name < ?2", "ss", from, to);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		gint64 folder = g_ascii_strtoll (db_text (q, 0) + strlen (from), NULL, 10);
		g_hash_table_insert (values, g_memdup2 (&folder, sizeof folder), db_dup (q, 1));
	}
	return r < 0 ? NULL : g_steal_pointer (&values);
}

gboolean
store_set_setting (Store *s, const char *name, const char *value, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!value)
		return db_run (s->db, "DELETE FROM setting WHERE name = ?1", error, "s", name);
	return db_run (s->db, "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", error, "ss", name,
	               value);
}

gint64
store_indexed_message (Store *s)
{
	return db_number (s->db, "SELECT indexed_message FROM meta", 0, "");
}

gboolean
store_set_indexed_message (Store *s, gint64 message, GError **error)
{
	g_assert (store_in_transaction (s));
	return db_run (s->db, "UPDATE meta SET indexed_message = ?1", error, "i", message);
}

gboolean
store_is_synchronising (Store *s)
{
	g_autofree char *path = g_strconcat (s->path, ".lock", NULL);
	int fd = s->lock_fd < 0 ? open (path, O_RDONLY | O_CLOEXEC) : -1;
	gboolean is = s->lock_fd >= 0 || (fd >= 0 && flock (fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK);
	if (fd >= 0)
		close (fd);
	return is;
}

gboolean
store_lock_sync (Store *s, GError **error)
{
	if (s->lock_fd >= 0)
		return TRUE;
	g_autofree char *path = g_strconcat (s->path, ".lock", NULL);
	char pid[32] = "";
	int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno (error, errno, "opening %s", path);
	if (flock (fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK) {
			error_set_errno (error, errno, "locking %s", path);
			close (fd);
			return FALSE;
		}
		ssize_t n = pread (fd, pid, sizeof pid - 1, 0);
		close (fd);
		return error_fail (error, ERROR_UNAVAILABLE, "another outpost%s%.*s is synchronising this store: wait for it, or end it",
		                   n > 0 ? ", process " : "", (int) MAX (n, 0), pid);
	}
	int n = g_snprintf (pid, sizeof pid, "%d", (int) getpid ());
	if (ftruncate (fd, 0) != 0 || pwrite (fd, pid, (gsize) n, 0) != n)
		g_debug ("the lock %s has no process id: %s", path, g_strerror (errno)); /* it locks all the same */
	s->lock_fd = fd;
	return TRUE;
}
