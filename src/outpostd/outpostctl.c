/* SPDX-License-Identifier: Apache-2.0 */
/* outpostctl: mailboxes, aliases, domains, and the organisation of a mailbox server, while it runs or not, and the running server itself. */
#include "ctl.h"
#include "secret.h"
#include "sweep.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>

static char *folder, *quota_option, *messages_option;
static gboolean admin, deleted_too, keep_alias, version;
static Ctl ctl;

static const GOptionEntry options[] = {
	{"dir", 'd', 0, G_OPTION_ARG_FILENAME, &folder, "The server's folder (/srv/mail)", "DIR"},
	{"quota", 0, 0, G_OPTION_ARG_STRING, &quota_option, "mailbox create: how much it may hold", "10G"},
	{"quota-messages", 0, 0, G_OPTION_ARG_STRING, &messages_option, "mailbox create: how many messages", "100000"},
	{"password-command", 0, 0, G_OPTION_ARG_STRING, &ctl.password_command, "mailbox create, passwd, import: a command that prints the password, instead of asking", "COMMAND"},
	{"admin", 0, 0, G_OPTION_ARG_NONE, &admin, "mailbox create: of an administrator", NULL},
	{"deleted", 0, 0, G_OPTION_ARG_NONE, &deleted_too, "mailbox list: the deleted ones, which are kept for 30 days", NULL},
	{"keep-alias", 0, 0, G_OPTION_ARG_NONE, &keep_alias, "mailbox rename: mail to the old address still arrives", NULL},
	{"dry-run", 0, 0, G_OPTION_ARG_NONE, &ctl.dry_run, "purge, server move, mailbox move, import: only tell what would be done", NULL},
	{"json", 0, 0, G_OPTION_ARG_NONE, &ctl.json, "org show, move list, show: JSON; status, who, kick, reload: lines of JSON, as the server sends them", NULL},
	{"dot", 0, 0, G_OPTION_ARG_NONE, &ctl.dot, "org show: a graph for Graphviz", NULL},
	{"site", 0, 0, G_OPTION_ARG_STRING, &ctl.site, "server add: the site where it is", "SITE"},
	{"at", 0, 0, G_OPTION_ARG_STRING_ARRAY, &ctl.at, "server add, move: where clients reach it; may be repeated, the preferred one first", "imaps://HOST[:PORT]"},
	{"to-site", 0, 0, G_OPTION_ARG_STRING, &ctl.to_site, "server move: the site where it is from now on", "SITE"},
	{"to-server", 0, 0, G_OPTION_ARG_STRING, &ctl.to_server, "mailbox move: the server where it is to be at home", "SERVER"},
	{"max-rate", 0, 0, G_OPTION_ARG_STRING, &ctl.max_rate, "mailbox move: how much is copied in a second at most", "20M"},
	{"batch", 0, 0, G_OPTION_ARG_FILENAME, &ctl.batch, "mailbox move, import: of all addresses in a file, one a line, one after another; for import ADDRESS [USER]", "FILE"},
	{"start", 0, 0, G_OPTION_ARG_STRING, &ctl.start, "mailbox move: wait until then, today or tomorrow", "HH:MM"},
	{"suspend-when-ready", 0, 0, G_OPTION_ARG_NONE, &ctl.suspend_when_ready, "mailbox move: all but the switch, which `move complete` makes", NULL},
	{"rename", 0, 0, G_OPTION_ARG_STRING, &ctl.rename, "server move: its name from now on", "NAME"},
	{"to", 0, 0, G_OPTION_ARG_FILENAME, &ctl.to, "backup: the folder where it is kept", "DIR"},
	{"from", 0, 0, G_OPTION_ARG_FILENAME, &ctl.from, "restore: that folder; mailbox import: the old server, imaps://HOST[:PORT]", "PLACE"},
	{"from-maildir", 0, 0, G_OPTION_ARG_FILENAME, &ctl.from_maildir, "mailbox import: a Dovecot account in Maildir++ on this machine, instead", "DIR"},
	{"user", 0, 0, G_OPTION_ARG_STRING, &ctl.import_user, "mailbox import: the user there, unless it is the address", "USER"},
	{"accept-removals", 0, 0, G_OPTION_ARG_NONE, &ctl.accept_removals, "mailbox import: much that was removed at the old server is removed here, too", NULL},
	{"tls-ca", 0, 0, G_OPTION_ARG_FILENAME, &ctl.tls_ca, "mailbox import: believe the authorities in this PEM file, too", "FILE"},
	{"insecure", 0, 0, G_OPTION_ARG_NONE, &ctl.insecure, "mailbox import: without TLS if it is imap://; everyone on the way reads the password", NULL},
	{"check", 0, 0, G_OPTION_ARG_NONE, &ctl.check, "backup: read all of what is there, and write nothing", NULL},
	{"with-queue", 0, 0, G_OPTION_ARG_NONE, &ctl.with_queue, "restore: mail that was on its way, too; it may be sent twice", NULL},
	{"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and end", NULL},
	{NULL},
};

