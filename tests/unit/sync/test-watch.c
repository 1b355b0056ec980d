/* SPDX-License-Identifier: Apache-2.0 */
/* A watch whose connection is lost while it waits: it says so, and a home that drops every wait is left alone for longer and longer. */
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

static void
lost_waits_are_told_and_tried_again_later_and_later (void **state)
{
	g_autofree char *dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	g_autofree char *path = g_build_filename (dir, "a.store", NULL);
	g_autoptr (GError) error = NULL;
	g_autoptr (Store) s = store_open (path, STORE_CREATE, &error);
	World w = {.home = home_new (0, TRUE), .cancel = cancel_new (), .wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC)};
	g_autoptr (Endpoint) e = home_endpoint (w.home);
	SyncOptions o = SYNC_OPTIONS_INIT;
	WatchOptions watch = {.poll_ms = 1000, .wake_fd = w.wake, .ran = on_ran, .waiting = on_waiting, .data = &w};
	assert_non_null (s);
	assert_true (sync_watch (s, e, &o, &watch, w.cancel, &error));
	assert_int_equal (w.losses, DROPS + 1);
	assert_int_equal (w.runs, DROPS + 2);
	for (guint i = 0; i < DROPS; i++) /* 1, 2, 4 .. 128 s, each times 0.5 to 1.5 */
		assert_in_range (w.pauses[i], MAX (1, (1 << i) / 2), (1 << i) * 3 / 2);
	assert_int_equal (w.pauses[DROPS], 1); /* after a wait that was none of these */
	close (w.wake);
	cancel_free (w.cancel);
	home_free (w.home);
	g_clear_pointer (&s, store_close);
	g_autoptr (GDir) d = g_dir_open (dir, 0, NULL);
	for (const char *name; (name = g_dir_read_name (d));) {
		g_autofree char *file = g_build_filename (dir, name, NULL);
		g_remove (file);
	}
	g_rmdir (dir);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test (lost_waits_are_told_and_tried_again_later_and_later)};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
