/* SPDX-License-Identifier: Apache-2.0 */
/* sync --watch: the main thread runs and waits (sync_watch); a second one answers `outpost status` and `outpost sync`, and wakes the first
 * after suspend and when the network changes; a third one keeps the search index up, so that new mail never waits for it. */
#include "cli-sync.h"
#include "manager.h"
#include "search.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 16
#define TICK_MS 5000
#define SLEPT_MS 15000 /* a tick that took this much longer on the clock that counts suspended time */
#define NETWORK_SETTLE_MS 1000
#define REQUEST_MS 5000

typedef struct {
	int fd;
	char line[32];
	guint size;
	gint64 since;
	guint64 answer_after; /* 0: not asked yet; else the number of runs that must have ended */
} Client;

typedef struct {
	Cli *cli;
	Home *home;
	Display display;
	GPtrArray *lines; /* of the run under way; printed when it turns out to have done something */
	int wake, tell, listen_fd, netlink;
	char *socket_path;
	gboolean ending;
	guint failures; /* of runs, one after the other */

	/* control thread only */
	Client clients[CLIENTS_MAX];
	guint n_clients;

	GMutex lock; /* guards what follows */
	GCond index_cond;
	gboolean running, index_wanted, stop;
	gboolean refused; /* the last log-on was: each further one may lock the account, so that only a person hastens it */
	guint64 runs;
	gint64 started, last_end, next_try;
	SyncResult last;
	char *last_error;
} Watcher;

/* ---- The service manager ---- */

static void
poke (int fd)
{
	guint64 one = 1;
	if (write (fd, &one, sizeof one) < 0)
		g_debug ("watch: %s", g_strerror (errno));
}

/* There may be something to do. */
static void
hint (Watcher *w)
{
	g_mutex_lock (&w->lock);
	gboolean refused = w->refused;
	g_mutex_unlock (&w->lock);
	if (!refused)
		poke (w->wake);
}

/* ---- Callbacks of sync_watch, on the main thread ---- */

static void
on_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	Watcher *w = data;
	g_mutex_lock (&w->lock);
	w->running = TRUE;
	g_mutex_unlock (&w->lock);
	g_ptr_array_add (w->lines, sync_log_line (time, detail, text));
}

static void
on_progress (gpointer data, const SyncProgress *p)
{
	Watcher *w = data;
	display_sync (&w->display, p);
}

static gboolean
did_something (const SyncResult *r)
{
	return r->folders_added_here + r->folders_changed_here + r->folders_removed_here + r->folders_added_home + r->folders_changed_home +
	               r->folders_removed_home + r->added_here + r->updated_here + r->removed_here + r->added_home + r->updated_home +
	               r->removed_home + r->moved_home + r->conflicts + r->failures + r->held >
	       0;
}

static void
print_lines (Watcher *w, gboolean worth)
{
	display_end (&w->display);
	for (guint i = 0; worth && !w->cli->quiet && !w->cli->json && i < w->lines->len; i++)
		cli_print ("%s", (char *) w->lines->pdata[i]);
	g_ptr_array_set_size (w->lines, 0);
	fflush (stdout);
}

/* The first failure may be of the network alone. */
static void
follow_or_look_back (Watcher *w, const SyncResult *r, const GError *error)
{
	if (!error) {
		w->failures = 0;
		home_follow (w->home, w->cli->store, r->run);
	} else if (home_be_referred (w->home, w->cli->store)) {
		poke (w->wake);
	} else if (r && (error_is (error, ERROR_TEMPORARY) || error_is (error, ERROR_NOT_FOUND)) && w->failures++ > 0)
		home_look_back (w->home, w->cli->store);
}

static void
on_ran (gpointer data, const SyncResult *r, const GError *error, gint64 next_try_s)
{
	Watcher *w = data;
	const SyncResult nothing = {0};
	/* the same again is said once; only this thread writes last_error */
	gboolean fresh = error && g_strcmp0 (error->message, w->last_error) != 0;
	print_lines (w, w->runs == 0 || (error ? fresh || (r && did_something (r)) : did_something (r)));
	if (!error && !home_remember (w->home, w->cli->store, NULL))
		g_debug ("watch: the server's capabilities could not be kept");
	if (error_is (error, ERROR_NO_PERMISSION) && w->cli->profile->source != SECRET_PROMPT) /* it may be another one by now */
		home_forget_secret (w->home);
	follow_or_look_back (w, r, error);
	g_mutex_lock (&w->lock);
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	if (r) {
		w->runs++;
		w->last = *r;
		w->last_end = now;
	}
	w->next_try = error ? now + next_try_s : 0;
	g_free (w->last_error);
	w->last_error = error ? g_strdup (error->message) : NULL;
	w->running = FALSE;
	w->refused = error_is (error, ERROR_NO_PERMISSION);
	w->index_wanted |= !error;
	g_cond_signal (&w->index_cond);
	g_mutex_unlock (&w->lock);
	if (w->cli->json) {
		json_t *o = json_of_result (r ? r : &nothing);
		json_object_set_new (o, "type", json_string ("result"));
		json_object_set_new (o, "error", error ? cli_json_text (error->message) : json_null ());
		cli_print_json (o);
		fflush (stdout);
	} else if (fresh)
		cli_note (w->cli, "%s; the next try is in %" G_GINT64_FORMAT " s", error->message, next_try_s);
	g_autofree char *state = g_strdup_printf ("STATUS=%s", error ? error->message : "In step, waiting for changes");
	manager_tell (state);
	poke (w->tell);
}

