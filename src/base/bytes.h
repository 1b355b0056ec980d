/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers on byte ranges that are not C strings. */
#pragma once
#include <glib.h>

/* A borrowed run of octets; may hold NUL, is not terminated. */
typedef struct {
	const char *data;
	gsize size;
} Slice;

/* Behind the last octet. An empty slice may have no data, and C17 adds nothing to NULL, not even 0. */
static inline const char *
slice_end (Slice s)
{
	return s.size ? s.data + s.size : s.data;
}
gboolean slice_equals (Slice s, const char *text);
gboolean slice_equals_ascii_case (Slice s, const char *text);
char *slice_dup (Slice s); /* NUL-terminated copy; embedded NULs are kept as they are */

/* Valid UTF-8 copy of @s: bytes that are not UTF-8 and control characters but tab and newline become U+FFFD; at most @max octets
 * of result, cut at a character. */
char *slice_to_utf8 (Slice s, gsize max);
