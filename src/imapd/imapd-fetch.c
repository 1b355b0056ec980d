/* SPDX-License-Identifier: Apache-2.0 */
/* FETCH (RFC 9051 section 6.4.5). Rows are read in batches, so that a client which takes its time holds no moment of the store; octets
 * are read and sent a piece at a time. */
#include "imapd-private.h"
#include "imapd-section.h"
#include "mail-imap.h"
#include <string.h>

#define ITEMS_MAX 100
#define BATCH 200
#define PIECE (256u << 10)
#define PREVIEW_CHARACTERS 200
#define PREVIEW_READ 2000 /* octets of text that these are taken from */

typedef enum {
	ITEM_UID,
	ITEM_FLAGS,
	ITEM_MODSEQ,
	ITEM_INTERNALDATE,
	ITEM_SAVEDATE,
	ITEM_SIZE,
	ITEM_ENVELOPE,
	ITEM_BODY,
	ITEM_BODYSTRUCTURE,
	ITEM_EMAILID,
	ITEM_THREADID,
	ITEM_PREVIEW,
	ITEM_SECTION, /* BODY[...] */
	ITEM_BINARY, /* BINARY[...] (RFC 3516): the transfer encoding undone */
	ITEM_BINARY_SIZE,
	ITEM_RFC822,  /* RFC 3501: RFC822, RFC822.HEADER, RFC822.TEXT */
} ItemKind;

typedef struct {
	ItemKind kind;
	const char *name;
	Section section;
} Item;

static void
item_done (Item *i)
{
	section_clear (&i->section);
}

typedef struct {
	ImapdSession *s;
	Store *store;
	GArray *items; /* of Item */
	ListingDepth depth;
	gboolean sees; /* sets \Seen */
	guint64 since; /* CHANGEDSINCE; 0: all */
	gboolean vanished;
	gint64 from, to; /* PARTIAL; 0: all */
	UidSet seen;   /* those that got \Seen by this command */
	gboolean uid, flags, modseq; /* are among the items */
	guint64 found;
} Fetch;

static void
fetch_clear (Fetch *f)
{
	g_clear_pointer (&f->items, g_array_unref);
	uid_set_clear (&f->seen);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fetch, fetch_clear)

/* ---- Arguments ---- */

static const struct {
	const char *word;
	ItemKind kind;
	ListingDepth depth;
} words[] = {
	{"UID", ITEM_UID, LISTING_PLACEMENT},
	{"FLAGS", ITEM_FLAGS, LISTING_PLACEMENT},
	{"MODSEQ", ITEM_MODSEQ, LISTING_PLACEMENT},
	{"INTERNALDATE", ITEM_INTERNALDATE, LISTING_MESSAGE},
	{"SAVEDATE", ITEM_SAVEDATE, LISTING_PLACEMENT},
	{"RFC822.SIZE", ITEM_SIZE, LISTING_MESSAGE},
	{"EMAILID", ITEM_EMAILID, LISTING_MESSAGE},
	{"THREADID", ITEM_THREADID, LISTING_MESSAGE},
	{"PREVIEW", ITEM_PREVIEW, LISTING_STRUCTURE},
	{"ENVELOPE", ITEM_ENVELOPE, LISTING_STRUCTURE},
	{"BODY", ITEM_BODY, LISTING_STRUCTURE},
	{"BODYSTRUCTURE", ITEM_BODYSTRUCTURE, LISTING_STRUCTURE},
};

static void
add_item (Fetch *f, Item item, ListingDepth depth)
{
	g_array_append_val (f->items, item);
	f->depth = MAX (f->depth, depth);
	f->uid |= item.kind == ITEM_UID;
	f->flags |= item.kind == ITEM_FLAGS;
	f->modseq |= item.kind == ITEM_MODSEQ;
}

