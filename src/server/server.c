/* SPDX-License-Identifier: Apache-2.0 */
/* Who may touch what: a connection's session and TLS are used by the worker that holds it (busy); everything else of connections is guarded by
 * the server's lock. What happens to a busy connection is noted (pending) and done by its worker. epoll knows connections by number, so
 * that an event which was fetched before the end of its connection finds nothing. */
#include "server.h"
#include "manager.h"
#include "server-deflate.h"
#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WORKERS_MAX 16  /* that are busy */
#define BLOCKED_MAX 500 /* further ones that only wait for a client to read */
#define LISTENERS_MAX 16
#define SOURCES_MAX 4
#define INPUT_SIZE (64u << 10)
#define PACKED_SIZE (8u << 10) /* the same where it may grow to a thousand times as much: others are to have their turn */
#define SEND_MS 30000
#define LOG_ON_S 60
#define SILENT_S 1800
#define TICK_MS 10000
#define SHORT_TICK_MS 200 /* while a connection is paused */

enum { PENDING_INPUT = 1, PENDING_WAKE = 2, PENDING_TIMEOUT = 4, PENDING_END = 8, PENDING_OTHER = 16, PENDING_FOLLOW = 32 };
#define ID_OTHER (G_GUINT64_CONSTANT (1) << 63) /* with the connection's: its other socket */
enum { ID_CANCEL = 1, ID_SOURCE, ID_LISTENER = ID_SOURCE + SOURCES_MAX, ID_CONNECTION = ID_LISTENER + LISTENERS_MAX };

typedef struct {
	ServerService service;
	int fd;
	char *path; /* of a socket of ours; NULL: TCP */
	guint64 open, accepted, refused;  /* connections */
	_Atomic guint64 received, sent;   /* octets; the others are guarded by the server's lock */
} Listener;

typedef struct {
	Server *server;
	Listener *listener;
	const ServerService *service; /* the listener's */
	guint64 id;
	int fd;
	ServerPeer peer;
	char address[INET6_ADDRSTRLEN + IF_NAMESIZE]; /* with a zone behind % */
	ServerTlsConn *tls;
	ServerDeflate *deflate; /* NULL: it is not compressed */
	gboolean is_root; /* as peer.same_user */
	gboolean shaken;  /* the handshake is done */
	gpointer session; /* NULL: before a handshake */
	int other;        /* the session's other socket; -1 */
	gboolean busy;
	guint pending;
	const char *end_why;
	gboolean logged_on;
	gpointer topic;      /* under which it stands in the server's */
	char *label;
	gboolean encrypted;  /* peer.encrypted, which is the worker's */
	gint64 began, since; /* monotonic, microseconds; since: it last said something */
	gint64 stranger;     /* since when nobody is logged on */
	gint64 paused_to; /* 0: not */
} Connection;

typedef struct {
	void (*ready) (gpointer data);
	gpointer data;
	GDestroyNotify destroy;
} Source;

struct Server {
	int epoll;
	Listener listeners[LISTENERS_MAX];
	guint n_listeners;
	Source sources[SOURCES_MAX];
	guint n_sources;
	GThreadPool *workers;
	GMutex lock; /* guards what follows, the listeners' TLS, and the connections */
	ServerLimits limits;
	GHashTable *connections; /* id -> Connection */
	GHashTable *topics;      /* topic -> table of Connection */
	GHashTable *addresses;   /* address -> how many connections */
	guint64 next_id;
	guint paused, blocked;
};

/* ---- What sessions ask ---- */

static Connection *
connection_of (const ServerPeer *peer)
{
	return (Connection *) ((char *) peer - offsetof (Connection, peer));
}

GBytes *
server_peer_binding (const ServerPeer *peer, const char *kind)
{
	const Connection *c = connection_of (peer);
	return c->tls ? server_tls_binding (c->tls, kind) : NULL;
}

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

