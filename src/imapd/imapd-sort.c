/* SPDX-License-Identifier: Apache-2.0 */
/* SORT (RFC 5256, RFC 5267 ESORT, RFC 5957 DISPLAYFROM and DISPLAYTO): keys are computed once a message, from its row; CC needs the header. */
#include "imapd-private.h"
#include "imapd-section.h"
#include "mail.h"
#include <stdlib.h>
#include <string.h>

#define CRITERIA_MAX 10

typedef enum { BY_ARRIVAL, BY_CC, BY_DATE, BY_FROM, BY_SIZE, BY_SUBJECT, BY_TO, BY_DISPLAYFROM, BY_DISPLAYTO } SortKind;
static const char *const kinds[] = {"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"};

typedef struct {
	SortKind kind;
	gboolean reverse;
} Criterion;

typedef struct {
	Criterion list[CRITERIA_MAX];
	guint n;
	gboolean header; /* one needs it */
} Criteria;

typedef struct {
	gint64 number;
	char *text; /* NULL: the number counts */
} SortValue;

typedef struct {
	guint32 uid;
	SortValue *values; /* one a criterion, in the arena of values */
} SortRow;

typedef struct {
	ImapdSession *s;
	Store *store;
	const Criteria *criteria;
	GArray *rows; /* of SortRow */
	guint64 total; /* of what is looked at */
	GStringChunk *texts;
	GHashTable *addresses[2]; /* list of addresses -> key; [1]: by what is shown */
} Sorter;

/* ---- Values ---- */

/* i;ascii-casemap would do; other letters are folded, too. */
static char *
fold (Sorter *o, const char *text)
{
	if (g_str_is_ascii (text)) {
		g_autofree char *upper = g_ascii_strup (text, -1);
		return g_string_chunk_insert (o->texts, upper);
	}
	g_autofree char *folded = g_utf8_casefold (text, -1), *upper = g_ascii_strup (folded, -1);
	return g_string_chunk_insert (o->texts, upper);
}

/* Of the first address of @list: its mailbox, or (@display) its name, else the whole address. */
static char *
make_address_key (Sorter *o, const char *list, gboolean display)
{
	g_autoptr (GArray) addresses = mail_addresses_parse ((Slice){list ? list : "", list ? strlen (list) : 0});
	for (guint i = 0; i < addresses->len; i++) {
		const MailAddress *a = &g_array_index (addresses, MailAddress, i);
		if (!a->mailbox)
			continue;
		g_autofree char *whole = display && !a->name ? g_strconcat (a->mailbox, "@", a->host ? a->host : "", NULL) : NULL;
		return fold (o, !display ? a->mailbox : a->name ? a->name : whole);
	}
	return g_string_chunk_insert_const (o->texts, "");
}

/* Many messages are of few people. */
static char *
address_key (Sorter *o, const char *list, gboolean display)
{
	GHashTable *known = o->addresses[display ? 1 : 0];
	char *key = g_hash_table_lookup (known, list ? list : "");
	if (!key) {
		key = make_address_key (o, list, display);
		g_hash_table_insert (known, g_string_chunk_insert (o->texts, list ? list : ""), key);
	}
	return key;
}

static char *
cc_key (Sorter *o, const Listing *l)
{
	g_auto (Source) source = {.store = o->store, .message = l->placement.message, .size = l->message.size, .kept = l->message.structure};
	g_autoptr (GBytes) header = source_header (&source, NULL);
	gsize size = 0;
	const char *octets = header ? g_bytes_get_data (header, &size) : NULL;
	Slice value = mail_header_find ((Slice){octets ? octets : "", size}, "Cc");
	g_autofree char *text = value.data ? mail_header_decode (value, 4096) : NULL;
	return address_key (o, text, FALSE);
}

