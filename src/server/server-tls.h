/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of TLS by GnuTLS: 1.2 and 1.3. */
#pragma once
#include <glib.h>
#include "error.h"

/* A certificate with its key. Immutable; counted, so that a newer one can take its place while connections use it. */
typedef struct ServerTls ServerTls;
/* PEM files. NOT_FOUND and NO_PERMISSION for files that can't be read, USAGE for what doesn't belong together. */
ServerTls *server_tls_new (const char *certificate, const char *key, GError **error);
ServerTls *server_tls_ref (ServerTls *t);
void server_tls_unref (ServerTls *t); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ServerTls, server_tls_unref)

/* One connection's; used by one thread at a time. The socket does not block. */
typedef struct ServerTlsConn ServerTlsConn;
ServerTlsConn *server_tls_conn_new (ServerTls *t, int fd);
void server_tls_conn_free (ServerTlsConn *c); /* says goodbye where that needs no waiting; NULL is allowed */
typedef enum { TLS_DONE, TLS_WANTS_INPUT, TLS_WANTS_OUTPUT, TLS_FAILED } TlsStep;
TlsStep server_tls_handshake (ServerTlsConn *c);
/* DONE: *n_out octets, 0 at the end. */
TlsStep server_tls_recv (ServerTlsConn *c, char *to, gsize size, gsize *n_out);
/* After WANTS_OUTPUT the same is to be asked again. */
TlsStep server_tls_send (ServerTlsConn *c, const char *octets, gsize size, gsize *n_out);
/* Octets that were received already, of which the socket tells nothing. */
gboolean server_tls_has_more (const ServerTlsConn *c);
/* As server_peer_binding, after the handshake. */
GBytes *server_tls_binding (const ServerTlsConn *c, const char *kind);
