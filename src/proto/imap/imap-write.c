/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-write.h"
#include <string.h>
#include "imap-text.h"
#include "imap-tree.h"
#include "imap-utf7.h"

#define LITERAL_MINUS_MAX 4096 /* RFC 7888 section 5 */
#define QUOTED_MAX 1000
#define QUOTED_MAX_WAITING 4000 /* a longer line is better than waiting for "+" */

void
imap_writer_init (ImapWriter *w, ImapLiterals literals)
{
	*w = (ImapWriter) {.text = g_string_new (NULL), .literals = literals, .stops = g_array_new (FALSE, FALSE, sizeof (gsize))};
}

void
imap_writer_clear (ImapWriter *w)
{
	if (w->text)
		g_string_free (w->text, TRUE);
	g_clear_pointer (&w->stops, g_array_unref);
	w->text = NULL;
}

static Slice
slice (const char *text)
{
	return (Slice) {text, strlen (text)};
}

static void
value_begin (ImapWriter *w)
{
	if (w->gap)
		g_string_append_c (w->text, ' ');
	w->gap = TRUE;
}

/* ---- Values ---- */

void
imap_write_word (ImapWriter *w, const char *word)
{
	g_assert (slice_words (slice (word)));
	value_begin (w);
	g_string_append (w->text, word);
}

void
imap_write_number (ImapWriter *w, guint64 number)
{
	value_begin (w);
	g_string_append_printf (w->text, "%" G_GUINT64_FORMAT, number);
}

void
imap_write_nil (ImapWriter *w)
{
	imap_write_word (w, "NIL");
}

void
imap_write_open (ImapWriter *w)
{
	value_begin (w);
	g_string_append_c (w->text, '(');
	w->gap = FALSE;
}

void
imap_write_close (ImapWriter *w)
{
	g_string_append_c (w->text, ')');
	w->gap = TRUE;
}

void
imap_write_join (ImapWriter *w)
{
	w->gap = FALSE;
}

void
imap_write_literal (ImapWriter *w, guint64 size, gboolean literal8)
{
	gboolean plus = w->literals == LITERALS_PLUS || (w->literals == LITERALS_MINUS && size <= LITERAL_MINUS_MAX);
	value_begin (w);
	g_string_append_printf (w->text, "%s{%" G_GUINT64_FORMAT "%s}\r\n", literal8 ? "~" : "", size, plus ? "+" : "");
	if (!plus && w->literals != LITERALS_SERVER)
		g_array_append_val (w->stops, w->text->len);
}

static gboolean
may_be_quoted (const ImapWriter *w, Slice text)
{
	gboolean waits = w->literals == LITERALS_WAIT || w->literals == LITERALS_MINUS, eight_bit = FALSE;
	if (text.size > (waits ? QUOTED_MAX_WAITING : QUOTED_MAX))
		return FALSE;
	for (gsize i = 0; i < text.size; i++) {
		if (text.data[i] == '\0' || text.data[i] == '\r' || text.data[i] == '\n')
			return FALSE;
		eight_bit |= (guchar) text.data[i] >> 7;
	}
	return !eight_bit || (w->utf8 && g_utf8_validate_len (text.data, text.size, NULL));
}

static void
quoted_add (GString *to, Slice text)
{
	g_string_append_c (to, '"');
	for (gsize i = 0; i < text.size; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			g_string_append_c (to, '\\');
		g_string_append_c (to, text.data[i]);
	}
	g_string_append_c (to, '"');
}

void
imap_write_string (ImapWriter *w, Slice text)
{
	if (may_be_quoted (w, text)) {
		value_begin (w);
		quoted_add (w->text, text);
		return;
	}
	gboolean nul = memchr (text.data, '\0', text.size) != NULL;
	imap_write_literal (w, text.size, nul && w->binary);
	gsize start = w->text->len;
	g_string_append_len (w->text, text.data, (gssize) text.size);
	for (gsize i = start; nul && !w->binary && i < w->text->len; i++)
		if (w->text->str[i] == '\0')
			w->text->str[i] = (char) 0x80;
}

