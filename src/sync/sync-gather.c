/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-gather.h"
#include <string.h>

#define SAMPLE_FROM 64        /* fewer messages are compared all */
#define SAMPLE_POSITIONS 24
#define SAMPLE_TOP 8          /* of them the highest UIDs: where a restored backup differs */

void
gathered_free (Gathered *g)
{
	if (!g)
		return;
	folder_query_done (&g->query);
	g_free (g->name);
	g_free (g->lost.keywords);
	match_free (g->match);
	g_array_unref (g->here);
	g_clear_pointer (&g->there, g_array_unref);
	g_free (g);
}

gboolean
evidence_agrees (const KnownMessage *k, const RemoteEvidence *e)
{
	gboolean same_header = k->digest == e->digest || (k->message_id && *k->message_id && g_strcmp0 (k->message_id, e->message_id) == 0);
	return k->size == e->size && k->received == e->received && (!e->has_header || same_header);
}

void
gathered_count_common (const Gathered *g, Common *common_out)
{
	*common_out = (Common){.there = g->there->len};
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		gboolean found = !h->known.pending && h->there >= 0;
		common_out->here += !h->known.pending;
		common_out->strong += found && !h->weak;
		common_out->weak += found && h->weak;
	}
}

gboolean
common_is_too_little (const Common *c)
{
	guint64 fewer = MIN (c->here, c->there);
	return (guint64) c->strong * COMMON_SHARE < fewer && ((guint64) c->strong + c->weak) * 100 < fewer * ALTERED_PERCENT;
}

gboolean
gathered_is_other_mail (const Gathered *g, gboolean ours)
{
	Common c;
	gathered_count_common (g, &c);
	c.strong += ours ? c.weak : 0;
	return c.there >= DIFFERENT_FROM && c.here >= DIFFERENT_FROM && common_is_too_little (&c);
}

gboolean
gathered_take_known (gpointer data, const KnownMessage *k)
{
	MatchHere h = {.known = *k, .there = -1};
	h.known.message_id = g_strdup (k->message_id);
	h.known.keywords = g_strdup (k->keywords);
	g_array_append_val ((GArray *) data, h);
	return TRUE;
}

gboolean
sync_look (SyncRun *run, const char *name, guint32 uidvalidity, const UidSet *uids, EvidenceLevel level, GArray **evidence_out, GError **error)
{
	GError *e = NULL;
	*evidence_out = NULL;
	if (run->home->class->evidence (run->home, name, uidvalidity, uids, 0, level, evidence_out, &e))
		return TRUE;
	if (error_reach (e->code) == REACH_MAILBOX) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_error_free (e);
	return TRUE;
}

static guint
count_bound (const GArray *here)
{
	guint n = 0;
	while (n < here->len && g_array_index (here, MatchHere, n).known.remote_uid)
		n++;
	return n;
}

