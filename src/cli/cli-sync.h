/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of synchronisation as the command line shows them. */
#pragma once
#include "cli-home.h"
#include "store-binding.h"
#include "sync.h"

/* One run on cli->store (opened for writing), then the index, with the display that fits where the output goes. @secret: known
 * already, or NULL. Sets cli->exit_code when something is held, could not be read or was refused. */
gboolean cli_sync_once (Cli *cli, const char *secret, GError **error);
/* Runs and waits until stopped (cli-watch.c). */
gboolean cli_watch (Cli *cli, const SyncOptions *options, GError **error);

/* A store of an earlier profile (cli-stale.c). */
typedef enum { STALE_ADOPT, STALE_REPORT, STALE_REPLACE } StalePolicy;
gboolean stale_policy_parse (const char *word, StalePolicy *policy_out, GError **error);
/* Renames the store at @path, which nobody has open, and says to what. */
gboolean stale_archive (Cli *cli, const char *path, GError **error);
/* For cli->store: adopt or report from now on. */
gboolean stale_apply (Cli *cli, StalePolicy policy, GError **error);
gboolean stale_is_reported (Cli *cli);
/* A store in @folder of the account @address that no profile names; NULL: none. Owned. */
char *stale_find_orphan (const char *folder, const char *address);

/* The display. */
typedef struct {
	Cli *cli;
	gboolean terminal;
	gint64 started, last_line; /* monotonic, microseconds */
	guint64 first_octets;
	gboolean drawn;
	guint64 messages, octets, to_come; /* of the run: stored, and how many messages are still to be fetched */
	gboolean quiet_json; /* no JSON lines of progress: the verb writes one value */
} Display;
/* On a terminal the line of progress is erased, so that something else can be written there. */
void cli_erase_line (const Cli *cli);
void display_begin (Display *d, Cli *cli);
void display_sync (gpointer display, const SyncProgress *p);
void display_line (gpointer display, gint64 time, gboolean detail, const char *text);
void display_index (gpointer display, guint64 done, guint64 total);
void display_export (gpointer display, guint64 done, guint64 total);
void display_end (Display *d);
json_t *json_of_result (const SyncResult *r);

/* A watcher has the profile's store. */
gboolean control_is_answered (const Cli *cli);
/* Asks the watcher of @cli's profile (cli-control.c): NULL without error when none runs. The answer is one JSON object. */
json_t *control_ask (const Cli *cli, const char *request, Cancel *cancel, GError **error);
/* The socket that a watcher of @p listens at; -1 with error. *path_out is owned. */
int control_listen (const Profile *p, char **path_out, GError **error);

/* A hold or decision as one JSON object, as `resolve` and `status` give it. */
json_t *cli_json_hold (const Hold *h);
