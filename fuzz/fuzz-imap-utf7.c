/* SPDX-License-Identifier: Apache-2.0 */
/* Folder names: what was decoded is UTF-8, and is encoded and decoded to itself. */
#include <stdint.h>
#include <string.h>
#include "imap-text.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	g_autofree char *wire = slice_dup ((Slice) {(const char *) data, size});
	g_autofree char *leaf = leaf_decode (wire);
	g_assert (g_utf8_validate (leaf, -1, NULL));
	g_autofree char *again = leaf_encode (leaf);
	g_autofree char *same = leaf_decode (again);
	g_assert (strcmp (leaf, same) == 0);
	return 0;
}
