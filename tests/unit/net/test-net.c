/* SPDX-License-Identifier: Apache-2.0 */
/* Against servers in a thread of this program, on the loopback, with an authority made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <gsasl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include "net-conn.h"
#include "net-sasl.h"

typedef enum { SERVE_ECHO, SERVE_DEFLATE, SERVE_SILENT, SERVE_STARTTLS, SERVE_INJECT, SERVE_CLOSE } Manner;

typedef struct {
	Manner manner;
	gboolean tls;
	int listener;
	guint16 port;
	GThread *thread;
} Server;

static char *ca_path;
static gnutls_certificate_credentials_t server_credentials;

static gnutls_x509_privkey_t
make_key (void)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_privkey_init (&key);
	assert_int_equal (gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	return key;
}

static gnutls_x509_crt_t
make_certificate (gnutls_x509_privkey_t key, const char *host, gnutls_x509_crt_t issuer, gnutls_x509_privkey_t issuer_key)
{
	static guint8 serial = 1;
	gnutls_x509_crt_t crt;
	gnutls_x509_crt_init (&crt);
	gnutls_x509_crt_set_version (crt, 3);
	gnutls_x509_crt_set_serial (crt, &serial, 1);
	serial++;
	gnutls_x509_crt_set_activation_time (crt, time (NULL) - 3600);
	gnutls_x509_crt_set_expiration_time (crt, time (NULL) + 86400);
	const char *name = host ? host : "test authority";
	gnutls_x509_crt_set_dn_by_oid (crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned) strlen (name));
	gnutls_x509_crt_set_key (crt, key);
	gnutls_x509_crt_set_basic_constraints (crt, host == NULL, -1);
	if (host)
		gnutls_x509_crt_set_subject_alt_name (crt, GNUTLS_SAN_DNSNAME, host, (unsigned) strlen (host), GNUTLS_FSAN_SET);
	else
		gnutls_x509_crt_set_key_usage (crt, GNUTLS_KEY_KEY_CERT_SIGN);
	assert_int_equal (gnutls_x509_crt_sign2 (crt, issuer ? issuer : crt, issuer_key, GNUTLS_DIG_SHA256, 0), 0);
	return crt;
}

static int
set_up_authority (void **state)
{
	gnutls_x509_privkey_t ca_key = make_key (), key = make_key ();
	gnutls_x509_crt_t ca = make_certificate (ca_key, NULL, NULL, ca_key);
	gnutls_x509_crt_t crt = make_certificate (key, "localhost", ca, ca_key);
	gnutls_datum_t pem;
	assert_int_equal (gnutls_x509_crt_export2 (ca, GNUTLS_X509_FMT_PEM, &pem), 0);
	ca_path = g_strdup_printf ("%s/test-net-ca-%d.pem", g_get_tmp_dir (), (int) getpid ());
	assert_true (g_file_set_contents (ca_path, (char *) pem.data, (gssize) pem.size, NULL));
	gnutls_free (pem.data);
	gnutls_certificate_allocate_credentials (&server_credentials);
	assert_int_equal (gnutls_certificate_set_x509_key (server_credentials, &crt, 1, key), 0);
	gnutls_x509_crt_deinit (ca);
	gnutls_x509_crt_deinit (crt);
	gnutls_x509_privkey_deinit (ca_key);
	gnutls_x509_privkey_deinit (key);
	return 0;
}

static int
tear_down_authority (void **state)
{
	gnutls_certificate_free_credentials (server_credentials);
	g_unlink (ca_path);
	g_free (ca_path);
	return 0;
}

static void
echo_tls (int fd)
{
	char data[5000];
	gnutls_session_t tls;
	gnutls_init (&tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority (tls);
	gnutls_credentials_set (tls, GNUTLS_CRD_CERTIFICATE, server_credentials);
	gnutls_transport_set_int (tls, fd);
	int code;
	while ((code = gnutls_handshake (tls)) < 0 && !gnutls_error_is_fatal (code))
		continue;
	ssize_t n;
	while (code == 0 && (n = gnutls_record_recv (tls, data, sizeof data)) > 0)
		gnutls_record_send (tls, data, (gsize) n);
	gnutls_deinit (tls);
}

static void
echo_plain (int fd)
{
	char data[5000];
	ssize_t n;
	while ((n = read (fd, data, sizeof data)) > 0)
		send (fd, data, (gsize) n, MSG_NOSIGNAL);
}

/* Inflates and deflates again, in odd pieces. */
static void
echo_deflated (int fd)
{
	z_stream in = {0}, out = {0};
	Bytef packed[7], plain[1001], again[1777];
	ssize_t n;
	inflateInit2 (&in, -15);
	deflateInit2 (&out, 6, Z_DEFLATED, -15, 8, 0);
	while ((n = read (fd, packed, sizeof packed)) > 0) {
		in.next_in = packed;
		in.avail_in = (uInt) n;
		do {
			in.next_out = plain;
			in.avail_out = sizeof plain;
			inflate (&in, Z_SYNC_FLUSH);
			out.next_in = plain;
			out.avail_in = (uInt) (sizeof plain - in.avail_out);
			while (out.avail_in) {
				out.next_out = again;
				out.avail_out = sizeof again;
				deflate (&out, Z_SYNC_FLUSH);
				send (fd, again, sizeof again - out.avail_out, MSG_NOSIGNAL);
			}
		} while (in.avail_in || in.avail_out == 0);
	}
	inflateEnd (&in);
	deflateEnd (&out);
}

