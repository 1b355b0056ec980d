/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that a migration gave another name, another UIDVALIDITY and another id is recognised by what is in it: of a new folder at home
 * a sample of messages is looked at, and looked for among those of each folder that is no longer listed. */
#include "sync-overlap.h"
#include "sync-gather.h"
#include <string.h>

#define SAMPLE 100      /* of a new folder, evenly spread */
#define HEADERS 20      /* of them, where sizes and dates tell nothing: a migration changes both */
#define PROVE 3         /* so few messages prove nothing by size and date */
#define PERCENT 80      /* of the sample that must be known: what arrived since is not */
#define LEAST_PART 4    /* a folder with less than this part of the lost one's messages is not that folder */
#define LOOKS 100       /* new folders that a run looks into */
#define ALMOST 90       /* percent of what is in the place of each of two folders that must be the other's: their names were exchanged */
#define NEWEST 50       /* of SAMPLE, where what may be anywhere is looked for: there lies what was moved; the others are evenly spread */

typedef struct {
	const FolderBinding *binding;
	gboolean filling;        /* a new one may have but a few of its messages so far */
	GArray *sizes, *headers; /* guint64, ascending: size and date of each message; digest of its header */
} Lost;

typedef struct {
	const RemoteFolder *remote;
	gint best;     /* index of the lost folder that has most of the sample, -1 none */
	gboolean tied; /* two have */
} New;

static void
lost_done (gpointer data)
{
	Lost *l = data;
	g_array_unref (l->sizes);
	g_array_unref (l->headers);
}

static guint64
key_of (gint64 received, guint64 size)
{
	return (guint64) received * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) ^ size;
}

static int
compare_keys (gconstpointer a, gconstpointer b)
{
	guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;
	return x < y ? -1 : x > y;
}

static gboolean
note_known (gpointer data, const KnownMessage *k)
{
	Lost *l = data;
	guint64 key = key_of (k->received, k->size);
	if (k->pending)
		return TRUE; /* the home never had it */
	g_array_append_val (l->sizes, key);
	g_array_append_val (l->headers, k->digest);
	return TRUE;
}

/* Nothing of what @b knows can be in @r, which is empty and not the one that @b was bound to: a provider makes folders of the usual names. */
static gboolean
is_hollow (const FolderBinding *b, const RemoteFolder *r)
{
	return b->uidvalidity && b->messages >= DIFFERENT_FROM && r->has_status && r->messages == 0 && r->uidvalidity != b->uidvalidity &&
	       !(b->remote_id && r->id && strcmp (b->remote_id, r->id) == 0) && g_ascii_strcasecmp (b->remote_name, "INBOX") != 0;
}

static void
add_lost (GArray *lost, const FolderBinding *b)
{
	Lost l = {b, FALSE, g_array_new (FALSE, FALSE, sizeof (guint64)), g_array_new (FALSE, FALSE, sizeof (guint64))};
	g_array_append_val (lost, l);
}

static gboolean
read_lost (SyncRun *run, GArray *lost, GError **error)
{
	for (guint i = 0; i < lost->len; i++) {
		Lost *l = &g_array_index (lost, Lost, i);
		if (!store_each_known (run->store, l->binding->folder, note_known, l, error))
			return FALSE;
		g_array_sort (l->sizes, compare_keys);
		g_array_sort (l->headers, compare_keys);
	}
	return TRUE;
}

static void
add_hollow (SyncRun *run, const GPtrArray *bindings, GArray *lost)
{
	for (guint i = 0; i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		for (guint k = 0; k < run->remotes->len && !b->folder_gone; k++) {
			const RemoteFolder *r = run->remotes->pdata[k];
			if (strcmp (r->name, b->remote_name) == 0 && is_hollow (b, r))
				add_lost (lost, b);
		}
	}
}

