/* SPDX-License-Identifier: Apache-2.0 */
/* A watch whose connection is lost while it waits: it says so, and a home that drops every wait is left alone for longer and longer. One that
 * does not let us in any more, though it did, is tried again, but not so often that it locks the account. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "memory-home.h"
#include "sync.h"

#define DROPS 8 /* waits that are lost; then one that is not, and one more that is */

typedef struct {
	Home *home;
	Cancel *cancel;
	int wake;
	guint runs, losses, waits;
	gint64 pauses[DROPS + 1];
	OutpostError shuts;
	guint opens_after; /* so many that were not let in; 0: never */
} World;

/* No sleep is waited out: what is waiting to be run wakes it. */
static void
on_ran (gpointer data, const SyncResult *r, const GError *error, gint64 next_try_s)
{
	World *w = data;
	if (!error) {
		assert_non_null (r);
		assert_int_equal (next_try_s, 0);
		w->runs++;
		return;
	}
	assert_null (r);
	assert_string_equal (error->message, "connection lost");
	w->pauses[w->losses++] = next_try_s;
	if (w->losses == DROPS + 1)
		cancel_trigger (w->cancel);
	assert_int_equal (eventfd_write (w->wake, 1), 0);
}

static void
on_waiting (gpointer data)
{
	World *w = data;
	if (w->waits++ > DROPS + 1)
		cancel_trigger (w->cancel); /* losses that are not told */
	w->home->drops_waits = w->waits != DROPS + 1;
}

/* What sync_watch says of @w, whose callbacks are @watch's. */
static gboolean
run_watch (World *w, const WatchOptions *watch, GError **error)
{
	g_autofree char *dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	g_autofree char *path = g_build_filename (dir, "a.store", NULL);
	g_autoptr (Store) s = store_open (path, STORE_CREATE, error);
	g_autoptr (Endpoint) e = home_endpoint (w->home);
	SyncOptions o = SYNC_OPTIONS_INIT;
	WatchOptions own = *watch;
	own.poll_ms = 1000;
	own.wake_fd = w->wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
	own.data = w;
	w->cancel = cancel_new ();
	assert_non_null (s);
	gboolean ok = sync_watch (s, e, &o, &own, w->cancel, error);
	close (w->wake);
	cancel_free (w->cancel);
	home_free (w->home);
	g_clear_pointer (&s, store_close);
	g_autoptr (GDir) d = g_dir_open (dir, 0, NULL);
	for (const char *name; (name = g_dir_read_name (d));) {
		g_autofree char *file = g_build_filename (dir, name, NULL);
		g_remove (file);
	}
	g_rmdir (dir);
	return ok;
}

static void
lost_waits_are_told_and_tried_again_later_and_later (void **state)
{
	g_autoptr (GError) error = NULL;
	World w = {.home = home_new (0, TRUE)};
	const WatchOptions watch = {.ran = on_ran, .waiting = on_waiting};
	assert_true (run_watch (&w, &watch, &error));
	assert_int_equal (w.losses, DROPS + 1);
	assert_int_equal (w.runs, DROPS + 2);
	for (guint i = 0; i < DROPS; i++) /* 1, 2, 4 .. 128 s, each times 0.5 to 1.5 */
		assert_in_range (w.pauses[i], MAX (1, (1 << i) / 2), (1 << i) * 3 / 2);
	assert_int_equal (w.pauses[DROPS], 1); /* after a wait that was none of these */
}

/* ---- A home that is shut ---- */

static void
on_shut (gpointer data, const SyncResult *r, const GError *error, gint64 next_try_s)
{
	World *w = data;
	if (!error) {
		w->runs++;
		return;
	}
	assert_int_equal (eventfd_write (w->wake, 1), 0);
	if (g_strcmp0 (error->message, "not let in") != 0) /* the wait was lost */
		return;
	w->pauses[w->losses++] = next_try_s;
	if (w->losses == w->opens_after)
		w->home->shut = 0;
}

/* Once let in, the next connection fails as the test wants it; let in again, the watch ends. */
static void
on_shut_waiting (gpointer data)
{
	World *w = data;
	w->home->drops_waits = TRUE;
	if (w->waits++ == 0)
		w->home->shut = w->shuts;
	else
		cancel_trigger (w->cancel);
}

static const WatchOptions shut_watch = {.ran = on_shut, .waiting = on_shut_waiting};

static void
who_does_not_let_us_in_at_first_ends_the_watch (void **state)
{
	const OutpostError codes[] = {ERROR_UNTRUSTED, ERROR_NO_PERMISSION};
	for (guint i = 0; i < G_N_ELEMENTS (codes); i++) {
		g_autoptr (GError) error = NULL;
		World w = {.home = home_new (0, TRUE)};
		w.home->shut = codes[i];
		assert_false (run_watch (&w, &shut_watch, &error));
		assert_true (error_is (error, codes[i]));
		assert_int_equal (w.losses + w.runs, 0);
	}
}

static void
a_home_that_is_not_itself_for_a_while_is_tried_as_one_that_is_away (void **state)
{
	g_autoptr (GError) error = NULL;
	World w = {.home = home_new (0, TRUE), .shuts = ERROR_UNTRUSTED, .opens_after = DROPS};
	assert_true (run_watch (&w, &shut_watch, &error));
	assert_int_equal (w.losses, DROPS);
	assert_int_equal (w.runs, 2);
	for (guint i = 0; i < DROPS; i++)
		assert_in_range (w.pauses[i], 1, 450);
}

static void
refused_log_ons_are_few_and_far_between (void **state)
{
	static const gint64 least[] = {60, 300, 900, 3600};
	g_autoptr (GError) error = NULL;
	World w = {.home = home_new (0, TRUE), .shuts = ERROR_NO_PERMISSION};
	assert_false (run_watch (&w, &shut_watch, &error));
	assert_true (error_is (error, ERROR_NO_PERMISSION));
	assert_int_equal (w.losses, G_N_ELEMENTS (least));
	for (guint i = 0; i < G_N_ELEMENTS (least); i++)
		assert_in_range (w.pauses[i], least[i], least[i] * 3 / 2);
	World again = {.home = home_new (0, TRUE), .shuts = ERROR_NO_PERMISSION, .opens_after = 3};
	assert_true (run_watch (&again, &shut_watch, &error));
	assert_int_equal (again.runs, 2);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (lost_waits_are_told_and_tried_again_later_and_later),
		cmocka_unit_test (who_does_not_let_us_in_at_first_ends_the_watch),
		cmocka_unit_test (a_home_that_is_not_itself_for_a_while_is_tried_as_one_that_is_away),
		cmocka_unit_test (refused_log_ons_are_few_and_far_between),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
