/* SPDX-License-Identifier: Apache-2.0 */
/* A server's responses: whatever the pieces in which they come, they are read as the same. The first octet is the size of the pieces. */
#include <stdint.h>
#include <string.h>
#include "tree-text.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static char *
read_all (Slice rest, gsize piece)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GError) error = NULL;
	GString *text = g_string_new (NULL);
	gboolean complete = FALSE;
	for (gsize used; rest.size > 0; rest = (Slice) {rest.data + used, rest.size - used}) {
		if (!imap_reply_feed (r, (Slice) {rest.data, MIN (piece, rest.size)}, &used, &complete, &error)) {
			g_string_append (text, error->message);
			break;
		}
		g_autofree char *one = complete ? reply_text_of (r) : NULL;
		g_auto (UidSet) set = UID_SET_INIT;
		if (!one)
			continue;
		g_string_append_printf (text, "%s\n", one);
		reply_take_search (r, &set);
		reply_take_vanished (r, &set);
		uid_set_format (&set, text);
	}
	return g_string_free (text, FALSE);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	Slice input = {(const char *) data + 1, size - 1};
	g_autofree char *whole = read_all (input, size), *pieces = read_all (input, 1 + data[0] % 64);
	g_assert (strcmp (whole, pieces) == 0);
	return 0;
}
