/* SPDX-License-Identifier: Apache-2.0 */
/* Move Mailbox as an administrator sees it. */
#include "ctl.h"
#include "move.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static Cancel *stopping;

static void
on_signal (int number)
{
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
	gboolean ok = move_run (c->host, m, &o, error);
	cancel_free (stopping);
	if (ok)
		report (m);
	else if (m->state < MOVE_COMMITTED)
		g_prefix_error (error, "the mailbox is where it was; `outpostctl move resume %" G_GINT64_FORMAT "` goes on, `move cancel` ends it: ", m->number);
	return ok;
}

static gboolean
rehearse (Ctl *c, GError **error)
{
	g_autoptr (DirectoryMailbox) m = directory_mailbox (c->d, c->args[0], error);
	g_autoptr (DirectoryServer) to = m ? directory_server (c->d, c->to_server, error) : NULL;
	g_autoptr (DirectoryServer) from = to && m->server ? directory_server (c->d, m->server, error) : NULL;
	if (!from)
		return FALSE;
	if (strcmp (from->id, to->id) == 0)
		return error_fail (error, ERROR_EXISTS, "the mailbox %s is at home at %s already", m->address, to->name);
	printf ("The mailbox %s (%s) would be moved from %s (site %s) to %s (site %s); nothing was changed.\n", m->address, m->id, from->name, from->site, to->name, to->site);
	return TRUE;
}

gboolean
ctl_mailbox_move (Ctl *c, GError **error)
{
	if (!c->to_server)
		return error_fail (error, ERROR_USAGE, "mailbox move wants --to-server SERVER: `outpostctl server list` names them");
	if (!host_enrol (c->host, error))
		return FALSE;
	if (c->dry_run)
		return rehearse (c, error);
	g_autoptr (DirectoryMove) m = directory_move_begin (c->d, c->args[0], c->to_server, error);
	return m && run (c, m, error);
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

gboolean
ctl_move_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) all = directory_moves (c->d, FALSE, error);
	for (guint i = 0; all && i < all->len; i++) {
		const DirectoryMove *m = all->pdata[i];
		g_autofree char *from = name_of (c->d, m->source), *to = name_of (c->d, m->target);
		g_autoptr (GDateTime) t = g_date_time_new_from_unix_utc (m->began);
		g_autofree char *began = t ? g_date_time_format (t, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("-");
		printf ("%-6" G_GINT64_FORMAT " %s  %-40s %s -> %s  %s%s%s\n", m->number, began, m->address, from, to, directory_move_state_name (m->state), m->error ? ": " : "",
		        m->error ? m->error : "");
	}
	return all != NULL;
}