void
imap_write_nstring (ImapWriter *w, Slice text)
{
	if (text.data)
		imap_write_string (w, text);
	else
		imap_write_nil (w);
}

/* Brackets and "+" are allowed in some words and not in others: such are quoted. */
static gboolean
may_be_bare (Slice text, guint kind)
{
	return text.size <= 200 && slice_words (text) & kind && !memchr (text.data, '[', text.size) && !memchr (text.data, ']', text.size) &&
	       *text.data != '\\' && !slice_equals_ascii_case (text, "NIL");
}

static void
bare_or_string (ImapWriter *w, Slice text, guint kind)
{
	if (!may_be_bare (text, kind)) {
		imap_write_string (w, text);
		return;
	}
	value_begin (w);
	g_string_append_len (w->text, text.data, (gssize) text.size);
}

void
imap_write_astring (ImapWriter *w, Slice text)
{
	bare_or_string (w, text, WORD_ATOM);
}

static void
name_write (ImapWriter *w, const char *name, guint kind)
{
	g_autofree char *wire = w->utf8 ? NULL : utf7_encode (slice (name));
	bare_or_string (w, slice (wire ? wire : name), kind);
}

void
imap_write_mailbox (ImapWriter *w, const char *name)
{
	name_write (w, name, WORD_ATOM);
}

void
imap_write_pattern (ImapWriter *w, const char *pattern)
{
	name_write (w, pattern, WORD_PATTERN);
}

void
imap_write_flags (ImapWriter *w, guint flags, const char *keywords)
{
	imap_write_open (w);
	text_add_flags (w->text, flags, NULL);
	w->gap = (flags & 31) != 0;
	g_auto (GStrv) words = g_strsplit (keywords ? keywords : "", " ", -1);
	for (guint i = 0; words[i]; i++)
		if (slice_words (slice (words[i])) & WORD_FLAG)
			imap_write_word (w, words[i]);
	imap_write_close (w);
}

void
imap_write_date (ImapWriter *w, gint64 time, int zone)
{
	value_begin (w);
	text_add_date (w->text, time, zone);
}

void
imap_write_day (ImapWriter *w, gint64 day)
{
	value_begin (w);
	text_add_day (w->text, day);
}

void
imap_write_uids (ImapWriter *w, const UidSet *set)
{
	g_assert (!uid_set_is_empty (set));
	value_begin (w);
	uid_set_format (set, w->text);
}

void
imap_write_set (ImapWriter *w, const ImapSet *set)
{
	g_assert (set->saved || set->n_ranges > 0);
	value_begin (w);
	imap_set_format (set, w->text);
}

void
imap_write_section (ImapWriter *w, const char *name, const char *part, const char *text, const char *const *fields, const char *partial)
{
	value_begin (w);
	g_string_append_printf (w->text, "%s[%s%s%s", name, part, *part && *text ? "." : "", text);
	if (fields) {
		imap_write_open (w);
		for (; *fields; fields++)
			imap_write_astring (w, slice (*fields));
		imap_write_close (w);
	}
	g_string_append_c (w->text, ']');
	if (partial)
		g_string_append_printf (w->text, "<%s>", partial);
}

/* ---- Lines ---- */

static void
line_begin (ImapWriter *w, const char *tag)
{
	g_string_append (w->text, tag);
	w->gap = TRUE;
}

/* For people: whatever it holds, it stays one line of UTF-8, and its start is not taken for a code. */
static void
human_write (ImapWriter *w, const char *text)
{
	g_autofree char *valid = slice_to_utf8 (slice (text), strlen (text) * 3 + 1);
	g_strdelimit (valid, "\n\t", ' ');
	if (*valid == '[')
		*valid = '(';
	value_begin (w);
	g_string_append (w->text, *valid ? valid : "-");
}

