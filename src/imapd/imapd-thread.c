/* SPDX-License-Identifier: Apache-2.0 */
/* THREAD (RFC 5256). Which messages belong together is in the store already, so the header, where the references are, is read of those alone
 * that share a thread with another one of the answer. */
#include "imapd-private.h"
#include "imapd-section.h"
#include "mail-thread.h"
#include <string.h>

#define REFERENCES_MAX 100 /* of a message: the first, and the last ones */

static const struct {
	const char *name;
	gboolean references;
} algorithms[] = {{"ORDEREDSUBJECT", FALSE}, {"REFERENCES", TRUE}};

typedef struct {
	guint32 uid;
	gint64 thread; /* the store's */
} Row;

typedef struct {
	ImapdSession *s;
	Store *store;
	GArray *messages;     /* ThreadMessage, by UID */
	GArray *rows;         /* Row, in step with it */
	GHashTable *members;  /* store's thread -> how many */
	GPtrArray *parents;   /* arrays of borrowed ids, owned */
	GStringChunk *texts;
	guint at;             /* of messages: where the second walk is */
} Threader;

static const char *
keep (Threader *t, const char *text)
{
	return text ? g_string_chunk_insert (t->texts, text) : NULL;
}

static gboolean
add_message (gpointer data, const Listing *l)
{
	Threader *t = data;
	const Message *m = &l->message;
	if (!view_number (t->s->view, l->placement.uid))
		return TRUE;
	ThreadMessage message = {keep (t, m->message_id), NULL, 0, keep (t, m->subject), m->has_sent ? m->sent : m->received};
	Row row = {l->placement.uid, m->thread};
	g_array_append_val (t->messages, message);
	g_array_append_val (t->rows, row);
	gpointer key = GSIZE_TO_POINTER ((gsize) m->thread);
	g_hash_table_insert (t->members, key, GSIZE_TO_POINTER (GPOINTER_TO_SIZE (g_hash_table_lookup (t->members, key)) + 1));
	return TRUE;
}

/* References, or where there are none the first id of In-Reply-To. */
static void
take_parents (Threader *t, ThreadMessage *message, Slice header)
{
	g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (Slice));
	Slice rest = mail_header_find (header, "References"), id;
	while (mail_next_id (&rest, &id)) {
		if (ids->len == REFERENCES_MAX)
			g_array_remove_index (ids, 1);
		g_array_append_val (ids, id);
	}
	rest = mail_header_find (header, "In-Reply-To");
	if (ids->len == 0 && mail_next_id (&rest, &id))
		g_array_append_val (ids, id);
	const char **parents = g_new (const char *, ids->len);
	for (guint i = 0; i < ids->len; i++) {
		id = g_array_index (ids, Slice, i);
		parents[i] = g_string_chunk_insert_len (t->texts, id.data, (gssize) id.size);
	}
	message->parents = parents;
	message->n_parents = ids->len;
	g_ptr_array_add (t->parents, parents);
}

static gboolean
add_parents (gpointer data, const Listing *l)
{
	Threader *t = data;
	while (t->at < t->rows->len && g_array_index (t->rows, Row, t->at).uid < l->placement.uid)
		t->at++;
	if (t->at == t->rows->len || g_array_index (t->rows, Row, t->at).uid != l->placement.uid)
		return TRUE;
	g_auto (Source) source = {.store = t->store, .message = l->placement.message, .size = l->message.size, .kept = l->message.structure};
	g_autoptr (GBytes) header = source_header (&source, NULL); /* of one that can't be read nothing is known */
	gsize size = 0;
	const char *octets = header ? g_bytes_get_data (header, &size) : "";
	take_parents (t, &g_array_index (t->messages, ThreadMessage, t->at), (Slice){octets, size});
	return session_progress (t->s, t->at + 1, t->rows->len);
}

static gboolean
collect (Threader *t, const UidSet *found, gboolean references, GError **error)
{
	g_auto (UidSet) related = UID_SET_INIT;
	gint64 folder = t->s->view->folder;
	if (!list_uids (t->store, folder, found, LISTING_MESSAGE, add_message, t, error))
		return FALSE;
	for (guint i = 0; references && i < t->rows->len; i++) {
		const Row *row = &g_array_index (t->rows, Row, i);
		if (GPOINTER_TO_SIZE (g_hash_table_lookup (t->members, GSIZE_TO_POINTER ((gsize) row->thread))) > 1)
			uid_set_add (&related, row->uid);
	}
	return uid_set_is_empty (&related) || list_uids (t->store, folder, &related, LISTING_STRUCTURE, add_parents, t, error);
}

static guint32
number_of (gpointer data, gint message)
{
	const Threader *t = data;
	guint32 uid = g_array_index (t->rows, Row, message).uid;
	return imap_command_is_uid (t->s->command) ? uid : view_number (t->s->view, uid);
}

static void
thread (Threader *t, const UidSet *found, gboolean references)
{
	GError *error = NULL;
	g_auto (MailThreads) threads = {0};
	if (!collect (t, found, references, &error)) {
		session_fail (t->s, error);
		return;
	}
	const ThreadMessage *messages = (const ThreadMessage *) t->messages->data;
	(references ? mail_thread_by_references : mail_thread_by_subject) (messages, t->messages->len, &threads);
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
	Threader t = {.s = s, .store = store, .messages = g_array_new (FALSE, FALSE, sizeof (ThreadMessage)),
	              .rows = g_array_new (FALSE, FALSE, sizeof (Row)),
	              .members = g_hash_table_new (NULL, NULL), .parents = g_ptr_array_new_with_free_func (g_free),
	              .texts = g_string_chunk_new (65536)};
	thread (&t, &found, algorithms[which].references);
	g_array_unref (t.messages);
	g_array_unref (t.rows);
	g_hash_table_unref (t.members);
	g_ptr_array_unref (t.parents);
	g_string_chunk_free (t.texts);
}
