/* SPDX-License-Identifier: Apache-2.0 */
#include "server-tls.h"
#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <unistd.h>

struct ServerTls {
	gnutls_certificate_credentials_t credentials;
	gnutls_datum_t ticket_key; /* of sessions that are taken up again */
	gnutls_priority_t priorities; /* one for all, as it is 9 KiB */
};

struct ServerTlsConn {
	ServerTls *tls;
	gnutls_session_t session;
	gboolean shaken, blocked;
};

static void
done (gpointer data)
{
	ServerTls *t = data;
	if (t->credentials)
		gnutls_certificate_free_credentials (t->credentials);
	if (t->priorities)
		gnutls_priority_deinit (t->priorities);
	gnutls_memset (t->ticket_key.data, 0, t->ticket_key.size);
	gnutls_free (t->ticket_key.data);
}

ServerTls *
server_tls_ref (ServerTls *t)
{
	return g_atomic_rc_box_acquire (t);
}

void
server_tls_unref (ServerTls *t)
{
	if (t)
		g_atomic_rc_box_release_full (t, done);
}

static gboolean
can_read (const char *path, const char *what, GError **error)
{
	return access (path, R_OK) == 0 || error_set_errno (error, errno, "reading the %s %s", what, path);
}

ServerTls *
server_tls_new (const char *certificate, const char *key, GError **error)
{
	if (!can_read (certificate, "certificate", error) || !can_read (key, "certificate's key", error))
		return NULL;
	g_autoptr (ServerTls) t = g_atomic_rc_box_new0 (ServerTls);
	int code = gnutls_certificate_allocate_credentials (&t->credentials);
	if (code >= 0)
		code = gnutls_certificate_set_x509_key_file2 (t->credentials, certificate, key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (code >= 0)
		code = gnutls_session_ticket_key_generate (&t->ticket_key);
	if (code >= 0)
		code = gnutls_priority_init2 (&t->priorities, "-VERS-TLS1.0:-VERS-TLS1.1", NULL, GNUTLS_PRIORITY_INIT_DEF_APPEND);
	if (code < 0) {
		error_fail (error, ERROR_USAGE, "the certificate %s with the key %s can't be used: %s", certificate, key, gnutls_strerror (code));
		return NULL;
	}
	return g_steal_pointer (&t);
}

ServerTlsConn *
server_tls_conn_new (ServerTls *t, int fd)
{
	ServerTlsConn *c = g_new0 (ServerTlsConn, 1);
	c->tls = server_tls_ref (t);
	if (gnutls_init (&c->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_priority_set (c->session, t->priorities) < 0 ||
	    gnutls_credentials_set (c->session, GNUTLS_CRD_CERTIFICATE, t->credentials) < 0 ||
	    gnutls_session_ticket_enable_server (c->session, &t->ticket_key) < 0) {
		server_tls_conn_free (c);
		return NULL;
	}
	gnutls_transport_set_int (c->session, fd);
	return c;
}

void
server_tls_conn_free (ServerTlsConn *c)
{
	if (!c)
		return;
	if (c->session && c->shaken && !c->blocked)
		gnutls_bye (c->session, GNUTLS_SHUT_WR);
	if (c->session)
		gnutls_deinit (c->session);
	server_tls_unref (c->tls);
	g_free (c);
}

static TlsStep
step_of (ServerTlsConn *c, ssize_t code)
{
	if (code >= 0)
		return TLS_DONE;
	if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
		return gnutls_record_get_direction (c->session) ? TLS_WANTS_OUTPUT : TLS_WANTS_INPUT;
	return TLS_FAILED;
}

TlsStep
server_tls_handshake (ServerTlsConn *c)
{
	int code;
	do
		code = gnutls_handshake (c->session);
	while (code < 0 && code != GNUTLS_E_AGAIN && !gnutls_error_is_fatal (code));
	TlsStep step = step_of (c, code);
	if (step == TLS_FAILED)
		gnutls_alert_send_appropriate (c->session, code);
	c->shaken = step == TLS_DONE;
	return step;
}

TlsStep
server_tls_recv (ServerTlsConn *c, char *to, gsize size, gsize *n_out)
{
	ssize_t n;
	do
		n = gnutls_record_recv (c->session, to, size);
	while (n == GNUTLS_E_WARNING_ALERT_RECEIVED);
	if (n == GNUTLS_E_PREMATURE_TERMINATION)
		n = 0;
	*n_out = n > 0 ? (gsize) n : 0;
	return step_of (c, n);
}

TlsStep
server_tls_send (ServerTlsConn *c, const char *octets, gsize size, gsize *n_out)
{
	/* GnuTLS keeps the record that had to wait: asking again without data finishes it and tells its size. */
	ssize_t n = c->blocked ? gnutls_record_send (c->session, NULL, 0) : gnutls_record_send (c->session, octets, size);
	TlsStep step = step_of (c, n);
	c->blocked = step == TLS_WANTS_OUTPUT;
	*n_out = n > 0 ? (gsize) n : 0;
	return step;
}

gboolean
server_tls_has_more (const ServerTlsConn *c)
{
	return gnutls_record_check_pending (c->session) > 0;
}

GBytes *
server_tls_binding (const ServerTlsConn *c, const char *kind)
{
	gboolean modern = gnutls_protocol_get_version (c->session) >= GNUTLS_TLS1_3, exporter = strcmp (kind, "tls-exporter") == 0;
	gnutls_datum_t data = {0};
	/* 1.3 has no tls-unique, and before it both want the extended master secret, without which somebody between can give two connections the
	 * same (RFC 9266 section 4, RFC 7627 section 1) */
	if (!c->shaken || (!exporter && (modern || strcmp (kind, "tls-unique") != 0)) ||
	    (!modern && !gnutls_session_ext_master_secret_status (c->session)) ||
	    gnutls_session_channel_binding (c->session, exporter ? GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE, &data) < 0)
		return NULL;
	GBytes *bytes = g_bytes_new (data.data, data.size);
	gnutls_free (data.data);
	return bytes;
}
