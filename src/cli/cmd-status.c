/* SPDX-License-Identifier: Apache-2.0 */
/* status, log: where things stand, what was done. */
#include "cli-sync.h"
#include "search.h"
#include "store-binding.h"
#include <string.h>

static int runs_option = 1;

const GOptionEntry log_options[] = {
	{"runs", 'n', 0, G_OPTION_ARG_INT, &runs_option, "The last N runs (1); 0: all that are kept, at most 200", "N"},
	{NULL},
};

typedef struct {
	StoreStatistics sizes;
	guint64 appends, flags, removals, marked, tree, unindexed; /* tree: folders made, renamed or removed here */
	guint unread, shared;
	GPtrArray *runs, *holds;
	json_t *watcher;
} Standing;

static void
standing_clear (Standing *s)
{
	g_clear_pointer (&s->runs, g_ptr_array_unref);
	g_clear_pointer (&s->holds, g_ptr_array_unref);
	json_decref (s->watcher);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Standing, standing_clear)

static gboolean
read_standing (Cli *cli, Standing *s, GError **error)
{
	g_autoptr (GPtrArray) folders = store_folders (cli->store, error);
	if (!folders || !store_statistics (cli->store, &s->sizes, error) ||
	    !store_count_unpushed (cli->store, &s->appends, &s->flags, &s->removals, error) ||
	    !store_count_marked (cli->store, &s->marked, error) || !store_count_unpushed_folders (cli->store, &s->tree, error) || !search_pending (cli->store, &s->unindexed, error) ||
	    !(s->runs = store_runs (cli->store, 1, error)) || !(s->holds = store_holds (cli->store, error)))
		return FALSE;
	g_autofree char *shared = store_setting (cli->store, "shared-folders");
	s->shared = shared ? (guint) g_ascii_strtoull (shared, NULL, 10) : 0;
	s->removals -= MIN (s->marked, s->removals);
	for (guint i = 0; i < folders->len; i++)
		s->unread += ((Folder *) folders->pdata[i])->unread;
	s->watcher = control_ask (cli, "status", cli->cancel, NULL);
	return TRUE;
}

static json_t *
json_run (const Run *r)
{
	g_autofree char *started = cli_iso_time (r->started), *ended = r->ended ? cli_iso_time (r->ended) : NULL;
	json_t *facts = r->facts ? json_loads (r->facts, 0, NULL) : NULL;
	return json_pack ("{s:I, s:o, s:o, s:o, s:o, s:o}", "run", (json_int_t) r->id, "started", cli_json_text (started), "ended",
	                  cli_json_text (ended), "result", cli_json_text (r->result), "error", cli_json_text (r->error), "facts",
	                  facts ? facts : json_null ());
}

static void
print_status_json (Cli *cli, const Standing *s)
{
	g_autofree char *location = profile_location (cli->profile), *software = store_setting (cli->store, "software");
	json_t *holds = json_array ();
	for (guint i = 0; i < s->holds->len; i++)
		json_array_append_new (holds, cli_json_hold (s->holds->pdata[i]));
	cli_print_json (json_pack ("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:o, s:o, s:o}", "profile",
	                           cli_json_text (cli->profile->name), "address", cli_json_text (cli->profile->address), "server",
	                           cli_json_text (location), "user", cli_json_text (cli->profile->user), "software", cli_json_text (software),
	                           "store", cli_json_text (cli->profile->store), "reportedStale", stale_is_reported (cli), "folders", (json_int_t) s->sizes.folders, "sharedFolders", (json_int_t) s->shared, "messages",
	                           (json_int_t) s->sizes.placements, "unread", (json_int_t) s->unread, "octets",
	                           (json_int_t) s->sizes.content_octets, "fileOctets", (json_int_t) s->sizes.file_octets, "contents",
	                           (json_int_t) s->sizes.contents, "pending", "new", (json_int_t) s->appends, "flags", (json_int_t) s->flags,
	                           "removed", (json_int_t) s->removals, "marked", (json_int_t) s->marked, "folders", (json_int_t) s->tree, "unindexed", (json_int_t) s->unindexed, "lastRun",
	                           s->runs->len ? json_run (s->runs->pdata[0]) : json_null (), "holds", holds, "watcher",
	                           s->watcher ? json_incref (s->watcher) : json_null ()));
}

static void
print_last_run (Cli *cli, const Run *r)
{
	g_autofree char *when = cli_time (r->ended ? r->ended : r->started);
	if (!r->ended && store_is_synchronising (cli->store))
		cli_print ("Last run   began %s and has not ended", when);
	else if (!r->ended)
		cli_print ("Last run   began %s and was broken off: what it brought is here, and outpost sync goes on", when);
	else if (r->error)
		cli_print ("Last run   %s %s: %s", when, r->result, r->error);
	else
		cli_print ("Last run   %s %s", when, r->result);
}

