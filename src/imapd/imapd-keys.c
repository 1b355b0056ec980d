/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants, under the lock of the keys:
 *   1. uids ascends; it has every UID below uidnext that the folder had when they were read, and keeps those of
 * messages that went.
 *   2. columns[k] has the keys of the first columns[k]->len rows.
 *   3. two rows that have a family, and are related by their ids and those of other rows, have the same one: rows that
 * were filled before take the name that a later one's thread has by then (the store joins threads when a message ties
 * them). */
#include "imapd-keys.h"
#include "imapd-section.h"
#include "mail-thread.h"
#include <string.h>

#define ROWS_AT_ONCE 8192       /* filled with the lock held */
#define HEADERS_AT_ONCE 1024    /* read then */
#define REFERENCES_MAX 100      /* of a message: the first, and the last ones */
#define KEYS_KEPT 64            /* folders, of all mailboxes together, */
#define OCTETS_KEPT (64u << 20) /* and what their keys take */
#define GONE_KEPT 1000          /* rows of messages that are gone, besides as many as there are */
#define TEXT_COST 48            /* of a text besides its octets */
#define UNKNOWN G_MAXUINT32

#define TEXTS                                                                                                          \
	(1u << KEY_CC | 1u << KEY_FROM | 1u << KEY_SUBJECT | 1u << KEY_TO | 1u << KEY_DISPLAYFROM | 1u << KEY_DISPLAYTO)

typedef struct {
	guint32 from, n; /* of Keys.parents; n UNKNOWN: not read */
} Parents;

struct Keys {
	gatomicrefcount refs;
	const ImapdMailbox *mailbox; /* who it is of: compared only */
	gint64 folder;
	guint32 uidvalidity;
	guint rows, octets; /* atomic, as they were when the lock was left */
	GMutex lock;        /* guards what follows */
	guint32 uidnext;
	GArray *uids;            /* guint32 */
	GArray *columns[N_KEYS]; /* Key; of CC: text NULL where it is not read */
	GArray *relations;       /* Parents */
	GArray *parents;         /* guint64 */
	GHashTable *known;       /* every text, in the chunks */
	GStringChunk *texts;
	gsize text_octets;
};

struct KeysCache {
	GMutex lock; /* guards what follows */
	GQueue keys; /* Keys, the last used first */
};

/* ---- Keys ---- */

static Keys *
keys_new (const ImapdMailbox *m, const View *v)
{
	Keys *k = g_new0 (Keys, 1);
	g_atomic_ref_count_init (&k->refs);
	k->mailbox = m;
	k->folder = v->folder;
	k->uidvalidity = v->uidvalidity;
	g_mutex_init (&k->lock);
	k->uids = g_array_new (FALSE, FALSE, sizeof (guint32));
	for (guint i = 0; i < N_KEYS; i++)
		k->columns[i] = g_array_new (FALSE, TRUE, sizeof (Key));
	k->relations = g_array_new (FALSE, FALSE, sizeof (Parents));
	k->parents = g_array_new (FALSE, FALSE, sizeof (guint64));
	k->known = g_hash_table_new (g_str_hash, g_str_equal);
	k->texts = g_string_chunk_new (65536);
	return k;
}

static Keys *
keys_ref (Keys *k)
{
	g_atomic_ref_count_inc (&k->refs);
	return k;
}

void
keys_unref (Keys *k)
{
	if (!k || !g_atomic_ref_count_dec (&k->refs))
		return;
	g_array_unref (k->uids);
	for (guint i = 0; i < N_KEYS; i++)
		g_array_unref (k->columns[i]);
	g_array_unref (k->relations);
	g_array_unref (k->parents);
	g_hash_table_unref (k->known);
	g_string_chunk_free (k->texts);
	g_mutex_clear (&k->lock);
	g_free (k);
}

