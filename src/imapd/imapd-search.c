/* SPDX-License-Identifier: Apache-2.0 */
/* SEARCH (RFC 9051 section 6.4.4, RFC 4731, RFC 5032, RFC 7162, RFC 9394). The keys become a tree; each row of the folder is asked. A key
 * says what it needs: the placement alone, the message's row, or its header, which is read only where all else leaves it open. BODY and
 * TEXT are answered by the index: whole words, the last one as a beginning, which RFC 9051 allows. */
#include "imapd-private.h"
#include "imap-text.h"
#include "imapd-section.h"
#include "mail.h"
#include "search.h"
#include <string.h>

#define KEYS_MAX 500
#define DEPTH_MAX 50
#define DAY 86400
#define KEPT_MAX 4000 /* octets; longer ones may have been cut */

typedef enum {
	KEY_AND,
	KEY_OR,
	KEY_NOT,
	KEY_ALL,
	KEY_FLAG,    /* flags & mask == value */
	KEY_KEYWORD,
	KEY_UIDS,
	KEY_MODSEQ,
	KEY_DAY,     /* INTERNALDATE's day in lo..hi */
	KEY_SAVED,   /* the day it was placed here in lo..hi */
	KEY_TIME,    /* received in lo..hi */
	KEY_SIZE,    /* in lo..hi */
	KEY_SENT,    /* Date's day in lo..hi */
	KEY_HEADER,  /* a field has the text */
	KEY_WORDS,   /* one of the UIDs that the index told */
	KEY_ID,      /* EMAILID, THREADID */
} KeyKind;

typedef struct Key Key;
struct Key {
	KeyKind kind;
	GPtrArray *children; /* of Key */
	guint mask, value;
	char *field, *text;  /* KEYWORD, HEADER (text folded), ID (field: which) */
	UidSet uids;
	gint64 lo, hi;
};

static void
key_free (Key *k)
{
	if (!k)
		return;
	g_clear_pointer (&k->children, g_ptr_array_unref);
	g_free (k->field);
	g_free (k->text);
	uid_set_clear (&k->uids);
	g_free (k);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Key, key_free)

static Key *
key_new (KeyKind kind)
{
	Key *k = g_new0 (Key, 1);
	k->kind = kind;
	if (kind <= KEY_NOT)
		k->children = g_ptr_array_new_with_free_func ((GDestroyNotify) key_free);
	return k;
}

typedef struct {
	ImapdSession *s;
	Store *store;
	const ImapNode *at; /* the next key */
	guint keys, depth;
	ListingDepth needs;
	gboolean modseq;  /* MODSEQ is among the keys */
} Reader;

/* ---- Keys ---- */

static gboolean read_key (Reader *r, Key **out);

static gboolean
wants (Reader *r, const char *what)
{
	return session_bad (r->s, "%s is expected", what);
}

static const ImapNode *
next (Reader *r)
{
	const ImapNode *n = r->at;
	r->at = node_next (n);
	return n;
}

static gboolean
take_text (Reader *r, char **out)
{
	const ImapNode *n = next (r);
	if (!node_is_astring (n))
		return wants (r, "a string");
	*out = slice_to_utf8 (node_text (n), 3 * node_text (n).size + 1);
	return TRUE;
}

/* As one folds for comparing. */
static char *
fold (const char *text)
{
	g_autofree char *normal = g_utf8_normalize (text, -1, G_NORMALIZE_ALL_COMPOSE);
	return g_utf8_casefold (normal ? normal : text, -1);
}

static gboolean
take_header (Reader *r, const char *field, Key **out)
{
	g_autofree char *text = NULL;
	g_autoptr (Key) k = key_new (KEY_HEADER);
	if (field)
		k->field = g_strdup (field);
	else if (!take_text (r, &k->field))
		return FALSE;
	if (!take_text (r, &text))
		return FALSE;
	k->text = fold (text);
	r->needs = LISTING_STRUCTURE;
	*out = g_steal_pointer (&k);
	return TRUE;
}

