/* SPDX-License-Identifier: Apache-2.0 */
/* What the sessions of one mailbox share, and the pool of mailboxes: a few connections to the store, and the newest view of each folder that was looked at. A newer
 * view is made from the one before and what changed since, so that it costs what changed. */
#include "imapd-keys.h"
#include <stdlib.h>
#include <string.h>

#define STORES_KEPT 16
#define VIEWS_KEPT 256
#define IDLE_KEPT 64 /* mailboxes that nobody uses */

struct ImapdMailbox {
	ImapdPool *pool;
	char *path;
	int watch;
	guint users;   /* guarded by the pool's lock, as is: */
	gboolean gone; /* another store is at its place */
	CommitQueue *commits;
	GMutex lock; /* guards what follows */
	GQueue stores;     /* of Store, not in use */
	GHashTable *lent;  /* Store in use -> what generation was when it was opened */
	guint generation;  /* of the file: those of an older one are not used again */
	Store *writer;     /* not in use; NULL: it is, or it is not open */
	GHashTable *views; /* folder -> View */
	Tree *tree;        /* NULL: not read yet */
};

struct ImapdPool {
	ImapdChanged changed;
	gpointer data;
	StoreWatch *watch;
	KeysCache *keys;
	GMutex lock; /* guards what follows */
	GHashTable *by_path, *by_watch; /* of ImapdMailbox; what is gone is in neither */
	GQueue idle;                    /* those of nobody, the longest first */
};

/* ---- Mailboxes ---- */

static ImapdMailbox *
mailbox_new (ImapdPool *p, const char *path, int watch)
{
	ImapdMailbox *m = g_new0 (ImapdMailbox, 1);
	m->pool = p;
	m->path = g_strdup (path);
	m->watch = watch;
	m->users = 1;
	g_mutex_init (&m->lock);
	g_queue_init (&m->stores);
	m->lent = g_hash_table_new (NULL, NULL);
	m->commits = commit_queue_new ();
	m->views = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, (GDestroyNotify) view_unref);
	return m;
}

static void
forget (ImapdMailbox *m)
{
	g_mutex_lock (&m->lock);
	m->generation++;
	g_queue_clear_full (&m->stores, (GDestroyNotify) store_close);
	g_clear_pointer (&m->writer, store_close);
	g_hash_table_remove_all (m->views);
	g_clear_pointer (&m->tree, tree_unref);
	g_mutex_unlock (&m->lock);
	keys_cache_forget (m->pool->keys, m);
}

static void
mailbox_free (ImapdMailbox *m)
{
	if (!m)
		return;
	forget (m);
	commit_queue_free (m->commits);
	g_hash_table_unref (m->lent);
	g_hash_table_unref (m->views);
	g_mutex_clear (&m->lock);
	g_free (m->path);
	g_free (m);
}

/* One connection is enough for the next one who comes. */
static void
go_idle (ImapdMailbox *m)
{
	g_mutex_lock (&m->lock);
	while (m->stores.length > 1)
		store_close (g_queue_pop_tail (&m->stores));
	g_clear_pointer (&m->writer, store_close);
	g_mutex_unlock (&m->lock);
}

/* With the pool's lock. */
static void
take_out (ImapdMailbox *m)
{
	ImapdPool *p = m->pool;
	g_hash_table_remove (p->by_path, m->path);
	g_hash_table_remove (p->by_watch, GINT_TO_POINTER (m->watch));
	store_watch_remove (p->watch, m->watch);
}

void
imapd_mailbox_unref (ImapdMailbox *m)
{
	if (!m)
		return;
	ImapdPool *p = m->pool;
	ImapdMailbox *old = NULL;
	g_mutex_lock (&p->lock);
	if (--m->users == 0) {
		if (!m->gone) {
			go_idle (m);
			g_queue_push_tail (&p->idle, m);
		} else
			old = m;
		if (p->idle.length > IDLE_KEPT) {
			old = g_queue_pop_head (&p->idle);
			take_out (old);
		}
	}
	g_mutex_unlock (&p->lock);
	mailbox_free (old);
}

/* ---- The pool ---- */