static const RemoteEvidence *
evidence_for (const GArray *evidence, guint32 uid)
{
	guint lo = 0, hi = evidence->len;
	while (lo < hi) {
		guint mid = (lo + hi) / 2;
		if (g_array_index (evidence, RemoteEvidence, mid).uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < evidence->len && g_array_index (evidence, RemoteEvidence, lo).uid == uid ? &g_array_index (evidence, RemoteEvidence, lo) : NULL;
}

static guint
sample_position (guint i, guint n)
{
	return i < SAMPLE_TOP ? n - 1 - i : (guint) ((guint64) (i - SAMPLE_TOP) * n / (SAMPLE_POSITIONS - SAMPLE_TOP));
}

static gboolean
samples_agree (SyncRun *run, const char *name, const Gathered *g, guint n, gboolean *agree_out, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	g_autoptr (GArray) evidence = NULL;
	guint compared = 0;
	*agree_out = FALSE;
	for (guint i = 0; i < SAMPLE_POSITIONS; i++)
		uid_set_add (&uids, g_array_index (g->here, MatchHere, sample_position (i, n)).known.remote_uid);
	if (!run->home->class->evidence (run->home, name, g->query.uidvalidity_now, &uids, 0, EVIDENCE_SIZE, &evidence, error))
		return FALSE;
	for (guint i = 0; i < SAMPLE_POSITIONS; i++) {
		const KnownMessage *k = &g_array_index (g->here, MatchHere, sample_position (i, n)).known;
		const RemoteEvidence *e = evidence_for (evidence, k->remote_uid);
		if (e && !evidence_agrees (k, e))
			return TRUE;
		compared += e != NULL;
	}
	*agree_out = compared >= SAMPLE_POSITIONS / 2;
	return TRUE;
}

/* All UIDs as evidence without contents, matched by number. */
static void
match_by_position (Gathered *g, guint n)
{
	UidIter it = {0};
	guint32 uid;
	g->there = remote_evidence_new ();
	while (uid_set_next (&g->query.all_uids, &it, &uid)) {
		RemoteEvidence e = {.uid = uid};
		g_array_append_val (g->there, e);
	}
	g->match = match_new (g->here, g->there);
	for (guint i = 0; i < n; i++) {
		MatchHere *h = &g_array_index (g->here, MatchHere, i);
		const RemoteEvidence *e = evidence_for (g->there, h->known.remote_uid);
		if (!e)
			continue;
		h->there = (gint) (e - &g_array_index (g->there, RemoteEvidence, 0));
		g->match->here_of_there[h->there] = (gint) i;
		g->match->matched++;
	}
	g->by_position = TRUE;
}

static gboolean
try_positions (SyncRun *run, const char *name, Gathered *g, GError **error)
{
	guint n = count_bound (g->here);
	guint64 common = 0;
	for (guint i = 0; i < n; i++)
		common += uid_set_contains (&g->query.all_uids, g_array_index (g->here, MatchHere, i).known.remote_uid);
	gboolean agree = FALSE;
	if (n < SAMPLE_FROM || common * 10 < (guint64) n * 9)
		return TRUE;
	if (!samples_agree (run, name, g, n, &agree, error))
		return FALSE;
	if (agree)
		match_by_position (g, n);
	return TRUE;
}

static gboolean
add_headers (SyncRun *run, const char *name, Gathered *g, gboolean all, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	g_autoptr (GArray) headers = NULL;
	match_undecided (g->match, all, &uids);
	if (uid_set_is_empty (&uids))
		return TRUE;
	if (!run->home->class->evidence (run->home, name, g->query.uidvalidity_now, &uids, 0, EVIDENCE_HEADER, &headers, error))
		return FALSE;
	match_add_headers (g->there, headers);
	return TRUE;
}

static gboolean
doubt_one (gpointer data, gint64 placement)
{
	MatchHere *h = g_hash_table_lookup (data, &placement);
	if (h)
		h->doubtful = TRUE;
	return TRUE;
}

/* What another message here has the size and date of may have changed places with it. */
static gboolean
doubt_twins (SyncRun *run, gint64 folder, GArray *here, GError **error)
{
	g_autoptr (GHashTable) by_placement = g_hash_table_new (g_int64_hash, g_int64_equal);
	for (guint i = 0; i < here->len; i++) {
		MatchHere *h = &g_array_index (here, MatchHere, i);
		g_hash_table_insert (by_placement, &h->known.placement, h);
	}
	return store_each_twin (run->store, folder, doubt_one, by_placement, error);
}

gboolean
gathered_match (SyncRun *run, gint64 folder, const char *name, Gathered *g, const UidSet *uids, gboolean weak, GError **error)
{
	match_doubt (g->here);
	if (!doubt_twins (run, folder, g->here, error))
		return FALSE;
	if (!run->home->class->evidence (run->home, name, g->query.uidvalidity_now, uids, uids ? 0 : 1, EVIDENCE_SIZE, &g->there, error))
		return FALSE;
	g->match = match_new (g->here, g->there);
	match_by_size (g->match);
	if (!add_headers (run, name, g, FALSE, error))
		return FALSE;
	match_by_header (g->match);
	if (g->match->matched == g->here->len || !weak)
		return TRUE;
	if (!add_headers (run, name, g, TRUE, error))
		return FALSE;
	match_by_weak_evidence (g->match);
	return TRUE;
}

Gathered *
sync_gather (SyncRun *run, gint64 folder, const char *name, gboolean positions, GError **error)
{
	g_autoptr (Gathered) g = g_new0 (Gathered, 1);
	g->name = g_strdup (name);
	g->query.name = g->name;
	g->query.kind = QUERY_UIDS;
	g->here = match_here_new ();
	if (!store_each_known (run->store, folder, gathered_take_known, g->here, error) || !run->home->class->query (run->home, &g->query, 1, error))
		return NULL;
	if (g->query.error) {
		g_propagate_error (error, g_steal_pointer (&g->query.error));
		return NULL;
	}
	if (positions && !try_positions (run, name, g, error))
		return NULL;
	if (!g->match && !gathered_match (run, folder, name, g, NULL, TRUE, error))
		return NULL;
	return g_steal_pointer (&g);
}

Gathered *
sync_gathered (SyncRun *run, gint64 folder, const char *name, gboolean positions, GError **error)
{
	gpointer key = NULL, value = NULL;
	if (run->gathered)
		g_hash_table_steal_extended (run->gathered, &folder, &key, &value);
	g_free (key);
	g_autoptr (Gathered) g = value;
	return g && strcmp (g->name, name) == 0 ? g_steal_pointer (&g) : sync_gather (run, folder, name, positions, error);
}
