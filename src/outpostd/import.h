/* SPDX-License-Identifier: Apache-2.0 */
/* A mailbox moves in from another server: the store of a mailbox that is at home here follows that server, one way
 * (sync.h: one_way), as often as it is said, and goes on with its UIDs and UIDVALIDITY (store-import.h). Nothing is
 * ever written to the other server. Whoever does it may die at any moment: the next run goes on. */
#pragma once
#include "sync.h"

typedef struct {
	const char *mailbox;      /* for the log */
	gboolean accept_removals; /* what an earlier run held because much was removed at the other server is removed
				     here, too */
	void (*progress) (gpointer data, const SyncProgress *p); /* as in SyncOptions */
	void (*line) (gpointer data, gint64 time, gboolean detail, const char *text);
	gpointer data;
} ImportOptions;

typedef struct {
	SyncResult sync;
	guint64 kept;      /* messages that came under the old UIDs since their folders were here */
	guint same, other; /* folders that have the old server's numbers, and that can't have them */
} ImportResult;
/* @s is locked by store_lock_sync. As sync_run; what it holds is in result.sync.held. */
gboolean import_run (Store *s, Endpoint *old, const ImportOptions *options, Cancel *cancel, ImportResult *result,
		     GError **error);
