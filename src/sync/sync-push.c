/* SPDX-License-Identifier: Apache-2.0 */
/* What is different here goes home, folder by folder: moves and copies of what the home has, appends of what it has not, flags, then
 * removals. Every intent is in the store before it is sent (invariant 2 of sync.h); each answer is one transaction. */
#include "sync-gather.h"
#include <string.h>

#define APPEND_BLOCK 50

static gboolean
tolerated (SyncRun *run, FolderRun *f, const char *what, GError *e, GError **error)
{
	if (error_reach (e->code) == REACH_MAILBOX) {
		g_propagate_error (error, e);
		return FALSE;
	}
	f->failed = TRUE;
	run->result->failures++;
	sync_log_detail (run, "%s in online folder '%s' failed: %s", what, f->folder->path, e->message);
	g_error_free (e);
	return TRUE;
}

/* ---- Recovering pushes whose answer never came ---- */

/* If it was removed here since it was sent, the store binds it as gone, and it is removed at home with this run or the next. */
static gboolean
bind_pending (SyncRun *run, FolderRun *f, const Pending *p, guint32 uid, guint flags, const char *keywords, guint64 modseq, guint64 remote_size,
              GError **error)
{
	PlacementBinding b = {.placement = p->placement, .folder = f->binding->folder, .remote_uid = uid, .flags = flags,
	                      .keywords = (char *) keywords, .modseq = modseq, .remote_size = remote_size};
	f->pushed = TRUE;
	f->added_home++;
	uid_set_add (&f->fresh, uid);
	return store_bind_placement (run->store, &b, error);
}

static const RemoteEvidence *
evidence_of (const GArray *evidence, guint32 uid)
{
	for (guint i = 0; i < evidence->len; i++)
		if (g_array_index (evidence, RemoteEvidence, i).uid == uid)
			return &g_array_index (evidence, RemoteEvidence, i);
	return NULL;
}

/* The origin of a move that the home has carried out is no more. Where a move is a copy and a removal, push_removals sees to it. */
static gboolean
forget_origin (SyncRun *run, const Pending *p, GError **error)
{
	gboolean is_there = !p->moved || !p->origin || !(run->home->class->abilities (run->home) & ENDPOINT_MOVE);
	return is_there || store_unbind_placement (run->store, p->origin, error);
}

gboolean
sync_base_of_sent (SyncRun *run, const Pending *p, const RemoteEvidence *e, guint *flags_out, char **keywords_out, GError **error)
{
	PlacementBinding origin;
	gboolean found = FALSE, copied = p->origin || p->moved;
	if (p->origin > 0 && !store_binding_of (run->store, p->origin, &origin, &found, error))
		return FALSE;
	*flags_out = found ? origin.flags : copied ? e->flags : p->flags & e->flags;
	*keywords_out = found ? g_strdup (origin.keywords) : copied ? g_strdup (e->keywords) : keywords_of_both (p->keywords, e->keywords);
	if (found)
		placement_binding_done (&origin);
	return TRUE;
}

static gboolean
bind_found (SyncRun *run, FolderRun *f, const Pending *p, const RemoteEvidence *e, GError **error)
{
	guint flags;
	g_autofree char *keywords = NULL;
	RemoteState now = {e->uid, e->flags, e->keywords, e->modseq};
	return sync_base_of_sent (run, p, e, &flags, &keywords, error) && bind_pending (run, f, p, e->uid, flags, keywords, e->modseq, 0, error) &&
	       sync_apply_state (run, f, &now, error);
}

static gboolean
bind_matches (SyncRun *run, FolderRun *f, GPtrArray *sent, const GArray *evidence, const guint32 *uids, UidSet *candidates, GError **error)
{
	g_auto (UidSet) bound = UID_SET_INIT;
	for (guint i = 0; i < sent->len; i++) {
		const RemoteEvidence *e = uids[i] ? evidence_of (evidence, uids[i]) : NULL;
		if (!e)
			continue;
		if (!bind_found (run, f, sent->pdata[i], e, error))
			return FALSE;
		run->result->moved_home += ((Pending *) sent->pdata[i])->moved != 0;
		uid_set_add (&bound, e->uid);
	}
	if (candidates)
		uid_set_remove_set (candidates, &bound);
	return TRUE;
}

