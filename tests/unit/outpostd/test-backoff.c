/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "backoff.h"
#include <string.h>

#define SECONDS(n) ((gint64) (n) * G_USEC_PER_SEC)
#define HOUR SECONDS (3600)

/* An attempt at @now: 0 if it was let through, and was @right or not; else the seconds that it has to wait. */
static guint
attempt (Backoff *b, const char *address, const char *user, gboolean right, gint64 now)
{
	guint wait = backoff_begin (b, address, user, now);
	if (wait == 0)
		backoff_end (b, address, user, right ? BACKOFF_RIGHT : BACKOFF_WRONG, now);
	return wait;
}

static void
each_wrong_guess_takes_twice_as_long_up_to_the_longest (void **state)
{
	static const guint waits[] = {0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60};
	g_autoptr (Backoff) b = backoff_new (60);
	gint64 now = SECONDS (1000);
	for (guint i = 0; i < G_N_ELEMENTS (waits); i++) {
		assert_int_equal (attempt (b, "192.0.2.1", "alice", FALSE, now), 0);
		assert_int_equal (backoff_begin (b, "192.0.2.1", "alice", now), waits[i]);
		if (waits[i] == 0)
			backoff_end (b, "192.0.2.1", "alice", BACKOFF_LEFT, now);
		now += SECONDS (waits[i]);
	}
	backoff_set_longest (b, 5);
	assert_int_equal (attempt (b, "192.0.2.1", "alice", FALSE, now), 0);
	assert_int_equal (backoff_begin (b, "192.0.2.1", "alice", now + SECONDS (2)), 3);
}

static void
what_is_tried_during_a_wait_does_not_lengthen_it (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	for (guint i = 0; i < 5; i++)
		attempt (b, "192.0.2.1", "alice", FALSE, SECONDS (i * 10));
	guint wait = backoff_begin (b, "192.0.2.1", "alice", SECONDS (40));
	for (guint i = 0; i < 100; i++)
		assert_int_equal (attempt (b, "192.0.2.1", "alice", FALSE, SECONDS (40)), wait);
	assert_int_equal (attempt (b, "192.0.2.1", "alice", TRUE, SECONDS (40 + wait)), 0);
}

static void
who_was_right_begins_anew_and_time_forgets (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	for (guint i = 0; i < 4; i++)
		attempt (b, "192.0.2.1", "alice", FALSE, SECONDS (i * 10));
	assert_int_equal (attempt (b, "192.0.2.1", "alice", TRUE, SECONDS (60)), 0);
	for (guint i = 0; i < 3; i++)
		assert_int_equal (attempt (b, "192.0.2.1", "alice", FALSE, SECONDS (61)), 0);
	assert_int_equal (backoff_begin (b, "192.0.2.1", "alice", SECONDS (61)), 1);
	gint64 later = SECONDS (100) + HOUR;
	for (guint i = 0; i < 3; i++)
		assert_int_equal (attempt (b, "192.0.2.1", "alice", FALSE, later), 0);
}

/* Whoever guesses elsewhere. */
static void
nobody_is_locked_out_by_another (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	gint64 now = SECONDS (1000);
	assert_int_equal (attempt (b, "192.0.2.7", "alice", TRUE, now), 0);
	for (guint i = 0; i < 30; i++) {
		g_autofree char *address = g_strdup_printf ("198.51.100.%u", i), *user = g_strdup_printf ("user%u", i);
		attempt (b, address, "alice", FALSE, now);   /* many addresses at one name */
		attempt (b, "192.0.2.7", user, FALSE, now);  /* many names from one address */
	}
	assert_true (backoff_begin (b, "203.0.113.1", "alice", now) > 0);
	assert_true (backoff_begin (b, "192.0.2.7", "bob", now) > 0);
	assert_int_equal (attempt (b, "192.0.2.7", "alice", TRUE, now), 0);
	assert_int_equal (attempt (b, "203.0.113.1", "bob", TRUE, now), 0);
}

static void
one_program_with_an_old_password_does_not_hold_up_its_network (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	for (guint i = 0; i < 1000; i++)
		attempt (b, "192.0.2.1", "alice", FALSE, SECONDS (i * 60));
	assert_int_equal (attempt (b, "192.0.2.1", "bob", TRUE, SECONDS (60000)), 0);
}

static void
an_ipv6_network_is_one_address (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	for (guint i = 0; i < 3; i++) {
		g_autofree char *address = g_strdup_printf ("2001:db8:1:2::%x", i);
		assert_int_equal (attempt (b, address, "alice", FALSE, 0), 0);
	}
	assert_int_equal (backoff_begin (b, "2001:db8:1:2:ffff::1", "alice", 0), 1);
	assert_int_equal (backoff_begin (b, "2001:db8:1:3::1", "alice", 0), 0);
}

static void
guesses_at_the_same_time_are_few (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	guint through = 0;
	for (guint i = 0; i < 100; i++)
		through += backoff_begin (b, "192.0.2.1", "alice", 0) == 0;
	assert_int_equal (through, 16);
	backoff_end (b, "192.0.2.1", "alice", BACKOFF_LEFT, 0);
	assert_int_equal (backoff_begin (b, "192.0.2.1", "alice", 0), 0);
	for (guint i = 0; i < 16; i++)
		backoff_end (b, "192.0.2.1", "alice", BACKOFF_WRONG, 0);
	assert_true (backoff_begin (b, "192.0.2.1", "alice", 0) > 60);
}

static void
memory_is_bounded_and_who_was_right_is_kept_longest (void **state)
{
	g_autoptr (Backoff) b = backoff_new (300);
	gint64 now = SECONDS (1000);
	assert_int_equal (attempt (b, "192.0.2.7", "alice", TRUE, now), 0);
	for (guint i = 0; i < 12; i++) { /* guessed at: who is new has to wait */
		g_autofree char *address = g_strdup_printf ("198.51.100.%u", i);
		attempt (b, address, "alice", FALSE, now);
	}
	for (guint i = 0; i < 200000; i++) {
		g_autofree char *address = g_strdup_printf ("10.%u.%u.%u", i >> 16, (i >> 8) & 255, i & 255), *user = g_strdup_printf ("x%u", i);
		attempt (b, address, user, FALSE, now);
	}
	assert_true (backoff_size (b) <= 50000);
	assert_true (backoff_begin (b, "203.0.113.1", "alice", now) > 0); /* what holds somebody up is kept longer than what doesn't */
	assert_int_equal (attempt (b, "192.0.2.7", "alice", TRUE, now), 0);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (each_wrong_guess_takes_twice_as_long_up_to_the_longest), cmocka_unit_test (what_is_tried_during_a_wait_does_not_lengthen_it),
		cmocka_unit_test (who_was_right_begins_anew_and_time_forgets), cmocka_unit_test (nobody_is_locked_out_by_another),
		cmocka_unit_test (one_program_with_an_old_password_does_not_hold_up_its_network), cmocka_unit_test (an_ipv6_network_is_one_address),
		cmocka_unit_test (guesses_at_the_same_time_are_few), cmocka_unit_test (memory_is_bounded_and_who_was_right_is_kept_longest),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
