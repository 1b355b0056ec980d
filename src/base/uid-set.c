/* SPDX-License-Identifier: Apache-2.0 */
#include "uid-set.h"
#include <string.h>

void
uid_set_clear (UidSet *set)
{
	g_clear_pointer (&set->ranges, g_free);
	set->n_ranges = set->allocated = 0;
}

static void
append_range (UidSet *set, guint32 lo, guint32 hi)
{
	if (set->n_ranges == set->allocated) {
		set->allocated = set->allocated ? 2 * set->allocated : 4;
		set->ranges = g_renew (UidRange, set->ranges, set->allocated);
	}
	g_assert (set->ranges);
	set->ranges[set->n_ranges++] = (UidRange){lo, hi};
}

/* Index of the first range whose hi is >= uid. */
static guint
lower_bound (const UidSet *set, guint32 uid)
{
	guint a = 0, b = set->n_ranges;
	while (a < b) {
		guint mid = (a + b) / 2;
		if (set->ranges[mid].hi < uid)
			a = mid + 1;
		else
			b = mid;
	}
	return a;
}

void
uid_set_add_range (UidSet *set, guint32 lo, guint32 hi)
{
	if (lo > hi) {
		guint32 t = lo;
		lo = hi;
		hi = t;
	}
	if (hi == 0)
		return;
	lo = MAX (lo, 1u);
	UidRange *last = set->n_ranges ? &set->ranges[set->n_ranges - 1] : NULL;
	if (!last || (guint64) last->hi + 1 < lo) {
		append_range (set, lo, hi);
		return;
	}
	guint from = lower_bound (set, lo > 1 ? lo - 1 : 1);
	guint to = from; /* ranges from..to-1 touch lo..hi */
	while (to < set->n_ranges && set->ranges[to].lo <= (guint64) hi + 1) {
		lo = MIN (lo, set->ranges[to].lo);
		hi = MAX (hi, set->ranges[to].hi);
		to++;
	}
	if (to == from) {
		append_range (set, 0, 0);
		memmove (set->ranges + from + 1, set->ranges + from, (set->n_ranges - 1 - from) * sizeof (UidRange));
	} else {
		memmove (set->ranges + from + 1, set->ranges + to, (set->n_ranges - to) * sizeof (UidRange));
		set->n_ranges -= to - from - 1;
	}
	set->ranges[from] = (UidRange){lo, hi};
}

void
uid_set_add (UidSet *set, guint32 uid)
{
	uid_set_add_range (set, uid, uid);
}

/* Many ranges in the midst of many others are merged in one pass: one by one each would move all behind it. */
static void
merge (UidSet *set, const UidSet *other)
{
	UidSet all = UID_SET_INIT;
	for (guint i = 0, j = 0; i < set->n_ranges || j < other->n_ranges;) {
		gboolean own = j == other->n_ranges || (i < set->n_ranges && set->ranges[i].lo <= other->ranges[j].lo);
		UidRange r = own ? set->ranges[i++] : other->ranges[j++];
		uid_set_add_range (&all, r.lo, r.hi);
	}
	uid_set_clear (set);
	*set = all;
}

void
uid_set_add_set (UidSet *set, const UidSet *other)
{
	if (other->n_ranges > 8 && set->n_ranges > 8 && other->ranges[0].lo < uid_set_max (set)) {
		merge (set, other);
		return;
	}
	for (guint i = 0; i < other->n_ranges; i++)
		uid_set_add_range (set, other->ranges[i].lo, other->ranges[i].hi);
}

void
uid_set_remove_set (UidSet *set, const UidSet *other)
{
	UidSet left = UID_SET_INIT;
	guint j = 0;
	for (guint i = 0; i < set->n_ranges; i++) {
		guint64 lo = set->ranges[i].lo, hi = set->ranges[i].hi;
		while (j < other->n_ranges && other->ranges[j].hi < lo)
			j++;
		for (guint k = j; k < other->n_ranges && other->ranges[k].lo <= hi && lo <= hi; k++) {
			if (other->ranges[k].lo > lo)
				append_range (&left, (guint32) lo, other->ranges[k].lo - 1);
			lo = (guint64) other->ranges[k].hi + 1;
		}
		if (lo <= hi)
			append_range (&left, (guint32) lo, (guint32) hi);
	}
	uid_set_clear (set);
	*set = left;
}

void
uid_set_copy (UidSet *to, const UidSet *from)
{
	uid_set_clear (to);
	uid_set_add_set (to, from);
}

gboolean
uid_set_contains (const UidSet *set, guint32 uid)
{
	guint i = lower_bound (set, uid);
	return i < set->n_ranges && set->ranges[i].lo <= uid;
}

gboolean
uid_set_is_empty (const UidSet *set)
{
	return set->n_ranges == 0;
}

guint64
uid_set_count (const UidSet *set)
{
	guint64 n = 0;
	for (guint i = 0; i < set->n_ranges; i++)
		n += (guint64) set->ranges[i].hi - set->ranges[i].lo + 1;
	return n;
}

guint32
uid_set_max (const UidSet *set)
{
	return set->n_ranges ? set->ranges[set->n_ranges - 1].hi : 0;
}

guint32
uid_set_nth (const UidSet *set, guint64 i)
{
	for (guint r = 0; r < set->n_ranges; r++) {
		guint64 n = (guint64) set->ranges[r].hi - set->ranges[r].lo + 1;
		if (i < n)
			return set->ranges[r].lo + (guint32) i;
		i -= n;
	}
	return 0;
}

void
uid_set_format (const UidSet *set, GString *text)
{
	for (guint i = 0; i < set->n_ranges; i++) {
		if (i)
			g_string_append_c (text, ',');
		g_string_append_printf (text, "%u", set->ranges[i].lo);
		if (set->ranges[i].hi != set->ranges[i].lo)
			g_string_append_printf (text, ":%u", set->ranges[i].hi);
	}
}

static gboolean
parse_number (const char **at, guint32 *n_out)
{
	guint64 n = 0;
	if (!g_ascii_isdigit (**at))
		return FALSE;
	for (; g_ascii_isdigit (**at); (*at)++) {
		n = n * 10 + (guint64) (**at - '0');
		if (n > G_MAXUINT32)
			return FALSE;
	}
	*n_out = (guint32) n;
	return n > 0;
}

gboolean
uid_set_parse (UidSet *set, const char *text, guint max_ranges)
{
	for (guint n = 0; n < max_ranges; n++) {
		guint32 lo, hi;
		if (!parse_number (&text, &lo))
			return FALSE;
		hi = lo;
		if (*text == ':') {
			text++;
			if (!parse_number (&text, &hi))
				return FALSE;
		}
		uid_set_add_range (set, lo, hi);
		if (*text == '\0')
			return TRUE;
		if (*text++ != ',')
			return FALSE;
	}
	return FALSE;
}

gboolean
uid_set_next (const UidSet *set, UidIter *it, guint32 *uid_out)
{
	if (it->range >= set->n_ranges)
		return FALSE;
	const UidRange *r = &set->ranges[it->range];
	it->uid = it->uid < r->lo ? r->lo : it->uid + 1;
	*uid_out = it->uid;
	if (it->uid == r->hi) {
		it->range++;
		it->uid = 0;
	}
	return TRUE;
}
