/* SPDX-License-Identifier: Apache-2.0 */
/* A line of a message's text around the first of the words that were asked for. */
#include "search-private.h"
#include <string.h>

#define BEFORE 60u /* octets before the first match, about */
#define LENGTH 200u
#define MATCHES_MAX 64u

typedef struct {
	gsize start, end;
	gboolean pair; /* of characters */
} Span;

/* The words of a text as a Doc's column has them, with the place of each in both. */
typedef struct {
	GString *words;
	GArray *at;     /* guint32: where a word begins in words */
	GArray *places; /* Span in the text */
} Map;

static void
map_word (gpointer data, const char *word, gsize size, WordKind kind, gsize start, gsize end)
{
	Map *m = data;
	guint32 at = (guint32) m->words->len;
	Span place = {start, end, kind == WORD_PAIR};
	g_array_append_val (m->at, at);
	g_array_append_val (m->places, place);
	g_string_append_len (m->words, word, (gssize) size);
	g_string_append_c (m->words, ' ');
}

static void
map_init (Map *m, const char *text)
{
	m->words = g_string_new (" ");
	m->at = g_array_new (FALSE, FALSE, sizeof (guint32));
	m->places = g_array_new (FALSE, FALSE, sizeof (Span));
	words_each (text, strlen (text), map_word, m);
}

static void
map_done (Map *m)
{
	g_string_free (m->words, TRUE);
	g_array_unref (m->at);
	g_array_unref (m->places);
}

/* The number of the word that has octet @at of words. */
static guint
word_at (const Map *m, guint32 at)
{
	guint lo = 0, hi = m->at->len;
	while (hi - lo > 1) {
		guint middle = (lo + hi) / 2;
		if (g_array_index (m->at, guint32, middle) <= at)
			lo = middle;
		else
			hi = middle;
	}
	return lo;
}

/* A word that begins as asked is shown whole, but of a pair its first character only. */
static void
find_text (const Map *m, const char *original, const Node *n, GArray *found)
{
	gsize size = strlen (n->text);
	const char *at = m->words->str;
	for (guint count = 0; count < MATCHES_MAX && (at = strstr (at, n->text)); count++, at++) {
		guint32 start = (guint32) (at - m->words->str) + 1, end = start + (guint32) size - 2;
		Span first = g_array_index (m->places, Span, word_at (m, start)), last = g_array_index (m->places, Span, word_at (m, end - !n->prefix));
		if (n->prefix && last.pair)
			last.end = (gsize) (g_utf8_next_char (original + last.start) - original);
		first.end = last.end;
		g_array_append_val (found, first);
	}
}

/* What @n asks for in the text, but not what it excludes. */
static void
find_all (const Map *m, const char *original, const Node *n, GArray *found)
{
	if (n->type == NODE_TEXT && n->columns & 1u << COLUMN_BODY)
		find_text (m, original, n, found);
	for (guint i = 0; n->children && n->type != NODE_NOT && i < n->children->len; i++)
		find_all (m, original, n->children->pdata[i], found);
}

static int
by_start (gconstpointer a, gconstpointer b)
{
	const Span *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* The beginning of the character, and if it is near, of the word that has octet @at. */
static gsize
word_start (const char *text, gsize at)
{
	gsize back = at;
	while (back && at - back < BEFORE / 3 && !g_ascii_isspace (text[back - 1]))
		back--;
	if (back == 0 || g_ascii_isspace (text[back - 1]))
		return back;
	while (at && ((guchar) text[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Blanks squeezed to one; what could be taken for a mark is left out. */
static void
append_line (GString *out, const char *text, gsize start, gsize end)
{
	for (const char *at = text + start; at < text + end; at = g_utf8_next_char (at)) {
		gunichar c = g_utf8_get_char (at);
		if (!g_unichar_isspace (c) && !g_unichar_iscntrl (c))
			g_string_append_unichar (out, c);
		else if (out->len && out->str[out->len - 1] != ' ' && g_unichar_isspace (c))
			g_string_append_c (out, ' ');
	}
}

static char *
mark_up (const char *text, const GArray *found)
{
	GString *out = g_string_new (NULL);
	gsize first = g_array_index (found, Span, 0).start, at = word_start (text, first > BEFORE ? first - BEFORE : 0), start = at;
	for (guint i = 0; i < found->len; i++) {
		Span s = g_array_index (found, Span, i);
		if (s.start < at || (i && s.end - start > LENGTH))
			continue;
		append_line (out, text, at, s.start);
		g_string_append_c (out, '\1');
		append_line (out, text, s.start, s.end);
		g_string_append_c (out, '\2');
		at = s.end;
	}
	gsize size = strlen (text), end = MAX (at, start + LENGTH);
	append_line (out, text, at, end < size ? MAX (at, word_start (text, end)) : size);
	return g_strchomp (g_string_free (out, FALSE));
}

char *
search_snippet (Store *s, const SearchQuery *q, gint64 message, GError **error)
{
	g_autoptr (Message) m = store_message (s, message, error);
	g_autofree char *text = m ? doc_text (s, m, error) : NULL;
	if (!text)
		return NULL;
	Map map;
	g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (Span));
	map_init (&map, text);
	find_all (&map, text, q->root, found);
	map_done (&map);
	g_array_sort (found, by_start);
	return found->len ? mark_up (text, found) : NULL;
}
