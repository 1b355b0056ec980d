/* SPDX-License-Identifier: Apache-2.0 */
/* folder create, rename, delete. */
#include "cli.h"
#include <string.h>

static gboolean with_messages;
const GOptionEntry folder_create_options[] = {{NULL}};
const GOptionEntry folder_delete_options[] = {
	{"with-messages", 0, 0, G_OPTION_ARG_NONE, &with_messages, "Also when it holds messages (they can be undeleted for 30 days)", NULL},
	{NULL},
};

static gboolean
finish (Cli *cli, gboolean ok, const char *path, const char *done, GError **error)
{
	ok = ok && store_commit (cli->store, error);
	store_rollback (cli->store);
	cli->changed = ok;
	if (ok && cli->json)
		cli_print_json (json_pack ("{s:o}", "name", cli_json_text (path)));
	else if (ok)
		cli_note (cli, "folder '%s' %s here; the next sync tells the server", path, done);
	return ok;
}

/* No server takes control characters (RFC 9051 section 5.1), and they would break every list that names the folder. */
#define REPORTS "Sync Issues"

static gboolean
check_path (const char *path, GError **error)
{
	if (!g_utf8_validate (path, -1, NULL))
		return error_fail (error, ERROR_USAGE, "a folder's name must be UTF-8");
	for (const char *at = path; *at; at = g_utf8_next_char (at))
		if (g_unichar_iscntrl (g_utf8_get_char (at)))
			return error_fail (error, ERROR_USAGE, "a folder's name can't hold line ends or other control characters");
	if (*path == '/' || g_str_has_suffix (path, "/") || strstr (path, "//"))
		return error_fail (error, ERROR_USAGE, "'%s' has an empty name before or behind a '/', which stands between the names of folders", path);
	if (strcmp (path, REPORTS) == 0 || g_str_has_prefix (path, REPORTS "/"))
		return error_fail (error, ERROR_USAGE, "'" REPORTS "' is where outpost keeps its own reports: choose another name");
	return TRUE;
}

gboolean
cmd_folder_create (Cli *cli, char **args, GError **error)
{
	gint64 id;
	return cli_arguments (args, 1, 1, "FOLDER", error) && check_path (args[0], error) && cli_store (cli, TRUE, error) && store_begin (cli->store, error) &&
	       finish (cli, store_folder_create_path (cli->store, args[0], &id, error), args[0], "made", error);
}

static Folder *
changeable (Cli *cli, const char *path, GError **error)
{
	g_autoptr (Folder) f = store_folder_by_path (cli->store, path, error);
	if (f && g_strcmp0 (f->role, "inbox") == 0) {
		error_fail (error, ERROR_USAGE, "the inbox stays where it is");
		return NULL;
	}
	return g_steal_pointer (&f);
}

/* The folder @path (NULL: 0, the top), which is made if it is not there, as `folder create` makes those above. */
static gboolean
folder_above (Cli *cli, const char *path, gint64 *id_out, GError **error)
{
	*id_out = 0;
	if (!path)
		return TRUE;
	g_autoptr (GError) local = NULL;
	g_autoptr (Folder) f = store_folder_by_path (cli->store, path, &local);
	if (f)
		*id_out = f->id;
	else if (error_is (local, ERROR_NOT_FOUND))
		return store_folder_create_path (cli->store, path, id_out, error);
	else
		g_propagate_error (error, g_steal_pointer (&local));
	return f != NULL;
}

/* NEW-PATH is the whole path: "Other/New" puts it below Other, "New" at the top. */
gboolean
cmd_folder_rename (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 2, 2, "FOLDER NEW-PATH", error))
		return FALSE;
	const char *to = *args[1] == '/' ? args[1] + 1 : args[1], *slash = strrchr (to, '/');
	if (!check_path (to, error) || !cli_store (cli, TRUE, error))
		return FALSE;
	g_autoptr (Folder) f = changeable (cli, args[0], error);
	if (!f)
		return FALSE;
	g_autofree char *above = slash ? g_strndup (to, (gsize) (slash - to)) : NULL;
	gint64 parent;
	return store_begin (cli->store, error) &&
	       finish (cli, folder_above (cli, above, &parent, error) && store_folder_rename (cli->store, f->id, parent, slash ? slash + 1 : to, error), to,
	               "renamed", error);
}

gboolean
cmd_folder_delete (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 1, 1, "FOLDER", error) || !cli_store (cli, TRUE, error))
		return FALSE;
	g_autoptr (Folder) f = changeable (cli, args[0], error);
	if (!f)
		return FALSE;
	if (f->total > 0 && !with_messages)
		return error_fail (error, ERROR_CONFLICT, "folder '%s' holds %u message(s): move them away, or say --with-messages", f->path, f->total);
	return store_begin (cli->store, error) && finish (cli, store_folder_delete (cli->store, f->id, "here", error), f->path, "removed", error);
}