/* The folders here that the plan would take for removed at home or for empty ones, and those there that it would take for new. */
static gboolean
find_both (SyncRun *run, const GPtrArray *bindings, const GArray *steps, GArray *lost, GArray *fresh, GError **error)
{
	add_hollow (run, bindings, lost);
	for (guint i = 0; i < steps->len; i++) {
		const FolderStep *step = &g_array_index (steps, FolderStep, i);
		if (step->kind == PLAN_CREATE_HERE && step->remote->selectable && step->remote->messages > 0 && fresh->len < LOOKS) {
			New n = {step->remote, -1, FALSE};
			g_array_append_val (fresh, n);
		}
		if (step->folder && g_strcmp0 (step->folder->role, "all") == 0)
			continue; /* it has the messages of every other folder */
		gboolean removed = step->kind == PLAN_REMOVE_HERE && step->binding->uidvalidity;
		if (removed || (step->kind == PLAN_RENAME_HERE && is_hollow (step->binding, step->remote)))
			add_lost (lost, step->binding);
	}
	if (fresh->len > 0 && !read_lost (run, lost, error))
		return FALSE;
	return TRUE;
}

/* Up to @n of @all, evenly spread. */
static void
sample_of (const UidSet *all, guint n, UidSet *sample_out)
{
	guint64 count = uid_set_count (all);
	uid_set_clear (sample_out);
	for (guint i = 0; i < MIN (n, count); i++)
		uid_set_add (sample_out, uid_set_nth (all, i * count / MIN (n, count)));
}

static guint
count_known (const GArray *keys, const GArray *sample, gboolean headers)
{
	guint n = 0;
	for (guint i = 0; i < sample->len; i++) {
		const RemoteEvidence *e = &g_array_index (sample, RemoteEvidence, i);
		guint64 key = headers ? e->digest : key_of (e->received, e->size);
		n += (!headers || e->has_header) && g_array_binary_search ((GArray *) keys, &key, compare_keys, NULL);
	}
	return n;
}

/* Part of a folder may be anything, unless it comes where all is numbered anew, or after the folder went: then the rest is on its way. */
static gboolean
has_enough (const RemoteFolder *r, const Lost *l)
{
	return (guint64) r->messages * LEAST_PART >= l->sizes->len || (l->filling && !r->role && r->messages >= DIFFERENT_FROM);
}

/* Which lost folder has most of the sample, if it is enough. */
static void
choose (New *n, const GArray *lost, const GArray *sample, gboolean headers)
{
	guint most = 0;
	for (guint i = 0; i < lost->len; i++) {
		const Lost *l = &g_array_index (lost, Lost, i);
		guint known = count_known (headers ? l->headers : l->sizes, sample, headers);
		if (known * 100 < sample->len * PERCENT || known < most || known == 0 || !has_enough (n->remote, l))
			continue;
		n->tied = known == most;
		n->best = (gint) i;
		most = known;
	}
}

static gboolean
look_into (SyncRun *run, New *n, const FolderQuery *q, const GArray *lost, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	g_autoptr (GArray) sample = NULL, headers = NULL;
	if (q->error || !q->has_all_uids || uid_set_is_empty (&q->all_uids))
		return TRUE;
	sample_of (&q->all_uids, SAMPLE, &uids);
	if (uid_set_count (&uids) > PROVE) {
		if (!sync_look (run, n->remote->name, q->uidvalidity_now, &uids, EVIDENCE_SIZE, &sample, error))
			return FALSE;
		if (sample)
			choose (n, lost, sample, FALSE);
	}
	if (n->best >= 0)
		return TRUE;
	sample_of (&q->all_uids, HEADERS, &uids);
	if (!sync_look (run, n->remote->name, q->uidvalidity_now, &uids, EVIDENCE_HEADER, &headers, error))
		return FALSE;
	if (headers)
		choose (n, lost, headers, TRUE);
	return TRUE;
}