static SortValue
value_of (Sorter *o, SortKind kind, const Listing *l)
{
	const Message *m = &l->message;
	g_autofree char *base = NULL;
	switch (kind) {
	case BY_ARRIVAL:
		return (SortValue){.number = m->received};
	case BY_DATE: /* RFC 5256 section 2.2: without Date, INTERNALDATE */
		return (SortValue){.number = m->has_sent ? m->sent : m->received};
	case BY_SIZE:
		return (SortValue){.number = (gint64) m->size};
	case BY_SUBJECT:
		base = mail_base_subject (m->subject ? m->subject : "", NULL);
		return (SortValue){.text = fold (o, base)};
	case BY_FROM:
	case BY_DISPLAYFROM:
		return (SortValue){.text = address_key (o, m->sender, kind == BY_DISPLAYFROM)};
	case BY_TO:
	case BY_DISPLAYTO:
		return (SortValue){.text = address_key (o, m->recipients, kind == BY_DISPLAYTO)};
	case BY_CC:
		return (SortValue){.text = cc_key (o, l)};
	}
	g_assert_not_reached ();
}

static gboolean
add_row (gpointer data, const Listing *l)
{
	Sorter *o = data;
	if (!view_number (o->s->view, l->placement.uid))
		return TRUE;
	SortRow row = {l->placement.uid, g_new (SortValue, o->criteria->n)};
	for (guint i = 0; i < o->criteria->n; i++)
		row.values[i] = value_of (o, o->criteria->list[i].kind, l);
	g_array_append_val (o->rows, row);
	return session_progress (o->s, o->rows->len, o->total);
}

static void
row_done (SortRow *row)
{
	g_free (row->values);
}

static int
compare_rows (gconstpointer a, gconstpointer b, gpointer criteria)
{
	const SortRow *x = a, *y = b;
	const Criteria *c = criteria;
	for (guint i = 0; i < c->n; i++) {
		const SortValue *v = &x->values[i], *w = &y->values[i];
		int order = v->text ? strcmp (v->text, w->text) : (v->number > w->number) - (v->number < w->number);
		if (order)
			return c->list[i].reverse ? -order : order;
	}
	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* ---- The command ---- */

static gboolean
take_criteria (ImapdSession *s, const ImapNode *list, Criteria *c)
{
	gboolean reverse = FALSE;
	if (!list || list->kind != NODE_LIST || node_count (list) == 0)
		return session_bad (s, "SORT wants a list of criteria");
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (node_is_word (n, "REVERSE")) {
			reverse = TRUE;
			continue;
		}
		guint i = 0;
		while (i < G_N_ELEMENTS (kinds) && !node_is_word (n, kinds[i]))
			i++;
		if (i == G_N_ELEMENTS (kinds) || c->n == CRITERIA_MAX)
			return session_bad (s, "an unknown criterion of SORT, or too many");
		c->list[c->n++] = (Criterion){(SortKind) i, reverse};
		c->header |= i == BY_CC;
		reverse = FALSE;
	}
	return (c->n > 0 && !reverse) || session_bad (s, "REVERSE wants a criterion");
}

/* The UIDs or sequence numbers in order, from @from to @to of them. */
static void
write_order (ImapdSession *s, const GArray *rows, guint from, guint to)
{
	gboolean uid = imap_command_is_uid (s->command);
	for (guint i = from; i < to; i++) {
		guint32 n = g_array_index (rows, SortRow, i).uid;
		g_string_append_printf (s->out.text, "%s%u", i > from ? "," : "", uid ? n : view_number (s->view, n));
		session_flush (s, FALSE);
	}
}

