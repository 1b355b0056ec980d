/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: connecting (net-connect.c), TLS (net-tls.c), queues and DEFLATE (net-conn.c). */
#pragma once
#include <gnutls/gnutls.h>
#include <sys/socket.h>
#include <zlib.h>
#include "net-conn.h"

/* Octets between @start and @end are in use; grows at the end, gives memory back when it runs empty. */
typedef struct {
	char *data; /* owned */
	gsize start, end, allocated;
} NetBuffer;
/* Room for at least @size octets at the end. */
char *net_buffer_room (NetBuffer *b, gsize size);
void net_buffer_drop (NetBuffer *b, gsize size);
void net_buffer_clear (NetBuffer *b);

struct NetConn {
	int fd;
	char *host, *name, *ca_file;
	char *pin; /* 64 lower-case digits or NULL */
	guint timeout_ms;
	gboolean is_loopback, at_end;
	gboolean has_more;    /* the last read stopped at its limit, not because nothing was left */
	GError *failed;       /* the first error of the connection */
	gsize input_limit;

	NetBuffer in, out;    /* application octets */
	NetBuffer packed;     /* on its way to the transport; used once DEFLATE is on */
	NetBuffer raw;        /* from the transport, to be inflated */
	z_stream *deflater, *inflater;

	gnutls_session_t tls;
	gnutls_certificate_credentials_t credentials;
	NetBuffer ahead;      /* of the socket, for TLS: GnuTLS reads a record in two small steps */
	gboolean tls_blocked; /* a record is with GnuTLS and waits for the socket */
	char *distrust;       /* why the certificate was refused */

	gboolean unanswered;  /* something was sent since the last flight was counted */
	NetStats stats;
	NetTrace trace;
	gpointer trace_data;
};

/* Waits for @events on @fd until @deadline (monotonic, us). 1 ready, 0 too late, -1 CANCELLED or IO. */
int net_wait_fd (int fd, short events, gint64 deadline, Cancel *cancel, GError **error);
/* A connected, non-blocking socket or -1. */
int net_connect (const NetTarget *target, const char *name, Cancel *cancel, GError **error);

gboolean net_tls_start (NetConn *c, Cancel *cancel, GError **error);
/* Octets moved; 0 would block (for recv: or c->at_end was set); -1 error. */
gssize net_tls_send (NetConn *c, const char *data, gsize size, GError **error);
gssize net_tls_recv (NetConn *c, char *data, gsize size, GError **error);
gssize net_socket_send (NetConn *c, const char *data, gsize size, GError **error);
gssize net_socket_recv (NetConn *c, char *data, gsize size, GError **error);
