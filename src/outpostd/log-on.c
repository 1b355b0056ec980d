/* SPDX-License-Identifier: Apache-2.0 */
#include "log-on.h"
#include "digest.h"
#include "sasl.h"
#include "server.h"
#include <string.h>

#define EXTERNAL "EXTERNAL"

/* ---- Attempts ---- */

/* One that is under way: from when the name is known until it is known how it ends. */
typedef struct {
	LogOns *of;
	ImapdPeer peer;
	char *user; /* NULL: not begun, or over */
} Attempt;

/* FALSE: who asks has to wait. */
static gboolean
attempt_begin (Attempt *a, Directory *d, const char *name, GError **error)
{
	g_autofree char *user = directory_name_key (d, name, error);
	guint seconds = user ? backoff_begin (a->of->backoff, a->peer.address, user, g_get_monotonic_time ()) : 0;
	if (seconds) {
		g_message ("log-on: delayed for %u s: from=%s user=%s", seconds, a->peer.address, user);
		metrics_log_on (a->of->metrics, LOG_ON_DELAYED);
		return error_fail (error, ERROR_REFUSED, "too many log-ons failed: try again in %u second%s", seconds, seconds == 1 ? "" : "s");
	}
	a->user = g_steal_pointer (&user);
	return a->user != NULL;
}

static void
attempt_end (Attempt *a, BackoffResult result)
{
	if (a->user)
		backoff_end (a->of->backoff, a->peer.address, a->user, result, g_get_monotonic_time ());
	g_clear_pointer (&a->user, g_free);
}

static void
attempt_failed (Attempt *a, const GError *error)
{
	gboolean wrong = error_is (error, ERROR_NO_PERMISSION);
	attempt_end (a, wrong ? BACKOFF_WRONG : BACKOFF_LEFT);
	if (error_is (error, ERROR_REFUSED)) /* told already */
		return;
	g_message ("log-on: refused: from=%s %s", a->peer.address, error->message);
	metrics_log_on (a->of->metrics, LOG_ON_BAD);
}

static ImapdMailbox *
attempt_succeeded (Attempt *a, const DirectoryMailbox *m, const char *how, GError **error)
{
	attempt_end (a, BACKOFF_RIGHT);
	g_autoptr (GError) elsewhere = NULL;
	g_autofree char *address = NULL;
	if (!host_is_home (a->of->host, m, &address, &elsewhere)) {
		if (error_is (elsewhere, ERROR_UNAVAILABLE))
			g_set_error (error, IMAPD_ELSEWHERE, 0, "%s %s %s", address ? address : "-", m->id, elsewhere->message);
		else
			g_propagate_error (error, g_steal_pointer (&elsewhere));
		return NULL;
	}
	g_autofree char *path = host_store_path (a->of->host, m->id);
	g_autoptr (ImapdMailbox) mailbox = imapd_pool_open (a->of->pool, path, error);
	if (!mailbox)
		return NULL;
	gboolean speaks = a->peer.how & IMAPD_SERVER;
	if ((speaks && !server_stand_for (a->peer.connection, a->peer.address)) || !server_join (a->peer.connection, mailbox)) {
		g_message ("log-on: over the limit: mailbox=%s from=%s", m->address, a->peer.address);
		metrics_log_on (a->of->metrics, LOG_ON_OVER_LIMIT);
		error_fail (error, ERROR_TOO_BIG, "you have too many connections: close some of them");
		return NULL;
	}
	g_message ("log-on: mailbox=%s from=%s by=%s", m->address, a->peer.address, how);
	metrics_log_on (a->of->metrics, LOG_ON_GOOD);
	return g_steal_pointer (&mailbox);
}

/* ---- Passwords ---- */

ImapdMailbox *
log_on (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error)
{
	LogOns *l = data;
	Attempt a = {.of = l, .peer = *peer};
	Directory *d = host_directory (l->host, error);
	g_autoptr (DirectoryMailbox) m = d && attempt_begin (&a, d, user, error) ? directory_authenticate (d, user, password, error) : NULL;
	if (m)
		return attempt_succeeded (&a, m, "password", error);
	attempt_failed (&a, *error);
	return NULL;
}

