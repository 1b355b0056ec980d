/* SPDX-License-Identifier: Apache-2.0 */
/* serve: the offline store as an IMAP server on this machine. A thread of its own tells the watcher that there is something to push, so
 * that no mail program waits for that. */
#include "cli.h"
#include "local-secret.h"
#include "secret.h"
#include "server-imap.h"
#include <gnutls/gnutls.h>
#include <string.h>

#define DEFAULT_LISTEN "127.0.0.1:1143"
#define CONNECTIONS_MAX 500
#define POKE_AFTER_US 200000 /* several changes at once are pushed by one run */

static char *listen_at, *socket_path;
static gboolean show_password;

const GOptionEntry serve_options[] = {
	{"listen", 0, 0, G_OPTION_ARG_STRING, &listen_at, "Where to listen (" DEFAULT_LISTEN " unless there is a --socket)", "ADDRESS:PORT"},
	{"socket", 0, 0, G_OPTION_ARG_FILENAME, &socket_path, "A Unix socket to listen at; this user is logged on there without a password", "PATH"},
	{"show-password", 0, 0, G_OPTION_ARG_NONE, &show_password, "Print the password for mail programs and end", NULL},
	{NULL},
};

typedef struct {
	Cli *cli;
	ImapdPool *pool;
	char *password;
	GThread *poker;
	GMutex lock; /* guards what follows */
	GCond cond;
	gboolean changed, ending;
} Serving;

/* ---- Telling the watcher ---- */

static void
on_changed (gpointer data, ImapdMailbox *m)
{
	Serving *s = data;
	g_mutex_lock (&s->lock);
	s->changed = TRUE;
	g_cond_signal (&s->cond);
	g_mutex_unlock (&s->lock);
}

static gpointer
poker_thread (gpointer data)
{
	Serving *s = data;
	g_mutex_lock (&s->lock);
	while (!s->ending || s->changed) {
		if (!s->changed) {
			g_cond_wait (&s->cond, &s->lock);
			continue;
		}
		gint64 until = g_get_monotonic_time () + POKE_AFTER_US;
		while (!s->ending && g_cond_wait_until (&s->cond, &s->lock, until))
			continue;
		s->changed = FALSE;
		g_mutex_unlock (&s->lock);
		cli_poke (s->cli);
		g_mutex_lock (&s->lock);
	}
	g_mutex_unlock (&s->lock);
	return NULL;
}

/* ---- Logging on ---- */

static gboolean
is_ours (const Profile *p, const char *user)
{
	return g_ascii_strcasecmp (user, p->address) == 0 || strcmp (user, p->user) == 0 || strcmp (user, p->name) == 0;
}

static ImapdMailbox *
open_mailbox (gpointer data, GError **error)
{
	Serving *s = data;
	return imapd_pool_open (s->pool, s->cli->profile->store, error);
}

static ImapdMailbox *
log_on (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error)
{
	Serving *s = data;
	gsize size = strlen (s->password);
	gboolean right = strlen (password) == size && gnutls_memcmp (password, s->password, size) == 0;
	if (right && is_ours (s->cli->profile, user))
		return open_mailbox (s, error);
	error_fail (error, ERROR_NO_PERMISSION, "the name or the password is wrong");
	return NULL;
}

static char *
owner (gpointer data, const ImapdMailbox *m, GError **error)
{
	return g_strdup (((Serving *) data)->cli->profile->address);
}

/* ---- Listening ---- */

static gboolean
is_loopback (const char *host)
{
	return g_str_has_prefix (host, "127.") || strcmp (host, "::1") == 0;
}

