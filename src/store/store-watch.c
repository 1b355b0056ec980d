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

int
store_watch_open (const char *path, GError **error)
{
	int fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0 || inotify_add_watch (fd, path, IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF) < 0) {
		error_set_errno (error, errno, "watching the store %s", path);
		if (fd >= 0)
			close (fd);
		return -1;
	}
	return fd;
}

gboolean
store_watch_take (int fd)
{
	union {
		struct inotify_event event;
		char octets[4096];
	} buffer;
	gboolean there = TRUE;
	ssize_t n;
	while ((n = read (fd, &buffer, sizeof buffer)) > 0)
		for (const char *at = buffer.octets; at < buffer.octets + n;) {
			const struct inotify_event *e = (const struct inotify_event *) (const void *) at;
			there &= !(e->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED));
			at += sizeof *e + e->len;
		}
	return there;
}
