/* SPDX-License-Identifier: Apache-2.0 */
/* Move Mailbox as an administrator sees it. */
#include "ctl.h"
#include "move.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static Cancel *stopping;

static void
on_signal (int number)
{
	if (stopping)
		cancel_trigger (stopping);
}

typedef struct {
	DirectoryMoveState state;
	gint64 last; /* monotonic */
} Shown;

/* A line for each state, and one a second while it copies. */
static void
show (gpointer data, const DirectoryMove *m, guint64 octets, guint64 of)
{
	Shown *s = data;
	gint64 now = g_get_monotonic_time ();
	if (s->state != m->state)
		printf ("%s\n", directory_move_state_name (m->state));
	else if (m->state == MOVE_COPYING && now - s->last > G_USEC_PER_SEC) {
		g_autofree char *done = g_format_size_full (octets, G_FORMAT_SIZE_IEC_UNITS), *all = g_format_size_full (of, G_FORMAT_SIZE_IEC_UNITS);
		printf ("  %s of %s\n", done, all);
	} else
		return;
	s->state = m->state;
	s->last = now;
	fflush (stdout);
}

static void
report (const DirectoryMove *m)
{
	g_autofree char *size = g_format_size_full (m->octets, G_FORMAT_SIZE_IEC_UNITS);
	printf ("The mailbox %s is at home at the new place: %s, sum of both sides %s; for %.0f ms nobody could write.\n", m->address, size, m->sum, (double) m->fence / 1000);
}

/* It was told to stop where it has. */
static gboolean
is_ready (Ctl *c, const DirectoryMove *m)
{
	g_autoptr (DirectoryMove) now = directory_move (c->d, m->number, NULL);
	return now && now->hold == MOVE_HOLD_READY && now->state == MOVE_CATCHING_UP;
}

static gboolean
run (Ctl *c, DirectoryMove *m, GError **error)
{
	Shown shown = {.state = MOVE_CANCELLED};
	MoveOptions o = {.told = show, .data = &shown};
	struct sigaction stop = {.sa_handler = on_signal};
	if (!ctl_parse_size (c->max_rate, &o.rate, error))
		return FALSE;
	o.cancel = stopping = cancel_new ();
	sigaction (SIGINT, &stop, NULL);
	sigaction (SIGTERM, &stop, NULL);
	gboolean ok = move_run (c->host, m, &o, error), ready = !ok && error_is (*error, ERROR_CANCELLED) && is_ready (c, m);
	cancel_free (g_steal_pointer (&stopping));
	if (ready)
		g_clear_error (error);
	if (ready)
		printf ("The move %" G_GINT64_FORMAT " of %s is ready: `outpostctl move complete %" G_GINT64_FORMAT "` switches, within a second.\n", m->number, m->address, m->number);
	else if (ok)
		report (m);
	else if (m->state < MOVE_COMMITTED)
		g_prefix_error (error, "the mailbox is where it was; `outpostctl move resume %" G_GINT64_FORMAT "` goes on, `move cancel` ends it: ", m->number);
	return ok || ready;
}

static gboolean
rehearse (Ctl *c, const char *address, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, address, error);
	g_autoptr (DirectoryServer) to = m ? directory_server (c->d, c->to_server, error) : NULL;
	g_autoptr (DirectoryServer) from = to && m->server ? directory_server (c->d, m->server, error) : NULL;
	if (!from)
		return FALSE;
	if (strcmp (from->id, to->id) == 0)
		return error_fail (error, ERROR_EXISTS, "the mailbox %s is at home at %s already", m->address, to->name);
	printf ("The mailbox %s (%s) would be moved from %s (site %s) to %s (site %s); nothing was changed.\n", m->address, m->id, from->name, from->site, to->name, to->site);
	return TRUE;
}

static gboolean
move_one (Ctl *c, const char *address, GError **error)
{
	if (c->dry_run)
		return rehearse (c, address, error);
	g_autoptr (DirectoryMove) m = directory_move_begin (c->d, address, c->to_server, error);
	return m && (!c->suspend_when_ready || directory_move_hold (c->d, m, MOVE_HOLD_READY, error)) && run (c, m, error);
}

/* One that fails does not hold up the others. */
static gboolean
move_batch (Ctl *c, GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr (GError) local = NULL;
	guint failed = 0;
	if (!g_file_get_contents (c->batch, &text, NULL, &local))
		return error_fail (error, ERROR_NOT_FOUND, "%s", local->message);
	g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_autoptr (GError) why = NULL;
		if (!*g_strstrip (*line) || **line == '#')
			continue;
		if (!c->dry_run)
			printf ("%s\n", *line);
		if (!move_one (c, *line, &why)) {
			fprintf (stderr, "outpostctl: %s: %s\n", *line, why->message);
			failed++;
			if (error_is (why, ERROR_CANCELLED)) /* by a signal */
				break;
		}
	}
	return failed == 0 || error_fail (error, ERROR_TEMPORARY, "%u of the mailboxes could not be moved: `outpostctl move list` tells how far they are", failed);
}