static gboolean
match_sent (SyncRun *run, FolderRun *f, GPtrArray *sent, GArray *evidence, UidSet *candidates, GError **error)
{
	g_autofree PushedMessage *pushed = g_new0 (PushedMessage, sent->len);
	g_autofree guint32 *uids = g_new0 (guint32, sent->len);
	g_autoptr (GPtrArray) messages = g_ptr_array_new_with_free_func ((GDestroyNotify) message_free);
	for (guint i = 0; i < sent->len; i++) {
		Pending *p = sent->pdata[i];
		Message *m = store_message (run->store, p->message, error);
		if (!m)
			return FALSE;
		g_ptr_array_add (messages, m);
		pushed[i] = (PushedMessage){p->placement, m->size, m->received, m->message_id, m->digest, p->origin > 0};
	}
	plan_match_pushed (pushed, sent->len, (RemoteEvidence *) evidence->data, evidence->len, uids);
	gboolean ok = sync_begin (run, error) && bind_matches (run, f, sent, evidence, uids, candidates, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

/* Evidence of messages that are not bound yet. */
static gboolean
drop_bound (SyncRun *run, FolderRun *f, GArray *evidence, GError **error)
{
	g_auto (UidSet) bound = UID_SET_INIT;
	if (!store_bound_uids (run->store, f->binding->folder, &bound, error))
		return FALSE;
	for (guint i = evidence->len; i > 0; i--)
		if (uid_set_contains (&bound, g_array_index (evidence, RemoteEvidence, i - 1).uid))
			g_array_remove_index (evidence, i - 1);
	return TRUE;
}

/* Those of @pendings that were sent to the folder as it is: adds them to @sent, and lowers *watermark to theirs. */
static void
add_sent (const FolderRun *f, const GPtrArray *pendings, GPtrArray *sent, guint32 *watermark)
{
	for (guint i = 0; i < pendings->len; i++) {
		Pending *p = pendings->pdata[i];
		if (p->watermark && p->watermark_validity == f->binding->uidvalidity) {
			g_ptr_array_add (sent, p);
			*watermark = MIN (*watermark, p->watermark);
		}
	}
}

gboolean
sync_recover_pushes (SyncRun *run, FolderRun *f, UidSet *candidates, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, f->binding->folder, error);
	g_autoptr (GPtrArray) gone = pendings ? store_pendings_gone (run->store, f->binding->folder, error) : NULL;
	g_autoptr (GPtrArray) sent = g_ptr_array_new ();
	guint32 watermark = G_MAXUINT32;
	if (!gone)
		return FALSE;
	add_sent (f, pendings, sent, &watermark);
	add_sent (f, gone, sent, &watermark);
	if (sent->len == 0 || (candidates && uid_set_max (candidates) < watermark))
		return TRUE;
	g_auto (UidSet) look = UID_SET_INIT;
	if (candidates) {
		g_auto (UidSet) below = UID_SET_INIT;
		uid_set_copy (&look, candidates);
		if (watermark > 1)
			uid_set_add_range (&below, 1, watermark - 1);
		uid_set_remove_set (&look, &below);
	}
	g_autoptr (GArray) evidence = NULL;
	GError *e = NULL;
	if (!run->home->class->evidence (run->home, f->binding->remote_name, f->binding->uidvalidity, candidates ? &look : NULL, watermark,
	                                 EVIDENCE_HEADER, &evidence, &e))
		return tolerated (run, f, "looking for sent items", e, error);
	return drop_bound (run, f, evidence, error) && match_sent (run, f, sent, evidence, candidates, error);
}

/* ---- Moves and copies of what the home has ---- */

static gboolean
set_watermark (SyncRun *run, FolderRun *f, GError **error)
{
	gboolean ok = sync_begin (run, error) &&
	              store_set_watermark (run->store, f->binding->folder, MAX (f->binding->uidnext, 1u), f->binding->uidvalidity, error) &&
	              sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static guint32
pair_target (const GArray *pairs, guint32 from)
{
	for (guint i = 0; i < pairs->len; i++)
		if (g_array_index (pairs, UidPair, i).from == from)
			return g_array_index (pairs, UidPair, i).to;
	return 0;
}

static gboolean
bind_copied (SyncRun *run, FolderRun *f, GPtrArray *group, const GArray *pairs, GError **error)
{
	for (guint i = 0; i < group->len; i++) {
		Pending *p = group->pdata[i];
		guint32 to = pair_target (pairs, p->origin_uid);
		PlacementBinding origin;
		gboolean found;
		if (!to)
			continue;
		if (!store_binding_of (run->store, p->origin, &origin, &found, error))
			return FALSE;
		gboolean ok = !found || bind_pending (run, f, p, to, origin.flags, origin.keywords, 0, origin.remote_size, error);
		if (found)
			placement_binding_done (&origin);
		if (!ok || !forget_origin (run, p, error))
			return FALSE;
		if (p->moved)
			run->result->moved_home++;
	}
	return TRUE;
}

/* The home said yes and not which UIDs they have. Those that were not found among its messages are never sent again: they are awaited,
 * as what a changed home does not have yet, and found by header or by content when this run looks once more. */
static gboolean
await_accepted (SyncRun *run, FolderRun *f, GPtrArray *accepted, GError **error)
{
	if (accepted->len == 0)
		return TRUE;
	gboolean ok = sync_recover_pushes (run, f, NULL, error) && sync_begin (run, error);
	for (guint i = 0; ok && i < accepted->len; i++) {
		Pending *p = accepted->pdata[i];
		gboolean awaits;
		ok = store_await_pending (run->store, p->placement, &awaits, error) && forget_origin (run, p, error);
		f->awaiting |= awaits;
		f->took |= awaits;
	}
	ok = ok && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

/* One COPY or MOVE: pendings of @f with the same origin folder and manner. */
static gboolean
push_group (SyncRun *run, FolderRun *f, FolderRun *from, GPtrArray *group, gboolean move, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	for (guint i = 0; i < group->len; i++)
		uid_set_add (&uids, ((Pending *) group->pdata[i])->origin_uid);
	g_autoptr (GArray) pairs = NULL;
	g_auto (UidSet) copied = UID_SET_INIT;
	g_autoptr (GPtrArray) accepted = g_ptr_array_new ();
	guint32 validity = 0;
	GError *e = NULL;
	sync_step ();
	gboolean done = run->home->class->copy (run->home, from->binding->remote_name, from->binding->uidvalidity, &uids,
	                                        f->binding->remote_name, move, &pairs, &validity, &copied, &e);
	sync_step ();
	if (!done)
		return tolerated (run, f, move ? "moving items" : "copying items", e, error);
	f->pushed = TRUE;
	from->pushed |= move;
	gboolean told = pairs && pairs->len && (!validity || !f->binding->uidvalidity || validity == f->binding->uidvalidity);
	if (told) {
		gboolean ok = sync_begin (run, error) && bind_copied (run, f, group, pairs, error) && sync_commit (run, error);
		store_rollback (run->store);
		if (!ok)
			return FALSE;
	}
	for (guint i = 0; i < group->len; i++) {
		Pending *p = group->pdata[i];
		if (uid_set_contains (&copied, p->origin_uid) && !(told && pair_target (pairs, p->origin_uid)))
			g_ptr_array_add (accepted, p);
	}
	return await_accepted (run, f, accepted, error);
}

/* It was moved here, is no more where the home had it, and this run can't know where that has it now: it may not look into all folders, or listed
 * them before it was gone. What was restored is looked for, too, but nobody waits for it. */
static gboolean
is_astray (const SyncRun *run, const Pending *p)
{
	gboolean gone = p->origin > 0 && !p->waits && sync_is_moved_from_nowhere (run, p);
	return gone && (run->partial || !run->astray || !g_hash_table_contains (run->astray, &p->placement));
}

/* What came after the watermark was noted is not sent without one; what was sent before the folder became another is not sent again while
 * the folder awaits messages, of which it may be one; what is astray may be in a folder that this run could not look into. */
static gboolean
is_ready (const SyncRun *run, const FolderRun *f, const Pending *p)
{
	return p->watermark && p->watermark_validity == f->binding->uidvalidity && !p->waits && !is_astray (run, p);
}

static gboolean
push_copies (SyncRun *run, FolderRun *f, GPtrArray *pendings, GError **error)
{
	for (guint i = 0; i < pendings->len; i++) {
		Pending *first = pendings->pdata[i];
		FolderRun *from = is_ready (run, f, first) && first->origin_uid ? sync_folder_run (run, first->origin_folder) : NULL;
		if (!from || from->failed)
			continue;
		g_autoptr (GPtrArray) group = g_ptr_array_new ();
		g_auto (UidSet) seen = UID_SET_INIT;
		for (guint j = i; j < pendings->len; j++) {
			Pending *p = pendings->pdata[j];
			/* two copies of one message go in two commands, since the answer pairs by UID */
			if (is_ready (run, f, p) && p->origin_uid && p->origin_folder == first->origin_folder && p->moved == first->moved &&
			    !uid_set_contains (&seen, p->origin_uid)) {
				uid_set_add (&seen, p->origin_uid);
				g_ptr_array_add (group, p);
			}
		}
		gboolean move = first->moved;
		if (!push_group (run, f, from, group, move, error))
			return FALSE;
		for (guint j = 0; j < group->len; j++)
			((Pending *) group->pdata[j])->origin_uid = 0;
	}
	return TRUE;
}

/* ---- Appends ---- */

typedef struct {
	Store *store;
	gint64 message;
} Source;

static gboolean
read_source (gpointer data, gsize offset, gsize size, GBytes **octets_out, GError **error)
{
	Source *s = data;
	*octets_out = store_read (s->store, s->message, offset, size, error);
	return *octets_out != NULL;
}

static gboolean
refused (SyncRun *run, FolderRun *f, const Pending *p, const GError *e, GError **error)
{
	gint64 issues, folder = 0;
	run->result->failures++;
	sync_log_detail (run, "an item of folder '%s' was refused: %s", f->folder->path, e->message);
	if (!store_pending_failed (run->store, p->placement, error))
		return FALSE;
	if (p->failures > 0)
		return TRUE; /* already told */
	g_autofree char *text = g_strdup_printf ("The server refused to take a message of folder \"%s\":\n\n    %s\n\n"
	                                         "It stays in that folder on this machine, and a copy lies beside this report. outpost "
	                                         "tries again with the next runs, five times.\n", f->folder->path, e->message);
	if (!sync_report (run, "Local Failures", "A message could not be sent to the server", text, error))
		return FALSE;
	g_autoptr (Folder) failures = store_folder_by_path (run->store, "Sync Issues/Local Failures", error);
	if (!failures)
		return FALSE;
	folder = failures->id;
	return store_place (run->store, folder, p->message, p->flags, p->keywords, FALSE, 0, &issues, error);
}

static gboolean
note_appended (SyncRun *run, FolderRun *f, GPtrArray *block, AppendRequest *requests, GPtrArray *accepted, GError **error)
{
	for (guint i = 0; i < block->len; i++) {
		Pending *p = block->pdata[i];
		AppendRequest *r = &requests[i];
		if (r->error) {
			if (!refused (run, f, p, r->error, error))
				return FALSE;
		} else if (r->uid && (!f->binding->uidvalidity || r->uidvalidity == f->binding->uidvalidity)) {
			if (!bind_pending (run, f, p, r->uid, p->flags, p->keywords, 0, 0, error))
				return FALSE;
		} else
			g_ptr_array_add (accepted, p);
	}
	return TRUE;
}

static gboolean
append_block (SyncRun *run, FolderRun *f, GPtrArray *block, GError **error)
{
	g_autofree AppendRequest *requests = g_new0 (AppendRequest, block->len);
	g_autofree Source *sources = g_new0 (Source, block->len);
	for (guint i = 0; i < block->len; i++) {
		Pending *p = block->pdata[i];
		g_autoptr (Message) m = store_message (run->store, p->message, error);
		if (!m)
			return FALSE;
		sources[i] = (Source){run->store, p->message};
		requests[i] = (AppendRequest){.source = read_source, .data = &sources[i], .size = m->size, .flags = p->flags,
		                              .keywords = p->keywords, .received = m->received, .zone = m->zone};
	}
	GError *e = NULL;
	g_autoptr (GPtrArray) accepted = g_ptr_array_new ();
	sync_step ();
	gboolean done = run->home->class->append (run->home, f->binding->remote_name, requests, block->len, &e);
	sync_step ();
	f->pushed = TRUE;
	gboolean ok = sync_begin (run, done ? error : NULL) && note_appended (run, f, block, requests, accepted, done ? error : NULL) &&
	              sync_commit (run, done ? error : NULL);
	store_rollback (run->store);
	for (guint i = 0; i < block->len; i++)
		g_clear_error (&requests[i].error);
	if (!done)
		return tolerated (run, f, "adding items", e, error);
	return ok && await_accepted (run, f, accepted, error);
}

static gboolean
push_appends (SyncRun *run, FolderRun *f, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, f->binding->folder, error);
	g_autoptr (GPtrArray) block = g_ptr_array_new ();
	guint astray = 0;
	if (!pendings)
		return FALSE;
	for (guint i = 0; i < pendings->len; i++) {
		Pending *p = pendings->pdata[i];
		if (p->failures >= 5) {
			run->result->failures++;
			sync_log_detail (run, "an item of folder '%s' was refused five times and is not sent: see Sync Issues/Local Failures", f->folder->path);
		} else if (is_astray (run, p)) {
			astray++;
		} else if (is_ready (run, f, p) && !(p->origin_uid && sync_folder_run (run, p->origin_folder)))
			g_ptr_array_add (block, p);
		if (block->len == APPEND_BLOCK || (i + 1 == pendings->len && block->len)) {
			if (!append_block (run, f, block, error))
				return FALSE;
			g_ptr_array_set_size (block, 0);
			sync_progress (run, SYNC_PUSH, f->folder->path, FALSE);
		}
	}
	if (astray)
		sync_log_detail (run, "%u item(s) of folder '%s' wait: they were moved there from where the server no longer has them; a run that looks into all"
		                 " folders for them sends them", astray, f->folder->path);
	return TRUE;
}

/* All that was sent to the home's folder has been looked for, and nothing is on the way. */
static gboolean
forget_what_never_came (SyncRun *run, FolderRun *f, GError **error)
{
	g_autoptr (GPtrArray) gone = store_pendings_gone (run->store, f->binding->folder, error);
	if (!gone || gone->len == 0)
		return gone != NULL;
	gboolean ok = sync_begin (run, error);
	for (guint i = 0; ok && i < gone->len; i++)
		ok = store_pending_never_came (run->store, ((Pending *) gone->pdata[i])->placement, error);
	ok = ok && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
push_pendings (SyncRun *run, FolderRun *f, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, f->binding->folder, error);
	g_autoptr (GPtrArray) gone = pendings ? store_pendings_gone (run->store, f->binding->folder, error) : NULL;
	if (!gone)
		return FALSE;
	if (pendings->len == 0 && gone->len == 0)
		return TRUE;
	gboolean sent = gone->len > 0;
	for (guint i = 0; i < pendings->len; i++)
		sent |= ((Pending *) pendings->pdata[i])->watermark != 0;
	if (sent && !sync_recover_pushes (run, f, NULL, error))
		return FALSE;
	if (f->failed)
		return TRUE;
	if (!forget_what_never_came (run, f, error) || !set_watermark (run, f, error))
		return FALSE;
	g_clear_pointer (&pendings, g_ptr_array_unref);
	pendings = store_pendings (run->store, f->binding->folder, error);
	return pendings && push_copies (run, f, pendings, error) && push_appends (run, f, error);
}

/* ---- Flags ---- */

typedef struct {
	GPtrArray *groups; /* FlagRequest */
	GArray *sent;      /* PlacementBinding with the flags that are sent: the next base */
} FlagPush;

static void
flag_request_free (FlagRequest *r)
{
	uid_set_clear (&r->uids);
	g_free ((char *) r->add_keywords);
	g_free ((char *) r->remove_keywords);
	g_clear_pointer (&r->states, g_array_unref);
	g_clear_error (&r->error);
	g_free (r);
}

static gboolean
collect_flags (gpointer data, const Placement *here, const PlacementBinding *base)
{
	FlagPush *push = data;
	guint add = here->flags & ~base->flags, remove = base->flags & ~here->flags;
	g_autofree char *add_words = keywords_less (here->keywords, base->keywords);
	g_autofree char *remove_words = keywords_less (base->keywords, here->keywords);
	FlagRequest *r = NULL;
	for (guint i = 0; i < push->groups->len && !r; i++) {
		FlagRequest *g = push->groups->pdata[i];
		if (g->add == add && g->remove == remove && keywords_equal (g->add_keywords, add_words) &&
		    keywords_equal (g->remove_keywords, remove_words))
			r = g;
	}
	if (!r) {
		r = g_new0 (FlagRequest, 1);
		r->add = add;
		r->remove = remove;
		r->add_keywords = g_steal_pointer (&add_words);
		r->remove_keywords = g_steal_pointer (&remove_words);
		g_ptr_array_add (push->groups, r);
	}
	uid_set_add (&r->uids, base->remote_uid);
	PlacementBinding b = *base;
	b.flags = here->flags;
	b.keywords = g_strdup (here->keywords);
	g_array_append_val (push->sent, b);
	return TRUE;
}

static gboolean
request_failed (const FlagPush *push, guint32 uid)
{
	for (guint i = 0; i < push->groups->len; i++) {
		FlagRequest *r = push->groups->pdata[i];
		if (r->error && uid_set_contains (&r->uids, uid))
			return TRUE;
	}
	return FALSE;
}

static gboolean
note_flags (SyncRun *run, FolderRun *f, FlagPush *push, guint64 seen_modseq, GError **error)
{
	gboolean all = TRUE;
	for (guint i = 0; i < push->groups->len; i++) {
		FlagRequest *r = push->groups->pdata[i];
		if (r->error) {
			run->result->failures++;
			sync_log_detail (run, "flags of %" G_GUINT64_FORMAT " item(s) in online folder '%s' were refused: %s",
			                 uid_set_count (&r->uids), f->folder->path, r->error->message);
			all = FALSE;
		}
	}
	for (guint i = 0; i < push->sent->len; i++) {
		PlacementBinding *b = &g_array_index (push->sent, PlacementBinding, i);
		if (request_failed (push, b->remote_uid))
			continue;
		f->updated_home++;
		if (!store_set_base (run->store, b->folder, b->remote_uid, b->flags, b->keywords, error))
			return FALSE;
	}
	/* What waits to be sent, or for its message to arrive, may have changed before. */
	guint awaited;
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, f->binding->folder, error);
	if (!pendings || !store_count_awaited (run->store, f->binding->folder, &awaited, error))
		return FALSE;
	if (all && pendings->len == 0 && awaited == 0)
		f->binding->pushed_modseq = seen_modseq;
	return store_bind_folder (run->store, f->binding, error);
}

static gboolean
push_flags (SyncRun *run, FolderRun *f, GError **error)
{
	guint64 seen = store_modseq (run->store);
	FlagPush push = {g_ptr_array_new_with_free_func ((GDestroyNotify) flag_request_free),
	                 g_array_new (FALSE, TRUE, sizeof (PlacementBinding))};
	g_array_set_clear_func (push.sent, (GDestroyNotify) placement_binding_done);
	gboolean ok = store_flag_changes (run->store, f->binding->folder, f->binding->pushed_modseq, collect_flags, &push, error);
	if (ok && push.groups->len) {
		g_autofree FlagRequest *flat = g_new0 (FlagRequest, push.groups->len);
		for (guint i = 0; i < push.groups->len; i++)
			flat[i] = *(FlagRequest *) push.groups->pdata[i];
		GError *e = NULL;
		sync_step ();
		gboolean done = run->home->class->store_flags (run->home, f->binding->remote_name, f->binding->uidvalidity, flat,
		                                               push.groups->len, &e);
		sync_step ();
		for (guint i = 0; i < push.groups->len; i++)
			*(FlagRequest *) push.groups->pdata[i] = flat[i];
		f->pushed = TRUE;
		if (!done)
			ok = tolerated (run, f, "changing flags", e, error);
		else
			ok = sync_begin (run, error) && note_flags (run, f, &push, seen, error) && sync_commit (run, error);
		store_rollback (run->store);
	}
	g_ptr_array_unref (push.groups);
	g_array_unref (push.sent);
	return ok;
}

/* ---- Removals ---- */

static void
add_moving (GHashTable *moving, const GPtrArray *pendings)
{
	for (guint i = 0; i < pendings->len; i++) {
		Pending *p = pendings->pdata[i];
		if (p->moved && p->origin)
			g_hash_table_add (moving, g_memdup2 (&p->origin, sizeof p->origin));
	}
}

static GHashTable *
moves_pending (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, 0, error);
	g_autoptr (GPtrArray) gone = pendings ? store_pendings_gone (run->store, 0, error) : NULL;
	if (!gone)
		return NULL;
	GHashTable *moving = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	add_moving (moving, pendings);
	add_moving (moving, gone);
	return moving;
}

