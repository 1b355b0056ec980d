/* SPDX-License-Identifier: Apache-2.0 */
/* THREAD (RFC 5256). Which messages belong together is in the store already, so the header, where the references are,
 * is read of those alone that share a thread with another one of the answer, once (imapd-keys.c). */
#include "imapd-keys.h"
#include "mail-thread.h"
#include <string.h>

static const struct {
	const char *name;
	gboolean references;
} algorithms[] = {{"ORDEREDSUBJECT", FALSE}, {"REFERENCES", TRUE}};

#define BY_SUBJECT (1u << KEY_SUBJECT | 1u << KEY_DATE)
#define BY_REFERENCES (BY_SUBJECT | 1u << KEY_REPLY | 1u << KEY_ID)

typedef struct {
	ImapdSession *s;
	gboolean references;
	GArray *messages; /* ThreadMessage, by UID */
	GArray *uids;     /* guint32, in step with it */
	GArray *parents;  /* guint64, of all of them */
} Threader;

static void
add_message (gpointer data, const Keys *k, guint32 uid, guint row)
{
	Threader *t = data;
	ThreadMessage m = {.subject = keys_get (k, KEY_SUBJECT, row).text, .sent = keys_get (k, KEY_DATE, row).number};
	if (t->references) {
		const guint64 *parents = keys_parents (k, row, &m.n_parents);
		m.id = (guint64) keys_get (k, KEY_ID, row).number;
		m.reply = keys_get (k, KEY_REPLY, row).number != 0;
		g_array_append_vals (t->parents, parents, m.n_parents);
	}
	g_array_append_val (t->messages, m);
	g_array_append_val (t->uids, uid);
}

/* Now that they are all there. */
static void
set_parents (Threader *t)
{
	const guint64 *at = (const guint64 *) t->parents->data;
	for (guint i = 0; i < t->messages->len; i++) {
		ThreadMessage *m = &g_array_index (t->messages, ThreadMessage, i);
		m->parents = at;
		at += m->n_parents;
	}
}

static guint32
number_of (gpointer data, gint message)
{
	const Threader *t = data;
	guint32 uid = g_array_index (t->uids, guint32, message);
	return imap_command_is_uid (t->s->command) ? uid : view_number (t->s->view, uid);
}

static void
thread (Threader *t, Store *store, const UidSet *found)
{
	guint wanted = t->references ? BY_REFERENCES : BY_SUBJECT;
	g_auto (MailThreads) threads = {0};
	g_autoptr (Keys) keys = keys_take (t->s, store, found, wanted, t->references);
	if (!keys)
		return;
	keys_each (keys, t->s, found, wanted, add_message, t);
	set_parents (t);
	const ThreadMessage *messages = (const ThreadMessage *) t->messages->data;
	(t->references ? mail_thread_by_references : mail_thread_by_subject) (messages, t->messages->len, &threads);
	g_string_append (t->s->out.text, t->messages->len ? "* THREAD " : "* THREAD");
	mail_threads_write (&threads, number_of, t, t->s->out.text);
	g_string_append (t->s->out.text, "\r\n");
}

void
run_thread (ImapdSession *s)
{
	const ImapNode *at = imap_command_arg (s->command, 0);
	g_auto (UidSet) found = {0};
	guint64 modseq = 0;
	gsize which = 0;
	Store *store = session_store (s);
	if (!store)
		return;
	while (which < G_N_ELEMENTS (algorithms) && !(at && node_is_word (at, algorithms[which].name)))
		which++;
	if (which == G_N_ELEMENTS (algorithms)) {
		session_bad (s, "THREAD wants REFERENCES or ORDEREDSUBJECT");
		return;
	}
	at = node_next (at);
	if (!at) {
		session_bad (s, "THREAD wants a character set and what to search");
		return;
	}
	if (!search_check_charset (s, at) || !search_find (s, store, node_next (at), &found, &modseq))
		return;
	Threader t = {.s = s, .references = algorithms[which].references, .messages = g_array_new (FALSE, FALSE, sizeof (ThreadMessage)),
		      .uids = g_array_new (FALSE, FALSE, sizeof (guint32)), .parents = g_array_new (FALSE, FALSE, sizeof (guint64))};
	thread (&t, store, &found);
	g_array_unref (t.messages);
	g_array_unref (t.uids);
	g_array_unref (t.parents);
}
