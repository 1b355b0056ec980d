/* SPDX-License-Identifier: Apache-2.0 */
/* outpostd: the mailbox server. `outpostd init` makes one, `outpostd` runs it; everything else is outpostctl's. */
#include "control.h"
#include "deliver.h"
#include "log-on.h"
#include "manager.h"
#include "metrics-page.h"
#include "move.h"
#include "proxy.h"
#include "sandbox.h"
#include "submission.h"
#include "sweep.h"
#include "server-imap.h"
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define ADMINISTRATORS_MAX 20
#define PLACES_MAX 10 /* where one protocol is served */
#define MINUTE_MS 60000
#define DAY_MINUTES (24 * 60)

static char *folder = NULL, *domain_option, *name_option, *user_option, *join_option, *server_option;
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
	{"join", 0, 0, G_OPTION_ARG_FILENAME, &join_option, "Instead of --domain: the directory of a server of this machine, to share it", "FILE"},
	{"server", 0, 0, G_OPTION_ARG_STRING, &server_option, "With --join: which server of that directory this is (outpostctl server add)", "NAME"},
	{"user", 0, 0, G_OPTION_ARG_STRING, &user_option, "Whom the mail belongs to, and who the server becomes when root starts it", "USER"},
	{NULL},
};

/* ---- Running ---- */

/* Everything that serves, and what it stands on. */
typedef struct {
	Host *host;
	ServerTls *tls;
	ImapdPool *pool;
	Indexer *indexer;
	Server *server, *asked; /* asked: answers the administrator, even when all workers of the other are busy */
	Control control;
	MetricsPage page;
	Delivery *delivery;
	Submission *submission;
	ServerImap of_servers;
	Cancel *cancel;
} Running;