static gboolean
take_day (Reader *r, KeyKind kind, gint64 before, gint64 on, gint64 since, Key **out)
{
	gint64 day;
	const ImapNode *n = next (r);
	if (!n || !date_parse_day (node_text (n), &day))
		return wants (r, "a date");
	*out = key_new (kind);
	(*out)->lo = since || on ? day : G_MININT64;
	(*out)->hi = before ? day - 1 : on ? day : G_MAXINT64;
	r->needs = MAX (r->needs, kind == KEY_SENT ? LISTING_STRUCTURE : LISTING_MESSAGE);
	return TRUE;
}

static gboolean
take_number (Reader *r, guint64 max, guint64 *out)
{
	const ImapNode *n = next (r);
	return (n && slice_to_number (node_text (n), out) && *out <= max) || wants (r, "a number");
}

static gboolean
take_size (Reader *r, gboolean larger, Key **out)
{
	guint64 size;
	if (!take_number (r, G_MAXINT64 - 1, &size))
		return FALSE;
	*out = key_new (KEY_SIZE);
	(*out)->lo = larger ? (gint64) size + 1 : G_MININT64;
	(*out)->hi = larger ? G_MAXINT64 : (gint64) size - 1;
	r->needs = MAX (r->needs, LISTING_MESSAGE);
	return TRUE;
}

static gboolean
take_age (Reader *r, gboolean younger, Key **out)
{
	guint64 age;
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	if (!take_number (r, G_MAXUINT32, &age) || age == 0)
		return wants (r, "a number of seconds");
	*out = key_new (KEY_TIME);
	(*out)->lo = younger ? now - (gint64) age : G_MININT64;
	(*out)->hi = younger ? G_MAXINT64 : now - (gint64) age;
	r->needs = MAX (r->needs, LISTING_MESSAGE);
	return TRUE;
}

/* MODSEQ [entry type] number; the entry's name makes no difference here (RFC 7162 section 3.1.5 allows that). */
static gboolean
take_modseq (Reader *r, Key **out)
{
	guint64 modseq;
	if (r->at && r->at->kind == NODE_STRING) {
		next (r);
		next (r);
	}
	if (!take_number (r, G_MAXINT64, &modseq))
		return FALSE;
	session_use_condstore (r->s);
	r->modseq = TRUE;
	*out = key_new (KEY_MODSEQ);
	(*out)->lo = (gint64) modseq;
	return TRUE;
}

static gboolean
take_words (Reader *r, gboolean anywhere, Key **out)
{
	g_autofree char *text = NULL;
	GError *error = NULL;
	if (!take_text (r, &text))
		return FALSE;
	g_autoptr (Key) k = key_new (*text ? KEY_WORDS : KEY_ALL);
	g_autoptr (SearchQuery) q = *text ? search_query_of_words (text, anywhere) : NULL;
	if (q && !search_uids (r->store, q, r->s->view->folder, NULL, &k->uids, &error))
		return session_fail (r->s, error);
	*out = g_steal_pointer (&k);
	return TRUE;
}

static gboolean
take_keyword (Reader *r, Key **out)
{
	g_autofree char *word = NULL;
	if (!take_text (r, &word))
		return FALSE;
	*out = key_new (KEY_KEYWORD);
	(*out)->text = g_steal_pointer (&word);
	return TRUE;
}

static gboolean
take_uids (Reader *r, const ImapNode *n, gboolean uid, Key **out)
{
	g_autoptr (Key) k = key_new (KEY_UIDS);
	if (!session_uids (r->s, n, uid, &k->uids))
		return FALSE;
	*out = g_steal_pointer (&k);
	return TRUE;
}

static gboolean
take_id (Reader *r, const char *which, Key **out)
{
	g_autofree char *id = NULL;
	if (!take_text (r, &id))
		return FALSE;
	*out = key_new (KEY_ID);
	(*out)->field = g_strdup (which);
	(*out)->text = g_steal_pointer (&id);
	r->needs = MAX (r->needs, LISTING_MESSAGE);
	return TRUE;
}