static gpointer
serve (gpointer data)
{
	Server *s = data;
	char line[64];
	int fd = accept (s->listener, NULL, NULL);
	if (s->tls)
		echo_tls (fd);
	else if (s->manner == SERVE_ECHO)
		echo_plain (fd);
	else if (s->manner == SERVE_DEFLATE)
		echo_deflated (fd);
	else if (s->manner == SERVE_SILENT)
		while (read (fd, line, sizeof line) > 0)
			continue;
	else if (read (fd, line, sizeof line) > 0) {
		const char *answer = s->manner == SERVE_INJECT ? "OK\r\n* injected\r\n" : "OK\r\n";
		send (fd, answer, strlen (answer), MSG_NOSIGNAL);
		if (s->manner == SERVE_STARTTLS)
			echo_tls (fd);
	}
	close (fd);
	return NULL;
}

static void
server_start (Server *s, Manner manner, gboolean tls)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	*s = (Server){manner, tls, socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal (bind (s->listener, (struct sockaddr *) &a, size), 0);
	assert_int_equal (listen (s->listener, 4), 0);
	getsockname (s->listener, (struct sockaddr *) &a, &size);
	s->port = ntohs (a.sin_port);
	s->thread = g_thread_new ("server", serve, s);
}

static void
server_end (Server *s)
{
	g_thread_join (s->thread);
	close (s->listener);
}

static NetConn *
open_to (const Server *s, const char *host, const char *ca, const char *pin, GError **error)
{
	NetTarget t = {.host = host, .port = s->port, .tls = s->tls, .ca_file = ca, .pin = pin, .timeout_ms = 10000};
	return net_conn_open (&t, NULL, error);
}

/* Sends @size octets of a pattern and expects them back. */
static void
check_echo (NetConn *c, gsize size)
{
	g_autofree char *data = g_malloc (size);
	g_autoptr (GError) error = NULL;
	gsize sent = 0, seen = 0;
	for (gsize i = 0; i < size; i++)
		data[i] = (char) ((i * 2654435761u) >> (i % 7 ? 13 : 29));
	while (seen < size) {
		while (sent < size && net_conn_pending (c) < 100000) {
			gsize step = MIN (size - sent, 9973);
			net_conn_write (c, data + sent, step);
			sent += step;
		}
		assert_true (net_wait (&c, 1, NULL, 0, 10000, NULL, &error) > 0);
		assert_true (net_conn_read (c, &error));
		assert_false (net_conn_at_end (c));
		Slice in = net_conn_input (c);
		assert_true (seen + in.size <= size);
		assert_memory_equal (in.data, data + seen, in.size);
		net_conn_consume (c, in.size);
		seen += in.size;
	}
}

