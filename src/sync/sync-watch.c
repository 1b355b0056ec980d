/* SPDX-License-Identifier: Apache-2.0 */
/* Runs, waits, runs again. A lost connection is tried again after 1, 2, 4 .. 300 s, each times 0.5 to 1.5 at random; what no repetition
 * mends ends the watch. What was right once may be wrong for a moment: somebody else answers at the address (a portal that wants a click, a server that
 * is being set up), or the directory behind the server does not know anybody. */
#include "sync-private.h"
#include <poll.h>
#include <unistd.h>

#define FULL_LOOK_MS (15 * 60 * 1000) /* also with push, in case an event was lost */

/* Sleeps until @ms have passed on the clock that counts suspended time, @wake_fd is readable, or cancelled. */
static void
sleep_until (gint64 ms, int wake_fd, Cancel *cancel)
{
	struct pollfd fds[2] = {{cancel_fd (cancel), POLLIN, 0}, {wake_fd, POLLIN, 0}};
	while (ms > 0 && !cancel_is_triggered (cancel)) {
		int step = (int) MIN (ms, 5000);
		if (poll (fds, 2, step) != 0)
			return;
		ms -= step;
	}
}

static void
drain (int fd)
{
	char bytes[64];
	struct pollfd p = {fd, POLLIN, 0};
	while (fd >= 0 && poll (&p, 1, 0) > 0 && read (fd, bytes, sizeof bytes) == sizeof bytes)
		continue;
}

static gint64
back_off (guint failures)
{
	gint64 s = 1 << MIN (failures, 8u);
	s = MIN (s, 300);
	gint64 pause = (gint64) ((double) s * g_random_double_range (0.5, 1.5));
	return MAX (1, pause);
}

/* INBOX and what has a role first: IDLE without NOTIFY can only watch some. */
static GPtrArray *
folders_that_matter (Store *store)
{
	GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
	g_autoptr (GPtrArray) folders = store_folders (store, NULL);
	for (guint i = 0; folders && i < folders->len; i++) {
		Folder *f = folders->pdata[i];
		g_autoptr (FolderBinding) b = store_folder_binding (store, f->id, NULL);
		if (b && b->selectable && (i == 0 || f->role))
			g_ptr_array_add (names, g_strdup (b->remote_name));
	}
	return names;
}

static gboolean
wait_for_change (Store *store, Endpoint *home, const WatchOptions *watch, GError **error)
{
	g_autoptr (GPtrArray) names = folders_that_matter (store);
	g_autoptr (GPtrArray) changed = NULL;
	gboolean push = home->class->abilities (home) & ENDPOINT_PUSH;
	return home->class->watch (home, (const char *const *) names->pdata, names->len, push ? FULL_LOOK_MS : watch->poll_ms, watch->wake_fd,
	                           &changed, error);
}

/* In seconds, times 1 to 1.5. Accounts are locked after three wrong passwords and more in some minutes, up to an hour. */
static const gint64 refusal_pauses[] = {60, 300, 900, 3600};

typedef struct {
	gboolean worked; /* a run did, ever */
	guint failures;  /* one after the other */
	guint refusals;  /* of log-ons since the last that was not */
} Endurance;

/* After a run that failed; 0: for good. */
static gint64
pause_after_failure (Endurance *n, const GError *e)
{
	if (n->worked && error_is (e, ERROR_NO_PERMISSION) && n->refusals < G_N_ELEMENTS (refusal_pauses))
		return (gint64) ((double) refusal_pauses[n->refusals++] * g_random_double_range (1, 1.5));
	if (error_retry (e->code) != RETRY_NEVER || (n->worked && error_is (e, ERROR_UNTRUSTED)))
		return back_off (n->failures++);
	return 0;
}

/* The connection was lost while waiting. A wait that was shorter than the pause before it mends nothing: the next pause is longer. */
static gint64
pause_after_loss (gint64 waited_us, gint64 last_pause, guint *failures)
{
	if (waited_us >= last_pause * G_USEC_PER_SEC)
		*failures = 0;
	return back_off ((*failures)++);
}

/* The folders that are named, by the names that they have now: each is the one that had its name when the watch began, for as long as that is there. */
static void
follow_folders (Store *store, gint64 *ids, char **paths)
{
	for (guint i = 0; paths && paths[i]; i++) {
		g_autoptr (Folder) f = ids[i] ? store_folder (store, ids[i], NULL) : NULL;
		if (!f)
			f = store_folder_by_path (store, paths[i], NULL);
		ids[i] = f ? f->id : 0;
		if (!f)
			continue;
		g_free (paths[i]);
		paths[i] = g_strdup (f->path);
	}
}

gboolean
sync_watch (Store *store, Endpoint *home, const SyncOptions *options, const WatchOptions *watch, Cancel *cancel, GError **error)
{
	Endurance n = {0};
	gint64 pause = 0;
	g_auto (GStrv) paths = g_strdupv ((char **) options->folders);
	g_autofree gint64 *ids = g_new0 (gint64, paths ? g_strv_length (paths) : 0);
	SyncOptions now = *options;
	now.folders = (const char *const *) paths;
	while (!cancel_is_triggered (cancel)) {
		g_autoptr (GError) e = NULL;
		SyncResult result;
		drain (watch->wake_fd);
		follow_folders (store, ids, paths);
		gboolean ok = sync_run (store, home, &now, cancel, &result, &e);
		if (error_is (e, ERROR_CANCELLED))
			return TRUE;
		if (!ok && (pause = pause_after_failure (&n, e)) == 0) {
			g_propagate_error (error, g_steal_pointer (&e));
			return FALSE;
		}
		if (watch->ran)
			watch->ran (watch->data, &result, e, ok ? 0 : pause);
		if (ok) {
			n.worked = TRUE;
			n.refusals = 0;
			if (watch->waiting)
				watch->waiting (watch->data);
			gint64 since = g_get_monotonic_time ();
			if (wait_for_change (store, home, watch, &e)) {
				n.failures = 0;
				pause = 0;
				continue;
			}
			if (error_is (e, ERROR_CANCELLED))
				continue;
			pause = pause_after_loss (g_get_monotonic_time () - since, pause, &n.failures);
			if (watch->ran)
				watch->ran (watch->data, NULL, e, pause);
		}
		home->class->close (home);
		sleep_until (pause * 1000, watch->wake_fd, cancel);
	}
	return TRUE;
}
