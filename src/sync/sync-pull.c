/* SPDX-License-Identifier: Apache-2.0 */
/* Home's changes come here: one query for all folders that need it, flags and removals applied folder by folder (each one
 * transaction with the new state token), then bodies, newest first, through the writer. `complete` in the binding says whether every
 * message up to uidnext is here; while it is 0 the next run compares whole UID sets, so nothing can be missed by a stop in between. */
#include "sync-moved.h"
#include "sync-gather.h"
#include "sync-kept.h"
#include <string.h>

#define RENUMBERED_FROM 3 /* less may have been taken out and put back */

typedef struct {
	FolderRun *f;
	FolderQuery *uids, *changes; /* either may be NULL */
	UidSet canaries;

	/* of the answers */
	Suspicion why;
	UidSet bound, removed; /* here, and what of it is no longer at home */
	UidSet gone;           /* of the removed: those that are removed here, too */
	UidSet moved;          /* of the removed: those that are in another folder now */
	UidSet followed;       /* those, too, but they were moved on here: from where they are now */
	UidSet kept;           /* of the removed: those that another folder has anyway */
	GArray *arrivals;      /* Arrival: what came from other folders; NULL none */
} Question;

static void
question_done (gpointer data)
{
	Question *q = data;
	uid_set_clear (&q->canaries);
	uid_set_clear (&q->bound);
	uid_set_clear (&q->removed);
	uid_set_clear (&q->gone);
	uid_set_clear (&q->moved);
	uid_set_clear (&q->followed);
	uid_set_clear (&q->kept);
	g_clear_pointer (&q->arrivals, g_array_unref);
}

static FolderQuery *
add_query (GArray *queries, FolderRun *f, QueryKind kind)
{
	FolderQuery q = {.name = f->binding->remote_name, .kind = kind, .uidvalidity = f->binding->uidvalidity,
	                 .highestmodseq = f->binding->highestmodseq};
	g_array_append_val (queries, q);
	return &g_array_index (queries, FolderQuery, queries->len - 1);
}

/* Which questions a folder needs; the arrays have room for all, so pointers into them stay. */
static gboolean
ask (SyncRun *run, FolderRun *f, GArray *queries, GArray *questions, GError **error)
{
	Question q = {.f = f};
	gboolean modseq = run->home->class->abilities (run->home) & ENDPOINT_MODSEQ;
	gboolean known = FALSE;
	if (f->binding->uidvalidity && !store_has_bound (run->store, f->binding->folder, &known, error))
		return FALSE;
	if (!known)
		q.uids = add_query (queries, f, QUERY_UIDS);
	else {
		if (!f->binding->complete && modseq && f->binding->highestmodseq)
			q.uids = add_query (queries, f, QUERY_UIDS);
		q.changes = add_query (queries, f, QUERY_CHANGES);
		if (sync_was_counted (run, f->binding->folder))
			q.changes->highestmodseq = 0; /* every message's flags */
	}
	g_array_append_val (questions, q);
	if (!known)
		return TRUE;
	Question *kept = &g_array_index (questions, Question, questions->len - 1);
	uid_set_copy (&kept->canaries, &f->fresh);
	if (!store_canaries (run->store, f->binding->folder, &kept->canaries, error))
		return FALSE;
	kept->changes->canaries = &kept->canaries;
	return TRUE;
}

/* ---- Applying an answer ---- */

/* The placement here that a change at home is for: a message that was moved here takes the change along, since the push of the move
 * makes the home's flags its base. *placement_out 0: it was removed here. */
static gboolean
placement_for (SyncRun *run, const PlacementBinding *b, gint64 *placement_out, GError **error)
{
	*placement_out = b->placement;
	return !b->gone || store_moved_placement (run->store, b->placement, placement_out, error);
}

static gboolean
apply_flags (SyncRun *run, FolderRun *f, const PlacementBinding *b, const RemoteState *state, GError **error)
{
	gint64 id;
	if (!placement_for (run, b, &id, error))
		return FALSE;
	if (id == 0)
		return TRUE;
	g_autoptr (Placement) p = store_placement (run->store, id, error);
	if (!p)
		return FALSE;
	guint flags = plan_merge_flags (b->flags, p->flags, state->flags);
	g_autofree char *keywords = keywords_merge (b->keywords, p->keywords, state->keywords);
	if (flags == p->flags && keywords_equal (keywords, p->keywords))
		return TRUE;
	f->updated_here++;
	return store_set_flags (run->store, p->id, flags, keywords, error);
}

/* A keyword that the home does not keep was removed by nobody: as far as the base goes it never was there, and it stays here. */
static gboolean
forget_unkept (SyncRun *run, FolderRun *f, PlacementBinding *b, const RemoteState *state)
{
	g_autofree char *missing = f->few_keywords ? keywords_less (b->keywords, state->keywords) : NULL;
	g_autofree char *unkept = missing ? keywords_less (missing, f->keywords_kept) : NULL;
	if (!unkept || !*unkept)
		return FALSE;
	char *left = keywords_less (b->keywords, unkept);
	g_free (b->keywords);
	b->keywords = left;
	if (!f->unkept_told)
		sync_log_detail (run, "the server keeps no keyword '%s' in folder '%s': it stays on this machine alone", unkept, f->folder->path);
	f->unkept_told = TRUE;
	return TRUE;
}

