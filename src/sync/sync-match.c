/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-match.h"
#include <stdlib.h>
#include <string.h>

static void
here_done (gpointer data)
{
	MatchHere *h = data;
	g_free (h->known.message_id);
	g_free (h->known.keywords);
}

GArray *
match_here_new (void)
{
	GArray *a = g_array_new (FALSE, TRUE, sizeof (MatchHere));
	g_array_set_clear_func (a, here_done);
	return a;
}

static MatchHere *
here_at (const Match *m, guint i)
{
	return &g_array_index (m->here, MatchHere, i);
}

static const RemoteEvidence *
there_at (const Match *m, guint i)
{
	return &g_array_index (m->there, RemoteEvidence, i);
}

Match *
match_new (GArray *here, const GArray *there)
{
	Match *m = g_new0 (Match, 1);
	m->here = here;
	m->there = there;
	m->here_of_there = g_new (gint, MAX (there->len, 1));
	for (guint i = 0; i < there->len; i++)
		m->here_of_there[i] = -1;
	for (guint i = 0; i < here->len; i++)
		here_at (m, i)->there = -1;
	return m;
}

void
match_free (Match *m)
{
	if (!m)
		return;
	g_free (m->here_of_there);
	g_free (m);
}

static void
pair (Match *m, guint here, guint there, gboolean weak)
{
	here_at (m, here)->there = (gint) there;
	here_at (m, here)->weak = weak;
	m->here_of_there[there] = (gint) here;
	m->matched++;
	m->weak += weak;
}

/* ---- Groups of equal evidence ---- */

typedef enum { BY_SIZE, BY_HEADER, BY_DIGEST, BY_MESSAGE_ID } Key;

typedef struct {
	guint64 size, digest;
	gint64 received;
	const char *message_id;
} KeyValue;

typedef struct {
	Key key;
	guint hash;
	KeyValue value;
	GArray *here, *there; /* guint indices, in order */
} Group;

static KeyValue
value_here (const KnownMessage *k, Key key)
{
	KeyValue v = {0};
	if (key == BY_SIZE || key == BY_HEADER) {
		v.size = k->size;
		v.received = k->received;
	}
	if (key == BY_HEADER || key == BY_DIGEST)
		v.digest = k->digest;
	if (key == BY_HEADER || key == BY_MESSAGE_ID)
		v.message_id = k->message_id;
	return v;
}

static KeyValue
value_there (const RemoteEvidence *e, Key key)
{
	KnownMessage k = {.size = e->size, .received = e->received, .digest = e->digest, .message_id = e->message_id};
	return value_here (&k, key);
}

static guint
group_hash (gconstpointer data)
{
	const KeyValue *v = &((const Group *) data)->value;
	gint64 mixed = (gint64) (v->size * 1000003u ^ (guint64) v->received * 31u ^ v->digest);
	return g_int64_hash (&mixed) ^ (v->message_id ? g_str_hash (v->message_id) : 0);
}

static gboolean
group_equal (gconstpointer a, gconstpointer b)
{
	const KeyValue *x = &((const Group *) a)->value, *y = &((const Group *) b)->value;
	return x->size == y->size && x->received == y->received && x->digest == y->digest && g_strcmp0 (x->message_id, y->message_id) == 0;
}

static void
group_free (gpointer data)
{
	Group *g = data;
	g_array_unref (g->here);
	g_array_unref (g->there);
	g_free (g);
}

static Group *
group_of (GHashTable *groups, KeyValue value)
{
	Group probe = {.value = value};
	Group *g = g_hash_table_lookup (groups, &probe);
	if (g)
		return g;
	g = g_new0 (Group, 1);
	g->value = value;
	g->here = g_array_new (FALSE, FALSE, sizeof (guint));
	g->there = g_array_new (FALSE, FALSE, sizeof (guint));
	g_hash_table_add (groups, g);
	return g;
}