/* "127.0.0.1:1143", "[::1]:1143", "localhost:1143", "1143". */
static gboolean
split_listen (const char *text, char **host_out, guint16 *port_out, GError **error)
{
	const char *colon = strrchr (text, ':'), *port = colon ? colon + 1 : text;
	guint64 number;
	g_autofree char *host = colon ? g_strndup (text, (gsize) (colon - text)) : g_strdup ("127.0.0.1");
	gsize n = strlen (host);
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove (host, host + 1, n - 1);
	}
	if (!g_ascii_string_to_unsigned (port, 10, 0, G_MAXUINT16, &number, NULL))
		return error_fail (error, ERROR_USAGE, "'%s' is no ADDRESS:PORT", text);
	if (strcmp (host, "localhost") == 0) {
		g_free (host);
		host = g_strdup ("127.0.0.1");
	}
	if (!is_loopback (host))
		return error_fail (error, ERROR_USAGE, "only addresses of this machine are served, such as 127.0.0.1, not '%s': the connection is not encrypted", host);
	*host_out = g_steal_pointer (&host);
	*port_out = (guint16) number;
	return TRUE;
}

static gboolean
listen_all (Serving *s, Server *server, const ServerService *service, GError **error)
{
	ServerService local = *service;
	local.only_same_user = TRUE;
	guint16 port = 0;
	g_autofree char *host = NULL;
	const char *at = listen_at ? listen_at : socket_path ? NULL : DEFAULT_LISTEN;
	if (at && (!split_listen (at, &host, &port, error) || !server_listen_tcp (server, service, host, port, &port, error)))
		return FALSE;
	if (socket_path && !server_listen_unix (server, &local, socket_path, 0600, error))
		return FALSE;
	if (at)
		cli_note (s->cli, "Serving the offline store of %s at %s, port %u", s->cli->profile->address, host, port);
	if (socket_path)
		cli_note (s->cli, "Serving the offline store of %s at %s", s->cli->profile->address, socket_path);
	return TRUE;
}

static gboolean
take_password (Serving *s, GError **error)
{
	gboolean made;
	s->password = local_secret (s->cli->profile, &made, error);
	if (s->password && made && !show_password)
		cli_note (s->cli, "A password for mail programs was made: outpost serve --show-password prints it");
	return s->password != NULL;
}

static gboolean
serve (Serving *s, GError **error)
{
	const ImapdSettings settings = {.log_on = log_on, .owner = owner, .data = s};
	ServerImap imap = {&settings, open_mailbox, FALSE};
	const ServerService service = {.protocol = &server_imap, .data = &imap};
	g_autoptr (ImapdPool) pool = imapd_pool_new (on_changed, s, error);
	g_autoptr (Server) server = pool ? server_new (CONNECTIONS_MAX, 0, error) : NULL;
	s->pool = pool;
	if (!server || !server_imap_watch (server, pool, error) || !listen_all (s, server, &service, error))
		return FALSE;
	s->poker = g_thread_new ("poker", poker_thread, s);
	gboolean ok = server_run (server, s->cli->cancel, error);
	g_mutex_lock (&s->lock);
	s->ending = TRUE;
	g_cond_signal (&s->cond);
	g_mutex_unlock (&s->lock);
	g_thread_join (s->poker);
	return ok;
}

gboolean
cmd_serve (Cli *cli, char **args, GError **error)
{
	Serving s = {.cli = cli};
	if ((*args && !error_fail (error, ERROR_USAGE, "'%s' is too much: outpost serve", *args)) ||
	    !cli_profile (cli, error) || !take_password (&s, error))
		return FALSE;
	g_mutex_init (&s.lock);
	g_cond_init (&s.cond);
	gboolean ok = TRUE;
	if (show_password && cli->json)
		cli_print_json (json_pack ("{s:o, s:o}", "address", cli_json_text (cli->profile->address), "password", cli_json_text (s.password)));
	else if (show_password)
		cli_print ("%s", s.password);
	else
		ok = cli_store (cli, TRUE, error) && serve (&s, error); /* one that is not there or can't be used is told at once */
	secret_free (s.password);
	g_mutex_clear (&s.lock);
	g_cond_clear (&s.cond);
	return ok;
}
