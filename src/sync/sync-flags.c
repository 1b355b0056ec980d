/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of a folder whose messages were found again by position, without a FETCH of them all (docs/sync.md, "Flags after a move"). The home
 * is asked which messages have a flag where the answer is short, and how many, range by range, where it is long; only where the number is
 * not the base's are the UIDs asked for. An equal number that is neither none nor all is no proof: g->flags_counted tells of it. */
#include "sync-gather.h"
#include <string.h>

#define WORDS_LIMIT 60   /* different keywords */
#define NAMES_TEXT 2000  /* of all sets of UIDs that are asked for as they are */
#define RANGES 70        /* counts in all */
#define RANGES_LEAST 4   /* of one flag */
#define STRANGERS_LIMIT 1000
#define LOST_FLAGS_FROM 3 /* so many messages must have lost a flag before it counts as lost by the move */
#define CHANGES 50        /* of those that lost flags, and of either kind of the others, whose changes are looked at */
#define OTHERS 10         /* so many others must be there to compare with, and fewer than one in so many of them changed as late */

typedef struct {
	guint flag;
	char *keyword;
	UidSet expected, home; /* by the base; found out */
	gboolean counted;
} FlagWord;

static void
word_done (gpointer data)
{
	FlagWord *w = data;
	g_free (w->keyword);
	uid_set_clear (&w->expected);
	uid_set_clear (&w->home);
}

static FlagWord *
word_at (const GArray *words, guint i)
{
	return &g_array_index (words, FlagWord, i);
}

static FlagWord *
word_of (const GArray *words, guint flag, const char *keyword)
{
	for (guint i = 0; i < words->len; i++)
		if (word_at (words, i)->flag == flag && g_strcmp0 (word_at (words, i)->keyword, keyword) == 0)
			return word_at (words, i);
	return NULL;
}

static void
add_keywords (GArray *words, const char *keywords)
{
	g_auto (GStrv) list = g_strsplit (keywords ? keywords : "", " ", -1);
	for (guint i = 0; list[i]; i++) {
		FlagWord w = {0};
		if (!*list[i] || word_of (words, 0, list[i]))
			continue;
		w.keyword = g_strdup (list[i]);
		g_array_append_val (words, w);
	}
}

static void
expect (GArray *words, guint32 uid, guint flags, const char *keywords)
{
	for (guint i = 0; i < words->len; i++)
		if (word_at (words, i)->flag & flags)
			uid_set_add (&word_at (words, i)->expected, uid);
	g_auto (GStrv) list = g_strsplit (keywords ? keywords : "", " ", -1);
	for (guint i = 0; list[i]; i++)
		if (*list[i])
			uid_set_add (&word_of (words, 0, list[i])->expected, uid);
}

static const RemoteEvidence *
there_at (const Gathered *g, guint i)
{
	return &g_array_index (g->there, RemoteEvidence, i);
}

static const MatchHere *
here_of (const Gathered *g, guint there)
{
	gint i = g->match->here_of_there[there];
	return i < 0 ? NULL : &g_array_index (g->here, MatchHere, i);
}

static guint32
highest_matched (const Gathered *g)
{
	for (guint i = g->there->len; i > 0; i--)
		if (here_of (g, i - 1))
			return there_at (g, i - 1)->uid;
	return 0;
}

/* New messages between those that were found again: their flags count, too. *many_out: too many to be asked for. */
static gboolean
read_strangers (SyncRun *run, const char *name, const Gathered *g, guint32 to, GArray **strangers_out, gboolean *many_out, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	for (guint i = 0; i < g->there->len && there_at (g, i)->uid <= to; i++)
		if (!here_of (g, i))
			uid_set_add (&uids, there_at (g, i)->uid);
	*many_out = uid_set_count (&uids) > STRANGERS_LIMIT;
	return *many_out || run->home->class->evidence (run->home, name, g->query.uidvalidity_now, &uids, 0, EVIDENCE_SIZE, strangers_out, error);
}

static void
expect_all (const Gathered *g, const GArray *strangers, GArray *words)
{
	for (guint i = 0; i < g->there->len; i++) {
		const MatchHere *h = here_of (g, i);
		if (h)
			expect (words, there_at (g, i)->uid, h->known.flags, h->known.keywords);
	}
	for (guint i = 0; i < strangers->len; i++) {
		const RemoteEvidence *e = &g_array_index (strangers, RemoteEvidence, i);
		expect (words, e->uid, e->flags, e->keywords);
	}
}

