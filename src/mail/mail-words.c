/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded words (RFC 2047) and what stands raw between them. Written here because the libraries at hand lose words: those with padding
 * that stand side by side, and those cut inside a character. */
#include "mail-private.h"
#include <string.h>

#define CHARSET_MAX 60u

typedef struct {
	Slice charset;
	char encoding; /* 'B' or 'Q' */
	Slice text;
	gsize size;
} EncodedWord;

static gboolean
read_encoded_word (const char *at, gsize size, EncodedWord *w)
{
	const char *end = at + size;
	if (size < 8 || at[0] != '=' || at[1] != '?')
		return FALSE;
	const char *charset = at + 2, *q1 = memchr (charset, '?', MIN ((gsize) (end - charset), CHARSET_MAX));
	if (!q1 || q1 == charset || end - q1 < 5 || q1[2] != '?')
		return FALSE;
	char encoding = g_ascii_toupper (q1[1]);
	if (encoding != 'B' && encoding != 'Q')
		return FALSE;
	const char *text = q1 + 3, *q2 = memmem (text, (gsize) (end - text), "?=", 2);
	if (!q2)
		return FALSE;
	const char *star = memchr (charset, '*', (gsize) (q1 - charset)); /* RFC 2231 section 5: a language */
	*w = (EncodedWord){slice_of (charset, (gsize) ((star ? star : q1) - charset)), encoding, slice_of (text, (gsize) (q2 - text)),
	                   (gsize) (q2 + 2 - at)};
	return TRUE;
}

static void
append_q (GString *out, Slice text)
{
	for (gsize i = 0; i < text.size; i++) {
		char c = text.data[i];
		if (c == '=' && i + 2 < text.size && g_ascii_isxdigit (text.data[i + 1]) && g_ascii_isxdigit (text.data[i + 2])) {
			c = (char) (g_ascii_xdigit_value (text.data[i + 1]) << 4 | g_ascii_xdigit_value (text.data[i + 2]));
			i += 2;
		} else if (c == '_')
			c = ' ';
		g_string_append_c (out, c);
	}
}

/* Words of one charset that wait for their neighbours: some senders cut inside a character. */
typedef struct {
	GString *out, *octets;
	Slice charset;
} Words;

static void
flush_words (Words *w)
{
	if (w->octets->len)
		charset_append_slice (w->out, w->octets->str, w->octets->len, w->charset);
	g_string_truncate (w->octets, 0);
}

static void
add_word (Words *w, const EncodedWord *word)
{
	if (word->charset.size != w->charset.size ||
	    g_ascii_strncasecmp (word->charset.data, w->charset.data ? w->charset.data : "", w->charset.size) != 0)
		flush_words (w);
	w->charset = word->charset;
	if (word->encoding == 'B')
		base64_append (w->octets, word->text);
	else
		append_q (w->octets, word->text);
}

/* Where the last "?=" stands: no word begins behind it, and looking for one there again and again would take quadratic time. */
static const char *
last_word_end (Slice value)
{
	const char *at = slice_end (value);
	while (at > value.data && !(at[-1] == '=' && at - 1 > value.data && at[-2] == '?'))
		at--;
	return at;
}

/* The next encoded word at or behind @at: its place, or @end. */
static const char *
find_word (const char *at, const char *last, const char *end, EncodedWord *w)
{
	while (at < last && (at = memmem (at, (gsize) (last - at), "=?", 2)))
		if (read_encoded_word (at, (gsize) (end - at), w))
			return at;
		else
			at += 2;
	return end;
}

void
mail_append_words (GString *out, Slice value)
{
	g_autoptr (GString) octets = g_string_new (NULL);
	Words words = {out, octets, {0}};
	const char *at = value.data, *end = slice_end (value), *last = last_word_end (value);
	gboolean after_word = FALSE;
	while (at < end) {
		EncodedWord w;
		const char *next = find_word (at, last, end, &w);
		gboolean is_word = next < end;
		/* Blanks between two words are no text. */
		if (!after_word || !is_word || mail_trim (slice_of (at, (gsize) (next - at))).size) {
			flush_words (&words);
			charset_append (out, at, (gsize) (next - at), NULL);
		}
		if (!is_word)
			break;
		add_word (&words, &w);
		after_word = TRUE;
		at = next + w.size;
	}
	flush_words (&words);
}

static gboolean
is_plain (Slice value)
{
	for (gsize i = 0; i < value.size; i++)
		if (value.data[i] < ' ' ? !mail_is_blank (value.data[i])
		                        : value.data[i] >= 127 || (value.data[i] == '=' && i + 1 < value.size && value.data[i + 1] == '?'))
			return FALSE;
	return TRUE;
}

char *
mail_header_decode (Slice value, gsize max)
{
	value.size = MIN (value.size, (gsize) HEADER_VALUE_MAX);
	g_autoptr (GString) squeezed = g_string_sized_new (MIN (value.size, max) + 1);
	if (is_plain (value)) {
		mail_header_unfold (squeezed, value);
		utf8_truncate (squeezed, max);
		return g_string_free (g_steal_pointer (&squeezed), FALSE);
	}
	g_autoptr (GString) decoded = g_string_sized_new (value.size);
	mail_append_words (decoded, value);
	mail_header_unfold (squeezed, slice_of (decoded->str, decoded->len));
	return slice_to_utf8 (slice_of (squeezed->str, squeezed->len), max);
}