static void
test_echo_arrives_whole_in_every_layering (void **state)
{
	static const struct {
		Manner manner;
		gboolean tls;
	} rows[] = {{SERVE_ECHO, FALSE}, {SERVE_ECHO, TRUE}, {SERVE_DEFLATE, FALSE}};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		Server s;
		server_start (&s, rows[i].manner, rows[i].tls);
		g_autoptr (GError) error = NULL;
		NetConn *c = open_to (&s, "localhost", ca_path, NULL, &error);
		assert_non_null (c);
		assert_true (net_conn_is_loopback (c));
		assert_int_equal (net_conn_is_encrypted (c), rows[i].tls);
		if (rows[i].manner == SERVE_DEFLATE)
			assert_true (net_conn_start_deflate (c, &error));
		check_echo (c, 1);
		assert_int_equal (net_conn_stats (c).flights, 1);
		check_echo (c, 700000);
		assert_int_equal (net_conn_stats (c).app_out, 700001);
		assert_int_equal (net_conn_stats (c).app_in, 700001);
		g_autoptr (GBytes) binding = net_conn_channel_binding (c, "tls-exporter");
		assert_int_equal (binding != NULL, rows[i].tls);
		net_conn_free (c);
		server_end (&s);
	}
}

static void
test_certificates_are_judged (void **state)
{
	Server s;
	server_start (&s, SERVE_ECHO, TRUE);
	NetConn *good = open_to (&s, "localhost", ca_path, NULL, NULL);
	g_autofree char *pin = net_conn_fingerprint (good);
	net_conn_free (good);
	server_end (&s);
	g_autofree char *wrong_pin = g_strnfill (64, 'a');
	const struct {
		const char *host, *ca, *pin, *says;
	} rows[] = {
		{"localhost", NULL, NULL, "--tls-ca"},    {"127.0.0.1", ca_path, NULL, "server name"},
		{"127.0.0.1", NULL, pin, NULL},           {"localhost", ca_path, wrong_pin, "pinned"},
		{"localhost", "/nonexistent", NULL, "/nonexistent"},
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		server_start (&s, SERVE_ECHO, TRUE);
		g_autoptr (GError) error = NULL;
		NetConn *c = open_to (&s, rows[i].host, rows[i].ca, rows[i].pin, &error);
		assert_int_equal (c == NULL, rows[i].says != NULL);
		if (rows[i].says)
			assert_non_null (strstr (error->message, rows[i].says));
		net_conn_free (c);
		server_end (&s);
	}
}

static void
test_starttls_refuses_what_came_before_it (void **state)
{
	static const Manner rows[] = {SERVE_STARTTLS, SERVE_INJECT};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		Server s;
		server_start (&s, rows[i], FALSE);
		g_autoptr (GError) error = NULL;
		NetConn *c = open_to (&s, "localhost", ca_path, NULL, &error);
		net_conn_write (c, "STARTTLS\r\n", 10);
		while (net_conn_input (c).size < 4) {
			assert_true (net_wait (&c, 1, NULL, 0, 10000, NULL, &error) > 0);
			assert_true (net_conn_read (c, &error));
		}
		net_conn_consume (c, 4);
		assert_int_equal (net_conn_start_tls (c, NULL, &error), rows[i] == SERVE_STARTTLS);
		if (rows[i] == SERVE_STARTTLS)
			check_echo (c, 50000);
		else
			assert_true (error_is (error, ERROR_PROTOCOL));
		net_conn_free (c);
		server_end (&s);
	}
}

static void
test_end_of_stream_is_told_apart (void **state)
{
	Server s;
	server_start (&s, SERVE_CLOSE, FALSE);
	g_autoptr (GError) error = NULL;
	NetConn *c = open_to (&s, "localhost", NULL, NULL, &error);
	net_conn_write (c, "x", 1);
	while (!net_conn_at_end (c)) {
		assert_true (net_wait (&c, 1, NULL, 0, 10000, NULL, &error) > 0);
		assert_true (net_conn_read (c, &error));
	}
	assert_true (slice_equals (net_conn_input (c), "OK\r\n"));
	assert_false (net_conn_fail_at_end (c, &error));
	assert_true (error_is (error, ERROR_TEMPORARY));
	net_conn_free (c);
	server_end (&s);
	g_autoptr (GError) refused = NULL;
	assert_null (open_to (&s, "127.0.0.1", NULL, NULL, &refused));
	assert_true (error_is (refused, ERROR_TEMPORARY));
}

