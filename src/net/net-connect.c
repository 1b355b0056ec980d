/* SPDX-License-Identifier: Apache-2.0 */
/* Name look-up and TCP connect. getaddrinfo cannot be interrupted, so that it runs in a thread which is left behind, with what it
 * needs, when the caller stops waiting. */
#include "net-private.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* An address that swallows packets must not cost the whole time when another one may answer. */
#define IMPATIENT_MS 5000
#define PROBE_AFTER_S 120 /* of silence */
#define PROBE_EACH_S 15

int
net_wait_fd (int fd, short events, gint64 deadline, Cancel *cancel, GError **error)
{
	for (;;) {
		if (!cancel_check (cancel, error))
			return -1;
		gint64 left = (deadline - g_get_monotonic_time () + 999) / 1000;
		if (left <= 0)
			return 0;
		struct pollfd fds[] = {{fd, events, 0}, {cancel_fd (cancel), POLLIN, 0}};
		int n = poll (fds, G_N_ELEMENTS (fds), (int) MIN (left, G_MAXINT));
		if (n < 0 && errno != EINTR) {
			error_set_errno (error, errno, "waiting for the network");
			return -1;
		}
		if (n > 0 && fds[0].revents)
			return 1;
	}
}

typedef struct {
	char *host;
	char port[8];
	int done; /* eventfd */
	int result;
	struct addrinfo *list;
} Lookup;

static const struct addrinfo lookup_hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_IDN};

static void
lookup_clear (gpointer data)
{
	Lookup *l = data;
	if (l->list)
		freeaddrinfo (l->list);
	close (l->done);
	g_free (l->host);
}

static void
lookup_unref (Lookup *l)
{
	g_atomic_rc_box_release_full (l, lookup_clear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Lookup, lookup_unref)

static gpointer
lookup_run (gpointer data)
{
	g_autoptr (Lookup) l = data;
	l->result = getaddrinfo (l->host, l->port, &lookup_hints, &l->list);
	guint64 one = 1;
	if (write (l->done, &one, sizeof one) < 0)
		g_debug ("net: the look-up could not be reported");
	return NULL;
}

static gboolean
lookup_fail (const char *host, int result, GError **error)
{
	return error_fail (error, ERROR_TEMPORARY, "the address of %s was not found (%s): check the server's name and the network",
	                   host, gai_strerror (result));
}

static Lookup *
lookup_new (const char *host, guint16 port)
{
	Lookup *l = g_atomic_rc_box_new0 (Lookup);
	l->host = g_strdup (host);
	g_snprintf (l->port, sizeof l->port, "%u", port);
	l->done = eventfd (0, EFD_CLOEXEC);
	return l;
}

/* Literals need neither thread nor name server. */
static gboolean
lookup_literal (Lookup *l)
{
	struct addrinfo hints = lookup_hints;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	return getaddrinfo (l->host, l->port, &hints, &l->list) == 0;
}

static Lookup *
look_up (const NetTarget *target, gint64 deadline, Cancel *cancel, GError **error)
{
	g_autoptr (Lookup) l = lookup_new (target->host, target->port);
	if (lookup_literal (l))
		return g_steal_pointer (&l);
	g_autoptr (GThread) thread = g_thread_try_new ("lookup", lookup_run, g_atomic_rc_box_acquire (l), NULL);
	if (!thread) {
		lookup_unref (l);
		error_fail (error, ERROR_IO, "no thread for the look-up of %s", target->host);
		return NULL;
	}
	int ready = net_wait_fd (l->done, POLLIN, deadline, cancel, error);
	if (ready < 0)
		return NULL;
	if (ready == 0 || l->result != 0) {
		lookup_fail (target->host, ready ? l->result : EAI_AGAIN, error);
		return NULL;
	}
	return g_steal_pointer (&l);
}

/* The limit for octets without acknowledgement holds for the probes, too; KEEPCNT counts where it isn't known. */
static void
set_options (int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EACH_S},
		{IPPROTO_TCP, TCP_KEEPCNT, (NET_DEAD_S - PROBE_AFTER_S) / PROBE_EACH_S},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, NET_DEAD_S * 1000},
	};
	for (guint i = 0; i < G_N_ELEMENTS (options); i++)
		setsockopt (fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static int
connect_result (int fd)
{
	int err = 0;
	socklen_t size = sizeof err;
	return getsockopt (fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 ? errno : err;
}

/* The socket, or -1 with *err_out the reason; *err_out 0 when @error was set and trying on is useless. */
static int
connect_one (const struct addrinfo *a, guint timeout_ms, Cancel *cancel, int *err_out, GError **error)
{
	int fd = socket (a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*err_out = errno;
		return -1;
	}
	int ready = 1;
	*err_out = connect (fd, a->ai_addr, a->ai_addrlen) < 0 ? errno : 0;
	if (*err_out == EINPROGRESS) {
		ready = net_wait_fd (fd, POLLOUT, g_get_monotonic_time () + timeout_ms * (gint64) 1000, cancel, error);
		*err_out = ready > 0 ? connect_result (fd) : ready == 0 ? ETIMEDOUT : 0;
	}
	if (ready > 0 && *err_out == 0) {
		set_options (fd);
		return fd;
	}
	close (fd);
	return -1;
}

int
net_connect (const NetTarget *target, const char *name, Cancel *cancel, GError **error)
{
	gint64 deadline = g_get_monotonic_time () + target->timeout_ms * (gint64) 1000;
	g_autoptr (Lookup) l = look_up (target, deadline, cancel, error);
	if (!l)
		return -1;
	int err = EHOSTUNREACH;
	for (const struct addrinfo *a = l->list; a; a = a->ai_next) {
		guint patience = a->ai_next ? MIN (target->timeout_ms, IMPATIENT_MS) : target->timeout_ms;
		int fd = connect_one (a, patience, cancel, &err, error);
		if (fd >= 0 || err == 0)
			return fd;
	}
	error_fail (error, ERROR_TEMPORARY, "no connection to %s: %s", name, g_strerror (err));
	return -1;
}
