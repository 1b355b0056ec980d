/* SPDX-License-Identifier: Apache-2.0 */
#include "fake-server.h"
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_LIMIT 65536

struct FakeServer {
	int listener, peer;
	guint16 port;
	const FakeTalk *talks;
	guint n;
	gboolean trickle;
	int stopped;
	char *trouble;
	char tag[32];
	GThread *thread;
};

static gboolean
readable (FakeServer *f, int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	while (!g_atomic_int_get (&f->stopped))
		if (poll (&p, 1, 20) > 0)
			return TRUE;
	return FALSE;
}

static char *
line_read (FakeServer *f)
{
	g_autoptr (GString) line = g_string_new (NULL);
	char c;
	while (line->len < LINE_LIMIT && readable (f, f->peer) && recv (f->peer, &c, 1, 0) == 1) {
		g_string_append_c (line, c);
		if (g_str_has_suffix (line->str, "\r\n")) {
			g_string_truncate (line, line->len - 2);
			return g_strdup (line->str);
		}
	}
	return NULL;
}

static gboolean
line_expect (FakeServer *f, const char *expect)
{
	g_autofree char *line = line_read (f);
	if (!line)
		return FALSE;
	const char *body = line;
	const char *space = strchr (line, ' ');
	if (expect[0] != '=' && space) { /* "=" stands before lines without a tag: literals, DONE, SASL */
		g_strlcpy (f->tag, line, MIN (sizeof f->tag, (gsize) (space - line) + 1));
		body = space + 1;
	}
	if (g_regex_match_simple (expect + (expect[0] == '='), body, 0, 0))
		return TRUE;
	if (!f->trouble)
		f->trouble = g_strdup_printf ("expected /%s/ but the client sent: %s", expect, line);
	return FALSE;
}

static void
reply_send (FakeServer *f, const FakeRow *row)
{
	g_autoptr (GString) text = g_string_new_len (row->reply, row->size ? (gssize) row->size : (gssize) strlen (row->reply));
	for (char *at; (at = memmem (text->str, text->len, "%T", 2));) {
		gssize position = at - text->str;
		g_string_erase (text, position, 2);
		g_string_insert (text, position, f->tag);
	}
	gsize step = f->trickle ? 1 : MAX (text->len, 1);
	for (gsize i = 0; i < text->len; i += step)
		if (send (f->peer, text->str + i, MIN (step, text->len - i), MSG_NOSIGNAL) < 0)
			return;
}

static void
talk_play (FakeServer *f, FakeTalk row)
{
	for (; row->expect || row->reply; row++) {
		if (row->expect && !line_expect (f, row->expect))
			return;
		if (!row->reply)
			return;
		reply_send (f, row);
	}
	for (char c; readable (f, f->peer) && recv (f->peer, &c, 1, 0) == 1;)
		; /* what comes after the script (LOGOUT) is not answered */
}

static gpointer
serve (gpointer data)
{
	FakeServer *f = data;
	for (guint i = 0; i < f->n && readable (f, f->listener); i++) {
		f->peer = accept (f->listener, NULL, NULL);
		talk_play (f, f->talks[i]);
		close (f->peer);
	}
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
