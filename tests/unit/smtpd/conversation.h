/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with the engine, in memory. A talk is lines: "C: ..." is sent with CRLF behind it, "R: ..." without; "S: ..." is a regular
 * expression for the next line of the answer ("S: ..." for each, in this order, and no others); "D: ..." is a delivery as conversation_record
 * writes it (in submission with "{UTF8 RET ENVID; NOTIFY ORCPT}" of the first recipient before the colon, "-" for what was not said); "H: ..." a regular expression that is found in the header put before the last delivered message, whose lines are joined with "|".
 * In what is sent and delivered "\n" is CRLF, "\r" a CR alone, "\l" a LF alone, "\0" a NUL, "\*" a hundred x.
 *
 * A mailbox's local part says what becomes of mail to it: "unknown", "full", "closed", "later" are so at RCPT, "unknown2", "full2", "big2", "disk2",
 * "broken2" at the delivery. */
#pragma once
#include "smtpd.h"

#define CONVERSATION_MAX 2000 /* octets of a message */

/* Submission on a connection with TLS, or on one in plain text that may get it. In either "alice" has the password "secret" and sends as
 * "alice@example.org" and "a@b.example" ("later@b.example": not now); "later" is told to wait, for "broken" it is impossible; X-TWO is a mechanism
 * of the messages "one" and "three", whose answer between is "two". */
typedef enum { CONVERSATION_LMTP, CONVERSATION_SUBMISSION, CONVERSATION_SUBMISSION_PLAIN } ConversationKind;

typedef struct {
	const char *title; /* what it shows, with the section of the RFC */
	const char *talk;
	const char *peer;  /* NULL: "192.0.2.1" */
	gboolean raw;      /* begins before LHLO (of submission: EHLO), else behind it */
	ConversationKind kind;
} Conversation;

/* Line by line, octet by octet, all at once and in random pieces, with the same result. */
void conversation_run (const Conversation *c);

typedef struct {
	GString *out;        /* what the client got */
	GString *deliveries; /* "sender > recipient,recipient: message\n" */
	GString *header;     /* of the last one, what was put before */
	GBytes *octets;      /* the last one's, whole */
	gint alive;          /* recipients that were found and not freed; log-ons likewise */
} Record;
SmtpdSettings conversation_settings (Record *r);
extern const SmtpdSubmission conversation_submission;
SmtpdSession *conversation_begin (const SmtpdSettings *settings, const char *peer, Record *r);
void conversation_clear (Record *r);
/* In pieces of @piece octets, 0: of random sizes. FALSE: the session is at its end. */
gboolean conversation_feed (SmtpdSession *s, const char *octets, gsize size, gsize piece);
/* As in a talk. */
void conversation_unescape (GString *out, const char *text);
