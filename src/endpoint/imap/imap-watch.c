/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for changes: one connection hears of all folders with NOTIFY (RFC 5465); else some connections IDLE (RFC 2177), each on a
 * folder; else one asks NOOP now and then. What happened between the caller's last look at a folder and the wait is found by
 * comparing states: each folder has a mark of what the caller was told and what was heard since, from whichever command.
 *
 * A silent connection may be gone without a word: NAT boxes forget, machines sleep. So every connection speaks after `refresh_ms`
 * (RFC 2177 wants less than 29 minutes) and must be answered at once; one that died of a long silence halves that time for the next.
 * The kernel's keep-alive probes go out besides (net-connect.c). After a suspension, seen as a jump between the clocks that count it
 * and that don't, all speak at once. */
#include "imap-private.h"
#include <string.h>
#include <time.h>

#define REFRESH_FIRST_MS (14 * 60 * 1000)
#define REFRESH_LEAST_MS (2 * 60 * 1000)
#define NOOP_MS (60 * 1000)
#define SLICE_MS (20 * 1000)
#define SUSPENDED_MS 5000
#define ANSWER_MS 20000 /* for the answer of a connection that was silent */
#define IDLE_SHORT_MS 1000

/* ---- Marks ---- */

typedef struct {
	FolderState told;     /* to the caller */
	FolderState heard;    /* in a STATUS since, by an event or as our own question */
	FolderState reported; /* last one that differed from told, so that a server that counts in two ways ends one wait only */
	gboolean changed;
} FolderMark;

static FolderMark *
mark_of (ImapEndpoint *e, const char *name)
{
	const char *key = g_ascii_strcasecmp (name, "INBOX") == 0 ? "INBOX" : name;
	FolderMark *m = g_hash_table_lookup (e->folder_marks, key);
	if (!m)
		g_hash_table_insert (e->folder_marks, g_strdup (key), m = g_new0 (FolderMark, 1));
	return m;
}

/* What both know and is not equal. */
static gboolean
states_differ (const FolderState *a, const FolderState *b)
{
	return (a->has_messages && b->has_messages && a->messages != b->messages) || (a->uidnext && b->uidnext && a->uidnext != b->uidnext) ||
	       (a->uidvalidity && b->uidvalidity && a->uidvalidity != b->uidvalidity) ||
	       (a->highestmodseq && b->highestmodseq && a->highestmodseq != b->highestmodseq);
}

static gboolean
states_equal (const FolderState *a, const FolderState *b)
{
	return a->has_messages == b->has_messages && a->messages == b->messages && a->uidnext == b->uidnext &&
	       a->uidvalidity == b->uidvalidity && a->highestmodseq == b->highestmodseq;
}

static gboolean
state_is_newer (const FolderState *a, const FolderState *than)
{
	return (a->uidnext && than->uidnext && a->uidnext > than->uidnext) ||
	       (a->highestmodseq && than->highestmodseq && a->highestmodseq > than->highestmodseq);
}

void
endpoint_told (ImapEndpoint *e, const char *name, const FolderState *state)
{
	FolderMark *m = mark_of (e, name);
	m->told = *state;
	/* an event that overtook the question's answer still stands */
	m->changed = m->changed && state_is_newer (&m->heard, state);
}

static void
mark_hear (FolderMark *m, const FolderState *state)
{
	m->heard = *state;
	if (!states_differ (state, &m->told) || states_equal (state, &m->reported))
		return;
	m->reported = *state;
	m->changed = TRUE;
}

void
endpoint_heard (ImapEndpoint *e, const char *name, const FolderState *state)
{
	mark_hear (mark_of (e, name), state);
}

