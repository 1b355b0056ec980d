/* SPDX-License-Identifier: Apache-2.0 */
/* logon: finds the server, proves that the account works, then makes profile and offline store and starts the first sync. Nothing is
 * left behind by a log-on that failed. */
#include "cli-home.h"
#include "cli-sync.h"
#include "discover.h"
#include "secret.h"
#include <string.h>
#include <unistd.h>

static char *server_option, *user_option, *command_option, *auth_option, *ca_option, *pin_option, *store_option;
static char *stale_option;
static gboolean earlier_profile; /* one of this name is there */
static gboolean token_option, insecure_option, tunnel_option, no_sync_option, prompt_option;

const GOptionEntry logon_options[] = {
	{"server", 's', 0, G_OPTION_ARG_STRING, &server_option, "imaps://host[:port], or imap:// for STARTTLS; else it is looked for", "URL"},
	{"user", 'u', 0, G_OPTION_ARG_STRING, &user_option, "Log in as USER; else the address, or what the provider's settings say", "USER"},
	{"password-command", 0, 0, G_OPTION_ARG_STRING, &command_option, "A command whose first line of output is the password or token", "COMMAND"},
	{"token", 0, 0, G_OPTION_ARG_NONE, &token_option, "The command gives an OAuth 2 access token (OAUTHBEARER, XOAUTH2)", NULL},
	{"ask", 0, 0, G_OPTION_ARG_NONE, &prompt_option, "Ask for the password at each sync, keep it nowhere", NULL},
	{"auth", 0, 0, G_OPTION_ARG_STRING, &auth_option, "Use only this SASL mechanism", "NAME"},
	{"tls-ca", 0, 0, G_OPTION_ARG_FILENAME, &ca_option, "Believe the authorities in this PEM file too", "FILE"},
	{"tls-pin", 0, 0, G_OPTION_ARG_STRING, &pin_option, "Believe exactly the certificate with this SHA-256", "HEX"},
	{"insecure", 0, 0, G_OPTION_ARG_NONE, &insecure_option, "Allow a connection without TLS: everyone on the way reads the password", NULL},
	{"tunnel", 0, 0, G_OPTION_ARG_NONE, &tunnel_option, "The server on this machine's port is far away (an SSH tunnel): compress, and use several connections", NULL},
	{"store", 0, 0, G_OPTION_ARG_FILENAME, &store_option, "Where the offline store shall be", "FILE"},
	{"stale-store", 0, 0, G_OPTION_ARG_STRING, &stale_option, "A store that an earlier profile left: adopt (the default), report, replace (archive it)", "HOW"},
	{"no-sync", 0, 0, G_OPTION_ARG_NONE, &no_sync_option, "Don't start the first synchronisation", NULL},
	{NULL},
};

static void
replace (char **field, const char *value)
{
	if (!value)
		return;
	g_free (*field);
	*field = g_strdup (value);
}

static char *
absolute (const char *path)
{
	g_autofree char *here = g_get_current_dir ();
	return path && !g_path_is_absolute (path) ? g_build_filename (here, path, NULL) : g_strdup (path);
}

/* What the options say, over what an earlier profile of the name says. */
static Profile *
wanted_profile (Cli *cli, const char *address, GError **error)
{
	const char *name = cli->profile_name ? cli->profile_name : address;
	g_autoptr (GError) local = NULL;
	g_autoptr (Profile) p = profile_load (name, &local);
	if (!p && !error_is (local, ERROR_NOT_FOUND)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return NULL;
	}
	if (p && g_strcmp0 (p->address, address) != 0) {
		error_fail (error, ERROR_EXISTS, "profile %s is for %s: choose another name with --profile NAME", name, p->address);
		return NULL;
	}
	earlier_profile = p != NULL;
	if (!p)
		p = profile_new (name);
	g_autofree char *ca = absolute (ca_option), *store = absolute (store_option);
	replace (&p->address, address);
	if (server_option && !profile_set_location (p, server_option, error))
		return NULL;
	replace (&p->user, user_option);
	replace (&p->auth, auth_option);
	replace (&p->ca_file, ca);
	replace (&p->pin, pin_option);
	replace (&p->command, command_option);
	p->insecure |= insecure_option;
	p->tunnel |= tunnel_option;
	p->secret_is_token |= token_option;
	if (command_option)
		p->source = SECRET_COMMAND;
	if (prompt_option)
		p->source = SECRET_PROMPT;
	if (store)
		replace (&p->store, store);
	else if (!p->store)
		p->store = profile_default_store (name);
	return g_steal_pointer (&p);
}

