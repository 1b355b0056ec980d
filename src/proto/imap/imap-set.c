/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-set.h"
#include <stdlib.h>
#include <string.h>
#include "imap-tree.h"

void
imap_set_clear (ImapSet *set)
{
	g_free (set->ranges);
	*set = (ImapSet) {0};
}

static void
range_append (ImapSet *set, guint32 from, guint32 to)
{
	if (set->n_ranges == set->allocated) {
		set->allocated = set->allocated ? 2 * set->allocated : 4;
		set->ranges = g_renew (ImapRange, set->ranges, set->allocated);
	}
	set->ranges[set->n_ranges++] = (ImapRange) {from, to};
}

/* A number or "*", which is 0. */
static gboolean
number_take (const char **at, const char *end, guint32 *n_out)
{
	guint64 n = 0;
	const char *c = *at;
	if (c < end && *c == '*') {
		*n_out = 0;
		*at = c + 1;
		return TRUE;
	}
	for (; c < end && g_ascii_isdigit (*c); c++) {
		n = n * 10 + (guint64) (*c - '0');
		if (n > G_MAXUINT32)
			return FALSE;
	}
	*at = c;
	*n_out = (guint32) n;
	return n > 0;
}

static gboolean
ranges_take (ImapSet *set, const char *at, const char *end, guint max_ranges)
{
	for (;;) {
		guint32 from, to;
		if (set->n_ranges == max_ranges || !number_take (&at, end, &from))
			return FALSE;
		to = from;
		if (at < end && *at == ':') {
			at++;
			if (!number_take (&at, end, &to))
				return FALSE;
		}
		range_append (set, from, to);
		if (at == end)
			return TRUE;
		if (*at++ != ',')
			return FALSE;
	}
}

gboolean
imap_set_parse (ImapSet *set, Slice text, guint max_ranges)
{
	imap_set_clear (set);
	set->saved = slice_equals (text, "$");
	if (set->saved || ranges_take (set, text.data, slice_end (text), max_ranges))
		return TRUE;
	imap_set_clear (set);
	return FALSE;
}

void
imap_set_append (ImapSet *set, guint32 n)
{
	g_assert (n > 0 && !set->saved);
	ImapRange *last = set->n_ranges ? &set->ranges[set->n_ranges - 1] : NULL;
	if (last && last->from && last->from <= last->to && last->to + 1 == n)
		last->to = n;
	else
		range_append (set, n, n);
}

static void
number_format (guint32 n, GString *text)
{
	if (n)
		g_string_append_printf (text, "%u", n);
	else
		g_string_append_c (text, '*');
}

void
imap_set_format (const ImapSet *set, GString *text)
{
	if (set->saved)
		g_string_append_c (text, '$');
	for (guint i = 0; i < set->n_ranges; i++) {
		if (i > 0)
			g_string_append_c (text, ',');
		number_format (set->ranges[i].from, text);
		if (set->ranges[i].from == set->ranges[i].to)
			continue;
		g_string_append_c (text, ':');
		number_format (set->ranges[i].to, text);
	}
}

gboolean
imap_set_has_star (const ImapSet *set)
{
	for (guint i = 0; i < set->n_ranges; i++)
		if (set->ranges[i].from == 0 || set->ranges[i].to == 0)
			return TRUE;
	return FALSE;
}

static int
range_order (const void *a, const void *b)
{
	guint32 x = ((const UidRange *) a)->lo, y = ((const UidRange *) b)->lo;
	return (x > y) - (x < y);
}

/* Sorts first, since adding out of order would cost O(n) each. */
static void
ranges_add (UidRange *ranges, guint n, UidSet *set)
{
	g_auto (UidSet) more = UID_SET_INIT;
	gboolean sorted = TRUE;
	for (guint i = 1; i < n && sorted; i++)
		sorted = ranges[i - 1].lo <= ranges[i].lo;
	if (!sorted)
		qsort (ranges, n, sizeof *ranges, range_order);
	for (guint i = 0; i < n; i++)
		uid_set_add_range (&more, ranges[i].lo, ranges[i].hi);
	uid_set_add_set (set, &more);
}

