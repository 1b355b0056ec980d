/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-private.h"
#include "bytes.h"
#include <string.h>

gint64
sync_now (void)
{
	return g_get_real_time () / G_USEC_PER_SEC;
}

static void
add_line (SyncRun *run, gboolean detail, const char *format, va_list args)
{
	g_autofree char *said = g_strdup_vprintf (format, args); /* with a server's words, and names of its folders */
	LogLine line = {sync_now (), detail, slice_to_utf8 ((Slice){said, strlen (said)}, 3 * strlen (said) + 1)};
	g_array_append_val (run->unwritten, line);
	if (run->options->line)
		run->options->line (run->options->data, line.time, detail, line.text);
}

char *
sync_log_line (gint64 time, gboolean detail, const char *text)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_local (time);
	g_autofree char *clock = t ? g_date_time_format (t, "%M:%S") : g_strdup ("00:00");
	return g_strdup_printf ("%d:%s%s%s", t ? g_date_time_get_hour (t) : 0, clock, detail ? "       " : " ", text);
}

static void
line_done (gpointer line)
{
	g_free (((LogLine *) line)->text);
}

GArray *
sync_log_lines_new (void)
{
	GArray *lines = g_array_new (FALSE, TRUE, sizeof (LogLine));
	g_array_set_clear_func (lines, line_done);
	return lines;
}

void
sync_log (SyncRun *run, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	add_line (run, FALSE, format, args);
	va_end (args);
}

void
sync_log_detail (SyncRun *run, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	add_line (run, TRUE, format, args);
	va_end (args);
}

gboolean
sync_log_write (SyncRun *run, GError **error)
{
	if (run->run == 0 && !store_run_begin (run->store, run->started, &run->run, error))
		return FALSE;
	run->result->run = run->run;
	for (guint i = 0; i < run->unwritten->len; i++) {
		LogLine *l = &g_array_index (run->unwritten, LogLine, i);
		if (!store_run_line (run->store, run->run, l->time, l->detail, l->text, error))
			return FALSE;
	}
	g_array_set_size (run->unwritten, 0);
	return TRUE;
}

static char *
facts_json (const SyncRun *run)
{
	const SyncResult *r = run->result;
	return g_strdup_printf ("{\"addedHere\":%" G_GUINT64_FORMAT ",\"updatedHere\":%" G_GUINT64_FORMAT ",\"removedHere\":%" G_GUINT64_FORMAT
	                        ",\"addedHome\":%" G_GUINT64_FORMAT ",\"updatedHome\":%" G_GUINT64_FORMAT ",\"removedHome\":%" G_GUINT64_FORMAT
	                        ",\"movedHome\":%" G_GUINT64_FORMAT ",\"held\":%" G_GUINT64_FORMAT ",\"failures\":%" G_GUINT64_FORMAT
	                        ",\"conflicts\":%" G_GUINT64_FORMAT ",\"relinked\":%" G_GUINT64_FORMAT ",\"octetsIn\":%" G_GUINT64_FORMAT ",\"octetsOut\":%" G_GUINT64_FORMAT
	                        ",\"flights\":%u}",
	                        r->added_here, r->updated_here, r->removed_here, r->added_home, r->updated_home, r->removed_home,
	                        r->moved_home, r->held, r->failures, r->conflicts, r->relinked, r->traffic.octets_in, r->traffic.octets_out,
	                        r->traffic.flights);
}

#define IDLE_LINES 3 /* Synchronizing Mailbox, Synchronizing Hierarchy, Done; a failure to connect has two */

static gboolean
log_repeats (SyncRun *run, const char *result, const char *failure, const char *facts, gboolean *repeated_out, GError **error)
{
	*repeated_out = FALSE;
	if (!run->options->fold_idle || run->run != 0 || run->unwritten->len > IDLE_LINES)
		return TRUE;
	return store_run_repeat (run->store, sync_now (), result, failure, run->unwritten->len, facts, repeated_out, error);
}