static void
note_kept (FolderRun *f, const FolderQuery *q)
{
	g_free (f->keywords_kept);
	f->few_keywords = q->few_keywords;
	f->keywords_kept = g_strdup (q->keywords_kept);
}

gboolean
sync_apply_state (SyncRun *run, FolderRun *f, const RemoteState *state, GError **error)
{
	PlacementBinding b;
	gboolean found;
	if (!store_binding_by_uid (run->store, f->binding->folder, state->uid, &b, &found, error))
		return FALSE;
	if (!found)
		return TRUE;
	gboolean ok = TRUE, forgotten = forget_unkept (run, f, &b, state);
	if (b.flags != state->flags || !keywords_equal (b.keywords, state->keywords))
		ok = apply_flags (run, f, &b, state, error);
	else if (b.modseq == state->modseq && !forgotten) {
		placement_binding_done (&b);
		return TRUE;
	}
	if (ok) {
		PlacementBinding base = b;
		base.flags = state->flags;
		base.keywords = state->keywords;
		base.modseq = state->modseq;
		ok = store_bind_placement (run->store, &base, error);
	}
	placement_binding_done (&b);
	return ok;
}

/* @moved: what was moved here meanwhile, too, stays bound for who places it. */
static gboolean
remove_bound (SyncRun *run, FolderRun *f, const UidSet *uids, gboolean moved, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (uids, &it, &uid)) {
		PlacementBinding b;
		gboolean found;
		if (!store_binding_by_uid (run->store, f->binding->folder, uid, &b, &found, error))
			return FALSE;
		if (!found)
			continue;
		placement_binding_done (&b);
		if (b.gone) {
			if (!moved && !store_unbind_placement (run->store, b.placement, error))
				return FALSE;
			continue;
		}
		if (!store_remove (run->store, b.placement, "home", error))
			return FALSE;
		f->removed_here++;
	}
	return TRUE;
}

static gboolean
remove_lost (SyncRun *run, FolderRun *f, const UidSet *uids, GError **error)
{
	return remove_bound (run, f, uids, FALSE, error);
}

/* What the home removed and the user wants kept: the push sends it again. */
static gboolean
keep_bound (SyncRun *run, FolderRun *f, const UidSet *uids, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (uids, &it, &uid)) {
		PlacementBinding b;
		gboolean found;
		if (!store_binding_by_uid (run->store, f->binding->folder, uid, &b, &found, error))
			return FALSE;
		if (!found)
			continue;
		placement_binding_done (&b);
		if (!store_unbind_placement (run->store, b.placement, error) || (!b.gone && !store_make_pending (run->store, b.placement, error)))
			return FALSE;
	}
	sync_log_detail (run, "%" G_GUINT64_FORMAT " item(s) that the server removed from '%s' are kept, as decided", uid_set_count (uids),
	                 f->folder->path);
	return TRUE;
}

/* What is bound but no longer at home. */
static gboolean
find_removed (SyncRun *run, Question *q, GError **error)
{
	const FolderQuery *whole = q->uids && q->uids->has_all_uids ? q->uids : q->changes && q->changes->has_all_uids ? q->changes : NULL;
	if (whole) {
		uid_set_copy (&q->removed, &q->bound);
		uid_set_remove_set (&q->removed, &whole->all_uids);
		return TRUE;
	}
	if (!q->changes)
		return TRUE;
	/* removed = bound ∩ vanished */
	g_auto (UidSet) rest = UID_SET_INIT;
	uid_set_copy (&rest, &q->bound);
	uid_set_remove_set (&rest, &q->changes->vanished);
	uid_set_copy (&q->removed, &q->bound);
	uid_set_remove_set (&q->removed, &rest);
	return TRUE;
}

static gboolean
note_gone (gpointer data, const PlacementBinding *b)
{
	Question *q = data;
	if (uid_set_contains (&q->removed, b->remote_uid))
		uid_set_add (&q->gone, b->remote_uid);
	return TRUE;
}

/* The home heard of what was removed here, though a run that was stopped could not note that. */
static gboolean
find_gone (SyncRun *run, Question *q, GError **error)
{
	return uid_set_is_empty (&q->removed) || store_gone_bindings (run->store, q->f->binding->folder, note_gone, q, error);
}

/* What moved is not lost, nor is what both sides removed, or what another folder has: the guard is about the rest. */
static void
find_lost (const Question *q, UidSet *lost, UidSet *of)
{
	const UidSet *const others[] = {&q->moved, &q->followed, &q->gone, &q->kept};
	uid_set_copy (lost, &q->removed);
	uid_set_copy (of, &q->bound);
	for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
		uid_set_remove_set (lost, others[i]);
		uid_set_remove_set (of, others[i]);
	}
}