/* Every flag, and every keyword that the base, a new message or the folder knows. */
static GArray *
words_of (const Gathered *g, const GArray *strangers)
{
	GArray *words = g_array_new (FALSE, TRUE, sizeof (FlagWord));
	g_array_set_clear_func (words, word_done);
	for (guint flag = FLAG_SEEN; flag <= FLAG_DRAFT; flag <<= 1) {
		FlagWord w = {.flag = flag};
		g_array_append_val (words, w);
	}
	add_keywords (words, g->query.keywords_now);
	for (guint i = 0; i < g->here->len; i++)
		add_keywords (words, g_array_index (g->here, MatchHere, i).known.keywords);
	for (guint i = 0; i < strangers->len; i++)
		add_keywords (words, g_array_index (strangers, RemoteEvidence, i).keywords);
	if (words->len <= WORDS_LIMIT)
		expect_all (g, strangers, words);
	return words;
}

/* ---- Questions ---- */

static void
part_of (const UidSet *set, guint32 from, guint32 to, UidSet *part_out)
{
	for (guint i = 0; i < set->n_ranges; i++)
		if (set->ranges[i].hi >= from && set->ranges[i].lo <= to)
			uid_set_add_range (part_out, MAX (set->ranges[i].lo, from), MIN (set->ranges[i].hi, to));
}

static void
add_search (GArray *searches, const FlagWord *w, guint32 from, guint32 to, gboolean names)
{
	FlagSearch s = {.flag = w->flag, .keyword = w->keyword, .from = from, .to = to, .names = names};
	g_array_append_val (searches, s);
}

static gboolean
is_short (const UidSet *set, guint sets)
{
	g_autoptr (GString) text = g_string_new (NULL);
	uid_set_format (set, text);
	return text->len <= NAMES_TEXT / sets;
}

/* Ranges of equally many of the @n messages up to @to. */
static void
add_ranges (GArray *searches, const FlagWord *w, const Gathered *g, guint n, guint ranges, guint32 to)
{
	guint32 from = 1;
	for (guint k = 1; k <= ranges; k++) {
		guint32 last = k == ranges ? to : there_at (g, (guint) ((guint64) k * n / ranges) - 1)->uid;
		add_search (searches, w, from, last, FALSE);
		from = last + 1;
	}
}

static GArray *
searches_for (GArray *words, const Gathered *g, guint32 to)
{
	GArray *searches = g_array_new (FALSE, TRUE, sizeof (FlagSearch));
	guint n = 0, counted = 0;
	while (n < g->there->len && there_at (g, n)->uid <= to)
		n++;
	for (guint i = 0; i < words->len; i++) {
		guint64 has = uid_set_count (&word_at (words, i)->expected);
		word_at (words, i)->counted = has != 0 && has != n && !is_short (&word_at (words, i)->expected, words->len);
		counted += word_at (words, i)->counted;
	}
	for (guint i = 0; i < words->len; i++) {
		const FlagWord *w = word_at (words, i);
		guint64 has = uid_set_count (&w->expected);
		if (w->counted)
			add_ranges (searches, w, g, n, MIN (MAX (RANGES / counted, RANGES_LEAST), n), to);
		else
			add_search (searches, w, 1, to, has != 0 && has != n);
	}
	return searches;
}

/* ---- Answers ---- */

/* Takes what an answer decides into the home's set; FALSE: the UIDs must be asked for. */
static gboolean
take_answer (FlagWord *w, const FlagSearch *s, const UidSet *all, gboolean *counted)
{
	g_auto (UidSet) expected = UID_SET_INIT, range = UID_SET_INIT;
	if (s->names) {
		uid_set_add_set (&w->home, &s->uids);
		return TRUE;
	}
	part_of (&w->expected, s->from, s->to, &expected);
	part_of (all, s->from, s->to, &range);
	guint64 there = uid_set_count (&range);
	if (s->count == there)
		uid_set_add_set (&w->home, &range);
	else if (s->count == uid_set_count (&expected)) {
		uid_set_add_set (&w->home, &expected);
		*counted |= s->count != 0;
	} else if (s->count > 0)
		return FALSE;
	return TRUE;
}

/* What is still to be asked. */
static GArray *
take_answers (Gathered *g, GArray *words, const GArray *searches)
{
	GArray *open = g_array_new (FALSE, TRUE, sizeof (FlagSearch));
	for (guint i = 0; i < searches->len; i++) {
		FlagSearch *s = &g_array_index (searches, FlagSearch, i);
		FlagWord *w = word_of (words, s->flag, s->keyword);
		if (!take_answer (w, s, &g->query.all_uids, &g->flags_counted))
			add_search (open, w, s->from, s->to, TRUE);
	}
	return open;
}

