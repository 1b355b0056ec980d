/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "imap-set.h"

#define RANGES 100

static Slice
slice (const char *text)
{
	return (Slice) {text, strlen (text)};
}

static char *
uid_text (const UidSet *set)
{
	GString *text = g_string_new (NULL);
	uid_set_format (set, text);
	return g_string_free (text, FALSE);
}

static void
sets_are_read_written_and_resolved (void **state)
{
	static const struct {
		const char *text;
		guint32 max;
		const char *means;
	} rows[] = {
		{"1", 0, "1"},
		{"1:3", 0, "1:3"},
		{"3:1", 0, "1:3"},
		{"5,1,3:2", 0, "1:3,5"},
		{"1:3,2:5,4", 0, "1:5"},
		{"4294967295", 0, "4294967295"},
		{"1:4294967295", 0, "1:4294967295"},
		{"*", 7, "7"},
		{"*", 0, ""},
		{"*:*", 7, "7"},
		{"1:*", 7, "1:7"},
		{"1:*", 0, ""},
		{"1:*,3", 0, "3"},
		{"*:4", 7, "4:7"},
		/* RFC 9051 section 9: 559:* always includes the last */
		{"559:*", 100, "100:559"},
		{"2,4:7,9,12:*", 15, "2,4:7,9,12:15"},
		{"$", 9, "2:3"},
	};
	g_auto (UidSet) saved = UID_SET_INIT;
	uid_set_add_range (&saved, 2, 3);
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (ImapSet) set = {0};
		g_auto (UidSet) means = UID_SET_INIT;
		g_autoptr (GString) text = g_string_new (NULL);
		assert_true (imap_set_parse (&set, slice (rows[i].text), RANGES));
		imap_set_resolve (&set, rows[i].max, &saved, &means);
		g_autofree char *got = uid_text (&means);
		assert_string_equal (got, rows[i].means);
		imap_set_format (&set, text);
		assert_string_equal (text->str, strcmp (rows[i].text, "*:*") ? rows[i].text : "*");
	}
}

static void
what_is_no_set_is_refused (void **state)
{
	static const char *const rows[] = {"",    "0",   "1:0",  "0:*", ",",  "1,",         "1,,2",         ":",  "1:", ":1", "1:2:3", "a", "1 2",
	                                   "1;2", "-1",  "+1",   "**",  "$,1", "1,$",       "4294967296",   "99999999999999999999", "1:4294967296",
	                                   "1a",  "* ",  " 1",   "$$"};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (ImapSet) set = {0};
		g_auto (UidSet) uids = UID_SET_INIT;
		assert_false (imap_set_parse (&set, slice (rows[i]), RANGES));
		assert_int_equal (set.n_ranges, 0);
		assert_false (uid_set_take_text (&uids, slice (rows[i]), RANGES));
		assert_true (uid_set_is_empty (&uids));
	}
	g_auto (ImapSet) set = {0};
	assert_false (imap_set_parse (&set, (Slice) {"1\0,2", 4}, RANGES));
	assert_true (imap_set_parse (&set, slice ("1,2,3"), 3));
	assert_false (imap_set_parse (&set, slice ("1,2,3"), 2));
	g_auto (UidSet) uids = UID_SET_INIT;
	assert_false (uid_set_take_text (&uids, slice ("1:*"), RANGES));
	assert_false (uid_set_take_text (&uids, slice ("$"), RANGES));
}

static void
members_keep_their_order (void **state)
{
	static const guint32 numbers[] = {304, 319, 320, 321, 5, 6, 8, 4294967294, 4294967295, 1};
	g_auto (ImapSet) set = {0};
	g_autoptr (GString) text = g_string_new (NULL);
	for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
		imap_set_append (&set, numbers[i]);
	imap_set_format (&set, text);
	assert_string_equal (text->str, "304,319:321,5:6,8,4294967294:4294967295,1");
	assert_int_equal (imap_set_count (&set), G_N_ELEMENTS (numbers));
	ImapSetIter it = {0};
	guint32 n;
	for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
		assert_true (imap_set_next (&set, &it, &n) && n == numbers[i]);
	assert_false (imap_set_next (&set, &it, &n));
}

static void
copyuid_pairs_two_sets (void **state)
{
	static const struct {
		const char *args;
		gboolean good;
	} rows[] = {
		{"38505 304,319:320 3956:3958", TRUE}, {"1 5:3 7,8,9", TRUE},  {"38505 304,319:320 3956:3957", FALSE}, {"0 1 1", FALSE},
		{"1 1", FALSE},                        {"1 1:* 1:*", FALSE},   {"1 $ $", FALSE},                       {"x 1 1", FALSE},
		{"", FALSE},                           {"1 1 1 1", FALSE},     {"4294967296 1 1", FALSE},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (ImapSet) from = {0}, to = {0};
		guint32 uidvalidity;
		assert_int_equal (imap_copyuid_parse (rows[i].args, &uidvalidity, &from, &to, RANGES), rows[i].good);
	}
}