static gboolean
apply_removals (SyncRun *run, const Question *q, GError **error)
{
	g_auto (UidSet) lost = UID_SET_INIT, of = UID_SET_INIT;
	GuardAnswer answer;
	find_lost (q, &lost, &of);
	if (!remove_bound (run, q->f, &q->moved, TRUE, error) || !remove_bound (run, q->f, &q->gone, FALSE, error) ||
	    !sync_guard_noting (run, q->f, "here", (guint) uid_set_count (&lost), (guint) uid_set_count (&of), FALSE, &lost, &answer, error))
		return FALSE;
	if (answer == GUARD_HOLD)
		return TRUE; /* what is elsewhere waits, too: it stands for one of its kind only, in each run the same */
	return remove_bound (run, q->f, &q->kept, FALSE, error) &&
	       (answer == GUARD_KEEP ? keep_bound : remove_lost) (run, q->f, &lost, error);
}

/* What is at home and not bound. */
static void
find_wanted (const Question *q)
{
	UidSet *wanted = &q->f->wanted;
	const FolderQuery *const answers[] = {q->uids, q->changes};
	uid_set_clear (wanted);
	for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
		if (answers[i] && answers[i]->has_all_uids)
			uid_set_add_set (wanted, &answers[i]->all_uids);
	for (guint i = 0; q->changes && q->changes->states && i < q->changes->states->len; i++)
		uid_set_add (wanted, g_array_index (q->changes->states, RemoteState, i).uid);
	uid_set_remove_set (wanted, &q->bound);
}

static gboolean
apply_answers (SyncRun *run, const Question *q, GError **error)
{
	FolderRun *f = q->f;
	FolderBinding *b = f->binding;
	const FolderQuery *uids = q->uids, *changes = q->changes, *last = changes ? changes : uids;
	g_assert (last);
	b->messages = last->messages_now;
	note_kept (f, last);
	for (guint i = 0; changes && changes->states && i < changes->states->len; i++)
		if (!sync_apply_state (run, f, &g_array_index (changes->states, RemoteState, i), error))
			return FALSE;
	if (!apply_removals (run, q, error))
		return FALSE;
	b->uidvalidity = last->uidvalidity_now;
	b->uidnext = last->uidnext_now;
	b->highestmodseq = last->highestmodseq_now;
	if (last->id_now && !b->remote_id)
		b->remote_id = g_strdup (last->id_now);
	b->complete = !f->held && !f->put_off && uid_set_is_empty (&f->wanted);
	f->hinted_total = last->messages_now;
	if (changes && !changes->highestmodseq && sync_was_counted (run, b->folder) && !sync_note_counted (run, b->folder, FALSE, error))
		return FALSE;
	return store_bind_folder (run->store, b, error);
}

gboolean
sync_folder_failed (SyncRun *run, FolderRun *f, const char *why)
{
	f->failed = TRUE;
	run->result->failures++;
	sync_log_detail (run, "folder '%s' could not be read: %s", f->folder->path, why);
	return TRUE;
}

void
sync_left_to_others (SyncRun *run, const FolderRun *f, const char *why)
{
	run->result->failures++;
	run->result->left++;
	sync_log_detail (run, "folder '%s' is left to a run of all folders ('outpost sync' without --folder): %s", f->folder->path, why);
}

static const GError *
error_of (const Question *q)
{
	return q->uids && q->uids->error ? q->uids->error : q->changes ? q->changes->error : NULL;
}

static gboolean
is_sound (const Question *q)
{
	return !error_of (q) && q->why == SUSPICION_NONE;
}

/* What the answers mean. */
static gboolean
weigh (SyncRun *run, Question *q, GError **error)
{
	q->f->failed |= error_of (q) != NULL;
	if (q->f->failed)
		return TRUE;
	if (!store_bound_uids (run->store, q->f->binding->folder, &q->bound, error))
		return FALSE;
	q->why = q->uids ? sync_suspicion (run, q->f, q->uids, &q->bound) : SUSPICION_NONE;
	if (q->why == SUSPICION_NONE && q->changes)
		q->why = sync_suspicion (run, q->f, q->changes, &q->bound);
	if (q->why != SUSPICION_NONE)
		return TRUE; /* nothing will be removed */
	if (!find_removed (run, q, error) || !find_gone (run, q, error))
		return FALSE;
	const FolderQuery *last = q->changes ? q->changes : q->uids;
	if (last && !q->f->binding->uidvalidity)
		q->f->binding->uidvalidity = last->uidvalidity_now; /* what is new there can be looked at */
	find_wanted (q);
	return TRUE;
}

/* The guard looks at the run as a whole, too: what all folders would lose is known before the first loses anything. */
static gboolean
count_lost (SyncRun *run, const Question *q, GError **error)
{
	g_auto (UidSet) lost = UID_SET_INIT, of = UID_SET_INIT;
	if (!is_sound (q))
		return TRUE;
	find_lost (q, &lost, &of);
	return sync_guard_count (run, q->f, "here", (guint) uid_set_count (&lost), (guint) uid_set_count (&of), error);
}

/* ---- Moved from folder to folder ---- */

