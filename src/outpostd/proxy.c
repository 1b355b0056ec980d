/* SPDX-License-Identifier: Apache-2.0 */
/* Both sockets are waited for by the server that the session is in (server_watch); here is nothing but one read and one write at a time. While the home does not take what the client says,
 * what the home says goes on to the client, so that neither waits for the other. */
#include "proxy.h"
#include "log-on.h"
#include "server.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S 10           /* until the home has let in whom it is told of */
#define ANSWER_MAX (16u << 10)
#define TAKE_S 30             /* a home that takes nothing for so long has gone */
#define PIECE (32u << 10)
#define TRIES 3               /* it may be moved just now */
#define TRY_US 100000

typedef struct {
	int fd;
	const ServerPeer *peer;
	ImapdSend send;
	gpointer to;
} Proxied;

static void
proxied_free (gpointer relay)
{
	Proxied *p = relay;
	if (p->fd >= 0)
		close (p->fd);
	g_free (p);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Proxied, proxied_free)

/* ---- Going there ---- */

static int
connect_to (const char *path, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (g_strlcpy (address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path) {
		error_fail (error, ERROR_USAGE, "the path %s is too long for a socket", path);
		return -1;
	}
	int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect (fd, (const struct sockaddr *) &address, sizeof address) == 0) /* of a Unix socket at once, or EAGAIN where too many wait */
		return fd;
	error_set_errno (error, errno, "connecting to %s", path);
	if (fd >= 0)
		close (fd);
	return -1;
}

static gboolean
wait_for (const Proxied *p, short events, gint64 until)
{
	struct pollfd wait = {p->fd, events, 0};
	gint64 left = until - g_get_monotonic_time ();
	return left > 0 && poll (&wait, 1, (int) (left / 1000) + 1) > 0;
}

/* @resume: a command, which can be long; NULL: none. */
static gboolean
say (const Proxied *p, const char *mailbox, const char *address, const char *resume)
{
	g_autofree char *name = g_base64_encode ((const guchar *) mailbox, strlen (mailbox));
	g_autofree char *text = g_strdup_printf ("1 ID (\"name\" \"outpostd\" \"x-originating-ip\" \"%s\")\r\n2 AUTHENTICATE EXTERNAL %s\r\n%s%s%s", address, name, resume ? "3 " : "",
	                                         resume ? resume : "", resume ? "\r\n" : "");
	gint64 until = g_get_monotonic_time () + ANSWER_S * G_USEC_PER_SEC;
	for (gsize size = strlen (text), sent = 0; sent < size;) {
		ssize_t n = send (p->fd, text + sent, size - sent, MSG_NOSIGNAL);
		if (n < 0 && ((errno != EAGAIN && errno != EINTR) || !wait_for (p, POLLOUT, until)))
			return FALSE;
		sent += (gsize) MAX (n, 0);
	}
	return TRUE;
}

/* What follows @tag in the first whole line that begins with it. NULL: there is none yet. *rest_out is what came behind it. */
static char *
line_of (const char *heard, const char *tag, const char **rest_out)
{
	g_autofree char *begin = g_strconcat ("\r\n", tag, NULL);
	const char *line = strstr (heard, begin), *end = line ? strstr (line + 2, "\r\n") : NULL;
	if (!end)
		return NULL;
	*rest_out = end + 2;
	return g_strndup (line + strlen (begin), (gsize) (end - line) - strlen (begin));
}

