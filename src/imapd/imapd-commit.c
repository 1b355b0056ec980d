/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of messages, by any session of a mailbox. Whoever finds nobody committing commits for all who wait for that,
 * in one transaction and on the one connection that is kept for writing: one commit makes many changes durable, pages
 * that were just written need not be read again, and nobody waits for more company than there is. */
#include "imapd-private.h"

#define TOGETHER 100                /* changes in one transaction */
#define TOGETHER_OCTETS (16u << 20) /* what they add, more or less */

struct CommitQueue {
	GMutex lock; /* guards what follows */
	GCond done;
	GQueue waiting; /* Change */
	gboolean busy;  /* one of those who wait commits, now */
};

typedef struct {
	ChangeFn fn;
	gpointer data;
	guint64 octets;
	guint64 from, to; /* numbers of the sequence that it took; from > to: none */
	GError *error;
	gboolean done;
} Change;

CommitQueue *
commit_queue_new (void)
{
	CommitQueue *q = g_new0 (CommitQueue, 1);
	g_mutex_init (&q->lock);
	g_cond_init (&q->done);
	g_queue_init (&q->waiting);
	return q;
}

void
commit_queue_free (CommitQueue *q)
{
	g_assert (g_queue_is_empty (&q->waiting) && !q->busy);
	g_cond_clear (&q->done);
	g_mutex_clear (&q->lock);
	g_free (q);
}

static gboolean
run_changes (Store *s, GPtrArray *changes, GError **error)
{
	gboolean ok = store_begin (s, error);
	for (guint i = 0; ok && i < changes->len; i++) {
		Change *c = changes->pdata[i];
		c->from = store_modseq (s) + 1;
		ok = c->fn (s, c->data, error);
		c->to = store_modseq (s);
	}
	ok = ok && store_commit (s, error);
	store_rollback (s);
	return ok;
}

static void
fail_all (GPtrArray *changes, const GError *error)
{
	for (guint i = 0; i < changes->len; i++)
		((Change *)changes->pdata[i])->error = g_error_copy (error);
}

/* If one can't be made, the others don't suffer for it; but whoever else writes holds up all of them. */
static void
commit_changes (Store *s, GPtrArray *changes)
{
	g_autoptr (GError) error = NULL;
	if (run_changes (s, changes, &error))
		return;
	if (changes->len == 1 || error_is (error, ERROR_TEMPORARY)) {
		fail_all (changes, error);
		return;
	}
	for (guint i = 0; i < changes->len; i++) {
		Change *c = changes->pdata[i];
		g_autoptr (GPtrArray) alone = g_ptr_array_new ();
		g_ptr_array_add (alone, c);
		run_changes (s, alone, &c->error);
	}
}

/* With the lock, which it leaves meanwhile. */
static void
commit_waiting (CommitQueue *q, ImapdMailbox *m)
{
	g_autoptr (GPtrArray) changes = g_ptr_array_new ();
	g_autoptr (GError) error = NULL;
	guint64 octets = 0;
	while (changes->len < TOGETHER && octets < TOGETHER_OCTETS && !g_queue_is_empty (&q->waiting)) {
		Change *c = g_queue_pop_head (&q->waiting);
		octets += c->octets;
		g_ptr_array_add (changes, c);
	}
	q->busy = TRUE;
	g_mutex_unlock (&q->lock);
	Store *writer = mailbox_take_writer (m, &error);
	if (writer)
		commit_changes (writer, changes);
	else
		fail_all (changes, error);
	mailbox_give_writer (m, writer);
	g_mutex_lock (&q->lock);
	q->busy = FALSE;
	for (guint i = 0; i < changes->len; i++)
		((Change *)changes->pdata[i])->done = TRUE;
	g_cond_broadcast (&q->done);
}

gboolean
session_change (ImapdSession *s, guint64 octets, ChangeFn fn, gpointer data)
{
	CommitQueue *q = mailbox_commits (s->mailbox);
	Change c = {.fn = fn, .data = data, .octets = octets};
	g_mutex_lock (&q->lock);
	g_queue_push_tail (&q->waiting, &c);
	while (!c.done) {
		if (q->busy)
			g_cond_wait (&q->done, &q->lock);
		else
			commit_waiting (q, s->mailbox);
	}
	g_mutex_unlock (&q->lock);
	if (c.error)
		return session_fail (s, c.error);
	s->own_from = c.from;
	s->own_to = c.to;
	if (c.to >= c.from)
		mailbox_changed (s->mailbox);
	return TRUE;
}
