/* SPDX-License-Identifier: Apache-2.0 */
#include "search-words.h"
#include <string.h>

typedef enum {
	SEPARATES,
	LETTER,  /* or digit: part of a word */
	PAIRED,  /* of a script without blanks */
	HANGUL,  /* paired, but blanks and line ends separate words */
	DROPPED, /* accents, points, format characters */
	SEVERAL, /* folds to more than the table holds: worked out each time */
} Class;

/* What a character becomes. Kept in blocks of 256 that are made when first needed. */
typedef struct {
	guint8 class, size;
	char text[6];
} Fold;

#define LAST_BLOCK 0x1ff /* characters above are of the ideographic planes, private or unassigned */
static gsize blocks[LAST_BLOCK + 1];

/* ---- The table ---- */

static gboolean
is_mark (gunichar c)
{
	GUnicodeType type = g_unichar_type (c);
	return type == G_UNICODE_NON_SPACING_MARK || type == G_UNICODE_ENCLOSING_MARK || type == G_UNICODE_SPACING_MARK;
}

/* Scripts whose marks are accents or points that readers leave out; elsewhere marks are vowels. */
static gboolean
has_accents (gunichar c)
{
	switch (g_unichar_get_script (c)) {
	case G_UNICODE_SCRIPT_COMMON:
	case G_UNICODE_SCRIPT_INHERITED:
	case G_UNICODE_SCRIPT_LATIN:
	case G_UNICODE_SCRIPT_GREEK:
	case G_UNICODE_SCRIPT_CYRILLIC:
	case G_UNICODE_SCRIPT_HEBREW:
	case G_UNICODE_SCRIPT_ARABIC:
	case G_UNICODE_SCRIPT_SYRIAC:
		return TRUE;
	default:
		return FALSE;
	}
}

static Class
class_of_script (gunichar c)
{
	switch (g_unichar_get_script (c)) {
	case G_UNICODE_SCRIPT_HANGUL:
		return HANGUL;
	case G_UNICODE_SCRIPT_HAN:
	case G_UNICODE_SCRIPT_HIRAGANA:
	case G_UNICODE_SCRIPT_KATAKANA:
	case G_UNICODE_SCRIPT_BOPOMOFO:
	case G_UNICODE_SCRIPT_YI:
	case G_UNICODE_SCRIPT_THAI:
	case G_UNICODE_SCRIPT_LAO:
	case G_UNICODE_SCRIPT_KHMER:
	case G_UNICODE_SCRIPT_MYANMAR:
	case G_UNICODE_SCRIPT_TAI_LE:
	case G_UNICODE_SCRIPT_NEW_TAI_LUE:
	case G_UNICODE_SCRIPT_TAI_THAM:
	case G_UNICODE_SCRIPT_TAI_VIET:
	case G_UNICODE_SCRIPT_JAVANESE:
	case G_UNICODE_SCRIPT_BALINESE:
		return PAIRED;
	default:
		return LETTER;
	}
}

static Class
class_of (gunichar c)
{
	if (c == 0x30fc || c == 0x3006 || c == 0x303c) /* common to several scripts, met in these */
		return PAIRED;
	if (c >= 0x20000 && c < 0x40000)
		return PAIRED;
	if (g_unichar_isalnum (c))
		return class_of_script (c);
	if (is_mark (c))
		return has_accents (c) ? DROPPED : class_of_script (c);
	return g_unichar_type (c) == G_UNICODE_FORMAT ? DROPPED : SEPARATES;
}

/* Letters that Unicode does not take apart but people do, and those that one keyboard has for another's. "" drops. */
static const struct {
	gunichar letter;
	const char *text;
} respelt[] = {
	{0x131, "i"}, {0x142, "l"}, {0xf8, "o"}, {0x111, "d"}, {0xf0, "d"}, {0x127, "h"}, {0x167, "t"}, {0xe6, "ae"}, {0x153, "oe"}, {0xfe, "th"},
	{0x640, ""}, {0x649, "\331\212"}, {0x6a9, "\331\203"}, {0x6cc, "\331\212"},
};

static void
append_letter (GString *out, gunichar c)
{
	int digit = c > 127 && g_unichar_type (c) == G_UNICODE_DECIMAL_NUMBER ? g_unichar_digit_value (c) : -1;
	c = digit >= 0 ? (gunichar) ('0' + digit) : g_unichar_tolower (c); /* Cherokee is folded to capitals */
	for (gsize i = 0; i < G_N_ELEMENTS (respelt); i++)
		if (respelt[i].letter == c) {
			g_string_append (out, respelt[i].text);
			return;
		}
	g_string_append_unichar (out, c);
}

