/* SPDX-License-Identifier: Apache-2.0 */
/* A server's responses: whatever the pieces in which they come, they are read as the same. The first octet is the size of the pieces. */
#include <stdint.h>
#include <string.h>
#include "tree-text.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
take_sets (Slice rest)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_auto (UidSet) set = UID_SET_INIT;
	gboolean complete;
	for (gsize used; rest.size > 0; rest = (Slice) {rest.data + used, rest.size - used}) {
		if (!imap_reply_feed (r, rest, &used, &complete, NULL))
			return;
		if (complete) {
			reply_take_search (r, &set);
			reply_take_vanished (r, &set);
		}
	}
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	Slice input = {(const char *) data + 1, size - 1};
	g_autofree char *whole = replies_text (input, size), *pieces = replies_text (input, 1 + data[0] % 64);
	take_sets (input);
	g_assert (strcmp (whole, pieces) == 0);
	return 0;
}
