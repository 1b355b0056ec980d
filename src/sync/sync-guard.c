/* SPDX-License-Identifier: Apache-2.0 */
/* The deletion guard: what would be removed on one side is weighed folder by folder and over the run, and an unusual removal waits for the
 * user's word. */
#include "sync-private.h"
#include <string.h>

#define KIND "deletion-guard"

static const Hold *
hold_of (const GPtrArray *holds, gint64 folder, const char *side)
{
	for (guint i = 0; i < holds->len; i++) {
		const Hold *h = holds->pdata[i];
		if (h->folder == folder && strcmp (h->side, side) == 0 && strcmp (h->kind, KIND) == 0)
			return h;
	}
	return NULL;
}

static gboolean
is_here (const char *side)
{
	return strcmp (side, "here") == 0;
}

/* The user's word, which reaches as far as what was shown. */
static HoldDecision
decision_for (const Hold *h, guint n)
{
	return h && n > 0 && n <= h->messages ? h->decision : HOLD_WAITS;
}

static gboolean
folder_holds (const SyncRun *run, const Hold *h, guint n, guint of)
{
	gboolean asked = h && h->decision == HOLD_WAITS && n > 0 && n >= h->messages;
	return asked || plan_guard_holds (n, of, run->options);
}

static guint64
messages_on (const SyncRun *run, const char *side)
{
	guint64 sum = 0;
	for (guint i = 0; run->folders && i < run->folders->len; i++) {
		const FolderRun *f = run->folders->pdata[i];
		sum += is_here (side) ? f->folder->total : f->binding->messages;
	}
	return sum;
}

/* Less those that the user was asked about already. */
static gboolean
take_approved (SyncRun *run, const FolderRun *f, const char *side, guint *n, GError **error)
{
	guint approved = 0;
	if (!is_here (side) && !store_count_approved (run->store, f->binding->folder, &approved, error))
		return FALSE;
	*n -= MIN (approved, *n);
	return TRUE;
}

gboolean
sync_guard_count (SyncRun *run, const FolderRun *f, const char *side, guint n, guint of, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	if (!holds || !take_approved (run, f, side, &n, error))
		return FALSE;
	gboolean here = is_here (side);
	const Hold *h = hold_of (holds, f->binding->folder, side);
	if (run->sums[here].messages == 0)
		run->sums[here].messages = messages_on (run, side);
	guint counted = here ? f->folder->total : f->binding->messages;
	run->sums[here].messages += MAX (of, counted) - counted; /* it came since, or is not there yet */
	if (decision_for (h, n) == HOLD_WAITS && !folder_holds (run, h, n, of))
		run->sums[here].removals += n;
	return TRUE;
}

static char *
describe (const SyncRun *run, const FolderRun *f, const char *side, guint n, guint of, gboolean whole, gboolean run_holds)
{
	const char *from = is_here (side) ? "from the offline store" : "from the online mailbox";
	if (whole)
		return g_strdup_printf ("folder '%s' with %u item(s) is gone %s and would be removed %s", f->folder->path, n,
		                        is_here (side) ? "at the server" : "here", from);
	g_autofree char *all = run_holds ? g_strdup_printf (", %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " in all folders together",
	                                                    run->sums[is_here (side)].removals, run->sums[is_here (side)].messages)
	                                 : g_strdup ("");
	return g_strdup_printf ("%u of %u item(s) of folder '%s' would be removed %s%s", n, of, f->folder->path, from, all);
}

gboolean
sync_guard (SyncRun *run, FolderRun *f, const char *side, guint n, guint of, gboolean whole, GuardAnswer *answer_out, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	if (!holds || !take_approved (run, f, side, &n, error))
		return FALSE;
	gboolean here = is_here (side);
	const Hold *h = hold_of (holds, f->binding->folder, side);
	HoldDecision decision = decision_for (h, n);
	gboolean run_holds = n > 0 && !whole &&
	                     plan_guard_holds (run->sums[here].removals, run->sums[here].messages, run->options);
	gboolean holds_back = run_holds || folder_holds (run, h, n, of) || (whole && here && n > 0);
	*answer_out = decision == HOLD_KEEP ? GUARD_KEEP : decision == HOLD_APPLY || !holds_back ? GUARD_GO_ON : GUARD_HOLD;
	if (*answer_out != GUARD_HOLD)
		return !h || store_release_hold (run->store, h->id, error);
	f->held = TRUE;
	f->guarded |= here;
	run->result->held++;
	g_autofree char *detail = describe (run, f, side, n, of, whole, run_holds);
	sync_log_detail (run, "held: %s; see 'outpost resolve'", detail);
	return store_hold (run->store, f->binding->folder, side, KIND, n, is_here (side) && whole ? 0 : (gint64) f->binding->messages, detail, error);
}

/* ---- Questions about removals that are no more ---- */

static gboolean
note_any (gpointer data, const PlacementBinding *b)
{
	*(gboolean *) data |= !b->settled;
	return TRUE;
}

static gboolean
is_moot (SyncRun *run, const Hold *h, const GPtrArray *bindings, gboolean *moot_out, GError **error)
{
	const FolderBinding *b = NULL;
	const FolderRun *f = NULL;
	for (guint i = 0; i < bindings->len; i++)
		if (((FolderBinding *) bindings->pdata[i])->folder == h->folder)
			b = bindings->pdata[i];
	for (guint i = 0; i < run->folders->len; i++)
		if (((FolderRun *) run->folders->pdata[i])->binding->folder == h->folder)
			f = run->folders->pdata[i];
	*moot_out = b == NULL;
	if (!b || !f || f->failed)
		return TRUE;
	if (is_here (h->side)) { /* what is held makes the folder incomplete, so it was asked about */
		*moot_out = !f->guarded;
		return TRUE;
	}
	gboolean any = FALSE;
	if (!store_gone_bindings (run->store, h->folder, note_any, &any, error))
		return FALSE;
	*moot_out = !any;
	return TRUE;
}

gboolean
sync_guard_release (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	g_autoptr (GArray) moot = g_array_new (FALSE, FALSE, sizeof (gint64));
	g_autoptr (GPtrArray) bindings = holds && holds->len ? store_folder_bindings (run->store, error) : NULL;
	if (!holds || (holds->len && !bindings))
		return FALSE;
	for (guint i = 0; i < holds->len; i++) {
		const Hold *h = holds->pdata[i];
		gboolean is = FALSE;
		if (strcmp (h->kind, KIND) == 0 && !is_moot (run, h, bindings, &is, error))
			return FALSE;
		if (is)
			g_array_append_val (moot, h->id);
	}
	if (moot->len == 0)
		return TRUE;
	gboolean ok = sync_begin (run, error);
	for (guint i = 0; ok && i < moot->len; i++)
		ok = store_release_hold (run->store, g_array_index (moot, gint64, i), error);
	ok = ok && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}