/* @c without its accents. The short i of Cyrillic is a letter of its own. */
static void
append_bare (GString *out, gunichar c)
{
	gunichar parts[G_UNICHAR_MAX_DECOMPOSITION_LENGTH] = {c};
	gsize n = c != 0x439 && has_accents (c) ? g_unichar_fully_decompose (c, FALSE, parts, G_N_ELEMENTS (parts)) : 1;
	for (gsize i = 0; i < n; i++)
		if (class_of (parts[i]) != DROPPED)
			append_letter (out, parts[i]);
}

/* Signs that stand after a word without being part of it: trade marks, numbers of footnotes. */
static gboolean
is_annotation (gunichar c)
{
	return c == 0x2122 || c == 0x2120 || c == 0xb2 || c == 0xb3 || c == 0xb9 || (c >= 0x2070 && c <= 0x209c);
}

/* What @c is to be read as; empty when it separates. */
static GString *
fold_text (gunichar c)
{
	GString *out = g_string_new (NULL);
	char utf8[6];
	g_autofree char *composed = g_utf8_normalize (utf8, g_unichar_to_utf8 (c, utf8), G_NORMALIZE_ALL_COMPOSE);
	g_autofree char *folded = composed ? g_utf8_casefold (composed, -1) : NULL;
	for (const char *at = folded; at && *at && !is_annotation (c); at = g_utf8_next_char (at)) {
		gunichar d = g_utf8_get_char (at);
		if (class_of (d) != SEPARATES)
			append_bare (out, d);
		else if (g_unichar_type (c) != G_UNICODE_OTHER_SYMBOL) {
			g_string_truncate (out, 0); /* a fraction: not the number without its stroke */
			break;
		}
	}
	return out;
}

static gboolean
are_letters (const GString *text)
{
	for (const char *at = text->str; *at; at = g_utf8_next_char (at))
		if (class_of (g_utf8_get_char (at)) != LETTER)
			return FALSE;
	return TRUE;
}

static Fold
make_fold (gunichar c)
{
	Fold f = {.class = (guint8) class_of (c)};
	if (f.class == DROPPED)
		return f;
	g_autoptr (GString) text = fold_text (c);
	if (!text->len) {
		f.class = f.class == LETTER && !is_annotation (c) && g_unichar_isalpha (c) ? DROPPED : SEPARATES;
		return f;
	}
	f.class = (guint8) class_of (g_utf8_get_char (text->str));
	gboolean one = text->len == (gsize) g_utf8_skip[(guchar) *text->str];
	if (text->len > sizeof f.text || !(one || are_letters (text)))
		return (Fold){.class = SEVERAL};
	f.size = (guint8) text->len;
	memcpy (f.text, text->str, text->len);
	return f;
}

static const Fold *
fold (gunichar c)
{
	static const Fold ideograph = {.class = PAIRED};
	guint number = c >> 8;
	if (number > LAST_BLOCK)
		return c < 0x40000 ? &ideograph : fold (0);
	if (g_once_init_enter (&blocks[number])) {
		Fold *block = g_new (Fold, 256);
		for (guint i = 0; i < 256; i++)
			block[i] = make_fold (number << 8 | i);
		g_once_init_leave (&blocks[number], (gsize) block);
	}
	return (const Fold *) blocks[number] + (c & 0xff);
}

/* ---- Reading ---- */

typedef struct {
	WordFn fn;
	gpointer data;
	char word[WORD_MAX + 6]; /* the word being read; size 0: none */
	gsize size, start, end;
	char last[12]; /* the last character of a run of pairs, and room for the next */
	gsize last_size, last_start, last_end;
	gboolean hangul, line_end; /* of the last character; a line ended after it */
} Words;

static void
end_word (Words *w)
{
	if (w->size)
		w->fn (w->data, w->word, w->size, WORD_WHOLE, w->start, w->end);
	w->size = 0;
}

static void
end_run (Words *w)
{
	if (w->last_size)
		w->fn (w->data, w->last, w->last_size, WORD_LAST, w->last_start, w->last_end);
	w->last_size = 0;
	w->line_end = FALSE;
}

static void
add_letters (Words *w, const char *text, gsize size, gsize start, gsize end)
{
	end_run (w);
	if (!w->size)
		w->start = start;
	w->end = end;
	if (w->size + size <= WORD_MAX) {
		memcpy (w->word + w->size, text, size);
		w->size += size;
	}
}

static void
add_paired (Words *w, gboolean hangul, const char *text, gsize size, gsize start, gsize end)
{
	end_word (w);
	if (w->line_end && (hangul || w->hangul))
		end_run (w);
	if (w->last_size) {
		memcpy (w->last + w->last_size, text, size);
		w->fn (w->data, w->last, w->last_size + size, WORD_PAIR, w->last_start, end);
	}
	memcpy (w->last, text, size);
	w->last_size = size;
	w->last_start = start;
	w->last_end = end;
	w->hangul = hangul;
	w->line_end = FALSE;
}

