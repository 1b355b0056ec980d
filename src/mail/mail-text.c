/* SPDX-License-Identifier: Apache-2.0 */
/* Text of parts and of whole messages. */
#include "mail-private.h"
#include <string.h>

#define META_LOOK 2048u            /* octets of HTML in which its own charset is looked for */
#define RAW_MAX (64u << 20)        /* octets of one part that are decoded for its text */
#define NESTED_HEADER_MAX 65536u
#define NESTED_MAX (4u << 20)      /* octets of an encoded message within */
#define LINE_TEXT_MAX 1000u
#define WORD_BITS 18

/* ---- One part ---- */

static gboolean
is_html (const MailPart *p)
{
	return strcmp (p->type, "text") == 0 && (strcmp (p->subtype, "html") == 0 || strcmp (p->subtype, "xhtml") == 0);
}

/* Reports that programs write for people as well. */
static gboolean
is_report (const MailPart *p)
{
	return strcmp (p->type, "message") == 0 && !p->is_message &&
	       (g_str_has_suffix (p->subtype, "delivery-status") || g_str_has_suffix (p->subtype, "disposition-notification") ||
	        strcmp (p->subtype, "feedback-report") == 0);
}

static gboolean
is_text (const MailPart *p)
{
	return (strcmp (p->type, "text") == 0 && strcmp (p->subtype, "rtf") != 0 && !p->is_multipart) || is_report (p);
}

/* <meta charset=x> or <meta ... content="text/html; charset=x">, owned. */
static char *
html_charset (const char *html, gsize size)
{
	const char *end = html + MIN (size, (gsize) META_LOOK), *at = html;
	while ((at = memmem (at, (gsize) (end - at), "charset", 7))) {
		at += 7;
		while (at < end && (mail_is_blank (*at) || *at == '=' || *at == '"' || *at == '\''))
			at++;
		const char *start = at;
		while (at < end && (g_ascii_isalnum (*at) || strchr ("-_.:", *at)) && *at)
			at++;
		if (at > start)
			return g_strndup (start, (gsize) (at - start));
	}
	return NULL;
}

static void
lines_to_lf (GString *text)
{
	gsize to = 0;
	if (!memchr (text->str, '\r', text->len))
		return;
	for (gsize i = 0; i < text->len; i++) {
		if (text->str[i] == '\r' && text->str[i + 1] == '\n')
			continue;
		text->str[to++] = text->str[i] == '\r' ? '\n' : text->str[i];
	}
	g_string_truncate (text, to);
}

static gboolean
says_little (const char *charset)
{
	return !charset || g_ascii_strcasecmp (charset, "us-ascii") == 0 || !g_ascii_isalnum (*charset);
}

static GString *
decoded_text (const MailPart *p, GBytes *octets)
{
	gsize size;
	const char *data = g_bytes_get_data (octets, &size);
	GString *text = g_string_sized_new (size + 1);
	g_autofree char *own = size && is_html (p) && says_little (p->charset) ? html_charset (data, size) : NULL;
	if (size)
		charset_append (text, data, size, own ? own : p->charset);
	lines_to_lf (text);
	return text;
}

/* text/enriched and text/richtext (RFC 1896): commands in angle brackets; "<<" stands for "<". */
static void
strip_enriched (GString *text)
{
	gsize to = 0;
	for (gsize i = 0; i < text->len; i++) {
		const char *close;
		if (text->str[i] == '<' && text->str[i + 1] == '<')
			i++;
		else if (text->str[i] == '<' && (close = memchr (text->str + i, '>', MIN (text->len - i, (gsize) 64)))) {
			i = (gsize) (close - text->str);
			continue;
		}
		text->str[to++] = text->str[i];
	}
	g_string_truncate (text, to);
}

typedef struct {
	guint quotes;
	Slice text;
	gboolean flowed;
} FlowedLine;

static FlowedLine
flowed_line (Slice line)
{
	FlowedLine f = {0};
	while (line.size && *line.data == '>') {
		f.quotes++;
		line = slice_of (line.data + 1, line.size - 1);
	}
	if (line.size && *line.data == ' ')
		line = slice_of (line.data + 1, line.size - 1);
	f.text = line;
	f.flowed = line.size && line.data[line.size - 1] == ' ' && !slice_equals (line, "-- ");
	return f;
}