void
imap_write_untagged (ImapWriter *w, const char *name)
{
	line_begin (w, "*");
	imap_write_word (w, name);
}

void
imap_write_numbered (ImapWriter *w, guint32 number, const char *name)
{
	line_begin (w, "*");
	imap_write_number (w, number);
	imap_write_word (w, name);
}

void
imap_write_command (ImapWriter *w, const char *tag, const char *name)
{
	line_begin (w, tag);
	value_begin (w);
	g_string_append (w->text, name);
}

void
imap_write_end (ImapWriter *w)
{
	g_string_append (w->text, "\r\n");
	w->gap = FALSE;
}

void
imap_write_continuation (ImapWriter *w, const char *text)
{
	line_begin (w, "+");
	human_write (w, text);
	imap_write_end (w);
}

void
imap_write_status_begin (ImapWriter *w, const char *tag, const char *word, const char *code)
{
	line_begin (w, tag ? tag : "*");
	imap_write_word (w, word);
	value_begin (w);
	g_string_append_printf (w->text, "[%s", code);
}

void
imap_write_status_end (ImapWriter *w, const char *text)
{
	g_string_append_c (w->text, ']');
	human_write (w, text);
	imap_write_end (w);
}

void
imap_write_status (ImapWriter *w, const char *tag, const char *word, const char *code, const char *text)
{
	if (code) {
		imap_write_status_begin (w, tag, word, code);
		imap_write_status_end (w, text);
		return;
	}
	line_begin (w, tag ? tag : "*");
	imap_write_word (w, word);
	human_write (w, text);
	imap_write_end (w);
}

/* ---- Responses ---- */

static void
words_write (ImapWriter *w, const char *const *words)
{
	imap_write_open (w);
	for (; words && *words; words++)
		imap_write_word (w, *words);
	imap_write_close (w);
}

static void
delimiter_write (ImapWriter *w, char delimiter)
{
	value_begin (w);
	if (delimiter)
		quoted_add (w->text, (Slice) {&delimiter, 1});
	else
		g_string_append (w->text, "NIL");
}

void
imap_write_listed (ImapWriter *w, const char *response, const ImapListed *l)
{
	imap_write_untagged (w, response);
	words_write (w, l->attributes);
	delimiter_write (w, l->delimiter);
	imap_write_mailbox (w, l->name);
	if (l->childinfo || l->old_name)
		imap_write_open (w);
	if (l->childinfo) {
		imap_write_string (w, slice ("CHILDINFO"));
		imap_write_open (w);
		for (const char *const *info = l->childinfo; *info; info++)
			imap_write_string (w, slice (*info));
		imap_write_close (w);
	}
	if (l->old_name) {
		imap_write_string (w, slice ("OLDNAME"));
		imap_write_open (w);
		imap_write_mailbox (w, l->old_name);
		imap_write_close (w);
	}
	if (l->childinfo || l->old_name)
		imap_write_close (w);
	imap_write_end (w);
}

void
imap_write_status_items (ImapWriter *w, const char *name, const ImapStatusItem *items, guint n)
{
	imap_write_untagged (w, "STATUS");
	imap_write_mailbox (w, name);
	imap_write_open (w);
	for (guint i = 0; i < n; i++) {
		if (items[i].id)
			imap_write_object_id (w, items[i].item, items[i].id);
		else {
			imap_write_word (w, items[i].item);
			if (items[i].nil)
				imap_write_nil (w);
			else
				imap_write_number (w, items[i].number);
		}
	}
	imap_write_close (w);
	imap_write_end (w);
}

void
imap_write_spaces (ImapWriter *w, const ImapSpace *spaces, guint n)
{
	if (n == 0) {
		imap_write_nil (w);
		return;
	}
	imap_write_open (w);
	for (guint i = 0; i < n; i++) {
		imap_write_join (w);
		imap_write_open (w);
		g_autofree char *wire = w->utf8 ? NULL : utf7_encode (slice (spaces[i].prefix));
		imap_write_string (w, slice (wire ? wire : spaces[i].prefix));
		delimiter_write (w, spaces[i].delimiter);
		imap_write_close (w);
	}
	imap_write_close (w);
}

