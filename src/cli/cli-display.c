/* SPDX-License-Identifier: Apache-2.0 */
/* Progress: one line that is redrawn on a terminal, plain lines of the log otherwise, JSON lines for programs. */
#include "cli-sync.h"
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define JSON_EVERY_US 500000
#define ERASE "\r\033[K"

static gboolean
shows_progress (const Cli *cli)
{
	return isatty (STDERR_FILENO) && !cli->json && !cli->quiet;
}

void
cli_erase_line (const Cli *cli)
{
	if (!shows_progress (cli))
		return;
	fputs (ERASE, stderr);
	fflush (stderr);
}

void
display_begin (Display *d, Cli *cli)
{
	*d = (Display){.cli = cli, .terminal = shows_progress (cli), .started = g_get_monotonic_time ()};
}

static guint
stderr_columns (void)
{
	struct winsize size;
	return ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void
erase (Display *d)
{
	if (d->drawn)
		fputs (ERASE, stderr);
	d->drawn = FALSE;
}

static void
draw (Display *d, const char *text)
{
	g_autofree char *fitted = cli_fit (text, stderr_columns () - 1);
	erase (d);
	fputs (g_strchomp (fitted), stderr);
	fflush (stderr);
	d->drawn = TRUE;
}

/* "0:05 left" from what was done in what time. */
static char *
time_left (const Display *d, guint64 done, guint64 total)
{
	double seconds = (double) (g_get_monotonic_time () - d->started) / G_USEC_PER_SEC;
	if (done == 0 || seconds < 1 || total <= done)
		return g_strdup ("");
	guint64 left = (guint64) (seconds / (double) done * (double) (total - done));
	if (left >= 3600)
		return g_strdup_printf ("  %" G_GUINT64_FORMAT ":%02u:%02u left", left / 3600, (guint) (left / 60 % 60), (guint) (left % 60));
	return g_strdup_printf ("  %u:%02u left", (guint) (left / 60), (guint) (left % 60));
}

static char *
rate (const Display *d, guint64 octets)
{
	double seconds = (double) (g_get_monotonic_time () - d->started) / G_USEC_PER_SEC;
	g_autofree char *size = cli_size ((guint64) ((double) octets / MAX (seconds, 0.001)));
	return octets > 0 && seconds >= 1 ? g_strdup_printf ("  %s/s", size) : g_strdup ("");
}

static void
draw_sync (Display *d, const SyncProgress *p)
{
	static const char *const phases[] = {"Connecting", "Looking at the folders", "Fetching", "Sending changes", "Indexing", "Done"};
	if (p->messages_total == 0) {
		g_autofree char *text = g_strdup_printf ("%s%s%s ...", phases[p->phase], p->folder ? " " : "", p->folder ? p->folder : "");
		draw (d, text);
		return;
	}
	g_autofree char *done = cli_count (p->messages_done), *total = cli_count (p->messages_total), *size = cli_size (p->octets_done);
	g_autofree char *per_second = rate (d, p->octets_done), *left = time_left (d, p->messages_done, p->messages_total);
	g_autofree char *text = g_strdup_printf ("%s %s of %s messages  %s%s%s  folder %u/%u%s%s", phases[p->phase], done, total, size,
	                                         per_second, left, p->folders_done, p->folders_total, p->folder ? " " : "",
	                                         p->folder ? p->folder : "");
	draw (d, text);
}

static void
json_sync (Display *d, const SyncProgress *p)
{
	static const char *const phases[] = {"connect", "hierarchy", "pull", "push", "index", "done"};
	gint64 now = g_get_monotonic_time ();
	if (p->phase == SYNC_DONE || now - d->last_line < JSON_EVERY_US)
		return;
	d->last_line = now;
	cli_print_json (json_pack ("{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "type", "progress", "phase", phases[p->phase], "folder",
	                           cli_json_text (p->folder), "foldersDone", (json_int_t) p->folders_done, "foldersTotal",
	                           (json_int_t) p->folders_total, "messagesDone", (json_int_t) p->messages_done, "messagesTotal",
	                           (json_int_t) p->messages_total, "octetsDone", (json_int_t) p->octets_done, "octetsIn",
	                           (json_int_t) p->traffic.octets_in));
	fflush (stdout);
}

void
display_sync (gpointer display, const SyncProgress *p)
{
	Display *d = display;
	d->messages = p->messages_done;
	d->octets = p->octets_done;
	d->to_come = p->messages_total - MIN (p->messages_total, p->messages_done);
	if (d->cli->json && !d->quiet_json)
		json_sync (d, p);
	else if (d->terminal && p->phase != SYNC_DONE)
		draw_sync (d, p);
}

void
display_line (gpointer display, gint64 time, gboolean detail, const char *text)
{
	Display *d = display;
	if (d->cli->quiet || d->cli->json)
		return;
	erase (d);
	g_autofree char *line = sync_log_line (time, detail, text);
	cli_print ("%s", line);
	fflush (stdout);
}

static void
draw_count (Display *d, const char *what, guint64 done, guint64 total)
{
	if (!d->terminal)
		return;
	g_autofree char *n = cli_count (done), *of = cli_count (total), *left = time_left (d, done, total);
	g_autofree char *text = g_strdup_printf ("%s %s of %s messages%s", what, n, of, left);
	draw (d, text);
}

void
display_index (gpointer display, guint64 done, guint64 total)
{
	draw_count (display, "Indexing for search:", done, total);
}

void
display_export (gpointer display, guint64 done, guint64 total)
{
	draw_count (display, "Writing", done, total);
}

void
display_end (Display *d)
{
	erase (d);
	fflush (stderr);
}

json_t *
json_of_result (const SyncResult *r)
{
	return json_pack ("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "addedHere", (json_int_t) r->added_here,
	                  "updatedHere", (json_int_t) r->updated_here, "removedHere", (json_int_t) r->removed_here, "addedHome",
	                  (json_int_t) r->added_home, "updatedHome", (json_int_t) r->updated_home, "removedHome", (json_int_t) r->removed_home,
	                  "movedHome", (json_int_t) r->moved_home, "held", (json_int_t) r->held, "failures", (json_int_t) r->failures,
	                  "conflicts", (json_int_t) r->conflicts, "relinked", (json_int_t) r->relinked, "octetsIn", (json_int_t) r->traffic.octets_in, "octetsOut",
	                  (json_int_t) r->traffic.octets_out, "flights", (json_int_t) r->traffic.flights, "run", (json_int_t) r->run);
}