ImapdPool *
imapd_pool_new (ImapdChanged changed, gpointer data, GError **error)
{
	StoreWatch *watch = store_watch_new (error);
	if (!watch)
		return NULL;
	ImapdPool *p = g_new0 (ImapdPool, 1);
	p->changed = changed;
	p->data = data;
	p->watch = watch;
	p->keys = keys_cache_new ();
	g_mutex_init (&p->lock);
	g_queue_init (&p->idle);
	p->by_path = g_hash_table_new (g_str_hash, g_str_equal);
	p->by_watch = g_hash_table_new (NULL, NULL);
	return p;
}

void
imapd_pool_free (ImapdPool *p)
{
	if (!p)
		return;
	g_assert (g_hash_table_size (p->by_path) == p->idle.length);
	g_queue_clear_full (&p->idle, (GDestroyNotify) mailbox_free);
	g_hash_table_unref (p->by_path);
	g_hash_table_unref (p->by_watch);
	store_watch_free (p->watch);
	keys_cache_free (p->keys);
	g_mutex_clear (&p->lock);
	g_free (p);
}

/* With the lock. */
static ImapdMailbox *
known_or_new (ImapdPool *p, const char *path, GError **error)
{
	ImapdMailbox *m = g_hash_table_lookup (p->by_path, path);
	if (m) {
		if (m->users++ == 0)
			g_queue_remove (&p->idle, m);
		return m;
	}
	int watch = store_watch_add (p->watch, path, error);
	if (watch < 0)
		return NULL;
	if (g_hash_table_contains (p->by_watch, GINT_TO_POINTER (watch))) {
		error_fail (error, ERROR_CONFLICT, "the store %s is served by another name", path);
		return NULL;
	}
	m = mailbox_new (p, path, watch);
	g_hash_table_insert (p->by_path, m->path, m);
	g_hash_table_insert (p->by_watch, GINT_TO_POINTER (watch), m);
	return m;
}

const char *
imapd_mailbox_path (const ImapdMailbox *m)
{
	return m->path;
}

ImapdMailbox *
imapd_pool_open (ImapdPool *p, const char *path, GError **error)
{
	g_mutex_lock (&p->lock);
	ImapdMailbox *m = known_or_new (p, path, error);
	g_mutex_unlock (&p->lock);
	return m;
}

int
imapd_pool_fd (const ImapdPool *p)
{
	return store_watch_fd (p->watch);
}

/* With the lock: one that nobody uses is freed at once if it is gone, and needs not be told. */
static void
note_told (ImapdPool *p, ImapdMailbox *m, gboolean there, GHashTable *told)
{
	if (!there) {
		take_out (m);
		m->gone = TRUE;
		if (m->users == 0) {
			g_queue_remove (&p->idle, m);
			mailbox_free (m);
			return;
		}
	}
	if (m->users > 0 && g_hash_table_add (told, m))
		m->users++;
}

/* What was told, each once and held. */
static GHashTable *
collect_told (ImapdPool *p)
{
	GHashTable *told = g_hash_table_new (NULL, NULL);
	int number;
	gboolean there;
	g_mutex_lock (&p->lock);
	while (store_watch_next (p->watch, &number, &there)) {
		ImapdMailbox *m = g_hash_table_lookup (p->by_watch, GINT_TO_POINTER (number));
		if (m)
			note_told (p, m, there, told);
		if (number != STORE_WATCH_ALL)
			continue;
		GHashTableIter it;
		gpointer every;
		g_hash_table_iter_init (&it, p->by_watch);
		while (g_hash_table_iter_next (&it, NULL, &every))
			note_told (p, every, TRUE, told);
	}
	g_mutex_unlock (&p->lock);
	return told;
}

void
imapd_pool_take (ImapdPool *p, ImapdTold told, gpointer data)
{
	g_autoptr (GHashTable) all = collect_told (p);
	GHashTableIter it;
	gpointer m;
	g_hash_table_iter_init (&it, all);
	while (g_hash_table_iter_next (&it, &m, NULL)) {
		gboolean there = !((ImapdMailbox *) m)->gone;
		if (!there)
			forget (m);
		told (data, m, there);
		imapd_mailbox_unref (m);
	}
}

