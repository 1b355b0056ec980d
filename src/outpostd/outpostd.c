/* SPDX-License-Identifier: Apache-2.0 */
/* outpostd: the mailbox server. `outpostd init` makes one, `outpostd` runs it; everything else is outpostctl's. */
#include "deliver.h"
#include "log-on.h"
#include "server-imap.h"
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char *folder = NULL, *domain_option, *name_option, *user_option;
static gboolean version;
static Cancel *stopping;

static const GOptionEntry run_options[] = {
	{"dir", 'd', 0, G_OPTION_ARG_FILENAME, &folder, "The server's folder (/srv/mail)", "DIR"},
	{"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and end", NULL},
	{NULL},
};
static const GOptionEntry init_options[] = {
	{"dir", 'd', 0, G_OPTION_ARG_FILENAME, &folder, "The server's folder (/srv/mail)", "DIR"},
	{"domain", 0, 0, G_OPTION_ARG_STRING, &domain_option, "The domain of the first mailboxes", "DOMAIN"},
	{"name", 0, 0, G_OPTION_ARG_STRING, &name_option, "The server's name (this machine's)", "HOST"},
	{"user", 0, 0, G_OPTION_ARG_STRING, &user_option, "Whom the mail belongs to, and who the server becomes when root starts it", "USER"},
	{NULL},
};

/* ---- Running ---- */

static gboolean
listen_at (Server *server, const ServerService *service, const char *what, const char *where, const Host *h, GError **error)
{
	const char *colon = strrchr (where, ':');
	guint64 number;
	if (!colon) {
		g_autofree char *path = g_path_is_absolute (where) ? g_strdup (where) : g_build_filename (h->folder, where, NULL);
		if (!server_listen_unix (server, service, path, 0660, error))
			return FALSE;
		g_message ("%s: serving at %s", what, path);
		return TRUE;
	}
	g_autofree char *host = g_strndup (where, (gsize) (colon - where));
	gsize n = strlen (host);
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove (host, host + 1, n - 1);
	}
	guint16 port;
	if (!g_ascii_string_to_unsigned (colon + 1, 10, 0, G_MAXUINT16, &number, NULL))
		return error_fail (error, ERROR_USAGE, "[%s] listen: '%s' is no ADDRESS:PORT", what, where);
	if (!server_listen_tcp (server, service, host, (guint16) number, &port, error))
		return FALSE;
	g_message ("%s: serving at %s, port %u", what, host, port);
	return TRUE;
}

static gboolean
serve (Host *h, Cancel *cancel, GError **error)
{
	LogOns log_ons = {.host = h};
	const ImapdSettings imap_settings = {.log_on = log_on, .sasl = &log_on_sasl, .data = &log_ons, .message_max = h->message_max, .tls = TRUE};
	ServerImap imap = {&imap_settings, NULL};
	LmtpdSettings lmtp = deliver_settings (h);
	g_autoptr (ServerTls) tls = server_tls_new (h->certificate, h->key, error);
	g_autoptr (ImapdPool) pool = tls ? imapd_pool_new (NULL, NULL, error) : NULL;
	g_autoptr (Server) server = pool ? server_new (h->connections, h->per_address, error) : NULL;
	log_ons.pool = pool;
	const ServerService services[] = {{.protocol = &server_imap, .data = &imap, .tls = tls},
	                                  {.protocol = &server_imap, .data = &imap, .tls = tls, .tls_at_once = TRUE},
	                                  {.protocol = &server_lmtp, .data = &lmtp}};
	return server && server_imap_watch (server, pool, error) && (!h->imap || listen_at (server, &services[0], "imap", h->imap, h, error)) &&
	       (!h->imaps || listen_at (server, &services[1], "imaps", h->imaps, h, error)) &&
	       (!h->lmtp || listen_at (server, &services[2], "lmtp", h->lmtp, h, error)) && host_become_user (h, error) &&
	       host_directory (h, error) && server_run (server, cancel, error);
}

/* ---- The program ---- */

static void
on_signal (int number)
{
	cancel_trigger (stopping);
}

/* One event is one line: what came from outside may have ends of lines in it, or what moves a terminal's cursor. */
static void
log_line (const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
	g_autofree char *line = g_strdup (text);
	for (char *c = line; *c; c++)
		if (g_ascii_iscntrl (*c) || ((guchar) c[0] == 0xc2 && (guchar) c[1] >= 0x80 && (guchar) c[1] < 0xa0)) /* C0, and C1 in UTF-8 */
			*c = '?';
	fprintf (stderr, "%s\n", line);
}

static gboolean
run (GError **error)
{
	g_autoptr (Host) h = host_open (folder ? folder : "/srv/mail", error);
	if (!h)
		return FALSE;
	struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
	stopping = cancel_new ();
	sigaction (SIGINT, &stop, NULL);
	sigaction (SIGTERM, &stop, NULL);
	sigaction (SIGPIPE, &ignore, NULL);
	gboolean ok = serve (h, stopping, error);
	cancel_free (stopping);
	return ok;
}

static gboolean
init (GError **error)
{
	const char *where = folder ? folder : "/srv/mail", *name = name_option ? name_option : g_get_host_name ();
	if (!domain_option)
		return error_fail (error, ERROR_USAGE, "init wants --domain DOMAIN, that of the mail addresses");
	if (!host_init (where, domain_option, name, user_option, error))
		return FALSE;
	printf ("A mailbox server for %s is in %s. Next:\n\n    outpostctl --dir %s mailbox create you@%s\n    outpostd --dir %s\n\n"
	        "Its certificate is signed by itself, for %s: put one that mail programs know into tls/, or compare its fingerprint there.\n"
	        "Ports, names and limits stand in %s/outpostd.conf.\n", domain_option, where, where, domain_option, where, name, where);
	return TRUE;
}

int
main (int argc, char **argv)
{
	gboolean initialise = argc > 1 && strcmp (argv[1], "init") == 0;
	g_autoptr (GError) error = NULL;
	g_autoptr (GOptionContext) context = g_option_context_new (initialise ? "init - make a mailbox server" : "- the mailbox server");
	setlocale (LC_ALL, "");
	g_log_set_handler ("outpost", G_LOG_LEVEL_MASK, log_line, NULL);
	g_option_context_add_main_entries (context, initialise ? init_options : run_options, NULL);
	if (!initialise)
		g_option_context_set_summary (context, "`outpostd init --help` tells how to make one; outpostctl makes and changes mailboxes.");
	gboolean ok = g_option_context_parse (context, &argc, &argv, &error) &&
	              (argc == 1 + initialise || error_fail (&error, ERROR_USAGE, "'%s' is too much here", argv[1 + initialise]));
	if (ok && version)
		printf ("outpostd %s\n", OUTPOST_VERSION);
	else if (ok)
		ok = initialise ? init (&error) : run (&error);
	if (!ok)
		fprintf (stderr, "outpostd: %s\n", error->message);
	return ok ? 0 : error->domain == OUTPOST_ERROR && error->code != ERROR_USAGE ? 1 : 2;
}
