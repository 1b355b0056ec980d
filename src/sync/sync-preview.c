/* SPDX-License-Identifier: Apache-2.0 */
/* A rehearsal of re-binding: what a run would find at the home, without writing anything on either side. */
#include "sync-overlap.h"
#include <string.h>

void
preview_free (SyncPreview *p)
{
	if (!p)
		return;
	g_free (p->folder);
	g_free (p->home);
	g_free (p);
}

static SyncPreview *
preview_new (const char *folder, const char *home)
{
	SyncPreview *p = g_new0 (SyncPreview, 1);
	p->folder = g_strdup (folder);
	p->home = g_strdup (home);
	return p;
}

/* What the evidence could not decide: unmatched here, while as many candidates with its size and date are unmatched there. */
static guint
count_ambiguous (const Gathered *g)
{
	g_auto (UidSet) undecided = UID_SET_INIT;
	g_autoptr (GHashTable) sizes = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	guint n = 0;
	for (guint i = 0; i < g->there->len; i++) {
		const RemoteEvidence *e = &g_array_index (g->there, RemoteEvidence, i);
		gint64 key = (gint64) e->size ^ (e->received << 20);
		if (g->match->here_of_there[i] < 0)
			g_hash_table_add (sizes, g_memdup2 (&key, sizeof key));
	}
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		gint64 key = (gint64) h->known.size ^ (h->known.received << 20);
		n += h->there < 0 && !h->known.pending && g_hash_table_contains (sizes, &key);
	}
	return n;
}

/* A move is counted where it goes. */
static gboolean
is_moved (SyncRun *run, const MatchHere *h)
{
	gint64 target = 0;
	return h->known.gone && store_moved_placement (run->store, h->known.placement, &target, NULL) && target;
}

static void
count (SyncRun *run, SyncPreview *p, const Gathered *g)
{
	p->linked = g->match->matched;
	p->weak = g->match->weak;
	p->other_mail = gathered_is_other_mail (g, run->vouched);
	p->ambiguous = count_ambiguous (g);
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		p->pending += h->known.pending || (h->known.gone && !is_moved (run, h));
		p->only_here += h->there < 0 && !h->known.pending && !h->known.gone;
	}
	p->only_there = g->there->len - g->match->matched;
	p->only_here -= MIN (p->ambiguous, p->only_here);
}

static gboolean
count_flags (gpointer data, const Placement *here, const PlacementBinding *base)
{
	((SyncPreview *) data)->pending++;
	return TRUE;
}

/* Other mail has the folder's name. */
typedef struct {
	const Folder *folder;
	FolderBinding *binding; /* owned */
	Gathered *g;            /* owned */
	SyncPreview *preview;
	guint flags; /* of its pending changes */
} Stranger;

static void
stranger_free (gpointer data)
{
	Stranger *s = data;
	folder_binding_free (s->binding);
	gathered_free (s->g);
	g_free (s);
}

static gboolean
add_stranger (SyncRun *run, const Folder *f, Gathered *g, SyncPreview *p, guint flags, GPtrArray *strangers, GError **error)
{
	Stranger s = {f, store_folder_binding (run->store, f->id, error), g, p, flags};
	g_ptr_array_add (strangers, g_memdup2 (&s, sizeof s));
	return s.binding != NULL;
}

static gboolean
preview_bound (SyncRun *run, const FolderStep *step, SyncPreview *p, GPtrArray *strangers, GError **error)
{
	GError *e = NULL;
	if (!store_flag_changes (run->store, step->folder->id, step->binding->pushed_modseq, count_flags, p, error))
		return FALSE;
	if (!step->remote || !step->remote->selectable) {
		p->only_here = step->folder->total;
		return TRUE;
	}
	guint flags = p->pending;
	g_autoptr (Gathered) g = sync_gathered (run, step->folder->id, step->remote->name, TRUE, &e);
	if (g)
		count (run, p, g);
	if (g && p->other_mail)
		return add_stranger (run, step->folder, g_steal_pointer (&g), p, flags, strangers, error);
	if (g)
		return TRUE;
	if (error_reach (e->code) == REACH_MAILBOX) {
		g_propagate_error (error, e);
		return FALSE;
	}
	p->failed = TRUE;
	g_error_free (e);
	return TRUE;
}

/* The steps name folders that something happens to; the others are bound as they are. */
static const RemoteFolder *
remote_of (SyncRun *run, const GArray *steps, const Folder *f, const FolderBinding *b)
{
	for (guint i = 0; i < steps->len; i++) {
		const FolderStep *s = &g_array_index (steps, FolderStep, i);
		if (s->folder == f)
			return s->remote;
	}
	for (guint i = 0; b && i < run->remotes->len; i++)
		if (strcmp (((RemoteFolder *) run->remotes->pdata[i])->name, b->remote_name) == 0)
			return run->remotes->pdata[i];
	return NULL;
}

