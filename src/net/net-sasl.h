/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of SASL (RFC 4422): SCRAM (RFC 5802, 7677) with and without channel binding, XOAUTH2, OAUTHBEARER (RFC 7628),
 * PLAIN (RFC 4616), LOGIN. Texts are base64 as the protocols carry them. No secret appears in an error; copies made here are wiped.
 *
 *	g_autoptr (NetSasl) sasl = net_sasl_new (&settings, offered, error);
 *	send "AUTHENTICATE", net_sasl_mechanism (sasl), and with SASL-IR net_sasl_initial (sasl)
 *	while the server sends "+ CHALLENGE": net_sasl_step (sasl, CHALLENGE, &response, error), send response
 *	at OK: net_sasl_finish (sasl, error);  at NO: net_sasl_failure (sasl) may tell more
 *
 * Without SASL-IR the server's first challenge is empty: give it to net_sasl_step as "", the answer is then the initial response. */
#pragma once
#include <glib.h>
#include "net-conn.h"

/* Strings are borrowed for the call to net_sasl_new only. */
typedef struct {
	const char *user;
	const char *secret;       /* password or access token */
	gboolean secret_is_token; /* OAuth 2 access token: only XOAUTH2 and OAUTHBEARER are used, and they only then */
	gboolean plain_allowed;   /* the secret itself may be sent: the connection is encrypted, or the user accepts that it is not */
	const char *only;         /* use this mechanism and no other; NULL: the best that is offered */
	const char *host;         /* for OAUTHBEARER; NULL: left out */
	guint16 port;
	const NetConn *conn;      /* for channel binding, looked at in net_sasl_new only; NULL: none */
} NetSaslSettings;

typedef struct NetSasl NetSasl;

/* Chooses from @offered (NULL-terminated, without "AUTH=", any case) in the order: SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS,
 * SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN; for tokens OAUTHBEARER, XOAUTH2. Errors: NOT_FOUND if nothing offered can be used (an
 * IMAP client may then use the LOGIN command where plain_allowed), USAGE for a user name or secret with NUL or that no UTF-8 is. */
NetSasl *net_sasl_new (const NetSaslSettings *settings, const char *const *offered, GError **error);
void net_sasl_free (NetSasl *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NetSasl, net_sasl_free)

/* The chosen one, upper case. Borrowed. */
const char *net_sasl_mechanism (const NetSasl *s);
/* The initial response for SASL-IR (RFC 4959), free with net_sasl_wipe; NULL if the mechanism has none (LOGIN). Call at most once
 * and before net_sasl_step; not calling it is fine. */
char *net_sasl_initial (NetSasl *s);
/* Answers the challenge (base64, "" allowed, at most 64 KB). *response_out: base64, perhaps empty, free with net_sasl_wipe.
 * Errors: PROTOCOL for a challenge that is none; NO_PERMISSION if the server could not prove that it knows the password. After an
 * error send "*" to end the exchange. */
gboolean net_sasl_step (NetSasl *s, const char *challenge, char **response_out, GError **error);
/* To be called when the server reports success: fails with NO_PERMISSION if the mechanism promises that the server proves itself
 * and it has not done so. */
gboolean net_sasl_finish (NetSasl *s, GError **error);
/* What the server's failure challenge said (status and scope of RFC 7628 3.2.2), for the error message; NULL none. Borrowed. */
const char *net_sasl_failure (const NetSasl *s);
/* Overwrites and frees; NULL is fine. */
void net_sasl_wipe (char *text);