static void
note_word (Gathered *g, const FlagWord *w)
{
	UidIter it = {0};
	guint at = 0;
	for (guint32 uid; uid_set_next (&w->home, &it, &uid);) {
		while (at < g->there->len && there_at (g, at)->uid < uid)
			at++;
		RemoteEvidence *e = at < g->there->len ? &g_array_index (g->there, RemoteEvidence, at) : NULL;
		if (!e || e->uid != uid)
			continue;
		e->flags |= w->flag;
		if (w->keyword)
			keywords_add (&e->keywords, w->keyword);
	}
}

static void
searches_free (GArray *searches)
{
	for (guint i = 0; i < searches->len; i++)
		uid_set_clear (&g_array_index (searches, FlagSearch, i).uids);
	g_array_unref (searches);
}

static gboolean
compare_words (SyncRun *run, const char *name, Gathered *g, GArray *words, guint32 to, GError **error)
{
	GArray *searches = searches_for (words, g, to);
	gboolean ok = TRUE, answered = TRUE;
	while (ok && answered && searches->len > 0) { /* twice at most: what is asked with names is decided */
		ok = run->home->class->search_flags (run->home, name, g->query.uidvalidity_now, (FlagSearch *) searches->data, searches->len, &answered,
		                                     error);
		GArray *open = ok && answered ? take_answers (g, words, searches) : g_array_new (FALSE, TRUE, sizeof (FlagSearch));
		searches_free (searches);
		searches = open;
	}
	searches_free (searches);
	g->flags_known = ok && answered;
	for (guint i = 0; g->flags_known && i < words->len; i++)
		note_word (g, word_at (words, i));
	return ok;
}

gboolean
gathered_flags (SyncRun *run, const char *name, Gathered *g, GError **error)
{
	g_autoptr (GArray) strangers = NULL, words = NULL;
	gboolean many;
	guint32 to = highest_matched (g);
	g->flags_known = !g->by_position;
	if (g->flags_known || to == 0 || !g->query.keywords_told || !(run->home->class->abilities (run->home) & ENDPOINT_SEARCH))
		return TRUE;
	if (!read_strangers (run, name, g, to, &strangers, &many, error) || many)
		return many;
	words = words_of (g, strangers);
	return words->len > WORDS_LIMIT || compare_words (run, name, g, words, to, error);
}

/* ---- Lost by the move, or taken off ---- */

typedef struct {
	GArray *had, *others[2]; /* guint indices into g->here: who had any of what is lost, and who had none; [TRUE]: of those that have flags */
	GHashTable *modseqs;  /* UID -> guint64 */
} Changes;

static gboolean
had_word (const MatchHere *h, const char *word)
{
	g_auto (GStrv) words = g_strsplit (h->known.keywords ? h->known.keywords : "", " ", -1);
	return g_strv_contains ((const char *const *) words, word);
}

static gboolean
had_any (const MatchHere *h, const LostFlags *lost)
{
	g_autofree char *left = keywords_less (h->known.keywords, lost->keywords);
	return h->known.flags & lost->flags || !keywords_equal (left, h->known.keywords);
}

/* At most CHANGES of @all, evenly spread. */
static void
thin_out (GArray *all)
{
	guint n = all->len, kept = MIN (n, CHANGES);
	for (guint i = 0; i < kept; i++)
		g_array_index (all, guint, i) = g_array_index (all, guint, (guint) ((guint64) i * n / kept));
	g_array_set_size (all, kept);
}

static guint32
uid_of (const Gathered *g, guint here)
{
	return there_at (g, (guint) g_array_index (g->here, MatchHere, here).there)->uid;
}

/* A tool may have set those by a command of its own, which is a change, too. */
static gboolean
has_flags (const Gathered *g, guint here)
{
	const RemoteEvidence *e = there_at (g, (guint) g_array_index (g->here, MatchHere, here).there);
	return e->flags || (e->keywords && *e->keywords);
}

static void
part_by_loss (const Gathered *g, Changes *c)
{
	for (guint i = 0; i < g->here->len; i++) {
		const MatchHere *h = &g_array_index (g->here, MatchHere, i);
		if (h->there >= 0 && !h->known.pending)
			g_array_append_val (had_any (h, &g->lost) ? c->had : c->others[has_flags (g, i)], i);
	}
	thin_out (c->had);
	thin_out (c->others[FALSE]);
	thin_out (c->others[TRUE]);
}