static gboolean
listen_at_one (Running *r, Server *server, const ServerService *service, const char *where, GError **error)
{
	const Host *h = r->host;
	const char *what = service->name;
	const char *colon = strrchr (where, ':');
	guint64 number;
	if (!colon) {
		g_autofree char *path = g_path_is_absolute (where) ? g_strdup (where) : g_build_filename (h->folder, where, NULL);
		if (!server_listen_unix (server, service, path, 0660, error))
			return FALSE;
		g_message ("%s: serving at %s", what, path);
		g_ptr_array_add (r->control.listening, g_strdup_printf ("%s %s", what, path));
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
	g_ptr_array_add (r->control.listening, g_strdup_printf (strchr (host, ':') ? "%s [%s]:%u" : "%s %s:%u", what, host, port));
	return TRUE;
}

/* @where: one place, or several with commas between: a server that has moved serves at its past addresses, too. */
static gboolean
listen_at (Running *r, Server *server, const ServerService *service, const char *where, GError **error)
{
	g_auto (GStrv) places = g_strsplit (where, ",", PLACES_MAX + 1);
	if (g_strv_length (places) > PLACES_MAX)
		return error_fail (error, ERROR_USAGE, "[%s] listen: at most %d places", service->name, PLACES_MAX);
	for (char **p = places; *p; p++)
		if (!listen_at_one (r, server, service, g_strstrip (*p), error))
			return FALSE;
	return TRUE;
}

static gpointer
answer_thread (gpointer data)
{
	Running *r = data;
	g_autoptr (GError) error = NULL;
	if (!server_run (r->asked, r->cancel, &error))
		g_warning ("control: %s", error->message);
	return NULL;
}

static void
log_swept (gpointer data, const DirectoryMailbox *m, gboolean whole, guint64 messages, const GError *error)
{
	if (error)
		g_message ("purge: mailbox=%s: %s", m->address, error->message);
	else if (whole)
		g_message ("purge: mailbox=%s id=%s, deleted %d days ago", m->address, m->id, HOST_KEPT_DAYS);
	else
		g_message ("purge: mailbox=%s messages=%" G_GUINT64_FORMAT, m->address, messages);
}

static void
sweep (Running *r)
{
	g_autoptr (GError) error = NULL;
	gboolean ok = sweep_run (r->host, g_get_real_time () / G_USEC_PER_SEC, SWEEP_DAILY, r->cancel, log_swept, NULL, &error);
	if (!ok && !error_is (error, ERROR_CANCELLED))
		g_message ("purge: %s", error->message);
}

/* Sweeps at the start, then each day. Looks each minute for moves of mailboxes that nobody does any more: until then a fenced one can't be written to. */
static gpointer
sweep_thread (gpointer data)
{
	Running *r = data;
	struct pollfd wait = {cancel_fd (r->cancel), POLLIN, 0};
	for (guint minutes = 0; !cancel_is_triggered (r->cancel); minutes = (minutes + 1) % DAY_MINUTES) {
		move_recover (r->host);
		if (minutes == 0)
			sweep (r);
		poll (&wait, 1, MINUTE_MS);
	}
	return NULL;
}

/* As the user that mail belongs to, whom the socket then belongs to, too. */
static gboolean
listen_to_administrator (Running *r, GError **error)
{
	const ServerService service = {.name = "control", .protocol = &server_control, .data = &r->control, .only_same_user = TRUE};
	return !r->host->control || server_listen_unix (r->asked, &service, r->host->control, 0600, error);
}

/* Of the same user: they share the directory. */
static gboolean
listen_to_servers (Running *r, GError **error)
{
	const ServerService service = {.name = "servers", .protocol = &server_imap, .data = &r->of_servers, .only_same_user = TRUE};
	g_autofree char *path = g_build_filename (r->host->folder, PROXY_SOCKET, NULL);
	return server_listen_unix (r->server, &service, path, 0600, error);
}

static gboolean
listen_to_prometheus (Running *r, GError **error)
{
	const ServerService service = {.name = "metrics", .protocol = &server_metrics, .data = &r->page, .most = ADMINISTRATORS_MAX / 2};
	const char *where = r->host->metrics;
	if (where && strchr (where, ','))
		return error_fail (error, ERROR_USAGE, "[metrics] listen: one address, not '%s'", where);
	if (where && !g_str_has_prefix (where, "127.") && !g_str_has_prefix (where, "[::1]:"))
		return error_fail (error, ERROR_USAGE, "[metrics] listen: only addresses of this machine are served, such as 127.0.0.1:9143, not '%s'", where);
	return !where || listen_at (r, r->asked, &service, where, error);
}

/* What is in the queue goes out even where nobody may submit any more. *out NULL: there is no queue. */
static gboolean
start_transport (Running *r, Transport **out, GError **error)
{
	*out = NULL;
	if (!r->host->submission && !r->host->submissions && !host_has_queue (r->host))
		return TRUE;
	*out = transport_new (r->host, r->delivery, r->page.metrics, r->cancel, error);
	submission_set_transport (r->submission, *out);
	return *out != NULL;
}

/* All is listened at: the next process takes that over. */
static void
hand_over (Running *r)
{
	server_keep_listening (r->server);
	server_keep_listening (r->asked);
	manager_drop_rest ();
}

static void
enter_sandbox (void)
{
	g_autoptr (GError) error = NULL;
	if (!sandbox_enter (&error))
		g_message ("sandbox: none: %s", error->message);
}

static gboolean
serve_until (Running *r, GError **error)
{
	Transport *transport;
	if (!host_become_user (r->host, error) || !host_enrol (r->host, error) || !listen_to_prometheus (r, error) ||
	    !listen_to_administrator (r, error) || !listen_to_servers (r, error))
		return FALSE;
	hand_over (r);
	enter_sandbox ();
	if (!start_transport (r, &transport, error))
		return FALSE;
	GThread *answering = g_thread_new ("answering", answer_thread, r), *sweeping = g_thread_new ("sweeping", sweep_thread, r);
	indexer_start (r->indexer, r->cancel);
	manager_tell ("READY=1");
	gboolean ok = server_run (r->server, r->cancel, error);
	manager_tell ("STOPPING=1");
	cancel_trigger (r->cancel); /* if it failed */
	g_thread_join (answering);
	g_thread_join (sweeping);
	submission_set_transport (r->submission, NULL);
	transport_free (transport);
	return ok;
}

/* With commas between. NULL: none. */
static char **
names_of (const char *list)
{
	char **names = list ? g_strsplit (list, ",", -1) : NULL;
	for (char **n = names; n && *n; n++)
		g_strstrip (*n);
	return names;
}

static gboolean
listen_and_serve (Running *r, GError **error)
{
	Host *h = r->host;
	g_autoptr (GError) local = NULL;
	g_autoptr (Tokens) tokens = tokens_new (h, &local);
	if (local) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	LogOns log_ons = {.host = h, .pool = r->pool, .metrics = r->page.metrics, .backoff = r->control.backoff, .tokens = tokens};
	g_autoptr (Delivery) delivery = delivery_new (h, r->page.metrics, r->indexer);
	g_auto (GStrv) refer = names_of (h->refer_clients);
	const ImapdSettings imap_settings = {.log_on = log_on, .sasl = &log_on_sasl, .data = &log_ons, .message_max = h->message_max,
	                                     .ran = log_on_count_command, .quota = log_on_quota, .owner = log_on_owner, .metadata = log_on_metadata, .tls = TRUE,
	                                     .deflate = TRUE, .unauthenticate = h->unauthenticate != 0,
	                                     .relay = strcmp (h->elsewhere, "proxy") == 0 ? &proxy_relay : NULL, .refer = refer};
	ServerImap imap = {&imap_settings, NULL, FALSE};
	r->of_servers = (ServerImap){&imap_settings, NULL, TRUE};
	g_autoptr (Submission) submission = submission_new (&log_ons);
	SmtpdSettings lmtp = deliver_settings (delivery), smtp = submission_settings (submission);
	r->delivery = delivery;
	r->submission = submission;
	const ServerLimits limits = control_limits (h);
	const ServerService services[] = {{.name = "imap", .protocol = &server_imap, .data = &imap, .tls = r->tls},
	                                  {.name = "imaps", .protocol = &server_imap, .data = &imap, .tls = r->tls, .tls_at_once = TRUE},
	                                  {.name = "lmtp", .protocol = &server_lmtp, .data = &lmtp},
	                                  {.name = "submission", .protocol = &server_submission, .data = &smtp, .tls = r->tls},
	                                  {.name = "submissions", .protocol = &server_submission, .data = &smtp, .tls = r->tls, .tls_at_once = TRUE}};
	const char *const where[] = {h->imap, h->imaps, h->lmtp, h->submission, h->submissions};
	server_set_limits (r->server, &limits);
	gboolean ok = server_imap_watch (r->server, r->pool, error);
	for (guint i = 0; ok && i < G_N_ELEMENTS (services); i++)
		ok = !where[i] || listen_at (r, r->server, &services[i], where[i], error);
	return ok && serve_until (r, error);
}

static void
want_index (gpointer indexer, ImapdMailbox *m)
{
	indexer_want (indexer, imapd_mailbox_path (m));
}

static gboolean
serve (Host *h, Cancel *cancel, GError **error)
{
	g_autoptr (GPtrArray) listening = g_ptr_array_new_with_free_func (g_free);
	g_autoptr (Metrics) metrics = metrics_new ();
	g_autoptr (Backoff) backoff = backoff_new ((guint) h->log_on_delay_max);
	g_autoptr (Indexer) indexer = indexer_new (h);
	g_autoptr (ServerTls) tls = server_tls_new (h->certificate, h->key, error);
	g_autoptr (ImapdPool) pool = tls ? imapd_pool_new (want_index, indexer, error) : NULL;
	g_autoptr (Server) server = pool ? server_new ((guint) h->connections, (guint) h->per_address, error) : NULL;
	g_autoptr (Server) asked = server ? server_new (ADMINISTRATORS_MAX, 0, error) : NULL;
	if (!asked)
		return FALSE;
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	Running r = {.host = h, .tls = tls, .pool = pool, .indexer = indexer, .server = server, .asked = asked, .cancel = cancel,
	             .control = {.host = h, .server = server, .metrics = metrics, .backoff = backoff, .listening = listening,
	                         .since = now},
	             .page = {.server = server, .metrics = metrics, .since = now}};
	g_mutex_init (&r.control.lock);
	gboolean ok = listen_and_serve (&r, error);
	host_free (r.control.reloaded);
	g_mutex_clear (&r.control.lock);
	return ok;
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
	if (!join_option == !domain_option || !join_option != !server_option)
		return error_fail (error, ERROR_USAGE, "init wants --domain DOMAIN, that of the mail addresses, or --join FILE --server NAME");
	const HostInit made = {.folder = where, .domain = domain_option, .name = name, .user = user_option, .join = join_option, .server = server_option};
	if (!host_init (&made, error))
		return FALSE;
	if (join_option) {
		printf ("The server %s is in %s. Next, when its ports in %s/outpostd.conf are no other server's:\n\n    outpostd --dir %s\n", server_option, where, where, where);
		return TRUE;
	}
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
