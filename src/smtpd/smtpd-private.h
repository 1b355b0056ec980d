/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#pragma once
#include "smtpd.h"

/* ---- A message while it comes (smtpd-message.c) ---- */

typedef enum { FAILURE_NONE, FAILURE_TOO_BIG, FAILURE_NO_SPACE, FAILURE_LOCAL } Failure;

/* @max counts without what is put before. */
SmtpdMessage *message_new (const char *sender, const char *id, const char *folder, guint64 max);
void smtpd_message_free (SmtpdMessage *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SmtpdMessage, smtpd_message_free)
void message_put_before (SmtpdMessage *m, const char *header);
/* After a failure, which stays, nothing more is kept. */
void message_add (SmtpdMessage *m, const char *octets, gsize size);
/* All of it is there: smtpd_message_octets may be called if there was no failure. */
Failure message_end (SmtpdMessage *m);
Failure message_failure (const SmtpdMessage *m);
void message_set_envelope (SmtpdMessage *m, const SmtpdEnvelope *e); /* copied, what it points at borrowed */
/* "Received:" fields of a header. */
guint message_count_received (Slice octets);

/* ---- Arguments of MAIL and RCPT (smtpd-path.c) ---- */

typedef enum {
	PATH_BAD,
	PATH_NULL,    /* "<>" */
	PATH_MAILBOX,
	PATH_LITERAL, /* a mailbox at an address literal: "a@[192.0.2.1]" */
	PATH_LOCAL,   /* without a domain */
} PathKind;
/* Takes "<...>" from the beginning of *rest. *address_out (owned; unless PATH_BAD) is in the one form of smtpd.h, "" for "<>", valid UTF-8 without
 * control characters, of at most ADDRESS_MAX octets; a source route is dropped (RFC 5321 appendix C). */
#define ADDRESS_MAX 400u
PathKind path_take (Slice *rest, char **address_out);
/* What a client calls itself: a domain or an address literal. */
gboolean path_is_host (Slice s);
/* Takes the next " KEYWORD[=value]" of *rest; value's data NULL: none. FALSE: at the end (*rest is empty) or it is none. */
gboolean parameter_take (Slice *rest, Slice *keyword_out, Slice *value_out);
/* Digits only, at most 19 of them. */
gboolean number_parse (Slice s, guint64 *number_out);
#define ENVID_MAX 100u
#define ORCPT_MAX 500u
/* RFC 3461 section 4: at most @max octets; "NEVER", or some of "SUCCESS,FAILURE,DELAY". */
gboolean xtext_is_right (Slice s, gsize max);
gboolean notify_is_right (Slice s);

/* ---- Sessions (smtpd-session.c) ---- */

typedef enum {
	STATE_GREETED,    /* no LHLO yet */
	STATE_READY,
	STATE_SENDER,     /* MAIL was accepted */
	STATE_RECIPIENTS, /* so was a RCPT */
	STATE_TEXT,       /* behind DATA */
	STATE_CHUNKS,     /* behind a BDAT, before its LAST */
	STATE_ENDED,
} SessionState;

/* Where the text of DATA stands. A dot at the beginning of a line is kept back until it is known what it is. */
typedef enum { TEXT_LINE_START, TEXT_MIDDLE, TEXT_CR, TEXT_DOT, TEXT_DOT_CR } TextState;

/* What the next line of a log-on is. */
typedef enum { AUTH_NONE, AUTH_PLAIN, AUTH_USER /* of LOGIN */, AUTH_PASSWORD, AUTH_EXCHANGE } AuthState;

struct SmtpdSession {
	const SmtpdSettings *settings;
	const SmtpdSubmission *submission; /* the settings'; NULL: LMTP */
	SmtpdSend send;
	gpointer send_data;
	SmtpdPeer peer;
	char *address, *client; /* the peer's; what it calls itself */
	SessionState state;
	GString *out;
	GString *line;       /* a command that is not complete */
	gboolean line_too_long;
	guint idle, bad;

	/* who is at the other end: */
	gpointer who;        /* NULL: not logged on */
	AuthState auth;      /* what the next line is */
	gpointer exchange;   /* of AUTH_EXCHANGE */
	char *auth_user;     /* of AUTH_PASSWORD */
	guint refusals, pause;
	gboolean starting_tls;

	/* the message: */
	char *sender;
	gboolean utf8;
	char *ret, *envid, *rcpt_notify, *rcpt_orcpt; /* as they came; the latter of the RCPT that is looked at */
	GPtrArray *addresses;  /* as accepted */
	GPtrArray *recipients; /* the caller's; in step with the addresses */
	GPtrArray *notify, *orcpt; /* in step, too; NULL: not said */
	SmtpdMessage *message;
	TextState text;

	/* the chunk: */
	gboolean in_chunk, chunk_last, chunk_refused;
	guint64 chunk_size, chunk_left;
};

void session_enter (SmtpdSession *s, SessionState next);
void session_reply (SmtpdSession *s, const char *code, const char *text);
/* Answers what is no right command, or the last of too many. */
void session_refuse (SmtpdSession *s, const char *code, const char *text);

/* ---- Logging on (smtpd-auth.c; RFC 4954) ---- */

/* The lines of EHLO for STARTTLS and AUTH, as the connection is now. */
void auth_write_offers (const SmtpdSession *s, GString *to);
void auth_begin (SmtpdSession *s, Slice args); /* of AUTH */
void auth_line (SmtpdSession *s, Slice line);  /* while s->auth says what it is */
void auth_end (SmtpdSession *s);               /* forgets what was begun */
