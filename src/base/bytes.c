/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include <string.h>

gboolean
slice_equals (Slice s, const char *text)
{
	return strlen (text) == s.size && memcmp (s.data, text, s.size) == 0;
}

gboolean
slice_equals_ascii_case (Slice s, const char *text)
{
	return strlen (text) == s.size && g_ascii_strncasecmp (s.data, text, s.size) == 0;
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

char *
slice_to_utf8 (Slice s, gsize max)
{
	GString *out = g_string_sized_new (MIN (s.size, max) + 1);
	for (gsize i = 0; i < s.size;) {
		gunichar c = g_utf8_get_char_validated (s.data + i, (gssize) (s.size - i));
		gsize step = 1;
		if (c == (gunichar) -1 || c == (gunichar) -2 || (c < 32 && c != '\t' && c != '\n') || c == 127)
			c = 0xfffd;
		else
			step = (gsize) (g_utf8_skip[(guchar) s.data[i]]);
		if (s.data[i] == '\0') {
			c = 0xfffd;
			step = 1;
		}
		char utf8[6];
		int n = g_unichar_to_utf8 (c, utf8);
		if (out->len + (gsize) n > max)
			break;
		g_string_append_len (out, utf8, n);
		i += step;
	}
	return g_string_free (out, FALSE);
}