typedef struct {
	GArray *bindings;   /* PlacementBinding */
	guint asked;        /* how many of them are not settled */
	gboolean moved_only; /* the folder is gone here: what was moved out of it is removed, and the rest with it, or it comes back */
	GHashTable *moving; /* placements that a pending move still needs */
} Gone;

static gboolean
collect_gone (gpointer data, const PlacementBinding *b)
{
	Gone *g = data;
	if (g_hash_table_contains (g->moving, &b->placement) || (g->moved_only && !b->settled))
		return TRUE;
	PlacementBinding kept = *b;
	kept.keywords = g_strdup (b->keywords);
	g_array_append_val (g->bindings, kept);
	g->asked += !b->settled;
	return TRUE;
}

/* It stays bound, so that it does not come back as new, until the home removes it. */
static gboolean
note_marked (SyncRun *run, const PlacementBinding *b, guint *n, GError **error)
{
	PlacementBinding marked = *b;
	*n += !(b->settled && b->flags & FLAG_DELETED);
	marked.flags |= FLAG_DELETED;
	marked.settled = TRUE;
	return store_bind_placement (run->store, &marked, error);
}

/* A move was counted as one. */
static gboolean
note_expunged (SyncRun *run, FolderRun *f, const Gone *g, const UidSet *sent, const UidSet *left, GError **error)
{
	guint marked = 0;
	for (guint i = 0; i < g->bindings->len; i++) {
		const PlacementBinding *b = &g_array_index (g->bindings, PlacementBinding, i);
		if (!uid_set_contains (sent, b->remote_uid))
			continue;
		if (uid_set_contains (left, b->remote_uid)) {
			if (!note_marked (run, b, &marked, error))
				return FALSE;
			continue;
		}
		/* by the next look it is gone; until then it is not new to us, should the home still have it */
		f->removed_home += !b->settled;
		if (!store_settle_removal (run->store, b->placement, error))
			return FALSE;
	}
	if (marked)
		sync_log_detail (run, "%u item(s) only marked as deleted in online folder '%s': the server can't remove single items, and others are"
		                 " marked there, too", marked, f->folder->path);
	f->pushed |= marked > 0 || uid_set_count (sent) > uid_set_count (left);
	return TRUE;
}

