/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-moved.h"
#include "sync-gather.h"
#include <string.h>

/* Octets of evidence, by size and date or with header, beside those of a message: the first pays when one in so many is recognised. */
#define PAYS_BY_SIZE 50
#define PAYS_BY_HEADER 4
#define CHUNK 4000 /* evidence of so many at a time */

static void
arrival_done (gpointer data)
{
	g_free (((Arrival *) data)->state.keywords);
}

GArray *
arrivals_new (void)
{
	GArray *a = g_array_new (FALSE, TRUE, sizeof (Arrival));
	g_array_set_clear_func (a, arrival_done);
	return a;
}

static gboolean
awaits_any (SyncRun *run, const FolderRun *f, gboolean *awaits_out, GError **error)
{
	guint awaited;
	gboolean ok = store_count_awaited (run->store, f->binding->folder, &awaited, error);
	*awaits_out = ok && awaited > 0;
	return ok;
}

typedef struct {
	GHashTable *origins, *sent; /* placements; messages */
} OnTheWay;

static gboolean
is_on_the_way (gpointer data, const MatchHere *h)
{
	OnTheWay *w = data;
	return g_hash_table_contains (w->origins, &h->known.placement) || g_hash_table_contains (w->sent, &h->known.message);
}

/* Those of @here that are on their way to @f, or that it was sent, are looked for by who sends them. */
static gboolean
put_aside (SyncRun *run, const FolderRun *f, GArray *here, GArray *aside, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (run->store, f->binding->folder, error);
	g_autoptr (GHashTable) origins = g_hash_table_new (g_int64_hash, g_int64_equal), sent = g_hash_table_new (g_int64_hash, g_int64_equal);
	OnTheWay way = {origins, sent};
	if (!pendings)
		return FALSE;
	for (guint i = 0; i < pendings->len; i++) {
		Pending *p = pendings->pdata[i];
		if (p->origin)
			g_hash_table_add (origins, &p->origin);
		if (p->watermark)
			g_hash_table_add (sent, &p->message);
	}
	match_here_part (here, is_on_the_way, &way, aside);
	return TRUE;
}

static void
take_arrivals (const Match *m, GArray *arrivals)
{
	for (guint i = 0; i < m->here->len; i++) {
		const MatchHere *h = &g_array_index (m->here, MatchHere, i);
		if (h->there < 0)
			continue;
		const RemoteEvidence *e = &g_array_index (m->there, RemoteEvidence, h->there);
		Arrival a = {.uid = e->uid, .message = h->known.message, .placement = h->known.placement, .old_uid = h->known.remote_uid, .moved_on = h->known.gone,
		             .state = {e->uid, e->flags, g_strdup (e->keywords), e->modseq}, .size = e->size, .received = e->received};
		g_array_append_val (arrivals, a);
	}
}

/* Matches @there, whose headers are read where they decide. */
static gboolean
match_headers (SyncRun *run, FolderRun *f, GArray *here, GArray *there, GArray *arrivals, GError **error)
{
	g_autoptr (Match) m = match_new (here, there);
	g_auto (UidSet) undecided = UID_SET_INIT;
	g_autoptr (GArray) headers = NULL;
	match_undecided (m, FALSE, &undecided);
	if (!uid_set_is_empty (&undecided) && !sync_look (run, f->binding->remote_name, f->binding->uidvalidity, &undecided, EVIDENCE_HEADER, &headers, error))
		return FALSE;
	if (headers)
		match_add_headers (there, headers);
	match_by_header (m);
	take_arrivals (m, arrivals);
	return TRUE;
}

/* ---- Moved at the home ---- */

static gboolean
find_among_new (SyncRun *run, FolderRun *f, GArray *here, GArray *arrivals, GError **error)
{
	guint64 wanted = uid_set_count (&f->wanted);
	EvidenceLevel level = wanted > (guint64) here->len * PAYS_BY_HEADER ? EVIDENCE_SIZE : EVIDENCE_HEADER;
	g_autoptr (GArray) there = NULL;
	if (wanted > (guint64) here->len * PAYS_BY_SIZE)
		return TRUE;
	return sync_look (run, f->binding->remote_name, f->binding->uidvalidity, &f->wanted, level, &there, error) &&
	       (!there || match_headers (run, f, here, there, arrivals, error));
}

static gboolean
is_matched (gpointer data, const MatchHere *h)
{
	return h->there >= 0;
}

static gboolean
take_if_awaited_here (gpointer here, const KnownMessage *k)
{
	return !k->awaited || k->gone || gathered_take_known (here, k);
}