/* What the home says until the log-on is answered, and what it is to go on with. NULL: it says nothing more. */
static char *
hear (const Proxied *p, gboolean resumes)
{
	g_autoptr (GString) heard = g_string_new (NULL);
	gint64 until = g_get_monotonic_time () + ANSWER_S * G_USEC_PER_SEC;
	char piece[2048];
	while (heard->len < ANSWER_MAX && wait_for (p, POLLIN, until)) {
		ssize_t n = recv (p->fd, piece, sizeof piece, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return NULL;
		g_string_append_len (heard, piece, MAX (n, 0));
		const char *rest;
		g_autofree char *refused = line_of (heard->str, "2 NO", &rest), *last = line_of (heard->str, resumes ? "3 " : "2 ", &rest);
		if (refused || last)
			return g_string_free (g_steal_pointer (&heard), FALSE);
	}
	return NULL;
}

/* "OK [CAPABILITY ...] logged on", or why not. NULL with error. */
static char *
code_of (const char *line, GError **error)
{
	const char *end = strchr (line, ']');
	if (g_str_has_prefix (line, "OK [CAPABILITY ") && end)
		return g_strndup (line + 4, (gsize) (end - line) - 4);
	if (g_str_has_prefix (line, "NO [LIMIT] "))
		error_fail (error, ERROR_TOO_BIG, "%s", line + strlen ("NO [LIMIT] "));
	else
		error_fail (error, ERROR_UNAVAILABLE, "the home of the mailbox says: %s", line);
	return NULL;
}

/* What is told at once behind it is the client's. */
static char *
log_on_there (const Proxied *p, const char *mailbox, const char *address, const char *resume, GError **error)
{
	const char *rest;
	g_autofree char *heard = say (p, mailbox, address, resume) ? hear (p, resume != NULL) : NULL, *line = heard ? line_of (heard, "2 ", &rest) : NULL;
	g_autofree char *code = line ? code_of (line, error) : NULL, *gone_on = code && resume ? line_of (heard, "3 ", &rest) : NULL;
	if (!line)
		error_fail (error, ERROR_UNAVAILABLE, "the home of the mailbox does not answer");
	else if (code && resume && !g_str_has_prefix (gone_on, "OK"))
		error_fail (error, ERROR_UNAVAILABLE, "the home of the mailbox does not go on with the session: %s", gone_on);
	else if (code && (!*rest || p->send (p->to, rest, strlen (rest))))
		return g_steal_pointer (&code);
	return NULL;
}

static int
connect_to_home (LogOns *l, const char *mailbox, char **name_out, GError **error)
{
	Directory *d = host_directory (l->host, error);
	g_autoptr (DirectoryMailbox) m = d ? directory_mailbox (d, mailbox, error) : NULL;
	g_autoptr (DirectoryServer) home = m && m->server ? directory_server (d, m->server, error) : NULL;
	if (!home || !home->folder || strcmp (home->id, l->host->server) == 0) {
		if (!error || !*error)
			error_fail (error, ERROR_UNAVAILABLE, "it is not known where the home of the mailbox %s is", m ? m->address : mailbox);
		return -1;
	}
	g_autofree char *path = g_build_filename (home->folder, PROXY_SOCKET, NULL);
	*name_out = g_strdup (home->name);
	return connect_to (path, error);
}

static char *
try_to_open (LogOns *l, Proxied *p, const ImapdPeer *peer, const char *mailbox, const char *resume, GError **error)
{
	g_autofree char *home = NULL;
	p->fd = connect_to_home (l, mailbox, &home, error);
	char *code = p->fd >= 0 ? log_on_there (p, mailbox, peer->address, resume, error) : NULL;
	if (code)
		g_message ("proxy: mailbox=%s from=%s to=%s", mailbox, peer->address, home);
	else if (p->fd >= 0) {
		close (p->fd);
		p->fd = -1;
	}
	return code;
}

static gpointer
proxy_open (gpointer data, const ImapdPeer *peer, const char *mailbox, const char *resume, ImapdSend send, gpointer to, char **code_out, GError **error)
{
	g_autoptr (Proxied) p = g_new (Proxied, 1);
	*p = (Proxied){-1, peer->connection, send, to};
	g_autoptr (GError) local = NULL;
	g_autofree char *code = NULL;
	server_blocks (p->peer, TRUE);
	for (guint i = 0; !code && i < TRIES && !error_is (local, ERROR_TOO_BIG); i++) {
		if (i > 0)
			g_usleep (TRY_US);
		g_clear_error (&local);
		code = try_to_open (data, p, peer, mailbox, resume, &local);
	}
	server_blocks (p->peer, FALSE);
	if (code && !server_watch (p->peer, p->fd)) {
		g_clear_pointer (&code, g_free);
		error_fail (&local, ERROR_UNAVAILABLE, "the home of the mailbox can't be waited for");
	}
	if (!code) {
		g_propagate_error (error, g_steal_pointer (&local));
		return NULL;
	}
	*code_out = g_steal_pointer (&code);
	return g_steal_pointer (&p);
}

/* ---- Passing on ---- */

/* *more_out: there may be more at once. FALSE: the home or the client has gone. */
static gboolean
take_some (const Proxied *p, gboolean *more_out)
{
	g_autofree char *piece = g_malloc (PIECE);
	ssize_t n = recv (p->fd, piece, PIECE, 0);
	*more_out = n > 0 && p->send (p->to, piece, (gsize) n);
	return n < 0 ? errno == EAGAIN || errno == EINTR : *more_out;
}

static gboolean
proxy_take (gpointer relay)
{
	gboolean more;
	return take_some (relay, &more);
}

/* Its last words. Always FALSE. */
static gboolean
hear_out (const Proxied *p)
{
	gboolean more;
	do
		take_some (p, &more);
	while (more);
	return FALSE;
}

static gboolean
wait_for_home (const Proxied *p)
{
	struct pollfd wait = {p->fd, POLLIN | POLLOUT, 0};
	server_blocks (p->peer, TRUE);
	gboolean ready = poll (&wait, 1, TAKE_S * 1000) > 0;
	server_blocks (p->peer, FALSE);
	return ready && (!(wait.revents & (POLLIN | POLLHUP)) || proxy_take ((gpointer) p));
}

static gboolean
proxy_feed (gpointer relay, Slice input)
{
	const Proxied *p = relay;
	while (input.size > 0) {
		ssize_t n = send (p->fd, input.data, input.size, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return hear_out (p);
		if (n < 0 && !wait_for_home (p))
			return FALSE;
		input = (Slice){input.data + MAX (n, 0), input.size - (gsize) MAX (n, 0)};
	}
	return TRUE;
}

const ImapdRelay proxy_relay = {.open = proxy_open, .feed = proxy_feed, .take = proxy_take, .free = proxied_free};
