/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-utf7.h"
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static gboolean
is_plain (gunichar c)
{
	return c >= ' ' && c < 0x7f;
}

/* Bits on their way to base64. */
typedef struct {
	guint32 bits;
	guint n;
} Bits;

static void
unit_add (GString *wire, Bits *b, guint16 unit)
{
	b->bits = b->bits << 16 | unit;
	for (b->n += 16; b->n >= 6; b->n -= 6)
		g_string_append_c (wire, digits[b->bits >> (b->n - 6) & 63]);
	b->bits &= 63;
}

static void
shifted_add (GString *wire, Bits *b, gunichar c)
{
	if (c >= 0x10000) {
		unit_add (wire, b, (guint16) (0xd800 + ((c - 0x10000) >> 10)));
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	unit_add (wire, b, (guint16) c);
}

static void
shift_end (GString *wire, Bits *b)
{
	if (b->n > 0)
		g_string_append_c (wire, digits[b->bits << (6 - b->n) & 63]);
	*b = (Bits) {0};
	g_string_append_c (wire, '-');
}

char *
utf7_encode (Slice text)
{
	g_autofree char *valid = g_utf8_make_valid (text.data, (gssize) text.size);
	GString *wire = g_string_sized_new (text.size + 8);
	Bits bits = {0};
	gboolean shifted = FALSE;
	for (const char *at = valid; *at; at = g_utf8_next_char (at)) {
		gunichar c = g_utf8_get_char (at);
		if (is_plain (c) && shifted)
			shift_end (wire, &bits);
		else if (!is_plain (c) && !shifted)
			g_string_append_c (wire, '&');
		shifted = !is_plain (c);
		if (shifted)
			shifted_add (wire, &bits, c);
		else
			g_string_append (wire, c == '&' ? "&-" : (char[]) {(char) c, '\0'});
	}
	if (shifted)
		shift_end (wire, &bits);
	return g_string_free (wire, FALSE);
}

/* One UTF-16 unit; *high holds the first half of a pair. FALSE: none that may stand in base64. */
static gboolean
unit_take (GString *text, guint16 unit, guint16 *high)
{
	gunichar c = unit;
	if (*high) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return FALSE;
		c = 0x10000 + ((gunichar) (*high - 0xd800) << 10) + (unit - 0xdc00);
		*high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return TRUE;
	} else if (unit < 0x80 || (unit >= 0xdc00 && unit <= 0xdfff))
		return FALSE;
	g_string_append_unichar (text, c);
	return TRUE;
}

/* From behind "&" to behind "-"; NULL: malformed. */
static const char *
shift_take (GString *text, const char *at, const char *end)
{
	guint32 bits = 0;
	guint n = 0;
	guint16 high = 0;
	const char *start = at;
	for (; at < end && *at != '-'; at++) {
		const char *digit = *at ? strchr (digits, *at) : NULL;
		if (!digit)
			return NULL;
		bits = bits << 6 | (guint32) (digit - digits);
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		if (!unit_take (text, (guint16) (bits >> n), &high))
			return NULL;
		bits &= (1u << n) - 1;
	}
	if (at == end || high || n >= 6 || bits)
		return NULL;
	if (at == start)
		g_string_append_c (text, '&');
	return at + 1;
}

/* A character as it stands; NULL: none that may. */
static const char *
plain_take (GString *text, const char *at, const char *end)
{
	gunichar c = g_utf8_get_char_validated (at, end - at);
	if (c < ' ' || c == 0x7f || c >= 0x80000000)
		return NULL;
	g_string_append_unichar (text, c);
	return g_utf8_next_char (at);
}

char *
utf7_decode (Slice wire, gboolean strict)
{
	g_autoptr (GString) text = g_string_sized_new (wire.size + 1);
	for (const char *at = wire.data, *end = slice_end (wire); at < end;) {
		at = *at == '&' ? shift_take (text, at + 1, end) : plain_take (text, at, end);
		if (!at)
			return NULL;
	}
	g_autofree char *again = strict ? utf7_encode ((Slice) {text->str, text->len}) : NULL;
	if (again && !slice_equals (wire, again))
		return NULL;
	return g_strdup (text->str);
}