/* ---- The index, on a thread of its own ---- */

static gpointer
index_thread (gpointer data)
{
	Watcher *w = data;
	g_autoptr (Store) s = store_open (w->cli->profile->store, 0, NULL);
	g_mutex_lock (&w->lock);
	while (s && !w->stop) {
		if (!w->index_wanted) {
			g_cond_wait (&w->index_cond, &w->lock);
			continue;
		}
		w->index_wanted = FALSE;
		g_mutex_unlock (&w->lock);
		g_autoptr (GError) error = NULL;
		guint64 indexed;
		if (!search_index (s, w->cli->cancel, NULL, NULL, &indexed, &error) && !error_is (error, ERROR_CANCELLED))
			cli_note (w->cli, "The search index is behind: %s", error->message);
		g_mutex_lock (&w->lock);
	}
	g_mutex_unlock (&w->lock);
	return NULL;
}

/* ---- The control thread ---- */

static json_t *
watcher_status (Watcher *w)
{
	g_mutex_lock (&w->lock);
	const char *state = w->running ? "synchronizing" : w->last_error ? "retrying" : "waiting";
	json_t *o = json_pack ("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "state", state, "pid", (json_int_t) getpid (), "since",
	                       (json_int_t) w->started, "runs", (json_int_t) w->runs, "lastEnd", (json_int_t) w->last_end, "nextTry",
	                       (json_int_t) w->next_try, "error", cli_json_text (w->last_error), "last", json_of_result (&w->last));
	g_mutex_unlock (&w->lock);
	return o;
}

static void
client_end (Watcher *w, guint i)
{
	close (w->clients[i].fd);
	w->clients[i] = w->clients[--w->n_clients];
}

static void
client_answer (Watcher *w, guint i, json_t *answer)
{
	g_autofree char *text = json_dumps (answer, JSON_COMPACT);
	json_decref (answer);
	if (send (w->clients[i].fd, text, strlen (text), MSG_NOSIGNAL) < 0)
		g_debug ("watch: a command went away before its answer");
	client_end (w, i);
}

/* The answer to "sync": that of the first run which began after the question. */
static json_t *
sync_answer (Watcher *w)
{
	g_mutex_lock (&w->lock);
	json_t *o = json_of_result (&w->last);
	json_object_set_new (o, "error", cli_json_text (w->last_error));
	g_mutex_unlock (&w->lock);
	return o;
}

static void
client_request (Watcher *w, guint i)
{
	Client *c = &w->clients[i];
	if (strcmp (c->line, "status") == 0) {
		client_answer (w, i, watcher_status (w));
		return;
	}
	if (strcmp (c->line, "sync") == 0) {
		g_mutex_lock (&w->lock);
		c->answer_after = w->runs + (w->running ? 2 : 1);
		g_mutex_unlock (&w->lock);
		poke (w->wake);
		return;
	}
	if (strcmp (c->line, "poke") == 0)
		hint (w);
	client_answer (w, i, json_object ());
}

/* FALSE when the client is gone. */
static void
client_read (Watcher *w, guint i)
{
	Client *c = &w->clients[i];
	ssize_t n = read (c->fd, c->line + c->size, sizeof c->line - 1 - c->size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || c->answer_after) {
		client_end (w, i);
		return;
	}
	c->size += (guint) n;
	c->line[c->size] = '\0';
	char *end = strchr (c->line, '\n');
	if (end) {
		*end = '\0';
		client_request (w, i);
	} else if (c->size == sizeof c->line - 1)
		client_end (w, i);
}

static void
accept_client (Watcher *w)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	int fd = accept4 (w->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (w->n_clients == CLIENTS_MAX || getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != getuid ()) {
		close (fd);
		return;
	}
	w->clients[w->n_clients++] = (Client){.fd = fd, .since = g_get_monotonic_time ()};
}

static void
answer_waiting (Watcher *w)
{
	g_mutex_lock (&w->lock);
	guint64 runs = w->runs;
	g_mutex_unlock (&w->lock);
	for (guint i = w->n_clients; i-- > 0;)
		if (w->clients[i].answer_after && runs >= w->clients[i].answer_after)
			client_answer (w, i, sync_answer (w));
		else if (!w->clients[i].answer_after && g_get_monotonic_time () - w->clients[i].since > REQUEST_MS * 1000)
			client_end (w, i);
}