static gboolean
is_in (gpointer placements, const MatchHere *h)
{
	return g_hash_table_contains (placements, &h->known.placement);
}

/* What @f awaits comes first. */
static gboolean
find_beside_awaited (SyncRun *run, FolderRun *f, GArray *here, GArray *arrivals, GError **error)
{
	g_autoptr (GArray) all = match_here_new (), awaited = match_here_new ();
	g_autoptr (GHashTable) own = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	if (!store_each_known (run->store, f->binding->folder, take_if_awaited_here, all, error))
		return FALSE;
	for (guint i = 0; i < all->len; i++)
		g_hash_table_add (own, g_memdup2 (&g_array_index (all, MatchHere, i).known.placement, sizeof (gint64)));
	match_here_part (here, NULL, NULL, all);
	gboolean ok = find_among_new (run, f, all, arrivals, error);
	for (guint i = arrivals->len; i > 0; i--)
		if (g_hash_table_contains (own, &g_array_index (arrivals, Arrival, i - 1).placement))
			g_array_remove_index (arrivals, i - 1);
	match_here_part (all, is_in, own, awaited);
	match_here_part (all, NULL, NULL, here);
	return ok;
}

gboolean
sync_find_moved (SyncRun *run, FolderRun *f, gboolean also_awaiting, GArray *here, GArray *arrivals, GError **error)
{
	gboolean awaits;
	g_autoptr (GArray) aside = match_here_new (), matched = match_here_new ();
	if (uid_set_is_empty (&f->wanted) || here->len == 0)
		return TRUE;
	if (!awaits_any (run, f, &awaits, error) || (!(awaits && also_awaiting) && !put_aside (run, f, here, aside, error)))
		return FALSE;
	gboolean ok = (awaits && !also_awaiting ? find_beside_awaited : find_among_new) (run, f, here, arrivals, error);
	if (!also_awaiting && arrivals->len)
		match_here_part (here, is_matched, NULL, matched);
	match_here_part (aside, NULL, NULL, here);
	return ok;
}

/* ---- Moved by, or during, a migration ----
 *
 * What a folder awaits may still arrive in it, and what looks like it elsewhere may be a copy. So nothing is moved here unless all that the folder
 * awaits is found, each in one other folder, and not in one that has copies of what is where it was; what is less certain stays held. As long as the
 * rest is missing, what is found is linked as a copy, and noted: it moved, if the rest arrives and that is still missing. */

#define SAME_WAY 3     /* of a folder's mail here, found in one folder there: that is where it went, and what was removed here, too */
#define COPIES_SHARE 4 /* so many times fewer known messages beside those that are found, and it is a folder of copies */

typedef struct {
	gint64 folder;
	gboolean everything; /* what all folders have: no whole is to be found */
	gboolean absent;     /* gone at home: what is found is no copy of what is still there */
	guint awaited, found; /* without what was removed here */
} Origin;

typedef struct {
	GArray *here, *removed; /* MatchHere: what is awaited, and what of that was removed here */
	GHashTable *from;       /* placement -> Origin */
	GPtrArray *origins;
} Awaited;

static void
awaited_init (Awaited *a)
{
	*a = (Awaited){match_here_new (), match_here_new (), g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL), g_ptr_array_new_with_free_func (g_free)};
}

static void
awaited_clear (Awaited *a)
{
	g_array_unref (a->here);
	g_array_unref (a->removed);
	g_hash_table_unref (a->from);
	g_ptr_array_unref (a->origins);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Awaited, awaited_clear)

static gboolean
take_awaited (gpointer data, const KnownMessage *k)
{
	Awaited *a = data;
	Origin *origin = a->origins->pdata[a->origins->len - 1];
	if (k->pending || (k->gone && origin->everything))
		return TRUE;
	g_hash_table_insert (a->from, g_memdup2 (&k->placement, sizeof k->placement), origin);
	origin->awaited += !k->gone;
	return gathered_take_known (k->gone ? a->removed : a->here, k);
}

static gboolean
take_if_awaited (gpointer data, const KnownMessage *k)
{
	return !k->awaited || take_awaited (data, k);
}