static gboolean
is_usable (Key key, const KeyValue *v)
{
	return key != BY_MESSAGE_ID || (v->message_id && *v->message_id);
}

static GHashTable *
groups_of (const Match *m, Key key)
{
	GHashTable *groups = g_hash_table_new_full (group_hash, group_equal, NULL, group_free);
	for (guint i = 0; i < m->here->len; i++) {
		KeyValue v = value_here (&here_at (m, i)->known, key);
		if (here_at (m, i)->there < 0 && is_usable (key, &v))
			g_array_append_val (group_of (groups, v)->here, i);
	}
	for (guint i = 0; i < m->there->len; i++) {
		KeyValue v = value_there (there_at (m, i), key);
		if (m->here_of_there[i] < 0 && (key == BY_SIZE || there_at (m, i)->has_header) && is_usable (key, &v))
			g_array_append_val (group_of (groups, v)->there, i);
	}
	return groups;
}

static gboolean
is_doubtful (const Match *m, const GArray *here)
{
	for (guint i = 0; i < here->len; i++)
		if (here_at (m, g_array_index (here, guint, i))->doubtful)
			return TRUE;
	return FALSE;
}

static gboolean
same_content (const Match *m, const GArray *here)
{
	gint64 content = here_at (m, g_array_index (here, guint, 0))->known.content;
	for (guint i = 1; i < here->len; i++)
		if (here_at (m, g_array_index (here, guint, i))->known.content != content)
			return FALSE;
	return TRUE;
}

/* One each, or copies of one message: any assignment is right, and the one in order is the stable one. More there than here might be
 * one of them another message, which only better evidence tells. */
static void
match_groups (Match *m, Key key, gboolean surplus_allowed, gboolean weak)
{
	g_autoptr (GHashTable) groups = groups_of (m, key);
	GHashTableIter it;
	gpointer value;
	g_hash_table_iter_init (&it, groups);
	while (g_hash_table_iter_next (&it, &value, NULL)) {
		Group *g = value;
		guint n = MIN (g->here->len, g->there->len);
		if (n == 0 || !same_content (m, g->here) || (key == BY_SIZE && is_doubtful (m, g->here)) || (weak && (g->here->len > 1 || g->there->len > 1)) ||
		    (!surplus_allowed && g->there->len > g->here->len))
			continue;
		for (guint i = 0; i < n; i++)
			pair (m, g_array_index (g->here, guint, i), g_array_index (g->there, guint, i), weak);
	}
}

static int
by_time (gconstpointer a, gconstpointer b)
{
	gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
	return (x > y) - (x < y);
}

/* The date from which on mail was new when the home was last seen: in the middle of those of the highest UIDs, since single ones may have
 * been put in with an old date, or with one that is yet to come. G_MAXINT64: there was none. */
static gint64
newest_date (const GArray *here)
{
	gint64 dates[9];
	gsize n = 0;
	for (guint i = here->len; i > 0 && n < G_N_ELEMENTS (dates); i--) {
		const KnownMessage *k = &g_array_index (here, MatchHere, i - 1).known;
		if (!k->pending)
			dates[n++] = k->received;
	}
	qsort (dates, n, sizeof *dates, by_time);
	return n ? dates[n / 2] : G_MAXINT64;
}

void
match_doubt (GArray *here)
{
	gint64 newest = newest_date (here);
	for (guint i = 0; i < here->len; i++) {
		MatchHere *h = &g_array_index (here, MatchHere, i);
		h->doubtful |= h->known.pending || h->known.received >= newest;
	}
}

void
match_by_size (Match *m)
{
	match_groups (m, BY_SIZE, FALSE, FALSE);
}

void
match_by_header (Match *m)
{
	match_groups (m, BY_HEADER, TRUE, FALSE);
}

void
match_by_weak_evidence (Match *m)
{
	match_groups (m, BY_DIGEST, FALSE, TRUE);
	match_groups (m, BY_MESSAGE_ID, FALSE, TRUE);
}

