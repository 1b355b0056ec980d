/* SPDX-License-Identifier: Apache-2.0 */
/* Mailboxes that move in from another server, as an administrator sees it. This process writes to their stores, as whom
 * the mail belongs to; the server may go on serving them. */
#include "ctl.h"
#include "bytes.h"
#include "imap-endpoint.h"
#include "import.h"
#include "maildir-endpoint.h"
#include "secret.h"
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MS 60000
#define BATCH_MAX (16u << 20) /* octets of such a file */
#define PLAIN_LINE_US (10 * G_USEC_PER_SEC)

static Cancel *stopping;

static void
on_signal (int number)
{
	cancel_trigger (stopping);
}

typedef struct {
	Ctl *c;
	const char *address, *user;
	Profile *place; /* where the other server is */
	gboolean terminal, drawn;
	gint64 began, told; /* monotonic */
} Moving;

/* ---- What is seen of it ---- */

static void
erase (Moving *m)
{
	if (m->drawn)
		fputs ("\r\033[K", stderr);
	m->drawn = FALSE;
}

static char *
time_left (const Moving *m, const SyncProgress *p)
{
	double seconds = (double) (g_get_monotonic_time () - m->began) / G_USEC_PER_SEC;
	if (p->messages_done == 0 || seconds < 2 || p->messages_total <= p->messages_done)
		return g_strdup ("");
	guint64 left = (guint64) (seconds / (double) p->messages_done * (double) (p->messages_total - p->messages_done));
	return g_strdup_printf (", %" G_GUINT64_FORMAT ":%02u:%02u left", left / 3600, (guint)(left / 60 % 60),
				(guint)(left % 60));
}

/* On a terminal one line that is drawn anew; else a line now and then. */
static void
show_progress (gpointer data, const SyncProgress *p)
{
	Moving *m = data;
	gint64 now = g_get_monotonic_time ();
	if (m->c->json || p->phase != SYNC_PULL || p->messages_total == 0 ||
	    (!m->terminal && now - m->told < PLAIN_LINE_US))
		return;
	g_autofree char *left = time_left (m, p);
	g_autofree char *rate = g_format_size_full (
		(guint64) ((double) p->octets_done * G_USEC_PER_SEC / (double)MAX (now - m->began, 1)),
		G_FORMAT_SIZE_IEC_UNITS);
	erase (m);
	fprintf (stderr, "%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " messages, %s/s%s%s", m->address,
		 p->messages_done, p->messages_total, rate, left, m->terminal ? "" : "\n");
	fflush (stderr);
	m->drawn = m->terminal;
	m->told = now;
}

static void
show_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	Moving *m = data;
	if (m->c->json)
		return;
	g_autofree char *line = sync_log_line (time, detail, text);
	erase (m);
	puts (line);
	fflush (stdout);
}

static void
print_json (const Moving *m, const ImportResult *r, const GError *failure)
{
	guint64 added = r->sync.added_here + r->kept;
	json_t *o = json_pack ("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}", "type", "import", "mailbox",
			       m->address, "added", (json_int_t) added, "updated",
			       (json_int_t) r->sync.updated_here, "removed", (json_int_t) r->sync.removed_here, "held",
			       (json_int_t) r->sync.held, "failures", (json_int_t) r->sync.failures,
			       "folders_with_old_numbers", (json_int_t) r->same, "folders_with_own_numbers",
			       (json_int_t) r->other, "error", failure ? failure->message : NULL);
	char *text = json_dumps (o, JSON_COMPACT);
	puts (text);
	free (text);
	json_decref (o);
	fflush (stdout);
}

static void
report (const Moving *m, const ImportResult *r)
{
	printf ("%s: %" G_GUINT64_FORMAT " messages added, %" G_GUINT64_FORMAT " updated, %" G_GUINT64_FORMAT
		" removed; %u folders have the numbers that they had.\n",
		m->address, r->sync.added_here + r->kept, r->sync.updated_here, r->sync.removed_here, r->same);
	fflush (stdout);
}

/* ---- The other server ---- */