static void
separate (Words *w, gunichar c)
{
	end_word (w);
	if (c == '\n' && w->last_size && !w->line_end)
		w->line_end = TRUE;
	else
		end_run (w);
}

static void
add_folded (Words *w, const Fold *f, gunichar c, gsize start, gsize end)
{
	switch (f->class) {
	case LETTER:
		add_letters (w, f->text, f->size, start, end);
		break;
	case PAIRED:
	case HANGUL: {
		char utf8[6];
		gsize n = f->size ? f->size : (gsize) g_unichar_to_utf8 (c, utf8);
		add_paired (w, f->class == HANGUL, f->size ? f->text : utf8, n, start, end);
		break;
	}
	case DROPPED: /* it still belongs to what it stands on */
		if (w->size && w->end == start)
			w->end = end;
		if (w->last_size && w->last_end == start)
			w->last_end = end;
		break;
	default:
		separate (w, c);
	}
}

/* A character that stands for several, such as the square forms of Japanese words. */
static void
add_several (Words *w, gunichar c, gsize start, gsize end)
{
	g_autoptr (GString) text = fold_text (c);
	for (const char *at = text->str; *at; at = g_utf8_next_char (at)) {
		gunichar d = g_utf8_get_char (at);
		const Fold *f = fold (d);
		if (f->class != SEVERAL)
			add_folded (w, f, d, start, end);
	}
}

/* Joins @c with what follows where the pair is another letter, not an accent: Cyrillic short i, voiced kana (halfwidth ones, too),
 * Hangul syllables from their parts. */
static gboolean
join (gunichar *c, gunichar next)
{
	if (next == 0xff9e || next == 0xff9f)
		next = next == 0xff9e ? 0x3099 : 0x309a;
	gboolean voiced = next == 0x3099 || next == 0x309a, syllable = next >= 0x1161 && next <= 0x11c2;
	if (!voiced && !syllable && !(next == 0x306 && (*c == 0x438 || *c == 0x418)))
		return FALSE;
	gunichar first = *c;
	if (voiced && first >= 0xff66 && first <= 0xff9d)
		g_unichar_fully_decompose (first, TRUE, &first, 1);
	return g_unichar_compose (first, next, c);
}

/* The next character and its size; (gunichar) -1 for an octet that is not UTF-8. */
static gunichar
next_character (const char *at, gsize size, gsize *used_out)
{
	gunichar c = g_utf8_get_char_validated (at, (gssize) size);
	gboolean good = c < (gunichar) -2;
	*used_out = good ? (gsize) g_utf8_skip[(guchar) *at] : 1;
	return good ? c : (gunichar) -1;
}

static gsize
add_character (Words *w, const char *text, gsize at, gsize size)
{
	gsize used, more;
	gunichar c = next_character (text + at, size - at, &used);
	if (c == (gunichar) -1) {
		separate (w, 0);
		return used;
	}
	while (at + used < size && (guchar) text[at + used] >= 0xcc && join (&c, next_character (text + at + used, size - at - used, &more)))
		used += more;
	const Fold *f = fold (c);
	if (f->class == SEVERAL)
		add_several (w, c, at, at + used);
	else
		add_folded (w, f, c, at, at + used);
	return used;
}

void
words_each (const char *text, gsize size, WordFn fn, gpointer data)
{
	Words w = {.fn = fn, .data = data};
	for (gsize at = 0; at < size;) {
		char c = text[at];
		if ((guchar) c >= 0x80) {
			at += add_character (&w, text, at, size);
			continue;
		}
		char lower = g_ascii_tolower (c);
		if (g_ascii_isalnum (c))
			add_letters (&w, &lower, 1, at, at + 1);
		else
			separate (&w, (guchar) c);
		at++;
	}
	end_word (&w);
	end_run (&w);
}

static void
append_word (gpointer data, const char *word, gsize size, WordKind kind, gsize start, gsize end)
{
	g_string_append_len (data, word, (gssize) size);
	g_string_append_c (data, ' ');
}

void
words_append (GString *out, const char *text)
{
	words_each (text, strlen (text), append_word, out);
}

char *
words_fold_name (const char *name)
{
	if (!g_utf8_validate (name, -1, NULL))
		return g_strdup (name);
	g_autoptr (GString) out = g_string_new (NULL);
	g_autofree char *folded = g_utf8_casefold (name, -1), *apart = g_utf8_normalize (folded, -1, G_NORMALIZE_ALL);
	for (const char *at = apart ? apart : name; *at; at = g_utf8_next_char (at))
		if (class_of (g_utf8_get_char (at)) != DROPPED)
			g_string_append_unichar (out, g_utf8_get_char (at));
	return g_string_free (g_steal_pointer (&out), FALSE);
}
