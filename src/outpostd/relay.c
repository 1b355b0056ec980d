/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"
#include "net-conn.h"
#include "net-sasl.h"
#include "sasl.h"
#include <string.h>

#define REPLY_MS (5 * 60 * 1000) /* RFC 5321 section 4.5.3.2; ten minutes behind the end of a message */
#define LINE_MAX_OCTETS 4096u
#define LINES_MAX 100u
#define SAID_MAX 400u
#define PASSWORD_MAX 1000u
#define QUEUED_MAX (256u << 10)
#define PIECE (64u << 10)

/* ---- Where ---- */

void
relay_target_clear (RelayTarget *t)
{
	g_clear_pointer (&t->host, g_free);
}

gboolean
relay_parse (const char *url, RelayTarget *out, GError **error)
{
	g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);
	const char *scheme = uri ? g_uri_get_scheme (uri) : "", *host = uri ? g_uri_get_host (uri) : NULL;
	gboolean tls = strcmp (scheme, "smtps") == 0;
	if ((!tls && strcmp (scheme, "smtp") != 0) || !host || !*host || *g_uri_get_path (uri) || g_uri_get_userinfo (uri) || g_uri_get_query (uri))
		return error_fail (error, ERROR_USAGE, "[submission] relay: '%s' is neither smtp://HOST:PORT nor smtps://HOST:PORT", url);
	int port = g_uri_get_port (uri);
	if (out)
		*out = (RelayTarget){g_strdup (host), port > 0 ? (guint16) port : tls ? 465 : 25, tls};
	return TRUE;
}

/* ---- Talking ---- */

typedef struct {
	const RelaySettings *settings;
	NetConn *conn;
	Cancel *cancel;
	int wait_ms;
	guint code;
	GString *said; /* the last reply in one line, without its code */
	gboolean starttls, eight_bit, utf8, dsn, size;
	GPtrArray *mechanisms; /* ends with NULL when it is complete */
} Talk;

static void
talk_clear (Talk *t)
{
	net_conn_free (t->conn);
	g_string_free (t->said, TRUE);
	g_ptr_array_unref (t->mechanisms);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Talk, talk_clear)

/* Sends, and takes what came. */
static gboolean
pump (Talk *t, GError **error)
{
	if (net_conn_at_end (t->conn))
		return net_conn_fail_at_end (t->conn, error);
	int n = net_wait (&t->conn, 1, NULL, 0, t->wait_ms, t->cancel, error);
	if (n == 0)
		error_fail (error, ERROR_TEMPORARY, "%s does not answer", net_conn_name (t->conn));
	return n > 0 && net_conn_read (t->conn, error);
}

static char *
take_line (Talk *t, GError **error)
{
	for (;;) {
		Slice in = net_conn_input (t->conn);
		const char *end = in.size ? memchr (in.data, '\n', in.size) : NULL;
		if (in.size > LINE_MAX_OCTETS && (!end || end - in.data > LINE_MAX_OCTETS)) {
			error_fail (error, ERROR_PROTOCOL, "%s sends lines that are too long", net_conn_name (t->conn));
			return NULL;
		}
		if (end) {
			char *line = slice_to_utf8 ((Slice){in.data, (gsize) (end - in.data - (end > in.data && end[-1] == '\r'))}, SAID_MAX);
			net_conn_consume (t->conn, (gsize) (end + 1 - in.data));
			return line;
		}
		if (!pump (t, error))
			return NULL;
	}
}

typedef void (*LineFn) (Talk *t, const char *text);

static gboolean
take_reply (Talk *t, LineFn fn, GError **error)
{
	g_string_truncate (t->said, 0);
	for (guint i = 0; i < LINES_MAX; i++) {
		g_autofree char *line = take_line (t, error);
		if (!line)
			return FALSE;
		gsize n = strlen (line);
		if (n < 3 || !g_ascii_isdigit (line[0]) || !g_ascii_isdigit (line[1]) || !g_ascii_isdigit (line[2]) || (n > 3 && !strchr (" -", line[3])))
			return error_fail (error, ERROR_PROTOCOL, "%s answers what is not SMTP: %s", net_conn_name (t->conn), line);
		const char *text = n > 4 ? line + 4 : "";
		t->code = (guint) (line[0] - '0') * 100 + (guint) (line[1] - '0') * 10 + (guint) (line[2] - '0');
		if (t->said->len + strlen (text) < SAID_MAX)
			g_string_append_printf (t->said, "%s%s", t->said->len ? " " : "", text);
		if (fn && i > 0)
			fn (t, text);
		if (n == 3 || line[3] == ' ')
			return TRUE;
	}
	return error_fail (error, ERROR_PROTOCOL, "%s sends replies that are too long", net_conn_name (t->conn));
}

static gboolean
command (Talk *t, LineFn fn, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);
static gboolean
command (Talk *t, LineFn fn, GError **error, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	net_conn_write (t->conn, text, strlen (text));
	net_conn_write (t->conn, "\r\n", 2);
	return take_reply (t, fn, error);
}