/* Before the lock is left. */
static void
note_size (Keys *k)
{
	gsize octets = k->text_octets + k->uids->len * sizeof (guint32) + k->relations->len * sizeof (Parents) + k->parents->len * sizeof (guint64);
	for (guint i = 0; i < N_KEYS; i++)
		octets += k->columns[i]->len * sizeof (Key);
	g_atomic_int_set (&k->octets, (guint) MIN (octets, (gsize) G_MAXINT));
	g_atomic_int_set (&k->rows, k->uids->len);
}

/* ---- The cache ---- */

KeysCache *
keys_cache_new (void)
{
	KeysCache *c = g_new0 (KeysCache, 1);
	g_mutex_init (&c->lock);
	g_queue_init (&c->keys);
	return c;
}

void
keys_cache_free (KeysCache *c)
{
	g_queue_clear_full (&c->keys, (GDestroyNotify) keys_unref);
	g_mutex_clear (&c->lock);
	g_free (c);
}

void
keys_cache_forget (KeysCache *c, const ImapdMailbox *m)
{
	g_mutex_lock (&c->lock);
	for (GList *next, *at = c->keys.head; at; at = next) {
		next = at->next;
		if (((Keys *) at->data)->mailbox != m)
			continue;
		keys_unref (at->data);
		g_queue_delete_link (&c->keys, at);
	}
	g_mutex_unlock (&c->lock);
}

/* Known ones that are mostly of messages that are gone are begun anew. */
static Keys *
cache_find (KeysCache *c, const ImapdMailbox *m, const View *v)
{
	Keys *found = NULL;
	g_mutex_lock (&c->lock);
	for (GList *next, *at = c->keys.head; at && !found; at = next) {
		Keys *k = at->data;
		next = at->next;
		if (k->mailbox != m || k->folder != v->folder)
			continue;
		g_queue_delete_link (&c->keys, at);
		if (k->uidvalidity == v->uidvalidity && (guint64) g_atomic_int_get (&k->rows) <= 2 * (guint64) v->count + GONE_KEPT)
			found = k;
		else
			keys_unref (k);
	}
	found = found ? found : keys_new (m, v);
	g_queue_push_head (&c->keys, keys_ref (found));
	g_mutex_unlock (&c->lock);
	return found;
}

/* The longest unused go first, and a folder that is too big for it alone goes, too. */
static void
cache_trim (KeysCache *c)
{
	guint64 octets = 0;
	g_mutex_lock (&c->lock);
	for (GList *at = c->keys.head; at; at = at->next)
		octets += (guint) g_atomic_int_get (&((Keys *) at->data)->octets);
	while (c->keys.length > KEYS_KEPT || (octets > OCTETS_KEPT && c->keys.length > 0)) {
		Keys *k = g_queue_pop_tail (&c->keys);
		octets -= MIN (octets, (guint) g_atomic_int_get (&k->octets));
		keys_unref (k);
	}
	g_mutex_unlock (&c->lock);
}

/* ---- Keys of a message ---- */

/* For one command. */
typedef struct {
	Keys *k;
	Store *store;
	guint wanted; /* kinds that are filled */
	guint limit;  /* rows behind are of a later moment than the connection's */
	guint row;    /* where the walk is */
	char *base;   /* of the row's subject; NULL: not looked at */
	gboolean reply;
	GHashTable
		*addresses[2]; /* list of addresses -> key, as many messages are of few people; [1]: by what is shown */
	GStringChunk *lists;   /* its keys */
	void (*take) (Keys *k, guint row, Slice header);
} Filler;

/* i;ascii-casemap would do; other letters are folded, too. */
static const char *
fold (Keys *k, const char *text)
{
	g_autofree char *folded = g_str_is_ascii (text) ? NULL : g_utf8_casefold (text, -1),
			*upper = g_ascii_strup (folded ? folded : text, -1);
	char *known = g_hash_table_lookup (k->known, upper);
	if (known)
		return known;
	known = g_string_chunk_insert (k->texts, upper);
	g_hash_table_add (k->known, known);
	k->text_octets += strlen (known) + TEXT_COST;
	return known;
}