static char *
give_secret (gpointer data, GError **error)
{
	const Moving *m = data;
	const Ctl *c = m->c;
	if (c->password_command) {
		/* for a command that serves a whole batch */
		g_setenv ("OUTPOST_ADDRESS", m->address, TRUE);
		g_setenv ("OUTPOST_USER", m->user, TRUE);
		return secret_from_command (c->password_command, COMMAND_MS, stopping, error);
	}
	g_autofree char *question = g_strdup_printf ("Password of %s on %s: ", m->user, m->place->host);
	return secret_from_prompt (question, stopping, error);
}

static Endpoint *
other_server (Moving *m, GError **error)
{
	Profile *p = m->place;
	if (m->c->from_maildir)
		return maildir_endpoint_new (m->c->from_maildir);
	g_free (p->user);
	p->user = g_strdup (m->user);
	gboolean here = strcmp (p->host, "localhost") == 0 || g_str_has_prefix (p->host, "127.") ||
			strcmp (p->host, "::1") == 0;
	const ImapSettings settings = {.host = p->host,
				       .port = p->port,
				       .implicit_tls = p->tls,
				       .plain = !p->tls && ((here && !m->c->tls_ca) || m->c->insecure),
				       .tls_ca_file = m->c->tls_ca,
				       .user = p->user,
				       .far = !here,
				       .secret = give_secret,
				       .secret_data = m};
	Endpoint *e = imap_endpoint_new (&settings);
	return e ? e : (error_fail (error, ERROR_IO, "no connection can be made"), NULL);
}

static void
name_next_step (GError **error, const Moving *m)
{
	const char *next =
		error_is (*error, ERROR_NO_PERMISSION)
			? "the old server refused the log-on; check --user and the password: "
		: error_is (*error, ERROR_UNTRUSTED)
			? "nothing was sent to the old server; --tls-ca FILE names who signed its certificate: "
		: error_is (*error, ERROR_CANCELLED) ? "what is here stays, and the same command goes on: "
		: error_is (*error, ERROR_TEMPORARY)
			? "what is here stays; once the old server answers, the same command goes on: "
		: error_is (*error, ERROR_UNAVAILABLE) ? "what is here stays: "
						       : "";
	g_prefix_error (error, "%s: %s", m->address, next);
}

/* ---- One mailbox ---- */

static Store *
open_store (Moving *m, GError **error)
{
	Ctl *c = m->c;
	g_autoptr (DirectoryMailbox) box = directory_mailbox (c->d, m->address, error);
	if (!box || (!c->host->server && !host_enrol (c->host, error)) || !host_is_home (c->host, box, NULL, error))
		return NULL;
	g_autofree char *path = host_store_path (c->host, box->id);
	g_autoptr (Store) s = store_open (path, 0, error);
	return s && store_lock_sync (s, error) ? g_steal_pointer (&s) : NULL;
}

static gboolean
judge (const Moving *m, const ImportResult *r, GError **error)
{
	if (r->sync.held)
		return error_fail (error, ERROR_HELD,
				   "%s: much was removed at the old server since the last run, and is kept here: if "
				   "that is right, say it once more with --accept-removals",
				   m->address);
	return r->sync.failures == 0 ||
	       error_fail (error, ERROR_UNAVAILABLE,
			   "%s: not everything came, as told above; the same command tries it again", m->address);
}

/* What would come, as the old server tells it; nothing is written. */
static gboolean
rehearse (Moving *m, Endpoint *old, GError **error)
{
	g_autoptr (GPtrArray) listed = NULL;
	guint64 messages = 0;
	if (!old->class->list (old, &listed, error))
		return FALSE;
	for (guint i = 0; i < listed->len; i++) {
		const RemoteFolder *f = listed->pdata[i];
		g_autofree char *name = slice_to_utf8 ((Slice){f->leaf, strlen (f->leaf)}, 4096);
		if (f->unfit)
			printf ("  %s: its name can't be said to the server again\n", name);
		else if (f->selectable && f->has_status)
			printf ("  %s%s%s%s: %u messages\n", name, f->role ? " (" : "", f->role ? f->role : "",
				f->role ? ")" : "", f->messages);
		messages += f->messages;
	}
	printf ("%s: %" G_GUINT64_FORMAT " messages are at the old server; nothing was written.\n", m->address,
		messages);
	return TRUE;
}