static gboolean
take_or (Reader *r, Key **out)
{
	g_autoptr (Key) k = key_new (KEY_OR);
	for (int i = 0; i < 2; i++) {
		Key *child;
		if (!read_key (r, &child))
			return FALSE;
		g_ptr_array_add (k->children, child);
	}
	*out = g_steal_pointer (&k);
	return TRUE;
}

static gboolean
take_not (Reader *r, Key **out)
{
	Key *child;
	if (!read_key (r, &child))
		return FALSE;
	*out = key_new (KEY_NOT);
	g_ptr_array_add ((*out)->children, child);
	return TRUE;
}

static gboolean
read_all (Reader *r, Key **out)
{
	g_autoptr (Key) k = key_new (KEY_AND);
	if (!r->at)
		return wants (r, "a search key");
	while (r->at) {
		Key *child;
		if (!read_key (r, &child))
			return FALSE;
		g_ptr_array_add (k->children, child);
	}
	*out = g_steal_pointer (&k);
	return TRUE;
}

static gboolean
read_list (Reader *r, const ImapNode *list, Key **out)
{
	const ImapNode *behind = r->at;
	r->at = node_first (list);
	gboolean ok = read_all (r, out);
	r->at = behind;
	return ok;
}

/* Keys without an argument. */
static const struct {
	const char *word;
	guint mask, value;
} plain[] = {
	{"ALL", 0, 0}, {"ANSWERED", 2, 2}, {"UNANSWERED", 2, 0}, {"DELETED", 8, 8}, {"UNDELETED", 8, 0}, {"DRAFT", 16, 16}, {"UNDRAFT", 16, 0},
	{"FLAGGED", 4, 4}, {"UNFLAGGED", 4, 0}, {"SEEN", 1, 1}, {"UNSEEN", 1, 0}, {"OLD", 0, 0}, {"SAVEDATESUPPORTED", 0, 0}, {"RECENT", 0, 1}, {"NEW", 0, 1},
};

static gboolean
read_word (Reader *r, const ImapNode *n, Key **out)
{
	for (guint i = 0; i < G_N_ELEMENTS (plain); i++)
		if (node_is_word (n, plain[i].word)) {
			*out = key_new (plain[i].mask || plain[i].value ? KEY_FLAG : KEY_ALL);
			(*out)->mask = plain[i].mask;
			(*out)->value = plain[i].value;
			return TRUE;
		}
	static const char *const fields[] = {"FROM", "TO", "CC", "BCC", "SUBJECT"};
	for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
		if (node_is_word (n, fields[i]))
			return take_header (r, fields[i], out);
	static const struct {
		const char *word;
		KeyKind kind;
		gint64 before, on, since;
	} days[] = {{"BEFORE", KEY_DAY, 1, 0, 0}, {"ON", KEY_DAY, 0, 1, 0}, {"SINCE", KEY_DAY, 0, 0, 1},
	            {"SENTBEFORE", KEY_SENT, 1, 0, 0}, {"SENTON", KEY_SENT, 0, 1, 0}, {"SENTSINCE", KEY_SENT, 0, 0, 1},
	            {"SAVEDBEFORE", KEY_SAVED, 1, 0, 0}, {"SAVEDON", KEY_SAVED, 0, 1, 0}, {"SAVEDSINCE", KEY_SAVED, 0, 0, 1}};
	for (guint i = 0; i < G_N_ELEMENTS (days); i++)
		if (node_is_word (n, days[i].word))
			return take_day (r, days[i].kind, days[i].before, days[i].on, days[i].since, out);
	if (node_is_word (n, "HEADER"))
		return take_header (r, NULL, out);
	if (node_is_word (n, "BODY") || node_is_word (n, "TEXT"))
		return take_words (r, node_is_word (n, "TEXT"), out);
	if (node_is_word (n, "KEYWORD"))
		return take_keyword (r, out);
	if (node_is_word (n, "UNKEYWORD")) {
		Key *k;
		if (!take_keyword (r, &k))
			return FALSE;
		*out = key_new (KEY_NOT);
		g_ptr_array_add ((*out)->children, k);
		return TRUE;
	}
	if (node_is_word (n, "LARGER") || node_is_word (n, "SMALLER"))
		return take_size (r, node_is_word (n, "LARGER"), out);
	if (node_is_word (n, "YOUNGER") || node_is_word (n, "OLDER"))
		return take_age (r, node_is_word (n, "YOUNGER"), out);
	if (node_is_word (n, "MODSEQ"))
		return take_modseq (r, out);
	if (node_is_word (n, "EMAILID") || node_is_word (n, "THREADID"))
		return take_id (r, node_is_word (n, "EMAILID") ? "EMAILID" : "THREADID", out);
	if (node_is_word (n, "UID"))
		return take_uids (r, next (r), TRUE, out);
	if (node_is_word (n, "OR"))
		return take_or (r, out);
	if (node_is_word (n, "NOT"))
		return take_not (r, out);
	if (node_is (n, WORD_SET))
		return take_uids (r, n, FALSE, out);
	g_autofree char *word = slice_to_utf8 (node_text (n), 40);
	return session_bad (r->s, "an unknown search key: %s", word);
}

