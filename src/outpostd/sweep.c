/* SPDX-License-Identifier: Apache-2.0 */
/* Mailboxes in three steps, each of which may come twice: their ids are written to a file; the directory forgets them; the stores of those ids that it does not
 * have are removed, and then the file. So no store is removed that somebody could have, and none stays behind that nobody can. */
#include "sweep.h"
#include "backup.h"
#include "move.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DAY 86400
#define BREATH_MS 10

typedef struct {
	Host *host;
	Directory *d;
	gint64 now, before;
	guint how;
	Cancel *cancel;
	SweepTold told;
	gpointer data;
} Sweep;

/* ---- Messages ---- */

static gboolean
is_due (const Sweep *s, Store *store)
{
	g_autofree char *last = s->how & SWEEP_DAILY ? store_setting (store, "last-sweep") : NULL;
	return !last || s->now - g_ascii_strtoll (last, NULL, 10) >= DAY;
}

/* What is dry is done, too, and taken back. */
static gboolean
sweep_store (const Sweep *s, Store *store, guint64 *messages_out, GError **error)
{
	g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, s->now);
	gboolean ok = store_begin (store, error) && store_sweep (store, s->before, messages_out, error) &&
	              (s->how & SWEEP_DRY || (store_set_setting (store, "last-sweep", text, error) && store_commit (store, error)));
	store_rollback (store);
	return ok;
}

static void
sweep_messages (const Sweep *s, const DirectoryMailbox *m)
{
	g_autoptr (GError) error = NULL;
	g_autofree char *path = host_store_path (s->host, m->id);
	g_autoptr (Store) store = store_open (path, 0, &error);
	guint64 messages = 0;
	gboolean ok = store && (!is_due (s, store) || sweep_store (s, store, &messages, &error));
	if (!ok || messages)
		s->told (s->data, m, FALSE, messages, error);
}

/* FALSE: it is to end. */
static gboolean
take_breath (const Sweep *s, GError **error)
{
	struct pollfd wait = {cancel_fd (s->cancel), POLLIN, 0};
	if (s->how & SWEEP_DAILY)
		poll (&wait, 1, BREATH_MS);
	return cancel_check (s->cancel, error);
}

/* Several servers may share the directory. */
static gboolean
is_ours (const Sweep *s, const DirectoryMailbox *m)
{
	return g_strcmp0 (m->server, s->host->server) == 0;
}

static gboolean
sweep_all_messages (const Sweep *s, GError **error)
{
	g_autoptr (GPtrArray) all = directory_mailboxes (s->d, FALSE, error);
	gboolean on = all != NULL;
	for (guint i = 0; on && i < all->len; i++) {
		if (!is_ours (s, all->pdata[i]))
			continue;
		sweep_messages (s, all->pdata[i]);
		on = take_breath (s, error);
	}
	return on;
}

/* ---- Mailboxes ---- */

static char *
list_path (const Sweep *s)
{
	return g_build_filename (s->host->folder, "purging", NULL);
}

/* The last step, of the ids in the file. */
static gboolean
remove_stores (const Sweep *s, GError **error)
{
	g_autofree char *path = list_path (s), *text = NULL;
	g_autoptr (GError) local = NULL;
	if (!g_file_get_contents (path, &text, NULL, &local))
		return g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) || error_fail (error, ERROR_IO, "%s", local->message);
	g_auto (GStrv) ids = g_strsplit (text, "\n", -1);
	for (char **id = ids; *id && **id; id++) {
		g_autoptr (GError) no = NULL;
		g_autoptr (DirectoryMailbox) m = directory_mailbox (s->d, *id, &no);
		if (!m && !error_is (no, ERROR_NOT_FOUND)) {
			g_propagate_error (error, g_steal_pointer (&no));
			return FALSE;
		}
		if (!m)
			host_remove_store (s->host, *id);
	}
	return g_unlink (path) == 0 || error_set_errno (error, errno, "removing %s", path);
}

static gboolean
note_ids (const Sweep *s, const GPtrArray *due, GError **error)
{
	g_autofree char *path = list_path (s);
	g_autoptr (GString) text = g_string_new (NULL);
	g_autoptr (GError) local = NULL;
	for (guint i = 0; i < due->len; i++)
		g_string_append_printf (text, "%s\n", ((const DirectoryMailbox *) due->pdata[i])->id);
	return g_file_set_contents_full (path, text->str, (gssize) text->len, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &local) ||
	       error_fail (error, ERROR_IO, "%s", local->message);
}

static gboolean
forget (const Sweep *s, const GPtrArray *due, GError **error)
{
	if (!note_ids (s, due, error))
		return FALSE;
	g_autoptr (GPtrArray) forgotten = directory_purge (s->d, s->host->server, s->before, error);
	return forgotten && remove_stores (s, error);
}

static gboolean
sweep_mailboxes (const Sweep *s, GError **error)
{
	g_autoptr (GPtrArray) all = directory_mailboxes (s->d, TRUE, error), due = g_ptr_array_new ();
	for (guint i = 0; all && i < all->len; i++)
		if (((const DirectoryMailbox *) all->pdata[i])->deleted < s->before && is_ours (s, all->pdata[i]))
			g_ptr_array_add (due, all->pdata[i]);
	if (!all || (due->len && !(s->how & SWEEP_DRY) && !forget (s, due, error)))
		return FALSE;
	for (guint i = 0; i < due->len; i++)
		s->told (s->data, due->pdata[i], TRUE, 0, NULL);
	return TRUE;
}

/* ---- Stores of mailboxes that have moved away ---- */

static gboolean
sweep_moved (const Sweep *s, GError **error)
{
	g_autoptr (GPtrArray) all = directory_moves (s->d, FALSE, error);
	for (guint i = 0; all && i < all->len; i++) {
		const DirectoryMove *m = all->pdata[i];
		g_autofree char *name = move_store_name (m);
		if (m->state == MOVE_DONE && m->ended < s->before && g_strcmp0 (m->source, s->host->server) == 0)
			host_remove_store (s->host, name);
	}
	return all != NULL;
}

/* ---- One at a time ---- */

static int
lock (const Host *h, GError **error)
{
	g_autofree char *path = g_build_filename (h->folder, "purging.lock", NULL);
	int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0 && errno == EWOULDBLOCK)
		error_fail (error, ERROR_CONFLICT, "another process purges %s already", h->folder);
	else
		error_set_errno (error, errno, "locking %s", path);
	if (fd >= 0)
		close (fd);
	return -1;
}

gboolean
sweep_run (Host *h, gint64 now, guint how, Cancel *cancel, SweepTold told, gpointer data, GError **error)
{
	Sweep s = {.host = h, .d = host_directory (h, error), .now = now, .before = now - HOST_KEPT_DAYS * DAY, .how = how, .cancel = cancel, .told = told,
	           .data = data};
	int fd = s.d && (h->server || host_enrol (h, error)) ? lock (h, error) : -1;
	if (fd < 0)
		return FALSE;
	gboolean ok = (how & SWEEP_DRY || remove_stores (&s, error)) && sweep_mailboxes (&s, error) && (how & SWEEP_DRY || (sweep_moved (&s, error) && backup_sweep (h, s.before, error))) &&
	              sweep_all_messages (&s, error);
	close (fd);
	return ok;
}
