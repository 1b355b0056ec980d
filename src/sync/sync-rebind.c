/* SPDX-License-Identifier: Apache-2.0 */
/* Re-binding: the home's folder is not, or not surely, the one that is bound. Evidence says which message is which (sync-match.h), cheapest
 * first: a few sampled positions, size and date, headers of what is still undecided; never a body. Then the bindings are written anew in
 * one transaction. What the home does not have is awaited: its base and what is pending for it stay, and it is bound when it arrives.
 *
 * Invariants:
 *   1. Nothing is written to the home, and nothing removed here, between the suspicion and the new bindings.
 *   2. A message here that the home does not have is never removed by re-binding: only the user's decision does that.
 *   3. Evidence that fits nothing (other mail under the same name) binds nothing. */
#include "sync-overlap.h"
#include <string.h>

#define UIDS_LEFT_OUT 65536
#define LOST_FLAGS_SETTING "flags-lost-%" G_GINT64_FORMAT /* of a folder that awaits messages: what those that came had lost */
#define POSITIONS "by-position" /* setting of a folder that was bound by samples */

/* ---- Suspicion ---- */

/* What this run pushed is what the home said it is; a home may count sizes otherwise, or not keep dates. */
static gboolean
learn (SyncRun *run, const KnownMessage *k, const RemoteEvidence *e)
{
	gboolean ok = sync_begin (run, NULL) && store_rebind (run->store, k->placement, e->uid, e->size, e->received, NULL) &&
	              sync_commit (run, NULL);
	store_rollback (run->store);
	return ok;
}

gboolean
sync_canaries_sing (SyncRun *run, FolderRun *f, const GArray *evidence)
{
	for (guint i = 0; evidence && i < evidence->len; i++) {
		const RemoteEvidence *e = &g_array_index (evidence, RemoteEvidence, i);
		KnownMessage k;
		gboolean found;
		if (!store_known_by_uid (run->store, f->binding->folder, e->uid, &k, &found, NULL) || !found)
			continue;
		gboolean same = evidence_agrees (&k, e) || (uid_set_contains (&f->fresh, e->uid) && learn (run, &k, e));
		g_free (k.message_id);
		g_free (k.keywords);
		if (!same)
			return FALSE;
	}
	return TRUE;
}

/* A home that numbers from elsewhere may have nothing at any number that is looked at, and, as it never removed any, no removal to tell. */
static gboolean
canaries_are_missing (SyncRun *run, const FolderRun *f, const FolderQuery *q)
{
	UidIter it = {0};
	guint32 uid;
	g_auto (UidSet) missing = UID_SET_INIT, there = UID_SET_INIT;
	if (!q->canaries || !q->canaries_told || q->has_all_uids || !f->binding->complete) /* else all UIDs are compared */
		return FALSE;
	uid_set_copy (&missing, q->canaries);
	uid_set_remove_set (&missing, &q->vanished);
	for (guint i = 0; q->canary_evidence && i < q->canary_evidence->len; i++)
		uid_set_add (&there, g_array_index (q->canary_evidence, RemoteEvidence, i).uid);
	uid_set_remove_set (&missing, &there);
	while (uid_set_next (&missing, &it, &uid)) {
		PlacementBinding b;
		gboolean found;
		if (store_binding_by_uid (run->store, f->binding->folder, uid, &b, &found, NULL) && found) {
			placement_binding_done (&b);
			return TRUE;
		}
	}
	return FALSE;
}

/* UIDs only rise (RFC 9051 section 2.3.1.1): where all was known, what is new is at UIDNEXT or above. What is new has changed (RFC 7162 section
 * 3.1.4). And with what is new and without what is gone it is as many as the home says. */
static gboolean
numbers_are_odd (const FolderRun *f, const FolderQuery *q, const UidSet *bound)
{
	const FolderBinding *b = f->binding;
	if (!bound || !b->complete || !b->uidnext)
		return FALSE;
	g_auto (UidSet) fresh = UID_SET_INIT, left = UID_SET_INIT, changed = UID_SET_INIT;
	for (guint i = 0; q->states && i < q->states->len; i++)
		uid_set_add (&changed, g_array_index (q->states, RemoteState, i).uid);
	uid_set_copy (&fresh, q->has_all_uids ? &q->all_uids : &changed);
	uid_set_remove_set (&fresh, bound);
	uid_set_remove_set (&fresh, &q->vanished);
	if (!uid_set_is_empty (&fresh) && fresh.ranges[0].lo < b->uidnext)
		return TRUE;
	uid_set_copy (&left, bound);
	uid_set_remove_set (&left, &q->vanished);
	guint64 count = uid_set_count (&left) + uid_set_count (&fresh) + q->removed_since;
	uid_set_remove_set (&fresh, &changed);
	if (!q->has_all_uids)
		return count != q->messages_now;
	return q->kind == QUERY_CHANGES && q->highestmodseq && !q->all_states && !uid_set_is_empty (&fresh) && fresh.ranges[0].lo < q->uidnext_now;
}

/* Who restores a server from a backup leaves out UIDs that may have been given since (outpostctl restore: 2^20), and what came since is gone like anything that was removed. */
static gboolean
numbers_jumped (const FolderBinding *b, const FolderQuery *q, const UidSet *bound)
{
	guint32 jump = b->uidnext && q->uidnext_now > b->uidnext ? q->uidnext_now - b->uidnext : 0;
	if (!bound || jump < UIDS_LEFT_OUT || q->messages_now > jump / 2)
		return FALSE;
	g_auto (UidSet) left = UID_SET_INIT;
	uid_set_copy (&left, bound);
	if (q->has_all_uids) {
		uid_set_remove_set (&left, &q->all_uids);
		return !uid_set_is_empty (&left);
	}
	uid_set_remove_set (&left, &q->vanished);
	return uid_set_count (&left) < uid_set_count (bound);
}

