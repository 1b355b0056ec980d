/* SPDX-License-Identifier: Apache-2.0 */
/* sync: one run, or --watch. */
#include "cli-sync.h"
#include "search.h"
#include <string.h>

static char **folders_option;
static char *stale_option;
static gboolean watch_option, no_index_option;
static gboolean accept_mailbox;
static int guard_messages = -1, guard_percent = -1, guard_all = -1;

const GOptionEntry sync_options[] = {
	{"watch", 'w', 0, G_OPTION_ARG_NONE, &watch_option, "Stay, and synchronise whenever something changes here or there", NULL},
	{"folder", 'f', 0, G_OPTION_ARG_STRING_ARRAY, &folders_option, "Only this folder; may be repeated", "FOLDER"},
	{"no-index", 0, 0, G_OPTION_ARG_NONE, &no_index_option, "Leave the search index for later (a search then reads the newest 1000 messages itself)", NULL},
	{"stale-store", 0, 0, G_OPTION_ARG_STRING, &stale_option, "A store that an earlier profile left: adopt, report, replace (archive it)", "HOW"},
	{"guard-messages", 0, 0, G_OPTION_ARG_INT, &guard_messages, "Hold a folder that would lose more than N messages (20) ...", "N"},
	{"guard-percent", 0, 0, G_OPTION_ARG_INT, &guard_percent, "... and more than this share of them (10), alone or together with all others", "PERCENT"},
	{"accept-mailbox", 0, 0, G_OPTION_ARG_NONE, &accept_mailbox, "The server's mailbox is this one, though next to nothing in it is known", NULL},
	{"guard-all", 0, 0, G_OPTION_ARG_INT, &guard_all, "Hold a folder that would lose all of at least N messages (2)", "N"},
	{NULL},
};

static void
fill_options (SyncOptions *o, Cli *cli)
{
	*o = (SyncOptions) SYNC_OPTIONS_INIT;
	o->mailbox = cli->profile->address;
	o->folders = (const char *const *) folders_option;
	if (guard_messages >= 0)
		o->guard_messages = (guint) guard_messages;
	if (guard_percent >= 0)
		o->guard_percent = (guint) guard_percent;
	o->accept_mailbox = accept_mailbox;
	if (guard_all >= 0)
		o->guard_all = (guint) guard_all;
}

/* The mail is safe by now; Ctrl-C here only leaves the rest of the index for later. */
static gboolean
index_after (Cli *cli, GError **error)
{
	guint64 pending = 0;
	if (no_index_option || !search_pending (cli->store, &pending, error))
		return no_index_option;
	if (pending == 0)
		return TRUE;
	Display d;
	guint64 indexed;
	display_begin (&d, cli);
	gboolean ok = search_index (cli->store, cli->cancel, display_index, &d, &indexed, error);
	display_end (&d);
	return ok;
}

/* A decision that waits comes first: nothing else goes on by itself. */
static int
exit_code_of (gboolean held, gboolean failures)
{
	return held ? EXIT_HELD_BACK : failures ? EXIT_ERROR : EXIT_OK;
}

static void
report_run (Cli *cli, const SyncResult *r, const GError *failure)
{
	if (cli->json) {
		json_t *o = json_of_result (r);
		json_object_set_new (o, "type", json_string ("result"));
		json_object_set_new (o, "error", failure ? cli_json_text (failure->message) : json_null ());
		cli_print_json (o);
	}
	if (failure)
		return;
	if (r->left > 0)
		cli_note (cli, "The mailbox was moved, or is held: run 'outpost sync' without --folder, which can tell what became of each message.");
	if (r->failures > r->left)
		cli_note (cli, "Not everything could be done: outpost log says what.");
	if (r->held > 0)
		cli_note (cli, "Something waits for your decision: outpost resolve shows what.");
	cli->exit_code = exit_code_of (r->held > 0, r->failures > 0);
}

/* By the messages that are here. A store takes about half of their octets; its index and the log of a transaction may take the rest. */
static void
say_what_room_is_needed (Cli *cli, const Display *d)
{
	g_autofree char *count = cli_count (d->to_come);
	g_autofree char *size = d->messages ? cli_size ((guint64) ((double) d->octets / (double) d->messages * (double) d->to_come)) : NULL;
	if (d->to_come)
		cli_note (cli, "%s message(s) are still to be fetched%s%s. What is here stays, and the next sync goes on.", count,
		          size ? "; they need about " : "", size ? size : "");
}

/* Where the profile says, or, if nobody answers there, where the server was before. */
static gboolean
run_somewhere (Home *home, const SyncOptions *o, SyncResult *r, GError **error)
{
	Cli *cli = home->cli;
	g_autoptr (GError) local = NULL;
	if (sync_run (cli->store, home->endpoint, o, cli->cancel, r, &local))
		return TRUE;
	gboolean nobody = (error_is (local, ERROR_TEMPORARY) || error_is (local, ERROR_NOT_FOUND)) && r->traffic.octets_in == 0;
	if (home_be_referred (home, cli->store) || (nobody && home_look_back (home, cli->store)))
		return sync_run (cli->store, home->endpoint, o, cli->cancel, r, error);
	g_propagate_error (error, g_steal_pointer (&local));
	return FALSE;
}