gboolean
ctl_parse_size (const char *text, guint64 *out, GError **error)
{
	static const char units[] = "kMGT";
	char *end;
	if (!text)
		return TRUE;
	guint64 n = g_ascii_strtoull (text, &end, 10);
	const char *unit = *end ? strchr (units, *end) : NULL;
	*out = n;
	if (strcmp (text, "none") == 0)
		return TRUE;
	for (const char *u = units; unit && u <= unit && *out < G_MAXINT64 / 1024; u++)
		*out *= 1024;
	return (end != text && g_ascii_isdigit (*text) && n < G_MAXINT64 / 1024 && (!*end || (unit && !end[1]))) ||
	       error_fail (error, ERROR_USAGE, "'%s' is no size: say for example 10G or 500M, or none for no limit", text);
}

static gboolean
parse_messages (const char *text, guint64 *out, GError **error)
{
	if (text && strcmp (text, "none") == 0)
		*out = 0;
	else if (text && !g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT32, out, NULL))
		return error_fail (error, ERROR_USAGE, "'%s' is no number of messages: say for example 100000, or none for no limit", text);
	return TRUE;
}

static gboolean
set_password (Ctl *c, const char *name, GError **error)
{
	g_autofree char *question = g_strdup_printf ("Password for %s: ", name);
	char *first = c->password_command ? secret_from_command (c->password_command, 60000, NULL, error) : secret_from_prompt (question, NULL, error);
	char *second = first && !c->password_command ? secret_from_prompt ("Once more: ", NULL, error) : NULL;
	gboolean ok = first && (c->password_command || second);
	if (ok && second && strcmp (first, second) != 0)
		ok = error_fail (error, ERROR_USAGE, "these are two different passwords; nothing was changed");
	ok = ok && directory_set_password (c->d, name, first, error);
	secret_free (first);
	secret_free (second);
	return ok;
}

static gboolean
mailbox_create (Ctl *c, GError **error)
{
	guint64 quota = 0, messages = 0;
	if (!ctl_parse_size (quota_option, &quota, error) || !parse_messages (messages_option, &messages, error) ||
	    !host_create_mailbox (c->host, c->args[0], quota, messages, admin ? DIRECTORY_ADMINISTRATOR : 0, error))
		return FALSE;
	if (set_password (c, c->args[0], error)) {
		printf ("The mailbox %s is made.\n", c->args[0]);
		return TRUE;
	}
	g_prefix_error (error, "the mailbox %s is made, but has no password (outpostctl mailbox passwd %s): ", c->args[0], c->args[0]);
	return FALSE;
}

static void
print_mailbox (const DirectoryMailbox *m)
{
	g_autofree char *quota = m->quota ? g_format_size_full (m->quota, G_FORMAT_SIZE_IEC_UNITS) : g_strdup ("no limit");
	printf ("%-40s %12s  %s%s%s%s\n", m->address, quota, m->id, m->disabled ? " disabled" : "", m->roles & DIRECTORY_ADMINISTRATOR ? " administrator" : "",
	        m->has_password ? "" : " without password");
}

static gboolean
mailbox_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) all = directory_mailboxes (c->d, deleted_too, error);
	for (guint i = 0; all && i < all->len; i++)
		print_mailbox (all->pdata[i]);
	return all != NULL;
}

