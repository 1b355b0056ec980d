/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-match.h"
#include <string.h>

#define NEWEST 16 /* of the highest UIDs: something may have come in the second of one of them, unseen by us */

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

void
match_here_part (GArray *from, MatchHereFn which, gpointer data, GArray *to)
{
	guint kept = 0;
	for (guint i = 0; i < from->len; i++) {
		MatchHere h = g_array_index (from, MatchHere, i);
		if (!which || which (data, &h))
			g_array_append_val (to, h);
		else
			g_array_index (from, MatchHere, kept++) = h;
	}
	g_array_set_clear_func (from, NULL); /* they have another owner now */
	g_array_set_size (from, kept);
	g_array_set_clear_func (from, here_done);
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

static char *
state_key (guint flags, const char *keywords)
{
	return g_strdup_printf ("%x %s", flags, keywords ? keywords : "");
}

/* Copies with the flags that they had come first; of those that are left, and of equal ones, the order decides. */
static void
pair_by_flags (Match *m, const Group *g, gboolean weak)
{
	g_autoptr (GHashTable) states = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_queue_free);
	if (g->here->len == 1 && g->there->len == 1)
		return;
	for (guint i = 0; i < g->there->len; i++) {
		guint at = g_array_index (g->there, guint, i);
		char *key = state_key (there_at (m, at)->flags, there_at (m, at)->keywords);
		GQueue *q = g_hash_table_lookup (states, key);
		if (!q)
			g_hash_table_insert (states, g_strdup (key), q = g_queue_new ());
		g_free (key);
		g_queue_push_tail (q, GUINT_TO_POINTER (at));
	}
	for (guint i = 0; i < g->here->len; i++) {
		guint at = g_array_index (g->here, guint, i);
		g_autofree char *key = state_key (here_at (m, at)->known.flags, here_at (m, at)->known.keywords);
		GQueue *q = g_hash_table_lookup (states, key);
		if (q && !g_queue_is_empty (q))
			pair (m, at, GPOINTER_TO_UINT (g_queue_pop_head (q)), weak);
	}
}

static void
pair_in_order (Match *m, const Group *g, gboolean weak)
{
	guint j = 0;
	for (guint i = 0; i < g->here->len; i++) {
		guint here = g_array_index (g->here, guint, i);
		if (here_at (m, here)->there >= 0)
			continue;
		while (j < g->there->len && m->here_of_there[g_array_index (g->there, guint, j)] >= 0)
			j++;
		if (j == g->there->len)
			return;
		pair (m, here, g_array_index (g->there, guint, j), weak);
	}
}

/* True copies that were altered in the same way. */
static gboolean
are_copies (const Match *m, const Group *g)
{
	for (guint i = 1; i < g->there->len; i++)
		if (there_at (m, g_array_index (g->there, guint, i))->size != there_at (m, g_array_index (g->there, guint, 0))->size)
			return FALSE;
	return g->there->len <= g->here->len;
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
		if (g->here->len == 0 || g->there->len == 0 || !same_content (m, g->here) || (key == BY_SIZE && is_doubtful (m, g->here)) ||
		    (weak && !are_copies (m, g)) || (!surplus_allowed && g->there->len > g->here->len))
			continue;
		pair_by_flags (m, g, weak);
		pair_in_order (m, g, weak);
	}
}

void
match_doubt (GArray *here)
{
	guint newest = 0;
	for (guint i = here->len; i > 0; i--) {
		MatchHere *h = &g_array_index (here, MatchHere, i - 1);
		h->doubtful |= h->known.pending || newest < NEWEST;
		newest += !h->known.pending;
	}
}

typedef struct {
	guint here, there;
	guint64 sizes; /* the sum of a hash of those here, less that of those there */
} Second;

static guint64
mixed (guint64 n)
{
	n = (n ^ (n >> 31)) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
	return n ^ (n >> 29);
}

static Second *
second_of (GHashTable *seconds, const gint64 *received)
{
	Second *s = g_hash_table_lookup (seconds, received);
	if (!s)
		g_hash_table_insert (seconds, (gpointer) received, s = g_new0 (Second, 1));
	return s;
}

