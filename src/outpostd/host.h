/* SPDX-License-Identifier: Apache-2.0 */
/* A mailbox server's folder on disk: outpostd.conf, directory.db, server.id, queue.db, tls/, mail/ID (a store for each mailbox). Used by the server and by outpostctl,
 * at the same time.
 *
 * A Host is used by any number of threads; each has a connection to the directory of its own. */
#pragma once
#include "directory.h"
#include "queue.h"
#include "store.h"

#define HOST_KEPT_DAYS 30 /* what was removed or deleted */

typedef struct {
	char *folder, *name; /* name: the server's, for greetings and Received fields */
	char *server; /* its id in the directory; NULL before host_enrol */
	char *imap, *imaps, *lmtp; /* "ADDRESS:PORT", lmtp also a path; several with commas between; NULL: not served */
	char *elsewhere, *refer_clients; /* "proxy" or "refer"; names with commas between, NULL: none */
	char *submission, *submissions; /* as imap */
	char *relay; /* "smtp://HOST[:PORT]" or "smtps://"; NULL: mail goes to mailboxes of this server only */
	char *relay_user, *relay_password, *relay_ca; /* a name, and paths; NULL: none */
	guint64 recipients_max, recipients_per_hour; /* of a message, of a mailbox */
	guint64 file_sent, file_sent_delay; /* 1: a copy of what is submitted goes into the folder of sent mail, after so many seconds */
	guint64 retry_first, retry_longest, give_up; /* seconds */
	char *control; /* a path; NULL: nothing can be asked of the server while it runs */
	char *metrics; /* "ADDRESS:PORT" of this machine; NULL: not served */
	char *token_keys, *introspection; /* a path, a URL; both NULL: OAuth tokens are not taken */
	char *token_issuer, *token_audience, *token_scope; /* NULL: not asked for */
	char *token_user; /* the claim that says whose mailbox it is */
	char *introspection_client, *introspection_secret, *introspection_ca; /* a name, and paths; NULL: none */
	char *certificate, *key;
	char *directory; /* a path: of this server alone, or of several on this machine */
	char *user; /* to become after the sockets are open; NULL: stay */
	guint64 message_max; /* octets */
	guint64 connections, per_address, per_user;
	guint64 log_on_timeout, idle_timeout, log_on_delay_max; /* seconds */
	guint64 unauthenticate; /* 1: IMAP's UNAUTHENTICATE is offered; 0: not */
} Host;

/* Reads @folder/outpostd.conf. NOT_FOUND names `outpostd init`; USAGE names the file and what is wrong in it. */
Host *host_open (const char *folder, GError **error);
void host_free (Host *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Host, host_free)
/* What differs: of char *, "[server] connections: 100 -> 200". @live: settings that a running server can change, else those that want a restart. */
GPtrArray *host_differences (const Host *running, const Host *now, gboolean live);
/* What `outpostd init` makes: a folder with a configuration, a directory with @domain, and a certificate for @name that it signs itself. With @join, the path of a
 * directory that is there, it makes none: the folder is that of @server, which that one knows. */
typedef struct {
	const char *folder, *domain, *name, *user; /* user: NULL: as in Host */
	const char *join, *server;
} HostInit;
/* EXISTS if it is there. */
gboolean host_init (const HostInit *i, GError **error);

/* Root becomes whom the mail belongs to, for good; nobody else changes. */
gboolean host_become_user (const Host *h, GError **error);
/* The calling thread's. Borrowed. */
Directory *host_directory (Host *h, GError **error);
/* Before it is shared by threads: the folder knows which server of the directory it is (server.id, made where it is not there), and so does the directory. NOT_FOUND
 * names `outpostctl server adopt`. */
gboolean host_enrol (Host *h, GError **error);
/* The folder is from now on that of the server @id. */
gboolean host_adopt (Host *h, const char *id, GError **error);
/* TRUE if @m is at home here. Else UNAVAILABLE, whose text says where it is; *address_out, if not NULL, is then the address there (owned; NULL: none is known). */
gboolean host_is_home (Host *h, const DirectoryMailbox *m, char **address_out, GError **error);
/* The same of the queue; @create: makes it if there is none. */
Queue *host_queue (Host *h, gboolean create, GError **error);
gboolean host_has_queue (const Host *h);
char *host_store_path (const Host *h, const char *id);
/* A mailbox that is at home here, with a store and the folders that people expect. */
gboolean host_create_mailbox (Host *h, const char *address, guint64 quota, guint64 messages, guint roles, GError **error);
/* OVER_QUOTA if @now is more than @m may have. */
gboolean host_has_room (const DirectoryMailbox *m, const StoreUsage *now, GError **error);
/* What there is of it; for ids that the directory does not have. */
void host_remove_store (const Host *h, const char *id);