static void
hear_status (ImapEndpoint *e, const ImapResponse *r)
{
	g_autofree char *name = slice_dup (reply_text (r, 0));
	FolderState state = {0};
	const ImapNode *value;
	for (const ImapNode *item = node_first (reply_arg (r, 1)); item && (value = node_next (item)); item = node_next (value)) {
		Slice word = node_text (item);
		if (slice_equals_ascii_case (word, "MESSAGES")) {
			state.messages = (guint32) node_number (value);
			state.has_messages = TRUE;
		} else if (slice_equals_ascii_case (word, "UIDNEXT"))
			state.uidnext = (guint32) node_number (value);
		else if (slice_equals_ascii_case (word, "UIDVALIDITY"))
			state.uidvalidity = (guint32) node_number (value);
		else if (slice_equals_ascii_case (word, "HIGHESTMODSEQ"))
			state.highestmodseq = node_number (value);
	}
	/* of folders that were never listed the tree's own event tells */
	FolderMark *m = g_hash_table_lookup (e->folder_marks, g_ascii_strcasecmp (name, "INBOX") == 0 ? "INBOX" : name);
	if (m)
		mark_hear (m, &state);
}

void
endpoint_observe (gpointer endpoint, const ImapResponse *r)
{
	ImapEndpoint *e = endpoint;
	const char *current = e->sessions[0] ? imap_session_current (e->sessions[0]) : NULL;
	gboolean asked = current && (strcmp (current, "LIST") == 0 || strcmp (current, "XLIST") == 0);
	if (reply_is (r, "STATUS"))
		hear_status (e, r);
	else if (reply_is (r, "LIST") && e->notify_on && !asked)
		e->tree_changed = TRUE;
	else if (reply_is_status (r) && strcmp (reply_code (r), "NOTIFICATIONOVERFLOW") == 0) {
		e->notify_on = FALSE;
		e->tree_changed = TRUE;
	}
}

/* ---- Lanes ---- */

typedef struct {
	ImapEndpoint *e;
	ImapSession *s;
	const char *name; /* of the selected folder, NULL if it can't be opened */
	FolderState state;
	gboolean idling;  /* IDLE is sent and not answered */
	gboolean ready;   /* the server has said so */
	gboolean ending;  /* DONE is sent */
	gint64 since;     /* of IDLE, monotonic */
	gint64 spoke;     /* boot time, ms */
} WatchLane;

typedef struct {
	ImapEndpoint *e;
	WatchLane lanes[IMAP_CONNECTIONS_LIMIT];
	guint n;
	int wake_fd;
	gint64 deadline; /* boot time, ms */
	gboolean woken;
} Watch;