static gboolean
read_changes (SyncRun *run, const char *name, const Gathered *g, Changes *c, GError **error)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	g_autoptr (GArray) evidence = NULL;
	for (guint i = 0; i < c->had->len; i++)
		uid_set_add (&uids, uid_of (g, g_array_index (c->had, guint, i)));
	for (guint k = 0; k < 2; k++)
		for (guint i = 0; i < c->others[k]->len; i++)
			uid_set_add (&uids, uid_of (g, g_array_index (c->others[k], guint, i)));
	if (!sync_look (run, name, g->query.uidvalidity_now, &uids, EVIDENCE_CHANGE, &evidence, error))
		return FALSE;
	for (guint i = 0; evidence && i < evidence->len; i++) {
		const RemoteEvidence *e = &g_array_index (evidence, RemoteEvidence, i);
		g_hash_table_insert (c->modseqs, GUINT_TO_POINTER (e->uid), g_memdup2 (&e->modseq, sizeof e->modseq));
	}
	return TRUE;
}

static guint64
modseq_of (const Changes *c, const Gathered *g, guint here)
{
	const guint64 *modseq = g_hash_table_lookup (c->modseqs, GUINT_TO_POINTER (uid_of (g, here)));
	return modseq ? *modseq : 0;
}

/* What came later has a higher UID, and a higher number of its change, unless @here was changed since: then few of @others have. FALSE: no,
 * or none can be told, as not enough came later. */
static gboolean
is_later (const Changes *c, const Gathered *g, const GArray *others, guint here, gboolean *told_out)
{
	guint above = 0, later = 0;
	for (guint i = 0; i < others->len; i++) {
		guint other = g_array_index (others, guint, i);
		if (uid_of (g, other) <= uid_of (g, here))
			continue;
		above++;
		later += modseq_of (c, g, other) >= modseq_of (c, g, here);
	}
	*told_out = above >= OTHERS;
	return *told_out && later * OTHERS < above;
}

/* Whoever brings mail changes it when it comes: all that lost @flag, or @word, was changed after nearly all that came later, of those that have
 * flags, or have none, as it: somebody changed it. */
static gboolean
was_taken_off (const Changes *c, const Gathered *g, guint flag, const char *word)
{
	gboolean any = FALSE;
	for (guint i = 0; i < c->had->len; i++) {
		guint at = g_array_index (c->had, guint, i);
		const MatchHere *h = &g_array_index (g->here, MatchHere, at);
		gboolean told = FALSE;
		if (!(word ? had_word (h, word) : (h->known.flags & flag) != 0))
			continue;
		gboolean later = modseq_of (c, g, at) > 0 && is_later (c, g, c->others[has_flags (g, at)], at, &told);
		if (!later && (modseq_of (c, g, at) == 0 || told))
			return FALSE;
		any |= later;
	}
	return any;
}

static void
drop_taken_off (const Changes *c, Gathered *g)
{
	guint flags = 0;
	g_autoptr (GPtrArray) left = g_ptr_array_new ();
	g_auto (GStrv) words = g_strsplit (g->lost.keywords ? g->lost.keywords : "", " ", -1);
	for (guint flag = FLAG_SEEN; flag <= FLAG_DRAFT; flag <<= 1)
		if (g->lost.flags & flag && !was_taken_off (c, g, flag, NULL))
			flags |= flag;
	for (guint i = 0; words[i]; i++)
		if (*words[i] && !was_taken_off (c, g, 0, words[i]))
			g_ptr_array_add (left, words[i]);
	char *keywords = keywords_canonical ((const char *const *) left->pdata, left->len);
	g->lost.any &= flags == g->lost.flags;
	g->lost.any_keywords &= keywords_equal (keywords, g->lost.keywords);
	g->lost.flags = flags;
	g_free (g->lost.keywords);
	g->lost.keywords = keywords;
}

gboolean
gathered_lost (SyncRun *run, const char *name, Gathered *g, GError **error)
{
	g_autoptr (GArray) had = g_array_new (FALSE, FALSE, sizeof (guint)), plain = g_array_new (FALSE, FALSE, sizeof (guint));
	g_autoptr (GArray) flagged = g_array_new (FALSE, FALSE, sizeof (guint));
	g_autoptr (GHashTable) modseqs = g_hash_table_new_full (NULL, NULL, NULL, g_free);
	Changes c = {had, {plain, flagged}, modseqs};
	match_lost_flags (g->match, LOST_FLAGS_FROM, &run->lost, &g->lost);
	if ((!g->lost.flags && !g->lost.keywords) || !g->query.highestmodseq_now || !(run->home->class->abilities (run->home) & ENDPOINT_MODSEQ))
		return TRUE;
	part_by_loss (g, &c);
	if (!read_changes (run, name, g, &c, error))
		return FALSE;
	drop_taken_off (&c, g);
	return TRUE;
}
