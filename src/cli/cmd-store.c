/* SPDX-License-Identifier: Apache-2.0 */
/* store list, check, compact, export, index. */
#include "cli-sync.h"
#include "export.h"
#include "search.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static gboolean deep_option, repair_option, rebuild_option;
static char *format_option;
static char **export_folders;

const GOptionEntry store_check_options[] = {
	{"deep", 0, 0, G_OPTION_ARG_NONE, &deep_option, "Read every message and compare its hash", NULL},
	{"repair", 0, 0, G_OPTION_ARG_NONE, &repair_option, "Put right what can be without losing mail", NULL},
	{NULL},
};
const GOptionEntry store_export_options[] = {
	{"format", 'F', 0, G_OPTION_ARG_STRING, &format_option, "maildir (the default), mbox or tar", "FORMAT"},
	{"folder", 'f', 0, G_OPTION_ARG_STRING_ARRAY, &export_folders, "Only this folder; may be repeated", "FOLDER"},
	{NULL},
};
const GOptionEntry store_index_options[] = {
	{"rebuild", 0, 0, G_OPTION_ARG_NONE, &rebuild_option, "Forget the index and make it anew", NULL},
	{NULL},
};

/* ---- list ---- */

static json_t *
json_store (const char *path, const char *profile, const char *account, guint64 octets, const char *problem)
{
	return json_pack ("{s:o, s:o, s:o, s:I, s:o}", "store", cli_json_text (path), "profile", cli_json_text (profile), "account",
	                  cli_json_text (account), "fileOctets", (json_int_t) octets, "problem", cli_json_text (problem));
}

static void
list_one (Cli *cli, JsonArray *array, const char *path, const char *profile)
{
	g_autoptr (GError) local = NULL;
	struct stat st = {0};
	if (stat (path, &st) != 0 && !profile)
		return;
	g_autoptr (Store) s = store_open (path, STORE_READ_ONLY, &local);
	g_autofree char *account = s ? store_setting (s, "account") : NULL;
	g_autofree char *size = cli_size ((guint64) st.st_size);
	if (cli->json)
		cli_json_item (array, json_store (path, profile, account, (guint64) st.st_size, local ? local->message : NULL));
	else
		cli_print ("%-30s %9s  %s%s%s", account ? account : "?", size, path, profile ? "" : strstr (path, ".archived-") ? "  (archived: may be removed when nothing in it is missed)" : "  (no profile: a log-on takes it over)",
		           s ? "" : error_is (local, ERROR_NOT_FOUND) ? "  (is not there)" : "  (can't be opened: outpost store check)");
}

/* Stores of profiles, then what else lies in the folder of stores. */
gboolean
cmd_store_list (Cli *cli, char **args, GError **error)
{
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	g_auto (GStrv) names = profile_list (error);
	if (!names)
		return FALSE;
	JsonArray array = {0};
	g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; names[i]; i++) {
		g_autoptr (Profile) p = profile_load (names[i], NULL);
		if (p && g_hash_table_add (seen, g_strdup (p->store)))
			list_one (cli, &array, p->store, p->name);
	}
	g_autofree char *any = profile_default_store ("x"), *folder = g_path_get_dirname (any);
	g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name (dir));) {
		g_autofree char *path = g_build_filename (folder, name, NULL);
		if (!strchr (name, '@') && !g_str_has_suffix (name, ".store"))
			continue;
		if (!g_str_has_suffix (name, "-wal") && !g_str_has_suffix (name, "-shm") && !g_str_has_suffix (name, ".lock") &&
		    !g_str_has_suffix (name, ".sock") && g_hash_table_add (seen, g_strdup (path)))
			list_one (cli, &array, path, NULL);
	}
	if (cli->json)
		cli_json_end (&array);
	else if (g_hash_table_size (seen) == 0)
		cli_note (cli, "there is no offline store yet: outpost logon you@example.org makes one");
	return TRUE;
}

/* ---- check ---- */

typedef struct {
	Cli *cli;
	json_t *findings;
} Checking;

static void
on_finding (gpointer data, const char *finding)
{
	Checking *c = data;
	if (c->cli->json)
		json_array_append_new (c->findings, cli_json_text (finding));
	else
		cli_print ("%s", finding);
}

/* Also a store whose identity is damaged. Checking the full-text index takes the right to write, which there may be none for; the rest of
 * a check does not. */
