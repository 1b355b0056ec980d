/* SPDX-License-Identifier: Apache-2.0 */
/* The socket between a watcher and the other commands: one request line, one JSON object as answer. It stands in the user's runtime
 * directory (0700), else beside the store; who connects must be the same user. */
#include "cli-sync.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX 65536
#define ANSWER_MS 600000 /* a first run may be long */
#define STATUS_MS 2000
#define SLOW_MS 5000

static gboolean
control_address (const Profile *p, struct sockaddr_un *address_out, GError **error)
{
	const char *runtime = g_getenv ("XDG_RUNTIME_DIR");
	g_autofree char *path = runtime && g_path_is_absolute (runtime) ? g_strdup_printf ("%s/outpost/%s.sock", runtime, p->name)
	                                                                 : g_strconcat (p->store, ".sock", NULL);
	*address_out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen (path) >= sizeof address_out->sun_path)
		return error_fail (error, ERROR_USAGE, "the path %s is too long for a socket: set XDG_RUNTIME_DIR to a shorter one", path);
	g_strlcpy (address_out->sun_path, path, sizeof address_out->sun_path);
	return TRUE;
}

static int
control_connect (const Profile *p)
{
	struct sockaddr_un address;
	int fd = control_address (p, &address, NULL) ? socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	if (fd >= 0 && connect (fd, (struct sockaddr *) &address, sizeof address) != 0) {
		close (fd);
		fd = -1;
	}
	return fd;
}

static json_t *
read_answer (const Cli *cli, int fd, gint64 wait_ms, Cancel *cancel, GError **error)
{
	g_autoptr (GString) text = g_string_new (NULL);
	gint64 end = g_get_monotonic_time () + wait_ms * 1000, slow = g_get_monotonic_time () + SLOW_MS * 1000;
	gboolean told = FALSE;
	for (;;) {
		char piece[4096];
		struct pollfd fds[2] = {{fd, POLLIN, 0}, {cancel_fd (cancel), POLLIN, 0}};
		gint64 left = (end - g_get_monotonic_time ()) / 1000, quick = MAX ((slow - g_get_monotonic_time ()) / 1000, 0);
		int n = left > 0 ? poll (fds, 2, (int) (told ? left : MIN (left, quick))) : 0;
		if (!cancel_check (cancel, error))
			return NULL;
		if (n == 0 && left > quick && !told) {
			told = TRUE;
			cli_note (cli, "The watcher is asked to synchronise, and is busy or stopped: waiting for it, at most %d minutes (Ctrl-C ends that).",
			          ANSWER_MS / 60000);
			continue;
		}
		if (n == 0) {
			error_fail (error, ERROR_TEMPORARY, "the watcher does not answer: look at outpost status, or end it and try again");
			return NULL;
		}
		ssize_t got = n > 0 ? read (fd, piece, sizeof piece) : -1;
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0 || text->len > ANSWER_MAX)
			break;
		g_string_append_len (text, piece, got);
	}
	json_t *answer = json_loadb (text->str, text->len, 0, NULL);
	if (!json_is_object (answer)) {
		json_decref (answer);
		error_fail (error, ERROR_TEMPORARY, "the watcher ended before it answered: try again");
		return NULL;
	}
	return answer;
}

json_t *
control_ask (const Cli *cli, const char *request, Cancel *cancel, GError **error)
{
	int fd = control_connect (cli->profile);
	if (fd < 0)
		return NULL;
	g_autofree char *line = g_strconcat (request, "\n", NULL);
	json_t *answer = NULL;
	if (send (fd, line, strlen (line), MSG_NOSIGNAL) == (ssize_t) strlen (line))
		answer = read_answer (cli, fd, strcmp (request, "sync") == 0 ? ANSWER_MS : STATUS_MS, cancel, error);
	close (fd);
	return answer;
}

gboolean
control_is_answered (const Cli *cli)
{
	json_t *answer = control_ask (cli, "status", NULL, NULL);
	json_decref (answer);
	return answer != NULL;
}

void
cli_poke (Cli *cli)
{
	json_t *answer = cli->profile ? control_ask (cli, "poke", NULL, NULL) : NULL;
	json_decref (answer);
}

int
control_listen (const Profile *p, char **path_out, GError **error)
{
	struct sockaddr_un address;
	if (!control_address (p, &address, error) || !cli_make_parents (address.sun_path, error))
		return -1;
	/* Whoever holds the store's lock is the only watcher; what is there is left from one that died. */
	unlink (address.sun_path);
	int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) != 0 || g_chmod (address.sun_path, 0600) != 0 ||
	    listen (fd, 16) != 0) {
		error_set_errno (error, errno, "making the socket %s", address.sun_path);
		if (fd >= 0)
			close (fd);
		return -1;
	}
	*path_out = g_strdup (address.sun_path);
	return fd;
}