/* What was removed here and shall stay after all: it is as if the home had new messages, which the second look of this run fetches. */
static gboolean
bring_back (SyncRun *run, FolderRun *f, const Gone *g, GError **error)
{
	for (guint i = 0; i < g->bindings->len; i++) {
		const PlacementBinding *b = &g_array_index (g->bindings, PlacementBinding, i);
		if (!b->settled && !store_unbind_placement (run->store, b->placement, error))
			return FALSE;
	}
	f->pushed = TRUE;
	f->binding->complete = FALSE;
	f->binding->highestmodseq = 0;
	sync_log_detail (run, "the removal of %u item(s) from '%s' is taken back, as decided", g->asked, f->folder->path);
	return store_bind_folder (run->store, f->binding, error);
}

/* Whether what is not settled may be removed. */
static gboolean
ask_guard (SyncRun *run, FolderRun *f, const Gone *g, GuardAnswer *answer_out, GError **error)
{
	guint n = g->asked;
	*answer_out = GUARD_GO_ON;
	return n == 0 || (sync_guard_noting (run, f, "home", n, MAX (n, f->binding->messages), FALSE, NULL, answer_out, error) &&
	                  (*answer_out != GUARD_KEEP || bring_back (run, f, g, error)));
}

typedef struct {
	gint64 origin, folder;
	guint32 uid;
} Copy;