char *
mail_unflow (const char *text, gboolean delete_space)
{
	GString *out = g_string_sized_new (strlen (text) + 1);
	gboolean joining = FALSE;
	guint quotes = 0;
	for (const char *at = text; *at;) {
		const char *lf = strchr (at, '\n');
		FlowedLine f = flowed_line (slice_of (at, lf ? (gsize) (lf - at) : strlen (at)));
		if (joining && (f.quotes != quotes || slice_equals (f.text, "-- "))) {
			g_string_append_c (out, '\n');
			joining = FALSE;
		}
		quotes = f.quotes;
		for (guint i = 0; !joining && i < quotes; i++)
			g_string_append (out, i + 1 < quotes ? ">" : "> ");
		g_string_append_len (out, f.text.data, (gssize) (f.text.size - (f.flowed && delete_space)));
		joining = f.flowed;
		if (!joining && lf)
			g_string_append_c (out, '\n');
		at = lf ? lf + 1 : at + strlen (at);
	}
	return g_string_free (out, FALSE);
}

static gboolean
parameter_is (const MailPart *p, const char *name, const char *value)
{
	const char *found = mail_parameter (p->parameters, name);
	return found && g_ascii_strcasecmp (found, value) == 0;
}

/* A full line that was damaged on the way, as by a charset that has another sign for "\\". */
static gboolean
is_broken_uu_line (Slice line)
{
	return line.size >= 55 && line.size <= 100 && *line.data == 'M' && !memchr (line.data, ' ', line.size);
}

/* A uuencoded file from the line after its "begin" at @at: the place behind its end, or @at when there is none. */
static const char *
skip_uu (const char *at)
{
	g_autoptr (GString) octets = g_string_new (NULL);
	const char *start = at;
	gboolean some = FALSE;
	while (*at) {
		const char *lf = strchrnul (at, '\n'), *next = *lf ? lf + 1 : lf;
		Slice line = slice_of (at, (gsize) (lf - at));
		if (slice_equals (mail_trim (line), "end"))
			return next;
		g_string_truncate (octets, 0);
		if (line.size > 100 || (line.size && !uu_line_append (octets, line) && !(some && is_broken_uu_line (line))))
			break;
		some |= octets->len > 0;
		at = next;
	}
	return some ? at : start;
}

/* Files in the text become "[name]"; their names are also added to @names. */
static void
name_uu_files (GString *text, GString *names)
{
	if (!strstr (text->str, "begin "))
		return;
	g_autoptr (GString) out = g_string_sized_new (text->len);
	for (const char *at = text->str; *at;) {
		const char *lf = strchrnul (at, '\n'), *next = *lf ? lf + 1 : lf, *behind;
		Slice name;
		if (uu_begin (slice_of (at, (gsize) (lf - at)), &name) && (behind = skip_uu (next)) != next) {
			g_string_append_printf (out, "[%.*s]\n", (int) name.size, name.data);
			if (names)
				g_string_append_printf (names, "%.*s\n", (int) name.size, name.data);
			next = behind;
		} else
			g_string_append_len (out, at, next - at);
		at = next;
	}
	g_string_assign (text, out->str);
}

static char *
text_of_octets (const MailPart *p, GBytes *octets, gsize max, GString *names)
{
	g_autoptr (GString) text = decoded_text (p, octets);
	if (is_html (p))
		return mail_html_to_text (text->str, text->len, max);
	if (strcmp (p->subtype, "enriched") == 0 || strcmp (p->subtype, "richtext") == 0)
		strip_enriched (text);
	if (strcmp (p->subtype, "plain") == 0)
		name_uu_files (text, names);
	if (parameter_is (p, "format", "flowed")) {
		g_autofree char *joined = mail_unflow (text->str, parameter_is (p, "delsp", "yes"));
		g_string_assign (text, joined);
	}
	utf8_truncate (text, max);
	return g_string_free (g_steal_pointer (&text), FALSE);
}

static char *
part_text (const MailPart *p, MailReader reader, gpointer data, gsize max, GString *names, GError **error)
{
	if (!is_text (p))
		return g_strdup ("");
	gsize raw = MIN (max, (gsize) RAW_MAX / 8) * (is_html (p) ? 8 : 4);
	g_autoptr (GBytes) octets = mail_part_decode (p, reader, data, MAX (raw, (gsize) 4096), error);
	return octets ? text_of_octets (p, octets, max, names) : NULL;
}

char *
mail_part_text (const MailPart *p, MailReader reader, gpointer data, gsize max, GError **error)
{
	return part_text (p, reader, data, max, NULL, error);
}

/* ---- Whole messages ---- */

typedef struct {
	const MailStructure *m;
	MailReader reader;
	gpointer data;
	gsize max;
	GString *out, *names;
	gboolean searching;
	guint nesting; /* of encoded messages within */
	guint8 *seen;  /* hashes of the words of the present alternative's plain text; NULL: none */
	GError **error;
} Walk;

static gboolean walk (Walk *w, guint i);

static guint
after_subtree (const MailStructure *m, guint i)
{
	guint depth = mail_structure_part (m, i)->depth;
	for (i++; i < mail_structure_count (m) && mail_structure_part (m, i)->depth > depth; i++)
		;
	return i;
}