static DirectoryMailbox *
look_up (LogOns *l, const ImapdMailbox *mailbox, GError **error)
{
	Directory *d = host_directory (l->host, error);
	g_autofree char *id = g_path_get_basename (imapd_mailbox_path (mailbox));
	return d ? directory_mailbox (d, id, error) : NULL;
}

gboolean
log_on_quota (gpointer data, const ImapdMailbox *mailbox, ImapdQuota *out, GError **error)
{
	g_autoptr (DirectoryMailbox) m = look_up (data, mailbox, error);
	if (m)
		*out = (ImapdQuota){m->quota, m->quota_messages};
	return m != NULL;
}

char *
log_on_owner (gpointer data, const ImapdMailbox *mailbox, GError **error)
{
	g_autoptr (DirectoryMailbox) m = look_up (data, mailbox, error);
	return m ? g_strdup (m->address) : NULL;
}

void
log_on_count_command (gpointer data, const char *command, gint64 microseconds)
{
	metrics_command (((LogOns *) data)->metrics, command, microseconds);
}

/* ---- Exchanges ---- */

typedef struct {
	Attempt attempt;
	const char *mechanism;
	DirectoryLogOn *scram; /* NULL: a token, or EXTERNAL */
	GError *refused;       /* a token was: the client was told why, and answers before it gets its NO */
} Exchange;