gboolean
cli_sync_once (Cli *cli, const char *secret, GError **error)
{
	SyncOptions o;
	SyncResult r;
	Display d;
	GError *failure = NULL;
	if (!store_lock_sync (cli->store, error))
		return FALSE;
	fill_options (&o, cli);
	o.progress = display_sync;
	o.line = display_line;
	o.data = &d;
	g_autofree char *known = store_setting (cli->store, "capabilities");
	g_autoptr (Home) home = home_new (cli, cli->profile, known);
	if (secret)
		home_set_secret (home, secret);
	display_begin (&d, cli);
	if (stale_is_reported (cli))
		return sync_report_stale (cli->store, home->endpoint, &o, cli->cancel, error);
	gboolean ok = run_somewhere (home, &o, &r, &failure);
	display_end (&d);
	ok = ok && home_remember (home, cli->store, &failure);
	if (ok)
		home_follow (home, cli->store, r.run);
	home->endpoint->class->close (home->endpoint);
	report_run (cli, &r, failure);
	if (error_is (failure, ERROR_NO_SPACE))
		say_what_room_is_needed (cli, &d);
	if (!ok) {
		g_propagate_error (error, failure);
		return FALSE;
	}
	return index_after (cli, error);
}

/* A watcher has the store: it is asked to run, and answers when it has. */
static gboolean
sync_by_watcher (Cli *cli, gboolean *done_out, GError **error)
{
	json_t *answer = control_ask (cli, "sync", cli->cancel, error);
	*done_out = answer != NULL;
	if (!answer)
		return !error || !*error;
	const char *failure = json_string_value (json_object_get (answer, "error"));
	gboolean ok = failure == NULL;
	if (!ok)
		error_fail (error, ERROR_TEMPORARY, "%s", failure);
	else
		cli->exit_code = exit_code_of (json_integer_value (json_object_get (answer, "held")) > 0,
		                               json_integer_value (json_object_get (answer, "failures")) > 0);
	if (cli->json)
		cli_print_json (json_incref (answer));
	else if (ok)
		cli_note (cli, "The watcher has synchronised; outpost log shows what it did.");
	json_decref (answer);
	return ok;
}

/* The folders that are named, as the store has them. @unknown: takes those that it does not have; NULL: it must have all. */
static gboolean
check_folders (Cli *cli, char **names, GPtrArray *unknown, GError **error)
{
	for (char **f = names; f && *f; f++) {
		GError *e = NULL;
		g_autoptr (Folder) folder = store_folder_by_path (cli->store, *f, &e);
		if (!folder && !(unknown && error_is (e, ERROR_NOT_FOUND))) {
			g_propagate_error (error, e);
			return FALSE;
		}
		g_clear_error (&e);
		if (!folder)
			g_ptr_array_add (unknown, g_strdup (*f));
		g_autofree char *given = g_steal_pointer (f);
		*f = g_strdup (folder ? folder->path : given);
	}
	return TRUE;
}

static gboolean
open_for_sync (Cli *cli, GError **error)
{
	Profile *p = cli_profile (cli, error);
	StalePolicy policy = STALE_ADOPT;
	if (!p || !cli_make_parents (p->store, error) || (stale_option && !stale_policy_parse (stale_option, &policy, error)))
		return FALSE;
	gboolean there = g_file_test (p->store, G_FILE_TEST_EXISTS);
	if (policy == STALE_REPLACE && there && !stale_archive (cli, p->store, error))
		return FALSE;
	if (!there)
		cli_say_new_store (cli, p);
	cli->store = store_open (p->store, !there || policy == STALE_REPLACE ? STORE_CREATE : 0, error);
	return cli->store && cli_note_account (cli, p, error) && (!stale_option || stale_apply (cli, policy, error));
}

gboolean
cmd_sync (Cli *cli, char **args, GError **error)
{
	gboolean done = FALSE;
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here: a folder is named with --folder", *args);
	/* one that is new at home is known after the run, which lists the folders first */
	g_autoptr (GPtrArray) unknown = g_ptr_array_new_with_free_func (g_free);
	if (!open_for_sync (cli, error) || !check_folders (cli, folders_option, watch_option ? NULL : unknown, error))
		return FALSE;
	g_ptr_array_add (unknown, NULL);
	if (watch_option) {
		SyncOptions o;
		fill_options (&o, cli);
		if (stale_is_reported (cli))
			return cli_sync_once (cli, NULL, error);
		return cli_watch (cli, &o, error);
	}
	return sync_by_watcher (cli, &done, error) && (done || cli_sync_once (cli, NULL, error)) &&
	       check_folders (cli, (char **) unknown->pdata, NULL, error);
}