/* Until HH:MM of the local clock comes next. */
static gboolean
wait_for_start (const char *text, GError **error)
{
	guint hour, minute;
	char end;
	if (sscanf (text, "%2u:%2u%c", &hour, &minute, &end) != 2 || hour > 23 || minute > 59)
		return error_fail (error, ERROR_USAGE, "'%s' is no time: say for example 22:00", text);
	g_autoptr (GDateTime) now = g_date_time_new_now_local ();
	g_autoptr (GDateTime) today = g_date_time_new_local (g_date_time_get_year (now), g_date_time_get_month (now), g_date_time_get_day_of_month (now), (int) hour, (int) minute, 0);
	g_autoptr (GDateTime) then = g_date_time_compare (today, now) > 0 ? g_date_time_ref (today) : g_date_time_add_days (today, 1);
	g_autofree char *said = g_date_time_format (then, "%Y-%m-%d %H:%M");
	printf ("Begins at %s.\n", said);
	fflush (stdout);
	while (g_get_real_time () / G_USEC_PER_SEC < g_date_time_to_unix (then)) /* the clock may be set meanwhile */
		sleep (1);
	return TRUE;
}

gboolean
ctl_mailbox_move (Ctl *c, GError **error)
{
	if (!c->to_server || !c->batch == !c->args[0])
		return error_fail (error, ERROR_USAGE, "mailbox move wants an address or --batch FILE, and --to-server SERVER: `outpostctl server list` names them");
	if (!host_enrol (c->host, error) || (c->start && !c->dry_run && !wait_for_start (c->start, error)))
		return FALSE;
	return c->batch ? move_batch (c, error) : move_one (c, c->args[0], error);
}

static DirectoryMove *
named (Ctl *c, GError **error)
{
	guint64 number;
	if (g_ascii_string_to_unsigned (c->args[0], 10, 1, G_MAXINT64, &number, NULL))
		return directory_move (c->d, (gint64) number, error);
	error_fail (error, ERROR_USAGE, "'%s' is no number of a move: `outpostctl move list` has them", c->args[0]);
	return NULL;
}

gboolean
ctl_move_resume (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMove) m = host_enrol (c->host, error) ? named (c, error) : NULL;
	if (m && m->hold && m->state <= MOVE_CATCHING_UP && !directory_move_hold (c->d, m, MOVE_HOLD_NONE, error))
		return FALSE;
	return m && run (c, m, error);
}

gboolean
ctl_move_cancel (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMove) m = host_enrol (c->host, error) ? named (c, error) : NULL;
	return m && move_cancel (c->host, m, error);
}

static char *
name_of (Directory *d, const char *server)
{
	g_autoptr (DirectoryServer) s = directory_server (d, server, NULL);
	return g_strdup (s ? s->name : server);
}

static char *
time_text (gint64 seconds)
{
	g_autoptr (GDateTime) t = seconds ? g_date_time_new_from_unix_utc (seconds) : NULL;
	return t ? g_date_time_format (t, "%Y-%m-%dT%H:%M:%SZ") : NULL;
}

static json_t *
json_move (Directory *d, const DirectoryMove *m)
{
	g_autofree char *from = name_of (d, m->source), *to = name_of (d, m->target), *began = time_text (m->began), *ended = time_text (m->ended);
	return json_pack ("{s:I, s:s, s:s, s:s, s:s, s:s, s:b, s:s?, s:s?, s:I, s:I, s:I, s:s?, s:s?}", "number", (json_int_t) m->number, "mailbox", m->mailbox, "address", m->address,
	                  "from", from, "to", to, "state", directory_move_state_name (m->state), "suspended", m->hold != MOVE_HOLD_NONE, "began", began, "ended", ended, "octets",
	                  (json_int_t) m->octets, "copied", (json_int_t) m->copied, "fenceMicroseconds", (json_int_t) m->fence, "sum", m->sum, "error", m->error);
}

static void
print_json (Directory *d, const DirectoryMove *m)
{
	json_t *one = json_move (d, m);
	json_dumpf (one, stdout, JSON_COMPACT);
	putchar ('\n');
	json_decref (one);
}