Suspicion
sync_suspicion (SyncRun *run, FolderRun *f, const FolderQuery *q, const UidSet *bound)
{
	const FolderBinding *b = f->binding;
	if (!b->uidvalidity)
		return SUSPICION_NONE;
	if (q->uidvalidity_now != b->uidvalidity)
		return SUSPICION_UIDVALIDITY;
	if (q->uidnext_now && q->uidnext_now < b->uidnext)
		return SUSPICION_UIDNEXT;
	if (q->highestmodseq_now && q->highestmodseq_now < b->highestmodseq)
		return SUSPICION_MODSEQ;
	if (numbers_jumped (b, q, bound))
		return SUSPICION_JUMP;
	const char *id = q->id_now ? q->id_now : f->remote ? f->remote->id : NULL;
	if (b->remote_id && id && strcmp (b->remote_id, id) != 0)
		return SUSPICION_ID;
	if (!sync_canaries_sing (run, f, q->canary_evidence))
		return SUSPICION_MESSAGES;
	if (canaries_are_missing (run, f, q) || numbers_are_odd (f, q, bound))
		return SUSPICION_NUMBERS;
	run->vouched |= q->canary_evidence && q->canary_evidence->len > 0;
	return SUSPICION_NONE;
}

/* ---- Binding anew ---- */

static const Pending *
pending_of (const GPtrArray *pendings, gint64 placement)
{
	for (guint i = 0; i < pendings->len; i++)
		if (((Pending *) pendings->pdata[i])->placement == placement)
			return pendings->pdata[i];
	return NULL;
}

/* Sent before the home changed, or restored here from an older copy: it is there. */
static gboolean
bind_sent (SyncRun *run, FolderRun *f, const Pending *p, const RemoteEvidence *e, GError **error)
{
	g_autofree char *keywords = NULL;
	PlacementBinding b = {.placement = p->placement, .folder = f->binding->folder, .remote_uid = e->uid};
	if (!sync_base_of_sent (run, p, e, &b.flags, &keywords, error))
		return FALSE;
	b.keywords = keywords;
	return store_bind_placement (run->store, &b, error) && store_rebind (run->store, p->placement, e->uid, e->size, e->received, error);
}

/* @pendings: of the folder. */
static gboolean
bind_one (SyncRun *run, FolderRun *f, const MatchHere *h, const RemoteEvidence *e, gboolean by_position, const GPtrArray *pendings, GError **error)
{
	const Pending *p = h->known.pending ? pending_of (pendings, h->known.placement) : NULL;
	if (p)
		return bind_sent (run, f, p, e, error);
	/* by position nothing is known of it that was not known before */
	return store_rebind (run->store, h->known.placement, e->uid, by_position ? h->known.size : e->size, by_position ? h->known.received : e->received, error);
}

/* What one part of the mail has lost, the parts that are still to arrive will have lost, too, be they as small as they may. */
static gboolean
remember_lost_flags (SyncRun *run, gint64 folder, LostFlags *lost, GError **error)
{
	g_autofree char *name = g_strdup_printf (LOST_FLAGS_SETTING, folder), *known = store_setting (run->store, name);
	if (known) {
		char *rest;
		lost->flags |= (guint) g_ascii_strtoull (known, &rest, 10);
		keywords_add (&lost->keywords, *rest && rest[1] ? rest + 1 : NULL);
	}
	g_autofree char *now = lost->flags || lost->keywords ? g_strdup_printf ("%u %s", lost->flags, lost->keywords ? lost->keywords : "") : NULL;
	return g_strcmp0 (known, now) == 0 || store_set_setting (run->store, name, now, error);
}

/* What it has lost in one folder it has lost in those with too few flags to tell, too. */
static void
learn_lost_flags (LostFlags *known, const LostFlags *lost)
{
	known->flags |= lost->flags;
	known->any |= lost->any;
	known->any_keywords |= lost->any_keywords;
	keywords_add (&known->keywords, lost->keywords);
}

/* In the base it never was, so that the push sets it again. */
static gboolean
forget_lost (SyncRun *run, gint64 placement, const LostFlags *lost, char *keywords_left, GError **error)
{
	PlacementBinding b;
	gboolean found;
	if (!store_binding_of (run->store, placement, &b, &found, error))
		return FALSE;
	PlacementBinding base = b;
	base.flags &= ~lost->flags;
	base.keywords = keywords_left;
	gboolean ok = !found || store_bind_placement (run->store, &base, error);
	placement_binding_done (&b);
	return ok;
}

static gboolean
forget_all_lost (SyncRun *run, FolderRun *f, const Gathered *g, const LostFlags *lost, GError **error)
{
	guint n = 0;
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		if (h->there < 0 || h->known.pending)
			continue;
		g_autofree char *left = keywords_less (h->known.keywords, lost->keywords);
		if (!(h->known.flags & lost->flags) && keywords_equal (left, h->known.keywords))
			continue;
		if (!forget_lost (run, h->known.placement, lost, left, error))
			return FALSE;
		n++;
	}
	/* older than what was pushed last, so that the search for changes must look at all */
	f->binding->pushed_modseq = 0;
	sync_log_detail (run, "flags of %u item(s) were lost on the way and are set again in online folder", n);
	return TRUE;
}