static gboolean
gather_from (SyncRun *run, const Hold *h, gboolean of_everything, Awaited *a, GError **error)
{
	gboolean other_mail = strcmp (h->kind, "identity") == 0;
	const FolderRun *f = other_mail || strcmp (h->kind, "rebind") == 0 ? sync_folder_run (run, h->folder) : NULL;
	if ((f && ((f->failed && !other_mail) || !f->folder->id || of_everything || sync_has_everything (f))) || (!f && !sync_is_absent (run, h->folder)))
		return TRUE;
	g_autoptr (Folder) folder = store_folder (run->store, h->folder, error);
	gboolean everything = folder && g_strcmp0 (folder->role, "all") == 0;
	if (!folder || everything != of_everything)
		return folder != NULL;
	Origin origin = {h->folder, everything, f == NULL, other_mail, 0}; /* of which more is missing than is known */
	g_ptr_array_add (a->origins, g_memdup2 (&origin, sizeof origin));
	return store_each_known (run->store, h->folder, f && !other_mail ? take_if_awaited : take_awaited, a, error);
}

/* What folders that are held wait for, and all of those that are gone at home, or have other mail there, and are held. The first of equals is taken: of those that are here, then of
 * what all folders have, then of those that were removed here. */
static gboolean
gather_awaited (SyncRun *run, Awaited *a, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	for (int of_everything = FALSE; of_everything <= TRUE; of_everything++)
		for (guint i = 0; holds && i < holds->len; i++)
			if (!gather_from (run, holds->pdata[i], of_everything, a, error))
				return FALSE;
	match_here_part (a->removed, NULL, NULL, a->here);
	return holds != NULL;
}

/* What more than one folder has is not guessed. */
static void
drop_ambiguous (GPtrArray *lists)
{
	g_autoptr (GHashTable) places = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	for (guint i = 0; i < lists->len; i++) {
		const GArray *arrivals = lists->pdata[i];
		for (guint k = 0; k < arrivals->len; k++) {
			gint64 placement = g_array_index (arrivals, Arrival, k).placement;
			guint n = GPOINTER_TO_UINT (g_hash_table_lookup (places, &placement));
			g_hash_table_insert (places, g_memdup2 (&placement, sizeof placement), GUINT_TO_POINTER (n + 1));
		}
	}
	for (guint i = 0; i < lists->len; i++) {
		GArray *arrivals = lists->pdata[i];
		for (guint k = arrivals->len; k > 0; k--)
			if (GPOINTER_TO_UINT (g_hash_table_lookup (places, &g_array_index (arrivals, Arrival, k - 1).placement)) > 1)
				g_array_remove_index (arrivals, k - 1);
	}
}

static gboolean
note_like (gpointer data, const KnownMessage *k)
{
	*(gboolean *) data = TRUE;
	return FALSE;
}

/* Many of the other new messages of @f are known, too: they are where they were, and these are copies. */
static gboolean
has_copies (SyncRun *run, const FolderRun *f, const GArray *arrivals, gboolean *copies_out, GError **error)
{
	g_auto (UidSet) others = UID_SET_INIT, found = UID_SET_INIT;
	g_autoptr (GArray) there = NULL;
	guint known = 0;
	*copies_out = FALSE;
	for (guint i = 0; i < arrivals->len; i++)
		uid_set_add (&found, g_array_index (arrivals, Arrival, i).uid);
	uid_set_copy (&others, &f->wanted);
	uid_set_remove_set (&others, &found);
	if (uid_set_is_empty (&others) || !sync_look (run, f->binding->remote_name, f->binding->uidvalidity, &others, EVIDENCE_SIZE, &there, error))
		return uid_set_is_empty (&others);
	for (guint i = 0; there && i < there->len; i++) {
		const RemoteEvidence *e = &g_array_index (there, RemoteEvidence, i);
		gboolean like = FALSE;
		if (!store_each_like (run->store, e->received, e->size, note_like, &like, error))
			return FALSE;
		known += like;
	}
	*copies_out = known * COPIES_SHARE >= arrivals->len && known > 0;
	return TRUE;
}

/* Of each of @folders, in order. */
static GPtrArray *
arrivals_of_awaited (SyncRun *run, GPtrArray *folders, GArray *here, GError **error)
{
	g_autoptr (GPtrArray) lists = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		GArray *arrivals = arrivals_new ();
		gboolean copies = FALSE;
		g_ptr_array_add (lists, arrivals);
		if (f->failed || sync_has_everything (f) || !f->folder->id)
			continue;
		if (!sync_find_moved (run, f, TRUE, here, arrivals, error) || (arrivals->len && !has_copies (run, f, arrivals, &copies, error)))
			return NULL;
		if (copies)
			g_array_set_size (arrivals, 0);
	}
	drop_ambiguous (lists);
	return g_steal_pointer (&lists);
}

