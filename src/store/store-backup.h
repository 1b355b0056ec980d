/* SPDX-License-Identifier: Apache-2.0 */
/* A home's copy in another place that is brought level again and again, and becomes a home from there.
 *
 * A backup is a store in one file without a log beside it, as it was at one moment, with the sum of its rows; so it can be read where nothing can be written. */
#pragma once
#include "store.h"

typedef struct {
	gboolean whole;  /* all of it was copied: there was no backup, or one that could not be brought level */
	guint64 rows;    /* else: how many were written; 0: nothing was changed since */
} StoreBackup;
/* The home at @from, while it is used, to @to. What is there is a backup at every moment, whoever dies: the earlier one until the new one is proved to be equal to the
 * home, by the sum of both. CORRUPT if the home is damaged, as far as what was copied shows it. */
gboolean store_backup (const char *from, const char *to, Cancel *cancel, StoreBackup *out, GError **error);
/* Reads all of it: its sum is the one that it keeps, and each message the one that came. CORRUPT names what to do. One of an older version has its sum checked only. */
gboolean store_backup_check (const char *path, Cancel *cancel, GError **error);

typedef struct {
	guint64 messages; /* that it has now */
	guint64 newer;    /* that only @present has: they came since */
	guint64 back;     /* that @present had no more where they are; they have new UIDs */
} StoreRestored;
/* Makes a home of @backup at @to, whose file must be nobody's: what is there is removed. It is checked as by store_backup_check, and its numbers jump ahead, of what the
 * home at @present (NULL, or one that can't be read: unknown) has given out, too:
 *
 *   - UIDNEXT of each folder, the change sequence, the next UIDVALIDITY and the ids of messages (THREADID) go so far up that nothing is given out twice; UIDVALIDITY
 *     stays. The UIDs left out count as removed, and everything as changed, so that whoever saw a later state learns of all that is not so any more.
 *   - A message that was there at the backup and is no more at @present gets a new UID: whoever was told that the old one is gone finds it as a new one. */
gboolean store_restore (const char *backup, const char *to, const char *present, Cancel *cancel, StoreRestored *out, GError **error);