/* The password for a first log-on: from the command, else the keyring if it is there already, else the person. */
static char *
first_secret (Cli *cli, const Profile *p, GError **error)
{
	if (p->source == SECRET_COMMAND)
		return secret_get (p, cli->cancel, error);
	char *kept = p->source == SECRET_KEYRING && g_getenv ("DBUS_SESSION_BUS_ADDRESS") ? secret_get (p, cli->cancel, NULL) : NULL;
	if (kept)
		return kept;
	g_autofree char *question = g_strdup_printf ("Password of %s on %s: ", p->user, p->host);
	return secret_from_prompt (question, cli->cancel, error);
}

static gboolean
try_server (Cli *cli, Profile *p, char **secret, GError **error)
{
	gboolean named = p->user != NULL;
	if (!named)
		p->user = g_strdup (p->address);
	if (!profile_check (p, error))
		return FALSE;
	if (!*secret)
		*secret = first_secret (cli, p, error);
	if (!*secret)
		return FALSE;
	g_autofree char *location = profile_location (p);
	cli_note (cli, "Logging on to %s as %s ...", location, p->user);
	g_autoptr (Home) home = home_new (cli, p, NULL);
	home_set_secret (home, *secret);
	if (!home->endpoint->class->open (home->endpoint, cli->cancel, error))
		return FALSE;
	const char *software = imap_endpoint_software (home->endpoint);
	cli_note (cli, "The password is right%s%s.", software ? "; the server is " : "", software ? software : "");
	home->endpoint->class->close (home->endpoint);
	if (home->plain)
		cli_note (cli, "The connection is not encrypted. If %s is no server but a tunnel to one, log on with --tunnel, and with"
		          " --tls-pin or --tls-ca.", p->host);
	return TRUE;
}

static gboolean
use_candidate (Profile *p, const Candidate *c, gboolean named)
{
	replace (&p->host, c->host);
	p->port = c->port;
	p->tls = c->tls;
	if (!named) {
		g_clear_pointer (&p->user, g_free);
		p->user = g_strdup (c->user ? c->user : p->address);
	}
	return TRUE;
}

/* Some providers want only what stands before the "@". */
static gboolean
try_short_user (Cli *cli, Profile *p, char **secret, gboolean named, GError **error)
{
	const char *at = strrchr (p->address, '@');
	if (named || !at || g_strcmp0 (p->user, p->address) != 0 || !error_is (*error, ERROR_NO_PERMISSION))
		return FALSE;
	g_autoptr (GError) local = NULL;
	g_free (p->user);
	p->user = g_strndup (p->address, (gsize) (at - p->address));
	if (!try_server (cli, p, secret, &local)) {
		replace (&p->user, p->address);
		return FALSE;
	}
	g_clear_error (error);
	return TRUE;
}