static gboolean
find_exchanged (SyncRun *run, const GPtrArray *strangers, gint *to, GError **error)
{
	g_autoptr (GPtrArray) bindings = g_ptr_array_new (), gathered = g_ptr_array_new ();
	gboolean plain = TRUE;
	for (guint i = 0; i < strangers->len; i++) {
		g_ptr_array_add (bindings, ((Stranger *) strangers->pdata[i])->binding);
		g_ptr_array_add (gathered, ((Stranger *) strangers->pdata[i])->g);
	}
	if (!sync_find_exchanged (run, bindings, gathered, to, error))
		return FALSE;
	for (guint i = 0; i < strangers->len; i++) {
		const Stranger *s = strangers->pdata[i];
		plain &= to[i] < 0 || sync_may_be_renamed (run, s->folder, s->binding);
	}
	for (guint i = 0; i < strangers->len && !plain; i++)
		to[i] = -1;
	return TRUE;
}

/* What a run does with them: those that exchanged their names are called so; what somebody emptied is no other mail. */
static gboolean
settle_strangers (SyncRun *run, const GPtrArray *strangers, GError **error)
{
	g_autofree gint *to = g_new (gint, strangers->len + 1);
	if (!find_exchanged (run, strangers, to, error))
		return FALSE;
	for (guint i = 0; i < strangers->len; i++) {
		const Stranger *s = strangers->pdata[i];
		gboolean emptied = FALSE;
		if (to[i] < 0 && !sync_is_emptied (run, s->binding, s->g, &emptied, error))
			return FALSE;
		s->preview->other_mail &= !emptied;
		if (to[i] < 0)
			continue;
		const char *name = ((Stranger *) strangers->pdata[to[i]])->binding->remote_name;
		g_autoptr (Gathered) g = sync_gather (run, s->folder->id, name, TRUE, error);
		if (!g)
			return FALSE;
		g_free (s->preview->home);
		s->preview->home = g_strdup (name);
		s->preview->pending = s->flags;
		s->preview->only_here = 0;
		count (run, s->preview, g);
	}
	return TRUE;
}

static gboolean
preview_folders (SyncRun *run, GPtrArray *out, GError **error)
{
	g_autoptr (GPtrArray) folders = store_folders (run->store, error);
	g_autoptr (GPtrArray) bindings = folders ? store_folder_bindings (run->store, error) : NULL;
	if (!bindings)
		return FALSE;
	g_autoptr (GArray) steps = sync_plan_hierarchy (run, folders, bindings, TRUE, error);
	if (!steps)
		return FALSE;
	g_autoptr (GPtrArray) strangers = g_ptr_array_new_with_free_func (stranger_free);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		g_autoptr (FolderBinding) b = store_folder_binding (run->store, f->id, error);
		if (f->local_only)
			continue;
		FolderStep step = {PLAN_BIND, f, b, remote_of (run, steps, f, b), FALSE, FALSE};
		SyncPreview *p = preview_new (f->path, step.remote ? step.remote->name : NULL);
		g_ptr_array_add (out, p);
		if (!b) {
			p->pending = f->total;
			p->only_there = step.remote ? step.remote->messages : 0;
		} else if (!preview_bound (run, &step, p, strangers, error))
			return FALSE;
		sync_progress (run, SYNC_PULL, f->path, FALSE);
	}
	if (!settle_strangers (run, strangers, error))
		return FALSE;
	for (guint i = 0; i < steps->len; i++) {
		const FolderStep *s = &g_array_index (steps, FolderStep, i);
		gboolean doubtful = s->kind == PLAN_REMOVE_HOME && s->remote && s->binding->uidvalidity && s->remote->uidvalidity != s->binding->uidvalidity;
		if (s->kind != PLAN_CREATE_HERE && s->kind != PLAN_RESTORE_HERE && !doubtful)
			continue; /* the last: removed here, and it comes back if there is anything in it that was not here */
		g_assert (s->remote);
		SyncPreview *p = preview_new (NULL, s->remote->name);
		p->only_there = s->remote->messages;
		g_ptr_array_add (out, p);
	}
	return TRUE;
}

gboolean
sync_preview (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, GPtrArray **folders_out, gboolean *other_out,
              GError **error)
{
	SyncResult result = {0};
	guint here, there;
	SyncRun run = {.store = store, .home = home, .options = options, .cancel = cancel, .result = &result, .started = sync_now (),
	               .unwritten = sync_log_lines_new ()};
	g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func ((GDestroyNotify) preview_free);
	gboolean ok = home->class->open (home, cancel, error) && home->class->list (home, &run.remotes, error) &&
	              sync_compare_mailbox (&run, TRUE, &here, &there, other_out, error) && preview_folders (&run, out, error);
	g_clear_pointer (&run.gathered, g_hash_table_unref);
	g_clear_pointer (&run.remotes, g_ptr_array_unref);
	g_array_unref (run.unwritten);
	if (ok)
		*folders_out = g_steal_pointer (&out);
	return ok;
}
