/* SPDX-License-Identifier: Apache-2.0 */
/* Who may touch what: a connection's session is used by the worker that holds it (busy); everything else of connections is guarded by
 * the server's lock. What happens to a busy connection is noted (pending) and done by its worker. epoll knows connections by number, so
 * that an event which was fetched before the end of its connection finds nothing. */
#include "server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WORKERS_MAX 16  /* that are busy */
#define BLOCKED_MAX 500 /* further ones that only wait for a client to read */
#define LISTENERS_MAX 4
#define INPUT_SIZE (64u << 10)
#define SEND_MS 30000
#define LOG_ON_S 60
#define SILENT_S 1800
#define TICK_MS 10000
#define SHORT_TICK_MS 200 /* while a connection is paused or the store is away */

enum { PENDING_INPUT = 1, PENDING_WAKE = 2, PENDING_TIMEOUT = 4, PENDING_END = 8 };
enum { ID_CANCEL = 1, ID_MAILBOX, ID_LISTENER, ID_CONNECTION = ID_LISTENER + LISTENERS_MAX };

typedef struct {
	Server *server;
	guint64 id;
	int fd;
	ImapdSession *session;
	gboolean busy;
	guint pending;
	gint64 began, since; /* monotonic, microseconds; since: it last said something */
	gint64 paused_to; /* 0: not */
} Connection;

struct Server {
	const ImapdSettings *settings;
	ImapdMailbox *mailbox;
	guint connections_max;
	int epoll, watch;
	struct {
		int fd;
		gboolean local;
		char *path; /* of a socket of ours */
	} listeners[LISTENERS_MAX];
	guint n_listeners;
	GThreadPool *workers;
	GMutex lock; /* guards what follows, and the connections */
	GHashTable *connections; /* id -> Connection */
	guint64 next_id;
	guint paused, blocked;
};

/* ---- Sending, on a worker ---- */

/* A worker that only waits for its client takes no other's place. */
static void
blocked_add (Server *s, int n)
{
	g_mutex_lock (&s->lock);
	s->blocked += (guint) n;
	if (s->workers)
		g_thread_pool_set_max_threads (s->workers, WORKERS_MAX + (int) MIN (s->blocked, (guint) BLOCKED_MAX), NULL);
	g_mutex_unlock (&s->lock);
}

static gboolean
wait_for_reader (const Connection *c)
{
	struct pollfd wait = {c->fd, POLLOUT, 0};
	if (poll (&wait, 1, 0) > 0)
		return TRUE;
	blocked_add (c->server, 1);
	gboolean ready = poll (&wait, 1, SEND_MS) > 0;
	blocked_add (c->server, -1);
	return ready;
}

static gboolean
send_all (gpointer data, const char *octets, gsize size)
{
	const Connection *c = data;
	while (size > 0) {
		ssize_t n = send (c->fd, octets, size, MSG_NOSIGNAL);
		if (n > 0) {
			octets += n;
			size -= (gsize) n;
		} else if (n == 0 || (errno != EINTR && (errno != EAGAIN || !wait_for_reader (c))))
			return FALSE;
	}
	return TRUE;
}

/* ---- Workers ---- */

static void
listen_again (Connection *c, gboolean first)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->id};
	if (epoll_ctl (c->server->epoll, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &e) != 0)
		g_warning ("server: a connection can't be waited for: %s", g_strerror (errno));
}

/* With the lock: TRUE, and what is to be done; FALSE: nothing, the connection waits again. */
static gboolean
take_pending (Connection *c, guint *pending_out)
{
	*pending_out = c->pending;
	c->pending = 0;
	if (*pending_out)
		return TRUE;
	c->busy = FALSE;
	if (!c->paused_to)
		listen_again (c, FALSE);
	return FALSE;
}

/* With the lock. */
static void
add_pending (Connection *c, guint what)
{
	c->pending |= what;
	if (!c->busy) {
		c->busy = TRUE;
		g_thread_pool_push (c->server->workers, c, NULL);
	}
}

