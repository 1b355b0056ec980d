/* SPDX-License-Identifier: Apache-2.0 */
/* Folders: one row a folder, names by level; paths are put together at reading. */
#include "store-private.h"
#include <string.h>

#define NAME_MAX_OCTETS 1000

#define FOLDER_COLUMNS "id, IFNULL (parent, 0), object_id, name, role, subscribed, selectable, local_only, uidvalidity, uidnext, total," \
                       " unread, modseq, changed_modseq, octets"

void
folder_free (Folder *f)
{
	if (!f)
		return;
	g_free (f->name);
	g_free (f->path);
	g_free (f->role);
	g_free (f);
}

static Folder *
read_folder (DbQuery *q)
{
	Folder *f = g_new0 (Folder, 1);
	gsize size;
	f->id = db_int (q, 0);
	f->parent = db_int (q, 1);
	const void *id = db_blob (q, 2, &size);
	memcpy (f->object_id.bytes, id, MIN (size, (gsize) ID_SIZE));
	f->name = db_dup (q, 3);
	f->role = db_dup (q, 4);
	f->subscribed = db_int (q, 5) != 0;
	f->selectable = db_int (q, 6) != 0;
	f->local_only = db_int (q, 7) != 0;
	f->uidvalidity = (guint32) db_int (q, 8);
	f->uidnext = (guint32) db_int (q, 9);
	f->total = (guint32) db_int (q, 10);
	f->unread = (guint32) db_int (q, 11);
	f->modseq = (guint64) db_int (q, 12);
	f->changed_modseq = (guint64) db_int (q, 13);
	f->octets = (guint64) db_int (q, 14);
	return f;
}

/* A folder that a damage put below itself ends at its own name. */
static void
set_path (Folder *f, GHashTable *by_id, int depth)
{
	if (f->path)
		return;
	f->path = g_strdup (f->name);
	Folder *parent = f->parent && depth < FOLDER_DEPTH_MAX ? g_hash_table_lookup (by_id, &f->parent) : NULL;
	if (!parent)
		return;
	set_path (parent, by_id, depth + 1);
	char *path = g_strconcat (parent->path, "/", f->name, NULL);
	g_free (f->path);
	f->path = path;
}

static int
compare_folders (gconstpointer a, gconstpointer b)
{
	const Folder *x = *(Folder *const *) a, *y = *(Folder *const *) b;
	gboolean xi = g_ascii_strcasecmp (x->path, "INBOX") == 0, yi = g_ascii_strcasecmp (y->path, "INBOX") == 0;
	return xi != yi ? yi - xi : strcmp (x->path, y->path);
}

GPtrArray *
store_folders (Store *s, GError **error)
{
	if (!store_flush_for_reading (s, error))
		return NULL;
	g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) folder_free);
	g_autoptr (GHashTable) by_id = g_hash_table_new (g_int64_hash, g_int64_equal);
	DbQuery *q = db_query (s->db, "SELECT " FOLDER_COLUMNS " FROM folder", "");
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		Folder *f = read_folder (q);
		g_ptr_array_add (list, f);
		g_hash_table_insert (by_id, &f->id, f);
	}
	if (r < 0)
		return NULL;
	for (guint i = 0; i < list->len; i++)
		set_path (list->pdata[i], by_id, 0);
	g_ptr_array_sort (list, compare_folders);
	return g_steal_pointer (&list);
}

static Folder *
take (GPtrArray *list, guint i)
{
	Folder *f = list->pdata[i];
	list->pdata[i] = NULL;
	return f;
}

/* Names joined by '/'; NULL without error when there is no such folder. */
static char *
path_of (Store *s, gint64 folder, GError **error)
{
	DbQuery *q = db_query (s->db, "WITH RECURSIVE up (parent, path, depth) AS (SELECT parent, name, 1 FROM folder WHERE id = ?1 UNION ALL"
	                              " SELECT f.parent, f.name || '/' || up.path, depth + 1 FROM up JOIN folder f ON f.id = up.parent"
	                              " WHERE depth < ?2) SELECT path FROM up ORDER BY depth DESC LIMIT 1", "iI", folder, FOLDER_DEPTH_MAX);
	char *path = db_step (s->db, q, error) > 0 ? db_dup (q, 0) : NULL;
	db_reset (q);
	return path;
}

