/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by GnuTLS over the non-blocking socket. The certificate is judged inside the handshake, so that nothing is ever sent to a
 * server that is not believed. */
#include "net-private.h"
#include "digest.h"
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

#define AHEAD_SIZE 32768

static ssize_t
push (gnutls_transport_ptr_t data, const giovec_t *iov, int count)
{
	NetConn *c = data;
	struct msghdr message = {.msg_iov = (struct iovec *) iov, .msg_iovlen = (gsize) count};
	ssize_t n = sendmsg (c->fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		gnutls_transport_set_errno (c->tls, errno);
	else
		c->stats.wire_out += (guint64) n;
	return n;
}

static ssize_t
pull (gnutls_transport_ptr_t data, void *to, size_t size)
{
	NetConn *c = data;
	if (c->ahead.start == c->ahead.end) {
		ssize_t n = recv (c->fd, net_buffer_room (&c->ahead, AHEAD_SIZE), AHEAD_SIZE, 0);
		if (n <= 0) {
			gnutls_transport_set_errno (c->tls, errno);
			return n;
		}
		c->stats.wire_in += (guint64) n;
		c->ahead.end += (gsize) n;
	}
	size = MIN (size, c->ahead.end - c->ahead.start);
	memcpy (to, c->ahead.data + c->ahead.start, size);
	net_buffer_drop (&c->ahead, size);
	return (ssize_t) size;
}

char *
net_conn_fingerprint (const NetConn *c)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = c->tls ? gnutls_certificate_get_peers (c->tls, &n) : NULL;
	if (!chain || n == 0)
		return NULL;
	guint8 digest[DIGEST_SIZE];
	digest_of (chain[0].data, chain[0].size, digest);
	GString *text = g_string_sized_new (2 * DIGEST_SIZE + 1);
	for (guint i = 0; i < DIGEST_SIZE; i++)
		g_string_append_printf (text, "%02x", digest[i]);
	return g_string_free (text, FALSE);
}

static gboolean
check_pin (NetConn *c)
{
	g_autofree char *seen = net_conn_fingerprint (c);
	if (seen && strcmp (seen, c->pin) == 0)
		return TRUE;
	c->distrust = g_strdup_printf ("its fingerprint is %s, not the pinned one: if the server's owner confirms the change, pin the "
	                               "new one", seen ? seen : "missing");
	return FALSE;
}

static void
say_distrust (NetConn *c, unsigned status)
{
	gnutls_datum_t text = {0};
	g_autofree char *seen = net_conn_fingerprint (c);
	gnutls_certificate_verification_status_print (status, GNUTLS_CRT_X509, &text, 0);
	const char *advice = status & GNUTLS_CERT_UNEXPECTED_OWNER ? "use the server name that its certificate carries" :
	                     status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED) ?
	                     "check this computer's clock, or ask the server's owner" :
	                     "give its authority with --tls-ca FILE, or pin the certificate after comparing it with the owner";
	g_free (c->distrust);
	c->distrust = g_strdup_printf ("%s (fingerprint %s): %s", text.data ? g_strchomp ((char *) text.data) : "untrusted",
	                               seen ? seen : "none", advice);
	gnutls_free (text.data);
}

/* Reading the system's store costs more than the rest of a connection, so that a given CA file is asked first. */
static gboolean
check_authority (NetConn *c)
{
	unsigned status = 0;
	if (c->ca_file && gnutls_certificate_verify_peers3 (c->tls, c->host, &status) == 0 && status == 0)
		return TRUE;
	if (gnutls_certificate_set_x509_system_trust (c->credentials) < 0)
		g_debug ("net: the system's certificate store cannot be read");
	if (gnutls_certificate_verify_peers3 (c->tls, c->host, &status) < 0)
		status = GNUTLS_CERT_INVALID;
	if (status)
		say_distrust (c, status);
	return status == 0;
}