/* A flag that no message at home has any more was lost on the way. */
static gboolean
restore_lost_flags (SyncRun *run, FolderRun *f, Gathered *g, GError **error)
{
	LostFlags *lost = &g->lost;
	gboolean ok = remember_lost_flags (run, f->binding->folder, lost, error) &&
	              ((!lost->flags && !lost->keywords) || forget_all_lost (run, f, g, lost, error));
	learn_lost_flags (&run->lost, lost);
	return ok;
}

static gboolean
apply_evidence_flags (SyncRun *run, FolderRun *f, const Gathered *g, GError **error)
{
	for (guint i = 0; i < g->there->len; i++) {
		const RemoteEvidence *e = &g_array_index (g->there, RemoteEvidence, i);
		RemoteState state = {e->uid, e->flags, e->keywords, 0};
		const MatchHere *h = g->match->here_of_there[i] >= 0 ? &g_array_index (g->here, MatchHere, g->match->here_of_there[i]) : NULL;
		if (!h || (g->by_position && h->known.flags == e->flags && keywords_equal (h->known.keywords, e->keywords)))
			continue;
		if (!sync_apply_state (run, f, &state, error))
			return FALSE;
	}
	return TRUE;
}

static void
note_new_ones (FolderRun *f, const Gathered *g)
{
	uid_set_clear (&f->wanted);
	for (guint i = 0; i < g->there->len; i++)
		if (g->match->here_of_there[i] < 0)
			uid_set_add (&f->wanted, g_array_index (g->there, RemoteEvidence, i).uid);
}

static Hold *
find_hold (const GPtrArray *holds, gint64 folder, const char *kind)
{
	for (guint i = 0; i < holds->len; i++) {
		Hold *h = holds->pdata[i];
		if (h->folder == folder && strcmp (h->kind, kind) == 0)
			return h;
	}
	return NULL;
}

static gboolean
release (SyncRun *run, gint64 folder, const char *kind, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	Hold *h = holds ? find_hold (holds, folder, kind) : NULL;
	return holds && (!h || store_release_hold (run->store, h->id, error));
}

/* Inside a transaction. */
static gboolean
ask_about (SyncRun *run, FolderRun *f, guint n, const char *detail, GError **error)
{
	gint64 folder = f->binding->folder;
	g_autoptr (GPtrArray) before = store_holds (run->store, error);
	if (!before || !sync_recall_decision (run, find_hold (before, folder, "rebind"), NULL, error) ||
	    !store_hold (run->store, folder, "here", "rebind", n, f->binding->messages, detail, error))
		return FALSE;
	g_autoptr (GPtrArray) after = store_holds (run->store, error);
	const Hold *h = after ? find_hold (after, folder, "rebind") : NULL;
	return h && (h->decision != HOLD_WAITS || store_note_held (run->store, h, NULL, error));
}

/* The hold says how many messages still wait; none: it is gone. Inside a transaction. */
static gboolean
update_hold (SyncRun *run, FolderRun *f, GError **error)
{
	guint n;
	if (!store_count_awaited (run->store, f->binding->folder, &n, error))
		return FALSE;
	if (n == 0) {
		g_autofree char *name = g_strdup_printf (LOST_FLAGS_SETTING, f->binding->folder);
		run->result->held -= f->hold_told > 0; /* in this run, and the rest of it brought them */
		f->hold_told = 0;
		return store_set_setting (run->store, name, NULL, error) && release (run, f->binding->folder, "rebind", error);
	}
	g_autofree char *detail = g_strdup_printf ("%u item(s) of folder '%s' are here, but not at the server: they may still arrive, and nothing "
	                                           "was removed", n, f->folder->path);
	if (f->hold_told != n)
		sync_log_detail (run, "held: %s; see 'outpost resolve'", detail);
	run->result->held += !f->hold_told;
	f->hold_told = n;
	return ask_about (run, f, n, detail, error);
}

static void
log_match (SyncRun *run, const Gathered *g)
{
	if (g->match->matched)
		sync_log_detail (run, "%u item(s) re-linked%s", g->match->matched, g->by_position ? " by samples, which the next run proves" : "");
	if (g->match->weak)
		sync_log_detail (run, "%u of them by header only: they were altered on the way", g->match->weak);
}

/* ---- Other mail under the same name ---- */

static gboolean
set_other_mail (SyncRun *run, gint64 folder, const char *state, GError **error)
{
	g_autofree char *name = g_strdup_printf ("other-mail-%" G_GINT64_FORMAT, folder);
	return store_set_setting (run->store, name, state, error);
}

gboolean
sync_look_again (SyncRun *run, gint64 folder, GError **error)
{
	return set_other_mail (run, folder, NULL, error);
}

/* The home's state as listed, by which other mail is known again; NULL: not told. */
static char *
listed_state (const RemoteFolder *r)
{
	return r && r->has_status ? g_strdup_printf ("%u %u %u", r->uidvalidity, r->uidnext, r->messages) : NULL;
}

gboolean
sync_find_seen (SyncRun *run, gint64 folder, const RemoteFolder *r, GPtrArray *holds, const Hold **hold_out)
{
	Hold *h = find_hold (holds, folder, "identity");
	*hold_out = NULL;
	if (!h || h->decision != HOLD_WAITS)
		return FALSE;
	g_autofree char *name = g_strdup_printf ("other-mail-%" G_GINT64_FORMAT, folder), *seen = store_setting (run->store, name), *now = listed_state (r);
	if (seen && now && strcmp (seen, now) == 0)
		*hold_out = h;
	return *hold_out != NULL;
}

