/* SPDX-License-Identifier: Apache-2.0 */
/* What a client compresses: taken whole, and in pieces with a rest behind each, it is the same. */
#include <stdint.h>
#include <string.h>
#include "server-deflate.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static gboolean
take (gpointer to, const char *octets, gsize size)
{
	g_assert (size > 0 && size <= 16u << 10);
	g_string_append_len (to, octets, (gssize) size);
	return ((GString *) to)->len < (1u << 20);
}

static gboolean
feed (const uint8_t *data, size_t size, size_t piece, GString *out)
{
	ServerDeflate *d = server_deflate_new ();
	gboolean ok = TRUE;
	for (size_t at = 0; ok && at < size; at += piece) {
		ok = server_deflate_take (d, (Slice){(const char *) data + at, MIN (piece, size - at)}, take, out);
		server_deflate_rest (d);
	}
	server_deflate_free (d);
	return ok;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	g_autoptr (GString) whole = g_string_new (NULL), parts = g_string_new (NULL);
	gboolean ok = feed (data + 1, size - 1, size, whole), same = feed (data + 1, size - 1, 1 + data[0] % 16, parts);
	if (ok && same)
		g_assert (g_string_equal (whole, parts));
	g_assert (!ok || same);
	return 0;
}
