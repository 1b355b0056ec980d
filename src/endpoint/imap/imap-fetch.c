/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, in blocks from the highest UIDs down. Every connection holds some blocks in flight, so that the server always has work;
 * the blocks come from one queue, so that a slow connection delays nobody. */
#include "imap-private.h"
#include <string.h>
#include <unistd.h>

#define BLOCK_MESSAGES 250
#define MESSAGES_IN_FLIGHT 600
#define COMMANDS_IN_FLIGHT 64
#define FURTHER_MESSAGES 2000 /* from here on further connections pay */
#define DEFLATE_MESSAGES 50
#define SPLITS_LIMIT 64 /* of refused blocks, each request */

typedef struct Transfer Transfer;

typedef struct {
	FetchRequest *r;
	UidSet delivered, failed;
	guint blocks_left, splits;
	gboolean refused; /* the folder can't be opened, or is not what it was */
	gboolean nomodseq; /* the folder has none: to ask for it is refused (RFC 7162 3.1.2.2) */
} Wanted;

typedef struct {
	Transfer *t;
	guint request;
	UidSet uids;
	guint lane; /* session index while in flight */
	guint32 uidvalidity, uidnext;
	gboolean in_flight, asked_modseq;
} Block;

struct Transfer {
	ImapEndpoint *e;
	Wanted *wanted;
	guint n;
	FetchSink sink;
	gpointer data;
	gboolean sink_failed;
	GQueue waiting;    /* Block, next first */
	GPtrArray *blocks; /* Block, all */
	guint left;        /* blocks not yet answered */
	struct {
		ImapSession *s;
		gint selected; /* request last selected by what was sent; -1 none */
		guint messages; /* in flight */
	} lanes[IMAP_CONNECTIONS_LIMIT];
	guint n_lanes;
};

static void
block_free (gpointer data)
{
	Block *b = data;
	uid_set_clear (&b->uids);
	g_free (b);
}

static void
block_take (UidSet *from, UidSet *to, guint left)
{
	while (left > 0 && from->n_ranges > 0) {
		UidRange top = from->ranges[from->n_ranges - 1];
		guint32 lo = top.hi - top.lo < left ? top.lo : top.hi - left + 1;
		g_auto (UidSet) part = UID_SET_INIT;
		uid_set_add_range (&part, lo, top.hi);
		uid_set_remove_set (from, &part);
		uid_set_add_set (to, &part);
		left -= top.hi - lo + 1;
	}
}

/* Moves up to @limit members from the top of @from to a new block. */
static Block *
block_new (Transfer *t, guint request, UidSet *from, guint limit)
{
	Block *b = g_new0 (Block, 1);
	b->t = t;
	b->request = request;
	block_take (from, &b->uids, limit);
	g_ptr_array_add (t->blocks, b);
	t->wanted[request].blocks_left++;
	t->left++;
	return b;
}

static void
transfer_plan_request (Transfer *t, guint request)
{
	Wanted *w = &t->wanted[request];
	g_auto (UidSet) left = UID_SET_INIT;
	uid_set_copy (&left, &w->r->uids);
	uid_set_remove_set (&left, &w->delivered);
	uid_set_remove_set (&left, &w->failed);
	w->blocks_left = 0;
	while (!w->refused && !uid_set_is_empty (&left))
		g_queue_push_tail (&t->waiting, block_new (t, request, &left, BLOCK_MESSAGES));
}

static void
wanted_refuse (Wanted *w)
{
	w->refused = TRUE;
}

static ImapHeard
select_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Block *b = data;
	const char *code = reply_is_status (r) ? reply_code (r) : "";
	if (strcmp (code, "UIDVALIDITY") == 0)
		b->uidvalidity = (guint32) reply_code_number (r);
	else if (strcmp (code, "UIDNEXT") == 0)
		b->uidnext = (guint32) reply_code_number (r);
	else if (strcmp (code, "NOMODSEQ") == 0)
		b->t->wanted[b->request].nomodseq = TRUE;
	else
		return IMAP_PASSED;
	return IMAP_TAKEN;
}