static gboolean
read_key (Reader *r, Key **out)
{
	const ImapNode *n = next (r);
	if (!n)
		return wants (r, "a search key");
	if (++r->keys > KEYS_MAX || r->depth == DEPTH_MAX)
		return session_bad (r->s, "too many search keys");
	r->depth++;
	gboolean ok = n->kind == NODE_LIST ? read_list (r, n, out) : read_word (r, n, out);
	r->depth--;
	return ok;
}

/* ---- Asking a message ---- */

typedef struct {
	ImapdSession *s;
	const Key *root;
	const Listing *l;
	Source source;
	GBytes *header; /* read once */
	GError **error;
} Asked;

static gboolean
in_range (const Key *k, gint64 n)
{
	return n >= k->lo && n <= k->hi;
}

static gint64
day_of (gint64 time, int zone)
{
	gint64 local = time + zone * 60;
	return local >= 0 ? local / DAY : -((-local + DAY - 1) / DAY);
}

static gboolean
has_word (const char *keywords, const char *word)
{
	gsize n = strlen (word);
	for (const char *at = keywords; at && *at; at = strchr (at, ' ') ? strchr (at, ' ') + 1 : NULL)
		if (g_ascii_strncasecmp (at, word, n) == 0 && (at[n] == ' ' || at[n] == '\0'))
			return TRUE;
	return FALSE;
}

static Slice
header_of (Asked *a)
{
	gsize size = 0;
	if (!a->header && !*a->error)
		a->header = source_header (&a->source, a->error);
	const char *octets = a->header ? g_bytes_get_data (a->header, &size) : NULL;
	return (Slice){octets ? octets : "", size};
}

/* @text has @wanted, which is folded. */
static gboolean
text_has (const char *text, const char *wanted)
{
	if (g_str_is_ascii (text))
		return strcasestr (text, wanted) != NULL;
	g_autofree char *folded = fold (text);
	return strstr (folded, wanted) != NULL;
}

static gboolean
value_has (Slice value, const char *wanted)
{
	g_autofree char *text = mail_header_decode (value, 64u << 10);
	return text_has (text, wanted);
}

/* What the row keeps of a field is all of it, unless it is long; NULL: the header has to be asked. */
static const char *
kept_field (const Message *m, const char *field)
{
	const char *text = g_ascii_strcasecmp (field, "Subject") == 0 ? m->subject : g_ascii_strcasecmp (field, "From") == 0 ? m->sender : NULL;
	return text && strlen (text) < KEPT_MAX ? text : NULL;
}