gboolean
store_has_folder (Store *s, gint64 id, gboolean *there_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT 1 FROM folder WHERE id = ?1", "i", id);
	int r = db_step (s->db, q, error);
	*there_out = r > 0;
	db_reset (q);
	return r >= 0;
}

Folder *
store_folder (Store *s, gint64 id, GError **error)
{
	if (!store_flush_for_reading (s, error))
		return NULL;
	DbQuery *q = db_query (s->db, "SELECT " FOLDER_COLUMNS " FROM folder WHERE id = ?1", "i", id);
	int r = db_step (s->db, q, error);
	g_autoptr (Folder) f = r > 0 ? read_folder (q) : NULL;
	db_reset (q);
	if (r == 0)
		error_fail (error, ERROR_NOT_FOUND, "the folder is gone");
	return f && (f->path = path_of (s, id, error)) ? g_steal_pointer (&f) : NULL;
}

guint64
store_folder_modseq (Store *s, gint64 id)
{
	g_assert (!store_in_transaction (s)); /* where it is written at the end only */
	return (guint64) db_number (s->db, "SELECT changed_modseq FROM folder WHERE id = ?1", 0, "i", id);
}

static char *
near_misses (const GPtrArray *list, const char *path)
{
	g_autofree char *wanted = g_utf8_casefold (path, -1);
	GString *names = g_string_new (NULL);
	for (guint i = 0; i < list->len; i++) {
		const Folder *f = list->pdata[i];
		g_autofree char *folded = g_utf8_casefold (f->path, -1);
		if (*g_strstrip (folded) && (strstr (folded, wanted) || strstr (wanted, folded)))
			g_string_append_printf (names, "%s'%s'", names->len ? ", " : "", f->path);
	}
	return g_string_free (names, FALSE);
}

Folder *
store_folder_by_path (Store *s, const char *path, GError **error)
{
	g_autoptr (GPtrArray) list = store_folders (s, error);
	if (!list)
		return NULL;
	for (guint i = 0; i < list->len; i++) {
		const Folder *f = list->pdata[i];
		if (strcmp (f->path, path) == 0 || (g_ascii_strcasecmp (path, "INBOX") == 0 && g_ascii_strcasecmp (f->path, "INBOX") == 0))
			return take (list, i);
	}
	g_autofree char *near = near_misses (list, path);
	error_fail (error, ERROR_NOT_FOUND, "there is no folder '%s'%s%s%s", path, *near ? ": did you mean " : "", near, *near ? "?" : "");
	return NULL;
}

Folder *
store_folder_by_role (Store *s, const char *role, GError **error)
{
	g_autoptr (GPtrArray) list = store_folders (s, error);
	for (guint i = 0; list && i < list->len; i++)
		if (g_strcmp0 (((Folder *) list->pdata[i])->role, role) == 0)
			return take (list, i);
	return NULL;
}

gint64
store_folder_child (Store *s, gint64 parent, const char *name)
{
	if (parent == 0 && g_ascii_strcasecmp (name, "INBOX") == 0)
		return db_number (s->db, "SELECT id FROM folder WHERE IFNULL (parent, 0) = 0 AND name = 'INBOX' COLLATE NOCASE", 0, "");
	return db_number (s->db, "SELECT id FROM folder WHERE IFNULL (parent, 0) = ?1 AND name = ?2", 0, "is", parent, name);
}

static gboolean
check_name (Store *s, gint64 parent, const char *name, gint64 self, GError **error)
{
	if (!*name || strlen (name) > NAME_MAX_OCTETS || !g_utf8_validate (name, -1, NULL))
		return error_fail (error, ERROR_USAGE, "a folder's name must be 1 to %d octets of UTF-8", NAME_MAX_OCTETS);
	gint64 other = store_folder_child (s, parent, name);
	return other == 0 || other == self || error_fail (error, ERROR_EXISTS, "there is a folder '%s' already", name);
}