typedef struct {
	GArray *list; /* Copy */
	gint64 origin;
} Copies;

static gboolean
add_copy (gpointer data, gint64 folder, guint32 uid)
{
	Copies *c = data;
	Copy copy = {c->origin, folder, uid};
	g_array_append_val (c->list, copy);
	return TRUE;
}

/* Those of @copies, in @f, that the home has now: it told this run, or is asked. */
static gboolean
find_copies (SyncRun *run, FolderRun *f, const GArray *copies, UidSet *seen_out, GError **error)
{
	g_auto (UidSet) asked = UID_SET_INIT;
	g_autoptr (GArray) evidence = NULL;
	uid_set_clear (seen_out);
	if (f->failed || !f->binding->uidvalidity)
		return TRUE;
	for (guint i = 0; i < copies->len; i++) {
		const Copy *c = &g_array_index (copies, Copy, i);
		if (c->folder == f->binding->folder && c->uid)
			uid_set_add (uid_set_contains (&f->fresh, c->uid) ? seen_out : &asked, c->uid);
	}
	if (uid_set_is_empty (&asked))
		return TRUE;
	if (!sync_look (run, f->binding->remote_name, f->binding->uidvalidity, &asked, EVIDENCE_SIZE, &evidence, error))
		return FALSE;
	for (guint i = 0; evidence && sync_canaries_sing (run, f, evidence) && i < evidence->len; i++)
		uid_set_add (seen_out, g_array_index (evidence, RemoteEvidence, i).uid);
	return TRUE;
}

