/* SPDX-License-Identifier: Apache-2.0 */
/* folders, list, search: what is in the store. */
#include "cli.h"
#include "search.h"
#include <string.h>
#include <unistd.h>

#define TERMINAL_DEFAULT 50
#define FLUSH_EVERY (G_USEC_PER_SEC / 20) /* in a pipe, too, nobody waits longer for what is found */

#define NOT_GIVEN G_MININT
static int limit_option = NOT_GIVEN;
static gboolean ids_option;

const GOptionEntry list_options[] = {
	{"limit", 'n', 0, G_OPTION_ARG_INT, &limit_option, "At most N messages, newest first; 0: all (on a terminal 50 unless given)", "N"},
	{NULL},
};
const GOptionEntry search_options[] = {
	{"limit", 'n', 0, G_OPTION_ARG_INT, &limit_option, "At most N messages, newest first; 0: all (on a terminal 50 unless given)", "N"},
	{"ids", 0, 0, G_OPTION_ARG_NONE, &ids_option, "Only the numbers, one a line, for `outpost flag -` and such", NULL},
	{NULL},
};

static guint
limit_of (const Cli *cli)
{
	return limit_option >= 0 ? (guint) limit_option : !cli->json && !ids_option && isatty (STDOUT_FILENO) ? TERMINAL_DEFAULT : 0;
}

static json_t *
json_folder (const Folder *f)
{
	char id[ID_TEXT_SIZE];
	id128_text (&f->object_id, id);
	return json_pack ("{s:o, s:s, s:o, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:I}", "name", cli_json_text (f->path), "mailboxId", id, "role",
	                  cli_json_text (f->role), "total", (json_int_t) f->total, "unread", (json_int_t) f->unread, "subscribed", f->subscribed,
	                  "selectable", f->selectable, "localOnly", f->local_only, "uidValidity", (json_int_t) f->uidvalidity, "uidNext",
	                  (json_int_t) f->uidnext, "modseq", (json_int_t) f->changed_modseq);
}

gboolean
cmd_folders (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 0, G_MAXUINT, "", error) || (*args && !cli_arguments (args, 0, 1, "", error)))
		return FALSE;
	Store *s = cli_store (cli, FALSE, error);
	g_autoptr (GPtrArray) folders = s ? store_folders (s, error) : NULL;
	if (!folders)
		return FALSE;
	JsonArray array = {0};
	if (!cli->json)
		printf ("   TOTAL  UNREAD  ROLE       FOLDER\n");
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		if (cli->json)
			cli_json_item (&array, json_folder (f));
		else
			cli_print ("%8u %7u  %-10s %s%s", f->total, f->unread, f->role ? f->role : "", f->path, f->local_only ? "  (kept here only)" : "");
	}
	if (cli->json)
		cli_json_end (&array);
	return TRUE;
}

typedef struct {
	Cli *cli;
	JsonArray array;
	GHashTable *paths; /* folder id -> path; NULL: not shown */
	guint64 shown;
	guint limit;
	gboolean more;
	gint64 flushed; /* when; 0: never */
} Printing;

/* The first one goes out at once. */
static void
flush_in_time (Printing *p)
{
	gint64 now = g_get_monotonic_time ();
	if (p->flushed && now - p->flushed < FLUSH_EVERY)
		return;
	fflush (stdout);
	p->flushed = now;
}

static gboolean
print_one (gpointer data, const Listing *l)
{
	Printing *p = data;
	if (p->limit && p->shown == p->limit) {
		p->more = TRUE;
		return FALSE;
	}
	p->shown++;
	const char *path = p->paths ? g_hash_table_lookup (p->paths, &l->placement.folder) : NULL;
	if (ids_option)
		printf ("%" G_GINT64_FORMAT "\n", l->placement.id);
	else if (p->cli->json) {
		json_t *item = cli_json_listing (p->cli, l);
		if (path)
			json_object_set_new (item, "folder", cli_json_text (path));
		cli_json_item (&p->array, item);
	} else
		cli_print_listing (l, path);
	flush_in_time (p);
	return !cancel_is_triggered (p->cli->cancel);
}

static void
finish (Printing *p)
{
	if (p->cli->json)
		cli_json_end (&p->array);
	if (p->more && limit_option < 0)
		cli_note (p->cli, "(the newest %u; -n 0 shows all)", p->limit);
}

static gboolean
check_limit (GError **error)
{
	return limit_option >= 0 || limit_option == NOT_GIVEN ||
	       error_fail (error, ERROR_USAGE, "%d is no number of messages: say 1 or more, or 0 for all", limit_option);
}

gboolean
cmd_list (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 1, 1, "FOLDER", error) || !check_limit (error) || !cli_store (cli, FALSE, error))
		return FALSE;
	g_autoptr (Folder) f = store_folder_by_path (cli->store, args[0], error);
	Printing p = {.cli = cli, .limit = limit_of (cli)};
	if (!f || !store_list (cli->store, f->id, p.limit ? p.limit + 1 : 0, print_one, &p, error))
		return FALSE;
	finish (&p);
	return cancel_check (cli->cancel, error);
}

static GHashTable *
paths_of (Store *s, GError **error)
{
	g_autoptr (GPtrArray) folders = store_folders (s, error);
	if (!folders)
		return NULL;
	GHashTable *paths = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		g_hash_table_insert (paths, g_memdup2 (&f->id, sizeof f->id), g_strdup (f->path));
	}
	return paths;
}

/* What is taken for words to look for, and was hardly meant so; NULL: nothing. */
static const char *
doubt_of (const char *query)
{
	guint quotes = 0;
	for (const char *c = query; *c; c++)
		quotes += *c == '"';
	if (quotes % 2)
		return ": a '\"' is not closed, so all that follows it is one phrase";
	if (g_str_has_suffix (query, " OR") || g_str_has_suffix (query, " AND") || g_str_has_suffix (query, " NOT"))
		return ": what looks like an operator at the end is searched for as a word";
	return NULL;
}

gboolean
cmd_search (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 1, 0, "QUERY", error) || !check_limit (error))
		return FALSE;
	if (ids_option && cli->json)
		return error_fail (error, ERROR_USAGE, "--ids is for a pipe, and what --json writes has the numbers as \"id\": leave one away");
	if (!cli_store (cli, FALSE, error))
		return FALSE;
	g_autofree char *text = g_strjoinv (" ", args);
	g_autoptr (SearchQuery) query = search_query_parse (text, g_get_real_time () / G_USEC_PER_SEC, error);
	if (!query)
		return FALSE;
	g_autoptr (GHashTable) paths = paths_of (cli->store, error);
	Printing p = {.cli = cli, .limit = limit_of (cli), .paths = paths};
	if (!paths || !search_run (cli->store, query, p.limit ? p.limit + 1 : 0, cli->cancel, print_one, &p, error))
		return FALSE;
	finish (&p);
	guint64 pending = 0;
	if (search_pending (cli->store, &pending, NULL) && pending > SEARCH_TAIL_MAX)
		cli_note (cli, "%" G_GUINT64_FORMAT " messages are not indexed yet, and only their headers were searched: outpost store index", pending);
	if (p.shown == 0) {
		const char *doubt = doubt_of (text);
		cli_note (cli, "nothing found%s", doubt ? doubt : "");
	}
	return TRUE;
}