/* It was moved here, and the home has not heard of that. */
static gboolean
is_moved_here (SyncRun *run, const KnownMessage *k, gboolean *moved_out, GError **error)
{
	gint64 target = 0;
	gboolean ok = !k->gone || store_moved_placement (run->store, k->placement, &target, error);
	*moved_out = target != 0;
	return ok;
}

/* Those that went, @all: also what was removed here, too; @from (may be NULL) tells the question of each. */
static gboolean
add_gone (SyncRun *run, Question *q, gboolean all, GArray *here, GHashTable *from, GError **error)
{
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (&q->removed, &it, &uid)) {
		KnownMessage k;
		gboolean found;
		if (!store_known_by_uid (run->store, q->f->binding->folder, uid, &k, &found, error))
			return FALSE;
		if (!found)
			continue;
		gboolean moved, ok = is_moved_here (run, &k, &moved, error);
		if (ok && (all || !k.gone || moved) && !k.awaited) {
			gathered_take_known (here, &k);
			g_array_index (here, MatchHere, here->len - 1).folder = q->f->binding->folder;
			if (from)
				g_hash_table_insert (from, g_memdup2 (&k.placement, sizeof k.placement), q);
		}
		g_free (k.message_id);
		g_free (k.keywords);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

static void
note_moved (const GArray *arrivals, GHashTable *from)
{
	for (guint i = 0; i < arrivals->len; i++) {
		const Arrival *a = &g_array_index (arrivals, Arrival, i);
		Question *q = g_hash_table_lookup (from, &a->placement);
		g_auto (UidSet) uid = UID_SET_INIT;
		if (!q)
			continue; /* it went before this run */
		uid_set_add (&uid, a->old_uid);
		uid_set_remove_set (&q->gone, &uid);
		uid_set_add_set (a->moved_on ? &q->followed : &q->moved, &uid);
	}
}

#define SAMPLED 100 /* headers at most, to tell mail that came anew and altered from new mail */

/* Most of @q's new messages, of which some are looked at, have the identity of those that went. */
static gboolean
came_again_altered (SyncRun *run, const Question *q, GArray *here, gboolean *altered_out, GError **error)
{
	g_auto (UidSet) sample = UID_SET_INIT;
	g_autoptr (GArray) there = NULL;
	guint64 n = MIN (uid_set_count (&q->f->wanted), SAMPLED);
	*altered_out = FALSE;
	for (guint64 i = 0; i < n; i++)
		uid_set_add (&sample, uid_set_nth (&q->f->wanted, i * uid_set_count (&q->f->wanted) / n));
	if (n < RENUMBERED_FROM || here->len < RENUMBERED_FROM)
		return TRUE;
	if (!sync_look (run, q->f->binding->remote_name, q->f->binding->uidvalidity, &sample, EVIDENCE_HEADER, &there, error))
		return FALSE;
	if (!there)
		return TRUE;
	g_autoptr (Match) m = match_new (here, there);
	match_by_header (m);
	match_by_weak_evidence (m);
	*altered_out = 2 * (guint64) m->matched > MIN (n, here->len);
	return TRUE;
}

/* What came has the very numbers that were next, and is a part of what went: it was taken out and put back. A home that numbers anew what it has
 * (Dovecot, when an index is lost) goes on from there, too, but with all of it. */
static gboolean
goes_on (const Question *q, guint came_back)
{
	const FolderBinding *b = q->f->binding;
	return b->complete && b->uidnext && uid_set_nth (&q->f->wanted, 0) == b->uidnext && (guint64) came_back * 10 < uid_set_count (&q->removed) * 9;
}

/* Where most of what went, or of what came, is what went, all numbers may be others: one by one, what was removed here would come back. */
static gboolean
find_renumbered (SyncRun *run, Question *q, GError **error)
{
	guint64 told = q->changes && q->changes->canary_evidence ? q->changes->canary_evidence->len : 0, n = uid_set_count (&q->removed);
	if (!is_sound (q) || !q->changes || 2 * told > uid_set_count (&q->canaries) || n == 0 || n * 10 < uid_set_count (&q->bound) * 9)
		return TRUE; /* what stayed where it was says that the numbers are the same */
	g_autoptr (GArray) here = match_here_new ();
	g_autoptr (GArray) arrivals = arrivals_new ();
	if (!add_gone (run, q, TRUE, here, NULL, error) || !sync_find_moved (run, q->f, TRUE, here, arrivals, error))
		return FALSE;
	if (goes_on (q, arrivals->len))
		return TRUE;
	guint64 fewer = MIN (uid_set_count (&q->removed), uid_set_count (&q->f->wanted));
	gboolean again = 2 * (guint64) arrivals->len > uid_set_count (&q->removed) || (2 * (guint64) arrivals->len > fewer && arrivals->len >= RENUMBERED_FROM);
	if (!again && told == 0 && !came_again_altered (run, q, here, &again, error))
		return FALSE;
	if (again)
		q->why = SUSPICION_MESSAGES;
	return TRUE;
}

static gboolean
is_of_folder (gpointer folder, const MatchHere *h)
{
	return h->folder == *(gint64 *) folder;
}

static gboolean
is_to_stay (gpointer data, const MatchHere *h)
{
	return !h->known.gone;
}

/* Within one folder a message that looks like one that went is that one, put back, or a new version of it: it is no loss, and it is fetched. */
static gboolean
find_versions (SyncRun *run, const Question *q, GArray *own, GHashTable *from, GError **error)
{
	g_autoptr (GArray) arrivals = arrivals_new ();
	if (!sync_find_moved (run, q->f, FALSE, own, arrivals, error))
		return FALSE;
	for (guint i = arrivals->len; i > 0; i--)
		if (g_array_index (arrivals, Arrival, i - 1).moved_on)
			g_array_remove_index (arrivals, i - 1);
	note_moved (arrivals, from);
	return TRUE;
}

/* What was moved here, and went at home before this run, or with its folder. */
static gboolean
add_astray (SyncRun *run, GArray *here, GError **error)
{
	GHashTableIter it;
	gpointer folder;
	if (!store_each_moved_from (run->store, 0, gathered_take_known, here, error))
		return FALSE;
	if (!run->absent)
		return TRUE;
	g_hash_table_iter_init (&it, run->absent);
	while (g_hash_table_iter_next (&it, &folder, NULL))
		if (!store_each_moved_from (run->store, *(gint64 *) folder, gathered_take_known, here, error))
			return FALSE;
	return TRUE;
}

/* What was moved here from folders that can't be read. */
static gboolean
add_unread (SyncRun *run, GArray *unread, GError **error)
{
	for (guint i = 0; i < run->folders->len; i++) {
		const FolderRun *f = run->folders->pdata[i];
		if (f->failed && !store_each_moved_from (run->store, f->binding->folder, gathered_take_known, unread, error))
			return FALSE;
	}
	return TRUE;
}

/* What is new in @f, and looks like what was moved here from a folder that could not be read, is left for the run that can: it may have moved. */
static gboolean
put_off (SyncRun *run, FolderRun *f, GArray *unread, GError **error)
{
	g_autoptr (GArray) arrivals = arrivals_new ();
	g_auto (UidSet) later = UID_SET_INIT;
	if (!sync_find_moved (run, f, FALSE, unread, arrivals, error))
		return FALSE;
	for (guint i = 0; i < arrivals->len; i++)
		uid_set_add (&later, g_array_index (arrivals, Arrival, i).uid);
	uid_set_remove_set (&f->wanted, &later);
	f->put_off = arrivals->len > 0;
	return TRUE;
}

static gboolean
find_moved (SyncRun *run, GArray *questions, GError **error)
{
	g_autoptr (GArray) here = match_here_new (), unread = match_here_new ();
	g_autoptr (GHashTable) from = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	for (guint i = 0; i < questions->len; i++) {
		Question *q = &g_array_index (questions, Question, i);
		if (is_sound (q) && !add_gone (run, q, FALSE, here, from, error))
			return FALSE;
	}
	if (!add_astray (run, here, error) || !add_unread (run, unread, error))
		return FALSE;
	for (guint i = 0; i < questions->len && here->len + unread->len; i++) {
		Question *q = &g_array_index (questions, Question, i);
		if (!is_sound (q))
			continue;
		q->arrivals = arrivals_new ();
		if (!put_off (run, q->f, unread, error))
			return FALSE;
		g_autoptr (GArray) own = match_here_new (), unfit = match_here_new ();
		match_here_part (here, is_of_folder, &q->f->binding->folder, own);
		if (!q->f->folder->id)
			match_here_part (here, is_to_stay, NULL, unfit); /* it is gone here: nothing is placed in it */
		if (!sync_find_moved (run, q->f, FALSE, here, q->arrivals, error) || !find_versions (run, q, own, from, error))
			return FALSE;
		match_here_part (own, NULL, NULL, here);
		match_here_part (unfit, NULL, NULL, here);
		note_moved (q->arrivals, from);
	}
	return TRUE;
}

/* What else would be lost may be in other folders, too. */
static gboolean
find_kept (SyncRun *run, GArray *questions, GError **error)
{
	g_autoptr (GArray) losses = g_array_new (FALSE, TRUE, sizeof (Loss));
	gboolean any = FALSE;
	g_array_set_clear_func (losses, loss_done);
	for (guint i = 0; i < questions->len; i++) {
		const Question *q = &g_array_index (questions, Question, i);
		g_auto (UidSet) of = UID_SET_INIT;
		Loss loss = {.f = q->f, .removed = is_sound (q) && !q->f->failed ? &q->removed : NULL};
		if (loss.removed)
			find_lost (q, &loss.lost, &of);
		any |= !uid_set_is_empty (&loss.lost);
		g_array_append_val (losses, loss);
	}
	if (any && !sync_find_kept (run, losses, error))
		return FALSE;
	for (guint i = 0; i < questions->len; i++)
		uid_set_copy (&g_array_index (questions, Question, i).kept, &g_array_index (losses, Loss, i).kept);
	return TRUE;
}

gboolean
sync_mark_complete (SyncRun *run, FolderRun *f, GError **error)
{
	g_auto (UidSet) bound = UID_SET_INIT;
	if (!store_bound_uids (run->store, f->binding->folder, &bound, error))
		return FALSE;
	/* A count that doesn't agree means a removal we were not told of: whole sets are compared next time. */
	f->binding->complete = !f->held && !f->put_off && uid_set_count (&bound) == f->binding->messages;
	return store_bind_folder (run->store, f->binding, error);
}

/* After all removals: each has left what was changed here for the place that the message has now. */
static gboolean
place_moved (SyncRun *run, const Question *q, GError **error)
{
	gboolean bound = TRUE;
	if (!q->arrivals || q->arrivals->len == 0)
		return TRUE;
	if (!store_has_bound (run->store, q->f->binding->folder, &bound, error))
		return FALSE;
	q->f->was_new |= !bound;
	return (store_in_transaction (run->store) || sync_begin (run, error)) && sync_place_arrivals (run, q->f, q->arrivals, error) &&
	       (!uid_set_is_empty (&q->f->wanted) || sync_mark_complete (run, q->f, error));
}

static gboolean
commit_open (SyncRun *run, GError **error)
{
	return !store_in_transaction (run->store) || sync_commit (run, error);
}

/* All that can be taken as it is goes into one transaction; a folder that is another one now is seen to outside of it. */
static gboolean
apply_question (SyncRun *run, const Question *q, GError **error)
{
	if (error_of (q))
		return sync_folder_failed (run, q->f, error_of (q)->message);
	if (q->why != SUSPICION_NONE && !q->f->folder->id) {
		q->f->failed = TRUE; /* gone here, and another one there by now: that is seen to when it is to be removed there */
		return TRUE;
	}
	if (q->why != SUSPICION_NONE)
		return commit_open (run, error) && sync_rebind (run, q->f, q->why, error);
	return (store_in_transaction (run->store) || sync_begin (run, error)) && apply_answers (run, q, error);
}

/* ---- Bodies ---- */

typedef struct {
	SyncRun *run;
	SyncWriter *writer;
	GPtrArray *fetching; /* FolderRun, as the requests */
	guint64 messages, octets; /* done before */
} Fetch;

static gboolean
take_message (gpointer data, const FetchedMessage *m, GError **error)
{
	Fetch *fetch = data;
	FolderRun *f = fetch->fetching->pdata[m->request];
	if (!cancel_check (fetch->run->cancel, error) || !sync_writer_put (fetch->writer, f->binding->folder, m, &f->added_here, error))
		return FALSE;
	SyncProgress *p = &fetch->run->progress;
	p->messages_done = fetch->messages + sync_writer_stored (fetch->writer, &p->octets_done);
	p->octets_done += fetch->octets;
	sync_progress (fetch->run, SYNC_PULL, f->folder->path, FALSE);
	return TRUE;
}

static gboolean
fetch_all (SyncRun *run, GPtrArray *fetching, FetchRequest *requests, GError **error)
{
	GError *failed = NULL;
	Fetch fetch = {run, sync_writer_new (run, error), fetching, run->progress.messages_done, run->progress.octets_done};
	if (!fetch.writer)
		return FALSE;
	gboolean ok = run->home->class->fetch (run->home, requests, fetching->len, take_message, &fetch, &failed);
	GError *unwritten = NULL;
	SyncProgress *p = &run->progress;
	if (!sync_writer_end (fetch.writer, &p->messages_done, &p->octets_done, &unwritten)) { /* what arrived is stored also when the fetch broke off */
		g_clear_error (&failed);
		failed = unwritten;
		ok = FALSE;
	}
	p->messages_done += fetch.messages;
	p->octets_done += fetch.octets;
	if (!ok)
		g_propagate_error (error, failed);
	return ok;
}

static gboolean
report_failed (SyncRun *run, const FolderRun *f, const char *why, GError **error)
{
	g_autofree char *text = g_strdup_printf ("The server did not give every message of folder \"%s\":\n\n    %s\n\nThe others are here. outpost asks for it "
	                                         "again with each run; the mail may be damaged at the server, so tell whoever runs it.\n",
	                                         f->folder->path, why);
	return sync_report (run, "Server Failures", "A message could not be fetched from the server", text, error);
}

/* What was listed and not given: by the next run it is gone, or the server is at fault. */
static char *
absent_text (const UidSet *missing)
{
	guint64 n = uid_set_count (missing);
	if (n == 0)
		return NULL;
	return n == 1 ? g_strdup_printf ("it has a message with UID %u, and does not give it", uid_set_nth (missing, 0))
	              : g_strdup_printf ("it has messages with UID %u and %" G_GUINT64_FORMAT " others, and does not give them", uid_set_nth (missing, 0), n - 1);
}

/* The folder stays incomplete, so that the next run asks again. A reason that a second run meets is reported, once. @why NULL: all came.
 * @passing: it may be none, and counts from the second run on. */
static gboolean
note_failed (SyncRun *run, FolderRun *f, const char *why, gboolean passing, GError **error)
{
	g_autofree char *name = g_strdup_printf ("not-given-%" G_GINT64_FORMAT, f->folder->id), *told = store_setting (run->store, name), *now = NULL;
	gboolean again = why && told && *told && strcmp (told + 1, why) == 0; /* behind '+', reported, or '-' */
	if (why && (again || !passing)) {
		run->result->failures++;
		sync_log_detail (run, "the server did not give every message of folder '%s': %s", f->folder->path, why);
	}
	if (f->failure_noted || (again && *told == '+') || (!why && !told))
		return TRUE;
	f->failure_noted = why != NULL;
	now = why ? g_strconcat (again ? "+" : "-", why, NULL) : NULL;
	return store_set_setting (run->store, name, now, error) && (!again || report_failed (run, f, why, error));
}

static gboolean
finish_fetch (SyncRun *run, GPtrArray *fetching, FetchRequest *requests, GError **error)
{
	if (!sync_begin (run, error))
		return FALSE;
	for (guint i = 0; i < fetching->len; i++) {
		if (requests[i].error && !requests[i].done) {
			sync_folder_failed (run, fetching->pdata[i], requests[i].error->message);
			continue;
		}
		g_autofree char *absent = requests[i].error ? NULL : absent_text (&requests[i].missing);
		if (!note_failed (run, fetching->pdata[i], requests[i].error ? requests[i].error->message : absent, absent != NULL, error) ||
		    !sync_mark_complete (run, fetching->pdata[i], error))
			return FALSE;
	}
	return sync_commit (run, error);
}

/* Bodies of those of @folders that have everything (role "all": Gmail's All Mail), or of the others. */
static gboolean
fetch_wanted (SyncRun *run, GPtrArray *folders, gboolean of_everything, GError **error)
{
	g_autoptr (GPtrArray) fetching = g_ptr_array_new ();
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		if (sync_has_everything (f) == of_everything && !f->failed && !f->states_only && !uid_set_is_empty (&f->wanted))
			g_ptr_array_add (fetching, f);
	}
	if (fetching->len == 0)
		return TRUE;
	FetchRequest *requests = g_new0 (FetchRequest, fetching->len);
	for (guint i = 0; i < fetching->len; i++) {
		FolderRun *f = fetching->pdata[i];
		requests[i].name = f->binding->remote_name;
		requests[i].uidvalidity = f->binding->uidvalidity;
		uid_set_copy (&requests[i].uids, &f->wanted);
	}
	gboolean ok = fetch_all (run, fetching, requests, error) && finish_fetch (run, fetching, requests, error);
	store_rollback (run->store);
	for (guint i = 0; i < fetching->len; i++)
		fetch_request_done (&requests[i]);
	g_free (requests);
	return ok;
}

