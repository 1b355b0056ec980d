/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to a server as a byte stream: TCP, TLS above it, DEFLATE above that. The socket never blocks; the calls that do
 * (open, start_tls, net_wait) stop within a second of their Cancel. SIGPIPE is never raised. One thread at a time per connection.
 *
 * The usual loop:
 *	net_conn_write (c, ...);                          queued only
 *	while (!answer_complete) {
 *		if (net_wait (&c, 1, NULL, 0, ms, cancel, error) <= 0) ...   sends, then waits for input
 *		if (!net_conn_read (c, error)) ...                          takes all that is there
 *		net_conn_consume (c, parse (net_conn_input (c)));
 *	}
 *
 * Errors: TEMPORARY for the network, with host:port and the end of the connection named as such; UNTRUSTED for a certificate
 * that cannot be trusted; PROTOCOL for broken TLS or DEFLATE; CANCELLED; USAGE for an unreadable CA file. A failed connection stays
 * failed: every later call reports the same error. */
#pragma once
#include <glib.h>
#include <poll.h>
#include "bytes.h"
#include "cancel.h"
#include "error.h"

/* Where to connect and whom to believe. Strings are borrowed for the call to net_conn_open only.
 * Whether plain text is allowed at all is not decided here: see profile_check. */
typedef struct {
	const char *host;    /* name or address literal without brackets; also the name the certificate must carry */
	guint16 port;
	gboolean tls;        /* from the first octet; otherwise net_conn_start_tls may follow */
	const char *ca_file; /* PEM file of authorities believed in addition to the system's; NULL */
	const char *pin;     /* SHA-256 of the server's certificate (DER) as 64 hexadecimal digits, ":" between them allowed: that
	                      * certificate is believed and no other, neither name nor authority nor dates matter. NULL */
	guint timeout_ms;    /* for the look-up, each address and the TLS handshake; 0: 30 000 */
} NetTarget;

/* A peer that has vanished (no network, a NAT box that forgot) is noticed after this time, whether something was sent to it or the
 * connection only waits: net_wait then returns, and net_conn_read fails with TEMPORARY. */
#define NET_DEAD_S 180

typedef struct NetConn NetConn;

/* Connects to the first address that answers (the system's order, next one after a failure). Blocks. */
NetConn *net_conn_open (const NetTarget *target, Cancel *cancel, GError **error);
/* Sends the TLS closure if that needs no waiting, closes, wipes the buffers. NULL is fine. */
void net_conn_free (NetConn *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NetConn, net_conn_free)

/* Upgrades a plain connection after the server agreed to STARTTLS and its answer was consumed. All output must be sent (asserted).
 * Fails with PROTOCOL when unconsumed input remains: it came unprotected and would be taken for protected (CVE-2011-0411). Blocks. */
gboolean net_conn_start_tls (NetConn *c, Cancel *cancel, GError **error);
/* Switches both directions to raw DEFLATE (RFC 4978). Input read but not consumed is already compressed; all output queued earlier
 * goes out uncompressed. At most once. */
gboolean net_conn_start_deflate (NetConn *c, GError **error);

/* TLS is on. */
gboolean net_conn_is_encrypted (const NetConn *c);
/* The peer's address is of this machine. */
gboolean net_conn_is_loopback (const NetConn *c);
gboolean net_conn_is_deflated (const NetConn *c);
/* "TLS 1.3, ECDHE-X25519, AES-256-GCM" for logs; NULL when plain. */
char *net_conn_describe_tls (const NetConn *c);
/* SHA-256 of the server's certificate as 64 hexadecimal digits; NULL when plain. */
char *net_conn_fingerprint (const NetConn *c);
/* Data for SASL channel binding: @kind "tls-exporter" (RFC 9266) or "tls-unique" (RFC 5929). NULL: there is none, as plain
 * connections and tls-unique in TLS 1.3. */
GBytes *net_conn_channel_binding (const NetConn *c, const char *kind);

/* Queues octets; sends nothing. The caller bounds the queue by looking at net_conn_pending. */
void net_conn_write (NetConn *c, const void *data, gsize size);
/* The same for octets that no trace may show. */
void net_conn_write_secret (NetConn *c, const void *data, gsize size);
/* Octets queued and not yet taken by the kernel (or by TLS or DEFLATE). */
gsize net_conn_pending (const NetConn *c);
/* Sends as much of the queue as goes without waiting. */
gboolean net_conn_flush (NetConn *c, GError **error);

/* Takes what has arrived into the input buffer, at most 256 KB a call, without waiting. TRUE with nothing new is normal. At the end
 * of the stream TRUE too, see net_conn_at_end; TLS cut off without closure counts as an end, since IMAP marks its own. Fails with
 * TOO_BIG when the limit of unconsumed input was reached before the call. */
gboolean net_conn_read (NetConn *c, GError **error);
/* How many unconsumed octets the caller is ready to leave in the buffer; 64 MB at first. */
void net_conn_set_input_limit (NetConn *c, gsize limit);
/* The unconsumed input; valid until the next read or consume. */
Slice net_conn_input (const NetConn *c);
/* Drops the first @size octets, at most as many as there are. */
void net_conn_consume (NetConn *c, gsize size);
/* The server closed and everything it sent has been read into the buffer. */
gboolean net_conn_at_end (const NetConn *c);
/* Sets TEMPORARY "the server HOST:PORT closed the connection"; returns FALSE. */
gboolean net_conn_fail_at_end (const NetConn *c, GError **error);

/* Sends the queues of @conns and waits until one of them has new input (or end, or failure, which net_conn_read then reports), or
 * has emptied a queue that could not be sent at once, or one of @extra is ready (revents are set), at most @timeout_ms (-1: no limit).
 * TLS may make a connection ready although no octet for the caller came.
 * Returns a positive number when something is ready, 0 after the time-out, -1 on error (CANCELLED or IO; failures of a connection are not errors here).
 * At most 64 connections and extras together. NULL entries of @conns are passed over. */
int net_wait (NetConn *const *conns, guint n_conns, struct pollfd *extra, guint n_extra, int timeout_ms, Cancel *cancel,
              GError **error);

typedef struct {
	guint64 wire_in, wire_out; /* octets on the socket, TLS included, TCP/IP headers not */
	guint64 app_in, app_out;   /* octets the caller read and wrote, before compression */
	guint64 flights; /* times everything queued had been sent and net_wait was entered for the answer; handshakes not counted */
} NetStats;
NetStats net_conn_stats (const NetConn *c);

/* @trace sees all application octets as they are queued or arrive; secrets as "<secret>". NULL: no trace. */
typedef void (*NetTrace) (gpointer data, gboolean sent, Slice octets);
void net_conn_set_trace (NetConn *c, NetTrace trace, gpointer data);

/* The socket, for poll by others. Borrowed. */
int net_conn_fd (const NetConn *c);
/* "host:port", IPv6 literals in brackets. Borrowed. */
const char *net_conn_name (const NetConn *c);
