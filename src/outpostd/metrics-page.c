/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics-page.h"
#include <string.h>

#define REQUEST_MAX 8192 /* octets, to the empty line */

typedef struct {
	const MetricsPage *page;
	ServerSend send;
	gpointer to;
	GString *request;
} Session;

/* ---- The page ---- */

typedef struct {
	GString *open, *accepted, *refused, *received, *sent;
} Columns;

static void
add_service (gpointer data, const char *service, const ServerCounts *n)
{
	Columns *c = data;
	g_autofree char *labels = g_strdup_printf ("service=\"%s\"", service);
	metrics_write_number (c->open, "outpost_connections", labels, n->open);
	metrics_write_number (c->accepted, "outpost_connections_total", labels, n->accepted);
	metrics_write_number (c->refused, "outpost_connections_refused_total", labels, n->refused);
	metrics_write_number (c->received, "outpost_received_bytes_total", labels, n->received);
	metrics_write_number (c->sent, "outpost_sent_bytes_total", labels, n->sent);
}

/* Lines of one metric stand together. */
static void
write_services (Server *server, GString *to)
{
	static const char *const heads[][3] = {
		{"outpost_connections", "gauge", "Connections that are open."},
		{"outpost_connections_total", "counter", "Connections that were let in."},
		{"outpost_connections_refused_total", "counter", "Connections that were over a limit."},
		{"outpost_received_bytes_total", "counter", "Octets from clients, without TLS."},
		{"outpost_sent_bytes_total", "counter", "Octets to clients, without TLS."},
	};
	g_autoptr (GString) open = g_string_new (NULL), accepted = g_string_new (NULL), refused = g_string_new (NULL), received = g_string_new (NULL),
	                    sent = g_string_new (NULL);
	GString *const columns[] = {open, accepted, refused, received, sent};
	server_each_service (server, add_service, &(Columns){open, accepted, refused, received, sent});
	for (guint i = 0; i < G_N_ELEMENTS (columns); i++) {
		metrics_write_head (to, heads[i][0], heads[i][1], heads[i][2]);
		g_string_append (to, columns[i]->str);
	}
}

static GString *
write_page (const MetricsPage *p)
{
	GString *text = g_string_new (NULL);
	metrics_write_head (text, "outpost_start_time_seconds", "gauge", "When the server was started.");
	metrics_write_number (text, "outpost_start_time_seconds", NULL, (guint64) p->since);
	if (p->server)
		write_services (p->server, text);
	metrics_write (p->metrics, text);
	return text;
}

/* ---- HTTP ---- */

static void
answer (const Session *s, const char *status, const char *more, const char *body)
{
	g_autofree char *whole = g_strdup_printf ("HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %zu\r\n"
	                                          "Cache-Control: no-store\r\n%sConnection: close\r\n\r\n%s",
	                                          status, strlen (body), more, body);
	s->send (s->to, whole, strlen (whole));
}

/* Lines that each have a name of a field (RFC 9112 section 5) and no folding; *hosts_out: how many are Host. */
static gboolean
are_fields (char **lines, guint *hosts_out)
{
	*hosts_out = 0;
	for (; *lines && **lines; lines++) {
		gsize name = strspn (*lines, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (name == 0 || (*lines)[name] != ':' || strchr (*lines, '\n') || strchr (*lines, '\r'))
			return FALSE;
		*hosts_out += g_ascii_strncasecmp (*lines, "Host:", 5) == 0;
	}
	return TRUE;
}

static void
serve (const Session *s, const char *request)
{
	g_auto (GStrv) lines = g_strsplit (request, "\r\n", -1);
	g_auto (GStrv) words = g_strsplit (lines[0], " ", 4);
	gboolean newer = g_strv_length (words) == 3 && strcmp (words[2], "HTTP/1.1") == 0;
	guint hosts;
	if ((!newer && (g_strv_length (words) != 3 || strcmp (words[2], "HTTP/1.0") != 0)) || !are_fields (lines + 1, &hosts) || (newer && hosts != 1))
		answer (s, "400 Bad Request", "", "This is no request of HTTP/1.1.\n");
	else if (strcmp (words[0], "GET") != 0)
		answer (s, "405 Method Not Allowed", "Allow: GET\r\n", "Only GET is served.\n");
	else if (strcmp (words[1], "/metrics") != 0)
		answer (s, "404 Not Found", "", "There is only /metrics.\n");
	else {
		g_autoptr (GString) page = write_page (s->page);
		answer (s, "200 OK", "", page->str);
	}
}

static gboolean
feed (gpointer session, Slice input)
{
	Session *s = session;
	g_string_append_len (s->request, input.data, (gssize) MIN (input.size, REQUEST_MAX + 1 - MIN (s->request->len, REQUEST_MAX)));
	const char *end = g_strstr_len (s->request->str, (gssize) s->request->len, "\r\n\r\n");
	if (memchr (s->request->str, '\0', s->request->len))
		answer (s, "400 Bad Request", "", "This is no request of HTTP/1.1.\n");
	else if (end) {
		g_string_truncate (s->request, (gsize) (end + 2 - s->request->str));
		serve (s, s->request->str);
	} else if (s->request->len > REQUEST_MAX)
		answer (s, "431 Request Header Fields Too Large", "", "At most 8 KiB are taken.\n");
	else
		return TRUE;
	return FALSE;
}

static gpointer
open_session (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to)
{
	Session *s = g_new0 (Session, 1);
	*s = (Session){.page = data, .send = send, .to = to, .request = g_string_new (NULL)};
	return s;
}

static void
close_session (gpointer session)
{
	Session *s = session;
	g_string_free (s->request, TRUE);
	g_free (s);
}

static void
bye (gpointer session, const char *why)
{
	answer (session, "503 Service Unavailable", "", "");
}

/* So that who says nothing is ended soon. */
static gboolean
is_logged_on (gpointer session)
{
	return FALSE;
}

const ServerProtocol server_metrics = {.open = open_session, .free = close_session, .feed = feed, .bye = bye, .is_logged_on = is_logged_on,
                                       .refusal = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n%s\r\n"};
