/* SPDX-License-Identifier: Apache-2.0 */
/* One connection's DEFLATE (RFC 1951, without a header, as RFC 4978 wants it), both ways. Used by one thread at a time.
 * Between turns it keeps nothing but what the peer may refer to: its last octets, 32 KiB at most. */
#pragma once
#include "bytes.h"

typedef struct ServerDeflate ServerDeflate;
ServerDeflate *server_deflate_new (void);
void server_deflate_free (ServerDeflate *d); /* NULL is allowed */

/* What takes octets: FALSE to have no more. As ServerSend. */
typedef gboolean (*ServerDeflateTake) (gpointer to, const char *octets, gsize size);
/* Hands @size octets, compressed and so that the peer can read all of them, to @send. FALSE as it. Until the rest all
 * calls are of one thread. */
gboolean server_deflate_send (ServerDeflate *d, const char *octets, gsize size, ServerDeflateTake send, gpointer to);
/* Hands what @packed means to @take, in pieces of at most 16 KiB whatever it grows to. FALSE as it, or when this is no
 * DEFLATE or its end. */
gboolean server_deflate_take (ServerDeflate *d, Slice packed, ServerDeflateTake take, gpointer to);
/* The end of a turn: the next may be another thread's. */
void server_deflate_rest (ServerDeflate *d);