gboolean
sync_is_seen_other_mail (SyncRun *run, FolderRun *f)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, NULL);
	const Hold *h;
	if (!holds || !sync_find_seen (run, f->binding->folder, f->remote, holds, &h))
		return FALSE;
	f->held = f->failed = TRUE; /* sync_tell_rebinds counts it */
	return TRUE;
}

static char *
counted_setting (gint64 folder)
{
	return g_strdup_printf ("flags-counted-%" G_GINT64_FORMAT, folder);
}

gboolean
sync_note_counted (SyncRun *run, gint64 folder, gboolean counted, GError **error)
{
	g_autofree char *name = counted_setting (folder), *when = g_strdup_printf ("%" G_GINT64_FORMAT, run->started);
	return store_set_setting (run->store, name, counted ? when : NULL, error);
}

gboolean
sync_was_counted (SyncRun *run, gint64 folder)
{
	g_autofree char *name = counted_setting (folder), *when = store_setting (run->store, name);
	return when && g_ascii_strtoll (when, NULL, 10) != run->started;
}

/* What was found again has the number that it had. */
static gboolean
numbers_are_as_they_were (const Gathered *g)
{
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		if (h->there >= 0 && h->known.remote_uid && g_array_index (g->there, RemoteEvidence, h->there).uid != h->known.remote_uid)
			return FALSE;
	}
	return g->match->matched > 0;
}

/* Something has another number than it had, or the numbers begin anew: only then can the home have lost flags. */
static gboolean
has_moved (const FolderBinding *b, const Gathered *g)
{
	return b->uidvalidity != g->query.uidvalidity_now || !numbers_are_as_they_were (g);
}

static gboolean
note_positions (SyncRun *run, gint64 folder, gboolean by_position, GError **error)
{
	g_autofree char *name = g_strdup_printf (POSITIONS "-%" G_GINT64_FORMAT, folder);
	return store_set_setting (run->store, name, by_position ? "1" : NULL, error);
}

static gboolean
write_bindings (SyncRun *run, FolderRun *f, Gathered *g, GError **error)
{
	FolderBinding *b = f->binding;
	const FolderQuery *q = &g->query;
	gboolean moved = has_moved (b, g);
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, b->folder, error);
	if (!pendings || !store_await_all (run->store, b->folder, error) || !store_note_bound_anew (run->store, b->folder, error))
		return FALSE;
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		if (h->there >= 0 && !bind_one (run, f, h, &g_array_index (g->there, RemoteEvidence, h->there), g->by_position, pendings, error))
			return FALSE;
	}
	note_new_ones (f, g);
	b->uidvalidity = q->uidvalidity_now;
	b->uidnext = q->uidnext_now;
	b->messages = q->messages_now;
	const char *id = q->id_now ? q->id_now : f->remote ? f->remote->id : NULL;
	if (id) {
		g_free (b->remote_id);
		b->remote_id = g_strdup (id);
	}
	/* else the flags are still to be asked for */
	b->highestmodseq = g->flags_known ? q->highestmodseq_now : 0;
	b->complete = g->flags_known && uid_set_is_empty (&f->wanted);
	f->again = !g->flags_known;
	return (!g->flags_known || ((!moved || restore_lost_flags (run, f, g, error)) && apply_evidence_flags (run, f, g, error))) &&
	       note_positions (run, b->folder, g->by_position, error) &&
	       sync_note_counted (run, b->folder, g->flags_known && g->flags_counted, error) &&
	       store_bind_folder (run->store, b, error) && set_other_mail (run, b->folder, NULL, error) &&
	       release (run, b->folder, "identity", error) && update_hold (run, f, error) &&
	       sync_log_write (run, error);
}

