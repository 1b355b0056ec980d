/* SPDX-License-Identifier: Apache-2.0 */
#include "imapd-section.h"
#include <string.h>

#define FIELDS_MAX 500

void
section_clear (Section *s)
{
	g_clear_pointer (&s->part, g_free);
	g_clear_pointer (&s->fields, g_strfreev);
}

static const struct {
	const char *word;
	SectionText text;
} texts[] = {{"", SECTION_ALL},         {"HEADER", SECTION_HEADER}, {"HEADER.FIELDS", SECTION_FIELDS}, {"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT},
             {"TEXT", SECTION_TEXT}, {"MIME", SECTION_MIME}};

const char *
section_text (const Section *s)
{
	return texts[s->text].word;
}

/* Octets of "1.2" at the start of @text, without a dot behind. */
static gsize
part_size (Slice text)
{
	gsize size = 0, at = 0;
	while (at < text.size && g_ascii_isdigit (text.data[at])) {
		while (at < text.size && g_ascii_isdigit (text.data[at]))
			at++;
		size = at;
		if (at == text.size || text.data[at] != '.')
			break;
		at++;
	}
	return size;
}

static gboolean
take_fields (const ImapNode *list, Section *s)
{
	if (!list || list->kind != NODE_LIST || node_count (list) == 0 || node_count (list) > FIELDS_MAX)
		return FALSE;
	g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (!node_is_astring (n))
			return FALSE;
		g_ptr_array_add (names, slice_dup (node_text (n)));
	}
	g_ptr_array_add (names, NULL);
	s->fields = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
	return TRUE;
}

gboolean
section_parse (const ImapNode *n, Section *s)
{
	const ImapNode *what = node_section (n);
	Slice text = node_text (what);
	gsize size = part_size (text);
	s->part = g_strndup (text.data ? text.data : "", size);
	Slice rest = {text.data + size, text.size - size};
	if (size && rest.size) {
		if (*rest.data != '.' || rest.size == 1)
			return FALSE;
		rest = (Slice){rest.data + 1, rest.size - 1};
	}
	guint i = 0;
	while (i < G_N_ELEMENTS (texts) && !(rest.size ? slice_equals_ascii_case (rest, texts[i].word) : i == 0))
		i++;
	if (i == G_N_ELEMENTS (texts) || (i == SECTION_MIME && !size))
		return FALSE;
	s->text = texts[i].text;
	s->partial = node_partial (n, &s->from, &s->size);
	if (s->text == SECTION_FIELDS || s->text == SECTION_FIELDS_NOT)
		return take_fields (node_next (what), s);
	return node_next (what) == NULL;
}

/* ---- The message ---- */

void
source_clear (Source *s)
{
	g_clear_pointer (&s->structure, mail_structure_free);
}

static gboolean
scan_piece (gpointer scanner, const void *octets, gsize size, GError **error)
{
	mail_scanner_feed (scanner, octets, size);
	return TRUE;
}

const MailStructure *
source_structure (Source *s, GError **error)
{
	if (!s->structure && s->kept && g_bytes_get_size (s->kept))
		s->structure = mail_structure_unserialise (s->kept);
	if (s->structure)
		return s->structure;
	MailScanner *scanner = mail_scanner_new ();
	if (!store_stream (s->store, s->message, scan_piece, scanner, error)) {
		mail_scanner_free (scanner);
		return NULL;
	}
	s->structure = mail_scanner_end (scanner);
	return s->structure;
}

GBytes *
source_read (gpointer source, guint64 offset, gsize size, GError **error)
{
	Source *s = source;
	return store_read (s->store, s->message, offset, size, error);
}

GBytes *
source_header (Source *s, GError **error)
{
	const MailStructure *m = source_structure (s, error);
	if (!m)
		return NULL;
	const MailPart *p = mail_structure_part (m, 0);
	return store_read (s->store, s->message, p->header, (gsize) MIN (p->body - p->header, (guint64) MAIL_HEADER_MAX), error);
}

