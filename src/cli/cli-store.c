/* SPDX-License-Identifier: Apache-2.0 */
/* From the command line to a profile, its store and its messages. */
#include "cli.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

Profile *
cli_profile (Cli *cli, GError **error)
{
	if (!cli->profile)
		cli->profile = profile_load_default (cli->profile_name, error);
	return cli->profile;
}

Store *
cli_store (Cli *cli, gboolean write, GError **error)
{
	if (cli->store)
		return cli->store;
	Profile *p = cli_profile (cli, error);
	if (!p)
		return NULL;
	g_autoptr (GError) local = NULL;
	cli->store = store_open (p->store, write ? 0 : STORE_READ_ONLY, &local);
	/* An older schema can't be migrated by who only reads. */
	if (!cli->store && !write && error_is (local, ERROR_CONFLICT)) {
		g_clear_error (&local);
		cli->store = store_open (p->store, 0, &local);
	}
	if (!cli->store && error_is (local, ERROR_NOT_FOUND))
		error_fail (error, ERROR_NOT_FOUND, "the offline store %s of profile %s is not there: put it back, or let outpost sync make a new one",
		            p->store, p->name);
	else if (!cli->store)
		g_propagate_error (error, g_steal_pointer (&local));
	return cli->store;
}

void
cli_say_new_store (const Cli *cli, const Profile *p)
{
	cli_note (cli, "The offline store %s of profile %s is not there. A new one is made; what was not sent from the old one is not in it.", p->store,
	          p->name);
}

gboolean
cli_note_account (Cli *cli, const Profile *p, GError **error)
{
	g_autofree char *account = store_setting (cli->store, "account");
	if (account)
		return TRUE;
	gboolean ok = store_begin (cli->store, error) && store_set_setting (cli->store, "account", p->address, error) && store_commit (cli->store, error);
	store_rollback (cli->store);
	return ok;
}

gboolean
cli_make_parents (const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname (path);
	return g_mkdir_with_parents (parent, 0700) == 0 || error_set_errno (error, errno, "making the folder %s", parent);
}

gboolean
cli_arguments (char **args, guint least, guint most, const char *expected, GError **error)
{
	guint n = g_strv_length (args);
	if (n < least)
		return error_fail (error, ERROR_USAGE, "something is missing: %s %s", g_get_prgname (), expected);
	if (most > 0 && n > most)
		return error_fail (error, ERROR_USAGE, "'%s' is too much: %s %s", args[most], g_get_prgname (), expected);
	return TRUE;
}

static gboolean
add_id (GArray *ids, const char *word)
{
	guint64 id;
	if (!g_ascii_string_to_unsigned (word, 10, 1, G_MAXINT64, &id, NULL))
		return FALSE;
	gint64 value = (gint64) id;
	g_array_append_val (ids, value);
	return TRUE;
}

static gboolean
add_ids_of_input (GArray *ids, GError **error)
{
	char line[64];
	while (fgets (line, sizeof line, stdin)) {
		g_strstrip (line);
		if (*line && !add_id (ids, line))
			return error_fail (error, ERROR_USAGE, "standard input holds '%s', which is no message's number", line);
	}
	return TRUE;
}

GArray *
cli_messages (const Cli *cli, char **args, char ***rest_out, GError **error)
{
	g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	char **first = args;
	for (; *args; args++) {
		if (strcmp (*args, "-") == 0) {
			if (!add_ids_of_input (ids, error))
				return NULL;
		} else if (!add_id (ids, *args)) {
			if (rest_out && args > first)
				break;
			error_fail (error, ERROR_USAGE, "'%s' is no message's number: outpost list and outpost search show them", *args);
			return NULL;
		}
	}
	if (args == first) {
		error_fail (error, ERROR_USAGE, "no message was named: outpost list and outpost search show their numbers");
		return NULL;
	}
	if (ids->len == 0)
		cli_note (cli, "standard input names no message: nothing to do");
	if (rest_out)
		*rest_out = args;
	return g_steal_pointer (&ids);
}

Placement *
cli_placement (Cli *cli, gint64 id, GError **error)
{
	g_autoptr (GError) local = NULL;
	Placement *p = store_placement (cli->store, id, &local);
	if (p)
		return p;
	if (error_is (local, ERROR_NOT_FOUND))
		error_fail (error, ERROR_NOT_FOUND,
		            "there is no message %" G_GINT64_FORMAT ": outpost list and outpost search show the numbers; a moved message has a new one", id);
	else
		g_propagate_error (error, g_steal_pointer (&local));
	return NULL;
}