/* Levels from the top to @folder (0 for no folder). */
static gint64
depth_of (Store *s, gint64 folder)
{
	return db_number (s->db, "WITH RECURSIVE up (id, depth) AS (SELECT ?1, 1 WHERE ?1 != 0 UNION ALL SELECT f.parent, depth + 1 FROM up"
	                         " JOIN folder f ON f.id = up.id WHERE f.parent IS NOT NULL AND depth <= ?2) SELECT MAX (depth) FROM up", 0, "iI",
	                  folder, FOLDER_DEPTH_MAX);
}

/* Levels from @folder to the deepest below it, itself included. */
static gint64
height_of (Store *s, gint64 folder)
{
	return db_number (s->db, "WITH RECURSIVE down (id, height) AS (SELECT ?1, 1 UNION ALL SELECT f.id, height + 1 FROM down"
	                         " JOIN folder f ON IFNULL (f.parent, 0) = down.id WHERE height <= ?2) SELECT MAX (height) FROM down", 1, "iI", folder,
	                  FOLDER_DEPTH_MAX);
}

static gboolean
check_depth (Store *s, gint64 parent, gint64 levels, GError **error)
{
	return depth_of (s, parent) + levels <= FOLDER_DEPTH_MAX ||
	       error_fail (error, ERROR_TOO_BIG, "a folder can't lie deeper than %d levels", FOLDER_DEPTH_MAX);
}

/* UIDVALIDITY is the time, but always above every one handed out before. */
static gboolean
mint_validity (Store *s, guint32 *validity_out, GError **error)
{
	gint64 highest = db_number (s->db, "SELECT CAST (value AS INTEGER) FROM setting WHERE name = 'uidvalidity'", 0, "");
	gint64 validity = MAX (g_get_real_time () / G_USEC_PER_SEC, highest + 1);
	char text[32];
	g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, validity);
	*validity_out = (guint32) validity;
	return store_set_setting (s, "uidvalidity", text, error);
}

gboolean
store_folder_create (Store *s, const NewFolder *n, gint64 *id_out, GError **error)
{
	g_assert (store_in_transaction (s));
	guint32 validity;
	if (!check_name (s, n->parent, n->name, 0, error) || !check_depth (s, n->parent, 1, error) || !mint_validity (s, &validity, error))
		return FALSE;
	Id128 id = id128_random ();
	gint64 modseq = (gint64) store_next_modseq (s);
	if (!db_run (s->db, "INSERT INTO folder (object_id, parent, name, role, subscribed, selectable, local_only, uidvalidity, created_modseq,"
	                    " modseq, changed_modseq) VALUES (?1, NULLIF (?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?9)", error, "bissIIIii",
	             id.bytes, (gsize) ID_SIZE, n->parent, n->name, n->role, n->subscribed != 0, n->selectable != 0, n->local_only != 0,
	             (gint64) validity, modseq))
		return FALSE;
	if (id_out)
		*id_out = db_last_id (s->db);
	return TRUE;
}

gboolean
store_folder_create_path (Store *s, const char *path, gint64 *id_out, GError **error)
{
	g_assert (store_in_transaction (s));
	g_auto (GStrv) levels = g_strsplit (path, "/", FOLDER_DEPTH_MAX + 1);
	gint64 parent = 0;
	if (g_strv_length (levels) > FOLDER_DEPTH_MAX)
		return error_fail (error, ERROR_TOO_BIG, "a folder can't lie deeper than %d levels", FOLDER_DEPTH_MAX);
	for (guint i = 0; levels[i]; i++) {
		gint64 id = store_folder_child (s, parent, levels[i]);
		NewFolder n = {parent, levels[i], NULL, TRUE, TRUE, FALSE};
		if (id && !levels[i + 1])
			return error_fail (error, ERROR_EXISTS, "there is a folder '%s' already", path);
		if (!id && !store_folder_create (s, &n, &id, error))
			return FALSE;
		parent = id;
	}
	if (id_out)
		*id_out = parent;
	return parent != 0 || error_fail (error, ERROR_USAGE, "a folder needs a name");
}

gboolean
store_folder_last_path (Store *s, gint64 folder, char **path_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT path FROM folder_removal WHERE folder = ?1", "i", folder);
	int r = db_step (s->db, q, error);
	*path_out = r > 0 ? db_dup (q, 0) : NULL;
	db_reset (q);
	return r >= 0;
}