/* As server_tls_send. */
static TlsStep
send_some (const Connection *c, const char *octets, gsize size, gsize *n_out)
{
	if (c->tls)
		return server_tls_send (c->tls, octets, size, n_out);
	ssize_t n = send (c->fd, octets, size, MSG_NOSIGNAL);
	*n_out = n > 0 ? (gsize) n : 0;
	return n > 0 || errno == EINTR ? TLS_DONE : errno == EAGAIN ? TLS_WANTS_OUTPUT : TLS_FAILED;
}

static gboolean
send_octets (gpointer data, const char *octets, gsize size)
{
	const Connection *c = data;
	c->listener->sent += size;
	while (size > 0) {
		gsize n;
		TlsStep step = send_some (c, octets, size, &n);
		if (step != TLS_DONE && (step != TLS_WANTS_OUTPUT || !wait_for_reader (c)))
			return FALSE;
		octets += n;
		size -= n;
	}
	return TRUE;
}

static gboolean
send_all (gpointer data, const char *octets, gsize size)
{
	Connection *c = data;
	return c->deflate ? server_deflate_send (c->deflate, octets, size, send_octets, c) : send_octets (c, octets, size);
}

void
server_blocks (const ServerPeer *peer, gboolean blocks)
{
	blocked_add (connection_of (peer)->server, blocks ? 1 : -1);
}

/* ---- Workers ---- */

static void
listen_again (Connection *c, gboolean first)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->id};
	if (epoll_ctl (c->server->epoll, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &e) != 0)
		g_warning ("server: a connection can't be waited for: %s", g_strerror (errno));
}

static void
watch_again (const Connection *c)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->id | ID_OTHER};
	if (epoll_ctl (c->server->epoll, EPOLL_CTL_MOD, c->other, &e) != 0)
		g_warning ("server: a session's other socket can't be waited for: %s", g_strerror (errno));
}