void
mailbox_changed (ImapdMailbox *m)
{
	if (m->pool->changed)
		m->pool->changed (m->pool->data, m);
}

KeysCache *
mailbox_keys (ImapdMailbox *m)
{
	return m->pool->keys;
}

/* @s, or a new one. */
static Store *
lend (ImapdMailbox *m, Store *s, guint generation, GError **error)
{
	if (!s)
		s = store_open (m->path, 0, error);
	g_mutex_lock (&m->lock);
	if (s)
		g_hash_table_insert (m->lent, s, GUINT_TO_POINTER (generation));
	g_mutex_unlock (&m->lock);
	return s;
}

Store *
mailbox_take_store (ImapdMailbox *m, GError **error)
{
	g_mutex_lock (&m->lock);
	guint generation = m->generation;
	Store *s = g_queue_pop_head (&m->stores);
	g_mutex_unlock (&m->lock);
	return lend (m, s, generation, error);
}

void
mailbox_give_store (ImapdMailbox *m, Store *s)
{
	if (!s)
		return;
	store_rollback (s);
	store_read_end (s);
	g_mutex_lock (&m->lock);
	gboolean keep = m->stores.length < STORES_KEPT && g_hash_table_lookup (m->lent, s) == GUINT_TO_POINTER (m->generation);
	g_hash_table_remove (m->lent, s);
	if (keep)
		g_queue_push_head (&m->stores, s);
	g_mutex_unlock (&m->lock);
	if (!keep)
		store_close (s);
}

CommitQueue *
mailbox_commits (ImapdMailbox *m)
{
	return m->commits;
}

Store *
mailbox_take_writer (ImapdMailbox *m, GError **error)
{
	g_mutex_lock (&m->lock);
	guint generation = m->generation;
	Store *s = g_steal_pointer (&m->writer);
	g_mutex_unlock (&m->lock);
	return lend (m, s, generation, error);
}

void
mailbox_give_writer (ImapdMailbox *m, Store *s)
{
	if (!s)
		return;
	g_mutex_lock (&m->lock);
	gboolean keep = g_hash_table_lookup (m->lent, s) == GUINT_TO_POINTER (m->generation);
	g_hash_table_remove (m->lent, s);
	if (keep)
		m->writer = s;
	g_mutex_unlock (&m->lock);
	if (!keep)
		store_close (s);
}

/* ---- Rows ---- */

#define ROWS_A_LOOK_UP 10 /* looking a range up costs about as much as reading so many rows */

typedef struct {
	const UidSet *uids;
	ListingFn fn;
	gpointer data;
	gboolean stopped;
} Among;

static gboolean
give_row (gpointer data, const Listing *l)
{
	Among *a = data;
	a->stopped = a->stopped || (uid_set_contains (a->uids, l->placement.uid) && !a->fn (a->data, l));
	return !a->stopped;
}

gboolean
list_uids (Store *s, gint64 folder, const UidSet *uids, ListingDepth depth, ListingFn fn, gpointer data, GError **error)
{
	Among a = {uids, fn, data, FALSE};
	guint n = uids->n_ranges;
	if (n > 1 && (uids->ranges[n - 1].hi - uids->ranges[0].lo) / ROWS_A_LOOK_UP < n)
		return store_list_range (s, folder, uids->ranges[0].lo, uids->ranges[n - 1].hi, depth, give_row, &a, error);
	for (guint i = 0; i < n && !a.stopped; i++)
		if (!store_list_range (s, folder, uids->ranges[i].lo, uids->ranges[i].hi, depth, give_row, &a, error))
			return FALSE;
	return TRUE;
}

/* ---- Views ---- */

static void
view_done (gpointer data)
{
	View *v = data;
	uid_set_clear (&v->uids);
	g_free (v->before);
	g_strfreev (v->keywords);
}

View *
view_ref (View *v)
{
	return g_atomic_rc_box_acquire (v);
}

void
view_unref (View *v)
{
	if (v)
		g_atomic_rc_box_release_full (v, view_done);
}

static void
count_ranges (View *v)
{
	v->before = g_new (guint32, v->uids.n_ranges);
	v->count = 0;
	for (guint i = 0; i < v->uids.n_ranges; i++) {
		v->before[i] = v->count;
		v->count += v->uids.ranges[i].hi - v->uids.ranges[i].lo + 1;
	}
}

