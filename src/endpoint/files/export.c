/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over the store that all formats share; before and after it. */
#include "export-private.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STREAMED ((guint64) 1 << 20) /* bigger messages are read once more beforehand */

/* ---- Messages ---- */

typedef struct {
	Export *x;
	StoreSink sink;
	gpointer data;
	guint64 octets;
} Stream;

static gboolean
pass_on (gpointer data, const void *octets, gsize size, GError **error)
{
	Stream *s = data;
	s->octets += size;
	return cancel_check (s->x->cancel, error) && s->sink (s->data, octets, size, error);
}

gboolean
export_stream (Export *x, const Message *m, StoreSink sink, gpointer data, GError **error)
{
	Stream s = {x, sink, data, 0};
	return store_stream (x->store, m->id, pass_on, &s, error) &&
	       (s.octets == m->size || error_fail (error, ERROR_CORRUPT, "message %" G_GINT64_FORMAT " has %" G_GUINT64_FORMAT " octets instead of %"
	                                           G_GUINT64_FORMAT ": run 'outpost store check'", m->id, s.octets, m->size));
}

static gboolean
count_only (gpointer data, const void *octets, gsize size, GError **error)
{
	return TRUE;
}

/* Whether it can be read at all is known before anything of it is written: a tar to standard output takes nothing back. A small one is
 * one frame, which the store keeps for the reading that follows. */
static gboolean
is_readable (Export *x, const Message *m, GError **error)
{
	if (m->size > STREAMED)
		return export_stream (x, m, count_only, NULL, error);
	g_autoptr (GBytes) octets = store_read (x->store, m->id, 0, (gsize) m->size, error);
	return octets && (g_bytes_get_size (octets) == m->size ||
	                  error_fail (error, ERROR_CORRUPT, "message %" G_GINT64_FORMAT " is cut: run 'outpost store check'", m->id));
}

static gboolean
left_out (Export *x, const Folder *f, const Placement *p, GError *e, GError **error)
{
	if (!error_is (e, ERROR_CORRUPT) && !error_is (e, ERROR_NOT_FOUND)) { /* a place of a message that is not there */
		g_propagate_error (error, e);
		return FALSE;
	}
	if (x->damaged++ == 0)
		x->first_damaged = g_strdup_printf ("UID %u of folder '%s': %s", p->uid, f->path, e->message);
	g_error_free (e);
	return TRUE;
}

static gboolean
write_message (Export *x, const Folder *f, const Placement *p, GError **error)
{
	GError *e = NULL;
	g_autoptr (Message) m = store_message (x->store, p->message, &e);
	if (!m || !is_readable (x, m, &e))
		return left_out (x, f, p, e, error);
	x->written++;
	return x->format->message (x, f, p, m, error);
}

/* ---- Folders ---- */

typedef struct {
	Export *x;
	const Folder *folder;
	guint64 done;
	GError *error;
} Walk;

static gboolean
take_placement (gpointer data, const Placement *p)
{
	Walk *w = data;
	if (!cancel_check (w->x->cancel, &w->error) || !write_message (w->x, w->folder, p, &w->error))
		return FALSE;
	if (w->x->progress)
		w->x->progress (w->x->data, w->x->written + w->x->damaged, w->x->total);
	return TRUE;
}

static gboolean
write_folder (Export *x, const Folder *f, GError **error)
{
	Walk w = {x, f, 0, NULL};
	if (!x->format->folder (x, f, error) || !store_each_placement (x->store, f->id, 0, take_placement, &w, error))
		return FALSE;
	if (w.error) {
		g_propagate_error (error, w.error);
		return FALSE;
	}
	return x->format->folder_end (x, f, error);
}

/* Of @all, those that are asked for and can hold messages. */
static GPtrArray *
select_folders (Store *s, const GPtrArray *all, const char *const *paths, GError **error)
{
	g_autoptr (GPtrArray) selected = g_ptr_array_new ();
	g_autoptr (GHashTable) wanted = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	for (guint i = 0; paths && paths[i]; i++) {
		g_autoptr (Folder) f = store_folder_by_path (s, paths[i], error);
		if (!f)
			return NULL;
		g_hash_table_add (wanted, g_memdup2 (&f->id, sizeof f->id));
	}
	for (guint i = 0; i < all->len; i++) {
		Folder *f = all->pdata[i];
		if ((!paths || g_hash_table_contains (wanted, &f->id)) && (f->selectable || f->total))
			g_ptr_array_add (selected, f);
	}
	return g_steal_pointer (&selected);
}