static void
add_open (GArray *open, const Arrival *a)
{
	Arrival copy = *a;
	copy.state.keywords = g_strdup (a->state.keywords);
	copy.placement = 0; /* which stays where it is */
	g_array_append_val (open, copy);
}

/* What was removed here stays a new message there, unless others of its folder plainly went the same way. @open gets those of folders of which
 * more is missing. */
static void
drop_uncertain (GArray *arrivals, GHashTable *from, GArray *open)
{
	g_autoptr (GHashTable) same_way = g_hash_table_new (NULL, NULL);
	for (guint i = 0; i < arrivals->len; i++) {
		const Arrival *a = &g_array_index (arrivals, Arrival, i);
		Origin *origin = g_hash_table_lookup (from, &a->placement);
		guint n = GPOINTER_TO_UINT (g_hash_table_lookup (same_way, origin));
		g_hash_table_insert (same_way, origin, GUINT_TO_POINTER (n + !a->moved_on));
	}
	for (guint i = arrivals->len; i > 0; i--) {
		const Arrival *a = &g_array_index (arrivals, Arrival, i - 1);
		const Origin *origin = g_hash_table_lookup (from, &a->placement);
		gboolean whole = origin->everything || origin->absent || origin->found == origin->awaited;
		if (!whole && !a->moved_on)
			add_open (open, a);
		if (!whole || (a->moved_on && GPOINTER_TO_UINT (g_hash_table_lookup (same_way, origin)) < SAME_WAY))
			g_array_remove_index (arrivals, i - 1);
	}
}

static void
count_found (const GPtrArray *lists, GHashTable *from)
{
	for (guint i = 0; i < lists->len; i++) {
		const GArray *arrivals = lists->pdata[i];
		for (guint k = 0; k < arrivals->len; k++) {
			const Arrival *a = &g_array_index (arrivals, Arrival, k);
			((Origin *) g_hash_table_lookup (from, &a->placement))->found += !a->moved_on;
		}
	}
}

static gboolean
move_awaited (SyncRun *run, FolderRun *f, const GArray *arrivals, GHashTable *from, GError **error)
{
	for (guint i = 0; i < arrivals->len; i++) {
		const Arrival *a = &g_array_index (arrivals, Arrival, i);
		FolderRun *origin = sync_folder_run (run, ((Origin *) g_hash_table_lookup (from, &a->placement))->folder);
		if (!a->moved_on && !store_remove (run->store, a->placement, "home", error))
			return FALSE;
		if (!origin)
			continue;
		origin->removed_here += !a->moved_on;
		origin->awaiting = TRUE;
	}
	sync_log_detail (run, "%u item(s) that other folders waited for are in folder '%s' now", arrivals->len, f->folder->path);
	return sync_place_arrivals (run, f, arrivals, error) && (!uid_set_is_empty (&f->wanted) || sync_mark_complete (run, f, error));
}

#define COPIES "copies-of-awaited" /* setting: placements, as a set of numbers */
#define MAX_RANGES 1000000

static gboolean
read_copies (SyncRun *run, UidSet *placements)
{
	g_autofree char *text = store_setting (run->store, COPIES);
	return text && uid_set_parse (placements, text, MAX_RANGES) && !uid_set_is_empty (placements);
}

static gboolean
write_copies (SyncRun *run, const UidSet *placements, GError **error)
{
	g_autoptr (GString) text = g_string_new (NULL);
	uid_set_format (placements, text);
	return store_set_setting (run->store, COPIES, text->len ? text->str : NULL, error);
}

static gboolean
note_copies (SyncRun *run, const FolderRun *f, const GArray *arrivals, GError **error)
{
	g_auto (UidSet) placements = UID_SET_INIT;
	read_copies (run, &placements);
	for (guint i = 0; i < arrivals->len; i++) {
		PlacementBinding b;
		gboolean found;
		if (!store_binding_by_uid (run->store, f->binding->folder, g_array_index (arrivals, Arrival, i).uid, &b, &found, error))
			return FALSE;
		if (!found)
			continue;
		if (b.placement <= G_MAXUINT32)
			uid_set_add (&placements, (guint32) b.placement);
		placement_binding_done (&b);
	}
	return write_copies (run, &placements, error);
}

