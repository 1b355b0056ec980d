/* SPDX-License-Identifier: Apache-2.0 */
/* IMAP sessions (imapd.h) behind sockets. */
#pragma once
#include "imapd.h"
#include "server.h"

extern const ServerProtocol server_imap;

/* The data of a service of server_imap; borrowed. In an ImapdPeer of its sessions, connection is their ServerPeer. */
typedef struct {
	const ImapdSettings *settings;
	/* The mailbox of who is this user and came by a Unix socket: he needs not log on. @data is the settings'. NULL: he does, too. */
	ImapdMailbox *(*of_same_user) (gpointer data, GError **error);
	gboolean servers; /* who is this user and came by a Unix socket is another server of the organisation */
} ServerImap;

/* Sessions are told what happens to mailboxes of @pool, which must outlive @s. */
gboolean server_imap_watch (Server *s, ImapdPool *pool, GError **error);
