/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets and TLS for sessions of any protocol: one thread waits for all connections, workers execute what came. A connection that waits costs
 * its session and a table entry (with TLS some kilobytes more), no thread and no buffer.
 *
 * Limits: so many connections at once, and of one address; a session that wants a log-on has none within a minute; nothing said for half an
 * hour (those that wait to be told something aside); a client that takes none of what it asked for during half a minute: these are ended.
 * A session is asked whether it may be one more of its topic's (server_join). */
#pragma once
#include "bytes.h"
#include "cancel.h"
#include "error.h"
#include "server-tls.h"

/* Takes all of @octets, blocking; FALSE: the client is gone or too slow, and the session is to end. */
typedef gboolean (*ServerSend) (gpointer to, const char *octets, gsize size);

typedef struct {
	const char *address; /* "192.0.2.1", "2001:db8::1", "" for a Unix socket; borrowed for as long as the session lives */
	gboolean same_user;  /* a process of this user, by a Unix socket */
	gboolean loopback;   /* of this machine */
	gboolean encrypted;
} ServerPeer;

/* What both ends know of this connection's TLS alone: "tls-unique" (RFC 5929 section 3), "tls-exporter" (RFC 9266). NULL: it has none of that
 * kind. For the peer's session, from within a call of its protocol. */
GBytes *server_peer_binding (const ServerPeer *peer, const char *kind);

/* The peer's session is going to have @topic, and counts as one of it from now on. FALSE: there are as many of it as may be. As server_peer_binding. */
gboolean server_join (const ServerPeer *peer, gpointer topic);

/* The peer's session has another socket: `other` of its protocol is called when there is something at it, until the session ends, which closes it. As server_peer_binding. */
gboolean server_watch (const ServerPeer *peer, int fd);
/* This worker only waits from now on (FALSE: no longer): it takes no other's place. */
void server_blocks (const ServerPeer *peer, gboolean blocks);
/* The peer, who came by a Unix socket, speaks for who is at @address: that one's connections count, and people see it. FALSE: he has as many as may be. */
gboolean server_stand_for (const ServerPeer *peer, const char *address);

/* A session is used by one thread at a time, any one. */
typedef struct {
	/* @data is the service's. Sends the greeting. */
	gpointer (*open) (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to);
	void (*free) (gpointer session);
	/* Takes all of @input and executes what is complete. FALSE: the connection is to be closed. */
	gboolean (*feed) (gpointer session, Slice input);
	void (*bye) (gpointer session, const char *why);
	const char *refusal; /* "* BYE %s\r\n": to whom there is no session for */
	gboolean (*is_logged_on) (gpointer session); /* NULL: nobody has to */
	guint (*pause) (gpointer session);           /* milliseconds before what it sends next is looked at, taken once; NULL: never */
	/* What it agreed to (STARTTLS) with what it sent last; and that it is done. NULL: it knows none. */
	gboolean (*wants_tls) (gpointer session);
	void (*encrypted) (gpointer session);
	/* It agreed to DEFLATE with what it sent last: it is so from now on, both ways. Taken once. NULL: it knows none. */
	gboolean (*takes_deflate) (gpointer session);
	/* What it can be told of, compared as a pointer only (NULL: nothing yet); whether it waits for that now; tells it (FALSE as feed). NULL: nothing
	 * ever. */
	gpointer (*topic) (gpointer session);
	gboolean (*waits) (gpointer session);
	gboolean (*wake) (gpointer session);
	gboolean (*follow) (gpointer session); /* what its topic stands for is elsewhere now: goes on there, or FALSE. NULL: never */
	gboolean (*other) (gpointer session); /* server_watch; FALSE as feed. NULL: there is never one */
	/* What it has open, for people; NULL: nothing. Looked at after each call. */
	const char *(*label) (gpointer session);
} ServerProtocol;

/* What is served at an address. */
typedef struct {
	const char *name; /* "imap" */
	const ServerProtocol *protocol;
	gpointer data;
	ServerTls *tls;       /* NULL: none. The server takes a reference */
	gboolean tls_at_once; /* before the greeting */
	gboolean only_same_user; /* of a Unix socket: or root */
	guint most; /* connections at once, within what the server takes; 0: no own limit */
} ServerService;

typedef struct Server Server;
/* @per_address 0: no such limit. */
Server *server_new (guint connections_max, guint per_address, GError **error);
void server_free (Server *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Server, server_free)
typedef struct {
	guint connections, per_address; /* per_address 0: no such limit */
	guint per_topic;     /* 0: no such limit */
	guint log_on, silent; /* seconds until a log-on, and of silence; 0: as above */
} ServerLimits;
/* For what happens from now on; who is connected stays. From any thread. */
void server_set_limits (Server *s, const ServerLimits *limits);
/* A socket that the service manager has handed over (manager.h) is used if it is bound to that address.
 * @service is copied, what it points at must outlive the server. @host is an address; port 0: any. *port_out (may be NULL) tells which. CONFLICT
 * when it is in use. At most 16 addresses. */
gboolean server_listen_tcp (Server *s, const ServerService *service, const char *host, guint16 port, guint16 *port_out, GError **error);
/* A socket of @mode at @path. What a server that died left there is removed; CONFLICT when one answers. */
gboolean server_listen_unix (Server *s, const ServerService *service, const char *path, guint mode, GError **error);
/* The service manager gets the listening sockets, for the next process: who connects meanwhile waits for that. */
void server_keep_listening (Server *s);
/* Calls @ready on the waiting thread when @fd is readable. @destroy (NULL: none) frees @data with the server. At most 4 of them. */
gboolean server_add_source (Server *s, int fd, void (*ready) (gpointer data), gpointer data, GDestroyNotify destroy, GError **error);
/* The sessions whose topic it is are woken, or ended (@why, borrowed for ever). From any thread. */
void server_tell (Server *s, gconstpointer topic);
void server_end (Server *s, gconstpointer topic, const char *why);
/* They follow it to where it is now, or are ended. */
void server_follow (Server *s, gconstpointer topic, const char *why);
/* The same of one connection. FALSE: there is none of that id. */
gboolean server_end_one (Server *s, guint64 id, const char *why);
/* Connections that begin TLS from now on take @tls, at all addresses that have TLS. From any thread. */
void server_set_tls (Server *s, ServerTls *tls);

/* A connection as it is now; strings are borrowed for the call. */
typedef struct {
	guint64 id; /* never used again */
	const char *service, *address, *label;
	gint64 began, since; /* Unix seconds; since: something was last said */
	gboolean encrypted, logged_on, busy;
	gconstpointer topic;
} ServerConnection;
/* Calls @fn for each, by id; it must not call the server. From any thread. */
void server_each (Server *s, void (*fn) (gpointer data, const ServerConnection *c), gpointer data);
typedef struct {
	guint64 open, accepted, refused; /* connections: now, in all, and over a limit */
	guint64 received, sent; /* octets, without TLS */
} ServerCounts;
/* Calls @fn for what is served at each address; it must not call the server. From any thread. */
void server_each_service (Server *s, void (*fn) (gpointer data, const char *service, const ServerCounts *counts), gpointer data);
/* Until @cancel is triggered: TRUE then, with all clients told. */
gboolean server_run (Server *s, Cancel *cancel, GError **error);
