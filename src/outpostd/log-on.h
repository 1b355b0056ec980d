/* SPDX-License-Identifier: Apache-2.0 */
/* Who may log on, by the directory. */
#pragma once
#include "backoff.h"
#include "host.h"
#include "imapd.h"
#include "metrics.h"
#include "token.h"

/* What ImapdSettings.data is for these; borrowed, used by any number of threads. */
typedef struct {
	Host *host;
	ImapdPool *pool;
	Metrics *metrics;
	Backoff *backoff;
	Tokens *tokens; /* NULL: not taken */
} LogOns;

/* Passwords that are sent. @data is LogOns, as below; peer->connection is a ServerPeer. */
ImapdMailbox *log_on (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error);
/* What the directory says that it may hold: ImapdSettings.quota. */
gboolean log_on_quota (gpointer data, const ImapdMailbox *m, ImapdQuota *out, GError **error);
/* Its address: ImapdSettings.owner. */
char *log_on_owner (gpointer data, const ImapdMailbox *m, GError **error);
/* Counts commands: ImapdSettings.ran. */
void log_on_count_command (gpointer data, const char *command, gint64 microseconds);
/* SCRAM-SHA-256 and SCRAM-SHA-1, and -PLUS where the connection has what can be bound to; with tokens OAUTHBEARER (RFC 7628) and XOAUTH2. */
extern const ImapdSasl log_on_sasl;
/* What the directory says of this server: ImapdSettings.metadata. Clients that know outpost find the server by it after it was moved (docs/outpostd.md). */
GPtrArray *log_on_metadata (gpointer data, GError **error);