static gboolean
look_into_all (SyncRun *run, GArray *fresh, const GArray *lost, GError **error)
{
	g_autofree FolderQuery *queries = g_new0 (FolderQuery, fresh->len);
	for (guint i = 0; i < fresh->len; i++)
		queries[i] = (FolderQuery){.name = g_array_index (fresh, New, i).remote->name, .kind = QUERY_UIDS};
	gboolean ok = run->home->class->query (run->home, queries, fresh->len, error);
	for (guint i = 0; i < fresh->len; i++) {
		ok = ok && look_into (run, &g_array_index (fresh, New, i), &queries[i], lost, error);
		folder_query_done (&queries[i]);
	}
	return ok;
}

/* Every folder with mail has another UIDVALIDITY than it had. */
static gboolean
is_numbered_anew (SyncRun *run, const GPtrArray *bindings)
{
	gboolean any = FALSE;
	for (guint i = 0; i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		const RemoteFolder *r = b->uidvalidity && b->messages && !b->folder_gone ? sync_listed (run, b->remote_name) : NULL;
		if (!r || !r->has_status)
			continue;
		if (r->uidvalidity == b->uidvalidity)
			return FALSE;
		any = TRUE;
	}
	return any;
}

static gboolean
note_filling (SyncRun *run, const GPtrArray *bindings, GArray *lost, GError **error)
{
	gboolean anew = is_numbered_anew (run, bindings);
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	if (!holds)
		return FALSE;
	for (guint i = 0; i < lost->len; i++) {
		Lost *l = &g_array_index (lost, Lost, i);
		l->filling = anew;
		for (guint k = 0; k < holds->len && !l->filling; k++)
			l->filling = ((Hold *) holds->pdata[k])->folder == l->binding->folder && ((Hold *) holds->pdata[k])->decision == HOLD_WAITS;
	}
	return TRUE;
}

/* Only where neither of the two could be another one. */
static void
take_pairs (SyncRun *run, const GArray *fresh, const GArray *lost, GArray *recognised)
{
	for (guint i = 0; i < fresh->len; i++) {
		const New *n = &g_array_index (fresh, New, i);
		gboolean sole = n->best >= 0 && !n->tied;
		for (guint j = 0; sole && j < fresh->len; j++)
			sole = j == i || g_array_index (fresh, New, j).best != n->best;
		if (!sole)
			continue;
		const FolderBinding *b = g_array_index (lost, Lost, n->best).binding;
		FolderPair pair = {b->folder, n->remote};
		g_array_append_val (recognised, pair);
		sync_log_detail (run, "folder '%s' is '%s' at home now: its items are there", b->base_name, n->remote->name);
	}
}

gboolean
sync_recognise_folders (SyncRun *run, const GPtrArray *bindings, const GArray *steps, GArray *recognised, GError **error)
{
	g_autoptr (GArray) lost = g_array_new (FALSE, FALSE, sizeof (Lost)), fresh = g_array_new (FALSE, FALSE, sizeof (New));
	g_array_set_clear_func (lost, lost_done);
	if (!find_both (run, bindings, steps, lost, fresh, error))
		return FALSE;
	if (lost->len == 0 || fresh->len == 0)
		return TRUE;
	if (!note_filling (run, bindings, lost, error) || !look_into_all (run, fresh, lost, error))
		return FALSE;
	take_pairs (run, fresh, lost, recognised);
	return TRUE;
}

/* ---- Mail that is not where it was ---- */

static gboolean
is_of (const Lost *l, const RemoteFolder *r, const RemoteEvidence *e)
{
	guint64 key = key_of (e->received, e->size), digest = e->digest;
	return strcmp (l->binding->remote_name, r->name) != 0 && g_array_binary_search (l->sizes, &key, compare_keys, NULL) &&
	       (!e->has_header || g_array_binary_search (l->headers, &digest, compare_keys, NULL));
}

