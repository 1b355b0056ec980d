/* SPDX-License-Identifier: Apache-2.0 */
/* The page of metrics: whatever is asked for, in pieces (first octet), gets one answer, or none yet. */
#include "metrics-page.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static gboolean
take (gpointer out, const char *octets, gsize size)
{
	g_string_append_len (out, octets, (gssize) size);
	return TRUE;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	g_autoptr (Metrics) m = metrics_new ();
	g_autoptr (GString) out = g_string_new (NULL);
	const MetricsPage page = {.metrics = m};
	const ServerPeer peer = {.address = "127.0.0.1"};
	gpointer session = server_metrics.open ((gpointer) &page, &peer, take, out);
	size_t piece = data[0] & 1 ? 3 : size;
	gboolean on = TRUE;
	for (size_t at = 1; at < size && on; at += piece)
		on = server_metrics.feed (session, (Slice){(const char *) data + at, MIN (piece, size - at)});
	g_assert (on == (out->len == 0));
	g_assert (out->len == 0 || (g_str_has_prefix (out->str, "HTTP/1.1 ") && !strstr (out->str + 1, "HTTP/1.1 2") && strlen (out->str) == out->len));
	server_metrics.free (session);
	return 0;
}