static gboolean
add_rfc822 (Fetch *f, const ImapNode *n)
{
	static const struct {
		const char *word;
		SectionText text;
	} old[] = {{"RFC822", SECTION_ALL}, {"RFC822.HEADER", SECTION_HEADER}, {"RFC822.TEXT", SECTION_TEXT}};
	for (guint i = 0; i < G_N_ELEMENTS (old); i++)
		if (node_is_word (n, old[i].word)) {
			Item item = {.kind = ITEM_RFC822, .name = old[i].word, .section = {.part = g_strdup (""), .text = old[i].text}};
			add_item (f, item, LISTING_STRUCTURE);
			f->sees |= old[i].text != SECTION_HEADER;
			return TRUE;
		}
	return FALSE;
}

static const struct {
	const char *stem, *name;
	ItemKind kind;
	gboolean sees;
} sections[] = {
	{"BODY", "BODY", ITEM_SECTION, TRUE},       {"BODY.PEEK", "BODY", ITEM_SECTION, FALSE},
	{"BINARY", "BINARY", ITEM_BINARY, TRUE},    {"BINARY.PEEK", "BINARY", ITEM_BINARY, FALSE},
	{"BINARY.SIZE", "BINARY.SIZE", ITEM_BINARY_SIZE, FALSE},
};

static gboolean
add_section (Fetch *f, const ImapNode *n)
{
	guint i = 0;
	while (i < G_N_ELEMENTS (sections) && !slice_equals_ascii_case (node_stem (n), sections[i].stem))
		i++;
	if (i == G_N_ELEMENTS (sections))
		return FALSE;
	Item item = {.kind = sections[i].kind, .name = sections[i].name};
	gboolean ok = section_parse (n, &item.section) && (item.kind == ITEM_SECTION || item.section.text == SECTION_ALL) &&
	              (item.kind != ITEM_BINARY_SIZE || !item.section.partial);
	if (!ok) {
		item_done (&item);
		return FALSE;
	}
	f->sees |= sections[i].sees;
	/* All of a message needs no structure. */
	add_item (f, item, *item.section.part || item.section.text != SECTION_ALL ? LISTING_STRUCTURE : LISTING_MESSAGE);
	return TRUE;
}

static gboolean
take_item (Fetch *f, const ImapNode *n)
{
	if (f->items->len == ITEMS_MAX)
		return session_bad (f->s, "too many items");
	for (guint i = 0; i < G_N_ELEMENTS (words); i++)
		if (!node_has_section (n) && node_is_word (n, words[i].word)) {
			add_item (f, (Item){.kind = words[i].kind, .name = words[i].word}, words[i].depth);
			return TRUE;
		}
	if (node_has_section (n) ? add_section (f, n) : add_rfc822 (f, n))
		return TRUE;
	g_autofree char *word = slice_to_utf8 (node_text (n), 80);
	return session_bad (f->s, "an unknown item: %s", word);
}

static gboolean
take_macro (Fetch *f, const ImapNode *n)
{
	static const struct {
		const char *word;
		guint n; /* of the kinds below */
	} macros[] = {{"FAST", 3}, {"ALL", 4}, {"FULL", 5}};
	static const ItemKind kinds[] = {ITEM_FLAGS, ITEM_INTERNALDATE, ITEM_SIZE, ITEM_ENVELOPE, ITEM_BODY};
	for (guint i = 0; i < G_N_ELEMENTS (macros); i++) {
		if (!node_is_word (n, macros[i].word))
			continue;
		for (guint k = 0; k < macros[i].n; k++)
			for (guint w = 0; w < G_N_ELEMENTS (words); w++)
				if (words[w].kind == kinds[k])
					add_item (f, (Item){.kind = kinds[k], .name = words[w].word}, words[w].depth);
		return TRUE;
	}
	return FALSE;
}