static int
option_of (const NetConn *c, int level, int name)
{
	int value = 0;
	socklen_t size = sizeof value;
	assert_int_equal (getsockopt (net_conn_fd (c), level, name, &value, &size), 0);
	return value;
}

static void
test_a_vanished_peer_is_noticed_after_three_minutes (void **state)
{
	Server s;
	server_start (&s, SERVE_SILENT, FALSE);
	NetConn *c = open_to (&s, "localhost", NULL, NULL, NULL);
	assert_int_not_equal (option_of (c, SOL_SOCKET, SO_KEEPALIVE), 0);
	int idle = option_of (c, IPPROTO_TCP, TCP_KEEPIDLE), each = option_of (c, IPPROTO_TCP, TCP_KEEPINTVL);
	assert_int_equal (idle + each * option_of (c, IPPROTO_TCP, TCP_KEEPCNT), NET_DEAD_S);
	assert_int_equal (option_of (c, IPPROTO_TCP, TCP_USER_TIMEOUT), 1000 * NET_DEAD_S);
	net_conn_free (c);
	server_end (&s);
}

/* The socket gets nothing any more, not even what is to be acknowledged. */
static void
vanish (int fd)
{
	struct sock_filter nothing = BPF_STMT (BPF_RET | BPF_K, 0);
	struct sock_fprog program = {1, &nothing};
	assert_int_equal (setsockopt (fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}

/* The same in seconds instead of minutes: a wait without anything sent, and one behind octets that nobody acknowledges. */
static void
test_a_wait_for_a_vanished_peer_ends (void **state)
{
	for (guint sends = 0; sends < 2; sends++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
		socklen_t size = sizeof a;
		int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), second = 1, timeout = 2000;
		assert_int_equal (bind (listener, (struct sockaddr *) &a, size), 0);
		assert_int_equal (listen (listener, 1), 0);
		getsockname (listener, (struct sockaddr *) &a, &size);
		g_autoptr (GError) error = NULL;
		NetTarget t = {.host = "127.0.0.1", .port = ntohs (a.sin_port)};
		g_autoptr (NetConn) c = net_conn_open (&t, NULL, &error);
		int peer = accept (listener, NULL, NULL);
		setsockopt (net_conn_fd (c), IPPROTO_TCP, TCP_KEEPIDLE, &second, sizeof second);
		setsockopt (net_conn_fd (c), IPPROTO_TCP, TCP_KEEPINTVL, &second, sizeof second);
		setsockopt (net_conn_fd (c), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
		vanish (peer);
		if (sends)
			net_conn_write (c, "hello", 5);
		assert_true (net_wait (&c, 1, NULL, 0, 60000, NULL, &error) > 0);
		assert_false (net_conn_read (c, &error));
		assert_true (error_is (error, ERROR_TEMPORARY));
		close (peer);
		close (listener);
	}
}

static gpointer
trigger_soon (gpointer cancel)
{
	g_usleep (100000);
	cancel_trigger (cancel);
	return NULL;
}

static void
test_cancel_ends_wait_and_handshake_at_once (void **state)
{
	for (guint i = 0; i < 2; i++) {
		Server s;
		server_start (&s, SERVE_SILENT, FALSE);
		g_autoptr (Cancel) cancel = cancel_new ();
		g_autoptr (GError) error = NULL;
		NetTarget t = {.host = "localhost", .port = s.port, .tls = i == 1};
		GThread *thread = g_thread_new ("cancel", trigger_soon, cancel);
		gint64 start = g_get_monotonic_time ();
		NetConn *c = net_conn_open (&t, cancel, &error);
		if (i == 0)
			assert_int_equal (net_wait (&c, 1, NULL, 0, -1, cancel, &error), -1);
		assert_true (error_is (error, ERROR_CANCELLED));
		assert_true (g_get_monotonic_time () - start < G_USEC_PER_SEC);
		g_thread_join (thread);
		net_conn_free (c);
		server_end (&s);
	}
}

static int
scram_property (Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
	if (property != GSASL_PASSWORD)
		return GSASL_NO_CALLBACK;
	return gsasl_property_set (session, property, "pencil");
}

/* The exchange with gsasl as the server: TRUE if both sides are content. */
static gboolean
scram_works (const char *mechanism, const char *password, GError **error)
{
	const char *const offered[] = {"PLAIN", mechanism, NULL};
	NetSaslSettings set = {.user = "user", .secret = password};
	g_autoptr (NetSasl) sasl = net_sasl_new (&set, offered, error);
	assert_string_equal (net_sasl_mechanism (sasl), mechanism);
	Gsasl *ctx;
	Gsasl_session *server;
	gsasl_init (&ctx);
	gsasl_callback_set (ctx, scram_property);
	gsasl_server_start (ctx, mechanism, &server);
	char *text = net_sasl_initial (sasl);
	gboolean good = TRUE;
	int code = GSASL_NEEDS_MORE;
	while (good && code == GSASL_NEEDS_MORE) {
		char *challenge = NULL;
		code = gsasl_step64 (server, text, &challenge);
		net_sasl_wipe (text);
		text = NULL;
		if ((code == GSASL_NEEDS_MORE || code == GSASL_OK) && *challenge)
			good = net_sasl_step (sasl, challenge, &text, error);
		gsasl_free (challenge);
	}
	net_sasl_wipe (text);
	gsasl_finish (server);
	gsasl_done (ctx);
	return good && code == GSASL_OK && net_sasl_finish (sasl, error);
}

static void
test_scram_proves_both_sides (void **state)
{
	assert_true (scram_works ("SCRAM-SHA-256", "pencil", NULL));
	assert_true (scram_works ("SCRAM-SHA-1", "pencil", NULL));
	assert_false (scram_works ("SCRAM-SHA-256", "crayon", NULL));
}

static void
test_mechanisms_are_chosen_and_worded (void **state)
{
	static const struct {
		const char *offered, *only;
		gboolean token, plain_allowed;
		const char *choice, *initial;
	} rows[] = {
		{"PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", NULL, FALSE, FALSE, "SCRAM-SHA-256", NULL},
		{"LOGIN plain", NULL, FALSE, TRUE, "PLAIN", "AHUAcw=="},
		{"LOGIN PLAIN", NULL, FALSE, FALSE, NULL, NULL},
		{"PLAIN LOGIN", "login", FALSE, TRUE, "LOGIN", NULL},
		{"PLAIN XOAUTH2", NULL, TRUE, TRUE, "XOAUTH2", "dXNlcj11AWF1dGg9QmVhcmVyIHMBAQ=="},
		{"OAUTHBEARER XOAUTH2", NULL, TRUE, TRUE, "OAUTHBEARER", "bixhPXUsAWF1dGg9QmVhcmVyIHMBAQ=="},
		{"XOAUTH2", NULL, FALSE, TRUE, NULL, NULL},
		{"", NULL, FALSE, TRUE, NULL, NULL},
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (GStrv) offered = g_strsplit (rows[i].offered, " ", -1);
		NetSaslSettings set = {.user = "u", .secret = "s", .secret_is_token = rows[i].token,
		                       .plain_allowed = rows[i].plain_allowed, .only = rows[i].only};
		g_autoptr (GError) error = NULL;
		g_autoptr (NetSasl) sasl = net_sasl_new (&set, (const char *const *) offered, &error);
		assert_int_equal (sasl == NULL, rows[i].choice == NULL);
		if (!sasl)
			assert_true (error_is (error, ERROR_NOT_FOUND));
		else
			assert_string_equal (net_sasl_mechanism (sasl), rows[i].choice);
		char *initial = rows[i].initial ? net_sasl_initial (sasl) : NULL;
		if (rows[i].initial)
			assert_string_equal (initial, rows[i].initial);
		net_sasl_wipe (initial);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_echo_arrives_whole_in_every_layering),
		cmocka_unit_test (test_certificates_are_judged),
		cmocka_unit_test (test_starttls_refuses_what_came_before_it),
		cmocka_unit_test (test_end_of_stream_is_told_apart),
		cmocka_unit_test (test_a_vanished_peer_is_noticed_after_three_minutes),
		cmocka_unit_test (test_a_wait_for_a_vanished_peer_ends),
		cmocka_unit_test (test_cancel_ends_wait_and_handshake_at_once),
		cmocka_unit_test (test_scram_proves_both_sides),
		cmocka_unit_test (test_mechanisms_are_chosen_and_worded),
	};
	return cmocka_run_group_tests (tests, set_up_authority, tear_down_authority);
}