/* The last reply as an error, if it is not of @class: 4yz and what makes no sense is TEMPORARY, 5yz REFUSED. */
static gboolean
want (const Talk *t, guint class, GError **error)
{
	return t->code / 100 == class || error_fail (error, t->code / 100 == 5 ? ERROR_REFUSED : ERROR_TEMPORARY, "%u %s", t->code, t->said->str);
}

/* ---- Beginning ---- */

static void
take_extension (Talk *t, const char *text)
{
	g_auto (GStrv) words = g_strsplit (text, " ", -1);
	const char *name = words[0] ? words[0] : "";
	t->starttls |= g_ascii_strcasecmp (name, "STARTTLS") == 0;
	t->eight_bit |= g_ascii_strcasecmp (name, "8BITMIME") == 0;
	t->utf8 |= g_ascii_strcasecmp (name, "SMTPUTF8") == 0;
	t->dsn |= g_ascii_strcasecmp (name, "DSN") == 0;
	t->size |= g_ascii_strcasecmp (name, "SIZE") == 0;
	if (g_ascii_strcasecmp (name, "AUTH") == 0)
		for (char **w = words + 1; *w; w++)
			g_ptr_array_add (t->mechanisms, g_strdup (*w));
}

static gboolean
say_ehlo (Talk *t, GError **error)
{
	t->starttls = t->eight_bit = t->utf8 = t->dsn = t->size = FALSE;
	g_ptr_array_set_size (t->mechanisms, 0);
	return command (t, take_extension, error, "EHLO %s", t->settings->name) && want (t, 2, error);
}

static gboolean
secure (Talk *t, GError **error)
{
	if (net_conn_is_encrypted (t->conn) || (net_conn_is_loopback (t->conn) && !t->settings->ca_file))
		return TRUE;
	if (!t->starttls)
		return error_fail (error, ERROR_TEMPORARY, "%s offers no STARTTLS, and mail goes in plain text to this machine only", net_conn_name (t->conn));
	return command (t, NULL, error, "STARTTLS") && want (t, 2, error) && net_conn_start_tls (t->conn, t->cancel, error) && say_ehlo (t, error);
}

static gboolean
exchange (Talk *t, NetSasl *sasl, GError **error)
{
	char *text = net_sasl_initial (sasl);
	g_autofree char *command_text = g_strdup_printf ("AUTH %s%s", net_sasl_mechanism (sasl), !text ? "" : *text ? " " : " =");
	net_conn_write (t->conn, command_text, strlen (command_text));
	do {
		if (text)
			net_conn_write_secret (t->conn, text, strlen (text));
		net_sasl_wipe (g_steal_pointer (&text));
		net_conn_write (t->conn, "\r\n", 2);
		if (!take_reply (t, NULL, error))
			return FALSE;
	} while (t->code == 334 && net_sasl_step (sasl, t->said->str, &text, error));
	return t->code != 334 && want (t, 2, error) && net_sasl_finish (sasl, error);
}

static gboolean
log_on (Talk *t, GError **error)
{
	const RelaySettings *r = t->settings;
	g_autofree char *password = NULL;
	gsize size = 0;
	g_autoptr (GError) local = NULL;
	if (!r->user)
		return TRUE;
	if (!r->password_file || !g_file_get_contents (r->password_file, &password, &size, &local) || size > PASSWORD_MAX)
		return error_fail (error, ERROR_TEMPORARY, "[submission] relay-password-file: %s", local ? local->message : "there is no password in it");
	password[strcspn (password, "\r\n")] = '\0';
	g_ptr_array_add (t->mechanisms, NULL);
	const NetSaslSettings settings = {.user = r->user, .secret = password, .plain_allowed = TRUE, .conn = t->conn};
	g_autoptr (NetSasl) sasl = net_sasl_new (&settings, (const char *const *) t->mechanisms->pdata, error);
	sasl_wipe (g_steal_pointer (&password));
	return sasl && exchange (t, sasl, error);
}

static gboolean
begin (Talk *t, GError **error)
{
	RelayTarget target = {NULL};
	if (!relay_parse (t->settings->url, &target, error))
		return FALSE;
	const NetTarget to = {.host = target.host, .port = target.port, .tls = target.tls, .ca_file = t->settings->ca_file};
	t->conn = net_conn_open (&to, t->cancel, error);
	relay_target_clear (&target);
	return t->conn && take_reply (t, NULL, error) && want (t, 2, error) && say_ehlo (t, error) && secure (t, error) && log_on (t, error);
}

/* ---- A message ---- */

static gboolean
drain (Talk *t, gsize at_most, GError **error)
{
	while (net_conn_pending (t->conn) > at_most)
		if (!pump (t, error))
			return FALSE;
	return TRUE;
}