static gboolean
take_modifiers (Fetch *f, const ImapNode *list)
{
	if (list && (list->kind != NODE_LIST || node_next (list)))
		return session_bad (f->s, "a list of modifiers is all that may follow the items");
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (node_is_word (n, "CHANGEDSINCE")) {
			n = node_next (n);
			if (!slice_to_number (node_text (n), &f->since) || f->since > G_MAXINT64)
				return session_bad (f->s, "CHANGEDSINCE wants a number of the change sequence");
			session_use_condstore (f->s);
			if (!f->modseq)
				add_item (f, (Item){.kind = ITEM_MODSEQ, .name = "MODSEQ"}, LISTING_PLACEMENT);
		} else if (node_is_word (n, "PARTIAL") && node_next (n) && imap_partial_parse (node_text (node_next (n)), &f->from, &f->to))
			n = node_next (n);
		else if (node_is_word (n, "VANISHED"))
			f->vanished = TRUE;
		else
			return session_bad (f->s, "an unknown modifier of FETCH");
	}
	if (f->vanished && (!f->s->qresync || !f->since || !imap_command_is_uid (f->s->command)))
		return session_bad (f->s, "VANISHED wants QRESYNC, UID FETCH and CHANGEDSINCE");
	return TRUE;
}

static gboolean
take_fetch (Fetch *f)
{
	const ImapNode *n = imap_command_arg (f->s->command, 1);
	if (!n)
		return session_bad (f->s, "items are expected");
	if (n->kind == NODE_LIST) {
		for (const ImapNode *item = node_first (n); item; item = node_next (item)) {
			if (!take_item (f, item))
				return FALSE;
			const ImapNode *lazy = node_is_word (item, "PREVIEW") ? node_next (item) : NULL;
			if (lazy && lazy->kind == NODE_LIST && node_is_word (node_first (lazy), "LAZY"))
				item = lazy; /* it is never so slow that leaving it out would help */
		}
	} else if (!take_macro (f, n) && !take_item (f, n))
		return FALSE;
	if (!take_modifiers (f, node_next (n)))
		return FALSE;
	if (f->modseq)
		session_use_condstore (f->s);
	if (!f->uid && imap_command_is_uid (f->s->command) && !f->s->uidonly)
		g_array_prepend_val (f->items, ((Item){.kind = ITEM_UID, .name = "UID"}));
	return f->items->len > 0 || session_bad (f->s, "items are expected");
}

/* ---- Writing ---- */

/* What mail-imap.h appends is a value like others. */
static void
write_appended (ImapWriter *w, const GString *text)
{
	g_string_append_c (w->text, ' ');
	g_string_append_len (w->text, text->str, (gssize) text->len);
}

static gboolean
write_envelope (Fetch *f, Source *source, GError **error)
{
	g_autoptr (GString) text = g_string_new (NULL);
	g_autoptr (GBytes) header = source_header (source, error);
	gsize size;
	if (!header)
		return FALSE;
	const char *octets = g_bytes_get_data (header, &size);
	mail_imap_envelope (text, (Slice){octets ? octets : "", size});
	imap_write_word (&f->s->out, "ENVELOPE");
	write_appended (&f->s->out, text);
	return TRUE;
}

static gboolean
write_structure (Fetch *f, const Item *item, Source *source, GError **error)
{
	g_autoptr (GString) text = g_string_new (NULL);
	const MailStructure *m = source_structure (source, error);
	if (!m || !mail_imap_body (text, m, item->kind == ITEM_BODYSTRUCTURE, source_read, source, error))
		return FALSE;
	imap_write_word (&f->s->out, item->name);
	write_appended (&f->s->out, text);
	return TRUE;
}

/* The literal is announced before it is read: octets that can't be read then end the connection, since the client counts. */
static gboolean
write_range (Fetch *f, Source *source, guint64 from, guint64 to, GError **error)
{
	imap_write_literal (&f->s->out, to - from, FALSE);
	while (from < to && !session_is_dead (f->s)) {
		gsize size = (gsize) MIN (to - from, (guint64) PIECE);
		g_autoptr (GBytes) piece = store_read (f->store, source->message, from, size, error);
		if (!piece)
			return FALSE;
		g_string_append_len (f->s->out.text, g_bytes_get_data (piece, NULL), (gssize) g_bytes_get_size (piece));
		from += size;
		session_flush (f->s, FALSE);
	}
	return TRUE;
}