/* Copies or moved, that shows when the rest has arrived (sync_settle_copies): they are linked, not fetched, and what is awaited stays so. */
static gboolean
link_open (SyncRun *run, FolderRun *f, const GArray *open, GError **error)
{
	sync_log_detail (run, "%u item(s) in folder '%s' look like what other folders wait for: they are linked, not fetched", open->len, f->folder->path);
	return sync_place_arrivals (run, f, open, error) && note_copies (run, f, open, error) &&
	       (!uid_set_is_empty (&f->wanted) || sync_mark_complete (run, f, error));
}

static gboolean
place_found (SyncRun *run, FolderRun *f, const GArray *arrivals, const GArray *open, GHashTable *from, GError **error)
{
	gboolean bound = TRUE;
	if (arrivals->len + open->len == 0)
		return TRUE;
	gboolean ok = store_has_bound (run->store, f->binding->folder, &bound, error);
	f->was_new |= !bound;
	ok = ok && sync_begin (run, error) && (arrivals->len == 0 || move_awaited (run, f, arrivals, from, error)) &&
	     (open->len == 0 || link_open (run, f, open, error)) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

static gboolean
find_awaited (SyncRun *run, GPtrArray *folders, Awaited *a, GError **error)
{
	if (!gather_awaited (run, a, error))
		return FALSE;
	g_autoptr (GPtrArray) lists = a->here->len ? arrivals_of_awaited (run, folders, a->here, error) : NULL;
	if (!lists)
		return a->here->len == 0;
	count_found (lists, a->from);
	gboolean ok = TRUE;
	for (guint i = 0; ok && i < folders->len; i++) {
		GArray *arrivals = lists->pdata[i];
		g_autoptr (GArray) open = arrivals_new ();
		drop_uncertain (arrivals, a->from, open);
		ok = place_found (run, folders->pdata[i], arrivals, open, a->from, error);
	}
	return ok;
}

gboolean
sync_find_awaited (SyncRun *run, GPtrArray *folders, GError **error)
{
	gboolean any = FALSE;
	for (guint i = 0; i < folders->len; i++)
		any |= !uid_set_is_empty (&((FolderRun *) folders->pdata[i])->wanted);
	if (!any)
		return TRUE;
	g_auto (Awaited) a = {0};
	awaited_init (&a);
	return find_awaited (run, folders, &a, error);
}

/* What looked like awaited mail, and was linked as a copy of it: it moved, if in the end all that its folder awaits is such. */
typedef struct {
	FolderRun *f;
	gint64 placement;
	gboolean taken; /* or one of several */
} Linked;

/* Message -> Linked. */
static gboolean
find_linked (SyncRun *run, const UidSet *placements, GHashTable *linked, GError **error)
{
	UidIter it = {0};
	guint32 id;
	while (uid_set_next (placements, &it, &id)) {
		g_autoptr (Placement) p = store_placement (run->store, id, NULL);
		FolderRun *f = p ? sync_folder_run (run, p->folder) : NULL;
		PlacementBinding b;
		gboolean found = FALSE;
		if (!f || f->failed)
			continue;
		if (!store_binding_of (run->store, id, &b, &found, error))
			return FALSE;
		if (!found)
			continue;
		Linked l = {f, id, g_hash_table_contains (linked, &p->message)};
		if (b.remote_uid && !b.gone)
			g_hash_table_insert (linked, g_memdup2 (&p->message, sizeof p->message), g_memdup2 (&l, sizeof l));
		placement_binding_done (&b);
	}
	return TRUE;
}

/* Each in a place of its own, and not where it is awaited. */
static gboolean
are_all_linked (const GArray *awaited, gint64 folder, GHashTable *linked)
{
	gboolean all = awaited->len > 0;
	for (guint i = 0; i < awaited->len && all; i++) {
		Linked *l = g_hash_table_lookup (linked, &g_array_index (awaited, MatchHere, i).known.message);
		all = l && !l->taken && l->f->binding->folder != folder;
		if (l)
			l->taken = TRUE;
	}
	return all;
}

/* What is pending for @k goes on for @l. */
static gboolean
become (SyncRun *run, const KnownMessage *k, const Linked *l, GError **error)
{
	g_auto (LostChange) c = {0};
	g_autoptr (Placement) p = store_placement (run->store, l->placement, error);
	gboolean found;
	if (!p || !store_remove (run->store, k->placement, "home", error) || !store_take_lost_change (run->store, k->message, &c, &found, error) ||
	    !store_forget_removed (run->store, k->message, error))
		return FALSE;
	if (!found)
		return TRUE;
	g_autofree char *keywords = keywords_merge (c.base_keywords, c.keywords, p->keywords);
	return store_set_flags (run->store, p->id, plan_merge_flags (c.base_flags, c.flags, p->flags), keywords, error);
}

static gboolean
settle_origin (SyncRun *run, const Hold *h, const Awaited *a, GHashTable *linked, UidSet *placements, GError **error)
{
	g_auto (UidSet) settled = UID_SET_INIT;
	FolderRun *origin = sync_folder_run (run, h->folder);
	if (!are_all_linked (a->here, h->folder, linked))
		return TRUE;
	if (strcmp (h->kind, "identity") == 0)
		return sync_look_again (run, h->folder, error); /* it was emptied: the next run finds so */
	sync_log_detail (run, "%u item(s) that %s%s%s waited for are in the folders in which they were linked", a->here->len, origin ? "folder '" : "a folder that is gone",
	                 origin ? origin->folder->path : "", origin ? "'" : "");
	for (guint i = 0; i < a->here->len; i++) {
		const KnownMessage *k = &g_array_index (a->here, MatchHere, i).known;
		const Linked *l = g_hash_table_lookup (linked, &k->message);
		if (!become (run, k, l, error))
			return FALSE;
		uid_set_add (&settled, (guint32) l->placement);
	}
	if (origin) {
		origin->removed_here += a->here->len;
		origin->awaiting = TRUE;
	}
	uid_set_remove_set (placements, &settled);
	return write_copies (run, placements, error);
}

/* Nothing came to it in this run: what it awaits is not on its way just now. */
static gboolean
is_at_rest (SyncRun *run, const Hold *h)
{
	const FolderRun *f = sync_folder_run (run, h->folder);
	return h->decision == HOLD_WAITS && !(f && (f->rebound || f->arrived));
}

static gboolean
settle_copies (SyncRun *run, const GPtrArray *holds, UidSet *placements, GError **error)
{
	g_autoptr (GHashTable) linked = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
	if (!find_linked (run, placements, linked, error))
		return FALSE;
	for (guint i = 0; i < holds->len; i++) {
		const Hold *h = holds->pdata[i];
		g_auto (Awaited) a = {0};
		awaited_init (&a);
		if (!is_at_rest (run, h))
			continue;
		gboolean ok = gather_from (run, h, FALSE, &a, error) && sync_begin (run, error) && settle_origin (run, h, &a, linked, placements, error) &&
		              sync_commit (run, error);
		store_rollback (run->store);
		FolderRun *f = sync_folder_run (run, h->folder);
		if (!ok || (f && f->awaiting && !sync_told_awaited (run, f, error)))
			return FALSE;
	}
	return TRUE;
}

gboolean
sync_settle_copies (SyncRun *run, GError **error)
{
	g_auto (UidSet) placements = UID_SET_INIT;
	if (run->options->folders || !read_copies (run, &placements))
		return TRUE;
	gboolean missing;
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	if (!holds || !sync_is_mail_missing (run, &missing, error))
		return FALSE;
	if (missing)
		return settle_copies (run, holds, &placements, error);
	gboolean ok = sync_begin (run, error) && store_set_setting (run->store, COPIES, NULL, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok;
}

/* ---- A run of some folders ---- */

/* As listed it is not the folder that is bound, or a few known messages say so of one like it. */
static gboolean
is_not_what_it_was (SyncRun *run, const FolderBinding *b)
{
	const RemoteFolder *r = sync_listed (run, b->remote_name);
	if (!r || !r->has_status || !b->uidvalidity)
		return FALSE;
	return run->doubted || r->uidvalidity != b->uidvalidity || r->uidnext < b->uidnext || (b->remote_id && r->id && strcmp (b->remote_id, r->id) != 0);
}

typedef struct {
	GArray *here; /* MatchHere */
	gint64 folder;
	gboolean all; /* else what is awaited */
} Unsettled;

static gboolean
take_unsettled (gpointer data, const KnownMessage *k)
{
	Unsettled *u = data;
	if (k->pending || !(u->all || k->awaited))
		return TRUE;
	gathered_take_known (u->here, k);
	g_array_index (u->here, MatchHere, u->here->len - 1).folder = u->folder;
	return TRUE;
}

static gboolean
is_held_for_other_mail (const GPtrArray *holds, gint64 folder)
{
	gboolean held = FALSE;
	for (guint i = 0; i < holds->len && !held; i++) {
		const Hold *h = holds->pdata[i];
		held = h->folder == folder && strcmp (h->kind, "identity") == 0;
	}
	return held;
}

/* What may be in other folders of the home than it was. */
static GArray *
gather_unsettled (SyncRun *run, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error), bindings = holds ? store_folder_bindings (run->store, error) : NULL;
	g_autoptr (GArray) here = match_here_new ();
	for (guint i = 0; bindings && i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		const FolderRun *f = sync_folder_run (run, b->folder);
		gboolean looked_into = f && !f->failed;
		gboolean other = sync_is_absent (run, b->folder) || is_held_for_other_mail (holds, b->folder);
		Unsettled u = {here, b->folder, other || (!looked_into && is_not_what_it_was (run, b))};
		guint awaited = 0;
		if (!u.all && !store_count_awaited (run->store, b->folder, &awaited, error))
			return NULL;
		if ((u.all || awaited) && !store_each_known (run->store, b->folder, take_unsettled, &u, error))
			return NULL;
	}
	return bindings ? g_steal_pointer (&here) : NULL;
}

static gboolean
is_of_folder (gpointer folder, const MatchHere *h)
{
	return h->folder == *(gint64 *) folder;
}

static gboolean
put_off_others (SyncRun *run, FolderRun *f, GArray *here, GError **error)
{
	g_autoptr (GArray) own = match_here_new (), arrivals = arrivals_new ();
	g_auto (UidSet) later = UID_SET_INIT;
	match_here_part (here, is_of_folder, &f->binding->folder, own);
	gboolean ok = here->len == 0 || find_among_new (run, f, here, arrivals, error);
	match_here_part (own, NULL, NULL, here);
	for (guint i = 0; i < arrivals->len; i++)
		uid_set_add (&later, g_array_index (arrivals, Arrival, i).uid);
	uid_set_remove_set (&f->wanted, &later);
	if (arrivals->len && !f->put_off)
		sync_left_to_others (run, f, "some of what is new in it looks like mail of folders that this run does not look into");
	f->put_off |= arrivals->len > 0;
	return ok;
}

gboolean
sync_put_off_others (SyncRun *run, GPtrArray *folders, GError **error)
{
	g_autoptr (GArray) here = NULL;
	for (guint i = 0; i < folders->len; i++) {
		FolderRun *f = folders->pdata[i];
		if (f->failed || uid_set_is_empty (&f->wanted))
			continue;
		if (!here && !(here = gather_unsettled (run, error)))
			return FALSE;
		if (!put_off_others (run, f, here, error))
			return FALSE;
	}
	return TRUE;
}

/* ---- A folder of everything ---- */

static gint
by_size (gconstpointer a, gconstpointer b)
{
	const RemoteEvidence *x = *(const RemoteEvidence *const *) a, *y = *(const RemoteEvidence *const *) b;
	return x->received != y->received ? (x->received > y->received) - (x->received < y->received) : (x->size > y->size) - (x->size < y->size);
}

/* All here that has the size and date of something there; each message once. */
static GArray *
candidates (SyncRun *run, const GArray *there, GError **error)
{
	g_autoptr (GPtrArray) sorted = g_ptr_array_sized_new (there->len);
	g_autoptr (GArray) here = match_here_new ();
	for (guint i = 0; i < there->len; i++)
		g_ptr_array_add (sorted, &g_array_index (there, RemoteEvidence, i));
	g_ptr_array_sort (sorted, by_size);
	for (guint i = 0; i < sorted->len; i++) {
		const RemoteEvidence *e = sorted->pdata[i];
		if ((i == 0 || by_size (&sorted->pdata[i - 1], &sorted->pdata[i]) != 0) &&
		    !store_each_like (run->store, e->received, e->size, gathered_take_known, here, error))
			return NULL;
	}
	return g_steal_pointer (&here);
}

static gboolean
note_expected (gpointer data, const KnownMessage *k)
{
	if (k->awaited || k->pending)
		g_hash_table_add (data, g_memdup2 (&k->received, sizeof k->received));
	return TRUE;
}

/* What may be expected is looked for otherwise, and fetched if it is not found. */
static void
drop_expected (GArray *there, GHashTable *expected)
{
	for (guint i = there->len; i > 0; i--)
		if (g_hash_table_contains (expected, &g_array_index (there, RemoteEvidence, i - 1).received))
			g_array_remove_index (there, i - 1);
}

static gboolean
link_chunk (SyncRun *run, FolderRun *f, const UidSet *chunk, GHashTable *expected, GError **error)
{
	g_autoptr (GArray) there = NULL;
	if (!cancel_check (run->cancel, error) || !sync_look (run, f->binding->remote_name, f->binding->uidvalidity, chunk, EVIDENCE_SIZE, &there, error))
		return FALSE;
	if (!there)
		return TRUE;
	drop_expected (there, expected);
	g_autoptr (GArray) here = candidates (run, there, error), arrivals = arrivals_new ();
	if (!here || !match_headers (run, f, here, there, arrivals, error))
		return FALSE;
	gboolean ok = arrivals->len == 0 || (sync_begin (run, error) && sync_place_arrivals (run, f, arrivals, error) && sync_commit (run, error));
	store_rollback (run->store);
	return ok;
}

gboolean
sync_link_copies (SyncRun *run, FolderRun *f, GError **error)
{
	g_auto (UidSet) rest = UID_SET_INIT;
	g_autoptr (GHashTable) expected = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL); /* dates */
	if (!store_each_known (run->store, f->binding->folder, note_expected, expected, error))
		return FALSE;
	uid_set_copy (&rest, &f->wanted);
	while (!uid_set_is_empty (&rest)) {
		g_auto (UidSet) chunk = UID_SET_INIT;
		guint64 n = uid_set_count (&rest);
		for (guint64 i = n > CHUNK ? n - CHUNK : 0; i < n; i++)
			uid_set_add (&chunk, uid_set_nth (&rest, i));
		uid_set_remove_set (&rest, &chunk);
		if (!link_chunk (run, f, &chunk, expected, error))
			return FALSE;
	}
	return TRUE;
}