static gboolean
import_with (Moving *m, Store *s, Endpoint *old, GError **error)
{
	ImportOptions o = {.mailbox = m->address,
			   .accept_removals = m->c->accept_removals,
			   .progress = show_progress,
			   .line = show_line,
			   .data = m};
	ImportResult r = {0};
	g_autoptr (GError) failure = NULL;
	if (m->c->dry_run)
		return old->class->open (old, stopping, error) && rehearse (m, old, error);
	gboolean ok = import_run (s, old, &o, stopping, &r, &failure);
	guint without = m->c->from_maildir ? maildir_endpoint_without_uid (old) : 0;
	erase (m);
	if (without)
		fprintf (stderr, "outpostctl: %u messages have no UID yet and were left: `doveadm mailbox status -u USER uidnext '*'` gives them one\n", without);
	if (m->c->json)
		print_json (m, &r, failure);
	else if (ok)
		report (m, &r);
	if (ok)
		return judge (m, &r, error);
	g_propagate_error (error, g_steal_pointer (&failure));
	return FALSE;
}

static gboolean
import_one (Moving *m, GError **error)
{
	m->began = m->told = g_get_monotonic_time ();
	m->terminal = isatty (STDERR_FILENO);
	g_autoptr (Store) s = open_store (m, error);
	g_autoptr (Endpoint) old = s ? other_server (m, error) : NULL;
	if (!old)
		return FALSE;
	gboolean ok = import_with (m, s, old, error);
	old->class->close (old);
	if (!ok && !error_is (*error, ERROR_HELD))
		name_next_step (error, m);
	return ok;
}

/* ---- Many ---- */

/* Lines "ADDRESS [USER]"; "#" begins a comment. The first that fails does not stop the others. */
static gboolean
import_batch (Moving *m, GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr (GError) local = NULL;
	gsize size = 0;
	guint failures = 0, all = 0;
	if (!g_file_get_contents (m->c->batch, &text, &size, &local))
		return error_fail (error, ERROR_USAGE, "%s", local->message);
	if (size > BATCH_MAX)
		return error_fail (error, ERROR_TOO_BIG, "the file %s is too big for a list of mailboxes", m->c->batch);
	g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
	for (char **line = lines; *line && !cancel_is_triggered (stopping); line++) {
		g_auto (GStrv) words = g_strsplit_set (g_strstrip (*line), " \t", 2);
		if (!words[0] || !*words[0] || *words[0] == '#')
			continue;
		g_autoptr (GError) failure = NULL;
		m->address = words[0];
		m->user = words[1] && *g_strstrip (words[1]) ? words[1] : words[0];
		all++;
		if (import_one (m, &failure))
			continue;
		failures++;
		fprintf (stderr, "outpostctl: %s\n", failure->message);
	}
	return cancel_check (stopping, error) &&
	       (failures == 0 ||
		error_fail (error, ERROR_UNAVAILABLE,
			    "%u of %u mailboxes are not all here, as told above; the same command goes on with them",
			    failures, all));
}

gboolean
ctl_mailbox_import (Ctl *c, GError **error)
{
	g_autoptr (Profile) place = profile_new ("old");
	Moving m = {.c = c, .place = place};
	struct sigaction stop = {.sa_handler = on_signal};
	if (!c->from == !c->from_maildir || !*c->args == !c->batch || (c->from_maildir && c->batch))
		return error_fail (error, ERROR_USAGE,
				   "say: outpostctl mailbox import ADDRESS --from imaps://HOST [--user USER] or --from-maildir DIR; "
				   "--batch FILE for several");
	if (c->batch && !c->password_command)
		return error_fail (error, ERROR_USAGE,
				   "--batch wants --password-command: it finds the mailbox in $OUTPOST_ADDRESS and the "
				   "user in $OUTPOST_USER");
	if (c->from && !profile_set_location (place, c->from, error))
		return FALSE;
	m.address = c->args[0];
	m.user = c->import_user ? c->import_user : c->args[0];
	stopping = cancel_new ();
	sigaction (SIGINT, &stop, NULL);
	sigaction (SIGTERM, &stop, NULL);
	gboolean ok = c->batch ? import_batch (&m, error) : import_one (&m, error);
	cancel_free (stopping);
	return ok;
}