static gint64
clock_ms (clockid_t clock)
{
	struct timespec t;
	clock_gettime (clock, &t);
	return (gint64) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static ImapHeard
lane_hear_select (gpointer data, const ImapResponse *r, GError **error)
{
	WatchLane *lane = data;
	const char *code = reply_is_status (r) ? reply_code (r) : "";
	if (reply_is (r, "EXISTS")) {
		lane->state.messages = reply_number (r);
		lane->state.has_messages = TRUE;
	} else if (strcmp (code, "CLOSED") == 0)
		lane->state = (FolderState) {0};
	else if (strcmp (code, "UIDVALIDITY") == 0)
		lane->state.uidvalidity = (guint32) reply_code_number (r);
	else if (strcmp (code, "UIDNEXT") == 0)
		lane->state.uidnext = (guint32) reply_code_number (r);
	else if (strcmp (code, "HIGHESTMODSEQ") == 0)
		lane->state.highestmodseq = reply_code_number (r);
	else
		return IMAP_PASSED;
	return IMAP_TAKEN;
}

static gboolean
lane_selected (gpointer data, const ImapAnswer *a, GError **error)
{
	WatchLane *lane = data;
	if (a->outcome == IMAP_OK)
		mark_hear (mark_of (lane->e, lane->name), &lane->state);
	else
		lane->name = NULL;
	return TRUE;
}

/* Events of the selected folder. EXISTS with the number known is no news: some servers say it with every IDLE. */
static ImapHeard
lane_hear (gpointer data, const ImapResponse *r, GError **error)
{
	WatchLane *lane = data;
	gboolean exists = reply_is (r, "EXISTS");
	gboolean news = exists ? reply_number (r) != lane->state.messages
	                       : reply_is (r, "EXPUNGE") || reply_is (r, "VANISHED") || reply_is (r, "FETCH");
	if (exists)
		lane->state.messages = reply_number (r);
	if (news && lane->name)
		mark_of (lane->e, lane->name)->changed = TRUE;
	return IMAP_PASSED;
}

/* With NOTIFY events come while no command is open. */
static void
lane_observe (gpointer data, const ImapResponse *r)
{
	WatchLane *lane = data;
	if (!imap_session_current (lane->s))
		lane_hear (lane, r, NULL);
	endpoint_observe (lane->e, r);
}

static gboolean
lane_idle_ended (gpointer data, const ImapAnswer *a, GError **error)
{
	WatchLane *lane = data;
	gboolean at_once = !lane->ending && g_get_monotonic_time () - lane->since < IDLE_SHORT_MS * 1000;
	lane->idling = FALSE;
	imap_session_set_silence (lane->s, -1);
	/* a server that wants none, or ends each at once, is asked by NOOP */
	if (a->outcome != IMAP_OK || at_once)
		lane->e->idle_refused = TRUE;
	return TRUE;
}

static void
lane_send_select (WatchLane *lane)
{
	g_autoptr (GString) text = g_string_new ("EXAMINE ");
	text_add_name (text, lane->name);
	if (imap_session_has_condstore (lane->s))
		g_string_append (text, " (CONDSTORE)");
	lane->state = (FolderState) {0};
	imap_session_send (lane->s, text->str, lane_hear_select, lane_selected, lane);
}

static gboolean
lane_may_idle (const WatchLane *lane)
{
	return imap_session_can (lane->s, "IDLE") && !lane->e->idle_refused && !lane->e->notify_on;
}

static void
lane_send_idle (WatchLane *lane)
{
	while (imap_session_take_continuation (lane->s))
		;
	lane->idling = TRUE;
	lane->ready = lane->ending = FALSE;
	lane->since = g_get_monotonic_time ();
	lane->spoke = clock_ms (CLOCK_BOOTTIME);
	imap_session_send (lane->s, "IDLE", lane_hear, lane_idle_ended, lane);
}

/* Until the server idles, or has refused to. */
static gboolean
lane_await_idle (WatchLane *lane, GError **error)
{
	while (lane->idling && !lane->ready) {
		lane->ready = imap_session_take_continuation (lane->s);
		if (!lane->ready && !imap_sessions_turn (&lane->s, 1, NULL, 0, -1, NULL, error))
			return FALSE;
	}
	if (lane->idling)
		imap_session_set_silence (lane->s, 0);
	return TRUE;
}

static void
lane_send_done (WatchLane *lane)
{
	if (!lane->idling || lane->ending)
		return;
	lane->ending = TRUE;
	imap_session_set_silence (lane->s, MIN (ANSWER_MS, imap_silence_ms));
	net_conn_write (imap_session_conn (lane->s), "DONE\r\n", 6);
}

static gboolean
lane_speak (WatchLane *lane, GError **error)
{
	lane->spoke = clock_ms (CLOCK_BOOTTIME);
	lane_send_done (lane);
	imap_session_set_silence (lane->s, MIN (ANSWER_MS, imap_silence_ms));
	if (!lane_may_idle (lane))
		imap_session_send (lane->s, "NOOP", lane_hear, NULL, lane);
	if (!imap_session_settle (lane->s, 0, error))
		return FALSE;
	imap_session_set_silence (lane->s, -1);
	if (!lane_may_idle (lane))
		return TRUE;
	lane_send_idle (lane);
	return lane_await_idle (lane, error);
}

/* ---- The wait ---- */

static gboolean
notify_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	ImapEndpoint *e = ((WatchLane *) data)->e;
	e->notify_on = a->outcome == IMAP_OK;
	e->notify_refused = !e->notify_on;
	return TRUE;
}

static gboolean
watch_may_notify (const ImapEndpoint *e)
{
	return imap_session_can (e->sessions[0], "NOTIFY") && !e->notify_refused;
}

static void
watch_send_notify (WatchLane *lane)
{
	if (!lane->e->notify_on)
		imap_session_send (lane->s,
		                   "NOTIFY SET STATUS (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))",
		                   lane_hear, notify_answered, lane);
}

