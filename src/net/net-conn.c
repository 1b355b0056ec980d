/* SPDX-License-Identifier: Apache-2.0 */
/* Queues, DEFLATE and waiting. Octets pass out -> (deflate) -> packed -> transport and transport -> (raw -> inflate) -> in;
 * the transport is the socket or TLS on it. */
#include "net-private.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define READ_STEP 65536u         /* asked from the transport at once */
#define READ_MAX (4 * READ_STEP) /* a call of net_conn_read */
#define PACKED_MAX (2 * READ_STEP)
#define KEPT_MAX 65536u          /* an empty buffer larger than this gives its memory back */
#define WAIT_MAX 64
#define INPUT_LIMIT (64u << 20)
#define TIMEOUT_MS 30000

char *
net_buffer_room (NetBuffer *b, gsize size)
{
	if (b->allocated - b->end >= size)
		return b->data + b->end;
	if (b->start > 0 && b->start >= b->allocated / 2) {
		memmove (b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->allocated - b->end < size) {
		b->allocated = MAX (b->end + size, b->allocated + b->allocated / 2);
		b->data = g_realloc (b->data, b->allocated);
	}
	return b->data + b->end;
}

void
net_buffer_clear (NetBuffer *b)
{
	if (b->data)
		explicit_bzero (b->data, b->allocated);
	g_free (b->data);
	*b = (NetBuffer){0};
}

void
net_buffer_drop (NetBuffer *b, gsize size)
{
	g_assert (size <= b->end - b->start);
	b->start += size;
	if (b->start < b->end)
		return;
	b->start = b->end = 0;
	if (b->allocated > KEPT_MAX) {
		g_free (b->data);
		*b = (NetBuffer){0};
	}
}

static gsize
buffer_size (const NetBuffer *b)
{
	return b->end - b->start;
}

static void
buffer_add (NetBuffer *b, const void *data, gsize size)
{
	if (size == 0)
		return;
	memcpy (net_buffer_room (b, size), data, size);
	b->end += size;
}

static void
trace (NetConn *c, gboolean sent, const char *data, gsize size)
{
	if (c->trace && size)
		c->trace (c->trace_data, sent, (Slice){data, size});
}

/* Keeps @failure as the connection's own and hands out a copy. */
static gboolean
fail (NetConn *c, GError *failure, GError **error)
{
	if (!c->failed)
		c->failed = failure;
	else if (c->failed != failure)
		g_clear_error (&failure);
	if (error)
		*error = g_error_copy (c->failed);
	return FALSE;
}

gssize
net_socket_send (NetConn *c, const char *data, gsize size, GError **error)
{
	gssize n = send (c->fd, data, size, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		error_fail (error, ERROR_TEMPORARY, "sending to %s: %s", c->name, g_strerror (errno));
	else
		c->stats.wire_out += (guint64) n;
	return n;
}

gssize
net_socket_recv (NetConn *c, char *data, gsize size, GError **error)
{
	gssize n = recv (c->fd, data, size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		error_fail (error, ERROR_TEMPORARY, "the connection to %s broke: %s", c->name, g_strerror (errno));
	else if (n == 0)
		c->at_end = TRUE;
	else
		c->stats.wire_in += (guint64) n;
	return n;
}

static gboolean
address_is_loopback (int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t size = sizeof a;
	if (getpeername (fd, (struct sockaddr *) &a, &size) < 0)
		return FALSE;
	if (a.ss_family == AF_INET)
		return ntohl (((struct sockaddr_in *) &a)->sin_addr.s_addr) >> 24 == 127;
	const struct in6_addr *six = &((struct sockaddr_in6 *) &a)->sin6_addr;
	return a.ss_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK (six) || (IN6_IS_ADDR_V4MAPPED (six) && six->s6_addr[12] == 127));
}

/* @pin as 64 lower-case digits, or NULL with USAGE. */
static char *
normal_pin (const char *pin, GError **error)
{
	GString *digits = g_string_new (NULL);
	for (const char *p = pin; *p; p++)
		if (*p != ':')
			g_string_append_c (digits, g_ascii_isxdigit (*p) ? g_ascii_tolower (*p) : 'x');
	if (digits->len == 64 && !strchr (digits->str, 'x'))
		return g_string_free (digits, FALSE);
	g_string_free (digits, TRUE);
	error_fail (error, ERROR_USAGE, "the pinned fingerprint is not a SHA-256: it needs 64 hexadecimal digits");
	return NULL;
}

NetConn *
net_conn_open (const NetTarget *target, Cancel *cancel, GError **error)
{
	g_assert (target->host && target->port);
	g_autoptr (NetConn) c = g_new0 (NetConn, 1);
	c->fd = -1;
	c->host = g_strdup (target->host);
	c->name = g_strdup_printf (strchr (c->host, ':') ? "[%s]:%u" : "%s:%u", c->host, target->port);
	c->ca_file = g_strdup (target->ca_file);
	c->input_limit = INPUT_LIMIT;
	NetTarget timed = *target;
	timed.timeout_ms = c->timeout_ms = target->timeout_ms ? target->timeout_ms : TIMEOUT_MS;
	if (target->pin && !(c->pin = normal_pin (target->pin, error)))
		return NULL;
	c->fd = net_connect (&timed, c->name, cancel, error);
	if (c->fd < 0)
		return NULL;
	c->is_loopback = address_is_loopback (c->fd);
	if (target->tls && !net_tls_start (c, cancel, error))
		return NULL;
	return g_steal_pointer (&c);
}

static void
end_deflate (NetConn *c)
{
	if (c->deflater)
		deflateEnd (c->deflater);
	if (c->inflater)
		inflateEnd (c->inflater);
	g_free (c->deflater);
	g_free (c->inflater);
}

void
net_conn_free (NetConn *c)
{
	if (!c)
		return;
	if (c->tls && !c->failed && !c->tls_blocked)
		gnutls_bye (c->tls, GNUTLS_SHUT_WR);
	if (c->tls)
		gnutls_deinit (c->tls);
	if (c->credentials)
		gnutls_certificate_free_credentials (c->credentials);
	if (c->fd >= 0)
		close (c->fd);
	end_deflate (c);
	NetBuffer *buffers[] = {&c->in, &c->out, &c->packed, &c->raw, &c->ahead};
	for (guint i = 0; i < G_N_ELEMENTS (buffers); i++)
		net_buffer_clear (buffers[i]);
	g_clear_error (&c->failed);
	g_free (c->host);
	g_free (c->name);
	g_free (c->ca_file);
	g_free (c->pin);
	g_free (c->distrust);
	g_free (c);
}

gboolean
net_conn_start_tls (NetConn *c, Cancel *cancel, GError **error)
{
	g_assert (!c->tls && !c->deflater && net_conn_pending (c) == 0);
	GError *failure = NULL;
	if (c->failed)
		return fail (c, c->failed, error);
	if (buffer_size (&c->in) > 0) {
		error_fail (&failure, ERROR_PROTOCOL, "the server %s sent unprotected data where TLS must begin: somebody may be "
		            "tampering with the connection", c->name);
		return fail (c, failure, error);
	}
	return net_tls_start (c, cancel, &failure) || fail (c, failure, error);
}

gboolean
net_conn_start_deflate (NetConn *c, GError **error)
{
	g_assert (!c->deflater);
	c->deflater = g_new0 (z_stream, 1);
	c->inflater = g_new0 (z_stream, 1);
	if (deflateInit2 (c->deflater, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    inflateInit2 (c->inflater, -15) != Z_OK)
		return error_fail (error, ERROR_IO, "compression cannot be set up");
	c->packed = c->out;
	c->raw = c->in;
	c->stats.app_in -= buffer_size (&c->in);
	c->out = c->in = (NetBuffer){0};
	c->has_more = buffer_size (&c->raw) > 0;
	return TRUE;
}

gboolean
net_conn_is_encrypted (const NetConn *c)
{
	return c->tls != NULL;
}

gboolean
net_conn_is_loopback (const NetConn *c)
{
	return c->is_loopback;
}

gboolean
net_conn_is_deflated (const NetConn *c)
{
	return c->deflater != NULL;
}

static void
queue (NetConn *c, const void *data, gsize size)
{
	if (c->failed)
		return;
	buffer_add (&c->out, data, size);
	c->stats.app_out += size;
}

void
net_conn_write (NetConn *c, const void *data, gsize size)
{
	queue (c, data, size);
	trace (c, TRUE, data, size);
}

void
net_conn_write_secret (NetConn *c, const void *data, gsize size)
{
	queue (c, data, size);
	trace (c, TRUE, "<secret>", 8);
}

gsize
net_conn_pending (const NetConn *c)
{
	return c->failed ? 0 : buffer_size (&c->out) + buffer_size (&c->packed);
}

/* Everything queued becomes one flush block: a command batch costs four octets of overhead, not four each. */
static gboolean
pack (NetConn *c, GError **error)
{
	while (buffer_size (&c->out) > 0 && buffer_size (&c->packed) < PACKED_MAX) {
		gsize size = MIN (buffer_size (&c->out), READ_STEP);
		z_stream *z = c->deflater;
		z->next_in = (Bytef *) c->out.data + c->out.start;
		z->avail_in = (uInt) size;
		int flush = size == buffer_size (&c->out) ? Z_SYNC_FLUSH : Z_NO_FLUSH;
		do {
			z->next_out = (Bytef *) net_buffer_room (&c->packed, READ_STEP / 4);
			z->avail_out = READ_STEP / 4;
			int code = deflate (z, flush);
			if (code != Z_OK && code != Z_BUF_ERROR)
				return error_fail (error, ERROR_IO, "compressing for %s failed", c->name);
			c->packed.end += READ_STEP / 4 - z->avail_out;
		} while (z->avail_out == 0);
		explicit_bzero (c->out.data + c->out.start, size);
		net_buffer_drop (&c->out, size);
	}
	return TRUE;
}

static gboolean
send_some (NetConn *c, NetBuffer *from, gboolean *blocked_out, GError **error)
{
	*blocked_out = FALSE;
	while (buffer_size (from) > 0 && !*blocked_out) {
		const char *data = from->data + from->start;
		gssize n = c->tls ? net_tls_send (c, data, buffer_size (from), error) : net_socket_send (c, data, buffer_size (from), error);
		if (n < 0)
			return FALSE;
		*blocked_out = n == 0;
		explicit_bzero (from->data + from->start, (gsize) n);
		net_buffer_drop (from, (gsize) n);
		c->unanswered = TRUE;
	}
	return TRUE;
}

static gboolean
send_queue (NetConn *c, GError **error)
{
	gboolean blocked = FALSE;
	if (!c->deflater)
		return send_some (c, &c->out, &blocked, error);
	do {
		if (!pack (c, error) || !send_some (c, &c->packed, &blocked, error))
			return FALSE;
	} while (!blocked && buffer_size (&c->out) > 0);
	return TRUE;
}

gboolean
net_conn_flush (NetConn *c, GError **error)
{
	GError *failure = NULL;
	if (c->failed)
		return fail (c, c->failed, error);
	return send_queue (c, &failure) || fail (c, failure, error);
}

static gssize
receive (NetConn *c, NetBuffer *to, GError **error)
{
	if (c->at_end)
		return 0;
	char *room = net_buffer_room (to, READ_STEP / 4);
	gsize size = to->allocated - to->end;
	size = MIN (size, READ_STEP);
	gssize n = c->tls ? net_tls_recv (c, room, size, error) : net_socket_recv (c, room, size, error);
	if (n > 0)
		to->end += (gsize) n;
	return n;
}

/* One step of input for the caller: 1 something came, 0 nothing is there, -1 error. */
static int
take_plain (NetConn *c, GError **error)
{
	gssize n = receive (c, &c->in, error);
	return n < 0 ? -1 : n > 0;
}

static int
take_inflated (NetConn *c, GError **error)
{
	z_stream *z = c->inflater;
	gssize n = buffer_size (&c->raw) ? 1 : receive (c, &c->raw, error);
	if (n < 0)
		return -1;
	z->next_in = (Bytef *) c->raw.data + c->raw.start;
	z->avail_in = (uInt) MIN (buffer_size (&c->raw), READ_STEP);
	guint given = z->avail_in;
	z->next_out = (Bytef *) net_buffer_room (&c->in, READ_STEP / 4);
	z->avail_out = READ_STEP / 4;
	int code = inflate (z, Z_SYNC_FLUSH);
	gsize made = READ_STEP / 4 - z->avail_out;
	c->in.end += made;
	if (given > 0)
		net_buffer_drop (&c->raw, given - z->avail_in);
	if (code == Z_STREAM_END) {
		c->at_end = TRUE;
		net_buffer_drop (&c->raw, buffer_size (&c->raw));
	} else if (code != Z_OK && code != Z_BUF_ERROR) {
		error_fail (error, ERROR_PROTOCOL, "the compressed data from %s are damaged", c->name);
		return -1;
	}
	return made > 0 || (code == Z_OK && given > z->avail_in);
}

static gboolean
take (NetConn *c, GError **error)
{
	gsize before = buffer_size (&c->in);
	int more = 1;
	c->has_more = FALSE;
	while (more > 0 && buffer_size (&c->in) - before < READ_MAX)
		more = c->inflater ? take_inflated (c, error) : take_plain (c, error);
	c->has_more = more > 0;
	gsize came = buffer_size (&c->in) - before;
	c->stats.app_in += came;
	if (came)
		trace (c, FALSE, c->in.data + c->in.end - came, came);
	return more >= 0;
}

void
net_conn_set_input_limit (NetConn *c, gsize limit)
{
	g_assert (limit > 0);
	c->input_limit = limit;
}

gboolean
net_conn_read (NetConn *c, GError **error)
{
	GError *failure = NULL;
	if (c->failed)
		return fail (c, c->failed, error);
	if (buffer_size (&c->in) >= c->input_limit) {
		error_fail (&failure, ERROR_TOO_BIG, "the server %s sent more than %" G_GSIZE_FORMAT " octets in one piece", c->name,
		            c->input_limit);
		return fail (c, failure, error);
	}
	return take (c, &failure) || fail (c, failure, error);
}

Slice
net_conn_input (const NetConn *c)
{
	return buffer_size (&c->in) ? (Slice){c->in.data + c->in.start, buffer_size (&c->in)} : (Slice){"", 0};
}

void
net_conn_consume (NetConn *c, gsize size)
{
	net_buffer_drop (&c->in, size);
}

gboolean
net_conn_at_end (const NetConn *c)
{
	return c->at_end && !c->has_more;
}

gboolean
net_conn_fail_at_end (const NetConn *c, GError **error)
{
	return error_fail (error, ERROR_TEMPORARY, "the server %s closed the connection", c->name);
}

/* Before waiting: sends, counts the flight. TRUE if net_conn_read has something to do at once. */
static gboolean
prepare (NetConn *c)
{
	if (!net_conn_flush (c, NULL))
		return TRUE;
	if (c->unanswered && net_conn_pending (c) == 0) {
		c->stats.flights++;
		c->unanswered = FALSE;
	}
	return c->has_more || c->at_end;
}

/* After poll: TRUE if the caller should look at @c. */
static gboolean
settle (NetConn *c, short revents)
{
	gboolean look = (revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0;
	if ((revents & POLLOUT) && (!net_conn_flush (c, NULL) || net_conn_pending (c) == 0))
		look = TRUE;
	return look;
}

typedef struct {
	struct pollfd fds[1 + WAIT_MAX];
	guint n_fds;
	int ready; /* without polling */
} WaitList;

static void
list_waits (WaitList *w, NetConn *const *conns, guint n_conns, const struct pollfd *extra, guint n_extra, Cancel *cancel)
{
	w->n_fds = 0;
	w->ready = 0;
	w->fds[w->n_fds++] = (struct pollfd){cancel_fd (cancel), POLLIN, 0};
	for (guint i = 0; i < n_conns; i++) {
		NetConn *c = conns[i];
		if (c && prepare (c))
			w->ready++;
		short events = c && net_conn_pending (c) > 0 ? POLLIN | POLLOUT : POLLIN;
		w->fds[w->n_fds++] = (struct pollfd){c && !c->failed ? c->fd : -1, events, 0};
	}
	for (guint i = 0; i < n_extra; i++)
		w->fds[w->n_fds++] = extra[i];
}

static int
settle_all (WaitList *w, NetConn *const *conns, guint n_conns, struct pollfd *extra, guint n_extra)
{
	int ready = w->ready;
	for (guint i = 0; i < n_conns; i++)
		if (conns[i] && settle (conns[i], w->fds[1 + i].revents))
			ready++;
	for (guint i = 0; i < n_extra; i++) {
		extra[i].revents = w->fds[1 + n_conns + i].revents;
		ready += extra[i].revents != 0;
	}
	return ready;
}

int
net_wait (NetConn *const *conns, guint n_conns, struct pollfd *extra, guint n_extra, int timeout_ms, Cancel *cancel,
          GError **error)
{
	g_assert (n_conns <= WAIT_MAX && n_extra <= WAIT_MAX - n_conns);
	gint64 deadline = g_get_monotonic_time () + timeout_ms * (gint64) 1000;
	for (;;) {
		WaitList w;
		if (!cancel_check (cancel, error))
			return -1;
		list_waits (&w, conns, n_conns, extra, n_extra, cancel);
		gint64 left = timeout_ms < 0 ? -1 : MAX (0, (deadline - g_get_monotonic_time () + 999) / 1000);
		int n = poll (w.fds, w.n_fds, w.ready ? 0 : (int) left);
		if (n < 0 && errno != EINTR) {
			error_set_errno (error, errno, "waiting for the network");
			return -1;
		}
		if (n < 0)
			continue;
		int ready = settle_all (&w, conns, n_conns, extra, n_extra);
		if (ready > 0)
			return ready;
		if (left == 0)
			return cancel_check (cancel, error) ? 0 : -1;
	}
}

NetStats
net_conn_stats (const NetConn *c)
{
	return c->stats;
}

void
net_conn_set_trace (NetConn *c, NetTrace function, gpointer data)
{
	c->trace = function;
	c->trace_data = data;
}

int
net_conn_fd (const NetConn *c)
{
	return c->fd;
}

const char *
net_conn_name (const NetConn *c)
{
	return c->name;
}