static void
write_section_name (Fetch *f, const Item *item)
{
	char partial[16];
	const Section *sec = &item->section;
	g_snprintf (partial, sizeof partial, "%u", sec->from);
	if (item->kind == ITEM_RFC822)
		imap_write_word (&f->s->out, item->name);
	else
		imap_write_section (&f->s->out, item->name, sec->part, section_text (sec), (const char *const *) sec->fields,
		                    sec->partial ? partial : NULL);
}

static gboolean
write_section (Fetch *f, const Item *item, Source *source, GError **error)
{
	const Section *sec = &item->section;
	guint64 from, to;
	g_autoptr (GBytes) made = NULL;
	gboolean found;
	if (!section_find (sec, source, &from, &to, &made, &found, error))
		return FALSE;
	if (made)
		to = g_bytes_get_size (made);
	if (sec->partial) {
		from = MIN (from + sec->from, to);
		to = MIN (from + sec->size, to);
	}
	/* What is to be sent first is read first: the usual damage is told before a literal is announced. */
	g_autoptr (GBytes) first = found && !made && to > from ? store_read (f->store, source->message, from, 1, error) : NULL;
	if (found && !made && to > from && !first)
		return FALSE;
	write_section_name (f, item);
	if (!found)
		imap_write_nil (&f->s->out);
	else if (made) {
		const char *octets = g_bytes_get_data (made, NULL);
		imap_write_literal (&f->s->out, to - from, FALSE);
		g_string_append_len (f->s->out.text, octets + from, (gssize) (to - from));
	} else if (!write_range (f, source, from, to, error)) {
		imapd_session_bye (f->s, "the message can't be read to its end");
		return FALSE;
	}
	return TRUE;
}

/* The beginning of what a person reads, on one line (RFC 8970). */
static gboolean
write_preview (Fetch *f, Source *source, GError **error)
{
	const MailStructure *m = source_structure (source, error);
	g_autofree char *text = m ? mail_text (m, source_read, source, PREVIEW_READ, error) : NULL;
	g_autoptr (GString) line = g_string_new (NULL);
	if (!text)
		return FALSE;
	glong characters = 0;
	for (const char *c = text; *c && characters < PREVIEW_CHARACTERS; c = g_utf8_next_char (c)) {
		gunichar u = g_utf8_get_char (c);
		gboolean blank = g_unichar_isspace (u) || g_unichar_iscntrl (u);
		if (blank && (line->len == 0 || line->str[line->len - 1] == ' '))
			continue;
		g_string_append_unichar (line, blank ? ' ' : u);
		characters++;
	}
	imap_write_word (&f->s->out, "PREVIEW");
	imap_write_string (&f->s->out, (Slice){line->str, line->len});
	return TRUE;
}

/* ---- BINARY ---- */

typedef struct {
	Fetch *f;
	guint64 at, from, to; /* of the decoded octets: those seen, and which are wanted */
	gboolean nul;
} Decoded;

static gboolean
count_decoded (gpointer data, const void *octets, gsize size, GError **error)
{
	Decoded *d = data;
	d->at += size;
	d->nul |= memchr (octets, '\0', size) != NULL;
	return TRUE;
}

static gboolean
send_decoded (gpointer data, const void *octets, gsize size, GError **error)
{
	Decoded *d = data;
	guint64 start = MAX (d->at, d->from), end = MIN (d->at + size, d->to);
	if (start < end)
		g_string_append_len (d->f->s->out.text, (const char *) octets + (start - d->at), (gssize) (end - start));
	d->at += size;
	session_flush (d->f->s, FALSE);
	return !session_is_dead (d->f->s) || error_fail (error, ERROR_CANCELLED, "the client is gone");
}

static gboolean
is_known_encoding (const char *encoding)
{
	static const char *const known[] = {"7bit", "8bit", "binary", "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", NULL};
	return g_strv_contains (known, encoding);
}