/* Any field of that name; the empty text asks whether there is one. */
static gboolean
header_has (Asked *a, const Key *k)
{
	const char *kept = kept_field (&a->l->message, k->field);
	if (kept)
		return text_has (kept, k->text);
	Slice rest = header_of (a);
	for (;;) {
		Slice value = mail_header_find (rest, k->field);
		if (!value.data)
			return FALSE;
		if (!*k->text || value_has (value, k->text))
			return TRUE;
		const char *behind = slice_end (value), *end = slice_end (rest);
		const char *line = memchr (behind, '\n', (gsize) (end - behind));
		if (!line)
			return FALSE;
		rest = (Slice){line + 1, (gsize) (end - line - 1)};
	}
}

static gboolean
sent_in (Asked *a, const Key *k)
{
	gint64 time;
	int zone;
	const Message *m = &a->l->message;
	/* The row knows the time, but not the zone. */
	if (!m->has_sent || (day_of (m->sent, 0) > k->hi && day_of (m->sent, 0) - k->hi > 1) || (day_of (m->sent, 0) < k->lo && k->lo - day_of (m->sent, 0) > 1))
		return FALSE;
	return mail_date_parse (mail_header_find (header_of (a), "Date"), &time, &zone) && in_range (k, day_of (time, zone));
}

static gboolean
id_is (const Message *m, const Key *k)
{
	char id[ID_TEXT_SIZE];
	if (strcmp (k->field, "EMAILID") == 0)
		id128_text (&m->object_id, id);
	else
		g_snprintf (id, sizeof id, "T%" G_GINT64_FORMAT, m->thread);
	return strcmp (id, k->text) == 0;
}

static gboolean
ask (Asked *a, const Key *k)
{
	const Placement *p = &a->l->placement;
	const Message *m = &a->l->message;
	switch (k->kind) {
	case KEY_AND:
		for (guint i = 0; i < k->children->len; i++)
			if (!ask (a, k->children->pdata[i]))
				return FALSE;
		return TRUE;
	case KEY_OR:
		return ask (a, k->children->pdata[0]) || ask (a, k->children->pdata[1]);
	case KEY_NOT:
		return !ask (a, k->children->pdata[0]);
	case KEY_ALL:
		return TRUE;
	case KEY_FLAG:
		return (p->flags & k->mask) == k->value;
	case KEY_KEYWORD:
		return has_word (p->keywords, k->text);
	case KEY_UIDS:
	case KEY_WORDS:
		return uid_set_contains (&k->uids, p->uid);
	case KEY_MODSEQ:
		return (gint64) p->modseq >= k->lo;
	case KEY_DAY:
		return in_range (k, day_of (m->received, m->zone));
	case KEY_SAVED: /* RFC 8514 section 4.3: where it is not known, that of the arrival */
		return in_range (k, p->saved ? day_of (p->saved, 0) : day_of (m->received, m->zone));
	case KEY_TIME:
		return in_range (k, m->received);
	case KEY_SIZE:
		return in_range (k, (gint64) m->size);
	case KEY_SENT:
		return sent_in (a, k);
	case KEY_HEADER:
		return header_has (a, k);
	case KEY_ID:
		return id_is (m, k);
	}
	g_assert_not_reached ();
}

/* ---- Running ---- */

typedef struct {
	ImapdSession *s;
	Store *store;
	const Key *root;
	UidSet found;
	guint64 modseq; /* highest of those found */
	guint64 done, total;
	GError **error;
} SearchRun;

static gboolean
ask_row (gpointer data, const Listing *l)
{
	SearchRun *run = data;
	Asked a = {run->s, run->root, l, {.store = run->store, .message = l->placement.message, .size = l->message.size, .kept = l->message.structure},
	           NULL, run->error};
	if (view_number (run->s->view, l->placement.uid) && ask (&a, run->root)) {
		uid_set_add (&run->found, l->placement.uid);
		run->modseq = MAX (run->modseq, l->placement.modseq);
	}
	g_clear_pointer (&a.header, g_bytes_unref);
	source_clear (&a.source);
	/* One message that can't be read is not found; it does not end the search. */
	if (error_is (*run->error, ERROR_CORRUPT) || error_is (*run->error, ERROR_NOT_FOUND))
		g_clear_error (run->error);
	return session_progress (run->s, ++run->done, run->total) && *run->error == NULL;
}

