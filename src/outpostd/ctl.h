/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of outpostctl share. */
#pragma once
#include "host.h"

typedef struct {
	Host *host;
	Directory *d;
	char **args;
	gboolean json; /* what the server answers, as it is; the organisation as one object */
	gboolean dot, dry_run;
	char *site, *to_site, *rename, *to_server, *max_rate, *batch, *start; /* options; NULL */
	gboolean suspend_when_ready;
	char **at;
	const char *folder; /* the server's, which may not be there yet */
	char *to, *from;
	gboolean check, with_queue;
	char *password_command, *import_user, *tls_ca, *from_maildir;
	gboolean accept_removals, insecure;
} Ctl;

/* Backups (ctl-backup.c). Without arguments ctl_restore has no host and no directory. */
gboolean ctl_backup (Ctl *c, GError **error);
gboolean ctl_restore (Ctl *c, GError **error);

/* Moving in from another server (ctl-import.c). */
gboolean ctl_mailbox_import (Ctl *c, GError **error);

/* The organisation (ctl-org.c). */
gboolean org_init (Ctl *c, GError **error);
gboolean org_rename (Ctl *c, GError **error);
gboolean org_show (Ctl *c, GError **error);
gboolean site_create (Ctl *c, GError **error);
gboolean site_rename (Ctl *c, GError **error);
gboolean site_list (Ctl *c, GError **error);
gboolean ctl_server_add (Ctl *c, GError **error);
gboolean ctl_server_list (Ctl *c, GError **error);
gboolean ctl_server_move (Ctl *c, GError **error);
gboolean ctl_server_adopt (Ctl *c, GError **error);
gboolean ctl_server_forget (Ctl *c, GError **error);

/* Moves of mailboxes (ctl-move.c). */
gboolean ctl_mailbox_move (Ctl *c, GError **error);
gboolean ctl_move_list (Ctl *c, GError **error);
gboolean ctl_move_resume (Ctl *c, GError **error);
gboolean ctl_move_show (Ctl *c, GError **error);
gboolean ctl_move_watch (Ctl *c, GError **error);
gboolean ctl_move_suspend (Ctl *c, GError **error);
gboolean ctl_move_undo (Ctl *c, GError **error);
gboolean ctl_move_cancel (Ctl *c, GError **error);
/* "10G", "500M", "100k", "none" or "0"; NULL: *out stays as it is. USAGE */
gboolean ctl_parse_size (const char *text, guint64 *out, GError **error);

/* Questions to the running server (ctl-server.c). NOT_FOUND if none runs. */
gboolean server_status (Ctl *c, GError **error);
gboolean server_who (Ctl *c, GError **error);
gboolean server_kick (Ctl *c, GError **error);
gboolean server_reload (Ctl *c, GError **error);
/* Those of @m, which has changed so that they have to log on again. Where no server runs there are none. */
gboolean server_end_sessions (Ctl *c, const DirectoryMailbox *m, GError **error);

/* The queue (ctl-queue.c). */
gboolean queue_list (Ctl *c, GError **error);
gboolean queue_show (Ctl *c, GError **error);
gboolean queue_try_again (Ctl *c, GError **error);
gboolean queue_remove (Ctl *c, GError **error);