/* ---- Finding ---- */

static gboolean
is_wanted (const Section *s, Slice name)
{
	for (char **f = s->fields; *f; f++)
		if (slice_equals_ascii_case (name, *f))
			return s->text == SECTION_FIELDS;
	return s->text == SECTION_FIELDS_NOT;
}

static gsize
line_size (const char *at, const char *end)
{
	const char *lf = memchr (at, '\n', (gsize) (end - at));
	return (gsize) ((lf ? lf + 1 : end) - at);
}

/* The lines of the wanted fields as they stand, in their order, and an empty line. */
static GBytes *
filter_fields (const Section *s, const char *at, gsize size)
{
	GByteArray *out = g_byte_array_new ();
	const char *end = at + size;
	gboolean wanted = FALSE;
	for (gsize n; at < end; at += n) {
		n = line_size (at, end);
		gsize bare = n;
		while (bare > 0 && (at[bare - 1] == '\n' || at[bare - 1] == '\r'))
			bare--;
		if (bare == 0)
			break;
		if (*at != ' ' && *at != '\t') {
			const char *colon = memchr (at, ':', bare);
			gsize name = colon ? (gsize) (colon - at) : bare;
			while (name > 0 && (at[name - 1] == ' ' || at[name - 1] == '\t'))
				name--;
			wanted = colon ? is_wanted (s, (Slice){at, name}) : s->text == SECTION_FIELDS_NOT;
		}
		if (wanted)
			g_byte_array_append (out, (const guint8 *) at, (guint) n);
	}
	g_byte_array_append (out, (const guint8 *) "\r\n", 2);
	return g_byte_array_free_to_bytes (out);
}

/* The message whose header is asked for: of a part, the message within it. NULL: it holds none. */
static const MailPart *
message_within (const MailStructure *m, const MailPart *p)
{
	if (p == mail_structure_part (m, 0))
		return p;
	return p->is_message ? p + 1 : NULL; /* its only child stands next */
}

static gboolean
find_fields (const Section *s, Source *source, const MailPart *p, GBytes **made_out, GError **error)
{
	gsize size;
	g_autoptr (GBytes) header = store_read (source->store, source->message, p->header,
	                                        (gsize) MIN (p->body - p->header, (guint64) MAIL_HEADER_MAX), error);
	if (!header)
		return FALSE;
	const char *octets = g_bytes_get_data (header, &size);
	*made_out = filter_fields (s, octets ? octets : "", size);
	return TRUE;
}

gboolean
section_part (const Section *s, Source *source, const MailPart **part_out, GError **error)
{
	const MailStructure *m = source_structure (source, error);
	*part_out = m ? mail_structure_find (m, s->part) : NULL;
	return m != NULL;
}

gboolean
section_find (const Section *s, Source *source, guint64 *from_out, guint64 *to_out, GBytes **made_out, gboolean *found_out, GError **error)
{
	*from_out = 0;
	*to_out = source->size;
	*made_out = NULL;
	*found_out = TRUE;
	if (!*s->part && s->text == SECTION_ALL)
		return TRUE;
	const MailPart *p;
	if (!section_part (s, source, &p, error))
		return FALSE;
	if (p && s->text != SECTION_ALL && s->text != SECTION_MIME)
		p = message_within (source->structure, p);
	if (!p) {
		*found_out = FALSE;
		return TRUE;
	}
	switch (s->text) {
	case SECTION_FIELDS:
	case SECTION_FIELDS_NOT:
		return find_fields (s, source, p, made_out, error);
	case SECTION_HEADER:
	case SECTION_MIME:
		*from_out = p->header;
		*to_out = p->body;
		return TRUE;
	case SECTION_ALL:
	case SECTION_TEXT:
		break;
	}
	*from_out = p->body;
	*to_out = p->end;
	return TRUE;
}