static gboolean
read_input (Connection *c)
{
	g_autofree char *input = g_malloc (INPUT_SIZE);
	ssize_t n = recv (c->fd, input, INPUT_SIZE, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return TRUE;
	if (n <= 0)
		return FALSE;
	gboolean on = imapd_session_feed (c->session, (Slice){input, (gsize) n});
	explicit_bzero (input, MIN ((gsize) n, (gsize) 4096)); /* there may be a password in it */
	guint pause = imapd_session_pause (c->session);
	g_mutex_lock (&c->server->lock);
	c->since = g_get_monotonic_time ();
	if (pause && on) {
		c->paused_to = c->since + pause * 1000;
		c->server->paused++;
	}
	g_mutex_unlock (&c->server->lock);
	return on;
}

static void
connection_free (Connection *c)
{
	if (c->fd >= 0)
		close (c->fd);
	imapd_session_free (c->session);
	g_free (c);
}

static void
connection_end (Connection *c)
{
	Server *s = c->server;
	g_mutex_lock (&s->lock);
	s->paused -= c->paused_to != 0;
	g_hash_table_remove (s->connections, &c->id);
	g_mutex_unlock (&s->lock);
	connection_free (c);
}

static gboolean
do_pending (Connection *c, guint pending)
{
	if (pending & PENDING_END) {
		imapd_session_bye (c->session, "the server stops");
		return FALSE;
	}
	if (pending & PENDING_INPUT && !read_input (c))
		return FALSE;
	if (pending & PENDING_TIMEOUT) {
		imapd_session_bye (c->session, "nothing was said for too long");
		return FALSE;
	}
	return !(pending & PENDING_WAKE) || imapd_session_wake (c->session);
}

static void
work (gpointer data, gpointer server)
{
	Connection *c = data;
	Server *s = server;
	guint pending;
	for (;;) {
		g_mutex_lock (&s->lock);
		gboolean more = take_pending (c, &pending);
		g_mutex_unlock (&s->lock);
		if (!more)
			return;
		if (!do_pending (c, pending)) {
			connection_end (c);
			return;
		}
	}
}

/* ---- The loop ---- */

static void
refuse (int fd, const char *why)
{
	g_autofree char *line = g_strdup_printf ("* BYE %s\r\n", why);
	if (send (fd, line, strlen (line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		g_debug ("server: a client that was refused is gone");
	close (fd);
}

static gboolean
is_same_user (int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	return getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid ();
}

static void
add_connection (Server *s, int fd, gboolean local)
{
	Connection *c = g_new0 (Connection, 1);
	c->server = s;
	c->fd = fd;
	c->began = c->since = g_get_monotonic_time ();
	c->session = imapd_session_new (s->settings, local ? s->mailbox : NULL, send_all, c);
	g_mutex_lock (&s->lock);
	c->id = s->next_id++;
	g_hash_table_insert (s->connections, &c->id, c);
	listen_again (c, TRUE);
	g_mutex_unlock (&s->lock);
}

static void
accept_one (Server *s, guint i)
{
	int fd = accept4 (s->listeners[i].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
	if (fd < 0)
		return;
	gboolean local = s->listeners[i].local;
	if (!local && setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
		g_debug ("server: TCP_NODELAY: %s", g_strerror (errno));
	g_mutex_lock (&s->lock);
	guint n = g_hash_table_size (s->connections);
	g_mutex_unlock (&s->lock);
	if (n >= s->connections_max)
		refuse (fd, "too many connections: try again later");
	else if (local && !is_same_user (fd))
		refuse (fd, "this socket is another user's");
	else
		add_connection (s, fd, local);
}

/* Wakes those that wait for changes of the mailbox, or tells all to end. */
static void
tell_all (Server *s, guint what)
{
	GHashTableIter it;
	gpointer value;
	g_mutex_lock (&s->lock);
	g_hash_table_iter_init (&it, s->connections);
	while (g_hash_table_iter_next (&it, NULL, &value)) {
		Connection *c = value;
		/* a busy one may be about to wait */
		if (what != PENDING_WAKE || c->busy || imapd_session_waits (c->session))
			add_pending (c, what);
	}
	g_mutex_unlock (&s->lock);
}

static gboolean
watch_mailbox (Server *s, GError **error)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = ID_MAILBOX};
	s->watch = imapd_mailbox_watch (s->mailbox, error);
	return s->watch >= 0 && (epoll_ctl (s->epoll, EPOLL_CTL_ADD, s->watch, &e) == 0 || error_set_errno (error, errno, "waiting for changes"));
}

static void
mailbox_told (Server *s)
{
	if (imapd_mailbox_take_watch (s->mailbox)) {
		tell_all (s, PENDING_WAKE);
		return;
	}
	/* Another store is at its place, or will be. */
	tell_all (s, PENDING_END);
	imapd_mailbox_forget (s->mailbox);
	if (!watch_mailbox (s, NULL))
		s->watch = -1;
}

static void
connection_told (Server *s, guint64 id)
{
	g_mutex_lock (&s->lock);
	Connection *c = g_hash_table_lookup (s->connections, &id);
	if (c)
		add_pending (c, PENDING_INPUT);
	g_mutex_unlock (&s->lock);
}

static gboolean
is_late (const Connection *c, gint64 now)
{
	if (!imapd_session_is_logged_on (c->session)) /* whatever it says meanwhile */
		return now - c->began > LOG_ON_S * G_USEC_PER_SEC;
	return now - c->since > SILENT_S * G_USEC_PER_SEC && !imapd_session_waits (c->session);
}

/* Ends pauses and those who are silent for too long. Returns when to look again. */
static int
tick (Server *s)
{
	GHashTableIter it;
	gpointer value;
	gint64 now = g_get_monotonic_time ();
	if (s->watch < 0 && !watch_mailbox (s, NULL))
		s->watch = -1;
	g_mutex_lock (&s->lock);
	g_hash_table_iter_init (&it, s->connections);
	while (g_hash_table_iter_next (&it, NULL, &value)) {
		Connection *c = value;
		if (c->paused_to && c->paused_to <= now && !c->busy) {
			c->paused_to = 0;
			s->paused--;
			listen_again (c, FALSE);
		}
		if (!c->busy && is_late (c, now))
			add_pending (c, PENDING_TIMEOUT);
	}
	int wait = s->paused || s->watch < 0 ? SHORT_TICK_MS : TICK_MS;
	g_mutex_unlock (&s->lock);
	return wait;
}

static void
event (Server *s, const struct epoll_event *e)
{
	guint64 id = e->data.u64;
	if (id == ID_MAILBOX)
		mailbox_told (s);
	else if (id >= ID_CONNECTION)
		connection_told (s, id);
	else if (id >= ID_LISTENER)
		accept_one (s, (guint) (id - ID_LISTENER));
}

/* Clients are told, workers finish; who doesn't read is cut off. */
static void
stop (Server *s)
{
	GHashTableIter it;
	gpointer value;
	tell_all (s, PENDING_END);
	gint64 deadline = g_get_monotonic_time () + 2 * G_USEC_PER_SEC;
	for (gboolean any = TRUE; any;) {
		g_mutex_lock (&s->lock);
		any = g_hash_table_size (s->connections) > 0;
		g_hash_table_iter_init (&it, s->connections);
		while (g_get_monotonic_time () > deadline && g_hash_table_iter_next (&it, NULL, &value))
			shutdown (((Connection *) value)->fd, SHUT_RDWR);
		g_mutex_unlock (&s->lock);
		if (any)
			g_usleep (10000);
	}
}

gboolean
server_run (Server *s, Cancel *cancel, GError **error)
{
	struct epoll_event events[64], e = {.events = EPOLLIN, .data.u64 = ID_CANCEL};
	if (epoll_ctl (s->epoll, EPOLL_CTL_ADD, cancel_fd (cancel), &e) != 0)
		return error_set_errno (error, errno, "waiting for the end");
	if (!watch_mailbox (s, error))
		return FALSE;
	s->workers = g_thread_pool_new (work, s, WORKERS_MAX, FALSE, NULL);
	int wait = TICK_MS;
	gint64 ticked = g_get_monotonic_time ();
	while (!cancel_is_triggered (cancel)) {
		int n = epoll_wait (s->epoll, events, G_N_ELEMENTS (events), wait);
		for (int i = 0; i < n; i++)
			event (s, &events[i]);
		g_mutex_lock (&s->lock);
		gboolean paused = s->paused > 0;
		g_mutex_unlock (&s->lock);
		if (n == 0 || g_get_monotonic_time () - ticked > (paused ? SHORT_TICK_MS : TICK_MS) * 1000) {
			wait = tick (s);
			ticked = g_get_monotonic_time ();
		} else if (paused)
			wait = SHORT_TICK_MS;
	}
	stop (s);
	g_thread_pool_free (g_steal_pointer (&s->workers), FALSE, TRUE);
	return TRUE;
}

/* ---- Listening ---- */

static gboolean
add_listener (Server *s, int fd, gboolean local, const char *path, GError **error)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = ID_LISTENER + s->n_listeners};
	g_assert (s->n_listeners < LISTENERS_MAX);
	if (listen (fd, 128) != 0 || epoll_ctl (s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		error_set_errno (error, errno, "listening");
		close (fd);
		return FALSE;
	}
	s->listeners[s->n_listeners].fd = fd;
	s->listeners[s->n_listeners].local = local;
	s->listeners[s->n_listeners++].path = g_strdup (path);
	return TRUE;
}

static guint16
port_of (int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	if (getsockname (fd, (struct sockaddr *) &address, &size) != 0)
		return 0;
	return ntohs (address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &address)->sin6_port : ((struct sockaddr_in *) &address)->sin_port);
}

gboolean
server_listen_tcp (Server *s, const char *host, guint16 port, guint16 *port_out, GError **error)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found;
	char service[8];
	int one = 1;
	g_snprintf (service, sizeof service, "%u", port);
	if (getaddrinfo (host, service, &hints, &found) != 0)
		return error_fail (error, ERROR_USAGE, "'%s' is no address", host);
	int fd = socket (found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	gboolean ok = fd >= 0 && setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind (fd, found->ai_addr, found->ai_addrlen) == 0;
	int err = errno;
	freeaddrinfo (found);
	if (!ok) {
		if (fd >= 0)
			close (fd);
		if (err == EADDRINUSE)
			return error_fail (error, ERROR_CONFLICT, "port %u of %s is in use: choose another with --listen", port, host);
		return error_set_errno (error, err, "listening at %s, port %u", host, port);
	}
	if (port_out)
		*port_out = port_of (fd);
	return add_listener (s, fd, FALSE, NULL, error);
}

static gboolean
somebody_answers (const struct sockaddr_un *address)
{
	int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	gboolean answers = fd >= 0 && connect (fd, (const struct sockaddr *) address, sizeof *address) == 0;
	if (fd >= 0)
		close (fd);
	return answers;
}

gboolean
server_listen_unix (Server *s, const char *path, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat there;
	if (strlen (path) >= sizeof address.sun_path)
		return error_fail (error, ERROR_USAGE, "the path %s is too long for a socket", path);
	g_strlcpy (address.sun_path, path, sizeof address.sun_path);
	if (g_lstat (path, &there) == 0) {
		if (!S_ISSOCK (there.st_mode))
			return error_fail (error, ERROR_CONFLICT, "%s is there already and is no socket", path);
		if (somebody_answers (&address))
			return error_fail (error, ERROR_CONFLICT, "another server answers at %s", path);
		unlink (path);
	}
	int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Who can connect before the mode is set is asked who he is all the same. */
	if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) != 0 || g_chmod (path, 0600) != 0) {
		error_set_errno (error, errno, "making the socket %s", path);
		if (fd >= 0)
			close (fd);
		return FALSE;
	}
	return add_listener (s, fd, TRUE, path, error);
}

/* ---- Beginning and end ---- */

Server *
server_new (const ImapdSettings *settings, ImapdMailbox *mailbox, guint connections_max)
{
	Server *s = g_new0 (Server, 1);
	s->settings = settings;
	s->mailbox = mailbox;
	s->connections_max = connections_max;
	s->epoll = epoll_create1 (EPOLL_CLOEXEC);
	s->watch = -1;
	g_mutex_init (&s->lock);
	s->connections = g_hash_table_new (g_int64_hash, g_int64_equal);
	s->next_id = ID_CONNECTION;
	return s;
}

void
server_free (Server *s)
{
	if (!s)
		return;
	for (guint i = 0; i < s->n_listeners; i++) {
		close (s->listeners[i].fd);
		if (s->listeners[i].path)
			unlink (s->listeners[i].path);
		g_free (s->listeners[i].path);
	}
	close (s->epoll);
	g_hash_table_unref (s->connections);
	g_mutex_clear (&s->lock);
	g_free (s);
}
