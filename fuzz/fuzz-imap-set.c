/* SPDX-License-Identifier: Apache-2.0 */
/* Sequence sets: what was read is written and read as the same, means the same, and its members are those that are counted. */
#include <stdint.h>
#include <string.h>
#include "imap-set.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_members (const ImapSet *set)
{
	g_auto (UidSet) means = UID_SET_INIT;
	guint64 count = 0;
	ImapSetIter it = {0};
	imap_set_resolve (set, 0, NULL, &means);
	if (imap_set_count (set) > 10000)
		return;
	for (guint32 n; imap_set_next (set, &it, &n); count++)
		g_assert (uid_set_contains (&means, n));
	g_assert (count == imap_set_count (set) && count >= uid_set_count (&means));
}

static void
check_pieces (const UidSet *set, gsize max)
{
	g_auto (UidSet) again = UID_SET_INIT;
	for (guint from = 0; from < set->n_ranges;) {
		g_autoptr (GString) text = g_string_new (NULL);
		from = uid_set_format_some (set, from, max, text);
		g_assert (uid_set_take_text (&again, (Slice) {text->str, text->len}, 1000));
	}
	g_assert (again.n_ranges == set->n_ranges && memcmp (again.ranges, set->ranges, set->n_ranges * sizeof *set->ranges) == 0);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	g_auto (ImapSet) set = {0}, same = {0};
	g_auto (UidSet) means = UID_SET_INIT;
	g_autoptr (GString) text = g_string_new (NULL), again = g_string_new (NULL);
	gint64 from, to;
	imap_partial_parse ((Slice) {(const char *) data, size}, &from, &to);
	if (!imap_set_parse (&set, (Slice) {(const char *) data, size}, 1000))
		return 0;
	imap_set_format (&set, text);
	g_assert (imap_set_parse (&same, (Slice) {text->str, text->len}, 1000));
	imap_set_format (&same, again);
	g_assert (strcmp (text->str, again->str) == 0);
	if (!set.saved && !imap_set_has_star (&set))
		check_members (&set);
	imap_set_resolve (&set, 1000, NULL, &means);
	if (means.n_ranges > 0)
		check_pieces (&means, size);
	return 0;
}