static gboolean
mailbox_show (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, c->args[0], error);
	gboolean here = m && (c->host->server || host_enrol (c->host, error)) && host_is_home (c->host, m, NULL, error);
	g_autofree char *path = here ? host_store_path (c->host, m->id) : NULL;
	g_autoptr (Store) s = here ? store_open (path, 0, error) : NULL; /* it may be of an older version */
	StoreStatistics now;
	StoreUsage usage;
	if (!s || !store_statistics (s, &now, error) || !store_usage (s, &usage, error))
		return FALSE;
	g_autofree char *size = g_format_size_full (usage.octets, G_FORMAT_SIZE_IEC_UNITS);
	print_mailbox (m);
	printf ("%" G_GUINT64_FORMAT " messages in %" G_GUINT64_FORMAT " folders, %s; %s\n", usage.messages, now.folders, size, path);
	if (m->quota_messages)
		printf ("At most %" G_GUINT64_FORMAT " messages.\n", m->quota_messages);
	return TRUE;
}

static gboolean
mailbox_passwd (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, c->args[0], error); /* before anything is asked */
	return m && set_password (c, c->args[0], error) && server_end_sessions (c, m, error);
}

static gboolean
mailbox_disable (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, c->args[0], error);
	return m && directory_mailbox_set_disabled (c->d, m->id, TRUE, error) && server_end_sessions (c, m, error);
}

static gboolean
mailbox_enable (Ctl *c, GError **error)
{
	return directory_mailbox_set_disabled (c->d, c->args[0], FALSE, error);
}

static gboolean
mailbox_quota (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, c->args[0], error);
	return m && ctl_parse_size (c->args[1], &m->quota, error) && parse_messages (c->args[2], &m->quota_messages, error) &&
	       directory_mailbox_set_quota (c->d, m->id, m->quota, m->quota_messages, error);
}

static gboolean
mailbox_rename (Ctl *c, GError **error)
{
	return directory_mailbox_rename (c->d, c->args[0], c->args[1], keep_alias, error);
}

static gboolean
mailbox_delete (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, c->args[0], error);
	if (!m || !directory_mailbox_delete (c->d, m->id, error))
		return FALSE;
	printf ("The mailbox %s takes no mail and no log-on any more; it is kept for %d days: outpostctl mailbox list --deleted\n", m->address, HOST_KEPT_DAYS);
	return server_end_sessions (c, m, error);
}

static gboolean
mailbox_undelete (Ctl *c, GError **error)
{
	return directory_mailbox_undelete (c->d, c->args[0], error);
}

static gboolean
domain_add (Ctl *c, GError **error)
{
	return directory_domain_add (c->d, c->args[0], error);
}

static gboolean
domain_remove (Ctl *c, GError **error)
{
	return directory_domain_remove (c->d, c->args[0], error);
}

static gboolean
domain_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) all = directory_domains (c->d, error);
	for (guint i = 0; all && i < all->len; i++)
		printf ("%s\n", (const char *) all->pdata[i]);
	return all != NULL;
}

static gboolean
alias_add (Ctl *c, GError **error)
{
	return directory_alias_add (c->d, c->args[0], c->args[1], error);
}

static gboolean
alias_remove (Ctl *c, GError **error)
{
	return directory_alias_remove (c->d, c->args[0], c->args[1], error);
}

static gboolean
alias_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) all = directory_aliases (c->d, error);
	for (guint i = 0; all && i < all->len; i++)
		printf ("%-40s %s\n", ((DirectoryAlias *) all->pdata[i])->alias, ((DirectoryAlias *) all->pdata[i])->target);
	return all != NULL;
}

typedef struct {
	guint failures, mailboxes;
	guint64 messages;
} Purged;

static void
print_purged (gpointer data, const DirectoryMailbox *m, gboolean whole, guint64 messages, const GError *error)
{
	Purged *p = data;
	const char *verb = ctl.dry_run ? "would go" : "gone";
	p->failures += error != NULL;
	p->mailboxes += whole;
	p->messages += messages;
	if (error)
		fprintf (stderr, "outpostctl: %s: %s\n", m->address, error->message);
	else if (whole)
		printf ("%s (%s): the mailbox %s\n", m->address, m->id, verb);
	else
		printf ("%s: %" G_GUINT64_FORMAT " message%s %s\n", m->address, messages, messages == 1 ? "" : "s", verb);
}

