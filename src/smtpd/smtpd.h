/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of LMTP (RFC 2033) and of mail submission (RFC 6409), which are SMTP (RFC 5321) with other rules, with PIPELINING (RFC 2920), CHUNKING (RFC 3030, without BINARYMIME),
 * 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), SIZE (RFC 1870) and ENHANCEDSTATUSCODES (RFC 2034). No sockets: what a client sends is fed in, what it
 * is to get is handed to a function that may block (as in imapd.h).
 *
 * Lines end with CRLF and with nothing else, so that nobody upstream can see an end of a message elsewhere: of a message, a CR or LF that stands
 * alone is kept as it is and ends nothing ("\n.\n", "\n.\r\n", "\r.\r\n" are content); a command with a CR within is refused, one with a LF alone
 * ends the session, as a BDAT does that can't be read: what follows could be a message as well as commands.
 *
 * LMTP: DSN (RFC 3461) is not offered, its parameters are taken and ignored: reports are made by who speaks to us. Submission: who has not logged on
 * (AUTH, RFC 4954: PLAIN, LOGIN and what the settings offer) may not send; STARTTLS (RFC 3207) where the settings say so, and no password before it
 * but from this machine; DSN's parameters are checked and handed on. Mail from an address literal is taken, to one refused (550 5.1.2).
 *
 * Limits: a command of 4096 octets (submission: 12288, for AUTH), three log-ons that fail, an address of 400, 1000 recipients a message, 100 commands in a row without RCPT, 20 bad commands without a
 * delivery between (421), the message's size (552, the rest of it is read and thrown away), 100 Received fields (554: a loop). A client that begins with what
 * is no command is sent away (a browser led here).
 *
 * Threads: a session is used by one at a time, any one. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"

/* One message on its way in; belongs to the session and lives for one call of deliver. */
typedef struct SmtpdMessage SmtpdMessage;
const char *smtpd_message_sender (const SmtpdMessage *m); /* "" for a bounce; in the form of find's @address */
const char *smtpd_message_id (const SmtpdMessage *m);     /* the Received line's, for logs: hexadecimal, made anew for each message */
/* What is to be stored: as it came, dots unstuffed, with "Return-Path: <sender>" (not in submission) and one Received field put before. In memory up to 1 MiB, mapped from
 * an unlinked file beyond. Borrowed; a reference may be kept, beyond the session too. */
GBytes *smtpd_message_octets (const SmtpdMessage *m);
gsize smtpd_message_before (const SmtpdMessage *m); /* how many of them were put before */
/* The date of now (RFC 5322 section 3.3), owned by the caller. */
char *smtpd_date_now (void);

/* What was said in MAIL and RCPT of submission; NULL: not said. */
typedef struct {
	gpointer who;
	gboolean utf8;
	const char *ret, *envid;                               /* as they came, right by RFC 3461 */
	char *const *addresses, *const *notify, *const *orcpt; /* of each recipient */
} SmtpdEnvelope;
const SmtpdEnvelope *smtpd_message_envelope (const SmtpdMessage *m);

/* Who is at the other end. */
typedef struct {
	const char *address; /* "192.0.2.1", "" for a Unix socket */
	gboolean encrypted;
	gboolean is_private; /* a password may be sent: encrypted, or of this machine */
	gconstpointer connection; /* the caller's, for its own functions */
} SmtpdPeer;

/* What submission has beyond LMTP. @data is the settings'. A "who" is the caller's thing, never NULL. Errors of log-ons: NO_PERMISSION (535 5.7.8);
 * TOO_BIG and REFUSED (454 4.7.0), whose texts the client is told; PROTOCOL (501 5.5.2) for a message that is none; else 454 with a text of ours. */
