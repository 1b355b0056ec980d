/* SPDX-License-Identifier: Apache-2.0 */
/* Which messages a deletion guard's hold is about, so that a decision can be previewed and undone. */
#include "sync-private.h"
#include <string.h>

static gboolean
find_guard (SyncRun *run, gint64 folder, const char *side, GPtrArray **holds_out, const Hold **hold_out, GError **error)
{
	*hold_out = NULL;
	*holds_out = store_holds (run->store, error);
	for (guint i = 0; *holds_out && i < (*holds_out)->len; i++) {
		const Hold *h = (*holds_out)->pdata[i];
		if (h->folder == folder && strcmp (h->side, side) == 0 && strcmp (h->kind, "deletion-guard") == 0)
			*hold_out = h;
	}
	return *holds_out != NULL;
}

static gboolean
is_carried_out (const Hold *h, GuardAnswer answer)
{
	return h && ((answer == GUARD_KEEP && h->decision == HOLD_KEEP) || (answer == GUARD_GO_ON && h->decision == HOLD_APPLY));
}

gboolean
sync_recall_decision (SyncRun *run, const Hold *h, const UidSet *uids, GError **error)
{
	gboolean shown;
	if (!h || h->decision == HOLD_WAITS)
		return TRUE;
	return store_was_shown (run->store, h, uids, &shown, error) && (shown || store_settle_hold (run->store, h->id, HOLD_WAITS, 0, error));
}

gboolean
sync_guard_noting (SyncRun *run, FolderRun *f, const char *side, guint n, guint of, gboolean whole, const UidSet *uids,
                   GuardAnswer *answer_out, GError **error)
{
	g_autoptr (GPtrArray) asked = NULL, before = NULL, after = NULL;
	const Hold *decided, *held;
	gint64 folder = f->binding->folder;
	if (!find_guard (run, folder, side, &asked, &held, error) || (n > 0 && !sync_recall_decision (run, held, uids, error)) ||
	    !find_guard (run, folder, side, &before, &decided, error) || !sync_guard (run, f, side, n, of, whole, answer_out, error))
		return FALSE;
	if (*answer_out != GUARD_HOLD)
		return n == 0 || !is_carried_out (decided, *answer_out) || store_note_decision (run->store, decided, uids, error);
	return find_guard (run, folder, side, &after, &held, error) && (!held || store_note_held (run->store, held, uids, error));
}
