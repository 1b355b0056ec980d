/* SPDX-License-Identifier: Apache-2.0 */
/* Backups as an administrator sees them. */
#include "ctl.h"
#include "backup.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static Cancel *stopping;

static void
on_signal (int number)
{
	cancel_trigger (stopping);
}

static void
show (gpointer data, const DirectoryMailbox *m, const StoreBackup *made, const StoreRestored *restored, const GError *error)
{
	if (error)
		fprintf (stderr, "outpostctl: %s: %s\n", m->address, error->message);
	else if (made && made->whole)
		printf ("%-40s whole\n", m->address);
	else if (made)
		printf ("%-40s %" G_GUINT64_FORMAT " rows\n", m->address, made->rows);
	else if (restored)
		printf ("%-40s %" G_GUINT64_FORMAT " messages\n", m->address, restored->messages);
	else
		printf ("%-40s sound\n", m->address);
	fflush (stdout);
}

/* What this process has written so far, as the kernel counts it. */
static guint64
written (void)
{
	g_autofree char *text = NULL;
	const char *at = g_file_get_contents ("/proc/self/io", &text, NULL, NULL) ? strstr (text, "wchar: ") : NULL;
	return at ? g_ascii_strtoull (at + strlen ("wchar: "), NULL, 10) : 0;
}

static void
begin (BackupRun *run)
{
	struct sigaction stop = {.sa_handler = on_signal};
	*run = (BackupRun){.cancel = stopping = cancel_new (), .told = show};
	sigaction (SIGINT, &stop, NULL);
	sigaction (SIGTERM, &stop, NULL);
}

static gboolean
end (const BackupRun *run, gboolean ok, const char *what, GError **error)
{
	cancel_free (run->cancel);
	return ok && (!run->failures || error_fail (error, ERROR_CORRUPT, "%u mailbox%s could not be %s; all else is done", run->failures, run->failures == 1 ? "" : "es", what));
}

gboolean
ctl_backup (Ctl *c, GError **error)
{
	BackupRun run;
	if (!c->to || (c->check && *c->args))
		return error_fail (error, ERROR_USAGE, "say: outpostctl backup --to DIR [ADDRESS ...], or backup --check --to DIR");
	begin (&run);
	if (c->check)
		return end (&run, backup_check (c->to, &run, error), "read as it was", error);
	guint64 before = written ();
	gboolean ok = backup_make (c->host, c->to, c->args, &run, error);
	g_autofree char *size = g_format_size_full (written () - before, G_FORMAT_SIZE_IEC_UNITS | G_FORMAT_SIZE_LONG_FORMAT);
	if (ok)
		printf ("%s were written to %s.\n", size, c->to);
	else
		g_prefix_error (error, "the backup was not finished; what was there before can be restored: ");
	return end (&run, ok, "copied", error);
}

static gboolean
restore_mailboxes (Ctl *c, BackupRun *run, GError **error)
{
	for (char **name = c->args; *name; name++) {
		g_autofree char *kept = NULL;
		if (!backup_restore_mailbox (c->host, c->from, *name, run, &kept, error))
			return FALSE;
		if (kept)
			printf ("What it was before is kept for %d days: %s\n", HOST_KEPT_DAYS, kept);
	}
	return TRUE;
}

gboolean
ctl_restore (Ctl *c, GError **error)
{
	BackupRun run;
	guint queued = 0;
	if (!c->from)
		return error_fail (error, ERROR_USAGE, "say: outpostctl restore --from DIR [ADDRESS ...]");
	begin (&run);
	run.queue = c->with_queue;
	gboolean ok = *c->args ? restore_mailboxes (c, &run, error) : backup_restore (c->from, c->folder, &run, &queued, error);
	if (ok && !*c->args)
		printf ("The server is in %s: `outpostd --dir %s` starts it.\n", c->folder, c->folder);
	if (ok && queued && !c->with_queue)
		printf ("%u messages were on their way when the backup was made, and may have been sent since: they were left out (--with-queue).\n", queued);
	return end (&run, ok, "restored", error);
}