static void
item_write (ImapWriter *w, const char *item, guint64 number)
{
	imap_write_word (w, item);
	imap_write_number (w, number);
}

static void
partial_write (ImapWriter *w, const ImapEsearch *e)
{
	imap_write_word (w, "PARTIAL");
	imap_write_open (w);
	value_begin (w);
	g_string_append_printf (w->text, "%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, e->partial_from, e->partial_to);
	if (e->partial && !uid_set_is_empty (e->partial))
		imap_write_uids (w, e->partial);
	else
		imap_write_nil (w);
	imap_write_close (w);
}

void
imap_write_esearch (ImapWriter *w, const ImapEsearch *e)
{
	imap_write_untagged (w, "ESEARCH");
	if (e->tag) {
		imap_write_open (w);
		imap_write_word (w, "TAG");
		imap_write_string (w, slice (e->tag));
		imap_write_close (w);
	}
	if (e->uid)
		imap_write_word (w, "UID");
	if (e->min)
		item_write (w, "MIN", e->min);
	if (e->max)
		item_write (w, "MAX", e->max);
	if (e->all && !uid_set_is_empty (e->all)) {
		imap_write_word (w, "ALL");
		imap_write_uids (w, e->all);
	}
	if (e->has_count)
		item_write (w, "COUNT", e->count);
	if (e->partial_from)
		partial_write (w, e);
	if (e->modseq)
		item_write (w, "MODSEQ", e->modseq);
	imap_write_end (w);
}

void
imap_write_numbers (ImapWriter *w, const char *response, const guint32 *numbers, guint n, guint64 modseq)
{
	imap_write_untagged (w, response);
	for (guint i = 0; i < n; i++)
		imap_write_number (w, numbers[i]);
	if (modseq) {
		imap_write_open (w);
		item_write (w, "MODSEQ", modseq);
		imap_write_close (w);
	}
	imap_write_end (w);
}

void
imap_write_vanished (ImapWriter *w, gboolean earlier, const UidSet *uids)
{
	imap_write_untagged (w, "VANISHED");
	if (earlier) {
		imap_write_open (w);
		imap_write_word (w, "EARLIER");
		imap_write_close (w);
	}
	imap_write_uids (w, uids);
	imap_write_end (w);
}

void
imap_write_pairs (ImapWriter *w, const Slice *pairs, guint n_strings)
{
	if (n_strings == 0) {
		imap_write_nil (w);
		return;
	}
	imap_write_open (w);
	for (guint i = 0; i < n_strings; i++)
		imap_write_nstring (w, pairs[i]);
	imap_write_close (w);
}

void
imap_write_appenduid (ImapWriter *w, const char *tag, guint32 uidvalidity, const ImapSet *uids, const char *text)
{
	imap_write_status_begin (w, tag, "OK", "APPENDUID");
	imap_write_number (w, uidvalidity);
	imap_write_set (w, uids);
	imap_write_status_end (w, text);
}

void
imap_write_copyuid (ImapWriter *w, const char *tag, guint32 uidvalidity, const ImapSet *from, const ImapSet *to, const char *text)
{
	imap_write_status_begin (w, tag, "OK", "COPYUID");
	imap_write_number (w, uidvalidity);
	imap_write_set (w, from);
	imap_write_set (w, to);
	imap_write_status_end (w, text);
}

void
imap_write_modseq (ImapWriter *w, guint64 modseq)
{
	imap_write_word (w, "MODSEQ");
	imap_write_open (w);
	imap_write_number (w, modseq);
	imap_write_close (w);
}

void
imap_write_object_id (ImapWriter *w, const char *item, const char *id)
{
	imap_write_word (w, item);
	if (!id) {
		imap_write_nil (w);
		return;
	}
	imap_write_open (w);
	imap_write_word (w, id);
	imap_write_close (w);
}

/* ---- ENVELOPE and BODYSTRUCTURE ---- */

static void
addresses_write (ImapWriter *w, const ImapAddresses *a)
{
	if (a->n == 0) {
		imap_write_nil (w);
		return;
	}
	imap_write_open (w);
	for (guint i = 0; i < a->n; i++) {
		imap_write_join (w);
		imap_write_open (w);
		imap_write_nstring (w, a->list[i].name);
		imap_write_nstring (w, a->list[i].route);
		imap_write_nstring (w, a->list[i].mailbox);
		imap_write_nstring (w, a->list[i].host);
		imap_write_close (w);
	}
	imap_write_close (w);
}

/* RFC 9051 section 7.5.2: where sender and reply-to are missing the server gives from instead. */
void
imap_write_envelope (ImapWriter *w, const ImapEnvelope *e)
{
	imap_write_open (w);
	imap_write_nstring (w, e->date);
	imap_write_nstring (w, e->subject);
	addresses_write (w, &e->from);
	addresses_write (w, e->sender.n ? &e->sender : &e->from);
	addresses_write (w, e->reply_to.n ? &e->reply_to : &e->from);
	addresses_write (w, &e->to);
	addresses_write (w, &e->cc);
	addresses_write (w, &e->bcc);
	imap_write_nstring (w, e->in_reply_to);
	imap_write_nstring (w, e->message_id);
	imap_write_close (w);
}

static void
disposition_write (ImapWriter *w, const ImapBody *b)
{
	if (!b->disposition.data) {
		imap_write_nil (w);
		return;
	}
	imap_write_open (w);
	imap_write_string (w, b->disposition);
	imap_write_pairs (w, b->disposition_parameters.strings, b->disposition_parameters.n);
	imap_write_close (w);
}

static void
extension_write (ImapWriter *w, const ImapBody *b)
{
	disposition_write (w, b);
	if (b->languages.n == 1)
		imap_write_string (w, b->languages.strings[0]);
	else
		imap_write_pairs (w, b->languages.strings, b->languages.n);
	imap_write_nstring (w, b->location);
}

/* The grammar knows no multipart without parts: an empty text stands for them. */
static void
multipart_write (ImapWriter *w, const ImapBody *b, gboolean extended)
{
	static const ImapBody nothing = {.type = {"TEXT", 4}, .subtype = {"PLAIN", 5}};
	if (b->n_children == 0)
		imap_write_body (w, &nothing, extended);
	for (guint i = 0; i < b->n_children; i++) {
		imap_write_join (w);
		imap_write_body (w, &b->children[i], extended);
	}
	imap_write_string (w, b->subtype);
	if (!extended)
		return;
	imap_write_pairs (w, b->parameters.strings, b->parameters.n);
	extension_write (w, b);
}

static void
single_write (ImapWriter *w, const ImapBody *b, gboolean extended)
{
	imap_write_string (w, b->type);
	imap_write_string (w, b->subtype);
	imap_write_pairs (w, b->parameters.strings, b->parameters.n);
	imap_write_nstring (w, b->id);
	imap_write_nstring (w, b->description);
	imap_write_string (w, b->encoding.data ? b->encoding : slice ("7BIT"));
	imap_write_number (w, b->octets);
	if (b->envelope) {
		imap_write_envelope (w, b->envelope);
		imap_write_body (w, b->children, extended);
	}
	if (b->envelope || slice_equals_ascii_case (b->type, "TEXT"))
		imap_write_number (w, b->lines);
	if (!extended)
		return;
	imap_write_nstring (w, b->md5);
	extension_write (w, b);
}

void
imap_write_body (ImapWriter *w, const ImapBody *b, gboolean extended)
{
	g_assert (!b->envelope || b->n_children == 1);
	imap_write_open (w);
	if (b->is_multipart)
		multipart_write (w, b, extended);
	else
		single_write (w, b, extended);
	imap_write_close (w);
}