const char *
store_folder_path (Store *s, gint64 folder, GError **error)
{
	FolderDelta *d = store_delta (s, folder);
	if (d->path)
		return d->path;
	GError *e = NULL;
	d->path = path_of (s, folder, &e);
	if (!d->path && !e)
		error_fail (&e, ERROR_NOT_FOUND, "the folder is gone");
	if (e)
		g_propagate_error (error, e);
	return d->path;
}

/* Names have changed: paths read in this transaction may be wrong. */
static void
forget_paths (Store *s)
{
	GHashTableIter it;
	gpointer delta;
	g_hash_table_iter_init (&it, s->deltas);
	while (g_hash_table_iter_next (&it, NULL, &delta))
		g_clear_pointer (&((FolderDelta *) delta)->path, g_free);
}

static gboolean
is_below (Store *s, gint64 folder, gint64 ancestor)
{
	int depth = 0;
	for (; folder && depth < FOLDER_DEPTH_MAX; depth++) {
		if (folder == ancestor)
			return TRUE;
		folder = db_number (s->db, "SELECT parent FROM folder WHERE id = ?1", 0, "i", folder);
	}
	return depth == FOLDER_DEPTH_MAX;
}

gboolean
store_folder_rename (Store *s, gint64 id, gint64 parent, const char *name, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!check_name (s, parent, name, id, error))
		return FALSE;
	forget_paths (s);
	if (is_below (s, parent, id))
		return error_fail (error, ERROR_USAGE, "a folder can't be moved below itself");
	if (!check_depth (s, parent, height_of (s, id), error))
		return FALSE;
	gint64 modseq = (gint64) store_next_modseq (s);
	if (!db_run (s->db, "UPDATE folder SET parent = NULLIF (?2, 0), name = ?3, modseq = ?4, changed_modseq = ?4 WHERE id = ?1", error, "iisi",
	             id, parent, name, modseq))
		return FALSE;
	return db_changes (s->db) == 1 || error_fail (error, ERROR_NOT_FOUND, "the folder is gone");
}

gboolean
store_folder_set (Store *s, gint64 id, const char *role, gboolean subscribed, gboolean selectable, GError **error)
{
	gint64 modseq = (gint64) store_next_modseq (s);
	if (!db_run (s->db, "UPDATE folder SET role = ?2, subscribed = ?3, selectable = ?4, modseq = ?5, changed_modseq = ?5 WHERE id = ?1",
	             error, "isIIi", id, role, subscribed != 0, selectable != 0, modseq))
		return FALSE;
	return db_changes (s->db) == 1 || error_fail (error, ERROR_NOT_FOUND, "the folder is gone");
}

static gboolean
collect_id (gpointer data, const Placement *p)
{
	g_array_append_val ((GArray *) data, p->id);
	return TRUE;
}

static gboolean
remove_placements (Store *s, gint64 folder, const char *cause, GError **error)
{
	g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!store_each_placement (s, folder, 0, collect_id, ids, error))
		return FALSE;
	for (guint i = 0; i < ids->len; i++)
		if (!store_remove (s, g_array_index (ids, gint64, i), cause, error))
			return FALSE;
	return TRUE;
}

gboolean
store_folder_delete (Store *s, gint64 id, const char *cause, GError **error)
{
	g_assert (store_in_transaction (s));
	g_autoptr (Folder) f = store_folder (s, id, error);
	if (!f)
		return FALSE;
	if (db_number (s->db, "SELECT COUNT (*) FROM folder WHERE parent = ?1", 0, "i", id))
		return error_fail (error, ERROR_CONFLICT, "the folder '%s' has folders below it: delete those first", f->path);
	if (!remove_placements (s, id, cause, error))
		return FALSE;
	gint64 modseq = (gint64) store_next_modseq (s);
	if (!store_flush (s, error))
		return FALSE;
	g_hash_table_remove (s->deltas, &id);
	return db_run (s->db, "INSERT INTO folder_removal VALUES (?1, ?2, ?3, ?4)", error, "ibsi", id, f->object_id.bytes, (gsize) ID_SIZE, f->path,
	               modseq) &&
	       db_run (s->db, "DELETE FROM annotation WHERE folder = ?1", error, "i", id) &&
	       db_run (s->db, "DELETE FROM folder WHERE id = ?1", error, "i", id);
}