static const char *const *
offered (gpointer data, const ImapdPeer *peer)
{
	static const char *const names[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", NULL};
	static const char *const with_tokens[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2", NULL};
	static const char *const of_servers[] = {EXTERNAL, NULL};
	const char *const *all = ((const LogOns *) data)->tokens ? with_tokens : names;
	if (peer->how & IMAPD_SERVER)
		return of_servers;
	g_autoptr (GBytes) unique = server_peer_binding (peer->connection, "tls-unique");
	g_autoptr (GBytes) exporter = server_peer_binding (peer->connection, "tls-exporter");
	return unique || exporter ? all : all + 2;
}

static void
end (gpointer exchange)
{
	Exchange *e = exchange;
	attempt_end (&e->attempt, BACKOFF_LEFT);
	directory_log_on_free (e->scram);
	g_clear_error (&e->refused);
	g_free (e);
}

static gpointer
begin (gpointer data, const ImapdPeer *peer, const char *mechanism, GError **error)
{
	g_autoptr (GBytes) unique = server_peer_binding (peer->connection, "tls-unique");
	g_autoptr (GBytes) exporter = server_peer_binding (peer->connection, "tls-exporter");
	gboolean token = !g_str_has_prefix (mechanism, "SCRAM-"); /* or EXTERNAL */
	DirectoryLogOn *scram = token ? NULL : directory_log_on_new (mechanism, unique, exporter, error);
	if (!scram && !token)
		return NULL;
	Exchange *e = g_new0 (Exchange, 1);
	*e = (Exchange){.attempt = {.of = data, .peer = *peer}, .mechanism = mechanism, .scram = scram};
	return e;
}

/* ---- SCRAM ---- */

/* The attempt begins with the first message, behind which the name is known. */
static gboolean
take_scram (Exchange *e, Directory *d, Slice message, GString *answer, DirectoryMailbox **found_out, GError **error)
{
	if (!directory_log_on_step (e->scram, d, message, answer, found_out, error))
		return FALSE;
	return e->attempt.user || attempt_begin (&e->attempt, d, directory_log_on_name (e->scram), error);
}

/* ---- Other servers ---- */

/* The message is the mailbox's id. Its owner has proved at that server who he is, which has waited for him where he was wrong. */
static gboolean
take_external (Exchange *e, Directory *d, Slice message, GString *answer, DirectoryMailbox **found_out, GError **error)
{
	g_autofree char *id = message.size && !memchr (message.data, '\0', message.size) && g_utf8_validate_len (message.data, message.size, NULL) ? slice_dup (message) : NULL;
	if (!id)
		return error_fail (error, ERROR_PROTOCOL, "EXTERNAL wants a mailbox");
	*found_out = directory_may_log_on (d, id, error);
	return *found_out != NULL;
}

/* ---- Tokens ---- */

/* Who is meant without a name is told apart by the token: what is wrong with one says nothing of another. */
static gboolean
begin_with_token (Exchange *e, Directory *d, const char *user, const char *token, GError **error)
{
	guint8 sum[DIGEST_SIZE];
	digest_of (token, strlen (token), sum);
	g_autofree char *digest = g_compute_checksum_for_data (G_CHECKSUM_SHA256, sum, sizeof sum);
	return attempt_begin (&e->attempt, d, user ? user : digest, error);
}

/* @user, if it is named, must be whose the token is. */
static DirectoryMailbox *
owner_of (Directory *d, const char *owner, const char *user, GError **error)
{
	g_autoptr (DirectoryMailbox) m = g_utf8_validate (owner, -1, NULL) ? directory_may_log_on (d, owner, error) : NULL;
	g_autoptr (DirectoryMailbox) other = m && user && g_utf8_validate (user, -1, NULL) ? directory_may_log_on (d, user, error) : NULL;
	if (m && (!user || (other && strcmp (m->id, other->id) == 0)))
		return g_steal_pointer (&m);
	if (!error || !*error)
		error_fail (error, ERROR_NO_PERMISSION, "token: it is not of the one who is to be logged on");
	return NULL;
}

static DirectoryMailbox *
try_token (Exchange *e, Directory *d, const char *user, const char *token, GError **error)
{
	if (!begin_with_token (e, d, user, token, error))
		return NULL;
	g_autofree char *owner = tokens_check (e->attempt.of->tokens, token, g_get_real_time () / G_USEC_PER_SEC, error);
	return owner ? owner_of (d, owner, user, error) : NULL;
}

/* Behind a token that is refused the client is told so, and answers, before it gets its NO (RFC 7628 section 3.2.3). */
static gboolean
take_token (Exchange *e, Directory *d, Slice message, GString *answer, DirectoryMailbox **found_out, GError **error)
{
	gboolean x = strcmp (e->mechanism, "XOAUTH2") == 0;
	char *user = NULL, *token = NULL;
	if (e->refused) {
		g_propagate_error (error, g_steal_pointer (&e->refused));
		return FALSE;
	}
	if (!token_message_read (message, x, &user, &token))
		return error_fail (error, ERROR_PROTOCOL, "this is no message of %s", e->mechanism);
	g_autoptr (GError) local = NULL;
	*found_out = try_token (e, d, user, token, &local);
	g_free (user);
	sasl_wipe (token);
	if (*found_out)
		return TRUE;
	if (!error_is (local, ERROR_NO_PERMISSION)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	g_autofree char *said = token_refusal (e->attempt.of->host, x);
	g_string_append (answer, said);
	attempt_failed (&e->attempt, local);
	e->refused = g_steal_pointer (&local);
	return TRUE;
}

/* ---- Both ---- */

static gboolean
step (gpointer exchange, Slice message, GString *answer, ImapdMailbox **mailbox_out, GError **error)
{
	Exchange *e = exchange;
	Directory *d = host_directory (e->attempt.of->host, error);
	DirectoryMailbox *found = NULL;
	gboolean external = strcmp (e->mechanism, EXTERNAL) == 0, told = e->refused != NULL;
	gboolean ok = d && (e->scram ? take_scram : external ? take_external : take_token) (e, d, message, answer, &found, error);
	g_autoptr (DirectoryMailbox) m = found;
	if (!ok && !told)
		attempt_failed (&e->attempt, *error);
	if (m)
		*mailbox_out = attempt_succeeded (&e->attempt, m, e->mechanism, error);
	return ok && (!m || *mailbox_out);
}

const ImapdSasl log_on_sasl = {.offered = offered, .begin = begin, .step = step, .free = end};

/* ---- What the server says of itself ---- */

static void
add_entry (GPtrArray *all, const char *name, const char *value)
{
	g_ptr_array_add (all, g_strconcat ("/shared/vendor/outpost/server/", name, NULL));
	g_ptr_array_add (all, g_strdup (value));
}

GPtrArray *
log_on_metadata (gpointer data, GError **error)
{
	const LogOns *l = data;
	Directory *d = host_directory (l->host, error);
	g_autoptr (DirectoryServer) s = d ? directory_server (d, l->host->server, error) : NULL;
	if (!s)
		return NULL;
	GPtrArray *all = g_ptr_array_new_with_free_func (g_free);
	g_autofree char *addresses = g_strjoinv (" ", s->addresses);
	add_entry (all, "id", s->id);
	add_entry (all, "name", s->name);
	add_entry (all, "site", s->site);
	if (*addresses)
		add_entry (all, "addresses", addresses);
	return all;
}
