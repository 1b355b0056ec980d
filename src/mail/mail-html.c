/* SPDX-License-Identifier: Apache-2.0 */
/* HTML as readable text. A tokeniser that goes through the octets once and needs no tree: whatever the nesting, the time is linear.
 * Blocks stand on lines of their own, cells of a table row on one line, quotations begin with "> ". Scripts, styles and the head are left
 * out up to their end tag, or up to the end of the document where that is missing; comments end with "-->", else with ">". */
#include "mail-private.h"
#include "mail-entities.h"
#include <string.h>

#define NAME_MAX_OCTETS 11u /* longer ones are of no tag that matters */
#define ENTITY_MAX 10u
#define QUOTES_MAX 8u
#define LINE_ENDS_MAX 2u /* an empty line at most */

typedef enum {
	TAG_NONE,
	TAG_BLOCK,     /* begins and ends a line */
	TAG_PARAGRAPH, /* an empty line around it */
	TAG_BREAK,
	TAG_RULE,
	TAG_ITEM,
	TAG_CELL,
	TAG_PRE,
	TAG_QUOTE,
	TAG_IMAGE,
	TAG_HIDDEN, /* its content is no text */
} Tag;

static const struct {
	const char *name;
	Tag tag;
} tags[] = {
	{"address", TAG_BLOCK},   {"article", TAG_BLOCK},  {"aside", TAG_BLOCK},   {"blockquote", TAG_QUOTE}, {"br", TAG_BREAK},
	{"caption", TAG_BLOCK},   {"center", TAG_BLOCK},   {"dd", TAG_BLOCK},      {"div", TAG_BLOCK},        {"dl", TAG_BLOCK},
	{"dt", TAG_BLOCK},        {"fieldset", TAG_BLOCK}, {"figure", TAG_BLOCK},  {"footer", TAG_BLOCK},     {"form", TAG_BLOCK},
	{"h1", TAG_PARAGRAPH},    {"h2", TAG_PARAGRAPH},   {"h3", TAG_PARAGRAPH},  {"h4", TAG_PARAGRAPH},     {"h5", TAG_PARAGRAPH},
	{"h6", TAG_PARAGRAPH},    {"header", TAG_BLOCK},   {"hr", TAG_RULE},       {"img", TAG_IMAGE},        {"legend", TAG_BLOCK},
	{"li", TAG_ITEM},         {"main", TAG_BLOCK},     {"nav", TAG_BLOCK},     {"noembed", TAG_NONE},     {"ol", TAG_BLOCK},
	{"option", TAG_BLOCK},    {"p", TAG_PARAGRAPH},    {"pre", TAG_PRE},       {"script", TAG_HIDDEN},    {"section", TAG_BLOCK},
	{"style", TAG_HIDDEN},    {"table", TAG_BLOCK},    {"tbody", TAG_BLOCK},   {"td", TAG_CELL},          {"textarea", TAG_PRE},
	{"tfoot", TAG_BLOCK},     {"th", TAG_CELL},        {"thead", TAG_BLOCK},   {"title", TAG_HIDDEN},     {"tr", TAG_BLOCK},
	{"ul", TAG_BLOCK},        {"xmp", TAG_PRE},
};

typedef struct {
	const char *at, *end;
	GString *out;
	gsize max;
	guint pending_ends; /* line ends to be written before the next text */
	gboolean blank;     /* a blank is to be written before it */
	gboolean cell;      /* the next text is in a further cell of the row */
	gboolean item;      /* ... begins an item of a list */
	gboolean row_text;  /* this line has text */
	guint pre, quotes;
	gboolean no_comment_end; /* there is no "-->" any more: looking again and again would take quadratic time */
} Html;

/* ---- Text out ---- */

static void
begin_line (Html *h)
{
	for (guint i = 0; i < MIN (h->quotes, QUOTES_MAX); i++)
		g_string_append (h->out, "> ");
	if (h->item)
		g_string_append (h->out, "* ");
	h->item = FALSE;
}

static void
end_line (Html *h, guint ends)
{
	h->blank = h->cell = FALSE;
	if (h->out->len)
		h->pending_ends = MAX (h->pending_ends, ends);
	h->row_text = FALSE;
}

static void
before_text (Html *h)
{
	if (!h->row_text) {
		for (guint i = 0; i < h->pending_ends; i++)
			g_string_append_c (h->out, '\n');
		begin_line (h);
	} else if (h->cell) {
		g_string_append_c (h->out, '\t');
	} else if (h->blank) {
		g_string_append_c (h->out, ' ');
	}
	h->pending_ends = 0;
	h->blank = h->cell = FALSE;
	h->row_text = TRUE;
}

static void
put_pre_line_end (Html *h)
{
	if (!h->row_text)
		h->pending_ends = h->out->len ? MIN (h->pending_ends + 1, LINE_ENDS_MAX) : 0;
	else
		end_line (h, 1);
}