static void
keep_only (UidSet *uids, const UidSet *these)
{
	g_auto (UidSet) other = {0};
	uid_set_copy (&other, uids);
	uid_set_remove_set (&other, these);
	uid_set_remove_set (uids, &other);
}

/* Where the keys at the top name UIDs, only those are looked at. */
static void
narrow (const Key *root, const UidSet *all, UidSet *out)
{
	uid_set_copy (out, all);
	for (guint i = 0; i < root->children->len; i++) {
		const Key *k = root->children->pdata[i];
		if (k->kind == KEY_UIDS || k->kind == KEY_WORDS)
			keep_only (out, &k->uids);
	}
}

static gboolean
only_sets (const Key *root)
{
	for (guint i = 0; i < root->children->len; i++) {
		KeyKind kind = ((const Key *) root->children->pdata[i])->kind;
		if (kind != KEY_UIDS && kind != KEY_WORDS && kind != KEY_ALL)
			return FALSE;
	}
	return TRUE;
}

/* Without those that have gone since the client was told. */
static gboolean
take_what_is_there (SearchRun *run, const UidSet *uids)
{
	GError *error = NULL;
	if (!store_read_begin (run->store, &error))
		return session_fail (run->s, error);
	g_autoptr (View) now = mailbox_view (run->s->mailbox, run->store, run->s->view->folder, &error);
	store_read_end (run->store);
	if (!now)
		return session_fail (run->s, error);
	uid_set_copy (&run->found, uids);
	keep_only (&run->found, &now->uids);
	return TRUE;
}

static gboolean
search_rows (SearchRun *run, ListingDepth needs, gboolean modseq)
{
	GError *error = NULL;
	g_auto (UidSet) uids = {0};
	run->error = &error;
	narrow (run->root, &run->s->view->uids, &uids);
	if (only_sets (run->root) && !modseq)
		return take_what_is_there (run, &uids);
	run->total = uid_set_count (&uids);
	list_uids (run->store, run->s->view->folder, &uids, needs, ask_row, run, &error);
	return !error || session_fail (run->s, error);
}

/* ---- Results ---- */

gboolean
search_take_return (ImapdSession *s, const ImapNode **at, SearchReturn *w)
{
	if (!node_is_word (*at, "RETURN"))
		return TRUE;
	const ImapNode *list = node_next (*at);
	*at = node_next (list);
	if (!list || list->kind != NODE_LIST)
		return session_bad (s, "RETURN wants a list");
	w->extended = TRUE;
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (node_is_word (n, "MIN"))
			w->min = TRUE;
		else if (node_is_word (n, "MAX"))
			w->max = TRUE;
		else if (node_is_word (n, "COUNT"))
			w->count = TRUE;
		else if (node_is_word (n, "ALL"))
			w->all = TRUE;
		else if (node_is_word (n, "SAVE"))
			w->save = TRUE;
		else if (node_is_word (n, "PARTIAL") && node_next (n) && imap_partial_parse (node_text (node_next (n)), &w->from, &w->to))
			n = node_next (n);
		else
			return session_bad (s, "an unknown result option of SEARCH");
	}
	if (!w->min && !w->max && !w->count && !w->save && !w->from)
		w->all = TRUE;
	return TRUE;
}

/* UIDs, or the sequence numbers that they have. */
static void
numbers_of (const ImapdSession *s, const UidSet *uids, UidSet *out)
{
	if (imap_command_is_uid (s->command)) {
		uid_set_copy (out, uids);
		return;
	}
	view_numbers_of (s->view, uids, out);
}