static gint64
boot_ms (void)
{
	struct timespec t;
	clock_gettime (CLOCK_BOOTTIME, &t);
	return (gint64) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
open_netlink (void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd >= 0 && bind (fd, (struct sockaddr *) &address, sizeof address) == 0)
		return fd;
	if (fd >= 0)
		close (fd);
	return -1; /* forbidden in some sandboxes: the poll interval has to do */
}

static void
drain (int fd)
{
	char bytes[4096];
	while (read (fd, bytes, sizeof bytes) > 0)
		continue;
}

static void
control_turn (Watcher *w, gint64 *network_since)
{
	struct pollfd fds[3 + CLIENTS_MAX] = {{w->listen_fd, POLLIN, 0}, {w->tell, POLLIN, 0}, {w->netlink, POLLIN, 0}};
	guint n = w->n_clients;
	for (guint i = 0; i < n; i++)
		fds[3 + i] = (struct pollfd){w->clients[i].fd, POLLIN, 0};
	gint64 before = boot_ms ();
	poll (fds, 3 + n, *network_since ? NETWORK_SETTLE_MS : TICK_MS);
	if (boot_ms () - before > TICK_MS + SLEPT_MS)
		hint (w);
	if (fds[1].revents)
		drain (w->tell);
	if (fds[2].revents) {
		drain (w->netlink);
		*network_since = boot_ms ();
	} else if (*network_since && boot_ms () - *network_since >= NETWORK_SETTLE_MS) {
		*network_since = 0;
		hint (w);
	}
	for (guint i = n; i-- > 0;)
		if (fds[3 + i].revents)
			client_read (w, i);
	if (fds[0].revents)
		accept_client (w);
	answer_waiting (w);
}

static gpointer
control_thread (gpointer data)
{
	Watcher *w = data;
	gint64 network_since = 0;
	while (!g_atomic_int_get (&w->ending))
		control_turn (w, &network_since);
	while (w->n_clients > 0)
		client_end (w, 0);
	return NULL;
}

/* ---- Beginning and end ---- */

static gboolean
watcher_begin (Watcher *w, Cli *cli, GError **error)
{
	w->cli = cli;
	w->started = g_get_real_time () / G_USEC_PER_SEC;
	w->running = TRUE;
	w->lines = g_ptr_array_new_with_free_func (g_free);
	w->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->tell = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->netlink = open_netlink ();
	w->listen_fd = control_listen (cli->profile, &w->socket_path, error);
	g_mutex_init (&w->lock);
	g_cond_init (&w->index_cond);
	display_begin (&w->display, cli);
	return w->listen_fd >= 0;
}

static void
watcher_end (Watcher *w)
{
	int fds[] = {w->wake, w->tell, w->netlink, w->listen_fd};
	for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
		if (fds[i] >= 0)
			close (fds[i]);
	if (w->socket_path)
		unlink (w->socket_path);
	g_free (w->socket_path);
	g_free (w->last_error);
	g_ptr_array_unref (w->lines);
	g_mutex_clear (&w->lock);
	g_cond_clear (&w->index_cond);
	home_free (w->home);
}

static void
stop_threads (Watcher *w, GThread *control, GThread *index)
{
	g_atomic_int_set (&w->ending, TRUE);
	poke (w->tell);
	g_thread_join (control);
	g_mutex_lock (&w->lock);
	w->stop = TRUE;
	g_cond_signal (&w->index_cond);
	g_mutex_unlock (&w->lock);
	cancel_trigger (w->cli->cancel); /* ends an index run under way */
	g_thread_join (index);
}

gboolean
cli_watch (Cli *cli, const SyncOptions *options, GError **error)
{
	Watcher w = {0};
	if (!store_lock_sync (cli->store, error))
		return FALSE;
	if (!watcher_begin (&w, cli, error)) {
		watcher_end (&w);
		return FALSE;
	}
	g_autofree char *known = store_setting (cli->store, "capabilities");
	w.home = home_new (cli, cli->profile, known);
	SyncOptions o = *options;
	o.line = on_line;
	o.progress = on_progress;
	o.data = &w;
	o.fold_idle = TRUE;
	WatchOptions watch = {.poll_ms = 60000, .wake_fd = w.wake, .ran = on_ran, .data = &w};
	GThread *control = g_thread_new ("control", control_thread, &w);
	GThread *index = g_thread_new ("index", index_thread, &w);
	/* the first run may take longer than a service manager waits for readiness */
	manager_tell ("READY=1");
	gboolean ok = sync_watch (cli->store, w.home->endpoint, &o, &watch, cli->cancel, error);
	manager_tell ("STOPPING=1");
	print_lines (&w, TRUE);
	stop_threads (&w, control, index);
	w.home->endpoint->class->close (w.home->endpoint);
	watcher_end (&w);
	return ok;
}