static gboolean
write_all (Export *x, const char *const *paths, GError **error)
{
	g_autoptr (GPtrArray) all = store_folders (x->store, error);
	g_autoptr (GPtrArray) selected = all ? select_folders (x->store, all, paths, error) : NULL;
	if (!selected)
		return FALSE;
	if (x->format == &format_maildir)
		names_maildir (x->names, all);
	else
		names_tree (x->names, all);
	for (guint i = 0; i < selected->len; i++)
		x->total += ((Folder *) selected->pdata[i])->total;
	if (!x->format->begin (x, error))
		return FALSE;
	for (guint i = 0; i < selected->len; i++)
		if (!write_folder (x, selected->pdata[i], error))
			return FALSE;
	return x->format->end (x, error);
}

/* ---- Before and after ---- */

static gboolean
check_target (ExportFormat format, const char *path, gboolean *exists_out, GError **error)
{
	struct stat st;
	*exists_out = FALSE;
	if (format == EXPORT_TAR && strcmp (path, "-") == 0)
		return TRUE;
	if (strcmp (path, "-") == 0)
		return error_fail (error, ERROR_USAGE, "only --format tar can be written to standard output; name a directory");
	if (lstat (path, &st) != 0)
		return errno == ENOENT || error_set_errno (error, errno, "looking at %s", path);
	*exists_out = TRUE;
	if (format == EXPORT_TAR || !S_ISDIR (st.st_mode))
		return error_fail (error, ERROR_EXISTS, "%s exists already: name another place", path);
	g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
	if (!dir)
		return error_fail (error, ERROR_NO_PERMISSION, "the directory %s can't be read", path);
	return !g_dir_read_name (dir) || error_fail (error, ERROR_EXISTS, "the directory %s is not empty: name another one", path);
}

static int
remove_one (const char *path, const struct stat *st, int type, struct FTW *where)
{
	if (where->level > 0 && remove (path) != 0)
		g_debug ("removing %s: %s", path, g_strerror (errno));
	return 0;
}

/* It was absent or empty, so all that is there is ours. */
static void
remove_written (ExportFormat format, const char *path, gboolean existed)
{
	if (format == EXPORT_TAR) {
		if (strcmp (path, "-") != 0)
			unlink (path);
		return;
	}
	nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (!existed)
		rmdir (path);
}

/* Once at the end instead of once a file. */
static gboolean
make_durable (ExportFormat format, const char *path, GError **error)
{
	if (format == EXPORT_TAR && strcmp (path, "-") == 0)
		return TRUE;
	int fd = open (path, O_RDONLY | O_CLOEXEC);
	gboolean ok = fd >= 0 && (format == EXPORT_TAR ? fsync (fd) : syncfs (fd)) == 0;
	if (!ok)
		error_set_errno (error, errno, "writing %s", path);
	if (fd >= 0)
		close (fd);
	return ok;
}

static gboolean
run (Export *x, ExportFormat format, const char *const *folders, GError **error)
{
	gboolean existed;
	if (!check_target (format, x->path, &existed, error) || !store_read_begin (x->store, error))
		return FALSE;
	gboolean ok = write_all (x, folders, error);
	store_read_end (x->store);
	x->format->done (x);
	ok = ok && make_durable (format, x->path, error);
	if (!ok)
		remove_written (format, x->path, existed);
	return ok;
}

gboolean
export_store (Store *s, ExportFormat format, const char *path, const char *const *folders, Cancel *cancel, ExportProgress progress, gpointer data,
              guint64 *messages_out, guint64 *apart_out, GError **error)
{
	static const Format *const formats[] = {&format_maildir, &format_mbox, &format_tar};
	Export x = {.store = s, .format = formats[format], .path = path, .cancel = cancel, .progress = progress, .data = data};
	x.names = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
	gboolean ok = run (&x, format, folders, error);
	if (messages_out)
		*messages_out = ok ? x.written : 0;
	if (apart_out)
		*apart_out = ok ? x.apart : 0;
	if (ok && x.damaged)
		ok = error_fail (error, ERROR_CORRUPT, "%" G_GUINT64_FORMAT " message(s) could not be read and were left out, the first: %s", x.damaged,
		                 x.first_damaged);
	g_hash_table_unref (x.names);
	g_free (x.first_damaged);
	return ok;
}