static gboolean
hold_other_mail (SyncRun *run, FolderRun *f, const Gathered *g, GError **error)
{
	g_autofree char *detail = g_strdup_printf ("folder '%s' has %u item(s) at the server and %u here, and next to nothing in common: it may be another "
	                                           "folder; nothing was changed on either side", f->folder->path, g->there->len, f->folder->total);
	f->held = f->failed = f->hold_told = TRUE;
	run->result->held++;
	sync_log_detail (run, "held: %s; see 'outpost resolve'", detail);
	g_autofree char *state = listed_state (f->remote);
	gboolean ok = sync_begin (run, error) &&
	              store_hold (run->store, f->binding->folder, "here", "identity", f->folder->total, g->there->len, detail, error) &&
	              set_other_mail (run, f->binding->folder, state, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
tolerated (SyncRun *run, FolderRun *f, GError *e, GError **error)
{
	if (error_reach (e->code) == REACH_MAILBOX) {
		g_propagate_error (error, e);
		return FALSE;
	}
	f->failed = TRUE;
	run->result->failures++;
	sync_log_detail (run, "folder '%s' could not be compared: %s", f->folder->path, e->message);
	g_error_free (e);
	return TRUE;
}

/* Changes whose history the home has lost, or a number that we had lost: all UIDs and flags are compared, and what is not there any more is
 * removed as ever. */
static gboolean
compare_all (SyncRun *run, FolderRun *f, GError **error)
{
	sync_log_detail (run, "the UIDs stand for what they stood for: all of them are compared");
	f->binding->complete = FALSE;
	f->binding->highestmodseq = 0;
	f->again = f->rebound = run->doubted = TRUE;
	gboolean ok = sync_begin (run, error) && store_doubt_folders (run->store, f->binding->folder, error) &&
	              store_bind_folder (run->store, f->binding, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

/* Next to nothing that is known of the folder was found in it. Of a few messages that proves nothing, unless the mailbox itself may be another one. */
static gboolean
may_be_other_mail (SyncRun *run, const Gathered *g, gboolean *other_out, GError **error)
{
	Common c;
	gathered_count_common (g, &c);
	*other_out = gathered_is_other_mail (g, run->vouched);
	if (*other_out || !common_is_too_little (&c))
		return TRUE;
	*other_out = sync_vouch (run, error) && !run->vouched;
	return run->vouched || *other_out;
}

static gboolean
is_doubt (Suspicion why)
{
	return why != SUSPICION_UIDVALIDITY && why != SUSPICION_ID;
}

gboolean
sync_is_emptied (SyncRun *run, const FolderBinding *b, const Gathered *g, gboolean *emptied_out, GError **error)
{
	g_autoptr (GPtrArray) bindings = g_ptr_array_new ();
	guint known = 0;
	guint64 there;
	Common c;
	g_ptr_array_add (bindings, (FolderBinding *) b);
	gathered_count_common (g, &c);
	gboolean ok = sync_find_elsewhere (run, bindings, &known, &there, error);
	*emptied_out = ok && known >= MIN (c.here, DIFFERENT_FROM) && 2 * (guint64) known >= c.here;
	return ok;
}

/* What evidence found, taken for this folder's: it is bound anew. */
static gboolean
bind_anew (SyncRun *run, FolderRun *f, Gathered *g, Suspicion why, GError **error)
{
	GError *e = NULL;
	run->vouched |= g->match->matched > 0;
	if (!gathered_flags (run, f->binding->remote_name, g, &e))
		return tolerated (run, f, e, error);
	if (g->flags_known && has_moved (f->binding, g) && !gathered_lost (run, f->binding->remote_name, g, error))
		return FALSE;
	log_match (run, g);
	run->result->relinked += g->match->matched;
	gboolean doubt = is_doubt (why), older = why == SUSPICION_UIDNEXT || why == SUSPICION_MODSEQ || why == SUSPICION_JUMP;
	guint64 updated = f->updated_here;
	gboolean ok = sync_begin (run, error) && (!doubt || store_doubt_folders (run->store, f->binding->folder, error)) &&
	              write_bindings (run, f, g, error) && sync_commit (run, error);
	store_rollback (run->store);
	f->rebound = ok;
	run->doubted |= doubt;
	if (ok && older && f->updated_here > updated)
		sync_log_detail (run, "the server is in an older state: flags of %" G_GUINT64_FORMAT " item(s) are those of then", f->updated_here - updated);
	return ok;
}

typedef struct {
	FolderRun *f;
	Gathered *g;
	Suspicion why;
} Stranger;

static void
stranger_free (gpointer data)
{
	Stranger *s = data;
	gathered_free (s->g);
	g_free (s);
}

static void
add_stranger (SyncRun *run, FolderRun *f, Gathered *g, Suspicion why)
{
	Stranger s = {f, g, why};
	if (!run->strangers)
		run->strangers = g_ptr_array_new_with_free_func (stranger_free);
	run->doubted |= is_doubt (why);
	g_ptr_array_add (run->strangers, g_memdup2 (&s, sizeof s));
}

/* A run of some folders can't tell what was lost from what is in one of the others now, nor what came from there from what is new. */
static gboolean
is_beyond_run (const SyncRun *run, const Gathered *g)
{
	Common c;
	gathered_count_common (g, &c);
	return run->options->folders && c.strong + c.weak < c.here;
}

static void
leave_alone (SyncRun *run, FolderRun *f, Suspicion why)
{
	f->held = f->failed = f->hold_told = TRUE;
	run->doubted |= is_doubt (why);
	sync_left_to_others (run, f, "it is another one now, and what is missing may be in folders that this run does not look into");
}

gboolean
sync_rebind (SyncRun *run, FolderRun *f, Suspicion why, GError **error)
{
	static const char *const reasons[] = {"", "the server's UIDVALIDITY changed", "the server's UIDNEXT went back",
	                                      "the server's HIGHESTMODSEQ went back",
	                                      "the server's UIDNEXT jumped ahead, as after a restore", "the server's MAILBOXID changed",
	                                      "known UIDs stand for other messages now", "the server's UIDs can't be what they were"};
	GError *e = NULL;
	sync_log (run, "Re-binding to folder '%s': %s", f->folder->path, reasons[why]);
	g_autoptr (Gathered) g = sync_gathered (run, f->binding->folder, f->binding->remote_name, why < SUSPICION_MESSAGES, &e);
	if (!g)
		return tolerated (run, f, e, error);
	if (why == SUSPICION_NUMBERS && numbers_are_as_they_were (g))
		return compare_all (run, f, error);
	if (is_beyond_run (run, g)) {
		leave_alone (run, f, why);
		return TRUE;
	}
	gboolean other;
	if (!may_be_other_mail (run, g, &other, error))
		return FALSE;
	if (!other)
		return bind_anew (run, f, g, why, error);
	add_stranger (run, f, g_steal_pointer (&g), why);
	return TRUE;
}

/* ---- Folders that exchanged their names ---- */

gboolean
sync_may_be_renamed (SyncRun *run, const Folder *folder, const FolderBinding *b)
{
	g_autoptr (GPtrArray) folders = store_folders (run->store, NULL);
	gboolean plain = folders && !folder->role && g_ascii_strcasecmp (b->remote_name, "INBOX") != 0 && !plan_renamed_here (b, folder);
	for (guint i = 0; plain && i < folders->len; i++)
		plain = ((Folder *) folders->pdata[i])->parent != folder->id;
	return plain;
}

static gboolean
find_exchanged (SyncRun *run, const GPtrArray *strangers, gint *to, GError **error)
{
	g_autoptr (GPtrArray) bindings = g_ptr_array_new (), gathered = g_ptr_array_new ();
	gboolean plain = TRUE;
	for (guint i = 0; i < strangers->len; i++) {
		Stranger *s = strangers->pdata[i];
		g_ptr_array_add (bindings, s->f->binding);
		g_ptr_array_add (gathered, s->g);
	}
	if (!sync_find_exchanged (run, bindings, gathered, to, error))
		return FALSE;
	for (guint i = 0; i < strangers->len; i++) {
		const FolderRun *f = ((Stranger *) strangers->pdata[i])->f;
		plain &= to[i] < 0 || sync_may_be_renamed (run, f->folder, f->binding);
	}
	for (guint i = 0; i < strangers->len && !plain; i++)
		to[i] = -1;
	return TRUE;
}

/* A name that no folder has, for as long as the names go round. */
static gboolean
step_out (SyncRun *run, const FolderRun *f, GError **error)
{
	g_autofree char *name = NULL;
	for (guint n = 1; !name || store_folder_child (run->store, f->folder->parent, name); n++) {
		g_free (name);
		name = g_strdup_printf ("%s (%u)", f->folder->name, n);
	}
	return store_folder_rename (run->store, f->folder->id, f->folder->parent, name, error);
}

/* @f, which stepped out, takes @place's name on both sides; what it knows of its mail stays. */
static gboolean
take_place (SyncRun *run, const FolderRun *f, const FolderBinding *place, GError **error)
{
	FolderBinding b = *f->binding;
	b.remote_name = place->remote_name;
	b.remote_id = place->remote_id;
	b.delimiter = place->delimiter;
	b.base_parent = place->base_parent;
	b.base_name = place->base_name;
	sync_log_detail (run, "folder '%s' is '%s' at home now: its items are there", f->folder->path, place->remote_name);
	run->result->folders_changed_here++;
	return store_folder_rename (run->store, f->folder->id, place->base_parent, place->base_name, error) && store_bind_folder (run->store, &b, error);
}

static gboolean
reload (SyncRun *run, FolderRun *f, GError **error)
{
	Folder *folder = store_folder (run->store, f->folder->id, error);
	FolderBinding *binding = folder ? store_folder_binding (run->store, f->folder->id, error) : NULL;
	if (!binding) {
		folder_free (folder);
		return FALSE;
	}
	folder_free (f->folder);
	folder_binding_free (f->binding);
	f->folder = folder;
	f->binding = binding;
	f->remote = sync_listed (run, binding->remote_name);
	return TRUE;
}

static gboolean
exchange_names (SyncRun *run, const GPtrArray *strangers, const gint *to, GError **error)
{
	gboolean any = FALSE;
	for (guint i = 0; i < strangers->len; i++)
		any |= to[i] >= 0;
	if (!any)
		return TRUE;
	gboolean ok = sync_begin (run, error);
	for (guint i = 0; ok && i < strangers->len; i++)
		ok = to[i] < 0 || step_out (run, ((Stranger *) strangers->pdata[i])->f, error);
	for (guint i = 0; ok && i < strangers->len; i++)
		ok = to[i] < 0 || take_place (run, ((Stranger *) strangers->pdata[i])->f, ((Stranger *) strangers->pdata[to[i]])->f->binding, error);
	ok = ok && sync_log_write (run, error) && sync_commit (run, error);
	store_rollback (run->store);
	for (guint i = 0; ok && i < strangers->len; i++)
		ok = to[i] < 0 || reload (run, ((Stranger *) strangers->pdata[i])->f, error);
	return ok;
}

/* Not exchanged: emptied by somebody, or held. */
static gboolean
settle_stranger (SyncRun *run, Stranger *s, GError **error)
{
	gboolean emptied;
	if (!sync_is_emptied (run, s->f->binding, s->g, &emptied, error))
		return FALSE;
	run->vouched |= emptied;
	return emptied ? bind_anew (run, s->f, s->g, s->why, error) : hold_other_mail (run, s->f, s->g, error);
}

gboolean
sync_settle_strangers (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) strangers = g_steal_pointer (&run->strangers);
	if (!strangers)
		return TRUE;
	g_autofree gint *to = g_new (gint, strangers->len);
	if (!find_exchanged (run, strangers, to, error) || !exchange_names (run, strangers, to, error))
		return FALSE;
	for (guint i = 0; i < strangers->len; i++) {
		Stranger *s = strangers->pdata[i];
		if (!(to[i] < 0 ? settle_stranger (run, s, error) : sync_rebind (run, s->f, s->why, error)))
			return FALSE;
	}
	g_autoptr (GPtrArray) again = g_steal_pointer (&run->strangers); /* what is there changed meanwhile */
	for (guint i = 0; again && i < again->len; i++)
		if (!settle_stranger (run, again->pdata[i], error))
			return FALSE;
	return TRUE;
}

/* ---- Messages that arrive later ---- */

static gboolean
bind_arrivals (SyncRun *run, FolderRun *f, Gathered *g, GError **error)
{
	g_auto (UidSet) bound = UID_SET_INIT;
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, f->binding->folder, error);
	if (!pendings)
		return FALSE;
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		if (h->there < 0)
			continue;
		const RemoteEvidence *e = &g_array_index (g->there, RemoteEvidence, h->there);
		if (!bind_one (run, f, h, e, FALSE, pendings, error))
			return FALSE;
		uid_set_add (&bound, e->uid);
	}
	uid_set_remove_set (&f->wanted, &bound);
	if (g->match->matched) {
		sync_log (run, "Re-binding to folder '%s': awaited items arrived", f->folder->path);
		log_match (run, g);
		run->result->relinked += g->match->matched;
	}
	f->awaiting = TRUE;
	f->arrived |= g->match->matched > 0;
	return restore_lost_flags (run, f, g, error) && store_bind_folder (run->store, f->binding, error) && apply_evidence_flags (run, f, g, error);
}

static gboolean
take_unbound (gpointer data, const KnownMessage *k)
{
	/* what never was there, and has nothing that names it, is not found by how it looks */
	gboolean nameless = k->pending && !(k->message_id && *k->message_id);
	return k->remote_uid || nameless ? TRUE : gathered_take_known (data, k);
}

gboolean
sync_match_awaited (SyncRun *run, FolderRun *f, GError **error)
{
	g_autoptr (Gathered) g = g_new0 (Gathered, 1);
	GError *e = NULL;
	g->here = match_here_new ();
	g->query.uidvalidity_now = f->binding->uidvalidity;
	if (!store_each_known (run->store, f->binding->folder, take_unbound, g->here, error))
		return FALSE;
	if (g->here->len == 0)
		return TRUE;
	/* what is only pending is seldom among the new ones: not worth the headers of them all */
	gboolean awaited = g_array_index (g->here, MatchHere, 0).known.awaited;
	if (!gathered_match (run, f->binding->folder, f->binding->remote_name, g, &f->wanted, awaited, &e))
		return tolerated (run, f, e, error);
	g->query.highestmodseq_now = f->remote ? f->remote->highestmodseq : 0;
	if (!gathered_lost (run, f->binding->remote_name, g, error))
		return FALSE;
	gboolean ok = sync_begin (run, error) && bind_arrivals (run, f, g, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

gboolean
sync_told_awaited (SyncRun *run, FolderRun *f, GError **error)
{
	gboolean ok = sync_begin (run, error) && update_hold (run, f, error) && sync_commit (run, error);
	store_rollback (run->store);
	f->awaiting = FALSE;
	return ok;
}

/* ---- Before anything is written ---- */

/* Those of @uids whose size and date another message has, or that are to be removed for good (@removed), and the others. */
static gboolean
part_twins (SyncRun *run, const FolderRun *f, const UidSet *uids, const UidSet *removed, UidSet *plain_out, UidSet *twins_out, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (uids, &it, &uid)) {
		gboolean twin = removed && uid_set_contains (removed, uid);
		if (!twin && !store_has_twin (run->store, f->binding->folder, uid, &twin, error))
			return FALSE;
		uid_set_add (twin ? twins_out : plain_out, uid);
	}
	return TRUE;
}

static gboolean
look_at (SyncRun *run, FolderRun *f, const UidSet *uids, EvidenceLevel level, gboolean *same_out, GError **error)
{
	g_autoptr (GArray) evidence = NULL;
	GError *e = NULL;
	if (uid_set_is_empty (uids) || f->failed)
		return TRUE;
	if (!run->home->class->evidence (run->home, f->binding->remote_name, f->binding->uidvalidity, uids, 0, level, &evidence, &e)) {
		*same_out = !error_is (e, ERROR_CONFLICT); /* another UIDVALIDITY since the listing */
		if (*same_out)
			return tolerated (run, f, e, error);
		g_error_free (e);
		return TRUE;
	}
	*same_out = sync_canaries_sing (run, f, evidence);
	return TRUE;
}

gboolean
sync_verify_targets (SyncRun *run, FolderRun *f, const UidSet *uids, const UidSet *removed, gboolean *same_out, GError **error)
{
	g_auto (UidSet) plain = UID_SET_INIT, twins = UID_SET_INIT;
	*same_out = TRUE;
	if (!part_twins (run, f, uids, removed, &plain, &twins, error))
		return FALSE;
	return look_at (run, f, &plain, EVIDENCE_SIZE, same_out, error) && (!*same_out || look_at (run, f, &twins, EVIDENCE_HEADER, same_out, error));
}

/* ---- What was bound by samples ---- */

gboolean
sync_prove_positions (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) again = g_ptr_array_new ();
	g_autoptr (GHashTable) by_position = store_folder_settings (run->store, POSITIONS, error);
	if (!by_position)
		return FALSE;
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		g_auto (UidSet) bound = UID_SET_INIT;
		gboolean same;
		if (!g_hash_table_contains (by_position, &f->binding->folder) || f->failed || f->held || f->rebound)
			continue;
		if (!store_bound_uids (run->store, f->binding->folder, &bound, error) || !sync_verify_targets (run, f, &bound, NULL, &same, error))
			return FALSE;
		if (f->failed)
			continue;
		gboolean ok = same ? sync_begin (run, error) && note_positions (run, f->binding->folder, FALSE, error) && sync_commit (run, error)
		                   : sync_rebind (run, f, SUSPICION_MESSAGES, error) && sync_settle_strangers (run, error);
		store_rollback (run->store);
		if (!ok)
			return FALSE;
		if (!same && !f->failed)
			g_ptr_array_add (again, f);
	}
	return sync_pull (run, again, error);
}