static gboolean
purge (Ctl *c, GError **error)
{
	Purged p = {0};
	if (!sweep_run (c->host, g_get_real_time () / G_USEC_PER_SEC, c->dry_run ? SWEEP_DRY : 0, NULL, print_purged, &p, error))
		return FALSE;
	if (p.mailboxes + p.messages + p.failures == 0)
		printf ("Nothing was removed or deleted more than %d days ago.\n", HOST_KEPT_DAYS);
	return p.failures == 0 || error_fail (error, ERROR_CORRUPT, "%u mailbox%s could not be looked through", p.failures, p.failures == 1 ? "" : "es");
}

static const struct {
	const char *noun, *verb /* NULL: the noun is all */, *arguments, *what;
	guint min, max;
	gboolean (*run) (Ctl *c, GError **error);
} verbs[] = {
	{"mailbox", "create", "ADDRESS", "make a mailbox; asks for its password", 1, 1, mailbox_create},
	{"mailbox", "list", "", "all mailboxes", 0, 0, mailbox_list},
	{"mailbox", "show", "ADDRESS", "one of them, with what it holds", 1, 1, mailbox_show},
	{"mailbox", "passwd", "ADDRESS", "another password; its sessions end", 1, 1, mailbox_passwd},
	{"mailbox", "quota", "ADDRESS SIZE [MESSAGES]", "how much it may hold, 10G for example; none: no limit", 2, 3, mailbox_quota},
	{"mailbox", "disable", "ADDRESS", "no log-on, and its sessions end; mail still arrives", 1, 1, mailbox_disable},
	{"mailbox", "enable", "ADDRESS", "the opposite", 1, 1, mailbox_enable},
	{"mailbox", "rename", "ADDRESS NEW", "another address; mail programs notice nothing else", 2, 2, mailbox_rename},
	{"mailbox", "delete", "ADDRESS", "kept for 30 days; its sessions end", 1, 1, mailbox_delete},
	{"mailbox", "undelete", "ID", "back again", 1, 1, mailbox_undelete},
	{"mailbox", "move", "ADDRESS --to-server SERVER", "Move Mailbox, while it is used; --batch FILE instead of an address", 0, 1, ctl_mailbox_move},
	{"mailbox", "import", "ADDRESS --from URL", "its mail from another server, again and again", 0, 1, ctl_mailbox_import},
	{"move", "list", "", "moves of mailboxes", 0, 0, ctl_move_list},
	{"move", "resume", "NUMBER", "go on with one that was interrupted", 1, 1, ctl_move_resume},
	{"move", "show", "NUMBER", "one of them, how far it is, with its sum", 1, 1, ctl_move_show},
	{"move", "watch", "NUMBER", "the same as it goes, with rate and time left, to its end", 1, 1, ctl_move_watch},
	{"move", "suspend", "NUMBER", "stop one as soon as it can; it loses nothing", 1, 1, ctl_move_suspend},
	{"move", "complete", "NUMBER", "go on with one that is ready, or suspended", 1, 1, ctl_move_resume},
	{"move", "undo", "NUMBER", "back to the server from which it came, with all that came since", 1, 1, ctl_move_undo},
	{"move", "cancel", "NUMBER", "the mailbox stays where it is", 1, 1, ctl_move_cancel},
	{"domain", "add", "DOMAIN", "addresses in it are of this server", 1, 1, domain_add},
	{"domain", "remove", "DOMAIN", "one without mailboxes", 1, 1, domain_remove},
	{"domain", "list", "", "all domains", 0, 0, domain_list},
	{"alias", "add", "ALIAS TARGET", "mail to ALIAS goes to TARGET; several are possible", 2, 2, alias_add},
	{"alias", "remove", "ALIAS [TARGET]", "one of them, or all", 1, 2, alias_remove},
	{"alias", "list", "", "all aliases", 0, 0, alias_list},
	{"org", "init", "NAME", "name the organisation", 1, 1, org_init},
	{"org", "rename", "NAME", "another name for it", 1, 1, org_rename},
	{"org", "show", "", "the organisation: sites, servers, addresses", 0, 0, org_show},
	{"site", "create", "SITE", "a place for servers", 1, 1, site_create},
	{"site", "rename", "SITE NEW", "another name for it", 2, 2, site_rename},
	{"site", "list", "", "all sites", 0, 0, site_list},
	{"server", "add", "NAME --site SITE", "another server, which then adopts that name", 1, 1, ctl_server_add},
	{"server", "list", "", "all servers, with addresses", 0, 0, ctl_server_list},
	{"server", "move", "NAME", "Move Server: to another site, name or address", 1, 1, ctl_server_move},
	{"server", "adopt", "NAME", "this folder is that server's", 1, 1, ctl_server_adopt},
	{"server", "forget", "ADDRESS", "a past address forwards no more", 1, 1, ctl_server_forget},
	{"queue", "list", "", "mail that waits to be sent, for whom and why", 0, 0, queue_list},
	{"queue", "show", "NAME", "one message of it, with its header", 1, 1, queue_show},
	{"queue", "retry", "[NAME]", "try one now, or all", 0, 1, queue_try_again},
	{"queue", "delete", "NAME", "give one up; its sender is not told", 1, 1, queue_remove},
	{"backup", NULL, "--to DIR [ADDRESS ...]", "all mailboxes and settings, while they are used; only what changed", 0, G_MAXUINT, ctl_backup},
	{"restore", NULL, "--from DIR [ADDRESS ...]", "a server in an empty --dir; or those mailboxes of this one", 0, G_MAXUINT, ctl_restore},
	{"purge", NULL, "", "drop what was removed or deleted 30 days ago, as the server does each day", 0, 0, purge},
	{"status", NULL, "", "of the running server", 0, 0, server_status},
	{"who", NULL, "", "its sessions", 0, 0, server_who},
	{"kick", NULL, "ID|ADDRESS", "end a session, or all of a mailbox", 1, 1, server_kick},
	{"reload", NULL, "", "read the certificate and what can change in the configuration", 0, 0, server_reload},
};