static gboolean
is_of_any (const GArray *lost, const RemoteFolder *r, const RemoteEvidence *e)
{
	for (guint i = 0; i < lost->len; i++)
		if (is_of (&g_array_index (lost, Lost, i), r, e))
			return TRUE;
	return FALSE;
}

/* Of @uids those that have size, date and header of something that is lost. */
static gboolean
look_for_lost (SyncRun *run, const RemoteFolder *r, guint32 uidvalidity, const UidSet *uids, const GArray *lost, GArray **found_out, GError **error)
{
	g_auto (UidSet) like = UID_SET_INIT;
	g_autoptr (GArray) sizes = NULL;
	*found_out = NULL;
	if (!sync_look (run, r->name, uidvalidity, uids, EVIDENCE_SIZE, &sizes, error))
		return FALSE;
	for (guint i = 0; sizes && i < sizes->len; i++)
		if (is_of_any (lost, r, &g_array_index (sizes, RemoteEvidence, i)))
			uid_set_add (&like, g_array_index (sizes, RemoteEvidence, i).uid);
	return uid_set_is_empty (&like) || sync_look (run, r->name, uidvalidity, &like, EVIDENCE_HEADER, found_out, error);
}

/* All of the newest, and of the others as many as their sample tells. */
static void
count_found (const GArray *found, const Lost *l, const RemoteFolder *r, const UidSet *newest, guint64 sampled, guint64 others, guint *known)
{
	guint64 at_top = 0, spread = 0;
	for (guint i = 0; i < found->len; i++) {
		const RemoteEvidence *e = &g_array_index (found, RemoteEvidence, i);
		if (!e->has_header || !is_of (l, r, e))
			continue;
		at_top += uid_set_contains (newest, e->uid);
		spread += !uid_set_contains (newest, e->uid);
	}
	*known += (guint) (at_top + (sampled ? spread * others / sampled : 0));
}

static gboolean
look_elsewhere (SyncRun *run, const RemoteFolder *r, const FolderQuery *q, const GArray *lost, guint *known, GError **error)
{
	g_auto (UidSet) newest = UID_SET_INIT, others = UID_SET_INIT, sample = UID_SET_INIT;
	g_autoptr (GArray) found = NULL;
	if (q->error || !q->has_all_uids || uid_set_is_empty (&q->all_uids))
		return TRUE;
	guint64 n = uid_set_count (&q->all_uids);
	for (guint64 i = n > NEWEST ? n - NEWEST : 0; i < n; i++)
		uid_set_add (&newest, uid_set_nth (&q->all_uids, i));
	uid_set_copy (&others, &q->all_uids);
	uid_set_remove_set (&others, &newest);
	sample_of (&others, SAMPLE - NEWEST, &sample);
	guint64 sampled = uid_set_count (&sample);
	uid_set_add_set (&sample, &newest);
	if (!look_for_lost (run, r, q->uidvalidity_now, &sample, lost, &found, error))
		return FALSE;
	for (guint i = 0; found && i < lost->len; i++)
		count_found (found, &g_array_index (lost, Lost, i), r, &newest, sampled, uid_set_count (&others), &known[i]);
	return TRUE;
}

gboolean
sync_find_elsewhere (SyncRun *run, const GPtrArray *bindings, guint *known, guint64 *there_out, GError **error)
{
	g_autoptr (GArray) lost = g_array_new (FALSE, FALSE, sizeof (Lost)), queries = g_array_new (FALSE, TRUE, sizeof (FolderQuery));
	g_autoptr (GPtrArray) remotes = g_ptr_array_new ();
	g_array_set_clear_func (lost, lost_done);
	*there_out = 0;
	for (guint i = 0; i < bindings->len; i++)
		add_lost (lost, bindings->pdata[i]);
	if (!read_lost (run, lost, error))
		return FALSE;
	for (guint i = 0; i < run->remotes->len && remotes->len < LOOKS; i++) {
		RemoteFolder *r = run->remotes->pdata[i];
		FolderQuery q = {.name = r->name, .kind = QUERY_UIDS};
		if (!r->selectable || (r->has_status && r->messages == 0))
			continue;
		g_ptr_array_add (remotes, r);
		g_array_append_val (queries, q);
	}
	gboolean ok = run->home->class->query (run->home, (FolderQuery *) queries->data, queries->len, error);
	for (guint i = 0; i < remotes->len; i++) {
		FolderQuery *q = &g_array_index (queries, FolderQuery, i);
		ok = ok && look_elsewhere (run, remotes->pdata[i], q, lost, known, error);
		*there_out += uid_set_count (&q->all_uids);
		folder_query_done (q);
	}
	return ok;
}