static gboolean
select_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	Block *b = data;
	Wanted *w = &b->t->wanted[b->request];
	if (a->outcome != IMAP_OK) {
		if (!w->r->error)
			imap_answer_fail (a, &w->r->error, "folder '%s' can't be opened", w->r->name);
		wanted_refuse (w);
	} else if (b->uidvalidity != w->r->uidvalidity) {
		if (!w->r->error)
			error_fail (&w->r->error, ERROR_CONFLICT, "folder '%s' is not the one it was: its UIDVALIDITY is %u instead of %u", w->r->name,
			            b->uidvalidity, w->r->uidvalidity);
		wanted_refuse (w);
	} else {
		FolderState state = {.uidnext = b->uidnext, .uidvalidity = b->uidvalidity};
		endpoint_heard (b->t->e, w->r->name, &state); /* more may have come since it was listed, of which nothing else would tell */
	}
	return TRUE;
}

static gboolean
message_deliver (Block *b, const ImapNode *body, FetchedMessage *m, const ImapResponse *r, GError **error)
{
	Transfer *t = b->t;
	date_parse (node_text (fetch_item (r, "INTERNALDATE")), &m->received, &m->zone);
	m->remote_size = node_number (fetch_item (r, "RFC822.SIZE"));
	const ImapNode *id = fetch_item (r, "EMAILID");
	id = id ? node_first (id) : fetch_item (r, "X-GM-MSGID");
	g_autofree char *email_id = id ? slice_dup (node_text (id)) : NULL;
	g_autoptr (GBytes) octets = NULL;
	m->email_id = email_id;
	m->fd = -1;
	if (body->kind == NODE_FILE) {
		m->fd = body->fd;
		m->size = body->size;
		lseek (body->fd, 0, SEEK_SET);
	} else {
		octets = g_bytes_new (body->text.data, body->text.size);
		m->octets = octets;
		m->size = body->text.size;
	}
	t->sink_failed = !t->sink (t->data, m, error);
	return !t->sink_failed;
}

static ImapHeard
block_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Block *b = data;
	Wanted *w = &b->t->wanted[b->request];
	const ImapNode *body = reply_is (r, "FETCH") ? fetch_body (r) : NULL;
	guint32 uid = body ? (guint32) node_number (fetch_item (r, "UID")) : 0;
	if (body && node_count (reply_arg (r, 0)) % 2 != 0) {
		error_fail (error, ERROR_PROTOCOL, "the server's answer for message %u of folder '%s' is garbled", uid, w->r->name);
		return IMAP_FAILED;
	}
	if (!body || w->refused || !uid_set_contains (&b->uids, uid) || uid_set_contains (&w->delivered, uid))
		return IMAP_PASSED;
	FetchedMessage m = {.request = b->request};
	if (node_is_nil (body) || !state_of_fetch (r, &m.state)) {
		uid_set_add (&w->failed, uid);
		if (!w->r->error)
			error_fail (&w->r->error, ERROR_REFUSED, "the server gave no content for message %u of folder '%s'", uid, w->r->name);
		return IMAP_TAKEN;
	}
	/* marked first: whatever the sink says, it has had the message */
	uid_set_add (&w->delivered, uid);
	gboolean ok = message_deliver (b, body, &m, r, error);
	g_free (m.state.keywords);
	return ok ? IMAP_TAKEN : IMAP_FAILED;
}

static void
request_finish (Wanted *w)
{
	uid_set_clear (&w->r->missing);
	w->r->done = !w->refused;
	if (w->refused)
		return;
	uid_set_copy (&w->r->missing, &w->r->uids);
	uid_set_remove_set (&w->r->missing, &w->delivered);
	uid_set_remove_set (&w->r->missing, &w->failed);
}

