/* SPDX-License-Identifier: Apache-2.0 */
/* Beginnings of one and two letters. FTS5 answers a prefix by joining the lists of all words that have it, which for a* are most of the
 * index. So the index gets each such beginning of a column's words as a word of its own, once a message, behind the text, marked by
 * a character that no word has. Its own option for this (prefix=) would double the index, since it keeps every position. Letters are
 * those of up to two octets (up to Arabic): in what lies above, a character says more and begins fewer words. */
#include "search-private.h"
#include <string.h>

#define MARK "\356\200\200" /* U+E000, private use */
#define LETTER_BITS 11      /* of a character of two octets */

/* The character at @at of at most two octets; 0: another one, or none. */
static gunichar
letter_at (const char *at, gsize *size_out)
{
	guchar first = (guchar) *at;
	*size_out = first < 0x80 ? 1 : 2;
	if (first == '\0' || first == ' ' || first >= 0xe0)
		return 0;
	return first < 0x80 ? first : (gunichar) ((first & 0x1f) << 6 | ((guchar) at[1] & 0x3f));
}

static void
append_once (GString *column, Bits *seen, gint64 id, gsize word, gsize size)
{
	if (bits_has (seen, id))
		return;
	bits_add (seen, id);
	g_string_append (column, MARK);
	for (gsize i = 0; i < size; i++)
		g_string_append_c (column, column->str[word + i]);
	g_string_append_c (column, ' ');
}

void
short_append (GString *column)
{
	g_autoptr (Bits) seen = bits_new ();
	gsize end = column->len, first_size, second_size;
	for (gsize at = 1; at < end;) {
		gunichar first = letter_at (column->str + at, &first_size);
		gunichar second = first ? letter_at (column->str + at + first_size, &second_size) : 0;
		if (first)
			append_once (column, seen, first, at, first_size);
		if (second)
			append_once (column, seen, (gint64) second << LETTER_BITS | first, at, first_size + second_size);
		const char *blank = memchr (column->str + at, ' ', end - at);
		at = blank ? (gsize) (blank - column->str) + 1 : end;
	}
}

char *
short_word (const char *text)
{
	gsize first_size, second_size = 0;
	const char *word = text + 1;
	gunichar first = letter_at (word, &first_size);
	if (!first || (word[first_size] && !letter_at (word + first_size, &second_size)) || word[first_size + second_size])
		return NULL;
	return g_strconcat (MARK, word, NULL);
}
