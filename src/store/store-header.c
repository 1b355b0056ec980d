/* SPDX-License-Identifier: Apache-2.0 */
/* What listing, threading and evidence need from a message's header. A broken message gives fewer fields, never an error. */
#include "store-private.h"
#include <string.h>

#define TEXT_MAX 4096u
#define ID_MAX 998u
#define HEAD_MAX CHUNK_SIZE

typedef enum { FROM, TO, CC, DATE, SUBJECT, MESSAGE_ID, REFERENCES, IN_REPLY_TO, N_FIELDS } Field;

static const char *const names[N_FIELDS] = {"from", "to", "cc", "date", "subject", "message-id", "references", "in-reply-to"};
static const Field evidence[] = {FROM, TO, DATE, SUBJECT, MESSAGE_ID};

/* TRUE: CR alone ends lines here. */
static gboolean
read_fields (const char *head, gsize size, gboolean wire, Slice fields[N_FIELDS])
{
	return mail_header_find_all ((Slice){head, MIN (size, (gsize) HEAD_MAX)}, wire, names, fields, N_FIELDS);
}

static guint64
digest_64 (const void *data, gsize size)
{
	guint8 digest[DIGEST_SIZE];
	guint64 n;
	digest_of (data, size, digest);
	memcpy (&n, digest, sizeof n);
	return GUINT64_FROM_BE (n);
}

static guint64
evidence_digest (const Slice fields[N_FIELDS])
{
	g_autoptr (GString) text = g_string_sized_new (512);
	for (gsize i = 0; i < G_N_ELEMENTS (evidence); i++) {
		if (!fields[evidence[i]].data)
			continue;
		g_string_append (text, names[evidence[i]]);
		g_string_append_c (text, ':');
		mail_header_unfold (text, fields[evidence[i]]);
		g_string_append_c (text, '\n');
	}
	return digest_64 (text->str, text->len);
}

guint64
message_evidence_digest (const void *header, gsize size)
{
	Slice fields[N_FIELDS];
	read_fields (header, size, TRUE, fields);
	return evidence_digest (fields);
}

static char *
display_text (Slice value)
{
	return value.data ? mail_header_decode (value, TEXT_MAX) : NULL;
}

static void
add_key (Prepared *p, Slice id)
{
	gint64 key = (gint64) digest_64 (id.data, id.size);
	for (guint i = 0; i < p->n_thread_keys; i++)
		if (p->thread_keys[i] == key)
			return;
	if (p->n_thread_keys == THREAD_KEYS_MAX) { /* the last ids are the nearest relatives; the first is the message's own */
		memmove (p->thread_keys + 1, p->thread_keys + 2, (THREAD_KEYS_MAX - 2) * sizeof *p->thread_keys);
		p->n_thread_keys--;
	}
	p->thread_keys[p->n_thread_keys++] = key;
}

static void
scan_ids (Prepared *p, const Slice fields[N_FIELDS])
{
	Slice rest = fields[MESSAGE_ID], id;
	if (mail_next_id (&rest, &id))
		add_key (p, id);
	rest = fields[REFERENCES];
	while (mail_next_id (&rest, &id))
		add_key (p, id);
	rest = fields[IN_REPLY_TO];
	while (mail_next_id (&rest, &id))
		add_key (p, id);
}

/* What is compared with the words of a server, from the fields as it sees them. */
static void
scan_evidence (Prepared *p, const Slice fields[N_FIELDS])
{
	Slice rest = fields[MESSAGE_ID], id;
	p->digest = evidence_digest (fields);
	if (mail_next_id (&rest, &id))
		p->message_id = slice_to_utf8 (id, ID_MAX);
}

void
prepared_scan (Prepared *p, const char *head, gsize size)
{
	Slice fields[N_FIELDS];
	gboolean cr = read_fields (head, size, FALSE, fields);
	p->subject = display_text (fields[SUBJECT]);
	p->sender = display_text (fields[FROM]);
	g_autofree char *to = display_text (fields[TO]), *cc = display_text (fields[CC]);
	p->recipients = to && cc ? g_strconcat (to, ", ", cc, NULL) : g_strdup (to ? to : cc);
	p->has_sent = mail_date_parse (fields[DATE], &p->sent, NULL);
	scan_ids (p, fields);
	if (cr)
		read_fields (head, size, TRUE, fields);
	scan_evidence (p, fields);
}

void
prepared_set_structure (Prepared *p, MailScanner *scanner)
{
	g_autoptr (MailStructure) structure = mail_scanner_end (scanner);
	p->structure = mail_structure_serialise (structure);
	p->attachment = mail_structure_has_attachment (structure);
}
