/* SPDX-License-Identifier: Apache-2.0 */
/* A profile's home: the IMAP endpoint with everything that the command line knows. */
#pragma once
#include "cli.h"
#include "imap-endpoint.h"

typedef struct {
	Cli *cli;
	Profile *profile; /* borrowed */
	char *secret;     /* kept for further connections; not for tokens, which expire */
	Endpoint *endpoint;
	gboolean plain;   /* no TLS, because it is this machine */
	char *referral;   /* where the mailbox is, by a server that refused the log-on; NULL */
	gint64 followed;  /* monotonic: when it was last tried to follow the server, 0 never */
} Home;
/* @known: capabilities of the last run, or NULL. The secret is asked for when it is needed. */
Home *home_new (Cli *cli, Profile *p, const char *known);
void home_free (Home *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Home, home_free)
/* Gives @secret instead of asking; it is copied. */
void home_set_secret (Home *h, const char *secret);
/* The secret did not serve: ask again the next time. */
void home_forget_secret (Home *h);
/* Remembers in the store what the server said of itself, where that is news. Not inside a transaction. */
gboolean home_remember (Home *h, Store *s, GError **error);
/* The profile has another location: the next connection goes there. */
void home_set_place (Home *h);

/* After a run that succeeded (cli-follow.c): where the server says that it has other addresses than the profile's, the first one where the same server proves to be becomes
 * the profile's, and @run of the log (0: a new one) says so. What fails is told, and changes nothing. */
void home_follow (Home *h, Store *s, gint64 run);
/* After one whose log-on was refused because the mailbox has moved to another server: TRUE if that one lets us in, which is the profile's from now on; whether it is the same mailbox
 * the next run finds out before it does anything. */
gboolean home_be_referred (Home *h, Store *s);
/* After one that could not connect: TRUE if the server that @s knows is at an address that the profile has moved away from; the next connection goes there. */
gboolean home_look_back (Home *h, Store *s);
