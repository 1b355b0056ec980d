/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of IMAP (RFC 9051, RFC 3501) over a store. No sockets: what a client sends is fed in, what it is to get is handed to a
 * function that may block, so that a conversation can be held in memory.
 *
 * A session shows its client a view of the selected folder: which UIDs there are, at one number of the change sequence. Views never change
 * and are shared by all sessions that see the same; a session goes on to a newer one where RFC 9051 section 7.5 allows to tell the
 * difference.
 *
 * Threads: an ImapdMailbox is used by any number of threads. A session is used by one at a time, any one; it holds no connection to
 * the store between calls. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"

/* A store that is served. */
typedef struct ImapdMailbox ImapdMailbox;
/* @changed is told after every commit of a session, on the session's thread; NULL. */
typedef void (*ImapdChanged) (gpointer data);
ImapdMailbox *imapd_mailbox_new (const char *path, ImapdChanged changed, gpointer data);
/* No session may be left. */
void imapd_mailbox_free (ImapdMailbox *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapdMailbox, imapd_mailbox_free)

/* A descriptor that becomes readable when anyone changed the mailbox: the sessions that wait are then to be woken. Owned by the mailbox; -1 with
 * error. A second call opens it anew. */
int imapd_mailbox_watch (ImapdMailbox *m, GError **error);
/* Empties it. FALSE: there is another store at that place now. All sessions are to be ended, and imapd_mailbox_forget is to follow. */
gboolean imapd_mailbox_take_watch (ImapdMailbox *m);
void imapd_mailbox_forget (ImapdMailbox *m);

/* Who may log on, and to what: NULL for refused. @data is the settings'. May block. */
typedef ImapdMailbox *(*ImapdLogOn) (gpointer data, const char *user, const char *password);
typedef struct {
	ImapdLogOn log_on;
	gpointer data;
	guint64 message_max; /* octets of an appended message; 0: 128 MiB */
} ImapdSettings;

/* Takes all of @octets, or FALSE: the client is gone or too slow, and the session ends. */
typedef gboolean (*ImapdSend) (gpointer data, const char *octets, gsize size);

typedef struct ImapdSession ImapdSession;
/* @settings must outlive it. @mailbox NULL: the client has to log on; else the greeting says PREAUTH. Sends the greeting. */
ImapdSession *imapd_session_new (const ImapdSettings *settings, ImapdMailbox *mailbox, ImapdSend send, gpointer data);
void imapd_session_free (ImapdSession *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapdSession, imapd_session_free)
/* Takes all of @input and executes what is complete. FALSE: the connection is to be closed. */
gboolean imapd_session_feed (ImapdSession *s, Slice input);
/* The mailbox may have changed: tells the client if it waits for that (IDLE). FALSE: as above. */
gboolean imapd_session_wake (ImapdSession *s);
/* It is to be woken when the mailbox changes. */
gboolean imapd_session_waits (const ImapdSession *s);
ImapdMailbox *imapd_session_mailbox (const ImapdSession *s); /* NULL: not logged on */
gboolean imapd_session_is_logged_on (const ImapdSession *s);
/* Milliseconds before what it sends next should be looked at: after a refused log-on. Taken once. */
guint imapd_session_pause (ImapdSession *s);
/* Says BYE; nothing may follow but free. */
void imapd_session_bye (ImapdSession *s, const char *why);
