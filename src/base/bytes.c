/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include <string.h>

gboolean
slice_equals (Slice s, const char *text)
{
	return strlen (text) == s.size && (s.size == 0 || memcmp (s.data, text, s.size) == 0);
}

gboolean
slice_equals_ascii_case (Slice s, const char *text)
{
	return strlen (text) == s.size && (s.size == 0 || g_ascii_strncasecmp (s.data, text, s.size) == 0);
}

char *
slice_dup (Slice s)
{
	char *copy = g_malloc (s.size + 1);
	if (s.size)
		memcpy (copy, s.data, s.size);
	copy[s.size] = '\0';
	return copy;
}

/* C0 but tab and newline, DEL, C1 (which terminals obey as well). */
static gboolean
is_control (gunichar c)
{
	return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0);
}

char *
slice_to_utf8 (Slice s, gsize max)
{
	GString *out = g_string_sized_new (MIN (s.size, max) + 1);
	for (gsize i = 0; i < s.size;) {
		gunichar c = g_utf8_get_char_validated (s.data + i, (gssize) (s.size - i));
		gboolean whole = c != (gunichar) -1 && c != (gunichar) -2 && s.data[i] != '\0';
		gsize step = whole ? (gsize) g_utf8_skip[(guchar) s.data[i]] : 1;
		if (!whole || is_control (c))
			c = 0xfffd;
		char utf8[6];
		int n = g_unichar_to_utf8 (c, utf8);
		if (out->len + (gsize) n > max)
			break;
		g_string_append_len (out, utf8, n);
		i += step;
	}
	return g_string_free (out, FALSE);
}