/* Where another domain is named than the address's, anybody may have done that (RFC 6186, 6): asked once for each host, before anything is sent. */
static gboolean
is_approved (Cli *cli, const Profile *p, const Candidate *c, char **approved, GError **error)
{
	if (candidate_is_own (c, p->address) || g_strcmp0 (*approved, c->host) == 0)
		return TRUE;
	g_autofree char *server = g_strdup_printf ("%s://%s:%u", c->tls ? "imaps" : "imap", c->host, c->port);
	g_autofree char *question = g_strdup_printf ("%s says that its mail is at %s, which is not below it (%s).\nSend the password of %s there? [y/N] ",
	                                             strrchr (p->address, '@') + 1, c->host, c->origin, p->address);
	g_autoptr (GError) local = NULL;
	gboolean yes = FALSE;
	if (!confirm_at_terminal (question, &yes, cli->cancel, &local) && !error_is (local, ERROR_USAGE)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	if (!yes)
		return error_fail (error, ERROR_USAGE, "%s is not below %s, and nothing was sent there: if it is the right server, say --server %s", c->host,
		                   strrchr (p->address, '@') + 1, server);
	replace (approved, c->host);
	return TRUE;
}

static gboolean
find_server (Cli *cli, Profile *p, char **secret, GError **error)
{
	gboolean named = p->user != NULL;
	cli_note (cli, "Looking for the mail server of %s ...", p->address);
	cli->threads = TRUE;
	g_autoptr (GPtrArray) candidates = discover (p->address, cli->cancel, error);
	if (!candidates)
		return FALSE;
	g_autoptr (GError) local = NULL;
	g_autofree char *approved = NULL;
	for (guint i = 0; i < candidates->len; i++) {
		const Candidate *c = candidates->pdata[i];
		g_clear_error (&local);
		use_candidate (p, c, named);
		cli_note (cli, "Found %s:%u (%s)", c->host, c->port, c->origin);
		if (!is_approved (cli, p, c, &approved, error))
			return FALSE;
		if (try_server (cli, p, secret, &local) || try_short_user (cli, p, secret, named || c->user, &local))
			return TRUE;
		/* Another server of the same account would refuse the same password; only what can't be reached is passed over. */
		if (!error_is (local, ERROR_TEMPORARY) && !error_is (local, ERROR_NOT_FOUND))
			break;
		cli_note (cli, "%s", local->message);
	}
	g_propagate_prefixed_error (error, g_steal_pointer (&local), "no log-on to %s: ", p->address);
	return FALSE;
}

/* The keyring if there is one, else the password is asked for each time; never a file. */
static void
keep_secret (Cli *cli, Profile *p, const char *secret)
{
	g_autoptr (GError) local = NULL;
	if (p->source != SECRET_KEYRING || secret_store (p, secret, &local))
		return;
	p->source = SECRET_PROMPT;
	cli_note (cli, "The password can't be kept (%s): each sync will ask for it. With --password-command it comes from a command.",
	          local ? local->message : "no keyring");
}

static gboolean
make_store (Cli *cli, Profile *p, GError **error)
{
	StalePolicy policy = STALE_ADOPT;
	g_autofree char *folder = g_path_get_dirname (p->store);
	char *orphan = earlier_profile || store_option || g_file_test (p->store, G_FILE_TEST_EXISTS) ? NULL : stale_find_orphan (folder, p->address);
	if (orphan) {
		g_free (p->store);
		p->store = orphan;
	}
	gboolean orphaned = (!earlier_profile || stale_option) && g_file_test (p->store, G_FILE_TEST_EXISTS);
	if (!cli_make_parents (p->store, error) || (stale_option && !stale_policy_parse (stale_option, &policy, error)) ||
	    (orphaned && policy == STALE_REPLACE && !stale_archive (cli, p->store, error)))
		return FALSE;
	gboolean there = g_file_test (p->store, G_FILE_TEST_EXISTS);
	if (earlier_profile && !there)
		cli_say_new_store (cli, p);
	cli->store = store_open (p->store, earlier_profile && there && policy != STALE_REPLACE ? 0 : STORE_CREATE, error);
	if (!cli->store)
		return FALSE;
	g_autofree char *account = store_setting (cli->store, "account");
	if (account && g_ascii_strcasecmp (account, p->address) != 0)
		return error_fail (error, ERROR_CONFLICT, "the offline store %s is of %s: choose another place with --store FILE", p->store, account);
	if (account && orphaned && !earlier_profile && policy == STALE_ADOPT)
		cli_note (cli, "The offline store from before is taken over: %s", p->store);
	return (!orphaned || stale_apply (cli, policy, error)) && cli_note_account (cli, p, error);
}

gboolean
cmd_logon (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 1, 1, "ADDRESS", error))
		return FALSE;
	if (strchr (args[0], ':')) /* perhaps a URL, perhaps with a password: it is not repeated */
		return error_fail (error, ERROR_USAGE, "a mail address has no ':': say for example outpost logon you@example.org --server "
		                   "imaps://mail.example.org, and no password; it is asked for or comes from --password-command");
	if (!strchr (args[0], '@') || strpbrk (args[0], " \t\r\n"))
		return error_fail (error, ERROR_USAGE, "'%s' is no mail address: say for example outpost logon you@example.org", args[0]);
	StalePolicy policy; /* a wrong word is told before a password is asked for */
	if (stale_option && !stale_policy_parse (stale_option, &policy, error))
		return FALSE;
	Profile *p = cli->profile = wanted_profile (cli, args[0], error);
	if (!p)
		return FALSE;
	if (earlier_profile && control_is_answered (cli))
		return error_fail (error, ERROR_CONFLICT, "a watcher runs with profile %s as it is: end it, log on, and start it again", p->name);
	char *secret = NULL;
	gboolean ok = p->host ? try_server (cli, p, &secret, error) : find_server (cli, p, &secret, error);
	if (ok)
		keep_secret (cli, p, secret);
	ok = ok && make_store (cli, p, error) && profile_save (p, error);
	if (ok && cli->json)
		cli_print_json (json_pack ("{s:s, s:o, s:o}", "type", "profile", "name", cli_json_text (p->name), "store", cli_json_text (p->store)));
	if (ok && no_sync_option) {
		cli_note (cli, "Profile %s is %s. Next: outpost sync", p->name, earlier_profile ? "changed" : "made");
	} else if (ok) {
		cli_note (cli, "Profile %s is %s synchronisation starts. Ctrl-C stops it, outpost sync goes on.", p->name,
		          earlier_profile ? "changed; a" : "made; the first");
		ok = cli_sync_once (cli, secret, error);
	}
	secret_free (secret);
	return ok;
}
