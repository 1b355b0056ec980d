/* SPDX-License-Identifier: Apache-2.0 */
#include "fake-server.h"
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_LIMIT 65536

struct FakeServer {
	int listener;
	guint16 port;
	const FakeTalk *talks;
	guint n;
	gboolean trickle;
	int stopped;
	guint turned_away;
	char *trouble;
	GMutex lock; /* over trouble */
	GThread *thread;
};

/* One connection, in a thread of its own. */
typedef struct {
	FakeServer *server;
	int fd;
	FakeTalk talk;
	char tag[32], previous[32];
} Peer;

static gboolean
readable (FakeServer *f, int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	while (!g_atomic_int_get (&f->stopped))
		if (poll (&p, 1, 5) > 0)
			return TRUE;
	return FALSE;
}

static char *
line_read (Peer *p)
{
	g_autoptr (GString) line = g_string_new (NULL);
	char c;
	while (line->len < LINE_LIMIT && readable (p->server, p->fd) && recv (p->fd, &c, 1, 0) == 1) {
		g_string_append_c (line, c);
		if (line->len >= 2 && memcmp (line->str + line->len - 2, "\r\n", 2) == 0) {
			g_string_truncate (line, line->len - 2);
			return g_strdup (line->str);
		}
	}
	return NULL;
}

static gboolean
line_expect (Peer *p, const char *expect)
{
	g_autofree char *line = line_read (p);
	if (!line)
		return FALSE;
	const char *body = line;
	const char *space = strchr (line, ' ');
	if (expect[0] != '=' && space) { /* "=" stands before lines without a tag: literals, DONE, SASL */
		memcpy (p->previous, p->tag, sizeof p->tag);
		g_strlcpy (p->tag, line, MIN (sizeof p->tag, (gsize) (space - line) + 1));
		body = space + 1;
	}
	if (g_regex_match_simple (expect + (expect[0] == '='), body, G_REGEX_RAW, 0))
		return TRUE;
	g_mutex_lock (&p->server->lock);
	if (!p->server->trouble)
		p->server->trouble = g_strdup_printf ("expected /%s/ but the client sent: %s", expect, line);
	g_mutex_unlock (&p->server->lock);
	return FALSE;
}

static void
text_replace (GString *text, const char *mark, const char *by)
{
	for (char *at; (at = memmem (text->str, text->len, mark, 2));) {
		gssize position = at - text->str;
		g_string_erase (text, position, 2);
		g_string_insert (text, position, by);
	}
}

static void
reply_send (Peer *p, const FakeRow *row)
{
	g_autoptr (GString) text = g_string_new_len (row->reply, row->size && row->size != FAKE_CLOSE ? (gssize) row->size : (gssize) strlen (row->reply));
	text_replace (text, "%T", p->tag);
	text_replace (text, "%P", p->previous);
	gsize step = p->server->trickle ? 1 : MAX (text->len, 1);
	for (gsize i = 0; i < text->len; i += step)
		if (send (p->fd, text->str + i, MIN (step, text->len - i), MSG_NOSIGNAL) < 0)
			return;
}

static void
talk_play (Peer *p)
{
	for (const FakeRow *row = p->talk; row->expect || row->reply; row++) {
		if (row->expect && !line_expect (p, row->expect))
			return;
		if (!row->reply)
			return;
		reply_send (p, row);
		if (row->produce)
			row->produce (p->fd);
		if (row->size == FAKE_CLOSE)
			return;
	}
	for (char c; readable (p->server, p->fd) && recv (p->fd, &c, 1, 0) == 1;)
		; /* what comes after the script (LOGOUT) is not answered */
}

static gpointer
peer_serve (gpointer data)
{
	talk_play (data);
	close (((Peer *) data)->fd);
	g_free (data);
	return NULL;
}

static gpointer
serve (gpointer data)
{
	FakeServer *f = data;
	g_autoptr (GPtrArray) threads = g_ptr_array_new ();
	while (readable (f, f->listener)) {
		int fd = accept (f->listener, NULL, NULL);
		if (threads->len == f->n) { /* further ones are turned away at once */
			f->turned_away++;
			close (fd);
			continue;
		}
		Peer *p = g_new0 (Peer, 1);
		*p = (Peer) {.server = f, .fd = fd, .talk = f->talks[threads->len]};
		g_ptr_array_add (threads, g_thread_new ("fake-peer", peer_serve, p));
	}
	for (guint i = 0; i < threads->len; i++)
		g_thread_join (threads->pdata[i]);
	return NULL;
}

FakeServer *
fake_server_new (const FakeTalk *talks, guint n, gboolean trickle)
{
	FakeServer *f = g_new0 (FakeServer, 1);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	f->listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert (bind (f->listener, (struct sockaddr *) &address, sizeof address) == 0 && listen (f->listener, 8) == 0);
	g_assert (getsockname (f->listener, (struct sockaddr *) &address, &size) == 0);
	f->port = ntohs (address.sin_port);
	f->talks = talks;
	f->n = n;
	f->trickle = trickle;
	f->thread = g_thread_new ("fake", serve, f);
	return f;
}

guint16
fake_server_port (const FakeServer *f)
{
	return f->port;
}

char *
fake_server_free (FakeServer *f)
{
	g_atomic_int_set (&f->stopped, 1);
	g_thread_join (f->thread);
	close (f->listener);
	char *trouble = f->trouble;
	g_free (f);
	return trouble;
}