View *
view_with (const View *v, UidSet *uids)
{
	View *new = g_atomic_rc_box_new0 (View);
	*new = *v;
	new->uids = *uids;
	*uids = (UidSet){0};
	new->keywords = g_strdupv (v->keywords);
	count_ranges (new);
	return new;
}

guint32
view_number (const View *v, guint32 uid)
{
	guint lo = 0, hi = v->uids.n_ranges;
	while (lo < hi) {
		guint mid = lo + (hi - lo) / 2;
		const UidRange *r = &v->uids.ranges[mid];
		if (uid < r->lo)
			hi = mid;
		else if (uid > r->hi)
			lo = mid + 1;
		else
			return v->before[mid] + (uid - r->lo) + 1;
	}
	return 0;
}

/* The range that sequence number @number, which there is, lies in. */
static guint
range_of (const View *v, guint32 number)
{
	guint lo = 0, hi = v->uids.n_ranges;
	while (hi - lo > 1) {
		guint mid = lo + (hi - lo) / 2;
		if (v->before[mid] < number)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

guint32
view_uid (const View *v, guint32 number)
{
	if (number == 0 || number > v->count)
		return 0;
	guint i = range_of (v, number);
	return v->uids.ranges[i].lo + (number - v->before[i] - 1);
}

void
view_uids_of (const View *v, const UidSet *numbers, UidSet *uids_out)
{
	for (guint i = 0; i < numbers->n_ranges; i++) {
		guint32 from = numbers->ranges[i].lo, to = MIN (numbers->ranges[i].hi, v->count);
		if (from > to)
			continue;
		for (guint k = range_of (v, from); k < v->uids.n_ranges && v->before[k] < to; k++) {
			UidRange r = v->uids.ranges[k];
			guint32 first = r.lo + (from > v->before[k] ? from - v->before[k] - 1 : 0);
			uid_set_add_range (uids_out, first, MIN (r.hi, r.lo + (to - v->before[k] - 1)));
		}
	}
}

void
view_numbers_of (const View *v, const UidSet *uids, UidSet *numbers_out)
{
	for (guint i = 0; i < uids->n_ranges; i++)
		uid_set_add_range (numbers_out, view_number (v, uids->ranges[i].lo), view_number (v, uids->ranges[i].hi));
}

void
uids_partial (const UidSet *set, gint64 from, gint64 to, UidSet *out)
{
	gint64 n = (gint64) uid_set_count (set), low = MIN (from, to), high = MAX (from, to);
	gint64 first = MAX (low > 0 ? low : n + 1 + low, 1), last = MIN (high > 0 ? high : n + 1 + high, n), before = 0;
	for (guint i = 0; i < set->n_ranges && before < last; i++) {
		UidRange r = set->ranges[i];
		gint64 size = (gint64) r.hi - r.lo + 1, skip = MAX (first - before - 1, 0), take = MIN (last - before, size);
		if (skip < take)
			uid_set_add_range (out, r.lo + (guint32) skip, r.lo + (guint32) (take - 1));
		before += size;
	}
}

static int
compare_words (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

/* @texts: of messages; with those of @old. */
static char **
keywords_of (GHashTable *texts, char **old)
{
	g_autoptr (GHashTable) words = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	for (char **w = old; w && *w; w++)
		g_hash_table_add (words, g_strdup (*w));
	GHashTableIter it;
	gpointer text;
	g_hash_table_iter_init (&it, texts);
	while (g_hash_table_iter_next (&it, &text, NULL)) {
		g_auto (GStrv) parts = g_strsplit (text, " ", -1);
		for (char **w = parts; *w; w++)
			if (**w)
				g_hash_table_add (words, g_strdup (*w));
	}
	guint n;
	char **list = (char **) g_hash_table_get_keys_as_array (words, &n);
	g_hash_table_steal_all (words);
	qsort (list, n, sizeof *list, compare_words);
	return list;
}

static gboolean
collect_uid (gpointer uids, const Placement *p)
{
	uid_set_add (uids, p->uid);
	return TRUE;
}

/* All UIDs, or @old's and what came and went since. */
static gboolean
read_uids (Store *s, const View *old, gint64 folder, UidSet *uids_out, GError **error)
{
	g_auto (UidSet) removed = {0};
	if (!old)
		return store_uids (s, folder, uids_out, error);
	uid_set_copy (uids_out, &old->uids);
	if (!store_each_placement (s, folder, old->modseq, collect_uid, uids_out, error) ||
	    !store_removed_uids (s, folder, old->modseq, &removed, error))
		return FALSE;
	uid_set_remove_set (uids_out, &removed);
	return TRUE;
}

static View *
make_view (Store *s, const Folder *f, const View *old, GError **error)
{
	g_autoptr (View) v = g_atomic_rc_box_new0 (View);
	g_autoptr (GHashTable) texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	v->folder = f->id;
	v->modseq = f->changed_modseq;
	v->uidvalidity = f->uidvalidity;
	v->uidnext = f->uidnext;
	if (!read_uids (s, old, f->id, &v->uids, error) || !store_folder_keywords (s, f->id, old ? old->modseq : 0, texts, error))
		return NULL;
	v->keywords = keywords_of (texts, old ? old->keywords : NULL);
	count_ranges (v);
	return g_steal_pointer (&v);
}

static View *
known_view (ImapdMailbox *m, gint64 folder)
{
	g_mutex_lock (&m->lock);
	View *v = g_hash_table_lookup (m->views, &folder);
	v = v ? view_ref (v) : NULL;
	g_mutex_unlock (&m->lock);
	return v;
}

static void
keep_view (ImapdMailbox *m, View *v)
{
	g_mutex_lock (&m->lock);
	View *known = g_hash_table_lookup (m->views, &v->folder);
	if (!known || known->modseq < v->modseq) {
		if (g_hash_table_size (m->views) >= VIEWS_KEPT)
			g_hash_table_remove_all (m->views);
		g_hash_table_replace (m->views, &v->folder, view_ref (v));
	}
	g_mutex_unlock (&m->lock);
}

View *
mailbox_view (ImapdMailbox *m, Store *s, gint64 folder, GError **error)
{
	g_autoptr (View) known = known_view (m, folder);
	if (known && known->modseq == store_folder_modseq (s, folder))
		return g_steal_pointer (&known);
	g_autoptr (Folder) f = store_folder (s, folder, error);
	if (!f)
		return NULL;
	/* A connection may read an older moment than another one has seen. */
	View *v = make_view (s, f, known && known->modseq < f->changed_modseq ? known : NULL, error);
	if (v)
		keep_view (m, v);
	return v;
}

/* ---- Trees ---- */

static void
tree_done (gpointer data)
{
	g_clear_pointer (&((Tree *) data)->folders, g_ptr_array_unref);
}

void
tree_unref (Tree *t)
{
	if (t)
		g_atomic_rc_box_release_full (t, tree_done);
}

static Tree *
known_tree (ImapdMailbox *m)
{
	g_mutex_lock (&m->lock);
	Tree *t = m->tree ? g_atomic_rc_box_acquire (m->tree) : NULL;
	g_mutex_unlock (&m->lock);
	return t;
}

static Tree *
read_tree (Store *s, guint64 modseq, GError **error)
{
	GPtrArray *folders = store_folders (s, error);
	if (!folders)
		return NULL;
	Tree *t = g_atomic_rc_box_new0 (Tree);
	t->modseq = modseq;
	t->folders = folders;
	return t;
}

Tree *
mailbox_tree (ImapdMailbox *m, Store *s, GError **error)
{
	if (!store_read_begin (s, error))
		return NULL;
	guint64 modseq = store_modseq (s);
	Tree *t = known_tree (m);
	if (!t || t->modseq != modseq) {
		tree_unref (t);
		t = read_tree (s, modseq, error);
	}
	store_read_end (s);
	if (!t)
		return NULL;
	g_mutex_lock (&m->lock);
	if (!m->tree || m->tree->modseq < t->modseq) {
		tree_unref (m->tree);
		m->tree = g_atomic_rc_box_acquire (t);
	}
	g_mutex_unlock (&m->lock);
	return t;
}