static void
watch_add_lane (Watch *w, ImapSession *s, const char *name)
{
	WatchLane *lane = &w->lanes[w->n++];
	*lane = (WatchLane) {.e = w->e, .s = s, .name = name, .spoke = clock_ms (CLOCK_BOOTTIME)};
	imap_session_set_observer (s, lane_observe, lane);
	if (name)
		lane_send_select (lane);
}

static gboolean
watch_begin_idle (Watch *w, const char *const *names, guint n, GError **error)
{
	for (guint i = 1; i < n && lane_may_idle (&w->lanes[0]); i++) {
		ImapSession *s = endpoint_session_further (w->e, i);
		if (!s)
			break;
		watch_add_lane (w, s, names[i]);
	}
	for (guint i = 0; i < w->n; i++)
		if (lane_may_idle (&w->lanes[i]))
			lane_send_idle (&w->lanes[i]);
	for (guint i = 0; i < w->n; i++)
		if (!imap_session_settle (w->lanes[i].s, w->lanes[i].idling ? 1 : 0, error) || !lane_await_idle (&w->lanes[i], error))
			return FALSE;
	return TRUE;
}

static gboolean
watch_begin (Watch *w, const char *const *names, guint n, GError **error)
{
	ImapSession *s = endpoint_session (w->e, error);
	if (!s)
		return FALSE;
	watch_add_lane (w, s, n > 0 ? names[0] : NULL);
	if (watch_may_notify (w->e)) {
		/* Dovecot 2.3 tells of the selected folder within commands only, and of one that is not selected at once */
		imap_session_send (s, imap_session_can (s, "UNSELECT") ? "UNSELECT" : "CLOSE", NULL, NULL, NULL);
		imap_session_note_selected (s, 0, FALSE);
		watch_send_notify (&w->lanes[0]);
		if (!imap_session_settle (s, 0, error))
			return FALSE;
		if (w->e->notify_refused && w->lanes[0].name)
			lane_send_select (&w->lanes[0]);
	}
	if (w->e->notify_on)
		return TRUE;
	/* the caller may have counted on NOTIFY; the folders that no connection idles on are to be looked at soon */
	if (w->e->notify_refused)
		w->deadline = MIN (w->deadline, clock_ms (CLOCK_BOOTTIME) + NOOP_MS);
	return watch_begin_idle (w, names, n, error);
}

static gboolean
watch_has_news (Watch *w)
{
	GHashTableIter it;
	gpointer mark;
	if (w->e->tree_changed || w->woken)
		return TRUE;
	g_hash_table_iter_init (&it, w->e->folder_marks);
	while (g_hash_table_iter_next (&it, NULL, &mark))
		if (((FolderMark *) mark)->changed)
			return TRUE;
	return FALSE;
}

static gint64
lane_pause_ms (const WatchLane *lane)
{
	return lane->idling || lane->e->notify_on ? lane->e->refresh_ms : NOOP_MS;
}