/* Decoded twice, first for the size, so that memory does not grow with it. */
static gboolean
write_decoded (Fetch *f, const Item *item, Source *source, const MailPart *p, GError **error)
{
	const Section *sec = &item->section;
	Decoded d = {.f = f};
	if (!is_known_encoding (p->encoding))
		return error_fail (error, ERROR_REFUSED, "the part's encoding %s is unknown", p->encoding);
	if (!mail_part_stream (p, source_read, source, count_decoded, &d, error))
		return FALSE;
	write_section_name (f, item);
	if (item->kind == ITEM_BINARY_SIZE) {
		imap_write_number (&f->s->out, d.at);
		return TRUE;
	}
	d.from = sec->partial ? MIN (sec->from, d.at) : 0;
	d.to = sec->partial ? MIN (d.from + sec->size, d.at) : d.at;
	d.at = 0;
	imap_write_literal (&f->s->out, d.to - d.from, d.nul);
	return mail_part_stream (p, source_read, source, send_decoded, &d, error);
}

/* The whole message is what it is; parts are decoded. */
static gboolean
write_binary (Fetch *f, const Item *item, Source *source, GError **error)
{
	const MailPart *p = NULL;
	if (!*item->section.part) {
		if (item->kind == ITEM_BINARY)
			return write_section (f, item, source, error);
		write_section_name (f, item);
		imap_write_number (&f->s->out, source->size);
		return TRUE;
	}
	if (!section_part (&item->section, source, &p, error))
		return FALSE;
	if (p)
		return write_decoded (f, item, source, p, error);
	write_section_name (f, item);
	if (item->kind == ITEM_BINARY)
		imap_write_nil (&f->s->out);
	else
		imap_write_number (&f->s->out, 0);
	return TRUE;
}

static void
write_date (Fetch *f, const Message *m)
{
	imap_write_word (&f->s->out, "INTERNALDATE");
	imap_write_date (&f->s->out, m->received, m->zone);
}

/* Ids of messages are 128 random bits; those of threads are numbers of the store, told apart by their letter. */
static void
write_ids (Fetch *f, const Item *item, const Message *m)
{
	char id[ID_TEXT_SIZE];
	if (item->kind == ITEM_EMAILID)
		id128_text (&m->object_id, id);
	else
		g_snprintf (id, sizeof id, "T%" G_GINT64_FORMAT, m->thread);
	imap_write_object_id (&f->s->out, item->name, id);
}

static gboolean
write_item (Fetch *f, const Item *item, const Listing *l, Source *source, GError **error)
{
	ImapWriter *w = &f->s->out;
	switch (item->kind) {
	case ITEM_UID:
		imap_write_word (w, "UID");
		imap_write_number (w, l->placement.uid);
		return TRUE;
	case ITEM_FLAGS:
		imap_write_word (w, "FLAGS");
		imap_write_flags (w, l->placement.flags, l->placement.keywords);
		return TRUE;
	case ITEM_MODSEQ:
		imap_write_modseq (w, l->placement.modseq);
		return TRUE;
	case ITEM_INTERNALDATE:
		write_date (f, &l->message);
		return TRUE;
	case ITEM_SAVEDATE: /* RFC 8514: NIL where nobody knows */
		imap_write_word (w, "SAVEDATE");
		if (l->placement.saved)
			imap_write_date (w, l->placement.saved, 0);
		else
			imap_write_nil (w);
		return TRUE;
	case ITEM_SIZE:
		imap_write_word (w, "RFC822.SIZE");
		imap_write_number (w, l->message.size);
		return TRUE;
	case ITEM_ENVELOPE:
		return write_envelope (f, source, error);
	case ITEM_BODY:
	case ITEM_BODYSTRUCTURE:
		return write_structure (f, item, source, error);
	case ITEM_EMAILID:
	case ITEM_THREADID:
		write_ids (f, item, &l->message);
		return TRUE;
	case ITEM_PREVIEW:
		return write_preview (f, source, error);
	case ITEM_SECTION:
	case ITEM_RFC822:
		return write_section (f, item, source, error);
	case ITEM_BINARY:
	case ITEM_BINARY_SIZE:
		return write_binary (f, item, source, error);
	}
	g_assert_not_reached ();
}