static void
print_line (Directory *d, const DirectoryMove *m)
{
	g_autofree char *from = name_of (d, m->source), *to = name_of (d, m->target), *began = time_text (m->began);
	printf ("%-6" G_GINT64_FORMAT " %s  %-40s %s -> %s  %s%s%s\n", m->number, began ? began : "-", m->address, from, to, directory_move_state_name (m->state), m->error ? ": " : "",
	        m->error ? m->error : "");
}

gboolean
ctl_move_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) all = directory_moves (c->d, FALSE, error);
	for (guint i = 0; all && i < all->len; i++)
		(c->json ? print_json : print_line) (c->d, all->pdata[i]);
	return all != NULL;
}

/* ---- One of them ---- */

static void
print_move (Directory *d, const DirectoryMove *m)
{
	g_autofree char *copied = g_format_size_full (m->copied, G_FORMAT_SIZE_IEC_UNITS), *octets = g_format_size_full (m->octets, G_FORMAT_SIZE_IEC_UNITS), *ended = time_text (m->ended);
	print_line (d, m);
	printf ("  %s of %s copied%s\n", copied, octets, m->hold && !m->ended ? "; suspended" : "");
	if (m->sum)
		printf ("  sum of both sides %s; for %.0f ms nobody could write\n", m->sum, (double) m->fence / 1000);
	if (ended)
		printf ("  ended %s\n", ended);
}

gboolean
ctl_move_show (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMove) m = named (c, error);
	if (m)
		(c->json ? print_json : print_move) (c->d, m);
	return m != NULL;
}

/* "12.0 MiB of 3.0 GiB, 20.1 MiB/s, 151 s left" */
static char *
progress_text (const DirectoryMove *m, guint64 before)
{
	g_autofree char *copied = g_format_size_full (m->copied, G_FORMAT_SIZE_IEC_UNITS), *octets = g_format_size_full (m->octets, G_FORMAT_SIZE_IEC_UNITS);
	guint64 rate = m->copied > before ? m->copied - before : 0;
	g_autofree char *each = g_format_size_full (rate, G_FORMAT_SIZE_IEC_UNITS);
	return rate ? g_strdup_printf ("%s: %s of %s, %s/s, %" G_GUINT64_FORMAT " s left", directory_move_state_name (m->state), copied, octets, each, (m->octets - MIN (m->copied, m->octets)) / rate)
	            : g_strdup_printf ("%s: %s of %s", directory_move_state_name (m->state), copied, octets);
}

/* By the directory alone: whoever does the move, and wherever. One line that changes on a terminal; else a line when something does. */
gboolean
ctl_move_watch (Ctl *c, GError **error)
{
	gboolean terminal = isatty (STDOUT_FILENO);
	guint64 before = 0;
	g_autofree char *last = NULL;
	for (;;) {
		g_autoptr (DirectoryMove) m = named (c, error);
		g_autofree char *text = m ? progress_text (m, before) : NULL;
		if (!m)
			return FALSE;
		if (g_strcmp0 (text, last) != 0)
			printf (terminal ? "\r\033[K%s" : "%s\n", text);
		g_free (last);
		last = g_steal_pointer (&text);
		if (terminal && (m->ended || m->error))
			putchar ('\n');
		if (m->ended || m->error)
			print_move (c->d, m);
		fflush (stdout);
		if (m->ended || m->error)
			return TRUE;
		before = m->copied;
		sleep (1);
	}
}

gboolean
ctl_move_suspend (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMove) m = named (c, error);
	if (!m || !directory_move_hold (c->d, m, MOVE_HOLD_NOW, error))
		return FALSE;
	printf ("The move %" G_GINT64_FORMAT " of %s stops before its switch, and while it copies within seconds: `outpostctl move resume %" G_GINT64_FORMAT "` goes on.\n", m->number, m->address,
	        m->number);
	return TRUE;
}

/* Another move: what came since is not lost, and no client sees more than of the first. */
gboolean
ctl_move_undo (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMove) m = host_enrol (c->host, error) ? named (c, error) : NULL;
	g_autoptr (DirectoryMailbox) now = m ? directory_mailbox (c->d, m->mailbox, error) : NULL;
	if (!now)
		return FALSE;
	if (m->state != MOVE_DONE)
		return error_fail (error, ERROR_CONFLICT, "the move %" G_GINT64_FORMAT " is %s: only what is done can be undone%s", m->number, directory_move_state_name (m->state),
		                   m->state < MOVE_COMMITTED ? "; `outpostctl move cancel` ends it" : "");
	if (g_strcmp0 (now->server, m->target) != 0 || now->epoch != m->epoch + 1)
		return error_fail (error, ERROR_CONFLICT, "the mailbox %s was moved again since: undo that first", now->address);
	g_autoptr (DirectoryMove) back = directory_move_begin (c->d, m->mailbox, m->source, error);
	return back && run (c, back, error);
}