static char *
words_of (guint i)
{
	return g_strchomp (g_strconcat (verbs[i].noun, verbs[i].verb ? " " : "", verbs[i].verb ? verbs[i].verb : "", " ", verbs[i].arguments, NULL));
}

static char *
summary (void)
{
	GString *text = g_string_new ("Commands:");
	for (guint i = 0; i < G_N_ELEMENTS (verbs); i++) {
		g_autofree char *words = words_of (i);
		g_string_append_printf (text, "\n  %-40s %s", words, verbs[i].what);
	}
	return g_string_free (text, FALSE);
}

/* How many words of @words name verb @i; 0: they name another. */
static guint
names (guint i, char **words)
{
	if (!words[0] || strcmp (verbs[i].noun, words[0]) != 0)
		return 0;
	return !verbs[i].verb ? 1 : words[1] && strcmp (verbs[i].verb, words[1]) == 0 ? 2 : 0;
}

static gboolean
run (char **words, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS (verbs); i++) {
		guint named = names (i, words), n = g_strv_length (words) - named;
		if (!named)
			continue;
		g_autofree char *right = words_of (i);
		if (n < verbs[i].min || n > verbs[i].max)
			return error_fail (error, ERROR_USAGE, "say: outpostctl %s", right);
		ctl.folder = folder ? folder : "/srv/mail";
		ctl.args = words + named;
		if (verbs[i].run == ctl_restore && n == 0)
			return ctl_restore (&ctl, error);
		g_autoptr (Host) h = host_open (ctl.folder, error);
		Directory *d = h && host_become_user (h, error) ? host_directory (h, error) : NULL;
		ctl.host = h;
		ctl.d = d;
		return d && verbs[i].run (&ctl, error);
	}
	return error_fail (error, ERROR_USAGE, "there is no such command: outpostctl --help lists them");
}

/* What is for a server's log; an administrator is told in other words. */
static void
say_nothing (const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
}

int
main (int argc, char **argv)
{
	g_autoptr (GError) error = NULL;
	g_autoptr (GOptionContext) context = g_option_context_new ("COMMAND - mailboxes, aliases and domains of a mailbox server");
	g_autofree char *text = summary ();
	setlocale (LC_ALL, "");
	g_log_set_handler ("outpost", G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO, say_nothing, NULL);
	g_option_context_add_main_entries (context, options, NULL);
	g_option_context_set_summary (context, text);
	gboolean ok = g_option_context_parse (context, &argc, &argv, &error);
	if (ok && version)
		printf ("outpostctl %s\n", OUTPOST_VERSION);
	else
		ok = ok && run (argv + 1, &error);
	if (!ok)
		fprintf (stderr, "outpostctl: %s\n", error->message);
	return ok ? 0 : error->domain != OUTPOST_ERROR || error->code == ERROR_USAGE ? 2 : error->code == ERROR_NOT_FOUND ? 3 : 1;
}