void
imap_set_resolve (const ImapSet *set, guint32 max, const UidSet *saved, UidSet *numbers_out)
{
	g_autofree UidRange *ranges = g_new (UidRange, MAX (set->n_ranges, 1));
	guint n = 0;
	if (set->saved && saved)
		uid_set_add_set (numbers_out, saved);
	for (guint i = 0; i < set->n_ranges; i++) {
		ImapRange r = set->ranges[i];
		if ((r.from == 0 || r.to == 0) && max == 0)
			continue;
		guint32 from = r.from ? r.from : max, to = r.to ? r.to : max;
		ranges[n++] = (UidRange) {MIN (from, to), MAX (from, to)};
	}
	ranges_add (ranges, n, numbers_out);
}

guint64
imap_set_count (const ImapSet *set)
{
	guint64 count = 0;
	if (set->saved || imap_set_has_star (set))
		return 0;
	for (guint i = 0; i < set->n_ranges; i++) {
		ImapRange r = set->ranges[i];
		count += (guint64) MAX (r.from, r.to) - MIN (r.from, r.to) + 1;
	}
	return count;
}

gboolean
imap_set_next (const ImapSet *set, ImapSetIter *it, guint32 *n_out)
{
	if (it->range >= set->n_ranges)
		return FALSE;
	ImapRange r = set->ranges[it->range];
	it->last = it->last ? it->last + 1 : MIN (r.from, r.to);
	*n_out = it->last;
	if (it->last == MAX (r.from, r.to)) {
		it->range++;
		it->last = 0;
	}
	return TRUE;
}

gboolean
uid_set_take_text (UidSet *set, Slice text, guint max_ranges)
{
	g_auto (ImapSet) written = {0};
	if (!imap_set_parse (&written, text, max_ranges) || written.saved || imap_set_has_star (&written))
		return FALSE;
	imap_set_resolve (&written, 0, NULL, set);
	return TRUE;
}

guint
uid_set_format_some (const UidSet *set, guint from, gsize max, GString *text)
{
	gsize start = text->len;
	for (guint i = from; i < set->n_ranges; i++) {
		gsize before = text->len;
		if (i > from)
			g_string_append_c (text, ',');
		number_format (set->ranges[i].lo, text);
		if (set->ranges[i].hi != set->ranges[i].lo) {
			g_string_append_c (text, ':');
			number_format (set->ranges[i].hi, text);
		}
		if (i > from && text->len - start > max) {
			g_string_truncate (text, before);
			return i;
		}
	}
	return MAX (from, set->n_ranges);
}

gboolean
imap_partial_parse (Slice text, gint64 *from_out, gint64 *to_out)
{
	gboolean negative = text.size > 0 && *text.data == '-';
	const char *colon = text.size ? memchr (text.data, ':', text.size) : NULL, *end = slice_end (text);
	if (!colon || (negative && (colon + 1 == end || colon[1] != '-')))
		return FALSE;
	const char *from = text.data + negative, *to = colon + 1 + negative;
	guint64 a, b;
	if (!slice_to_number ((Slice) {from, (gsize) (colon - from)}, &a) || !slice_to_number ((Slice) {to, (gsize) (end - to)}, &b) ||
	    a == 0 || b == 0 || a > G_MAXUINT32 || b > G_MAXUINT32)
		return FALSE;
	*from_out = negative ? -(gint64) a : (gint64) a;
	*to_out = negative ? -(gint64) b : (gint64) b;
	return TRUE;
}

static Slice
word_take (const char **at)
{
	Slice word = {*at, strcspn (*at, " ")};
	*at += word.size;
	*at += strspn (*at, " ");
	return word;
}

gboolean
imap_copyuid_parse (const char *args, guint32 *uidvalidity_out, ImapSet *from_out, ImapSet *to_out, guint max_ranges)
{
	guint64 uidvalidity;
	if (!slice_to_number (word_take (&args), &uidvalidity) || uidvalidity == 0 || uidvalidity > G_MAXUINT32)
		return FALSE;
	if (!imap_set_parse (from_out, word_take (&args), max_ranges) || !imap_set_parse (to_out, word_take (&args), max_ranges) || *args)
		return FALSE;
	guint64 count = imap_set_count (from_out);
	*uidvalidity_out = (guint32) uidvalidity;
	return count > 0 && count == imap_set_count (to_out);
}
