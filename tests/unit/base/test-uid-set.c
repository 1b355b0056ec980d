/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "uid-set.h"

#define TOP G_MAXUINT32

static char *
text_of (const UidSet *set)
{
	GString *text = g_string_new (NULL);
	uid_set_format (set, text);
	return g_string_free (text, FALSE);
}

#define assert_set(set, want)                     \
	do {                                          \
		g_autofree char *text_ = text_of (set);   \
		assert_string_equal (text_, (want));      \
	} while (0)

static void
ranges_that_touch_become_one (void **state)
{
	static const struct {
		guint32 ranges[5][2];
		const char *want;
	} cases[] = {
		{{{0}}, ""},
		{{{1, 1}}, "1"},
		{{{1, 3}, {4, 5}}, "1:5"},
		{{{4, 5}, {1, 3}}, "1:5"},
		{{{1, 3}, {5, 6}}, "1:3,5:6"},
		{{{5, 6}, {1, 3}, {4, 4}}, "1:6"},
		{{{1, 10}, {3, 4}}, "1:10"},
		{{{3, 4}, {1, 10}}, "1:10"},
		{{{1, 2}, {4, 5}, {7, 8}, {2, 7}}, "1:8"},
		{{{10, 5}}, "5:10"},
		{{{0, 3}}, "1:3"},
		{{{3, 0}}, "1:3"},
		{{{TOP, TOP}}, "4294967295"},
		{{{TOP, TOP}, {TOP - 1, TOP - 1}}, "4294967294:4294967295"},
		{{{1, TOP}, {7, 9}}, "1:4294967295"},
		{{{7, 9}, {1, TOP}}, "1:4294967295"},
		{{{TOP - 1, TOP}, {1, 1}}, "1,4294967294:4294967295"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_auto (UidSet) set = UID_SET_INIT;
		for (int k = 0; k < 5; k++)
			if (cases[i].ranges[k][0] || cases[i].ranges[k][1])
				uid_set_add_range (&set, cases[i].ranges[k][0], cases[i].ranges[k][1]);
		assert_set (&set, cases[i].want);
	}
}

static void
text_is_read_or_refused (void **state)
{
	static const struct {
		const char *text;
		guint max;
		const char *want; /* NULL: refused */
	} cases[] = {
		{"1", 9, "1"},          {"1:3,5", 9, "1:3,5"},   {"5,1:3", 9, "1:3,5"}, {"3:1", 9, "1:3"},         {"4294967295", 9, "4294967295"},
		{"1,2,3", 3, "1:3"},    {"1,2,3,4", 3, NULL},    {"", 9, NULL},         {"0", 9, NULL},            {"1:0", 9, NULL},
		{"4294967296", 9, NULL}, {"99999999999999999999999", 9, NULL}, {"1,", 9, NULL}, {",1", 9, NULL},   {"1:", 9, NULL},
		{":1", 9, NULL},        {"1 ,2", 9, NULL},       {"*", 9, NULL},        {"1:*", 9, NULL},          {"-1", 9, NULL},
		{"1:2:3", 9, NULL},     {"a", 9, NULL},          {"1", 0, NULL},        {"007", 9, "7"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_auto (UidSet) set = UID_SET_INIT;
		gboolean ok = uid_set_parse (&set, cases[i].text, cases[i].max);
		if (ok != (cases[i].want != NULL))
			fail_msg ("'%s'", cases[i].text);
		if (ok)
			assert_set (&set, cases[i].want);
	}
}

static void
the_empty_set_is_well_behaved (void **state)
{
	g_auto (UidSet) a = UID_SET_INIT, b = UID_SET_INIT;
	UidIter it = {0};
	guint32 uid;
	assert_true (uid_set_is_empty (&a) && uid_set_count (&a) == 0 && uid_set_max (&a) == 0 && uid_set_nth (&a, 0) == 0);
	assert_false (uid_set_contains (&a, 0) || uid_set_contains (&a, 1) || uid_set_next (&a, &it, &uid));
	uid_set_add_set (&a, &b);
	uid_set_remove_set (&a, &b);
	uid_set_copy (&a, &b);
	assert_set (&a, "");
	uid_set_add (&a, 0);
	assert_true (uid_set_is_empty (&a));
}

static void
the_whole_set_has_every_number (void **state)
{
	g_auto (UidSet) all = UID_SET_INIT, some = UID_SET_INIT;
	uid_set_add_range (&all, 1, TOP);
	assert_true (uid_set_count (&all) == TOP && uid_set_nth (&all, TOP - 1) == TOP && uid_set_nth (&all, TOP) == 0);
	uid_set_parse (&some, "1,5:7,4294967295", 9);
	uid_set_remove_set (&all, &some);
	assert_set (&all, "2:4,8:4294967294");
	uid_set_add_set (&all, &some);
	assert_set (&all, "1:4294967295");
	UidIter it = {0, TOP - 2};
	guint32 uid, n = 0;
	while (uid_set_next (&all, &it, &uid))
		n++;
	assert_int_equal (n, 2);
}

/* ---- Against a plain array ---- */

#define MEMBERS 300u

static void
same_as_model (const UidSet *set, const guint8 *model, guint32 base)
{
	guint64 n = 0;
	UidIter it = {0};
	guint32 uid, highest = 0;
	for (guint32 i = 0; i < MEMBERS; i++) {
		assert_int_equal (uid_set_contains (set, base + i), model[i]);
		if (!model[i])
			continue;
		assert_true (uid_set_next (set, &it, &uid) && uid == base + i);
		assert_int_equal (uid_set_nth (set, n), base + i);
		highest = base + i;
		n++;
	}
	assert_false (uid_set_next (set, &it, &uid));
	assert_true (uid_set_count (set) == n && uid_set_max (set) == highest && uid_set_is_empty (set) == (n == 0));
	for (guint i = 0; i < set->n_ranges; i++) { /* sorted, apart, not adjacent */
		assert_true (set->ranges[i].lo <= set->ranges[i].hi && set->ranges[i].lo > 0);
		assert_true (i == 0 || set->ranges[i].lo > (guint64) set->ranges[i - 1].hi + 1);
	}
	g_autofree char *text = text_of (set);
	g_auto (UidSet) read = UID_SET_INIT;
	assert_true (uid_set_parse (&read, text, MEMBERS) || n == 0);
	assert_set (&read, text);
}

static void
random_set (GRand *rand, UidSet *set, guint8 *model, guint32 base, guint n)
{
	memset (model, 0, MEMBERS);
	for (guint i = 0; i < n; i++) {
		guint32 lo = (guint32) g_rand_int_range (rand, 0, MEMBERS), hi = lo + (guint32) g_rand_int_range (rand, 0, 9);
		hi = MIN (hi, MEMBERS - 1);
		uid_set_add_range (set, base + lo, base + hi);
		memset (model + lo, 1, hi - lo + 1);
	}
}

static void
random_sets_agree_with_a_model (void **state)
{
	static const guint32 bases[] = {1, 1000, TOP - MEMBERS + 1};
	g_autoptr (GRand) rand = g_rand_new_with_seed (99);
	for (int round = 0; round < 600; round++) {
		guint32 base = bases[round % 3];
		g_auto (UidSet) a = UID_SET_INIT, b = UID_SET_INIT, c = UID_SET_INIT;
		guint8 ma[MEMBERS], mb[MEMBERS], mc[MEMBERS];
		random_set (rand, &a, ma, base, (guint) g_rand_int_range (rand, 0, 60));
		random_set (rand, &b, mb, base, (guint) g_rand_int_range (rand, 0, 60));
		same_as_model (&a, ma, base);
		uid_set_copy (&c, &a);
		same_as_model (&c, ma, base);
		uid_set_add_set (&c, &b);
		for (guint i = 0; i < MEMBERS; i++)
			mc[i] = ma[i] | mb[i];
		same_as_model (&c, mc, base);
		uid_set_copy (&c, &a);
		uid_set_remove_set (&c, &b);
		for (guint i = 0; i < MEMBERS; i++)
			mc[i] = ma[i] & !mb[i];
		same_as_model (&c, mc, base);
		same_as_model (&b, mb, base); /* not touched */
		uid_set_remove_set (&c, &c);
		assert_true (uid_set_is_empty (&c));
		uid_set_add_set (&a, &a);
		same_as_model (&a, ma, base);
	}
}

static void
a_million_members_cost_no_time (void **state)
{
	g_auto (UidSet) even = UID_SET_INIT, odd = UID_SET_INIT;
	gint64 start = g_get_monotonic_time ();
	for (guint32 i = 1; i <= 1000000; i++)
		uid_set_add (i % 2 ? &odd : &even, i);
	assert_int_equal (even.n_ranges, 500000);
	uid_set_add_set (&even, &odd);
	assert_set (&even, "1:1000000");
	uid_set_remove_set (&even, &odd);
	assert_int_equal (uid_set_count (&even), 500000);
	assert_true (g_get_monotonic_time () - start < 10 * G_USEC_PER_SEC);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (ranges_that_touch_become_one),   cmocka_unit_test (text_is_read_or_refused),
		cmocka_unit_test (the_empty_set_is_well_behaved),  cmocka_unit_test (the_whole_set_has_every_number),
		cmocka_unit_test (random_sets_agree_with_a_model), cmocka_unit_test (a_million_members_cost_no_time),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
