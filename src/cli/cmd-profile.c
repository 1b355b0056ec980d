/* SPDX-License-Identifier: Apache-2.0 */
/* profile list, show, delete. */
#include "cli.h"
#include "local-secret.h"
#include "secret.h"
#include <string.h>

static gboolean keep_password;
const GOptionEntry profile_delete_options[] = {
	{"keep-password", 0, 0, G_OPTION_ARG_NONE, &keep_password, "Leave the password in the keyring", NULL},
	{NULL},
};

static json_t *
json_profile (const Profile *p)
{
	static const char *const sources[] = {"keyring", "command", "prompt"};
	g_autofree char *location = profile_location (p);
	return json_pack ("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:b, s:b, s:b, s:o, s:o, s:o}", "name", cli_json_text (p->name), "address",
	                  cli_json_text (p->address), "server", cli_json_text (location), "earlier", cli_json_text (p->earlier), "user", cli_json_text (p->user), "auth",
	                  cli_json_text (p->auth), "secret", sources[p->source], "command", cli_json_text (p->command), "token",
	                  p->secret_is_token, "insecure", p->insecure, "tunnel", p->tunnel, "tlsCa", cli_json_text (p->ca_file), "tlsPin", cli_json_text (p->pin),
	                  "store", cli_json_text (p->store));
}

gboolean
cmd_profile_list (Cli *cli, char **args, GError **error)
{
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	g_auto (GStrv) names = profile_list (error);
	if (!names)
		return FALSE;
	JsonArray array = {0};
	for (guint i = 0; names[i]; i++) {
		g_autoptr (GError) local = NULL;
		g_autoptr (Profile) p = profile_load (names[i], &local);
		if (!p) {
			cli_note (cli, "%s", local->message);
			continue;
		}
		g_autofree char *location = profile_location (p);
		if (cli->json)
			cli_json_item (&array, json_profile (p));
		else
			cli_print ("%-30s %s  %s", p->name, location, p->store);
	}
	if (cli->json)
		cli_json_end (&array);
	else if (!names[0])
		cli_note (cli, "there is no profile yet: outpost logon you@example.org makes one");
	return TRUE;
}

static gboolean
name_profile (Cli *cli, char **args, GError **error)
{
	if (*args && !cli_arguments (args, 0, 1, "[NAME]", error))
		return FALSE;
	if (*args) {
		g_free (cli->profile_name);
		cli->profile_name = g_strdup (*args);
	}
	return cli_profile (cli, error) != NULL;
}

gboolean
cmd_profile_show (Cli *cli, char **args, GError **error)
{
	if (!name_profile (cli, args, error))
		return FALSE;
	const Profile *p = cli->profile;
	if (cli->json) {
		cli_print_json (json_profile (p));
		return TRUE;
	}
	g_autofree char *location = profile_location (p);
	cli_print ("Name       %s\nAddress    %s\nServer     %s\nUser       %s", p->name, p->address, location, p->user);
	if (p->earlier)
		cli_print ("Earlier    %s", p->earlier);
	cli_print ("Password   %s%s%s", p->source == SECRET_KEYRING ? "from the keyring" : p->source == SECRET_PROMPT ? "asked for" : "from: ",
	           p->source == SECRET_COMMAND ? p->command : "", p->secret_is_token ? " (OAuth 2 token)" : "");
	if (p->auth)
		cli_print ("Log-on by  %s", p->auth);
	if (p->ca_file)
		cli_print ("TLS CA     %s", p->ca_file);
	if (p->pin)
		cli_print ("TLS pin    %s", p->pin);
	if (p->insecure)
		cli_print ("Insecure   a connection without TLS is allowed");
	if (p->tunnel)
		cli_print ("Tunnel     the server is far away, though its address is this machine's");
	cli_print ("Store      %s", p->store);
	return TRUE;
}

gboolean
cmd_profile_delete (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 1, 1, "NAME", error) || !name_profile (cli, args, error))
		return FALSE;
	g_autoptr (GError) local = NULL;
	if (!profile_delete (cli->profile->name, error))
		return FALSE;
	if (cli->profile->source == SECRET_KEYRING && !keep_password && !secret_delete (cli->profile, &local))
		cli_note (cli, "The password may still be in the keyring: %s", local->message);
	g_clear_error (&local);
	if (!local_secret_delete (cli->profile, &local))
		cli_note (cli, "%s", local->message);
	if (cli->json)
		cli_print_json (json_profile (cli->profile));
	else
		cli_note (cli, "Profile %s is gone. Its offline store stays, and a new log-on to %s takes it over: %s", cli->profile->name,
		          cli->profile->address, cli->profile->store);
	return TRUE;
}
