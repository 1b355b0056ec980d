/* SPDX-License-Identifier: Apache-2.0 */
/* Telling others of a change: who commits touches the file afterwards, and who watches has an inotify on that. Writes to the log beside
 * would be told before they can be read, and nothing at all is told of shared memory. The touch is made by name: closing a descriptor
 * of the file would drop the locks that SQLite has on it. */
#include "store-private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

void
store_tell (const Store *s)
{
	if (utimensat (AT_FDCWD, s->path, NULL, 0) != 0)
		g_debug ("store: nobody is told of the change: %s", g_strerror (errno));
}

struct StoreWatch {
	int fd;
	gsize at, end;
	_Alignas (struct inotify_event) char buffer[4096];
};

StoreWatch *
store_watch_new (GError **error)
{
	int fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0) {
		error_set_errno (error, errno, "watching stores (fs.inotify.max_user_instances may be too low)");
		return NULL;
	}
	StoreWatch *w = g_new0 (StoreWatch, 1);
	w->fd = fd;
	return w;
}

void
store_watch_free (StoreWatch *w)
{
	if (!w)
		return;
	close (w->fd);
	g_free (w);
}

int
store_watch_fd (const StoreWatch *w)
{
	return w->fd;
}

int
store_watch_add (StoreWatch *w, const char *path, GError **error)
{
	int number = inotify_add_watch (w->fd, path, IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF);
	if (number < 0)
		error_set_errno (error, errno, "watching the store %s", path);
	return number;
}

void
store_watch_remove (StoreWatch *w, int number)
{
	if (inotify_rm_watch (w->fd, number) != 0)
		g_debug ("store: a watch has ended by itself");
}

gboolean
store_watch_next (StoreWatch *w, int *number_out, gboolean *there_out)
{
	if (w->at == w->end) {
		ssize_t n = read (w->fd, w->buffer, sizeof w->buffer);
		w->at = 0;
		w->end = n > 0 ? (gsize) n : 0;
		if (n <= 0)
			return FALSE;
	}
	const struct inotify_event *e = (const struct inotify_event *) (const void *) (w->buffer + w->at);
	w->at += sizeof *e + e->len;
	*number_out = e->mask & IN_Q_OVERFLOW ? STORE_WATCH_ALL : e->wd;
	*there_out = !(e->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED));
	return TRUE;
}
