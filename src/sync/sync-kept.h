/* SPDX-License-Identifier: Apache-2.0 */
/* What a folder of the home has not any more while another one has it: that is no loss. */
#pragma once
#include "sync-private.h"

/* What the home does not have in one folder any more. */
typedef struct {
	const FolderRun *f;
	const UidSet *removed; /* all of that; NULL: nothing can be said of what is in the folder now */
	UidSet lost, kept;     /* of that, what would be lost; and what of this is elsewhere */
} Loss;
void loss_done (gpointer loss); /* for g_array_set_clear_func */

/* Fills `kept` of each of @losses (Loss): what has the same octets in another folder, bound there and not removed here:
 * the home has that as told in this run or, of folders without a Loss, as listed. Each of those stands for one. What
 * was changed here is not among them: its change would be lost. */
gboolean sync_find_kept (SyncRun *run, const GArray *losses, GError **error);
/* After the pull: folders that are gone at home, and of which all is elsewhere, are emptied here; not one
 * that has everything (role "all"). */
gboolean sync_empty_kept (SyncRun *run, GError **error);
/* What was in @folder, which is gone at home, and is elsewhere, goes here, too. Inside a transaction. */
gboolean sync_remove_kept (SyncRun *run, Folder *folder, FolderBinding *binding, GError **error);
/* Of @uids what is bound in @folder and still here is removed here, as the home did. Inside a transaction. */
gboolean sync_remove_uids (SyncRun *run, gint64 folder, const UidSet *uids, GError **error);