static void
write_old (ImapdSession *s, const UidSet *numbers, guint64 modseq)
{
	g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (guint32));
	UidIter it = {0};
	guint32 n;
	while (uid_set_next (numbers, &it, &n))
		g_array_append_val (list, n);
	imap_write_numbers (&s->out, "SEARCH", (const guint32 *) (const void *) list->data, list->len, list->len ? modseq : 0);
}

static void
write_found (ImapdSession *s, const SearchReturn *w, const UidSet *uids, guint64 modseq)
{
	g_auto (UidSet) numbers = {0}, partial = {0};
	numbers_of (s, uids, &numbers);
	if (!w->extended && !s->rev2) {
		write_old (s, &numbers, modseq);
		return;
	}
	g_autofree char *tag = slice_dup (imap_command_tag (s->command));
	gboolean any = !uid_set_is_empty (&numbers);
	ImapEsearch e = {.tag = tag, .uid = imap_command_is_uid (s->command), .modseq = any ? modseq : 0};
	if (w->min)
		e.min = uid_set_nth (&numbers, 0);
	if (w->max)
		e.max = uid_set_max (&numbers);
	if (w->all || !w->extended)
		e.all = &numbers;
	e.has_count = w->count;
	e.count = (guint32) uid_set_count (&numbers);
	if (w->from) {
		uids_partial (&numbers, w->from, w->to, &partial);
		e.partial_from = w->from;
		e.partial_to = w->to;
		e.partial = &partial;
	}
	if (w->extended ? w->min || w->max || w->all || w->count || w->from : TRUE)
		imap_write_esearch (&s->out, &e);
}

/* RFC 5182 section 2.1: only what MIN and MAX name where nothing else is asked for. */
void
search_save (ImapdSession *s, const SearchReturn *w, const UidSet *found)
{
	uid_set_clear (&s->saved);
	if ((w->min || w->max) && !w->all && !w->count && !w->from) {
		if (w->min)
			uid_set_add (&s->saved, uid_set_nth (found, 0));
		if (w->max)
			uid_set_add (&s->saved, uid_set_max (found));
	} else
		uid_set_copy (&s->saved, found);
}

gboolean
search_take_charset (ImapdSession *s, const ImapNode **at)
{
	if (!node_is_word (*at, "CHARSET"))
		return TRUE;
	const ImapNode *n = node_next (*at);
	*at = node_next (n);
	return search_check_charset (s, n);
}

gboolean
search_check_charset (ImapdSession *s, const ImapNode *n)
{
	if (n && (slice_equals_ascii_case (node_text (n), "UTF-8") || slice_equals_ascii_case (node_text (n), "US-ASCII")))
		return TRUE;
	return session_no (s, "BADCHARSET (UTF-8 US-ASCII)", "only UTF-8 is understood");
}

gboolean
search_find (ImapdSession *s, Store *store, const ImapNode *keys, UidSet *found_out, guint64 *modseq_out)
{
	Reader r = {.s = s, .store = store, .at = keys};
	SearchRun run = {.s = s, .store = store};
	g_autoptr (Key) root = NULL;
	if (!read_all (&r, &root))
		return FALSE;
	run.root = root;
	gboolean ok = search_rows (&run, r.needs, r.modseq);
	if (ok)
		uid_set_copy (found_out, &run.found);
	*modseq_out = r.modseq ? run.modseq : 0;
	uid_set_clear (&run.found);
	return ok;
}

void
run_search (ImapdSession *s)
{
	const ImapNode *at = imap_command_arg (s->command, 0);
	SearchReturn w = {0};
	g_auto (UidSet) found = {0};
	guint64 modseq = 0;
	Store *store = session_store (s);
	if (!store || !search_take_return (s, &at, &w))
		return;
	gboolean ok = search_take_charset (s, &at) && search_find (s, store, at, &found, &modseq);
	if (ok && w.save)
		search_save (s, &w, &found);
	if (ok)
		write_found (s, &w, &found, modseq);
	else if (w.save)
		uid_set_clear (&s->saved); /* RFC 5182 section 2.1 */
}