/* Of the first address of @list: its mailbox, or (@display) its name, else the whole address. */
static const char *
make_address_key (Keys *k, Slice list, gboolean display)
{
	g_autoptr (GArray) addresses = mail_addresses_parse (list);
	for (guint i = 0; i < addresses->len; i++) {
		const MailAddress *a = &g_array_index (addresses, MailAddress, i);
		if (!a->mailbox)
			continue;
		g_autofree char *whole =
			display && !a->name ? g_strconcat (a->mailbox, "@", a->host ? a->host : "", NULL) : NULL;
		return fold (k, !display ? a->mailbox : a->name ? a->name : whole);
	}
	return fold (k, "");
}

static const char *
address_key (Filler *f, const char *list, gboolean display)
{
	GHashTable *known = f->addresses[display ? 1 : 0];
	list = list ? list : "";
	const char *key = g_hash_table_lookup (known, list);
	if (!key) {
		key = make_address_key (f->k, (Slice){list, strlen (list)}, display);
		g_hash_table_insert (known, g_string_chunk_insert (f->lists, list), (gpointer) key);
	}
	return key;
}

/* Found once for both keys. */
static const char *
base_subject (Filler *f, const Message *m)
{
	if (!f->base)
		f->base = mail_base_subject (m->subject ? m->subject : "", &f->reply);
	return f->base;
}

static gint64
id_key (const char *id)
{
	return id ? (gint64) mail_thread_id ((Slice){id, strlen (id)}) : 0;
}

static Key
key_of (Filler *f, KeyKind kind, const Message *m)
{
	switch (kind) {
	case KEY_ARRIVAL:
		return (Key){.number = m->received};
	case KEY_DATE: /* RFC 5256 section 2.2: without Date, INTERNALDATE */
		return (Key){.number = m->has_sent ? m->sent : m->received};
	case KEY_SIZE:
		return (Key){.number = (gint64) m->size};
	case KEY_SUBJECT:
		return (Key){.text = fold (f->k, base_subject (f, m))};
	case KEY_REPLY:
		base_subject (f, m);
		return (Key){.number = f->reply};
	case KEY_FROM:
	case KEY_DISPLAYFROM:
		return (Key){.text = address_key (f, m->sender, kind == KEY_DISPLAYFROM)};
	case KEY_TO:
	case KEY_DISPLAYTO:
		return (Key){.text = address_key (f, m->recipients, kind == KEY_DISPLAYTO)};
	case KEY_ID:
		return (Key){.number = id_key (m->message_id)};
	case KEY_FAMILY:
		return (Key){.number = m->thread};
	case KEY_CC: /* from the header, later */
		return (Key){.text = NULL};
	case N_KEYS:
		break;
	}
	g_assert_not_reached ();
}

/* ---- Filling ---- */

static guint32
uid_of (const Keys *k, guint row)
{
	return g_array_index (k->uids, guint32, row);
}