/* A message that can't be read is left out and told of at the end, unless half of it was sent. */
static void
write_message (Fetch *f, const Listing *l)
{
	ImapWriter *w = &f->s->out;
	g_autoptr (GError) error = NULL;
	g_auto (Source) source = {.store = f->store, .message = l->placement.message, .size = l->message.size, .kept = l->message.structure};
	gsize start = w->text->len;
	guint64 sent = f->s->sent;
	gboolean ok = TRUE;
	if (!session_open_fetch (f->s, l->placement.uid))
		return;
	for (guint i = 0; ok && i < f->items->len; i++)
		ok = write_item (f, &g_array_index (f->items, Item, i), l, &source, &error);
	if (ok && uid_set_contains (&f->seen, l->placement.uid) && !f->flags)
		write_item (f, &(Item){.kind = ITEM_FLAGS}, l, &source, NULL);
	imap_write_close (w);
	imap_write_end (w);
	if (ok || session_is_dead (f->s)) {
		session_flush (f->s, FALSE);
		return;
	}
	if (f->s->sent != sent) {
		imapd_session_bye (f->s, "a message can't be read to its end");
		return;
	}
	g_string_truncate (w->text, start);
	if (error_is (error, ERROR_NOT_FOUND))
		f->found--;
	else
		session_no (f->s, error_is (error, ERROR_REFUSED) ? "UNKNOWN-CTE" : "CORRUPTION", "%s", error->message);
}

/* ---- Batches ---- */

typedef struct {
	GArray *rows; /* of Listing, with copies of what it borrows */
	guint32 last;
} Batch;

static void
row_done (Listing *l)
{
	placement_done (&l->placement);
	g_clear_pointer (&l->message.structure, g_bytes_unref);
}

static gboolean
collect_row (gpointer data, const Listing *l)
{
	Batch *b = data;
	Listing copy = {.placement = l->placement};
	copy.placement.keywords = g_strdup (l->placement.keywords);
	copy.message = (Message){.id = l->message.id, .content = l->message.content, .received = l->message.received, .zone = l->message.zone,
	                         .size = l->message.size, .thread = l->message.thread, .object_id = l->message.object_id,
	                         .structure = l->message.structure ? g_bytes_ref (l->message.structure) : NULL};
	g_array_append_val (b->rows, copy);
	b->last = l->placement.uid;
	return b->rows->len < BATCH;
}

static gboolean
fetch_range (Fetch *f, UidRange r, GError **error)
{
	for (guint32 from = r.lo; from && from <= r.hi && !session_is_dead (f->s);) {
		g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (Listing));
		g_array_set_clear_func (rows, (GDestroyNotify) row_done);
		Batch b = {.rows = rows};
		if (!store_list_range (f->store, f->s->view->folder, from, r.hi, f->depth, collect_row, &b, error))
			return FALSE;
		f->found += rows->len;
		for (guint i = 0; i < rows->len; i++) {
			const Listing *l = &g_array_index (rows, Listing, i);
			if (l->placement.modseq > f->since)
				write_message (f, l);
		}
		if (rows->len < BATCH)
			break;
		from = b.last + 1;
	}
	return TRUE;
}

/* ---- \Seen ---- */

typedef struct {
	GArray *placements; /* of Placement, those without \Seen */
} Unseen;

static gboolean
collect_unseen (gpointer data, const Listing *l)
{
	Unseen *u = data;
	if (l->placement.flags & FLAG_SEEN)
		return TRUE;
	Placement copy = l->placement;
	copy.keywords = g_strdup (l->placement.keywords);
	g_array_append_val (u->placements, copy);
	return TRUE;
}

static gboolean
set_seen (Fetch *f, const GArray *unseen, GError **error)
{
	for (guint i = 0; i < unseen->len; i++) {
		const Placement *p = &g_array_index (unseen, Placement, i);
		if (!store_set_flags (f->store, p->id, p->flags | FLAG_SEEN, p->keywords, error))
			return FALSE;
		uid_set_add (&f->seen, p->uid);
	}
	return TRUE;
}

