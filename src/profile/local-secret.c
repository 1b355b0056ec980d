/* SPDX-License-Identifier: Apache-2.0 */
#include "local-secret.h"
#include "digest.h"
#include "secret.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".serve-password"

static char *
make (const char *path, gboolean *made_out, GError **error)
{
	Id128 id = id128_random ();
	char text[ID_TEXT_SIZE + 1];
	id128_text (&id, text);
	int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	text[ID_TEXT_SIZE - 1] = '\n';
	gboolean ok = fd >= 0 && write (fd, text, ID_TEXT_SIZE) == ID_TEXT_SIZE && fsync (fd) == 0;
	int err = errno;
	if (fd >= 0)
		close (fd);
	text[ID_TEXT_SIZE - 1] = '\0';
	if (ok) {
		if (made_out)
			*made_out = TRUE;
		return g_strdup (text);
	}
	if (fd >= 0)
		unlink (path);
	error_set_errno (error, err, "writing %s", path);
	return NULL;
}

char *
local_secret (const Profile *p, gboolean *made_out, GError **error)
{
	g_autofree char *path = profile_file (p->name, SUFFIX);
	g_autoptr (GError) local = NULL;
	char *text = NULL;
	if (made_out)
		*made_out = FALSE;
	if (!g_file_get_contents (path, &text, NULL, &local))
		return g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? make (path, made_out, error)
		       : (error_fail (error, ERROR_IO, "%s", local->message), NULL);
	g_strstrip (text);
	if (*text)
		return text;
	secret_free (text);
	error_fail (error, ERROR_CORRUPT, "%s is empty: remove it, and a new password is made", path);
	return NULL;
}

gboolean
local_secret_delete (const Profile *p, GError **error)
{
	g_autofree char *path = profile_file (p->name, SUFFIX);
	return unlink (path) == 0 || errno == ENOENT || error_set_errno (error, errno, "removing %s", path);
}