typedef struct {
	gpointer (*log_on) (gpointer data, const SmtpdPeer *peer, const char *user, const char *password, GError **error);
	/* Mechanisms that take several messages, upper case, NULL at the end; as ImapdSasl. */
	const char *const *(*offered) (gpointer data, const SmtpdPeer *peer);
	gpointer (*begin) (gpointer data, const SmtpdPeer *peer, const char *mechanism, GError **error);
	gboolean (*step) (gpointer exchange, Slice message, GString *answer, gpointer *who_out, GError **error);
	void (*end) (gpointer exchange);
	void (*who_free) (gpointer who);
	/* May @who send as @address, which is "" for "<>"? Texts of NO_PERMISSION (550 5.7.1) and REFUSED (450 4.7.1) are told. */
	gboolean (*may_send_as) (gpointer data, gpointer who, const char *address, GError **error);
	gboolean tls;         /* STARTTLS is offered where the connection is not encrypted */
	guint recipients_max; /* of a message; 0: 1000 */
} SmtpdSubmission;

typedef struct {
	/* Who is @address? "local@domain" in one form: without quotes where none are needed, else "\"a b\"@domain"; upper and lower case as
	 * they came; UTF-8 if the client said SMTPUTF8; "postmaster" (any case) may be without domain (RFC 5321 section 4.5.1). *recipient_out is the
	 * caller's own thing (NULL is one, too), freed by recipient_free. Errors: as deliver's. */
	gboolean (*find) (gpointer data, const char *address, gpointer *recipient_out, GError **error);
	/* Delivers to each of the @n > 0 recipients, in the order of their RCPT, which may name one twice: results[i] stays NULL when the message is
	 * durable there, else NOT_FOUND (550 5.1.1), NO_PERMISSION (550 5.7.1), OVER_QUOTA (452 4.2.2), TOO_BIG (552 5.3.4), NO_SPACE (452 4.3.1) or
	 * anything else (451 4.3.0; its text is logged, not sent). In submission results[0] alone counts, for all, and texts of NO_PERMISSION, REFUSED
	 * (450 4.7.1) and PROTOCOL (554 5.6.0) are told: also of find. */
	void (*deliver) (gpointer data, SmtpdMessage *m, gpointer *recipients, guint n, GError **results);
	void (*recipient_free) (gpointer recipient); /* never called with NULL; NULL: nothing is to be freed */
	gpointer data;
	const char *host;    /* this server's name, for the greeting and the Received field */
	const char *folder;  /* for large messages while they come; NULL: the system's for temporary files */
	guint64 message_max; /* octets; 0: 128 MiB */
	const SmtpdSubmission *submission; /* NULL: LMTP */
} SmtpdSettings;

/* Takes all of @octets, or FALSE: the client is gone or too slow, and the session ends. */
typedef gboolean (*SmtpdSend) (gpointer data, const char *octets, gsize size);

typedef struct SmtpdSession SmtpdSession;
/* @settings and what it points at must outlive it. @peer is copied, what it points at too but for the connection. Sends the greeting. */
SmtpdSession *smtpd_session_new (const SmtpdSettings *settings, const SmtpdPeer *peer, SmtpdSend send, gpointer data);
void smtpd_session_free (SmtpdSession *s); /* nothing that was not answered is delivered */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SmtpdSession, smtpd_session_free)
/* Takes all of @input and executes what is complete. FALSE: the connection is to be closed. */
gboolean smtpd_session_feed (SmtpdSession *s, Slice input);
/* Says 421; nothing may follow but free. */
void smtpd_session_bye (SmtpdSession *s, const char *why);
/* Submission: who is logged on (NULL: nobody); milliseconds before what it sends next should be looked at, taken once; it has agreed to STARTTLS and takes
 * nothing more until it is told that the connection is encrypted. */
gpointer smtpd_session_who (const SmtpdSession *s);
guint smtpd_session_pause (SmtpdSession *s);
gboolean smtpd_session_wants_tls (const SmtpdSession *s);
void smtpd_session_encrypted (SmtpdSession *s);