/* @rest of a block was refused, perhaps for one message's sake: its halves are asked for, too. */
static gboolean
block_split (Block *b, UidSet *rest)
{
	Transfer *t = b->t;
	guint64 n = uid_set_count (rest);
	if (n < 2 || t->wanted[b->request].splits++ >= SPLITS_LIMIT)
		return FALSE;
	Block *upper = block_new (t, b->request, rest, (guint) (n / 2));
	g_queue_push_head (&t->waiting, block_new (t, b->request, rest, BLOCK_MESSAGES));
	g_queue_push_head (&t->waiting, upper);
	return TRUE;
}

static gboolean
block_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	Block *b = data;
	Transfer *t = b->t;
	Wanted *w = &t->wanted[b->request];
	b->in_flight = FALSE;
	t->lanes[b->lane].messages -= (guint) uid_set_count (&b->uids);
	if (a->outcome == IMAP_BAD && b->asked_modseq && w->nomodseq) {
		g_queue_push_head (&t->waiting, b);
		return TRUE;
	}
	t->left--;
	/* RFC 5530: others have removed some meanwhile; the rest was given */
	if (a->outcome != IMAP_OK && !w->refused && strcmp (a->code, "EXPUNGEISSUED") != 0) {
		g_auto (UidSet) rest = UID_SET_INIT;
		uid_set_copy (&rest, &b->uids);
		uid_set_remove_set (&rest, &w->delivered);
		uid_set_remove_set (&rest, &w->failed);
		if (a->outcome != IMAP_NO || !block_split (b, &rest)) {
			uid_set_add_set (&w->failed, &rest);
			if (!w->r->error)
				imap_answer_fail (a, &w->r->error, "some messages of folder '%s' can't be read", w->r->name);
		}
	}
	if (--w->blocks_left == 0)
		request_finish (w);
	return TRUE;
}

static void
block_send (Transfer *t, guint lane, Block *b)
{
	ImapSession *s = t->lanes[lane].s;
	if (t->lanes[lane].selected != (gint) b->request) {
		g_autoptr (GString) select = g_string_new ("EXAMINE ");
		text_add_name (select, t->wanted[b->request].r->name);
		imap_session_send (s, select->str, select_hear, select_answered, b);
		t->lanes[lane].selected = (gint) b->request;
	}
	g_autoptr (GString) text = g_string_new ("UID FETCH ");
	uid_set_format (&b->uids, text);
	b->asked_modseq = imap_session_has_condstore (s) && !t->wanted[b->request].nomodseq;
	g_string_append_printf (text, " (UID FLAGS INTERNALDATE RFC822.SIZE%s%s BODY.PEEK[])", b->asked_modseq ? " MODSEQ" : "",
	                        fetch_id_item (s));
	imap_session_send (s, text->str, block_hear, block_answered, b);
	b->lane = lane;
	b->in_flight = TRUE;
	t->lanes[lane].messages += (guint) uid_set_count (&b->uids);
}

static void
transfer_fill (Transfer *t)
{
	for (guint i = 0; i < t->n_lanes; i++)
		while (!g_queue_is_empty (&t->waiting) && t->lanes[i].s && t->lanes[i].messages < MESSAGES_IN_FLIGHT &&
		       imap_session_open_commands (t->lanes[i].s) < COMMANDS_IN_FLIGHT)
			block_send (t, i, g_queue_pop_head (&t->waiting));
}

/* A further connection failed: its blocks go back, the others carry on. FALSE if it was not that. */
static gboolean
transfer_lose_lanes (Transfer *t, const GError *error)
{
	gboolean lost = FALSE;
	if (t->sink_failed || !error_is (error, ERROR_TEMPORARY) || imap_session_is_dead (t->lanes[0].s))
		return FALSE;
	for (guint i = 1; i < t->n_lanes; i++) {
		if (!t->lanes[i].s || !imap_session_is_dead (t->lanes[i].s))
			continue;
		for (guint k = 0; k < t->blocks->len; k++) {
			Block *b = t->blocks->pdata[k];
			if (b->in_flight && b->lane == i) {
				b->in_flight = FALSE;
				g_queue_push_tail (&t->waiting, b);
			}
		}
		t->lanes[i].s = NULL;
		endpoint_session_drop (t->e, i);
		lost = TRUE;
	}
	return lost;
}