/* Where several messages have one date, and not the same sizes on both sides, one may have got the size of another. */
static void
doubt_seconds (Match *m)
{
	g_autoptr (GHashTable) seconds = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
	for (guint i = 0; i < m->here->len; i++) {
		Second *s = second_of (seconds, &here_at (m, i)->known.received);
		s->here++;
		s->sizes += mixed (here_at (m, i)->known.size);
	}
	for (guint i = 0; i < m->there->len; i++) {
		Second *s = second_of (seconds, &there_at (m, i)->received);
		s->there++;
		s->sizes -= mixed (there_at (m, i)->size);
	}
	for (guint i = 0; i < m->here->len; i++) {
		const Second *s = second_of (seconds, &here_at (m, i)->known.received);
		here_at (m, i)->doubtful |= (s->here > 1 || s->there > 1) && s->sizes != 0;
	}
}

void
match_by_size (Match *m)
{
	doubt_seconds (m);
	match_groups (m, BY_SIZE, FALSE, FALSE);
}

void
match_by_header (Match *m)
{
	match_groups (m, BY_HEADER, TRUE, FALSE);
}

/* A tool that kept what it brought as it was, dates included, did so with all of it: what has another size and another date then is another
 * version (a draft that was edited), or, without Message-ID, another message. */
static gboolean
is_altered_only (const Match *m, guint here, guint there)
{
	const KnownMessage *k = &here_at (m, here)->known;
	const RemoteEvidence *e = there_at (m, there);
	gboolean all_altered = 2 * (m->matched - m->weak) < m->there->len;
	return k->size == e->size || k->received == e->received || (all_altered && k->message_id && *k->message_id);
}

static void
unpair (Match *m, guint here)
{
	MatchHere *h = here_at (m, here);
	m->here_of_there[h->there] = -1;
	h->there = -1;
	h->weak = FALSE;
	m->matched--;
	m->weak--;
}

void
match_by_weak_evidence (Match *m)
{
	match_groups (m, BY_DIGEST, FALSE, TRUE);
	match_groups (m, BY_MESSAGE_ID, FALSE, TRUE);
	for (guint i = 0; i < m->here->len; i++)
		if (here_at (m, i)->weak && !is_altered_only (m, i, (guint) here_at (m, i)->there))
			unpair (m, i);
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

#define RESTORABLE (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT) /* if \Deleted was taken back, that must not be undone */

/* Matched messages with any of @flags (0: with any keyword), in the base and at home. */
static void
count_flagged (const Match *m, guint flags, guint *had_out, guint *has_out)
{
	*had_out = *has_out = 0;
	for (guint i = 0; i < m->here->len; i++) {
		const MatchHere *h = here_at (m, i);
		if (h->there < 0)
			continue;
		const RemoteEvidence *e = there_at (m, (guint) h->there);
		*had_out += was_bound (h) && (flags ? h->known.flags & flags : h->known.keywords && *h->known.keywords);
		*has_out += flags ? (e->flags & flags) != 0 : e->keywords && *e->keywords;
	}
}

static gboolean
all_lost (const Match *m, guint flags, guint least)
{
	guint had, has;
	count_flagged (m, flags, &had, &has);
	return had >= least && has == 0;
}

static char *
lost_keywords (const Match *m, guint least, const char *known)
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
		if ((GPOINTER_TO_UINT (n) >= least || has_keyword (known, word)) && !word_at_home (m, word))
			g_ptr_array_add (lost, word);
	return keywords_canonical ((const char *const *) lost->pdata, lost->len);
}

void
match_lost_flags (const Match *m, guint least, const LostFlags *known, LostFlags *lost_out)
{
	LostFlags lost = {.any = all_lost (m, RESTORABLE, known->any ? 1 : least), .any_keywords = all_lost (m, 0, known->any_keywords ? 1 : least)};
	for (guint flag = FLAG_SEEN; flag <= FLAG_DRAFT; flag <<= 1)
		if (flag & RESTORABLE && all_lost (m, flag, lost.any || known->flags & flag ? 1 : least))
			lost.flags |= flag;
	lost.keywords = lost_keywords (m, lost.any_keywords ? 1 : least, known->keywords);
	*lost_out = lost;
}