static gboolean
open_for_check (Cli *cli, GError **error)
{
	Profile *p = cli_profile (cli, error);
	cli->store = p ? store_open (p->store, STORE_FOR_REPAIR, repair_option ? error : NULL) : NULL;
	if (!p || cli->store || repair_option)
		return cli->store != NULL;
	if (!cli_store (cli, FALSE, error))
		return FALSE;
	if (deep_option)
		cli_note (cli, "The store can only be read here: of the full-text index only the outside is checked.");
	return TRUE;
}

gboolean
cmd_store_check (Cli *cli, char **args, GError **error)
{
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	if (!open_for_check (cli, error))
		return FALSE;
	Checking c = {cli, cli->json ? json_array () : NULL};
	guint64 findings = 0;
	gboolean ok = store_check (cli->store, deep_option, repair_option, on_finding, &c, cli->cancel, &findings, error);
	if (cli->json)
		cli_print_json (json_pack ("{s:I, s:o, s:b}", "findings", (json_int_t) findings, "lines", c.findings, "complete", ok));
	if (!ok)
		return FALSE;
	if (findings == 0)
		cli_note (cli, "The store is sound.");
	else if (repair_option)
		cli_note (cli, "%" G_GUINT64_FORMAT " finding(s) are left: what could be put right was.", findings);
	else
		return error_fail (error, ERROR_CORRUPT, "%" G_GUINT64_FORMAT " finding(s): outpost store check --repair puts right what can be",
		                   findings);
	return TRUE;
}

/* ---- compact, index ---- */

static gboolean
index_whole (Cli *cli, GError **error)
{
	Display d;
	guint64 indexed = 0;
	display_begin (&d, cli);
	gboolean ok = search_index (cli->store, cli->cancel, display_index, &d, &indexed, error);
	display_end (&d);
	if (!ok && cancel_is_triggered (cli->cancel))
		cli_note (cli, "The index is not complete, so that searches may miss messages: outpost store index goes on.");
	if (ok && cli->json)
		cli_print_json (json_pack ("{s:I}", "indexed", (json_int_t) indexed));
	else if (ok)
		cli_note (cli, "%" G_GUINT64_FORMAT " message(s) indexed", indexed);
	return ok;
}

gboolean
cmd_store_index (Cli *cli, char **args, GError **error)
{
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	return cli_store (cli, TRUE, error) && (!rebuild_option || search_forget (cli->store, error)) && index_whole (cli, error);
}

gboolean
cmd_store_compact (Cli *cli, char **args, GError **error)
{
	guint64 before, after;
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	if (!cli_store (cli, TRUE, error) || !store_lock_sync (cli->store, error) || !store_compact (cli->store, &before, &after, error))
		return FALSE;
	g_autofree char *from = cli_size (before), *to = cli_size (after);
	if (cli->json)
		cli_print_json (json_pack ("{s:I, s:I}", "before", (json_int_t) before, "after", (json_int_t) after));
	else
		cli_note (cli, "The store had %s and has %s now.", from, to);
	return TRUE;
}

/* ---- export ---- */

gboolean
cmd_store_export (Cli *cli, char **args, GError **error)
{
	static const char *const formats[] = {[EXPORT_MAILDIR] = "maildir", [EXPORT_MBOX] = "mbox", [EXPORT_TAR] = "tar"};
	guint format = 0;
	guint64 messages = 0, apart = 0;
	Display d;
	if (!cli_arguments (args, 1, 1, "PATH", error) || !cli_json_apart (cli, args[0], error))
		return FALSE;
	while (format_option && format < G_N_ELEMENTS (formats) && strcmp (formats[format], format_option) != 0)
		format++;
	if (format == G_N_ELEMENTS (formats))
		return error_fail (error, ERROR_USAGE, "'%s' is no format: say maildir, mbox or tar", format_option);
	if (!cli_store (cli, FALSE, error))
		return FALSE;
	display_begin (&d, cli);
	gboolean ok = export_store (cli->store, (ExportFormat) format, args[0], (const char *const *) export_folders, cli->cancel, display_export, &d,
	                            &messages, &apart, error);
	display_end (&d);
	if (ok && cli->json)
		cli_print_json (json_pack ("{s:o, s:I, s:I}", "path", cli_json_text (args[0]), "messages", (json_int_t) messages, "keywordsApart",
		                           (json_int_t) apart));
	else if (ok)
		cli_note (cli, "%" G_GUINT64_FORMAT " message(s) written to %s", messages, args[0]);
	if (ok && apart)
		cli_note (cli, "%" G_GUINT64_FORMAT " of them have keywords beyond the 26 that a Maildir's folder has letters for: these are in its file"
		          " outpost-keywords", apart);
	return ok;
}
