/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's state is 260 KiB for compressing and 40 KiB for the other way, too much for each of thousands that wait.
 * So threads compress, not connections: behind a flush a stream may go on with one that has forgotten all, of which the
 * peer sees nothing but that it is not referred to what came before. The peer itself may refer to its last 32 KiB: of
 * these is kept what there is, between two blocks, where nothing else is needed to go on. */
#include "server-deflate.h"
#include <string.h>
#include <zlib.h>

#define PIECE (16u << 10)
enum { LAST_BLOCK = 64, BETWEEN_BLOCKS = 128 }; /* of data_type, zlib.h; below them: unused bits of the last octet */

struct ServerDeflate {
	gboolean sending; /* the thread's compressor is in this one's turn */
	z_stream in;
	gboolean reading; /* in is set up; else what it was: */
	guchar *history;
	guint history_size;
	guchar last; /* octet of the input, of which */
	int bits;    /* are not used yet */
};

static void
free_compressor (gpointer data)
{
	deflateEnd (data);
	g_free (data);
}

static GPrivate compressors = G_PRIVATE_INIT (free_compressor);

/* NULL: no memory. */
static z_stream *
compressor (ServerDeflate *d)
{
	z_stream *z = g_private_get (&compressors);
	if (!z) {
		z = g_new0 (z_stream, 1);
		if (deflateInit2 (z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
			g_free (z);
			return NULL;
		}
		g_private_set (&compressors, z);
	} else if (!d->sending)
		deflateReset (z);
	d->sending = TRUE;
	return z;
}

static gboolean
send_piece (z_stream *z, int flush, ServerDeflateTake send, gpointer to)
{
	char packed[PIECE];
	do {
		z->next_out = (Bytef *) packed;
		z->avail_out = sizeof packed;
		deflate (z, flush); /* its only error is that there is nothing to do */
		gsize size = sizeof packed - z->avail_out;
		if (size > 0 && !send (to, packed, size))
			return FALSE;
	} while (z->avail_out == 0);
	return TRUE;
}

gboolean
server_deflate_send (ServerDeflate *d, const char *octets, gsize size, ServerDeflateTake send, gpointer to)
{
	z_stream *z = compressor (d);
	while (z && size > 0) {
		guint n = (guint) MIN (size, 1u << 20);
		z->next_in = (Bytef *) octets;
		z->avail_in = n;
		octets += n;
		size -= n;
		if (!send_piece (z, size ? Z_NO_FLUSH : Z_SYNC_FLUSH, send, to))
			return FALSE;
	}
	return z != NULL;
}

/* Goes on where it rested. */
static gboolean
open_input (ServerDeflate *d)
{
	if (d->reading)
		return TRUE;
	d->in = (z_stream){0};
	if (inflateInit2 (&d->in, -15) != Z_OK)
		return FALSE;
	d->reading = TRUE;
	if (d->history_size > 0 && inflateSetDictionary (&d->in, d->history, d->history_size) != Z_OK)
		return FALSE;
	if (d->bits > 0 && inflatePrime (&d->in, d->bits, d->last >> (8 - d->bits)) != Z_OK)
		return FALSE;
	g_clear_pointer (&d->history, g_free);
	d->history_size = 0;
	return TRUE;
}

gboolean
server_deflate_take (ServerDeflate *d, Slice packed, ServerDeflateTake take, gpointer to)
{
	char plain[PIECE];
	z_stream *z = &d->in;
	if (packed.size == 0)
		return TRUE;
	if (packed.size > G_MAXUINT32 || !open_input (d))
		return FALSE;
	d->last = (guchar) packed.data[packed.size - 1];
	z->next_in = (Bytef *) packed.data;
	z->avail_in = (uInt) packed.size;
	do {
		z->next_out = (Bytef *) plain;
		z->avail_out = sizeof plain;
		int code = inflate (z, Z_BLOCK); /* stops between blocks, so that it can be told whether it is there */
		gsize size = sizeof plain - z->avail_out;
		if (size > 0 && !take (to, plain, size))
			return FALSE;
		if ((code != Z_OK && code != Z_BUF_ERROR) ||
		    (z->data_type & LAST_BLOCK && z->data_type & BETWEEN_BLOCKS))
			return FALSE;
	} while (z->avail_in > 0 || z->avail_out == 0);
	return TRUE;
}

void
server_deflate_rest (ServerDeflate *d)
{
	guint size = 0;
	d->sending = FALSE;
	/* a peer that stops within a block costs more */
	if (!d->reading || (d->in.data_type & (LAST_BLOCK | BETWEEN_BLOCKS)) != BETWEEN_BLOCKS ||
	    inflateGetDictionary (&d->in, NULL, &size) != Z_OK)
		return;
	d->history = g_malloc (MAX (size, 1));
	inflateGetDictionary (&d->in, d->history, &size);
	d->history_size = size;
	d->bits = d->in.data_type & (LAST_BLOCK - 1);
	inflateEnd (&d->in);
	d->reading = FALSE;
}

ServerDeflate *
server_deflate_new (void)
{
	return g_new0 (ServerDeflate, 1);
}

void
server_deflate_free (ServerDeflate *d)
{
	if (!d)
		return;
	if (d->reading)
		inflateEnd (&d->in);
	g_free (d->history);
	g_free (d);
}
