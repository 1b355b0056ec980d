/* SPDX-License-Identifier: Apache-2.0 */
/* SORT (RFC 5256, RFC 5267 ESORT, RFC 5957 DISPLAYFROM and DISPLAYTO), by the keys of imapd-keys.c. */
#include "imapd-keys.h"
#include <string.h>

#define CRITERIA_MAX 10

static const char *const kinds[] = {"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"}; /* KeyKind */

typedef struct {
	KeyKind kind;
	gboolean reverse;
} Criterion;

typedef struct {
	Criterion list[CRITERIA_MAX];
	guint n;
	guint wanted; /* kinds of keys, as bits */
} Criteria;

/* What most comparisons are settled by, and the text for the others; NULL: it is a number. */
typedef struct {
	guint64 first;
	const char *text;
} SortValue;

typedef struct {
	guint32 uid;
	guint at; /* its values, one a criterion, in the sorter's */
} SortRow;

typedef struct {
	const Criteria *criteria;
	GArray *rows;   /* of SortRow */
	GArray *values; /* of SortValue */
} Sorter;

static gboolean
is_number (KeyKind kind)
{
	return kind == KEY_ARRIVAL || kind == KEY_DATE || kind == KEY_SIZE;
}

/* The first octets in the order of strcmp. */
static guint64
first_of (const char *text)
{
	guint64 first = 0;
	for (guint i = 0; i < sizeof first && text[i]; i++)
		first |= (guint64) (guint8) text[i] << (56 - 8 * i);
	return first;
}

static void
add_row (gpointer data, const Keys *k, guint32 uid, guint row)
{
	Sorter *o = data;
	SortRow r = {uid, o->values->len};
	for (guint i = 0; i < o->criteria->n; i++) {
		KeyKind kind = o->criteria->list[i].kind;
		Key key = keys_get (k, kind, row);
		SortValue v = is_number (kind) ? (SortValue){(guint64) key.number ^ G_GUINT64_CONSTANT (1) << 63, NULL} : (SortValue){first_of (key.text), key.text};
		g_array_append_val (o->values, v);
	}
	g_array_append_val (o->rows, r);
}

static int
compare_values (const SortValue *v, const SortValue *w)
{
	if (v->first != w->first)
		return v->first < w->first ? -1 : 1;
	return v->text == w->text ? 0 : strcmp (v->text, w->text);
}

static int
compare_rows (gconstpointer a, gconstpointer b, gpointer sorter)
{
	const SortRow *x = a, *y = b;
	const Sorter *o = sorter;
	const SortValue *v = &g_array_index (o->values, SortValue, x->at), *w = &g_array_index (o->values, SortValue, y->at);
	for (guint i = 0; i < o->criteria->n; i++) {
		int order = compare_values (&v[i], &w[i]);
		if (order)
			return o->criteria->list[i].reverse ? -order : order;
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
		c->list[c->n++] = (Criterion){(KeyKind) i, reverse};
		c->wanted |= 1u << i;
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
sort (ImapdSession *s, Store *store, Sorter *o, const UidSet *uids)
{
	g_autoptr (Keys) keys = keys_take (s, store, uids, o->criteria->wanted, FALSE);
	if (!keys)
		return FALSE;
	keys_each (keys, s, uids, o->criteria->wanted, add_row, o);
	g_array_sort_with_data (o->rows, compare_rows, o);
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
	Sorter o = {&criteria, g_array_new (FALSE, FALSE, sizeof (SortRow)), g_array_new (FALSE, FALSE, sizeof (SortValue))};
	ok = ok && sort (s, store, &o, &found);
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
	g_array_unref (o.values);
}