/* What was moved leaves its origin when the home is seen to have it where it went: a home that was restored since has it in the origin only. Adds to
 * @unseen the placements of which there are copies and none is seen. */
static gboolean
find_unseen (SyncRun *run, const Gone *g, GHashTable *unseen, GError **error)
{
	g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (Copy));
	Copies copies = {list, 0};
	for (guint i = 0; i < g->bindings->len; i++) {
		const PlacementBinding *b = &g_array_index (g->bindings, PlacementBinding, i);
		copies.origin = b->placement;
		if (b->settled && !store_each_copy (run->store, b->placement, add_copy, &copies, error))
			return FALSE;
	}
	for (guint i = 0; i < list->len; i++)
		g_hash_table_add (unseen, g_memdup2 (&g_array_index (list, Copy, i).origin, sizeof (gint64)));
	for (guint i = 0; list->len && i < run->folders->len; i++) {
		FolderRun *to = run->folders->pdata[i];
		g_auto (UidSet) seen = UID_SET_INIT;
		if (!find_copies (run, to, list, &seen, error))
			return FALSE;
		for (guint k = 0; k < list->len; k++) {
			const Copy *c = &g_array_index (list, Copy, k);
			gboolean accepted = !c->uid && to->took && !to->rebound;
			if (c->folder == to->binding->folder && (accepted || uid_set_contains (&seen, c->uid)))
				g_hash_table_remove (unseen, &c->origin);
		}
	}
	return TRUE;
}

