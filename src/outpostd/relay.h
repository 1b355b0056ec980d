/* SPDX-License-Identifier: Apache-2.0 */
/* Hands mail to the next server: an SMTP client (RFC 5321) with STARTTLS, AUTH, 8BITMIME, SMTPUTF8, SIZE and DSN where that one has them. */
#pragma once
#include "cancel.h"
#include "queue.h"

typedef struct {
	char *host;
	guint16 port;
	gboolean tls; /* at once */
} RelayTarget;
void relay_target_clear (RelayTarget *t);
/* "smtp://HOST[:25]", "smtps://HOST[:465]", with IPv6 in brackets. USAGE. @out may be NULL. */
gboolean relay_parse (const char *url, RelayTarget *out, GError **error);

typedef struct {
	const char *url, *user, *password_file, *ca_file; /* user and what follows may be NULL */
	const char *name; /* of this server, for EHLO */
} RelaySettings;

typedef enum { RELAY_LATER, RELAY_FAILED, RELAY_DONE, RELAY_DONE_SILENT /* the next server knows nothing of DSN */ } RelayOutcome;
typedef struct {
	RelayOutcome outcome;
	char *said; /* "550 5.1.1 no such user", or a sentence of ours without a number; owned by the caller */
} RelayResult;
/* Sends to all @recipients (of QueueRecipient); results in step with them. Without STARTTLS only to this machine. Blocks. Line ends that are not CRLF become
 * CRLF, so that the end of the message is the same for everybody. */
void relay_send (const RelaySettings *settings, const QueueMessage *m, GBytes *octets, const GPtrArray *recipients, RelayResult *results, Cancel *cancel);
