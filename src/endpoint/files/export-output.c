/* SPDX-License-Identifier: Apache-2.0 */
#include "export-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (256u << 10)

gboolean
output_open (Output *o, const char *path, GError **error)
{
	gboolean standard = strcmp (path, "-") == 0;
	int fd = standard ? fcntl (STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open (path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	*o = (Output){.fd = fd};
	if (fd < 0)
		return error_set_errno (error, errno, "creating %s", standard ? "standard output" : path);
	o->path = g_strdup (standard ? "standard output" : path);
	o->buffer = g_byte_array_new ();
	return TRUE;
}

static gboolean
write_all (Output *o, const guint8 *octets, gsize size, GError **error)
{
	while (size) {
		ssize_t n = write (o->fd, octets, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno (error, errno, "writing %s", o->path);
		octets += n;
		size -= (gsize) n;
	}
	return TRUE;
}

gboolean
output_flush (Output *o, GError **error)
{
	gboolean ok = write_all (o, o->buffer->data, o->buffer->len, error);
	g_byte_array_set_size (o->buffer, 0);
	return ok;
}

gboolean
output_write (Output *o, const void *octets, gsize size, GError **error)
{
	o->octets += size;
	if (o->buffer->len + size > BUFFER && !output_flush (o, error))
		return FALSE;
	if (size > BUFFER)
		return write_all (o, octets, size, error);
	g_byte_array_append (o->buffer, octets, (guint) size);
	return TRUE;
}

gboolean
output_text (Output *o, const char *text, GError **error)
{
	return output_write (o, text, strlen (text), error);
}

gboolean
output_sink (gpointer output, const void *octets, gsize size, GError **error)
{
	return output_write (output, octets, size, error);
}

void
output_abandon (Output *o)
{
	if (!o->path)
		return;
	close (o->fd);
	g_clear_pointer (&o->buffer, g_byte_array_unref);
	g_clear_pointer (&o->path, g_free);
}

gboolean
output_close (Output *o, const gint64 *mtime, GError **error)
{
	gboolean ok = output_flush (o, error);
	if (ok && mtime) {
		struct timespec times[2] = {{.tv_sec = (time_t) *mtime}, {.tv_sec = (time_t) *mtime}};
		ok = futimens (o->fd, times) == 0 || error_set_errno (error, errno, "setting the date of %s", o->path);
	}
	if (close (o->fd) != 0 && ok)
		ok = error_set_errno (error, errno, "writing %s", o->path);
	g_clear_pointer (&o->buffer, g_byte_array_unref);
	g_clear_pointer (&o->path, g_free);
	return ok;
}

gboolean
make_directory (const char *path, GError **error)
{
	return mkdir (path, 0700) == 0 || errno == EEXIST || error_set_errno (error, errno, "creating %s", path);
}
