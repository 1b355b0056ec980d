/* SPDX-License-Identifier: Apache-2.0 */
/* A client's commands: whatever the pieces in which they come, they are read as the same. The first octet is the size of the pieces;
 * its highest bit allows UTF-8. */
#include <stdint.h>
#include <string.h>
#include "tree-text.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	static const ImapCommandLimits limits = {.text = 500, .literal = 100, .values = 50, .depth = 4, .stream = 2000, .drain = 1000};
	if (size == 0)
		return 0;
	Slice input = {(const char *) data + 1, size - 1};
	gboolean utf8 = data[0] >> 7;
	g_autofree char *whole = commands_text (input, size, &limits, utf8);
	g_autofree char *pieces = commands_text (input, 1 + data[0] % 64, &limits, utf8);
	g_assert (strcmp (whole, pieces) == 0);
	return 0;
}
