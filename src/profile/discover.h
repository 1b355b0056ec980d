/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the IMAP server of an address: DNS SRV records (RFC 6186), the providers' autoconfig files (Thunderbird), guesses that
 * are tried with TLS. For tests only, two environment variables replace the outside: OUTPOST_AUTOCONFIG_URL (the only URL asked;
 * %EMAILADDRESS% and %EMAILDOMAIN% are filled in; http allowed) and OUTPOST_SRV ("_imaps._tcp.example.org=127.0.0.1:1993", several
 * separated by spaces, "=." for not offered; DNS is then not asked). */
#pragma once
#include <glib.h>
#include "cancel.h"
#include "error.h"

#define DISCOVER_XML_MAX (256u << 10)
#define DISCOVER_MAX 32 /* candidates */

typedef struct {
	char *host;
	guint16 port;
	gboolean tls;   /* imaps; otherwise STARTTLS */
	char *user;     /* log-in name; NULL: unknown, try the whole address */
	gboolean oauth; /* the file wants OAuth 2 */
	char *origin;   /* where it comes from: "SRV record of example.org", URL, "guess" */
} Candidate;
void candidate_free (Candidate *c);
/* Its host is the domain of @address, or below it. What names any other one may be forged (RFC 6186, 6: DNS is not to be trusted), so a person has to
 * say yes to it before a password is sent there. */
gboolean candidate_is_own (const Candidate *c, const char *address);

/* Candidates for user@domain, best first: SRV, then autoconfig, then a guess if nothing else was found; at least one, or NOT_FOUND.
 * USAGE if @address is none. At most about 15 s; element type Candidate*, the array frees them. Threads that wait for names or servers
 * may outlive it: who ends the process then calls _exit, else the libraries clean up under them. */
GPtrArray *discover (const char *address, Cancel *cancel, GError **error);

/* Parses an autoconfig file (config-v1.1.xml) and adds its IMAP servers. Plain-text ones are left out. PROTOCOL if it is none. */
gboolean discover_parse_xml (const char *xml, gsize size, const char *address, const char *origin, GPtrArray *candidates,
                             GError **error);
/* Adds the targets of the SRV records of the DNS answer @data in the order to try them (priority; among equals by weight: heavier
 * first). *not_offered_out when the answer is the single target ".". PROTOCOL if damaged. */
gboolean discover_parse_srv (const guint8 *data, gsize size, gboolean tls, const char *origin, GPtrArray *candidates,
                             gboolean *not_offered_out, GError **error);