static void
count_bodies (SyncRun *run, GPtrArray *folders)
{
	run->progress.folders_total = 0;
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		if (f->failed || f->states_only || uid_set_is_empty (&f->wanted))
			continue;
		run->progress.folders_total++;
		run->progress.messages_total += uid_set_count (&f->wanted);
	}
}

/* Of folders of everything, or of the others, what is here already. */
static gboolean
link_copies (SyncRun *run, GPtrArray *folders, gboolean of_everything, GError **error)
{
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		guint64 before = uid_set_count (&f->wanted);
		if (sync_has_everything (f) != of_everything || f->failed || f->states_only || before == 0)
			continue;
		if (!sync_link_copies (run, f, error))
			return FALSE;
		run->progress.messages_total -= before - uid_set_count (&f->wanted);
		if (!uid_set_is_empty (&f->wanted))
			continue;
		gboolean ok = sync_begin (run, error) && sync_mark_complete (run, f, error) && sync_commit (run, error);
		store_rollback (run->store);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

gboolean
sync_is_mail_missing (SyncRun *run, gboolean *missing_out, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	*missing_out = run->absent && g_hash_table_size (run->absent) > 0;
	for (guint i = 0; holds && i < holds->len; i++)
		*missing_out |= strcmp (((Hold *) holds->pdata[i])->kind, "deletion-guard") != 0;
	return holds != NULL;
}

/* What is in @f may be here already, in a way that does not tell where it was: it is new, or another one by now, and mail that is here is not where
 * it was at home (@missing); or it is new, and one of its name was removed here. In others what looks like a message from before may be a new
 * version of it. */
static gboolean
may_have_copies (SyncRun *run, const FolderRun *f, gboolean missing, gboolean *may_out, GError **error)
{
	gboolean bound = FALSE, removed = FALSE;
	gboolean other = f->rebound || f->was_new;
	if (!other && !store_has_bound (run->store, f->binding->folder, &bound, error))
		return FALSE;
	if (!f->rebound && !bound && !missing && !store_has_removed_of (run->store, f->folder->path, &removed, error))
		return FALSE;
	*may_out = (missing && !bound) || removed;
	return TRUE;
}

static gboolean
link_scattered (SyncRun *run, GPtrArray *folders, GError **error)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new ();
	gboolean missing, may;
	if (!sync_is_mail_missing (run, &missing, error))
		return FALSE;
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		if (uid_set_is_empty (&f->wanted))
			continue;
		if (!may_have_copies (run, f, missing, &may, error))
			return FALSE;
		if (may)
			g_ptr_array_add (list, f);
	}
	return link_copies (run, list, FALSE, error);
}