/* Every line ends with CRLF, and dots are stuffed (RFC 5321 section 4.5.2). */
static gboolean
send_text (Talk *t, GBytes *octets, GError **error)
{
	gsize size;
	const char *at = g_bytes_get_data (octets, &size), *end = at + size;
	while (at < end) {
		const char *line = at;
		while (at < end && *at != '\r' && *at != '\n')
			at++;
		if (*line == '.' && at > line)
			net_conn_write (t->conn, ".", 1);
		net_conn_write (t->conn, line, (gsize) (at - line));
		net_conn_write (t->conn, "\r\n", 2);
		at += at < end && *at == '\r' && at + 1 < end && at[1] == '\n' ? 2 : at < end;
		if (net_conn_pending (t->conn) > QUEUED_MAX && !drain (t, PIECE, error))
			return FALSE;
	}
	net_conn_write (t->conn, ".\r\n", 3);
	return take_reply (t, NULL, error);
}

static gboolean
has_high (GBytes *octets)
{
	gsize size;
	const char *data = g_bytes_get_data (octets, &size);
	for (gsize i = 0; i < size; i++)
		if ((guchar) data[i] >= 0x80)
			return TRUE;
	return FALSE;
}

static gboolean
say_mail (Talk *t, const QueueMessage *m, GBytes *octets, GError **error)
{
	if (m->utf8 && !t->utf8)
		return error_fail (error, ERROR_REFUSED, "550 5.6.7 %s takes no addresses in UTF-8 (SMTPUTF8)", net_conn_name (t->conn));
	g_autoptr (GString) line = g_string_new (NULL);
	g_string_printf (line, "MAIL FROM:<%s>", m->sender);
	if (t->size)
		g_string_append_printf (line, " SIZE=%zu", g_bytes_get_size (octets));
	if (t->eight_bit && has_high (octets))
		g_string_append (line, " BODY=8BITMIME");
	if (m->utf8)
		g_string_append (line, " SMTPUTF8");
	if (t->dsn && m->ret)
		g_string_append_printf (line, " RET=%s", m->ret);
	if (t->dsn && m->envid)
		g_string_append_printf (line, " ENVID=%s", m->envid);
	return command (t, NULL, error, "%s", line->str) && want (t, 2, error);
}

static void
settle (RelayResult *r, RelayOutcome outcome, const char *said)
{
	g_free (r->said);
	*r = (RelayResult){outcome, g_strdup (said)};
}

static RelayOutcome
outcome_of (const GError *error)
{
	return error_is (error, ERROR_REFUSED) ? RELAY_FAILED : RELAY_LATER;
}

/* *accepted_out: how many were. What was refused is settled. */
static gboolean
say_recipients (Talk *t, const GPtrArray *recipients, RelayResult *results, guint *accepted_out, GError **error)
{
	*accepted_out = 0;
	for (guint i = 0; i < recipients->len; i++) {
		const QueueRecipient *r = recipients->pdata[i];
		g_autofree char *notify = t->dsn && r->notify ? g_strdup_printf (" NOTIFY=%s", r->notify) : g_strdup ("");
		g_autofree char *orcpt = t->dsn && r->orcpt ? g_strdup_printf (" ORCPT=%s", r->orcpt) : g_strdup ("");
		g_autoptr (GError) refused = NULL;
		if (!command (t, NULL, error, "RCPT TO:<%s>%s%s", r->address, notify, orcpt))
			return FALSE;
		gboolean accepted = want (t, 2, &refused);
		settle (&results[i], !accepted ? outcome_of (refused) : t->dsn ? RELAY_DONE : RELAY_DONE_SILENT, accepted ? "" : refused->message);
		*accepted_out += accepted;
	}
	return TRUE;
}

static gboolean
send_message (Talk *t, const QueueMessage *m, GBytes *octets, const GPtrArray *recipients, RelayResult *results, GError **error)
{
	guint accepted;
	if (!say_mail (t, m, octets, error) || !say_recipients (t, recipients, results, &accepted, error))
		return FALSE;
	if (accepted == 0)
		return TRUE;
	if (!command (t, NULL, error, "DATA") || !want (t, 3, error))
		return FALSE;
	t->wait_ms = 2 * REPLY_MS;
	return send_text (t, octets, error) && want (t, 2, error);
}

static gboolean
is_settled_for_bad (const RelayResult *r)
{
	return r->outcome == RELAY_FAILED || (r->outcome == RELAY_LATER && r->said);
}

void
relay_send (const RelaySettings *settings, const QueueMessage *m, GBytes *octets, const GPtrArray *recipients, RelayResult *results, Cancel *cancel)
{
	g_auto (Talk) t = {.settings = settings, .cancel = cancel, .wait_ms = REPLY_MS, .said = g_string_new (NULL),
	                   .mechanisms = g_ptr_array_new_with_free_func (g_free)};
	g_autoptr (GError) error = NULL;
	/* what refuses us before it was told of a message does not refuse the message: its administrator has something to do */
	gboolean begun = begin (&t, &error), ok = begun && send_message (&t, m, octets, recipients, results, &error);
	for (guint i = 0; i < recipients->len; i++)
		if (!ok && !is_settled_for_bad (&results[i]))
			settle (&results[i], begun ? outcome_of (error) : RELAY_LATER, error->message);
		else if (ok && !is_settled_for_bad (&results[i]))
			settle (&results[i], results[i].outcome, t.said->str);
	if (ok) {
		net_conn_write (t.conn, "QUIT\r\n", 6);
		net_conn_flush (t.conn, NULL);
	}
}
