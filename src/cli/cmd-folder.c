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
	if (ok)
		cli_note (cli, "folder '%s' %s here; the next sync tells the server", path, done);
	return ok;
}

gboolean
cmd_folder_create (Cli *cli, char **args, GError **error)
{
	gint64 id;
	return cli_arguments (args, 1, 1, "FOLDER", error) && cli_store (cli, TRUE, error) && store_begin (cli->store, error) &&
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

/* NEW-PATH is the whole path: "Other/New" puts it below Other, "New" at the top. */
gboolean
cmd_folder_rename (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 2, 2, "FOLDER NEW-PATH", error) || !cli_store (cli, TRUE, error))
		return FALSE;
	g_autoptr (Folder) f = changeable (cli, args[0], error);
	if (!f)
		return FALSE;
	const char *to = *args[1] == '/' ? args[1] + 1 : args[1], *slash = strrchr (to, '/');
	g_autofree char *above = slash ? g_strndup (to, (gsize) (slash - to)) : NULL;
	g_autoptr (Folder) parent = above ? store_folder_by_path (cli->store, above, error) : NULL;
	if (above && !parent)
		return FALSE;
	return store_begin (cli->store, error) &&
	       finish (cli, store_folder_rename (cli->store, f->id, parent ? parent->id : 0, slash ? slash + 1 : to, error), to, "renamed", error);
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
