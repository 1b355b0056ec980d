/* SPDX-License-Identifier: Apache-2.0 */
/* A server's folder in another place, and back. The backup is a folder, too:
 *
 *   mail/ID            each mailbox that is at home here, deleted ones too (store-backup.h)
 *   directory.db       the organisation, addresses, verifiers of passwords
 *   queue.db           mail on its way
 *   outpostd.conf, server.id, and what the configuration names below its folder: certificate, key, the relay's password and certificate
 *   backup.info        when it was last finished; without it it is no backup
 *
 * Not in it: sockets, locks, stores that were moved away or replaced, and the server's memory of who guessed passwords. Whoever dies at any moment leaves what was
 * there: each mailbox is as of this run or as of the one before, all else is as of the one before until the last step. */
#pragma once
#include "cancel.h"
#include "host.h"
#include "store-backup.h"

/* @made and @restored: one of them, or @error; NULL for what did not come so far. */
typedef void (*BackupTold) (gpointer data, const DirectoryMailbox *m, const StoreBackup *made, const StoreRestored *restored, const GError *error);
typedef struct {
	Cancel *cancel;
	BackupTold told;
	gpointer data;
	gboolean queue; /* backup_restore: mail on its way, too, which may have been sent since */
	guint failures; /* answer: mailboxes that were told of with an error; the others are done */
} BackupRun;

/* Of @h to @to, which is made if it is not there. @names: addresses (NULL-terminated), of a backup that was finished once; or none: all, and all else. UNAVAILABLE if another process is at it. */
gboolean backup_make (Host *h, const char *to, char **names, BackupRun *run, GError **error);
/* Reads everything. */
gboolean backup_check (const char *from, BackupRun *run, GError **error);
/* A server in @folder, where there is none; numbers jump ahead (store_restore). *queued_out: messages that were on their way then. EXISTS. */
gboolean backup_restore (const char *from, const char *folder, BackupRun *run, guint *queued_out, GError **error);
/* One mailbox of a server, while it runs or not: what it is now goes to *kept_out (owned; NULL: there was nothing), which is kept for HOST_KEPT_DAYS. */
gboolean backup_restore_mailbox (Host *h, const char *from, const char *name, BackupRun *run, char **kept_out, GError **error);
/* Of @host's folder, what such a restoration put aside before @before (Unix seconds). */
gboolean backup_sweep (const Host *h, gint64 before, GError **error);