/* ESEARCH whose ALL and PARTIAL are in order (RFC 5267 section 3, RFC 9394 section 3.1). */
static void
write_extended (ImapdSession *s, const SearchReturn *w, const GArray *rows, guint64 modseq)
{
	gint64 n = rows->len, low = MIN (w->from, w->to), high = MAX (w->from, w->to);
	gboolean uid = imap_command_is_uid (s->command);
	Slice tag = imap_command_tag (s->command);
	if (!(w->min || w->max || w->all || w->count || w->from))
		return;
	g_string_append_printf (s->out.text, "* ESEARCH (TAG \"%.*s\")%s", (int) tag.size, tag.data, uid ? " UID" : "");
	if (n && w->min) {
		g_string_append (s->out.text, " MIN ");
		write_order (s, rows, 0, 1);
	}
	if (n && w->max) {
		g_string_append (s->out.text, " MAX ");
		write_order (s, rows, rows->len - 1, rows->len);
	}
	if (w->count)
		g_string_append_printf (s->out.text, " COUNT %u", rows->len);
	if (n && w->all) {
		g_string_append (s->out.text, " ALL ");
		write_order (s, rows, 0, rows->len);
	}
	if (w->from) {
		gint64 first = MAX (low > 0 ? low : n + 1 + low, 1), last = MIN (high > 0 ? high : n + 1 + high, n);
		g_string_append_printf (s->out.text, " PARTIAL (%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT " ", w->from, w->to);
		if (first > last)
			g_string_append (s->out.text, "NIL");
		else
			write_order (s, rows, (guint) first - 1, (guint) last);
		g_string_append_c (s->out.text, ')');
	}
	if (modseq && n)
		g_string_append_printf (s->out.text, " MODSEQ %" G_GUINT64_FORMAT, modseq);
	g_string_append (s->out.text, "\r\n");
}

static void
write_plain (ImapdSession *s, const GArray *rows, guint64 modseq)
{
	g_autofree guint32 *numbers = g_new (guint32, rows->len + 1);
	for (guint i = 0; i < rows->len; i++) {
		guint32 uid = g_array_index (rows, SortRow, i).uid;
		numbers[i] = imap_command_is_uid (s->command) ? uid : view_number (s->view, uid);
	}
	imap_write_numbers (&s->out, "SORT", numbers, rows->len, rows->len ? modseq : 0);
}

static gboolean
sort (Sorter *o, const UidSet *uids)
{
	GError *error = NULL;
	o->total = uid_set_count (uids);
	if (!list_uids (o->store, o->s->view->folder, uids, o->criteria->header ? LISTING_STRUCTURE : LISTING_MESSAGE, add_row, o, &error))
		return session_fail (o->s, error);
	g_array_sort_with_data (o->rows, compare_rows, (gpointer) o->criteria);
	return TRUE;
}

void
run_sort (ImapdSession *s)
{
	const ImapNode *at = imap_command_arg (s->command, 0);
	SearchReturn w = {0};
	Criteria criteria = {0};
	g_auto (UidSet) found = {0};
	guint64 modseq = 0;
	Store *store = session_store (s);
	if (!store || !search_take_return (s, &at, &w) || !take_criteria (s, at, &criteria))
		return;
	at = node_next (at);
	gboolean ok = search_check_charset (s, at) && search_find (s, store, node_next (at), &found, &modseq);
	Sorter o = {.s = s, .store = store, .criteria = &criteria, .rows = g_array_new (FALSE, FALSE, sizeof (SortRow)),
	            .texts = g_string_chunk_new (65536), .addresses = {g_hash_table_new (g_str_hash, g_str_equal), g_hash_table_new (g_str_hash, g_str_equal)}};
	g_array_set_clear_func (o.rows, (GDestroyNotify) row_done);
	ok = ok && sort (&o, &found);
	if (w.save) {
		uid_set_clear (&s->saved);
		if (ok)
			search_save (s, &w, &found);
	}
	if (ok && w.extended)
		write_extended (s, &w, o.rows, modseq);
	else if (ok)
		write_plain (s, o.rows, modseq);
	g_array_unref (o.rows);
	for (guint i = 0; i < G_N_ELEMENTS (o.addresses); i++)
		g_hash_table_unref (o.addresses[i]);
	g_string_chunk_free (o.texts);
}