static void
put_blank (Html *h, char c)
{
	if (h->pre && c == '\n') {
		put_pre_line_end (h);
	} else if (h->pre && c != '\r') {
		before_text (h);
		g_string_append_c (h->out, c);
	} else
		h->blank = TRUE;
}

static void
put_character (Html *h, gunichar c)
{
	if (c == 0xa0)
		c = ' ';
	if (c == 0xad || c == 0x200b || c == 0x200c || c == 0xfeff || c == 0x34f || c == 0x2007) { /* newsletters pad with these */
		return;
	}
	if (c < 0x80 && mail_is_blank ((char) c)) {
		put_blank (h, (char) c);
		return;
	}
	if (c < 32 || c == 127 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	before_text (h);
	g_string_append_unichar (h->out, c);
}

/* ---- Entities ---- */

static gunichar
entity_named (const char *name, gsize size)
{
	gsize lo = 0, hi = G_N_ELEMENTS (html_entities);
	while (lo < hi) {
		gsize mid = (lo + hi) / 2;
		int order = strncmp (html_entities[mid].name, name, size);
		if (order == 0 && html_entities[mid].name[size])
			order = 1;
		if (order == 0)
			return html_entities[mid].code;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

static gunichar
entity_number (const char **at, const char *end)
{
	gboolean hex = *at < end && (**at == 'x' || **at == 'X');
	gunichar code = 0;
	const char *start = *at += hex;
	while (*at < end && (hex ? g_ascii_isxdigit (**at) : g_ascii_isdigit (**at))) {
		code = MIN (code * (hex ? 16 : 10) + (gunichar) g_ascii_xdigit_value (**at), 0x110000u);
		++*at;
	}
	if (*at == start)
		return 0;
	if (code >= 0x80 && code < 0xa0) { /* windows-1252 was meant (HTML, section 13.2.5.80) */
		g_autoptr (GString) text = g_string_new (NULL);
		char octet = (char) code;
		charset_append (text, &octet, 1, "windows-1252");
		return g_utf8_get_char (text->str);
	}
	return code ? code : 0xfffd;
}

/* The character at "&" and the place behind it; "&" itself when it begins nothing known. */
static gunichar
read_entity (const char **at, const char *end)
{
	const char *start = *at + 1, *p = start;
	gunichar c = 0;
	if (p < end && *p == '#') {
		p++;
		c = entity_number (&p, end);
	} else {
		while (p < end && p - start < (gssize) ENTITY_MAX && g_ascii_isalnum (*p))
			p++;
		if (p > start)
			c = entity_named (start, (gsize) (p - start));
	}
	if (!c) {
		*at = start;
		return '&';
	}
	*at = p < end && *p == ';' ? p + 1 : p;
	return c;
}

/* ---- Tags ---- */

typedef struct {
	Tag tag;
	gboolean closing, empty;
	char name[NAME_MAX_OCTETS + 1];
	Slice alt;
} Element;

static Tag
tag_named (const char *name)
{
	gsize lo = 0, hi = G_N_ELEMENTS (tags);
	while (lo < hi) {
		gsize mid = (lo + hi) / 2;
		int order = strcmp (tags[mid].name, name);
		if (order == 0)
			return tags[mid].tag;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return TAG_NONE;
}

/* The value of an attribute behind "=". */
static Slice
read_attribute_value (Html *h)
{
	while (h->at < h->end && mail_is_blank (*h->at))
		h->at++;
	const char *start = h->at;
	if (h->at < h->end && (*h->at == '"' || *h->at == '\'')) {
		const char *close = memchr (h->at + 1, *h->at, (gsize) (h->end - h->at - 1));
		h->at = close ? close + 1 : h->end;
		return slice_of (start + 1, (gsize) ((close ? close : h->end) - start - 1));
	}
	while (h->at < h->end && *h->at != '>' && !mail_is_blank (*h->at))
		h->at++;
	return slice_of (start, (gsize) (h->at - start));
}

/* Up to and with the ">" of the tag. */
static void
read_attributes (Html *h, Element *e)
{
	while (h->at < h->end && *h->at != '>') {
		if (mail_is_blank (*h->at) || *h->at == '/' || *h->at == '"' || *h->at == '\'' || *h->at == '=') {
			e->empty = *h->at == '/';
			h->at++;
			continue;
		}
		const char *start = h->at;
		while (h->at < h->end && *h->at != '=' && *h->at != '>' && *h->at != '/' && !mail_is_blank (*h->at))
			h->at++;
		Slice name = slice_of (start, (gsize) (h->at - start));
		while (h->at < h->end && mail_is_blank (*h->at))
			h->at++;
		if (h->at == h->end || *h->at != '=')
			continue;
		h->at++;
		Slice value = read_attribute_value (h);
		if (slice_equals_ascii_case (name, "alt"))
			e->alt = value;
		e->empty = FALSE;
	}
	h->at += h->at < h->end;
}

/* At a letter or "/" behind "<". */
static Element
read_tag (Html *h)
{
	Element e = {0};
	e.closing = *h->at == '/';
	h->at += e.closing;
	gsize n = 0;
	for (; h->at < h->end && (g_ascii_isalnum (*h->at) || *h->at == '-' || *h->at == ':'); h->at++, n++)
		if (n < NAME_MAX_OCTETS)
			e.name[n] = g_ascii_tolower (*h->at);
	if (n > NAME_MAX_OCTETS)
		e.name[0] = '\0';
	e.tag = tag_named (e.name);
	read_attributes (h, &e);
	return e;
}

/* Behind "</name". What a script or style holds may look like tags. */
static void
skip_hidden (Html *h, const char *name)
{
	gsize n = strlen (name);
	while (h->at < h->end) {
		const char *lt = memchr (h->at, '<', (gsize) (h->end - h->at));
		h->at = lt ? lt + 1 : h->end;
		if ((gsize) (h->end - h->at) > n && *h->at == '/' && g_ascii_strncasecmp (h->at + 1, name, n) == 0) {
			h->at++;
			Element e = read_tag (h);
			(void) e;
			return;
		}
	}
}

static void
put_alt (Html *h, Slice alt)
{
	alt = mail_trim (alt);
	if (!alt.size)
		return;
	const char *at = alt.data, *end = slice_end (alt);
	while (at < end && h->out->len < h->max) {
		if (*at == '&') {
			put_character (h, read_entity (&at, end));
			continue;
		}
		put_character (h, g_utf8_get_char (at));
		at = g_utf8_next_char (at);
	}
}

static void
apply (Html *h, const Element *e)
{
	switch (e->tag) {
	case TAG_NONE:
		return;
	case TAG_BLOCK:
		end_line (h, 1);
		return;
	case TAG_PARAGRAPH:
		end_line (h, 2);
		return;
	case TAG_BREAK:
		put_pre_line_end (h);
		return;
	case TAG_RULE:
		end_line (h, 1);
		before_text (h);
		g_string_append (h->out, "----");
		end_line (h, 1);
		return;
	case TAG_ITEM:
		end_line (h, 1);
		h->item = !e->closing;
		return;
	case TAG_CELL:
		h->cell = h->row_text;
		return;
	case TAG_PRE:
		end_line (h, 1);
		h->pre = e->closing ? h->pre - (h->pre > 0) : h->pre + 1;
		return;
	case TAG_QUOTE:
		end_line (h, 1);
		h->quotes = e->closing ? h->quotes - (h->quotes > 0) : h->quotes + 1;
		return;
	case TAG_IMAGE:
		put_alt (h, e->alt);
		return;
	case TAG_HIDDEN:
		if (!e->closing && !e->empty)
			skip_hidden (h, e->name);
		return;
	}
}

/* "<!": a comment or a declaration. */
static void
skip_declaration (Html *h)
{
	gsize left = (gsize) (h->end - h->at);
	if (left >= 3 && memcmp (h->at, "!--", 3) == 0 && !h->no_comment_end) {
		const char *end = memmem (h->at + 1, left - 1, "-->", 3);
		if (end) {
			h->at = end + 3;
			return;
		}
		h->no_comment_end = TRUE;
	}
	const char *gt = memchr (h->at, '>', left);
	h->at = gt ? gt + 1 : h->end;
}

static void
read_markup (Html *h)
{
	h->at++;
	if (h->at == h->end)
		return;
	if (*h->at == '!' || *h->at == '?') {
		skip_declaration (h);
	} else if (g_ascii_isalpha (*h->at) || *h->at == '/') {
		Element e = read_tag (h);
		apply (h, &e);
	} else
		put_character (h, '<');
}

static gboolean
is_word_octet (char c)
{
	return (guchar) c > ' ' && (guchar) c < 127 && c != '<' && c != '&';
}

static void
read_text (Html *h)
{
	const char *start = h->at;
	while (h->at < h->end && is_word_octet (*h->at))
		h->at++;
	if (h->at > start) {
		before_text (h);
		g_string_append_len (h->out, start, h->at - start);
		return;
	}
	put_character (h, g_utf8_get_char (h->at));
	h->at = g_utf8_next_char (h->at);
}

char *
mail_html_to_text (const char *html, gsize size, gsize max)
{
	g_autoptr (GString) valid = g_string_sized_new (size + 1);
	charset_append (valid, html, size, "utf-8");
	Html h = {.at = valid->str, .end = valid->str + valid->len, .out = g_string_new (NULL), .max = max};
	while (h.at < h.end && h.out->len < max) {
		if (*h.at == '<')
			read_markup (&h);
		else if (*h.at == '&')
			put_character (&h, read_entity (&h.at, h.end));
		else
			read_text (&h);
	}
	utf8_truncate (h.out, max);
	return g_string_free (h.out, FALSE);
}
