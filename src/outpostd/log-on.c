/* SPDX-License-Identifier: Apache-2.0 */
#include "log-on.h"
#include "server.h"
#include <string.h>

static ImapdMailbox *
open_mailbox (LogOns *l, const ImapdPeer *peer, const DirectoryMailbox *m, const char *how, GError **error)
{
	g_autofree char *path = host_store_path (l->host, m->id);
	metrics_log_on (l->metrics, LOG_ON_GOOD);
	g_message ("log-on: mailbox=%s from=%s by=%s", m->address, peer->address, how);
	return imapd_pool_open (l->pool, path, error);
}

static void
refused (LogOns *l, const ImapdPeer *peer, const GError *error)
{
	g_message ("log-on: refused: from=%s %s", peer->address, error->message);
	metrics_log_on (l->metrics, LOG_ON_BAD);
}

void
log_on_count_command (gpointer data, const char *command, gint64 microseconds)
{
	metrics_command (((LogOns *) data)->metrics, command, microseconds);
}

ImapdMailbox *
log_on (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error)
{
	LogOns *l = data;
	Directory *d = host_directory (l->host, error);
	g_autoptr (DirectoryMailbox) m = d ? directory_authenticate (d, user, password, error) : NULL;
	if (m)
		return open_mailbox (l, peer, m, "password", error);
	refused (l, peer, *error);
	return NULL;
}

/* ---- SCRAM ---- */

typedef struct {
	LogOns *of;
	ImapdPeer peer;
	const char *mechanism;
	DirectoryLogOn *exchange;
} Scram;

static const char *const *
offered (gpointer data, const ImapdPeer *peer)
{
	static const char *const names[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", NULL};
	g_autoptr (GBytes) unique = server_peer_binding (peer->connection, "tls-unique");
	g_autoptr (GBytes) exporter = server_peer_binding (peer->connection, "tls-exporter");
	return unique || exporter ? names : names + 2;
}

static void
end (gpointer exchange)
{
	Scram *s = exchange;
	directory_log_on_free (s->exchange);
	g_free (s);
}

static gpointer
begin (gpointer data, const ImapdPeer *peer, const char *mechanism, GError **error)
{
	g_autoptr (GBytes) unique = server_peer_binding (peer->connection, "tls-unique");
	g_autoptr (GBytes) exporter = server_peer_binding (peer->connection, "tls-exporter");
	DirectoryLogOn *exchange = directory_log_on_new (mechanism, unique, exporter, error);
	if (!exchange)
		return NULL;
	Scram *s = g_new (Scram, 1);
	*s = (Scram){data, *peer, mechanism, exchange};
	return s;
}

static gboolean
step (gpointer exchange, Slice message, GString *answer, ImapdMailbox **mailbox_out, GError **error)
{
	Scram *s = exchange;
	Directory *d = host_directory (s->of->host, error);
	DirectoryMailbox *found = NULL;
	gboolean ok = d && directory_log_on_step (s->exchange, d, message, answer, &found, error);
	g_autoptr (DirectoryMailbox) m = found;
	if (!ok)
		refused (s->of, &s->peer, *error);
	if (m)
		*mailbox_out = open_mailbox (s->of, &s->peer, m, s->mechanism, error);
	return ok && (!m || *mailbox_out);
}

const ImapdSasl log_on_sasl = {.offered = offered, .begin = begin, .step = step, .free = end};