static int
judge_certificate (gnutls_session_t tls)
{
	NetConn *c = gnutls_session_get_ptr (tls);
	gboolean good = c->pin ? check_pin (c) : check_authority (c);
	return good ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static gboolean
set_up (NetConn *c, GError **error)
{
	if (gnutls_init (&c->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_certificate_allocate_credentials (&c->credentials) < 0 ||
	    gnutls_set_default_priority_append (c->tls, "-VERS-TLS1.0:-VERS-TLS1.1", NULL, 0) < 0)
		return error_fail (error, ERROR_IO, "TLS cannot be set up");
	if (c->ca_file) {
		int n = gnutls_certificate_set_x509_trust_file (c->credentials, c->ca_file, GNUTLS_X509_FMT_PEM);
		if (n <= 0)
			return error_fail (error, ERROR_USAGE, "no certificate can be read from %s: %s", c->ca_file,
			                   n < 0 ? gnutls_strerror (n) : "it holds none");
	}
	struct in6_addr address;
	if (inet_pton (AF_INET, c->host, &address) != 1 && inet_pton (AF_INET6, c->host, &address) != 1)
		gnutls_server_name_set (c->tls, GNUTLS_NAME_DNS, c->host, strlen (c->host));
	gnutls_certificate_set_verify_function (c->credentials, judge_certificate);
	gnutls_credentials_set (c->tls, GNUTLS_CRD_CERTIFICATE, c->credentials);
	gnutls_session_set_ptr (c->tls, c);
	gnutls_transport_set_ptr (c->tls, c);
	gnutls_transport_set_vec_push_function (c->tls, push);
	gnutls_transport_set_pull_function (c->tls, pull);
	return TRUE;
}

static gboolean
fail_handshake (NetConn *c, int code, GError **error)
{
	if (c->distrust)
		return error_fail (error, ERROR_UNTRUSTED, "the certificate of %s cannot be trusted: %s", c->name, c->distrust);
	if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR || code == GNUTLS_E_PUSH_ERROR)
		return error_fail (error, ERROR_TEMPORARY, "the server %s closed the connection during the TLS handshake", c->name);
	if (code == GNUTLS_E_UNEXPECTED_PACKET || code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH)
		return error_fail (error, ERROR_PROTOCOL, "%s does not speak TLS from the start: is it a port for STARTTLS (imap://)?", c->name);
	return error_fail (error, ERROR_PROTOCOL, "no TLS with %s: %s", c->name, gnutls_strerror (code));
}

gboolean
net_tls_start (NetConn *c, Cancel *cancel, GError **error)
{
	if (!set_up (c, error))
		return FALSE;
	gint64 deadline = g_get_monotonic_time () + c->timeout_ms * (gint64) 1000;
	int code;
	while ((code = gnutls_handshake (c->tls)) < 0) {
		if (code != GNUTLS_E_AGAIN && gnutls_error_is_fatal (code)) {
			gnutls_alert_send_appropriate (c->tls, code);
			return fail_handshake (c, code, error);
		}
		if (code != GNUTLS_E_AGAIN)
			continue;
		int ready = net_wait_fd (c->fd, gnutls_record_get_direction (c->tls) ? POLLOUT : POLLIN, deadline, cancel, error);
		if (ready == 0)
			error_fail (error, ERROR_TEMPORARY, "the server %s did not finish the TLS handshake in time", c->name);
		if (ready <= 0)
			return FALSE;
	}
	return TRUE;
}

gssize
net_tls_send (NetConn *c, const char *data, gsize size, GError **error)
{
	/* GnuTLS keeps the record that had to wait; asking again without data finishes it and tells its size. */
	ssize_t n = c->tls_blocked ? gnutls_record_send (c->tls, NULL, 0) : gnutls_record_send (c->tls, data, size);
	c->tls_blocked = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
	if (c->tls_blocked)
		return 0;
	if (n < 0)
		error_fail (error, ERROR_TEMPORARY, "sending to %s: %s", c->name, gnutls_strerror ((int) n));
	return n < 0 ? -1 : n;
}

/* AGAIN also comes behind a record that is not for us (a session ticket): the socket tells nothing of what we have read ahead of it. */
gssize
net_tls_recv (NetConn *c, char *data, gsize size, GError **error)
{
	ssize_t n;
	do
		n = gnutls_record_recv (c->tls, data, size);
	while (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_WARNING_ALERT_RECEIVED || (n == GNUTLS_E_AGAIN && c->ahead.start < c->ahead.end));
	if (n == GNUTLS_E_AGAIN)
		return 0;
	if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION) {
		c->at_end = TRUE;
		return 0;
	}
	if (n == GNUTLS_E_PULL_ERROR)
		error_fail (error, ERROR_TEMPORARY, "the connection to %s broke", c->name);
	else if (n < 0)
		error_fail (error, ERROR_PROTOCOL, "TLS from %s: %s", c->name, gnutls_strerror ((int) n));
	return n < 0 ? -1 : n;
}

char *
net_conn_describe_tls (const NetConn *c)
{
	if (!c->tls)
		return NULL;
	char *text = gnutls_session_get_desc (c->tls);
	char *copy = g_strdup (text);
	gnutls_free (text);
	return copy;
}

GBytes *
net_conn_channel_binding (const NetConn *c, const char *kind)
{
	gboolean modern = c->tls && gnutls_protocol_get_version (c->tls) >= GNUTLS_TLS1_3;
	gboolean exporter = strcmp (kind, "tls-exporter") == 0;
	gnutls_datum_t data = {0};
	/* tls-unique is not defined for 1.3; the exporter is only safe before it with extended master secret (RFC 9266, 4). */
	if (!c->tls || (!exporter && (modern || strcmp (kind, "tls-unique") != 0)) ||
	    (exporter && !modern && !gnutls_session_ext_master_secret_status (c->tls)) ||
	    gnutls_session_channel_binding (c->tls, exporter ? GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE, &data) < 0)
		return NULL;
	GBytes *bytes = g_bytes_new (data.data, data.size);
	gnutls_free (data.data);
	return bytes;
}
