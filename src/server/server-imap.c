/* SPDX-License-Identifier: Apache-2.0 */
#include "server-imap.h"
#include <string.h>

static gpointer
open_session (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to)
{
	const ServerImap *service = data;
	g_autoptr (ImapdMailbox) mailbox = NULL;
	if (peer->same_user && service->of_same_user) {
		g_autoptr (GError) error = NULL;
		mailbox = service->of_same_user (service->settings->data, &error);
		if (!mailbox) {
			g_autofree char *line = g_strdup_printf ("* BYE [UNAVAILABLE] %s\r\n", error->message);
			send (to, line, strlen (line));
			return NULL;
		}
	}
	const ImapdPeer who = {.how = (peer->encrypted || peer->loopback ? IMAPD_PRIVATE : 0) | (peer->encrypted ? IMAPD_ENCRYPTED : 0) |
	                              (service->servers && peer->same_user ? IMAPD_SERVER : 0),
	                       .address = peer->address, .connection = peer};
	return imapd_session_new (service->settings, g_steal_pointer (&mailbox), &who, send, to);
}

static void
close_session (gpointer session)
{
	imapd_session_free (session);
}

static gboolean
feed (gpointer session, Slice input)
{
	return imapd_session_feed (session, input);
}

static void
bye (gpointer session, const char *why)
{
	imapd_session_bye (session, why);
}

static gboolean
is_logged_on (gpointer session)
{
	return imapd_session_is_logged_on (session);
}

static guint
take_pause (gpointer session)
{
	return imapd_session_pause (session);
}

static gboolean
wants_tls (gpointer session)
{
	return imapd_session_wants_tls (session);
}

static void
encrypted (gpointer session)
{
	imapd_session_encrypted (session);
}

static gboolean
takes_deflate (gpointer session)
{
	return imapd_session_takes_deflate (session);
}

static gpointer
topic (gpointer session)
{
	return imapd_session_mailbox (session);
}

static gboolean
waits (gpointer session)
{
	return imapd_session_waits (session);
}

static gboolean
wake (gpointer session)
{
	return imapd_session_wake (session);
}

static gboolean
follow (gpointer session)
{
	return imapd_session_follow (session);
}

static gboolean
other (gpointer session)
{
	return imapd_session_take (session);
}

static const char *
label (gpointer session)
{
	return imapd_session_folder (session);
}

const ServerProtocol server_imap = {
	.open = open_session, .free = close_session, .feed = feed, .bye = bye, .refusal = "* BYE %s\r\n", .is_logged_on = is_logged_on,
	.pause = take_pause, .wants_tls = wants_tls, .encrypted = encrypted, .takes_deflate = takes_deflate, .topic = topic, .waits = waits, .wake = wake, .follow = follow, .other = other, .label = label,
};

typedef struct {
	Server *server;
	ImapdPool *pool;
} Watch;

static void
told (gpointer server, ImapdMailbox *m, gboolean there)
{
	if (there)
		server_tell (server, m);
	else
		server_follow (server, m, "the mailbox was moved or restored: log on again");
}

static void
ready (gpointer data)
{
	Watch *w = data;
	imapd_pool_take (w->pool, told, w->server);
}

gboolean
server_imap_watch (Server *s, ImapdPool *pool, GError **error)
{
	Watch *w = g_new (Watch, 1);
	*w = (Watch){s, pool};
	return server_add_source (s, imapd_pool_fd (pool), ready, w, g_free, error);
}
