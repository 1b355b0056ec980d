/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets for the engine: one thread waits for all connections and for changes of the mailbox, workers execute what came. A connection that
 * waits costs its session and a table entry, no thread and no buffer.
 *
 * Limits: so many connections at once, no log-on within a minute, nothing said for half an hour (IDLE aside), a client that takes none of
 * what it asked for during half a minute: these are ended. */
#pragma once
#include "cancel.h"
#include "imapd.h"

typedef struct Server Server;
/* Serves @mailbox; @settings are borrowed. */
Server *server_new (const ImapdSettings *settings, ImapdMailbox *mailbox, guint connections_max);
void server_free (Server *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Server, server_free)
/* @host is an address; port 0: any. *port_out (may be NULL) tells which. CONFLICT when it is in use. */
gboolean server_listen_tcp (Server *s, const char *host, guint16 port, guint16 *port_out, GError **error);
/* A socket (0600) at @path: who connects must be the same user and is logged on by that. What a server that died left there is removed;
 * CONFLICT when one answers. */
gboolean server_listen_unix (Server *s, const char *path, GError **error);
/* Until @cancel is triggered: TRUE then, with all clients told. */
gboolean server_run (Server *s, Cancel *cancel, GError **error);