/* ---- Folders that exchanged their names ---- */

static guint
percent (guint64 n, guint64 of)
{
	return of ? (guint) (n * 100 / of) : 0;
}

/* @there, in @r, is the mail of @l: almost all of it, a fair part of that, which may still arrive, and each header of a sample is known. */
static gboolean
has_mail_of (SyncRun *run, const RemoteFolder *r, guint32 uidvalidity, const Lost *l, const GArray *there, gboolean *has_out, GError **error)
{
	g_auto (UidSet) like = UID_SET_INIT, sample = UID_SET_INIT;
	g_autoptr (GArray) headers = NULL;
	for (guint i = 0; i < there->len; i++)
		if (is_of (l, r, &g_array_index (there, RemoteEvidence, i)))
			uid_set_add (&like, g_array_index (there, RemoteEvidence, i).uid);
	guint64 n = uid_set_count (&like);
	*has_out = FALSE;
	if (n < DIFFERENT_FROM || percent (n, there->len) < ALMOST || n * LEAST_PART < l->sizes->len)
		return TRUE;
	sample_of (&like, HEADERS, &sample);
	if (!sync_look (run, r->name, uidvalidity, &sample, EVIDENCE_HEADER, &headers, error))
		return FALSE;
	*has_out = headers && headers->len == uid_set_count (&sample);
	for (guint i = 0; headers && i < headers->len; i++)
		*has_out &= is_of (l, r, &g_array_index (headers, RemoteEvidence, i));
	return TRUE;
}

/* Each has one place, and each place one: else it is not among them. */
static void
drop_open (gint *to, guint n)
{
	gboolean dropped = TRUE;
	while (dropped) {
		dropped = FALSE;
		for (guint i = 0; i < n; i++) {
			gboolean closed = to[i] >= 0 && to[to[i]] >= 0;
			for (guint k = 0; closed && k < n; k++)
				closed = k == i || to[k] != to[i];
			dropped |= !closed && to[i] >= 0;
			to[i] = closed ? to[i] : -1;
		}
	}
}

gboolean
sync_find_exchanged (SyncRun *run, const GPtrArray *bindings, const GPtrArray *gathered, gint *to, GError **error)
{
	g_autoptr (GArray) lost = g_array_new (FALSE, FALSE, sizeof (Lost));
	g_array_set_clear_func (lost, lost_done);
	for (guint i = 0; i < bindings->len; i++)
		add_lost (lost, bindings->pdata[i]);
	if (!read_lost (run, lost, error))
		return FALSE;
	for (guint i = 0; i < bindings->len; i++) {
		guint found = 0;
		to[i] = -1;
		for (guint k = 0; k < bindings->len; k++) {
			const Gathered *g = gathered->pdata[k];
			const RemoteFolder *r = sync_listed (run, g->name);
			gboolean has = FALSE;
			if (k != i && r && !has_mail_of (run, r, g->query.uidvalidity_now, &g_array_index (lost, Lost, i), g->there, &has, error))
				return FALSE;
			found += has;
			to[i] = !has ? to[i] : found == 1 ? (gint) k : -1;
		}
	}
	drop_open (to, bindings->len);
	return TRUE;
}
