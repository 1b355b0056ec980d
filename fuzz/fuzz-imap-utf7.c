/* SPDX-License-Identifier: Apache-2.0 */
/* Folder names: what was decoded is UTF-8 without control characters, and is encoded and decoded to itself; the strict decoder takes
 * what the encoder gives and nothing else. */
#include <stdint.h>
#include <string.h>
#include "imap-text.h"
#include "imap-utf7.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static Slice
slice (const char *text)
{
	return (Slice) {text, strlen (text)};
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	Slice input = {(const char *) data, size};
	g_autofree char *wire = slice_dup (input);
	g_autofree char *leaf = leaf_decode (wire);
	g_assert (g_utf8_validate (leaf, -1, NULL));
	for (const char *c = leaf; *c; c++)
		g_assert ((guchar) *c >= ' ' && *c != 0x7f);
	g_autofree char *again = leaf_encode (leaf);
	g_autofree char *same = utf7_decode (slice (again), TRUE);
	g_assert (same && strcmp (leaf, same) == 0);
	g_autofree char *strict = utf7_decode (input, TRUE), *tolerant = utf7_decode (input, FALSE);
	g_assert (!strict || (tolerant && strcmp (strict, tolerant) == 0));
	g_autofree char *back = strict ? leaf_encode (strict) : NULL;
	g_assert (!strict || slice_equals (input, back));
	return 0;
}
