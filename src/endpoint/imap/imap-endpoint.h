/* SPDX-License-Identifier: Apache-2.0 */
/* An IMAP server as an endpoint (RFC 9051, RFC 3501 and extensions). Works on a bare IMAP4rev1 server; capabilities only make it
 * cheaper. */
#pragma once
#include "endpoint.h"

typedef struct {
	const char *host; /* name to verify the certificate against */
	guint16 port;
	gboolean implicit_tls; /* imaps; otherwise STARTTLS unless @plain */
	gboolean plain;        /* no TLS at all: loopback, or the user said --insecure */
	const char *tls_ca_file, *tls_pin; /* NULL */
	const char *user;
	const char *mechanism;     /* NULL: the best the server offers */
	gboolean secret_is_token;  /* XOAUTH2/OAUTHBEARER */
	guint connections;         /* at most this many at a time; 0: 4 */
	gboolean far;              /* not on this machine: COMPRESS=DEFLATE and several connections when much follows */
	/* Asks for the secret when it is needed; the result is wiped after use. */
	char *(*secret) (gpointer data, GError **error);
	gpointer secret_data;
	/* Called with lines sent and received, secrets replaced; NULL none. */
	void (*trace) (gpointer data, char direction, const char *line);
	gpointer trace_data;
	/* Called when the server says ALERT; NULL none. */
	void (*alert) (gpointer data, const char *text);
	gpointer alert_data;
	/* Called when the server refuses the log-on and says that the mailbox is elsewhere, with the address; NULL none. */
	void (*referral) (gpointer data, const char *address);
	gpointer referral_data;
	/* Capabilities remembered from the last run (text), lets log-on be pipelined; NULL unknown. */
	const char *known_capabilities;
} ImapSettings;

/* Strings are copied. */
Endpoint *imap_endpoint_new (const ImapSettings *settings);
/* Capability text as last seen, for remembering; borrowed until the next call. NULL before open. */
const char *imap_endpoint_capabilities (Endpoint *e);
/* "Dovecot", "Cyrus IMAP 3.6.1": from ID or the greeting; NULL unknown. Borrowed. */
const char *imap_endpoint_software (Endpoint *e);

/* Which server it is, as it says itself (METADATA-SERVER with outpost's entries, docs/outpostd.md). */
typedef struct {
	char *id, *name, *site; /* UTF-8; NULL where it does not say that, but for the id */
	char **addresses;       /* "imaps://host:port", the preferred one first; perhaps none */
} ImapServer;
/* Of the open connection, whose answer is waited for if it has not come. NULL without error: it says nothing of that kind. Borrowed, while the connection lives. */
const ImapServer *imap_endpoint_server (Endpoint *e, GError **error);
/* The next connection goes to the host and port of @settings, with its TLS and its distance; those that are open stay. */
void imap_endpoint_set_place (Endpoint *e, const ImapSettings *settings);