gboolean
sync_log_end (SyncRun *run, const GError *failure, GError **error)
{
	const char *result = !failure ? run->result->held ? "held" : run->result->failures ? "incomplete" : "done"
	                     : error_is (failure, ERROR_CANCELLED) ? "stopped" : "failed";
	if (failure && error_is (failure, ERROR_CANCELLED))
		sync_log (run, "Stopped on request");
	else if (failure)
		sync_log (run, "Failed: %s", failure->message);
	else if (run->result->failures)
		sync_log (run, "Done, but not everything: %" G_GUINT64_FORMAT " failure(s) above", run->result->failures);
	else
		sync_log (run, "Done");
	g_autofree char *facts = facts_json (run);
	const char *text = failure ? failure->message : NULL;
	gboolean repeated;
	return store_begin (run->store, error) && (failure || store_settle_pushed (run->store, error)) && log_repeats (run, result, text, facts, &repeated, error) &&
	       (repeated || (sync_log_write (run, error) && store_run_end (run->store, run->run, sync_now (), result, text, facts, error))) &&
	       sync_commit (run, error);
}

void
sync_progress (SyncRun *run, SyncPhase phase, const char *folder, gboolean always)
{
	gint64 now = g_get_monotonic_time ();
	if (!run->options->progress || (!always && now - run->last_progress < 100 * 1000))
		return;
	run->last_progress = now;
	run->progress.phase = phase;
	run->progress.folder = folder;
	run->progress.traffic = run->home->class->traffic (run->home);
	run->options->progress (run->options->data, &run->progress);
}

gboolean
sync_begin (SyncRun *run, GError **error)
{
	return cancel_check (run->cancel, error) && store_begin (run->store, error);
}

gboolean
sync_commit (SyncRun *run, GError **error)
{
	sync_step ();
	gboolean ok = store_commit (run->store, error);
	sync_step ();
	return ok;
}

GBytes *
sync_report_octets (const char *subject, const char *text, gint64 now)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_utc (now);
	g_autofree char *date = g_date_time_format (t, "%a, %d %b %Y %H:%M:%S +0000");
	Id128 id = id128_random ();
	char id_text[ID_TEXT_SIZE];
	id128_text (&id, id_text);
	char *octets = g_strdup_printf ("From: outpost <outpost@localhost>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@outpost>\r\n"
	                                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	                                "Content-Transfer-Encoding: 8bit\r\n\r\n%s\r\n",
	                                subject, date, id_text, text);
	return g_bytes_new_take (octets, strlen (octets));
}

gboolean
sync_report (SyncRun *run, const char *kind, const char *subject, const char *text, GError **error)
{
	gint64 top = 0, folder, message, now = sync_now ();
	if (run->options->one_way)
		return TRUE;
	g_autofree char *path = g_strdup_printf ("Sync Issues/%s", kind);
	g_autoptr (Folder) issues = store_folder_by_path (run->store, "Sync Issues", NULL);
	g_autoptr (Folder) old = store_folder_by_path (run->store, path, NULL);
	NewFolder parent = {0, "Sync Issues", "sync-issues", FALSE, TRUE, TRUE};
	if (issues)
		top = issues->id;
	else if (!store_folder_create (run->store, &parent, &top, error))
		return FALSE;
	NewFolder child = {top, kind, NULL, FALSE, TRUE, TRUE};
	if (old)
		folder = old->id;
	else if (!store_folder_create (run->store, &child, &folder, error))
		return FALSE;
	g_autoptr (GBytes) bytes = sync_report_octets (subject, text, now);
	g_autoptr (Prepared) p = prepare_bytes (bytes, now, 0);
	return store_add_message (run->store, p, folder, &message, error) &&
	       store_place (run->store, folder, message, 0, NULL, FALSE, 0, NULL, error);
}