/* One transaction before anything is sent, so that the answers have the flags as they are then. */
static gboolean
see (Fetch *f, const UidSet *uids)
{
	GError *error = NULL;
	g_autoptr (GArray) unseen = g_array_new (FALSE, FALSE, sizeof (Placement));
	g_array_set_clear_func (unseen, (GDestroyNotify) placement_done);
	Unseen u = {unseen};
	if (!list_uids (f->store, f->s->view->folder, uids, LISTING_PLACEMENT, collect_unseen, &u, &error))
		return session_fail (f->s, error);
	if (unseen->len == 0)
		return TRUE;
	if (!session_begin (f->s, f->store))
		return FALSE;
	g_array_set_size (unseen, 0); /* as they are now that nobody else writes */
	list_uids (f->store, f->s->view->folder, uids, LISTING_PLACEMENT, collect_unseen, &u, &error);
	return session_commit (f->s, f->store, !error && set_seen (f, unseen, &error), &error);
}

/* Those of the wanted UIDs that were removed since (RFC 7162 section 3.2.6), also such that the view never had. */
static gboolean
write_vanished (Fetch *f, GError **error)
{
	g_auto (UidSet) vanished = {0}, wanted = {0}, other = {0};
	g_auto (ImapSet) set = {0};
	if (!store_removed_uids (f->store, f->s->view->folder, f->since, &vanished, error))
		return FALSE;
	if (imap_set_parse (&set, node_text (imap_command_arg (f->s->command, 0)), 100000) && !set.saved) {
		imap_set_resolve (&set, MAX (uid_set_max (&f->s->view->uids), uid_set_max (&vanished)), NULL, &wanted);
		uid_set_copy (&other, &vanished);
		uid_set_remove_set (&other, &wanted);
		uid_set_remove_set (&vanished, &other);
	}
	uid_set_remove_set (&vanished, &f->s->view->uids); /* what it still shows is told by the announcement */
	if (!uid_set_is_empty (&vanished))
		imap_write_vanished (&f->s->out, TRUE, &vanished);
	return TRUE;
}

static gboolean
collect_changed (gpointer uids, const Placement *p)
{
	uid_set_add (uids, p->uid);
	return TRUE;
}

/* What PARTIAL leaves of @uids, of those that changed where CHANGEDSINCE is asked for (RFC 9394 section 3.3). */
static gboolean
take_part (Fetch *f, UidSet *uids)
{
	GError *error = NULL;
	g_auto (UidSet) changed = {0}, other = {0}, part = {0};
	if (f->since) {
		if (!store_each_placement (f->store, f->s->view->folder, f->since, collect_changed, &changed, &error))
			return session_fail (f->s, error);
		uid_set_copy (&other, uids);
		uid_set_remove_set (&other, &changed);
		uid_set_remove_set (uids, &other);
	}
	uids_partial (uids, f->from, f->to, &part);
	uid_set_copy (uids, &part);
	return TRUE;
}

void
run_fetch (ImapdSession *s)
{
	g_auto (Fetch) f = {.s = s, .items = g_array_new (FALSE, FALSE, sizeof (Item))};
	g_auto (UidSet) uids = {0};
	GError *error = NULL;
	g_array_set_clear_func (f.items, (GDestroyNotify) item_done);
	if (!session_uids (s, imap_command_arg (s->command, 0), imap_command_is_uid (s->command), &uids) || !take_fetch (&f))
		return;
	f.store = session_store (s);
	if (!f.store || (f.from && !take_part (&f, &uids)) || (f.sees && !s->read_only && !see (&f, &uids)))
		return;
	gboolean ok = !f.vanished || write_vanished (&f, &error);
	for (guint i = 0; ok && i < uids.n_ranges && !session_is_dead (s); i++)
		ok = fetch_range (&f, uids.ranges[i], &error);
	if (!ok)
		session_fail (s, error);
	else if (f.found < uid_set_count (&uids) && !imap_command_is_uid (s->command))
		session_no (s, "EXPUNGEISSUED", "some of the messages are gone");
}
