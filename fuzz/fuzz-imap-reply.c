/* SPDX-License-Identifier: Apache-2.0 */
/* A server's responses. */
#include <stdint.h>
#include "imap-reply.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	ImapReply *r = imap_reply_new ();
	Slice rest = {(const char *) data, size};
	gboolean complete;
	for (gsize used; rest.size > 0 && imap_reply_feed (r, rest, &used, &complete, NULL); rest.size -= used)
		rest.data += used;
	imap_reply_free (r);
	return 0;
}