static gboolean
pull_bodies (SyncRun *run, GPtrArray *folders, GError **error)
{
	count_bodies (run, folders);
	if (run->progress.folders_total == 0)
		return TRUE;
	sync_progress (run, SYNC_PULL, NULL, TRUE);
	/* what a folder of everything has is known when the others have been fetched */
	return link_scattered (run, folders, error) && fetch_wanted (run, folders, FALSE, error) && link_copies (run, folders, TRUE, error) &&
	       fetch_wanted (run, folders, TRUE, error);
}

/* What is new at home may be what was pushed or is awaited: then it is not fetched. */
static gboolean
recover_all (SyncRun *run, GPtrArray *folders, GError **error)
{
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		if (f->failed || uid_set_is_empty (&f->wanted))
			continue;
		if (!sync_match_awaited (run, f, error) || (!f->failed && !sync_recover_pushes (run, f, &f->wanted, error)))
			return FALSE;
	}
	return TRUE;
}

static int
most_bound_first (gconstpointer a, gconstpointer b)
{
	guint64 x = uid_set_count (&(*(Question *const *) a)->bound), y = uid_set_count (&(*(Question *const *) b)->bound);
	return (x < y) - (x > y);
}

/* What goes into one transaction first; then those that are bound anew, the largest first: what it tells of a move helps with the others. */
static GPtrArray *
order_to_apply (GArray *questions)
{
	GPtrArray *list = g_ptr_array_new ();
	g_autoptr (GPtrArray) suspicious = g_ptr_array_new ();
	for (guint i = 0; i < questions->len; i++) {
		Question *q = &g_array_index (questions, Question, i);
		g_ptr_array_add (q->why == SUSPICION_NONE ? list : suspicious, q);
	}
	g_ptr_array_sort (suspicious, most_bound_first);
	g_ptr_array_extend (list, suspicious, NULL, NULL);
	return list;
}

