/* SPDX-License-Identifier: Apache-2.0 */
/* What of a message is searched: its text (with that of messages within it), names of attachments, and the header fields a person
 * knows. */
#include "search-private.h"
#include "mail.h"
#include <string.h>

#define HEADER_MAX 65536u  /* octets of a header that are looked at */
#define HEAD_SIZE (1u << 20)

Doc *
doc_new (void)
{
	Doc *d = g_new0 (Doc, 1);
	for (int i = 0; i < N_COLUMNS; i++)
		d->columns[i] = g_string_new (" ");
	return d;
}

void
doc_free (Doc *d)
{
	if (!d)
		return;
	for (int i = 0; i < N_COLUMNS; i++)
		g_string_free (d->columns[i], TRUE);
	g_free (d);
}

static void
add (Doc *d, int column, const char *text)
{
	if (text)
		words_append (d->columns[column], text);
}

Doc *
doc_of_row (const Message *m)
{
	Doc *d = doc_new ();
	add (d, COLUMN_SUBJECT, m->subject);
	add (d, COLUMN_SENDER, m->sender);
	add (d, COLUMN_RECIPIENTS, m->recipients);
	return d;
}

/* ---- Octets ---- */

typedef struct {
	Store *store;
	const Message *message;
	GBytes *head; /* the first HEAD_SIZE octets */
} Source;

static GBytes *
read_source (gpointer data, guint64 offset, gsize size, GError **error)
{
	Source *src = data;
	gsize have = g_bytes_get_size (src->head);
	if (offset >= src->message->size)
		return g_bytes_new (NULL, 0);
	size = (gsize) MIN (size, src->message->size - offset);
	if (offset + size <= have)
		return g_bytes_new_from_bytes (src->head, (gsize) offset, size);
	return store_read (src->store, src->message->id, offset, size, error);
}

static gboolean
feed (gpointer scanner, const void *octets, gsize size, GError **error)
{
	mail_scanner_feed (scanner, octets, size);
	return TRUE;
}

static MailStructure *
structure_of (const Source *src, GError **error)
{
	const Message *m = src->message;
	MailStructure *known = g_bytes_get_size (m->structure) ? mail_structure_unserialise (m->structure) : NULL;
	if (known)
		return known;
	gsize have;
	const void *octets = g_bytes_get_data (src->head, &have);
	if (have == m->size)
		return mail_scan (octets ? octets : "", have);
	g_autoptr (MailScanner) scanner = mail_scanner_new ();
	return store_stream (src->store, m->id, feed, scanner, error) ? mail_scanner_end (g_steal_pointer (&scanner)) : NULL;
}

static gboolean
source_open (Source *src, Store *s, const Message *m, MailStructure **structure_out, GError **error)
{
	*src = (Source){s, m, store_read (s, m->id, 0, HEAD_SIZE, error)};
	*structure_out = src->head ? structure_of (src, error) : NULL;
	if (!*structure_out)
		g_clear_pointer (&src->head, g_bytes_unref);
	return *structure_out != NULL;
}

/* ---- Header fields ---- */

static const struct {
	const char *name;
	int column;
} fields[] = {
	{"Subject", COLUMN_SUBJECT}, {"From", COLUMN_SENDER}, {"Sender", COLUMN_SENDER}, {"To", COLUMN_RECIPIENTS}, {"Cc", COLUMN_RECIPIENTS},
	{"Bcc", COLUMN_RECIPIENTS}, {"List-Id", COLUMN_RECIPIENTS},
};

static gboolean
add_header (Doc *d, Source *src, const MailPart *p, GError **error)
{
	g_autoptr (GBytes) octets = read_source (src, p->header, (gsize) MIN (p->body - p->header, HEADER_MAX), error);
	if (!octets)
		return FALSE;
	Slice header;
	header.data = g_bytes_get_data (octets, &header.size);
	for (gsize i = 0; header.data && i < G_N_ELEMENTS (fields); i++) {
		Slice value = mail_header_find (header, fields[i].name);
		g_autofree char *text = value.data ? mail_header_decode (value, HEADER_MAX) : NULL;
		add (d, fields[i].column, text);
	}
	return TRUE;
}

/* ---- Documents ---- */

static gboolean
add_text (Doc *d, Source *src, const MailStructure *m, GError **error)
{
	g_autofree char *names = NULL, *text = mail_search_text (m, read_source, src, SEARCH_TEXT_MAX, &names, error);
	add (d, COLUMN_BODY, text);
	add (d, COLUMN_ATTACHMENT, names);
	return text != NULL;
}

static Doc *
doc_of_octets (Store *s, const Message *m, GError **error)
{
	Source src;
	g_autoptr (MailStructure) structure = NULL;
	if (!source_open (&src, s, m, &structure, error))
		return NULL;
	g_autoptr (Doc) d = doc_new ();
	gboolean ok = add_text (d, &src, structure, error) && add_header (d, &src, mail_structure_part (structure, 0), error);
	g_bytes_unref (src.head);
	d->whole = TRUE;
	return ok ? g_steal_pointer (&d) : NULL;
}

Doc *
doc_read (Store *s, const Message *m, GError **error)
{
	g_autoptr (GError) e = NULL;
	Doc *d = doc_of_octets (s, m, &e);
	if (d)
		return d;
	if (!error_is (e, ERROR_CORRUPT)) {
		g_propagate_error (error, g_steal_pointer (&e));
		return NULL;
	}
	g_debug ("message %" G_GINT64_FORMAT " is found by its header only: %s", m->id, e->message);
	d = doc_of_row (m);
	d->whole = TRUE;
	return d;
}

char *
doc_text (Store *s, const Message *m, GError **error)
{
	Source src;
	g_autoptr (MailStructure) structure = NULL;
	if (!source_open (&src, s, m, &structure, error))
		return NULL;
	char *text = mail_search_text (structure, read_source, &src, SEARCH_TEXT_MAX, NULL, error);
	g_bytes_unref (src.head);
	return text;
}

Answer
doc_ask (const Doc *d, const Node *n)
{
	Answer answer = n->type == NODE_AND ? YES : NO;
	switch (n->type) {
	case NODE_AND:
		for (guint i = 0; i < n->children->len && answer != NO; i++)
			answer = MIN (answer, doc_ask (d, n->children->pdata[i]));
		return answer;
	case NODE_OR:
		for (guint i = 0; i < n->children->len && answer != YES; i++)
			answer = MAX (answer, doc_ask (d, n->children->pdata[i]));
		return answer;
	case NODE_NOT:
		return YES - doc_ask (d, n->children->pdata[0]);
	default:
		g_assert (n->type == NODE_TEXT);
		for (int i = 0; i < N_COLUMNS; i++)
			if (n->columns >> i & 1 && strstr (d->columns[i]->str, n->text))
				return YES;
		return d->whole ? NO : MAYBE;
	}
}