static gboolean
has_words (const char *text)
{
	return text[strspn (text, " \t\n")] != '\0';
}

/* Paragraphs of different parts are parted by an empty line. */
static void
append_paragraph (Walk *w, const char *text)
{
	if (!has_words (text) || w->out->len >= w->max)
		return;
	while (w->out->len && w->out->str[w->out->len - 1] == '\n')
		g_string_truncate (w->out, w->out->len - 1);
	if (w->out->len)
		g_string_append (w->out, "\n\n");
	g_string_append (w->out, text);
	utf8_truncate (w->out, w->max);
}

/* ---- Words, to see whether HTML says more than the plain text beside it ---- */

/* The next word, from *@start to *@at, and its hash; FALSE at the end. */
static gboolean
next_word (const char **at, const char **start, guint32 *hash_out)
{
	const guchar *p = (const guchar *) *at;
	while (*p && *p < 0x80 && !g_ascii_isalnum (*p))
		p++;
	*start = (const char *) p;
	guint32 hash = 2166136261u;
	gboolean any = *p != 0;
	for (; *p >= 0x80 || g_ascii_isalnum (*p); p++)
		hash = (hash ^ (guint) g_ascii_tolower ((char) *p)) * 16777619u;
	*at = (const char *) p;
	*hash_out = (hash ^ hash >> 16) & ((1u << WORD_BITS) - 1);
	return any;
}

static void
note_words (Walk *w, const char *text)
{
	const char *start;
	guint32 hash;
	if (!w->seen)
		return;
	while (next_word (&text, &start, &hash))
		w->seen[hash / 8] |= (guint8) (1u << hash % 8);
}

static gboolean
says_more (const Walk *w, const char *text)
{
	const char *start;
	guint32 hash;
	guint total = 0, new = 0;
	while (next_word (&text, &start, &hash)) {
		total++;
		new += !(w->seen[hash / 8] & 1u << hash % 8);
	}
	return new > 3 && new * 8 > total;
}

/* Of HTML that says nearly the same: the words that are its own, once each. */
static char *
words_of_its_own (Walk *w, const char *text)
{
	GString *own = g_string_new (NULL);
	const char *start;
	guint32 hash;
	while (next_word (&text, &start, &hash)) {
		if (w->seen[hash / 8] & 1u << hash % 8)
			continue;
		w->seen[hash / 8] |= (guint8) (1u << hash % 8);
		if (own->len)
			g_string_append_c (own, ' ');
		g_string_append_len (own, start, text - start);
	}
	return g_string_free (own, FALSE);
}

/* ---- Parts of a message ---- */

static void
append_name (Walk *w, guint i)
{
	const MailPart *p = mail_structure_part (w->m, i);
	const char *name = p->filename;
	if (!name && strcmp (p->type, "application") == 0 && strcmp (p->subtype, "ms-tnef") == 0)
		name = "winmail.dat";
	if (w->names && name && w->names->len < w->max)
		g_string_append_printf (w->names, "%s\n", name);
}

static void
append_field (GString *out, Slice header, const char *name)
{
	Slice value = mail_header_find (header, name);
	if (!value.data)
		return;
	g_autofree char *text = mail_header_decode (value, LINE_TEXT_MAX);
	if (*text)
		g_string_append_printf (out, "%s: %s\n", name, text);
}

/* Of a message within: who wrote what to whom. */
static gboolean
walk_header (Walk *w, const MailPart *p)
{
	static const char *const names[] = {"From", "To", "Cc", "Date", "Subject"};
	if (p->body == p->header)
		return TRUE;
	g_autoptr (GBytes) octets = w->reader (w->data, p->header, (gsize) MIN (p->body - p->header, (guint64) NESTED_HEADER_MAX), w->error);
	if (!octets)
		return FALSE;
	gsize size;
	const char *data = g_bytes_get_data (octets, &size);
	g_autoptr (GString) text = g_string_new (NULL);
	for (gsize i = 0; size && i < G_N_ELEMENTS (names); i++)
		append_field (text, slice_of (data, size), names[i]);
	append_paragraph (w, text->str);
	return TRUE;
}

typedef struct {
	GBytes *octets;
} Memory;

static GBytes *
read_memory (gpointer data, guint64 offset, gsize size, GError **error)
{
	GBytes *octets = ((Memory *) data)->octets;
	gsize total = g_bytes_get_size (octets), at = (gsize) MIN (offset, (guint64) total);
	return g_bytes_new_from_bytes (octets, at, MIN (size, total - at));
}