/* ---- Taking them in ---- */

/* Moved there, and moved here meanwhile: this side's move goes on from where the home has it now. */
static gboolean
follow (SyncRun *run, FolderRun *f, const Arrival *a, GError **error)
{
	PlacementBinding b;
	gboolean found;
	if (!store_binding_of (run->store, a->placement, &b, &found, error))
		return FALSE;
	if (!found)
		b = (PlacementBinding){.placement = a->placement, .flags = a->state.flags};
	b.folder = f->binding->folder;
	b.remote_uid = a->uid;
	b.modseq = 0;
	gboolean ok = (found ? store_bind_placement : store_bind_astray) (run->store, &b, error) &&
	              store_rebind (run->store, a->placement, a->uid, a->size, a->received, error) && sync_apply_state (run, f, &a->state, error);
	placement_binding_done (&b);
	return ok;
}

/* It was moved or removed here since it was looked for. *moved_out: moved. */
static gboolean
went_meanwhile (SyncRun *run, const Arrival *a, gboolean *went_out, gboolean *moved_out, GError **error)
{
	PlacementBinding b;
	gint64 target = 0;
	gboolean found = FALSE;
	if (a->placement && !store_binding_of (run->store, a->placement, &b, &found, error))
		return FALSE;
	*went_out = found && b.gone;
	if (found)
		placement_binding_done (&b);
	gboolean ok = !*went_out || store_moved_placement (run->store, a->placement, &target, error);
	*moved_out = target != 0;
	return ok;
}