void
match_undecided (const Match *m, gboolean all, UidSet *uids_out)
{
	g_autoptr (GHashTable) groups = groups_of (m, BY_SIZE);
	GHashTableIter it;
	gpointer value;
	g_hash_table_iter_init (&it, groups);
	while (g_hash_table_iter_next (&it, &value, NULL)) {
		Group *g = value;
		for (guint i = 0; (all || g->here->len > 0) && i < g->there->len; i++) {
			const RemoteEvidence *e = there_at (m, g_array_index (g->there, guint, i));
			if (!e->has_header)
				uid_set_add (uids_out, e->uid);
		}
	}
}

void
match_add_headers (GArray *there, const GArray *headers)
{
	guint at = 0;
	for (guint i = 0; i < headers->len; i++) {
		const RemoteEvidence *h = &g_array_index (headers, RemoteEvidence, i);
		while (at < there->len && g_array_index (there, RemoteEvidence, at).uid < h->uid)
			at++;
		RemoteEvidence *e = at < there->len ? &g_array_index (there, RemoteEvidence, at) : NULL;
		if (!e || e->uid != h->uid || !h->has_header)
			continue;
		g_free (e->message_id);
		e->message_id = g_strdup (h->message_id);
		e->digest = h->digest;
		e->has_header = TRUE;
	}
}

/* ---- Flags ---- */

static gboolean
has_keyword (const char *keywords, const char *word)
{
	gsize n = strlen (word);
	for (const char *at = keywords; at && (at = strstr (at, word)); at += n)
		if ((at == keywords || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return TRUE;
	return FALSE;
}

static void
count_words (GHashTable *counts, const char *keywords)
{
	g_auto (GStrv) words = g_strsplit (keywords ? keywords : "", " ", -1);
	for (guint i = 0; words[i]; i++)
		if (*words[i])
			g_hash_table_insert (counts, g_strdup (words[i]),
			                     GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (counts, words[i])) + 1));
}

static gboolean
word_at_home (const Match *m, const char *word)
{
	for (guint i = 0; i < m->there->len; i++)
		if (m->here_of_there[i] >= 0 && has_keyword (there_at (m, i)->keywords, word))
			return TRUE;
	return FALSE;
}

/* The home had it, whether it has it now or is to have it again; not what only waits to be sent. */
static gboolean
was_bound (const MatchHere *h)
{
	return h->known.remote_uid || h->known.awaited;
}

static char *
lost_keywords (const Match *m, guint least)
{
	g_autoptr (GHashTable) counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr (GPtrArray) lost = g_ptr_array_new ();
	GHashTableIter it;
	gpointer word, n;
	for (guint i = 0; i < m->here->len; i++)
		if (here_at (m, i)->there >= 0 && was_bound (here_at (m, i)))
			count_words (counts, here_at (m, i)->known.keywords);
	g_hash_table_iter_init (&it, counts);
	while (g_hash_table_iter_next (&it, &word, &n))
		if (GPOINTER_TO_UINT (n) >= least && !word_at_home (m, word))
			g_ptr_array_add (lost, word);
	return keywords_canonical ((const char *const *) lost->pdata, lost->len);
}

guint
match_lost_flags (const Match *m, guint least, char **keywords_out)
{
	guint lost = 0;
	for (guint flag = FLAG_SEEN; flag <= FLAG_DRAFT; flag <<= 1) {
		guint had = 0, has = 0;
		for (guint i = 0; i < m->here->len; i++) {
			const MatchHere *h = here_at (m, i);
			if (h->there < 0)
				continue;
			had += was_bound (h) && (h->known.flags & flag);
			has += (there_at (m, (guint) h->there)->flags & flag) != 0;
		}
		if (had >= least && has == 0)
			lost |= flag;
	}
	*keywords_out = lost_keywords (m, least);
	return lost;
}