static void
print_watcher (const json_t *watcher)
{
	if (!watcher) {
		cli_print ("Watcher    not running (outpost sync --watch)");
		return;
	}
	const char *failure = json_string_value (json_object_get (watcher, "error"));
	cli_print ("Watcher    %s, process %lld%s%s", json_string_value (json_object_get (watcher, "state")),
	           (long long) json_integer_value (json_object_get (watcher, "pid")), failure ? ": " : "", failure ? failure : "");
}

static void
print_status (Cli *cli, const Standing *s)
{
	g_autofree char *location = profile_location (cli->profile), *software = store_setting (cli->store, "software");
	g_autofree char *file = cli_size (s->sizes.file_octets), *mail = cli_size (s->sizes.content_octets);
	g_autofree char *messages = cli_count (s->sizes.placements), *unread = cli_count (s->unread);
	cli_print ("Profile    %s", cli->profile->name);
	cli_print ("Server     %s as %s%s%s%s", location, cli->profile->user, software ? " (" : "", software ? software : "", software ? ")" : "");
	cli_print ("Store      %s (%s for %s of mail)", cli->profile->store, file, mail);
	cli_print ("Mail       %s messages in %" G_GUINT64_FORMAT " folders, %s unread", messages, s->sizes.folders, unread);
	if (s->shared)
		cli_print ("Shared     %u folders of other users, or public ones, are not synchronised", s->shared);
	if (stale_is_reported (cli))
		cli_print ("Stale      left by an earlier profile; each run reports that and does nothing else: outpost sync --stale-store=adopt takes it over");
	if (s->runs->len)
		print_last_run (cli, s->runs->pdata[0]);
	else
		cli_print ("Last run   none yet: outpost sync");
	if (s->appends + s->flags + s->removals + s->tree == 0)
		cli_print ("Pending    nothing: all changes made here are at the server");
	else
		cli_print ("Pending    %" G_GUINT64_FORMAT " new or moved, %" G_GUINT64_FORMAT " changed, %" G_GUINT64_FORMAT
		           " removed, %" G_GUINT64_FORMAT " folders: pushed by the next sync%s", s->appends, s->flags, s->removals, s->tree,
		           s->holds->len ? ", but for what is held" : "");
	if (s->marked)
		cli_print ("Marked     %" G_GUINT64_FORMAT " removed messages are marked as deleted at the server; it can't remove single ones, and others are marked, too",
		           s->marked);
	if (s->unindexed > SEARCH_TAIL_MAX)
		cli_print ("Index      %" G_GUINT64_FORMAT " messages to go; a search reads the newest %d of them whole, of the others only the header: outpost"
		           " store index", s->unindexed, SEARCH_TAIL_MAX);
	else if (s->unindexed)
		cli_print ("Index      %" G_GUINT64_FORMAT " messages to go; searches find them all the same", s->unindexed);
	for (guint i = 0; i < s->holds->len; i++) {
		const Hold *h = s->holds->pdata[i];
		cli_print ("Held       %s: %s", h->detail, h->decision == HOLD_WAITS ? "outpost resolve" : "settled, outpost sync acts on it");
	}
	print_watcher (s->watcher);
}

gboolean
cmd_status (Cli *cli, char **args, GError **error)
{
	g_auto (Standing) s = {0};
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	if (!cli_store (cli, FALSE, error) || !read_standing (cli, &s, error))
		return FALSE;
	if (cli->json)
		print_status_json (cli, &s);
	else
		print_status (cli, &s);
	if (s.holds->len > 0)
		cli->exit_code = EXIT_HELD_BACK;
	return TRUE;
}

/* ---- log ---- */

static void
print_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	g_autofree char *line = sync_log_line (time, detail, text);
	cli_print ("%s", line);
}

static void
json_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	g_autofree char *when = cli_iso_time (time);
	json_array_append_new (data, json_pack ("{s:o, s:b, s:o}", "time", cli_json_text (when), "detail", detail, "text", cli_json_text (text)));
}

gboolean
cmd_log (Cli *cli, char **args, GError **error)
{
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	if (runs_option < 0)
		return error_fail (error, ERROR_USAGE, "%d is no number of runs: say 1 or more, or 0 for all", runs_option);
	if (!cli_store (cli, FALSE, error))
		return FALSE;
	g_autoptr (GPtrArray) runs = store_runs (cli->store, (guint) runs_option, error);
	if (!runs)
		return FALSE;
	for (guint i = runs->len; i-- > 0;) {
		const Run *r = runs->pdata[i];
		json_t *lines = cli->json ? json_array () : NULL;
		g_autofree char *day = cli_time (r->started);
		if (!cli->json && runs->len > 1)
			cli_print ("%s%.10s", i + 1 < runs->len ? "\n" : "", day);
		if (!store_run_lines (cli->store, r->id, cli->json ? json_line : print_line, lines, error)) {
			json_decref (lines);
			return FALSE;
		}
		if (cli->json) {
			json_t *o = json_run (r);
			json_object_set_new (o, "lines", lines);
			cli_print_json (o);
		}
	}
	if (runs->len == 0)
		cli_note (cli, "nothing was synchronised yet: outpost sync");
	return TRUE;
}