static gboolean
watch_speak (Watch *w, gboolean all, GError **error)
{
	gint64 now = clock_ms (CLOCK_BOOTTIME);
	for (guint i = 0; i < w->n; i++) {
		WatchLane *lane = &w->lanes[i];
		if (!lane->s)
			continue;
		gboolean ended = !lane->idling && lane_may_idle (lane);
		if ((all || ended || now - lane->spoke >= lane_pause_ms (lane)) && !lane_speak (lane, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
watch_turn (Watch *w, GError **error)
{
	ImapSession *sessions[IMAP_CONNECTIONS_LIMIT];
	struct pollfd wake = {w->wake_fd, POLLIN, 0};
	gint64 boot = clock_ms (CLOCK_BOOTTIME), steady = clock_ms (CLOCK_MONOTONIC);
	for (guint i = 0; i < w->n; i++)
		sessions[i] = w->lanes[i].s;
	gint64 left = MAX (w->deadline - boot, 0);
	if (!imap_sessions_turn (sessions, w->n, &wake, w->wake_fd >= 0, (int) MIN (left, SLICE_MS), NULL, error))
		return FALSE;
	w->woken = wake.revents != 0;
	gint64 slept = (clock_ms (CLOCK_BOOTTIME) - boot) - (clock_ms (CLOCK_MONOTONIC) - steady);
	return w->woken || watch_speak (w, slept > SUSPENDED_MS, error);
}

/* A connection that was lost after a long silence: perhaps because of it. */
static void
learn_of_loss (ImapEndpoint *e, const ImapSession *s)
{
	gint64 silent = (g_get_monotonic_time () - imap_session_last_heard (s)) / 1000;
	if (silent > REFRESH_LEAST_MS / 2)
		e->refresh_ms = MAX (REFRESH_LEAST_MS, MIN (e->refresh_ms, silent) / 2);
}

static void
lane_drop (WatchLane *lane)
{
	for (guint i = 0; i < IMAP_CONNECTIONS_LIMIT; i++)
		if (lane->s && lane->e->sessions[i] == lane->s)
			endpoint_session_drop (lane->e, i);
	lane->s = NULL;
}

/* Connections beside the first may go: what they watched is found by the caller's next look. FALSE if @error is something else. */
static gboolean
watch_lose_lanes (Watch *w, const GError *error)
{
	gboolean lost = FALSE;
	for (guint i = 0; i < w->n && error_is (error, ERROR_TEMPORARY); i++) {
		WatchLane *lane = &w->lanes[i];
		if (!lane->s || !imap_session_is_dead (lane->s))
			continue;
		learn_of_loss (w->e, lane->s);
		if (i == 0)
			return FALSE;
		lane_drop (lane);
		lost = TRUE;
	}
	return lost;
}

static gboolean
watch_wait (Watch *w, GError **error)
{
	while (!watch_has_news (w) && clock_ms (CLOCK_BOOTTIME) < w->deadline) {
		g_autoptr (GError) local = NULL;
		if (watch_turn (w, &local) || watch_lose_lanes (w, local))
			continue;
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	return TRUE;
}

/* All connections back to where other commands can be sent. The further ones need not come back. */
static gboolean
watch_end (Watch *w, GError **error)
{
	for (guint i = 0; i < w->n; i++)
		if (w->lanes[i].s)
			lane_send_done (&w->lanes[i]);
	for (guint i = w->n; i > 0; i--) {
		WatchLane *lane = &w->lanes[i - 1];
		if (lane->s && !imap_session_settle (lane->s, 0, i == 1 ? error : NULL) && i == 1)
			return FALSE;
	}
	return TRUE;
}

/* The lanes end here, and open commands know them. */
static void
watch_leave (Watch *w)
{
	for (guint i = 0; i < w->n; i++) {
		WatchLane *lane = &w->lanes[i];
		if (!lane->s)
			continue;
		imap_session_set_observer (lane->s, endpoint_observe, lane->e);
		imap_session_set_silence (lane->s, -1);
		if (imap_session_open_commands (lane->s) > 0)
			lane_drop (lane);
	}
}

static GPtrArray *
take_changed (ImapEndpoint *e)
{
	GPtrArray *changed = g_ptr_array_new_with_free_func (g_free);
	GHashTableIter it;
	gpointer name, mark;
	g_hash_table_iter_init (&it, e->folder_marks);
	while (g_hash_table_iter_next (&it, &name, &mark))
		if (((FolderMark *) mark)->changed) {
			((FolderMark *) mark)->changed = FALSE;
			g_ptr_array_add (changed, g_strdup (name));
		}
	if (!e->tree_changed)
		return changed;
	e->tree_changed = FALSE;
	g_ptr_array_unref (changed);
	return NULL;
}

gboolean
imap_watch (Endpoint *endpoint, const char *const *names, guint n, gint64 timeout_ms, int wake_fd, GPtrArray **changed_out, GError **error)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	Watch w = {.e = e, .wake_fd = wake_fd, .deadline = clock_ms (CLOCK_BOOTTIME) + MAX (timeout_ms, 0)};
	if (!e->refresh_ms)
		e->refresh_ms = REFRESH_FIRST_MS;
	gboolean ok = watch_begin (&w, names, n, error) && watch_wait (&w, error) && watch_end (&w, error);
	watch_leave (&w);
	if (ok)
		*changed_out = take_changed (e);
	return ok;
}
