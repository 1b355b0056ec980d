/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of IMAP (RFC 9051, RFC 3501) over a store. No sockets: what a client sends is fed in, what it is to get is handed to a
 * function that may block, so that a conversation can be held in memory.
 *
 * A session shows its client a view of the selected folder: which UIDs there are, at one number of the change sequence. Views never change
 * and are shared by all sessions that see the same; a session goes on to a newer one where RFC 9051 section 7.5 allows to tell the
 * difference.
 *
 * Threads: ImapdPool and ImapdMailbox are used by any number of threads. A session is used by one at a time, any one; it holds no connection to
 * the store between calls. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"

/* A store that is served. Counted: who was given one gives it back by imapd_mailbox_unref. */
typedef struct ImapdMailbox ImapdMailbox;
void imapd_mailbox_unref (ImapdMailbox *m); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapdMailbox, imapd_mailbox_unref)

/* The mailboxes that are served. Those that nobody uses are kept for a while, so that who comes back finds them warm. */
typedef struct ImapdPool ImapdPool;
/* @changed is told after every commit of a session, on the session's thread; NULL. @data is the pool's. */
typedef void (*ImapdChanged) (gpointer data, ImapdMailbox *m);
ImapdPool *imapd_pool_new (ImapdChanged changed, gpointer data, GError **error);
void imapd_pool_free (ImapdPool *p); /* no mailbox may be in use */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapdPool, imapd_pool_free)
/* The mailbox of the store at @path. NOT_FOUND. */
ImapdMailbox *imapd_pool_open (ImapdPool *p, const char *path, GError **error);
const char *imapd_mailbox_path (const ImapdMailbox *m); /* of its store */
/* Becomes readable when anyone changed a mailbox: imapd_pool_take then names them, on one thread at a time. @there FALSE: there is another
 * store at that place now; all sessions of @m are to be ended. */
int imapd_pool_fd (const ImapdPool *p);
typedef void (*ImapdTold) (gpointer data, ImapdMailbox *m, gboolean there);
void imapd_pool_take (ImapdPool *p, ImapdTold told, gpointer data);

/* Who is at the other end. */
enum {
	IMAPD_PRIVATE = 1,  /* a password may be sent: the connection is encrypted or of this machine */
	IMAPD_ENCRYPTED = 2,
	IMAPD_SERVER = 4,    /* another server of the organisation, which has let somebody in: his address comes by ID (x-originating-ip) */
};
typedef struct {
	guint how;           /* when the session begins */
	const char *address; /* "192.0.2.1", "" for a Unix socket; borrowed for as long as the session lives */
	gconstpointer connection; /* the caller's, for its own functions */
} ImapdPeer;

/* The error of a log-on that was proved, to a mailbox that is served elsewhere: its message is an address ("imaps://host:port", "-": none), the mailbox's id, and what the
 * client is told, with blanks between. The session is passed on there (ImapdRelay), or clients that know it are led there (docs/outpostd.md). */
#define IMAPD_ELSEWHERE (imapd_elsewhere_quark ())
GQuark imapd_elsewhere_quark (void);

/* Takes all of @octets, or FALSE: the client is gone or too slow, and the session ends. */
typedef gboolean (*ImapdSend) (gpointer data, const char *octets, gsize size);

/* Who may log on, and to what. NULL: IMAPD_ELSEWHERE; NO_PERMISSION if the name or the password is wrong; TOO_BIG for a limit and REFUSED for who is to try later, whose
 * texts the client is told; else why it is impossible now. @data is the settings'. May block. */
typedef ImapdMailbox *(*ImapdLogOn) (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error);

/* Mechanisms that take several messages (SCRAM). Functions may block; messages are without base64. */
typedef struct {
	/* What is offered to @peer as its connection is now: upper case, NULL at the end. @data is the settings', here and below. */
	const char *const *(*offered) (gpointer data, const ImapdPeer *peer);
	/* NULL with an error, as log_on. @mechanism is one of those, @peer is to be copied. */
	gpointer (*begin) (gpointer data, const ImapdPeer *peer, const char *mechanism, GError **error);
	/* Takes a message of the client: FALSE with an error as log_on, or PROTOCOL for what is none; TRUE with *mailbox_out for who is logged on, or with
	 * *mailbox_out left NULL and what is to be sent before the next message appended to @answer. */
	gboolean (*step) (gpointer exchange, Slice message, GString *answer, ImapdMailbox **mailbox_out, GError **error);
	void (*free) (gpointer exchange);
} ImapdSasl;