/* The first row from @uid on. */
static guint
row_from (const Keys *k, guint32 uid)
{
	guint lo = 0, hi = k->uids->len;
	while (lo < hi) {
		guint mid = lo + (hi - lo) / 2;
		if (uid_of (k, mid) < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of @uid; *row is where it may be, and goes on. FALSE: there is none. */
static gboolean
find_row (const Keys *k, guint32 uid, guint *row)
{
	if (*row >= k->uids->len || uid_of (k, *row) != uid)
		*row = row_from (k, uid);
	return *row < k->uids->len && uid_of (k, *row) == uid;
}

static void
take_uids (Keys *k, const View *v)
{
	for (guint i = 0; i < v->uids.n_ranges; i++)
		for (guint64 at = MAX (v->uids.ranges[i].lo, k->uidnext); at <= v->uids.ranges[i].hi; at++) {
			guint32 uid = (guint32) at;
			g_array_append_val (k->uids, uid);
		}
	k->uidnext = MAX (k->uidnext, v->uidnext);
}

/* @m NULL: the message is gone, nobody asks for its keys. */
static void
fill_row (Filler *f, const Message *m)
{
	for (guint kind = 0; kind < N_KEYS; kind++)
		if (f->wanted & 1u << kind) {
			Key key = m                      ? key_of (f, (KeyKind) kind, m) : (TEXTS & 1u << kind) ? (Key){.text = ""} : (Key){.number = 0};
			g_array_append_val (f->k->columns[kind], key);
		}
	g_clear_pointer (&f->base, g_free);
	f->row++;
}

static gboolean
fill_message (gpointer filler, const Listing *l)
{
	Filler *f = filler;
	while (f->row < f->limit && uid_of (f->k, f->row) < l->placement.uid)
		fill_row (f, NULL);
	if (f->row < f->limit && uid_of (f->k, f->row) == l->placement.uid)
		fill_row (f, &l->message);
	return TRUE;
}

/* Those of @wanted that have the fewest rows get some more; *row_out: how many they have then. */
static gboolean
fill_some (Filler *f, guint wanted, guint *row_out, GError **error)
{
	Keys *k = f->k;
	guint from = f->limit, to = f->limit;
	for (guint i = 0; i < N_KEYS; i++)
		if (wanted & 1u << i)
			from = MIN (from, k->columns[i]->len);
	f->wanted = 0;
	for (guint i = 0; i < N_KEYS; i++)
		if (wanted & 1u << i && k->columns[i]->len == from)
			f->wanted |= 1u << i;
		else if (wanted & 1u << i)
			to = MIN (to, k->columns[i]->len);
	to = MIN (to, from + ROWS_AT_ONCE);
	*row_out = f->row = from;
	if (from >= to)
		return TRUE;
	if (!store_list_range (f->store, k->folder, uid_of (k, from), uid_of (k, to - 1), LISTING_MESSAGE, fill_message, f, error))
		return FALSE;
	while (f->row < to)
		fill_row (f, NULL);
	*row_out = to;
	return TRUE;
}

/* Invariant 3, for the rows from @from on: all of them are of the connection's moment. */
static gboolean
rename_families (Filler *f, guint from, GError **error)
{
	Keys *k = f->k;
	g_autoptr (GHashTable) done = g_hash_table_new (NULL, NULL);
	for (guint i = from; from > 0 && i < f->limit; i++) {
		gint64 thread = keys_get (k, KEY_FAMILY, i).number;
		g_auto (UidSet) members = UID_SET_INIT;
		UidIter it = {0};
		guint32 uid;
		if (!thread || !g_hash_table_add (done, GSIZE_TO_POINTER ((gsize) thread)))
			continue;
		if (!store_thread_uids (f->store, k->folder, thread, &members, error))
			return FALSE;
		while (uid_set_next (&members, &it, &uid)) {
			guint row = 0;
			if (find_row (k, uid, &row) && row < f->limit)
				g_array_index (k->columns[KEY_FAMILY], Key, row).number = thread;
		}
	}
	return TRUE;
}

/* As one step: they belong together. */
static gboolean
fill_families (Filler *f, GError **error)
{
	guint from = f->k->columns[KEY_FAMILY]->len, row = from;
	while (row < f->limit)
		if (!fill_some (f, 1u << KEY_FAMILY, &row, error))
			return FALSE;
	return rename_families (f, from, error);
}

/* ---- What stands in headers ---- */

static void
take_cc (Keys *k, guint row, Slice header)
{
	Slice value = mail_header_find (header, "Cc");
	g_autofree char *text = value.data ? mail_header_decode (value, 4096) : NULL;
	g_array_index (k->columns[KEY_CC], Key, row).text =
		make_address_key (k, (Slice){text ? text : "", text ? strlen (text) : 0}, FALSE);
}

/* References, or where there are none the first id of In-Reply-To. */
static void
take_parents (Keys *k, guint row, Slice header)
{
	guint from = k->parents->len;
	Slice rest = mail_header_find (header, "References"), id;
	while (mail_next_id (&rest, &id)) {
		guint64 key = mail_thread_id (id);
		if (k->parents->len - from == REFERENCES_MAX)
			g_array_remove_index (k->parents, from + 1);
		g_array_append_val (k->parents, key);
	}
	rest = mail_header_find (header, "In-Reply-To");
	if (k->parents->len == from && mail_next_id (&rest, &id)) {
		guint64 key = mail_thread_id (id);
		g_array_append_val (k->parents, key);
	}
	g_array_index (k->relations, Parents, row) = (Parents){from, k->parents->len - from};
}

static gboolean
read_header (gpointer filler, const Listing *l)
{
	Filler *f = filler;
	guint row = 0;
	if (!find_row (f->k, l->placement.uid, &row))
		return TRUE;
	g_auto (Source) source = {.store = f->store, .message = l->placement.message, .size = l->message.size, .kept = l->message.structure};
	g_autoptr (GBytes) header = source_header (&source, NULL); /* of one that can't be read nothing is known */
	gsize size = 0;
	const char *octets = header ? g_bytes_get_data (header, &size) : NULL;
	f->take (f->k, row, (Slice){octets ? octets : "", size});
	return TRUE;
}

/* The rows of @found whose CC is not known. */
static void
want_cc (Keys *k, const UidSet *found, UidSet *out)
{
	UidIter it = {0};
	guint32 uid;
	for (guint row = 0; uid_set_next (found, &it, &uid); row++)
		if (find_row (k, uid, &row) && row < k->columns[KEY_CC]->len && !keys_get (k, KEY_CC, row).text)
			uid_set_add (out, uid);
}

/* The rows of @found that are related to another one of it and whose parents are not known. */
static void
want_parents (Keys *k, const UidSet *found, UidSet *out)
{
	static const Parents unknown = {0, UNKNOWN};
	g_autoptr (GHashTable) members = g_hash_table_new (NULL, NULL);
	UidIter it = {0}, again = {0};
	guint32 uid;
	while (k->relations->len < k->uids->len)
		g_array_append_val (k->relations, unknown);
	for (guint row = 0; uid_set_next (found, &it, &uid); row++)
		if (find_row (k, uid, &row) && row < k->columns[KEY_FAMILY]->len) {
			gpointer family = GSIZE_TO_POINTER ((gsize) keys_get (k, KEY_FAMILY, row).number);
			g_hash_table_insert (
				members, family,
				GSIZE_TO_POINTER (GPOINTER_TO_SIZE (g_hash_table_lookup (members, family)) + 1));
		}
	for (guint row = 0; uid_set_next (found, &again, &uid); row++)
		if (find_row (k, uid, &row) && row < k->columns[KEY_FAMILY]->len && g_array_index (k->relations, Parents, row).n == UNKNOWN &&
		    GPOINTER_TO_SIZE (g_hash_table_lookup (members, GSIZE_TO_POINTER ((gsize) keys_get (k, KEY_FAMILY, row).number))) > 1)
			uid_set_add (out, uid);
}

/* The lock is left between pieces: it takes long, and who is told of it may be slow. */
static gboolean
read_headers (Filler *f, ImapdSession *s, const UidSet *uids)
{
	guint64 total = uid_set_count (uids);
	GError *error = NULL;
	for (guint64 at = 0; at < total; at += HEADERS_AT_ONCE) {
		g_auto (UidSet) some = UID_SET_INIT;
		uids_partial (uids, (gint64) at + 1, (gint64) MIN (at + HEADERS_AT_ONCE, total), &some);
		g_mutex_lock (&f->k->lock);
		gboolean ok = list_uids (f->store, f->k->folder, &some, LISTING_STRUCTURE, read_header, f, &error);
		note_size (f->k);
		g_mutex_unlock (&f->k->lock);
		if (!ok)
			return session_fail (s, error);
		if (!session_progress (s, MIN (at + HEADERS_AT_ONCE, total), total))
			return FALSE;
	}
	return TRUE;
}

/* ---- Taking ---- */

static gboolean
fill (Filler *f, ImapdSession *s, const UidSet *found, guint wanted, gboolean parents)
{
	Keys *k = f->k;
	GError *error = NULL;
	gboolean ok = TRUE, more = TRUE;
	for (guint row; ok && more;) {
		g_mutex_lock (&k->lock);
		ok = fill_some (f, wanted, &row, &error);
		more = row < f->limit;
		note_size (k);
		g_mutex_unlock (&k->lock);
		if (ok && !session_progress (s, row, f->limit))
			return FALSE;
	}
	g_auto (UidSet) cc = UID_SET_INIT, related = UID_SET_INIT;
	g_mutex_lock (&k->lock);
	if (ok && wanted & 1u << KEY_CC)
		want_cc (k, found, &cc);
	if (ok && parents && (ok = fill_families (f, &error)))
		want_parents (k, found, &related);
	note_size (k);
	g_mutex_unlock (&k->lock);
	if (!ok)
		return session_fail (s, error);
	f->take = take_cc;
	if (!read_headers (f, s, &cc))
		return FALSE;
	f->take = take_parents;
	return read_headers (f, s, &related);
}

Keys *
keys_take (ImapdSession *s, Store *store, const UidSet *found, guint wanted, gboolean parents)
{
	GError *error = NULL;
	KeysCache *cache = mailbox_keys (s->mailbox);
	if (!store_read_begin (store, &error)) {
		session_fail (s, error);
		return NULL;
	}
	g_autoptr (View) v = mailbox_view (s->mailbox, store, s->view->folder, &error);
	g_autoptr (Keys) k = v ? cache_find (cache, s->mailbox, v) : NULL;
	Filler f = {
		.k = k,
		.store = store,
		.lists = g_string_chunk_new (4096),
		.addresses = {g_hash_table_new (g_str_hash, g_str_equal), g_hash_table_new (g_str_hash, g_str_equal)}};
	if (k) {
		g_mutex_lock (&k->lock);
		take_uids (k, v);
		f.limit = row_from (k, v->uidnext);
		g_mutex_unlock (&k->lock);
	} else
		session_fail (s, error);
	gboolean ok = k && fill (&f, s, found, wanted, parents);
	store_read_end (store);
	cache_trim (cache);
	g_hash_table_unref (f.addresses[0]);
	g_hash_table_unref (f.addresses[1]);
	g_string_chunk_free (f.lists);
	return ok ? g_steal_pointer (&k) : NULL;
}

void
keys_each (Keys *k, const ImapdSession *s, const UidSet *found, guint wanted, KeysFn fn, gpointer data)
{
	g_mutex_lock (&k->lock);
	guint limit = k->uids->len;
	for (guint i = 0; i < N_KEYS; i++)
		if (wanted & 1u << i)
			limit = MIN (limit, k->columns[i]->len);
	for (guint i = 0; i < found->n_ranges; i++)
		for (guint row = row_from (k, found->ranges[i].lo); row < limit && uid_of (k, row) <= found->ranges[i].hi; row++)
			if (view_number (s->view, uid_of (k, row)))
				fn (data, k, uid_of (k, row), row);
	g_mutex_unlock (&k->lock);
}

Key
keys_get (const Keys *k, KeyKind kind, guint row)
{
	return g_array_index (k->columns[kind], Key, row);
}

const guint64 *
keys_parents (const Keys *k, guint row, guint *n_out)
{
	Parents p = row < k->relations->len ? g_array_index (k->relations, Parents, row) : (Parents){0, UNKNOWN};
	*n_out = p.n == UNKNOWN ? 0 : p.n;
	return &g_array_index (k->parents, guint64, p.from);
}