gboolean
sync_place_arrivals (SyncRun *run, FolderRun *f, const GArray *arrivals, GError **error)
{
	g_auto (UidSet) placed = UID_SET_INIT;
	guint moved_on = 0, left = 0;
	for (guint i = 0; i < arrivals->len; i++) {
		const Arrival *a = &g_array_index (arrivals, Arrival, i);
		PlacementBinding b = {.folder = f->binding->folder, .remote_uid = a->uid, .flags = a->state.flags, .keywords = a->state.keywords,
		                      .modseq = a->state.modseq};
		gboolean went = FALSE, moved = a->moved_on;
		if (!moved && !went_meanwhile (run, a, &went, &moved, error))
			return FALSE;
		if (went && !moved) { /* removed here, moved there: it is new */
			if (!store_unbind_placement (run->store, a->placement, error))
				return FALSE;
			left++;
			continue;
		}
		if (moved) {
			if (!follow (run, f, a, error))
				return FALSE;
			moved_on++;
			uid_set_add (&placed, a->uid);
			continue;
		}
		if (!sync_place (run->store, f->binding->folder, a->message, &a->state, &b.placement, error) ||
		    !store_bind_placement (run->store, &b, error) ||
		    !store_rebind (run->store, b.placement, a->uid, a->size, a->received, error) ||
		    (a->placement && !store_forget_removed (run->store, a->message, error)))
			return FALSE;
		uid_set_add (&placed, a->uid);
	}
	uid_set_remove_set (&f->wanted, &placed);
	f->added_here += arrivals->len - moved_on - left;
	f->recognised += arrivals->len - moved_on - left;
	return TRUE;
}
