/* SPDX-License-Identifier: Apache-2.0 */
/* A message while it comes: in memory while it is small, then in a file without a name, which the system removes whatever happens. */
#include "smtpd-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MAX ((1u << 20) - 1) /* and its NUL */
#define LOCAL_NAME "outpost-lmtp-XXXXXX"

struct SmtpdMessage {
	char *sender, *id, *folder;
	guint64 max, size; /* without what is put before */
	GString *memory;   /* what is not in the file */
	int fd;            /* -1: no file yet */
	Failure failure;
	GBytes *octets;    /* at the end */
	SmtpdEnvelope envelope;
	gsize before;
};

SmtpdMessage *
message_new (const char *sender, const char *id, const char *folder, guint64 max)
{
	SmtpdMessage *m = g_new (SmtpdMessage, 1);
	*m = (SmtpdMessage){.sender = g_strdup (sender), .id = g_strdup (id), .folder = g_strdup (folder ? folder : g_get_tmp_dir ()), .max = max,
	                    .memory = g_string_new (NULL), .fd = -1};
	return m;
}

static void
let_go (SmtpdMessage *m)
{
	if (m->memory)
		g_string_free (g_steal_pointer (&m->memory), TRUE);
	if (m->fd >= 0)
		close (m->fd);
	m->fd = -1;
}

void
smtpd_message_free (SmtpdMessage *m)
{
	if (!m)
		return;
	let_go (m);
	g_clear_pointer (&m->octets, g_bytes_unref);
	g_free (m->sender);
	g_free (m->id);
	g_free (m->folder);
	g_free (m);
}

const char *
smtpd_message_sender (const SmtpdMessage *m)
{
	return m->sender;
}

const char *
smtpd_message_id (const SmtpdMessage *m)
{
	return m->id;
}

GBytes *
smtpd_message_octets (const SmtpdMessage *m)
{
	return m->octets;
}

const SmtpdEnvelope *
smtpd_message_envelope (const SmtpdMessage *m)
{
	return &m->envelope;
}

void
message_set_envelope (SmtpdMessage *m, const SmtpdEnvelope *e)
{
	m->envelope = *e;
}

gsize
smtpd_message_before (const SmtpdMessage *m)
{
	return m->before;
}

Failure
message_failure (const SmtpdMessage *m)
{
	return m->failure;
}

static void
fail (SmtpdMessage *m, Failure failure)
{
	m->failure = failure;
	let_go (m);
}

/* EFBIG is a quota by other means (RLIMIT_FSIZE). */
static void
fail_errno (SmtpdMessage *m, int err)
{
	g_message ("smtpd: a message can't be kept in '%s': %s", m->folder, g_strerror (err));
	fail (m, err == ENOSPC || err == EDQUOT || err == EFBIG ? FAILURE_NO_SPACE : FAILURE_LOCAL);
}

/* Not O_TMPFILE, which some file systems lack. */
static int
open_unnamed (const char *folder)
{
	g_autofree char *path = g_build_filename (folder, LOCAL_NAME, NULL);
	int fd = mkostemp (path, O_CLOEXEC);
	if (fd >= 0)
		unlink (path);
	return fd;
}

static gboolean
write_all (int fd, const char *octets, gsize size)
{
	while (size) {
		gssize n = write (fd, octets, size);
		if (n < 0 && errno != EINTR)
			return FALSE;
		if (n > 0) {
			octets += n;
			size -= (gsize) n;
		}
	}
	return TRUE;
}

static void
spill (SmtpdMessage *m)
{
	if (m->fd < 0)
		m->fd = open_unnamed (m->folder);
	if (m->fd < 0 || !write_all (m->fd, m->memory->str, m->memory->len))
		fail_errno (m, errno);
	else
		g_string_truncate (m->memory, 0);
}

void
message_put_before (SmtpdMessage *m, const char *header)
{
	g_string_append (m->memory, header);
	m->before += strlen (header);
}

void
message_add (SmtpdMessage *m, const char *octets, gsize size)
{
	if (m->failure || size == 0)
		return;
	if (size > m->max - m->size) {
		fail (m, FAILURE_TOO_BIG);
		return;
	}
	m->size += size;
	while (size && !m->failure) {
		gsize piece = MIN (size, MEMORY_MAX - m->memory->len);
		g_string_append_len (m->memory, octets, (gssize) piece);
		octets += piece;
		size -= piece;
		if (m->memory->len == MEMORY_MAX)
			spill (m);
	}
}

Failure
message_end (SmtpdMessage *m)
{
	if (!m->failure && m->fd >= 0 && m->memory->len)
		spill (m);
	if (m->failure)
		return m->failure;
	if (m->fd < 0) {
		m->octets = g_string_free_to_bytes (g_steal_pointer (&m->memory));
		return FAILURE_NONE;
	}
	g_autoptr (GError) error = NULL;
	GMappedFile *file = g_mapped_file_new_from_fd (m->fd, FALSE, &error);
	if (!file) {
		g_message ("smtpd: %s", error->message);
		fail (m, FAILURE_LOCAL);
		return m->failure;
	}
	m->octets = g_mapped_file_get_bytes (file);
	g_mapped_file_unref (file);
	let_go (m);
	return FAILURE_NONE;
}

guint
message_count_received (Slice octets)
{
	static const char name[] = "received:";
	guint n = 0;
	for (const char *at = octets.data, *end = slice_end (octets); at < end;) {
		const char *line_end = memchr (at, '\n', (gsize) (end - at));
		gsize size = (gsize) ((line_end ? line_end : end) - at);
		if (size == 0 || (size == 1 && *at == '\r'))
			break;
		n += size >= strlen (name) && g_ascii_strncasecmp (at, name, strlen (name)) == 0;
		at = line_end ? line_end + 1 : end;
	}
	return n;
}
