/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of LMTP (RFC 2033; paths and text as in RFC 5321) with PIPELINING (RFC 2920), CHUNKING (RFC 3030, without BINARYMIME),
 * 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), SIZE (RFC 1870) and ENHANCEDSTATUSCODES (RFC 2034). No sockets: what a client sends is fed in, what it
 * is to get is handed to a function that may block (as in imapd.h).
 *
 * Lines end with CRLF and with nothing else, so that nobody upstream can see an end of a message elsewhere: of a message, a CR or LF that stands
 * alone is kept as it is and ends nothing ("\n.\n", "\n.\r\n", "\r.\r\n" are content); a command with a CR within is refused, one with a LF alone
 * ends the session, as a BDAT does that can't be read: what follows could be a message as well as commands.
 *
 * DSN (RFC 3461) is not offered, its parameters are taken and ignored: reports are made by who speaks to us. Mail from an address literal is taken,
 * to one refused (550 5.1.2).
 *
 * Limits: a command of 4096 octets, an address of 400, 1000 recipients a message, 100 commands in a row without RCPT, 20 bad commands without a
 * delivery between (421), the message's size (552, the rest of it is read and thrown away), 100 Received fields (554: a loop). A client that begins with what
 * is no command of LMTP is sent away (a browser led here).
 *
 * Threads: a session is used by one at a time, any one. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"

/* One message on its way in; belongs to the session and lives for one call of deliver. */
typedef struct LmtpdMessage LmtpdMessage;
const char *lmtpd_message_sender (const LmtpdMessage *m); /* "" for a bounce; in the form of find's @address */
const char *lmtpd_message_id (const LmtpdMessage *m);     /* the Received line's, for logs: hexadecimal, made anew for each message */
/* What is to be stored: as it came, dots unstuffed, with "Return-Path: <sender>" and one Received field put before. In memory up to 1 MiB, mapped from
 * an unlinked file beyond. Borrowed; a reference may be kept, beyond the session too. */
GBytes *lmtpd_message_octets (const LmtpdMessage *m);

typedef struct {
	/* Who is @address? "local@domain" in one form: without quotes where none are needed, else "\"a b\"@domain"; upper and lower case as
	 * they came; UTF-8 if the client said SMTPUTF8; "postmaster" (any case) may be without domain (RFC 5321 section 4.5.1). *recipient_out is the
	 * caller's own thing (NULL is one, too), freed by recipient_free. Errors: as deliver's. */
	gboolean (*find) (gpointer data, const char *address, gpointer *recipient_out, GError **error);
	/* Delivers to each of the @n > 0 recipients, in the order of their RCPT, which may name one twice: results[i] stays NULL when the message is
	 * durable there, else NOT_FOUND (550 5.1.1), NO_PERMISSION (550 5.7.1), OVER_QUOTA (452 4.2.2), TOO_BIG (552 5.3.4), NO_SPACE (452 4.3.1) or
	 * anything else (451 4.3.0; its text is logged, not sent). */
	void (*deliver) (gpointer data, LmtpdMessage *m, gpointer *recipients, guint n, GError **results);
	void (*recipient_free) (gpointer recipient); /* never called with NULL; NULL: nothing is to be freed */
	gpointer data;
	const char *host;    /* this server's name, for the greeting and the Received field */
	const char *folder;  /* for large messages while they come; NULL: the system's for temporary files */
	guint64 message_max; /* octets; 0: 128 MiB */
} LmtpdSettings;

/* Takes all of @octets, or FALSE: the client is gone or too slow, and the session ends. */
typedef gboolean (*LmtpdSend) (gpointer data, const char *octets, gsize size);

typedef struct LmtpdSession LmtpdSession;
/* @settings and what it points at must outlive it. @peer is the client's address as text, "" for a Unix socket. Sends the greeting. */
LmtpdSession *lmtpd_session_new (const LmtpdSettings *settings, const char *peer, LmtpdSend send, gpointer data);
void lmtpd_session_free (LmtpdSession *s); /* nothing that was not answered is delivered */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LmtpdSession, lmtpd_session_free)
/* Takes all of @input and executes what is complete. FALSE: the connection is to be closed. */
gboolean lmtpd_session_feed (LmtpdSession *s, Slice input);
/* Says 421; nothing may follow but free. */
void lmtpd_session_bye (LmtpdSession *s, const char *why);