static void
partial_ranges_have_one_sign (void **state)
{
	static const struct {
		const char *text;
		gint64 from, to;
	} rows[] = {{"1:500", 1, 500}, {"-1:-100", -1, -100}, {"500:1", 500, 1}, {"4294967295:1", 4294967295, 1}};
	static const char *const bad[] = {"", "1", "1:", ":1", "0:1", "1:0", "-1:1", "1:-1", "-:-", "1:2:3", "a:b", "4294967296:1", "-0:-1", "--1:--1"};
	gint64 from, to;
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		assert_true (imap_partial_parse (slice (rows[i].text), &from, &to) && from == rows[i].from && to == rows[i].to);
	for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
		assert_false (imap_partial_parse (slice (bad[i]), &from, &to));
}

static void
long_sets_are_written_in_pieces (void **state)
{
	g_auto (UidSet) set = UID_SET_INIT, again = UID_SET_INIT;
	guint pieces = 0;
	for (guint32 i = 1; i <= 3000; i++)
		if (i % 3)
			uid_set_add (&set, i * 5);
	for (guint from = 0; from < set.n_ranges; pieces++) {
		g_autoptr (GString) text = g_string_new ("UID FETCH ");
		from = uid_set_format_some (&set, from, 100, text);
		assert_true (text->len > 10 && text->len <= 110);
		assert_true (uid_set_take_text (&again, (Slice) {text->str + 10, text->len - 10}, RANGES));
	}
	assert_true (pieces > 50);
	g_autofree char *want = uid_text (&set), *got = uid_text (&again);
	assert_string_equal (got, want);
	g_autoptr (GString) one = g_string_new (NULL);
	assert_int_equal (uid_set_format_some (&set, 0, 0, one), 1); /* one range at least */
	assert_string_equal (one->str, "5");
}

/* Against plain arrays of 64 members. */
static void
random_sets_mean_what_a_model_says (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (7);
	for (guint round = 0; round < 20000; round++) {
		g_auto (ImapSet) set = {0};
		g_auto (UidSet) means = UID_SET_INIT;
		g_autoptr (GString) text = g_string_new (NULL);
		guint32 max = (guint32) g_rand_int_range (random, 1, 65);
		gboolean model[65] = {FALSE};
		for (gint n = g_rand_int_range (random, 1, 20); n > 0; n--) {
			guint32 ends[2];
			for (guint k = 0; k < 2; k++) {
				ends[k] = g_rand_int_range (random, 0, 10) ? (guint32) g_rand_int_range (random, 1, 65) : 0;
				g_string_append_printf (text, ends[k] ? "%u" : "*", ends[k]);
				g_string_append_c (text, k ? ',' : ':');
				ends[k] = ends[k] ? ends[k] : max;
			}
			for (guint32 i = MIN (ends[0], ends[1]); i <= MAX (ends[0], ends[1]); i++)
				model[i] = TRUE;
		}
		assert_true (imap_set_parse (&set, (Slice) {text->str, text->len - 1}, RANGES));
		imap_set_resolve (&set, max, NULL, &means);
		for (guint32 i = 1; i < 65; i++)
			assert_int_equal (uid_set_contains (&means, i), model[i]);
	}
}

static void
random_unions_mean_what_a_model_says (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (8);
	for (guint round = 0; round < 5000; round++) {
		g_auto (UidSet) a = UID_SET_INIT, b = UID_SET_INIT;
		gboolean model[201] = {FALSE};
		for (guint i = 0; i < 60; i++) {
			guint32 lo = (guint32) g_rand_int_range (random, 1, 198), hi = lo + (guint32) g_rand_int_range (random, 0, 3);
			uid_set_add_range (i % 2 ? &a : &b, lo, hi);
			for (; lo <= hi; lo++)
				model[lo] = TRUE;
		}
		uid_set_add_set (&a, &b);
		for (guint32 i = 1; i < 201; i++)
			assert_int_equal (uid_set_contains (&a, i), model[i]);
		for (guint i = 1; i < a.n_ranges; i++)
			assert_true (a.ranges[i - 1].hi + 1 < a.ranges[i].lo);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (sets_are_read_written_and_resolved),
		cmocka_unit_test (what_is_no_set_is_refused),
		cmocka_unit_test (members_keep_their_order),
		cmocka_unit_test (copyuid_pairs_two_sets),
		cmocka_unit_test (partial_ranges_have_one_sign),
		cmocka_unit_test (long_sets_are_written_in_pieces),
		cmocka_unit_test (random_sets_mean_what_a_model_says),
		cmocka_unit_test (random_unions_mean_what_a_model_says),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