/* ---- What the user decided ---- */

typedef struct {
	GArray *gone, *here; /* gint64 placements */
} Awaited;

static gboolean
take_awaited (gpointer data, const KnownMessage *k)
{
	Awaited *a = data;
	if (k->awaited)
		g_array_append_val (k->gone ? a->gone : a->here, k->placement);
	return TRUE;
}

static gboolean
take_origin (gpointer data, const PlacementBinding *b)
{
	PlacementBinding origin = *b;
	origin.keywords = NULL;
	g_array_append_val ((GArray *) data, origin);
	return TRUE;
}

/* What the home still has where @placement was moved from, and not where it went, is new there again: it is the only one. */
static gboolean
bring_origins_back (SyncRun *run, gint64 placement, GError **error)
{
	g_autoptr (GArray) origins = g_array_new (FALSE, FALSE, sizeof (PlacementBinding));
	if (!store_each_origin (run->store, placement, take_origin, origins, error))
		return FALSE;
	for (guint i = 0; i < origins->len; i++) {
		const PlacementBinding *b = &g_array_index (origins, PlacementBinding, i);
		FolderRun *from = sync_folder_run (run, b->folder);
		if (!store_unbind_placement (run->store, b->placement, error))
			return FALSE;
		if (!from)
			continue;
		from->pushed = TRUE; /* for the second look */
		from->binding->complete = FALSE;
		from->binding->highestmodseq = 0;
		if (!store_bind_folder (run->store, from->binding, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
settle_awaited (SyncRun *run, FolderRun *f, gboolean keep, GError **error)
{
	g_autoptr (GArray) gone = g_array_new (FALSE, FALSE, sizeof (gint64)), here = g_array_new (FALSE, FALSE, sizeof (gint64));
	Awaited a = {gone, here};
	if (!store_each_known (run->store, f->binding->folder, take_awaited, &a, error))
		return FALSE;
	for (guint i = 0; i < gone->len; i++)
		if (!store_unbind_placement (run->store, g_array_index (gone, gint64, i), error))
			return FALSE;
	for (guint i = 0; i < here->len; i++) {
		gint64 id = g_array_index (here, gint64, i);
		if (keep ? !store_unbind_placement (run->store, id, error) || !store_make_pending (run->store, id, error)
		         : !bring_origins_back (run, id, error) || !store_remove (run->store, id, "home", error))
			return FALSE;
	}
	sync_log_detail (run, "%u item(s) of folder '%s' that the server does not have are %s, as decided", here->len, f->folder->path,
	                 keep ? "sent to it again" : "removed here");
	if (!keep)
		f->removed_here += here->len;
	return TRUE;
}

/* Other mail under the same name: what is here is awaited, and then settled like it. */
static gboolean
settle (SyncRun *run, FolderRun *f, const Hold *h, GError **error)
{
	gboolean identity = strcmp (h->kind, "identity") == 0;
	if (identity) {
		f->binding->uidvalidity = f->binding->uidnext = f->binding->messages = 0;
		f->binding->highestmodseq = 0;
		f->binding->complete = FALSE;
		if (!set_other_mail (run, f->binding->folder, NULL, error) || !store_await_all (run->store, f->binding->folder, error) ||
		    !store_bind_folder (run->store, f->binding, error))
			return FALSE;
	}
	return store_note_decision (run->store, h, NULL, error) && settle_awaited (run, f, h->decision == HOLD_KEEP, error);
}

static gboolean
is_rebinding (const Hold *h)
{
	return strcmp (h->kind, "identity") == 0 || strcmp (h->kind, "rebind") == 0;
}

static gboolean
settle_folder (SyncRun *run, FolderRun *f, const Hold *h, GError **error)
{
	if (h->decision == HOLD_WAITS || f->failed)
		return TRUE;
	gboolean ok = sync_begin (run, error) && settle (run, f, h, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
tell_folder (SyncRun *run, FolderRun *f, const Hold *h, GError **error)
{
	guint n = h->messages;
	if (f->hold_told)
		return TRUE;
	if (strcmp (h->kind, "rebind") == 0 && !store_count_awaited (run->store, f->binding->folder, &n, error))
		return FALSE;
	if (n != h->messages)
		return sync_told_awaited (run, f, error); /* some were removed here, or a decision undone */
	f->hold_told = MAX (n, 1u);
	run->result->held++;
	sync_log_detail (run, "still held: %s; see 'outpost resolve'", h->detail);
	return TRUE;
}

static gboolean
each_rebinding (SyncRun *run, gboolean (*step) (SyncRun *, FolderRun *, const Hold *, GError **), GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	if (!holds)
		return FALSE;
	for (guint i = 0; i < holds->len; i++) {
		Hold *h = holds->pdata[i];
		for (guint j = 0; is_rebinding (h) && j < run->folders->len; j++) {
			FolderRun *f = run->folders->pdata[j];
			if (f->folder->id == h->folder && !step (run, f, h, error))
				return FALSE;
		}
	}
	return TRUE;
}

static gboolean
settle_identity (SyncRun *run, FolderRun *f, const Hold *h, GError **error)
{
	return strcmp (h->kind, "identity") != 0 || settle_folder (run, f, h, error);
}

gboolean
sync_settle_identities (SyncRun *run, GError **error)
{
	return each_rebinding (run, settle_identity, error);
}

gboolean
sync_settle_rebinds (SyncRun *run, GError **error)
{
	return each_rebinding (run, settle_folder, error);
}

/* Of all folders that had mail at home, one is not what it was, and none is. */
gboolean
sync_is_strange (SyncRun *run)
{
	gboolean strange = FALSE;
	for (guint i = 0; i < run->folders->len; i++) {
		const FolderRun *f = run->folders->pdata[i];
		gboolean any = FALSE;
		strange |= f->held && f->failed; /* the guard's holds don't fail a folder */
		if (!f->failed && f->binding->uidvalidity && store_has_bound (run->store, f->binding->folder, &any, NULL) && any)
			return FALSE;
	}
	return strange;
}

gboolean
sync_tell_rebinds (SyncRun *run, GError **error)
{
	return each_rebinding (run, tell_folder, error);
}