static gboolean
answer_all (SyncRun *run, GArray *questions, GError **error)
{
	gboolean ok = TRUE;
	for (guint i = 0; ok && i < questions->len; i++)
		ok = weigh (run, &g_array_index (questions, Question, i), error);
	for (guint i = 0; ok && i < questions->len; i++)
		ok = find_renumbered (run, &g_array_index (questions, Question, i), error);
	ok = ok && find_moved (run, questions, error) && find_kept (run, questions, error);
	for (guint i = 0; ok && i < questions->len; i++)
		ok = count_lost (run, &g_array_index (questions, Question, i), error);
	g_autoptr (GPtrArray) in_order = order_to_apply (questions);
	for (guint i = 0; ok && i < in_order->len; i++)
		ok = apply_question (run, in_order->pdata[i], error);
	ok = ok && sync_settle_strangers (run, error);
	for (guint i = 0; ok && i < questions->len; i++)
		ok = place_moved (run, &g_array_index (questions, Question, i), error);
	ok = ok && commit_open (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
pull_states (SyncRun *run, GPtrArray *folders, GError **error)
{
	g_autoptr (GArray) queries = g_array_sized_new (FALSE, TRUE, sizeof (FolderQuery), 2 * folders->len);
	g_autoptr (GArray) questions = g_array_sized_new (FALSE, TRUE, sizeof (Question), folders->len);
	g_array_set_clear_func (questions, question_done);
	gboolean ok = TRUE;
	for (guint i = 0; ok && i < folders->len; i++)
		ok = ask (run, folders->pdata[i], queries, questions, error);
	ok = ok && run->home->class->query (run->home, (FolderQuery *) queries->data, queries->len, error) && answer_all (run, questions, error);
	for (guint i = 0; i < queries->len; i++)
		folder_query_done (&g_array_index (queries, FolderQuery, i));
	return ok;
}

/* Folders bound anew without their flags having been read. */
static gboolean
pull_states_again (SyncRun *run, GPtrArray *folders, GError **error)
{
	g_autoptr (GPtrArray) again = g_ptr_array_new ();
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		if (f->again && !f->failed)
			g_ptr_array_add (again, f);
		f->again = FALSE;
	}
	return again->len == 0 || pull_states (run, again, error);
}

/* Also of folders that this pull did not look at: what they waited for may have come elsewhere. */
static gboolean
tell_awaited (SyncRun *run, GError **error)
{
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		if (f->awaiting && !f->failed && !sync_told_awaited (run, f, error))
			return FALSE;
	}
	return TRUE;
}

gboolean
sync_pull (SyncRun *run, GPtrArray *folders, GError **error)
{
	if (folders->len == 0)
		return TRUE;
	sync_progress (run, SYNC_PULL, NULL, TRUE);
	return pull_states (run, folders, error) && pull_states_again (run, folders, error) && recover_all (run, folders, error) &&
	       (!run->options->folders || sync_put_off_others (run, folders, error)) && sync_find_awaited (run, folders, error) &&
	       pull_bodies (run, folders, error) && tell_awaited (run, error);
}