/* Sessions of mailboxes that are served elsewhere: octets are passed on, both ways, from the log-on to the end. */
typedef struct {
	/* Logs on there for @peer, who has proved that he may. *code_out is what can be done there ("CAPABILITY ..."; owned). What comes from there goes to @send.
	 * @resume: what the session is in the midst of, a command for there; NULL: nothing. @data is the settings'. NULL: UNAVAILABLE; TOO_BIG for a limit, whose text the client
	 * is told. May block. */
	gpointer (*open) (gpointer data, const ImapdPeer *peer, const char *mailbox, const char *resume, ImapdSend send, gpointer to, char **code_out, GError **error);
	gboolean (*feed) (gpointer relay, Slice input); /* what the client says. FALSE, as below: it is over */
	gboolean (*take) (gpointer relay);              /* there may be something from there */
	void (*free) (gpointer relay);
} ImapdRelay;

/* 0: no limit. */
typedef struct {
	guint64 octets, messages;
} ImapdQuota;

typedef struct {
	ImapdLogOn log_on;
	const ImapdSasl *sasl; /* NULL: none but PLAIN */
	gpointer data;
	guint64 message_max; /* octets of an appended message; 0: 128 MiB */
	/* Told of each command behind its answer: its name (a constant) and how long it took, waiting for the client to take the answer included. NULL: nobody is. */
	void (*ran) (gpointer data, const char *command, gint64 microseconds);
	/* What the server says of itself to who is logged on (METADATA-SERVER, RFC 5464; entries of the mailbox "" that nobody can write), as it is now: of char *, names in lower case, each with its value behind it.
	 * NULL with an error for what can't be had now; no function: it is not offered. */
	GPtrArray *(*metadata) (gpointer data, GError **error);
	gboolean tls;        /* STARTTLS is offered where the connection is not encrypted */
	/* What @m may hold, as it is now. FALSE: it can't be known. NULL: nothing is limited, and QUOTA is not offered. */
	gboolean (*quota) (gpointer data, const ImapdMailbox *m, ImapdQuota *out, GError **error);
	/* Whose @m is: an address, owned by the caller. NULL with error: it can't be known. NULL: nobody knows, and ACL is not offered. */
	char *(*owner) (gpointer data, const ImapdMailbox *m, GError **error);
	gboolean unauthenticate; /* UNAUTHENTICATE is offered: connections of proxies, which are used for one after another */
	gint64 progress;     /* microseconds between two lines that tell of a long command; 0: ten seconds; below 0: a line for each message */
	gboolean deflate;    /* COMPRESS=DEFLATE is offered to who is logged on */
	const ImapdRelay *relay; /* NULL: whose mailbox is elsewhere is told where */
	char **refer;        /* names (ID) of clients that are told all the same, since they go there by themselves; NULL: none */
} ImapdSettings;

typedef struct ImapdSession ImapdSession;
/* @settings must outlive it, @peer is copied. @mailbox NULL: the client has to log on; else the greeting says PREAUTH, and the session takes the mailbox. Sends
 * the greeting. */
ImapdSession *imapd_session_new (const ImapdSettings *settings, ImapdMailbox *mailbox, const ImapdPeer *peer, ImapdSend send, gpointer data);
void imapd_session_free (ImapdSession *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapdSession, imapd_session_free)
/* Takes all of @input and executes what is complete. FALSE: the connection is to be closed. */
gboolean imapd_session_feed (ImapdSession *s, Slice input);
/* The mailbox may have changed: tells the client if it waits for that (IDLE). FALSE: as above. */
gboolean imapd_session_wake (ImapdSession *s);
/* Its mailbox is at home elsewhere by now: goes on there, with the folder that is selected, what the client was told of it, and IDLE, so that it notices nothing. FALSE: it can't, and is
 * to be ended (between two halves of a command, with NOTIFY, or where the mailbox is nowhere else). */
gboolean imapd_session_follow (ImapdSession *s);
/* Where it is passed on to there may be something to be read. FALSE: as above. */
gboolean imapd_session_take (ImapdSession *s);
/* It is to be woken when the mailbox changes; or nobody here knows when it should say something, since it is passed on. */
gboolean imapd_session_waits (const ImapdSession *s);
ImapdMailbox *imapd_session_mailbox (const ImapdSession *s); /* NULL: not logged on */
gboolean imapd_session_is_logged_on (const ImapdSession *s);
const char *imapd_session_folder (const ImapdSession *s); /* the selected one's path when it was selected; NULL: none is */
/* Milliseconds before what it sends next should be looked at: after a refused log-on. Taken once. */
guint imapd_session_pause (ImapdSession *s);
/* It has agreed to STARTTLS and takes nothing more until imapd_session_encrypted says that the connection is now. */
gboolean imapd_session_wants_tls (const ImapdSession *s);
void imapd_session_encrypted (ImapdSession *s);
/* It has agreed to COMPRESS: what it is fed and what it sends is DEFLATE at the other end from now on. Taken once; until then it takes nothing more. */
gboolean imapd_session_takes_deflate (ImapdSession *s);
/* Says BYE; nothing may follow but free. */
void imapd_session_bye (ImapdSession *s, const char *why);