/* A message within whose octets are encoded: it is decoded and looked at by itself. */
static gboolean
walk_encoded_message (Walk *w, const MailPart *p)
{
	if (w->nesting >= 4)
		return TRUE;
	g_autoptr (GBytes) octets = mail_part_decode (p, w->reader, w->data, NESTED_MAX, w->error);
	if (!octets)
		return FALSE;
	g_autoptr (MailStructure) m = mail_scan (g_bytes_get_data (octets, NULL), g_bytes_get_size (octets));
	Memory memory = {octets};
	Walk inner = *w;
	inner.m = m;
	inner.reader = read_memory;
	inner.data = &memory;
	inner.nesting++;
	inner.seen = NULL;
	return walk_header (&inner, mail_structure_part (m, 0)) && walk (&inner, 0);
}

static gboolean
walk_leaf (Walk *w, guint i)
{
	const MailPart *p = mail_structure_part (w->m, i);
	gboolean attached = mail_part_is_attachment (w->m, i);
	append_name (w, i);
	if (w->out->len >= w->max)
		return TRUE;
	if (strcmp (p->type, "message") == 0 && (strcmp (p->subtype, "rfc822") == 0 || strcmp (p->subtype, "global") == 0))
		return walk_encoded_message (w, p);
	if (attached && i && !w->searching)
		return TRUE;
	if (!is_text (p) || (is_report (p) && !w->searching))
		return TRUE;
	g_autofree char *text = part_text (p, w->reader, w->data, w->max - w->out->len, w->names, w->error);
	if (!text)
		return FALSE;
	if (is_html (p) && w->seen && w->searching && !says_more (w, text)) {
		g_autofree char *own = words_of_its_own (w, text);
		append_paragraph (w, own);
		return TRUE;
	}
	if (strcmp (p->subtype, "plain") == 0)
		note_words (w, text);
	append_paragraph (w, text);
	return TRUE;
}

/* What an alternative offers: 2 plain text, 1 HTML, 0 neither. */
static guint
offer_of (const MailStructure *m, guint i)
{
	guint end = after_subtree (m, i), best = 0;
	for (; i < end && best < 2; i++) {
		const MailPart *p = mail_structure_part (m, i);
		if (p->n_children || strcmp (p->type, "text") != 0)
			continue;
		if (strcmp (p->subtype, "plain") == 0)
			best = 2;
		else if (is_html (p))
			best = MAX (best, 1u);
	}
	return best;
}

/* For people the best alternative that has words; each is walked once. For searching all, plain text first. */
static gboolean
walk_alternatives (Walk *w, guint i)
{
	guint end = after_subtree (w->m, i);
	guint8 *outer = w->seen;
	g_autofree guint8 *seen = w->searching ? g_malloc0 ((1u << WORD_BITS) / 8) : NULL;
	gsize before = w->out->len;
	gboolean ok = TRUE;
	w->seen = seen;
	for (int offer = 2; ok && offer >= 0; offer--)
		for (guint c = i + 1; ok && c < end; c = after_subtree (w->m, c))
			if (offer_of (w->m, c) == (guint) offer && (w->searching || w->out->len == before))
				ok = walk (w, c);
	w->seen = outer;
	return ok;
}

static gboolean
walk (Walk *w, guint i)
{
	const MailPart *p = mail_structure_part (w->m, i);
	guint end = after_subtree (w->m, i);
	if (p->is_message) {
		append_name (w, i);
		return walk_header (w, mail_structure_part (w->m, i + 1)) && walk (w, i + 1);
	}
	if (!p->is_multipart)
		return walk_leaf (w, i);
	if (strcmp (p->subtype, "alternative") == 0)
		return walk_alternatives (w, i);
	for (guint c = i + 1; c < end; c = after_subtree (w->m, c))
		if (!walk (w, c))
			return FALSE;
	return TRUE;
}

static char *
text_of (Walk *w)
{
	w->out = g_string_new (NULL);
	gboolean ok = walk (w, 0);
	return g_string_free (w->out, !ok);
}

char *
mail_text (const MailStructure *m, MailReader reader, gpointer data, gsize max, GError **error)
{
	Walk w = {.m = m, .reader = reader, .data = data, .max = max, .error = error};
	return text_of (&w);
}

char *
mail_search_text (const MailStructure *m, MailReader reader, gpointer data, gsize max, char **names_out, GError **error)
{
	g_autoptr (GString) names = names_out ? g_string_new (NULL) : NULL;
	Walk w = {.m = m, .reader = reader, .data = data, .max = max, .names = names, .searching = TRUE, .error = error};
	char *text = text_of (&w);
	if (text && names) {
		if (names->len)
			g_string_truncate (names, names->len - 1);
		*names_out = g_string_free (g_steal_pointer (&names), FALSE);
	}
	return text;
}