/* *uids_out: what the home is to remove; not what was moved or removed here since this run looked at what it would write to, nor what is @unseen. */
static gboolean
prepare_removals (SyncRun *run, FolderRun *f, const Gone *g, GHashTable *unseen, UidSet *uids_out, GError **error)
{
	GuardAnswer answer;
	gboolean ok = sync_begin (run, error) && ask_guard (run, f, g, &answer, error);
	g_autoptr (GHashTable) moving = ok ? moves_pending (run, error) : NULL;
	ok = moving != NULL;
	for (guint i = 0; ok && i < g->bindings->len; i++) {
		const PlacementBinding *b = &g_array_index (g->bindings, PlacementBinding, i);
		if ((answer == GUARD_GO_ON || b->settled) && uid_set_contains (&f->looked_at, b->remote_uid) &&
		    !g_hash_table_contains (moving, &b->placement) && !g_hash_table_contains (unseen, &b->placement))
			uid_set_add (uids_out, b->remote_uid);
	}
	ok = ok && store_note_removals_sent (run->store, f->binding->folder, uids_out, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
expunge_gone (SyncRun *run, FolderRun *f, const Gone *g, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT, left = UID_SET_INIT;
	g_autoptr (GHashTable) unseen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	if (!find_unseen (run, g, unseen, error) || !prepare_removals (run, f, g, unseen, &uids, error))
		return FALSE;
	if (g_hash_table_size (unseen))
		sync_log_detail (run, "%u item(s) that were moved out of folder '%s' stay there at the server: it is not seen to have them where they were moved to",
		                 g_hash_table_size (unseen), f->folder->path);
	if (uid_set_is_empty (&uids))
		return TRUE;
	GError *e = NULL;
	sync_step ();
	gboolean done = run->home->class->expunge (run->home, f->binding->remote_name, f->binding->uidvalidity, &uids, &left, &e);
	sync_step ();
	if (!done) {
		f->pushed = TRUE;
		return tolerated (run, f, "removing items", e, error);
	}
	gboolean ok = sync_begin (run, error) && note_expunged (run, f, g, &uids, &left, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
push_removals (SyncRun *run, FolderRun *f, GHashTable *moving, gboolean count_only, GError **error)
{
	Gone g = {g_array_new (FALSE, FALSE, sizeof (PlacementBinding)), 0, !f->folder->id, moving};
	g_array_set_clear_func (g.bindings, (GDestroyNotify) placement_binding_done);
	gboolean ok = store_gone_bindings (run->store, f->binding->folder, collect_gone, &g, error);
	if (ok && count_only && g.asked)
		ok = sync_guard_count (run, f, "home", g.asked, MAX (g.asked, f->binding->messages), error);
	if (ok && !count_only && g.bindings->len)
		ok = expunge_gone (run, f, &g, error);
	g_array_unref (g.bindings);
	return ok;
}

static gboolean
may_push (const FolderRun *f)
{
	return !f->failed && f->binding->selectable && f->binding->uidvalidity;
}

typedef gboolean (*PushStep) (SyncRun *run, FolderRun *f, GError **error);

static gboolean
push_each (SyncRun *run, PushStep step, GError **error)
{
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		if (f->folder->id && may_push (f) && !step (run, f, error))
			return FALSE;
	}
	return TRUE;
}

/* ---- Before anything is written ---- */

/* What is to be written to, and what of that is to be removed for good. */
typedef struct {
	UidSet uids, removed;
	gboolean moved_only; /* as of Gone */
	const GHashTable *moving; /* placements that a move takes elsewhere */
} Targets;

static void
targets_clear (Targets *t)
{
	uid_set_clear (&t->uids);
	uid_set_clear (&t->removed);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Targets, targets_clear)

static gboolean
add_flag_target (gpointer data, const Placement *here, const PlacementBinding *base)
{
	Targets *t = data;
	uid_set_add (&t->uids, base->remote_uid);
	return TRUE;
}

static gboolean
add_gone_target (gpointer data, const PlacementBinding *b)
{
	Targets *t = data;
	if (t->moved_only && !b->settled)
		return TRUE;
	uid_set_add (&t->uids, b->remote_uid);
	if (!g_hash_table_contains ((GHashTable *) t->moving, &b->placement))
		uid_set_add (&t->removed, b->remote_uid);
	return TRUE;
}

static gboolean
targets_of (SyncRun *run, FolderRun *f, const GPtrArray *pendings, Targets *t, GError **error)
{
	targets_clear (t);
	for (guint i = 0; i < pendings->len; i++) {
		Pending *p = pendings->pdata[i];
		if (p->origin_uid && p->origin_folder == f->binding->folder)
			uid_set_add (&t->uids, p->origin_uid);
	}
	return store_flag_changes (run->store, f->binding->folder, f->binding->pushed_modseq, add_flag_target, t, error) &&
	       store_gone_bindings (run->store, f->binding->folder, add_gone_target, t, error);
}

/* Those of @folders, bound anew by evidence, that are not held as other mail. */
static gboolean
look_at_rebound (SyncRun *run, GPtrArray *folders, const GPtrArray *pendings, GHashTable *moving, GError **error)
{
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		g_auto (Targets) t = {.moving = moving};
		if (!may_push (f))
			continue;
		if (!targets_of (run, f, pendings, &t, error))
			return FALSE;
		uid_set_copy (&f->looked_at, &t.uids);
	}
	return TRUE;
}

/* Whatever is about to be changed, moved or removed is looked at first: a UID that stands for another message now is found out before
 * it is written to. */
static gboolean
verify_all (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, 0, error);
	g_autoptr (GHashTable) moving = pendings ? moves_pending (run, error) : NULL;
	g_autoptr (GPtrArray) others = g_ptr_array_new ();
	if (!moving)
		return FALSE;
	for (guint i = 0; i < run->folders->len; i++) {
		FolderRun *f = run->folders->pdata[i];
		g_auto (Targets) t = {.moving = moving, .moved_only = !f->folder->id};
		gboolean same;
		if (!may_push (f))
			continue;
		if (!targets_of (run, f, pendings, &t, error) || !sync_verify_targets (run, f, &t.uids, &t.removed, &same, error))
			return FALSE;
		if (same) {
			uid_set_copy (&f->looked_at, &t.uids);
			continue;
		}
		if (!f->folder->id) {
			f->failed = TRUE; /* another one by now: that is seen to when it is to be removed there */
			continue;
		}
		f->pushed = TRUE; /* for the second look */
		g_ptr_array_add (others, f);
		if (!sync_rebind (run, f, SUSPICION_MESSAGES, error))
			return FALSE;
	}
	/* nothing goes to them before it is settled whose mail it is */
	return sync_settle_strangers (run, error) && look_at_rebound (run, others, pendings, moving, error);
}

gboolean
sync_push (SyncRun *run, GError **error)
{
	sync_progress (run, SYNC_PUSH, NULL, TRUE);
	for (guint i = 0; i < run->folders->len; i++) {
		const FolderRun *f = run->folders->pdata[i];
		run->partial |= f->failed && f->folder->id;
	}
	if (!verify_all (run, error))
		return FALSE;
	if (sync_is_strange (run))
		return TRUE;
	if (!push_each (run, push_pendings, error) || !push_each (run, push_flags, error))
		return FALSE;
	g_autoptr (GHashTable) moving = moves_pending (run, error);
	if (!moving)
		return FALSE;
	for (int count_only = TRUE; count_only >= FALSE; count_only--)
		for (guint i = 0; i < run->folders->len; i++) {
			FolderRun *f = run->folders->pdata[i];
			if (may_push (f) && !push_removals (run, f, moving, count_only, error))
				return FALSE;
		}
	return TRUE;
}