gboolean
server_watch (const ServerPeer *peer, int fd)
{
	Connection *c = connection_of (peer);
	struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = c->id | ID_OTHER}; /* from when the worker is done */
	g_assert (c->other < 0);
	if (epoll_ctl (c->server->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		return FALSE;
	c->other = fd;
	return TRUE;
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
	if (c->other >= 0)
		watch_again (c);
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

/* With the lock. */
static void
set_topic (Connection *c, gpointer topic)
{
	if (topic == c->topic)
		return;
	GHashTable *those = c->topic ? g_hash_table_lookup (c->server->topics, c->topic) : NULL;
	if (those && g_hash_table_remove (those, c) && g_hash_table_size (those) == 0)
		g_hash_table_remove (c->server->topics, c->topic);
	c->topic = topic;
	if (!topic)
		return;
	those = g_hash_table_lookup (c->server->topics, topic);
	if (!those)
		g_hash_table_insert (c->server->topics, topic, those = g_hash_table_new (NULL, NULL));
	g_hash_table_add (those, c);
}

gboolean
server_join (const ServerPeer *peer, gpointer topic)
{
	Connection *c = connection_of (peer);
	Server *s = c->server;
	g_mutex_lock (&s->lock);
	GHashTable *those = g_hash_table_lookup (s->topics, topic);
	gboolean may = !s->limits.per_topic || !those || g_hash_table_contains (those, c) || g_hash_table_size (those) < s->limits.per_topic;
	if (may)
		set_topic (c, topic);
	g_mutex_unlock (&s->lock);
	return may;
}

/* What the server has to know of a session that something happened to. */
static void
look_at_session (Connection *c, gboolean on)
{
	const ServerProtocol *p = c->service->protocol;
	guint pause = p->pause ? p->pause (c->session) : 0;
	gpointer topic = p->topic ? p->topic (c->session) : NULL;
	const char *label = p->label ? p->label (c->session) : NULL;
	g_mutex_lock (&c->server->lock);
	if (g_strcmp0 (label, c->label) != 0) {
		g_free (c->label);
		c->label = g_strdup (label);
	}
	c->encrypted = c->peer.encrypted;
	c->since = g_get_monotonic_time ();
	gboolean was = c->logged_on;
	c->logged_on = !p->is_logged_on || p->is_logged_on (c->session);
	if (was && !c->logged_on)
		c->stranger = c->since;
	set_topic (c, topic);
	if (pause && on) {
		c->paused_to = c->since + pause * 1000;
		c->server->paused++;
	}
	g_mutex_unlock (&c->server->lock);
}

static gboolean
begin_session (Connection *c)
{
	const ServerService *service = c->service;
	c->peer.encrypted = c->tls != NULL;
	c->session = service->protocol->open (service->data, &c->peer, send_all, c);
	if (c->session)
		look_at_session (c, TRUE);
	return c->session != NULL;
}

/* FALSE: it failed. TRUE: it is done (shaken) or goes on with more input. */
static gboolean
shake_hands (Connection *c)
{
	TlsStep step;
	while ((step = server_tls_handshake (c->tls)) == TLS_WANTS_OUTPUT)
		if (!wait_for_reader (c))
			return FALSE;
	if (step != TLS_DONE)
		return step == TLS_WANTS_INPUT;
	c->shaken = TRUE;
	if (!c->session)
		return begin_session (c);
	c->peer.encrypted = TRUE;
	c->service->protocol->encrypted (c->session);
	return TRUE;
}

static gboolean
start_tls (Connection *c)
{
	g_mutex_lock (&c->server->lock);
	g_autoptr (ServerTls) tls = c->service->tls ? server_tls_ref (c->service->tls) : NULL; /* server_set_tls may come any time */
	g_mutex_unlock (&c->server->lock);
	c->tls = tls ? server_tls_conn_new (tls, c->fd) : NULL;
	c->shaken = FALSE;
	return c->tls != NULL;
}

static gboolean
feed (gpointer data, const char *octets, gsize size)
{
	Connection *c = data;
	return c->service->protocol->feed (c->session, (Slice){octets, size});
}

/* *on_out FALSE: the connection is at its end, or the session's. Returns whether there may be more at once. */
static gboolean
read_some (Connection *c, char *input, gboolean *on_out)
{
	const ServerProtocol *p = c->service->protocol;
	gsize n = 0, size = c->deflate ? PACKED_SIZE : INPUT_SIZE;
	TlsStep step;
	if (c->tls)
		step = server_tls_recv (c->tls, input, size, &n);
	else {
		ssize_t got = recv (c->fd, input, size, 0);
		step = got >= 0 ? TLS_DONE : errno == EAGAIN || errno == EINTR ? TLS_WANTS_INPUT : TLS_FAILED;
		n = got > 0 ? (gsize) got : 0;
	}
	*on_out = step == TLS_WANTS_INPUT || step == TLS_WANTS_OUTPUT || (step == TLS_DONE && n > 0);
	if (n == 0)
		return FALSE;
	c->listener->received += n;
	*on_out = c->deflate ? server_deflate_take (c->deflate, (Slice){input, n}, feed, c) : feed (c, input, n);
	explicit_bzero (input, n); /* there may be a password or a token in it */
	look_at_session (c, *on_out);
	if (*on_out && p->wants_tls && p->wants_tls (c->session))
		*on_out = !c->tls && start_tls (c);
	if (*on_out && p->takes_deflate && p->takes_deflate (c->session))
		c->deflate = server_deflate_new ();
	return *on_out && c->tls && c->shaken && !c->paused_to && server_tls_has_more (c->tls);
}

static gboolean
read_input (Connection *c)
{
	gboolean on = TRUE;
	if (c->tls && !c->shaken) {
		if (!shake_hands (c))
			return FALSE;
		if (!c->shaken)
			return TRUE;
	}
	g_autofree char *input = g_malloc (INPUT_SIZE);
	while (read_some (c, input, &on))
		continue;
	return on;
}

static void
connection_free (Connection *c)
{
	if (c->session)
		c->service->protocol->free (c->session);
	server_deflate_free (c->deflate);
	server_tls_conn_free (c->tls);
	if (c->fd >= 0)
		close (c->fd);
	g_free (c->label);
	g_free (c);
}

/* With the lock. */
static void
count_address (Server *s, const char *address, int n)
{
	guint count = GPOINTER_TO_UINT (g_hash_table_lookup (s->addresses, address)) + (guint) n;
	if (count > 0)
		g_hash_table_replace (s->addresses, g_strdup (address), GUINT_TO_POINTER (count));
	else
		g_hash_table_remove (s->addresses, address);
}

gboolean
server_stand_for (const ServerPeer *peer, const char *address)
{
	Connection *c = connection_of (peer);
	Server *s = c->server;
	g_mutex_lock (&s->lock);
	guint there = GPOINTER_TO_UINT (g_hash_table_lookup (s->addresses, address));
	gboolean may = !s->limits.per_address || !*address || there < s->limits.per_address;
	if (may) {
		count_address (s, c->address, -1);
		g_strlcpy (c->address, address, sizeof c->address);
		count_address (s, c->address, 1);
	}
	g_mutex_unlock (&s->lock);
	return may;
}

static void
connection_end (Connection *c)
{
	Server *s = c->server;
	g_mutex_lock (&s->lock);
	s->paused -= c->paused_to != 0;
	set_topic (c, NULL);
	count_address (s, c->address, -1);
	c->listener->open--;
	g_hash_table_remove (s->connections, &c->id);
	g_mutex_unlock (&s->lock);
	connection_free (c);
}

static void
say_bye (Connection *c, const char *why)
{
	if (c->session)
		c->service->protocol->bye (c->session, why);
}

static gint64
microseconds (guint seconds, guint otherwise)
{
	return (gint64) (seconds ? seconds : otherwise) * G_USEC_PER_SEC;
}

/* With the lock; of a busy one if it is not logged on. */
static gboolean
is_late (const Connection *c, gint64 now)
{
	const ServerProtocol *p = c->service->protocol;
	const ServerLimits *limits = &c->server->limits;
	if (!c->logged_on) /* whatever it says meanwhile */
		return now - c->stranger > microseconds (limits->log_on, LOG_ON_S);
	return now - c->since > microseconds (limits->silent, SILENT_S) && !(p->waits && p->waits (c->session));
}

/* It may have logged on meanwhile. */
static gboolean
is_still_late (const Connection *c)
{
	g_mutex_lock (&c->server->lock);
	gboolean late = is_late (c, g_get_monotonic_time ());
	g_mutex_unlock (&c->server->lock);
	return late;
}

static gboolean
follow (Connection *c)
{
	const ServerProtocol *p = c->service->protocol;
	gboolean on = c->session && p->follow && p->follow (c->session);
	if (on)
		look_at_session (c, TRUE);
	else
		say_bye (c, c->end_why);
	return on;
}

static gboolean
do_pending (Connection *c, guint pending)
{
	if (pending & PENDING_END) {
		say_bye (c, c->end_why);
		return FALSE;
	}
	if (pending & PENDING_FOLLOW && !follow (c))
		return FALSE;
	if (pending & PENDING_INPUT && !read_input (c))
		return FALSE;
	if (pending & PENDING_TIMEOUT && is_still_late (c)) {
		say_bye (c, "nothing was said for too long");
		return FALSE;
	}
	if (pending & PENDING_OTHER && c->session && !c->service->protocol->other (c->session))
		return FALSE;
	return !(pending & PENDING_WAKE) || !c->session || c->service->protocol->wake (c->session);
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
		if (c->deflate)
			server_deflate_rest (c->deflate);
	}
}

/* ---- The loop ---- */

static void
refuse (const ServerService *service, int fd, const char *why)
{
	g_auto (GStrv) parts = g_strsplit (service->protocol->refusal, "%s", 2);
	g_autofree char *line = g_strjoinv (why, parts);
	if (!service->tls_at_once && send (fd, line, strlen (line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		g_debug ("server: a client that was refused is gone");
	close (fd);
}

/* Of a Unix socket; not a user's for what can't be known. */
static uid_t
user_of (int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	return getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.uid : (uid_t) -1;
}

static void
describe_peer (Connection *c, const struct sockaddr_storage *from, socklen_t size)
{
	c->peer.address = c->address;
	if (from->ss_family == AF_UNIX) {
		uid_t user = user_of (c->fd);
		c->peer.same_user = user == getuid ();
		c->is_root = user == 0;
		c->peer.loopback = TRUE;
		return;
	}
	if (getnameinfo ((const struct sockaddr *) from, size, c->address, sizeof c->address, NULL, 0, NI_NUMERICHOST) != 0)
		g_strlcpy (c->address, "unknown", sizeof c->address);
	if (g_str_has_prefix (c->address, "::ffff:") && strchr (c->address, '.'))
		memmove (c->address, c->address + 7, strlen (c->address + 7) + 1);
	c->peer.loopback = g_str_has_prefix (c->address, "127.") || strcmp (c->address, "::1") == 0;
}

/* NULL: it may stay. Counts it then. */
static const char *
why_not (Connection *c)
{
	Server *s = c->server;
	const char *why = NULL;
	if (c->service->only_same_user && !c->peer.same_user && !c->is_root)
		return "this socket is another user's";
	g_mutex_lock (&s->lock);
	if (g_hash_table_size (s->connections) >= s->limits.connections || (c->service->most && c->listener->open >= c->service->most))
		why = "too many connections: try again later";
	else if (s->limits.per_address && *c->address &&
	         GPOINTER_TO_UINT (g_hash_table_lookup (s->addresses, c->address)) >= s->limits.per_address)
		why = "too many connections from your address";
	else {
		c->id = s->next_id++;
		g_hash_table_insert (s->connections, &c->id, c);
		count_address (s, c->address, 1);
		c->listener->open++;
	}
	c->listener->accepted += !why;
	c->listener->refused += why != NULL;
	g_mutex_unlock (&s->lock);
	return why;
}

static void
accept_one (Server *s, guint i)
{
	struct sockaddr_storage from = {0};
	socklen_t size = sizeof from;
	int fd = accept4 (s->listeners[i].fd, (struct sockaddr *) &from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
	if (fd < 0)
		return;
	Connection *c = g_new0 (Connection, 1);
	c->server = s;
	c->listener = &s->listeners[i];
	c->service = &c->listener->service;
	c->fd = fd;
	c->other = -1;
	c->began = c->since = c->stranger = g_get_monotonic_time ();
	c->busy = TRUE; /* until it listens */
	describe_peer (c, &from, size);
	if (from.ss_family != AF_UNIX && setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
		g_debug ("server: TCP_NODELAY: %s", g_strerror (errno));
	const char *why = why_not (c);
	if (why) {
		refuse (c->service, fd, why);
		c->fd = -1;
		connection_free (c);
		return;
	}
	if (c->service->tls_at_once ? !start_tls (c) : !begin_session (c)) {
		connection_end (c);
		return;
	}
	g_mutex_lock (&s->lock);
	c->busy = FALSE;
	listen_again (c, TRUE);
	if (c->pending) /* it was told of something meanwhile */
		add_pending (c, 0);
	g_mutex_unlock (&s->lock);
}

/* With the lock. */
static void
tell_connection (Connection *c, guint what, const char *why)
{
	c->end_why = why ? why : c->end_why;
	/* a busy one may be about to wait */
	if (what != PENDING_WAKE || c->busy || c->service->protocol->waits (c->session))
		add_pending (c, what);
}

static void
tell_topic (Server *s, gconstpointer topic, guint what, const char *why)
{
	GHashTableIter it;
	gpointer c;
	g_mutex_lock (&s->lock);
	GHashTable *those = g_hash_table_lookup (s->topics, topic);
	if (those) {
		g_hash_table_iter_init (&it, those);
		while (g_hash_table_iter_next (&it, &c, NULL))
			tell_connection (c, what, why);
	}
	g_mutex_unlock (&s->lock);
}

void
server_tell (Server *s, gconstpointer topic)
{
	tell_topic (s, topic, PENDING_WAKE, NULL);
}

void
server_end (Server *s, gconstpointer topic, const char *why)
{
	tell_topic (s, topic, PENDING_END, why);
}

void
server_follow (Server *s, gconstpointer topic, const char *why)
{
	tell_topic (s, topic, PENDING_FOLLOW, why);
}

gboolean
server_end_one (Server *s, guint64 id, const char *why)
{
	g_mutex_lock (&s->lock);
	Connection *c = g_hash_table_lookup (s->connections, &id);
	if (c)
		tell_connection (c, PENDING_END, why);
	g_mutex_unlock (&s->lock);
	return c != NULL;
}

static void
end_all (Server *s, const char *why)
{
	GHashTableIter it;
	gpointer c;
	g_mutex_lock (&s->lock);
	g_hash_table_iter_init (&it, s->connections);
	while (g_hash_table_iter_next (&it, NULL, &c))
		tell_connection (c, PENDING_END, why);
	g_mutex_unlock (&s->lock);
}

static void
connection_told (Server *s, guint64 id, guint what)
{
	g_mutex_lock (&s->lock);
	Connection *c = g_hash_table_lookup (s->connections, &id);
	if (c)
		add_pending (c, what);
	g_mutex_unlock (&s->lock);
}

/* With the lock: when to look again. Who is late is so for a tenth of the time that he has, at most. */
static int
tick_ms (const Server *s)
{
	gint64 shortest = MIN (microseconds (s->limits.log_on, LOG_ON_S), microseconds (s->limits.silent, SILENT_S));
	return s->paused ? SHORT_TICK_MS : (int) CLAMP (shortest / 10000, SHORT_TICK_MS, TICK_MS);
}

/* Ends pauses and those who are silent for too long. Returns when to look again. */
static int
tick (Server *s)
{
	GHashTableIter it;
	gpointer value;
	gint64 now = g_get_monotonic_time ();
	g_mutex_lock (&s->lock);
	g_hash_table_iter_init (&it, s->connections);
	while (g_hash_table_iter_next (&it, NULL, &value)) {
		Connection *c = value;
		if (c->paused_to && c->paused_to <= now && !c->busy) {
			c->paused_to = 0;
			s->paused--;
			add_pending (c, PENDING_INPUT); /* of what TLS holds already, the socket tells nothing */
		}
		if ((!c->busy || !c->logged_on) && is_late (c, now)) /* who talks all the time is busy whenever it is looked at */
			add_pending (c, PENDING_TIMEOUT);
	}
	int wait = tick_ms (s);
	g_mutex_unlock (&s->lock);
	return wait;
}

static void
event (Server *s, const struct epoll_event *e)
{
	guint64 id = e->data.u64;
	if (id >= ID_CONNECTION)
		connection_told (s, id & ~ID_OTHER, id & ID_OTHER ? PENDING_OTHER : PENDING_INPUT);
	else if (id >= ID_LISTENER)
		accept_one (s, (guint) (id - ID_LISTENER));
	else if (id >= ID_SOURCE)
		s->sources[id - ID_SOURCE].ready (s->sources[id - ID_SOURCE].data);
}

/* Clients are told, workers finish; who doesn't read is cut off. */
static void
stop (Server *s)
{
	GHashTableIter it;
	gpointer value;
	end_all (s, "the server stops");
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
	s->workers = g_thread_pool_new (work, s, WORKERS_MAX, FALSE, NULL);
	int wait = SHORT_TICK_MS;
	gint64 ticked = g_get_monotonic_time ();
	while (!cancel_is_triggered (cancel)) {
		int n = epoll_wait (s->epoll, events, G_N_ELEMENTS (events), wait);
		for (int i = 0; i < n; i++)
			event (s, &events[i]);
		g_mutex_lock (&s->lock);
		wait = tick_ms (s);
		g_mutex_unlock (&s->lock);
		if (n == 0 || g_get_monotonic_time () - ticked > wait * 1000) {
			wait = tick (s);
			ticked = g_get_monotonic_time ();
		}
	}
	stop (s);
	g_thread_pool_free (g_steal_pointer (&s->workers), FALSE, TRUE);
	return TRUE;
}

/* ---- From outside ---- */

void
server_set_limits (Server *s, const ServerLimits *limits)
{
	g_mutex_lock (&s->lock);
	s->limits = *limits;
	g_mutex_unlock (&s->lock);
}

static int
by_id (gconstpointer a, gconstpointer b)
{
	const Connection *const *one = a, *const *other = b;
	return ((*one)->id > (*other)->id) - ((*one)->id < (*other)->id);
}

void
server_each (Server *s, void (*fn) (gpointer data, const ServerConnection *c), gpointer data)
{
	gint64 ahead = g_get_real_time () - g_get_monotonic_time ();
	GHashTableIter it;
	gpointer value;
	g_autoptr (GPtrArray) all = g_ptr_array_new ();
	g_mutex_lock (&s->lock);
	g_hash_table_iter_init (&it, s->connections);
	while (g_hash_table_iter_next (&it, NULL, &value))
		g_ptr_array_add (all, value);
	g_ptr_array_sort (all, by_id);
	for (guint i = 0; i < all->len; i++) {
		const Connection *c = all->pdata[i];
		const ServerConnection now = {.id = c->id, .service = c->service->name, .address = c->address, .label = c->label,
		                              .began = (c->began + ahead) / G_USEC_PER_SEC, .since = (c->since + ahead) / G_USEC_PER_SEC,
		                              .encrypted = c->encrypted, .logged_on = c->logged_on, .busy = c->busy, .topic = c->topic};
		fn (data, &now);
	}
	g_mutex_unlock (&s->lock);
}

void
server_each_service (Server *s, void (*fn) (gpointer data, const char *service, const ServerCounts *counts), gpointer data)
{
	g_mutex_lock (&s->lock);
	for (guint i = 0; i < s->n_listeners; i++) {
		const Listener *l = &s->listeners[i];
		const ServerCounts now = {l->open, l->accepted, l->refused, l->received, l->sent};
		fn (data, l->service.name, &now);
	}
	g_mutex_unlock (&s->lock);
}

void
server_set_tls (Server *s, ServerTls *tls)
{
	g_mutex_lock (&s->lock);
	for (guint i = 0; i < s->n_listeners; i++) {
		if (!s->listeners[i].service.tls)
			continue;
		server_tls_unref (s->listeners[i].service.tls);
		s->listeners[i].service.tls = server_tls_ref (tls);
	}
	g_mutex_unlock (&s->lock);
}

/* ---- Listening ---- */

static gboolean
add_listener (Server *s, const ServerService *service, int fd, const char *path, GError **error)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = ID_LISTENER + s->n_listeners};
	if (s->n_listeners == LISTENERS_MAX) {
		close (fd);
		return error_fail (error, ERROR_USAGE, "at most %d addresses can be listened at", LISTENERS_MAX);
	}
	if (listen (fd, SOMAXCONN) != 0 || epoll_ctl (s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		error_set_errno (error, errno, "listening");
		close (fd);
		return FALSE;
	}
	Listener *l = &s->listeners[s->n_listeners++];
	*l = (Listener){.service = *service, .fd = fd, .path = g_strdup (path)};
	if (service->tls)
		l->service.tls = server_tls_ref (service->tls);
	return TRUE;
}

G_STATIC_ASSERT (offsetof (struct sockaddr_in, sin_port) == offsetof (struct sockaddr_in6, sin6_port));

static guint16
port_of (int fd)
{
	struct sockaddr_in6 address = {0};
	socklen_t size = sizeof address;
	if (getsockname (fd, (struct sockaddr *) &address, &size) != 0)
		return 0;
	return ntohs (address.sin6_port); /* where that of IPv4 is, too */
}

gboolean
server_listen_tcp (Server *s, const ServerService *service, const char *host, guint16 port, guint16 *port_out, GError **error)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found;
	char number[8];
	int one = 1;
	g_snprintf (number, sizeof number, "%u", port);
	if (getaddrinfo (host, number, &hints, &found) != 0)
		return error_fail (error, ERROR_USAGE, "'%s' is no address", host);
	int fd = manager_take (found->ai_addr);
	gboolean ok = fd >= 0;
	if (!ok)
		fd = socket (found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ok = ok || (fd >= 0 && setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind (fd, found->ai_addr, found->ai_addrlen) == 0);
	int err = errno;
	freeaddrinfo (found);
	if (!ok) {
		if (fd >= 0)
			close (fd);
		if (err == EADDRINUSE)
			return error_fail (error, ERROR_CONFLICT, "port %u of %s is in use: choose another", port, host);
		return error_set_errno (error, err, "listening at %s, port %u", host, port);
	}
	if (port_out)
		*port_out = port_of (fd);
	return add_listener (s, service, fd, NULL, error);
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
server_listen_unix (Server *s, const ServerService *service, const char *path, guint mode, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat there;
	if (strlen (path) >= sizeof address.sun_path)
		return error_fail (error, ERROR_USAGE, "the path %s is too long for a socket", path);
	g_strlcpy (address.sun_path, path, sizeof address.sun_path);
	int handed = manager_take ((struct sockaddr *) &address);
	if (handed >= 0)
		return add_listener (s, service, handed, NULL, error);
	if (g_lstat (path, &there) == 0) {
		if (!S_ISSOCK (there.st_mode))
			return error_fail (error, ERROR_CONFLICT, "%s is there already and is no socket", path);
		if (somebody_answers (&address))
			return error_fail (error, ERROR_CONFLICT, "another server answers at %s", path);
		unlink (path);
	}
	int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Who can connect before the mode is set is asked who he is all the same. */
	if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) != 0 || g_chmod (path, (int) mode) != 0) {
		error_set_errno (error, errno, "making the socket %s", path);
		if (fd >= 0)
			close (fd);
		return FALSE;
	}
	return add_listener (s, service, fd, path, error);
}

void
server_keep_listening (Server *s)
{
	for (guint i = 0; i < s->n_listeners; i++)
		if (manager_keep (s->listeners[i].fd))
			g_clear_pointer (&s->listeners[i].path, g_free); /* it stays */
}

gboolean
server_add_source (Server *s, int fd, void (*ready) (gpointer data), gpointer data, GDestroyNotify destroy, GError **error)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = ID_SOURCE + s->n_sources};
	g_assert (s->n_sources < SOURCES_MAX);
	s->sources[s->n_sources] = (Source){ready, data, destroy};
	s->n_sources++;
	return epoll_ctl (s->epoll, EPOLL_CTL_ADD, fd, &e) == 0 || error_set_errno (error, errno, "waiting for changes");
}

/* ---- Beginning and end ---- */

Server *
server_new (guint connections_max, guint per_address, GError **error)
{
	int epoll = epoll_create1 (EPOLL_CLOEXEC);
	if (epoll < 0) {
		error_set_errno (error, errno, "waiting for connections");
		return NULL;
	}
	Server *s = g_new0 (Server, 1);
	s->limits = (ServerLimits){connections_max, per_address};
	s->epoll = epoll;
	g_mutex_init (&s->lock);
	s->connections = g_hash_table_new (g_int64_hash, g_int64_equal);
	s->topics = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_hash_table_unref);
	s->addresses = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
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
		server_tls_unref (s->listeners[i].service.tls);
		if (s->listeners[i].path)
			unlink (s->listeners[i].path);
		g_free (s->listeners[i].path);
	}
	for (guint i = 0; i < s->n_sources; i++)
		if (s->sources[i].destroy)
			s->sources[i].destroy (s->sources[i].data);
	close (s->epoll);
	g_hash_table_unref (s->connections);
	g_hash_table_unref (s->topics);
	g_hash_table_unref (s->addresses);
	g_mutex_clear (&s->lock);
	g_free (s);
}