static gboolean
transfer_run (Transfer *t, GError **error)
{
	while (t->left > 0) {
		ImapSession *sessions[IMAP_CONNECTIONS_LIMIT];
		g_autoptr (GError) local = NULL;
		transfer_fill (t);
		for (guint i = 0; i < t->n_lanes; i++)
			sessions[i] = t->lanes[i].s;
		if (imap_sessions_turn (sessions, t->n_lanes, NULL, 0, -1, NULL, &local) || transfer_lose_lanes (t, local))
			continue;
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	return TRUE;
}

static gboolean
transfer_open_lanes (Transfer *t, GError **error)
{
	guint64 messages = 0;
	for (guint i = 0; i < t->blocks->len; i++)
		messages += uid_set_count (&((Block *) t->blocks->pdata[i])->uids);
	ImapSession *s = endpoint_session (t->e, error);
	if (!s)
		return FALSE;
	gboolean further = messages > FURTHER_MESSAGES && t->e->settings.far;
	do {
		if (t->e->settings.far && messages > DEFLATE_MESSAGES && !imap_session_start_deflate (s, error))
			return FALSE;
		t->lanes[t->n_lanes].s = s;
		t->lanes[t->n_lanes++].selected = -1;
	} while (further && (s = endpoint_session_further (t->e, t->n_lanes)));
	return TRUE;
}

static gboolean
fetch_once (Transfer *t, GError **error)
{
	t->blocks = g_ptr_array_new_with_free_func (block_free);
	g_queue_init (&t->waiting);
	t->left = t->n_lanes = 0;
	memset (t->lanes, 0, sizeof t->lanes);
	for (guint i = 0; i < t->n; i++)
		transfer_plan_request (t, i);
	gboolean ok = t->left == 0 || (transfer_open_lanes (t, error) && transfer_run (t, error));
	if (!ok) /* commands in flight point at the blocks */
		for (guint i = 0; i < t->n_lanes; i++)
			endpoint_session_drop (t->e, i);
	g_queue_clear (&t->waiting);
	g_clear_pointer (&t->blocks, g_ptr_array_unref);
	return ok;
}

static guint64
transfer_delivered (const Transfer *t)
{
	guint64 n = 0;
	for (guint i = 0; i < t->n; i++)
		n += uid_set_count (&t->wanted[i].delivered);
	return n;
}

gboolean
imap_fetch (Endpoint *endpoint, FetchRequest *requests, guint n, FetchSink sink, gpointer data, GError **error)
{
	g_autofree Wanted *wanted = g_new0 (Wanted, MAX (n, 1));
	Transfer t = {.e = (ImapEndpoint *) endpoint, .wanted = wanted, .n = n, .sink = sink, .data = data};
	g_autoptr (GError) local = NULL;
	for (guint i = 0; i < n; i++)
		wanted[i].r = &requests[i];
	gboolean ok = TRUE;
	guint64 before = 0;
	for (guint tries = 0; ok && !fetch_once (&t, &local);) {
		/* a bad line may break often in a long transfer: what counts is whether it gets on */
		guint64 now = transfer_delivered (&t);
		tries = now > before ? 0 : tries;
		before = now;
		ok = !t.sink_failed && endpoint_retry (t.e, &tries, &local);
	}
	for (guint i = 0; i < n; i++) {
		if (ok)
			request_finish (&wanted[i]);
		uid_set_clear (&wanted[i].delivered);
		uid_set_clear (&wanted[i].failed);
	}
	if (!ok)
		g_propagate_error (error, g_steal_pointer (&local));
	return ok;
}
